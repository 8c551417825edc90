"""The verdicts of a run as a table for a README."""

from contrastive_context.config.claims import TaskClaims
from contrastive_context.config.statistics import Statistics
from contrastive_context.tables import findings, markdown, tidy
from contrastive_context.tables.settings import BuildTablesSettings, Named, PresentationSettings
from synthetic_results import scores_frame


def test_every_claim_has_a_line_and_every_verdict_is_counted():
    settings = BuildTablesSettings(
        statistics=Statistics(resamples=100),
        claims={"lexicon": TaskClaims(left_out={"zero_below_base_high": "because"})},
    )
    scores = tidy.score_cells(scores_frame(models=("llama", "qwen3"), targets=300), settings.statistics)
    table = findings.build(scores, tidy.Cells(), settings)
    text = markdown.summary(table, PresentationSettings(tasks=[Named(name="lexicon", title="Lexicon")]))
    lines = text.splitlines()
    assert lines[:2] == ["| claim | Lexicon |", "|---|---|"]
    rows = dict(line.strip("| ").split(" | ") for line in lines[2:] if line.startswith("|"))
    assert rows["Zero ends below the un-tuned base at high similarity"] == "**not asked**: because"
    pooled = table[table["model"] == "all"].set_index("claim")
    row = pooled.loc["similar_below_random_low"]
    assert rows[row["text"]].startswith(f"**shows** {row['difference']:.3f} [")
    assert len(rows) == len(pooled)
    shows, refuted = ((pooled["verdict"] == verdict).sum() for verdict in ("shows", "does not show"))
    assert lines[-1] == f"Of {len(pooled) - 1} verdicts {shows} “shows”, {refuted} “does not show”."
