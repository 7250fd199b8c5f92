"""A payload opens by id, by index, or by an entry that the journal gave out."""

from __future__ import annotations

from pathlib import Path

import pytest

from tallystick.errors import DisclosureError
from tallystick.proof import Draft, Journal, Party


def test_an_entry_opens_its_payload_as_its_index_does(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "journal", party=Party.create("Clinic North")) as journal:
        journal.append_many(
            [
                Draft("document.recorded", {"title": "a"}, fields={"note": "x"}, subject="patient"),
                Draft("document.recorded", {"title": "b"}, payload=b"text"),
                Draft("document.recorded", {"title": "c"}),
            ]
        )
        fields, text, none = journal.entries()
        assert journal.payload(fields) == journal.payload(0) == journal.payload(fields.id) == {"note": "x"}
        assert journal.payload(text) == b"text"
        with pytest.raises(DisclosureError):
            journal.payload(none)
        journal.erase("patient")
        with pytest.raises(DisclosureError):
            journal.payload(fields)
