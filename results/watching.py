# SPDX-License-Identifier: Apache-2.0
"""What watching a training costs: all of `oaq_keras.metrics`, and `Summaries` for TensorBoard.

Models of the same float weights take turns, an epoch each, in an order that changes: one is
watched by nothing, one by metrics, one by metrics and `Summaries`, and one by nothing again, whose
difference from the first is what such a measurement cannot see. The processor time of each epoch
is compared with that of the first model's in the same round.

    python -m results.watching --data ../shared/data [--write]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

import oaq_keras
from oaq_keras.callbacks import Summaries
from oaq_keras.metrics import ActivationBits, Headroom, ProvenShare, WeightBitsGivenUp
from results.rows import write_table
from results.training_step import MOBILENET, RESNET8, float_model  # sets TensorFlow's log level

PAGE = "docs/results.md"


def main() -> None:
    """Prints a Markdown table."""
    arguments = parse()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    lines = [
        "| network, batch, steps an epoch | step (ms) | nothing, again | four metrics"
        " | metrics and Summaries |",
        "|---|--:|--:|--:|--:|",
    ]
    lines += [row(model, arguments) for model in (str(arguments.data / RESNET8), MOBILENET)]
    print("\n".join(lines))
    if arguments.write:
        write_table(PAGE, "watching", "\n".join(lines))


def row(name: str, arguments: argparse.Namespace) -> str:
    """A model's row."""
    with tempfile.TemporaryDirectory() as logs:
        kinds = {
            "plain": Fit(name, arguments, [], []),
            "again": Fit(name, arguments, [], []),
            "metrics": Fit(name, arguments, _metrics(), []),
            "summaries": Fit(name, arguments, _metrics(), [Summaries(logs)]),
        }
        for kind in kinds.values():
            kind()
        times: dict[str, list[float]] = {kind: [] for kind in kinds}
        for turn in range(arguments.epochs):
            first = turn % len(kinds)
            for kind in [*kinds][first:] + [*kinds][:first]:
                start = time.process_time()
                kinds[kind]()
                times[kind].append(time.process_time() - start)
    step = 1e3 * statistics.median(times["plain"]) / arguments.steps
    costs = []
    for kind in ("again", "metrics", "summaries"):
        pairs = [b / a - 1 for a, b in zip(times["plain"], times[kind], strict=True)]
        low, middle, high = statistics.quantiles(pairs, n=4)
        costs.append(f"{middle:+.1%} ({low:+.1%} to {high:+.1%})")
    title = f"{Path(name).name.removesuffix('.h5')}, {arguments.batch}, {arguments.steps}"
    return f"| {title} | {step:.1f} | {' | '.join(costs)} |"


class Fit:
    """Epochs of a quantized model, on the same batch each step."""

    def __init__(
        self, name: str, arguments: argparse.Namespace, metrics: list[Any], callbacks: list[Any]
    ) -> None:
        """Quantizes and compiles."""
        self.model = oaq_keras.quantize(float_model(name))
        self.model.compile(keras.optimizers.Adam(1e-4), "categorical_crossentropy", metrics)
        rng = np.random.default_rng(1)
        images = rng.uniform(0, 255, (arguments.batch, *self.model.input_shape[1:]))
        labels = np.eye(self.model.output_shape[-1])[np.arange(arguments.batch) % 10]
        batch = images.astype(np.float32), labels.astype(np.float32)
        options = tf.data.Options()
        options.autotune.enabled = False  # whose thread may sleep for seconds at an epoch's end
        self.data = tf.data.Dataset.from_tensors(batch).repeat().with_options(options)
        self.steps, self.callbacks = arguments.steps, callbacks
        self.epoch = 0

    def __call__(self) -> None:
        """Trains an epoch."""
        self.model.fit(
            self.data,
            steps_per_epoch=self.steps,
            initial_epoch=self.epoch,
            epochs=self.epoch + 1,
            callbacks=self.callbacks,
            verbose=0,
        )
        self.epoch += 1


def _metrics() -> list[Any]:
    return [ProvenShare(), Headroom(), WeightBitsGivenUp(), ActivationBits()]


def parse() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--write", action="store_true", help=f"put the table into {PAGE}")
    return parser.parse_args()


if __name__ == "__main__":
    main()
