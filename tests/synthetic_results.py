"""Made-up scores and probes in the workflow's formats, for tests only."""

import itertools
import json
import subprocess
import sys

import numpy as np
import pandas as pd

BUCKETS = ("low", "medium", "high")
# Means per strategy in (zero_context, low, medium, high), in the shape the laptop study came out.
MEANS = {
    "base": (0.2, 0.19, 0.53, 0.77),
    "zero": (0.5, 0.45, 0.35, 0.32),
    "random": (0.5, 0.50, 0.50, 0.50),
    "similar": (0.3, 0.29, 0.57, 0.78),
    "contrastive": (0.5, 0.49, 0.69, 0.90),
    "mixed": (0.5, 0.45, 0.6, 0.8),
    "nearest_label": (None, 0.15, 0.5, 0.7),
}
PROBE_MEANS = {
    "base": (0.2, 0.77, 0.7, 0.03),
    "zero": (0.45, 0.0, 0.0, 0.0),
    "random": (0.5, 0.0, 0.05, 0.01),
    "similar": (0.29, 0.6, 0.6, 0.3),
    "contrastive": (0.49, 0.75, 0.72, 0.03),
}


def scores_frame(
    task="lexicon", models=("llama",), seeds=(0,), test_sets=("in_domain",), targets=120, clusters=40,
    strategies=tuple(name for name in MEANS if name != "mixed"), metric="token_accuracy", rng=0,
):  # fmt: skip
    """Segment scores; every system answers every prompt."""
    generator = np.random.default_rng(rng)
    parts = []
    for model in models:
        for test_set in test_sets:
            for strategy in strategies:
                untrained = strategy in ("base", "nearest_label")
                for seed in (None,) if untrained else seeds:
                    for place, mean in zip(("none", *BUCKETS), MEANS[strategy], strict=True):
                        if mean is None:
                            continue
                        for composition in ("zero_context",) if place == "none" else ("one_graded", "top_k"):
                            count = np.arange(targets)
                            parts.append(
                                pd.DataFrame(
                                    {
                                        "task": task,
                                        "model": "none" if strategy == "nearest_label" else model,
                                        "strategy": strategy,
                                        "seed": pd.array([seed] * targets, dtype="Int64"),
                                        "step": 0 if untrained else 200,
                                        "test_set": test_set,
                                        "composition": composition,
                                        "bucket": place,
                                        "prompt_id": [f"{composition}-{place}-{i}" for i in count],
                                        "target_id": [f"t{i}" for i in count],
                                        "cluster": [f"c{i % clusters}" for i in count],
                                        "metric": metric,
                                        "value": np.clip(generator.normal(mean, 0.15, targets), 0, 1),
                                        "stats": [[] for _ in count],
                                        # Zero has one answer in four cut, and one prompt in ten shortened.
                                        "stop_reason": np.where(
                                            (strategy == "zero") & (count % 4 == 0), "length", "stop"
                                        ),
                                        "dropped_examples": np.where((strategy == "zero") & (count % 10 == 0), 2, 0),
                                    }
                                )
                            )
    return pd.concat(parts, ignore_index=True).drop_duplicates(
        ["model", "strategy", "seed", "test_set", "composition", "bucket", "prompt_id"]
    )


def probes_frame(system, items=100, steps=(50, 100, 200), rng=0, measures=("generation", "likelihood")):
    """Probe values per item of one system, in the format of the probe files."""
    generator = np.random.default_rng(rng)
    strategy = system.split("-seed")[0]
    parts = []
    for step in (0,) if strategy == "base" else steps:
        share = 1 - (1 - step / max(steps)) ** 6  # most of it happens early
        for probe, start, end in zip(
            ("iwl", "icl", "icl_valid", "copy"), PROBE_MEANS["base"], PROBE_MEANS[strategy], strict=True
        ):
            for measure in measures:
                mean = start + (end - start) * share
                value = generator.normal(mean, 0.3, items) * (1 if measure == "generation" else -2)
                parts.append(
                    pd.DataFrame(
                        {
                            "step": step,
                            "item": np.arange(items),
                            "cluster": [f"c{i % 30}" for i in range(items)],
                            "target_id": [f"t{i}" for i in range(items)],
                            "probe": probe,
                            "measure": measure,
                            "value": value,
                        }
                    )
                )
    return pd.concat(parts, ignore_index=True)


def write_probes(
    folder, task="lexicon", models=("llama",), seeds=(0,), strategies=("zero", "random", "similar", "contrastive")
):
    """Write probe files as the workflow lays them out; return their paths."""
    paths = []
    for number, model in enumerate(models):
        systems = ["base"] + [f"{name}-seed{seed}" for name in strategies for seed in seeds]
        for place, system in enumerate(systems):
            path = folder / task / model / f"{system}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            probes_frame(system, rng=100 * number + place).to_parquet(path)
            paths.append(path)
    return paths


def write_scores(folder, **options):
    """Write one scores file per model, as the workflow lays them out; return their paths."""
    frame = scores_frame(**options)
    paths = []
    for model, rows in frame.groupby("model"):
        name = "nearest_label" if model == "none" else model
        path = folder / rows["task"].iloc[0] / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        rows.to_parquet(path)
        paths.append(path)
    return paths


def settings_json(**values):
    """Settings as the command line takes them."""
    return json.dumps(values)


def write_figures(repository, folder, settings=None):
    """Draw all figures of <folder>/tables into <folder>/figures by the entry points themselves."""
    settings = settings or {}
    minimal = {"seeds": [0, 1], "steps": 20, "probe_every": 10, "probe_targets": 40, "dimensions": 6, "features": 8}
    calls = {
        "simulate_minimal_model": ({"minimal_model": minimal}, "--out-dir", folder / "tables"),
        "plot_summary": (settings, "--scores", "scores", "--out", "fig1_summary"),
        "plot_minimal_model": ({}, "--table", "minimal_model", "--out", "fig2_minimal_model"),
        "plot_similarity_grid": (
            settings, "--scores", "scores", "--out", "fig3_similarity_grid", "--appendix", "fig3_appendix",
        ),
        "plot_probes": (
            settings, "--probes", "probes", "--out", "fig4_probes", "--likelihood", "fig4_probes_likelihood",
        ),
        "plot_ablations": (settings, "--scores", "scores", "--out", "fig5_ablations"),
        "plot_plane": (settings, "--scores", "scores", "--probes", "probes", "--out", "fig6_plane"),
    }  # fmt: skip
    for script, (values, *arguments) in calls.items():
        for place, (option, value) in enumerate(itertools.pairwise(arguments)):
            if option in ("--scores", "--probes", "--table"):
                arguments[place + 1] = folder / f"tables/{value}.parquet"
            elif option in ("--out", "--appendix", "--likelihood"):
                arguments[place + 1] = folder / f"figures/{value}"
        run_step(repository, script, values, *arguments)


def run_step(repository, script, settings, *arguments):
    """Call an entry point as the workflow does."""
    command = [sys.executable, repository / f"workflow_scripts/{script}.py", "--settings", json.dumps(settings)]
    subprocess.run([str(part) for part in (*command, *arguments)], check=True, capture_output=True)


def write_run(repository, folder, probes=None):
    """Make tables and figures of two models by the entry points themselves; return the folder.

    ``probes``: the probe files, where they are not to be made here.
    """
    scores = write_scores(folder / "scores", models=("llama", "qwen3"))
    if probes is None:
        probes = write_probes(folder / "probes", models=("llama", "qwen3"))
    run_step(repository, "build_tables", {"statistics": {"resamples": 100}}, "--scores", *scores, "--probes", *probes,
             "--out-dir", folder / "tables")  # fmt: skip
    write_gaps(repository, folder)
    write_figures(repository, folder)
    return folder


COUNTS = {
    "train": {"generated": 1009, "dropped": {"duplicate_source": 2}, "kept": 1007},
    "test": {"in_domain": {"generated": 5, "dropped": {}, "kept": 5}},
    "read": {"generated": 1014, "dropped": {}, "kept": 1014, "noted": {"its prompt lacks tables of the schema": 317}},
}
LONGER = "longer than the 256 tokens that the encoder reads"
EMBEDDINGS = {"noted": {"train": {LONGER: 7}, "test": {LONGER: 1}}}
COVERAGE = {
    "in_domain": {"missing": [{"composition": "top_k", "bucket": "huge", "reason": "3 targets of 300 fill it"}]}
}
PROBE_COVERAGE = {
    "missing": [{"probe": probe, "reason": "0 of 30 targets have an anchor"} for probe in ("icl", "icl_valid")]
}


def write_gaps(repository, folder, settings=None):
    """List the gaps of <folder>/tables and <folder>/scores with made-up counts, by the entry point itself."""
    records = {"corpus/lexicon/counts.json": COUNTS, "embeddings/lexicon/statistics.json": EMBEDDINGS,
               "contexts/lexicon/eval.coverage.json": COVERAGE,
               "contexts/lexicon/probes.coverage.json": PROBE_COVERAGE}  # fmt: skip
    for name, record in records.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(record))
    run_step(repository, "list_gaps", settings or {}, "--scores", folder / "tables/scores.parquet", "--probes",
             folder / "tables/probes.parquet", "--segments", *sorted((folder / "scores/lexicon").glob("*.parquet")),
             "--counts", folder / "corpus/lexicon/counts.json", "--embeddings",
             folder / "embeddings/lexicon/statistics.json", "--coverage",
             folder / "contexts/lexicon/eval.coverage.json", "--probe-coverage",
             folder / "contexts/lexicon/probes.coverage.json", "--out-dir", folder / "tables")  # fmt: skip


def report_inputs(folder, **more):
    """Name what a report of such a run is built from."""
    from contrastive_context.report.build import Inputs

    names = ("scores", "probes", "findings", "missing", "dropped", "truncated")
    tables = {name: folder / "tables" / f"{name}.parquet" for name in names}
    return Inputs(**tables, figures=folder / "figures", **more)
