# SPDX-License-Identifier: Apache-2.0
"""Which layers can be quantized, and what each does to formats."""

from dataclasses import dataclass
from typing import Any

from oaq_keras._keras import keras, tfmot
from oaq_keras.configs import OverflowAwareQuantizeConfig
from oaq_keras.errors import UnsupportedError
from oaq_keras.normalization import FreezableBatchNormalization
from oaq_keras.quantizers import ActivationQuantizer, WeightQuantizer
from oaq_keras.tflite_layers import TFLITE_LAYERS

layers = keras.layers


@dataclass(frozen=True)
class LayerRule:
    """How layers of a type behave.

    Attributes:
      output: "new" (a format of its own), "same" (codes pass through, the format is the input's),
        "average" (as "same", but codes are averaged and rounded anew), "unite" (all inputs and
        the output share a format) or "fixed" (TFLite prescribes it).
      kernel: attribute that holds the weights, if any.
      kind: the WeightQuantizer's kind.
      layouts: lane layouts that kernels use for it.
    """

    output: str
    kernel: str | None = None
    kind: str | None = None
    layouts: tuple[str, ...] = ()


_GEMM = ("c8", "c4")

RULES: dict[Any, LayerRule] = {
    layers.InputLayer: LayerRule("new"),
    layers.Conv2D: LayerRule("new", "kernel", "conv", _GEMM),
    layers.DepthwiseConv2D: LayerRule("new", "depthwise_kernel", "depthwise", ("channel",)),
    layers.Dense: LayerRule("new", "kernel", "dense", _GEMM),
    layers.BatchNormalization: LayerRule("new"),
    layers.ReLU: LayerRule("new"),
    layers.Add: LayerRule("new"),
    layers.GlobalAveragePooling2D: LayerRule("new"),
    layers.GlobalMaxPooling2D: LayerRule("new"),
    layers.Concatenate: LayerRule("unite"),
    layers.MaxPooling2D: LayerRule("same"),
    layers.AveragePooling2D: LayerRule("average"),
    layers.ZeroPadding2D: LayerRule("same"),
    layers.Flatten: LayerRule("same"),
    layers.Reshape: LayerRule("same"),
    layers.Dropout: LayerRule("same"),
    layers.SpatialDropout2D: LayerRule("same"),
    layers.Softmax: LayerRule("fixed"),
}

_OURS = {**TFLITE_LAYERS, layers.BatchNormalization: FreezableBatchNormalization}
RULES.update({ours: RULES[theirs] for theirs, ours in _OURS.items()})
NAMES = sorted(kind.__name__ for kind in RULES if kind not in _OURS.values())
"""Names of the layers that have a rule, beside Activation."""


def unsupported(name: str, kind: str) -> UnsupportedError:
    """The error for a layer without a rule."""
    return UnsupportedError(
        f"Layer {name!r} is a {kind}, which cannot be quantized. Supported: {', '.join(NAMES)}, "
        "and Activation with relu, relu6 or softmax."
    )


def rule_of(layer: Any) -> LayerRule:
    """The rule for a layer.

    Raises:
      UnsupportedError: there is none; the message names the layer and what to do.
    """
    rule = RULES.get(type(layer))
    if type(layer) is layers.ReLU and not is_relu(layer):
        raise UnsupportedError(
            f"Layer {layer.name!r} is a ReLU with negative_slope, threshold or a max_value other "
            "than 6, which TFLite cannot fuse. Use ReLU() or ReLU(6.0)."
        )
    if rule is None and type(layer) is layers.Activation:
        name = layer.get_config()["activation"]
        if name == "softmax":
            return LayerRule("fixed")
        raise UnsupportedError(
            f"Layer {layer.name!r} has the activation {name!r}; relu, relu6 and softmax can be "
            "quantized. Use one of them, or leave that part of the model out of quantize() and "
            "run it on the .tflite file's output."
        )
    if rule is None:
        raise unsupported(layer.name, type(layer).__name__)
    _check_settings(layer)
    return rule


def _check_settings(layer: Any) -> None:
    """Refuses settings that Keras takes and that cannot be quantized or exported."""
    config = layer.get_config()
    if config.get("data_format") == "channels_first":
        raise UnsupportedError(
            f"Layer {layer.name!r} has data_format 'channels_first'; TFLite computes channels "
            "last. Build the model with data_format='channels_last'."
        )
    policy = config.get("dtype", "float32")
    policy = policy["config"]["name"] if isinstance(policy, dict) else policy
    if rule_has_weights(layer) and policy != "float32":
        raise UnsupportedError(
            f"Layer {layer.name!r} has the dtype policy {policy!r}; formats are trained in "
            "float32. Build the model under the policy 'float32'."
        )
    if config.get("activity_regularizer") is not None:
        raise UnsupportedError(
            f"Layer {layer.name!r} has an activity_regularizer, which does not work inside tfmot's "
            "wrapper. Leave it out, or add its loss to the model with add_loss()."
        )


def rule_has_weights(layer: Any) -> bool:
    """Whether a layer sums products or normalizes."""
    return bool(RULES[type(layer)].kernel) or isinstance(layer, layers.BatchNormalization)


def is_relu(layer: Any) -> bool:
    """Whether a layer is a ReLU that TFLite can fuse: max(x, 0), or ReLU6."""
    if type(layer) is not layers.ReLU:
        return False
    config = layer.get_config()
    return (
        not config["negative_slope"]
        and not config["threshold"]
        and config["max_value"] in (None, 6.0)
    )


class OverflowAwareQuantizeRegistry(tfmot.quantization.keras.QuantizeRegistry):
    """Default QuantizeConfigs for layers looked at one by one.

    A layer seen alone does not tell the format of its input, so its weights are bounded for all
    256 codes. OverflowAwareQuantizeScheme and `quantize` look at the whole model and do better.
    """

    def __init__(self, depth: int = 16, accumulator_bits: int = 16) -> None:
        """Makes a registry whose weights fit `depth` products in `accumulator_bits` bits."""
        self.depth = depth
        self.accumulator_bits = accumulator_bits

    def supports(self, layer: Any) -> bool:
        """Whether a config for this layer exists."""
        try:
            rule_of(layer)
        except UnsupportedError:
            return False
        return True

    def get_quantize_config(self, layer: Any) -> OverflowAwareQuantizeConfig:
        """The config of a layer.

        Raises:
          UnsupportedError: no rule for this layer.
        """
        rule = rule_of(layer)
        weights = None
        if rule.kernel:
            weights = WeightQuantizer(
                kind=rule.kind or "conv",
                depth=self.depth,
                accumulator_bits=self.accumulator_bits,
                layouts=rule.layouts,
            )
        output = None
        if rule.output == "new":
            closed = is_relu(layer) or layer.get_config().get("activation") == "relu"
            output = ActivationQuantizer("closed" if closed else "open")
        return OverflowAwareQuantizeConfig(rule.kernel, weights, output)
