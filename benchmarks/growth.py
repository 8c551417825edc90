"""Time and memory against size, from what the other benchmarks recorded: exponents, and growth.png beside them."""

import json
import math
from pathlib import Path
from typing import Any

import measuring


def exponent(sizes: list[float], values: list[float]) -> float:
    """Return the slope of log(value) over log(size) between the two largest sizes, where fixed costs matter least."""
    return math.log(values[-1] / values[-2]) / math.log(sizes[-1] / sizes[-2])


def plot(curves: dict[str, dict[str, list[float]]], path: Path) -> None:
    """Draw seconds and peak memory of every curve."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter, LogLocator, NullLocator

    columns = min(4, len(curves))
    lines = -(-len(curves) // columns)
    figure = Figure(figsize=(3.4 * columns, 2.8 * lines), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False).flat
    for (name, curve), axis in zip(curves.items(), axes, strict=False):
        size = next(iter(curve))
        axis.plot(curve[size], curve["seconds"], "o-", label="seconds")
        axis.plot(curve[size], [peak / 1024 for peak in curve["peak_mb"]], "s--", label="peak memory, GiB")
        axis.set(xscale="log", yscale="log", xlabel=size)
        axis.set_title(name.partition(" against")[0].rstrip(","), fontsize="medium")
        axis.set_xticks(curve[size], map(EngFormatter(sep=""), curve[size]), rotation=45, fontsize="small")
        low, high = axis.get_ylim()
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 1000 * low else (1,)))
        axis.yaxis.set_major_formatter("{x:g}")
        for side in (axis.xaxis, axis.yaxis):
            side.set_minor_locator(NullLocator())
    for axis in list(axes):
        axis.set_axis_off()
    figure.axes[0].legend(fontsize="small")
    figure.savefig(path, dpi=120)


def main() -> None:
    """Fit, plot and record."""
    parser = measuring.parser(__doc__)
    args = measuring.parse(parser)
    curves: dict[str, dict[str, Any]] = {}
    for file in sorted(args.results.glob("*.json")):
        if file.stem != "growth":
            curves |= json.loads(file.read_text(encoding="utf-8"))["curves"]
    curves = {name: curve for name, curve in curves.items() if len(curve["seconds"]) > 1}
    if not curves:
        measuring.skip("growth", "no other benchmark has recorded a curve; run them first")
    rows = []
    for name, curve in curves.items():
        size = next(iter(curve))
        # Exact search compares all pairs: the reason for the index.
        target = "" if "exact" in name else "≤ 1.15"
        rows.append(measuring.Row(f"exponent of time, {name}", exponent(curve[size], curve["seconds"]), "", target))
        rows.append(measuring.Row(f"exponent of memory, {name}", exponent(curve[size], curve["peak_mb"]), "", "≤ 1.15"))
    plot(curves, args.results / "growth.png")
    measuring.record(args, rows)


if __name__ == "__main__":
    main()
