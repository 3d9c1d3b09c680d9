# SPDX-License-Identifier: Apache-2.0
"""How each type of layer is computed by those that TFLite has in int8."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from oaq_keras._keras import keras
from oaq_keras.activations import HARD_SIGMOID, name_of
from oaq_keras.channel_affine import ChannelAffine
from oaq_keras.errors import UnsupportedError
from oaq_keras.graph import Node
from oaq_keras.images import AsImages, FromImages

layers = keras.layers

Shape = tuple[int | None, ...] | None
"""Of a tensor, batch first; None where it is not known."""

ACTIVATION_SUFFIX = "_activation"
"""Behind a layer's name: the name of the layer that its activation became."""

_VECTORS, _SEQUENCES, _IMAGES = 2, 3, 4


class Sketch:
    """What a layer is to become, node by node.

    Attributes:
      layer: that layer.
      weights: its values.
      inputs: names of the nodes that it reads.
      shapes: of these.
      output: the shape of what it answers.
      nodes: those put so far.
    """

    def __init__(
        self, node: Node, shapes: list[Shape], output: Shape, taken: Iterable[str]
    ) -> None:
        """Starts with no nodes; names that are `taken` are not given to what is made beside it."""
        self.layer, self.weights, self.inputs = node.layer, node.weights, list(node.inputs)
        self.shapes, self.output = shapes, output
        self.nodes: list[Node] = []
        self._leader, self._inference, self._taken = node.shares, node.inference, set(taken)

    @property
    def config(self) -> dict[str, Any]:
        """The layer's configuration."""
        found: dict[str, Any] = self.layer.get_config()
        return found

    def rank(self) -> int:
        """Dimensions of what the layer reads, the batch among them; 0 where it is not known."""
        return len(self.shapes[0] or ())

    def put(
        self, kind: Any, *inputs: str, ending: str = "", weights: Any = (), **config: Any
    ) -> str:
        """Adds a layer.

        Args:
          kind: its type.
          *inputs: names of the nodes that it reads.
          ending: of its name, behind that of the layer.
          weights: its values.
          **config: arguments of its constructor.

        Returns:
          Its name.
        """
        name = self.layer.name + ending
        while ending and name in self._taken:
            name += "_"
        self._taken.add(name)
        layer = kind(name=name, **config)
        shares = self._leader + ending if self._leader is not None and len(weights) else None
        node = Node(layer, list(inputs), list(weights), as_list=len(inputs) > 1, shares=shares)
        node.inference = self._inference
        self.nodes.append(node)
        return str(layer.name)

    def keep(self, *inputs: str, **changes: Any) -> str:
        """Adds the layer itself, with some settings changed."""
        return self.put(
            type(self.layer), *inputs, weights=self.weights, **_unnamed({**self.config, **changes})
        )

    def images(self) -> str:
        """The layer's input as images."""
        if self.rank() == _IMAGES:
            return self.inputs[0]
        return self.put(AsImages, self.inputs[0], ending="_as_images")

    def answer(self, name: str) -> str:
        """What the layer is to answer, from images."""
        rank = len(self.output or ())
        if rank == _IMAGES:
            return name
        return self.put(FromImages, name, ending="_from_images", rank=rank)


Rule = Callable[[Sketch], str | None]
"""Adds nodes to a sketch and names the one that answers; None where the layer is to stay."""


def _unnamed(config: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key not in ("name",)}


def _some(sketch: Sketch, *names: str) -> dict[str, Any]:
    """Settings that the layer made has as well."""
    return {name: sketch.config[name] for name in names}


def _row(value: Any) -> tuple[int, int]:
    """A size along one dimension, for images of one row."""
    (size,) = value if isinstance(value, (list, tuple)) else (value,)
    return 1, int(size)


def _dense(sketch: Sketch) -> str | None:
    """A 1x1 convolution: FULLY_CONNECTED has one scale for all channels in TFLite's converter."""
    if not _VECTORS <= sketch.rank() <= _IMAGES:
        return None
    kernel, *bias = sketch.weights
    given = _some(sketch, "use_bias", "activation", *_SHARED_SETTINGS)
    found = sketch.put(
        layers.Conv2D,
        sketch.images(),
        weights=[kernel[None, None], *bias],
        filters=sketch.config["units"],
        kernel_size=1,
        **given,
    )
    return sketch.answer(found)


_SHARED_SETTINGS = (
    *("trainable", "bias_regularizer", "kernel_regularizer", "kernel_constraint"),
    "bias_constraint",
)


def _separable(sketch: Sketch) -> str:
    """A depthwise convolution and a 1x1 one; of sequences too."""
    depthwise, pointwise, *bias = sketch.weights
    config = sketch.config
    strides, size, dilation = (
        (_row(config[key]) if sketch.rank() == _SEQUENCES else tuple(config[key]))
        for key in ("strides", "kernel_size", "dilation_rate")
    )
    if sketch.rank() == _SEQUENCES:
        depthwise, pointwise = depthwise[None], pointwise[None]
        strides = (max(strides), max(strides))
    source = _padded_causally(sketch, size, dilation)
    inner = sketch.put(
        layers.DepthwiseConv2D,
        source,
        ending="_depthwise",
        weights=[depthwise],
        kernel_size=size,
        strides=strides,
        dilation_rate=dilation,
        padding=_padding(config),
        use_bias=False,
        **_some(sketch, "depth_multiplier", "depthwise_regularizer", "trainable"),
        depthwise_constraint=config["depthwise_constraint"],
    )
    outer = sketch.put(
        layers.Conv2D,
        inner,
        weights=[pointwise, *bias],
        filters=config["filters"],
        kernel_size=1,
        kernel_regularizer=config["pointwise_regularizer"],
        kernel_constraint=config["pointwise_constraint"],
        **_some(sketch, "use_bias", "activation", "bias_regularizer", "trainable"),
        bias_constraint=config["bias_constraint"],
    )
    return sketch.answer(outer)


def _padding(config: dict[str, Any]) -> str:
    return "valid" if config["padding"] == "causal" else str(config["padding"])


def _padded_causally(sketch: Sketch, size: Any, dilation: Any) -> str:
    source = sketch.images()
    if sketch.config["padding"] != "causal":
        return source
    before = (size[1] - 1) * dilation[1]
    return sketch.put(layers.ZeroPadding2D, source, ending="_pad", padding=((0, 0), (before, 0)))


def _conv_1d(sketch: Sketch) -> str:
    kernel, *bias = sketch.weights
    config = sketch.config
    size, dilation = _row(config["kernel_size"]), _row(config["dilation_rate"])
    source = _padded_causally(sketch, size, dilation)
    found = sketch.put(
        layers.Conv2D,
        source,
        weights=[kernel[None], *bias],
        kernel_size=size,
        strides=_row(config["strides"]),
        dilation_rate=dilation,
        padding=_padding(config),
        **_some(sketch, "filters", "groups", "use_bias", "activation", *_SHARED_SETTINGS),
    )
    return sketch.answer(found)


def _grouped_by_channel(sketch: Sketch) -> str | None:
    """A depthwise convolution, where each group reads one channel."""
    config = sketch.config
    across, down = config["strides"]
    if config["groups"] == 1 or sketch.weights[0].shape[2] != 1 or across != down:
        return None
    kernel, *bias = sketch.weights
    height, width, _, channels = kernel.shape
    groups = config["groups"]
    return sketch.put(
        layers.DepthwiseConv2D,
        *sketch.inputs,
        weights=[kernel.reshape(height, width, groups, channels // groups), *bias],
        kernel_size=(height, width),
        depth_multiplier=channels // groups,
        depthwise_regularizer=config["kernel_regularizer"],
        **_some(sketch, "strides", "padding", "dilation_rate", "use_bias", "activation"),
        **_some(sketch, "trainable", "bias_regularizer", "bias_constraint"),
        depthwise_constraint=config["kernel_constraint"],
    )


def _depthwise_1d(sketch: Sketch) -> str:
    kernel, *bias = sketch.weights
    config = sketch.config
    size, dilation = _row(config["kernel_size"]), _row(config["dilation_rate"])
    source = _padded_causally(sketch, size, dilation)
    found = sketch.put(
        layers.DepthwiseConv2D,
        source,
        weights=[kernel[None], *bias],
        kernel_size=size,
        strides=(max(_row(config["strides"])),) * 2,
        dilation_rate=dilation,
        padding=_padding(config),
        **_some(sketch, "depth_multiplier", "use_bias", "activation", "depthwise_regularizer"),
        **_some(sketch, "trainable", "bias_regularizer", "depthwise_constraint"),
        bias_constraint=config["bias_constraint"],
    )
    return sketch.answer(found)


def _pool_1d(kind: Any) -> Rule:
    def rule(sketch: Sketch) -> str:
        config = sketch.config
        found = sketch.put(
            kind,
            sketch.images(),
            pool_size=_row(config["pool_size"]),
            strides=_row(config["strides"]),
            padding=config["padding"],
        )
        return sketch.answer(found)

    return rule


def _global_pool_1d(kind: Any) -> Rule:
    def rule(sketch: Sketch) -> str:
        found = sketch.put(kind, sketch.images(), keepdims=sketch.config["keepdims"])
        return sketch.answer(found) if sketch.config["keepdims"] else found

    return rule


def _global_maximum(sketch: Sketch) -> str | None:
    """One window, where the size is known: unlike REDUCE_MAX it keeps the range of its input."""
    *_, height, width, _ = sketch.shapes[0] or (None, None, None)
    if height is None or width is None:
        return None
    found = sketch.put(layers.MaxPooling2D, *sketch.inputs, pool_size=(height, width))
    return found if sketch.config["keepdims"] else sketch.answer(found)


def _pad_1d(kind: Any, setting: str) -> Rule:
    def rule(sketch: Sketch) -> str:
        sides = tuple(sketch.config[setting])
        settings: dict[str, Any] = {setting: ((0, 0), sides)}
        found = sketch.put(kind, sketch.images(), **settings)
        return sketch.answer(found)

    return rule


def _upsampling_1d(sketch: Sketch) -> str:
    size = (1, int(sketch.config["size"]))
    return sketch.answer(sketch.put(layers.UpSampling2D, sketch.images(), size=size))


def _affine(sketch: Sketch, gain: Any, shift: Any, ending: str = "") -> str:
    images = sketch.images()
    gain = _per_channel(sketch, gain)
    shift = None if shift is None else _per_channel(sketch, shift)
    found = sketch.put(ChannelAffine, images, ending=ending, gain=gain, shift=shift)
    return sketch.answer(found)


def _rescaling(sketch: Sketch) -> str | None:
    if not _VECTORS <= sketch.rank() <= _IMAGES:
        return None
    config = sketch.config
    return _affine(sketch, config["scale"], config["offset"])


def _normalization(sketch: Sketch) -> str | None:
    """(x - mean) / sqrt(variance), by the statistics that it was adapted to, or given."""
    config = sketch.config
    rank = sketch.rank()
    if not _VECTORS <= rank <= _IMAGES:
        return None
    axis = config["axis"]
    axes = [] if axis is None else [axis] if isinstance(axis, int) else list(axis)
    if any(each not in (-1, rank - 1) for each in axes):
        raise UnsupportedError(
            f"Normalization {sketch.layer.name!r} has axis {axis}; it can be quantized where it "
            "normalizes the last axis, the channels, or all values alike."
        )
    mean, variance = config["mean"], config["variance"]
    if mean is None:
        mean, variance = sketch.weights[:2]
    mean, variance = np.ravel(mean), np.ravel(variance)
    deviation = np.maximum(np.sqrt(variance), keras.backend.epsilon())
    if config["invert"]:
        gain, shift = deviation, mean
    else:
        gain, shift = 1.0 / deviation, -mean / deviation
    return _affine(sketch, gain.tolist(), shift.tolist())


def _per_channel(sketch: Sketch, values: Any) -> Any:
    """A number, or one for each channel.

    Raises:
      UnsupportedError: neither; the message names the layer.
    """
    given = np.ravel(np.asarray(values, np.float64))
    channels = (sketch.shapes[0] or (None,))[-1]
    if given.size == 1:
        return float(given[0])
    if given.size != channels or np.asarray(values).shape[-1] != channels:
        raise UnsupportedError(
            f"Layer {sketch.layer.name!r} has {given.size} values for {channels} channels. Give "
            "one value, or one for each channel."
        )
    return given.tolist()


def _average(sketch: Sketch) -> str | None:
    """A sum, and a gain behind it."""
    if not _VECTORS <= len(sketch.output or ()) <= _IMAGES:
        return None
    total = sketch.put(layers.Add, *sketch.inputs, ending="_sum")
    count = len(sketch.inputs)
    rank = len(sketch.output or ())
    images = total if rank == _IMAGES else sketch.put(AsImages, total, ending="_as_images")
    return sketch.answer(sketch.put(ChannelAffine, images, gain=1.0 / count))


def _sum_by_twos(sketch: Sketch) -> str | None:
    """TFLite adds two at a time."""
    *rest, last = sketch.inputs
    if len(rest) < 2:
        return None
    total = rest[0]
    for number, source in enumerate(rest[1:]):
        total = sketch.put(type(sketch.layer), total, source, ending=f"_partial_{number}")
    return sketch.put(type(sketch.layer), total, last)


def _normalized_last(sketch: Sketch) -> str | None:
    """The channels by the axis -1, which stays theirs where dimensions come and go."""
    axis = sketch.config["axis"]
    axes = [axis] if isinstance(axis, int) else list(axis)
    if axes == [-1]:
        return None
    if axes != [sketch.rank() - 1]:
        raise UnsupportedError(
            f"BatchNormalization {sketch.layer.name!r} has axis {axes[0]}; it can be folded where "
            "it normalizes the last axis, the channels."
        )
    return sketch.keep(*sketch.inputs, axis=-1)


def _identity(sketch: Sketch) -> str:
    return sketch.put(layers.Dropout, *sketch.inputs, rate=0.0)


def _relu(sketch: Sketch) -> str | None:
    config = sketch.config
    if not config["negative_slope"] or config["threshold"] or config["max_value"] is not None:
        return None
    return sketch.put(layers.LeakyReLU, *sketch.inputs, alpha=float(config["negative_slope"]))


def _activation(sketch: Sketch) -> str | None:
    name = name_of(sketch.config["activation"])
    if name == "linear":
        return _identity(sketch)
    if name in ("relu", "relu6"):
        return sketch.put(layers.ReLU, *sketch.inputs, max_value=6.0 if name == "relu6" else None)
    if name in ("swish", "silu"):
        gate = sketch.put(layers.Activation, *sketch.inputs, ending="_gate", activation="sigmoid")
        return sketch.put(layers.Multiply, *sketch.inputs, gate)
    if name == "leaky_relu":
        return sketch.put(layers.LeakyReLU, *sketch.inputs, alpha=0.2)
    slopes = {"hard_sigmoid": 0.2, HARD_SIGMOID: 1.0 / 6.0}
    if name in slopes and _VECTORS <= sketch.rank() <= _IMAGES:
        line = sketch.put(
            ChannelAffine, sketch.images(), ending="_line", gain=slopes[name], shift=0.5
        )
        return sketch.answer(sketch.put(layers.ReLU, line, max_value=1.0))
    return None


# Their relu stays a setting, which TFLite fuses; but for TRANSPOSE_CONV's.
_WITH_ACTIVATION = (
    layers.Conv1D,
    layers.Conv2D,
    layers.Conv2DTranspose,
    layers.DepthwiseConv1D,
    layers.DepthwiseConv2D,
    layers.SeparableConv1D,
    layers.SeparableConv2D,
    layers.Dense,
)


def _sized(sketch: Sketch) -> None:
    """Refuses a transposed convolution of images of any size: its output's is a constant."""
    if None in (sketch.shapes[0] or ())[1:]:
        raise UnsupportedError(
            f"Layer {sketch.layer.name!r} is a Conv2DTranspose on images of unknown size, which "
            "TFLite has as a constant. Give keras.Input(shape=(height, width, channels))."
        )


def _split_activation(sketch: Sketch) -> str | None:
    """Gives an activation that TFLite does not fuse a layer of its own."""
    activation = name_of(sketch.config["activation"])
    if activation == "linear" or (
        activation == "relu" and type(sketch.layer) is not layers.Conv2DTranspose
    ):
        return None
    inner = sketch.keep(*sketch.inputs, activation="linear")
    return sketch.put(layers.Activation, inner, ending=ACTIVATION_SUFFIX, activation=activation)


def _first(*rules: Rule) -> Rule:
    """The first of some rules that has something to change."""

    def rule(sketch: Sketch) -> str | None:
        return next((found for each in rules if (found := each(sketch)) is not None), None)

    return rule


RULES: dict[Any, Rule] = {
    layers.Dense: _dense,
    layers.SeparableConv1D: _separable,
    layers.SeparableConv2D: _separable,
    layers.Conv1D: _conv_1d,
    layers.Conv2D: _grouped_by_channel,
    layers.Conv2DTranspose: _sized,
    layers.DepthwiseConv1D: _depthwise_1d,
    layers.MaxPooling1D: _pool_1d(layers.MaxPooling2D),
    layers.AveragePooling1D: _pool_1d(layers.AveragePooling2D),
    layers.GlobalAveragePooling1D: _global_pool_1d(layers.GlobalAveragePooling2D),
    layers.GlobalMaxPooling1D: _global_pool_1d(layers.GlobalMaxPooling2D),
    layers.GlobalMaxPooling2D: _global_maximum,
    layers.ZeroPadding1D: _pad_1d(layers.ZeroPadding2D, "padding"),
    layers.Cropping1D: _pad_1d(layers.Cropping2D, "cropping"),
    layers.UpSampling1D: _upsampling_1d,
    layers.Rescaling: _rescaling,
    layers.Normalization: _normalization,
    layers.BatchNormalization: _normalized_last,
    layers.Average: _average,
    layers.Add: _sum_by_twos,
    layers.Multiply: _sum_by_twos,
    layers.Activation: _activation,
    layers.ReLU: _relu,
    layers.Identity: _identity,
}
for _kind in _WITH_ACTIVATION:
    RULES[_kind] = _first(_split_activation, RULES.get(_kind, lambda sketch: None))
