"""Result files: their schema, where their numbers come from, how they are written and read."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "netcdf": ["open_results", "save_results"],
        "schema": ["COORDS", "Field", "KINDS", "Kind", "STACKING", "register"],
        "validation": ["ResultError", "conform", "validate"],
    },
)
