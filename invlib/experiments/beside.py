"""What a page shows of several runs: the reader's own, the reference, what the paper chose."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar

from .scales import load_scale
from .section import REFERENCE_SCALE, Section

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["BesideReference"]


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
        from .ledger import settings

        for title, ds in shown.items():
            for words, one in settings(ds):
                yield "\n".join([title, *words]), one.sel(**select)
