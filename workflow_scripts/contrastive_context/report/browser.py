"""The report's example browser: a sample of evaluation prompts, as data and script for the page."""

import base64
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from contrastive_context.core.columnar import read_columns
from contrastive_context.core.json_types import JsonDict
from contrastive_context.core.randomness import id_bits, ranking, stream

#: Prompts in the page at most; the files named beside it hold all.
LIMIT = 2000
_LONGEST = 4000  # characters of one text in the page
_SCRIPT = Path(__file__).with_name("browser.js")


class Browser(NamedTuple):
    """What the page embeds.

    Attributes:
        data: JSON for a data block: nothing in it can end the block or open a tag.
        script: the script that shows it.
        script_hash: the script's hash for the content security policy.
        shown: prompts in the page.
        total: prompts in the files.
    """

    data: str
    script: str
    script_hash: str
    shown: int
    total: int


def browser(files: Sequence[Path], titles: dict[str, dict[str, str]], seed: int = 0) -> Browser:
    """Sample the prompts of a run.

    Args:
        files: ``examples/<task>/<model>.parquet``.
        titles: ``tasks``, ``models`` and ``strategies``: name → title.
        seed: of the sample.

    Returns:
        The same share of every file, the same targets for all models of a task: targets are taken in an order that
        depends on the seed and their ids alone, with all their buckets and compositions.
    """
    share = LIMIT // max(1, len(files))
    prompts: list[JsonDict] = []
    total = 0
    for path in files:
        targets = read_columns(path, ["target_id"])["target_id"]
        total += len(targets)
        names, inverse = np.unique(np.array(targets.to_pylist()), return_inverse=True)
        order = ranking(stream("examples", seed), id_bits(names.tolist()))
        rank = np.empty(len(names), dtype=np.int64)
        rank[order] = np.arange(len(names))
        # Whole targets, so that buckets can be compared; the last one may be cut.
        rows = np.sort(np.argsort(rank[inverse], kind="stable")[:share])
        prompts += read_columns(path, _COLUMNS).take(rows).to_pylist()
    script = _SCRIPT.read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    data = json.dumps({"titles": titles, "prompts": [_short(prompt) for prompt in prompts]}, ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        data = data.replace(character, f"\\u{ord(character):04x}")
    return Browser(data, script, f"sha256-{digest}", len(prompts), total)


_COLUMNS = [
    "task", "model", "metric", "test_set", "series", "composition", "bucket", "target_id", "source", "gold", "context",
    "answers",
]  # fmt: skip


def _short(value: object) -> object:
    if isinstance(value, str):
        return value if len(value) <= _LONGEST else f"{value[:_LONGEST]}… ({len(value) - _LONGEST} more characters)"
    if isinstance(value, list):
        return [_short(item) for item in value]
    if isinstance(value, dict):
        return {key: _short(item) for key, item in value.items()}
    return round(value, 4) if isinstance(value, float) else value
