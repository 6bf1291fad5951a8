"""Layers of any module by name: what is heard, what is cut, and what stays as it was."""

import copy
from collections import namedtuple
from dataclasses import dataclass

import pytest
import torch
import transformers
from torch import nn
from torchvision.models import resnet18

from invlib.comparison.compare import compare
from invlib.inversion.cache import inversion_key
from invlib.inversion.chunks import activation_bytes
from invlib.inversion.invert import invert
from invlib.models.hooked import wrap_model
from invlib.models.loading import load_model
from invlib.results.validation import conform, validate
from invlib.training.run import TrainingRun
from invlib.training.train import train
from tests.timm_models import check

HOW = dict(img_size=16, mean=[0.5, 0.4, 0.3], std=[0.2, 0.3, 0.4])
TINY = dict(hidden_size=32, num_hidden_layers=3, num_attention_heads=2, intermediate_size=64)
TINY |= dict(image_size=16, patch_size=4)


def images(n, size=16):
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(0))


def normalised(x):
    mean, std = (torch.tensor(HOW[key]).view(3, 1, 1) for key in ("mean", "std"))
    return (x - mean) / std


class Residual(nn.Module):
    """Two convolutions and a skip; `skip` scales what crosses beside the first one."""

    def __init__(self, skip=1.0):
        super().__init__()
        self.conv1, self.conv2 = (nn.Conv2d(4, 4, 3, padding=1) for _ in range(2))
        self.skip = skip

    def forward(self, x):
        return self.skip * x + self.conv2(self.conv1(x).relu_())


class Net(nn.Module):
    """A stem, three residual blocks, and a classifier behind dropout."""

    def __init__(self, skip=1.0):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.blocks = nn.Sequential(*(Residual(skip) for _ in range(3)))
        self.drop = nn.Dropout(0.5)
        self.fc = nn.Linear(4, 5)
        self.unused = nn.Linear(4, 5)

    def forward(self, x):
        return self.fc(self.drop(self.blocks(self.stem(x)).mean((2, 3))))


@pytest.fixture
def net():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Net()


# ── Layers ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("layers", "names"),
    [
        (None, ["blocks.0:input", "blocks.0", "blocks.1", "blocks.2"]),
        ("blocks.*", ["blocks.0", "blocks.1", "blocks.2"]),
        ("blocks.?:input", ["blocks.0:input", "blocks.1:input", "blocks.2:input"]),
        (["fc", "blocks.[12]", "stem.0"], ["stem.0", "blocks.1", "blocks.2", "fc"]),
        (["stem", "blocks.1.conv?"], ["stem", "blocks.1.conv1", "blocks.1.conv2"]),
    ],
)
def test_layers_are_what_the_module_puts_out(net, layers, names):
    model, x = wrap_model(net, layers, **HOW), images(4)
    assert model.layer_names == tuple(names) and len(model.depth) == len(names)
    net.eval()
    seen = {}
    for name in names:
        part, at_input, _ = name.partition(":input")
        keep = lambda _, args, out, name=name, first=at_input: seen.__setitem__(  # noqa: E731
            name, (args[0] if first else out).clone()
        )
        net.get_submodule(part).register_forward_hook(keep)
    with torch.no_grad():
        assert torch.equal(net(normalised(x)), model(x))
        expected = [seen[name] for name in names]
        apart = model.walk(x, model.layers, batch=3)
        for k, (h, truth) in enumerate(zip(apart, expected, strict=True)):
            torch.testing.assert_close(h, truth)
            assert torch.equal(model.prefix(x, k), truth)
        assert all(map(torch.equal, model.features(x), expected))


def test_rows_leave_at_their_own_depth(net):
    x, counts = images(10), [1, 2, 3, 4]
    cut, whole = wrap_model(net, **HOW), wrap_model(net, ["stem", "blocks.1.conv*", "fc"], **HOW)
    assert not cut.passes.reason and "more than one tensor" in whole.passes.reason
    for model in (cut, whole):
        with torch.no_grad():
            parts = list(model.walk(x, model.layers, rows=counts))
            for k, (part, rows) in enumerate(zip(parts, x.split(counts), strict=True)):
                torch.testing.assert_close(part, model.prefix(rows, k))
    with pytest.raises(RuntimeError, match="layer 2 does not follow from layer 1: from blo"):
        whole.stages[2](x)


def test_a_stage_computes_only_what_is_between_its_layers(net):
    model, calls = wrap_model(net, **HOW), []
    for name, module in net.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(
                lambda module, args, out, name=name: calls.append((name, len(args[0])))
            )
    model.stages[2](torch.rand(7, 4, 16, 16))
    assert calls == [("stem.0", 1), ("blocks.1.conv1", 7), ("blocks.1.conv2", 7)]
    calls.clear()
    model.features(images(7), [1])
    assert [name for name, _ in calls] == ["stem.0", "blocks.0.conv1", "blocks.0.conv2"]


@pytest.mark.parametrize("skip", [1.0, 1e-9, 0.0])
def test_a_second_tensor_that_crosses_is_found_however_little_it_weighs(skip):
    assert wrap_model(Net(skip), ["stem", "blocks.1.conv1", "blocks.1"], **HOW).passes.reason
    assert not wrap_model(Net(skip), ["stem", "blocks.1"], **HOW).passes.reason


def test_what_crosses_without_a_gradient_is_found():
    class Counts(Net):
        def forward(self, x):
            brightness = x.detach().mean((1, 2, 3), keepdim=True)
            return self.blocks[1](self.blocks[0](self.stem(x)) * brightness)

    model = wrap_model(Counts(), ["blocks.0", "blocks.1"], **HOW)
    assert "from blocks.0 to blocks.1 more than one tensor" in model.passes.reason


def test_a_module_that_counts_its_images_is_cut():
    class Shapes(Net):
        def forward(self, x):
            h = self.blocks[0](self.stem(x)).flatten(1)
            return self.blocks[1](h.view(len(x), 4, 16, 16))

    model = wrap_model(Shapes(), ["blocks.0", "blocks.1"], **HOW)
    assert not model.passes.reason and model.passes.rows is None


def test_direct_parts_are_layers_where_nothing_repeats():
    chain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.LazyLinear(5))
    chain(images(1))
    model = wrap_model(chain, **HOW)
    assert model.layer_names == ("0", "1", "2", "3") and not model.passes.reason
    first, second, *_ = model.features(images(2))
    assert (first < 0).any() and torch.equal(first.relu(), second)  # before it was overwritten
    staged = model.walk(images(2), range(4), batch=2)
    assert all(map(torch.equal, staged, model.features(images(2))))


@dataclass
class Answer:
    tokens: torch.Tensor
    size: int = 16


Pair = namedtuple("Pair", "h extra")
OUTPUTS = {
    "tuple": (lambda h: (h, None), None),
    "list": (lambda h: [h.mean(), h], 1),
    "named": (lambda h: Pair(2 * h, h), "no"),
    "dict": (lambda h: {"a": h.mean(), "last_hidden_state": h}, None),
    "dataclass": (Answer, None),
    "two": (lambda h: (h.mean(), h), None),
}


@pytest.mark.parametrize("kind", OUTPUTS)
def test_a_part_of_what_a_layer_returns(kind):
    make, part = OUTPUTS[kind]

    class Returns(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x):
            return make(self.conv(x))

    class Whole(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = Returns(), nn.Conv2d(4, 2, 3)

        def forward(self, x):
            out = self.first(x)
            parts = out if isinstance(out, tuple | list) else list(getattr(out, "values", dict)())
            parts = [out.tokens] if isinstance(out, Answer) else parts
            return self.last(next(p for p in parts if p is not None and p.ndim == 4))

    net = Whole()
    if kind in ("named", "two"):
        said = "1 .*; none is part='no'" if kind == "named" else r"tensors 0 \(\), 1 \(3, 4, 14"
        with pytest.raises(ValueError, match=f"layers='first' is a .*{said}"):
            wrap_model(net, ["first", "last"], part=part, **HOW)
        return
    model = wrap_model(net, ["first", "last"], part=part, **HOW)
    h, last = model.features(images(2))
    assert torch.equal(h, net.first.conv(normalised(images(2))))
    assert bool(model.passes.reason) == (
        kind not in ("tuple",)
    )  # others are no tuple, or two tensors
    assert torch.equal([*model.walk(images(2), [0, 1], rows=[0, 2])][1], last)


# ── Kinds of modules ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "kind", ["ViTModel", "ViTForImageClassification", "DeiTModel", "Dinov2Model", "CLIPVisionModel"]
)
def test_transformers(kind):
    config = kind.removesuffix("Model").removesuffix("ForImageClassification") + "Config"
    torch.manual_seed(0)
    net = getattr(transformers, kind)(getattr(transformers, config)(**TINY)).eval()
    model, x = wrap_model(net, **HOW), images(3)
    assert not model.passes.reason and model.layer_names[0].endswith(".0:input")
    with torch.no_grad():
        out = net(normalised(x), output_hidden_states=True)
        assert len(out.hidden_states) == len(model.layers) == 4
        for h, truth in zip(model.features(x), out.hidden_states, strict=True):
            assert torch.equal(h, truth)
        assert torch.equal(model(x), getattr(out, "logits", out[0]))
    found = invert(model, x, iterations=5, optimizer="adam")
    assert (found.loss[:, -1] < found.loss[:, 0]).all()


def test_what_is_around_a_module_is_left_away(net):
    for module in (torch.optim.swa_utils.AveragedModel(net), torch.compile(nn.DataParallel(net))):
        model = wrap_model(module, **HOW)
        assert model.name == "Net" and "blocks.2" in model.layer_names
    assert model.net is net


def test_a_wrapped_network_is_inverted_as_the_staged_one():
    staged, x = load_model("vit_pico_patch8_32"), images(3, 32)
    wrapped = wrap_model(staged.net, img_size=32, mean=[0.5] * 3, std=[0.5] * 3)
    whole = wrap_model(
        staged.net, ["blocks.0:input", "blocks.0.attn", "blocks.?"], img_size=32, mean=[0.5] * 3,
        std=[0.5] * 3,
    )  # fmt: skip
    assert not wrapped.passes.reason and whole.passes.reason
    a, b = (invert(model, x, iterations=4, chunk=3) for model in (staged, wrapped))
    c = invert(whole, x, iterations=4, layers=[0, 2, 3, 4], chunk=3)
    for other in (b, c):
        torch.testing.assert_close(other.images, a.images, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(other.loss, a.loss, rtol=1e-4, atol=1e-4)
    for model in (wrapped, whole):
        ds = compare(model, model, x.repeat(2, 1, 1, 1), n=5, seeds=[0], iterations=1, subspace_k=2,
                     cache=False)  # fmt: skip
        validate(conform(ds))
        assert activation_bytes(model, x[:1], [3]) > activation_bytes(model, x[:1], [1]) / 2 > 0


def test_half_precision(net):
    model = wrap_model(net.bfloat16(), **HOW)
    assert {h.dtype for h in model.features(images(2))} == {torch.bfloat16}
    assert not model.passes.reason and invert(model, images(2), iterations=2).loss.isfinite().all()


# ── What stays as it was ─────────────────────────────────────────────────────────────────────────


def test_a_module_is_as_before(net):
    net.train()
    net.fc.weight.requires_grad_(False)
    net.blocks[1].eval()
    before = copy.deepcopy(net.state_dict())
    modes = [module.training for module in net.modules()]
    wanted = [p.requires_grad for p in net.parameters()]
    names = set(vars(net)), [name for name, _ in net.named_buffers()]

    model = wrap_model(net, **HOW)
    again = [model.features(images(3))[-1] for _ in range(2)]  # no dropout, no batch statistics
    assert torch.equal(*again)
    invert(model, images(3), iterations=1)
    model.stages[2](torch.rand(2, 4, 16, 16))
    with pytest.raises(RuntimeError):
        model.stages[2](torch.rand(2, 3, 16, 16))  # other channels
    with pytest.raises(ValueError, match="never"):
        wrap_model(net, ["unused"], **HOW)

    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert [module.training for module in net.modules()] == modes
    assert [p.requires_grad for p in net.parameters()] == wanted
    assert (set(vars(net)), [name for name, _ in net.named_buffers()]) == names
    for module in net.modules():
        assert not module._forward_hooks and not module._forward_pre_hooks
        assert "forward" not in vars(module)


def test_a_deep_copy_shares_nothing(net):
    model, x = wrap_model(net, **HOW), images(2)
    before, twin = model(x), copy.deepcopy(model)
    last = model.features(x)[-1]
    for p in twin.parameters():
        p.data.zero_()
    net.eval()
    assert torch.equal(model.features(x)[-1], last)
    assert not twin.features(x)[-1].any() and not twin.stages[1](last).equal(model.stages[1](last))
    assert not torch.equal(twin(x), before)


def test_the_cache_knows_other_layers_and_another_normalisation(net):
    x = images(2)
    first = inversion_key(wrap_model(net, ["blocks.0", "blocks.1"], **HOW), x)
    assert inversion_key(wrap_model(net, ["blocks.0", "blocks.1"], **HOW), x) == first
    others = [
        wrap_model(net, ["blocks.0", "blocks.2"], **HOW),
        wrap_model(net, ["blocks.0", "blocks.1"], **(HOW | dict(mean=[0.5, 0.4, 0.2]))),
    ]
    net.blocks[0].skip = 2.0  # no weight
    others.append(wrap_model(net, ["blocks.0", "blocks.1"], **HOW))
    assert len({first, *(inversion_key(model, x) for model in others)}) == 4


# ── What is refused ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ("blocks.3", r"layers='blocks.3' is no submodule of Net; did you mean 'blocks.[0-2]'\?"),
        ("block.*", r"layers='block.\*' is no submodule of Net.*its parts are stem, blocks, drop"),
        ("unused", "layers='unused': a pass of Net calls it never"),
        ([], "layers is empty"),
    ],
)
def test_layers_that_are_not_there(net, layers, message):
    with pytest.raises(ValueError, match=message):
        wrap_model(net, layers, **HOW)


def test_layers_that_are_no_names(net):
    with pytest.raises(
        TypeError, match="layers are names of submodules, or patterns of them, not int"
    ):
        wrap_model(net, [0, 1], **HOW)


def test_a_module_that_is_called_twice():
    with pytest.raises(ValueError, match=r"layer1.0.relu': a pass of ResNet calls it 2 times"):
        wrap_model(resnet18(num_classes=2), ["layer1.*", "layer1.0.relu"], **HOW)


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (nn.Conv2d(1, 3, 3), r"Conv2d does not take images \(3, 3, 16, 16\): RuntimeError"),
        (nn.Sequential(nn.Flatten(0)), r"no direct part of Sequential can be a layer"),
    ],
)
def test_modules_that_are_no_networks_of_images(module, message):
    with pytest.raises(ValueError, match=message):
        wrap_model(module, **HOW)


def test_a_layer_without_a_row_for_each_image():
    with pytest.raises(ValueError, match=r"layers='0' has torch.float32 of shape \(2304,\) for 3"):
        wrap_model(nn.Sequential(nn.Flatten(0)), "0", **HOW)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(img_size=0), "img_size=0 must be a whole number of at least 1"),
        (dict(mean=0.5), "mean=0.5 must be three numbers"),
        (dict(mean="abc"), "mean='abc' must be three numbers"),
        (dict(mean=[123.7, 116.3, 103.5]), r"mean=\[123.7, .* of images in \[0, 1\]"),
        (dict(mean=[0.5]), r"mean=\[0.5\] must be three numbers"),
        (dict(std=[0.5, 0.5, 0.0]), r"std=\[0.5, 0.5, 0.0\] must be three numbers above 0"),
    ],
)
def test_a_normalisation_that_is_none(net, change, message):
    with pytest.raises(ValueError, match=message):
        wrap_model(net, **(HOW | change))


def test_what_a_wrapped_module_does_not_do(net):
    model = wrap_model(net, **HOW)
    with pytest.raises(ValueError, match="a wrapped module keeps its own head"):
        model.with_head("classification", 3)
    with pytest.raises(ValueError, match=r"images are \(32, 32\), the model was built for"):
        model.features(images(1, 32))
    for wrong in ("resnet18", model):
        with pytest.raises(TypeError, match="a name goes to load_model"):
            wrap_model(wrong, **HOW)


# ── Networks of timm ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.filterwarnings("ignore::UserWarning:timm")
@pytest.mark.parametrize(
    ("name", "size", "alike"),
    [
        ("test_convnext", 64, (4, 4)),
        ("test_vit", 64, (6, 6)),
        ("test_vit4", 64, (9, 9)),  # takes images of any size
        ("test_byobnet", 64, (5, 5)),
        ("test_resnet", 64, (4, 5)),
        ("test_efficientnet", 64, (5, 5)),
        ("test_nfnet", 64, (3, 5)),
        ("regnetx_002", 64, (5, 5)),
        ("swin_tiny_patch4_window7_224", 64, (4, 4)),
        ("eva02_tiny_patch14_224", 56, (12, 12)),
        ("vit_tiny_r_s16_p8_224", 64, (12, 12)),  # convolutions before the patches
        ("edgenext_xx_small", 64, (4, 4)),
    ],
)
def test_features_and_logits_are_timms_own(name, size, alike):
    assert check(name, img_size=size) == alike


def test_blocks_are_the_layers_where_timm_has_stages():
    names = {
        name: load_model(name, img_size=64).passes for name in ("regnetx_002", "test_convnext")
    }
    assert [tap.spec for tap in names["regnetx_002"].taps][:4] == [
        "s1.b1:input", "s1.b1", "s2.b1", "s3.b1"
    ]  # fmt: skip
    assert len(names["test_convnext"].taps) == 10


def test_a_hooked_network_is_trained(tmp_path):
    run = TrainingRun(model="test_convnext", dataset="digits", n_train=40, n_test=20, batch_size=20,
                      epochs=1, lr=0.05, img_size=32)  # fmt: skip
    trained = train(run, root=tmp_path, device="cpu")
    first, last = trained.model(0), trained.model(1)
    assert last.img_size == 32 and last.net.num_classes == 10
    assert not torch.equal(first.features(images(1, 32))[-1], last.features(images(1, 32))[-1])
    assert not any(name.startswith("head.fc") for name in last.trunk())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            dict(name="crossvit_9_240"),
            "a timm CrossVit, is not supported: .*is a list with the ten",
        ),
        (dict(name="test_vit4", img_size=30), "img_size=30 does not fit VisionTransformer: Asser"),
    ],
)
def test_networks_and_sizes_that_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        load_model(**arguments)


@pytest.mark.parametrize("part", ["stem", "fc", ""])
def test_weights_without_values_are_named(net, part):
    net.get_submodule(part).to("meta")
    with pytest.raises(ValueError, match=rf"module: {part}[\w.]* has no values yet: load some"):
        wrap_model(net, **HOW)


def test_a_lazy_module_is_named():
    with pytest.raises(ValueError, match="module: 0.weight has no values yet: .* show it a batch"):
        wrap_model(nn.Sequential(nn.LazyConv2d(4, 3), nn.ReLU()), **HOW)


def test_values_that_are_taken_away_later_are_missed_before_any_work(net):
    model = wrap_model(net, **HOW).to("meta")
    with pytest.raises(ValueError, match="model: stem.0.weight has no values yet"):
        invert(model, images(2), iterations=1)


@pytest.mark.parametrize("part", ["stem", "blocks.1", "fc"])
def test_mixed_types_are_said_where_the_module_does_not_take_them(net, part):
    net.get_submodule(part).half()
    with pytest.raises(ValueError, match=r"\(its weights are float16 and float32\): RuntimeError"):
        wrap_model(net, **HOW)


class Casting(nn.Module):
    """A layer in another precision that casts what it is given, as people write them."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1).double()

    def forward(self, x):
        return self.conv(x.double()).to(x.dtype)


def test_mixed_types_that_a_module_takes_are_taken():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), Casting(), nn.ReLU())
    model = wrap_model(net, ["0", "1"], **HOW)
    assert invert(model, images(2), iterations=1).best.isfinite().all()


def test_a_module_without_weights_is_compared(net):
    model = wrap_model(nn.Sequential(nn.AvgPool2d(2), nn.MaxPool2d(2)), **HOW)
    ds = compare(model, model, images(6), n=5, seeds=[0], iterations=1, subspace_k=1, cache=False)
    assert (
        model.dtype == torch.float32 and float(ds.cka_ft_pt.isel(layer=0, ref_layer=0).max()) > 0.99
    )


@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_torchscript_is_refused_by_name(net):
    with pytest.raises(TypeError, match="module is in TorchScript, without layers; wrap what"):
        wrap_model(torch.jit.trace(net.eval(), images(1)), **HOW)


@pytest.mark.parametrize("layers", [3, [nn.ReLU()]])
def test_other_things_than_names_are_named_by_their_type(net, layers):
    with pytest.raises(TypeError, match="layers are names of submodules.*not (int|ReLU)$"):
        wrap_model(net, layers, **HOW)


def test_a_module_compiled_in_place_gives_what_it_gave_and_stays_compiled(net):
    before = wrap_model(net, **HOW).features(images(2))
    calls = []
    for module in net.modules():
        module.compile(backend=lambda graph, _: calls.append(1) or graph.forward)
    model = wrap_model(net, **HOW)
    for one, two in zip(before, model.features(images(2)), strict=True):
        torch.testing.assert_close(one, two)
    assert invert(model, images(2), iterations=1).best.isfinite().all()
    assert not calls and all(m._compiled_call_impl for m in net.modules())
