# SPDX-License-Identifier: Apache-2.0
"""Edited certificates and custom options: each refused, or run with right answers all the same."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import interpreter as litert
from flatbuffers import flexbuffers

from oaq_keras import library
from oaq_keras.certificate import METADATA
from oaq_keras.certification import attach_certificate, certify
from oaq_keras.errors import CertificateError, LibraryError, OaqError
from oaq_keras.flatbuffer import get_metadata, kind, read_model, set_metadata, write_model
from oaq_keras.rewrite import to_builtin_ops, to_custom_ops
from oaq_keras.runtime import Interpreter
from tests.models import enlarging_network, small_network, upsampling_network

FILES = {
    make.__name__: (attach_certificate(make(15), certify(make(15))), edits)
    for make, edits in ((small_network, 500), (upsampling_network, 250), (enlarging_network, 100))
}
REFERENCE = {"experimental_op_resolver_type": litert.OpResolverType.BUILTIN_REF}


def numbers(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where a JSON object holds values that can be edited."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from numbers(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from numbers(item, (*path, index))
    else:
        yield path


def edited(value: Any, rng: random.Random) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + rng.choice([-1000, -1, 1, 1000])
    if isinstance(value, float):
        return value + rng.choice([-0.5, -0.001, 0.001, 0.5])
    return value + "x"


@pytest.mark.parametrize("name", FILES)
def test_every_edited_certificate_is_refused_or_recomputed(name: str) -> None:
    file, edits = FILES[name]
    text = get_metadata(read_model(file), METADATA)
    assert text is not None
    places = list(numbers(json.loads(text)))
    rng = random.Random(1)
    refused = 0
    for _ in range(edits):
        claims = json.loads(text)
        *path, last = rng.choice(places)
        target = claims
        for key in path:
            target = target[key]
        target[last] = edited(target[last], rng)
        model = read_model(file)
        set_metadata(model, METADATA, json.dumps(claims).encode())
        content = write_model(model)
        try:
            found = certify(content)
        except CertificateError:
            refused += 1
            continue
        # What an honest file may ask for as well: its codes were proven at those settings.
        assert found.layers == certify(file, **settings(claims)).layers
        assert path == []
    assert refused > edits * 0.9


def settings(claims: dict[str, Any]) -> dict[str, Any]:
    return {key: claims[key] for key in ("depth", "first_layer_depth", "accumulator_bits")}


@pytest.mark.parametrize("name", FILES)
def test_edited_custom_options_are_refused_or_run_right(name: str) -> None:
    file, edits = FILES[name]
    custom = to_custom_ops(file)
    try:
        library.load()
    except LibraryError as error:
        pytest.skip(str(error))
    rng = random.Random(2)
    image = None
    outcomes = {"refused": 0, "ran": 0}
    for _ in range(edits):
        model = read_model(custom)
        operators = [
            operator
            for operator in model.subgraphs[0].operators
            if kind(model, operator).startswith("Oaq")
        ]
        operator = rng.choice(operators)
        options = bytes(operator.customOptions)
        operator.customOptions = np.frombuffer(edit_options(options, rng), np.uint8)
        content = write_model(model)
        try:
            ours = Interpreter(model_content=content, plan="int16", **REFERENCE)
            ours.allocate_tensors()
        except (OaqError, RuntimeError, ValueError):
            outcomes["refused"] += 1
            continue
        detail = ours.get_input_details()[0]
        if image is None:
            image = np.random.default_rng(3).integers(-128, 128, detail["shape"], np.int8)
        ours.set_tensor(detail["index"], image)
        ours.invoke()
        outcomes["ran"] += 1
        answer = ours.get_tensor(ours.get_output_details()[0]["index"])
        try:
            expected = reference(content, image)
        except OaqError:
            continue  # tighter output limits, which no builtin operator can express
        except RuntimeError as error:
            # An output of TRANSPOSE_CONV that is not of the size its window would give.
            if "computed_input" not in str(error):
                raise
            continue
        np.testing.assert_array_equal(answer, expected)
    assert min(outcomes.values()) > edits // 10


def edit_options(options: bytes, rng: random.Random) -> bytes:
    choice = rng.randrange(3)
    if choice == 0:
        return options[: rng.randrange(len(options))]
    if choice == 1:
        position = rng.randrange(len(options))
        flipped = options[position] ^ (1 << rng.randrange(8))
        return options[:position] + bytes([flipped]) + options[position + 1 :]
    values = flexbuffers.Loads(options)
    key = rng.choice([*values, "input_lo", "input_hi"])
    values[key] += rng.choice([-100, -1, 1, 100])
    return bytes(flexbuffers.Dumps(values))


def reference(content: bytes, image: np.ndarray) -> np.ndarray:
    """What the reference kernels make of the options, whatever they claim about ranges."""
    model = read_model(content)
    for operator in model.subgraphs[0].operators:
        if kind(model, operator).startswith("Oaq"):
            values = flexbuffers.Loads(bytes(operator.customOptions))
            values["input_lo"], values["input_hi"] = -128, 127
            values["builtin_version"] = 3 if "keep_num_dims" not in values else 4
            dumped = bytes(flexbuffers.Dumps(values))
            operator.customOptions = np.frombuffer(dumped, np.uint8)
    model.metadata = []
    interpreter = litert.Interpreter(model_content=to_builtin_ops(write_model(model)), **REFERENCE)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
