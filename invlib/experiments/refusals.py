"""What pydantic refuses, in the words of somebody who writes YAML."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["explain"]

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
