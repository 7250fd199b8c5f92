# pragma version 0.4.3
# pragma evm-version cancun
# pragma optimize gas
"""
@title Shipments: lots under escrow, released, quarantined and paid for by a model's answer
@license Apache-2.0
@notice A buyer books a lot and puts its price and freight under escrow. When the lot has arrived, the contract
        asks a model through the contract `Oracle`, at the assurance level that was booked, how bad the trip
        was. Below the booked threshold the lot is released and everybody is paid; else it is quarantined, and
        two parties may release or reject it together.
@dev    Rules, and why each is there.
        * Model, threshold, level and panel are fixed as the lot is booked: nobody can shop for a kinder model
          after the trip.
        * Only `Oracle` can answer, only the request that this contract made for the lot, only at the level
          that was booked, and only when the answer is final: `Oracle` calls back at finality and not before.
        * A lot is asked about once. It can be asked about again only when the request came back without an
          answer.
        * Who commits to the input can lie about the trip. So the buyer does, who loses by a false release; a
          false quarantine ends before reviewers whom the buyer does not choose alone: all saw the booking.
        * Reviewers are of two different active parties at least, and of neither the seller nor the carrier,
          who are paid by a release.
        * What nobody decides in time is not released: the money goes back.
        * Money is paid out only to who asks for it by `withdraw`. This contract has no owner.
        * One contract serves one buyer: what `Oracle` pays back (fees, and half of the bonds of those who
          answered wrong) comes in one sum and is the buyer's.
"""

interface MembersView:
    def member(account: address) -> bytes32: view

interface OracleView:
    def request(
        model: bytes32,
        input: bytes32,
        level: uint8,
        panel: bytes32,
        step_s: uint32,
        step_blocks: uint32,
        callback_gas: uint32,
        unpromoted: bool,
    ) -> bytes32: payable
    def answer_of(request: bytes32) -> Answer: view
    def account(account: address) -> (uint256, uint256): view
    def withdraw(amount: uint256): nonpayable


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

struct Terms:
    seller: address
    carrier: address
    freight: uint128
    model: bytes32
    threshold: int256
    level: uint8
    panel: bytes32
    step_s: uint32
    step_blocks: uint32
    until_s: uint64
    until_block: uint64

struct Lot:
    state: uint8
    price: uint128
    request: bytes32
    output: int256
    reviewed: bool
    terms: Terms


event Booked:
    lot: indexed(bytes32)
    seller: indexed(address)
    carrier: indexed(address)
    price: uint256
    freight: uint256
    model: bytes32
    threshold: int256
    level: uint8

event Asked:
    lot: indexed(bytes32)
    request: indexed(bytes32)
    input: bytes32
    fee: uint256

event Reopened:
    lot: indexed(bytes32)
    request: indexed(bytes32)

event Released:
    lot: indexed(bytes32)
    request: indexed(bytes32)
    output: int256
    level: uint8
    reviewed: bool

event Quarantined:
    lot: indexed(bytes32)
    request: indexed(bytes32)
    output: int256
    level: uint8

event Reviewed:
    lot: indexed(bytes32)
    party: indexed(bytes32)
    release: bool
    reason: bytes32

event Rejected:
    lot: indexed(bytes32)
    reviewed: bool

event Paid:
    account: indexed(address)
    amount: uint256


MAX_REVIEWERS: constant(uint256) = 8
# Two of different parties release or reject.
VOICES_NEEDED: constant(uint256) = 2
# `on_answer` takes about 105,000, and the tests hold it below this.
CALLBACK_GAS: constant(uint32) = 250_000

# Where a lot stands
BOOKED: constant(uint8) = 1
ASKED: constant(uint8) = 2
RELEASED: constant(uint8) = 3
QUARANTINED: constant(uint8) = 4
REJECTED: constant(uint8) = 5

# `Oracle`: the request ended without an answer
REFUNDED: constant(uint256) = 5

# @notice The contract that answers.
oracle: public(immutable(address))

# @notice The contract that says who is a member.
members: public(immutable(address))

# @notice Who books, pays and asks.
buyer: public(immutable(address))

# @notice Wei that an account may withdraw.
credit: public(HashMap[address, uint256])

_lots: HashMap[bytes32, Lot]
_reviewers: HashMap[bytes32, DynArray[address, MAX_REVIEWERS]]
# lot -> what each verdict's parties are; a party speaks once
_voices: HashMap[bytes32, HashMap[bool, DynArray[bytes32, MAX_REVIEWERS]]]
# request -> lot, while its answer is awaited
_awaited: HashMap[bytes32, bytes32]


@deploy
def __init__(oracle_: address, members_: address, buyer_: address):
    """
    @notice Bind the contract to an oracle, a register of members and a buyer, for ever.
    @param oracle_ Address of `Oracle`; it must hold code.
    @param members_ Address of `Members`; it must hold code.
    @param buyer_ An account of an active member.
    """
    assert oracle_.is_contract, "shipments: oracle is no contract"
    assert members_.is_contract, "shipments: members is none"
    assert staticcall MembersView(members_).member(buyer_) != empty(bytes32), "shipments: buyer is no member"
    oracle = oracle_
    members = members_
    buyer = buyer_


@external
@payable
def __default__():
    """
    @notice Take what `Oracle` pays back.
    @dev    `Oracle` only, while `reclaim` runs.
    """
    assert msg.sender == oracle, "shipments: not the oracle"


@external
@payable
@nonreentrant
def book(lot: bytes32, terms: Terms, reviewers: DynArray[address, MAX_REVIEWERS]):
    """
    @notice Book a lot. The value sent is its price and its freight, and stays under escrow.
    @dev    The buyer, once for each lot. Emits `Booked`.
    @param lot Its name here: a hash, so that nobody learns the lot's number from the chain.
    @param terms Who is paid what, and which answer releases; see the struct.
    @param reviewers 2 to 8 accounts of different active parties, none of the seller or the carrier.
    """
    assert msg.sender == buyer, "shipments: not the buyer"
    assert lot != empty(bytes32), "shipments: a lot needs a name"
    assert self._lots[lot].state == 0, "shipments: lot is booked"
    assert msg.value <= convert(max_value(uint128), uint256), "shipments: too much money"
    assert convert(terms.freight, uint256) <= msg.value, "shipments: freight is not covered"
    assert terms.seller != empty(address) and terms.carrier != empty(address), "shipments: nobody to pay"
    assert convert(terms.until_s, uint256) > block.timestamp, "shipments: it would be over"
    assert convert(terms.until_block, uint256) > block.number, "shipments: it would be over"
    self._check_reviewers(terms, reviewers)
    price: uint128 = convert(msg.value, uint128) - terms.freight
    self._lots[lot] = Lot(
        state=BOOKED, price=price, request=empty(bytes32), output=0, reviewed=False, terms=terms
    )
    self._reviewers[lot] = reviewers
    log Booked(
        lot=lot,
        seller=terms.seller,
        carrier=terms.carrier,
        price=convert(price, uint256),
        freight=convert(terms.freight, uint256),
        model=terms.model,
        threshold=terms.threshold,
        level=terms.level,
    )


@external
@payable
@nonreentrant
def ask(lot: bytes32, input: bytes32) -> bytes32:
    """
    @notice Ask the booked model about the trip. The value sent is the oracle's fee.
    @dev    The buyer, once, unless a request came back without an answer. Emits `Asked`.
    @param lot A booked lot.
    @param input keccak256(salt || words) of the trip's packed features.
    @return The request's id at `Oracle`.
    """
    assert msg.sender == buyer, "shipments: not the buyer"
    assert self._lots[lot].state == BOOKED, "shipments: not to be asked about"
    terms: Terms = self._lots[lot].terms
    request: bytes32 = extcall OracleView(oracle).request(
        terms.model,
        input,
        terms.level,
        terms.panel,
        terms.step_s,
        terms.step_blocks,
        CALLBACK_GAS,
        False,
        value=msg.value,
    )
    self._lots[lot].state = ASKED
    self._lots[lot].request = request
    self._awaited[request] = lot
    log Asked(lot=lot, request=request, input=input, fee=msg.value)
    return request


@external
@nonreentrant
def on_answer(request: bytes32, output: int256, level: uint8):
    """
    @notice Act on a final answer: release and pay, or quarantine.
    @dev    `Oracle` only, for a request of this contract that is awaited. Emits `Released` or `Quarantined`.
    @param request Its id.
    @param output The model's score; at or above the booked threshold the lot is not released.
    @param level The assurance level that the answer had.
    """
    assert msg.sender == oracle, "shipments: not the oracle"
    lot: bytes32 = self._awaited[request]
    assert lot != empty(bytes32), "shipments: not awaited"
    terms: Terms = self._lots[lot].terms
    assert level == terms.level, "shipments: another level"
    self._awaited[request] = empty(bytes32)
    self._lots[lot].output = output
    if output < terms.threshold:
        self._release(lot, False)
    else:
        self._lots[lot].state = QUARANTINED
        log Quarantined(lot=lot, request=request, output=output, level=level)


@external
@nonreentrant
def reopen(lot: bytes32):
    """
    @notice Let a lot be asked about again whose request ended without an answer.
    @dev    Anyone. Emits `Reopened`.
    @param lot A lot that was asked about.
    """
    assert self._lots[lot].state == ASKED, "shipments: not asked about"
    request: bytes32 = self._lots[lot].request
    answer: Answer = staticcall OracleView(oracle).answer_of(request)
    assert answer.status == REFUNDED, "shipments: the request stands"
    self._awaited[request] = empty(bytes32)
    self._lots[lot].state = BOOKED
    log Reopened(lot=lot, request=request)


@external
@nonreentrant
def review(lot: bytes32, release: bool, reason: bytes32):
    """
    @notice Say, as a person, what shall become of a quarantined lot; two parties of one mind decide.
    @dev    A booked reviewer of an active party that has not spoken yet. Emits `Reviewed`, and with the second
            voice `Released` or `Rejected`.
    @param lot A quarantined lot.
    @param release Whether it may go.
    @param reason SHA-256 of the reason, or the id of the statement that gives it.
    """
    assert self._lots[lot].state == QUARANTINED, "shipments: not quarantined"
    assert msg.sender in self._reviewers[lot], "shipments: not a reviewer"
    assert reason != empty(bytes32), "shipments: no reason given"
    party: bytes32 = staticcall MembersView(members).member(msg.sender)
    assert party != empty(bytes32), "shipments: not an active member"
    assert party not in self._voices[lot][True], "shipments: party has spoken"
    assert party not in self._voices[lot][False], "shipments: party has spoken"
    self._voices[lot][release].append(party)
    log Reviewed(lot=lot, party=party, release=release, reason=reason)
    if len(self._voices[lot][release]) < VOICES_NEEDED:
        return
    if release:
        self._release(lot, True)
    else:
        self._reject(lot, True)


@external
@nonreentrant
def expire(lot: bytes32):
    """
    @notice End a lot that nobody decided in time; the buyer gets the money back.
    @dev    Anyone, when the booked seconds and blocks have passed. A lot whose answer is awaited is reopened
            first. Emits `Rejected`.
    @param lot A booked or quarantined lot.
    """
    state: uint8 = self._lots[lot].state
    assert state == BOOKED or state == QUARANTINED, "shipments: nothing to expire"
    terms: Terms = self._lots[lot].terms
    assert block.timestamp > convert(terms.until_s, uint256), "shipments: there is time left"
    # A halted chain must not eat the time to decide.
    assert block.number > convert(terms.until_block, uint256), "shipments: there is time left"
    self._reject(lot, False)


@external
@nonreentrant
def reclaim():
    """
    @notice Bring what `Oracle` owes to this contract here, for the buyer.
    @dev    Anyone. Reverts where nothing is owed.
    """
    free: uint256 = 0
    locked: uint256 = 0
    free, locked = staticcall OracleView(oracle).account(self)
    assert free != 0, "shipments: nothing to reclaim"
    self.credit[buyer] += free
    extcall OracleView(oracle).withdraw(free)


@external
@nonreentrant
def withdraw(amount: uint256):
    """
    @notice Pay money out to the sender.
    @dev    Anyone, of its own credit. Emits `Paid`.
    @param amount Wei.
    """
    held: uint256 = self.credit[msg.sender]
    assert amount != 0 and amount <= held, "shipments: not enough credit"
    self.credit[msg.sender] = held - amount
    log Paid(account=msg.sender, amount=amount)
    raw_call(msg.sender, b"", value=amount)


@external
@view
def lot(lot: bytes32) -> Lot:
    """
    @notice All that is kept of a lot.
    @dev    Anyone. State 0 for an unknown one.
    @param lot Its name.
    @return The lot.
    """
    return self._lots[lot]


@external
@view
def reviewers(lot: bytes32) -> DynArray[address, MAX_REVIEWERS]:
    """
    @notice Who may review a lot.
    @dev    Anyone.
    @param lot Its name.
    @return The accounts, in the order of the booking.
    """
    return self._reviewers[lot]


@external
@view
def voices(lot: bytes32, release: bool) -> DynArray[bytes32, MAX_REVIEWERS]:
    """
    @notice The parties that spoke for or against a release.
    @dev    Anyone.
    @param lot Its name.
    @param release Which verdict.
    @return SHA-256 of the parties' ids.
    """
    return self._voices[lot][release]


@internal
@view
def _check_reviewers(terms: Terms, reviewers: DynArray[address, MAX_REVIEWERS]):
    assert len(reviewers) >= VOICES_NEEDED, "shipments: too few reviewers"
    seller: bytes32 = staticcall MembersView(members).member(terms.seller)
    carrier: bytes32 = staticcall MembersView(members).member(terms.carrier)
    parties: DynArray[bytes32, MAX_REVIEWERS] = []
    for reviewer: address in reviewers:
        party: bytes32 = staticcall MembersView(members).member(reviewer)
        assert party != empty(bytes32), "shipments: reviewer is no member"
        assert party != seller and party != carrier, "shipments: reviewer is paid"
        assert reviewer != terms.seller and reviewer != terms.carrier, "shipments: reviewer is paid"
        assert party not in parties, "shipments: one party twice"
        parties.append(party)


@internal
def _release(lot: bytes32, reviewed: bool):
    terms: Terms = self._lots[lot].terms
    self._lots[lot].state = RELEASED
    if reviewed:
        self._lots[lot].reviewed = True
    self.credit[terms.seller] += convert(self._lots[lot].price, uint256)
    self.credit[terms.carrier] += convert(terms.freight, uint256)
    log Released(
        lot=lot,
        request=self._lots[lot].request,
        output=self._lots[lot].output,
        level=terms.level,
        reviewed=reviewed,
    )


@internal
def _reject(lot: bytes32, reviewed: bool):
    self._lots[lot].state = REJECTED
    if reviewed:
        self._lots[lot].reviewed = True
    self.credit[buyer] += convert(self._lots[lot].price, uint256) + convert(self._lots[lot].terms.freight, uint256)
    log Rejected(lot=lot, reviewed=reviewed)
