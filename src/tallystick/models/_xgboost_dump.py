"""XGBoost's own JSON, read without XGBoost: the model (`save_model`) and the list of trees (`dump_model`).

A row goes left when its number is below the threshold, both in 32 bits. Versions 1 to 3 of the model form. XGBoost
keeps no count of rows but a cover (a sum of curvatures); counts of the integer trees are 256 times the covers.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from tallystick.errors import ModelFileError, ModelInputError, UnknownFormatError
from tallystick.models._dump_fields import (
    MALFORMED,
    MAX_COLUMNS,
    MAX_COUNT,
    by_head,
    check_tree,
    mapping,
    real,
    sequence,
    whole,
)
from tallystick.models._ensembles import Ensemble, Naming
from tallystick.models._float_trees import LEAF, MAX_NODES, FloatTree
from tallystick.models._integer import MAX_LABELS
from tallystick.models._trees import MAX_TREES

VERSIONS: Final = (1, 2, 3)
COVER: Final = 256
_BINARY: Final = ("binary:logistic",)
_SEVERAL: Final = ("multi:softmax", "multi:softprob")
_CATEGORIES: Final = "a split by categories does not fit into integer trees"


def ensemble_of_xgboost(file: Mapping[str, Any], naming: Naming) -> Ensemble:
    """Read a model.

    Args:
        file: what `Booster.save_model("model.json")` writes.
        naming: what the features are called.

    Raises:
        ModelFileError: malformed, or out of its bounds.
        ModelInputError: an objective, a booster or a split that does not fit into integer trees.
        UnknownFormatError: another version.
    """
    version = sequence(file.get("version"), "version", 3)
    if not version or version[0] not in VERSIONS:
        raise UnknownFormatError("an XGBoost model must be of version 1, 2 or 3")
    learner = mapping(file.get("learner"), "learner")
    param = mapping(learner.get("learner_model_param"), "learner_model_param")
    booster = mapping(learner.get("gradient_booster"), "gradient_booster")
    if booster.get("name") != "gbtree":
        raise ModelInputError("the booster must be gbtree", hint="dart and gblinear cannot be read")
    objective = mapping(learner.get("objective"), "objective").get("name")
    heads = max(1, whole(param.get("num_class", "0"), "num_class", 0, MAX_LABELS))
    if objective not in (_BINARY if heads == 1 else _SEVERAL) or param.get("num_target", "1") != "1":
        raise ModelInputError(
            f"the objective must be {', '.join((*_BINARY, *_SEVERAL))}",
            hint="a regression or a ranking has no yes and no",
        )
    width = whole(param.get("num_feature"), "num_feature", 1, MAX_COLUMNS)
    names = naming.features(width, sequence(learner.get("feature_names", []), "feature_names", width))
    model = mapping(booster.get("model"), "model")
    found = sequence(model.get("trees"), "trees", MAX_TREES)
    try:
        trees = [check_tree(_tree(mapping(one, "a tree")), width) for one in found]
    except MALFORMED as error:
        raise ModelFileError("a tree of the model is malformed") from error
    sorted_trees = by_head(trees, sequence(model.get("tree_info"), "tree_info", MAX_TREES), heads)
    bases = _bases(param.get("base_score"), heads, chance=heads == 1)
    notes: tuple[str, ...] = ()
    if "best_iteration" in mapping(learner.get("attributes", {}), "attributes"):
        notes = ("training stopped early: all trees of the file count, also those after the best round",)
    return Ensemble(sorted_trees, bases, names, single=True, notes=notes, softmax=heads > 1)


def ensemble_of_xgboost_list(
    found: Sequence[Any], naming: Naming, *, width: int = 0, bases: Sequence[float] | None = None
) -> Ensemble:
    """Read a list of trees.

    Args:
        found: what `Booster.get_dump(dump_format="json")` returns, each tree as text or as an object.
        naming: what the features are called, and the labels: more than two make as many scores.
        width: how many features there are, when the trees call them f0, f1, ... and nobody named them.
        bases: what each score starts from, as a logit; the form does not say it.

    Raises:
        ModelFileError, ModelInputError: see `ensemble_of_xgboost`.
    """
    try:
        roots = [orjson.loads(one) if isinstance(one, str) else one for one in found]
        place = _places(roots, naming, width)
        trees = [_Nested(place).tree(root) for root in roots]
    except MALFORMED as error:
        raise ModelFileError("a tree of the list is malformed") from error
    heads = len(naming.labels) if len(naming.labels) > 2 else 1
    notes = () if bases is not None else ("a list of trees does not say where scores start: 0 was taken",)
    started = tuple(real(float(base), "a base") for base in bases) if bases is not None else (0.0,) * heads
    if len(started) != heads:
        raise ModelInputError(f"bases must be {heads}, got {len(started)}")
    sorted_trees = by_head(
        [check_tree(tree, place.width) for tree in trees],
        [number % heads for number in range(len(trees))],
        heads,
    )
    names = naming.features(place.width)
    return Ensemble(sorted_trees, started, names, single=True, notes=notes, softmax=heads > 1)


def _bases(text: Any, heads: int, *, chance: bool) -> tuple[float, ...]:
    """Read base_score: a number as text, or a list of them."""
    if isinstance(text, str) and text.startswith("[") and text.endswith("]"):
        values = [real(part, "base_score") for part in text[1:-1].split(",")[: MAX_LABELS + 1]]
    else:
        values = [real(text, "base_score")]
    if len(values) == 1:
        values *= heads
    if len(values) != heads:
        raise ModelFileError(f"base_score must have 1 or {heads} values, got {len(values)}")
    if not chance:
        return tuple(values)
    if not all(0 < value < 1 for value in values):
        raise ModelFileError("base_score must be a probability above 0 and below 1")
    return tuple(math.log(value / (1 - value)) for value in values)


def _single(value: Any, what: str) -> float:
    """Return a number as 32 bits hold it."""
    number = real(value, what)
    try:
        return float(struct.unpack("<f", struct.pack("<f", number))[0])
    except OverflowError as error:
        raise ModelFileError(f"{what} must fit into 32 bits") from error


def _rows(cover: Any) -> int:
    rows = round(COVER * real(cover, "a cover"))
    return whole(rows, "a cover", 0, MAX_COUNT)


def _tree(one: Mapping[str, Any]) -> FloatTree:
    """Read one tree of arrays; a node without a left child is a leaf, whose value stands as its condition."""

    def column(key: str) -> Sequence[Any]:
        return sequence(one.get(key), key, MAX_NODES)

    if (
        whole(
            mapping(one.get("tree_param"), "tree_param").get("size_leaf_vector", "1"), "leaf vector", 0, 2**16
        )
        > 1
    ):
        raise ModelInputError(
            "a tree must have one score at each leaf", hint="train with one_output_per_tree"
        )
    if one.get("categories_nodes") or any(one.get("split_type", ())):
        raise ModelInputError(_CATEGORIES)
    left, right = column("left_children"), column("right_children")
    count = len(left)
    conditions = [_single(value, "a threshold or a leaf") for value in column("split_conditions")]
    is_leaf = [child == LEAF for child in left]
    if any((a == LEAF) != (b == LEAF) for a, b in zip(left, right, strict=True)):
        raise ModelFileError("a node must have two children or none")
    features = zip(is_leaf, column("split_indices"), strict=True)
    covers = column("sum_hessian") if "sum_hessian" in one else [0] * count
    return FloatTree(
        tuple(
            LEAF if leaf else whole(place, "a split's feature", 0, MAX_COLUMNS) for leaf, place in features
        ),
        tuple(conditions),
        tuple(whole(child, "a child", -1, MAX_NODES) for child in left),
        tuple(whole(child, "a child", -1, MAX_NODES) for child in right),
        tuple(value if leaf else 0.0 for leaf, value in zip(is_leaf, conditions, strict=True)),
        tuple(_rows(cover) for cover in covers),
        below=True,
        missing_left=tuple(bool(whole(int(way), "default_left", 0, 1)) for way in column("default_left")),
    )


class _Place:
    """Which feature a name of a listed tree is."""

    def __init__(self, names: Sequence[str], width: int) -> None:
        self.width = len(names) or width
        self._known = {name: at for at, name in enumerate(names)}

    def __call__(self, name: Any) -> int:
        if isinstance(name, int):
            return name
        if name in self._known:
            return self._known[name]
        if (
            isinstance(name, str)
            and name[:1] == "f"
            and name[1:].isascii()
            and name[1:].isdigit()
            and len(name) < 7
        ):
            return int(name[1:])
        raise ModelInputError(
            "the trees call features by names that are not known here", hint="give all names, in their order"
        )


def _places(roots: Sequence[Any], naming: Naming, width: int) -> _Place:
    place = _Place(naming.names, width)
    if not place.width:
        found, open_nodes = [0], list(roots)
        while open_nodes:
            node = open_nodes.pop()
            if "split" in node:
                found.append(place(node["split"]))
                open_nodes += node.get("children", ())
        place.width = whole(max(found), "a split's feature", 0, MAX_COLUMNS - 1) + 1
    return place


class _Nested:
    """One tree of the list form, read node by node."""

    def __init__(self, place: _Place) -> None:
        self._place = place
        self._nodes: list[list[Any]] = []

    def tree(self, root: Any) -> FloatTree:
        self._add(mapping(root, "a tree"))
        feature, threshold, left, right, value, count, missing = (
            tuple(c) for c in zip(*self._nodes, strict=True)
        )
        return FloatTree(feature, threshold, left, right, value, count, below=True, missing_left=missing)

    def _add(self, node: Mapping[str, Any]) -> int:
        at, count = len(self._nodes), _rows(node.get("cover", 0))
        if at >= MAX_NODES:
            raise ModelFileError(f"a tree must have at most {MAX_NODES} nodes")
        if "leaf" in node:
            if isinstance(node["leaf"], list):
                raise ModelInputError("a tree must have one score at each leaf")
            self._nodes.append([LEAF, 0.0, 0, 0, _single(node["leaf"], "a leaf"), count, False])
            return at
        if "split_condition" not in node or isinstance(node["split_condition"], list):
            raise ModelInputError(_CATEGORIES)
        threshold = _single(node["split_condition"], "a threshold")
        children = {child["nodeid"]: child for child in sequence(node["children"], "children", 2)}
        if set(children) != {node["yes"], node["no"]} or node.get("missing", node["no"]) not in children:
            raise ModelFileError("yes, no and missing must name the two children")
        left = node.get("missing", node["no"]) == node["yes"]
        own = [self._place(node["split"]), threshold, 0, 0, 0.0, count, left]
        self._nodes.append(own)
        own[2] = self._add(children[node["yes"]])
        own[3] = self._add(children[node["no"]])
        return at
