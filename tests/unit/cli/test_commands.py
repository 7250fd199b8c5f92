"""The commands as they are typed: what they print, what they leave behind, how they end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tallystick.chain import LocalChain, serve
from tallystick.cli._app import COMMANDS, run
from tallystick.proof import Party

PASSPHRASE = "correct horse"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TALLYSTICK_PASSPHRASE", PASSPHRASE)
    save = Party.save
    # What makes guessing a passphrase dear makes a hundred tests dear too.
    monkeypatch.setattr(Party, "save", lambda self, path, secret, n=0: save(self, path, secret, n=2**4))
    return tmp_path


Said = pytest.CaptureFixture[str]


def ok(words: str, said: Said, *, code: int = 0) -> str:
    found = run(words.split())
    shown = said.readouterr()
    assert found == code, shown.out + shown.err
    assert all(len(line) <= 80 for line in shown.out.splitlines() if not line.startswith(("did:", "hint"))), (
        shown.out
    )
    return shown.out + shown.err


def as_json(words: str, said: Said, *, code: int = 0) -> object:
    assert run([*words.split(), "--json"]) == code
    return json.loads(said.readouterr().out)


def test_the_first_day_works_as_it_is_told(place: Path, capsys: Said) -> None:
    ok("init clinic --name Clinic --chain pilot.chain", capsys)
    (place / "protocol.txt").write_text("text")
    ok("record document.recorded --set title=protocol --payload protocol.txt -w clinic", capsys)
    assert "stands in block" in ok("anchor -w clinic", capsys)
    assert "stands on the chain already" in ok("anchor -w clinic", capsys)
    assert "protocol" in ok("log -w clinic", capsys)
    ok("receipt 0 -o r.json -w clinic", capsys)
    assert "you named nobody" in ok("verify r.json", capsys, code=3)
    ok("policy new -o mine.json -w clinic", capsys)
    assert "your policy pins its cards" in ok("verify r.json --policy mine.json", capsys)
    assert "claimed by" not in ok("policy show mine.json", capsys)
    assert "anchored up to 1" in ok("chain status -w clinic", capsys)
    assert "active" in ok("members list -w clinic", capsys)
    assert "1 recorded" in ok("trace 0 -w clinic", capsys)


def test_every_command_has_help_with_an_example_and_fits_the_screen(capsys: Said) -> None:
    def walk(words: list[str]) -> None:
        assert run([*words, "--help"]) == 0
        text = capsys.readouterr().out
        assert all(len(line) <= 80 for line in text.splitlines()), text
        if "Commands:" in text:
            below = text.partition("Commands:\n")[2].split("\n\n")[0]
            for line in below.splitlines():
                if line.startswith("  ") and line[2] != " ":
                    walk([*words, line.split()[0]])
        else:
            assert "Examples:" in text, words
            assert "--json" in text

    walk([])


def test_all_commands_of_the_program_are_found() -> None:
    wanted = "init record log anchor receipt disclose verify trace witness card policy backup restore export chain members"
    assert set(COMMANDS) >= {*wanted.split(), "doctor", "pilot"}


def test_a_witness_sees_and_cosigns_by_files(place: Path, capsys: Said) -> None:
    for name in ("a", "b"):
        ok(f"init {name} --name {name.upper()}", capsys)
        ok(f"card show -o {name}.card.json -w {name}", capsys)
    ok("card import b.card.json -w a", capsys)
    ok("card import a.card.json -w b", capsys)
    ok("record document.recorded --set title=x -w a", capsys)
    ok("witness ask -o ask.json -w a", capsys)
    ok("witness sign ask.json -o head -w b", capsys)
    assert "B saw this head" in ok("witness add head -w a", capsys)
    ok("receipt 0 -o r.json -w a", capsys)
    ok("policy new -o mine.json -w a", capsys)
    assert "B witnessed that journal" in ok("verify r.json --policy mine.json", capsys)


def test_chosen_fields_are_disclosed_and_the_others_are_not(place: Path, capsys: Said) -> None:
    ok("init a --name A", capsys)
    (place / "f.json").write_text('{"amount": 12, "reasons": ["late", "abroad"]}')
    ok("record document.recorded --set title=x --fields f.json --subject anna -w a", capsys)
    ok("receipt 0 -o r.json -w a", capsys)
    ok("disclose r.json --field reasons[0] -o shown.json -w a", capsys)
    text = ok("verify shown.json", capsys, code=3)
    assert "'late'" in text
    assert "amount" not in text
    assert b"abroad" not in (place / "shown.json").read_bytes()
    assert "no such field" in ok("disclose 0 --field nothing -w a", capsys, code=1)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("nosuch", 2, "No such command"),
        ("verify", 2, "Missing argument"),
        ("verify absent.json", 2, "there is no file"),
        ("verify r.json --policy absent.json", 2, "no policy file"),
        ("verify junk.json", 1, "FALSE"),
        ("log", 1, "there is no workspace"),
        ("record document.recorded --set title -w a", 2, "expected NAME=VALUE"),
        ("record document.recorded --body [1] -w a", 2, "JSON object"),
        ("record nothing.said -w a", 1, "unknown kind"),
        ("record document.recorded --set titel=x -w a", 1, "has no field"),
        ("receipt 99 -w a", 1, "expected a statement below"),
        ("receipt abc -w a", 1, "expected one statement"),
        ("init a --name A", 1, "not empty"),
        ("anchor -w a", 1, "no chain"),
        ("receipt 0 -o nowhere/r.json -w a", 1, "could not be written"),
        ("card show -o nowhere/a.json -w a", 1, "could not be written"),
        ("export bundle -o nowhere/b.zip -w a", 1, "could not be written"),
        ("export tiles r.json/tiles -w a", 1, "error:"),
        ("backup nowhere/b -w a", 1, "could not be written"),
        ("log --since yesterday -w a", 2, "expected a date"),
        ("pilot nosuch", 2, "No such command"),
    ],
)
def test_what_is_wrong_is_said_with_the_right_code(
    place: Path, capsys: Said, words: str, code: int, said: str
) -> None:
    ok("init a --name A", capsys)
    ok("record document.recorded --set title=x -w a", capsys)
    ok("receipt 0 -o r.json -w a", capsys)
    (place / "junk.json").write_text("{}")
    text = ok(words, capsys, code=code)
    assert said in text
    assert "Traceback" not in text


def test_an_error_has_a_hint_and_the_stack_only_when_asked(capsys: Said) -> None:
    assert "hint: run `tallystick init" in ok("log", capsys, code=1)
    assert "Traceback" in ok("log --verbose", capsys, code=1)


def test_json_and_quiet_say_what_they_should(place: Path, capsys: Said) -> None:
    assert as_json("init a --name A", capsys)["name"] == "A"  # type: ignore[index]
    entry = as_json("record document.recorded --set title=x -w a", capsys)
    assert as_json("log -w a", capsys)[0]["id"] == entry["id"]  # type: ignore[index]
    assert as_json("log -w nowhere", capsys, code=1)["error"]["code"] == "input.not-found"  # type: ignore[index]
    assert ok("log -w a --quiet", capsys) == ""
    ok("receipt 0 -o r.json -w a", capsys)
    assert as_json("verify r.json", capsys, code=3)["files"][0]["intact"] is True  # type: ignore[index]


def test_options_have_defaults_in_the_environment(capsys: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    ok("init a --name A", capsys)
    monkeypatch.setenv("TALLYSTICK_WORKSPACE", "a")
    monkeypatch.setenv("TALLYSTICK_LOG_LIMIT", "1")
    for _ in range(2):
        ok("record document.recorded --set title=x", capsys)
    assert "1 shown, 2 in all" in ok("log", capsys)


def test_a_passphrase_may_come_from_a_file_but_not_from_nowhere(
    place: Path, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    ok("init a --name A", capsys)
    monkeypatch.delenv("TALLYSTICK_PASSPHRASE")
    assert "there is no terminal to ask" in ok("log -w a", capsys, code=1)
    (place / "secret").write_text(PASSPHRASE + "\n")
    monkeypatch.setenv("TALLYSTICK_PASSPHRASE_FILE", str(place / "secret"))
    ok("log -w a", capsys)
    (place / "secret").write_text("wrong")
    assert "does not open" in ok("log -w a", capsys, code=1)


def test_a_backup_is_restored_and_an_old_one_refuses_to_sign(place: Path, capsys: Said) -> None:
    ok("init a --name A", capsys)
    ok("record document.recorded --set title=one -w a", capsys)
    ok("backup old.backup -w a", capsys)
    assert "already" in ok("backup old.backup -w a", capsys, code=1)
    ok("record document.recorded --set title=two -w a", capsys)
    ok("restore old.backup again", capsys)
    assert "title=one" in ok("log -w again", capsys)
    assert "signed before" in ok("record document.recorded --set title=fork -w again", capsys, code=1)
    ok("backup new.backup -w a", capsys)
    ok("restore new.backup newer", capsys)
    ok("record document.recorded --set title=three -w newer", capsys)


def test_a_damaged_backup_writes_nothing(place: Path, capsys: Said) -> None:
    ok("init a --name A", capsys)
    ok("backup a.backup -w a", capsys)
    data = bytearray((place / "a.backup").read_bytes())
    data[len(data) // 2] ^= 1
    (place / "a.backup").write_bytes(bytes(data))
    ok("restore a.backup again", capsys, code=1)
    assert not (place / "again").exists()


def test_keys_are_rotated_and_old_receipts_still_verify(place: Path, capsys: Said) -> None:
    ok("init a --name A --chain c.chain", capsys)
    ok("record document.recorded --set title=x -w a", capsys)
    ok("receipt 0 -o old.json -w a", capsys)
    ok("policy new -o mine.json -w a", capsys)
    ok("card rotate --role log --role chain --role witness -w a", capsys)
    ok("record document.recorded --set title=y -w a", capsys)
    ok("anchor -w a", capsys)
    ok("receipt 2 -o new.json -w a", capsys)
    ok("verify old.json new.json --policy mine.json", capsys)


def test_two_histories_are_called_out_when_they_are_shown_together(
    place: Path, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    ok("init a --name A", capsys)
    ok("backup a.backup -w a", capsys)
    for number in (1, 2):
        monkeypatch.setenv("TALLYSTICK_STATE", str(place / f"state{number}"))
        ok(f"restore a.backup a{number}", capsys)
        ok(f"record document.recorded --set title=history{number} -w a{number}", capsys)
        ok(f"receipt 0 -o {number}.json -w a{number}", capsys)
    assert "two roots at one size" in ok("verify 1.json 2.json --evidence fork.json", capsys, code=1)
    assert "signed two histories" in " ".join(ok("verify fork.json", capsys, code=1).split())
    document = as_json("verify 1.json 2.json", capsys, code=1)
    assert isinstance(document, dict)
    assert "two roots at one size" in document["fork"]


def test_bundles_and_tiles_are_exported(place: Path, capsys: Said) -> None:
    ok("init a --name A", capsys)
    for _ in range(3):
        ok("record document.recorded --set title=x -w a", capsys)
    ok("export bundle -o b.zip -w a", capsys)
    assert "3 receipts, all intact" in ok("verify b.zip", capsys, code=3)
    ok("export tiles public -w a", capsys)
    assert len((place / "public" / "tile" / "0" / "000.p" / "3").read_bytes()) == 96
    assert (place / "public" / "checkpoint").read_text().splitlines()[1] == "3"


def test_a_second_party_joins_by_vote(place: Path, capsys: Said) -> None:
    ok("init a --name A --chain c.chain", capsys)
    ok("init b --name B", capsys)
    ok("card show -o b.card.json -w b", capsys)
    ok("card import b.card.json -w a", capsys)
    ok("members propose join b.card.json --threshold 2 -w a", capsys)
    assert "was approved already" in ok("members approve 1 -w a", capsys)  # whoever proposes has approved
    assert "approved" in ok("members list -w a", capsys)
    ok("members execute 1 -w a", capsys)
    assert "was executed already" in ok("members execute 1 -w a", capsys)
    found = as_json("members list -w a", capsys)
    assert [p["standing"] for p in found["parties"]] == ["active", "active"]  # type: ignore[index]


def test_doctor_finds_what_is_wrong(place: Path, capsys: Said) -> None:
    ok("init a --name A", capsys)
    ok("doctor -w a --deep", capsys)
    (place / "a" / "keys.json").chmod(0o644)
    assert "wrong  key file" in ok("doctor -w a", capsys, code=1)


def test_verifying_loads_no_heavy_package(place: Path, capsys: Said) -> None:
    ok("init a --name A", capsys)
    ok("record document.recorded --set title=x -w a", capsys)
    ok("receipt 0 -o r.json -w a", capsys)
    code = (
        "import sys; from tallystick.cli._app import run; assert run(['verify', 'r.json', '--quiet']) == 3;"
        "print(sorted({n.partition('.')[0] for n in sys.modules} & {'numpy','web3','eth','sklearn','rich','requests'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_version_is_told(capsys: Said) -> None:
    assert ok("--version", capsys).startswith("tallystick 0.")


def test_an_anchor_is_read_from_the_callers_own_endpoints(place: Path, capsys: Said) -> None:
    ok("init a --name A --chain c.chain", capsys)
    ok("record document.recorded --set title=x -w a", capsys)
    ok("anchor -w a", capsys)
    ok("receipt 0 -o r.json -w a", capsys)
    with LocalChain("c.chain") as chain, serve(chain, port=0) as served:
        told = ok(f"verify r.json --rpc {served.url}", capsys, code=3)
    assert "127.0.0.1" not in told  # nobody was silent
    ok(f"policy new -o mine.json --endpoint me={served.url} -w a", capsys)
    silent = ok("verify r.json --policy mine.json --rpc me", capsys)
    assert "note: 127.0.0.1" in silent
    assert "claimed   anchored" in silent
    assert "no endpoint 'nobody'" in ok("verify r.json --policy mine.json --rpc nobody", capsys, code=2)


def test_the_shell_completes_commands() -> None:
    environment = {
        **os.environ,
        "_TALLYSTICK_COMPLETE": "complete_bash",
        "COMP_WORDS": "tallystick ver",
        "COMP_CWORD": "1",
    }
    program = [str(Path(sys.executable).parent / "tallystick")]
    done = subprocess.run(program, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["verify"]


# Whoever runs the tests in the background has Ctrl-C ignored, and children inherit that.
HEARS_CTRL_C = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from tallystick.cli import main; main()"


def test_several_workspaces_share_a_chain_that_is_served(place: Path, capsys: Said) -> None:
    program = [sys.executable, "-u", "-c", HEARS_CTRL_C]
    words = ["chain", "serve", "shared.chain", "--create", "--port", "0", "--json"]
    with subprocess.Popen([*program, *words], stdout=subprocess.PIPE, text=True) as serving:
        assert serving.stdout is not None
        try:
            told = "".join(serving.stdout.readline() for _ in range(4))
            url = json.loads(told)["url"]
            ok(f"init a --name A --chain {url}", capsys)
            found = as_json("members found -w a", capsys)
            assert isinstance(found, dict)
            ok(
                f"init b --name B --chain {url} --members {found['members']} --anchors {found['anchors']}",
                capsys,
            )
            ok("record document.recorded --set title=x -w a", capsys)
            ok("anchor -w a", capsys)
            assert "embedded: one operator's" in ok("chain status -w b", capsys)
            ok("record document.recorded --set title=x -w b", capsys)
            assert "not the writer" in ok("anchor -w b", capsys, code=1)
        finally:
            serving.send_signal(signal.SIGINT)
            serving.wait(timeout=10)
    assert "does not answer" in ok("chain status -w a", capsys, code=1)


def test_a_refused_proposal_can_be_proposed_again_as_it_should_have_been(place: Path, capsys: Said) -> None:
    ok("init a --name A --chain c.chain", capsys)
    ok("init b --name B", capsys)
    ok("card show -o b.card.json -w b", capsys)
    ok("card import b.card.json -w a", capsys)
    assert "majority" in ok("members propose join b.card.json -w a", capsys, code=1)
    assert "majority" in ok("members propose join b.card.json -w a", capsys, code=1)
    ok("members propose join b.card.json --threshold 2 -w a", capsys)


def test_a_witness_attests_an_anchor_that_it_read_itself(place: Path, capsys: Said) -> None:
    ok("init a --name A --chain c.chain", capsys)
    anchors = next(
        line.split('"')[1]
        for line in (place / "a" / "tallystick.toml").read_text().splitlines()
        if "anchors" in line
    )
    ok(f"init b --name B --chain c.chain --anchors {anchors}", capsys)
    ok("card show -o a.card.json -w a", capsys)
    ok("card show -o b.card.json -w b", capsys)
    ok("card import b.card.json -w a", capsys)
    ok("card import a.card.json -w b", capsys)
    ok("record document.recorded --set title=x -w a", capsys)
    ok("anchor -w a", capsys)
    ok("receipt 0 -o r.json -w a", capsys)
    ok("witness attest r.json -o anchor.note -w b", capsys)
    assert "B saw this anchor" in ok("witness add anchor.note -w a", capsys)
    ok("receipt 0 -o noted.json -w a", capsys)
    ok("policy new -o mine.json --ask party -w a", capsys)
    assert "saw on their own nodes" in " ".join(ok("verify noted.json --policy mine.json", capsys).split())


@pytest.mark.parametrize("words", ["verify", "nothing", "members propose", "init --nope x"])
def test_a_command_line_that_cannot_be_read_says_so_as_json_too(capsys: Said, words: str) -> None:
    found = as_json(words, capsys, code=2)
    assert found["error"]["code"] == "usage"  # type: ignore[index]
    assert found["error"]["message"]  # type: ignore[index]
    assert "-h" in found["error"]["hint"]  # type: ignore[index]
