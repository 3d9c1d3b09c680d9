# SPDX-License-Identifier: Apache-2.0
"""Files that a run which is stopped leaves whole, or not at all."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any


def write_whole(path: Path, content: bytes | str) -> None:
    """Puts a file in place of another, which stays as it is until the new one is complete."""
    made = path.with_name(f"{path.name}.part")
    made.write_bytes(content.encode() if isinstance(content, str) else content)
    made.replace(path)


def read_notes(path: Path) -> dict[str, Any]:
    """An object of a JSON file; empty where there is none, or it is damaged."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def fingerprint(settings: Any) -> str:
    """Twelve hexadecimal digits that differ where settings, which JSON has, differ."""
    return sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
