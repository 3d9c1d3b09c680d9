# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from oaq_keras.certification import certify
from oaq_keras.custom_ops import encode_options
from oaq_keras.flatbuffer import Quantization, read_model
from oaq_keras.int8_layers import int8_layers
from oaq_keras.ranges import PASS_THROUGH, activation_range, tensor_ranges
from oaq_keras.rewrite import to_custom_ops
from tests.models import (
    NONE,
    RELU,
    RELU6,
    RELU_N1_TO_1,
    SAME,
    ModelBuilder,
    random_codes,
    small_network,
)

FULL = (-128, 127)


def ranges_by_name(data: bytes) -> dict[str, tuple[int, int]]:
    model = read_model(data)
    graph = model.subgraphs[0]
    ranges = tensor_ranges(model, graph)
    return {t.name.decode(): r for t, r in zip(graph.tensors, ranges, strict=True)}


@pytest.mark.parametrize(
    ("activation", "scale", "zero_point", "expected"),
    [
        (NONE, 0.1, 0, FULL),
        (RELU, 0.1, 0, (0, 127)),
        (RELU, 0.1, -128, FULL),
        (RELU, 0.1, -75, (-75, 127)),
        (RELU6, 0.1, 0, (0, 60)),
        (RELU6, 6 / 202, -75, (-75, 127)),
        (RELU6, 0.001, -75, (-75, 127)),
        (RELU_N1_TO_1, 1 / 63, 0, (-63, 63)),
        (RELU_N1_TO_1, 0.4, 3, (0, 6)),  # 2.5 rounds away from zero
        (RELU6, 1e-45, 0, (0, 127)),  # 6 / scale overflows float32
        (4, 0.1, 0, FULL),  # TANH
    ],
)
def test_activation_range(
    activation: int, scale: float, zero_point: int, expected: tuple[int, int]
) -> None:
    output = Quantization(np.array([scale], np.float32), np.array([zero_point]), 0)
    assert activation_range(activation, output) == expected


def test_a_network_of_the_usual_operators() -> None:
    ranges = ranges_by_name(small_network())
    assert ranges["input_0"] == ranges["mixed"] == ranges["sum"] == ranges["dense"] == FULL
    for name in ("first", "spatial", "wide", "both", "pooled"):
        assert ranges[name] == (0, 127)


class Graph(ModelBuilder):
    """`x` holds [0, 127]: RELU on [-128, 127] with zero point 0."""

    def __init__(self) -> None:
        super().__init__()
        shape = (1, 4, 4, 4)
        self.x = self.op("RELU", [self.input(shape)], self.tensor("x", shape))

    def unary(self, kind: str, name: str = "y", scale: float = 0.05, zero_point: int = 0) -> int:
        return self.op(kind, [self.x], self.tensor(name, (1, 4, 4, 4), scale, zero_point))


@pytest.mark.parametrize(
    "kind",
    sorted(PASS_THROUGH.keys() - {"SPLIT"}),
)
def test_operators_that_pass_codes_on(kind: str) -> None:
    graph = Graph()
    graph.unary(kind, "same")
    graph.unary(kind, "other_scale", scale=0.06)
    graph.unary(kind, "other_zero_point", zero_point=1)
    ranges = ranges_by_name(graph.build())
    assert ranges["same"] == (0, 127)
    assert ranges["other_scale"] == ranges["other_zero_point"] == FULL


@pytest.mark.parametrize("kind", ["MEAN", "LOGISTIC", "RESIZE_BILINEAR", "PADV2", "DEQUANTIZE"])
def test_other_operators_may_write_any_code(kind: str) -> None:
    graph = Graph()
    graph.unary(kind)
    assert ranges_by_name(graph.build())["y"] == FULL


@pytest.mark.parametrize("kind", ["PAD", "MIRROR_PAD", "SPACE_TO_BATCH_ND"])
def test_padding_adds_the_zero_point(kind: str) -> None:
    graph = ModelBuilder()
    x = graph.input((1, 4), scale=0.05, zero_point=5)
    high = graph.tensor("c", (1, 4), 0.05, 5, np.array([9, 11, 90, 9], np.int8))
    x = graph.op("MAXIMUM", [x, high], graph.tensor("x", (1, 4), 0.05, 5))
    graph.op(kind, [x], graph.tensor("y", (1, 6), 0.05, 5))
    ranges = ranges_by_name(graph.build())
    assert ranges["c"] == (9, 90)
    assert ranges["x"] == (9, 127)
    assert ranges["y"] == (5, 127)


def test_minimum_and_maximum_close_a_range() -> None:
    graph = ModelBuilder()
    shape = (1, 4)
    high = graph.tensor("high", shape, data=np.full(4, 63, np.int8))
    low = graph.tensor("low", shape, data=np.full(4, -63, np.int8))
    x = graph.op("MINIMUM", [graph.input(shape), high], graph.tensor("capped", shape))
    graph.op("MAXIMUM", [x, low], graph.tensor("closed", shape))
    graph.op("MAXIMUM", [x, low], graph.tensor("rescaled", shape, 0.07))
    ranges = ranges_by_name(graph.build())
    assert ranges["capped"] == (-128, 63)
    assert ranges["closed"] == (-63, 63)
    assert ranges["rescaled"] == FULL


def test_concatenation_is_a_union() -> None:
    graph = Graph()
    signed = graph.unary("RELU_N1_TO_1", "signed")
    graph.op("CONCATENATION", [graph.x, signed], graph.tensor("both", (1, 4, 4, 8)))
    graph.op("CONCATENATION", [graph.x, signed], graph.tensor("other", (1, 4, 4, 8), 0.06))
    ranges = ranges_by_name(graph.build())
    assert ranges["signed"] == (-20, 20)
    assert ranges["both"] == (-20, 127)
    assert ranges["other"] == FULL


def test_split_reads_its_second_input() -> None:
    graph = Graph()
    axis = graph.tensor("axis", (1,), None, data=np.array([3], "<i4"), dtype="int32")
    graph.op("SPLIT", [axis, graph.x], graph.tensor("half", (1, 4, 4, 2)))
    assert ranges_by_name(graph.build())["half"] == (0, 127)


def test_pool_with_same_padding_and_a_fused_activation() -> None:
    graph = Graph()
    options = schema.Pool2DOptionsT()
    options.padding, options.fusedActivationFunction = SAME, RELU6
    graph.op("MAX_POOL_2D", [graph.x], graph.tensor("y", (1, 4, 4, 4), 0.05), options)
    assert ranges_by_name(graph.build())["y"] == (0, 120)


@pytest.mark.parametrize(
    ("kind", "filter_width", "expected"),
    [
        ("AVERAGE_POOL_2D", 1 << 11, (0, 120)),
        ("AVERAGE_POOL_2D", (1 << 11) + 1, (-120, 120)),
        ("MAX_POOL_2D", (1 << 11) + 1, (0, 120)),
    ],
)
def test_averages_of_more_than_an_int32_sums_are_unknown(
    kind: str, filter_width: int, expected: tuple[int, int]
) -> None:
    graph = Graph()
    options = schema.Pool2DOptionsT()
    options.filterHeight, options.filterWidth = 1 << 12, filter_width
    options.fusedActivationFunction = RELU_N1_TO_1
    scale = 1 / 120
    x = graph.op("RELU", [graph.x], graph.tensor("closed", (1, 4, 4, 4), scale))
    graph.op(kind, [x], graph.tensor("y", (1, 1, 1, 4), scale), options)
    assert ranges_by_name(graph.build())["y"] == expected


def test_only_pools_take_the_activation_of_a_pools_options() -> None:
    graph = Graph()
    source = graph.graph.inputs[0]
    options = schema.Pool2DOptionsT()
    options.fusedActivationFunction = RELU
    graph.op("RESHAPE", [source], graph.tensor("reshaped", (4, 16)), options)
    graph.op("MAX_POOL_2D", [source], graph.tensor("pooled", (1, 4, 4, 4)), options)
    ranges = ranges_by_name(graph.build())
    assert ranges["reshaped"] == FULL
    assert ranges["pooled"] == (0, 127)


def _twice(graph: Graph) -> None:
    graph.op("RELU", [graph.graph.inputs[0]], graph.x)


def _input_too(graph: Graph) -> None:
    graph.graph.inputs.append(graph.x)


def _variable(graph: Graph) -> None:
    graph.graph.tensors[graph.x].isVariable = True


def _read_before_written(graph: Graph) -> None:
    graph.unary("RELU", "early")
    graph.graph.operators.reverse()


def _constant_too(graph: Graph) -> None:
    graph.graph.tensors[graph.x].buffer = len(graph.model.buffers)
    buffer = schema.BufferT()
    buffer.data = np.ones(64, np.uint8)
    graph.model.buffers.append(buffer)


def _no_quantization(graph: Graph) -> None:
    graph.graph.tensors[graph.x].quantization = None


def _options_of_another_operator(graph: Graph) -> None:
    graph.graph.operators.clear()
    options = schema.SubOptionsT()
    options.fusedActivationFunction = RELU
    graph.op("ADD", [graph.graph.inputs[0]] * 2, graph.x, options)


@pytest.mark.parametrize(
    "spoil",
    [
        _twice,
        _input_too,
        _variable,
        _read_before_written,
        _constant_too,
        _no_quantization,
        _options_of_another_operator,
    ],
)
def test_what_is_not_certain_is_unknown(spoil: Callable[[Graph], None]) -> None:
    graph = Graph()
    assert ranges_by_name(graph.build())["x"] == (0, 127)
    spoil(graph)
    assert ranges_by_name(graph.build())["x"] == FULL


def test_custom_operators_limit_their_output() -> None:
    model = read_model(to_custom_ops(small_network()))
    graph = model.subgraphs[0]
    assert tensor_ranges(model, graph)[graph.operators[0].outputs[0]] == (0, 127)
    first = int8_layers(model)[0][0]
    tighter = type(first.options)(**{**vars(first.options), "output_lo": 10, "output_hi": 99})
    graph.operators[0].customOptions = encode_options("CONV_2D", tighter)
    assert tensor_ranges(model, graph)[first.output] == (10, 99)


def test_layers_with_same_padding_read_the_zero_point() -> None:
    def first_range(padding: int) -> tuple[int, int]:
        graph = ModelBuilder()
        x = graph.input((1, 4, 4, 2), zero_point=3)
        c = graph.tensor("c", (1, 1, 1, 1), 0.05, 3, np.array([20], np.int8))
        x = graph.op("MAXIMUM", [x, c], graph.tensor("x", (1, 4, 4, 2), 0.05, 3))
        graph.conv(x, np.ones((1, 3, 3, 2), np.int8), padding=padding)
        return certify(graph.build()).layers[0].input_range

    assert first_range(SAME) == (3, 127)
    assert first_range(1) == (20, 127)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_code_leaves_its_range_when_it_runs(seed: int) -> None:
    data = small_network(127, seed)
    interpreter = Interpreter(
        model_content=data,
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    rng = np.random.default_rng(seed)
    model = read_model(data)
    ranges = tensor_ranges(model, model.subgraphs[0])
    for _ in range(5):
        interpreter.set_tensor(0, random_codes(rng, 1, 8, 8, 3))
        interpreter.invoke()
        for index, (low, high) in enumerate(ranges):
            if model.subgraphs[0].tensors[index].type == schema.TensorType.INT8:
                codes = interpreter.get_tensor(index)
                assert low <= codes.min() <= codes.max() <= high


@pytest.mark.parametrize(("version", "expected"), [(3, FULL), (4, (0, 127))])
def test_transpose_conv_fuses_since_version_4(version: int, expected: tuple[int, int]) -> None:
    graph = ModelBuilder()
    weights = np.ones((4, 3, 3, 4), np.int8)
    graph.transpose_conv(graph.input((1, 4, 4, 4)), weights, "y", activation=RELU)
    graph.model.operatorCodes[-1].version = version
    content = graph.build()
    assert ranges_by_name(content)["y"] == expected
    layers, skipped = int8_layers(read_model(content))
    assert (len(layers), len(skipped)) == ((1, 0) if version == 4 else (0, 1))
