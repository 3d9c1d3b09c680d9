# SPDX-License-Identifier: Apache-2.0
"""One contract for every type of layer: from a float model to a file, and back."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")
import keras as keras3

import oaq_keras
from oaq_keras._keras import keras
from oaq_keras.activations import hard_silu
from oaq_keras.canonical import canonicalize
from oaq_keras.flatbuffer import read_model as read_file
from oaq_keras.flatbuffer import type_name
from oaq_keras.graph import Graph, build_model
from oaq_keras.keras3 import read_keras3_model
from oaq_keras.registry import NAMES
from oaq_keras.rewrite import to_custom_ops
from oaq_keras.tf_keras_models import read_model
from tests import layer_cases
from tests.layer_cases import cases, network
from tests.layer_codes import compare_layers
from tests.runs import answers_of

LEAST_EQUAL, FEW = 0.9998, 2
"""Of an operator's codes, on the same inputs; and codes that may differ where there are few."""

CASES = cases(keras, hard_silu)
OF_KERAS3 = cases(keras3)


@pytest.mark.parametrize(("name", "layer", "shape"), CASES, ids=[case[0] for case in CASES])
def test_contract(name: str, layer: Any, shape: tuple[int, ...], tmp_path: Path) -> None:
    keras.utils.set_random_seed(1)
    float_model = network(keras, layer, shape)
    draw = np.random.default_rng(0)
    x = draw.normal(size=(32, *shape)).astype(np.float32)
    y = draw.integers(0, 3, 32)

    for _ in range(8):  # until statistics are those of the inputs
        float_model(x, training=True)

    model = oaq_keras.quantize(float_model)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(1e-3), loss)
    model.fit(x, y, batch_size=16, verbose=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of operators that the converter left in float
        content = oaq_keras.convert(model, ops="builtin")

    certificate = oaq_keras.certify(content)
    assert certificate.proven
    assert not certificate.skipped
    _no_float_inside(content)
    few = x[:1] if "Transpose" in name else x
    compared = list(compare_layers(model, content, few))
    assert compared
    for each in compared:
        assert each.largest <= 1, each
        assert each.codes - each.counts[0] <= max(FEW, (1 - LEAST_EQUAL) * each.codes), each
    (from_file,) = answers_of(to_custom_ops(content), few)
    again = oaq_keras.quantize(float_model)
    model.save_weights(tmp_path / "kept.weights.h5")
    again.load_weights(tmp_path / "kept.weights.h5")
    answers, expected = (each(x, training=False).numpy() for each in (model, float_model))
    np.testing.assert_array_equal(again(x, training=False).numpy(), answers)
    assert np.abs(from_file - answers[: len(few)]).max() < 0.05 * np.abs(answers).max()
    assert np.abs(answers - expected).max() < 0.35 * np.abs(expected).max()


@pytest.mark.parametrize(("name", "layer", "shape"), OF_KERAS3, ids=[case[0] for case in OF_KERAS3])
def test_keras3_layers_are_prepared_alike(name: str, layer: Any, shape: tuple[int, ...]) -> None:
    keras3.utils.set_random_seed(1)
    float_model = network(keras3, layer, shape)
    x = np.random.default_rng(0).normal(size=(4, *shape)).astype(np.float32)
    expected = float_model(x, training=False).numpy()
    graph = read_keras3_model(float_model)
    settings = _settings(graph, canonicalize(graph, {node.name for node in graph}))
    prepared = build_model(graph)
    np.testing.assert_allclose(prepared(x, training=False), expected, rtol=1e-2, atol=3e-3)
    if name == "hard_sigmoid":  # whose slope is another in Keras 3
        return
    of_tf_keras = {case: (layer, shape) for case, layer, shape in CASES}
    other = read_model(network(keras, *of_tf_keras[name]))
    assert settings == _settings(other, canonicalize(other, {node.name for node in other}))


def _settings(graph: Graph, names: set[str]) -> list[str]:
    """Types and settings of layers, but for their names and how their weights begin."""
    found = []
    for name in names:
        layer = graph[name].layer
        config = {k: v for k, v in layer.get_config().items() if "initializer" not in k}
        found.append(f"{type(layer).__name__} {config | {'name': '', 'seed': None}}")
    return sorted(found)


def _no_float_inside(content: bytes) -> None:
    (graph,) = read_file(content).subgraphs
    floats = [t.name for t in graph.tensors if type_name(t) == "FLOAT32"]
    assert len(floats) == len(graph.inputs) + len(graph.outputs)


def test_every_layer_has_a_case() -> None:
    text = Path(layer_cases.__file__).read_text()
    missing = [name for name in NAMES if not re.search(rf"layers\.{name}\b", text)]
    assert missing == ["Activation", "InputLayer"]
