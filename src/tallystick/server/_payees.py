"""What a bank's own people say about payees to all members: reports, disputes, removals, and holds on the chain."""

from __future__ import annotations

from typing import Annotated, Any, Protocol

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field

from tallystick.apps.fraud.sharing import ShareStanding, Word
from tallystick.proof import Entry

__all__ = ["Reporting", "add_payees"]

Text = Annotated[str, Field(min_length=1, max_length=200)]


class Reporter(Protocol):
    """Who says things about payees; `Member` is one."""

    def report(self, payee: str, *, customer: str, at: int | None = None, payment: str = "") -> Word: ...
    def withdraw(self, payee: str, *, customer: str, at: int | None = None) -> Word: ...
    def dispute(self, payee: str, *, reason: str, at: int | None = None) -> Word: ...
    def remove(self, token: bytes, *, reason: str, at: int | None = None) -> Word: ...


class Reporting(Protocol):
    """A bank that shares; `Sharing` is one."""

    @property
    def member(self) -> Reporter: ...
    def standing(self) -> ShareStanding: ...


class Holder(Protocol):
    """Where holds are placed; `HoldDesk` is one."""

    def hold(self, payee: str, *, decision: str, seconds: int) -> Entry: ...
    def release(self, payee: str) -> Entry: ...


class Report(BaseModel):
    """A customer reports a payee, or takes that back; neither leaves the bank but as token and tag."""

    model_config = ConfigDict(extra="forbid")

    payee: Text
    customer: Text
    payment: Annotated[str, Field(max_length=64, pattern="^[0-9a-f]*$")] = ""


class Dispute(BaseModel):
    """The payee is this bank's customer, and innocent; all members read the reason."""

    model_config = ConfigDict(extra="forbid")

    payee: Text
    reason: Text


class Removal(BaseModel):
    """A person found after a review that a payee is innocent; two members have to."""

    model_config = ConfigDict(extra="forbid")

    token: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    reason: Text


class Hold(BaseModel):
    """The others are asked not to pay a payee; what stands behind it is this bank's own decision."""

    model_config = ConfigDict(extra="forbid")

    payee: Text
    decision: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    hours: Annotated[int, Field(ge=1, le=239)] = 24


class Release(BaseModel):
    """This bank's own hold on a payee ends."""

    model_config = ConfigDict(extra="forbid")

    payee: Text


def add_payees(app: FastAPI, sharing: Reporting, *, holds: Holder | None = None) -> FastAPI:
    """Add the routes by which a bank's own people report payees to all members.

    Args:
        app: from `create_app`.
        sharing: where it is said.
        holds: where holds are placed; no such routes when None.

    Returns:
        The same application.
    """
    _add_words(app, sharing)
    if holds is not None:
        _add_holds(app, holds)
    return app


def _add_words(app: FastAPI, sharing: Reporting) -> None:

    @app.get("/v1/payees", tags=["sharing"])
    def standing() -> dict[str, Any]:
        """Say how sharing stands."""
        said = sharing.standing()
        return {
            "epoch": said.epoch,
            "held": said.held,
            "list": {"number": said.list, "members": dict(said.lists)},
            "listed": said.listed,
            "looked": said.looked,
            "members": dict(said.members),
            "round": said.round,
            "trouble": said.trouble,
            "undelivered": said.undelivered,
            "unknown": said.unknown,
            "until": said.until,
            "well": said.well,
        }

    @app.post("/v1/payees/reports", tags=["sharing"])
    def report(said: Report) -> dict[str, Any]:
        """Report a payee for a customer; durable here before any member hears of it."""
        return _told(sharing.member.report(said.payee, customer=said.customer, payment=said.payment))

    @app.post("/v1/payees/withdrawals", tags=["sharing"])
    def withdraw(said: Report) -> dict[str, Any]:
        """Take a customer's report back."""
        return _told(sharing.member.withdraw(said.payee, customer=said.customer))

    @app.post("/v1/payees/disputes", tags=["sharing"])
    def dispute(said: Dispute) -> dict[str, Any]:
        """Object to reports of a payee that is this bank's customer."""
        return _told(sharing.member.dispute(said.payee, reason=said.reason))

    @app.post("/v1/payees/removals", tags=["sharing"])
    def remove(said: Removal) -> dict[str, Any]:
        """Say after a review that a payee is innocent."""
        return _told(sharing.member.remove(bytes.fromhex(said.token), reason=said.reason))


def _add_holds(app: FastAPI, holds: Holder) -> None:
    @app.post("/v1/payees/holds", tags=["sharing"])
    def hold(said: Hold) -> dict[str, str]:
        """Ask the other members not to pay a payee: stated, anchored, and on the chain when this answers."""
        return {"statement": holds.hold(said.payee, decision=said.decision, seconds=3_600 * said.hours).id}

    @app.post("/v1/payees/releases", tags=["sharing"])
    def release(said: Release) -> dict[str, str]:
        """End this bank's own hold on a payee."""
        return {"statement": holds.release(said.payee).id}


def _told(word: Word) -> dict[str, Any]:
    return {"statement": word.statement, "token": word.token.hex()}
