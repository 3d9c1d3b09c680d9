# SPDX-License-Identifier: Apache-2.0
"""The code of docs/workflows.md, from top to bottom."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("tensorflow")

PAGE = Path(__file__).parents[1] / "docs" / "workflows.md"


def test_the_pages_code_runs(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) > 4
    (tmp_path / "page.py").write_text("\n".join(blocks))
    # set_seed is for the whole process.
    run = subprocess.run(
        [sys.executable, "page.py"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(PAGE.parents[1]), "PATH": "", "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-2000:]
