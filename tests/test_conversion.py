# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")
from ai_edge_litert.interpreter import Interpreter, OpResolverType

import oaq_keras
from oaq_keras._keras import keras
from oaq_keras.trained import format_tables
from tests.keras_models import images, mixed_network, sequential_network


@pytest.fixture(scope="module")
def quantized() -> Any:
    keras.utils.set_random_seed(3)
    return oaq_keras.calibrate(oaq_keras.quantize(mixed_network(keras)), [images(64)])


@pytest.fixture(scope="module")
def builtin_file(quantized: Any) -> bytes:
    return oaq_keras.convert(quantized, ops="builtin")


def _reference(content: bytes) -> Any:
    interpreter = Interpreter(
        model_content=content,
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    return interpreter


def _answers(interpreter: Any, x: np.ndarray) -> np.ndarray:
    rows = []
    for image in x:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image[None])
        interpreter.invoke()
        rows.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0])
    return np.array(rows)


def test_file_answers_as_the_trained_model(quantized: Any, builtin_file: bytes) -> None:
    x = images(32, seed=9)
    answers = _answers(_reference(builtin_file), x)
    expected = quantized.predict(x, verbose=0)
    assert np.abs(answers - expected).max() < 0.02
    assert np.mean(np.abs(answers - expected) < 0.006) > 0.9


def test_all_inner_tensors_are_int8(builtin_file: bytes) -> None:
    interpreter = _reference(builtin_file)
    floats = [
        tensor["name"]
        for tensor in interpreter.get_tensor_details()
        if tensor["dtype"] == np.float32
    ]
    assert len(floats) == 2  # the model's own input and output


def test_ranges_hold_for_inputs_far_from_the_data(builtin_file: bytes) -> None:
    interpreter = _reference(builtin_file)
    _answers(interpreter, 100 * images(1, seed=4))
    ranges = {layer.name: layer.input_range for layer in oaq_keras.certify(builtin_file).layers}
    closed = 0
    details = {detail["name"]: detail for detail in interpreter.get_tensor_details()}
    for operator in interpreter._get_ops_details():
        output = operator["outputs"][0]
        name = next(n for n, detail in details.items() if detail["index"] == output)
        if name in ranges and operator["op_name"] != "DELEGATE":
            codes = interpreter.get_tensor(operator["inputs"][0])
            low, high = ranges[name]
            assert low <= codes.min()
            assert codes.max() <= high
            closed += high - low < 255
    assert closed >= 5


def test_certificate_is_in_the_file_and_holds(quantized: Any, builtin_file: bytes) -> None:
    certificate = oaq_keras.certify(builtin_file)
    assert certificate.proven
    assert (certificate.depth, certificate.first_layer_depth) == (16, 4)
    custom = oaq_keras.convert(quantized)
    assert oaq_keras.certify(custom).layers == certificate.layers
    assert oaq_keras.to_builtin_ops(custom) == oaq_keras.to_builtin_ops(
        oaq_keras.to_custom_ops(builtin_file)
    )


def test_signature_keeps_the_names_of_the_model(builtin_file: bytes) -> None:
    signatures = Interpreter(model_content=builtin_file).get_signature_list()
    assert signatures == {"serving_default": {"inputs": ["image"], "outputs": ["classes"]}}


@pytest.mark.parametrize(("depth", "first"), [(8, 16), (2, 4), (1, 1), (16, 2)])
def test_depths_of_first_and_other_layers_stay_theirs(depth: int, first: int) -> None:
    model = oaq_keras.post_training_quantize(
        sequential_network(keras), [images(16)], depth=depth, first_layer_depth=first
    )
    certificate = oaq_keras.certify(oaq_keras.convert(model))
    assert (certificate.depth, certificate.first_layer_depth) == (depth, first)
    assert certificate.proven


def test_a_layer_may_have_the_name_of_ours() -> None:
    inputs = keras.Input((4, 4, 3), name="x")
    outputs = keras.layers.Conv2D(2, 1, name="quantize_x")(inputs)
    model = oaq_keras.post_training_quantize(
        keras.Model(inputs, outputs), [np.ones((1, 4, 4, 3), np.float32)]
    )
    assert oaq_keras.certify(oaq_keras.convert(model)).proven


@pytest.mark.parametrize("depth", [8, 32, oaq_keras.NEVER_DRAINED])
def test_depth_asked_for_is_the_depth_proven(depth: int) -> None:
    model = oaq_keras.post_training_quantize(
        sequential_network(keras), [images(16)], depth=depth, accumulator_bits=15
    )
    certificate = oaq_keras.certify(oaq_keras.convert(model))
    assert (certificate.depth, certificate.accumulator_bits) == (depth, 15)
    assert certificate.proven


def test_gamma_of_zero_stays_int8_and_changes_no_weight() -> None:
    keras.utils.set_random_seed(1)
    model = mixed_network(keras)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.gamma.assign(np.where(np.arange(8) % 2, layer.gamma, 0.0))
            layer.beta.assign(np.linspace(-0.5, 0.5, 8))
    quantized = oaq_keras.post_training_quantize(model, [images(32)])
    before = quantized.get_weights()
    content = oaq_keras.convert(quantized, ops="builtin")
    for old, new in zip(before, quantized.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    x = images(8, seed=2)
    answers = _answers(_reference(content), x)
    assert np.abs(answers - quantized.predict(x, verbose=0)).max() < 0.02


def test_an_untrained_model_is_refused() -> None:
    with pytest.raises(oaq_keras.UnsupportedError, match=r"no data yet.*fit\(\)"):
        oaq_keras.convert(oaq_keras.quantize(sequential_network(keras)))


def test_a_model_that_is_not_quantized_is_refused() -> None:
    for model in (sequential_network(keras), "model", None):
        with pytest.raises(oaq_keras.UnsupportedError, match=r"quantize\(model\)"):
            oaq_keras.convert(model)


def test_diverged_weights_are_refused_by_name() -> None:
    model = oaq_keras.post_training_quantize(sequential_network(keras), [images(8)])
    kernel = next(weight for weight in model.weights if "conv2d" in weight.name)
    kernel.assign(np.full(kernel.shape, np.nan))
    with pytest.raises(oaq_keras.UnsupportedError, match="not finite"):
        oaq_keras.convert(model)


def test_codes_that_were_not_trained_to_fit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model = oaq_keras.calibrate(oaq_keras.quantize(mixed_network(keras)), [images(8)])
    (table,) = format_tables(model)
    monkeypatch.setattr(table, "width", lambda name: 15.0)
    with pytest.raises(oaq_keras.CertificateError, match=r"exceeds 16 bits.*nothing was") as error:
        oaq_keras.convert(model)
    assert error.value.layers


def test_unknown_ops_are_refused(quantized: Any) -> None:
    with pytest.raises(ValueError, match="'custom' or 'builtin'"):
        oaq_keras.convert(quantized, ops="flex")
