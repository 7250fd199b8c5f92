"""The import rules that linters miss, and the documents that must agree with them."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import tallystick

TOP = Path(__file__).resolve().parents[2]
SOURCE = TOP / "src"
FILES = sorted((SOURCE / "tallystick").rglob("*.py"))
ROOMS = sorted(p.name for p in (SOURCE / "tallystick").iterdir() if (p / "__init__.py").exists())
# Modules that reach a network, a model or an EVM. `proof` names none of them, at the top or inside a function.
REACHING = {
    "aiohttp", "asyncio", "coincurve", "eth", "eth_account", "eth_keys", "ftplib", "http", "httpx", "jinja2", "joblib",
    "matplotlib", "numpy", "onnx", "onnxruntime", "pandas", "requests", "rlp", "scipy", "sklearn", "smtplib", "socket", "ssl", "trie", "urllib",
    "urllib3", "web3", "xmlrpc",
}  # fmt: skip
EVM = {
    "coincurve",
    "eth",
    "eth_abi",
    "eth_account",
    "eth_keys",
    "eth_utils",
    "hexbytes",
    "rlp",
    "trie",
    "web3",
}
WEB = {"fastapi", "prometheus_client", "pydantic", "starlette", "uvicorn"}
HEAVY = EVM | {
    "defusedxml", "fastapi", "httptools", "jinja2", "joblib", "matplotlib", "numpy", "onnx", "onnxruntime", "pandas",
    "prometheus_client", "pyarrow", "scipy", "sklearn", "starlette", "uvicorn", "uvloop",
}  # fmt: skip


def module_of(path: Path) -> str:
    parts = list(path.relative_to(SOURCE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    """Name the room that a module belongs to: an application is a room of its own."""
    parts = module.split(".")
    return ".".join(parts[:3] if parts[1:2] == ["apps"] else parts[:2])


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)


def imports_of(path: Path, *, types: bool = True) -> Iterator[tuple[int, str]]:
    """Yield (line, absolute dotted name) of everything that a file imports, inside functions too."""
    package = module_of(path) if path.name == "__init__.py" else module_of(path).rpartition(".")[0]

    def walk(node: ast.AST) -> Iterator[tuple[int, str]]:
        for child in ast.iter_child_nodes(node):
            if is_type_checking(child) and not types:
                continue
            if isinstance(child, ast.Import):
                yield from ((child.lineno, alias.name) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                up = package.split(".")[: len(package.split(".")) - child.level + 1] if child.level else []
                base = ".".join([*up, *([child.module] if child.module else [])])
                yield from ((child.lineno, f"{base}.{alias.name}") for alias in child.names)
            yield from walk(child)

    yield from walk(ast.parse(path.read_text("utf-8")))


def test_no_room_imports_a_private_name_of_another_room() -> None:
    wrong = [
        f"{path.relative_to(TOP)}:{line}: {name}"
        for path in FILES
        for line, name in imports_of(path)
        if name.startswith("tallystick.")
        and room_of(name) != room_of(module_of(path))
        and any(part.startswith("_") and not part.startswith("__") for part in name.split("."))
    ]
    assert wrong == []


def test_no_room_imports_the_root_package() -> None:
    wrong = []
    for path in FILES:
        for line, name in imports_of(path):
            is_version = name == "tallystick.__version__"
            is_room = name.split(".")[1:2] and name.split(".")[1] in [*ROOMS, "errors"]
            if name.split(".")[0] == "tallystick" and not is_room and not is_version:
                wrong.append(f"{path.relative_to(TOP)}:{line}: {name}")
    assert wrong == []


@pytest.mark.parametrize("room", ["errors", "proof"])
def test_proof_names_no_network_client_model_library_or_evm(room: str) -> None:
    wrong = [
        f"{path.relative_to(TOP)}:{line}: {name}"
        for path in FILES
        if module_of(path).split(".")[1:2] == [room]
        for line, name in imports_of(path)
        if name.split(".")[0] in REACHING
    ]
    assert wrong == []


def test_only_chain_imports_the_evm_libraries() -> None:
    wrong = [
        f"{path.relative_to(TOP)}:{line}: {name}"
        for path in FILES
        if room_of(module_of(path)) != "tallystick.chain"
        for line, name in imports_of(path)
        if name.split(".")[0] in EVM
    ]
    assert wrong == []


def test_only_server_imports_the_web_framework() -> None:
    wrong = [
        f"{path.relative_to(TOP)}:{line}: {name}"
        for path in FILES
        if room_of(module_of(path)) not in ("tallystick.server", "tallystick.web")
        for line, name in imports_of(path)
        if name.split(".")[0] in WEB
    ]
    assert wrong == []


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_has_no_import_cycle_inside(room: str) -> None:
    files = [path for path in FILES if module_of(path).split(".")[1:2] == [room]]
    names = {module_of(path) for path in files}
    graph: dict[str, set[str]] = {}
    for path in files:
        targets = {
            name if name in names else name.rpartition(".")[0] for _, name in imports_of(path, types=False)
        }
        graph[module_of(path)] = (targets & names) - {module_of(path)}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def constants_then_classes(name: str) -> tuple[int, str]:
    """The order in which ruff (RUF022) sorts a door: CONSTANTS, Classes, functions."""
    return (0 if name.isupper() else 1 if name[:1].isupper() else 2, name)


@pytest.mark.parametrize("room", [*ROOMS, "errors"])
def test_a_door_lists_its_names_sorted_and_has_them_all(room: str) -> None:
    door = importlib.import_module(f"tallystick.{room}")
    assert list(door.__all__) == sorted(door.__all__, key=constants_then_classes)
    assert [name for name in door.__all__ if not hasattr(door, name)] == []
    assert door.__doc__ is not None


def test_every_public_name_of_the_package_stands_in_its_rooms_door() -> None:
    for name in tallystick.__all__:
        room = importlib.import_module(f"tallystick.{tallystick._WHERE[name]}")
        assert name in room.__all__, f"{name} is not in the door of {room.__name__}"


def test_importing_the_package_loads_nothing() -> None:
    code = (
        "import sys; before = set(sys.modules); import tallystick; print(sorted(set(sys.modules) - before))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert {name for name in ast.literal_eval(out) if name.startswith("tallystick.")} == set()
    assert {name.split(".")[0] for name in ast.literal_eval(out)} & HEAVY == set()


@pytest.mark.parametrize("room", [*ROOMS, "errors"])
def test_a_door_opens_on_the_base_install(room: str) -> None:
    code = (
        "import sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.split('.')[0] in {sorted(HEAVY)!r}: raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Refuse())\n"
        f"import tallystick.{room}\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def layers() -> list[list[str]]:
    """Read the linter's layers, top first, each a list of rooms; brackets say that a room does not exist yet."""
    contracts = tomllib.loads((TOP / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    (found,) = [c["layers"] for c in contracts if c["type"] == "layers"]
    return [[part.strip() for part in layer.split("|")] for layer in found]


def test_the_table_in_architecture_md_is_the_linters_layers() -> None:
    text = (TOP / "ARCHITECTURE.md").read_text("utf-8")
    rows = re.findall(r"^\| *(\d+) *\| *([^|]+?) *\|", text, re.MULTILINE)
    table = [re.findall(r"`([a-z]+)`(\*?)", cell) for _, cell in rows]
    assert [int(n) for n, _ in rows] == list(range(1, len(rows) + 1))
    expected = [
        [(name.strip("()"), "*" if name.startswith("(") else "") for name in layer] for layer in layers()
    ]
    assert table == expected


def test_rooms_in_brackets_do_not_exist_and_the_others_do() -> None:
    named = [name for layer in layers() for name in layer]
    assert sorted([n for n in named if not n.startswith("(")]) == sorted([*ROOMS, "errors"])
    assert [n for n in named if n.startswith("(") and n.strip("()") in ROOMS] == []


def test_no_file_is_longer_than_five_hundred_lines() -> None:
    assert [str(p.relative_to(TOP)) for p in FILES if len(p.read_text("utf-8").splitlines()) > 500] == []
