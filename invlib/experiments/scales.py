"""Scales: files of parameters, one for each workload, that serve all notebooks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from invlib.errors import choices
from invlib.paths import project_root

__all__ = ["ParameterError", "load_scale"]


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
    invlib.experiments.scales.ParameterError: scale='labtop' is not one of 'cifar', 'laptop', \
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
