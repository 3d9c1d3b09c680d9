# SPDX-License-Identifier: Apache-2.0
"""Builds what is published, on any Linux machine: `make wheels`.

python _build/oaq_wheels.py [--out dist]

The sdist, a wheel of the Python part for macOS and Windows, and a wheel for each of `PLATFORMS`,
cross-compiled by ziglang for an old glibc and audited. Needs the extra `wheels`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import oaq_build

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "wheels"
GLIBC = (2, 17)
"""Of CentOS 7, and of the oldest wheels that pip takes for ARM: manylinux2014."""


@dataclass(frozen=True)
class Platform:
    """What a wheel is for.

    Attributes:
      machine: as Linux calls it.
      target: zig's name of it, without the glibc.
      tags: of the wheel.
      environment: of markers, where pip on this platform could see another than it should.
    """

    machine: str
    target: str
    tags: str
    environment: Mapping[str, str] | None = None

    @property
    def folder(self) -> Path:
        """Where its library is built."""
        return BUILD / self.machine


PLATFORMS = (
    Platform("x86_64", "x86_64-linux-gnu", "manylinux_2_17_x86_64.manylinux2014_x86_64"),
    Platform("aarch64", "aarch64-linux-gnu", "manylinux_2_17_aarch64.manylinux2014_aarch64"),
    Platform("armv7l", "arm-linux-gnueabihf", "linux_armv7l", {"platform_machine": "armv7l"}),
)


class WheelError(Exception):
    """A wheel is not what it should be; says why."""


def build_wheel(platform: Platform, zig: Path, out: Path) -> Path:
    """The wheel for a platform.

    Args:
      platform: what it is for.
      zig: ziglang's program.
      out: folder for it.

    Raises:
      CalledProcessError: a step failed; it has said why.
      WheelError: it needs more than its tags promise.
    """
    version = ".".join(map(str, GLIBC))
    target = f"{platform.target}.{version}"
    scripts = oaq_build.write_compiler(platform.folder / "toolchain", zig, target)
    options = [
        "-DCMAKE_SYSTEM_NAME=Linux",
        f"-DCMAKE_SYSTEM_PROCESSOR={platform.machine}",
        f"-DCMAKE_C_COMPILER={scripts / 'cc'}",
        # The machine's own strip, if there is one, may not know the target.
        "-DCMAKE_SHARED_LINKER_FLAGS=-s",
    ]
    # packaging's tags are of what sysconfig says that Python was built for.
    given = {
        "CC": str(scripts / "cc"),
        "OAQ_BUILD_KERNELS": "ON",
        "SKBUILD_CMAKE_ARGS": ";".join(options),
        "_PYTHON_HOST_PLATFORM": f"linux-{platform.machine}",
    }
    wheel = _hook("build_wheel", out, given, {"build-dir": str(platform.folder)})
    _audit(wheel, platform)
    if platform.environment is not None:
        wheel = _settle_markers(wheel, platform.environment)
    return _retag(wheel, platform.tags)


def settled(requirement: str, environment: Mapping[str, str]) -> str | None:
    """A requirement as it is where markers see `environment`; None where it is not one there.

    A marker that also asks for an extra, or for anything else, is kept.
    """
    from packaging.requirements import Requirement

    parsed = Requirement(requirement)
    if parsed.marker is None or not any(name in str(parsed.marker) for name in environment):
        return requirement
    # Extras and machines are not mixed in one marker here.
    if not parsed.marker.evaluate({**environment, "extra": ""}):
        return None
    parsed.marker = None
    return str(parsed)


def _settle_markers(wheel: Path, environment: Mapping[str, str]) -> Path:
    with tempfile.TemporaryDirectory() as folder:
        _run([sys.executable, "-m", "wheel", "unpack", "--dest", folder, str(wheel)])
        (unpacked,) = Path(folder).iterdir()
        (metadata,) = unpacked.glob("*.dist-info/METADATA")
        key = "Requires-Dist: "
        lines: list[str] = []
        for line in metadata.read_text().splitlines():
            if not line.startswith(key):
                lines.append(line)
            elif requirement := settled(line.removeprefix(key), environment):
                lines.append(key + requirement)
        metadata.write_text("\n".join(lines) + "\n")
        wheel.unlink()
        _run([sys.executable, "-m", "wheel", "pack", "--dest-dir", str(wheel.parent), unpacked])
    return wheel


def _audit(wheel: Path, platform: Platform) -> None:
    said = _run([sys.executable, "-m", "auditwheel", "show", "--json", str(wheel)])
    found = json.loads(said)["overall_tag"]
    match = re.fullmatch(rf"manylinux_2_(\d+)_{platform.machine}", found)
    if not match or (2, int(match[1])) > GLIBC:
        wanted = f"manylinux_{GLIBC[0]}_{GLIBC[1]}_{platform.machine}"
        raise WheelError(f"auditwheel finds {wheel.name} to be {found}; expected {wanted} at most")
    print(f"{wheel.name}: auditwheel finds {found}")


def _retag(wheel: Path, tags: str) -> Path:
    command = [sys.executable, "-m", "wheel", "tags", "--remove", "--platform-tag", tags]
    return wheel.parent / _run([*command, str(wheel)]).splitlines()[-1].strip()


def _hook(
    name: str, out: Path, environment: Mapping[str, str], settings: Mapping[str, str] | None = None
) -> Path:
    """Runs a hook of the build backend as pip would."""
    code = (
        "import json, sys; sys.path.insert(0, sys.argv[1]); import oaq_build; "
        "print(getattr(oaq_build, sys.argv[2])(sys.argv[3], json.loads(sys.argv[4])))"
    )
    here = str(Path(__file__).parent)
    command = [sys.executable, "-c", code, here, name, str(out), json.dumps(settings or {})]
    return out / _run(command, environment).splitlines()[-1]


def _run(command: Iterable[str | Path], environment: Mapping[str, str] | None = None) -> str:
    run = subprocess.run(
        list(command),
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode != 0:
        print(run.stdout, run.stderr, sep="", file=sys.stderr)
        run.check_returncode()
    return run.stdout


def main() -> int:
    """Builds all of it.

    Returns:
      The exit code: 1 where a part could not be built.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--out", type=Path, default=Path("dist"))
    out = parser.parse_args().out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        made: list[Path] = []
        try:
            made.append(_hook("build_sdist", Path(folder), {}))
            made.append(_hook("build_wheel", Path(folder), {"OAQ_BUILD_KERNELS": "OFF"}))
            zig = oaq_build.find_zig()
            made += [build_wheel(platform, zig, Path(folder)) for platform in PLATFORMS]
        except subprocess.CalledProcessError as error:
            print(f"wheels: {' '.join(map(str, error.cmd))} failed", file=sys.stderr)
            return 1
        except WheelError as error:
            print(f"wheels: {error}", file=sys.stderr)
            return 1
        for file in made:
            shutil.copy(file, out / file.name)
            print(f"{out / file.name}: {file.stat().st_size / 1024:.0f} KiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
