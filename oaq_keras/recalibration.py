# SPDX-License-Identifier: Apache-2.0
"""Chooses the codes of an int8 file anew, by what its layers answer on calibration data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from numpy.typing import NDArray

from oaq_keras.calibration_runs import (
    Values,
    input_values,
    real_patches,
    run_operator,
)
from oaq_keras.flatbuffer import Model, read_model, write_model
from oaq_keras.int8_layers import Int8Layer, int8_layers
from oaq_keras.lane_budgets import Budget
from oaq_keras.layer_weights import read_weights, write_weights
from oaq_keras.reconstruction import InputStatistics, reconstruct
from oaq_keras.refit import refit_layer

PATCHES = 16384
"""Patches of all inputs from which a layer's moments are taken."""

# Its outputs sum other taps each, so its inputs have no patches of one kind.
_NO_PATCHES = ("TRANSPOSE_CONV",)


def reconstruct_layers(
    model: Model,
    original: Model,
    calibration: Iterable[Sequence[NDArray[Any]]],
    budgets: Callable[[Int8Layer], tuple[Budget, ...]],
) -> None:
    """Gives layers codes within their budgets and biases that keep the mean, in execution order.

    Args:
      model: changed in place.
      original: the same as it was given, whose answers are wanted.
      calibration: inputs, each a list of arrays in the order of the model's inputs.
      budgets: those of a layer.

    Raises:
      ModelFileError: an operator that reads what none before it writes.
      UnsupportedError: several subgraphs, data that is not the model's, or an operator that does
        not run by itself.
    """
    wanted = input_values(original, calibration)
    count = len(next(iter(wanted.values()), []))
    given = dict(wanted)
    layers = {layer.op: layer for layer in int8_layers(model)[0]}
    for op in range(len(model.subgraphs[0].operators)):
        layer = layers.get(op)
        # Of what no operator wrote there are no values: a constant, or the file is damaged.
        if layer is not None and (layer.kind in _NO_PATCHES or layer.input not in given):
            refit_layer(model, original, layer, budgets(layer))
        elif layer is not None:
            _reconstruct(model, original, layer, wanted, given, budgets(layer))
        run_operator(original, op, wanted, count)
        run_operator(model, op, given, count)


def _reconstruct(
    model: Model,
    original: Model,
    layer: Int8Layer,
    wanted: Values,
    given: Values,
    budgets: tuple[Budget, ...],
) -> None:
    statistics = InputStatistics()
    for pair in zip(
        real_patches(original, layer, wanted[layer.input], PATCHES),
        real_patches(model, layer, given[layer.input], PATCHES),
        strict=True,
    ):
        statistics.add(*pair)
    real = read_weights(original, layer)
    found = reconstruct(real.weights, real.scale, statistics, budgets, one_scale=real.one_scale)
    codes, scale = found.rounded.codes, found.rounded.scale
    write_weights(model, layer, codes, scale, real.bias + found.shift)


def copy_of(model: Model) -> Model:
    """A model that does not change with this one."""
    return read_model(write_model(model))
