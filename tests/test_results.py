# SPDX-License-Identifier: Apache-2.0
"""The scripts that fill the tables of docs/: rows are kept, and compared seed by seed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from results import cifar10, methods, post_training, readme, recertify, rows, tasks


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


@pytest.mark.parametrize("run", tasks.RUNS, ids=lambda run: run.name)
def test_tasks_are_told_where_all_is(run: tasks.Run, tmp_path: Path) -> None:
    _, script, *told = tasks.command(run, tmp_path, quick=False)
    assert Path(script).is_file()
    folders = {tasks.command(run, tmp_path, False, seed)[-1] for seed in (1, 2)}
    assert folders == {str(tasks.FOLDER / run.name), str(tasks.FOLDER / f"{run.name}-seed2")}
    # Only --pictures and --masks have braces left, for the script.
    assert {word for word in told if "{" in word} <= {"{split}", "{split}annot"}
    *_, folder, last = tasks.command(run, tmp_path, quick=True)
    assert (folder, last) == (str(tasks.FOLDER / run.name), "--quick")


def test_tasks_have_names_of_their_own() -> None:
    names = [run.name for run in tasks.RUNS]
    assert len(set(names)) == len(names)


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


def test_tables_go_between_their_lines(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- a -->\nold\n<!-- end a -->\nafter\n")
    rows.write_table(str(page), "a", "new")
    assert page.read_text() == "before\n<!-- a -->\n\nnew\n\n<!-- end a -->\nafter\n"
    rows.write_table(str(page), "a", "newer")
    assert "newer" in page.read_text()
    with pytest.raises(ValueError, match="no lines '<!-- b -->'"):
        rows.write_table(str(page), "b", "new")


@pytest.mark.parametrize(
    ("page", "name"),
    [
        *((page, "cifar10") for page in cifar10.PAGES),
        *((page, "recertify") for page in recertify.PAGES),
        (post_training.PAGE, "imagenet"),
        ("docs/results.md", "step"),
        (methods.PAGE, "methods"),
        *((readme.PAGE, name) for name in readme.TABLES),
    ],
)
def test_pages_have_room_for_the_tables(page: str, name: str, tmp_path: Path) -> None:
    copy = tmp_path / "page.md"
    copy.write_text((Path(__file__).parents[1] / page).read_text())
    rows.write_table(str(copy), name, "figures")
    assert "\nfigures\n" in copy.read_text()


def test_methods_have_settings_of_their_own_and_share_those_of_cifar10() -> None:
    labels = [method.label for method, _ in methods.ROWS]
    assert len(set(labels)) == len(labels)
    shared = [method for method, make in methods.ROWS if make is None]
    assert shared
    assert all(method in (cifar10.FLOAT, *cifar10.METHODS) for method in shared)
