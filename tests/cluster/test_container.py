"""The container is made from the lock, with the Python that the lock was made for."""

from __future__ import annotations

import re
import subprocess
import tomllib

from packaging.requirements import Requirement

from tests.workspace import ROOT

DOCKERFILE = (ROOT / "workflow" / "Dockerfile").read_text(encoding="utf-8")
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
# Debian's own Python, by release.
PYTHON = {"bookworm": "3.11.2"}


def test_the_lock_has_one_version_of_everything_for_its_python():
    (release,) = re.findall(r"^FROM debian:(\w+)-slim$", DOCKERFILE, re.MULTILINE)
    python = PYTHON[release]
    (made_for,) = re.findall(r"--python-version (\S+)", (ROOT / "Makefile").read_text())
    assert python.startswith(f"{made_for}.")
    there = {"python_full_version": python, "python_version": made_for}
    there |= {"sys_platform": "linux", "platform_machine": "x86_64", "platform_system": "Linux"}
    lines = re.findall(r"^[\w.-]+==[^\\\n]*", LOCK, re.MULTILINE)
    locked = [r for r in map(Requirement, lines) if not r.marker or r.marker.evaluate(there)]
    names = [requirement.name for requirement in locked]
    assert len(set(names)) == len(names)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = [*project["dependencies"], *sum(project["optional-dependencies"].values(), [])]
    assert {Requirement(line).name for line in declared} <= set(names)


def test_what_it_copies_is_let_through():
    copied = re.findall(r"^COPY (\S+) \./$", DOCKERFILE, re.MULTILINE)
    let = (ROOT / "workflow" / "Dockerfile.dockerignore").read_text().split()
    assert copied == ["requirements.lock"] and let == ["*", "!requirements.lock"]


def test_without_cuda_everything_else_of_the_lock_is_installed(tmp_path):
    (awk,) = re.findall(r"awk '([^']*)'", DOCKERFILE)
    (grep,) = re.findall(r"grep -oE '([^']*)'", DOCKERFILE)
    lock = str(ROOT / "requirements.lock")
    rest, torch = (
        subprocess.run([*command, lock], capture_output=True, text=True, check=True).stdout
        for command in (["awk", awk], ["grep", "-oE", grep])
    )

    def names(text: str) -> set[str]:
        return set(re.findall(r"^([\w.-]+)==", text, re.MULTILINE))

    assert names(torch) == {"torch", "torchvision"}
    gone = names(LOCK) - names(rest) - names(torch)
    assert gone and all(re.match("nvidia-|cuda-|triton$", name) for name in gone)
    assert not re.search("nvidia|cuda-|^triton", "\n".join(names(rest)))
    assert "cuda-toolkit" not in rest  # comments and hashes go with what they belong to
    assert "\nsnakemake==" in rest
