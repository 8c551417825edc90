"""Greedy answers to evaluation prompts against what one would write with transformers and peft.

That is: batches of 16 prompts in the order given, padded on the left, the adapter beside the base's weights, ended by
the template's stop. Both answer the same five-shot prompts, float32, in turn. Then two rounds of each under torch's
profiler tell what bounds them.
"""

from pathlib import Path
from typing import Any

import measuring
import profiling
from inputs import MODEL, TASK, make, steps


def prepared(folder: Path, threads: int, count: int) -> tuple[Any, Any, list[Any], Path]:
    """Return base, prompt encoder, prompts in a shuffled order, and the folder of a trained adapter."""
    import numpy as np

    from contrastive_context.core import artifacts
    from contrastive_context.core.devices import set_up_torch
    from contrastive_context.models.adapters import read_checkpoints
    from contrastive_context.models.language_models import load_model, load_tokenizer
    from contrastive_context.prompting.prompts import PromptEncoder

    base = folder / "models" / MODEL
    set_up_torch("cpu", threads)
    encoder = PromptEncoder(load_tokenizer(base), steps().study.tasks[TASK].template)
    pairs: dict[str, tuple[str, str]] = {}
    for split in ("arrivals", "test"):
        frame = artifacts.read_parquet(folder / "corpus" / TASK / f"{split}.parquet", ("id", "source", "target"))
        pairs |= {
            name: (source, target)
            for name, source, target in zip(frame["id"], frame["source"], frame["target"], strict=True)
        }
    frozen = artifacts.read_parquet(folder / "contexts" / TASK / "eval.parquet", ("target_id", "example_ids"))
    frozen = frozen[frozen["example_ids"].map(len) > 0]
    rows = frozen.iloc[np.random.default_rng(0).permutation(len(frozen))[:count]]
    prompts = [
        encoder.encode([pairs[name] for name in examples], pairs[target][0]).ids
        for target, examples in zip(rows["target_id"], rows["example_ids"], strict=True)
    ]
    adapters = folder / "finetune" / TASK / MODEL / "random-seed0" / "adapters.json"
    checkpoints = read_checkpoints(adapters, artifacts.sha256_file(f"{base}.json"))
    return load_model(base), encoder, prompts, checkpoints[max(checkpoints)]


def ours(next_round: Any, folder: Path, threads: int, count: int) -> None:
    """Answer as the step does."""
    from contrastive_context.inference.generation import generate
    from contrastive_context.models.adapters import AdapterSwitcher

    model, encoder, prompts, adapter = prepared(folder, threads, count)
    AdapterSwitcher(model).apply(adapter)
    settings, answers = steps().study.generation, None
    while True:
        next_round(answers)
        found = generate(
            model, encoder, prompts, max_new_tokens=encoder.template.max_new_tokens, batch_tokens=settings.batch_tokens
        )
        answers = [list(answer.ids) for answer in found]


def plain(next_round: Any, folder: Path, threads: int, count: int) -> None:
    """Answer as a user's script would."""
    import torch

    from contrastive_context.models.adapters import load_adapter

    base, encoder, prompts, adapter = prepared(folder, threads, count)
    torch.use_deterministic_algorithms(False)
    model = load_adapter(base, adapter).eval()
    tokenizer = encoder.tokenizer
    ends = [tokenizer.eos_token_id, int(encoder.stop_ids[-1])]
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    answers = None
    while True:
        next_round(answers)
        answers = []
        for start in range(0, len(prompts), 16):
            batch = [torch.from_numpy(ids).long() for ids in prompts[start : start + 16]]
            ids = torch.nn.utils.rnn.pad_sequence(batch, True, pad, padding_side="left")
            lengths = torch.tensor([len(row) for row in batch])
            mask = (torch.arange(ids.shape[1]) >= ids.shape[1] - lengths[:, None]).long()
            with torch.inference_mode():
                output = model.generate(
                    input_ids=ids, attention_mask=mask, max_new_tokens=encoder.template.max_new_tokens,
                    do_sample=False, eos_token_id=ends, pad_token_id=pad,
                )  # fmt: skip
            answers += output[:, ids.shape[1] :].tolist()


def main() -> None:
    """Measure and record."""
    parser = measuring.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="pairs that count, after one to warm up")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads of each")
    parser.add_argument("--prompts", type=int, default=48)
    args = measuring.parse(parser)
    folder = make(f"contexts/{TASK}/eval.parquet", f"finetune/{TASK}/{MODEL}/random-seed0/adapters.json")
    arguments = (folder, args.threads, args.prompts)
    implementations = {"ours": ours, "plain generate": plain}
    timings = measuring.compare({name: (each, arguments) for name, each in implementations.items()}, args.rounds)
    profiles = measuring.compare(
        {name: (profiling.profiled, (each, arguments)) for name, each in implementations.items()}, 2
    )
    mine, other = timings["ours"], timings["plain generate"]
    answered = len(mine.values[-1])
    # Ours ends with the stop, the other one with what fills the batch up.
    same = sum(a == b[: len(a)] for a, b in zip(mine.values[-1], other.values[-1], strict=True)) / answered
    faster = measuring.ratio(other.seconds, mine.seconds)
    rows = [
        measuring.Row("prompts/s, ours / plain generate", faster, "×", "≥ 1.4"),
        measuring.Row("share of answers with the same tokens", same, "", "≥ 0.999"),
        measuring.Row("ours", answered / mine.median, "prompts/s"),
        measuring.Row("plain generate", answered / other.median, "prompts/s"),
        measuring.Row("ours, peak", mine.peak_mb, "MiB"),
        measuring.Row("plain generate, peak", other.peak_mb, "MiB"),
    ]
    busy = {name: profiling.shares(profile, timings[name].median) for name, profile in profiles.items()}
    for name, shares in busy.items():
        rows += [measuring.Row(f"{name}: {kind}", 100 * share, "% of a round") for kind, share in shares.items()]
    # What is left of ours if all but matrix products and attention were free.
    rows.append(
        measuring.Row(
            "limit of prompts/s, ours / plain generate, with no other work", faster / sum(busy["ours"].values()), "×"
        )
    )
    details = {name: {"seconds": timing.seconds, "peak_mb": timing.peak_mb} for name, timing in timings.items()}
    measuring.record(args, rows, details=details)


if __name__ == "__main__":
    main()
