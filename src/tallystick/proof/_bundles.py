"""Bundles: many receipts in one zip file, with the files that re-execution needs.

``bundle.json`` (canonical, versioned) lists every other file with its SHA-256; ``receipts/<id>.receipt.json`` are
receipts, everything else is an attachment (a model file, a masked update) that some payload commits to. The
list protects against a torn copy, not against a liar: each receipt is verified by itself. Nothing is ever
unpacked to the disk.
"""

from __future__ import annotations

import hashlib
import io
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tallystick.errors import EncodingError, NotFoundError, ReceiptError, StorageError, VerificationError
from tallystick.proof._anchors import ReadAnchor
from tallystick.proof._encoding import check_format, format_json, parse_json
from tallystick.proof._forks import compare_receipts
from tallystick.proof._kinds import STANDARD_KINDS, Kinds
from tallystick.proof._policies import Policy
from tallystick.proof._receipts import Receipt, format_receipt, parse_receipt
from tallystick.proof._verification import Report, verify

__all__ = ["Bundle", "format_bundle", "parse_bundle", "read_bundle", "verify_bundle"]

FILE_LIMIT = 100_000  # files in one bundle
UNPACKED_LIMIT = 2 * 1024**3  # bytes of all files together
_FORMAT = "tallystick/bundle"
_MANIFEST = "bundle.json"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # zip's first moment: a bundle's bytes depend on its content only
_name = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*").fullmatch


@dataclass(frozen=True, slots=True)
class Bundle:
    """Receipts by statement id, and attachments by name."""

    receipts: Mapping[str, Receipt]
    attachments: Mapping[str, bytes]

    def resolve(self, statement_id: str) -> Receipt | None:
        """Find a receipt, for ``trace``."""
        return self.receipts.get(statement_id)


def format_bundle(receipts: Iterable[Receipt], attachments: Mapping[str, bytes] | None = None) -> bytes:
    """Write a bundle; equal content gives equal bytes.

    Raises:
        ReceiptError: an attachment's name is not plain.
    """
    files = {f"receipts/{receipt.statement.id}.receipt.json": format_receipt(receipt) for receipt in receipts}
    for name, data in (attachments or {}).items():
        if not _name(name) or name.startswith("receipts/") or name == _MANIFEST:
            raise ReceiptError("an attachment's name must be plain ASCII, outside receipts/")
        files[name] = data
    listed = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    manifest = format_json({"files": listed, "type": _FORMAT, "v": 1})
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in [(_MANIFEST, manifest), *sorted(files.items())]:
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data, zipfile.ZIP_DEFLATED, 6)
    return buffer.getvalue()


def parse_bundle(data: bytes) -> Bundle:
    """Read a bundle.

    Raises:
        ReceiptError: not a zip file, a file missing, unlisted, twice or changed, or a malformed receipt.
        UnknownFormatError: a later version.
    """
    try:
        files = _unpack(data)
        manifest = check_format(parse_json(files.pop(_MANIFEST), limit=64 * 1024 * 1024), _FORMAT)
        found = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
        if manifest["files"] != found:
            raise ReceiptError(
                "the bundle's files are not those that it lists", hint=_first_other(manifest["files"], found)
            )
    except (
        zipfile.BadZipFile,
        zlib.error,
        struct.error,
        EncodingError,
        EOFError,
        KeyError,
        NotImplementedError,
        OSError,
        OverflowError,
        RuntimeError,
        ValueError,
    ) as error:  # what zipfile raises over damaged files, none of it documented
        raise ReceiptError("malformed bundle", hint="ask for the file again") from error
    receipts, attachments = dict[str, Receipt](), dict[str, bytes]()
    for name, content in files.items():
        if not name.startswith("receipts/"):
            attachments[name] = content
            continue
        receipt = parse_receipt(content)
        if name != f"receipts/{receipt.statement.id}.receipt.json":
            raise ReceiptError("a receipt in the bundle must be named by its statement's id")
        receipts[receipt.statement.id] = receipt
    return Bundle(receipts, attachments)


def _first_other(listed: object, found: dict[str, str]) -> str:
    """Name the first file that is changed, missing or not listed; the names that we found are plain ASCII."""
    if not isinstance(listed, dict):
        return ""
    for name in sorted(found):
        if name not in listed:
            return f"{name} is not listed"
        if listed[name] != found[name]:
            return f"{name} was changed"
    return f"{len(listed) - len(found)} of the files that it lists are missing"


def _unpack(data: bytes) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = archive.infolist()
        if len(entries) > FILE_LIMIT or sum(entry.file_size for entry in entries) > UNPACKED_LIMIT:
            raise ReceiptError(f"a bundle must have at most {FILE_LIMIT} files and {UNPACKED_LIMIT} bytes")
        for entry in entries:
            if not _name(entry.filename) or entry.filename in files:
                raise ReceiptError("a bundle's file names must be plain and unique")
            # Other methods reserve memory as their own headers ask for it.
            if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ReceiptError("a bundle's files must be stored or deflated")
            files[entry.filename] = archive.read(entry)  # checks the size that the directory states
    return files


def read_bundle(path: Path | str) -> Bundle:
    """Read a bundle file; see ``parse_bundle``."""
    try:
        return parse_bundle(Path(path).read_bytes())
    except FileNotFoundError as error:
        raise NotFoundError("there is no bundle here") from error
    except OSError as error:
        raise StorageError(f"the bundle could not be read: {error.strerror}") from error


def verify_bundle(
    bundle: Bundle,
    *,
    policy: Policy | None = None,
    read_anchor: ReadAnchor | None = None,
    kinds: Kinds = STANDARD_KINDS,
    progress: Callable[[int, int], None] | None = None,
) -> list[Report]:
    """Verify every receipt of a bundle, and that no two of them show two histories of one journal.

    Args:
        bundle: as parsed.
        policy: whom the verifier trusts.
        read_anchor: asks the verifier's own endpoints.
        kinds: kinds that the verifier knows.
        progress: called with receipts done and all.

    Returns:
        One report per receipt, in the order of their ids.

    Raises:
        VerificationError: one is false, and a note names it; or there is none, from which nothing follows.
        ForkError: two cannot stand in one history.
    """
    reports, total = [], len(bundle.receipts)
    if not total:
        raise VerificationError("the bundle holds no receipt, so nothing follows from it")
    heads: dict[tuple[str, int], Receipt] = {}
    places: dict[tuple[str, int], Receipt] = {}
    for done, (statement_id, receipt) in enumerate(sorted(bundle.receipts.items())):
        try:
            reports.append(verify(receipt, policy=policy, read_anchor=read_anchor, kinds=kinds))
        except VerificationError as error:
            error.add_note(statement_id)
            raise
        origin = receipt.statement.origin
        for first in (
            heads.setdefault((origin, receipt.checkpoint.size), receipt),
            places.setdefault((origin, receipt.index), receipt),
        ):
            compare_receipts(first, receipt)
        if progress is not None:
            progress(done + 1, total)
    return reports
