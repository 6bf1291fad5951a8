"""``python -m invlib compare`` and ``invert``: what they write and show, what they refuse."""

from __future__ import annotations

import json
import re
import shlex

import numpy as np
import pytest
import torch
from PIL import Image

import invlib.commands as command
from invlib.__main__ import main
from invlib.data.images import load_images
from invlib.inversion.invert import invert
from invlib.models.loading import load_model
from invlib.results.netcdf import open_results
from invlib.training.run import TrainingRun
from invlib.training.train import train

RANDOM = "vit_pico_patch8_32=random"
QUICK = ["--images", "digits", "--n", "6", "--steps", "2"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INVLIB_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize(("name", "out"), [("compare", "comparison.nc"), ("invert", "inverted")])
def test_the_example_in_the_help_runs(tmp_path, capsys, name, out):
    with pytest.raises(SystemExit):
        main([name, "--help"])
    said = capsys.readouterr().out
    line = re.search(r"no network:\n  python -m invlib (.*?[^\\])\n", said, re.S)[1]
    assert main(shlex.split(line.replace("\\\n", " "))) == 0
    assert (tmp_path / out).exists()


def test_compare_writes_a_comparison_and_a_table(tmp_path, capsys):
    options = [*QUICK, "--seeds", "1", "2", "--layers", "block 1", "3", "--tokens", "mean"]
    assert main(["compare", RANDOM, RANDOM, *options, "-o", "new/out.nc"]) == 0
    ds = open_results(tmp_path / "new" / "out.nc")
    assert ds.seed.values.tolist() == [1, 2] and ds.layer.values.tolist() == [1, 3]
    parameters = json.loads(ds.attrs["parameters"])
    assert (parameters["iterations"], parameters["tokens"]) == (2, "mean")
    assert ds.attrs["command"].startswith("python -m invlib compare vit_pico_patch8_32=random")
    assert float(ds.cka_ft_pt.sel(layer=3, ref_layer=3).max()) < 0.999  # not one model twice
    shown = capsys.readouterr()
    assert "forgetting" in shown.out and re.search(r"^3 +-?\d\.\d+", shown.out, re.M)
    # without a terminal: lines that say where it is
    lines = shown.err.splitlines()
    assert any(
        re.search(r"seed 2, vit_pico_patch8_32 \(ft\), layers 1 to 3, 75 %, .*to go", line)
        for line in lines
    )
    assert any("distance left" in line for line in lines)


def test_two_networks_and_similarity_alone(tmp_path, capsys):
    options = [*QUICK, "--seeds", "0", "--no-stir", "--quiet", "-o", "out.nc"]
    assert main(["compare", RANDOM, "conv4_w8=random", *options]) == 0
    assert set(open_results("out.nc")) >= {"cka_ft_pt", "cka_pt_pt"}
    shown = capsys.readouterr()
    assert not shown.err and "CKA divergence" in shown.out and "learning" not in shown.out


def test_a_checkpoint_of_a_training_says_which_model_it_is(tmp_path):
    run = TrainingRun(
        model="vit_pico_patch8_32", dataset="digits", n_train=32, n_test=16, batch_size=32, epochs=1
    )
    trained = train(run, root=tmp_path, device="cpu")
    pair = [str(trained.checkpoint(epoch)) for epoch in (0, 1)]
    assert main(["compare", *pair, *QUICK, "--seeds", "0", "--quiet", "-o", "out.nc"]) == 0
    plain = tmp_path / "epoch=1.safetensors"  # the name of a file may look like NAME=WEIGHTS
    trained.checkpoint(1).rename(plain)
    model = command.named_model(str(plain), usual="vit_pico_patch8_32")
    assert (model.patch_basis() == trained_basis(plain)).all()
    assert str(tmp_path) not in open_results("out.nc").attrs["command"]


def trained_basis(path):
    return load_model("vit_pico_patch8_32", weights=path).patch_basis()


def test_an_entry_of_a_checkpoint_stands_after_its_file(tmp_path):
    nets = {
        name: command.named_model("vit_pico_patch8_32=random", seed=ord(name)).net for name in "ab"
    }
    (tmp_path / "#1").mkdir()
    path = tmp_path / "#1" / "w.pth"
    torch.save({name: net.state_dict() for name, net in nets.items()}, path)
    own = command.named_model(f"vit_pico_patch8_32={path}#b").net.state_dict()
    assert all(torch.equal(own[key], value) for key, value in nets["b"].state_dict().items())
    with pytest.raises(ValueError, match="entry='c' is not one of 'a', 'b'"):
        command.named_model(f"{path}#c", usual="vit_pico_patch8_32")
    with pytest.raises(ValueError, match="in commands with FILE#ENTRY"):
        command.named_model(f"vit_pico_patch8_32={path}")


def test_invert_writes_pictures_and_distances(tmp_path):
    options = [*QUICK, "--layers", "0", "block 3", "--seed", "4", "--quiet", "-o", "pictures"]
    assert main(["invert", RANDOM, *options]) == 0
    images = load_images("digits", "test").sample(6, 4).tensor(32)
    model = load_model("vit_pico_patch8_32")
    found = invert(model, images, layers=[0, 3], iterations=2, optimizer="fast", seed=4)
    picture = np.asarray(Image.open(tmp_path / "pictures" / "005_layer_03.png"))
    expected = (found.images[1, 5] * 255).round().byte().permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(picture, expected)
    table = np.genfromtxt(tmp_path / "pictures" / "distances.csv", delimiter=",", names=True)
    np.testing.assert_allclose(table["layer_03"], found.best[1], atol=1e-3)
    assert len(list((tmp_path / "pictures").iterdir())) == 6 * 3 + 1


TWO = ["compare", RANDOM, RANDOM]
REFUSED = {
    "no model": (["compare", "a", "b", *QUICK, "-o", "x.nc"], "'a' does not say which model"),
    "a model": (
        ["compare", RANDOM, "vit_pico_patch8=random", *QUICK, "-o", "x.nc"],
        "did you mean 'vit_pico_patch8_32'",
    ),
    "weights": (["compare", RANDOM, "conv4=no.pt", *QUICK, "-o", "x.nc"], "'no.pt' is no file"),
    "images": ([*TWO, "--images", "digts", "-o", "x.nc"], "digits"),
    "a split": ([*TWO, *QUICK, "--split", "tset", "-o", "x.nc"], "did you mean 'test'"),
    "a recipe": ([*TWO, *QUICK, "--recipe", "fsat", "-o", "x.nc"], "did you mean 'fast'"),
    "tokens": ([*TWO, *QUICK, "--tokens", "men", "-o", "x.nc"], "did you mean 'mean'"),
    "a layer": ([*TWO, *QUICK, "--layers", "blck 2", "-o", "x.nc"], "did you mean 'block 2'"),
    "a number": ([*TWO, *QUICK, "--steps", "0", "-o", "x.nc"], "iterations=0"),
    "a high digit": ([*TWO, *QUICK, "--layers", "²", "-o", "x.nc"], "layer='²' is not one of"),
    "a seed": ([*TWO, *QUICK, "--seeds", "-1", "-o", "x.nc"], "seeds=[-1] must be"),
    "one seed": (["invert", RANDOM, *QUICK, "--seed", "-1", "-o", "x"], "--seed -1 must be from 0"),
    "memory": ([*TWO, *QUICK, "--img-size", "8000000", "-o", "x.nc"], "error: out of memory"),
    "a file": ([*TWO, "--images", "./file", "-o", "x.nc"], "file is a file; name a folder"),
    "n": ([*TWO, "--images", "digits", "--n", "3", "-o", "x.nc"], "at least 4"),
    "a device": ([*TWO, *QUICK, "--device", "cud", "-o", "x.nc"], "device='cud' cannot be used"),
    "no values": ([*TWO, *QUICK, "--device", "meta", "-o", "x.nc"], "device='meta' cannot be used"),
    "no disk": ([*TWO, *QUICK, "-o", "/proc/x.nc"], "/proc is no folder that can be written to"),
    "no .nc": ([*TWO, *QUICK, "-o", "x.txt"], "'x.txt' must be a file whose name ends in '.nc'"),
    "a file above": ([*TWO, *QUICK, "-o", "file/x.nc"], "is no folder that can be written to"),
    "a folder": (["invert", RANDOM, *QUICK, "-o", "there"], "'there' is there already"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_a_few_lines_before_any_work(tmp_path, monkeypatch, capsys, case):
    monkeypatch.setattr("invlib.inversion.cache.invert", None)  # calling it would fail
    (tmp_path / "there").mkdir()
    (tmp_path / "file").touch()
    arguments, said = REFUSED[case]
    assert main(arguments) == 2
    error = capsys.readouterr().err.replace("\r", "")
    assert said in error and 1 <= len(error.strip().splitlines()) <= 3
    assert not (tmp_path / "x.nc").exists() and not list((tmp_path / "there").iterdir())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["compar"], "did you mean 'compare'?"),
        ([*TWO, *QUICK, "-o", "x.nc", "--laers", "3"], "did you mean '--layers'?"),
        (["compare", RANDOM], "arguments are required: FINETUNED"),
    ],
)
def test_bad_usage_is_two_lines(arguments, said, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    error = capsys.readouterr().err
    assert caught.value.code == 2 and said in error and error.count("\n") == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([*TWO, *QUICK, "-o", "x.nc"], "what was inverted is kept, and the same command goes on"),
        (["invert", RANDOM, *QUICK, "-o", "x"], "nothing was written; the same command begins"),
    ],
)
def test_an_interruption_says_how_to_go_on(tmp_path, monkeypatch, capsys, arguments, said):
    def interrupted(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("invlib.inversion.invert._invert_chunk", interrupted)
    assert main(arguments) == 130
    assert said in capsys.readouterr().err.splitlines()[-1]
    assert not [p for p in tmp_path.iterdir() if p.name not in ("cache",)]


def test_it_goes_on_after_what_was_inverted(tmp_path, monkeypatch):
    calls = []

    def count(*args, **options):
        calls.append(options)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return invert(*args, **options)

    monkeypatch.setattr("invlib.inversion.cache.invert", count)
    arguments = [*TWO, *QUICK, "--seeds", "0", "--quiet", "-o", "x.nc"]
    assert main(arguments) == 130 and main(arguments) == 0
    assert len(calls) == 3  # the first of two was not done again


def test_a_folder_beside_one_is_named_without_its_path(tmp_path, monkeypatch):
    """As in the example of ``--help``: ``--images photos``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INVLIB_DATA", str(tmp_path / "sets"))
    for name in ("photos", "digits", "sets/mine", "mine"):
        (tmp_path / name).mkdir(parents=True)
    assert command.images_here("photos") == str(tmp_path / "photos")
    kept = ["digits", "mine", "nowhere", ""]  # of data sets, or of nothing
    assert [command.images_here(name) for name in kept] == kept
