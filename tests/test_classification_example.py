# SPDX-License-Identifier: Apache-2.0
"""examples/classification.py, the demo, on digits, arrays and folders of pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")
pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")

from PIL import Image

import oaq_keras
from oaq_keras._keras import keras
from tests.examples import cells, needs_library, run, said

SCRIPT = "classification.py"


@needs_library
def test_it_writes_what_it_promises_and_does_nothing_twice(tmp_path: Path) -> None:
    flags = {"output": tmp_path, "float_epochs": 4, "epochs": 1, "seed": 2}
    found = run(SCRIPT, "--ablation", **flags)
    assert found.returncode == 0, found.stderr[-2000:]
    for method in ("float", "stock int8", "ours", "ours, lambda 0"):
        assert cells(found, method)
    assert (tmp_path / "headroom.png").read_bytes().startswith(b"\x89PNG")
    certificate = json.loads((tmp_path / "ours.certificate.json").read_text())
    assert all(layer["proven"] for layer in certificate["layers"])
    assert oaq_keras.certify(tmp_path / "ours.tflite").proven
    assert not oaq_keras.certify(tmp_path / "stock.tflite").proven

    made = {each.name: each.stat().st_mtime_ns for each in tmp_path.glob("*.tflite")}
    again = run(SCRIPT, "--ablation", **flags)
    assert cells(again, "ours") == cells(found, "ours")
    assert {each.name: each.stat().st_mtime_ns for each in tmp_path.glob("*.tflite")} == made


def _archive(path: Path, **arrays: Any) -> str:
    x, y = np.zeros((4, 8, 8, 1), np.uint8), np.zeros(4, np.int64)
    given = {"x_train": x, "y_train": y, "x_test": x, "y_test": y, **arrays}
    np.savez(path, **{name: array for name, array in given.items() if array is not None})
    return str(path)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x_test": None}, "x_test"),
        ({"x_train": np.zeros((4, 8, 8), np.uint8)}, "(4, 8, 8)"),
    ],
)
def test_unusable_data_is_named(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    data = _archive(tmp_path / "data.npz", **arrays)
    found = run(SCRIPT, data=data, output=tmp_path / "out")
    assert found.returncode != 0
    assert data in said(found)
    assert message in said(found)
    assert "Traceback" not in found.stderr


def _folders(folder: Path) -> None:
    draw = np.random.default_rng(0)
    for split in ("train", "val"):
        for name in ("cat", "dog"):
            (folder / split / name).mkdir(parents=True)
            for i in range(3):
                pixels = draw.integers(0, 255, (12, 9, 3), np.uint8)
                Image.fromarray(pixels).save(folder / split / name / f"{i}.png")


def _network(path: Path, classes: int) -> None:
    keras.utils.set_random_seed(1)
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(8, 3, strides=4, padding="same", activation="relu")(inputs)
    x = keras.layers.GlobalAveragePooling2D()(x)
    keras.Model(inputs, keras.layers.Dense(classes, activation="softmax")(x)).save(path)


@needs_library
def test_folders_of_pictures_and_a_given_network(tmp_path: Path) -> None:
    _folders(tmp_path)
    _network(tmp_path / "network.h5", 2)
    (tmp_path / "train" / "dog" / "1.png").write_text("broken")
    found = run(
        SCRIPT,
        "--quick",
        "--distill",
        data=tmp_path,
        model=tmp_path / "network.h5",
        pixels="signed",
        output=tmp_path / "out",
    )
    assert found.returncode == 0, found.stderr[-2000:]
    assert "1.png" in said(found)
    assert "100.0 %" in cells(found, "ours")


@needs_library
def test_a_network_of_too_few_classes_is_refused(tmp_path: Path) -> None:
    _folders(tmp_path)
    _network(tmp_path / "network.h5", 1)
    found = run(SCRIPT, data=tmp_path, model=tmp_path / "network.h5", output=tmp_path / "out")
    assert found.returncode != 0
    assert "has 1 classes, the data has the label 1" in said(found)
    assert "Traceback" not in found.stderr
