"""Every format and depth becomes the same 8-bit RGB, and nothing is read as what it is not."""

import io

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps

from invlib.data.images import load_images
from invlib.data.pictures import as_rgb, suffixes
from tests.invlib.data.on_disk import cache_entries, own_root, put_picture

RAMP = np.linspace(0, 1, 64 * 64).reshape(64, 64)
EIGHT = np.rint(RAMP * 255).astype(np.uint8)


@pytest.fixture
def root(tmp_path, monkeypatch):
    return own_root(tmp_path, monkeypatch)


def through(picture, kind, **options):
    """The pixels of a picture that was saved and read again."""
    file = io.BytesIO()
    picture.save(file, kind, **options)
    file.seek(0)
    with Image.open(file) as read:
        return np.asarray(as_rgb(read))


def grey(values):
    return np.repeat(values[..., None], 3, -1)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG2000", "PPM"])
def test_sixteen_bits_are_read_at_their_own_depth(kind):
    deep = Image.fromarray(np.rint(RAMP * 65535).astype(np.uint16))
    np.testing.assert_array_equal(through(deep, kind), grey(EIGHT))


@pytest.mark.parametrize("dtype", [">u2", "<u2"])
def test_both_byte_orders(dtype):
    deep = Image.fromarray(np.rint(RAMP * 65535).astype(np.uint16).astype(dtype))
    assert deep.mode == ("I;16B" if dtype == ">u2" else "I;16")
    np.testing.assert_array_equal(np.asarray(as_rgb(deep)), grey(EIGHT))


def tiff(values, *, bits=16, photometric=1):
    """A TIFF file of one strip, as microscopes and scanners write it."""
    height, width = values.shape
    if bits == 12:  # two values in three bytes
        a, b = values.ravel()[::2].astype(int), values.ravel()[1::2].astype(int)
        data = np.stack([a >> 4, (a & 15) << 4 | b >> 8, b & 255], 1).astype(np.uint8).tobytes()
    else:
        data = values.astype("<u2").tobytes()
    tags = {256: width, 257: height, 258: bits, 259: 1, 262: photometric, 273: 8, 277: 1}
    tags |= {278: height, 279: len(data)}
    entries = b"".join(
        tag.to_bytes(2, "little") + (4).to_bytes(2, "little") + (1).to_bytes(4, "little")
        + value.to_bytes(4, "little")
        for tag, value in tags.items()
    )  # fmt: skip
    start = (8 + len(data)).to_bytes(4, "little")
    count = len(tags).to_bytes(2, "little")
    return io.BytesIO(b"II*\0" + start + data + count + entries + bytes(4))


@pytest.mark.parametrize(("bits", "photometric"), [(12, 1), (16, 0), (16, 1)])
def test_grey_tiff_files_say_how_many_bits_they_have_and_which_end_is_white(bits, photometric):
    values = np.rint(RAMP * (2**bits - 1)).astype(np.uint16)
    with Image.open(tiff(values, bits=bits, photometric=photometric)) as picture:
        pixels = np.asarray(as_rgb(picture))
    np.testing.assert_array_equal(pixels, grey(EIGHT if photometric else 255 - EIGHT))


def test_floats_are_read_from_0_to_1_and_refused_beyond():
    np.testing.assert_array_equal(through(Image.fromarray(RAMP.astype("f4")), "TIFF"), grey(EIGHT))
    for values in (RAMP * 255, RAMP - 0.5, RAMP * np.nan):
        with pytest.raises(ValueError, match="its floats run from .* allowed is 0 to 1"):
            through(Image.fromarray(values.astype("f4")), "TIFF")


def test_integers_of_32_bits_are_refused():
    with pytest.raises(ValueError, match="32-bit integers do not say what is white"):
        through(Image.fromarray((RAMP * 4000).astype(np.int32)), "TIFF")


COLOURS = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)


@pytest.mark.parametrize(
    ("mode", "kind", "within"),
    [("RGB", "PNG", 0), ("RGB", "WEBP", 0), ("RGB", "BMP", 0), ("RGB", "TIFF", 0),
     ("RGB", "QOI", 0), ("RGB", "SGI", 0), ("RGB", "TGA", 0), ("RGB", "PPM", 0),
     ("RGB", "GIF", 60), ("CMYK", "TIFF", 1), ("CMYK", "JPEG", 60), ("LAB", "TIFF", 20),
     ("YCbCr", "TIFF", 3), ("YCbCr", "JPEG", 60)],
)  # fmt: skip
def test_colours_survive_every_mode(mode, kind, within):
    blocks = np.kron(COLOURS[:4, :4], np.ones((8, 8, 1), np.uint8))
    picture = Image.fromarray(blocks)
    if mode == "LAB":  # colours that a screen shows
        from PIL import ImageCms

        srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        picture = ImageCms.profileToProfile(picture, srgb, lab, outputMode="LAB")
    elif mode != "RGB":
        picture = picture.convert(mode)
    lossless = {"lossless": True} if kind == "WEBP" else {"quality": 95} if kind == "JPEG" else {}
    pixels = through(picture, kind, **lossless).astype(int)
    middle = np.abs(pixels - blocks)[3::8, 3::8]  # away from the edges that JPEG smears
    assert middle.max() <= within


@pytest.mark.parametrize("mode", ["1", "L", "P"])
def test_one_bit_grey_and_palettes(mode):
    bars = np.repeat(np.array([[0, 255] * 8], np.uint8), 16, 0)
    np.testing.assert_array_equal(through(Image.fromarray(bars).convert(mode), "PNG"), grey(bars))


@pytest.mark.parametrize("kind", ["RGBA", "LA", "PA", "P", "L", "RGB", "I;16"])
def test_what_is_transparent_shows_white(kind):
    left = np.repeat(np.arange(16)[None] < 8, 16, 0)  # transparent, and black underneath
    if kind == "I;16":
        values = np.where(left, 7, 32896).astype(np.uint16)
        pixels = through(Image.fromarray(values), "PNG", transparency=7)
    elif kind in ("L", "RGB"):
        values = Image.fromarray(np.where(left, 0, 128).astype(np.uint8)).convert(kind)
        pixels = through(values, "PNG", transparency=0 if kind == "L" else (0, 0, 0))
    else:
        rgba = np.where(left[..., None], 0, [128, 128, 128, 255]).astype(np.uint8)
        picture = Image.fromarray(rgba)
        if kind == "P":
            pixels = through(picture.quantize(), "PNG")
        elif kind == "PA":
            alpha = picture.getchannel("A")
            picture = picture.convert("L").convert("P")
            picture.putalpha(alpha)
            assert picture.mode == "PA"
            pixels = np.asarray(as_rgb(picture))
        else:
            pixels = through(picture.convert(kind), "PNG")
    np.testing.assert_array_equal(pixels, grey(np.where(left, 255, 128)))


def test_half_transparent_is_half_white():
    picture = Image.new("RGBA", (4, 4), (0, 0, 0, 128))
    np.testing.assert_array_equal(through(picture, "PNG"), np.full((4, 4, 3), 127))


def test_of_an_animation_the_first_frame():
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    for kind in ("GIF", "WEBP", "PNG", "TIFF"):
        options = {"lossless": True} if kind == "WEBP" else {}
        pixels = through(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        assert (pixels == [255, 0, 0]).all(), kind


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientations_are_undone(orientation, kind):
    corner = Image.new("RGB", (64, 32))
    corner.paste((255, 0, 0), (0, 0, 32, 16))
    # what a camera stores that was held so: the picture that the orientation turns into `corner`
    undo = {6: 8, 8: 6}.get(orientation, orientation)
    stored = corner.copy()
    stored.getexif()[ExifTags.Base.Orientation] = undo
    stored = ImageOps.exif_transpose(stored)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    pixels = through(stored, kind, exif=exif)
    assert pixels.shape == (32, 64, 3)
    assert pixels[4, 8, 0] > 240 and pixels[28, 56].max() < 15 and pixels[4, 56].max() < 15


def test_a_picture_can_be_kept_as_it_is_stored(root):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 3
    half = Image.new("RGB", (32, 32))
    half.paste("white", (0, 0, 32, 16))
    (root / "mine/train/a").mkdir(parents=True)
    half.save(root / "mine/train/a/1.jpg", exif=exif)
    upright, stored = (load_images("mine", "train", upright=upright) for upright in (True, False))
    assert upright.images[0, 28].min() > 240 and stored.images[0, 4].min() > 240
    assert upright.images[0, 4].max() < 15 and stored.images[0, 28].max() < 15


def test_formats_of_which_pillow_reads_no_pixels_are_not_taken_for_images():
    assert {".jpg", ".jfif", ".jpe", ".png", ".gif", ".tiff", ".avif", ".bmp", ".ppm"} <= suffixes()
    assert not {".eps", ".ps", ".h5", ".hdf", ".mpg", ".wmf", ".pdf"} & suffixes()


def test_a_wrong_suffix_is_no_matter_but_text_is_no_image(root):
    put_picture(root / "mine/train/a/0.png", (32, 32), (1, 2, 3))
    (root / "mine/train/a/0.png").rename(root / "mine/train/a/0.jpg")
    assert (load_images("mine", "train").images == [1, 2, 3]).all()
    (root / "mine/train/a/0.jpg").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    with pytest.raises(ValueError, match="0.jpg is not an image"):  # no PostScript is run
        load_images("mine", "train")


def test_damaged_files_are_counted_and_named_together(root, tmp_path):
    for k in range(6):
        put_picture(root / f"mine/train/a/{k}.png", (64, 64))
    for k in (1, 4):
        path = root / f"mine/train/a/{k}.png"
        path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ValueError, match="2 of 6 images cannot be read.*1.png.*4.png") as caught:
        load_images("mine", "train")
    assert "\n" not in str(caught.value) and cache_entries(tmp_path) == []
    (root / "mine/train/a/2.png").write_text("<html>")  # not even a header
    with pytest.raises(ValueError, match="3 of 6 images cannot be read.*2.png is not an image, or"):
        load_images("mine", "train")
    Image.fromarray(RAMP.astype("f4") * 255).save(root / "mine/train/a/1.tif")
    for k in (1, 2, 4):
        (root / f"mine/train/a/{k}.png").unlink()
    with pytest.raises(ValueError, match="1.tif cannot be read: its floats run from 0 to 255"):
        load_images("mine", "train")


def test_too_many_pixels_are_refused_by_name(root, monkeypatch):
    put_picture(root / "mine/train/a/huge.png", (64, 64))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(ValueError, match="huge.png has too many pixels"):
        load_images("mine", "train")
