# SPDX-License-Identifier: Apache-2.0
"""Stock int8 and ours from the same float weights with the same budget, scored as files."""

import json
import pickle
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras
from numpy.typing import NDArray

import oaq_keras
from helpers.kept_files import fingerprint, read_notes, write_whole
from helpers.stock_ranges import settle
from helpers.tflite_files import answers_of, float_kinds, latencies
from helpers.training import Budget, fitted
from oaq_keras.trained import inflation_bits

FLOAT, STOCK, OURS = "float", "stock", "ours"
_DRAWS = 300


@dataclass(frozen=True)
class Task:
    """What is to be done.

    Attributes:
      name: in tables.
      metric: what `score` is, higher being better.
      model: gives the float tf_keras model.
      train: gives the data of training, batches of inputs and targets, for that model.
      loss: as `compile` takes it, for targets and outputs in the model's order.
      inputs: of the test, float32 [images, ...].
      truth: what is right for them, of whatever kind pickle takes; kept scores are of the same.
      judged: what the outputs, by their names in the float model, come to, image by image.
      score: of what was judged, over all images or some.
      agreement: of one image, how much two networks find the same, 0 to 1.
      show: is given a method's name and what was judged, to save pictures, say; may give further
        figures for the row.
      variants: further ways to train ours, by name: options of `oaq_keras.quantize`.
    """

    name: str
    metric: str
    model: Callable[[], Any]
    train: Callable[[Any], Any]
    loss: Any
    inputs: Sequence[Any]
    truth: Any
    judged: Callable[[dict[str, NDArray[np.float32]]], Sequence[Any]]
    score: Callable[[Sequence[Any], Sequence[int]], float]
    agreement: Callable[[Any, Any], float]
    show: Callable[[str, Sequence[Any]], Mapping[str, float] | None] = lambda method, judged: None
    variants: Mapping[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class File:
    """What a method made.

    Attributes:
      content: the .tflite file; empty where the method refused the network.
      figures: of its training, for the row.
    """

    content: bytes
    figures: dict[str, Any]


def compare(
    task: Task,
    budget: Budget,
    folder: Path,
    depth: int = 16,
    choices: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Trains what is not trained yet, and scores the files; or finds the row of these very files.

    Args:
      task: what is to be done.
      budget: of all trainings.
      folder: for files and backups; a run that was stopped goes on from there.
      depth: accumulation depth T for ours to prove.
      choices: what else decides the row, such as the data; JSON has their values.

    Returns:
      A row of figures, for `results`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    settings = {**(choices or {}), **asdict(budget), "task": task.name, "depth": depth}
    model = task.model()
    methods = [FLOAT, STOCK, OURS, *task.variants]
    files = {m: _file(m, task, model, budget, folder, settings) for m in methods}
    row: dict[str, Any] = {**asdict(budget), "task": task.name, "depth": depth}
    row |= {"metric": task.metric, "images": len(task.inputs), "variants": list(task.variants)}
    kept = folder / "row.json"
    known = {**settings, **{m: sha256(f.content).hexdigest() for m, f in files.items()}}
    known["test"] = _digest(task)
    found = read_notes(kept)
    if found.get("known") == known:
        print(f"Scores of these files are in {kept}.", flush=True)
        return dict(found["row"])
    judged: dict[str, list[Any]] = {}
    for method, file in files.items():
        row[method] = dict(file.figures)
        if not file.content:
            continue
        print(f"{method}: {len(task.inputs)} examples ...", flush=True)
        judged[method] = list(task.judged(answers_of(file.content, task.inputs, model)))
        row[method]["further"] = dict(task.show(method, judged[method]) or {})
        row[method] |= _figures(task, judged[FLOAT], judged[method], file.content)
        if method != FLOAT:
            row[method] |= _proofs(file.content, depth)
    row["interval"] = _interval(task, judged[STOCK], judged[OURS]) if STOCK in judged else None
    timed = {m: files[m].content for m in (STOCK, OURS) if files[m].content}
    for method, milliseconds in latencies(timed, task.inputs[0]).items():
        row[method]["milliseconds"] = milliseconds
    row["digest"] = known[OURS]
    write_whole(kept, json.dumps({"known": known, "row": row}, indent=1))
    return row


def _digest(task: Task) -> str:
    """Of the examples and their truth."""
    digest = sha256(pickle.dumps(task.truth))
    for each in task.inputs:
        digest.update(np.ascontiguousarray(each).tobytes())
    return digest.hexdigest()


def _figures(
    task: Task, expected: Sequence[Any], found: Sequence[Any], content: bytes
) -> dict[str, Any]:
    pairs = zip(expected, found, strict=True)
    return {
        "score": task.score(found, range(len(found))),
        "agreement": float(np.mean([task.agreement(a, b) for a, b in pairs])),
        "bytes": len(content),
    }


def _proofs(content: bytes, depth: int) -> dict[str, Any]:
    summary = oaq_keras.certify(content, depth=depth).summary()
    return {
        "proven": summary.proven_after_first,
        "never_drained": summary.never_drained_after_first,
        "float_operators": float_kinds(content),
    }


def _interval(task: Task, before: Sequence[Any], after: Sequence[Any]) -> list[float]:
    """95 % of what ours has more than stock, by a bootstrap over images."""
    draw = np.random.default_rng(0)
    count = len(before)
    found = []
    for _ in range(_DRAWS):
        chosen = [int(i) for i in draw.integers(count, size=count)]
        found.append(task.score(after, chosen) - task.score(before, chosen))
    low, high = np.nanpercentile(found, [2.5, 97.5])
    return [float(low), float(high)]


def _file(
    method: str, task: Task, model: Any, budget: Budget, folder: Path, settings: dict[str, Any]
) -> File:
    """What a method makes; what is in the folder, if made with these settings."""
    stem = method.replace(", ", "_").replace(" ", "_")
    file, notes = folder / f"{stem}.tflite", folder / f"{stem}.json"
    options = task.variants.get(method, {})
    made_with = {**settings, "options": options}
    known = read_notes(notes)
    if file.is_file() and known.get("made_with") == made_with:
        print(f"{method}: {file}, made before", flush=True)
        return File(file.read_bytes(), known["figures"])
    if method != FLOAT:
        print(f"\n== {task.name}: {method}", flush=True)
    keras.utils.set_random_seed(budget.seed)
    # What was begun with other settings, or from another float network, is not gone on with.
    begun_with = [made_with, sha256(pickle.dumps(model.get_weights())).hexdigest()]
    backup = folder / f"{stem}_backup_{fingerprint(begun_with)}"
    if method == FLOAT:
        made = File(bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert()), {})
    elif method == STOCK:
        made = _stock(task, model, budget, backup)
    else:
        quantized = oaq_keras.quantize(model, depth=settings["depth"], **options)
        fitted(quantized, task.train(model), task.loss, budget, backup)
        bits = inflation_bits(quantized)
        made = File(oaq_keras.convert(quantized), {"weight_bits_given_up": bits})
    notes.unlink(missing_ok=True)
    write_whole(file, made.content)
    write_whole(notes, json.dumps({"made_with": made_with, "figures": made.figures}, indent=1))
    return made


def _stock(task: Task, model: Any, budget: Budget, backup: Path) -> File:
    import tensorflow_model_optimization as tfmot

    try:
        quantized = tfmot.quantization.keras.quantize_model(model)
    except (ValueError, RuntimeError, TypeError, NotImplementedError) as error:
        print(f"tfmot refuses the network: {error}")
        return File(b"", {"refused": str(error)})
    data = task.train(model)
    if not backup.exists():
        settle(quantized, data)
    fitted(quantized, data, task.loss, budget, backup)
    converter = tf.lite.TFLiteConverter.from_keras_model(quantized)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Statistics for quantized inputs")
        return File(bytes(converter.convert()), {})
