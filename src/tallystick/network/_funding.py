"""Coins for a pilot's accounts, out of a member's spare; on a real network each member has its own from the genesis."""

from __future__ import annotations

import secrets
import time

from tallystick.errors import ChainError, DeadlineError, FundsError

from ._bundle import Bundle

__all__ = ["funded"]

_GAS = 21_000
_AGAIN_S = 0.2
_REFUSED = 50  # times that another payment from the same account may come first


def funded(bundle: Bundle, address: str, wei: int, *, payer: int | str = 0, timeout_s: float = 30.0) -> str:
    """Pay an account out of a member's own, and wait until it has it; for tests and pilots.

    Args:
        bundle: whose keys all lie on this machine, and which runs.
        address: 0x and 40 hex digits.
        wei: how much.
        payer: the member that pays.
        timeout_s: until it stands in a block.

    Returns:
        Hash of the transaction.

    Raises:
        FundsError: the payer has not that much.
        ChainError: the network refused, or the transaction failed.
        DeadlineError: no block took it in time.
    """
    from tallystick.chain import Call, connect

    account = bundle.account(payer)
    with connect(bundle.profile(payer)) as chain:
        if chain.balance(account.address) < wei:
            raise FundsError("the paying member has not so many coins")
        deadline = time.monotonic() + timeout_s
        for _ in range(_REFUSED):
            raw = account.sign(
                # without it two equal payments of one nonce would be the same transaction, and both would think they paid
                Call(to=address.lower(), data=secrets.token_bytes(8), value=wei),
                chain_id=chain.chain_id,
                nonce=chain.nonce(account.address),
                gas=2 * _GAS,
                max_fee=0,
                max_priority_fee=0,
            )
            try:
                named = str(chain.ask("eth_sendRawTransaction", "0x" + raw.hex()))
                break
            except ChainError as error:
                if "nonce" not in error.message or time.monotonic() >= deadline:
                    raise
                time.sleep(_AGAIN_S)  # somebody else pays from this account at the same time
        else:
            raise ChainError("the paying account is too busy: its nonce was taken each time")
        while time.monotonic() < deadline:
            mined = chain.receipt(named)
            if mined is not None:
                if not mined.succeeded:
                    raise ChainError("the payment was refused by the account that it went to")
                return named
            time.sleep(_AGAIN_S)
    raise DeadlineError(f"no block took the payment in {timeout_s:.0f} s")
