"""Figures of the robustness section: the scan, its growth over epochs, and what it is made of."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from invlib.plots.style import STYLE, colour_of, marker_of
from papers.merlin2023.correlation import correlate, critical_correlation
from papers.merlin2023.hypotheses import AGGREGATES, QUANTITIES

__all__ = ["accuracy_by_severity", "correlation_curves", "scan_overview", "spread_and_accuracy"]

LEVEL = 0.05
_SEVERITIES = plt.get_cmap("YlOrRd")
_EPOCHS = plt.get_cmap("viridis")


def scan_overview(
    scans: Mapping[str, xr.Dataset], *, mark: str = "std of forgetting, layers 2-12"
) -> Figure:
    """Draw every correlation of a scan: a row a quantity, a line of dots an aggregate.

    Beyond the grey band a correlation is significant at 5 % after Bonferroni, were epochs
    independent; a filled dot still is with the effective number of epochs. A ring marks the
    hypothesis `mark`, where there is such a one.

    Parameters
    ----------
    scans
        ``{panel title: Dataset}`` from `robustness_scan.correlation_scan`, with the dim
        `hypothesis` alone.
    mark
        A value of `hypothesis`; by default the paper's own.
    """
    shown = {name for scan in scans.values() for name in scan["quantity"].values}
    rows = [name for name in QUANTITIES if name in shown]
    with plt.rc_context(STYLE):
        width = 5.6 if len(scans) == 1 else 4.6
        fig, axes = _panels(len(scans), width=width, height=0.72 * len(rows) + 1.5, sharey=True)
        for ax, (title, scan) in zip(axes, scans.items(), strict=True):
            _no_more_than(scan["correlation"], {"hypothesis"})
            ax.set_title(title)
            for row, name in enumerate(rows):
                one = scan.isel(hypothesis=scan["quantity"].values == name)
                if one.sizes["hypothesis"]:
                    _strip(ax, row, one, mark)
            ax.axvline(0, color="0.6", linewidth=0.8, zorder=1)
            ax.set(xlim=(-1.04, 1.04), ylim=(len(rows) - 0.45, -0.55))
            ax.set(xlabel="correlation with mean corrupted accuracy")
            ax.grid(axis="y", visible=False)
            ax.set_yticks(range(len(rows)), rows)
            ax.tick_params(axis="y", length=0)
        handles = [_dot(colour_of(i), name, marker_of(i)) for i, name in enumerate(AGGREGATES)]
        handles += [
            plt.Rectangle((0, 0), 1, 1, color="0.92", label="not significant (Bonferroni)"),
            _dot("0.35", "filled: significant, effective epochs"),
            _dot("black", mark, size=9, markerfacecolor="none", markeredgewidth=1.4),
        ]
        columns = 4 if len(scans) > 1 else 3
        fig.legend(handles=handles, loc="outside lower center", ncols=columns, fontsize="small")
    plt.close(fig)  # the notebook shows what the cell returns, once
    return fig


def correlation_curves(
    panels: Mapping[str, Mapping[str, xr.DataArray]], *, reference: float | None = None
) -> Figure:
    """Draw the correlation up to each epoch (figure 14): a line for each entry of a panel.

    The line is the mean over `seed`, the band its range.

    Parameters
    ----------
    panels
        ``{panel title: {label: DataArray}}``, dims epoch and perhaps seed, as
        ``papers.merlin2023.correlation.correlation_up_to(...).correlation`` returns them.
    reference
        A value drawn as a dashed line: what the paper reports.

    Examples
    --------
    >>> toy = xr.DataArray([0.9, 0.8, 0.85], {"epoch": [2, 3, 4]})
    >>> len(correlation_curves({"this run": {"from epoch 0": toy}}).axes)
    1
    """
    with plt.rc_context(STYLE):
        fig, axes = _panels(len(panels), width=4.6, height=3.4, sharey=True)
        styles: dict[str, int] = {}
        for ax, (title, curves) in zip(axes, panels.items(), strict=True):
            ax.set_title(title)
            ax.axhline(0, color="0.6", linewidth=0.8)
            if reference is not None:
                ax.axhline(reference, color="0.3", linestyle="--", linewidth=1)
            for label, values in curves.items():
                _no_more_than(values, {"epoch", "seed"})
                colour = colour_of(styles.setdefault(label, len(styles)))
                if "seed" in values.dims:
                    band = values.min("seed"), values.max("seed")
                    ax.fill_between(values["epoch"], *band, color=colour, alpha=0.15, lw=0)
                    values = values.mean("seed")
                ax.plot(values["epoch"], values, color=colour, linewidth=1.8)
            ax.set(xlabel="last epoch $n$ that takes part", ylim=(-1.04, 1.04))
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes[0].set_ylabel("correlation up to epoch $n$")
        handles = [Line2D([], [], color=colour_of(i), label=label) for label, i in styles.items()]
        if reference is not None:
            label = f"the paper, all epochs: {reference:g}"
            handles.append(Line2D([], [], color="0.3", ls="--", lw=1, label=label))
        fig.legend(handles=handles, loc="outside lower center", ncols=3, fontsize="small")
    plt.close(fig)
    return fig


def spread_and_accuracy(
    spread: xr.DataArray, accuracy: xr.DataArray, *, hue: str = "optimizer", share: bool = True
) -> Figure:
    """Draw the accuracy on corrupted images against the spread of forgetting (figures 6 and 15).

    A panel for each run along `hue`; its path goes from dark (the first epoch, ringed) to bright
    (the last). The corner says the correlation, and its p-value with the effective number of
    epochs.

    Parameters
    ----------
    spread, accuracy
        From `robustness_scan.forgetting_spread` and `mean_corrupted_accuracy`, dims a subset of
        (`hue`, epoch).
    share
        All panels on the same axes.

    Examples
    --------
    >>> toy = xr.DataArray([[0.1, 0.2, 0.3]], {"optimizer": ["sgd"], "epoch": [0, 1, 2]})
    >>> len(spread_and_accuracy(toy, toy).axes)  # and its colour bar
    2
    """
    for values in (spread, accuracy):
        _no_more_than(values, {hue, "epoch"})
    spread, accuracy = xr.broadcast(*xr.align(spread, accuracy, join="inner"))
    runs = spread[hue].values if hue in spread.dims else [None]
    epochs = spread["epoch"].values
    norm = plt.Normalize(epochs.min(), epochs.max())
    with plt.rc_context(STYLE):
        fig, axes = _panels(len(runs), width=3.4, height=3.1, columns=3, sharex=share, sharey=share)
        for ax, run in zip(axes, runs, strict=True):
            x, y = (v if run is None else v.sel({hue: run}) for v in (spread, accuracy))
            ax.plot(x, y, color="0.75", linewidth=0.9, zorder=2)
            ax.scatter(x, y, c=epochs, cmap=_EPOCHS, norm=norm, s=22, lw=0, zorder=3)
            ax.plot(*x[:1], *y[:1], "o", ms=8, mfc="none", mec="0.25", zorder=4)
            ax.set(title="" if run is None else str(run), xlabel=_words(spread))
            ax.text(0.03, 0.97, _said(x, y), transform=ax.transAxes, va="top", fontsize="small")
            ax.margins(x=0.07, y=0.16)
        for ax in axes[::3]:
            ax.set_ylabel(_words(accuracy))
        colours = plt.cm.ScalarMappable(norm, _EPOCHS)
        fig.colorbar(colours, ax=axes, shrink=0.85, label="epoch")
    plt.close(fig)
    return fig


def accuracy_by_severity(panels: Mapping[str, xr.DataArray]) -> Figure:
    """Draw the test accuracy by epoch, a line a severity, clean dotted (figures 5c and 13).

    A dot marks the best epoch of each severity.

    Parameters
    ----------
    panels
        ``{panel title: DataArray}``, dims epoch, severity and perhaps corruption (averaged).

    Examples
    --------
    >>> toy = xr.DataArray([[0.9, 0.5], [0.9, 0.6]], {"epoch": [0, 1], "severity": [0, 5]})
    >>> len(accuracy_by_severity({"CIFAR-10-C": toy}).axes)
    1
    """
    with plt.rc_context(STYLE):
        fig, axes = _panels(len(panels), width=4.6, height=3.6, sharey=True)
        severities: set[int] = set()
        for ax, (title, values) in zip(axes, panels.items(), strict=True):
            values = values.mean("corruption") if "corruption" in values.dims else values
            _no_more_than(values, {"epoch", "severity"})
            ax.set_title(title)
            for severity in values["severity"].values.tolist():
                one = values.sel(severity=severity).dropna("epoch")
                if not one.size:
                    continue
                severities.add(severity)
                colour = _shade(severity)
                dashes = ":" if severity == 0 else "-"
                ax.plot(one["epoch"], one, color=colour, linestyle=dashes, linewidth=1.6)
                best = one.isel(epoch=int(one.argmax("epoch")))
                ax.plot(best["epoch"], best, "o", color=colour, ms=5.5, mec="white", zorder=3)
            ax.set_xlabel("epoch")
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes[0].set_ylabel("test accuracy")
        handles = [
            Line2D([], [], color=_shade(s), ls="-" if s else ":", label=str(s) if s else "clean")
            for s in sorted(severities)
        ]
        handles.append(_dot("0.35", "best epoch"))
        fig.legend(handles=handles, loc="outside right center", title="severity", fontsize="small")
    plt.close(fig)
    return fig


def _strip(ax: Axes, row: int, scan: xr.Dataset, mark: str) -> None:
    """One quantity of the scan: four lines of dots around y = row, over the band of chance."""
    n = int(scan["n_epochs"].max())
    if n > 2:
        edge = critical_correlation(n, tests=int(scan["n_hypotheses"][0]), level=LEVEL)
        ax.fill_betweenx([row - 0.42, row + 0.42], -edge, edge, color="0.92", lw=0, zorder=0)
    for i, how in enumerate(AGGREGATES):
        one = scan.isel(hypothesis=scan["aggregate"].values == how).dropna("hypothesis")
        y = np.full(one.sizes["hypothesis"], row + (i - 1.5) * 0.2)
        sure = one["p_value_autocorrelation_bonferroni"].values < LEVEL
        style = dict(marker=marker_of(i), s=17, linewidth=0.8, zorder=3, clip_on=False)
        face = np.where(sure, colour_of(i), "none")
        ax.scatter(one["correlation"], y, facecolor=face, edgecolor=colour_of(i), **style)
        at = one["hypothesis"].values == mark
        ax.scatter(one["correlation"][at], y[at], marker="o", s=105, fc="none", ec="k", zorder=4)


def _panels(
    count: int, *, width: float, height: float, columns: int | None = None, **share
) -> tuple[Figure, np.ndarray]:
    """A figure of `count` panels, at most `columns` side by side."""
    across = min(count, columns or count)
    down = -(-count // across)
    size = (width * across + 1.0, height * down)
    fig, axes = plt.subplots(
        down, across, figsize=size, squeeze=False, layout="constrained", **share
    )
    for ax in axes.flat[count:]:
        ax.remove()
    return fig, axes.flat[:count]


def _no_more_than(values: xr.DataArray, dims: set[str]) -> None:
    more = [dim for dim in values.dims if dim not in dims]
    if more:
        raise ValueError(f"choose one of {more[0]!r} first: only {sorted(dims)} can be drawn")


def _dot(colour: str, label: str, marker: str = "o", *, size: float = 5, **style) -> Line2D:
    return Line2D([], [], color=colour, marker=marker, ms=size, ls="", label=label, **style)


def _shade(severity: int) -> str | tuple[float, ...]:
    return _SEVERITIES(0.3 + 0.13 * severity) if severity else "0.35"


def _words(values: xr.DataArray) -> str:
    return str(values.attrs.get("long_name", values.name or ""))


def _said(x: xr.DataArray, y: xr.DataArray) -> str:
    found = correlate(x, y)
    r, p, n = (
        float(found[name])
        for name in ("correlation", "p_value_autocorrelation", "n_epochs_effective")
    )
    return f"$r$ = {r:.2f}, $p$ = {p:.2g} ({n:.0f} effective epochs)"
