"""Take layers from any module by the names of its submodules, through forward hooks.

One pass of the module gives the representations of all wanted layers and stops after the deepest.

Where a single tensor crosses from each layer to the next, the module also has true stages, so that
rows can leave the batch at their own depth. The module's own code runs a stage: a pass with one
blank image, in which earlier layers return zeros without computing anything, the layer before the
stage returns what the stage is given, and which stops at the stage's own layer. Only what lies
before the first layer is computed for nothing, for one image.

Whether a single tensor crosses is tested when the module is cut. The blank image and the zeros need
a gradient and the given tensor does not: a result that needs one depends on more than it was given.
"""

from __future__ import annotations

import copy
import dataclasses
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from fnmatch import fnmatchcase
from functools import partial
from itertools import chain
from math import isfinite

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from invlib.models.base import (
    Family,
    check_size,
    evaluating,
    frozen,
    normalise,
    remember_normalisation,
)
from invlib.models.convnets import Chains
from invlib.models.staged import FAMILIES, StagedModel
from invlib.names import nearest

__all__ = ["Passes", "build", "wrap_model"]

_INPUT = ":input"
_ROWS = 3  # images that a module is tried with


class _Enough(Exception):  # noqa: N818
    """Ends a pass of a module after the deepest layer that is wanted."""


class _Unfit(ValueError):
    """A submodule that cannot be a layer."""


# ── What a submodule returns ─────────────────────────────────────────────────────────────────────


def _parts(value: object) -> dict[int | str, object]:
    """Return the parts of a tuple, list, mapping or dataclass by position or name."""
    if isinstance(value, Mapping):
        return dict(value)
    if dataclasses.is_dataclass(value):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    return dict(enumerate(value)) if isinstance(value, list | tuple) else {}


def _tensors(value: object) -> Iterator[Tensor]:
    for part in _parts(value).values():
        yield from [part] if isinstance(part, Tensor) else _tensors(part)


def _key(value: object, part: int | str | None, *usual: str) -> int | str | None:
    """Return which part of `value` is the representation, None if it is a tensor itself.

    ValueError if `part`, or without it one of the `usual` names or the only tensor, is not there.
    """
    if isinstance(value, Tensor):
        return None
    tensors = {key: part for key, part in _parts(value).items() if isinstance(part, Tensor)}
    fitting = [key for key in ([*usual, *tensors] if part is None else [part]) if key in tensors]
    if fitting and (part is not None or fitting[0] in usual or len(tensors) == 1):
        return fitting[0]
    shapes = ", ".join(f"{key!r} {tuple(tensor.shape)}" for key, tensor in tensors.items())
    asked = "" if part is None else f" without the tensor part={part!r}"
    raise ValueError(
        f"is a {type(value).__name__}{asked} "
        + (f"with the tensors {shapes}; `part` says which" if tensors else "that has no tensor")
    )


def _with(value: object, key: int | str | None, tensor: Tensor) -> object:
    """Return `value` with another tensor as its part `key`."""
    if key is None:
        return tensor
    if isinstance(value, Mapping):
        value = copy.copy(value)
        value[key] = tensor
        return value
    if dataclasses.is_dataclass(value):
        return dataclasses.replace(value, **{key: tensor})
    values = [tensor if i == key else one for i, one in enumerate(value)]
    return type(value)(*values) if hasattr(value, "_fields") else type(value)(values)


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"


# ── Passes of a module ───────────────────────────────────────────────────────────────────────────


@dataclasses.dataclass(frozen=True)
class Tap:
    """Where a layer is: the output of a submodule, or as ``name:input`` its first input.

    A layer that the module overwrites later, in place, is `spoilt`: it is copied.
    """

    spec: str
    part: int | str | None = None
    shape: tuple[int, ...] = ()  # of one image
    around: object = None  # what the submodule returns, if that is no tensor
    others: bool = False  # whether that has further tensors
    spoilt: bool = False

    @property
    def name(self) -> str:
        return self.spec.removesuffix(_INPUT)

    @property
    def at_input(self) -> bool:
        return self.spec.endswith(_INPUT)

    def kept(self, h: Tensor) -> Tensor:
        return h.clone() if self.spoilt else h

    def blank(self, like: Tensor, rows: int) -> Tensor:
        """Return zeros of `rows` images, which need a gradient where one is computed."""
        zeros = like.new_zeros(rows, *self.shape).requires_grad_(torch.is_grad_enabled())
        return zeros.clone()  # may be written into


@contextmanager
def _listening(net: nn.Module, taps: Iterable[Tap], heard: Callable) -> Iterator[None]:
    """Call ``heard(tap, value)`` wherever a pass of `net` comes by one of the `taps`."""
    handles = []
    for tap in taps:
        module = net.get_submodule(tap.name)
        if tap.at_input:
            hook = lambda _, args, kwargs, tap=tap: heard(tap, (*args, *kwargs.values())[0])  # noqa: E731
            handles.append(module.register_forward_pre_hook(hook, with_kwargs=True))
        else:
            hook = lambda _, args, out, tap=tap: heard(tap, out)  # noqa: E731
            handles.append(module.register_forward_hook(hook))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _replaced(net: nn.Module, tap: Tap, make: Callable[[], Tensor]) -> Iterator[None]:
    """Let `tap` have the tensor that `make` returns; a submodule then computes nothing."""
    module = net.get_submodule(tap.name)
    if tap.at_input:

        def swap(_, args, kwargs):
            value = _with(tap.around, tap.part, make())
            if args:
                return (value, *args[1:]), kwargs
            return args, {**kwargs, next(iter(kwargs)): value}

        handle = module.register_forward_pre_hook(swap, with_kwargs=True)
        undo = handle.remove
    else:
        own = module.__dict__.get("forward")  # somebody may have replaced it as well
        module.forward = lambda *_, **__: _with(tap.around, tap.part, make())
        undo = partial(delattr, module, "forward")
        if own is not None:
            undo = partial(setattr, module, "forward", own)
    try:
        yield
    finally:
        undo()


class Passes:
    """Passes of a module through hooks at its `taps`, whole or one stage at a time.

    `reason` says why the module has no stages; it is empty if it has. A stage makes a pass with
    `rows` blank images (None: as many as it is given). `scale` has the buffers ``input_mean`` and
    ``input_std``.
    """

    def __init__(self, net: nn.Module, scale: nn.Module, img_size: int, specs: list[str], part=None):
        self.net, self.scale, self.img_size, self.part = net, scale, img_size, part
        with frozen(net), torch.inference_mode(False), torch.enable_grad():
            x = self.blank(_ROWS)
            if not x.is_meta:
                x = torch.rand(x.shape, generator=torch.Generator().manual_seed(0)).to(x)
            self.taps, features = self._record(x, specs)
            for self.rows in (1, None):  # noqa: B020  (some count the rows of their images later)
                if not (reason := self._crossing(features)):
                    break
            self.reason = reason

    def again(self, img_size: int) -> Passes:
        """Return passes with images of another size."""
        return Passes(self.net, self.scale, img_size, [tap.spec for tap in self.taps], self.part)

    def blank(self, rows: int) -> Tensor:
        weights = chain(self.net.parameters(), self.net.buffers(), self.scale.buffers())
        like = next(t for t in weights if t.is_floating_point())
        return like.new_zeros(rows, 3, self.img_size, self.img_size)

    def _record(self, x: Tensor, specs: list[str]) -> tuple[list[Tap], list[Tensor]]:
        """Return the taps in the order of a pass, and what `x` is there."""
        seen: dict[str, list] = {spec: [] for spec in specs}

        def heard(tap, value):
            try:
                key = _key(value, self.part, "last_hidden_state")
            except ValueError as error:
                raise _Unfit(f"layers={tap.spec!r} {error}") from None
            h = value if key is None else _parts(value)[key]
            if h.ndim < 2 or len(h) != len(x) or not h.is_floating_point():
                raise _Unfit(
                    f"layers={tap.spec!r} has {h.dtype} of shape {tuple(h.shape)} for {len(x)} "
                    "images; a layer has floats (N, …), a row for each image"
                )
            if not seen[tap.spec]:
                seen[tap.spec] = seen.pop(tap.spec)  # to the end: the order of the pass
            seen[tap.spec].append((value, key, h, h.detach().clone(), h._version))

        try:
            with _listening(self.net, map(Tap, specs), heard):
                self.net(x)
        except _Unfit:
            raise
        except Exception as error:  # whatever a module raises that takes something else
            raise ValueError(
                f"{type(self.net).__name__} does not take images {tuple(x.shape)}: "
                f"{_one_line(error)}"
            ) from error
        odd = {spec: len(calls) for spec, calls in seen.items() if len(calls) != 1}
        for spec, count in odd.items():
            how = f"{count} times; a layer is called once" if count else "never"
            raise ValueError(f"layers={spec!r}: a pass of {type(self.net).__name__} calls it {how}")
        taps = []
        for spec, [(value, key, h, before, version)] in seen.items():
            others = sum(1 for _ in _tensors(value)) > 1
            around = None if others or key is None else _with(value, key, h.new_zeros(0))
            shape, spoilt = tuple(before.shape[1:]), h._version != version
            taps.append(Tap(spec, key, shape, around, others, spoilt))
        return taps, [before for [(_, _, _, before, _)] in seen.values()]

    def _crossing(self, features: list[Tensor]) -> str:
        """Return where more than a tensor crosses, "" if one does from each layer to the next."""
        for k in range(1, len(self.taps)):
            before, tap = self.taps[k - 1 : k + 1]
            where = f"from {before.spec} to {tap.spec}"
            if before.others:
                return f"{where} more than one tensor crosses"
            try:
                h = self.resume(k, features[k - 1])
            except Exception as error:  # whatever a module raises that is run in an unusual way
                return f"{where} it does not run by itself ({_one_line(error)})"
            alike = h.shape == features[k].shape and (h.is_meta or torch.allclose(
                h, features[k], rtol=1e-3, atol=1e-5, equal_nan=True))  # fmt: skip
            if h.requires_grad or not alike:
                return f"{where} more than one tensor crosses"
        return ""

    def enter(self, x: Tensor) -> Tensor:
        """Return images (N, 3, H, W) in [0, 1] as the module takes them."""
        if x.shape[-2:] != (size := (self.img_size, self.img_size)):
            raise ValueError(f"images are {tuple(x.shape[-2:])}, the model was built for {size}")
        return normalise(self.scale, x).to(self.blank(0).dtype)

    def whole(self, x: Tensor) -> Tensor:
        """Return what the module returns for images `x`: its logits, if it has any."""
        out = self.net(self.enter(x))
        key = _key(out, None, "logits", "last_hidden_state")
        return out if key is None else _parts(out)[key]

    def features(self, x: Tensor, layers: Sequence[int]) -> list[Tensor]:
        """Return the representations of images `x` at `layers`, in evaluation mode."""
        found = {}

        def heard(tap, value):
            found[tap.spec] = tap.kept(value if tap.part is None else _parts(value)[tap.part])
            if len(found) == len(layers):
                raise _Enough

        taps = [self.taps[k] for k in layers]
        with _listening(self.net, taps, heard), evaluating(self.net), suppress(_Enough):
            self.net(self.enter(x))
        return [found[tap.spec] for tap in taps]

    def first(self, x: Tensor) -> Tensor:
        """Stage 0: return layer 0 of images `x`."""
        return self.features(x, [0])[0]

    def resume(self, k: int, h: Tensor) -> Tensor:
        """Stage `k`: return layer k from layer k − 1; after the last layer, the module's output."""
        result = []

        def heard(tap, value):
            result.append(value if tap.part is None else _parts(value)[tap.part])
            raise _Enough

        *earlier, before = self.taps[:k]
        rows = self.rows or len(h)
        grad = torch.is_grad_enabled()
        with ExitStack() as stack:
            stack.enter_context(evaluating(self.net))
            for tap in earlier:
                if not tap.at_input:
                    stack.enter_context(_replaced(self.net, tap, partial(tap.blank, h, rows)))
            stack.enter_context(_replaced(self.net, before, partial(before.kept, h)))
            stack.enter_context(_listening(self.net, self.taps[k : k + 1], heard))
            stack.enter_context(suppress(_Enough))
            out = self.net(self.blank(rows).requires_grad_(grad).clone())
            result.append(out if (key := _key(out, None, "logits")) is None else _parts(out)[key])
        return result[0]

    def alone(self, k: int, h: Tensor) -> Tensor:
        raise RuntimeError(
            f"layer {k} ({self.taps[k].spec}) cannot be computed from layer {k - 1}: {self.reason}"
        )


# ── Layers by name ───────────────────────────────────────────────────────────────────────────────


def _named(net: nn.Module, layers: str | Iterable[str]) -> list[str]:
    """Return the specs that names and patterns in `layers` stand for; ValueError if for none."""
    known = [name for name, _ in net.named_modules() if name]
    specs: dict[str, None] = {}
    for asked in [layers] if isinstance(layers, str) else layers:
        if not isinstance(asked, str):
            raise TypeError(f"layers={layers!r} must be names of submodules or patterns of them")
        name, at_input, _ = asked.partition(_INPUT)
        wanted = name.split(".")  # a star stands for what is between two points
        fits = [n for n in known if len(have := n.split(".")) == len(wanted)
                and all(map(fnmatchcase, have, wanted))]  # fmt: skip
        if not fits:
            raise ValueError(
                f"layers={asked!r} is no submodule of {type(net).__name__}{nearest(name, known)}; "
                f"its parts are {', '.join(n for n in known if '.' not in n)}"
            )
        specs |= dict.fromkeys(n + at_input for n in fits)
    if not specs:
        raise ValueError("layers is empty; at least one name is needed")
    return list(specs)


def _repeated(net: nn.Module) -> Iterator[list[str]]:
    """Yield the submodules of one name but for numbers, such as all blocks: what is best first.

    That are groups with most of the weights; of these the finest, then the outermost.
    """
    groups: dict[str, list[str]] = {}
    weights: dict[str, int] = {}
    for name, module in net.named_modules():
        pattern = re.sub(r"\d+[a-z]?(?=[._]|$)|\d+", "#", name)
        runs = not isinstance(module, nn.ModuleList) and any(True for _ in module.children())
        if "#" in pattern and runs and not name.startswith("head"):
            groups.setdefault(pattern, []).append(name)
            size = sum(p.numel() for p in module.parameters())
            weights[pattern] = weights.get(pattern, 0) + size
    groups = {pattern: names for pattern, names in groups.items() if len(names) > 1}
    most = max((weights[pattern] for pattern in groups), default=0)
    heavy = [pattern for pattern in groups if weights[pattern] >= 0.7 * most]
    for pattern in sorted(heavy, key=lambda p: (-len(groups[p]), p.count("."))):
        yield groups[pattern]


def _best(make: Callable[[list[str]], Passes], net: nn.Module) -> tuple[Passes | None, str]:
    """Return passes over the repeated blocks of `net`, with stages if any has; and why not."""
    whole, reasons = None, {}  # reasons by how deep the blocks lie
    for names in _repeated(net):
        reason = ""
        try:
            passes = make([names[0] + _INPUT, *names])
            if not passes.taps[0].at_input:  # another block is called before it
                passes = make([passes.taps[0].spec + _INPUT, *names])
            if not passes.reason:
                return passes, ""
            whole, reason = whole or passes, passes.reason
        except ValueError as error:
            reason = str(error)
        reasons.setdefault(names[0].count("."), reason)
    return whole, reasons[min(reasons)] if reasons else "it has no repeated blocks"


def _children(make: Callable[[list[str]], Passes], net: nn.Module) -> list[str]:
    """Return the direct submodules of `net` that can be layers."""
    names = []
    for name, _ in net.named_children():
        with suppress(ValueError):
            names += [tap.spec for tap in make([name]).taps]
    return names


# ── Models ───────────────────────────────────────────────────────────────────────────────────────


class TimmNetworks(Chains):
    """Any timm network whose repeated blocks can be cut apart."""

    def head_names(self, net: nn.Module) -> tuple[str, ...]:
        """Return the names of the modules that a new head replaces."""
        last = net.get_classifier()
        last = [last] if isinstance(last, nn.Module) else list(last)
        return tuple(name for name, module in net.named_modules() if module in last)

    def input_size(self, net: nn.Module) -> int:
        """Return the side of the input in pixels: as set, or that of timm's pretrained weights."""
        if size := getattr(net, "invlib_img_size", None):
            return size
        channels, height, width = net.pretrained_cfg["input_size"]
        if channels != 3 or height != width:
            raise ValueError(f"it takes images of {channels}×{height}×{width}, not 3×n×n")
        return height

    def resize(self, net: nn.Module, img_size: int) -> None:
        """Set the side of the input in pixels; timm resamples what depends on it."""
        check_size(img_size)
        x = torch.zeros(1, 3, img_size, img_size).to(next(net.parameters()))
        with frozen(net), torch.no_grad():
            try:
                if hasattr(net, "set_input_size"):
                    net.set_input_size(img_size=(img_size, img_size))
                net(x)
            except Exception as error:  # each network has its own
                raise ValueError(
                    f"img_size={img_size!r} does not fit {type(net).__name__}: {_one_line(error)}"
                ) from error
        net.invlib_img_size = img_size  # some have an `img_size` of their own


def _keeps(net: nn.Module, num_classes: int | None) -> Callable[[Tensor], Tensor]:
    raise ValueError(f"num_classes={num_classes!r}: a wrapped module keeps its own head")


class Wrapped(Family):
    """Modules of somebody's own: nothing in them is replaced."""

    heads = {"classification": _keeps}
    named = False

    def head_names(self, net: nn.Module) -> tuple[str, ...]:
        """Return nothing: any of its weights may belong to a layer."""
        return ()

    def resize(self, net: nn.Module, img_size: int) -> None:
        """Raise ValueError."""
        raise ValueError(f"img_size={img_size!r}: wrap the module again for images of another size")


TIMM, WRAPPED = TimmNetworks(), Wrapped()


class HookedModel(StagedModel):
    """A model whose layers are heard by hooks. Its `stages` run only where it can be cut."""

    def __init__(self, passes: Passes, *, name: str, family: Family, names: Sequence[str] = ()):
        nn.Module.__init__(self)
        self.net, self.name, self.task = passes.net, name, "classification"
        if passes.scale is not passes.net:
            self.scale = passes.scale  # to be moved with the model
        self._family = family
        self._use(passes)
        self.layer_names = tuple(names or (tap.spec for tap in passes.taps))

    def _use(self, passes: Passes) -> None:
        self.passes, self.img_size = passes, passes.img_size
        later = passes.alone if passes.reason else passes.resume
        count = len(passes.taps)
        self.stages = (passes.first, *(partial(later, k) for k in range(1, count)))
        self.head = partial(later, count)

    @property
    def family(self) -> Family:
        return self._family

    def with_head(self, task: str, num_classes: int | None = None, *, seed: int = 0) -> StagedModel:
        """Give the model a new head, drawn from `seed`, and return the model."""
        head = self.head
        super().with_head(task, num_classes, seed=seed)
        self.head = head
        return self

    def resize(self, img_size: int) -> None:
        """Set the side of the input in pixels; ValueError if it is impossible."""
        super().resize(img_size)
        self._use(self.passes.again(img_size))

    def walk(self, x: Tensor, layers: Sequence[int], *, rows=None, batch=None) -> Iterator[Tensor]:
        """Yield the representations of images `x` at increasing `layers`, as `StagedModel.walk`.

        A model that cannot be cut computes all layers of all rows in a pass.
        """
        if (rows or batch) and not self.passes.reason:
            yield from super().walk(x, layers, rows=rows, batch=batch)
            return
        parts = [self.passes.features(part, layers) for part in x.split(batch or len(x))]
        begin = 0
        for i in range(len(layers)):
            h = torch.cat([part[i] for part in parts]) if batch else parts[0][i]
            yield h[begin : begin + rows[i]] if rows else h
            begin += rows[i] if rows else 0

    def forward(self, x: Tensor) -> Tensor:
        """Return what the module returns for images (N, 3, H, W) in [0, 1]: logits, if any."""
        return self.passes.whole(x)


def family_of(net: nn.Module) -> Family:
    """Return the family of a network that `create` made."""
    family = FAMILIES.get(type(net), TIMM)
    return family if family.fits(net) else TIMM


def build(net: nn.Module, *, name: str) -> StagedModel:
    """Return `net`, a network that `create` made, as a model with layers.

    Raises
    ------
    ValueError
        If no repeated blocks of it can be cut apart. The message says why.
    """
    family = family_of(net)
    if family is not TIMM:
        return StagedModel(net, name=name, img_size=family.input_size(net))
    remember_normalisation(net)
    try:
        img_size = family.input_size(net)
        passes, reason = _best(lambda specs: Passes(net, net, img_size, specs), net)
        if reason:
            raise ValueError(reason)
    except ValueError as error:
        raise ValueError(
            f"model={name!r}, a timm {type(net).__name__}, is not supported: {error}; `wrap_model` "
            "takes layers of any module by name"
        ) from error
    stem = "embedding" if len(passes.taps[0].shape) == 2 else "stem"
    names = [stem, *(f"block {k}" for k in range(1, len(passes.taps)))]
    return HookedModel(passes, name=name, family=family, names=names)


def wrap_model(
    module: nn.Module,
    layers: str | Iterable[str] | None = None,
    *,
    img_size: int,
    mean: Sequence[float],
    std: Sequence[float],
    name: str | None = None,
    part: int | str | None = None,
) -> StagedModel:
    """Take layers of any module by name, for `invert`, `compare` and all else that takes a model.

    Parameters
    ----------
    module
        Takes normalised images (N, 3, img_size, img_size). It is used as it is, not copied:
        training it goes on changes the model, too. Its mode, `requires_grad` and hooks are
        as before after every call. What DataParallel, DDP or ``torch.compile`` put around it is
        left away.
    layers
        Names of submodules, whose outputs are the layers, or patterns, in which ``*`` and ``?``
        stand for anything but a point: ``"layer1.0"``, ``"blocks.*"``, ``"layer?.*"``. With
        ``:input`` after a name, its input. Layers are numbered from 0, in the order in which a pass
        of the module reaches them. Default: the input of the first of its repeated blocks, and the
        output of each; without such blocks, the outputs of its direct parts.
    img_size
        Side of the images in pixels.
    mean, std
        Of the normalisation, for each channel: images in [0, 1] are (x − mean) / std for `module`.
    name
        Default: that of the module's class.
    part
        Where a layer returns a tuple, a list, a mapping or a dataclass: the position or name of its
        representation. Default: ``last_hidden_state``, or the only tensor.

    Raises
    ------
    TypeError
        If `module` is no module, or `layers` are no names.
    ValueError
        A name without a submodule, a layer that a pass calls never or several times or that does
        not have a row for each image, and a module that does not take such images.

    Examples
    --------
    >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 8, 3))
    >>> model = wrap_model(net, ["0", "2"], img_size=16, mean=[0.5] * 3, std=[0.5] * 3)
    >>> model.layer_names, [tuple(h.shape) for h in model.features(torch.zeros(2, 3, 16, 16))]
    (('0', '2'), [(2, 4, 14, 14), (2, 8, 12, 12)])
    """
    if not isinstance(module, nn.Module) or isinstance(module, StagedModel):
        raise TypeError(
            f"module is of type {type(module).__name__}; expected a torch.nn.Module that takes "
            "normalised images, and a name goes to load_model(...)"
        )
    check_size(img_size)
    for argument, values in dict(mean=mean, std=std).items():
        if len(values) != 3 or not all(map(isfinite, values)) or (values is std and min(std) <= 0):
            raise ValueError(f"{argument}={values!r} must be three numbers, one for each channel")
    net = module
    while inner := next((m for n, m in net.named_children() if _is_around(net, n)), None):
        net = inner
    scale = nn.Module()
    remember_normalisation(scale, mean=mean, std=std)
    scale.to(next(net.parameters(), scale.input_mean).device)
    make = partial(Passes, net, scale, img_size, part=part)
    if layers is not None:
        passes = make(_named(net, layers))
    else:
        passes = _best(make, net)[0] or make(_children(make, net))
    if not passes.taps:
        raise ValueError(f"no direct part of {type(net).__name__} can be a layer: name `layers`")
    return HookedModel(passes, name=name or type(net).__name__, family=WRAPPED)


def _is_around(module: nn.Module, name: str) -> bool:
    """Return whether `module` only adds something to how its part `name` is run."""
    if name == "_orig_mod":  # of torch.compile
        return True
    kinds = nn.DataParallel, nn.parallel.DistributedDataParallel, AveragedModel
    return name == "module" and isinstance(module, kinds)
