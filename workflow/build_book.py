"""Be the program ``jupyter-book``, but on all cores, and without seconds spent on nothing."""

import os
import sys
from functools import partial

# What reads the configuration would compile a grammar to check addresses by, for three seconds.
sys.modules["rfc3987_syntax"] = None

import jupyter_book.sphinx  # noqa: E402
from jupyter_book.cli.main import main  # noqa: E402

if __name__ == "__main__":
    on_all_cores = partial(jupyter_book.sphinx.build_sphinx, jobs=os.cpu_count())
    jupyter_book.sphinx.build_sphinx = on_all_cores  # the program has no option for it
    main(prog_name="jupyter-book")
