# SPDX-License-Identifier: Apache-2.0
"""Find and bind the C library with the delegate."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from oaq_keras._compat import delegate_pointer
from oaq_keras.errors import LibraryError

VARIABLE = "OAQ_LIBRARY"
NAME = "liboaq_tflite.so"

_FUNCTIONS = (
    "tflite_plugin_create_delegate",
    "tflite_plugin_destroy_delegate",
    "oaq_delegate_plan_json",
    "oaq_version",
)


def library_path() -> Path:
    """Where the C library is: OAQ_LIBRARY, else in this package, else where it was installed.

    Raises:
      LibraryError: it is in none of these places.
    """
    override = os.environ.get(VARIABLE)
    if override:
        path = Path(override)
        if not path.is_file():
            raise LibraryError(f"{VARIABLE} is {override!r}, which is no file; correct or unset it")
        return path
    candidates = list(_candidates())
    for path in candidates:
        if path.is_file():
            return path
    folders = dict.fromkeys(str(path.parent) for path in candidates)
    raise LibraryError(
        f"{NAME} was not found in {' or '.join(folders)}; install "
        "a wheel for this platform, or build tflite_kernels with CMake and set "
        f"{VARIABLE} to the library. Training, convert and certify work without it"
    )


def load(path: str | os.PathLike[str] | None = None) -> Library:
    """Load the C library and check that it is ours.

    Args:
      path: the shared library; found by `library_path` by default.

    Raises:
      LibraryError: it is missing, does not load, or lacks a function.
    """
    return _load(str(library_path() if path is None else path))


class Library:
    """The C library's functions beside those that a delegate loader calls."""

    def __init__(self, path: str, functions: Any) -> None:
        self.path = path
        self._plan_json = functions.oaq_delegate_plan_json
        self._plan_json.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
        self._plan_json.restype = ctypes.c_size_t
        self._version = functions.oaq_version
        self._version.argtypes = []
        self._version.restype = ctypes.c_char_p

    @property
    def version(self) -> str:
        """The library's version."""
        return str(self._version().decode())

    def plan_json(self, delegate: Any) -> str:
        """What a delegate of this library decided, as JSON (docs/format.md)."""
        pointer = delegate_pointer(delegate)
        length = self._plan_json(pointer, None, 0)
        buffer = ctypes.create_string_buffer(length + 1)
        self._plan_json(pointer, buffer, length + 1)
        return buffer.value.decode("utf-8", "replace")


def _candidates() -> Iterator[Path]:
    yield Path(__file__).parent / "lib" / NAME
    try:
        # An editable install leaves the sources where they are and the library in site-packages.
        installed = metadata.distribution("oaq-keras").locate_file(f"oaq_keras/lib/{NAME}")
    except metadata.PackageNotFoundError:
        return
    yield Path(str(installed))


@cache
def _load(path: str) -> Library:
    try:
        functions = ctypes.CDLL(path)
    except OSError as error:
        raise LibraryError(
            f"{path} does not load on this machine: {error}; install a wheel for this platform"
        ) from error
    missing = [name for name in _FUNCTIONS if not hasattr(functions, name)]
    if missing:
        raise LibraryError(
            f"{path} has no {missing[0]}: it is another library, or of another version of "
            "oaq-keras; install both from one release"
        )
    return Library(path, functions)
