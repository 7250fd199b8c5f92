"""LightGBM's own files, read without LightGBM: the text model (`save_model`) and the JSON dump (`dump_model`).

A row goes left when its number is at most the threshold, in 64 bits. Versions 2 to 4 of the text form.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from tallystick.errors import ModelFileError, ModelInputError, UnknownFormatError
from tallystick.models._dump_fields import (
    MALFORMED,
    MAX_COLUMNS,
    by_head,
    check_tree,
    mapping,
    real,
    sequence,
    whole,
)
from tallystick.models._ensembles import Ensemble, Naming
from tallystick.models._float_trees import LEAF, MAX_NODES, FloatTree, lightgbm_missing_left
from tallystick.models._integer import MAX_LABELS
from tallystick.models._trees import MAX_TREES

VERSIONS: Final = ("v2", "v3", "v4")
_MISSING: Final = ("None", "Zero", "NaN")
_MOST_LINES: Final = 1_000_000


def ensemble_of_lightgbm(dump: Mapping[str, Any], naming: Naming) -> Ensemble:
    """Read a JSON dump.

    Args:
        dump: what `Booster.dump_model()` returns.
        naming: what the features are called.

    Raises:
        ModelFileError: malformed, or out of its bounds.
        ModelInputError: an objective, a booster or a split that does not fit into integer trees.
        UnknownFormatError: another version.
    """
    infos = sequence(dump.get("tree_info"), "tree_info", MAX_TREES)
    try:
        trees = [FloatTree.of_lightgbm(_plain(info["tree_structure"])) for info in infos]
    except MALFORMED as error:
        raise ModelFileError("a tree of the dump is malformed") from error
    return _ensemble(dump, trees, naming)


def ensemble_of_lightgbm_text(text: str, naming: Naming) -> Ensemble:
    """Read a text model.

    Args:
        text: what `Booster.save_model()` writes.
        naming: what the features are called.

    Raises:
        ModelFileError, ModelInputError, UnknownFormatError: see `ensemble_of_lightgbm`.
    """
    lines = text.splitlines()
    if len(lines) > _MOST_LINES or "end of trees" not in lines:
        raise ModelFileError("a LightGBM model must end its trees: the file is cut short or too long")
    blocks = _blocks(lines[: lines.index("end of trees")])
    header, bodies = blocks[0], blocks[1:]
    if len(header.get("tree_sizes", "").split()) != len(bodies) or len(bodies) > MAX_TREES:
        raise ModelFileError(f"tree_sizes must name each tree, at most {MAX_TREES:,}")
    fields: dict[str, Any] = dict(header)
    fields["feature_names"] = header.get("feature_names", "").split()
    fields["average_output"] = "average_output" in header
    try:
        trees = [_tree(body) for body in bodies]
    except MALFORMED as error:
        raise ModelFileError("a tree of the model is malformed") from error
    return _ensemble(fields, trees, naming)


def _blocks(lines: list[str]) -> list[dict[str, str]]:
    """Return the fields of the header, and those of each tree."""
    blocks: list[dict[str, str]] = [{}]
    for line in lines:
        key, _, value = line.partition("=")
        if key == "Tree":
            if value != str(len(blocks) - 1):
                raise ModelFileError("trees must be numbered from 0, each once")
            blocks.append({})
        elif line:
            if key in blocks[-1]:
                raise ModelFileError("a field must stand once")
            blocks[-1][key] = value
    return blocks


def _ensemble(fields: Mapping[str, Any], trees: list[FloatTree], naming: Naming) -> Ensemble:
    if fields.get("version") not in VERSIONS:
        raise UnknownFormatError(f"a LightGBM model must be of version {', '.join(VERSIONS)}")
    width = whole(fields.get("max_feature_idx"), "max_feature_idx", 0, MAX_COLUMNS - 1) + 1
    heads = whole(fields.get("num_tree_per_iteration"), "num_tree_per_iteration", 1, MAX_LABELS)
    names = naming.features(width, sequence(fields.get("feature_names", []), "feature_names", width))
    factor = sigmoid_of(fields.get("objective"), heads)
    if fields.get("average_output"):
        factor /= max(1, len(trees) // heads)
    checked = [check_tree(tree, width) for tree in trees]
    if factor != 1:
        checked = [replace(tree, value=tuple(factor * value for value in tree.value)) for tree in checked]
    sorted_trees = by_head(checked, [number % heads for number in range(len(checked))], heads)
    softmax = heads > 1 and str(fields.get("objective")).split()[0] == "multiclass"
    return Ensemble(sorted_trees, (0.0,) * heads, names, softmax=softmax)


def sigmoid_of(objective: Any, heads: int) -> float:
    """Return by how much a LightGBM score is to be multiplied to be a logit.

    Args:
        objective: as a dump names it, with its options.
        heads: how many scores there are.

    Raises:
        ModelInputError: an objective that has no classes.
        ModelFileError: an option out of its bounds.
    """
    if not isinstance(objective, str) or not objective:
        raise ModelInputError(
            "a LightGBM model must name its objective", hint="objectives of one's own cannot be read"
        )
    kind, *options = objective.split()
    if kind not in (("binary", "cross_entropy") if heads == 1 else ("multiclass", "multiclassova")):
        raise ModelInputError(
            "the objective must be binary, cross_entropy, multiclass or multiclassova",
            hint="a regression or a ranking has no yes and no",
        )
    known = dict(option.partition(":")[::2] for option in options)
    factor = real(known["sigmoid"], "sigmoid") if "sigmoid" in known else 1.0
    if not 0 < factor <= 1000:
        raise ModelFileError("sigmoid must be above 0 and at most 1,000")
    return factor


def _plain(node: Any) -> Any:
    mapping(node, "a tree")
    if "leaf_coeff" in node:
        raise ModelInputError("a linear tree does not fit into integer trees")
    for child in ("left_child", "right_child"):
        if child in node:
            _plain(node[child])
    return node


def _numbers(body: Mapping[str, str], key: str, count: int) -> list[str]:
    found = body[key].split()
    if len(found) != count:
        raise ModelFileError(f"{key} must have {count} values, got {len(found)}")
    return found


def _tree(body: Mapping[str, str]) -> FloatTree:
    """Read one tree: inner nodes first, then leaves; a child below 0 is the leaf -1 - child."""
    leaves = whole(body["num_leaves"], "num_leaves", 1, MAX_NODES // 2)
    inner = leaves - 1
    if body.get("is_linear", "0") != "0":
        raise ModelInputError("a linear tree does not fit into integer trees")
    values = [real(value, "a leaf") for value in _numbers(body, "leaf_value", leaves)]
    counts = [0] * leaves
    if body.get("leaf_count"):
        counts = [int(value) for value in _numbers(body, "leaf_count", leaves)]
    if not inner:
        return FloatTree((LEAF,), (0.0,), (0,), (0,), tuple(values), tuple(counts), missing_left=(False,))
    thresholds = [real(value, "a threshold") for value in _numbers(body, "threshold", inner)]
    kinds = [whole(value, "decision_type", 0, 15) for value in _numbers(body, "decision_type", inner)]
    if any(kind & 1 for kind in kinds):
        raise ModelInputError("a split by categories does not fit into integer trees")
    missing = [
        lightgbm_missing_left(threshold, _MISSING[kind >> 2], bool(kind & 2))
        for threshold, kind in zip(thresholds, kinds, strict=True)
    ]

    def children(key: str) -> tuple[int, ...]:
        found = [whole(value, key, -leaves, inner - 1) for value in _numbers(body, key, inner)]
        return tuple(child if child >= 0 else inner - 1 - child for child in found) + (0,) * leaves

    features = [
        whole(value, "split_feature", 0, MAX_COLUMNS) for value in _numbers(body, "split_feature", inner)
    ]
    return FloatTree(
        tuple(features) + (LEAF,) * leaves,
        tuple(thresholds) + (0.0,) * leaves,
        children("left_child"),
        children("right_child"),
        (0.0,) * inner + tuple(values),
        (0,) * inner + tuple(counts),
        missing_left=tuple(missing) + (False,) * leaves,
    )
