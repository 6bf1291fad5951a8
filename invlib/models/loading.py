"""Build a model by name, with random weights, pretrained ones or those of a checkpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from invlib.models.staged import FAMILIES, StagedModel
from invlib.models.zoo import create
from invlib.paths import resolve_weights

__all__ = ["fit", "load_model", "read_weights"]


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors of a safetensors file and, for a checkpoint of `train`, its settings.

    Raises
    ------
    ValueError
        The file is incomplete or no safetensors file.
    """
    try:
        with safe_open(path, "pt") as file:
            settings = json.loads((file.metadata() or {}).get("invlib", "{}"))
            return {key: file.get_tensor(key) for key in file.keys()}, settings  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ValueError(f"weights={str(path)!r} is not a safetensors file: {error}") from error


def fit(net: nn.Module, state: dict[str, Tensor], *, name: str, path: Path) -> None:
    """Load the weights `state` into `net`. Every tensor must fit.

    Raises
    ------
    ValueError
        If tensors are missing, left over or of another shape. The message names them.
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


# ── Loading ──────────────────────────────────────────────────────────────────────────────────────


def load_model(
    name: str,
    *,
    weights: str | Path | None = None,
    img_size: int | None = None,
    num_classes: int | None = None,
    seed: int = 0,
) -> StagedModel:
    """Build a model by its name, in evaluation mode on the CPU.

    Parameters
    ----------
    name
        A name of timm's, or of `invlib.models.zoo`.
    weights
        None: random, drawn from `seed`. ``"timm"``: the pretrained weights of the hub. Otherwise
        the path of a safetensors file with timm's key names, absolute or as in `resolve_weights`. A
        checkpoint of `train` has its own head, task and image size.
    img_size
        Side of the square input in pixels. A ViT's patch must divide it; its position embeddings
        are resampled (bicubic, by timm). Default: the size the weights were trained at; 32 for
        ``conv4`` and ``…_cifar``.
    num_classes
        Default: that of the weights. Another number gives a new head, drawn from `seed`.

    Raises
    ------
    ValueError
        Unknown name, unsupported network, an `img_size` that is too small or that the patch does
        not divide, or weights that do not fit (the message names the tensors).
    FileNotFoundError
        No such weights file.
    ConnectionError
        The hub cannot be reached.

    Examples
    --------
    >>> model = load_model("vit_nano_patch8_32", num_classes=10, seed=1)
    >>> model.layers
    range(0, 13)
    >>> model(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 10])
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = create(
            name,
            pretrained=weights == "timm",
            num_classes=num_classes,
            img_size=img_size if weights is None else None,
        )
    if type(net) not in FAMILIES:
        supported = ", ".join(sorted(cls.__name__ for cls in FAMILIES))
        raise ValueError(
            f"model={name!r} is a timm {type(net).__name__}; supported are {supported}"
        )
    family = FAMILIES[type(net)]
    state, task = None, "classification"
    if weights is not None and weights != "timm":
        path = resolve_weights(weights)
        state, settings = read_weights(path)
        if "head.proj.weight" in state:
            task = "reconstruction"
        family.match_resolution(net, state)
        # Weights of convolutions do not show their image size, but a checkpoint states it.
        if settings.get("img_size", family.input_size(net)) != family.input_size(net):
            family.resize(net, settings["img_size"])
    model = StagedModel(net, name=name, img_size=family.input_size(net))
    if state is not None:
        shapes = {key: tensor.shape for key, tensor in state.items()}
        classes = shapes.get(f"{family.head_names(net)[0]}.weight", [None])[0]
        model.with_head(task, classes, seed=seed)
        fit(net, state, name=name, path=path)
    if task == "classification" and num_classes not in (None, net.num_classes):
        model.with_head(task, num_classes, seed=seed)
    if img_size is not None and img_size != model.img_size:
        family.resize(net, img_size)
        model.img_size = img_size
    return model.eval()
