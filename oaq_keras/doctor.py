# SPDX-License-Identifier: Apache-2.0
"""What `oaq doctor` looks at: the installation, the C library, LiteRT and the CPU."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import Literal

from oaq_keras.cpu import Gain, int16_advice, read_cpu
from oaq_keras.version import __version__

Status = Literal["ok", "note", "problem"]

_RUN = ("numpy", "flatbuffers")
_TRAIN = ("tensorflow", "tf_keras", "tensorflow-model-optimization")


@dataclass(frozen=True)
class Finding:
    """One thing looked at.

    Attributes:
      name: what was looked at.
      status: `note` is worth knowing, `problem` keeps models from being run or checked.
      detail: what was found.
      advice: what to do about it; empty where nothing is.
    """

    name: str
    status: Status
    detail: str
    advice: str = ""


def examine() -> list[Finding]:
    """All findings, in the order in which problems are best solved. Never raises."""
    return [
        Finding("oaq-keras", "ok", __version__),
        Finding("Python", "ok", f"{platform.python_version()} on {sys.platform}"),
        *_packages(),
        *_training(),
        *_library(),
        _int16(),
    ]


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _packages() -> Iterator[Finding]:
    for name in _RUN:
        version = _version(name)
        if version is None:
            yield Finding(name, "problem", "not installed", f"pip install {name}")
        else:
            yield Finding(name, "ok", version)
    try:
        from oaq_keras import litert
    except Exception as error:  # whatever is wrong is a finding
        yield Finding("runtime", "problem", _line(error), "install one, or the one there is again")
        return
    version = str(_version(litert.package))
    if litert.package == "ai-edge-litert":
        yield Finding(litert.package, "ok", version)
    else:
        yield Finding(
            litert.package,
            "note",
            f"{version}; runs files, but nothing here looks into them",
            "inspect, certify and convert on a machine that has ai-edge-litert",
        )


def _training() -> Iterator[Finding]:
    versions = {name: _version(name) for name in _TRAIN}
    missing = [name for name, version in versions.items() if version is None]
    if missing:
        yield Finding(
            "training",
            "note",
            f"not installed: {', '.join(missing)}; running and checking models needs none of them",
            "`pip install 'oaq_keras-….whl[train]'`, or '.[train]' in the source folder",
        )
        return
    found = ", ".join(f"{name} {version}" for name, version in versions.items())
    minors = {str(versions[name]).rsplit(".", 1)[0] for name in ("tensorflow", "tf_keras")}
    if len(minors) > 1:
        yield Finding(
            "training",
            "note",
            f"{found}; tf_keras and tensorflow have to be of one minor version",
            f"pip install 'tf_keras~={str(versions['tensorflow']).rsplit('.', 1)[0]}.0'",
        )
        return
    yield Finding("training", "ok", found)


def _library() -> Iterator[Finding]:
    # Imported here, since what they import may be what is broken.
    try:
        from oaq_keras import library

        path = library.library_path()
        version = library.load().version
    except Exception as error:  # whatever is wrong is a finding
        yield Finding(
            "C library",
            "problem",
            _line(error),
            "correct OAQ_LIBRARY if it is set, else install the wheel for this machine "
            f"({platform.machine()}; the one for any machine has no kernels), or build them: "
            "`pip install --force-reinstall --no-deps .` in the source folder; on macOS and "
            "Windows models can be trained, converted and certified, but not run with our kernels",
        )
        return
    if version != __version__:
        yield Finding(
            "C library",
            "problem",
            f"{path} is of version {version}, oaq-keras of {__version__}",
            "install both from one release, and unset OAQ_LIBRARY if it names an older one",
        )
        return
    yield Finding("C library", "ok", f"{version}, {path}")
    try:
        from oaq_keras.litert import interpreter

        interpreter.load_delegate(str(path))
    except Exception as error:  # whatever is wrong is a finding
        yield Finding(
            "delegate",
            "problem",
            _line(error),
            "install the runtime again or a newer one, then report it if that does not help",
        )
        return
    yield Finding("delegate", "ok", "loads")


_VERDICTS: dict[Gain, str] = {
    "much": "int16 pays",
    "little": "int16 gains little",
    "none": "int16 does not pay, exact dot products run",
    "unknown": "unknown whether int16 pays",
}


def _int16() -> Finding:
    cpu = read_cpu()
    gain, why = int16_advice(cpu)
    mixed = len(cpu.cores) > 1
    return Finding(
        "CPU",
        "ok" if gain == "much" else "note",
        f"{cpu}; {_VERDICTS[gain]}",
        # Cores of several kinds differ, also where it pays.
        why if gain != "much" or mixed else "",
    )


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
