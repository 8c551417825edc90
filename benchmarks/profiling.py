"""What a round is spent on, by torch's profiler: how far from its bound an implementation is."""

import statistics
from collections.abc import Callable
from typing import Any

import measuring

#: Kinds of work, and what the names of torch's operations begin with; the rest moves memory, or is Python.
KINDS = {
    "matrix products": ("aten::mm", "aten::addmm", "aten::bmm"),
    "attention": ("aten::_scaled_dot_product",),
}


def profiled(next_round: Any, implementation: Callable[..., None], arguments: tuple) -> None:
    """Let an implementation take its rounds under torch's profiler; report the seconds of each by kind of work."""
    from torch.profiler import ProfilerActivity, profile

    running = None

    def paced(_value: Any = None) -> None:
        nonlocal running
        found = None
        if running is not None:
            running.stop()
            events = running.key_averages()
            found = {kind: _spent(events, starts) for kind, starts in KINDS.items()}
        next_round(found)
        running = profile(activities=[ProfilerActivity.CPU])
        running.start()

    implementation(paced, *arguments)


def shares(profile: measuring.Timings, seconds: float) -> dict[str, float]:
    """Return what part of a round each kind of work takes.

    Args:
        profile: rounds of :func:`profiled`.
        seconds: of a round without the profiler, which takes time of its own.
    """
    return {kind: statistics.median(value[kind] for value in profile.values) / seconds for kind in KINDS}


def _spent(events: Any, starts: tuple[str, ...]) -> float:
    """Return the seconds of operations whose names begin so, those that they call left out."""
    return sum(event.self_cpu_time_total for event in events if event.key.startswith(starts)) / 1e6
