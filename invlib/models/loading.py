"""Build a model by name, with random weights, pretrained ones or those of a checkpoint."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import torch
from torch import Tensor, nn

from invlib.models.checkpoint_files import find_network, read_weights
from invlib.models.hooked import build, family_of
from invlib.models.staged import StagedModel
from invlib.models.zoo import create
from invlib.names import listed, whole_number
from invlib.paths import resolve_weights

__all__ = ["fit", "load_model"]

logger = logging.getLogger(__name__)

# Heads by other names, and what a pretraining predicts with: no layer is behind them.
_HEAD = re.compile(
    r"(cls_head|classifier|decoder\w*|fc|heads?|last_linear|linear|mlp_head|predict(ion_head|or)"
    r"|project(ion_head|or))\.|decoder_pos_embed$|(.*\.)?total_(ops|params)$"
)


def fit(net: nn.Module, state: dict[str, Tensor], *, name: str, path: Path) -> None:
    """Load the weights `state` into `net`.

    ValueError names tensors that are missing, left over, of another shape or integers.
    """
    own = net.state_dict()
    problems = [f"{key} is missing" for key in own.keys() - state.keys()]
    problems += [f"{key} is not in the model" for key in state.keys() - own.keys()]
    for key in own.keys() & state.keys():
        here, there = own[key], state[key]
        if there.is_meta or there.layout != torch.strided:
            problems += [f"{key} is {'empty (meta)' if there.is_meta else 'sparse'}, not an array"]
        elif here.shape != there.shape:
            problems += [f"{key} is {tuple(there.shape)}, the model has {tuple(here.shape)}"]
        elif here.is_floating_point() and not there.is_floating_point():
            problems += [f"{key} is {there.dtype}, the model has {here.dtype}"]
    if problems:
        shown, more = sorted(problems)[:5], len(problems) - 5
        raise ValueError(
            f"weights={str(path)!r} do not fit {name!r}: {'; '.join(shown)}"
            + (f"; and {more} more" if more > 0 else "")
        )
    net.load_state_dict(state)


def load_model(
    name: str,
    *,
    weights: str | Path | None = None,
    img_size: int | None = None,
    num_classes: int | None = None,
    seed: int = 0,
    entry: str | None = None,
) -> StagedModel:
    """Build a model by its name, in evaluation mode on the CPU.

    Parameters
    ----------
    name
        A name of timm's, or of `invlib.models.zoo`.
    weights
        None: random, drawn from `seed`. ``"timm"``: the pretrained weights of the hub. Otherwise
        the path of a checkpoint with timm's names, absolute or as in `resolve_weights`: a file of
        safetensors or ``torch.save``, also in a wrapper, see `invlib.models.checkpoint_files`. What
        was stripped, left out or drawn is logged, and kept in the model's `notes`. A checkpoint of
        `train` has its own head, task and image size.
    img_size
        Side of the square input in pixels, which a ViT's patch must divide. Default: the size the
        weights were trained at; 32 for ``conv4`` and ``…_cifar``.
    num_classes
        Default: that of the weights. Another number, or weights without a head, give a new one,
        drawn from `seed`.
    entry
        The part of a checkpoint to read, if not the usual one: ``"state_dict_ema"``, ``"teacher"``.

    Raises
    ------
    ValueError
        Unknown name, unsupported network, an `img_size` that does not fit, or weights that do not
        (the message names the tensors).
    FileNotFoundError, ConnectionError
        No such weights file; the hub cannot be reached.

    Examples
    --------
    >>> model = load_model("vit_nano_patch8_32", num_classes=10, seed=1)
    >>> model.layers, model(torch.zeros(2, 3, 32, 32)).shape
    (range(0, 13), torch.Size([2, 10]))
    """
    if not isinstance(name, str):
        raise TypeError(f"name is of type {type(name).__name__}; a module goes to wrap_model(...)")
    whole_number("seed", seed)
    if num_classes is not None:
        whole_number("num_classes", num_classes, 1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = create(
            name,
            pretrained=weights == "timm",
            num_classes=num_classes,
            img_size=img_size if weights is None else None,
        )
    family = family_of(net)
    state, task, notes = None, "classification", ()
    heads = tuple(f"{head}." for head in family.head_names(net))
    if weights is not None and weights != "timm":
        path = resolve_weights(weights)
        trunk = {key for key in net.state_dict() if not key.startswith(heads)}
        state, settings, notes, _ = find_network(read_weights(path, entry=entry), trunk, path)
        if "head.proj.weight" in state:
            task = "reconstruction"
        family.match_resolution(net, state)
        # Weights of convolutions do not show their image size, but a checkpoint states it.
        if settings.get("img_size", family.input_size(net)) != family.input_size(net):
            family.resize(net, settings["img_size"])
    elif entry is not None:
        raise ValueError(f"entry={entry!r} needs weights=…, the path of a checkpoint")
    model = build(net, name=name)
    if state is not None:
        drawn = [state[f"{head}weight"] for head in heads if f"{head}weight" in state]
        sizes = [len(weight) for weight in drawn if weight.ndim]
        classes = sizes[0] if sizes else num_classes
        model.with_head(task, classes, seed=seed)
        notes += _completed(net, state, heads, seed)
        fit(net, state, name=name, path=path)
        if notes:
            logger.warning("%s: %s", path.name, "; ".join(notes))
    if task == "classification" and num_classes not in (None, net.num_classes):
        model.with_head(task, num_classes, seed=seed)
        notes += (f"head for {num_classes} classes drawn from seed {seed}",)
    if img_size is not None and img_size != model.img_size:
        model.resize(img_size)
    model.notes = notes
    return model.eval()


def _completed(
    net: nn.Module, state: dict[str, Tensor], heads: tuple[str, ...], seed: int
) -> tuple[str, ...]:
    """Give `state` the batch counts and the head of `net` if it has none; return notes."""
    own, notes = net.state_dict(), []
    counts = [k for k in own if k.endswith("num_batches_tracked") and k not in state]
    if counts:
        notes.append(f"{len(counts)} batch counts set to 0")
    theirs, ours = ([k for k in names if k.startswith(heads)] for names in (state, own))
    others = [k for k in state if k not in own and k not in theirs and _HEAD.match(k)]
    if set(theirs) == set(ours):
        notes += [f"left out: {listed(others)}"] if others else []
    else:
        others += theirs
        other = f", in place of {listed(others)}" if others else ""
        notes.append(f"head for {net.num_classes} classes drawn from seed {seed}{other}")
        counts += ours
    for key in others:
        del state[key]
    state |= {key: own[key] for key in counts}
    dtypes = {t.dtype for t in state.values() if t.is_floating_point()} - {torch.float32}
    notes += [f"{dtype} read as float32" for dtype in sorted(str(d)[6:] for d in dtypes)]
    return tuple(notes)
