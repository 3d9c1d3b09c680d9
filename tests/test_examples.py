# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")
pytest.importorskip("sklearn")

import oaq_keras
from oaq_keras import library

ROOT = Path(__file__).resolve().parents[1]


def _library_is_there() -> bool:
    try:
        library.load()
    except oaq_keras.LibraryError:
        return False
    return True


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "examples/classification.py", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=540,
        check=False,
    )


@pytest.mark.skipif(not _library_is_there(), reason="needs the C library: make test builds it")
def test_classification_example_writes_what_it_promises(tmp_path: Path) -> None:
    run = _run(
        f"--output={tmp_path}", "--float_epochs=4", "--epochs=1", "--latency_runs=3", "--seed=2"
    )
    assert run.returncode == 0, run.stderr[-2000:]
    for line in ("float", "stock int8", "ours", "ours, lambda 0"):
        assert f"| {line} |" in run.stdout
    assert (tmp_path / "headroom.png").read_bytes().startswith(b"\x89PNG")
    certificate = json.loads((tmp_path / "ours.certificate.json").read_text())
    assert all(layer["proven"] for layer in certificate["layers"])
    assert oaq_keras.certify(tmp_path / "ours.tflite").proven
    assert not oaq_keras.certify(tmp_path / "stock_int8.tflite").proven


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
        ({"y_train": np.zeros(3, int)}, "(3,)"),
        ({"y_test": np.full(4, -1)}, "class indices"),
        ({"x_test": np.zeros((4, 9, 9, 1), np.uint8)}, "(9, 9, 1)"),
        ({"x_train": np.full((4, 8, 8, 1), np.nan)}, "finite"),
    ],
)
def test_unusable_data_is_named(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    data = _archive(tmp_path / "data.npz", **arrays)
    run = _run(f"--data={data}", f"--output={tmp_path / 'out'}")
    assert run.returncode != 0
    assert "--data" in run.stderr + run.stdout
    assert message in run.stderr + run.stdout
    assert "Traceback" not in run.stderr
