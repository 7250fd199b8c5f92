"""One behaviour suite for every integer model, ours or a user's own: the same score everywhere, or an AssertionError.

check_model(fit_trees(X, y).model)
check_model(parse_model(Path("heart.tsm").read_bytes()), only=["file", "numpy"])
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType

from tallystick.chain import Account, Keys, Members, Outbox, Seat, connect, hashed_id
from tallystick.errors import ConfigurationError, EvidenceError
from tallystick.models import (
    NO_DIGEST,
    Executor,
    IntegerModel,
    OnnxBackend,
    deploy_model,
    deploy_models,
    from_onnx,
    pack_inputs,
    parse_model,
    to_onnx,
    unpack_inputs,
)

__all__ = ["MODEL_CHECKS", "check_model"]

Inputs = list[list[int]]

LOW, HIGH = -(2**15), 2**15 - 1
CHAIN_ROWS = 8


def check_model(
    model: IntegerModel, *, rows: int = 256, seed: int = 0, only: Iterable[str] | None = None
) -> None:
    """Hold a model to what every integer model promises.

    Args:
        model: any family.
        rows: random rows of inputs, extremes among them.
        seed: of these rows.
        only: names of `MODEL_CHECKS`; all of them when None.

    Raises:
        AssertionError: two back ends differ, or the file does not say what the model is.
        ConfigurationError: an unknown name of a check.
        MissingExtraError: a back end is not installed.
    """
    names = list(MODEL_CHECKS) if only is None else list(only)
    unknown = [name for name in names if name not in MODEL_CHECKS]
    if unknown:
        raise ConfigurationError(f"checks must be some of {', '.join(MODEL_CHECKS)}, got {unknown[0]!r}")
    dice = random.Random(seed)  # noqa: S311 - rows to compare with, no secret
    inputs = [_row(dice, model.quantiser.width) for _ in range(rows)]
    for name in names:
        MODEL_CHECKS[name](model, inputs)


def _row(dice: random.Random, width: int) -> list[int]:
    ends = (LOW, -1, 0, 1, HIGH)
    return [dice.choice(ends) if dice.random() < 0.3 else dice.randint(LOW, HIGH) for _ in range(width)]


def _check_file(model: IntegerModel, _inputs: Inputs) -> None:
    try:
        again = parse_model(model.bytes)
    except EvidenceError as error:
        raise AssertionError("a model file must be read back as the model that wrote it") from error
    assert again == model, "a model file must be read back as the model that wrote it"
    assert again.hash == model.hash, "the hash must be that of the file"
    assert model.bytes.startswith(b'{"digest":"' + model.digest.encode()), "the digest must stand first"


def _check_bounds(model: IntegerModel, inputs: Inputs) -> None:
    for row in inputs:
        largest = max(abs(score) for score in model.scores_inputs(row))
        assert largest <= model.largest_score <= 2**62, f"a score of {largest} must be within its bound"


def _check_numpy(model: IntegerModel, inputs: Inputs) -> None:
    import numpy as np

    found = model.scores_inputs_many(np.array(inputs, dtype=np.int16)).tolist()
    assert found == _expected(model, inputs), "numpy must score as pure Python does"


def _check_onnx(model: IntegerModel, inputs: Inputs) -> None:
    import numpy as np

    found = OnnxBackend(model).scores_inputs_many(np.array(inputs, dtype=np.int16)).tolist()
    assert found == _expected(model, inputs), "ONNX must score as pure Python does"
    assert from_onnx(to_onnx(model)) == model, "an ONNX file must be read back as the model that wrote it"


def _check_words(model: IntegerModel, inputs: Inputs) -> None:
    for row in inputs if model.packed else ():
        assert list(unpack_inputs(pack_inputs(row), len(row))) == row, "words must be read back as the inputs"


def _check_chain(model: IntegerModel, inputs: Inputs) -> None:
    """Deploy the model on an embedded chain and compare; nothing to do for one that no contract can execute."""
    assert (model.packed is None) == (model.digest == NO_DIGEST), "a digest must be that of packed parameters"
    if model.packed is None:
        return
    account = Account(bytes(31) + b"\x01")
    keys = Keys(account.address, account.address, bytes(31) + b"\x01")
    seat = Seat(hashed_id("party"), hashed_id("party/main"), keys)
    with TemporaryDirectory() as place, connect(f"{place}/chain", create=True) as chain:
        chain.fund(account.address)
        with Outbox(Path(place) / "outbox", chain, account=account) as outbox:
            members = outbox.send("members", Members.deploy_call([seat], threshold=1)).contract
            models = deploy_models(outbox, chain.web3, members=members, approvals_needed=1)
            executor = Executor(chain.web3, deploy_model(outbox, models, model).executor)
        for row in inputs[:CHAIN_ROWS]:
            scores = model.scores_inputs(row)
            assert tuple(executor.scores(row)) == scores, "the contract must score as pure Python does"
            assert executor.answer(row) == model.answer(scores), "the contract must answer as the model does"


def _expected(model: IntegerModel, inputs: Inputs) -> list[list[int]]:
    return [list(model.scores_inputs(row)) for row in inputs]


MODEL_CHECKS: MappingProxyType[str, Callable[[IntegerModel, Inputs], None]] = MappingProxyType(
    {
        "file": _check_file,
        "bounds": _check_bounds,
        "numpy": _check_numpy,
        "onnx": _check_onnx,
        "words": _check_words,
        "chain": _check_chain,
    }
)
