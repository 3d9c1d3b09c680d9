# SPDX-License-Identifier: Apache-2.0
"""Keras layers that the converter sees in the form that TFLite fuses.

They train as the layers they replace, and show the sums of products, without bias, to
`observe_sums` where that is set: a function of a tensor that returns it. While a model is exported,
TensorFlow's own decompositions
(dilation between SPACE_TO_BATCH_ND and its inverse, Dense on more than two dimensions as a reshaped
product with the bias behind the reshape) would keep bias and activation from being fused, and with
them the codes; so there each calls the operator itself.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from oaq_keras._keras import keras, tf

_exporting: ContextVar[bool] = ContextVar("oaq_keras_exporting", default=False)


@contextmanager
def exporting() -> Iterator[None]:
    """Inside, layers trace what the converter is to see; the trace is not to be run."""
    token = _exporting.set(True)
    try:
        yield
    finally:
        _exporting.reset(token)


class TfliteConv2D(keras.layers.Conv2D):
    """Conv2D whose dilation is one operator's attribute in the export."""

    observe_sums: Callable[[Any], Any] | None = None

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        """The convolution without bias and activation, as Keras documents it for subclasses."""
        if not _exporting.get():
            sums = super().convolution_op(inputs, kernel)
            return sums if self.observe_sums is None else self.observe_sums(sums)
        return tf.nn.conv2d(
            inputs,
            kernel,
            strides=self.strides,
            padding=self.padding.upper(),
            dilations=self.dilation_rate,
        )


class TfliteDepthwiseConv2D(keras.layers.DepthwiseConv2D):
    """DepthwiseConv2D whose dilation is one operator's attribute in the export."""

    observe_sums: Callable[[Any], Any] | None = None

    def call(self, inputs: Any) -> Any:
        """Convolves float32 [batch, height, width, channels]."""
        if not _exporting.get():
            if self.observe_sums is None:
                return super().call(inputs)
            sums = keras.backend.depthwise_conv2d(
                inputs,
                self.depthwise_kernel,
                strides=self.strides,
                padding=self.padding,
                dilation_rate=self.dilation_rate,
            )
            return self._finish(self.observe_sums(sums))
        outputs = tf.raw_ops.DepthwiseConv2dNative(
            input=inputs,
            filter=self.depthwise_kernel,
            strides=[1, *self.strides, 1],
            padding=self.padding.upper(),
            dilations=[1, *self.dilation_rate, 1],
        )
        return self._finish(outputs)

    def _finish(self, outputs: Any) -> Any:
        if self.use_bias:
            outputs = tf.nn.bias_add(outputs, self.bias)
        return outputs if self.activation is None else self.activation(outputs)


class TfliteDense(keras.layers.Dense):
    """Dense that is one FULLY_CONNECTED between two reshapes in the export."""

    observe_sums: Callable[[Any], Any] | None = None

    def call(self, inputs: Any) -> Any:
        """Multiplies the last dimension of float32 [batch, ..., units in]."""
        if self.observe_sums is not None and not _exporting.get():
            sums = self.observe_sums(tf.tensordot(inputs, self.kernel, 1))
            outputs = tf.nn.bias_add(sums, self.bias) if self.use_bias else sums
            return outputs if self.activation is None else self.activation(outputs)
        if not _exporting.get() or inputs.shape.rank == 2:
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


TFLITE_LAYERS: dict[Any, Any] = {
    keras.layers.Conv2D: TfliteConv2D,
    keras.layers.DepthwiseConv2D: TfliteDepthwiseConv2D,
    keras.layers.Dense: TfliteDense,
}
"""Which Keras layer each of them replaces."""
