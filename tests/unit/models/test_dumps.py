"""Files of XGBoost and LightGBM become integer models without those packages; damaged ones are refused by type."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_iris

from tallystick.errors import ModelFileError, ModelInputError, TallystickError, UnknownFormatError
from tallystick.models import TreeModel, from_dump, from_lightgbm, parse_model

DATA = Path(__file__).parent / "data"
NAMES = ["temperature", "grade", "hours", "drift"]
EXPECTED = json.loads((DATA / "xgboost_expected.json").read_bytes())


def read(name: str) -> bytes:
    return (DATA / f"xgboost_{name}.json").read_bytes()


def rows_of(name: str) -> np.ndarray:
    return np.array([[np.nan if v is None else v for v in row] for row in EXPECTED[name]["rows"]])


def cells(row: list[float | None]) -> dict[str, str | None]:
    return {n: None if v is None else repr(v) for n, v in zip(NAMES, row, strict=True)}


@pytest.mark.parametrize(("name", "heads"), [("binary", 1), ("several", 3)])
def test_a_model_of_xgboost_says_what_xgboost_says(name: str, heads: int) -> None:
    fitted = from_dump(read(name), rows_of(name), name="lot", target="spoilt")
    model = fitted.model
    assert isinstance(model, TreeModel)
    assert (model.heads, model.quantiser.names) == (heads, tuple(NAMES))
    assert fitted.fidelity.equal_decisions == fitted.fidelity.rows == 40
    assert fitted.fidelity.largest_logit_error < 1e-3
    for row, margins in zip(EXPECTED[name]["rows"], EXPECTED[name]["margins"], strict=True):
        scores = model.scores(cells(row))
        assert np.abs(np.array(scores) / model.unit - margins).max() < 1e-3
    assert parse_model(model.bytes) == model


def test_a_list_of_trees_is_the_model_but_for_where_scores_start() -> None:
    whole, listed = from_dump(read("binary")), from_dump(read("trees"), names=NAMES)
    assert any("start" in note for note in listed.notes)
    assert isinstance(whole.model, TreeModel)
    assert isinstance(listed.model, TreeModel)
    assert listed.model.leaves == whole.model.leaves
    trees = [json.dumps(one) for one in json.loads(read("trees"))]
    base = json.loads(read("binary"))["learner"]["learner_model_param"]["base_score"]
    start = float(base.strip("[]"))
    told = from_dump(json.dumps(trees).encode(), names=NAMES, bases=[np.log(start / (1 - start))])
    assert (told.model.digest, told.notes[:1]) == (whole.model.digest, whole.notes[:1])


def test_features_of_a_list_without_names_are_numbered() -> None:
    data = read("trees")
    for place, name in enumerate(NAMES):
        data = data.replace(f'"{name}"'.encode(), f'"f{place}"'.encode())
    rows = rows_of("binary")
    for given in (rows, rows.tolist()):
        assert from_dump(data, given).model.quantiser.names == ("x0", "x1", "x2", "x3")
    with pytest.raises(ModelInputError):
        from_dump(read("trees"), rows)


def test_gaps_that_no_input_can_stand_for_are_told_and_refused() -> None:
    full = rows_of("binary")
    full = full[~np.isnan(full).any(axis=1)]
    fitted = from_dump(read("gaps"), full)
    assert fitted.fidelity.equal_decisions == len(full)
    assert any("hours" in note for note in fitted.notes)
    with pytest.raises(ModelInputError, match="hours"):
        from_dump(read("gaps"), rows_of("binary"))


def test_a_number_next_to_a_threshold_of_32_bits_goes_where_xgboost_sends_it() -> None:
    file = json.loads(read("trees"))[:1]
    leaf = {"nodeid": 1, "leaf": -1.0}, {"nodeid": 2, "leaf": 1.0}
    file[0] = {"nodeid": 0, "split": "f0", "split_condition": 0.1, "yes": 1, "no": 2, "children": list(leaf)}
    model = from_dump(json.dumps(file).encode()).model
    # float32(0.1) < float32(0.1) does not hold, so the row goes right, although 0.1 < 0.10000000149 does.
    assert model.score({"x0": "0.1"}) > 0 > model.score({"x0": "0.0999"})


@pytest.fixture(scope="module")
def trained(lightgbm: Any) -> dict[str, Any]:
    made = {}
    for name, load, objective in (
        ("binary", load_breast_cancer, "binary"),
        ("softmax", load_iris, "multiclass"),
        ("ova", load_iris, "multiclassova"),
    ):
        x, y = load(return_X_y=True)
        settings = {
            "objective": objective, "max_depth": 4, "num_threads": 1, "verbosity": -1,
            "num_class": 1 if objective == "binary" else 3,
        }  # fmt: skip
        made[name] = (lightgbm.train(settings, lightgbm.Dataset(x, y), 12), x)
    return made


@pytest.mark.parametrize("name", ["binary", "softmax", "ova"])
def test_both_forms_of_lightgbm_are_the_model_that_lightgbm_hands_over(
    name: str, trained: dict[str, Any]
) -> None:
    booster, x = trained[name]
    own = from_lightgbm(booster, x)
    text = from_dump(booster.model_to_string().encode(), x)
    dump = from_dump(json.dumps(booster.dump_model()).encode(), x)
    assert own.fidelity.equal_decisions == text.fidelity.equal_decisions == dump.fidelity.rows == len(x)
    assert own.model.packed == text.model.packed == dump.model.packed
    assert text.fidelity.largest_logit_error < 1e-3
    assert any("distribution" in note for note in text.notes) == (name == "softmax")


def edited(change: Callable[[Any], Any], name: str = "binary") -> bytes:
    file = json.loads(read(name))
    return json.dumps(change(file) or file).encode()


def model_of(file: Any) -> Any:
    return file["learner"]["gradient_booster"]["model"]


def tree_of(file: Any) -> Any:
    return model_of(file)["trees"][0]


XGBOOST = {
    "another booster": (lambda f: f["learner"]["gradient_booster"].update(name="dart"), ModelInputError),
    "a regression": (lambda f: f["learner"]["objective"].update(name="reg:squarederror"), ModelInputError),
    "a later version": (lambda f: f.update(version=[9, 0, 0]), UnknownFormatError),
    "no version": (lambda f: f.pop("version") and None, ModelFileError),
    "a chance of one": (
        lambda f: f["learner"]["learner_model_param"].update(base_score="1E0"),
        ModelFileError,
    ),
    "no number": (
        lambda f: f["learner"]["learner_model_param"].update(base_score="[nan]"),
        ModelFileError,
    ),
    "two starts": (
        lambda f: f["learner"]["learner_model_param"].update(base_score="[.5,.5]"),
        ModelFileError,
    ),
    "a huge index": (lambda f: tree_of(f)["split_indices"].__setitem__(0, 10**9), ModelFileError),
    "a feature too far": (lambda f: tree_of(f)["split_indices"].__setitem__(0, 4), ModelFileError),
    "a cycle": (lambda f: tree_of(f)["left_children"].__setitem__(1, 0), ModelFileError),
    "a child of two": (
        lambda f: tree_of(f)["left_children"].__setitem__(0, tree_of(f)["right_children"][0]),
        ModelFileError,
    ),
    "a child too far": (lambda f: tree_of(f)["left_children"].__setitem__(0, 500), ModelFileError),
    "half a node": (lambda f: tree_of(f)["left_children"].__setitem__(0, -1), ModelFileError),
    "a text as threshold": (lambda f: tree_of(f)["split_conditions"].__setitem__(0, "x"), ModelFileError),
    "no threshold": (lambda f: tree_of(f)["split_conditions"].__setitem__(0, None), ModelFileError),
    "beyond 32 bits": (lambda f: tree_of(f)["split_conditions"].__setitem__(0, 1e300), ModelFileError),
    "a short column": (lambda f: tree_of(f)["default_left"].pop() and None, ModelFileError),
    "a column missing": (lambda f: tree_of(f).pop("split_indices") and None, ModelFileError),
    "a tree of another kind": (lambda f: model_of(f)["trees"].__setitem__(0, 7), ModelFileError),
    "a class too far": (lambda f: model_of(f)["tree_info"].__setitem__(0, 1), ModelFileError),
    "a class too few": (lambda f: model_of(f)["tree_info"].pop() and None, ModelFileError),
    "categories": (lambda f: tree_of(f)["split_type"].__setitem__(0, 1), ModelInputError),
    "leaves of many": (lambda f: tree_of(f)["tree_param"].update(size_leaf_vector="3"), ModelInputError),
    "no trees": (lambda f: model_of(f).update(trees=[], tree_info=[]), ModelFileError),
    "no learner": (lambda f: {"learner": 1, "version": [3, 2, 0]}, ModelFileError),
    "nothing known": (lambda f: {"hello": 1}, UnknownFormatError),
}  # fmt: skip


@pytest.mark.parametrize("what", XGBOOST)
def test_a_model_of_xgboost_that_does_not_fit_is_refused(what: str) -> None:
    change, error = XGBOOST[what]
    assert from_dump(edited(lambda file: None)).model.family == "trees"
    with pytest.raises(error):
        from_dump(edited(change))


def chain_of(depth: int) -> dict[str, Any]:
    node: dict[str, Any] = {"nodeid": 2 * depth, "leaf": 1.0}
    for level in reversed(range(depth)):
        leaf = {"nodeid": 2 * level + 1, "leaf": 0.0}
        node = {
            "nodeid": 2 * level, "split": "f0", "split_condition": level, "yes": 2 * level + 1,
            "no": 2 * level + 2, "missing": 2 * level + 1, "children": [leaf, node],
        }  # fmt: skip
    return node


def test_a_tree_of_depth_eight_is_read_and_a_deeper_one_refused() -> None:
    model = from_dump(json.dumps([chain_of(8)]).encode()).model
    assert model.score({"x0": "7"}) > model.score({"x0": "6.9"})
    with pytest.raises(ModelInputError, match="depth 8"):
        from_dump(json.dumps([chain_of(9)]).encode())
    with pytest.raises(TallystickError):
        from_dump(json.dumps([chain_of(300)]).encode())


LISTED: dict[str, Callable[[Any], object]] = {
    "no children": lambda node: node.pop("children"),
    "strangers as children": lambda node: node.update(yes=77),
    "a missing one elsewhere": lambda node: node.update(missing=77),
    "categories": lambda node: node.update(split_condition=[1, 2]),
    "an indicator": lambda node: node.pop("split_condition"),
    "a feature below zero": lambda node: node.update(split=-1),
    "an unknown feature": lambda node: node.update(split="colour"),
    "a cover that is no number": lambda node: node.update(cover="many"),
}


@pytest.mark.parametrize("what", LISTED)
def test_a_listed_tree_that_does_not_fit_is_refused(what: str) -> None:
    root = chain_of(2)
    from_dump(json.dumps([root]).encode())
    LISTED[what](root)
    with pytest.raises((ModelFileError, ModelInputError)):
        from_dump(json.dumps([root]).encode())


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", UnknownFormatError),
        (b"booster[0]:\n0:[f0<1] yes=1,no=2", UnknownFormatError),
        (b"{L\x00", ModelFileError),
        (b"[" * 5000, ModelFileError),
        (b"[]", ModelFileError),
        (b"[1, 2]", ModelFileError),
        (b'["{"]', ModelFileError),
        (b'[{"leaf": NaN}]', ModelFileError),
        (b"tree\n\xff", ModelFileError),
        (b"tree\nversion=v4\n", ModelFileError),
    ],
)
def test_bytes_that_are_no_dump_are_refused(data: bytes, error: type[TallystickError]) -> None:
    with pytest.raises(error):
        from_dump(data)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_file_cut_short_is_refused(share: float) -> None:
    data = read("binary")
    with pytest.raises(ModelFileError):
        from_dump(data[: int(share * len(data))])


TEXT = """tree
version=v4
num_class=1
num_tree_per_iteration=1
max_feature_idx=1
objective=binary sigmoid:1
feature_names=age dose
tree_sizes=1 1

Tree=0
num_leaves=3
num_cat=0
split_feature=0 1
threshold=40.5 0.25
decision_type=2 10
left_child=-1 -2
right_child=1 -3
leaf_value=-1 0.5 2
leaf_count=10 20 30
is_linear=0

Tree=1
num_leaves=1
leaf_value=0.125

end of trees
"""


def test_a_text_model_scores_as_it_reads() -> None:
    model = from_dump(TEXT.encode(), target="late").model
    said = {
        ("40.5", "1"): -0.875, ("41", "0.25"): 0.625, ("41", "0.26"): 2.125, ("41", None): 0.625,
        (None, "9"): -0.875,
    }  # fmt: skip
    for (age, dose), logit in said.items():
        assert model.score({"age": age, "dose": dose}) == pytest.approx(logit * model.unit, abs=2)


LINES = {
    "version=v4": ("version=v9", UnknownFormatError),
    "objective=binary sigmoid:1": ("objective=regression", ModelInputError),
    "num_tree_per_iteration=1": ("num_tree_per_iteration=65", ModelFileError),
    "max_feature_idx=1": ("max_feature_idx=0", TallystickError),
    "tree_sizes=1 1": ("tree_sizes=1", ModelFileError),
    "Tree=1": ("Tree=7", ModelFileError),
    "num_leaves=3": ("num_leaves=4", ModelFileError),
    "num_cat=0": ("num_leaves=3", ModelFileError),
    "split_feature=0 1": ("split_feature=0 2", ModelFileError),
    "threshold=40.5 0.25": ("threshold=40.5 nan", ModelFileError),
    "decision_type=2 10": ("decision_type=1 2", ModelInputError),
    "left_child=-1 -2": ("left_child=-1 0", ModelFileError),
    "right_child=1 -3": ("right_child=1 -4", ModelFileError),
    "leaf_value=-1 0.5 2": ("leaf_value=-1 0.5 inf", ModelFileError),
    "leaf_count=10 20 30": ("leaf_count=10 20 -30", ModelFileError),
    "is_linear=0": ("is_linear=1", ModelInputError),
    "end of trees": ("", ModelFileError),
    "sigmoid:1": ("sigmoid:0", ModelFileError),
}


@pytest.mark.parametrize("line", LINES)
def test_a_line_of_a_text_model_that_does_not_fit_is_refused(line: str) -> None:
    other, error = LINES[line]
    assert line in TEXT
    with pytest.raises(error):
        from_dump(TEXT.replace(line, other).encode())


def test_zeros_that_count_as_gaps_are_refused_unless_they_go_where_they_would() -> None:
    from_dump(TEXT.replace("decision_type=2 10", "decision_type=6 10").encode())
    with pytest.raises(ModelInputError, match="zeros"):
        from_dump(TEXT.replace("decision_type=2 10", "decision_type=4 10").encode())


def test_a_dump_of_lightgbm_with_a_foreign_tree_is_refused(trained: dict[str, Any]) -> None:
    good = trained["binary"][0].dump_model()
    from_dump(json.dumps(good).encode())
    for change in ({"threshold": "x"}, {"decision_type": "=="}, {"split_feature": 30}, {"left_child": []}):
        bad = copy.deepcopy(good)
        bad["tree_info"][0]["tree_structure"].update(change)
        with pytest.raises((ModelFileError, ModelInputError)):
            from_dump(json.dumps(bad).encode())


@pytest.mark.parametrize("feature", [10**18, 65_536, "f99999"])
def test_a_feature_number_that_no_table_has_is_refused_before_names_are_made(feature: object) -> None:
    root = chain_of(2)
    assert from_dump(json.dumps([{**root, "split": 9}]).encode()).model.quantiser.width == 10
    with pytest.raises((ModelFileError, ModelInputError)):
        from_dump(json.dumps([{**root, "split": feature}]).encode())


def test_trees_nested_without_end_are_refused(trained: dict[str, Any]) -> None:
    good = trained["binary"][0].dump_model()
    text = (
        '{"split_feature":0,"threshold":1,"decision_type":"<=","left_child":{"leaf_value":1},"right_child":'
    )
    nested = json.loads(text * 900 + "1" + "}" * 900)
    for deep in (nested, chain_of(450)):
        file: Any = copy.deepcopy(good) if deep is nested else None
        if file:
            file["tree_info"][0]["tree_structure"] = deep
        with pytest.raises(TallystickError):
            from_dump(json.dumps(file or [deep]).encode())


def test_labels_and_names_that_do_not_fit_are_refused() -> None:
    assert from_dump(TEXT.encode(), labels=["early", "late"], names=["a", "b"]).model.labels[1] == "late"
    for more in ({"labels": ["a"]}, {"labels": ["a", "b", "c"]}, {"names": ["a"]}, {"names": ["a", "a"]}):
        with pytest.raises(ModelInputError):
            from_dump(TEXT.encode(), **more)  # type: ignore[arg-type]
    for rows in (np.zeros((2, 3)), np.zeros(2), np.full((1, 2), np.inf), [["x", "y"]], np.zeros((0, 2))):
        with pytest.raises(ModelInputError):
            from_dump(TEXT.encode(), rows)  # type: ignore[arg-type]
