# SPDX-License-Identifier: Apache-2.0
"""Published float networks through quantize, some training, convert and certify.

    python -m results.given_models --data ../shared/data [--only yolo] [--table] [--write]

Before anything is quantized the network is read and built anew, and that has to answer as the
network does. Where there are labels the accuracy of all three is given: of the network, of what was
built anew, and of the .tflite file after one pass over a few hundred images.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from numpy.typing import NDArray

from oaq_keras.float_operators import float_operators
from results import cifar10, imagenet
from results.rows import find_row, kept_row, write_table

PAGE = "docs/models.md"
RECIPE = 1
"""Goes up with every change that changes what is measured: rows are then made anew."""

RATE, BATCH = 1e-5, 8


@dataclass(frozen=True)
class Examples:
    """What a network is trained and judged on.

    Attributes:
      train: float32 inputs.
      test: float32 inputs to answer.
      train_labels, test_labels: classes; None where the float network's answers stand for them.
    """

    train: NDArray[np.float32]
    test: NDArray[np.float32]
    train_labels: NDArray[np.int64] | None = None
    test_labels: NDArray[np.int64] | None = None


def _cifar(network: str) -> Callable[[Path], Examples]:
    def load(folder: Path) -> Examples:
        data = cifar10.load_data(folder, network)
        return Examples(data.x_train[:640], data.x_test, data.y_train[:640], data.y_test)

    return load


def _person(folder: Path) -> Examples:
    with np.load(folder / "vww96_from_coco128.npz", allow_pickle=False) as given:
        images = given["x"].astype(np.float32) / np.float32(255)
        labels = given["y"].astype(np.int64)
    return Examples(images, images, labels, labels)


def _imagenet(folder: Path) -> Examples:
    centre = imagenet.images_to_answer(folder, 650)
    held = imagenet.scaled(centre.pixels[400:, 0])
    return Examples(
        imagenet.scaled(imagenet.calibration_images(folder)),
        held,
        None,
        centre.labels[400:],
    )


def _photographs(size: int, low: float) -> Callable[[Path], Examples]:
    """Photographs, squashed to a square, of values from `low` to 1."""

    def load(folder: Path) -> Examples:
        from PIL import Image

        found = []
        with tarfile.open(folder / "coco128_voc20.tar") as archive:
            for entry in sorted(archive.getmembers(), key=lambda entry: entry.name):
                if entry.name.endswith(".jpg") and len(found) < 24:
                    image = Image.open(archive.extractfile(entry)).convert("RGB")  # type: ignore[arg-type]
                    found.append(np.asarray(image.resize((size, size)), np.float32) / 255)
        images = np.stack(found) * np.float32(1 - low) + np.float32(low)
        return Examples(images[:16], images[16:])

    return load


NETWORKS: dict[str, Callable[[Path], Examples]] = {
    "mlperftiny_resnet8_cifar10.h5": _cifar("resnet8"),
    "akamaster_resnet20_cifar10.h5": _cifar("resnet20"),
    "mlperftiny_vww96.h5": _person,
    "mobilenet_v1_0.25_224_imagenet.h5": _imagenet,
    "deeplabv3_mnv2_dm05_pascal_keras.h5": _photographs(513, -1.0),
    "yolo_fastest_1_1_coco80_320.h5": _photographs(320, 0.0),
}


def main() -> int:
    """Makes the rows that are missing, then prints or writes the table.

    Returns:
      The exit code.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--only", default="", help="files whose name holds this")
    parser.add_argument("--one", help="measure this file and print its figures as JSON")
    parser.add_argument("--table", action="store_true", help="print what there is")
    parser.add_argument("--write", action="store_true", help=f"put the table into {PAGE}")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(figures(options.one, options.data)))
        return 0
    for name in NETWORKS:
        if not options.table and options.only in name:
            print(f"{name} ...", flush=True)
            kept_row(settings_of(name), lambda name=name: _in_a_process(name, options.data))
    print(table())
    if options.write:
        write_table(PAGE, "given", table())
    return 0


def settings_of(name: str) -> dict[str, Any]:
    """All that decides a row."""
    return {"name": "given-models", "model": name, "recipe": RECIPE}


def _in_a_process(name: str, folder: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "results.given_models", "--one", name, "--data", str(folder)]
    run = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return found


def figures(name: str, folder: Path) -> dict[str, Any]:
    """Takes one network through all steps."""
    import tf_keras as keras

    import oaq_keras
    from oaq_keras.flatbuffer import read_model
    from oaq_keras.graph import build_model
    from oaq_keras.quantization import graph_of
    from tests.layer_codes import compare_layers

    keras.utils.set_random_seed(1)
    given = keras.models.load_model(folder / "models" / name, compile=False)
    examples = NETWORKS[name](folder)
    expected = _answers(given, examples.test)
    built = _answers(build_model(graph_of(given)), examples.test)

    model = oaq_keras.quantize(given)
    targets: Any = examples.train_labels
    probabilities = bool(np.allclose(expected[0].sum(-1), 1.0, atol=1e-3))
    loss: Any = "mse"
    if targets is None:
        targets = given.predict(examples.train, batch_size=BATCH, verbose=0)
    else:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=not probabilities)
    model.compile(keras.optimizers.Adam(RATE), loss)
    model.fit(examples.train, targets, batch_size=BATCH, verbose=0)
    content = oaq_keras.convert(model)
    certificate = oaq_keras.certify(content)
    few = examples.test[:2]
    compared = list(compare_layers(model, oaq_keras.convert(model, ops="builtin"), few))
    answered = _answers_of_file(content, examples.test)
    return {
        "layers": len(certificate.layers),
        "proven_layers": certificate.summary().proven_layers,
        "macs": certificate.summary().macs,
        "proven": certificate.summary().proven,
        "float": sum(len(each.kinds) for each in float_operators(read_model(content))),
        "apart": float(max(np.abs(a - b).max() for a, b in zip(built, expected, strict=True))),
        "largest": float(max(np.abs(a).max() for a in expected)),
        "equal": sum(each.counts.get(0, 0) for each in compared)
        / sum(each.codes for each in compared),
        "most": max(each.largest for each in compared),
        "images": len(examples.test),
        "accuracy": [
            _accuracy(found[0], examples.test_labels) for found in (expected, built, answered)
        ],
    }


def _answers(model: Any, inputs: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    found = model.predict(inputs, batch_size=BATCH, verbose=0)
    return found if isinstance(found, list) else [found]


def _answers_of_file(content: bytes, inputs: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    import oaq_keras

    interpreter = oaq_keras.Interpreter(model_content=content)
    source = interpreter.get_input_details()[0]["index"]
    targets = [each["index"] for each in interpreter.get_output_details()]
    interpreter.allocate_tensors()
    found: list[list[Any]] = [[] for _ in targets]
    for image in inputs:
        interpreter.set_tensor(source, image[None])
        interpreter.invoke()
        for answers, target in zip(found, targets, strict=True):
            answers.append(interpreter.get_tensor(target)[0])
    return [np.stack(answers) for answers in found]


def _accuracy(answers: NDArray[np.float32], labels: NDArray[np.int64] | None) -> float | None:
    return None if labels is None else float((answers.argmax(-1) == labels).mean())


def table() -> str:
    """Markdown of the rows that there are."""
    lines = [
        "| file | MACs | layers proven, T = 16 | MACs proven | operators in float | codes equal "
        "| built anew: largest difference | float | built anew | int8 file |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name in NETWORKS:
        row = find_row(settings_of(name))
        if row is None:
            continue
        shares = ["" if each is None else f"{100 * each:.2f} %" for each in row["accuracy"]]
        cells = [name, f"{row['macs'] / 1e6:.1f} M", f"{row['proven_layers']} of {row['layers']}"]
        cells += [f"{100 * row['proven']:.1f} %", str(row["float"]), f"{100 * row['equal']:.4f} %"]
        cells += [f"{row['apart']:.1e} of {row['largest']:.3g}", *shares]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
