# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import tarfile
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

import oaq_keras
from oaq_keras import library

ROOT = Path(__file__).resolve().parents[1]
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="the kernels are built on Linux only")


def _build(hook: str, into: Path, **environment: str) -> Path:
    """Runs a hook of the build backend as pip would, without the network."""
    code = (
        "import sys; sys.path.insert(0, '_build'); import oaq_build; "
        f"print(oaq_build.{hook}(sys.argv[1]))"
    )
    run = subprocess.run(
        [
            *(sys.executable, "_build/oaq_build.py", "run", str(into / "toolchain")),
            *(sys.executable, "-c", code, str(into)),
        ],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return into / run.stdout.splitlines()[-1]


def test_version_is_said_once() -> None:
    assert metadata.version("oaq-keras") == oaq_keras.__version__


@on_linux
def test_library_is_of_this_version() -> None:
    assert library.load().version == oaq_keras.__version__


def test_metadata() -> None:
    found = metadata.metadata("oaq-keras")
    assert found["License-Expression"] == "Apache-2.0"
    assert set(found.get_all("Provides-Extra") or ()) == {
        "train",
        "examples",
        "test",
        "wheels",
        "dev",
    }
    always = [r for r in metadata.requires("oaq-keras") or () if "extra ==" not in r]
    assert not [r for r in always if "tensorflow" in r or "keras" in r]
    (command,) = metadata.entry_points(group="console_scripts", name="oaq")
    assert command.value == "oaq_keras.cli:main"


@pytest.mark.parametrize("module", ["oaq_keras", "oaq_keras.cli", "oaq_keras.doctor"])
def test_import_leaves_tensorflow_alone(module: str) -> None:
    code = (
        f"import sys, {module}; "
        "print([m for m in sys.modules if m.split('.')[0] in ('tensorflow', 'tf_keras', 'keras')])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@on_linux
def test_wheel_serves_every_python(tmp_path: Path) -> None:
    wheel = _build("build_wheel", tmp_path)
    assert wheel.name.startswith(f"oaq_keras-{oaq_keras.__version__}-py3-none-linux_")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extract("oaq_keras/lib/liboaq_tflite.so", tmp_path)
    assert not [n for n in names if not n.startswith(("oaq_keras/", "oaq_keras-"))]
    assert "oaq_keras/py.typed" in names
    # One file, whose name has no version: a wheel would hold copies in place of symbolic links.
    assert [n for n in names if n.startswith("oaq_keras/lib/")] == [
        "oaq_keras/lib/liboaq_tflite.so"
    ]
    functions = ctypes.CDLL(str(tmp_path / "oaq_keras/lib/liboaq_tflite.so"))
    assert functions.tflite_plugin_create_delegate
    assert functions.tflite_plugin_destroy_delegate


def test_wheel_without_kernels_is_pure(tmp_path: Path) -> None:
    wheel = _build("build_wheel", tmp_path, OAQ_BUILD_KERNELS="OFF")
    assert wheel.name == f"oaq_keras-{oaq_keras.__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert "oaq_keras/cli.py" in names
    # The library that make put next to the sources is not for every platform.
    assert not [name for name in names if name.startswith("oaq_keras/lib/")]


def test_sdist_holds_what_a_build_needs(tmp_path: Path) -> None:
    with tarfile.open(_build("build_sdist", tmp_path)) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {
        "_build/oaq_build.py",
        "CMakeLists.txt",
        "LICENSE",
        "oaq_keras/version.py",
        "pyproject.toml",
        "tflite_kernels/CMakeLists.txt",
    } <= names
    assert not [name for name in names if name.startswith((".venv", "build/", "oaq_keras/lib/"))]


@on_linux
def test_requirements_bring_a_compiler_only_where_there_is_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "_build"))
    import oaq_build

    monkeypatch.delenv("CC", raising=False)
    monkeypatch.delenv("OAQ_BUILD_KERNELS", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert oaq_build.missing_tools() == ["ziglang>=0.13", "cmake>=3.18", "ninja>=1.10"]
    monkeypatch.setenv("OAQ_BUILD_KERNELS", "OFF")
    assert not oaq_build.kernels_wanted()
    compiler = tmp_path / "cc"
    compiler.write_text("#!/bin/sh\n")
    compiler.chmod(0o755)
    assert oaq_build.has_compiler()
    assert oaq_build.toolchain(tmp_path / "toolchain") == {}
