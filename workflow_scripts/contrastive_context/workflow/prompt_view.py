"""A prompt as a model reads it, by segments: text, tokens and ids. For people who write templates."""

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import chain
from pathlib import Path
from typing import NamedTuple, cast

import pandas as pd

from contrastive_context.config.messages import suggest
from contrastive_context.config.study import Study
from contrastive_context.core import artifacts
from contrastive_context.core.errors import UserError
from contrastive_context.prompting.prompts import PromptEncoder, Segment

_PAIR = ("id", "source", "target")
_MAX_SHOWN = 5  # places at which running text would be read otherwise


class Chosen(NamedTuple):
    """What a prompt is made of: examples (source, target), their similarities, and the target's id, source, target."""

    examples: list[tuple[str, str]]
    similarities: list[float]
    target: tuple[str, str, str]


def view(study: Study, task: str, model: str, target: str | None = None, results: Path = Path("results")) -> str:
    """Show one prompt of a run under the configuration's present template, whatever the run was made with.

    Args:
        study: the configuration.
        task: key under ``tasks``.
        model: key under ``models``.
        target: beginning of a target's id; absent: a target with a similar example, if contexts are frozen.
        results: folder of the runs.

    Raises:
        UserError: a name is unknown, or the run has no corpus or no model yet.
    """
    for registry, name in (("tasks", task), ("models", model)):
        known = getattr(study, registry)
        if name not in known:
            raise UserError(f"{registry}: no {name!r}{suggest(name, known)}; there is: {', '.join(known)}")
    from transformers import AutoConfig

    from contrastive_context.models.language_models import load_tokenizer

    run = results / study.run
    record, test = run / f"models/{model}.json", run / f"corpus/{task}/test.parquet"
    if missing := [str(path) for path in (record, test) if not path.is_file()]:
        raise UserError(f"the run has no {' and no '.join(missing)} yet; make that with snakemake and the same options")
    folder = record.with_suffix("")
    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    encoder = PromptEncoder(load_tokenizer(folder), study.tasks[task].template, config, task)
    return "\n".join(chain([f"{task}, {model}"], lines(encoder, choose(run, task, study.tasks[task].k, target))))


def choose(run: Path, task: str, k: int, target: str | None) -> Chosen:
    """Choose a target and its examples: those of its frozen context with the most similar one, else any k arrivals.

    Raises:
        UserError: no target's id begins so.
    """
    test, arrivals = (
        artifacts.read_parquet(run / f"corpus/{task}/{split}.parquet", _PAIR)[list(_PAIR)].set_index("id")
        for split in ("test", "arrivals")
    )
    wanted = test[test.index.str.startswith(target or "")]
    if wanted.empty:
        raise UserError(f"no target of {task} has an id that begins with {target!r}")
    frozen = run / f"contexts/{task}/eval.parquet"
    if frozen.is_file():
        columns = ("target_id", "example_ids", "similarities", "max_similarity")
        contexts = artifacts.read_parquet(frozen, columns)
        real = contexts["example_ids"].map(lambda ids: len(ids) > 0 and set(ids) <= set(arrivals.index))
        contexts = contexts[contexts["target_id"].isin(wanted.index) & real]
        if not contexts.empty:
            row = contexts.loc[cast("int", contexts["max_similarity"].idxmax()), :]
            pair = _one(wanted, str(row["target_id"]))
            return Chosen(_pairs(arrivals.loc[row["example_ids"]]), list(row["similarities"]), pair)
    some = _pairs(arrivals.head(k))
    return Chosen(some, [0.0] * len(some), _one(wanted, str(wanted.index[0])))


def _pairs(frame: pd.DataFrame) -> list[tuple[str, str]]:
    return list(frame[["source", "target"]].itertuples(index=False, name=None))


def _one(frame: pd.DataFrame, name: str) -> tuple[str, str, str]:
    return name, str(frame.at[name, "source"]), str(frame.at[name, "target"])


def lines(encoder: PromptEncoder, chosen: Chosen) -> Iterator[str]:
    """Yield the prompt with its answer, line by line."""
    name, source, target = chosen.target
    prompt, dropped = encoder.segments(chosen.examples, source, similarities=chosen.similarities, name=name)
    completion = encoder.completion(target, name)
    answer = [Segment("target", completion[: -len(encoder.stop_ids)]), Segment("stop", encoder.stop_ids)]
    shown = len(chosen.examples) - dropped
    count, template = sum(len(segment.ids) for segment in prompt), encoder.template
    yield (
        f"target {name}: {count} tokens of at most {template.max_prompt_tokens}, {shown} examples"
        + (f" ({dropped} more have no room)" if dropped else "")
        + f"; its answer {len(completion)} of at most {template.max_new_tokens}"
    )
    whole = [*prompt, *answer]
    yield f"\n{_text(encoder, [token for segment in whole for token in segment.ids.tolist()])}\n"
    for part in (prompt, answer):
        yield "the answer:" if part is answer else "the prompt:"
        for segment in part:
            if len(segment.ids):
                tokens = encoder.tokenizer.convert_ids_to_tokens(segment.ids.tolist())
                yield f"  {segment.key:14} {' '.join(tokens)}"
                yield f"  {'':14} {' '.join(map(str, segment.ids.tolist()))}"
    yield from differences(encoder, whole)


def differences(encoder: PromptEncoder, segments: Sequence[Segment]) -> Iterator[str]:
    """Yield where the tokenizer would read the same text otherwise if it weren't divided into segments."""
    own = [segment for segment in segments if segment.key != "front"]
    ids = [token for segment in own for token in segment.ids.tolist()]
    keys = [segment.key for segment in own for _ in segment.ids]
    natural = encoder.tokenizer(_text(encoder, ids), add_special_tokens=False)["input_ids"]
    tokens = encoder.tokenizer.convert_ids_to_tokens
    found = []
    for kind, start, end, first, last in SequenceMatcher(a=ids, b=natural, autojunk=False).get_opcodes():
        here = list(dict.fromkeys(keys[max(0, start - (start == end)) : end + (start == end)]))
        if kind != "equal" and here != ["target", "stop"]:  # where an answer ends there is always an end of a token
            ours, theirs = (" ".join(tokens(some)) for some in (ids[start:end], natural[first:last]))
            found.append(f"  {' | '.join(here)}: {ours} → {theirs}")
    if not found:
        yield "\nThe tokenizer reads the undivided text alike."
        return
    yield (
        "\nThe tokenizer would read the undivided text otherwise (segments: their tokens → the text's); what it joins "
        "belongs to one segment: blanks and line breaks to source_start, source_end or target_start."
    )
    yield from found[:_MAX_SHOWN]
    if len(found) > _MAX_SHOWN:
        yield f"  … and {len(found) - _MAX_SHOWN} more"


def _text(encoder: PromptEncoder, ids: list[int]) -> str:
    return cast("str", encoder.tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False))
