"""What a trace computes again, and what it says when somebody stated something that does not follow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tallystick.apps.healthcare._checks import CHECKS
from tallystick.apps.healthcare._data import load_heart
from tallystick.apps.healthcare._stating import Stating
from tallystick.errors import VerificationError
from tallystick.learning import RoundClosed, RoundEvent, Site, UpdateCommitted, run_rounds
from tallystick.models import LinearModel, split
from tallystick.node import Consortium
from tallystick.proof import Hop, Receipt, trace

ROUNDS = 2
PUBLIC = ("update.committed", "round.closed", "model.published")
Change = Callable[[RoundEvent], RoundEvent]


@pytest.fixture
def stating(tmp_path: Path) -> Iterator[Stating]:
    table = load_heart()
    with Consortium(table.site_names, directory=tmp_path) as consortium:
        yield Stating(consortium, table, split(table, seed=3))


def learn(stating: Stating, change: Change = lambda event: event) -> LinearModel:
    stating.register()
    train = stating.parts.train
    sites = [Site(name, train.at(name)) for name in stating.nodes]
    run = run_rounds(
        sites,
        target=stating.table.target,
        name="heart",
        rounds=ROUNDS,
        on_event=lambda event: stating.round(change(event)),
    )
    return run.model


def traced(stating: Stating, model: LinearModel, *, opened: bool = True) -> Hop:
    """Publish, decide once for every row, and trace the first decision."""
    stating.publish(model, {"sites": []})
    stating.decide(model)
    receipts: dict[str, Receipt] = {}
    for node in stating.nodes.values():
        for entry in node.journal.entries():
            shown = [] if opened and entry.statement.kind in PUBLIC else None
            receipts[entry.id] = node.receipt(entry.index, disclose=shown)
    site, first = stating.stated.decisions[0]
    return trace(stating.nodes[site].receipt(first, disclose=[]), resolve=receipts.get, checks=CHECKS)


def standings(hop: Hop) -> set[tuple[str, str, str]]:
    return {(one.kind, child.label, child.standing) for one in hop.walk() for child in one.hops}


def test_everything_that_can_be_computed_again_is(stating: Stating) -> None:
    found = standings(traced(stating, learn(stating)))
    for kind, label in CHECKS:
        assert (kind, label, "re-executed") in found
        assert (kind, label, "recorded") not in found
    # That an update came from the registered rows is nobody's to show.
    assert ("update.committed", "data", "recorded") in found


def test_what_is_not_opened_stays_recorded(stating: Stating) -> None:
    found = standings(traced(stating, learn(stating), opened=False))
    assert {standing for _, _, standing in found} == {"recorded"}


def other_update(event: RoundEvent) -> RoundEvent:
    if isinstance(event, UpdateCommitted) and event.number == 1 and event.site == "Hungary":
        changed = bytearray(event.update)
        changed[-1] ^= 1
        return replace(event, update=bytes(changed))
    return event


def other_aggregate(event: RoundEvent) -> RoundEvent:
    return (
        replace(event, aggregate_hash="0" * 64)
        if isinstance(event, RoundClosed) and event.number == 1
        else event
    )


def other_parameters(event: RoundEvent) -> RoundEvent:
    if isinstance(event, RoundClosed) and event.number == 1:
        changed = bytearray(event.parameters)
        changed[-1] ^= 1
        return replace(event, parameters=bytes(changed))
    return event


@pytest.mark.parametrize("change", [other_update, other_aggregate, other_parameters])
def test_a_round_that_does_not_add_up_is_called_false(stating: Stating, change: Change) -> None:
    model = learn(stating, change)
    with pytest.raises(VerificationError):
        traced(stating, model)


def test_a_model_that_does_not_follow_from_its_rounds_is_called_false(stating: Stating) -> None:
    model = learn(stating)
    swapped = replace(model, weights=((model.weights[0][0] ^ 1, *model.weights[0][1:]),))
    with pytest.raises(VerificationError, match="does not follow from its rounds"):
        traced(stating, swapped)


def test_a_decision_with_another_score_is_called_false(
    stating: Stating, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = learn(stating)
    score = LinearModel.score
    decide = stating.decide

    def lie(honest: LinearModel) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(LinearModel, "score", lambda self, row: score(self, row) + 1)
            decide(honest)

    monkeypatch.setattr(stating, "decide", lie)
    with pytest.raises(VerificationError, match="another score"):
        traced(stating, model)


def test_a_decision_by_a_model_that_it_does_not_name_is_called_false(stating: Stating) -> None:
    model = learn(stating)
    other = replace(model, biases=(model.biases[0] + 1,))
    stating.publish(model, {"sites": []})
    stating.publish = lambda *_: 0  # type: ignore[method-assign]
    with pytest.raises(VerificationError):
        traced(stating, other)
