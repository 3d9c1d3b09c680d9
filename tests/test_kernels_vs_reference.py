# SPDX-License-Identifier: Apache-2.0
"""The C kernels inside LiteRT against TensorFlow Lite's own reference kernels, bit for bit.

Needs the library: OAQ_LIBRARY, else the one that `make` puts into oaq_keras/lib. Uses
ai_edge_litert directly.
"""

from __future__ import annotations

import ctypes
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
from flatbuffers import flexbuffers

from oaq_keras.plan import ISAS
from tests.isas import available_isas

litert = pytest.importorskip("ai_edge_litert.interpreter")
schema = pytest.importorskip("ai_edge_litert.schema_py_generated")

REFERENCE = litert.OpResolverType.BUILTIN_REF
REPOSITORY = Path(__file__).resolve().parents[1]
NONE, RELU, RELU_N1_TO_1, RELU6 = 0, 1, 2, 3
SAME, VALID = 0, 1
INT8 = schema.TensorType.INT8
INT32 = schema.TensorType.INT32


@pytest.fixture(scope="module")
def library() -> str:
    # No search in build folders: they also hold libraries for other CPUs and for sanitizers.
    path = os.environ.get("OAQ_LIBRARY") or REPOSITORY / "oaq_keras" / "lib" / "liboaq_tflite.so"
    if not Path(path).is_file():
        pytest.skip("needs the kernels: make oaq_keras/lib/liboaq_tflite.so, or OAQ_LIBRARY")
    return str(path)


class Oaq:
    """A delegate and its plan; of the portable kernels, whose plan is known, unless told."""

    def __init__(self, library: str, **options: Any) -> None:
        options.setdefault("isa", "scalar")
        self.delegate = litert.load_delegate(library, {k: str(v) for k, v in options.items()})
        self._plan_json = ctypes.CDLL(library).oaq_delegate_plan_json
        self._plan_json.restype = ctypes.c_size_t
        self._plan_json.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]

    def plan(self) -> list[dict[str, Any]]:
        pointer = self.delegate._get_native_delegate_pointer()
        size = self._plan_json(pointer, None, 0) + 1
        text = ctypes.create_string_buffer(size)
        assert self._plan_json(pointer, text, size) == size - 1
        return json.loads(text.value.decode("utf-8"))


def interpreter(content: bytes, oaq: Oaq | None = None) -> Any:
    made = litert.Interpreter(
        model_content=content,
        experimental_op_resolver_type=REFERENCE,
        experimental_preserve_all_tensors=True,
        experimental_delegates=[oaq.delegate] if oaq else None,
    )
    made.allocate_tensors()
    return made


def feed(target: Any, rng: np.random.Generator) -> None:
    for detail in target.get_input_details():
        info = np.iinfo(detail["dtype"])
        value = rng.integers(info.min, info.max, detail["shape"], endpoint=True)
        target.set_tensor(detail["index"], value.astype(detail["dtype"]))


def tensors(target: Any, count: int) -> dict[int, np.ndarray]:
    """The integer tensors of the file; the runtime adds scratch that nobody initializes."""
    values = {}
    for detail in target.get_tensor_details():
        if detail["index"] < count and detail["dtype"] in (np.int8, np.uint8, np.int32):
            values[detail["index"]] = target.get_tensor(detail["index"])
    return values


def assert_same(content: bytes, library: str, **options: Any) -> list[dict[str, Any]]:
    """Runs random inputs through the reference and through ours; returns our plan."""
    count = len(schema.ModelT.InitFromPackedBuf(content, 0).subgraphs[0].tensors)
    oaq = Oaq(library, builtin=1, **options)
    reference, ours = interpreter(content), interpreter(content, oaq)
    for seed in range(2):
        feed(reference, np.random.default_rng(seed))
        feed(ours, np.random.default_rng(seed))
        reference.invoke()
        ours.invoke()
        expected, actual = tensors(reference, count), tensors(ours, count)
        assert expected.keys() == actual.keys()
        for index, value in expected.items():
            np.testing.assert_array_equal(actual[index], value, err_msg=f"tensor {index}")
    return oaq.plan()


class Graph:
    """A small int8 model, built from nothing."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.model = schema.ModelT()
        self.model.version = 3
        self.model.buffers = [schema.BufferT()]
        self.model.operatorCodes = []
        self.graph = schema.SubGraphT()
        self.graph.tensors, self.graph.operators = [], []
        self.graph.inputs, self.graph.outputs = [], []
        self.model.subgraphs = [self.graph]

    def tensor(
        self,
        shape: Any,
        scale: Any = 0.05,
        zero_point: int = 0,
        *,
        data: Any = None,
        kind: int = INT8,
        axis: int = 0,
        name: str | None = None,
    ) -> int:
        made = schema.TensorT()
        made.shape, made.type = list(shape), kind
        made.name = (name or f"t{len(self.graph.tensors)}").encode()
        made.buffer = 0
        if data is not None:
            made.buffer = len(self.model.buffers)
            self.model.buffers.append(schema.BufferT())
            self.model.buffers[-1].data = np.frombuffer(data.tobytes(), np.uint8)
        made.quantization = schema.QuantizationParametersT()
        scales = np.atleast_1d(np.asarray(scale, np.float32))
        made.quantization.scale = scales
        made.quantization.zeroPoint = np.full(scales.shape, zero_point, np.int64)
        made.quantization.quantizedDimension = axis
        self.graph.tensors.append(made)
        return len(self.graph.tensors) - 1

    def input(self, shape: Any, scale: float = 0.05, zero_point: int = 0) -> int:
        self.graph.inputs.append(self.tensor(shape, scale, zero_point))
        return self.graph.inputs[-1]

    def op(
        self, name: str, inputs: Any, outputs: Any, options: Any = None, version: int = 1
    ) -> Any:
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, name)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        code.version = version
        self.model.operatorCodes.append(code)
        made = schema.OperatorT()
        made.opcodeIndex = len(self.model.operatorCodes) - 1
        made.inputs, made.outputs = list(inputs), list(outputs)
        if options is not None:
            made.builtinOptions = options
            made.builtinOptionsType = getattr(
                schema.BuiltinOptions, type(options).__name__.removesuffix("T")
            )
        self.graph.operators.append(made)
        return made

    def weights(
        self, shape: Any, channel_axis: int, *, per_channel: bool = True, magnitude: int = 127
    ) -> int:
        codes = self.rng.integers(-magnitude, magnitude, shape, endpoint=True).astype(np.int8)
        count = shape[channel_axis] if per_channel else 1
        scale = self.rng.uniform(0.002, 0.02, count).astype(np.float32)
        return self.tensor(shape, scale, data=codes, axis=channel_axis)

    def bias(self, channels: int, source: int, weights: int) -> int:
        scale = np.float32(self.scale(source)) * self.graph.tensors[weights].quantization.scale
        codes = self.rng.integers(-3000, 3000, channels).astype(np.int32)
        return self.tensor([channels], scale, data=codes, kind=INT32)

    def scale(self, index: int) -> float:
        return float(self.graph.tensors[index].quantization.scale[0])

    def conv(
        self,
        source: int,
        channels: int,
        kernel: Any = (3, 3),
        *,
        padding: int = SAME,
        stride: Any = (1, 1),
        dilation: Any = (1, 1),
        activation: int = NONE,
        groups: int = 1,
        per_channel: bool = True,
        scale: float = 0.3,
        zero_point: int = 0,
        magnitude: int = 127,
    ) -> int:
        batch, height, width, depth = self.graph.tensors[source].shape
        weights = self.weights(
            (channels, *kernel, depth // groups), 0, per_channel=per_channel, magnitude=magnitude
        )
        options = schema.Conv2DOptionsT()
        self._window(options, padding, stride, dilation, activation)
        out = [
            _size(n, k, s, d, padding)
            for n, k, s, d in zip((height, width), kernel, stride, dilation, strict=True)
        ]
        output = self.tensor((batch, *out, channels), scale, zero_point)
        self.op(
            "CONV_2D", [source, weights, self.bias(channels, source, weights)], [output], options, 3
        )
        return output

    def depthwise(
        self,
        source: int,
        multiplier: int = 1,
        kernel: Any = (3, 3),
        *,
        padding: int = SAME,
        stride: Any = (1, 1),
        dilation: Any = (1, 1),
        activation: int = NONE,
        per_channel: bool = True,
        scale: float = 0.1,
        zero_point: int = 0,
        magnitude: int = 127,
    ) -> int:
        batch, height, width, depth = self.graph.tensors[source].shape
        channels = depth * multiplier
        weights = self.weights(
            (1, *kernel, channels), 3, per_channel=per_channel, magnitude=magnitude
        )
        options = schema.DepthwiseConv2DOptionsT()
        options.depthMultiplier = multiplier
        self._window(options, padding, stride, dilation, activation)
        out = [
            _size(n, k, s, d, padding)
            for n, k, s, d in zip((height, width), kernel, stride, dilation, strict=True)
        ]
        output = self.tensor((batch, *out, channels), scale, zero_point)
        self.op(
            "DEPTHWISE_CONV_2D",
            [source, weights, self.bias(channels, source, weights)],
            [output],
            options,
            3,
        )
        return output

    def dense(
        self,
        source: int,
        channels: int,
        *,
        activation: int = NONE,
        keep: bool = False,
        bias: bool = True,
        per_channel: bool = False,
        scale: float = 0.4,
        zero_point: int = 0,
    ) -> int:
        shape = list(self.graph.tensors[source].shape)
        weights = self.weights((channels, shape[-1]), 0, per_channel=per_channel)
        options = schema.FullyConnectedOptionsT()
        options.fusedActivationFunction, options.keepNumDims = activation, keep
        rows = shape[:-1] if keep else [int(np.prod(shape[:-1]))]
        output = self.tensor([*rows, channels], scale, zero_point)
        third = self.bias(channels, source, weights) if bias else -1
        self.op("FULLY_CONNECTED", [source, weights, third], [output], options, 9)
        return output

    @staticmethod
    def _window(options: Any, padding: int, stride: Any, dilation: Any, activation: int) -> None:
        options.padding, options.fusedActivationFunction = padding, activation
        options.strideH, options.strideW = stride
        options.dilationHFactor, options.dilationWFactor = dilation

    def bytes(self, *outputs: int) -> bytes:
        self.graph.outputs = list(outputs)
        return pack(self.model)


def _size(size: int, kernel: int, stride: int, dilation: int, padding: int) -> int:
    effective = (kernel - 1) * dilation + 1
    return -(-size // stride) if padding == SAME else (size - effective) // stride + 1


def pack(model: Any) -> bytes:
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


# The builtin ops.


@pytest.mark.parametrize("plan", ["int16", "exact", "auto"])
@pytest.mark.parametrize(
    "name",
    [
        "mlperftiny_resnet8_cifar10_int8",
        "mlperftiny_vww96_int8",
        "tf2_mobilenet_v2_1.0_224_ptq",
    ],
)
@pytest.mark.parametrize("isa", ISAS)
def test_real_models(shared_data: Path, library: str, name: str, plan: str, isa: str) -> None:
    if isa not in available_isas(library):
        pytest.skip(f"no {isa} here")
    content = (shared_data / "models" / f"{name}.tflite").read_bytes()
    entries = assert_same(content, library, plan=plan, isa=isa)
    ours = [e for e in entries if e["kind"] in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")]
    assert ours
    for entry in ours:
        # Elsewhere pairs may saturate, or a dot-product instruction makes int16 useless.
        sure = plan if plan == "exact" or isa in ("scalar", "neon") else "auto"
        assert entry["runs"] in {"int16": {"int16"}, "exact": {"exact"}}.get(
            sure, {"int16", "exact"}
        )
        assert entry["macs"] > 0
        assert entry["range_source"] == "graph"


@pytest.mark.parametrize(
    "name", ["mobilenet_v1_0.25_128_quant", "deeplabv3_mnv2_dm05_pascal_quant"]
)
def test_uint8_layers_are_left_to_the_runtime(shared_data: Path, library: str, name: str) -> None:
    content = (shared_data / "models" / f"{name}.tflite").read_bytes()
    entries = assert_same(content, library)
    assert {e["runs"] for e in entries if e["kind"] != "QUANTIZE"} == {"stock"}
    assert {e["runs"] for e in entries if e["kind"] == "QUANTIZE"} <= {"table"}
    assert any("is uint8" in e["reason"] for e in entries if e["kind"] == "CONV_2D")


CONVS: list[dict[str, Any]] = [
    {},
    {"padding": VALID},
    {"kernel": (1, 1)},
    {"kernel": (1, 1), "stride": (2, 2)},
    {"kernel": (5, 2), "stride": (2, 3)},
    {"kernel": (2, 3), "dilation": (2, 3)},
    {"padding": VALID, "dilation": (3, 1), "stride": (1, 2)},
    {"activation": RELU, "zero_point": -128},
    {"activation": RELU6, "zero_point": -75, "scale": 12 / 255},
    {"activation": RELU_N1_TO_1, "zero_point": 3, "scale": 1 / 63},
    {"per_channel": False},
    {"channels": 1},
    {"channels": 13},
    {"scale": 0.0001},  # saturates nearly everywhere
    {"magnitude": 3},
]


@pytest.mark.parametrize("plan", ["int16", "exact", "auto"])
@pytest.mark.parametrize("case", range(len(CONVS)))
def test_conv_2d(library: str, case: int, plan: str) -> None:
    options = {"channels": 8, **CONVS[case]}
    graph = Graph(case)
    content = graph.bytes(graph.conv(graph.input((2, 9, 8, 11), zero_point=-7), **options))
    (entry,) = assert_same(content, library, plan=plan)
    assert entry["kind"] == "CONV_2D"
    assert entry["runs"] != "stock"
    assert entry["tiles"] == -(-options["channels"] // 4)


def test_grouped_conv_2d(library: str) -> None:
    graph = Graph()
    content = graph.bytes(graph.conv(graph.input((1, 6, 6, 12)), 9, groups=3))
    (entry,) = assert_same(content, library, plan="int16")
    assert entry["runs"] == "int16"
    assert entry["tiles"] == 3


@pytest.mark.parametrize("plan", ["int16", "exact", "auto"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"multiplier": 3},
        {"kernel": (5, 5), "stride": (2, 2)},
        {"padding": VALID, "dilation": (2, 1)},
        {"activation": RELU6, "zero_point": -128, "scale": 6 / 255},
        {"per_channel": False},
        {"magnitude": 2},
    ],
    ids=str,
)
@pytest.mark.parametrize("channels", [3, 16, 37])
def test_depthwise_conv_2d(library: str, channels: int, options: dict[str, Any], plan: str) -> None:
    graph = Graph(channels)
    content = graph.bytes(
        graph.depthwise(graph.input((2, 7, 9, channels), zero_point=5), **options)
    )
    (entry,) = assert_same(content, library, plan=plan)
    assert entry["kind"] == "DEPTHWISE_CONV_2D"
    assert entry["runs"] != "stock"


@pytest.mark.parametrize("plan", ["int16", "exact"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"bias": False},
        {"keep": True},
        {"per_channel": True},
        {"activation": RELU, "zero_point": -128},
        {"channels": 1},
    ],
    ids=str,
)
def test_fully_connected(library: str, options: dict[str, Any], plan: str) -> None:
    graph = Graph()
    content = graph.bytes(
        graph.dense(graph.input((3, 2, 45), zero_point=9), **{"channels": 10, **options})
    )
    (entry,) = assert_same(content, library, plan=plan)
    assert entry["runs"] == plan


def transposed(graph: Graph, source: int, size: tuple[int, int], shape: Any = None) -> int:
    """A 3 by 3 TRANSPOSE_CONV of stride 2, SAME, with 6 filters."""
    batch, *_, depth = graph.graph.tensors[source].shape
    weights = graph.weights((6, 3, 3, depth), 0)
    output = graph.tensor((batch, *size, 6), 0.3, -4)
    options = schema.TransposeConvOptionsT()
    options.padding, options.strideH, options.strideW = SAME, 2, 2
    options.fusedActivationFunction = RELU
    if shape is None:
        shape = graph.tensor((4,), data=np.array([batch, *size, 6], np.int32), kind=INT32)
    third = graph.bias(6, source, weights)
    graph.op("TRANSPOSE_CONV", [shape, weights, source, third], [output], options, 4)
    return output


@pytest.mark.parametrize("plan", ["int16", "exact", "auto"])
def test_transpose_conv(library: str, plan: str) -> None:
    graph = Graph()
    first = graph.conv(graph.input((2, 4, 5, 7)), 9, activation=RELU, zero_point=-20)
    content = graph.bytes(transposed(graph, first, (8, 9)))
    _, entry = assert_same(content, library, plan=plan)
    assert entry["kind"] == "TRANSPOSE_CONV"
    assert entry["runs"] in (["int16", "exact"] if plan == "auto" else [plan])
    assert entry["range"] == [-20, 127]
    assert entry["macs"] == 2 * 4 * 5 * 9 * 9 * 6
    # Four phases of two tiles each.
    assert entry["tiles"] == 8
    custom, expected = run(rewrite(content), Oaq(library, plan=plan), 3), run(content, None, 3)
    for index, value in expected.items():
        np.testing.assert_array_equal(custom[index], value)


def test_transpose_conv_with_an_output_shape_that_is_computed(library: str) -> None:
    graph = Graph()
    source = graph.input((1, 4, 5, 7))
    shape = graph.tensor((4,), kind=INT32)
    size = graph.tensor((4,), data=np.array([1, 8, 9, 6], np.int32), kind=INT32)
    graph.op("MAXIMUM", [size, size], [shape], schema.MaximumMinimumOptionsT(), 1)
    content = graph.bytes(transposed(graph, source, (8, 9), shape))
    entry = Oaq(library, builtin=1)
    interpreter(content, entry)
    assert entry.plan()[-1]["runs"] == "stock"
    assert "is not constant" in entry.plan()[-1]["reason"]


def test_many_random_fully_connected_scales(library: str) -> None:
    # FULLY_CONNECTED rounds the real product once, the convolutions round fixed-point ones twice.
    for seed in range(20):
        graph = Graph(seed)
        source = graph.input((8, 64), scale=float(graph.rng.uniform(0.001, 0.1)))
        content = graph.bytes(graph.dense(source, 32, scale=float(graph.rng.uniform(0.05, 0.5))))
        assert_same(content, library)


def test_fully_connected_multiplies_scales_in_double_precision(library: str) -> None:
    # A product of two scales in single precision moves sums that are close to a half.
    for seed in range(20):
        graph = Graph(seed)
        source = graph.input((256, 1), scale=float(graph.rng.uniform(0.001, 0.5)))
        weights = graph.tensor((1, 1), graph.rng.uniform(0.002, 0.02), data=np.array([2], np.int8))
        output = graph.tensor(
            (256, 1), 2 * 128 * graph.scale(source) * graph.scale(weights) / (2 * seed + 1)
        )
        options = schema.FullyConnectedOptionsT()
        graph.op("FULLY_CONNECTED", [source, weights, -1], [output], options, 9)
        assert_same(graph.bytes(output), library)


def test_resized_input(library: str) -> None:
    graph = Graph()
    first = graph.conv(graph.input((1, 8, 8, 6)), 8, activation=RELU, zero_point=-128)
    content = graph.bytes(graph.depthwise(first))
    oaq = Oaq(library, builtin=1, plan="int16")
    reference, ours = interpreter(content), interpreter(content, oaq)
    for shape in [(3, 8, 8, 6), (1, 5, 11, 6), (1, 8, 8, 6)]:
        results = []
        for target in (reference, ours):
            target.resize_tensor_input(0, shape)
            target.allocate_tensors()
            feed(target, np.random.default_rng(1))
            target.invoke()
            results.append(target.get_tensor(target.get_output_details()[0]["index"]))
        np.testing.assert_array_equal(results[0], results[1])
        assert oaq.plan()[0]["macs"] == int(np.prod(shape[:3])) * 9 * 6 * 8


def test_builtin_ops_are_not_claimed_unless_asked(library: str) -> None:
    graph = Graph()
    content = graph.bytes(graph.conv(graph.input((1, 4, 4, 3)), 4))
    oaq = Oaq(library)
    interpreter(content, oaq)
    (entry,) = oaq.plan()
    assert entry["runs"] == "stock"
    assert "builtin=1" in entry["reason"]
    assert entry["depth"] is None


# Threads.


def shared_out() -> bytes:
    """Convolutions of enough products for eight threads, and rows too few for them."""
    graph = Graph(9)
    first = graph.conv(graph.input((1, 24, 24, 16)), 32, activation=RELU, zero_point=-128)
    second = graph.depthwise(first, kernel=(5, 5), activation=RELU)
    third = graph.conv(second, 16, (24, 24), padding=VALID, scale=3.0)
    return graph.bytes(graph.dense(third, 10))


@pytest.mark.parametrize("plan", ["int16", "exact"])
@pytest.mark.parametrize("threads", [1, 2, 3, 8, 9999])
def test_any_number_of_threads_gives_the_same_bits(library: str, threads: int, plan: str) -> None:
    entries = assert_same(shared_out(), library, plan=plan, num_threads=threads)
    assert {e["runs"] for e in entries} == {plan}


def test_interpreters_run_at_the_same_time(library: str) -> None:
    content = shared_out()
    expected = run(content, None, 4)
    with ThreadPoolExecutor(4) as executor:
        for _ in range(3):
            options = [Oaq(library, builtin=1, plan="int16", num_threads=3) for _ in range(4)]
            for values in executor.map(lambda oaq: run(content, oaq, 4), options):
                for index, value in expected.items():
                    np.testing.assert_array_equal(values[index], value)


# The ranges.


def consumer_range(library: str, build: Any, zero_point: int = -128) -> list[int]:
    """The input range of a VALID convolution behind what `build` adds to a RELU convolution."""
    graph = Graph()
    source = graph.conv(graph.input((1, 8, 8, 4)), 4, activation=RELU, zero_point=zero_point)
    content = graph.bytes(graph.conv(build(graph, source), 4, padding=VALID, kernel=(1, 1)))
    return assert_same(content, library, plan="int16")[-1]["range"]


def passed(
    name: str, shape: Any, *constants: np.ndarray, options: Any = None, scale: float = 0.3
) -> Any:
    def build(graph: Graph, source: int) -> int:
        output = graph.tensor(shape, scale, graph.graph.tensors[source].quantization.zeroPoint[0])
        inputs = [source] + [graph.tensor(c.shape, data=c, kind=INT32) for c in constants]
        graph.op(name, inputs, [output], options, 1 if name == "RESHAPE" else 2)
        return output

    return build


def pool(kind: str) -> Any:
    options = schema.Pool2DOptionsT()
    options.filterHeight = options.filterWidth = options.strideH = options.strideW = 2
    options.padding, options.fusedActivationFunction = VALID, NONE
    return passed(kind, (1, 4, 4, 4), options=options)


def ints(*values: Any) -> np.ndarray:
    return np.array(values, np.int32)


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (lambda graph, source: source, [0, 127]),
        (pool("MAX_POOL_2D"), [0, 127]),
        (pool("AVERAGE_POOL_2D"), [0, 127]),
        (
            passed("RESHAPE", (1, 4, 16, 4), ints(1, 4, 16, 4), options=schema.ReshapeOptionsT()),
            [0, 127],
        ),
        (passed("PAD", (1, 10, 10, 4), ints([0, 0], [1, 1], [1, 1], [0, 0])), [0, 127]),
        (passed("TRANSPOSE", (1, 8, 8, 4), ints(0, 2, 1, 3)), [0, 127]),
        # ABS is none of the ops that ranges pass.
        (passed("ABS", (1, 8, 8, 4)), [-128, 127]),
    ],
)
def test_ranges_follow_the_graph(library: str, build: Any, expected: list[int]) -> None:
    assert consumer_range(library, build, zero_point=0) == expected


def test_range_of_elementwise_and_concatenation(library: str) -> None:
    def add(graph: Graph, source: int) -> int:
        options = schema.AddOptionsT()
        options.fusedActivationFunction = RELU
        output = graph.tensor((1, 8, 8, 4), 0.3, -20)
        graph.op("ADD", [source, source], [output], options, 2)
        return output

    def concatenate(graph: Graph, source: int) -> int:
        codes = graph.rng.integers(-30, 3, (1, 8, 8, 4)).astype(np.int8)
        codes[0, 0, 0, 0] = -30
        constant = graph.tensor(codes.shape, 0.3, 0, data=codes)
        options = schema.ConcatenationOptionsT()
        options.axis, options.fusedActivationFunction = 3, NONE
        output = graph.tensor((1, 8, 8, 8), 0.3, 0)
        graph.op("CONCATENATION", [source, constant], [output], options, 2)
        return output

    assert consumer_range(library, add, zero_point=0) == [-20, 127]
    assert consumer_range(library, concatenate, zero_point=0) == [-30, 127]


def test_padding_widens_the_range(library: str) -> None:
    graph = Graph()
    constant = np.full((1, 4, 4, 2), 50, np.int8)
    source = graph.tensor(constant.shape, 0.1, -10, data=constant)
    graph.input((1, 2))
    content = graph.bytes(graph.conv(source, 4), graph.conv(source, 4, padding=VALID))
    first, second = assert_same(content, library)
    assert first["range"] == [-10, 50]
    assert second["range"] == [50, 50]


def test_a_tensor_read_before_it_is_written_is_unknown(library: str) -> None:
    graph = Graph()
    source, late = graph.input((1, 4, 4, 24)), graph.input((1, 4, 4, 24))
    early = graph.conv(late, 4, kernel=(1, 1), padding=VALID)
    graph.op("RELU", [source], [late])
    content = graph.bytes(early, graph.conv(late, 4, kernel=(1, 1), padding=VALID))
    # What the arena held is not to be compared, but for ranges.
    oaq = Oaq(library)
    interpreter(rewrite(content), oaq)
    ours = [e["range"] for e in oaq.plan() if e["runs"] != "stock"]
    assert ours == [[-128, 127], [0, 127]]


def test_a_tensor_written_twice_is_unknown(library: str) -> None:
    graph = Graph()
    source, target = graph.input((1, 4, 4, 8)), graph.tensor((1, 4, 4, 8))
    graph.op("RELU", [source], [target])
    graph.op("RELU6", [source], [target])
    content = graph.bytes(graph.conv(target, 4, kernel=(1, 1), padding=VALID))
    assert assert_same(content, library)[-1]["range"] == [-128, 127]


def test_minimum_and_maximum(library: str) -> None:
    graph = Graph()
    source = graph.input((1, 4, 4, 8))
    limits = [graph.tensor((1,), data=np.array([code], np.int8)) for code in (40, -9)]
    low, both = graph.tensor((1, 4, 4, 8)), graph.tensor((1, 4, 4, 8))
    graph.op("MINIMUM", [source, limits[0]], [low], schema.MaximumMinimumOptionsT(), 2)
    graph.op("MAXIMUM", [low, limits[1]], [both], schema.MaximumMinimumOptionsT(), 2)
    content = graph.bytes(graph.conv(both, 4, kernel=(1, 1), padding=VALID))
    assert assert_same(content, library)[-1]["range"] == [-9, 40]


# The worst case, end to end.


@pytest.mark.parametrize("codes", ["largest", "smallest"])
def test_inputs_that_reach_the_bound(library: str, codes: str) -> None:
    graph = Graph()
    content = graph.bytes(graph.dense(graph.input((1, 512)), 4, scale=40.0))
    weights = np.frombuffer(bytes(graph.model.buffers[1].data), np.int8).reshape(4, 512)
    oaq = Oaq(library, builtin=1, plan="int16")
    reference, ours = interpreter(content), interpreter(content, oaq)
    for row in weights:
        worst = np.where((row > 0) == (codes == "largest"), 127, -128).astype(np.int8)[None]
        for target in (reference, ours):
            target.set_tensor(0, worst)
            target.invoke()
        np.testing.assert_array_equal(
            *[t.get_tensor(t.get_output_details()[0]["index"]) for t in (reference, ours)]
        )
    assert oaq.plan()[0]["runs"] == "int16"


# The custom ops.

CUSTOM = {
    "CONV_2D": "OaqConv2D",
    "DEPTHWISE_CONV_2D": "OaqDepthwiseConv2D",
    "FULLY_CONNECTED": "OaqFullyConnected",
    "TRANSPOSE_CONV": "OaqTransposeConv",
}


def rewrite(content: bytes, change: Any = None, output: tuple[int, int] = (-128, 127)) -> bytes:
    """All builtin ops of ours as custom ones; `change` may edit an op's options."""
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    names = {v: k for k, v in vars(schema.BuiltinOperator).items() if isinstance(v, int)}
    for made in model.subgraphs[0].operators:
        old = model.operatorCodes[made.opcodeIndex]
        name = names[max(old.builtinCode, old.deprecatedBuiltinCode)]
        if name not in CUSTOM:
            continue
        o = made.builtinOptions
        keys = {
            "version": 1,
            "builtin_version": old.version,
            "activation": o.fusedActivationFunction or 0,
            "input_lo": -128,
            "input_hi": 127,
            "output_lo": output[0],
            "output_hi": output[1],
        }
        if name == "FULLY_CONNECTED":
            keys["keep_num_dims"] = int(o.keepNumDims)
        else:
            keys.update(padding=o.padding, stride_h=o.strideH, stride_w=o.strideW)
        if name in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            keys.update(dilation_h=o.dilationHFactor, dilation_w=o.dilationWFactor)
        if name == "DEPTHWISE_CONV_2D":
            keys["depth_multiplier"] = o.depthMultiplier
        if change is not None:
            change(keys)
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
        code.customCode, code.version = CUSTOM[name].encode(), 1
        made.opcodeIndex = len(model.operatorCodes)
        model.operatorCodes.append(code)
        made.builtinOptions, made.builtinOptionsType = None, 0
        made.customOptions = np.frombuffer(bytes(flexbuffers.Dumps(keys)), np.uint8)
    return pack(model)


def small() -> bytes:
    graph = Graph(3)
    first = graph.conv(
        graph.input((1, 8, 8, 5), zero_point=4),
        12,
        activation=RELU6,
        zero_point=-100,
        scale=10 / 255,
    )
    second = graph.depthwise(first, activation=RELU, zero_point=-3)
    return graph.bytes(graph.dense(second, 10, keep=True))


def run(content: bytes, oaq: Oaq | None, seed: int) -> dict[int, np.ndarray]:
    count = len(schema.ModelT.InitFromPackedBuf(content, 0).subgraphs[0].tensors)
    target = interpreter(content, oaq)
    feed(target, np.random.default_rng(seed))
    target.invoke()
    return tensors(target, count)


@pytest.mark.parametrize("plan", ["int16", "exact", "auto"])
def test_custom_ops_equal_the_builtin_ones(library: str, plan: str) -> None:
    content = small()
    oaq = Oaq(library, plan=plan)
    expected, actual = run(content, None, 1), run(rewrite(content), oaq, 1)
    for index, value in expected.items():
        np.testing.assert_array_equal(actual[index], value)
    assert [e["kind"] for e in oaq.plan()] == list(CUSTOM.values())[:3]
    assert [e["range"] for e in oaq.plan()] == [[-128, 127], [-100, 53], [-3, 127]]


def test_real_model_as_custom_ops(shared_data: Path, library: str) -> None:
    content = (shared_data / "models" / "mlperftiny_vww96_int8.tflite").read_bytes()
    expected, actual = run(content, None, 2), run(rewrite(content), Oaq(library), 2)
    for index, value in expected.items():
        np.testing.assert_array_equal(actual[index], value)


def test_output_limits_are_enforced_and_believed(library: str) -> None:
    graph = Graph()
    first = graph.conv(graph.input((1, 8, 8, 4)), 8)
    content = graph.bytes(first, graph.conv(first, 4, padding=VALID))
    oaq = Oaq(library)
    expected, actual = run(content, None, 1), run(rewrite(content, output=(-9, 21)), oaq, 1)
    np.testing.assert_array_equal(actual[first], np.clip(expected[first], -9, 21))
    assert [e["range"] for e in oaq.plan()] == [[-128, 127], [-9, 21]]


def test_a_false_claim_is_ignored(library: str) -> None:
    def lie(keys: dict[str, int]) -> None:
        keys.update(input_lo=0, input_hi=1)

    content = small()
    oaq = Oaq(library, plan="int16")
    expected, actual = run(content, None, 5), run(rewrite(content, lie), oaq, 5)
    for index, value in expected.items():
        np.testing.assert_array_equal(actual[index], value)
    assert oaq.plan()[0]["range"] == [-128, 127]


# Hostile files.


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("version", 2),
        ("activation", 4),
        ("padding", 2),
        ("stride_h", 0),
        ("dilation_w", -1),
        ("output_lo", -129),
        ("input_hi", 128),
        ("depth_multiplier", 7),
        ("surprise", 1),
        ("stride_w", None),
        ("keep_num_dims", None),
        ("version", "one"),
    ],
)
def test_bad_options_are_an_error_that_names_the_key(library: str, key: str, value: Any) -> None:
    def spoil(keys: dict[str, Any]) -> None:
        if value is None:
            keys.pop(key, None)
        elif key in keys or key == "surprise":
            keys[key] = value

    name = key.replace("depth_multiplier", "depth multiplier")
    with pytest.raises((RuntimeError, ValueError), match=name):
        interpreter(rewrite(small(), spoil), Oaq(library))


def test_truncated_options_never_crash(library: str) -> None:
    content = rewrite(small())
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    options = model.subgraphs[0].operators[0].customOptions
    for length in range(0, len(options), 3):
        model.subgraphs[0].operators[0].customOptions = options[:length]
        with pytest.raises((RuntimeError, ValueError), match="custom option"):
            interpreter(pack(model), Oaq(library))


@pytest.mark.parametrize("scale", [np.nan, np.inf, -0.1, 0.0, 1e38])
@pytest.mark.parametrize("which", [0, 1, 2])
def test_hostile_scales_are_an_error(library: str, which: int, scale: float) -> None:
    model = schema.ModelT.InitFromPackedBuf(rewrite(small()), 0)
    quantization = model.subgraphs[0].tensors[which].quantization
    quantization.scale = np.full(len(quantization.scale), scale, np.float32)
    if scale == 1e38 and which == 2:
        return  # a scale like any other: all outputs are the zero point
    with pytest.raises((RuntimeError, ValueError), match="scale"):
        interpreter(pack(model), Oaq(library))


@pytest.mark.parametrize(
    ("tensor", "shape"),
    [(0, (1, 8, 8, 7)), (1, (12, 3, 3, 4)), (1, (12, 9, 5)), (3, (11,)), (0, (8, 5))],
)
def test_hostile_shapes_are_an_error(library: str, tensor: int, shape: Any) -> None:
    model = schema.ModelT.InitFromPackedBuf(rewrite(small()), 0)
    made = model.subgraphs[0].tensors[tensor]
    made.shape = list(shape)
    if made.buffer:
        size = int(np.prod(shape)) * (4 if made.type == INT32 else 1)
        model.buffers[made.buffer].data = np.resize(model.buffers[made.buffer].data, size)
    with pytest.raises((RuntimeError, ValueError)):
        interpreter(pack(model), Oaq(library))


def test_weights_that_are_not_constant_are_left_or_refused(library: str) -> None:
    graph = Graph()
    output = graph.conv(graph.input((1, 4, 4, 3)), 4)
    weights = graph.graph.operators[0].inputs[1]
    graph.graph.tensors[weights].buffer = 0
    graph.graph.inputs.append(weights)
    content = graph.bytes(output)
    (entry,) = assert_same(content, library)
    assert entry["runs"] == "stock"
    assert "not constant" in entry["reason"]
    with pytest.raises((RuntimeError, ValueError), match="not constant"):
        interpreter(rewrite(content), Oaq(library))


@pytest.mark.parametrize(
    ("option", "value"),
    [("builtin", "2"), ("isa", "mmx"), ("plan", "fast"), ("num_threads", "0"), ("colour", "red")],
)
def test_bad_delegate_options(library: str, option: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"{option}.*expected"):
        litert.load_delegate(library, {option: value})
