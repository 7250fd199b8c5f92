"""The engine is found where its pinned versions say, built in one step, or the way to get it is told."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tallystick.errors import ConfigurationError, NotFoundError, StorageError, SurroundingsError
from tallystick.network import _engine, build_engine, find_engine, make_bundle

GO = """#!/bin/sh
case "$1" in
  version) echo "go version go{version} here" ;;
  *) {build} ;;
esac
"""
BUILT = "printf '#!/bin/sh\\necho built\\n' > evmd; chmod 755 evmd; seq 100"


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module of our own, an empty cache, and no engine named."""
    place = tmp_path / "module"
    place.mkdir()
    (place / "go.mod").write_text("module x\n\ngo 1.24.0\n")
    (place / "go.sum").write_text("one\n")
    monkeypatch.setattr(_engine, "_module", lambda: place)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("TALLYSTICK_ENGINE", raising=False)
    return place


def install_go(
    place: Path, monkeypatch: pytest.MonkeyPatch, *, version: str = "1.26.0", build: str = BUILT
) -> None:
    place.mkdir()
    for name, text in (("go", GO.format(version=version, build=build)), ("cc", "#!/bin/sh\n")):
        (place / name).write_text(text)
        (place / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{place}:/usr/bin:/bin")
    monkeypatch.setenv("CC", "cc")


def test_without_an_engine_the_command_is_named(module: Path) -> None:
    with pytest.raises(NotFoundError) as caught:
        find_engine()
    assert caught.value.hint == "run `make network`"


def test_an_engine_that_is_named_is_taken(module: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLYSTICK_ENGINE", str(module / "go.mod"))
    assert find_engine() == module / "go.mod"
    monkeypatch.setenv("TALLYSTICK_ENGINE", str(module / "nothing"))
    with pytest.raises(NotFoundError):
        find_engine()


def test_it_is_built_once_told_about_and_found_then(
    module: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_go(tmp_path / "bin", monkeypatch)
    lines: list[str] = []
    built = build_engine(lines.append)
    assert built == find_engine()
    assert any(line.startswith("50:") for line in lines)
    (tmp_path / "bin" / "go").unlink()
    assert build_engine(lines.append) == built
    assert lines[-1].startswith("the engine is there")


def test_other_pinned_versions_are_another_engine(
    module: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_go(tmp_path / "bin", monkeypatch)
    build_engine(lambda _line: None)
    (module / "go.sum").write_text("two\n")
    with pytest.raises(NotFoundError):
        find_engine()


@pytest.mark.parametrize("build", ["echo 'main.go: undefined: x'; exit 1", "kill -9 $$"])
def test_a_build_that_fails_leaves_nothing_and_tells_the_last_words(
    module: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, build: str
) -> None:
    install_go(tmp_path / "bin", monkeypatch, build=build)
    with pytest.raises(SurroundingsError, match="building the engine failed") as caught:
        build_engine(lambda _line: None)
    assert ("undefined: x" in caught.value.message) == ("undefined" in build)
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


def test_a_build_that_makes_what_does_not_run_is_refused(
    module: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_go(tmp_path / "bin", monkeypatch, build=BUILT.replace("echo built", "exit 3"))
    with pytest.raises(SurroundingsError, match="does not run"):
        build_engine(lambda _line: None)
    with pytest.raises(NotFoundError):
        find_engine()


def test_a_cache_that_cannot_be_written_is_told(
    module: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_go(tmp_path / "bin", monkeypatch)
    (tmp_path / "cache").write_text("a file, not a directory")
    with pytest.raises(StorageError):
        build_engine(lambda _line: None)


def test_without_a_c_compiler_what_to_install_is_told(module: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_words, **_more: None)
    with pytest.raises(SurroundingsError, match="C compiler") as caught:
        build_engine(lambda _line: None)
    assert "apt install gcc" in caught.value.hint


def test_too_few_members_for_the_faults_are_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="needs 4 members, got 3"):
        make_bundle(tmp_path / "net", 3, binary=tmp_path / "none", faults=1)
    assert not (tmp_path / "net").exists()


@pytest.mark.parametrize(
    ("members", "said"),
    [
        (0, "1 to 26"),
        (27, "1 to 26"),
        (["a", "a"], "different names"),
        (["run"], "none of them"),
        (["A"], "lower-case"),
    ],
)
def test_members_that_cannot_be_are_refused(tmp_path: Path, members: object, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        make_bundle(tmp_path / "net", members, binary=tmp_path / "none")  # type: ignore[arg-type]


def test_a_chain_id_that_the_engine_does_not_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="chain id 262144"):
        make_bundle(tmp_path / "net", 4, binary=tmp_path / "none", chain_id=1)


def test_ports_beyond_the_last_are_refused_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="ports"):
        make_bundle(tmp_path / "net", 4, binary=tmp_path / "none", ports=65_530)
    assert list(tmp_path.iterdir()) == []
