"""What a GPU would refuse, found without one: operations on tensors of two devices.

PyTorch's meta device stands for it. A meta tensor has a shape and a device, and no numbers; those
that would be copied from a GPU are made up.
"""

from __future__ import annotations

import sys
from contextlib import nullcontext
from typing import ClassVar

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from invlib import compare, invert, load_images, load_model, numerical_rank
from invlib.comparison.probes import probe_layers
from invlib.comparison.representations import layer_grams
from invlib.inversion.invert import start_images
from invlib.inversion.rules import OPTIMIZERS
from invlib.training.augment import RECIPES, _luma, augment
from invlib.training.evaluation import evaluate
from invlib.training.run import TrainingRun
from invlib.training.train import train
from papers.engine.baselines import naive_matrices, reference_pair
from papers.goerttler2022.drift import grams_to_logits
from papers.masarczyk2023.gradcam import grad_cam
from papers.parameters import load_scale
from papers.sections import SECTIONS
from tests.invlib.metrics.representations import minibatch_cka

META = torch.device("meta")
VIT, CONVOLUTIONAL = "vit_pico_patch8_32", "resnet18_cifar_w4"
_INDEXING = ("aten::index", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_")


def key_of(value: object) -> object:
    """Return what the shapes of a result depend on."""
    if isinstance(value, Tensor):
        return value.dtype, value.shape, value.stride()
    if isinstance(value, (list, tuple)):
        return type(value), *map(key_of, value)
    return type(value), value


class Pretend(TorchDispatchMode):
    """Hold what is done with meta tensors to a GPU's rules: tensors of one device, or of no dim.

    Indices may lie on the CPU. What crosses over to the CPU is 1 throughout; a single number is
    0.5, 4 or True. `reads` counts both, for each makes the program wait for the GPU.

    The shapes of a result are worked out once for each operation and its arguments, for many are
    worked out in Python. An operation that changes or hands on an argument really happens.
    """

    shapes: ClassVar[dict] = {}

    def __init__(self):
        super().__init__()
        self.reads = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        tensors = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
        if any(t.device == META for t in tensors):
            name = func.name().partition(".")[0]
            if name == "aten::_local_scalar_dense":
                self.reads += 1
                kind = args[0].dtype
                return True if kind is torch.bool else 0.5 if kind.is_floating_point else 4
            if name == "aten::_to_copy" and torch.device(kwargs.get("device") or META) != META:
                self.reads += 1
                return torch.ones(args[0].shape, dtype=kwargs.get("dtype") or args[0].dtype)
            if name == "aten::copy_" and args[0].device != META:
                self.reads += 1
                return args[0].fill_(1)
            if name in _INDEXING and args[0].device == META:
                tensors = [args[0], *(t for t in args[2:] if isinstance(t, Tensor))]
            if name not in ("aten::copy_", "aten::_to_copy"):
                devices = {t.device.type for t in tensors if t.ndim}
                assert len(devices) < 2, f"{name} of tensors on {devices}"
            if all(t.device == META for t in tensors) and name not in _INDEXING:
                return self.result(func, args, kwargs)
        return func(*args, **kwargs)

    def result(self, func, args, kwargs):
        """Return empty tensors like those of the same operation before, or those of this one."""
        schema = func._schema
        if any(value.alias_info for value in (*schema.arguments, *schema.returns)):
            return func(*args, **kwargs)
        key = func, key_of(args), key_of(tuple(kwargs.items()))
        if key not in self.shapes:
            result = func(*args, **kwargs)
            several = result if isinstance(result, tuple) else (result,)
            if not all(type(t) is Tensor and t.device == META for t in several):
                return result
            self.shapes[key] = (
                isinstance(result, tuple),
                [(t.shape, t.stride(), t.dtype) for t in several],
            )
            return result
        is_tuple, parts = self.shapes[key]
        made = [torch.empty_strided(shape, stride, dtype=dtype, device=META)
                for shape, stride, dtype in parts]  # fmt: skip
        return tuple(made) if is_tuple else made[0]


@pytest.fixture(autouse=True)
def values(monkeypatch):
    """Let meta tensors pass where those without values are refused: here they stand for a GPU's."""
    monkeypatch.setattr(torch.Tensor, "is_meta", False)


@pytest.fixture
def models():
    return {short: load_model(VIT, seed=i).to(META) for i, short in enumerate(("pt", "ft"))}


@pytest.fixture
def pool():
    return torch.rand(8, 3, 32, 32)  # on the CPU, as `ImageSet.tensor` returns it


def test_it_notices_what_a_gpu_would_refuse():
    there, here = torch.ones(2, 3, device=META), torch.ones(2, 3)
    with Pretend():
        for mixed in (
            lambda: there + here,
            lambda: there @ here.T,
            lambda: torch.cat([there, here]),
            lambda: here[torch.tensor([0], device=META)],
        ):
            with pytest.raises(AssertionError, match="of tensors on"):
                mixed()
        index = torch.tensor([0])
        assert (there[index] * torch.tensor(2.0)).device == META  # as on a GPU, these are allowed
        assert there.cpu().sum() == 6 and bool(there.isfinite().all())


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", [VIT, CONVOLUTIONAL])
def test_inversion_stays_where_the_model_is(name, optimizer, pool):
    model = load_model(name).to(META)
    with Pretend():
        found = invert(model, pool, iterations=2, optimizer=optimizer, chunk=3, layers=[2, 0])
    assert found.images.device == META and found.loss.device == META and found.best.device == META
    assert found.images.shape == (2, 8, 3, 32, 32)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_no_step_of_an_inversion_waits_for_the_gpu(models, optimizer, pool):
    reads = []
    for iterations in (1, 5):
        with Pretend() as gpu:
            invert(models["pt"], pool.to(META), iterations=iterations, optimizer=optimizer)
        reads.append(gpu.reads)
    assert 0 < reads[0] == reads[1]


@pytest.mark.parametrize("recipe", ["ngd", "fast"])
def test_a_comparison_comes_back_as_numbers(models, pool, recipe, tmp_path):
    with Pretend():
        ds = compare(
            *models.values(), pool, n=6, seeds=[0], iterations=2, optimizer=recipe, subspace_k=3,
            cache=tmp_path, jackknife="matrix",
        )  # fmt: skip
    assert ds.stir_ft_pt.sizes == {"estimator": 2, "seed": 1, "ref_layer": 4, "layer": 4}
    assert ds.example_inverted_pt.dtype == "uint8"
    # Weights of 1 make both models one: the first inversion is stored, the second one is it.
    assert len(list(tmp_path.glob("*.safetensors"))) == 1


def test_whether_grams_are_finite_is_asked_once(models, pool):
    reads = []
    for sets in (pool[None], pool.expand(5, -1, -1, -1, -1)):
        with Pretend() as gpu:
            layer_grams(models["pt"], sets, models["pt"].layers)
        reads.append(gpu.reads)
    assert reads == [1, 1]


def test_an_augmentation_makes_no_tensor_of_its_own_there():
    images, rng = torch.zeros(4, 32, 32, 3, dtype=torch.uint8, device=META), torch.Generator()
    luma = [augment(images, 32, generator=rng) is not None and _luma(META) for _ in range(2)]
    assert luma[0] is luma[1]


def test_what_it_is_timed_against_runs_there_too(models, pool):
    images = pool.to(META)
    start = start_images(pool, "noise", 0).to(META)
    with Pretend():
        naive_matrices(models, images, start, 1)
        reference_pair(models, ("pt", 1), ("ft", 2), images, start, 1)


def test_measures_stay_on_their_device(models, pool):
    model, there = models["pt"], pool.to(META)
    with Pretend():
        grams, directions = layer_grams(model, pool, model.layers, k=3)
        values = [
            *grams, *directions, grams_to_logits(model, pool),
            minibatch_cka([there], [there]), numerical_rank(there, rtol=[1e-3, 1e-2]),
        ]  # fmt: skip
    assert all(value.device == META for value in values)


def test_probes_and_test_accuracy(models):
    digits = load_images("digits", "train", n=40)
    model = load_model(VIT, num_classes=10).to(META)
    images = torch.tensor(digits.images, device=META), torch.tensor(digits.labels, device=META)
    with Pretend():
        assert set(evaluate(model, *images)) == {"accuracy", "loss"}
        assert probe_layers(model, digits, digits, batch=16).probe_accuracy.sizes == {"layer": 4}


def test_grad_cam(pool):
    with Pretend():
        heat = grad_cam(load_model(CONVOLUTIONAL).to(META), pool, torch.arange(8))
    assert heat.device.type == "cpu" and heat.shape == (8, 32, 32)


@pytest.mark.parametrize("augmentation", RECIPES)
@pytest.mark.parametrize("task", ["classification", "reconstruction"])
def test_a_training(tmp_path, monkeypatch, augmentation, task):
    run = TrainingRun(
        model=VIT, dataset="digits", n_train=40, n_test=20, batch_size=16, epochs=1,
        augmentation=augmentation, task=task,
    )  # fmt: skip
    # autocast knows no meta device
    monkeypatch.setattr("invlib.training.train.torch.autocast", lambda *_, **__: nullcontext())
    with Pretend():
        trained = train(run, root=tmp_path, device=META)
    assert trained.epochs == [0, 1]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")  # what one section trained, the next one finds


# Two only train or read results, one judges, one times a machine.
ELSEWHERE = {"accuracy", "feature_erosion", "claims_ledger", "what_it_costs"}


@pytest.mark.parametrize("name", sorted(set(SECTIONS) - ELSEWHERE))
def test_a_section_computes_on_the_best_device(name, monkeypatch, runs):
    one = {"seeds": [0], "convergence_seeds": [0]}  # another draw does nothing else on a device
    section = SECTIONS[name].from_parameters(load_scale("smoke") | one)
    assert callable(section.work.dataset)  # imported now: what it imports is patched below
    monkeypatch.setattr("papers.section.runs_root", lambda scale: runs / scale)
    for module in [m for path, m in sys.modules.items() if path.startswith("papers.")]:
        if hasattr(module, "best_device"):
            monkeypatch.setattr(module, "best_device", lambda: META)
    with Pretend() as gpu:
        section.dataset()
    assert gpu.reads > 0  # something was computed there
