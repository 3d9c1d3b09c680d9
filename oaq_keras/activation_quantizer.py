# SPDX-License-Identifier: Apache-2.0
"""Learnt formats of activation tensors, as tfmot quantizers."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from oaq_keras._keras import keras, tf, tfmot
from oaq_keras.fake_quant import fake_quant_closed, fake_quant_open, round_straight_through
from oaq_keras.format_table import CALIBRATION_STEPS, FormatTable, current_table
from oaq_keras.formats import CODES, MIN_WIDTH
from oaq_keras.kernel_rounding import Sums, as_averaged_codes, as_scaled_sums, is_wanted

DEFAULT_WIDTH = 127
"""Width where none is chosen (`first_widths`): 7 bits, where a c4 pair cannot saturate."""

_MOVING_AVERAGE = 0.99
_SMALLEST_CLIP = 1e-5
_CLIP_CANDIDATES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4)


class ActivationQuantizer(tfmot.quantization.keras.quantizers.Quantizer):
    """Learnt format of an activation tensor.

    kind "closed", for what leaves a ReLU: clip c (log2 domain) and width w (hi - lo in codes, log2
    domain, rounded straight through) are trained, scale = c / w, the codes are [127 - w, 127].
    The paper's alpha is 255 / w (Xie et al., arXiv 2005.13297, section 3).
    kind "open": all 256 codes over a moving average of the tensor's range.

    Both start from the first CALIBRATION_STEPS training steps; the clip of a closed format is the
    one with the least squared error among a few shares of the largest value.

    Quantizers with the same name in one FormatTable share their format: the first one built owns
    the variables.
    """

    def __init__(
        self,
        kind: str = "closed",
        name: str | None = None,
        max_value: float | None = None,
        width: float = DEFAULT_WIDTH,
        table: FormatTable | None = None,
        origin: Mapping[str, Any] | None = None,
    ) -> None:
        """Makes a quantizer.

        Args:
          kind: "closed" or "open".
          name: the format's name in the table; by default that of the layer.
          max_value: largest clip, 6.0 for a ReLU6.
          width: first width in codes, 15 to 255; the width of an open format is 255.
          table: formats to share with; by default those of the current scope.
          origin: what kernels compute the tensor from, so that inference rounds as they do
            (`kernel_rounding`): {"sums_of": layer}, {"mean_of": format, "values": count}, or
            {"averages": True} for averages of codes of this same format. By default unknown.

        Raises:
          ValueError: an unknown kind, or a width out of range.
        """
        if kind not in ("closed", "open"):
            raise ValueError(f"kind is 'closed' or 'open', got {kind!r}.")
        if not MIN_WIDTH <= width <= CODES.width:
            raise ValueError(f"width is {MIN_WIDTH} to {CODES.width} codes, got {width}.")
        self.kind = kind
        self.name = name
        self.max_value = max_value
        self.first_width = float(width)
        self.table = table or current_table()
        self.origin = dict(origin or {})

    def build(self, tensor_shape: Any, name: str, layer: Any) -> dict[str, Any]:
        """Makes the format's variables on `layer`, or finds those of the same name."""
        format_name = self.name or layer.name
        shared = self.table.variables(format_name)
        if shared is not None:
            return shared

        schedule = self.table.schedule(layer)

        def weight(label: str, value: Any, constraint: Any = None) -> Any:
            return layer.add_weight(
                f"{name}_{label}",
                shape=np.shape(value),
                initializer=keras.initializers.Constant(value),
                trainable=constraint is not None,
                constraint=constraint,
            )

        variables = {"calibrated": weight("calibrated", 0.0)}
        if self.kind == "closed":
            # Optimizers move what has no gradient too, by momentum and decay: what is not to
            # be trained is put back after each of their steps.
            first = math.log2(self.first_width)
            kept = variables["kept"] = weight("kept", (0.0, first))
            variables["log2_clip"] = weight(
                "log2_clip", 0.0, lambda clip: tf.where(schedule.frozen > 0.0, kept[0], clip)
            )
            variables["log2_width"] = weight(
                "log2_width",
                first,
                lambda width: tf.where(schedule.learns_width > 0.0, width, kept[1]),
            )
        else:
            variables["low"] = weight("low", 0.0)
            variables["high"] = weight("high", 0.0)
        self.table.add(
            format_name,
            variables,
            lambda: self._codes(variables),
            lambda: self._step(variables),
        )
        return variables

    def __call__(self, inputs: Any, training: bool, weights: dict[str, Any], **kwargs: Any) -> Any:
        """Fake-quantizes a float32 tensor; in training, calibrates and follows its range."""
        if training or self.table.observing:
            inputs = self._observe(inputs, weights)
        elif is_wanted():
            inputs = self._as_in_kernels(inputs, weights)
        if self.kind == "open":
            return fake_quant_open(inputs, *self._limits(weights))
        return fake_quant_closed(inputs, self._clip(weights), _width(weights))

    def _as_in_kernels(self, inputs: Any, weights: dict[str, Any]) -> Any:
        scale = self._step(weights)
        if "averages" in self.origin:
            return as_averaged_codes(inputs, scale, self._zero_point(weights))
        sums = self.table.sums(self.origin.get("sums_of"))
        step = self.table.step(self.origin.get("mean_of"))
        if step is not None:
            sums = Sums(step / float(self.origin["values"]), tf.zeros(()))
        return inputs if sums is None else as_scaled_sums(inputs, sums, scale)

    def _codes(self, weights: dict[str, Any]) -> Any:
        """Hi - lo in codes, a float32 scalar."""
        return _width(weights) if self.kind == "closed" else tf.constant(float(CODES.width))

    def _step(self, weights: dict[str, Any]) -> Any:
        """Real value of one code, a float32 scalar."""
        if self.kind == "closed":
            return self._clip(weights) / _width(weights)
        low, high = self._limits(weights)
        return (high - low) / float(CODES.width)

    def _zero_point(self, weights: dict[str, Any]) -> Any:
        if self.kind == "closed":
            return float(CODES.high) - _width(weights)
        return float(CODES.low) - tf.round(self._limits(weights)[0] / self._step(weights))

    def _limits(self, weights: dict[str, Any]) -> tuple[Any, Any]:
        low = tf.minimum(weights["low"], 0.0)
        return low, tf.maximum(weights["high"], low + _SMALLEST_CLIP)

    def _clip(self, weights: dict[str, Any]) -> Any:
        clip = tf.maximum(tf.pow(2.0, weights["log2_clip"]), _SMALLEST_CLIP)
        return clip if self.max_value is None else tf.minimum(clip, self.max_value)

    def _observe(self, inputs: Any, weights: dict[str, Any]) -> Any:
        """Updates what is not trained by gradients; returns inputs, ordered after the update."""
        seen = weights["calibrated"]
        if self.kind == "open":
            keep = tf.minimum(seen / (seen + 1.0), _MOVING_AVERAGE)
            keep = tf.where((self.table.schedule().frozen > 0.0) & (seen > 0.0), 1.0, keep)
            low = tf.minimum(tf.reduce_min(inputs), 0.0)
            high = tf.maximum(tf.reduce_max(inputs), 0.0)
            updates = [
                weights["low"].assign(keep * weights["low"] + (1.0 - keep) * low),
                weights["high"].assign(keep * weights["high"] + (1.0 - keep) * high),
                seen.assign(tf.minimum(seen + 1.0, float(CALIBRATION_STEPS * 100))),
            ]
            with tf.control_dependencies(updates):
                return tf.identity(inputs)

        def calibrate() -> Any:
            values = tf.stop_gradient(inputs)
            found = _log2(self._least_error_clip(values, tf.stop_gradient(_width(weights))))
            average = (weights["log2_clip"] * seen + found) / (seen + 1.0)
            updates = [
                weights["log2_clip"].assign(average),
                weights["kept"].assign(tf.stack([average, weights["log2_width"]])),
                seen.assign(seen + 1.0),
            ]
            with tf.control_dependencies(updates):
                return tf.identity(seen)

        update = tf.cond(seen < float(CALIBRATION_STEPS), calibrate, lambda: tf.identity(seen))
        with tf.control_dependencies([update]):
            return tf.identity(inputs)

    def _least_error_clip(self, inputs: Any, width: Any) -> Any:
        largest = tf.maximum(tf.reduce_max(inputs), _SMALLEST_CLIP)
        if self.max_value is not None:
            largest = tf.minimum(largest, self.max_value)
        return _least_error_clip(inputs, largest, width)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments, without the table."""
        return {
            "kind": self.kind,
            "name": self.name,
            "max_value": self.max_value,
            "width": self.first_width,
            "origin": self.origin,
        }


@tf.function(input_signature=[tf.TensorSpec(None), tf.TensorSpec([]), tf.TensorSpec([])])
def _least_error_clip(inputs: Any, largest: Any, width: Any) -> Any:
    """The best clip for float32 tensors of any shape; a function, so that graphs hold it once."""
    clips = [largest * share for share in _CLIP_CANDIDATES]
    errors = [
        tf.reduce_mean(tf.square(fake_quant_closed(inputs, clip, width) - inputs)) for clip in clips
    ]
    return tf.stack(clips)[tf.argmin(tf.stack(errors))]


def _log2(x: Any) -> Any:
    return tf.math.log(tf.maximum(tf.cast(x, tf.float32), 1e-20)) / tf.math.log(2.0)


def _width(variables: dict[str, Any]) -> Any:
    """Hi - lo in codes, a whole number whose gradient passes to log2_width."""
    width = tf.clip_by_value(
        tf.pow(2.0, variables["log2_width"]), float(MIN_WIDTH), float(CODES.width)
    )
    return round_straight_through(width)
