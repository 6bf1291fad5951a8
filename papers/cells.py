"""Write the parameters cell of every notebook from the fields of its section."""

import json
from fnmatch import fnmatchcase
from itertools import groupby
from pathlib import Path
from typing import Any

from papers.section import Section

__all__ = ["parameters_cell", "rewrite"]

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
    # one value: -p n 16; a list: -y 'seeds: [0, 1]'.
    scale = "laptop"
    seeds = [0, 1, 2]  # each draws the images and the noise the inversions start from
    n = 8
    cache = True  # reuse inversions kept on disk
    """
    defaults, groups = section().model_dump(mode="json"), _groups(section)
    order = [name for group in groups for name in group]
    numbers = [name for name in order if type(defaults[name]) is int and defaults[name]]
    value = f"one value: -p {numbers[0]} {2 * defaults[numbers[0]]}; " if numbers else ""
    several = [name for name in order if name.endswith("seeds")][-1]
    header = (
        "# The laptop scale. Another one: papermill … -f notebooks/scales/<scale>.yaml;\n"
        f"# {value}a list: -y '{several}: [0, 1]'.\n"
    )
    blocks = ("\n".join(_line(section, name, defaults[name]) for name in g) for g in groups)
    return header + "\n\n".join(blocks)


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


def _line(section: type[Section], name: str, value: Any) -> str:
    comment = section.notes.get(name, section.model_fields[name].description)
    # JSON writes text and lists as Python does
    literal = str(value) if value is None or type(value) is bool else json.dumps(value)
    return f"{name} = {literal}" + (f"  # {comment}" if comment else "")
