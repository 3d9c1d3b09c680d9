# SPDX-License-Identifier: Apache-2.0
"""One contract for every type of layer: from a float model to a file, and back."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import oaq_keras
from oaq_keras._keras import keras
from oaq_keras.activations import hard_silu
from oaq_keras.flatbuffer import read_model, type_name
from oaq_keras.registry import NAMES
from oaq_keras.rewrite import to_custom_ops
from tests.layer_codes import compare_layers
from tests.runs import answers_of

layers = keras.layers
IMAGES, ROWS, VECTORS = (8, 8, 4), (12, 4), (16,)


def _bn(**config: Any) -> Any:
    return layers.BatchNormalization(
        gamma_initializer=keras.initializers.RandomUniform(0.5, 2.0, seed=1),
        beta_initializer=keras.initializers.RandomUniform(-1.0, 1.0, seed=2),
        momentum=0.5,
        **config,
    )


def _squeeze_and_excite(x: Any) -> Any:
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = layers.Conv2D(2, 1, activation="swish")(gate)
    return layers.Multiply()([x, layers.Conv2D(x.shape[-1], 1, activation="sigmoid")(gate)])


def _both(kind: Any) -> Any:
    def layer(x: Any) -> Any:
        return kind()([x, layers.Conv2D(x.shape[-1], 1)(x)])

    return layer


def _preactivated(x: Any) -> Any:
    inner = layers.Conv2D(x.shape[-1], 3, padding="same")(layers.ReLU()(_bn()(x)))
    return layers.Add()([x, inner])


def _shared(x: Any) -> Any:
    conv = layers.Conv2D(8, 3, padding="same", activation="relu")
    return conv(conv(x))


def _nested(x: Any) -> Any:
    inputs = keras.Input(x.shape[1:])
    inner = keras.Model(inputs, layers.ReLU()(_bn()(layers.Conv2D(8, 3, padding="same")(inputs))))
    return inner(inner(x))


def _operators(x: Any) -> Any:
    return (x + layers.Conv2D(x.shape[-1], 1)(x)) * 0.5 - 0.25


def _clips(x: Any) -> Any:
    wide = layers.Conv2D(4, 1, kernel_initializer=keras.initializers.RandomNormal(0, 1.0, seed=1))
    inner = [wide(x) for _ in range(4)]
    clipped = [layers.ReLU(6.0)(inner[0]), layers.ReLU(1.0)(inner[1]), layers.ReLU()(inner[2])]
    return layers.Concatenate()([*clipped, inner[3]])


ON_IMAGES = {
    "Conv2D": layers.Conv2D(6, 3, strides=2, activation="relu6"),
    "Conv2D, groups": layers.Conv2D(8, 3, groups=2),
    "Conv2D, a group for each channel": layers.Conv2D(16, 3, groups=8, padding="same"),
    "Conv2D, dilated": layers.Conv2D(6, 3, dilation_rate=2, activation="relu"),
    "DepthwiseConv2D": layers.DepthwiseConv2D(3, depth_multiplier=2, activation="relu"),
    "SeparableConv2D": layers.SeparableConv2D(6, 3, padding="same", activation="relu"),
    "Conv2DTranspose": layers.Conv2DTranspose(6, 3, strides=2, padding="same"),
    "Conv2DTranspose, relu": layers.Conv2DTranspose(6, 4, strides=2, activation="relu"),
    "Dense on images": layers.Dense(6, activation="relu"),
    "BatchNormalization": _bn(),
    "BatchNormalization, ReLU, Conv2D, Add": _preactivated,
    "ZeroPadding2D": layers.ZeroPadding2D(((0, 1), (2, 0))),
    "Cropping2D": layers.Cropping2D(((0, 1), (2, 0))),
    "MaxPooling2D": layers.MaxPooling2D(2),
    "AveragePooling2D": layers.AveragePooling2D(2),
    "AveragePooling2D, ReLU": lambda x: layers.ReLU()(
        layers.AveragePooling2D(2)(layers.Conv2D(8, 1)(x))
    ),
    "GlobalAveragePooling2D": layers.GlobalAveragePooling2D(),
    "GlobalMaxPooling2D": layers.GlobalMaxPooling2D(keepdims=True),
    "UpSampling2D": layers.UpSampling2D(2),
    "UpSampling2D, bilinear": layers.UpSampling2D(2, interpolation="bilinear"),
    "Rescaling": layers.Rescaling(0.5, offset=-1.0),
    "Normalization": layers.Normalization(mean=[0.1, 0.2, 0.3, 0.4] * 2, variance=[1.0, 2.0] * 4),
    "Reshape": layers.Reshape((4, 16, 8)),
    "Permute": layers.Permute((2, 1, 3)),
    "Flatten": layers.Flatten(),
    "ReLU, 1": layers.ReLU(1.0),
    "ReLU, leaky": layers.ReLU(negative_slope=0.1),
    "LeakyReLU": layers.LeakyReLU(0.2),
    "PReLU": layers.PReLU(
        shared_axes=[1, 2], alpha_initializer=keras.initializers.RandomUniform(0, 0.5, seed=1)
    ),
    **{
        name: layers.Conv2D(8, 1, activation=name)
        for name in ("swish", "hard_sigmoid", "sigmoid", "tanh", "gelu", "softmax", "leaky_relu")
    },
    "hard_silu": layers.Conv2D(8, 1, activation=hard_silu),
    "Add": _both(layers.Add),
    "Add of three": lambda x: layers.Add()([x, layers.Conv2D(8, 1)(x), layers.Conv2D(8, 1)(x)]),
    "Subtract": _both(layers.Subtract),
    "Multiply": _both(layers.Multiply),
    "Maximum": _both(layers.Maximum),
    "Minimum": _both(layers.Minimum),
    "Average": _both(layers.Average),
    "Concatenate": _both(layers.Concatenate),
    "squeeze and excite": _squeeze_and_excite,
    "Dropout, by sample": layers.Dropout(0.2, noise_shape=(None, 1, 1, 1)),
    "GaussianNoise": layers.GaussianNoise(0.1),
    "shared layers": _shared,
    "nested models": _nested,
    "operators": _operators,
    "clips that share a format": _clips,
    "Softmax": layers.Softmax(),
    "Identity": layers.Identity(),
    "SpatialDropout2D": layers.SpatialDropout2D(0.1),
    "GaussianDropout": layers.GaussianDropout(0.1),
    "AlphaDropout": layers.AlphaDropout(0.1),
}
ON_ROWS = {
    "Conv1D": layers.Conv1D(6, 3, strides=2, activation="relu"),
    "Conv1D, causal": layers.Conv1D(6, 3, dilation_rate=2, padding="causal"),
    "Conv1D, BatchNormalization, ReLU": lambda x: layers.ReLU()(_bn()(layers.Conv1D(6, 3)(x))),
    "DepthwiseConv1D": layers.DepthwiseConv1D(3, padding="same"),
    "SeparableConv1D": layers.SeparableConv1D(6, 3, activation="relu"),
    "Dense on sequences": layers.Dense(6, activation="relu"),
    "MaxPooling1D": layers.MaxPooling1D(2),
    "AveragePooling1D": layers.AveragePooling1D(2),
    "GlobalAveragePooling1D": layers.GlobalAveragePooling1D(),
    "GlobalMaxPooling1D": layers.GlobalMaxPooling1D(keepdims=True),
    "ZeroPadding1D": layers.ZeroPadding1D(2),
    "Cropping1D": layers.Cropping1D(2),
    "UpSampling1D": layers.UpSampling1D(2),
    "BatchNormalization of sequences": _bn(),
    "SpatialDropout1D": layers.SpatialDropout1D(0.1),
}
ON_VECTORS = {
    "Dense": layers.Dense(6, activation="relu"),
    "Dense, BatchNormalization, ReLU": lambda x: layers.ReLU()(_bn()(layers.Dense(6)(x))),
    "BatchNormalization of vectors": _bn(),
}
LEAST_EQUAL, FEW = 0.9998, 2
"""Of an operator's codes, on the same inputs; and codes that may differ where there are few."""

CASES = [
    *((name, layer, IMAGES) for name, layer in ON_IMAGES.items()),
    *((name, layer, ROWS) for name, layer in ON_ROWS.items()),
    *((name, layer, VECTORS) for name, layer in ON_VECTORS.items()),
]


def network(layer: Any, shape: tuple[int, ...]) -> Any:
    """A layer between one that sums and the classes."""
    before = {3: layers.Conv2D, 2: layers.Conv1D}.get(len(shape))
    x = inputs = keras.Input(shape)
    x = layers.Dense(8, activation="relu")(x) if before is None else before(8, 1)(x)
    x = layer(x)
    if len(x.shape) > 2:
        x = layers.Flatten()(x)
    return keras.Model(inputs, layers.Dense(3, name="classes")(x))


@pytest.mark.parametrize(("name", "layer", "shape"), CASES, ids=[case[0] for case in CASES])
def test_contract(name: str, layer: Any, shape: tuple[int, ...], tmp_path: Path) -> None:
    keras.utils.set_random_seed(1)
    float_model = network(layer, shape)
    draw = np.random.default_rng(0)
    x = draw.normal(size=(32, *shape)).astype(np.float32)
    y = draw.integers(0, 3, 32)

    for _ in range(8):  # until statistics are those of the inputs
        float_model(x, training=True)

    model = oaq_keras.quantize(float_model)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(1e-3), loss)
    model.fit(x, y, batch_size=16, verbose=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of operators that the converter left in float
        content = oaq_keras.convert(model, ops="builtin")

    certificate = oaq_keras.certify(content)
    assert certificate.proven
    assert not certificate.skipped
    _no_float_inside(content)
    few = x[:1] if "Transpose" in name else x
    compared = list(compare_layers(model, content, few))
    assert compared
    for each in compared:
        assert each.largest <= 1, each
        assert each.codes - each.counts[0] <= max(FEW, (1 - LEAST_EQUAL) * each.codes), each
    (from_file,) = answers_of(to_custom_ops(content), few)
    again = oaq_keras.quantize(float_model)
    model.save_weights(tmp_path / "kept.weights.h5")
    again.load_weights(tmp_path / "kept.weights.h5")
    answers, expected = (each(x, training=False).numpy() for each in (model, float_model))
    np.testing.assert_array_equal(again(x, training=False).numpy(), answers)
    assert np.abs(from_file - answers[: len(few)]).max() < 0.05 * np.abs(answers).max()
    assert np.abs(answers - expected).max() < 0.35 * np.abs(expected).max()


def _no_float_inside(content: bytes) -> None:
    (graph,) = read_model(content).subgraphs
    floats = [t.name for t in graph.tensors if type_name(t) == "FLOAT32"]
    assert len(floats) == len(graph.inputs) + len(graph.outputs)


def test_every_layer_has_a_case() -> None:
    text = Path(__file__).read_text()
    missing = [name for name in NAMES if not re.search(rf"layers\.{name}\b", text)]
    assert missing == ["Activation", "InputLayer"]
