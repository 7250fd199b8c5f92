"""The registry is read from the journal, and brings no model into use without a gate or two signatures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick.errors import (
    AccessDeniedError,
    ModelFileError,
    ModelInputError,
    NotFoundError,
    RetiredModelError,
    VerificationError,
)
from tallystick.models import LinearModel, NumericFeature, Quantiser, Registry, sign_override
from tallystick.proof import Journal, Party, format_did_key

GATE = "ab" * 32
REASON = "the only model for children"


def model(bias: int = 0) -> LinearModel:
    quantiser = Quantiser((NumericFeature("x", "x", 0, 0, 1, -100, 100, 0, False),))
    return LinearModel("heart", "illness", quantiser, ("no", "yes"), 4096, 0, ((5,),), (bias,), (0,))


class World:
    """One party's registry, and three parties that it knows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.party = Party.create("Owner")
        self.others = [Party.create(name) for name in ("B", "C", "Stranger")]
        known = (self.party, *self.others[:2])
        self._ids = {self.key(party): party.id for party in known}
        self.journal = Journal.open(path / "journal", party=self.party)
        self.registry = self.again()

    def again(self) -> Registry:
        return Registry(self.path / "models", journal=self.journal, party_of=self._ids.get)

    @staticmethod
    def key(party: Party) -> str:
        return format_did_key("ed25519", party.signer("author").public_key)

    def override(self, party: Party, *, of: str, reason: str = REASON, origin: str = "") -> dict[str, str]:
        signer, origin = party.signer("author"), origin or self.party.origin
        return sign_override(of, reason, signer=signer, network="test", origin=origin)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.journal.close()


def test_a_model_goes_from_published_over_judged_to_in_use_and_out_of_use(world: World) -> None:
    version = world.registry.publish(model(), "heart")
    assert (version.label, version.stage, version.passed) == ("heart@1", "published", ())
    version = world.registry.report(
        version, figures={"auroc": "0.9"}, rows=9, cohort="c", gate=GATE, passed=True
    )
    version = world.registry.promote(version)
    assert (version.stage, len(version.evaluations), len(version.passed)) == ("promoted", 1, 1)
    assert world.registry.find("heart") == version
    version = world.registry.retire(version, "a better one came")
    assert version.stage == "retired"
    assert world.registry.model(version) == model()
    with pytest.raises(RetiredModelError):
        world.registry.find("heart")
    with pytest.raises(RetiredModelError):
        world.registry.promote(version)


def test_the_registry_is_read_again_from_the_journal(world: World) -> None:
    first = world.registry.publish(model(), "heart")
    world.registry.report(first, figures={}, rows=9, cohort="c", gate=GATE, passed=True)
    world.registry.promote(first)
    second = world.registry.publish(model(1), "heart", parent=first)
    assert world.again().versions() == world.registry.versions()
    assert [version.label for version in world.again().lineage(second)] == ["heart@2", "heart@1"]


def test_the_same_file_again_changes_nothing(world: World) -> None:
    version = world.registry.publish(model(), "heart")
    size = world.journal.size
    assert world.registry.publish(model(), "heart") == version
    assert world.journal.size == size
    with pytest.raises(ModelInputError, match="heart@1"):
        world.registry.publish(model(), "lung")


@pytest.mark.parametrize("passed", [None, False])
def test_a_model_without_a_passed_gate_is_not_promoted(world: World, passed: bool | None) -> None:
    version = world.registry.publish(model(), "heart")
    gate = GATE if passed is not None else ""
    version = world.registry.report(version, figures={}, rows=9, cohort="c", gate=gate, passed=passed)
    with pytest.raises(AccessDeniedError, match="gate"):
        world.registry.promote(version)
    assert world.registry.find("heart").stage == "published"


def test_a_gate_passed_by_one_model_promotes_no_other(world: World) -> None:
    one, other = world.registry.publish(model(), "heart"), world.registry.publish(model(1), "heart")
    world.registry.report(one, figures={}, rows=9, cohort="c", gate=GATE, passed=True)
    with pytest.raises(AccessDeniedError):
        world.registry.promote(other)
    assert world.registry.promote(one).stage == "promoted"


def test_the_last_verdict_of_each_gate_counts(world: World) -> None:
    version, other = world.registry.publish(model(), "heart"), "cd" * 32

    def report(gate: str, passed: bool) -> None:
        world.registry.report(version, figures={}, rows=9, cohort="c", gate=gate, passed=passed)

    report(GATE, True)
    report(GATE, False)
    with pytest.raises(AccessDeniedError, match="last evaluation"):
        world.registry.promote(version)
    report(GATE, True)
    report(other, False)
    with pytest.raises(AccessDeniedError, match="last evaluation"):
        world.registry.promote(version)
    report(other, True)
    assert world.registry.promote(version).stage == "promoted"


def test_two_parties_override_a_gate_with_a_reason(world: World) -> None:
    version = world.registry.publish(model(), "heart")
    signed = [world.override(party, of=version.hash) for party in world.others[:2]]
    version = world.registry.promote(version, override=signed, reason=REASON)
    assert version.stage == "promoted"
    stated = world.journal.statement(version.promoted)
    assert stated.body["override"] == REASON
    assert len(stated.links["override"]) == 2


def test_a_promotion_that_nothing_earned_counts_for_nothing(world: World) -> None:
    version = world.registry.publish(model(), "heart")
    links = {"model": [version.published]}
    world.journal.append("model.promoted", {"model": version.hash}, links=links)
    signed = world.override(world.others[0], of=version.hash)
    for author in (signed, signed, world.override(world.others[1], of="00" * 32), {}):
        body = {"author": author, "model": version.hash, "reason": REASON}
        world.journal.append("override.signed", body, links=links)
    world.journal.append("model.promoted", {"model": version.hash, "override": REASON}, links=links)
    assert world.registry.find("heart").stage == world.again().find("heart").stage == "published"


def test_one_party_alone_twice_or_with_a_stranger_overrides_nothing(world: World) -> None:
    version = world.registry.publish(model(), "heart")
    first, _, stranger = (world.override(party, of=version.hash) for party in world.others)
    again = world.override(world.others[0], of=version.hash)
    for signed in ([first], [first, again], [first, stranger]):
        with pytest.raises(AccessDeniedError):
            world.registry.promote(version, override=signed, reason=REASON)
    assert world.registry.find("heart").stage == "published"


def test_an_override_of_another_model_reason_or_registry_is_refused(world: World) -> None:
    version = world.registry.publish(model(), "heart")
    right = world.override(world.others[0], of=version.hash)
    wrong = [
        world.override(world.others[1], of=model(1).hash),
        world.override(world.others[1], of=version.hash, reason="another"),
        world.override(world.others[1], of=version.hash, origin=world.others[0].origin),
        {**world.override(world.others[1], of=version.hash), "signature": right["signature"]},
    ]
    for signed in wrong:
        with pytest.raises(VerificationError):
            world.registry.promote(version, override=[right, signed], reason=REASON)


def test_a_swapped_model_file_is_noticed(world: World) -> None:
    version = world.registry.publish(model(), "heart")
    assert world.registry.model(version) == model()
    (world.path / "models" / f"{version.hash}.tsm").write_bytes(model(1).bytes)
    with pytest.raises(ModelFileError, match="published"):
        world.registry.model(version)


def test_versions_are_found_by_name_number_and_hash_or_not_at_all(world: World) -> None:
    first, second = world.registry.publish(model(), "heart"), world.registry.publish(model(1), "heart")
    assert world.registry.find("heart") == second
    assert (
        world.registry.find("heart@1")
        == world.registry.find(first.hash)
        == world.registry.find(first.hash[:8])
    )
    for wrong in ("lung", "heart@3", first.hash[:5], "", "f" * 64):
        with pytest.raises(NotFoundError):
            world.registry.find(wrong)


@pytest.mark.parametrize("name", ["", "Heart", "a b", "-a", "a" * 65, "a/b", "h\n"])
def test_a_name_that_cannot_be_is_refused(world: World, name: str) -> None:
    assert world.registry.publish(model(), "a-b_c.d").label == "a-b_c.d@1"
    with pytest.raises(ModelInputError):
        world.registry.publish(model(1), name)


def test_a_verdict_without_a_gate_is_refused(world: World) -> None:
    version = world.registry.publish(model(), "heart")
    for gate, passed in (("", True), (GATE, None)):
        with pytest.raises(ModelInputError):
            world.registry.report(version, figures={}, rows=9, cohort="c", gate=gate, passed=passed)


def test_a_foreign_model_is_loaded_by_who_knows_its_family(world: World) -> None:
    class Foreign:
        bytes, hash, family = b"foreign", __import__("hashlib").sha256(b"foreign").hexdigest(), "opaque"

    version = world.registry.publish(Foreign(), "notes")
    with pytest.raises(ModelFileError, match="opaque"):
        world.registry.model(version)
    loading = Registry(world.path / "models", journal=world.journal, load=lambda family, data: (family, data))  # type: ignore[arg-type,return-value]
    assert loading.model(version) == ("opaque", b"foreign")


def test_who_is_asked_last_can_refuse_a_promotion_and_then_nothing_is_stated(world: World) -> None:
    version = world.registry.publish(model(), "heart")
    version = world.registry.report(version, figures={}, rows=9, cohort="c", gate=GATE, passed=True)
    size = world.journal.size

    def refuse(_version: object) -> None:
        raise AccessDeniedError("not here")

    with pytest.raises(AccessDeniedError, match="not here"):
        world.registry.promote(version, ask=refuse)
    assert (world.journal.size, world.registry.find("heart").stage) == (size, "published")
    asked: list[object] = []
    assert world.registry.promote(version, ask=asked.append).stage == "promoted"
    assert asked == [version]
