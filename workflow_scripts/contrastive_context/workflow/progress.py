"""How far a grid is: which systems have current answers and probe values, and why the others have none.

A report on an unfinished grid is made from the former and names the latter (``only_finished`` in the configuration).
"""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from contrastive_context.core import artifacts
from contrastive_context.core.sidecars import SUFFIX, Sidecar, all_sidecars

ANSWERS, PROBES = "answers", "probes"
NOT_TRAINED, OUT_OF_DATE = "not trained", "out of date"
_NOT_MADE = {ANSWERS: "no answers yet", PROBES: "not probed yet"}
#: Up to answers and probe values: step → the output beside which its sidecar lies, below the run's folder. The groups
#: are the wildcards, as the method of ``Stages`` with the step's name takes them.
_OUTPUTS = {
    "fetch_package": r"packages/([^/]+)\.json",
    "fetch_hub": r"hub/([^/]+)/([^/]+)\.json",
    "prepare_encoder": r"encoders/([^/]+)\.json",
    "prepare_model": r"models/([^/]+)\.json",
    "build_corpus": r"corpus/([^/]+)/[^/]+",  # the sidecar stands beside counts.json
    "embed_corpus": r"embeddings/([^/]+)/.+",
    "find_neighbours": r"neighbours/([^/]+)/.+",
    "ask_endpoint": r"paraphrases/([^/]+)/([^/]+)/answers/([^/]+)\.parquet",
    "paraphrase": r"paraphrases/([^/]+)/([^/]+)/([^/]+)\.parquet",
    "sample_train_contexts": r"contexts/([^/]+)/train/([^/]+)\.parquet",
    "finetune": r"finetune/([^/]+)/([^/]+)/([^/]+)-seed(\d+)/adapters\.json",
    "freeze_eval_contexts": r"contexts/([^/]+)/eval\.parquet",
    "freeze_probes": r"contexts/([^/]+)/probes\.parquet",
    "generate": r"predictions/([^/]+)/([^/]+)/[^/]+\.jsonl",
    "run_probes": r"probes/([^/]+)/([^/]+)/[^/]+\.parquet",
}


class Unfinished(NamedTuple):
    """What one system, ``base`` or ``<strategy>-seed<seed>``, lacks; ``what`` is ``ANSWERS`` or ``PROBES``."""

    task: str
    model: str
    system: str
    what: str
    reason: str


def unfinished(stages: Any, results: str | Path) -> Iterator[Unfinished]:
    """Yield what is missing, or was made with other settings or from other inputs than those of the study.

    So were answers if anything that they go back to was, the corpus or the training contexts for instance.

    Args:
        stages: the study's :class:`~contrastive_context.workflow.stages.Stages`.
        results: the run's folder, relative to the working directory as in the rules.

    Raises:
        UserError: a sidecar can't be read.
    """
    results = Path(results)
    made = {path: sidecar for sidecar in all_sidecars(results) for path in sidecar.outputs}
    digest = cache(artifacts.sha256_file)

    @cache
    def current(path: str) -> bool:
        if path not in made:  # a user's own file, of which the content counts
            return True
        return made[path].settings == settings_of(stages, results, made[path]) and all(
            Path(name).is_file() and digest(name) == recorded and current(name)
            for name, recorded in made[path].inputs.items()
        )

    def problem(path: Path, not_made: str) -> str:
        # The sidecar is written last.
        if not (path.is_file() and str(path) in made):
            return not_made
        return "" if current(str(path)) else OUT_OF_DATE

    for task, model in stages.pairs:
        for system in stages.systems(task, model):
            untrained = ""
            if system != "base":
                untrained = problem(results / "finetune" / task / model / system / "adapters.json", NOT_TRAINED)
            for what, path in (
                (ANSWERS, results / "predictions" / task / model / f"{system}.jsonl"),
                (PROBES, results / "probes" / task / model / f"{system}.parquet"),
            ):
                if reason := untrained or problem(path, _NOT_MADE[what]):
                    yield Unfinished(task, model, system, what, reason)


def settings_of(stages: Any, results: Path, sidecar: Sidecar) -> str | None:
    """Return the settings that a step's output would have by now; None if the study has nothing of its name."""
    output = str(sidecar.path.relative_to(results)).removesuffix(SUFFIX)
    place = re.fullmatch(_OUTPUTS[sidecar.step], output) if sidecar.step in _OUTPUTS else None
    try:
        return getattr(stages, sidecar.step)(*place.groups()) if place else None
    except KeyError:
        return None
