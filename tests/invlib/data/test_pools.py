"""Arrays, data sets and loaders as a pool of images: the same pixels, or refused by name."""

import numpy as np
import pytest
import torch
import xarray as xr
from PIL import Image
from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
)

from invlib.data.images import ImageSet
from invlib.data.pools import as_pool

N, SIDE = 12, 16
PIXELS = np.random.default_rng(0).integers(0, 256, (N, SIDE, SIDE, 3), np.uint8)
FLOATS = torch.from_numpy(PIXELS).permute(0, 3, 1, 2) / 255
LABELS = torch.arange(N)


class Pictures(Dataset):
    """Items as `make` forms them out of an image (Pillow's) and its number."""

    def __init__(self, make, fetched=None):
        self.make, self.fetched = make, [] if fetched is None else fetched

    def __len__(self):
        return N

    def __getitem__(self, k):
        self.fetched.append(k)
        return self.make(Image.fromarray(PIXELS[k]), k)


class Stream(IterableDataset):
    def __iter__(self):
        yield from zip(FLOATS, LABELS, strict=True)


def everything(pool):
    """All images of a pool as floats, whatever it is; in its order."""
    pool = as_pool(pool)
    assert len(pool) == N
    if isinstance(pool, torch.Tensor):
        return pool
    return pool.subset(np.arange(N)).tensor(SIDE)


SOURCES = {
    "uint8 NHWC array": PIXELS,
    "uint8 NCHW array": PIXELS.transpose(0, 3, 1, 2),
    "float NHWC array": PIXELS.astype("f4") / 255,
    "double NCHW array": PIXELS.transpose(0, 3, 1, 2) / 255,
    "uint8 NCHW tensor": torch.from_numpy(PIXELS).permute(0, 3, 1, 2),
    "uint8 NHWC tensor": torch.from_numpy(PIXELS),
    "float tensor": FLOATS,
    "double NHWC tensor": FLOATS.permute(0, 2, 3, 1).double(),
    "big-endian array": FLOATS.numpy().astype(">f4"),
    "array with a negative stride": FLOATS.numpy()[:, :, ::-1, ::-1].copy()[:, :, ::-1, ::-1],
    "array of xarray": xr.DataArray(FLOATS.numpy()),
    "tensor with a gradient": FLOATS.clone().requires_grad_(),
    "list of mirrored arrays": [np.ascontiguousarray(x[:, ::-1])[:, ::-1] for x in PIXELS],
    "list of pictures": [Image.fromarray(pixels) for pixels in PIXELS],
    "list of arrays": list(PIXELS),
    "tuple of tensors": tuple(FLOATS),
    "pictures alone": Pictures(lambda image, k: image),
    "pictures and labels": Pictures(lambda image, k: (image, k)),
    "pictures in mappings": Pictures(lambda image, k: {"label": k, "image": image}),
    "tensors and labels": TensorDataset(FLOATS, LABELS),
    "a subset": Subset(TensorDataset(FLOATS, LABELS), range(N)),
    "a loader": DataLoader(TensorDataset(FLOATS, LABELS), batch_size=5),
    "a shuffling loader": DataLoader(TensorDataset(FLOATS, LABELS), batch_size=5, shuffle=True),
    "a loader that drops": DataLoader(TensorDataset(FLOATS), 5, shuffle=True, drop_last=True),
    "a loader of mappings": DataLoader(Pictures(lambda _, k: {"pixel_values": FLOATS[k], "y": k})),
    "a loader without batches": DataLoader(TensorDataset(FLOATS, LABELS), batch_size=None),
    "a loader of uint8": DataLoader(Pictures(lambda image, k: (np.array(image), k)), 5),
    "a stream": Stream(),
    "a loader of a stream": DataLoader(Stream(), batch_size=5),
}


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_all_hold_the_same_images(source):
    images = everything(source)
    assert images.dtype == torch.float32 and images.shape == (N, 3, SIDE, SIDE)
    torch.testing.assert_close(images, FLOATS, rtol=0, atol=1e-6)


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_a_seed_draws_the_same_images_each_time(source):
    pool = as_pool(source)
    if not isinstance(pool, torch.Tensor):  # of which `compare` draws itself
        a, b, c = (pool.sample(5, seed).tensor(SIDE) for seed in (1, 1, 2))
        assert torch.equal(a, b) and not torch.equal(a, c)
        assert len(torch.unique(a.flatten(1), dim=0)) == 5


def test_only_the_images_drawn_are_fetched():
    fetched = []
    pictures = Pictures(lambda image, k: (np.array(image), k), fetched)
    for source in (pictures, DataLoader(pictures, batch_size=4, shuffle=True)):
        fetched.clear()
        as_pool(source).sample(3, seed=0).tensor(SIDE)
        assert len(fetched) == 3


def test_a_loader_of_a_part_stays_a_part():
    part = [1, 4, 7, 9]
    loader = DataLoader(TensorDataset(FLOATS), 3, sampler=SubsetRandomSampler(part))
    pool = as_pool(loader)
    assert len(pool) == 4 and torch.equal(pool.tensor(), FLOATS[part])


def test_pictures_are_turned_upright_and_cut_to_squares():
    wide = Image.new("RGBA", (40, 20), (0, 0, 0, 0))  # transparent: white
    images = as_pool([wide, Image.new("L", (20, 50), 255)]).tensor(16)
    assert images.shape == (2, 3, 16, 16) and (images == 1).all()


@pytest.mark.parametrize("dims", ["NHW1", "N1HW"])
def test_grey_is_grey_in_three_channels(dims):
    grey = FLOATS[:, :1] if dims == "N1HW" else FLOATS[:, 0, :, :, None]
    assert torch.equal(as_pool(grey), FLOATS[:, :1].expand(-1, 3, -1, -1))
    flat = as_pool([image[0] for image in FLOATS]).tensor()  # items (H, W)
    assert torch.equal(flat, FLOATS[:, :1].expand(-1, 3, -1, -1))


def test_an_array_of_bytes_fits_any_model():
    pool = as_pool(PIXELS)
    assert isinstance(pool, ImageSet) and pool.tensor(8).shape == (N, 3, 8, 8)


MEAN = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        (FLOATS * 255, ValueError, r"pool runs from 0 to 255; expected is \[0, 1\]: divide by 255"),
        ((FLOATS - MEAN) / 0.22, ValueError, "pool runs from -.*before normalisation"),
        (FLOATS * torch.nan, ValueError, "pool runs from nan"),
        (PIXELS.astype(int), TypeError, "pool is torch.int64; expected is uint8"),
        (PIXELS > 9, TypeError, "pool is torch.bool"),
        (FLOATS.to(torch.complex64), TypeError, "pool is torch.complex64"),
        (FLOATS.to_sparse(), TypeError, "pool is torch.sparse_coo on cpu, not a dense tensor"),
        (FLOATS.to("meta"), TypeError, "pool is torch.strided on meta, not a dense tensor"),
        (np.ma.masked_greater(FLOATS.numpy(), 0.5), TypeError, "float32; expected are .* unmasked"),
        (np.array([PIXELS, None], object), TypeError, "pool is an array of type object"),
        (PIXELS[0], ValueError, r"pool has the shape \(16, 16, 3\)"),
        (np.zeros((0, 3, 4, 4)), ValueError, r"pool has the shape \(0, 3, 4, 4\)"),
        (np.zeros((2, 4, 9, 9)), ValueError, r"pool has the shape \(2, 4, 9, 9\)"),
        (np.zeros((2, 3, 9, 3)), ValueError, r"pool has the shape \(2, 3, 9, 3\)"),
        (TensorDataset(FLOATS * 255), ValueError, "TensorDataset runs from .*divide by 255"),
        (DataLoader(TensorDataset(FLOATS - MEAN)), ValueError, "TensorDataset.*normalisation"),
        (TensorDataset(LABELS, FLOATS), ValueError, "TensorDataset has the shape"),
        (Pictures(lambda image, k: {"picture": image}), TypeError, "has the keys .'picture'."),
        (Pictures(lambda image, k: (k, image)), TypeError, "an item is of type int"),
        ([FLOATS[0], FLOATS[1, :, :8]], ValueError, "images of list differ in size"),
        (["a.jpg"], TypeError, r"an item is of type str.*; load_images\(folder, .*reads files"),
        ("folder", TypeError, "pool is of type str; it may be load_images"),
        ({"image": PIXELS}, TypeError, "pool is of type dict"),
        (3, TypeError, "pool is of type int"),
    ],
)  # fmt: skip
def test_what_is_no_image_is_refused_by_name(source, error, message):
    with pytest.raises(error, match=message):
        as_pool(source).tensor(SIDE)
