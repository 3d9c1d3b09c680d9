# SPDX-License-Identifier: Apache-2.0
"""Learnt formats of activation tensors, as tfmot quantizers."""

import math
from collections.abc import Mapping, Sequence
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


@keras.saving.register_keras_serializable("oaq_keras")
class ActivationQuantizer(tfmot.quantization.keras.quantizers.Quantizer):
    """Learnt format of an activation tensor.

    kind "closed", for what leaves a ReLU: clip c (log2 domain) and width w (hi - lo in codes, log2
    domain, rounded straight through) are trained, scale = c / w, the codes are [127 - w, 127].
    The paper's alpha is 255 / w (Xie et al., arXiv 2005.13297, section 3).
    kind "open": all 256 codes over a moving average of the tensor's range.
    kind "fixed": all 256 codes over limits that TFLite prescribes; nothing is learnt.

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
        limits: Sequence[float] | None = None,
        member: int = 0,
        members: int = 1,
    ) -> None:
        """Makes a quantizer.

        Args:
          kind: "closed", "open" or "fixed".
          name: the format's name in the table; by default that of the layer.
          max_value: largest clip, 6.0 for a ReLU6.
          width: first width in codes, 15 to 255; the width of an open format is 255.
          table: formats to share with; by default those of the current scope.
          origin: what kernels compute the tensor from, so that inference rounds as they do
            (`kernel_rounding`): {"sums_of": layer}, {"mean_of": format, "values": count},
            {"sloped": format, "slope": gain below zero, by default what one code of the layer's
            slopes is}, {"product_of": [format, format]}, or
            {"averages": True} for averages of codes of this same format. By default unknown.
          limits: least and largest real value of a fixed format.
          member: which of the tensors that share the format this is.
          members: how many share it: its range is that of all of them together.

        Raises:
          ValueError: an unknown kind, a width out of range, or limits where there are none.
        """
        if kind not in ("closed", "open", "fixed"):
            raise ValueError(f"kind is 'closed', 'open' or 'fixed', got {kind!r}.")
        if (kind == "fixed") != (limits is not None):
            raise ValueError(f"limits go with kind 'fixed', got {kind!r} and {limits!r}.")
        if not MIN_WIDTH <= width <= CODES.width:
            raise ValueError(f"width is {MIN_WIDTH} to {CODES.width} codes, got {width}.")
        self.kind = kind
        self.name = name
        self.max_value = max_value
        self.first_width = float(width)
        self.table = table or current_table()
        self.origin = dict(origin or {})
        self.limits = None if limits is None else tuple(map(float, limits))
        self.member = member
        self.members = members
        self._layer: Any = None

    def build(self, tensor_shape: Any, name: str, layer: Any) -> dict[str, Any]:
        """Makes the format's variables on `layer`, or finds those of the same name."""
        self._layer = getattr(layer, "layer", None)
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
                aggregation=tf.VariableAggregation.MEAN,  # of what replicas see
            )

        size = () if self.members == 1 else (self.members,)
        fixed = float(self.kind == "fixed")
        variables = {"calibrated": weight("calibrated", np.full(size, fixed, np.float32))}
        if self.kind == "closed":
            # Optimizers move what has no gradient too, by momentum and decay: what is not to
            # be trained is put back after each of their steps.
            first = math.log2(self.first_width)
            if size:
                variables["log2_clips"] = weight("log2_clips", np.zeros(size, np.float32))
            kept = variables["kept"] = weight("kept", (0.0, first))
            variables["log2_clip"] = weight(
                "log2_clip", 0.0, lambda clip: tf.where(schedule.frozen > 0.0, kept[0], clip)
            )
            variables["log2_width"] = weight(
                "log2_width",
                first,
                lambda width: tf.where(schedule.learns_width > 0.0, width, kept[1]),
            )
        elif self.kind == "open":
            variables["low"] = weight("low", np.zeros(size, np.float32))
            variables["high"] = weight("high", np.zeros(size, np.float32))
        self.table.add(
            format_name,
            variables,
            lambda: self._codes(variables),
            lambda: self._step(variables),
        )
        return variables

    @tf.autograph.experimental.do_not_convert
    def __call__(self, inputs: Any, training: bool, weights: dict[str, Any], **kwargs: Any) -> Any:
        """Fake-quantizes a float32 tensor; in training, calibrates and follows its range."""
        if self.kind == "fixed":
            return fake_quant_open(inputs, *self._limits(weights))
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
        if "sloped" in self.origin:
            source = self.table.step(self.origin["sloped"])
            known = "slope" in self.origin
            slope = self.origin["slope"] if known else self._layer.slope_step()
            below, above = (
                as_scaled_sums(inputs, Sums(source * gain, tf.zeros(())), scale)
                for gain in (slope, 1.0)
            )
            return tf.where(inputs < 0.0, below, above)
        if "product_of" in self.origin:
            first, second = map(self.table.step, self.origin["product_of"])
            return as_scaled_sums(inputs, Sums(first * second, tf.zeros(())), scale)
        sums = self.table.sums(self.origin.get("sums_of"))
        step = self.table.step(self.origin.get("mean_of"))
        if step is not None:
            count = int(self.origin["values"])
            sums = Sums(step / float(count), tf.zeros(()), count=count)
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
        if self.limits is not None:
            return tf.constant(self.limits[0]), tf.constant(self.limits[1])
        low, high = weights["low"], weights["high"]
        if self.members > 1:
            low, high = tf.reduce_min(low), tf.reduce_max(high)
        low = tf.minimum(low, 0.0)
        return low, tf.maximum(high, low + _SMALLEST_CLIP)

    def _own(self, values: Any) -> Any:
        """This tensor's entry, a scalar, of a statistic that each member has."""
        return values if self.members == 1 else values[self.member]

    def _with_own(self, values: Any, own: Any) -> Any:
        """The statistic with another entry for this tensor."""
        if self.members == 1:
            return own
        return tf.where(tf.range(self.members) == self.member, own, values)

    def _clip(self, weights: dict[str, Any]) -> Any:
        clip = tf.maximum(tf.pow(2.0, weights["log2_clip"]), _SMALLEST_CLIP)
        return clip if self.max_value is None else tf.minimum(clip, self.max_value)

    def _observe(self, inputs: Any, weights: dict[str, Any]) -> Any:
        """Updates what is not trained by gradients; returns inputs, ordered after the update."""
        # Not before there are inputs: behind the last batch of data of unknown length Keras runs a
        # step that fails, and what does not wait for its batch would be counted.
        with tf.control_dependencies([inputs]):
            seen = tf.identity(self._own(weights["calibrated"]))
        if self.kind == "open":
            keep = tf.minimum(seen / (seen + 1.0), _MOVING_AVERAGE)
            keep = tf.where((self.table.schedule().frozen > 0.0) & (seen > 0.0), 1.0, keep)
            low = tf.minimum(tf.reduce_min(inputs), 0.0)
            high = tf.maximum(tf.reduce_max(inputs), 0.0)
            updates = [
                self._set(weights[side], keep * self._own(weights[side]) + (1.0 - keep) * limit)
                for side, limit in (("low", low), ("high", high))
            ]
            counted = tf.minimum(seen + 1.0, float(CALIBRATION_STEPS * 100))
            updates.append(self._set(weights["calibrated"], counted))
            with tf.control_dependencies(updates):
                return tf.identity(inputs)

        calibrates = seen < float(CALIBRATION_STEPS)
        clips = weights["log2_clip" if self.members == 1 else "log2_clips"]

        def least_error() -> Any:
            values = tf.stop_gradient(inputs)
            found = _log2(self._least_error_clip(values, tf.stop_gradient(_width(weights))))
            return (self._own(clips) * seen + found) / (seen + 1.0)

        # Outside of the condition, where replicas of a distributed training can agree.
        average = tf.cond(calibrates, least_error, lambda: tf.identity(self._own(clips)))
        counted = self._with_own(weights["calibrated"], tf.where(calibrates, seen + 1.0, seen))
        updates = [weights["calibrated"].assign(counted)]
        if self.members > 1:
            every = self._with_own(clips, average)
            updates.append(clips.assign(every))
            average = tf.reduce_max(tf.where(counted > 0.0, every, every.dtype.min))
        clip = tf.where(calibrates, average, weights["log2_clip"])
        kept = tf.where(calibrates, tf.stack([average, weights["log2_width"]]), weights["kept"])
        updates += [weights["log2_clip"].assign(clip), weights["kept"].assign(kept)]
        with tf.control_dependencies(updates):
            return tf.identity(inputs)

    def _set(self, variable: Any, own: Any) -> Any:
        """Assigns this tensor's entry of a statistic."""
        return variable.assign(self._with_own(variable, own))

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
            "limits": self.limits,
            "member": self.member,
            "members": self.members,
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
