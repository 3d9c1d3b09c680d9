# SPDX-License-Identifier: Apache-2.0
"""What convert() can be asked for: types of inputs and outputs, batches, signatures, metadata."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")
import tensorflow as tf

import oaq_keras
from oaq_keras._keras import keras
from oaq_keras.flatbuffer import get_metadata, read_model, text
from tests.runs import answers_of

SHAPE = (8, 8, 3)
TYPES = {"float32": np.float32, "int8": np.int8, "uint8": np.uint8}


@pytest.fixture(scope="module")
def trained() -> Any:
    keras.utils.set_random_seed(1)
    image, vector = keras.Input(SHAPE, name="image"), keras.Input((4,), name="vector")
    x = keras.layers.Conv2D(4, 3, activation="relu")(image)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Add()([x, keras.layers.Dense(4)(vector)])
    left = keras.layers.Dense(3, name="left")(x)
    right = keras.layers.Dense(2, activation="softmax", name="right")(x)
    model = oaq_keras.quantize(keras.Model([image, vector], [left, right]))
    oaq_keras.calibrate(model, [_inputs(32)])
    return model


@pytest.fixture(scope="module")
def converted(trained: Any) -> Callable[..., bytes]:
    """convert() of that model; a conversion takes seconds, and many tests want the same."""

    @cache
    def convert(**options: Any) -> bytes:
        return oaq_keras.convert(trained, **options)

    return convert


def _inputs(count: int) -> list[np.ndarray]:
    draw = np.random.default_rng(0)
    return [draw.normal(size=(count, *shape)).astype(np.float32) for shape in (SHAPE, (4,))]


def _by_name(content: bytes, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    interpreter = oaq_keras.Interpreter(model_content=content)
    found: dict[str, np.ndarray] = interpreter.get_signature_runner("serving_default")(**inputs)
    return found


@pytest.mark.parametrize("ops", ["custom", "builtin"])
@pytest.mark.parametrize("output_type", TYPES)
@pytest.mark.parametrize("input_type", TYPES)
def test_types_of_inputs_and_outputs(
    converted: Callable[..., bytes], input_type: str, output_type: str, ops: str
) -> None:
    content = converted(ops=ops, inference_input_type=input_type, inference_output_type=output_type)
    certificate = oaq_keras.certify(content)
    assert certificate.proven
    assert not certificate.in_float
    interpreter = oaq_keras.Interpreter(model_content=content)
    given = []
    for detail, values in zip(interpreter.get_input_details(), _in_order(content), strict=True):
        assert detail["dtype"] == TYPES[input_type]
        given.append(_codes(detail, values))
    details = interpreter.get_output_details()
    answers = answers_of(content, *given)
    plain = answers_of(converted(ops=ops), *_in_order(content))
    for detail, answer, expected in zip(details, answers, plain, strict=True):
        assert answer.dtype == TYPES[output_type]
        scale, zero_point = detail["quantization"] if output_type != "float32" else (1.0, 0)
        real = (answer.astype(np.float32) - zero_point) * np.float32(scale)
        np.testing.assert_allclose(real, expected, rtol=1e-6, atol=1e-6)


def _in_order(content: bytes) -> list[np.ndarray]:
    """One image and one vector in the order of a file's inputs."""
    by_rank = {values.ndim: values for values in _inputs(1)}
    interpreter = oaq_keras.Interpreter(model_content=content)
    return [by_rank[len(detail["shape"])] for detail in interpreter.get_input_details()]


def _codes(detail: dict[str, Any], values: np.ndarray) -> np.ndarray:
    if detail["dtype"] == np.float32:
        return values
    scale, zero_point = detail["quantization"]
    limits = np.iinfo(detail["dtype"])
    codes = np.rint(values / np.float32(scale)) + zero_point
    return np.clip(codes, limits.min, limits.max).astype(detail["dtype"])


@pytest.mark.parametrize("given", [np.int8, tf.int8, tf.dtypes.int8, "int8", np.dtype("int8")])
def test_types_go_by_any_of_their_names(trained: Any, given: Any) -> None:
    content = oaq_keras.convert(trained, inference_input_type=given)
    details = oaq_keras.Interpreter(model_content=content).get_input_details()
    assert {detail["dtype"] for detail in details} == {np.int8}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"inference_input_type": "int16"}, "inference_input_type is .* got 'int16'"),
        ({"inference_output_type": "float99"}, "inference_output_type is .* got 'float99'"),
        ({"inference_input_type": None}, "inference_input_type"),
        ({"batch_size": 0}, "batch_size is .* got 0"),
        ({"batch_size": 1.5}, "batch_size is .* got 1.5"),
        ({"ops": "stock"}, "ops is .* got 'stock'"),
    ],
)
def test_what_is_no_option_is_refused(trained: Any, options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        oaq_keras.convert(trained, **options)


@pytest.mark.parametrize("ops", ["custom", "builtin"])
@pytest.mark.parametrize("count", [1, 2, 7])
def test_any_number_of_inputs_at_once(
    converted: Callable[..., bytes], ops: str, count: int
) -> None:
    content = converted(ops=ops)
    image, vector = _inputs(7)
    whole = _by_name(content, {"image": image[:count], "vector": vector[:count]})
    assert whole["left"].shape == (count, 3)
    for i in range(count):
        one = _by_name(content, {"image": image[i : i + 1], "vector": vector[i : i + 1]})
        for name in ("left", "right"):
            np.testing.assert_array_equal(one[name][0], whole[name][i])


def test_a_given_number_of_inputs(trained: Any) -> None:
    content = oaq_keras.convert(trained, batch_size=3)
    for detail in oaq_keras.Interpreter(model_content=content).get_input_details():
        assert detail["shape"][0] == detail["shape_signature"][0] == 3
    answers = _by_name(content, dict(zip(("image", "vector"), _inputs(3), strict=True)))
    assert answers["left"].shape == (3, 3)


@pytest.mark.parametrize("count", [1, 3])
def test_transposed_convolutions_take_as_many_as_they_were_made_for(count: int) -> None:
    keras.utils.set_random_seed(1)
    inputs = keras.Input(SHAPE)
    outputs = keras.layers.Conv2DTranspose(4, 3, strides=2)(inputs)
    model = oaq_keras.quantize(keras.Model(inputs, outputs))
    image = _inputs(3)[0]
    oaq_keras.calibrate(model, [image])
    content = oaq_keras.convert(model, batch_size=None if count == 1 else count)
    (answer,) = answers_of(content, image[:count])
    expected = model.predict(image[:count], verbose=0)
    assert np.abs(answer - expected).max() <= 0.02 * np.abs(expected).max()


def test_signatures_have_the_models_names(trained: Any, converted: Callable[..., bytes]) -> None:
    interpreter = oaq_keras.Interpreter(model_content=converted(ops="custom"))
    assert interpreter.get_signature_list() == {
        "serving_default": {"inputs": ["image", "vector"], "outputs": ["left", "right"]}
    }
    image, vector = _inputs(4)
    answers = _by_name(converted(ops="custom"), {"image": image, "vector": vector})
    expected = dict(
        zip(("left", "right"), trained.predict([image, vector], verbose=0), strict=True)
    )
    for name, values in expected.items():
        assert np.abs(answers[name] - values).max() < 0.02 * np.abs(values).max()


@pytest.mark.parametrize("ops", ["custom", "builtin"])
def test_the_converters_metadata_is_kept(converted: Callable[..., bytes], ops: str) -> None:
    parsed = read_model(converted(ops=ops))
    names = {text(entry.name) for entry in parsed.metadata}
    assert {"min_runtime_version", "CONVERSION_METADATA", "oaq_certificate"} <= names
    assert get_metadata(parsed, "min_runtime_version")
