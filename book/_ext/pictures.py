"""What a notebook's page shows of its pictures and of the code before its question.

The figures of this book write what they show into their PNG file (`invlib.plots.style.Drawing`), so
the text for readers who do not see them changes with the numbers. A picture whose file has no such
text keeps its own. Figures of few colours are stored with a palette, a third of the size. Hidden
cells of code that follow one another become one.
"""

from __future__ import annotations

import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from docutils import nodes
from PIL import Image, ImageChops, ImageStat, PngImagePlugin
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform


class Described(SphinxPostTransform):
    default_priority = 5  # before Sphinx copies and converts pictures

    def run(self, **_: object) -> None:
        pictures: dict[Path, list[nodes.image]] = {}
        for picture in self.document.findall(nodes.image):
            file = Path(self.env.srcdir, picture["uri"])
            if file.suffix == ".png" and file.is_file():
                pictures.setdefault(file, []).append(picture)
        with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow works beside other threads
            said = list(pool.map(_described, pictures))
        for shown, words in zip(pictures.values(), said, strict=True):
            for picture in shown if words else ():
                picture["alt"] = words


def _described(file: Path) -> str | None:
    """Return the text that a figure has in its file, and store it smaller; None without one."""
    with Image.open(file) as opened:
        notes, full = opened.text, opened.convert("RGB")
    if words := notes.get("Description"):
        store(full, file, notes)
    return words


def store(full: Image.Image, file: Path, notes: dict[str, str]) -> None:
    """Store a figure in 256 colours with its notes, unless that shows, as in photographs."""
    few = full.quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    if max(ImageStat.Stat(ImageChops.difference(full, few.convert("RGB"))).mean) < 0.5:
        info = PngImagePlugin.PngInfo()
        for name, text in notes.items():
            info.add_text(name, text)
        few.save(file, pnginfo=info, optimize=True)


class NoEmptyHeads(SphinxPostTransform):
    """An empty corner of a table is no heading (pandas writes it as one)."""

    default_priority = 6

    def run(self, **_: object) -> None:
        for raw in self.document.findall(nodes.raw):
            if raw.get("format") == "html" and "<th" in raw.astext():
                text = re.sub(r"<th( class=[^>]*)?>(\s|&nbsp;)*</th>", "<td></td>", raw.astext())
                raw.children = [nodes.Text(text)]


class OneHidden(SphinxPostTransform):
    default_priority = 190  # before MyST-NB hides cells, at 199

    def run(self, **_: object) -> None:
        for cell in list(self.document.findall(nodes.container)):
            before = cell.parent and cell.previous_sibling()
            if _hidden(cell) and _hidden(before):
                before["prompt_show"] = "Show parameters and setup"
                before["prompt_hide"] = "Hide parameters and setup"
                before.extend(cell.children)
                cell.parent.remove(cell)


def _hidden(node: object) -> bool:
    return isinstance(node, nodes.container) and node.get("hide_mode") == "all"


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_post_transform(Described)
    app.add_post_transform(NoEmptyHeads)
    app.add_post_transform(OneHidden)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
