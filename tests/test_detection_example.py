# SPDX-License-Identifier: Apache-2.0
"""examples/detection.py on pictures and a network made for the test."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow")
pytest.importorskip("pycocotools")

from PIL import Image

import oaq_keras
from oaq_keras import library
from oaq_keras._keras import keras

ROOT = Path(__file__).resolve().parents[1]
SIDE, NAMES = 32, ("square", "disc")


def _library_is_there() -> bool:
    try:
        library.load()
    except oaq_keras.LibraryError:
        return False
    return True


def _network(path: Path) -> None:
    keras.utils.set_random_seed(1)
    heads = 3 * (5 + len(NAMES))
    inputs = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.Conv2D(8, 3, strides=4, padding="same", activation="relu")(inputs)
    x = keras.layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(x)
    coarse = keras.layers.Conv2D(heads, 1, strides=2, name="coarse")(x)
    keras.Model(inputs, [coarse, keras.layers.Conv2D(heads, 1, name="fine")(x)]).save(path)


def _pictures(folder: Path) -> None:
    for inner in ("Annotations", "JPEGImages", "ImageSets"):
        (folder / inner).mkdir(parents=True)
    draw = np.random.default_rng(0)
    for split, stems in (("train", "abcd"), ("val", "efg")):
        (folder / "ImageSets" / f"{split}.txt").write_text("\n".join(stems))
        for stem in stems:
            pixels = draw.integers(0, 255, (48, 64, 3), np.uint8)
            Image.fromarray(pixels).save(folder / "JPEGImages" / f"{stem}.jpg")
            (folder / "Annotations" / f"{stem}.xml").write_text(
                "<annotation><size><width>64</width><height>48</height></size><object><name>disc"
                "</name><bndbox><xmin>8</xmin><ymin>8</ymin><xmax>30</xmax><ymax>40</ymax></bndbox>"
                "</object></annotation>"
            )
    (folder / "names.txt").write_text("\n".join(NAMES))
    (folder / "scored.txt").write_text("disc\n")


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    given = {
        "data": folder,
        "weights": folder / "network.h5",
        "names": folder / "names.txt",
        "scored": folder / "scored.txt",
        "pictures": "JPEGImages",
        "output": folder / "output",
    }
    return subprocess.run(
        [
            *(sys.executable, "examples/detection.py", "--quick"),
            *(f"--{name}={value}" for name, value in given.items()),
            *arguments,
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
    (line,) = (line for line in run.stdout.splitlines() if line.startswith("| detection"))
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[2] == "2"  # of three pictures one is broken
    assert "100.0 %" in cells
    assert cells[-1] == "none"
    certificate = oaq_keras.certify(tmp_path / "output" / "ours.tflite")
    assert certificate.proven
    assert json.loads((tmp_path / "output" / "ours.json").read_text())["epochs"] == 1
    before = (tmp_path / "output" / "ours.tflite").stat().st_mtime_ns
    again = _run(tmp_path)
    assert line in again.stdout
    assert (tmp_path / "output" / "ours.tflite").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("damage", "words"),
    [("Annotations/b.xml", "b.xml"), ("network.h5", "network.h5")],
)
def test_what_is_missing_is_named(tmp_path: Path, damage: str, words: str) -> None:
    _pictures(tmp_path)
    _network(tmp_path / "network.h5")
    (tmp_path / damage).unlink()
    run = _run(tmp_path)
    assert run.returncode != 0
    assert words in run.stderr + run.stdout
    assert "Traceback" not in run.stderr


def test_heads_of_other_classes_are_refused(tmp_path: Path) -> None:
    _pictures(tmp_path)
    _network(tmp_path / "network.h5")
    (tmp_path / "names.txt").write_text("disc\n")
    run = _run(tmp_path)
    assert run.returncode != 0
    assert "the heads of --weights" in " ".join((run.stderr + run.stdout).split())
