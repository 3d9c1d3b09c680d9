# SPDX-License-Identifier: Apache-2.0
"""What `make wheels` put into dist/: installed, as pip does it, and run, also on emulated ARM."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import numpy as np
import pip
import pytest
from packaging.requirements import Requirement

import oaq_keras
from tests.arm import emulated, oaq_arm
from tests.models import enlarging_network, small_network, upsampling_network

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"
LIBRARY = "oaq_keras/lib/liboaq_tflite.so"
MACHINES = ("x86_64", "aarch64", "armv7l")
MOST_BYTES = {"wheel": 1_000_000, "library": 300_000}
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="wheels are built on Linux only")
pytestmark = on_linux


def wheel_for(machine: str) -> Path:
    """The wheel for a machine, or for "any"; skips where it is not of these sources."""
    found = sorted(DIST.glob(f"oaq_keras-{oaq_keras.__version__}-py3-none-*{machine}.whl"))
    if not found:
        pytest.skip("needs `make wheels`")
    (wheel,) = found
    with zipfile.ZipFile(wheel) as archive:
        sources = {name for name in archive.namelist() if name.endswith(".py")}
        for name in sources:
            file = ROOT / name
            if not file.is_file() or file.read_bytes() != archive.read(name):
                pytest.skip(f"{wheel.name} has another {name} than the sources: `make wheels`")
    assert "oaq_keras/__init__.py" in sources
    return wheel


@pytest.mark.parametrize("machine", MACHINES)
def test_wheels_are_small_and_want_an_old_glibc(machine: str) -> None:
    wheel = wheel_for(machine)
    assert wheel.stat().st_size <= MOST_BYTES["wheel"]
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        library = archive.read(LIBRARY)
    assert [name for name in names if name.startswith("oaq_keras/lib/")] == [LIBRARY]
    assert len(library) <= MOST_BYTES["library"]
    # Every version that a symbol asks for is a string of the file, as are libraries.
    versions = re.findall(rb"\0GLIBC_(\d+)\.(\d+)", library)
    assert versions
    assert b"\0libatomic" not in library
    assert max((int(major), int(minor)) for major, minor in versions) <= (2, 17)


@pytest.mark.parametrize(
    ("machine", "wanted"),
    [
        ("any", {"numpy", "flatbuffers", "ai-edge-litert"}),
        ("x86_64", {"numpy", "flatbuffers", "ai-edge-litert"}),
        ("aarch64", {"numpy", "flatbuffers", "ai-edge-litert"}),
        ("armv7l", {"numpy", "flatbuffers", "tflite-runtime"}),
    ],
)
# What platform.machine() says, of 32-bit ARM under a 64-bit kernel too.
@pytest.mark.parametrize("kernel", ["same", "aarch64"])
def test_wheels_ask_for_a_runtime_that_there_is(
    machine: str, wanted: set[str], kernel: str
) -> None:
    with zipfile.ZipFile(wheel_for(machine)) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(archive.read(name).decode())
    found = {}
    given = {"platform_machine": machine if kernel == "same" else kernel, "extra": ""}
    for line in metadata.get_all("Requires-Dist") or ():
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate(given):
            assert requirement.name not in found
            found[requirement.name] = requirement
    assert set(found) == wanted
    # tflite-runtime was built for numpy 1.
    assert found["numpy"].specifier.contains("2.1") == (machine != "armv7l")


def test_markers_are_settled_for_one_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "_build"))
    from oaq_wheels import settled

    arm = {"platform_machine": "armv7l"}
    assert settled("a>=1", arm) == "a>=1"
    assert settled("a>=1; platform_machine == 'armv7l'", arm) == "a>=1"
    assert settled("a>=1; platform_machine != 'armv7l'", arm) is None
    assert settled("a>=1; extra == 'train'", arm) == "a>=1; extra == 'train'"


def installed(wheel: Path, into: Path, python: list[str]) -> None:
    """Installs a wheel by this environment's pip in another Python, what it needs being there."""
    # pip's folder, not its module: the other Python has none of its own.
    command = [*python, str(Path(pip.__file__).parent), "install", "--quiet", "--no-index"]
    command += ["--no-deps", "--disable-pip-version-check", "--root-user-action", "ignore"]
    run = subprocess.run(
        [*command, "--target", str(into), str(wheel)], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.fixture
def models(tmp_path: Path, shared_data: Path) -> Path:
    """A folder of models with inputs, for `tests/arm/deployed.py`."""
    folder = tmp_path / "models"
    folder.mkdir()
    contents = {
        "small": small_network(largest=31),
        "enlarging": enlarging_network(),
        "upsampling": upsampling_network(),
        "resnet8": oaq_keras.recertify(
            shared_data / "models" / "mlperftiny_resnet8_cifar10_int8.tflite"
        ),
    }
    rng = np.random.default_rng(1)
    for name, content in contents.items():
        (folder / f"{name}.tflite").write_bytes(content)
        interpreter = oaq_keras.Interpreter(model_content=content)
        given = {
            str(i): rng.integers(-128, 128, detail["shape"]).astype(detail["dtype"])
            for i, detail in enumerate(interpreter.get_input_details())
        }
        np.savez(folder / f"{name}.npz", **given)
    return folder


def answers(folder: Path, python: list[str], plan: str, path: Path | None = None) -> dict[str, int]:
    """Runs the models; answers are left in the folder."""
    environment = dict(os.environ) if path is None else {**os.environ, "PYTHONPATH": str(path)}
    script = str(Path(emulated.__file__).with_name("deployed.py"))
    run = subprocess.run(
        [*python, script, str(folder), plan],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=folder,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    counted: dict[str, int] = json.loads(run.stdout.splitlines()[-1])
    return counted


@pytest.mark.slow
@pytest.mark.parametrize("name", emulated.TARGETS)
def test_an_installed_wheel_answers_as_x86_does(name: str, models: Path, tmp_path: Path) -> None:
    target = emulated.TARGETS[name]
    place = emulated.Place(target)
    if reason := oaq_arm.missing(target):
        pytest.skip(reason)
    if not place.stamp.is_file():
        pytest.skip("needs `make arm-fetch`")
    wheel = wheel_for("armv7l" if name == "armv7" else name)
    site = tmp_path / "site"
    installed(wheel, site, emulated.python(target, target.cpus[0]))
    copies = {}
    for machine in ("here", name):
        copies[machine] = tmp_path / machine
        shutil.copytree(models, copies[machine])
    answers(copies["here"], [sys.executable], "exact")
    python = emulated.python(target, target.cpus[0], more_packages=site)
    counted = answers(copies[name], python, "int16")
    for path in sorted(copies["here"].glob("*.out.npz")):
        with np.load(path) as wanted, np.load(copies[name] / path.name) as found:
            assert set(found) == set(wanted)
            for output in wanted:
                np.testing.assert_array_equal(found[output], wanted[output], path.name)
    assert set(counted) == {
        f"{name}.tflite" for name in ("small", "enlarging", "upsampling", "resnet8")
    }
    assert all(counted.values()), counted


@pytest.mark.slow
def test_a_32_bit_arm_runs_files_and_says_what_it_cannot(models: Path, tmp_path: Path) -> None:
    target = emulated.TARGETS["armv7"]
    if oaq_arm.missing(target) or not emulated.Place(target).stamp.is_file():
        pytest.skip("needs a cross compiler, qemu-user and `make arm-fetch`")
    site = tmp_path / "site"
    installed(wheel_for("armv7l"), site, emulated.python(target, target.cpus[0]))
    python = [*emulated.python(target, target.cpus[0], more_packages=site), "-m", "oaq_keras.cli"]
    model = str(models / "small.tflite")

    def oaq(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*python, *arguments], capture_output=True, text=True, check=False, cwd=tmp_path
        )

    timed = oaq("benchmark", model, "--mode", "oaq", "--runs", "2", "--json")
    assert timed.returncode == 0, timed.stderr
    assert json.loads(timed.stdout)["versions"]["tflite-runtime"] == "2.14.0"
    refused = oaq("inspect", model)
    assert refused.returncode != 0
    assert "on another machine" in refused.stderr
    assert "Traceback" not in refused.stderr
    doctor = oaq("doctor")
    assert doctor.returncode == 0, doctor.stdout
    assert "tflite-runtime" in doctor.stdout


def test_the_python_part_converts_without_the_library(tmp_path: Path) -> None:
    site = tmp_path / "site"
    installed(wheel_for("any"), site, [sys.executable])
    code = (
        # What finds the editable installation finds it before PYTHONPATH is looked at.
        "import sys\n"
        "sys.meta_path = [f for f in sys.meta_path if 'ScikitBuild' not in type(f).__name__]\n"
        "import numpy, oaq_keras, tf_keras\n"
        f"assert oaq_keras.__file__.startswith({str(site)!r}), oaq_keras.__file__\n"
        "layers = [tf_keras.Input((8, 8, 3)), tf_keras.layers.Conv2D(4, 3, activation='relu')]\n"
        "model = oaq_keras.quantize(tf_keras.Sequential(layers))\n"
        "model.compile('adam', 'mse')\n"
        "model.fit(numpy.ones((4, 8, 8, 3)), numpy.ones((4, 6, 6, 4)), verbose=0)\n"
        "print(oaq_keras.certify(oaq_keras.convert(model)))\n"
        "try:\n"
        "    oaq_keras.Interpreter(model_content=oaq_keras.convert(model))\n"
        "except oaq_keras.LibraryError as error:\n"
        "    print('refused:', error)\n"
    )
    environment = {k: v for k, v in os.environ.items() if k != "OAQ_LIBRARY"}
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**environment, "PYTHONPATH": str(site)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert "refused:" in run.stdout
    assert "proven" in run.stdout.partition("refused:")[0]
