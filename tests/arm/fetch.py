# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: T201, a command
"""Fetches what runs our library under qemu, once, into build/arm/fetched: `make arm-fetch`.

python -m tests.arm.fetch

For each target a Python of Debian's, unpacked and not installed, with a TFLite runtime of its
machine, and the TFLite C library that `make matrix` fetches, too. What can't be fetched is named;
exit status 1.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from tests.arm import emulated, oaq_arm
from tests.matrix import fetch

LITERT = f"ai-edge-litert=={metadata.version('ai-edge-litert')}"
"""The one of this machine, whose reference kernels answers are compared with."""

# LiteRT asks for what cpuinfo finds, and cpuinfo, finding an x86 in /proc, gives up.
_CPUINFO = """\
processor\t: 0
BogoMIPS\t: 48.00
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd03
CPU revision\t: 4
"""


@dataclass(frozen=True)
class Source:
    """Where a target's Python comes from.

    Attributes:
      architecture: Debian's name.
      runtime: as pip knows it.
      platforms: of wheels.
      others: further runtimes, each in a folder of packages of its own, with what it needs.
    """

    architecture: str
    runtime: str
    platforms: tuple[str, ...]
    others: tuple[str, ...] = ()


_GLIBCS = ("_2_17", "_2_26", "_2_27", "_2_28", "_2_34")
_OLD = "tflite-runtime==2.14.0"
SOURCES = {
    "aarch64": Source(
        "arm64",
        LITERT,
        tuple(f"manylinux{glibc}_aarch64" for glibc in ("2014", *_GLIBCS)),
        (_OLD, f"tensorflow=={metadata.version('tensorflow')}"),
    ),
    "armv7": Source("armhf", _OLD, ("manylinux_2_34_armv7l",)),
}
# What our package needs besides, which is the same everywhere.
_PURE = f"flatbuffers=={metadata.version('flatbuffers')}"
_DEBIAN_PACKAGES = ("python3-minimal", "libpython3-stdlib", "python3-numpy", "libstdc++6")


class FetchError(Exception):
    """Something could not be fetched; says why."""


def python(target: oaq_arm.Target) -> None:
    """Python, numpy, flatbuffers and a runtime.

    Raises:
      FetchError: one of them could not be had.
    """
    source = SOURCES[target.name]
    place = emulated.Place(target)
    wanted = " ".join((*_DEBIAN_PACKAGES, source.runtime, _PURE))
    if place.stamp.is_file() and place.stamp.read_text() == wanted:
        return
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise FetchError("needs a Debian or an Ubuntu: apt-get and dpkg-deb")
    shutil.rmtree(place.folder, ignore_errors=True)
    _unpack(_debian_archives(source.architecture, place.folder / "apt"), place.root)
    shutil.rmtree(place.folder / "apt")
    proc = place.root / "proc"
    proc.mkdir()
    (proc / "cpuinfo").write_text(_CPUINFO)
    _install(source, place, place.site, "--no-deps", source.runtime, _PURE)
    # Python's own modules come as sources: compiled here, they are read in a third of the time.
    warm = [*emulated.python(target, target.cpus[0], compile_modules=True), "-c"]
    _run([*warm, "import numpy, json, ctypes; from importlib import metadata"])
    place.stamp.write_text(wanted)


def others(target: oaq_arm.Target) -> None:
    """Further runtimes for `make matrix`.

    Raises:
      FetchError: one of them could not be had.
    """
    source, place = SOURCES[target.name], emulated.Place(target)
    for runtime in source.others:
        folder = place.packages(runtime)
        if folder.is_dir():
            continue
        unfinished = folder.with_name("unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        # numpy 1 where the runtime was built for it; Debian's is one.
        alone = ["--no-deps"] if runtime == _OLD else []
        _install(source, place, unfinished, *alone, runtime)
        unfinished.rename(folder)


def c_library() -> None:
    """TFLite's C library.

    Raises:
      FetchError: npm does not get it.
    """
    cache = oaq_arm.ROOT / "build" / "matrix"
    cache.mkdir(parents=True, exist_ok=True)
    if not fetch.c_library(cache, "aarch64"):
        raise FetchError("needs npm")


def _debian_archives(architecture: str, folder: Path) -> list[Path]:
    """Downloads packages and what they depend on, beside what the machine has installed."""
    archives = folder / "cache" / "archives"
    for path in (archives / "partial", folder / "state" / "lists" / "partial"):
        path.mkdir(parents=True)
    status = folder / "status"
    status.touch()
    settings = {
        "Dir::State": folder / "state",
        "Dir::State::status": status,
        "Dir::Cache": folder / "cache",
        "APT::Architecture": architecture,
        "APT::Architectures": architecture,
        "Debug::NoLocking": 1,
        "APT::Sandbox::User": "root",
    }
    apt = ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in settings.items())]
    # An index that can't be read may be one of those that are not needed.
    subprocess.run([*apt, "update"], capture_output=True, check=False)
    get = ["install", "--yes", "--download-only", "--no-install-recommends"]
    _run([*apt, *get, *_DEBIAN_PACKAGES])
    return sorted(archives.glob("*.deb"))


def _unpack(archives: list[Path], root: Path) -> None:
    root.mkdir(parents=True)
    for archive in archives:
        _run(["dpkg-deb", "-x", str(archive), str(root)])
    # Where packages hold /usr/lib alone, /lib is a link to it.
    if not (root / "lib").exists():
        (root / "lib").symlink_to("usr/lib")


def _install(source: Source, place: emulated.Place, folder: Path, *wanted: str) -> None:
    """Has pip put wheels of the target's machine into a folder."""
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    install += ["--only-binary=:all:", "--target", str(folder)]
    for platform in source.platforms:
        install += ["--platform", platform]
    _run([*install, "--python-version", _version(place.root), *wanted])


def _version(root: Path) -> str:
    link = (root / "usr" / "bin" / "python3").readlink()
    return link.name.removeprefix("python")


def _run(command: list[str]) -> None:
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        said = run.stderr.strip().splitlines() or [f"exit {run.returncode}"]
        raise FetchError(f"{Path(command[0]).name}: {said[-1]}")


def main() -> int:
    """Fetches all there is.

    Returns:
      The exit code: 1 where something is missing.
    """
    steps = {f"Python for {target.name}": (python, target) for target in oaq_arm.TARGETS}
    steps |= {f"other runtimes for {target.name}": (others, target) for target in oaq_arm.TARGETS}
    failed = 0
    for name, step in {**steps, "TFLite's C library": (c_library,)}.items():
        function, *arguments = step
        try:
            function(*arguments)
        except (FetchError, OSError, subprocess.CalledProcessError) as error:
            print(f"{name}: {error}", file=sys.stderr)
            failed += 1
        else:
            print(f"{name}: there")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
