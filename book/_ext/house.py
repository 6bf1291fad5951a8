"""``{house}`` and ``{rooms}``: the rooms of a package as a drawing and as a table.

The argument is the folder of the package, relative to the page. A room is what lies directly in
it: a folder or a module. Floors, arrows, sizes and descriptions are read from the sources when the
book is built, so they say what is imported and not what somebody remembers. A folder without a
package and rooms that import one another in a circle are errors, which fail the build.
"""

from __future__ import annotations

import ast
import html
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from statistics import mean

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

# --- what the sources say -------------------------------------------------------------------------


@dataclass
class Room:
    """A folder or module directly in a package; `imports` are other rooms as (package, room)."""

    says: str = ""  # first line of its docstring
    lines: int = 0
    imports: set[tuple[str, str]] = field(default_factory=set)


def rooms_of(package: Path) -> dict[str, Room]:
    """Return the rooms of `package` by name."""
    rooms: dict[str, Room] = {}
    for file in sorted(package.rglob("*.py")):
        place = file.relative_to(package)
        if place == Path("__init__.py"):
            continue
        name = place.parts[0].removesuffix(".py")
        text = file.read_text(encoding="utf-8")
        tree = ast.parse(text)
        room = rooms.setdefault(name, Room())
        room.lines += len(text.splitlines())
        if len(place.parts) == 1 or place.parts[1:] == ("__init__.py",):
            room.says = (ast.get_docstring(tree) or "").partition("\n")[0]
        room.imports |= set(_imported(tree, package.parent)) - {(package.name, name)}
    return rooms


def _imported(tree: ast.AST, root: Path) -> Iterator[tuple[str, str]]:
    """Yield the rooms of packages in `root` that `tree` imports, anywhere but for type checkers."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            continue
        yield from _imported(node, root)
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            package, _, rest = name.partition(".")
            if rest and (root / package / "__init__.py").is_file():
                source = (root / package / "__init__.py").read_text(encoding="utf-8")
                rest = _handed_on(source).get(rest, rest).partition(".")[0]
                if (root / package / rest).is_dir() or (root / package / f"{rest}.py").is_file():
                    yield package, rest


@cache
def _handed_on(source: str) -> dict[str, str]:
    """Return name -> module for the names that a package hands on by ``submod_attrs``."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.keyword) and node.arg == "submod_attrs":
            table = ast.literal_eval(node.value)
            return {name: module for module, names in table.items() for name in names}
    return {}


def below(package: str, rooms: dict[str, Room]) -> dict[str, set[str]]:
    """Return for each room the rooms of the same package that it imports."""
    return {name: {to for of, to in room.imports if of == package} for name, room in rooms.items()}


def floors_of(imports: dict[str, set[str]]) -> dict[str, int]:
    """Return the floor of each room: one above the highest that it imports.

    Raises
    ------
    graphlib.CycleError
        If rooms import one another in a circle.
    """
    floors: dict[str, int] = {}
    for name in TopologicalSorter(imports).static_order():
        floors[name] = 1 + max((floors[to] for to in imports[name]), default=-1)
    return floors


def arrows_of(imports: dict[str, set[str]]) -> list[tuple[str, str]]:
    """Return the arrows that are drawn: an import that others imply is left out."""

    def reached(name: str) -> set[str]:
        return imports[name].union(*map(reached, imports[name]))

    return [
        (name, to)
        for name in sorted(imports)
        for to in sorted(imports[name])
        if not any(to in reached(other) for other in imports[name])
    ]


# --- the drawing ----------------------------------------------------------------------------------

LETTER, PADDING, HEIGHT = 8.5, 13, 46  # of a box, in pixels
GAP, STOREY = 20, 104  # between boxes, from floor to floor
LANE = 10  # width that an arrow takes where it passes a floor


def drawing(package: str, rooms: dict[str, Room]) -> str:
    """Return the SVG of a package: rooms on floors, and an arrow to each room that one imports."""
    imports = below(package, rooms)
    floors, arrows = floors_of(imports), arrows_of(imports)
    top = max(floors.values())
    # An arrow over several floors passes each of them in a lane of its own.
    paths = [
        [a, *((a, b, floor) for floor in range(floors[a] - 1, floors[b], -1)), b] for a, b in arrows
    ]
    rows = [sorted(name for name in rooms if floors[name] == floor) for floor in range(top + 1)]
    for path in paths:
        for lane in path[1:-1]:
            rows[lane[2]].append(lane)
    steps = [step for path in paths for step in zip(path, path[1:], strict=False)]
    centres = _arranged(rows, steps)
    width = 2 * GAP + max(
        centres[row[-1]] + _width(row[-1]) / 2 - centres[row[0]] + _width(row[0]) / 2
        for row in rows
    )
    x = {cell: centre + width / 2 for cell, centre in centres.items()}
    y = {cell: GAP / 2 + (top - floor) * STOREY for floor, row in enumerate(rows) for cell in row}
    parts = [_arrow(path, paths, x, y) for path in paths]
    for name in sorted(rooms, key=lambda name: (y[name], x[name])):
        parts.append(
            f'<rect x="{x[name] - _width(name) / 2:.1f}" y="{y[name]}" width="{_width(name):.1f}" '
            f'height="{HEIGHT}" rx="6"/>'
            f'<text x="{x[name]:.1f}" y="{y[name] + 20}">{name}</text>'
            f'<text class="size" x="{x[name]:.1f}" y="{y[name] + 36}">{rooms[name].lines:,}</text>'
        )
    height = top * STOREY + HEIGHT + GAP
    return (
        f'<svg class="house" viewBox="0 0 {width:.0f} {height}" style="max-width: {width:.0f}px" '
        f'role="img" aria-labelledby="house-{package}-title house-{package}-desc">'
        f'<title id="house-{package}-title">The rooms of {package}, and what they import</title>'
        f'<desc id="house-{package}-desc">{html.escape(in_words(rows, imports))}</desc>'
        f'<defs><marker id="house-{package}-head" viewBox="0 0 8 8" refX="7" refY="4" '
        'markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0.5 L8 4 L0 7.5 z"/></marker>'
        f'</defs><g style="--head: url(#house-{package}-head)">{"".join(parts)}</g></svg>'
    )


def in_words(rows: list[list], imports: dict[str, set[str]]) -> str:
    """Return the drawing as sentences, from the ground up."""
    sentences = []
    for floor, row in enumerate(rows):
        for name in (cell for cell in row if isinstance(cell, str)):
            what = ", ".join(sorted(imports[name])) or "no other room"
            sentences.append(f"Floor {floor}: {name} imports {what}.")
    return " ".join(sentences)


def _width(cell: object) -> float:
    return len(cell) * LETTER + 2 * PADDING if isinstance(cell, str) else LANE


def _arranged(rows: list[list], steps: list[tuple]) -> dict[object, float]:
    """Order each row by the places of what its cells are joined with; return the centres."""
    joined: dict[object, list] = {cell: [] for row in rows for cell in row}
    for a, b in steps:
        joined[a].append(b)
        joined[b].append(a)
    centres: dict[object, float] = {}
    for row in rows:
        centres |= _spread(row)
    for _ in range(24):
        for row in (*rows, *reversed(rows)):
            row.sort(key=lambda c: mean([centres[o] for o in joined[c]] or [centres[c]]))
            centres |= _spread(row)
    return centres


def _spread(row: Iterable) -> dict[object, float]:
    """Return the centres of a row's cells, side by side and in the middle."""
    centres, edge = {}, 0.0
    for cell in row:
        centres[cell] = edge + _width(cell) / 2
        edge += _width(cell) + GAP
    return {cell: centre - (edge - GAP) / 2 for cell, centre in centres.items()}


def _arrow(path: list, paths: list[list], x: dict, y: dict) -> str:
    """Return the line along `path`; where several meet at a box, each has a place of its own."""
    begin = _port(path, [p for p in paths if p[0] == path[0]], 0, 1, x)
    end = _port(path, [p for p in paths if p[-1] == path[-1]], -1, -2, x)
    points = [(begin, y[path[0]] + HEIGHT)]
    for lane in path[1:-1]:
        points += [(x[lane], y[lane]), (x[lane], y[lane] + HEIGHT)]
    points.append((end, y[path[-1]]))
    curve = f"M{begin:.1f} {points[0][1]}"
    for (x0, y0), (x1, y1) in zip(points[::2], points[1::2], strict=True):
        middle = (y0 + y1) / 2
        curve += f" C{x0:.1f} {middle} {x1:.1f} {middle} {x1:.1f} {y1}"
        lane = [point for point in points if point == (x1, y1 + HEIGHT)]
        curve += f" V{y1 + HEIGHT}" if lane else ""
    return f'<path class="arrow" d="{curve}"/>'


def _port(path: list, beside: list[list], at: int, beyond: int, x: dict) -> float:
    order = sorted(beside, key=lambda p: x[p[beyond]])
    room = _width(path[at]) - 2 * PADDING
    return x[path[at]] + room * ((order.index(path) + 1) / (len(order) + 1) - 0.5)


# --- directives -----------------------------------------------------------------------------------


class OfPackage(SphinxDirective):
    """A directive whose argument is the folder of a package, relative to the page."""

    required_arguments = 1
    has_content = True

    def read(self) -> tuple[str, dict[str, Room]]:
        folder = Path(self.env.relfn2path(self.arguments[0])[1])
        for file in folder.rglob("*.py"):
            self.env.note_dependency(str(file))
        # both directives stand on one page, and all sources are parsed for either
        read = self.env.temp_data.setdefault("rooms", {})
        rooms = read[folder] = read.get(folder) or rooms_of(folder)
        if not rooms:
            raise self.error(f"there is no package at {self.arguments[0]}")
        try:
            floors_of(below(folder.name, rooms))
        except CycleError as error:
            raise self.error(f"rooms import one another: {' -> '.join(error.args[1])}") from None
        return folder.name, rooms


class House(OfPackage):
    """The drawing; the content is its caption."""

    def run(self) -> list[nodes.Node]:
        package, rooms = self.read()
        figure = nodes.figure(classes=["house"])
        figure += nodes.raw("", drawing(package, rooms), format="html")
        if self.content:
            figure += nodes.caption("", "", *self.parse_inline(" ".join(self.content))[0])
        return [figure]


class Rooms(OfPackage):
    """The table, from the top floor down to the ground."""

    def run(self) -> list[nodes.Node]:
        package, rooms = self.read()
        floors = floors_of(below(package, rooms))
        table = nodes.table(classes=["rooms"])
        group = nodes.tgroup(cols=4)
        table += group
        group += [nodes.colspec(colwidth=width) for width in (14, 48, 8, 30)]
        head, body = nodes.thead(), nodes.tbody()
        group += [head, body]
        head += _row(*(nodes.Text(word) for word in ("room", "what it is", "lines", "imports")))
        for name in sorted(rooms, key=lambda name: (-floors[name], name)):
            room = rooms[name]
            imports = [to if of == package else f"{of}.{to}" for of, to in sorted(room.imports)]
            says = self.parse_inline(room.says.replace("``", "`").replace("`", "``"))[0]
            body += _row(
                nodes.literal("", f"{package}.{name}"),
                nodes.inline("", "", *says),
                nodes.Text(f"{room.lines:,}"),
                nodes.Text(", ".join(imports)),
            )
        return [table]


def _row(*cells: nodes.Node) -> nodes.row:
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", "", cell)) for cell in cells))


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("house", House)
    app.add_directive("rooms", Rooms)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
