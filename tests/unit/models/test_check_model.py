"""The public suite passes for models of every family, and notices one that scores otherwise in one place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.made_models import make_model

from tallystick.errors import ConfigurationError
from tallystick.models import IntegerModel, LinearModel
from tallystick.testing import MODEL_CHECKS, check_model

MODELS = [make_model("linear", 1), make_model("perceptron", 2, labels=3), make_model("trees", 3, labels=3)]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.family)
def test_every_family_holds_what_integer_models_promise(model: IntegerModel) -> None:
    check_model(model, rows=32)


def test_a_model_that_no_contract_can_execute_holds_the_rest() -> None:
    check_model(make_model("trees", 4, depth=6), rows=16)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("file", {"digest": property(lambda _self: "12" * 32)}),
        ("bounds", {"largest_score": property(lambda _self: 1)}),
        ("numpy", {"_score_many": lambda _self, inputs: np.zeros((len(inputs), 1), dtype=np.int64)}),
        ("onnx", {"_score": lambda _self, _inputs: (7,)}),
        ("chain", {"_score": lambda _self, _inputs: (7,)}),
    ],
)
def test_a_model_that_breaks_one_promise_is_noticed(name: str, change: dict[str, Any]) -> None:
    model = make_model("linear", 5)
    assert isinstance(model, LinearModel)
    check_model(model, rows=4, only=[name])
    broken = type("Broken", (LinearModel,), change)
    fields = {
        field: getattr(model, field)
        for field in ("name", "target", "quantiser", "labels", "unit", "threshold")
    }
    own = {field: getattr(model, field) for field in ("weights", "biases", "centre")}
    object.__setattr__(wrong := object.__new__(broken), "__dict__", {**fields, **own})
    with pytest.raises(AssertionError):
        check_model(wrong, rows=4, only=[name])


def test_an_unknown_check_is_refused() -> None:
    assert "chain" in MODEL_CHECKS
    with pytest.raises(ConfigurationError, match="nothing"):
        check_model(MODELS[0], only=["nothing"])
