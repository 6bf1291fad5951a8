"""The report on two models: its sentences are those of the numbers, and it needs no network."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

from invlib import TrainingRun, forgetting, invert, learning, train
from invlib.inversion import cache
from papers import explorers
from papers.across import your_models_figures as figures
from papers.parameters import ParameterError, load_scale
from papers.sections import SECTIONS
from tests.workspace import ROOT, copy_project, environment

SECTION = SECTIONS["your_models"]
OWN = dict(
    pretrained="vit_pico_patch8_32=random", finetuned="conv4_w8=random", images="digits", n=8
)


def run(folder, **parameters):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("papers.section.runs_root", lambda scale: folder / scale)
        section = SECTION.from_parameters(load_scale("smoke") | parameters)
        return section, section.dataset()


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    return run(tmp_path_factory.mktemp("two"), **OWN)


@pytest.fixture(scope="module")
def same(tmp_path_factory):
    """A model and itself, of which inversion came near."""
    own = OWN | dict(finetuned="vit_pico_patch8_32=random", images="digits", iterations=30)
    folder = tmp_path_factory.mktemp("same")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SECTION().work, "enumerate", lambda pair: [(0, text) for text in pair], False)
        return run(folder, **own)


def test_by_default_it_trains_what_other_pages_train():
    scale = load_scale("laptop")
    ours = {r.id for r in SECTION.from_parameters(scale).runs().values()}
    theirs = {r.id for r in SECTIONS["finetuning_task"].from_parameters(scale).runs().values()}
    assert ours < theirs


def test_models_and_images_go_together():
    with pytest.raises(ParameterError, match="finetuned is missing: .* go together"):
        SECTION.from_parameters({"pretrained": "resnet18=a.pth", "images": "photos"})


def test_the_curves_are_the_measures(two):
    section, ds = two
    debiased = ds.sel(estimator="debiased")
    for name, measure in (("forgetting", forgetting), ("learning", learning)):
        curve = section.work.curves(ds)[name]
        expected = measure(debiased).mean("seed").dropna("layer")
        np.testing.assert_allclose(curve.mean, expected)
        assert (curve.low < curve.mean).all() and (curve.mean < curve.high).all()
    assert section.work.curves(ds)["learning"].mean.sizes["layer"] == 5  # the fine-tuned model's


def test_every_sentence_has_the_numbers(two):
    section, ds = two
    said = section.work.findings(ds)
    assert len(said) == 5
    lost = section.work.curves(ds)["forgetting"]
    top = int(lost.mean.idxmax("layer"))
    assert f"is largest at layer {top} (" in said[0]
    assert f"{float(lost.mean.max()):.2f} (95 %" in said[0]
    weak = [k for k in ds.layer.values if own_term(ds, "pt", k) < section.work.SELF_TERM]
    assert ("of the pretrained model" in said[4]) == bool(weak)


def own_term(ds, short, k):
    value = ds[f"stir_{short}_{short}"].sel(estimator="debiased", ref_layer=k, layer=k).mean()
    return np.inf if np.isnan(value) else float(value)


def test_an_untrained_network_is_given_the_same_inversions(two, same):
    section, ds = two
    assert ds["stir_untrained_pt"].dropna("layer", how="all").layer.values.tolist() == [0, 1, 2, 3]
    seen = section.work.checks(ds)["STIR on X′, pretrained"]
    assert seen.sizes["layer"] == 4 and seen["who"].values.tolist() == [
        "fine-tuned",
        "random weights",
    ]
    section, ds = same
    kept = ds["stir_untrained_pt"].copy(deep=True)
    for value, said in ((2, "at every layer."), (-2, "fewer of them at every layer, by over")):
        assert said in section.work.findings(ds.assign(stir_untrained_pt=0 * kept + value))[0]
    some = ds.assign(stir_untrained_pt=xr.where(kept.layer == 1, 2, -2 + 0 * kept))
    assert "at least as many of them, to 0.05, at layers 1." in section.work.findings(some)[0]


def test_without_a_cache_it_inverts_nothing_twice(two, tmp_path, monkeypatch):
    inverted = []
    monkeypatch.setattr(
        cache, "invert", lambda *args, **other: inverted.append(args[0]) or invert(*args, **other)
    )
    section, ds = run(tmp_path, **OWN, cache=False)
    assert [model.name for model in inverted] == ["vit_pico_patch8_32", "conv4_w8"] * 2  # draws
    assert not (tmp_path / "smoke" / "inversions").exists()
    for name in ("stir_ft_pt", "stir_untrained_pt"):
        np.testing.assert_array_equal(ds[name], two[1][name])


def test_a_model_and_itself_forgot_nothing(same):
    section, ds = same
    said = section.work.findings(ds)
    assert all("does not show any" in sentence for sentence in said[:2])
    assert "+0.000" in said[3] and "undecided" in said[3]


@pytest.mark.parametrize(
    ("change", "said"), [(0.4, "earlier"), (-0.4, "later")], ids=["compressed", "expanded"]
)
def test_the_direction_is_that_of_the_flow(same, change, said):
    """Where ft sees pt's deep inversions better in shallow layers, they moved to earlier ones."""
    section, ds = same
    ds = ds.copy(deep=True)
    below = xr.where(ds.layer < ds.ref_layer, change / 2, -change / 2)
    for name in ("stir_ft_pt", "stir_ft_pt_left_out"):
        ds[name] = ds[name] + below
    assert f"has them in {said} layers" in section.work.findings(ds)[3]


def test_numbers_in_words(two):
    assert two[0].work._ranges([0, 1, 2, 5, 7, 8]) == "0–2, 5, 7–8"


OWN_OPTIONS = {k: OWN[k] for k in ("pretrained", "finetuned", "images")}


def words(folder, **options):
    options = {"output": f"{folder}/report.html"} | options
    return [f"--{name}={value}" for name, value in options.items()]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = copy_project(tmp_path_factory.mktemp("project"), "notebooks", "workflow")
    options = words(folder, **OWN_OPTIONS, n=6, steps=2, seeds="0 1")
    command = [sys.executable, "workflow/report.py", *options]
    done = subprocess.run(
        command, cwd=folder, env=environment(folder), capture_output=True, text=True
    )
    return done, folder


def test_the_report_is_one_file_that_needs_no_network(page):
    done, folder = page
    assert done.returncode == 0, done.stderr
    text = (folder / "report.html").read_text()
    links = re.findall(r"(?:src|href)=[\"']?([^\"'> ]+)", text)
    assert links and all(link.startswith(("#", "data:image/")) for link in links)
    assert "<script" not in text and "@import" not in text and "url(" not in text
    assert len(re.findall('<figure><img alt="[^"]{20,}" src="data:image/png', text)) == 5
    assert "```" not in text and "{doc}" not in text and "section.dataset" not in text
    for words in ("In five sentences", "What not to conclude", "conv4_w8 (random)"):
        assert words in text
    assert "to go" in done.stderr and "to go" not in text  # progress is shown, and not kept


REFUSED = {
    "nothing": (dict(pretrained="", images=""), "PRETRAINED and IMAGES missing"),
    "weights": (dict(finetuned="conv4_w8=nowhere.pt"), "nowhere.pt"),
    "images": (dict(images="digtis"), "digits"),
    "no folder of images": (dict(images="workflow"), "no train/ and test/ with class folders"),
    "a file for images": (dict(images="README.md"), "README.md is a file; name a folder"),
    "no weights": (dict(finetuned="conv4_w8="), "give MODEL=NAME, or write NAME=WEIGHTS"),
    "no name": (dict(finetuned="conv4_w8"), "'conv4_w8' does not say which model it is"),
    "a path alone": (dict(finetuned="my runs/a.pt"), "weights='my runs/a.pt' is no file"),
    "a folder": (dict(finetuned="conv4_w8=workflow"), "workflow is a folder; name a file in it"),
    "no class token": (dict(tokens="cls"), "tokens='cls': conv4_w8 has a class token"),
    "a number": (dict(n="many"), "N='many' must be a whole number"),
    "two sizes": ({"img-size": "32,64"}, "IMG_SIZE='32,64' must be a whole number"),
    "seeds": (dict(seeds="one"), "SEEDS='one' must be whole numbers"),
    "a large seed": (dict(seeds="9" * 19), "must be whole numbers"),
    "a folder for the page": (dict(output="{folder}.html"), "is a folder; name a file"),
    "no disk": (dict(output="/proc/x.html"), "/proc is no folder that can be written to"),
    "a recipe": (dict(recipe="fsat"), "did you mean 'fast'"),
    "no page": (dict(output="report.pdf"), "must end in '.html'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_wrong_is_said_before_any_work(tmp_path, monkeypatch, capsys, case):
    monkeypatch.syspath_prepend(ROOT / "workflow")  # where its neighbour is
    spec = importlib.util.spec_from_file_location("report", ROOT / "workflow" / "report.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "run_notebook", None)  # calling it would fail
    monkeypatch.chdir(ROOT)
    change, said = REFUSED[case]
    if change.get("output") == "{folder}.html":
        (folder := tmp_path.with_suffix(".html")).mkdir()
        change = dict(output=folder)
    assert module.main(words(tmp_path, **OWN_OPTIONS | change)) == 2
    error = capsys.readouterr().err
    assert said in error and len(error.strip().splitlines()) <= 3 and not list(tmp_path.iterdir())


def test_a_checkpoint_that_says_its_model_needs_no_name(tmp_path):
    run = TrainingRun(
        model="conv4_w4", dataset="digits", n_train=20, n_test=10, epochs=0, img_size=32
    )
    weights = train(run, root=tmp_path / "with a space", device="cpu").checkpoint()
    section = SECTION.from_parameters(load_scale("smoke") | OWN | dict(finetuned=str(weights)))
    _, pt, ft = section.work.check(section)
    assert (pt.name, ft.name) == ("vit_pico_patch8_32", "conv4_w4")  # not that of the scale
    assert str(weights) in section.command  # repeated as it was given


def test_the_page_says_how_to_repeat_it_with_whole_paths(two):
    section, ds = two
    own = section.model_copy(update=dict(images="/my photos/of cats"))
    assert "/my photos/of cats" in own.made_with({"this run": ds}).data
    assert "/my photos" not in ds.attrs["command"]


def test_one_draw_is_no_series(two):
    section, ds = two
    draws = [section.work.compared(section, each).data for each in (ds, ds.isel(seed=[0]))]
    assert f"<td>{ds.sizes['seed']}, each of other images" in draws[0]
    assert "<td>1</td>" in draws[1] and "each of other" not in draws[1]


def test_both_axes_of_the_baseline_are_the_pretrained_models(two):
    section, ds = two
    labels = [ax.get_xlabel() for ax in figures.flow(section.work.flows(ds)).axes[:2]]
    assert labels == ["fine-tuned layer $j$", "pretrained layer $j$"]


def test_the_flipbook_has_the_layers_of_both_networks(two):
    text = re.search(
        r"<script type='application/json'>(.*?)</script>", explorers.flipbook({"": two[1]}).data
    )
    data, layers = json.loads(text[1]), two[1]["layer"].values.tolist()
    assert list(data["pictures"]) == ["X", "pretrained", "fine-tuned"]
    for rows in data["models"].values():
        assert all(packed["dims"] == {"layer": layers} for packed in rows.values())
