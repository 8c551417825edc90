"""Trials: disturb a run, start it again, and look whether what it leaves is what an undisturbed one leaves."""

from collections import Counter
from typing import NamedTuple

RECOVERED, REFUSED, WRONG = "recovered", "refused", "wrong"


class Outcome(NamedTuple):
    """How a trial ended; ``detail`` says what was wrong."""

    fault: str
    verdict: str
    detail: str = ""


class WrongError(Exception):
    """Something was left that is neither what an undisturbed run leaves nor a refusal that helps."""


def require(holds: object, detail: str) -> None:
    """Raise a :class:`WrongError` unless something holds."""
    if not holds:
        raise WrongError(detail)


def summary(title: str, outcomes: list[Outcome]) -> str:
    """Say trials, recovered, refused and wrong, in all and by fault."""

    def counts(some: list[Outcome]) -> str:
        found = Counter(outcome.verdict for outcome in some)
        return "".join(f"{found[verdict]:>11}" for verdict in (RECOVERED, REFUSED, WRONG))

    faults = sorted({outcome.fault for outcome in outcomes})
    lines = [f"{title:<34}{'trials':>8}{'recovered':>11}{'refused':>11}{'wrong':>11}"]
    for fault in faults:
        some = [outcome for outcome in outcomes if outcome.fault == fault]
        lines.append(f"  {fault:<32}{len(some):>8}{counts(some)}")
    lines.append(f"  {'all':<32}{len(outcomes):>8}{counts(outcomes)}")
    return "\n".join(["", *lines, *(f"WRONG: {o.fault}: {o.detail}" for o in outcomes if o.verdict == WRONG)])
