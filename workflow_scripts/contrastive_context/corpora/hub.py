"""Corpora of the Hugging Face hub, read by column names through ``datasets``.

No code of a data set is run (``datasets`` dropped loading scripts). Runs of white space in a text become single spaces,
since a line break could be a template's stop.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from contrastive_context.config.sources import HubCorpus
from contrastive_context.corpora.rows import RAW_COLUMNS, meta_text
from contrastive_context.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

_DOCUMENT = "document_id"


def build(settings: HubCorpus) -> "dict[str, pd.DataFrame]":
    """Read all splits.

    A row's cluster is its document if the data set has a column ``document_id``, else the row by itself.

    Args:
        settings: where each split lies and which columns hold source and target.

    Returns:
        Frames ``train``, ``dev``, ``arrivals`` (its parts one after the other) and ``test.<name>``.

    Raises:
        UserError: a data set, split or column can't be read; the message names it.
    """
    import pandas as pd

    arrivals = [_read(split, settings.seed, f"arrivals.{index}") for index, split in enumerate(settings.arrivals)]
    frames = {
        "train": _read(settings.train, settings.seed, "train"),
        "dev": _read(settings.dev, settings.seed, "dev"),
        "arrivals": pd.concat(arrivals, ignore_index=True) if arrivals else pd.DataFrame(columns=list(RAW_COLUMNS)),
    }
    return frames | {
        f"test.{name}": _read(split, settings.seed, f"test.{name}") for name, split in settings.test.items()
    }


def _read(split: HubCorpus.Split, seed: int, key: str) -> "pd.DataFrame":
    import datasets
    import pandas as pd

    where = (
        f"corpus.{key}: data set {split.path}" + (f", {split.name}" if split.name else "") + f", split {split.split}"
    )
    try:
        data = datasets.load_dataset(split.path, split.name, split=split.split, revision=split.revision)
    except Exception as error:  # network, repository, format and cache errors have no common base class
        reason = (str(error).strip() or "no message").splitlines()[0]
        raise UserError(
            f"{where}: can't be read ({type(error).__name__}: {reason}); check the names and the network"
        ) from error
    positions = list(range(len(data)))
    if split.limit is not None and split.limit < len(data):
        import random

        # A seeded sample rather than the first rows, which are often sorted by origin.
        positions = sorted(random.Random(f"{seed}/{key}").sample(positions, split.limit))
    data_set = "/".join(filter(None, (split.path, split.name)))
    rows = []
    for position, row in zip(positions, data.select(positions), strict=True):
        document = row.get(_DOCUMENT)
        rows.append(
            (
                _text(row, split.source, where),
                _text(row, split.target, where),
                # A document keeps its name in every slice of a data set: its parts may lie in several splits of ours.
                f"{data_set}/{split.split}/{position}" if document is None else f"{data_set}/{document}",
                split.domain,
                meta_text({"data_set": data_set, "split": split.split, "row": position}),
            )
        )
    return pd.DataFrame(rows, columns=list(RAW_COLUMNS))


def _text(row: Mapping[str, Any], path: str, where: str) -> str:
    """Return the text at a dotted column path; an empty text for a null (counted and dropped later)."""
    value: Any = row
    for name in path.split("."):
        if not isinstance(value, Mapping) or name not in value:
            raise UserError(f"{where}: no column {path!r}; there is: {', '.join(row)}")
        value = value[name]
    return "" if value is None else " ".join(str(value).split())
