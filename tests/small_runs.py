"""Small fine-tuning runs for the tests: data, a recipe, and what of their results must not vary."""

import json

import numpy as np

from contrastive_context.config.finetuning import FineTuning, Lora
from contrastive_context.config.templates import Template
from contrastive_context.training.data import Context, TrainingData, make_schedule
from contrastive_context.training.finetuning import checkpoints, fine_tune
from contrastive_context.training.settings import FinetuneSettings
from contrastive_context.training.state import LOG, RunState
from small_models import model, tokenizer

TEMPLATE = Template(source_prefix="in: ", target_prefix="\nout: ", stop="\n", max_new_tokens=16, max_prompt_tokens=200)
RECIPE = FineTuning(
    lora=Lora(r=4, alpha=8), steps=4, checkpoints=[0, 2, 4], examples_per_step=6, learning_rate=0.01, warmup_steps=2
)
SMALL_BATCHES = RECIPE.model_copy(update={"micro_batch_tokens": 150, "lora": Lora(r=4, alpha=8, dropout=0.2)})
_PACE = {"examples_per_s", "tokens_per_s", "seconds", "peak_memory_mb"}


def training_data(recipe=RECIPE, seed=0) -> TrainingData:
    rng = np.random.default_rng(0)
    words = ["turn", "on", "the", "desk", "lamp", "in", "kitchen", "please", "good", "morning"]
    texts = {
        f"{i:02d}": (" ".join(rng.choice(words, rng.integers(1, 9))), " ".join(rng.choice(words, rng.integers(1, 5))))
        for i in range(20)
    }
    ids = sorted(texts)
    contexts = {
        (target, draw): Context(
            rng.choice(ids, rng.integers(0, 4), replace=False).tolist(), rng.random(4).tolist(), target
        )
        for target in ids
        for draw in range(2)
    }
    return TrainingData(make_schedule(ids, 2, recipe, seed), contexts, texts)


def tune(
    folder, recipe=RECIPE, interruptions=None, *, network=None, data=None, template=TEMPLATE, seed=0, safeguards=None,
    guard=lambda: None, **options,
) -> RunState:  # fmt: skip
    """Fine-tune with the states in ``folder``, from the newest that is there; return them."""
    settings = FinetuneSettings(
        task="toy", model_name="small", template=template, recipe=recipe, strategy_name="random", seed=seed, **options
    )
    state = RunState(folder, checkpoints(recipe), guard=guard)
    network = network or model("llama")
    fine_tune(
        network, tokenizer("llama"), settings, data or training_data(recipe, seed), state, safeguards, interruptions
    )
    return state


def numbers(state) -> tuple[list[dict], list[bytes]]:
    """What must not depend on interruptions: the log without its pace, and the adapters' bytes."""
    lines = [json.loads(line) for line in (state.path(state.checkpoints[-1]) / LOG).read_text().splitlines()]
    log = [{key: value for key, value in line.items() if key not in _PACE} for line in lines]
    return log, [(state.path(step) / "adapter_model.safetensors").read_bytes() for step in state.checkpoints]
