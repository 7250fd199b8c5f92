# pragma version 0.4.3
# pragma evm-version cancun
# pragma optimize gas
"""
@title PerceptronModel: a perceptron with one hidden layer that the chain executes
@license Apache-2.0
@notice hidden = max(0, sum of weight * input + bias) >> shift
        score  = sum of weight * hidden + bias, for each head.
@dev    * Inputs and weights are int16, 16 to a 256-bit word, the first in the top bits. An input outside
          int16 cannot be written.
        * The body stands as other contracts' code: each hidden unit's weights, then the hidden units'
          biases, a word each, then each head's weights.
        * No owner, no storage, no change. Gas of whole transactions: see
          tests/contracts/gas_models.json.
"""


# Inputs to a word, and how many words and heads there may be.
LANES: constant(uint256) = 16
MAX_ROW: constant(uint256) = 16
MAX_WIDTH: constant(int256) = 256
MAX_HEADS: constant(uint256) = 16
MAX_SCALARS: constant(uint256) = 5 + MAX_HEADS
MAX_HIDDEN: constant(uint256) = 256
MAX_SHIFT: constant(int256) = 30
MAX_WORDS: constant(uint256) = 6_120
# Words are read in bites; a slice of code needs a literal length.
BITE: constant(uint256) = 48
# A part is 765 words, and stands as the code 0x00 || part.
PART_WORDS: constant(uint256) = 765
MAX_PARTS: constant(uint256) = 8
# Biases beyond would be typing errors, and could overflow.
MAX_BIAS: constant(int256) = 2**62
# One in each 64 bits; the lowest 16 of each 64 bits; 2^15 in them; 2^15 in each of a word's 16 lanes.
ONES: constant(uint256) = 1 + 2**64 + 2**128 + 2**192
LOW_LANES: constant(uint256) = 65_535 * ONES
LOW_SIGNS: constant(uint256) = 2**15 * ONES
SIGNS: constant(uint256) = (1 + 2**16 + 2**32 + 2**48) * LOW_SIGNS
# The second and the third 64 bits from below; half of 2^192.
SECOND: constant(uint256) = (2**64 - 1) << 64
THIRD: constant(uint256) = (2**64 - 1) << 128
HALF: constant(uint256) = 2**191
# What the ABI says before the length of one list.
ONE_LIST: constant(bytes32) = 0x0000000000000000000000000000000000000000000000000000000000000020

# @notice How many inputs the model reads.
width: public(immutable(uint256))
# @notice How many scores it gives.
heads: public(immutable(uint256))
# @notice How many hidden units it has.
hidden: public(immutable(uint256))

SHIFT: immutable(uint256)
# Words of an input, and of a head's weights.
ROW: immutable(uint256)
HEAD_ROW: immutable(uint256)
# The bits of an input's last word that no input fills.
PADDING: immutable(uint256)
BIASES: immutable(int256[MAX_HEADS])
PARTS: immutable(address[MAX_PARTS])


@deploy
def __init__(
    scalars: DynArray[int256, MAX_SCALARS],
    words: DynArray[uint256, MAX_ROW],
    parts: DynArray[address, MAX_PARTS],
):
    """
    @notice Bind the parameters, for ever.
    @dev    Anyone can deploy this contract; which model a deployment is, `Models` says. Emits nothing.
    @param scalars 3, width, heads, hidden units, shift, then the bias of each head.
    @param words Empty.
    @param parts The contracts whose code is 0x00 and up to 765 words, all full but the last.
    """
    assert len(scalars) > 5, "perceptron: scalars are missing"
    assert scalars[0] == 3, "perceptron: not a perceptron"
    assert 1 <= scalars[1] and scalars[1] <= MAX_WIDTH, "perceptron: width"
    width = convert(scalars[1], uint256)
    assert scalars[2] == convert(len(scalars), int256) - 5, "perceptron: one bias for each head"
    heads = len(scalars) - 5
    assert 1 <= scalars[3] and scalars[3] <= convert(MAX_HIDDEN, int256), "perceptron: hidden units"
    hidden = convert(scalars[3], uint256)
    assert 0 <= scalars[4] and scalars[4] <= MAX_SHIFT, "perceptron: shift"
    SHIFT = convert(scalars[4], uint256)
    ROW = (width + LANES - 1) // LANES
    HEAD_ROW = (hidden + LANES - 1) // LANES
    PADDING = (1 << (256 * ROW - 16 * width)) - 1

    biases: int256[MAX_HEADS] = empty(int256[MAX_HEADS])
    for head: uint256 in range(heads, bound=MAX_HEADS):
        biases[head] = scalars[5 + head]
        assert -MAX_BIAS <= biases[head] and biases[head] <= MAX_BIAS, "perceptron: bias too large"
    BIASES = biases

    assert len(words) == 0, "perceptron: no words"
    self._check_parts(parts, hidden * ROW + hidden + heads * HEAD_ROW)
    places: address[MAX_PARTS] = empty(address[MAX_PARTS])
    for place: uint256 in range(len(parts), bound=MAX_PARTS):
        places[place] = parts[place]
    PARTS = places


@external
@view
def answer(x: DynArray[uint256, MAX_ROW]) -> int256:
    """
    @notice The score of an input; with several heads the number of the largest score, the first of equals.
    @dev    Anyone. Reverts where the input has not the model's form. Emits nothing.
    @param x The int16 inputs, 16 to a word, the first in the top bits, the last word padded with zero.
    @return The score, or the number of the head.
    """
    return self._best(self._scores(x))


@external
@view
def scores(x: DynArray[uint256, MAX_ROW]) -> DynArray[int256, MAX_HEADS]:
    """
    @notice The scores of an input, one for each head.
    @dev    Anyone. Reverts where the input has not the model's form. Emits nothing.
    @param x The int16 inputs, 16 to a word, the first in the top bits, the last word padded with zero.
    @return The scores.
    """
    return self._scores(x)


@internal
@view
def _scores(x: DynArray[uint256, MAX_ROW]) -> DynArray[int256, MAX_HEADS]:
    assert len(x) == ROW, "perceptron: wrong number of words"
    # One input has one form, so that its commitment has one too.
    assert x[unsafe_sub(ROW, 1)] & PADDING == 0, "perceptron: padding must be zero"

    # The inputs, spread, and 2^15 times their sum, which is what biased weights count too much.
    spreads: uint256[4][MAX_ROW] = empty(uint256[4][MAX_ROW])
    lanes: uint256 = 0
    place: uint256 = 0
    for word: uint256 in x:
        spread: uint256[4] = self._spread(word)
        spreads[place] = spread
        lanes = unsafe_add(
            lanes, unsafe_add(unsafe_add(spread[0], spread[1]), unsafe_add(spread[2], spread[3]))
        )
        place = unsafe_add(place, 1)
    excess: int256 = self._sum(unsafe_mul(lanes, ONES)) << 15

    scores: DynArray[int256, MAX_HEADS] = []
    units: DynArray[int256, MAX_HIDDEN] = []
    products: uint256 = 0
    score: int256 = 0
    # What is read next, and where weights and biases of the hidden units end. Unchecked: at most 6,120.
    at: uint256 = 0
    biases: uint256 = unsafe_mul(hidden, ROW)
    rows: uint256 = unsafe_add(biases, hidden)
    end: uint256 = unsafe_add(rows, unsafe_mul(heads, HEAD_ROW))
    place = 0
    for _: uint256 in range(MAX_WORDS):
        if at == end:
            break
        bite: DynArray[uint256, BITE] = self._bite(at, unsafe_sub(end, at))
        for word: uint256 in bite:
            if at < biases:
                products = unsafe_add(products, self._products(word, spreads[place]))
                place = unsafe_add(place, 1)
                if place == ROW:
                    units.append(unsafe_sub(self._sum(products), excess))
                    products = 0
                    place = 0
            elif at < rows:
                bias: int256 = convert(convert(word, bytes32), int256)
                assert -MAX_BIAS <= bias and bias <= MAX_BIAS, "perceptron: bias too large"
                # Unchecked: a bias of at most 2^62, a sum of at most 2^39 and an excess of at most 2^38.
                units[place] = max(unsafe_add(units[place], bias), 0) >> SHIFT
                place = unsafe_add(place, 1)
                if place == hidden:
                    place = 0
            else:
                for lane: uint256 in range(LANES):
                    # Unchecked: a hidden unit is below 2^63, times an int16 below 2^78; 256 of them and a
                    # bias stay below 2^87.
                    weight: int256 = convert(convert(word << unsafe_mul(lane, 16), bytes32), int256) >> 240
                    score = unsafe_add(score, unsafe_mul(weight, units[place]))
                    place = unsafe_add(place, 1)
                    if place == hidden:
                        break
                if place == hidden:
                    scores.append(unsafe_add(score, BIASES[len(scores)]))
                    score = 0
                    place = 0
            at = unsafe_add(at, 1)
    return scores


@internal
@view
def _bite(at: uint256, left: uint256) -> DynArray[uint256, BITE]:
    # Some next words of the body, all of one part.
    start: uint256 = unsafe_add(unsafe_mul(at % PART_WORDS, 32), 1)
    part: address = PARTS[at // PART_WORDS]
    count: uint256 = min(left, unsafe_sub(PART_WORDS, at % PART_WORDS))
    data: Bytes[1600] = b""
    if count >= 48:
        data = concat(ONE_LIST, convert(48, bytes32), slice(part.code, start, 1536))
    elif count >= 12:
        data = concat(ONE_LIST, convert(12, bytes32), slice(part.code, start, 384))
    elif count >= 3:
        data = concat(ONE_LIST, convert(3, bytes32), slice(part.code, start, 96))
    else:
        data = concat(ONE_LIST, convert(1, bytes32), slice(part.code, start, 32))
    return abi_decode(data, DynArray[uint256, BITE])


@internal
@pure
def _best(scores: DynArray[int256, MAX_HEADS]) -> int256:
    if len(scores) == 1:
        return scores[0]
    best: uint256 = 0
    for head: uint256 in range(1, MAX_HEADS):
        if head == len(scores):
            break
        if scores[head] > scores[best]:
            best = head
    return convert(best, int256)


@internal
@pure
def _spread(word: uint256) -> uint256[4]:
    # Sixteen inputs as four words of four: every fourth input, 64 bits apart, the first lowest. With 2^15
    # added to every lane none is negative, so a mask takes it out; the subtraction makes it signed again, as
    # a sum of x * 2^(64 * place). Unchecked: it is a number modulo 2^256 from here on.
    biased: uint256 = word ^ SIGNS
    turned: uint256 = (
        (biased << 192) | ((biased << 64) & THIRD) | ((biased >> 64) & SECOND) | (biased >> 192)
    )
    return [
        unsafe_sub(turned & LOW_LANES, LOW_SIGNS),
        unsafe_sub((turned >> 16) & LOW_LANES, LOW_SIGNS),
        unsafe_sub((turned >> 32) & LOW_LANES, LOW_SIGNS),
        unsafe_sub((turned >> 48) & LOW_LANES, LOW_SIGNS),
    ]


@internal
@pure
def _products(word: uint256, spread: uint256[4]) -> uint256:
    # Weights keep the order that the inputs have lost, so in each product the terms weight * input of one
    # place meet at 2^192. See `_sum` for why nothing else reaches that place.
    biased: uint256 = word ^ SIGNS
    return unsafe_add(
        unsafe_add(
            unsafe_mul(biased & LOW_LANES, spread[0]), unsafe_mul((biased >> 16) & LOW_LANES, spread[1])
        ),
        unsafe_add(
            unsafe_mul((biased >> 32) & LOW_LANES, spread[2]),
            unsafe_mul((biased >> 48) & LOW_LANES, spread[3]),
        ),
    )


@internal
@pure
def _sum(products: uint256) -> int256:
    # The sum at 2^192. Products are sums of c_i * 2^(64 * i): from i = 4 on they vanish modulo 2^256. A row
    # has at most 256 terms of a biased weight below 2^16 and an input of at most 2^15, so each |c_i| is at
    # most 2^39, and what stands below 2^192 is, with its sign, below 2^168: half of 2^192 more makes it
    # positive, and the shift leaves c_3 alone.
    return convert(convert(unsafe_add(products, HALF), bytes32), int256) >> 192


@internal
@view
def _check_parts(parts: DynArray[address, MAX_PARTS], words: uint256):
    # Every part is full but the last; a part is one byte longer than its words.
    left: uint256 = words
    for part: address in parts:
        here: uint256 = min(left, PART_WORDS)
        assert here != 0 and part.codesize == 1 + 32 * here, "perceptron: wrong length of a part"
        left -= here
    assert left == 0, "perceptron: a part is missing"
