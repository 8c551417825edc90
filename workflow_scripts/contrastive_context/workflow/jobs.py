"""What jobs ask of the machine: memory, time, GPUs and threads, and when fine-tuning saves and stops."""

import shlex
from collections.abc import Callable
from typing import Any, get_args

from contrastive_context.config.cluster import ModelStage, Needs, OwnNeeds
from contrastive_context.config.learned_metrics import CometModel
from contrastive_context.config.models import LanguageModel
from contrastive_context.config.study import Study
from contrastive_context.core.canonical import canonical_json


class Jobs:
    """What jobs ask for. No result depends on it, so it is no part of the steps' settings.

    Args:
        study: the validated study.
    """

    def __init__(self, study: Study) -> None:
        self._study = study

    @property
    def safeguards(self) -> str:
        """When fine-tuning saves and stops, as JSON quoted for a rule's shell command."""
        text = canonical_json(self._study.safeguards.model_dump(mode="json"))
        return shlex.quote(text).replace("{", "{{").replace("}", "}}")

    @property
    def execution(self) -> str:
        """How generation and probes run on a GPU, where no result depends on it, as options of their commands."""
        generation = self._study.generation
        return f"--threads {generation.threads} --batch-tokens {generation.batch_tokens}"

    def resources(self, rule: str) -> dict[str, Callable[..., int | str]]:
        """Return Snakemake's ``resources`` of a rule: functions of the wildcards and the attempt.

        Args:
            rule: its name.
        """

        def ask(name: str) -> Callable[..., int | str]:
            return lambda wildcards, attempt: self._request(rule, wildcards, attempt)[name]

        return {name: ask(name) for name in self._study.cluster.resources}

    def _request(self, rule: str, wildcards: Any, attempt: int) -> dict[str, int | str]:
        study = self._study
        own = (found for name, found in study.cluster.stages.items() if name == rule)
        needs: Needs | LanguageModel | CometModel = next(own, Needs())
        on_gpu = False
        if rule in get_args(ModelStage):
            model = study.models[wildcards.model]
            on_gpu = model.device == "cuda" and rule != "prepare_model"
            changes = (found for name, found in model.stages.items() if name == rule)
            needs = model.model_copy(update=next(changes, OwnNeeds()).model_dump(exclude_none=True))
        elif rule == "score_comet":
            needs = study.metrics[wildcards.metric]
            on_gpu = needs.device == "cuda"
        elif rule == "rebucket":
            on_gpu = self._encodes_on_gpu(wildcards.encoder)
        elif rule in ("embed_corpus", "paraphrase"):
            on_gpu = self._encodes_on_gpu(study.tasks[wildcards.task].encoder)
            # A paraphraser may run a model, and what comes out is embedded in the same job.
            if rule == "paraphrase" and (models := study.paraphrasers[wildcards.paraphraser].models):
                needs = study.models[models[0]]
                on_gpu |= needs.device == "cuda"
        return study.cluster.request(needs.mem_mb, needs.runtime, int(on_gpu), attempt)

    def _encodes_on_gpu(self, encoder: str) -> bool:
        return getattr(self._study.encoders[encoder], "device", "cpu") == "cuda"
