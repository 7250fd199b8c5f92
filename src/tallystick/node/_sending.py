"""The way from a party to its chain: the chain opened or shared, its account, and the outbox of that account."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from tallystick.errors import NotFoundError, RevertError
from tallystick.proof import Clock, Party

from ._settings import ChainSettings
from ._workspace import Workspace

if TYPE_CHECKING:
    from tallystick.chain import Account, Call, Chain, Outbox

__all__ = ["open_outbox", "send_once"]


@contextmanager
def open_outbox(
    workspace: Workspace, settings: ChainSettings, party: Party, *, clock: Clock, chain: Chain | None = None
) -> Iterator[tuple[Chain, Account, Outbox]]:
    """Open a party's outbox, and close what was opened.

    Args:
        workspace: where the outbox is kept.
        settings: the chain.
        party: its chain key signs and pays; on an embedded chain an empty account gets coins.
        clock: microseconds since the epoch.
        chain: an open chain to share; otherwise one is opened by the settings.
    """
    from tallystick.chain import Account, Outbox, connect

    reached = connect(settings.profile, clock=clock) if chain is None else chain
    try:
        account = Account(party.secret("chain"))
        if reached.is_local and reached.balance(account.address) == 0:
            reached.fund(account.address)
        with Outbox(workspace.outbox(account.address), reached, account=account, clock=clock) as outbox:
            yield reached, account, outbox
    finally:
        if chain is None:
            reached.close()


def send_once(outbox: Outbox, name: str, call: Call, *, contract: str, hint: str) -> None:
    """Send a call under its intent's name, or again what an earlier run kept under that name.

    Args:
        outbox: of the account that sends.
        name: of the intent.
        call: what to send when nothing is kept yet.
        contract: its name, for people.
        hint: what a person can do when the contract refuses.

    Raises:
        RevertError: the contract refused.
    """
    with suppress(NotFoundError):
        # What was refused before may be right now: an approval came, a step is over, a bond was paid.
        outbox.retry(name)
        call = outbox.intent(name).call
    try:
        outbox.send(name, call)
    except RevertError as error:
        raise RevertError(
            f"the contract {contract} refused: {error.reason or 'no reason given'}",
            hint=hint,
            reason=error.reason,
        ) from error
