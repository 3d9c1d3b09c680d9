# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oaq_keras.certificate import METADATA
from oaq_keras.certification import attach_certificate, certify
from oaq_keras.errors import CertificateError, ModelFileError, UnsupportedError
from oaq_keras.flatbuffer import get_metadata, read_model, set_metadata, write_model
from tests.models import RELU, ModelBuilder, random_codes, small_network

NETWORK = small_network(31)
CERTIFIED = attach_certificate(NETWORK, certify(NETWORK))


def one_layer(codes: np.ndarray[Any, Any], zero_point: int = 0) -> bytes:
    """A 1x1 convolution of an input that RELU closes to [zero_point, 127]."""
    builder = ModelBuilder()
    channels = codes.shape[-1]
    shape = (1, 2, 2, channels)
    x = builder.op(
        "RELU", [builder.input(shape)], builder.tensor("x", shape, zero_point=zero_point)
    )
    y = builder.conv(x, np.zeros((channels, 1, 1, channels), np.int8), "early")
    y = builder.op("RELU", [y], builder.tensor("y", shape, zero_point=zero_point))
    return builder.build(builder.conv(y, codes, "layer"))


def test_a_hand_computed_layer() -> None:
    # Lane 0 of c8 sees codes 0, 8, 16: |100| + |-50| + |7| at T = 3 and above.
    codes = np.zeros((2, 1, 1, 24), np.int8)
    codes[0, 0, 0, [0, 8, 16]] = 100, -50, 7
    codes[1, 0, 0, [0, 1]] = -120, 60
    layer = certify(one_layer(codes), depth=16).layers[1]
    assert (layer.name, layer.kind, layer.channels, layer.products) == ("layer", "CONV_2D", 2, 24)
    assert layer.macs == 2 * 2 * 2 * 24
    assert layer.input_range == (0, 127)
    c8, c4 = layer.layouts["c8"], layer.layouts["c4"]
    assert (c8.share, c8.worst_case, c8.max_depth) == (3, 127 * 157, 3)
    # Lane 0 of c4 sees 0, 1, 4, 5, 8, 9, ...: all of them.
    assert (c4.share, c4.worst_case, c4.max_depth) == (12, 127 * 180, 12)
    assert c4.pair_worst_case == 127 * 120
    assert c8.headroom == pytest.approx(np.log2(65535 / (127 * 157)), abs=1e-4)
    assert layer.proven
    assert layer.never_drained_channels == 2
    assert layer.layouts["broadcast"].worst_case == 127 * 180


@pytest.mark.parametrize(("depth", "proven"), [(1, True), (2, True), (3, False), (16, False)])
def test_depth_decides(depth: int, proven: bool) -> None:
    # Two products of 127 and -128 fill a lane at full width; a third is one too many.
    codes = np.zeros((1, 1, 1, 24), np.int8)
    codes[0, 0, 0, [0, 8, 16]] = 127, -128, 3
    layer = certify(one_layer(codes, -128), depth=depth, target=["c8"]).layers[1]
    assert layer.input_range == (-128, 127)
    assert layer.proven is proven
    assert layer.layouts["c8"].max_depth == 2


def test_a_pair_that_saturates_refuses_c4_alone() -> None:
    codes = np.zeros((1, 1, 1, 8), np.int8)
    codes[0, 0, 0, :2] = 127, 2
    layer = certify(one_layer(codes, -128), depth=2).layers[1]
    assert layer.layouts["c8"].proven
    assert not layer.layouts["c4"].proven
    assert layer.layouts["c4"].max_depth == 0
    assert not layer.proven


def test_broadcast_is_listed_where_it_is_free() -> None:
    layers = {layer.name: layer for layer in certify(NETWORK).layers}
    assert "broadcast" in layers["mixed"].layouts  # K = 8
    assert "broadcast" not in layers["dense"].layouts  # K = 128
    assert "broadcast" not in layers["first"].layouts  # K = 27, but it has to be drained
    assert list(layers["spatial"].layouts) == ["channel"]


def test_a_depthwise_lane_sees_every_tap_of_its_channel() -> None:
    codes = np.zeros((1, 3, 3, 2), np.int8)
    codes[0, :, :, 1] = 57
    builder = ModelBuilder()
    builder.depthwise(builder.input((1, 3, 3, 2)), codes)
    data = builder.build()
    layer = certify(data, first_layer_depth=9).layers[0]
    assert (layer.channels, layer.products, layer.macs) == (2, 9, 18)
    assert layer.layouts["channel"].worst_case == 255 * 9 * 57
    assert layer.layouts["channel"].max_depth == 4
    assert layer.proven_channels == 1
    # No layout of this target is for depthwise layers: nothing is proven about it.
    layer = certify(data, target=["c8"]).layers[0]
    assert (layer.layouts, layer.proven, layer.proven_channels) == ({}, False, 0)


@pytest.mark.parametrize("between", [None, "QUANTIZE", "PAD", "RESHAPE"])
def test_first_layers_read_the_input(between: str | None) -> None:
    builder = ModelBuilder()
    x = builder.input((1, 4, 4, 8))
    if between:
        x = builder.op(between, [x], builder.tensor("same", (1, 4, 4, 8)))
    codes = random_codes(np.random.default_rng(1), 8, 1, 1, 8)
    first = builder.conv(x, codes, "a", activation=RELU)
    builder.conv(x, codes, "beside")
    data = builder.build(builder.conv(first, codes, "b"))
    layers = certify(data, depth=32, first_layer_depth=2).layers
    assert [(layer.name, layer.first, layer.depth) for layer in layers] == [
        ("a", True, 2),
        ("beside", True, 2),
        ("b", False, 32),
    ]


def test_every_subgraph_is_proven() -> None:
    model = read_model(NETWORK)
    model.subgraphs.append(read_model(small_network(3)).subgraphs[0])
    for tensor in model.subgraphs[1].tensors:
        tensor.name = b"second/" + tensor.name
    layers = certify(write_model(model)).layers
    assert [layer.subgraph for layer in layers] == [0] * 5 + [1] * 5
    assert [layer.op for layer in layers[:5]] == [layer.op for layer in layers[5:]]
    assert [layer.name for layer in layers if layer.first] == ["first", "second/first"]


def test_layers_of_other_types_are_skipped_with_a_reason() -> None:
    builder = ModelBuilder()
    x = builder.input((1, 4, 4, 8))
    codes = np.ones((8, 1, 1, 8), np.int8)
    for name in ("int8", "uint8", "zero point", "not constant"):
        builder.conv(x, codes, name)
    tensors = {t.name: t for t in builder.graph.tensors}
    tensors["uint8"].type = 3
    tensors["zero point/weights"].quantization.zeroPoint[:] = 1
    tensors["not constant/weights"].buffer = 0
    certificate = certify(builder.build())
    assert [layer.name for layer in certificate.layers] == ["int8"]
    assert [(layer.name, layer.reason) for layer in certificate.skipped] == [
        ("uint8", "output 'uint8' is UINT8"),
        ("zero point", "weights 'zero point/weights' have a zero point other than 0"),
        ("not constant", "weights 'not constant/weights' are not constant"),
    ]
    assert "not int8: uint8" in str(certificate)


def test_models_without_int8_layers_say_what_to_do() -> None:
    builder = ModelBuilder()
    x = builder.input((1, 4, 4, 8))
    builder.conv(x, np.ones((8, 1, 1, 8), np.int8))
    for tensor in builder.graph.tensors:
        tensor.type = 0
    with pytest.raises(UnsupportedError, match=r"no int8 layers.*FLOAT32.*post_training_quantize"):
        certify(builder.build())
    builder = ModelBuilder()
    builder.add(builder.input((1, 2)), builder.input((1, 2)))
    with pytest.raises(UnsupportedError, match="no convolution"):
        certify(builder.build())


def test_a_stored_certificate_gives_the_defaults() -> None:
    wanted = certify(NETWORK, depth=8, first_layer_depth=2, accumulator_bits=15, target=("c8",))
    data = attach_certificate(NETWORK, replace(wanted, policy="paper"))
    assert certify(data) == replace(wanted, policy="paper")
    assert certify(data, depth=32) == certify(
        NETWORK, depth=32, first_layer_depth=2, accumulator_bits=15, target=("c8",)
    )


def edits() -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every recomputed field of a certificate, each with another value of its type."""

    def walk(value: Any, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Any]]:
        if isinstance(value, dict):
            for key, item in value.items():
                yield from walk(item, (*path, key))
        elif isinstance(value, list):
            for i, item in enumerate(value):
                yield from walk(item, (*path, i))
        elif isinstance(value, bool):
            yield path, not value
        elif isinstance(value, int | float):
            yield path, value + 1
            yield path, value + 1000
        else:
            yield path, value + "x"

    document = json.loads(certify(NETWORK).to_json())
    yield from walk(document["layers"][3], ("layers", 3))
    yield ("layers",), document["layers"][:-1]
    yield ("layers",), document["layers"] + document["layers"][:1]
    yield ("layers",), document["layers"][::-1]
    yield ("skipped",), [{"subgraph": 0, "op": 9, "name": "n", "reason": "r"}]
    yield ("layers", 2, "layouts"), {"c8": document["layers"][2]["layouts"]["c8"]}
    yield ("depth",), 8
    yield ("first_layer_depth",), 1
    yield ("accumulator_bits",), 17
    yield ("target",), ["c8", "channel"]


@pytest.mark.parametrize(("path", "value"), list(edits()), ids=lambda value: str(value)[:40])
def test_an_edited_certificate_is_refused(path: tuple[Any, ...], value: Any) -> None:
    assert certify(CERTIFIED) == certify(NETWORK)
    document = json.loads(certify(NETWORK).to_json())
    target = document
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = value
    model = read_model(CERTIFIED)
    set_metadata(model, METADATA, json.dumps(document).encode())
    with pytest.raises(CertificateError, match="the certificate"):
        certify(write_model(model))


def test_a_refusal_names_the_layer_the_field_and_both_values() -> None:
    model = read_model(CERTIFIED)
    text = get_metadata(model, METADATA)
    assert text is not None
    document = json.loads(text)
    real = document["layers"][3]["layouts"]["c4"]["worst_case"]
    document["layers"][3]["layouts"]["c4"]["worst_case"] = 5
    set_metadata(model, METADATA, json.dumps(document).encode())
    with pytest.raises(CertificateError) as caught:
        certify(write_model(model))
    assert "layer 'wide': the certificate says c4 worst_case 5" in str(caught.value)
    assert f"the codes say {real}" in str(caught.value)
    assert caught.value.layers == ("wide",)


def test_edited_codes_are_refused() -> None:
    model = read_model(CERTIFIED)
    graph = model.subgraphs[0]
    weights = next(t for t in graph.tensors if t.name == b"mixed/weights")
    codes = np.array(model.buffers[weights.buffer].data)
    codes[:] = 120
    model.buffers[weights.buffer].data = codes
    with pytest.raises(CertificateError, match="'mixed'"):
        certify(write_model(model))


@pytest.mark.parametrize(
    "settings",
    [
        {"depth": 0},
        {"first_layer_depth": -1},
        {"target": ()},
        {"target": "c8"},
        {"target": ["x"]},
        {"accumulator_bits": 1},
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        certify(NETWORK, **settings)


def test_a_missing_file() -> None:
    with pytest.raises(ModelFileError, match=r"'none.tflite' cannot be read"):
        certify("none.tflite")


REAL = {
    "mlperftiny_resnet8_cifar10_int8.tflite": (10, 12501632),
    "mlperftiny_vww96_int8.tflite": (28, 7489664),
    "tf2_mobilenet_v2_1.0_224_ptq.tflite": (53, 300775552),
}


@pytest.mark.parametrize("name", REAL)
def test_files_that_were_never_trained_for_it(name: str, shared_data: Path) -> None:
    path = shared_data / "models" / name
    certificate = certify(path)
    summary = certificate.summary()
    assert (summary.layers, summary.macs) == REAL[name]
    assert not certificate.proven
    assert certificate.layers[0].first
    assert [layer.first for layer in certificate.layers].count(True) == 1
    # Two int8 products always fit, and T = 2 to 3 is all that training for accuracy leaves.
    for layer in certificate.layers:
        for key, layout in layer.layouts.items():
            assert layout.max_depth >= 2 or layout.share == 1 or key == "c4"
    data = attach_certificate(path, certificate)
    assert certify(data) == certificate


@pytest.mark.parametrize(
    "name", ["mobilenet_v1_0.25_128_quant.tflite", "deeplabv3_mnv2_dm05_pascal_quant.tflite"]
)
def test_uint8_files_say_what_to_do(name: str, shared_data: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"UINT8.*int8"):
        certify(shared_data / "models" / name)
