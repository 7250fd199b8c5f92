# pragma version 0.4.3
# pragma evm-version cancun
# pragma optimize gas
"""
@title Models: which models there are, which parameters stand under their names, and who vouches for them
@license Apache-2.0
@notice A model's name is SHA-256 of its file. Parts of its parameters are stored by this contract, its
        executor is made by this contract; members approve it, evaluate it, promote it and retire it.
@dev    * The file begins {"digest":"<64 hex digits>", and the digest is SHA-256 over the hashes of scalars
          and parts. This contract computes both from what it deploys itself, so an executor found under a
          model's name has exactly the parameters that the file commits to. Nobody's word is needed for it.
        * A part stands as the code 0x00 || part, which no EVM executes: nothing can change it.
        * Everything else is the members' judgement: distinct active parties other than the publisher, as
          `Members` says at the moment in which it counts. What a party said counts no longer when it is
          suspended or left.
        * Promotion needs `approvals_needed` approvals and a passed evaluation while none failed. Where the
          evaluation is lacking or failed, two parties may override it with a reason, visible for ever.
        * No owner, no funds, no upgrade. Gas of whole transactions: see
          tests/contracts/gas_models.json.
"""


interface MembersView:
    def member(account: address) -> bytes32: view
    def party(id: bytes32) -> Party: view


struct Party:
    account: address
    journal: bytes32
    card: bytes32
    standing: uint8
    place: uint256
    revision: uint64
    turns: uint64


struct Record:
    stage: uint8
    publisher: bytes32
    parent: bytes32
    executor: address
    override_reason: bytes32
    published_block: uint64
    promoted_block: uint64
    retired_block: uint64


struct Evaluation:
    statement: bytes32
    outcome: uint8
    block_number: uint64


event Stored:
    part: indexed(bytes32)
    place: indexed(address)


event Deployed:
    model: indexed(bytes32)
    executor: indexed(address)
    digest: indexed(bytes32)
    scalars: DynArray[int256, MAX_SCALARS]
    words: DynArray[uint256, MAX_WORDS]
    parts: DynArray[bytes32, MAX_PARTS]


event Published:
    model: indexed(bytes32)
    publisher: indexed(bytes32)
    parent: indexed(bytes32)


event Approved:
    model: indexed(bytes32)
    party: indexed(bytes32)


event Evaluated:
    model: indexed(bytes32)
    party: indexed(bytes32)
    statement: indexed(bytes32)
    passed: bool


event OverrideSigned:
    model: indexed(bytes32)
    party: indexed(bytes32)
    reason: indexed(bytes32)


event Promoted:
    model: indexed(bytes32)
    party: indexed(bytes32)
    override_reason: indexed(bytes32)


event RetirementAsked:
    model: indexed(bytes32)
    party: indexed(bytes32)


event Retired:
    model: indexed(bytes32)
    party: indexed(bytes32)


# Stages; 0 is a model that nobody published.
PUBLISHED: constant(uint8) = 1
PROMOTED: constant(uint8) = 2
RETIRED: constant(uint8) = 3

# Outcomes of an evaluation; 0 is none.
PASSED: constant(uint8) = 1
FAILED: constant(uint8) = 2

# `Members` says so of a party that takes part.
ACTIVE: constant(uint8) = 1

# Families, the first of a model's scalars.
LINEAR: constant(int256) = 1
TREES: constant(int256) = 2
PERCEPTRON: constant(int256) = 3

MAX_SCALARS: constant(uint256) = 21
MAX_WORDS: constant(uint256) = 16
MAX_PARTS: constant(uint256) = 8
MAX_PART_BYTES: constant(uint256) = 24_480
# A transaction of 128 KiB is the largest that common nodes pass on.
MAX_REST_BYTES: constant(uint256) = 120_000
# How many parties may say something of one model.
MAX_VOICES: constant(uint256) = 64
OVERRIDE_VOICES: constant(uint256) = 2

# @notice The contract `Members` that says who may speak.
members: public(immutable(address))
# @notice How many parties other than the publisher must approve a model, or ask for its retirement.
approvals_needed: public(immutable(uint256))
# @notice Blueprints (ERC-5202) of the executors.
linear_blueprint: public(immutable(address))
tree_blueprint: public(immutable(address))
perceptron_blueprint: public(immutable(address))

# @notice Where a part stands, by its SHA-256.
part: public(HashMap[bytes32, address])
# @notice The executor of a model; empty where none was deployed.
executor: public(HashMap[bytes32, address])

_records: HashMap[bytes32, Record]
_approvals: HashMap[bytes32, DynArray[bytes32, MAX_VOICES]]
_evaluators: HashMap[bytes32, DynArray[bytes32, MAX_VOICES]]
_evaluations: HashMap[bytes32, HashMap[bytes32, Evaluation]]
# model -> reason -> parties
_overrides: HashMap[bytes32, HashMap[bytes32, DynArray[bytes32, MAX_VOICES]]]
_retirements: HashMap[bytes32, DynArray[bytes32, MAX_VOICES]]


@deploy
def __init__(
    members_: address,
    approvals_needed_: uint256,
    linear_blueprint_: address,
    tree_blueprint_: address,
    perceptron_blueprint_: address,
):
    """
    @notice Bind the contract `Members`, the number of approvals and the executors' blueprints, for ever.
    @dev    Who trusts this contract compares the blueprints' code with the published one. Emits nothing.
    @param members_ The contract `Members`.
    @param approvals_needed_ How many parties other than the publisher must approve: 1 to 64.
    @param linear_blueprint_ Blueprint of `LinearModel`.
    @param tree_blueprint_ Blueprint of `TreeModel`.
    @param perceptron_blueprint_ Blueprint of `PerceptronModel`.
    """
    assert members_.is_contract, "models: members is no contract"
    assert 1 <= approvals_needed_ and approvals_needed_ <= MAX_VOICES, "models: approvals needed"
    assert linear_blueprint_.is_contract, "models: blueprint is missing"
    assert tree_blueprint_.is_contract, "models: blueprint is missing"
    assert perceptron_blueprint_.is_contract, "models: blueprint is missing"
    members = members_
    approvals_needed = approvals_needed_
    linear_blueprint = linear_blueprint_
    tree_blueprint = tree_blueprint_
    perceptron_blueprint = perceptron_blueprint_


@external
def store(body: Bytes[MAX_PART_BYTES]) -> address:
    """
    @notice Store a part of some model's parameters, under its SHA-256.
    @dev    Anyone; once. Emits `Stored`. About 220 gas a byte.
    @param body Whole words of 32 bytes.
    @return Where it stands, as the code 0x00 || body.
    """
    assert len(body) != 0 and len(body) % 32 == 0, "models: whole words"
    hash: bytes32 = sha256(body)
    assert self.part[hash] == empty(address), "models: part is stored"
    # Creation code that returns what stands behind its first ten bytes: PUSH2 length DUP1 PUSH1 10
    # RETURNDATASIZE CODECOPY RETURNDATASIZE RETURN, then 0x00, with which the part's code begins.
    length: Bytes[2] = slice(convert(len(body) + 1, bytes32), 30, 2)
    made: address = raw_create(concat(x"61", length, x"80600a3d393df300", body))
    # What stands there is what was hashed; this cannot fail, and says so.
    assert made.codehash == keccak256(concat(x"00", body)), "models: part differs"
    self.part[hash] = made
    log Stored(part=hash, place=made)
    return made


@external
def deploy(
    rest: Bytes[MAX_REST_BYTES],
    scalars: DynArray[int256, MAX_SCALARS],
    words: DynArray[uint256, MAX_WORDS],
    parts: DynArray[bytes32, MAX_PARTS],
) -> address:
    """
    @notice Make the executor of a model, under the hash of the file that commits to its parameters.
    @dev    Anyone; once, published or not: what comes out does not depend on who sends it. Emits `Deployed`.
    @param rest The model's file behind {"digest":"<64 hex digits>",
    @param scalars The parameters' scalars; the first names the family.
    @param words The parameters' body, where it stands in the executor itself: some linear models.
    @param parts SHA-256 of each part of the body, where it stands in parts that were stored before.
    @return The executor.
    """
    assert len(scalars) != 0, "models: scalars are missing"
    assert len(words) == 0 or len(parts) == 0, "models: words or parts"
    digest: bytes32 = self._digest(scalars, words, parts)
    model: bytes32 = self._file_hash(digest, rest)
    assert self.executor[model] == empty(address), "models: already deployed"

    places: DynArray[address, MAX_PARTS] = []
    for hash: bytes32 in parts:
        place: address = self.part[hash]
        assert place != empty(address), "models: part is not stored"
        places.append(place)
    blueprint: address = empty(address)
    if scalars[0] == LINEAR:
        blueprint = linear_blueprint
    elif scalars[0] == TREES:
        blueprint = tree_blueprint
    elif scalars[0] == PERCEPTRON:
        blueprint = perceptron_blueprint
    assert blueprint != empty(address), "models: unknown family"

    made: address = create_from_blueprint(blueprint, scalars, words, places)
    self.executor[model] = made
    log Deployed(model=model, executor=made, digest=digest, scalars=scalars, words=words, parts=parts)
    return made


@external
def publish(model: bytes32, parent: bytes32):
    """
    @notice Register a model under its publisher's name. It needs no executor: what the chain cannot run
            (opaque and external models, deep trees) is registered by its hash alone.
    @dev    An active member's account; once for each hash. Emits `Published`.
    @param model SHA-256 of the model's file.
    @param parent The published model that it descends from; zero where there is none.
    """
    party: bytes32 = self._speaker()
    assert model != empty(bytes32), "models: hash is empty"
    assert self._records[model].stage == 0, "models: already published"
    if parent != empty(bytes32):
        assert self._records[parent].stage != 0, "models: unknown parent"
    self._records[model].stage = PUBLISHED
    self._records[model].publisher = party
    self._records[model].parent = parent
    self._records[model].published_block = convert(block.number, uint64)
    log Published(model=model, publisher=party, parent=parent)


@external
def approve(model: bytes32):
    """
    @notice Approve a published model.
    @dev    An active member other than the publisher, once, before promotion. Emits `Approved`.
    @param model SHA-256 of its file.
    """
    party: bytes32 = self._judge(model)
    self._add(self._approvals[model], party)
    self._approvals[model].append(party)
    log Approved(model=model, party=party)


@external
def report_evaluation(model: bytes32, statement: bytes32, passed: bool):
    """
    @notice Report an evaluation. A later report of the same party replaces its earlier one.
    @dev    An active member other than the publisher, before promotion. Emits `Evaluated`.
    @param model SHA-256 of its file.
    @param statement Id of the statement that reports it.
    @param passed Whether the gates passed.
    """
    party: bytes32 = self._judge(model)
    assert statement != empty(bytes32), "models: statement is empty"
    if self._evaluations[model][party].outcome == 0:
        self._add(self._evaluators[model], party)
        self._evaluators[model].append(party)
    self._evaluations[model][party] = Evaluation(
        statement=statement, outcome=PASSED if passed else FAILED, block_number=convert(block.number, uint64)
    )
    log Evaluated(model=model, party=party, statement=statement, passed=passed)


@external
def sign_override(model: bytes32, reason: bytes32):
    """
    @notice Sign that a model may be promoted though no evaluation passed.
    @dev    An active member other than the publisher, once for each reason, before promotion. Emits
            `OverrideSigned`.
    @param model SHA-256 of its file.
    @param reason SHA-256 of the reason in words.
    """
    party: bytes32 = self._judge(model)
    assert reason != empty(bytes32), "models: reason is empty"
    self._add(self._overrides[model][reason], party)
    self._overrides[model][reason].append(party)
    log OverrideSigned(model=model, party=party, reason=reason)


@external
def promote(model: bytes32):
    """
    @notice Promote a model: enough parties approved it, an evaluation passed and none failed.
    @dev    An active member. Emits `Promoted` with an empty reason.
    @param model SHA-256 of its file.
    """
    party: bytes32 = self._speaker()
    self._check_approved(model)
    assert self._gate_passed(model), "models: no passed evaluation"
    self._promote(model, party, empty(bytes32))


@external
def promote_by_override(model: bytes32, reason: bytes32):
    """
    @notice Promote a model without a passed evaluation: enough parties approved it, and two signed for it.
    @dev    An active member. Emits `Promoted` with the reason, which the record keeps.
    @param model SHA-256 of its file.
    @param reason SHA-256 of the reason that was signed.
    """
    party: bytes32 = self._speaker()
    self._check_approved(model)
    assert reason != empty(bytes32), "models: reason is empty"
    signed: uint256 = self._active(self._overrides[model][reason])
    assert signed >= OVERRIDE_VOICES, "models: override needs two parties"
    self._promote(model, party, reason)


@external
def retire(model: bytes32):
    """
    @notice Take a model out of use, for ever: its publisher at once, others when enough parties ask for it.
    @dev    An active member; others than the publisher once. Emits `Retired`, or `RetirementAsked` for each
            other party and `Retired` with the last that it takes.
    @param model SHA-256 of its file.
    """
    party: bytes32 = self._speaker()
    stage: uint8 = self._records[model].stage
    assert stage != 0, "models: unknown model"
    assert stage != RETIRED, "models: already retired"
    if party != self._records[model].publisher:
        self._add(self._retirements[model], party)
        self._retirements[model].append(party)
        log RetirementAsked(model=model, party=party)
        if self._active(self._retirements[model]) < approvals_needed:
            return
    self._records[model].stage = RETIRED
    self._records[model].retired_block = convert(block.number, uint64)
    log Retired(model=model, party=party)


@external
@view
def stage(model: bytes32) -> uint8:
    """
    @notice How a model stands: 0 unknown, 1 published, 2 promoted, 3 retired.
    @dev    Anyone.
    @param model SHA-256 of its file.
    @return The stage.
    """
    return self._records[model].stage


@external
@view
def record(model: bytes32) -> Record:
    """
    @notice All that is kept of a model in one place.
    @dev    Anyone. `override_reason` is empty where the gates passed.
    @param model SHA-256 of its file.
    @return The record; all zero but perhaps the executor for a model that nobody published.
    """
    record: Record = self._records[model]
    record.executor = self.executor[model]
    return record


@external
@view
def approvals(model: bytes32) -> DynArray[bytes32, MAX_VOICES]:
    """
    @notice The parties that approved a model, also those whose approval counts no longer.
    @dev    Anyone.
    @param model SHA-256 of its file.
    @return SHA-256 of the parties' ids.
    """
    return self._approvals[model]


@external
@view
def evaluators(model: bytes32) -> DynArray[bytes32, MAX_VOICES]:
    """
    @notice The parties that reported an evaluation of a model.
    @dev    Anyone.
    @param model SHA-256 of its file.
    @return SHA-256 of the parties' ids.
    """
    return self._evaluators[model]


@external
@view
def evaluation(model: bytes32, party: bytes32) -> Evaluation:
    """
    @notice The last evaluation that a party reported of a model.
    @dev    Anyone. Outcome is 0 none, 1 passed, 2 failed.
    @param model SHA-256 of its file.
    @param party SHA-256 of the party's id.
    @return Statement, outcome and block; all zero where there is none.
    """
    return self._evaluations[model][party]


@external
@view
def overrides(model: bytes32, reason: bytes32) -> DynArray[bytes32, MAX_VOICES]:
    """
    @notice The parties that signed an override with one reason.
    @dev    Anyone.
    @param model SHA-256 of its file.
    @param reason SHA-256 of the reason.
    @return SHA-256 of the parties' ids.
    """
    return self._overrides[model][reason]


@external
@view
def gate_passed(model: bytes32) -> bool:
    """
    @notice Whether some active party reported that the gates passed, and none that they failed.
    @dev    Anyone.
    @param model SHA-256 of its file.
    @return Whether it may be promoted without an override, as far as evaluations go.
    """
    return self._gate_passed(model)


@internal
@view
def _speaker() -> bytes32:
    party: bytes32 = staticcall MembersView(members).member(msg.sender)
    assert party != empty(bytes32), "models: not an active member"
    return party


@internal
@view
def _judge(model: bytes32) -> bytes32:
    # Who may judge a model that is not promoted yet.
    party: bytes32 = self._speaker()
    assert self._records[model].stage == PUBLISHED, "models: not open for judgement"
    assert party != self._records[model].publisher, "models: own model"
    return party


@internal
@view
def _add(voices: DynArray[bytes32, MAX_VOICES], party: bytes32):
    assert party not in voices, "models: already said"
    assert len(voices) < MAX_VOICES, "models: too many voices"


@internal
@view
def _active(voices: DynArray[bytes32, MAX_VOICES]) -> uint256:
    count: uint256 = 0
    for party: bytes32 in voices:
        if self._is_active(party):
            count += 1
    return count


@internal
@view
def _is_active(party: bytes32) -> bool:
    found: Party = staticcall MembersView(members).party(party)
    return found.standing == ACTIVE


@internal
@view
def _check_approved(model: bytes32):
    assert self._records[model].stage == PUBLISHED, "models: not open for promotion"
    assert self._active(self._approvals[model]) >= approvals_needed, "models: not enough approvals"


@internal
@view
def _gate_passed(model: bytes32) -> bool:
    passed: bool = False
    for party: bytes32 in self._evaluators[model]:
        if self._is_active(party):
            if self._evaluations[model][party].outcome == FAILED:
                return False
            passed = True
    return passed


@internal
def _promote(model: bytes32, party: bytes32, reason: bytes32):
    self._records[model].stage = PROMOTED
    self._records[model].promoted_block = convert(block.number, uint64)
    self._records[model].override_reason = reason
    log Promoted(model=model, party=party, override_reason=reason)


@internal
@pure
def _digest(
    scalars: DynArray[int256, MAX_SCALARS],
    words: DynArray[uint256, MAX_WORDS],
    parts: DynArray[bytes32, MAX_PARTS],
) -> bytes32:
    # SHA-256 of the hashes of scalars and parts. Behind place and length, the ABI's form of a list is its
    # words. A body of words is one part, because it is short.
    scalar_bytes: Bytes[736] = abi_encode(scalars)
    hashes: Bytes[320] = abi_encode(parts)
    if len(words) != 0:
        word_bytes: Bytes[576] = abi_encode(words)
        body: DynArray[bytes32, MAX_PARTS] = [sha256(slice(word_bytes, 64, 32 * len(words)))]
        hashes = abi_encode(body)
    return sha256(
        concat(
            sha256(slice(scalar_bytes, 64, 32 * len(scalars))), slice(hashes, 64, len(hashes) - 64)
        )
    )


@internal
@pure
def _file_hash(digest: bytes32, rest: Bytes[MAX_REST_BYTES]) -> bytes32:
    number: uint256 = convert(digest, uint256)
    return sha256(
        concat(
            b'{"digest":"',
            convert(self._hex(number >> 128), bytes32),
            convert(self._hex(number & (2**128 - 1)), bytes32),
            b'",',
            rest,
        )
    )


@internal
@pure
def _hex(number: uint256) -> uint256:
    # 32 lower-case hex digits of a number below 2^128, as ASCII.
    digits: uint256 = 0
    for place: uint256 in range(32):
        digit: uint256 = (number >> (124 - 4 * place)) & 15
        digits = (digits << 8) | (digit + (48 if digit < 10 else 87))
    return digits
