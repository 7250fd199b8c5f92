"""Bundles: many receipts in one zip, each verified by itself."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from tests.proofs import EAST, NORTH, Log, make_log, make_policy

from tallystick.errors import (
    ForkError,
    NotFoundError,
    ReceiptError,
    StorageError,
    UnknownFormatError,
    VerificationError,
)
from tallystick.proof import format_bundle, format_json, parse_bundle, read_bundle, verify_bundle

LOG = make_log()
RECEIPTS = [LOG.receipt(index) for index in range(7)]
FILES = {"models/heart.bin": b"\x00" * 100, "README.txt": b"hello"}
DATA = format_bundle(RECEIPTS, FILES)


def contents(data: bytes = DATA) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(files: dict[str, bytes], *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def test_a_bundle_is_read_back_and_equal_content_gives_equal_bytes() -> None:
    bundle = parse_bundle(DATA)
    assert list(bundle.receipts.values()) == sorted(RECEIPTS, key=lambda receipt: receipt.statement.id)
    assert bundle.attachments == FILES
    assert format_bundle(RECEIPTS[::-1], dict(reversed(FILES.items()))) == DATA
    assert bundle.resolve(RECEIPTS[2].statement.id) == RECEIPTS[2]
    assert bundle.resolve("0" * 64) is None


def test_every_receipt_is_verified_and_reported_in_order() -> None:
    seen: list[tuple[int, int]] = []
    reports = verify_bundle(
        parse_bundle(DATA), policy=make_policy(), progress=lambda done, total: seen.append((done, total))
    )
    assert [report.statement_id for report in reports] == sorted(receipt.statement.id for receipt in RECEIPTS)
    assert seen[-1] == (7, 7)


def test_a_bundle_without_receipts_proves_nothing() -> None:
    with pytest.raises(VerificationError):
        verify_bundle(parse_bundle(format_bundle([], FILES)))


def test_one_false_receipt_fails_the_bundle_and_is_named() -> None:
    forged = replace(RECEIPTS[3], index=4)
    with pytest.raises(VerificationError) as caught:
        verify_bundle(parse_bundle(format_bundle([*RECEIPTS[:3], forged])))
    assert RECEIPTS[3].statement.id in caught.value.__notes__


def test_two_histories_in_one_bundle_are_a_fork() -> None:
    split = Log(NORTH, [*LOG.statements[:6], Log(NORTH).record(body={"title": "another"})])
    for other in (split.receipt(6), Log(NORTH, [*split.statements, LOG.statements[6]]).receipt(6)):
        with pytest.raises(ForkError):
            verify_bundle(parse_bundle(format_bundle([*RECEIPTS, other])))
    verify_bundle(parse_bundle(format_bundle([*RECEIPTS, make_log(EAST).receipt(2)])))


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/abs",
        "../up",
        "a/../b",
        "receipts/x",
        "bundle.json",
        "a b",
        "\u00e9",
        ".hidden",
        "a//b",
        "a\\b",
        "a/",
    ],
)
def test_an_attachment_has_a_plain_name(name: str) -> None:
    with pytest.raises(ReceiptError):
        format_bundle([], {name: b""})


def test_a_file_that_is_missing_changed_added_or_renamed_is_noticed() -> None:
    files = contents()
    receipt = f"receipts/{RECEIPTS[0].statement.id}.receipt.json"
    other = f"receipts/{RECEIPTS[1].statement.id}.receipt.json"
    for forged in (
        {name: data for name, data in files.items() if name != receipt},
        {name: data for name, data in files.items() if name != "bundle.json"},
        {**files, receipt: files[other]},
        {**files, "README.txt": b"bye"},
        {**files, "more.txt": b"x"},
        {**files, "../more.txt": b"x"},
    ):
        with pytest.raises(ReceiptError):
            parse_bundle(zipped(forged))


def test_the_first_file_that_does_not_fit_the_list_is_named() -> None:
    files = contents()
    receipt = f"receipts/{RECEIPTS[0].statement.id}.receipt.json"
    for forged, told in (
        ({**files, receipt: b"{}"}, f"{receipt} was changed"),
        ({**files, "more.txt": b"x"}, "more.txt is not listed"),
        (
            {name: data for name, data in files.items() if name != receipt},
            "1 of the files that it lists are missing",
        ),
    ):
        with pytest.raises(ReceiptError) as caught:
            parse_bundle(zipped(forged))
        assert caught.value.hint == told


def relisted(files: dict[str, bytes]) -> bytes:
    """A bundle whose list was made again by somebody who changed its files."""
    import hashlib

    listed = {name: hashlib.sha256(data).hexdigest() for name, data in files.items() if name != "bundle.json"}
    return zipped(
        {**files, "bundle.json": format_json({"files": listed, "type": "tallystick/bundle", "v": 1})}
    )


def test_a_new_list_does_not_help_a_misnamed_or_malformed_receipt() -> None:
    files = contents()
    first, second = (f"receipts/{receipt.statement.id}.receipt.json" for receipt in RECEIPTS[:2])
    assert parse_bundle(relisted(files)).attachments == FILES
    for forged in ({**files, first: files[second]}, {**files, first: b"{}"}, {**files, "receipts/x": b""}):
        with pytest.raises(ReceiptError):
            parse_bundle(relisted(forged))


def test_a_name_twice_is_refused() -> None:
    buffer = io.BytesIO(DATA)
    with zipfile.ZipFile(buffer, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("README.txt", b"hello")
    with pytest.raises(ReceiptError):
        parse_bundle(buffer.getvalue())


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_ways_of_packing_are_refused_before_they_reserve_memory(method: int) -> None:
    assert parse_bundle(zipped(contents(), method=zipfile.ZIP_STORED)) == parse_bundle(DATA)
    with pytest.raises(ReceiptError):
        parse_bundle(zipped(contents(), method=method))


def test_a_directory_that_states_more_than_the_limit_is_refused_unread() -> None:
    forged = bytearray(DATA)
    place = forged.rfind(b"PK\x01\x02")
    forged[place + 24 : place + 28] = (2**32 - 2).to_bytes(4, "little")
    with pytest.raises(ReceiptError):
        parse_bundle(bytes(forged))


def test_what_is_no_bundle_is_refused() -> None:
    for data in (
        b"",
        b"PK",
        DATA[:-30],
        DATA[40:],
        zipped({}),
        zipped({"bundle.json": b"{}"}),
        zipped({"bundle.json": b"x"}),
    ):
        with pytest.raises(ReceiptError):
            parse_bundle(data)


def test_a_later_version_says_to_upgrade() -> None:
    files = contents()
    files["bundle.json"] = format_json({**json.loads(files["bundle.json"]), "v": 2})
    with pytest.raises(UnknownFormatError):
        parse_bundle(zipped(files))


def test_a_bundle_file_that_is_missing_or_no_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        read_bundle(tmp_path / "none")
    with pytest.raises(StorageError):
        read_bundle(tmp_path)
    (tmp_path / "bundle.zip").write_bytes(DATA)
    assert read_bundle(tmp_path / "bundle.zip") == parse_bundle(DATA)
