# SPDX-License-Identifier: Apache-2.0
"""ARM under emulation: what `make arm` built, and the runtimes that `make arm-fetch` fetched."""

import sys
from pathlib import Path

# Where the targets are described, for the build and for the tests.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "_build"))

import oaq_arm as oaq_arm
