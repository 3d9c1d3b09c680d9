# SPDX-License-Identifier: Apache-2.0
"""What `make arm` built, under qemu."""

from __future__ import annotations

import re

import pytest

from tests.arm import oaq_arm

TARGETS = {target.name: target for target in oaq_arm.TARGETS}


@pytest.mark.parametrize("name", TARGETS)
def test_an_old_glibc_is_enough(name: str) -> None:
    library = TARGETS[name].old_glibc / oaq_arm.LIBRARY
    if not library.is_file():
        pytest.skip("needs `make arm-fetch`, for a compiler that knows old glibcs, and `make arm`")
    # Every version that a symbol asks for is a string of the file.
    versions = re.findall(rb"\0GLIBC_(\d+)\.(\d+)", library.read_bytes())
    assert versions
    assert max((int(major), int(minor)) for major, minor in versions) <= oaq_arm.OLD_GLIBC
