"""Read one image file of any format and depth as 8-bit RGB."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageCms, ImageOps, UnidentifiedImageError

__all__ = ["as_rgb", "formats", "open_picture", "suffixes"]

# Pillow knows these, but reads no pixels of them, or starts another program to do it.
_NOT_READ = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}
_BITS, _PHOTOMETRIC = 258, 262  # tags of a TIFF file


@functools.cache
def formats() -> list[str]:
    """Return the formats that are read: those of Pillow, and of plugins registered before."""
    Image.init()
    return sorted(set(Image.OPEN) - _NOT_READ)


@functools.cache
def suffixes() -> set[str]:
    """Return how files of these formats end."""
    return {end for end, kind in Image.registered_extensions().items() if kind in formats()}


def open_picture(path: Path) -> Image.Image:
    """Open an image file, of which only the header is read; ValueError if it is none."""
    if path.exists() and not path.is_file():  # to open a pipe would wait for ever
        raise ValueError(f"{path} is a folder, a pipe or a device, not an image; remove it")
    try:
        return Image.open(path, formats=formats())
    except Image.DecompressionBombError as error:
        raise ValueError(f"{path} has too many pixels; make it smaller ({error})") from error
    except UnidentifiedImageError as error:
        raise ValueError(f"{path} is not an image, or of a kind that is not read") from error
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} is not an image ({error})") from error


def as_rgb(picture: Image.Image, *, upright: bool = True) -> Image.Image:
    """Return a picture as 8-bit RGB, its first frame if it has several.

    The darkest value of its own depth becomes 0, the brightest 255. What is transparent shows a
    white background. Colour profiles are not applied. If `upright`, it is turned and mirrored as
    its EXIF orientation says; torchvision's ``ImageFolder`` does not do that. ValueError for 32-bit
    integers and for floats outside [0, 1], because nothing says what their white is.

    Examples
    --------
    >>> deep = Image.fromarray(np.array([[0, 32896, 65535]], np.uint16))
    >>> np.asarray(as_rgb(deep))[0, :, 0].tolist()
    [0, 128, 255]
    """
    picture.load()
    if picture.mode[0] in "IF":
        rgb = Image.fromarray(_eight_bits(picture)).convert("RGB")
    elif picture.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        rgb = ImageCms.profileToProfile(picture, lab, srgb, outputMode="RGB")
    elif picture.has_transparency_data:
        white = Image.new("RGBA", picture.size, "white")
        rgb = Image.alpha_composite(white, picture.convert("RGBA")).convert("RGB")
    else:
        rgb = picture.convert("RGB")
    orientation = picture.getexif().get(ExifTags.Base.Orientation, 1)
    rgb.getexif()[ExifTags.Base.Orientation] = orientation if upright else 1
    return ImageOps.exif_transpose(rgb)


def _eight_bits(picture: Image.Image) -> np.ndarray:
    """Return grey values of 12, 16 or 32 bits as uint8 (H, W)."""
    values, tags = np.asarray(picture), getattr(picture, "tag_v2", {})
    white = 2.0 ** tags.get(_BITS, (16,))[0] - 1
    if picture.mode == "F":
        white = 1.0
        if not (values.min() >= 0 and values.max() <= 1):
            low, high = values.min(), values.max()
            raise ValueError(f"its floats run from {low:.3g} to {high:.3g}; allowed is 0 to 1")
    elif picture.mode == "I" and picture.format not in ("PNG", "PPM"):
        raise ValueError("its signed or 32-bit integers do not say what is white; save 8 or 16")
    shades = np.rint(values / white * 255).astype(np.uint8)
    if tags.get(_PHOTOMETRIC) == 0:
        shades = 255 - shades
    if isinstance(transparent := picture.info.get("transparency"), int):
        shades[values == transparent] = 255
    return shades
