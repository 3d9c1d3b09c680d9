# SPDX-License-Identifier: Apache-2.0
"""Chooses formats and codes of an int8 file anew, by what its layers answer on calibration data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from oaq_keras.activation_choice import Reader, choose_closed, choose_open
from oaq_keras.calibration_runs import (
    Values,
    input_values,
    real_patches,
    real_samples,
    run_operator,
)
from oaq_keras.flatbuffer import Model, read_model, write_model
from oaq_keras.format_sets import FormatSet, changeable_sets, relabel, upper_limit
from oaq_keras.formats import ActivationFormat
from oaq_keras.int8_layers import Int8Layer, int8_layers
from oaq_keras.lane_budgets import Budget
from oaq_keras.layer_weights import read_weights, write_weights
from oaq_keras.reconstruction import InputStatistics, reconstruct
from oaq_keras.refit import refit_layer

PATCHES = 16384
"""Patches of all inputs from which a layer's moments are taken."""

_PATCHES_FOR_FORMATS = 2048
_VALUES_FOR_FORMATS = 65536

# Its outputs sum other taps each, so its inputs have no patches of one kind.
_NO_PATCHES = ("TRANSPOSE_CONV",)


class BudgetsOf(Protocol):
    """Budgets of a layer; of another width than its input has, where one is given."""

    def __call__(self, layer: Int8Layer, width: int | None = None) -> tuple[Budget, ...]:
        """The layer's budgets."""


def choose_formats(
    model: Model,
    calibration: Sequence[Sequence[NDArray[Any]]],
    budgets: BudgetsOf,
) -> None:
    """Gives activations the formats with which layers lose least; weights are left as they are.

    So biases are wrong until `reconstruct_layers` has written them anew.

    Args and errors as for `reconstruct_layers`.
    """
    values = input_values(model, calibration)
    graph = model.subgraphs[0]
    layers = [layer for layer in int8_layers(model)[0] if layer.kind not in _NO_PATCHES]
    samples: dict[int, NDArray[np.float32]] = {}
    readers: dict[int, Reader] = {}
    pending = changeable_sets(model, graph)
    chosen: list[tuple[FormatSet, ActivationFormat]] = []
    for op, operator in enumerate(graph.operators):
        run_operator(model, op, values)
        for index in (int(i) for i in operator.outputs if int(i) in values):
            samples[index] = real_samples(model, index, values[index], _VALUES_FOR_FORMATS)
            for layer in layers:
                if layer.input == index:
                    readers[layer.op] = _reader(model, layer, values, budgets)
        for members in [m for m in pending if samples.keys() >= set(m.tensors)]:
            pending.remove(members)
            reading = [readers.pop(x.op) for x in layers if x.input in members.tensors]
            seen = np.concatenate([samples[index] for index in members.written])
            if members.closed:
                form = choose_closed(seen, reading, upper_limit(graph, members))
            else:
                form = choose_open(seen, reading)
            chosen.append((members, form))
    for members, form in chosen:
        relabel(graph, members.tensors, form)


def reconstruct_layers(
    model: Model,
    original: Model,
    calibration: Sequence[Sequence[NDArray[Any]]],
    budgets: BudgetsOf,
) -> None:
    """Gives layers codes within their budgets and biases that keep the mean, in execution order.

    Args:
      model: changed in place.
      original: the same as it was given, whose answers are wanted.
      calibration: inputs, each a list of arrays in the order of the model's inputs.
      budgets: those of a layer.

    Raises:
      UnsupportedError: several subgraphs, data that is not the model's, or an operator that does
        not run by itself.
    """
    wanted = input_values(original, calibration)
    given = dict(wanted)
    layers = {layer.op: layer for layer in int8_layers(model)[0]}
    for op in range(len(model.subgraphs[0].operators)):
        layer = layers.get(op)
        if layer is not None and layer.kind in _NO_PATCHES:
            refit_layer(model, original, layer, budgets(layer))
        elif layer is not None:
            _reconstruct(model, original, layer, wanted, given, budgets(layer))
        run_operator(original, op, wanted)
        run_operator(model, op, given)


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


def _reader(model: Model, layer: Int8Layer, values: Values, budgets: BudgetsOf) -> Reader:
    codes = values[layer.input]
    patches = real_patches(model, layer, codes, _PATCHES_FOR_FORMATS, spread=True)
    real = read_weights(model, layer)
    return Reader(
        np.concatenate(list(patches)),
        real.weights,
        real.scale,
        real.one_scale,
        lambda width: budgets(layer, width),
    )


def copy_of(model: Model) -> Model:
    """A model that does not change with this one."""
    return read_model(write_model(model))
