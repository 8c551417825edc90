"""Paths of a run: what a file's name says, and what it doesn't."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contrastive_context.core import paths
from contrastive_context.core.errors import UserError
from contrastive_context.core.names import parse_system, tuned_system

PARTS = st.text("abzAZ019._", min_size=1, max_size=6)
NAMES = st.tuples(st.sampled_from("aZ0"), st.lists(PARTS | st.just("seed"), max_size=3)).map(
    lambda parts: "-".join([parts[0], *parts[1]])
)
TEMPLATES = [(step, template) for step, templates in paths.OUTPUTS.items() for template in templates]


@given(data=st.data(), output=st.sampled_from(TEMPLATES))
def test_an_outputs_path_gives_back_its_step_and_names(data, output):
    step, template = output
    wanted = re.findall(r"\{(\w+)\}", template)
    names = {name: data.draw(NAMES) for name in wanted}
    if "seed" in names:
        names["seed"] = str(data.draw(st.integers(0, 2**32 - 1)))
    if "system" in names:
        names["system"] = tuned_system(names["system"], data.draw(st.integers(0, 9)))
    if "metric" in names:
        names["metric"] = "comet_qe"
    assert paths.made_by(template.format(**names)) == (step, names)


@pytest.mark.parametrize(
    "path",
    ["config.yaml", "corpus/lexicon", "corpus/lexicon/more/train.parquet", "logs/finetune/x.log", "scores/a/b.csv",
     "finetune/lexicon/llama/base/adapters.json", "finetune/lexicon/llama/.zero-seed0.abc/adapters.json"],
)  # fmt: skip
def test_what_no_step_makes_is_nobodys(path):
    assert paths.made_by(path) is None


@given(strategy=NAMES, seed=st.integers(0, 2**32 - 1))
def test_a_systems_name_can_be_split_again(strategy, seed):
    assert parse_system(tuned_system(strategy, seed)) == (strategy, seed)


def test_systems_that_were_not_trained_have_no_seed():
    assert parse_system("base") == ("base", None) and parse_system("nearest_label") == ("nearest_label", None)
    with pytest.raises(UserError, match="expected base, nearest_label or <strategy>-seed<seed>"):
        parse_system("contrastive")
