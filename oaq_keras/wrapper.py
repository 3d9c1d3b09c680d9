# SPDX-License-Identifier: Apache-2.0
"""tfmot's wrapper of quantized layers, traced once, and which leaves frozen layers as they are."""

from typing import Any

from oaq_keras._keras import keras, tf, tfmot
from oaq_keras.activations import name_of
from oaq_keras.format_table import current_table
from oaq_keras.shared_variables import take, variables_of


@keras.saving.register_keras_serializable("oaq_keras")
class QuantizeWrapper(tfmot.quantization.keras.QuantizeWrapperV2):
    """`tfmot.quantization.keras.QuantizeWrapperV2` for layers that need no autograph.

    Where nobody says whether it trains, tfmot traces a layer for both, and autograph follows every
    call of a quantizer: together most of what building and tracing a large model takes. And it
    trains the kernels of layers whose `trainable` is False: here nothing of them is trained, their
    formats neither.
    """

    def __init__(
        self, layer: Any, quantize_config: Any, shares: str | None = None, **kwargs: Any
    ) -> None:
        """Wraps a layer.

        Args:
          layer: the layer.
          quantize_config: its QuantizeConfig.
          shares: the name of the layer whose weights it trains with, or its own where others do.
          **kwargs: of a Keras layer.
        """
        super().__init__(layer, quantize_config, **kwargs)
        self.shares = shares
        self._table = current_table()

    def build(self, input_shape: Any) -> None:
        """Makes the quantizers' variables; the order of weights is that of a trainable layer."""
        trainable = bool(self.layer.trainable)
        self.trainable = True
        if not self.layer.built:
            if self.shares in self._table.shared:
                take(self.layer, self._table.shared[self.shares])
            with tf.name_scope(self.layer.name):
                self.layer.build(input_shape)
            self.layer.built = True
        super().build(input_shape)
        if self.shares is not None:
            self._table.shared.setdefault(self.shares, variables_of(self.layer))
        self.trainable = trainable

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        config = super().get_config()
        # Built by itself, before it is wrapped, it would have weights of its own.
        layer = {key: value for key, value in config["layer"].items() if key != "build_config"}
        if isinstance(layer["config"].get("activation"), dict):
            # By its name alone: HDF5 files have layers in an older form than their activations.
            named = {"activation": name_of(layer["config"]["activation"])}
            layer["config"] = {**layer["config"], **named}
        return {**config, "layer": layer, "shares": self.shares}

    @property
    def trainable_weights(self) -> list[Any]:
        """What is trained: nothing of a frozen layer."""
        found: list[Any] = super().trainable_weights
        return found if self.trainable else []

    @property
    def non_trainable_weights(self) -> list[Any]:
        """What is not trained: all that a frozen layer has."""
        others: list[Any] = super().non_trainable_weights
        if self.trainable:
            return others
        found: list[Any] = self._dedup_weights(super().trainable_weights + others)
        return found

    @tf.autograph.experimental.do_not_convert
    def call(self, inputs: Any, training: Any = None, **kwargs: Any) -> Any:
        """Calls the layer with quantized weights; arguments are the layer's."""
        return super().call(inputs, training=False if training is None else training, **kwargs)


def inner_of(layer: Any) -> Any:
    """The layer inside a wrapper; any other layer as it is."""
    of_tfmot = isinstance(layer, tfmot.quantization.keras.QuantizeWrapper)
    return layer.layer if of_tfmot else layer


def wrappers(model: Any) -> dict[str, Any]:
    """The wrapped layers of a model, by the name of the layer inside."""
    found = [layer for layer in model.layers if inner_of(layer) is not layer]
    return {inner_of(layer).name: layer for layer in found}


def wrapped(layer: Any, config: Any, shares: str | None = None) -> Any:
    """A layer in its wrapper.

    Args:
      layer: the layer.
      config: its QuantizeConfig.
      shares: as for QuantizeWrapper.
    """
    of_keras = type(layer).__module__.split(".")[0] in ("keras", "tf_keras", "oaq_keras")
    if of_keras:
        return QuantizeWrapper(layer, config, shares)
    return tfmot.quantization.keras.QuantizeWrapperV2(layer, config)
