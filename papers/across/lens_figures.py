"""The figure of the pages that look at several networks by their depth."""

from collections.abc import Mapping
from itertools import chain

import xarray as xr
from matplotlib.figure import Figure

from invlib.plots.panels import legend, line, panels
from invlib.plots.style import look_of

__all__ = ["depth_curves"]

STYLES = {
    "before": dict(linestyle=":", linewidth=1.4),
    "untrained": dict(linestyle="--", linewidth=0.9, marker=""),
}


def depth_curves(quantities: Mapping[str, xr.DataArray], depth: xr.DataArray) -> Figure:
    """Draw quantities against depth in [0, 1], a line for each case.

    It is dotted where `when` is before, and thin and dashed where it is untrained.

    Parameters
    ----------
    quantities
        ``{panel title: DataArray}``, dims case, place, perhaps seed (line: mean, band: range),
        when.
    depth
        Depth of each place, dims case and place.

    Examples
    --------
    >>> toy = xr.DataArray([[0.0, 0.5]], {"case": ["A"], "place": [0, 1]})
    >>> len(depth_curves({"learning": toy}, toy).axes)
    1
    """
    looks = {case: look_of(i) for i, case in enumerate(depth["case"].values.tolist())}
    with panels([quantities], size=(3.5, 2.6), margin=(0, 0.5)) as (fig, drawn):
        for ax, values in chain(*drawn):
            for case, look in looks.items():
                curves = values.sel(case=case).assign_coords(depth=depth.sel(case=case))
                for when in curves["when"].values if "when" in curves.dims else [None]:
                    curve = curves if when is None else curves.sel(when=when)
                    style = STYLES.get(when, dict(linestyle="-", linewidth=1.4))
                    name = case if when is None else f"{case} {when}"
                    line(ax, curve, "depth", name=name, **look | style)
            ax.set_xlabel("depth in the network")
        whens = {when for q in quantities.values() if "when" in q.dims for when in q["when"].values}
        looks |= {when: dict(color="0.4") | STYLES[when] for when in STYLES if when in whens}
        legend(fig, looks, 3)
    return fig
