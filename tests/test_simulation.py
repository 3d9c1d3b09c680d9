# SPDX-License-Identifier: Apache-2.0
"""Simulation = kernel: Keras computes in training what the file computes, code by code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from ai_edge_litert import interpreter as litert

import oaq_keras
from oaq_keras import library
from oaq_keras._keras import keras
from oaq_keras.flatbuffer import is_int8, kind, read_model
from tests.keras_models import images, mixed_network, sequential_network
from tests.layer_codes import REFERENCE, compare_layers, count

KINDS = {
    *("CONV_2D", "DEPTHWISE_CONV_2D", "ADD", "CONCATENATION"),
    *("MAX_POOL_2D", "AVERAGE_POOL_2D", "MEAN", "SOFTMAX"),
}
MOVING = {"PAD", "QUANTIZE", "RESHAPE"}
LEAST_EQUAL = 0.9998
"""Of a layer's codes, on the same inputs; 99.9997 % of ResNet8's were."""

LEAST_AGREEMENT = 0.995
"""Of top-1 answers end to end; 99.9 % of ResNet8's, a tie between two classes the other one."""

FEW = 2
"""Codes that may differ in layers that write only hundreds of them."""


def other_network(keras: Any) -> Any:
    """Kinds of layers that the mixed network lacks."""
    layers = keras.layers
    inputs = keras.Input((12, 12, 3))
    x = layers.Conv2D(8, 3, dilation_rate=2, padding="same")(inputs)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    x = layers.DepthwiseConv2D(3, strides=2, depth_multiplier=2, padding="same")(x)
    x = layers.Add()([layers.Conv2D(16, 1)(x), x, layers.Conv2D(16, 3, padding="same")(x)])
    x = layers.Dense(8, activation="relu")(x)
    x = layers.GlobalMaxPooling2D()(layers.SpatialDropout2D(0.1)(x))
    x = layers.Reshape((2, 4))(x)
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)), name="other")


def quantized(network: Any, epochs: int = 0, **options: Any) -> Any:
    """Trained for some epochs, or not at all."""
    keras.utils.set_random_seed(3)
    if epochs:
        model = oaq_keras.quantize(network, **options)
        model.compile(keras.optimizers.Adam(1e-2), "sparse_categorical_crossentropy")
        model.fit(images(64), np.arange(64) % 5, batch_size=8, epochs=epochs, verbose=0)
        return model
    return oaq_keras.post_training_quantize(network, [images(64)], **options)


@pytest.fixture(scope="module", params=["reference", "ours"])
def kernels(request: pytest.FixtureRequest) -> str | None:
    if request.param == "reference":
        return None
    try:
        return library.load().path
    except oaq_keras.LibraryError as error:
        pytest.skip(str(error))


CASES = [
    (mixed_network, {}),
    (mixed_network, {"width": 203, "depth": 4}),
    (mixed_network, {"policy": "paper", "epochs": 3}),
    (mixed_network, {"epochs": 3}),
    (sequential_network, {"width": 203, "depth": 4}),
    (other_network, {}),
    (other_network, {"width": 203, "depth": 4}),
]


@pytest.fixture(scope="module", params=CASES, ids=lambda case: f"{case[0].__name__}-{case[1]}")
def case(request: pytest.FixtureRequest) -> tuple[Any, Any, bytes]:
    """What makes a network, the network quantized, and its file."""
    make, options = request.param
    keras.utils.set_random_seed(3)
    model = quantized(make(keras), **options)
    return make, model, oaq_keras.convert(model, ops="builtin")


def test_layers_compute_what_keras_simulates(
    case: tuple[Any, Any, bytes], kernels: str | None
) -> None:
    make, model, content = case
    compared = list(compare_layers(model, content, images(64, seed=5), kernels))
    print(*compared, sep="\n")
    assert sum(each.kind not in MOVING for each in compared) == _computing_operators(content)
    if make is mixed_network:
        assert {each.kind for each in compared} >= KINDS
    for each in compared:
        assert each.largest <= 1, each
        assert each.codes - each.counts[0] <= max(FEW, (1 - LEAST_EQUAL) * each.codes), each


def _computing_operators(content: bytes) -> int:
    """Operators that write int8, but for those that only move or convert codes."""
    parsed = read_model(content)
    graph = parsed.subgraphs[0]
    return sum(
        is_int8(graph.tensors[int(operator.outputs[0])]) and kind(parsed, operator) not in MOVING
        for operator in graph.operators
    )


def answers_of(content: bytes, x: np.ndarray) -> np.ndarray:
    interpreter = litert.Interpreter(model_content=content, experimental_op_resolver_type=REFERENCE)
    interpreter.resize_tensor_input(interpreter.get_input_details()[0]["index"], x.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def test_files_agree_with_keras_end_to_end(shared_data: Path, tmp_path: Path) -> None:
    model = keras.models.load_model(
        shared_data / "models" / "mlperftiny_resnet8_cifar10.h5", compile=False
    )
    images_file = tmp_path / "cifar10.npz"
    loader = shared_data / "load_cifar10.py"
    subprocess.run([sys.executable, loader, images_file], check=True, cwd=shared_data)
    with np.load(images_file, allow_pickle=False) as archive:
        x = archive["x_test"][:1000].astype(np.float32)
    trained = oaq_keras.post_training_quantize(model, [x[:100]])
    content = oaq_keras.convert(trained, ops="builtin")
    expected = trained.predict(x, batch_size=100, verbose=0)
    answers = answers_of(content, x)
    print("probabilities in 1/256:", count(np.rint(answers * 256), np.rint(expected * 256)))
    for each in compare_layers(trained, content, x[:50]):
        print(each)
        assert each.codes - each.counts[0] <= max(FEW, (1 - LEAST_EQUAL) * each.codes), each
        assert each.largest <= 1, each
    agreement = np.mean(answers.argmax(-1) == expected.argmax(-1))
    print(f"top-1 agreement: {agreement:.2%}")
    assert agreement >= LEAST_AGREEMENT
