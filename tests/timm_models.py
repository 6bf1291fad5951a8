"""Try every model of timm: is it supported, how, or why not (``make test-timm``).

All are built on the meta device, which computes shapes and no numbers; those that are cut by
calling their modules, on the CPU. Then the smallest supported model of each module of timm is held
to timm's own features and logits, with random weights.

Progress is kept in ``data/runs/timm_models``, so that a walk that was interrupted goes on. In the
end ``data/timm_models.csv`` and the table in ``book/running.md`` are written.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from pathlib import Path

import timm
import torch
from torch import Tensor, nn

from invlib.models.convnets import CHAIN
from invlib.models.hooked import HookedModel, build
from invlib.models.loading import load_model
from invlib.models.staged import FAMILIES, StagedModel
from invlib.models.zoo import create

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "data/timm_models.csv"
PAGE = ROOT / "book/running.md"
BEGIN, END = "<!-- timm models: written by make test-timm -->", "<!-- end of timm models -->"
FIELDS = ["model", "module", "parameters", "layers", "blocks", "refused"]


# ── The walk ─────────────────────────────────────────────────────────────────────────────────────


def look(name: str) -> dict[str, str]:
    """Return the row of a model: its layers without layer 0, or the reason why it is refused."""
    with torch.device("meta"):
        net = create(name)
        chained = FAMILIES.get(type(net)) is CHAIN
    if chained:  # compares numbers
        net = create(name)
    row = dict(
        model=name,
        module=type(net).__module__.rpartition(".")[2],
        parameters=str(sum(p.numel() for p in net.parameters())),
    )
    try:
        model = build(net, name=name)
    except ValueError as error:
        return row | dict(layers="", blocks="", refused=str(error))
    last = model.passes.taps[-1].spec if isinstance(model, HookedModel) else ""
    blocks = re.sub(r"\d+[a-z]?(?=[._]|$)|\d+", "*", last)
    return row | dict(layers=str(len(model.stages) - 1), blocks=blocks, refused="")


def code() -> str:
    """Return a digest of what decides about a model."""
    files = sorted((ROOT / "invlib/models").glob("*.py"))
    text = b"".join(file.read_bytes() for file in files) + timm.__version__.encode()
    return hashlib.sha256(text).hexdigest()[:12]


def walk(names: list[str], progress: Path, jobs: int) -> list[dict[str, str]]:
    """Return the rows of all models, and keep each in `progress` when it is done."""
    done = {}
    if progress.is_file():
        with progress.open(newline="", encoding="utf-8") as file:
            done = {row["model"]: row for row in csv.DictReader(file) if row["refused"] is not None}
    progress.parent.mkdir(parents=True, exist_ok=True)
    started, todo = time.monotonic(), [name for name in names if name not in done]
    with progress.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, FIELDS)
        writer.writeheader()
        writer.writerows(done.values())
        with get_context("spawn").Pool(jobs) as pool:
            for count, row in enumerate(pool.imap(look, todo), start=1):
                name = row["model"]
                done[name] = row
                writer.writerow(row)
                file.flush()
                left = (time.monotonic() - started) / count * (len(todo) - count)
                said = row["refused"] or f"{row['layers']} blocks"
                print(f"{count}/{len(todo)}, {left / 60:.0f} min left: {name}: {said}", flush=True)
    return [done[name] for name in names]


# ── Features and logits ──────────────────────────────────────────────────────────────────────────


def stirred(net: nn.Module) -> None:
    """Move all weights and statistics, so that none is 0 or 1 and leaving it out shows."""
    generator = torch.Generator().manual_seed(1)
    for tensor in net.state_dict().values():
        if tensor.is_floating_point() and tensor.numel():
            tensor.data += 0.02 * torch.rand(tensor.shape, generator=generator).mul(2).sub(1)


@torch.no_grad()
def check(name: str, *, img_size: int | None = None) -> tuple[int, int]:
    """Hold a model to timm's own logits and features.

    Every layer is what timm's own module puts out in a pass of the network. The stages lead from
    the images to every layer, and from the last one to timm's logits. Of what timm's
    ``forward_intermediates`` returns, the result says how many are layers, and out of how many:
    those that it takes in the middle of a block or behind a norm are none.
    """
    model = load_model(name, img_size=img_size)
    stirred(model.net)
    size = (3, 3, model.img_size, model.img_size)
    x = torch.rand(size, generator=torch.Generator().manual_seed(0))
    cfg = model.net.pretrained_cfg
    mean, std = (torch.tensor(cfg[key]).view(3, 1, 1) for key in ("mean", "std"))
    heard = {}
    with listening(model, heard):
        logits = model.net((x - mean) / std)
    close(model(x), logits)
    layers = model.features(x)
    assert len(heard) >= len(layers) - 1  # layer 0 may follow from no single module
    for k, own in heard.items():
        close(layers[k], own)
    close(model.head(layers[-1]), logits)
    for k, (stage, found) in enumerate(zip(model.stages, layers, strict=True)):
        close(stage(layers[k - 1] if k else x), found)
    if not hasattr(model.net, "forward_intermediates"):
        return 0, 0
    own = model.net.forward_intermediates((x - mean) / std, norm=False, intermediates_only=True)
    return sum(any(alike(layer, feature) for layer in layers) for feature in own), len(own)


@contextmanager
def listening(model: StagedModel, heard: dict[int, Tensor]) -> Iterator[None]:
    """Put into `heard`, by layer, what timm's own modules are given or put out."""

    def keep(k: int, value: object) -> None:
        heard[k] = (
            value if isinstance(value, Tensor) else value[model.passes.taps[k].part]
        ).clone()

    with ExitStack() as hooks:
        for k, stage in enumerate(model.stages):
            if isinstance(model, HookedModel):
                name, at_input, _ = model.passes.taps[k].spec.partition(":input")
                module = model.net.get_submodule(name)
            else:  # the stage is a module, or several in a row
                module, at_input = stage[-1] if type(stage) is nn.Sequential else stage, ""
            if at_input:
                hook = module.register_forward_pre_hook(lambda _, args, k=k: keep(k, args[0]))
            elif isinstance(module, nn.Module):
                hook = module.register_forward_hook(lambda _, args, out, k=k: keep(k, out))
            else:
                continue
            hooks.callback(hook.remove)
        yield


def close(found: Tensor, expected: Tensor) -> None:
    scale = expected.abs().max()
    assert found.shape == expected.shape and scale.isfinite()
    torch.testing.assert_close(found / scale, expected / scale, rtol=1e-3, atol=1e-5)


def alike(layer: Tensor, feature: Tensor) -> bool:
    """Return whether timm's `feature` (N, C, H, W) is `layer`, in any order of its dims."""
    n, c, h, w = feature.shape
    forms = [layer]
    if layer.ndim == 4:
        forms.append(layer.permute(0, 3, 1, 2))  # (N, H, W, C)
    if layer.ndim == 3 and layer.shape[2] == c and layer.shape[1] >= h * w:  # tokens, some before
        forms.append(layer[:, -h * w :].transpose(1, 2).reshape(n, c, h, w))
    scale = feature.abs().max()
    return any(
        form.shape == feature.shape
        and torch.allclose(form / scale, feature / scale, rtol=1e-3, atol=1e-5)
        for form in forms
    )


def smallest(rows: Iterable[dict[str, str]]) -> list[str]:
    """Return of each module of timm the supported model that has the fewest parameters."""
    best: dict[str, dict[str, str]] = {}
    for row in rows:
        old = best.get(row["module"])
        if not row["refused"] and (not old or int(row["parameters"]) < int(old["parameters"])):
            best[row["module"]] = row
    return sorted(row["model"] for row in best.values())


# ── The table ────────────────────────────────────────────────────────────────────────────────────


def read() -> list[dict[str, str]]:
    with TABLE.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def table(rows: list[dict[str, str]]) -> str:
    """Return the table of the book, a line for each module of timm."""
    modules: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        modules.setdefault(row["module"], []).append(row)
    lines = ["| module of timm | supported | for example | blocks |", "|---|---|---|---|"]
    refused = ["| module of timm | refused | for example | why |", "|---|---|---|---|"]
    for module, members in sorted(modules.items()):
        good = [row for row in members if not row["refused"]]
        bad = [row for row in members if row["refused"]]
        if good:
            counts = sorted({int(row["layers"]) for row in good})
            span = "–".join(str(count) for count in dict.fromkeys((counts[0], counts[-1])))
            kinds = sorted({f"`{row['blocks']}`" for row in good if row["blocks"]})
            where = f"{span}" + (f": {', '.join(kinds)}" if kinds else "")
            share = f"{len(good)} of {len(members)}"
            lines.append(f"| `{module}` | {share} | `{good[0]['model']}` | {where} |")
        if bad:
            why = reason(bad[0]["refused"])
            refused.append(f"| `{module}` | {len(bad)} | `{bad[0]['model']}` | {why} |")
    supported = sum(not row["refused"] for row in rows)
    head = f"Of the {len(rows)} models of timm {timm.__version__}, {supported} are supported"
    head += f" and {len(rows) - supported} are not. A star stands for a number."
    return "\n\n".join([head, "\n".join(lines), "Those that are refused:", "\n".join(refused)])


def reason(refused: str) -> str:
    return (
        refused.partition("not supported: ")[2].partition("; `wrap_model`")[0].replace("|", "\\|")
    )


def write(rows: list[dict[str, str]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, FIELDS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    TABLE.write_text(text.getvalue(), encoding="utf-8")
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise SystemExit(f"{PAGE} lacks {BEGIN} or {END}")
    PAGE.write_text(f"{before}{BEGIN}\n\n{table(rows)}\n\n{END}{after}", encoding="utf-8")


def main() -> None:
    folder = ROOT / "data/runs/timm_models" / code()
    jobs = int(sys.argv[1]) if sys.argv[1:] else os.cpu_count()
    rows = walk(timm.list_models(), folder / "models.csv", jobs)
    write(rows)
    checked = folder / "checked.txt"
    done = set(checked.read_text().split()) if checked.is_file() else set()
    failed = []
    names = smallest(rows)
    for count, name in enumerate(names, start=1):
        if name in done:
            continue
        try:
            alike_, all_ = check(name)
            said = f"held; of {all_} features of timm, {alike_} are layers"
            with checked.open("a") as file:
                file.write(f"{name}\n")
        except (AssertionError, RuntimeError) as error:
            failed.append(name)
            said = f"FAILED: {str(error).strip()}"
        print(f"{count}/{len(names)} {name}: {said}", flush=True)
    supported = sum(not row["refused"] for row in rows)
    print(f"{supported} of {len(rows)} supported; {len(names) - len(failed)} of {len(names)} held")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
