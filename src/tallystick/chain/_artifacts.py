"""Compiled contracts, as they are committed beside their sources: ``<room>/artifacts/<Name>.json``.

- A contract's source, artifact and typed class stay with the room that owns its rule; here they are only read.
- An artifact holds all that a deployment needs, so nobody who uses Tallystick needs a compiler.
- ``scripts/compile_contracts.py`` writes artifacts and compares them with what the sources compile to.

    artifact = load("tallystick.chain", "Anchors")
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from tallystick.errors import DamagedError, NotFoundError, UnknownFormatError

__all__ = ["Artifact", "load"]

FORMAT = 1
MAX_ARTIFACT_BYTES = 1 << 20

_NAME = re.compile(r"[A-Z][A-Za-z0-9]*").fullmatch
_HEX = re.compile(r"0x(?:[0-9a-f]{2})+").fullmatch
_DIGEST = re.compile(r"[0-9a-f]{64}").fullmatch
_FIELDS = {"abi", "bytecode", "compiler", "name", "runtime", "settings", "source_sha256", "v"}


@dataclass(frozen=True, slots=True)
class Artifact:
    """One compiled contract.

    Args:
        name: the contract's name.
        abi: its functions, events and constructor as the ABI's JSON has them; not to be changed.
        bytecode: what a deployment runs, without the constructor's arguments.
        runtime: what stands on the chain afterwards, but for immutables, which the deployment appends.
        compiler: name and version of the compiler.
        settings: what the compiler was told.
        source_sha256: hex digest of the source's bytes.
    """

    name: str
    abi: tuple[Mapping[str, Any], ...]
    bytecode: bytes
    runtime: bytes
    compiler: str
    settings: Mapping[str, Any]
    source_sha256: str


@cache
def load(package: str, name: str) -> Artifact:
    """Read a contract's artifact from the room that owns it.

    Args:
        package: the room, such as ``tallystick.chain``.
        name: the contract, such as ``Anchors``.

    Raises:
        NotFoundError: the room has no such contract.
        UnknownFormatError: a later program wrote the artifact.
        DamagedError: the file is not an artifact.
    """
    if not _NAME(name):
        raise NotFoundError(f"a contract's name must be one capitalised word, got {name!r}")
    try:
        content = resources.files(package).joinpath("artifacts", f"{name}.json").read_bytes()
    except (ModuleNotFoundError, FileNotFoundError, NotADirectoryError) as error:
        raise NotFoundError(f"{package} has no contract {name}") from error
    return parse_artifact(content, name)


def parse_artifact(content: bytes, name: str) -> Artifact:
    """Read an artifact's bytes.

    Raises:
        UnknownFormatError: a later program wrote them.
        DamagedError: they are not that contract's artifact.
    """
    if len(content) > MAX_ARTIFACT_BYTES:
        raise DamagedError(f"artifact {name} must be at most {MAX_ARTIFACT_BYTES} bytes, got {len(content)}")
    try:
        document = json.loads(content)
    except ValueError as error:
        raise _damaged(name, "it is not JSON") from error
    if not isinstance(document, dict):
        raise _damaged(name, "it is not an object")
    if document.get("v") != FORMAT or type(document["v"]) is not int:
        raise UnknownFormatError(f"artifact {name} must have format {FORMAT}, got {document.get('v')!r}")
    if set(document) != _FIELDS or document["name"] != name:
        raise _damaged(name, "its fields are not those of version 1")
    abi, settings = document["abi"], document["settings"]
    if (
        not isinstance(abi, list)
        or not all(isinstance(item, dict) for item in abi)
        or not isinstance(settings, dict)
    ):
        raise _damaged(name, "its ABI or settings are malformed")
    texts = [document[key] for key in ("bytecode", "runtime", "source_sha256", "compiler")]
    if not all(isinstance(text, str) for text in texts):
        raise _damaged(name, "a field is not text")
    bytecode, runtime, digest, compiler = texts
    if not _HEX(bytecode) or not _HEX(runtime) or not _DIGEST(digest):
        raise _damaged(name, "a field is not hex")
    return Artifact(
        name=name,
        abi=tuple(abi),
        bytecode=bytes.fromhex(bytecode[2:]),
        runtime=bytes.fromhex(runtime[2:]),
        compiler=compiler,
        settings=settings,
        source_sha256=digest,
    )


def _damaged(name: str, why: str) -> DamagedError:
    return DamagedError(
        f"artifact {name} cannot be read: {why}",
        hint="install Tallystick again: pip install --force-reinstall tallystick",
    )
