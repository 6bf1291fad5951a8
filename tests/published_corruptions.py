"""The published constructions of CIFAR-10-C, written out plainly for one image at a time.

Each takes an image `x` (H, H, 3) in [0, 1], its random generator, and the numbers `c` of one
severity in `PUBLISHED`. They are as slow and as literal as they can be: loops over pixels,
`colorsys`, SciPy's own zoom and resampling.
"""

from __future__ import annotations

import colorsys
import heapq
import io
import math

import numpy as np
from PIL import Image
from scipy import ndimage
from scipy.stats import norm


def pictures(n, size=32):
    """Smooth colours with some detail; the last two are grey and black."""
    rng = np.random.default_rng(1)
    smooth = ndimage.gaussian_filter(rng.normal(size=(n, size, size, 3)), (0, 4, 4, 0.5))
    x = 0.5 + 0.2 * smooth / smooth.std() + 0.08 * rng.normal(size=smooth.shape)
    x[-2] = x[-2].mean(axis=-1, keepdims=True)
    x[-1] = 0
    return (255 * x.clip(0, 1)).astype(np.uint8)


def pil(x):
    return Image.fromarray(np.rint(x * 255).astype(np.uint8))


def gaussian(x, sigma, **options):
    axes = (sigma, sigma, 0)[: x.ndim]
    return ndimage.gaussian_filter(x, axes, **{"mode": "nearest", "truncate": 4.0} | options)


def gaussian_noise(x, rng, c):
    return x + c * rng.standard_normal(x.shape)


def shot_noise(x, rng, c):
    return rng.poisson(x * c) / c


def impulse_noise(x, rng, c):
    out, hit, salt = x.copy(), rng.random(x.shape) <= c, rng.random(x.shape) <= 0.5
    out[hit & salt], out[hit & ~salt] = 1, 0
    return out


def speckle_noise(x, rng, c):
    return x + x * c * rng.standard_normal(x.shape)


def gaussian_blur(x, rng, c):
    return gaussian(x, c)


def defocus_blur(x, rng, c):
    radius, alias = c
    y, z = np.mgrid[-8:9, -8:9]
    disc = (y**2 + z**2 <= radius**2).astype(float)
    weights = norm.pdf([-1, 0, 1], scale=alias)
    kernel = ndimage.correlate(disc / disc.sum(), np.outer(weights, weights) / weights.sum() ** 2)
    return ndimage.correlate(x, kernel[..., None], mode="mirror")


def glass_blur(x, rng, c):
    sigma, delta, iterations = c
    pixels, size = (gaussian(x, sigma) * 255).astype(np.uint8), len(x)
    for _ in range(iterations):
        down, right = rng.integers(-delta, delta, (2, size - 2, size - 2))
        for h in range(size - delta, delta, -1):
            for w in range(size - delta, delta, -1):
                if h < size and w < size:  # delta is 1 everywhere
                    other = h + down[h - 2, w - 2], w + right[h - 2, w - 2]
                    pixels[h, w], pixels[other] = pixels[other], pixels[h, w]  # views, no swap
    return gaussian(pixels / 255, sigma)


def drag(x, angle, radius, sigma):
    kernel = np.zeros((4 * radius + 1, 4 * radius + 1))
    sine, cosine = math.sin(math.radians(angle)), math.cos(math.radians(angle))
    for k in range(2 * radius + 1):
        place = math.ceil(k * sine - 0.5), math.ceil(k * cosine - 0.5)
        kernel[2 * radius + place[0], 2 * radius + place[1]] += norm.pdf(k, scale=sigma)
    kernel = (kernel / kernel.sum()).reshape(kernel.shape + (1,) * (x.ndim - 2))
    return np.rint(255 * ndimage.correlate(x, kernel, mode="nearest")) / 255


def motion_blur(x, rng, c):
    return drag(x, rng.uniform(-45, 45), *c)


def clipped_zoom(x, factor):
    size = len(x)
    cut = math.ceil(size / factor)
    top = (size - cut) // 2
    middle = x[top : top + cut, top : top + cut]
    large = ndimage.zoom(middle, (factor, factor, 1)[: x.ndim], order=1)
    trim = (len(large) - size) // 2
    return large[trim : trim + size, trim : trim + size]


def zoom_blur(x, rng, c):
    return np.mean([x, *(clipped_zoom(x, factor) for factor in c)], axis=0)


def snow(x, rng, c):
    flakes = clipped_zoom(rng.normal(c[0], c[1], x.shape[:2]), c[2])
    flakes = np.where(flakes < c[3], 0, flakes)
    flakes = np.floor(flakes.clip(0, 1) * 255) / 255
    flakes = drag(flakes, rng.uniform(-135, -45), c[4], c[5])[..., None]
    grey = (x @ [0.299, 0.587, 0.114])[..., None]
    x = c[6] * x + (1 - c[6]) * np.maximum(x, grey * 1.5 + 0.5)
    return x + flakes + np.rot90(flakes, k=2)


def fog(x, rng, c):
    side = 2 ** math.ceil(math.log2(len(x)))
    noise = iter(rng.uniform(-1, 1, side**2 - 1))
    heights = {(0, 0): 0.0}
    step, wibble = side, 100
    while step >= 2:
        half = step // 2
        diagonal = [(-half, -half), (-half, half), (half, -half), (half, half)]
        straight = [(-half, 0), (half, 0), (0, -half), (0, half)]
        for first, around in (
            ((half, half), diagonal),
            ((0, half), straight),
            ((half, 0), straight),
        ):
            for y in range(first[0], side, step):
                for z in range(first[1], side, step):
                    near = [heights[(y + dy) % side, (z + dz) % side] for dy, dz in around]
                    heights[y, z] = sum(near) / 4 + wibble * wibble * next(noise)
        step, wibble = half, wibble / c[1]
    mist = np.array([[heights[y, z] for z in range(side)] for y in range(side)])
    mist = (mist - mist.min()) / np.ptp(mist)
    return (x + c[0] * mist[: len(x), : len(x), None]) * x.max() / (x.max() + c[0])


def in_hsv(x, change):
    pixels = [
        colorsys.hsv_to_rgb(*np.clip(change(*colorsys.rgb_to_hsv(*rgb)), 0, 1))
        for rgb in x.reshape(-1, 3)
    ]
    return np.reshape(pixels, x.shape)


def brightness(x, rng, c):
    return in_hsv(x, lambda h, s, v: (h, s, v + c))


def saturate(x, rng, c):
    return in_hsv(x, lambda h, s, v: (h, s * c[0] + c[1], v))


def contrast(x, rng, c):
    means = x.mean(axis=(0, 1))
    return (x - means) * c + means


def elastic_transform(x, rng, c):
    strength, sigma, corners = (len(x) * part for part in c)
    middle, arm = len(x) // 2, len(x) // 3
    before = np.array([(1, 1), (1, -1), (-1, -1)]) * arm + middle
    after = before + rng.uniform(-c[2], c[2], (3, 2)) * len(x)
    matrix = np.linalg.inv(np.vstack([after.T, np.ones(3)]).T).T  # [x y 1] → weights of the points
    rows, columns = np.mgrid[: len(x), : len(x)]
    weights = np.tensordot(matrix, [columns, rows, np.ones_like(rows)], 1)
    sources = np.tensordot(before.T, weights, 1)[::-1]  # rows, columns

    def resampled(x, at, mode):
        return np.stack([ndimage.map_coordinates(p, at, order=1, mode=mode) for p in x.T], -1)

    x = resampled(x.transpose(1, 0, 2), sources, "mirror")
    noise = rng.uniform(-1, 1, (2, *x.shape[:2]))
    dx, dy = (gaussian(f, sigma, mode="reflect", truncate=3) * strength for f in noise)
    return resampled(x.transpose(1, 0, 2), [rows + dy, columns + dx], "reflect")


def pixelate(x, rng, c):
    small = pil(x).resize((int(len(x) * c),) * 2, Image.Resampling.BOX)
    return np.asarray(small.resize((len(x),) * 2, Image.Resampling.BOX)) / 255


def jpeg_compression(x, rng, c):
    pil(x).save(file := io.BytesIO(), format="jpeg", quality=c)
    return np.asarray(Image.open(file)) / 255


def spatter(x, rng, c):
    liquid = gaussian(rng.normal(c[0], c[1], x.shape[:2]), c[2])
    if c[5]:
        cover = gaussian((liquid > c[3]).astype(float), c[4])[..., None]
        cover[cover < 0.8] = 0
        return x * (1 - cover) + np.array([63, 42, 20]) / 255 * cover
    liquid = np.floor(255 * np.where(liquid < c[3], 0, liquid.clip(0, 1)))
    depth = np.minimum(shortest_ways(canny(liquid)), 20)
    depth = equalised(np.floor(box(depth) + 1e-9).astype(int))
    lit = ndimage.correlate(depth, np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]]), mode="mirror")
    light = liquid * np.rint(box(lit.clip(0, 255).astype(float)))
    light = c[4] * light / (light.max() or 1)
    return x + light[..., None] * np.array([175, 238, 238]) / 255


def box(x):
    return ndimage.correlate(x, np.full((3, 3), 1 / 9), mode="mirror")


def canny(image, low=50, high=150):
    dx = ndimage.correlate(image, [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], mode="nearest")
    dy = ndimage.correlate(image, [[-1, -2, -1], [0, 0, 0], [1, 2, 1]], mode="nearest")
    size = np.pad(abs(dx) + abs(dy), 1)
    weak = set()
    for y, x in np.argwhere(size > low):
        gy, gx = dy[y - 1, x - 1], dx[y - 1, x - 1]
        angle = math.degrees(math.atan2(abs(gy), abs(gx)))
        here = size[y, x]
        if angle < 22.5:
            peak = here > size[y, x - 1] and here >= size[y, x + 1]
        elif angle > 67.5:
            peak = here > size[y - 1, x] and here >= size[y + 1, x]
        else:
            s = -1 if gx * gy < 0 else 1
            peak = here > size[y - 1, x - s] and here > size[y + 1, x + s]
        if peak:
            weak.add((y, x))
    todo = [place for place in weak if size[place] > high]
    edges = np.zeros(image.shape, bool)
    while todo:
        y, x = todo.pop()
        if not edges[y - 1, x - 1]:
            edges[y - 1, x - 1] = True
            todo += [p for p in weak if max(abs(p[0] - y), abs(p[1] - x)) == 1]
    return edges


def shortest_ways(edges):
    """Dijkstra over steps (1, 0), (1, 1) and (2, 1) of length 1, 1.4 and 2.1969."""
    lengths = {1: 1.0, 2: 1.4, 5: 2.1969}  # by the square of the true length
    steps = [(a, b) for a in range(-2, 3) for b in range(-2, 3) if a * a + b * b in lengths]
    far = np.full(edges.shape, np.inf)
    todo = [(0.0, y, x) for y, x in np.argwhere(edges)]
    while todo:
        way, y, x = heapq.heappop(todo)
        if 0 <= y < len(far) and 0 <= x < len(far) and way < far[y, x]:
            far[y, x] = way
            for a, b in steps:
                heapq.heappush(todo, (way + lengths[a * a + b * b], y + a, x + b))
    return far


def equalised(image):
    levels = np.sort(image.ravel())
    if levels[0] == levels[-1]:
        return image
    first = np.sum(levels == levels[0])
    table = {v: round(255 * (np.sum(levels <= v) - first) / (len(levels) - first)) for v in levels}
    return np.vectorize(table.get)(image)


# name: (construction, the generator's numbers at severities 1 to 5, with none left out)
PUBLISHED = {
    gaussian_noise: [0.04, 0.06, 0.08, 0.09, 0.10],
    shot_noise: [500, 250, 100, 75, 50],
    impulse_noise: [0.01, 0.02, 0.03, 0.05, 0.07],
    defocus_blur: [(0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)],
    glass_blur: [(0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)],
    motion_blur: [(6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)],
    zoom_blur: [np.arange(1, stop, 0.01) for stop in (1.06, 1.11, 1.16, 1.21, 1.26)],
    snow: [
        (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
        (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
        (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
        (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
        (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
    ],
    fog: [(0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)],
    brightness: [0.05, 0.1, 0.15, 0.2, 0.3],
    contrast: [0.75, 0.5, 0.4, 0.3, 0.15],
    elastic_transform: [
        (0, 0, 0.08),
        (0.05, 0.2, 0.07),
        (0.08, 0.06, 0.06),
        (0.1, 0.04, 0.05),
        (0.1, 0.03, 0.03),
    ],
    pixelate: [0.95, 0.9, 0.85, 0.75, 0.65],
    jpeg_compression: [80, 65, 58, 50, 40],
    speckle_noise: [0.06, 0.1, 0.12, 0.16, 0.2],
    gaussian_blur: [0.4, 0.6, 0.7, 0.8, 1],
    spatter: [
        (0.62, 0.1, 0.7, 0.7, 0.5, 0),
        (0.65, 0.1, 0.8, 0.7, 0.5, 0),
        (0.65, 0.3, 1, 0.69, 0.5, 0),
        (0.65, 0.1, 0.7, 0.69, 0.6, 1),
        (0.65, 0.1, 0.5, 0.68, 0.6, 1),
    ],
    saturate: [(0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2)],
}
