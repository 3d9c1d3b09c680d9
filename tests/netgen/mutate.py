# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: T201, a command
"""Breaks the kernels on purpose, one line at a time, and counts the networks until a run notices.

python -m tests.netgen.mutate writes build/mutations.json, from which `figures` makes a table.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oaq_keras import library
from tests.netgen.compare import Comparer
from tests.netgen.draw import draw
from tests.netgen.isolated import CrashedError, call

SOURCES = Path(__file__).resolve().parents[2] / "tflite_kernels"
_SECONDS = 600.0


@dataclass(frozen=True)
class Mutation:
    """A wrong line: `old` in `path` becomes `new`."""

    what: str
    path: str
    old: str
    new: str


MUTATIONS = (
    Mutation(
        "the zero point is folded with the wrong sign",
        "core/pack.c",
        "(uint32_t)value - (uint32_t)offset",
        "(uint32_t)value + (uint32_t)offset",
    ),
    Mutation(
        "lanes are believed to hold 17 bits",
        "core/bound.c",
        "kLaneSpan = 65535",
        "kLaneSpan = 131071",
    ),
    Mutation(
        "lanes are believed to hold 1 % more",
        "core/bound.c",
        "kLaneSpan = 65535",
        "kLaneSpan = 66190",
    ),
    Mutation(
        "padding is not part of a layer's input range",
        "tflite/op.c",
        "return options->kind != OAQ_FULLY_CONNECTED && options->padding == OAQ_PADDING_SAME;",
        "return options->kind == OAQ_FULLY_CONNECTED && options->padding == OAQ_PADDING_SAME;",
    ),
    Mutation(
        "PAD does not widen the range",
        "tflite/ranges.c",
        "unite(passed_range(graph, node, 0, output), (OaqRange){zero, zero});",
        "unite(passed_range(graph, node, 0, output), (OaqRange){127 + 0 * zero, -128});",
    ),
    Mutation(
        "MAXIMUM and MINIMUM are mixed up",
        "tflite/ranges.c",
        "node->builtin_code == kBuiltinMaximum)",
        "node->builtin_code != kBuiltinMaximum)",
    ),
    Mutation(
        "CONCATENATION has the range of its first input",
        "tflite/ranges.c",
        "range = unite(range, passed_range(graph, node, i, output));",
        "range = unite(range, range);",
    ),
    Mutation(
        "the range of RELU is that of RELU6",
        "tflite/ranges.c",
        "return activate(oaq_unknown_range, OAQ_ACTIVATION_RELU, output);",
        "return activate(oaq_unknown_range, OAQ_ACTIVATION_RELU6, output);",
    ),
    Mutation(
        "halves are rounded towards zero",
        "core/requantize.c",
        "(mask >> 1) + (value < 0 ? 1 : 0)",
        "(mask >> 1) + (value < 0 ? 0 : 1)",
    ),
    Mutation(
        "FULLY_CONNECTED multiplies its scales in float",
        "tflite/tensors.c",
        "(double)tensors->input->params.scale * weight_scale /",
        "(double)(tensors->input->params.scale * (float)weight_scale) /",
    ),
    Mutation(
        "odd padding goes to the other side",
        "core/window.c",
        "total > 0 ? total / 2 : 0",
        "total > 0 ? (total + 1) / 2 : 0",
    ),
    Mutation(
        "dilation is ignored across the width",
        "core/conv_2d.c",
        "++fx, x += params->width.dilation, out += channels)",
        "++fx, ++x, out += channels)",
    ),
    Mutation(
        "dilation is ignored across the width of a depthwise filter",
        "core/depthwise_conv_2d.c",
        "const size_t step = (size_t)op->params.width.dilation * channels->form->pixel;",
        "const size_t step = channels->form->pixel;",
    ),
    Mutation(
        "start values are not taken off the bias of the last channel",
        "core/pack.c",
        "*folded = (int32_t)((uint32_t)*folded - (uint32_t)(uint64_t)value);",
        "if (l / layout->lanes != 3) *folded = (int32_t)((uint32_t)*folded - (uint32_t)value);",
    ),
    Mutation(
        "the step that begins a block is not counted in it",
        "core/bound.c",
        "memcpy(l1, sums, sizeof(l1));",
        "memset(l1, 0, sizeof(l1));",
    ),
    Mutation(
        "QUANTIZE forgets the zero point of its input",
        "core/code_table.c",
        "input->is_signed) - input->zero_point;",
        "input->is_signed) - 0 * input->zero_point;",
    ),
    Mutation(
        "QUANTIZE leaves the range as it was",
        "tflite/ranges.c",
        "const OaqRange range = oaq_code_table_range(&table, given);",
        "const OaqRange range = given;",
    ),
    # The rest is for kernels that add products in pairs, of codes from the lowest one up.
    Mutation(
        "pairs are never checked",
        "core/pack.c",
        "oaq_pairs_are_safe(codes, layout, packed->steps, width);",
        "oaq_pairs_are_safe(codes, layout, packed->steps, 0 * width);",
    ),
    Mutation(
        "pairs of negative products are not checked",
        "core/bound.c",
        "width * smallest >= INT16_MIN",
        "smallest <= 0",
    ),
    Mutation(
        "the shift of the codes is not folded into the bias",
        "core/pack.c",
        "(zero_point - packed->shift)",
        "(zero_point - 0 * packed->shift)",
    ),
    Mutation(
        "tiles of wide weights hold the first product of a pair twice",
        "core/pack.c",
        "*out++ = from[1];",
        "*out++ = from[0];",
    ),
)


def networks_until_found(report: Callable[[Any], None], path: str, networks: int) -> None:
    """Report how many networks it takes to see that a library is wrong; None if none shows it."""
    comparer = Comparer(library.load(path))
    for seed in range(networks):
        difference = comparer.compare(draw(seed)).difference
        if difference is not None:
            report((seed + 1, str(difference)))
            return
    report(None)


def mutate(folder: Path, mutation: Mutation) -> Path:
    """Build the library with one mutation; the sources in `folder` are put right again."""
    path = folder / "sources" / mutation.path
    right = path.read_text()
    if right.count(mutation.old) != 1:  # tests/test_netgen.py sees to it
        raise SystemExit(f"{mutation.path} holds {right.count(mutation.old)} of {mutation.old!r}")
    try:
        path.write_text(right.replace(mutation.old, mutation.new))
        _run("cmake", "--build", str(folder / "build"), "--parallel", "2")
    finally:
        path.write_text(right)
    # A library of its own: the loader knows the files it has loaded by their names.
    made = folder / f"{abs(hash(mutation))}.so"
    return Path(shutil.copy(folder / "build" / library.NAME, made))


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stdout}{done.stderr}")


def _main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", type=int, default=2_000)
    parser.add_argument("--output", type=Path, default=Path("build/mutations.json"))
    given = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(SOURCES, folder / "sources")
        _run("cmake", "-S", str(folder / "sources"), "-B", str(folder / "build"))
        for mutation in MUTATIONS:
            path = str(mutate(folder, mutation))
            try:
                answer = call(_SECONDS, networks_until_found, path, given.networks)
            except CrashedError as error:
                answer = (None, str(error))
            count, difference = answer or (None, "")
            found.append({"what": mutation.what, "networks": count, "difference": difference})
            print(f"{mutation.what}: {count or 'not found'} {difference}", flush=True)
    given.output.parent.mkdir(parents=True, exist_ok=True)
    record = {"networks": given.networks, "mutations": found}
    given.output.write_text(json.dumps(record, indent=1) + "\n")
    return 0 if all(entry["difference"] for entry in found) else 1


if __name__ == "__main__":
    sys.exit(_main())
