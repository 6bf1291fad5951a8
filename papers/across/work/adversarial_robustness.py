"""Compute the page on adversarial robustness: forgetting, and accuracy under attack."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pandas as pd
import torch
import xarray as xr
from art.attacks.evasion import ProjectedGradientDescentPyTorch
from art.estimators.classification import PyTorchClassifier

from invlib import forgetting, load_images, train
from invlib.models.base import evaluating, frozen
from invlib.models.staged import StagedModel
from papers.across.adversarial_robustness import ADVERSARIAL, AdversarialRobustness, split_attack
from papers.across.claims.adversarial_robustness import pooled_relation, quantities, usual
from papers.across.work.base import (
    by_epoch,
    each_training,
    level_in_words,
    over_trainings,
    stacked,
)
from papers.merlin2023.work.base import pretrained_model
from papers.work import written

# The usual attack changed, to see whether it finds what there is to find.
CHECKS = ("one step", "stronger", "large bound", "other training")
LARGE = 16  # times the bound
STRONGER = 2  # times the steps, besides more random starts


@written("attacks")
def dataset(section: AdversarialRobustness) -> xr.Dataset:
    """Compare every training with its start, and attack it; dims setting, train_seed and epoch.

    The adversarial trainings and their ordinary twins are also attacked in the ways of `CHECKS`.
    """
    pretrained, parts, made = pretrained_model(section), {}, {}
    x, labels = _images(section, pretrained.img_size)
    twins = (section.other_settings[0], ADVERSARIAL)
    for key, trained in each_training(section):
        last = trained.run.epochs
        epochs = section.epochs(key[0], last)
        ds, right = by_epoch(section, pretrained, trained, epochs), []
        for epoch in epochs:
            model = trained.model(epoch).to(pretrained.device)
            images = {name: attacked(model, x, labels, name, section) for name in section.attacks}
            right.append([_right(model, changed, labels).mean() for changed in images.values()])
        if key[0] in twins:
            made[key] = images
        ds["attacked_accuracy"] = (("epoch", "attack"), right)
        ds = ds.reindex(epoch=section.epochs(section.other_settings[0], last))
        parts[key] = ds.assign_coords(attack=list(section.attacks))
    unchecked = np.full((len(CHECKS), len(section.attacks)), np.nan)
    for key, trained in each_training(section):
        checked = unchecked
        if key[0] in twins:
            model, seeds = trained.model().to(pretrained.device), section.train_seeds
            other = key[0], seeds[(seeds.index(key[1]) + 1) % len(seeds)]
            others = made[other] if other != key else {}
            ways = (
                _checked(section, model, x, labels, name, made[key][name], others.get(name))
                for name in section.attacks
            )
            checked = np.transpose(list(ways))
        ds = parts[key].assign(checked_accuracy=(("check", "attack"), checked))
        parts[key] = ds.assign_coords(check=list(CHECKS))
    ds = stacked(parts, section.dims, shared=section.dims)
    return ds.assign_coords(dataset=section.datasets[0])


def _images(section: AdversarialRobustness, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the test images that are attacked, (N, 3, size, size) in [0, 1], and labels (N,)."""
    images = load_images(section.datasets[0], "test", n=section.attacked_n)
    return images.tensor(size).numpy(), images.labels


def _checked(
    section: AdversarialRobustness,
    model: StagedModel,
    x: np.ndarray,
    labels: np.ndarray,
    attack: str,
    changed: np.ndarray,
    others: np.ndarray | None,
) -> list[float]:
    """Return the accuracy under the attacks of `CHECKS`.

    `changed` are the images of the usual attack. What it reaches, a stronger attack or one with a
    larger bound reaches too. So these go on with the images that are left, from new random starts.
    `others` were made against another training; without them the last accuracy is NaN.
    """
    one_step = attacked(model, x, labels, attack, section, steps=1)
    found = [_right(model, one_step, labels).mean()]
    harder = dict(steps=STRONGER * section.attack_steps), dict(times=LARGE)
    for options, starts in zip(harder, (section.attack_starts, 1), strict=True):
        right = _right(model, changed, labels)
        for start in range(1, starts + 1):
            left = np.flatnonzero(right)
            if left.size:
                part = model, x[left], labels[left]
                images = attacked(*part, attack, section, seed=start, **options)
                right[left] = _right(model, images, labels[left])
        found.append(right.mean())
    return [*found, np.nan if others is None else _right(model, others, labels).mean()]


def attacked(
    model: StagedModel,
    x: np.ndarray,
    labels: np.ndarray,
    attack: str,
    section: AdversarialRobustness,
    *,
    steps: int | None = None,
    times: float = 1,
    seed: int = 0,
) -> np.ndarray:
    """Return images (N, 3, H, W) in [0, 1] after projected gradient descent (Madry et al. 2018).

    The gradient is that of the cross-entropy with respect to pixels before normalisation. All steps
    together, by default `attack_steps`, are 2.5 times as long as the bound. `times` enlarges the
    bound, `seed` draws the random start. Images that are classified wrongly stay as they are.
    """
    right = np.flatnonzero(_right(model, x, labels))
    if not right.size:
        return x
    norm, bound = split_attack(attack)
    bound, steps = times * bound, steps or section.attack_steps
    classifier = PyTorchClassifier(
        model,
        torch.nn.CrossEntropyLoss(),
        input_shape=x.shape[1:],
        nb_classes=model.net.num_classes,
        clip_values=(0, 1),
        device_type="gpu" if model.device.type == "cuda" else "cpu",
    )
    pgd = ProjectedGradientDescentPyTorch(
        classifier,
        norm={"linf": np.inf, "l2": 2}[norm],
        eps=bound,
        eps_step=2.5 * bound / steps,
        max_iter=steps,
        num_random_init=1,
        batch_size=64,
        verbose=False,
    )
    changed = x.copy()
    with frozen(model), _drawing_from(seed):
        changed[right] = pgd.generate(x[right], labels[right])
    return changed


@contextmanager
def _drawing_from(seed: int) -> Iterator[None]:
    """Seed NumPy's global generator, which the attacks draw from, and restore it afterwards."""
    state = np.random.get_state()
    np.random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(state)


@torch.no_grad()
def _predicted(model: StagedModel, x: np.ndarray) -> np.ndarray:
    """Return the class that the model gives each image, (N,)."""
    parts = torch.from_numpy(x).to(model.device).split(250)
    with evaluating(model):
        return torch.cat([model(part).argmax(1) for part in parts]).cpu().numpy()


def _right(model: StagedModel, x: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return _predicted(model, x) == labels


# ── What the page shows ──────────────────────────────────────────────────────────────────────────


def examples(
    section: AdversarialRobustness, count: int = 6
) -> tuple[dict[str, np.ndarray], pd.DataFrame]:
    """Attack a few test images now; return uint8 pictures by row, and the classes they get."""
    key, run = next(iter(section.trainings().items()))
    model = train(run, root=section.training_root).model()
    images = load_images(section.datasets[0], "test", n=count)
    x, labels = images.tensor(model.img_size).numpy(), images.labels
    pictures = {"image": x} | {a: attacked(model, x, labels, a, section) for a in section.attacks}
    classes = {"true class": labels}
    classes |= {f"class given: {name}": _predicted(model, part) for name, part in pictures.items()}
    rows = {
        name: np.uint8(np.round(255 * part.transpose(0, 2, 3, 1)))
        for name, part in pictures.items()
    }
    names = {k: [images.class_names[i] for i in given] for k, given in classes.items()}
    return rows, pd.DataFrame.from_dict(names, orient="index")


def along(ds: xr.Dataset) -> dict[str, dict[str, xr.DataArray]]:
    """Return by epoch accuracies and forgetting of the first setting, each (epoch, seed)."""
    ds = ds.isel(setting=0)
    found = quantities(ds)
    accuracies = {"all test images": found["clean"]}
    accuracies |= {name: ds["attacked_accuracy"].sel(attack=name) for name in ds["attack"].values}
    lost = {"mean over layers": found["forgetting"], "spread over layers": found["spread"]}
    parts = {"accuracy": accuracies, "forgetting": lost}
    return {k: {name: over_trainings(v) for name, v in part.items()} for k, part in parts.items()}


def by_layer(ds: xr.Dataset) -> dict[str, xr.DataArray]:
    """Return forgetting by layer after the last epoch, (setting, seed, layer)."""
    return {"forgetting": over_trainings(forgetting(ds.isel(epoch=-1, drop=True)))}


def points(ds: xr.Dataset) -> dict[str, xr.Dataset]:
    """Return accuracy under attack beside what may go with it, of every ordinary training."""
    found = xr.Dataset(quantities(usual(ds))).mean("seed")
    under = found["attacked"].rename("accuracy under attack")
    against = {"spread": "spread of forgetting", "forgetting": "mean forgetting"}
    return {
        f"against {words}": xr.merge([found[name].rename(words), under])
        for name, words in (against | {"clean": "clean accuracy"}).items()
    }


def table(ds: xr.Dataset) -> pd.DataFrame:
    """Return accuracies and forgetting of every setting, a column each; means over trainings."""
    last = ds.sel(estimator="debiased").isel(epoch=-1)
    found = quantities(last)
    means = {"clean": found["clean"]}
    means |= {a: last["attacked_accuracy"].sel(attack=a) for a in last["attack"].values}
    means |= {"forgetting": found["forgetting"], "its spread": found["spread"]}
    means |= {"its mean layer": found["place"]}
    settings = last["setting"].values.tolist()
    rows = {
        words: [float(values.sel(setting=name).mean()) for name in settings]
        for words, values in means.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index", columns=settings).round(3)


def checks(ds: xr.Dataset) -> pd.DataFrame:
    """Return mean accuracies under the usual attacks, and under those of `CHECKS` beside them."""
    rows = {}
    checked = ds["checked_accuracy"].dropna("setting", how="all").mean("train_seed")
    for setting in checked["setting"].values.tolist():
        usually = ds["attacked_accuracy"].isel(epoch=-1).sel(setting=setting)
        rows[setting, "usual"] = usually.mean("train_seed").to_series()
        for check in CHECKS:
            rows[setting, check] = checked.sel(setting=setting, check=check).to_series()
    table = pd.DataFrame.from_dict(rows, orient="index").round(3)
    return table.astype(object).fillna("–")


def findings(ds: xr.Dataset) -> list[str]:
    """Return sentences: what attacks leave, what goes with it, and the adversarial training."""
    ds = ds.sel(estimator="debiased")
    last = ds.isel(epoch=-1)
    found = quantities(last)
    first = last["setting"].values[0]

    def level(name: str, setting: str = first) -> str:
        return level_in_words(found[name].sel(setting=setting))

    said = [
        f"*{first}*: accuracy {level('clean')} on clean images and {level('attacked')} under "
        "attack, the mean of all attacks."
    ]
    settings = usual(ds)
    count = settings.sizes["setting"] * settings.sizes["train_seed"]
    if count > 3:
        words = []
        for name, label in dict(spread="the spread", forgetting="the mean").items():
            plain, partial = (
                float(pooled_relation(settings, name, given).mean()) for given in (False, True)
            )
            words.append(f"{label} of forgetting by {plain:.2f} ({partial:.2f})")
        clean = float(pooled_relation(settings, "clean", False).mean())
        said.append(
            f"Over {count} trainings, accuracy under attack correlates with {' and '.join(words)}, "
            f"in brackets with clean accuracy held fixed, and with clean accuracy by {clean:.2f}."
        )
    if ADVERSARIAL in last["setting"].values:
        robust = {name: level(name, ADVERSARIAL) for name in found}
        said.append(
            f"After adversarial fine-tuning, accuracy under attack is {robust['attacked']}, clean "
            f"accuracy {robust['clean']}. Mean forgetting is {robust['forgetting']} beside "
            f"{level('forgetting')}, and its mean layer {robust['place']} beside {level('place')}."
        )
    return said
