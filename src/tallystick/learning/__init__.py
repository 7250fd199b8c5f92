"""Learning where the data lives: sites train, only masked sums travel, every round can be stated.

Plain federated averaging of one logistic model with secure-sum scaling. Adding masked vectors, moving the
parameters and making the model file are integer arithmetic, so they are re-executed with the base install;
training itself needs numpy.
"""

from __future__ import annotations

from tallystick.learning._assessment import assess, bucket
from tallystick.learning._lanes import LaneSite, sum_lanes
from tallystick.learning._rounds import (
    FederatedRun,
    RoundClosed,
    RoundEvent,
    RoundOpened,
    RoundRecord,
    UpdateCommitted,
    advance,
    assemble,
    run_rounds,
    train_alone,
)
from tallystick.learning._scaling import Scaling, scaling_of
from tallystick.learning._sites import Settings, Site
from tallystick.learning._vectors import aggregate, parse_vector

__all__ = [
    "FederatedRun",
    "LaneSite",
    "RoundClosed",
    "RoundEvent",
    "RoundOpened",
    "RoundRecord",
    "Scaling",
    "Settings",
    "Site",
    "UpdateCommitted",
    "advance",
    "aggregate",
    "assemble",
    "assess",
    "bucket",
    "parse_vector",
    "run_rounds",
    "scaling_of",
    "sum_lanes",
    "train_alone",
]
