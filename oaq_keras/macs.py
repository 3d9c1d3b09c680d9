# SPDX-License-Identifier: Apache-2.0
"""Multiply-accumulates of layers."""

import math
from typing import Any

from oaq_keras._keras import keras


def count_macs(layer: Any) -> int:
    """Multiply-accumulates of one inference with batch 1; 0 where the output shape is open.

    Args:
      layer: a built Conv2D, DepthwiseConv2D or Dense layer of a functional model.
    """
    transposed = isinstance(layer, keras.layers.Conv2DTranspose)
    shape = (layer.input_shape if transposed else layer.output_shape)[1:]
    if any(size is None for size in shape):
        return 0
    positions = math.prod(shape[:-1])
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        return int(positions * math.prod(layer.depthwise_kernel.shape))
    return int(positions * math.prod(layer.kernel.shape))
