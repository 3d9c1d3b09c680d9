# SPDX-License-Identifier: Apache-2.0
"""A runtime's cells of the matrix, in a process of its own: prints a JSON object a line.

answer.py JOBS.json, where the file names runtime and library, and for each job way, model, image
and delegate options. An object has the output's codes, and the delegate's plan where there is one.
Needs numpy and the runtime alone.
"""

import ctypes
import json
import sys
from pathlib import Path

import numpy as np
from c_runtime import infer, read_plan

ADD_CUSTOM = "_ZN6tflite17MutableOpResolver9AddCustomEPKcPK18TfLiteRegistrationi"
REGISTRATIONS = {
    b"OaqConv2D": "oaq_register_conv_2d",
    b"OaqDepthwiseConv2D": "oaq_register_depthwise_conv_2d",
    b"OaqFullyConnected": "oaq_register_fully_connected",
    b"OaqTransposeConv": "oaq_register_transpose_conv",
}


def main() -> None:
    """Runs the jobs."""
    task = json.loads(Path(sys.argv[1]).read_text())
    run = _c_runtime(task) if task["runtime"] == "c" else _python(task)
    for job in task["jobs"]:
        codes, plan = run(job, np.load(job["image"]))
        print(json.dumps({"codes": codes.reshape(-1).tolist(), "plan": plan}), flush=True)


def _c_runtime(task):  # type: ignore[no-untyped-def]
    def run(job, image):  # type: ignore[no-untyped-def]
        content = Path(job["model"]).read_bytes()
        runtime, ours = task["c_library"], task["library"]
        return infer(runtime, ours, REGISTRATIONS, content, image, job["way"], job["options"])

    return run


def _python(task):  # type: ignore[no-untyped-def]
    exporter = None
    if task["runtime"] == "tf.lite":
        import tensorflow as tf
        from tensorflow.lite.python import interpreter as module

        load, resolver = tf.lite.experimental.load_delegate, tf.lite.experimental.OpResolverType
        exporter = Path(tf.__file__).parent / "libtensorflow_cc.so.2"
    elif task["runtime"] == "tflite-runtime":
        import tflite_runtime
        from tflite_runtime import interpreter as module

        load, resolver = module.load_delegate, module.OpResolverType
        (exporter,) = Path(tflite_runtime.__file__).parent.glob("_pywrap_*interpreter_wrapper*.so")
    else:
        from ai_edge_litert import interpreter as module

        load, resolver = module.load_delegate, module.OpResolverType
    library = ctypes.CDLL(task["library"])

    def register(address):  # type: ignore[no-untyped-def]
        add = getattr(ctypes.CDLL(str(exporter)), ADD_CUSTOM)
        for name, function in REGISTRATIONS.items():
            registration = getattr(library, function)
            registration.restype = ctypes.c_void_p
            add(ctypes.c_void_p(address), name, ctypes.c_void_p(registration()), 1)

    def run(job, image):  # type: ignore[no-untyped-def]
        settings = {
            "model_path": job["model"],
            "num_threads": int(job["options"]["num_threads"]),
            "experimental_op_resolver_type": resolver.BUILTIN_REF,
        }
        delegate = None
        if job["way"] == "AddCustom":
            settings["custom_op_registerers"] = [register]
            interpreter = module.InterpreterWithCustomOps(**settings)
        else:
            if job["way"] == "delegate":
                delegate = load(task["library"], job["options"])
                settings["experimental_delegates"] = [delegate]
            interpreter = module.Interpreter(**settings)
        interpreter.allocate_tensors()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
        interpreter.invoke()
        codes = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
        if delegate is None:
            return codes, None
        pointer = ctypes.c_void_p(delegate._get_native_delegate_pointer())
        return codes, read_plan(library, pointer)

    return run


main()
