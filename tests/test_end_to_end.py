# SPDX-License-Identifier: Apache-2.0
"""The README's path: quantize, fit, convert, certify, run; the file is what is judged."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")
import keras as keras3
from ai_edge_litert.interpreter import Interpreter, OpResolverType

import oaq_keras
from oaq_keras import library
from oaq_keras._keras import keras
from tests.keras_models import images, mixed_network, sequential_network

try:
    library.load()
except oaq_keras.LibraryError as error:
    pytest.skip(str(error), allow_module_level=True)

REFERENCE = {
    "experimental_op_resolver_type": OpResolverType.BUILTIN_REF,
    "experimental_preserve_all_tensors": True,
}
CASES = {
    "tf_keras": (keras, mixed_network),
    "keras3": (keras3, mixed_network),
    "sequential": (keras3, sequential_network),
}


@pytest.fixture(scope="module", params=CASES)
def trained(request: pytest.FixtureRequest) -> Any:
    which, network = CASES[request.param]
    keras.utils.set_random_seed(7)
    which.utils.set_random_seed(7)
    model = oaq_keras.quantize(network(which))
    logits = network is sequential_network
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=logits))
    model.fit(images(64), np.arange(64) % 5, epochs=2, batch_size=8, verbose=0)
    return model


def _run(interpreter: Any, x: np.ndarray) -> np.ndarray:
    details = interpreter.get_input_details()[0]
    interpreter.resize_tensor_input(details["index"], x.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(details["index"], x)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


@pytest.mark.parametrize("plan", ["auto", "int16", "exact"])
def test_custom_file_builtin_file_and_reference_agree_to_the_bit(trained: Any, plan: str) -> None:
    builtin = oaq_keras.convert(trained, ops="builtin")
    custom = oaq_keras.convert(trained)
    for batch, scale in ((1, 1.0), (5, 1.0), (2, 50.0)):
        x = scale * images(batch, seed=batch)
        reference = Interpreter(model_content=builtin, **REFERENCE)
        expected = _run(reference, x)
        ours = oaq_keras.Interpreter(model_content=custom, plan=plan, **REFERENCE)
        np.testing.assert_array_equal(_run(ours, x), expected)
        claimed = oaq_keras.Interpreter(model_content=builtin, plan=plan, builtin=True, **REFERENCE)
        np.testing.assert_array_equal(_run(claimed, x), expected)
        for detail in reference.get_tensor_details():
            if detail["name"] and detail["dtype"] == np.int8:
                index = detail["index"]
                tensor = reference.get_tensor(index)
                np.testing.assert_array_equal(ours.get_tensor(index), tensor, detail["name"])
                np.testing.assert_array_equal(claimed.get_tensor(index), tensor, detail["name"])


def test_every_layer_runs_in_int16_at_the_depth_certified(trained: Any) -> None:
    content = oaq_keras.convert(trained)
    certificate = oaq_keras.certify(content)
    interpreter = oaq_keras.Interpreter(model_content=content, plan="int16")
    interpreter.allocate_tensors()
    layers = {layer.op: layer for layer in certificate.layers}
    planned = [entry for entry in interpreter.plan() if entry.op in layers]
    assert len(planned) == len(layers)
    for entry in planned:
        layer = layers[entry.op]
        if entry.kind == "OaqConv2D" or entry.runs != "stock":
            assert entry.runs == "int16", entry
            assert entry.tiles_int16 == entry.tiles
            assert entry.never_drained or entry.depth >= layer.depth, entry
            assert tuple(entry.range) == tuple(layer.input_range)


def test_stock_litert_names_the_operator_it_misses(trained: Any) -> None:
    with pytest.raises((RuntimeError, ValueError), match="Oaq"):
        Interpreter(model_content=oaq_keras.convert(trained)).allocate_tensors()
