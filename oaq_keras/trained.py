# SPDX-License-Identifier: Apache-2.0
"""What a quantized model holds: its weight quantizers and its activation formats."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

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


def inflation_bits(model: Any) -> float:
    """Bits of weight resolution given up so that sums fit: log2 alpha, weighted by MACs.

    0 where every layer's plain int8 codes fit already; what overflow regularization shrinks.
    """
    return _mean_over_macs(model, lambda each: float(np.mean(np.log2(each.inflation().numpy()))))


def mean_width(model: Any) -> float:
    """Bits of the activations that are read, log2 of hi - lo + 1, weighted by MACs."""
    return _mean_over_macs(
        model, lambda each: math.log2(float(each.table.width(each.input_format)) + 1)
    )


def proven_share(model: Any) -> float:
    """Share of the MACs, 0 to 1, in channels whose codes of this moment fit at their depth."""
    return _mean_over_macs(model, lambda each: float(np.mean(each.code_load().numpy() <= 1.0)))


def headroom(model: Any) -> dict[str, float]:
    """Bits by which each layer's worst case is below what its accumulator holds, by its name."""
    loads = {name: each.code_load().numpy() for name, each in weight_quantizers(model).items()}
    return {name: 0.0 - math.log2(max(float(np.max(load)), _LEAST)) for name, load in loads.items()}


def least_headroom(model: Any) -> float:
    """The least of `headroom`, in bits."""
    return min(headroom(model).values())


def _mean_over_macs(model: Any, figure: Callable[[WeightQuantizer], float]) -> float:
    quantizers = weight_quantizers(model).values()
    total = sum(quantizer.mac_share for quantizer in quantizers)
    if not total:
        return 0.0
    return sum(quantizer.mac_share * figure(quantizer) for quantizer in quantizers) / total


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
