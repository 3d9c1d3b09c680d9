# SPDX-License-Identifier: Apache-2.0
"""One training on several devices, or by several workers: one set of formats, one .tflite file.

    python examples/distributed.py                       # this process, its one device
    python examples/distributed.py --strategy mirrored   # all GPUs, or two halves of the CPU
    python examples/distributed.py --local_workers 2     # two workers on this machine
    TF_CONFIG=... python examples/distributed.py --strategy workers      # one of many
    python examples/distributed.py --strategy tpu --tpu NAME

Every worker ends with the same file; the first writes it to --output.
"""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
import tf_keras as keras
from absl import app, flags, logging

import oaq_keras

FLAGS = flags.FLAGS
flags.DEFINE_enum("strategy", "one", ["one", "mirrored", "workers", "tpu"], "where it trains")
flags.DEFINE_string("tpu", "", "name or address of the TPU")
flags.DEFINE_integer("local_workers", 0, "start so many workers on this machine", lower_bound=0)
flags.DEFINE_string("output", "build/distributed/model.tflite", "the file to write")
flags.DEFINE_integer("epochs", 15, "epochs", lower_bound=1)
flags.DEFINE_integer("batch", 64, "images a step, over all replicas", lower_bound=1)
flags.DEFINE_integer("seed", 1, "seed of everything random")


def main(_: Any) -> None:
    """Trains, converts, and says what came of it."""
    if FLAGS.local_workers:
        if FLAGS.strategy not in ("one", "workers"):
            raise app.UsageError(
                f"--local_workers starts workers, not --strategy {FLAGS.strategy}."
            )
        start_workers(FLAGS.local_workers)
        return
    strategy = strategy_of(FLAGS.strategy)  # before TensorFlow does anything else
    oaq_keras.set_seed(FLAGS.seed)
    train, test = load_data()
    with strategy.scope():
        model = oaq_keras.quantize(network())
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.Adam(3e-3), loss, metrics=["accuracy"])
    model.fit(train, epochs=FLAGS.epochs, verbose=2 if is_first() else 0)
    accuracy = model.evaluate(test, return_dict=True, verbose=0)["accuracy"]

    content = oaq_keras.convert(model)
    file = Path(FLAGS.output)
    if not is_first():  # others could be on the same disk
        file = file.with_suffix(f".{task()['index']}.tflite")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    totals = oaq_keras.certify(content).summary()
    print(f"replicas {strategy.num_replicas_in_sync}, accuracy {accuracy:.4f}", end=", ")
    print(f"{totals.proven:.1%} of the MACs proven: {file}", flush=True)


def strategy_of(kind: str) -> Any:
    """The tf.distribute.Strategy."""
    if kind == "workers":
        if "TF_CONFIG" not in os.environ:
            raise app.UsageError("--strategy workers: set TF_CONFIG, or use --local_workers 2.")
        return tf.distribute.MultiWorkerMirroredStrategy()
    if kind == "mirrored":
        if tf.config.list_physical_devices("GPU"):
            return tf.distribute.MirroredStrategy()
        (cpu,) = tf.config.list_physical_devices("CPU")
        halves = [tf.config.LogicalDeviceConfiguration() for _ in range(2)]
        tf.config.set_logical_device_configuration(cpu, halves)
        return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    if kind == "tpu":
        if not FLAGS.tpu:
            raise app.UsageError("--strategy tpu: give the TPU's name or address by --tpu.")
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=FLAGS.tpu)
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
        return tf.distribute.TPUStrategy(resolver)
    return tf.distribute.get_strategy()


def task() -> dict[str, Any]:
    """Which worker this is."""
    found: dict[str, Any] = json.loads(os.environ.get("TF_CONFIG", "{}"))
    return found.get("task", {"type": "worker", "index": 0})


def is_first() -> bool:
    """Whether this worker is the one that talks and writes."""
    return task()["index"] == 0


def load_data() -> tuple[Any, Any]:
    """scikit-learn's digits, batches of the same size in the same order on every worker."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    images = images.reshape(-1, 8, 8, 1).astype(np.float32) / 16
    order = np.random.default_rng(FLAGS.seed).permutation(len(images))
    images, labels = images[order], labels[order].astype(np.int32)
    half = len(images) // 2
    parts = (slice(half), slice(half, None))
    both = [tf.data.Dataset.from_tensor_slices((images[part], labels[part])) for part in parts]
    options = tf.data.Options()
    # Each worker takes its share of every batch, whatever files the data lie in.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    train = both[0].shuffle(half, seed=FLAGS.seed).batch(FLAGS.batch, drop_remainder=True)
    return train.with_options(options), both[1].batch(FLAGS.batch).with_options(options)


def network() -> Any:
    """A small network with a branch, whose two inputs to the concatenation share a format."""
    layers = keras.layers
    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(16, 3, use_bias=False)(inputs)
    x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
    x = layers.Concatenate()([layers.Conv2D(16, 1, activation="relu")(x), x])
    x = layers.Conv2D(32, 3, activation="relu")(x)
    return keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling2D()(x)))


def start_workers(count: int) -> None:
    """Starts workers on free ports of this machine, and waits for them."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    workers = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    given = [f"--{name}={FLAGS[name].value}" for name in ("output", "epochs", "batch", "seed")]
    command = [sys.executable, __file__, "--strategy=workers", *given]
    running = []
    for index in range(count):
        config = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}
        environment = {**os.environ, "TF_CONFIG": json.dumps(config)}
        running.append(subprocess.Popen(command, env=environment))
    try:
        # Where one fails the others would wait for it.
        while any(worker.poll() is None for worker in running):
            if any(worker.poll() for worker in running):
                break
            time.sleep(0.1)
        failed = [index for index, worker in enumerate(running) if worker.poll()]
    finally:
        for worker in running:
            worker.kill()
    if failed:
        raise SystemExit(f"Worker {failed[0]} failed; its own message is above.")


if __name__ == "__main__":
    logging.set_verbosity(logging.ERROR)
    app.run(main)
