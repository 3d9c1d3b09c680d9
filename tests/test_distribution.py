# SPDX-License-Identifier: Apache-2.0
"""Trainings on several devices and by several workers: one set of formats, accuracy as on one."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("tensorflow")

import oaq_keras

ROOT = Path(__file__).parents[1]


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _start(kind: str, file: Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.distributed_training", kind, str(file)],
        cwd=ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _accuracy(process: subprocess.Popen[str]) -> float:
    printed, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors[-3000:]
    (found,) = re.findall(r"accuracy ([\d.]+)", printed)
    return float(found)


def _is_proven(file: Path) -> bool:
    return bool(oaq_keras.certify(file.read_bytes()).proven)


def test_two_devices_train_as_one(tmp_path: Path) -> None:
    accuracies = {}
    for kind in ("one", "mirrored"):
        accuracies[kind] = _accuracy(_start(kind, tmp_path / kind))
        assert _is_proven(tmp_path / kind)
    assert abs(accuracies["one"] - accuracies["mirrored"]) < 0.05


def test_workers_come_to_the_same_file(tmp_path: Path) -> None:
    workers = [f"127.0.0.1:{port}" for port in _free_ports(2)]
    files = [tmp_path / f"worker_{index}" for index in range(len(workers))]
    processes = [
        _start(
            "workers",
            file,
            TF_CONFIG=json.dumps(
                {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}
            ),
        )
        for index, file in enumerate(files)
    ]
    try:
        accuracies = [_accuracy(process) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert min(accuracies) > 0.9
    assert files[0].read_bytes() == files[1].read_bytes()
    assert _is_proven(files[0])
