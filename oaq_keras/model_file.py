# SPDX-License-Identifier: Apache-2.0
"""A .tflite file as bytes, whatever it was given as."""

from __future__ import annotations

import os
from pathlib import Path

from oaq_keras.errors import ModelFileError

Source = bytes | bytearray | memoryview | str | os.PathLike[str]

IDENTIFIER = b"TFL3"
_OAQ_OPERATORS = (b"OaqConv2D", b"OaqDepthwiseConv2D", b"OaqFullyConnected", b"OaqTransposeConv")


def load_bytes(source: Source) -> bytes:
    """The bytes of a model given as bytes or as a path.

    Raises:
      ModelFileError: the file cannot be read.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source)
    if not isinstance(source, str | os.PathLike):
        raise ModelFileError(
            f"a model was given as {type(source).__name__}; pass the bytes of a .tflite file, or "
            "its path"
        )
    try:
        return Path(source).read_bytes()
    except (OSError, ValueError) as error:
        raise ModelFileError(f"{os.fspath(source)!r} cannot be read: {error}") from error


def check_identifier(content: bytes) -> None:
    """Refuses what is no TFLite model by its first bytes.

    Raises:
      ModelFileError: they are another file's.
    """
    if len(content) < 8 or content[4:8] != IDENTIFIER:
        raise ModelFileError(
            f"not a TFLite model: bytes 4 to 8 are {content[4:8]!r}, expected {IDENTIFIER!r} "
            f"({len(content)} bytes given); pass a .tflite file"
        )


def names_oaq_operators(content: bytes) -> bool:
    """Whether a file names an Oaq operator; it takes no schema to say so.

    A name stands before a zero byte, as strings do in these files.
    """
    return any(name + b"\0" in content for name in _OAQ_OPERATORS)
