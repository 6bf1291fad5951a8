"""Keep a run's results as reference: ``python workflow/reference.py --scale cifar``

Copies data/runs/<scale>/*.nc to data/results/<scale>/, which is committed. Only this and
`make bench KEEP=1` write there.
"""

import argparse
import os
import shutil

from invlib.experiments import SECTIONS
from invlib.paths import results_root, runs_root
from invlib.results import open_results


def keep(scale: str) -> None:
    target = results_root(scale)
    target.mkdir(parents=True, exist_ok=True)
    for section in SECTIONS:
        source = runs_root(scale) / f"{section}.nc"
        open_results(source)  # refuses a file that is none of ours, or torn
        copy = target / source.name
        part = copy.with_suffix(".part")
        shutil.copyfile(source, part)
        os.replace(part, copy)
        print(f"{os.path.relpath(copy)}: {copy.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--scale", required=True)
    keep(parser.parse_args().scale)
