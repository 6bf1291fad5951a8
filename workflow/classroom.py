"""``make classroom``: one zip for a memory stick, with book, slides, exercises and their results.

The exercises have one source, book/exercises/*.ipynb. What stands between BEGIN SOLUTION and END
SOLUTION is missing in the student's notebook; cells with the tag ``instructor`` are the teacher's.
These marks and the cells' metadata are nbgrader's. Checks are plain assertions, so students install
neither nbgrader nor otter-grader, and who wants points runs nbgrader on what they hand in.
"""

import copy
import html
import re
import sys
import zipfile
from pathlib import Path
from urllib.parse import quote

import nbformat

RESULTS = ("finetuning_task.nc", "compression_expansion.nc")  # what the exercises open
REQUIREMENTS = "jupyterlab\nmatplotlib\nnetCDF4\nxarray\n"
START = """Open book/index.html, or slides.html (arrow keys turn the page), with a browser.
For the exercises, in the folder exercises:
    python3 -m pip install -r requirements.txt
    jupyter lab student_lesson.ipynb
For the teacher: teacher/solution_*.ipynb and teacher/notes_*.md.
"""
SLIDES = {  # notebook: its figures, in the order of the lesson
    "what_is_an_inversion": ["fig-inversions"],
    "finetuning_task": ["fig-task-debiased", "fig-task-checks"],
}
_SOLUTION = re.compile(r"( *)### BEGIN SOLUTION\n.*?### END SOLUTION", re.S)


def student(master: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Return a notebook without answers and without what is for the teacher."""
    notebook = _without_notes(master)
    for cell in notebook.cells:
        cell.source = _SOLUTION.sub(r"\1...  # your code", cell.source)
    return notebook


def solution(master: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Return a notebook with the answers between their marks, the source that nbgrader takes."""
    return _without_notes(master)


def notes(master: nbformat.NotebookNode) -> str:
    """Return the questions, the answers and the notes for the teacher as Markdown."""
    parts = []
    for cell in master.cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
        elif _SOLUTION.search(cell.source):
            text = re.sub(r" *### (BEGIN|END) SOLUTION\n?", "", cell.source)
            parts.append(f"```python\n{text}\n```")
    return "\n\n".join(parts) + "\n"


def slides(folder: Path) -> str:
    """Return one HTML file with the figures of the executed notebooks in `folder`; keys turn it."""
    pages = ["<h1>What fine-tuning changes</h1>"]
    for name, figures in SLIDES.items():
        for cell in nbformat.read(folder / f"{name}.ipynb", as_version=4).cells:
            settings = cell.metadata.get("mystnb", {})
            figure = settings.get("figure", {})
            if figure.get("name") not in figures:
                continue
            data = [output.data for output in cell.outputs if "data" in output]
            pictures = [_address(one) for one in data if {"image/png", "image/svg+xml"} & set(one)]
            if not pictures:
                raise SystemExit(f"{folder / name}.ipynb has no picture {figure['name']}")
            alt = html.escape(settings.get("image", {}).get("alt", ""), quote=True)
            caption = html.escape(figure.get("caption", ""))
            pages.append(f"<img src='{pictures[0]}' alt='{alt}'><p>{caption}</p>")
    sections = "".join(f"<section>{page}</section>" for page in pages)
    return _FRAME.replace("PAGES", sections)


_FRAME = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Slides</title><style>
body{margin:0;font:1.4rem sans-serif}section{height:100vh;box-sizing:border-box;padding:3vh;
display:flex;
flex-direction:column;justify-content:center;align-items:center}img{max-width:94vw;max-height:78vh}
@media print{section{break-after:page}}</style><main>PAGES</main><script>
addEventListener("keydown", (event) => {
  const step = {ArrowRight: 1, PageDown: 1, " ": 1, ArrowLeft: -1, PageUp: -1}[event.key];
  if (!step) return;
  event.preventDefault();
  const at = Math.round(scrollY / innerHeight);
  document.querySelectorAll("section")[at + step]?.scrollIntoView();
});</script></html>"""


def pack(target: Path, book: Path, executed: Path, results: Path, masters: Path) -> None:
    """Write the zip. It appears when it is whole."""
    if not (book / "index.html").is_file():
        raise SystemExit(f"there is no {book / 'index.html'}: make book writes it")
    unfinished = target.with_suffix(".unfinished")
    with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("README.txt", START)
        file.writestr("slides.html", slides(executed))
        file.writestr("exercises/requirements.txt", REQUIREMENTS)
        for path in sorted(book.rglob("*")):
            file.write(path, Path("book") / path.relative_to(book))
        for name in RESULTS:
            file.write(results / name, f"exercises/{name}")
            file.write(results / name, f"teacher/{name}")
        for path in sorted(masters.glob("*.ipynb")):
            master = nbformat.read(path, as_version=4)
            file.writestr(f"exercises/student_{path.name}", nbformat.writes(student(master)))
            file.writestr(f"teacher/solution_{path.name}", nbformat.writes(solution(master)))
            file.writestr(f"teacher/notes_{path.stem}.md", notes(master))
    unfinished.replace(target)
    print(f"{target}: {target.stat().st_size / 1e6:.0f} MB")


def _without_notes(master: nbformat.NotebookNode) -> nbformat.NotebookNode:
    notebook = copy.deepcopy(master)
    cells = [c for c in notebook.cells if "instructor" not in c.metadata.get("tags", [])]
    notebook.cells = cells
    return notebook


def _address(data: dict) -> str:
    """Return a picture of a notebook as an address."""
    if "image/png" in data:
        return "data:image/png;base64," + data["image/png"].replace("\n", "")
    return "data:image/svg+xml," + quote(data["image/svg+xml"])


if __name__ == "__main__":
    scale = sys.argv[1] if len(sys.argv) > 1 else "laptop"
    build = Path("_build")
    pack(
        build / "classroom.zip",
        build / "html",
        Path("data/runs") / scale,
        Path("data/results/cifar"),
        Path("book/exercises"),
    )
