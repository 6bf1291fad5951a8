"""Names that are refused, with the nearest and a short list; one value and several."""

import pytest
import xarray as xr

from invlib.names import choices, dataset, each, refused, unknown


def test_a_long_list_is_cut_and_counted():
    names = [f"a_rather_long_name_{k}" for k in range(40)]
    for said in (unknown("word", "a_rather_long_nam_33", names), refused("p", "x33", names)):
        assert len(said) < 250 and " … (40)" in said
    assert "did you mean 'a_rather_long_name_33'" in unknown("word", "a_rather_long_nam_33", names)
    assert "…" not in unknown("word", "x", ["one", "two words"])


@pytest.mark.parametrize(
    ("value", "values"), [("ab", ["ab"]), (3, [3]), (None, [None]), ((1, 2), [1, 2])]
)
def test_what_is_no_collection_is_one_value(value, values):
    assert each(value) == values


def test_a_choice_of_nothing_is_refused_by_name():
    with pytest.raises(ValueError, match="similarities=None is not one of 'a'"):
        choices("similarities", each(None)[0], ["a"])


def test_only_a_dataset_is_a_dataset():
    ds = xr.Dataset({"a": 1})
    assert dataset(ds) is ds
    for other in ("file.nc", ds["a"], None, {"a": 1}):
        with pytest.raises(
            TypeError, match=rf"ds is of type {type(other).__name__}, not .*open_res"
        ):
            dataset(other)
