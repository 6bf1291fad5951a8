"""What every notebook page shows: its run beside the reference results, verdicts, provenance."""

import html
import json
import re
from collections.abc import Iterator, Mapping

import pandas as pd
import xarray as xr
from IPython.display import HTML

from invlib.results.netcdf import open_results
from papers.across.work.claims_ledger import CLAIMS
from papers.claims.kept import kept_ledger
from papers.claims.settings import by_training, named, settings
from papers.claims.tables import UNTESTABLE, claims_html, folded, verdict_counts
from papers.engine.agreement import agreement_about
from papers.parameters import load_scale
from papers.section import REFERENCE_SCALE, Section, section_class

_WHERE = "Where these numbers come from"

__all__ = [
    "beside_reference", "by_task", "first", "further", "made_with", "provenance_html", "rows",
    "setup", "verdicts",
]  # fmt: skip


def beside_reference(
    section: Section, ds: xr.Dataset, name: str | None = None
) -> dict[str, xr.Dataset]:
    """Return this run's Dataset and the reference results, if the project has them.

    The keys say which is which, and the scale of each. If `ds` belongs to another section, `name`
    is the name of that section.
    """
    shown = {f"this run: {section.scale}": ds}
    reference = section.reference.with_name(f"{name or section.name}.nc")
    if reference.exists():
        shown[f"reference: {REFERENCE_SCALE}"] = open_results(reference)
    return shown


def setup(section: Section, shown: Mapping[str, xr.Dataset]) -> pd.DataFrame:
    """Return a table of settings: the paper's, and those of each run shown beside them."""
    columns = {"the paper": load_scale("paper")}
    columns |= {title: json.loads(ds.attrs["parameters"]) for title, ds in shown.items()}
    table = {
        title: {label: parameters.get(name) for name, label in section.compared.items()}
        for title, parameters in columns.items()
    }
    unset = {"image size (px)": "the model's own"}
    lines = pd.DataFrame(table).T.items()
    return pd.DataFrame({k: v.fillna(unset.get(k, "all")).astype(str) for k, v in lines}).T


def rows(shown: Mapping[str, xr.Dataset], **select: object) -> Iterator[tuple[str, xr.Dataset]]:
    """Yield (title, Dataset) for every run, data set and recipe, with `select` applied.

    Trainings, where there are several, are seeds: see `papers.claims.settings.by_training`.
    """
    for title, part in _each(shown):
        yield title, by_training(part).sel(**select)


def first(shown: Mapping[str, xr.Dataset]) -> dict[str, xr.Dataset]:
    """Return every run with its first data set alone: what the large figures of a page show.

    Examples
    --------
    >>> run = xr.Dataset(coords={"dataset": ["cifar10", "cifar100", "eurosat"]})
    >>> first({"a run": run})["a run"]["dataset"].values.tolist()
    ['cifar10']
    >>> further({"a run": run, "another": run.isel(dataset=[0])})["a run"].sizes["dataset"]
    2
    """
    return {
        title: ds.isel(dataset=[0]) if "dataset" in ds.dims else ds for title, ds in shown.items()
    }


def further(shown: Mapping[str, xr.Dataset]) -> dict[str, xr.Dataset]:
    """Return every run that has further data sets, with these alone; see `first`."""
    return {title: ds.isel(dataset=slice(1, None)) for title, ds in _several(shown).items()}


def by_task(shown: Mapping[str, xr.Dataset], **select: object) -> Iterator[tuple[str, xr.Dataset]]:
    """Yield (title, Dataset) for each task of every run that has further data sets.

    The Dataset has all data sets of the run, for figures with a line for each. Without such a run,
    the only data set of each run is yielded.
    """
    for title, ds in (_several(shown) or shown).items():
        labels = [named(label) for label in ds["dataset"].values]
        ds = by_training(ds).assign_coords(dataset=labels)
        for task in ds["task"].values.tolist():
            yield f"{title}\n{task}", ds.sel(task=task, **select)


def _several(shown: Mapping[str, xr.Dataset]) -> dict[str, xr.Dataset]:
    """Return the runs that have further data sets."""
    return {title: ds for title, ds in shown.items() if ds.sizes.get("dataset", 0) > 1}


def _each(shown: Mapping[str, xr.Dataset]) -> Iterator[tuple[str, xr.Dataset]]:
    for title, ds in shown.items():
        for words, part in settings(ds):
            yield "\n".join([title, *words]), part


def verdicts(name: str, shown: Mapping[str, xr.Dataset]) -> HTML:
    """Return the verdicts on the claims of section `name`, a table for each run and setting.

    Those of further data sets of a run are folded, with how many verdicts of each kind there are.
    So are those of results that decide no claim, such as those of a single training.
    """
    parts, runs = [], set()
    for title, part in _each(shown):
        ledger = kept_ledger(CLAIMS[name], part)
        run, told = title.partition("\n")[0], verdict_counts(ledger)
        table = claims_html(ledger, agreement=agreement_about(name, CLAIMS[name], part))
        if run in runs or ledger["verdict"].isin(["undecided", UNTESTABLE]).all():
            parts.append(folded(title, told, table))
        else:
            parts.append(f"<h3>{html.escape(title)}</h3>{table}")
        runs.add(run)
    return HTML("".join(parts))


def made_with(*shown: Mapping[str, xr.Dataset]) -> HTML:
    """Return the `provenance_html` of all results shown."""
    boxes = [(title, ds) for runs in shown for title, ds in runs.items()]
    return HTML("".join(provenance_html(ds, of=title) for title, ds in boxes))


def provenance_html(ds: xr.Dataset, *, of: str = "") -> str:
    """Return a box with the provenance of a result: scale, device, commit, seeds, time, command.

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
    trained = json.loads(attrs.get("trained_on", "{}"))
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
    if trained:
        rows["trainings"] = "; ".join(f"{k} on {device}" for device, k in trained.items())
    rows |= {"note": attrs["note"]} if "note" in attrs else {}
    cells = "".join(_row(key, html.escape(str(value))) for key, value in rows.items())
    chosen = "".join(
        _row(html.escape(key), f"<code>{html.escape(json.dumps(value))}</code>")
        for key, value in parameters.items()
    )
    reads = ", ".join(_read_by(attrs["command"], parameters))
    first = f"<p>It reads the results of {reads}: these come first.</p>" if reads else ""
    at = f" at commit {commit}" if commit != "unknown" else ""
    file = _file(attrs, parameters, of)
    label = ", ".join(filter(None, [_WHERE, of, *_name(attrs)]))
    if file:
        cells = _row("file", f"<code>{html.escape(file)}</code>") + cells
    return (
        f"<aside class='provenance' aria-label='{html.escape(label, quote=True)}'>"
        f"<table><caption>{_WHERE}</caption><tbody>{cells}</tbody></table>"
        f"<p>Repeat it{at} with</p><pre><code>{html.escape(_repeat(attrs))}</code></pre>{first}"
        f"<details><summary>All parameters</summary><table><tbody>{chosen}</tbody></table>"
        "</details></aside>"
    )


def _name(attrs: Mapping[str, object]) -> list[str]:
    """Return the section whose notebook the command runs, in a list; an empty one if none."""
    return re.findall(r"notebooks/(\w+)\.ipynb", str(attrs["command"]))[:1]


def _file(attrs: Mapping[str, object], parameters: Mapping[str, object], of: str) -> str:
    """Return where a result is kept in the project; of a run, where it was written.

    Of a reference result in the folder of another name, `of` is ``"reference in NAME"``.
    """
    other = re.match(r"reference in (\w+)", of)
    kept = "runs/{scale}"
    if of.startswith("reference"):
        kept = f"results/{other[1] if other else REFERENCE_SCALE}"
    scale = parameters.get("scale")
    return "".join(f"data/{kept}/{name}.nc" for name in _name(attrs) if scale).format(scale=scale)


def _read_by(command: str, parameters: Mapping[str, object]) -> tuple[str, ...]:
    """Return the sections whose results the notebook in a command reads."""
    notebook = re.search(r"notebooks/(\w+)\.ipynb", command)
    try:
        return section_class(notebook[1]).reads(parameters) if notebook else ()
    except ValueError:  # a notebook of somebody's own
        return ()


def _repeat(attrs: Mapping[str, object]) -> str:
    """Return the command that repeats a result, with the number of threads it was made with.

    Examples
    --------
    >>> _repeat({"command": "papermill a.ipynb b.ipynb", "device": "cpu: an old one, 2 threads"})
    'OMP_NUM_THREADS=2 .venv/bin/papermill a.ipynb b.ipynb'
    """
    threads = re.search(r"(\d+) threads?$", str(attrs["device"]))
    command = re.sub("^(papermill|python) ", r".venv/bin/\1 ", str(attrs["command"]))
    return f"OMP_NUM_THREADS={threads[1]} {command}" if threads else command


def _row(key: str, cell: str) -> str:
    return f"<tr><th scope='row'>{key}</th><td>{cell}</td></tr>"


def _duration(seconds: float) -> str:
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
