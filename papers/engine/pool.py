"""The jobs that make sections on one GPU, what each costs, and which is next. Imports no torch.

A section is made by trainings, inversions and pieces of its results, which leave what they make in
the project's folders, and at last by its assembly, which finds it there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from math import ceil, inf
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from invlib.names import choices
from invlib.training.run import TrainingRun
from papers.engine.plan import inversion_flop, training_flop
from papers.parameters import ParameterError, load_scale
from papers.section import Section, section_class

__all__ = ["ASSEMBLY", "Job", "Queue", "jobs_of", "load_sections", "plan_lines"]

ASSEMBLY = "assembly"
KINDS = ("training", "inversion", "piece", ASSEMBLY)
TRIES = 2


class Job(NamedTuple):
    """What one process does at a time."""

    kind: str  # of KINDS
    section: str
    what: Any  # a TrainingRun; the arguments of `Section.invert`; the name of a piece; None
    needs: frozenset[str]  # the keys of jobs that come before
    seconds: float  # of the whole GPU; of an assembly, those that it lasts


def load_sections(file: Path, names: Iterable[str] = (), *, toy: bool = False) -> list[Section]:
    """Return the sections that a file lists, or those of them in `names`.

    The file says a scale and an override of it. What it has under ``usual``, and then the section's
    own parameters, are laid over both, and for a `toy` what it has under ``toy``.
    """
    try:
        said = yaml.safe_load(file.read_text(encoding="utf-8"))
        base = load_scale(said["scale"], said.get("override")) | said.get("usual", {})
        own = {name: parameters or {} for name, parameters in said["sections"].items()}
        over = said["toy"] if toy else {}
    except (OSError, yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
        raise ParameterError(f"{file} is no list of sections: {error}") from None
    chosen = {choices("section", name, own) for name in names} or set(own)
    return [
        section_class(name).from_parameters(base | parameters | over)
        for name, parameters in own.items()
        if name in chosen
    ]


# ── Jobs ─────────────────────────────────────────────────────────────────────────────────────────


def jobs_of(section: Section) -> dict[str, Job]:
    """Return the jobs of a section. What several sections need has the same key in all of them."""
    costs, jobs = _costs(), {}

    def add(kind: str, key: str, what: Any, needs: Iterable[str], seconds: float) -> str:
        jobs[f"{kind} {key}"] = Job(kind, section.name, what, frozenset(needs), seconds)
        return f"{kind} {key}"

    def training(run: TrainingRun) -> str:
        before = [training(run.parent)] if run.parent else []
        return add("training", run.id, run, before, costs.training(run))

    runs, pieces, starts = section.runs().values(), section.pieces(), {}
    for run in runs:
        training(run)
    wanted = section.to_invert()
    for part, one in enumerate(wanted, 1):
        if one.epoch and pieces:
            continue  # its piece inverts it
        key = f"{one.run.id} {one.epoch} {one.seed} {_digest(section, *_INVERSION)}"
        steps = section.n * section.iterations
        key = add(
            "inversion", key, (part, len(wanted)), [training(one.run)],
            costs.inversion(one.run, steps),
        )  # fmt: skip
        if not one.epoch:
            starts.setdefault(one.run.dataset, []).append(key)
    for name, piece in pieces.items():
        seconds = piece.comparisons * costs.comparison_s / costs.processes
        seconds += costs.inversion(piece.run, piece.image_steps)
        before = [training(piece.run), *starts.get(piece.run.dataset, ())]
        add("piece", f"{section.name} {name} {_digest(section)}", name, before, seconds)
    looks = sum(piece.comparisons for piece in pieces.values() if not piece.kept)
    looks = looks if pieces else len({run.id for run in runs})
    seconds = costs.assembly_s + looks * costs.comparison_s
    add(ASSEMBLY, f"{section.name} {_digest(section)}", None, jobs, seconds)
    return jobs


_INVERSION = ("scale", "n", "iterations", "recipe", "step")


def _digest(section: Section, *names: str) -> str:
    values = section.model_dump(mode="json")
    said = [f"{name}={values.get(name)!r}" for name in names or values]
    return hashlib.sha256(" ".join(said).encode()).hexdigest()[:8]


class _Costs:
    """What was measured, of ``pool.yaml``, for networks of other sizes by their operations."""

    def __init__(self, measured: Mapping[str, Any], plan: Mapping[str, Any]):
        vars(self).update(measured)
        self._models, self._images = plan["models"], plan["images"]

    def training(self, run: TrainingRun) -> float:
        images = run.n_train or self._images.get(run.dataset, self.images)
        steps = run.epochs * ceil(images / run.batch_size)
        step = self.step_s * run.batch_size / self.batch_size * self._times(run, training_flop)
        return self.training_s + steps * step

    def inversion(self, run: TrainingRun, image_steps: int) -> float:
        return self.image_step_s * image_steps * self._times(run, inversion_flop)

    def _times(self, run: TrainingRun, flop: Any) -> float:
        """How many times the operations of the network that was measured; 1 for an unknown one."""

        def of(model: str, size: int | None) -> float:
            shape = {k: v for k, v in self._models[model].items() if k != "parameters"}
            return flop(**shape, img_size=size or int(model.rpartition("_")[2]))

        if run.model not in self._models:
            return 1.0
        return of(run.model, run.img_size) / of(self.model, self.img_size)


@cache
def _costs() -> _Costs:
    here = Path(__file__)
    read = [yaml.safe_load(here.with_name(f"{name}.yaml").read_text()) for name in ("pool", "plan")]
    return _Costs(*read)


# ── Which is next ────────────────────────────────────────────────────────────────────────────────


class Queue:
    """Jobs of several sections: the cheapest section first, an assembly before all else.

    A section is begun only if what is begun and itself fit into the time that is left. When that is
    over, assemblies that have all they need still begin, and nothing else.

    Examples
    --------
    >>> from papers.sections import SECTIONS
    >>> queue = Queue([SECTIONS["finetuning_task"].from_parameters({"seeds": [0]})])
    >>> first = queue.take(left=600)
    >>> first.split()[0], queue.take(left=600)
    ('training', None)
    >>> queue.finish(first)
    >>> len({queue.take(left=600) for _ in range(2)})
    2
    """

    def __init__(self, sections: Iterable[Section], done: Iterable[str] = ()):
        of = {section.name: jobs_of(section) for section in sections}
        self.jobs = {key: job for jobs in of.values() for key, job in jobs.items()}
        self.done = set(done) & set(self.jobs)
        self.failed: set[str] = set()
        self.begun: set[str] = set()
        self._running: set[str] = set()
        self._tries: dict[str, int] = {}
        self.keys: dict[str, set[str]] = {}  # by section, the cheapest first
        while of:
            paid = set().union(*self.keys.values())
            name = min(of, key=lambda name: self._seconds(set(of[name]) - paid))
            self.keys[name] = set(of.pop(name))
        self._rank = {
            key: rank
            for rank, keys in reversed([*enumerate(self.keys.values())])  # the first one wins
            for key in keys
        }

    def take(self, left: float = inf) -> str | None:
        """Return the next job with `left` seconds to go, which is running now; None for none."""
        for key in sorted(self._ready(), key=self._urgency):
            if self.jobs[key].kind != ASSEMBLY:
                asking = [name for name in self._open() if key in self.keys[name]]
                name = next((name for name in asking if self._fits(name, left)), None)
                if name is None:
                    continue
                self.begun.add(name)
            self._running.add(key)
            return key
        return None

    def finish(self, key: str) -> None:
        """Say that a job is done."""
        self._running.discard(key)
        self.done.add(key)

    def fail(self, key: str) -> bool:
        """Say that a job failed; return whether it will be tried again."""
        self.release(key)
        self._tries[key] = self._tries.get(key, 0) + 1
        if self._tries[key] == TRIES:
            self.failed.add(key)
        return key not in self.failed

    def release(self, key: str) -> None:
        """Say that a job does not run any more, and is to be done again."""
        self._running.discard(key)

    def left(self, names: Iterable[str] | None = None) -> float:
        """Return the seconds that those sections still take, by default those that are begun."""
        names = self.begun.intersection(self._open()) if names is None else set(names)
        todo = set().union(*(self.keys[name] for name in names)) - self.done
        return self._seconds(todo)

    def became(self) -> dict[str, str]:
        """Return by section: done, failed, begun or not begun."""
        words = {}
        for name, keys in self.keys.items():
            if keys <= self.done:
                words[name] = "done"
            elif keys & self.failed:
                words[name] = "failed"
            else:
                words[name] = "not finished" if name in self.begun else "not begun"
        return words

    def _seconds(self, keys: Iterable[str]) -> float:
        """Return how long jobs take: the GPU is shared, assemblies run at the side of others."""
        jobs = [self.jobs[key] for key in keys]
        assemblies = [job.seconds for job in jobs if job.kind == ASSEMBLY]
        return sum(job.seconds for job in jobs if job.kind != ASSEMBLY) + max(assemblies, default=0)

    def _open(self) -> Iterator[str]:
        """Yield the sections that can still be finished, and are not."""
        for name, keys in self.keys.items():
            if not keys & self.failed and not keys <= self.done:
                yield name

    def _ready(self) -> list[str]:
        keys = set().union(*(self.keys[name] for name in self._open()))
        keys -= self.done | self._running
        return [key for key in keys if self.jobs[key].needs <= self.done]

    def _fits(self, name: str, left: float) -> bool:
        if left <= 0:
            return False
        return (
            name in self.begun or self.left({*self.begun.intersection(self._open()), name}) <= left
        )

    def _urgency(self, key: str) -> tuple:
        job = self.jobs[key]
        return job.kind != ASSEMBLY, self._rank[key], KINDS.index(job.kind), -job.seconds, key


def plan_lines(sections: Iterable[Section]) -> list[str]:
    """Return a table: jobs and seconds of each section beyond those before it, cheapest first."""
    queue, paid, lines = Queue(sections), set(), []
    lines.append(f"{'':26}{'jobs':>6}{'GPU (s)':>9}{'assembly (s)':>14}")
    for name, keys in queue.keys.items():
        new = [queue.jobs[key] for key in keys - paid]
        shared = sum(job.seconds for job in new if job.kind != ASSEMBLY)
        last = sum(job.seconds for job in new if job.kind == ASSEMBLY)
        lines.append(f"{name:26}{len(new):6}{shared:9.0f}{last:14.0f}")
        paid |= keys
    lines.append(f"{'together':26}{len(paid):6}{queue.left(queue.keys):9.0f}")
    return lines
