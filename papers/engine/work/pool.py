"""Make sections with many processes on one GPU: ``python -m papers gpu sections``."""

import multiprocessing
import os
import shutil
import subprocess
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import psutil
import torch

from invlib import train
from invlib.paths import runs_root, training_folder
from invlib.results.netcdf import open_results, save_results
from papers.engine.pool import ASSEMBLY, Job, Queue
from papers.engine.work.sharing import shared_gpu
from papers.section import Section

EACH = 4 * 2**30  # bytes of a process, of the GPU and of the machine: an assumption
LARGEST = 12 * 2**20  # bytes; of a larger file the pictures stay behind
PICTURES = ("example", "x", "y", "channel")
SAY_EVERY = 20  # seconds
KILLED = "a process was killed"

_sections: dict[str, Section] = {}  # of a process


def usual_processes() -> int:
    """Return one less than the cores, or as many as fit into free memory, of the GPU too."""
    most = [(os.cpu_count() or 2) - 1, psutil.virtual_memory().available // EACH]
    if shutil.which("nvidia-smi"):
        ask = ["nvidia-smi", "--query-gpu=memory.free", "--format=csv,noheader,nounits"]
        said = subprocess.run(ask, capture_output=True, text=True, check=False).stdout.split()
        most += [int(said[0]) * 2**20 // EACH] if said and said[0].isdecimal() else []
    return max(1, min(most))


def compute(
    sections: Iterable[Section],
    folder: Path,
    *,
    processes: int,
    budget: float,
    say: Callable[[str], None] = print,
) -> dict[str, str]:
    """Make `sections` within `budget` seconds; return what became of each.

    Its results are in `folder` as soon as they are there. What is done is noted beside the runs, so
    that the same call goes on after any end. A job that fails is tried once more.
    """
    by_name = {section.name: section for section in sections}
    note = runs_root("training").parent / "gpu" / "jobs.txt"
    noted = note.read_text().splitlines() if note.is_file() else []
    queue, began = Queue(by_name.values(), filter(lambda key: _still(key, by_name), noted)), _now()
    for key in queue.done:
        _deliver(queue.jobs[key], by_name, folder)
    note.parent.mkdir(parents=True, exist_ok=True)
    with shared_gpu() as shared, note.open("a") as log:
        say(f"{processes} processes, MPS {'on' if shared else 'off'}")
        watch = _Watch(queue, began, say)
        while not watch.over:  # once more when a process died, and with it the pool
            context = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(processes, context, _start, (by_name,)) as pool:
                for key, error in _ended(pool, queue, processes, began + budget, watch):
                    if error is None:
                        queue.finish(key)
                        print(key, file=log, flush=True)
                        _deliver(queue.jobs[key], by_name, folder, say)
                    elif error == KILLED and processes > 1:
                        queue.release(key)
                    else:
                        again = "once more" if queue.fail(key) else "given up"
                        say(f"{key} failed, {again}: {error}")
            if not watch.over:  # too little memory, most likely
                processes = max(1, processes // 2)
                say(f"{KILLED}; on with {processes}")
    return queue.became()


def _now() -> float:
    return time.monotonic()


class _Watch:
    """Says now and then what is done and how long it may take."""

    def __init__(self, queue: Queue, began: float, say: Callable[[str], None]):
        self.queue, self.began, self.say, self.over = queue, began, say, False
        self._said, self._first = -float("inf"), (0.0, 0.0)

    def look(self, running: Iterable[str]) -> None:
        """Say a line if the last one is old."""
        now, queue = _now(), self.queue
        if now - self._said < SAY_EVERY:
            return
        self._said, left = now, queue.left(queue.keys)
        if not self._first[0] and queue.done:  # from here on, because starting takes a while
            self._first = now, left
        made = self._first[1] - left
        pace = (now - self._first[0]) / made if made > 0 else 1.0  # to what the costs say
        kinds = Counter(queue.jobs[key].kind for key in running)
        doing = ", ".join(f"{count} {kind}" for kind, count in kinds.items()) or "none"
        self.say(
            f"{now - self.began:6.0f} s  {len(queue.done)}/{len(queue.jobs)} jobs; now {doing}; "
            f"about {left * pace:.0f} s for all"
        )


def _ended(
    pool: ProcessPoolExecutor, queue: Queue, processes: int, ends: float, watch: _Watch
) -> Iterable[tuple[str, str | None]]:
    """Yield each job that ended, with its error; give out others, until a process is killed."""
    running: dict[Future, str] = {}
    killed = False
    while True:
        while not killed and len(running) < processes and (key := queue.take(ends - _now())):
            running[pool.submit(_do, queue.jobs[key])] = key
        watch.look(running.values())
        if not running:
            watch.over = not killed
            return
        for future in wait(running, timeout=5, return_when=FIRST_COMPLETED)[0]:
            key = running.pop(future)
            try:
                error = future.result()
            except BrokenProcessPool:
                error, killed = KILLED, True
            yield key, error


def _start(sections: dict[str, Section]) -> None:
    torch.set_num_threads(1)
    os.environ.update(INVLIB_PROGRESS="", INVLIB_PIECES="1")
    _sections.update(sections)


def _do(job: Job) -> str | None:
    """Do a job in this process; return its error."""
    section = _sections[job.section]
    try:
        if job.kind == "training":
            train(job.what, root=section.training_root, progress=False)
        elif job.kind == "inversion":
            section.invert(*job.what)
        elif job.kind == "piece":
            section.work.piece(section, job.what)
        else:
            section.dataset()
    except Exception:  # the others go on
        return traceback.format_exc(limit=-4)
    return None


def _still(key: str, sections: dict[str, Section]) -> bool:
    """Return whether what was noted as done is still there, as far as that is seen at once."""
    kind, name = key.split()[:2]
    if kind == "training":
        return (training_folder(name, runs_root("training")) / "done.json").is_file()
    return kind != ASSEMBLY or (name in sections and sections[name].output.is_file())


def _deliver(
    job: Job, sections: dict[str, Section], folder: Path, say: Callable[[str], None] = print
) -> None:
    """Write the results of an assembled section to `folder`."""
    if job.kind != ASSEMBLY:
        return
    output = sections[job.section].output
    ds, large = open_results(output), output.stat().st_size > LARGEST
    ds = ds.drop_dims(PICTURES, errors="ignore") if large else ds
    save_results(ds, folder / f"{job.section}.nc")
    say(f"{job.section}: done{', without pictures' if large else ''}")
