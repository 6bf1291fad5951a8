"""The plan of a scale: its costs are those measured, its sizes those declared."""

from __future__ import annotations

import subprocess
import sys

import pytest
import timm
import torch
import yaml
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from invlib import load_model
from invlib.results.netcdf import open_results
from papers.engine import operations
from papers.engine.plan import inversion_flop, plan, plan_text, training_flop
from papers.parameters import load_scale
from papers.sections import SECTIONS, runs_of
from tests.workspace import ROOT

COSTS = yaml.safe_load((ROOT / "papers" / "engine" / "plan.yaml").read_text())
PICO = dict(depth=3, width=32, patch=8, img_size=32)


def of_scale(scale: str):
    sections = {n: cls.from_parameters(load_scale(scale)) for n, cls in SECTIONS.items()}
    return sections, runs_of(s for s in sections.values() if not s.own_trainings)


def test_the_rate_is_the_one_measured_on_the_card():
    ds = open_results(ROOT / "data" / "results" / "gpu" / "precisions.nc")
    one = (ds["timing_precision"] == COSTS["precision"]) & (ds["timing_iterations"] == 50)
    (timing,) = ds.isel(timing=one.values.nonzero()[0])["timing"].values
    measured = ds.sel(timing=timing)
    assert measured["timing_card"] == COSTS["card"] and measured["timing_images"] == 48
    assert COSTS["inversion_rate"] == round(float(measured["rate"]), 1)


@pytest.mark.parametrize("name", COSTS["models"])
def test_the_models_are_as_the_table_says(name):
    with torch.device("meta"):
        net = timm.create_model(name)
    said = dict(COSTS["models"][name])
    assert said.pop("parameters") == sum(p.numel() for p in net.parameters())
    patch = net.patch_embed.patch_size[0]
    assert said == dict(depth=len(net.blocks), width=net.embed_dim, patch=patch)


def test_operations_are_those_that_pytorch_counts():
    model = load_model("vit_pico_patch8_32")
    once, twice = (operations.inversion_flop(model, model.layers, k) for k in (1, 2))
    assert inversion_flop(**PICO) == twice - once
    model.net.requires_grad_(True)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model.features(operations.noise(model, 1), [3])[0].square().sum().backward()
    assert training_flop(**PICO) == counter.get_total_flops()


def test_rows_are_sizes_times_costs():
    sections, runs = of_scale("paper")
    rows = {row.what: row for row in plan(sections, runs.values(), 16)}
    row = rows["dynamics: inversions"]
    # four data sets, the start and 100 epochs each, three seeds
    inversions = 4 * 101 * 3
    assert row.jobs == 16 and len(sections["dynamics"].to_invert()) == inversions
    flop = inversions * 500 * 50 * inversion_flop(depth=12, width=768, patch=32, img_size=224)
    assert row.hours == pytest.approx(flop / (COSTS["inversion_rate"] * 1e12) / 3600)
    assert row.gigabytes == pytest.approx(inversions * 13 * 500 * 3 * 224**2 * 4 / 1e9)
    assert rows["trainings"].jobs == len(runs)
    assert rows["sections, which gather"].hours is None  # nobody has measured it


def test_what_was_not_measured_has_no_number():
    rows = plan(*(lambda sections, runs: (sections, runs.values()))(*of_scale("smoke")), 2)
    assert all(row.hours is None and row.gigabytes is None for row in rows)
    assert "together" in plan_text(*of_scale("smoke"), 2)


def test_the_page_shows_what_is_known_of_the_paper_scale():
    page = (ROOT / "book" / "running.md").read_text(encoding="utf-8")
    sections, runs = of_scale("paper")
    known = [row for row in plan(sections, runs.values(), 16) if row.hours is not None]
    said = plan_text(sections, runs, 16).splitlines()
    table = "\n".join([said[0], *(next(x for x in said if x.startswith(r.what)) for r in known)])
    assert f"```text\n{table}\n```" in page
    hours, gigabytes = (sum(getattr(row, what) for row in known) for what in ("hours", "gigabytes"))
    assert f"together {hours:.0f} hours of a GPU and {gigabytes:.0f} GB" in page


def test_a_dry_run_prints_it():
    command = [sys.executable, "-m", "snakemake", "-n", "--nolock", "--cores", "1", "sections"]
    command += ["--config", "scale=paper", "parts=16"]
    out = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert plan_text(*of_scale("paper"), 16) in out.stderr, out.stderr
