"""Payment messages: what is read of them, and what is refused."""

from __future__ import annotations

import orjson
import pytest
from tests.unit.apps.fraud.payments.made_messages import (
    CREDITOR,
    DEBTOR,
    PACS008,
    PAIN001,
    PLAIN,
    UETR,
    pain001,
)

from tallystick.apps.fraud.payments import (
    CURRENCIES,
    MAX_MESSAGE_BYTES,
    Reference,
    parse_payment,
    parse_payment_message,
    parse_time,
    to_minor,
)
from tallystick.errors import PaymentError

XML = "application/xml; charset=utf-8"


def test_a_pacs008_becomes_its_payments() -> None:
    first, second = parse_payment(PACS008.encode(), XML)
    assert (first.id, first.customer, first.payee) == (UETR, DEBTOR, CREDITOR)
    assert (first.amount, first.currency, first.channel) == (10_000, "EUR", "instant")
    assert first.at == parse_time("2026-11-22T09:00:00Z")
    assert (second.id, second.customer, second.payee) == ("MSG-1/#2", "ACC 77", "M-9")
    assert (second.amount, second.currency) == (1200, "JPY")
    assert second.at == parse_time("2026-11-22T09:03:11.250Z")


def test_a_pain001_as_json_becomes_its_payments() -> None:
    first, second = parse_payment(orjson.dumps(PAIN001), "application/json")
    assert (first.id, first.amount, first.currency, first.channel) == ("PAIN-7/A", 1234, "KWD", "transfer")
    assert (second.id, second.amount, second.channel, second.payee) == ("PAIN-7/B", 1234, "instant", "shop")
    assert {first.customer, second.customer} == {DEBTOR}


def test_a_message_keeps_the_names_that_others_know_its_payments_by() -> None:
    message = parse_payment_message(PACS008.encode(), XML)
    assert (message.name, message.id) == ("pacs.008", "MSG-1")
    assert [reference.payment for reference in message.references] == [p.id for p in message.payments]


def test_a_version_that_is_not_known_is_read_when_the_fields_are_there() -> None:
    later = PACS008.replace("pacs.008.001.08", "pacs.008.001.99").encode()
    assert parse_payment(later, XML) == parse_payment(PACS008.encode(), XML)


def test_prefixes_and_envelopes_do_not_matter() -> None:
    text = (
        PACS008.partition("?>")[2].replace("<", "<x:").replace("<x:/", "</x:").replace("xmlns=", "xmlns:x=")
    )
    wrapped = f"<Envelope><Body>{text}</Body></Envelope>".encode()
    assert parse_payment(wrapped, XML) == parse_payment(PACS008.encode(), XML)


BOMB = """<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]><Document>&c;</Document>"""
EXTERNAL = (
    '<?xml version="1.0"?><!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/hostname">]><Document>&x;</Document>'
)


@pytest.mark.parametrize(
    "text",
    [BOMB, EXTERNAL, '<!DOCTYPE d SYSTEM "http://127.0.0.1/d.dtd"><d/>', "<!DOCTYPE d []><d/>"],
)
def test_document_types_and_entities_are_refused(text: str) -> None:
    with pytest.raises(PaymentError, match="no document type and no entities"):
        parse_payment(text.encode(), XML)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"<a>" * 30 + b"</a>" * 30, "levels"),
        (b"<d>" + b"x" * 3000 + b"</d>", "characters"),
        (b"<d>", "well-formed"),
        (b"", "well-formed"),
        (b"\xff\xfe\x00", "well-formed"),
        (b'<?xml version="1.0" encoding="klingon"?><d/>', "well-formed"),
        (b"<d/>", "must have one CstmrCdtTrfInitn or FIToFICstmrCdtTrf"),
        (b"x" * (MAX_MESSAGE_BYTES + 1), "MiB"),
    ],
)
def test_what_is_no_message_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(PaymentError, match=message):
        parse_payment(data, XML)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("<NbOfTxs>2<", "<NbOfTxs>3<", "NbOfTxs"),
        (DEBTOR, DEBTOR[:-1] + "1", "transaction 1: an IBAN's check digits"),
        (DEBTOR, "DE8", "IBAN must be"),
        ('Ccy="EUR">100.00', 'Ccy="EUR">-100.00', "no sign"),
        ('Ccy="EUR">100.00', 'Ccy="EUR">0.00', "1 to"),
        ('Ccy="EUR">100.00', 'Ccy="EUR">1e9', "no sign"),
        ('Ccy="EUR">100.00', 'Ccy="EUR">100.001', "at most 2 decimals"),
        ('Ccy="EUR">100.00', 'Ccy="EUR">999999999999999999', "1 to"),
        ('Ccy="EUR">100.00', 'Ccy="EUX">100.00', "ISO 4217"),
        ('Ccy="EUR">100.00', ">100.00", "ISO 4217"),
        ("2026-11-22T09:00:00Z", "2026-13-22T09:00:00Z", "exist"),
        ("2026-11-22T09:00:00Z", "yesterday", "ISO 8601"),
        (UETR, "not-a-uetr", "UETR"),
        ("<MsgId>MSG-1</MsgId>", "", "message's id"),
        ("<MsgId>MSG-1</MsgId>", "<MsgId>A</MsgId><MsgId>B</MsgId>", "GrpHdr/MsgId once"),
    ],
)
def test_a_field_out_of_its_range_is_refused_by_name(old: str, new: str, message: str) -> None:
    assert old in PACS008
    with pytest.raises(PaymentError, match=message):
        parse_payment(PACS008.replace(old, new).encode(), XML)


@pytest.mark.parametrize(
    "change",
    [
        {"Amt": None},
        {"CdtrAcct": None},
        {"Amt": {"InstdAmt": {"Ccy": "EUR", "value": 0.1 + 0.2}}},
        {"Amt": {"InstdAmt": {"Ccy": "EUR", "value": True}}},
        {"Amt": {"InstdAmt": [["1"]]}},
        {"PmtId": {"EndToEndId": "A" * 36}},
        {"PmtId": 7, "CdtrAcct": []},
    ],
)
def test_a_json_message_that_lacks_something_is_refused(change: dict[str, object]) -> None:
    assert parse_payment(pain001())
    with pytest.raises(PaymentError):
        parse_payment(pain001(**change))


def test_a_plain_object_is_one_payment() -> None:
    (payment,) = parse_payment(orjson.dumps({**PLAIN, "terminal": "t-1"}))
    assert payment.record() == {**PLAIN, "channel": "card", "terminal": "t-1"}
    (again,) = parse_payment(orjson.dumps({**PLAIN, "at": "2026-11-18T09:06:40Z", "terminal": "t-1"}))
    assert again.at == parse_time("2026-11-18T09:06:40Z")


@pytest.mark.parametrize(
    "change",
    [
        {"amount": -1}, {"amount": 0}, {"amount": 10**13}, {"amount": 1.5}, {"amount": "12"}, {"amount": True},
        {"currency": "XXX"}, {"currency": 7}, {"currency": ["EUR"]}, {"channel": []}, {"channel": "post"},
        {"at": -1}, {"at": 1e300}, {"at": "soon"}, {"id": ""}, {"id": "ü"}, {"customer": None}, {"colour": 1},
        {"customer": "c-17 "}, {"id": " p"}, {"payee": " "}, {"device": "d "},
    ],
)  # fmt: skip
def test_a_plain_object_that_does_not_fit_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(PaymentError):
        parse_payment(orjson.dumps({**PLAIN, **change}))


@pytest.mark.parametrize("name", sorted(PLAIN))
def test_a_plain_object_without_a_field_is_refused(name: str) -> None:
    with pytest.raises(PaymentError, match=name):
        parse_payment(orjson.dumps({key: value for key, value in PLAIN.items() if key != name}))


def test_an_indented_message_of_many_transactions_is_read() -> None:
    one = (
        "<CdtTrfTxInf><PmtId><EndToEndId>E{}</EndToEndId></PmtId><IntrBkSttlmAmt Ccy='EUR'>1</IntrBkSttlmAmt>"
        "<DbtrAcct><Id><Othr><Id>a</Id></Othr></Id></DbtrAcct><CdtrAcct><Id><Othr><Id>b</Id></Othr></Id></CdtrAcct>"
        "</CdtTrfTxInf>"
    )
    head = "<GrpHdr><MsgId>M</MsgId><CreDtTm>2026-11-22T10:00:00Z</CreDtTm></GrpHdr>"
    parts = f"\n{' ' * 20}".join([head, *(one.format(place) for place in range(500))])
    text = f"<Document><FIToFICstmrCdtTrf>{parts}</FIToFICstmrCdtTrf></Document>"
    assert len(parse_payment(text.encode(), "application/xml")) == 500


@pytest.mark.parametrize(
    "amount",
    [
        {"Ccy": "EUR", "value": "1.00", "#text": "999.00"},
        {"Ccy": "EUR", "amt": "1.00", "$": "999.00"},
        {"Ccy": "EUR", "@Ccy": "JPY", "value": "100"},
    ],
)
def test_an_amount_that_is_said_in_two_ways_is_refused(amount: dict[str, str]) -> None:
    account = {"Id": {"Othr": {"Id": "a"}}}
    transaction = {
        "PmtId": {"UETR": "7a562c67-ca16-48ba-b074-65581be6f001"},
        "IntrBkSttlmAmt": amount,
        "DbtrAcct": account,
        "CdtrAcct": account,
    }
    head = {"MsgId": "M", "CreDtTm": "2026-11-22T10:00:00Z"}
    message = {"FIToFICstmrCdtTrf": {"GrpHdr": head, "CdtTrfTxInf": transaction}}
    with pytest.raises(PaymentError, match="once"):
        parse_payment(orjson.dumps(message))
    transaction["IntrBkSttlmAmt"] = {"Ccy": "EUR", "@Ccy": "EUR", "value": "1.00"}
    assert parse_payment(orjson.dumps(message))[0].amount == 100


def test_a_message_never_repeats_what_it_refuses() -> None:
    for data in (
        pain001(CdtrAcct={"Id": {"IBAN": "GB00SECRET1234567890"}}),
        orjson.dumps({**PLAIN, "customer": "SECRET\n"}),
        orjson.dumps({**PLAIN, "SECRET": 1}),
    ):
        with pytest.raises(PaymentError) as caught:
            parse_payment(data)
        assert "SECRET" not in caught.value.message + caught.value.hint


def test_another_content_type_is_refused() -> None:
    with pytest.raises(PaymentError, match="JSON or XML"):
        parse_payment(b"{}", "text/html")


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("12", "JPY", 12),
        ("1.234", "KWD", 1234),
        ("0.01", "EUR", 1),
        ("12.340", "EUR", 1234),
        ("5", "CLF", 50_000),
    ],
)
def test_an_amount_becomes_minor_units_exactly(text: str, currency: str, minor: int) -> None:
    assert to_minor(text, currency) == minor


def test_the_table_of_currencies_knows_their_decimals() -> None:
    assert {CURRENCIES[code] for code in ("JPY", "EUR", "KWD", "CLF")} == {0, 2, 3, 4}
    assert all(len(code) == 3 and code.isupper() for code in CURRENCIES)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("2026-11-22T10:00:00", "2026-11-22T10:00:00Z"),
        ("2026-11-22T10:00:00+02:00", "2026-11-22T08:00:00Z"),
        ("2026-11-22T10:00:00-0130", "2026-11-22T11:30:00Z"),
        ("2026-11-22", "2026-11-22T00:00:00Z"),
        ("2026-11-22 10:00", "2026-11-22T10:00:00Z"),
        ("2026-12-31T23:59:60Z", "2027-01-01T00:00:00Z"),
        ("2026-11-22T10:00:00.1234569Z", "2026-11-22T10:00:00.123456Z"),
    ],
)
def test_times_are_read_with_and_without_a_zone(text: str, same: str) -> None:
    assert parse_time(text) == parse_time(same)


@pytest.mark.parametrize(
    "text", ["", "2026-02-30", "2026-11-22T25:00:00Z", "1969-12-31T23:59:59Z", "2100-01-01", "2026-11-22T10:00:61Z",
             "2026-11-22T10:00:00+15:00", "٢٠٢٦-11-22", 5],
)  # fmt: skip
def test_times_that_do_not_exist_are_refused(text: object) -> None:
    with pytest.raises(PaymentError):
        parse_time(text)


@pytest.mark.parametrize("amount", ["100.00", "7.50"])
def test_two_transactions_of_a_message_that_share_an_id_are_refused_before_anything_is_decided(
    amount: str,
) -> None:
    start, end = PACS008.index("<CdtTrfTxInf>"), PACS008.index("</CdtTrfTxInf>") + len("</CdtTrfTxInf>")
    first = PACS008[start:end]
    second = first.replace("100.00", amount)
    message = PACS008[:start] + first + second + PACS008[end:]
    with pytest.raises(PaymentError, match="transactions 1 and 2"):
        parse_payment(message.replace("<NbOfTxs>2", "<NbOfTxs>3").encode(), "application/xml")


@pytest.mark.parametrize("amount", ["1<x/>2", "<x/>100.00", "100.00<x/>", "<x>1</x> 2"])
def test_a_text_around_parts_is_refused(amount: str) -> None:
    # One reader makes 12 of the first, another one 1.
    with pytest.raises(PaymentError, match="not both"):
        parse_payment(PACS008.replace("100.00", amount).encode(), "application/xml")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Reference("a/b", "c"), Reference("a", "b/c")),
        (Reference("a%2Fb", "c"), Reference("a/b", "c")),
        (Reference("a", "#2"), Reference("a", place=2)),
        (Reference("a", "%232"), Reference("a", "#2")),
        (Reference("a", "/b"), Reference("a/", "b")),
    ],
)
def test_two_transactions_never_make_one_id(one: Reference, other: Reference) -> None:
    assert one.payment != other.payment


def test_an_id_without_anything_special_stays_as_it_is() -> None:
    assert Reference("MSG-1", "E2E/7").payment == "MSG-1/E2E/7"
    assert Reference("MSG-1", place=3).payment == "MSG-1/#3"
