"""Every error that Tallystick raises, in families by whose fault it is.

    TallystickError
    ├─ InputError               the caller gave something that cannot be used
    │  ├─ AccessDeniedError     a permit, a control or a rule of oversight says no
    │  ├─ ConfigurationError    a setting, a workspace or a profile does not fit
    │  ├─ ConflictError         the same id was used before, for something else
    │  ├─ DataError             a table or a file cannot be used for learning
    │  ├─ DeadlineError         the time for it is over
    │  ├─ DisclosureError       a field that is not there, or a payload that is not kept
    │  ├─ KeyFileError          wrong passphrase, damaged or badly protected key file
    │  ├─ LegalHoldError        a legal hold keeps it from being disposed of or erased
    │  ├─ ModelInputError       an input that the model cannot score
    │  ├─ NotFoundError         no such statement, party or file
    │  │  └─ DisposedError      it was disposed of when its retention was over
    │  ├─ PaymentError          a payment message that cannot be used
    │  ├─ PolicyError           a verifier's policy that is malformed or can never be met
    │  ├─ RateLimitError        more asks than are allowed in this time
    │  ├─ RetiredModelError     a model that is no longer in use
    │  └─ StatementError        a statement outside the profile, its kind's schema or its bounds
    ├─ EvidenceError            what another party handed over does not hold
    │  ├─ CardError             a card, or a chain of cards, that does not verify
    │  ├─ EncodingError         bytes that are not what the format makes
    │  ├─ ForkError             one log, two histories
    │  ├─ ModelFileError        a model file that is damaged or is not the one registered
    │  ├─ NoteError             a signed note or checkpoint that does not verify
    │  ├─ ProofError            a Merkle proof that does not hold
    │  ├─ ReceiptError          a receipt or bundle that is malformed
    │  ├─ ScorerError           somebody else's scorer answered something that does not fit
    │  ├─ UnknownFormatError    a version that this program does not know
    │  ├─ VerificationError     a receipt says something that is false
    │  └─ WitnessConflictError  a witness remembers another size
    ├─ SurroundingsError        disk, network, chain or machine
    │  ├─ ChainError            the chain answered with an error
    │  │  ├─ ChainDisagreementError endpoints of several members say different things
    │  │  ├─ ChainMismatchError not the chain that the profile names
    │  │  ├─ FundsError         the account cannot pay
    │  │  ├─ NonceError         the account's nonces do not fit
    │  │  └─ RevertError        the contract refused
    │  ├─ ChainUnreachableError no endpoint answered
    │  ├─ ClockError            the clock stands before what is already written
    │  ├─ LockedError           another process writes here
    │  ├─ MissingExtraError     a part that is not installed
    │  ├─ NodeUnreachableError  another member's node gave no answer
    │  ├─ OverloadedError       more is waiting than can be answered in time
    │  ├─ QuorumError           too few other members have signed; it waits
    │  ├─ ScorerUnreachableError somebody else's scorer gave no answer
    │  └─ StorageError          reading or writing failed; nothing more is written
    │     ├─ DamagedError       what stands on the disk is not what was written
    │     └─ RollbackError      the store stands below a head that somebody remembers
    └─ DefectError              ours: please report it

Each class has a stable ``code`` for programs, a ``hint`` (what a person can do now) and ``retryable``.
Messages carry no personal data, keys or payloads.
"""

from __future__ import annotations

__all__ = [
    "AccessDeniedError",
    "CardError",
    "ChainDisagreementError",
    "ChainError",
    "ChainMismatchError",
    "ChainUnreachableError",
    "ClockError",
    "ConfigurationError",
    "ConflictError",
    "DamagedError",
    "DataError",
    "DeadlineError",
    "DefectError",
    "DisclosureError",
    "DisposedError",
    "EncodingError",
    "EvidenceError",
    "ForkError",
    "FundsError",
    "InputError",
    "KeyFileError",
    "LegalHoldError",
    "LockedError",
    "MissingExtraError",
    "ModelFileError",
    "ModelInputError",
    "NodeUnreachableError",
    "NonceError",
    "NotFoundError",
    "NoteError",
    "OverloadedError",
    "PaymentError",
    "PolicyError",
    "ProofError",
    "QuorumError",
    "RateLimitError",
    "ReceiptError",
    "RetiredModelError",
    "RevertError",
    "RollbackError",
    "ScorerError",
    "ScorerUnreachableError",
    "StatementError",
    "StorageError",
    "SurroundingsError",
    "TallystickError",
    "UnknownFormatError",
    "VerificationError",
    "WitnessConflictError",
]


class TallystickError(Exception):
    """Root of the tree.

    Args:
        message: lower case, what was expected, then what was got.
        hint: what a person can do now; a class's own hint when empty.
    """

    code = "tallystick"
    hint = ""
    retryable = False

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        if hint:
            self.hint = hint


class InputError(TallystickError):
    code = "input"


class AccessDeniedError(InputError):
    code = "input.access-denied"


class ConfigurationError(InputError):
    code = "input.configuration"


class ConflictError(InputError):
    code = "input.conflict"


class DataError(InputError):
    code = "input.data"


class DeadlineError(InputError):
    code = "input.deadline"


class DisclosureError(InputError):
    code = "input.disclosure"


class KeyFileError(InputError):
    code = "input.key-file"


class LegalHoldError(InputError):
    code = "input.legal-hold"


class ModelInputError(InputError):
    code = "input.model"


class NotFoundError(InputError):
    code = "input.not-found"


class DisposedError(NotFoundError):
    code = "input.disposed"


class PaymentError(InputError):
    code = "input.payment"


class PolicyError(InputError):
    code = "input.policy"


class RateLimitError(InputError):
    code = "input.rate-limit"
    retryable = True


class RetiredModelError(InputError):
    code = "input.retired-model"


class StatementError(InputError):
    code = "input.statement"


class EvidenceError(TallystickError):
    code = "evidence"


class CardError(EvidenceError):
    code = "evidence.card"


class EncodingError(EvidenceError):
    code = "evidence.encoding"


class ForkError(EvidenceError):
    """One log, two histories; ``evidence`` is a file that proves it to anybody, empty when there is none."""

    code = "evidence.fork"
    hint = "keep both files: together they are evidence against the log's operator"

    def __init__(self, message: str, *, hint: str = "", evidence: bytes = b"") -> None:
        super().__init__(message, hint=hint)
        self.evidence = evidence


class ModelFileError(EvidenceError):
    code = "evidence.model-file"


class NoteError(EvidenceError):
    code = "evidence.note"


class ProofError(EvidenceError):
    code = "evidence.proof"


class ReceiptError(EvidenceError):
    code = "evidence.receipt"


class ScorerError(EvidenceError):
    code = "evidence.scorer"


class UnknownFormatError(EvidenceError):
    code = "evidence.unknown-format"
    hint = "a later Tallystick wrote this: upgrade with `pip install -U tallystick`"


class VerificationError(EvidenceError):
    """Something is false, or is not proved although the policy asks it.

    ``report`` holds the lines that were found, when the receipt is intact and only the policy is not met.
    """

    code = "evidence.false"

    def __init__(self, message: str, *, hint: str = "", report: object = None) -> None:
        super().__init__(message, hint=hint)
        self.report = report


class WitnessConflictError(EvidenceError):
    """A witness remembers another size of this journal; ``size`` says which."""

    code = "evidence.witness-conflict"
    hint = "ask the witness for its size and send a consistency proof from there"
    retryable = True

    def __init__(self, message: str, *, hint: str = "", size: int) -> None:
        super().__init__(message, hint=hint)
        self.size = size


class SurroundingsError(TallystickError):
    code = "surroundings"


class ChainError(SurroundingsError):
    code = "surroundings.chain"


class ChainDisagreementError(ChainError):
    """Endpoints of too few members say the same; nothing of it may count."""

    code = "surroundings.chain-disagreement"
    retryable = True


class ChainMismatchError(ChainError):
    code = "surroundings.chain-mismatch"


class FundsError(ChainError):
    code = "surroundings.funds"


class NonceError(ChainError):
    code = "surroundings.nonce"
    retryable = True


class RevertError(ChainError):
    """The contract refused; ``reason`` is its revert string, ``data`` the raw revert bytes."""

    code = "surroundings.revert"

    def __init__(self, message: str, *, hint: str = "", reason: str = "", data: bytes = b"") -> None:
        super().__init__(message, hint=hint)
        self.reason = reason
        self.data = data


class ChainUnreachableError(SurroundingsError):
    code = "surroundings.chain-unreachable"
    retryable = True


class ClockError(SurroundingsError):
    code = "surroundings.clock"
    hint = "set the machine's clock (is time synchronisation on?), then try again"


class LockedError(SurroundingsError):
    code = "surroundings.locked"
    retryable = True


class MissingExtraError(SurroundingsError):
    code = "surroundings.missing-extra"


class NodeUnreachableError(SurroundingsError):
    code = "surroundings.node-unreachable"
    retryable = True


class OverloadedError(SurroundingsError):
    code = "surroundings.overloaded"
    retryable = True


class QuorumError(SurroundingsError):
    """Too few other members have signed what may not go on without them; it waits, nothing is lost."""

    code = "surroundings.quorum"
    retryable = True


class ScorerUnreachableError(SurroundingsError):
    code = "surroundings.scorer-unreachable"
    retryable = True


class StorageError(SurroundingsError):
    code = "surroundings.storage"


class DamagedError(StorageError):
    code = "surroundings.damaged"


class RollbackError(StorageError):
    code = "surroundings.rollback"


class DefectError(TallystickError):
    code = "defect"
    hint = "this is a defect of Tallystick: please report it with the output of --verbose"
