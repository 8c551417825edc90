"""English to four languages from catalogues of software, end to end, on tiny packages in their exact formats."""

import itertools
from pathlib import Path

import pandas as pd
import pytest
import yaml

from catalogue_files import make_deb, make_mo, make_pack, make_wheel
from contrastive_context.core.artifacts import sha256_file
from frozen_contexts import check_task
from runner import make_checkout, run
from small_models import model, tokenizer
from software_strings import LANGUAGES, PLACES, THINGS, VERBS, say

PAIRS = ["software-de", "software-lt", "software-hi", "software-ta"]
R = "results/translation"
TARGETS = [
    *(f"{R}/contexts/{task}/{name}.parquet" for task in PAIRS for name in ("eval", "probes")),
    *(f"{R}/predictions/{task}/random-llama/base.jsonl" for task in PAIRS),
    f"{R}/predictions/software-ta/random-llama/contrastive-seed0.jsonl",
    *(f"{R}/corpus/chromium-{language}/train.parquet" for language in ("de", "lt")),
]
# Of a tale, as software_strings has of software, in the languages that have text out of domain.
DEEDS = [("follow", "verfolgen", "sekti"), ("fear", "fürchten", "bijoti"), ("guard", "bewachen", "saugoti"),
         ("leave", "verlassen", "palikti")]  # fmt: skip
BEINGS = [("king", "König", "karalių"), ("dragon", "Drachen", "drakoną"), ("knight", "Ritter", "riterį"),
          ("wizard", "Zauberer", "burtininką"), ("army", "Heer", "kariuomenę")]  # fmt: skip
LANDS = [("forest", "Wald", "miške"), ("castle", "Schloss", "pilyje"), ("mountains", "Gebirge", "kalnuose"),
         ("village", "Dorf", "kaime"), ("cave", "Höhle", "oloje")]  # fmt: skip


def home_assistant() -> bytes:
    """A component per action and place, which is a cluster."""
    trees = {
        f"{verb[0]}_{place[0]}/{name}": {thing[0]: say(language, verb, thing, place) for thing in THINGS}
        for verb, place in itertools.product(VERBS, PLACES)
        for language, name in enumerate(LANGUAGES[:3])
    }
    return make_wheel(trees)


def chromium() -> bytes:
    strings = list(itertools.product(VERBS, PLACES, THINGS))
    names = [f"IDS_{verb[0]}_{place[0]}_{thing[0]}".upper() for verb, place, thing in strings]
    folder = "usr/lib/chromium/locales"
    files = {
        f"{folder}/{'en-GB' if name == 'en' else name}.pak": make_pack(
            {
                number: say(language, verb, thing, place).encode()
                for number, (verb, place, thing) in enumerate(strings, 1)
            }
        )
        for language, name in enumerate(LANGUAGES)
    }
    info = "".join(f"{name},{number},strings.grd\n" for number, name in enumerate(names, 1))
    return make_deb(files | {f"{folder}/en-GB.pak.info": info.encode()})


def wesnoth(deeds) -> bytes:
    strings = list(itertools.product(deeds, BEINGS, LANDS))
    files = {
        f"usr/share/games/wesnoth/translations/{name}/LC_MESSAGES/wesnoth-tale.mo": make_mo(
            {say(0, *words).encode(): say(language, *words).encode() for words in strings}
        )
        for language, name in enumerate(LANGUAGES[:3])
        if language
    }
    return make_deb(files)


def put_packages(registry: dict, cache: Path) -> None:
    """Write each package of the overlay into the cache, and its hash into the overlay's entry."""
    contents = {"homeassistant": home_assistant(), "chromium-l10n": chromium(), "wesnoth-httt": wesnoth(DEEDS[:2]),
                "wesnoth-low": wesnoth(DEEDS[2:])}  # fmt: skip
    for name, entry in registry.items():
        path = cache / entry["filename"]
        path.write_bytes(contents[name])
        entry["sha256"] = sha256_file(path)


@pytest.fixture(scope="module")
def results(repository, tmp_path_factory) -> Path:
    """The results of the overlay's tasks with tiny packages, an untrained model and few targets."""
    folder = tmp_path_factory.mktemp("translation")
    cache = folder / "cache"
    cache.mkdir()
    llama = model("llama")
    llama.config.max_position_embeddings = 2048  # a byte of these scripts is a token; rotary positions have no weights
    llama.save_pretrained(folder / "model")
    tokenizer("llama").save_pretrained(folder / "model")
    grid = yaml.safe_load((repository / "envs/overlays/translation.yaml").read_text())
    put_packages(grid["packages"], cache)
    for task in grid["tasks"].values():
        task |= {"encoder": "bm25", "index": {"kind": "exact"}}
        task["template"] = task["template"] | {"max_new_tokens": 6, "max_prompt_tokens": 1500}
        task["evaluation"] = task["evaluation"] | {"targets": 4, "min_targets": 2}
        task["probes"] = task["probes"] | {"targets": 2}
    grid |= {
        "run": "translation",
        "models": {"random-llama": {"kind": "folder", "path": str(folder / "model")}},
        "finetuning": {"few": grid["finetuning"]["smollm2-few"] | {"steps": 1, "checkpoints": [0, 1]}},
        "statistics": {"resamples": 100},
        "minimal_model": {"seeds": [0], "steps": 100, "probe_targets": 100},
        "grid": [
            entry | {"models": ["random-llama"], "strategies": ["contrastive"], "finetuning": "few"}
            for entry in grid["grid"]
        ],
    }
    (folder / "grid.yaml").write_text(yaml.safe_dump(grid, allow_unicode=True))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONTRASTIVE_CONTEXT_CACHE", str(cache))
        patch.setenv("PYTHONWARNINGS", "error:Glyph")  # matplotlib's, of a letter that no font has
        checkout = make_checkout(repository, folder / "checkout", folder / "grid.yaml")
        # One of the four is fine-tuned too; the report is then on what is finished.
        run(checkout, "--", *TARGETS)
        run(checkout, "--config", "only_finished=true", "--", "figures", "report")
    return checkout / R


def test_every_pair_has_scores_in_and_out_of_domain(results):
    scores = pd.read_parquet(results / "tables/scores.parquet")
    assert set(scores["metric"]) == {"chrf++"} and scores["value"].between(0, 100).all()
    found = set(zip(scores["task"], scores["test_set"], strict=True))
    assert found == {(task, "in_domain") for task in PAIRS} | {(task, "out_of_domain") for task in PAIRS[:2]}
    for (_, test_set), rows in scores.groupby(["task", "test_set"]):
        assert {"base", "nearest_label"} <= set(rows["strategy"])
        # A tale has too few sentences that are alike.
        assert {"low", "medium", "high"} - {"out_of_domain": {"high"}}.get(test_set, set()) <= set(rows["bucket"])
    assert "contrastive" in set(scores.loc[scores["task"] == "software-ta", "strategy"])


@pytest.mark.parametrize("task", PAIRS)
def test_no_context_gives_its_target_away(results, task):
    assert check_task(results, task) > 10


@pytest.mark.parametrize(
    ("task", "script"),
    [("software-hi", "Devanagari"), ("software-ta", "Tamil"), ("chromium-de", "Latin"), ("chromium-lt", "Latin")],
)
def test_targets_are_in_their_script(results, task, script):
    import regex

    targets = pd.read_parquet(results / f"corpus/{task}/train.parquet")["target"]
    assert len(targets) > 100
    letters, own = (len(regex.findall(kind, "".join(targets))) for kind in (r"\p{L}", rf"\p{{Script={script}}}"))
    assert own > 0.7 * letters


def test_titles_in_their_script_are_drawn_and_in_the_report(results):
    # Had a font lacked one of their letters, the step would have failed.
    report = (results / "report.html").read_text()
    plotted = pd.read_csv(results / "figures/fig3_similarity_grid.csv")
    assert set(plotted["task"]) == set(PAIRS)
    for word in ("Deutsch", "lietuvių", "हिन्दी", "தமிழ்"):
        assert word in report
