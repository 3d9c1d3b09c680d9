# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
import zipfile

import pytest

from oaq_keras.associated_files import keep_associated_files
from oaq_keras.certification import attach_certificate, certify
from oaq_keras.errors import ModelFileError
from oaq_keras.rewrite import to_builtin_ops, to_custom_ops
from tests.models import small_network

LABELS = {"labels.txt": b"cat\ndog\n" * 300, "empty.txt": b""}


@pytest.fixture
def labelled() -> bytes:
    target = io.BytesIO(small_network(largest=15))
    with zipfile.ZipFile(target, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, content in LABELS.items():
            archive.writestr(name, content)
    return target.getvalue()


def files_of(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def test_every_rewriting_keeps_the_files_behind_a_model(labelled: bytes) -> None:
    custom = to_custom_ops(labelled)
    certified = attach_certificate(custom, certify(custom))
    for content in (custom, certified, to_builtin_ops(certified)):
        assert files_of(content) == LABELS
        first = zipfile.ZipFile(io.BytesIO(content)).infolist()[0]
        assert content[first.header_offset :].startswith(b"PK")


def test_models_without_files_get_none() -> None:
    assert keep_associated_files(b"a", b"b") == b"b"


def test_a_damaged_archive_is_an_error(labelled: bytes) -> None:
    position = labelled.rindex(b"labels.txt", 0, len(labelled) - 200) + 20
    damaged = labelled[:position] + b"\xff" * 8 + labelled[position + 8 :]
    with pytest.raises(ModelFileError, match="damaged"):
        keep_associated_files(damaged, b"")
