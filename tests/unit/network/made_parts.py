"""Parts as members make them, without an engine."""

from __future__ import annotations

import base64
import hashlib
import random
from typing import Any

from tallystick.network._bech32 import format_bech32
from tallystick.network._genesis import DENOM
from tallystick.network._parts import NetworkPart, NetworkTerms
from tallystick.proof import Party


def gentx(seed: str, terms: NetworkTerms) -> dict[str, Any]:
    account = account_of(seed)
    key = base64.b64encode(hashlib.sha256(f"{seed}/key".encode()).digest()).decode()
    message = {
        "@type": "/cosmos.staking.v1beta1.MsgCreateValidator",
        "commission": {"max_change_rate": "0", "max_rate": "0", "rate": "0"},
        "delegator_address": "",
        "description": {"moniker": seed},
        "min_self_delegation": "1",
        "pubkey": {"@type": "/cosmos.crypto.ed25519.PubKey", "key": key},
        "validator_address": format_bech32("cosmosvaloper", account),
        "value": {"amount": str(terms.stake * 10**18), "denom": DENOM},
    }
    return {
        "auth_info": {"fee": {"gas_limit": "200000"}},
        "body": {"messages": [message]},
        "signatures": ["AA=="],
    }


def account_of(seed: str) -> bytes:
    return hashlib.sha256(f"{seed}/account".encode()).digest()[:20]


def part(seed: str, place: int = 0, *, terms: NetworkTerms | None = None, **changed: Any) -> NetworkPart:
    agreed = terms or NetworkTerms()
    values: dict[str, Any] = {
        "name": seed,
        "host": "127.0.0.1",
        "p2p_port": 26656 + place,
        "node_id": hashlib.sha256(f"{seed}/node".encode()).hexdigest()[:40],
        "account": format_bech32("cosmos", account_of(seed)),
        "at": 1_790_000_000 + place,
        "gentx": gentx(seed, agreed),
        "cards": Party.create(seed, randomness=random.Random(seed).randbytes).cards,
        "terms": agreed,
        **changed,
    }
    return NetworkPart(**values)


def parts(names: str = "bank-a bank-b bank-c bank-d", **changed: Any) -> list[NetworkPart]:
    return [part(name, place, **changed) for place, name in enumerate(names.split())]
