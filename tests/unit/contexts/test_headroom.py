"""Floor and ceiling of synthetic tasks, on prompts for which both are known."""

import numpy as np
import pandas as pd
import pytest

from contrastive_context.config.sources import IdiomCorpus, LexiconCorpus
from contrastive_context.contexts import headroom
from contrastive_context.corpora import idiom, lexicon

IDIOM = IdiomCorpus(kind="idiom", train_clusters=5, heldout_clusters=60)
LEXICON = LexiconCorpus(kind="lexicon", train_clusters=5, heldout_clusters=60)


def found(folder, corpus, module, task):
    """Show each target itself ("high"), and a sentence of another cluster ("low")."""
    rows = module.build(corpus)["test.in_domain"].drop_duplicates("source").reset_index(drop=True)
    rows["id"] = [f"{row:016x}" for row in range(len(rows))]
    for split in ("test", "arrivals"):
        (folder / f"corpus/{task}").mkdir(parents=True, exist_ok=True)
        rows.to_parquet(folder / f"corpus/{task}/{split}.parquet")
    other = rows["id"].to_numpy()[::-1]
    prompts = [
        {"target_id": row.id, "composition": "one_graded", "bucket": bucket, "example_ids": [example],
         "similarities": [similarity], "max_similarity": similarity}
        for row, away in zip(rows.itertuples(), other, strict=True)
        for bucket, example, similarity in (("high", row.id, 1.0), ("low", away, 0.0))
    ]  # fmt: skip
    (folder / f"contexts/{task}").mkdir(parents=True)
    pd.DataFrame(prompts).to_parquet(folder / f"contexts/{task}/eval.parquet")
    return headroom.table(corpus, folder, task).loc["one_graded"], rows


def test_idiom(tmp_path):
    table, rows = found(tmp_path, IDIOM, idiom, "idiom")
    assert table.loc["high", "copying alone"] == table.loc["high", "both"] == 1
    assert table.loc["low", "copying alone"] < 0.2
    # Half of the labels are exceptions, which the rule hits by chance only; the general rule knows half of the classes.
    assert table.loc["low", "rule alone"] == table.loc["high", "rule alone"] == pytest.approx(0.55, abs=0.1)
    assert table.loc["low", "nothing learned"] < table.loc["low", "rule alone"]
    regular = rows[rows["meta"] == '{"exceptional": []}']
    words = np.array([[int(word[1:]) for word in source.split()] for source in regular["source"]])
    assert idiom.as_text(idiom.task_label(IDIOM, words)) == regular["target"].tolist()


def test_lexicon(tmp_path):
    table, _ = found(tmp_path, LEXICON, lexicon, "lexicon")
    assert table.loc["high", "copying alone"] == table.loc["high", "both"] == 1
    assert table.loc["low", "rule alone"] == pytest.approx(0.5, abs=0.03)  # the plain half
    assert table.loc["low", "both"] == pytest.approx(table.loc["low", "rule alone"], abs=0.02)
    assert table.loc["low", "nothing learned"] == pytest.approx(0.25, abs=0.06)
