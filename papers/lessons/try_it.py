"""What to expect of each "Try it" item: sentences with the numbers of the results.

An item either asks about results that are there, or it has a command of ``python -m papers run``.
Its answer is then a `Trial`: the numbers of that run beside those of the plain one. `make lessons`
does these runs at the laptop scale and keeps their numbers, because a page cannot wait for them.
"""

import html
import json
import re
from collections.abc import Mapping

import xarray as xr
from IPython.display import HTML

from invlib.paths import project_root, results_root
from papers.lessons import beyond, goerttler_masarczyk, merlin2023
from papers.lessons.words import Numbers, Trial, listed

__all__ = ["ANSWERS", "KEPT", "answers", "commands", "kept"]

KEPT = results_root("laptop") / "tried.json"
ANSWERS = merlin2023.ITEMS | goerttler_masarczyk.ITEMS | beyond.ITEMS


def answers(name: str, shown: Mapping[str, xr.Dataset]) -> HTML:
    """Return what to expect of each "Try it" item of section `name`, folded.

    Items about results are answered from the last of `shown`, the reference results if there are
    any. What a command changes was measured at the laptop scale.
    """
    title, ds = list(shown.items())[-1]
    trials, items, made = iter(commands(name)), [], set()
    for item in ANSWERS[name]:
        if isinstance(item, Trial):
            one = kept().get(next(trials))
            text = item.say(one["plain"], one["tried"]) if one else "Nobody has tried it yet."
            where = "laptop scale"
            for by in (one or {}).get("made", {}).values():
                made.add(f"{by['device']}, commit {by['git_commit'][:10]}")
        else:
            text, where = item(ds), title
        items.append(f"<li>{html.escape(text)} <em>({html.escape(where)})</em></li>")
    by = f"<p>Runs at the laptop scale: {html.escape(listed(sorted(made)))}.</p>" if made else ""
    return HTML(
        "<details class='lesson-answers'><summary>What to expect</summary>"
        f"<ol>{''.join(items)}</ol>{by}</details>"
    )


def commands(name: str) -> list[str]:
    """Return the commands of the "Try it" items of section `name`, in order, from its notebook.

    Examples
    --------
    >>> commands("accuracy")
    ['accuracy datasets=digits,shapes']
    """
    text = (project_root() / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8")
    cells = ["".join(cell["source"]) for cell in json.loads(text)["cells"]]
    (asked,) = [cell for cell in cells if cell.startswith("## Try it")]
    return re.findall(r"`python -m papers run ([^`]+)`", asked)


def kept() -> dict[str, dict[str, Numbers]]:
    """Return the numbers of the runs with commands, and of the plain ones, by command.

    Beside them, `made` says what the results were made with that they were measured on. Numbers
    that are older than it have none.
    """
    return json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.is_file() else {}
