"""A statement is taken apart so that the contract can put the very same bytes together again."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.apps.fraud import APP, holding
from tallystick.apps.fraud.holding import StatedProof, prove_statement
from tallystick.errors import StatementError
from tallystick.proof import STANDARD_KINDS, Statement, format_statement
from tallystick.proof import PayloadRef as Payload

ORIGIN = "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK/main"
PAYLOAD = Payload("A" * 43, "fields", "application/json", "A" * 22, 64)
IDS = st.integers(0, 2**256 - 1).map(lambda number: f"{number:064x}")
LINKS = st.dictionaries(
    st.sampled_from(["decision", "report", "z"]), st.lists(IDS, min_size=1, max_size=4, unique=True)
)


def stated(
    links: dict[str, list[str]], *, payload: Any = None, kind: str = "hold.requested", **body: Any
) -> Statement:
    fields = {"epoch": 3, "level": "L0", "token": "ab" * 32, "until": 1_795_459_200_000_000, **body}
    return format_statement(
        at=1_795_459_200_123_456, kind=kind, body=fields, origin=ORIGIN, links=links, payload=payload
    )


def proved(statement: Statement) -> StatedProof:
    journal = SimpleNamespace(inclusion=lambda index, size: [b"n" * 32] * (size - index))
    return prove_statement(journal, SimpleNamespace(index=5, statement=statement), size=7)  # type: ignore[arg-type]


@given(links=LINKS, payload=st.sampled_from([None, PAYLOAD]), token=IDS, until=st.integers(1, 2**53 - 1))
def test_the_parts_make_up_the_statement(
    links: dict[str, list[str]], payload: Any, token: str, until: int
) -> None:
    statement = stated(links, payload=payload, token=token, until=until)
    said = proved(statement)
    body = f'{{"epoch":3,"level":"L0","token":"{token}","until":{until}}}'
    made = (
        f'{{"at":{said.at},"body":{body},"kind":"hold.requested","links":'.encode()
        + said.links + b',"origin":"' + said.origin.encode() + b'",' + said.rest
    )  # fmt: skip
    assert made == statement.bytes
    assert (said.size, said.index, said.proof) == (7, 5, (b"n" * 32,) * 2)
    assert said.fields()[2] == ORIGIN.encode()


def test_links_that_the_contract_does_not_take_are_refused() -> None:
    ids = [f"{number:064x}" for number in range(31)]
    fits = stated({"decision": ids[:30]})
    assert len(proved(fits).links) <= 2_048
    with pytest.raises(StatementError, match="at most 2048 bytes"):
        proved(stated({"decision": ids}))


@pytest.mark.parametrize("name", ["hold.disputed", "hold.released", "hold.requested", "hold.reviewed"])
def test_the_kinds_take_their_bodies_and_nothing_else(name: str) -> None:
    digest = "ab" * 32
    bodies: dict[str, dict[str, Any]] = {
        "hold.disputed": {"party": digest, "token": digest},
        "hold.released": {"token": digest},
        "hold.requested": {"epoch": 1, "level": "L0", "token": digest, "until": 5},
        "hold.reviewed": {"party": digest, "token": digest, "uphold": True},
    }
    kinds = STANDARD_KINDS.extended(APP.kinds)
    kinds.check(name, bodies[name])
    for wrong in ({**bodies[name], "account": "DE02"}, {}, {**bodies[name], "token": "DE02"}):
        with pytest.raises(StatementError):
            kinds.check(name, wrong)


def test_the_door_opens_without_a_chain_and_names_what_is_behind_it() -> None:
    code = (
        "import sys; sys.modules['web3'] = None; import tallystick.apps.fraud.holding as door;"
        "assert door.StatedProof; assert 'Holds' in dir(door)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert dir(holding) == sorted(holding.__all__, key=lambda name: (name[0].islower(), name))
    assert all(getattr(holding, name) for name in holding.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        holding.Nothing  # noqa: B018
