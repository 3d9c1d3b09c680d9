# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from oaq_keras import flatbuffer, verification
from oaq_keras.certificate import METADATA
from oaq_keras.certification import attach_certificate, certify
from oaq_keras.errors import LibraryError, ModelFileError, UnsupportedError
from oaq_keras.plan import ISAS
from oaq_keras.rewrite import to_custom_ops
from oaq_keras.verification import Bound, bounds, verify
from tests.models import small_network, upsampling_network

NETWORKS = {
    f"{make.__name__}, {largest}, seed {seed}": make(largest, seed)
    for make in (small_network, upsampling_network)
    for largest in (15, 60, 127)
    for seed in (1, 2)
}


@pytest.fixture(params=NETWORKS)
def certified(request: pytest.FixtureRequest) -> bytes:
    model = NETWORKS[request.param]
    return attach_certificate(model, certify(model))


def test_shares_no_code_with_what_it_checks() -> None:
    source = Path(verification.__file__).read_text()
    imported = {
        node.module
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("oaq_keras")
    }
    assert imported == {"oaq_keras.errors"}


def test_agrees_with_certify(certified: bytes) -> None:
    assert verify(certified) == []
    assert verify(to_custom_ops(certified)) == []
    found = bounds(certified)
    for layer, claim in zip(found, certify(certified).layers, strict=True):
        assert (layer.low, layer.high) == claim.input_range
        for depth in (2, 6, 16, 1000):
            other = certify(certified, depth=depth, first_layer_depth=depth)
            match = next(entry for entry in other.layers if entry.op == layer.op)
            for layout in layer.layouts:
                assert layer.worst_case(layout, depth) == match.layouts[layout].worst_case


@pytest.mark.parametrize("isa", ISAS)
def test_agrees_with_the_plan(certified: bytes, isa: str) -> None:
    from oaq_keras.runtime import Interpreter

    try:
        interpreter = Interpreter(model_content=to_custom_ops(certified), plan="int16", isa=isa)
    except (LibraryError, UnsupportedError) as error:
        pytest.skip(str(error))
    interpreter.allocate_tensors()
    plan = [vars(entry) for entry in interpreter.plan()]
    assert isa != "scalar" or sum(entry["runs"] == "int16" for entry in plan) >= 4
    assert verify(certified, {isa: plan}) == []
    if all(entry["runs"] != "int16" for entry in plan):
        return
    for field in ("drains", "depth", "tiles", "tiles_int16"):
        edited = [
            {**entry, field: entry[field] + 1} if entry["runs"] == "int16" else entry
            for entry in plan
        ]
        assert verify(certified, {isa: edited})


@pytest.mark.parametrize("field", ["worst_case", "pair_worst_case", "input_range", "layers"])
def test_an_edited_certificate_is_found(field: str) -> None:
    model = flatbuffer.read_model(small_network(15))
    claims: Any = json.loads(certify(small_network(15)).to_json())
    if field == "layers":
        claims["layers"].pop()
    elif field == "input_range":
        claims["layers"][1][field] = [-128, 127]
    else:
        layouts = claims["layers"][0]["layouts"]
        layouts["c4" if "c4" in layouts else "channel"][field] += 1
    flatbuffer.set_metadata(model, METADATA, json.dumps(claims).encode())
    assert verify(flatbuffer.write_model(model))


def test_a_bound_by_hand() -> None:
    layer = Bound(0, 0, "x", "CONV_2D", 0, 100, [[[1, -2, 3, -4, 5, 6, 7, 8, 9, -10]]])
    # c8: lanes {1, 9}, {-2, -10}, ...; c4: lanes {1, -2, 5, 6, 9, -10}, {3, -4, 7, 8}.
    assert layer.worst_case("c8", 16) == 1200
    assert layer.worst_case("c8", 1) == 1000
    assert layer.worst_case("c4", 16) == 3300
    assert layer.worst_case("c4", 4) == 2200
    assert layer.worst_pair() == 1500


@pytest.mark.parametrize(
    "content", [b"", b"TFL3", bytes(100), b"\x08\x00\x00\x00TFL3" + b"\xff" * 64]
)
def test_no_model_is_an_error(content: bytes) -> None:
    with pytest.raises(ModelFileError, match="not a TFLite model"):
        verify(content)
