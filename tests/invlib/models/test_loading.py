"""Models by name: weights in and out, heads, and what is refused."""

import pytest
import timm
import torch
from safetensors.torch import save_file

from invlib.models.loading import load_model


def images(n, size):
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(0))


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


def test_a_new_number_of_classes_keeps_the_trunk(tmp_path):
    native = load_model("vit_pico_patch8_32", num_classes=24)
    save_file(native.net.state_dict(), tmp_path / "w.safetensors")
    other = load_model("vit_pico_patch8_32", weights=tmp_path / "w.safetensors", num_classes=10)
    x = images(2, 32)
    assert other(x).shape == (2, 10)
    assert torch.equal(other.prefix(x, 3), native.prefix(x, 3))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(name="vit_tinny_patch16_224"), "did you mean 'vit_tiny_patch16_224'"),
        (dict(name="vit_pico_patch8_32", img_size=30), "img_size=30 must be a multiple of 8"),
        (dict(name="vit_pico_patch8_32", weights="timm"), "timm has no weights for"),
        (dict(name="vit_nano_patch8_32", weights="W"), r"attn.proj.bias is \(32,\), the model has"),
        (dict(name="vit_pico_patch8_32", weights="torn"), "is no complete safetensors file"),
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


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (dict(name="timm/vit_tiny_patch16_244.augreg_in21k"), ValueError, "'vit_tiny_patch16_224'"),
        (dict(name="test_vit.r160_in2k"), ValueError, "did you mean 'test_vit.r160_in1k'"),
        (dict(name=torch.nn.Identity()), TypeError, "name is of type Identity; .* wrap_model"),
        (dict(seed=1.5), TypeError, "seed=1.5 is not a whole number"),
        (dict(seed=-1), ValueError, "seed=-1 must be a whole number of at least 0"),
        (dict(num_classes="10"), TypeError, "num_classes='10' is not a whole number"),
        (dict(num_classes=-3), ValueError, "num_classes=-3 must be a whole number of at least 1"),
        (dict(weights=True), TypeError, r"weights is of type bool; .* 'timm' \(pretrained\)"),
        (dict(weights="Timm"), FileNotFoundError, "did you mean 'timm'"),
    ],
)
def test_arguments_of_another_kind_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        load_model(**dict(name="vit_pico_patch8_32") | arguments)


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
