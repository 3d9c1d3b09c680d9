# SPDX-License-Identifier: Apache-2.0
"""Classification: float, stock int8 and overflow aware int8 from the same weights, side by side.

Trains a float model (or takes given weights), fine-tunes tfmot's stock int8 and ours with the same
budget, converts both, and prints what the .tflite files answer and how fast.

    python examples/classification.py                                 # scikit-learn's digits
    python examples/classification.py --data cifar10.npz --model resnet8.h5 --augment
"""

import json
import os
import statistics
import time
import warnings
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # the same figures on every CPU

import matplotlib as mpl
import numpy as np
import tensorflow as tf
import tf_keras as keras
from absl import app, flags, logging
from ai_edge_litert.interpreter import Interpreter

import oaq_keras
from oaq_keras import report
from oaq_keras.trained import inflation_bits

FLAGS = flags.FLAGS
flags.DEFINE_string("data", None, "npz with x_train, y_train, x_test, y_test; default: digits")
flags.DEFINE_string("model", None, "float weights to start from, a Keras .h5 file")
flags.DEFINE_string("output", "build/classification", "folder for models, certificates, picture")
flags.DEFINE_integer("float_epochs", 30, "epochs of float training without --model", lower_bound=1)
flags.DEFINE_integer("epochs", 10, "epochs of fine-tuning, for stock and ours", lower_bound=1)
flags.DEFINE_float("learning_rate", 1e-3, "of Adam in fine-tuning; decays to zero")
flags.DEFINE_integer("batch", 32, "batch size in training", lower_bound=1)
flags.DEFINE_integer("depth", 16, "accumulation depth T to prove", lower_bound=1)
flags.DEFINE_float("regularization", 0.01, "lambda of the overflow regularization")
flags.DEFINE_bool("augment", False, "flip and shift training images")
flags.DEFINE_integer("test_images", 0, "test images to use, 0 for all", lower_bound=0)
flags.DEFINE_integer("latency_runs", 200, "timed inferences of each file, in turn", lower_bound=1)
flags.DEFINE_integer("seed", 1, "seed of everything random")

Data = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def main(_: Any) -> None:
    """Runs the comparison."""
    mpl.use("agg")  # no window; and a missing matplotlib is noticed before the training
    keras.utils.set_random_seed(FLAGS.seed)
    data = load_data(FLAGS.data)
    folder = Path(FLAGS.output)
    folder.mkdir(parents=True, exist_ok=True)

    step("float model")
    model = load_model(FLAGS.model, data) if FLAGS.model else train_float(data)
    rows = [["float", accuracy_of_model(model, data), None, None, None, None, None]]

    files: dict[str, bytes] = {}
    bits: dict[str, float] = {}
    step("stock int8 (tfmot)")
    files["stock int8"] = stock_int8(model, data)
    step("ours, overflow aware")
    files["ours"], bits["ours"] = overflow_aware(model, data, FLAGS.regularization)
    step("ours without the regularization (lambda 0)")
    files["ours, lambda 0"], bits["ours, lambda 0"] = overflow_aware(model, data, 0.0)

    step("the .tflite files")
    stock, ours = files["stock int8"], files["ours"]
    latencies = time_in_turn({"stock int8": (stock, "auto"), "ours": (ours, "auto")}, data)
    for name, content in files.items():
        certificate = oaq_keras.certify(content, depth=FLAGS.depth)
        summary = certificate.summary()
        rows.append(
            [
                name,
                accuracy_of_file(content, data),
                len(content),
                summary.proven_after_first,
                summary.never_drained_after_first,
                bits.get(name),
                latencies.get(name),
            ]
        )
        stem = name.replace(", ", "_").replace(" ", "_")
        (folder / f"{stem}.tflite").write_bytes(content)
        (folder / f"{stem}.certificate.json").write_text(certificate.to_json())
        if name == "ours":
            print(certificate)
            report.plot_headroom(certificate, folder / "headroom.png")
            print(make_interpreter(content, 1, "int16").plan())
    model.save(folder / "float.keras")

    table = markdown_table(rows)
    (folder / "table.md").write_text(table)
    (folder / "table.json").write_text(json.dumps(rows, indent=1))
    print(f"\n{table}")
    print(
        f"Test images: {len(data[2])}; ours answered with every proven tile in int16 (isa=scalar)."
    )
    print(
        "Latency: one image, one thread, median, in turns; ours as its plan for this CPU runs it."
    )
    print(f"Models, certificates and headroom.png are in {folder}")


def load_data(path: str | None) -> Data:
    """Images as float32 [n, height, width, channels] and labels as integers."""
    if path is None:
        from sklearn.datasets import load_digits

        images, labels = load_digits(return_X_y=True)
        images = images.reshape(-1, 8, 8, 1).astype(np.float32) / 16
        order = np.random.default_rng(FLAGS.seed).permutation(len(images))
        train, test = np.split(order, 2) if len(order) % 2 == 0 else np.split(order[1:], 2)
        return images[train], labels[train], images[test], labels[test]
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = [archive[name] for name in ("x_train", "y_train", "x_test", "y_test")]
    except (OSError, ValueError, KeyError) as error:
        raise app.UsageError(
            f"--data {path}: {error}. Expected an .npz with x_train, y_train, x_test, y_test."
        ) from error
    x_train, y_train, x_test, y_test = arrays
    for images, labels in ((x_train, y_train), (x_test, y_test)):
        check_images(path, images, labels)
    if x_train.shape[1:] != x_test.shape[1:]:
        raise app.UsageError(
            f"--data {path}: training images of shape {x_train.shape[1:]}, test images of shape "
            f"{x_test.shape[1:]}. Expected the same."
        )
    limit = FLAGS.test_images or len(x_test)
    scale = 255.0 if FLAGS.model is None and x_train.dtype == np.uint8 else 1.0
    return (
        x_train.astype(np.float32) / scale,
        y_train.reshape(-1),
        x_test[:limit].astype(np.float32) / scale,
        y_test.reshape(-1)[:limit],
    )


def check_images(path: str, images: np.ndarray, labels: np.ndarray) -> None:
    """Refuses arrays that no classifier could be trained or tested on."""
    if images.ndim != 4 or not len(images) or len(images) != labels.size:
        raise app.UsageError(
            f"--data {path}: images of shape {images.shape} with labels of shape "
            f"{labels.shape}. Expected [n, height, width, channels] and [n], n at least 1."
        )
    if images.dtype.kind not in "uif" or not np.isfinite(images).all():
        raise app.UsageError(f"--data {path}: images hold values that are not finite numbers.")
    if labels.dtype.kind not in "ui" or labels.min() < 0:
        raise app.UsageError(f"--data {path}: labels are not class indices from 0.")


def load_model(path: str, data: Data) -> Any:
    """A Keras model from an .h5 file, checked against the data."""
    try:
        model = keras.models.load_model(path, compile=False)
    except (OSError, ValueError, TypeError) as error:
        raise app.UsageError(f"--model {path}: {error}. Expected a Keras .h5 model.") from error
    if model.input_shape[1:] != data[0].shape[1:]:
        raise app.UsageError(
            f"--model {path} takes images of shape {model.input_shape[1:]}, the data has "
            f"{data[0].shape[1:]}."
        )
    classes = model.output_shape[-1]
    largest = int(max(data[1].max(), data[3].max()))
    if largest >= classes:
        raise app.UsageError(
            f"--model {path} has {classes} classes, the data has the label {largest}."
        )
    return model


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


def train_float(data: Data) -> Any:
    """A float model trained from scratch."""
    model = small_network(data[0].shape[1:], int(max(data[1].max(), data[3].max())) + 1)
    return fit(model, data, loss_of(model), FLAGS.float_epochs, 3e-3)


def stock_int8(model: Any, data: Data) -> bytes:
    """Stock quantization-aware training and conversion."""
    import tensorflow_model_optimization as tfmot

    quantized = fit(tfmot.quantization.keras.quantize_model(model), data, loss_of(model))
    converter = tf.lite.TFLiteConverter.from_keras_model(quantized)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Statistics for quantized inputs")
        return converter.convert()


def overflow_aware(model: Any, data: Data, regularization: float) -> tuple[bytes, float]:
    """Ours: quantize, fit, convert; and the bits of weight resolution that the fit took."""
    quantized = oaq_keras.quantize(model, depth=FLAGS.depth, regularization=regularization)
    fit(quantized, data, loss_of(model))
    return oaq_keras.convert(quantized), inflation_bits(quantized)


def fit(
    model: Any, data: Data, loss: Any, epochs: int | None = None, rate: float | None = None
) -> Any:
    """Trains with Adam and a cosine decay; the same for every model of the comparison."""
    epochs = FLAGS.epochs if epochs is None else epochs
    steps = -(-len(data[0]) // FLAGS.batch) * epochs
    model.compile(
        keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(rate or FLAGS.learning_rate, max(steps, 1))
        ),
        loss,
        metrics=["accuracy"],
    )
    batches = tf.data.Dataset.from_tensor_slices((data[0], data[1]))
    batches = batches.shuffle(len(data[0]), seed=FLAGS.seed).batch(FLAGS.batch)
    if FLAGS.augment:
        batches = batches.map(flip_and_shift)
    model.fit(batches.prefetch(2), epochs=epochs, verbose=2)
    return model


def loss_of(model: Any) -> Any:
    """Cross entropy of what a float model answers: probabilities or logits."""
    last = model.layers[-1]
    softmax = "softmax" in (last.get_config().get("activation"), type(last).__name__.lower())
    return keras.losses.SparseCategoricalCrossentropy(from_logits=not softmax)


def flip_and_shift(images: Any, labels: Any) -> tuple[Any, Any]:
    """Random horizontal flips and shifts by up to an eighth of a batch of images."""
    shape = tf.shape(images)
    flipped = tf.image.random_flip_left_right(images)
    margin = images.shape[1] // 8
    padded = tf.pad(flipped, [[0, 0], [margin] * 2, [margin] * 2, [0, 0]], mode="REFLECT")
    return tf.image.random_crop(padded, shape), labels


def accuracy_of_model(model: Any, data: Data) -> float:
    """Top-1 of a Keras model."""
    answers = model.predict(data[2], batch_size=256, verbose=0)
    return float(np.mean(answers.argmax(-1) == data[3]))


def make_interpreter(content: bytes, batch: int, plan: str) -> Any:
    """A LiteRT interpreter for `batch` images; ours where the file has our operators."""
    if b"Oaq" in content:
        # The portable kernels sum in int16 on every CPU; those of a dot-product instruction do not.
        isa = "scalar" if plan == "int16" else "auto"
        interpreter = oaq_keras.Interpreter(model_content=content, isa=isa, plan=plan)
    else:
        interpreter = Interpreter(model_content=content, num_threads=1)
    details = interpreter.get_input_details()[0]
    interpreter.resize_tensor_input(details["index"], [batch, *details["shape"][1:]])
    interpreter.allocate_tensors()
    return interpreter


def answer(interpreter: Any, images: np.ndarray) -> np.ndarray:
    """Outputs of one invocation."""
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], images)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def accuracy_of_file(content: bytes, data: Data, batch: int = 50) -> float:
    """Top-1 of a .tflite file."""
    right = 0
    for start in range(0, len(data[2]), batch):
        images = data[2][start : start + batch]
        if start == 0 or len(images) < batch:
            interpreter = make_interpreter(content, len(images), "int16")
        right += int(
            (answer(interpreter, images).argmax(-1) == data[3][start : start + batch]).sum()
        )
    return right / len(data[2])


def time_in_turn(files: dict[str, tuple[bytes, str]], data: Data) -> dict[str, float]:
    """Median milliseconds of one image on one thread; files and their plans take turns."""
    interpreters = {name: make_interpreter(file, 1, plan) for name, (file, plan) in files.items()}
    times: dict[str, list[float]] = {name: [] for name in files}
    for run in range(FLAGS.latency_runs):
        image = data[2][run % len(data[2])][None]
        for name, interpreter in interpreters.items():
            start = time.perf_counter()
            answer(interpreter, image)
            times[name].append(time.perf_counter() - start)
    return {name: 1e3 * statistics.median(values) for name, values in times.items()}


def markdown_table(rows: list[list[Any]]) -> str:
    """The result as a Markdown table."""
    titles = ["", "top-1", "file", f"MACs proven at T={FLAGS.depth}", "never drained"]
    titles += ["weight bits given up", "latency"]
    lines = [" | ".join(titles), " | ".join(["---"] + ["--:"] * (len(titles) - 1))]
    for name, accuracy, size, proven, never, bits, latency in rows:
        cells = [
            name,
            f"{100 * accuracy:.2f} %",
            "" if size is None else f"{size / 1024:.1f} KiB",
            "" if proven is None else f"{100 * proven:.1f} %",
            "" if never is None else f"{100 * never:.1f} %",
            "" if bits is None else f"{bits:.2f}",
            "" if latency is None else f"{latency:.3f} ms",
        ]
        lines.append(" | ".join(cells))
    return "\n".join(f"| {line} |" for line in lines) + "\n"


def step(title: str) -> None:
    """Says what comes next."""
    print(f"\n== {title}", flush=True)


if __name__ == "__main__":
    logging.set_verbosity(logging.ERROR)
    app.run(main)
