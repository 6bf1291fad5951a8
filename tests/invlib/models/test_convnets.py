"""Convolutional networks: their layers and sizes, and that everything else takes them as a ViT."""

import copy
import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from timm.models.swin_transformer import swin_tiny_patch4_window7_224
from torch import nn

from invlib.comparison.compare import compare
from invlib.comparison.probes import probe_layers
from invlib.data.images import load_images
from invlib.inversion.cache import inversion_key
from invlib.inversion.chunks import activation_bytes
from invlib.inversion.invert import invert
from invlib.metrics.subspaces import numerical_rank
from invlib.models.convnets import CHAIN
from invlib.models.loading import load_model
from invlib.models.zoo import create
from invlib.results.validation import conform, validate
from invlib.training.run import TrainingRun
from invlib.training.train import train

NARROW = ["conv4_w16", "resnet18_cifar_w8", "vgg11_bn_cifar_w8"]
TINY = TrainingRun(
    model="conv4_w4", dataset="digits", n_train=65, n_test=40, batch_size=32, epochs=1, lr=0.05,
    img_size=16,
)  # fmt: skip


def images(n, size=32):
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(0))


def randomised(model):
    """Give batch norm statistics and weights of its own, so that forgetting it shows."""
    generator = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight.data, module.bias.data, module.running_mean):
                tensor.copy_(torch.rand(tensor.shape, generator=generator))
            module.running_var.uniform_(0.5, 2, generator=generator)
    return model


# ── Layers ───────────────────────────────────────────────────────────────────────────────────────

RESNET18 = [f"layer{stage}.{block}" for stage in (1, 2, 3, 4) for block in (0, 1)]
RESNET50 = [
    f"layer{stage}.{block}" for stage, depth in enumerate((3, 4, 6, 3), 1) for block in range(depth)
]


@pytest.mark.parametrize(
    ("name", "size", "ends"),
    [
        ("resnet18", 64, ["maxpool", *RESNET18]),
        ("resnet18_cifar_w8", 32, ["act1", *RESNET18]),
        ("resnet50_cifar_w4", 32, ["act1", *RESNET50]),
        # conv, norm, ReLU, and a pooling after convolutions 1, 2, 4, 6 and 8
        ("vgg11_bn_cifar_w8", 32, [f"features.{k}" for k in (3, 7, 10, 14, 17, 21, 24, 28)]),
        ("vgg11_cifar_w8", 32, [f"features.{k}" for k in (2, 5, 7, 10, 12, 15, 17, 20)]),
        ("test_efficientnet", 64, ["bn1", *(f"blocks.{k}.0" for k in range(5)), "bn2"]),
    ],
)
def test_layers_are_what_the_networks_own_modules_put_out(name, size, ends):
    model = randomised(load_model(name, img_size=size, num_classes=7, seed=3))
    seen = {}
    for end in ends:
        keep = lambda _, __, out, end=end: seen.__setitem__(end, out.clone())  # noqa: E731
        model.net.get_submodule(end).register_forward_hook(keep)
    x = images(2, size)
    normalised = (x - model.net.input_mean) / model.net.input_std
    with torch.no_grad():
        logits = model.net(normalised)
        expected = [seen[end] for end in ends]  # the model's own pass runs the hooks again
        if name.startswith("vgg"):  # nothing comes before its first convolution
            expected.insert(0, normalised)
        torch.testing.assert_close(model(x), logits)
        features = model.features(x)
        assert len(features) == len(expected) == len(model.layers)
        for k, (found, truth) in enumerate(zip(features, expected, strict=True)):
            torch.testing.assert_close(found, truth)
            torch.testing.assert_close(model.prefix(x, k), truth)
    assert model.depth[0] == 0 and model.depth[-1] == 1


def test_conv4_is_the_network_of_the_paper():
    """3×3 convolutions with 64 filters, batch norm, ReLU, 2×2 pooling; flattened into a layer."""
    model = randomised(load_model("conv4", num_classes=7))
    x = images(2)
    h = (x - 0.5) / 0.5
    expected = [h]
    for conv, norm, *_ in model.net.blocks:
        assert conv.weight.shape[0] == 64 and conv.weight.shape[2:] == (3, 3)
        h = nn.functional.conv2d(h, conv.weight, padding=1)
        h = (h - norm.running_mean[:, None, None]) / (norm.running_var + 1e-5)[:, None, None].sqrt()
        h = h * norm.weight[:, None, None] + norm.bias[:, None, None]
        h = nn.functional.max_pool2d(h.clamp(min=0), 2)
        expected.append(h)
    with torch.no_grad():
        for found, truth in zip(model.features(x), expected, strict=True):
            torch.testing.assert_close(found, truth, rtol=1e-5, atol=1e-5)
        logits = h.flatten(1) @ model.net.head.weight.T + model.net.head.bias
        torch.testing.assert_close(model(x), logits, rtol=1e-5, atol=1e-5)
    assert model.layer_names == ("image", "block 1", "block 2", "block 3", "block 4")


def test_layer_names():
    names = {name: load_model(name).layer_names for name in NARROW}
    assert names["resnet18_cifar_w8"] == ("stem", *(f"block {k}" for k in range(1, 9)))
    assert names["vgg11_bn_cifar_w8"] == ("image", *(f"conv {k}" for k in range(1, 9)))


def test_batch_norm_of_an_untrained_network_does_nothing():
    model = load_model("conv4_w16")
    assert not any(module.training for module in model.modules())
    conv, x = model.net.blocks[0][0], images(2)
    with torch.no_grad():
        plain = nn.functional.max_pool2d(conv((x - 0.5) / 0.5).relu(), 2)
        torch.testing.assert_close(model.prefix(x, 1), plain, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NARROW)
def test_looking_at_a_network_changes_nothing_in_it(name):
    net = create(name)
    before = copy.deepcopy(net.state_dict())
    CHAIN.stages(net)
    after = net.state_dict()
    assert net.training and all(torch.equal(after[key], before[key]) for key in before)


def test_a_deep_copy_shares_nothing():
    model, x = load_model("resnet18_cifar_w8"), images(1)
    before, twin = model(x), copy.deepcopy(model)
    for p in twin.parameters():
        p.data.zero_()
    assert torch.equal(model(x), before) and not twin(x).any()


def test_what_is_no_chain_is_refused():
    class Doubles(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward_features(self, x):
            return 2 * self.conv(x)

    with pytest.raises(ValueError, match="Doubles is not a chain of modules: calling 1 of them"):
        CHAIN.stages(Doubles())


def test_a_network_that_takes_no_image_of_the_probe_is_refused():
    net = swin_tiny_patch4_window7_224()
    with pytest.raises(ValueError, match="SwinTransformer is not a chain.* needs a family of its"):
        CHAIN.stages(net)


# ── Names, sizes, weights ────────────────────────────────────────────────────────────────────────


def test_a_seed_names_the_weights():
    a, b, c = (load_model("resnet18_cifar_w8", seed=seed) for seed in (0, 0, 1))
    x = images(1)
    assert torch.equal(a(x), b(x)) and not torch.equal(a(x), c(x))


@pytest.mark.parametrize("name", [*NARROW, "test_resnet"])
def test_weights_come_back_with_their_head(tmp_path, name):
    model = randomised(load_model(name, num_classes=5, seed=2))
    save_file(model.net.state_dict(), tmp_path / "w.safetensors")
    again = load_model(name, weights=tmp_path / "w.safetensors")
    x = images(2, model.img_size)
    assert torch.equal(again(x), model(x)) and again(x).shape == (2, 5)
    other = load_model(name, weights=tmp_path / "w.safetensors", num_classes=3)
    assert other(x).shape == (2, 3)
    assert torch.equal(other.features(x)[-1], model.features(x)[-1])


@pytest.mark.parametrize("name", NARROW)
def test_any_size(name):
    model = load_model(name, img_size=48, num_classes=5)
    assert model.img_size == 48 and model(images(2, 48)).shape == (2, 5)
    assert [h.shape[0] for h in model.features(images(2, 48))] == [2] * len(model.layers)


def test_conv4_finds_the_size_its_classifier_was_made_for(tmp_path):
    model = load_model("conv4_w4", img_size=64)
    save_file(model.net.state_dict(), tmp_path / "w.safetensors")
    again = load_model("conv4_w4", weights=tmp_path / "w.safetensors")
    assert again.img_size == 64 and torch.equal(again(images(1, 64)), model(images(1, 64)))


def test_conv4_at_another_size_shows_its_classifier_the_averaged_map(tmp_path):
    model = load_model("conv4_w4", img_size=32)
    save_file(model.net.state_dict(), tmp_path / "w.safetensors")
    large = load_model("conv4_w4", weights=tmp_path / "w.safetensors", img_size=64)
    x = images(1, 64)
    with torch.no_grad():
        pooled = nn.functional.avg_pool2d(large.prefix(x, 4), 2)  # (1, 4, 4, 4) to (1, 4, 2, 2)
        torch.testing.assert_close(large(x), large.net.head(pooled.flatten(1)))
    assert large.with_head("classification", 3).net.head.in_features == 4 * 4 * 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(name="resnet18_cifr"), "did you mean 'resnet18_cifar'"),
        (dict(name="resnet18_cifar_w7"), "the width 7 must be even"),
        (dict(name="conv4_w0"), "the width 0 must be even"),
        (dict(name="vgg11_cifar", weights="timm"), "timm has no weights for 'vgg11_cifar'"),
        (dict(name="conv4_w4", img_size=8), "img_size=8 does not fit Conv4"),
        (dict(name="vgg11_cifar_w8", img_size=16), "img_size=16 does not fit VGG"),
        (dict(name="conv4_w4", img_size=-1), "img_size=-1 must be a whole number of at least 1"),
    ],
)
def test_what_is_refused_says_why(arguments, message):
    with pytest.raises(ValueError, match=message):
        load_model(**arguments)


def test_no_reconstruction():
    with pytest.raises(ValueError, match="conv4_w4 is a Conv4; its tasks are 'classification'"):
        load_model("conv4_w4").with_head("reconstruction")


# ── Inversion and comparison ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", NARROW)
def test_how_the_work_is_cut_moves_stir_by_rounding_only(name):
    """A convolution of one image (chunk=1) is computed in another order than one of several."""
    pair = [load_model(name, seed=seed) for seed in (0, 1)]
    how = dict(n=6, seeds=[0], layers=[0, 2, 4], iterations=5, subspace_k=2, cache=False)
    pool = load_images("digits", "test", n=12)
    whole, *cut = (compare(*pair, pool, chunk=chunk, **how) for chunk in (6, 4, 1))
    for variable in ("stir_ft_pt", "stir_pt_ft", "stir_pt_pt", "stir_ft_ft"):
        for other in cut:
            assert float(abs(whole[variable] - other[variable]).max()) <= 1e-3
    validate(conform(whole))


def test_no_image_is_inverted_alone():
    model, x = load_model("conv4_w4"), images(5)
    rows, first = [], model.stages[0]
    model.stages = (lambda h: (rows.append(len(h)), first(h))[1], *model.stages[1:])
    invert(model, x, layers=[0], iterations=1, chunk=2)
    assert set(rows) == {2, 3}  # 2 images, then 2 + 1


@pytest.mark.parametrize("optimizer", ["ngd", "adam", "fast"])
def test_every_layer_gets_closer(optimizer):
    model = load_model("resnet18_cifar_w8")
    assert model.patch_basis() is None
    found = invert(model, images(3), iterations=20, optimizer=optimizer)
    assert (found.best.mean(1) < 0.8 * found.loss[:, 0]).all()


def test_a_network_whose_units_are_all_off_is_named():
    model = load_model("conv4_w4")
    model.net.blocks[1][1].bias.data.fill_(-100)  # the ReLU after it lets nothing through
    with pytest.raises(ValueError, match=r"layer 2 \(block 2\) of conv4_w4 has .* zero"):
        invert(model, images(2), iterations=1)


@pytest.mark.parametrize("name", ["resnet18_cifar_w8", "vgg11_bn_cifar_w8"])
def test_a_new_head_is_the_same_inversion_and_new_statistics_are_not(name):
    model, x = load_model(name), images(2)
    key = inversion_key(model, x)
    assert inversion_key(load_model(name).with_head("classification", 3, seed=5), x) == key
    assert inversion_key(randomised(load_model(name)), x) != key


def test_memory_grows_with_the_image():
    model = load_model("conv4_w16")
    small, large = (activation_bytes(model, images(1, size), [0, 4]) for size in (32, 64))
    assert 3 < large / small < 5


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_convnext"])
def test_everything_takes_a_network_of_timm(name):
    pair = [load_model(name, img_size=32, num_classes=10, seed=seed) for seed in (0, 1)]
    pool = load_images("digits", "test", n=12)
    how = dict(n=8, seeds=[0], iterations=3, subspace_k=2, cache=False)
    ds = compare(*pair, pool, layers=[0, 1, 4], **how)
    validate(conform(ds))
    assert np.isfinite(ds.stir_ft_pt).all()
    ranks = [int(numerical_rank(h)) for h in pair[0].features(pool.tensor(32))]
    assert all(1 <= rank <= 11 for rank in ranks)
    digits = [load_images("digits", split, n=n) for split, n in (("train", 60), ("test", 30))]
    probes = probe_layers(pair[0], *digits, layers=[0, 4])
    assert ((probes.probe_accuracy > 0.2) & (probes.probe_accuracy <= 1)).all()  # chance is 0.1


# ── Training ─────────────────────────────────────────────────────────────────────────────────────


def test_a_run_brings_back_statistics_size_and_head(tmp_path):
    trained = train(TINY, root=tmp_path, device="cpu")
    first, last = trained.model(0), trained.model(1)
    assert last.img_size == 16 and last.net.num_classes == 10 and not last.training
    assert json.loads((trained.path / "run.json").read_text())["model"] == "conv4_w4"
    norm = [model.net.blocks[0][1] for model in (first, last)]
    assert int(norm[0].num_batches_tracked) == 0 and not norm[0].running_mean.any()
    assert int(norm[1].num_batches_tracked) == 2 and norm[1].running_mean.any()  # 32 + 33 images
    assert np.isfinite(trained.log.train_loss[1])
    again = train(TINY, root=tmp_path / "again", device="cpu").model()
    assert all(
        torch.equal(value, again.net.state_dict()[key])
        for key, value in last.net.state_dict().items()
    )


def test_a_checkpoint_without_a_size_in_its_weights_says_its_size(tmp_path):
    run = TrainingRun(
        model="resnet18_cifar_w2", dataset="digits", n_train=8, n_test=8, epochs=0, img_size=24
    )
    assert train(run, root=tmp_path, device="cpu").model().img_size == 24


@pytest.mark.parametrize("change", [dict(batch_size=1), dict(n_train=1)])
def test_batches_of_one_image_are_refused(tmp_path, change):
    says = dict(model="conv4_w4", dataset="digits", n_train=4, n_test=4, epochs=1) | change
    with pytest.raises(ValueError, match="the network has batch norm"):
        train(TrainingRun(**says), root=tmp_path, device="cpu")
