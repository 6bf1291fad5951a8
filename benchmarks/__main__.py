"""Measure what a comparison costs: ``python -m benchmarks`` (``make bench``).

Writes data/runs/bench/what_it_costs.nc and prints its main numbers. The parameters are those of
the scale cifar on a CPU (notebooks/scales/cifar.yaml and overrides/cpu.yaml), with random weights.
"""

import argparse
import os
import shutil

from invlib.experiments import SECTIONS, load_scale


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--scale", default="bench", help="another scale's sizes, to try it out")
    parser.add_argument("--keep", action="store_true", help="show it in the book from now on")
    arguments = parser.parse_args()
    if arguments.keep and arguments.scale != "bench":
        parser.error("--keep is for the full sizes, without --scale")
    if arguments.scale == "bench":
        parameters = load_scale("cifar", "notebooks/scales/overrides/cpu.yaml")
    else:
        parameters = load_scale(arguments.scale)
    section = SECTIONS["what_it_costs"].from_parameters(parameters | {"scale": arguments.scale})
    ds = section.dataset()
    for line, (value,) in section.table({"": ds}).iterrows():
        print(f"{line:70}  {value}")
    print(f"\n{os.path.relpath(section.output)}: {ds.attrs['wall_time_s']:.0f} s")
    if arguments.keep:
        section.reference.parent.mkdir(parents=True, exist_ok=True)
        part = section.reference.with_suffix(".part")
        shutil.copyfile(section.output, part)
        os.replace(part, section.reference)
        print(f"kept as {os.path.relpath(section.reference)}")


# Measuring memory starts processes that import this file.
if __name__ == "__main__":
    main()
