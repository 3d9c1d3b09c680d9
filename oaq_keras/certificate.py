# SPDX-License-Identifier: Apache-2.0
"""The certificate: what was proven about each int8 layer of a file, and its JSON form.

Reading is strict. A certificate is a claim that `certify` compares with the codes, so a field that
is missing, unknown or of the wrong type is an error and never a default.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from oaq_keras.errors import CertificateError
from oaq_keras.float_operators import owner
from oaq_keras.layouts import NEVER_DRAINED
from oaq_keras.tables import format_table, short_name

FORMAT = "oaq-certificate"
VERSION = 1
METADATA = "oaq_certificate"
POLICY_METADATA = "oaq_policy"
"""Name of the metadata in which a file says that it was trained without a proof."""

OF_POLICY_PAPER = (
    "policy paper: trained by observed overflow, and exported without a certificate; this is what "
    "its codes happen to prove"
)
POLICIES = ("proven", "paper")
TARGETS = ("c8", "c4", "channel")

_T = TypeVar("_T")


@dataclass(frozen=True)
class LayoutCertificate:
    """A layer in one lane layout; docs/format.md describes the fields."""

    share: int
    worst_case: int
    headroom: float
    max_depth: int
    never_drained: bool
    proven_channels: int
    never_drained_channels: int
    proven: bool
    pair_worst_case: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """The JSON object; `pair_worst_case` is left out where the layout takes no pairs."""
        fields = dict(vars(self))
        if self.pair_worst_case is None:
            del fields["pair_worst_case"]
        return fields


@dataclass(frozen=True)
class LayerCertificate:
    """One int8 layer; docs/format.md describes the fields."""

    subgraph: int
    op: int
    name: str
    kind: str
    macs: int
    channels: int
    products: int
    input_range: tuple[int, int]
    depth: int
    first: bool
    proven: bool
    proven_channels: int
    never_drained_channels: int
    layouts: Mapping[str, LayoutCertificate]

    def to_dict(self) -> dict[str, Any]:
        """The JSON object."""
        layouts = {name: layout.to_dict() for name, layout in self.layouts.items()}
        return {**vars(self), "input_range": list(self.input_range), "layouts": layouts}


@dataclass(frozen=True)
class SkippedLayer:
    """A convolution or fully connected layer that is not int8, and why nothing is said about it."""

    subgraph: int
    op: int
    name: str
    reason: str


@dataclass(frozen=True)
class Summary:
    """Shares of a certificate's MACs, 0 to 1; a share of nothing is 0.

    A channel counts where it is safe in every target layout: kernels decide by tiles of channels,
    so a layer that is refused as a whole may still run mostly in int16.

    Attributes:
      layers: int8 layers.
      proven_layers: those proven as a whole.
      macs: multiplications of one invocation.
      proven: share of MACs in channels that are safe at the required depth.
      never_drained: share of MACs in channels that need no drain at all.
      proven_after_first, never_drained_after_first: the same without first layers.
    """

    layers: int
    proven_layers: int
    macs: int
    proven: float
    never_drained: float
    proven_after_first: float
    never_drained_after_first: float


@dataclass(frozen=True)
class Certificate:
    """All that is proven about a file; `str()` is a table.

    Attributes:
      in_float: what else the file computes in float, and why, a line each; it is read off the file
        and is no part of what is stored in it.
    """

    depth: int
    first_layer_depth: int
    accumulator_bits: int
    target: tuple[str, ...]
    layers: tuple[LayerCertificate, ...]
    skipped: tuple[SkippedLayer, ...] = ()
    policy: str = "proven"
    in_float: tuple[str, ...] = field(default=(), compare=False)

    @property
    def proven(self) -> bool:
        """Whether there are int8 layers and every one of them is proven."""
        return bool(self.layers) and all(layer.proven for layer in self.layers)

    @property
    def unproven(self) -> tuple[LayerCertificate, ...]:
        """The layers that are not proven at the required depth."""
        return tuple(layer for layer in self.layers if not layer.proven)

    def summary(self) -> Summary:
        """Totals over all layers, weighted by MACs."""
        rest = [layer for layer in self.layers if not layer.first]
        return Summary(
            layers=len(self.layers),
            proven_layers=sum(layer.proven for layer in self.layers),
            macs=sum(layer.macs for layer in self.layers),
            proven=_share(self.layers, lambda layer: layer.proven_channels),
            never_drained=_share(self.layers, lambda layer: layer.never_drained_channels),
            proven_after_first=_share(rest, lambda layer: layer.proven_channels),
            never_drained_after_first=_share(rest, lambda layer: layer.never_drained_channels),
        )

    def to_dict(self) -> dict[str, Any]:
        """The JSON object."""
        return {
            "format": FORMAT,
            "version": VERSION,
            **{key: value for key, value in vars(self).items() if key != "in_float"},
            "target": list(self.target),
            "layers": [layer.to_dict() for layer in self.layers],
            "skipped": [dict(vars(layer)) for layer in self.skipped],
        }

    def to_json(self, indent: int | None = None) -> str:
        """The certificate as JSON text."""
        return json.dumps(self.to_dict(), indent=indent, allow_nan=False, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> Certificate:
        """Parse JSON text.

        Raises:
          CertificateError: it is not JSON, or a field is missing, unknown or of a wrong type.
        """
        try:
            value = json.loads(
                text.decode("utf-8") if isinstance(text, bytes) else text,
                parse_constant=_refuse_constant,
                object_pairs_hook=_unique_keys,
            )
        except (ValueError, RecursionError) as error:
            raise CertificateError(f"the certificate is not valid JSON: {error}") from error
        return _read_certificate(value)

    def __str__(self) -> str:
        headings = ("layer", "kind", "MACs", "K", "range", "T", "layout", "worst case", "headroom")
        rows = [
            (
                short_name(layer.name) if i == 0 else "",
                layer.kind if i == 0 else "",
                str(layer.macs) if i == 0 else "",
                str(layer.products) if i == 0 else "",
                f"{layer.input_range[0]}..{layer.input_range[1]}" if i == 0 else "",
                depth_text(layer.depth) if i == 0 else "",
                name,
                str(layout.worst_case),
                f"{layout.headroom:+.2f}",
                "all" if layout.never_drained else str(layout.max_depth),
                verdict(layout, layer.channels),
            )
            for layer in self.layers
            for i, (name, layout) in enumerate(layer.layouts.items())
        ]
        totals = self.summary()
        layers = (
            f"{totals.proven_layers} of {totals.layers} int8 layers proven at T = "
            f"{depth_text(self.depth)} (first layer {depth_text(self.first_layer_depth)}), "
            f"{self.accumulator_bits} bits, layouts {', '.join(self.target)}"
        )
        shares = (
            f"share of {totals.macs:,} MACs: {totals.proven:.1%} proven, "
            f"{totals.never_drained:.1%} never drained; without the first layer "
            f"{totals.proven_after_first:.1%} and {totals.never_drained_after_first:.1%}"
        )
        told = {line.partition(":")[0]: line for line in self.in_float}
        unexplained = [layer for layer in self.skipped if owner(layer.name, told) is None]
        lines = [
            format_table((*headings, "max T", "verdict"), rows),
            "",
            layers,
            shares,
            *(f"not int8: {short_name(layer.name)}: {layer.reason}" for layer in unexplained),
            *(f"in float: {line}" for line in self.in_float),
        ]
        if self.policy == "paper":
            lines.append(OF_POLICY_PAPER)
        return "\n".join(lines)


def depth_text(depth: int) -> str:
    """A required depth for people: `all` where it asks for no drain at all."""
    return "all" if depth >= NEVER_DRAINED else str(depth)


def verdict(layout: LayoutCertificate, channels: int) -> str:
    """What a layout's certificate comes to, in a few words."""
    if layout.never_drained:
        return "never drained"
    if layout.proven:
        return "proven"
    return f"not proven ({layout.proven_channels} of {channels} channels)"


def _share(layers: Any, channels: Callable[[LayerCertificate], int]) -> float:
    total = sum(layer.macs for layer in layers)
    part = sum(layer.macs * channels(layer) / layer.channels for layer in layers)
    return part / total if total else 0.0


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key appears twice")
    return result


class _Reader:
    """Takes the fields of one JSON object, each once, and refuses what is left."""

    def __init__(self, value: Any, where: str) -> None:
        if not isinstance(value, dict):
            raise CertificateError(f"certificate: {where} is {_show(value)}, expected an object")
        self._left = dict(value)
        self._where = where

    def take(self, key: str, kind: type[_T], optional: bool = False) -> _T:
        if key not in self._left:
            if optional:
                return None  # type: ignore[return-value]
            raise CertificateError(f"certificate: {self._where} lacks {key!r}")
        value = self._left.pop(key)
        if kind is float and type(value) is int:
            value = float(value)
        # A bool is an int to isinstance.
        if type(value) is not kind or (isinstance(value, float) and not math.isfinite(value)):
            raise self.wrong(key, value, kind.__name__)
        return value

    def count(self, key: str, least: int = 0) -> int:
        value = self.take(key, int)
        if value < least:
            raise self.wrong(key, value, f"{least} or more")
        return value

    def wrong(self, key: str, value: Any, expected: str) -> CertificateError:
        return CertificateError(
            f"certificate: {self._where} has {key!r} {_show(value)}, expected {expected}"
        )

    def finish(self) -> None:
        if self._left:
            raise CertificateError(
                f"certificate: {self._where} has the unknown field {min(self._left)!r}"
            )


def _show(value: Any) -> str:
    return repr(value) if len(repr(value)) <= 60 else repr(value)[:57] + "..."


def _read_certificate(value: Any) -> Certificate:
    top = _Reader(value, "the top level")
    for key, expected in (("format", FORMAT), ("version", VERSION)):
        given = top.take(key, type(expected))
        if given != expected:
            raise top.wrong(key, given, repr(expected))
    policy = top.take("policy", str)
    if policy not in POLICIES:
        raise top.wrong("policy", policy, " or ".join(POLICIES))
    target = top.take("target", list)
    if not target or any(name not in TARGETS for name in target) or len({*target}) < len(target):
        raise top.wrong("target", target, f"some of {', '.join(TARGETS)}")
    certificate = Certificate(
        depth=top.count("depth", 1),
        first_layer_depth=top.count("first_layer_depth", 1),
        accumulator_bits=top.count("accumulator_bits", 2),
        target=tuple(target),
        layers=tuple(
            _read_layer(layer, f"layer {i}") for i, layer in enumerate(top.take("layers", list))
        ),
        skipped=tuple(
            _read_skipped(layer, f"skipped layer {i}")
            for i, layer in enumerate(top.take("skipped", list))
        ),
        policy=policy,
    )
    if certificate.accumulator_bits > 32:
        raise top.wrong("accumulator_bits", certificate.accumulator_bits, "2 to 32")
    top.finish()
    return certificate


def _read_layer(value: Any, where: str) -> LayerCertificate:
    reader = _Reader(value, where)
    bounds = reader.take("input_range", list)
    if len(bounds) != 2 or any(type(code) is not int for code in bounds):
        raise reader.wrong("input_range", bounds, "two integers")
    layouts = reader.take("layouts", dict)
    layer = LayerCertificate(
        subgraph=reader.count("subgraph"),
        op=reader.count("op"),
        name=reader.take("name", str),
        kind=reader.take("kind", str),
        macs=reader.count("macs", 1),
        channels=reader.count("channels", 1),
        products=reader.count("products", 1),
        input_range=(bounds[0], bounds[1]),
        depth=reader.count("depth", 1),
        first=reader.take("first", bool),
        proven=reader.take("proven", bool),
        proven_channels=reader.count("proven_channels"),
        never_drained_channels=reader.count("never_drained_channels"),
        layouts={
            name: _read_layout(layout, f"layout {name!r} of {where}")
            for name, layout in layouts.items()
        },
    )
    reader.finish()
    return layer


def _read_layout(value: Any, where: str) -> LayoutCertificate:
    reader = _Reader(value, where)
    layout = LayoutCertificate(
        share=reader.count("share", 1),
        worst_case=reader.count("worst_case"),
        headroom=reader.take("headroom", float),
        max_depth=reader.count("max_depth"),
        never_drained=reader.take("never_drained", bool),
        proven_channels=reader.count("proven_channels"),
        never_drained_channels=reader.count("never_drained_channels"),
        proven=reader.take("proven", bool),
        pair_worst_case=reader.take("pair_worst_case", int, optional=True),
    )
    reader.finish()
    return layout


def _read_skipped(value: Any, where: str) -> SkippedLayer:
    reader = _Reader(value, where)
    layer = SkippedLayer(
        reader.count("subgraph"),
        reader.count("op"),
        reader.take("name", str),
        reader.take("reason", str),
    )
    reader.finish()
    return layer
