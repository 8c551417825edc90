"""Task "generated SQL": small databases and questions on them, both from a grammar of ours.

A database has a theme: a main table of things (name, a category, two numbers) and a table of the places that they
belong to. Questions are templates filled with values that occur in the database. A cluster is a template in a database.
Every third database is for test time only: its questions are divided between arrivals and test, so that an arrival can
show the very query with another value.
"""

import math
import random
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from contrastive_context.config.sql import SEPARATOR, GeneratedSqlCorpus
from contrastive_context.core.errors import UserError
from contrastive_context.corpora import databases
from contrastive_context.corpora.dividing import uniform
from contrastive_context.corpora.rows import RAW_COLUMNS, meta_text
from contrastive_context.sql.sandbox import Sandbox

if TYPE_CHECKING:
    import pandas as pd

_TEST_SHARE = 0.3
_DEV_SHARE = 0.05


class Theme(NamedTuple):
    """What a database is about; ``categories`` are values, ``numbers`` names of columns."""

    things: str
    category: str
    categories: tuple[str, ...]
    numbers: tuple[str, str]
    places: str


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


THEMES = (
    Theme("books", "genre", _words("crime poetry travel history fantasy"), ("pages", "price"), "libraries"),
    Theme("animals", "species", _words("lion zebra parrot turtle otter"), ("age", "weight"), "zoos"),
    Theme("films", "language", _words("french hindi english tamil german"), ("minutes", "rating"), "cinemas"),
    Theme("players", "position", _words("keeper defender striker winger captain"), ("goals", "salary"), "clubs"),
    Theme("ships", "flag", _words("norway panama malta japan greece"), ("length", "crew"), "harbours"),
    Theme("paintings", "style", _words("baroque cubism realism gothic pop"), ("year", "value"), "museums"),
    Theme("students", "subject", _words("physics music law biology art"), ("age", "credits"), "schools"),
    Theme("cakes", "flavour", _words("lemon cocoa vanilla cherry nut"), ("slices", "price"), "bakeries"),
    Theme("flights", "airline", _words("aurora condor falcon heron swift"), ("distance", "seats"), "airports"),
    Theme("machines", "maker", _words("acme borex cirrus delta evon"), ("power", "hours"), "factories"),
    Theme("rooms", "view", _words("sea garden street mountain lake"), ("beds", "price"), "hotels"),
    Theme("songs", "mood", _words("happy calm sad wild dreamy"), ("seconds", "plays"), "albums"),
)
NAMES = _words(
    "Amber Birch Cedar Dawn Ember Fern Grove Hazel Iris Jade Koral Lark Maple Nova Opal Pearl Quill Raven Sage Topaz "
    "Umber Violet Willow Xenia Yarrow Zephyr Atlas Bruno Cleo Dexter Elio Flora Gustav Helga Igor Juno Kasper Luna "
    "Milo Nero Otto Pablo Rufus Silas Thea Ursa Vera Wanda"
)
CITIES = _words("Oslo Lisbon Chennai Vilnius Toronto Nairobi Quito Kyoto Cork Graz Leeds Turin")

TEMPLATES: dict[str, tuple[str, str]] = {
    "by_category": (
        "Which {things} have the {category} '{c}'?",
        "SELECT name FROM {things} WHERE {category} = '{c}'",
    ),
    "count": (
        "How many {things} with the {category} '{c}' are there?",
        "SELECT COUNT(*) FROM {things} WHERE {category} = '{c}'",
    ),
    "number_of": ("What is the {x} of '{n}'?", "SELECT {x} FROM {things} WHERE name = '{n}'"),
    "more_than": ("List the {things} whose {x} is above {v}.", "SELECT name FROM {things} WHERE {x} > {v}"),
    "average": (
        "What is the average {x} of {things} with the {category} '{c}'?",
        "SELECT AVG({x}) FROM {things} WHERE {category} = '{c}'",
    ),
    "in_city": (
        "Name all {things} of {places} in '{city}'.",
        "SELECT t.name FROM {things} AS t JOIN {places} AS p ON t.place = p.id WHERE p.city = '{city}'",
    ),
    "city_of": (
        "In which city is '{n}'?",
        "SELECT p.city FROM {things} AS t JOIN {places} AS p ON t.place = p.id WHERE t.name = '{n}'",
    ),
    "both": (
        "Which {things} with the {category} '{c}' have a {x} below {v}?",
        "SELECT name FROM {things} WHERE {category} = '{c}' AND {x} < {v}",
    ),
    "extreme": (
        "Which of the {things} with the {category} '{c}' has the highest {x}?",
        "SELECT name FROM {things} WHERE {category} = '{c}' ORDER BY {x} DESC LIMIT 1",
    ),
    "count_city": (
        "How many {things} are in '{city}'?",
        "SELECT COUNT(*) FROM {things} AS t JOIN {places} AS p ON t.place = p.id WHERE p.city = '{city}'",
    ),
}


class Content(NamedTuple):
    """Rows of a database: (id, name, category, two numbers, place), and (id, name, city)."""

    things: list[tuple]
    places: list[tuple]


def build(settings: GeneratedSqlCorpus) -> "dict[str, pd.DataFrame]":
    """Generate databases and questions.

    Returns:
        Frames ``train``, ``dev``, ``arrivals`` and ``test.in_domain`` with the raw columns.

    Raises:
        UserError: a gold query fails under the corpus's limits.
    """
    import tempfile

    import pandas as pd

    rows: dict[str, list[tuple[str, ...]]] = {"train": [], "dev": [], "arrivals": [], "test.in_domain": []}
    with tempfile.TemporaryDirectory() as folder, closing(Sandbox(settings.query_limits)) as sandbox:
        for number, theme in enumerate(_themes(settings)):
            name = theme.places
            path = database_file(settings, name, Path(folder))
            schema = databases.schema_text(databases.read_tables(path), settings.schema_text.characters)
            for template in TEMPLATES:
                for index, (question, query) in enumerate(_questions(settings, theme, template)):
                    outcome = sandbox.run(path, query)
                    if outcome.status != "rows":
                        raise UserError(f"generated_sql: {query!r} fails on {name}: {outcome.message}")
                    split = _split(settings, number, f"{name}/{template}", index)
                    meta = meta_text({"database": name, "tables_left_out": schema.left_out})
                    rows[split].append((f"{question}{SEPARATOR}{schema.text}", query, f"{name}/{template}", "in", meta))
    return {split: pd.DataFrame(values, columns=list(RAW_COLUMNS)) for split, values in rows.items()}


def database_file(settings: GeneratedSqlCorpus, name: str, folder: Path) -> Path:
    """Return a database's file, made in ``folder`` where it isn't there yet."""
    path = folder / f"{name}.sqlite"
    if not path.exists():
        theme = next(theme for theme in THEMES if theme.places == name)
        content = _content(settings, theme)
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(f"CREATE TABLE {theme.places} (id INTEGER PRIMARY KEY, name TEXT, city TEXT)")
            connection.execute(
                f"CREATE TABLE {theme.things} (id INTEGER PRIMARY KEY, name TEXT, {theme.category} TEXT, "
                f"{theme.numbers[0]} INTEGER, {theme.numbers[1]} INTEGER, place INTEGER REFERENCES {theme.places}(id))"
            )
            connection.executemany(f"INSERT INTO {theme.places} VALUES (?, ?, ?)", content.places)
            connection.executemany(f"INSERT INTO {theme.things} VALUES (?, ?, ?, ?, ?, ?)", content.things)
    return path


def _themes(settings: GeneratedSqlCorpus) -> tuple[Theme, ...]:
    return THEMES[: settings.databases]


def _content(settings: GeneratedSqlCorpus, theme: Theme) -> Content:
    rng = random.Random(f"{settings.seed}/{theme.places}")
    cities = rng.sample(CITIES, 6)
    places = [(number, f"{rng.choice(NAMES)} {theme.places}", city) for number, city in enumerate(cities, start=1)]
    names = rng.sample(NAMES, min(settings.rows, len(NAMES)))
    # Distinct numbers, so that the highest one is one thing's.
    numbers = [rng.sample(range(1, 20 * len(names)), len(names)) for _ in theme.numbers]
    things = [
        (number, name, rng.choice(theme.categories), *(column[number - 1] for column in numbers), rng.randint(1, 6))
        for number, name in enumerate(names, start=1)
    ]
    return Content(things, places)


def _questions(settings: GeneratedSqlCorpus, theme: Theme, template: str) -> list[tuple[str, str]]:
    """Return distinct (question, query) pairs of a template, in the order drawn."""
    content = _content(settings, theme)
    rng = random.Random(f"{settings.seed}/{theme.places}/{template}")
    fixed = {"things": theme.things, "category": theme.category, "places": theme.places}
    found: dict[str, str] = {}
    for _ in range(settings.per_template):
        thing, column = rng.choice(content.things), rng.randrange(2)
        values = {
            "c": rng.choice(theme.categories),
            "n": thing[1],
            "x": theme.numbers[column],
            "v": thing[3 + column],
            "city": rng.choice(content.places)[2],
        }
        question, query = (text.format(**fixed, **values) for text in TEMPLATES[template])
        found.setdefault(question, query)
    return list(found.items())


def _split(settings: GeneratedSqlCorpus, number: int, cluster: str, index: int) -> str:
    """Return the split of the question with an index in its cluster; of few questions the first are arrivals."""
    if number % 3 == 2:
        is_test = math.floor((index + 1) * _TEST_SHARE) > math.floor(index * _TEST_SHARE)
        return "test.in_domain" if is_test else "arrivals"
    return "dev" if uniform(f"{settings.seed}/dev/{cluster}") < _DEV_SHARE else "train"
