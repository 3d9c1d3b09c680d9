# SPDX-License-Identifier: Apache-2.0
"""What a training step costs beside tfmot's stock quantization aware training.

The same float model, batch and optimizer; both take turns in one process, and the medians are
compared. Memory is the growth of the resident set's peak, each in a process of its own.

    python results/training_step.py --model mlperftiny_resnet8_cifar10.h5
    python results/training_step.py --builtin mobilenet --batch 64
"""

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
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras

import oaq_keras

KINDS = ("stock", "ours")


def main() -> None:
    """Prints a Markdown table of both."""
    arguments = parse()
    tf.config.threading.set_intra_op_parallelism_threads(arguments.threads)
    tf.config.threading.set_inter_op_parallelism_threads(arguments.threads)
    if arguments.memory_of:
        print(json.dumps(memory(arguments)))
        return
    steps = {kind: Step(kind, arguments) for kind in KINDS}
    for _ in range(arguments.warmup):
        for step in steps.values():
            step()
    times: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for _ in range(arguments.steps):
        for kind, step in steps.items():
            start = time.perf_counter()
            step()
            times[kind].append(time.perf_counter() - start)
    medians = {kind: 1e3 * statistics.median(values) for kind, values in times.items()}
    ratios = sorted(b / a for a, b in zip(times["stock"], times["ours"], strict=True))
    peaks = {} if arguments.no_memory else {kind: memory_apart(kind) for kind in KINDS}
    print(f"{arguments.builtin or arguments.model}, batch {arguments.batch}")
    print("| | step (ms) | graph operations | peak over the start (MiB) | process (MiB) |")
    print("|---|--:|--:|--:|--:|")
    for kind in KINDS:
        grown, whole = peaks.get(kind, (0.0, 0.0))
        print(
            f"| {kind} | {medians[kind]:.2f} | {steps[kind].operations()} | {grown:.0f} "
            f"| {whole:.0f} |"
        )
    quartiles = statistics.quantiles(ratios, n=4)
    line = f"ratio of times {medians['ours'] / medians['stock']:.3f}"
    line += f" (pairs: {quartiles[0]:.3f} to {quartiles[2]:.3f})"
    if peaks and peaks["stock"][0]:
        line += f", of memory {peaks['ours'][0] / peaks['stock'][0]:.3f}"
    print(line)


def parse() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", help="a float Keras .h5 model")
    parser.add_argument("--builtin", choices=["mobilenet"], help="a model with random weights")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--warmup", type=int, default=12, help="calibration is not timed")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--no_memory", action="store_true")
    parser.add_argument("--memory_of", choices=KINDS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if (arguments.model is None) == (arguments.builtin is None):
        parser.error("give --model or --builtin")
    return arguments


def float_model(arguments: argparse.Namespace) -> Any:
    """The model that both start from."""
    keras.utils.set_random_seed(1)
    if arguments.builtin == "mobilenet":
        return keras.applications.MobileNet((96, 96, 3), 0.25, weights=None, classes=10)
    return keras.models.load_model(arguments.model, compile=False)


class Step:
    """One training step of a model, on the same batch each time."""

    def __init__(self, kind: str, arguments: argparse.Namespace) -> None:
        """Quantizes and compiles."""
        model = float_model(arguments)
        quantize = tfmot.quantization.keras.quantize_model if kind == "stock" else None
        self.model = quantize(model) if quantize else oaq_keras.quantize(model)
        self.model.compile(keras.optimizers.Adam(1e-4), "categorical_crossentropy")
        rng = np.random.default_rng(1)
        shape = (arguments.batch, *model.input_shape[1:])
        images = rng.uniform(0, 255, shape).astype(np.float32)
        classes = model.output_shape[-1]
        labels = np.eye(classes, dtype=np.float32)[rng.integers(0, classes, arguments.batch)]
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


def memory(arguments: argparse.Namespace) -> tuple[float, float]:
    """Growth of the peak over what TensorFlow and the float model took, and the peak; MiB."""
    model = float_model(arguments)
    model.compile(keras.optimizers.Adam(1e-4), "mse")
    before = peak()
    step = Step(arguments.memory_of, arguments)
    for _ in range(arguments.warmup + 8):
        step()
    return peak() - before, peak()


def peak() -> float:
    """Peak of this process's resident set in MiB; getrusage would count the parent's too."""
    status = Path("/proc/self/status").read_text()
    return float(status.split("VmHWM:")[1].split()[0]) / 1024


def memory_apart(kind: str) -> tuple[float, float]:
    """`memory` of one kind in a process of its own."""
    command = [sys.executable, __file__, *sys.argv[1:], "--memory_of", kind]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    grown, whole = json.loads(output.splitlines()[-1])
    return grown, whole


if __name__ == "__main__":
    main()
