"""What of the user's surroundings would change what a step computes, or end it: variables, locale, other packages."""

import os
import sys
import sysconfig
from pathlib import Path

from contrastive_context.core.errors import UserError

_FIXED = {
    "MPLBACKEND": "agg",  # notebooks name one that only they have
    "MATPLOTLIBRC": os.devnull,  # the user's own may be for LaTeX, or not even text
}
# They let float32 products have ten bits of mantissa, whatever torch is told; NVIDIA's containers set the second one.
_REMOVED = ("NVIDIA_TF32_OVERRIDE", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE")
# glibc gives the memory of large tensors back at once, and gets it anew, page by page, for the next one.
_KEPT_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(128 << 20), "MALLOC_TRIM_THRESHOLD_": str(256 << 20)}
_WHOLE_SECONDS = ("HF_HUB_DOWNLOAD_TIMEOUT", "HF_HUB_ETAG_TIMEOUT")
_PACKAGES = ("numpy", "pandas", "pyarrow", "torch", "transformers")


def fix_variables() -> None:
    """Give environment variables that libraries read when they are imported the values that steps are made for."""
    os.environ.update(_FIXED)
    for name in _REMOVED:
        os.environ.pop(name, None)


def fix_variables_of_jobs() -> None:
    """Change the variables that a Python which isn't started yet reads."""
    # A step finds the package beside it.
    os.environ.pop("PYTHONSAFEPATH", None)
    for name, value in _KEPT_MEMORY.items():
        os.environ.setdefault(name, value)
    # Conda's Python looks for packages in the user's home first.
    if sys.prefix != sys.base_prefix or Path(sys.prefix, "conda-meta").is_dir():
        os.environ["PYTHONNOUSERSITE"] = "1"


def check() -> None:
    """Refuse what would make steps fail, or compute with other packages, and can't be put right from inside.

    Raises:
        UserError: names the environment variable to change.
    """
    if (encoding := sys.getfilesystemencoding()) != "utf-8":
        raise UserError(
            f"Python takes the command line for {encoding}, which lacks most letters; call this again with the "
            "environment variable PYTHONUTF8=1, or with a locale whose name ends in UTF-8"
        )
    if sys.flags.optimize > 1:
        raise UserError("transformers needs its docstrings, which Python leaves out here; unset PYTHONOPTIMIZE")
    for name in _WHOLE_SECONDS:
        if not (seconds := os.environ.get(name, "0")).isdecimal():
            raise UserError(f"{name} is {seconds!r}; huggingface_hub takes whole seconds only")
    own = Path(sysconfig.get_path("purelib"))
    for entry in filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)):
        for name in _PACKAGES:
            other = Path(entry, name)
            if other.is_dir() and (own / name).is_dir() and not other.samefile(own / name):
                raise UserError(f"PYTHONPATH leads to another {name}, {other}, than this environment has; unset it")
