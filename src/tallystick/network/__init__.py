"""A consortium's network: lays out its validators, and lets members join it, assemble it, and come and go.

Each member makes its own keys on its own machine; only parts travel, and all make the same genesis from them:

part = join(home, name="bank-a", host="192.0.2.1", engine=engine, clock=system_clock)
made = preview([part, *theirs], engine=engine)              # everybody reads made.hash out to the others
assemble(home, [part, *theirs], engine=engine, expected=made.hash)
"""

from __future__ import annotations

from ._besu import (
    BESU_LABEL,
    BesuPart,
    BesuTerms,
    besu_files,
    besu_member_files,
    make_besu,
    new_besu_key,
    write_besu_files,
)
from ._bundle import Bundle, Member, make_bundle, open_bundle
from ._engine import build_engine, find_engine
from ._funding import funded
from ._home import JoinedPorts, read_ports, write_unit
from ._joining import Assembled, assemble, attach, join, own_part, preview
from ._network import Network, ValidatorStatus
from ._parts import NetworkPart, NetworkTerms, format_part, parse_part
from ._validators import ValidatorSet, add_validator, lend, remove_validator, validators

__all__ = [
    "BESU_LABEL",
    "Assembled",
    "BesuPart",
    "BesuTerms",
    "Bundle",
    "JoinedPorts",
    "Member",
    "Network",
    "NetworkPart",
    "NetworkTerms",
    "ValidatorSet",
    "ValidatorStatus",
    "add_validator",
    "assemble",
    "attach",
    "besu_files",
    "besu_member_files",
    "build_engine",
    "find_engine",
    "format_part",
    "funded",
    "join",
    "lend",
    "make_besu",
    "make_bundle",
    "new_besu_key",
    "open_bundle",
    "own_part",
    "parse_part",
    "preview",
    "read_ports",
    "remove_validator",
    "validators",
    "write_besu_files",
    "write_unit",
]
