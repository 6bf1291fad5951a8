"""The drawing of the house says what the sources import, and nothing else."""

from __future__ import annotations

import importlib
import re
import sys
from graphlib import CycleError
from pathlib import Path
from xml.etree import ElementTree

import grimp
import pytest

from tests.workspace import ROOT

sys.path.append(str(ROOT / "book" / "_ext"))
house = importlib.import_module("house")

SOURCES = {
    "base/__init__.py": 'attach(submod_attrs={"cellar.wine": ["open_wine"]})',
    "base/ground.py": '"""The ground."""',
    "base/cellar/__init__.py": '"""Barrels."""\n',
    "base/cellar/wine.py": "def pour():\n    from base import ground\n",
    "top/__init__.py": "",
    "top/roof.py": (
        "from typing import TYPE_CHECKING\nimport base.ground\nfrom base import open_wine\n"
        "import top.room\nif TYPE_CHECKING:\n    import top.attic\n"
    ),
    "top/room.py": "from top.attic import box\nfrom base import __version__",
    "top/attic.py": "",
}


@pytest.fixture
def sources(tmp_path) -> Path:
    for name, text in SOURCES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_imports_are_found_wherever_they_stand(sources):
    rooms = house.rooms_of(sources / "base") | house.rooms_of(sources / "top")
    assert {name: room.imports for name, room in rooms.items()} == {
        "ground": set(),
        "cellar": {("base", "ground")},  # in a function
        "roof": {("base", "ground"), ("base", "cellar"), ("top", "room")},  # by a name handed on
        "room": {("top", "attic")},
        "attic": set(),
    }
    assert rooms["cellar"].says == "Barrels." and rooms["cellar"].lines == 3


def test_what_others_imply_is_not_drawn_and_a_circle_is_an_error():
    imports = {"a": {"b", "c"}, "b": {"c"}, "c": set()}
    assert house.floors_of(imports) == {"a": 2, "b": 1, "c": 0}
    assert house.arrows_of(imports) == [("a", "b"), ("b", "c")]
    with pytest.raises(CycleError):
        house.floors_of({"a": {"b"}, "b": {"a"}})


@pytest.mark.parametrize("package", ["invlib", "papers"])
def test_the_drawing_agrees_with_import_linters_graph(package):
    graph = grimp.build_graph(package, exclude_type_checking_imports=True, cache_dir=None)
    rooms = {name.split(".")[1] for name in graph.modules if "." in name}
    drawn = house.rooms_of(ROOT / package)
    assert set(drawn) == rooms
    for name in rooms:
        for other in rooms - {name}:
            there = graph.find_shortest_chain(
                f"{package}.{name}", f"{package}.{other}", as_packages=True
            )
            direct = (package, other) in drawn[name].imports
            assert direct <= (there is not None), (name, other)
            assert direct or there is None or len(there) > 2, (name, other)


@pytest.mark.parametrize("package", ["invlib", "papers"])
def test_its_smallest_text_can_be_read_in_a_page_of_672_pixels(package):
    svg = house.drawing(package, house.rooms_of(ROOT / package))
    width = float(re.search(r'viewBox="0 0 (\d+)', svg)[1])
    style = (ROOT / "book" / "_static" / "custom.css").read_text(encoding="utf-8")
    text = float(re.search(r"svg\.house text\.size \{[^}]*font-size: (\d+)px", style)[1])
    assert text * min(1, 672 / width) >= 10


@pytest.mark.parametrize("package", ["invlib", "papers"])
def test_every_room_has_a_box_and_a_sentence(package):
    rooms = house.rooms_of(ROOT / package)
    text = house.drawing(package, rooms)
    svg = ElementTree.fromstring(text)
    boxes = svg.findall(".//rect")
    assert len(boxes) == len(rooms)
    width, height = map(float, svg.get("viewBox").split()[2:])
    for box in boxes:
        x, y, w, h = (float(box.get(key)) for key in ("x", "y", "width", "height"))
        assert 0 <= x and x + w <= width and 0 <= y and y + h <= height
    said = svg.find("desc").text
    assert all(re.search(rf"Floor \d+: {name} imports ", said) for name in rooms)
    arrows = house.arrows_of(house.below(package, rooms))
    assert text.count('class="arrow"') == len(arrows)


def test_code_shown_on_a_page_is_there():
    """A literalinclude whose pattern is not found fails the whole book, at its very end."""
    shown = 0
    for page in (ROOT / "book").glob("*.md"):
        blocks = re.findall(r"\{literalinclude\} (\S+)\n(.*?)```", page.read_text("utf-8"), re.S)
        for path, options in blocks:
            code = (page.parent / path).read_text("utf-8")
            for at in re.findall(r':(?:start|end)-\w+: "?(.*?)"?\n', options):
                assert at in code, (page.name, at)
                shown += 1
    assert shown
