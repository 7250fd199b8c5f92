# pragma version 0.4.3
# pragma evm-version cancun
# pragma optimize gas
"""
@title Holds: payees that a member asks the others not to pay, and why it may
@license Apache-2.0
@notice A member places a hold on a payee's token; the others read it before they pay. Behind every hold stands either
        a statement in the member's anchored journal, or a promoted model that this contract asked itself.
@dev    Rules, and why each is there.
        * A token stands for a payee within one epoch. It is made of all members' key shares together, and with the
          shares destroyed nobody can make it again. No account, no name and no amount comes here.
        * `place` takes a decision apart from its proof: this contract writes the statement's bytes itself, from typed
          values, so that the statement in the journal names this very token, end and level and no other; then it asks
          `Anchors` whether they stand in the sender's journal, in its present epoch. A statement counts once.
        * `execute` asks the model on chain. Which models may decide, and at which score, members vote in advance:
          nobody can shop for a harsher model. That the input is a payment's is the sender's word; the commitment is
          kept, so that the word can be held against it.
        * A hold ends by itself, after ten days at the most. Its end needs no transaction and no block.
        * The placer releases it by a statement of its own. Two active parties other than the placer overturn it.
        * Any other party disputes it, with a reason. It then ends with the review window (seconds and blocks, so that
          a halted chain does not eat the time to look at it) unless two parties uphold it. A dispute is also the
          disputer's voice against the hold. A party speaks once of each hold; what two decided stays decided.
        * A member has `open_limit` places for open holds. How many of its holds were overturned stands here for all.
        * Epochs, models and the roots of the list of reported payees count when `Members.threshold` active parties
          said the same of them.
        * Times are microseconds since 1970, as in statements. No owner, no money, no upgrade.
        Gas of whole transactions: see tests/contracts/gas_holds.json.
"""

interface MembersView:
    def member(account: address) -> bytes32: view
    def party(id: bytes32) -> Party: view
    def party_of(journal: bytes32) -> bytes32: view
    def threshold() -> uint64: view
    def writer_and_epoch(journal: bytes32) -> (address, uint64): view

interface AnchorsView:
    def members() -> address: view
    def includes_in(
        journal: bytes32, epoch: uint64, size: uint64, index: uint64, leaf: bytes32, proof: DynArray[bytes32, MAX_PATH]
    ) -> bool: view

interface ModelsView:
    def members() -> address: view
    def stage(model: bytes32) -> uint8: view
    def executor(model: bytes32) -> address: view

interface ExecutorView:
    def answer(x: DynArray[uint256, MAX_WORDS]) -> int256: view


struct Party:
    account: address
    journal: bytes32
    card: bytes32
    standing: uint8
    place: uint256
    revision: uint64
    turns: uint64

# A statement but for what this contract writes: {"at":..,"body":..,"kind":..,"links":<links>,"origin":"<origin>",<rest>
struct Stated:
    at: uint64
    links: Bytes[MAX_LINKS]
    origin: Bytes[MAX_ORIGIN]
    rest: Bytes[MAX_REST]
    size: uint64
    index: uint64
    proof: DynArray[bytes32, MAX_PATH]

struct Hold:
    state: uint8
    level: uint8
    slot: uint16
    until: uint64
    review_until: uint64
    review_block: uint64
    ground: bytes32

struct Record:
    placed: uint256
    executed: uint256
    released: uint256
    overturned: uint256
    upheld: uint256
    disputes: uint256

struct Epoch:
    since: uint64
    until: uint64
    id: bytes32
    topic: bytes32
    ended: bool

struct NamedModel:
    named: bool
    threshold: int256
    turn: uint256

struct PostedList:
    number: uint64
    root: bytes32
    entries: uint64
    topic: bytes32


event Placed:
    token: indexed(bytes32)
    party: indexed(bytes32)
    epoch: indexed(uint64)
    level: uint8
    until: uint64
    ground: bytes32

event Executed:
    token: indexed(bytes32)
    party: indexed(bytes32)
    model: indexed(bytes32)
    output: int256
    threshold: int256

event Released:
    token: indexed(bytes32)
    party: indexed(bytes32)
    statement: bytes32

event Disputed:
    token: indexed(bytes32)
    party: indexed(bytes32)
    by: indexed(bytes32)
    reason: bytes32
    review_until: uint64

event Reviewed:
    token: indexed(bytes32)
    party: indexed(bytes32)
    by: indexed(bytes32)
    uphold: bool
    reason: bytes32

event Upheld:
    token: indexed(bytes32)
    party: indexed(bytes32)

event Overturned:
    token: indexed(bytes32)
    party: indexed(bytes32)
    lapsed: bool

event ModelVoted:
    model: indexed(bytes32)
    party: indexed(bytes32)
    threshold: int256

event ModelNamed:
    model: indexed(bytes32)
    threshold: int256

event ShareStated:
    number: indexed(uint64)
    party: indexed(bytes32)
    id: bytes32
    share: bytes32

event EpochOpened:
    number: indexed(uint64)
    id: indexed(bytes32)
    since: uint64
    until: uint64

event ShareDestroyed:
    number: indexed(uint64)
    party: indexed(bytes32)

event EpochEnded:
    number: indexed(uint64)

event ListPosted:
    epoch: indexed(uint64)
    number: indexed(uint64)
    party: indexed(bytes32)
    root: bytes32
    entries: uint64

event ListCounted:
    epoch: indexed(uint64)
    number: indexed(uint64)
    root: bytes32
    entries: uint64


MAX_PATH: constant(uint256) = 64
# Bytes of a statement's links, origin and end; a statement of a hold has a few hundred in all.
MAX_LINKS: constant(uint256) = 2_048
MAX_ORIGIN: constant(uint256) = 160
MAX_REST: constant(uint256) = 512
# Words of a model's input
MAX_WORDS: constant(uint256) = 16
# `Members` has no more parties.
MAX_PARTIES: constant(uint256) = 256
MAX_OPEN: constant(uint64) = 256

SECOND: constant(uint64) = 1_000_000
DAY: constant(uint64) = 86_400 * SECOND
MAX_DURATION: constant(uint64) = 10 * DAY
# How old a decision may be, and how far the writer's clock may be ahead of the chain's.
MAX_AGE: constant(uint64) = 7 * DAY
MAX_AHEAD: constant(uint64) = 3_600 * SECOND
MAX_EPOCH: constant(uint64) = 400 * DAY
MAX_REVIEW_S: constant(uint64) = 10 * 86_400
# What JSON holds exactly.
MAX_NUMBER: constant(uint64) = 2**53 - 1

# Two parties overturn or uphold.
VOICES_NEEDED: constant(uint256) = 2
L0: constant(uint8) = 0
L4: constant(uint8) = 4
# `Models`, `Members`
PROMOTED: constant(uint8) = 2
ACTIVE: constant(uint8) = 1

# How a hold stands
STANDS: constant(uint8) = 1
DISPUTED: constant(uint8) = 2
UPHELD: constant(uint8) = 3
RELEASED: constant(uint8) = 4
OVERTURNED: constant(uint8) = 5

MASK_64: constant(uint256) = 2**64 - 1
# Counters of a record, each 40 bits of one word
PLACED_ONE: constant(uint256) = 1
EXECUTED_ONE: constant(uint256) = 1 << 40
RELEASED_ONE: constant(uint256) = 1 << 80
OVERTURNED_ONE: constant(uint256) = 1 << 120
UPHELD_ONE: constant(uint256) = 1 << 160
DISPUTES_ONE: constant(uint256) = 1 << 200
MASK_40: constant(uint256) = 2**40 - 1

# Masks that leave every second 64, 32, 16, 8 or 4 bits, the lowest first; and a 1 in every byte
SPREAD_64: constant(uint256) = max_value(uint256) // (2**64 + 1)
SPREAD_32: constant(uint256) = max_value(uint256) // (2**32 + 1)
SPREAD_16: constant(uint256) = max_value(uint256) // (2**16 + 1)
SPREAD_8: constant(uint256) = max_value(uint256) // (2**8 + 1)
SPREAD_4: constant(uint256) = max_value(uint256) // (2**4 + 1)
ONES: constant(uint256) = max_value(uint256) // 255

# @notice The contract that says who is a member.
members: public(immutable(address))
# @notice The contract that keeps the heads of the members' journals.
anchors: public(immutable(address))
# @notice The contract that says which models are promoted, and executes them.
models: public(immutable(address))
# @notice How many open holds a member may have.
open_limit: public(immutable(uint64))
# @notice Least microseconds of a review.
review_time: public(immutable(uint64))
# @notice Least blocks of a review.
review_blocks: public(immutable(uint64))

# @notice The number of the epoch that was opened last.
epoch_count: public(uint64)

# @notice Whether a statement has placed or released a hold; an input of `execute` is kept here by its hash.
used: public(HashMap[bytes32, bool])
# @notice Which root a party posted as list `number` of an epoch: epoch, number, party.
posted: public(HashMap[uint64, HashMap[uint64, HashMap[bytes32, bytes32]]])

# token -> party -> end of review, block of review, until, slot, level, state in one word; and what it stands on
_words: HashMap[bytes32, HashMap[bytes32, uint256]]
_grounds: HashMap[bytes32, HashMap[bytes32, bytes32]]
# token -> parties that ever placed a hold on it, each once
_holders: HashMap[bytes32, DynArray[bytes32, MAX_PARTIES]]
# party -> slot -> token
_slots: HashMap[bytes32, HashMap[uint64, bytes32]]
_records: HashMap[bytes32, uint256]
# what is said (a hold and a verdict, an epoch, a model, a list) -> the parties that said it
_voices: HashMap[bytes32, DynArray[bytes32, MAX_PARTIES]]
_epochs: HashMap[uint64, Epoch]
# topic of an epoch -> party -> fingerprint of its share
_shares: HashMap[bytes32, HashMap[bytes32, bytes32]]
_models: HashMap[bytes32, NamedModel]
_lists: HashMap[uint64, PostedList]


@deploy
def __init__(anchors_: address, models_: address, open_limit_: uint64, review_s: uint64, review_blocks_: uint64):
    """
    @notice Bind the contract to the members' anchors and models, for ever.
    @param anchors_ Address of `Anchors`; its `Members` says who takes part.
    @param models_ Address of `Models`, bound to the same `Members`.
    @param open_limit_ How many open holds a member may have: 1 to 256.
    @param review_s Least seconds of a review: 1 to 864,000.
    @param review_blocks_ Least blocks of the same: 0 to 10,000,000; 0 on a chain that makes no empty blocks.
    """
    assert anchors_.is_contract, "holds: anchors is no contract"
    assert models_.is_contract, "holds: models is no contract"
    members = staticcall AnchorsView(anchors_).members()
    assert staticcall ModelsView(models_).members() == members, "holds: models has other members"
    assert 1 <= open_limit_ and open_limit_ <= MAX_OPEN, "holds: open limit"
    assert 1 <= review_s and review_s <= MAX_REVIEW_S, "holds: review time"
    assert review_blocks_ <= 10_000_000, "holds: review blocks"
    anchors = anchors_
    models = models_
    open_limit = open_limit_
    review_time = review_s * SECOND
    review_blocks = review_blocks_


@external
def place(epoch: uint64, token: bytes32, until: uint64, slot: uint16, said: Stated):
    """
    @notice Place a hold on a payee's token, on a decision in one's own anchored journal.
    @dev    An active member, in a running epoch, on a statement that was not used before. Emits `Placed`.
    @param epoch Number of the epoch that the token belongs to.
    @param token The payee's token.
    @param until When the hold ends: within ten days from now.
    @param slot A free place of the sender, see `free_slot`.
    @param said The rest of the statement `hold.requested`, and its inclusion proof.
    """
    party: bytes32 = self._speaker()
    body: Bytes[263] = concat(
        b'{"epoch":',
        self._decimal(epoch),
        b',"level":"L0","token":"',
        self._hex(token),
        b'","until":',
        self._decimal(until),
        b"}",
    )
    leaf: bytes32 = self._check_stated(party, body, b"hold.requested", said)
    self._place(party, epoch, token, until, slot, L0, leaf)


@external
def execute(
    epoch: uint64,
    token: bytes32,
    until: uint64,
    slot: uint16,
    model: bytes32,
    words: DynArray[uint256, MAX_WORDS],
    salt: bytes32,
) -> int256:
    """
    @notice Place a hold because a promoted model says so here and now, at or above the threshold named for it.
    @dev    An active member, in a running epoch; the same input of one member counts once for a token.
            The input becomes public with the transaction. Emits `Executed` and `Placed`.
    @param epoch Number of the epoch that the token belongs to.
    @param token The payee's token.
    @param until When the hold ends: within ten days from now.
    @param slot A free place of the sender.
    @param model SHA-256 of the model's file; promoted, and named by `name_model`.
    @param words The packed input.
    @param salt Makes, with the words, the commitment that the hold keeps.
    @return The score.
    """
    party: bytes32 = self._speaker()
    threshold: int256 = self._models[model].threshold
    assert self._models[model].named, "holds: model is not named"
    assert staticcall ModelsView(models).stage(model) == PROMOTED, "holds: model is not in use"
    executor: address = staticcall ModelsView(models).executor(model)
    assert executor != empty(address), "holds: model has no executor"
    # The salt is left out, so that another salt does not make another ground of the same input.
    self._use(keccak256(abi_encode(party, token, words)))
    output: int256 = staticcall ExecutorView(executor).answer(words)
    assert output >= threshold, "holds: the model does not ask for it"
    log Executed(token=token, party=party, model=model, output=output, threshold=threshold)
    self._place(party, epoch, token, until, slot, L4, self._commitment(salt, words))
    return output


@external
def release(token: bytes32, said: Stated):
    """
    @notice Release one's own hold, on a decision in one's own anchored journal.
    @dev    The placer, an active member, while the hold is open. Emits `Released`.
    @param token The payee's token.
    @param said The rest of the statement `hold.released`, and its inclusion proof.
    """
    party: bytes32 = self._speaker()
    hold: Hold = self._open_hold(token, party)
    body: Bytes[76] = concat(b'{"token":"', self._hex(token), b'"}')
    leaf: bytes32 = self._check_stated(party, body, b"hold.released", said)
    hold.state = RELEASED
    self._keep(token, party, hold)
    self._records[party] += RELEASED_ONE
    log Released(token=token, party=party, statement=leaf)


@external
def dispute(token: bytes32, party: bytes32, reason: bytes32):
    """
    @notice Dispute a hold: it ends with the review window, unless two parties uphold it.
    @dev    An active member other than the placer, which has not spoken of this hold, while it is open and nobody
            disputed it. Counts as a voice against it. Emits `Disputed`, and `Overturned` where it is the second.
    @param token The payee's token.
    @param party Who placed the hold.
    @param reason SHA-256 of the reason, or the id of the statement that gives it.
    """
    hold: Hold = self._open_hold(token, party)
    assert hold.state == STANDS, "holds: disputed or decided"
    by: bytes32 = self._reviewer(token, party, hold.ground, reason)
    hold.state = DISPUTED
    hold.review_until = self._now() + review_time
    hold.review_block = convert(block.number, uint64) + review_blocks
    self._keep(token, party, hold)
    self._records[by] += DISPUTES_ONE
    log Disputed(token=token, party=party, by=by, reason=reason, review_until=hold.review_until)
    self._speak(token, party, hold, by, False)


@external
def review(token: bytes32, party: bytes32, uphold: bool, reason: bytes32):
    """
    @notice Say what shall become of another member's hold; two parties of one mind decide.
    @dev    An active member other than the placer, which has not spoken of this hold, while it is open and not
            decided. Only a disputed hold can be upheld. Emits `Reviewed`, and with the second voice `Upheld` or
            `Overturned`.
    @param token The payee's token.
    @param party Who placed the hold.
    @param uphold Whether it shall stay until its end.
    @param reason SHA-256 of the reason, or the id of the statement that gives it.
    """
    hold: Hold = self._open_hold(token, party)
    assert hold.state != UPHELD, "holds: decided"
    assert not uphold or hold.state == DISPUTED, "holds: nobody disputes it"
    by: bytes32 = self._reviewer(token, party, hold.ground, reason)
    log Reviewed(token=token, party=party, by=by, uphold=uphold, reason=reason)
    self._speak(token, party, hold, by, uphold)


@external
def settle(token: bytes32, party: bytes32):
    """
    @notice Write down that a disputed hold ended because nobody upheld it; it counts as overturned.
    @dev    Anyone, after the review window. Emits `Overturned`. Reads as ended without it.
    @param token The payee's token.
    @param party Who placed the hold.
    """
    assert self._settle(token, party), "holds: nothing to settle"


@external
def name_model(model: bytes32, threshold: int256):
    """
    @notice Vote that a model may place holds by `execute`, at a score; another vote changes the score.
    @dev    An active member, once for each score. Emits `ModelVoted`, and `ModelNamed` when enough said the same.
            A model that `Models` retires places no more holds.
    @param model SHA-256 of its file.
    @param threshold The least score that places a hold.
    """
    party: bytes32 = self._speaker()
    assert model != empty(bytes32), "holds: model is empty"
    # Each naming begins a new turn, so that an earlier score can be voted for again.
    turn: uint256 = self._models[model].turn
    topic: bytes32 = keccak256(abi_encode("model", model, threshold, turn))
    log ModelVoted(model=model, party=party, threshold=threshold)
    if self._say(topic, party):
        self._models[model] = NamedModel(named=True, threshold=threshold, turn=turn + 1)
        log ModelNamed(model=model, threshold=threshold)


@external
def open_epoch(number: uint64, id: bytes32, since: uint64, until: uint64, share: bytes32):
    """
    @notice Vote for an epoch and state the fingerprint of one's key share; when it is open, add one's own.
    @dev    An active member, once for each proposal; the number must be above all opened ones. Emits `ShareStated`,
            and `EpochOpened` when enough said the same.
    @param number 1, 2, ...
    @param id Hash of all that the members agreed on, their shares' commitments too.
    @param since When tokens of this epoch begin to count.
    @param until When it is over: in the future, at most 400 days after `since`.
    @param share Commitment to the sender's key share, or its hash.
    """
    party: bytes32 = self._speaker()
    assert id != empty(bytes32) and share != empty(bytes32), "holds: id or share is empty"
    assert since < until and until - since <= MAX_EPOCH, "holds: time of the epoch"
    assert until > self._now(), "holds: epoch would be over"
    topic: bytes32 = keccak256(abi_encode("epoch", number, id, since, until))
    opened: bool = self._epochs[number].id != empty(bytes32)
    if opened:
        assert self._epochs[number].topic == topic, "holds: another epoch has this number"
        assert not self._epochs[number].ended, "holds: epoch has ended"
    else:
        assert number > self.epoch_count, "holds: number of the epoch"
    agreed: bool = self._say(topic, party)
    self._shares[topic][party] = share
    log ShareStated(number=number, party=party, id=id, share=share)
    if agreed and not opened:
        self._epochs[number] = Epoch(since=since, until=until, id=id, topic=topic, ended=False)
        self.epoch_count = number
        log EpochOpened(number=number, id=id, since=since, until=until)


@external
def end_epoch(number: uint64):
    """
    @notice State that one's key share of an epoch is destroyed. When enough did, the epoch has ended early.
    @dev    An active member that stated a share of it, once. Emits `ShareDestroyed`, and `EpochEnded`.
    @param number Of the epoch.
    """
    party: bytes32 = self._speaker()
    topic: bytes32 = self._epochs[number].topic
    assert topic != empty(bytes32), "holds: unknown epoch"
    assert self._shares[topic][party] != empty(bytes32), "holds: no share of this epoch"
    log ShareDestroyed(number=number, party=party)
    if self._say(keccak256(abi_encode("end", topic)), party) and not self._epochs[number].ended:
        self._epochs[number].ended = True
        log EpochEnded(number=number)


@external
def post_list(epoch: uint64, number: uint64, root: bytes32, entries: uint64):
    """
    @notice Post the root of the list of reported payees; it counts when enough members posted the same.
    @dev    An active member, once for each number, in a running epoch; above the number that counts. Emits
            `ListPosted`, and `ListCounted` when enough said the same.
    @param epoch Number of the epoch that the list's tokens belong to.
    @param number Of the list: 1, 2, ...
    @param root RFC 9162 root over its entries.
    @param entries How many.
    """
    party: bytes32 = self._speaker()
    self._check_running(epoch)
    assert root != empty(bytes32), "holds: root is empty"
    counted: PostedList = self._lists[epoch]
    topic: bytes32 = keccak256(abi_encode("list", epoch, number, root, entries))
    # A voice that comes late adds to a list that counts; it never brings an older one back.
    assert number > counted.number or topic == counted.topic, "holds: number of the list"
    assert self.posted[epoch][number][party] == empty(bytes32), "holds: party has posted"
    self.posted[epoch][number][party] = root
    log ListPosted(epoch=epoch, number=number, party=party, root=root, entries=entries)
    if self._say(topic, party) and topic != counted.topic:
        self._lists[epoch] = PostedList(number=number, root=root, entries=entries, topic=topic)
        log ListCounted(epoch=epoch, number=number, root=root, entries=entries)


@external
@view
def held(token: bytes32) -> (uint64, uint8, bytes32):
    """
    @notice Whether a payee is held, before one pays: of its open holds the one that ends last.
    @dev    Anyone.
    @param token The payee's token.
    @return When it ends, its level (0 or 4), who placed it; all zero where no hold is open.
    """
    until: uint64 = 0
    level: uint8 = 0
    placed_by: bytes32 = empty(bytes32)
    now: uint64 = self._now()
    for party: bytes32 in self._holders[token]:
        hold: Hold = self._hold(token, party)
        end: uint64 = self._end(hold)
        if end > now and end > until:
            until = end
            level = hold.level
            placed_by = party
    return until, level, placed_by


@external
@view
def hold_of(token: bytes32, party: bytes32) -> Hold:
    """
    @notice The last hold of a member on a token, open or over.
    @dev    Anyone. State is 0 none, 1 stands, 2 disputed, 3 upheld, 4 released, 5 overturned. `ground` is the id of
            the statement (L0) or the commitment to the input (L4).
    @param token The payee's token.
    @param party Who placed it.
    @return The hold.
    """
    return self._hold(token, party)


@external
@view
def is_open(token: bytes32, party: bytes32) -> bool:
    """
    @notice Whether a member's hold on a token is open now.
    @dev    Anyone.
    @param token The payee's token.
    @param party Who placed it.
    @return Whether it is.
    """
    return self._end(self._hold(token, party)) > self._now()


@external
@view
def holders(token: bytes32) -> DynArray[bytes32, MAX_PARTIES]:
    """
    @notice Who ever placed a hold on a token, in this order.
    @dev    Anyone.
    @param token The payee's token.
    @return SHA-256 of the parties' ids.
    """
    return self._holders[token]


@external
@view
def free_slot(party: bytes32) -> (bool, uint16):
    """
    @notice The first place in which a member can put a hold.
    @dev    Anyone.
    @param party The member.
    @return Whether there is one, and its number.
    """
    for slot: uint64 in range(open_limit, bound=MAX_OPEN):
        if self._is_free(party, convert(slot, uint16)):
            return True, convert(slot, uint16)
    return False, 0


@external
@view
def open_count(party: bytes32) -> uint64:
    """
    @notice How many open holds a member has.
    @dev    Anyone.
    @param party The member.
    @return The number, at most `open_limit`.
    """
    count: uint64 = 0
    for slot: uint64 in range(open_limit, bound=MAX_OPEN):
        if not self._is_free(party, convert(slot, uint16)):
            count += 1
    return count


@external
@view
def record(party: bytes32) -> Record:
    """
    @notice What became of a member's holds: `overturned` of `placed` is its rate.
    @dev    Anyone. `placed` counts all, `executed` those of L4, `disputes` those that this member disputed.
    @param party The member.
    @return The counts.
    """
    word: uint256 = self._records[party]
    return Record(
        placed=word & MASK_40,
        executed=(word >> 40) & MASK_40,
        released=(word >> 80) & MASK_40,
        overturned=(word >> 120) & MASK_40,
        upheld=(word >> 160) & MASK_40,
        disputes=(word >> 200) & MASK_40,
    )


@external
@view
def voices(token: bytes32, party: bytes32, uphold: bool) -> DynArray[bytes32, MAX_PARTIES]:
    """
    @notice The parties that spoke for or against a member's present hold.
    @dev    Anyone.
    @param token The payee's token.
    @param party Who placed it.
    @param uphold Which verdict.
    @return SHA-256 of the parties' ids.
    """
    return self._voices[self._verdict(token, party, self._grounds[token][party], uphold)]


@external
@view
def model_named(model: bytes32) -> (bool, int256):
    """
    @notice Whether a model may place holds, and at which score.
    @dev    Anyone. It must also be promoted in `Models`.
    @param model SHA-256 of its file.
    @return Whether it was named, and the least score.
    """
    return self._models[model].named, self._models[model].threshold


@external
@view
def epoch(number: uint64) -> Epoch:
    """
    @notice An epoch as it was opened.
    @dev    Anyone.
    @param number Of the epoch.
    @return The epoch; all zero for one that was not opened. `ended` says that it was ended by votes.
    """
    return self._epochs[number]


@external
@view
def epoch_ended(number: uint64) -> bool:
    """
    @notice Whether an epoch is over, by time or by votes.
    @dev    Anyone.
    @param number Of the epoch.
    @return Whether it is; False for one that was not opened.
    """
    found: Epoch = self._epochs[number]
    return found.ended or (found.until != 0 and self._now() >= found.until)


@external
@view
def shares(number: uint64) -> (DynArray[bytes32, MAX_PARTIES], DynArray[bytes32, MAX_PARTIES]):
    """
    @notice Who stated a key share of an epoch, and the shares' fingerprints.
    @dev    Anyone.
    @param number Of the epoch.
    @return SHA-256 of the parties' ids, and what each stated, in the same order.
    """
    topic: bytes32 = self._epochs[number].topic
    parties: DynArray[bytes32, MAX_PARTIES] = []
    told: DynArray[bytes32, MAX_PARTIES] = []
    if topic != empty(bytes32):
        parties = self._voices[topic]
        for party: bytes32 in parties:
            told.append(self._shares[topic][party])
    return parties, told


@external
@view
def destroyed(number: uint64) -> DynArray[bytes32, MAX_PARTIES]:
    """
    @notice Who stated that its share of an epoch is destroyed.
    @dev    Anyone.
    @param number Of the epoch.
    @return SHA-256 of the parties' ids.
    """
    return self._voices[keccak256(abi_encode("end", self._epochs[number].topic))]


@external
@view
def list_root(epoch: uint64) -> (uint64, bytes32, uint64):
    """
    @notice The list of reported payees that counts.
    @dev    Anyone.
    @param epoch Number of the epoch.
    @return Number, root, and how many parties posted it; all zero where none counts.
    """
    counted: PostedList = self._lists[epoch]
    if counted.number == 0:
        return 0, empty(bytes32), 0
    return counted.number, counted.root, convert(len(self._voices[counted.topic]), uint64)


@external
@view
def list_entries(epoch: uint64) -> uint64:
    """
    @notice How many entries the list that counts has.
    @dev    Anyone.
    @param epoch Number of the epoch.
    @return The number; 0 where none counts.
    """
    return self._lists[epoch].entries


@internal
@view
def _speaker() -> bytes32:
    party: bytes32 = staticcall MembersView(members).member(msg.sender)
    assert party != empty(bytes32), "holds: not an active member"
    return party


@internal
@view
def _now() -> uint64:
    return convert(block.timestamp, uint64) * SECOND


@internal
@view
def _check_running(number: uint64):
    found: Epoch = self._epochs[number]
    now: uint64 = self._now()
    # A block's time is a whole second: an epoch that began within it has begun.
    assert found.since < now + SECOND, "holds: epoch is not running"
    assert now < found.until and not found.ended, "holds: epoch is not running"


@internal
def _place(party: bytes32, epoch: uint64, token: bytes32, until: uint64, slot: uint16, level: uint8, ground: bytes32):
    self._check_running(epoch)
    now: uint64 = self._now()
    assert token != empty(bytes32), "holds: token is empty"
    assert now < until and until - now <= MAX_DURATION, "holds: must end within ten days"
    before: Hold = self._hold(token, party)
    assert self._end(before) <= now, "holds: held already"
    assert convert(slot, uint64) < open_limit, "holds: no such slot"
    assert self._is_free(party, slot), "holds: slot is taken"
    if before.state == 0:
        self._holders[token].append(party)
    elif before.state == DISPUTED:
        # What became of the last hold is counted before it is forgotten.
        self._settle(token, party)
    self._slots[party][convert(slot, uint64)] = token
    self._keep(
        token,
        party,
        Hold(
            state=STANDS, level=level, slot=slot, until=until, review_until=0, review_block=0, ground=ground
        ),
    )
    self._grounds[token][party] = ground
    self._records[party] += PLACED_ONE if level == L0 else PLACED_ONE + EXECUTED_ONE
    log Placed(token=token, party=party, epoch=epoch, level=level, until=until, ground=ground)


@internal
def _use(ground: bytes32):
    assert not self.used[ground], "holds: used before"
    self.used[ground] = True


@internal
def _check_stated(party: bytes32, body: Bytes[263], kind: Bytes[14], said: Stated) -> bytes32:
    # Only the party's own journal, and only in its present epoch: a thief's epoch that was closed counts no more.
    journal: bytes32 = sha256(said.origin)
    assert staticcall MembersView(members).party_of(journal) == party, "holds: another party's journal"
    writer: address = empty(address)
    epoch: uint64 = 0
    writer, epoch = staticcall MembersView(members).writer_and_epoch(journal)
    now: uint64 = self._now()
    assert said.at <= now + MAX_AHEAD, "holds: decided in the future"
    assert now <= said.at + MAX_AGE, "holds: decided too long ago"
    # The keys of a statement are sorted, and links hold no text of their own: what is written here can stand
    # nowhere else in a statement that parses.
    leaf: bytes32 = sha256(
        concat(
            x"00",
            b'{"at":',
            self._decimal(said.at),
            b',"body":',
            body,
            b',"kind":"',
            kind,
            b'","links":',
            said.links,
            b',"origin":"',
            said.origin,
            b'",',
            said.rest,
        )
    )
    assert staticcall AnchorsView(anchors).includes_in(
        journal, epoch, said.size, said.index, leaf, said.proof
    ), "holds: not in the anchored journal"
    self._use(leaf)
    return leaf


@internal
@view
def _open_hold(token: bytes32, party: bytes32) -> Hold:
    hold: Hold = self._hold(token, party)
    assert self._end(hold) > self._now(), "holds: no open hold"
    return hold


@internal
@view
def _end(hold: Hold) -> uint64:
    # 0 for one that is released, overturned or was never placed.
    if hold.state == STANDS or hold.state == UPHELD:
        return hold.until
    if hold.state != DISPUTED:
        return 0
    if block.number < convert(hold.review_block, uint256):
        return hold.until
    return min(hold.until, hold.review_until)


@internal
@view
def _reviewer(token: bytes32, party: bytes32, ground: bytes32, reason: bytes32) -> bytes32:
    by: bytes32 = self._speaker()
    assert by != party, "holds: own hold"
    assert reason != empty(bytes32), "holds: no reason given"
    assert by not in self._voices[self._verdict(token, party, ground, True)], "holds: party has spoken"
    assert by not in self._voices[self._verdict(token, party, ground, False)], "holds: party has spoken"
    return by


@internal
def _speak(token: bytes32, party: bytes32, hold: Hold, by: bytes32, uphold: bool):
    topic: bytes32 = self._verdict(token, party, hold.ground, uphold)
    self._voices[topic].append(by)
    if self._active(self._voices[topic]) < VOICES_NEEDED:
        return
    decided: Hold = hold
    if uphold:
        decided.state = UPHELD
        self._records[party] += UPHELD_ONE
        log Upheld(token=token, party=party)
    else:
        decided.state = OVERTURNED
        self._records[party] += OVERTURNED_ONE
        log Overturned(token=token, party=party, lapsed=False)
    self._keep(token, party, decided)


@internal
def _settle(token: bytes32, party: bytes32) -> bool:
    hold: Hold = self._hold(token, party)
    # One that ran to its own end while it was disputed was neither upheld nor overturned.
    if hold.state != DISPUTED or hold.review_until >= hold.until or self._end(hold) > self._now():
        return False
    hold.state = OVERTURNED
    self._keep(token, party, hold)
    self._records[party] += OVERTURNED_ONE
    log Overturned(token=token, party=party, lapsed=True)
    return True


@internal
@view
def _is_free(party: bytes32, slot: uint16) -> bool:
    token: bytes32 = self._slots[party][convert(slot, uint64)]
    if token == empty(bytes32):
        return True
    hold: Hold = self._hold(token, party)
    # The token's present hold may stand in another slot.
    return hold.slot != slot or self._end(hold) <= self._now()


@internal
@view
def _hold(token: bytes32, party: bytes32) -> Hold:
    word: uint256 = self._words[token][party]
    return Hold(
        state=convert(word & 255, uint8),
        level=convert((word >> 8) & 255, uint8),
        slot=convert((word >> 16) & 65_535, uint16),
        until=convert((word >> 32) & MASK_64, uint64),
        review_until=convert((word >> 96) & MASK_64, uint64),
        review_block=convert((word >> 160) & MASK_64, uint64),
        ground=self._grounds[token][party],
    )


@internal
def _keep(token: bytes32, party: bytes32, hold: Hold):
    self._words[token][party] = (
        convert(hold.state, uint256)
        | (convert(hold.level, uint256) << 8)
        | (convert(hold.slot, uint256) << 16)
        | (convert(hold.until, uint256) << 32)
        | (convert(hold.review_until, uint256) << 96)
        | (convert(hold.review_block, uint256) << 160)
    )


@internal
@pure
def _verdict(token: bytes32, party: bytes32, ground: bytes32, uphold: bool) -> bytes32:
    return keccak256(abi_encode("verdict", token, party, ground, uphold))


@internal
def _say(topic: bytes32, party: bytes32) -> bool:
    assert party not in self._voices[topic], "holds: party has spoken"
    self._voices[topic].append(party)
    return self._active(self._voices[topic]) >= convert(staticcall MembersView(members).threshold(), uint256)


@internal
@view
def _active(parties: DynArray[bytes32, MAX_PARTIES]) -> uint256:
    # What a party said counts no longer when it is suspended or left.
    count: uint256 = 0
    for party: bytes32 in parties:
        found: Party = staticcall MembersView(members).party(party)
        if found.standing == ACTIVE:
            count += 1
    return count


@internal
@pure
def _commitment(salt: bytes32, words: DynArray[uint256, MAX_WORDS]) -> bytes32:
    # Behind place and length, the ABI's form of a list is its words.
    data: Bytes[576] = abi_encode(words)
    return keccak256(concat(salt, slice(data, 64, 32 * len(words))))


@internal
@pure
def _decimal(number: uint64) -> Bytes[78]:
    assert number <= MAX_NUMBER, "holds: number is too large"
    return convert(uint2str(convert(number, uint256)), Bytes[78])


@internal
@pure
def _hex(token: bytes32) -> Bytes[64]:
    number: uint256 = convert(token, uint256)
    return concat(convert(self._digits(number >> 128), bytes32), convert(self._digits(number & (2**128 - 1)), bytes32))


@internal
@pure
def _digits(number: uint256) -> uint256:
    # 32 lower-case hex digits of a number below 2^128, as ASCII: its nibbles, one to a byte, all at once.
    n: uint256 = (number | (number << 64)) & SPREAD_64
    n = (n | (n << 32)) & SPREAD_32
    n = (n | (n << 16)) & SPREAD_16
    n = (n | (n << 8)) & SPREAD_8
    n = (n | (n << 4)) & SPREAD_4
    # A nibble from 10 on, and 6, carries into the next bit. Unchecked: no byte exceeds 15 + 48 + 39.
    letters: uint256 = (unsafe_add(n, unsafe_mul(ONES, 6)) >> 4) & ONES
    return unsafe_add(unsafe_add(n, unsafe_mul(ONES, 48)), unsafe_mul(letters, 39))
