# SPDX-License-Identifier: Apache-2.0
"""The proof against an observation: every lane's true sum in 64 bits, counted beside the kernels.

Builds liboaq_tflite_counting, which counts the lanes that a drain finds overflowed, and feeds it
the inputs that bring the lanes to their ends. The bound is shown to be tight, and the count to be
able to fail: with the proof switched off, lanes do overflow.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.isas import available_isas
from tests.models import ModelBuilder, random_codes

litert = pytest.importorskip("ai_edge_litert.interpreter")
schema = pytest.importorskip("ai_edge_litert.schema_py_generated")

REPOSITORY = Path(__file__).resolve().parents[1]
INT16 = (-(2**15), 2**15 - 1)
# Ranges whose width divides 2^16 - 1, so that some L1 norm reaches the bound exactly.
INT16_ISAS = ("scalar", "sse41", "avx2", "avx512bw", "neon")
WIDTHS = {255: (-128, 127), 85: (-40, 45), 51: (-51, 0), 17: (100, 117)}


@pytest.fixture(scope="session")
def counting(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    cmake, ninja = (shutil.which(tool, path=path) for tool in ("cmake", "ninja"))
    compiler = next(filter(None, (shutil.which(name) for name in ("cc", "gcc", "clang"))), None)
    if cmake is None or ninja is None or compiler is None:
        pytest.skip("needs cmake, ninja and a C compiler, to build the kernels that count")
    build = tmp_path_factory.mktemp("counting")
    configure = [cmake, "-S", str(REPOSITORY / "tflite_kernels"), "-B", str(build), "-G", "Ninja"]
    configure += [f"-DCMAKE_MAKE_PROGRAM={ninja}", f"-DCMAKE_C_COMPILER={compiler}"]
    for command in ([*configure, "-DOAQ_COUNT_OVERFLOWS=ON"], [cmake, "--build", str(build)]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    (library,) = build.glob("*oaq_tflite_counting*")
    return str(library)


class Counts(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int64) for name in ("drains", "overflows", "smallest", "largest")]


def run(
    library: str, content: bytes, value: np.ndarray[Any, Any], **options: Any
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], Counts]:
    """The reference's answer, ours, and what the lanes did meanwhile."""
    options = {"builtin": 1, "plan": "int16", "isa": "scalar", **options}
    text = {k: str(v) for k, v in options.items()}
    delegate = litert.load_delegate(library, text)
    answers = []
    for delegates in (None, [delegate]):
        interpreter = litert.Interpreter(
            model_content=content,
            experimental_op_resolver_type=litert.OpResolverType.BUILTIN_REF,
            experimental_delegates=delegates,
        )
        interpreter.allocate_tensors()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], value)
        interpreter.invoke()
        answers.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
    counts = Counts()
    function = ctypes.CDLL(library).oaq_overflow_counts
    function.argtypes, function.restype = [ctypes.c_void_p, ctypes.POINTER(Counts)], None
    function(delegate._get_native_delegate_pointer(), ctypes.byref(counts))
    return answers[0], answers[1], counts


def closed(builder: ModelBuilder, shape: tuple[int, ...], lo: int, hi: int) -> int:
    """An input that MINIMUM and MAXIMUM keep within [lo, hi], and the kernels know it."""
    tensor = builder.input(shape)
    for kind, code in (("MINIMUM", hi), ("MAXIMUM", lo)):
        limit = builder.tensor(f"limit_{kind}", (1,), data=np.array([code], np.int8))
        output = builder.like(tensor, f"after_{kind}")
        tensor = builder.op(kind, [tensor, limit], output, schema.MaximumMinimumOptionsT())
    return tensor


def worst_inputs(rows: np.ndarray[Any, Any], lo: int, hi: int) -> np.ndarray[Any, Any]:
    """For each row of weight codes the input that maximises all lanes, then the one that minimises.

    The signs of the weights choose: so all lanes and blocks of an output reach their end at once.
    """
    return np.concatenate([np.where(rows > 0, hi, lo), np.where(rows > 0, lo, hi)]).astype(np.int8)


def dense_model(
    weights: np.ndarray[Any, Any], lo: int, hi: int
) -> tuple[bytes, np.ndarray[Any, Any]]:
    builder = ModelBuilder()
    value = worst_inputs(weights, lo, hi)
    source = closed(builder, value.shape, lo, hi)
    return builder.build(builder.fully_connected(source, weights, scale=9.0)), value


def conv_model(
    weights: np.ndarray[Any, Any], lo: int, hi: int
) -> tuple[bytes, np.ndarray[Any, Any]]:
    builder = ModelBuilder()
    value = worst_inputs(weights, lo, hi)
    source = closed(builder, value.shape, lo, hi)
    return builder.build(builder.conv(source, weights, scale=9.0)), value


def depthwise_model(
    weights: np.ndarray[Any, Any], lo: int, hi: int
) -> tuple[bytes, np.ndarray[Any, Any]]:
    builder = ModelBuilder()
    value = worst_inputs(weights, lo, hi)
    source = closed(builder, value.shape, lo, hi)
    return builder.build(builder.depthwise(source, weights, scale=9.0)), value


MODELS = {
    "FULLY_CONNECTED": (dense_model, (9, 300)),
    "CONV_2D": (conv_model, (7, 3, 3, 21)),
    "DEPTHWISE_CONV_2D": (depthwise_model, (1, 5, 15, 37)),
}


@pytest.mark.parametrize("width", [255, 85, 51])
@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("isa", INT16_ISAS)
def test_worst_inputs_overflow_only_without_the_proof(
    counting: str, isa: str, kind: str, width: int
) -> None:
    if isa not in available_isas(counting):
        pytest.skip(f"no {isa} here")
    build, shape = MODELS[kind]
    rng = np.random.default_rng(width)
    # Skewed codes, so that lanes need start values.
    weights = np.maximum(random_codes(rng, *shape), -70)
    content, value = build(weights, *WIDTHS[width])
    expected, actual, counts = run(counting, content, value, isa=isa)
    np.testing.assert_array_equal(actual, expected)
    # With 256 codes and such weights, some pair of every tile of c4 may saturate.
    assert counts.drains > 0 or (width == 255 and isa not in ("scalar", "neon"))
    assert counts.overflows == 0
    assert INT16[0] <= counts.smallest <= counts.largest <= INT16[1]
    again = run(counting, content, value, isa=isa, num_threads=2)[2]
    assert again.drains == counts.drains
    expected, actual, counts = run(counting, content, value, isa=isa, unproven=1)
    assert counts.overflows > 0
    assert not np.array_equal(actual, expected)


def codes_with_l1(rng: np.random.Generator, total: int) -> np.ndarray[Any, Any]:
    """As few codes as have that L1 norm, in any order, of any sign."""
    codes = [127] * (total // 127) + [total % 127] * (total % 127 > 0)
    return np.array(codes, np.int8)[rng.permutation(len(codes))] * rng.choice([-1, 1], len(codes))


# Of c8 the lanes 0 to 7, of c4 the four products of its two lanes.
LANES = [(isa, 8, k) for isa in ("scalar", "neon") for k in range(8)]
LANES += [(isa, 4, k) for isa in INT16_ISAS if isa not in ("scalar", "neon") for k in range(4)]


@pytest.mark.parametrize(("isa", "step", "lane"), LANES)
@pytest.mark.parametrize("width", WIDTHS)
def test_the_bound_is_tight_in_every_lane(
    counting: str, width: int, isa: str, step: int, lane: int
) -> None:
    if isa not in available_isas(counting):
        pytest.skip(f"no {isa} here")
    rng = np.random.default_rng(lane)
    for extra in (0, 1):
        codes = codes_with_l1(rng, 65535 // width + extra)
        weights = np.zeros((1, len(codes) * step), np.int8)
        weights[0, lane::step] = codes
        content, value = dense_model(weights, *WIDTHS[width])
        expected, actual, counts = run(counting, content, value, isa=isa)
        np.testing.assert_array_equal(actual, expected)
        assert counts.overflows == 0
        without_proof = run(counting, content, value, isa=isa, unproven=1)[2]
        if extra == 0:
            # One block: never drained, and both ends of 16 bits are reached.
            assert (counts.smallest, counts.largest) == INT16
            assert without_proof.overflows == 0
            assert without_proof.drains == counts.drains
        else:
            assert without_proof.overflows > 0
            assert counts.drains == 2 * without_proof.drains


@pytest.mark.parametrize("channel", [0, 7, 16, 36])
@pytest.mark.parametrize("width", WIDTHS)
def test_the_bound_is_tight_in_depthwise_lanes(counting: str, width: int, channel: int) -> None:
    rng = np.random.default_rng(channel)
    for extra in (0, 1):
        codes = codes_with_l1(rng, 65535 // width + extra)
        weights = np.zeros((1, len(codes), 1, 37), np.int8)
        weights[0, :, 0, channel] = codes
        content, value = depthwise_model(weights, *WIDTHS[width])
        expected, actual, counts = run(counting, content, value)
        np.testing.assert_array_equal(actual, expected)
        assert counts.overflows == 0
        without_proof = run(counting, content, value, unproven=1)[2]
        if extra == 0:
            assert (counts.smallest, counts.largest) == INT16
        assert (without_proof.overflows > 0) == (extra == 1)


@pytest.mark.parametrize("name", ["mlperftiny_resnet8_cifar10_int8", "mlperftiny_vww96_int8"])
def test_real_models(counting: str, shared_data: Path, name: str) -> None:
    content = (shared_data / "models" / f"{name}.tflite").read_bytes()
    shape = schema.ModelT.InitFromPackedBuf(content, 0).subgraphs[0].tensors[0].shape
    value = random_codes(np.random.default_rng(3), *shape, largest=127)
    expected, actual, counts = run(counting, content, value)
    np.testing.assert_array_equal(actual, expected)
    assert counts.overflows == 0
    assert counts.drains > 100_000


def test_the_library_that_ships_cannot_be_asked_to_skip_the_proof() -> None:
    library = REPOSITORY / "oaq_keras" / "lib" / "liboaq_tflite.so"
    if not library.is_file():
        pytest.skip("needs the kernels: make oaq_keras/lib/liboaq_tflite.so")
    with pytest.raises(ValueError, match="unknown option 'unproven'"):
        litert.load_delegate(str(library), {"unproven": "1"})
    assert not hasattr(ctypes.CDLL(str(library)), "oaq_overflow_counts")
