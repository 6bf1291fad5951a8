"""Render the book into _build/html: ``python workflow/render.py --scale laptop``

It is built from a copy of the sources in which each notebook is replaced by its executed self at
the same path, so links and launch buttons point at the real source and nothing generated is kept
beside it. A build that fails leaves the book that was there.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import sources

BUILD = Path("_build")
HTML = BUILD / "html"


def stage(target: Path, executed: Path) -> list[str]:
    """Copy the book's sources to `target`; return the names of the notebooks that were run."""
    shutil.rmtree(target, ignore_errors=True)
    run = []
    for path in sources.book():
        source = Path(path)
        if source.parent == Path("notebooks") and source.suffix == ".ipynb":
            source = executed / source.name
            if not source.is_file():
                raise SystemExit(f"{path} has not been run: there is no {source}")
            run.append(source.stem)
            if (results := source.with_suffix(".nc")).is_file():  # so that its page can link it
                (target / executed).mkdir(parents=True, exist_ok=True)
                shutil.copy2(results, target / results)
        copy = target / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, copy)
    return run


def render(scale: str) -> int:
    copy = (BUILD / "stage").resolve()
    run = stage(copy, Path("data/runs") / scale)
    made = (BUILD / "book").resolve()
    shutil.rmtree(made, ignore_errors=True)
    # -W -n --keep-going: every warning is shown, and any of them fails the build; -n also warns of
    # references that lead nowhere. Paths are absolute because jupyter-book looks for them
    # from inside the source.
    command = [sys.executable, "-P", str(Path(__file__).with_name("build_book.py"))]
    command += ["build", str(copy), "--path-output", str(made)]
    command += ["--config", str(copy / "_config.yml"), "--toc", str(copy / "_toc.yml")]
    command += ["-W", "-n", "--keep-going", "--quiet"]
    failed = subprocess.run(command).returncode
    if failed:
        print("\nThe book was not built; the warnings above say why.", file=sys.stderr)
        return 1
    new = made / "_build" / "html"
    (new / "built.json").write_text(json.dumps({"scale": scale, "notebooks": run}) + "\n")
    old = BUILD / "html.old"
    shutil.rmtree(old, ignore_errors=True)
    if HTML.exists():
        os.replace(HTML, old)
    os.replace(new, HTML)
    shutil.rmtree(old, ignore_errors=True)
    shutil.rmtree(made, ignore_errors=True)
    print(f"The book, at scale {scale}: {HTML / 'index.html'}", flush=True)
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--scale", default="laptop")
    sys.exit(render(parser.parse_args().scale))
