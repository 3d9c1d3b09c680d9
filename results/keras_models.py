# SPDX-License-Identifier: Apache-2.0

"""Keras 3's keras.applications through quantize, a training step, convert, certify and a run.

    python -m results.keras_models [--only MobileNet] [--table] [--write]

Weights are random and inputs small: what is shown is that a model goes through, what is proven of
it, what stays in float, and what each step takes. tfmot gets the same models, rebuilt in tf_keras.
Every model runs in a process of its own, whose peak memory is its own; rows are kept.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
import warnings
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from oaq_keras.float_operators import float_operators
from results.rows import find_row, kept_row, write_table

PAGE = "docs/models.md"
RECIPE = 2
"""Goes up with every change that changes what is measured: rows are then made anew."""

CLASSES = 10
SIZES = {
    **dict.fromkeys(("MobileNet", "MobileNetV2", "MobileNetV3Small", "MobileNetV3Large"), 64),
    **dict.fromkeys(("EfficientNetB0", "EfficientNetV2B0", "ResNet50", "ResNet50V2"), 64),
    **dict.fromkeys(("DenseNet121", "VGG16", "ConvNeXtTiny", "NASNetMobile"), 64),
    **dict.fromkeys(("InceptionV3", "Xception"), 96),
}
"""Models, and the width and height of their inputs."""

_IMAGES = 8


def main() -> int:
    """Makes the rows that are missing, then prints or writes the table.

    Returns:
      The exit code.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("--only", default="", help="models whose name holds this")
    parser.add_argument("--one", help="measure this model and print its figures as JSON")
    parser.add_argument("--table", action="store_true", help="print what there is")
    parser.add_argument("--write", action="store_true", help=f"put the table into {PAGE}")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(figures(options.one)))
        return 0
    for name in SIZES:
        if not options.table and options.only in name:
            print(f"{name} ...", flush=True)
            kept_row(settings_of(name), lambda name=name: _in_a_process(name))
    print(table())
    if options.write:
        write_table(PAGE, "models", table())
    return 0


def settings_of(name: str) -> dict[str, Any]:
    """All that decides a row."""
    return {"name": "keras-models", "model": name, "size": SIZES[name], "recipe": RECIPE}


def _in_a_process(name: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "results.keras_models", "--one", name]
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return found


def figures(name: str) -> dict[str, Any]:
    """Takes one model through all steps."""
    import keras

    import oaq_keras
    from tests.layer_codes import compare_layers

    keras.utils.set_random_seed(1)
    size = SIZES[name]
    given = getattr(keras.applications, name)(
        weights=None, input_shape=(size, size, 3), classes=CLASSES
    )
    draw = np.random.default_rng(0)
    images = draw.uniform(0, 255, (_IMAGES, size, size, 3)).astype(np.float32)
    labels = draw.integers(0, CLASSES, _IMAGES)
    steps: dict[str, list[float]] = {}

    def timed(step: str, work: Any) -> Any:
        begun = time.monotonic()
        found = work()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        steps[step] = [round(time.monotonic() - begun, 1), round(peak)]
        return found

    model = timed("quantize", lambda: oaq_keras.quantize(given))
    model.compile(keras.optimizers.SGD(1e-4), keras.losses.SparseCategoricalCrossentropy())
    timed("step", lambda: model.fit(images, labels, batch_size=_IMAGES, verbose=0))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        content = timed("convert", lambda: oaq_keras.convert(model))
    certificate = timed("certify", lambda: oaq_keras.certify(content))
    answers = timed("run", lambda: _run(content, images))
    simulated = model.predict(images, verbose=0)
    compared = list(compare_layers(model, oaq_keras.convert(model, ops="builtin"), images[:2]))
    codes = sum(each.codes for each in compared)
    summary = certificate.summary()
    return {
        "proven": summary.proven,
        "macs": summary.macs,
        "float": _float_operators(content),
        "warned": len(said),
        "equal": sum(each.counts.get(0, 0) for each in compared) / codes,
        "largest": max(each.largest for each in compared),
        "answers": float(np.abs(answers - simulated).max()),
        "steps": steps,
        "tfmot": _tfmot(name, given),
    }


def _float_operators(content: bytes) -> dict[str, int]:
    """How many operators are in float, by the type of layer that they are of."""
    from oaq_keras.flatbuffer import read_model

    found: dict[str, int] = {}
    for each in float_operators(read_model(content)):
        what = each.reason or each.kinds[0]
        found[what] = found.get(what, 0) + len(each.kinds)
    return found


def _run(content: bytes, images: Any) -> Any:
    import oaq_keras

    interpreter = oaq_keras.Interpreter(model_content=content)
    source = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(source, images.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(source, images)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def _tfmot(name: str, given: Any) -> list[str]:
    """What stock does with the model, and with that of the same name in tf_keras."""
    import tensorflow_model_optimization as tfmot
    import tf_keras

    size = SIZES[name]
    said = []
    for model in (
        given,
        getattr(tf_keras.applications, name)(
            weights=None, input_shape=(size, size, 3), classes=CLASSES
        ),
    ):
        try:
            tfmot.quantization.keras.quantize_model(model)
            said.append("quantized")
        except Exception as error:  # whatever it raises is what its users see
            words = " ".join(str(error).replace("|", " ").split())
            said.append(f"refused: {words[:60]}...")
    return said


def table() -> str:
    """Markdown of the rows that there are."""
    lines = [
        "| model | MACs | proven, T = 16 | operators in float | codes equal | quantize | step "
        "| convert | certify | run | tfmot, Keras 3 | tfmot, tf_keras |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|---|",
    ]
    for name in SIZES:
        row = find_row(settings_of(name))
        if row is None:
            continue
        steps = [f"{seconds:.1f} s, {mib} MiB" for seconds, mib in row["steps"].values()]
        cells = [name, f"{row['macs'] / 1e6:.0f} M", f"{100 * row['proven']:.1f} %"]
        cells += [str(sum(row["float"].values())), f"{100 * row['equal']:.4f} %", *steps]
        lines.append(f"| {' | '.join([*cells, *row['tfmot']])} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
