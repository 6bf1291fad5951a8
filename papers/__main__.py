"""The command line ``python -m papers``: train models, judge claims, measure costs."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence

from invlib.__main__ import add_training_options, commands_of, run_command, train_all
from invlib.files import copy
from invlib.names import choices, nearest, whole_number
from invlib.paths import project_root, resolve_weights, results_root, runs_root, training_folder
from papers.across.claims_ledger import ClaimsLedger
from papers.cells import PAGE, parameters_text, rewrite, rewrite_page
from papers.engine.gpu import add_gpu
from papers.engine.plan import plan_text
from papers.parameters import load_scale
from papers.sections import SECTIONS, runs_of


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status, 2 for invalid input."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if "run" in argv:  # NAME=VALUE may stand anywhere
        argv = [f"--set={word}" if re.match(r"\w+=", word) else word for word in argv]
    return run_command(_parser(), argv)


def run_section_command(arguments: argparse.Namespace) -> int:
    """Run the notebook of a section."""
    # nbformat's jsonschema does without it. It checks addresses, which notebooks do not hold, and
    # takes two seconds to import.
    sys.modules.setdefault("rfc3987_syntax", None)
    from papers.run import run_section  # imports papermill, which other commands do without

    return run_section(arguments)


def train_command(arguments: argparse.Namespace) -> int:
    """List the training runs of a scale, or do one of them or all. All scales share them."""
    parameters = load_scale(arguments.scale, arguments.override)
    runs = runs_of(section.from_parameters(parameters) for section in SECTIONS.values())
    root = runs_root("training")
    if not arguments.all and arguments.id is None:
        for id, run in runs.items():
            done = "done" if (training_folder(id, root) / "done.json").is_file() else "    "
            print(f"{id}  {done}  {run.describe()}")
        return 0
    if arguments.id is not None and arguments.id not in runs:
        said = f"id={arguments.id!r} is no run of scale {arguments.scale}"
        hint = nearest(arguments.id, runs)
        raise ValueError(
            f"{said}{hint}; python -m papers train --scale {arguments.scale} lists all"
        )
    train_all(list(runs.values()) if arguments.all else [runs[arguments.id]], root, arguments)
    return 0


def part_command(arguments: argparse.Namespace) -> int:
    """Do a share of a section's inversions, which the section then finds in its cache."""
    part, _, parts = arguments.part.partition("/")
    parameters = load_scale(arguments.scale, arguments.override)
    section = SECTIONS[choices("section", arguments.section, SECTIONS)].from_parameters(parameters)
    most = len(section.to_invert())
    fine = part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts) <= most
    if not fine:
        raise ValueError(
            f"part={arguments.part!r} of {section.name} at scale {section.scale}: allowed is "
            + (f"i/k with 1 <= i <= k <= {most}" if most else "none, it has no inversions to cut")
        )
    section.invert(int(part), int(parts))
    return 0


def plan_command(arguments: argparse.Namespace) -> int:
    """Print the jobs of a scale, and the GPU-hours and the storage they take."""
    whole_number("parts", arguments.parts)
    parameters = load_scale(arguments.scale, arguments.override)
    sections = {name: cls.from_parameters(parameters) for name, cls in SECTIONS.items()}
    runs = runs_of(section for section in sections.values() if not section.own_trainings)
    print(plan_text(sections, runs, arguments.parts))
    return 0


def claims_command(arguments: argparse.Namespace) -> int:
    """Print the verdicts on the papers' claims for the results of a scale, section by section."""
    # imports xarray and torch; a list of training runs needs neither
    from papers.claims.data import covered
    from papers.claims.tables import claims_text
    from papers.engine.agreement import agreement_about

    load_scale(arguments.scale)  # raises an error for a misspelt scale
    judged, claims = ClaimsLedger().work.judged, ClaimsLedger().work.CLAIMS
    folder = (runs_root if arguments.runs else results_root)(arguments.scale)
    for section, path, ledgers, not_run in judged(folder):
        shown = path.relative_to(project_root()).as_posix()
        if not path.is_file():
            target = "run" if arguments.runs else "reference"
            print(f"{section}: no results at scale {arguments.scale}; there is no {shown}")
            print(f"    make {target} SCALE={arguments.scale} writes it\n")
            continue
        print(f"{section}: {ledgers[0].sizes['claim']} claims, judged on {shown}")
        print(f"    not run: {', '.join(not_run)}\n" if not_run else "")
        for ledger in ledgers:
            agreement = agreement_about(section, claims[section], ledger)
            print(claims_text(ledger, agreement=agreement))
    print(covered())
    return 0


def bench_command(arguments: argparse.Namespace) -> int:
    """Measure what a comparison costs, at the sizes of scale cifar on a CPU."""
    if arguments.keep and arguments.scale != "bench":
        raise ValueError("--keep is for the full sizes, without --scale")
    if arguments.scale == "bench":
        parameters = load_scale("cifar", "notebooks/scales/overrides/cpu.yaml")
        try:
            resolve_weights(parameters["bench_weights"])
        except FileNotFoundError as error:
            print(f"{error}. So the time to a distance is that of random weights.")
            parameters["bench_weights"] = None
    else:
        parameters = load_scale(arguments.scale)
    section = SECTIONS["what_it_costs"].from_parameters(parameters | {"scale": arguments.scale})
    ds = section.dataset()
    for line, (value,) in section.work.table({"": ds}).iterrows():
        print(f"{line:70}  {value}")
    print(f"\n{os.path.relpath(section.output)}: {ds.attrs['wall_time_s']:.0f} s")
    if arguments.keep:
        copy(section.output, section.reference)
        print(f"kept as {os.path.relpath(section.reference)}")
    return 0


def parameters_command(arguments: argparse.Namespace) -> int:
    """Write the parameters cells and the page on them, or with --check name those out of date.

    With a section: print its parameters.
    """
    if arguments.section:
        print(parameters_text(SECTIONS[choices("section", arguments.section, SECTIONS)]))
        return 0
    stale = False
    for section in SECTIONS.values():
        notebook = section().notebook
        if rewrite(project_root() / notebook, section, check=arguments.check):
            stale = True
            print(f"{notebook}: {'out of date' if arguments.check else 'written'}")
    if rewrite_page(project_root() / PAGE, SECTIONS, check=arguments.check):
        stale = True
        print(f"{PAGE}: {'out of date' if arguments.check else 'written'}")
    return int(stale and arguments.check)


def _parser() -> argparse.ArgumentParser:
    parser, add = commands_of(
        "python -m papers",
        "Re-run the experiments of three papers on fine-tuned vision models.",
        {
            "run": "run the notebook of a section",
            "train": "train the models a scale needs",
            "part": "do some of a section's inversions",
            "plan": "say what a scale takes",
            "claims": "judge the claims of the papers on the results of a scale",
            "bench": "measure what a comparison costs",
            "gpu": "measure on a borrowed GPU",
            "parameters": "list the parameters of a section",
        },
    )
    run = add(
        "run",
        run_section_command,
        "Run the notebook of a section. Parameters are written NAME=VALUE, lists as "
        "'seeds=[0, 1, 2]'; python -m papers parameters SECTION lists them. They are checked "
        "before any work. With parameters of your own, results go to a place of their own, "
        "data/runs/SCALE-NAME-VALUE, or to that of scale=NAME. All places share their trainings.",
        usage="python -m papers run SECTION [NAME=VALUE ...] [--scale SCALE] [--override FILE] "
        "[--quiet]",
    )
    run.add_argument("section", help="a section of the book, such as finetuning_task")
    run.add_argument("--set", action="append", default=[], help=argparse.SUPPRESS)
    run.add_argument("--scale", default="laptop", help="a file of notebooks/scales (laptop)")
    run.add_argument("--override", metavar="FILE", help="a YAML file laid over the scale's")
    run.add_argument("--quiet", action="store_true", help="without lines that show progress")

    train = add(
        "train",
        train_command,
        "Train the models that the notebooks need at a scale. Without --id or --all: list them. "
        "A training that was interrupted goes on from its last epoch.",
    )
    what = train.add_mutually_exclusive_group()
    what.add_argument("--id", help="the one run with this id")
    what.add_argument("--all", action="store_true", help="every run of the scale")
    train.add_argument(
        "--scale", default="laptop", help="a file of notebooks/scales (default: laptop)"
    )
    train.add_argument("--override", metavar="FILE", help="a YAML file laid over the scale's")
    add_training_options(train, "data/runs/training")

    part = add(
        "part",
        part_command,
        "Do a share of a section's inversions, as a job of its own. The section finds them in its "
        "cache. The trainings come first: python -m papers train.",
    )
    part.add_argument("section", help="a section of the book, such as dynamics")
    part.add_argument("--part", default="1/1", metavar="I/K", help="which of K shares (1/1)")
    part.add_argument("--scale", default="laptop", help="a file of notebooks/scales (laptop)")
    part.add_argument("--override", metavar="FILE", help="a YAML file laid over the scale's")

    plan = add("plan", plan_command, "Say what a scale takes: jobs, GPU-hours, storage.")
    plan.add_argument("--scale", default="laptop", help="a file of notebooks/scales (laptop)")
    plan.add_argument("--override", metavar="FILE", help="a YAML file laid over the scale's")
    plan.add_argument("--parts", type=int, default=16, help="most jobs that a section is cut into")

    claims = add(
        "claims",
        claims_command,
        "Judge the claims of the papers on the results of a scale: for each claim the seeds that "
        "agree, with both CKA estimators and both self terms.",
    )
    claims.add_argument(
        "--scale", default="cifar", help="a file of notebooks/scales (default: cifar)"
    )
    claims.add_argument(
        "--runs", action="store_true", help="your own run (data/runs), not the reference results"
    )

    bench = add(
        "bench",
        bench_command,
        "Measure what a comparison costs (make bench). Writes data/runs/bench/what_it_costs.nc and "
        "prints its main numbers.",
    )
    bench.add_argument("--scale", default="bench", help="another scale's sizes, to try it out")
    bench.add_argument("--keep", action="store_true", help="make it the result in the book")

    add_gpu(add)

    parameters = add(
        "parameters",
        parameters_command,
        "List the parameters of a section. Without one, write the parameters cell of every "
        "notebook, and the page of the book that lists them all, from the fields of the sections "
        "(make parameters).",
    )
    parameters.add_argument("section", nargs="?", help="a section, such as finetuning_task")
    parameters.add_argument(
        "--check", action="store_true", help="write nothing; exit status 1 if one is out of date"
    )
    return parser


# Measuring memory starts processes, and they import this file.
if __name__ == "__main__":
    sys.exit(main())
