"""The commands ``python -m invlib compare`` and ``invert``: models and images named on a line."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

import numpy as np
import xarray as xr
from PIL import Image

from invlib.comparison.compare import compare
from invlib.data.downloads import OFFICIAL
from invlib.data.images import ImageSet, load_images
from invlib.data.sources import EMBEDDED
from invlib.files import atomic, usable
from invlib.inversion.cache import cached_invert
from invlib.metrics.invariance import cka_divergence, forgetting, learning
from invlib.models.checkpoint_files import read_weights
from invlib.models.loading import load_model
from invlib.models.staged import StagedModel
from invlib.paths import datasets_root, resolve_weights
from invlib.results.netcdf import save_results
from invlib.results.provenance import command_text
from invlib.training.train import usable_device

__all__ = ["compare_command", "images_here", "invert_command", "named_model", "summary"]


def named_model(
    text: str, *, usual: str | None = None, img_size: int | None = None, seed: int = 0
) -> StagedModel:
    """Return the model that ``NAME=WEIGHTS`` describes, or a checkpoint of the model `usual`.

    WEIGHTS are the path of a checkpoint, ``timm`` or ``random`` (drawn from `seed`). An entry of a
    checkpoint that is not the usual one stands after a #: ``mine.pth#state_dict_ema``. A checkpoint
    that `invlib.train` wrote says itself which model it is of; if nothing does, ValueError.

    Examples
    --------
    >>> named_model("vit_pico_patch8_32=random", img_size=16)
    StagedModel(vit_pico_patch8_32, 16 px, layers 0–3)
    """
    file, _, entry = text.rpartition("#")
    if file and "/" not in entry and not Path(text.partition("=")[2] or text).exists():
        text = file
    else:
        entry = None
    (name, given, weights), own = text.partition("="), Path(text).expanduser().is_file()
    if own or not given:  # a file's own name may have a "="
        name, weights = usual, text
        if own or "/" in text:
            name = read_weights(resolve_weights(text), entry=entry).settings.get("model", usual)
    if not (name and weights):
        raise ValueError(
            f"{text!r} does not say which model it is: give --model NAME, or write NAME=WEIGHTS, "
            "as in resnet18=mine.safetensors, resnet18=timm or resnet18=random"
        )
    weights = None if weights == "random" else weights
    return load_model(name, weights=weights, img_size=img_size, seed=seed, entry=entry)


def compare_command(arguments: argparse.Namespace) -> int:
    """Compare two models on images and write the comparison to a file."""
    out = _writable(arguments.output)
    if out.suffix != ".nc" or out.is_dir():
        raise ValueError(f"--output {arguments.output!r} must be a file whose name ends in '.nc'")
    device, pool, n = usable_device(arguments.device), *_images(arguments, 500)
    models = (
        named_model(text, usual=arguments.model, img_size=arguments.img_size, seed=seed).to(device)
        for seed, text in enumerate((arguments.pretrained, arguments.finetuned))
    )
    ds = compare(
        *models, pool, n=n, seeds=arguments.seeds, stir=not arguments.no_stir, **_recipe(arguments)
    )
    command = shlex.join(["python", "-m", "invlib", *arguments.argv])
    save_results(ds.assign_attrs(command=command_text(command)), out)
    print(summary(ds))
    print(f"{out}: {len(ds.seed)} x {n} images of {pool.name}; read it with invlib.open_results")
    return 0


def summary(ds: xr.Dataset) -> str:
    """Return a table of a comparison by layer, debiased, the mean over seeds."""
    table = {"CKA divergence": cka_divergence(ds)}
    if "stir_ft_ft" in ds:
        table = {"forgetting": forgetting(ds), "learning": learning(ds)} | table
        table |= {
            f"distance left, {short}": ds[f"inversion_loss_{short}"].rename(ref_layer="layer")
            for short in ("pt", "ft")
        }
    columns = {}
    for title, values in table.items():
        values = values.sel(estimator="debiased") if "estimator" in values.dims else values
        columns[title] = values.mean("seed").reset_coords(drop=True)
    return xr.Dataset(columns).to_dataframe().round(3).to_string(na_rep="")


def invert_command(arguments: argparse.Namespace) -> int:
    """Invert layers of a model and write the pictures into a new folder."""
    folder = _writable(arguments.output)
    if folder.exists():
        raise FileExistsError(f"--output {arguments.output!r} is there already; name a new folder")
    if not 0 <= arguments.seed < 2**63:
        raise ValueError(f"--seed {arguments.seed} must be from 0 to 2**63 - 1")
    device, pool, n = usable_device(arguments.device), *_images(arguments, 8)
    model = named_model(arguments.model, img_size=arguments.img_size).to(device)
    images = pool.sample(n, arguments.seed).tensor(model.img_size).to(device)
    found = cached_invert(model, images, seed=arguments.seed, **_recipe(arguments))
    rows = [("X", images), *zip(found.layers, found.images, strict=True)]
    with atomic(folder) as unfinished:
        unfinished.mkdir()
        for layer, batch in rows:
            name = layer if layer == "X" else f"layer_{layer:02d}"
            for i, x in enumerate((batch * 255).round().byte().movedim(1, -1).cpu().numpy()):
                Image.fromarray(x).save(unfinished / f"{i:03d}_{name}.png")
        header = "image," + ",".join(f"layer_{layer:02d}" for layer in found.layers)
        distances = np.column_stack([np.arange(n), found.best.T.cpu().numpy()])
        style = dict(delimiter=",", header=header, comments="", fmt="%.4g")
        np.savetxt(unfinished / "distances.csv", distances, **style)
    for layer, best in zip(found.layers, found.best, strict=True):
        print(f"layer {layer} ({model.layer_names[layer]}): distance left {float(best.mean()):.3f}")
    print(f"{folder}: X and X′ of {n} images of {pool.name} at {len(found.layers)} layers")
    return 0


def images_here(name: str) -> str:
    """Return the whole path of `name` if it is in the current folder and is no data set's name."""
    known = name in (*EMBEDDED, *OFFICIAL) or (datasets_root() / name).exists()
    here = Path(name).expanduser()
    return str(here.absolute()) if name and here.exists() and not known else name


def _writable(output: str) -> Path:
    """Return the path; OSError before any work if nothing can be written there."""
    path = Path(output).expanduser()
    usable(next(folder for folder in path.absolute().parents if folder.exists()))
    return path


def _images(arguments: argparse.Namespace, most: int) -> tuple[ImageSet, int]:
    """Return the pool and how many images of it are used: `most`, or all where there are fewer."""
    pool = load_images(images_here(arguments.images), arguments.split)
    return pool, min(most, len(pool)) if arguments.n is None else arguments.n


def _recipe(arguments: argparse.Namespace) -> dict[str, object]:
    """Return the options that `compare` and `invert` share."""
    layers = arguments.layers and [int(k) if k.isdecimal() else k for k in arguments.layers]
    return dict(
        layers=layers,
        tokens=arguments.tokens,
        iterations=arguments.steps,
        optimizer=arguments.recipe,
        tolerance=arguments.tolerance,
        progress=not arguments.quiet,
    )
