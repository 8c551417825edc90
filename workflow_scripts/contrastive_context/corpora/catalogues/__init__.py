"""Corpora of translated software: English strings and their translations, from message catalogues."""

from collections.abc import Mapping
from pathlib import Path

from contrastive_context.config.text import CataloguesCorpus
from contrastive_context.core.loading import load
from contrastive_context.corpora.dividing import divide, halve
from contrastive_context.corpora.reading import Reading

#: Format of a catalogue → its module.
FORMATS = {
    "chromium": "contrastive_context.corpora.catalogues.chromium",
    "gettext": "contrastive_context.corpora.catalogues.gettext",
    "home_assistant": "contrastive_context.corpora.catalogues.home_assistant",
}


def build(settings: CataloguesCorpus, records: Mapping[str, Path]) -> tuple[dict, list[Reading]]:
    """Read the in-domain catalogue, divided by shares, and the out-of-domain one, which is all for test time.

    Args:
        settings: language, catalogues and shares.
        records: package → record of ``fetch_package.py``.

    Returns:
        Frames ``train``, ``dev``, ``arrivals`` (of both domains) and ``test.<name>``, raw columns; and a reading
        per catalogue.

    Raises:
        UserError: a package lacks the language, or its format is not the expected one.
    """
    import pandas as pd

    frames: dict[str, pd.DataFrame] = {}
    readings = []
    for domain, catalogue in settings.catalogues.items():
        reading = Reading()
        load(FORMATS[catalogue.format]).read(catalogue, settings.language, records, domain, reading)
        readings.append(reading)
        rows = reading.frames()[""]
        if domain == "in":
            frames = divide(rows, settings.shares, settings.seed)
            frames["test.in_domain"] = frames.pop("test")
        else:
            parts = halve(rows, settings.shares, settings.seed)
            frames["test.out_of_domain"] = parts["test"]
            frames["arrivals"] = pd.concat([frames["arrivals"], parts["arrivals"]], ignore_index=True)
    return frames, readings
