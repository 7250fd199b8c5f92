"""Validators of a running network: who they are, and how one is added and another one removed.

A validator is made by its own operator, who stakes as much as the others do. A newcomer has no tokens: the present
members lend it a part each, and as none has enough to lend for a whole stake, it takes several of them to let somebody
in. A validator leaves by taking its stake back. Both are transactions of the engine, signed on the operator's machine,
and count from the second block after theirs.
"""

from __future__ import annotations

import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import orjson

from tallystick.errors import (
    ChainError,
    ChainUnreachableError,
    ConfigurationError,
    DeadlineError,
    FundsError,
    NotFoundError,
)

from ._bech32 import format_bech32, parse_bech32
from ._genesis import DENOM, TOKEN
from ._home import read_ports
from ._joining import KEY, own_part, run_engine

__all__ = ["ValidatorSet", "add_validator", "lend", "remove_validator", "validators"]

ANSWER_LIMIT = 4 * 1024 * 1024  # bytes
_PAGE = 100  # validators that one answer holds at most
_TIMEOUT_S = 5.0
_GAS = "500000"
_LEND = "members lend a newcomer its stake, a part each: `tallystick network lend`"

_Sleep = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class ValidatorSet:
    """Who signs blocks.

    Args:
        height: of the block that it is told for.
        powers: key that signs blocks (base64) -> voting power, in tokens.
    """

    height: int
    powers: Mapping[str, int]

    @property
    def bears(self) -> int:
        """How many of them, of equal power, may be down or lie."""
        return (len(self.powers) - 1) // 3


def validators(comet_url: str) -> ValidatorSet:
    """Ask a node who the validators are now.

    Args:
        comet_url: the consensus engine's own interface, ``http://127.0.0.1:…``.

    Raises:
        ChainUnreachableError: it does not answer.
        ChainError: it answers something else.
    """
    try:
        found = _ask(comet_url, "validators", per_page=_PAGE)
        powers = {str(one["pub_key"]["value"]): int(one["voting_power"]) for one in found["validators"]}
        if int(found["total"]) != len(powers):
            raise ChainError(f"expected at most {_PAGE} validators, got {found['total']}")
        return ValidatorSet(int(found["block_height"]), powers)
    except (KeyError, TypeError, ValueError) as error:
        raise ChainError("the node did not answer who the validators are") from error


def lend(
    home: Path,
    account: str,
    tokens: int,
    *,
    engine: Path,
    timeout_s: float = 30.0,
    sleep: _Sleep = time.sleep,
) -> None:
    """Pay tokens from this member's account to a newcomer's, for its stake.

    Args:
        home: of this member's node, which is running.
        account: bech32, from the newcomer's part.
        tokens: at most what is spare.
        engine: the engine's binary.
        timeout_s: to wait for its block.
        sleep: waits so many seconds between two looks.

    Raises:
        ChainError: the network refused, for instance because there is not that much.
        DeadlineError: no block took it in time.
    """
    parse_bech32(account)
    if tokens < 1:
        raise ConfigurationError(f"tokens must be 1 or more, got {tokens}")
    own = own_part(home).account
    amount = f"{tokens * TOKEN}{DENOM}"
    _send(home, engine, "bank", "send", own, account, amount, timeout_s=timeout_s, sleep=sleep)


def add_validator(
    home: Path, *, engine: Path, timeout_s: float = 30.0, sleep: _Sleep = time.sleep
) -> ValidatorSet:
    """Make this member's running node a validator, with the stake that the terms name.

    Args:
        home: of a node that was attached and runs.
        engine: the engine's binary.
        timeout_s: to wait until it has caught up, for the transaction, and until it is one.
        sleep: waits so many seconds between two looks.

    Returns:
        The validators, this one among them.

    Raises:
        ConfigurationError: it is one already, or the node has not caught up.
        ChainError: the network refused, for instance because the account has no stake yet.
        DeadlineError: it did not become one in time.
    """
    part, url = own_part(home), _comet_url(home)
    if part.consensus_key in validators(url).powers:
        raise ConfigurationError("this node is a validator already")
    _wait_caught_up(url, timeout_s, sleep)
    message = {
        "amount": f"{part.terms.stake * TOKEN}{DENOM}",
        "commission-max-change-rate": "0",
        "commission-max-rate": "0",
        "commission-rate": "0",
        "min-self-delegation": "1",
        "moniker": part.name,
        "pubkey": {"@type": "/cosmos.crypto.ed25519.PubKey", "key": part.consensus_key},
    }
    told = home / "config" / "create-validator.json"
    told.write_bytes(orjson.dumps(message))
    _send(home, engine, "staking", "create-validator", str(told), timeout_s=timeout_s, sleep=sleep)
    return _wait(url, lambda powers: part.consensus_key in powers, timeout_s, sleep)


def remove_validator(
    home: Path,
    *,
    engine: Path,
    even_so: bool = False,
    timeout_s: float = 30.0,
    sleep: _Sleep = time.sleep,
) -> ValidatorSet:
    """Take this member's validator out of the network; its node goes on following.

    Args:
        home: of the validator's node, which is running.
        engine: the engine's binary.
        even_so: also when the others can then bear fewer faults than the terms ask for.
        timeout_s: to wait until it is none.
        sleep: waits so many seconds between two looks.

    Returns:
        The validators that are left.

    Raises:
        NotFoundError: it is none.
        ConfigurationError: too few would be left.
        ChainError: the network refused.
        DeadlineError: it still is one after that time.
    """
    part, url = own_part(home), _comet_url(home)
    powers = validators(url).powers
    if part.consensus_key not in powers:
        raise NotFoundError("this node is no validator")
    needed = 3 * part.terms.faulty + 1
    if len(powers) <= needed and not even_so:
        raise ConfigurationError(
            f"to bear {part.terms.faulty} faulty validators a network needs {needed}, {len(powers) - 1} would be left",
            hint="add another one first; or say that it shall leave even so",
        )
    if len(powers) == 1:
        raise ConfigurationError("the last validator cannot leave: nobody would sign blocks any more")
    operator = format_bech32("cosmosvaloper", parse_bech32(part.account)[1])
    amount = f"{powers[part.consensus_key] * TOKEN}{DENOM}"
    _send(home, engine, "staking", "unbond", operator, amount, timeout_s=timeout_s, sleep=sleep)
    return _wait(url, lambda left: part.consensus_key not in left, timeout_s, sleep)


def _comet_url(home: Path) -> str:
    return f"http://127.0.0.1:{read_ports(home).comet}"


def _wait(
    url: str, done: Callable[[Mapping[str, int]], bool], timeout_s: float, sleep: _Sleep
) -> ValidatorSet:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        found = validators(url)
        if done(found.powers):
            return found
        sleep(0.2)
    raise DeadlineError(
        f"the validators did not change in {timeout_s:.0f} s",
        hint="is the network making blocks? see its status",
    )


def _wait_caught_up(url: str, timeout_s: float, sleep: _Sleep) -> None:
    deadline = time.monotonic() + timeout_s
    while _ask(url, "status")["sync_info"]["catching_up"] is not False:
        if time.monotonic() >= deadline:
            raise ConfigurationError(
                "the node has not caught up",
                hint="try later: the others wait for a validator that cannot sign yet",
            )
        sleep(0.2)


def _send(home: Path, engine: Path, *words: str, timeout_s: float, sleep: _Sleep) -> None:
    """Sign one transaction with the node's account, hand it to the own node, and wait for its block."""
    part, url = own_part(home), _comet_url(home)
    try:
        said = run_engine(
            engine,
            home,
            *("tx", *words, "--from", KEY, "--keyring-backend", "test", "--chain-id", part.terms.network_id),
            *("--node", url.replace("http:", "tcp:"), "--gas", _GAS, "--gas-prices", f"0{DENOM}"),
            *("--yes", "--broadcast-mode", "sync", "--output", "json"),
        )
    except ConfigurationError as error:
        if re.search(r"account \S+ not found", error.hint or ""):
            raise FundsError("this node's account has no tokens yet", hint=_LEND) from error
        raise
    answer = _sent(said)
    if answer.get("code"):
        raise _refused(answer)
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        sleep(0.2)
        try:
            found = _ask(url, "tx", hash=f"0x{answer['txhash']}")
        except NotFoundError:
            continue
        if found["tx_result"].get("code"):
            raise _refused({"raw_log": found["tx_result"].get("log", "")})
        return
    raise DeadlineError(
        f"no block took the transaction in {timeout_s:.0f} s",
        hint="it may still come: ask who the validators are before you try again",
    )


def _sent(said: str) -> dict[str, Any]:
    for line in said.splitlines():
        try:
            found = orjson.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict) and isinstance(found.get("txhash"), str):
            return found
    raise ChainError("the engine did not say what became of the transaction")


def _refused(answer: Mapping[str, Any]) -> ChainError:
    words = " ".join(str(answer.get("raw_log", "")).split())[:200]
    if "insufficient funds" in words:
        return FundsError("this node's account has too few tokens", hint=_LEND)
    return ChainError(f"the network refused the transaction: {words or 'it gave no reason'}")


def _ask(url: str, method: str, **params: Any) -> Any:
    """Ask the consensus engine's own interface one method.

    Raises:
        NotFoundError: it says that it does not know the transaction.
        ChainUnreachableError: no answer.
        ChainError: another refusal.
    """
    target = f"{url}/{method}" + (f"?{urlencode(params)}" if params else "")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(target, timeout=_TIMEOUT_S) as response:
            data = response.read(ANSWER_LIMIT + 1)
    except urllib.error.HTTPError as error:
        data = error.read(ANSWER_LIMIT + 1)
    except (OSError, ValueError) as error:
        raise ChainUnreachableError(
            f"the node does not answer {method}", hint="is it running? see `tallystick network status`"
        ) from error
    try:
        answer = orjson.loads(data)
        if "error" in answer:
            said = f"{answer['error'].get('message', '')} {answer['error'].get('data', '')}"
            if "not found" in said:
                raise NotFoundError("the node knows no such transaction")
            raise ChainError(f"the node refused {method}: {' '.join(said.split())[:200]}")
        return answer["result"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ChainError(f"the node's answer to {method} is not JSON-RPC") from error
