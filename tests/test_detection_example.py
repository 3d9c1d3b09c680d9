# SPDX-License-Identifier: Apache-2.0
"""examples/detection.py on pictures and a network made for the test."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow")
pytest.importorskip("pycocotools")

from PIL import Image

import oaq_keras
from oaq_keras._keras import keras
from tests.examples import cells, needs_library, needs_time, run, said

SCRIPT = "detection.py"
SIDE, NAMES = 32, ("square", "disc")


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


def _run(folder: Path, *arguments: str, **flags: object) -> subprocess.CompletedProcess[str]:
    given = {
        "data": folder,
        "weights": folder / "network.h5",
        "names": folder / "names.txt",
        "pictures": "JPEGImages",
        "output": folder / "output",
        **flags,
    }
    return run(SCRIPT, "--quick", *arguments, **given)


@needs_library
def test_both_are_trained_and_scored(tmp_path: Path) -> None:
    _pictures(tmp_path)
    _network(tmp_path / "network.h5")
    (tmp_path / "JPEGImages" / "f.jpg").write_text("broken")
    output = tmp_path / "output-quick"
    found = _run(tmp_path, scored=tmp_path / "scored.txt")
    assert found.returncode == 0, found.stderr[-3000:]
    assert "Left out: The picture" in found.stderr
    assert "ours: 2 examples" in found.stdout  # of three pictures one is broken
    assert cells(found, "stock int8")
    ours = cells(found, "ours")
    assert ours[4] == "100.0 %"
    assert oaq_keras.certify(output / "ours.tflite").proven
    assert json.loads((output / "ours.json").read_text())["made_with"]["epochs"] == 1
    assert (output / "detection_1_ours.jpg").stat().st_size < 100_000
    before = (output / "ours.tflite").stat().st_mtime_ns
    again = _run(tmp_path, scored=tmp_path / "scored.txt")
    assert cells(again, "ours")[:-1] == ours[:-1]  # all but the latency
    assert (output / "ours.tflite").stat().st_mtime_ns == before


@needs_library
@needs_time
def test_ssdlite_is_trained_from_its_backbone(tmp_path: Path) -> None:
    _pictures(tmp_path)
    xml = tmp_path / "Annotations" / "b.xml"
    xml.write_text(xml.read_text().replace("<xmax>30", "<xmax>8"))
    backbone = tmp_path / "backbone.h5"
    shape = (96, 96, 3)
    keras.applications.MobileNetV2(shape, include_top=False, weights=None).save_weights(backbone)
    found = _run(tmp_path, network="ssdlite", weights=backbone, side=96, batch=2)
    assert found.returncode == 0, found.stderr[-3000:]
    assert "b.xml" in found.stderr  # a box without an area
    ours = cells(found, "ours")
    assert ours[4] == "100.0 %"
    assert "COCO's mAP" in found.stdout
    (line,) = (line for line in found.stdout.splitlines() if "ours_post_process.tflite" in line)
    assert "100.0 % the same boxes" in line
    certificate = oaq_keras.certify(tmp_path / "output-quick" / "ours_post_process.tflite")
    assert certificate.proven


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"scored": "scored.txt"}, "--scored is for"),
        ({"side": 100}, "a multiple of 32"),
        ({"weights": "nowhere.npz"}, "nowhere.npz"),
        ({"data": "boxes.json"}, "--data boxes.json is no folder"),
    ],
)
def test_what_ssdlite_cannot_use_is_refused(
    tmp_path: Path, flags: dict[str, object], words: str
) -> None:
    _pictures(tmp_path)
    _network(tmp_path / "network.h5")
    found = _run(tmp_path, network="ssdlite", **flags)
    assert found.returncode != 0
    assert words in said(found)
    assert "Traceback" not in found.stderr


@pytest.mark.parametrize(
    ("damage", "words"),
    [("Annotations/b.xml", "b.xml"), ("network.h5", "network.h5")],
)
def test_what_is_missing_is_named(tmp_path: Path, damage: str, words: str) -> None:
    _pictures(tmp_path)
    _network(tmp_path / "network.h5")
    (tmp_path / damage).unlink()
    found = _run(tmp_path)
    assert found.returncode != 0
    assert words in said(found)
    assert "Traceback" not in found.stderr


def test_heads_of_other_classes_are_refused(tmp_path: Path) -> None:
    _pictures(tmp_path)
    _network(tmp_path / "network.h5")
    (tmp_path / "names.txt").write_text("disc\n")
    found = _run(tmp_path)
    assert found.returncode != 0
    assert "the heads of --weights" in said(found)
