"""The command line, thin over the library: ``python -m invlib {train,data,claims} ...``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from invlib.experiments import SECTIONS, load_scale, runs_of
from invlib.runs import TrainingRun


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit status: 2 for input that is of no use.

    Examples
    --------
    >>> main(["data", "digits", "--split", "test", "--n", "8"])
    digits/test: 8 images of 32×32 px, 10 classes (0, 1, 2, ...)
    0
    """
    arguments = _parser().parse_args(argv)
    try:
        return arguments.do(arguments)
    except (FloatingPointError, OSError, TypeError, ValueError) as error:
        if arguments.traceback:
            raise
        print(f"invlib: error: {error}", file=sys.stderr)
        return 1 if isinstance(error, FloatingPointError) else 2
    except KeyboardInterrupt:
        print("invlib: interrupted; the same command goes on from here", file=sys.stderr)
        return 130


def train_command(arguments: argparse.Namespace) -> int:
    """List the training runs of a scale, or do one or all of them."""
    from invlib.paths import project_root, runs_root

    if arguments.run is not None:
        text = Path(arguments.run).read_text(encoding="utf-8")
        chosen, root = [TrainingRun.from_json(text)], project_root() / "data" / "runs"
    else:
        parameters = load_scale(arguments.scale, arguments.override)
        runs = runs_of(section.from_parameters(parameters) for section in SECTIONS.values())
        root = runs_root(arguments.scale) / "training"
        if not arguments.all and arguments.id is None:
            for id, run in runs.items():
                done = "done" if (root / id / "done.json").is_file() else "    "
                print(f"{id}  {done}  {run.describe()}")
            return 0
        if arguments.id is not None and arguments.id not in runs:
            raise ValueError(
                f"id={arguments.id!r} is no run of scale {arguments.scale}; its runs are "
                + ", ".join(runs)
            )
        chosen = list(runs.values()) if arguments.all else [runs[arguments.id]]

    from invlib.training import train  # imports torch, which the lines above do without

    for run in chosen:
        print(f"training {run.id}: {run.describe()}", flush=True)
        trained = train(run, root=arguments.root or root, device=arguments.device)
        print(f"{_tested(trained)} in {os.path.relpath(trained.path)}", flush=True)
    return 0


def data_command(arguments: argparse.Namespace) -> int:
    """Load a data set, which brings it into the cache, and say what it is."""
    from invlib.datasets import load_images

    images = load_images(
        arguments.name, arguments.split, n=arguments.n, seed=arguments.seed, root=arguments.root
    )
    _, height, width, _ = images.images.shape
    names = ", ".join(images.class_names[:3]) + (", ..." if len(images.class_names) > 3 else "")
    print(
        f"{images.name}/{images.split}: {len(images)} images of {height}×{width} px, "
        f"{images.num_classes} classes ({names})"
    )
    return 0


def claims_command(arguments: argparse.Namespace) -> int:
    """Judge what the papers claim on the results of a scale, section by section."""
    from invlib.claims import claims_text
    from invlib.experiments.ledger import judged
    from invlib.paths import project_root, results_root, runs_root

    load_scale(arguments.scale)  # a misspelt one is an error, not a scale without results
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
            print(claims_text(ledger))
    return 0


def _tested(trained) -> str:
    log = trained.log.isel(epoch=-1)
    if trained.run.task == "classification":
        return f"{trained.run.id}: test accuracy {float(log['test_accuracy']):.3f}"
    return f"{trained.run.id}: test loss {float(log['test_loss']):.4f}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m invlib",
        description="What fine-tuning does to the representations of vision models.",
        allow_abbrev=False,
    )
    parser.add_argument("--traceback", action="store_true", help="show where an error comes from")
    commands = parser.add_subparsers(required=True, metavar="{train,data,claims}")

    train = commands.add_parser(
        "train",
        help="train the models a scale needs, or one of your own",
        description="Train the models that the notebooks need at a scale. Without --id or --all: "
        "list them. A training that was cut off goes on from its last epoch.",
        allow_abbrev=False,
    )
    train.set_defaults(do=train_command)
    what = train.add_mutually_exclusive_group()
    what.add_argument("--id", help="the one run with this id")
    what.add_argument("--all", action="store_true", help="every run of the scale")
    what.add_argument("--run", metavar="FILE", help="a run of your own, as JSON (run.to_json())")
    train.add_argument(
        "--scale", default="laptop", help="a file of notebooks/scales (default: laptop)"
    )
    train.add_argument("--override", metavar="FILE", help="a YAML file laid over the scale's")
    train.add_argument("--root", help="where checkpoints go (default: data/runs/SCALE/training)")
    train.add_argument("--device", help="cpu or cuda (default: cuda where there is one)")

    data = commands.add_parser(
        "data",
        help="load a data set and say what it is",
        description="Load a data set, downloading and decoding it if need be, and say what it is.",
        allow_abbrev=False,
    )
    data.set_defaults(do=data_command)
    data.add_argument("name", help="digits, shapes, cifar10, ..., or a folder or .npz file")
    data.add_argument("--split", default="train", help="train or test (default: train)")
    data.add_argument("--n", type=int, help="draw this many images (default: all)")
    data.add_argument("--seed", type=int, default=0, help="draws them (default: 0)")
    data.add_argument("--root", help="where data sets are (default: $INVLIB_DATA or data/datasets)")

    claims = commands.add_parser(
        "claims",
        help="judge what the papers claim on the results of a scale",
        description="Judge what the papers claim on the results of a scale: for each claim how "
        "many seeds agree, under both CKA estimators and both self terms.",
        allow_abbrev=False,
    )
    claims.set_defaults(do=claims_command)
    claims.add_argument(
        "--scale", default="cifar", help="a file of notebooks/scales (default: cifar)"
    )
    claims.add_argument(
        "--runs", action="store_true", help="your own run (data/runs), not the reference results"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
