# pragma version 0.4.3
# pragma evm-version cancun
# pragma optimize gas
"""
@title TreeModel: gradient-boosted trees that the chain executes
@license Apache-2.0
@notice score = base + sum of the leaves that an input reaches, for each head.
@dev    * A tree is complete, of depth 4, in three words: 15 int16 thresholds, 15 feature numbers of one
          byte, 16 int16 leaves, the first of each in the top bits. Node i has the children 2i + 1 and
          2i + 2; an input goes right when it is greater than the node's threshold.
        * Trees stand as other contracts' code, head by head. An input outside int16 cannot be written.
        * No owner, no storage, no change. Gas of whole transactions: see
          tests/contracts/gas_models.json.
"""


# Inputs to a word, and how many words and heads there may be.
LANES: constant(uint256) = 16
MAX_ROW: constant(uint256) = 16
MAX_WIDTH: constant(int256) = 256
MAX_HEADS: constant(uint256) = 16
MAX_SCALARS: constant(uint256) = 5 + MAX_HEADS
# Three words a tree. A part is 255 trees, and stands as the code 0x00 || part.
TREE_WORDS: constant(uint256) = 3
PART_TREES: constant(uint256) = 255
PART_WORDS: constant(uint256) = 765
MAX_PARTS: constant(uint256) = 8
MAX_TREES: constant(uint256) = 2_040
# Trees are read in bites; a slice of code needs a literal length.
BITE: constant(uint256) = 25
# Bases beyond would be typing errors, and could overflow.
MAX_BASE: constant(int256) = 2**62
# What the ABI says before the length of one list.
ONE_LIST: constant(bytes32) = 0x0000000000000000000000000000000000000000000000000000000000000020
TOP_LANE: constant(uint256) = 65_535 << 240

# @notice How many inputs the model reads.
width: public(immutable(uint256))
# @notice How many scores it gives.
heads: public(immutable(uint256))
# @notice How many trees each head has.
trees: public(immutable(uint256))

ROW: immutable(uint256)
# The bits of an input's last word that no input fills.
PADDING: immutable(uint256)
BASES: immutable(int256[MAX_HEADS])
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
    @param scalars 2, width, heads, 4 (the depth), trees of each head, then the base of each head.
    @param words Empty.
    @param parts The contracts whose code is 0x00 and up to 255 trees, all full but the last.
    """
    assert len(scalars) > 5, "trees: scalars are missing"
    assert scalars[0] == 2, "trees: not trees"
    assert 1 <= scalars[1] and scalars[1] <= MAX_WIDTH, "trees: width"
    width = convert(scalars[1], uint256)
    assert scalars[2] == convert(len(scalars), int256) - 5, "trees: one base for each head"
    heads = len(scalars) - 5
    assert scalars[3] == 4, "trees: depth must be 4"
    assert 1 <= scalars[4] and scalars[4] <= convert(MAX_TREES, int256), "trees: number of trees"
    trees = convert(scalars[4], uint256)
    ROW = (width + LANES - 1) // LANES
    PADDING = (1 << (256 * ROW - 16 * width)) - 1

    bases: int256[MAX_HEADS] = empty(int256[MAX_HEADS])
    for head: uint256 in range(heads, bound=MAX_HEADS):
        bases[head] = scalars[5 + head]
        assert -MAX_BASE <= bases[head] and bases[head] <= MAX_BASE, "trees: base too large"
    BASES = bases

    assert len(words) == 0, "trees: no words"
    self._check_parts(parts, TREE_WORDS * trees * heads)
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
    assert len(x) == ROW, "trees: wrong number of words"
    # One input has one form, so that its commitment has one too.
    assert x[unsafe_sub(ROW, 1)] & PADDING == 0, "trees: padding must be zero"

    # Each input in the top bits of a word of its own. A threshold is compared in the same place, with what
    # stands behind it still below: x > t in int16 is x * 2^240 > t * 2^240 + rest for every rest < 2^240.
    # Written out, because a loop over the lanes would cost more than all else here. Unchecked: at < 256.
    xs: int256[256] = empty(int256[256])
    at: uint256 = 0
    for word: uint256 in x:
        xs[at] = convert(convert(word & TOP_LANE, bytes32), int256)
        xs[unsafe_add(at, 1)] = convert(convert((word << 16) & TOP_LANE, bytes32), int256)
        xs[unsafe_add(at, 2)] = convert(convert((word << 32) & TOP_LANE, bytes32), int256)
        xs[unsafe_add(at, 3)] = convert(convert((word << 48) & TOP_LANE, bytes32), int256)
        xs[unsafe_add(at, 4)] = convert(convert((word << 64) & TOP_LANE, bytes32), int256)
        xs[unsafe_add(at, 5)] = convert(convert((word << 80) & TOP_LANE, bytes32), int256)
        xs[unsafe_add(at, 6)] = convert(convert((word << 96) & TOP_LANE, bytes32), int256)
        xs[unsafe_add(at, 7)] = convert(convert((word << 112) & TOP_LANE, bytes32), int256)
        xs[unsafe_add(at, 8)] = convert(convert((word << 128) & TOP_LANE, bytes32), int256)
        xs[unsafe_add(at, 9)] = convert(convert((word << 144) & TOP_LANE, bytes32), int256)
        xs[unsafe_add(at, 10)] = convert(convert((word << 160) & TOP_LANE, bytes32), int256)
        xs[unsafe_add(at, 11)] = convert(convert((word << 176) & TOP_LANE, bytes32), int256)
        xs[unsafe_add(at, 12)] = convert(convert((word << 192) & TOP_LANE, bytes32), int256)
        xs[unsafe_add(at, 13)] = convert(convert((word << 208) & TOP_LANE, bytes32), int256)
        xs[unsafe_add(at, 14)] = convert(convert((word << 224) & TOP_LANE, bytes32), int256)
        xs[unsafe_add(at, 15)] = convert(convert((word << 240) & TOP_LANE, bytes32), int256)
        at = unsafe_add(at, LANES)

    scores: DynArray[int256, MAX_HEADS] = []
    at = 0
    for head: uint256 in range(heads, bound=MAX_HEADS):
        # Unchecked: a base of at most 2^62 and 2,040 leaves of at most 2^15; `at` is at most 2,040.
        score: int256 = BASES[head]
        end: uint256 = unsafe_add(at, trees)
        for _: uint256 in range(MAX_TREES):
            if at == end:
                break
            place: uint256 = unsafe_add(unsafe_mul(at % PART_TREES, 96), 1)
            part: address = PARTS[at // PART_TREES]
            left: uint256 = min(unsafe_sub(end, at), unsafe_sub(PART_TREES, at % PART_TREES))
            data: Bytes[2464] = b""
            if left >= 25:
                left = 25
                data = concat(ONE_LIST, convert(left, bytes32), slice(part.code, place, 2400))
            elif left >= 5:
                left = 5
                data = concat(ONE_LIST, convert(left, bytes32), slice(part.code, place, 480))
            else:
                left = 1
                data = concat(ONE_LIST, convert(left, bytes32), slice(part.code, place, 96))
            bite: DynArray[uint256[TREE_WORDS], BITE] = abi_decode(data, DynArray[uint256[TREE_WORDS], BITE])
            for tree: uint256[TREE_WORDS] in bite:
                # `s` is 8 times the number of the node that is reached, because a feature number has 8 bits; a
                # threshold has 16. From node i to 2i + 1 or 2i + 2 is 2s + (8 or 16). The last step makes it
                # 16 times, from 15 to 30: the leaves. Unchecked: so s is 240 to 480 there, and below before.
                s: uint256 = 8 << convert(
                    xs[tree[1] >> 248] > convert(convert(tree[0], bytes32), int256), uint256
                )
                s = unsafe_add(
                    s << 1,
                    8 << convert(
                        xs[(tree[1] << s) >> 248]
                        > convert(convert(tree[0] << (s << 1), bytes32), int256),
                        uint256,
                    ),
                )
                s = unsafe_add(
                    s << 1,
                    8 << convert(
                        xs[(tree[1] << s) >> 248]
                        > convert(convert(tree[0] << (s << 1), bytes32), int256),
                        uint256,
                    ),
                )
                s = unsafe_add(
                    s << 2,
                    16 << convert(
                        xs[(tree[1] << s) >> 248]
                        > convert(convert(tree[0] << (s << 1), bytes32), int256),
                        uint256,
                    ),
                )
                score = unsafe_add(
                    score, convert(convert(tree[2] << unsafe_sub(s, 240), bytes32), int256) >> 240
                )
            at = unsafe_add(at, left)
        scores.append(score)
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
@view
def _check_parts(parts: DynArray[address, MAX_PARTS], words: uint256):
    # Every part is full but the last; a part is one byte longer than its words.
    left: uint256 = words
    for part: address in parts:
        here: uint256 = min(left, PART_WORDS)
        assert here != 0 and part.codesize == 1 + 32 * here, "trees: wrong length of a part"
        left -= here
    assert left == 0, "trees: a part is missing"
