# SPDX-License-Identifier: Apache-2.0
"""`policy="paper"`: alpha follows the overflow that training batches show, and proves nothing.

Xie et al., arXiv 2005.13297, section 3: codes are those of plain int8 divided by a layer's alpha;
where sums of a batch overflow int16 alpha goes up, where none does it goes down. What is looked at
is the total sum of an output, as in the authors' trainer, though kernels sum in lanes, which may
overflow before their total does; so exported files carry no certificate.
"""

import math
from typing import Any

from oaq_keras._keras import keras, tf
from oaq_keras.weight_quantizer import WeightQuantizer

_UP = 0.01
_DOWN = 0.002
"""Steps of log2 alpha. The paper gives the directions; these sizes are ours."""

_MOST_DECADES = 4.0
_LARGEST_ALPHA = 127.0


@keras.saving.register_keras_serializable("oaq_keras")
class PaperWeightQuantizer(WeightQuantizer):
    """int8 weights whose scale is alpha * max|w_c| / 127, one alpha a layer.

    After each training batch in which N of a layer's sums left the accumulator

        log2 alpha <- log2 alpha + 0.01 * min(log10(1 + N), 4)   where N > 0
        log2 alpha <- max(log2 alpha - 0.002, 0)                 where N = 0
    """

    def build(self, tensor_shape: Any, name: str, layer: Any) -> dict[str, Any]:
        """Makes alpha and the count of overflows, and asks the layer for its sums."""
        self.regularization = 0.0
        variables = super().build(tensor_shape, name, layer)

        def weight(label: str) -> Any:
            return layer.add_weight(
                f"{name}_{label}",
                shape=(),
                initializer=keras.initializers.Constant(0.0),
                trainable=False,
                aggregation=tf.VariableAggregation.MEAN,  # of what replicas see
            )

        self.log2_alpha, self.overflows = weight("log2_alpha"), weight("overflows")
        self._training = False
        layer.layer.observe_sums = self._observe
        return variables

    def __call__(self, inputs: Any, training: bool, weights: dict[str, Any], **kwargs: Any) -> Any:
        """Fake-quantizes a kernel; the layer then shows its sums."""
        self._training = bool(training)
        return super().__call__(inputs, training, weights, **kwargs)

    def _inflation(self, flat: Any, first: Any, load: Any, width: Any, passes: int) -> Any:
        del flat, load, width, passes
        alpha = tf.pow(2.0, self.log2_alpha)
        return alpha if self.one_scale else alpha * tf.ones_like(first)

    def _observe(self, sums: Any) -> Any:
        """Counts sums [..., channels] beyond the accumulator, in training; returns them."""
        if not self._training:
            return sums
        largest = float(2 ** (self.accumulator_bits - 1) - 1)
        step = self.table.step(self.input_format)
        if step is None:
            return sums
        limit = tf.stop_gradient(largest * step * self.scale(self._flat(self.kernel)))
        beyond = tf.abs(tf.stop_gradient(sums)) > limit
        count = tf.reduce_sum(tf.cast(beyond, tf.float32))
        decades = tf.minimum(tf.math.log(1.0 + count) / math.log(10.0), _MOST_DECADES)
        moved = tf.where(count > 0.0, self.log2_alpha + _UP * decades, self.log2_alpha - _DOWN)
        moved = tf.clip_by_value(moved, 0.0, math.log2(_LARGEST_ALPHA))
        stays = self.table.schedule().frozen > 0.0
        updates = [
            self.overflows.assign(count),
            self.log2_alpha.assign(tf.where(stays, self.log2_alpha, moved)),
        ]
        with tf.control_dependencies(updates):
            return tf.identity(sums)
