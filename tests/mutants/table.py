"""Count what `make mutants` killed, and write tests/mutants/score.md.

mutmut changes the code of `invlib.metrics` and `invlib.inversion` in some thousand places, one at a
time, and runs the tests that reach the place. A mutant is killed if a test fails; one that no test
reaches has survived. One that changes nothing that a test could see is equivalent: equivalent.yaml
names its line and the reason. A line that is no longer among the survivors is an error, so the list
cannot outlive the code. Equivalent is also what differs in the ``strict=True`` of a `zip` alone:
there the lengths are the same by construction.

``--survivors`` prints their names instead, to be tried again after new tests:
``make mutants ARGS="$(.venv/bin/python -m tests.mutants.table --survivors)"``.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from datetime import date
from importlib.metadata import version
from pathlib import Path

import yaml

HERE = Path(__file__).parent
KILLED = ("killed", "timeout", "segfault", "caught by type check")
NOT_RUN = ("not checked", "skipped", "check was interrupted by user")


def mutmut(*arguments: str) -> str:
    command = [sys.executable, "-m", "mutmut", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def statuses(text: str) -> dict[str, str]:
    """Read what ``mutmut results --all true`` prints: the status of each mutant by its name.

    Examples
    --------
    >>> statuses("    invlib.metrics.cka.x_f__mutmut_1: survived\\n")
    {'invlib.metrics.cka.x_f__mutmut_1': 'survived'}
    """
    return dict(re.findall(r"^\s*(invlib\.\S+__mutmut_\d+): (.+?)\s*$", text, re.MULTILINE))


def module(mutant: str) -> str:
    """Return the module of a mutant.

    Examples
    --------
    >>> module("invlib.metrics.cka.x_linear_cka__mutmut_1")
    'invlib.metrics.cka'
    """
    return re.sub(r"\.xǁ?.*$|\.x_.*$", "", mutant)


def changed(mutant: str) -> str:
    """Return the diff of a mutant, as ``mutmut show`` prints it."""
    # Here, because the examples above and below have to run where mutmut is not installed.
    from mutmut.mutation.diff_apply import get_diff_for_mutant

    return get_diff_for_mutant(mutant, path=f"{module(mutant).replace('.', '/')}.py")


def becomes(diff: str) -> str:
    """Return the lines that a mutant puts in, from what ``mutmut show`` prints, as one line.

    Examples
    --------
    >>> becomes("--- a.py\\n+++ a.py\\n-    return 1\\n+    return 2\\n")
    'return 2'
    """
    added = [line[1:] for line in diff.splitlines() if re.match(r"\+(?!\+\+)", line)]
    return " ".join(" ".join(added).split())


def strict_only(diff: str) -> bool:
    """Return whether a mutant differs in nothing but the ``strict=True`` of a `zip`.

    Examples
    --------
    >>> strict_only("-for a, b in zip(x, y, strict=True):\\n+for a, b in zip(x, y, ):\\n")
    True
    """
    sides = [re.findall(rf"^[{sign}](?![{sign}])(.*)$", diff, re.MULTILINE) for sign in "-+"]
    plain = [re.sub(r",\s*(strict=\w+)?(?=\))", "", "".join(lines)) for lines in sides]
    return "strict=True" in sides[0][0] and plain[0] == plain[1]


def table(counts: dict[str, Counter]) -> str:
    """Return the score of each module as a table in Markdown.

    Examples
    --------
    >>> counts = {"invlib.metrics.cka": Counter(killed=18, survived=1, equivalent=1)}
    >>> print(table(counts).splitlines()[2])
    | `invlib.metrics.cka` | 20 | 18 | 1 | 1 | 0 | 94.7 % |
    """
    columns = ("killed", "survived", "equivalent", "not run")
    lines = [f"| module | mutants | {' | '.join(columns)} | killed of those run, but equivalent |"]
    lines.append("|---" * (len(columns) + 3) + "|")
    for name, count in (*sorted(counts.items()), ("all", sum(counts.values(), Counter()))):
        judged = count["killed"] + count["survived"]
        whole = judged and not count["not run"]  # those tried first are the easy ones
        score = f"{100 * count['killed'] / judged:.1f} %" if whole else ""
        cells = [f"`{name}`", count.total(), *(count[column] for column in columns), score]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def main() -> int:
    equivalent = yaml.safe_load((HERE / "equivalent.yaml").read_text(encoding="utf-8")) or []
    listed = {(one["module"], one["becomes"]) for one in equivalent}
    counts, survivors, met = {}, [], set()
    for mutant, status in statuses(mutmut("results", "--all", "true")).items():
        kind = "killed" if status in KILLED else "not run" if status in NOT_RUN else "survived"
        if kind == "survived":
            diff = changed(mutant)
            line = module(mutant), becomes(diff)
            if strict_only(diff):
                kind = "equivalent"
            elif line in listed:
                kind = "equivalent"
                met.add(line)
            else:
                survivors.append((mutant, line[1]))
        counts.setdefault(module(mutant), Counter())[kind] += 1
    if "--survivors" in sys.argv:
        print(*(mutant for mutant, _ in survivors))
        return 0
    said = table(counts)
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True
    ).stdout.strip()
    when = f"with mutmut {version('mutmut')} on {date.today()}, commit {commit or 'unknown'}"
    parts = ["# Mutants", f"What `make mutants` found {when}.", said]
    parts += ["Texts of messages are mutated like all code, and not left out."]
    if any(count["not run"] for count in counts.values()):
        parts += ["A module has a score when all its mutants were run; survivors are run again."]
    lines = [f"- `{mutant}`: `{becomes}`" for mutant, becomes in survivors]
    parts += ["Survivors:", "\n".join(lines)] if survivors else []
    (HERE / "score.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    print(said)
    run = {name for name, count in counts.items() if not count["not run"]}
    stale = sorted(line for line in listed - met if line[0] in run)
    for name, line in stale:
        print(f"equivalent.yaml: no survivor of {name} becomes: {line}", file=sys.stderr)
    return bool(stale)


if __name__ == "__main__":
    sys.exit(main())
