"""Reading at a distance: between snapshots, never outside of what was reached."""

import re

import numpy as np
import pytest
import xarray as xr

from invlib.metrics.distances import at_distance, extrapolate, gap
from invlib.metrics.invariance import forgetting, invariance_flow, learning

STEPS, LAYERS = [25, 50, 100], [0, 1]
# by snapshot, the distances that two layers have left; and STIR, which is linear in them
LEFT = {
    "pt": [[0.5, 0.9], [0.3, 0.6], [0.2, 0.5]],
    "ft": [[0.6, 0.8], [0.4, 0.5], [0.1, 0.45]],
}


def stir(a: float, b: float, reference: str) -> np.ndarray:
    """a − b · distance of the ref_layer + a tenth of the layer, (snapshot, ref_layer, layer)."""
    left = np.array(LEFT[reference])[:, :, None]
    return a - b * left + 0.1 * np.array(LAYERS)


@pytest.fixture
def ds():
    dims = ("snapshot", "ref_layer", "layer")
    values = {
        "stir_pt_pt": stir(0.9, 0.2, "pt"), "stir_ft_pt": stir(0.8, 0.6, "pt"),
        "stir_ft_ft": stir(0.9, 0.1, "ft"), "stir_pt_ft": stir(0.7, 0.5, "ft"),
    }  # fmt: skip
    out = xr.Dataset(
        {name: (dims, array) for name, array in values.items()},
        dict(snapshot=STEPS, ref_layer=LAYERS, layer=LAYERS),
    )
    for model, left in LEFT.items():
        out[f"inversion_loss_{model}"] = (dims[:2], left)
    out["cka_ft_pt"] = (dims[1:], np.eye(2))
    return out.assign_attrs(kind="comparison")


@pytest.mark.parametrize("distance", [0.5, 0.52, 0.55])
def test_what_is_linear_in_distance_is_read_exactly(ds, distance):
    """Of layer 1, which two snapshots of each model enclose."""
    one = at_distance(ds, distance).sel(ref_layer=1)
    assert set(one.dims) == {"layer"} and one.attrs == ds.attrs
    np.testing.assert_allclose(one.stir_ft_pt, 0.8 - 0.6 * distance + np.array([0, 0.1]))
    np.testing.assert_allclose(one.inversion_loss_pt, distance)
    read = at_distance(ds, distance)
    np.testing.assert_allclose(forgetting(read)[1], 0.1 + 0.4 * distance)
    np.testing.assert_allclose(learning(read)[1], 0.2 + 0.4 * distance)


def test_what_was_not_reached_is_missing(ds):
    read = at_distance(ds, 0.3)  # layer 1 of neither model came so far
    assert read.stir_ft_pt.sel(ref_layer=1).isnull().all()
    np.testing.assert_allclose(read.stir_ft_pt.sel(ref_layer=0), [[0.62, 0.72]][0])
    assert at_distance(ds, 0.95).stir_ft_pt.isnull().all()  # nearer from the first snapshot on
    assert at_distance(ds, 0.05).stir_ft_pt.isnull().all()
    ends = at_distance(ds, 0.2), at_distance(ds, 0.5)  # the last and the first snapshot themselves
    assert all(one.stir_ft_pt.sel(ref_layer=0).notnull().all() for one in ends)


@pytest.mark.parametrize(
    ("values", "left", "distance", "expected"),
    [
        ([0.0, 0.6, 0.8], [0.4, 0.2, 0.1], 0.15, 0.7),  # the two that enclose it, no others
        ([0.6, np.nan], [0.4, 0.2], 0.4, 0.6),  # at the first snapshot, it alone
    ],
)
def test_a_curve_is_read_between_its_nearest_snapshots(values, left, distance, expected):
    one = xr.Dataset(
        {
            "stir_ft_pt": (("snapshot", "ref_layer", "layer"), np.reshape(values, (-1, 1, 1))),
            "inversion_loss_pt": (("snapshot", "ref_layer"), np.reshape(left, (-1, 1))),
        },
        dict(snapshot=range(len(left)), ref_layer=[3], layer=[3]),
    )
    assert at_distance(one, distance).stir_ft_pt.item() == pytest.approx(expected)


def test_the_flow_matrix_subtracts_inversions_at_one_distance(ds):
    flow = invariance_flow(at_distance(ds, 0.5))
    # both rows at 0.5: only what hangs on the layer is left, a tenth for each
    np.testing.assert_allclose(flow, [[0, 0.1], [-0.1, 0]], atol=1e-12)
    missing = invariance_flow(at_distance(ds, 0.3))
    assert (
        missing.isel(ref_layer=0, layer=1).isnull() and missing.isel(ref_layer=1, layer=0).isnull()
    )
    assert missing.isel(ref_layer=0, layer=0) == 0


def test_diagonals_and_seeds_are_read_alike(ds):
    two = xr.concat([ds, ds.assign(stir_pt_pt=ds.stir_pt_pt + 0.05)], xr.Variable("seed", [0, 1]))
    for model in LEFT:
        two[f"inversion_loss_{model}"] = two[f"inversion_loss_{model}"] * xr.DataArray(
            [1, 0.9], dims="seed"
        )
    two["stir_pt_pt_diagonal"] = two.stir_pt_pt.isel(ref_layer=1, drop=True)
    read = at_distance(two, 0.48)
    # the second seed's inversions got nearer: the same distance is at other snapshots
    np.testing.assert_allclose(
        read.stir_pt_pt.sel(ref_layer=1, layer=0).values, [np.nan, 0.95 - 0.2 * 0.48 / 0.9]
    )
    same = read.stir_pt_pt_diagonal.sel(layer=1), read.stir_pt_pt.sel(ref_layer=1, layer=1)
    np.testing.assert_allclose(*same)


def test_what_is_stored_without_each_image_is_read_with_its_matrix(ds):
    stored = ds.assign(test_loss=("snapshot", [3.0, 2.0, 1.0]))[["test_loss", *ds]]
    without = xr.DataArray([0.0, 0.1, 0.3], dims="left_out")
    matrix = ds.stir_ft_pt.assign_attrs(long_name="STIR", units="1")
    diagonal = matrix.isel(ref_layer=1, drop=True)
    stored = stored.assign(
        stir_ft_pt=matrix,
        stir_ft_pt_left_out=matrix + without,
        stir_ft_pt_jackknife=diagonal + without,
    )
    read = at_distance(stored, 0.55)
    assert "test_loss" not in read and "snapshot" not in read.coords
    assert read.stir_ft_pt.attrs == matrix.attrs
    np.testing.assert_allclose(read.stir_ft_pt_left_out, read.stir_ft_pt + without)
    own = read.stir_ft_pt.sel(ref_layer=1, layer=1)
    np.testing.assert_allclose(read.stir_ft_pt_jackknife.sel(layer=1), own + without)
    assert np.isfinite(own)


def test_the_centred_distance_is_another_unit(ds):
    for model in LEFT:  # where images differ by half of their norm, the distance is twice as long
        ds[f"inversion_loss_centred_{model}"] = 2 * ds[f"inversion_loss_{model}"]
    centred, relative = at_distance(ds, 1.0, unit="centred"), at_distance(ds, 0.5)
    xr.testing.assert_allclose(centred, relative)
    with pytest.raises(ValueError, match="unit='center' is not one of .*did you mean 'centred'"):
        at_distance(ds, 1.0, unit="center")


def _curves(*ends):
    """Return STIR and distance of recipes that end at `ends`: three snapshots each, NaN before."""
    left = xr.DataArray(
        [[np.nan, 1.0, (1 + end) / 2, end] for end in ends],
        dict(recipe=range(len(ends)), snapshot=range(4)),
        ("recipe", "snapshot"),
    )
    return 1 - 0.5 * left, left


def test_recipes_on_one_curve_have_no_gap_however_far_they_get():
    values, left = _curves(0.1, 0.4, 0.05)
    np.testing.assert_allclose(gap(values, left, "recipe"), 0, atol=1e-12)
    off = values + 0.2 * (left.recipe == 1) * (left.snapshot == 2)
    np.testing.assert_allclose(gap(off, left, "recipe"), [0, 0.2, 0], atol=1e-12)


def test_recipes_without_a_distance_in_common_have_no_gap_to_measure():
    values, left = _curves(0.1, 0.4)
    far = left.where(left.recipe == 0, left + 5)
    assert gap(values, far, "recipe").isnull().values.tolist() == [False, True]
    for without in [(values, left.isel(recipe=0)), (values.isel(recipe=0), left)]:
        has = "they have {} and {}".format(*(array.dims for array in without))
        said = f"values and left need a dim 'recipe'; {has}"
        with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
            gap(*without, "recipe")


@pytest.mark.parametrize(
    ("values", "left", "expected"),
    [
        ([[0.6, 0.8], [0.9, 0.9]], [[0.4, 0.2], [0.4, 0.1]], 0.3),  # both at 0.4
        ([[0.6, 0.8], [0.9, 0.9]], [[0.4, 0.2], [0.5, 0.2]], 0.1),  # both at 0.2
        ([[np.nan, 0.8], [0.9, 0.9]], [[0.4, 0.2], [0.3, 0.2]], 0.1),  # the first at 0.2 alone
    ],
)
def test_the_ends_of_a_curve_are_in_common_too(values, left, expected):
    values, left = (xr.DataArray(z, dims=("recipe", "snapshot")) for z in (values, left))
    np.testing.assert_allclose(gap(values, left, "recipe"), [0, expected])


@pytest.mark.parametrize(("form", "shape"), [("a + b·d", 1), ("a + b·d²", 2)])
def test_each_form_is_exact_where_it_is_true(form, shape):
    left = [[1.5, 1.0, 0.55, 0.1], [1.5, 1.0, 0.7, 0.4]]
    left = xr.DataArray(left, dims=("recipe", "snapshot"))
    found = extrapolate(0.3 + 0.6 * left**shape, left)
    np.testing.assert_allclose(found.at_zero.sel(form=form), 0.3, atol=1e-12)
    np.testing.assert_allclose(found.held_out.sel(form=form), 0, atol=1e-12)
    other = found.drop_sel(form=form)
    assert (abs(other.at_zero - 0.3) > 0.02).all() and (abs(other.held_out) > 0.005).all()


def test_too_few_snapshots_are_not_extrapolated():
    left = xr.DataArray([np.nan, 0.4, 0.2], dims="snapshot")
    assert extrapolate(left, left).at_zero.isnull().all()
    three = extrapolate(left.fillna(0.8), left.fillna(0.8))
    assert three.at_zero.notnull().all() and three.held_out.isnull().all()


def test_an_extrapolation_takes_the_last_three_and_is_judged_by_those_before():
    d, y = np.array([9.0, 1.0, 0.6, 0.4, 0.3]), np.array([5.0, 0.2, 0.5, 0.6, 0.9])
    values, left = (xr.DataArray(z, dims="snapshot") for z in (y, d))
    found = extrapolate(values, left).sel(form="a + b·d")

    def line(d, y, at):
        slope = ((d - d.mean()) * (y - y.mean())).sum() / ((d - d.mean()) ** 2).sum()
        return y.mean() + slope * (at - d.mean())

    assert float(found.at_zero) == pytest.approx(line(d[2:], y[2:], 0))
    assert float(found.held_out) == pytest.approx(line(d[1:4], y[1:4], 0.3) - 0.9)
    two = extrapolate(values, left, last=2).sel(form="a + b·d")
    assert float(two.at_zero) == pytest.approx(line(d[3:], y[3:], 0))
    # a snapshot that lacks either number is none, and three at one distance have no slope
    for a, b in [(values.where(left != 0.6), left), (values, left.where(left != 0.6))]:
        assert float(extrapolate(a, b).at_zero[0]) == pytest.approx(
            line(d[[1, 3, 4]], y[[1, 3, 4]], 0)
        )
    assert extrapolate(values, 0 * left).at_zero.isnull().all()
    same = extrapolate(values, xr.DataArray([9.0, 1.0, 1.0, 1.0, 0.3], dims="snapshot"))
    assert same.held_out.isnull().all() and same.at_zero.notnull().all()
    far = extrapolate(values, xr.DataArray([3.0, 2.5, 2.0, 1.5, 1.0], dims="snapshot"))
    assert far.at_zero.notnull().all() and far.held_out.notnull().all()  # they span 1, not 0


@pytest.mark.parametrize(("wrong", "said"), [(0, "distance=0"), (float("nan"), "distance=nan")])
def test_distances_of_no_use_are_refused(ds, wrong, said):
    with pytest.raises(ValueError, match=f"^{said} must be a positive number$"):
        at_distance(ds, wrong)
    said = "this comparison has no snapshots: compare(..., snapshots=(25, 50, 100))"
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        at_distance(ds.isel(snapshot=0, drop=True), 0.5)
