# SPDX-License-Identifier: Apache-2.0
"""Other methods of quantization aware training, on our formats, to compare with.

They share graph, fusion and recipe with ours, and differ in what their papers differ in: how
scales are found, and which bound holds, if any.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from oaq_keras._keras import keras, tf
from oaq_keras.formats import CODES
from oaq_keras.quantizers import ActivationQuantizer, WeightQuantizer

_ACTIVATION_BITS = 8


class PlainWeights(WeightQuantizer):
    """Per-channel int8 with the scale max|w| / 127, without any bound."""

    def _inflation(self, flat: Any, first: Any, load: Any, width: Any, passes: int) -> Any:
        del flat, load, width, passes
        return tf.ones_like(first)


class LearntStepWeights(PlainWeights):
    """LSQ (Esser et al., arXiv 1902.08153): the step of every channel is trained.

    In the log domain, so that Adam, which undoes the paper's scaling of gradients, moves large and
    small steps alike.
    """

    def build(self, tensor_shape: Any, name: str, layer: Any) -> dict[str, Any]:
        """Makes the steps; they start where the largest weight is the largest code."""
        self.regularization = 0.0
        variables = super().build(tensor_shape, name, layer)
        first = np.asarray(self.plain_scale())
        self._log2_step = layer.add_weight(
            f"{name}_log2_step",
            shape=first.shape,
            initializer=keras.initializers.Constant(np.log2(first)),
            trainable=True,
        )
        return variables

    def scale(self, flat: Any, passes: int = 0) -> Any:
        """The trained steps."""
        del flat, passes
        return tf.pow(2.0, self._log2_step)

    def __call__(self, inputs: Any, training: bool, weights: dict[str, Any], **kwargs: Any) -> Any:
        """Rounds and clips; inference leaves both to one fake-quant operator."""
        if not training:
            return super().__call__(inputs, training, weights, **kwargs)
        scale = self.scale(None)
        if self.kind == "depthwise":
            scale = tf.reshape(scale, inputs.shape[2:])
        most = float(CODES.weight_max)
        codes = tf.clip_by_value(inputs / scale, -most, most)
        return (codes + tf.stop_gradient(tf.round(codes) - codes)) * scale


class PactActivations(ActivationQuantizer):
    """PACT (Choi et al., arXiv 1805.06085): clips learn from what lies beyond them alone."""

    def __call__(self, inputs: Any, training: bool, weights: dict[str, Any], **kwargs: Any) -> Any:
        """Fake-quantizes; in training the gradient to the clip is that of min(x, clip)."""
        quantized = super().__call__(inputs, training, weights, **kwargs)
        if not training or self.kind == "open":
            return quantized
        clipped = tf.minimum(inputs, self._clip(weights))
        return clipped + tf.stop_gradient(quantized - clipped)


class OneScaleWeights(WeightQuantizer):
    """Ours with one scale for all channels of a layer."""

    def _first_scale(self, magnitudes: Any) -> Any:
        found = super()._first_scale(magnitudes)
        return tf.ones_like(found) * tf.reduce_max(found)

    def _reduce(self, load: Any) -> Any:
        return (
            tf.ones_like(load) * tf.reduce_max(load)
            if self.kind != "dense"
            else (super()._reduce(load))
        )


class WholeSumWeights(WeightQuantizer):
    """A2Q's bound (Colbert et al., arXiv 2308.13504, equation 8) in place of ours.

    ||q||_1 <= (2^(P-1) - 1) * 2^-N over all products of an output, for a signed accumulator of P
    bits that starts at zero, and activations of N = 8 bits without sign.
    """

    def _plain(self, flat: Any) -> tuple[Any, Any, Any]:
        first = self._first_scale(tf.abs(flat))
        load = tf.reduce_sum(tf.abs(flat), axis=0) / first / self._most()
        return first, load, self.table.width(self.input_format)

    def _inflation(self, flat: Any, first: Any, load: Any, width: Any, passes: int) -> Any:
        del width
        inflation = tf.maximum(self._reduce(load), 1.0)
        scale = tf.stop_gradient(first * inflation)
        guard = tf.ones_like(scale)
        for _ in range(max(passes, 3)):
            over = tf.reduce_sum(tf.round(tf.abs(flat) / (scale * guard)), axis=0) / self._most()
            over = self._reduce(tf.stop_gradient(over))
            guard = tf.where(over > 1.0, guard * over * 1.005, guard)
        return inflation * guard

    def _most(self) -> float:
        return float((2 ** (self.accumulator_bits - 1) - 1) // 2**_ACTIVATION_BITS)
