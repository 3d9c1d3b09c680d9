# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import oaq_keras
from tests.models import small_network

SCRIPT = Path(__file__).resolve().parents[1] / "examples" / "raspberry_pi" / "classify.py"
# What it takes of picamera2: three frames, red ones, then Ctrl-C.
_CAMERA = """\
import numpy
class Picamera2:
    def __enter__(self): self.left = 3; return self
    def __exit__(self, *_): pass
    def create_preview_configuration(self, main): return main
    def configure(self, main): assert main["format"] == "BGR888"; self.size = main["size"]
    def start(self): pass
    def capture_array(self):
        if not self.left: raise KeyboardInterrupt
        self.left -= 1
        return numpy.full((self.size[1], self.size[0], 3), (255, 0, 0), numpy.uint8)
"""


def classify(*arguments: str | Path, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(path)} if path else None
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@pytest.fixture(params=["custom", "builtin"])
def model(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    content = small_network(largest=31)
    change = oaq_keras.to_custom_ops if request.param == "custom" else oaq_keras.to_builtin_ops
    file = tmp_path / "model.tflite"
    file.write_bytes(change(content))
    return file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two pictures, one no picture, one cut short."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(1)
    for i, size in enumerate(((40, 30), (8, 8))):
        pixels = rng.integers(0, 256, (*size, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    (folder / "notes.txt").write_text("none")
    (folder / "cut.png").write_bytes((folder / "0.png").read_bytes()[:200])
    return folder


def test_pictures_are_classified_by_both(model: Path, folder: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("".join(f"kind {i}\n" for i in range(10)))
    run = classify(model, folder, "--labels", labels)
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    assert [line.split()[0] for line in lines[:2]] == ["0.png", "1.png"]
    assert all("kind " in line and "stock" in line and "ours" in line for line in lines[:2])
    assert lines[-1].startswith("median of 2 frames, 1 threads: stock")
    assert "notes.txt is left out" in run.stderr
    assert "cut.png is left out" in run.stderr


def test_a_camera_runs_until_it_is_stopped(model: Path, tmp_path: Path) -> None:
    (tmp_path / "picamera2.py").write_text(_CAMERA)
    run = classify(model, "--camera", path=tmp_path)
    assert run.returncode == 0, run.stderr
    assert "frame 3" in run.stdout
    assert "median of 3 frames" in run.stdout
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{model}"], "give pictures, or --camera"),
        (["{model}", "none.jpg"], "there is no none.jpg"),
        (["{model}", "--camera", "--labels", "none.txt"], "there is no none.txt"),
        (["{model}", "--camera"], "picamera2"),
        (["{model}", "{folder}/notes.txt"], "No picture could be classified"),
    ],
)
def test_what_is_missing_is_named(
    model: Path, folder: Path, arguments: list[str], said: str
) -> None:
    run = classify(*(each.format(model=model, folder=folder) for each in arguments))
    assert run.returncode != 0
    assert said in run.stderr
    assert "Traceback" not in run.stderr
