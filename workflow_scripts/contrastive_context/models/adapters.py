"""LoRA adapters: attach, save, load strictly, and switch between the checkpoints of a run."""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch

from contrastive_context.config.finetuning import Lora
from contrastive_context.core import artifacts
from contrastive_context.core.errors import UserError
from contrastive_context.core.json_types import JsonDict
from contrastive_context.core.weights import first_few
from contrastive_context.models.fast_lora import round_once

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
_PREFIX = "base_model.model."


def attach(model: "PreTrainedModel", lora: Lora, seed: int) -> "PeftModel":
    """Freeze ``model`` and add LoRA layers to it, initialised from ``seed`` alone; return the peft model.

    Raises:
        UserError: ``lora.target_modules`` has a name that no module of the model has, or the name of one that is no
            linear layer or shares its weights with the embeddings.
    """
    from peft import LoraConfig, get_peft_model

    targets, modules = lora.target_modules, dict(model.named_modules())
    config = LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=targets,
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        try:
            adapted = get_peft_model(model, config)
        except ValueError as error:
            raise UserError(f"lora.target_modules {targets!r}: {error}") from error
    found = {name: modules[name] for name in adapted.targeted_module_names}
    unused = [] if isinstance(targets, str) else [t for t in targets if not any(_matches(name, [t]) for name in found)]
    if unused:  # peft is content with one that it finds
        raise UserError(f"lora.target_modules: the model has no module called {first_few(unused)}")
    _refuse_unfit(model, found)
    return adapted


def save_adapter(model: "PeftModel", folder: str | Path, base_name: str) -> str:
    """Save a peft model's adapter as ``adapter_model.safetensors`` and ``adapter_config.json``.

    Args:
        model: what :func:`attach` returned.
        folder: made if missing.
        base_name: the base model's name, kept in the configuration instead of a path of this machine.

    Returns:
        The SHA-256 of the weights file.
    """
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = get_peft_model_state_dict(model, save_embedding_layers=False)
    save_file(
        {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
        folder / WEIGHTS,
        metadata={"format": "pt"},
    )
    config = model.peft_config["default"].to_dict()
    config = {key: sorted(value) if isinstance(value, set) else value for key, value in config.items()}
    if isinstance(config["target_modules"], list):
        config["target_modules"] = sorted(config["target_modules"])  # a set in peft, whose order varies
    config.update(base_model_name_or_path=base_name, inference_mode=True)
    artifacts.write_json(folder / CONFIG, config)
    return artifacts.sha256_file(folder / WEIGHTS)


def load_adapter(model: "PreTrainedModel", folder: str | Path) -> "PeftModel":
    """Attach a saved adapter to a fresh base for further use with peft; return the peft model.

    Raises:
        UserError: a tensor is missing, unknown or of another shape, or a file can't be read.
    """
    from peft import LoraConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict

    tensors, config = _read(folder)
    options = LoraConfig(**{key: config[key] for key in _CONFIG_KEYS}, task_type="CAUSAL_LM")
    try:
        adapted = get_peft_model(model, options)
    except ValueError as error:
        raise UserError(f"{Path(folder) / CONFIG}: {error}; the adapter belongs to another model") from error
    expected = get_peft_model_state_dict(adapted, save_embedding_layers=False)
    _compare({name: tensor.shape for name, tensor in expected.items()}, tensors, Path(folder) / WEIGHTS)
    set_peft_model_state_dict(adapted, tensors)
    return adapted


class AdapterSwitcher:
    """Gives one loaded base the adapters of a run, one after the other.

    Into a float32 base adapters are merged: that costs nothing at run time, and every merge starts from the base's own
    weights, so that errors don't add up. In a narrower type the sum would lose the small updates of early checkpoints
    (a bfloat16 weight keeps 8 bits); there the adapter stays beside the weights in float32, as it was in training, and
    each layer's sum is rounded once.

    Args:
        model: a base model without adapters; changed in place by :meth:`apply`.
    """

    def __init__(self, model: "PreTrainedModel") -> None:
        """See the class."""
        self._model = model
        self._base: dict[str, torch.Tensor] = {}
        self._adapted: PeftModel | None = None

    @torch.no_grad()
    def apply(self, folder: str | Path) -> "PreTrainedModel":
        """Make the model behave as base + the adapter in ``folder``; return the model.

        Raises:
            UserError: a tensor is missing, unknown or of another shape, or a file can't be read.
        """
        if self._model.dtype == torch.float32:
            return self._merge(folder)
        self.restore()
        self._adapted = load_adapter(self._model, folder)
        round_once(self._model)
        return self._model.eval()

    @torch.no_grad()
    def restore(self) -> "PreTrainedModel":
        """Set the model to the base again, bit for bit; return it."""
        for name, weight in self._base.items():
            cast("torch.Tensor", self._model.get_submodule(name).weight).copy_(weight)
        if self._adapted is not None:
            self._adapted.unload()
            self._adapted = None
        return self._model

    def _merge(self, folder: str | Path) -> "PreTrainedModel":
        tensors, config = _read(folder)
        targets = self._targets(config["target_modules"])
        expected = {}
        for name, module in targets.items():
            rows, columns = (module.weight.T if _is_transposed(module) else module.weight).shape
            expected[f"{_PREFIX}{name}.lora_A.weight"] = torch.Size([config["r"], columns])
            expected[f"{_PREFIX}{name}.lora_B.weight"] = torch.Size([rows, config["r"]])
        _compare(expected, tensors, Path(folder) / WEIGHTS)
        self.restore()
        for name, module in targets.items():
            base = self._base.setdefault(name, module.weight.detach().clone())
            down = tensors[f"{_PREFIX}{name}.lora_A.weight"].to(base.device, torch.float32)
            up = tensors[f"{_PREFIX}{name}.lora_B.weight"].to(base.device, torch.float32)
            delta = (up @ down) * (config["lora_alpha"] / config["r"])
            module.weight.copy_(base.float() + (delta.T if _is_transposed(module) else delta))
        return self._model

    def _targets(self, names: str | list[str]) -> dict[str, torch.nn.Linear]:
        found = {
            name: module
            for name, module in self._model.named_modules()
            if getattr(getattr(module, "weight", None), "ndim", 0) == 2 and _matches(name, names)
        }
        _refuse_unfit(self._model, found)
        return cast("dict[str, torch.nn.Linear]", found)  # or Conv1D, which has a weight too


def read_checkpoints(adapters: str | Path, base_sha256: str) -> dict[int, Path]:
    """Return step → adapter folder, ascending, as listed in an ``adapters.json``.

    Args:
        adapters: the ``adapters.json`` of a run.
        base_sha256: SHA-256 of the hash file of the base model in use.

    Raises:
        UserError: the adapters were trained on another base, or a file is missing, altered or no such list.
    """
    adapters = Path(adapters)
    record = artifacts.read_json(adapters)
    try:
        listed = sorted((int(step), entry["folder"], entry["sha256"]) for step, entry in record["steps"].items())
        whole = (
            bool(listed) and isinstance(record["base_sha256"], str) and all(isinstance(f, str) for _, f, _ in listed)
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        whole = False
    if not whole:
        raise UserError(f"{adapters}: lists no adapters; delete it and run again")
    if record["base_sha256"] != base_sha256:
        raise UserError(f"{adapters}: trained on another base model than the one given; fine-tune again")
    folders = {}
    for step, entry in sorted(record["steps"].items(), key=lambda item: int(item[0])):
        folder = adapters.parent / entry["folder"]
        # The configuration has the factor by which the weights are multiplied.
        for file, digest in ((folder / WEIGHTS, entry["sha256"]), (folder / CONFIG, entry.get("config_sha256"))):
            if digest is not None and (not file.is_file() or artifacts.sha256_file(file) != digest):
                raise UserError(f"{file}: missing or altered (see {adapters}); delete {adapters} and run again")
        folders[int(step)] = folder
    return folders


_CONFIG_KEYS = ("r", "lora_alpha", "lora_dropout", "target_modules")
# Options of peft that change what an adapter means; we never set them.
_PLAIN = {"use_rslora": False, "use_dora": False, "bias": "none", "rank_pattern": {}, "alpha_pattern": {}}


def _read(folder: str | Path) -> tuple[dict[str, torch.Tensor], JsonDict]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    weights, file = Path(folder) / WEIGHTS, Path(folder) / CONFIG
    try:
        tensors = load_file(weights)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{weights}: can't be read as safetensors ({error}); fine-tune again") from error
    config = artifacts.read_json(file)
    if missing := [key for key in _CONFIG_KEYS if key not in config]:
        raise UserError(f"{file}: no {', '.join(missing)}; it was not written by this version")
    for key, value in _PLAIN.items():
        if config.get(key, value) not in (value, None):
            raise UserError(f"{file}: {key} = {json.dumps(config[key])} is not supported; use plain LoRA")
    return tensors, config


def _matches(name: str, targets: str | list[str]) -> bool:
    """Whether peft would adapt a module: a string is a pattern for its whole name, a list holds last parts of names."""
    if isinstance(targets, str):
        return re.fullmatch(targets, name) is not None
    return f".{name}".endswith(tuple(f".{target}" for target in targets))


def _refuse_unfit(model: torch.nn.Module, targets: dict[str, torch.nn.Module]) -> None:
    """Refuse modules whose adapters can't be added to a product of a weight of their own."""
    owners: dict[int, list[str]] = {}
    for name, module in model.named_modules():
        if isinstance(weight := getattr(module, "weight", None), torch.Tensor):
            owners.setdefault(id(weight), []).append(name.removesuffix(".base_layer"))
    for name, module in targets.items():
        if not (isinstance(module, torch.nn.Linear) or _is_transposed(module)):
            raise UserError(f"lora.target_modules: {name} is no linear layer ({type(module).__name__}); leave it out")
        if others := [other for other in owners[id(module.weight)] if other != name]:
            raise UserError(f"lora.target_modules: {name} shares its weights with {others[0]}; leave it out")


def _compare(expected: dict[str, torch.Size], tensors: dict[str, torch.Tensor], file: Path) -> None:
    if missing := expected.keys() - tensors.keys():
        raise UserError(f"{file}: lacks {first_few(missing)}; it doesn't belong to this model, or is damaged")
    if extra := tensors.keys() - expected.keys():
        raise UserError(f"{file}: holds {first_few(extra)}, unknown to this model; it belongs to another one")
    if wrong := [name for name, shape in expected.items() if tensors[name].shape != shape]:
        raise UserError(f"{file}: {first_few(wrong)} of another shape than this model's; it belongs to another one")


def _is_transposed(module: torch.nn.Module) -> bool:
    """GPT-2's Conv1D keeps its weight as [in, out]."""
    return type(module).__name__ == "Conv1D"
