"""Write a report on two models of one's own: ``make report PRETRAINED=… FINETUNED=… IMAGES=…``

It runs notebooks/your_models.ipynb and turns it into one HTML file that needs no network. The
comparison itself is in data/runs/report/your_models.nc.
"""

import argparse
import html
import os
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import nbformat
from nbclient.exceptions import DeadKernelError
from nbconvert import HTMLExporter
from papermill.exceptions import PapermillExecutionError
from traitlets.config import Config

from invlib.commands import images_here
from invlib.files import atomic, usable
from papers.parameters import ParameterError
from papers.run import run_notebook
from papers.sections import SECTIONS

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 62rem; margin: 2rem auto;
  padding: 0 1rem; overflow-wrap: break-word; }
h1, h2 { line-height: 1.2; margin-top: 2.2rem; } .anchor-link { display: none; }
img { max-width: 100%; height: auto; } figure { margin: 1rem 0; overflow-x: auto; }
@media (max-width: 45rem) { figure img { max-width: none; width: 44rem; } }
caption { text-align: left; } figcaption { color: #555; font-size: .9rem; }
table { border-collapse: collapse; } th, td { text-align: left; vertical-align: top;
  padding: .25rem .9rem .25rem 0; border-bottom: 1px solid #ddd; }
td { overflow-wrap: anywhere; }
.jp-OutputArea-output, .wide, aside { overflow-x: auto; }
pre { white-space: pre-wrap; } code { font-size: .9em; }
"""


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    for name in ("pretrained", "finetuned", "images", "model", "img-size", "seeds"):
        parser.add_argument(f"--{name}", default="")
    parser.add_argument("--n", default="100")
    parser.add_argument("--steps", default="50")
    parser.add_argument("--recipe", default="fast")
    parser.add_argument("--tokens", default="all")
    parser.add_argument("--split", help="test, or all of a folder without splits")
    parser.add_argument("--output", default="report.html")
    arguments = parser.parse_args(argv)
    out = Path(arguments.output).expanduser().absolute()
    try:
        if out.suffix != ".html":
            raise ValueError(f"REPORT={arguments.output!r} must end in '.html'")
        if out.is_dir():
            raise IsADirectoryError(f"REPORT={arguments.output!r} is a folder; name a file")
        parameters = parameters_of(arguments)
        section = SECTIONS["your_models"].from_parameters(parameters)
        section.work.check(section)  # models and images, before a kernel is started
        usable(out.parent)  # not only when all is done
    except (OSError, ParameterError, TypeError, ValueError) as error:
        said = str(error).replace("--model NAME", "MODEL=NAME")
        print(f"report: error: {said}", file=sys.stderr)
        return 2
    print(f"{section.notebook} ... the comparison of {out.name}", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        executed = Path(folder, "your_models.ipynb")
        try:
            run_notebook(
                section.notebook,
                executed,
                parameters,
                stderr_file=sys.stderr,  # how far the comparison is
            )
        except (PapermillExecutionError, DeadKernelError) as error:
            said = getattr(error, "evalue", "the kernel died; most often for want of memory")
            print(f"report: error: {said}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("\nreport: interrupted; the same command goes on after the last inversion")
            return 130
        page = report(nbformat.read(executed, as_version=4))
    with atomic(out) as unfinished:
        unfinished.write_text(page, encoding="utf-8")
    print(f"{os.path.relpath(out)}: open it in a browser")
    return 0


def parameters_of(arguments: argparse.Namespace) -> dict[str, object]:
    """Return the parameters of the notebook; ValueError for what is missing or no number."""
    given = {name: getattr(arguments, name) for name in ("pretrained", "finetuned", "images")}
    given["images"] = images_here(given["images"])
    if missing := [name.upper() for name, value in given.items() if not value]:
        raise ValueError(
            f"{' and '.join(missing)} missing: make report PRETRAINED=NAME=WEIGHTS "
            "FINETUNED=NAME=WEIGHTS IMAGES=FOLDER"
        )
    numbers = {"N": arguments.n, "STEPS": arguments.steps, "IMG_SIZE": arguments.img_size}
    for name, text in numbers.items():
        if not re.fullmatch(r"\s*\d{0,9}\s*", text):
            raise ValueError(f"{name}={text!r} must be a whole number")
    n, steps, size = (int(text) if text.strip() else None for text in numbers.values())
    seeds = arguments.seeds.replace(",", " ").split()
    if not all(re.fullmatch(r"\d{1,18}", seed) for seed in seeds):
        raise ValueError(f"SEEDS={arguments.seeds!r} must be whole numbers")
    model = {"model": arguments.model} if arguments.model else {}
    return (
        given
        | model
        | {
            "scale": "report",
            "seeds": [int(seed) for seed in seeds] or [0, 1, 2],
            "n": 100 if n is None else n,
            "iterations": 50 if steps is None else steps,
            "recipe": arguments.recipe,
            "tokens": arguments.tokens,
            "split": arguments.split,
            "img_size": size,
        }
    )


def report(notebook: nbformat.NotebookNode) -> str:
    """Return the executed notebook as one page without code and without anything from elsewhere."""
    for cell in notebook.cells:
        shown = [o for o in cell.get("outputs", []) if o.get("name") != "stderr"]  # progress
        if "outputs" in cell:
            cell.outputs = shown
        figure = cell.metadata.get("mystnb", {})
        for output in shown if figure else ():
            if "image/png" in output.get("data", {}):  # with its caption, as in the book
                alt = html.escape(output.metadata["image/png"]["alt"], quote=True)
                caption = html.escape(figure["figure"]["caption"])
                data = output.data.pop("image/png").replace("\n", "")
                output.data["text/html"] = (
                    f'<figure><img alt="{alt}" src="data:image/png;base64,{data}">'
                    f"<figcaption>{caption}</figcaption></figure>"
                )
    config = Config()
    config.TagRemovePreprocessor.enabled = True
    config.TagRemovePreprocessor.remove_cell_tags = {
        "book-only",
        "parameters",
        "injected-parameters",
    }
    exporter = HTMLExporter(
        config=config,
        template_name="basic",
        exclude_input=True,
        exclude_input_prompt=True,
        exclude_output_prompt=True,
    )
    body, _ = exporter.from_notebook_node(notebook)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Two models, layer by layer</title><style>{STYLE}</style></head>"
        f"<body><h1>Two models, layer by layer</h1>{body}</body></html>\n"
    )


if __name__ == "__main__":
    sys.exit(main())
