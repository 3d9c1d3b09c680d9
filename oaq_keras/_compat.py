# SPDX-License-Identifier: Apache-2.0
"""The only place where private names of other packages are used: which, since when, and why."""

from __future__ import annotations

import ctypes
from typing import Any, TypeVar

_Class = TypeVar("_Class", bound=type)


def delegate_pointer(delegate: Any) -> ctypes.c_void_p:
    """The TfLiteDelegate* behind a loaded delegate.

    ai-edge-litert 2.0.3 to 2.3, tf.lite and tflite-runtime: `_get_native_delegate_pointer` of
    `interpreter.Delegate`. There is no public way, and our library's own functions take it.
    """
    return ctypes.c_void_p(delegate._get_native_delegate_pointer())


def outlives_backup(model_class: _Class) -> _Class:
    """Lets a model that was fitted with `BackupAndRestore` be fitted again.

    tf_keras 2.16 to 2.21: at the end of `fit` that callback deletes `Model._training_state`, which
    every `fit` reads. Behind the deleted attribute there is then one of the class.
    """
    model_class._training_state = None  # type: ignore[attr-defined]
    return model_class
