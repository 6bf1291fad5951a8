"""What the pages say of a GPU is what its results hold."""

import json
from pathlib import Path

import numpy as np
import pytest

from invlib import forgetting
from invlib.paths import results_root
from invlib.results.netcdf import open_results

ROOT = Path(__file__).resolve().parents[2]


def page(name):
    cells = json.loads((ROOT / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    text = " ".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    return " ".join(text.split())


def result(name):
    return open_results(results_root("gpu") / f"{name}.nc")


def timed(ds, precision, images, steps):
    asked = (
        (ds["timing_precision"] == precision)
        & (ds["timing_images"] == images)
        & (ds["timing_iterations"] == steps)
    )
    return ds["seconds"][asked].values


def test_what_a_comparison_took():
    text, ds = page("what_it_costs"), result("precisions")
    took = {p: timed(ds, p, 500, 50) for p in ("float32", "TF32", "bfloat16")}
    assert not len(took["float32"])  # "was not run at that size"
    (few,) = timed(ds, "float32", 500, 5)
    assert set(ds["timing_card"].values) == {"NVIDIA H100 80GB HBM3"}
    (fast,), (medium,) = took["bfloat16"], took["TF32"]
    assert fast > 15 and medium > 40  # both aims missed
    assert f"an H100 took {fast:.1f} s and {medium:.1f} s. Float32 was not run at that" in text
    assert f"with 5 steps it took {few:.1f} s" in text


def test_what_a_precision_changes():
    text, ds = page("what_it_costs"), result("precisions")
    untrained = ds.sel(pair=[pair for pair in ds["pair"].values if "ViT-B/32" in pair])
    assert untrained["off_max"].max() <= 0.001  # "hardly notice"
    tuned, other = (
        ds.sel(pair=next(pair for pair in ds["pair"].values if words in pair))
        for words in ("ImageNet against fine-tuned", "ImageNet against untrained")
    )
    off = tuned.sel(way="TF32")
    assert f"by up to {off['off_max']:.3f} off the diagonal" in text
    assert f"and {off['off_diagonal_max']:.4f} on it" in text
    assert f"by up to {other['off_diagonal_max'].sel(way='TF32'):.3f} on the diagonal" in text
    assert (ds["off_max"].sel(way=["TF32", "bfloat16"]).max("pair") > 0.005).all()
    chunk = ds["off_max"].sel(way="float32, other chunk").max()
    assert f"another chunk moves single values by up to {chunk:.4f}" in text


def test_what_was_checked():
    text, ds = page("what_it_costs"), result("checks")
    off = {str(k): float(v) for k, v in zip(ds["network"].values, ds["off_mean"], strict=True)}
    for network, value in off.items():
        small = "ngd" in network or "vit_nano" in network
        assert (value <= 0.001) == small, network
    assert ds["again"] == 0 and ds["waits"][1] <= ds["waits"][0]
    least, most = ds["peak_memory"].sel(images=[64, 500]).values
    assert f"64 images take {least:.1f} GiB at the peak and 500 take {most:.1f} GiB" in text


def test_section_4_1_at_224_pixels():
    text, ds = page("finetuning_task"), result("finetuning_task")
    one = ds.sel(estimator="debiased", dataset="cifar10").isel(seed=0)
    assert f"to an accuracy of {one.test_accuracy.sel(task='classification'):.3f}" in text
    assert ds.attrs["device"].startswith("cuda: NVIDIA H200") and ds.sizes["left_out"] == 170
    lost = forgetting(one)
    first, third, last = lost.sel(task="reconstruction", layer=[1, 3, 12]).values
    assert f"{first:.2f} in layer 1, {third:.2f} in layer 3 and {last:.2f} in layer 12" in text
    kept = lost.sel(task="classification")
    late = kept.sel(layer=slice(8, 12))
    words = f"at most {kept.sel(layer=slice(0, 7)).max():.2f} up to layer 7 and "
    assert f"{words}{late.min():.2f} to {late.max():.2f} from layer 8 on" in text
    assert kept.sel(layer=[0, 1]).max() < 0.02  # no U
    before, after = one.inversion_loss_ft.sel(task="classification", ref_layer=[7, 8]).values
    assert f"falls from {before:.3f} to {after:.3f} between layers 7 and 8" in text


def test_one_channel_carries_the_late_layers():
    share = result("convergence")["channel_share"]
    early, late = share.sel(layer=[6, 8]).values
    words = f"{early:.0%} of the squared norm at layer 6 and {late:.0%} at layer 8"
    assert words.replace("%", " %") in page("finetuning_task")
    assert share.sel(layer=slice(8, None)).min() > 0.9


def test_steps_at_224_pixels():
    text, ds = page("how_inverted"), result("convergence")
    one = ds.sel(estimator="debiased").isel(seed=0)
    lost, left = forgetting(one), one.inversion_loss_pt.rename(ref_layer="layer")
    from_, to = (lost.sel(recipe=f"fast:{steps}", layer=[6, 12]).values for steps in (50, 400))
    words = [f"from {a:.3f} to {b:.3f} in layer" for a, b in zip(from_, to, strict=True)]
    assert f"{words[0]} 6 and {words[1]} 12" in text
    few, many = lost.sel(recipe=["ngd:50", "ngd:500"], layer=6).values
    assert f"in layer 6 it is {few:.3f} after 50 steps and {many:.3f} after 500" in text
    slow, fast = left.sel(recipe=["ngd:500", "fast:50"], layer=6).values
    assert f"a distance of {slow:.3f} where 50 steps of `fast` leave {fast:.3f}" in text
    kept = (one.stir_pt_pt_jackknife - one.stir_ft_pt_jackknife).sel(layer=12, recipe="fast:200")
    error = float(np.sqrt((kept.size - 1) * kept.astype(float).var()))
    assert f"standard error over images is {error:.2f}" in text


@pytest.mark.parametrize("path", ["README.md", "book/running.md", "book/intro.md"])
def test_no_page_says_that_no_gpu_was_met(path):
    assert "has not met a GPU" not in " ".join((ROOT / path).read_text(encoding="utf-8").split())
