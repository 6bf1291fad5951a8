"""Train a model and keep its weights after every epoch; an interrupted training goes on from there.

A run that was killed continues after its last finished epoch. The random numbers of an epoch depend
only on (seed, epoch). So on a CPU, with the same number of threads, its weights are bit for bit
those of a run that was not interrupted.
"""

from __future__ import annotations

import logging
import math
import os
import time
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from timm.optim import param_groups_weight_decay
from timm.scheduler import CosineLRScheduler, MultiStepLRScheduler, PolyLRScheduler
from timm.scheduler.scheduler import Scheduler
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from tqdm import tqdm

from invlib.data.images import ImageSet, bicubic
from invlib.files import lock
from invlib.models.base import split_batches
from invlib.models.loading import load_model
from invlib.models.staged import StagedModel
from invlib.paths import runs_root, training_folder
from invlib.progress import progress_bar
from invlib.results.netcdf import save_results
from invlib.results.provenance import provenance
from invlib.training.augment import augment
from invlib.training.checkpoints import Trained
from invlib.training.evaluation import evaluate, loss_function
from invlib.training.run import TrainingRun
from invlib.training.seen import evaluated_on, trained_on

__all__ = ["Trained", "train"]

logger = logging.getLogger(__name__)

# Steps between checks of the loss. A check makes a GPU wait for its queue, and NaN stays NaN.
_LOOK_EVERY = {"cpu": 1, "cuda": 20}

ADVERSARY_STEPS = 2  # of gradient ascent, together 2.5 times as long as the bound


def train(
    run: TrainingRun,
    *,
    root: str | os.PathLike[str] | None = None,
    device: str | torch.device | None = None,
    progress: bool | None = None,
) -> Trained:
    """Train as `run` says, or return the finished run if it is on disk.

    A reconstruction is compared with the augmented image. `seen` says which images and labels a run
    sees. A training step computes in bfloat16 (autocast) on CUDA and in float32 on a CPU. Tests
    always compute in float32.

    Parameters
    ----------
    run : TrainingRun
        If its `weights` is another run, that run is trained first, in the same `root`.
    root : path, optional
        Folder of runs, default ``data/runs/training`` of the project. If another process trains the
        same run, this one waits and then returns the result.
    device : str or torch.device, optional
        Default: CUDA if there is a GPU.
    progress : bool, optional
        Show a progress bar; default: only in a terminal, or if ``INVLIB_PROGRESS`` says how many
        seconds are between two lines.

    Raises
    ------
    FloatingPointError
        If the loss is not finite. Nothing of that epoch is stored.

    Examples
    --------
    >>> import tempfile
    >>> run = TrainingRun(model="vit_pico_patch8_32", dataset="digits", n_train=64, n_test=32,
    ...                   epochs=1, batch_size=32)
    >>> with tempfile.TemporaryDirectory() as root:
    ...     trained = train(run, root=root, device="cpu")
    ...     trained.epochs, trained.model(0).task, float(trained.log.test_accuracy[0]) < 0.5
    ([0, 1], 'classification', True)
    """
    root = runs_root("training") if root is None else Path(root)
    trained = Trained(run, training_folder(run.id, root))
    if trained.complete:
        return trained
    device = usable_device(device)
    start = run.weights
    if run.parent is not None:
        start = train(run.parent, root=root, device=device, progress=progress).checkpoint()
    with lock(trained.path / ".lock"):
        if not trained.complete:
            _Training(trained, start, device).go(progress)
    return trained


def usable_device(device: str | torch.device | None) -> torch.device:
    """Return `device`, by default a GPU if there is one; ValueError if it cannot be used."""
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.ones(1, device=device).cpu()  # "meta" has no values
        return torch.empty(0, device=device).device
    except (AssertionError, RuntimeError) as error:  # a misspelt name, or there is no such GPU
        raise ValueError(
            f"device={str(device)!r} cannot be used here; allowed are 'cpu' and, where PyTorch "
            "finds a GPU, 'cuda'"
        ) from error


def build_optimizer(run: TrainingRun, model: nn.Module) -> Optimizer:
    """Return the optimiser of `run`. Biases and norms are in a group without weight decay."""
    groups = param_groups_weight_decay(model, run.weight_decay)
    if run.optimizer == "sgd":
        return SGD(groups, lr=run.lr, momentum=run.momentum)
    return {"adam": Adam, "adamw": AdamW}[run.optimizer](groups, lr=run.lr)


def build_scheduler(run: TrainingRun, optimizer: Optimizer, steps: int) -> Scheduler:
    """Return timm's schedule; ``step_update(t)`` sets the learning rate of step t = 0, 1, …"""
    one_cycle = run.schedule == "one-cycle"
    warmup = 3 * steps // 10 if one_cycle else min(run.warmup_steps, steps // 10)
    usual = dict(warmup_t=warmup, t_in_epochs=False)
    if run.schedule in ("constant", "step"):
        falls = [1 + steps // 2, 1 + 3 * steps // 4] if run.schedule == "step" else []
        return MultiStepLRScheduler(optimizer, falls, decay_rate=0.1, warmup_prefix=False, **usual)
    # a fall to 0 starts where the warm-up ends, as in `transformers`; timm warns at 1
    usual |= dict(t_initial=max(2, steps - warmup), warmup_prefix=True)
    if run.schedule == "linear":
        return PolyLRScheduler(optimizer, power=1, **usual)
    return CosineLRScheduler(optimizer, **usual)


def epoch_generator(seed: int, epoch: int) -> torch.Generator:
    """Return the CPU generator of one epoch, which depends only on (seed, epoch)."""
    state = np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0]))


def has_batch_norm(model: nn.Module) -> bool:
    """Return whether `model` normalises by the batch in training, so that it needs two images."""
    return any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules())


class _Training:
    """A run in progress: the model, the data on its device, the optimiser and the log so far."""

    def __init__(self, trained: Trained, start: str | Path | None, device: torch.device):
        self.trained, self.run, self.device = trained, trained.run, device
        run = self.run
        images = trained_on(run)
        self.model = _initial_model(run, start, images.num_classes).to(device)
        size = self.model.img_size
        # At most two source pixels per output pixel and axis, so bilinear sampling uses all.
        self.images, self.labels = _on_device(images, 2 * size, device)
        self.tests = _on_device(evaluated_on(run), size, device)
        marked = evaluated_on(run, squares=True) if run.squares else None
        self.marked = marked and _on_device(marked, size, device)
        self.least = 2 if has_batch_norm(self.model) else 1  # images in a batch
        self.steps = len(self.batches(torch.arange(len(images))))  # per epoch
        self.optimizer = build_optimizer(run, self.model.net)
        self.scheduler = build_scheduler(run, self.optimizer, run.epochs * self.steps)
        self.loss = loss_function(run.task, run.label_smoothing)
        self.log: list[dict[str, float]] = []

    def go(self, progress: bool | None) -> None:
        self.trained.begin()
        if state := self.trained.resume(self.model):
            self.optimizer.load_state_dict(state["optimizer"])
            self.log = state["log"]
        first, total = len(self.log), self.run.epochs * self.steps
        what = f"training {self.run.model} on {self.run.dataset}"
        done = max(0, first - 1) * self.steps
        with progress_bar(progress, total, what, initial=done) as bar:
            for epoch in range(first, self.run.epochs + 1):
                started = time.perf_counter()
                row = self.train_epoch(epoch, bar) if epoch else {}
                for name, value in evaluate(self.model, *self.tests).items():
                    self.check(value, epoch, self.steps, "test loss")
                    row[f"test_{name}"] = value
                if self.marked is not None:
                    row["test_accuracy_squares"] = evaluate(self.model, *self.marked)["accuracy"]
                row["epoch_time"] = time.perf_counter() - started
                self.log.append(row)
                state = {"optimizer": self.optimizer.state_dict(), "log": self.log}
                self.trained.store(epoch, self.model, state)
                logger.info("run %s, epoch %d: %s", self.run.id, epoch, row)
                bar.set_postfix({k: f"{v:.3f}" for k, v in row.items() if k.startswith("test")})
        save_results(self.log_dataset(), self.trained.path / "log.nc")
        self.trained.finish()

    def batches(self, order: Tensor) -> list[Tensor]:
        return split_batches(order, self.run.batch_size, least=self.least)

    def train_epoch(self, epoch: int, bar: tqdm) -> dict[str, float]:
        """Do the steps of one epoch; return mean loss, accuracy and the last learning rate."""
        generator = epoch_generator(self.run.seed, epoch)
        order = torch.randperm(len(self.images), generator=generator).to(self.device)
        batches = self.batches(order)
        losses: list[Tensor] = []
        right = torch.zeros((), dtype=torch.int64, device=self.device)
        look_every = _LOOK_EVERY.get(self.device.type, 1)
        self.model.train()
        # Dropout and stochastic depth draw from torch's global generator.
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(generator.initial_seed())
            for step, index in enumerate(batches):
                self.scheduler.step_update((epoch - 1) * self.steps + step)
                loss, hits = self.step(index, generator)
                losses.append(loss)
                right += hits
                if len(losses) % look_every == 0 or len(losses) == self.steps:
                    for k, value in enumerate(torch.stack(losses[-look_every:]).tolist()):
                        k += max(1, len(losses) - look_every + 1)  # the first step is number 1
                        self.check(value, epoch, k, "training loss")
                bar.update()
        sizes = torch.tensor([len(batch) for batch in batches])
        loss = (torch.stack(losses).double().cpu() * sizes).sum().item() / len(order)
        row = {"train_loss": loss, "learning_rate": self.optimizer.param_groups[0]["lr"]}
        if self.run.task == "classification":
            row["train_accuracy"] = right.item() / len(order)
        return row

    def step(self, index: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor | int]:
        """Do one step on the images `index`; return the loss and the number of correct answers."""
        x = augment(
            self.images[index], self.model.img_size, kind=self.run.augmentation, generator=generator
        )
        classify = self.run.task == "classification"
        target = self.labels[index] if classify else x
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            if self.run.adversary:
                x = self.attacked(x, target, generator)
            output = self.model(x)
        loss = self.loss(output.float(), target)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if self.run.clip is not None:
            nn.utils.clip_grad_norm_(self.model.net.parameters(), self.run.clip)
        self.optimizer.step()
        return loss.detach(), (output.argmax(dim=1) == target).sum() if classify else 0

    def attacked(self, x: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Return images within ±`adversary` of `x` on which the loss is higher."""
        bound = self.run.adversary
        change = bound * (2 * torch.rand(x.shape, generator=generator).to(x) - 1)
        for _ in range(ADVERSARY_STEPS):
            change = ((x + change).clamp(0, 1) - x).requires_grad_()
            loss = self.loss(self.model(x + change).float(), labels)
            (slope,) = torch.autograd.grad(loss, change)
            step = 2.5 * bound / ADVERSARY_STEPS * slope.sign()
            change = (change.detach() + step).clamp(-bound, bound)
        return (x + change).clamp(0, 1)

    def check(self, value: float, epoch: int, step: int, what: str) -> None:
        if not math.isfinite(value):
            raise FloatingPointError(
                f"training diverged: the {what} is {value} at epoch {epoch}, step {step} of "
                f"{self.steps} (lr={self.optimizer.param_groups[0]['lr']:.3g} of {self.run.lr:g}); "
                f"try a lower lr, a smaller clip (now {self.run.clip}) or more warmup_steps (now "
                f"{self.run.warmup_steps}). Run {self.run.id}: {self.run.describe()}"
            )

    def log_dataset(self) -> xr.Dataset:
        # Epoch 0 has a test result but no training, hence NaN there.
        names = dict.fromkeys(name for row in self.log for name in row)
        values = {n: ("epoch", [row.get(n, math.nan) for row in self.log]) for n in names}
        ds = xr.Dataset(values, {"epoch": np.arange(len(self.log))})
        if "train_loss" not in ds:
            ds["train_loss"] = ("epoch", [math.nan] * len(self.log))
        ds.attrs = {"kind": "training"} | provenance(
            parameters=self.run.model_dump() | {"id": self.run.id},
            seeds=[self.run.seed],
            device=self.device,
            wall_time=float(ds["epoch_time"].sum()),
            command="python -m invlib train --run run.json",
        )
        return ds


def _initial_model(run: TrainingRun, start: str | Path | None, num_classes: int) -> StagedModel:
    """Return the model before any step, with a new head unless it is kept."""
    model = load_model(run.model, weights=start, img_size=run.img_size, seed=run.seed)
    if run.head == "new":
        return model.with_head(run.task, num_classes, seed=run.seed)
    has = f"head='kept': the weights have a head for {model.task}"
    if model.task != run.task:
        raise ValueError(f"{has}; for task={run.task!r} allowed is 'new'")
    if run.task == "classification" and (k := model.net.num_classes) != num_classes:
        raise ValueError(f"{has} of {k} classes; for the {num_classes} here allowed is 'new'")
    return model


def _on_device(images: ImageSet, side: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return images as uint8 (N, H, W, 3), shorter side at most `side`, and labels (N,)."""
    labels = torch.tensor(images.labels, device=device)
    height, width = images.images.shape[1:3]
    factor = side / min(height, width)
    parts = []
    for part in np.array_split(images.images, math.ceil(len(images) / 1024)):  # may be a memmap
        x = torch.tensor(part, device=device)  # a copy: a memmap is read-only
        if factor < 1:
            shape = (round(height * factor), round(width * factor))
            x = bicubic(x.permute(0, 3, 1, 2).float(), shape, most=255)
            x = x.round_().byte().permute(0, 2, 3, 1).contiguous()
        parts.append(x)
    return torch.cat(parts), labels
