"""XGBoost's and LightGBM's own files, read without those packages into the integer form.

    fitted = from_dump(Path("model.json").read_bytes(), held_out_rows, target="late")

A file from elsewhere is data, and never trusted: sizes, indices and numbers have bounds, and nothing in it runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import orjson

from tallystick.errors import MissingExtraError, ModelFileError, UnknownFormatError
from tallystick.models._ensembles import Ensemble, Naming, convert_trees, raw_rows
from tallystick.models._lightgbm_dump import ensemble_of_lightgbm, ensemble_of_lightgbm_text
from tallystick.models._trees import MAX_TREES
from tallystick.models._xgboost_dump import ensemble_of_xgboost, ensemble_of_xgboost_list

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from tallystick.models._examples import Fitted

MAX_BYTES: Final = 64 * 2**20
_KNOWN: Final = (
    "XGBoost's save_model('model.json') or dump_model('trees.json', dump_format='json'), LightGBM's "
    "save_model('model.txt') or dump_model() as JSON"
)


def from_dump(
    data: bytes,
    rows: ArrayLike | None = None,
    *,
    name: str = "model",
    target: str = "",
    labels: Sequence[str] = (),
    names: Sequence[str] = (),
    bases: Sequence[float] | None = None,
) -> Fitted:
    """Turn a file of XGBoost or LightGBM into an integer model.

    Args:
        data: the file; which form it has is seen from it.
        rows: raw features, float64 of shape (rows, features), best held-out ones: the real trees and the integer trees
            are compared over them. NaN is a gap.
        name: of the model.
        target: what a yes means; the second label when empty.
        labels: of the classes, in order; "no" and "yes", or "class 0", "class 1", ..., when empty.
        names: of the features, in order; the file's own when empty.
        bases: what each score starts from, as a logit; for XGBoost's list of trees only, which does not say it.

    Raises:
        ModelFileError: damaged, cut short, or out of its bounds.
        ModelInputError: an objective, a booster or a split that does not fit into integer trees, trees deeper than 8,
            or rows and names that do not fit.
        UnknownFormatError: another form or version.
        MissingExtraError: numpy is not installed.
    """
    try:
        import numpy  # noqa: F401 - comparing and packing need it
    except ModuleNotFoundError as error:
        raise MissingExtraError("reading trees needs numpy", hint="pip install 'tallystick[ai]'") from error
    if len(data) > MAX_BYTES:
        raise ModelFileError(f"a model file must be at most {MAX_BYTES:,} bytes, got {len(data):,}")
    naming = Naming(name, target, tuple(labels), tuple(names))
    grown = _read(data, naming, _width(rows), bases)
    return convert_trees(grown, raw_rows(rows, len(grown.names), gaps=True), naming)


def _width(rows: Any) -> int:
    """Return how many columns rows have; 0 where they have none, which is refused later."""
    try:
        return len(rows[0])
    except (IndexError, KeyError, TypeError):
        return 0


def _read(data: bytes, naming: Naming, width: int, bases: Sequence[float] | None) -> Ensemble:
    start = data[:64].lstrip()
    if start.startswith((b"tree\n", b"tree\r\n")):
        try:
            return ensemble_of_lightgbm_text(data.decode(), naming)
        except UnicodeDecodeError as error:
            raise ModelFileError("a LightGBM model must be UTF-8") from error
    if not start.startswith((b"{", b"[")):
        raise UnknownFormatError("the file is no dump of trees that is known here", hint=f"known: {_KNOWN}")
    try:
        found = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise ModelFileError(
            "the file is no JSON: it is damaged, or binary", hint=f"known: {_KNOWN}"
        ) from error
    if isinstance(found, list):
        if not 1 <= len(found) <= MAX_TREES:
            raise ModelFileError(f"a model must have 1 to {MAX_TREES:,} trees, got {len(found):,}")
        return ensemble_of_xgboost_list(found, naming, width=width, bases=bases)
    if "learner" in found:
        return ensemble_of_xgboost(found, naming)
    if "tree_info" in found:
        return ensemble_of_lightgbm(found, naming)
    raise UnknownFormatError("the file is no dump of trees that is known here", hint=f"known: {_KNOWN}")
