# SPDX-License-Identifier: Apache-2.0
"""Small networks of all shapes, in tf_keras or Keras 3: nested, shared, with several inputs."""

from __future__ import annotations

from typing import Any

import keras as keras3
import numpy as np
import tensorflow as tf

from oaq_keras._keras import keras

SHAPE = (6, 6, 4)


def nested(which: Any) -> Any:
    inner_in = which.Input(SHAPE)
    x = which.layers.Conv2D(4, 3, padding="same", name="conv")(inner_in)
    inner = which.Model(inner_in, which.layers.BatchNormalization()(x), name="inner")
    inputs = which.Input(SHAPE)
    return which.Model(inputs, inner(which.layers.ReLU()(inner(inputs))))


def nested_sequential(which: Any) -> Any:
    stack = which.Sequential(
        [which.Input(SHAPE), which.layers.Conv2D(4, 1), which.layers.ReLU()], name="stack"
    )
    return which.Sequential([which.Input(SHAPE), stack, which.layers.Conv2D(3, 3, name="last")])


def shared(which: Any) -> Any:
    conv = which.layers.Conv2D(4, 1, name="twice")
    inputs = which.Input(SHAPE)
    first = conv(inputs)
    return which.Model(inputs, which.layers.Add()([conv(first), first]))


def shared_kinds(which: Any) -> Any:
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


def siamese(which: Any) -> Any:
    trunk_in = which.Input(SHAPE)
    trunk = which.Model(trunk_in, which.layers.Conv2D(3, 3)(trunk_in), name="trunk")
    left, right = which.Input(SHAPE, name="left"), which.Input(SHAPE, name="right")
    return which.Model([left, right], which.layers.Subtract()([trunk(left), trunk(right)]))


def several(which: Any) -> Any:
    one, two = which.Input(SHAPE, name="one"), which.Input((4,), name="two")
    x = which.layers.Conv2D(4, 3, padding="same", name="conv")(one)
    gate = which.layers.Reshape((1, 1, 4))(which.layers.Dense(4, name="dense")(two))
    return which.Model([two, one], [which.layers.Multiply()([x, gate]), x])


def inner_with_several(which: Any) -> Any:
    inner_in = [which.Input(SHAPE), which.Input(SHAPE)]
    total = which.layers.Add()(inner_in)
    inner = which.Model(inner_in, [which.layers.ReLU()(total), total])
    inputs = which.Input(SHAPE)
    conv = which.layers.Conv2D(4, 1)(inputs)
    first, second = inner([inputs, conv])
    return which.Model(inputs, which.layers.Concatenate()([second, first]))


def operators(which: Any) -> Any:
    inputs = which.Input(SHAPE)
    x = which.layers.Conv2D(4, 1)(inputs)
    return which.Model(inputs, 2.0 * (x + inputs) / 4.0 - 1.0 + x * inputs - (0.5 - x))


def functions(which: Any) -> Any:
    inputs = which.Input(SHAPE)
    x = which.layers.Conv2D(4, 1)(inputs)
    if which is keras:
        parts = [tf.nn.relu(x), tf.nn.swish(x), tf.sigmoid(x), tf.maximum(x, inputs)]
        joined = tf.concat(parts, axis=-1)
        return which.Model(inputs, tf.reduce_mean(joined, axis=[1, 2]))
    ops = keras3.ops
    parts = [ops.relu(x), ops.silu(x), ops.sigmoid(x), ops.hard_silu(x), ops.maximum(x, inputs)]
    return which.Model(inputs, ops.mean(ops.concatenate(parts, axis=-1), axis=(1, 2)))


def activations(which: Any) -> Any:
    inputs = which.Input(SHAPE)
    names = ["relu", "swish", "sigmoid", "hard_sigmoid", "tanh", "gelu", "softmax"]
    names += ["relu6", "leaky_relu", "hard_silu"] if which is keras3 else []
    outputs = [which.layers.Conv2D(2, 1, activation=name)(inputs) for name in names]
    return which.Model(inputs, which.layers.Concatenate()(outputs))


def between_models(which: Any) -> Any:
    conv = which.layers.Conv2D(4, 1, name="c")
    inner_in = which.Input(SHAPE)
    inner = which.Model(inner_in, conv(inner_in))
    inputs = which.Input(SHAPE)
    return which.Model(inputs, [conv(inputs), inner(conv(inputs))])


def same_layer_twice(which: Any) -> Any:
    one, two = which.Input(SHAPE), which.Input(SHAPE)
    conv = which.layers.Conv2D(3, 1, name="d")
    return which.Model([one, two], [conv(one), conv(two)])


def taken_names(which: Any) -> Any:
    inputs = which.Input(SHAPE)
    x = which.layers.Conv2D(4, 1, activation="tanh", name="a")(inputs)
    x = which.layers.Activation("relu", name="a_activation")(x)
    x = which.layers.Conv2D(4, 1, activation="swish", name="b")(x)
    return which.Model(inputs, which.layers.ReLU(name="b_activation_gate")(x))


def constants(which: Any) -> Any:
    inputs = which.Input(SHAPE)
    x = which.layers.Normalization(axis=None, mean=0.3, variance=2.0)(inputs)
    x = which.layers.Rescaling([1.0, 2.0, 3.0, 4.0], [0.0, 1.0, 0.0, -1.0])(x)
    x = which.layers.LeakyReLU(0.0)(which.layers.Conv2D(4, 1)(x))
    return which.Model(inputs, x)


def never_trained(which: Any) -> Any:
    inner_in = which.Input(SHAPE)
    x = which.layers.BatchNormalization()(which.layers.Conv2D(4, 1)(inner_in))
    inner = which.Model(inner_in, which.layers.Dropout(0.5)(x))
    inputs = which.Input(SHAPE)
    return which.Model(inputs, which.layers.Conv2D(2, 1)(inner(inputs, training=False)))


def pixels(which: Any) -> Any:
    inputs = which.Input(SHAPE, dtype="uint8")
    return which.Model(inputs, which.layers.Conv2D(2, 1)(which.layers.Rescaling(1 / 9)(inputs)))


def squares(which: Any) -> Any:
    inputs = which.Input(SHAPE)
    x = which.layers.Flatten()(inputs)
    difference = which.layers.Subtract()([which.layers.Dense(6)(x), which.layers.Dense(6)(x)])
    square = which.layers.Multiply()([difference, difference])
    return which.Model(inputs, which.layers.Dense(2)(square))


def repeated_activations(which: Any) -> Any:
    inputs = which.Input(SHAPE)
    x = which.layers.BatchNormalization()(which.layers.Conv2D(4, 3, padding="same")(inputs))
    parts = [which.layers.Conv2D(2, 1)(which.layers.Activation("relu")(x)) for _ in range(3)]
    padded = which.layers.ZeroPadding2D(1)(which.layers.ReLU()(x))
    parts.append(which.layers.DepthwiseConv2D(3)(padded))
    return which.Model(inputs, which.layers.Concatenate()(parts))


def resized(which: Any) -> Any:
    inputs = which.Input(SHAPE)
    x = which.layers.Conv2D(8, 3, padding="same", activation="relu")(inputs)
    x = which.layers.UpSampling2D(interpolation="bilinear")(which.layers.MaxPooling2D()(x))
    x = which.layers.Conv2D(8, 3, padding="same", activation="relu")(x)
    x = which.layers.Concatenate()(
        [which.layers.GlobalMaxPooling2D()(x), which.layers.GlobalAveragePooling2D()(x)]
    )
    return which.Model(inputs, which.layers.Dense(2)(x))


NETWORKS = [
    *(squares, repeated_activations, resized),
    *(between_models, same_layer_twice, taken_names, constants, never_trained, pixels),
    *(
        nested,
        nested_sequential,
        shared,
        shared_kinds,
        siamese,
        several,
        inner_with_several,
        operators,
    ),
    *(functions, activations),
]


def inputs_of(model: Any) -> list[np.ndarray]:
    """Random values for each of a model's inputs."""
    draw = np.random.default_rng(0)
    found = []
    for each in model.inputs:
        whole = "int" in str(each.dtype)
        values = draw.normal(size=(3, *each.shape[1:])) * (9 if whole else 1)
        found.append(np.abs(values).astype(np.uint8) if whole else values.astype(np.float32))
    return found


def answers_of(model: Any, inputs: list[np.ndarray]) -> list[np.ndarray]:
    """What a Keras model answers, output by output."""
    found = model.predict(inputs if len(inputs) > 1 else inputs[0], verbose=0)
    return found if isinstance(found, list) else [found]
