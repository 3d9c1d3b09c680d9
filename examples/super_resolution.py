# SPDX-License-Identifier: Apache-2.0
"""Super-resolution: float, stock int8 and overflow aware int8 of one network, side by side.

FSRCNN (Dong et al., arXiv 1608.00367) learns to double the sides of pictures, from smaller ones
made of a folder's. Regression is where few large activations cost the most, so the formats that
each layer has learnt are shown. PSNR is of the luminance that the .tflite files answer.

    python examples/super_resolution.py --data FOLDER --train train --test val
"""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras
from absl import flags
from helpers import command  # sets TensorFlow's log level
from helpers.pictures import DataError, read_picture
from helpers.side_by_side import Task
from helpers.super_resolution_scores import luminance, psnr, resized
from numpy.typing import NDArray
from PIL import Image

import oaq_keras

FLAGS = flags.FLAGS
flags.DEFINE_string("data", None, "folder of folders of pictures", required=True)
flags.DEFINE_string("train", "train", "folder within, to train on")
flags.DEFINE_string("test", "val", "folder within, to be scored on")
flags.DEFINE_integer("height", 180, "of enlarged pictures; larger ones are cropped", lower_bound=16)
flags.DEFINE_integer("width", 240, "of enlarged pictures", lower_bound=16)
flags.DEFINE_float("float_learning_rate", 2e-3, "of float training")
command.define_flags(
    "build/super_resolution", epochs=20, learning_rate=1e-3, batch=4, float_epochs=120
)

FACTOR = 2
_QUICK, _SHOWN = 8, 3
_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp")

Planes = NDArray[np.float32]


def super_resolution() -> Task:
    """The task, its pictures read."""
    height, width = FLAGS.height, FLAGS.width
    if height % FACTOR or width % FACTOR:
        raise DataError(f"--height and --width: expected multiples of {FACTOR}.")
    truth, wanted = planes("test"), planes("train")
    small, given = (
        [resized(each, (height // FACTOR, width // FACTOR)) for each in large]
        for large in (truth, wanted)
    )
    bicubic = np.mean(
        [psnr(a, resized(b, (height, width)), FACTOR) for a, b in zip(truth, small, strict=True)]
    )
    print(f"bicubic: {bicubic:.2f} dB")

    def train(network: Any = None) -> Any:
        del network
        data = tf.data.Dataset.from_tensor_slices((units(given), units(wanted)))
        data = data.shuffle(len(given), seed=FLAGS.seed).batch(FLAGS.batch)
        return data.map(mirrored).prefetch(2)

    def model() -> Any:
        return command.trained_float(fsrcnn, train, "mse", FLAGS.float_learning_rate)

    def judged(outputs: dict[str, Planes]) -> list[tuple[float, Planes]]:
        (answers,) = outputs.values()
        levels = np.rint(np.clip(answers[..., 0], 0.0, 1.0) * np.float32(255))
        return [(psnr(a, b, FACTOR), b) for a, b in zip(truth, levels, strict=True)]

    def show(method: str, found: Any) -> None:
        for i, (_, plane) in enumerate(found[:_SHOWN]):
            pair = [resized(small[i], (height, width)), plane, truth[i]]
            both = np.clip(np.rint(np.concatenate(pair, axis=1)), 0, 255).astype(np.uint8)
            Image.fromarray(both).save(command.folder() / f"enlarged_{i}_{method}.png")

    return Task(
        name=f"super-resolution x{FACTOR}, {Path(FLAGS.data).name}, FSRCNN",
        metric=f"PSNR of Y, dB; bicubic {bicubic:.2f}",
        model=model,
        train=train,
        loss="mse",
        inputs=units(small),
        truth=truth,
        judged=judged,
        score=lambda found, chosen: float(np.mean([found[i][0] for i in chosen])),
        agreement=lambda first, second: float(np.mean(np.abs(first[1] - second[1]) <= 1)),
        show=show,
    )


def fsrcnn() -> Any:
    """FSRCNN(32, 8, 3) with ReLU: from luminance, 0 to 1, to that of twice the sides."""
    layers = keras.layers
    inputs = keras.Input((FLAGS.height // FACTOR, FLAGS.width // FACTOR, 1))
    x = inputs
    for filters, side in ((32, 5), (8, 1), (8, 3), (8, 3), (8, 3), (32, 1)):
        x = layers.Conv2D(filters, side, padding="same", activation="relu")(x)
    x = layers.Conv2DTranspose(1, 9, FACTOR, padding="same")(x)
    return keras.Model(inputs, x, name="fsrcnn")


def planes(split: str) -> list[Planes]:
    """Luminance of the pictures in a folder that can be read, the middle of each."""
    folder = Path(FLAGS.data) / getattr(FLAGS, split)
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder} (--data and --{split}).")
    paths = sorted(each for each in folder.iterdir() if each.suffix.lower() in _ENDINGS)
    found = []
    for path in paths[command.few(_QUICK)]:
        try:
            plane = luminance(read_picture(path))
            rows, columns = plane.shape[0] - FLAGS.height, plane.shape[1] - FLAGS.width
            if rows < 0 or columns < 0:
                raise DataError(
                    f"The picture {path} has {plane.shape[1]} x {plane.shape[0]} pixels; expected "
                    f"{FLAGS.width} x {FLAGS.height} at least (--width and --height)."
                )
            y, x = rows // 2, columns // 2
            found.append(plane[y : y + FLAGS.height, x : x + FLAGS.width])
        except DataError as error:
            warnings.warn(f"Left out: {error}", stacklevel=2)
    if not found:
        raise DataError(f"None of the {len(paths)} pictures in {folder} can be used.")
    return found


def units(found: list[Planes]) -> Planes:
    """Planes as the network takes them, 0 to 1: [n, height, width, 1]."""
    return np.stack(found)[..., None] / np.float32(255)


def mirrored(*both: Any) -> tuple[Any, ...]:
    """A batch and its answers, mirrored by chance, from side to side and upside down."""
    for axis in (1, 2):
        flip = tf.random.uniform([]) < 0.5
        both = tuple(tf.where(flip, tf.reverse(images, [axis]), images) for images in both)
    return both


def formats(row: dict[str, Any]) -> None:
    """Shows the formats that ours has learnt, layer by layer."""
    del row
    print(oaq_keras.certify(command.folder() / "ours.tflite", depth=FLAGS.depth))


if __name__ == "__main__":
    command.run(super_resolution, after=formats)
