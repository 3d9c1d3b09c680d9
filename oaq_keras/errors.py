# SPDX-License-Identifier: Apache-2.0
"""Exceptions of oaq_keras. Each message says what was given, what was expected and what to do."""

from __future__ import annotations

from collections.abc import Sequence


class OaqError(Exception):
    """Base of every error that oaq_keras raises on purpose."""


class ModelFileError(OaqError):
    """The bytes are not a TFLite model, or a model that no runtime could run."""


class UnsupportedError(OaqError):
    """The input is sound, but this package has no way to do what was asked of it."""


class CertificateError(OaqError):
    """A certificate is malformed, differs from the codes in the file, or had to be refused.

    Attributes:
      layers: names of the layers concerned, in execution order; empty where the certificate as a
        whole is at fault.
    """

    def __init__(self, message: str, layers: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.layers: tuple[str, ...] = tuple(layers)


class LibraryError(OaqError):
    """The C library `liboaq_tflite` is missing, or is not what this package expects."""
