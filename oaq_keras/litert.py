# SPDX-License-Identifier: Apache-2.0
"""The TFLite runtime that Python has here.

LiteRT; or tflite-runtime, its predecessor, for 32-bit ARM, where LiteRT has no package.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from oaq_keras.errors import UnsupportedError

PACKAGES = {"ai-edge-litert": "ai_edge_litert", "tflite-runtime": "tflite_runtime"}
"""Packages and their modules, the best first."""
ADVICE = (
    "`pip install ai-edge-litert`, or on 32-bit ARM, with a Python up to 3.11, "
    "`pip install tflite-runtime==2.14.0 'numpy<2'`"
)


def _found() -> tuple[str, Any]:
    for package, module in PACKAGES.items():
        try:
            return package, import_module(f"{module}.interpreter")
        except ModuleNotFoundError as error:
            if error.name != module:
                raise
    raise UnsupportedError(f"no TFLite runtime is installed: {ADVICE}")


package, interpreter = _found()
