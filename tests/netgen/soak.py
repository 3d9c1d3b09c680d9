# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: T201, a command
"""Compares many random networks, in parallel: `make soak SECONDS=60` or `NETWORKS=1000 SEED=5`.

A network that fails is shrunk and written to build/netgen; the exit status says whether one did.
A run that was stopped goes on with RESUME=1, as long as the library and the generator are the same.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from multiprocessing import connection
from pathlib import Path
from typing import Any

from oaq_keras import library
from tests.netgen import compare, constants, draw, network, write
from tests.netgen.compare import Comparer, ReferenceRefusedError
from tests.netgen.isolated import Call, CrashedError, call
from tests.netgen.network import Network
from tests.netgen.shrink import shrink

CHUNK = 20
# A network takes 0.05 s; one that takes this long hangs.
_SECONDS_A_NETWORK = 60.0
_SHRUNK_AT_MOST = 5


class Soak:
    """What was run so far, as build/soak.json keeps it."""

    def __init__(self, folder: Path, seed: int, resume: bool = False) -> None:
        self.path = folder / "soak.json"
        self._failures_folder = folder / "netgen"
        self.record: dict[str, Any] = {
            "first_seed": seed,
            "networks": 0,
            "seconds": 0.0,
            "seeds": [],
            "counts": {},
            "failures": [],
            **fingerprints(),
        }
        if resume and self.path.is_file():
            given = json.loads(self.path.read_text())
            for key in ("first_seed", *fingerprints()):
                if given[key] != self.record[key]:
                    raise SystemExit(
                        f"{self.path} was made with {key} {given[key]}, this is "
                        f"{self.record[key]}: start anew without RESUME"
                    )
            self.record = given

    @property
    def failures(self) -> list[dict[str, Any]]:
        """Seed, difference and, where it was shrunk, the minimal network's file."""
        found: list[dict[str, Any]] = self.record["failures"]
        return found

    def finished(self, first: int, count: int, counts: Counter[str]) -> None:
        """A chunk is done."""
        self.record["networks"] += count
        self.record["seeds"] = _joined([*self.record["seeds"], [first, first + count]])
        total = Counter(self.record["counts"])
        total.update(counts)
        self.record["counts"] = dict(sorted(total.items()))

    def failed(self, seed: int, what: str) -> None:
        """A network failed; in a chunk that is run again, perhaps for the second time."""
        if all(failure["seed"] != seed for failure in self.failures):
            self.failures.append({"seed": seed, "difference": what, "network": ""})

    def save(self) -> None:
        """Write what a later run, or the figures, can go on from."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(self.record, indent=1) + "\n")

    def shrink(self, seed: int) -> str:
        """Where the minimal network of a failure was written."""
        minimal = shrink(draw.draw(seed), fails)
        self._failures_folder.mkdir(parents=True, exist_ok=True)
        path = self._failures_folder / f"{seed}.tflite"
        path.write_bytes(write.write(minimal).content)
        path.with_suffix(".json").write_text(minimal.to_json() + "\n")
        return str(path)


def fingerprints() -> dict[str, str]:
    """Which kernels and which generator figures belong to."""
    sources = (Path(module.__file__ or "") for module in (compare, constants, draw, network, write))
    return {"library": _digest(library.library_path()), "generator": _digest(*sources)}


def fails(made: Network) -> bool:
    """Whether our kernels differ on a network, or crash; never so if the reference's refuse it."""
    try:
        call(_SECONDS_A_NETWORK, _expect_reference, made)
    except CrashedError:
        return False
    try:
        return bool(call(_SECONDS_A_NETWORK, _difference, made))
    except CrashedError:
        return True


def run_chunk(report: Callable[[Any], None], seeds: range) -> None:
    """Compare the networks of some seeds; report each seed, then each difference and the counts."""
    comparer = Comparer(library.load())
    counts: Counter[str] = Counter()
    for seed in seeds:
        report(("seed", seed))
        try:
            outcome = comparer.compare(draw.draw(seed))
        except ReferenceRefusedError as error:
            report(("failure", f"the generator is wrong, the reference refuses: {error}"))
            continue
        counts.update(outcome.counts)
        if outcome.difference is not None:
            report(("failure", str(outcome.difference)))
    report(("counts", counts))


def soak(state: Soak, networks: int, seconds: float, jobs: int, log: Callable[[str], None]) -> None:
    """Run chunks on `jobs` processes until there are enough networks or no more time."""
    started, earlier = time.monotonic(), state.record["seconds"]
    last = state.record["first_seed"] + networks
    waiting = _chunks(state.record, last)
    running: dict[Any, _Chunk] = {}
    logged = started
    while True:
        while len(running) < jobs and time.monotonic() - started < seconds:
            seeds = next(waiting, None)
            if seeds is None:
                break
            chunk = _Chunk(seeds)
            running[chunk.call.connection] = chunk
        if not running:
            break
        ready = connection.wait(list(running), _SECONDS_A_NETWORK)
        for source in ready or list(running):
            chunk = running.pop(source)
            if not chunk.read(state, log, stopping=time.monotonic() - started >= seconds):
                running[chunk.call.connection] = chunk
        state.record["seconds"] = round(earlier + time.monotonic() - started, 1)
        if time.monotonic() - logged > 10:
            logged = time.monotonic()
            state.save()
            log(summary(state.record))
    for failure in [f for f in state.failures if not f["network"]][:_SHRUNK_AT_MOST]:
        log(f"shrinking seed {failure['seed']}")
        failure["network"] = state.shrink(failure["seed"])
    state.save()


def _chunks(record: dict[str, Any], last: int) -> Iterator[range]:
    """Seeds that have not been run, in chunks."""
    first = record["first_seed"]
    for begin, end in [*record["seeds"], [last, last]]:
        for start in range(first, min(begin, last), CHUNK):
            yield range(start, min(start + CHUNK, begin, last))
        first = end


def _joined(spans: list[list[int]]) -> list[list[int]]:
    """The same seeds in the fewest spans [begin, end)."""
    joined: list[list[int]] = []
    for begin, end in sorted(spans):
        if joined and joined[-1][1] == begin:
            joined[-1][1] = end
        else:
            joined.append([begin, end])
    return joined


def summary(record: dict[str, Any]) -> str:
    """One line: how many networks, how much of them, and how many failures."""
    counts = Counter(record["counts"])
    operators = sum(n for name, n in counts.items() if name.startswith("operators "))
    return (
        f"{record['networks']} networks, {operators} operators, {counts['tensors']} tensors "
        f"compared, {counts['int16 tiles run']} int16 tiles run, {len(record['failures'])} "
        f"failures, {record['seconds']:.0f} s"
    )


class _Chunk:
    """Seeds under way in a process of their own, from which what is left starts again."""

    def __init__(self, seeds: range) -> None:
        self.seeds = seeds
        self._first, self._counts = seeds.start, Counter[str]()
        self._seed = seeds.start
        self.call = Call(run_chunk, seeds)

    def read(self, state: Soak, log: Callable[[str], None], stopping: bool) -> bool:
        """Take in one report; whether the chunk is over."""
        try:
            what, value = self.call.receive(_SECONDS_A_NETWORK)
        except CrashedError as error:
            state.failed(self._seed, f"crashed: {error}")
            log(f"seed {self._seed} crashed: {error}")
            return self._restart(state, range(self._seed + 1, self.seeds.stop))
        if what == "seed":
            self._seed = value
            if stopping:
                self.call.stop()
                return True
        elif what == "failure":
            state.failed(self._seed, value)
            log(f"seed {self._seed}: {value}")
        else:
            self._counts.update(value)
            self.call.stop()
            state.finished(self._first, len(self.seeds), self._counts)
            return True
        return False

    def _restart(self, state: Soak, rest: range) -> bool:
        if not rest:
            state.finished(self._first, len(self.seeds), self._counts)
            return True
        self._seed = rest.start
        self.call = Call(run_chunk, rest)
        return False


def _expect_reference(report: Callable[[Any], None], made: Network) -> None:
    Comparer(library.load()).compare(made, chosen=())
    report(True)


def _difference(report: Callable[[Any], None], made: Network) -> None:
    report(Comparer(library.load()).compare(made).difference)


def _digest(*paths: Path) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", type=int, default=10**9)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--folder", type=Path, default=Path("build"))
    given = parser.parse_args()
    state = Soak(given.folder, given.seed, given.resume)
    soak(state, given.networks, given.seconds, given.jobs, lambda line: print(line, flush=True))
    print(summary(state.record))
    for failure in state.failures:
        print(f"seed {failure['seed']}: {failure['difference']} {failure['network']}")
    return 1 if state.failures else 0


if __name__ == "__main__":
    sys.exit(_main())
