# pragma version 0.4.3
# pragma evm-version cancun
# pragma optimize gas
"""
@title LinearModel: a linear integer model that the chain executes
@license Apache-2.0
@notice score = sum of weight * input + bias, for each head.
@dev    * Inputs and weights are int16, 16 to a 256-bit word, the first in the top bits. An input outside
          int16 cannot be written.
        * A body of at most 16 words stands in this contract's own code; a longer one, at most 256 words,
          is the code of another contract.
        * No owner, no storage, no change. Gas of whole transactions: see
          tests/contracts/gas_models.json.
"""


# Inputs to a word, and how many words and heads there may be.
LANES: constant(uint256) = 16
MAX_ROW: constant(uint256) = 16
MAX_WIDTH: constant(int256) = 256
MAX_HEADS: constant(uint256) = 16
MAX_SCALARS: constant(uint256) = 3 + MAX_HEADS
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

# @notice How many inputs the model reads.
width: public(immutable(uint256))
# @notice How many scores it gives.
heads: public(immutable(uint256))

ROW: immutable(uint256)
# The bits of an input's last word that no input fills.
PADDING: immutable(uint256)
BIASES: immutable(int256[MAX_HEADS])
# The body, or where it stands; empty when it stands here.
WORDS: immutable(uint256[MAX_ROW])
PART: immutable(address)


@deploy
def __init__(
    scalars: DynArray[int256, MAX_SCALARS],
    words: DynArray[uint256, MAX_ROW],
    parts: DynArray[address, MAX_PARTS],
):
    """
    @notice Bind the parameters, for ever.
    @dev    Anyone can deploy this contract; which model a deployment is, `Models` says. Emits nothing.
    @param scalars 1, width, heads, then the bias of each head.
    @param words The weights of all heads, where they fill at most 16 words; else empty.
    @param parts The contract whose code is 0x00 and the weights; empty where they are words.
    """
    assert len(scalars) > 3, "linear: scalars are missing"
    assert scalars[0] == 1, "linear: not a linear model"
    assert 1 <= scalars[1] and scalars[1] <= MAX_WIDTH, "linear: width"
    width = convert(scalars[1], uint256)
    assert scalars[2] == convert(len(scalars), int256) - 3, "linear: one bias for each head"
    heads = len(scalars) - 3
    ROW = (width + LANES - 1) // LANES
    PADDING = (1 << (256 * ROW - 16 * width)) - 1

    biases: int256[MAX_HEADS] = empty(int256[MAX_HEADS])
    for head: uint256 in range(heads, bound=MAX_HEADS):
        biases[head] = scalars[3 + head]
        assert -MAX_BIAS <= biases[head] and biases[head] <= MAX_BIAS, "linear: bias too large"
    BIASES = biases

    body: uint256[MAX_ROW] = empty(uint256[MAX_ROW])
    part: address = empty(address)
    if len(words) != 0:
        assert len(words) == heads * ROW and len(parts) == 0, "linear: wrong length of weights"
        for place: uint256 in range(len(words), bound=MAX_ROW):
            body[place] = words[place]
    else:
        assert len(parts) == 1, "linear: one part"
        part = parts[0]
        assert part.codesize == 1 + 32 * heads * ROW, "linear: wrong length of weights"
    WORDS = body
    PART = part


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
    assert len(x) == ROW, "linear: wrong number of words"
    # One input has one form, so that its commitment has one too.
    assert x[unsafe_sub(ROW, 1)] & PADDING == 0, "linear: padding must be zero"
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
    at: uint256 = 0
    inside: bool = PART == empty(address)
    for head: uint256 in range(heads, bound=MAX_HEADS):
        products: uint256 = 0
        for spread: uint256[4] in spreads:
            if at == unsafe_mul(unsafe_add(head, 1), ROW):
                break
            weights: uint256 = 0
            if inside:
                weights = WORDS[at]
            else:
                # Unchecked: the body has at most 256 words.
                weights = extract32(
                    slice(PART.code, unsafe_add(unsafe_mul(at, 32), 1), 32), 0, output_type=uint256
                )
            products = unsafe_add(products, self._products(weights, spread))
            at = unsafe_add(at, 1)
        # Unchecked: a bias of at most 2^62, a sum of at most 2^39 and an excess of at most 2^38.
        scores.append(unsafe_add(BIASES[head], unsafe_sub(self._sum(products), excess)))
    return scores


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
