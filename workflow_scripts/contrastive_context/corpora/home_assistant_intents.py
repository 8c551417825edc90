"""Task "intents": a spoken command and its parse, expanded from Home Assistant's grammars of one language.

Origin: the package home-assistant-intents of the Home Assistant authors (https://github.com/OHF-Voice/intents),
Apache-2.0. The utterances are not recordings of what people said: they are random expansions of hand-written sentence
templates. The names of devices, rooms, lists, songs and so on are ours (:mod:`.households`): the grammars leave them to
each household. Intents and the names of slots are English in every language.

A target is the intent with its slots in alphabetical order, ``HassTurnOn(area='kitchen', name='desk lamp')``. Slots
that the template fixes (``domain='light'``) are in it too. A cluster is one template, for instance
``HassTurnOn/name_area/2/0``. Whole templates are held out: train and dev expand some, arrivals and test the others. So
the weights can know the intents and slots of a test command, and an arrival can show its very wording. Templates
without any slot are left out, since all their expansions have one target.
"""

import dataclasses
import json
import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from contrastive_context.config.sources import HomeAssistantIntentsCorpus
from contrastive_context.core.errors import UserError
from contrastive_context.core.json_types import JsonDict
from contrastive_context.corpora import grammar
from contrastive_context.corpora.households import households
from contrastive_context.corpora.rows import RAW_COLUMNS, meta_text
from contrastive_context.downloads.packages import open_wheel, read_member
from contrastive_context.text.normalising import normalise

if TYPE_CHECKING:
    import pandas as pd

MIN_WORDS, MAX_WORDS = 3, 25
"""Bounds of an utterance's length in words."""

_TRIES = 8  # draws per wanted expansion of a template before it counts as exhausted
_MAX_PER_TEMPLATE = 64


@dataclasses.dataclass(frozen=True)
class Template:
    """One sentence template: its id, intent, fixed slots, the domains that a name must come from, and its tree."""

    id: str
    intent: str
    combination: str
    fixed: dict[str, str]
    domains: tuple[str, ...]
    text: str
    tree: grammar.Node


@dataclasses.dataclass(frozen=True)
class Row:
    """One expansion of a template."""

    source: str
    target: str
    template: Template


def build(settings: HomeAssistantIntentsCorpus, record: Path) -> "dict[str, pd.DataFrame]":
    """Expand the grammars of one language into raw rows.

    Within a split the rows are shared out over intents in proportion to the square root of their number of templates,
    and over the templates of an intent evenly, so that none dominates. Utterances are distinct over all splits.

    Args:
        settings: language, seed and the number of rows per split.
        record: the package's record.

    Returns:
        Frames ``train``, ``dev``, ``arrivals`` and ``test.in_domain`` with the raw columns; fewer rows than asked for
        where the templates are exhausted.

    Raises:
        UserError: the package has no such language, or its format is not the expected one.
    """
    data = _load(record, settings.language)
    try:
        return _expand(data, settings)
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError, RecursionError) as error:
        raise UserError(
            f"home-assistant-intents, {settings.language}: not of the expected form ({type(error).__name__}: {error}); "
            "use the pinned version"
        ) from error


def _expand(data: JsonDict, settings: HomeAssistantIntentsCorpus) -> "dict[str, pd.DataFrame]":
    import pandas as pd

    expander = _Expander(data, settings)
    held_out, training = _split(
        expander.templates, settings.arrivals + settings.test, settings.train + settings.dev, settings.seed
    )
    development, training = _split(training, settings.dev, settings.train, settings.seed + 1)
    share = settings.test / (settings.arrivals + settings.test)
    splits: dict[str, Iterator[Row]] = {
        "test.in_domain": expander.rows(held_out, "test", share),
        "arrivals": expander.rows(held_out, "arrivals", share),
        "dev": expander.rows(development, "all"),
        "train": expander.rows(training, "all"),
    }
    sizes = {
        "test.in_domain": settings.test,
        "arrivals": settings.arrivals,
        "dev": settings.dev,
        "train": settings.train,
    }
    seen: set[str] = set()
    frames = {}
    for split, rows in splits.items():
        taken = list(_distinct(rows, sizes[split], seen))
        frames[split] = pd.DataFrame([_as_record(row) for row in taken], columns=list(RAW_COLUMNS))
    return frames


def _load(record: Path, language: str) -> JsonDict:
    if language not in (known := households()):
        raise UserError(
            f"home-assistant-intents: no names of devices and rooms for language {language!r}; there are some for: "
            f"{', '.join(known)}"
        )
    with open_wheel(record) as wheel:
        content = read_member(wheel, f"home_assistant_intents/data/{language}.json")
    try:
        data = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UserError(f"home-assistant-intents, {language}: can't be read as JSON ({error}); get it again") from error
    keys = data if isinstance(data, dict) else {}
    if missing := [key for key in ("intents", "lists", "expansion_rules") if key not in keys]:
        raise UserError(f"home-assistant-intents, {language}: no {missing[0]!r} in it; use the pinned version")
    return data


def _distinct(rows: Iterable[Row], n: int, seen: set[str]) -> Iterator[Row]:
    """Yield up to ``n`` rows whose normalised source is not in ``seen``, and add theirs."""
    if n == 0:
        return
    for row in rows:
        form = normalise(row.source)
        if form not in seen:
            seen.add(form)
            yield row
            n -= 1
            if n == 0:
                return


def _as_record(row: Row) -> tuple[str, ...]:
    template = row.template
    meta = {"intent": template.intent, "slot_combination": template.combination, "template": template.text}
    return (row.source, row.target, template.id, "home_assistant", meta_text(meta))


def _split(templates: list[Template], left: int, right: int, seed: int) -> tuple[list[Template], list[Template]]:
    """Divide templates in the ratio ``left : right`` within each intent; an intent's only one goes to the right."""
    by_intent = defaultdict(list)
    for template in templates:
        by_intent[template.intent].append(template)
    first: list[Template] = []
    second: list[Template] = []
    for intent in sorted(by_intent):
        group = sorted(by_intent[intent], key=lambda template: template.id)
        random.Random(f"{seed}/{intent}").shuffle(group)
        # At least one each where there are two, so that no intent of the test set is unknown to training.
        n = min(max(round(len(group) * left / (left + right)), 1 if left else 0), len(group) - 1)
        first += group[:n]
        second += group[n:]
    return first, second


class _Expander:
    """The templates of one language and the values of their slots."""

    def __init__(self, data: JsonDict, settings: HomeAssistantIntentsCorpus) -> None:
        self.seed = settings.seed
        self.household = households()[settings.language]
        self.lists = data["lists"]
        self.rules = {name: grammar.parse(text) for name, text in data["expansion_rules"].items()}
        self.spoken: dict[str, grammar.Node] = {}  # parsed "in" texts of the lists' values
        self.templates = list(self._templates(data["intents"]))

    def _templates(self, intents: JsonDict) -> Iterator[Template]:
        for intent, content in sorted(intents.items()):
            numbers: Counter[str] = Counter()
            for block in content["data"]:
                combination = block["metadata"]["slot_combination"]
                number = numbers[combination]
                numbers[combination] += 1
                fixed = {name: str(value) for name, value in block.get("slots", {}).items()}
                domains = block.get("requires_context", {}).get("domain", [])
                for index, text in enumerate(block["sentences"]):
                    tree = grammar.parse(text)
                    if grammar.slots_of(tree, self.rules):
                        cluster = f"{intent}/{combination}/{number}/{index}"
                        known = tuple(domain for domain in domains if domain in self.household.names)
                        yield Template(cluster, intent, combination, fixed, known, text, tree)

    def rows(self, templates: list[Template], part: str, share: float = 0.0) -> Iterator[Row]:
        """Yield rows of all templates in weighted turns.

        Args:
            templates: what to expand.
            part: ``test`` or ``arrivals`` (complementary parts of each template's expansions), or ``all``.
            share: the share of the expansions that ``test`` gets.
        """
        sizes = Counter(template.intent for template in templates)
        queue = []
        for template in templates:
            turn = random.Random(f"{self.seed}/{template.id}/turn").random()
            for index, row in enumerate(self.expansions(template, part, share)):
                # Round i of an intent with n templates comes at time (i + u)·sqrt(n): its rows are then ∝ sqrt(n).
                queue.append(((index + turn) * math.sqrt(sizes[template.intent]), template.id, index, row))
        queue.sort(key=lambda entry: entry[:3])
        return (row for *_, row in queue)

    def expansions(self, template: Template, part: str, share: float) -> list[Row]:
        """Return the distinct expansions of one template that belong to a part, in the order drawn."""
        rng = random.Random(f"{self.seed}/{template.id}")
        found: dict[str, Row] = {}
        for _ in range(_TRIES * _MAX_PER_TEMPLATE):
            if len(found) == _MAX_PER_TEMPLATE:
                break
            source, slots = grammar.expand(
                template.tree, self.rules, lambda name, rng: self.value(name, template.domains, rng), rng
            )
            if MIN_WORDS <= len(source.split()) <= MAX_WORDS:
                found.setdefault(source, Row(source, _target(template.intent, slots | template.fixed), template))
        rows = list(found.values())
        if part == "all":
            return rows
        # Row i goes to the test set when i·share passes an integer: evenly spread, whatever the number of rows.
        is_test = [math.floor((index + 1) * share) > math.floor(index * share) for index in range(len(rows))]
        return [row for row, test in zip(rows, is_test, strict=True) if test == (part == "test")]

    def value(self, name: str, domains: tuple[str, ...], rng: random.Random) -> tuple[str, str]:
        """Draw what is said for a list, and the value of its slot."""
        if name == "area":
            said = rng.choice(self.household.areas)
        elif name == "floor":
            said = rng.choice(self.household.floors)
        elif name == "name":
            said = rng.choice(self.household.names[rng.choice(domains or sorted(self.household.names))])
        elif name in self.household.words:
            said = rng.choice(self.household.words[name])
        else:
            return self._listed(name, rng)
        return said, said

    def _listed(self, name: str, rng: random.Random) -> tuple[str, str]:
        content = self.lists.get(name, {})
        if "range" in content:
            bounds = content["range"]
            number = rng.randrange(bounds["from"], bounds["to"] + 1, bounds.get("step", 1))
            return str(number), str(number * bounds.get("multiplier", 1))
        if "values" not in content:
            raise UserError(f"home-assistant-intents: no values for the list {name!r}; use the pinned version")
        entry = rng.choice(content["values"])
        said, value = (entry["in"], entry["out"]) if isinstance(entry, dict) else (entry, None)
        if said not in self.spoken:
            self.spoken[said] = grammar.parse(said)
        text, _ = grammar.expand(self.spoken[said], self.rules, self._no_slot, rng)
        return text, text if value is None else str(value)

    @staticmethod
    def _no_slot(name: str, rng: random.Random) -> tuple[str, str]:
        raise UserError(f"home-assistant-intents: a list value refers to the list {name!r}; use the pinned version")


def _target(intent: str, slots: dict[str, str]) -> str:
    quoted = (f"{name}='{value}'" for name, value in sorted(slots.items()))
    return f"{intent}({', '.join(quoted)})"
