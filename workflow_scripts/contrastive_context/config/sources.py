"""Where text and weights come from: packages, and the corpora built from them or generated."""

from collections.abc import Iterator
from itertools import combinations
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from contrastive_context.config.base import Model, Seed
from contrastive_context.config.parses import MtopCorpus
from contrastive_context.config.sql import GeneratedSqlCorpus, TextToSqlCorpus
from contrastive_context.config.text import CataloguesCorpus, Cleaning, FilesCorpus, WrittenCorpus


class Package(Model):
    """A wheel on the Python package index, or a package of Debian's archive, pinned to the byte."""

    version: str = Field(description="the version that filename is of")
    filename: str = Field(description="of the wheel or the .deb", pattern=r"^[A-Za-z0-9][A-Za-z0-9._+~-]*\.(whl|deb)$")
    sha256: str = Field(description="of the file", pattern=r"^[0-9a-f]{64}$")
    pool: str | None = Field(
        None, pattern=r"^[a-z0-9][a-z0-9./+-]*$", description="of a .deb: folder in Debian's pool, as main/c/chromium"
    )
    snapshot: str | None = Field(
        None, pattern=r"^\d{8}T\d{6}Z$", description="of a .deb: a time at which the archive of snapshots has it"
    )
    licence: str = Field(description="for the report")
    origin: str = Field("", description="who made it, or where it is developed, for the report")
    contents: str = Field(description="what is taken from it, for the report")

    @model_validator(mode="after")
    def _debian_packages_have_pool_and_snapshot(self) -> Self:
        if self.filename.endswith(".deb") != (self.pool is not None and self.snapshot is not None):
            raise ValueError("pool and snapshot go with a .deb, and only with one: it needs both")
        return self


class LexiconCorpus(Model):
    """Synthetic task "lexicon": word-by-word labels, half of them known only to a cluster's members [ours]."""

    kind: Literal["lexicon"]
    seed: Seed = 0
    train_clusters: int = Field(1500, ge=1, description="clusters whose sentences train")
    heldout_clusters: int = Field(400, ge=1, description="clusters that only test time sees")
    members: int = Field(8, ge=2, description="sentences drawn per cluster before duplicates are removed")
    alternative_probability: float = Field(
        0.12, ge=0, le=1, description="probability that a word of a cluster's sentence is its alternative"
    )


class IdiomCorpus(Model):
    """Synthetic task "idiom": two labels per sentence, by a rule or, in exceptional clusters, by fiat [ours]."""

    kind: Literal["idiom"]
    seed: Seed = 0
    train_clusters: int = Field(1000, ge=1, description="clusters whose sentences train")
    heldout_clusters: int = Field(300, ge=1, description="clusters that only test time sees")
    members: int = Field(14, ge=2, description="sentences drawn per cluster before duplicates are removed")
    alternative_probability: float = Field(
        0.2, ge=0, le=1, description="probability that a word of a cluster's sentence is its alternative"
    )
    exceptional: float = Field(0.5, ge=0, le=1, description="probability that a cluster decides a slot's label")
    coherence: float = Field(0.3, ge=0, le=1, description="share of a cluster's words that come from its topics")
    label_noise: float = Field(0.05, ge=0, le=1, description="probability of a random label, in training rows only")


class HomeAssistantIntentsCorpus(WrittenCorpus):
    """Commands and their parse, expanded from home-assistant-intents' grammars of one language; cluster = template."""

    kind: Literal["home_assistant_intents"]
    package: str = Field(description="key under packages")
    language: str = Field("en", description="de, en, hi or lt")
    seed: Seed = 0
    train: int = Field(3000, ge=1, description="rows at most")
    dev: int = Field(200, ge=0, description="rows at most")
    arrivals: int = Field(1500, ge=1, description="rows at most")
    test: int = Field(500, ge=1, description="rows at most")

    @property
    def source_language(self) -> str:
        """The commands' language."""
        return self.language

    @property
    def packages(self) -> list[str]:
        """Packages that the corpus is read from."""
        return [self.package]


class DataSet(Model):
    """One configuration of a data set of the Hugging Face hub; corpora refer to it by its key."""

    hub: str = Field(description="repository, owner/name")
    configuration: str | None = Field(None, description="as the data set's card names it, for instance a language pair")
    revision: str = Field("main", description="branch, tag or commit hash")
    files: dict[str, str] = Field({}, description="split → pattern of file names, where the card names no files")
    licence: str = Field("not stated", description="for the report")
    contents: str = Field("", description="what it is, for the report")


class HubCorpus(WrittenCorpus):
    """Splits of data sets of the Hugging Face hub, read by column names."""

    class Split(Model):
        """Rows of one split of a data set."""

        data: str = Field(description="key under datasets")
        split: str = Field("train", description="as the data set calls it")
        source: str = Field(description="column of the source, with dots for nested columns")
        target: str = Field(description="column of the target")
        document: str | None = Field(
            None, description="column that names a row's document, which becomes its cluster and is never divided"
        )
        drop: dict[str, bool | int | str] = Field({}, description="column → value; rows with it are dropped, counted")
        part: tuple[float, float] = Field(
            (0.0, 1.0), description="share of documents (or rows) taken, from and to, in an order drawn with the seed"
        )
        limit: int | None = Field(None, ge=1, description="a sample of this many rows, drawn with the seed")
        domain: str = Field("in", description="kept in the corpus")

        @field_validator("part")
        @classmethod
        def _part_of_the_whole(cls, part: tuple[float, float]) -> tuple[float, float]:
            if not 0 <= part[0] < part[1] <= 1:
                raise ValueError("give two numbers in [0, 1], the smaller one first")
            return part

    kind: Literal["hub"]
    seed: Seed = 0
    train: Split
    dev: Split
    arrivals: list[Split] = Field(description="the new examples of test time")
    test: dict[str, Split] = Field(description="test set → its rows")
    cleaning: Cleaning | None = Field(None, description="absent: nothing is dropped for its content; {}: the defaults")
    max_rejected: float = Field(0.01, ge=0, le=1, description="share of malformed rows above which the stage fails")

    @property
    def splits(self) -> dict[str, Split]:
        """All splits by key: train, dev, arrivals.<index>, test.<name>."""
        arrivals = {f"arrivals.{index}": split for index, split in enumerate(self.arrivals)}
        tests = {f"test.{name}": split for name, split in self.test.items()}
        return {"train": self.train, "dev": self.dev, **arrivals, **tests}

    def overlaps(self) -> Iterator[tuple[str, str]]:
        """Yield pairs of keys whose splits take the same rows."""
        for (first, one), (second, other) in combinations(self.splits.items(), 2):
            same = (one.data, one.split) == (other.data, other.split)
            if same and max(one.part[0], other.part[0]) < min(one.part[1], other.part[1]):
                yield first, second


Corpus = Annotated[
    LexiconCorpus
    | IdiomCorpus
    | HomeAssistantIntentsCorpus
    | HubCorpus
    | CataloguesCorpus
    | FilesCorpus
    | TextToSqlCorpus
    | GeneratedSqlCorpus
    | MtopCorpus,
    Field(discriminator="kind"),
]


class PositionalWordsEncoder(Model):
    """One-hot word per position: the cosine is the share of equal words at equal positions."""

    kind: Literal["positional_words"]


class WordSetEncoder(Model):
    """One-hot set of words: the cosine of two sentences of n different words is the share of words they share."""

    kind: Literal["word_set"]


class SentenceTransformerEncoder(Model):
    """A sentence-transformers model from a package, a local folder or the hub (exactly one)."""

    kind: Literal["sentence_transformer"]
    package: str | None = Field(None, description="key under packages")
    path_in_package: str | None = Field(None, description="the encoder's folder inside it")
    folder: str | None = Field(None, description="a local folder, from where Snakemake runs")
    hub: str | None = Field(None, description="repository of the hub, owner/name")
    revision: str = Field("main", description="of the hub: branch, tag or commit hash")
    licence: str = Field("not stated", description="for the report")
    prefix: str = Field("", description='put before every text where a model asks for it, for instance "query: "')
    until: str | None = Field(
        None, min_length=1, description="only what stands before this is compared, as a question before its schema"
    )
    batch_size: int = Field(32, ge=1, description="texts per forward pass")
    device: Literal["cpu", "cuda"] = Field("cpu", description="vectors differ slightly between devices")
    dtype: Literal["float32", "bfloat16", "float16"] = Field(
        "float32", description="of the weights, however they are stored; with others vectors depend on the batch"
    )


class BM25Encoder(Model):
    """BM25, divided by the target's score for itself [ours]. Words are what stands between blanks, case folded; in
    scripts without blanks (Chinese, Japanese, Thai, Khmer, …) each pair of letters that follow each other.

    Frequencies of words and the mean length come from the training split; not symmetric: the query is the target.
    """

    kind: Literal["bm25"]
    k1: float = Field(1.5, ge=0, description="how soon repeating a word stops to count")
    b: float = Field(0.75, ge=0, le=1, description="how much the length of a text counts against it")


Encoder = Annotated[
    PositionalWordsEncoder | WordSetEncoder | SentenceTransformerEncoder | BM25Encoder, Field(discriminator="kind")
]
