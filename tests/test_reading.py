# SPDX-License-Identifier: Apache-2.0
"""Models as graphs compute what the models do, and keep the names of their layers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")
import keras as keras3
import tensorflow as tf

import oaq_keras
from oaq_keras._keras import keras
from oaq_keras.graph import build_model
from oaq_keras.quantization import graph_of

SHAPE = (6, 6, 4)


def _nested(which: Any) -> Any:
    inner_in = which.Input(SHAPE)
    x = which.layers.Conv2D(4, 3, padding="same", name="conv")(inner_in)
    inner = which.Model(inner_in, which.layers.BatchNormalization()(x), name="inner")
    inputs = which.Input(SHAPE)
    return which.Model(inputs, inner(which.layers.ReLU()(inner(inputs))))


def _nested_sequential(which: Any) -> Any:
    stack = which.Sequential(
        [which.Input(SHAPE), which.layers.Conv2D(4, 1), which.layers.ReLU()], name="stack"
    )
    return which.Sequential([which.Input(SHAPE), stack, which.layers.Conv2D(3, 3, name="last")])


def _shared(which: Any) -> Any:
    conv = which.layers.Conv2D(4, 1, name="twice")
    inputs = which.Input(SHAPE)
    first = conv(inputs)
    return which.Model(inputs, which.layers.Add()([conv(first), first]))


def _shared_kinds(which: Any) -> Any:
    inner = which.Sequential(
        [
            which.Input(SHAPE),
            which.layers.SeparableConv2D(4, 3, padding="same", activation="swish"),
            which.layers.Dense(4, activation="hard_sigmoid"),
            which.layers.BatchNormalization(),
            which.layers.PReLU(shared_axes=[1, 2]),
            which.layers.Conv2D(4, 1, groups=4),
        ]
    )
    inner.set_weights([0.3 + 0.7 * weight for weight in inner.get_weights()])
    inputs = which.Input(SHAPE)
    first = inner(inputs)
    return which.Model(inputs, [inner(first), first])


def _siamese(which: Any) -> Any:
    trunk_in = which.Input(SHAPE)
    trunk = which.Model(trunk_in, which.layers.Conv2D(3, 3)(trunk_in), name="trunk")
    left, right = which.Input(SHAPE, name="left"), which.Input(SHAPE, name="right")
    return which.Model([left, right], which.layers.Subtract()([trunk(left), trunk(right)]))


def _several(which: Any) -> Any:
    one, two = which.Input(SHAPE, name="one"), which.Input((4,), name="two")
    x = which.layers.Conv2D(4, 3, padding="same", name="conv")(one)
    gate = which.layers.Reshape((1, 1, 4))(which.layers.Dense(4, name="dense")(two))
    return which.Model([two, one], [which.layers.Multiply()([x, gate]), x])


def _inner_with_several(which: Any) -> Any:
    inner_in = [which.Input(SHAPE), which.Input(SHAPE)]
    total = which.layers.Add()(inner_in)
    inner = which.Model(inner_in, [which.layers.ReLU()(total), total])
    inputs = which.Input(SHAPE)
    conv = which.layers.Conv2D(4, 1)(inputs)
    first, second = inner([inputs, conv])
    return which.Model(inputs, which.layers.Concatenate()([second, first]))


def _operators(which: Any) -> Any:
    inputs = which.Input(SHAPE)
    x = which.layers.Conv2D(4, 1)(inputs)
    return which.Model(inputs, 2.0 * (x + inputs) / 4.0 - 1.0 + x * inputs - (0.5 - x))


def _functions(which: Any) -> Any:
    inputs = which.Input(SHAPE)
    x = which.layers.Conv2D(4, 1)(inputs)
    if which is keras:
        parts = [tf.nn.relu(x), tf.nn.swish(x), tf.sigmoid(x), tf.maximum(x, inputs)]
        joined = tf.concat(parts, axis=-1)
        return which.Model(inputs, tf.reduce_mean(joined, axis=[1, 2]))
    ops = keras3.ops
    parts = [ops.relu(x), ops.silu(x), ops.sigmoid(x), ops.hard_silu(x), ops.maximum(x, inputs)]
    return which.Model(inputs, ops.mean(ops.concatenate(parts, axis=-1), axis=(1, 2)))


def _activations(which: Any) -> Any:
    inputs = which.Input(SHAPE)
    names = ["relu", "swish", "sigmoid", "hard_sigmoid", "tanh", "gelu", "softmax"]
    names += ["relu6", "leaky_relu", "hard_silu"] if which is keras3 else []
    outputs = [which.layers.Conv2D(2, 1, activation=name)(inputs) for name in names]
    return which.Model(inputs, which.layers.Concatenate()(outputs))


def _between_models(which: Any) -> Any:
    conv = which.layers.Conv2D(4, 1, name="c")
    inner_in = which.Input(SHAPE)
    inner = which.Model(inner_in, conv(inner_in))
    inputs = which.Input(SHAPE)
    return which.Model(inputs, [conv(inputs), inner(conv(inputs))])


def _same_layer_twice(which: Any) -> Any:
    one, two = which.Input(SHAPE), which.Input(SHAPE)
    conv = which.layers.Conv2D(3, 1, name="d")
    return which.Model([one, two], [conv(one), conv(two)])


def _taken_names(which: Any) -> Any:
    inputs = which.Input(SHAPE)
    x = which.layers.Conv2D(4, 1, activation="tanh", name="a")(inputs)
    x = which.layers.Activation("relu", name="a_activation")(x)
    x = which.layers.Conv2D(4, 1, activation="swish", name="b")(x)
    return which.Model(inputs, which.layers.ReLU(name="b_activation_gate")(x))


def _constants(which: Any) -> Any:
    inputs = which.Input(SHAPE)
    x = which.layers.Normalization(axis=None, mean=0.3, variance=2.0)(inputs)
    x = which.layers.Rescaling([1.0, 2.0, 3.0, 4.0], [0.0, 1.0, 0.0, -1.0])(x)
    x = which.layers.LeakyReLU(0.0)(which.layers.Conv2D(4, 1)(x))
    return which.Model(inputs, x)


def _never_trained(which: Any) -> Any:
    inner_in = which.Input(SHAPE)
    x = which.layers.BatchNormalization()(which.layers.Conv2D(4, 1)(inner_in))
    inner = which.Model(inner_in, which.layers.Dropout(0.5)(x))
    inputs = which.Input(SHAPE)
    return which.Model(inputs, which.layers.Conv2D(2, 1)(inner(inputs, training=False)))


def _pixels(which: Any) -> Any:
    inputs = which.Input(SHAPE, dtype="uint8")
    return which.Model(inputs, which.layers.Conv2D(2, 1)(which.layers.Rescaling(1 / 9)(inputs)))


MODELS = [
    *(_between_models, _same_layer_twice, _taken_names, _constants, _never_trained, _pixels),
    *(
        _nested,
        _nested_sequential,
        _shared,
        _shared_kinds,
        _siamese,
        _several,
        _inner_with_several,
        _operators,
    ),
    *(_functions, _activations),
]
BOTH = pytest.mark.parametrize("which", [keras, keras3], ids=["tf_keras", "keras3"])


def _inputs(model: Any) -> list[np.ndarray]:
    draw = np.random.default_rng(0)
    found = []
    for each in model.inputs:
        whole = "int" in str(each.dtype)
        values = draw.normal(size=(3, *each.shape[1:])) * (9 if whole else 1)
        found.append(np.abs(values).astype(np.uint8) if whole else values.astype(np.float32))
    return found


def _answers(model: Any, inputs: list[np.ndarray]) -> list[np.ndarray]:
    found = model.predict(inputs if len(inputs) > 1 else inputs[0], verbose=0)
    return found if isinstance(found, list) else [found]


@BOTH
@pytest.mark.parametrize("make", MODELS)
def test_graphs_compute_what_models_do(which: Any, make: Any) -> None:
    which.utils.set_random_seed(1)
    model = make(which)
    inputs = _inputs(model)
    built = build_model(graph_of(model))
    for answer, expected in zip(_answers(built, inputs), _answers(model, inputs), strict=True):
        np.testing.assert_allclose(answer, expected, atol=2e-6)


def _calibrated(model: Any, batch: Any) -> Any:
    quantized = oaq_keras.quantize(model)
    oaq_keras.calibrate(quantized, [batch])
    return quantized


def _post_trained(model: Any, batch: Any) -> Any:
    return oaq_keras.post_training_quantize(model, [batch])


@pytest.mark.parametrize(
    ("which", "how"), [(keras, _post_trained), (keras3, _calibrated)], ids=["tf_keras", "keras3"]
)
@pytest.mark.parametrize("make", MODELS)
def test_all_of_them_are_certified(which: Any, how: Any, make: Any) -> None:
    which.utils.set_random_seed(1)
    model = make(which)
    inputs = _inputs(model)
    quantized = how(model, inputs if len(inputs) > 1 else inputs[0])
    certificate = oaq_keras.certify(oaq_keras.convert(quantized))
    assert certificate.proven
    assert not certificate.skipped
    assert not certificate.in_float
    for answer, expected in zip(_answers(quantized, inputs), _answers(model, inputs), strict=True):
        assert np.abs(answer - expected).max() < 0.1 * np.abs(expected).max()


@BOTH
def test_shared_layers_stay_shared(which: Any) -> None:
    model = oaq_keras.quantize(_shared(which))
    calls = [layer for layer in model.layers if "twice" in layer.name]
    assert len(calls) == 2
    assert len({id(weight) for layer in calls for weight in layer.trainable_weights}) == 2
    model.compile(keras.optimizers.SGD(0.1), "mse")
    x = np.random.default_rng(0).normal(size=(8, *SHAPE)).astype(np.float32)
    before = [weight.numpy() for weight in model.trainable_weights]
    model.fit(x, x, verbose=0)
    assert any((a != b.numpy()).any() for a, b in zip(before, model.trainable_weights, strict=True))


@BOTH
def test_layers_of_nested_models_keep_their_names(which: Any) -> None:
    assert {"conv", "inner_conv"} <= {node.name for node in graph_of(_nested(which))}


@BOTH
def test_inputs_and_outputs_keep_their_order(which: Any) -> None:
    graph = graph_of(_several(which))
    assert graph.inputs == ["two", "one"]
    assert graph.outputs[1] == "conv"


@BOTH
def test_calls_that_never_train_keep_statistics(which: Any) -> None:
    model = oaq_keras.quantize(_never_trained(which))
    model.compile("sgd", "mse")
    x = 3 + np.random.default_rng(0).normal(size=(8, *SHAPE)).astype(np.float32)
    before = [w.numpy() for w in model.weights if "moving" in w.name]
    model.fit(x, x[..., :2], verbose=0)
    after = [w.numpy() for w in model.weights if "moving" in w.name]
    assert len(before) == 2
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)


@BOTH
def test_losses_and_metrics_go_by_the_names_of_outputs(which: Any) -> None:
    inputs = which.Input(SHAPE)
    x = which.layers.Conv2D(4, 1, activation="relu")(inputs)
    outputs = [which.layers.Conv2D(2, 1, name=name)(x) for name in ("left", "right")]
    model = oaq_keras.quantize(which.Model(inputs, outputs))
    assert model.output_names == ["left", "right"]
    model.compile("sgd", {"left": "mse", "right": "mae"}, metrics={"right": ["mse"]})
    x = np.random.default_rng(0).normal(size=(8, *SHAPE)).astype(np.float32)
    history = model.fit(x, {"left": x[..., :2], "right": x[..., 2:]}, verbose=0).history
    assert {"left_loss", "right_loss", "right_mse"} <= set(history)


def test_one_layer_called_in_two_models_stays_one() -> None:
    graph = graph_of(_between_models(keras))
    nodes = [node for node in graph if "c" in node.name.split("_")]
    assert len(nodes) == 3
    assert len({node.shares or node.name for node in nodes}) == 1
