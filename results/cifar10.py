# SPDX-License-Identifier: Apache-2.0

"""CIFAR-10: what quantization costs ResNet8 and ResNet20, stock and ours with the same budget.

    python -m results.cifar10 --data ../shared/data [--only resnet8] [--seconds 3600]

Every row is a float network from `models/`, quantized, trained by a recipe that all share,
converted, and read off the .tflite file on the 5,000 test images. Rows are kept in
build/results/rows, so a run that was cut short goes on; `--table` prints those that there are.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from numpy.typing import NDArray

from oaq_keras.certification import certify
from oaq_keras.errors import UnsupportedError
from oaq_keras.layouts import NEVER_DRAINED
from oaq_keras.tables import short_name
from results.rows import find_row, kept_row, write_table

RECIPE = 3
"""Goes up with every change of ours that changes what training makes: rows are then made anew."""

EPOCHS = 3
BATCH = 64
PAGES = ("docs/results.md", "README.md")
LEARNING_RATE = 3e-4
MODELS = {"resnet8": "mlperftiny_resnet8_cifar10.h5", "resnet20": "akamaster_resnet20_cifar10.h5"}
SEEDS = {"resnet8": 5, "resnet20": 2}
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Method:
    """How a row is quantized.

    Attributes:
      label: in tables.
      stock: by tfmot, else by ours with these options.
      options: of oaq_keras.quantize; None for the float network as it is given.
      networks: that it is tried on.
    """

    label: str
    stock: bool = False
    options: dict[str, Any] | None = field(default_factory=dict)
    networks: tuple[str, ...] = tuple(MODELS)


FLOAT = Method("float, as given", options=None)
"""Nothing is drawn by chance: one seed is all."""

METHODS = (
    Method("stock int8 (tfmot)", stock=True),
    Method("ours, T = 16", options={"depth": 16}),
    Method("ours, never drained", options={"depth": NEVER_DRAINED}),
    Method(
        "ours, never drained, nor the first layer",
        options={"depth": NEVER_DRAINED, "first_layer_depth": NEVER_DRAINED},
        networks=("resnet8",),
    ),
    Method(
        "ours, never drained, 14 bits",
        options={"depth": NEVER_DRAINED, "accumulator_bits": 14},
        networks=("resnet20",),
    ),
    Method(
        "ours, never drained, 12 bits",
        options={"depth": NEVER_DRAINED, "accumulator_bits": 12},
        networks=("resnet20",),
    ),
)


@dataclass(frozen=True)
class Data:
    """Images as a network takes them, float32, and their classes."""

    x_train: NDArray[np.float32]
    y_train: NDArray[np.int64]
    x_test: NDArray[np.float32]
    y_test: NDArray[np.int64]


def main() -> int:
    """Fills in the rows that are missing, then prints the table.

    Returns:
      The exit code.
    """
    options = parse(__doc__)
    missing = fill([(*row, quantized) for row in wanted(options.only)], options)
    print(table())
    if options.write:
        for page in PAGES:
            write_table(page, "cifar10", table())
    if missing:
        print(f"{missing} rows are missing; run again to go on.")
    return 0


def fill(rows: list[tuple[dict[str, Any], Method, Any]], options: argparse.Namespace) -> int:
    """Makes the rows that are not kept yet, of settings, method, and what makes its file.

    Returns:
      How many are still missing.
    """
    started = time.monotonic()
    missing = 0
    for settings, method, make in rows:
        if find_row(settings) is not None:
            continue
        if options.table or time.monotonic() - started > options.seconds:
            missing += 1
            continue
        print(f"{settings['network']}, {method.label}, seed {settings['seed']} ...", flush=True)
        begun = time.monotonic()
        row = kept_row(
            settings,
            lambda s=settings, m=method, f=make or quantized: figures(options.data, s, m, f),
        )
        print(f"  {100 * row['top1']:.2f} % in {time.monotonic() - begun:.0f} s", flush=True)
    return missing


def parse(description: str | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--only", default="", help="rows whose network or label hold this")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="start none after")
    parser.add_argument("--table", action="store_true", help="print what there is")
    parser.add_argument("--write", action="store_true", help="put the table into its page in docs/")
    given = parser.parse_args()
    if not given.table and not (given.data / "cifar10_filtered.npz").is_file():
        parser.error(f"--data {given.data}: no cifar10_filtered.npz in it")
    return given


def wanted(only: str = "") -> list[tuple[dict[str, Any], Method]]:
    """Settings of all rows, seed by seed, so that every method has some early."""
    rows = [
        (settings_of(network, FLOAT, 1), FLOAT)
        for network in MODELS
        if only in network or only in FLOAT.label
    ]
    for seed in range(1, max(SEEDS.values()) + 1):
        for network in MODELS:
            for method in METHODS:
                if network not in method.networks or seed > SEEDS[network]:
                    continue
                if only not in network and only not in method.label:
                    continue
                rows.append((settings_of(network, method, seed), method))
    return rows


def settings_of(network: str, method: Method, seed: int) -> dict[str, Any]:
    """All that decides a row."""
    recipe = {} if method.stock or method.options is None else {"recipe": RECIPE}
    return {
        **recipe,
        "name": f"cifar10-{network}",
        "network": network,
        "label": method.label,
        "options": method.options,
        "seed": seed,
        "epochs": EPOCHS,
        "batch": BATCH,
        "learning_rate": LEARNING_RATE,
    }


def figures(
    folder: Path,
    settings: dict[str, Any],
    method: Method,
    make: Callable[[Any, Data, dict[str, Any], Method], bytes],
) -> dict[str, Any]:
    """Makes one network's .tflite file and reads its figures off it."""
    import tf_keras as keras

    started = time.monotonic()
    keras.utils.set_random_seed(settings["seed"])
    data = load_data(folder, settings["network"])
    model = keras.models.load_model(folder / "models" / MODELS[settings["network"]], compile=False)
    content = make(model, data, settings, method)
    right = answers_of(content, data.x_test) == data.y_test
    return {
        "top1": float(right.mean()),
        "right": np.packbits(right).tobytes().hex(),
        "bytes": len(content),
        "seconds": round(time.monotonic() - started),
        **proofs(
            content,
            int((method.options or {}).get("depth", 16)),
            int((method.options or {}).get("accumulator_bits", 16)),
        ),
    }


def proofs(content: bytes, depth: int, bits: int) -> dict[str, Any]:
    """What is proven of a file's sums behind the first layer, at `depth`, at 16 and never drained.

    `first_layer_proven` is whether those of the first layer fit at T = 4. All for lanes of `bits`
    bits. Nothing, None, for float files. `can_overflow` names layers of which a lane can overflow
    where it is never drained.
    """
    try:
        whole = certify(
            content,
            depth=NEVER_DRAINED,
            first_layer_depth=NEVER_DRAINED,
            accumulator_bits=bits,
        )
    except UnsupportedError:
        shares = ("proven_share", "proven_share_16", "first_layer_proven", "never_drained_share")
        return {**dict.fromkeys(shares), "can_overflow": []}
    asked = certify(content, depth=depth, first_layer_depth=4, accumulator_bits=bits)
    at_16 = certify(content, depth=16, accumulator_bits=bits)
    return {
        "proven_share": asked.summary().proven_after_first,
        "proven_share_16": at_16.summary().proven_after_first,
        "first_layer_proven": all(layer.proven for layer in asked.layers if layer.first),
        "never_drained_share": whole.summary().never_drained_after_first,
        "can_overflow": [short_name(layer.name) for layer in whole.layers if not layer.proven],
    }


def load_data(folder: Path, network: str) -> Data:
    """The images of `folder`, in the units that the network was trained in."""
    given = np.load(folder / "cifar10_filtered.npz")

    def images(part: str) -> NDArray[np.float32]:
        planes = np.cumsum(np.cumsum(given[f"dx_{part}"], 2, dtype="u1"), 3, dtype="u1")
        planes[:, 0] += planes[:, 1]
        planes[:, 2] += planes[:, 1]
        pixels = planes.transpose(0, 2, 3, 1).astype(np.float32)
        if network == "resnet8":
            return pixels
        return (pixels / np.float32(255) - np.float32(_MEAN)) / np.float32(_DEVIATION)

    labels = {part: given[f"y_{part}"].reshape(-1).astype(np.int64) for part in ("train", "test")}
    return Data(images("train"), labels["train"], images("test"), labels["test"])


def quantized(model: Any, data: Data, settings: dict[str, Any], method: Method) -> bytes:
    """The .tflite file of a network after quantization aware training."""
    import tensorflow as tf
    import tensorflow_model_optimization as tfmot

    import oaq_keras

    if method.options is None:
        return bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())
    last = model.layers[-1].get_config().get("activation")
    if method.stock:
        trained = fit(tfmot.quantization.keras.quantize_model(model), data, settings, last)
        converter = tf.lite.TFLiteConverter.from_keras_model(trained)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        return bytes(converter.convert())
    trained = fit(oaq_keras.quantize(model, **method.options), data, settings, last)
    return bytes(oaq_keras.convert(trained, ops="builtin"))


def fit(
    model: Any,
    data: Data,
    settings: dict[str, Any],
    last: str | None,
    callbacks: list[Any] | None = None,
) -> Any:
    """The recipe of all rows: Adam, its rate decaying to zero, images flipped and shifted."""
    import tensorflow as tf
    import tf_keras as keras

    steps = -(-len(data.x_train) // settings["batch"]) * settings["epochs"]
    rate = keras.optimizers.schedules.CosineDecay(settings["learning_rate"], steps)
    model.compile(
        keras.optimizers.Adam(rate),
        keras.losses.SparseCategoricalCrossentropy(from_logits=last != "softmax"),
        metrics=["accuracy"],
    )

    def flip_and_shift(images: Any, labels: Any) -> tuple[Any, Any]:
        shape = tf.shape(images)
        images = tf.image.random_flip_left_right(images)
        images = tf.pad(images, [[0, 0], [4, 4], [4, 4], [0, 0]], mode="REFLECT")
        return tf.image.random_crop(images, shape), labels

    batches = tf.data.Dataset.from_tensor_slices((data.x_train, data.y_train))
    batches = batches.shuffle(len(data.x_train), seed=settings["seed"]).batch(settings["batch"])
    model.fit(
        batches.map(flip_and_shift).prefetch(2),
        epochs=settings["epochs"],
        verbose=2,
        callbacks=callbacks,
    )
    return model


def answers_of(content: bytes, images: NDArray[np.float32], batch: int = 50) -> NDArray[np.int64]:
    """Classes that a .tflite file answers, by TFLite's reference kernels."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        model_content=content, experimental_op_resolver_type=OpResolverType.BUILTIN_REF
    )
    source = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(source, [batch, *images.shape[1:]])
    interpreter.allocate_tensors()
    target = interpreter.get_output_details()[0]["index"]
    found = []
    for start in range(0, len(images), batch):
        interpreter.set_tensor(source, images[start : start + batch])
        interpreter.invoke()
        found.append(interpreter.get_tensor(target).argmax(-1))
    return np.concatenate(found)


def table() -> str:
    """Markdown of the rows that there are: means over seeds, and what they lose against stock."""
    lines = [
        "| network | method | seeds | top-1 | points lost | 95 % | MACs proven "
        "| first layer | never drained |",
        "|---|---|--:|--:|--:|--:|--:|---|--:|",
    ]
    for network, seeds in SEEDS.items():
        stock = rows_of(network, METHODS[0], seeds)
        for method in (FLOAT, *METHODS):
            rows = rows_of(network, method, seeds)
            if network not in method.networks or not rows:
                continue
            shared = sorted(set(rows) & set(stock))
            loss, low, high = difference(
                [stock[seed] for seed in shared], [rows[seed] for seed in shared]
            )
            found = list(rows.values())
            cells = [network, method.label, str(len(found))]
            cells.append(f"{100 * np.mean([row['top1'] for row in found]):.2f} %")
            compared = not method.stock and method is not FLOAT and bool(shared)
            cells.append(f"{loss:.2f}" if compared else "")
            cells.append(f"{low:.2f} to {high:.2f}" if compared else "")
            shares = [
                "" if None in given else f"{100 * np.mean(given):.1f} %"
                for given in (
                    [row[share] for row in found]
                    for share in ("proven_share", "never_drained_share")
                )
            ]
            cells += [shares[0], _first_layer(found), shares[1]]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _first_layer(rows: list[dict[str, Any]]) -> str:
    """What is proven of the first layer in all of some rows."""
    if all(row.get("can_overflow") == [] and row["proven_share"] is not None for row in rows):
        return "never drained"
    return "T = 4" if all(row.get("first_layer_proven") for row in rows) else ""


def difference(
    stock: list[dict[str, Any]], ours: list[dict[str, Any]], draws: int = 2000
) -> tuple[float, float, float]:
    """Points of top-1 that ours loses, paired by seed and image, with a 95 % interval.

    The interval is a bootstrap over seeds and images together.
    """
    if not stock:
        return float("nan"), float("nan"), float("nan")
    lost = np.stack(
        [_right(before) - _right(after) for before, after in zip(stock, ours, strict=True)]
    )
    random = np.random.default_rng(0)
    seeds, images = lost.shape
    means = [
        lost[random.integers(seeds, size=seeds)][:, random.integers(images, size=images)].mean()
        for _ in range(draws)
    ]
    low, high = np.percentile(means, [2.5, 97.5])
    return 100 * float(lost.mean()), 100 * float(low), 100 * float(high)


def _right(row: dict[str, Any]) -> NDArray[np.float64]:
    bits = np.unpackbits(np.frombuffer(bytes.fromhex(row["right"]), np.uint8))
    return bits.astype(np.float64)


def rows_of(network: str, method: Method, seeds: int) -> dict[int, dict[str, Any]]:
    """The rows that are kept, by seed."""
    rows = {seed: find_row(settings_of(network, method, seed)) for seed in range(1, seeds + 1)}
    return {seed: row for seed, row in rows.items() if row is not None}


if __name__ == "__main__":
    sys.exit(main())
