"""What somebody needs who asks the contract `Oracle`: the terms, and what opens the input, made together."""

from __future__ import annotations

import os
from collections.abc import Collection

from tallystick.errors import ConfigurationError, ModelInputError
from tallystick.models import IntegerModel, Row
from tallystick.proof import Randomness

from ._levels import before_revealing
from ._openings import Opening, make_opening
from ._oracle_terms import NO_PANEL, Panel, Terms

__all__ = ["make_request"]

CHAIN_LEVELS = ("L0", "L1", "L2", "L4")
EXECUTED_LEVELS = ("L2", "L4")  # for which a contract must be able to execute the model


def make_request(
    model: IntegerModel,
    row: Row,
    *,
    level: str,
    panel: Panel | None = None,
    reveal: Collection[str] = (),
    step_s: int = 60,
    step_blocks: int = 5,
    callback_gas: int = 0,
    unpromoted: bool = False,
    fee: int = 0,
    randomness: Randomness = os.urandom,
) -> tuple[Terms, Opening]:
    """Make the terms of a request, and the opening that its signers and watchers need.

    Keep the opening (`Opening.of` with the request's id) before the request is sent: without it nobody can answer.

    Args:
        model: who is asked.
        row: the model's columns.
        level: ``L0``, ``L1``, ``L2`` or ``L4``.
        panel: who answers and watches; None for ``L4``.
        reveal: who may see the input or the weights, see `before_revealing`.
        step_s: see `Terms`, like all the following.
        step_blocks: least blocks of each step.
        callback_gas: gas for the requester's callback; 0 for none.
        unpromoted: accept a model that is published only.
        fee: wei.
        randomness: source of the salt.

    Returns:
        What `Oracle.request` takes, and the opening, which belongs to no request yet.

    Raises:
        ConfigurationError: the panel does not fit the level, or a condition is out of its bounds.
        DisclosureError: the level shows more than `reveal` names.
        ModelInputError: the row does not fit, the level is not served on a chain, or no contract can execute the model.
    """
    before_revealing(level, reveal)
    if level not in CHAIN_LEVELS:
        raise ModelInputError(f"a contract serves {', '.join(CHAIN_LEVELS)}, got {level}")
    if level in EXECUTED_LEVELS and model.packed is None:
        raise ModelInputError(
            f"no contract can execute this model, so it has no {level}",
            hint="ask at L1, or publish a smaller model",
        )
    if (panel is None) != (level == "L4"):
        raise ConfigurationError("levels L0, L1 and L2 need a panel, level L4 takes none")
    if level == "L2" and panel is not None and not panel.allows_challenges:
        raise ConfigurationError("this panel has no bond, no watcher or no window, so it serves no L2")
    opening = make_opening(model, row, randomness)
    terms = Terms(
        model.hash,
        opening.commitment,
        int(level[1:]),
        NO_PANEL if panel is None else panel.id,
        step_s,
        step_blocks,
        callback_gas,
        unpromoted,
        fee,
    )
    return terms, opening
