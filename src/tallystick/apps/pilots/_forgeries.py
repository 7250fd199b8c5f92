"""A dozen forgeries of the pilot's own evidence, made with everything that the forger could have.

Each is a file under `forged/`, verified by `tallystick verify` as it is installed. Most forgers here hold the
journal's real keys: a signature alone must not save them. A forgery counts as caught only when the genuine file
next to it is accepted by the same command, and the forged one is called false.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tallystick.node import Node
from tallystick.proof import (
    AnchorClaim,
    Checkpoint,
    Party,
    Receipt,
    Statement,
    add_cosignatures,
    cosign_note,
    decode_base64,
    encode_base64,
    format_note,
    format_statement,
    leaf_hash,
    node_hash,
    parse_checkpoint,
    parse_statement,
    root_of,
    sign_note,
)

from ._outsider import verify_plainly

__all__ = ["Evidence", "Forgery", "forge"]


@dataclass(frozen=True, slots=True)
class Evidence:
    """The genuine article, and what a forger would like it to say.

    Args:
        node: whose journal it is; the forger has its keys.
        decision: receipt of a decision, with its fields opened; at least two statements stand before it.
        model: receipt of the published model, its file opened.
        old: a checkpoint that the journal really signed, long ago.
        change: fields of the decision's body, as the forger would have them.
        field: path of a sealed field of the decision, and what the forger opens it to.
        mark: bytes of the model file behind which a character stands that can be another.
        peers: who the other parties are, in one word.
    """

    node: Node
    decision: Receipt
    model: Receipt
    old: Checkpoint
    change: Mapping[str, Any]
    field: tuple[str, Any]
    mark: bytes
    peers: str = "parties"


@dataclass(frozen=True, slots=True)
class Forgery:
    """One forgery.

    Args:
        name: short.
        what: what was done, for people.
        files: name -> bytes; all are verified together.
        options: further options of `verify`, such as `--rpc`.
        genuine: the receipt that must be accepted in the same way.
        payload: a payload file to go with it: forged and genuine bytes.
        named: whether the verifier uses its policy; some forgeries fail even for one who trusts nobody by name.
    """

    name: str
    what: str
    files: dict[str, bytes]
    genuine: Receipt
    options: tuple[str, ...] = ()
    payload: tuple[bytes, bytes] | None = None
    named: bool = True


def forge(evidence: Evidence, directory: Path, policy: Path, *, rpc: str) -> list[dict[str, Any]]:
    """Make all forgeries, verify each, and say what caught it.

    Args:
        evidence: what is forged.
        directory: `forged/`.
        policy: the verifier's policy.
        rpc: an endpoint of the verifier, for the forged anchor.

    Returns:
        Per forgery: name, what, files, caught, by.
    """
    forgeries = [*_of_the_journal(evidence), *_of_the_receipt(evidence, rpc), *_of_names(evidence)]
    made = [_written(forgery, directory) for forgery in forgeries]
    (directory / "README.txt").write_text(_guide(forgeries, made, rpc), encoding="utf-8")
    policies = [policy if forgery.named else None for forgery in forgeries]
    # Many forgeries are of the same file: each genuine one is verified once.
    pairs = {(control, whose) for (_, control, _), whose in zip(made, policies, strict=True)}
    controls = {
        (c, whose): verify_plainly([c[0]], whose, *c[1:]).code == (0 if whose else 3) for c, whose in pairs
    }
    with ThreadPoolExecutor(max_workers=2) as pool:
        verdicts = list(pool.map(lambda one, whose: verify_plainly(one[0], whose, *one[2]), made, policies))
    return [
        {
            "name": forgery.name,
            "what": forgery.what,
            "files": sorted(forgery.files),
            "caught": verdict.code == 1 and controls[one[1], whose],
            "by": verdict.error if controls[one[1], whose] else "nothing: the genuine file fails too",
        }
        for forgery, one, whose, verdict in zip(forgeries, made, policies, verdicts, strict=True)
    ]


def _guide(forgeries: Sequence[Forgery], made: Sequence[Any], rpc: str) -> str:
    """What to type for each forgery: some are false only beside another file, a payload or a chain."""
    lines = ["Forgeries, and what catches each. Typed in this directory, every `verify` ends with 1.", ""]
    for forgery, (files, _, options) in zip(forgeries, made, strict=True):
        words = [path.name for path in files] + (["--policy", "../policy.json"] if forgery.named else [])
        words += [option if option.startswith(("-", "http")) else Path(option).name for option in options]
        lines.append(f"{forgery.name}: {forgery.what}")
        if rpc in words:
            lines.append("  tallystick chain serve ../chain.sqlite   # in another terminal, first")
            words[words.index(rpc)] = "http://127.0.0.1:8545"
        lines += [f"  tallystick verify {' '.join(words)}", ""]
    return "\n".join(lines)


def _written(forgery: Forgery, directory: Path) -> tuple[list[Path], tuple[Any, ...], list[str]]:
    """Write a forgery's files; its forged files, its genuine file with options, the forged one's options."""
    genuine = directory / "genuine" / f"{forgery.genuine.statement.id}.receipt.json"
    if forgery.payload is not None:  # without its payload it is another file of the same statement
        genuine = genuine.with_name(f"{forgery.genuine.statement.id}.closed.receipt.json")
    files = [directory / name for name in forgery.files]
    for path, data in [(genuine, forgery.genuine.format()), *zip(files, forgery.files.values(), strict=True)]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    forged_options, genuine_options = list(forgery.options), list(forgery.options)
    if forgery.payload is not None:
        for options, place, data in (
            (forged_options, directory / "model.forged.json", forgery.payload[0]),
            (genuine_options, directory / "genuine" / "model.tsm", forgery.payload[1]),
        ):
            place.write_bytes(data)
            options += ["--payload", str(place)]
    return files, (genuine, *genuine_options), forged_options


def _signed(party: Party, size: int, root: bytes) -> Checkpoint:
    """A head signed with the journal's real key, by the one who holds it."""
    text = f"{party.origin}\n{size}\n{encode_base64(root)}\n"
    return parse_checkpoint(format_note(text, [sign_note(text, party.origin, party.signer("log"))]))


def _path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """An inclusion path by its definition (RFC 9162 section 2.1.3.1); a forger needs no speed."""
    if len(leaves) == 1:
        return []
    half = 1 << ((len(leaves) - 1).bit_length() - 1)
    if index < half:
        return [*_path(leaves[:half], index), root_of(leaves[half:])]
    return [*_path(leaves[half:], index - half), root_of(leaves[:half])]


def _under(
    receipt: Receipt, party: Party, leaves: Sequence[bytes], index: int, statement: Statement
) -> Receipt:
    """A receipt under a head that the journal's key signs over these leaves."""
    head = _signed(party, len(leaves), root_of(leaves))
    path = tuple(_path(leaves, index))
    return replace(
        receipt, statement=statement, index=index, path=path, checkpoint=head, anchor=None, opening=None
    )


def _changed(statement: Statement, change: Mapping[str, Any]) -> Statement:
    """The same statement with another body."""
    return format_statement(
        at=statement.at,
        kind=statement.kind,
        body={**statement.body, **change},
        origin=statement.origin,
        links={label: list(ids) for label, ids in statement.links.items()},
        payload=statement.payload,
    )


def _of_the_journal(evidence: Evidence) -> list[Forgery]:
    """What the operator of a journal can do with the journal's own keys."""
    party, genuine, index = evidence.node.party, evidence.decision, evidence.decision.index
    leaves = [bytes.fromhex(entry.id) for entry in evidence.node.journal.entries()]
    dropped = _under(genuine, party, leaves[: index + 1], index, genuine.statement)
    other = _changed(genuine.statement, evidence.change)
    twin = _under(
        genuine, party, [*leaves[:index], leaf_hash(other.bytes), *leaves[index + 1 :]], index, other
    )
    return [
        Forgery(
            "drop",
            "the last statements are cut off, the shorter journal is signed anew with its real key",
            {"drop.receipt.json": dropped.format()},
            genuine,
        ),
        Forgery(
            "swap",
            "two statements change places, signed anew; the witnesses' old lines are pasted under it",
            {"swap.receipt.json": _swapped(genuine, party, leaves).format()},
            genuine,
        ),
        Forgery(
            "rollback",
            "an old checkpoint, really signed once, is shown as if it were the newest",
            {"rollback.receipt.json": _rolled_back(evidence, leaves[: evidence.old.size]).format()},
            evidence.node.receipt(0),
        ),
        Forgery(
            "two histories",
            "another answer at the same place and size, signed with the real key, beside the first",
            {"history-1.receipt.json": genuine.format(), "history-2.receipt.json": twin.format()},
            genuine,
            named=False,
        ),
    ]


def _swapped(genuine: Receipt, party: Party, leaves: Sequence[bytes]) -> Receipt:
    """The decision and the statement before it change places, under the witnesses' real lines."""
    at, swapped = genuine.index, list(leaves)
    swapped[at - 1], swapped[at] = swapped[at], swapped[at - 1]
    forged = _under(genuine, party, swapped, at - 1, genuine.statement)
    own, witnesses = forged.checkpoint.parsed(), genuine.checkpoint.parsed().signatures[1:]
    return replace(forged, checkpoint=parse_checkpoint(format_note(own.text, [*own.signatures, *witnesses])))


def _rolled_back(evidence: Evidence, leaves: Sequence[bytes]) -> Receipt:
    """The first statement under a head that was really signed, long ago."""
    first = evidence.node.journal.statement(0)
    forged = _under(evidence.decision, evidence.node.party, leaves, 0, first)
    return replace(forged, checkpoint=evidence.old, path=tuple(_path(leaves, 0)))


def _of_the_receipt(evidence: Evidence, rpc: str) -> list[Forgery]:
    """What anybody can do with a file."""
    genuine, model = evidence.decision, evidence.model
    return [
        Forgery(
            "flip a byte",
            "one bit of the statement is another",
            {"byte.receipt.json": _flipped(genuine)},
            genuine,
        ),
        _recomputed(evidence),
        _opened(evidence),
        Forgery(
            "change the model",
            "one parameter of the model file is another",
            {"model.receipt.json": replace(model, opening=_salt_only(model)).format()},
            replace(model, opening=_salt_only(model)),
            payload=_model_files(model, evidence.mark),
        ),
        *_anchored(genuine, rpc),
    ]


def _flipped(genuine: Receipt) -> bytes:
    data = genuine.format()
    text = encode_base64(genuine.statement.bytes)
    # The last digit of `at`: still a statement of the profile, one bit away.
    body = genuine.statement.bytes
    place = body.index(b'"body"') - 2
    flipped = body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]
    parse_statement(flipped)
    return data.replace(text.encode(), encode_base64(flipped).encode())


def _recomputed(evidence: Evidence) -> Forgery:
    """Edit the statement, and compute path and root again so that every digest fits."""
    genuine = evidence.decision
    other = _changed(genuine.statement, evidence.change)
    root, index, last = leaf_hash(other.bytes), genuine.index, genuine.checkpoint.size - 1
    for sibling in genuine.path:  # RFC 9162 section 2.1.3.2
        if index & 1 or index == last:
            root = node_hash(sibling, root)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            root = node_hash(root, sibling)
        index, last = index >> 1, last >> 1
    note = genuine.checkpoint.parsed()
    text = f"{genuine.checkpoint.origin}\n{genuine.checkpoint.size}\n{encode_base64(root)}\n"
    head = parse_checkpoint(format_note(text, note.signatures))
    forged = replace(genuine, statement=other, checkpoint=head, anchor=None, opening=None)
    return Forgery(
        "recompute",
        "the statement is edited, and every digest is computed again so that all of them fit",
        {"recompute.receipt.json": forged.format()},
        genuine,
    )


def _opened(evidence: Evidence) -> Forgery:
    genuine, (path, value) = evidence.decision, evidence.field
    opening: dict[str, Any] = dict(genuine.opening or {})
    fields = [dict(item, value=value) if item["path"] == path else dict(item) for item in opening["fields"]]
    return Forgery(
        "open a field otherwise",
        f"the sealed field {path} is opened to another value",
        {"field.receipt.json": replace(genuine, opening={**opening, "fields": fields}).format()},
        genuine,
    )


def _salt_only(model: Receipt) -> dict[str, Any]:
    assert model.opening is not None
    return {"salt": model.opening["salt"]}


def _model_files(model: Receipt, mark: bytes) -> tuple[bytes, bytes]:
    assert model.opening is not None
    data = decode_base64(model.opening["payload"])
    place = data.index(mark) + len(mark)
    digit = next(at for at in range(place, len(data)) if data[at : at + 1].isalnum())
    other = b"1" if data[digit : digit + 1] != b"1" else b"2"
    return data[:digit] + other + data[digit + 1 :], data


def _anchored(genuine: Receipt, rpc: str) -> list[Forgery]:
    claim = genuine.anchor
    if claim is None:
        return []
    false_root = hashlib.sha256(b"another history").digest()
    moved = replace(claim, block=claim.block - 1)
    invented = replace(claim, size=genuine.checkpoint.size, root=false_root, consistency=())
    make: Callable[[AnchorClaim], bytes] = lambda anchor: replace(genuine, anchor=anchor).format()  # noqa: E731
    return [
        Forgery(
            "claim an anchor",
            "a receipt says that another root stands on the chain",
            {"anchor.receipt.json": make(invented)},
            genuine,
        ),
        Forgery(
            "date an anchor back",
            "a receipt says that its anchor stands in an earlier block; the verifier asks an endpoint",
            {"backdated.receipt.json": make(moved)},
            genuine,
            options=("--rpc", rpc),
        ),
    ]


def _of_names(evidence: Evidence) -> list[Forgery]:
    """Pretending to be somebody, or to have been seen by somebody."""
    node, genuine = evidence.node, evidence.decision
    impostor = Party.create(node.name)
    said = format_statement(
        at=genuine.statement.at,
        kind=genuine.statement.kind,
        body=dict(genuine.statement.body),
        origin=impostor.origin,
    )
    leaf = leaf_hash(said.bytes)
    alone = replace(_under(genuine, impostor, [leaf], 0, said), cards={impostor.id: impostor.cards})
    friends = [Party.create(peer.name) for peer in node.peers]
    head = genuine.checkpoint.parsed()
    bare = parse_checkpoint(format_note(head.text, head.signatures[:1]))
    lines = [
        cosign_note(
            head.text, friend.card.witness_name, friend.signer("witness"), time_s=said.at // 1_000_000
        )
        for friend in friends
    ]
    cards = {node.id: node.party.cards, **{friend.id: friend.cards for friend in friends}}
    crowd = replace(genuine, checkpoint=add_cosignatures(bare, lines), cards=cards)
    return [
        Forgery(
            f"call oneself {node.name}",
            "somebody with keys of his own signs under the same name",
            {"impostor.receipt.json": alone.format()},
            genuine,
        ),
        Forgery(
            "bring one's own witnesses",
            f"cosignatures by fresh keys under the other {evidence.peers}' names",
            {"crowd.receipt.json": crowd.format()},
            genuine,
        ),
    ]
