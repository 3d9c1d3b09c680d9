# SPDX-License-Identifier: Apache-2.0
"""Whether what is traced is for the converter to see."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_exporting: ContextVar[bool] = ContextVar("oaq_keras_exporting", default=False)


@contextmanager
def exporting() -> Iterator[None]:
    """Inside, layers and quantizers trace what the converter is to see, which is not to be run."""
    token = _exporting.set(True)
    try:
        yield
    finally:
        _exporting.reset(token)


def is_exporting() -> bool:
    """Whether a trace is for the converter."""
    return _exporting.get()
