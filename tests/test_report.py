# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sys
from pathlib import Path

import pytest

from oaq_keras.certificate import Certificate
from oaq_keras.certification import certify
from oaq_keras.errors import UnsupportedError
from oaq_keras.report import plot_headroom
from tests.models import small_network

pytest.importorskip("matplotlib")


@pytest.mark.parametrize("largest", [3, 31, 127])
def test_a_picture_is_written(largest: int, tmp_path: Path) -> None:
    path = tmp_path / "headroom.png"
    plot_headroom(certify(small_network(largest)), path)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_an_empty_certificate_has_no_picture(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="no layers"):
        plot_headroom(Certificate(16, 4, 16, ("c8",), ()), tmp_path / "x.png")


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(UnsupportedError, match="pip install matplotlib"):
        plot_headroom(certify(small_network()), tmp_path / "x.png")
