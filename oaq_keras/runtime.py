# SPDX-License-Identifier: Apache-2.0
"""A LiteRT interpreter with our kernels in it."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from typing import Any

from oaq_keras import library
from oaq_keras.errors import ModelFileError, UnsupportedError
from oaq_keras.litert import interpreter as litert
from oaq_keras.model_file import IDENTIFIER, load_bytes
from oaq_keras.plan import Plan

PLANS = ("auto", "int16", "exact")


class Interpreter(litert.Interpreter):
    """`ai_edge_litert.interpreter.Interpreter` whose int8 layers run on our kernels.

    On 32-bit ARM, which LiteRT has no package for, tflite-runtime's.

    Takes every keyword of LiteRT's. The results of those layers are, to the bit, those of LiteRT's
    reference kernels, whatever the plan. A model without int8 layers runs as ever.
    """

    def __init__(
        self,
        model_path: str | os.PathLike[str] | None = None,
        model_content: bytes | bytearray | memoryview | None = None,
        experimental_delegates: Sequence[Any] | None = None,
        num_threads: int | None = None,
        *,
        isa: str = "auto",
        plan: str = "auto",
        builtin: bool = False,
        profile: bool = False,
        **litert_options: Any,
    ) -> None:
        """Read a model and plan its layers.

        Args:
          model_path: path of a .tflite file; this or `model_content`.
          model_content: bytes of one.
          experimental_delegates: delegates that see the model after ours.
          num_threads: threads of our kernels and of LiteRT's.
          isa: kernels to use, by name (docs/format.md); `auto` takes the best for this CPU.
          plan: `int16` wherever it is proven, `exact` nowhere, `auto` where it also pays.
          builtin: run builtin int8 layers on our kernels too, not only Oaq operators; QUANTIZE
            between int8 and uint8, and LEAKY_RELU of these, then too, as among Oaq operators.
          profile: time every operator that runs on our kernels, for `plan()`.
          **litert_options: any other keyword of LiteRT's interpreter.

        Raises:
          ModelFileError: the model cannot be read, or LiteRT refuses it.
          LibraryError: the C library is missing.
          UnsupportedError: it has no kernels for `isa` on this CPU.
          ValueError: an argument has a value that is not described here.
        """
        if plan not in PLANS:
            raise ValueError(f"plan is {plan!r}; expected one of {', '.join(PLANS)}")
        if num_threads is not None and num_threads < 1:
            raise ValueError(f"num_threads is {num_threads}; expected 1 or more")
        if (model_path is None) == (model_content is None):
            raise ValueError("pass either model_path or model_content")
        # Bytes in either case: LiteRT 2.0 crashes on a damaged file that it is to map by itself.
        given = model_path if model_content is None else model_content
        content = load_bytes(given)  # type: ignore[arg-type]
        if content[4:8] != IDENTIFIER:
            raise ModelFileError(_not_a_model(model_path, "it lacks the TFL3 identifier"))
        self._library = library.load()
        options = {
            "isa": isa,
            "plan": plan,
            "builtin": int(builtin),
            "num_threads": num_threads or 1,
            "profile": int(profile),
        }
        try:
            self._delegate = litert.load_delegate(self._library.path, options)
        except ValueError as error:
            raise UnsupportedError(f"the delegate refused {options}: {error}") from error
        try:
            super().__init__(
                model_content=content,
                experimental_delegates=[self._delegate, *(experimental_delegates or ())],
                num_threads=num_threads,
                **litert_options,
            )
        except (ValueError, RuntimeError) as error:
            text = str(error)
            if "oaq:" in text:
                # What the runtime adds about an operator that it does not know would mislead.
                said = text[text.index("oaq:") :].partition("Encountered unresolved")[0].strip()
                raise ModelFileError(_not_a_model(model_path, said)) from error
            if "Flatbuffer" in text or "Node number" in text:
                raise ModelFileError(_not_a_model(model_path, text)) from error
            raise
        if not builtin and _left_for_want_of_builtin(self.plan()):
            warnings.warn(
                "the model's int8 layers are builtin operators and were all left to the runtime's "
                "own kernels: pass builtin=True for ours",
                stacklevel=2,
            )

    def plan(self) -> Plan:
        """What our kernels decided, operator by operator."""
        return Plan.from_json(self._library.plan_json(self._delegate))


def _left_for_want_of_builtin(plan: Plan) -> bool:
    left = [entry.reason for entry in plan if entry.runs == "stock"]
    return len(left) == len(plan) and any("looks at it with builtin=1" in why for why in left)


def _not_a_model(path: object, why: str) -> str:
    what = "the given model" if path is None else repr(str(path))
    return f"{what} is no TFLite model, or a damaged one: {why}; fetch or export it again"
