"""A second verifier, written from FORMATS.md alone: the standard library and `cryptography`, nothing of ours.

It is slow and plain on purpose. `verify_receipt` says per topic what is proved, claimed or missing, or raises
`RefusedError`; the section numbers are those of FORMATS.md.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import unicodedata
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519

ROLES = {"author", "card", "chain", "log", "seal", "witness"}
P = 2**255 - 19
ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


class RefusedError(Exception):
    """Malformed or false."""


def need(condition: object, why: str) -> None:
    if not condition:
        raise RefusedError(why)


def sha(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


# 1. JSON profile


def canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def check_profile(value: Any, depth: int = 8) -> None:
    if type(value) in (dict, list):
        need(depth > 0, "too deep")
        for item in value.values() if type(value) is dict else value:
            check_profile(item, depth - 1)
        if type(value) is dict:
            need(all(re.fullmatch("[ -~]+", key) for key in value), "a key is not printable ASCII")
    elif type(value) is int:
        need(abs(value) < 2**53, "an integer is too large")
    else:
        need(value is None or type(value) in (str, bool), "another type")


def parse_json(data: bytes, limit: int = 64 * 2**20) -> Any:
    need(len(data) <= limit, "too long")
    try:
        value = json.loads(data.decode())
        check_profile(value)
        need(canonical(value) == data, "not canonical")
    except (ValueError, RecursionError) as error:
        raise RefusedError("not JSON") from error
    return value


def b64(text: Any, size: int | None = None, *, url: bool = False) -> bytes:
    need(type(text) is str and text.isascii(), "not base64")
    standard = text
    if url:
        need(not set(text) & set("+/="), "not base64url")
        standard = text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4)
    try:
        data = base64.b64decode(standard, validate=True)
    except ValueError as error:
        raise RefusedError("not base64") from error
    need(base64.b64encode(data).decode() == standard, "spare bits")
    need(size is None or len(data) == size, "wrong length")
    return data


def document(data: bytes, name: str, required: set[str], optional: frozenset[str] = frozenset()) -> Any:
    value = parse_json(data.removesuffix(b"\n"))
    need(type(value) is dict and value.get("type") == name, "another document")
    need(type(value.get("v")) is int and value["v"] == 1, "another version")
    need(required <= set(value) <= required | optional | {"type", "v"}, "fields")
    return value


# 2. Merkle tree: the recursive definitions of RFC 9162, read backwards


def split(size: int) -> int:
    return 1 << (size - 1).bit_length() - 1


def root_of_path(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    need(0 <= index < size and all(len(step) == 32 for step in path), "no such leaf")
    if size == 1:
        need(not path, "path too long")
        return leaf
    need(path, "path too short")
    half = split(size)
    if index < half:
        return sha(b"\x01", root_of_path(leaf, index, half, path[:-1]), path[-1])
    return sha(b"\x01", path[-1], root_of_path(leaf, index - half, size - half, path[:-1]))


def check_consistency(old: tuple[int, bytes], new: tuple[int, bytes], path: list[bytes]) -> None:
    need(0 < old[0] <= new[0] and all(len(step) == 32 for step in path), "sizes")
    if old[0] == new[0]:
        need(not path and old[1] == new[1], "two roots at one size")
        return
    need(_both_roots(old[0], new[0], list(path), old[1], whole=True) == (old[1], new[1]), "not consistent")


def _both_roots(old: int, new: int, path: list[bytes], seed: bytes, *, whole: bool) -> tuple[bytes, bytes]:
    """SUBPROOF of section 2.1.4.1, from its end: old and new root of one subtree."""
    if old == new:
        need(not path if whole else len(path) == 1, "length")
        return (seed, seed) if whole else (path[0], path[0])
    need(path, "too short")
    half, last = split(new), path[-1]
    if old <= half:
        left, right = _both_roots(old, half, path[:-1], seed, whole=whole)
        return left, sha(b"\x01", right, last)
    left, right = _both_roots(old - half, new - half, path[:-1], seed, whole=False)
    return sha(b"\x01", last, left), sha(b"\x01", last, right)


# 3. Keys


def _add(p: tuple[int, int], q: tuple[int, int]) -> tuple[int, int]:
    d = -121665 * pow(121666, -1, P) % P
    k = d * p[0] * q[0] * p[1] * q[1] % P
    x = (p[0] * q[1] + q[0] * p[1]) * pow(1 + k, -1, P) % P
    return x, (p[1] * q[1] + p[0] * q[0]) * pow(1 - k, -1, P) % P


def check_key(role: str, key: bytes) -> None:
    need(len(key) == (33 if role == "chain" else 32), "length of a key")
    try:
        if role == "chain":
            ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), key)
        elif role == "seal":
            x25519.X25519PrivateKey.generate().exchange(x25519.X25519PublicKey.from_public_bytes(key))
        else:
            y = int.from_bytes(key, "little") & (2**255 - 1)
            need(y < P, "not canonical")
            d = -121665 * pow(121666, -1, P) % P
            xx = (y * y - 1) * pow(d * y * y + 1, -1, P) % P
            x = pow(xx, (P + 3) // 8, P)
            x = x if x * x % P == xx else x * pow(2, (P - 1) // 4, P) % P
            need(x * x % P == xx, "not on the curve")
            point = (x, y)
            for _ in range(3):
                point = _add(point, point)
            need(point != (0, 1), "small order")
    except ValueError as error:
        raise RefusedError("not a key") from error


def did_key(key: bytes) -> str:
    number, text = int.from_bytes(b"\xed\x01" + key, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = ALPHABET[digit] + text
    return "did:key:z" + text


# 4. Signed notes


def parse_note(data: bytes) -> tuple[str, list[tuple[str, bytes, bytes]]]:
    need(len(data) <= 64 * 1024, "a note is too long")
    try:
        whole = data.decode()
    except ValueError as error:
        raise RefusedError("not UTF-8") from error
    need(not re.search("[\x00-\x09\x0b-\x1f]", whole), "control characters")
    text, separator, signatures = whole.rpartition("\n\n")
    need(separator and text and signatures.endswith("\n"), "no note")
    lines = []
    for line in signatures[:-1].split("\n"):
        parts = line.split(" ")
        need(len(parts) == 3 and parts[0] == "\N{EM DASH}", "no signature line")
        need(parts[1] and "+" not in parts[1] and parts[1].isprintable(), "no key name")
        need(not any(character.isspace() for character in parts[1]), "no key name")
        raw = b64(parts[2])
        need(len(raw) > 4, "no signature")
        lines.append((parts[1], raw[:4], raw[4:]))
    need(len(lines) <= 64, "too many signatures")
    return text + "\n", lines


def signers(data: bytes, keys: dict[tuple[str, int], list[bytes]]) -> dict[bytes, int]:
    """The known keys, by (name, type), that signed a note, each with its time."""
    text, lines = parse_note(data)
    known = {
        (name, sha(name.encode(), b"\n", bytes([kind]), key)[:4]): (kind, key)
        for (name, kind), some in keys.items()
        for key in some
    }
    signed: dict[bytes, int] = {}
    for name, key_id, signature in lines:
        if (name, key_id) not in known:
            continue
        kind, key = known[name, key_id]
        need(key not in signed, "signed twice")
        time_s, message = 0, text.encode()
        if kind == 4:
            time_s, signature = int.from_bytes(signature[:8], "big"), signature[8:]
            need(0 < time_s < 2**63, "a cosignature's time")
            message = f"cosignature/v1\ntime {time_s}\n{text}".encode()
        try:
            need(len(signature) == 64, "length of a signature")
            ed25519.Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
        except (InvalidSignature, ValueError) as error:
            raise RefusedError("a false signature") from error
        signed[key] = time_s
    return signed


# 5. Cards


def check_cards(notes: list[str]) -> list[dict[str, Any]]:
    need(type(notes) is list and 1 <= len(notes) <= 64, "number of cards")
    cards: list[dict[str, Any]] = []
    roles: dict[bytes, str] = {}
    for note in notes:
        need(type(note) is str and len(note.encode()) <= 8192, "size of a card")
        lines = parse_note(note.encode())[0].split("\n")
        need(len(lines) == 3 and lines[0] == "tallystick/card/v1" and not lines[2], "no card")
        card = parse_json(lines[1].encode())
        fields = {"party", "number", "before", "name", "journal", "keys", "since", "revoked"}
        need(type(card) is dict and set(card) == fields, "fields of a card")
        keys, name, journal = card["keys"], card["name"], card["journal"]
        need(type(keys) is dict and set(keys) == ROLES, "roles")
        card["keys"] = {role: b64(text, url=True) for role, text in keys.items()}
        need(type(name) is str and 1 <= len(name) <= 100 and name == name.strip(), "name")
        need(unicodedata.is_normalized("NFC", name), "name")
        kinds = {unicodedata.category(character) for character in name}
        need(not any(kind[0] == "C" or kind in ("Zl", "Zp") for kind in kinds), "name")
        need(type(journal) is str and re.fullmatch("[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?", journal), "journal")
        need(type(card["since"]) is int and card["since"] >= 0, "since")
        revoked = card["revoked"]
        need(type(revoked) is list and all(type(key) is str for key in revoked), "revoked")
        need(revoked == sorted(set(revoked)), "revoked")
        card["revoked"] = {b64(key, url=True) for key in revoked}
        for role, key in card["keys"].items():
            check_key(role, key)
            need(roles.setdefault(key, role) == role, "a key in two roles")
        need(len(set(card["keys"].values())) == len(ROLES), "a key twice")
        number, last = len(cards) + 1, cards[-1] if cards else card
        need(type(card["number"]) is int and card["number"] == number, "number")
        need((card["party"], journal) == (last["party"], last["journal"]), "another party")
        need(card["before"] == ("" if number == 1 else sha(notes[number - 2].encode()).hex()), "before")
        need(card["since"] >= last["since"], "since")
        need(number > 1 or card["party"] == did_key(card["keys"]["card"]), "id")
        wanted = {last["keys"]["card"], card["keys"]["card"]}
        need(set(signers(note.encode(), {(card["party"], 1): list(wanted)})) == wanted, "signatures")
        cards.append(card)
    return cards


def log_key(cards: list[dict[str, Any]], size: int) -> bytes:
    valid = [card["keys"]["log"] for card in cards if card["since"] <= size]
    need(valid, "no log key")
    return valid[-1]


# 6. and 7. Statements and commitments


def parse_statement(data: bytes) -> dict[str, Any]:
    statement = parse_json(data, 65_535)
    fields = {"at", "body", "kind", "links", "origin", "v"}
    need(type(statement) is dict and type(statement.get("v")) is int and statement["v"] == 1, "version")
    need(set(statement) - {"payload"} == fields and type(statement["body"]) is dict, "fields")
    need(type(statement["at"]) is int and statement["at"] > 0, "at")
    for name, pattern in (
        ("kind", r"[a-z][a-z0-9-]{0,63}\.[a-z][a-z0-9]{0,31}"),
        ("origin", f"did:key:z[{ALPHABET}]{{1,70}}/[a-z0-9](?:[a-z0-9-]{{0,62}}[a-z0-9])?"),
    ):
        need(type(statement[name]) is str and re.fullmatch(pattern, statement[name]), name)
    links = statement["links"]
    need(type(links) is dict, "links")
    for label, ids in links.items():
        need(re.fullmatch("[a-z][a-z0-9_]{0,31}", label) and type(ids) is list and ids, "links")
        need(all(type(link) is str and re.fullmatch("[0-9a-f]{64}", link) for link in ids), "links")
        need(len(set(ids)) == len(ids), "links")
    need(sum(len(ids) for ids in links.values()) <= 400, "links")
    if "payload" in statement:
        payload = statement["payload"]
        need(type(payload) is dict, "payload")
        need(set(payload) == {"commitment", "form", "media", "nonce", "size"}, "payload")
        b64(payload["commitment"], 32, url=True)
        b64(payload["nonce"], 16, url=True)
        size, media = payload["size"], payload["media"]
        need(payload["form"] in ("bytes", "fields") and type(media) is str, "payload")
        need(re.fullmatch("[a-z0-9.+-]{1,60}/[a-z0-9.+-]{1,60}", media), "media")
        need(type(size) is int and size > 0 and size & (size - 1) == 0, "size")
    return statement


def commit(salt: bytes, content: bytes) -> bytes:
    return sha(b"tallystick/commitment/v1\0", salt, content)


def field_hash(salt: bytes, path: str, value: Any) -> bytes:
    return sha(b"tallystick/field/v1\0", salt, path.encode(), b"\0", canonical(value))


def commit_fields(leaves: dict[str, Any], record_salt: bytes) -> bytes:
    stream = hashlib.shake_256(b"tallystick/salts/v1\0" + record_salt).digest(32 + 32 * len(leaves))
    own = {path: stream[32 * n : 32 * n + 32] for n, path in enumerate(sorted(leaves), start=1)}
    hashes = sorted(field_hash(own[path], path, value) for path, value in leaves.items())
    return commit(stream[:32], b"".join(hashes))


def open_payload(payload: dict[str, Any], opening: Any) -> Any:
    """What an opening shows: a dictionary of fields, bytes, or None."""
    need(type(opening) is dict, "opening")
    commitment = b64(payload["commitment"], 32, url=True)
    if payload["form"] == "bytes":
        need("salt" in opening and set(opening) <= {"salt", "payload"}, "opening")
        salt = b64(opening["salt"], 32, url=True)
        if "payload" not in opening:
            return None
        content = b64(opening["payload"])
        need(commit(salt, content) == commitment, "another payload")
        return content
    need(set(opening) == {"fields", "hashes", "salt"}, "opening")
    need(type(opening["fields"]) is list and type(opening["hashes"]) is list, "opening")
    hashes = [b64(text, 32, url=True) for text in opening["hashes"]]
    need(hashes == sorted(set(hashes)), "hashes")
    need(commit(b64(opening["salt"], 32, url=True), b"".join(hashes)) == commitment, "another list")
    shown: dict[str, Any] = {}
    for item in opening["fields"]:
        need(type(item) is dict and set(item) == {"path", "salt", "value"}, "field")
        path = item["path"]
        need(type(path) is str and re.fullmatch("[ -~]{0,300}", path) and path not in shown, "path")
        need(field_hash(b64(item["salt"], 32, url=True), path, item["value"]) in hashes, "another value")
        shown[path] = item["value"]
    return shown


# 8. to 11. Checkpoints, receipts, anchors, policies


def parse_checkpoint(note: str) -> tuple[str, int, bytes]:
    lines = parse_note(note.encode())[0].split("\n")
    need(len(lines) == 4 and lines[0] and not lines[3], "no checkpoint")
    return lines[0], decimal(lines[1]), b64(lines[2], 32)


def decimal(text: str) -> int:
    need(re.fullmatch("0|[1-9][0-9]{0,18}", text) and int(text) < 2**62, "no size")
    return int(text)


def parse_policy(data: bytes) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        need(len(dict(pairs)) == len(pairs), "a field twice")
        return dict(pairs)

    try:
        policy = json.loads(data, object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise RefusedError("not JSON") from error
    need(
        type(policy) is dict and policy.get("type") == "tallystick/policy" and policy.get("v") == 1, "policy"
    )
    need(
        {"name", "parties"} <= set(policy) <= {"type", "v", "name", "parties", "witnesses", "anchor", "ask"},
        "fields",
    )
    parties = {party["name"]: check_cards(party["cards"])[0]["party"] for party in policy["parties"]}
    need(len(set(parties.values())) == len(policy["parties"]), "a party twice")
    policy["pinned"] = {parties[party["name"]]: party["cards"] for party in policy["parties"]}
    ask, anchor = policy.setdefault("ask", ["party"]), policy.get("anchor")
    need(set(ask) <= {"party", "witnesses", "anchor", "payload"}, "ask")
    need("witnesses" not in ask or "witnesses" in policy, "ask")
    need("anchor" not in ask or (anchor and not anchor["local"]), "ask")
    if "witnesses" in policy:
        quorum = policy["witnesses"]
        need(set(quorum["parties"]) <= set(parties), "witnesses")
        quorum["ids"] = [parties[name] for name in quorum["parties"]]
        need(len(set(quorum["ids"])) == len(quorum["ids"]) and quorum["need"] > 0, "witnesses")
        for party in parties.values():
            need(quorum_holds(policy, party), "a quorum that cannot be met, or that two histories can have")
    return policy


def quorum_holds(policy: dict[str, Any], party: str, signed: int | None = None) -> bool:
    quorum = policy["witnesses"]
    members = len([other for other in quorum["ids"] if other != party])
    k = quorum["need"]
    return k <= members and 2 * k > members + quorum.get("faulty", 0) and (signed is None or signed >= k)


def cosigners(note: str, policy: dict[str, Any] | None, party: str, chains: dict[str, Any]) -> list[str]:
    """The policy's witnesses, other than the party itself, with an unrevoked key under this note."""
    found = []
    for other in policy["witnesses"]["ids"] if policy and "witnesses" in policy else []:
        cards = chains[other]
        revoked = set().union(*(card["revoked"] for card in cards))
        keys = [key for key in {card["keys"]["witness"] for card in cards} if key not in revoked]
        if other != party and signers(note.encode(), {(f"{other}/witness", 4): keys}):
            found.append(other)
    return found


def check_anchor(claim: Any, index: int, head: tuple[int, bytes]) -> None:
    fields = {"block", "block_hash", "chain_id", "consistency", "contract", "genesis", "root", "size"}
    need(type(claim) is dict and set(claim) - {"note"} == fields, "anchor")
    need(
        all(type(claim[name]) is int and claim[name] >= 0 for name in ("block", "chain_id", "size")), "anchor"
    )
    for name, digits in (("block_hash", 64), ("genesis", 64), ("contract", 40)):
        need(type(claim[name]) is str and re.fullmatch(f"0x[0-9a-f]{{{digits}}}", claim[name]), "anchor")
    need(type(claim["consistency"]) is list and type(claim.get("note", "x")) is str, "anchor")
    need(claim.get("note", "x"), "anchor")
    anchored, path = (claim["size"], b64(claim["root"], 32)), [b64(step, 32) for step in claim["consistency"]]
    need(index < claim["size"], "the anchor is of a head before this statement")
    check_consistency(*sorted([head, anchored], key=lambda one: one[0]), path)


def anchor_standing(claim: dict[str, Any], origin: str, policy: dict[str, Any] | None, chains: Any) -> str:
    wanted = policy.get("anchor") if policy else None
    if not wanted or any(claim[name] != wanted[name] for name in ("chain_id", "genesis", "contract")):
        return "claimed"
    if "note" not in claim or "witnesses" not in policy:
        return "claimed"
    text = (
        f"tallystick/anchor/v1\nchain {claim['chain_id']}\ngenesis {claim['genesis']}\n"
        f"contract {claim['contract']}\nblock {claim['block']} {claim['block_hash']}\n"
        f"journal {origin}\nsize {claim['size']}\nroot {claim['root']}\n"
    )
    need(parse_note(claim["note"].encode())[0] == text, "a note of another anchor")
    party = origin.split("/")[0]
    signed = len(cosigners(claim["note"], policy, party, chains))
    return "proved" if quorum_holds(policy, party, signed) and not wanted["local"] else "claimed"


def verify_receipt(data: bytes, policy_data: bytes | None = None) -> dict[str, str]:
    """Say per topic what is proved, claimed or missing.

    Raises:
        RefusedError: malformed, false, or the policy asks what is not proved.
    """
    policy = parse_policy(policy_data) if policy_data is not None else None
    fields = {"cards", "proof", "statement"}
    receipt = document(data, "tallystick/receipt", fields, frozenset({"anchor", "opening"}))
    raw = b64(receipt["statement"])
    statement = parse_statement(raw)
    origin, party = statement["origin"], statement["origin"].split("/")[0]
    need(type(receipt["proof"]) is str and type(receipt["cards"]) is dict, "receipt")
    top, _, note = receipt["proof"].partition("\n\n")
    lines = top.split("\n")
    need(
        lines[0] == "c2sp.org/tlog-proof@v1" and lines[1:] and lines[1].startswith("index "), "no tlog-proof"
    )
    index, path = decimal(lines[1][6:]), [b64(line, 32) for line in lines[2:]]
    head_origin, size, root = parse_checkpoint(note)
    pinned = policy["pinned"] if policy else {}
    chains = {}
    for other in {*receipt["cards"], *pinned}:
        some = sorted([receipt["cards"].get(other, []), pinned.get(other, [])], key=len)
        need(some[1][: len(some[0])] == some[0], "two card chains of one party")
        chains[other] = check_cards(some[1])
        need(chains[other][0]["party"] == other, "cards of another party")
    need(party in chains, "no card")
    need(origin == head_origin == f"{party}/{chains[party][-1]['journal']}", "another journal")
    need(root_of_path(sha(b"\0", raw), index, size, path) == root, "not in the tree")
    key = log_key(chains[party], size)
    need(signers(note.encode(), {(origin, 1): [key]}), "not signed by the journal")
    found = {"witnesses": "missing", "anchor": "missing"}
    signed = cosigners(note, policy, party, chains)
    if signed and quorum_holds(policy, party, len(signed)):  # type: ignore[arg-type]
        found["witnesses"] = "proved"
    else:
        everybody = {"witnesses": {"ids": [other for other in receipt["cards"] if other != party]}}
        if signed or cosigners(note, everybody, party, chains):
            found["witnesses"] = "claimed"
    if "anchor" in receipt:
        check_anchor(receipt["anchor"], index, (size, root))
        found["anchor"] = anchor_standing(receipt["anchor"], origin, policy, chains)
    revoked = any(key in card["revoked"] for card in chains[party])
    doubtful = revoked and "proved" not in found.values()
    found["inclusion"] = "claimed" if doubtful else "proved"
    found["party"] = "proved" if party in pinned and not doubtful else "claimed"
    if "payload" in statement:
        shown = open_payload(statement["payload"], receipt["opening"]) if "opening" in receipt else None
        found["payload"] = "proved" if shown or shown == b"" else "claimed"
    need("payload" in statement or "opening" not in receipt, "nothing to open")
    asked = ["inclusion", *policy["ask"]] if policy else []
    need(all(found.get(topic) == "proved" for topic in asked), "the policy asks more")
    return found


# 12. Evidence of a fork


def check_fork(data: bytes) -> None:
    optional = frozenset({"checkpoints", "cards", "consistency", "receipts", "root"})
    fork = document(data, "tallystick/fork", set(), optional)
    if "receipts" in fork:
        halves = []
        for text in fork["receipts"]:
            raw = b64(text)
            verify_receipt(raw)
            receipt = parse_json(raw)
            top, _, note = receipt["proof"].partition("\n\n")
            halves.append((parse_checkpoint(note), top.split("\n")[1], receipt["statement"]))
        (head, index, statement), (other, place, another) = halves
        need(head[0] == other[0], "two journals")
        split_view = head[1] == other[1] and head[2] != other[2]
        need(split_view or (index == place and statement != another), "one history")
        return
    cards = check_cards(fork["cards"])
    heads = [parse_checkpoint(note) for note in fork["checkpoints"]]
    need(len(heads) == 2, "two checkpoints")
    for note, (origin, size, _) in zip(fork["checkpoints"], heads, strict=True):
        need(origin == f"{cards[0]['party']}/{cards[0]['journal']}", "another journal")
        need(signers(note.encode(), {(origin, 1): [log_key(cards, size)]}), "not signed")
    (_, small, signed), (_, large, root) = heads
    if "consistency" not in fork:
        need(small == large and signed != root, "one history")
        return
    grown_from = b64(fork["root"])
    need(0 < small < large and grown_from != signed, "one history")
    check_consistency((small, grown_from), (large, root), [b64(step, 32) for step in fork["consistency"]])
