# SPDX-License-Identifier: Apache-2.0
"""Keras layers that the converter sees in the form that TFLite fuses.

They train as the layers they replace (PReLU with the slopes that the file has), and show the sums
of products, without bias, to `observe_sums` where that is set: a function of a tensor that returns
it. While a model is exported, TensorFlow's own decompositions (dilation between SPACE_TO_BATCH_ND
and its inverse, Dense on more than two dimensions as a reshaped product with the bias behind the
reshape) would keep bias and activation from being fused, and with them the codes; so there each
calls the operator itself.
"""

from collections.abc import Callable
from typing import Any

from oaq_keras._keras import keras, tf
from oaq_keras.exporting import is_exporting
from oaq_keras.fake_quant import round_straight_through
from oaq_keras.formats import CODES

_NO_BIAS = 1e-30
"""A bias whose code is 0."""

_LEAST_SLOPE = 1e-30
"""In place of 0 where all slopes of a layer are."""


@keras.saving.register_keras_serializable("oaq_keras")
class TfliteConv2D(keras.layers.Conv2D):
    """Conv2D whose dilation and groups are one operator's in the export."""

    observe_sums: Callable[[Any], Any] | None = None

    def call(self, inputs: Any) -> Any:
        """Convolves float32 [batch, height, width, channels]."""
        if not is_exporting():
            return super().call(inputs)
        sums = tf.nn.conv2d(
            inputs,
            self.kernel,
            strides=self.strides,
            padding=self.padding.upper(),
            dilations=self.dilation_rate,
        )
        return _finished(self, sums)

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        """The convolution without bias and activation, as Keras documents it for subclasses."""
        sums = super().convolution_op(inputs, kernel)
        return sums if self.observe_sums is None else self.observe_sums(sums)


@keras.saving.register_keras_serializable("oaq_keras")
class TfliteDepthwiseConv2D(keras.layers.DepthwiseConv2D):
    """DepthwiseConv2D whose dilation is one operator's attribute in the export."""

    observe_sums: Callable[[Any], Any] | None = None

    def call(self, inputs: Any) -> Any:
        """Convolves float32 [batch, height, width, channels]."""
        if not is_exporting():
            if self.observe_sums is None:
                return super().call(inputs)
            sums = keras.backend.depthwise_conv2d(
                inputs,
                self.depthwise_kernel,
                strides=self.strides,
                padding=self.padding,
                dilation_rate=self.dilation_rate,
            )
            return _finished(self, self.observe_sums(sums))
        outputs = tf.raw_ops.DepthwiseConv2dNative(
            input=inputs,
            filter=self.depthwise_kernel,
            strides=[1, *self.strides, 1],
            padding=self.padding.upper(),
            dilations=[1, *self.dilation_rate, 1],
        )
        return _finished(self, outputs)


def _finished(layer: Any, sums: Any) -> Any:
    """A layer's output, of its sums."""
    outputs = tf.nn.bias_add(sums, layer.bias) if layer.use_bias else sums
    return outputs if layer.activation is None else layer.activation(outputs)


@keras.saving.register_keras_serializable("oaq_keras")
class TfliteDense(keras.layers.Dense):
    """Dense that is one FULLY_CONNECTED between two reshapes in the export."""

    observe_sums: Callable[[Any], Any] | None = None

    def call(self, inputs: Any) -> Any:
        """Multiplies the last dimension of float32 [batch, ..., units in]."""
        if self.observe_sums is not None and not is_exporting():
            sums = self.observe_sums(tf.tensordot(inputs, self.kernel, 1))
            return _finished(self, sums)
        if not is_exporting() or inputs.shape.rank == 2:
            return super().call(inputs)
        inner = inputs.shape[1:-1]
        sizes = [-1 if size is None else size for size in inner]
        if -1 in sizes:
            return super().call(inputs)
        outputs = tf.matmul(tf.reshape(inputs, [-1, inputs.shape[-1]]), self.kernel)
        if self.use_bias:
            outputs = tf.nn.bias_add(outputs, self.bias)
        if self.activation is not None:
            outputs = self.activation(outputs)
        return tf.reshape(outputs, [-1, *sizes, self.units])


@keras.saving.register_keras_serializable("oaq_keras")
class TfliteReLU(keras.layers.ReLU):
    """ReLU as TFLite fuses it in the export: RELU6, or RELU with the largest value of its codes."""

    def call(self, inputs: Any) -> Any:
        """Clips float32 of any shape."""
        if not is_exporting():
            return super().call(inputs)
        return tf.nn.relu6(inputs) if self.max_value == 6.0 else tf.nn.relu(inputs)


@keras.saving.register_keras_serializable("oaq_keras")
class TfliteConv2DTranspose(keras.layers.Conv2DTranspose):
    """Conv2DTranspose of a known output shape in the export."""

    observe_sums: Callable[[Any], Any] | None = None

    def call(self, inputs: Any) -> Any:
        """Computes float32 [batch, height, width, channels]."""
        if not is_exporting() or None in inputs.shape:
            return super().call(inputs)
        shape = self.compute_output_shape(inputs.shape)
        outputs = tf.nn.conv2d_transpose(
            inputs, self.kernel, [int(n) for n in shape], self.strides, self.padding.upper()
        )
        # Without a bias, and zeros are none to it, the converter does not fuse the ReLU behind.
        bias = self.bias if self.use_bias else tf.zeros(self.filters)
        return tf.nn.bias_add(outputs, tf.where(bias == 0.0, _NO_BIAS, bias))


@keras.saving.register_keras_serializable("oaq_keras")
class TflitePReLU(keras.layers.PReLU):
    """PReLU with slopes as int8 codes of one scale, as the converter rounds them."""

    def slope_step(self) -> Any:
        """Real value of one code of the slopes, a float32 scalar."""
        return tf.maximum(tf.reduce_max(tf.abs(self.alpha)), _LEAST_SLOPE) / CODES.high

    def call(self, inputs: Any) -> Any:
        """Multiplies what is negative of float32 of any shape."""
        if is_exporting():
            return super().call(inputs)
        step = tf.stop_gradient(self.slope_step())
        slopes = round_straight_through(self.alpha / step) * step
        return tf.where(inputs < 0.0, slopes * inputs, inputs)


TFLITE_LAYERS: dict[Any, Any] = {
    keras.layers.Conv2D: TfliteConv2D,
    keras.layers.DepthwiseConv2D: TfliteDepthwiseConv2D,
    keras.layers.Dense: TfliteDense,
    keras.layers.Conv2DTranspose: TfliteConv2DTranspose,
    keras.layers.ReLU: TfliteReLU,
    keras.layers.PReLU: TflitePReLU,
}
"""Which Keras layer each of them replaces."""
