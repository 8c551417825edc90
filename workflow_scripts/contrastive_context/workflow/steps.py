"""The steps of the workflow, by the names of their entry points, and what each is told.

Snakemake compares parameters as an unnamed set of values and does not see what a shell command interpolates. So each
rule has a single parameter: the canonical JSON of the leaves that the step reads, with their names, and the version of
the code that reads them. The entry point gets the same string as ``--settings``.
"""

import functools
import importlib
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path

from contrastive_context.config.base import Model
from contrastive_context.config.study import Study
from contrastive_context.core.canonical import canonical_json
from contrastive_context.workflow.code_versions import CodeVersions

_PACKAGE = "contrastive_context"
#: Step → the class of its settings, which the step's entry point reads. Imported when it is asked for.
SETTINGS = {
    "fetch_package": "downloads.settings:FetchPackageSettings",
    "fetch_hub": "downloads.settings:FetchHubSettings",
    "prefetch": "downloads.settings:PrefetchSettings",
    "prepare_encoder": "retrieval.settings:PrepareEncoderSettings",
    "prepare_model": "models.settings:PrepareModelSettings",
    "build_corpus": "corpora.settings:BuildCorpusSettings",
    "embed_corpus": "retrieval.settings:EmbedCorpusSettings",
    "find_neighbours": "retrieval.settings:FindNeighboursSettings",
    "ask_endpoint": "paraphrasing.settings:AskEndpointSettings",
    "paraphrase": "paraphrasing.settings:ParaphraseSettings",
    "sample_train_contexts": "contexts.settings:SampleTrainContextsSettings",
    "finetune": "training.settings:FinetuneSettings",
    "freeze_eval_contexts": "contexts.settings:FreezeEvalContextsSettings",
    "freeze_probes": "contexts.settings:FreezeProbesSettings",
    "generate": "inference.settings:GenerateSettings",
    "run_probes": "inference.settings:RunProbesSettings",
    "predict_nearest_label": "scoring.settings:PredictNearestLabelSettings",
    "list_segments": "scoring.settings:ListSegmentsSettings",
    "score_comet": "scoring.settings:ScoreCometSettings",
    "score_execution": "scoring.settings:ScoreExecutionSettings",
    "score": "scoring.settings:ScoreSettings",
    "simulate_minimal_model": "minimal_model.settings:SimulateMinimalModelSettings",
    "build_tables": "tables.settings:BuildTablesSettings",
    "rebucket": "tables.settings:RebucketSettings",
    "collect_examples": "tables.settings:CollectExamplesSettings",
    "list_gaps": "tables.settings:PresentationSettings",
    "export_latex": "tables.settings:PresentationSettings",
    "plot_summary": "tables.settings:PresentationSettings",
    "plot_similarity_grid": "tables.settings:PresentationSettings",
    "plot_probes": "tables.settings:PresentationSettings",
    "plot_ablations": "tables.settings:PresentationSettings",
    "plot_plane": "tables.settings:PresentationSettings",
    "plot_minimal_model": "figures.settings:MinimalModelFigureSettings",
    "build_report": "report.settings:BuildReportSettings",
}


@functools.cache
def settings_class(step: str) -> type[Model]:
    """Return the class of a step's settings."""
    module, name = SETTINGS[step].split(":")
    found: type[Model] = getattr(importlib.import_module(f"{_PACKAGE}.{module}"), name)
    return found


@functools.cache
def _builder(step: str) -> Callable[..., Model]:
    return settings_class(step).of  # type: ignore[attr-defined]  # every one has its own parameters


class Steps:
    """Settings of the steps of a study.

    Args:
        study: the validated study.
        scripts: folder of the entry points.
        cache: file in which the versions of unchanged code are kept between runs.
    """

    def __init__(self, study: Study, scripts: str | Path, cache: str | Path) -> None:
        self.study = study
        self._versions = CodeVersions(Path(scripts), Path(cache))

    def settings(self, step: str, *names: object) -> str:
        """Return the one parameter of a step's rule.

        Args:
            step: name of the entry point.
            names: what ``of`` of the step's settings takes after the study, mostly values of wildcards.

        Raises:
            KeyError: the study has no entry of such a name.
            UserError: it has one, of a kind that the step can't take.
        """
        values = _builder(step)(self.study, *names).model_dump(mode="json")
        return canonical_json({**values, "code_version": self._versions.of(step, values)})

    def settings_of(self, step: str, names: Mapping[str, str]) -> str:
        """Return the same by the names in a path of the step's outputs, of which some settings need a part only."""
        wanted = [name for name in inspect.signature(_builder(step)).parameters if name in names]
        return self.settings(step, *(names[name] for name in wanted))
