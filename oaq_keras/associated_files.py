# SPDX-License-Identifier: Apache-2.0
"""Files that travel with a model: TFLite appends label files and the like to it, as a zip."""

from __future__ import annotations

import io
import zipfile
import zlib

from oaq_keras.errors import ModelFileError


def keep_associated_files(original: bytes, changed: bytes) -> bytes:
    """Appends the archive behind one file to a changed copy of it.

    Args:
      original: a .tflite file, with or without an archive behind it.
      changed: another, without one.

    Returns:
      `changed` with the same files behind it, `changed` itself where there are none.

    Raises:
      ModelFileError: the archive is damaged.
    """
    if not zipfile.is_zipfile(io.BytesIO(original)):
        return changed
    target = io.BytesIO(changed)
    try:
        with (
            zipfile.ZipFile(io.BytesIO(original)) as given,
            # Appending counts offsets from the start of the file, as TFLite's readers expect.
            zipfile.ZipFile(target, "a") as kept,
        ):
            for entry in given.infolist():
                kept.writestr(entry, given.read(entry))
    except (
        zipfile.BadZipFile,
        zlib.error,
        NotImplementedError,
        RuntimeError,
        ValueError,
        EOFError,
    ) as error:
        raise ModelFileError(
            f"the files behind the model (a zip) are damaged: {error}; fetch the model again"
        ) from error
    return target.getvalue()
