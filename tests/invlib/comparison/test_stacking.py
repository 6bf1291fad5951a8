"""Stacked comparisons: what does not vary is kept once."""

import pytest

from invlib.comparison.compare import compare
from invlib.comparison.stacking import stack
from invlib.data.images import load_images
from invlib.models.loading import load_model
from invlib.results.validation import conform, validate

QUICK = dict(n=6, iterations=4, optimizer="adam", subspace_k=3, cache=False)


@pytest.fixture(scope="module")
def models():
    return tuple(load_model("vit_pico_patch8_32", seed=seed) for seed in (0, 1))


@pytest.fixture(scope="module")
def pool():
    return load_images("digits", "test", n=20)


@pytest.fixture(scope="module")
def ds(models, pool):
    return compare(*models, pool, seeds=[0], **QUICK)


def test_stack_keeps_once_what_does_not_vary(ds):
    both = stack({"classification": ds, "reconstruction": ds}, "task", shared=True)
    for end in ("", "_jackknife"):
        assert both[f"stir_ft_pt{end}"].dims[0] == "task"
        assert "task" not in both[f"stir_pt_pt{end}"].dims
    validate(conform(both))
    other = ds.assign(stir_pt_pt=ds.stir_pt_pt * 0.5)
    with pytest.raises(ValueError, match="not the same pretrained model"):
        stack({"a": ds, "b": other}, "task", shared=True)
    assert stack({"a": ds, "b": other}, "dataset").stir_pt_pt.dims[0] == "dataset"


def test_stack_refuses_another_number_of_images(ds):
    with pytest.raises(ValueError, match="left_out"):
        stack({"a": ds, "b": ds.isel(left_out=slice(5))}, "dataset")
