# SPDX-License-Identifier: Apache-2.0
"""What a quantized model holds: its weight quantizers and its activation formats."""

from typing import Any

from oaq_keras.configs import OverflowAwareQuantizeConfig, QuantizeInput
from oaq_keras.quantizers import FormatTable, WeightQuantizer


def weight_quantizers(model: Any) -> list[WeightQuantizer]:
    """Weight quantizers of a model from `quantize`, in the order of its layers."""
    return [
        config.weight_quantizer
        for layer in getattr(model, "layers", [])
        if isinstance(config := getattr(layer, "quantize_config", None), OverflowAwareQuantizeConfig)
        and config.weight_quantizer
    ]


def format_tables(model: Any) -> list[FormatTable]:
    """The activation formats of a model: one table where `quantize` made it."""
    tables: list[FormatTable] = []
    for layer in getattr(model, "layers", []):
        config = getattr(layer, "quantize_config", None)
        quantizer = None
        if isinstance(config, OverflowAwareQuantizeConfig):
            quantizer = config.output_quantizer
        elif isinstance(layer, QuantizeInput):
            quantizer = layer.quantizer
        if quantizer is not None and quantizer.table not in tables:
            tables.append(quantizer.table)
    return tables
