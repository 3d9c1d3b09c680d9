# SPDX-License-Identifier: Apache-2.0
"""Files that somebody else made int8, through `oaq recertify` at T = 16: top-1 before and after.

python -m results.recertify --data FOLDER [--table] [--write]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

import oaq_keras
from results import cifar10, imagenet
from results.rows import find_row, kept_row, write_table
from results.score import answers, score

PAGES = ("docs/results.md", "README.md")
CALIBRATION = 100
RECIPE = 1
"""Goes up with every change that changes what is measured: rows are then made anew."""

_CODES = 128


@dataclass(frozen=True)
class Task:
    """A file, and the images that it answers.

    Attributes:
      file: its name in `models/`.
      drop: classes of its output that no label has.
      calibration: of a data folder, pixels uint8 [images, height, width, 3].
      images: of a data folder, pixels [images, crops, height, width, 3] and labels.
    """

    file: str
    drop: int
    calibration: Callable[[Path], NDArray[np.uint8]]
    images: Callable[[Path], imagenet.Images]


def _cifar_calibration(folder: Path) -> NDArray[np.uint8]:
    pixels = cifar10.load_data(folder, "resnet8").x_train
    draw = np.random.default_rng(1)
    return pixels[draw.choice(len(pixels), CALIBRATION, replace=False)].astype(np.uint8)


def _cifar_images(folder: Path) -> imagenet.Images:
    data = cifar10.load_data(folder, "resnet8")
    return imagenet.Images(data.x_test[:, None].astype(np.uint8), data.y_test)


TASKS = {
    "MobileNetV2, ImageNet": Task(
        "tf2_mobilenet_v2_1.0_224_ptq.tflite",
        1,
        imagenet.calibration_images,
        imagenet.images_to_answer,
    ),
    "ResNet8, CIFAR-10": Task(
        "mlperftiny_resnet8_cifar10_int8.tflite", 0, _cifar_calibration, _cifar_images
    ),
}


def main() -> int:
    """Measures what is not kept yet, then prints or writes the table.

    Returns:
      The exit code.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--table", action="store_true", help="print what there is")
    parser.add_argument("--write", action="store_true", help="put the table into its page in docs/")
    options = parser.parse_args()
    lines = [
        "| file | calibration inputs | top-1 before | after | change | proven but first layer |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for name in TASKS:
        for inputs in (0, CALIBRATION):
            row = _row(name, inputs, options)
            if row is None:
                continue
            lines.append(
                f"| {name} | {inputs} | {100 * row['before']:.2f} % | {100 * row['top1']:.2f} % "
                f"| {100 * row['change']:+.2f} ± {100 * row['interval']:.2f} "
                f"| {100 * row['proven']:.1f} % |"
            )
    print("\n".join(lines))
    if options.write:
        for page in PAGES:
            write_table(page, "recertify", "\n".join(lines))
    return 0


def _row(name: str, inputs: int, options: argparse.Namespace) -> dict[str, Any] | None:
    settings = {
        "name": "recertify",
        "recipe": RECIPE,
        "file": TASKS[name].file,
        "inputs": inputs,
        "depth": 16,
    }
    if options.table:
        return find_row(settings)
    return kept_row(settings, lambda: figures(TASKS[name], inputs, options.data))


def figures(task: Task, inputs: int, folder: Path) -> dict[str, Any]:
    """Top-1 of a file and of the one it becomes."""
    given = (folder / "models" / task.file).read_bytes()
    (source,) = Interpreter(model_content=given).get_input_details()
    scale, zero_point = source["quantization"]

    def codes(pixels: NDArray[np.uint8]) -> NDArray[Any]:
        """Inputs' codes are pixels, or in int8 these less 128."""
        offset = 0 if source["dtype"] == np.uint8 else _CODES
        return (pixels.astype(np.int16) - offset).astype(source["dtype"])

    def real(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
        return (codes(pixels).astype(np.float64) - zero_point) * scale

    calibration = None
    if inputs:
        calibration = [[codes(image[None])] for image in task.calibration(folder)[:inputs]]
    changed = oaq_keras.recertify(given, calibration=calibration)
    images = task.images(folder)
    before, after = (
        answers(content, images.pixels, real)[..., task.drop :] for content in (given, changed)
    )
    found = asdict(score(after, before, images.labels))
    found["before"] = score(before, before, images.labels).top1
    found["proven"] = oaq_keras.certify(changed).summary().proven_after_first
    return found


if __name__ == "__main__":
    sys.exit(main())
