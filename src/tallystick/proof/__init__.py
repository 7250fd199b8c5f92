"""Proof: keys, parties, statements, the journal and what can be shown of it to somebody who trusts nobody.

Everything here works from files and bytes: no network, no model library, no chain. The rules stand in the
modules' own docstrings; FORMATS.md says how a stranger writes a second verifier.

Example:
    >>> from tallystick.proof import Party
    >>> Party.create("Clinic North").name
    'Clinic North'
"""

from __future__ import annotations

from tallystick.proof._add_checkpoint import (
    ADD_CHECKPOINT_LIMIT,
    AddCheckpoint,
    format_add_checkpoint,
    format_cosignatures,
    parse_add_checkpoint,
    parse_cosignatures,
)
from tallystick.proof._anchors import (
    ANCHOR_NOTE_LIMIT,
    AnchorClaim,
    AnchorReading,
    ReadAnchor,
    anchor_note_text,
    format_anchor,
    parse_anchor,
    parse_anchor_note_text,
)
from tallystick.proof._authors import sign_as_author, verify_author
from tallystick.proof._bundles import Bundle, format_bundle, parse_bundle, read_bundle, verify_bundle
from tallystick.proof._cards import Card, fingerprint, log_key_at, parse_card, verify_cards
from tallystick.proof._checkpoints import Checkpoint, parse_checkpoint, verify_checkpoint
from tallystick.proof._commitments import (
    commit_bytes,
    commit_fields,
    derive_salt,
    flatten,
    open_fields,
    verify_bytes,
    verify_fields,
)
from tallystick.proof._disposal import Disposed
from tallystick.proof._drafts import ClockBounds
from tallystick.proof._encoding import (
    check_format,
    decode_base64,
    decode_base64url,
    encode_base64,
    encode_base64url,
    format_json,
    parse_json,
)
from tallystick.proof._files import File, Files, OsFiles, read_whole, write_atomically
from tallystick.proof._forks import (
    FORK_FORMAT,
    Fork,
    compare_receipts,
    explain_fork,
    fork_of_checkpoints,
    fork_of_growth,
    fork_of_receipts,
    read_fork,
)
from tallystick.proof._journal import Draft, Entry, Journal
from tallystick.proof._keccak import keccak256
from tallystick.proof._keys import (
    Ed25519Signer,
    PublicRole,
    Randomness,
    Role,
    Secret,
    Signer,
    format_did_key,
    new_secret,
    parse_did_key,
    public_key_of,
)
from tallystick.proof._kinds import STANDARD_KINDS, Kind, Kinds
from tallystick.proof._merkle import leaf_hash, node_hash, root_of, verify_consistency, verify_inclusion
from tallystick.proof._notes import (
    COSIGNATURE,
    ED25519,
    Note,
    NoteKey,
    NoteSignature,
    cosign_note,
    format_note,
    parse_note,
    sign_note,
    verify_note,
)
from tallystick.proof._parties import Clock, Party, system_clock
from tallystick.proof._policies import (
    ASKS,
    AnchorPolicy,
    Endpoint,
    PinnedParty,
    Policy,
    WitnessPolicy,
    format_policy,
    parse_policy,
)
from tallystick.proof._receipts import Receipt, format_receipt, parse_receipt
from tallystick.proof._recovery import Rehashed
from tallystick.proof._statements import PayloadRef, Statement, format_statement, parse_statement
from tallystick.proof._tile_trees import TileTree, parse_entry_bundle
from tallystick.proof._tiles import export_tiles, parse_tile_path, read_tile, tile_path
from tallystick.proof._trace import Hop, HopCheck, HopStanding, Resolve, Traced, trace
from tallystick.proof._typed_data import chain_address, typed_data_digest, verify_typed_data
from tallystick.proof._verification import Line, Report, Standing, journal_id, verify
from tallystick.proof._witnesses import Witness, add_cosignatures

__all__ = [
    "ADD_CHECKPOINT_LIMIT",
    "ANCHOR_NOTE_LIMIT",
    "ASKS",
    "COSIGNATURE",
    "ED25519",
    "FORK_FORMAT",
    "STANDARD_KINDS",
    "AddCheckpoint",
    "AnchorClaim",
    "AnchorPolicy",
    "AnchorReading",
    "Bundle",
    "Card",
    "Checkpoint",
    "Clock",
    "ClockBounds",
    "Disposed",
    "Draft",
    "Ed25519Signer",
    "Endpoint",
    "Entry",
    "File",
    "Files",
    "Fork",
    "Hop",
    "HopCheck",
    "HopStanding",
    "Journal",
    "Kind",
    "Kinds",
    "Line",
    "Note",
    "NoteKey",
    "NoteSignature",
    "OsFiles",
    "Party",
    "PayloadRef",
    "PinnedParty",
    "Policy",
    "PublicRole",
    "Randomness",
    "ReadAnchor",
    "Receipt",
    "Rehashed",
    "Report",
    "Resolve",
    "Role",
    "Secret",
    "Signer",
    "Standing",
    "Statement",
    "TileTree",
    "Traced",
    "Witness",
    "WitnessPolicy",
    "add_cosignatures",
    "anchor_note_text",
    "chain_address",
    "check_format",
    "commit_bytes",
    "commit_fields",
    "compare_receipts",
    "cosign_note",
    "decode_base64",
    "decode_base64url",
    "derive_salt",
    "encode_base64",
    "encode_base64url",
    "explain_fork",
    "export_tiles",
    "fingerprint",
    "flatten",
    "fork_of_checkpoints",
    "fork_of_growth",
    "fork_of_receipts",
    "format_add_checkpoint",
    "format_anchor",
    "format_bundle",
    "format_cosignatures",
    "format_did_key",
    "format_json",
    "format_note",
    "format_policy",
    "format_receipt",
    "format_statement",
    "journal_id",
    "keccak256",
    "leaf_hash",
    "log_key_at",
    "new_secret",
    "node_hash",
    "open_fields",
    "parse_add_checkpoint",
    "parse_anchor",
    "parse_anchor_note_text",
    "parse_bundle",
    "parse_card",
    "parse_checkpoint",
    "parse_cosignatures",
    "parse_did_key",
    "parse_entry_bundle",
    "parse_json",
    "parse_note",
    "parse_policy",
    "parse_receipt",
    "parse_statement",
    "parse_tile_path",
    "public_key_of",
    "read_bundle",
    "read_fork",
    "read_tile",
    "read_whole",
    "root_of",
    "sign_as_author",
    "sign_note",
    "system_clock",
    "tile_path",
    "trace",
    "typed_data_digest",
    "verify",
    "verify_author",
    "verify_bundle",
    "verify_bytes",
    "verify_cards",
    "verify_checkpoint",
    "verify_consistency",
    "verify_fields",
    "verify_inclusion",
    "verify_note",
    "verify_typed_data",
    "write_atomically",
]
