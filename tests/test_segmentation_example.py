# SPDX-License-Identifier: Apache-2.0
"""examples/segmentation.py on pictures and a network made for the test."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from PIL import Image

import oaq_keras
from oaq_keras import library
from oaq_keras._keras import keras

ROOT = Path(__file__).resolve().parents[1]
SIDE, CLASSES, VOID = 33, 3, 255


def _library_is_there() -> bool:
    try:
        library.load()
    except oaq_keras.LibraryError:
        return False
    return True


def _network(path: Path) -> None:
    keras.utils.set_random_seed(1)
    inputs = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.Conv2D(8, 3, strides=4, padding="same", activation="relu")(inputs)
    keras.Model(inputs, keras.layers.Conv2D(CLASSES, 1, name="logits")(x)).save(path)


def _pictures(folder: Path) -> None:
    for inner in ("SegmentationClass", "JPEGImages", "ImageSets/Segmentation"):
        (folder / inner).mkdir(parents=True)
    draw = np.random.default_rng(0)
    for split, stems in (("train", "abcd"), ("val", "efg")):
        (folder / "ImageSets" / "Segmentation" / f"{split}.txt").write_text("\n".join(stems))
        for stem in stems:
            pixels = draw.integers(0, 255, (24, 48, 3), np.uint8)
            Image.fromarray(pixels).save(folder / "JPEGImages" / f"{stem}.jpg")
            mask = draw.choice([0, 1, 2, VOID], (24, 48)).astype(np.uint8)
            Image.fromarray(mask).save(folder / "SegmentationClass" / f"{stem}.png")


def _run(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *(sys.executable, "examples/segmentation.py", "--quick", f"--data={folder}"),
            *(f"--weights={folder / 'network.h5'}", f"--output={folder / 'output'}"),
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.skipif(not _library_is_there(), reason="needs the C library: make test builds it")
def test_both_are_trained_and_scored(tmp_path: Path) -> None:
    _pictures(tmp_path)
    _network(tmp_path / "network.h5")
    (tmp_path / "JPEGImages" / "f.jpg").write_text("broken")
    run = _run(tmp_path)
    assert run.returncode == 0, run.stderr[-3000:]
    assert "Left out: The picture" in run.stderr
    (line,) = (line for line in run.stdout.splitlines() if line.startswith("| segmentation"))
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[2] == "2"  # of three pictures one is broken
    assert cells[-1] == "none"
    assert oaq_keras.certify(tmp_path / "output" / "ours.tflite").proven
    # Of a picture twice as wide as high: the mask and the answer side by side.
    with Image.open(tmp_path / "output" / "overlay_0_ours.png") as overlay:
        assert overlay.size == (2 * SIDE, round(SIDE / 2))


def test_classes_out_of_range_are_named(tmp_path: Path) -> None:
    _pictures(tmp_path)
    _network(tmp_path / "network.h5")
    Image.fromarray(np.full((24, 48), CLASSES, np.uint8)).save(
        tmp_path / "SegmentationClass" / "e.png"
    )
    run = _run(tmp_path)
    assert run.returncode != 0
    assert "e.png holds the class 3; expected 0 to 2, or 255" in " ".join(
        (run.stderr + run.stdout).split()
    )
    assert "Traceback" not in run.stderr
