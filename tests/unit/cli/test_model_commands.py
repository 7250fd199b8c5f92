"""Models from the command line: as files without a workspace, and in a workspace's registry."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.made_models import make_model

from tallystick.cli._app import run
from tallystick.models import LinearModel, NumericFeature, Quantiser
from tallystick.node import Node
from tallystick.proof import Party

PASSPHRASE = "correct horse"
Said = pytest.CaptureFixture[str]
ROW = '{"age": 63, "sex": "male", "dose": "2.3"}'


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TALLYSTICK_PASSPHRASE", PASSPHRASE)
    save = Party.save
    monkeypatch.setattr(Party, "save", lambda self, path, secret, n=0: save(self, path, secret, n=2**4))
    (tmp_path / "row.json").write_text(ROW)
    (tmp_path / "made.tsm").write_bytes(make_model("linear", 1).bytes)
    return tmp_path


def typed(said: Said, line: str, *, code: int = 0) -> str:
    found = run(line.split())
    shown = said.readouterr()
    assert found == code, shown.out + shown.err
    assert all(len(part) <= 80 for part in shown.out.splitlines()), shown.out
    return shown.out + shown.err


def as_json(said: Said, line: str) -> Any:
    assert run([*line.split(), "--json"]) == 0
    return json.loads(said.readouterr().out)


def simple() -> LinearModel:
    feature = NumericFeature("x", "x", 0, 0, 1, -100, 100, 0, False, "refuse")
    return LinearModel("risk", "illness", Quantiser((feature,)), ("no", "yes"), 4096, 0, ((41,),), (0,), (0,))


def test_a_model_file_is_shown_and_scores_without_a_workspace(capsys: Said) -> None:
    model = make_model("linear", 1)
    shown = typed(capsys, "model show made.tsm")
    assert model.hash in shown
    assert "a contract can execute it" in shown
    said = as_json(capsys, "model score made.tsm --row row.json")
    row = {"age": "63", "sex": "male", "dose": "2.3"}
    assert said["scores"] == list(model.scores(row))
    assert [reason["feature"] for reason in said["reasons"]] == [r.feature for r in model.reasons(row)]
    assert model.decision(model.scores(row)) in typed(capsys, "model score made.tsm --row row.json")


def test_many_rows_are_scored_in_order_and_written(capsys: Said, place: Path) -> None:
    (place / "rows.csv").write_text("id,dose,age,sex\n1,2.3,63,male\n2,,NA,female\n")
    typed(capsys, "model score made.tsm --csv rows.csv -o scored.csv")
    lines = (place / "scored.csv").read_text().splitlines()
    model = make_model("linear", 1)
    wanted = [
        model.score({"age": "63", "sex": "male", "dose": "2.3"}),
        model.score({"age": None, "sex": "female", "dose": None}),
    ]
    assert lines[0] == "decision,probability,score"
    assert [int(line.rpartition(",")[2]) for line in lines[1:]] == wanted


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("model score made.tsm --row nan.json", "must be finite"),
        ("model score made.tsm --row short.json", "sex"),
        ("model score made.tsm --row list.json", "one JSON object"),
        ("model score made.tsm --row broken.json", "must be JSON"),
        ("model score made.tsm --row nested.json", "must be text, a number or null"),
        ("model score damaged.tsm --row row.json", "model"),
        ("model score later.tsm --row row.json", "version"),
        ("model score nowhere.tsm --row row.json", "there is no file"),
        ("model show damaged.tsm", "model"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(capsys: Said, place: Path, line: str, message: str) -> None:
    (place / "nan.json").write_text('{"age": "NaN", "sex": "male", "dose": 1}')
    (place / "short.json").write_text('{"age": "1", "dose": 1}')
    (place / "list.json").write_text("[1]")
    (place / "broken.json").write_text("{")
    (place / "nested.json").write_text('{"age": {}, "sex": "male", "dose": 1}')
    data = make_model("linear", 1).bytes
    (place / "damaged.tsm").write_bytes(data[:-9])
    (place / "later.tsm").write_bytes(data.replace(b'"v":1}', b'"v":2}'))
    shown = typed(capsys, line, code=1)
    assert shown.startswith("error: ")
    assert message in " ".join(shown.split())


def test_either_a_row_or_rows_is_asked_for(capsys: Said) -> None:
    assert "either --row or --csv" in typed(capsys, "model score made.tsm", code=2)


def test_a_model_goes_to_onnx_and_comes_back_as_the_same_model(capsys: Said, place: Path) -> None:
    pytest.importorskip("onnx")
    typed(capsys, "model export made.tsm --onnx -o made.onnx")
    typed(capsys, "model import made.onnx -o again.tsm")
    assert (place / "again.tsm").read_bytes() == (place / "made.tsm").read_bytes()


def test_a_foreign_onnx_file_needs_to_be_described_and_stays_opaque(capsys: Said, place: Path) -> None:
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    node = helper.make_node("ReduceMean", ["x"], ["y"], axes=[1], keepdims=1)
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", kind, [None, 2])],
        [helper.make_tensor_value_info("y", kind, [None, 1])],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    (place / "mean.onnx").write_bytes(made.SerializeToString())
    assert "what its numbers mean" in typed(capsys, "model import mean.onnx -o mean.tsm", code=1)
    line = "model import mean.onnx --target mean --label low --label high --column a --column b --result y"
    assert "opaque" in typed(capsys, f"{line} -o mean.described.onnx")
    (place / "pair.json").write_text('{"a": "0.9", "b": "0.8"}')
    shown = typed(capsys, "model score mean.described.onnx --row pair.json")
    assert "high" in shown
    assert "no contract can re-execute it" in " ".join(shown.split())


def test_a_model_is_published_judged_overridden_promoted_asked_and_retired(capsys: Said, place: Path) -> None:
    for name in ("a", "b"):
        typed(capsys, f"init {name} --name Bank-{name}")
        typed(capsys, f"card show -o {name}.card.json -w {name}")
    typed(capsys, "card import b.card.json -w a")
    (place / "risk.tsm").write_bytes(simple().bytes)
    assert "risk@1 is published" in typed(capsys, "model publish risk.tsm --name risk -w a")
    rows = "".join(f"{x},{'yes' if x > 2 else 'no'}\n" for x in range(-30, 30))
    (place / "held.csv").write_text("x,ill\n" + rows)
    shown = typed(capsys, "model evaluate risk --data held.csv --target ill -w a")
    assert "auroc" in shown
    assert "1.000" in shown
    assert "has passed a gate" in typed(capsys, "model promote risk -w a", code=1)
    digest = simple().hash
    typed(capsys, f"model override {digest} --reason needed --for a.card.json -o b.json -w b")
    typed(capsys, "model override risk --reason needed -o a.json -w a")
    assert "2 different parties" in typed(
        capsys, "model promote risk --override b.json --override b.json -w a", code=1
    )
    assert "is in use" in typed(capsys, "model promote risk --override a.json --override b.json -w a")
    assert as_json(capsys, "model list -w a")[0]["stage"] == "promoted"
    (place / "x.json").write_text('{"x": 7, "name": "not for the model"}')
    shown = typed(capsys, "ask risk --row x.json --by dr-7 -o r.json -w a")
    assert "who sees" in shown
    assert "not for the model" not in typed(capsys, "log --limit 0 -w a")
    assert "you named nobody" in typed(capsys, "verify r.json", code=3)
    assert "risk@1 is retired" in typed(capsys, "model retire risk --reason replaced -w a")
    assert "retired" in typed(capsys, "ask risk --row x.json -w a", code=1)


def test_overrides_for_different_reasons_or_damaged_ones_promote_nothing(capsys: Said, place: Path) -> None:
    typed(capsys, "init a --name Bank")
    (place / "risk.tsm").write_bytes(simple().bytes)
    typed(capsys, "model publish risk.tsm --name risk -w a")
    typed(capsys, "model override risk --reason one -o one.json -w a")
    typed(capsys, "model override risk --reason two -o two.json -w a")
    line = "model promote risk --override one.json --override"
    assert "different reasons" in typed(capsys, f"{line} two.json -w a", code=1)
    (place / "two.json").write_bytes((place / "one.json").read_bytes().replace(b'"one"', b'"two"'))
    assert "error" in typed(capsys, "model promote risk --override two.json --override two.json -w a", code=1)
    (place / "two.json").write_text("{}")
    assert "not a signed override" in typed(capsys, f"{line} two.json -w a", code=1)
    assert as_json(capsys, "model list -w a")[0]["stage"] == "published"


def test_an_evaluation_needs_the_column_of_what_turned_out(capsys: Said, place: Path) -> None:
    typed(capsys, "init a --name Bank")
    (place / "risk.tsm").write_bytes(simple().bytes)
    typed(capsys, "model publish risk.tsm --name risk -w a")
    (place / "held.csv").write_text("x,ill\n1,yes\n")
    assert "no column 'sick'" in typed(
        capsys, "model evaluate risk --data held.csv --target sick -w a", code=1
    )
    (place / "held.csv").write_text("x,ill\n1,maybe\n2,perhaps\n")
    assert "yes or no" in typed(capsys, "model evaluate risk --data held.csv --target ill -w a", code=1)


def test_a_model_is_deployed_and_settled_where_the_settings_name_the_contract(
    capsys: Said, place: Path
) -> None:
    from tallystick.chain import connect
    from tallystick.node import ChainSettings, found_models

    typed(capsys, "init a --name Bank --chain pilot.chain")
    with Node.open(place / "a", passphrase=PASSPHRASE) as node:
        said = node.settings.chain
        assert said is not None
        with connect(said.profile) as chain:
            models = found_models(node, chain, members=said.members, approvals=1)
        node.set_chain(ChainSettings(said.profile, said.members, said.anchors, models))
    typed(capsys, "model publish made.tsm --name made -w a")
    assert "the contract calls it published" in typed(capsys, "model deploy made -w a")
    assert "shows everything already" in typed(capsys, "model settle -w a")


def test_without_a_contract_a_model_cannot_be_deployed(capsys: Said) -> None:
    typed(capsys, "init a --name Bank")
    typed(capsys, "model publish made.tsm --name made -w a")
    assert "no Models contract" in typed(capsys, "model deploy made -w a", code=1)


def table(place: Path, count: int = 200, *, target: str = "") -> None:
    rows = [
        f"{i},{'north' if i % 2 else 'south'},{i % 17},{'red' if i % 3 else 'blue'},{target or int(i % 17 > 8)}"
        for i in range(count)
    ]
    (place / "own.csv").write_text("\n".join(["id,branch,amount,colour,late", *rows]) + "\n")


@pytest.mark.parametrize("family", ["trees", "linear", "perceptron"])
def test_a_model_is_fitted_on_an_own_table_and_says_what_integers_cost(
    capsys: Said, place: Path, family: str
) -> None:
    pytest.importorskip("sklearn")
    table(place)
    said = as_json(
        capsys,
        f"model fit {family} --data own.csv --target late --site branch --trees 5 --hidden 4 -o late.tsm",
    )
    assert said["fidelity"]["rows"] == 40
    assert said["fidelity"]["equal_decisions"] == 40
    assert said["notes"] == ["column 'id' left out: it looks like an identifier"]
    shown = typed(capsys, "model show late.tsm")
    assert said["hash"] in shown
    assert "branch" not in shown
    (place / "new.json").write_text('{"amount": 16, "colour": "red"}')
    assert as_json(capsys, "model score late.tsm --row new.json")["decision"] == "yes"
    again = as_json(
        capsys,
        f"model fit {family} --data own.csv --target late --site branch --trees 5 --hidden 4 -o late.tsm",
    )
    assert again["hash"] == said["hash"]


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ("model fit forest --data own.csv --target late -o x.tsm", 1, "a family must be"),
        ("model fit trees --data own.csv --target sick -o x.tsm", 1, "no column 'sick'"),
        ("model fit trees --data nowhere.csv --target late -o x.tsm", 1, "cannot be read"),
        ("model fit trees --data own.csv --target colour -o x.tsm", 1, "yes or no"),
        ("model fit trees --data own.csv --target late --depth 9 -o x.tsm", 2, "--depth"),
        ("model fit linear --data one.csv --target late -o x.tsm", 1, "both values"),
    ],
)
def test_what_cannot_be_learned_from_is_refused_and_no_file_is_written(
    capsys: Said, place: Path, line: str, code: int, message: str
) -> None:
    table(place, target="1")
    (place / "own.csv").rename(place / "one.csv")
    table(place)
    assert message in " ".join(typed(capsys, line, code=code).split())
    assert not (place / "x.tsm").exists()


def held_out(place: Path, *, wrong: int = 0) -> None:
    """Write rows of two groups, the first `wrong` of group b labelled against the model."""
    lines = []
    for place_, x in enumerate([value for value in range(-60, 60) if value] * 2):
        group = "ab"[place_ % 2]
        truth = x > 0
        if group == "b" and wrong > 0:
            truth, wrong = not truth, wrong - 1
        lines.append(f"{x},{group},{'yes' if truth else 'no'}")
    (place / "held.csv").write_text("\n".join(["x,group,ill", *lines]) + "\n")


def test_what_passes_its_gate_comes_into_use_without_an_override(capsys: Said, place: Path) -> None:
    typed(capsys, "init a --name Bank")
    (place / "risk.tsm").write_bytes(simple().bytes)
    typed(capsys, "model publish risk.tsm --name risk -w a")
    typed(capsys, "model gate --limit auroc=0.9 --limit equal_opportunity_difference=0.2 -o gate.json")
    line = "model evaluate risk --data held.csv --target ill --group group --gate gate.json -w a"
    held_out(place, wrong=50)
    assert "not passed" in typed(capsys, line)
    assert "has not passed" in typed(capsys, "model promote risk -w a", code=1)
    held_out(place)
    said = as_json(capsys, line)
    assert said["passed"] is True
    assert set(said["figures"]["groups"]) == {"a", "b"}
    assert "is in use" in typed(capsys, "model promote risk -w a")
    rows = line.removeprefix("model evaluate risk").removesuffix("-w a")
    card = as_json(capsys, f"model card risk {rows} --use triage --not-for children -o risk.cdx.json -w a")
    assert card["standings"]["model"].startswith("proved")
    assert card["standings"]["evaluation"].startswith("signed claim")
    assert card["standings"]["uses"].startswith("unsigned claim")
    held_out(place, wrong=9)
    card = as_json(capsys, f"model card risk {rows} -o risk.cdx.json -w a")
    assert card["standings"]["evaluation"].startswith("unsigned claim")
    assert "go together" in typed(capsys, "model card risk --data held.csv -o x.json -w a", code=2)


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ("model gate --limit beauty=1 -o gate.json", 1, "known measures"),
        ("model gate --limit auroc=2 -o gate.json", 1, "0 to 1"),
        ("model gate --limit auroc -o gate.json", 2, "MEASURE=LIMIT"),
        ("model evaluate risk --data held.csv --target ill --gate held.csv -w a", 1, "canonical JSON"),
        ("model evaluate risk --data held.csv --target ill --group tribe -w a", 1, "no column 'tribe'"),
    ],
)
def test_a_gate_or_a_group_that_cannot_be_is_refused(
    capsys: Said, place: Path, line: str, code: int, message: str
) -> None:
    typed(capsys, "init a --name Bank")
    (place / "risk.tsm").write_bytes(simple().bytes)
    typed(capsys, "model publish risk.tsm --name risk -w a")
    held_out(place)
    assert message in " ".join(typed(capsys, line, code=code).split())


def test_a_model_of_xgboost_becomes_an_integer_model_that_says_what_it_cost(
    capsys: Said, place: Path
) -> None:
    data = Path(__file__).parents[1] / "models" / "data"
    told = json.loads((data / "xgboost_expected.json").read_text())["binary"]
    names = json.loads((data / "xgboost_binary.json").read_text())["learner"]["feature_names"]
    lines = [",".join("" if cell is None else str(cell) for cell in row) for row in told["rows"]]
    (place / "held.csv").write_text("\n".join([",".join(names), *lines]) + "\n")
    line = f"model import {data}/xgboost_binary.json --data held.csv --name late --target late"
    said = as_json(capsys, f"{line} -o late.tsm")
    assert (said["family"], said["rows"], said["equal_decisions"]) == ("trees", 40, 40)
    scored = as_json(capsys, "model score late.tsm --csv held.csv")["rows"]
    wanted = ["yes" if margin > 0 else "no" for (margin,) in told["margins"]]
    assert [row["decision"] for row in scored] == wanted


def test_what_an_imported_model_cannot_do_is_said(capsys: Said, place: Path) -> None:
    data = Path(__file__).parents[1] / "models" / "data"
    told, compared = as_json(capsys, f"model import {data}/xgboost_gaps.json -o late.tsm --target late")[
        "notes"
    ]
    assert "gap of hours" in told
    assert as_json(capsys, f"model import {data}/xgboost_binary.json -o x.tsm")["notes"] == [compared]


def test_a_dump_that_is_cut_short_or_of_other_columns_is_refused(capsys: Said, place: Path) -> None:
    data = (Path(__file__).parents[1] / "models" / "data" / "xgboost_binary.json").read_bytes()
    (place / "whole.json").write_bytes(data)
    (place / "cut.json").write_bytes(data[:-40])
    (place / "other.json").write_text("{}")
    (place / "held.csv").write_text("a,b\n1,2\n")
    assert "damaged" in typed(capsys, "model import cut.json -o x.tsm", code=1)
    assert "no dump of trees" in typed(capsys, "model import other.json -o x.tsm", code=1)
    shown = typed(capsys, "model import whole.json --data held.csv -o x.tsm", code=1)
    assert "which the model reads" in shown
    assert not (place / "x.tsm").exists()
