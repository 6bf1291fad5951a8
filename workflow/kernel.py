"""Run a notebook in the kernel of this Python, whatever kernels JUPYTER_PATH and the home have."""

import os
from collections.abc import Mapping
from pathlib import Path

import papermill
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpecManager
from traitlets import default


class ThisPython(AsyncKernelManager):
    """Starts the kernel of this Python."""

    @default("kernel_spec_manager")
    def _kernel_spec_manager_default(self) -> KernelSpecManager:
        return KernelSpecManager(kernel_dirs=[])  # then "python3" is ipykernel's own, from here


def run_notebook(notebook: Path, executed: Path, parameters: Mapping, **more: object) -> None:
    """Execute a notebook; `more` are other options of papermill. It raises what papermill does."""
    papermill.execute_notebook(
        os.fspath(notebook),
        os.fspath(executed),
        parameters=dict(parameters),
        kernel_name="python3",
        kernel_manager_class=ThisPython,
        progress_bar=False,
        log_output=False,
        # not that its sockets are unencrypted, which stay on this machine
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
        **more,
    )
