"""Find out how many images can be inverted at once in the free memory."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, inf
from pathlib import Path

import psutil
import torch
from torch import Tensor

from invlib.models.staged import StagedModel
from invlib.models.tokens import enter

__all__ = ["activation_bytes", "available_bytes", "default_chunk"]

# More rows (an image at a layer) are no faster: on a CPU twice as many spend a tenth of the time on
# page faults; a GPU takes more to fill.
_ENOUGH = {"cpu": 16 * 13, "cuda": 256 * 13}

# Where Linux says which limits a container, a cluster job or a service has.
_CGROUPS, _MINE = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
_MEMORY = {  # by version: folder, limit, use, and the part of the use that can be freed
    1: ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    2: ("", "memory.max", "memory.current", "inactive_file"),
}


def available_bytes(device: torch.device) -> int:
    """Return the free memory of `device` in bytes.

    It includes what can be freed: caches on a CPU, what PyTorch holds but does not use on a GPU.
    On a CPU it is at most what the limits of the process leave (control groups, version 1 and 2).
    """
    if device.type == "cuda":
        idle = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + idle
    return int(min([psutil.virtual_memory().available, *_left_by_limits()]))


def _left_by_limits() -> Iterator[float]:
    """Yield the bytes that the memory limit of each control group of this process leaves.

    A group is inside another, so the limits of all parents hold as well. Cached files of a group
    are freed when it needs the memory, and are not part of what it uses.
    """
    try:
        lines = _MINE.read_text().splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        number, kinds, own = line.split(":", 2)
        version = 2 if number == "0" else 1
        if version == 1 and "memory" not in kinds.split(","):
            continue
        below, limit, used, cached = _MEMORY[version]
        root = _CGROUPS / below
        group = root / own.lstrip("/")
        for folder in [group, *group.parents]:
            if not folder.is_relative_to(root):
                break
            try:
                most = (folder / limit).read_text().strip()
                usage = int((folder / used).read_text())
                stat = dict(map(str.split, (folder / "memory.stat").read_text().splitlines()))
            except (OSError, ValueError):  # a container sees its own group at the root
                continue
            yield inf if most == "max" else max(0, int(most) - usage + int(stat.get(cached, 0)))


def activation_bytes(model: StagedModel, image: Tensor, layers: list[int]) -> int:
    """Measure the bytes that autograd keeps to invert one image (1, 3, H, W) at all `layers`."""
    one, two = (_kept_bytes(model, image, max(layers), copies) for copies in (1, 2))
    per_stage = [b - a for a, b in zip(one, two, strict=True)]  # what all images share drops out
    return sum(sum(per_stage[: k + 1]) for k in layers)


def _kept_bytes(model: StagedModel, image: Tensor, last: int, copies: int) -> list[int]:
    """Return the bytes that autograd keeps for each stage up to `last`, for copies of an image."""
    per_stage, kept = [], {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    h = enter(model, image).repeat(copies, 1, 1, 1).requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        for _ in model.walk(h, range(last + 1), rows=[0] * last + [copies]):
            per_stage.append(sum(kept.values()) - sum(per_stage))
    return per_stage


def default_chunk(model: StagedModel, images: Tensor, layers: list[int]) -> int:
    """Return how many images to invert at once, in at most a third of the free memory.

    Chunks are as equal as can be: a GPU prepares for every new number of rows.
    """
    row = len(layers) * images[0].numel() * images.element_size()
    per_image = activation_bytes(model, images[:1].detach().clone(), layers) + 8 * row
    fits = available_bytes(model.device) // 3 // per_image
    enough = _ENOUGH.get(model.device.type, 64 * 13) // len(layers)
    most = int(max(1, min(fits, enough)))
    return ceil(len(images) / ceil(len(images) / most))
