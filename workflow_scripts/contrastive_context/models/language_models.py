"""Language models as folders of safetensors and tokenizer files, loaded without network and without running code."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from contrastive_context.config.models import Device, Dtype
from contrastive_context.core.errors import UserError
from contrastive_context.core.weights import PICKLES


def count_parameters(folder: Path) -> int:
    """Return the number of weights stored in a folder's safetensors files, read from their headers.

    Raises:
        UserError: a file is torn.
    """
    from safetensors import SafetensorError, safe_open

    total = 0
    for file in sorted(Path(folder).glob("*.safetensors")):
        try:
            with safe_open(file, framework="np") as tensors:
                for name in tensors.keys():  # noqa: SIM118 (not a dict)
                    size = 1
                    for length in tensors.get_slice(name).get_shape():
                        size *= length
                    total += size
        except (SafetensorError, OSError) as error:
            raise UserError(f"{file}: can't be read as safetensors ({error})") from error
    return total


def check_safe(folder: str | Path) -> None:
    """Check that a folder can be loaded as a language model without running any code from it.

    Raises:
        UserError: the folder is missing, has no ``config.json`` or no safetensors, or holds a pickle or Python file.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such model folder")
    for file in sorted(folder.rglob("*")):
        if file.suffix.lower() in (*PICKLES, ".py"):
            raise UserError(f"{file}: refused, such a file can run code when loaded; only safetensors are read")
    if not (folder / "config.json").is_file() or not any(folder.glob("*.safetensors")):
        raise UserError(f"{folder}: config.json or .safetensors missing; is it a model saved with save_pretrained?")


def load_model(
    folder: str | Path, dtype: Dtype = "float32", device: Device = "cpu", attention: Literal["sdpa", "eager"] = "sdpa"
) -> Any:
    """Load a causal language model from a local folder, in evaluation mode.

    Only safetensors are read, no code of the folder is run and the network is never used.

    Args:
        folder: a folder made by :func:`~contrastive_context.models.preparation.prepare`.
        dtype: type of the weights.
        device: where the weights go.
        attention: attention implementation of transformers.

    Raises:
        UserError: the folder is refused (:func:`check_safe`) or can't be read, or no GPU is visible for ``cuda``.
    """
    import torch
    import transformers
    from safetensors import SafetensorError

    check_safe(folder)
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("device: cuda, but no GPU is visible; set the model's device to cpu or use a GPU node")
    with quiet_transformers():
        try:
            model = transformers.AutoModelForCausalLM.from_pretrained(
                str(folder),
                dtype=getattr(torch, dtype),
                attn_implementation=attention,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
            )
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            raise UserError(f"{folder}: can't be loaded as a language model ({error})") from error
    return model.to(device).eval()


def load_tokenizer(folder: str | Path) -> Any:
    """Load the tokenizer of a local folder; no network, no code of the folder.

    Raises:
        UserError: the folder has no usable tokenizer.
    """
    import transformers

    with quiet_transformers():
        try:
            return transformers.AutoTokenizer.from_pretrained(
                str(folder), local_files_only=True, trust_remote_code=False
            )
        except (OSError, ValueError) as error:
            raise UserError(f"{folder}: its tokenizer can't be loaded ({error})") from error


@contextlib.contextmanager
def quiet_transformers() -> Iterator[None]:
    """Hide transformers' weight-loading bars and advice for a while; errors still raise."""
    from transformers.utils import logging as transformers_logging

    bars, level = transformers_logging.is_progress_bar_enabled(), transformers_logging.get_verbosity()
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if bars:
            transformers_logging.enable_progress_bar()
