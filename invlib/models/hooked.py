"""Take layers from any module by the names of its submodules.

One pass of the module gives the representations of all wanted layers and stops after the deepest.
Where a single tensor crosses from each layer to the next, the module also has true stages, so that
rows can leave the batch at their own depth. The module's own code runs a stage, in a pass with one
blank image: earlier layers return zeros without computing anything, the layer before the stage
returns what the stage is given, and the pass stops at the stage's own layer.

Whether a single tensor crosses is tested when the module is cut. The blank image and the zeros need
a gradient and the given tensor does not: a result that needs one depends on more than it was given.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from fnmatch import fnmatchcase
from functools import partial
from itertools import chain

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from invlib.models.base import (
    Family,
    check_weights,
    evaluating,
    frozen,
    normalise,
    remember_normalisation,
)
from invlib.models.convnets import CHAIN
from invlib.models.staged import FAMILIES, StagedModel
from invlib.models.zoo import create
from invlib.names import each, nearest, whole_number

__all__ = ["Passes", "build", "wrap_model"]

_INPUT = ":input"
_ROWS = 3  # images that a module is tried with


class _Enough(Exception):  # noqa: N818
    """Ends a pass of a module after the deepest layer that is wanted."""


class _Unfit(ValueError):
    """A submodule that cannot be a layer."""


def _parts(value: object) -> dict[int | str, object]:
    """Return the parts of a tuple, list, mapping or dataclass by position or name."""
    if isinstance(value, Mapping):
        return dict(value)
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
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
    tensors = {key: h for key, h in _parts(value).items() if isinstance(h, Tensor)}
    only = tensors if len(tensors) == 1 else ()
    for key in [*usual, *only] if part is None else [part]:
        if key in tensors:
            return key
    shapes = ", ".join(f"{key!r} {tuple(h.shape)}" for key, h in tensors.items()) or "none"
    asked = "`part` says which" if part is None else f"none is part={part!r}"
    raise ValueError(f"is a {type(value).__name__} with the tensors {shapes}; {asked}")


def _take(value: object, key: int | str | None) -> Tensor:
    return value if key is None else _parts(value)[key]


def _with(value: object, key: int | None, tensor: Tensor) -> object:
    """Return the tuple or list `value` with another tensor at `key`; None: the tensor itself."""
    return tensor if key is None else (*value[:key], tensor, *value[key + 1 :])


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"


@dataclasses.dataclass(frozen=True)
class Tap:
    """Where a layer is: the output of a submodule, or as ``name:input`` its first input."""

    spec: str
    part: int | str | None = None
    shape: tuple[int, ...] = ()  # of one image
    around: object = None  # what the submodule returns, if that is no tensor
    alone: bool = True  # whether that can be made again from the tensor
    spoilt: bool = False  # whether the module writes into it later: then it is copied

    @property
    def at_input(self) -> bool:
        return self.spec.endswith(_INPUT)

    def forward(self, see: Callable, own: Callable, *args, **kwargs) -> object:
        """Run the submodule's `own` forward; what is here goes through ``see(tap, value)``."""
        if not self.at_input:
            return see(self, own(*args, **kwargs))
        if args:
            return own(see(self, args[0]), *args[1:], **kwargs)
        name, value = next(iter(kwargs.items()))
        return own(**kwargs | {name: see(self, value)})

    def kept(self, h: Tensor) -> Tensor:
        return h.clone() if self.spoilt else h

    def blank(self, like: Tensor, rows: int) -> Tensor:
        """Return zeros of `rows` images, which need a gradient where one is computed."""
        zeros = like.new_zeros(rows, *self.shape).requires_grad_(torch.is_grad_enabled())
        return zeros.clone()  # may be written into


@contextmanager
def _replaced(net: nn.Module, taps: Iterable[Tap], forward: Callable) -> Iterator[None]:
    """Let the submodules at `taps` run ``forward(tap, own forward, …)`` in place of their own."""
    with ExitStack() as stack:
        for module in net.modules():  # nobody can listen to what is compiled
            if compiled := vars(module).pop("_compiled_call_impl", None):
                stack.callback(setattr, module, "_compiled_call_impl", compiled)
        for tap in taps:
            module = net.get_submodule(tap.spec.removesuffix(_INPUT))
            if "forward" in vars(module):  # somebody has replaced it
                stack.callback(setattr, module, "forward", module.forward)
            else:
                stack.callback(delattr, module, "forward")
            module.forward = partial(forward, tap, module.forward)
        yield


def _listening(net: nn.Module, taps: Iterable[Tap], see: Callable) -> AbstractContextManager:
    return _replaced(net, taps, lambda tap, *args, **kwargs: tap.forward(see, *args, **kwargs))


class Passes:
    """Passes of a module that listen at its `taps`, whole or one stage at a time.

    `reason` says why the module has no stages; it is empty if it has. A stage makes a pass with
    `rows` blank images (None: as many as it is given). `scale` has the buffers ``input_mean`` and
    ``input_std``. `whole`: the output is to follow from the last layer, too.
    """

    def __init__(self, net, scale, img_size: int, specs: list[str], *, part=None, whole=False):
        self.net, self.scale, self.img_size = net, scale, img_size
        self.part, self.whole = part, whole
        with frozen(net), torch.inference_mode(False), torch.enable_grad():
            x = self.blank(_ROWS)
            if not x.is_meta:
                x = torch.rand(x.shape, generator=torch.Generator().manual_seed(0)).to(x)
            self.taps, features = self._record(x, specs)
            self.rows, self.reason = 1, ""
            if reason := self._crossing(features):
                self.rows = None  # some ask for the number of their images later
                reason = self._crossing(features)
            self.reason = reason

    def blank(self, rows: int) -> Tensor:
        weights = chain(self.net.parameters(), self.net.buffers(), self.scale.buffers())
        like = next(t for t in weights if t.is_floating_point())
        return like.new_zeros(rows, 3, self.img_size, self.img_size)

    def _record(self, x: Tensor, specs: list[str]) -> tuple[list[Tap], list[Tensor]]:
        """Return the taps in the order of a pass, and what `x` is there."""
        seen: dict[str, list] = {spec: [] for spec in specs}

        def see(tap, value):
            try:
                h = _take(value, key := _key(value, self.part, "last_hidden_state"))
            except ValueError as error:
                raise _Unfit(f"layers={tap.spec!r} {error}") from None
            if h.ndim < 2 or len(h) != len(x) or not h.is_floating_point():
                raise _Unfit(
                    f"layers={tap.spec!r} has {h.dtype} of shape {tuple(h.shape)} for {len(x)} "
                    "images; a layer has floats (N, …), a row for each image"
                )
            calls = seen.pop(tap.spec)  # to the end: the order of the pass
            seen[tap.spec] = [*calls, (value, key, h, h.detach().clone(), h._version)]
            return value

        try:
            with _listening(self.net, map(Tap, specs), see):
                out = self.output(x) if self.whole else self.net(x)
        except _Unfit:
            raise
        except Exception as error:  # whatever a module raises that takes something else
            name, shape = type(self.net).__name__, tuple(x.shape)
            kinds = " and ".join(sorted({str(p.dtype)[6:] for p in self.net.parameters()}))
            kinds = "" if kinds == str(x.dtype)[6:] else f" (its weights are {kinds})"
            line = f"{name} does not take images {shape}{kinds}: {_one_line(error)}"
            raise ValueError(line) from error
        taps, features = [], []
        for spec, calls in seen.items():
            if len(calls) != 1:
                how = f"{len(calls)} times; a layer is called once" if calls else "never"
                name = type(self.net).__name__
                raise _Unfit(f"layers={spec!r}: a pass of {name} calls it {how}")
            [(value, key, h, before, version)] = calls
            alone = isinstance(value, Tensor | tuple | list) and len([*_tensors(value)]) < 2
            around = _with(value, key, h.new_zeros(0)) if alone else None
            shape, spoilt = tuple(before.shape[1:]), h._version != version
            taps.append(Tap(spec, key, shape, around, alone, spoilt))
            features.append(before)
        return taps, [*features, out] if self.whole else features

    def _crossing(self, features: list[Tensor]) -> str:
        """Return where more than a tensor crosses, "" if one does from each layer to the next."""
        names = [*(tap.spec for tap in self.taps), "the output"]
        for k in range(1, len(features)):
            where = f"from {names[k - 1]} to {names[k]}"
            if not self.taps[k - 1].alone:
                return f"{where} more than one tensor crosses"
            try:
                h = self.resume(k, features[k - 1])
            except Exception as error:  # whatever a module raises that is run in an unusual way
                return f"{where} it does not run by itself ({_one_line(error)})"
            alike = partial(torch.allclose, h, rtol=1e-3, atol=1e-5, equal_nan=True)
            same = h.shape == features[k].shape and (h.is_meta or alike(features[k]))
            if h.requires_grad or not same:
                return f"{where} more than one tensor crosses"
        return ""

    def enter(self, x: Tensor) -> Tensor:
        """Return images (N, 3, H, W) in [0, 1] as the module takes them."""
        if x.shape[-2:] != (size := (self.img_size, self.img_size)):
            raise ValueError(f"images are {tuple(x.shape[-2:])}, the model was built for {size}")
        return normalise(self.scale, x).to(self.blank(0).dtype)

    def output(self, x: Tensor) -> Tensor:
        """Return what the module makes of `x`: its logits, if it has any."""
        out = self.net(x)
        return _take(out, _key(out, None, "logits", "last_hidden_state"))

    def features(self, x: Tensor, layers: Sequence[int]) -> list[Tensor]:
        """Return the representations of images `x` at `layers`, in evaluation mode."""
        found = {}

        def see(tap, value):
            found[tap.spec] = tap.kept(_take(value, tap.part))
            if len(found) == len(layers):
                raise _Enough
            return value

        taps = [self.taps[k] for k in layers]
        with _listening(self.net, taps, see), evaluating(self.net), suppress(_Enough):
            self.net(self.enter(x))
        return [found[tap.spec] for tap in taps]

    def resume(self, k: int, h: Tensor) -> Tensor:
        """Stage `k`: return layer k from layer k − 1; after the last layer, the module's output.

        Stage 0 takes images. RuntimeError if there are no stages.
        """
        if k == 0:
            return self.features(h, [0])[0]
        if self.reason:
            raise RuntimeError(f"layer {k} does not follow from layer {k - 1}: {self.reason}")
        before, rows, result = self.taps[k - 1], self.rows or len(h), []

        def skip(tap, own, *args, **kwargs):
            given = before.kept(h) if tap is before else tap.blank(h, rows)
            out = _with(tap.around, tap.part, given)
            return tap.forward(lambda *_: out, own, *args, **kwargs) if tap.at_input else out

        def see(tap, value):
            result.append(_take(value, tap.part))
            raise _Enough

        skipped = [tap for tap in self.taps[:k] if tap is before or not tap.at_input]
        with (
            _replaced(self.net, skipped, skip),
            _listening(self.net, self.taps[k : k + 1], see),
            evaluating(self.net),
            suppress(_Enough),
        ):
            images = self.blank(rows).requires_grad_(torch.is_grad_enabled()).clone()
            result.append(self.output(images))
        return result[0]


def _named(net: nn.Module, layers: str | Iterable[str]) -> list[str]:
    """Return the specs that names and patterns in `layers` stand for; ValueError if for none."""
    known = [name for name, _ in net.named_modules() if name]
    specs: dict[str, None] = {}
    for asked in each(layers):
        if not isinstance(asked, str):
            kind = type(asked).__name__
            raise TypeError(f"layers are names of submodules, or patterns of them, not {kind}")
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
        with suppress(_Unfit):
            names += [tap.spec for tap in make([name]).taps]
    return names


def _keeps(net: nn.Module, num_classes: int | None) -> Callable[[Tensor], Tensor]:
    raise ValueError(f"num_classes={num_classes!r}: a wrapped module keeps its own head")


class Wrapped(Family):
    """Modules of somebody's own: nothing in them is replaced, and any weight may be a layer's."""

    heads = {"classification": _keeps}

    def head_names(self, net: nn.Module) -> tuple[str, ...]:
        return ()


class HookedModel(StagedModel):
    """A model whose layers are named submodules. Its `stages` run only where it can be cut."""

    def __init__(self, passes: Passes, *, name: str, family: Family, names: Sequence[str] = ()):
        nn.Module.__init__(self)
        self.net, self.name, self.task = passes.net, name, "classification"
        if passes.scale is not passes.net:
            self.scale = passes.scale  # to be moved with the model
        self.family = family
        self._use(passes)
        self.layer_names = tuple(names or (tap.spec for tap in passes.taps))

    def _use(self, passes: Passes) -> None:
        self.passes, self.img_size = passes, passes.img_size
        *stages, self.head = (partial(passes.resume, k) for k in range(len(passes.taps) + 1))
        self.stages = tuple(stages)

    def with_head(self, task: str, num_classes: int | None = None, *, seed: int = 0) -> StagedModel:
        super().with_head(task, num_classes, seed=seed)
        self._use(self.passes)
        return self

    def resize(self, img_size: int) -> None:
        super().resize(img_size)
        specs = [tap.spec for tap in self.passes.taps]
        self._use(Passes(self.net, self.passes.scale, img_size, specs, whole=True))

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
        """Return what the module makes of images (N, 3, H, W) in [0, 1]: its logits, if any."""
        return self.passes.output(self.passes.enter(x))


def family_of(net: nn.Module) -> Family:
    """Return the family of a network that `create` made."""
    family = FAMILIES.get(type(net), CHAIN)
    return family if family.fits(net) else CHAIN


def build(net: nn.Module, *, name: str) -> StagedModel:
    """Return `net`, a network that `create` made, as a model with layers.

    The blocks are found on the meta device, where a pass takes no time. ValueError if no repeated
    blocks of it can be cut apart. The message says why.
    """
    family = family_of(net)
    if family is FAMILIES.get(type(net)):
        return StagedModel(net, name=name, img_size=family.input_size(net))
    remember_normalisation(net)
    try:
        twin, img_size = net, family.input_size(net)
        if not next(net.parameters()).is_meta:
            with torch.random.fork_rng(devices=[]), torch.device("meta"):
                twin = create(name)
            remember_normalisation(twin)
        make = partial(Passes, whole=True)
        passes, reason = _best(partial(make, twin, twin, family.input_size(twin)), twin)
        if twin is not net and not reason:
            passes = make(net, net, img_size, [tap.spec for tap in passes.taps])
        if reason := reason or passes.reason:
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
        Takes normalised images (N, 3, img_size, img_size). It is used as it is, not copied, and
        its mode, `requires_grad` and hooks are as before after every call. What DataParallel, DDP
        or ``torch.compile`` put around it is left away.
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
    TypeError, ValueError
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
    whole_number("img_size", img_size, 1)
    for what, values, above in (("mean", mean, -1), ("std", std, 0)):
        numbers = np.shape(values) == (3,) and np.asarray(values).dtype.kind in "fiu"
        if not (numbers and all(above < value <= 1 for value in values)):
            raise ValueError(
                f"{what}={values!r} must be three numbers above {above} and at most 1, one "
                "for each channel of images in [0, 1]"
            )
    net = module
    while inner := next((m for n, m in net.named_children() if _is_around(net, n)), None):
        net = inner
    if isinstance(net, torch.jit.ScriptModule):
        raise TypeError("module is in TorchScript, without layers; wrap what it was made from")
    check_weights(net, "module")
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
    return HookedModel(passes, name=name or type(net).__name__, family=Wrapped())


def _is_around(module: nn.Module, name: str) -> bool:
    """Return whether `module` only adds something to how its part `name` is run."""
    if name == "_orig_mod":  # of torch.compile
        return True
    kinds = nn.DataParallel, nn.parallel.DistributedDataParallel, AveragedModel
    return name == "module" and isinstance(module, kinds)
