"""Files of evidence that a party keeps of others: what convicts a log stays where its operator cannot reach."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tallystick.proof import Checkpoint

from ._workspace import Workspace, write_small

__all__ = ["evidence_files", "keep_evidence"]


def keep_evidence(workspace: Workspace, head: Checkpoint, evidence: bytes) -> Path:
    """Keep a file of evidence; of one head it is kept once.

    Args:
        workspace: whose.
        head: the head that contradicts what was known.
        evidence: as a ``ForkError`` carries it; `tallystick verify` explains it.
    """
    origin = hashlib.sha256(head.origin.encode()).hexdigest()[:16]
    path = workspace.path / "evidence" / f"fork-{origin}-{head.size}-{head.root[:8].hex()}.json"
    if not path.exists():
        write_small(path, evidence.removesuffix(b"\n") + b"\n")
    return path


def evidence_files(workspace: Workspace) -> list[Path]:
    """The files of evidence that a workspace holds."""
    return sorted((workspace.path / "evidence").glob("fork-*.json"))
