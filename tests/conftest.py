# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import random
from pathlib import Path

import numpy as np
import pytest

# Set before anything imports TensorFlow: it reads them once.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("MPLBACKEND", "agg")


@pytest.fixture(autouse=True)
def _seeds() -> None:
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002, Keras initializers and data pipelines draw from it


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real images and trained models, kept beside the repository where they exist."""
    path = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not path.is_dir():
        pytest.skip(f"needs the images and models of {path}")
    return path
