"""The README's example of the sampler and the probes in a trainer of one's own, run as it stands there."""

import re
import runpy

import numpy as np
import pytest

from small_models import model, tokenizer

MARKER = "<!-- example: library -->"


@pytest.fixture(scope="module")
def left(repository, tmp_path_factory) -> dict:
    """What the example's variables hold when it is done."""
    found = re.search(rf"{re.escape(MARKER)}\n```python\n(.*?)```", (repository / "README.md").read_text(), re.DOTALL)
    assert found, f"README.md has no block of Python after {MARKER}"
    folder = tmp_path_factory.mktemp("library")
    (folder / "example.py").write_text(found.group(1))
    model("llama").save_pretrained(folder / "my-model")
    tokenizer("llama").save_pretrained(folder / "my-model")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return runpy.run_path("example.py")


def test_contexts_were_sampled_for_every_epoch(left):
    contexts = left["contexts"].to_pandas()
    assert contexts.groupby("draw").size().tolist() == [len(left["train"])] * 2
    graded = contexts["actual_grade"].eq("similar").mean()
    assert 0.4 < graded < 0.6 and set(contexts["example_ids"].map(len)) == {3}
    assert not any(row.target_id in row.example_ids for row in contexts.itertuples())


def test_no_example_of_a_probe_gives_gold_away(left):
    assert left["settings"].max_agreement == 0.9
    assert left["coverage"]["used_icl"] == left["coverage"]["asked"] == 20


def test_the_model_was_trained_and_probed(left):
    first, last = left["history"]
    assert set(last.index.get_level_values("probe")) == {"iwl", "icl", "icl_valid", "copy"}
    assert np.isfinite(last).all()
    assert last["iwl", "likelihood"] > first["iwl", "likelihood"] + 0.2
