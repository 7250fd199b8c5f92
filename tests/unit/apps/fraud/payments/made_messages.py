"""Messages for tests: every id in them is made up; the IBANs are the published examples of their registries."""

from __future__ import annotations

from typing import Any

import orjson

DEBTOR = "DE89370400440532013000"
CREDITOR = "GB29NWBK60161331926819"
UETR = "eb6305c9-1f7f-49de-aed0-16487c27b42d"

PACS008 = f"""<?xml version="1.0" encoding="UTF-8"?>
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:pacs.008.001.08">
 <FIToFICstmrCdtTrf>
  <GrpHdr><MsgId>MSG-1</MsgId><CreDtTm>2026-11-22T10:03:11.250+01:00</CreDtTm><NbOfTxs>2</NbOfTxs>
   <PmtTpInf><LclInstrm><Cd>INST</Cd></LclInstrm></PmtTpInf></GrpHdr>
  <CdtTrfTxInf>
   <PmtId><EndToEndId>E2E-1</EndToEndId><TxId>TX-1</TxId><UETR>{UETR}</UETR></PmtId>
   <IntrBkSttlmAmt Ccy="EUR">100.00</IntrBkSttlmAmt><AccptncDtTm>2026-11-22T09:00:00Z</AccptncDtTm>
   <DbtrAcct><Id><IBAN>{DEBTOR}</IBAN></Id></DbtrAcct><CdtrAcct><Id><IBAN>{CREDITOR}</IBAN></Id></CdtrAcct>
  </CdtTrfTxInf>
  <CdtTrfTxInf>
   <PmtId><EndToEndId>NOTPROVIDED</EndToEndId></PmtId>
   <IntrBkSttlmAmt Ccy="EUR">7.5</IntrBkSttlmAmt><InstdAmt Ccy="JPY">1200</InstdAmt>
   <DbtrAcct><Id><Othr><Id>ACC 77</Id></Othr></Id></DbtrAcct><CdtrAcct><Id><Othr><Id>M-9</Id></Othr></Id></CdtrAcct>
  </CdtTrfTxInf>
 </FIToFICstmrCdtTrf>
</Document>"""

PAIN001: dict[str, Any] = {
    "Document": {
        "CstmrCdtTrfInitn": {
            "GrpHdr": {"MsgId": "PAIN-7", "CreDtTm": "2026-11-22T10:03:11Z", "NbOfTxs": "2"},
            "PmtInf": [
                {
                    "PmtTpInf": {"SvcLvl": {"Cd": "SEPA"}},
                    "DbtrAcct": {"Id": {"IBAN": DEBTOR}, "Ccy": "EUR"},
                    "CdtTrfTxInf": [
                        {
                            "PmtId": {"EndToEndId": "A"},
                            "Amt": {"InstdAmt": {"Ccy": "KWD", "value": "1.234"}},
                            "CdtrAcct": {"Id": {"IBAN": CREDITOR}},
                        },
                        {
                            "PmtId": {"EndToEndId": "B"},
                            "PmtTpInf": {"LclInstrm": {"Prtry": "INST"}},
                            "Amt": {"InstdAmt": {"Ccy": "EUR", "value": 12.34}},
                            "CdtrAcct": {"Id": {"Othr": {"Id": "shop"}}},
                        },
                    ],
                }
            ],
        }
    }
}

PLAIN: dict[str, Any] = {
    "id": "p-1",
    "at": 1_795_000_000_000_000,
    "amount": 1234,
    "currency": "EUR",
    "customer": "c-1",
    "payee": "m-1",
}


def pain001(**change: object) -> bytes:
    """The JSON message, with fields of its first transaction changed; None removes one."""
    document = orjson.loads(orjson.dumps(PAIN001))
    group = document["Document"]["CstmrCdtTrfInitn"]["PmtInf"][0]
    group["CdtTrfTxInf"][0].update(change)
    group["CdtTrfTxInf"][0] = {k: v for k, v in group["CdtTrfTxInf"][0].items() if v is not None}
    return orjson.dumps(document)
