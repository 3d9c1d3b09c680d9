# SPDX-License-Identifier: Apache-2.0
"""What a quantized model holds: its weight quantizers and its activation formats."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oaq_keras._keras import tf
from oaq_keras.configs import OverflowAwareQuantizeConfig, QuantizeInput
from oaq_keras.quantizers import ActivationQuantizer, FormatTable, WeightQuantizer

_LEAST = 2.0**-16
"""Of a load: that of a layer whose weights are all 0 counts as this."""


def weight_quantizers(model: Any) -> dict[str, WeightQuantizer]:
    """Weight quantizers of a model from `quantize`, by the float layer's name, in order."""
    found = {}
    for layer in getattr(model, "layers", []):
        config = getattr(layer, "quantize_config", None)
        if isinstance(config, OverflowAwareQuantizeConfig) and config.weight_quantizer:
            found[layer.layer.name] = config.weight_quantizer
    return found


def figures(model: Any) -> Any:
    """Figures of a model by its weights and formats, for graphs and eagerly.

    Returns:
      float32 [4]: `proven_share`, `least_headroom`, `inflation_bits` and `mean_width`.
    """
    quantizers = weight_quantizers(model).values()
    shares = tf.constant([quantizer.mac_share for quantizer in quantizers], tf.float32)
    loads = [quantizer.code_load() for quantizer in quantizers]
    proven = [tf.reduce_mean(tf.cast(load <= 1.0, tf.float32)) for load in loads]
    bits = [tf.reduce_mean(_log2(quantizer.inflation())) for quantizer in quantizers]
    codes = [_log2(each.table.width(each.input_format) + 1.0) for each in quantizers]
    largest = tf.reduce_max([tf.reduce_max(load) for load in loads])

    def mean(values: list[Any]) -> Any:
        total = tf.reduce_sum(shares * tf.stack(values))
        return tf.math.divide_no_nan(total, tf.reduce_sum(shares))

    least = 0.0 - _log2(tf.maximum(largest, _LEAST))
    return tf.stack([mean(proven), least, mean(bits), mean(codes)])


def _log2(x: Any) -> Any:
    return tf.math.log(x) / math.log(2.0)


def inflation_bits(model: Any) -> float:
    """Bits of weight resolution given up so that sums fit: log2 alpha, weighted by MACs.

    0 where every layer's plain int8 codes fit already; what overflow regularization shrinks.
    """
    return float(figures(model)[2])


def mean_width(model: Any) -> float:
    """Bits of the activations that are read, log2 of hi - lo + 1, weighted by MACs."""
    return float(figures(model)[3])


def proven_share(model: Any) -> float:
    """Share of the MACs, 0 to 1, in channels whose codes of this moment fit at their depth."""
    return float(figures(model)[0])


def least_headroom(model: Any) -> float:
    """The least of `headroom`, in bits."""
    return float(figures(model)[1])


def headroom(model: Any) -> dict[str, float]:
    """Bits by which each layer's worst case is below what its accumulator holds, by its name."""
    quantizers = weight_quantizers(model)
    return {name: headroom_of(each.code_load().numpy()) for name, each in quantizers.items()}


def headroom_of(load: NDArray[np.float32]) -> float:
    """Bits between the largest load of some channels and what the accumulator holds."""
    return 0.0 - math.log2(max(float(np.max(load)), _LEAST))


def format_tables(model: Any) -> list[FormatTable]:
    """The activation formats of a model: one table where `quantize` made it."""
    tables: list[FormatTable] = []
    for layer in getattr(model, "layers", []):
        quantizer = _activation_quantizer(layer)
        if quantizer is not None and quantizer.table not in tables:
            tables.append(quantizer.table)
    return tables


def _activation_quantizer(layer: Any) -> ActivationQuantizer | None:
    if isinstance(layer, QuantizeInput):
        return layer.quantizer
    config = getattr(layer, "quantize_config", None)
    return config.output_quantizer if isinstance(config, OverflowAwareQuantizeConfig) else None
