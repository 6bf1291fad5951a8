"""``make lessons``: do what "Try it" proposes and run the lesson, and keep the numbers."""

import json
import shlex
import sys
from collections.abc import Sequence

from invlib.files import atomic
from invlib.results.netcdf import open_results
from papers.lessons import plan
from papers.lessons.try_it import ANSWERS, KEPT, commands, kept
from papers.lessons.words import Trial
from papers.run import asked
from papers.section import Section
from papers.sections import SECTIONS

MADE = ("versions", "device", "git_commit", "git_dirty", "created", "command")


def trials(scale: str = "laptop") -> dict[str, tuple[Trial, Section, Section]]:
    """Return item, plain section and section with the parameters asked for, by command."""
    found = {}
    for name, items in ANSWERS.items():
        own = [item for item in items if isinstance(item, Trial)]
        for command, item in zip(commands(name), own, strict=True):
            _, *words = shlex.split(command)
            plain, tried = (asked(SECTIONS[name], given, scale) for given in ([], words))
            found[command] = item, *map(SECTIONS[name].from_parameters, (plain, tried))
    return found


def main(only: Sequence[str] = ()) -> None:
    """Do the runs of the sections `only` and time the ``"lesson"`` if it is there, or do all."""
    items, numbers = trials(), dict(kept())
    for command, (item, *sections) in items.items():
        if only and sections[0].name not in only:
            continue
        print(command, flush=True)
        runs = [open_results(s.output) if s.output.is_file() else s.dataset() for s in sections]
        runs = dict(zip(("plain", "tried"), runs, strict=True))
        numbers[command] = {name: item.measure(ds) for name, ds in runs.items()}
        made = {name: {key: ds.attrs[key] for key in MADE} for name, ds in runs.items()}
        numbers[command]["made"] = made
        keep({name: numbers[name] for name in items if name in numbers})
    if not only or "lesson" in only:
        plan.measure()


def keep(numbers: dict[str, dict]) -> None:
    """Write what was measured so far, with five digits."""
    text = json.dumps(numbers, default=int)  # netCDF has NumPy's integers
    rounded = json.loads(text, parse_float=lambda number: float(f"{float(number):.5g}"))
    with atomic(KEPT) as unfinished:
        unfinished.write_text(json.dumps(rounded, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
