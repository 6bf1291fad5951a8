"""Run the workflow so that it goes on by itself after anything, a ``kill -9`` included.

Snakemake marks its working folder as locked and refuses to start there until somebody who knows
that nobody is at work says so. This script knows (see locks.py), says so, and becomes Snakemake.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import cluster
import devices
import locks

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("target", help="what to make: a rule of the Snakefile, or a file")
    parser.add_argument("--scale", default="laptop", help="a file of notebooks/scales")
    parser.add_argument("--override", default="", help="a YAML file laid over the scale's")
    parser.add_argument("--only", default="", help="names of sections, instead of all of them")
    parser.add_argument("--jobs", default="all", help="cores to use")
    parser.add_argument("--profile", default="", help="a Snakemake profile, for a cluster")
    parser.add_argument(
        "--parts",
        default="",
        help="most jobs that the inversions of a section are cut into (0; with several GPUs their "
        "number, with a profile 16)",
    )
    parser.add_argument(
        "--devices", default="", help="GPUs to use, such as 0,1 (all; none with a profile)"
    )
    arguments, more = parser.parse_known_args()

    os.chdir(ROOT)
    only = arguments.only.replace(",", " ").split()
    check(arguments.scale, arguments.override, only)
    if not re.fullmatch(r"all|unlimited|0*[1-9]\d*", arguments.jobs):
        sys.exit(f"JOBS={arguments.jobs!r} must be a whole number of at least 1, or all")
    if not re.fullmatch(r"((\d+|cpu|(GPU|MIG)-[\w/-]+)(,|$))*", arguments.devices):
        sys.exit(f"DEVICES={arguments.devices!r} must be numbers of GPUs, or their UUIDs: 0,1")
    gpus = arguments.devices.split(",") if arguments.devices else devices.found()
    gpus = [] if arguments.profile else gpus
    usual = 16 if arguments.profile else len(gpus) if len(gpus) > 1 else 0
    parts = arguments.parts or str(usual)
    if not parts.isdecimal():
        sys.exit(f"PARTS={parts!r} must be a whole number >= 0")
    slurm, executor = None, cluster.executor_of(arguments.profile) if arguments.profile else "local"
    cluster.check_plugin(executor)
    dry = {"-n", "--dry-run", "--dryrun"} & set(more)
    if executor == "slurm" and not dry:
        slurm = cluster.Slurm(ROOT)
        more += slurm.options()
    targets = [f"data/runs/{arguments.scale}/{name}.nc" for name in only]
    snakemake = [sys.executable, "-m", "snakemake"]
    where = ["--profile", arguments.profile] if arguments.profile else ["--cores", cores(arguments)]
    config = [f"scale={arguments.scale}", f"override={arguments.override}", f"parts={parts}"]
    config = ["--config", *config, f"devices={','.join(gpus)}"]

    # Never closed: the Snakemake that this process becomes inherits it.
    makes = locks.hold(locks.MAKE, waiting="another make is at work here; waiting for it ...")
    if slurm and makes is not None:
        slurm.cancel_leftovers()
    jobs = locks.hold(
        locks.JOBS,
        waiting="a job of an earlier run is still at work; waiting for it ...",
    )
    if jobs is not None:
        os.close(jobs)
        if makes is not None and any(Path(".snakemake/locks").glob("*")):
            print("an earlier run was cut off; going on from there", flush=True)
            subprocess.run([*snakemake, "--unlock", *where, *config], check=True)

    if executor == "local" and not gpus and not dry:
        start_kernels()
    sys.stdout.flush()
    targets = targets or [arguments.target]
    os.execv(sys.executable, [*snakemake, *targets, *where, *more, *config])


def start_kernels() -> None:
    """Start what forks kernels for the notebooks of this run, and ends with it."""
    if sys.platform != "linux":  # elsewhere a fork of a process with such imports is not safe
        return
    folder = tempfile.mkdtemp(prefix="invlib-kernels-")
    if len(os.fsencode(folder)) > 90:  # a socket has a path of 107 bytes at most
        os.rmdir(folder)
        return
    os.environ["INVLIB_KERNELS"] = folder
    most = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}  # as sections have
    command = [sys.executable, "-m", "papers.jupyter_kernels", folder]
    # its own session: Ctrl-C is for Snakemake, with which it ends
    env, nothing = os.environ | most, subprocess.DEVNULL
    subprocess.Popen(command, env=env, stdin=nothing, start_new_session=True)


def check(scale: str, override: str, only: list[str]) -> None:
    """Refuse parameters of no use in one line; from within a Snakefile they come with twenty."""
    # the code of this folder, wherever another one is installed: so imported only now
    sys.path.insert(0, str(ROOT))
    from invlib.names import choices
    from papers.parameters import load_scale
    from papers.sections import SECTIONS

    try:
        for name in only:
            choices("SECTIONS", name, SECTIONS)
        parameters = load_scale(scale, override or None)
        for section in SECTIONS.values():
            section.from_parameters(parameters)
    except ValueError as error:  # a ParameterError is one
        sys.exit(str(error))


def cores(arguments: argparse.Namespace) -> str:
    if arguments.jobs != "all":
        return arguments.jobs
    try:  # what this process may use, which a container or a batch system may have limited
        return str(len(os.sched_getaffinity(0)))
    except AttributeError:
        return "all"


if __name__ == "__main__":
    main()
