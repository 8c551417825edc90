"""Series: the comparisons that an evaluation prompt counts in. Only the first is ever a headline."""

from contrastive_context.core.json_types import JsonMapping

#: Targets that fill every compared bucket, so that buckets are compared on the same targets.
SAME_TARGETS = "same_targets"
#: A random sample of all targets, each in the buckets that it fills.
ALL_TARGETS = "all_targets"
#: Targets without any arrival that is similar enough: a paraphrase of the target stands in for it.
STAND_INS = "stand_ins"
SERIES = (SAME_TARGETS, ALL_TARGETS, STAND_INS)


def series_of(record: JsonMapping) -> list[str]:
    """Return the series of a prompt or a prediction; those without any are of the headline."""
    return list(record.get("series", [SAME_TARGETS]))
