# SPDX-License-Identifier: Apache-2.0
"""Cross-builds the kernels for ARM and runs their C tests under qemu: `make arm`.

python _build/oaq_arm.py [--jobs N] [--no-tests]

A target lies in build/arm/NAME: library, tests and the programs that measure, by Debian's cross
compiler. What is missing is named, and left out.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path


ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "arm"
FETCHED = BUILD / "fetched"
LIBRARY = "tflite_kernels/liboaq_tflite.so"
"""Inside the folder of a build."""


@dataclass(frozen=True)
class Target:
    """What to build for, and on what to run it.

    Attributes:
      name: of the folder and of the toolchain file in cmake/.
      triplet: Debian's prefix of the cross compiler, and the folder of its libraries.
      emulator: qemu's program.
      cpus: values of QEMU_CPU that the C tests run with: without dot products, with SDOT, with SMMLA.
      package: Debian's cross compiler.
      libraries: Debian's headers of the C library; the C++ library, which runtimes want.
    """

    name: str
    triplet: str
    emulator: str
    cpus: tuple[str, ...]
    package: str
    libraries: tuple[str, ...]

    @property
    def folder(self) -> Path:
        """Where it is built."""
        return BUILD / self.name

    @property
    def counting(self) -> Path:
        """Where the library that counts overflows is built."""
        return BUILD / f"counting-{self.name}"

    @property
    def toolchain(self) -> Path:
        """CMake's toolchain file."""
        return ROOT / "cmake" / f"{self.name}.cmake"


TARGETS = (
    Target(
        "aarch64",
        "aarch64-linux-gnu",
        "qemu-aarch64",
        ("cortex-a53", "cortex-a76", "max"),
        "gcc-aarch64-linux-gnu",
        ("libc6-dev-arm64-cross", "libstdc++6-arm64-cross"),
    ),
    Target(
        "armv7",
        "arm-linux-gnueabihf",
        "qemu-arm",
        ("cortex-a7",),
        "gcc-arm-linux-gnueabihf",
        ("libc6-dev-armhf-cross", "libstdc++6-armhf-cross"),
    ),
)


def missing(target: Target) -> str:
    """Why a target can't be built and run here; empty where it can."""
    if not sys.platform.startswith("linux"):
        return "qemu emulates Linux programs on Linux only"
    programs = {
        f"{target.triplet}-gcc": target.package,
        # The one linked statically, of qemu-user-static, takes no plugins.
        target.emulator: "qemu-user",
    }
    for program, package in programs.items():
        if shutil.which(program) is None:
            return f"needs {program} (Debian: {package})"
    with tempfile.TemporaryDirectory() as folder:
        program = str(Path(folder) / "probe")
        compiler = [f"{target.triplet}-gcc", "-x", "c", "-", "-o", program]
        source = "#include <stdlib.h>\nint main(void) { return EXIT_SUCCESS; }\n"
        built = subprocess.run(compiler, input=source, capture_output=True, text=True, check=False)
        if built.returncode != 0:
            return f"{target.triplet}-gcc links no program (Debian: {target.libraries[0]})"
        run = [target.emulator, "-L", f"/usr/{target.triplet}", program]
        if subprocess.run(run, capture_output=True, check=False).returncode != 0:
            return f"{target.emulator} runs no program of {target.triplet}-gcc"
    return ""


def build(target: Target, jobs: int) -> None:
    """The library, the C tests and the programs that measure; and ops_test, counting overflows.

    Raises:
      CalledProcessError: a step failed; it has said why.
    """
    options = [f"-DCMAKE_TOOLCHAIN_FILE={target.toolchain}", "-DOAQ_BUILD_TESTS=ON"]
    options.append("-DOAQ_WERROR=ON")
    _cmake(target.folder, [*options, "-DOAQ_BUILD_BENCH=ON"])
    _cmake(target.counting, [*options, "-DOAQ_COUNT_OVERFLOWS=ON"])
    for folder, wanted in ((target.folder, "all"), (target.counting, "ops_test")):
        command = ["cmake", "--build", str(folder), "--parallel", str(jobs), "--target", wanted]
        subprocess.run(command, check=True)


def test(folder: Path, cpu: str) -> tuple[bool, str]:
    """Whether the C tests of a build pass on an emulated CPU, and what ctest printed."""
    command = ["ctest", "--test-dir", str(folder), "--output-on-failure"]
    if folder.name.startswith("counting-"):
        command += ["-R", "^ops_test$"]
    environment = {**os.environ, "QEMU_CPU": cpu}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return run.returncode == 0, run.stdout + run.stderr


def _cmake(folder: Path, options: Sequence[str]) -> None:
    configure = ["cmake", "-S", str(ROOT), "-B", str(folder), "-G", "Ninja"]
    given = ["-DCMAKE_BUILD_TYPE=Release", "--log-level=WARNING", *options]
    run = subprocess.run([*configure, *given], capture_output=True, text=True, check=False)
    if run.returncode != 0:
        print(run.stdout, run.stderr, sep="", file=sys.stderr)
        run.check_returncode()


def _built(target: Target, jobs: int) -> bool:
    reason = missing(target)
    if reason:
        print(f"ARM: {target.name} is left out: {reason}")
        return False
    build(target, jobs)
    return True


def main() -> int:
    """Builds and tests every target that can be.

    Returns:
      The exit code: 1 where a test failed.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--no-tests", action="store_true", help="build only")
    given = parser.parse_args()
    try:
        ready = [target for target in TARGETS if _built(target, given.jobs)]
    except subprocess.CalledProcessError as error:
        print(f"ARM: {' '.join(error.cmd)} failed", file=sys.stderr)
        return 1
    if given.no_tests:
        return 0
    failed = 0
    runs = [(target.folder, cpu) for target in ready for cpu in target.cpus]
    # Kernels of cores without dot products, which those of other cores have too.
    runs += [(target.counting, target.cpus[0]) for target in ready]
    # The 32-bit ones take longest.
    runs.reverse()
    with ThreadPoolExecutor(given.jobs) as pool:
        for (folder, cpu), (passed, said) in zip(
            runs, pool.map(lambda run: test(*run), runs), strict=True
        ):
            if not passed:
                failed += 1
                print(said)
            print(f"ARM: C tests, {folder.name} as {cpu}: {'passed' if passed else 'FAILED'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
