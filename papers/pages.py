"""What a page shows of several runs: the reader's own, the reference, what the paper chose."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar

from papers.parameters import load_scale
from papers.section import REFERENCE_SCALE, Section

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["BesideReference", "provenance_html"]


class BesideReference(Section):
    """A section whose page shows this run's results beside the reference results."""

    compared: ClassVar[Mapping[str, str]] = {}  # parameter -> words: what a reader compares

    def beside_reference(self, ds: xr.Dataset, name: str | None = None) -> dict[str, xr.Dataset]:
        """Return this run's Dataset and, where they come with the project, the reference results.

        The keys say which is which and at what scale it was made. `name` is that of the section
        that `ds` is of, if not this one.
        """
        from invlib import open_results

        shown = {f"this run: {self.scale}": ds}
        reference = self.reference.with_name(f"{name or self.name}.nc")
        if reference.exists():
            shown[f"reference: {REFERENCE_SCALE}"] = open_results(reference)
        return shown

    def setup(self, shown: dict[str, xr.Dataset]) -> pd.DataFrame:
        """Return what was chosen for the paper, and for each run shown: what was reduced."""
        import json

        import pandas as pd

        columns = {"the paper": load_scale("paper")}
        columns |= {title: json.loads(ds.attrs["parameters"]) for title, ds in shown.items()}
        table = {
            title: {label: parameters.get(name) for name, label in self.compared.items()}
            for title, parameters in columns.items()
        }
        unset = {"image size (px)": "the model's own"}
        rows = pd.DataFrame(table).T.items()
        return pd.DataFrame({k: v.fillna(unset.get(k, "all")).astype(str) for k, v in rows}).T

    @staticmethod
    def rows(shown: dict[str, xr.Dataset], **select: object) -> Iterator[tuple[str, xr.Dataset]]:
        """Yield (title, Dataset) for every run, data set and recipe shown, `select` applied."""
        from papers.claims.settings import settings

        for title, ds in shown.items():
            for words, one in settings(ds):
                yield "\n".join([title, *words]), one.sel(**select)


def provenance_html(ds: xr.Dataset) -> str:
    """Return the box a page shows under a figure: scale, device, commit, seeds, time, command.

    Examples
    --------
    >>> import xarray as xr
    >>> from invlib.results.provenance import provenance
    >>> attrs = provenance(parameters={"scale": "smoke"}, seeds=[0], wall_time=65,
    ...                    command="papermill a.ipynb b.ipynb")
    >>> box = provenance_html(xr.Dataset(attrs=attrs | {"kind": "comparison"}))
    >>> "smoke" in box, "1 min 05 s" in box
    (True, True)
    """
    attrs = ds.attrs
    parameters, seeds = json.loads(attrs["parameters"]), json.loads(attrs["seeds"])
    commit = attrs["git_commit"]
    if commit != "unknown":
        commit = commit[:10] + (" with uncommitted changes" if attrs["git_dirty"] else "")
    count = f"{len(seeds)} ({', '.join(map(str, seeds))})" if seeds else "none"
    versions = ", ".join(f"{name} {v}" for name, v in json.loads(attrs["versions"]).items())
    rows = {
        "scale": parameters.get("scale", "not stated"),
        "seeds": count,
        "device": attrs["device"],
        "wall time": _duration(float(attrs["wall_time_s"])),
        "made": attrs["created"].replace("T", " ").replace("+00:00", " UTC"),
        "commit": commit,
        "versions": versions,
        "schema": f"{attrs.get('kind', 'unknown kind')}, version {attrs['schema_version']}",
    }
    cells = "".join(
        f"<tr><th scope='row'>{key}</th><td>{html.escape(str(value))}</td></tr>"
        for key, value in rows.items()
    )
    chosen = "".join(
        f"<tr><th scope='row'>{html.escape(key)}</th>"
        f"<td><code>{html.escape(json.dumps(value))}</code></td></tr>"
        for key, value in parameters.items()
    )
    command = html.escape(attrs["command"])
    return (
        "<aside class='provenance' aria-label='Where these numbers come from'>"
        f"<table><caption>Where these numbers come from</caption><tbody>{cells}</tbody></table>"
        f"<p>Repeat it with</p><pre><code>{command}</code></pre>"
        f"<details><summary>All parameters</summary><table><tbody>{chosen}</tbody></table>"
        "</details></aside>"
    )


def _duration(seconds: float) -> str:
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
