# SPDX-License-Identifier: Apache-2.0
"""examples/super_resolution.py on pictures made for the test."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from PIL import Image

import oaq_keras
from tests.examples import cells, needs_library, run, said

SCRIPT = "super_resolution.py"


def _pictures(folder: Path) -> None:
    draw = np.random.default_rng(0)
    for split in ("train", "val"):
        (folder / split).mkdir()
        for i in range(3):
            coarse = draw.integers(0, 255, (6, 8, 3), np.uint8)
            Image.fromarray(coarse).resize((40, 36)).save(folder / split / f"{i}.png")


@needs_library
def test_pictures_are_enlarged_and_formats_shown(tmp_path: Path) -> None:
    _pictures(tmp_path)
    (tmp_path / "val" / "0.png").write_text("broken")
    flags = {"data": tmp_path, "output": tmp_path / "out", "height": 32, "width": 40}
    found = run(SCRIPT, "--quick", **flags)
    assert found.returncode == 0, found.stderr[-2000:]
    assert "bicubic: " in found.stdout
    assert "TRANSPOSE_CONV" in found.stdout
    assert "0.png" in found.stderr
    assert "100.0 %" in cells(found, "ours")
    assert oaq_keras.certify(tmp_path / "out-quick" / "ours.tflite").proven
    # Bicubic, the answer, and the truth.
    with Image.open(tmp_path / "out-quick" / "enlarged_0_ours.png") as shown:
        assert shown.size == (3 * 40, 32)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"height": 64}, "40 x 36 pixels; expected 40 x 64 at least"),
        ({"height": 31}, "expected multiples of 2"),
        ({"test": "nowhere"}, "There is no folder"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path: Path, flags: dict, words: str) -> None:
    _pictures(tmp_path)
    given = {"data": tmp_path, "output": tmp_path / "out", "height": 32, "width": 40, **flags}
    found = run(SCRIPT, "--quick", **given)
    assert found.returncode != 0
    assert words in said(found)
    assert "Traceback" not in found.stderr
