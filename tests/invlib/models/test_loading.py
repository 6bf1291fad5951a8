"""Models: parity with timm, weights in and out, resolutions, what is refused."""

import copy

import pytest
import timm
import torch
from safetensors.torch import save_file

from invlib.models.loading import load_model
from invlib.models.zoo import SMALL_VITS


def images(n, size):
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "name", ["vit_tiny_patch16_224", "deit_tiny_distilled_patch16_224", "vit_base_patch32_clip_224"]
)
def test_every_layer_and_the_logits_are_timms_own(name):
    model = load_model(name, img_size=64, num_classes=7, seed=3).double()
    for key in ("mean", "std"):  # each family's own: CLIP's differ from those of the others
        expected = torch.tensor(model.net.pretrained_cfg[key]).double()
        torch.testing.assert_close(getattr(model.net, f"input_{key}").flatten(), expected)
    x = images(2, 64).double()
    normalised = (x - model.net.input_mean) / model.net.input_std
    blocks = model.net.forward_intermediates(
        normalised, norm=False, output_fmt="NLC", intermediates_only=True, return_prefix_tokens=True
    )
    with torch.no_grad():
        torch.testing.assert_close(model(x), model.net(normalised), rtol=1e-5, atol=1e-5)
        features = model.features(x)
        assert len(features) == len(blocks) + 1 == len(model.layers)
        for k, (patches, prefix) in enumerate(blocks, start=1):
            expected = torch.cat([prefix, patches], dim=1)
            torch.testing.assert_close(features[k], expected, rtol=1e-5, atol=1e-5)
            torch.testing.assert_close(model.prefix(x, k), expected, rtol=1e-5, atol=1e-5)
        embedded = model.net.norm_pre(model.net._pos_embed(model.net.patch_embed(normalised)))
        torch.testing.assert_close(features[0], embedded, rtol=1e-5, atol=1e-5)


def test_prefix_runs_no_stage_beyond_its_layer():
    model = load_model("vit_pico_patch8_32")
    model.stages = (*model.stages[:2], None)  # calling it would be a TypeError
    assert model.prefix(images(1, 32), 1).shape == (1, 17, 32)


def test_features_come_in_the_order_asked_for():
    model, x = load_model("vit_pico_patch8_32"), images(2, 32)
    late, early = model.features(x, [3, 1])
    assert torch.equal(early, model.prefix(x, 1)) and torch.equal(late, model.prefix(x, 3))


def test_a_seed_names_the_weights_and_leaves_the_global_generator_alone():
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    a, b, c = (load_model("vit_pico_patch8_32", seed=seed) for seed in (0, 0, 1))
    assert torch.equal(torch.rand(1), expected)
    x = images(1, 32)
    assert torch.equal(a(x), b(x)) and not torch.equal(a(x), c(x))


@pytest.mark.parametrize("task", ["classification", "reconstruction"])
def test_a_checkpoint_brings_its_head_task_and_resolution(tmp_path, task):
    model = load_model("vit_tiny_patch16_224", img_size=64, num_classes=5)
    model.with_head(task, 5 if task == "classification" else None, seed=2)
    save_file(model.net.state_dict(), tmp_path / "w.safetensors")
    again = load_model("vit_tiny_patch16_224", weights=tmp_path / "w.safetensors")
    assert (again.task, again.img_size) == (task, 64)
    x = images(2, 64)
    assert torch.equal(again.eval()(x), model.eval()(x))
    assert again(x).shape == ((2, 5) if task == "classification" else (2, 3, 64, 64))


def test_a_classifier_checkpoint_loads_into_plain_timm(tmp_path):
    model = load_model("vit_tiny_patch16_224", img_size=64, num_classes=5)
    plain = timm.create_model("vit_tiny_patch16_224", img_size=64, num_classes=5)
    assert not any(plain.load_state_dict(model.net.state_dict()))


def test_position_embeddings_are_resampled_as_timm_does(tmp_path):
    native = load_model("vit_tiny_patch16_224")
    save_file(native.net.state_dict(), tmp_path / "w.safetensors")
    small = load_model("vit_tiny_patch16_224", weights=tmp_path / "w.safetensors", img_size=96)
    net = timm.create_model("vit_tiny_patch16_224")
    net.load_state_dict(native.net.state_dict())
    net.set_input_size(img_size=(96, 96))
    assert torch.equal(small.net.pos_embed, net.pos_embed)
    assert small.prefix(images(1, 96), 12).shape == (1, 37, 192)


def test_a_new_number_of_classes_keeps_the_trunk(tmp_path):
    native = load_model("vit_pico_patch8_32", num_classes=24)
    save_file(native.net.state_dict(), tmp_path / "w.safetensors")
    other = load_model("vit_pico_patch8_32", weights=tmp_path / "w.safetensors", num_classes=10)
    x = images(2, 32)
    assert other(x).shape == (2, 10)
    assert torch.equal(other.prefix(x, 3), native.prefix(x, 3))


def test_reconstruction_puts_each_token_at_its_patch():
    model = load_model("vit_pico_patch8_32").with_head("reconstruction")
    head = model.net.head
    tokens = torch.zeros(1, 16, 32)
    tokens[0, 6] = 1.0  # row 1, column 2 of the 4×4 grid
    torch.nn.init.zeros_(head.proj.bias)
    picture = head(tokens)
    assert picture[0, :, 8:16, 16:24].abs().min() > 0
    picture[0, :, 8:16, 16:24] = 0
    assert not picture.any()


def test_a_deep_copy_shares_nothing():
    model, x = load_model("vit_pico_patch8_32"), images(1, 32)
    before, twin = model(x), copy.deepcopy(model)
    for p in twin.parameters():
        p.data.zero_()
    assert torch.equal(model(x), before) and not twin(x).any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(name="vit_tinny_patch16_224"), "did you mean 'vit_tiny_patch16_224'"),
        (dict(name="mixer_s32_224"), "MlpMixer; supported are Conv4, EfficientNet"),
        (dict(name="vit_pico_patch8_32", img_size=30), "img_size=30 must be a multiple of 8"),
        (dict(name="vit_pico_patch8_32", weights="timm"), "timm has no weights for"),
        (dict(name="vit_nano_patch8_32", weights="W"), r"attn.proj.bias is \(32,\), the model has"),
        (dict(name="vit_pico_patch8_32", weights="torn"), "is not a safetensors file"),
    ],
)
def test_what_is_refused_says_why(tmp_path, arguments, message):
    state = load_model("vit_pico_patch8_32").net.state_dict()
    save_file(state, tmp_path / "W")
    (tmp_path / "torn").write_bytes((tmp_path / "W").read_bytes()[:-100])
    if arguments.get("weights") in ("W", "torn"):
        arguments = arguments | dict(weights=tmp_path / arguments["weights"])
    with pytest.raises(ValueError, match=message):
        load_model(**arguments)


def test_missing_tensors_are_named(tmp_path):
    state = load_model("vit_pico_patch8_32").net.state_dict()
    del state["blocks.1.mlp.fc1.weight"]
    save_file(state, tmp_path / "w")
    with pytest.raises(ValueError, match="blocks.1.mlp.fc1.weight is missing"):
        load_model("vit_pico_patch8_32", weights=tmp_path / "w")


def test_an_absent_file_and_a_hub_out_of_reach(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match="is no file"):
        load_model("vit_pico_patch8_32", weights=tmp_path / "nothing.safetensors")

    def unreachable(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr(timm, "create_model", unreachable)
    with pytest.raises(ConnectionError, match="pass its path as `weights`"):
        load_model("vit_tiny_patch16_224", weights="timm")


@pytest.mark.parametrize("bad", [[4], [-1], [0, 0], [], [True]])
def test_layers_that_do_not_exist(bad):
    with pytest.raises(ValueError, match="distinct numbers out of 0…3"):
        load_model("vit_pico_patch8_32").features(images(1, 32), bad)


def test_images_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r"built for \(32, 32\)"):
        load_model("vit_pico_patch8_32")(images(1, 40))


def test_the_small_vits_are_ours_alone():
    assert not any(timm.is_model(name) for name in SMALL_VITS)
