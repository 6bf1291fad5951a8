"""Weights in files: read from safetensors, and put into a network only if every tensor fits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

__all__ = ["fit", "read_weights"]


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors of a safetensors file, and what a checkpoint of `train` says of itself.

    Raises
    ------
    ValueError
        The file is torn or something else.
    """
    try:
        with safe_open(path, "pt") as file:
            said = (file.metadata() or {}).get("invlib", "{}")
            return {key: file.get_tensor(key) for key in file.keys()}, json.loads(said)  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ValueError(f"weights={str(path)!r} is not a safetensors file: {error}") from error


def fit(net: nn.Module, state: dict[str, Tensor], *, name: str, path: Path) -> None:
    """Load `state` into `net`, all of it.

    Raises
    ------
    ValueError
        Tensors are missing, left over or of another shape: the message names them.
    """
    own = net.state_dict()
    problems = [f"{key} is missing" for key in own.keys() - state.keys()]
    problems += [f"{key} is not in the model" for key in state.keys() - own.keys()]
    problems += [
        f"{key} is {tuple(state[key].shape)}, the model has {tuple(own[key].shape)}"
        for key in own.keys() & state.keys()
        if own[key].shape != state[key].shape
    ]
    if problems:
        shown, more = sorted(problems)[:5], len(problems) - 5
        raise ValueError(
            f"weights={str(path)!r} do not fit {name!r}: {'; '.join(shown)}"
            + (f"; and {more} more" if more > 0 else "")
        )
    net.load_state_dict(state)
