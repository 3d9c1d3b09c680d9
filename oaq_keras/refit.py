# SPDX-License-Identifier: Apache-2.0
"""Gives a layer of a file codes that fit, where no data tells what it reads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from oaq_keras.bounded_rounding import round_bounded
from oaq_keras.flatbuffer import Model
from oaq_keras.int8_layers import Int8Layer
from oaq_keras.lane_budgets import Budget
from oaq_keras.layer_weights import read_weights, write_weights
from oaq_keras.ranges import FULL

# Squares of inputs' means as shares of their variances.
_MEAN_OF_CLOSED = 0.5
_MEAN_OF_SIGNED = 0.05


def refit_layer(model: Model, original: Model, layer: Int8Layer, budgets: Sequence[Budget]) -> None:
    """Chooses codes by the moments that inputs as a rule have.

    Args:
      model: changed in place; the layer's input may have another format than in `original`.
      original: where the weights are read.
      layer: of both.
      budgets: the layer's.

    Raises:
      UnsupportedError: as for `write_weights`.
    """
    real = read_weights(original, layer)
    found = round_bounded(
        real.weights, real.scale, _usual_moments(layer), budgets, one_scale=real.one_scale
    )
    write_weights(model, layer, found.codes, found.scale, real.bias)


def _usual_moments(layer: Int8Layer) -> NDArray[np.float64]:
    """Inputs have a mean, above all those that are never negative.

    It keeps sums of codes as they were: no data tells by how much a bias is off.
    """
    products = layer.codes.shape[1]
    mean = _MEAN_OF_SIGNED if layer.input_range == FULL else _MEAN_OF_CLOSED
    return np.eye(products) + mean * np.ones((products, products))
