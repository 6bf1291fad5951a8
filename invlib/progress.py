"""One look for what takes long: what it is, how far it is, how much time is left."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor
from tqdm import tqdm

__all__ = ["Progress", "progress_bar"]

_FORMAT = "{desc}, {percentage:.0f} %{postfix}, {elapsed} gone, {remaining} to go"


class Progress(tqdm):
    """A bar over the steps of one or several inversions; lines now and then if no terminal."""

    share = 1.0  # of the images that the present steps are about

    @staticmethod
    def status_printer(file):
        """Return what writes the bar: in place on a terminal, else a line each time."""
        if file.isatty():
            return tqdm.status_printer(file)
        return lambda text: text and print(text, file=file, flush=True)

    def step(self, done: int, distances: Tensor) -> None:
        """Count step `done`; `distances` are those left. A GPU is waited for once in ten steps."""
        if not self.disable and (done % 10 == 0 or distances.device.type == "cpu"):
            left = f"step {done + 1}, distance left {float(distances.mean()):.2f}"
            self.set_postfix_str(left, refresh=False)
        self.update(self.share)


@contextmanager
def progress_bar(
    progress: bool | tqdm | None, total: float, text: str, **options
) -> Iterator[Progress]:
    """Yield `progress` if it is a bar already, else a new one, closed at the end.

    `progress` is True, False, or None: shown on a terminal, or if ``INVLIB_PROGRESS`` says how many
    seconds are between two lines. `options` are tqdm's.
    """
    if isinstance(progress, tqdm):
        yield progress
        return
    seconds = os.environ.get("INVLIB_PROGRESS")
    if not sys.stderr.isatty():
        options |= dict.fromkeys(("mininterval", "maxinterval"), float(seconds or 10))
    hidden = (False if seconds else None) if progress is None else not progress
    with Progress(
        total=total, desc=text, leave=False, disable=hidden, bar_format=_FORMAT, **options
    ) as bar:
        yield bar
