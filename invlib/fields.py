"""Field types for records that pydantic checks, and a one-line message for each wrong value."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationInfo

from invlib.names import choices

__all__ = ["Name", "Natural", "Positive", "PositiveFloat", "bounded", "explain", "one_of"]


def bounded(words: str, **bounds: Any) -> Any:
    """Return a pydantic field with these `bounds`. Error messages describe them by `words`."""
    return Field(json_schema_extra={"allowed": words}, **bounds)


Natural = Annotated[int, bounded("an integer >= 0", ge=0)]
Positive = Annotated[int, bounded("an integer >= 1", ge=1)]
PositiveFloat = Annotated[float, bounded("a number > 0", gt=0)]
Name = Annotated[str, bounded("a name", min_length=1)]

_WANTED = {
    "bool": "true or false",
    "dict": "a mapping",
    "float": "a number",
    "int": "a whole number",
    "list": "a list",
    "model": "a mapping",
    "string": "text",
    "tuple": "a list",
}
_KINDS = _WANTED | {"NoneType": "null", "int": "a number", "str": "text"}


def one_of(*allowed: str) -> Any:
    """Return the annotation of a text field whose value is one of `allowed`."""

    def check(value: str, info: ValidationInfo) -> str:
        return choices(info.field_name, value, allowed)

    words = "one of " + ", ".join(map(repr, allowed))
    return Annotated[str, AfterValidator(check), bounded(words)]


def explain(error: Mapping[str, Any], allowed: str | None = None) -> str:
    """Return one of pydantic's errors as one line: the field, its value, and what is `allowed`.

    Without `allowed`, the line names the type that is wanted, or repeats pydantic's message.

    Examples
    --------
    >>> error = {"type": "int_type", "loc": ("epochs",), "input": "3", "msg": "..."}
    >>> explain(error), explain(error, "an integer >= 0")
    ("epochs='3' is text where a whole number is wanted", \
"epochs='3' is text; allowed is an integer >= 0")
    """
    name, *rest = error["loc"] or ("",)
    name = str(name) + "".join(f"[{i}]" for i in rest if isinstance(i, int))
    value, kind = error["input"], error["type"]
    if kind == "value_error":
        message = str(error["ctx"]["error"])
        complete = not error["loc"] or message.startswith(f"{error['loc'][0]}=")
        return message if complete else f"{name}={value!r}: {message}"
    wanted = _WANTED.get("int" if kind == "int_from_float" else kind.removesuffix("_type"))
    own = type(value).__name__
    text = f"{name}={value!r} is {_KINDS.get(own, f'of type {own}')}"
    if allowed:
        if wanted is None:
            text = f"{name}={value!r} is {'out of range' if value != '' else 'empty'}"
        return f"{text}; allowed is {allowed}"
    if wanted is None:
        message = error["msg"]
        return f"{name}={value!r}: {message[0].lower()}{message[1:]}"
    text += f" where {wanted} is wanted"
    if wanted == "a number" and isinstance(value, str):
        with suppress(ValueError):
            text += f"; YAML reads a number in {name}: {float(value)!r}"
    return text
