# SPDX-License-Identifier: Apache-2.0
"""Models as graphs compute what the models do, and keep the names of their layers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")
import keras as keras3

import oaq_keras
from oaq_keras._keras import keras
from oaq_keras.graph import build_model
from oaq_keras.quantization import graph_of
from tests.networks import (
    NETWORKS,
    SHAPE,
    answers_of,
    between_models,
    inputs_of,
    nested,
    never_trained,
    several,
    shared,
)

BOTH = pytest.mark.parametrize("which", [keras, keras3], ids=["tf_keras", "keras3"])


@BOTH
@pytest.mark.parametrize("make", NETWORKS)
def test_graphs_compute_what_models_do(which: Any, make: Any) -> None:
    which.utils.set_random_seed(1)
    model = make(which)
    inputs = inputs_of(model)
    built = build_model(graph_of(model))
    for answer, expected in zip(answers_of(built, inputs), answers_of(model, inputs), strict=True):
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
@pytest.mark.parametrize("make", NETWORKS)
def test_all_of_them_are_certified(which: Any, how: Any, make: Any) -> None:
    which.utils.set_random_seed(1)
    model = make(which)
    inputs = inputs_of(model)
    quantized = how(model, inputs if len(inputs) > 1 else inputs[0])
    certificate = oaq_keras.certify(oaq_keras.convert(quantized))
    assert certificate.proven
    assert not certificate.skipped
    assert not certificate.in_float
    for answer, expected in zip(
        answers_of(quantized, inputs), answers_of(model, inputs), strict=True
    ):
        assert np.abs(answer - expected).max() < 0.1 * np.abs(expected).max()


@BOTH
def test_shared_layers_stay_shared(which: Any) -> None:
    model = oaq_keras.quantize(shared(which))
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
    assert {"conv", "inner_conv"} <= {node.name for node in graph_of(nested(which))}


@BOTH
def test_inputs_and_outputs_keep_their_order(which: Any) -> None:
    graph = graph_of(several(which))
    assert graph.inputs == ["two", "one"]
    assert graph.outputs[1] == "conv"


@BOTH
def test_outputs_in_a_dict_stay_in_it(which: Any) -> None:
    inputs = which.Input(SHAPE, name="image")
    x = which.layers.Flatten()(which.layers.Conv2D(4, 3)(inputs))
    outputs = {name: which.layers.Dense(2, name=f"of_{name}")(x) for name in ("kind", "age")}
    float_model = which.Model({"image": inputs}, outputs)
    model = oaq_keras.quantize(float_model)
    model.compile("sgd", loss={"kind": "mse", "age": "mae"}, metrics={"age": ["mae"]})
    x = np.random.default_rng(0).normal(size=(8, *SHAPE)).astype(np.float32)
    expected = {
        name: np.asarray(value) for name, value in float_model.predict(x, verbose=0).items()
    }
    model.fit({"image": x}, expected, verbose=0)
    answers = model.predict({"image": x}, verbose=0)
    assert set(answers) == set(expected)
    interpreter = oaq_keras.Interpreter(model_content=oaq_keras.convert(model, batch_size=8))
    from_file = interpreter.get_signature_runner()(image=x)
    for name, value in answers.items():
        assert np.abs(value - expected[name]).max() < 0.1 * np.abs(expected[name]).max()
        assert np.abs(value - from_file[name]).max() < 0.05 * np.abs(value).max()


@pytest.mark.parametrize("kind", ["UpSampling2D", "GlobalMaxPooling2D"])
def test_ranges_that_files_do_not_tell_are_not_counted_on(kind: str) -> None:
    inputs = keras.Input((None, None, 4))
    x = keras.layers.Conv2D(8, 3, activation="relu")(inputs)
    if kind == "UpSampling2D":
        x = keras.layers.UpSampling2D(interpolation="bilinear")(x)
    else:
        x = keras.layers.GlobalMaxPooling2D(keepdims=True)(x)
    model = oaq_keras.quantize(keras.Model(inputs, keras.layers.Conv2D(2, 1, name="behind")(x)))
    oaq_keras.calibrate(model, [np.random.default_rng(0).normal(size=(8, *SHAPE))])
    certificate = oaq_keras.certify(oaq_keras.convert(model))
    assert certificate.proven
    assert certificate.layers[-1].input_range == (-128, 127)


@BOTH
def test_calls_that_never_train_keep_statistics(which: Any) -> None:
    model = oaq_keras.quantize(never_trained(which))
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
    graph = graph_of(between_models(keras))
    nodes = [node for node in graph if "c" in node.name.split("_")]
    assert len(nodes) == 3
    assert len({node.shares or node.name for node in nodes}) == 1
