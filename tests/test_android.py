# SPDX-License-Identifier: Apache-2.0
"""The Android library, as far as it can be tried without an NDK and without a device."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sysconfig
import zipfile
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import interpreter as litert

from oaq_keras.rewrite import to_custom_ops
from oaq_keras.version import __version__
from tests.android import fetch, oaq_android, stand_in
from tests.arm import emulated, oaq_arm, whole
from tests.matrix import fetch as matrix
from tests.models import small_network

ROOT = oaq_android.ROOT
KERNELS = ROOT / "tflite_kernels"
JAVA_TESTS = Path(__file__).parent / "android" / "java"
MOST_BYTES = 300_000
LIBRARY = oaq_android.LIBRARY
PATH = os.pathsep.join([os.environ.get("PATH", ""), sysconfig.get_path("scripts")])
"""pip puts cmake and ninja next to Python."""


def fetched(artifact: str) -> Path:
    folder = oaq_android.fetched(artifact)
    if not folder.is_dir():
        pytest.skip("needs `make android-fetch`")
    return folder


@pytest.fixture(scope="session")
def tools() -> dict[str, str]:
    """What every test here runs."""
    found = {name: shutil.which(name, path=PATH) for name in ("javac", "java", "cmake", "ninja")}
    missing = [name for name, program in found.items() if program is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    return {name: str(program) for name, program in found.items()}


def build(tools: dict[str, str], folder: Path, *options: str) -> Path:
    """The library for something else than Android, with warnings as errors."""
    configure = [tools["cmake"], "-S", str(oaq_android.SOURCES), "-B", str(folder), "-G", "Ninja"]
    configure += [f"-DCMAKE_MAKE_PROGRAM={tools['ninja']}", "-DOAQ_WERROR=ON", *options]
    run([*configure, "--log-level=WARNING"])
    run([tools["cmake"], "--build", str(folder), "--target", "oaq_tflite"])
    return folder / LIBRARY


def run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def java(tools: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with `classes` of the library, `headers` of its natives, and classes.jar."""
    folder = tmp_path_factory.mktemp("java")
    api = fetched(oaq_android.TFLITE_API) / "classes.jar"
    jar = oaq_android.compile_classes(api, folder, "-Werror")
    (folder / "classes.jar").write_bytes(jar)
    return folder


@pytest.fixture(scope="session")
def host(tools: dict[str, str]) -> Path:
    """The library for this machine's JVM."""
    if not shutil.which("cc"):
        pytest.skip("needs a C compiler")
    return build(tools, oaq_android.BUILD / "host")


def compiled(tools: dict[str, str], sources: Path, path: list[Path], folder: Path) -> None:
    """Compiles all that is in a folder, as Gradle would: to Java 8, here with all warnings."""
    warnings = ["-Xlint:all,-options,-path,-classfile", "-Werror"]
    command = [tools["javac"], "--release", "8", *warnings, "-d", str(folder)]
    command += ["-cp", os.pathsep.join(map(str, path))]
    run([*command, *map(str, sorted(sources.rglob("*.java")))])


def in_jvm(tools: dict[str, str], path: list[Path], libraries: Path, *arguments: str) -> str:
    # Not in the working directory, where a JVM that crashes would leave it.
    log = f"-XX:ErrorFile={path[0] / 'crash.log'}"
    command = [tools["java"], "-Xcheck:jni", log, f"-Djava.library.path={libraries}"]
    said = run([*command, "-cp", os.pathsep.join(map(str, path)), *arguments])
    # What -Xcheck:jni has to say goes there.
    assert "WARNING" not in said, said
    return said


def test_the_sample_compiles_against_android(
    tools: dict[str, str], java: Path, tmp_path: Path
) -> None:
    path = [fetched(fetch.ANDROID), fetched(fetch.TFLITE) / "classes.jar", java / "classes.jar"]
    path.append(fetched(oaq_android.TFLITE_API) / "classes.jar")
    compiled(tools, oaq_android.SOURCES / "sample", path, tmp_path)
    assert (tmp_path / "ai" / "oaq" / "sample" / "MainActivity.class").is_file()


@pytest.fixture(scope="session")
def delegate_test(
    tools: dict[str, str], java: Path, tmp_path_factory: pytest.TempPathFactory
) -> list[Path]:
    """Class path of DelegateTest."""
    folder = tmp_path_factory.mktemp("delegate_test")
    path = [java / "classes.jar", fetched(oaq_android.TFLITE_API) / "classes.jar"]
    compiled(tools, JAVA_TESTS / "ai" / "oaq" / "tflite", path, folder)
    return [folder, *path]


def test_a_delegate_in_a_jvm(tools: dict[str, str], host: Path, delegate_test: list[Path]) -> None:
    said = in_jvm(tools, delegate_test, host.parent, "ai.oaq.tflite.DelegateTest")
    assert said.split() == [__version__]


def test_a_library_that_is_missing_is_named(
    tools: dict[str, str], delegate_test: list[Path], tmp_path: Path
) -> None:
    in_jvm(tools, delegate_test, tmp_path, "ai.oaq.tflite.DelegateTest", "without-library")


@pytest.mark.parametrize("ops", ["custom", "builtin"])
def test_the_sample_in_the_java_interpreter(
    tools: dict[str, str], java: Path, host: Path, ops: str, tmp_path: Path
) -> None:
    """TensorFlow Lite's own Interpreter, its Java and its JNI, in a JVM on this machine."""
    runtime = fetched(fetch.HOST_NATIVE) / "native" / "lib" / "libtensorflowlite_jni.so"
    if os.uname().machine != "x86_64":
        pytest.skip("needs an x86-64, for which TensorFlow Lite's JNI is on Maven")
    path = [java / "classes.jar", fetched(fetch.HOST_CLASSES)]
    sample = oaq_android.SOURCES / "sample" / "src" / "main" / "java" / "ai" / "oaq" / "sample"
    sources = tmp_path / "sources"
    sources.mkdir()
    for source in (*sample.glob("C*.java"), *(JAVA_TESTS / "ai" / "oaq" / "sample").iterdir()):
        shutil.copy(source, sources)
    compiled(tools, sources, path, tmp_path / "classes")

    builtin = small_network(15)
    (tmp_path / "stock.tflite").write_bytes(builtin)
    ours = to_custom_ops(builtin) if ops == "custom" else builtin
    (tmp_path / "ours.tflite").write_bytes(ours)
    picture = np.random.default_rng(1).integers(0, 256, (8, 8, 3))
    pixels = np.zeros((8, 8), ">u4")
    for channel in range(3):
        pixels = pixels << 8 | picture[..., channel].astype(">u4")
    (tmp_path / "picture").write_bytes(pixels.astype(">u4").tobytes())
    given = [str(runtime), str(tmp_path), "true" if ops == "builtin" else "false"]
    path.insert(0, tmp_path / "classes")
    said = in_jvm(tools, path, host.parent, "ai.oaq.sample.ClassifierTest", *given)

    reference = litert.Interpreter(
        model_content=builtin, experimental_op_resolver_type=litert.OpResolverType.BUILTIN_REF
    )
    reference.allocate_tensors()
    (source,) = reference.get_input_details()
    reference.set_tensor(source["index"], (picture - 128).astype(np.int8)[None])
    reference.invoke()
    expected = reference.get_tensor(reference.get_output_details()[0]["index"]).reshape(-1)
    scores = np.frombuffer((tmp_path / "ours.scores").read_bytes(), np.int8)
    np.testing.assert_array_equal(scores, expected)
    stock = np.frombuffer((tmp_path / "stock.scores").read_bytes(), np.int8)
    # XNNPACK rounds otherwise, layer after layer.
    assert np.abs(stock.astype(int) - expected).max() <= 2
    assert int(said.split()[1]) == expected.argmax()
    plan = json.loads((tmp_path / "plan.json").read_text())
    runs = [entry for entry in plan if entry["runs"] == "int16"]
    assert len(runs) == 5
    assert {entry["isa"] for entry in runs} == {"scalar"}
    assert {entry["invocations"] for entry in runs} == {24}


def natives(java: Path) -> set[str]:
    """What OaqDelegate declares, by its name in C."""
    (header,) = (java / "headers").iterdir()
    return set(re.findall(r"\bJava_\w+", header.read_text()))


def in_the_header() -> set[str]:
    header = (KERNELS / "include" / "oaq" / "oaq_tflite.h").read_text()
    return set(re.findall(r"^OAQ_EXPORT [^;(]*?(\w+)\(", header, re.M))


def test_exports_are_what_java_and_c_declare(java: Path, host: Path) -> None:
    assert len(natives(java)) == 4
    assert stand_in.symbols(host, "--defined-only") == natives(java) | in_the_header()


@pytest.fixture(scope="session")
def archive(tools: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The AAR that the stand-in for an NDK makes, and the stand-in's compilers."""
    fetched(fetch.TFLITE)
    shipping = oaq_android.ROOT / "build" / "shipping"
    zig = next(shipping.glob("lib/python3*/site-packages/ziglang/zig"), None)
    if zig is None:
        pytest.skip("needs `make android-fetch`, for ziglang")
    if not shutil.which("clang") or not shutil.which("nm"):
        pytest.skip("needs clang and nm")
    folder = oaq_android.BUILD / "stand_in"
    stand_in.write(folder, zig)
    output = tmp_path_factory.mktemp("aar") / "oaq.aar"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OAQ_STAND_IN", str(folder))
        patch.setenv("PATH", PATH)
        assert oaq_android.main(["--ndk", str(stand_in.NDK), "--output", str(output)]) == 0
    return output, folder


def test_the_archive_holds_what_an_aar_must(archive: tuple[Path, Path], java: Path) -> None:
    with zipfile.ZipFile(archive[0]) as opened:
        names = set(opened.namelist())
        libraries = {f"jni/{abi}/{LIBRARY}" for abi in oaq_android.ABIS}
        rest = {"AndroidManifest.xml", "classes.jar", "R.txt", "proguard.txt", "LICENSE"}
        assert names == libraries | rest
        assert 'android:minSdkVersion="23"' in opened.read("AndroidManifest.xml").decode()
        assert opened.read("classes.jar") == (java / "classes.jar").read_bytes()
        kept = re.search(r"-keep\S* class (\S+)", opened.read("proguard.txt").decode())
    assert kept
    with zipfile.ZipFile(java / "classes.jar") as opened:
        assert kept[1].replace(".", "/") + ".class" in opened.namelist()


@pytest.mark.parametrize("abi", oaq_android.ABIS)
def test_a_library_for_android(
    archive: tuple[Path, Path], java: Path, abi: str, tmp_path: Path
) -> None:
    with zipfile.ZipFile(archive[0]) as opened:
        library = Path(opened.extract(f"jni/{abi}/{LIBRARY}", tmp_path))
    assert stand_in.symbols(library, "--defined-only") == natives(java) | in_the_header()
    wanted = stand_in.symbols(library, "--undefined-only")
    assert wanted <= stand_in.of_bionic(abi) | set(stand_in.NOT_OF_BIONIC.get(abi, ()))
    # Android's linker loads all that is named, wanted or not.
    dynamic = run(["readelf", "-dW", str(library)])
    needed = set(re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic))
    assert needed <= {"libc.so", "libm.so", "libdl.so", "liblog.so"}
    assert "TEXTREL" not in dynamic
    assert library.stat().st_size <= MOST_BYTES
    segments = re.findall(r"^ +LOAD .* (0x\w+)$", run(["readelf", "-lW", str(library)]), re.M)
    assert len(segments) >= 2
    assert all(int(alignment, 16) >= 16384 for alignment in segments)


@pytest.mark.parametrize("abi", oaq_android.ABIS)
def test_what_is_known_of_bionic_is_old_enough(abi: str) -> None:
    fetched(fetch.TFLITE)
    level = oaq_android.MIN_API_LEVEL
    assert stand_in.built_for(stand_in.stock_library(abi)) <= level
    assert max(stand_in.FROM_THE_MAPS.values()) <= level


@pytest.mark.parametrize("abi", oaq_android.ABIS)
def test_what_bionic_lacks_does_not_link(
    archive: tuple[Path, Path], abi: str, tmp_path: Path
) -> None:
    source = tmp_path / "newer.c"
    # Of API level 28.
    source.write_text("#include <stdlib.h>\nvoid* newer(void) { return aligned_alloc(64, 64); }\n")
    clang = str(archive[1] / abi / "clang")
    command = [clang, "-fPIC", "-shared", "-Wl,-z,defs", str(source), "-lc", "-o"]
    done = subprocess.run(
        [*command, str(tmp_path / "newer.so")], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "undefined symbol: aligned_alloc" in done.stderr


def without_names(assembly: str) -> list[str]:
    """Assembly without what names the file that it was made of."""
    return [line for line in assembly.splitlines() if not line.lstrip().startswith(".file")]


@pytest.mark.parametrize("abi", oaq_android.ABIS)
@pytest.mark.parametrize("changed", [False, True])
def test_the_abi_is_that_of_the_headers_in_the_archive(
    archive: tuple[Path, Path], abi: str, changed: bool, tmp_path: Path
) -> None:
    """For each of Android's ABIs, where nothing can be run: the tables of sizes and offsets."""
    own = tmp_path / "tensorflow" / "lite" / "c"
    own.mkdir(parents=True)
    text = (KERNELS / "tflite" / "abi.h").read_text()
    if changed:
        # A pointer's alignment would hide an integer before it on 64 bits.
        text = text.replace("  TfLiteIntArray* dims;\n", "  TfLiteIntArray *moved, *dims;\n")
    (own / "common.h").write_text(text)
    tables = []
    for include in (tmp_path, fetched(fetch.TFLITE) / "headers"):
        source = str(KERNELS / "tests" / "abi_official.c")
        command = [str(archive[1] / abi / "clang"), "-std=c11", "-S", "-O1", f"-I{include}"]
        run([*command, source, "-o", str(tmp_path / "tables.s")])
        tables.append(without_names((tmp_path / "tables.s").read_text()))
    assert len(tables[0]) > 100
    assert (tables[0] == tables[1]) is not changed


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "no NDK was given"),
        (["--ndk", "{folder}", "--api", "{folder}/none.jar"], "--api is '{folder}/none.jar'"),
        (["--ndk", "{folder}"], "NDK is '{folder}', which has no build/cmake/android"),
    ],
)
def test_what_is_missing_is_said(
    java: Path,
    arguments: list[str],
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = [argument.format(folder=tmp_path) for argument in arguments]
    assert oaq_android.main(given) == 1
    assert said.format(folder=tmp_path) in capsys.readouterr().err


def test_a_missing_program_is_named(
    java: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    assert oaq_android.main(["--ndk", str(stand_in.NDK)]) == 1
    assert "javac not found: install a JDK" in capsys.readouterr().err


def test_gradle_says_the_same() -> None:
    files = [oaq_android.SOURCES / name / "build.gradle" for name in ("oaq", "sample")]
    library, sample = (path.read_text() for path in files)
    for text in (library, sample):
        assert f"minSdk {oaq_android.MIN_API_LEVEL}\n" in text
    abis = ", ".join(f"'{abi}'" for abi in oaq_android.ABIS)
    assert f"abiFilters {abis}\n" in library
    for text, artifact in ((library, oaq_android.TFLITE_API), (sample, fetch.TFLITE)):
        assert f"'{artifact.removesuffix(':aar')}'" in text
    assert f"versionName '{__version__}'" in sample


def test_the_library_for_aarch64_through_the_c_api(tools: dict[str, str], tmp_path: Path) -> None:
    target = emulated.TARGETS["aarch64"]
    program = target.folder / "tflite_kernels" / "bench" / "oaq_run_model"
    reason = oaq_arm.missing(target)
    if reason or not program.is_file():
        pytest.skip(reason or "needs `make arm`")
    cache = ROOT / "build" / "matrix"
    runtime = matrix.c_library(cache, "aarch64") if (cache / "package").is_dir() else ""
    if not runtime:
        pytest.skip("needs the TensorFlow Lite C library: `make matrix` fetches it")
    toolchain = f"-DCMAKE_TOOLCHAIN_FILE={target.toolchain}"
    library = build(tools, oaq_android.BUILD / "aarch64", toolchain)
    network = whole.observed(small_network(15))
    for cpu in target.cpus:
        command = emulated.program(target, cpu, program)
        command += ["--runtime", runtime, "--library", str(library), "--threads", "2"]
        found, plan = whole.run(command, network.content, network.image, tmp_path)
        compared, wrong = whole.differing(network, plan, found)
        assert not wrong, (cpu, wrong)
        assert compared >= 2


def test_another_ndk_is_not_taken_for_the_last_one(
    archive: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CMake would go on with the compiler that a folder began with."""
    monkeypatch.setenv("OAQ_STAND_IN", str(archive[1]))
    monkeypatch.setenv("PATH", PATH)
    other = tmp_path / "ndk" / oaq_android.TOOLCHAIN
    other.parent.mkdir(parents=True)
    other.write_text('message(FATAL_ERROR "the other NDK")\n')
    with pytest.raises(oaq_android.AndroidError, match="the other NDK"):
        oaq_android.build_library(tmp_path / "ndk", "arm64-v8a", 1)
