# SPDX-License-Identifier: Apache-2.0
"""Fetches other TFLite runtimes and official headers, once, into a cache folder."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

NPM_PACKAGE = "tfjs-tflite-node@0.0.2"
MAVEN_VERSION = "2.16.1"
MAVEN_PACKAGE = f"org.tensorflow:tensorflow-lite:{MAVEN_VERSION}:aar"
HEADERS = {NPM_PACKAGE: "package/cc_deps/include", MAVEN_PACKAGE: "aar/headers"}
_HEADER = "tensorflow/lite/c/common.h"


def old_python(cache: Path) -> str:
    """A Python with tflite-runtime 2.14, which exists up to 3.11; empty where there is none."""
    folder = cache / "tflite-runtime"
    python, ready = folder / "bin" / "python", folder / "ready"
    if ready.exists():
        return str(python)
    names = ["python3.11", "python3.10", sys.executable]
    source = next((p for name in names if (p := shutil.which(name)) and _old_enough(p)), None)
    if source is None:
        return ""
    subprocess.run([source, "-m", "venv", "--clear", str(folder)], check=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "tflite-runtime==2.14.0", "numpy<2"]
    subprocess.run(install, check=True)
    ready.touch()
    return str(python)


def c_library(cache: Path, machine: str = platform.machine()) -> str:
    """The TFLite 2.9 C library of the npm package; empty where npm is missing."""
    if not _npm_package(cache):
        return ""
    folder = "linux_arm64" if machine in ("aarch64", "arm64") else "linux_amd64"
    path = cache / "package" / "cc_deps" / folder / "libtensorflowlite_c.so"
    return str(path) if path.is_file() else ""


def headers(cache: Path) -> None:
    """The headers of `HEADERS`, where npm and Maven are there to fetch them."""
    _npm_package(cache)
    if cached_headers(cache, MAVEN_PACKAGE) or not shutil.which("mvn"):
        return
    get = ["mvn", "-q", "-B", f"-Dmaven.repo.local={cache / 'maven'}", "dependency:get"]
    subprocess.run([*get, f"-Dartifact={MAVEN_PACKAGE}", "-Dtransitive=false"], check=True)
    (archive,) = (cache / "maven").glob(f"**/tensorflow-lite-{MAVEN_VERSION}.aar")
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(cache / "aar")


def cached_headers(cache: Path, package: str) -> Path | None:
    """The include folder of a package of `HEADERS`, if it was fetched."""
    path = cache / HEADERS[package]
    return path if (path / _HEADER).is_file() else None


def _npm_package(cache: Path) -> bool:
    if (cache / "package" / "package.json").is_file():
        return True
    if not shutil.which("npm"):
        return False
    pack = ["npm", "pack", "--silent", NPM_PACKAGE]
    packed = subprocess.run(pack, cwd=cache, check=True, capture_output=True, text=True).stdout
    subprocess.run(["tar", "-xzf", packed.split()[-1]], cwd=cache, check=True)
    return True


def _old_enough(python: str) -> bool:
    test = "import sys; sys.exit(not (3, 8) <= sys.version_info[:2] <= (3, 11))"
    return subprocess.run([python, "-c", test], check=False).returncode == 0
