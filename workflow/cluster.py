"""What a run needs to know of a cluster before Snakemake starts: profile, plugin, SLURM.

Of a profile only `executor` is read here; everything else is Snakemake's business.
"""

import difflib
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
from platformdirs import AppDirs

# Executors that Snakemake has itself.
BUILT_IN = ("local", "dryrun", "touch")


def executor_of(profile: str) -> str:
    """Return the executor of a profile, "local" if it names none; stop in one line if it is none.

    It is a folder or a file, or the name of one where Snakemake looks for the user's own.
    """
    dirs = AppDirs("snakemake", "snakemake")
    places = [Path(), Path(dirs.user_config_dir), Path(dirs.site_config_dir)]
    found = next((path for place in places if (path := place / profile).exists()), None)
    if found is None:
        ours = [path.as_posix() for path in Path("workflow/profiles").glob("*/")]
        own = [path.name for place in places[1:] for path in place.glob("*/")]
        names = {Path(name).name: name for name in [*ours, *own]}
        closest = difflib.get_close_matches(Path(profile).name, names, n=1, cutoff=0)
        sys.exit(f"PROFILE={profile}: there is no such folder; {names[closest[0]]} is one")
    names = ("config*.yaml", "profile*.yaml")
    files = sorted(f for name in names for f in found.glob(name)) if found.is_dir() else [found]
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
