"""Corpora of text: catalogues of translated software, and a user's own files; how they are cleaned and divided."""

from pathlib import PurePath
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from contrastive_context.config.base import Model, Seed

_SUFFIXES = {
    ".tsv": "tsv", ".tab": "tsv", ".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet",
}  # fmt: skip


def _as_list(value: object) -> Any:
    return [value] if isinstance(value, str) else value


Names = Annotated[list[str], BeforeValidator(_as_list)]
"""One string, or several."""


class Cleaning(Model):
    """Which pairs are dropped as unfit for translation; each rule counts what it drops. ``null`` or ``false``: off."""

    source_script: str | None = Field(None, description="Unicode script of the source's letters, for instance Latin")
    target_script: str | None = Field(None, description="of the target's: Latin, Devanagari, Tamil, Cyrillic, Han, …")
    min_script_share: float = Field(0.5, gt=0, le=1, description="letters in the script, of all letters")
    max_length_ratio: float | None = Field(
        3.0, ge=1, description="characters of the longer side by the shorter one's; from alphabets to Chinese more"
    )
    min_words: int = Field(1, ge=1, description="of the source; letters, where its script has no blanks")
    max_characters: int | None = Field(1000, ge=1, description="of either side")
    markup: bool = Field(
        True, description="drop pairs with tags, entities, web addresses, links, and Markdown emphasis or `code`"
    )
    placeholders: bool = Field(
        True,
        description="drop pairs with variables: {name}, %s, $name, ${NAME}, |name|, ICU plurals, and $1 without "
        "decimals or a unit of money behind it, as such texts count from there; other money stays",
    )
    untranslated: bool = Field(True, description="drop pairs whose sides are the same text")

    @field_validator("source_script", "target_script")
    @classmethod
    def _known_script(cls, script: str | None) -> str | None:
        if script is not None:
            import regex

            try:
                regex.compile(rf"\p{{Script={script}}}")
            except regex.error:
                raise ValueError("not a script of the Unicode standard; use its English name, as Devanagari") from None
        return script


class Shares(Model):
    """How a text is divided where no splits are given: shares of its rows in whole clusters, drawn with the seed.

    Clusters are never divided between training and test time. Arrivals and test targets come from the same clusters,
    whose rows are divided in the ratio of the two shares: so an arrival can be a relevant example. The rest trains.
    """

    dev: float = Field(0.05, ge=0, lt=1, description="share for tuning by hand")
    arrivals: float = Field(0.25, gt=0, lt=1, description="share of the new examples of test time")
    test: float = Field(0.1, gt=0, lt=1, description="share of test targets")

    @model_validator(mode="after")
    def _something_is_left_to_train(self) -> Self:
        if self.dev + self.arrivals + self.test >= 1:
            raise ValueError("dev, arrivals and test together must stay below 1: the rest is for training")
        return self


class WrittenCorpus(Model):
    """What corpora share whose text people have written."""

    unicode_form: Literal["NFC", "NFKC"] | None = Field(
        "NFC",
        description="what sources and targets are brought to, as many tokenizers do by themselves: such a model could "
        "write no other form. NFKC replaces full-width letters, ligatures and the like too; null: left as they are",
    )


class _TextCorpus(WrittenCorpus):
    """What corpora of text share that are divided here."""

    seed: Seed = 0
    shares: Shares = Shares()
    limits: dict[str, Annotated[int, Field(ge=1)]] = Field(
        {}, description="train, dev, arrivals or a test set → at most so many rows, drawn with the seed, after cleaning"
    )
    max_rejected: float = Field(0.01, ge=0, le=1, description="share of malformed rows above which the stage fails")

    @model_validator(mode="after")
    def _limits_are_of_splits(self) -> Self:
        known = ["train", "dev", "arrivals", *self.test_sets]
        if unknown := [name for name in self.limits if name not in known]:
            raise ValueError(f"limits.{unknown[0]}: no such split; there is: {', '.join(known)}")
        return self

    @property
    def test_sets(self) -> list[str]:
        """Names of the test sets that the corpus has."""
        return ["in_domain"]


class HomeAssistantCatalogue(Model):
    """Home Assistant's user interface, from the wheel ``homeassistant``. Cluster: the integration."""

    format: Literal["home_assistant"]
    package: str = Field(description="key under packages")


class ChromiumCatalogue(Model):
    """Chromium's user interface, from Debian's package ``chromium-l10n``. Cluster: first words of a string's name."""

    format: Literal["chromium"]
    package: str = Field(description="key under packages")


class GettextCatalogue(Model):
    """Compiled gettext catalogues (``<language>/LC_MESSAGES/*.mo``) in Debian packages. Cluster: the message itself."""

    format: Literal["gettext"]
    package: Names = Field(min_length=1, description="one package, or several")


Catalogue = Annotated[
    HomeAssistantCatalogue | ChromiumCatalogue | GettextCatalogue,
    Field(discriminator="format"),
]


class CataloguesCorpus(_TextCorpus):
    """English strings of software and their translations, from its message catalogues."""

    kind: Literal["catalogues"]
    language: str = Field(pattern=r"^[A-Za-z]{2,3}([_-][A-Za-z0-9]+)*$", description="as the catalogues call it: de")
    in_domain: Catalogue = Field(description="trained on, and the test set in_domain")
    out_of_domain: Catalogue | None = Field(None, description="gives the test set out_of_domain and its arrivals")
    cleaning: Cleaning = Cleaning()

    @property
    def test_sets(self) -> list[str]:
        """Names of the test sets that the corpus has."""
        return ["in_domain", "out_of_domain"] if self.out_of_domain else ["in_domain"]

    @property
    def catalogues(self) -> dict[str, Catalogue]:
        """Catalogues by domain."""
        both = {"in": self.in_domain, "out": self.out_of_domain}
        return {domain: entry for domain, entry in both.items() if entry is not None}

    @property
    def packages(self) -> list[str]:
        """Packages that the corpus is read from."""
        return [name for entry in self.catalogues.values() for name in _as_list(entry.package)]


class Columns(Model):
    """Names of columns; dots for nested ones (JSON Lines, Parquet)."""

    source: str = Field("source", description="column of the source")
    target: str = Field("target", description="column of the target")
    id: str | None = Field(None, description="kept with the row; a row's own id stays the hash of its text")
    cluster: str | None = Field(None, description="what belongs together (document, template); absent: each row alone")
    domain: str | None = Field(None, description="shown to nobody, kept in the corpus")


class FilesCorpus(_TextCorpus):
    """Your own pairs from TSV, CSV, JSON Lines or Parquet files (UTF-8), by column names.

    Either ``files``, which are divided by ``shares``, or ``train``, ``arrivals``, ``test`` and possibly ``dev``. CSV
    has quotes as spreadsheets write them; whether TSV has them is recognised.
    """

    kind: Literal["files"]
    files: Names = Field([], description="paths, from where Snakemake runs; they are divided by shares")
    train: Names = Field([], description="paths, instead of files")
    dev: Names = Field([], description="paths, for tuning by hand")
    arrivals: Names = Field([], description="the new examples of test time: never trained on, never a target")
    test: dict[str, Names] = Field({}, description="test set → paths")
    format: Literal["tsv", "csv", "jsonl", "parquet"] | None = Field(None, description="absent: by the file's suffix")
    columns: Columns = Columns()
    header: list[str] | None = Field(None, description="column names of TSV or CSV files without a first line of names")
    quoted: bool | None = Field(
        None,
        description="of TSV: whether quotes around a field are no part of its text, as in files of pandas and "
        "spreadsheets; absent: recognised, and refused where it can't be told",
    )
    max_line_bytes: int = Field(100_000, ge=1, description="a longer line (Parquet: text) is malformed")
    cleaning: Cleaning | None = Field(None, description="absent: nothing is dropped for its content; {}: the defaults")
    licence: str = Field("not stated", description="for the report")
    origin: str = Field("own files", description="for the report")

    @property
    def test_sets(self) -> list[str]:
        """Names of the test sets that the corpus has."""
        return list(self.test) or ["in_domain"]

    @property
    def paths_by_split(self) -> dict[str, list[str]]:
        """Paths by split; the key of files to be divided is empty."""
        named = {"train": self.train, "dev": self.dev, "arrivals": self.arrivals}
        named |= {f"test.{name}": paths for name, paths in self.test.items()}
        return {"": self.files} if self.files else named

    @property
    def paths(self) -> list[str]:
        """All files."""
        return [path for paths in self.paths_by_split.values() for path in paths]

    def format_of(self, path: str) -> str | None:
        """Return the format of one file."""
        return self.format or _SUFFIXES.get(PurePath(path).suffix.lower())

    @model_validator(mode="after")
    def _files_or_splits(self) -> Self:
        splits = {"train": self.train, "dev": self.dev, "arrivals": self.arrivals, "test": self.test}
        named = [name for name, paths in splits.items() if paths]
        if self.files and named:
            raise ValueError(f"files: these are divided by shares; with {named[0]} given, list them there instead")
        if not self.files and (missing := [name for name in ("train", "arrivals", "test") if name not in named]):
            raise ValueError(f"give files, or train, arrivals and test ({missing[0]} is missing)")
        if unknown := [path for path in self.paths if self.format_of(path) is None]:
            raise ValueError(
                f"{unknown[0]}: can't tell its format by its name; give format: tsv, csv, jsonl or parquet"
            )
        return self
