# pragma version 0.4.3
# pragma evm-version cancun
# pragma optimize gas
"""
@title Anchors: the heads of the members' journals
@license Apache-2.0
@notice A journal is an append-only RFC 9162 Merkle log that one party keeps for itself. Its writer
        anchors heads (size and root) here. A new head is accepted only when it is larger than the
        one before and carries a consistency proof from it, checked by this contract: a journal
        whose head stands here cannot be rolled back or rewritten without everyone seeing it.
@dev    * Who may anchor is asked of `Members` at every anchor: a suspended or departed party has no
          writer, so it cannot anchor.
        * Every anchored root stays readable by its size for ever, so a proof made against an old
          head never goes stale.
        * After a compromise the members open a new *epoch* of a journal. The new epoch starts from
          any size without a proof; the heads and roots of all epochs before stay readable.
        * The block of an anchoring is kept in storage for the head of each epoch only, because a
          second word for every root would cost 22,100 gas more each time. For any other root it is
          the block of its `Anchored` event, and every such event names the block of the one before
          it: the history can be walked back from a head by single-block log queries.
        * This contract has no owner, holds no funds and cannot be changed.
"""

interface MembersView:
    def writer_and_epoch(journal: bytes32) -> (address, uint64): view


event Anchored:
    journal: indexed(bytes32)
    size: indexed(uint64)
    epoch: indexed(uint64)
    root: bytes32
    previous_size: uint64
    previous_block: uint64


# A path of 64 nodes reaches the root from any leaf of a tree of 2**64 - 1 leaves; a consistency
# proof carries one more, the node that it starts from.
MAX_PATH: constant(uint256) = 64
MAX_PROOF: constant(uint256) = 65
# `Members` opens no more epochs than this for one journal.
MAX_EPOCHS: constant(uint256) = 64
MASK_64: constant(uint256) = 2**64 - 1

# @notice The contract that says who writes which journal, and in which epoch it is.
members: public(immutable(address))

# journal -> epoch << 64 | size -> root
_roots: HashMap[bytes32, HashMap[uint256, bytes32]]
# journal -> epoch -> block << 64 | size, of the head
_heads: HashMap[bytes32, HashMap[uint64, uint256]]


@deploy
def __init__(members_: address):
    """
    @notice Bind the anchors to one `Members` contract, for ever.
    @param members_ Address of `Members`; it must hold code.
    """
    assert members_.is_contract, "anchors: members is not a contract"
    members = members_


@external
def anchor(journal: bytes32, size: uint64, root: bytes32, proof: DynArray[bytes32, MAX_PROOF]):
    """
    @notice Anchor a new head of a journal.
    @dev    Only the writer that `Members` binds to the journal. Emits `Anchored`.
            Gas for the whole transaction: see tests/contracts/gas.json.
    @param journal SHA-256 of the journal's origin.
    @param size Number of statements; larger than the head's of this epoch.
    @param root RFC 9162 root of the first `size` statements.
    @param proof Consistency proof (RFC 9162 section 2.1.4) from the head of this epoch; empty for
           the first head of an epoch.
    """
    writer: address = empty(address)
    epoch: uint64 = 0
    writer, epoch = staticcall MembersView(members).writer_and_epoch(journal)
    assert msg.sender == writer, "anchors: not the writer"
    # A root of zero could not be told from no root at all.
    assert root != empty(bytes32), "anchors: root is empty"

    head: uint256 = self._heads[journal][epoch]
    old: uint256 = head & MASK_64
    new: uint256 = convert(size, uint256)
    assert new > old, "anchors: size must grow"
    place: uint256 = convert(epoch, uint256) << 64
    if old == 0:
        assert len(proof) == 0, "anchors: first head takes no proof"
    else:
        self._check_consistency(old, new, self._roots[journal][place | old], root, proof)

    self._roots[journal][place | new] = root
    self._heads[journal][epoch] = (block.number << 64) | new
    log Anchored(
        journal=journal,
        size=size,
        epoch=epoch,
        root=root,
        previous_size=convert(old, uint64),
        previous_block=convert(head >> 64, uint64),
    )


@external
@view
def heads(journal: bytes32) -> (uint64, bytes32, uint64):
    """
    @notice The head of the journal's current epoch.
    @dev    Anyone. All zero when nothing is anchored in the current epoch.
    @param journal SHA-256 of the journal's origin.
    @return Size, root and block of the anchoring.
    """
    return self._head(journal, self._epoch(journal))


@external
@view
def head_in(journal: bytes32, epoch: uint64) -> (uint64, bytes32, uint64):
    """
    @notice The last head of one epoch of a journal; epochs that are over stay visible.
    @dev    Anyone.
    @param journal SHA-256 of the journal's origin.
    @param epoch Number of the epoch, from 1.
    @return Size, root and block of the anchoring; all zero when that epoch has none.
    """
    return self._head(journal, epoch)


@external
@view
def epoch(journal: bytes32) -> uint64:
    """
    @notice The journal's current epoch, as `Members` says: 1 at first, 0 for an unknown journal.
    @dev    Anyone.
    @param journal SHA-256 of the journal's origin.
    @return Number of the epoch.
    """
    return self._epoch(journal)


@external
@view
def roots(journal: bytes32, size: uint64) -> bytes32:
    """
    @notice The root anchored at a size, in the latest epoch that anchored that size.
    @dev    Anyone. Where two epochs anchored one size, `root_in` tells them apart.
    @param journal SHA-256 of the journal's origin.
    @param size Number of statements.
    @return The root; zero when that size was never anchored.
    """
    current: uint256 = convert(self._epoch(journal), uint256)
    for back: uint256 in range(MAX_EPOCHS):
        if back >= current:
            break
        root: bytes32 = self._roots[journal][((current - back) << 64) | convert(size, uint256)]
        if root != empty(bytes32):
            return root
    return empty(bytes32)


@external
@view
def root_in(journal: bytes32, epoch: uint64, size: uint64) -> bytes32:
    """
    @notice The root anchored at a size in one epoch.
    @dev    Anyone.
    @param journal SHA-256 of the journal's origin.
    @param epoch Number of the epoch, from 1.
    @param size Number of statements.
    @return The root; zero when that size was not anchored in that epoch.
    """
    return self._roots[journal][(convert(epoch, uint256) << 64) | convert(size, uint256)]


@external
@view
def epoch_of(journal: bytes32, size: uint64, root: bytes32) -> uint64:
    """
    @notice The latest epoch in which this very head was anchored.
    @dev    Anyone. Never goes stale: no later anchor and no new epoch changes a non-zero answer to zero.
    @param journal SHA-256 of the journal's origin.
    @param size Number of statements.
    @param root RFC 9162 root.
    @return Number of the epoch, from 1; 0 when it was never anchored.
    """
    return self._epoch_of(journal, convert(size, uint256), root)


@external
@view
def includes(
    journal: bytes32, size: uint64, index: uint64, leaf: bytes32, proof: DynArray[bytes32, MAX_PATH]
) -> bool:
    """
    @notice Whether a statement stands in a journal under a head that was anchored, in any epoch.
    @dev    Anyone. Never goes stale. A caller that distrusts epochs that are over uses `includes_in`.
    @param journal SHA-256 of the journal's origin.
    @param size Size of an anchored head; it need not be the last.
    @param index Place of the statement, from 0.
    @param leaf RFC 9162 leaf hash of the statement (its id).
    @param proof Inclusion proof (RFC 9162 section 2.1.3).
    @return True when the proof leads from the leaf to a root anchored at that size.
    """
    fits: bool = False
    root: bytes32 = empty(bytes32)
    fits, root = self._inclusion_root(size, index, leaf, proof)
    return fits and self._epoch_of(journal, convert(size, uint256), root) != 0


@external
@view
def includes_in(
    journal: bytes32,
    epoch: uint64,
    size: uint64,
    index: uint64,
    leaf: bytes32,
    proof: DynArray[bytes32, MAX_PATH],
) -> bool:
    """
    @notice Whether a statement stands in a journal under a head that was anchored in one epoch.
    @dev    Anyone.
    @param journal SHA-256 of the journal's origin.
    @param epoch Number of the epoch, from 1.
    @param size Size of an anchored head; it need not be the last.
    @param index Place of the statement, from 0.
    @param leaf RFC 9162 leaf hash of the statement (its id).
    @param proof Inclusion proof (RFC 9162 section 2.1.3).
    @return True when the proof leads from the leaf to the root anchored at that size in that epoch.
    """
    fits: bool = False
    root: bytes32 = empty(bytes32)
    fits, root = self._inclusion_root(size, index, leaf, proof)
    place: uint256 = (convert(epoch, uint256) << 64) | convert(size, uint256)
    return fits and root != empty(bytes32) and self._roots[journal][place] == root


@internal
@view
def _epoch(journal: bytes32) -> uint64:
    writer: address = empty(address)
    epoch: uint64 = 0
    writer, epoch = staticcall MembersView(members).writer_and_epoch(journal)
    return epoch


@internal
@view
def _head(journal: bytes32, epoch: uint64) -> (uint64, bytes32, uint64):
    head: uint256 = self._heads[journal][epoch]
    size: uint256 = head & MASK_64
    root: bytes32 = self._roots[journal][(convert(epoch, uint256) << 64) | size]
    return convert(size, uint64), root, convert(head >> 64, uint64)


@internal
@view
def _epoch_of(journal: bytes32, size: uint256, root: bytes32) -> uint64:
    if root == empty(bytes32):
        return 0
    current: uint256 = convert(self._epoch(journal), uint256)
    for back: uint256 in range(MAX_EPOCHS):
        if back >= current:
            break
        if self._roots[journal][((current - back) << 64) | size] == root:
            return convert(current - back, uint64)
    return 0


@internal
@pure
def _check_consistency(
    old: uint256, new: uint256, old_root: bytes32, new_root: bytes32, proof: DynArray[bytes32, MAX_PROOF]
):
    # RFC 9162 section 2.1.4.2, for 0 < old < new. `fn` and `sn` are the RFC's names.
    assert len(proof) != 0, "anchors: consistency proof is missing"
    fn: uint256 = old - 1
    sn: uint256 = new - 1
    for _: uint256 in range(64):
        if fn & 1 == 0:
            break
        fn = fn >> 1
        sn = sn >> 1

    # Step 2: where the old size is a power of two, its root is the first node and is not sent.
    fr: bytes32 = old_root
    sr: bytes32 = old_root
    skip: bool = False
    if old & (old - 1) != 0:
        fr = proof[0]
        sr = proof[0]
        skip = True

    for node: bytes32 in proof:
        if skip:
            skip = False
            continue
        assert sn != 0, "anchors: consistency proof is too long"
        # The RFC's "LSB(fn) is set, or fn equals sn" as two branches: the frequent one tests once.
        if fn & 1 == 1:
            fr = sha256(concat(x"01", node, fr))
            sr = sha256(concat(x"01", node, sr))
        elif fn == sn:
            fr = sha256(concat(x"01", node, fr))
            sr = sha256(concat(x"01", node, sr))
            for _: uint256 in range(64):
                fn = fn >> 1
                sn = sn >> 1
                if fn & 1 == 1 or fn == 0:
                    break
        else:
            sr = sha256(concat(x"01", sr, node))
        fn = fn >> 1
        sn = sn >> 1

    assert sn == 0, "anchors: consistency proof is too short"
    assert fr == old_root and sr == new_root, "anchors: history changed"


@internal
@pure
def _inclusion_root(
    size: uint64, index: uint64, leaf: bytes32, proof: DynArray[bytes32, MAX_PATH]
) -> (bool, bytes32):
    # RFC 9162 section 2.1.3.2; False when the path has not the length that index and size ask for.
    if index >= size:
        return False, empty(bytes32)
    fn: uint256 = convert(index, uint256)
    sn: uint256 = convert(size, uint256) - 1
    root: bytes32 = leaf
    for node: bytes32 in proof:
        if sn == 0:
            return False, empty(bytes32)
        if fn & 1 == 1 or fn == sn:
            root = sha256(concat(x"01", node, root))
            for _: uint256 in range(64):
                if fn & 1 == 1 or fn == 0:
                    break
                fn = fn >> 1
                sn = sn >> 1
        else:
            root = sha256(concat(x"01", root, node))
        fn = fn >> 1
        sn = sn >> 1
    return sn == 0, root
