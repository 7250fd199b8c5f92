"""Other members' nodes over HTTP: their logs are read and checked, their witnesses asked. No word of theirs is believed.

- A log's head counts when its party's card, imported by hand, says whose key signed it.
- Every answer is bounded in bytes and in seconds, also one that comes a byte at a time; redirects are not followed.
"""

from __future__ import annotations

import hashlib
import http.client
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Final
from urllib.parse import urlsplit

from tallystick.errors import (
    ChainUnreachableError,
    ConfigurationError,
    EncodingError,
    EvidenceError,
    NodeUnreachableError,
    NoteError,
    NotFoundError,
    WitnessConflictError,
)
from tallystick.proof import (
    AnchorClaim,
    Card,
    Checkpoint,
    Receipt,
    TileTree,
    anchor_note_text,
    format_add_checkpoint,
    log_key_at,
    parse_checkpoint,
    parse_receipt,
    verify_cards,
    verify_checkpoint,
)

from ._peers import CardFile, parse_card_file

__all__ = ["RemoteNode", "check_head"]

ANSWER_LIMIT: Final = 20 * 1024 * 1024  # bytes: 256 entries of at most 64 KiB
_REFUSALS: Final = {
    400: "the witness cannot read the ask",
    403: "the witness does not take the head's signature: it may not have the newest card",
    404: "the witness does not know this party",
    409: "the witness has seen another head of this size",
    422: "the witness says that the head does not follow what it has seen",
    429: "the witness was asked too often",
}
_UNATTESTED: Final = {
    400: "the witness cannot read the ask",
    404: "the witness does not know this party, or attests no anchors",
    409: "the witness uses another chain or contract",
    422: "the witness's own node does not have this anchor",
    429: "the witness was asked too often",
}


class RemoteNode:
    """Another member's node.

    Args:
        url: where it listens: ``http`` or ``https``, a path is kept as prefix.
        key: an API key of theirs, for entries and receipts.
        timeout_s: that one answer may take, all of it.

    Raises:
        ConfigurationError: no such URL.
    """

    def __init__(self, url: str, *, key: str = "", timeout_s: float = 10.0) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.username:
            raise ConfigurationError("a node's address must be http(s)://host[:port][/path]")
        if timeout_s <= 0:
            raise ConfigurationError("a timeout must be > 0 seconds")
        self.url, self._parts, self._key, self._timeout_s = url.rstrip("/"), parts, key, timeout_s

    # -- its log -------------------------------------------------------------------------------------------

    def card(self) -> CardFile:
        """Read the party's cards. Whether it is the party that you mean, a fingerprint says."""
        return parse_card_file(self._get("/card"))

    def checkpoint(self, cards: Sequence[Card]) -> Checkpoint:
        """Read the newest head.

        Args:
            cards: all cards of the party.

        Raises:
            NoteError: not signed by the party's log key.
            NodeUnreachableError: no answer in time.
        """
        return check_head(self._get("/checkpoint"), cards)

    def seen(self, origin: str, cards: Sequence[Card]) -> Checkpoint | None:
        """Read the head that this member's witness remembers of another log; None for none."""
        try:
            note = self._get(f"/seen/{hashlib.sha256(origin.encode()).hexdigest()}")
        except NotFoundError:
            return None
        return check_head(note, cards)

    def tree(self, head: Checkpoint) -> TileTree:
        """Return the tree under a head, which reads tiles as it needs them."""
        return TileTree(head, lambda path: self._get(f"/{path}"))

    def entries(self, head: Checkpoint, start: int, stop: int) -> Iterator[bytes]:
        """Read entries, each hashed up to the head; needs a key."""
        return self.tree(head).entries(start, stop)

    def receipt(self, statement: str) -> Receipt:
        """Read a receipt, not yet verified; needs a key."""
        return parse_receipt(self._get(f"/v1/receipts/{statement}"))

    # -- its witness ---------------------------------------------------------------------------------------

    def add_checkpoint(self, head: Checkpoint, old_size: int, proof: Sequence[bytes]) -> bytes:
        """Ask for a cosignature (C2SP tlog-witness).

        Returns:
            Signature lines, not verified.

        Raises:
            WitnessConflictError: it has seen another size.
            EvidenceError: it refuses.
        """
        body = format_add_checkpoint(old_size, proof, head.note)
        status, content, kind = self._ask("POST", "/add-checkpoint", body)
        if status == 409 and kind == "text/x.tlog.size":
            digits = content.removesuffix(b"\n")
            if not digits.isdigit() or len(digits) > 19:
                raise EncodingError("a witness's conflict must tell the size that it has seen")
            raise WitnessConflictError("the witness has seen another size", size=int(digits))
        if status != 200:
            raise EvidenceError(_REFUSALS.get(status, f"the witness answered {status}"))
        return content

    def attest_anchor(self, claim: AnchorClaim, origin: str) -> bytes:
        """Ask for a line under an anchor's note: that this member read the anchor on its own node of the chain.

        Returns:
            Signature lines, not verified.

        Raises:
            NodeUnreachableError: no answer.
            ChainUnreachableError: its own node of the chain has not come so far: ask again.
            EvidenceError: it refuses.
        """
        status, content, _ = self._ask("POST", "/attest-anchor", anchor_note_text(claim, origin).encode())
        if status == 503:
            raise ChainUnreachableError(
                "the witness cannot read this on its own node of the chain, which may be behind"
            )
        if status != 200:
            raise EvidenceError(_UNATTESTED.get(status, f"the witness answered {status}"))
        return content

    def send_card(self, card_file: bytes) -> None:
        """Send own newer cards to a member who knows the party."""
        self._ask("POST", "/card", card_file)

    # -- HTTP ----------------------------------------------------------------------------------------------

    def _get(self, path: str) -> bytes:
        status, content, _ = self._ask("GET", path, b"")
        if status in (404, 410):
            raise NotFoundError("the node has no such thing")
        if status != 200:
            raise NodeUnreachableError(f"the node answered {status}", hint="a key of theirs may be needed")
        return content

    def _ask(self, method: str, path: str, body: bytes) -> tuple[int, bytes, str]:
        until = time.monotonic() + self._timeout_s
        parts = self._parts
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=self._timeout_s)
        headers = {"connection": "close"}
        if self._key:
            headers["authorization"] = f"Bearer {self._key}"
        # A socket's own timeout starts again with each byte; this one does not.
        watch = threading.Timer(self._timeout_s, lambda: _cut(connection))
        watch.daemon = True
        watch.start()
        try:
            connection.request(method, parts.path.rstrip("/") + path, body or None, headers)
            answer = connection.getresponse()
            content = answer.read(ANSWER_LIMIT + 1)
        except (OSError, http.client.HTTPException, ValueError, AttributeError) as error:
            late = time.monotonic() >= until
            raise NodeUnreachableError(
                f"the node gave no answer in {self._timeout_s:g} s" if late else "the node cannot be reached"
            ) from error
        finally:
            watch.cancel()
            connection.close()
        if time.monotonic() >= until:
            raise NodeUnreachableError(f"the node gave no answer in {self._timeout_s:g} s")
        if len(content) > ANSWER_LIMIT:
            raise EncodingError(f"an answer must have at most {ANSWER_LIMIT} bytes")
        return answer.status, content, answer.headers.get_content_type()


def _cut(connection: http.client.HTTPConnection) -> None:
    """End a connection that takes too long; whoever waits for it wakes up."""
    if connection.sock is not None:
        try:
            connection.sock.shutdown(socket.SHUT_RDWR)
        except OSError:  # it has ended by itself
            return


def check_head(note: bytes, cards: Sequence[Card]) -> Checkpoint:
    """Read a head that somebody handed over.

    Raises:
        NoteError: it is of another journal, or not signed by its party's log key.
    """
    head = parse_checkpoint(note)
    if verify_cards(cards).origin != head.origin:
        raise NoteError("the head is of another journal than the one asked for")
    verify_checkpoint(head, log_key_at(cards, head.size))
    return head
