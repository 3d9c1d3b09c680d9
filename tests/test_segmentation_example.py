# SPDX-License-Identifier: Apache-2.0
"""examples/segmentation.py on pictures and a network made for the test."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from PIL import Image

import oaq_keras
from oaq_keras._keras import keras
from oaq_keras.flatbuffer import read_model
from oaq_keras.float_operators import float_operators
from tests.examples import cells, needs_library, needs_time, run, said

SCRIPT = "segmentation.py"
SIDE, CLASSES, VOID = 33, 3, 255


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


def _run(folder: Path, **flags: object) -> subprocess.CompletedProcess[str]:
    given = {"data": folder, "weights": folder / "network.h5", "output": folder / "output"}
    return run(SCRIPT, "--quick", **{**given, **flags})


@needs_library
def test_a_given_network_is_trained_and_scored(tmp_path: Path) -> None:
    _pictures(tmp_path)
    _network(tmp_path / "network.h5")
    (tmp_path / "JPEGImages" / "f.jpg").write_text("broken")
    found = _run(tmp_path)
    assert found.returncode == 0, found.stderr[-3000:]
    assert "Left out: The picture" in found.stderr
    assert "2 examples" in found.stdout  # of three pictures one is broken
    assert "100.0 %" in cells(found, "ours")
    assert oaq_keras.certify(tmp_path / "output-quick" / "ours.tflite").proven
    # Of a picture twice as wide as high: the mask and the answer side by side.
    with Image.open(tmp_path / "output-quick" / "overlay_0_ours.png") as overlay:
        assert overlay.size == (2 * SIDE, round(SIDE / 2))


@needs_library
@needs_time
def test_a_network_is_trained_on_folders_of_a_split_each(tmp_path: Path) -> None:
    _pictures(tmp_path)
    for split, stems in (("train", "abcd"), ("val", "efg")):
        (tmp_path / split).mkdir()
        (tmp_path / f"{split}annot").mkdir()
        for stem in stems:
            (tmp_path / "JPEGImages" / f"{stem}.jpg").rename(tmp_path / split / f"{stem}.jpg")
            (tmp_path / "SegmentationClass" / f"{stem}.png").rename(
                tmp_path / f"{split}annot" / f"{stem}.png"
            )
    shutil.rmtree(tmp_path / "ImageSets")
    arguments = ("--network=mobilenet_v2", "--classes=3", "--pictures={split}")
    found = run(
        SCRIPT,
        *("--quick", *arguments, "--masks={split}annot", "--height=32", "--width=64"),
        data=tmp_path,
        output=tmp_path / "output",
    )
    assert found.returncode == 0, found.stderr[-3000:]
    assert "3 examples" in found.stdout
    assert "100.0 %" in cells(found, "ours")
    content = (tmp_path / "output-quick" / "ours.tflite").read_bytes()
    assert not list(float_operators(read_model(content)))


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"network": "mobilenet_v2"}, "needs --classes"),
        ({"network": "mobilenet_v2", "classes": 3, "height": 40}, "expected multiples of 16"),
        ({"test": "nowhere"}, "has no list ImageSets/Segmentation/nowhere.txt"),
        ({"weights": "nowhere.h5"}, "nowhere.h5"),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, flags: dict, words: str) -> None:
    _pictures(tmp_path)
    _network(tmp_path / "network.h5")
    found = _run(tmp_path, **flags)
    assert found.returncode != 0
    assert words in said(found)
    assert "Traceback" not in found.stderr


def test_classes_out_of_range_are_named(tmp_path: Path) -> None:
    _pictures(tmp_path)
    _network(tmp_path / "network.h5")
    Image.fromarray(np.full((24, 48), CLASSES, np.uint8)).save(
        tmp_path / "SegmentationClass" / "e.png"
    )
    found = _run(tmp_path)
    assert found.returncode != 0
    assert "e.png holds the class 3; expected 0 to 2, or 255" in said(found)
    assert "Traceback" not in found.stderr
