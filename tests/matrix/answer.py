# SPDX-License-Identifier: Apache-2.0
"""One cell of the matrix, in the runtime's own process: prints the output codes as JSON.

answer.py JOB.json, where the job names runtime, way, library, model, image and delegate options.
Needs numpy and the runtime alone.
"""

import json
import sys
from pathlib import Path

import numpy as np


def main() -> None:
    """Runs the job."""
    job = json.loads(Path(sys.argv[1]).read_text())
    image = np.load(job["image"])
    if job["runtime"] == "c":
        sys.path.insert(0, str(Path(__file__).resolve().parent))
        from c_runtime import infer

        content = Path(job["model"]).read_bytes()
        answer = infer(job["c_library"], job["library"], content, image, job["way"], job["options"])
    else:
        answer = _python(job, image)
    print(json.dumps(answer.reshape(-1).tolist()))


def _python(job, image):  # type: ignore[no-untyped-def]
    if job["runtime"] == "tf.lite":
        import tensorflow as tf

        module, load = tf.lite, tf.lite.experimental.load_delegate
        resolver = {
            "experimental_op_resolver_type": tf.lite.experimental.OpResolverType.BUILTIN_REF
        }
    elif job["runtime"] == "tflite-runtime":
        from tflite_runtime import interpreter as module

        load = module.load_delegate
        resolver = {"experimental_op_resolver_type": module.OpResolverType.BUILTIN_REF}
    else:
        from ai_edge_litert import interpreter as module

        load = module.load_delegate
        resolver = {"experimental_op_resolver_type": module.OpResolverType.BUILTIN_REF}
    delegates = [load(job["library"], job["options"])] if job["way"] == "delegate" else []
    interpreter = module.Interpreter(
        model_path=job["model"],
        experimental_delegates=delegates,
        num_threads=int(job["options"].get("num_threads", 1)),
        **resolver,
    )
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


main()
