"""The verdicts of a run as Markdown, for a README: a table of claims × tasks, and how many show."""

from collections import Counter

import pandas as pd

from contrastive_context.tables import presentation
from contrastive_context.tables.findings import ALL, NOT_ASKED, VERDICTS
from contrastive_context.tables.settings import PresentationSettings


def summary(findings: pd.DataFrame, settings: PresentationSettings) -> str:
    """Return the table and a sentence.

    Args:
        findings: R/tables/findings.
        settings: titles and orders.
    """
    matrix = presentation.matrix(presentation.findings_tables(findings, settings), settings)
    lines = [f"| claim | {' | '.join(matrix.columns)} |", "|---" * (1 + len(matrix.columns)) + "|"]
    for row in matrix.rows:
        (text, *_) = (claim.text for claim in row if claim)
        lines.append(f"| {text} | {' | '.join(_cell(claim) if claim else '–' for claim in row)} |")
    return "\n".join([*lines, "", _sentence(findings)]) + "\n"


def _cell(claim: presentation.ClaimRow) -> str:
    verdict = f"**{claim.judgement.verdict}**"
    if claim.judgement.verdict == NOT_ASKED:
        return f"{verdict}: {claim.judgement.sentence}"
    return f"{verdict} {claim.pooled.difference}"


def _sentence(findings: pd.DataFrame) -> str:
    counts = Counter(findings.loc[findings["model"] == ALL, "verdict"])
    asked = sum(counts.values()) - counts[NOT_ASKED]
    said = [f"{counts[verdict]} “{verdict}”" for verdict in VERDICTS if counts[verdict] and verdict != NOT_ASKED]
    return f"Of {asked} verdicts {', '.join(said)}."
