"""What it costs: the Dataset says it all, and the table has a line for each main number."""

from __future__ import annotations

import numpy as np
import pytest

from invlib import load_model
from papers.engine.costs import PRECISIONS, to_distance
from papers.engine.operations import noise
from papers.engine.what_it_costs import WhatItCosts
from papers.engine.work.what_it_costs import table as costs_table
from papers.parameters import ParameterError

QUICK = dict(
    scale="tests", model="vit_pico_patch8_32", bench_images=[4, 6], bench_iterations=[2, 1],
    bench_rounds=[2, 1], bench_memory_images=[4, 8], bench_cka_images=5,
)  # fmt: skip


@pytest.fixture(scope="module")
def ds(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("runs")
        patch.setattr("papers.section.runs_root", lambda scale: folder / scale)
        yield WhatItCosts.from_parameters(QUICK).dataset()


def test_the_table_has_a_line_for_each_precision_of_a_gpu(ds):
    rows = {
        "gpu_time": (("precision", "gpu_round"), [[9.0, 4, 6], [9, 2, 2], [9, 1, 1]]),
        "gpu_rate": (("precision", "gpu_round"), [[0.2, 1, 1], [0.2, 2, 2], [0.2, 4, 4]]),
        "gpu_deviation": ("precision", [0, 0.001, 0.002]),
        "gpu_deviation_max": ("precision", [0, 0.01, 0.02]),
    }
    table = costs_table({"": ds.assign(rows).assign_coords(precision=list(PRECISIONS))})[""]
    said = "the paper's comparison on a GPU, one seed, "
    assert table[f"{said}float32"] == "5 s (9 s the first time)"
    assert table[f"{said}bfloat16: rate"] == "4 TFLOP/s"
    assert table[f"{said}TF32: debiased STIR off by"] == "0.0010, at most 0.0100"
    assert f"{said}float32: debiased STIR off by" not in table


def test_the_dataset_says_it_all(ds):
    assert ds.attrs["kind"] == "benchmark"
    for array in ds.data_vars.values():
        assert array.attrs["long_name"] and array.attrs["units"]
    first = ds.sel(images=4)
    assert np.isfinite(first.matrices_time).all() and (first.speedup > 0).all()
    assert np.isnan(ds.matrices_time.sel(images=6, way="reference style")).all()
    assert float(ds.deviation.max()) < 1e-4 and float(ds.cka_deviation) < 1e-10
    assert int(ds.reference_pairs) == 36 and ds.block_passes.values.tolist() == [324, 24, 24]
    assert ds.sweep_size.values.tolist() == [[4, 8], [1, 2], [2, 4], [1, 2]]
    assert (ds.sweep_cost.sel(share=1) == 1).all()
    assert (ds.peak_memory > 0).all()
    assert (ds.distance_steps >= 1).all() and (ds.distance_steps <= 4).all()
    arrived = ds.distance_arrived == 1
    assert (ds.distance_left.where(arrived, 0) <= 0.3).all() and (ds.snapshot_cost > 0).all()


def test_layers_are_timed_to_a_distance_and_given_up_after_enough_steps():
    model = load_model("vit_pico_patch8_32")
    images = noise(model, 4)
    near = to_distance(model, images, 0.5, 30)
    _, steps, *_ = near["distance_steps"]
    assert 1 <= min(steps) and max(steps) < 30
    assert near["distance_arrived"][1] == [1.0] * 4
    assert max(near["distance_left"][1]) <= 0.5
    far = to_distance(model, images, 1e-6, 3)
    assert far["distance_steps"][1] == [3] * 4 and far["distance_arrived"][1] == [0.0] * 4


def test_the_table_has_a_line_for_each_main_number(ds):
    table = costs_table({"this run": ds, "reference": ds})
    assert list(table.columns) == ["this run", "reference"]
    assert "speed-up over reference style, 4 images × 2 iterations" in table.index
    assert not any("6 images" in line and "reference style" in line for line in table.index)
    assert (table != "").all(axis=None)


def test_as_many_iterations_as_images():
    with pytest.raises(ParameterError, match="must be 2 numbers, one for each of bench_images"):
        WhatItCosts.from_parameters({"bench_iterations": [1]})
