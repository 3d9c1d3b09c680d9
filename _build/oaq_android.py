# SPDX-License-Identifier: Apache-2.0
"""Makes the Android archive without Gradle: `make aar NDK=folder`.

python _build/oaq_android.py --ndk FOLDER [--api JAR] [--output AAR] [--jobs N]

CMake with the NDK's toolchain file builds a library for each ABI; javac compiles the Java class
against TensorFlow Lite's interface, which Maven fetches unless --api names it; the archive is
zipped here, the same bytes from the same sources.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "tflite_kernels" / "android"
JAVA = SOURCES / "oaq" / "src" / "main" / "java"
BUILD = ROOT / "build" / "android"
FETCHED = BUILD / "fetched"
ABIS = ("arm64-v8a", "armeabi-v7a", "x86_64")
MIN_API_LEVEL = 23
LIBRARY = "liboaq_tflite_jni.so"
TOOLCHAIN = "build/cmake/android.toolchain.cmake"
"""Inside an NDK."""
TFLITE_API = "org.tensorflow:tensorflow-lite-api:2.16.1:aar"

# Gradle writes such a manifest from build.gradle.
_MANIFEST = f"""\
<?xml version="1.0" encoding="utf-8"?>
<manifest xmlns:android="http://schemas.android.com/apk/res/android" package="ai.oaq.tflite">
    <uses-sdk android:minSdkVersion="{MIN_API_LEVEL}" />
</manifest>
"""


class AndroidError(Exception):
    """Something is missing or failed; says what, and what to do."""


def fetch(artifact: str) -> Path:
    """Fetches an artifact with Maven, once, into build/android/fetched.

    Args:
      artifact: group:name:version:type, and :classifier where it has one.

    Returns:
      The folder of what is in it.

    Raises:
      AndroidError: there is no Maven, or it does not get the artifact.
    """
    folder = fetched(artifact)
    if folder.is_dir():
        return folder
    maven = _program("mvn", "Maven", "or give --api a tensorflow-lite-api's classes.jar")
    downloads = FETCHED / "downloads"
    command = [maven, "-q", "-B", f"-Dmaven.repo.local={FETCHED / 'maven'}", "dependency:copy"]
    _run([*command, f"-Dartifact={artifact}", f"-DoutputDirectory={downloads}"], f"get {artifact}")
    archive = downloads / f"{folder.name}.{artifact.split(':')[3]}"
    # Renamed last: a folder that is there is whole.
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(partial)
    partial.rename(folder)
    archive.unlink()
    return folder


def fetched(artifact: str) -> Path:
    """Where `fetch` puts what is in an artifact."""
    _, name, version, _, *classifier = artifact.split(":")
    return FETCHED / "-".join([name, version, *classifier])


def build_library(ndk: Path, abi: str, jobs: int) -> Path:
    """The library for one ABI, without symbols for debuggers.

    Raises:
      AndroidError: the folder is no NDK, or a step failed.
    """
    toolchain = ndk / TOOLCHAIN
    if not toolchain.is_file():
        raise AndroidError(
            f"NDK is '{ndk}', which has no {TOOLCHAIN}: give the folder of an NDK, as in "
            "`make aar NDK=$HOME/Android/Sdk/ndk/27.0.12077973`"
        )
    cmake = _program("cmake", "CMake 3.18 or later", "the Android SDK has one too")
    ninja = _program("ninja", "Ninja", "the Android SDK has one beside its CMake")
    # CMake keeps the compiler that a folder began with: another NDK wants another folder.
    digest = hashlib.sha256(f"{ndk}\n{_revision(ndk)}".encode()).hexdigest()[:8]
    folder = BUILD / "aar" / f"{abi}-{digest}"
    configure = [cmake, "-S", str(SOURCES), "-B", str(folder), "-G", "Ninja"]
    configure += [f"-DCMAKE_MAKE_PROGRAM={ninja}", f"-DCMAKE_TOOLCHAIN_FILE={toolchain}"]
    configure += [f"-DANDROID_ABI={abi}", f"-DANDROID_PLATFORM=android-{MIN_API_LEVEL}"]
    configure += ["-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_SHARED_LINKER_FLAGS_RELEASE=-s"]
    _run([*configure, "--log-level=WARNING"], f"configure for {abi}")
    build = [cmake, "--build", str(folder), "--parallel", str(jobs), "--target", "oaq_tflite"]
    _run(build, f"build for {abi}")
    return folder / LIBRARY


def _revision(ndk: Path) -> str:
    """What an NDK says of itself; one may be updated in its place."""
    properties = ndk / "source.properties"
    return properties.read_text() if properties.is_file() else ""


def compile_classes(api: Path, folder: Path, *options: str) -> bytes:
    """classes.jar of the library.

    Args:
      api: TensorFlow Lite's interface, a JAR.
      folder: where the classes are left, and headers of their native methods.
      options: further ones of javac.

    Raises:
      AndroidError: there is no javac, or it refuses the sources.
    """
    javac = _program("javac", "a JDK, 11 or later", "Android Studio has one in its jbr folder")
    shutil.rmtree(folder, ignore_errors=True)
    classes, headers = folder / "classes", folder / "headers"
    # Java 8 is what every Android build tool reads; newer compilers call it old.
    command = [javac, "--release", "8", "-Xlint:all,-options", *options, "-cp", str(api)]
    command += ["-d", str(classes), "-h", str(headers)]
    _run([*command, *map(str, sorted(JAVA.rglob("*.java")))], "compile the Java class")
    files = {str(path.relative_to(classes)): path for path in sorted(classes.rglob("*.class"))}
    return _zip({name: path.read_bytes() for name, path in files.items()})


def archive(libraries: Mapping[str, Path], classes: bytes) -> bytes:
    """The AAR.

    Args:
      libraries: for each ABI.
      classes: the bytes of classes.jar.
    """
    files = {
        "AndroidManifest.xml": _MANIFEST.encode(),
        "classes.jar": classes,
        # Its format wants one, for the library's resources: there are none.
        "R.txt": b"",
        "proguard.txt": (SOURCES / "oaq" / "consumer-rules.pro").read_bytes(),
        "LICENSE": (ROOT / "LICENSE").read_bytes(),
    }
    files |= {f"jni/{abi}/{LIBRARY}": path.read_bytes() for abi, path in libraries.items()}
    return _zip(files)


def _zip(files: Mapping[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, data in files.items():
            # Without a date: equal contents make equal archives.
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o644 << 16
            opened.writestr(entry, data, zipfile.ZIP_DEFLATED)
    return content.getvalue()


def _program(name: str, what: str, else_where: str) -> str:
    folders = [os.environ.get("PATH", os.defpath)]
    if os.environ.get("JAVA_HOME"):
        folders.append(str(Path(os.environ["JAVA_HOME"], "bin")))
    path = shutil.which(name, path=os.pathsep.join(folders))
    if path is None:
        raise AndroidError(f"{name} not found: install {what} ({else_where}), and put it in PATH")
    return path


def _run(command: list[str], what: str) -> None:
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        raise AndroidError(f"could not {what}:\n{run.stdout}{run.stderr}")


def main(arguments: list[str] | None = None) -> int:
    """The command line described above.

    Returns:
      The exit code: 1 where something is missing or failed.
    """
    parser = argparse.ArgumentParser(description="Makes the Android archive without Gradle.")
    parser.add_argument("--ndk", default="", help="folder of an Android NDK")
    parser.add_argument("--api", type=Path, help="classes.jar of tensorflow-lite-api")
    parser.add_argument("--output", type=Path, default=BUILD / "oaq-tflite.aar")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args(arguments)
    try:
        if not given.ndk:
            raise AndroidError(
                "no NDK was given: `make aar NDK=folder`, or set ANDROID_NDK_HOME; the SDK manager "
                "of Android Studio installs one below its ndk folder"
            )
        api = given.api or fetch(TFLITE_API) / "classes.jar"
        if not api.is_file():
            raise AndroidError(f"--api is '{api}', expected the classes.jar of tensorflow-lite-api")
        classes = compile_classes(api, BUILD / "aar" / "java")
        libraries = {abi: build_library(Path(given.ndk).resolve(), abi, given.jobs) for abi in ABIS}
        given.output.parent.mkdir(parents=True, exist_ok=True)
        given.output.write_bytes(archive(libraries, classes))
    except AndroidError as error:
        print(f"AAR: {error}", file=sys.stderr)
        return 1
    sizes = ", ".join(f"{abi} {path.stat().st_size // 1024} KiB" for abi, path in libraries.items())
    print(f"{given.output}: {sizes}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
