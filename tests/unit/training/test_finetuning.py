"""Fine-tuning: schedule, loss mask, independence of micro-batches, and what is written."""

import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from contrastive_context.config.finetuning import FineTuning, Lora
from contrastive_context.core.devices import require_gpu
from contrastive_context.core.errors import UserError
from contrastive_context.models.adapters import AdapterSwitcher, attach, read_checkpoints
from contrastive_context.models.fast_lora import SummedLora
from contrastive_context.prompting.batches import collate, completion_logits, length_batches
from contrastive_context.training.data import make_schedule, read_training_data
from contrastive_context.training.finetuning import learning_rate
from small_models import FAMILIES, model, tokenizer
from small_runs import RECIPE, TEMPLATE, training_data, tune


def run(folder, recipe=RECIPE, family="llama", seed=0, **options):
    """Fine-tune and publish; return the log."""
    tune(folder / "state", recipe, network=model(family), seed=seed, **options).publish(folder, "b")
    return [json.loads(line) for line in (folder / "trainer_log.jsonl").read_text().splitlines()]


def weights(folder, step=4):
    return load_file(folder / f"step-{step:06d}" / "adapter_model.safetensors")


class TestBatches:
    @given(lengths=st.lists(st.integers(1, 50), min_size=1, max_size=40), budget=st.integers(1, 300))
    @settings(deadline=None)
    def test_every_row_once_within_the_budget(self, lengths, budget):
        for split in (None, budget // 8):
            groups = length_batches(lengths, budget, split)
            assert sorted(row for group in groups for row in group) == list(range(len(lengths)))
            for group in groups:
                assert len(group) == 1 or len(group) * max(lengths[row] for row in group) <= budget

    rows = st.lists(
        st.tuples(st.lists(st.integers(0, 99), min_size=1, max_size=9), st.lists(st.integers(0, 99), min_size=1)),
        min_size=1,
        max_size=5,
    )

    @given(rows=rows)
    @settings(deadline=None)
    def test_labels_are_the_completions_and_positions_precede_them(self, rows):
        batch = collate([(np.array(a, np.int32), np.array(b, np.int32)) for a, b in rows], "cpu")
        assert batch.labels.tolist() == [token for _, completion in rows for token in completion]
        length = batch.input_ids.shape[1]
        at = 0
        for row, (prompt, completion) in enumerate(rows):
            positions = batch.positions[at : at + len(completion)] - row * length
            assert positions.tolist() == list(range(len(prompt) - 1, len(prompt) + len(completion) - 1))
            assert (prompt + completion)[:-1] == batch.input_ids[row, : len(prompt) + len(completion) - 1].tolist()
            assert (batch.rows[at : at + len(completion)] == row).all()
            at += len(completion)

    @pytest.mark.parametrize("family", FAMILIES)
    def test_right_padding_without_a_mask_changes_nothing(self, family):
        network = model(family)
        rng = np.random.default_rng(1)
        pairs = [(rng.integers(0, 600, n), rng.integers(0, 600, m)) for n, m in [(30, 4), (3, 1), (12, 7)]]
        with torch.inference_mode():
            together = completion_logits(network, collate(pairs, "cpu"))
            alone = [
                network(torch.tensor(np.concatenate(pair))[None]).logits[0, len(pair[0]) - 1 : -1] for pair in pairs
            ]
        torch.testing.assert_close(together, torch.cat(alone), atol=1e-5, rtol=1e-5)

    def test_a_model_without_an_output_layer_module(self):
        network = model("llama")
        batch = collate([(np.arange(5), np.arange(3)), (np.arange(2), np.arange(2))], "cpu")
        with torch.inference_mode():
            expected = completion_logits(network, batch)
            network.get_output_embeddings = lambda: None
            torch.testing.assert_close(completion_logits(network, batch), expected, atol=1e-6, rtol=1e-6)


class TestSchedule:
    @given(count=st.integers(1, 30), draws=st.integers(1, 4), seed=st.integers(0, 5))
    @settings(deadline=None)
    def test_epochs_are_permutations_with_their_draw(self, count, draws, seed):
        recipe = FineTuning(steps=7, examples_per_step=5, checkpoints=[0, 7])
        ids = [f"{i:03d}" for i in range(count)]
        schedule = make_schedule(ids[::-1], draws, recipe, seed)
        assert schedule == make_schedule(ids, draws, recipe, seed)
        assert [len(step) for step in schedule] == [5] * 7
        flat = [pair for step in schedule for pair in step]
        epochs = math.ceil(35 / count)
        for epoch in range(epochs):
            part = flat[epoch * count : (epoch + 1) * count]
            assert {draw for _, draw in part} == {(seed * epochs + epoch) % draws}
            assert len({target for target, _ in part}) == len(part)

    def test_learning_rate(self):
        recipe = FineTuning(
            steps=10, checkpoints=[0, 10], learning_rate=1, warmup_steps=2, decay_fraction=0.5,
            final_learning_rate_fraction=0.5,
        )  # fmt: skip
        rates = [learning_rate(recipe, step) for step in range(1, 11)]
        np.testing.assert_allclose(rates, [0.5, 1, 1, 1, 1, 0.9, 0.8, 0.7, 0.6, 0.5])


class TestReading:
    @pytest.fixture
    def files(self, tmp_path):
        corpus = pd.DataFrame({"id": ["a", "b", "c"], "source": ["1", "2", "3"], "target": ["x", "y", "z"]})
        extra = pd.DataFrame({"id": ["p"], "source": ["1b"], "target": ["xb"]})
        contexts = pd.DataFrame(
            [(t, d, ["p" if t == "a" else "a"], [0.5], t) for d in range(2) for t in "abc"],
            columns=["target_id", "draw", "example_ids", "similarities", "trained_id"],
        )
        for name, frame in {"corpus": corpus, "extra": extra, "contexts": contexts}.items():
            frame.to_parquet(tmp_path / f"{name}.parquet", index=False)
        return [tmp_path / f"{name}.parquet" for name in ("corpus", "contexts", "extra")]

    recipe = FineTuning(steps=1, examples_per_step=2, checkpoints=[0, 1])

    def test_only_what_the_steps_need(self, files):
        data = read_training_data(*files, self.recipe, seed=1)
        (step,) = data.schedule
        assert {draw for _, draw in step} == {1}
        assert data.contexts.keys() == set(step)
        names = {target for target, _ in step} | {name for c in data.contexts.values() for name in c.example_ids}
        assert data.texts.keys() == names

    def test_unknown_example(self, files):
        with pytest.raises(UserError, match="example p is neither in"):
            read_training_data(*files[:2], None, FineTuning(steps=3, examples_per_step=1, checkpoints=[0, 3]), seed=0)

    def test_missing_context(self, files):
        pd.read_parquet(files[1]).query("target_id != 'b'").to_parquet(files[1])
        with pytest.raises(UserError, match="no context of target b"):
            read_training_data(*files, FineTuning(steps=3, examples_per_step=1, checkpoints=[0, 3]), seed=0)

    def test_unreadable_contexts(self, files):
        files[1].write_bytes(b"PAR1")
        with pytest.raises(UserError, match=r"contexts\.parquet"):
            read_training_data(*files, self.recipe, seed=0)


class TestTraining:
    def test_what_is_written(self, tmp_path):
        log = run(tmp_path)
        assert [line["step"] for line in log] == [1, 2, 3, 4]
        assert {"loss", "learning_rate", "gradient_norm", "examples_per_s", "tokens_per_s"} <= log[0].keys()
        assert log[-1]["input_tokens"] > log[0]["input_tokens"] > log[0]["supervised_tokens"]
        assert log[0]["peak_memory_mb"] > 10
        assert list(read_checkpoints(tmp_path / "adapters.json", "b")) == [0, 2, 4]

    @pytest.mark.parametrize("family", FAMILIES)
    def test_step_0_is_the_base_and_training_changes_it(self, family, tmp_path):
        log = run(tmp_path, family=family)
        assert log[-1]["loss"] < log[0]["loss"]
        ids = torch.arange(20)[None]
        base = model(family)
        with torch.inference_mode():
            expected = base(ids).logits
            switcher = AdapterSwitcher(base)
            first = switcher.apply(tmp_path / "step-000000")(ids).logits
            last = switcher.apply(tmp_path / "step-000004")(ids).logits
        torch.testing.assert_close(first, expected, atol=1e-5, rtol=0)
        assert (last - expected).abs().max() > 1e-3

    def test_micro_batches_change_nothing(self, tmp_path):
        logs, results = [], []
        for budget in (1, 64, 100_000):
            folder = tmp_path / str(budget)
            logs.append(run(folder, RECIPE.model_copy(update={"micro_batch_tokens": budget})))
            results.append(weights(folder))
        for log, result in zip(logs[1:], results[1:], strict=True):
            for left, right in zip(logs[0], log, strict=True):
                assert left["loss"] == pytest.approx(right["loss"], abs=1e-5)
                assert left["input_tokens"] == right["input_tokens"]
            for name, tensor in results[0].items():
                torch.testing.assert_close(tensor, result[name], atol=2e-4, rtol=0)

    def test_the_first_loss_is_the_mean_over_completion_tokens(self, tmp_path):
        log = run(tmp_path)
        data, network, names = training_data(), model("llama"), tokenizer("llama")

        def ids(text, before="\n"):
            """As part of a text, whose beginning this tokenizer marks with a blank."""
            whole, part = (names(text, add_special_tokens=False)["input_ids"] for text in (before + text, before))
            return whole[len(part) :]

        total, count = 0.0, 0
        for target, draw in data.schedule[0]:
            prompt = [1, *ids("in: ", before="")]
            for name in data.contexts[target, draw].example_ids:
                source, answer = data.texts[name]
                prompt += ids(source) + ids("\nout: ") + ids(answer) + ids("\n") + ids("in: ")
            source, answer = data.texts[target]
            prompt += ids(source) + ids("\nout: ")
            completion = ids(answer) + ids("\n")
            with torch.inference_mode():
                logprobs = network(torch.tensor([prompt + completion])).logits[0].log_softmax(-1)
            total -= sum(logprobs[len(prompt) - 1 + i, token].item() for i, token in enumerate(completion))
            count += len(completion)
        assert log[0]["loss"] == pytest.approx(total / count, abs=1e-5)
        assert log[0]["supervised_tokens"] == count

    def test_repeatable_to_the_bit_and_seeds_differ(self, tmp_path):
        recipe = RECIPE.model_copy(update={"lora": Lora(r=4, alpha=8, dropout=0.1)})
        for name, seed in (("a", 0), ("b", 0), ("c", 1)):
            run(tmp_path / name, recipe, seed=seed)
        a, b, c = (weights(tmp_path / name) for name in "abc")
        assert all(torch.equal(a[name], b[name]) for name in a)
        assert not all(torch.equal(a[name], c[name]) for name in a)

    def test_a_loss_that_is_not_finite_stops(self, tmp_path):
        network = model("llama")
        with torch.no_grad():
            network.model.norm.weight.fill_(float("nan"))
        with pytest.raises(UserError, match="at step 1, before the adapter"):
            tune(tmp_path, network=network)
        assert not (tmp_path / "step-000004").exists()

    def test_a_target_that_holds_the_stop_is_refused_before_training(self, tmp_path):
        data = training_data()
        target = data.schedule[-1][-1][0]
        data.texts[target] = ("desk", "lamp\non")
        with pytest.raises(UserError, match=rf"tasks\.toy\.template\.stop .* row '{target}'.*; choose a stop"):
            tune(tmp_path, data=data)
        assert not list(tmp_path.iterdir())

    def test_dropped_examples_are_counted(self, tmp_path):
        data = training_data()
        tight = TEMPLATE.model_copy(update={"max_prompt_tokens": 60})
        tune(tmp_path, data=data, template=tight)
        log = [json.loads(line) for line in (tmp_path / "trainer_log.jsonl").read_text().splitlines()]
        assert sum(line["dropped_examples"] for line in log) > 0


@pytest.mark.parametrize("family", FAMILIES)
def test_fast_lora_layers_have_the_same_results_and_gradients(family):
    results = []
    for fast in (False, True):
        network = attach(model(family), Lora(r=4, alpha=8), 0).get_base_model()
        torch.manual_seed(1)
        for name, weight in network.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight, std=0.1)
        assert not fast or len(SummedLora(network)) > 0
        loss = network(torch.arange(40).view(2, 20)).logits.square().mean()
        loss.backward()
        gradients = {name: weight.grad for name, weight in network.named_parameters() if weight.requires_grad}
        results.append((loss, gradients))
    (loss, gradients), (fast_loss, fast_gradients) = results
    torch.testing.assert_close(fast_loss, loss, atol=1e-5, rtol=1e-5)
    for name, gradient in gradients.items():
        torch.testing.assert_close(fast_gradients[name], gradient, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("lora", "dtype"), [(Lora(dropout=0.1), torch.float32), (Lora(), torch.bfloat16)])
def test_lora_with_dropout_or_on_another_type_is_left_to_peft(lora, dtype):
    assert len(SummedLora(attach(model("llama").to(dtype), lora, 0))) == 0


def test_cuda_without_a_gpu_is_refused_before_anything_heavy(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(UserError, match=r"models\.big\.device is cuda but no GPU is visible"):
        require_gpu("cuda", "models.big")
    require_gpu("cpu", "models.big")


def test_a_model_that_cannot_write_the_targets_is_refused_before_training(tmp_path, monkeypatch):
    data = training_data()
    foreign = replace(data, texts={name: (source, "ஒளி") for name, (source, _) in data.texts.items()})
    monkeypatch.setattr("small_runs.tokenizer", lambda _: tokenizer("unigram"))
    with pytest.raises(UserError, match=r"can't write (\d+) of \1 targets"):
        tune(tmp_path, data=foreign)
    assert not list(tmp_path.glob("*/*"))
