# SPDX-License-Identifier: Apache-2.0
"""Thousands of single ops with parameters that Hypothesis chooses, against the reference kernels.

Every case runs on the kernels of every ISA that this machine has, in int16 or exact, on one thread
or on two, and must give the reference's bits.
"""

from __future__ import annotations

import ctypes
import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from oaq_keras.errors import LibraryError
from oaq_keras.library import library_path
from tests.isas import available_isas
from tests.models import SAME, ModelBuilder

litert = pytest.importorskip("ai_edge_litert.interpreter")
schema = pytest.importorskip("ai_edge_litert.schema_py_generated")

CODES = st.integers(-128, 127)
EDGES = st.sampled_from([-128, 127, 0, -1])


@pytest.fixture(scope="module")
def library() -> str:
    try:
        return str(library_path())
    except LibraryError as error:
        pytest.skip(str(error))


@dataclasses.dataclass(frozen=True)
class Axis:
    """One spatial axis of the input and the filter on it."""

    size: int
    filter: int
    stride: int
    dilation: int
    surplus: int  # of a transposed convolution's output, which its stride leaves open

    def transposed(self, padding: int) -> int:
        if padding == SAME:
            return self.size * self.stride - self.surplus % self.stride
        return (self.size - 1) * self.stride + self.filter + self.surplus % self.stride

    def output(self, padding: int) -> int:
        effective = (self.filter - 1) * self.dilation + 1
        covered = self.size if padding == SAME else self.size - effective + 1
        return -(-covered // self.stride)


@dataclasses.dataclass(frozen=True)
class Case:
    """An op, or what is left to chance: `seed` draws codes and scales."""

    kind: str
    batch: int
    axes: tuple[Axis, Axis]
    padding: int
    activation: int
    channels: int  # of the input, of a group
    groups: int
    filters: int  # of a group; the depth multiplier of a depthwise convolution
    bias: bool
    largest_bias: int
    per_channel: bool
    keep_num_dims: bool
    largest: int  # weight code
    input_zero_point: int
    output_zero_point: int
    limits: tuple[int, int] | None  # what MINIMUM and MAXIMUM keep the input within
    spread: float  # log2 of the output scale over one that suits the sums
    resized: bool  # the file says one image, the runtime asks for `batch`
    seed: int

    @property
    def weights_shape(self) -> tuple[int, ...]:
        taps = (self.axes[0].filter, self.axes[1].filter)
        return {
            "CONV_2D": (self.groups * self.filters, *taps, self.channels),
            "DEPTHWISE_CONV_2D": (1, *taps, self.channels * self.filters),
            "FULLY_CONNECTED": (self.filters, self.channels),
            "TRANSPOSE_CONV": (self.filters, *taps, self.channels),
        }[self.kind]

    def input_shape(self, batch: int) -> tuple[int, ...]:
        size = (self.axes[0].size, self.axes[1].size)
        return (batch, *size, self.groups * self.channels)

    @property
    def output_shape(self) -> tuple[int, ...]:
        if self.kind == "FULLY_CONNECTED":
            rows = self.input_shape(self.batch)[:-1]
            return (*(rows if self.keep_num_dims else [math.prod(rows)]), self.filters)
        axis = 3 if self.kind == "DEPTHWISE_CONV_2D" else 0
        transposed = self.kind == "TRANSPOSE_CONV"
        size = [
            a.transposed(self.padding) if transposed else a.output(self.padding) for a in self.axes
        ]
        return (self.batch, *size, self.weights_shape[axis])


@st.composite
def axes(draw: Callable[[Any], Any], padding: int, large: bool) -> Axis:
    taps = draw(st.integers(1, 5))
    dilation = draw(st.sampled_from([1, 1, 1, 2, 3]))
    effective = (taps - 1) * dilation + 1
    least = 1 if padding == SAME else effective
    return Axis(
        size=least + draw(st.integers(12, 20) if large else st.integers(0, 7)),
        filter=taps,
        stride=draw(st.sampled_from([1, 1, 2, 3, 6])),
        dilation=dilation,
        surplus=draw(st.integers(0, 4)),
    )


@st.composite
def cases(draw: Callable[[Any], Any], kind: str) -> Case:
    # Only ops of many products are worth a second thread.
    large = draw(st.integers(0, 5)) == 0
    padding = draw(st.sampled_from([0, 1]))
    ends = draw(st.none() | st.tuples(CODES, CODES))
    grouped = kind == "CONV_2D" and draw(st.integers(0, 3)) == 0
    depthwise = kind == "DEPTHWISE_CONV_2D"
    return Case(
        kind=kind,
        batch=draw(st.integers(1, 3)),
        axes=(draw(axes(padding, large)), draw(axes(padding, large))),
        padding=padding,
        activation=draw(st.integers(0, 3)),
        channels=draw(st.integers(1, 40) if large or depthwise else st.integers(1, 20)),
        groups=draw(st.integers(2, 4)) if grouped else 1,
        filters=draw(st.integers(1, 4) if depthwise else st.integers(1, 24 if large else 10)),
        bias=draw(st.booleans()),
        largest_bias=draw(st.sampled_from([2**13, 2**13, 2**20, 0])),
        per_channel=draw(st.booleans()),
        keep_num_dims=draw(st.booleans()),
        largest=draw(st.sampled_from([128, 127, 127, 40, 8, 1])),
        input_zero_point=draw(EDGES | CODES),
        output_zero_point=draw(EDGES | CODES),
        limits=None if ends is None else (min(ends), max(ends)),
        spread=draw(st.sampled_from([0.0, 0.0, -3.0, 3.0, 9.0, -9.0])),
        # The shape of a transposed convolution's output is a constant of the file.
        resized=draw(st.booleans()) and kind != "TRANSPOSE_CONV",
        seed=draw(st.integers(0, 2**32 - 1)),
    )


def limited(builder: ModelBuilder, source: int, limits: tuple[int, int]) -> int:
    for kind, code in (("MINIMUM", limits[1]), ("MAXIMUM", limits[0])):
        given = builder.graph.tensors[source].quantization
        limit = builder.tensor(
            f"limit_{kind}",
            (1,),
            given.scale,
            int(given.zeroPoint[0]),
            data=np.array([code], np.int8),
        )
        output = builder.like(source, f"after_{kind}")
        source = builder.op(kind, [source, limit], output, schema.MaximumMinimumOptionsT())
    return source


def options_of(case: Case) -> Any:
    if case.kind == "FULLY_CONNECTED":
        options = schema.FullyConnectedOptionsT()
        options.keepNumDims = case.keep_num_dims
    elif case.kind == "TRANSPOSE_CONV":
        options = schema.TransposeConvOptionsT()
        options.padding = case.padding
        options.strideH, options.strideW = (a.stride for a in case.axes)
    else:
        depthwise = case.kind == "DEPTHWISE_CONV_2D"
        options = schema.DepthwiseConv2DOptionsT() if depthwise else schema.Conv2DOptionsT()
        if depthwise:
            options.depthMultiplier = case.filters
        options.padding = case.padding
        options.strideH, options.strideW = (a.stride for a in case.axes)
        options.dilationHFactor, options.dilationWFactor = (a.dilation for a in case.axes)
    options.fusedActivationFunction = case.activation
    return options


def model(case: Case) -> bytes:
    rng = np.random.default_rng(case.seed)
    builder = ModelBuilder()
    scale = rng.uniform(0.001, 0.5)
    source = builder.input(case.input_shape(1 if case.resized else case.batch), scale)
    builder.graph.tensors[source].quantization.zeroPoint[:] = case.input_zero_point
    source = source if case.limits is None else limited(builder, source, case.limits)
    axis = 3 if case.kind == "DEPTHWISE_CONV_2D" else 0
    shape = case.weights_shape
    channels = shape[axis]
    codes = rng.integers(-case.largest, min(case.largest, 127), shape, endpoint=True)
    scales = rng.uniform(0.002, 0.02, channels if case.per_channel else 1)
    weights = builder.tensor("weights", shape, scales, 0, codes.astype(np.int8), axis=axis)
    inputs = [source, weights]
    if case.kind == "TRANSPOSE_CONV":
        size = np.array(case.output_shape, np.int32)
        inputs = [builder.tensor("shape", (4,), None, data=size, dtype="int32"), weights, source]
    if case.bias:
        largest = case.largest_bias
        values = rng.integers(-largest, largest, channels, endpoint=True).astype(np.int32)
        inputs.append(builder.tensor("bias", (channels,), scales * scale, 0, values, "int32"))
    elif case.kind == "FULLY_CONNECTED":
        inputs.append(-1)
    products = codes.size // channels
    suitable = scale * scales.mean() * case.largest * math.sqrt(products)
    output = builder.tensor(
        "output", case.output_shape, suitable * 2**case.spread, case.output_zero_point
    )
    return builder.build(builder.op(case.kind, inputs, output, options_of(case)))


def answer(
    content: bytes, value: np.ndarray[Any, Any], resized: bool, delegates: Any = None
) -> np.ndarray[Any, Any]:
    interpreter = litert.Interpreter(
        model_content=content,
        experimental_op_resolver_type=litert.OpResolverType.BUILTIN_REF,
        experimental_delegates=delegates,
    )
    if resized:
        # Once in the file's shape first: what is left of it must not matter.
        interpreter.allocate_tensors()
        interpreter.invoke()
        interpreter.resize_tensor_input(0, value.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], value)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def plan_json(library: str, delegate: Any) -> str:
    function = ctypes.CDLL(library).oaq_delegate_plan_json
    function.restype = ctypes.c_size_t
    function.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
    text = ctypes.create_string_buffer(4096)
    function(delegate._get_native_delegate_pointer(), text, len(text))
    return text.value.decode()


def check(library: str, case: Case) -> None:
    content = model(case)
    rng = np.random.default_rng(case.seed)
    value = rng.integers(-128, 127, case.input_shape(case.batch), endpoint=True).astype(np.int8)
    # TFLite's own convolution wants a bias.
    with_bias = case if case.bias else dataclasses.replace(case, bias=True, largest_bias=0)
    windowed = case.kind in ("CONV_2D", "DEPTHWISE_CONV_2D")
    expected = answer(model(with_bias) if windowed else content, value, case.resized)
    assert expected.shape == case.output_shape
    isas = available_isas(library)
    for turn, isa in enumerate((isas[0], *isas), case.seed):
        plan = ("int16", "exact")[turn % 2]
        options = {"builtin": "1", "plan": plan, "num_threads": 1 + turn // 2 % 2, "isa": isa}
        delegate = litert.load_delegate(library, options)
        actual = answer(content, value, case.resized, [delegate])
        np.testing.assert_array_equal(actual, expected, f"{options} {case}")
        if isa == "scalar":
            assert f'"runs": "{plan}"' in plan_json(library, delegate)


@pytest.mark.parametrize(
    ("kind", "examples"),
    [
        ("CONV_2D", 900),
        ("DEPTHWISE_CONV_2D", 600),
        ("FULLY_CONNECTED", 500),
        ("TRANSPOSE_CONV", 600),
    ],
)
def test_ops_equal_the_reference(library: str, kind: str, examples: int) -> None:
    checked = set()

    @settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(cases(kind))
    def sweep(case: Case) -> None:
        check(library, case)
        checked.add(case)

    sweep()
    # Hypothesis repeats itself now and then.
    assert len(checked) > 0.9 * examples
