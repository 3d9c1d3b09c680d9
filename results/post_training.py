# SPDX-License-Identifier: Apache-2.0
"""ImageNet MobileNets quantized after training: stock int8, plain inflation, ours; lever by lever.

python -m results.post_training --data FOLDER --keep build/results

Each row is kept once it is measured (`results.rows`).
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import oaq_keras
from results import imagenet
from results.rows import kept_row, write_table
from results.score import answers, score

PAGE = "docs/results.md"
STOCK = "stock int8"
RECIPE = 1
"""Goes up with every change that changes what is measured: rows are then made anew."""

_NETWORKS = {"MobileNetV2": imagenet.mobilenet_v2, "MobileNetV1-0.25": imagenet.mobilenet_v1}


def variants(model: Any, calibration: NDArray[np.float32]) -> dict[str, Callable[[], bytes]]:
    """Files to measure, by the names of their rows; made when they are needed."""
    batches = [calibration[i : i + 10] for i in range(0, len(calibration), 10)]
    inputs = [[image[None]] for image in calibration]

    def ours(**options: Any) -> bytes:
        quantized = oaq_keras.post_training_quantize(model, batches, **options)
        return oaq_keras.convert(quantized, ops="builtin")

    def plain() -> bytes:
        quantized = oaq_keras.calibrate(oaq_keras.quantize(model, width=127), batches)
        return oaq_keras.convert(quantized, ops="builtin")

    return {
        STOCK: lambda: _converted(model, inputs),
        "plain inflation, width 127": plain,
        "codes and biases by data, width 127": lambda: ours(width=127),
        "codes and biases by data, width 255": lambda: ours(width=255),
        "and widths by data": ours,
        "stock int8, recertified without data": lambda: oaq_keras.recertify(
            _converted(model, inputs)
        ),
        "stock int8, recertified with data": lambda: oaq_keras.recertify(
            _converted(model, inputs), calibration=inputs
        ),
    }


def _converted(model: Any, inputs: list[list[NDArray[Any]]] | None) -> bytes:
    """What TensorFlow's converter makes of a model, int8 where there are inputs to calibrate on."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if inputs is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: iter(inputs)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    return bytes(converter.convert())


def measure(
    name: str, model: Any, calibration: NDArray[np.float32], images: imagenet.Images, keep: Path
) -> dict[str, dict[str, Any]]:
    """Figures of a network's variants, those kept from other runs among them."""
    keep.mkdir(parents=True, exist_ok=True)
    reference = keep / f"{name} float.npy"
    if not reference.exists():
        unfinished = reference.with_suffix(".part.npy")
        np.save(unfinished, answers(_converted(model, None), images.pixels, imagenet.scaled))
        unfinished.replace(reference)
    wanted = np.load(reference)
    found = {"float": {**asdict(score(wanted, wanted, images.labels)), "proven": None}}
    for label, make in variants(model, calibration).items():
        recipe = {} if label == STOCK else {"recipe": RECIPE}
        found[label] = kept_row(
            {**recipe, "name": f"imagenet-{name}", "label": label},
            lambda label=label, make=make: _figures(f"{name}, {label}", make(), wanted, images),
            keep / "rows",
        )
    return found


def _figures(
    row: str, content: bytes, wanted: NDArray[np.float32], images: imagenet.Images
) -> dict[str, Any]:
    logging.info("measuring %s", row)
    given = answers(content, images.pixels, imagenet.scaled)
    proven = oaq_keras.certify(content, depth=16).summary().proven_after_first
    return {**asdict(score(given, wanted, images.labels)), "proven": proven}


def table(network: str, rows: dict[str, dict[str, Any]]) -> str:
    """A Markdown table."""
    stock = rows[STOCK]["divergence"]
    lines = [
        f"| {network} | mean KL | by stock's | top-1 | change from float | T = 16 proven |",
        "| --- | --: | --: | --: | --: | --: |",
    ]
    for name, row in rows.items():
        proven = "" if row["proven"] is None else f"{100 * row['proven']:.1f} %"
        lines.append(
            f"| {name} | {row['divergence']:.4f} | {row['divergence'] / stock:.2f} "
            f"| {100 * row['top1']:.2f} % "
            f"| {100 * row['change']:+.2f} ± {100 * row['interval']:.2f} | {proven} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measures what is not kept yet and logs all tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, required=True, help="folder with images and models")
    parser.add_argument("--keep", type=Path, required=True, help="folder for finished rows")
    parser.add_argument("--images", type=int, help="so many images alone, one crop each: a trial")
    parser.add_argument("--write", action="store_true", help=f"put the tables into {PAGE}")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    calibration = imagenet.scaled(imagenet.calibration_images(given.data))
    images = imagenet.images_to_answer(given.data, given.images)
    keep = given.keep if given.images is None else given.keep / f"trial of {given.images}"
    tables = []
    for name, build in _NETWORKS.items():
        rows = measure(name, build(given.data), calibration, images, keep)
        tables.append(table(name, rows))
        logging.info("\n%s", tables[-1])
    if given.write:
        write_table(PAGE, "imagenet", "\n\n".join(tables))


if __name__ == "__main__":
    main()
