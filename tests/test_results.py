# SPDX-License-Identifier: Apache-2.0
"""The scripts that fill the tables of docs/: rows are kept, and compared seed by seed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from results import cifar10, rows


def test_a_row_is_made_once(tmp_path: Path) -> None:
    made = []

    def make() -> dict[str, Any]:
        made.append(1)
        return {"top1": 0.5}

    settings = {"name": "net", "seed": 1}
    first = rows.kept_row(settings, make, tmp_path)
    assert first == {"name": "net", "seed": 1, "top1": 0.5}
    assert rows.kept_row(settings, make, tmp_path) == first
    assert rows.kept_row({**settings, "seed": 2}, make, tmp_path)["seed"] == 2
    assert len(made) == 2


def test_a_row_that_failed_is_not_kept(tmp_path: Path) -> None:
    def fail() -> dict[str, Any]:
        raise RuntimeError("no data")

    settings = {"name": "net", "seed": 1}
    with pytest.raises(RuntimeError, match="no data"):
        rows.kept_row(settings, fail, tmp_path)
    assert rows.find_row(settings, tmp_path) is None


def _row(right: list[bool]) -> dict[str, Any]:
    return {"right": np.packbits(np.array(right)).tobytes().hex()}


def test_loss_is_paired_by_image() -> None:
    stock = [_row([True, True, True, True, False, False, False, False])] * 2
    ours = [_row([True, True, True, False, False, False, False, False])] * 2
    loss, low, high = cifar10.difference(stock, ours)
    assert loss == 12.5
    assert low <= loss <= high
    assert cifar10.difference(stock, stock) == (0.0, 0.0, 0.0)


def test_every_row_has_settings_of_its_own() -> None:
    paths = [rows.row_path(settings) for settings, _ in cifar10.wanted()]
    assert len(set(paths)) == len(paths) > 20
    seeds = [settings["seed"] for settings, _ in cifar10.wanted("resnet8")]
    assert set(seeds) == {1, 2, 3, 4, 5}
