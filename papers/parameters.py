"""Parameters of notebooks: their types, reading the files of a scale, readable errors."""

from __future__ import annotations

import difflib
import types
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, Field

from invlib.fields import Name, Natural, Positive, PositiveFloat, one_of
from invlib.names import RECIPES, STARTS, choices
from invlib.paths import project_root

__all__ = [
    "Name",
    "Names",
    "Natural",
    "ParameterError",
    "Positive",
    "PositiveFloat",
    "RULES",
    "Recipes",
    "Seeds",
    "Several",
    "load_scale",
    "one_of",
    "split",
    "usual_parameters",
]


class ParameterError(ValueError):
    """Raised for unknown parameters and invalid values, with one line for each."""

    def _render_traceback_(self) -> list[str]:
        # IPython calls this. A reader of a notebook needs the message, not the frames of pydantic.
        return [f"{type(self).__name__}: {self}"]


def load_scale(scale: str, override: str | Path | None = None) -> dict[str, Any]:
    """Return the parameters of a scale. Those of the file `override` replace them.

    Parameters
    ----------
    scale : str
        The name of a file of ``notebooks/scales``.
    override : path, optional
        A second file, like papermill's second ``-f``.

    Raises
    ------
    ParameterError
        If the scale or file does not exist, or a file is no mapping of parameters.

    Examples
    --------
    >>> load_scale("laptop")["scale"]
    'laptop'
    >>> load_scale("labtop")
    Traceback (most recent call last):
        ...
    papers.parameters.ParameterError: scale='labtop' is not one of 'cifar', 'laptop', \
'paper', 'smoke'; did you mean 'laptop'?
    """
    folder = project_root() / "notebooks" / "scales"
    try:
        choices("scale", scale, [file.stem for file in folder.glob("*.yaml")])
    except ValueError as error:
        raise ParameterError(str(error)) from None
    parameters = _read_yaml(folder / f"{scale}.yaml")
    if parameters.get("scale") != scale:
        raise ParameterError(f"{scale}.yaml: scale={parameters.get('scale')!r} is not its name")
    if override:
        over = _read_yaml(Path(override))
        if over.get("scale", scale) != scale:
            raise ParameterError(f"{override}: an override leaves the scale as it is")
        parameters |= over
    return parameters


def usual_parameters(scale: str) -> dict[str, Any]:
    """Return the parameters of the scale that the name of a place begins with; {} if none has it.

    Examples
    --------
    >>> usual_parameters("smoke-n-16")["scale"], usual_parameters("trial")
    ('smoke', {})
    """
    base = scale.partition("-")[0]
    there = (project_root() / "notebooks" / "scales" / f"{base}.yaml").is_file()
    return load_scale(base) if there else {}


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        parameters = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        folders = {path.parent, Path("notebooks/scales/overrides")}
        there = {file.stem: file for folder in folders for file in folder.glob("*.yaml")}
        closest = difflib.get_close_matches(path.stem, there, n=1)
        hint = f"; did you mean {there[closest[0]]}?" if closest else ""
        raise ParameterError(f"{path}: there is no such file{hint}") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ParameterError(f"{path}: {' '.join(str(error).split())}") from None
    if not isinstance(parameters, dict):
        raise ParameterError(f"{path}: a mapping of parameters is wanted")
    return parameters


def _distinct(values: tuple) -> tuple:
    if len(set(values)) != len(values):
        raise ValueError("the same value twice")
    return values


Several = (Field(min_length=1), AfterValidator(_distinct))  # every list: not empty, no repeats

Names = Annotated[tuple[Name, ...], *Several]

Seeds = Annotated[tuple[Natural, ...], *Several]


def _is_plain(value: Any) -> bool:
    """Return whether `value` is made of JSON's types, and of at most 10,000 values.

    A few lines of YAML with aliases can make a value of billions, or one that holds itself.
    """
    waiting = [value]
    for _ in range(10_000):
        if not waiting:
            return True
        one = waiting.pop()
        if isinstance(one, dict):
            waiting += [*one, *one.values()]
            if not all(isinstance(key, str) for key in one):
                return False
        elif isinstance(one, list | tuple):
            waiting += one
        # exactly these types, because a NumPy float is a float too
        elif not (one is None or type(one) in (bool, float, int, str)):
            return False
    return False


def _may_be_parameter(name: str, value: Any) -> bool:
    if name.startswith("_") or name in ("In", "Out"):
        return False
    return not isinstance(value, types.ModuleType) and not callable(value) and _is_plain(value)


# The library's rules and those raced against them. A test checks that these are all rules.
RULES = (*RECIPES, "momentum", "raw_fast", "scaled_ngd", "short_adam")


def split(recipe: str) -> tuple[str, int, str]:
    """Return rule, gradient evaluations and start of a recipe: "fast:50" or "fast:50:images"."""
    rule, evaluations, init = (*recipe.split(":"), "", "")[:3]
    choices("recipe", rule, RULES)
    if not evaluations.isdigit() or int(evaluations) < 1:
        raise ValueError(f"recipe={recipe!r}: write rule:evaluations, such as 'fast:50'")
    return rule, int(evaluations), choices("start", init or "noise", STARTS)


def _check(recipes: tuple[str, ...]) -> tuple[str, ...]:
    for recipe in recipes:
        split(recipe)
    return recipes


Recipes = Annotated[tuple[Name, ...], *Several, AfterValidator(_check)]
