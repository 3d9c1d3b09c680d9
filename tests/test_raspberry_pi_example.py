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
from tests.models import ModelBuilder, small_network

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
    run = classify(model, "--labels", labels, folder)
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
        (["{folder}", "{folder}"], "Is a directory"),
        (["{folder}/notes.txt", "{folder}"], "TFL3"),
        (["{model}", "--labels", "{folder}/cut.png", "{folder}"], "can't decode"),
        (["{model}", "--threads", "0", "{folder}"], "--threads"),
    ],
)
def test_what_is_missing_is_named(
    model: Path, folder: Path, arguments: list[str], said: str
) -> None:
    run = classify(*(each.format(model=model, folder=folder) for each in arguments))
    assert run.returncode != 0
    assert said in run.stderr
    assert "Traceback" not in run.stderr


def test_names_of_another_number_are_noticed(model: Path, folder: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("one\ntwo\n")
    run = classify(model, "--labels", labels, folder, "--frames", "1")
    assert run.returncode == 0, run.stderr
    assert "--labels has 2 lines" in run.stdout
    assert "1.png" not in run.stdout


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A network in float: [1, 4] of [1, 2, 2, 1]."""
    builder, to = ModelBuilder(), np.array([1, 4], np.int32)
    image = builder.input((1, 2, 2, 1), dtype="float32")
    flat = builder.tensor("flat", (1, 4), None, dtype="float32")
    builder.op("RESHAPE", [image, builder.tensor("to", (2,), None, 0, to, "int32")], flat)
    builder.model.operatorCodes[-1].version = 1
    file = tmp_path / "plain.tflite"
    file.write_bytes(builder.build(flat))
    return file


@pytest.mark.parametrize(
    ("pixels", "said"),
    [(None, "give --pixels raw, unit, signed"), ("unit", "both sides are stock")],
)
def test_float_inputs_want_to_know_what_pixels_are(
    plain: Path, folder: Path, pixels: str | None, said: str
) -> None:
    run = classify(plain, folder, *(["--pixels", pixels] if pixels else []))
    assert (run.returncode == 0) == (pixels is not None)
    assert said in run.stdout + run.stderr
    assert "Traceback" not in run.stderr


def test_codes_of_8_bit_inputs_are_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    import classify as example

    class Given:
        def get_input_details(self) -> list[dict[str, object]]:
            detail = {"shape": np.array([1, 1, 3, 1]), "quantization": (1 / 255, -128)}
            return [{**detail, "dtype": np.int8}]

    picture = Image.fromarray(np.array([[0, 100, 255]] * 3, np.uint8))
    for pixels in (None, example.PIXELS["unit"]):
        codes = example.as_input(picture.resize((3, 3)), Given(), pixels)
        assert codes.ravel().tolist() == [-128, -28, 127]
