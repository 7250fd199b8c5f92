# pragma version 0.4.3
# pragma evm-version cancun
# pragma optimize gas
"""
@title Members: who takes part, with which keys, and who writes which journal
@license Apache-2.0
@notice Parties decide about each other by votes: a member proposes, `threshold` distinct active
        members approve, the delay passes, anyone executes before the proposal expires.
@dev    * A party's id is SHA-256 of its did:key and never changes. It has one chain account (which
          votes), one journal, one writer account for that journal, and a history of card hashes.
        * At all times `threshold` is a majority of the active members and no more than them
          (n >= k and 2k > n). A vote that changes the number of active members says which threshold
          holds after it, and is refused where that would not fit.
        * A vote is counted when it is executed too: only approvals of parties that are still active
          count, and whenever approvals reach the threshold again the delay starts again. A proposal
          lapses when what it is about changed meanwhile.
        * A rotation by vote can be vetoed by the party's present account until the delay is over. A
          party may rotate by itself, at once. Against a stolen account the members suspend the party
          (no veto), or open a new epoch of its journal (no veto, visible for ever in both contracts).
        * A delay counts in seconds and in blocks, so that a halt of the chain cannot eat it.
        * No owner, no funds, no upgrade. Only hashes of parties, journals and cards; no names.
"""


struct Seat:
    party: bytes32
    account: address
    writer: address
    journal: bytes32
    card: bytes32


struct Party:
    account: address
    journal: bytes32
    card: bytes32
    standing: uint8
    place: uint256
    revision: uint64
    turns: uint64


struct Proposal:
    action: uint8
    status: uint8
    seat: Seat
    threshold: uint64
    proposer: bytes32
    mark: uint64
    expires_at: uint64
    approved_at: uint64
    approved_block: uint64
    approvals: uint256


event Proposed:
    number: indexed(uint64)
    action: indexed(uint8)
    party: indexed(bytes32)
    seat: Seat
    threshold: uint64
    proposer: bytes32
    expires_at: uint64


event Approved:
    number: indexed(uint64)
    party: indexed(bytes32)
    approvals: uint64
    threshold: uint64


event Vetoed:
    number: indexed(uint64)
    party: indexed(bytes32)


event Executed:
    number: indexed(uint64)
    action: indexed(uint8)


event Joined:
    party: indexed(bytes32)
    journal: indexed(bytes32)
    account: indexed(address)
    writer: address
    card: bytes32


event Left:
    party: indexed(bytes32)


event Suspended:
    party: indexed(bytes32)


event Reinstated:
    party: indexed(bytes32)


event Rotated:
    party: indexed(bytes32)
    account: indexed(address)
    writer: indexed(address)
    card: bytes32


event EpochOpened:
    party: indexed(bytes32)
    journal: indexed(bytes32)
    epoch: indexed(uint64)
    writer: address


event ThresholdChanged:
    old: uint64
    new: uint64


# What a proposal asks for.
JOIN: constant(uint8) = 1
LEAVE: constant(uint8) = 2
SUSPEND: constant(uint8) = 3
REINSTATE: constant(uint8) = 4
ROTATE: constant(uint8) = 5
OPEN_EPOCH: constant(uint8) = 6
SET_THRESHOLD: constant(uint8) = 7

# How a party stands; 0 is a stranger.
ACTIVE: constant(uint8) = 1
SUSPENDED: constant(uint8) = 2
GONE: constant(uint8) = 3

# How a proposal stands; 0 is none.
OPEN: constant(uint8) = 1
EXECUTED: constant(uint8) = 2
VETOED: constant(uint8) = 3

# One bit a party in `_active` and in a proposal's approvals. A party keeps its bit when it leaves.
MAX_PARTIES: constant(uint256) = 256
MAX_FOUNDERS: constant(uint256) = 64
# `Anchors` walks back over the epochs of a journal.
MAX_EPOCHS: constant(uint256) = 64
# Longer settings would be typing errors, and would freeze the membership.
MAX_LIFETIME_S: constant(uint64) = 366 * 24 * 3600
MAX_DELAY_BLOCKS: constant(uint64) = 10_000_000

# @notice Seconds between enough approvals and execution.
delay_s: public(immutable(uint64))
# @notice Blocks between enough approvals and execution.
delay_blocks: public(immutable(uint64))
# @notice Seconds that a proposal lives from the moment it is made.
lifetime_s: public(immutable(uint64))

# @notice How many active members must approve.
threshold: public(uint64)
# @notice How many proposals were made; they are numbered from 1.
proposal_count: public(uint64)

_parties: HashMap[bytes32, Party]
_ids: HashMap[uint256, bytes32]
_count: uint256
# Bit i is set when the party at place i is active.
_active: uint256
# Every account that ever was a party's own stays bound to that party.
_account_of: HashMap[address, bytes32]
_journal_of: HashMap[bytes32, bytes32]
# journal -> muted << 224 | epoch << 160 | writer. One word, because `Anchors` reads it at every anchor.
_writing: HashMap[bytes32, uint256]
_epoch_blocks: HashMap[bytes32, HashMap[uint64, uint64]]
_cards: HashMap[bytes32, HashMap[uint64, bytes32]]
_card_count: HashMap[bytes32, uint64]
_card_since: HashMap[bytes32, HashMap[bytes32, uint64]]
_proposals: HashMap[uint64, Proposal]

MUTED: constant(uint256) = 1 << 224
MASK_64: constant(uint256) = 2**64 - 1
MASK_160: constant(uint256) = 2**160 - 1


@deploy
def __init__(
    founders: DynArray[Seat, MAX_FOUNDERS],
    threshold_: uint64,
    delay_s_: uint64,
    delay_blocks_: uint64,
    lifetime_s_: uint64,
):
    """
    @notice Found the consortium. One founder with a threshold of 1 and no delay is a solo pilot.
    @dev    Emits `Joined` and `EpochOpened` for each founder, and `ThresholdChanged`.
    @param founders The first parties, all active.
    @param threshold_ How many active members must approve: a majority.
    @param delay_s_ Seconds between enough approvals and execution; 0 leaves no time for a veto.
    @param delay_blocks_ Blocks between enough approvals and execution.
    @param lifetime_s_ Seconds that a proposal lives; longer than the delay.
    """
    assert lifetime_s_ > delay_s_, "members: lifetime must exceed delay"
    assert lifetime_s_ <= MAX_LIFETIME_S, "members: lifetime too long"
    assert delay_blocks_ <= MAX_DELAY_BLOCKS, "members: delay too long"
    delay_s = delay_s_
    delay_blocks = delay_blocks_
    lifetime_s = lifetime_s_
    for seat: Seat in founders:
        self._check_join(seat)
        self._join(seat)
    self._set_threshold(threshold_)


@external
def propose_join(seat: Seat, threshold_: uint64) -> uint64:
    """
    @notice Propose a new member, or one that left and comes back with the same journal.
    @dev    An active member; it approves by proposing. Emits `Proposed` and `Approved`.
    @param seat The party with its account, writer, journal and card.
    @param threshold_ The threshold after it; 0 keeps the one there is.
    @return The proposal's number.
    """
    return self._propose(JOIN, seat, threshold_)


@external
def propose_leave(party_: bytes32, threshold_: uint64) -> uint64:
    """
    @notice Propose that a party leaves: it loses its vote and its writer; its history stays.
    @dev    An active member; it approves by proposing. Emits `Proposed` and `Approved`.
    @param party_ The party; it may be the proposer.
    @param threshold_ The threshold after it; 0 keeps the one there is.
    @return The proposal's number.
    """
    return self._propose(LEAVE, self._target(party_), threshold_)


@external
def propose_suspend(party_: bytes32, threshold_: uint64) -> uint64:
    """
    @notice Propose to suspend a party: it can neither vote, veto, rotate nor anchor.
    @dev    An active member; it approves by proposing. Emits `Proposed` and `Approved`.
    @param party_ The party.
    @param threshold_ The threshold after it; 0 keeps the one there is.
    @return The proposal's number.
    """
    return self._propose(SUSPEND, self._target(party_), threshold_)


@external
def propose_reinstate(party_: bytes32, threshold_: uint64) -> uint64:
    """
    @notice Propose to lift a party's suspension.
    @dev    An active member; it approves by proposing. Emits `Proposed` and `Approved`.
    @param party_ The party.
    @param threshold_ The threshold after it; 0 keeps the one there is.
    @return The proposal's number.
    """
    return self._propose(REINSTATE, self._target(party_), threshold_)


@external
def propose_rotation(party_: bytes32, account: address, writer_: address, card_: bytes32) -> uint64:
    """
    @notice Propose new keys for a party that lost its own. Its present account can veto.
    @dev    An active member; it approves by proposing. Emits `Proposed` and `Approved`. Lapses when
            the party's keys change meanwhile.
    @param party_ The party.
    @param account Its next account; the present one where it stays.
    @param writer_ The next writer of its journal; the present one where it stays.
    @param card_ Its next card; the present one where it stays.
    @return The proposal's number.
    """
    seat: Seat = Seat(
        party=party_, account=account, writer=writer_, journal=self._parties[party_].journal, card=card_
    )
    return self._propose(ROTATE, seat, 0)


@external
def propose_epoch(party_: bytes32, account: address, writer_: address, card_: bytes32) -> uint64:
    """
    @notice Propose a new epoch of a party's journal after a compromise, with new keys.
    @dev    An active member; it approves by proposing. Emits `Proposed` and `Approved`. Cannot be
            vetoed: the present account may be the one that was stolen.
    @param party_ The party.
    @param account Its next account; the present one where it stays.
    @param writer_ The next writer of its journal; the present one where it stays.
    @param card_ Its next card; the present one where it stays.
    @return The proposal's number.
    """
    seat: Seat = Seat(
        party=party_, account=account, writer=writer_, journal=self._parties[party_].journal, card=card_
    )
    return self._propose(OPEN_EPOCH, seat, 0)


@external
def propose_threshold(threshold_: uint64) -> uint64:
    """
    @notice Propose another threshold.
    @dev    An active member; it approves by proposing. Emits `Proposed` and `Approved`.
    @param threshold_ A majority of the active members, and no more than them.
    @return The proposal's number.
    """
    return self._propose(SET_THRESHOLD, empty(Seat), threshold_)


@external
def approve(number: uint64):
    """
    @notice Approve a proposal. When approvals of active members reach the threshold, the delay starts.
    @dev    An active member, once, before the proposal expires. Emits `Approved`.
    @param number The proposal.
    """
    voter: bytes32 = self._voter()
    self._check_open(number)
    self._approve(number, voter)


@external
def veto(number: uint64):
    """
    @notice Refuse a rotation of one's own keys that others proposed.
    @dev    The present account of the party concerned, while it is active, until the delay is over.
            Final. Emits `Vetoed`.
    @param number The proposal.
    """
    voter: bytes32 = self._voter()
    self._check_open(number)
    proposal: Proposal = self._proposals[number]
    assert proposal.action == ROTATE, "members: only a rotation can be vetoed"
    assert proposal.seat.party == voter, "members: not the party concerned"
    assert not self._delay_is_over(proposal), "members: too late to veto"
    self._proposals[number].status = VETOED
    log Vetoed(number=number, party=voter)


@external
def execute(number: uint64):
    """
    @notice Carry out a proposal that enough active members approved, after the delay, before it expires.
    @dev    Anyone. Emits `Executed` and the event of what was done.
    @param number The proposal.
    """
    self._check_open(number)
    proposal: Proposal = self._proposals[number]
    approvals: uint64 = self._weight(proposal.approvals & self._active)
    assert approvals >= self.threshold, "members: not enough approvals"
    # 0 when a threshold was lowered below what was approved before: the delay never started.
    assert proposal.approved_at != 0, "members: delay has not started"
    assert self._delay_is_over(proposal), "members: delay is not over"
    self._check_action(proposal)

    self._proposals[number].status = EXECUTED
    action: uint8 = proposal.action
    party: bytes32 = proposal.seat.party
    if action == JOIN:
        self._join(proposal.seat)
    elif action == LEAVE:
        self._set_standing(party, GONE)
        log Left(party=party)
    elif action == SUSPEND:
        self._set_standing(party, SUSPENDED)
        log Suspended(party=party)
    elif action == REINSTATE:
        self._set_standing(party, ACTIVE)
        log Reinstated(party=party)
    elif action == ROTATE:
        self._rotate(proposal.seat)
    elif action == OPEN_EPOCH:
        self._rotate(proposal.seat)
        self._open_epoch(proposal.seat)
    self._set_threshold(proposal.threshold)
    log Executed(number=number, action=action)


@external
def rotate(account: address, writer_: address, card_: bytes32):
    """
    @notice Change one's own keys, at once. Rotations that others proposed for this party lapse.
    @dev    An active member, for itself. Emits `Rotated`.
    @param account One's next account; the present one where it stays.
    @param writer_ The next writer of one's journal; the present one where it stays.
    @param card_ One's next card; the present one where it stays.
    """
    party: bytes32 = self._voter()
    seat: Seat = Seat(
        party=party, account=account, writer=writer_, journal=self._parties[party].journal, card=card_
    )
    self._check_keys(seat)
    self._rotate(seat)


@external
@view
def writer(journal: bytes32) -> address:
    """
    @notice The account that may anchor a journal now; empty when its party is suspended or left.
    @dev    Anyone.
    @param journal SHA-256 of the journal's origin.
    @return The writer.
    """
    return self._unpack(self._writing[journal])[0]


@external
@view
def writer_and_epoch(journal: bytes32) -> (address, uint64):
    """
    @notice The account that may anchor a journal now, and the journal's epoch.
    @dev    Anyone; `Anchors` asks at every anchor, so both stand in one word.
    @param journal SHA-256 of the journal's origin.
    @return The writer, empty when its party is suspended or left; the epoch, 0 for an unknown journal.
    """
    return self._unpack(self._writing[journal])


@external
@view
def epoch_since(journal: bytes32, epoch: uint64) -> uint64:
    """
    @notice The block in which an epoch of a journal was opened.
    @dev    Anyone.
    @param journal SHA-256 of the journal's origin.
    @param epoch Number of the epoch, from 1.
    @return The block; 0 for an epoch that was never opened.
    """
    return self._epoch_blocks[journal][epoch]


@external
@view
def party_of(journal: bytes32) -> bytes32:
    """
    @notice The party that keeps a journal; it stays known after the party left.
    @dev    Anyone.
    @param journal SHA-256 of the journal's origin.
    @return SHA-256 of the party's id; zero for an unknown journal.
    """
    return self._journal_of[journal]


@external
@view
def member(account: address) -> bytes32:
    """
    @notice The active party whose present account this is.
    @dev    Anyone.
    @param account An account.
    @return SHA-256 of the party's id; zero when the account has no vote.
    """
    party: bytes32 = self._account_of[account]
    if self._parties[party].standing != ACTIVE or self._parties[party].account != account:
        return empty(bytes32)
    return party


@external
@view
def party(id: bytes32) -> Party:
    """
    @notice What is known of a party: account, journal, card, standing and place; how often its keys
            were set (`revision`) and how often its standing changed (`turns`).
    @dev    Anyone. Standing is 0 stranger, 1 active, 2 suspended, 3 gone.
    @param id SHA-256 of the party's id.
    @return The party; all zero for a stranger.
    """
    return self._parties[id]


@external
@view
def card(id: bytes32) -> bytes32:
    """
    @notice A party's present card.
    @dev    Anyone.
    @param id SHA-256 of the party's id.
    @return SHA-256 of the card's bytes; zero for a stranger.
    """
    return self._parties[id].card


@external
@view
def card_count(id: bytes32) -> uint64:
    """
    @notice How many cards a party has had.
    @dev    Anyone.
    @param id SHA-256 of the party's id.
    @return The number of cards.
    """
    return self._card_count[id]


@external
@view
def card_at(id: bytes32, number: uint64) -> (bytes32, uint64):
    """
    @notice One card of a party's history.
    @dev    Anyone.
    @param id SHA-256 of the party's id.
    @param number Place of the card, from 0.
    @return SHA-256 of the card's bytes and the block from which it is valid; zero when there is none.
    """
    found: bytes32 = self._cards[id][number]
    return found, self._card_since[id][found]


@external
@view
def card_since(id: bytes32, card_: bytes32) -> uint64:
    """
    @notice The block from which a card is valid.
    @dev    Anyone.
    @param id SHA-256 of the party's id.
    @param card_ SHA-256 of the card's bytes.
    @return The block; 0 when the party never had this card here.
    """
    return self._card_since[id][card_]


@external
@view
def count() -> uint256:
    """
    @notice How many parties there ever were; `party_at` lists them.
    @dev    Anyone.
    @return The number of parties.
    """
    return self._count


@external
@view
def active_count() -> uint64:
    """
    @notice How many members are active: the n of k of n.
    @dev    Anyone.
    @return The number of active members.
    """
    return self._weight(self._active)


@external
@view
def party_at(place: uint256) -> bytes32:
    """
    @notice One party, in the order in which they first joined.
    @dev    Anyone.
    @param place From 0 to `count() - 1`.
    @return SHA-256 of the party's id; zero beyond the last.
    """
    return self._ids[place]


@external
@view
def proposal(number: uint64) -> Proposal:
    """
    @notice A proposal as it stands. Bit i of `approvals` is the party at place i.
    @dev    Anyone. Actions: 1 join, 2 leave, 3 suspend, 4 reinstate, 5 rotate, 6 open an epoch,
            7 set the threshold. Status: 0 none, 1 open, 2 executed, 3 vetoed. `mark` is what must not
            have changed when it is executed: revision, epoch or turns of the party.
    @param number The proposal, from 1.
    @return The proposal; all zero when there is none.
    """
    return self._proposals[number]


@internal
@view
def _unpack(word: uint256) -> (address, uint64):
    current: uint64 = convert((word >> 160) & MASK_64, uint64)
    if word & MUTED != 0:
        return empty(address), current
    return convert(convert(word & MASK_160, uint160), address), current


@internal
@view
def _voter() -> bytes32:
    id: bytes32 = self._account_of[msg.sender]
    assert (
        self._parties[id].standing == ACTIVE and self._parties[id].account == msg.sender
    ), "members: not an active member"
    return id


@internal
@view
def _target(id: bytes32) -> Seat:
    return Seat(
        party=id,
        account=empty(address),
        writer=empty(address),
        journal=self._parties[id].journal,
        card=empty(bytes32),
    )


@internal
@pure
def _weight(bits: uint256) -> uint64:
    rest: uint256 = bits
    total: uint64 = 0
    for _: uint256 in range(MAX_PARTIES):
        if rest == 0:
            break
        rest = rest & (rest - 1)
        total += 1
    return total


@internal
def _propose(action: uint8, seat: Seat, threshold_: uint64) -> uint64:
    voter: bytes32 = self._voter()
    made: Proposal = Proposal(
        action=action,
        status=OPEN,
        seat=seat,
        threshold=threshold_,
        proposer=voter,
        mark=self._mark(action, seat),
        expires_at=convert(block.timestamp, uint64) + lifetime_s,
        approved_at=0,
        approved_block=0,
        approvals=0,
    )
    # Refused here already, so that nobody waits out a delay for what cannot be done.
    self._check_action(made)
    number: uint64 = self.proposal_count + 1
    self.proposal_count = number
    self._proposals[number] = made
    log Proposed(
        number=number,
        action=action,
        party=seat.party,
        seat=seat,
        threshold=threshold_,
        proposer=voter,
        expires_at=made.expires_at,
    )
    self._approve(number, voter)
    return number


@internal
def _approve(number: uint64, voter: bytes32):
    approvals: uint256 = self._proposals[number].approvals
    bit: uint256 = 1 << self._parties[voter].place
    assert approvals & bit == 0, "members: already approved"
    before: uint64 = self._weight(approvals & self._active)
    # `voter` is active, so its bit counts.
    reached: uint64 = before + 1
    self._proposals[number].approvals = approvals | bit
    if reached >= self.threshold and (before < self.threshold or self._proposals[number].approved_at == 0):
        self._proposals[number].approved_at = convert(block.timestamp, uint64)
        self._proposals[number].approved_block = convert(block.number, uint64)
    log Approved(number=number, party=voter, approvals=reached, threshold=self.threshold)


@internal
@view
def _check_open(number: uint64):
    status: uint8 = self._proposals[number].status
    assert status != 0, "members: no such proposal"
    assert status != EXECUTED, "members: already executed"
    assert status != VETOED, "members: vetoed"
    expires_at: uint256 = convert(self._proposals[number].expires_at, uint256)
    assert block.timestamp <= expires_at, "members: proposal expired"


@internal
@view
def _delay_is_over(made: Proposal) -> bool:
    if made.approved_at == 0:
        return False
    return (
        block.timestamp >= convert(made.approved_at + delay_s, uint256)
        and block.number >= convert(made.approved_block + delay_blocks, uint256)
    )


@internal
@view
def _check_action(made: Proposal):
    action: uint8 = made.action
    seat: Seat = made.seat
    standing: uint8 = self._parties[seat.party].standing
    members: uint64 = self._weight(self._active)
    if action == JOIN:
        self._check_join(seat)
        members += 1
    elif action == SET_THRESHOLD:
        assert made.threshold != 0, "members: threshold must be a majority of the active members"
    else:
        assert standing == ACTIVE or standing == SUSPENDED, "members: not a member"
        if action == REINSTATE:
            assert standing == SUSPENDED, "members: not suspended"
            members += 1
        elif action == SUSPEND:
            assert standing == ACTIVE, "members: already suspended"
            members -= 1
        elif action == LEAVE:
            if standing == ACTIVE:
                members -= 1
        else:
            self._check_keys(seat)
            if action == OPEN_EPOCH:
                current: uint256 = (self._writing[seat.journal] >> 160) & MASK_64
                assert current < MAX_EPOCHS, "members: too many epochs"
    assert made.mark == self._mark(action, seat), "members: party changed meanwhile"
    after: uint64 = made.threshold
    if after == 0:
        after = self.threshold
    self._check_threshold(after, members)


@internal
@view
def _mark(action: uint8, seat: Seat) -> uint64:
    # What must not change between proposal and execution, so that an old vote does not act on what the
    # members did not see: keys for a rotation, the epoch for an epoch, the standing for the others. A
    # party's own rotation does not touch the last two: it could evade the vote otherwise.
    if action == ROTATE:
        return self._parties[seat.party].revision
    if action == OPEN_EPOCH:
        return self._unpack(self._writing[seat.journal])[1]
    if action == SET_THRESHOLD:
        return 0
    return self._parties[seat.party].turns


@internal
@view
def _check_threshold(k: uint64, n: uint64):
    assert k <= n, "members: threshold exceeds the active members"
    assert 2 * k > n, "members: threshold must be a majority of the active members"


@internal
@view
def _check_join(seat: Seat):
    known: Party = self._parties[seat.party]
    assert seat.party != empty(bytes32), "members: party must be given"
    assert seat.journal != empty(bytes32), "members: journal must be given"
    assert known.standing == 0 or known.standing == GONE, "members: already a member"
    keeper: bytes32 = self._journal_of[seat.journal]
    if known.standing == GONE:
        assert keeper == seat.party, "members: a party keeps its journal"
    else:
        assert keeper == empty(bytes32), "members: journal is taken"
        assert self._count < MAX_PARTIES, "members: too many parties"
    self._check_keys(seat)


@internal
@view
def _check_keys(seat: Seat):
    assert seat.account != empty(address), "members: account must be given"
    assert seat.writer != empty(address), "members: writer must be given"
    assert seat.card != empty(bytes32), "members: card must be given"
    holder: bytes32 = self._account_of[seat.account]
    assert holder == empty(bytes32) or holder == seat.party, "members: account is taken"
    assert (
        seat.card == self._parties[seat.party].card or self._card_since[seat.party][seat.card] == 0
    ), "members: an old card does not come back"


@internal
def _join(seat: Seat):
    returns: bool = self._parties[seat.party].standing == GONE
    if not returns:
        place: uint256 = self._count
        self._parties[seat.party].journal = seat.journal
        self._parties[seat.party].place = place
        self._ids[place] = seat.party
        self._count = place + 1
        self._journal_of[seat.journal] = seat.party
    self._set_keys(seat)
    log Joined(
        party=seat.party, journal=seat.journal, account=seat.account, writer=seat.writer, card=seat.card
    )
    if not returns:
        self._open_epoch(seat)
    self._set_standing(seat.party, ACTIVE)


@internal
def _rotate(seat: Seat):
    self._set_keys(seat)
    log Rotated(party=seat.party, account=seat.account, writer=seat.writer, card=seat.card)


@internal
def _set_keys(seat: Seat):
    self._account_of[seat.account] = seat.party
    self._parties[seat.party].account = seat.account
    self._parties[seat.party].revision += 1
    if seat.card != self._parties[seat.party].card:
        number: uint64 = self._card_count[seat.party]
        self._cards[seat.party][number] = seat.card
        self._card_count[seat.party] = number + 1
        self._card_since[seat.party][seat.card] = convert(block.number, uint64)
        self._parties[seat.party].card = seat.card
    word: uint256 = self._writing[seat.journal]
    self._writing[seat.journal] = (word & ~MASK_160) | convert(seat.writer, uint256)


@internal
def _open_epoch(seat: Seat):
    word: uint256 = self._writing[seat.journal]
    next: uint64 = convert((word >> 160) & MASK_64, uint64) + 1
    # Bits 160 to 223 hold the epoch; it is at most MAX_EPOCHS, so adding one cannot carry into MUTED.
    self._writing[seat.journal] = word + (1 << 160)
    self._epoch_blocks[seat.journal][next] = convert(block.number, uint64)
    log EpochOpened(party=seat.party, journal=seat.journal, epoch=next, writer=seat.writer)


@internal
def _set_standing(id: bytes32, standing: uint8):
    bit: uint256 = 1 << self._parties[id].place
    journal: bytes32 = self._parties[id].journal
    self._parties[id].standing = standing
    self._parties[id].turns += 1
    if standing == ACTIVE:
        self._active = self._active | bit
        self._writing[journal] = self._writing[journal] & ~MUTED
    else:
        self._active = self._active & ~bit
        self._writing[journal] = self._writing[journal] | MUTED


@internal
def _set_threshold(k: uint64):
    # 0 keeps the threshold that there is; `_check_action` saw that it fits. At the founding it is 0
    # already, so the check below refuses it.
    old: uint64 = self.threshold
    new: uint64 = k
    if new == 0:
        new = old
    self._check_threshold(new, self._weight(self._active))
    if new != old:
        self.threshold = new
        log ThresholdChanged(old=old, new=new)
