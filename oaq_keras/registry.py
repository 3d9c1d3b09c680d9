# SPDX-License-Identifier: Apache-2.0
"""Which layers can be quantized, and what each does to formats."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from oaq_keras._keras import keras, tfmot
from oaq_keras.activations import HARD_SILU, name_of
from oaq_keras.channel_affine import ChannelAffine
from oaq_keras.configs import OverflowAwareQuantizeConfig
from oaq_keras.custom_objects import SAME, marked
from oaq_keras.errors import UnsupportedError
from oaq_keras.images import AsImages, FromImages
from oaq_keras.lowering_rules import RULES as LOWERED
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
      limits: of a "fixed" output, the least and the largest real value.
    """

    output: str
    kernel: str | None = None
    kind: str | None = None
    layouts: tuple[str, ...] = ()
    limits: tuple[float, float] | None = None


_GEMM = ("c8", "c4")
_PROBABILITIES = (0.0, 255 / 256)

RULES: dict[Any, LayerRule] = {
    layers.InputLayer: LayerRule("new"),
    layers.Conv2D: LayerRule("new", "kernel", "conv", _GEMM),
    layers.DepthwiseConv2D: LayerRule("new", "depthwise_kernel", "depthwise", ("channel",)),
    layers.Dense: LayerRule("new", "kernel", "dense", _GEMM),
    layers.BatchNormalization: LayerRule("new"),
    layers.Conv2DTranspose: LayerRule("new", "kernel", "transpose", _GEMM),
    layers.ReLU: LayerRule("new"),
    layers.LeakyReLU: LayerRule("new"),
    layers.PReLU: LayerRule("new"),
    layers.Add: LayerRule("new"),
    layers.Subtract: LayerRule("new"),
    layers.Multiply: LayerRule("new"),
    layers.GlobalAveragePooling2D: LayerRule("new"),
    layers.Concatenate: LayerRule("unite"),
    layers.Maximum: LayerRule("unite"),
    layers.Minimum: LayerRule("unite"),
    layers.AveragePooling2D: LayerRule("average"),
    layers.Softmax: LayerRule("fixed", limits=_PROBABILITIES),
}
_MOVING = (
    *(
        layers.MaxPooling2D,
        layers.GlobalMaxPooling2D,
        layers.ZeroPadding2D,
        layers.Cropping2D,
        layers.UpSampling2D,
    ),
    *(layers.Flatten, layers.Reshape, layers.Permute, AsImages, FromImages),
    *(layers.Dropout, layers.SpatialDropout1D, layers.SpatialDropout2D),
    *(layers.GaussianNoise, layers.GaussianDropout, layers.AlphaDropout),
)
RULES.update(dict.fromkeys(_MOVING, LayerRule("same")))

ACTIVATIONS = {
    "softmax": LayerRule("fixed", limits=_PROBABILITIES),
    "sigmoid": LayerRule("fixed", limits=_PROBABILITIES),
    "tanh": LayerRule("fixed", limits=(-1.0, 127 / 128)),
    "gelu": LayerRule("new"),
    HARD_SILU: LayerRule("new"),
}
"""What Activation layers do to formats, by the name of the activation."""

_OURS = {**TFLITE_LAYERS, layers.BatchNormalization: FreezableBatchNormalization}
RULES.update({ours: RULES[theirs] for theirs, ours in _OURS.items()})
RULES[ChannelAffine] = RULES[layers.DepthwiseConv2D]
_HIDDEN = (*_OURS.values(), ChannelAffine, AsImages, FromImages)
NAMES = sorted({kind.__name__ for kind in (*RULES, *LOWERED) if kind not in _HIDDEN})
"""Names of the layers that can be quantized."""


_ACTIVATION_NAMES = (
    *("relu", "relu6", "leaky_relu", "sigmoid", "hard_sigmoid", "tanh", "swish", "hard_silu"),
    *("gelu", "softmax", "linear"),
)


_TO_STRIP = {
    "PruneLowMagnitude": "sparsity.keras.strip_pruning",
    "ClusterWeights": "clustering.keras.strip_clustering",
}
"""tfmot's wrappers that train weights to be zero or equal, and what takes them off."""


def unsupported(name: str, kind: str) -> UnsupportedError:
    """The error for a layer without a rule."""
    if kind in _TO_STRIP:
        return UnsupportedError(
            f"Layer {name!r} is still being made smaller ({kind}). Finish that with "
            f"tfmot.{_TO_STRIP[kind]}(model), then call quantize(model, preserve=...)."
        )
    return UnsupportedError(
        f"Layer {name!r} is a {kind}, which cannot be quantized. Say what it computes by "
        f"quantize(custom_objects={{'{kind}': function}}), the function returning a tf_keras model "
        f"for the layer, or 'float' in its place to leave it in float; or build that part of the "
        f"layers that docs/models.md lists: {', '.join(NAMES)}, and some that stay in float."
    )


def rule_of(layer: Any) -> LayerRule:
    """The rule for a layer.

    Raises:
      UnsupportedError: there is none; the message names the layer and what to do.
    """
    if marked(layer) == SAME:
        return LayerRule("same")
    rule = RULES.get(type(layer))
    if isinstance(layer, layers.ReLU) and not is_relu(layer):
        raise UnsupportedError(
            f"Layer {layer.name!r} is a ReLU with a threshold, with max_value 0, or with both "
            "negative_slope and max_value, which TFLite has not in int8. Use ReLU(max_value) or "
            "LeakyReLU."
        )
    if rule is None and type(layer) is layers.Activation:
        name = name_of(layer.get_config()["activation"])
        if name in ACTIVATIONS:
            return ACTIVATIONS[name]
        raise UnsupportedError(
            f"Layer {layer.name!r} has the activation {name!r}; {', '.join(_ACTIVATION_NAMES)} can "
            "be quantized. Use one of them, or leave that part of the model out of quantize() and "
            "run it on the .tflite file's output."
        )
    if rule is None:
        raise unsupported(layer.name, type(layer).__name__)
    check_settings(layer)
    if type(layer) is layers.UpSampling2D:
        return _upsampling(layer)
    return rule


def _upsampling(layer: Any) -> LayerRule:
    interpolation = layer.get_config()["interpolation"]
    if interpolation not in ("nearest", "bilinear"):
        raise UnsupportedError(
            f"Layer {layer.name!r} interpolates by {interpolation!r}, which int8 TFLite has not. "
            "Use 'nearest' or 'bilinear'."
        )
    return LayerRule("same" if interpolation == "nearest" else "average")


def check_settings(layer: Any) -> None:
    """Refuses settings that Keras takes and that cannot be quantized or exported.

    Raises:
      UnsupportedError: the message names the layer, the setting and what to do.
    """
    config = layer.get_config()
    if config.get("data_format") == "channels_first":
        raise UnsupportedError(
            f"Layer {layer.name!r} has data_format 'channels_first'; TFLite computes channels "
            "last. Build the model with data_format='channels_last'."
        )
    policy = config.get("dtype", "float32")
    policy = policy["config"]["name"] if isinstance(policy, dict) else policy
    if policy != "float32" and not isinstance(layer, layers.InputLayer):
        raise UnsupportedError(
            f"Layer {layer.name!r} has the dtype policy {policy!r}; formats are trained in "
            "float32. Build the model under the policy 'float32'."
        )
    dilation = config.get("dilation_rate", 1)
    if isinstance(layer, layers.Conv2DTranspose) and set(np.ravel(dilation)) != {1}:
        raise UnsupportedError(
            f"Layer {layer.name!r} is a Conv2DTranspose with dilation_rate {tuple(dilation)}, "
            "which TFLite has not. Use UpSampling2D and a dilated Conv2D."
        )
    for key in _CONSTRAINTS:
        if config.get(key) and type(layer) in LOWERED and not _is_by_value(config[key]):
            raise UnsupportedError(
                f"Layer {layer.name!r} has a {key} of whole filters, which its int8 counterpart "
                "has in another shape. Leave it out, or use NonNeg or a regularizer."
            )
    if config.get("activity_regularizer") is not None:
        raise UnsupportedError(
            f"Layer {layer.name!r} has an activity_regularizer, which does not work inside tfmot's "
            "wrapper. Leave it out, or add its loss to the model with add_loss()."
        )


_CONSTRAINTS = ("kernel_constraint", "depthwise_constraint", "pointwise_constraint")


def _is_by_value(constraint: Any) -> bool:
    name = constraint.get("class_name") if isinstance(constraint, dict) else constraint
    return str(name).rpartition(">")[2].lower() in ("nonneg", "non_neg")


def is_relu(layer: Any) -> bool:
    """Whether a layer is max(x, 0), or that with a largest value, which its codes can have."""
    if not isinstance(layer, layers.ReLU):
        return False
    config = layer.get_config()
    return not config["negative_slope"] and not config["threshold"] and config["max_value"] != 0


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
