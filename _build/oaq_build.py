# SPDX-License-Identifier: Apache-2.0
"""The build backend: scikit-build-core, plus a C compiler where the machine has none.

Most boards and containers that run TensorFlow Lite models hold no compiler. PyPI's `ziglang`
carries Clang and the C library's headers, so it joins the build's requirements when nothing better
is found.

As a program, for the Makefile, which builds the kernels outside of pip:
    oaq_build.py tools              what is missing here, as requirements for pip
    oaq_build.py run DIR COMMAND... runs COMMAND with a compiler, CMake and Ninja in reach
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import stat
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

ConfigSettings = dict[str, list[str] | str]

ZIG_REQUIREMENT = "ziglang>=0.13"
CMAKE_REQUIREMENT = "cmake>=3.18"
NINJA_REQUIREMENT = "ninja>=1.10"

# zig cc tunes for this very CPU unless told otherwise; the library picks its kernels at run time,
# and may travel. On ARM zig also knows no -march=armv8.2-a+dotprod, only CPUs with features, and it
# takes -mtune for another -mcpu.
_COMPILER = """\
#!/bin/sh
for argument; do
  shift
  case $argument in
    -mtune=*) continue ;;
    -march=armv8*-a*)
      rest=${{argument#-march=armv8}}
      version=${{rest%%-a*}}
      features=${{rest#*-a}}
      case $version in
        .*) features="+v8_${{version#.}}a$features" ;;
      esac
      argument="-mcpu=generic$features" ;;
    -march=armv7*) argument=-mcpu=generic+v7a+neon ;;
  esac
  set -- "$@" "$argument"
done
exec '{zig}' cc {target}-mcpu=baseline "$@"
"""
_TOOL = """\
#!/bin/sh
exec '{zig}' {tool} "$@"
"""


def kernels_wanted() -> bool:
    """Whether this build makes the C library: on Linux, unless OAQ_BUILD_KERNELS says no."""
    off = os.environ.get("OAQ_BUILD_KERNELS", "on").lower() in {"0", "off", "no", "false"}
    return sys.platform.startswith("linux") and not off


def has_compiler() -> bool:
    """Whether $CC is set or CMake would find a C compiler by itself."""
    return bool(os.environ.get("CC")) or any(map(shutil.which, ("cc", "gcc", "clang")))


def missing_tools() -> list[str]:
    """What pip has to bring before the kernels can be built, CMake and Ninja included."""
    missing = [] if has_compiler() else [ZIG_REQUIREMENT]
    if not shutil.which("cmake"):
        missing.append(CMAKE_REQUIREMENT)
    if not shutil.which("ninja"):
        missing.append(NINJA_REQUIREMENT)
    return missing


def find_zig() -> Path:
    """The compiler of the installed ziglang.

    Raises:
        SystemExit: there is none.
    """
    spec = importlib.util.find_spec("ziglang")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(
            "No C compiler: set CC, install gcc or clang, or `pip install ziglang`. "
            "OAQ_BUILD_KERNELS=OFF installs the Python part alone."
        )
    return Path(spec.submodule_search_locations[0], "zig")


def _write_if_changed(path: Path, text: str) -> None:
    # An unchanged script keeps its date, and what it compiled stays up to date.
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)


def write_compiler(directory: Path, zig: Path, target: str = "") -> Path:
    """Writes the scripts that stand for compiler, archiver and ranlib.

    Args:
        directory: where they go.
        zig: ziglang's program.
        target: what they compile for, as in aarch64-linux-gnu.2.17; this machine by default.

    Returns:
        The directory, as an absolute path.
    """
    directory.mkdir(parents=True, exist_ok=True)
    given = f"-target {target} " if target else ""
    _write_if_changed(directory / "cc", _COMPILER.format(zig=zig, target=given))
    for tool in ("ar", "ranlib"):
        _write_if_changed(directory / tool, _TOOL.format(zig=zig, tool=tool))
    return directory.resolve()


def toolchain(directory: Path) -> dict[str, str]:
    """Makes a C compiler available to CMake.

    Args:
        directory: where the scripts that stand for compiler and archiver go, if any are needed.

    Returns:
        Environment variables to add; empty where the machine's own compiler serves.
    """
    if has_compiler():
        return {}
    scripts = write_compiler(directory, find_zig())
    # CMake looks for ar and ranlib next to the compiler first, so it needs to be told of one only.
    return {"CC": str(scripts / "cc")}


@contextlib.contextmanager
def _compiler_in_reach() -> Iterator[None]:
    if not kernels_wanted():
        yield
        return
    with tempfile.TemporaryDirectory(prefix="oaq-cc-") as directory:
        added = toolchain(Path(directory))
        os.environ.update(added)
        try:
            yield
        finally:
            for name in added:
                del os.environ[name]


def _requirements(found: list[str]) -> list[str]:
    # scikit-build-core asks for CMake and Ninja itself.
    return [*found, ZIG_REQUIREMENT] if kernels_wanted() and not has_compiler() else found


def get_requires_for_build_sdist(config_settings: ConfigSettings | None = None) -> list[str]:
    """PEP 517."""
    from scikit_build_core import build

    return list(build.get_requires_for_build_sdist(config_settings))


def get_requires_for_build_wheel(config_settings: ConfigSettings | None = None) -> list[str]:
    """PEP 517."""
    from scikit_build_core import build

    return _requirements(build.get_requires_for_build_wheel(config_settings))


def get_requires_for_build_editable(config_settings: ConfigSettings | None = None) -> list[str]:
    """PEP 660."""
    from scikit_build_core import build

    return _requirements(build.get_requires_for_build_editable(config_settings))


def prepare_metadata_for_build_wheel(
    metadata_directory: str, config_settings: ConfigSettings | None = None
) -> str:
    """PEP 517."""
    from scikit_build_core import build

    return str(build.prepare_metadata_for_build_wheel(metadata_directory, config_settings))


def prepare_metadata_for_build_editable(
    metadata_directory: str, config_settings: ConfigSettings | None = None
) -> str:
    """PEP 660."""
    from scikit_build_core import build

    return str(build.prepare_metadata_for_build_editable(metadata_directory, config_settings))


def build_sdist(sdist_directory: str, config_settings: ConfigSettings | None = None) -> str:
    """PEP 517."""
    from scikit_build_core import build

    return str(build.build_sdist(sdist_directory, config_settings))


def build_wheel(
    wheel_directory: str,
    config_settings: ConfigSettings | None = None,
    metadata_directory: str | None = None,
) -> str:
    """PEP 517."""
    from scikit_build_core import build

    with _compiler_in_reach():
        return str(build.build_wheel(wheel_directory, config_settings, metadata_directory))


def build_editable(
    wheel_directory: str,
    config_settings: ConfigSettings | None = None,
    metadata_directory: str | None = None,
) -> str:
    """PEP 660."""
    from scikit_build_core import build

    with _compiler_in_reach():
        return str(build.build_editable(wheel_directory, config_settings, metadata_directory))


def _run(directory: Path, command: list[str]) -> int:
    # pip puts cmake and ninja next to the Python that runs this.
    path = os.pathsep.join([os.environ.get("PATH", ""), sysconfig.get_path("scripts")])
    environment = {**os.environ, **toolchain(directory), "PATH": path}
    program = shutil.which(command[0], path=path)
    if program is None:
        raise SystemExit(f"{command[0]} not found; `pip install {command[0]}` may bring it")
    return subprocess.run([program, *command[1:]], env=environment, check=False).returncode


def main(arguments: list[str]) -> int:
    """The command line described above."""
    if arguments == ["tools"]:
        print(*missing_tools())
        return 0
    if len(arguments) > 2 and arguments[0] == "run":
        return _run(Path(arguments[1]), arguments[2:])
    raise SystemExit(__doc__)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
