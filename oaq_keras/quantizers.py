# SPDX-License-Identifier: Apache-2.0
"""Trainable formats as tfmot quantizers: learnt activation formats, bounded weights."""

import math
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from oaq_keras._keras import keras, tf, tfmot
from oaq_keras.accumulator_ops import worst_case_load
from oaq_keras.fake_quant import (
    fake_quant_closed,
    fake_quant_open,
    fake_quant_weights,
    round_straight_through,
)
from oaq_keras.formats import CODES, MIN_WIDTH, ActivationFormat

DEFAULT_WIDTH = 127
"""Width at which training starts: 7 bits, where a c4 pair cannot saturate."""

CALIBRATION_STEPS = 8
"""Training steps whose activations set the first clip of every format."""

_MOVING_AVERAGE = 0.99
_GUARD_PASSES = 3
_GUARD_MARGIN = 1.005
_DEAD = 1e-20
_SMALLEST_CLIP = 1e-5
_CLIP_CANDIDATES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4)


class FormatTable:
    """The activation formats of one model, by name, so that weights can see their input's width.

    Attributes:
      observing: while True, quantizers called eagerly calibrate outside training too.
    """

    def __init__(self) -> None:
        """Makes an empty table."""
        self.observing = False
        self._variables: dict[str, dict[str, Any]] = {}
        self._widths: dict[str, Callable[[], Any]] = {}

    def variables(self, name: str) -> dict[str, Any] | None:
        """The variables of a format, None where no quantizer of that name was built."""
        return self._variables.get(name)

    def add(self, name: str, variables: dict[str, Any], width: Callable[[], Any]) -> None:
        """Enters a format that a quantizer built."""
        self._variables[name] = variables
        self._widths[name] = width

    def scale(self, name: str | None) -> float | None:
        """Real value of one code step of a format; None where the format is unknown."""
        variables = None if name is None else self._variables.get(name)
        if variables is None:
            return None
        if "low" in variables:
            span = max(float(variables["high"]), 0.0) - min(float(variables["low"]), 0.0)
        else:
            span = 2.0 ** float(variables["log2_clip"])
        return span / float(self.width(name))

    def choose(self, name: str, form: ActivationFormat) -> None:
        """Gives a format the values of another, as if it had been calibrated."""
        variables = self._variables[name]
        above = (form.high - form.zero_point) * form.scale
        if "low" in variables:
            variables["low"].assign((form.low - form.zero_point) * form.scale)
            variables["high"].assign(above)
        else:
            variables["log2_clip"].assign(math.log2(above))
            variables["log2_width"].assign(math.log2(form.width))
        variables["calibrated"].assign(float(CALIBRATION_STEPS))

    def width(self, name: str | None) -> Any:
        """Hi - lo of a format in codes, a float32 scalar; 255 where the format is unknown."""
        width = self._widths.get(name) if name is not None else None
        return width() if width is not None else tf.constant(float(CODES.width))

    def items(self) -> list[tuple[str, dict[str, Any]]]:
        """Names and variables of all formats."""
        return list(self._variables.items())


_table: ContextVar[FormatTable | None] = ContextVar("oaq_keras_format_table", default=None)


@contextmanager
def format_table(table: FormatTable) -> Any:
    """Quantizers deserialized inside this scope share `table`."""
    token = _table.set(table)
    try:
        yield table
    finally:
        _table.reset(token)


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
    ) -> None:
        """Makes a quantizer.

        Args:
          kind: "closed" or "open".
          name: the format's name in the table; by default that of the layer.
          max_value: largest clip, 6.0 for a ReLU6.
          width: first width in codes, 15 to 255; the width of an open format is 255.
          table: formats to share with; by default those of the current scope.

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
        self.table = table or _table.get() or FormatTable()

    def build(self, tensor_shape: Any, name: str, layer: Any) -> dict[str, Any]:
        """Makes the format's variables on `layer`, or finds those of the same name."""
        format_name = self.name or layer.name
        shared = self.table.variables(format_name)
        if shared is not None:
            return shared

        def weight(label: str, value: float, trainable: bool) -> Any:
            return layer.add_weight(
                f"{name}_{label}",
                shape=(),
                initializer=keras.initializers.Constant(value),
                trainable=trainable,
            )

        variables = {"calibrated": weight("calibrated", 0.0, False)}
        if self.kind == "closed":
            variables["log2_clip"] = weight("log2_clip", 0.0, True)
            variables["log2_width"] = weight("log2_width", math.log2(self.first_width), True)
            self.table.add(format_name, variables, lambda: _width(variables))
        else:
            variables["low"] = weight("low", 0.0, False)
            variables["high"] = weight("high", 0.0, False)
            self.table.add(
                format_name, variables, lambda: tf.constant(float(CODES.width), tf.float32)
            )
        return variables

    def __call__(self, inputs: Any, training: bool, weights: dict[str, Any], **kwargs: Any) -> Any:
        """Fake-quantizes a float32 tensor; in training, calibrates and follows its range."""
        if training or self.table.observing:
            inputs = self._observe(inputs, weights)
        if self.kind == "open":
            low = tf.minimum(weights["low"], 0.0)
            high = tf.maximum(weights["high"], low + _SMALLEST_CLIP)
            return fake_quant_open(inputs, low, high)
        return fake_quant_closed(inputs, self._clip(weights), _width(weights))

    def _clip(self, weights: dict[str, Any]) -> Any:
        clip = tf.maximum(tf.pow(2.0, weights["log2_clip"]), _SMALLEST_CLIP)
        return clip if self.max_value is None else tf.minimum(clip, self.max_value)

    def _observe(self, inputs: Any, weights: dict[str, Any]) -> Any:
        """Updates what is not trained by gradients; returns inputs, ordered after the update."""
        seen = weights["calibrated"]
        if self.kind == "open":
            keep = tf.minimum(seen / (seen + 1.0), _MOVING_AVERAGE)
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
            found = _log2(self._least_error_clip(inputs, _width(weights)))
            average = (weights["log2_clip"] * seen + found) / (seen + 1.0)
            updates = [weights["log2_clip"].assign(average), seen.assign(seen + 1.0)]
            with tf.control_dependencies(updates):
                return tf.identity(seen)

        update = tf.cond(seen < float(CALIBRATION_STEPS), calibrate, lambda: tf.identity(seen))
        with tf.control_dependencies([update]):
            return tf.identity(inputs)

    def _least_error_clip(self, inputs: Any, width: Any) -> Any:
        inputs = tf.stop_gradient(inputs)
        largest = tf.maximum(tf.reduce_max(inputs), _SMALLEST_CLIP)
        if self.max_value is not None:
            largest = tf.minimum(largest, self.max_value)
        clips = tf.stack([largest * share for share in _CLIP_CANDIDATES])
        errors = tf.stack(
            [
                tf.reduce_mean(tf.square(fake_quant_closed(inputs, clip, width) - inputs))
                for clip in tf.unstack(clips)
            ]
        )
        return clips[tf.argmin(errors)]

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments, without the table."""
        return {
            "kind": self.kind,
            "name": self.name,
            "max_value": self.max_value,
            "width": self.first_width,
        }


class WeightQuantizer(tfmot.quantization.keras.quantizers.Quantizer):
    """int8 weights whose worst-case sums fit the accumulator, for every input.

    Per output channel c: s_c = max|w_c| / 127, and the scale is alpha_c * s_c with
    alpha_c = max(1, rho_c(w / s_c)): differentiable in the weights and in the input's width, so
    the task's loss itself trades activation resolution against weight resolution. A
    stop-gradient guard then inflates what rounding pushed over the bound.

    Overflow regularization: lambda * (MAC share) * mean_c relu(log2 rho_c(w / s_c))^2.
    """

    def __init__(
        self,
        kind: str = "conv",
        depth: int = 16,
        accumulator_bits: int = 16,
        layouts: Sequence[str] = ("c8", "c4"),
        input_format: str | None = None,
        regularization: float = 0.0,
        mac_share: float = 1.0,
        reads_input: bool = False,
        normalization: str | None = None,
        table: FormatTable | None = None,
    ) -> None:
        """Makes a quantizer.

        Args:
          kind: "conv" (kernel [h, w, in, out]), "depthwise" ([h, w, in, multiplier]), both with a
            scale per output channel, or "dense" ([in, out]), with one scale.
          depth: accumulation depth T to fit, products a lane adds between two drains.
          accumulator_bits: bits of a lane, 8 to 16.
          layouts: lane layouts to fit.
          input_format: name of the input's format in the table; None counts as unknown.
          regularization: lambda.
          mac_share: this layer's share of the model's multiplications.
          reads_input: whether `depth` is that of layers that read the model's input.
          normalization: the BatchNormalization that the converter folds into the layer.
          table: the model's activation formats; by default those of the current scope.

        Raises:
          ValueError: an argument out of range.
        """
        if kind not in ("conv", "depthwise", "dense"):
            raise ValueError(f"kind is 'conv', 'depthwise' or 'dense', got {kind!r}.")
        if depth < 1:
            raise ValueError(f"depth is at least 1 product, got {depth}.")
        if not 8 <= accumulator_bits <= 16:
            raise ValueError(f"accumulator_bits is 8 to 16, got {accumulator_bits}.")
        self.kind = kind
        self.depth = depth
        self.accumulator_bits = accumulator_bits
        self.layouts = tuple(layouts)
        self.input_format = input_format
        self.regularization = regularization
        self.mac_share = mac_share
        self.reads_input = reads_input
        self.normalization = normalization
        self.table = table or _table.get() or FormatTable()
        self._chosen_scale: Any = None

    def build(self, tensor_shape: Any, name: str, layer: Any) -> dict[str, Any]:
        """Enters the regularization as a loss of `layer`; the scales are a function of weights."""
        attribute = "depthwise_kernel" if self.kind == "depthwise" else "kernel"
        self.kernel = getattr(layer.layer, attribute)
        self._chosen_scale = layer.add_weight(
            f"{name}_chosen_scale",
            shape=self._first_scale(self._flat(self.kernel)).shape,
            initializer="zeros",
            trainable=False,
        )
        if self.regularization:
            layer.add_loss(self.penalty)
        return {}

    def __call__(self, inputs: Any, training: bool, weights: dict[str, Any], **kwargs: Any) -> Any:
        """Fake-quantizes a kernel; returns float32 of the same shape."""
        scale = self.scale(self._flat(inputs))
        if self.kind != "depthwise":
            return fake_quant_weights(inputs, scale)
        # The converter knows depthwise weights by this shape, with the channels last.
        height, width, channels, multiplier = inputs.shape
        channels_last = tf.reshape(inputs, [height, width, channels * multiplier])
        return tf.reshape(fake_quant_weights(channels_last, scale), inputs.shape)

    def scale(self, flat: Any) -> Any:
        """Scales under which the codes of [products, channels] weights fit the accumulator.

        Returns:
          float32 [channels], or a scalar for dense kernels.
        """
        found = self._first_scale(flat) * self._inflation(flat)
        chosen = self._chosen_scale
        if chosen is None:
            return found
        codes = tf.stop_gradient(tf.round(flat / tf.where(chosen > 0, chosen, 1.0)))
        largest = self._reduce(tf.reduce_max(tf.abs(codes), axis=0))
        # Not for a channel without weights: at a tiny scale its bias would not fit int32.
        fits = (largest >= 1.0) & (largest <= float(CODES.weight_max))
        fits &= self._reduce(self._load(codes)) <= 1.0
        return tf.where(fits & (chosen > 0), chosen, found)

    def choose(self, codes: Any, scale: Any) -> None:
        """Makes the kernel stand for given codes.

        The scale holds as long as the codes under it fit, so training may go on from there.

        Args:
          codes: [products, channels] integers that fit the accumulator.
          scale: [channels], or a scalar for dense kernels.
        """
        self._chosen_scale.assign(scale)
        self.kernel.assign((codes * scale).reshape(self.kernel.shape))

    def plain_scale(self) -> Any:
        """The scales of plain int8 for the kernel it was built for, as in `current_scale`."""
        return self._first_scale(self._flat(self.kernel))

    def current_scale(self) -> Any:
        """The scales of the kernel it was built for; float32 [channels], or a scalar for dense."""
        return self.scale(self._flat(self.kernel))

    def channel_view(self, kernel: Any) -> Any:
        """A kernel as [products, output channels]."""
        return kernel.reshape(tuple(self._flat(kernel).shape))

    def inflation(self) -> Any:
        """alpha: by how much scales exceed those of plain int8, for the kernel it was built for.

        Returns:
          float32 [channels] >= 1, or a scalar for dense kernels.
        """
        return self.current_scale() / self.plain_scale()

    def penalty(self) -> Any:
        """The layer's term of the overflow regularization, a float32 scalar."""
        flat = self._flat(self.kernel)
        excess = tf.nn.relu(_log2(self._load(flat / self._first_scale(flat))))
        return self.regularization * self.mac_share * tf.reduce_mean(tf.square(excess))

    def _inflation(self, flat: Any) -> Any:
        first = self._first_scale(flat)
        inflation = tf.maximum(self._reduce(self._load(flat / first)), 1.0)
        guard = tf.ones_like(inflation)
        for _ in range(_GUARD_PASSES):
            codes = tf.stop_gradient(tf.round(flat / (first * inflation * guard)))
            load = tf.stop_gradient(self._reduce(self._load(codes)))
            guard = tf.where(load > 1.0, guard * load * _GUARD_MARGIN, guard)
        return inflation * guard

    def _flat(self, kernel: Any) -> Any:
        """[products, channels] in the order of the exported file."""
        if self.kind == "depthwise":
            height, width, channels, multiplier = kernel.shape
            return tf.reshape(kernel, [height * width, channels * multiplier])
        return tf.reshape(kernel, [-1, kernel.shape[-1]])

    def _first_scale(self, flat: Any) -> Any:
        largest = tf.reduce_max(tf.abs(flat), axis=None if self.kind == "dense" else 0)
        # A channel without weights takes the others' scale: a tiny one would not hold its bias.
        others = tf.reduce_max(largest)
        spare = tf.where(others > _DEAD, others, 1.0)
        largest = tf.where(largest > _DEAD, largest, spare)
        return tf.stop_gradient(largest / float(CODES.weight_max))

    def _load(self, codes: Any) -> Any:
        return worst_case_load(
            codes,
            self.table.width(self.input_format),
            self.depth,
            self.accumulator_bits,
            self.layouts,
        )

    def _reduce(self, load: Any) -> Any:
        return tf.reduce_max(load) if self.kind == "dense" else load

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments, without the table."""
        return {
            "kind": self.kind,
            "depth": self.depth,
            "accumulator_bits": self.accumulator_bits,
            "layouts": list(self.layouts),
            "input_format": self.input_format,
            "regularization": self.regularization,
            "mac_share": self.mac_share,
            "reads_input": self.reads_input,
            "normalization": self.normalization,
        }


def _log2(x: Any) -> Any:
    return tf.math.log(tf.maximum(tf.cast(x, tf.float32), 1e-20)) / tf.math.log(2.0)


def _width(variables: dict[str, Any]) -> Any:
    """Hi - lo in codes, a whole number whose gradient passes to log2_width."""
    width = tf.clip_by_value(
        tf.pow(2.0, variables["log2_width"]), float(MIN_WIDTH), float(CODES.width)
    )
    return round_straight_through(width)
