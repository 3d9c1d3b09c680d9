# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: T201, a command
"""Runs models on the installed package, as a user would, inside an emulated Python.

deployed.py FOLDER PLAN with *.tflite in it, each with NAME.npz of its inputs by position. Answers
go to NAME.out.npz, and how many operators ran on 16-bit sums to standard output, as JSON.
"""

import json
import sys
from pathlib import Path

import numpy as np

import oaq_keras


def main() -> None:
    """Runs every model of the folder."""
    folder, plan = Path(sys.argv[1]), sys.argv[2]
    counted = {}
    for path in sorted(folder.glob("*.tflite")):
        interpreter = oaq_keras.Interpreter(model_path=path, plan=plan, builtin=True)
        interpreter.allocate_tensors()
        with np.load(path.with_suffix(".npz")) as arrays:
            for i, detail in enumerate(interpreter.get_input_details()):
                interpreter.set_tensor(detail["index"], arrays[str(i)])
        interpreter.invoke()
        outputs = interpreter.get_output_details()
        answers = {str(i): interpreter.get_tensor(d["index"]) for i, d in enumerate(outputs)}
        np.savez(path.with_suffix(".out.npz"), **answers)
        counted[path.name] = sum(entry.runs == "int16" for entry in interpreter.plan())
    print(json.dumps(counted))


main()
