# SPDX-License-Identifier: Apache-2.0
"""The command `oaq`: looks at, checks, converts and times .tflite files. Needs no TensorFlow.

Exit codes: 0 done, 1 the answer is no, 2 bad input or a fault.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oaq_keras.errors import CertificateError, OaqError
from oaq_keras.layouts import NEVER_DRAINED
from oaq_keras.plan import ISAS
from oaq_keras.version import __version__

if TYPE_CHECKING:
    from oaq_keras.plan import Plan

OK, REFUSED, FAULT = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
      arguments: those after the program's name; the process's own by default.

    Returns:
      The exit code.
    """
    options = _parser().parse_args(arguments)
    # Tensor names may hold what the terminal's encoding lacks.
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code: int = options.run(options)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader, `head` say, has seen enough; nothing is left to flush at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except CertificateError as error:
        return _fail(error, REFUSED)
    except (OaqError, OSError, ImportError) as error:
        return _fail(error, FAULT)
    except KeyboardInterrupt:
        return 130
    return code


def _fail(error: Exception, code: int) -> int:
    message = " ".join(str(error).split()) or type(error).__name__
    print(f"oaq: {message}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="oaq", description="Overflow aware quantization for TensorFlow Lite models."
    )
    parser.add_argument("--version", action="version", version=f"oaq-keras {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = _command(commands, "inspect", _inspect, "operators, ranges and the plan of a model")
    command.add_argument("model", type=Path, metavar="MODEL", help="a .tflite file")
    _add_json(command)

    command = _command(
        commands, "certify", _certify, "prove that a model's int16 sums fit; exit 1 if they may not"
    )
    command.add_argument("model", type=Path, metavar="MODEL", help="a .tflite file")
    command.add_argument(
        "--depth", type=_depth, help="products a lane adds between two drains (16)"
    )
    command.add_argument(
        "--first-layer-depth", type=_depth, help="the same for the model's first layer (4)"
    )
    command.add_argument(
        "--picture", type=Path, metavar="OUT.png", help="draw headroom by layer (needs matplotlib)"
    )
    _add_json(command)

    command = _command(
        commands,
        "compare",
        _compare,
        "what the bound costs two files of one network, layer by layer: before and after pruning",
    )
    command.add_argument("before", type=Path, metavar="BEFORE", help="an int8 .tflite file")
    command.add_argument("after", type=Path, metavar="AFTER", help="another of the same network")
    _add_json(command)

    command = _command(
        commands,
        "verify",
        _verify,
        "check certificate and plan independently, from the codes; exit 1 if they do not agree",
    )
    command.add_argument("model", type=Path, metavar="MODEL", help="a .tflite file")
    _add_json(command)

    command = _command(
        commands, "convert", _convert, "exchange builtin and Oaq operators; no code changes"
    )
    command.add_argument("source", type=Path, metavar="IN", help="a .tflite file")
    command.add_argument("target", type=Path, metavar="OUT", help="the file to write")
    command.add_argument(
        "--ops",
        choices=("custom", "builtin"),
        required=True,
        help="custom: Oaq operators, for our kernels; builtin: runs on any TFLite runtime",
    )
    command.add_argument("--force", action="store_true", help="overwrite OUT")

    _add_recertify(commands)
    _add_benchmark(commands)

    command = _command(
        commands, "doctor", _doctor, "what is installed, what works, what this CPU gains"
    )
    _add_json(command)
    return parser


def _add_recertify(commands: Any) -> None:
    command = _command(
        commands,
        "recertify",
        _recertify,
        "make the sums of an int8 file fit, whoever quantized it; its answers change a little",
    )
    command.add_argument("source", type=Path, metavar="IN", help="an int8 .tflite file")
    command.add_argument("target", type=Path, metavar="OUT", help="the file to write")
    command.add_argument(
        "--depth", type=_depth, default=16, help="products a lane adds between two drains (16)"
    )
    command.add_argument(
        "--first-layer-depth",
        type=_depth,
        default=4,
        help="the same for layers that read the model's input (4)",
    )
    command.add_argument(
        "--accumulator-bits",
        type=int,
        choices=range(8, 17),
        metavar="BITS",
        default=16,
        help="bits of a lane, 8 to 16 (16)",
    )
    command.add_argument(
        "--calibration",
        type=Path,
        metavar="FILE.npz",
        help="100 inputs or so as the file takes them, an array of [inputs, ...] for each of its "
        "inputs, in their order: answers stay much closer",
    )
    command.add_argument("--force", action="store_true", help="overwrite OUT")
    _add_json(command)


def _add_benchmark(commands: Any) -> None:
    command = _command(
        commands, "benchmark", _benchmark, "time a model in LiteRT as it comes and on our kernels"
    )
    command.add_argument("model", type=Path, metavar="MODEL", help="a .tflite file")
    command.add_argument(
        "--mode",
        action="append",
        choices=("stock", "oaq", "reference"),
        help="stock: LiteRT with XNNPACK; oaq: our kernels; reference: LiteRT's reference kernels; "
        "several take turns and are compared with the first (stock and oaq)",
    )
    isas = ", ".join(ISAS)
    command.add_argument(
        "--isa", default="auto", help=f"kernels of ours to use, of those the CPU has: {isas} (auto)"
    )
    command.add_argument(
        "--plan", choices=("auto", "int16", "exact"), default="auto", help="their plan (auto)"
    )
    command.add_argument("--threads", type=_positive, default=1, help="of every mode (1)")
    command.add_argument("--runs", type=_positive, default=50, help="measured, of every mode (50)")
    command.add_argument("--warmup", type=_positive, default=5, help="runs before them (5)")
    command.add_argument(
        "--profile", action="store_true", help="time every operator on our kernels as well"
    )
    form = command.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON, for scripts")
    form.add_argument("--markdown", action="store_true", help="print Markdown tables")


def _command(commands: Any, name: str, run: Any, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    parser.set_defaults(run=run)
    return parser


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON, for scripts")


def _positive(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return value


def _depth(text: str) -> int:
    depth = _positive(text)
    if depth > NEVER_DRAINED:
        raise argparse.ArgumentTypeError(f"{text!r} is above {NEVER_DRAINED}, never drained")
    return depth


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, allow_nan=False))


def _inspect(options: argparse.Namespace) -> int:
    from oaq_keras.inspection import inspect_model
    from oaq_keras.model_file import load_bytes

    data = load_bytes(options.model)
    found = inspect_model(data)
    plan, why_not = _plan(data, allocate=True)
    if options.json:
        entries = None if plan is None else [vars(entry) for entry in plan]
        memory = None if plan is None else plan.memory().to_dict()
        _print_json({**found.to_dict(), "plan": entries, "memory": memory, "plan_reason": why_not})
        return OK
    print(f"{options.model}: {found}")
    print()
    print(f"no plan: {why_not}" if plan is None else plan)
    return OK


def _plan(
    data: bytes, plan: str = "auto", isa: str = "auto", *, allocate: bool = False
) -> tuple[Plan | None, str]:
    """The plan for this machine, or why there is none; a file is worth a look without it.

    `allocate` tensors too, which tells MACs and scratch of the shapes that the file has.
    """
    try:
        from oaq_keras.litert import interpreter as litert
        from oaq_keras.runtime import Interpreter

        # LiteRT's own delegates know nothing of the plan, and say that they are there.
        resolver = litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        made = Interpreter(
            model_content=data,
            builtin=True,
            plan=plan,
            isa=isa,
            experimental_op_resolver_type=resolver,
        )
        if allocate:
            with suppress(ValueError, RuntimeError):
                made.allocate_tensors()
        return made.plan(), ""
    except (OaqError, OSError, ValueError, RuntimeError, ImportError) as error:
        return None, " ".join(str(error).split())


def _certify(options: argparse.Namespace) -> int:
    from oaq_keras.certification import certify

    certificate = certify(
        options.model, depth=options.depth, first_layer_depth=options.first_layer_depth
    )
    if options.picture is not None:
        from oaq_keras import report

        try:
            report.plot_headroom(certificate, options.picture)
        except (ValueError, OSError) as error:  # matplotlib knows no such format, or no such folder
            raise OaqError(f"{options.picture} cannot be drawn: {error}") from error
    print(certificate.to_json(indent=2) if options.json else certificate)
    return OK if certificate.proven else REFUSED


def _compare(options: argparse.Namespace) -> int:
    from oaq_keras.comparison import compare

    found = compare(options.before, options.after)
    if options.json:
        _print_json(found.to_dict())
    else:
        print(found)
    return OK


def _verify(options: argparse.Namespace) -> int:
    from oaq_keras import verification
    from oaq_keras.certificate import METADATA
    from oaq_keras.flatbuffer import get_metadata, read_model
    from oaq_keras.model_file import load_bytes

    data = load_bytes(options.model)
    found = {isa: _plan(data, plan="int16", isa=isa) for isa in ISAS}
    plans = {isa: plan.entries for isa, (plan, _) in found.items() if plan is not None}
    why_not = next((reason for plan, reason in found.values() if plan is None), "")
    problems = verification.verify(data, plans)
    layers = len(verification.bounds(data))
    if options.json:
        result = {"layers": layers, "problems": problems, "plans": sorted(plans)}
        _print_json({**result, "plan_reason": "" if plans else why_not})
    else:
        for problem in problems:
            print(problem)
        certified = get_metadata(read_model(data), METADATA) is not None
        compared = "its certificate" if certified else "no certificate"
        compared += f" and the plan of {', '.join(plans)}" if plans else f"; no plan: {why_not}"
        verdict = f"{len(problems)} disagree" if problems else "all agree"
        print(f"{options.model}: {layers} int8 layers recomputed against {compared}: {verdict}")
    return REFUSED if problems else OK


def _convert(options: argparse.Namespace) -> int:
    from oaq_keras import rewrite
    from oaq_keras.model_file import load_bytes

    source, target = options.source, options.target
    _check_target(source, target, options.force)
    change = rewrite.to_custom_ops if options.ops == "custom" else rewrite.to_builtin_ops
    data = change(load_bytes(source))
    _write(target, data, options.force)
    print(f"{target}: {len(data) / 1024:.1f} KiB with {options.ops} operators")
    return OK


def _recertify(options: argparse.Namespace) -> int:
    from oaq_keras.calibration_data import load_calibration
    from oaq_keras.certification import certify
    from oaq_keras.model_file import load_bytes, names_oaq_operators
    from oaq_keras.recertification import recertify

    _check_target(options.source, options.target, options.force)
    given = load_bytes(options.source)
    inputs = None if options.calibration is None else load_calibration(options.calibration, given)
    data = recertify(
        given,
        depth=options.depth,
        first_layer_depth=options.first_layer_depth,
        accumulator_bits=options.accumulator_bits,
        calibration=inputs,
    )
    _write(options.target, data, options.force)
    certificate = certify(data)
    print(certificate.to_json(indent=2) if options.json else certificate)
    if not options.json:
        print(f"{options.target}: {len(data) / 1024:.1f} KiB")
        if not names_oaq_operators(data):
            print(
                "Its operators are builtin, as they were: our kernels run them where they are "
                "asked to (builtin=True), or after `oaq convert "
                f"{options.target} OUT --ops custom`."
            )
    return OK


def _check_target(source: Path, target: Path, overwrite: bool) -> None:
    """Refuses an IN that is not there and an OUT that cannot be written, before all else."""
    if not source.exists():
        raise OaqError(f"{source} does not exist; name a .tflite file as IN")
    if not target.parent.is_dir():
        raise OaqError(f"{target} cannot be written: there is no folder {target.parent}")
    if not target.exists():
        return
    if source.samefile(target):
        raise OaqError(f"IN and OUT are the same file, {target}; name another OUT")
    if target.is_dir():
        raise OaqError(f"{target} is a folder; name a file as OUT")
    if not overwrite:
        raise OaqError(f"{target} exists; name another OUT, or overwrite it with --force")


def _write(target: Path, data: bytes, overwrite: bool) -> None:
    """Writes all of a file or none of it, even if the machine stops in between."""
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with unfinished.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if overwrite:
            unfinished.replace(target)
        else:
            _link(unfinished, target)
    except OSError as error:
        raise OaqError(f"{target} cannot be written: {error.strerror or error}") from error
    finally:
        unfinished.unlink(missing_ok=True)


def _link(source: Path, target: Path) -> None:
    # Unlike a rename, a link fails where OUT came into being meanwhile.
    try:
        target.hardlink_to(source)
    except FileExistsError:
        raise
    except OSError:
        # Some file systems, memory cards' among them, have no links.
        source.replace(target)


def _benchmark(options: argparse.Namespace) -> int:
    from oaq_keras.benchmark import benchmark

    try:
        found = benchmark(
            options.model,
            options.mode or ["stock", "oaq"],
            isa=options.isa,
            plan=options.plan,
            threads=options.threads,
            runs=options.runs,
            warmup=options.warmup,
            profile=options.profile,
        )
    except ValueError as error:
        raise OaqError(str(error)) from error
    plans = [mode.plan for mode in found.modes if mode.plan is not None]
    if plans and not any(entry.isa for plan in plans for entry in plan):
        print(
            "oaq: none of the model's operators runs on our kernels, so mode oaq is stock; they "
            "take int8 layers (`oaq inspect` says what a file has)",
            file=sys.stderr,
        )
    if options.json:
        _print_json(found.to_dict())
        return OK
    if options.markdown:
        print(found.to_markdown())
    else:
        print(found)
    for mode in found.modes:
        if options.profile and mode.plan is not None:
            print(f"\nOperators in mode {mode.mode}, mean of all runs, warm-up included:\n")
            print(f"```\n{mode.plan}\n```" if options.markdown else mode.plan)
    return OK


def _doctor(options: argparse.Namespace) -> int:
    from oaq_keras.doctor import examine

    findings = examine()
    if options.json:
        _print_json([vars(finding) for finding in findings])
    else:
        width = max(len(finding.name) for finding in findings)
        for finding in findings:
            print(f"{finding.status:8}{finding.name:{width}}  {finding.detail}")
            if finding.advice:
                print(f"{'':8}{'':{width}}  -> {finding.advice}")
    return FAULT if any(finding.status == "problem" for finding in findings) else OK


if __name__ == "__main__":
    raise SystemExit(main())
