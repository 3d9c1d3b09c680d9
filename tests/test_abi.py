# SPDX-License-Identifier: Apache-2.0
"""tflite/abi.h against official headers, field by field and constant by constant."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.matrix import fetch

ROOT = Path(__file__).resolve().parents[1]
KERNELS = ROOT / "tflite_kernels"


def compiler() -> list[str]:
    for name in (os.environ.get("CC", ""), "cc", "gcc", "clang"):
        if name and shutil.which(name):
            return [name]
    pytest.skip("needs a C compiler")


@pytest.fixture(params=fetch.HEADERS)
def headers(request: pytest.FixtureRequest) -> Path:
    path = fetch.cached_headers(ROOT / "build" / "matrix", request.param)
    if path is None:
        pytest.skip(f"needs the headers of {request.param}: `make matrix` fetches them")
    return path


def build_and_run(headers: Path, folder: Path, own: Path) -> subprocess.CompletedProcess[str]:
    program = folder / "abi_test"
    objects = []
    for source, include in (("abi_test.c", own), ("abi_official.c", headers)):
        objects.append(folder / f"{source}.o")
        command = [*compiler(), "-std=c11", f"-I{include}", "-c", str(KERNELS / "tests" / source)]
        subprocess.run([*command, "-o", str(objects[-1])], check=True)
    subprocess.run([*compiler(), *map(str, objects), "-o", str(program)], check=True)
    return subprocess.run([str(program)], capture_output=True, text=True, check=False)


def test_every_field_is_where_the_official_headers_have_it(headers: Path, tmp_path: Path) -> None:
    run = build_and_run(headers, tmp_path, KERNELS)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        # A pointer's alignment hides four bytes before `dims`, but not behind them.
        (
            "  TfLiteIntArray* dims;\n",
            "  int moved;\n  TfLiteIntArray* dims;\n",
            "TfLiteTensor.dims",
        ),
        ("  bool data_is_stale;\n", "  int data_is_stale;\n", "TfLiteTensor.data_is_stale"),
        ("kTfLiteInt8 = 9", "kTfLiteInt8 = 8", "kTfLiteInt8"),
        ("kTfLiteOptionalTensor = -1", "kTfLiteOptionalTensor = -2", "kTfLiteOptionalTensor"),
    ],
)
def test_a_difference_is_found(
    headers: Path, tmp_path: Path, old: str, new: str, found: str
) -> None:
    text = (KERNELS / "tflite" / "abi.h").read_text()
    changed = text.replace(old, new)
    assert changed != text
    (tmp_path / "tflite").mkdir()
    (tmp_path / "tflite" / "abi.h").write_text(changed)
    run = build_and_run(headers, tmp_path, tmp_path)
    assert run.returncode == 1
    assert found in run.stderr
