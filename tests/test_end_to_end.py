# SPDX-License-Identifier: Apache-2.0
"""The README's path: quantize, fit, convert, certify, run; the file is what is judged."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")
import keras as keras3
from ai_edge_litert.interpreter import Interpreter, OpResolverType

import oaq_keras
from oaq_keras import library
from oaq_keras._keras import keras
from tests.keras_models import images, mixed_network, sequential_network

try:
    library.load()
except oaq_keras.LibraryError as error:
    pytest.skip(str(error), allow_module_level=True)

REFERENCE = {
    "experimental_op_resolver_type": OpResolverType.BUILTIN_REF,
    "experimental_preserve_all_tensors": True,
}
CASES = {
    "tf_keras": (keras, mixed_network),
    "keras3": (keras3, mixed_network),
    "sequential": (keras3, sequential_network),
}


L = keras.layers


def _block(*layers: Any) -> Any:
    def apply(x: Any) -> Any:
        for layer in layers:
            x = layer(x)
        return x

    return apply


def _two_outputs(x: Any) -> Any:
    both = L.Conv2D(8, 3)(x)
    return [both, L.Conv2D(4, 1)(L.ReLU()(both))]


def _residual(x: Any) -> Any:
    x = L.ReLU()(L.Conv2D(4, 1)(x))
    return L.Add()([L.Conv2D(4, 1)(x), x])


def _twice_read_input(x: Any) -> Any:
    return L.Conv2D(4, 3)(
        L.Concatenate()([x, L.Conv2D(4, 3, padding="same", activation="relu")(x)])
    )


def _as_if_trained(model: Any) -> None:
    """Biases, gammas of both signs, and statistics that are not those of a new model."""
    rng = np.random.default_rng(4)
    for layer in model.layers:
        values = layer.get_weights()
        if isinstance(layer, L.BatchNormalization):
            *affine, mean, variance = (rng.normal(size=value.shape) for value in values)
            layer.set_weights([*affine, mean, 0.5 + variance**2])
        elif values:
            layer.set_weights([w if w.ndim > 1 else 0.5 * rng.normal(size=w.shape) for w in values])


STRUCTURES = {
    "dense alone": (_block(L.Dense(2)), (7,)),
    "dense on images": (_block(L.Dense(8, activation="relu"), L.Dense(3)), (5, 5, 3)),
    "normalized dense": (
        _block(L.Flatten(), L.Dense(8), L.BatchNormalization(scale=False), L.ReLU(), L.Dense(3)),
        (5, 5, 3),
    ),
    "two outputs": (_two_outputs, (6, 6, 3)),
    "residual": (_residual, (6, 6, 3)),
    "input read twice": (_twice_read_input, (6, 6, 3)),
    "sum of three": (
        lambda x: L.Add()([L.Conv2D(3, 1)(x), L.Conv2D(3, 1)(x), x]),
        (6, 6, 3),
    ),
    "global maximum": (
        _block(L.Conv2D(8, 3, activation="relu"), L.GlobalMaxPooling2D(), L.Dense(3)),
        (6, 6, 3),
    ),
    "pool with padding": (
        _block(
            L.Conv2D(8, 3, activation="relu"), L.AveragePooling2D(3, padding="same"), L.Conv2D(4, 1)
        ),
        (8, 8, 3),
    ),
    "depth multiplier": (
        _block(
            L.Conv2D(4, 1, activation="relu6"),
            L.DepthwiseConv2D(3, depth_multiplier=2, activation="relu", strides=2),
            L.Conv2D(4, 1),
        ),
        (8, 8, 3),
    ),
    "dilated depthwise": (
        _block(L.Conv2D(4, 1, activation="relu"), L.DepthwiseConv2D(3, dilation_rate=2)),
        (9, 9, 3),
    ),
    "dilated": (
        _block(
            L.Conv2D(4, 3, dilation_rate=2, activation="relu"),
            L.Conv2D(4, 3, dilation_rate=(1, 2), activation="relu6", padding="same"),
        ),
        (9, 9, 3),
    ),
    "dilated and normalized": (
        _block(
            L.DepthwiseConv2D(3, dilation_rate=2, padding="same"),
            L.BatchNormalization(),
            L.ReLU(),
            L.Conv2D(6, 3, dilation_rate=2, use_bias=False),
            L.BatchNormalization(),
            L.ReLU(6.0),
        ),
        (9, 9, 3),
    ),
    "ReLU behind a pool": (
        _block(L.Conv2D(8, 3), L.MaxPooling2D(2), L.ReLU(6.0), L.Conv2D(4, 1)),
        (8, 8, 3),
    ),
    "softmax inside": (_block(L.Conv2D(4, 1), L.Softmax(), L.Conv2D(4, 1)), (5, 5, 3)),
}


@pytest.mark.filterwarnings("error:The converter left")
@pytest.mark.parametrize("structure", STRUCTURES)
def test_structures_run_on_int16_as_trained(structure: str) -> None:
    make, shape = STRUCTURES[structure]
    keras.utils.set_random_seed(2)
    inputs = keras.Input(shape)
    x = np.random.default_rng(2).normal(size=(6, *shape)).astype(np.float32)
    float_model = keras.Model(inputs, make(inputs))
    _as_if_trained(float_model)
    model = oaq_keras.post_training_quantize(float_model, [x])
    builtin = oaq_keras.convert(model, ops="builtin")
    assert oaq_keras.certify(builtin).proven
    reference = Interpreter(model_content=builtin, **REFERENCE)
    ours = oaq_keras.Interpreter(
        model_content=oaq_keras.to_custom_ops(builtin), plan="int16", **REFERENCE
    )
    _run(reference, x)
    _run(ours, x)
    outputs = model(x)
    trained = [t.numpy() for t in (outputs if isinstance(outputs, list) else [outputs])]
    for detail in reference.get_output_details():
        answer = reference.get_tensor(detail["index"])
        np.testing.assert_array_equal(ours.get_tensor(detail["index"]), answer)
        errors = [np.abs(answer - t).max() for t in trained if t.shape == answer.shape]
        assert min(errors) < 0.03 * max(np.abs(t).max() for t in trained)


DEAD = {
    "conv": L.Conv2D(4, 3, padding="same"),
    "depthwise": L.DepthwiseConv2D(3, padding="same"),
    "dense": L.Dense(4),
}


@pytest.mark.parametrize("fill", [0.0, 1e-12])
@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("kind", DEAD)
def test_dead_channels_harm_no_other(kind: str, normalized: bool, fill: float) -> None:
    layer = type(DEAD[kind]).from_config(DEAD[kind].get_config())
    inputs = keras.Input((6, 6, 4))
    outputs = layer(inputs)
    norm = L.BatchNormalization()
    if normalized:
        outputs = norm(outputs)
    model = keras.Model(inputs, outputs)
    kernel, bias = layer.get_weights()
    if kind == "depthwise":
        kernel[:, :, 0] = fill
    elif kind == "conv":
        kernel[..., 0] = fill
    layer.set_weights([kernel, np.ones_like(bias)])
    if normalized:
        gamma, _, mean, variance = norm.get_weights()
        factors, betas = np.array([1, fill, -1, 1e-5]), np.array([1, 1, 1, 2])
        norm.set_weights([gamma * factors, betas, mean + 0.3, variance])
    x = np.random.default_rng(1).normal(size=(4, 6, 6, 4)).astype(np.float32)
    quantized = oaq_keras.post_training_quantize(model, [x])
    before = quantized.get_weights()
    content = oaq_keras.convert(quantized, ops="builtin")
    for old, new in zip(before, quantized.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    answers = _run(Interpreter(model_content=content, **REFERENCE), x)
    expected = quantized.predict(x, verbose=0)
    assert np.abs(answers - expected).max() < 0.02 * np.abs(expected).max()


@pytest.fixture(scope="module", params=CASES)
def trained(request: pytest.FixtureRequest) -> Any:
    which, network = CASES[request.param]
    keras.utils.set_random_seed(7)
    which.utils.set_random_seed(7)
    model = oaq_keras.quantize(network(which))
    logits = network is sequential_network
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=logits))
    model.fit(images(64), np.arange(64) % 5, epochs=2, batch_size=8, verbose=0)
    return model


@pytest.fixture(scope="module")
def files(trained: Any) -> dict[str, bytes]:
    """The model in both forms."""
    return {ops: oaq_keras.convert(trained, ops=ops) for ops in ("builtin", "custom")}


def _run(interpreter: Any, x: np.ndarray) -> np.ndarray:
    details = interpreter.get_input_details()[0]
    interpreter.resize_tensor_input(details["index"], x.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(details["index"], x)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


@pytest.mark.parametrize("plan", ["auto", "int16", "exact"])
def test_custom_file_builtin_file_and_reference_agree_to_the_bit(
    files: dict[str, bytes], plan: str
) -> None:
    builtin, custom = files["builtin"], files["custom"]
    for batch, scale in ((1, 1.0), (5, 1.0), (2, 50.0)):
        x = scale * images(batch, seed=batch)
        reference = Interpreter(model_content=builtin, **REFERENCE)
        expected = _run(reference, x)
        ours = oaq_keras.Interpreter(model_content=custom, plan=plan, **REFERENCE)
        np.testing.assert_array_equal(_run(ours, x), expected)
        claimed = oaq_keras.Interpreter(model_content=builtin, plan=plan, builtin=True, **REFERENCE)
        np.testing.assert_array_equal(_run(claimed, x), expected)
        for detail in reference.get_tensor_details():
            if detail["name"] and detail["dtype"] == np.int8:
                index = detail["index"]
                tensor = reference.get_tensor(index)
                np.testing.assert_array_equal(ours.get_tensor(index), tensor, detail["name"])
                np.testing.assert_array_equal(claimed.get_tensor(index), tensor, detail["name"])


@pytest.mark.parametrize("isa", ["scalar", "sse41", "avx2", "avx512bw", "neon"])
def test_every_layer_runs_in_int16_at_the_depth_certified(
    files: dict[str, bytes], isa: str
) -> None:
    content = files["custom"]
    certificate = oaq_keras.certify(content)
    try:
        interpreter = oaq_keras.Interpreter(model_content=content, plan="int16", isa=isa)
    except oaq_keras.UnsupportedError as error:
        pytest.skip(str(error))
    interpreter.allocate_tensors()
    layers = {layer.op: layer for layer in certificate.layers}
    planned = [entry for entry in interpreter.plan() if entry.op in layers]
    assert len(planned) == len(layers)
    for entry in planned:
        layer = layers[entry.op]
        if entry.kind == "OaqConv2D" or entry.runs != "stock":
            assert entry.runs == "int16", entry
            assert entry.tiles_int16 == entry.tiles
            layout = layer.layouts[entry.layout.removesuffix("_pairs")]
            # Blocks are as long as they may be, so there are no more than of the certified depth.
            assert entry.drains <= entry.tiles * -(-layout.share // layer.depth), entry
            assert tuple(entry.range) == tuple(layer.input_range)


def test_stock_litert_names_the_operator_it_misses(files: dict[str, bytes]) -> None:
    with pytest.raises((RuntimeError, ValueError), match="Oaq"):
        Interpreter(model_content=files["custom"]).allocate_tensors()
