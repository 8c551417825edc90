"""The configuration: what is refused, and how the message reads."""

import copy

import pytest
from snakemake.utils import update_config

from contrastive_context.config.grid import Grid
from contrastive_context.config.study import load_study
from contrastive_context.contexts.settings import SampleTrainContextsSettings
from contrastive_context.core.canonical import canonical_json
from contrastive_context.core.errors import UserError
from contrastive_context.tables.settings import PresentationSettings
from contrastive_context.training.settings import FinetuneSettings


def edit(config: dict, path: str, value) -> dict:
    result = copy.deepcopy(config)
    *parents, last = [int(part) if part.isdigit() else part for part in path.split("/")]
    node = result
    for part in parents:
        node = node[part]
    node[last] = value
    return result


def test_shipped_configurations_are_valid(repository, study_config):
    import yaml

    assert load_study(study_config).run == "quickstart"
    paper = yaml.safe_load((repository / "config.yaml").read_text())
    assert load_study(paper).run == "paper"
    for name, below in (("other-tasks", study_config), ("paper-other-tasks", paper)):
        merged = copy.deepcopy(below)
        update_config(merged, yaml.safe_load((repository / f"envs/overlays/{name}.yaml").read_text()))
        assert load_study(merged).run == name


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("tasks/en-de/evaluation/paraphraser", "rules", "strategies.contrastive trains on the same paraphraser"),
        ("tasks/en-de/evaluation/paraphraser", "lexicon", "kind lexicon goes with corpora of kind lexicon"),
        ("tasks/intents/corpus/language", "de", "strategies.contrastive.paraphrasers.intents: kind rules rewords"),
        ("tasks/en-de/evaluation/paraphraser", "rule", "'rule' is not in paraphrasers; did you mean 'rules'?"),
        ("paraphrasers/own", {"kind": "language_model", "model": "gpt"}, "paraphrasers.own: 'gpt' is not in models"),
        ("paraphrasers/gemini/base_url", "http://example.org", "paraphrasers.gemini.base_url: without TLS anybody"),
        ("tasks/intents/encoder", "bm25", "tasks.intents.index.kind: hnswlib can't index BM25"),
        ("tasks/lexicon/metrics", ["comet_qe"], "tasks.lexicon.metrics: comet_qe is a learned metric"),
        ("metrics/comet/encoder", "xlm-r", "metrics.comet.encoder: 'xlm-r' is not in metric_encoders"),
        ("metrics/comet/checkpoint", "model.ckpt", "metrics.comet: give exactly one of hub and checkpoint"),
        ("tasks/en-hi/bleu", {"tokenize": "flores200"}, "tasks.en-hi.bleu.tokenize: must be '13a', 'intl'"),
        (
            "tasks/en-hi/corpus/cleaning/target_script",
            "Thai",
            "tasks.en-hi.bleu.tokenize: intl divides words at blanks",
        ),
        ("tasks/lexicon/kk", 3, "tasks.lexicon.kk: unknown key; did you mean 'k'?"),
        ("finetuning/tiny/learning_rate", float("inf"), "finetuning.tiny.learning_rate: must be a finite number"),
        ("finetuning/tiny/weight_decay", float("inf"), "finetuning.tiny.weight_decay: must be a finite number"),
        ("finetuning/tiny/max_gradient_norm", float("nan"), "max_gradient_norm: must be a finite number"),
        ("finetuning/tiny/learning_rate", 100, "finetuning.tiny.learning_rate: must be at most 1"),
        ("finetuning/tiny/betas", [1.5, 2], "finetuning.tiny.betas.0: must be below 1"),
        ("strategies/p0.9", {"kind": "zero", "ablation": {"of": "zero", "factor": "p", "value": float("inf")}}, "p0.9"),
        ("strategies/zero/p", 0.3, "strategies.zero.p: kind zero has no p; leave it out, or take another kind"),
        ("tasks/lexicon/probes/label_nonces", ["a", "a"], "tasks.lexicon.probes.label_nonces: 'a' is listed twice"),
        ("tasks/lexicon/probes/source_nonces", ["a", "b", "a"], "probes.source_nonces: 'a' is listed twice"),
        ("tasks/lexicon/metrics", ["chrf++", "chrf++"], "tasks.lexicon.metrics: 'chrf++' is listed twice"),
        ("tasks/lexicon/corpus/seed", -1, "tasks.lexicon.corpus.seed: must be at least 0 (found -1)"),
        ("tasks/lexicon/context_seed", -1, "tasks.lexicon.context_seed: must be at least 0 (found -1)"),
        ("models/tiny-llama/seed", -1, "models.tiny-llama.seed: must be at least 0 (found -1)"),
        ("statistics", {"seed": -1}, "statistics.seed: must be at least 0 (found -1)"),
        ("models/tiny-llama/runtime", 86400, "models.tiny-llama.runtime: must be at most 43200 (found 86400)"),
        ("cluster", {"max_runtime": 86400}, "cluster.max_runtime: must be at most 43200 (found 86400)"),
        ("grid/0/seeds", [0, 2**32], "grid.0.seeds.1: must be below 4294967296"),
        ("finetuning/tiny/lora/rr", 3, "finetuning.tiny.lora.rr: unknown key; did you mean 'r'?"),
        ("finetuning/tiny/lora/rank", 3, "lora.rank: unknown key (known: r, alpha, dropout, target_modules)"),
        ("encoders/bm25/weight", 3, "encoders.bm25.weight: unknown key (known: kind, k1, b)"),
        ("models/tiny-llama/device", "gpu", "must be 'cpu' or 'cuda'; did you mean 'cuda'? (found 'gpu')"),
        ("models/tiny-llama/famly", "llama", "models.tiny-llama.famly: unknown key; did you mean 'family'?"),
        ("tasks/lexicon/k", "four", "tasks.lexicon.k: must be a whole number, without a unit (found 'four')"),
        ("tasks/lexicon/k", 0, "tasks.lexicon.k: must be at least 1 (found 0)"),
        ("models/tiny-llama/family", "lama", "models.tiny-llama.family: must be 'llama'"),
        ("strategies/contrastive/p", 0.95, "strategies.contrastive.p: p + epsilon is 1.05, more than 1"),
        ("strategies/contrastive/paraphrasers", {}, "strategies.contrastive.paraphrasers: none for task"),
        ("grid/0/models", ["smollm2"], "grid.0.models: 'smollm2' is not in models; did you mean 'smollm2-135m'?"),
        ("grid/0/strategies", ["contrast"], "'contrast' is not in strategies; did you mean 'contrastive'?"),
        ("grid/0/task", "intent", "grid.0.task: 'intent' is not in tasks; did you mean 'intents'?"),
        ("grid/0/finetuning", "smol", "grid.0.finetuning: 'smol' is not in finetuning"),
        ("tasks/intents/encoder", "bert", "tasks.intents.encoder: 'bert' is not in encoders"),
        ("tasks/lexicon/test_sets", ["out"], "tasks.lexicon.test_sets: the corpus has no test set 'out'"),
        ("tasks/lexicon/index", {"neighbours": 2}, "tasks.lexicon.index.neighbours: 2 is less than k (4)"),
        ("buckets", {"low": 0, "high": 0.33, "medium": 0.67}, "buckets: lower edges must start at 0, ascend"),
        ("finetuning/tiny/checkpoints", [0, 300], "finetuning.tiny.checkpoints: [300] not within 0 and steps (120)"),
        ("strategies/base", {"kind": "zero"}, "strategies.base: the name is reserved"),
        ("run", "../elsewhere", "run: '../elsewhere' can't be used as a name"),
        ("models/a\0b", {"kind": "hub", "name": "x"}, "can't be used as a name"),
        ("tasks", {-1: {}}, "tasks.-1: keys must be text; put them in quotes (found -1)"),
        ("grid", [], "grid: "),
    ],
)
def test_mistakes_are_named_by_key(study_config, path, value, message):
    with pytest.raises(UserError) as caught:
        load_study(edit(study_config, path, value))
    assert message in str(caught.value)


def test_all_mistakes_are_reported_at_once(study_config):
    config = edit(edit(study_config, "tasks/lexicon/kk", 1), "models/tiny-llama/seeed", 1)
    with pytest.raises(UserError, match=r"2 problem\(s\)"):
        load_study(config)


def test_mistakes_of_every_kind_are_reported_at_once(study_config):
    config = edit(study_config, "models/tiny-llama/api_key", "abc")
    config = edit(config, "tasks/lexicon/kk", 1)
    config = edit(config, "finetuning/tiny/steps", "many")
    config = edit(config, "grid/0/seed", 1)
    config = edit(config, "strategies/contrastive/p", 0.95)
    config = edit(config, "grid/1/models", ["smollm2"])
    with pytest.raises(UserError) as caught:
        load_study(config)
    told = str(caught.value)
    for problem in (
        "models.tiny-llama.api_key: looks like a secret",
        "tasks.lexicon.kk: unknown key",
        "finetuning.tiny.steps: must be a whole number",
        "grid.0.seed: unknown key; did you mean 'seeds'?",
        "strategies.contrastive.p: p + epsilon is 1.05",
        "grid.1.models: 'smollm2' is not in models",
    ):
        assert problem in told
    # What follows from a mistake that is told already would send its reader astray.
    assert "'lexicon' is not in tasks" not in told and "'tiny-llama' is not in models" not in told
    assert "is required" not in told


@pytest.mark.parametrize(
    ("mistake", "also"),
    [
        ({"run": 2026}, "strategies.contrastive.p: p + epsilon"),
        ({"tasks": ["lexicon"]}, "strategies.contrastive.p: p + epsilon"),
        ({"grid": "all"}, "strategies.contrastive.p: p + epsilon"),
        ({"statistics": {"confidence": 95}}, "strategies.contrastive.p: p + epsilon"),
    ],
)
def test_a_section_of_the_wrong_kind_hides_no_other_mistake(study_config, mistake, also):
    config = edit(study_config, "strategies/contrastive/p", 0.95) | mistake
    with pytest.raises(UserError) as caught:
        load_study(config)
    assert f"{next(iter(mistake))}" in str(caught.value) and also in str(caught.value)
    assert "2 problem(s)" in str(caught.value)


def test_a_system_has_one_recipe_and_strategies_may_have_their_own(study_config):
    entry = {**study_config["grid"][0], "finetuning": "tiny"}
    with pytest.raises(UserError, match="another recipe in an earlier entry"):
        load_study({**study_config, "grid": [*study_config["grid"], entry]})
    study_config["strategies"]["control"] = {"kind": "random"}
    study = load_study({**study_config, "grid": [*study_config["grid"], entry | {"strategies": ["control"]}]})
    grid, (task, model) = Grid(study), (entry["task"], entry["models"][0])
    assert grid.recipe(task, model, "control") == study.finetuning["tiny"] != grid.recipe(task, model, "random")


def test_buckets_may_come_in_any_order(study_config):
    edges = {"high": 0.67, "medium": 0.4, "low": 0}
    assert list(load_study(study_config | {"buckets": edges}).buckets) == ["low", "medium", "high"]
    edges = {"highest": 0.9, "high": 0.67, "lower": 0.1, "medium": 0.33, "low": 0}
    assert list(load_study(study_config | {"buckets": edges}).buckets) == ["low", "lower", "medium", "high", "highest"]


def test_settings_depend_on_their_own_leaves_only(study_config):
    def contexts(study, strategy):
        return SampleTrainContextsSettings.of(study, "lexicon", strategy)

    def trained(study):
        return FinetuneSettings.of(study, "lexicon", "tiny-llama", "contrastive", 0)

    before = load_study(study_config)
    renamed = load_study(edit(study_config, "strategies/random/title", "By chance"))
    assert contexts(before, "random") == contexts(renamed, "random")
    assert PresentationSettings.of(before) != PresentationSettings.of(renamed)
    swapped = edit(edit(study_config, "strategies/contrastive/p", 0.1), "strategies/contrastive/epsilon", 0.5)
    swapped = load_study(swapped)
    assert contexts(before, "contrastive") != contexts(swapped, "contrastive")
    assert contexts(before, "mixed") == contexts(swapped, "mixed")
    assert trained(before) == trained(swapped)


def test_canonical_json_ignores_key_order():
    assert canonical_json({"a": 1, "b": [1, 2]}) == canonical_json({"b": [1, 2], "a": 1})
    assert canonical_json({"a": 0.5, "b": 0.1}) != canonical_json({"a": 0.1, "b": 0.5})


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("models/tiny-llama/token", "abc"),
        ("title", "hf_" + "a1B2" * 9),
        ("models/tiny-llama/device", "hf_" + "a1B2" * 9),
        ("grid/0/finetuning", "hf_" + "a1B2" * 9),
        ("paraphrasers/gemini/base_url", "http://me:hunter2@example.org"),
        ("models/smollm2-135m/package", "https://me:hunter2@example.org/simple"),
    ],
)
def test_secrets_are_refused_and_not_repeated(study_config, path, value):
    with pytest.raises(UserError) as caught:
        load_study(edit(study_config, path, value))
    assert f"{path.replace('/', '.')}: looks like a secret" in str(caught.value)
    assert value not in str(caught.value)
