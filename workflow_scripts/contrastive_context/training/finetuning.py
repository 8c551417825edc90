"""Fine-tuning of a LoRA adapter on sampled contexts: one plain loop that can stop and go on at any step."""

import contextlib
import json
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn, TextIO

from contrastive_context.config.finetuning import FineTuning
from contrastive_context.config.safeguards import Safeguards
from contrastive_context.core import artifacts, cli
from contrastive_context.core.devices import peak_memory_mb
from contrastive_context.core.errors import UserError
from contrastive_context.core.json_types import JsonDict
from contrastive_context.training.data import TrainingData
from contrastive_context.training.interruptions import Interruptions, Stopped
from contrastive_context.training.settings import FinetuneSettings
from contrastive_context.training.state import LOG, RunState
from contrastive_context.training.watchdog import Diverged, Watchdog

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from contrastive_context.prompting.prompts import PromptEncoder
    from contrastive_context.training.optimization import Optimization

_TRIED = 2000  # targets of which it is seen whether the tokenizer can write them


def learning_rate(recipe: FineTuning, step: int) -> float:
    """Return the rate of ``step`` (from 1): linear warm-up, constant, linear decay over the last steps."""
    if step <= recipe.warmup_steps:
        return recipe.learning_rate * step / recipe.warmup_steps
    decay_steps = round(recipe.decay_fraction * recipe.steps)
    into_decay = max(0, step - (recipe.steps - decay_steps)) / max(1, decay_steps)
    return recipe.learning_rate * (1 - into_decay * (1 - recipe.final_learning_rate_fraction))


def checkpoints(recipe: FineTuning) -> list[int]:
    """Return the steps whose adapters are kept, ascending: those of the recipe, 0 and the last."""
    return sorted({0, recipe.steps, *(step for step in recipe.checkpoints if step <= recipe.steps)})


def fine_tune(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    settings: FinetuneSettings,
    data: TrainingData,
    state: RunState,
    safeguards: Safeguards | None = None,
    interruptions: Interruptions | None = None,
) -> None:
    """Train a LoRA adapter until ``state`` holds all its checkpoints, from the newest states that it holds already.

    Every step does on a resumed run what it does on an uninterrupted one: to the bit on a CPU with the same number of
    threads, elsewhere as near as the device's kernels repeat themselves.

    Args:
        model: the base, on its device; it gets the adapter.
        tokenizer: the base's tokenizer.
        settings: recipe, seed, template and names.
        data: schedule, contexts and texts.
        state: where states are read from and saved to.
        safeguards: when to save and when to give up.
        interruptions: asked before every micro-batch whether to stop.

    Raises:
        Stopped: a signal or the end of the job's time; the state is saved.
        UserError: training diverges, memory doesn't suffice, the disk is full, a row doesn't fit the template's
            limits, or the tokenizer can't write too many of the targets. The last state saved stays.
    """
    from contrastive_context.prompting.prompts import PromptEncoder
    from contrastive_context.training.optimization import Optimization

    recipe = settings.recipe
    safeguards, interruptions = safeguards or Safeguards(), interruptions or Interruptions()
    _refuse_after_failure(state, safeguards)
    encoder = PromptEncoder(tokenizer, settings.template, model.config, settings.task)
    _add_texts(encoder, data)
    trained = sorted({data.contexts[pair].trained_id for rows in data.schedule for pair in rows})
    for name in trained:
        encoder.completion(data.texts[name][1], name)  # better refused now than in the middle of training
    sample = {name: data.texts[name][1] for name in trained[:_TRIED]}
    encoder.check_writable(sample, safeguards.max_unwritable)
    optimization = Optimization(model, recipe, settings.seed, settings.model_name, settings.gradient_checkpointing)
    run = _Run(recipe, encoder, data, optimization, state, safeguards, interruptions)
    label = f"{settings.task} {settings.model_name} {settings.strategy_name}-seed{settings.seed}"
    with (
        contextlib.closing(run),
        interruptions.collected(),
        cli.progress(label=label, total=recipe.steps, unit="step") as bar,
    ):
        try:
            for checkpoint in state.checkpoints:
                if state.has(checkpoint):
                    continue
                run.resume(checkpoint)
                bar.initial = bar.n = run.step
                while run.step < checkpoint:
                    run.make_step()
                    bar.update()
                    bar.set_postfix(loss=f"{run.lines[-1]['loss']:.4f}", refresh=False)
                    run.save_if_due()
                run.save()
        except Stopped as stop:
            run.stop(stop)
        except Diverged as error:
            state.write_failure({"message": str(error), "max_loss_factor": safeguards.max_loss_factor})
            raise


class _Run:
    """One run under way: ``step`` steps are done, and ``lines`` is their log."""

    def __init__(
        self,
        recipe: FineTuning,
        encoder: "PromptEncoder",
        data: TrainingData,
        optimization: "Optimization",
        state: RunState,
        safeguards: Safeguards,
        interruptions: Interruptions,
    ) -> None:
        self._recipe, self._encoder, self._data, self._optimization = recipe, encoder, data, optimization
        self._state, self._safeguards, self._interruptions = state, safeguards, interruptions
        self._log: TextIO | None = None
        self._slowest_step_s = self._slowest_save_s = 0.0
        self._saved_at = time.monotonic()
        self._steps_made = 0
        self.lines: list[JsonDict] = []

    @property
    def step(self) -> int:
        return len(self.lines)

    def resume(self, checkpoint: int) -> None:
        """Go to the newest state before ``checkpoint``, if it is later than where the run is."""
        newest = self._state.newest(checkpoint)
        if newest is not None and (self._log is None or newest > self.step):
            folder = self._state.path(newest)
            self._optimization.load(folder)
            self.lines = [json.loads(line) for line in (folder / LOG).read_text(encoding="utf-8").splitlines()]
            if newest:
                cli.log.info("going on after step %d of %d, from %s", newest, self._recipe.steps, folder)
        elif self._log is not None:
            return
        self._watchdog = Watchdog(self._safeguards.max_loss_factor)
        for line in self.lines:
            self._watchdog.check(line["step"], line["loss"], line["gradient_norm"])
        self.close()
        with artifacts.disk_errors(self._state.folder):
            self._state.log_file.unlink(missing_ok=True)  # a job that hangs may still have it open
            self._log = self._state.log_file.open("w", encoding="utf-8")
            self._log.write("".join(map(_json_line, self.lines)))
            self._log.flush()

    def make_step(self) -> None:
        """Train on the next step's examples."""
        self._interruptions.check(needed_s=2 * (self._slowest_step_s + self._slowest_save_s))
        started = time.perf_counter()
        step = self.step + 1
        pairs, dropped = _encode(self._encoder, self._data, self._data.schedule[step - 1])
        loss, norm = self._optimization.forward_backward(pairs, self._interruptions.check)
        self._watchdog.check(step, loss, norm)
        rate = learning_rate(self._recipe, step)
        self._optimization.update(rate)
        seconds = time.perf_counter() - started
        self._slowest_step_s = max(self._slowest_step_s, seconds)
        self._steps_made += 1
        supervised = sum(len(completion) for _, completion in pairs)
        tokens = sum(len(prompt) for prompt, _ in pairs) + supervised
        before = self.lines[-1] if self.lines else {"input_tokens": 0, "supervised_tokens": 0, "seconds": 0.0}
        line = {
            "step": step, "loss": loss, "learning_rate": rate, "gradient_norm": norm,
            "examples_per_s": round(len(pairs) / seconds, 3), "tokens_per_s": round(tokens / seconds, 1),
            "input_tokens": before["input_tokens"] + tokens,
            "supervised_tokens": before["supervised_tokens"] + supervised,
            "seconds": round(before["seconds"] + seconds, 3),
            "dropped_examples": dropped, "peak_memory_mb": peak_memory_mb(self._optimization.device.type),
        }  # fmt: skip
        self.lines.append(line)
        with artifacts.disk_errors(self._state.folder):
            assert self._log is not None
            self._log.write(_json_line(line))
            self._log.flush()

    def save(self) -> None:
        """Save the state as it is now, unless it is saved already."""
        if self._state.has(self.step):
            return
        started = time.monotonic()
        with self._state.save(self.step) as folder:
            self._optimization.save(folder)
            (folder / LOG).write_text("".join(map(_json_line, self.lines)), encoding="utf-8")
        self._saved_at = time.monotonic()
        self._slowest_save_s = max(self._slowest_save_s, self._saved_at - started)

    def save_if_due(self) -> None:
        """Save from time to time, but nothing that may be the start of an explosion in place of a good state."""
        due = time.monotonic() - self._saved_at >= self._safeguards.save_every_s
        if due and not self._watchdog.is_suspicious:
            self.save()

    def stop(self, stop: Stopped) -> NoReturn:
        """Save, and say where training can go on."""
        if stop.out_of_time and not self._steps_made:
            raise UserError(
                f"fine-tuning: {stop} before a single step was done; give the job more time (the model's runtime)"
            ) from None
        if not self._watchdog.is_suspicious:
            self.save()
        raise Stopped(
            f"fine-tuning: {stop}; stopped after step {self.step} of {self._recipe.steps}. The same command goes on "
            f"from the state saved in {self._state.folder}",
            stop.status,
        ) from None

    def close(self) -> None:
        if self._log is not None:
            self._log.close()


def _refuse_after_failure(state: RunState, safeguards: Safeguards) -> None:
    """Fail at once where the same training has failed for good before; nothing but chance could change that."""
    failure = state.read_failure()
    if failure and failure["max_loss_factor"] == safeguards.max_loss_factor:
        raise UserError(
            f"{failure['message']}. This is what an earlier try ended with, and the same training would again; to try "
            f"nevertheless delete {state.failure_file}"
        )


def _json_line(value: JsonDict) -> str:
    return json.dumps(value) + "\n"


def count_tokens(encoder: "PromptEncoder", data: TrainingData) -> int:
    """Return how many tokens a run of ``data`` reads, prompts and completions, by a ``PromptEncoder``.

    Raises:
        UserError: a row doesn't fit the template's limits.
    """
    _add_texts(encoder, data)
    pairs = (pair for rows in data.schedule for pair in _encode(encoder, data, rows)[0])
    return sum(len(prompt) + len(completion) for prompt, completion in pairs)


def _add_texts(encoder: "PromptEncoder", data: TrainingData) -> None:
    encoder.add((source for source, _ in data.texts.values()), (answer for _, answer in data.texts.values()))


def _encode(encoder: "PromptEncoder", data: TrainingData, rows: Sequence[tuple[str, int]]) -> tuple[list[tuple], int]:
    """Return (prompt ids, completion ids) per row, and how many examples were left out for length."""
    pairs, dropped = [], 0
    for target, draw in rows:
        context = data.contexts[target, draw]
        source, answer = data.texts[context.trained_id]
        completion = encoder.completion(answer, context.trained_id)
        prompt = encoder.encode(
            [data.texts[name] for name in context.example_ids],
            source,
            similarities=context.similarities,
            reserve=len(completion),
            name=target,
        )
        pairs.append((prompt.ids, completion))
        dropped += prompt.dropped
    return pairs, dropped
