# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from typing import Any

import pytest

from oaq_keras.certificate import Certificate
from oaq_keras.certification import certify
from oaq_keras.errors import CertificateError
from tests.models import small_network

CERTIFICATE = certify(small_network(31))


def test_round_trip() -> None:
    assert Certificate.from_json(CERTIFICATE.to_json()) == CERTIFICATE
    assert Certificate.from_json(CERTIFICATE.to_json(indent=2).encode()) == CERTIFICATE


def test_summary_counts_channels_that_are_safe_in_every_layout() -> None:
    summary = CERTIFICATE.summary()
    layers = CERTIFICATE.layers
    total = sum(layer.macs for layer in layers)
    proven = sum(layer.macs * layer.proven_channels / layer.channels for layer in layers)
    assert summary.layers == 5
    assert summary.proven_layers == sum(layer.proven for layer in layers) == 4
    assert summary.macs == total == 13824 + 4608 + 4096 + 18432 + 1280
    assert summary.proven == pytest.approx(proven / total)
    assert 0 < summary.never_drained < summary.proven < 1
    wide = layers[3]
    assert wide.proven_channels == min(c.proven_channels for c in wide.layouts.values()) == 2
    first = layers[0].macs
    assert layers[0].first
    assert summary.proven_after_first == pytest.approx((proven - first) / (total - first))


def test_table_names_layers_and_verdicts() -> None:
    text = str(CERTIFICATE)
    for word in ("first", "spatial", "wide", "channel", "never drained", "not proven (2 of 16"):
        assert word in text
    assert "4 of 5 int8 layers proven at T = 16 (first layer 4)" in text
    assert max(map(len, text.splitlines())) < 130


def test_proven_needs_layers() -> None:
    assert not CERTIFICATE.proven
    assert [layer.name for layer in CERTIFICATE.unproven] == ["wide"]
    assert certify(small_network(3)).proven
    empty = Certificate(16, 4, 16, ("c8",), ())
    assert not empty.proven
    assert empty.summary().proven == 0.0
    assert "0 of 0" in str(empty)


def parts() -> dict[str, Any]:
    """Every kind of object in a certificate, by a path to it."""
    return {"": (), "layer": ("layers", 0), "layout": ("layers", 0, "layouts", "c4")}


def changed(path: tuple[Any, ...], key: str, value: Any) -> str:
    document = json.loads(CERTIFICATE.to_json())
    target = document
    for step in path:
        target = target[step]
    if value is ...:
        del target[key]
    else:
        target[key] = value
    return json.dumps(document)


@pytest.mark.parametrize("where", parts())
def test_every_field_is_required_and_typed(where: str) -> None:
    path = parts()[where]
    target = json.loads(CERTIFICATE.to_json())
    for step in path:
        target = target[step]
    for key, value in target.items():
        if key != "pair_worst_case":  # layouts without pairs have none
            with pytest.raises(CertificateError, match=f"lacks '{key}'"):
                Certificate.from_json(changed(path, key, ...))
        wrong: list[Any] = [None, {"a": 1}, float("nan"), float("inf")]
        wrong += [[]] if not isinstance(value, list) else []
        wrong += ["x"] if not isinstance(value, str) else [3]
        wrong += [True] if isinstance(value, int | float) and not isinstance(value, bool) else []
        wrong += [1.5, -1.0] if isinstance(value, int) else []
        wrong += [{}] if isinstance(value, dict) and key != "layouts" else []
        for bad in wrong:
            if key == "layouts" and bad == {"a": 1}:
                continue
            with pytest.raises(CertificateError):
                Certificate.from_json(changed(path, key, bad))
    with pytest.raises(CertificateError, match="unknown field 'extra'"):
        Certificate.from_json(changed(path, "extra", 1))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("format", "other"),
        ("version", 2),
        ("policy", "trust me"),
        ("target", []),
        ("target", ["c8", "c8"]),
        ("target", ["c16"]),
        ("depth", 0),
        ("accumulator_bits", 64),
        ("layers", [3]),
        ("skipped", [{}]),
    ],
)
def test_values_outside_the_format_are_refused(key: str, value: Any) -> None:
    with pytest.raises(CertificateError, match=key.removesuffix("ed").removesuffix("s")):
        Certificate.from_json(changed((), key, value))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        b"\xff\xfe",
        '{"format": NaN}',
        '{"format": 1, "format": 1}',
        "[" * 100000,
        '{"version": ' + "9" * 5000 + "}",
    ],
)
def test_what_is_no_certificate_is_refused(text: str | bytes) -> None:
    with pytest.raises(CertificateError):
        Certificate.from_json(text)
