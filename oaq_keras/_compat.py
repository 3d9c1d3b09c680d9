# SPDX-License-Identifier: Apache-2.0
"""The only place where private names of other packages are used: which, since when, and why."""

from __future__ import annotations

import ctypes
from typing import Any


def delegate_pointer(delegate: Any) -> ctypes.c_void_p:
    """The TfLiteDelegate* behind a loaded delegate.

    ai-edge-litert 2.0.3 to 2.3, tf.lite and tflite-runtime: `_get_native_delegate_pointer` of
    `interpreter.Delegate`. There is no public way, and our library's own functions take it.
    """
    return ctypes.c_void_p(delegate._get_native_delegate_pointer())
