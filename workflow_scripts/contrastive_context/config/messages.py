"""What pydantic finds wrong with a value, in the words of a person who writes YAML."""

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any

_MAPPING = "must be a mapping, with lines of 'key: value' below it"
_WHOLE = "must be a whole number, without a unit"
_NUMBER = "must be a number, without a unit and with a decimal point"
_SWITCH = "must be true or false"
# Type of pydantic's error → message; names in braces are of the error's context.
_MESSAGES = {
    "dict_type": _MAPPING,
    "model_type": _MAPPING,
    "model_attributes_type": _MAPPING,
    "list_type": "must be a list, as in [a, b]",
    "tuple_type": "must be a list, as in [a, b]",
    "too_short": "must have {min_length} or more entries",
    "too_long": "must have {max_length} entries or fewer",
    "string_type": "must be text",
    "string_too_short": "must not be empty",
    "string_pattern_mismatch": "must match {pattern}",
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_from_float": _WHOLE,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": "must be a finite number",
    "bool_type": _SWITCH,
    "bool_parsing": _SWITCH,
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
    "invalid_key": "keys must be text; put them in quotes",
    "union_tag_not_found": "this key is required; it says which keys can stand beside it",
    "union_tag_invalid": "must be one of {expected_tags}",
    "missing": "this key is required",
}
# What people write for a value of ours.
_SAME = {"gpu": "cuda", "fp32": "float32", "float": "float32", "bf16": "bfloat16"}


def message(*errors: Mapping[str, Any]) -> str:
    """Say what is wrong with one value, what was found, and what may have been meant.

    Args:
        errors: items of pydantic's ``ValidationError.errors()``, several if the value was tried as one of several
            types; their position is told by the caller.
    """
    found, kinds = _found(errors[0]), [error["type"] for error in errors]
    wanted = list(dict.fromkeys(map(_wanted, errors)))
    text = " or ".join([wanted[0], *(other.removeprefix("must be ") for other in wanted[1:])])
    if found is None and kinds[0].endswith("_type"):
        return f"{text} (found nothing)"
    if kinds[0] in ("missing", "union_tag_not_found") or not isinstance(found, (str, int, float, bool)):
        return text
    if kinds == ["string_type"]:
        text += "; put it in quotes"
    return f"{text} (found {str(found).lower() if isinstance(found, bool) else repr(found)})"


def _found(error: Mapping[str, Any]) -> Any:
    found: Any = error.get("input")
    return found[error["ctx"]["discriminator"].strip("'")] if error["type"] == "union_tag_invalid" else found


def _wanted(error: Mapping[str, Any]) -> str:
    context = error.get("ctx", {})
    text = _MESSAGES.get(error["type"], "").format(**context) or error["msg"].removeprefix("Value error, ")
    known = context.get("expected", context.get("expected_tags", ""))
    return text + suggest(str(_found(error)), re.findall(r"'([^']*)'", known))


def suggest(name: str, known: Iterable[str]) -> str:
    """Return "; did you mean …?" if a known name is close to ``name`` or means the same, else nothing."""
    known = list(known)
    close = [_SAME[name.lower()]] if _SAME.get(name.lower()) in known else difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
