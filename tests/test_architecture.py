"""The house stands as it is drawn: what may import what, and that each rule can be broken."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from papers.sections import SECTIONS
from tests.workspace import ROOT, environment

LINTER = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
CONTRACTS = [contract["name"] for contract in LINTER["contracts"]]
ROOMS, PAPERS, ALONE, CIRCLES, DECLARED = CONTRACTS
HEAVY = LINTER["contracts"][CONTRACTS.index(DECLARED)]["forbidden_modules"]

# The measuring part of the library, and how many lines it and the library may have.
ENGINE = ("metrics", "results", "models", "inversion", "comparison")
ENGINE += ("names.py", "fields.py", "files.py", "paths.py", "progress.py")
# Any module, any checkpoint, two different networks and digests took 900 more in the measuring part
# than was planned for them.
ENGINE_LINES, LIBRARY_LINES = 6_500, 10_650
IMPORTS_IN_FUNCTIONS = 25


@pytest.fixture
def copy(tmp_path) -> Path:
    """A copy of the code in which a rule may be broken."""
    for package in ("invlib", "papers"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, tmp_path / package, ignore=ignored)
    shutil.copy2(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def plant(copy: Path, file: str, line: str) -> None:
    """Add `line` to a file of the copy, inside a function, where an import is easily overlooked."""
    with (copy / file).open("a") as code:
        code.write(f"\n\ndef planted():\n    {line}\n")


# --- contracts ------------------------------------------------------------------------------------


def broken(folder: Path) -> tuple[list[str], str]:
    """Return the contracts that the code in `folder` breaks, and all that import-linter says."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", "--no-logo"]
    out = subprocess.run(
        command, cwd=folder, env=environment(folder), capture_output=True, text=True
    )
    verdicts = {name: re.search(rf"^{name} (KEPT|BROKEN)", out.stdout, re.M) for name in CONTRACTS}
    if not all(verdicts.values()):
        return CONTRACTS, out.stdout + out.stderr
    return [name for name, verdict in verdicts.items() if verdict[1] == "BROKEN"], out.stdout


def test_every_contract_is_kept():
    names, said = broken(ROOT)
    assert not names, said


@pytest.mark.parametrize(
    ("file", "line", "contract", "said"),
    [
        (
            "invlib/metrics/cka.py",
            "from invlib.models.base import frozen",
            ROOMS,
            "invlib.metrics.cka -> invlib.models.base",
        ),
        (
            "invlib/training/train.py",
            "from invlib.inversion.invert import invert",
            ROOMS,
            "invlib.training.train -> invlib.inversion.invert",
        ),
        (
            "papers/merlin2023/base.py",
            "from papers.goerttler2022 import base",
            PAPERS,
            "papers.merlin2023.base -> papers.goerttler2022.base",
        ),
        (
            "papers/claims/shapes.py",
            "import papers.pretrained",
            PAPERS,
            "papers.claims.shapes -> papers.pretrained",
        ),
        (
            "invlib/plots/style.py",
            "import papers.parameters",
            ALONE,
            "invlib.plots.style -> papers.parameters",
        ),
        (
            "invlib/metrics/grams.py",
            "from invlib.metrics import cka",
            CIRCLES,
            ".cka",
        ),
        (
            "papers/merlin2023/dynamics.py",
            "import torch",
            DECLARED,
            "papers.merlin2023.dynamics -> torch",
        ),
        (
            "invlib/training/run.py",
            "from invlib.data.images import load_images",
            DECLARED,
            "invlib.data.images -> torch",
        ),
    ],
)
def test_an_import_the_wrong_way_round_is_reported(file, line, contract, said, copy):
    plant(copy, file, line)
    names, report = broken(copy)
    assert names == [contract], report
    assert said in report


@pytest.mark.parametrize("contract", [ROOMS, PAPERS])
def test_the_book_says_the_order_of_the_contract_in_words(contract):
    (layers,) = (c["layers"] for c in LINTER["contracts"] if c["name"] == contract)
    page = (ROOT / "book/the_house.md").read_text(encoding="utf-8")
    said = re.findall(r"^From the ground up: (.*?)\n\n", page, re.M | re.S)
    places = said[[ROOMS, PAPERS].index(contract)].partition(", the command line")[0].split(";")
    assert [set(re.findall(r"`(\w+)`", place)) for place in places] == [
        set(layer.split(" | ")) for layer in reversed(layers)
    ]


@pytest.mark.parametrize("new", ["invlib/attic.py", "papers/attic.py"])
def test_a_new_room_needs_a_place(new, copy):
    (copy / new).write_text('"""A room that no line of the contract names."""\n')
    names, report = broken(copy)
    assert names and "attic" in report


def test_declaring_loads_nothing_heavy():
    """As the workflow does it, at every scale: what is imported in the end, however it came in."""
    code = f"""
import sys
sys.path.append("workflow")
import locks, sources
import invlib.__main__, papers.__main__
from invlib import TrainingRun
from papers.parameters import load_scale
from papers.sections import SECTIONS, runs_of
for scale in ("smoke", "laptop", "cifar", "paper"):
    parameters = load_scale(scale)
    sections = [section.from_parameters(parameters) for section in SECTIONS.values()]
    assert all(run.id and run.describe() for run in runs_of(sections).values())
    assert [section.command for section in sections]
print(*sorted(set({HEAVY}) & set(sys.modules)))
"""
    out = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment(), capture_output=True, text=True
    )
    assert out.returncode == 0, out.stderr
    assert out.stdout.split() == []


# --- modules --------------------------------------------------------------------------------------


def modules(folder: Path) -> Iterator[tuple[str, list[str], ast.Module]]:
    """Yield name, lines and syntax tree of every module of the two packages."""
    for package in ("invlib", "papers"):
        for file in sorted((folder / package).rglob("*.py")):
            text = file.read_text(encoding="utf-8")
            yield file.relative_to(folder).as_posix(), text.splitlines(), ast.parse(text)


def imports_in_functions(folder: Path) -> dict[str, bool]:
    """Return where functions import, and whether a comment says why: on the line or above it."""
    found = {}
    for name, lines, tree in modules(folder):
        kinds = ast.FunctionDef | ast.AsyncFunctionDef
        functions = [node for node in ast.walk(tree) if isinstance(node, kinds)]
        hidden = {n.lineno: n for f in functions for n in ast.walk(f) if _is_import(n)}
        for number in hidden:
            first = number
            while first - 1 in hidden:  # a comment above several imports is about all of them
                first -= 1
            said = "#" in lines[number - 1] or lines[first - 2].lstrip().startswith("#")
            found[f"{name}:{number}"] = said
    return found


def _is_import(node: ast.AST) -> bool:
    return isinstance(node, ast.Import | ast.ImportFrom)


def test_few_functions_import_and_each_says_why():
    found = imports_in_functions(ROOT)
    assert not [where for where, said in found.items() if not said]
    assert len(found) <= IMPORTS_IN_FUNCTIONS


def test_an_import_in_a_function_without_its_reason_is_found(copy):
    before = imports_in_functions(copy)
    plant(copy, "invlib/metrics/cka.py", "import json\n    import ast")
    plant(copy, "invlib/metrics/grams.py", "# it is slow\n    import json\n    import ast")
    after = imports_in_functions(copy)
    new = {where: said for where, said in after.items() if where not in before}
    assert sorted(new.values()) == [False, False, True, True]


def test_an_import_in_a_coroutine_is_one_in_a_function(copy):
    with (copy / "invlib/names.py").open("a") as code:
        code.write("\n\nasync def planted():\n    import json\n")
    new = set(imports_in_functions(copy)) - set(imports_in_functions(ROOT))
    assert [where.partition(":")[0] for where in new] == ["invlib/names.py"]


# What can load a module by its name, which no contract sees, and where it is used all the same.
# `lazy_loader.attach`, in every room's `__init__`, needs no mention: the drawing follows it.
LOADERS = r"importlib(\.(import_module|reload|machinery|__import__))?|import_module|__import__"
LOADERS += r"|runpy(\.\w+)?|pkgutil\.resolve_name|resolve_name|lazy_loader\.load"
LOADING = {
    "papers/jupyter_kernels.py": {"import_module"},  # what notebooks import of others
    "papers/section.py": {"import_module"},  # the work of a section, and the pages
    "papers/engine/costs.py": {"import_module"},  # ckatorch, a test dependency that may be missing
}


def loads_by_name(folder: Path) -> dict[str, set[str]]:
    """Return the modules that can load another by its name, and by which functions."""
    found: dict[str, set[str]] = {}
    for name, _, tree in modules(folder):
        for node in ast.walk(tree):
            used = []
            if isinstance(node, ast.Import):
                # `import importlib` alone is enough for `importlib.import_module`.
                used = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                used = [f"{node.module}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Name | ast.Attribute):
                used = [ast.unparse(node)]
            for word in used:
                whole = word == "importlib" and not isinstance(node, ast.Import)  # as in `.util`
                if re.fullmatch(LOADERS, word) and not whole:
                    found.setdefault(name, set()).add(word.removeprefix("importlib."))
    return found


def test_modules_are_loaded_by_name_only_where_it_is_listed():
    assert loads_by_name(ROOT) == LOADING


@pytest.mark.parametrize(
    "line",
    [
        'importlib.import_module("papers")',
        'importlib.import_module(name="papers")',
        'import_module(name="papers")',
        "from importlib import import_module as load",
        "import importlib",
        '__import__("papers")',
        "import runpy",
        'runpy.run_module("papers")',
        "from runpy import run_module",
        'pkgutil.resolve_name("papers:sections")',
        "from pkgutil import resolve_name",
        'lazy_loader.load("papers")',
        "from lazy_loader import load",
    ],
)
def test_a_module_that_is_loaded_by_name_is_found(line, copy):
    plant(copy, "invlib/names.py", line)
    assert "invlib/names.py" in loads_by_name(copy)


def names_from_packages(folder: Path) -> list[str]:
    """Return where code takes a name from a package of its own that only hands it on.

    The contracts see the package there, and not the module that the name is from. The same holds
    for a package as a whole, whose attributes are loaded when they are used. Relative imports are
    reported too: here a module has one name.
    """
    found = []
    for name, _, tree in modules(folder):
        own = name.split("/")[0]
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                whole = [a.name for a in node.names if a.name in ("invlib", "papers")]
                found += [f"{name}:{node.lineno} {package}" for package in whole]
            if not isinstance(node, ast.ImportFrom):
                continue
            if node.level:
                found.append(f"{name}:{node.lineno} {ast.unparse(node)}")
            elif node.module.split(".")[0] == own:
                package = folder / node.module.replace(".", "/")
                for word in {alias.name for alias in node.names} - {"__version__"}:
                    places = (package / word, package / f"{word}.py")
                    if package.is_dir() and not any(place.exists() for place in places):
                        found.append(f"{name}:{node.lineno} {node.module}.{word}")
    return found


def test_inside_a_package_names_come_from_their_module():
    assert not names_from_packages(ROOT)


def test_a_name_from_a_package_is_found(copy):
    plant(copy, "invlib/metrics/cka.py", "from invlib.models import frozen, staged")
    plant(copy, "papers/section.py", "from papers import SECTIONS")
    first, second = names_from_packages(copy)
    assert first.endswith(" invlib.models.frozen") and second.endswith(" papers.SECTIONS")


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("invlib/metrics/cka.py", "from . import grams"),
        ("invlib/metrics/cka.py", "from .. import models"),
        ("invlib/metrics/cka.py", "from .grams import gram"),
        ("invlib/metrics/cka.py", "import invlib"),
        ("papers/section.py", "import papers"),
        ("papers/section.py", "import invlib"),
        ("papers/section.py", "import papers as p"),
    ],
)
def test_a_package_as_a_whole_or_by_its_place_is_found(file, line, copy):
    plant(copy, file, line)
    assert [where.partition(":")[0] for where in names_from_packages(copy)] == [file]


def without_a_first_line(folder: Path) -> list[str]:
    """Return modules whose docstring does not begin with one line of at most 100 characters."""
    found = []
    for name, _, tree in modules(folder):
        first, *rest = (ast.get_docstring(tree, clean=False) or "").splitlines() or [""]
        if not first.strip() or len(first) > 100 or (rest and rest[0].strip()):
            found.append(name)
    return found


def test_every_module_says_in_a_line_what_it_is():
    assert not without_a_first_line(ROOT)


def test_a_module_that_says_nothing_is_found(copy):
    before = without_a_first_line(copy)
    (copy / "invlib/metrics/nothing.py").write_text("x = 1\n")
    (copy / "invlib/metrics/two_lines.py").write_text('"""One\nand two."""\n')
    new = set(without_a_first_line(copy)).difference(before)
    assert new == {"invlib/metrics/nothing.py", "invlib/metrics/two_lines.py"}


def test_tests_lie_in_the_folders_of_the_code():
    beside = {"notebooks", "book", "faults", "cluster"}  # about more than one module
    for file in (ROOT / "tests").rglob("test_*.py"):
        folder = file.parent.relative_to(ROOT / "tests")
        assert folder.parts[:1] in [(), *((name,) for name in beside)] or (
            folder.parts[0] in ("invlib", "papers") and (ROOT / folder).is_dir()
        ), file


def test_the_library_is_tested_without_the_papers():
    for file in (ROOT / "tests/invlib").rglob("*.py"):
        assert not re.search(r"^ *(from|import) (papers|tests\.papers)", file.read_text(), re.M), (
            file
        )


def parts(section: str) -> list[str]:
    """Return the files that a section has besides its module, all of its one name."""
    folder = SECTIONS[section].__module__.rpartition(".")[0].replace(".", "/")
    return [
        f"{folder}/work/{section}.py",
        f"notebooks/{section}.ipynb",
        f"tests/{folder}/test_{section}.py",
    ]


def without_a_section(folder: Path) -> list[str]:
    """Return claims, and measures for them, that lie under another name than a section's own."""
    found, claimed = [], set()
    for file in sorted((folder / "data/papers").glob("*.yaml")):
        for name in yaml.safe_load(file.read_text(encoding="utf-8"))["claims"]:
            claimed.add(f"{file.stem}/{name}")
            module = SECTIONS[name].__module__ if name in SECTIONS else ""
            if module != f"papers.{file.stem}.{name}":
                found.append(f"{file.name}: {name}")
    for file in sorted((folder / "papers").glob("*/claims/[a-z]*.py")):
        if f"{file.parent.parent.name}/{file.stem}" not in claimed:
            found.append(file.relative_to(folder).as_posix())
    return found


@pytest.mark.parametrize("section", SECTIONS)
def test_a_section_has_one_name(section):
    assert [part for part in parts(section) if not (ROOT / part).is_file()] == []


def test_claims_have_the_name_of_their_section():
    assert without_a_section(ROOT) == []


def test_claims_of_another_name_are_found(copy):
    (copy / "data/papers").mkdir(parents=True)
    for file in (ROOT / "data/papers").glob("*.yaml"):
        text = file.read_text(encoding="utf-8")
        (copy / "data/papers" / file.name).write_text(text.replace("  dynamics:", "  dynamic:"))
    (copy / "papers/goerttler2022/claims/dynamics.py").write_text("")
    assert without_a_section(copy) == [
        "merlin2023.yaml: dynamic",
        "papers/goerttler2022/claims/dynamics.py",
        "papers/merlin2023/claims/dynamics.py",
    ]


def test_the_library_stays_light():
    lines = {name: len(text) for name, text, _ in modules(ROOT) if name.startswith("invlib")}
    assert sum(lines.values()) <= LIBRARY_LINES
    engine = [n for name, n in lines.items() if name.split("/")[1] in ENGINE]
    assert sum(engine) <= ENGINE_LINES


# --- names in text --------------------------------------------------------------------------------

TEXTS = [
    "README.md",
    "Makefile",
    "CITATION.cff",
    "pyproject.toml",
    "_config.yml",
    "workflow/Snakefile",
]
TEXTS += [
    f"{folder}/**/*{kind}" for folder in ("book", "workflow") for kind in (".md", ".py", ".yaml")
]
TEXTS += ["invlib/**/*.py", "papers/**/*.py", "notebooks/*.ipynb", "notebooks/scales/**/*.yaml"]


def unknown_names(folder: Path) -> list[str]:
    """Return the modules, names and files of the two packages that a text names and nobody has."""
    found = []
    for file in sorted(file for pattern in TEXTS for file in folder.glob(pattern)):
        text = file.read_text(encoding="utf-8")
        where = file.relative_to(folder).as_posix()
        for path in re.findall(r"\b(?:invlib|papers|tests|workflow)/[\w/]+\.py\b", text):
            if not (folder / path).is_file():
                found.append(f"{where}: {path}")
        names = re.findall(r"(?<![\w/.])(?:invlib|papers)(?:\.[A-Za-z]\w*)+", text)
        line = r"\bfrom ((?:invlib|papers)[\w.]*) import ((?:\w+(?: as \w+)?, )*\w+)"
        for module, imported in re.findall(line, text):
            names += [f"{module}.{name.split()[0]}" for name in imported.split(", ")]
        for name in names:
            package, *rest = name.split(".")
            place = folder / package
            while rest and (place / rest[0]).is_dir():
                place /= rest.pop(0)
            if rest and (place / f"{rest[0]}.py").is_file():
                place /= f"{rest.pop(0)}.py"
            else:
                place /= "__init__.py"
            if rest and not re.search(rf"\b{rest[0]}\b", place.read_text(encoding="utf-8")):
                found.append(f"{where}: {name}")
    return found


def test_every_module_that_a_text_names_exists():
    assert not unknown_names(ROOT)


def test_a_name_that_nobody_has_is_found(copy):
    (copy / "README.md").write_text(
        "`invlib.metrics.cka` `invlib.metric` invlib/cka.py papers.section.Sektion invlib.train\n"
        "from papers.claims.data import paper_of as of, reportd\n"
    )
    assert [line for line in unknown_names(copy) if line.startswith("README")] == [
        "README.md: invlib/cka.py",
        "README.md: invlib.metric",
        "README.md: papers.section.Sektion",
        "README.md: papers.claims.data.reportd",
    ]
