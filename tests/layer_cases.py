# SPDX-License-Identifier: Apache-2.0
"""Every type of layer in a small network, of tf_keras or of Keras 3."""

from __future__ import annotations

from typing import Any

IMAGES, ROWS, VECTORS = (8, 8, 4), (12, 4), (16,)


def cases(keras: Any, hard_silu: Any = "hard_silu") -> list[tuple[str, Any, tuple[int, ...]]]:
    """Names, layers or functions of a tensor, and the shapes that they are called on.

    Args:
      keras: tf_keras or Keras 3.
      hard_silu: what that activation is called there.
    """
    layers = keras.layers

    def bn(**config: Any) -> Any:
        return layers.BatchNormalization(
            gamma_initializer=keras.initializers.RandomUniform(0.5, 2.0, seed=1),
            beta_initializer=keras.initializers.RandomUniform(-1.0, 1.0, seed=2),
            momentum=0.5,
            **config,
        )

    def squeeze_and_excite(x: Any) -> Any:
        gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
        gate = layers.Conv2D(2, 1, activation="swish")(gate)
        return layers.Multiply()([x, layers.Conv2D(x.shape[-1], 1, activation="sigmoid")(gate)])

    def both(kind: Any) -> Any:
        def layer(x: Any) -> Any:
            return kind()([x, layers.Conv2D(x.shape[-1], 1)(x)])

        return layer

    def preactivated(x: Any) -> Any:
        inner = layers.Conv2D(x.shape[-1], 3, padding="same")(layers.ReLU()(bn()(x)))
        return layers.Add()([x, inner])

    def shared(x: Any) -> Any:
        conv = layers.Conv2D(8, 3, padding="same", activation="relu")
        return conv(conv(x))

    def nested(x: Any) -> Any:
        inputs = keras.Input(x.shape[1:])
        inner = keras.Model(
            inputs, layers.ReLU()(bn()(layers.Conv2D(8, 3, padding="same")(inputs)))
        )
        return inner(inner(x))

    def operators(x: Any) -> Any:
        return (x + layers.Conv2D(x.shape[-1], 1)(x)) * 0.5 - 0.25

    def clips(x: Any) -> Any:
        wide = layers.Conv2D(
            4, 1, kernel_initializer=keras.initializers.RandomNormal(0, 1.0, seed=1)
        )
        inner = [wide(x) for _ in range(4)]
        clipped = [layers.ReLU(6.0)(inner[0]), layers.ReLU(1.0)(inner[1]), layers.ReLU()(inner[2])]
        return layers.Concatenate()([*clipped, inner[3]])

    on_images = {
        "Conv2D": layers.Conv2D(6, 3, strides=2, activation="relu6"),
        "Conv2D, groups": layers.Conv2D(8, 3, groups=2),
        "Conv2D, a group for each channel": layers.Conv2D(16, 3, groups=8, padding="same"),
        "Conv2D, dilated": layers.Conv2D(6, 3, dilation_rate=2, activation="relu"),
        "DepthwiseConv2D": layers.DepthwiseConv2D(3, depth_multiplier=2, activation="relu"),
        "SeparableConv2D": layers.SeparableConv2D(6, 3, padding="same", activation="relu"),
        "Conv2DTranspose": layers.Conv2DTranspose(6, 3, strides=2, padding="same"),
        "Conv2DTranspose, relu": layers.Conv2DTranspose(6, 4, strides=2, activation="relu"),
        "Dense on images": layers.Dense(6, activation="relu"),
        "BatchNormalization": bn(),
        "BatchNormalization, ReLU, Conv2D, Add": preactivated,
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
        "Normalization": layers.Normalization(
            mean=[0.1, 0.2, 0.3, 0.4] * 2, variance=[1.0, 2.0] * 4
        ),
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
            for name in (
                "swish",
                "hard_sigmoid",
                "sigmoid",
                "tanh",
                "gelu",
                "softmax",
                "leaky_relu",
            )
        },
        "hard_silu": layers.Conv2D(8, 1, activation=hard_silu),
        "Add": both(layers.Add),
        "Add of three": lambda x: layers.Add()([x, layers.Conv2D(8, 1)(x), layers.Conv2D(8, 1)(x)]),
        "Subtract": both(layers.Subtract),
        "Multiply": both(layers.Multiply),
        "Maximum": both(layers.Maximum),
        "Minimum": both(layers.Minimum),
        "Average": both(layers.Average),
        "Concatenate": both(layers.Concatenate),
        "squeeze and excite": squeeze_and_excite,
        "Dropout, by sample": layers.Dropout(0.2, noise_shape=(None, 1, 1, 1)),
        "GaussianNoise": layers.GaussianNoise(0.1),
        "shared layers": shared,
        "nested models": nested,
        "operators": operators,
        "clips that share a format": clips,
        "Softmax": layers.Softmax(),
        "Identity": layers.Identity(),
        "SpatialDropout2D": layers.SpatialDropout2D(0.1),
        "GaussianDropout": layers.GaussianDropout(0.1),
        "AlphaDropout": layers.AlphaDropout(0.1),
    }
    on_rows = {
        "Conv1D": layers.Conv1D(6, 3, strides=2, activation="relu"),
        "Conv1D, causal": layers.Conv1D(6, 3, dilation_rate=2, padding="causal"),
        "Conv1D, BatchNormalization, ReLU": lambda x: layers.ReLU()(bn()(layers.Conv1D(6, 3)(x))),
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
        "BatchNormalization of sequences": bn(),
        "SpatialDropout1D": layers.SpatialDropout1D(0.1),
    }
    on_vectors = {
        "Dense": layers.Dense(6, activation="relu"),
        "Dense, BatchNormalization, ReLU": lambda x: layers.ReLU()(bn()(layers.Dense(6)(x))),
        "BatchNormalization of vectors": bn(),
    }
    return [
        *((name, layer, IMAGES) for name, layer in on_images.items()),
        *((name, layer, ROWS) for name, layer in on_rows.items()),
        *((name, layer, VECTORS) for name, layer in on_vectors.items()),
    ]


def network(keras: Any, layer: Any, shape: tuple[int, ...]) -> Any:
    """A layer between one that sums and the classes."""
    layers = keras.layers
    before = {3: layers.Conv2D, 2: layers.Conv1D}.get(len(shape))
    x = inputs = keras.Input(shape)
    x = layers.Dense(8, activation="relu")(x) if before is None else before(8, 1)(x)
    x = layer(x)
    if len(x.shape) > 2:
        x = layers.Flatten()(x)
    return keras.Model(inputs, layers.Dense(3, name="classes")(x))
