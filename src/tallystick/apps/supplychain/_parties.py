"""Who takes part in the pilot: one workspace each, one embedded chain, and the contracts between them."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tallystick.apps.pilots import PASSPHRASE
from tallystick.chain import Account, Call, Mined, Outbox
from tallystick.decisions import Oracle, Panel
from tallystick.node import Consortium, Ground, Node
from tallystick.proof import STANDARD_KINDS

from ._kinds import KINDS
from ._shipments import Shipments

__all__ = [
    "BOND", "CARRIER", "COIN", "INSPECTORATE", "MAKER", "OFFICE", "ORACLES", "PARTIES", "PHARMACY", "STEP_BLOCKS",
    "STEP_S", "WATCH", "WINDOW_BLOCKS", "WINDOW_S", "Cast",
]  # fmt: skip

MAKER: Final = "Vaccine Maker"
CARRIER: Final = "Cold Carrier"
PHARMACY: Final = "City Pharmacy"
OFFICE: Final = "Quality Office"
INSPECTORATE: Final = "Health Inspectorate"
WATCH: Final = "Patients' Watch"
ORACLES: Final = tuple(f"Oracle {number}" for number in range(1, 8))

COIN: Final = 10**18  # wei
BOND: Final = COIN // 10
PURSE: Final = 100 * COIN
QUORUM: Final = 5
# At L2 four are enough for an answer: there, one honest watcher is what it rests on.
OPTIMISTIC_NEED: Final = 4
STEP_S, STEP_BLOCKS = 120, 3
WINDOW_S, WINDOW_BLOCKS = 600, 5
PARTIES: Final = (MAKER, CARRIER, PHARMACY, OFFICE, INSPECTORATE, WATCH, *ORACLES)


class Cast:
    """All parties of a pilot, and what they share; closed by ``with``.

    Args:
        directory: holds the workspaces and the embedded chain.
        ground: where the chain stands; embedded when None.
    """

    def __init__(self, directory: Path, *, ground: Ground | None = None) -> None:
        self.consortium = Consortium(
            PARTIES,
            directory=directory,
            ground=ground,
            passphrase=PASSPHRASE,
            heads=directory / "heads",
            kinds=STANDARD_KINDS.extended(KINDS),
        )
        self._outboxes = ExitStack()
        self._open: dict[str, Outbox] = {}
        self.chain = self.consortium.chain
        self.nodes: dict[str, Node] = dict(zip(PARTIES, self.consortium.nodes, strict=True))
        self.accounts = {name: Account(node.party.secret("chain")) for name, node in self.nodes.items()}

    def found(self) -> None:
        """Deploy the contracts and open the panels."""
        for node in self.nodes.values():
            self.consortium.fund(node, PURSE)
        self.consortium.found_models(approvals=2)
        self.oracle = Oracle(self.chain.web3, self.consortium.found_oracle())
        settings = self.nodes[PHARMACY].settings.chain
        assert settings is not None
        call = Shipments.deploy_call(
            oracle=self.oracle.address, members=settings.members, buyer=self.address(PHARMACY)
        )
        self.shipments = Shipments(self.chain.web3, self.send(PHARMACY, "found/shipments", call).contract)
        signers = tuple(sorted(map(self.address, ORACLES)))
        self.quorum = Panel(signers, QUORUM)
        self.optimistic = Panel(
            signers, OPTIMISTIC_NEED, (self.address(WATCH),), 1, BOND, WINDOW_S, WINDOW_BLOCKS
        )
        for panel in (self.quorum, self.optimistic):
            self.send(PHARMACY, f"panel/{panel.id.hex()}", self.oracle.open_panel(panel))
        # The watcher is ready to challenge before there is anything to challenge.
        self.send(WATCH, "bond", self.oracle.deposit(BOND))

    def address(self, name: str) -> str:
        """The chain account of a party."""
        return self.accounts[name].address

    def name_of(self, address: str) -> str:
        """Whose account this is."""
        names = {account.address: name for name, account in self.accounts.items()}
        return names.get(address.lower(), address)

    def outbox(self, name: str) -> Outbox:
        """A party's outbox, opened once."""
        if name not in self._open:
            account = self.accounts[name]
            path = self.nodes[name].workspace.outbox(account.address)
            self._open[name] = self._outboxes.enter_context(Outbox(path, self.chain, account=account))
        return self._open[name]

    def send(self, name: str, intent_id: str, call: Call) -> Mined:
        """Send a call of a party, and wait until it is mined."""
        return self.outbox(name).send(intent_id, call)

    def close_outboxes(self) -> None:
        """Close what was opened, so that others may open it."""
        self._outboxes.close()
        self._open.clear()

    def close(self) -> None:
        """Close everything."""
        self.close_outboxes()
        self.consortium.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
