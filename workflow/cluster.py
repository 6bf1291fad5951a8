"""What a run needs to know of a cluster before Snakemake starts: profile, plugin, SLURM.

Of a profile only `executor` is read here; everything else is Snakemake's business.
"""

import hashlib
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import yaml

# Executors that Snakemake has itself.
BUILT_IN = ("local", "dryrun", "touch")


def executor_of(profile: str) -> str:
    """Return the executor of a profile's folder, "local" if it names none; stop in one line.

    A name that is no folder here may be one of the user's own profiles, which Snakemake finds.
    """
    folder = Path(profile)
    if not folder.is_dir():
        if "/" in profile:
            sys.exit(f"PROFILE={profile}: there is no such folder; workflow/profiles/slurm is one")
        return "local"
    files = sorted(folder.glob("config*.yaml"))
    if not files:
        sys.exit(f"PROFILE={profile}: the folder has no config.yaml")
    try:
        settings = yaml.safe_load(files[-1].read_text(encoding="utf-8"))
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        sys.exit(f"PROFILE={profile}: {files[-1].name} is no YAML: {' '.join(str(error).split())}")
    if not isinstance(settings, dict):
        sys.exit(f"PROFILE={profile}: {files[-1].name} is a {type(settings).__name__}, no settings")
    return str(settings.get("executor") or "local")


def check_plugin(executor: str) -> None:
    """Stop in one line unless the package of this executor is installed."""
    package = f"snakemake-executor-plugin-{executor}"
    if executor not in BUILT_IN and not importlib.util.find_spec(package.replace("-", "_")):
        sys.exit(
            f"executor={executor!r} of the profile needs the package {package}: "
            f"{shlex.quote(sys.executable)} -m pip install {package}"
        )


class Slurm:
    """The jobs of one checkout in SLURM's queue, known by the first part of their names."""

    def __init__(self, root: Path) -> None:
        if not shutil.which("sbatch"):
            sys.exit(
                "executor='slurm' of the profile: there is no sbatch here; run make where it is"
            )
        self.prefix = "invlib-" + hashlib.sha256(os.fspath(root).encode()).hexdigest()[:12]

    def options(self) -> list[str]:
        """Return Snakemake's options for this checkout and this SLURM."""
        # Without accounting sacct knows of no job, and Snakemake would wait for ever.
        ask = ["sacct", "--noheader"]
        known = shutil.which(ask[0]) and not subprocess.run(ask, capture_output=True).returncode
        status = [] if known else ["--slurm-status-command", "squeue"]
        return ["--slurm-jobname-prefix", self.prefix, *status]

    def cancel_leftovers(self, seconds: float = 120) -> None:
        """Cancel what an earlier run, cut off, left in the queue: it goes on as new jobs."""
        if jobs := self._jobs():
            ids = ", ".join(jobs)
            print(f"an earlier run left jobs in the queue; cancelling them: {ids}", flush=True)
            subprocess.run(["scancel", *jobs], check=True)
        deadline = time.monotonic() + seconds
        while self._jobs() and time.monotonic() < deadline:
            time.sleep(1)

    def _jobs(self) -> list[str]:
        command = ["squeue", "--me", "--noheader", "--format=%i %j"]
        out = subprocess.run(command, capture_output=True, text=True)
        if out.returncode:
            sys.exit(f"executor='slurm' of the profile: {' '.join(out.stderr.split())}")
        return [line.split()[0] for line in out.stdout.splitlines() if self.prefix in line]
