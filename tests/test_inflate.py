# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from oaq_keras.accumulator import prove
from oaq_keras.flatbuffer import constant, quantization, read_model, write_model
from oaq_keras.inflate import inflate_layer
from oaq_keras.int8_layers import int8_layers
from oaq_keras.layouts import C4, C8, CHANNEL, NEVER_DRAINED
from tests.models import small_network, upsampling_network


@pytest.mark.parametrize("network", [small_network, upsampling_network])
@pytest.mark.parametrize("depth", [8, 16, NEVER_DRAINED])
def test_inflated_layers_fit_and_mean_nearly_the_same(
    depth: int, network: Callable[[], bytes]
) -> None:
    model = read_model(network())
    before = int8_layers(model)[0]
    for layer in before:
        layouts = (CHANNEL,) if layer.kind == "DEPTHWISE_CONV_2D" else (C8, C4)
        graph = model.subgraphs[layer.subgraph]
        old_scale = quantization(graph, layer.weights, len(layer.codes)).scale
        old_bias = constant(model, graph, layer.bias) if layer.bias >= 0 else None
        old_bias_scale = quantization(graph, layer.bias, len(layer.codes)).scale
        factor = inflate_layer(model, layer, layouts, depth)
        assert factor >= 1.0
        new = int8_layers(read_model(write_model(model)))[0][before.index(layer)]
        new_scale = quantization(graph, layer.weights, len(layer.codes)).scale
        width = new.input_range[1] - new.input_range[0]
        for layout in layouts:
            for codes in new.by_phase(new.codes):
                assert prove(codes, layout, depth, width).proven.all()
        error = new.codes * new_scale[:, None] - layer.codes * old_scale[:, None]
        # Half a step of rounding, and at most one code towards zero.
        assert (np.abs(error) <= 1.51 * new_scale[:, None]).all()
        if old_bias is not None:
            bias = (
                constant(model, graph, layer.bias)
                * quantization(graph, layer.bias, len(layer.codes)).scale
            )
            np.testing.assert_allclose(bias, old_bias * old_bias_scale, atol=new_scale.max())


def test_weights_that_two_operators_share_are_copied() -> None:
    model = read_model(small_network())
    layers, _ = int8_layers(model)
    layer = next(each for each in layers if each.kind == "CONV_2D")
    graph = model.subgraphs[0]
    other = next(op for op in graph.operators if op is not graph.operators[layer.op])
    other.inputs = [*other.inputs, layer.weights]
    before = constant(model, graph, layer.weights).copy()
    assert inflate_layer(model, layer, (C8,), NEVER_DRAINED) > 1.0
    np.testing.assert_array_equal(constant(model, graph, other.inputs[-1]), before)
    own = int(graph.operators[layer.op].inputs[1])
    assert own != layer.weights
    assert (constant(model, graph, own) != before).any()
    assert prove(
        constant(model, graph, own).reshape(len(layer.codes), -1), C8, 16, 255
    ).proven.all()
