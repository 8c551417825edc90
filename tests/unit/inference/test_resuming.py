"""A fine-tuning run that was stopped and resumed is the run that was not."""

import json

import pytest
import torch

from contrastive_context.config.safeguards import Safeguards
from contrastive_context.core.errors import UserError
from contrastive_context.training.interruptions import Interruptions, Stopped
from contrastive_context.training.state import LOG, RunState
from contrastive_context.training.watchdog import Diverged
from small_models import model
from small_runs import RECIPE, SMALL_BATCHES, numbers, tune


class StopAfter(Interruptions):
    """Stops the run when it asks for the n-th time: it asks before every step and every micro-batch."""

    def __init__(self, asked, status=143):
        super().__init__()
        self.left, self.status = asked, status

    def check(self, needed_s=0):
        self.left -= 1
        if self.left < 0:
            raise Stopped("SIGTERM", self.status)


def resume(folder, recipe=SMALL_BATCHES, interruptions=None, **options):
    return tune(folder, recipe, interruptions, **options)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return numbers(resume(tmp_path_factory.mktemp("undisturbed")))


@pytest.mark.parametrize("asked", [0, 1, 2, 4, 7, 11, 16, 22])
def test_stopped_between_any_two_micro_batches(tmp_path, undisturbed, asked):
    with pytest.raises(Stopped, match=r"SIGTERM; stopped after step \d of 4\. The same command goes on") as stopped:
        resume(tmp_path, interruptions=StopAfter(asked))
    assert stopped.value.status == 143
    assert numbers(resume(tmp_path)) == undisturbed


def test_stopped_at_every_step(tmp_path):
    recipe = SMALL_BATCHES.model_copy(update={"micro_batch_tokens": 100_000, "steps": 6, "checkpoints": [0, 3, 6]})
    expected = numbers(resume(tmp_path / "undisturbed", recipe))
    stops = 0
    for _ in range(10):
        try:
            state = resume(tmp_path / "stopped", recipe, StopAfter(2))  # one step: asked before it and in it
        except Stopped:
            stops += 1
        else:
            break
    assert stops == 5
    assert numbers(state) == expected


def test_time_and_tokens_go_on(tmp_path):
    with pytest.raises(Stopped):
        resume(tmp_path, interruptions=StopAfter(16))
    stopped = (tmp_path / LOG).read_text().splitlines()
    log = [json.loads(line) for line in (resume(tmp_path).path(4) / LOG).read_text().splitlines()]
    assert [json.dumps(line) for line in log[: len(stopped)]] == stopped and 0 < len(stopped) < 4
    for key in ("seconds", "input_tokens", "supervised_tokens"):
        values = [line[key] for line in log]
        assert values == sorted(values) and values[0] > 0
    assert (tmp_path / LOG).read_text() == "".join(json.dumps(line) + "\n" for line in log)


def test_periodic_saves(tmp_path, undisturbed):
    often = Safeguards(save_every_s=0)
    with pytest.raises(Stopped):
        resume(tmp_path, interruptions=StopAfter(16), safeguards=often)
    assert {path.name for path in tmp_path.glob("step-*")} == {"step-000000", "step-000001", "step-000002"}
    # What comes after a save and before a kill -9 is lost: without the last state the run is the same.
    state = RunState(tmp_path, [0, 2, 4])
    (state.path(2) / "optimizer.safetensors").write_bytes(b"")
    state = resume(tmp_path, safeguards=often)
    assert numbers(state) == undisturbed


def test_out_of_time_before_the_first_step_says_so(tmp_path):
    with pytest.raises(UserError, match="before a single step was done; give the job more time") as error:
        resume(tmp_path, interruptions=StopAfter(0, status=75))
    assert not isinstance(error.value, Stopped)


class TestCheckpoints:
    def test_an_added_one_is_reached_from_the_one_before(self, tmp_path, undisturbed):
        folder = tmp_path / "run"
        resume(folder).tidy()
        more = SMALL_BATCHES.model_copy(update={"checkpoints": [0, 2, 3, 4]})
        few = StopAfter(100)
        state = resume(folder, more, few)
        assert 0 < 100 - few.left <= 1 + 6  # one step
        assert [state.has(step) for step in (0, 2, 3, 4)] == [True] * 4
        log, adapters = numbers(state)
        assert (log, [adapters[0], adapters[1], adapters[3]]) == undisturbed
        assert numbers(resume(tmp_path / "anew", more)) == (log, adapters)

    def test_one_left_out_costs_nothing(self, tmp_path, undisturbed):
        resume(tmp_path)
        state = resume(tmp_path, SMALL_BATCHES.model_copy(update={"checkpoints": [0, 4]}), StopAfter(0))
        state.tidy()
        log, adapters = numbers(state)
        assert (log, adapters) == (undisturbed[0], undisturbed[1][::2])


class TestMemory:
    @staticmethod
    def bounded(tokens):
        """A model whose forward runs out of memory above so many tokens."""
        network = model("llama")
        seen = []

        def check(_module, _args, options):
            seen.append(options["input_ids"].numel())
            if seen[-1] > tokens:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

        network.model.register_forward_pre_hook(check, with_kwargs=True)
        return network, seen

    recipe = RECIPE.model_copy(update={"micro_batch_tokens": 100_000})

    def test_micro_batches_get_smaller_and_results_stay(self, tmp_path, caplog):
        expected = numbers(resume(tmp_path / "enough", self.recipe))[0]
        network, seen = self.bounded(160)
        state = resume(tmp_path / "little", self.recipe, network=network)
        for line, other in zip(numbers(state)[0], expected, strict=True):
            assert line["loss"] == pytest.approx(other["loss"], abs=1e-5)
            assert line["input_tokens"] == other["input_tokens"]
        said = [record.message for record in caplog.records if "out of memory" in record.message]
        assert len(said) == sum(tokens > 160 for tokens in seen) > 0
        assert "a step's examples stay the same" in said[0]

    def test_a_resumed_run_keeps_the_smaller_ones(self, tmp_path):
        network, _ = self.bounded(160)
        expected = numbers(resume(tmp_path / "undisturbed", self.recipe, network=network))
        network, _ = self.bounded(160)
        with pytest.raises(Stopped):
            resume(tmp_path / "stopped", self.recipe, StopAfter(25), network=network)
        network, seen = self.bounded(160)
        assert numbers(resume(tmp_path / "stopped", self.recipe, network=network)) == expected
        assert max(seen) <= 160

    def test_one_example_that_does_not_fit(self, tmp_path):
        network, _ = self.bounded(40)
        with pytest.raises(
            UserError, match=r"out of memory on one example of \d+ tokens; set .*gradient_checkpointing"
        ):
            resume(tmp_path, self.recipe, network=network)

    def test_other_errors_pass(self, tmp_path):
        network = model("llama")
        network.model.register_forward_pre_hook(lambda *_: (_ for _ in ()).throw(RuntimeError("shape mismatch")))
        with pytest.raises(RuntimeError, match="shape mismatch"):
            resume(tmp_path, network=network)

    @pytest.mark.parametrize("family", ["llama", "gpt2", "gpt_neox", "gemma3"])
    def test_gradient_checkpointing_computes_again_and_changes_nothing(self, tmp_path, family):
        forwards, results = [], []
        for checkpointing in (False, True):
            network, calls = model(family), []
            layers = [layer for layer in network.modules() if type(layer).__name__.endswith(("MLP", "FeedForward"))]
            for layer in layers:
                layer.register_forward_pre_hook(lambda *_, calls=calls: calls.append(1))
            state = resume(
                tmp_path / str(checkpointing), SMALL_BATCHES, network=network, gradient_checkpointing=checkpointing
            )
            forwards.append(len(calls))
            results.append(numbers(state))
        assert forwards[1] == 2 * forwards[0] > 0
        assert results[0] == results[1]


class TestDivergence:
    recipe = RECIPE.model_copy(update={"learning_rate": 1e30, "warmup_steps": 0})

    def test_the_failure_stays_until_something_changes(self, tmp_path):
        with pytest.raises(Diverged) as first:
            resume(tmp_path, self.recipe)
        assert RunState(tmp_path, [0]).has(0)
        with pytest.raises(UserError, match="is what an earlier try ended with") as again:
            resume(tmp_path, self.recipe, StopAfter(0))
        assert str(first.value) in str(again.value)
        with pytest.raises(Diverged):
            resume(tmp_path, self.recipe, safeguards=Safeguards(max_loss_factor=7))
        RunState(tmp_path, [0]).failure_file.unlink()
        with pytest.raises(Diverged):
            resume(tmp_path, self.recipe)

    def test_what_may_be_an_explosion_replaces_no_good_state(self, tmp_path, monkeypatch):
        recipe = RECIPE.model_copy(update={"steps": 8, "checkpoints": [0, 8], "micro_batch_tokens": 100_000})
        real = torch.nn.functional.cross_entropy
        calls = []

        def grows(*args, **options):
            calls.append(1)
            return real(*args, **options) * (1000 if len(calls) > 4 else 1)

        monkeypatch.setattr(torch.nn.functional, "cross_entropy", grows)
        with pytest.raises(Diverged, match=r"exploded: .* at step 7, the third in a row"):
            resume(tmp_path, recipe, safeguards=Safeguards(save_every_s=0))
        assert {path.name[-1] for path in tmp_path.glob("step-*")} == {"0", "3", "4"}
