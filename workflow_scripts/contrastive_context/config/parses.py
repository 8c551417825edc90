"""Corpora of utterances and their parses."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from contrastive_context.config.base import Seed
from contrastive_context.config.text import Cleaning, WrittenCorpus

MTOP_FILES = ("train", "eval", "test")
"""Names of MTOP's files of one language, without ``.txt``."""


class MtopCorpus(WrittenCorpus):
    """One language of MTOP. Train and eval are split as published, arrivals are eval's, test targets are test's.

    Cluster: the tree without its words.
    """

    kind: Literal["mtop"]
    path: str = Field(description="the archive mtop.zip, or the folder that it unpacks to")
    language: str = Field(pattern=r"^[a-z]{2,3}$", description="name of the language's folder: de, es, fr, …")
    seed: Seed = 0
    dev: float = Field(0.02, ge=0, lt=1, description="share of training rows set aside for dev, by cluster")
    cleaning: Cleaning | None = Field(None, description="absent: nothing is dropped for its content")
    max_rejected: float = Field(0.01, ge=0, le=1, description="share of malformed rows above which the stage fails")
    max_line_bytes: int = Field(100_000, ge=1, description="a longer line is malformed")
    licence: str = Field("CC-BY-SA-4.0", description="for the report")
    origin: str = Field("MTOP (Li et al. 2021)", description="for the report")

    @property
    def source_language(self) -> str:
        """The utterances' language."""
        return self.language

    @property
    def paths(self) -> list[str]:
        """The files that the corpus is read from: the archive, or those of the language in the folder."""
        folder = Path(self.path)
        if not folder.is_dir():
            return [self.path]
        return [str(folder / self.language / f"{name}.txt") for name in MTOP_FILES]

    @property
    def test_sets(self) -> list[str]:
        """Names of the test sets that the corpus has."""
        return ["in_domain"]
