# SPDX-License-Identifier: Apache-2.0
"""int8 weights whose worst-case sums fit the accumulator, as a tfmot quantizer."""

import math
from collections.abc import Sequence
from threading import get_ident
from typing import Any

import numpy as np

from oaq_keras._keras import keras, tf, tfmot
from oaq_keras.accumulator import PAIR_LIMIT_POSITIVE, limit
from oaq_keras.accumulator_ops import (
    largest_block,
    largest_pair,
    takes_pairs,
    worst_case_load,
)
from oaq_keras.exporting import is_exporting
from oaq_keras.fake_quant import fake_quant_weights
from oaq_keras.format_table import FormatTable, current_table
from oaq_keras.formats import CODES
from oaq_keras.kernel_rounding import Sums
from oaq_keras.transposed import phases
from oaq_keras.weight_structure import PRESERVED, groups_of, kept

_GUARD_PASSES = 3
_TRAINING_PASSES = 1
"""In 16 bits one finds nearly all that rounding pushed over the bound, which is little."""

_GUARD_MARGIN = 1.005
_DEAD = 1e-20
_OFF_GRID = 1e-3
"""Codes by which weights may be off those that were chosen for them: float32 rounding."""

_WIDEST = 16
_TOLD_APART = 1e-6


@keras.saving.register_keras_serializable("oaq_keras")
class WeightQuantizer(tfmot.quantization.keras.quantizers.Quantizer):
    """int8 weights whose worst-case sums fit the accumulator, for every input.

    Per output channel c: s_c = max|w_c| / 127, and the scale is alpha_c * s_c with
    alpha_c = max(1, rho_c(w / s_c)): differentiable in the weights and in the input's width, so
    the task's loss itself trades activation resolution against weight resolution. A
    stop-gradient guard then inflates what rounding pushed over the bound.

    Overflow regularization, with the layer's share of the MACs or of the time saved:

        lambda * share * mean_c relu(log2 rho_c(w / s_c))^2
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
        worth: float | None = None,
        reads_input: bool = False,
        normalization: str | None = None,
        call_number: int = 0,
        preserve: str | None = None,
        table: FormatTable | None = None,
    ) -> None:
        """Makes a quantizer.

        Args:
          kind: "conv" (kernel [h, w, in, out]), "depthwise" ([h, w, in, multiplier]), both with a
            scale per output channel, or with one scale "dense" ([in, out]) and "transpose", of
            transposed convolutions ([h, w, out, in]).
          depth: accumulation depth T to fit, products a lane adds between two drains.
          accumulator_bits: bits of a lane, 8 to 16.
          layouts: lane layouts to fit.
          input_format: name of the input's format in the table; None counts as unknown.
          regularization: lambda.
          mac_share: this layer's share of the model's multiplications.
          worth: its share of the regularization, by what its 16-bit sums save; by default
            `mac_share`.
          reads_input: whether `depth` is that of layers that read the model's input.
          normalization: the BatchNormalization that the converter folds into the layer.
          call_number: which of the calls of its layer this is, where it is called more than once.
          preserve: what training keeps of the kernel that it is built for: "sparsity" or
            "clusters", as in `weight_structure`; None for nothing.
          table: the model's activation formats; by default those of the current scope.

        Raises:
          ValueError: an argument out of range.
        """
        if kind not in ("conv", "depthwise", "dense", "transpose"):
            raise ValueError(f"kind is 'conv', 'depthwise', 'dense' or 'transpose', got {kind!r}.")
        if depth < 1:
            raise ValueError(f"depth is at least 1 product, got {depth}.")
        if preserve not in (None, *PRESERVED):
            raise ValueError(f"preserve is 'sparsity', 'clusters' or None, got {preserve!r}.")
        if not 8 <= accumulator_bits <= 16:
            raise ValueError(f"accumulator_bits is 8 to 16, got {accumulator_bits}.")
        self.kind = kind
        self.depth = depth
        self.accumulator_bits = accumulator_bits
        self.layouts = tuple(layouts)
        self.input_format = input_format
        self.regularization = regularization
        self.mac_share = mac_share
        self.worth = mac_share if worth is None else worth
        self.reads_input = reads_input
        self.normalization = normalization
        self.call_number = call_number
        self.preserve = preserve
        self.table = table or current_table()
        self._recent: tuple[int, Any] | None = None
        self._chosen_scale: Any = None
        self._layer: Any = None
        self._groups: Any = None

    def build(self, tensor_shape: Any, name: str, layer: Any) -> dict[str, Any]:
        """Enters the regularization as a loss of `layer`; the scales are a function of weights."""
        self._layer = layer.layer
        self.kernel = getattr(layer.layer, self.attribute)
        self.table.enter_sums(layer.layer.name, self.sums)
        self._schedule = self.table.schedule(layer)
        self._chosen_scale = layer.add_weight(
            f"{name}_chosen_scale",
            shape=self._first_scale(tf.abs(self._flat(self.kernel))).shape,
            initializer="zeros",
            trainable=False,
        )
        if self.preserve is not None:
            self._groups = layer.add_weight(
                f"{name}_groups",
                shape=self.kernel.shape,
                initializer=keras.initializers.Constant(
                    groups_of(self.kernel.numpy(), self.preserve)
                ),
                trainable=False,
                dtype=tf.int32,
            )
        if self.regularization and self.worth:
            layer.add_loss(self.penalty)
        return {}

    @tf.autograph.experimental.do_not_convert
    def __call__(self, inputs: Any, training: bool, weights: dict[str, Any], **kwargs: Any) -> Any:
        """Fake-quantizes a kernel; returns float32 of the same shape."""
        fast = training and self.accumulator_bits == _WIDEST
        inputs = self._kept(inputs)
        flat = self._flat(inputs)
        first, load, width = self._plain(flat)
        if training and self.regularization * self.worth:
            self._remember(load)
        passes = _TRAINING_PASSES if fast else _GUARD_PASSES
        scale = first * self._inflation(flat, first, load, width, passes)
        if not training:
            scale = self._chosen_or(scale, flat)
        if self.call_number:
            # Two calls of a layer are one constant to the converter, which then looks at its values
            # alone. This hardly changes the scale, and codes only away from the bound.
            scale *= 1.0 + self.call_number * _TOLD_APART
        if self.kind != "depthwise":
            return fake_quant_weights(inputs, scale)
        # The converter knows depthwise weights by this shape, with the channels last.
        height, width, channels, multiplier = inputs.shape
        channels_last = tf.reshape(inputs, [height, width, channels * multiplier])
        return tf.reshape(fake_quant_weights(channels_last, scale), inputs.shape)

    def scale(self, flat: Any, passes: int = _GUARD_PASSES) -> Any:
        """Scales under which the codes of [products, channels] weights fit the accumulator.

        Args:
          flat: float32 [products, channels].
          passes: how often the guard looks at the rounded codes.

        Returns:
          float32 [channels], or a scalar for dense kernels.
        """
        first, load, width = self._plain(flat)
        return first * self._inflation(flat, first, load, width, passes)

    def _chosen_or(self, found: Any, flat: Any) -> Any:
        """The scales that `choose` was given where weights are still those; else those found."""
        chosen = self._chosen_scale
        if chosen is None:
            return found
        steps = flat / tf.where(chosen > 0, chosen, 1.0)
        codes = tf.round(steps)
        off = self._reduce(tf.reduce_max(tf.abs(steps - codes), axis=0))
        largest = self._reduce(tf.reduce_max(tf.abs(codes), axis=0))
        # Not for a channel without weights: at a tiny scale its bias would not fit int32.
        fits = (off < _OFF_GRID) & (largest >= 1.0) & (largest <= float(CODES.weight_max))
        # Nor where the input's width was trained, and the codes do not fit it any more.
        fits &= self._reduce(self._load_of(codes)) <= 1.0
        return tf.where(fits & (chosen > 0), chosen, found)

    def choose(self, codes: Any, scale: Any) -> None:
        """Makes the kernel stand for given codes, until it is trained further.

        Args:
          codes: [products, channels] integers that fit the accumulator.
          scale: [channels], or a scalar for dense kernels.
        """
        self._chosen_scale.assign(scale)
        self.kernel.assign((codes * scale).reshape(self.kernel.shape))

    def sums(self) -> Sums | None:
        """What the layer sums in inference, a normalization folded in; None where unknown."""
        step = self.table.step(self.input_format)
        if step is None:
            return None
        bias = self._layer.bias if self._layer.use_bias else tf.zeros(())
        found = Sums(self.current_scale() * step, bias, twice=self.kind != "dense")
        if self.normalization is None:
            return found
        affine = self.table.normalization(self.normalization)
        return None if affine is None else found.folded(*affine)

    def plain_scale(self) -> Any:
        """The scales of plain int8 for the kernel it was built for, as in `current_scale`."""
        return self._first_scale(tf.abs(self._flat(self.weights())))

    def current_scale(self) -> Any:
        """The scales of the kernel it was built for; float32 [channels], or a scalar for dense."""
        flat = self._flat(self.weights())
        return self._chosen_or(self.scale(flat), flat)

    def weights(self) -> Any:
        """The kernel it was built for, with the structure that is kept; float32 of its shape."""
        return self._kept(self.kernel)

    def _kept(self, kernel: Any) -> Any:
        if self._groups is None or is_exporting():
            return kernel  # the converter would have to fold it, and `foldable` did it before
        return kept(kernel, self._groups, str(self.preserve))

    @property
    def attribute(self) -> str:
        """What layers call the kernel."""
        return "depthwise_kernel" if self.kind == "depthwise" else "kernel"

    @property
    def one_scale(self) -> bool:
        """Whether all channels have the same scale, which the converter wants of some kinds."""
        return self.kind in ("dense", "transpose")

    def channel_view(self, kernel: Any) -> Any:
        """A kernel as [products, output channels]."""
        return kernel.reshape(tuple(self._flat(kernel).shape))

    def inflation(self) -> Any:
        """alpha: by how much scales exceed those of plain int8, for the kernel it was built for.

        Returns:
          float32 [channels] >= 1, or a scalar for dense kernels.
        """
        return self.current_scale() / self.plain_scale()

    def code_load(self) -> Any:
        """Rho of the codes that the kernel it was built for has now, [channels]."""
        return self._load_of(self.codes())

    def codes(self) -> Any:
        """The codes of the kernel it was built for, whole numbers [products, channels]."""
        return tf.round(self._flat(self.weights()) / self.current_scale())

    def _load_of(self, codes: Any) -> Any:
        return worst_case_load(
            codes,
            self.table.width(self.input_format),
            self.depth,
            self.accumulator_bits,
            self.layouts,
        )

    def plain_load(self, width: float) -> Any:
        """Rho of the weights that it was built for, not rounded, at plain int8 scales, [channels].

        Args:
          width: hi - lo of the input's codes.
        """
        flat = self._flat(self.weights())
        load = worst_case_load(
            flat / self.plain_scale(), width, self.depth, self.accumulator_bits, self.layouts
        )
        return self._reduce(load) * tf.ones_like(load)

    def penalty(self) -> Any:
        """The layer's term of the overflow regularization, a float32 scalar.

        It moves weights alone: any optimizer that normalizes gradients would let it pull widths
        down by all that the rate allows, whatever the task says.
        """
        load = self._recent_load()
        if load is None:
            _, load, _ = self._plain(self._flat(self.weights()))
        width = self.table.width(self.input_format)
        load *= tf.stop_gradient(width) / width
        excess = tf.math.log(tf.maximum(load, 1.0)) / math.log(2.0)
        weight = self._schedule.ramp * (self.regularization * self.worth)
        return weight * tf.reduce_mean(tf.square(excess))

    def _plain(self, flat: Any) -> tuple[Any, Any, Any]:
        """Scales of plain int8, rho of the weights at these, [channels], and the input's width."""
        magnitudes = tf.abs(flat)
        first = self._first_scale(magnitudes)
        width = self.table.width(self.input_format)
        blocks = largest_block(magnitudes, self.depth, self.layouts)
        load = blocks * (width / float(limit(self.accumulator_bits)))
        if takes_pairs(self.layouts):
            # Rounding adds a code to a pair at most, so that no pass has to look at pairs again.
            room = float(PAIR_LIMIT_POSITIVE) - tf.stop_gradient(width)
            load = tf.maximum(load, largest_pair(flat) * (width / room))
        return first, load / first, width

    def _remember(self, load: Any) -> None:
        """Keeps rho for the losses, which Keras asks for behind the forward pass, on its tape."""
        self._recent = None if tf.executing_eagerly() else (get_ident(), load)

    def _recent_load(self) -> Any:
        """What the training pass before found, where it may be used: in its trace and thread."""
        recent, self._recent = self._recent, None
        if recent is None or tf.executing_eagerly():
            return None
        thread, load = recent
        same = load.graph is tf.compat.v1.get_default_graph() and thread == get_ident()
        return load if same else None

    def _inflation(self, flat: Any, first: Any, load: Any, width: Any, passes: int) -> Any:
        inflation = tf.maximum(self._reduce(load), 1.0)
        scale = tf.stop_gradient(first * inflation)
        share = tf.stop_gradient(width) / float(limit(self.accumulator_bits))
        magnitudes = tf.stop_gradient(tf.abs(flat))
        guard = tf.ones_like(scale)
        for _ in range(passes):
            codes = tf.round(magnitudes * (1.0 / (scale * guard)))
            over = self._reduce(largest_block(codes, self.depth, self.layouts) * share)
            guard = tf.where(over > 1.0, guard * over * _GUARD_MARGIN, guard)
        return inflation * tf.stop_gradient(guard)

    def _flat(self, kernel: Any) -> Any:
        """[products, channels] in the order of the exported file."""
        if self.kind == "depthwise":
            height, width, channels, multiplier = kernel.shape
            return tf.reshape(kernel, [height * width, channels * multiplier])
        if self.kind == "transpose":
            return self._by_phase(kernel)
        return tf.reshape(kernel, [-1, kernel.shape[-1]])

    def _by_phase(self, kernel: Any) -> Any:
        """[products, phases * channels]: outputs of a phase sum taps of their own."""
        height, width, channels, depth = kernel.shape
        taps = phases((height, width), depth, tuple(self._layer.strides))
        products = max(phase.size for phase in taps)
        # Behind the last tap lies a zero, which fills shorter phases.
        index = np.full((products, len(taps)), height * width * depth, np.int32)
        for column, phase in enumerate(taps):
            index[: phase.size, column] = phase
        flat = tf.reshape(tf.transpose(kernel, [0, 1, 3, 2]), [-1, channels])
        found = tf.gather(tf.pad(flat, [[0, 1], [0, 0]]), index)
        return tf.reshape(found, [products, len(taps) * channels])

    def _first_scale(self, magnitudes: Any) -> Any:
        largest = tf.reduce_max(magnitudes, axis=None if self.one_scale else 0)
        # A channel without weights takes the others' scale: a tiny one would not hold its bias.
        others = tf.reduce_max(largest)
        spare = tf.where(others > _DEAD, others, 1.0)
        largest = tf.where(largest > _DEAD, largest, spare)
        return tf.stop_gradient(largest / float(CODES.weight_max))

    def _reduce(self, load: Any) -> Any:
        return tf.reduce_max(load) if self.one_scale else load

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
            "worth": self.worth,
            "reads_input": self.reads_input,
            "normalization": self.normalization,
            "call_number": self.call_number,
            "preserve": self.preserve,
        }
