"""A disk cache of inversions, with a key for all they depend on, shared between processes."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
from pathlib import Path

import torch
from torch import Tensor

from invlib.files import lock, read_sealed, write_sealed
from invlib.inversion.invert import Inversion, invert
from invlib.models.hooked import Wrapped
from invlib.models.staged import StagedModel
from invlib.models.tokens import check_tokens
from invlib.paths import cache_root

__all__ = ["cached_invert", "inversion_key"]

logger = logging.getLogger(__name__)

# Part of every key. Raise it when the same arguments would give other inversions, by more
# than rounding.
ENGINE = 1
# The same for a single recipe, by its name.
REVISIONS = {"fast": 2}
_STORED = ("images", "loss", "best")


def cached_invert(
    model: StagedModel, images: Tensor, *, cache: bool | str | Path = True, **arguments
) -> Inversion:
    """Return ``invert(model, images, **arguments)``, read from the cache if it is there.

    `cache` is True (the project's cache folder), a folder, or False (always invert). A second
    process that wants the same inversion waits for the first. Every file has a digest of its
    content; a damaged one is made again, and a warning says so. An `optimizer` that is a rule of
    one's own is never kept: no key says what its code does.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> from invlib import load_model
    >>> model, x, folder = load_model("vit_pico_patch8_32"), torch.rand(2, 3, 32, 32), mkdtemp()
    >>> a, b = (cached_invert(model, x, cache=folder, iterations=2) for _ in range(2))
    >>> torch.equal(a.images, b.images)
    True
    """
    if cache is False or callable(arguments.get("optimizer")):
        return invert(model, images, **arguments)
    if not isinstance(cache, bool | str | Path):
        raise TypeError(f"cache={cache!r} must be True, False or a folder")
    folder = cache_root() / "inversions" if cache is True else Path(cache)
    key = inversion_key(model, images, **arguments)
    path = folder / f"{key}.safetensors"
    layers = check_tokens(model, arguments.get("layers"), arguments.get("tokens", "all"))
    asked = tuple(layers), tuple(arguments.get("snapshots") or ())
    # First without the lock: a reader need not be allowed to write.
    if (found := _read(path, model.device)) is None:
        with lock(path.with_suffix(".lock")):
            if (found := _read(path, model.device)) is None:
                made = invert(model, images, **arguments)
                tensors = {name: getattr(made, name).contiguous() for name in _STORED}
                write_sealed(tensors, path, dict(key=key))
                return made
    return Inversion(*found, *asked)


def inversion_key(model: StagedModel, images: Tensor, **arguments) -> str:
    """Return the key of an inversion: a hash of weights, images, layers, recipe, seed and device.

    And of the precision of matrix products, where it is not float32. The head does not count, so a
    model that only got a new one is not inverted again; neither do `chunk` and `progress`.
    """
    says = {k: v for k, v in arguments.items() if k not in ("chunk", "progress", "layers")}
    models = [model]
    if against := arguments.get("against"):
        models.append(against[0])
        says["against"] = [against[0].name, against[1]]
    says |= dict(
        engine=ENGINE,
        model=model.name,
        size=model.img_size,
        device=model.device.type,
        layers=check_tokens(model, arguments.get("layers"), arguments.get("tokens", "all")),
        shape=list(images.shape),
    )
    one = torch.ones(1, 1, device=model.device)
    # The product has the type that autocast computes in.
    precision = [torch.get_float32_matmul_precision(), str((one @ one).dtype)]
    if precision != ["highest", "torch.float32"]:
        says |= dict(precision=precision)
    if revision := REVISIONS.get(arguments.get("optimizer")):
        says |= dict(revision=revision)
    # No name says what a wrapped module computes, but its features do.
    for each in (each for each in models if isinstance(each.family, Wrapped)):
        with torch.no_grad():
            features = each.features(images[:1].to(each.device), says["layers"])
        seen = (hashlib.sha256(h.double().cpu().contiguous().numpy()) for h in features)
        says.setdefault("features", []).extend(digest.hexdigest() for digest in seen)
    digest = hashlib.sha256(json.dumps(says, sort_keys=True, default=list).encode())
    weights = [item for each in models for item in sorted(each.trunk().items())]
    for name, tensor in [*weights, ("images", images)]:
        digest.update(name.encode())
        raw = tensor.detach().cpu().contiguous().flatten()
        digest.update(raw.view(torch.uint8).numpy().tobytes())  # NumPy has no bfloat16
    return digest.hexdigest()[:24]


def _read(path: Path, device: torch.device) -> list[Tensor] | None:
    if not path.exists():
        return None
    try:
        tensors, settings = read_sealed(path)
        if settings.get("key", path.stem) != path.stem:
            raise ValueError(f"{path} holds another inversion, {settings['key']}")
        return [tensors[name].to(device) for name in _STORED]
    except (KeyError, ValueError) as error:
        logger.warning("%s is no whole inversion and is made again (%s)", path, error)
        with contextlib.suppress(OSError):
            path.unlink()
        return None
