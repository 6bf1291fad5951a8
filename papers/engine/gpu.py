"""``python -m papers gpu``: pack for a borrowed GPU, measure there, take the results home."""

import argparse
import os
import re
import time
import traceback
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from types import ModuleType

from invlib.names import choices
from invlib.paths import datasets_root, project_root, results_root
from papers.engine.pool import load_sections, plan_lines
from papers.section import REFERENCE_SCALE

# Most valuable first. Each writes the file of its name before the next begins.
STEPS = {
    "checks": "the GPU against the processor, waits, memory",
    "precisions": "the paper's comparison in float32, TF32 and bfloat16",
    "finetuning_task": "section 4.1 at 224 pixels, 200 steps, one draw",
    "convergence": "values against distance at all layers: recipes, two starts",
    "draws": "section 4.1 with two more draws",
    "dynamics": "section 4.4, epoch by epoch",
}

# What sections are made there, and with which parameters.
LIST = "papers/engine/gpu_sections.yaml"

# What a machine with PyTorch seldom has; what they need in turn must be listed, or be there.
WHEELS = (
    "annotated-types captum filelock h5netcdf h5py huggingface-hub lazy-loader psutil pydantic "
    "pydantic-core pyyaml safetensors timm tqdm typing-inspection xarray"
)


def run(
    folder: Path, steps: Iterable[str] = tuple(STEPS), *, budget: float = 600,
    precision: str = "float32", toy: bool = False,
) -> dict[str, str]:  # fmt: skip
    """Do `steps` in the order of `STEPS`; return what became of each: done, skipped or failed.

    Each leaves ``<step>.nc`` in `folder`, and a short table at the end. When `budget` seconds are
    over no further step begins. `toy` sizes run on a processor within a minute.
    """
    chosen, ends = {choices("steps", step, STEPS) for step in steps}, time.monotonic() + budget
    work = _work()[0]
    plan = work.Plan(folder, precision=precision, toy=toy, ends=ends)
    became, tables = {}, []
    for step in [step for step in STEPS if step in chosen]:
        if (started := time.monotonic()) >= ends:
            became[step] = f"skipped: {budget:g} s are over"
            continue
        print(f"{step}: {STEPS[step]}", flush=True)
        try:
            tables.append(work.summary(step, work.do(step, plan)))
            became[step] = f"done in {time.monotonic() - started:.0f} s"
        except Exception as error:  # the next step may work
            traceback.print_exc()
            became[step] = f"failed: {type(error).__name__}: {error}"
    print("\n".join(["", *tables, *(f"{step:16} {what}" for step, what in became.items())]))
    return became


def _run(arguments: argparse.Namespace) -> int:
    """Measure on this machine; exit status 1 where a step failed."""
    folder = Path(arguments.out or project_root() / "data" / "runs" / "gpu" / "back")
    how = {name: vars(arguments)[name] for name in ("budget", "precision", "toy")}
    became = run(folder, arguments.steps.split(","), **how)
    print(f"\n{os.path.relpath(folder)}: bring it home, then: python -m papers gpu merge FOLDER")
    return int(any(what.startswith("failed") for what in became.values()))


def _bundle(arguments: argparse.Namespace) -> int:
    """Pack the folder that a machine with a GPU needs, at most 60 MB."""
    folder, how = Path(arguments.folder), (arguments.python, arguments.wheels.split())
    if arguments.sections is None:
        sizes, script = {folder: _work()[1].bundle(folder, *how)}, "run.sh"
    else:
        file, script = Path(arguments.list), "1/run.sh"
        sections = load_sections(file, _names(arguments.sections))
        sizes = _work()[1].bundle_sections(folder, *how, sections, file)
    print("\n".join(f"{part}: {size:.1f} MB" for part, size in sizes.items()))
    print(f"On the machine with the GPU: sh {folder.name}/{script}")
    return 0


def _unpack(arguments: argparse.Namespace) -> int:
    """Take the images out of the folders of a bundle, once all of them are there."""
    from papers.engine.work.gpu_images import unpack  # imports torch, as above

    unpack(Path(arguments.folder), datasets_root())
    return 0


def _merge(arguments: argparse.Namespace) -> int:
    """Take what came back into data/results/gpu; exit status 1 where a file was refused."""
    home = dict(target=results_root("gpu"))
    if arguments.reference:
        home["reference"] = results_root(REFERENCE_SCALE)
    became = _work()[1].merge(Path(arguments.folder), **home)
    print("\n".join(f"{name}: {what}" for name, what in became.items()))
    return int(any(what.startswith("refused") for what in became.values()))


def _sections(arguments: argparse.Namespace) -> int:
    """Make whole sections with many processes that share the GPU; exit status 1 if one failed.

    The cheapest come first, and none is begun that would not be finished in time. The same command
    goes on after an interruption.
    """
    sections = load_sections(Path(arguments.list), _names(arguments.names), toy=arguments.toy)
    print("\n".join(plan_lines(sections)), flush=True)
    if arguments.plan:
        return 0
    from papers.engine.work import pool  # imports torch, which --plan does without

    folder = Path(arguments.out or project_root() / "data" / "runs" / "gpu" / "back")
    became = pool.compute(
        sections, folder, processes=arguments.processes or pool.usual_processes(),
        budget=arguments.budget, say=partial(print, flush=True),
    )  # fmt: skip
    print("\n".join(["", *(f"{name:26}{what}" for name, what in became.items())]))
    print(f"\n{os.path.relpath(folder)}: bring it home, then: python -m papers gpu merge FOLDER")
    return int("failed" in became.values())


def _work() -> tuple[ModuleType, ModuleType]:
    from papers.engine.work import gpu, gpu_parcel  # imports torch, which --help does without

    return gpu, gpu_parcel


def add_gpu(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command ``gpu`` to those of ``python -m papers``."""
    gpu = add("gpu", _run, "Measure on a borrowed GPU, and bring the results home.")
    commands = gpu.add_subparsers(required=True, metavar="{run,sections,bundle,unpack,merge}")
    parsers = {}
    all_commands = dict(run=_run, sections=_sections, bundle=_bundle, unpack=_unpack, merge=_merge)
    for name, do in all_commands.items():
        parsers[name] = commands.add_parser(name, help=do.__doc__, description=do.__doc__)
        parsers[name].set_defaults(do=do)
    option = parsers["run"].add_argument
    option("--steps", default=",".join(STEPS), help="which, with commas (default: %(default)s)")
    option("--budget", type=_seconds, default=600, help="seconds after which no step begins (600)")
    precisions = ("float32", "TF32", "bfloat16")
    option("--precision", choices=precisions, default="float32", help="from the third step on")
    option("--out", metavar="FOLDER", help="for the results")
    option("--toy", action="store_true", help="tiny sizes, to try it on a processor")
    option = parsers["sections"].add_argument
    option("names", nargs="?", default="", help="which of the list, with commas (default: all)")
    option("--list", metavar="FILE", default=LIST, help="their parameters (default: %(default)s)")
    option("--plan", action="store_true", help="only say what they take")
    option("--processes", type=_positive, help="default: one less than cores, if memory allows")
    option("--budget", type=_seconds, default=600, help="seconds after which only what is complete "
           "is put together (600)")  # fmt: skip
    option("--out", metavar="FOLDER", help="for the results")
    option("--toy", action="store_true", help="tiny sizes, to try it on a processor")
    option = parsers["bundle"].add_argument
    option("folder", help="to be made")
    option("--python", default="3.12", help="the version there, for the wheels (default: 3.12)")
    option("--wheels", default=WHEELS, help="packages missing there (default: %(default)s)")
    option("--sections", nargs="?", const="", metavar="NAMES", help="with the data of these "
           "sections of the list, or of all, in folders of at most 60 MB each")  # fmt: skip
    option("--list", metavar="FILE", default=LIST, help="default: %(default)s")
    parsers["unpack"].add_argument("folder", help="that of the bundle, with its numbered folders")
    option = parsers["merge"].add_argument
    option("folder", help="what came back")
    option("--reference", action="store_true", help="sections of scale cifar become the reference "
           "results of the book, in data/results/cifar")  # fmt: skip


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not 1 or more")
    return int(text)


def _seconds(text: str) -> float:
    if not re.fullmatch(r"\d+(\.\d*)?", text):  # also no nan, which is never over
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return float(text)
