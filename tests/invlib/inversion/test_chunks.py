"""How many images are inverted at once: as many as the memory holds."""

import pytest
import torch

from invlib.inversion.chunks import activation_bytes, available_bytes, default_chunk
from invlib.models.base import frozen
from invlib.models.loading import load_model


@pytest.fixture(scope="module")
def model():
    return load_model("vit_pico_patch8_32", seed=1)


@pytest.fixture(scope="module")
def images():
    return torch.rand(5, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def test_what_all_images_share_is_not_counted_for_each(model, images):
    weight = model.net.patch_embed.proj.weight
    with frozen(model):
        assert activation_bytes(model, images[:1], [0]) < weight.numel() * weight.element_size()
        deep = activation_bytes(model, images[:1], [3])
        assert deep == activation_bytes(model, images[1:2], [3]) > 0


def test_the_chunk_follows_the_memory(model, images, monkeypatch):
    bytes_ = activation_bytes(model, images[:1], [0, 1, 2, 3])
    assert bytes_ > activation_bytes(model, images[:1], [0, 1])
    monkeypatch.setattr("invlib.inversion.chunks.available_bytes", lambda device: 10 * bytes_)
    assert 1 <= default_chunk(model, images, [0, 1, 2, 3]) < 5
    monkeypatch.setattr("invlib.inversion.chunks.available_bytes", lambda device: 10**12)
    assert default_chunk(model, images, [0, 1, 2, 3]) == 5


def test_chunks_are_equal(model, images, monkeypatch):
    monkeypatch.setattr("invlib.inversion.chunks.available_bytes", lambda device: 10**12)
    many = images[:1].expand(209, -1, -1, -1)
    assert default_chunk(model, many, [0, 3]) == 70  # not 104, 104 and a single one
    assert default_chunk(model, many[:208], [0, 3]) == 104
    assert default_chunk(model, many[:105], [0, 3]) == 53


def test_what_pytorch_holds_idle_on_a_gpu_is_free(monkeypatch):
    for name, value in dict(mem_get_info=(10, 80), memory_reserved=50, memory_allocated=5).items():
        monkeypatch.setattr(f"torch.cuda.{name}", lambda device, value=value: value)
    assert available_bytes(torch.device("cuda")) == 55
