"""The simulator, all in columns: people, their habits, and five ways to rob them. Everything it makes is SIMULATED.

After the description of the Fraud Detection Handbook's simulator (Le Borgne, Siblini, Lebichot, Bontempi 2022,
"Reproducible Machine Learning for Credit Card Fraud Detection", chapter 3): customers and terminals at random places
in a square, a customer uses terminals near by, each has a mean amount and a mean number of payments a day; frauds are
large amounts, terminals that are compromised for 28 days, and customers that are compromised for 14 days. Ours adds
what a consortium is for: several banks that share terminals and payees, transfers, mule accounts that are paid by
victims of several banks, and stolen cards used online.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ._settings import SimulatorSettings
from ._simulated import NONE, Simulated

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["simulate"]

CELLS: Final = (
    16  # the square is cut into 16 x 16 neighbourhoods; a customer's terminals are those of her own
)
HABITS: Final = 8  # terminals that a customer uses
PAYEES: Final = 5  # accounts that a customer pays regularly
DAY: Final = 86_400_000_000  # microseconds
HOUR: Final = 3_600_000_000
LARGE: Final = 22_000  # cents: every larger payment at a terminal is fraud
TERMINAL_DAYS: Final = 28
CARD_DAYS: Final = 14
NEVER: Final = 10**6  # a day that does not come
GENUINE_AFTER: Final = 14 * DAY  # a payment nobody complained about in this time is taken for genuine
CARD, ONLINE, INSTANT, TRANSFER = range(4)  # places in CHANNELS
SHARES: Final = (0.68, 0.14, 0.08, 0.10)  # of genuine payments, by channel


@dataclass(frozen=True)
class _World:
    """Who there is: customers with their habits, terminals, web shops, accounts."""

    bank: NDArray[np.uint8]
    mean: NDArray[np.float64]
    weight: NDArray[np.float64]
    habits: NDArray[np.int32]
    payees: NDArray[np.int32]
    terminals: int
    shops: int
    merchants: int
    accounts: int

    @property
    def customers(self) -> int:
        return len(self.mean)


def simulate(settings: SimulatorSettings = SimulatorSettings()) -> Simulated:  # noqa: B008 - frozen
    """Make SIMULATED payments.

    Args:
        settings: what is asked for; the same settings make the same payments, bit for bit.
    """
    import numpy as np

    dice = np.random.default_rng(settings.seed)
    world = _world(settings, dice)
    parts = [_mules(settings, world, dice), _online(settings, world, dice)]
    extra = sum(len(part["at"]) for part in parts)
    if extra > settings.payments // 5:
        # Few days and many robbers: the share of fraud stays below what was asked for.
        parts = [{name: column[: settings.payments // 10] for name, column in part.items()} for part in parts]
        extra = sum(len(part["at"]) for part in parts)
    usual = _usual(settings, world, dice, settings.payments - extra)
    _large(usual, dice)
    _terminals(settings, world, usual, dice)
    _cards(settings, world, usual, dice)
    columns = {name: np.concatenate([usual[name], *(part[name] for part in parts)]) for name in usual}
    return _ordered(settings, world, columns)


def _world(settings: SimulatorSettings, dice: np.random.Generator) -> _World:
    import numpy as np

    customers, terminals = settings.customers, settings.terminals
    cell_of_terminal = np.sort(dice.integers(0, CELLS * CELLS, terminals))
    starts = np.searchsorted(cell_of_terminal, np.arange(CELLS * CELLS + 1))
    # Every neighbourhood has at least one terminal to go to: its own, or the next one's.
    cell = dice.integers(0, CELLS * CELLS, customers)
    sizes = np.diff(starts)
    first, size = np.minimum(starts[cell], terminals - 1), np.maximum(sizes[cell], 1)
    habits = first[:, None] + dice.integers(0, 1 << 30, (customers, HABITS)) % size[:, None]
    shops = max(20, terminals // 25)
    merchants = max(10, terminals // 2) + shops
    accounts = customers + max(100, customers // 5)
    return _World(
        bank=dice.integers(0, settings.banks, customers).astype(np.uint8),
        mean=dice.uniform(500, 10_000, customers),
        weight=dice.uniform(0.1, 2.0, customers),
        habits=habits.astype(np.int32),
        payees=(merchants + dice.integers(0, accounts, (customers, PAYEES))).astype(np.int32),
        terminals=terminals,
        shops=shops,
        merchants=merchants,
        accounts=accounts,
    )


def _usual(
    settings: SimulatorSettings, world: _World, dice: np.random.Generator, count: int
) -> dict[str, Any]:
    """What customers pay when nobody robs them."""
    import numpy as np

    customer = np.repeat(
        np.arange(world.customers, dtype=np.int32), dice.multinomial(count, world.weight / world.weight.sum())
    )
    channel = dice.choice(4, size=count, p=SHARES).astype(np.uint8)
    at = dice.integers(0, settings.days, count) * DAY + _time_of_day(dice, count)
    amount = np.abs(dice.normal(world.mean[customer], world.mean[customer] / 2))
    moved = (channel == TRANSFER) | (channel == INSTANT)
    amount = np.where(moved, amount * dice.lognormal(0.8, 0.7, count), amount)
    pick = dice.integers(0, HABITS, count)
    terminal = world.habits[customer, pick]
    web = world.terminals + (dice.power(0.4, count) * world.shops).astype(np.int32)
    terminal = np.where(channel == CARD, terminal, np.where(channel == ONLINE, web, NONE)).astype(np.int32)
    regular = world.payees[customer, dice.integers(0, PAYEES, count)]
    fresh = world.merchants + dice.integers(0, world.accounts, count)
    account = np.where(dice.random(count) < 0.9, regular, fresh)
    payee = np.where(moved, account, _merchant(world, terminal)).astype(np.int32)
    second = dice.random(count) < 0.08
    device = np.where(channel == CARD, NONE, 2 * customer + second).astype(np.int32)
    return {
        "amount": np.maximum(np.rint(amount), 50).astype(np.int64),
        "at": at.astype(np.int64),
        "channel": channel,
        "customer": customer,
        "device": device,
        "kind": np.zeros(count, dtype=np.uint8),
        "payee": payee,
        "reported": np.full(count, GENUINE_AFTER, dtype=np.int64),
        "terminal": terminal,
    }


def _time_of_day(dice: np.random.Generator, count: int) -> Any:
    import numpy as np

    return (np.clip(dice.normal(0.56, 0.17, count), 0, 0.999_999) * DAY).astype(np.int64)


def _merchant(world: _World, terminal: Any) -> Any:
    """Two terminals in a shop; every web shop is a merchant of its own."""
    import numpy as np

    shops = world.merchants - world.shops
    return np.where(terminal < world.terminals, terminal // 2 % shops, shops + terminal - world.terminals)


def _large(usual: dict[str, Any], dice: np.random.Generator) -> None:
    chosen = (usual["channel"] == CARD) & (usual["amount"] > LARGE)
    _rob(usual, chosen, 1, dice.uniform(1 * DAY, 5 * DAY, len(chosen)))


def _terminals(
    settings: SimulatorSettings, world: _World, usual: dict[str, Any], dice: np.random.Generator
) -> None:
    """Terminals that copy cards: for 28 days nearly every payment there is fraud, whichever bank's card it is."""
    import numpy as np

    since = _compromised(world.terminals, settings.terminal_frauds, settings.days, TERMINAL_DAYS, dice)
    at_shop = usual["channel"] == CARD
    day = usual["at"] // DAY
    # Web shops, and the transfers' -1 behind them, are never compromised.
    begun = np.append(since, np.full(world.shops + 1, NEVER))[usual["terminal"]]
    chosen = at_shop & (day >= begun) & (day < begun + TERMINAL_DAYS) & (dice.random(len(day)) < 0.8)
    _rob(usual, chosen, 2, dice.uniform(1 * DAY, 7 * DAY, len(day)))


def _cards(
    settings: SimulatorSettings, world: _World, usual: dict[str, Any], dice: np.random.Generator
) -> None:
    """Customers whose card details leaked: for 14 days a third of their card payments has five times the amount."""
    import numpy as np

    since = _compromised(world.customers, settings.card_frauds, settings.days, CARD_DAYS, dice)
    by_card = (usual["channel"] == CARD) | (usual["channel"] == ONLINE)
    day, begun = usual["at"] // DAY, since[usual["customer"]]
    chosen = by_card & (day >= begun) & (day < begun + CARD_DAYS) & (dice.random(len(day)) < 1 / 3)
    chosen &= usual["kind"] == 0
    usual["amount"] = np.where(chosen, usual["amount"] * 5, usual["amount"])
    _rob(usual, chosen, 3, dice.uniform(1 * DAY, 14 * DAY, len(day)))


def _compromised(count: int, share: float, days: int, lasts: int, dice: np.random.Generator) -> Any:
    """On which day each is compromised, once or never, so that `share` of them are on any day."""
    import numpy as np

    # Spread over days before the first one too, or the first weeks would be too good.
    window = days + lasts
    victim = dice.random(count) < min(1.0, share * window / lasts)
    return np.where(victim, dice.integers(-lasts, days, count), NEVER)


def _rob(usual: dict[str, Any], chosen: Any, kind: int, reported: Any) -> None:
    import numpy as np

    usual["kind"] = np.where(chosen, kind, usual["kind"]).astype(np.uint8)
    usual["reported"] = np.where(chosen, reported, usual["reported"]).astype(np.int64)


def _mules(settings: SimulatorSettings, world: _World, dice: np.random.Generator) -> dict[str, Any]:
    """Accounts opened to be robbed into: victims of all banks are talked into a transfer, for a day or two."""
    import numpy as np

    mules = int(dice.poisson(settings.mules * world.customers / 1000 * settings.days / 30))
    begun = dice.uniform(0, max(settings.days - 2, 1), mules) * DAY
    lasts = dice.uniform(8 * HOUR, 60 * HOUR, mules)
    victims = dice.integers(4, 15, mules)
    mule = np.repeat(np.arange(mules), victims)
    count = len(mule)
    at = begun[mule] + dice.random(count) * lasts[mule]
    # Some notice within minutes, most within hours, some only when the bank calls.
    reported = np.minimum(dice.exponential(5 * HOUR, count) + 5 * 60_000_000, 2 * DAY)
    return {
        "amount": np.rint(dice.lognormal(11.6, 0.7, count)).astype(np.int64) + 5_000,
        "at": np.minimum(at, settings.days * DAY - 1).astype(np.int64),
        "channel": np.where(dice.random(count) < 0.6, INSTANT, TRANSFER).astype(np.uint8),
        "customer": (customer := dice.integers(0, world.customers, count).astype(np.int32)),
        "device": (2 * customer).astype(np.int32),
        "kind": np.full(count, 4, dtype=np.uint8),
        "payee": (world.merchants + world.accounts + mule).astype(np.int32),
        "reported": reported.astype(np.int64),
        "terminal": np.full(count, NONE, dtype=np.int32),
    }


def _online(settings: SimulatorSettings, world: _World, dice: np.random.Generator) -> dict[str, Any]:
    """Stolen cards used online: some payments within hours, from a device never seen before."""
    import numpy as np

    bursts = int(dice.poisson(settings.online_bursts * world.customers / 1000 * settings.days / 30))
    begun = dice.uniform(0, max(settings.days - 1, 1), bursts) * DAY
    victim = dice.integers(0, world.customers, bursts)
    burst = np.repeat(np.arange(bursts), dice.integers(4, 13, bursts))
    count = len(burst)
    terminal = world.terminals + dice.integers(0, world.shops, count)
    return {
        "amount": np.rint(dice.uniform(1_500, 35_000, count)).astype(np.int64),
        "at": np.minimum(begun[burst] + dice.random(count) * 3 * HOUR, settings.days * DAY - 1).astype(
            np.int64
        ),
        "channel": np.full(count, ONLINE, dtype=np.uint8),
        "customer": victim[burst].astype(np.int32),
        "device": (2 * world.customers + burst).astype(np.int32),
        "kind": np.full(count, 5, dtype=np.uint8),
        "payee": _merchant(world, terminal).astype(np.int32),
        "reported": dice.uniform(6 * HOUR, 3 * DAY, count).astype(np.int64),
        "terminal": terminal.astype(np.int32),
    }


def _ordered(settings: SimulatorSettings, world: _World, columns: dict[str, Any]) -> Simulated:
    import numpy as np

    order = np.argsort(columns["at"], kind="stable")
    made = {name: column[order] for name, column in columns.items()}
    # Strictly increasing: two payments of one microsecond would have no order.
    places = np.arange(len(order), dtype=np.int64)
    at = settings.start + np.maximum.accumulate(made["at"] - places) + places
    return Simulated(
        settings=settings,
        bank=world.bank[made["customer"]],
        at=at,
        amount=made["amount"],
        customer=made["customer"],
        payee=made["payee"],
        terminal=made["terminal"],
        device=made["device"],
        channel=made["channel"],
        kind=made["kind"],
        reported_at=at + made["reported"],
        merchants=world.merchants,
    )
