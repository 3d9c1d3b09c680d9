# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: T201, a command
"""Runs a folder of cases on our library, inside an emulated Python: a JSON object a line.

answer.py FOLDER LIBRARY NAME... with the names of ISAs to try. `cases.py` writes the folder on the
other machine, with what LiteRT's reference kernels answered there. An object says of one case how
many runs it had and how many codes of our operators were compared, and what differed. Needs numpy
and a runtime alone, of Python 3.9 and later.
"""

import ctypes
import json
import sys
from pathlib import Path

import numpy as np

try:
    from ai_edge_litert import interpreter as runtime

    SHARES_AS_LITERT = True
except ImportError:
    from tflite_runtime import interpreter as runtime

    SHARES_AS_LITERT = False


def main() -> None:
    """Runs the cases."""
    folder, library, *names = sys.argv[1:]
    isas = [name for name in names if has(library, name)]
    print(json.dumps({"isas": isas}), flush=True)
    for case in json.loads((Path(folder) / "cases.json").read_text()):
        with np.load(Path(folder) / case["arrays"]) as arrays:
            found = check(Path(folder), library, isas, case, dict(arrays))
        print(json.dumps({"case": case["name"], **found}), flush=True)


def has(library, isa):  # type: ignore[no-untyped-def]
    """Whether our library has kernels of that name for this CPU."""
    try:
        runtime.load_delegate(library, {"isa": isa})
    except ValueError:
        return False
    return True


def check(folder, library, isas, case, arrays):  # type: ignore[no-untyped-def]
    """One case on all ISAs, in int16 and exact, forms and threads by turns."""
    found = {"runs": 0, "compared": 0, "runtime_differs": 0, "refused": 0, "difference": None}
    turn = case["turn"]
    for i, isa in enumerate(isas):
        # Int16 each time, where most can go wrong.
        for j, plan in enumerate(("int16", "auto" if (turn + i) % 3 == 0 else "exact")):
            form = case["files"][(turn + i + j) % len(case["files"])]
            threads = 1 + (turn + j) % 2
            way = {"plan": plan, "isa": isa, "num_threads": threads, "file": form}
            compare(folder, library, case, arrays, way, found)
            if found["difference"] is not None:
                return found
    if case["original"] and SHARES_AS_LITERT:
        way = {"plan": "auto", "isa": "auto", "num_threads": 2, "file": case["original"]}
        compare(folder, library, case, arrays, {**way, "shared": True}, found)
    return found


def compare(folder, library, case, arrays, way, found):  # type: ignore[no-untyped-def]
    """One way to run a case, added to what was found."""
    options = {name: str(way[name]) for name in ("plan", "isa", "num_threads")}
    delegate = runtime.load_delegate(library, {**options, "builtin": "1"})
    try:
        made = runtime.Interpreter(
            model_path=str(folder / way["file"]),
            num_threads=way["num_threads"],
            experimental_op_resolver_type=runtime.OpResolverType.BUILTIN_REF,
            experimental_preserve_all_tensors="shared" not in way,
            experimental_delegates=[delegate],
        )
    except (RuntimeError, ValueError) as error:
        # An older release does not know the newest versions of operators, ours or its own.
        if "Didn't find op for builtin opcode" in str(error):
            found["refused"] += 1
        else:
            found["difference"] = f"{way}: refused: {error}"
        return
    if case["resized"]:
        # Once in the file's shape first: what is left of it must not matter.
        made.allocate_tensors()
        made.invoke()
        for tensor in case["inputs"]:
            made.resize_tensor_input(tensor, arrays[f"0 in {tensor}"].shape)
    made.allocate_tensors()
    ours = {entry["op"] for entry in read_plan(library, delegate) if entry["runs"] != "stock"}
    nodes = case["nodes"]
    if "shared" in way:
        nodes = [node for node in nodes if node["tensor"] in case["outputs"]]
    for kind in range(case["kinds"]):
        for tensor in case["inputs"]:
            made.set_tensor(tensor, arrays[f"{kind} in {tensor}"])
        made.invoke()
        other = set()
        for node in nodes:
            wanted = arrays.get(f"{kind} out {node['tensor']}")
            if wanted is None or other & set(node["inputs"]):
                other.add(node["tensor"])
                continue
            actual = made.get_tensor(node["tensor"])
            equal = actual.shape == wanted.shape and np.array_equal(actual, wanted)
            if node["op"] in ours or "shared" in way:
                found["compared"] += wanted.size
                if not equal:
                    count = int((actual != wanted).sum()) if actual.shape == wanted.shape else -1
                    what = f"{node['kind']} {node['op']}, inputs {kind}: {count} of {wanted.size}"
                    found["difference"] = f"{way}: {what} codes differ"
                    return
            elif not equal:
                # Another release's own kernel; what reads it can't be compared.
                found["runtime_differs"] += 1
                other.add(node["tensor"])
        found["runs"] += 1


def read_plan(library, delegate):  # type: ignore[no-untyped-def]
    """What the delegate decided, as in docs/format.md."""
    function = ctypes.CDLL(library).oaq_delegate_plan_json
    function.restype = ctypes.c_size_t
    function.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
    pointer = delegate._get_native_delegate_pointer()
    text = ctypes.create_string_buffer(function(pointer, None, 0) + 1)
    function(pointer, text, len(text))
    return json.loads(text.value)


main()
