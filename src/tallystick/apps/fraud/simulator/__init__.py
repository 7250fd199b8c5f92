"""The simulator: payments of several banks, their customers, terminals and robbers. Everything it makes is SIMULATED.

Example:
    >>> simulated = simulate(SimulatorSettings(banks=3, payments=10_000))    # doctest: +SKIP
    >>> simulated.payments(0)[0], simulated.summary()["fraud_rate"]          # doctest: +SKIP
"""

from __future__ import annotations

from ._settings import KINDS_OF_FRAUD, SimulatorSettings
from ._simulate import simulate
from ._simulated import Simulated

__all__ = ["KINDS_OF_FRAUD", "Simulated", "SimulatorSettings", "simulate"]
