# SPDX-License-Identifier: Apache-2.0
"""Runs a folder of cases in an emulated Python, and sums up what it answers."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from oaq_keras.plan import ISAS
from tests.arm import emulated, oaq_arm

_ANSWER = Path(__file__).resolve().parent / "answer.py"


@dataclass
class Found:
    """What an emulated CPU answered.

    Attributes:
      isas: what our library has there.
      counts: cases, runs, codes compared, operators of the runtime's that differ, and files that
        it is too old for.
      differences: of each case that is wrong, or why the program ended early.
    """

    isas: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)


def missing(target: oaq_arm.Target) -> str:
    """Why a target can't run Python; empty where it can."""
    if not (target.folder / oaq_arm.LIBRARY).is_file():
        return "needs `make arm`"
    if not emulated.Place(target).stamp.is_file():
        return "needs `make arm-fetch`"
    return oaq_arm.missing(target)


def run(target: oaq_arm.Target, cpu: str, folder: Path) -> Found:
    """The cases of a folder on one emulated CPU."""
    library = str(target.folder / oaq_arm.LIBRARY)
    command = [*emulated.python(target, cpu), str(_ANSWER), str(folder), library, *ISAS]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = Found()
    for line in done.stdout.splitlines():
        if not line.startswith("{"):
            continue
        said = json.loads(line)
        if "isas" in said:
            found.isas = said["isas"]
            continue
        names = ("runs", "compared", "runtime_differs", "refused")
        found.counts.update({"cases": 1, **{name: said[name] for name in names}})
        if said["difference"]:
            found.differences.append(f"{cpu}: {said['case']}: {said['difference']}")
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]
        found.differences.append(f"{cpu}: stopped after {found.counts['cases']} cases: {last}")
    return found
