"""Language models as folders of safetensors and tokenizer files, loaded without network and without running code."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contrastive_context.config.models import Device, Dtype
from contrastive_context.core.errors import UserError
from contrastive_context.core.json_types import JsonDict
from contrastive_context.core.weights import PICKLES, refuse_adapters, refuse_wrong_weights
from contrastive_context.models.transformers_internals import forget_attention

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_POINTER = b"version https://git-lfs"


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
        UserError: the folder is missing, has no ``config.json`` or no safetensors, or holds a pickle or Python file, an
            adapter beside the weights, a pointer in place of a file, or quantized weights.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such model folder")
    for file in sorted(folder.rglob("*")):
        if file.suffix.lower() in (*PICKLES, ".py"):
            raise UserError(f"{file}: refused, such a file can run code when loaded; only safetensors are read")
    refuse_adapters(str(folder), (file.name for file in folder.iterdir()))
    if not (folder / "config.json").is_file() or not any(folder.glob("*.safetensors")):
        raise UserError(f"{folder}: config.json or .safetensors missing; is it a model saved with save_pretrained?")
    for file in (*folder.glob("*.safetensors"), *folder.glob("*.json")):
        with file.open("rb") as opened:
            if opened.read(len(_POINTER)) == _POINTER:
                raise UserError(f"{file}: only Git LFS's pointer to the file, not the file itself; call `git lfs pull`")
    if quantized := _read_config(folder).get("quantization_config"):
        raise UserError(
            f"{folder}/config.json: the weights are quantized ({quantized.get('quant_method', 'by no known method')}), "
            "which neither training nor exact sums of adapters support; use the model as it was before"
        )


def load_model(folder: str | Path, dtype: Dtype = "float32", device: Device = "cpu") -> "PreTrainedModel":
    """Load a causal language model from a local folder, in evaluation mode.

    Only safetensors are read, no code of the folder is run and the network is never used. Attention is torch's fused
    kernel (sdpa) where the model's class supports it, else transformers' own (eager).

    Args:
        folder: a folder made by :func:`~contrastive_context.models.preparation.prepare`.
        dtype: type of the weights.
        device: where the weights go.

    Raises:
        UserError: the folder is refused (:func:`check_safe`), can't be read or doesn't hold every weight of the model,
            or no GPU is visible for ``cuda``.
    """
    import torch
    import transformers

    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("device: cuda, but no GPU is visible; set the model's device to cpu or use a GPU node")
    model = load_weights(transformers.AutoModelForCausalLM, folder, dtype=getattr(torch, dtype))
    return model.to(device).eval()  # type: ignore[arg-type]  # its decorator loses self


def check_weights(folder: str | Path) -> None:
    """Check that a folder has every weight of its model and no others, by their names and shapes: none is read.

    Raises:
        UserError: as :func:`load_model`, or the model is neither a causal nor a sequence-to-sequence one.
    """
    import transformers

    check_safe(folder)
    seq2seq = _read_config(Path(folder)).get("is_encoder_decoder", False)
    auto = transformers.AutoModelForSeq2SeqLM if seq2seq else transformers.AutoModelForCausalLM
    load_weights(auto, folder, device_map="meta")


def load_weights(auto_class: Any, folder: str | Path, **options: Any) -> "PreTrainedModel":
    """Load a model from a local folder with one of transformers' Auto classes.

    Args:
        auto_class: the Auto class.
        folder: the model's folder.
        options: of its ``from_pretrained``.

    Raises:
        UserError: the folder is refused (:func:`check_safe`), can't be read or doesn't hold every weight of the model.
    """
    import transformers

    check_safe(folder)
    offline = {"local_files_only": True, "trust_remote_code": False}
    with quiet_transformers():
        try:
            config = transformers.AutoConfig.from_pretrained(str(folder), **offline)
            forget_attention(config)
            model, found = auto_class.from_pretrained(
                str(folder),
                config=config,
                use_safetensors=True,
                ignore_mismatched_sizes=True,  # refused below, by name
                output_loading_info=True,
                **offline,
                **options,
            )
        except Exception as error:  # transformers raises whatever damaged files lead it to
            raise UserError(f"{folder}: can't be loaded by {auto_class.__name__} ({_reason(error)})") from error
    refuse_wrong_weights(str(folder), found)
    return model


def load_tokenizer(folder: str | Path) -> "PreTrainedTokenizerBase":
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
        except Exception as error:  # as above
            raise UserError(f"{folder}: its tokenizer can't be loaded ({_reason(error)})") from error


def _read_config(folder: Path) -> JsonDict:
    file = folder / "config.json"
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{file}: not JSON ({error}); is the file whole?") from error
    if not isinstance(config, dict):
        raise UserError(f"{file}: not a model's configuration, which is a JSON object")
    return config


def _reason(error: Exception) -> str:
    """Return an error's message in one line; with its type if it isn't one that transformers words for users."""
    message = " ".join(str(error).split())
    return message if isinstance(error, (OSError, ValueError)) else f"{type(error).__name__}: {message}"


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
