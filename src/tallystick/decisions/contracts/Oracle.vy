# pragma version 0.4.3
# pragma evm-version cancun
# pragma optimize gas
"""
@title Oracle: contracts and people ask a model, and see what the answer rests on
@license Apache-2.0
@notice A request names a model, a commitment to its input, an assurance level and a fee.
          L0 signed      one signer of the panel says so.
          L1 quorum      k of n signers say so, each bound before it could see another's answer.
          L2 optimistic  as L1, every signer bonded; for a window anybody who holds the input may have
                         this contract execute the model, which overturns a wrong answer at once.
          L4 executed    this contract executes the model.
        The level stands in every answer and event; the contract claims no more than it says.
@dev    Rules, and why each is there.
        * A panel is named by the hash of its content and never changes, and a request is named by the
          hash of its terms: nobody can swap the signers, the model or the input under a request.
        * A signer commits to the hash of its EIP-712 signature. Nobody else can compute a signature, so
          it is its own salt; whoever copies a commitment cannot open it, because what opens it must be
          signed by the copier. Signatures are taken only after the step for commitments is over (or all
          have committed), so none of them could be seen in time to be followed.
        * A signature is over chain, contract, request, model, input, output and level. The chain's id is
          read at each use, so that a fork with another id does not take signatures of the old one.
        * Every step and window ends when its seconds AND its blocks have passed: a halted chain eats
          neither, and neither does a burst of blocks.
        * The fee is cut by the number of the panel's signers, not of those whose signatures were handed
          in. The requester keeps the shares of those who never committed; the share of one who did and
          was left out is burned. So neither a signer nor the requester gains by leaving others out.
        * At L2 no commitment is taken before enough named watchers have said, by their own transactions,
          that they hold the opening of the input: a withheld input makes no answer, so no wrong one.
        * At L2 a signer's bond is locked as it commits, so whoever stands in an answer is bonded.
        * A challenge is committed to before it is shown. The commitment holds the right output, so a
          bystander who only sees that somebody challenges cannot join, nor copy what is shown later.
        * A wrong answer costs each of its signers the whole bond: a half to the requester, a quarter to
          the challenger, the rest burned. Were signers, requester and challenger one and the same, it
          would still lose that quarter: nobody gains by answering wrong and challenging himself.
        * A challenge that does not overturn loses its bond, all of it burned: were a part the signers',
          it would pay them to lure others into false challenges.
        * The executor is bound to the request when it is made; a model retired later takes no further
          answers, but an answer that was given stays challengeable.
        * An input that the model cannot score (a wrong number of words) has no right output, so no
          challenge can succeed: a watcher must not acknowledge such an opening, a signer not sign it.
        * The answer is delivered to the requester alone: nobody can make this contract call one that did
          not ask. Nothing the callback does (revert, eat its gas, answer with megabytes, call back in)
          changes the answer; there must be gas enough for the promised callback, or all is undone.
        * Money is paid out only to who asks for it by `withdraw`. This contract has no owner.
"""

interface ModelsView:
    def stage(model: bytes32) -> uint8: view
    def executor(model: bytes32) -> address: view

interface Executor:
    def answer(x: DynArray[uint256, 16]) -> int256: view


struct Request:
    requester: address
    model: bytes32
    input: bytes32
    level: uint256
    panel: bytes32
    fee: uint256
    callback_gas: uint256
    step_s: uint256
    step_blocks: uint256
    executor: address

struct Answer:
    status: uint256
    level: uint256
    output: int256
    final: bool
    overturned: bool
    challenged: bool
    delivery: uint256
    acknowledged: uint256
    committed: uint256
    signed: uint256
    until_s: uint256
    until_block: uint256
    deadline_s: uint256
    deadline_block: uint256


event PanelOpened:
    panel: indexed(bytes32)
    signers: DynArray[address, 32]
    need: uint8
    watchers: DynArray[address, 16]
    watch_need: uint8
    bond: uint96
    window_s: uint32
    window_blocks: uint32

event Deposited:
    account: indexed(address)
    amount: uint256

event Withdrawn:
    account: indexed(address)
    amount: uint256

event Requested:
    request: indexed(bytes32)
    model: indexed(bytes32)
    requester: indexed(address)
    input: bytes32
    level: uint8
    panel: bytes32
    fee: uint256
    until_s: uint256
    until_block: uint256

event Acknowledged:
    request: indexed(bytes32)
    watcher: indexed(address)

event Opened:
    request: indexed(bytes32)
    until_s: uint256
    until_block: uint256

event Committed:
    request: indexed(bytes32)
    signer: indexed(address)
    commitment: bytes32

event Answered:
    request: indexed(bytes32)
    model: indexed(bytes32)
    input: bytes32
    output: int256
    level: uint8
    signed: uint256
    until_s: uint256
    until_block: uint256

event ChallengeCommitted:
    request: indexed(bytes32)
    challenger: indexed(address)
    commitment: bytes32

event Overturned:
    request: indexed(bytes32)
    challenger: indexed(address)
    was: int256
    output: int256

event Finalised:
    request: indexed(bytes32)
    output: int256
    level: uint8
    overturned: bool

event CalledBack:
    request: indexed(bytes32)
    delivered: bool

event Refunded:
    request: indexed(bytes32)
    requester: indexed(address)
    amount: uint256

event Collected:
    request: indexed(bytes32)
    signer: indexed(address)
    amount: uint256
    slashed: uint256

event ChallengeReleased:
    request: indexed(bytes32)
    challenger: indexed(address)
    burned: uint256


MAX_SIGNERS: constant(uint256) = 32
MAX_WATCHERS: constant(uint256) = 16
MAX_WORDS: constant(uint256) = 16
# What an answer's transaction must be able to carry beside everything else.
MAX_CALLBACK_GAS: constant(uint256) = 2_000_000
# 30 days, and as many blocks of ten seconds: bonds of an L2 request wait no longer for its answer than this twice.
MAX_STEP_S: constant(uint256) = 2_592_000
MAX_STEP_BLOCKS: constant(uint256) = 250_000
# Around a callback: to reach a cold account, to write what became of it and to tell it.
CALLBACK_MARGIN: constant(uint256) = 20_000

# Levels
SIGNED: constant(uint256) = 0
QUORUM: constant(uint256) = 1
OPTIMISTIC: constant(uint256) = 2
EXECUTED: constant(uint256) = 4

# Stages of a model, as `Models` numbers them
PUBLISHED: constant(uint8) = 1
PROMOTED: constant(uint8) = 2
RETIRED: constant(uint8) = 3

# Where a request stands
WAITING: constant(uint256) = 1
OPEN: constant(uint256) = 2
ANSWERED: constant(uint256) = 3
FINAL: constant(uint256) = 4
REFUNDED: constant(uint256) = 5

# What has become of a request
OVERTURNED: constant(uint256) = 1
CHALLENGED: constant(uint256) = 2
DELIVERED: constant(uint256) = 4
UNDELIVERED: constant(uint256) = 8

MASK_8: constant(uint256) = 2**8 - 1
MASK_16: constant(uint256) = 2**16 - 1
MASK_32: constant(uint256) = 2**32 - 1
MASK_40: constant(uint256) = 2**40 - 1
MASK_96: constant(uint256) = 2**96 - 1
MASK_128: constant(uint256) = 2**128 - 1
MASK_160: constant(uint256) = 2**160 - 1

# EIP-2: of the two s that fit a signature only the lower one counts:
# 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0.
HALF_ORDER: constant(uint256) = 57896044618658097711785492504343953926418782139537452191302581570759080747168
DOMAIN_TYPE: constant(bytes32) = keccak256(
    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
)
NAME_HASH: constant(bytes32) = keccak256("Tallystick Oracle")
VERSION_HASH: constant(bytes32) = keccak256("1")
ANSWER_TYPE: constant(bytes32) = keccak256(
    "Answer(bytes32 request,bytes32 model,bytes32 input,int256 output,uint8 level)"
)

# @notice The contract that says what stage a model is in, and what executes it.
models: public(immutable(address))

# @notice Wei that stand here for ever: no function pays them out.
burned: public(uint256)

# account -> locked << 128 | free
_accounts: HashMap[address, uint256]

# panel -> window_blocks << 160 | window_s << 128 | watch_need << 120 | need << 112 | watchers << 104
#          | signers << 96 | bond
_panels: HashMap[bytes32, uint256]
_signers: HashMap[bytes32, address[MAX_SIGNERS]]
_watchers: HashMap[bytes32, address[MAX_WATCHERS]]

# Of a request, what never changes: the panel's numbers too, so that an answer need not read the panel.
_model: HashMap[bytes32, bytes32]
_input: HashMap[bytes32, bytes32]
_panel: HashMap[bytes32, bytes32]
# watch_need << 216 | need << 208 | signers << 200 | level << 192 | callback_gas << 160 | requester
_terms: HashMap[bytes32, uint256]
# Of a request, what a step changes: acknowledged << 240 | until_block << 200 | until_s << 160
# | step_blocks << 128 | step_s << 96 | fee
_steps: HashMap[bytes32, uint256]
# flags << 232 | status << 224 | signed << 192 | committed << 160 | agent, where the agent is the executor
# until a challenge has won, and the challenger from then on: no further execution can follow.
_progress: HashMap[bytes32, uint256]
_output: HashMap[bytes32, int256]
_commitments: HashMap[bytes32, bytes32[MAX_SIGNERS]]
# request -> challenger -> upper 216 bits of the commitment << 40 | block
_challenges: HashMap[bytes32, HashMap[address, uint256]]


@deploy
def __init__(models_: address):
    """
    @notice Bind the oracle to one `Models` contract, for ever.
    @param models_ Address of `Models`; it must hold code.
    """
    assert models_.is_contract, "oracle: models is not a contract"
    models = models_


@external
@nonreentrant
def open_panel(
    signers: DynArray[address, MAX_SIGNERS],
    need: uint8,
    watchers: DynArray[address, MAX_WATCHERS],
    watch_need: uint8,
    bond: uint96,
    window_s: uint32,
    window_blocks: uint32,
) -> bytes32:
    """
    @notice Open a panel; who asks chooses it by its id.
    @dev    Anyone, once for each content. Emits `PanelOpened`. A panel without bond, watchers or window
            serves L0 and L1 only.
    @param signers 1 to 32 accounts in ascending order.
    @param need How many of them must answer alike, at L1 and L2.
    @param watchers Up to 16 accounts in ascending order, none of them a signer.
    @param watch_need How many of them must hold the input before an L2 answer.
    @param bond Wei that each signer, and each challenger, puts at stake at L2.
    @param window_s Least seconds in which an L2 answer can be challenged.
    @param window_blocks Least blocks of the same. After a halt these are all that is left: choose enough.
    @return The panel's id, the hash of all this.
    """
    assert 1 <= need and convert(need, uint256) <= len(signers), "oracle: need does not fit"
    assert convert(watch_need, uint256) <= len(watchers), "oracle: watch_need does not fit"
    panel: bytes32 = keccak256(
        abi_encode(signers, need, watchers, watch_need, bond, window_s, window_blocks)
    )
    assert self._panels[panel] == 0, "oracle: panel exists"

    last: address = empty(address)
    seat: uint256 = 0
    for signer: address in signers:
        assert convert(signer, uint256) > convert(last, uint256), "oracle: signers not ascending"
        self._signers[panel][seat] = signer
        seat += 1
        last = signer
    last = empty(address)
    seat = 0
    for watcher: address in watchers:
        assert convert(watcher, uint256) > convert(last, uint256), "oracle: watchers not ascending"
        # Who answers does not vouch for having watched itself.
        assert watcher not in signers, "oracle: a watcher signs"
        self._watchers[panel][seat] = watcher
        seat += 1
        last = watcher

    self._panels[panel] = (
        (convert(window_blocks, uint256) << 160)
        | (convert(window_s, uint256) << 128)
        | (convert(watch_need, uint256) << 120)
        | (convert(need, uint256) << 112)
        | (len(watchers) << 104)
        | (len(signers) << 96)
        | convert(bond, uint256)
    )
    log PanelOpened(
        panel=panel,
        signers=signers,
        need=need,
        watchers=watchers,
        watch_need=watch_need,
        bond=bond,
        window_s=window_s,
        window_blocks=window_blocks,
    )
    return panel


@external
@payable
@nonreentrant
def deposit():
    """
    @notice Put money into the sender's account here, for bonds.
    @dev    Anyone. Emits `Deposited`.
    """
    self._credit(msg.sender, msg.value)
    log Deposited(account=msg.sender, amount=msg.value)


@external
@nonreentrant
def withdraw(amount: uint256):
    """
    @notice Pay free money out to the sender.
    @dev    Anyone, of its own account. Emits `Withdrawn`.
    @param amount Wei.
    """
    held: uint256 = self._accounts[msg.sender]
    assert amount <= held & MASK_128, "oracle: not enough free money"
    self._accounts[msg.sender] = held - amount
    log Withdrawn(account=msg.sender, amount=amount)
    raw_call(msg.sender, b"", value=amount)


@external
@payable
@nonreentrant
def request(
    model: bytes32,
    input: bytes32,
    level: uint8,
    panel: bytes32,
    step_s: uint32,
    step_blocks: uint32,
    callback_gas: uint32,
    unpromoted: bool,
) -> bytes32:
    """
    @notice Ask a model. The value sent is the fee.
    @dev    Anyone, but not from within a callback: while this contract calls, nothing here changes.
            Emits `Requested`. The same terms can be asked once: a salt is for one request.
    @param model Its hash; it must be promoted, or published where `unpromoted` says that this will do.
    @param input keccak256(salt || words) of the packed input.
    @param level 0, 1, 2 or 4.
    @param panel Who answers; zero for level 4.
    @param step_s Least seconds of each step: acknowledging (L2), committing (L1, L2), answering; <= 30 days.
    @param step_blocks Least blocks of the same; <= 250,000.
    @param callback_gas Gas for the sender's `on_answer(bytes32,int256,uint8)`; 0 for no callback.
    @param unpromoted Accept a model that is published, but not promoted.
    @return The request's id, the hash of all this, the sender, this contract and its chain.
    """
    stage: uint8 = staticcall ModelsView(models).stage(model)
    assert stage != 0, "oracle: unknown model"
    assert stage != RETIRED, "oracle: model is retired"
    assert stage == PROMOTED or (stage == PUBLISHED and unpromoted), "oracle: model is not promoted"
    assert input != empty(bytes32), "oracle: no input commitment"
    assert step_s != 0 and step_blocks != 0, "oracle: a step takes time and blocks"
    assert convert(step_s, uint256) <= MAX_STEP_S, "oracle: step too long"
    assert convert(step_blocks, uint256) <= MAX_STEP_BLOCKS, "oracle: step too long"
    assert msg.value <= MASK_96, "oracle: fee too large"
    assert convert(callback_gas, uint256) <= MAX_CALLBACK_GAS, "oracle: too much callback gas"
    assert callback_gas == 0 or msg.sender.is_contract, "oracle: nobody to call back"
    executor: address = staticcall ModelsView(models).executor(model)
    numbers: uint256 = self._checked_level(convert(level, uint256), panel, executor)

    id: bytes32 = keccak256(
        abi_encode(
            chain.id,
            self,
            msg.sender,
            model,
            input,
            level,
            panel,
            step_s,
            step_blocks,
            callback_gas,
            unpromoted,
            msg.value,
        )
    )
    assert self._terms[id] == 0, "oracle: request exists"
    self._model[id] = model
    self._input[id] = input
    if panel != empty(bytes32):
        self._panel[id] = panel
    self._terms[id] = (
        (((numbers >> 120) & MASK_8) << 216)
        | (((numbers >> 112) & MASK_8) << 208)
        | (((numbers >> 96) & MASK_8) << 200)
        | (convert(level, uint256) << 192)
        | (convert(callback_gas, uint256) << 160)
        | convert(msg.sender, uint256)
    )
    until_s: uint256 = block.timestamp + convert(step_s, uint256)
    until_block: uint256 = block.number + convert(step_blocks, uint256)
    self._steps[id] = (
        (until_block << 200)
        | (until_s << 160)
        | (convert(step_blocks, uint256) << 128)
        | (convert(step_s, uint256) << 96)
        | msg.value
    )
    status: uint256 = OPEN
    if convert(level, uint256) == OPTIMISTIC:
        status = WAITING
    self._progress[id] = (status << 224) | convert(executor, uint256)
    log Requested(
        request=id,
        model=model,
        requester=msg.sender,
        input=input,
        level=level,
        panel=panel,
        fee=msg.value,
        until_s=until_s,
        until_block=until_block,
    )
    return id


@external
@nonreentrant
def acknowledge(request: bytes32, seat: uint8):
    """
    @notice Say that one holds the opening of an L2 request's input, and that its model can score it.
    @dev    A watcher named by the panel, once, in time. Emits `Acknowledged`, and `Opened` as enough have.
    @param request The request's id.
    @param seat The sender's place among the panel's watchers.
    """
    progress: uint256 = self._progress[request]
    steps: uint256 = self._steps[request]
    assert (progress >> 224) & MASK_8 == WAITING, "oracle: not waiting for watchers"
    assert not self._is_over(steps), "oracle: too late to acknowledge"
    assert convert(seat, uint256) < MAX_WATCHERS, "oracle: not the watcher"
    assert self._watchers[self._panel[request]][seat] == msg.sender, "oracle: not the watcher"
    bit: uint256 = 1 << (240 + convert(seat, uint256))
    assert steps & bit == 0, "oracle: already acknowledged"
    steps |= bit
    log Acknowledged(request=request, watcher=msg.sender)

    if self._count(steps >> 240) >= (self._terms[request] >> 216) & MASK_8:
        # The step for commitments starts here: late watchers take no time from the signers.
        until_s: uint256 = block.timestamp + ((steps >> 96) & MASK_32)
        until_block: uint256 = block.number + ((steps >> 128) & MASK_32)
        steps = self._with_until(steps, until_s, until_block)
        self._progress[request] = self._with_status(progress, OPEN)
        log Opened(request=request, until_s=until_s, until_block=until_block)
    self._steps[request] = steps


@external
@nonreentrant
def commit(request: bytes32, seat: uint8, commitment: bytes32):
    """
    @notice Commit to the signature of an answer, unseen. At L2 it locks the panel's bond.
    @dev    A signer of the panel, once, in the step for commitments. Emits `Committed`.
    @param request The id of an L1 or L2 request.
    @param seat The sender's place among the panel's signers.
    @param commitment keccak256(r || s || v) of its signature over the answer's digest, v being 27 or 28.
    """
    progress: uint256 = self._progress[request]
    terms: uint256 = self._terms[request]
    level: uint256 = (terms >> 192) & MASK_8
    assert (progress >> 224) & MASK_8 == OPEN, "oracle: not open"
    assert level == QUORUM or level == OPTIMISTIC, "oracle: level takes no commitment"
    assert not self._is_over(self._steps[request]), "oracle: too late to commit"
    panel: bytes32 = self._panel[request]
    assert convert(seat, uint256) < MAX_SIGNERS, "oracle: not the signer"
    assert self._signers[panel][seat] == msg.sender, "oracle: not the signer"
    bit: uint256 = 1 << (160 + convert(seat, uint256))
    assert progress & bit == 0, "oracle: already committed"
    assert commitment != empty(bytes32), "oracle: commitment is empty"
    if level == OPTIMISTIC:
        self._lock(msg.sender, self._panels[panel] & MASK_96)
    self._commitments[request][seat] = commitment
    self._progress[request] = progress | bit
    log Committed(request=request, signer=msg.sender, commitment=commitment)


@external
@nonreentrant
def answer(request: bytes32, output: int256, mask: uint32, signatures: DynArray[uint256[2], MAX_SIGNERS]):
    """
    @notice Answer a request of level 0, 1 or 2 with the signers' signatures.
    @dev    Anyone who was given them; the fee is the signers'. Not before the step for commitments is over
            or all have committed, not after the step for the answer. At L0 and L1 the answer is final and
            the callback runs here; at L2 the window starts. Emits `Answered`; at L0 and L1 also
            `Finalised`, and `CalledBack` where a callback was asked for.
    @param request The request's id.
    @param output What they signed.
    @param mask The seats whose signatures follow, as bits.
    @param signatures In the order of the seats: r, and s with v - 27 in its top bit (EIP-2098).
    """
    terms: uint256 = self._terms[request]
    steps: uint256 = self._steps[request]
    progress: uint256 = self._progress[request]
    level: uint256 = (terms >> 192) & MASK_8
    signed: uint256 = convert(mask, uint256)
    assert (progress >> 224) & MASK_8 == OPEN, "oracle: not open"
    assert level != EXECUTED, "oracle: level takes no signature"
    # A seat that nobody has holds the empty account, which is also what a false signature recovers to.
    assert signed >> ((terms >> 200) & MASK_8) == 0, "oracle: no such seat"
    deadline_s: uint256 = 0
    deadline_block: uint256 = 0
    deadline_s, deadline_block = self._deadline(level, OPEN, steps)
    assert block.timestamp <= deadline_s or block.number <= deadline_block, "oracle: too late to answer"
    if level == SIGNED:
        assert len(signatures) == 1, "oracle: one signature at L0"
    else:
        assert len(signatures) >= (terms >> 208) & MASK_8, "oracle: too few signatures"
        everybody: uint256 = (1 << ((terms >> 200) & MASK_8)) - 1
        assert (progress >> 160) & MASK_32 == everybody or self._is_over(steps), "oracle: commitments still open"
    model: bytes32 = self._model[request]
    input: bytes32 = self._input[request]
    assert staticcall ModelsView(models).stage(model) != RETIRED, "oracle: model is retired"
    digest: bytes32 = self._digest(request, model, input, output, level)
    panel: bytes32 = self._panel[request]
    self._check_signatures(request, panel, level, digest, signed, signatures)

    progress |= signed << 192
    until_s: uint256 = 0
    until_block: uint256 = 0
    if level == OPTIMISTIC:
        numbers: uint256 = self._panels[panel]
        until_s = block.timestamp + ((numbers >> 128) & MASK_32)
        until_block = block.number + ((numbers >> 160) & MASK_32)
        self._steps[request] = self._with_until(steps, until_s, until_block)
        self._progress[request] = self._with_status(progress, ANSWERED)
    elif level == SIGNED:
        # There was nothing to commit to; the bit says that the fee is still to be collected.
        progress |= signed << 160
    self._output[request] = output
    log Answered(
        request=request,
        model=model,
        input=input,
        output=output,
        level=convert(level, uint8),
        signed=signed,
        until_s=until_s,
        until_block=until_block,
    )
    if level != OPTIMISTIC:
        self._close(request, terms, progress, output, self._left_over(terms, steps, progress))


@external
@nonreentrant
def execute(request: bytes32, words: DynArray[uint256, MAX_WORDS], salt: bytes32):
    """
    @notice Answer an L4 request: this contract executes the model, and everybody sees the input.
    @dev    Anyone who holds the opening, in time; the sender earns the fee. Whoever copies the transaction
            and comes first does the same work for the requester. Emits `Answered`, `Finalised`, and
            `CalledBack` where a callback was asked for.
    @param request The request's id.
    @param words The packed input.
    @param salt Of the input's commitment.
    """
    terms: uint256 = self._terms[request]
    steps: uint256 = self._steps[request]
    progress: uint256 = self._progress[request]
    assert (progress >> 224) & MASK_8 == OPEN, "oracle: not open"
    assert (terms >> 192) & MASK_8 == EXECUTED, "oracle: level is not executed"
    assert not self._is_over(steps), "oracle: too late to answer"
    model: bytes32 = self._model[request]
    input: bytes32 = self._input[request]
    assert staticcall ModelsView(models).stage(model) != RETIRED, "oracle: model is retired"
    assert self._commitment(salt, words) == input, "oracle: not the input"
    output: int256 = staticcall Executor(convert(convert(progress & MASK_160, uint160), address)).answer(words)
    self._output[request] = output
    self._credit(msg.sender, steps & MASK_96)
    log Answered(
        request=request,
        model=model,
        input=input,
        output=output,
        level=convert(EXECUTED, uint8),
        signed=0,
        until_s=0,
        until_block=0,
    )
    self._close(request, terms, progress, output, 0)


@external
@nonreentrant
def commit_challenge(request: bytes32, commitment: bytes32):
    """
    @notice Commit to a challenge of an L2 answer; locks one bond of the panel.
    @dev    Anyone with a bond free, once for each request, within the window. Emits `ChallengeCommitted`.
    @param request The request's id.
    @param commitment keccak256(request || challenger as a word || right output || salt).
    """
    progress: uint256 = self._progress[request]
    assert self._is_challengeable(progress), "oracle: no answer to challenge"
    assert not self._is_over(self._steps[request]), "oracle: too late to challenge"
    assert self._challenges[request][msg.sender] == 0, "oracle: already challenged"
    self._lock(msg.sender, self._panels[self._panel[request]] & MASK_96)
    # 216 bits of the hash are enough to bind, and the block fits into the same word.
    self._challenges[request][msg.sender] = (convert(commitment, uint256) >> 40 << 40) | block.number
    if progress & (CHALLENGED << 232) == 0:
        self._progress[request] = progress | (CHALLENGED << 232)
    log ChallengeCommitted(request=request, challenger=msg.sender, commitment=commitment)


@external
@nonreentrant
def challenge(request: bytes32, words: DynArray[uint256, MAX_WORDS], input_salt: bytes32, salt: bytes32):
    """
    @notice Show the input: this contract executes the model and overturns a wrong answer, for good.
    @dev    Who committed to it at least one block before, until somebody finalises, which nobody can before
            the window and as much again are over. Reverts where the answer was right. The challenger's bond
            is free at once; `collect` moves the signers'. Emits `Overturned`.
    @param request The request's id.
    @param words The packed input.
    @param input_salt Of the input's commitment.
    @param salt Of the challenge's commitment.
    """
    progress: uint256 = self._progress[request]
    assert self._is_challengeable(progress), "oracle: no answer to challenge"
    committed: uint256 = self._challenges[request][msg.sender]
    assert committed != 0, "oracle: no challenge committed"
    # In one block the order is the block maker's: a copy could still be put before what it copies.
    assert block.number > committed & MASK_40, "oracle: challenge too early"
    assert self._commitment(input_salt, words) == self._input[request], "oracle: not the input"
    output: int256 = staticcall Executor(convert(convert(progress & MASK_160, uint160), address)).answer(words)
    was: int256 = self._output[request]
    assert output != was, "oracle: the answer stands"
    bound: bytes32 = keccak256(abi_encode(request, msg.sender, output, salt))
    assert convert(bound, uint256) >> 40 == committed >> 40, "oracle: not what was committed"

    self._output[request] = output
    self._progress[request] = (
        (progress >> 160 << 160) | (OVERTURNED << 232) | convert(msg.sender, uint256)
    )
    self._challenges[request][msg.sender] = 0
    self._release(msg.sender, self._panels[self._panel[request]] & MASK_96, 0)
    log Overturned(request=request, challenger=msg.sender, was=was, output=output)


@external
@nonreentrant
def finalise(request: bytes32):
    """
    @notice End an L2 request: when its window is over, or as soon as its answer is overturned.
    @dev    Anyone. Where somebody committed to a challenge the window is twice as long, so that it can be
            shown. The callback runs here. Emits `Finalised`, and `CalledBack` where one was asked for.
    @param request The request's id.
    """
    terms: uint256 = self._terms[request]
    steps: uint256 = self._steps[request]
    progress: uint256 = self._progress[request]
    assert (progress >> 224) & MASK_8 == ANSWERED, "oracle: nothing to finalise"
    over: uint256 = steps & MASK_96
    if progress & (OVERTURNED << 232) == 0:
        until_s: uint256 = 0
        until_block: uint256 = 0
        until_s, until_block = self._window_end(request, steps, progress)
        assert block.timestamp > until_s and block.number > until_block, "oracle: the window still runs"
        over = self._left_over(terms, steps, progress)
    self._close(request, terms, progress, self._output[request], over)


@external
@nonreentrant
def refund(request: bytes32):
    """
    @notice End a request that was not answered in time; the fee goes back to the requester's account.
    @dev    Anyone. Emits `Refunded`. Signers take their bonds back by `collect`.
    @param request The request's id.
    """
    terms: uint256 = self._terms[request]
    steps: uint256 = self._steps[request]
    progress: uint256 = self._progress[request]
    status: uint256 = (progress >> 224) & MASK_8
    assert status == WAITING or status == OPEN, "oracle: nothing to refund"
    deadline_s: uint256 = 0
    deadline_block: uint256 = 0
    deadline_s, deadline_block = self._deadline((terms >> 192) & MASK_8, status, steps)
    assert block.timestamp > deadline_s and block.number > deadline_block, "oracle: too early to refund"
    self._progress[request] = self._with_status(progress, REFUNDED)
    requester: address = convert(convert(terms & MASK_160, uint160), address)
    self._credit(requester, steps & MASK_96)
    log Refunded(request=request, requester=requester, amount=steps & MASK_96)


@external
@nonreentrant
def retry_callback(request: bytes32):
    """
    @notice Run a callback that failed again, with at least the promised gas and all that the sender gives.
    @dev    Anyone. Reverts where it fails again. Emits `CalledBack`.
    @param request The request's id.
    """
    terms: uint256 = self._terms[request]
    progress: uint256 = self._progress[request]
    assert progress & (UNDELIVERED << 232) != 0, "oracle: no callback to retry"
    self._progress[request] = progress ^ ((UNDELIVERED | DELIVERED) << 232)
    output: int256 = self._output[request]
    assert msg.gas >= self._least_gas(terms), "oracle: too little gas for callback"
    assert self._call_back(request, terms, output, msg.gas), "oracle: callback failed again"
    log CalledBack(request=request, delivered=True)


@external
@nonreentrant
def collect(request: bytes32, seats: DynArray[uint8, MAX_SIGNERS]):
    """
    @notice Settle signers of a request that has ended: shares of the fee, bonds back, or bonds lost.
    @dev    Anyone, for any signers that have committed (L0: signed), once each. Emits `Collected` for each.
    @param request The request's id.
    @param seats The signers' places in the panel.
    """
    terms: uint256 = self._terms[request]
    progress: uint256 = self._progress[request]
    status: uint256 = (progress >> 224) & MASK_8
    assert status == FINAL or status == REFUNDED, "oracle: not settled yet"
    panel: bytes32 = self._panel[request]
    level: uint256 = (terms >> 192) & MASK_8
    bond: uint256 = 0
    if level == OPTIMISTIC:
        bond = self._panels[panel] & MASK_96
    share: uint256 = self._share(terms, self._steps[request])
    lost: uint256 = 0
    for seat: uint8 in seats:
        assert convert(seat, uint256) < MAX_SIGNERS, "oracle: nothing to collect"
        bit: uint256 = 1 << (160 + convert(seat, uint256))
        assert progress & bit != 0, "oracle: nothing to collect"
        progress ^= bit
        signer: address = self._signers[panel][seat]
        amount: uint256 = 0
        slashed: uint256 = 0
        if progress & (bit << 32) != 0:
            if progress & (OVERTURNED << 232) != 0:
                slashed = bond
                lost += bond
            else:
                amount = share
        self._release(signer, bond - slashed, amount)
        if slashed != 0:
            self._forfeit(signer, slashed)
        log Collected(request=request, signer=signer, amount=amount, slashed=slashed)
    self._progress[request] = progress
    if lost != 0:
        # The part that is burned is what makes it dear to be signer, requester and challenger at once.
        reward: uint256 = lost // 4
        compensation: uint256 = lost // 2
        self._credit(convert(convert(progress & MASK_160, uint160), address), reward)
        self._credit(convert(convert(terms & MASK_160, uint160), address), compensation)
        self.burned += lost - reward - compensation


@external
@nonreentrant
def release_challenge(request: bytes32, challenger: address):
    """
    @notice Settle the bond of a challenge that was not shown: free where the answer was overturned by
            another, burned where it stood.
    @dev    Anyone, for any challenger, after the end. Emits `ChallengeReleased`.
    @param request The request's id.
    @param challenger The account that committed.
    """
    assert self._challenges[request][challenger] != 0, "oracle: no challenge committed"
    progress: uint256 = self._progress[request]
    bond: uint256 = self._panels[self._panel[request]] & MASK_96
    self._challenges[request][challenger] = 0
    lost: uint256 = 0
    if progress & (OVERTURNED << 232) == 0:
        assert (progress >> 224) & MASK_8 == FINAL, "oracle: not settled yet"
        lost = bond
        self._forfeit(challenger, bond)
        self.burned += bond
    else:
        self._release(challenger, bond, 0)
    log ChallengeReleased(request=request, challenger=challenger, burned=lost)


@external
@view
def ask(model: bytes32, words: DynArray[uint256, MAX_WORDS]) -> int256:
    """
    @notice Execute a promoted model at once, without a request (L4).
    @dev    Anyone. Whoever reads the chain sees the input. Emits nothing.
    @param model Its hash.
    @param words The packed input.
    @return The score, or the number of the label.
    """
    assert staticcall ModelsView(models).stage(model) == PROMOTED, "oracle: model is not promoted"
    executor: address = staticcall ModelsView(models).executor(model)
    assert executor != empty(address), "oracle: model has no executor"
    return staticcall Executor(executor).answer(words)


@external
@view
def account(account: address) -> (uint256, uint256):
    """
    @notice Money of an account here.
    @dev    Anyone.
    @param account Whose.
    @return Wei that are free, and wei that are locked in requests not settled yet.
    """
    held: uint256 = self._accounts[account]
    return held & MASK_128, held >> 128


@external
@view
def panel(
    panel: bytes32,
) -> (DynArray[address, MAX_SIGNERS], uint256, DynArray[address, MAX_WATCHERS], uint256, uint256, uint256, uint256):
    """
    @notice A panel's content.
    @dev    Anyone. No signers where nobody opened it.
    @param panel Its id.
    @return Signers, need, watchers, watch_need, bond, window_s, window_blocks.
    """
    numbers: uint256 = self._panels[panel]
    signers: DynArray[address, MAX_SIGNERS] = []
    watchers: DynArray[address, MAX_WATCHERS] = []
    for seat: uint256 in range((numbers >> 96) & MASK_8, bound=MAX_SIGNERS):
        signers.append(self._signers[panel][seat])
    for seat: uint256 in range((numbers >> 104) & MASK_8, bound=MAX_WATCHERS):
        watchers.append(self._watchers[panel][seat])
    return (
        signers,
        (numbers >> 112) & MASK_8,
        watchers,
        (numbers >> 120) & MASK_8,
        numbers & MASK_96,
        (numbers >> 128) & MASK_32,
        (numbers >> 160) & MASK_32,
    )


@external
@view
def request_of(request: bytes32) -> Request:
    """
    @notice A request's terms.
    @dev    Anyone. All zero for an unknown one. The executor reads zero once the answer is overturned.
    @param request Its id.
    @return The terms.
    """
    terms: uint256 = self._terms[request]
    steps: uint256 = self._steps[request]
    progress: uint256 = self._progress[request]
    executor: uint256 = progress & MASK_160
    if progress & (OVERTURNED << 232) != 0:
        executor = 0
    return Request(
        requester=convert(convert(terms & MASK_160, uint160), address),
        model=self._model[request],
        input=self._input[request],
        level=(terms >> 192) & MASK_8,
        panel=self._panel[request],
        fee=steps & MASK_96,
        callback_gas=(terms >> 160) & MASK_32,
        step_s=(steps >> 96) & MASK_32,
        step_blocks=(steps >> 128) & MASK_32,
        executor=convert(convert(executor, uint160), address),
    )


@external
@view
def answer_of(request: bytes32) -> Answer:
    """
    @notice How far a request is, and its answer.
    @dev    Anyone, also from a callback. All zero for an unknown request.
    @param request Its id.
    @return The answer; `until` ends the step that runs, after `deadline` it can be refunded or finalised.
    """
    terms: uint256 = self._terms[request]
    steps: uint256 = self._steps[request]
    progress: uint256 = self._progress[request]
    status: uint256 = (progress >> 224) & MASK_8
    level: uint256 = (terms >> 192) & MASK_8
    flags: uint256 = progress >> 232
    deadline_s: uint256 = 0
    deadline_block: uint256 = 0
    if status == ANSWERED:
        deadline_s, deadline_block = self._window_end(request, steps, progress)
    else:
        deadline_s, deadline_block = self._deadline(level, status, steps)
    return Answer(
        status=status,
        level=level,
        output=self._output[request],
        final=status == FINAL or flags & OVERTURNED != 0,
        overturned=flags & OVERTURNED != 0,
        challenged=flags & CHALLENGED != 0,
        delivery=(flags >> 2) & 3,
        acknowledged=steps >> 240,
        committed=(progress >> 160) & MASK_32,
        signed=(progress >> 192) & MASK_32,
        until_s=(steps >> 160) & MASK_40,
        until_block=(steps >> 200) & MASK_40,
        deadline_s=deadline_s,
        deadline_block=deadline_block,
    )


@external
@view
def commitment_of(request: bytes32, seat: uint8) -> bytes32:
    """
    @notice What a signer has committed to.
    @dev    Anyone. Zero where it has not, and once an answer has used it.
    @param request The request's id.
    @param seat The signer's place in the panel.
    @return The commitment.
    """
    return self._commitments[request][seat]


@external
@view
def challenged_at(request: bytes32, challenger: address) -> uint256:
    """
    @notice The block in which an account committed to a challenge that is not settled yet.
    @dev    Anyone. Zero where there is none.
    @param request The request's id.
    @param challenger The account.
    @return Number of the block.
    """
    return self._challenges[request][challenger] & MASK_40


@external
@view
def digest_of(request: bytes32, output: int256) -> bytes32:
    """
    @notice The EIP-712 digest that a signer of an answer signs.
    @dev    Anyone.
    @param request The request's id.
    @param output The answer.
    @return The digest.
    """
    level: uint256 = (self._terms[request] >> 192) & MASK_8
    return self._digest(request, self._model[request], self._input[request], output, level)


@internal
def _close(request: bytes32, terms: uint256, progress: uint256, output: int256, over: uint256):
    # Everything stands in storage before the callback; a call back into here meets the lock.
    closed: uint256 = self._with_status(progress, FINAL)
    self._progress[request] = closed
    if over != 0:
        self._credit(convert(convert(terms & MASK_160, uint160), address), over)
    log Finalised(
        request=request,
        output=output,
        level=convert((terms >> 192) & MASK_8, uint8),
        overturned=progress & (OVERTURNED << 232) != 0,
    )
    callback_gas: uint256 = (terms >> 160) & MASK_32
    if callback_gas == 0:
        return
    # EIP-150 passes on at most 63 of 64 parts: with less than this the callback would be starved of what it
    # was promised, and its failure would look like its own.
    assert msg.gas >= self._least_gas(terms), "oracle: too little gas for callback"
    delivered: bool = self._call_back(request, terms, output, callback_gas)
    if delivered:
        self._progress[request] = closed | (DELIVERED << 232)
    else:
        self._progress[request] = closed | (UNDELIVERED << 232)
    log CalledBack(request=request, delivered=delivered)


@internal
def _call_back(request: bytes32, terms: uint256, output: int256, most_gas: uint256) -> bool:
    # No byte of what it returns is copied: a long answer would cost the gas of whoever pays here.
    return raw_call(
        convert(convert(terms & MASK_160, uint160), address),
        abi_encode(
            request, output, (terms >> 192) & MASK_8, method_id=method_id("on_answer(bytes32,int256,uint8)")
        ),
        max_outsize=0,
        gas=most_gas,
        revert_on_failure=False,
    )


@internal
@pure
def _least_gas(terms: uint256) -> uint256:
    return ((terms >> 160) & MASK_32) * 64 // 63 + CALLBACK_MARGIN


@internal
def _check_signatures(
    request: bytes32,
    panel: bytes32,
    level: uint256,
    digest: bytes32,
    signed: uint256,
    signatures: DynArray[uint256[2], MAX_SIGNERS],
):
    # Each bit of the mask is one seat, and a seat's signature must be of the account on that seat: neither a
    # stranger's nor the same signature twice can pass.
    rest: uint256 = signed
    seat: uint256 = 0
    for signature: uint256[2] in signatures:
        assert rest != 0, "oracle: more signatures than seats"
        for _: uint256 in range(MAX_SIGNERS):
            if rest & 1 == 1:
                break
            rest = rest >> 1
            # Unchecked: there are at most 32 bits.
            seat = unsafe_add(seat, 1)
        s: uint256 = signature[1] & (2**255 - 1)
        v: uint256 = 27 + (signature[1] >> 255)
        assert s <= HALF_ORDER, "oracle: signature is malleable"
        if level != SIGNED:
            spread: bytes32 = keccak256(
                concat(
                    convert(signature[0], bytes32), convert(s, bytes32), convert(convert(v, uint8), bytes1)
                )
            )
            assert self._commitments[request][seat] == spread, "oracle: not what was committed"
            self._commitments[request][seat] = empty(bytes32)
        assert ecrecover(digest, v, signature[0], s) == self._signers[panel][seat], "oracle: not the signer"
        rest = rest >> 1
        seat = unsafe_add(seat, 1)
    assert rest == 0, "oracle: fewer signatures than seats"


@internal
@view
def _checked_level(level: uint256, panel: bytes32, executor: address) -> uint256:
    # What the panel says in numbers; zero at L4, which has none.
    assert level <= OPTIMISTIC or level == EXECUTED, "oracle: level is not served"
    if level >= OPTIMISTIC:
        assert executor != empty(address), "oracle: model has no executor"
    if level == EXECUTED:
        assert panel == empty(bytes32), "oracle: no panel at L4"
        return 0
    numbers: uint256 = self._panels[panel]
    assert numbers != 0, "oracle: unknown panel"
    if level == OPTIMISTIC:
        assert numbers & MASK_96 != 0, "oracle: panel has no bond"
        assert (numbers >> 120) & MASK_8 != 0, "oracle: panel needs no watcher"
        assert (numbers >> 128) & MASK_32 != 0, "oracle: panel has no window"
        assert numbers >> 160 != 0, "oracle: panel has no window"
    return numbers


@internal
@view
def _digest(request: bytes32, model: bytes32, input: bytes32, output: int256, level: uint256) -> bytes32:
    domain: bytes32 = keccak256(abi_encode(DOMAIN_TYPE, NAME_HASH, VERSION_HASH, chain.id, self))
    message: bytes32 = keccak256(abi_encode(ANSWER_TYPE, request, model, input, output, level))
    return keccak256(concat(x"1901", domain, message))


@internal
@pure
def _commitment(salt: bytes32, words: DynArray[uint256, MAX_WORDS]) -> bytes32:
    # Behind the offset and the length, abi_encode holds the words alone.
    return keccak256(concat(salt, slice(abi_encode(words), 64, 32 * len(words))))


@internal
@pure
def _is_challengeable(progress: uint256) -> bool:
    return (progress >> 224) & MASK_8 == ANSWERED and progress & (OVERTURNED << 232) == 0


@internal
@view
def _is_over(steps: uint256) -> bool:
    return block.timestamp > (steps >> 160) & MASK_40 and block.number > (steps >> 200) & MASK_40


@internal
@pure
def _deadline(level: uint256, status: uint256, steps: uint256) -> (uint256, uint256):
    # Where commitments are taken, the step for the answer follows theirs.
    until_s: uint256 = (steps >> 160) & MASK_40
    until_block: uint256 = (steps >> 200) & MASK_40
    if status == OPEN and (level == QUORUM or level == OPTIMISTIC):
        return until_s + ((steps >> 96) & MASK_32), until_block + ((steps >> 128) & MASK_32)
    return until_s, until_block


@internal
@view
def _window_end(request: bytes32, steps: uint256, progress: uint256) -> (uint256, uint256):
    until_s: uint256 = (steps >> 160) & MASK_40
    until_block: uint256 = (steps >> 200) & MASK_40
    if progress & (CHALLENGED << 232) == 0:
        return until_s, until_block
    # A challenge committed to in the last block of the window has as long again to be shown.
    numbers: uint256 = self._panels[self._panel[request]]
    return until_s + ((numbers >> 128) & MASK_32), until_block + ((numbers >> 160) & MASK_32)


@internal
@pure
def _with_until(steps: uint256, until_s: uint256, until_block: uint256) -> uint256:
    return (steps >> 240 << 240) | (until_block << 200) | (until_s << 160) | (steps & MASK_160)


@internal
@pure
def _with_status(progress: uint256, status: uint256) -> uint256:
    return (progress & ~(MASK_8 << 224)) | (status << 224)


@internal
@pure
def _share(terms: uint256, steps: uint256) -> uint256:
    if (terms >> 192) & MASK_8 == SIGNED:
        return steps & MASK_96
    return (steps & MASK_96) // max((terms >> 200) & MASK_8, 1)


@internal
def _left_over(terms: uint256, steps: uint256, progress: uint256) -> uint256:
    # The requester keeps the shares of those who never committed. That of one who did and whose signature was
    # left out is burned: else the requester would save it by handing in no more signatures than needed.
    share: uint256 = self._share(terms, steps)
    committed: uint256 = self._count((progress >> 160) & MASK_32)
    left_out: uint256 = committed - self._count((progress >> 192) & MASK_32)
    if left_out != 0:
        self.burned += share * left_out
    return (steps & MASK_96) - share * committed


@internal
@pure
def _count(mask: uint256) -> uint256:
    count: uint256 = 0
    rest: uint256 = mask
    for _: uint256 in range(MAX_SIGNERS):
        if rest == 0:
            break
        rest &= rest - 1
        count += 1
    return count


@internal
def _credit(account: address, amount: uint256):
    # Free money is below 2^128: all the chain's money is.
    if amount != 0:
        self._accounts[account] += amount


@internal
def _lock(account: address, bond: uint256):
    held: uint256 = self._accounts[account]
    assert held & MASK_128 >= bond, "oracle: bond too small"
    self._accounts[account] = held - bond + (bond << 128)


@internal
def _release(account: address, bond: uint256, more: uint256):
    # Locked money becomes free, and more comes to it.
    if bond + more != 0:
        self._accounts[account] = self._accounts[account] - (bond << 128) + bond + more


@internal
def _forfeit(account: address, bond: uint256):
    self._accounts[account] -= bond << 128
