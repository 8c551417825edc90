"""Rule-based rewordings of English commands, questions and sentences: same meaning, other words; needs nothing else."""

import random
import re
from collections.abc import Iterable

from contrastive_context.paraphrasing import kept

_MAX_SWAPS = 2
_FRAME_PROBABILITY = 0.7
_NUMBER = re.compile(r"\d+")
_ARTICLE = re.compile(r"\b(?:the|a|an|my|our) (?=\w)", re.IGNORECASE)
_QUESTION = re.compile(
    r"(?:what|what's|whats|who|who's|whose|where|where's|wheres|when|why|how|how's|hows|which|is|are|was|were|do|does|did|"
    r"can|could|will|would|has|have|any)\b",
    re.IGNORECASE,
)
_COMMAND = re.compile(
    r"(?:activate|add|adjust|announce|book|bring|broadcast|buy|call|cancel|change|check|clean|close|complete|continue|"
    r"count|create|deactivate|decrease|delete|display|dock|find|get|give|go|illuminate|increase|light|lift|list|lock|"
    r"lower|make|mow|mute|name|open|order|pause|play|press|push|put|raise|remove|replay|resume|return|run|send|set|show|"
    r"shut|skip|start|stop|switch|take|tell|transition|translate|turn|unlock|unmute|unpause|vacuum|write)\b",
    re.IGNORECASE,
)
_COMMAND_FRAMES = (
    ("please {}", "could you {}", "can you {}", "would you {} please", "{} please", "{} for me", "I want you to {}",
     "I need you to {}", "go ahead and {}", "hey, {}", "{}, thanks", "kindly {}")
)  # fmt: skip
_QUESTION_FRAMES = ("hey, {}", "quick question: {}", "I wonder, {}", "{} please", "okay, {}", "say, {}")

# Groups of interchangeable phrases: any member may replace any other, so each must be safe in both directions.
_SYNONYMS: tuple[tuple[str, ...], ...] = (
    ("turn on", "switch on"), ("turn off", "switch off"), ("close", "shut"), ("decrease", "reduce"),
    ("unpause", "resume"), ("delete", "remove"), ("press", "push"), ("announce", "broadcast"),
    ("illuminate", "light up"), ("replay", "play again"), ("named", "called"),
    ("minute timer", "minutes timer"), ("hour timer", "hours timer"), ("second timer", "seconds timer"),
    ("set the timer", "start the timer"), ("set a timer", "start a timer"), ("create a timer", "set a timer"),
    ("status of", "state of"), ("how much time is left", "how long is left"), ("temperature", "temp"),
    ("anyone", "anybody"), ("someone", "somebody"), ("everyone", "everybody"), ("percent", "%"),
    ("what is", "what's"), ("where is", "where's"), ("who is", "who's"), ("how is", "how's"), ("it is", "it's"),
    ("that is", "that's"), ("there is", "there's"), ("I am", "I'm"), ("you are", "you're"), ("we are", "we're"),
    ("they are", "they're"), ("do not", "don't"), ("does not", "doesn't"), ("did not", "didn't"), ("is not", "isn't"),
    ("are not", "aren't"), ("cannot", "can't"), ("will not", "won't"), ("would not", "wouldn't"),
    ("big", "large"), ("begin", "start"), ("purchase", "buy"), ("color", "colour"),
)  # fmt: skip

# Replacements that are safe in one direction only ("raise the blinds" is not "increase the blinds").
_ONE_WAY: tuple[tuple[str, str], ...] = (
    ("increase", "raise"), ("unlock", "release the lock of"), ("activate", "enable"), ("deactivate", "disable"),
    ("vacuum", "hoover"), ("whats", "what is"), ("hows", "how is"), ("wheres", "where is"), ("my", "the"),
    ("every single", "each"), ("the current", "the present"),
)  # fmt: skip


def _phrase(text: str) -> re.Pattern[str]:
    left = r"\b" if text[0].isalnum() else r"(?<=\d)"
    right = r"\b" if text[-1].isalnum() else ""
    return re.compile(left + re.escape(text) + right, re.IGNORECASE)


_SWAPS = [
    (_phrase(phrase), tuple(other for other in group if other != phrase)) for group in _SYNONYMS for phrase in group
] + [(_phrase(phrase), (other,)) for phrase, other in _ONE_WAY]


def reword(source: str, target: str, key: str) -> str:
    """Return another wording of an English command, question or sentence.

    One or two phrases are swapped for synonyms (or an article is dropped), and a command or question may be wrapped in
    a polite frame. Numbers and what the target takes from the source (``name='desk lamp'``, words in a tree's slots)
    stay as they are, so that the target holds for the new wording too.

    Args:
        source: the text.
        target: its target, which says what must not change.
        key: chooses among the possible rewordings; the same key gives the same one.

    Returns:
        The new text, or ``source`` where no rule applies.
    """
    rng = random.Random(key)
    fixed = [*(match.span() for match in _NUMBER.finditer(source)), *kept.spans(source, target)]
    edits = [
        (match.span(), rng.choice(others))
        for pattern, others in _SWAPS
        for match in pattern.finditer(source)
        if _is_free(match.span(), fixed)
    ]
    edits += [(match.span(), "") for match in _ARTICLE.finditer(source) if _is_free(match.span(), fixed)]
    rng.shuffle(edits)
    swaps = rng.randint(1, _MAX_SWAPS)
    chosen: list[tuple[tuple[int, int], str]] = []
    for span, replacement in edits:
        if len(chosen) < swaps and _is_free(span, [other for other, _ in chosen]):
            chosen.append((span, replacement))
    text = source
    for (start, end), replacement in sorted(chosen, reverse=True):
        if replacement and source[start].isupper():
            replacement = replacement[0].upper() + replacement[1:]
        glue = " " if replacement[:1].isalpha() and source[start - 1 : start].isdigit() else ""
        text = text[:start] + glue + replacement + text[end:]
    frames = _COMMAND_FRAMES if _COMMAND.match(source) else _QUESTION_FRAMES if _QUESTION.match(source) else ()
    if frames and (text == source or rng.random() < _FRAME_PROBABILITY):
        text = rng.choice(frames).format(text)
    return re.sub(r"\s+", " ", text).strip()


def _is_free(span: tuple[int, int], taken: Iterable[tuple[int, int]]) -> bool:
    return all(span[1] <= start or end <= span[0] for start, end in taken)
