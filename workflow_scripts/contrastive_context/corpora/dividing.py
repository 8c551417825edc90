"""Division of a text into splits by hashes: whatever the order of its rows, and clusters kept whole."""

import hashlib
from typing import TYPE_CHECKING

from contrastive_context.config.text import Shares

if TYPE_CHECKING:
    import pandas as pd


def divide(frame: "pd.DataFrame", shares: Shares, seed: int) -> "dict[str, pd.DataFrame]":
    """Divide rows into ``train``, ``dev``, ``arrivals`` and ``test`` as :class:`Shares` says.

    Args:
        frame: raw rows.
        shares: shares of the clusters.
        seed: another one gives another division.
    """
    held_out = shares.arrivals + shares.test
    of_cluster = {
        cluster: _part(f"{seed}/cluster/{cluster}", held_out, shares.dev) for cluster in frame["cluster"].unique()
    }
    part = frame["cluster"].map(of_cluster)
    splits = {"train": frame.loc[part == 2], "dev": frame.loc[part == 1]}
    return {**splits, **halve(frame.loc[part == 0], shares, seed)}


def halve(frame: "pd.DataFrame", shares: Shares, seed: int) -> "dict[str, pd.DataFrame]":
    """Divide rows that are all for test time into ``arrivals`` and ``test``, in the ratio of the two shares."""
    ratio = shares.test / (shares.arrivals + shares.test)
    test = frame["source"].map(lambda source: uniform(f"{seed}/row/{source}") < ratio).astype(bool)
    return {"arrivals": frame.loc[~test], "test": frame.loc[test]}


def uniform(name: str) -> float:
    """Return a number in [0, 1) that depends on a name alone."""
    return int.from_bytes(hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=7).digest(), "big") / 2**56


def _part(name: str, *shares: float) -> int:
    """Return the part that a name falls into: 0 to n − 1 for n shares, n for the rest."""
    value = uniform(name)
    for part, share in enumerate(shares):
        if value < share:
            return part
        value -= share
    return len(shares)
