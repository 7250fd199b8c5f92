"""Compile every contract of the package and write, or compare, its committed artifact.

    python scripts/compile_contracts.py            # write src/tallystick/<room>/artifacts/<Name>.json
    python scripts/compile_contracts.py --check    # change nothing; fail when an artifact differs

An artifact is canonical JSON: sorted keys, no spaces, one line feed at the end. Bytecode is made without
the compiler's metadata, so that it depends on the source, the compiler and the settings alone.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "src" / "tallystick"
COMPILER = "0.4.3"
EVM_VERSION = "cancun"
OPTIMIZE = "gas"
FORMAT = 1


def compile_source(source: str, name: str) -> bytes:
    """Compile one contract.

    Args:
        source: the Vyper text.
        name: the contract's name, without an ending.

    Returns:
        The artifact's bytes.
    """
    from vyper.compiler import compile_code
    from vyper.compiler.settings import OptimizationLevel, Settings

    output = compile_code(
        source,
        contract_path=f"{name}.vy",
        output_formats=["abi", "bytecode", "bytecode_runtime"],
        settings=Settings(evm_version=EVM_VERSION, optimize=OptimizationLevel.from_string(OPTIMIZE)),
        no_bytecode_metadata=True,
    )
    artifact = {
        "abi": output["abi"],
        "bytecode": output["bytecode"],
        "compiler": f"vyper {COMPILER}",
        "name": name,
        "runtime": output["bytecode_runtime"],
        "settings": {"bytecode_metadata": False, "evm_version": EVM_VERSION, "optimize": OPTIMIZE},
        "source_sha256": hashlib.sha256(source.encode()).hexdigest(),
        "v": FORMAT,
    }
    text = json.dumps(artifact, ensure_ascii=True, separators=(",", ":"), sort_keys=True)
    return text.encode() + b"\n"


def artifacts(package: Path) -> dict[Path, bytes]:
    """Compile all contracts below a package.

    Args:
        package: the folder that holds the rooms.

    Returns:
        What should stand at each artifact's path.
    """
    made = {}
    for path in sorted(package.glob("**/contracts/*.vy")):
        target = path.parent.parent / "artifacts" / f"{path.stem}.json"
        made[target] = compile_source(path.read_text(encoding="utf-8"), path.stem)
    return made


def differences(package: Path, made: dict[Path, bytes]) -> list[str]:
    """Compare what was compiled with what is committed.

    Args:
        package: the folder that holds the rooms.
        made: artifacts by path.

    Returns:
        One line for each artifact that is missing, differs or has no source.
    """
    lines = []
    for path, content in sorted(made.items()):
        if not path.exists():
            lines.append(f"{path.relative_to(package)} is missing")
        elif path.read_bytes() != content:
            lines.append(f"{path.relative_to(package)} is not what its source compiles to")
    orphans = [path for path in sorted(package.glob("**/artifacts/*.json")) if path not in made]
    return lines + [f"{path.relative_to(package)} has no contract beside it" for path in orphans]


def write(made: dict[Path, bytes]) -> None:
    """Write artifacts whose bytes differ.

    Args:
        made: artifacts by path.
    """
    for path, content in sorted(made.items()):
        path.parent.mkdir(exist_ok=True)
        if not path.exists() or path.read_bytes() != content:
            path.write_bytes(content)
            print(f"wrote {path.relative_to(PACKAGE)}")


def main(arguments: list[str]) -> int:
    """Run the command.

    Args:
        arguments: what follows the program's name.

    Returns:
        0 done, 1 an artifact differs, 2 the compiler is missing or another version.
    """
    parser = argparse.ArgumentParser(description="compile the contracts, or check their artifacts")
    parser.add_argument("--check", action="store_true", help="compare only; exit 1 when an artifact differs")
    options = parser.parse_args(arguments)
    try:
        import vyper
    except ImportError:
        print(f"error: vyper is not installed\nhint: pip install 'vyper=={COMPILER}'", file=sys.stderr)
        return 2
    if vyper.__version__.split("+")[0] != COMPILER:
        print(
            f"error: vyper must be {COMPILER}, got {vyper.__version__}\nhint: pip install 'vyper=={COMPILER}'",
            file=sys.stderr,
        )
        return 2
    made = artifacts(PACKAGE)
    if not options.check:
        write(made)
        return 0
    lines = differences(PACKAGE, made)
    for line in lines:
        print(f"error: {line}", file=sys.stderr)
    if lines:
        print("hint: run `make contracts` and commit what it writes", file=sys.stderr)
        return 1
    print(f"{len(made)} artifacts are what their sources compile to")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
