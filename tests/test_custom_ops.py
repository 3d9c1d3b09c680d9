# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from flatbuffers import flexbuffers

from oaq_keras.custom_ops import BUILTIN_TO_CUSTOM, LayerOptions, decode_options, encode_options
from oaq_keras.errors import ModelFileError

OPTIONS = LayerOptions(
    builtin_version=3,
    activation=1,
    input_lo=-75,
    input_hi=127,
    output_lo=0,
    output_hi=126,
)
GRAPH = SimpleNamespace(tensors=[SimpleNamespace(name=b"out")])


def decode(options: Any, kind: str = "CONV_2D") -> LayerOptions:
    data = None if options is None else np.frombuffer(bytes(options), np.uint8)
    return decode_options(GRAPH, SimpleNamespace(customOptions=data, outputs=[0]), kind)


def values(kind: str = "CONV_2D") -> dict[str, Any]:
    return dict(flexbuffers.Loads(bytes(encode_options(kind, OPTIONS))))


@pytest.mark.parametrize("kind", BUILTIN_TO_CUSTOM)
def test_round_trip(kind: str) -> None:
    assert decode(encode_options(kind, OPTIONS), kind) == OPTIONS


@pytest.mark.parametrize("kind", BUILTIN_TO_CUSTOM)
def test_every_key_is_required_and_no_other_allowed(kind: str) -> None:
    for key in values(kind):
        fields = values(kind)
        del fields[key]
        with pytest.raises(ModelFileError, match="'out'"):
            decode(flexbuffers.Dumps(fields), kind)
        fields["other"] = 1
        with pytest.raises(ModelFileError, match=f"lack '{key}'"):
            decode(flexbuffers.Dumps(fields), kind)
    with pytest.raises(ModelFileError, match="'out'"):
        decode(flexbuffers.Dumps({**values(kind), "other": 1}), kind)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("version", 2, "'version' is 2, expected 1 to 1"),
        ("activation", 4, "'activation'"),
        ("padding", -1, "'padding'"),
        ("stride_h", 0, "'stride_h' is 0"),
        ("dilation_w", 2**40, "'dilation_w'"),
        ("input_lo", -129, "'input_lo'"),
        ("output_hi", 128, "'output_hi'"),
        ("input_lo", "x", "not an integer"),
        ("input_lo", 1.0, "not an integer"),
        ("input_lo", [1], "not an integer"),
        ("input_hi", -100, "input_lo -75 > input_hi -100"),
        ("output_hi", -1, "output_lo 0 > output_hi -1"),
    ],
)
def test_wrong_values_are_named(key: str, value: Any, message: str) -> None:
    with pytest.raises(ModelFileError, match=message):
        decode(flexbuffers.Dumps({**values(), key: value}))


@pytest.mark.parametrize("data", [None, b"", b"\0", b"\x01\x24\x01", b"text", bytes(64)])
def test_what_is_no_map_is_refused(data: bytes | None) -> None:
    with pytest.raises(ModelFileError, match="custom options"):
        decode(data)


def test_flipped_bytes_raise_our_error_only() -> None:
    rng = np.random.default_rng(1)
    data = bytes(encode_options("CONV_2D", OPTIONS))
    for _ in range(500):
        broken = bytearray(data)
        broken[rng.integers(len(data))] = rng.integers(256)
        with suppress(ModelFileError):
            decode(broken)
