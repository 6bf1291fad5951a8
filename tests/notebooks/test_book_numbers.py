"""Numbers that pages of the book and the README give are those of results, data and code."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from inspect import getsource, signature

import numpy as np
import pytest
import xarray as xr
import yaml
from scipy.stats import norm

from invlib.inversion import rules
from invlib.metrics.jackknife import WIDTH
from invlib.paths import results_root
from invlib.results.netcdf import open_results
from invlib.training.augment import RECIPES
from invlib.training.run import TrainingRun
from papers.across.where_did_scratch_start import READINGS
from papers.across.work.where_did_scratch_start import neither, orders
from papers.claims.correlation import effective_size, p_value, pearson
from papers.claims.data import reported
from papers.claims.settings import settings
from papers.engine.contenders import CONTENDERS
from papers.engine.plan import plan
from papers.engine.truth_tables import error_table
from papers.engine.work.convergence import one_curve
from papers.lessons.words import number
from papers.merlin2023.hypotheses import QUANTITIES, hypotheses
from papers.merlin2023.work.what_is_an_inversion import SEEN, resemblance
from papers.sections import SECTIONS
from tests.papers.engine.test_plan import of_scale
from tests.workspace import ROOT

assert SECTIONS  # they register the kinds of results
IN_WORDS = {2: "two", 4: "four", 5: "five", 6: "six"}


def result(path: str) -> tuple[xr.Dataset, dict]:
    ds = open_results(results_root("cifar").parent / f"{path}.nc")
    return ds, json.loads(ds.attrs["parameters"])


def percent(share: float) -> str:
    return f"{share:.0%}".replace("%", " %")


def method() -> Iterator[str]:
    steps = {name: signature(rule).parameters["step"].default
             for name, rule in (rules.OPTIMIZERS | CONTENDERS).items()}  # fmt: skip
    yield f"The step has a fixed length $\\eta = {steps['ngd']}$"
    yield f"a learning rate that falls from {steps['adam']} to 0 along a cosine"
    raced, made = result("cifar/how_inverted")
    best = raced["race_best"].sel(race_layer=6)
    yield (f"{made['img_size']} pixels, {made['race_n']} images of CIFAR-10, 50 steps, layer 6), "
           f"`ngd` left a relative distance of {number(best.sel(recipe='ngd:50'))} and `adam` "
           f"{number(best.sel(recipe='adam:50'))}")  # fmt: skip
    ends = raced["race_best"]
    assert (ends.sel(recipe="fast:50") < ends.sel(recipe="ngd:500")).all()
    yield f"In the reference race, on {made['race_n']} images, it gets farther in 50 steps than"

    own = raced.sel(estimator="debiased", layer=6).mean("seed")
    kept = {(model, rule): float(own[f"self_term_{model}"].sel(measured_recipe=f"{rule}:50"))
            for model in ("pt", "ft") for rule in ("ngd", "adam")}  # fmt: skip
    drawn = f"({made['measured_n']} images, {IN_WORDS[raced.sizes['seed']]} draws, layer 6)"
    yield f"{drawn} the debiased value of the pretrained model is "
    both = (number(kept["pt", rule]) for rule in ("ngd", "adam"))
    yield "pretrained model is {} after 50 steps of `ngd` and {} after 50 of `adam`".format(*both)
    yield f"the missing {number(1 - kept['pt', 'ngd'])} would count as forgetting"
    yield (f"of the fine-tuned model is {number(kept['ft', 'ngd'])} with `ngd`, and the missing "
           f"{number(1 - kept['ft', 'ngd'])} would count as learning")  # fmt: skip

    yield f"a step of {steps['anytime']} that shrinks as 1 / (1 + t / 15), instead of ending"
    assert "1 / (1 + t / 15)" in getsource(rules)
    ds, made = result("cifar/convergence")
    left = ds["inversion_loss_pt"].isel(seed=0)
    few, many = (left.sel(recipe=r, snapshot=s) for r, s in (("fast:50", 50), ("lbfgs:400", 100)))
    assert few.notnull().all()
    yield f"({made['img_size']} pixels, {made['convergence_n']} images) 100 steps leave a distance"
    more = number((many - few).max())
    yield f"a distance that is nowhere more than {more} above that of 50 steps of `fast`, for"

    ends = one_curve(ds).loc["at the end"]
    most, draws = number(ends.loc["fast:50"].max()), number(ends.loc["other draws"].max())
    yield f"There 50 steps of `fast` end {most} or less off `lbfgs` at equal distance"
    yield f"where another draw of images lies up to {draws} off"

    worst = error_table(result("cifar/known_invariances")[0])
    far = worst.filter(like="error: ").abs().max(axis=1)
    rule = far.filter(like="anytime").max()
    yield f"off by up to {number(rule)} at a distance of "
    reached = worst["largest distance"].filter(like="anytime").max()
    yield f"at a distance of {number(reached)} or less; `lbfgs`, started at other images, by "
    yield f"by {number(far['lbfgs:50:images'])}, and started at noise by {number(far['lbfgs:50'])}."

    ds, made = result("cifar/finetuning_task")
    control = ds["stir_control_pt"]
    control = control.mean(set(control.dims) - {"dataset", "estimator", "layer"})
    assert ds.sizes["dataset"] == 4  # CIFAR-10 and "the other three"
    cifar, others = control.sel(dataset="cifar10"), control.drop_sel(dataset="cifar10")
    biased, debiased = ([number(end(part.sel(estimator=name)))
                         for part in (cifar, others) for end in (np.min, np.max)]
                        for name in ("biased", "debiased"))  # fmt: skip
    yield f"({made['img_size']} pixels, {made['n']} images) this {{term}}`control` of the"
    yield "on CIFAR-10 between {} and {} with the biased estimator, by layer, and ".format(*biased)
    yield "by layer, and between {} and {} debiased".format(*debiased)
    ends = *biased[2:], *debiased[2:]
    yield "it lies between {} and {}, and between {} and {} debiased".format(*ends)

    features, images = 50 * 768, 500
    yield f"With {images} images and the 50 tokens of 768 numbers that ViT-B/32 has, $d = "
    written = f"{features:,}".replace(",", "{,}")
    yield f"$d = {written}$, this is {features / (features + images):.3f}"
    yield f"$\\pm\\, {WIDTH}\\,\\mathrm{{SE}}$"
    layers = 12
    yield f"this is {2 * layers} inversions instead of {2 * layers**2}"


def intro() -> Iterator[str]:
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    (part,) = (p for p in toc["parts"] if p["caption"] == "Questions that paper A leaves open")
    *pages, last = (chapter["file"] for chapter in part["chapters"])
    assert last == "notebooks/where_did_scratch_start"
    count = IN_WORDS[len(pages)].capitalize()
    yield f"{count} pages ask them, from {{doc}}`/{pages[0]}` to {{doc}}`/{pages[-1]}`, and a sixth"
    sections, runs = of_scale("paper")
    hours = sum(row.hours for row in plan(sections, runs.values(), 16) if row.hours is not None)
    assert 24 < hours < 48
    yield "one GPU, for more than a day by estimate ({doc}`running`); not run yet"
    scales = {path.parent.name for path in results_root("cifar").parent.glob("*/*.nc")}
    assert "paper" not in scales


def replication_notes() -> Iterator[str]:
    _, made = result("cifar/how_inverted")
    yield f"In a race on {made['race_n']} images it gets farther in 50 steps, at every layer, than"
    outside = 1 - (norm.cdf(1) - norm.cdf(0))
    assert abs(outside - 2 / 3) < 0.01
    yield "about two thirds of a normal draw lies outside"
    files = sorted(results_root("cifar").parent.glob("cifar*/*.nc"))
    devices = {path: open_results(path).attrs["device"] for path in files}
    gpu = {path.stem for path, device in devices.items() if device.startswith("cuda: ")}
    open_pages = ("data_set_size", "where_did_scratch_start")
    assert gpu == {"pretraining_dataset", "accuracy", *open_pages}
    cores = {device.partition(", ")[2] for path, device in devices.items() if path.stem not in gpu}
    assert cores == {"1 thread", "2 threads"}
    yield "computed on one or two processor cores. Those of Section 4.2 and Table 1, of "
    for name in open_pages:
        yield f"of {{doc}}`/notebooks/{name}`"
    yield "were computed on a borrowed GPU, as were those at 224 pixels"
    sizes, scratch = {}, set()
    for path in files:
        _, made = result(f"{path.parent.name}/{path.stem}")
        if "finetuning_n" in made:
            sizes.setdefault(made["img_size"], set()).add(made["finetuning_n"])
        scratch |= {made[name] for name in ("scratch_n",) if name in made}
    (fewest, few, small), (check, large), (alone,) = *map(sorted, (sizes[64], sizes[96])), scratch
    assert result("cifar/other_images")[1]["finetuning_n"] == fewest
    assert set(sizes) == {64, 96}
    yield f"at 64 pixels fine-tunings of ViT-Tiny see {small:,} of 50,000 training images "
    yield f"({few:,} where many settings are compared, {fewest:,} on other images) and "
    yield f"trainings from scratch {alone:,}; at 96 pixels fine-tunings see {large:,} "
    yield f"at 96 pixels fine-tunings see {large:,} ({check:,} in the check of "
    yield "in the check of {doc}`/notebooks/convergence`)."

    for _, one in settings(result("cifar/where_did_scratch_start")[0]):
        table = orders(one)
        plain, other = ((table[f"{r}, found"] == "comes out").sum() for r in READINGS)
        yield f"of {len(table)} orders that the paper prints {other} come out from ImageNet weights"
        yield f"from ImageNet weights, {plain} from random ones, and {len(neither(table))} from nei"

    r, p = (reported("A")[f"robustness_{name}_forgetting"] for name in ("correlation", "p_value"))
    for name, words in dict(
        cifar10="a correlation of {} with", cifar100="and one of {} with"
    ).items():
        digits, power = f"{p[name]:.2e}".split("e")
        yield f"{words.format(r[name])} $p = {digits}\\cdot 10^{{{int(power)}}}$"
    n = np.arange(3, 101)
    fits = n[(p_value(0.785, n) <= p["cifar10"]) & (p["cifar10"] <= p_value(0.775, n))]
    nearest = n[np.abs(np.log(p_value(r["cifar100"], n) / p["cifar100"])).argmin()]
    yield f"fits {fits[0]} to {fits[-1]} points; the second fits no whole number, and {nearest} "

    default = {name: field.default for name, field in TrainingRun.model_fields.items()}
    scale = yaml.safe_load((ROOT / "notebooks/scales/paper.yaml").read_text(encoding="utf-8"))
    assert scale["finetuning_lr"] == default["lr"] and scale["batch_size"] == default["batch_size"]
    yield f"SGD, learning rate {default['lr']}, momentum {default['momentum']} - The same - The sa"
    decay = f"{default['weight_decay']:.4f}"
    yield f"Weight decay - {decay} - 0.0005 in one script - {decay}, not on biases and norms"
    assert default["epochs"] == scale["finetuning_epochs"]
    yield (f"Cosine, {default['epochs']} epochs - {default['warmup_steps']} steps of warm-up, then "
           "cosine - The same")  # fmt: skip
    yield f"{default['batch_size']}; gradient norm clipped at {default['clip']:g} - The same"
    kind = RECIPES["merlin"]
    yield f"colour jitter {kind.jitter}, rotation by up to {kind.degrees:g}° - The same"

    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=(40_000, 101)).cumsum(axis=1) for _ in "xy")  # as on the page teaching
    found, tried = pearson(x, y), len([h for h in hypotheses() if is_main(h)])
    naive, aware = (p_value(found, size) for size in (101, effective_size(x, y)))
    yield f"We drew {len(found):,} pairs of *independent* random walks of 101 points"
    one, many = (percent((naive < 0.05 / tests).mean()) for tests in (1, tried))
    yield f"calls {one} of them significant at 5 %, and still {many} after a Bonferroni correction"
    assert not (aware < 0.05 / tried).any()
    yield f"number of points it is {percent((aware < 0.05).mean())}, and none"

    ours = [h for h in hypotheses() if is_main(h)]
    sets = len({(h.first, h.last) for h in ours})
    assert tried == sets * 4 * 4
    yield f"{tried} hypotheses come out exactly for layers 1 to 12"
    yield f"{sets} sets × 4 operations × 4 aggregates. The {sets * 4} of the comparison are {sets} "
    single = [h for h in ours if h.first == h.last]
    yield f"Of the {tried}, {sum(h.aggregate == 'std' for h in single)} are standard deviations"
    same = {(h.quantity, h.first) for h in single}
    repeats = sum(h.aggregate != "std" for h in single) - len(same)
    yield f"which is always 0, and {repeats} repeat another"

    _, made = result("cifar/unlearning")
    assert made["cross_domain"] == "street_digits"
    yield "and in the reference results, `street_digits`, which is not SVHN"
    scale = yaml.safe_load((ROOT / "notebooks/scales/cifar.yaml").read_text(encoding="utf-8"))
    assert scale["labels_n"] == scale["labels_finetuning_n"] and scale["cross_domain"] == "svhn"


def is_main(hypothesis) -> bool:
    return QUANTITIES[hypothesis.quantity] == "learning and forgetting"


def readme() -> Iterator[str]:
    ds, made = result("cifar/finetuning_task")
    ds = ds.sel(dataset="cifar10")
    reached = ds["test_accuracy"].sel(task="classification").mean().item()
    yield (f"to classify ({number(reached)} test accuracy, on {made['finetuning_n']:,} pictures of "
           f"{made['img_size']} pixels) or to reconstruct. Debiased CKA, "
           f"{IN_WORDS[ds.sizes['train_seed']]} trainings")  # fmt: skip
    with (ROOT / "data/timm_models.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    works = sum(not row["refused"] for row in rows)
    where = "https://github.com/huggingface/pytorch-image-models"
    yield f"{works} of [timm]({where})'s {len(rows)} networks work by name"
    yield "a full replication; more than a GPU-day by estimate, not run yet"  # as in `intro`


PAGES = {
    "book/method.md": method, "book/intro.md": intro, "README.md": readme,
    "book/replication_notes.md": replication_notes,
}  # fmt: skip


def text_of(path: str) -> str:
    return re.sub(r"\s+", " ", (ROOT / path).read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", PAGES)
def test_the_page_gives_the_numbers_that_are_computed(path):
    missing = [piece for piece in PAGES[path]() if piece not in text_of(path)]
    assert not missing


@pytest.mark.parametrize(
    ("path", "others"),
    [("book/intro.md", set()),
     ("book/method.md", {"0.8", "0.9"})],  # the β of `fast`, and a question: is 0.8 high?
)  # fmt: skip
def test_no_other_decimal_is_typed(path, others):
    text, held = text_of(path), set()
    for piece in PAGES[path]():
        for found in re.finditer(re.escape(piece), text):
            held.update(range(*found.span()))
    typed = {found for found in re.finditer(r"\d+\.\d+", text) if found.start() not in held}
    assert {found.group() for found in typed} <= others


def test_the_introduction_says_what_the_photographs_become():
    said = " ".join((ROOT / "book" / "intro.md").read_text(encoding="utf-8").split())
    assert "In the deep layers $X'$ looks like noise" in said
    first, *_, last = resemblance(result("cifar/finetuning_task")[0].isel(dataset=0, train_seed=0))
    assert last < SEEN < first


def test_the_time_of_a_book_is_said_once():
    pages = [(ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "book/intro.md")]
    assert all("about ten minutes" in " ".join(text.split()) for text in pages)
    said = re.search(r"\((\d+):(\d\d) and (\d+):(\d\d) after installation", pages[1]).groups()
    first, second = (int(m) + int(s) / 60 for m, s in (said[:2], said[2:]))
    assert abs((first + second) / 2 - 10) < 0.5
