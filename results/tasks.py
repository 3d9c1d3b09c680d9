# SPDX-License-Identifier: Apache-2.0
"""The tasks of `examples/` on the data beside the project: the rows of docs/results.json.

    python -m results.tasks --data ../shared/data [--only camvid] [--quick]

Archives are unpacked into build/results/tasks/data, in the formats that the examples read. A run
that was stopped goes on where it was, and a row that is there is not made again.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

FOLDER = Path("build/results/tasks")
PICTURES = Path("docs/img")
EXAMPLES = Path("examples")
_TARS = ("bccd_voc", "camvid_240x180_train_val", "coco128_voc20")
GIVEN = ("models", *(f"{name}.tar" for name in _TARS))
"""What the data folder has, among others."""


@dataclass(frozen=True)
class Run:
    """An example with what it is told.

    Attributes:
      name: of the run and of its folder.
      script: in examples/.
      arguments: of the script; {models} and {data} stand for folders.
      shown: pictures for docs/img, of those that it saves; the data's licence has to allow it.
      seeds: how often it is done, with seeds from 1 on.
    """

    name: str
    script: str
    arguments: str
    shown: tuple[str, ...] = ()
    seeds: int = 1


_IMAGENET = (
    "--data {data}/imagenet --names {data}/imagenet/names.txt --pixels signed --distill "
    "--learning_rate 3e-5 --batch 10 --epochs 8"
)
RUNS = (
    Run(
        "cifar10-resnet8",
        "classification.py",
        "--data {data}/cifar10.npz --model {models}/mlperftiny_resnet8_cifar10.h5 --pixels raw "
        "--augment --epochs 3 --learning_rate 3e-4 --batch 64",
        seeds=3,
    ),
    Run(
        "cifar10-resnet20",
        "classification.py",
        "--data {data}/cifar10.npz --model {models}/akamaster_resnet20_cifar10.h5 --augment "
        "--pixels normalized --epochs 3 --learning_rate 3e-4 --batch 64",
        seeds=3,
    ),
    Run(
        "vww",
        "classification.py",
        "--data {data}/vww96.npz --model {models}/mlperftiny_vww96.h5 --pixels unit --augment "
        "--distill --epochs 20 --learning_rate 1e-4 --batch 16",
    ),
    Run(
        "imagenet-mobilenet-v1",
        "classification.py",
        f"{_IMAGENET} --model {{data}}/mobilenet_v1_0.25_224_imagenet.h5",
    ),
    Run(
        "imagenet-mobilenet-v2",
        "classification.py",
        f"{_IMAGENET} --model {{data}}/mobilenet_v2_1.0_224_imagenet.h5",
    ),
    Run(
        "voc20-yolo-fastest",
        "detection.py",
        "--network yolo_fastest --data {data}/coco128 --annotations Annotations_voc20 "
        "--weights {models}/yolo_fastest_1_1_coco80_320.h5 --names {data}/coco128/coco80_names.txt "
        "--scored {data}/coco128/voc20_names.txt --epochs 10",
    ),
    Run(
        "bccd-ssdlite",
        "detection.py",
        "--network ssdlite --data {data}/BCCD --names {data}/BCCD/names.txt --train trainval "
        "--test test --weights {models}/mobilenetv2_1.0_224_from_int8.npz --epochs 6",
        shown=("detection_0_stock.jpg", "detection_0_ours.jpg"),
    ),
    Run(
        "voc21-deeplab",
        "segmentation.py",
        "--network deeplab --data {data}/coco128 --masks SegmentationClass_voc21 "
        "--weights {models}/deeplabv3_mnv2_dm05_pascal_keras.h5 --epochs 3",
    ),
    Run(
        "camvid-mobilenet-v2",
        "segmentation.py",
        "--network mobilenet_v2 --data {data}/camvid --classes 11 --void 11 --pictures {{split}} "
        "--masks {{split}}annot --weights {models}/mobilenetv2_1.0_224_from_int8.npz --batch 8 "
        "--epochs 6",
    ),
    Run("camvid-fsrcnn", "super_resolution.py", "--data {data}/camvid"),
)


def main() -> int:
    """Makes the rows that are missing.

    Returns:
      The exit code: how many runs failed.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--only", default="", help="runs whose name holds this")
    parser.add_argument("--quick", action="store_true", help="a few examples; no row is written")
    options = parser.parse_args()
    chosen = [run for run in RUNS if options.only in run.name]
    if not chosen:
        sys.exit(f"No run has {options.only!r} in its name: {', '.join(r.name for r in RUNS)}.")
    if not EXAMPLES.is_dir():
        sys.exit("There is no folder examples here: start in the project's own folder.")
    absent = [name for name in GIVEN if not (options.data / name).exists()]
    if absent:
        sys.exit(f"--data {options.data} lacks {', '.join(absent)}; expected the data folder.")
    unpack(options.data, FOLDER / "data")
    failed = 0
    for run in chosen:
        print(f"\n## {run.name}", flush=True)
        seeds = range(1, 2 if options.quick else run.seeds + 1)
        commands = [command(run, options.data, options.quick, seed) for seed in seeds]
        made = all(subprocess.run(each, check=False).returncode == 0 for each in commands)
        failed += not made
        if made and not options.quick:
            write_row(run)
            PICTURES.mkdir(parents=True, exist_ok=True)
            for name in run.shown:
                shutil.copy(FOLDER / run.name / name, PICTURES / f"{run.name}-{name}")
    return failed


def command(run: Run, given: Path, quick: bool, seed: int = 1) -> list[str]:
    """What starts a run."""
    told = run.arguments.format(data=FOLDER / "data", models=given / "models").split()
    told += ["--seed", str(seed), "--output", str(output(run, seed))]
    return [sys.executable, str(EXAMPLES / run.script), *told, *(["--quick"] if quick else [])]


def output(run: Run, seed: int = 1) -> Path:
    """Where a run keeps its files."""
    return FOLDER / (run.name + (f"-seed{seed}" if seed > 1 else ""))


def write_row(run: Run) -> None:
    """Puts the row of a run, of all its seeds, into docs/results.json and docs/results.md."""
    sys.path.insert(0, str(EXAMPLES))  # its helpers are copied by users, not installed
    from helpers.results import with_seeds, written

    kept = (output(run, seed) / "row.json" for seed in range(1, run.seeds + 1))
    written(with_seeds([json.loads(file.read_text())["row"] for file in kept]))


def unpack(given: Path, folder: Path) -> None:
    """Puts archives where and as the examples read them, unless it was done.

    Args:
      given: folder with the archives and `models`.
      folder: to unpack to.
    """
    done = folder / "complete"
    if done.is_file():
        return
    folder.mkdir(parents=True, exist_ok=True)
    print(f"Unpacking {given} to {folder} ...", flush=True)
    for name in _TARS:
        with tarfile.open(given / f"{name}.tar") as archive:
            archive.extractall(folder, filter="data")
    (folder / "BCCD" / "names.txt").write_text("RBC\nWBC\nPlatelets\n")
    _imagenet(given, folder / "imagenet")
    _cifar10(given, folder / "cifar10.npz")
    _visual_wake_words(given, folder / "vww96.npz")
    _mobilenets(given, folder)
    done.touch()


def _imagenet(given: Path, folder: Path) -> None:
    """A folder for each class, by its number, which the pictures' names begin with."""
    archives = {"train": "imagenet1000_samples224_even", "val": "imagenet_val_10classes_a"}
    for split, name in archives.items():
        with tarfile.open(given / f"{name}.tar") as archive:
            for entry in archive.getmembers():
                path = Path(entry.name)
                file = archive.extractfile(entry) if path.suffix == ".jpg" else None
                if file is not None:
                    target = folder / split / path.name[:4] / path.name
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(file.read())
    (folder / "names.txt").write_text("".join(f"{place:04}\n" for place in range(1000)))


def _cifar10(given: Path, target: Path) -> None:
    from results.cifar10 import load_data

    data = load_data(given, "resnet8")
    images = {
        f"x_{part}": getattr(data, f"x_{part}").astype(np.uint8) for part in ("train", "test")
    }
    np.savez(target, y_train=data.y_train, y_test=data.y_test, **images)


def _visual_wake_words(given: Path, target: Path) -> None:
    with np.load(given / "vww96_from_coco128.npz", allow_pickle=False) as archive:
        images, labels = archive["x"], archive["y"].astype(np.int64)
        held = np.char.startswith(archive["name"], "val")
    np.savez(
        target,
        x_train=images[~held],
        y_train=labels[~held],
        x_test=images[held],
        y_test=labels[held],
    )


def _mobilenets(given: Path, folder: Path) -> None:
    """With each channel's kernel of one size, and statistics for BatchNormalization.

    The given weights have V2's folded away; V1's kernels are so uneven from channel to channel that
    one scale for all of them, which tfmot has, leaves nothing of most.
    """
    sys.path.insert(0, str(EXAMPLES))  # its helpers are copied by users, not installed
    import tf_keras as keras
    from helpers.backbone import unfold

    from results import imagenet

    name = "mobilenet_v1_0.25_224_imagenet.h5"
    models = {
        name: keras.models.load_model(given / "models" / name, compile=False),
        "mobilenet_v2_1.0_224_imagenet.h5": imagenet.mobilenet_v2(given),
    }
    pictures = imagenet.scaled(imagenet.calibration_images(given)[:64])
    for name, model in models.items():
        unfold(model, pictures)
        model.save(folder / name)


if __name__ == "__main__":
    sys.exit(main())
