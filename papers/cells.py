"""Write the parameters of sections for readers: in their notebooks, on a page, in a terminal."""

import json
import types
from collections.abc import Mapping
from fnmatch import fnmatchcase
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

from papers.section import Section

__all__ = ["PAGE", "kind_of", "parameters_cell", "parameters_text", "rewrite", "rewrite_page"]

PAGE = "book/parameters.md"

# The tables of the page on parameters that several sections share, by class.
SHARED = {
    "Section": "All sections",
    "Pretrained": "Sections with a pretrained model",
    "MerlinSection": "Sections of paper A",
    "OpenQuestion": "Sections on open questions",
    "Pool": "Sections on several settings of the training",
    "GoerttlerSection": "Sections of paper B",
    "SquaresSection": "Sections of paper C",
}

INTRODUCTION = """\
# Parameters

The parameters of every section, with their types and their values at the scale `laptop`.
{ref}`other-parameters` says how to give others; {ref}`scales` says what the other scales are. A
section has the parameters of its own table, and the shared ones that it names.
"""

# Groups in this order, with a blank line between them. All other parameters follow, by class.
GROUPS = (
    "pretrained finetuned images split tokens",
    "scale seeds n iterations recipe step subspace_k cache",
    "erosion_dataset erosion_n erosion_test_n erosion_epochs erosion_optimizer erosion_lr"
    " erosion_batch_size square_size train_seeds",
    "erosion_models erosion_pretrained* pretrained_square_size",
    "model img_size weights pretraining_*",
    "datasets tasks finetuning_*",
    "batch_size augmentation train_seed",
)


def parameters_cell(section: type[Section]) -> str:
    """Return the text of the cell: every parameter with its default, and its comment if any.

    Examples
    --------
    >>> class Toy(Section):
    ...     name = "toy"
    ...     n: int = 8
    >>> print(parameters_cell(Toy))
    # The laptop scale. Another one: papermill … -f notebooks/scales/<scale>.yaml;
    # one value: -p n 16; a list: -y 'seeds: [0, 1, 2]'.
    scale: str = "laptop"  # the workload; also names the folder of the results
    seeds: list[int] = [0, 1]  # each draws the images and the noise the inversions start from
    n: int = 8
    cache: bool = True  # reuse inversions kept on disk
    """
    defaults, groups = section().model_dump(mode="json"), _groups(section)
    order = [name for group in groups for name in group]
    numbers = [name for name in order if type(defaults[name]) is int and defaults[name]]
    value = f"one value: -p {numbers[0]} {2 * defaults[numbers[0]]}; " if numbers else ""
    several = [name for name in order if name.endswith("seeds")][-1]
    header = (
        "# The laptop scale. Another one: papermill … -f notebooks/scales/<scale>.yaml;\n"
        f"# {value}a list: -y '{several}: [0, 1, 2]'.\n"
    )
    return header + _cell_lines(section, "  # ", "\n\n")


def rewrite(notebook: Path, section: type[Section], *, check: bool = False) -> bool:
    """Write the cell into a notebook, or only `check` it; return whether it was out of date.

    Raises
    ------
    ValueError
        If not exactly one cell has the tag ``parameters``.
    """
    content = json.loads(notebook.read_text(encoding="utf-8"))
    tagged = [c for c in content["cells"] if "parameters" in c["metadata"].get("tags", [])]
    if len(tagged) != 1:
        raise ValueError(f"{notebook}: one cell with the tag 'parameters' is wanted")
    source = parameters_cell(section).splitlines(keepends=True)
    stale = tagged[0]["source"] != source
    if stale and not check:
        tagged[0]["source"] = source
        text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"  # as Jupyter writes it
        notebook.write_text(text, encoding="utf-8")
    return stale


def _groups(section: type[Section]) -> list[list[str]]:
    """Return the names of the parameters, group by group."""
    names = list(section.model_fields)
    groups = [
        [name for pattern in patterns.split() for name in names if fnmatchcase(name, pattern)]
        for patterns in GROUPS
    ]
    rest = [name for name in names if not any(name in group for group in groups)]
    groups += [list(own) for _, own in groupby(rest, lambda name: _first_with(section, name))]
    return [group for group in groups if group]


def _first_with(section: type[Section], name: str) -> type:
    """Return the class that defines a parameter."""
    return [base for base in section.__mro__ if name in getattr(base, "model_fields", ())][-1]


def kind_of(annotation: Any) -> str:
    """Return the type of a parameter in words that are Python, too.

    Examples
    --------
    >>> kind_of(tuple[int, ...]), kind_of(float | None)
    ('list[int]', 'float or None')
    """
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return kind_of(arguments[0])
    if origin in (Union, types.UnionType):
        return " or ".join(kind_of(argument) for argument in arguments)
    if origin is tuple:
        return f"list[{kind_of(arguments[0])}]"
    return "None" if annotation is type(None) else annotation.__name__


def parameters_text(section: type[Section]) -> str:
    """Return the parameters for a terminal, two lines each at most.

    Examples
    --------
    >>> class Toy(Section):
    ...     name = "toy"
    >>> print(parameters_text(Toy))
    scale: str = "laptop"
        the workload; also names the folder of the results
    seeds: list[int] = [0, 1]
        each draws the images and the noise the inversions start from
    cache: bool = True
        reuse inversions kept on disk
    """
    return _cell_lines(section, "\n    ")


def rewrite_page(page: Path, sections: Mapping[str, type[Section]], *, check: bool = False) -> bool:
    """Write the page on parameters, or only `check` it; return whether it was out of date."""
    text = _page(sections)
    stale = not page.is_file() or page.read_text(encoding="utf-8") != text
    if stale and not check:
        page.write_text(text, encoding="utf-8")
    return stale


def _page(sections: Mapping[str, type[Section]]) -> str:
    """Return the text of the page: a table for each class that adds parameters."""
    shared, own = {}, []
    for section in sections.values():
        tables: dict[type[Section], list[str]] = {}
        for name in section.model_fields:
            base = _first_with(section, name)
            tables.setdefault(base, []).append(name)
            if base is not section and _meaning(section, name) != _meaning(base, name):
                tables.setdefault(section, []).append(name)
        table = _table(section, tables.pop(section, []))
        titles = [SHARED.get(base.__name__) or base.name for base in tables]
        titles = [title[0].lower() + title[1:] for title in titles]
        shared |= {SHARED.get(base.__name__): _table(base, names) for base, names in tables.items()}
        has = f"{{doc}}`/notebooks/{section.name}` has those of: {', '.join(titles)}."
        own.append(f"## {section.name}\n\n{has}\n{table}")
    return "\n".join([INTRODUCTION, *(f"## {t}\n{shared[t]}" for t in SHARED.values()), *own])


def _table(section: type[Section], names: list[str]) -> str:
    if not names:
        return ""
    defaults = section().model_dump(mode="json")
    rows = [
        f"| `{name}` | {_kind(section, name)} | `{_literal(defaults[name])}` | "
        f"{(_meaning(section, name) or '').replace('|', chr(92) + '|')} |"
        for name in names
    ]
    return "\n".join(
        ["", "| parameter | type | default | meaning |", "|---|---|---|---|", *rows, ""]
    )


def _meaning(section: type[Section], name: str) -> str | None:
    return section.notes.get(name, section.model_fields[name].description)


def _kind(section: type[Section], name: str) -> str:
    return kind_of(section.model_fields[name].annotation)


def _literal(value: Any) -> str:
    # JSON writes text and lists as Python does
    return str(value) if value is None or type(value) is bool else json.dumps(value)


def _cell_lines(section: type[Section], before_comment: str, between: str = "\n") -> str:
    """Return ``name: type = default`` and its meaning, for each parameter, in groups."""
    defaults = section().model_dump(mode="json")

    def line(name: str) -> str:
        words = _meaning(section, name)
        text = f"{name}: {_kind(section, name)} = {_literal(defaults[name])}"
        text += before_comment + words if words else ""
        if max(map(len, text.split("\n"))) <= 100:
            return text
        return text.replace(" = [", " = [\n    ", 1).replace("]  #", "\n]  #", 1)

    return between.join("\n".join(map(line, group)) for group in _groups(section))
