# SPDX-License-Identifier: Apache-2.0
"""What stands in for an NDK: compilers for Android's ABIs, and libraries with bionic's symbols."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.android import fetch, oaq_android

NDK = Path(__file__).parent / "ndk"

FROM_THE_MAPS = {
    "atoi": 9,
    "fgets": 9,
    "getauxval": 18,
    "getpid": 9,
    "pthread_cond_init": 9,
    "pthread_mutex_trylock": 9,
    "round": 9,
    "roundf": 9,
    "sscanf": 9,
    "strspn": 9,
}
"""What we need and stock TensorFlow Lite does not, each with the API level that brought it to
32-bit Android (64-bit began with 21), as bionic's libc.map.txt and libm.map.txt have it; 9 where
they name none. A symbol goes in here after a look there."""


NOT_OF_BIONIC = {
    "armeabi-v7a": (
        # An NDK's linker takes these from the compiler's own static library.
        *("__aeabi_d2lz", "__aeabi_f2lz", "__aeabi_idiv", "__aeabi_idivmod", "__aeabi_ldivmod"),
        *("__aeabi_uidiv", "__aeabi_uidivmod", "__aeabi_uldivmod"),
        # What musl's headers make of clock_gettime on 32 bits.
        "__clock_gettime64",
    ),
}
"""What this stand-in adds, by ABI."""


@dataclass(frozen=True)
class Abi:
    """How clang and musl's headers call one of Android's ABIs, and how an NDK compiles for it."""

    triplet: str
    machine: str
    flags: tuple[str, ...] = ()


ABIS = {
    # Atomic operations in the code: out of line they are the compiler's library again.
    "arm64-v8a": Abi("aarch64-linux-android", "aarch64", ("-mno-outline-atomics",)),
    "armeabi-v7a": Abi("armv7a-linux-androideabi", "arm", ("-mfloat-abi=softfp", "-mthumb")),
    "x86_64": Abi("x86_64-linux-android", "x86_64"),
}


def jni_headers() -> list[Path]:
    """Folders with a JDK's jni.h, whose functions are Android's."""
    javac = shutil.which("javac")
    assert javac is not None
    include = Path(javac).resolve().parents[1] / "include"
    return [include, include / "linux"]


def write_compiler(zig: Path, abi: str, folder: Path) -> Path:
    """Writes what an NDK has too: scripts that are clang and the linker for an ABI."""
    known = ABIS[abi]
    linker = folder / "ld"
    linker.write_text(f'#!/bin/sh\nexec {shlex.quote(str(zig))} ld.lld "$@"\n')
    include = zig.parent / "lib" / "libc" / "include"
    machine = (f"{known.machine}-linux-musl", "generic-musl")
    kernel = (f"{known.machine}-linux-any", "any-linux-any")
    folders = [*(include / name for name in (*machine, *kernel)), *jni_headers()]
    command = ["clang", f"--target={known.triplet}{oaq_android.MIN_API_LEVEL}", *known.flags]
    command += ["-nostdlibinc", *(f"-isystem{path}" for path in folders)]
    command += ["-nostdlib", f"--ld-path={linker}", f"-L{folder}"]
    script = folder / "clang"
    script.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
    for path in (linker, script):
        path.chmod(0o755)
    return script


def stock_library(abi: str) -> Path:
    """TensorFlow Lite's own library, of its AAR."""
    return oaq_android.fetched(fetch.TFLITE) / "jni" / abi / "libtensorflowlite_jni.so"


def built_for(library: Path) -> int:
    """The API level that an NDK's linker left in a library: a note of Android's."""
    command = ["readelf", "--notes", "--wide", str(library)]
    notes = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    level = re.search(r"^\s+Android\s.*\s*description data: ((?:\w\w ){4})", notes, re.M)
    assert level, notes
    return int.from_bytes(bytes.fromhex(level[1]), "little")


def symbols(library: Path, kind: str) -> set[str]:
    """A library's dynamic symbols.

    Args:
      library: of any machine.
      kind: "--defined-only" or "--undefined-only".
    """
    command = ["nm", "-D", kind, str(library)]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return {line.split()[-1].split("@")[0] for line in lines}


def of_bionic(abi: str) -> set[str]:
    """Symbols known to be in bionic at API level 23: what stock libraries for older ones import."""
    return symbols(stock_library(abi), "--undefined-only") | FROM_THE_MAPS.keys()


def write(folder: Path, zig: Path) -> None:
    """Fills the folder that the toolchain file calls OAQ_STAND_IN."""
    for abi in ABIS:
        place = folder.resolve() / abi
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        program = write_compiler(zig, abi, place)
        names = sorted(of_bionic(abi).union(NOT_OF_BIONIC.get(abi, ())))
        source = place / "bionic.c"
        source.write_text("".join(f"void {name}(void) {{}}\n" for name in names))
        link = [str(program), "-w", "-fno-builtin", "-fPIC", "-shared", "-x", "c"]
        # All of it in libc: which library has what is not what this is about.
        for name in ("libc", "libm", "libdl", "liblog"):
            given = source if name == "libc" else "/dev/null"
            library = ["-o", str(place / f"{name}.so"), f"-Wl,-soname,{name}.so"]
            subprocess.run([*link, str(given), *library], check=True)
