"""The models that decide: a champion whose score counts, and a challenger whose score is only stated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Protocol

from tallystick.errors import (
    ConfigurationError,
    ModelFileError,
    NotFoundError,
    RetiredModelError,
    StorageError,
    TallystickError,
)
from tallystick.models import IntegerModel, NumericFeature, parse_model
from tallystick.proof import OsFiles, read_whole

__all__ = ["Detector", "Detectors", "OnMissing"]

OnMissing = Literal["refuse", "rules"]
"""What happens without a champion: the engine does not start, or rules decide alone."""

MAX_MODEL_BYTES: Final = 64 * 1024 * 1024


class Version(Protocol):
    """One version of a model, as a registry knows it."""

    @property
    def hash(self) -> str: ...
    @property
    def published(self) -> str: ...
    @property
    def stage(self) -> str: ...


class Registry(Protocol):
    """Where models come from."""

    def find(self, what: str) -> Any: ...
    def model(self, version: Any) -> Any: ...


@dataclass(frozen=True)
class Detector:
    """One model.

    Args:
        model: two labels, the second being fraud; every column a number.
        published: statement that published it; empty when none did.

    Raises:
        ConfigurationError: it is no such model.
    """

    model: IntegerModel
    published: str = ""

    def __post_init__(self) -> None:
        model = self.model
        if not isinstance(model, IntegerModel) or model.heads != 1:
            raise ConfigurationError("a detector must be an integer model with two labels")
        if not all(isinstance(one, NumericFeature) and one.width == 1 for one in model.quantiser.features):
            raise ConfigurationError("a detector must read numbers without gaps")

    @property
    def hash(self) -> str:
        """SHA-256 of the model's file, hex."""
        return self.model.hash

    def columns(self, names: Sequence[str]) -> list[int]:
        """Return where its columns stand among names.

        Raises:
            ConfigurationError: it reads one that is not there.
        """
        place = {name: at for at, name in enumerate(names)}
        missing = [name for name in self.model.quantiser.names if name not in place]
        if missing:
            raise ConfigurationError(
                f"the model {self.hash[:12]} reads {len(missing)} columns that are not there, "
                f"such as {missing[0][:40]}",
                hint="features and model must be of one kind: train on the features of this version",
            )
        return [place[name] for name in self.model.quantiser.names]


@dataclass(frozen=True)
class Detectors:
    """The champion, and a challenger beside it.

    Args:
        champion: None where rules decide alone.
        challenger: scored and stated beside it; decides nothing.
        missing: why there is no champion, in words; empty when that is meant.
    """

    champion: Detector | None
    challenger: Detector | None = None
    missing: str = ""

    @staticmethod
    def of_registry(
        registry: Registry, champion: str, *, challenger: str = "", on_missing: OnMissing = "refuse"
    ) -> Detectors:
        """Load models that a node's registry knows; their files must be the published ones.

        Args:
            registry: the node's.
            champion: name, name and version, or hash.
            challenger: the same; none when empty.
            on_missing: what happens when the champion's file is missing or another.

        Raises:
            ModelFileError, NotFoundError, RetiredModelError, StorageError: it cannot be loaded, and `on_missing`
                is ``refuse``.
        """

        def load(what: str) -> Detector:
            version = registry.find(what)
            if version.stage not in ("published", "promoted"):
                raise RetiredModelError("a detector must be published or promoted")
            return Detector(registry.model(version), version.published)

        return _load(load, champion, challenger, on_missing)

    @staticmethod
    def of_files(
        champion: Path,
        *,
        model_hash: str = "",
        challenger: Path | None = None,
        on_missing: OnMissing = "refuse",
    ) -> Detectors:
        """Load models from files; decisions then link no publication.

        Args:
            champion: its file.
            model_hash: SHA-256 that the champion's file must have, hex; any when empty.
            challenger: its file, or None.
            on_missing: what happens when the champion's file is missing or another.

        Raises:
            ModelFileError, NotFoundError, StorageError: it cannot be loaded, and `on_missing` is ``refuse``.
        """

        def load(what: str) -> Detector:
            model = parse_model(read_whole(OsFiles(), Path(what), limit=MAX_MODEL_BYTES))
            if model_hash and what == str(champion) and model.hash != model_hash:
                raise ModelFileError(
                    "the model's file is not the one that is named",
                    hint="compare its SHA-256 with the setting",
                )
            return Detector(model)

        return _load(load, str(champion), str(challenger or ""), on_missing)


def _load(load: Any, champion: str, challenger: str, on_missing: OnMissing) -> Detectors:
    if on_missing not in ("refuse", "rules"):
        raise ConfigurationError("on_missing must be refuse or rules")
    beside: Detector | None = None
    if challenger:
        try:
            beside = load(challenger)
        except _UNUSABLE:
            # Nobody's payment depends on it: decisions go on, and the status says that it is not there.
            beside = None
    try:
        return Detectors(load(champion), beside)
    except _UNUSABLE as error:
        if on_missing == "refuse":
            raise
        why = error.message if isinstance(error, TallystickError) else "it cannot be read"
        return Detectors(None, beside, f"rules decide alone: {why}")


_UNUSABLE: Final = (ConfigurationError, ModelFileError, NotFoundError, RetiredModelError, StorageError)
