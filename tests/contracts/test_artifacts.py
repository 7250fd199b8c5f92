from __future__ import annotations

import hashlib
import json
import runpy
from pathlib import Path

import pytest

from tallystick.chain import load
from tallystick.errors import DamagedError, NotFoundError, UnknownFormatError

TOP = Path(__file__).resolve().parents[2]
CHAIN = TOP / "src" / "tallystick" / "chain"


@pytest.fixture(scope="module")
def compiler() -> dict:
    return runpy.run_path(str(TOP / "scripts" / "compile_contracts.py"))


@pytest.fixture
def document() -> dict:
    return json.loads((CHAIN / "artifacts" / "Anchors.json").read_bytes())


def parse(document: object) -> object:
    from tallystick.chain._artifacts import parse_artifact

    return parse_artifact(json.dumps(document).encode(), "Anchors")


@pytest.mark.parametrize("name", ["Anchors", "Members"])
def test_an_artifact_tells_what_it_was_made_from(name: str) -> None:
    artifact = load("tallystick.chain", name)
    source = (CHAIN / "contracts" / f"{name}.vy").read_bytes()
    assert artifact.name == name
    assert artifact.source_sha256 == hashlib.sha256(source).hexdigest()
    assert artifact.compiler == "vyper 0.4.3"
    assert artifact.settings == {"bytecode_metadata": False, "evm_version": "cancun", "optimize": "gas"}
    assert len(artifact.runtime) < len(artifact.bytecode)
    assert len(artifact.runtime) <= 24_576  # EIP-170


def test_committed_artifacts_are_what_their_sources_compile_to(compiler: dict) -> None:
    package = TOP / "src" / "tallystick"
    made = compiler["artifacts"](package)
    assert {path.stem for path in made} >= {"Anchors", "Members"}
    assert compiler["differences"](package, made) == []


def test_the_check_names_what_differs_is_missing_or_has_no_source(compiler: dict, tmp_path: Path) -> None:
    contracts = tmp_path / "room" / "contracts"
    contracts.mkdir(parents=True)
    (contracts / "One.vy").write_text('"""@title One"""\n')
    made = compiler["artifacts"](tmp_path)
    assert compiler["differences"](tmp_path, made) == ["room/artifacts/One.json is missing"]
    (target,) = made
    target.parent.mkdir()
    target.write_bytes(made[target])
    assert compiler["differences"](tmp_path, made) == []
    target.write_bytes(made[target].replace(b"0x", b"0x00", 1))
    (target.parent / "Two.json").write_bytes(b"{}")
    assert compiler["differences"](tmp_path, made) == [
        "room/artifacts/One.json is not what its source compiles to",
        "room/artifacts/Two.json has no contract beside it",
    ]


@pytest.mark.parametrize(
    ("package", "name"),
    [
        ("tallystick.chain", "Absent"),
        ("tallystick.nowhere", "Anchors"),
        ("tallystick.chain", "../contracts/Anchors"),
    ],
)
def test_a_contract_that_is_not_there_is_not_found(package: str, name: str) -> None:
    with pytest.raises(NotFoundError):
        load(package, name)


def test_an_unknown_version_says_what_to_do(document: dict) -> None:
    for version in (2, True, None):
        with pytest.raises(UnknownFormatError) as caught:
            parse({**document, "v": version})
        assert "upgrade" in caught.value.hint


@pytest.mark.parametrize(
    "change",
    [
        {"more": 1},
        {"name": "Members"},
        {"abi": {}},
        {"abi": [1]},
        {"settings": []},
        {"bytecode": "0x0"},
        {"bytecode": 5},
        {"runtime": "00"},
        {"source_sha256": "ab"},
    ],
)
def test_a_damaged_artifact_is_refused(document: dict, change: dict) -> None:
    parse(document)
    with pytest.raises(DamagedError, match="artifact Anchors cannot be read"):
        parse({**document, **change})


def test_what_is_no_artifact_at_all_is_refused() -> None:
    from tallystick.chain._artifacts import MAX_ARTIFACT_BYTES, parse_artifact

    for content in (b"", b"[]", b"\xff"):
        with pytest.raises(DamagedError):
            parse_artifact(content, "Anchors")
    with pytest.raises(DamagedError, match="at most"):
        parse_artifact(b" " * (MAX_ARTIFACT_BYTES + 1), "Anchors")
