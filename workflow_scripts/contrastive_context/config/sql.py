"""Text-to-SQL: corpora of questions on SQLite databases, and the limits under which queries run."""

from typing import Literal

from pydantic import Field

from contrastive_context.config.base import Model, Seed
from contrastive_context.config.text import Cleaning, Names, Shares

SEPARATOR = " | "
"""Stands between a question and the schema of its database."""
EVIDENCE = " ("
"""Stands between a question and its evidence, if it has any."""


class Limits(Model):
    """Limits of one query, gold or a model's, in the process that runs it."""

    seconds: float = Field(30.0, gt=0, description="wall-clock time of one query; 30 is BIRD's own limit")
    memory_mb: int = Field(1024, ge=16, description="memory that SQLite may take for one query, MiB")
    rows: int = Field(1_000_000, ge=1, description="a query that gives more rows is an error")


class SchemaText(Model):
    """How a database's schema stands in the prompt: ``table(column, …)`` per table, keys of other tables as ``→``."""

    characters: int = Field(
        2000, ge=1, description="of all tables; whole tables beyond it are left out, and rows that lack some counted"
    )


class QuestionColumns(Model):
    """Keys of a question's record; the defaults are BIRD's."""

    question: str = Field("question", description="the question")
    query: str = Field("SQL", description="the gold query; Spider calls it query")
    database: str = Field("db_id", description="the database's id, the name of its folder and of its file")
    evidence: str | None = Field(None, description="external knowledge put behind the question; BIRD calls it evidence")
    id: str | None = Field(None, description="kept with the row, for messages; BIRD calls it question_id")


class Questions(Model):
    """Questions in JSON files and the folder of their databases, ``<folder>/<id>/<id>.sqlite``."""

    files: Names = Field(min_length=1, description="a JSON array of objects, or JSON Lines; one path, or several")
    databases: str = Field(description="folder of the databases")


class _SqlCorpus(Model):
    seed: Seed = 0
    query_limits: Limits = Limits()
    schema_text: SchemaText = SchemaText()

    @property
    def question_ends(self) -> tuple[str, ...]:
        """What a source's question may end before: names behind it are the database's and can't be reworded."""
        return (SEPARATOR,)

    @property
    def test_sets(self) -> list[str]:
        """Names of the test sets that the corpus has."""
        return ["in_domain"]


class TextToSqlCorpus(_SqlCorpus):
    """BIRD, Spider, or other questions in their layout, from local folders. Cluster: the database.

    Databases are never divided between training and test time.
    """

    kind: Literal["text_to_sql"]
    train: Questions
    test: Questions | None = Field(
        None, description="divided between arrivals and test; absent: whole databases of train are held out"
    )
    columns: QuestionColumns = QuestionColumns()
    shares: Shares = Shares()
    cleaning: Cleaning | None = Field(None, description="absent: nothing is dropped for its content")
    max_rejected: float = Field(0.01, ge=0, le=1, description="share of malformed rows above which the stage fails")
    max_line_bytes: int = Field(1_000_000, ge=1, description="a longer record is malformed")
    licence: str = Field("not stated", description="for the report")
    origin: str = Field("own files", description="for the report")

    @property
    def question_ends(self) -> tuple[str, ...]:
        """Evidence names tables and columns too."""
        return (SEPARATOR, EVIDENCE) if self.columns.evidence else (SEPARATOR,)

    @property
    def paths(self) -> list[str]:
        """The files of questions."""
        return [*self.train.files, *(self.test.files if self.test else [])]


class GeneratedSqlCorpus(_SqlCorpus):
    """Small databases and questions on them, both generated [ours]. Cluster: the question's template in a database."""

    kind: Literal["generated_sql"]
    databases: int = Field(12, ge=4, le=12, description="one in three is for test time only")
    rows: int = Field(40, ge=5, le=48, description="rows of a database's main table")
    per_template: int = Field(12, ge=1, description="questions drawn per database and template, before duplicates go")
