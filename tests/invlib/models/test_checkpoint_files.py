"""Checkpoints as people have them: the network is found, and what else is there is named."""

import argparse
import collections
import datetime
import functools
import io
import json
import logging
import pathlib
import pickle
import sys
import types

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from invlib.files import broken_part
from invlib.models.loading import load_model

NAME = "vit_pico_patch8_32"
NET = load_model(NAME, num_classes=10, seed=3).net
STATE = NET.state_dict()
TRUNK = {key: tensor for key, tensor in STATE.items() if not key.startswith("head.")}
X = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def prefixed(prefix, state=STATE):
    return {prefix + key: tensor.clone() for key, tensor in state.items()}


def stored(tmp_path, content, name="w.pth", **options):
    path = tmp_path / name
    if name.endswith(".safetensors"):
        save_file({key: tensor.contiguous() for key, tensor in content.items()}, path)
    else:
        torch.save(content, path, **options)
    return path


def same_trunk(model, scale=1.0):
    own = model.net.state_dict()
    return all(torch.equal(own[key], tensor * scale) for key, tensor in TRUNK.items())


def same(model, scale=1.0):
    own = model.net.state_dict()
    return same_trunk(model, scale) and torch.equal(
        own["head.weight"], STATE["head.weight"] * scale
    )


@pytest.mark.parametrize("prefix", [
    "module.", "_orig_mod.", "model.", "net.", "backbone.", "encoder.", "module.module.",
    "model.backbone.", "_orig_mod.module.", "module._orig_mod.", "model.net.encoder.", "my_vit.0.",
])  # fmt: skip
@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
def test_any_prefix_is_stripped_and_said(tmp_path, prefix, name, caplog):
    with caplog.at_level(logging.WARNING):
        model = load_model(NAME, weights=stored(tmp_path, prefixed(prefix), name))
    assert same(model)
    said = caplog.messages
    assert len(said) == 1 and said[0].startswith(f"{name}: ") and "stripped" in said[0]
    assert all(part in " ".join(model.notes) for part in prefix.split(".") if part)


def test_of_plain_weights_nothing_is_said(tmp_path, caplog):
    for name in ("w.safetensors", "w.pth", "w.pt", "w.bin", "w.ckpt", "w.pth.tar", "no_suffix"):
        model = load_model(NAME, weights=stored(tmp_path, STATE, name))
        assert same(model) and model.notes == () and not caplog.messages


def test_compiled_and_sharded_blocks_are_unwrapped_inside_of_a_name(tmp_path):
    state = {key.replace("blocks.1.", "blocks.1._orig_mod."): value for key, value in STATE.items()}
    state = {key.replace("mlp.", "_fsdp_wrapped_module.mlp."): v for key, v in state.items()}
    assert same(load_model(NAME, weights=stored(tmp_path, prefixed("module.", state))))


EMA = {key: tensor * 0.5 for key, tensor in STATE.items()}
OPTIMIZER = {"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": [{"lr": 0.1}]}


@pytest.mark.parametrize("entry", [
    "state_dict", "model", "model_state_dict", "net", "module", "weights", "network", "params",
])  # fmt: skip
def test_wrappers_are_opened(tmp_path, entry):
    content = {
        "epoch": 3,
        entry: prefixed("module."),
        "optimizer": OPTIMIZER,
        "scale": torch.ones(1),
    }
    assert same(load_model(NAME, weights=stored(tmp_path, content)))
    assert same(load_model(NAME, weights=stored(tmp_path, {"checkpoint": content})))


def test_timms_checkpoints_and_their_moving_average(tmp_path):
    content = {"state_dict": STATE, "state_dict_ema": EMA, "arch": NAME, "optimizer": OPTIMIZER}
    content |= {"args": argparse.Namespace(model=NAME, lr=0.1), "metric": np.float64(71.2)}
    path = stored(tmp_path, content, "model_best.pth.tar")
    model = load_model(NAME, weights=path)
    assert same(model) and "'state_dict_ema'" in " ".join(model.notes)
    assert same(load_model(NAME, weights=path, entry="state_dict_ema"), 0.5)
    with pytest.raises(ValueError, match="entry='ema' is not in .*also there.*'state_dict_ema'"):
        load_model(NAME, weights=path, entry="ema")
    with pytest.raises(ValueError, match="entry='ema' needs weights"):
        load_model(NAME, entry="ema")


def test_averaged_models_of_torch(tmp_path):
    average = prefixed("module.") | {"n_averaged": torch.tensor(7)}
    content = {"model": STATE, "model_ema": {k: v * 0.5 for k, v in average.items()}}
    path = stored(tmp_path, content)
    assert same(load_model(NAME, weights=path))
    model = load_model(NAME, weights=path, entry="model_ema")
    assert same(model, 0.5) and "left out: n_averaged" in model.notes


def fine_tune(rank, folder):
    """Do a step in DDP, as one of two processes, and save what people save."""
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2
    )
    ddp = nn.parallel.DistributedDataParallel(load_model(NAME, num_classes=10, seed=3).net)
    optimizer = torch.optim.SGD(ddp.parameters(), lr=0.1, momentum=0.9)
    ddp(X[rank : rank + 1]).square().mean().backward()  # each has an image, both have the mean
    optimizer.step()
    if rank == 0:
        torch.save(ddp.state_dict(), folder / "plain.pth")
        says = {"model": ddp.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 0}
        torch.save(says | {"args": argparse.Namespace(lr=0.1)}, folder / "script.pth")
    torch.distributed.destroy_process_group()


@pytest.mark.filterwarnings("ignore:Grad strides do not match")
def test_what_is_saved_inside_of_ddp_is_the_network_that_was_trained_there(tmp_path):
    other = torch.multiprocessing.get_context("spawn").Process(target=fine_tune, args=(1, tmp_path))
    other.start()
    fine_tune(0, tmp_path)
    other.join(60)
    assert other.exitcode == 0
    net = load_model(NAME, num_classes=10, seed=3).net
    (sum(net(x[None]).square().mean() for x in X) / 2).backward()
    for name in ("plain.pth", "script.pth"):
        model = load_model(NAME, weights=tmp_path / name)
        assert "prefix 'module.' stripped" in model.notes
        for p, trained in zip(net.parameters(), model.net.parameters(), strict=True):
            torch.testing.assert_close(trained, p - 0.1 * p.grad)
            assert not torch.equal(trained, p) or not p.grad.any()


def test_a_mask_token_of_the_pretraining_is_left_out(tmp_path):
    model = load_model(NAME, weights=stored(tmp_path, STATE | {"mask_token": torch.zeros(1, 32)}))
    assert same(model) and model.notes == ("left out: mask_token",)


def lightning(package):
    """The type of Lightning's hyper-parameters, under a package that is not installed."""
    kind = type("AttributeDict", (dict,), {"__module__": package})
    module = types.ModuleType(package)
    module.AttributeDict = kind
    return kind, module


@pytest.mark.parametrize("package", [
    "lightning.fabric.utilities.data", "lightning_fabric.utilities.data",
    "pytorch_lightning.utilities.parsing", "lightning.pytorch.utilities.parsing",
])  # fmt: skip
@pytest.mark.parametrize("zipped", [True, False])
def test_lightnings_checkpoints_with_whatever_hyperparameters(
    tmp_path, monkeypatch, package, zipped
):
    kind, module = lightning(package)
    with monkeypatch.context() as patch:
        for parent in pathlib.PurePath(*package.split(".")).parents:
            if parent.parts:
                name = ".".join(parent.parts)
                patch.setitem(sys.modules, name, types.ModuleType(name))
        patch.setitem(sys.modules, package, module)
        parameters = kind(
            lr=0.1, milestones=[1, 2], folder=pathlib.Path("/runs/1"), extra=kind(a=kind()),
            windows=pathlib.PureWindowsPath("C:/runs"), z=1j,
            table=collections.defaultdict(list, {1: [2]}), last=collections.deque([1], maxlen=2),
            when=datetime.datetime(2026, 1, 2, 3, 4), day=datetime.date(2026, 1, 2),
            zone=datetime.datetime.now(datetime.UTC), scale=np.float32(2), n=np.int64(3),
            ok=np.bool_(True), curve=np.arange(3.0), names=np.array(["a"]), dtype=np.dtype("f2"),
            some=frozenset({1}), steps=range(3), part=slice(1, 2), torch=torch.__version__,
            options=argparse.Namespace(a=1), simple=types.SimpleNamespace(b=2),
            random=np.random.get_state(),
            device=torch.device("cpu"), size=torch.Size([1]), kind=torch.float16, choices={1, 2},
            counts=collections.Counter("aab"), ordered=collections.OrderedDict(a=1),
        )  # fmt: skip
        content = {"state_dict": prefixed("net."), "hyper_parameters": parameters, "epoch": 3}
        content["callbacks"] = {"ModelCheckpoint{'monitor': 'loss'}": {"best": torch.tensor(0.5)}}
        content["state_dict"]["loss.weight"] = torch.ones(10)
        path = stored(tmp_path, content, "last.ckpt", _use_new_zipfile_serialization=zipped)
    model = load_model(NAME, weights=path)
    assert same(model)
    assert model.notes[1:] == ("prefix 'net.' stripped", "left out: loss.weight")


class OwnConfiguration:
    """A class of somebody's training script."""


class Malicious:
    def __reduce__(self):
        return pathlib.Path.touch, (pathlib.Path("it_ran"),)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (NET, "timm.models.vision_transformer.VisionTransformer"),
        (nn.DataParallel(NET), "torch.nn.parallel.data_parallel.DataParallel"),
        ({"model": NET}, "timm.models.vision_transformer.VisionTransformer"),
        ({"state_dict": STATE, "config": OwnConfiguration()}, "[a-z_.]*OwnConfiguration"),
        ({"state_dict": STATE, "f": functools.partial(print)}, "functools.partial"),
        ({"state_dict": STATE, "f": getattr}, "getattr"),
        ({"state_dict": STATE, "x": Malicious()}, "pathlib.Path.touch|getattr|[a-z_.]*Path"),
    ],
)
@pytest.mark.parametrize("zipped", [True, False])
def test_a_type_that_could_run_code_is_named_with_what_to_do(
    tmp_path, monkeypatch, content, named, zipped
):
    monkeypatch.chdir(tmp_path)
    path = stored(tmp_path, content, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match=rf"holds a ({named}), .*weights_only=False") as caught:
        load_model(NAME, weights=path)
    assert "x.state_dict()" in str(caught.value) and "x['state_dict']" in str(caught.value)
    assert not (tmp_path / "it_ran").exists()


def test_several_networks_are_told_apart_on_request(tmp_path):
    both = {"student": prefixed("module.backbone."), "teacher": prefixed("backbone.", EMA)}
    path = stored(tmp_path, both | {"dino_loss": {"center": torch.zeros(1, 3)}})
    with pytest.raises(ValueError, match="holds weights in 'student', 'teacher'; choose one"):
        load_model(NAME, weights=path)
    assert same(load_model(NAME, weights=path, entry="teacher"), 0.5)
    with pytest.raises(ValueError, match="entry='techer' .*did you mean 'teacher'"):
        load_model(NAME, weights=path, entry="techer")
    flat = prefixed("module.encoder_q.") | prefixed("module.encoder_k.", EMA)
    path = stored(tmp_path, {"state_dict": flat | {"module.queue": torch.zeros(2, 3)}})
    with pytest.raises(ValueError, match="several networks.*'module.encoder_k', '"):
        load_model(NAME, weights=path)
    assert same(load_model(NAME, weights=path, entry="encoder_k"), 0.5)
    with pytest.raises(ValueError, match="entry='encoder' is not in"):
        load_model(NAME, weights=path, entry="encoder")


# ── What is not there ─────────────────────────────────────────────────────────────────────────────


def test_a_missing_head_is_drawn_from_the_seed(tmp_path):
    path = stored(tmp_path, prefixed("backbone.", TRUNK), "w.safetensors")
    a, b, c = (load_model(NAME, weights=path, num_classes=7, seed=seed) for seed in (0, 0, 1))
    assert all(same_trunk(model) and model(X).shape == (2, 7) for model in (a, b, c))
    assert torch.equal(a(X), b(X)) and not torch.equal(a(X), c(X))
    assert c.notes[-1] == "head for 7 classes drawn from seed 1"
    assert load_model(NAME, weights=path)(X).shape == (2, 1000)  # the architecture's own number


def test_a_head_of_another_form_is_left_out_and_named(tmp_path):
    state = TRUNK | {"head.0.weight": torch.zeros(3, 32), "head.2.weight": torch.zeros(4, 3)}
    model = load_model(NAME, weights=stored(tmp_path, state), num_classes=4)
    assert same_trunk(model) and model.net.num_classes == 4
    expected = "head for 4 classes drawn from seed 0, in place of head.0.weight, head.2.weight"
    assert model.notes == (expected,)
    state = prefixed("backbone.", TRUNK) | {"classifier.weight": torch.zeros(4, 32)}
    model = load_model(NAME, weights=stored(tmp_path, state), num_classes=4)
    assert "left out: classifier.weight" in model.notes and "drawn" in model.notes[-1]


def test_heads_by_other_names_and_decoders_are_left_out_and_named(tmp_path):
    fc = {key.replace("head.", "fc."): value for key, value in STATE.items()}
    model = load_model(NAME, weights=stored(tmp_path, fc), num_classes=4)
    assert same_trunk(model) and model.net.num_classes == 4
    assert model.notes == ("head for 4 classes drawn from seed 0, in place of fc.weight, fc.bias",)
    extra = {"decoder_blocks.0.weight": X, "decoder_pos_embed": X, "blocks.1.total_ops": X}
    model = load_model(NAME, weights=stored(tmp_path, STATE | extra))
    assert same(model)
    assert model.notes == (f"left out: {', '.join(extra)}",)


def test_the_number_of_classes_is_that_of_the_head_or_the_one_asked_for(tmp_path):
    path = stored(tmp_path, prefixed("module."))
    assert load_model(NAME, weights=path).net.num_classes == 10
    other = load_model(NAME, weights=path, num_classes=5)
    assert other(X).shape == (2, 5) and other.notes[-1] == "head for 5 classes drawn from seed 0"


def test_missing_batch_counts_are_zero(tmp_path):
    state = torchvision.models.resnet18(num_classes=10).state_dict()
    bare = {key: value for key, value in state.items() if "num_batches" not in key}
    path = stored(tmp_path, bare, "resnet18.safetensors")
    model = load_model("resnet18", weights=path)
    own = model.net.state_dict()
    assert all(torch.equal(own[key], value) for key, value in bare.items())
    assert int(own["bn1.num_batches_tracked"]) == 0
    assert model.notes == ("20 batch counts set to 0",)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.float8_e5m2])
def test_other_precisions_are_read_as_float32_and_said(tmp_path, dtype):
    state = {key: tensor.to(dtype) for key, tensor in STATE.items()}
    model = load_model(NAME, weights=stored(tmp_path, state))
    assert torch.equal(model.net.head.weight, state["head.weight"].float())
    assert model.notes == (f"{str(dtype).removeprefix('torch.')} read as float32",)
    assert model(X).dtype == torch.float32


# ── What is refused ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({key: (v * 9).to(torch.int8) for key, v in STATE.items()}, "is torch.int8, the model has"),
        ({k: v.to("meta") for k, v in STATE.items()}, r"is empty \(meta\), not an array"),
        (STATE | {"head.weight": STATE["head.weight"].to_sparse()}, "head.weight is sparse, not"),
        ({k: v.sum() for k, v in STATE.items()}, r"proj.bias is \(\), the model has"),
        (STATE | {"extra.weight": torch.zeros(1)}, "extra.weight is not in the model"),
        (prefixed("m.") | {"m.extra.weight": torch.zeros(1)}, "extra.weight is not in the model"),
        ({k: v for k, v in STATE.items() if "blocks.2" not in k}, "blocks.2.*is missing"),
        (prefixed("m.", {k: v[..., :3] for k, v in STATE.items()}), "the model has"),
        ({}, "holds a dict, not tensors"),
        ({"epoch": 3, "note": "none"}, "holds a dict of 'epoch', 'note', not tensors by name"),
        ([1, 2], "holds a list, not tensors by name"),
        (torch.zeros(3), "holds a Tensor, not tensors by name"),
        (
            {"embeddings.patch_embeddings.projection.weight": torch.zeros(1), "layernorm.bias": X},
            r"another library.*wrap_model: transformers.AutoModel.from_pretrained\('/",
        ),
        (prefixed("vit.embeddings."), "s"),
        ({"vision_model.embeddings.patch_embedding.weight": X}, "transformers.AutoModel"),
        ({"encoder.layers.encoder_layer_0.ln_1.weight": X}, "torchvision.models"),
        ({"features.0.0.weight": X, "classifier.1.weight": X}, "torchvision.models"),
        ({"visual.transformer.resblocks.0.ln_1.weight": X}, "open_clip"),
    ],
)
@pytest.mark.filterwarnings("ignore:Validating sparse")
def test_weights_of_something_else_are_refused_by_name(tmp_path, content, message):
    if message == "s":  # any prefix, though it be another library's word, is a prefix
        assert same(load_model(NAME, weights=stored(tmp_path, content)))
        return
    with pytest.raises(ValueError, match=message) as caught:
        load_model(NAME, weights=stored(tmp_path, content))
    assert "\n" not in str(caught.value)


def zipped_arrays():
    file = io.BytesIO()
    np.savez(file, a=np.zeros(3))
    return file.getvalue()


def script():
    file = io.BytesIO()
    torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2)), file)
    return file.getvalue()


def index_of_shards():
    return json.dumps({"weight_map": {"head.weight": "model-00001-of-00002.safetensors"}}).encode()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("w.pth", b"", "is empty"),
        ("w.safetensors", b"version https://git-lfs.github.com/spec/v1\noid sha", "git lfs pull"),
        ("w.pth", b"<!DOCTYPE html><html>", "neither a safetensors file nor one of torch.save"),
        ("w.pth", zipped_arrays(), "is damaged, or no file of torch.save"),
        ("w.pth", pickle.dumps([1, 2])[:-4], "is damaged, or no file of torch.save"),
        ("w.pt", script, r"is in TorchScript; save torch.jit.load\('w.pt'\).state_dict"),
        ("model.safetensors.index.json", index_of_shards(), "is the index of several files"),
    ],
)
@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_other_files_are_refused_by_name(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content() if callable(content) else content)
    with pytest.raises(ValueError, match=message) as caught:
        load_model(NAME, weights=tmp_path / name)
    assert name in str(caught.value)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("part", [0.2, 0.9])
def test_truncated_files_are_refused_by_name(tmp_path, zipped, part):
    path = stored(tmp_path, STATE, "torn.pth", _use_new_zipfile_serialization=zipped)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(part * len(whole))])
    with pytest.raises(ValueError, match="torn.pth' is damaged, or no file of torch.save"):
        load_model(NAME, weights=path)


def test_a_folder_names_the_files_in_it(tmp_path):
    stored(tmp_path, STATE, "pytorch_model.bin")
    with pytest.raises(FileNotFoundError, match="is a folder; name a file.*pytorch_model.bin"):
        load_model(NAME, weights=tmp_path)


def flipped(path, at):
    """Flip a bit of the file, `at` bytes after the place where a tensor of the network stands."""
    blob = bytearray(path.read_bytes())
    blob[blob.index(STATE["pos_embed"].numpy().tobytes()) + at] ^= 1
    path.write_bytes(blob)
    return path


@pytest.mark.parametrize("at", [0, 777])
def test_a_flipped_bit_is_refused_with_the_entry(tmp_path, at):
    path = flipped(stored(tmp_path, STATE, "flip.pth"), at)
    with pytest.raises(ValueError, match=r"flip.pth' is damaged.*\(flip/data/\d+ fails its checks"):
        load_model(NAME, weights=path)
    with pytest.raises(ValueError, match="fails its checksum"):  # also where it stands alone
        load_model(NAME, weights=flipped(stored(tmp_path, {"model": STATE}, "again.ckpt"), at))


def test_a_file_without_checksums_is_read(tmp_path):
    """As ``torch.save`` can be told to write it, and as it wrote files before zip archives."""
    torch.serialization.set_crc32_options(False)
    try:
        path = stored(tmp_path, STATE)
    finally:
        torch.serialization.set_crc32_options(True)
    assert same(load_model(NAME, weights=path))
    assert same(
        load_model(
            NAME, weights=stored(tmp_path, STATE, "old.pth", _use_new_zipfile_serialization=False)
        )
    )


def test_a_large_archive_is_checked_once_while_it_stays_the_same(tmp_path, monkeypatch):
    path = stored(tmp_path, {"a.b": torch.zeros(2**19)}, "large.pth")
    assert broken_part(path) is None
    with monkeypatch.context() as patch:
        patch.setattr("zipfile.ZipFile.testzip", None)  # calling it would fail
        assert broken_part(path) is None
    blob = bytearray(path.read_bytes())
    blob[2**20] ^= 1
    path.write_bytes(blob)
    assert broken_part(path) == "large/data/0"


def test_a_link_to_nothing_is_not_proposed_in_its_own_place(tmp_path):
    (tmp_path / "w.pth").symlink_to(tmp_path / "gone.pth")
    with pytest.raises(FileNotFoundError, match="w.pth' is no file") as caught:
        load_model(NAME, weights=tmp_path / "w.pth")
    assert "did you mean 'w.pth'" not in str(caught.value)
