"""One bit of a stored file flips: the reader sees the true value, or is told. Never another value.

``python -m tests.faults.flips --flips 2000`` prints a table: for each kind of file, how many flips
changed nothing that a reader sees, had the file made again, were refused, ended in an error that
does not name the file, crashed the process, and gave a silently wrong value.
"""

from __future__ import annotations

import argparse
import collections
import functools
import os
import random
import shutil
import signal
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from safetensors.torch import load_file

import invlib.training.train as training
from invlib.data.embedded import digits
from invlib.data.images import load_images
from invlib.inversion.cache import cached_invert
from invlib.models.loading import load_model
from invlib.results.netcdf import open_results, save_results
from invlib.training.checkpoints import Trained
from invlib.training.run import TrainingRun
from tests.invlib.results.datasets import comparison

OUTCOMES = ("unchanged", "made again", "refused", "unclear error", "crash", "silently wrong")
RUN = TrainingRun(
    model="vit_pico_patch8_32", dataset="digits", n_train=64, n_test=20, batch_size=32, epochs=3,
    optimizer="adamw", lr=3e-3, warmup_steps=2, augmentation="none",
)  # fmt: skip
SECONDS = 120  # a reader that takes longer hangs


@dataclass(frozen=True)
class Kind:
    """Files of one kind in `folder`, and what a reader of them sees, as comparable values."""

    name: str
    folder: str
    pattern: str
    read: Callable[[Path, Path], object]  # (folder, file)


def weights_seen(folder: Path, file: Path) -> object:
    model = load_model(RUN.model, weights=file)
    tensors = {k: v.numpy().tobytes() for k, v in model.net.state_dict().items()}
    return tensors, model.img_size, model.task


def run_seen(folder: Path, file: Path) -> object:
    """Everything that a reader of a run sees once `train` has returned it; times only if kept."""
    log = folder / RUN.id / "log.nc"
    before = log.stat().st_ino if log.exists() else None
    trained = training.train(RUN, root=folder, device="cpu", progress=False)
    files = [trained.checkpoint(epoch) for epoch in trained.epochs]
    seen = [sorted((k, v.numpy().tobytes()) for k, v in load_file(path).items()) for path in files]
    seen.append(weights_seen(folder, files[-1]))
    values = trained.log
    if log.stat().st_ino != before:  # written anew: another time, another date
        values = values.drop_vars("epoch_time").drop_attrs(deep=False)
    return trained.epochs, seen, values.to_dict(data="array")


def inversion_seen(folder: Path, file: Path) -> object:
    found = cached_invert(
        MODEL, IMAGES, cache=folder, iterations=2, layers=[1, 3], snapshots=[1, 2]
    )
    tensors = [x.numpy().tobytes() for x in (found.images, found.loss, found.best)]
    return tensors, found.images.shape, found.layers, found.snapshots


def decoded_seen(folder: Path, file: Path) -> object:
    os.environ["INVLIB_CACHE"] = str(folder)
    mine = next(place for place in folder.parents if (place / "mine").exists()) / "mine"
    images = load_images(str(mine), "train")
    return images.images.tobytes(), images.labels.tobytes(), images.class_names


KINDS = (
    Kind("weights, opened", "finished", "epoch_*.safetensors", weights_seen),
    Kind("weights of a user's own", "own", "*.pth", weights_seen),
    Kind("weights of a finished run", "finished", "epoch_*.safetensors", run_seen),
    Kind("log of a finished run", "finished", "log.nc", run_seen),
    Kind("done.json", "finished", "done.json", run_seen),
    Kind("run.json", "finished", "run.json", run_seen),
    Kind("weights of a run cut off", "cut", "epoch_*.safetensors", run_seen),
    Kind("state of a run cut off", "cut", "state*.*", run_seen),
    Kind("inversion", "inversions", "*.safetensors", inversion_seen),
    Kind("decoded images", "cache", "*.[nj]*", decoded_seen),
    Kind(
        "result", "results", "*.nc", lambda folder, file: open_results(file).to_dict(data="array")
    ),
)

MODEL = load_model(RUN.model, seed=1)
IMAGES = load_images("digits", "test", n=3).tensor(32)


def stock(root: Path) -> None:
    """Write whole files of all kinds below `root`."""
    training.train(RUN, root=root / "finished", device="cpu", progress=False)
    evaluate, calls = training.evaluate, iter(range(RUN.epochs))

    def cut(*arguments):
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return evaluate(*arguments)

    training.evaluate = cut
    try:
        training.train(RUN, root=root / "cut", device="cpu", progress=False)
    except KeyboardInterrupt:
        assert Trained(RUN, root / "cut" / RUN.id).epochs == [0, 1, 2]
    finally:
        training.evaluate = evaluate
    (root / "own").mkdir()
    torch.save(MODEL.net.state_dict(), root / "own" / "mine.pth")
    inversion_seen(root / "inversions", root)
    mine = root.parent / "mine"  # one place for all copies: an entry belongs to a path
    mine.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3), np.uint8)
    np.savez(mine / "train.npz", images=pixels, labels=np.arange(12) % 3)
    (mine / "classes.json").write_text('["cat", "dog", "owl"]')
    decoded_seen(root / "cache", root)
    save_results(comparison(), root / "results" / "result.nc")


def same(one: object, two: object) -> bool:
    """Whether two trees of values are equal, NaN equal to NaN."""
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(same(value, two[k]) for k, value in one.items())
    if isinstance(one, list | tuple):
        return len(one) == len(two) and all(map(same, one, two))
    if isinstance(one, np.ndarray):
        equal_nan = one.dtype.kind == "f"
        return one.dtype == two.dtype and np.array_equal(one, two, equal_nan=equal_nan)
    return type(one) is type(two) and one == two


def in_child(kind: Kind, folder: Path, file: Path, truths: list) -> str:
    """Read in a process of its own, and return what came of it."""
    child = os.fork()
    if child == 0:
        code = OUTCOMES.index("crash")
        try:
            signal.alarm(SECONDS)
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1), os.dup2(null, 2)
            torch.set_num_threads(1)
            seen = kind.read(folder, file)
            told = any(same(truth, seen) for truth in truths)
            code = OUTCOMES.index("unchanged" if told else "silently wrong")
        except Exception as error:
            clear = isinstance(error, ValueError | OSError) and file.name in str(error)
            code = OUTCOMES.index("refused" if clear else "unclear error")
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return "crash" if os.WIFSIGNALED(status) else OUTCOMES[os.WEXITSTATUS(status)]


def flip(path: Path, rng: random.Random) -> str:
    """Flip one bit of a file, every fourth time near an end, where the headers are."""
    blob = bytearray(path.read_bytes())
    place = rng.randrange(len(blob))
    if rng.random() < 0.25:
        place = (rng.randrange(2048) if rng.random() < 0.7 else -1 - rng.randrange(512)) % len(blob)
    bit = rng.randrange(8)
    blob[place] ^= 1 << bit
    path.unlink()
    path.write_bytes(blob)
    return f"byte {place}, bit {bit} of {path.name}"


@mock.patch.object(digits, "draw_digits", functools.cache(digits.draw_digits))
def flips(number: int, root: Path, seed: int = 0) -> tuple[dict, list[str]]:
    """Do `number` flips, the kinds in turn; return counts by (kind, outcome), and the faults."""
    rng, counts, wrong = random.Random(seed), collections.Counter(), []
    whole, work = root / "whole", root / "work"
    stock(whole)
    truths = {}
    for kind in KINDS:
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(whole, work)
        folder = work / kind.folder
        files = sorted(p for p in folder.rglob(kind.pattern) if p.is_file())
        assert files, kind.name
        if kind.read is run_seen:  # as it is, and as it is when made again
            shutil.copytree(whole / "finished", root / f"again {kind.name}" / "finished")
            again = root / f"again {kind.name}" / "finished"
            truths[kind] = [run_seen(work / "finished", files[0])]
            for name in ("log.nc", "done.json"):
                next(again.rglob(name)).unlink()
            truths[kind].append(run_seen(again, files[0]))
        elif kind.read is not weights_seen:
            truths[kind] = [kind.read(folder, files[0])]
    shutil.rmtree(work)
    shutil.copytree(whole, work)
    for count in range(number):
        kind = KINDS[count % len(KINDS)]
        folder = work / kind.folder
        shutil.rmtree(folder)
        shutil.copytree(whole / kind.folder, folder)
        file = rng.choice(sorted(p for p in folder.rglob(kind.pattern) if p.is_file()))
        truth = truths.get(kind) or [weights_seen(folder, file)]
        said = flip(file, rng)
        flipped = file.read_bytes()
        outcome = in_child(kind, folder, file, truth)
        if outcome == "unchanged" and not (file.exists() and file.read_bytes() == flipped):
            outcome = "made again"
        counts[kind.name, outcome] += 1
        if outcome in OUTCOMES[3:]:
            wrong.append(f"{outcome}: {kind.name}, {said}")
    return counts, wrong


def table(counts: dict) -> str:
    """Return the counts as lines of text, one for each kind."""
    rows = [("", *OUTCOMES)]
    for name in (*(kind.name for kind in KINDS), "all"):
        of_kind = [
            sum(n for (k, o), n in counts.items() if o == outcome and name in (k, "all"))
            for outcome in OUTCOMES
        ]
        rows.append((name, *map(str, of_kind)))
    return "\n".join(f"{row[0]:26}" + "".join(f"{cell:>16}" for cell in row[1:]) for row in rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flips", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--details", action="store_true", help="list every fault that was not told")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        counted, faults = flips(options.flips, Path(place), options.seed)
    print(table(counted))
    if options.details:
        print(*faults, sep="\n")
