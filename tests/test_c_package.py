# SPDX-License-Identifier: Apache-2.0
"""What is installed for C and C++, programs built with it, and examples/c."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import oaq_keras
from oaq_keras.rewrite import to_custom_ops
from tests.matrix import fetch
from tests.models import small_network

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples" / "c"
INCLUDE = ROOT / "tflite_kernels" / "include"
HEADER = INCLUDE / "oaq" / "oaq_tflite.h"
VERSION = oaq_keras.__version__
MAJOR, MINOR = VERSION.split(".")[:2]
SONAME = f"liboaq_tflite.so.{MAJOR}.{MINOR}"
STRIPPED_BYTES = 300_000
WARNINGS = ["-Wall", "-Wextra", "-Werror", "-Wconversion", "-pedantic"]
INSTALLED = {
    "include/oaq/oaq_tflite.h",
    "lib/cmake/oaq_tflite/oaq_tflite-config-version.cmake",
    "lib/cmake/oaq_tflite/oaq_tflite-config.cmake",
    "lib/cmake/oaq_tflite/oaq_tflite-targets-release.cmake",
    "lib/cmake/oaq_tflite/oaq_tflite-targets.cmake",
    "lib/liboaq_tflite.a",
    "lib/liboaq_tflite.so",
    f"lib/{SONAME}",
    f"lib/liboaq_tflite.so.{VERSION}",
    "lib/pkgconfig/oaq_tflite.pc",
}
# C and C++: creates and destroys what every part of the library has to be linked for.
PROGRAM = """\
#include <stdio.h>
#include "oaq/oaq_tflite.h"
int main(void) {
  TfLiteDelegate* delegate = oaq_delegate_create(NULL);
  if (delegate == NULL || oaq_register_conv_2d() == NULL) return 1;
  oaq_delegate_destroy(delegate);
  return puts(oaq_version()) < 0;
}
"""
PROJECT = """\
cmake_minimum_required(VERSION 3.18)
project(consumer LANGUAGES {language})
find_package(oaq_tflite 0.0 QUIET)
if(oaq_tflite_FOUND)
  message(FATAL_ERROR "another version was taken")
endif()
find_package(oaq_tflite {version} REQUIRED)
add_executable(shared main.{suffix})
target_link_libraries(shared PRIVATE oaq::oaq_tflite)
add_executable(static main.{suffix})
target_link_libraries(static PRIVATE oaq::oaq_tflite_static)
"""

linux = pytest.mark.skipif(sys.platform != "linux", reason="the kernels are built on Linux only")
pytestmark = linux


def tool(*names: str) -> str:
    """The first of these programs that is there; also where this Python's are."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    found = next(filter(None, (shutil.which(name, path=path) for name in names)), None)
    if found is None:
        pytest.skip(f"needs {' or '.join(names)}")
    return found


def run(*command: object, given: bytes = b"", **environment: str) -> subprocess.CompletedProcess:
    words = [str(word) for word in command]
    environment = {**os.environ, **environment}
    return subprocess.run(words, input=given, capture_output=True, check=False, env=environment)


def output(*command: object, **environment: str) -> str:
    """What a program prints that must succeed."""
    done = run(*command, **environment)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
    return str(done.stdout.decode())


def build(source: Path, into: Path, *settings: str) -> None:
    """Configures and builds a CMake project, in Release."""
    tools = [f"-DCMAKE_MAKE_PROGRAM={tool('ninja')}", f"-DCMAKE_C_COMPILER={tool('cc', 'gcc')}"]
    configure = [tool("cmake"), "-S", source, "-B", into, "-G", "Ninja", *tools, *settings]
    output(*configure, "-DCMAKE_BUILD_TYPE=Release")
    output(tool("cmake"), "--build", into)


def names(option: str, path: Path) -> set[str]:
    """The names of global symbols that an object defines: nm's with `option`."""
    lines = output(tool("nm"), option, "--defined-only", path).splitlines()
    return {line.split()[-1] for line in lines if len(line.split()) == 3}


def needed(path: Path) -> set[str]:
    """The shared libraries that a program or library names."""
    return set(re.findall(r"NEEDED.*\[(.*)\]", output(tool("readelf"), "-d", path)))


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where it was installed to, and then moved."""
    folder = tmp_path_factory.mktemp("package")
    build(ROOT, folder / "build", "-DCMAKE_INSTALL_LIBDIR=lib")
    install = [tool("cmake"), "--install", folder / "build", "--component", "library", "--strip"]
    output(*install, "--prefix", folder / "installed")
    return (folder / "installed").rename(folder / "moved")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "main.c"
    path.write_text(PROGRAM)
    return path


def test_what_is_installed(package: Path) -> None:
    paths = [path for path in package.rglob("*") if not path.is_dir()]
    assert {str(path.relative_to(package)) for path in paths} == INSTALLED
    for path in paths:
        if path.suffix in (".cmake", ".pc"):
            assert str(ROOT) not in path.read_text()


def test_the_shared_library_exports_what_the_header_declares(package: Path) -> None:
    declared = set(re.findall(r"^OAQ_EXPORT[^(]*?(\w+)\(", HEADER.read_text(), re.MULTILINE))
    assert len(declared) == HEADER.read_text().count("\nOAQ_EXPORT ")
    assert names("-D", package / "lib" / "liboaq_tflite.so") == declared


def test_the_shared_library_needs_the_c_library_alone(package: Path) -> None:
    path = package / "lib" / "liboaq_tflite.so"
    others = {name for name in needed(path) if not name.startswith("ld-")}
    assert others <= {"libc.so.6", "libm.so.6", "libpthread.so.0"}
    assert f"soname: [{SONAME}]" in output(tool("readelf"), "-d", path)


def test_the_shared_library_is_small(package: Path) -> None:
    if "Free Software Foundation" not in output(tool("cc", "gcc"), "--version"):
        pytest.skip("the limit is one of gcc's code; clang 14 makes it a few percent larger")
    assert (package / "lib" / "liboaq_tflite.so").stat().st_size < STRIPPED_BYTES


def test_the_archive_is_complete_and_keeps_to_its_names(package: Path, tmp_path: Path) -> None:
    archive = package / "lib" / "liboaq_tflite.a"
    strange = [n for n in names("-g", archive) if not n.startswith(("oaq_", "tflite_plugin_"))]
    assert not strange
    whole = ["-Wl,--whole-archive", archive, "-Wl,--no-whole-archive", "-Wl,--no-undefined"]
    output(tool("cc", "gcc"), "-shared", *whole, "-lm", "-pthread", "-o", tmp_path / "all.so")


@pytest.mark.parametrize(
    ("compilers", "language"),
    [(("cc", "gcc"), ["c", "-std=c11"]), (("c++",), ["c++", "-std=c++17"])],
)
def test_the_header_compiles_alone(
    compilers: Sequence[str], language: list[str], tmp_path: Path
) -> None:
    (tmp_path / "alone").write_text('#include "oaq/oaq_tflite.h"\n')
    command = [tool(*compilers), *WARNINGS, "-fsyntax-only", f"-I{INCLUDE}", "-x", *language]
    output(*command, tmp_path / "alone")


@pytest.mark.parametrize("static", [False, True])
def test_a_program_built_with_pkg_config(
    package: Path, source: Path, tmp_path: Path, static: bool
) -> None:
    folder = package / "lib" / "pkgconfig"

    def asked(*options: str) -> list[str]:
        command = [tool("pkg-config"), *options, "oaq_tflite"]
        return output(*command, PKG_CONFIG_PATH=str(folder)).split()

    assert asked("--modversion") == [VERSION]
    options = ["-static", *asked("--static", "--libs")] if static else asked("--libs")
    program = tmp_path / "program"
    built = run(tool("cc", "gcc"), source, *asked("--cflags"), *options, "-o", program)
    if static and b"-lc" in built.stderr:
        pytest.skip("needs a static C library")
    assert built.returncode == 0, built.stderr.decode()
    assert (SONAME in needed(program)) == (not static)
    assert output(program, LD_LIBRARY_PATH=str(package / "lib")).strip() == VERSION


@pytest.mark.parametrize(("language", "suffix"), [("C", "c"), ("CXX", "cc")])
def test_a_program_built_with_find_package(
    package: Path, source: Path, tmp_path: Path, language: str, suffix: str
) -> None:
    if language == "CXX":
        tool("c++")
    source.rename(source.with_suffix(f".{suffix}"))
    project = PROJECT.format(language=language, suffix=suffix, version=f"{MAJOR}.{MINOR}")
    (tmp_path / "CMakeLists.txt").write_text(project)
    build(tmp_path, tmp_path / "build", f"-Doaq_tflite_ROOT={package}")
    for linked in ("shared", "static"):
        program = tmp_path / "build" / linked
        assert (SONAME in needed(program)) == (linked == "shared")
        assert output(program).strip() == VERSION


@pytest.fixture(scope="session")
def run_model(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    cache = ROOT / "build" / "matrix"
    runtime = fetch.c_library(cache) if (cache / "package").is_dir() else ""
    if not runtime:
        pytest.skip("needs the TensorFlow Lite C library: `make matrix` fetches it")
    folder = tmp_path_factory.mktemp("examples")
    tflite = [f"-DTFLITE={Path(runtime).parents[1]}", f"-DTFLITE_C={runtime}"]
    flags = f"-DCMAKE_C_FLAGS={' '.join(WARNINGS)}"
    build(EXAMPLES, folder, f"-Doaq_tflite_ROOT={package}", *tflite, flags)
    return folder / "run_model"


@pytest.fixture(scope="session")
def image() -> np.ndarray:
    return np.random.default_rng(3).integers(-128, 128, (1, 8, 8, 3), "i1")


@pytest.fixture(scope="session")
def expected(image: np.ndarray) -> bytes:
    """What the reference kernels make of the image."""
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    interpreter = litert.Interpreter(
        model_content=small_network(largest=31),
        experimental_op_resolver_type=litert.OpResolverType.BUILTIN_REF,
    )
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
    interpreter.invoke()
    codes = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    assert len(np.unique(codes)) > 1
    return bytes(codes.tobytes())


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "small.tflite"
    path.write_bytes(to_custom_ops(small_network(largest=31)))
    return path


@pytest.mark.parametrize("way", ["delegate", "operators"])
def test_run_model(
    run_model: Path, model: Path, image: np.ndarray, expected: bytes, way: str
) -> None:
    done = run(run_model, model, way, given=image.tobytes())
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout == expected


@pytest.mark.parametrize(
    ("arguments", "given", "message"),
    [
        ([], 192, "usage: run_model MODEL.tflite delegate|operators"),
        (["{model}", "both"], 192, "usage: "),
        (["missing.tflite", "delegate"], 192, "can't be read, or is no .tflite file"),
        (["{model}", "delegate"], 191, "stdin ends before input 0 has its 192 bytes"),
        (["{model}", "delegate"], 193, "stdin holds more than the inputs"),
    ],
)
def test_run_model_says_what_is_wrong(
    run_model: Path, model: Path, arguments: list[str], given: int, message: str
) -> None:
    words = [word.format(model=model) for word in arguments]
    done = run(run_model, *words, given=bytes(given))
    assert done.returncode == 1
    assert message in done.stderr.decode()
    assert not done.stdout


def test_resolver(
    package: Path, model: Path, image: np.ndarray, expected: bytes, tmp_path: Path
) -> None:
    folders = os.environ.get("TFLITE_CXX_INCLUDE")
    if not folders:
        pytest.skip("needs TensorFlow Lite's headers for C++: TFLITE_CXX_INCLUDE='FOLDER;FOLDER'")
    includes = [word for each in folders.split(";") for word in ("-isystem", each)]
    command = [tool("c++"), "-std=c++17", *WARNINGS, f"-I{package / 'include'}", *includes]
    output(*command, "-c", EXAMPLES / "resolver.cc", "-o", tmp_path / "resolver.o")
    libraries = os.environ.get("TFLITE_CXX")
    if not libraries:
        pytest.skip("compiled, not linked: TFLITE_CXX='LIBRARY;LIBRARY' is not set")
    archive = package / "lib" / "liboaq_tflite.a"
    linked = [tmp_path / "resolver.o", archive, *libraries.split(";"), "-lm", "-ldl", "-pthread"]
    output(tool("c++"), *linked, "-o", tmp_path / "resolver")
    done = run(tmp_path / "resolver", model, given=image.tobytes())
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout == expected


def test_the_quoted_error_is_the_runtimes(model: Path) -> None:
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    with pytest.raises(RuntimeError) as refused:
        litert.Interpreter(model_path=str(model)).allocate_tensors()
    quoted = re.search(r"```\n(Encountered .*?)\n```", (EXAMPLES / "README.md").read_text(), re.S)
    assert quoted
    assert " ".join(quoted[1].split()) in " ".join(str(refused.value).split())
