"""What talks to a chain is loaded when it is asked for, and says what to install."""

from __future__ import annotations

import subprocess
import sys

NAMES = ("Blueprints", "Deployed", "Executor", "Models", "deploy_model", "deploy_models")


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_models_open_without_loading_the_chain() -> None:
    code = "import sys, tallystick.models; print([n for n in sys.modules if n.split('.')[0] in ('web3', 'eth', 'eth_abi')])"
    assert run(code).strip() == "[]"


def test_without_the_chain_extra_each_name_says_what_to_install() -> None:
    code = (
        "import sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in {'eth_abi', 'eth_utils', 'web3'}:\n"
        "            raise ModuleNotFoundError('no', name=name)\n"
        "sys.meta_path.insert(0, Refuse())\n"
        "import tallystick.models as models\n"
        "from tallystick.errors import MissingExtraError\n"
        f"for name in {NAMES!r}:\n"
        "    try:\n"
        "        getattr(models, name)\n"
        "    except MissingExtraError as error:\n"
        "        print(error.hint)\n"
    )
    assert run(code).splitlines() == ["pip install 'tallystick[chain]'"] * len(NAMES)


def test_with_it_they_are_all_there() -> None:
    import tallystick.models as models

    assert [name for name in NAMES if getattr(models, name).__name__ != name] == []
