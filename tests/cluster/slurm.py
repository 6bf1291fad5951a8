"""SLURM on this machine: one node, started in a folder, and gone with all its jobs at the end.

    with Slurm(folder, cpus=2) as slurm:
        subprocess.run(["sbatch", ...], env=os.environ | slurm.environment)

It needs Debian's packages slurm-wlm and munge (`apt-get install slurm-wlm munge`), and no rights
beyond those of its user: root, or anybody. There is no accounting, so sacct knows nothing.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Self

import yaml

from tests.workspace import ROOT

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "scancel")
SBIN = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])

CONF = """
ClusterName=here
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1,batch_sched_delay=0
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
ReturnToService=2
KillWait=5
MinJobAge=300
SlurmdTimeout=30
NodeName=node NodeHostname={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} State=UNKNOWN
PartitionName=main Nodes=node Default=YES MaxTime=INFINITE State=UP
"""


# What a cluster of one machine changes in the profile that the project ships; None takes it away.
HERE = {
    "jobs": 8,
    "latency-wait": 20,
    "seconds-between-status-checks": 1,
    "slurm-init-seconds-before-status-checks": 1,
    "default-resources": {
        "slurm_partition": "main", "slurm_account": None, "runtime": 30, "mem_mb": 900, "gpu": None,
    },
    "set-threads": {"train": 1, "part": 1, "section": 1},
}  # fmt: skip


def profile(folder: Path, **changes: object) -> Path:
    """Write the shipped profile with what differs here to `folder`, and return it."""
    shipped = yaml.safe_load((ROOT / "workflow/profiles/slurm/config.yaml").read_text())
    settings = shipped | HERE | changes
    for name in ("default-resources", "set-threads"):
        merged = shipped[name] | HERE[name] | changes.get(name, {})
        settings[name] = {key: value for key, value in merged.items() if value is not None}
    folder.mkdir(parents=True, exist_ok=True)
    kept = {key: value for key, value in settings.items() if value is not None}
    (folder / "config.yaml").write_text(yaml.safe_dump(kept))
    return folder


def missing() -> list[str]:
    """Return the programs of SLURM and munge that are not installed here."""
    return [name for name in PROGRAMS if not shutil.which(name, path=SBIN)]


class Slurm:
    """Munge, slurmctld and slurmd in `folder`. Entering starts them, leaving ends them."""

    def __init__(self, folder: Path, *, cpus: int = 2, memory_mb: int = 4000) -> None:
        self.folder = folder
        self.cpus, self.memory_mb = cpus, memory_mb
        path = f"{folder / 'bin'}{os.pathsep}{SBIN}"
        self.environment = {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": path}
        self._daemons: dict[str, subprocess.Popen] = {}

    def __enter__(self) -> Self:
        for name in ("state", "spool", "logs", "bin"):
            (self.folder / name).mkdir(parents=True)
        # Inside a job Snakemake's plugin drops SLURM_CONF, which a cluster in /etc does without.
        srun = self.folder / "bin" / "srun"
        conf = shlex.quote(self.environment["SLURM_CONF"])
        srun.write_text(f'#!/bin/sh\nSLURM_CONF={conf} exec {shutil.which("srun")} "$@"\n')
        srun.chmod(0o755)
        ports = []
        with contextlib.ExitStack() as held:  # both at once, so that they differ
            for _ in range(2):
                listener = held.enter_context(socket.socket())
                listener.bind(("127.0.0.1", 0))
                ports.append(listener.getsockname()[1])
        text = CONF.format(
            host=socket.gethostname().partition(".")[0], user=pwd.getpwuid(os.geteuid()).pw_name,
            ports=ports, folder=self.folder, cpus=self.cpus, memory=self.memory_mb,
        )  # fmt: skip
        (self.folder / "slurm.conf").write_text(text)
        (self.folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\nCgroupAutomount=no\n")
        key = self.folder / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o400)
        try:
            places = {"key-file": "munge.key", "socket": "munge.socket", "pid-file": "munge.pid"}
            places |= {"log-file": "munge.log", "seed-file": "munge.seed"}
            options = [f"--{name}={self.folder / file}" for name, file in places.items()]
            # --force: a folder of tests may be one that others can look into
            self._start("munged", "--foreground", "--force", "--num-threads=2", *options)
            self._until(lambda: (self.folder / "munge.socket").exists(), "munged")
            self._start("slurmctld", "-D", "-i", "-c")
            self.start_node()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if "slurmctld" in self._daemons:
            self("scancel", f"--user={os.geteuid()}", check=False)
            with contextlib.suppress(TimeoutError):
                self._until(lambda: not self.jobs(check=False), "the last jobs", seconds=20)
        for process in reversed(self._daemons.values()):
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._daemons.clear()

    def __call__(self, *command: str, check: bool = True) -> str:
        """Run one of SLURM's commands and return its output."""
        out = subprocess.run(
            command, env=os.environ | self.environment, capture_output=True, text=True, timeout=30
        )
        if check and out.returncode:
            raise RuntimeError(f"{' '.join(command)}: {out.stdout}{out.stderr}")
        return out.stdout

    def jobs(self, *states: str, check: bool = True) -> dict[str, str]:
        """Return the comments of the jobs that are not over by id; those in `states` alone."""
        chosen = [f"--states={','.join(states)}"] if states else []
        lines = self("squeue", "--noheader", "--format=%i|%k", *chosen, check=check).splitlines()
        return dict(line.split("|", 1) for line in lines)

    def start_node(self) -> None:
        """Start slurmd, and wait until the node takes jobs."""
        self._start("slurmd", "-D", "-N", "node")
        self._until(lambda: "idle" in self("sinfo", "-h", "-o", "%T", check=False), "the node")

    def _start(self, name: str, *options: str) -> None:
        with (self.folder / "logs" / f"{name}.log").open("ab") as log:
            self._daemons[name] = subprocess.Popen(
                [shutil.which(name, path=SBIN), *options],
                env=os.environ | self.environment, stdout=log, stderr=log,
            )  # fmt: skip

    def _until(self, true, what: str, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not true():
            for name, process in self._daemons.items():
                if process.poll() is not None:
                    log = (self.folder / "logs" / f"{name}.log").read_text()[-2000:]
                    raise RuntimeError(f"{name} ended with status {process.returncode}: {log}")
            if time.monotonic() > deadline:
                logs = "".join(p.read_text()[-1500:] for p in (self.folder / "logs").iterdir())
                raise TimeoutError(f"{what}: not there after {seconds} s\n{logs}")
            time.sleep(0.1)


if __name__ == "__main__":  # does it start here? .ci/run asks
    if missing():
        sys.exit(f"not installed: {', '.join(missing())}")
    with tempfile.TemporaryDirectory() as folder, Slurm(Path(folder, "slurm")) as slurm:
        print(slurm("sinfo"))
