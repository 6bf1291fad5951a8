"""Read weights from the files that people have, and find one network's tensors among them.

Read are safetensors files and those of ``torch.save``, whatever their names: ``.pth``, ``.ckpt``, …
No code of a file is run: beside tensors and plain Python values, only `HARMLESS` types are built.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Collection, Mapping
from datetime import date, datetime, timedelta, timezone
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from invlib.files import broken_part, read_sealed
from invlib.names import choices, listed

__all__ = ["HARMLESS", "Weights", "find_network", "read_weights"]

_TYPES = (argparse.Namespace, SimpleNamespace, np.dtype, np.ndarray, dict, list, int, float)
_TYPES += (frozenset, range, slice, date, datetime, timedelta, timezone)
_LIGHTNING = """pytorch_lightning.utilities.parsing lightning.pytorch.utilities.parsing
    lightning_fabric.utilities.data lightning.fabric.utilities.data"""
_PATHS = """pathlib.PosixPath pathlib.WindowsPath pathlib.PurePosixPath pathlib.PureWindowsPath
    pathlib._local.PosixPath pathlib._local.WindowsPath"""
# By the name in a file, what is built. It is a stand-in where a package may be absent, or where
# the unpickler fills no such type.
HARMLESS: dict[str, Any] = {
    **{f"{kind.__module__}.{kind.__qualname__}": kind for kind in _TYPES},
    **{f"numpy.dtypes.{name}": getattr(np.dtypes, name) for name in np.dtypes.__all__},
    **{  # what builds NumPy's scalars and arrays, under its old name and its new one
        f"numpy.{core}.multiarray.{value.__reduce__()[0].__name__}": value.__reduce__()[0]
        for core in ("core", "_core")
        for value in (np.float64(0), np.zeros(1))
    },
    **{f"{module}.AttributeDict": dict for module in _LIGHTNING.split()},
    **dict.fromkeys(_PATHS.split(), PurePosixPath),
    "collections.defaultdict": lambda *_: {},
    "collections.deque": lambda *_: [],
    "torch.torch_version.TorchVersion": str,
}

# Entries of a checkpoint that hold the weights as trained; the first that is there is read.
_ENTRIES = ("state_dict", "model_state_dict", "model_state", "model", "net", "module", "weights")
_WRAPPED = re.compile(r"\b(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
_OF_TRAINING = ("n_averaged", "mask_token")  # tensors that only a training uses
_FOREIGN = {  # names of other libraries, and what gives the module
    r"(^|\.)(embeddings|embedder|vision_model)\.": "transformers.AutoModel.from_pretrained({!r})",
    r"encoder_layer_\d|(^|\.)features\.\d": "a model of torchvision.models",
    r"(^|\.)visual\.": "the `visual` of open_clip.create_model(...)",
}


class Weights(NamedTuple):
    """Tensors by name, the settings of a checkpoint of `train`, and what was done to read them."""

    tensors: dict[str, Tensor]
    settings: dict[str, Any]
    notes: tuple[str, ...] = ()
    entry: str | None = None  # one that was asked for and is none of the file's


def read_weights(path: Path, *, entry: str | None = None) -> Weights:
    """Return the tensors of a file, by the names they have there.

    Of a checkpoint, those of `entry`: by default the first of `_ENTRIES`, or else the only one with
    any. ValueError if the file is damaged (before PyTorch 1.6 there were no checksums), of another
    kind, holds a type that is not read or several entries with weights. It says what to do.
    """
    with open(path, "rb") as file:
        start = file.read(64)
    if start[8:9] == b"{":
        tensors, settings = read_sealed(path)
        return Weights(tensors, settings, entry=entry)
    if start[:2] == b"PK" or start[:1] == b"\x80":
        return _weights_in(_load(path, zipped=start[:2] == b"PK"), path, entry)
    kind = "neither a safetensors file nor one of torch.save" if start else "empty"
    if start.startswith(b"version https://git-lfs"):
        kind = "a pointer of Git LFS, not the weights; `git lfs pull` fetches them"
    elif path.name.endswith(".index.json"):
        kind = "the index of several files; load them with their library and save one state_dict"
    raise ValueError(f"weights={str(path)!r} is {kind}")


def _load(path: Path, *, zipped: bool) -> object:
    """Return what ``torch.save`` wrote; ValueError for a type that is not in `HARMLESS`."""
    allowed = [(value, name) for name, value in HARMLESS.items()]
    try:
        if zipped and (part := broken_part(path)):  # torch.load looks at no checksum
            raise ValueError(f"{part} fails its checksum")
        with torch.serialization.safe_globals(allowed):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch reports damage in many ways
        text = str(error).split("WeightsUnpickler error:")[-1].strip() or type(error).__name__
        what = f"is damaged, or no file of torch.save ({text.splitlines()[0][:200]})"
        if refused := re.search(r"GLOBAL ([\w.]+)", text):
            what = (
                f"holds a {refused[1]}, and reading that could run code. If you trust the file, "
                f"save its weights alone: x = torch.load({path.name!r}, weights_only=False), then "
                "torch.save(x.state_dict(), 'weights.pth') for a whole module, "
                "torch.save(x['state_dict'], 'weights.pth') for a checkpoint"
            )
        elif "TorchScript" in text:
            what = f"is in TorchScript; save torch.jit.load({path.name!r}).state_dict() of it"
        raise ValueError(f"weights={str(path)!r} {what}") from error


def _weights_in(content: object, path: Path, entry: str | None) -> Weights:
    """Return the tensors by name that a checkpoint holds, itself or in one of its entries."""
    notes, others = [], []
    while entry in (inside := _entries(content)) or not _is_state(content):
        only = list(inside) if len(inside) == 1 else []
        key = next((key for key in (entry, *_ENTRIES, *only) if key in inside), None)
        if key is None:
            keys = [*map(repr, content)] if isinstance(content, dict) else []
            has = f" of {listed(keys)}" if keys else ""
            holds = f"a {type(content).__name__}{has}, not tensors by name"
            if inside and entry is not None:
                choices("entry", entry, map(str, inside))
            if inside:
                there = ", ".join(map(repr, inside))
                holds = f"weights in {there}; choose one with entry=…, in commands with FILE#ENTRY"
            raise ValueError(f"weights={str(path)!r} holds {holds}")
        others += [repr(other) for other in inside if other != key]
        notes.append(f"weights of entry {key!r}")
        entry = None if key == entry else entry
        content = inside[key]
    if others:
        notes.append(f"also there, with entry=…: {', '.join(others)}")
    tensors = {str(key): value for key, value in content.items() if isinstance(value, Tensor)}
    return Weights(tensors, {}, tuple(notes), entry)


def _is_state(content: object) -> bool:
    """Return whether `content` has tensors by the names of modules, which an optimiser has not."""
    return isinstance(content, Mapping) and any(
        isinstance(value, Tensor) and "." in str(key) for key, value in content.items()
    )


def _entries(content: object) -> dict[str, Mapping]:
    items = content.items() if isinstance(content, Mapping) else ()
    return {key: value for key, value in items if _is_state(value) or _entries(value)}


def find_network(weights: Weights, own: Collection[str], path: Path) -> Weights:
    """Return the tensors of a network by its own names; `own` has them, without the head.

    Most of them stand behind one prefix, such as ``model.module.``, and tensors without it are left
    out. Of several such networks, ``weights.entry`` is a part of the prefix: ``"teacher"``.
    ValueError if there are several, or if the names are another library's.

    Examples
    --------
    >>> tensors = {"module.net.conv.weight": torch.zeros(1), "module.loss.scale": torch.zeros(1)}
    >>> find_network(Weights(tensors, {}), ["conv.weight"], Path("w.pth")).notes
    ("prefix 'module.net.' stripped", 'left out: module.loss.scale')
    """
    plain = {_WRAPPED.sub("", key): value for key, value in weights.tensors.items()}
    wrapped = sorted({word for key in weights.tensors for word in _WRAPPED.findall(key)})
    notes = [*weights.notes, *(f"{word + '.'!r} stripped" for word in wrapped)]
    counts: Counter[str] = Counter()  # how many of the network's names stand behind a prefix
    for key in plain:
        starts = [0, *(dot.end() for dot in re.finditer(r"\.", key))]
        counts.update(key[:start] for start in starts if key[start:] in own)
    if weights.entry is not None:
        part = f".{weights.entry.strip('.')}."
        there = "; ".join([*notes, f"prefixes {', '.join(map(repr, sorted(counts)[:5]))}"])
        counts = Counter({p: count for p, count in counts.items() if part in f".{p}"})
        if not counts:
            raise ValueError(f"entry={weights.entry!r} is not in {str(path)!r}: {there}")
    best = max(counts.values(), default=0)
    prefixes = sorted(prefix for prefix, count in counts.items() if count == best)
    for names, module in _FOREIGN.items() if best < len(own) / 2 else ():
        if key := next((key for key in plain if re.search(names, key)), None):
            raise ValueError(
                f"weights={str(path)!r} has names of another library, such as {key}; load it there "
                f"and give the module to wrap_model: {module.format(str(path.parent))}"
            )
    if len(prefixes) > 1 and best >= len(own) / 2:
        shown = ", ".join(repr(prefix.rstrip(".")) for prefix in prefixes)
        raise ValueError(f"weights={str(path)!r} holds several networks; entry=… is one of {shown}")
    prefix = prefixes[0] if len(prefixes) == 1 else ""
    if prefix:
        notes.append(f"prefix {prefix!r} stripped")
    found = {k.removeprefix(prefix): v for k, v in plain.items() if k.startswith(prefix)}
    left_out = [key for key in plain if not key.startswith(prefix)]
    left_out += [key for key in _OF_TRAINING if found.pop(key, None) is not None]
    if left_out:
        notes.append(f"left out: {listed(left_out)}")
    return Weights(found, weights.settings, tuple(notes))
