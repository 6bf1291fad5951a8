"""The command line ``python -m invlib``: compare models, invert one, train one, load images."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from invlib.names import RECIPES, TOKENS, nearest
from invlib.training.run import TrainingRun


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status, 2 for invalid input.

    Examples
    --------
    >>> main(["data", "digits", "--split", "test", "--n", "8"])
    digits/test: 8 images of 32×32 px, 10 classes (0, 1, 2, ...)
    0
    """
    return run_command(_parser(), argv)


def run_command(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> int:
    """Parse `argv`, run the command it names (``arguments.do``) and return the exit status."""
    arguments = parser.parse_args(argv)
    arguments.argv = list(sys.argv[1:] if argv is None else argv)
    program = parser.prog.removeprefix("python -m ")
    try:
        return arguments.do(arguments)
    except (FloatingPointError, MemoryError, OSError, TypeError, ValueError) as error:
        if arguments.traceback:
            raise
        print(f"{program}: error: {error}", file=sys.stderr)
        return 1 if isinstance(error, FloatingPointError) else 2
    except RuntimeError as error:
        if arguments.traceback or "memory" not in str(error):
            raise
        print(f"{program}: error: out of memory; fewer images or pixels need less", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        resumed = getattr(arguments, "resumed", "the same command goes on from here")
        print(f"\n{program}: interrupted; {resumed}", file=sys.stderr)
        return 130


def train_command(arguments: argparse.Namespace) -> int:
    """Do the training run that a JSON file describes."""
    try:
        # Some editors begin a file with a byte order mark, which is no JSON.
        run = TrainingRun.from_json(Path(arguments.run).read_text(encoding="utf-8-sig"))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{arguments.run} describes no training run: {error}") from error
    train_all([run], Path("data/runs"), arguments)
    return 0


def train_all(runs: Sequence[TrainingRun], root: Path, arguments: argparse.Namespace) -> None:
    """Train `runs` one after the other below `root`, and print the test result of each."""
    from invlib.training.train import train  # imports torch; a list of runs needs none

    for run in runs:
        print(f"training {run.id}: {run.describe()}", flush=True)
        trained = train(run, root=arguments.root or root, device=arguments.device)
        log = trained.log.isel(epoch=-1)
        tested = f"test loss {float(log['test_loss']):.4f}"
        if run.task == "classification":
            tested = f"test accuracy {float(log['test_accuracy']):.3f}"
        print(f"{run.id}: {tested} in {os.path.relpath(trained.path)}", flush=True)


def data_command(arguments: argparse.Namespace) -> int:
    """Load a data set, which also puts it into the cache, and print its size and classes."""
    from invlib.data.images import load_images  # imports torch; --help needs none

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


def add_training_options(parser: argparse.ArgumentParser, where: str) -> None:
    """Add --root and --device."""
    parser.add_argument("--root", help=f"where checkpoints go (default: {where})")
    parser.add_argument("--device", help="cpu or cuda (default: cuda where there is one)")


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are two lines, with the nearest name."""

    def error(self, message: str):
        """Print `message` and leave with exit status 2."""
        inner = [a.choices for a in self._actions if isinstance(a, argparse._SubParsersAction)]
        parsers = [self, *(parser for choices in inner for parser in choices.values())]
        known = [option for parser in parsers for option in parser._option_string_actions]
        known += [name for choices in inner for name in choices]
        wrong = re.search(r"(?:arguments: |invalid choice: ')([^\s'=]+)", message)
        hint = nearest(wrong[1], known) if wrong else ""
        program = self.prog.removeprefix("python -m ")
        self.exit(2, f"{program}: error: {message}{hint}\nusage: {self.prog} --help says more\n")


def commands_of(
    program: str, description: str, about: dict[str, str]
) -> tuple[argparse.ArgumentParser, Callable[..., argparse.ArgumentParser]]:
    """Return the parser of `program`, and a function that adds one of its commands."""
    parser = _Parser(prog=program, description=description, allow_abbrev=False)
    parser.add_argument("--traceback", action="store_true", help="show where an error comes from")
    names = "{" + ",".join(about) + "}"
    commands = parser.add_subparsers(required=True, dest="command", metavar=names)

    def add(name: str, do: Callable[[argparse.Namespace], int], text: str, **options: str):
        command = commands.add_parser(
            name, help=about[name], description=text, allow_abbrev=False, **options
        )
        command.set_defaults(do=do)
        return command

    return parser, add


def measuring_command(arguments: argparse.Namespace) -> int:
    """Compare two models, or invert one."""
    from invlib import commands  # imports torch; --help needs none

    return getattr(commands, f"{arguments.command}_command")(arguments)


_COMPARE = """\
an example that needs no file and no network:
  python -m invlib compare vit_pico_patch8_32=random vit_pico_patch8_32=random \\
      --images digits --n 16 --steps 5 --seeds 0 -o comparison.nc
two checkpoints and a folder test/<class>/*.jpg:
  python -m invlib compare timm mine.safetensors --model vit_tiny_patch16_224 \\
      --images photos --n 200 -o comparison.nc
"""
_INVERT = """\
an example that needs no file and no network:
  python -m invlib invert vit_pico_patch8_32=random --images digits --n 2 --steps 5 -o inverted
"""


def _add_measuring(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the commands compare and invert."""
    kind = dict(formatter_class=argparse.RawDescriptionHelpFormatter)
    one = "NAME=WEIGHTS, as in resnet18=mine.safetensors, resnet18=timm or resnet18=random"
    one += "; FILE#ENTRY for an entry of a checkpoint"
    pair = add(
        "compare",
        measuring_command,
        "Invert both models, measure what they share, and write the results to a netCDF file.",
        epilog=_COMPARE,
        **kind,
    )
    pair.add_argument("pretrained", metavar="PRETRAINED", help=f"{one}; or WEIGHTS of --model")
    pair.add_argument("finetuned", metavar="FINETUNED", help="the same")
    pair.add_argument("--model", metavar="NAME", help="the model whose weights both are")
    pair.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="(default: 0 1 2)")
    pair.add_argument("--no-stir", action="store_true", help="similarity only; invert nothing")
    pair.set_defaults(resumed="what was inverted is kept, and the same command goes on after it")
    single = add(
        "invert",
        measuring_command,
        "Search for images X′ that layers of a model cannot tell from images X, and write both.",
        epilog=_INVERT,
        **kind,
    )
    single.add_argument("model", metavar="MODEL", help=one)
    single.add_argument("--seed", type=int, default=0, help="of the images and the noise")
    single.set_defaults(resumed="nothing was written; the same command begins again")
    for command, out, n in ((pair, "FILE.nc", 500), (single, "FOLDER", 8)):
        command.add_argument(
            "--images", required=True, help="a folder, an .npz file, or digits, cifar10, ..."
        )
        command.add_argument("--split", help="train, test or all (default: test, if any)")
        command.add_argument("-o", "--output", metavar=out, required=True)
        command.add_argument("--n", type=int, help=f"images (default: {n}, or all if fewer)")
        command.add_argument("--layers", nargs="+", help="numbers or names (default: all)")
        command.add_argument("--tokens", default="all", help=f"{', '.join(TOKENS)} (default: all)")
        command.add_argument("--steps", type=int, default=50, help="of the inversion (default: 50)")
        command.add_argument(
            "--recipe", default="fast", help=f"{', '.join(RECIPES)} (default: fast; paper: ngd)"
        )
        command.add_argument(
            "--tolerance", type=float, help="distance at which an image has arrived"
        )
        command.add_argument("--img-size", type=int, metavar="PIXELS", help="side of the input")
        command.add_argument("--device", help="cpu or cuda (default: cuda where there is one)")
        command.add_argument("--quiet", action="store_true", help="show no progress")


def _parser() -> argparse.ArgumentParser:
    parser, add = commands_of(
        "python -m invlib",
        "What fine-tuning does to the representations of vision models. The training runs and the "
        "claims of the papers: python -m papers --help, in a checkout of the book",
        {
            "compare": "compare two models, layer by layer",
            "invert": "write images that a layer cannot tell from given ones",
            "train": "train a model",
            "data": "load a data set and print its size",
        },
    )
    _add_measuring(add)
    train = add(
        "train",
        train_command,
        "Do one training run, read from a JSON file. A run that was interrupted goes on.",
    )
    train.add_argument(
        "--run", metavar="FILE", required=True, help="the run, as JSON (run.to_json())"
    )
    add_training_options(train, "data/runs")

    data = add(
        "data",
        data_command,
        "Load a data set, download and decode it if needed, and print its size and classes.",
    )
    data.add_argument("name", help="digits, shapes, cifar10, ..., or a folder or .npz file")
    data.add_argument("--split", default="train", help="train or test (default: train)")
    data.add_argument("--n", type=int, help="draw this many images (default: all)")
    data.add_argument("--seed", type=int, default=0, help="seed of that draw (default: 0)")
    data.add_argument("--root", help="where data sets are (default: $INVLIB_DATA or data/datasets)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
