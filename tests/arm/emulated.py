# SPDX-License-Identifier: Apache-2.0
"""How to run programs for ARM here."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.arm import oaq_arm

TARGETS = {target.name: target for target in oaq_arm.TARGETS}


@dataclass(frozen=True)
class Place:
    """Where a target's Python was unpacked."""

    target: oaq_arm.Target

    @property
    def folder(self) -> Path:
        """All of it."""
        return oaq_arm.FETCHED / self.target.name

    @property
    def root(self) -> Path:
        """What emulated programs see as /, before this machine's own files."""
        return self.folder / "root"

    @property
    def site(self) -> Path:
        """Packages that pip brought."""
        return self.folder / "site"

    def packages(self, name: str) -> Path:
        """A folder of packages apart, there once it was fetched."""
        return self.folder / "packages" / name

    @property
    def stamp(self) -> Path:
        """Written last; says what was fetched."""
        return self.folder / "fetched"


def program(target: oaq_arm.Target, cpu: str, path: Path) -> list[str]:
    """The beginning of a command that runs a program of `make arm`."""
    return [target.emulator, "-cpu", cpu, "-L", f"/usr/{target.triplet}", str(path)]


def python(
    target: oaq_arm.Target,
    cpu: str,
    compile_modules: bool = False,
    more_packages: Path | None = None,
) -> list[str]:
    """The beginning of a command that runs an emulated Python.

    Args:
      target, cpu: what to emulate.
      compile_modules: keep what Python makes of its modules.
      more_packages: a folder of packages besides those that were fetched.
    """
    place = Place(target)
    libraries = place.root / "usr" / "lib" / target.triplet
    # numpy's BLAS, which an installation would link to. By its path on this machine: statx() of
    # 32-bit programs does not see the -L folder in qemu 7.2.
    path = ":".join(str(libraries / name) for name in ("blas", "lapack"))
    variables = {
        "PYTHONPATH": ":".join(map(str, filter(None, (more_packages, place.site)))),
        "LD_LIBRARY_PATH": path,
        "PYTHONDONTWRITEBYTECODE": "" if compile_modules else "1",
        # One emulated thread after the other is as fast.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    command = [target.emulator, "-cpu", cpu, "-L", str(place.root)]
    for name, value in variables.items():
        command += ["-E", f"{name}={value}"]
    return [*command, str(place.root / "usr" / "bin" / "python3"), "-s"]


def isas(run_model: list[str], model: Path) -> tuple[str, ...]:
    """Names of the kernels that oaq_run_model, on an emulated CPU, finds in our library.

    A library names them where it is asked for one that there is not.
    """
    options = ["--model", str(model), "--isa", "none", "--mode", "oaq"]
    said = subprocess.run([*run_model, *options], capture_output=True, text=True, check=False)
    named = re.search(r"option isa is 'none'.*: (.+)", said.stderr)
    assert named, said.stderr
    return tuple(isa for isa in named[1].split(", ") if isa != "auto")
