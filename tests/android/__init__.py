# SPDX-License-Identifier: Apache-2.0
"""The Android library without an NDK or a device, with what `make android-fetch` fetched."""

import sys
from pathlib import Path

# What makes the archive, and says where things are.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "_build"))

import oaq_android as oaq_android
