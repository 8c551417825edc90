"""What can't work of the models whose files are on this machine, found without reading a weight."""

import copy
import tempfile
import warnings
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from contrastive_context.config.finetuning import Lora
from contrastive_context.config.grid import Grid
from contrastive_context.config.paraphrasers import LanguageModelParaphraser
from contrastive_context.config.study import Study
from contrastive_context.config.templates import Template
from contrastive_context.core import paths
from contrastive_context.core.errors import UserError, about

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Use(NamedTuple):
    """What the grid does with a model: a causal one has a template, a sequence-to-sequence one none."""

    template: Template | None = None
    task: str = ""
    lora: Lora | None = None


class Checked(NamedTuple):
    """Keys under ``models`` that were looked at, and those whose files aren't here."""

    seen: list[str]
    absent: list[str]


def check_models(study: Study) -> Checked:
    """Look at the grid's models: their weights' names and shapes, tokenizers, templates and LoRA targets.

    Args:
        study: the validated study; its run's folder may hold downloads and prepared models.

    Raises:
        UserError: lists all that can't work, each with its key.
    """
    checked, problems = Checked([], []), []
    for name, uses in uses_by_model(study).items():
        with tempfile.TemporaryDirectory() as scratch:
            try:
                found = _collect(study, name, Path(scratch))
            except UserError as error:
                problems.append(str(error))
                continue
            if found is None:
                checked.absent.append(name)
                continue
            checked.seen.append(name)
            problems += _problems(name, found, uses)
    if problems:
        raise UserError("\n".join(problems))
    return checked


def uses_by_model(study: Study) -> dict[str, list[Use]]:
    """Return what the grid does with each model that it or one of its paraphrasers runs."""
    grid, found = Grid(study), dict[str, list[Use]]()
    for task, model in grid.pairs:
        for strategy in grid.strategies_by_model[task][model]:
            use = Use(study.tasks[task].template, task, grid.recipe(task, model, strategy).lora)
            if use not in found.setdefault(model, []):
                found[model].append(use)
    names = [name for task in grid.tasks for name in grid.trained_paraphrasers(task)]
    names += [name for task in grid.tasks if (name := study.tasks[task].evaluation.paraphraser)]
    for name in dict.fromkeys(names):
        entry = study.paraphrasers[name]
        template = entry.template if isinstance(entry, LanguageModelParaphraser) else None
        for model in entry.models:
            found.setdefault(model, []).append(Use(template))
    return found


def _collect(study: Study, name: str, scratch: Path) -> Path | None:
    """Return a folder with a model's files, or with links to them; None if they aren't here."""
    from contrastive_context.models.preparation import MAKERS
    from contrastive_context.models.settings import PrepareModelSettings

    results, entry = Path("results", study.run), study.models[name]
    record = results / paths.HUB_RECORD.format(registry="models", entry=name)
    if entry.kind == "folder" or (entry.kind == "hub" and record.is_file()):
        MAKERS[entry.kind](PrepareModelSettings.of(study, name), entry, scratch, None, record)
        return scratch
    prepared = results / paths.MODEL.format(model=name)
    return prepared.with_suffix("") if prepared.is_file() else None


def _problems(name: str, folder: Path, uses: Sequence[Use]) -> list[str]:
    import transformers

    from contrastive_context.models import adapters
    from contrastive_context.models.language_models import load_tokenizer, load_weights
    from contrastive_context.prompting.prompts import PromptEncoder

    @cache
    def network(auto_class: type) -> "PreTrainedModel":
        return load_weights(auto_class, folder, device_map="meta")

    tokenizer = cache(load_tokenizer)
    found: dict[str, None] = {}
    for use in uses:
        try:
            with about(f"models.{name}", folder), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # libraries' advice to developers
                tokenizer(folder)
                if use.template is None:
                    network(transformers.AutoModelForSeq2SeqLM)
                    continue
                model = network(transformers.AutoModelForCausalLM)
                PromptEncoder(tokenizer(folder), use.template, model.config, use.task)
                if use.lora is not None:
                    adapters.attach(copy.deepcopy(model), use.lora, seed=0)
        except UserError as error:
            found[str(error)] = None
    return list(found)
