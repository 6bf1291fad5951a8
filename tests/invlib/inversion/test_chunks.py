"""How many images are inverted at once: as many as the memory holds."""

import psutil
import pytest
import torch

from invlib.inversion import chunks
from invlib.inversion.chunks import activation_bytes, available_bytes, default_chunk
from invlib.models.base import frozen
from invlib.models.hooked import wrap_model
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


GIB = 2**30
FREE = psutil.virtual_memory().total * 2  # more than the machine can have: no limit at all


def group(folder, version, limit, used, cached=0):
    """Write what Linux shows of a control group."""
    folder.mkdir(parents=True, exist_ok=True)
    names = {
        1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        2: ("memory.max", "memory.current", "inactive_file"),
    }[version]
    (folder / names[0]).write_text(f"{limit}\n")
    (folder / names[1]).write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 5\n{names[2]} {cached}\n")


@pytest.fixture
def limits(tmp_path, monkeypatch):
    def start(*lines):
        (tmp_path / "mine").write_text("".join(f"{line}\n" for line in lines))
        monkeypatch.setattr(chunks, "_CGROUPS", tmp_path / "cgroup")
        monkeypatch.setattr(chunks, "_MINE", tmp_path / "mine")
        monkeypatch.setattr(
            chunks.psutil, "virtual_memory", lambda: type("Free", (), {"available": FREE})
        )
        return tmp_path / "cgroup"

    return start


def available():
    return available_bytes(torch.device("cpu"))


def test_a_limit_of_version_2_holds_and_cached_files_are_free(limits):
    root = limits("0::/user/job")
    group(root / "user" / "job", 2, 3 * GIB, 1 * GIB, cached=GIB // 2)
    group(root / "user", 2, "max", 7 * GIB)
    assert available() == 2.5 * GIB
    group(root / "user", 2, 8 * GIB, 7 * GIB)  # what is around it has less left
    assert available() == GIB
    group(root / "user", 2, 8 * GIB, 9 * GIB)
    assert available() == 0


def test_a_limit_of_version_1_holds(limits):
    root = limits("5:cpu,cpuacct:/", "4:memory:/job/7", "1:name=systemd:/")
    group(root / "memory", 1, 2**63 - 4096, 9 * GIB)
    assert available() == FREE
    group(root / "memory" / "job" / "7", 1, 3 * GIB, 2 * GIB, cached=1)
    assert available() == GIB + 1


def test_a_container_finds_its_group_at_the_root(limits):
    root = limits("0::/system.slice/docker-0123.scope")  # a path of the host
    group(root, 2, 3 * GIB, 1 * GIB)
    assert available() == 2 * GIB


def test_without_control_groups_the_machine_is_the_limit(limits, monkeypatch, tmp_path):
    limits("0::/")
    assert available() == FREE
    monkeypatch.setattr(chunks, "_MINE", tmp_path / "nowhere")
    assert available() == FREE


def test_groups_are_read_as_linux_writes_them(limits):
    root = limits("4:cpu,memory:/X:1", "0::/X")  # versions side by side
    group(root / "X", 2, 5 * GIB, GIB)
    assert available() == 4 * GIB
    group(root / "memory" / "X:1", 1, 3 * GIB, GIB)
    assert available() == 2 * GIB
    (root / "memory" / "X:1" / "memory.stat").write_text("anon 5\n")  # an old kernel says less
    assert available() == 2 * GIB


def test_it_is_the_memory_of_that_gpu(monkeypatch):
    asked = []
    for name, value in dict(mem_get_info=(1, 1), memory_reserved=1, memory_allocated=1).items():
        monkeypatch.setattr(f"torch.cuda.{name}", lambda at, value=value: asked.append(at) or value)
    available_bytes(gpu := torch.device("cuda", 3))
    assert asked == [gpu] * 3


def test_every_image_takes_as_much_memory_as_is_left_over_for_it(model, monkeypatch):
    images = torch.rand(1, 3, 32, 32).expand(100, 3, 32, 32)
    row = 2 * 4 * images[0].numel()  # two layers of float32
    one = activation_bytes(model, images[:1], [0, 1]) + 8 * row
    monkeypatch.setattr(chunks, "_ENOUGH", {"cpu": 10_000})
    for left, most in [(300 * one, 100), (300 * one - 1, 50), (150 * one - 1, 34), (0, 1)]:
        monkeypatch.setattr(chunks, "available_bytes", lambda device, left=left: left)
        assert default_chunk(model, images, [0, 1]) == most


def test_another_kind_of_device_takes_832_rows(model, monkeypatch):
    monkeypatch.setattr(chunks, "_ENOUGH", {})
    monkeypatch.setattr(chunks, "available_bytes", lambda device: 10**15)
    images = torch.rand(1, 3, 32, 32).expand(834, 3, 32, 32)
    asked = [default_chunk(model, images[:n], [0]) for n in (832, 833, 834)]
    assert asked == [832, 417, 417]
    assert default_chunk(model, images[:278], [0, 1, 3]) == 139  # 277 at each of three layers


def test_activations_are_those_that_a_gradient_needs():
    """Layers that stay as they are keep nothing of an image, and tanh keeps its 10 values."""
    net = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(48, 10), torch.nn.Tanh(), torch.nn.Tanh()
    )
    model = wrap_model(net, img_size=4, mean=[0] * 3, std=[1] * 3, layers=["1", "2", "3"])
    image = torch.rand(1, 3, 4, 4)
    with frozen(model):
        for layers, values in [([0], 0), ([1], 10), ([2], 20), ([0, 1, 2], 30), ([2, 2], 40)]:
            assert activation_bytes(model, image, layers) == 4 * values
