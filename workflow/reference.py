"""Keep a run's results as reference: ``python workflow/reference.py --scale cifar``

Copies data/runs/<scale>/*.nc to data/results/<scale>/, which is committed. Only this and
`make bench KEEP=1` write there. Then draws the picture that the README shows, from what was kept.
"""

import argparse
import json
import os

from invlib import cka_divergence, forgetting, learning, plots
from invlib.files import copy
from invlib.paths import results_root, runs_root
from invlib.results.netcdf import open_results
from papers.claims.settings import by_training
from papers.section import REFERENCE_SCALE
from papers.sections import SECTIONS


def keep(scale: str, only: list[str]) -> None:
    for section in only or SECTIONS:
        source = runs_root(scale) / f"{section}.nc"
        ds = open_results(source)  # refuses a file that is none of ours, or torn
        if ds.attrs["kind"] == "claims":  # verdicts are computed from the others, each time
            continue
        target = results_root(scale) / source.name
        copy(source, target)
        print(f"{os.path.relpath(target)}: {target.stat().st_size / 1024:.0f} KiB")


def picture(scale: str) -> None:
    """Draw figure 1 of paper A from the reference results, debiased."""
    ds = open_results(results_root(scale) / "finetuning_task.nc")
    dataset = str(ds["dataset"].values[0])
    one = by_training(ds.sel(dataset=dataset, estimator="debiased"))
    model = json.loads(ds.attrs["parameters"])["model"]
    panels = {
        "learning": learning(one),
        "forgetting": forgetting(one),
        "CKA divergence": cka_divergence(one),
    }
    figure = plots.layer_curves({f"{model}\n{dataset}": panels})
    figure.savefig("book/_static/result.png", dpi=110)
    print("book/_static/result.png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--scale", required=True)
    parser.add_argument("--only", default="", help="names of sections, instead of all of them")
    arguments = parser.parse_args()
    only = arguments.only.replace(",", " ").split()
    keep(arguments.scale, only)
    if arguments.scale == REFERENCE_SCALE and (not only or "finetuning_task" in only):
        picture(arguments.scale)
