# SPDX-License-Identifier: Apache-2.0
"""Classification: float, stock int8 and overflow aware int8 from the same weights, side by side.

Trains a float model (or takes given weights), fine-tunes tfmot's stock int8 and ours with the same
budget, converts both, and prints what the .tflite files answer and how fast.

    python examples/classification.py                                 # scikit-learn's digits
    python examples/classification.py --data cifar10.npz --model resnet8.h5 --pixels raw --augment
    python examples/classification.py --data IMAGENET --model mobilenet.h5 --pixels signed --distill
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import tensorflow as tf
import tf_keras as keras
from absl import flags
from helpers import command, image_sets  # sets TensorFlow's log level
from helpers.image_sets import Split
from helpers.pictures import DataError
from helpers.side_by_side import Task
from numpy.typing import NDArray

import oaq_keras
from oaq_keras import report

FLAGS = flags.FLAGS
flags.DEFINE_string(
    "data",
    None,
    "npz, or folder with train and val (or test), a folder a class in each; else digits",
)
flags.DEFINE_string("names", None, "file with the classes' folders, in the network's order")
flags.DEFINE_string("model", None, "float network to start from, a Keras .h5 file")
flags.DEFINE_enum(
    "pixels",
    "unit",
    ["raw", "unit", "signed", "normalized"],
    "what the network takes: 0..255, 0..1, -1..1, or by ImageNet's mean and deviation",
)
flags.DEFINE_list("size", ["224", "224"], "height,width of pictures in folders, without --model")
flags.DEFINE_bool("augment", False, "flip and shift training images")
flags.DEFINE_bool("distill", False, "learn from the float network's answers in place of labels")
flags.DEFINE_integer("test_images", 0, "test images to use, 0 for all", lower_bound=0)
flags.DEFINE_bool("ablation", False, "ours without the regularization (lambda 0) as well")
command.define_flags(
    "build/classification", epochs=10, learning_rate=1e-3, batch=32, float_epochs=30
)

_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_QUICK = 64


def classification() -> Task:
    """The task, its data found."""
    given = command.given_network("model") if FLAGS.model else None
    train, test = load_data(given)
    classes = int(max(train.labels.max(), test.labels.max())) + 1
    shape = train.images[0].shape
    if given is not None:
        check(given, shape, classes)
    few = _QUICK if FLAGS.quick else None
    train, test = train.some(few), test.some(few or FLAGS.test_images or None)

    def model() -> Any:
        if given is not None:
            return given
        return command.trained_float(
            lambda: small_network(shape, classes),
            lambda: batches(train, train.labels),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            3e-3,
        )

    def learn(network: Any) -> Any:
        if not FLAGS.distill:
            return batches(train, train.labels)
        plain = train.dataset(train.labels).batch(FLAGS.batch).map(lambda x, y: prepared(x))
        answers = network.predict(plain, verbose=0)
        return batches(train, answers if softmax_at_end(network) else tf.nn.softmax(answers))

    logits = given is None or not softmax_at_end(given)
    losses = keras.losses.SparseCategoricalCrossentropy, keras.losses.CategoricalCrossentropy
    return Task(
        name=f"classification, {title()}",
        metric="top-1",
        model=model,
        train=learn,
        loss=losses[FLAGS.distill](from_logits=logits),
        inputs=Prepared(test.images),
        truth=test.labels,
        judged=lambda outputs: list(
            zip(next(iter(outputs.values())).argmax(-1), test.labels, strict=True)
        ),
        score=lambda found, chosen: (
            100 * float(np.mean([found[i][0] == found[i][1] for i in chosen]))
        ),
        agreement=lambda first, second: float(first[0] == second[0]),
        variants={"ours, lambda 0": {"regularization": 0.0}} if FLAGS.ablation else {},
    )


def title() -> str:
    """Of data and network, for tables."""
    data = Path(FLAGS.data).stem if FLAGS.data else "digits"
    return f"{data}, {Path(FLAGS.model).stem}" if FLAGS.model else f"{data}, small network"


def load_data(model: Any) -> tuple[Split, Split]:
    """What to train and to test on."""
    if FLAGS.data is None:
        return image_sets.digits(FLAGS.seed)
    data = Path(FLAGS.data)
    if not data.is_dir():
        return image_sets.read_npz(data)
    size = model.input_shape[1:3] if model is not None else folder_size()
    names = command.lines("names") if FLAGS.names else None
    return image_sets.read_folders(data, size, names)


def folder_size() -> tuple[int, int]:
    """--size: height and width."""
    if len(FLAGS.size) != 2 or not all(each.isdecimal() and int(each) > 7 for each in FLAGS.size):
        raise DataError(f"--size is {','.join(FLAGS.size)}; expected height,width of 8 or more.")
    height, width = map(int, FLAGS.size)
    return height, width


def check(model: Any, shape: tuple[int, ...], classes: int) -> None:
    """Refuses a network that is not for these images and classes."""
    if model.input_shape[1:] != shape:
        raise DataError(
            f"--model {FLAGS.model} takes images of shape {model.input_shape[1:]}, the data has "
            f"{shape}."
        )
    if classes > model.output_shape[-1]:
        raise DataError(
            f"--model {FLAGS.model} has {model.output_shape[-1]} classes, the data has the label "
            f"{classes - 1}."
        )


def prepared(images: Any) -> Any:
    """Pixels of 0 to 255 in the units of --pixels; what is no uint8 is in them already."""
    if images.dtype not in (np.uint8, tf.uint8):
        return images
    images = tf.cast(images, tf.float32) if tf.is_tensor(images) else images.astype(np.float32)
    return {
        "raw": lambda: images,
        "unit": lambda: images / np.float32(255),
        "signed": lambda: images / np.float32(127.5) - np.float32(1),
        "normalized": lambda: (
            (images / np.float32(255) - np.float32(_MEAN)) / np.float32(_DEVIATION)
        ),
    }[FLAGS.pixels]()


class Prepared(Sequence[NDArray[np.float32]]):
    """Images as the network takes them, made when they are asked for."""

    def __init__(self, images: Sequence[Any]) -> None:
        """Takes the images."""
        self._images = images

    def __len__(self) -> int:
        """How many there are."""
        return len(self._images)

    def __getitem__(self, place: Any) -> Any:
        """One, float32 [height, width, channels]."""
        return np.asarray(prepared(self._images[place]), np.float32)


def batches(split: Split, targets: Any) -> Any:
    """Images with targets, shuffled and, if so asked, augmented."""
    data = split.dataset(np.asarray(targets), FLAGS.seed).batch(FLAGS.batch)
    if FLAGS.augment:
        data = data.map(flip_and_shift)
    return data.map(lambda images, wanted: (prepared(images), wanted)).prefetch(2)


def flip_and_shift(images: Any, targets: Any) -> tuple[Any, Any]:
    """Random horizontal flips and shifts by up to an eighth of a batch of images."""
    shape = tf.shape(images)
    flipped = tf.image.random_flip_left_right(images)
    margin = images.shape[1] // 8
    padded = tf.pad(flipped, [[0, 0], [margin] * 2, [margin] * 2, [0, 0]], mode="REFLECT")
    return tf.image.random_crop(padded, shape), targets


def softmax_at_end(model: Any) -> bool:
    """Whether a network answers probabilities, not logits."""
    last = model.layers[-1]
    return "softmax" in (last.get_config().get("activation"), type(last).__name__.lower())


def small_network(shape: tuple[int, ...], classes: int) -> Any:
    """Standard and depthwise convolutions with BatchNormalization, one residual connection."""
    layers = keras.layers

    def conv(x: Any, filters: int, size: int, strides: int = 1, relu: bool = True) -> Any:
        x = layers.Conv2D(filters, size, strides, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization()(x)
        return layers.ReLU()(x) if relu else x

    inputs = keras.Input(shape)
    x = conv(inputs, 16, 3)
    x = conv(x, 32, 3, strides=2)
    shortcut = x
    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    x = layers.ReLU(6.0)(x)
    x = conv(x, 32, 1, relu=False)
    x = layers.ReLU()(layers.Add()([x, shortcut]))
    x = conv(x, 64, 3, strides=2)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(classes)(x), name="small")


def prove(row: dict[str, Any]) -> None:
    """Shows what is proven of our file, and keeps certificates beside the files."""
    folder = command.folder()
    for method in ("stock", "ours", *row["variants"]):
        file = folder / f"{method.replace(', ', '_').replace(' ', '_')}.tflite"
        if "refused" in row[method]:
            continue
        certificate = oaq_keras.certify(file, depth=FLAGS.depth)
        file.with_suffix(".certificate.json").write_text(certificate.to_json())
        if method == "ours":
            print(certificate)
            report.plot_headroom(certificate, folder / "headroom.png")
            # The portable kernels sum in int16 on every CPU; they answer as all others do.
            shown = oaq_keras.Interpreter(model_path=str(file), isa="scalar", plan="int16")
            shown.allocate_tensors()
            print(shown.plan())


if __name__ == "__main__":
    mpl.use("agg")  # no window; and a missing matplotlib is noticed before the training
    command.run(classification, after=prove)
