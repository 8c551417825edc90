"""Where a run keeps what its steps make: templates of paths below ``results/<run>``.

The rules spell the same paths out, so that a person can read them there; a test compares the two.
"""

import functools
import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import NamedTuple

from contrastive_context.core.names import ADAPTERS, NEAREST_LABEL, TRAINER_LOG, TUNED

PACKAGE = "packages/{package}.json"
HUB_RECORD = "hub/{registry}/{entry}.json"
HUB_LOCK = "hub.lock.yaml"
ENCODER = "encoders/{encoder}.json"
MODEL = "models/{model}.json"
CORPUS = "corpus/{task}/{split}.parquet"
CORPUS_COUNTS = "corpus/{task}/counts.json"
CORPUS_REJECTED = "corpus/{task}/rejected.csv"
EMBEDDINGS = "embeddings/{task}/{split}.npy"
EMBEDDING_STATISTICS = "embeddings/{task}/statistics.json"
NEIGHBOURS = "neighbours/{task}/train.parquet"
RECALL = "neighbours/{task}/train.recall.json"
ENDPOINT_ANSWERS = "paraphrases/{task}/{split}/answers/{paraphraser}.parquet"
PARAPHRASES = "paraphrases/{task}/{split}/{paraphraser}.parquet"
PARAPHRASE_COUNTS = "paraphrases/{task}/{split}/{paraphraser}.counts.json"
TRAIN_CONTEXTS = "contexts/{task}/train/{strategy}.parquet"
EVAL_CONTEXTS = "contexts/{task}/eval.parquet"
EVAL_COVERAGE = "contexts/{task}/eval.coverage.json"
PROBE_PROMPTS = "contexts/{task}/probes.parquet"
PROBE_COVERAGE = "contexts/{task}/probes.coverage.json"
SYSTEM_ADAPTERS = f"finetune/{{task}}/{{model}}/{{system}}/{ADAPTERS}"
PREDICTIONS = "predictions/{task}/{model}/{system}.jsonl"
NEAREST_LABEL_PREDICTIONS = f"predictions/{{task}}/{NEAREST_LABEL}.jsonl"
PROBES = "probes/{task}/{model}/{system}.parquet"
SEGMENTS = "segments/{task}/{scored}.jsonl"
SEGMENT_SCORES = "segment_scores/{task}/{scored}.{metric}.jsonl"
SCORES = "scores/{task}/{model}.parquet"
REBUCKETED = "rebucketed/{task}/{encoder}/scores.parquet"
EXAMPLES = "examples/{task}/{model}.parquet"
REPORT = "report.html"
#: What a training goes on from, and the sign that it may begin; hidden, so no artifacts.
FINETUNE_STATE = ".state/finetune/{task}/{model}/{system}"
ALL_FROZEN = ".state/all_frozen"


def table(name: str, suffix: str = "parquet") -> str:
    """Return the path of a table."""
    return f"tables/{name}.{suffix}"


def figure(name: str, suffix: str = "png") -> str:
    """Return the path of a figure, or of the numbers that it shows (csv)."""
    return f"figures/{name}.{suffix}"


def _tables(*names: str, suffixes: tuple[str, ...] = ("parquet", "csv")) -> tuple[str, ...]:
    return tuple(table(name, suffix) for name in names for suffix in suffixes)


def _figures(*names: str) -> tuple[str, ...]:
    return tuple(figure(name, suffix) for name in names for suffix in ("png", "pdf", "csv"))


#: Step, by the name of its entry point → what it makes.
OUTPUTS: dict[str, tuple[str, ...]] = {
    "fetch_package": (PACKAGE,),
    "fetch_hub": (HUB_RECORD,),
    "prefetch": (HUB_LOCK,),
    "prepare_encoder": (ENCODER,),
    "prepare_model": (MODEL,),
    "build_corpus": (CORPUS, CORPUS_COUNTS, CORPUS_REJECTED),
    "embed_corpus": (EMBEDDINGS, EMBEDDING_STATISTICS),
    "find_neighbours": (NEIGHBOURS, RECALL),
    "ask_endpoint": (ENDPOINT_ANSWERS,),
    "paraphrase": (PARAPHRASES, PARAPHRASE_COUNTS),
    "sample_train_contexts": (TRAIN_CONTEXTS,),
    "finetune": tuple(f"finetune/{{task}}/{{model}}/{TUNED}/{file}" for file in (ADAPTERS, TRAINER_LOG)),
    "freeze_eval_contexts": (EVAL_CONTEXTS, EVAL_COVERAGE),
    "freeze_probes": (PROBE_PROMPTS, PROBE_COVERAGE),
    "generate": (PREDICTIONS,),
    "run_probes": (PROBES,),
    "predict_nearest_label": (NEAREST_LABEL_PREDICTIONS,),
    "list_segments": (SEGMENTS,),
    "score_execution": (SEGMENT_SCORES.replace("{metric}", "bird_execution_accuracy"),),
    "score_comet": (SEGMENT_SCORES,),
    "score": (SCORES,),
    "rebucket": (REBUCKETED, REBUCKETED.replace("parquet", "csv")),
    "build_tables": (*_tables("scores", "probes", "findings"), table("signatures", "csv")),
    "list_gaps": _tables("missing", "dropped", "truncated", suffixes=("parquet", "csv", "tex")),
    "export_latex": _tables("scores", "probes", "findings", suffixes=("tex",)),
    "simulate_minimal_model": _tables("minimal_model"),
    "plot_summary": _figures("fig1_summary"),
    "plot_minimal_model": _figures("fig2_minimal_model"),
    "plot_similarity_grid": _figures("fig3_similarity_grid", "fig3_appendix"),
    "plot_probes": _figures("fig4_probes", "fig4_probes_likelihood"),
    "plot_ablations": _figures("fig5_ablations"),
    "plot_plane": _figures("fig6_plane"),
    "collect_examples": (EXAMPLES,),
    "build_report": (REPORT,),
}


_NAME, _NUMBER = r"[^/]+", r"\d+"


class Made(NamedTuple):
    """The step that makes a file, and the names in the file's path."""

    step: str
    names: dict[str, str]


def made_by(path: str | PurePath) -> Made | None:
    """Return what makes a file of a run, its path relative to the run's folder; None where no step does."""
    text = str(path)
    for step, pattern in _patterns().get(text.partition("/")[0], ()):
        if match := pattern.fullmatch(text):
            return Made(step, match.groupdict())
    return None


@functools.cache
def _patterns() -> Mapping[str, list[tuple[str, re.Pattern[str]]]]:
    """Folder → the steps that write into it, with the patterns of their outputs."""
    found: dict[str, list[tuple[str, re.Pattern[str]]]] = {}
    for step, templates in OUTPUTS.items():
        for template in templates:
            found.setdefault(template.partition("/")[0], []).append((step, _pattern(template)))
    return found


def _pattern(template: str) -> re.Pattern[str]:
    """Turn a template into a pattern with a group for each name."""
    name = r"\\{(\w+)\\}"
    return re.compile(
        re.sub(name, lambda found: f"(?P<{found[1]}>{_NUMBER if found[1] == 'seed' else _NAME})", re.escape(template))
    )
