# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import ctypes.util
from pathlib import Path

import pytest

from oaq_keras import library
from oaq_keras.errors import LibraryError


def test_an_override_that_is_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(library.VARIABLE, "no/such/library.so")
    with pytest.raises(LibraryError, match=r"'no/such/library.so', which is no file"):
        library.library_path()


def test_an_override_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "any.so"
    path.write_bytes(b"not a library")
    monkeypatch.setenv(library.VARIABLE, str(path))
    assert library.library_path() == path
    with pytest.raises(LibraryError, match="does not load"):
        library.load()


def test_a_missing_library_says_where_it_was_looked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(library.VARIABLE, raising=False)
    places = [tmp_path / "a" / library.NAME, tmp_path / "b" / library.NAME]
    monkeypatch.setattr(library, "_candidates", lambda: iter(places))
    with pytest.raises(LibraryError, match=f"{places[0].parent} or {places[1].parent}"):
        library.library_path()
    places[1].parent.mkdir()
    places[1].write_bytes(b"")
    assert library.library_path() == places[1]


def test_the_package_is_looked_at_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(library.VARIABLE, raising=False)
    assert next(library._candidates()).parts[-3:] == ("oaq_keras", "lib", library.NAME)


def test_another_library_is_refused() -> None:
    libc = ctypes.util.find_library("c")
    if libc is None:
        pytest.skip("needs a C library to load")
    with pytest.raises(LibraryError, match="has no tflite_plugin_create_delegate"):
        library.load(libc)
