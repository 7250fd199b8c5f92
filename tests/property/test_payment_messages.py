"""Payment messages: whatever is sent is read or refused with an error of ours; status reports survive a round trip."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.apps.fraud.payments.made_messages import PACS008, PAIN001, PLAIN

from tallystick.apps.fraud.payments import (
    Payment,
    Reference,
    Status,
    StatusReport,
    format_status,
    parse_payment,
    parse_status,
)
from tallystick.errors import PaymentError

TYPES = st.sampled_from(["application/json", "application/xml", "application/iso20022+json"])
ids = st.from_regex(r"[!-~]([ -~]{0,30}[!-~])?", fullmatch=True).filter(lambda text: text != "NOTPROVIDED")
references = st.builds(
    Reference,
    message=ids,
    end_to_end=st.just("") | ids,
    transaction=st.just("") | ids,
    uetr=st.just("") | st.uuids(version=4).map(str),
    name=st.sampled_from(["", "pacs.008", "pain.001.001.09"]),
)
statuses = st.builds(
    Status, references, st.sampled_from(["ACCP", "PDNG", "RJCT"]), st.sampled_from(["", "FRAD", "AC01"])
)
reports = st.builds(
    StatusReport,
    ids,
    st.integers(0, 4_000_000_000_000).map(lambda ms: ms * 1000),
    st.lists(statuses, min_size=1, max_size=4).map(tuple),
)
values: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=8), inside, max_size=3),
    max_leaves=8,
)


def read(data: bytes, content_type: str) -> None:
    try:
        found = parse_payment(data, content_type)
    except PaymentError:
        return
    assert found
    assert all(isinstance(payment, Payment) for payment in found)


@given(st.binary(max_size=300), TYPES)
def test_any_bytes_end_in_payments_or_our_error(data: bytes, content_type: str) -> None:
    read(data, content_type)


@given(st.data(), st.sampled_from([PACS008.encode(), orjson.dumps(PAIN001), orjson.dumps(PLAIN)]))
def test_any_change_of_a_message_ends_in_payments_or_our_error(data: st.DataObject, good: bytes) -> None:
    place = data.draw(st.integers(0, len(good) - 1))
    cut = data.draw(st.integers(0, 4))
    changed = good[:place] + data.draw(st.binary(max_size=4)) + good[place + cut :]
    read(changed, "application/xml" if good[:1] == b"<" else "application/json")


def paths(value: object, before: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [before, *(path for key, item in inside for path in paths(item, (*before, key)))]


@given(st.sampled_from([path for path in paths(PAIN001) if path]), values)
def test_any_value_anywhere_in_a_json_message_ends_in_payments_or_our_error(
    path: tuple[Any, ...], value: object
) -> None:
    document = orjson.loads(orjson.dumps(PAIN001))
    above: Any = document
    for key in path[:-1]:
        above = above[key]
    above[path[-1]] = value
    try:
        data = orjson.dumps(document)
    except orjson.JSONEncodeError:  # an integer beyond 64 bits, or half a surrogate
        return
    read(data, "application/json")


@given(st.sampled_from(sorted(PLAIN)), values)
def test_any_value_in_a_plain_object_ends_in_payments_or_our_error(name: str, value: object) -> None:
    try:
        data = orjson.dumps({**PLAIN, name: value})
    except orjson.JSONEncodeError:
        return
    read(data, "application/json")


@given(reports, st.sampled_from(["xml", "json"]))
def test_a_status_report_survives_being_written_and_read(report: StatusReport, form: str) -> None:
    again = parse_status(format_status(report, form=form), form=form)
    assert again == report
    for status, same in zip(report.statuses, again.statuses, strict=True):
        if status.reference.uetr or status.reference.end_to_end or status.reference.transaction:
            assert same.reference.payment == status.reference.payment


@given(reports, st.data())
def test_any_change_of_a_status_report_ends_in_one_or_our_error(
    report: StatusReport, data: st.DataObject
) -> None:
    form = data.draw(st.sampled_from(["xml", "json"]))
    good = format_status(report, form=form)
    place = data.draw(st.integers(0, len(good) - 1))
    changed = good[:place] + data.draw(st.binary(max_size=3)) + good[place + 1 :]
    try:
        assert parse_status(changed, form=form).statuses
    except PaymentError:
        return


def test_a_status_report_names_what_others_sent() -> None:
    data = format_status(
        StatusReport("OUT-1", 1_795_000_000_000_000, (Status(Reference("MSG-1", "E2E-1"), "RJCT", "FRAD"),))
    )
    assert b"<OrgnlMsgId>MSG-1</OrgnlMsgId>" in data
    assert b"<OrgnlEndToEndId>E2E-1</OrgnlEndToEndId>" in data
    assert b"<TxSts>RJCT</TxSts><StsRsnInf><Rsn><Cd>FRAD</Cd></Rsn></StsRsnInf>" in data
