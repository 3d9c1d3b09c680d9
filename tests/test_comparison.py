# SPDX-License-Identifier: Apache-2.0
"""`compare`: by how much the bound loosens, on files whose figures are worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import oaq_keras
from oaq_keras import cli
from oaq_keras.layouts import NEVER_DRAINED
from tests.models import ModelBuilder

PRODUCTS = 256


def _file(codes: np.ndarray) -> bytes:
    builder = ModelBuilder()
    source = builder.input((1, codes.shape[1]))
    builder.fully_connected(source, codes, name="dense")
    return builder.build()


def _dense(*codes: int) -> np.ndarray:
    """Channels of 256 products that repeat some codes."""
    return np.tile(np.array([codes], np.int8), PRODUCTS // len(codes))


def test_figures_by_hand() -> None:
    # The only layer reads the input, so that blocks are of 4 products.
    before, after = _file(_dense(64)), _file(_dense(64, *[0] * (PRODUCTS - 1)))
    found = oaq_keras.compare(before, after)
    (layer,) = found.layers
    assert layer.before.sum_bits == pytest.approx(np.log2(4 * 127))
    assert layer.before.bits_given_up == pytest.approx(np.log2(127 / 64))
    assert (layer.before.zeros, layer.after.zeros) == (0.0, 1 - 1 / PRODUCTS)
    assert layer.before.width == layer.after.width == 255
    assert layer.after.sum_bits == pytest.approx(np.log2(127))
    assert found.loosened == pytest.approx(2.0)
    assert found.regained == 0.0


@pytest.mark.parametrize(
    ("codes", "bits", "depth"),
    [
        ((127,), np.log2(4 * 127), 0),  # 2 * 127 * 255 saturates a pair
        ((60,), np.log2(4 * 127), 4),
        ((1,), np.log2(4 * 127), NEVER_DRAINED),
        ((0,), 0.0, NEVER_DRAINED),
    ],
)
def test_one_file(codes: tuple[int, ...], bits: float, depth: int) -> None:
    content = _file(_dense(*codes))
    (layer,) = oaq_keras.compare(content, content).layers
    assert layer.before == layer.after
    assert layer.after.sum_bits == pytest.approx(bits)
    assert layer.after.max_depth == depth


def test_other_networks_are_refused() -> None:
    one, other = _file(_dense(1)), _file(np.ones((2, PRODUCTS), np.int8))
    with pytest.raises(oaq_keras.UnsupportedError, match="channels 1 in the first file, and 2"):
        oaq_keras.compare(one, other)


def test_on_the_command_line(tmp_path: Path, capsys: Any) -> None:
    paths = [str(tmp_path / name) for name in ("before.tflite", "after.tflite")]
    for path, codes in zip(paths, (_dense(64), _dense(64, *[0] * 15)), strict=True):
        Path(path).write_bytes(_file(codes))
    assert cli.main(["compare", *paths]) == cli.OK
    text = capsys.readouterr().out
    assert "0% -> 94%" in text
    assert "the bound is 1.00 bits looser, weights give up 0.00 bits fewer" in text
    assert cli.main(["compare", *paths, "--json"]) == cli.OK
    found = json.loads(capsys.readouterr().out)
    assert found["layers"][0]["after"]["zeros"] == 15 / 16
    assert cli.main(["compare", paths[0], str(tmp_path / "none.tflite")]) == cli.FAULT
