# SPDX-License-Identifier: Apache-2.0
"""Classifies what a camera or files show, in a terminal: stock kernels and ours, side by side.

    python classify.py MODEL --labels names.txt picture.jpg folder/ ...
    python classify.py MODEL --labels names.txt --camera

Of every frame: its class, and frames per second of stock kernels (LiteRT's, with XNNPACK) and of
ours; medians at the end. It takes oaq-keras's wheel and Pillow, no TensorFlow, and for the camera
picamera2, which Raspberry Pi OS has. MODEL is an int8 classifier, best with builtin operators
(`oaq convert IN OUT --ops builtin`), which both can run.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

import oaq_keras
from oaq_keras.model_file import names_oaq_operators

try:
    from ai_edge_litert.interpreter import Interpreter as Stock
except ModuleNotFoundError:  # 32-bit ARM
    from tflite_runtime.interpreter import Interpreter as Stock

PIXELS = {"raw": (1.0, 0.0), "unit": (1 / 255, 0.0), "signed": (1 / 127.5, -1.0)}
"""What a network wants 0 to 255 multiplied by and shifted by."""
SIDES = ("stock", "ours")


def main() -> int:
    """Classifies frame after frame.

    Returns:
      The exit code: 1 where no frame could be classified.
    """
    options = arguments()
    try:
        labels = read_labels(options.labels)
        made = interpreters(options)
        pixels = scaling(made["ours"], options.pixels)
        check_labels(labels, made["ours"])
    except (oaq_keras.errors.OaqError, OSError, UnicodeDecodeError, ValueError) as error:
        print(f"classify.py: {error}", file=sys.stderr)
        return 1
    source = camera(made["ours"]) if options.camera else pictures(options.files)
    times: dict[str, list[float]] = {name: [] for name in SIDES}
    try:
        for count, (name, picture) in enumerate(source, 1):
            frame = as_input(picture, made["ours"], pixels)
            # By turns, so that neither has the warmer caches.
            for each in SIDES[:: 1 if count % 2 else -1]:
                seconds, answer = timed(made[each], frame)
                times[each].append(seconds)
            best = int(answer.argmax())
            fps = ", ".join(f"{each} {1 / spent[-1]:6.1f} fps" for each, spent in times.items())
            print(
                f"{name:24.24}  {label(labels, best):24.24} {answer[best]:4.0%}  {fps}", flush=True
            )
            if count == options.frames:
                break
    except KeyboardInterrupt:
        print()
    if not times["ours"]:
        print("No picture could be classified.", file=sys.stderr)
        return 1
    stock, ours = (statistics.median(times[name]) for name in SIDES)
    print(f"\nmedian of {len(times['ours'])} frames, {options.threads} threads: ", end="")
    print(f"stock {1 / stock:.1f} fps, ours {1 / ours:.1f} fps: {stock / ours:.2f}x")
    return 0


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("files", type=Path, nargs="*", help="pictures, or folders of them")
    parser.add_argument("--camera", action="store_true", help="the camera in place of files")
    parser.add_argument("--labels", type=Path, help="a text file, a class a line")
    parser.add_argument(
        "--pixels",
        choices=PIXELS,
        help="what the network was trained on: 0 to 255, 0 to 1, -1 to 1; of 8-bit inputs by "
        "default the whole range of codes",
    )
    parser.add_argument("--threads", type=positive, default=1)
    parser.add_argument("--plan", choices=("auto", "int16", "exact"), default="auto")
    parser.add_argument("--frames", type=positive, help="to stop after; by default all there are")
    # Options may stand before, between and behind the files.
    options = parser.parse_intermixed_args()
    if options.camera == bool(options.files):
        parser.error("give pictures, or --camera")
    missing = [p for p in (options.model, options.labels, *options.files) if p and not p.exists()]
    if missing:
        parser.error(f"there is no {', '.join(map(str, missing))}")
    return options


def positive(text: str) -> int:
    """A whole number of 1 or more."""
    if (value := int(text)) < 1:
        raise ValueError(text)
    return value


def interpreters(options: argparse.Namespace) -> dict[str, Any]:
    """The model in both, ready to run.

    Raises:
      ValueError: it classifies no pictures.
    """
    content = options.model.read_bytes()
    ours = oaq_keras.Interpreter(
        model_content=content, num_threads=options.threads, builtin=True, plan=options.plan
    )
    builtin = oaq_keras.to_builtin_ops(content) if names_oaq_operators(content) else content
    made = {"ours": ours, "stock": Stock(model_content=builtin, num_threads=options.threads)}
    for interpreter in made.values():
        interpreter.allocate_tensors()
    inputs, outputs = ours.get_input_details(), ours.get_output_details()
    shapes = [detail["shape"].tolist() for detail in (*inputs, *outputs)]
    if (
        (len(inputs), len(outputs)) != (1, 1)
        or len(shapes[0]) != 4
        or shapes[0][0] != 1
        or shapes[0][3] not in (1, 3)
        or shapes[1] != [1, shapes[1][-1]]
    ):
        raise ValueError(
            f"{options.model} has tensors of {shapes}; expected one input [1, height, width, 3 or "
            "1] and one output [1, classes]"
        )
    if all(entry.runs == "stock" for entry in ours.plan()):
        print("None of its layers runs on our kernels: both sides are stock. Is it int8?")
    return made


def scaling(interpreter: Any, pixels: str | None) -> tuple[float, float] | None:
    """What pixels are multiplied by and shifted by; None where they are codes of the input.

    Raises:
      ValueError: nothing says it.
    """
    (detail,) = interpreter.get_input_details()
    if pixels is None and detail["dtype"] == np.float32:
        raise ValueError(
            "the model's input is float, and does not say what it was trained on: give --pixels "
            + ", ".join(PIXELS)
        )
    return None if pixels is None else PIXELS[pixels]


def check_labels(labels: list[str], interpreter: Any) -> None:
    """Says where names and classes differ in number, for then names are most likely shifted."""
    classes = interpreter.get_output_details()[0]["shape"][-1]
    if labels and len(labels) != classes:
        print(f"--labels has {len(labels)} lines, the model {classes} classes: names may be wrong.")


def read_labels(path: Path | None) -> list[str]:
    """Names of the classes; none where no file is given."""
    return path.read_text(encoding="utf-8").splitlines() if path else []


def label(labels: list[str], index: int) -> str:
    """The name of a class, or its number."""
    return labels[index] if index < len(labels) else f"class {index}"


def pictures(paths: list[Path]) -> Iterator[tuple[str, Image.Image]]:
    """Pictures of files and folders; what is no picture is named and left out."""
    for path in paths:
        for file in sorted(path.iterdir()) if path.is_dir() else [path]:
            try:
                with Image.open(file) as picture:
                    yield file.name, picture.convert("RGB")
            except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
                print(f"{file} is left out: {error}", file=sys.stderr)


def camera(interpreter: Any) -> Iterator[tuple[str, Image.Image]]:
    """Frames of the camera, no larger than needed, until Ctrl-C."""
    try:
        from picamera2 import Picamera2
    except (ImportError, ValueError) as error:
        # Modules that were built for another numpy raise ValueError.
        if not isinstance(error, ModuleNotFoundError):
            sys.exit(
                f"picamera2 does not load: {error}. On Raspberry Pi OS 12: `pip install 'numpy<2'`"
            )
        sys.exit(
            "--camera needs picamera2: `sudo apt install python3-picamera2`, in an environment "
            "made by `python3 -m venv --system-site-packages`"
        )
    _, height, width, _ = interpreter.get_input_details()[0]["shape"]
    try:
        opened = Picamera2()
    except (IndexError, RuntimeError) as error:
        sys.exit(
            f"No camera was found ({error}): `rpicam-hello --list-cameras` shows what there is."
        )
    with opened as device:
        size = (max(320, int(width)), max(240, int(height)))
        # Picamera2's BGR888 has red first in memory.
        device.configure(device.create_preview_configuration({"format": "BGR888", "size": size}))
        device.start()
        count = 0
        while True:
            count += 1
            yield f"frame {count}", Image.fromarray(device.capture_array())


def as_input(
    picture: Image.Image, interpreter: Any, pixels: tuple[float, float] | None
) -> np.ndarray:
    """The middle square of a picture, as the network takes it: [1, height, width, 3 or 1]."""
    (detail,) = interpreter.get_input_details()
    _, height, width, channels = detail["shape"]
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    square = picture.crop((left, top, left + side, top + side)).resize((int(width), int(height)))
    values = np.asarray(square.convert("L" if channels == 1 else "RGB"), np.float32)
    values = values.reshape(1, height, width, channels)
    kind = np.dtype(detail["dtype"])
    if kind == np.float32 and pixels:
        return (values * pixels[0] + pixels[1]).astype(np.float32)
    limits = np.iinfo(kind)
    if pixels is None:
        return (values + limits.min).astype(kind)
    scale, zero_point = detail["quantization"]
    codes = np.rint((values * pixels[0] + pixels[1]) / scale + zero_point)
    return np.clip(codes, limits.min, limits.max).astype(kind)


def timed(interpreter: Any, frame: np.ndarray) -> tuple[float, np.ndarray]:
    """Seconds that a frame takes, and the probabilities: [classes]."""
    (before,), (behind,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.set_tensor(before["index"], frame)
    start = time.perf_counter()
    interpreter.invoke()
    seconds = time.perf_counter() - start
    answer = interpreter.get_tensor(behind["index"]).ravel().astype(np.float32)
    scale, zero_point = behind["quantization"]
    return seconds, (answer - zero_point) * scale if scale else answer


if __name__ == "__main__":
    sys.exit(main())
