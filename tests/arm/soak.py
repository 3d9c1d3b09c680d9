# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: T201, a command
"""Many networks and operators under qemu: `make soak-arm SECONDS=600` or `NETWORKS=1000 SEED=5`.

python -m tests.arm.soak. Batches of the generator's networks, and as many single operators, get
their answers from this machine's reference kernels, and then run on every emulated CPU. What a
batch needs stays in build/arm/soak where it fails; the exit status says whether one did.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context
from pathlib import Path

from tests.arm import batch, cases, emulated, oaq_arm

NETWORKS_A_BATCH = 20
_Answers = dict[str, batch.Found]


def one(folder: Path, first: int, networks: int) -> _Answers:
    """A batch: what each emulated CPU found, by name."""
    made = [cases.network(seed) for seed in range(first, first + networks)]
    cases.write_all(folder, [*made, *cases.operators(first, networks)])
    found = {
        f"{target.name} as {cpu}": batch.run(target, cpu, folder)
        for target in oaq_arm.TARGETS
        if not batch.missing(target)
        for cpu in target.cpus
    }
    if not any(answer.differences for answer in found.values()):
        shutil.rmtree(folder)
    return found


def main() -> int:
    """Runs batches until there are enough networks or no more time.

    Returns:
      The exit code: 1 where a batch failed, 2 where nothing can run.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", type=int, default=10**9)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    for target in oaq_arm.TARGETS:
        reason = batch.missing(target)
        if reason:
            print(f"{target.name} is left out: {reason}")
    if all(batch.missing(target) for target in emulated.TARGETS.values()):
        return 2
    totals, failures = _soak(options)
    for name, counts in totals.items():
        print(f"{name}: " + ", ".join(f"{n:,} {what}" for what, n in sorted(counts.items())))
    print(f"{failures} failures")
    return 1 if failures else 0


def _soak(options: argparse.Namespace) -> tuple[dict[str, Counter[str]], int]:
    started, failures = time.monotonic(), 0
    starts = iter(range(0, options.networks, NETWORKS_A_BATCH))
    totals: dict[str, Counter[str]] = {}
    running: set[Future[_Answers]] = set()
    # Forked processes would share the runtime's threads.
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        while True:
            while len(running) < options.jobs and time.monotonic() - started < options.seconds:
                start = next(starts, None)
                if start is None:
                    break
                first = options.seed + start
                count = min(NETWORKS_A_BATCH, options.networks - start)
                folder = oaq_arm.BUILD / "soak" / str(first)
                running.add(pool.submit(one, folder, first, count))
            if not running:
                return totals, failures
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                for name, found in future.result().items():
                    totals.setdefault(name, Counter()).update(found.counts)
                    failures += len(found.differences)
                    print(*found.differences, sep="\n", end="\n" if found.differences else "")
            seen = sum(counts["compared"] for counts in totals.values())
            print(f"{seen:,} codes compared, {failures} failures", flush=True)


if __name__ == "__main__":
    sys.exit(main())
