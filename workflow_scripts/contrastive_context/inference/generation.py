"""Generation with transformers, in length-sorted batches, and the predictions of a system."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

import numpy as np

from contrastive_context.config.templates import Template
from contrastive_context.contexts.series import series_of
from contrastive_context.core import artifacts, cli
from contrastive_context.core.errors import UserError
from contrastive_context.core.journal import Journal
from contrastive_context.core.json_types import JsonDict
from contrastive_context.core.model_limits import rope_limit
from contrastive_context.models.transformers_internals import cache_by_rows
from contrastive_context.prompting.prompts import Prompt, PromptEncoder

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd
    import torch
    from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

    from contrastive_context.core.frames import FrameRow


class Generation(NamedTuple):
    """Generated ids, the stop's included and EOS not, and what ended them."""

    ids: list[int]
    stop_reason: Literal["stop", "eos", "length"]


def generate(
    model: "PreTrainedModel",
    encoder: PromptEncoder,
    prompts: Sequence[np.ndarray],
    *,
    max_new_tokens: int,
    batch_tokens: int = 8192,
    temperature: float = 0.0,
    seed: int = 0,
    names: Sequence[str] | None = None,
    label: str = "generate",
    on_batch: Callable[[dict[int, Generation]], None] | None = None,
) -> list[Generation]:
    """Continue every prompt, greedily or by sampling, until the template's stop, EOS or ``max_new_tokens``.

    Args:
        model: a causal language model of transformers, on its device; sampling options that it came with are ignored.
        encoder: knows the stop.
        prompts: token ids per prompt.
        max_new_tokens: tokens generated at most.
        batch_tokens: padded tokens per batch, the generated ones included.
        temperature: of the distribution that tokens are drawn from, 0 for greedy decoding.
        seed: of the draws, which also depend on the batches and on which of their rows have ended.
        names: what the prompts are called in messages; their number if absent.
        label: shown beside the progress bar.
        on_batch: called with the results of each batch, by the prompts' indices.

    Returns:
        One result per prompt, in the given order.

    Raises:
        UserError: the model's logits aren't finite.
    """
    import torch
    from transformers import GenerationConfig

    from contrastive_context.prompting.batches import length_batches

    eos = _eos_ids(model, encoder.tokenizer)
    names = names if names is not None else [f"number {place}" for place in range(len(prompts))]
    lengths = [len(prompt) + max_new_tokens for prompt in prompts]
    results: dict[int, Generation] = {}
    model.eval()
    # generate() fills what is unset in a given config from the model's own, which may ask for penalties or sampling.
    own_config, model.generation_config = model.generation_config, GenerationConfig()
    try:
        with seeded(seed), torch.inference_mode(), cli.progress(label=label, total=len(prompts), unit="prompt") as bar:
            for group in length_batches(lengths, batch_tokens, alone_above=rope_limit(model.config)):
                longest = max(len(prompts[i]) for i in group)
                config = GenerationConfig(
                    num_beams=1,
                    max_length=longest + max_new_tokens,
                    pad_token_id=0,
                    return_dict_in_generate=True,
                    **sampling(temperature),
                )
                rows = _Rows(encoder, eos, longest, max_new_tokens)
                answers = _continued(model, [prompts[i] for i in group], [names[i] for i in group], rows, config)
                batch = dict(zip(group, answers, strict=True))
                results |= batch
                if on_batch is not None:
                    on_batch(batch)
                bar.update(len(group))
    finally:
        model.generation_config = own_config
    return [results[i] for i in range(len(prompts))]


def _continued(
    model: "PreTrainedModel",
    prompts: Sequence[np.ndarray],
    names: Sequence[str],
    rows: "_Rows",
    config: "GenerationConfig",
) -> list[Generation]:
    """Continue the prompts of one batch.

    As soon as a quarter of its rows have ended they are dropped, with their part of the cache, so that the others don't
    wait for them. Tokens that have been read stay read.
    """
    import torch

    from contrastive_context.inference.finite import FiniteLogits
    from contrastive_context.prompting.batches import pad

    device = next(model.parameters()).device
    ids, mask = pad(prompts, "left", device)
    cache = cache_by_rows(model)
    rows.may_be_dropped = cache is not None
    pending, results = list(range(len(prompts))), dict[int, Generation]()
    while pending:
        rows.ended = [None] * len(pending)
        finite = FiniteLogits([names[row] for row in pending], model, at_once=config.do_sample)
        output = cast("Any", model).generate(  # which PreTrainedModel doesn't know of
            input_ids=ids,
            attention_mask=mask,
            generation_config=config,
            logits_processor=[finite],
            stopping_criteria=[rows],
            **({"past_key_values": cache} if cache is not None else {}),
        )
        finite.check()
        results |= {row: result for row, result in zip(pending, rows.ended, strict=True) if result is not None}
        left = [index for index, result in enumerate(rows.ended) if result is None]
        pending = [pending[index] for index in left]
        if pending:
            kept, cache = torch.tensor(left, device=device), output.past_key_values  # a model may have wrapped it
            ids = output.sequences[kept]
            mask = torch.nn.functional.pad(mask[kept], (0, ids.shape[1] - mask.shape[1]), value=1)
            cache.batch_select_indices(kept)
    return [results[row] for row in range(len(prompts))]


class _Rows:
    """A stopping criterion of transformers that notes the answers, and ends a round when rows are to be dropped."""

    def __init__(self, encoder: PromptEncoder, eos: Sequence[int], prompt_length: int, max_new_tokens: int) -> None:
        self._encoder, self._eos, self._prompt_length, self._limit = encoder, eos, prompt_length, max_new_tokens
        self.may_be_dropped = False
        self.ended: list[Generation | None] = []

    def __call__(self, input_ids: "torch.Tensor", scores: "torch.Tensor", **_: object) -> "torch.Tensor":
        """Return which rows are done, bool [rows]; all of them where a round ends."""
        import torch

        for row, ids in enumerate(input_ids[:, self._prompt_length :].tolist()):
            if self.ended[row] is None:
                self.ended[row] = self._end(ids)
        done = torch.tensor([end is not None for end in self.ended], device=input_ids.device)
        return torch.ones_like(done) if self.may_be_dropped and 4 * done.sum() >= len(done) else done

    def _end(self, ids: list[int]) -> Generation | None:
        if self._encoder.stopped(ids):
            return Generation(ids, "stop")
        if ids[-1] in self._eos:
            return Generation(ids[:-1], "eos")
        return Generation(ids, "length") if len(ids) == self._limit else None


def sampling(temperature: float) -> dict[str, float]:
    """Return the options of transformers' ``GenerationConfig`` for a temperature, 0 for greedy decoding."""
    if temperature == 0:
        return {"do_sample": False}
    return {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch for a while; its random state is as before afterwards."""
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def _eos_ids(model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase") -> list[int]:
    found: list[int] = []
    for value in (model.generation_config.eos_token_id, tokenizer.eos_token_id):
        found += value if isinstance(value, list) else [] if value is None else [value]
    return sorted(set(found))


def answer(
    model: "PreTrainedModel",
    encoder: PromptEncoder,
    prompts: Mapping[str, np.ndarray],
    journal: Journal | None,
    *,
    batch_tokens: int,
    label: str,
) -> dict[str, Generation]:
    """Continue prompts greedily, those that the journal has excepted.

    Args:
        model: a causal language model of transformers, on its device.
        encoder: knows the stop and the length of answers.
        prompts: token ids by the prompt's name.
        journal: keeps every answer as soon as its batch is done; None to keep nothing.
        batch_tokens: padded tokens per batch.
        label: shown beside the progress bar.

    Returns:
        Answers by the prompt's name, in the given order.
    """
    known = {} if journal is None else journal
    pending = [name for name in prompts if name not in known]
    if len(pending) < len(prompts):
        cli.log.info("%d of %d prompts were answered before", len(prompts) - len(pending), len(prompts))

    def keep(batch: dict[int, Generation]) -> None:
        if journal is not None:
            journal.add({pending[i]: list(result) for i, result in batch.items()})

    answers = generate(
        model,
        encoder,
        [prompts[name] for name in pending],
        max_new_tokens=encoder.template.max_new_tokens,
        batch_tokens=batch_tokens,
        names=pending,
        label=label,
        on_batch=keep,
    )
    new = dict(zip(pending, answers, strict=True))
    return {name: new[name] if name in new else Generation(*known[name]) for name in prompts}


def read_prompts(
    encoder: PromptEncoder,
    arrivals: str | Path,
    test: str | Path,
    contexts: str | Path,
    paraphrases: str | Path | None = None,
) -> "tuple[pd.DataFrame, list[Prompt]]":
    """Return the rows of frozen evaluation contexts and the prompt of each; the files are those of :func:`predict`.

    Raises:
        UserError: a context names an id that its corpus lacks.
    """
    columns = ("id", "source", "target")
    examples = artifacts.read_parquet(arrivals, columns).set_index("id")
    pairs = dict(zip(examples.index, zip(examples["source"], examples["target"], strict=True), strict=True))
    if paraphrases is not None:
        texts = artifacts.read_parquet(paraphrases, (*columns, "accepted"))
        texts = texts.loc[texts["accepted"], list(columns)]
        pairs |= {name: (source, target) for name, source, target in texts.itertuples(index=False)}
    encoder.add((source for source, _ in pairs.values()), (target for _, target in pairs.values()))
    wanted = ("prompt_id", "target_id", "test_set", "composition", "bucket", "example_ids", "similarities")
    frozen = artifacts.read_parquet(contexts, wanted)
    sources = artifacts.read_parquet(test, columns).set_index("id")["source"].to_dict()
    encoder.add(sources[target] for target in frozen["target_id"] if target in sources)
    prompts = []
    for row in cast("Iterable[FrameRow]", frozen.itertuples(index=False)):
        unknown = [i for i in row.example_ids if i not in pairs]
        unknown += [row.target_id] * (row.target_id not in sources)
        if unknown:
            raise UserError(f"{contexts}: id {unknown[0]} is in neither {arrivals} nor {test}; make it again")
        prompts.append(
            encoder.encode(
                [pairs[i] for i in row.example_ids],
                sources[row.target_id],
                similarities=row.similarities,
                name=row.target_id,
            )
        )
    return frozen, prompts


def predict(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    template: Template,
    step: int,
    arrivals: str | Path,
    test: str | Path,
    contexts: str | Path,
    batch_tokens: int,
    task: str = "",
    label: str = "generate",
    journal: Journal | None = None,
    paraphrases: str | Path | None = None,
) -> Iterator[JsonDict]:
    """Yield one prediction record per frozen evaluation prompt (the format of ``predictions/….jsonl``).

    Records come when all prompts are answered, so that their order is that of the contexts, whatever the batches were.

    Args:
        model: base or tuned model, on its device.
        tokenizer: its tokenizer.
        template: how prompts are written.
        step: the training step that the model stands for, 0 for the base.
        arrivals: corpus file of the examples.
        test: corpus file of the targets.
        contexts: frozen evaluation contexts.
        batch_tokens: padded tokens per batch.
        task: the task's key in the configuration, for messages.
        label: shown beside the progress bar.
        journal: keeps every answer as soon as its batch is done; prompts that it knows are not answered again.
        paraphrases: file of the paraphrases that stand in for examples, if the contexts name such ones.

    Raises:
        UserError: a context names an id that its corpus lacks.
    """
    encoder = PromptEncoder(tokenizer, template, model.config, task)
    frozen, prompts = read_prompts(encoder, arrivals, test, contexts, paraphrases)
    gold = artifacts.read_parquet(test, ("id", "target")).set_index("id")["target"]
    encoder.check_writable({name: gold[name] for name in frozen["target_id"].unique()})
    ids = {name: prompt.ids for name, prompt in zip(frozen["prompt_id"], prompts, strict=True)}
    outputs = answer(model, encoder, ids, journal, batch_tokens=batch_tokens, label=label)
    rows = cast("list[JsonDict]", frozen.to_dict("records"))  # their keys are names of columns
    for row, prompt in zip(rows, prompts, strict=True):
        output = outputs[row["prompt_id"]]
        yield {
            "prompt_id": row["prompt_id"],
            "target_id": row["target_id"],
            "test_set": row["test_set"],
            "series": series_of(row),
            "composition": row["composition"],
            "bucket": row["bucket"],
            "step": step,
            "output": encoder.decode(output.ids),
            "stop_reason": output.stop_reason,
            "prompt_tokens": len(prompt.ids),
            "output_tokens": len(output.ids),
            "examples": len(row["example_ids"]) - prompt.dropped,
            "dropped_examples": prompt.dropped,
        }
