"""The plan of the lesson: minutes from words to read, answers to write and seconds measured.

``make lessons`` runs the exercises, keeps their seconds, and writes the plan into the page for
teachers and into the notes of the exercises.
"""

import json
import re
from collections.abc import Mapping
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import nbformat

from invlib.files import atomic
from invlib.paths import project_root, results_root
from invlib.results.provenance import provenance
from papers.run import run_notebook

__all__ = ["KEPT", "Part", "measure", "notes", "plan", "table", "timed", "write"]

LESSON = 90  # minutes
READ, LOOK, CASE, LINE = 120, 2, 2, 2.5  # words a minute; minutes a figure, a case, a line of code
KEPT = results_root("laptop") / "lesson.json"
BEGIN, END = "<!-- lesson plan: written by make lessons -->", "<!-- end of the lesson plan -->"


class Part(NamedTuple):
    """A part of the lesson, and what takes its time; `talk` in minutes, `run` in seconds."""

    what: str
    given: str  # what it needs
    words: int = 0
    figures: int = 0
    cases: int = 0
    lines: int = 0
    run: float = 0
    talk: float = 0

    @property
    def minutes(self) -> int:
        """Return how long it takes, rounded up to five minutes."""
        work = self.words / READ + self.figures * LOOK + self.cases * CASE + self.lines * LINE
        return 5 * ceil((work + self.run / 60 + self.talk) / 5)


def measure() -> None:
    """Time the exercises, keep the seconds, and write the plan."""
    found = timed()
    with atomic(KEPT) as unfinished:
        unfinished.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    write(found)


def timed() -> dict[str, object]:
    """Run the solutions; return the seconds of each exercise, and where they were measured."""
    with TemporaryDirectory() as folder:
        executed = Path(folder, "done.ipynb")
        run_notebook(_exercises(), executed, {}, cwd=results_root("cifar"))
        done = nbformat.read(executed, as_version=4)
    seconds = dict.fromkeys(["start", *(cell.id for cell in done.cells if cell.id[0] == "q")], 0.0)
    at = "start"
    for cell in done.cells:
        at = cell.id if cell.id in seconds else at
        seconds[at] += cell.metadata.papermill.duration or 0
    how = dict(parameters={}, seeds=[], command="make lessons")
    made = provenance(wall_time=done.metadata.papermill.duration, **how)
    return {"seconds": seconds} | {key: made[key] for key in ("device", "created", "git_commit")}


def plan(seconds: Mapping[str, float]) -> list[tuple[int, Part]]:
    """Return the parts of the lesson and when each begins; the last one takes what is left.

    Raises
    ------
    ValueError
        If fewer than five minutes are left for it.
    """
    looked, method = (_text(name) for name in ("notebooks/what_is_an_inversion", "book/method"))
    looked, cases = looked.partition("## Try it")[0], _section(_text("book/teaching"), "### 1.")
    parts = [
        Part("Two models agree on every test image. Are they the same model? Collect answers.",
             "{doc}`intro`, slide 1", talk=10),
        Part("Look at inversions layer by layer. Which layers give the image back? Guess before "
             "scrolling.", "{doc}`/notebooks/what_is_an_inversion`",
             words=_words(looked), figures=looked.count("{figure}"), talk=2),
        Part("Learning and forgetting on the board: *Who is inverted?* below, in pairs",
             "{doc}`method`", words=_words(_section(method, "## Forgetting and learning") + cases),
             cases=len(re.findall(r"^[a-z]\. ", cases.partition(":::")[0], re.M))),
    ]  # fmt: skip
    cells = {cell.id: cell.source for cell in nbformat.read(_exercises(), as_version=4).cells}
    for key in (key for key in cells if key[0] == "q"):
        title = cells[key].partition("\n")[0].lstrip("# ")
        answer = re.search(r"BEGIN SOLUTION\n(.*?)### END", cells[key.replace("q", "a")], re.S)[1]
        run = seconds[key] + (seconds["start"] if key == "q1" else 0)
        work = dict(words=_words(cells[key]), lines=len(answer.strip().splitlines()), run=run)
        what = f"Exercise {title}, and the question to it in the notes"
        parts.append(Part(what, "`student_lesson.ipynb`", **work, talk=3))
    begins = [sum(part.minutes for part in parts[:at]) for at in range(len(parts) + 1)]
    if begins[-1] > LESSON - 5:
        raise ValueError(f"the parts take {begins[-1]} minutes, and a lesson has {LESSON}")
    last = "Which findings hold in our own run, which in the reference results, which in neither?"
    parts.append(Part(last, "{doc}`/notebooks/finetuning_task`", talk=LESSON - begins[-1]))
    return list(zip(begins, parts, strict=True))


def table(kept: Mapping[str, object]) -> str:
    """Return the plan as Markdown."""
    rows, seconds = plan(kept["seconds"]), kept["seconds"].values()
    lines = ["| minutes | what | with | time for |", "|---|---|---|---|"]
    for begin, part in rows:
        work = {"word": part.words, "figure": part.figures, "case": part.cases,
                "line of code": part.lines, "minute of talk": part.talk}  # fmt: skip
        said = ", ".join(_counted(value, name) for name, value in work.items() if value)
        end = begin + part.minutes
        lines.append(f"| {begin}–{end} | {part.what} | {part.given} | {said} |")
    return "\n".join(lines) + (
        f"\n\nThe minutes are computed: {READ} words a minute, {LOOK} minutes for a figure, {CASE} "
        f"for a case, {LINE} for a line of code that is written in pairs, rounded up to five. "
        f"Running all solutions takes {sum(seconds):.0f} seconds ({kept['device']}), the longest "
        f"exercise {max(list(seconds)[1:]):.1f}. The rates are our estimate; we have not held the "
        "lesson."
    )


def notes(kept: Mapping[str, object]) -> str:
    """Return how long the exercises take, for the notes."""
    minutes = [part.minutes for _, part in plan(kept["seconds"]) if part.lines]
    each = ", ".join(f"{at} takes {one}" for at, one in enumerate(minutes, start=1))
    run = sum(kept["seconds"].values())
    return (
        f"**For the teacher.** In minutes, exercise {each}. Running all solutions takes {run:.0f} "
        "seconds. The lesson plan is on the page *Teaching with this book*."
    )


def write(kept: Mapping[str, object]) -> None:
    """Write the plan into the page and the notes."""
    page = project_root() / "book/teaching.md"
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    text = f"{before}{BEGIN}\n\n{table(kept)}\n\n{END}{after}"
    with atomic(page) as unfinished:
        unfinished.write_text(text, encoding="utf-8")
    notebook = nbformat.read(_exercises(), as_version=4)
    (cell,) = [cell for cell in notebook.cells if cell.id == "plan"]
    cell.source = notes(kept)
    with atomic(_exercises()) as unfinished:
        unfinished.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")


def _counted(value: float, name: str) -> str:
    first, _, rest = name.partition(" ")
    return f"{value} {first}{'s' * (value != 1)} {rest}".strip()


def _exercises() -> Path:
    return project_root() / "book/exercises/lesson.ipynb"


def _text(name: str) -> str:
    """Return a page as Markdown; ``{figure}`` stands for each figure of a notebook."""
    if (file := project_root() / f"{name}.md").is_file():
        return file.read_text(encoding="utf-8")
    cells = nbformat.read(project_root() / f"{name}.ipynb", as_version=4).cells
    shown = [
        cell.source if cell.cell_type == "markdown"
        else "{figure}" * ("figure" in cell.metadata.get("mystnb", {}))
        for cell in cells
    ]  # fmt: skip
    return "\n\n".join(shown)


def _section(text: str, heading: str) -> str:
    """Return what stands below a heading that begins so, up to the next one of its level."""
    level = heading.partition(" ")[0]
    return re.search(rf"^{re.escape(heading)}.*?(?=^#{{1,{len(level)}}} |\Z)", text, re.M | re.S)[0]


def _words(text: str) -> int:
    return len(re.findall(r"\w+", text))
