"""A store of payloads with the entries that refer to them, for tests: what a journal does around it, and no more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.proofs import fixed_randomness

from tallystick.proof import Files, PayloadRef, Secret, decode_base64url
from tallystick.proof._drafts import Draft, commit_many
from tallystick.proof._payloads import Payloads

HOME = Path("/payloads")
STORAGE = Secret(b"\x31" * 32)


@dataclass
class Shelf:
    """Payloads over a list of entries, of which every ``per_segment`` begin a new segment."""

    files: Files
    entries: list[PayloadRef | None] = field(default_factory=list)
    per_segment: int = 1_000_000
    asked: list[tuple[int, int]] = field(default_factory=list)
    """What opening asked the entries for."""

    def open(self, *, write: bool = True, seed: str = "payloads", key: Secret = STORAGE) -> Payloads:
        self.randomness = fixed_randomness(seed)
        return Payloads(
            HOME,
            key,
            size=len(self.entries),
            references=self.references,
            write=write,
            files=self.files,
            randomness=self.randomness,
        )

    def references(self, start: int, stop: int) -> Iterator[tuple[int, bytes]]:
        self.asked.append((start, stop))
        for index in range(start, stop):
            ref = self.entries[index]
            if ref is not None:
                yield index, decode_base64url(ref.commitment, size=32)

    def keep(
        self,
        store: Payloads,
        *contents: bytes | dict[str, object] | None,
        subject: str = "Jane Doe, born 1950",
        lost: bool = False,
    ) -> list[PayloadRef | None]:
        """Keep a batch; with ``lost``, the entries themselves never become durable."""
        drafts = [
            Draft("document.recorded", {}, fields=content, subject=subject)
            if isinstance(content, dict)
            else Draft("document.recorded", {}, payload=content, media="text/plain", subject=subject)
            for content in contents
        ]
        made = commit_many(drafts, {subject: store.subject(subject)}, self.randomness(16 * len(drafts)))
        refs = [PayloadRef(*ref) if ref else None for ref in made.refs]
        first = len(self.entries)
        sealed = [(first + at, content) for at, content in made.sealed]
        segment = first // self.per_segment * self.per_segment
        store.keep(sealed, first=first, stop=first + len(drafts), segment=segment)
        if not lost:
            self.entries += refs
            store.committed(len(self.entries))
        return refs

    def read(self, store: Payloads, index: int) -> object:
        ref = self.entries[index]
        assert ref is not None
        return store.read(ref, index)[0]
