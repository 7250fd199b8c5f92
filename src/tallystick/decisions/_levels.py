"""Assurance levels: what an answer rests on, what may honestly be said of it, and who has to see what for it.

A higher number is not simply better: what more eyes check, more eyes see. So an ask that shows the input or the
weights to anybody beside the asked node has to name them first.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from tallystick.errors import DisclosureError, ModelInputError

__all__ = ["LEVELS", "Audience", "Level", "before_revealing", "find_level"]

OWN_NODE = "node"
_WORDS = {
    "chain": "everybody who reads the chain",
    "node": "the node that answers",
    "prover": "the prover",
    "scorer": "somebody else's program that scores",
    "signers": "all nodes that sign",
    "watchers": "the named watchers",
}


@dataclass(frozen=True, slots=True)
class Audience:
    """Who sees what; the names are ``chain``, ``node``, ``prover``, ``scorer``, ``signers``, ``watchers``.

    Args:
        input: who sees the input.
        weights: who sees the model's parameters.
    """

    input: tuple[str, ...]
    weights: tuple[str, ...]

    @property
    def text(self) -> str:
        """The same in a sentence."""
        return f"the input is seen by {_listed(self.input)}; the model's weights by {_listed(self.weights)}"

    @property
    def others(self) -> tuple[str, ...]:
        """Who sees something beside the node that is asked, sorted."""
        return tuple(sorted({*self.input, *self.weights} - {OWN_NODE}))


@dataclass(frozen=True, slots=True)
class Level:
    """One assurance level.

    Args:
        name: ``L0`` to ``L4``.
        title: one word.
        evidence: what there is to show.
        claim: what may honestly be said of an answer, and no more.
        who_sees: the price.
    """

    name: str
    title: str
    evidence: str
    claim: str
    who_sees: Audience


_ALL = (
    Level(
        "L0",
        "signed",
        "one node's signature",
        "this node said so",
        Audience(("node",), ("node",)),
    ),
    Level(
        "L1",
        "quorum",
        "k of n signatures over model, input commitment and output, each committed to before any was shown",
        "k of n nodes answered alike, without seeing each other's answer",
        Audience(("signers",), ("signers",)),
    ),
    Level(
        "L2",
        "optimistic",
        "a quorum, the signers' bonds, and a window in which re-execution on chain overturns a wrong answer",
        "any one honest watcher could overturn it in its window",
        # The chain sees the input when somebody challenges; nobody can promise that nobody will.
        Audience(("signers", "watchers", "chain"), ("chain",)),
    ),
    Level(
        "L3",
        "zero-knowledge",
        "a proof over a hashed input",
        "computed by this model on the committed input",
        Audience(("prover",), ("prover",)),
    ),
    Level(
        "L4",
        "executed",
        "the contract evaluated the model",
        "no oracle at all: the chain computed it",
        Audience(("chain",), ("chain",)),
    ),
)
LEVELS: Mapping[str, Level] = MappingProxyType({level.name: level for level in _ALL})


EXTERNAL_AUDIENCE = Audience(("node", "scorer"), ("scorer",))
"""Who sees what where a model is somebody else's program, which gets the row itself."""


def find_level(name: str) -> Level:
    """Return a level by its name.

    Raises:
        ModelInputError: there is no such level.
    """
    level = LEVELS.get(name)
    if level is None:
        raise ModelInputError(f"a level must be one of {', '.join(LEVELS)}, got {name[:20]!r}")
    return level


def before_revealing(level: str, reveal: Collection[str] = (), *, external: bool = False) -> Level:
    """Check that whoever asks has said who may see what the level shows, before anything is shown.

    Args:
        level: ``L0`` to ``L4``.
        reveal: who may see the input or the weights; L0 shows them to nobody new.
        external: whether the model is somebody else's program, which gets the row.

    Returns:
        The level.

    Raises:
        DisclosureError: somebody would see it whom the caller did not name; the message says who and what.
        ModelInputError: no such level, or a name that is nobody's.
    """
    found = find_level(level)
    if external:
        found = replace(found, who_sees=EXTERNAL_AUDIENCE)
    strange = sorted(set(reveal) - set(_WORDS))
    if strange:
        raise ModelInputError(f"reveal must name some of {', '.join(_WORDS)}, got {strange[0][:20]!r}")
    missing = set(found.who_sees.others) - set(reveal)
    if missing:
        raise DisclosureError(
            f"at level {found.name} {found.who_sees.text}",
            hint=f"when that is meant, say so: reveal={found.who_sees.others!r}",
        )
    return found


def _listed(names: Collection[str]) -> str:
    words = [_WORDS[name] for name in names]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
