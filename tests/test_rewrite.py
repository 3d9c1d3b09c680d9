# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType, load_delegate

from oaq_keras import library, rewrite
from oaq_keras.certification import attach_certificate, certify
from oaq_keras.custom_ops import encode_options
from oaq_keras.errors import LibraryError, UnsupportedError
from oaq_keras.flatbuffer import get_metadata, kind, read_model, set_metadata, write_model
from oaq_keras.int8_layers import int8_layers
from oaq_keras.rewrite import to_builtin_ops, to_custom_ops
from tests.models import RELU, ModelBuilder, random_codes, small_network


def described(data: bytes) -> list[Any]:
    """Operators with all that decides what they do, in terms that survive renumbering."""
    model = read_model(data)
    return [
        (
            kind(model, operator),
            int(model.operatorCodes[operator.opcodeIndex].version),
            int(model.operatorCodes[operator.opcodeIndex].deprecatedBuiltinCode),
            list(operator.inputs),
            list(operator.outputs),
            operator.builtinOptionsType,
            getattr(operator.builtinOptions, "__dict__", None),
        )
        for graph in model.subgraphs
        for operator in graph.operators
    ]


def kinds(data: bytes) -> list[str]:
    return [operator[0] for operator in described(data)]


def test_int8_layers_become_custom_and_the_rest_stays() -> None:
    data = to_custom_ops(small_network())
    assert kinds(data) == [
        "OaqConv2D",
        "OaqDepthwiseConv2D",
        "OaqConv2D",
        "ADD",
        "OaqConv2D",
        "CONCATENATION",
        "MAX_POOL_2D",
        "OaqFullyConnected",
    ]
    assert len(read_model(data).operatorCodes) == 6
    layers = int8_layers(read_model(data))[0]
    first, spatial = layers[0].options, layers[1].options
    assert (first.input_lo, first.input_hi) == (-128, 127)
    assert (first.output_lo, first.output_hi) == (0, 127)
    assert (spatial.input_lo, spatial.input_hi) == (0, 127)
    assert (first.builtin_version, layers[4].options.builtin_version) == (3, 4)


def test_the_way_back_restores_operators_and_results() -> None:
    data = small_network()
    back = to_builtin_ops(to_custom_ops(data))
    assert described(back) == described(data)
    results = []
    for content in (data, back):
        interpreter = Interpreter(model_content=content)
        interpreter.allocate_tensors()
        interpreter.set_tensor(0, random_codes(np.random.default_rng(2), 1, 8, 8, 3))
        interpreter.invoke()
        results.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
    np.testing.assert_array_equal(*results)


def runs(content: bytes) -> bool:
    """Whether a runtime takes the file with our delegate."""
    try:
        delegate = load_delegate(library.load().path)
    except LibraryError as error:
        pytest.skip(str(error))
    try:
        interpreter = Interpreter(
            model_content=content,
            experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
            experimental_delegates=[delegate],
        )
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError):
        return False
    return True


def with_multiplier(layer: str, multiplier: float) -> bytes:
    """A convolution, and a layer one of whose channels has that real multiplier."""
    builder = ModelBuilder()
    x = builder.input((1, 4, 4, 2), scale=1.0)
    x = builder.conv(x, np.ones((2, 1, 1, 2), np.int8), scale=1.0)
    shape = {"depthwise": (1, 3, 3, 2), "fully_connected": (2, 32)}.get(layer, (2, 3, 3, 2))
    made = getattr(builder, layer)(x, np.ones(shape, np.int8), "large", 1.0)
    weights, bias = (
        builder.graph.tensors[index].quantization
        for index in (builder.graph.operators[-1].inputs[i] for i in (1, -1))
    )
    scales = np.ones(len(weights.scale), np.float32)
    scales[-1] = multiplier
    weights.scale = bias.scale = scales
    return builder.build(made)


def with_phases(width: int) -> bytes:
    """A convolution, and a transposed one of 32 * width phases."""
    builder = ModelBuilder()
    x = builder.conv(builder.input((1, 1, 1, 1)), np.ones((1, 1, 1, 1), np.int8))
    return builder.build(builder.transpose_conv(x, np.ones((1, 32, width, 1), np.int8), stride=64))


@pytest.mark.parametrize(
    ("content", "taken"),
    [
        *(
            (with_multiplier(layer, multiplier), multiplier < 2.0**30)
            for layer in ("conv", "depthwise", "transpose_conv", "fully_connected")
            for multiplier in (2.0**30 - 64, 2.0**30)
        ),
        (with_phases(32), True),
        (with_phases(33), False),
    ],
)
def test_what_the_kernels_refuse_stays_builtin(
    content: bytes, taken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    custom = to_custom_ops(content)
    assert kinds(custom)[1].startswith("Oaq") == taken
    assert runs(custom)
    monkeypatch.setattr(rewrite, "_LARGEST_EXPONENT", 99)
    monkeypatch.setattr(rewrite, "_MOST_PHASES", 9999)
    assert runs(to_custom_ops(content)) == taken


def test_rewriting_twice_changes_nothing() -> None:
    custom = to_custom_ops(small_network())
    assert to_custom_ops(custom) == custom
    builtin = to_builtin_ops(custom)
    assert to_builtin_ops(builtin) == builtin


def test_the_certificate_and_other_metadata_survive() -> None:
    data = small_network(31)
    certificate = certify(data)
    model = read_model(attach_certificate(data, certificate))
    set_metadata(model, "note", b"kept")
    for rewritten in (to_custom_ops(write_model(model)), to_builtin_ops(write_model(model))):
        assert certify(rewritten) == certificate
        assert get_metadata(read_model(rewritten), "note") == b"kept"


def test_signatures_and_per_channel_scales_survive() -> None:
    model = read_model(small_network())
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = "serve", 0
    signature.inputs, signature.outputs = [schema.TensorMapT()], [schema.TensorMapT()]
    signature.inputs[0].name, signature.inputs[0].tensorIndex = "image", 0
    signature.outputs[0].name = "scores"
    signature.outputs[0].tensorIndex = int(model.subgraphs[0].outputs[0])
    model.signatureDefs = [signature]
    data = write_model(model)
    custom = read_model(to_custom_ops(data))
    assert custom.signatureDefs[0].inputs[0].name == b"image"
    weights = next(t for t in custom.subgraphs[0].tensors if t.name == b"first/weights")
    np.testing.assert_array_equal(
        weights.quantization.scale, np.linspace(0.004, 0.006, 8, dtype=np.float32)
    )
    interpreter = Interpreter(model_content=to_builtin_ops(to_custom_ops(data)))
    result = interpreter.get_signature_runner("serve")(image=np.zeros((1, 8, 8, 3), np.int8))
    assert result["scores"].shape == (1, 10)


def test_tighter_output_limits_have_no_builtin_form() -> None:
    model = read_model(to_custom_ops(small_network()))
    layer = int8_layers(model)[0][2]
    options = type(layer.options)(**{**vars(layer.options), "output_hi": 63})
    operator = model.subgraphs[0].operators[layer.op]
    operator.customOptions = encode_options(layer.kind, options)
    with pytest.raises(UnsupportedError, match=r"'mixed' clips.*\[-128, 63\].*\[-128, 127\]"):
        to_builtin_ops(write_model(model))


def _tanh(builder: ModelBuilder) -> None:
    builder.graph.operators[0].builtinOptions.fusedActivationFunction = 4


def _multiplier(builder: ModelBuilder) -> None:
    options = builder.graph.operators[0].builtinOptions = schema.DepthwiseConv2DOptionsT()
    builder.graph.operators[0].builtinOptionsType = schema.BuiltinOptions.DepthwiseConv2DOptions
    builder.model.operatorCodes[0].builtinCode = schema.BuiltinOperator.DEPTHWISE_CONV_2D
    builder.model.operatorCodes[0].deprecatedBuiltinCode = schema.BuiltinOperator.DEPTHWISE_CONV_2D
    options.strideH = options.strideW = 1
    options.depthMultiplier = 0
    weights = next(t for t in builder.graph.tensors if t.name == "conv/weights")
    weights.shape, weights.quantization.quantizedDimension = [1, 1, 8, 8], 3


def _bias_type(builder: ModelBuilder) -> None:
    builder.graph.operators[0].builtinOptions.quantizedBiasType = 2


@pytest.mark.parametrize("spoil", [_tanh, _multiplier, _bias_type])
def test_what_the_options_cannot_say_stays_builtin(spoil: Any) -> None:
    builder = ModelBuilder()
    x = builder.input((1, 4, 4, 8))
    y = builder.conv(x, random_codes(np.random.default_rng(1), 8, 1, 1, 8), activation=RELU)
    builder.fully_connected(y, random_codes(np.random.default_rng(1), 4, 128))
    spoil(builder)
    data = builder.build()
    assert kinds(to_custom_ops(data)) == [kinds(data)[0], "OaqFullyConnected"]
    assert described(to_builtin_ops(to_custom_ops(data))) == described(data)


def test_a_model_with_nothing_to_rewrite() -> None:
    builder = ModelBuilder()
    builder.add(builder.input((1, 2)), builder.input((1, 2)))
    with pytest.raises(UnsupportedError, match="no int8 convolution"):
        to_custom_ops(builder.build())


def test_layers_without_a_bias() -> None:
    builder = ModelBuilder()
    x = builder.input((1, 4, 4, 8))
    builder.conv(x, random_codes(np.random.default_rng(1), 8, 1, 1, 8), "two")
    builder.conv(x, random_codes(np.random.default_rng(1), 8, 1, 1, 8), "minus one")
    builder.graph.operators[0].inputs = builder.graph.operators[0].inputs[:2]
    builder.graph.operators[1].inputs[2] = -1
    data = builder.build()
    assert [layer.bias for layer in int8_layers(read_model(data))[0]] == [-1, -1]
    assert described(to_builtin_ops(to_custom_ops(data))) == described(data)


@pytest.mark.parametrize(
    "name",
    [
        "mlperftiny_resnet8_cifar10_int8.tflite",
        "mlperftiny_vww96_int8.tflite",
        "tf2_mobilenet_v2_1.0_224_ptq.tflite",
    ],
)
def test_real_files_survive_the_round_trip(name: str, shared_data: Path) -> None:
    data = (shared_data / "models" / name).read_bytes()
    custom = to_custom_ops(data)
    assert not {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"} & set(kinds(custom))
    assert described(to_builtin_ops(custom)) == described(data)
    before, after = read_model(data), read_model(custom)
    for old, new in zip(before.buffers, after.buffers, strict=True):
        assert bytes(old.data) == bytes(new.data)
