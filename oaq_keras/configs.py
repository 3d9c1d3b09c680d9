# SPDX-License-Identifier: Apache-2.0
"""The QuantizeConfig of one layer, and the layer that quantizes a model's input."""

from collections.abc import Callable
from typing import Any

from oaq_keras._keras import keras, tfmot
from oaq_keras.errors import UnsupportedError
from oaq_keras.quantizers import ActivationQuantizer, WeightQuantizer


@keras.saving.register_keras_serializable("oaq_keras")
class OverflowAwareQuantizeConfig(tfmot.quantization.keras.QuantizeConfig):
    """Quantizes the kernel and the output of one layer."""

    def __init__(
        self,
        kernel: str | None = None,
        weight_quantizer: WeightQuantizer | None = None,
        output_quantizer: ActivationQuantizer | None = None,
    ) -> None:
        """Makes a config.

        Args:
          kernel: attribute of the layer that holds its kernel, None where it has none.
          weight_quantizer: for the kernel.
          output_quantizer: for the output, after the layer's activation; None where the next
            layer's output is what TFLite quantizes, or the input's format is kept.

        Raises:
          ValueError: a kernel without its quantizer, or the other way round.
        """
        if (kernel is None) != (weight_quantizer is None):
            raise ValueError(
                "kernel and weight_quantizer go together, got "
                f"kernel={kernel!r}, weight_quantizer={weight_quantizer!r}."
            )
        self.kernel = kernel
        self.weight_quantizer = weight_quantizer
        self.output_quantizer = output_quantizer

    def get_weights_and_quantizers(self, layer: Any) -> list[tuple[Any, WeightQuantizer]]:
        """The kernel and its quantizer."""
        if self.kernel is None or self.weight_quantizer is None:
            return []
        return [(getattr(layer, self.kernel), self.weight_quantizer)]

    def get_activations_and_quantizers(
        self, layer: Any
    ) -> list[tuple[Callable[..., Any], ActivationQuantizer]]:
        """None: activations are part of the output."""
        return []

    def set_quantize_weights(self, layer: Any, quantize_weights: list[Any]) -> None:
        """Puts the quantized kernel in the kernel's place for the call.

        Raises:
          ValueError: a tensor of another shape than the kernel's.
        """
        if self.kernel is None:
            return
        (quantized,) = quantize_weights
        expected = getattr(layer, self.kernel).shape
        if quantized.shape != expected:
            raise ValueError(
                f"Layer {layer.name!r} has a {self.kernel} of shape {expected}, "
                f"got quantized weights of shape {quantized.shape}."
            )
        setattr(layer, self.kernel, quantized)

    def set_quantize_activations(self, layer: Any, quantize_activations: list[Any]) -> None:
        """Nothing to set: activations are part of the output."""
        del layer, quantize_activations

    def get_output_quantizers(self, layer: Any) -> list[ActivationQuantizer]:
        """The output's quantizer."""
        return [] if self.output_quantizer is None else [self.output_quantizer]

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments, quantizers as configs of their own."""
        return {
            "kernel": self.kernel,
            "weight_quantizer": _serialized(self.weight_quantizer),
            "output_quantizer": _serialized(self.output_quantizer),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "OverflowAwareQuantizeConfig":
        """The inverse of `get_config`; formats are shared inside `quantizers.format_table`."""
        return cls(
            config["kernel"],
            _deserialized(config["weight_quantizer"]),
            _deserialized(config["output_quantizer"]),
        )


def _serialized(quantizer: Any) -> dict[str, Any] | None:
    """A quantizer by its class's registered name and its config."""
    if quantizer is None:
        return None
    name = keras.saving.get_registered_name(type(quantizer))
    return {"class_name": name, "config": quantizer.get_config()}


def _deserialized(entry: dict[str, Any] | None) -> Any:
    """The inverse of `_serialized`.

    Raises:
      UnsupportedError: a class that nobody registered; the message names it.
    """
    if entry is None:
        return None
    kind = keras.saving.get_registered_object(entry["class_name"])
    if kind is None:
        raise UnsupportedError(
            f"The model has a quantizer {entry['class_name']!r}, which is not registered. Decorate "
            "its class with tf_keras.saving.register_keras_serializable(), or name it in "
            "load_model(custom_objects=...)."
        )
    return kind(**entry["config"])


@keras.saving.register_keras_serializable("oaq_keras")
class QuantizeInput(keras.layers.Layer):
    """Quantizes what enters the model."""

    def __init__(self, quantizer: Any = None, **kwargs: Any) -> None:
        """Makes the layer of an ActivationQuantizer, or of its config."""
        super().__init__(**kwargs)
        if isinstance(quantizer, dict):
            quantizer = ActivationQuantizer(**quantizer)
        self.quantizer = quantizer or ActivationQuantizer("open")

    def build(self, input_shape: Any) -> None:
        """Makes the format's variables."""
        self.quantizer_variables = self.quantizer.build(input_shape, "input", self)
        super().build(input_shape)

    def call(self, inputs: Any, training: Any = None) -> Any:
        """Fake-quantizes a float32 tensor of any shape."""
        return keras.backend.in_train_phase(
            lambda: self.quantizer(inputs, True, self.quantizer_variables),
            lambda: self.quantizer(inputs, False, self.quantizer_variables),
            training=training,
        )

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments, the quantizer as its config."""
        return {**super().get_config(), "quantizer": self.quantizer.get_config()}
