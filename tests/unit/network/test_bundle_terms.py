"""Bundles of every size are laid out for terms that members could agree on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tallystick.network import NetworkTerms, make_bundle
from tallystick.network import _bundle as bundles


class Seen(Exception):  # noqa: N818 - it ends the making where the terms are known
    """Carries the terms."""


@pytest.mark.parametrize(("members", "faults"), [(1, 0), (3, 0), (4, 1), (7, 2), (10, 3), (26, 8)])
def test_a_bundle_of_any_size_has_terms_that_fit(
    members: int, faults: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*words: Any, **_: Any) -> None:
        raise Seen(next(word for word in words if isinstance(word, NetworkTerms)))

    monkeypatch.setattr(bundles, "_lay_out", stop)
    with pytest.raises(Seen) as seen:
        make_bundle(tmp_path / "net", members, binary=tmp_path / "engine", ports=21_000)
    terms = seen.value.args[0]
    assert terms.faulty == faults
    assert not list(tmp_path.iterdir())
