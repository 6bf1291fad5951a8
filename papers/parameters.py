"""Parameters of notebooks: their types, the files of a scale, and errors in words."""

from __future__ import annotations

import types
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, Field, ValidationInfo

from invlib.names import choices
from invlib.paths import project_root

__all__ = ["ParameterError", "RULES", "explain", "load_scale", "one_of"]


class ParameterError(ValueError):
    """A parameter that does not exist, or whose value is of no use. One line for each."""

    def _render_traceback_(self) -> list[str]:
        # IPython asks for this: the reader of a notebook needs the sentence, not twenty frames of
        # validation.
        return [f"{type(self).__name__}: {self}"]


def load_scale(scale: str, override: str | Path | None = None) -> dict[str, Any]:
    """Return the parameters of a scale, `override`'s laid over them.

    Parameters
    ----------
    scale : str
        The name of a file of ``notebooks/scales``.
    override : path, optional
        A second file, as papermill's second ``-f``.

    Raises
    ------
    ParameterError
        For a scale or file that does not exist, and for a file that is no mapping of parameters.

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


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        parameters = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ParameterError(f"{path}: {' '.join(str(error).split())}") from None
    if not isinstance(parameters, dict):
        raise ParameterError(f"{path}: a mapping of parameters is wanted")
    return parameters


def one_of(*allowed: str) -> Any:
    """Return the type of a text parameter with these values, for the annotation of a field."""

    def check(value: str, info: ValidationInfo) -> str:
        return choices(info.field_name, value, allowed)

    return Annotated[str, AfterValidator(check)]


def _distinct(values: tuple) -> tuple:
    if len(set(values)) != len(values):
        raise ValueError("the same value twice")
    return values


Natural = Annotated[int, Field(ge=0)]

Positive = Annotated[int, Field(ge=1)]

PositiveFloat = Annotated[float, Field(gt=0)]

Name = Annotated[str, Field(min_length=1)]

Several = (Field(min_length=1), AfterValidator(_distinct))  # what a list must be, at least

Names = Annotated[tuple[Name, ...], *Several]

Seeds = Annotated[tuple[Natural, ...], *Several]


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(isinstance(k, str) and _is_plain(v) for k, v in value.items())
    # exactly these: a NumPy float is a float as well
    return value is None or type(value) in (bool, float, int, str)


def _may_be_parameter(name: str, value: Any) -> bool:
    if name.startswith("_") or name in ("In", "Out"):
        return False
    return not isinstance(value, types.ModuleType) and not callable(value) and _is_plain(value)


# Names only: parameters are checked without torch. A test holds them to the rules there are.
RULES = ("adam", "fast", "lbfgs", "momentum", "ngd", "raw_fast", "scaled_ngd", "short_adam")


def split(recipe: str) -> tuple[str, int, str]:
    """Read "fast:50" or "fast:50:images": rule, gradient evaluations, start."""
    rule, evaluations, init = (*recipe.split(":"), "", "")[:3]
    choices("recipe", rule, RULES)
    if not evaluations.isdigit() or int(evaluations) < 1:
        raise ValueError(f"recipe={recipe!r}: write rule:evaluations, such as 'fast:50'")
    inits = ("noise", "same-noise", "white", "black", "images")
    return rule, int(evaluations), choices("start", init or "noise", inits)


def _check(recipes: tuple[str, ...]) -> tuple[str, ...]:
    for recipe in recipes:
        split(recipe)
    return recipes


Recipes = Annotated[tuple[Name, ...], *Several, AfterValidator(_check)]

_WANTED = {
    "bool": "true or false",
    "dict": "a mapping",
    "float": "a number",
    "int": "a whole number",
    "list": "a list",
    "string": "text",
    "tuple": "a list",
}


def explain(error: Mapping[str, Any]) -> str:
    """One line for one of pydantic's errors."""
    name, *rest = error["loc"] or ("parameters",)
    name = str(name) + "".join(f"[{i}]" for i in rest if isinstance(i, int))
    value, kind = error["input"], error["type"]
    if kind == "value_error":
        said = str(error["ctx"]["error"])
        return said if said.startswith(f"{error['loc'][0]}=") else f"{name}={value!r}: {said}"
    wanted = _WANTED.get(kind.removesuffix("_type"))
    if kind == "int_from_float":
        wanted = _WANTED["int"]
    if wanted is None:
        return f"{name}={value!r}: {error['msg'].lower()}"
    text = f"{name}={value!r} is {_kind(value)} where {wanted} is wanted"
    if wanted == "a list" and isinstance(value, str):
        example = value if value.startswith("[") else f"[{value}]"
        return f"{text}; pass lists with -y '{name}: {example}'"
    if wanted == "a number" and isinstance(value, str):
        try:
            return f"{text}; YAML reads a number in {name}: {float(value)!r}"
        except ValueError:
            return text
    return text


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    kinds = {bool: "true or false", str: "text", list: "a list", dict: "a mapping"}
    return kinds.get(type(value), "a number")
