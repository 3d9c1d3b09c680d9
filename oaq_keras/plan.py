# SPDX-License-Identifier: Apache-2.0
"""The plan: what the delegate decided for every operator of a model on this CPU."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from oaq_keras.errors import LibraryError
from oaq_keras.tables import format_table, short_name

ISAS = (
    "scalar",
    "sse41",
    "avx2",
    "avx512bw",
    "avxvnni",
    "vnni256",
    "vnni",
    "neon",
    "a53",
    "a55",
    "a72",
    "per_core",
    "dotprod",
    "i8mm",
)
"""Names of the kernels that a build for some CPU has."""


@dataclass(frozen=True)
class PlanEntry:
    """One operator; docs/format.md describes the fields. None where a field has no meaning."""

    subgraph: int
    op: int
    kind: str
    name: str
    runs: str
    isa: str | None
    layout: str | None
    depth: int | None
    never_drained: bool | None
    drains: int | None
    tile_channels: int | None
    tiles: int | None
    tiles_int16: int | None
    macs: int | None
    range: tuple[int, int] | None
    range_source: str | None
    weights_bytes: int | None
    packed_bytes: int | None
    scratch_bytes: int | None
    workers: int | None
    invocations: int | None
    nanoseconds: int | None
    reason: str


@dataclass(frozen=True)
class Memory:
    """Bytes that the kernels take beside the file and the runtime's tensors.

    Attributes:
      weights: int8 codes of the layers that were taken over, in the file.
      packed: what their operators keep: the weights in the kernels' order, biases, multipliers,
        drain lists, start values, tables.
      scratch: what the operators of a subgraph share, one block for each thread as large as the
        largest of them asks for; 0 before the tensors are allocated.
    """

    weights: int
    packed: int
    scratch: int

    @property
    def extra(self) -> int:
        """All of it."""
        return self.packed + self.scratch

    @property
    def ratio(self) -> float | None:
        """The same by the weights, None where there are none."""
        return self.extra / self.weights if self.weights else None

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**vars(self), "extra": self.extra, "ratio": self.ratio}

    def __str__(self) -> str:
        text = (
            f"{self.weights:,} bytes of int8 weights take {self.packed:,} packed and "
            f"{self.scratch:,} of scratch"
        )
        return text if self.ratio is None else f"{text}, {self.ratio:.2f} times as many in all"


@dataclass(frozen=True)
class Plan:
    """The entries of a plan in execution order; `str()` is a table, with times where profiled."""

    entries: tuple[PlanEntry, ...]

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[PlanEntry]:
        return iter(self.entries)

    def __getitem__(self, index: int) -> PlanEntry:
        return self.entries[index]

    def memory(self) -> Memory:
        """What the operators that were taken over need, for the present shapes."""
        blocks: dict[tuple[int, int], int] = {}
        for entry in self.entries:
            for worker in range(entry.workers or 0):
                size = (entry.scratch_bytes or 0) // (entry.workers or 1)
                block = entry.subgraph, worker
                blocks[block] = max(blocks.get(block, 0), size)
        return Memory(
            weights=sum(entry.weights_bytes or 0 for entry in self.entries),
            packed=sum(entry.packed_bytes or 0 for entry in self.entries),
            scratch=sum(blocks.values()),
        )

    def to_json(self, indent: int | None = None) -> str:
        """The plan as JSON text, in the form of docs/format.md."""
        return json.dumps([vars(entry) for entry in self.entries], indent=indent)

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """Parse what `oaq_delegate_plan_json` wrote.

        Raises:
          LibraryError: it is not what docs/format.md describes.
        """
        try:
            return cls(tuple(_entry(item) for item in json.loads(text)))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise LibraryError(
                f"the C library wrote a plan that cannot be read ({type(error).__name__}: "
                f"{error}); install it and oaq-keras from one release"
            ) from error

    def __str__(self) -> str:
        headings = ("op", "name", "kind", "runs", "isa", "layout", "T", "drains", "int16 tiles")
        profiled = any(entry.nanoseconds is not None for entry in self.entries)
        rows = [
            (
                str(entry.op),
                short_name(entry.name),
                entry.kind,
                entry.runs,
                entry.isa or "-",
                entry.layout or "-",
                "never drained" if entry.never_drained else _cell(entry.depth),
                _cell(entry.drains),
                "-" if entry.tiles is None else f"{entry.tiles_int16} of {entry.tiles}",
                f"{entry.range[0]}..{entry.range[1]}" if entry.range else "-",
                *[_microseconds(entry)] * profiled,
                entry.reason,
            )
            for entry in self.entries
        ]
        table = format_table((*headings, "range", *["us"] * profiled, "reason"), rows)
        known = [entry for entry in self.entries if entry.macs]
        total = sum(entry.macs or 0 for entry in known)
        memory = self.memory()
        if memory.packed:
            table += f"\n\nmemory: {memory}"
        if not total:
            return table
        shares = ", ".join(
            f"{sum(e.macs or 0 for e in known if e.runs == runs) / total:.1%} {runs}"
            for runs in ("int16", "exact", "stock")
        )
        return f"{table}\nlayers by share of {total:,} MACs: {shares}"


def _cell(value: int | None) -> str:
    return "-" if value is None else str(value)


def _microseconds(entry: PlanEntry) -> str:
    """Of one invocation, on average."""
    if not entry.invocations or entry.nanoseconds is None:
        return "-"
    return f"{entry.nanoseconds / entry.invocations / 1000:.1f}"


def _entry(item: Mapping[str, Any]) -> PlanEntry:
    values = {field.name: item[field.name] for field in fields(PlanEntry)}
    if values["range"] is not None:
        low, high = values["range"]
        values["range"] = (int(low), int(high))
    return PlanEntry(**values)
