# SPDX-License-Identifier: Apache-2.0
"""Trainable formats as tfmot quantizers: learnt activation formats, bounded weights."""

from oaq_keras.activation_quantizer import DEFAULT_WIDTH, ActivationQuantizer
from oaq_keras.format_table import CALIBRATION_STEPS, FormatTable, format_table
from oaq_keras.weight_quantizer import WeightQuantizer

__all__ = [
    "CALIBRATION_STEPS",
    "DEFAULT_WIDTH",
    "ActivationQuantizer",
    "FormatTable",
    "WeightQuantizer",
    "format_table",
]
