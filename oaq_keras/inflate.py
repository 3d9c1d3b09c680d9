# SPDX-License-Identifier: Apache-2.0
"""Makes int8 layers of a file fit their accumulators by coarser weight scales."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from oaq_keras.accumulator import PAIR_LIMIT_POSITIVE, LayoutProof, limit, prove
from oaq_keras.flatbuffer import Model, constant, quantization
from oaq_keras.int8_layers import Int8Layer
from oaq_keras.layer_weights import set_data, with_own_tensors
from oaq_keras.layouts import Layout

_MARGIN = 1.0005
_PASSES = 20


def inflate_layer(
    model: Model,
    layer: Int8Layer,
    layouts: Sequence[Layout],
    depth: int,
    accumulator_bits: int = 16,
) -> float:
    """Inflates the weight scales of one layer until every block of `depth` products is safe.

    Scales grow by the factor by which a channel exceeds the bound, codes and bias shrink by it; a
    layer with one scale for all channels grows by its worst channel's. What rounding leaves over
    the bound after that is moved towards zero, one code at a time.

    Args:
      model: changed in place.
      layer: one of `int8_layers(model)`; its `codes` are those before the change.
      layouts: lane layouts to fit.
      depth: accumulation depth T.
      accumulator_bits: bits of a lane.

    Returns:
      The largest factor used; 1.0 where the layer fitted already.
    """
    graph = model.subgraphs[layer.subgraph]
    width = layer.input_range[1] - layer.input_range[0]

    def load(codes: NDArray[np.int64]) -> NDArray[np.float64]:
        split = layer.by_phase(codes)
        loads = [_load(phase, layouts, depth, width, accumulator_bits) for phase in split]
        return np.asarray(np.max(loads, axis=0))

    original = layer.codes.astype(np.int64)
    per_channel = quantization(graph, layer.weights, len(original)).scale.size > 1
    factors = np.ones(len(original))
    codes = original
    for _ in range(_PASSES):
        excess = load(codes)
        if not per_channel:
            excess = np.full_like(excess, excess.max())
        if (excess <= 1.0).all():
            break
        factors = np.where(excess > 1.0, factors * excess * _MARGIN, factors)
        codes = np.rint(original / factors[:, None]).astype(np.int64)
    while (excess := load(codes)).max() > 1.0:
        worst = int(excess.argmax())
        codes[worst] -= np.sign(codes[worst])
    if (codes != original).any():
        _write(model, with_own_tensors(model, layer), codes, factors)
    return float(factors.max())


def _load(
    codes: NDArray[np.int64],
    layouts: Sequence[Layout],
    depth: int,
    width: int,
    accumulator_bits: int,
) -> NDArray[np.float64]:
    """Rho of each channel: its worst case as a share of what is safe."""
    loads = []
    for layout in layouts:
        proof: LayoutProof = prove(codes, layout, depth, width, accumulator_bits)
        loads.append(proof.worst_case / limit(accumulator_bits))
        if proof.pair_worst_case is not None:
            loads.append(proof.pair_worst_case / PAIR_LIMIT_POSITIVE)
    largest: NDArray[np.float64] = np.max(loads, axis=0)
    return largest


def _write(
    model: Model, layer: Int8Layer, codes: NDArray[np.int64], factors: NDArray[np.float64]
) -> None:
    graph = model.subgraphs[layer.subgraph]
    weights = graph.tensors[layer.weights]
    scale = np.asarray(weights.quantization.scale, np.float64)
    factor = factors if scale.size > 1 else factors[:1]
    weights.quantization.scale = (scale * factor).astype(np.float32)
    stored = codes.astype(np.int8)
    if layer.kind == "DEPTHWISE_CONV_2D":
        stored = np.moveaxis(stored, 0, 1)
    set_data(model, weights, stored)
    if layer.bias >= 0:
        bias = graph.tensors[layer.bias]
        given = constant(model, graph, layer.bias).astype(np.float64)
        set_data(model, bias, np.rint(given / factors).astype(np.int32))
        bias_scale = np.asarray(bias.quantization.scale, np.float64)
        bias.quantization.scale = (bias_scale * factor).astype(np.float32)
