# SPDX-License-Identifier: Apache-2.0
"""What cannot be quantized: each error names the layer, the reason, and what to do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")
import keras as keras3
import tensorflow as tf

import oaq_keras
from oaq_keras._keras import keras
from tests.keras_models import sequential_network


def _model(which: Any, build: Any, shape: tuple[int, ...] = (8, 8, 3)) -> Any:
    inputs = which.Input(shape)
    return which.Model(inputs, build(inputs))


def _on_images(name: str, /, *args: Any, which: Any = keras, **config: Any) -> Any:
    return _model(which, getattr(which.layers, name)(*args, **config))


class _Subclassed(keras.Model):
    def call(self, inputs: Any) -> Any:
        return inputs


class _Subclassed3(keras3.Model):
    def call(self, inputs: Any) -> Any:
        return inputs


class _Twice(keras.layers.Layer):
    def call(self, inputs: Any) -> Any:
        return 2.0 * inputs


class _Twice3(keras3.layers.Layer):
    def call(self, inputs: Any) -> Any:
        return 2.0 * inputs


class _Halves(keras.layers.Layer):
    def call(self, inputs: Any) -> Any:
        return tf.split(inputs, 2, axis=1)


def swish(x: Any) -> Any:
    return 2 * x


def _inner_of_dicts() -> Any:
    parts = {"p": keras.Input((8, 8, 3)), "q": keras.Input((8, 8, 3))}
    inner = keras.Model(parts, keras.layers.Subtract()(list(parts.values())), name="inner")
    return _model(keras, lambda x: inner({"q": x, "p": keras.layers.ReLU()(x)}))


def _diverged() -> Any:
    model = sequential_network(keras)
    model.layers[0].set_weights([np.full_like(w, np.nan) for w in model.layers[0].get_weights()])
    return model


REFUSED = {
    "path": (lambda: "model.h5", "load_model"),
    "subclassed": (_Subclassed, "functional API"),
    "subclassed, Keras 3": (_Subclassed3, "functional API"),
    "unbuilt": (lambda: keras.Sequential([keras.layers.Dense(3)]), "no input shape"),
    "unbuilt, Keras 3": (lambda: keras3.Sequential([keras3.layers.Dense(3)]), "no input shape"),
    "quantized already": (
        lambda: oaq_keras.quantize(sequential_network(keras)),
        "is quantized already.*float model",
    ),
    "no weights": (lambda: _on_images("ReLU"), "no convolution and no Dense.*Quantize the model"),
    "weights that are no numbers": (_diverged, "not finite.*Restore"),
    "activation": (
        lambda: _on_images("Conv2D", 3, 1, activation="elu", name="c"),
        "'c_activation' has the activation 'elu'.*Use one of them",
    ),
    "activation, Keras 3": (
        lambda: _on_images("Conv2D", 3, 1, activation="elu", name="c", which=keras3),
        "'c_activation' has the activation 'elu'.*Use one of them",
    ),
    "ReLU with a threshold": (
        lambda: _on_images("ReLU", threshold=1.0, name="late"),
        "'late' is a ReLU with a threshold.*Use ReLU",
    ),
    "channels first": (
        lambda: _on_images("Conv2D", 3, 1, data_format="channels_first", name="first"),
        "'first' has data_format.*channels_last",
    ),
    "half precision": (
        lambda: _on_images("Conv2D", 3, 1, dtype="mixed_float16", name="half"),
        "'half' has the dtype policy 'mixed_float16'.*'float32'",
    ),
    "half precision, Keras 3": (
        lambda: _on_images("Conv2D", 3, 1, dtype="mixed_bfloat16", name="half", which=keras3),
        "'half' has the dtype policy 'mixed_bfloat16'.*'float32'",
    ),
    "activity": (
        lambda: _on_images("Conv2D", 3, 1, activity_regularizer="l2", name="act"),
        "'act' has an activity_regularizer.*add_loss",
    ),
    "normalized rows": (
        lambda: _on_images("BatchNormalization", axis=1, name="rows"),
        "'rows' has axis.*last axis",
    ),
    "normalized height": (
        lambda: _on_images("Normalization", axis=1, mean=[0.0] * 8, variance=[1.0] * 8, name="n"),
        "'n' has axis.*last axis",
    ),
    "transposed, dilated": (
        lambda: _on_images("Conv2DTranspose", 3, 3, dilation_rate=2, name="up"),
        "'up' is a Conv2DTranspose with dilation_rate.*UpSampling2D",
    ),
    "transposed, of any size": (
        lambda: _model(keras, keras.layers.Conv2DTranspose(3, 3, name="up"), (None, None, 3)),
        "'up' is a Conv2DTranspose on images of unknown size.*keras.Input",
    ),
    "each step by itself, Keras 3": (
        lambda: _model(
            keras3,
            keras3.layers.TimeDistributed(keras3.layers.Dense(3), name="steps"),
            (6, 3),
        ),
        "'steps' .*TimeDistributed.*custom_objects",
    ),
    "mask": (
        lambda: _model(
            keras,
            lambda x: keras.layers.LSTM(3)(
                keras.layers.Embedding(9, 4, mask_zero=True, name="words")(x)
            ),
            (6,),
        ),
        "'words' .*makes a mask.*without mask_zero",
    ),
    "mask, Keras 3": (
        lambda: _model(
            keras3,
            lambda x: keras3.layers.LSTM(3)(
                keras3.layers.Embedding(9, 4, mask_zero=True, name="words")(x)
            ),
            (6,),
        ),
        "'words' .*makes a mask.*without mask_zero",
    ),
    "activation of one's own": (
        lambda: _on_images("Conv2D", 3, 1, activation=swish, name="c"),
        "'c' has an activation that is no stock function.*custom_objects",
    ),
    "activation of one's own, Keras 3": (
        lambda: _on_images("Conv2D", 3, 1, activation=swish, name="c", which=keras3),
        "'c' has an activation that is no stock function.*custom_objects",
    ),
    "settings of a function": (
        lambda: _model(keras3, lambda x: keras3.ops.softmax(x, axis=1)),
        "softmax.*function of tensors.*Use a layer",
    ),
    "several outputs, one used": (
        lambda: _model(
            keras, lambda x: keras.layers.LSTM(3, return_state=True, name="memory")(x)[0], (6, 3)
        ),
        "'memory' has several outputs",
    ),
    "values for other channels": (
        lambda: _model(keras, keras.layers.Rescaling([1.0, 2.0], name="scaled"), (8, 8, 1)),
        "'scaled' has 2 values for 1 channels",
    ),
    "dict of tensors": (_inner_of_dicts, "'inner' is called with a dict.*list"),
    "training": (
        lambda: _model(keras, lambda x: keras.layers.Dropout(0.5, name="drop")(x, training=True)),
        "'drop' is called with training=True",
    ),
    "constraint": (
        lambda: _on_images("Dense", 3, kernel_constraint="max_norm", name="d"),
        "'d' has a kernel_constraint.*NonNeg",
    ),
    "text": (
        lambda: keras.Model(i := keras.Input((3,), dtype="string", name="words"), i),
        "'words' takes string",
    ),
    "volumes": (
        lambda: _model(keras, keras.layers.Conv3D(3, 1, name="deep"), (8, 8, 8, 3)),
        "'deep' is a Conv3D.*custom_objects.*function.*docs.models.md lists",
    ),
    "untied weights": (
        lambda: _on_images("LocallyConnected2D", 3, 1, name="local"),
        "'local' is a LocallyConnected2D.*docs.models.md lists",
    ),
    "interpolation": (
        lambda: _on_images("UpSampling2D", interpolation="bicubic", name="up"),
        "'up' interpolates by 'bicubic'.*'nearest'",
    ),
    "lambda": (
        lambda: _on_images("Lambda", lambda x: -x, name="f"),
        "'f' is a Lambda.*custom_objects",
    ),
    "lambda, Keras 3": (
        lambda: _on_images("Lambda", lambda x: -x, name="f", which=keras3),
        "'f' is a Lambda.*custom_objects",
    ),
    "layer of one's own": (
        lambda: _model(keras, _Twice(name="own")),
        "'own' is a _Twice.*custom_objects",
    ),
    "layer of one's own, Keras 3": (
        lambda: _model(keras3, _Twice3(name="own")),
        "'own' is a _Twice3.*custom_objects",
    ),
    "several outputs": (
        lambda: _model(keras, lambda x: keras.layers.Add(name="sum")(_Halves(name="split")(x))),
        "'split' has several outputs.*Split it",
    ),
    "part of a tensor": (lambda: _model(keras, lambda x: x[:, 1:]), "by indexing.*Cropping2D"),
    "part of a tensor, Keras 3": (lambda: _model(keras3, lambda x: x[:, 1:]), "Cropping2D"),
    "function": (
        lambda: _model(keras, tf.sin),
        "'tf.math.sin.*' .*function of tensors.*Use a layer",
    ),
    "function, Keras 3": (
        lambda: _model(keras3, keras3.ops.sin),
        "'sin.*' .*function of tensors.*Use a layer",
    ),
    "layer of Keras 3 alone": (
        lambda: _on_images("AutoContrast", name="contrast", which=keras3),
        "'contrast' is a AutoContrast, which tf_keras does not have.*custom_objects",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_quantized_is_refused_by_name(case: str) -> None:
    make, message = REFUSED[case]
    with pytest.raises(oaq_keras.UnsupportedError, match=f"(?s){message}"):
        oaq_keras.quantize(make())
