"""``make lessons``: do the runs that "Try it" proposes, and keep their numbers for the pages."""

import json
import shlex

from invlib.results.netcdf import open_results
from papers.lessons.try_it import ANSWERS, KEPT, commands
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


def main() -> None:
    numbers = {}
    for command, (item, *sections) in trials().items():
        print(command, flush=True)
        runs = [open_results(s.output) if s.output.is_file() else s.dataset() for s in sections]
        runs = dict(zip(("plain", "tried"), runs, strict=True))
        numbers[command] = {name: item.measure(ds) for name, ds in runs.items()}
        made = {name: {key: ds.attrs[key] for key in MADE} for name, ds in runs.items()}
        numbers[command]["made"] = json.loads(json.dumps(made, default=int))
    KEPT.parent.mkdir(parents=True, exist_ok=True)
    rounded = json.loads(json.dumps(numbers), parse_float=lambda text: float(f"{float(text):.5g}"))
    KEPT.write_text(json.dumps(rounded, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
