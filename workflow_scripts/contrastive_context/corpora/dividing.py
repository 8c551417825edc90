"""Division of a text into splits by hashes: whatever the order of its rows, and clusters kept whole."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from contrastive_context.config.text import Shares

if TYPE_CHECKING:
    import pandas as pd


def divide(frame: "pd.DataFrame", shares: Shares, seed: int) -> "dict[str, pd.DataFrame]":
    """Divide rows into ``train``, ``dev``, ``arrivals`` and ``test`` as :class:`Shares` says.

    Args:
        frame: raw rows.
        shares: shares of the rows.
        seed: another one gives another division.
    """
    held_out = shares.arrivals + shares.test
    position = frame["cluster"].map(positions(Counter(frame["cluster"]), f"{seed}/cluster")).astype(float)
    trained = position >= held_out + shares.dev
    splits = {"train": frame.loc[trained], "dev": frame.loc[~trained & (position >= held_out)]}
    return {**splits, **halve(frame.loc[position < held_out], shares, seed)}


def halve(frame: "pd.DataFrame", shares: Shares, seed: int) -> "dict[str, pd.DataFrame]":
    """Divide rows that are all for test time into ``arrivals`` and ``test``, in the ratio of the two shares."""
    ratio = shares.test / (shares.arrivals + shares.test)
    test = frame["source"].map(lambda source: uniform(f"{seed}/row/{source}") < ratio).astype(bool)
    return {"arrivals": frame.loc[~test], "test": frame.loc[test]}


def positions(rows: Mapping[str, int], draw: str) -> dict[str, float]:
    """Order clusters by lot within [0, 1), so that a share of that range has about that share of the rows.

    By hashes alone the halves of a few documents can have many rows and few.

    Args:
        rows: cluster → how many rows it has.
        draw: what the order depends on, besides the clusters' names.

    Returns:
        Cluster → position of the middle of its rows. A part of the range differs from its share by no more than half
        of each of the clusters at its two ends.
    """
    total, before, result = sum(rows.values()), 0, {}
    for cluster in sorted(rows, key=lambda cluster: (uniform(f"{draw}/{cluster}"), cluster)):
        result[cluster] = (before + rows[cluster] / 2) / total
        before += rows[cluster]
    return result


def uniform(name: str) -> float:
    """Return a number in [0, 1) that depends on a name alone."""
    return int.from_bytes(hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=7).digest(), "big") / 2**56
