# SPDX-License-Identifier: Apache-2.0
"""What a training step costs beside tfmot's stock quantization aware training.

The same float model, batch and optimizer; both take turns in one process, and the medians are
compared. Memory is the resident set's peak, of a process of its own for each.

    python -m results.training_step --data ../shared/data [--write]
    python -m results.training_step --model my_float_model.h5 --batch 64
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras

import oaq_keras
from results.rows import write_table

KINDS = ("stock", "ours")
PAGE = "docs/results.md"
RESNET8 = "models/mlperftiny_resnet8_cifar10.h5"
MOBILENET = "MobileNetV1-0.25, 96x96"


def main() -> None:
    """Prints a Markdown table."""
    arguments = parse()
    tf.config.threading.set_intra_op_parallelism_threads(arguments.threads)
    tf.config.threading.set_inter_op_parallelism_threads(arguments.threads)
    if arguments.memory_of:
        print(json.dumps(memory(arguments.memory_of, arguments.model, arguments)))
        return
    lines = [
        "| network, batch | | step (ms) | ratio | quartiles of pairs | graph operations "
        "| process (MiB) | ratio | over its start (MiB) | ratio |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    models = [arguments.model] if arguments.model else [str(arguments.data / RESNET8), MOBILENET]
    for model in models:
        lines += compare(model, arguments)
    print("\n".join(lines))
    if arguments.write:
        write_table(PAGE, "step", "\n".join(lines))


def compare(model: str, arguments: argparse.Namespace) -> list[str]:
    """A model's rows."""
    steps = {kind: Step(kind, model, arguments.batch) for kind in KINDS}
    for _ in range(arguments.warmup):
        for step in steps.values():
            step()
    times: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for _ in range(arguments.steps):
        for kind, step in steps.items():
            start = time.perf_counter()
            step()
            times[kind].append(time.perf_counter() - start)
    peaks = {kind: memory_apart(kind, model, arguments) for kind in KINDS}
    pairs = [ours / stock for stock, ours in zip(times["stock"], times["ours"], strict=True)]
    quartiles = statistics.quantiles(pairs, n=4)
    first = {"stock": statistics.median(times["stock"]), "peaks": peaks["stock"]}
    name = Path(model).name.removesuffix(".h5")
    lines = []
    for kind in KINDS:
        median, (grown, whole) = statistics.median(times[kind]), peaks[kind]
        spread = f"{quartiles[0]:.2f} to {quartiles[2]:.2f}" if kind == "ours" else ""
        lines.append(
            f"| {name}, {arguments.batch} | {kind} | {1e3 * median:.1f} "
            f"| {median / first['stock']:.2f} | {spread} | {steps[kind].operations()} "
            f"| {whole:.0f} | {whole / first['peaks'][1]:.2f} "
            f"| {grown:.0f} | {grown / first['peaks'][0]:.2f} |"
        )
    return lines


def parse() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--model", help="a float Keras .h5 model, in place of the two of the table")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--warmup", type=int, default=12, help="calibration is not timed")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--write", action="store_true", help=f"put the table into {PAGE}")
    parser.add_argument("--memory_of", choices=KINDS, help=argparse.SUPPRESS)
    return parser.parse_args()


def float_model(model: str) -> Any:
    """The model that both start from."""
    keras.utils.set_random_seed(1)
    if model == MOBILENET:
        return keras.applications.MobileNet((96, 96, 3), 0.25, weights=None, classes=10)
    return keras.models.load_model(model, compile=False)


class Step:
    """One training step of a model, on the same batch each time."""

    def __init__(self, kind: str, name: str, batch: int) -> None:
        """Quantizes and compiles."""
        model = float_model(name)
        quantize = tfmot.quantization.keras.quantize_model if kind == "stock" else None
        self.model = quantize(model) if quantize else oaq_keras.quantize(model)
        self.model.compile(keras.optimizers.Adam(1e-4), "categorical_crossentropy")
        rng = np.random.default_rng(1)
        shape = (batch, *model.input_shape[1:])
        images = rng.uniform(0, 255, shape).astype(np.float32)
        classes = model.output_shape[-1]
        labels = np.eye(classes, dtype=np.float32)[rng.integers(0, classes, batch)]
        data = tf.data.Dataset.from_tensors((images, labels)).repeat()
        self.batches = iter(data)
        self.train = self.model.make_train_function()

    def __call__(self) -> None:
        """Runs it; returns when it is done."""
        logs = self.train(self.batches)
        float(logs["loss"])

    def operations(self) -> int:
        """Operations of the step's graph, functions inside included."""
        function = tf.function(self.model.train_step)
        graph = function.get_concrete_function(next(self.batches)).graph.as_graph_def()
        return len(graph.node) + sum(len(inner.node_def) for inner in graph.library.function)


def memory(kind: str, name: str, arguments: argparse.Namespace) -> tuple[float, float]:
    """Growth of the peak over what TensorFlow and the float model took, and the peak; MiB."""
    model = float_model(name)
    model.compile(keras.optimizers.Adam(1e-4), "mse")
    before = peak()
    step = Step(kind, name, arguments.batch)
    for _ in range(arguments.warmup + 8):
        step()
    return peak() - before, peak()


def peak() -> float:
    """Peak of this process's resident set in MiB; getrusage would count the parent's too."""
    status = Path("/proc/self/status").read_text()
    return float(status.split("VmHWM:")[1].split()[0]) / 1024


def memory_apart(kind: str, model: str, arguments: argparse.Namespace) -> tuple[float, float]:
    """`memory` of one kind in a process of its own."""
    command = [sys.executable, "-m", "results.training_step", "--memory_of", kind]
    command += ["--model", model, "--batch", str(arguments.batch)]
    command += ["--threads", str(arguments.threads)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    grown, whole = json.loads(output.splitlines()[-1])
    return grown, whole


if __name__ == "__main__":
    main()
