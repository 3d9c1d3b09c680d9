# SPDX-License-Identifier: Apache-2.0
"""Times a model in LiteRT as it comes and on our kernels, in turns run by run.

In turns, because what else a machine does then falls on all modes alike: their ratio means more
than either time.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oaq_keras import library, litert
from oaq_keras.errors import ModelFileError, UnsupportedError
from oaq_keras.machine import Machine, read_machine
from oaq_keras.model_file import Source, check_identifier, load_bytes, names_oaq_operators
from oaq_keras.plan import Plan
from oaq_keras.runtime import PLANS, Interpreter
from oaq_keras.tables import format_table

MODES = ("stock", "oaq", "reference")
"""LiteRT as it comes, with XNNPACK; on our kernels; LiteRT's reference kernels alone."""

MAX_THREADS = 9999
"""Those of our kernels; LiteRT crashes where the system grants it fewer than it was asked for."""

Clock = Callable[[], float]
_Array = NDArray[Any]


@dataclass(frozen=True)
class ModeTimes:
    """What was measured in one mode.

    Attributes:
      mode: one of `MODES`.
      setup: seconds until the interpreter was ready.
      seconds: of each run.
      outputs: how many numbers the outputs hold.
      differing: how many of them are not those of the first mode.
      plan: what our kernels decided, in the mode `oaq`.
    """

    mode: str
    setup: float
    seconds: tuple[float, ...]
    outputs: int
    differing: int
    plan: Plan | None = None

    @property
    def median(self) -> float:
        """Of the seconds of a run."""
        return float(np.median(self.seconds))

    @property
    def quartiles(self) -> tuple[float, float]:
        """The lower and the upper one of the seconds of a run."""
        low, high = np.percentile(self.seconds, (25, 75))
        return float(low), float(high)


@dataclass(frozen=True)
class Benchmark:
    """Times of several modes; `str()` is a table.

    Attributes:
      modes: in the order in which they took turns; ratios are to the first.
      threads: of every mode.
      machine: where it was.
      versions: of LiteRT and, where our kernels ran, of the C library.
      model: the file's name where it has one, its size, and the beginning of its SHA-256.
      isa, plan: what our kernels were told.
    """

    modes: tuple[ModeTimes, ...]
    threads: int
    machine: Machine
    versions: dict[str, str]
    model: str
    isa: str
    plan: str

    def ratio(self, mode: ModeTimes) -> float:
        """How many times as fast as the first mode, by medians."""
        return self.modes[0].median / mode.median

    def to_dict(self) -> dict[str, Any]:
        """What a script would read, in milliseconds."""
        return {
            "model": self.model,
            "isa": self.isa,
            "plan": self.plan,
            "machine": asdict(self.machine),
            "versions": self.versions,
            "threads": self.threads,
            "modes": [
                {
                    "mode": mode.mode,
                    "runs": len(mode.seconds),
                    "setup_ms": mode.setup * 1e3,
                    "median_ms": mode.median * 1e3,
                    "quartiles_ms": [value * 1e3 for value in mode.quartiles],
                    "least_ms": min(mode.seconds) * 1e3,
                    "ratio": self.ratio(mode),
                    "outputs": mode.outputs,
                    "differing_outputs": mode.differing,
                    "plan": None if mode.plan is None else [vars(entry) for entry in mode.plan],
                    "memory": None if mode.plan is None else mode.plan.memory().to_dict(),
                }
                for mode in self.modes
            ],
        }

    def to_markdown(self) -> str:
        """Two tables: the machine, the times."""
        facts = [("", ""), *self._facts()]
        return f"{_markdown(*facts)}\n\n{_markdown(self._headings(), *self._rows())}"

    def __str__(self) -> str:
        facts = "\n".join(f"{name:10}  {value}" for name, value in self._facts())
        return f"{facts}\n\n{format_table(self._headings(), self._rows())}"

    def _facts(self) -> list[tuple[str, str]]:
        kernels = {entry.isa for mode in self.modes for entry in mode.plan or () if entry.isa}
        return [
            ("model", self.model),
            *asdict(self.machine).items(),
            *self.versions.items(),
            ("kernels", ", ".join(sorted(kernels)) or "none of ours"),
            ("isa, plan", f"{self.isa}, {self.plan}"),
            ("threads", str(self.threads)),
        ]

    def _headings(self) -> tuple[str, ...]:
        times = ("median ms", "quartiles ms", "least ms", f"{self.modes[0].mode} / mode")
        return ("mode", *times, "setup ms", "runs", "output")

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (
                mode.mode,
                f"{mode.median * 1e3:.3f}",
                " to ".join(f"{value * 1e3:.3f}" for value in mode.quartiles),
                f"{min(mode.seconds) * 1e3:.3f}",
                f"{self.ratio(mode):.2f}x",
                f"{mode.setup * 1e3:.1f}",
                str(len(mode.seconds)),
                self._compared(mode),
            )
            for mode in self.modes
        ]

    def _compared(self, mode: ModeTimes) -> str:
        first = self.modes[0]
        if mode is first:
            return f"{mode.outputs} numbers"
        if mode.differing == 0:
            return f"equals {first.mode}"
        return f"{mode.differing} of {mode.outputs} differ from {first.mode}"


def benchmark(
    model: Source,
    modes: Sequence[str] = ("stock", "oaq"),
    *,
    isa: str = "auto",
    plan: str = "auto",
    threads: int = 1,
    runs: int = 50,
    warmup: int = 5,
    profile: bool = False,
) -> Benchmark:
    """Times a model in several modes, on one pseudo-random input.

    Args:
      model: bytes of a .tflite file, or its path. The modes that have no Oaq operators run it with
        builtin ones.
      modes: some of `MODES`; they take turns, and are compared with the first.
      isa: kernels of ours to use, by name (docs/format.md).
      plan: `int16`, `exact` or `auto`, as for `oaq_keras.Interpreter`.
      threads: of every mode.
      runs: measured ones of every mode.
      warmup: runs before them.
      profile: time every operator that runs on our kernels, which costs each two calls of a clock.

    Returns:
      The times.

    Raises:
      ModelFileError: not a model, a damaged one, or one that LiteRT refuses.
      CertificateError: the file's certificate is not that of its codes.
      UnsupportedError: there are no kernels for `isa` on this CPU, the file can't be expressed with
        builtin operators, or has inputs of text.
      LibraryError: the C library is missing.
      ValueError: an argument has a value that is not described here.
    """
    unknown = [mode for mode in modes if mode not in MODES]
    if unknown or not modes or len(set(modes)) < len(modes):
        expected = ", ".join(MODES)
        raise ValueError(f"modes are {tuple(modes)}; expected some of {expected}, once each")
    if plan not in PLANS:
        raise ValueError(f"plan is {plan!r}; expected one of {', '.join(PLANS)}")
    if threads > MAX_THREADS:
        raise ValueError(f"threads is {threads}; expected {MAX_THREADS} or less")
    for name, value, least in (("threads", threads, 1), ("runs", runs, 1), ("warmup", warmup, 0)):
        if value < least:
            raise ValueError(f"{name} is {value}; expected {least} or more")
    content = load_bytes(model)
    check_identifier(content)
    builtin = _with_builtin_ops(content) if set(modes) != {"oaq"} else b""
    sessions = [
        _Session(mode, content if mode == "oaq" else builtin, isa, plan, threads, profile)
        for mode in modes
    ]
    take_turns([session.run for session in sessions], warmup)
    seconds = take_turns([session.run for session in sessions], runs)
    of_first = sessions[0].outputs()
    measured = []
    for session, times in zip(sessions, seconds, strict=True):
        found = session.outputs()
        pairs = zip(of_first, found, strict=True)
        measured.append(
            ModeTimes(
                mode=session.mode,
                setup=session.setup,
                seconds=times,
                outputs=sum(output.size for output in found),
                differing=sum(int(np.count_nonzero(a != b)) for a, b in pairs),
                plan=session.plan(),
            )
        )
    runtime = "LiteRT" if litert.package == "ai-edge-litert" else litert.package
    versions = {runtime: metadata.version(litert.package)}
    if "oaq" in modes:
        versions["oaq"] = library.load().version
    name = f"{Path(model).name}, " if isinstance(model, str | os.PathLike) else ""
    digest = hashlib.sha256(content).hexdigest()[:12]
    described = f"{name}{len(content) / 1024:.0f} KiB, SHA-256 {digest}"
    return Benchmark(tuple(measured), threads, read_machine(), versions, described, isa, plan)


def take_turns(
    runs: Sequence[Callable[[], None]], count: int, clock: Clock = time.perf_counter
) -> list[tuple[float, ...]]:
    """Calls each of `runs` `count` times: all of them once, then all of them again.

    Args:
      runs: what to time.
      count: how often.
      clock: the time now, in seconds.

    Returns:
      For each of `runs`, what every call took.
    """
    seconds: list[list[float]] = [[] for _ in runs]
    for _ in range(count):
        for run, times in zip(runs, seconds, strict=True):
            start = clock()
            run()
            times.append(clock() - start)
    return [tuple(times) for times in seconds]


class _Session:
    """A model, ready to run in one mode."""

    def __init__(
        self, mode: str, content: bytes, isa: str, plan: str, threads: int, profile: bool
    ) -> None:
        self.mode = mode
        start = time.perf_counter()
        try:
            self._interpreter = _interpreter(mode, content, isa, plan, threads, profile)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise ModelFileError(f"LiteRT refuses the model in mode {mode}: {error}") from error
        self.setup = time.perf_counter() - start
        rng = np.random.default_rng(1)
        for detail in self._interpreter.get_input_details():
            value = _draw(rng, detail["shape"], detail["dtype"], detail["name"])
            self._interpreter.set_tensor(detail["index"], value)

    def run(self) -> None:
        try:
            self._interpreter.invoke()
        except RuntimeError as error:
            raise ModelFileError(f"a run in mode {self.mode} failed: {error}") from error

    def outputs(self) -> list[_Array]:
        details = self._interpreter.get_output_details()
        return [np.asarray(self._interpreter.get_tensor(detail["index"])) for detail in details]

    def plan(self) -> Plan | None:
        if isinstance(self._interpreter, Interpreter):
            return self._interpreter.plan()
        return None


def _interpreter(
    mode: str, content: bytes, isa: str, plan: str, threads: int, profile: bool
) -> litert.interpreter.Interpreter:
    if mode == "oaq":
        return Interpreter(
            model_content=content,
            num_threads=threads,
            isa=isa,
            plan=plan,
            builtin=True,
            profile=profile,
        )
    resolver = litert.interpreter.OpResolverType
    kernels = resolver.BUILTIN_REF if mode == "reference" else resolver.AUTO
    return litert.interpreter.Interpreter(
        model_content=content, num_threads=threads, experimental_op_resolver_type=kernels
    )


def _with_builtin_ops(content: bytes) -> bytes:
    """The same network without Oaq operators; a file that has none is left as it is.

    Raises:
      UnsupportedError: the file has some, and this runtime has no schema to read it with.
    """
    # Without a look at the file's structure, so that it also goes where there is no schema.
    if not names_oaq_operators(content):
        return content
    from oaq_keras.custom_ops import CUSTOM_TO_BUILTIN
    from oaq_keras.flatbuffer import kind, read_model
    from oaq_keras.rewrite import to_builtin_ops

    model = read_model(content)
    ours = any(
        kind(model, operator) in CUSTOM_TO_BUILTIN
        for graph in model.subgraphs
        for operator in graph.operators
    )
    return to_builtin_ops(content) if ours else content


def _draw(rng: np.random.Generator, shape: Sequence[int], dtype: Any, name: str) -> _Array:
    """Any code of narrow integers, [0, 1) for real numbers, and zeros, which index anything."""
    kind_of = np.dtype(dtype)
    if kind_of.kind not in "biufc":
        raise UnsupportedError(f"input {name!r} holds {kind_of}, expected numbers")
    if kind_of.kind in "iu" and kind_of.itemsize <= 2:
        limits = np.iinfo(kind_of)
        return rng.integers(limits.min, limits.max, shape, kind_of, endpoint=True)
    if kind_of.kind == "f":
        return rng.random(shape).astype(kind_of)
    return np.zeros(shape, kind_of)


def _markdown(headings: Sequence[str], *rows: Sequence[str]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
