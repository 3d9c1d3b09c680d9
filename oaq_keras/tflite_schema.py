# SPDX-License-Identifier: Apache-2.0
"""The schema of .tflite files, as classes that flatc generated: LiteRT's.

tflite-runtime, which 32-bit ARM has instead, comes without; running a file takes none.
"""

from __future__ import annotations

from oaq_keras.errors import UnsupportedError

try:
    from ai_edge_litert import schema_py_generated as schema
except ModuleNotFoundError as error:
    if error.name != "ai_edge_litert":
        raise
    raise UnsupportedError(
        "looking into .tflite files takes the Python package ai-edge-litert, which is not here and "
        "which 32-bit ARM does not have: there files can be run (oaq_keras.Interpreter, oaq "
        "benchmark); inspect, check or convert them on another machine"
    ) from error

__all__ = ["schema"]
