# SPDX-License-Identifier: Apache-2.0
"""Classifies what a camera or files show, in a terminal: stock kernels and ours, side by side.

    python classify.py MODEL --labels names.txt picture.jpg folder/ ...
    python classify.py MODEL --labels names.txt --camera

Of every frame: its class, and frames per second of stock kernels (LiteRT's, with XNNPACK) and of
ours; medians at the end. It runs where `pip install oaq-keras pillow` does, needs no TensorFlow,
and takes the camera by picamera2, which Raspberry Pi OS has. MODEL is an int8 classifier, best with
builtin operators (`oaq convert IN OUT --ops builtin`), which both can run.
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

try:
    from ai_edge_litert.interpreter import Interpreter as Stock
except ModuleNotFoundError:  # 32-bit ARM
    from tflite_runtime.interpreter import Interpreter as Stock

PIXELS = {"raw": (1.0, 0.0), "unit": (1 / 255, 0.0), "signed": (1 / 127.5, -1.0)}
"""What a network wants 0 to 255 multiplied by and shifted by."""


def main() -> int:
    """Classifies frame after frame.

    Returns:
      The exit code: 1 where no frame could be classified.
    """
    options = arguments()
    labels = read_labels(options.labels)
    content = options.model.read_bytes()
    builtin = oaq_keras.to_builtin_ops(content) if b"Oaq" in content else content
    made = {
        "stock": Stock(model_content=builtin, num_threads=options.threads),
        "ours": oaq_keras.Interpreter(
            model_content=content, num_threads=options.threads, builtin=True, plan=options.plan
        ),
    }
    for interpreter in made.values():
        interpreter.allocate_tensors()
    source = camera(made["ours"]) if options.camera else pictures(options.files)
    times: dict[str, list[float]] = {name: [] for name in made}
    try:
        for count, (name, picture) in enumerate(source, 1):
            frame = as_input(picture, made["ours"], PIXELS[options.pixels])
            # By turns, so that neither has the warmer caches.
            for each in sorted(made, reverse=count % 2 == 0):
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
    stock, ours = (statistics.median(times[name]) for name in made)
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
    parser.add_argument("--pixels", choices=PIXELS, default="signed", help="of float inputs")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--plan", choices=("auto", "int16", "exact"), default="auto")
    parser.add_argument("--frames", type=int, default=0, help="to stop after; 0: all there are")
    options = parser.parse_args()
    if options.camera == bool(options.files):
        parser.error("give pictures, or --camera")
    missing = [p for p in (options.model, options.labels, *options.files) if p and not p.exists()]
    if missing:
        parser.error(f"there is no {', '.join(map(str, missing))}")
    return options


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
    except ModuleNotFoundError:
        sys.exit(
            "--camera needs picamera2: `sudo apt install python3-picamera2`, in an environment "
            "made by `python3 -m venv --system-site-packages`"
        )
    _, height, width, _ = interpreter.get_input_details()[0]["shape"]
    with Picamera2() as device:
        size = (max(320, int(width)), max(240, int(height)))
        # Picamera2's BGR888 has red first in memory.
        device.configure(device.create_preview_configuration({"format": "BGR888", "size": size}))
        device.start()
        count = 0
        while True:
            count += 1
            yield f"frame {count}", Image.fromarray(device.capture_array())


def as_input(picture: Image.Image, interpreter: Any, pixels: tuple[float, float]) -> np.ndarray:
    """The middle square of a picture, as the network takes it: [1, height, width, 3 or 1]."""
    (detail,) = interpreter.get_input_details()
    _, height, width, channels = detail["shape"]
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    square = picture.crop((left, top, left + side, top + side)).resize((int(width), int(height)))
    values = np.asarray(square.convert("L" if channels == 1 else "RGB"), np.float32)
    values = values.reshape(1, height, width, channels) * pixels[0] + pixels[1]
    kind = np.dtype(detail["dtype"])
    if kind == np.float32:
        return values.astype(np.float32)
    scale, zero_point = detail["quantization"]
    limits = np.iinfo(kind)
    return np.clip(np.rint(values / scale + zero_point), limits.min, limits.max).astype(kind)


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
