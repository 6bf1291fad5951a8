"""``make plan``: the jobs of a scale, the GPU-hours and the storage they take. Imports no torch.

Sizes are those the sections declare; what one of them costs is in ``plan.yaml``.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from invlib.training.run import TrainingRun
from papers.section import Section
from papers.words import counted

__all__ = ["Row", "inversion_flop", "plan", "plan_text", "training_flop"]

_BYTES = 4  # of a float32


@dataclass(frozen=True)
class Row:
    """Jobs of one kind; `hours` of a GPU and `gigabytes` are None where nothing is known."""

    what: str
    jobs: int
    hours: float | None = None
    gigabytes: float | None = None


def training_flop(*, depth: int, width: int, patch: int, img_size: int) -> float:
    """Return the operations of training a ViT on one image: forward, and twice that back.

    Examples
    --------
    >>> training_flop(depth=12, width=768, patch=32, img_size=224) / 1e9
    26.219298816
    """
    embed, products, attention = _forward(width, patch, img_size)
    return 3 * depth * (products + attention) + 2 * embed  # pixels need no gradient


def inversion_flop(*, depth: int, width: int, patch: int, img_size: int) -> float:
    """Return the operations of a step of inverting one image at all layers, 0 to `depth`.

    Layer k takes k blocks, forward and back. Weights have no gradient, so products are taken twice,
    but attention three times, because both its factors depend on the pixels.

    Examples
    --------
    >>> inversion_flop(depth=12, width=768, patch=32, img_size=224) / 1e9
    118.223659008
    """
    embed, products, attention = _forward(width, patch, img_size)
    blocks = depth * (depth + 1) // 2
    return 2 * (depth + 1) * embed + blocks * (2 * products + 3 * attention)


def _forward(width: int, patch: int, img_size: int) -> tuple[int, int, int]:
    """Return operations on an image: the embedding, a block's products, a block's attention."""
    patches = (img_size // patch) ** 2
    tokens = patches + 1
    return 2 * patches * 3 * patch**2 * width, 24 * width**2 * tokens, 4 * tokens**2 * width


def plan(sections: Mapping[str, Section], runs: Iterable[TrainingRun], parts: int) -> list[Row]:
    """Return the jobs that make `sections`, with `runs` trained first and inversions in `parts`.

    With no parts, the sections' own jobs invert.
    Storage is that of weights, optimiser states and kept inversions; nothing is taken off for
    inversions that sections share.
    """
    costs, runs, rows = _costs(), list(runs), []
    rows.append(Row("trainings", len(runs), *_sums(runs, lambda run: _training(run, costs))))
    for name, section in sections.items():
        if wanted := section.to_invert():
            sums = _sums(
                [(section, each.run) for each in wanted], lambda of: _inversion(*of, costs)
            )
            rows.append(Row(f"{name}: inversions", min(parts, len(wanted)), *sums))
    rows.append(Row("sections, which gather", len(sections)))
    return rows


def _costs() -> dict[str, Any]:
    return yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))


def _training(run: TrainingRun, costs: Mapping[str, Any]) -> tuple[float, float] | None:
    """Return hours and gigabytes of a training, or None if the table does not have it."""
    n = run.n_train or costs["images"].get(run.dataset)
    if run.model not in costs["models"] or n is None:
        return None
    shape = dict(costs["models"][run.model])
    parameters = shape.pop("parameters")
    flop = run.epochs * n * training_flop(**shape, img_size=_size(run))
    weights = run.epochs + 1 if run.keep == "all" else 2
    moments = 1 if run.optimizer == "sgd" else 2
    return _hours(flop, costs["training_rate"]), _gb((weights + moments) * parameters)


def _inversion(
    section: Any, run: TrainingRun, costs: Mapping[str, Any]
) -> tuple[float, float] | None:
    """Return hours and gigabytes of inverting the model of `run` as `section` does, or None."""
    if run.model not in costs["models"]:
        return None
    shape = {k: v for k, v in costs["models"][run.model].items() if k != "parameters"}
    size = _size(run)
    flop = section.n * section.iterations * inversion_flop(**shape, img_size=size)
    numbers = (shape["depth"] + 1) * section.n * 3 * size**2
    return _hours(flop, costs["inversion_rate"]), _gb(numbers)


def _size(run: TrainingRun) -> int:
    return run.img_size or int(run.model.rpartition("_")[2])  # as its name says


def _hours(flop: float, rate: float) -> float:
    return flop / (rate * 1e12) / 3600


def _gb(numbers: float) -> float:
    return numbers * _BYTES / 1e9


def _sums(
    things: list, cost: Callable[[Any], tuple[float, float] | None]
) -> tuple[float | None, float | None]:
    found = [cost(thing) for thing in things]
    if None in found:
        return None, None
    return sum(hours for hours, _ in found), sum(gigabytes for _, gigabytes in found)


def plan_text(sections: Mapping[str, Section], runs: Mapping[str, TrainingRun], parts: int) -> str:
    """Return the plan as a table with its totals, and what is not in it."""
    rows = plan(sections, runs.values(), parts)
    costs = _costs()
    known = [row for row in rows if row.hours is not None]
    rows = [*rows, Row("together", sum(row.jobs for row in rows), *_totals(known))]
    lines = [f"{'':32}{'jobs':>6}{'GPU-hours':>12}{'hours a job':>13}{'GB':>9}"]
    for row in rows:
        cells = ["-", "-", "-"]
        if row.hours is not None:
            each = f"{row.hours / row.jobs:.2f}" if row.jobs and row is not rows[-1] else ""
            cells = [f"{row.hours:.1f}", each, f"{row.gigabytes:.0f}"]
        lines.append(f"{row.what:32}{row.jobs:6}{cells[0]:>12}{cells[1]:>13}{cells[2]:>9}")
    lines.append(
        f"Hours of one {costs['card']}, {costs['precision']}: see papers/engine/plan.yaml."
    )
    lines.append("Not in them: what is marked -, which nobody has measured on a GPU, and")
    for name, section in sections.items():
        if section.own_trainings:
            lines.append(
                f"    {name}: {counted(len(section.runs()), 'short training')} in its notebook"
            )
    return "\n".join(lines)


def _totals(rows: list[Row]) -> tuple[float | None, float | None]:
    if not rows:
        return None, None
    return sum(row.hours or 0 for row in rows), sum(row.gigabytes or 0 for row in rows)
