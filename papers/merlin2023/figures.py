"""Figures over epochs and of robustness: corrupted images, accuracy, the scan of correlations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain, cycle, product

import numpy as np
import xarray as xr
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from invlib.plots.panels import counted, grid, legend, line, name_row, panels, picture
from invlib.plots.style import colour_of, look_of, marker_of
from invlib.plots.words import SAID
from papers.claims.correlation import correlate, critical_correlation
from papers.corruptions.corrupted_sets import CORRUPTIONS, SEVERITIES, corrupt
from papers.merlin2023.hypotheses import AGGREGATES, QUANTITIES

__all__ = [
    "accuracy_by_severity",
    "correlation_curves",
    "corruption_grid",
    "epoch_curves",
    "scan_overview",
    "spread_and_accuracy",
]

LEVEL = 0.05
PAPER = dict(color="0.3", linestyle="--", linewidth=1)  # a value that the paper reports
MARKED = "std of forgetting, layers 2-12"  # the paper's main hypothesis
_SEVERITIES = colormaps["YlOrRd"]
_EPOCHS = colormaps["viridis"]


def corruption_grid(
    image: np.ndarray,
    *,
    corruptions: Sequence[str] = CORRUPTIONS,
    severities: Sequence[int] = SEVERITIES,
    seed: int = 0,
) -> Figure:
    """Show one uint8 image (H, H, 3) with every corruption and severity, two corruptions a row.

    Examples
    --------
    >>> from invlib import load_images
    >>> image = load_images("digits", "test").images[0]
    >>> len(corruption_grid(image, corruptions=["fog", "snow", "frost"], severities=[1, 5]).axes)
    6
    """
    down, width = -(-len(corruptions) // 2), len(severities)
    rows = [corruptions[i::down] for i in range(down)]
    counts = [width * len(names) for names in rows]
    with grid(counts, size=(0.62, 0.66), margin=(2.7, 0.3), lines=False) as (fig, axes):
        for row, names in zip(axes, rows, strict=True):
            for ax, (name, severity) in zip(row, product(names, severities), strict=True):
                picture(ax, corrupt(image[None], name, severity, seed=seed)[0])
            for first, name in zip(row[::width], names, strict=True):
                name_row([first], name.replace("_", " "))
        for ax, severity in zip(axes[0], cycle(severities), strict=False):
            ax.set_title(f"{severity}", fontsize="small")
    return fig


def scan_overview(scans: Mapping[str, xr.Dataset]) -> Figure:
    """Draw all correlations of a scan: a row for each quantity, a line of dots per aggregate.

    Outside the grey band, a correlation would be significant at 5 % after Bonferroni if epochs were
    independent. A filled dot is significant with the effective number of epochs too. A ring marks
    the paper's main hypothesis, if the scan has it.

    Parameters
    ----------
    scans
        ``{panel title: Dataset}`` from `robustness_scan.correlation_scan`, only with the dim
        `hypothesis`.
    """
    shown = {name for scan in scans.values() for name in scan["quantity"].values}
    rows = [name for name in QUANTITIES if name in shown]
    size = (5.6 if len(scans) == 1 else 4.6, 0.72 * len(rows) + 1.5)
    with panels([scans], size=size, margin=(1, 0), share=True) as (fig, [drawn]):
        for ax, scan in drawn:
            _no_more_than(scan["correlation"], {"hypothesis"})
            for row, name in enumerate(rows):
                part = scan.isel(hypothesis=scan["quantity"].values == name)
                if part.sizes["hypothesis"]:
                    _strip(ax, row, part)
            ax.axvline(0, color="0.6", linewidth=0.8, zorder=1)
            ax.set(xlim=(-1.04, 1.04), ylim=(len(rows) - 0.45, -0.55))
            ax.set(xlabel="correlation with mean corrupted accuracy")
            ax.grid(axis="y", visible=False)
            ax.set_yticks(range(len(rows)), rows)
            ax.tick_params(axis="y", length=0)
        looks = {name: dict(look_of(i), linestyle="") for i, name in enumerate(AGGREGATES)}
        looks |= {
            "not significant (Bonferroni)": dict(color="0.92", lw=7),
            "filled: significant, effective epochs": _dot("0.35"),
            MARKED: _dot("black", markersize=9, markerfacecolor="none", markeredgewidth=1.4),
        }
        legend(fig, looks, 4 if len(scans) > 1 else 3, fontsize="small")
    return fig


def correlation_curves(
    curves: Mapping[str, Mapping[str, xr.DataArray]], *, reference: float | None = None
) -> Figure:
    """Draw the correlation up to each epoch (figure 14), a line for each entry of a panel.

    The line is the mean over `seed`, the band the range.

    Parameters
    ----------
    curves
        ``{panel title: {label: DataArray}}``, dims epoch and perhaps seed, as
        ``papers.claims.correlation.correlation_up_to(...).correlation`` returns them.
    reference
        The paper's value, drawn as a dashed line.

    Examples
    --------
    >>> toy = xr.DataArray([0.9, 0.8, 0.85], {"epoch": [2, 3, 4]})
    >>> len(correlation_curves({"this run": {"from epoch 0": toy}}).axes)
    1
    """
    looks: dict[str, dict] = {}
    with panels([curves], size=(4.6, 3.4), margin=(1, 0), share=True) as (fig, [drawn]):
        for ax, by_label in drawn:
            ax.axhline(0, color="0.6", linewidth=0.8)
            if reference is not None:
                ax.axhline(reference, **PAPER)
            for label, values in by_label.items():
                _no_more_than(values, {"epoch", "seed"})
                look = looks.setdefault(label, dict(color=colour_of(len(looks))))
                line(ax, values, "epoch", name=label, linewidth=1.8, **look)
            counted(ax, "last epoch $n$ that takes part")
            ax.set_ylim(-1.04, 1.04)
        drawn[0][0].set_ylabel("correlation up to epoch $n$")
        if reference is not None:
            looks[f"the paper, all epochs: {reference:g}"] = PAPER
        legend(fig, looks, 3, fontsize="small")
    return fig


def spread_and_accuracy(
    spread: xr.DataArray, accuracy: xr.DataArray, *, share: bool = True
) -> Figure:
    """Draw the accuracy on corrupted images against the spread of forgetting (figures 6 and 15).

    There is a panel for each `optimizer`. Dots go from dark (the first epoch, with a ring) to
    bright (the last). The corner shows the correlation and its p-value for effective epochs.

    Parameters
    ----------
    spread, accuracy
        From `robustness_scan.forgetting_spread` and `mean_corrupted_accuracy`, dims a subset of
        (optimizer, epoch).
    share
        Whether all panels have the same axes.

    Examples
    --------
    >>> toy = xr.DataArray([[0.1, 0.2, 0.3]], {"optimizer": ["sgd"], "epoch": [0, 1, 2]})
    >>> len(spread_and_accuracy(toy, toy).axes)  # and its colour bar
    2
    """
    for values in (spread, accuracy):
        _no_more_than(values, {"optimizer", "epoch"})
    spread, accuracy = xr.broadcast(*xr.align(spread, accuracy, join="inner"))
    several = spread["optimizer"].values if "optimizer" in spread.dims else []
    runs = {str(run): {"optimizer": run} for run in several} or {"": {}}
    epochs = spread["epoch"].values
    norm = Normalize(epochs.min(), epochs.max())
    frame = dict(size=(3.4, 2.9), margin=(1, 0), sharex=share, share=share)
    with panels([runs], **frame) as (fig, drawn):
        for ax, run in chain(*drawn):
            x, y = spread.sel(run), accuracy.sel(run)
            ax.plot(x, y, color="0.75", linewidth=0.9, zorder=2)
            ax.scatter(x, y, c=epochs, cmap=_EPOCHS, norm=norm, s=22, lw=0, zorder=3)
            ax.plot(*x[:1], *y[:1], "o", ms=8, mfc="none", mec="0.25", zorder=4)
            ax.set_xlabel(_words(spread))
            place = dict(transform=ax.transAxes, va="top", fontsize="small", gid=SAID)
            ax.text(0.03, 0.97, _note(x, y), **place)
            ax.margins(x=0.07, y=0.16)
        for ax, _ in drawn[0][::2]:
            ax.set_ylabel(_words(accuracy))
        colours = ScalarMappable(norm, _EPOCHS)
        fig.colorbar(colours, ax=fig.axes, shrink=0.85, label="epoch")
    return fig


def accuracy_by_severity(accuracies: Mapping[str, xr.DataArray]) -> Figure:
    """Draw test accuracy by epoch, a line for each severity, clean dotted (figures 5c and 13).

    A dot marks the best epoch of each severity. With a dim `seed`, of trainings, the line is their
    mean and the band the range.

    Parameters
    ----------
    accuracies
        ``{panel title: DataArray}``, dims epoch, severity and perhaps seed and corruption
        (averaged).

    Examples
    --------
    >>> toy = xr.DataArray([[0.9, 0.5], [0.9, 0.6]], {"epoch": [0, 1], "severity": [0, 5]})
    >>> len(accuracy_by_severity({"CIFAR-10-C": toy}).axes)
    1
    """
    looks: dict[int, dict] = {}
    with panels([accuracies], size=(4.6, 3.6), margin=(1, 0), share=True) as (fig, [drawn]):
        for ax, values in drawn:
            values = values.mean("corruption") if "corruption" in values.dims else values
            _no_more_than(values, {"epoch", "severity", "seed"})
            for severity in values["severity"].values.tolist():
                curve = values.sel(severity=severity).dropna("epoch")
                if not curve.size:
                    continue
                mean = curve.mean("seed") if "seed" in curve.dims else curve
                colour = _SEVERITIES(0.3 + 0.13 * severity) if severity else "0.35"
                looks[severity] = dict(color=colour, linestyle="-" if severity else ":")
                name = f"severity {severity}" if severity else "clean"
                line(ax, curve, "epoch", name=name, linewidth=1.6, **looks[severity])
                best = mean.isel(epoch=int(mean.argmax("epoch")))
                ax.plot(best["epoch"], best, "o", color=colour, ms=5.5, mec="white", zorder=3)
            counted(ax, "epoch")
        drawn[0][0].set_ylabel("test accuracy")
        named = {str(severity or "clean"): looks[severity] for severity in sorted(looks)}
        named["best epoch"] = _dot("0.35")
        legend(fig, named, loc="outside right center", title="severity", fontsize="small")
    return fig


def _strip(ax: Axes, row: int, scan: xr.Dataset) -> None:
    """Draw one quantity of a scan: four lines of dots around y = row, on the band of chance."""
    n = int(scan["n_epochs"].max())
    if n > 2:
        edge = critical_correlation(n, tests=int(scan["n_hypotheses"][0]), level=LEVEL)
        ax.fill_betweenx([row - 0.42, row + 0.42], -edge, edge, color="0.92", lw=0, zorder=0)
    for i, how in enumerate(AGGREGATES):
        part = scan.isel(hypothesis=scan["aggregate"].values == how).dropna("hypothesis")
        y = np.full(part.sizes["hypothesis"], row + (i - 1.5) * 0.2)
        significant = part["p_value_autocorrelation_bonferroni"].values < LEVEL
        style = dict(marker=marker_of(i), s=17, linewidth=0.8, zorder=3, clip_on=False)
        face = np.where(significant, colour_of(i), "none")
        ax.scatter(part["correlation"], y, facecolor=face, edgecolor=colour_of(i), **style)
        at = part["hypothesis"].values == MARKED
        ax.scatter(part["correlation"][at], y[at], marker="o", s=105, fc="none", ec="k", zorder=4)


def _no_more_than(values: xr.DataArray, dims: set[str]) -> None:
    more = [dim for dim in values.dims if dim not in dims]
    if more:
        raise ValueError(f"choose one of {more[0]!r} first: only {sorted(dims)} can be drawn")


def _dot(colour: str, **style: object) -> dict[str, object]:
    return dict(color=colour, marker="o", linestyle="", **style)


def _words(values: xr.DataArray) -> str:
    return str(values.attrs.get("long_name", values.name or ""))


def _note(x: xr.DataArray, y: xr.DataArray) -> str:
    results = correlate(x, y)
    r, p, n = (
        float(results[name])
        for name in ("correlation", "p_value_autocorrelation", "n_epochs_effective")
    )
    return f"$r$ = {r:.2f}, $p$ = {p:.2g} ({n:.0f} effective epochs)"


def epoch_curves(rows: Mapping[str, Mapping[str, xr.DataArray]]) -> Figure:
    """Draw quantities by epoch, a line for each layer, early layers dark and late ones light.

    `rows` are as in `invlib.plots.layer_curves`, with dims epoch, layer and perhaps seed.

    Examples
    --------
    >>> toy = xr.DataArray([[0.0, 0.0], [0.1, 0.3]], dict(epoch=[0, 1], layer=[0, 1]))
    >>> len(epoch_curves({"this run": {"learning": toy}}).axes)  # and its colour bar
    2
    """
    with panels(rows, size=(3.5, 2.6), share=True) as (fig, drawn):
        for row in drawn:
            last = max(int(values["layer"].max()) for _, values in row)
            colours = ScalarMappable(Normalize(0, last * 1.12), "viridis")  # no pale yellow
            for ax, values in row:
                values = values.mean("seed") if "seed" in values.dims else values
                for layer in values["layer"].values:
                    look = dict(color=colours.to_rgba(layer), marker=".", markersize=6)
                    name = f"layer {layer}"
                    line(ax, values.sel(layer=layer), "epoch", name=name, linewidth=1.3, **look)
                counted(ax, "epoch")
            bar = fig.colorbar(colours, ax=[ax for ax, _ in row], label="layer", pad=0.01)
            bar.ax.set_ylim(0, last)
            bar.ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    return fig
