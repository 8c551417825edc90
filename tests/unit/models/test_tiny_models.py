import json
from hashlib import sha256

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from contrastive_context.config.models import PretrainedTinyModel
from contrastive_context.core.errors import UserError
from contrastive_context.corpora import idiom as idiom_task
from contrastive_context.corpora import lexicon as lexicon_task
from contrastive_context.models.tiny import families, idiom, lexicon, pretraining, tokenizer
from contrastive_context.models.tiny.documents import Stage

FAMILIES = ["llama", "qwen3", "gemma3", "gpt_neox"]
LANGUAGES = {"lexicon": lexicon, "idiom": idiom}

pytestmark = pytest.mark.slow


def settings(family, **changes):
    values = {"kind": "pretrain", "family": family, "seed": 100, "steps": 5, "min_in_context_accuracy": 0.0}
    return PretrainedTinyModel(**{**values, **changes})


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    """Five steps of each family: family → (folder, extras)."""
    result = {}
    for family in FAMILIES:
        folder = tmp_path_factory.mktemp(family)
        result[family] = folder, pretraining.pretrain(settings(family), folder)
    return result


@pytest.mark.parametrize("family", FAMILIES)
def test_pretrained_folder_loads_with_auto_classes(pretrained, family):
    folder, extras = pretrained[family]
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {file.name for file in folder.iterdir()}
    assert not list(folder.glob("*.bin"))
    model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="sdpa")
    assert extras["parameters"] == model.num_parameters() < 250_000
    assert extras["steps"] == 5 and extras["family"] == family
    assert set(extras["in_context_accuracy"]) == {
        "small_vocabulary",
        "large_vocabulary",
        "source_nonces",
        "label_nonces",
        "stop",
    }
    assert model.generation_config.bos_token_id == tokenizer.BOS
    assert model.generation_config.eos_token_id == tokenizer.EOS
    tied = model.get_output_embeddings().weight.data_ptr() == model.get_input_embeddings().weight.data_ptr()
    assert tied


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_are_equal_after_reload_and_under_both_attentions(tmp_path, family):
    model = families.build(family, len(lexicon.TOKENS), seed=100).eval()
    pretraining._train(model, lexicon, settings(family, steps=3), seed=100)
    tokens = torch.from_numpy(lexicon.draw_documents(np.random.default_rng(0), 4, 3, (6, 30), 0.3).tokens)
    model.save_pretrained(tmp_path)
    with torch.no_grad():
        expected = model(input_ids=tokens).logits
        for attention, tolerance in {"sdpa": 0, "eager": 1e-5}.items():
            again = AutoModelForCausalLM.from_pretrained(tmp_path, attn_implementation=attention)
            torch.testing.assert_close(again(input_ids=tokens).logits, expected, rtol=0, atol=tolerance)


def test_pretraining_is_reproducible_and_leaves_global_state_alone(pretrained, tmp_path):
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    pretraining.pretrain(settings("llama"), tmp_path)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    first = (pretrained["llama"][0] / "model.safetensors").read_bytes()
    assert (tmp_path / "model.safetensors").read_bytes() == first


def test_gate_refuses_an_untrained_model(tmp_path):
    with pytest.raises(UserError, match=r"raise 'steps'.*or change its 'seed'") as caught:
        pretraining.pretrain(settings("gemma3", steps=1, min_in_context_accuracy=0.99), tmp_path / "model")
    assert "gemma3" in str(caught.value) and "0.99" in str(caught.value)
    assert not (tmp_path / "model").exists()


def test_gate_accepts_a_reader_and_refuses_a_recent_label_copier():
    """The gate measures what it says: models made of rules get 1 and nearly 0."""

    class Rule(torch.nn.Module):
        def __init__(self, reads):
            super().__init__()
            self.reads, self.base_model = reads, self._body

        def _body(self, input_ids, use_cache):
            size = len(lexicon.TOKENS)
            hidden = torch.zeros(*input_ids.shape, size)
            for position in range(8, input_ids.shape[1]):
                word = input_ids[:, position - lexicon_task.WORDS]
                for row in range(len(input_ids)):
                    earlier = (input_ids[row, : position - lexicon_task.WORDS - 1] == word[row]).nonzero()
                    label = position - 6 if not self.reads else int(earlier[-1]) + 7 if len(earlier) else 0
                    hidden[row, position, input_ids[row, min(label, position)]] = 1
            return type("Output", (), {"last_hidden_state": hidden})

        def get_output_embeddings(self):
            return torch.nn.Identity()

    assert min(lexicon.in_context_accuracy(Rule(True), 40).values()) == 1
    assert max(lexicon.in_context_accuracy(Rule(False), 40).values()) < 0.5


def test_guidance_is_small_only_where_attention_looks_at_the_right_places():
    batch = lexicon.draw_documents(np.random.default_rng(1), 8, 3, (6, 9), 0.0)
    length = batch.tokens.shape[1] - 1
    lower, upper = torch.zeros(8, 4, length, length), torch.zeros(8, 4, length, length)
    for word in lexicon.LAYOUT.word_positions(3):
        lower[:, 0, word + 6, word] = 1
        lower[:, 1, word + 7, word] = 1
        same = torch.from_numpy(batch.tokens[:, lexicon.LAYOUT.word_positions(3)] == batch.tokens[:, [word]])
        for other in range(18):
            if lexicon.earlier(3)[list(lexicon.LAYOUT.word_positions(3)).index(word), other]:
                upper[:, :2, word + 6, lexicon.LAYOUT.word_positions(3)[other] + 7] = same[:, other, None].float()
    upper /= upper.sum(-1, keepdim=True).clamp(min=1)
    assert lexicon.guidance((lower, upper), batch).abs() < 1e-4
    assert lexicon.guidance((lower, upper.roll(1, -1)), batch) > 5
    assert lexicon.guidance((lower.roll(1, -1), upper), batch) > 5


def test_documents_are_in_the_prompt_format():
    tokens = tokenizer.build(lexicon.TOKENS)
    batch = lexicon.draw_documents(np.random.default_rng(0), 5, 3, (6, 30), 0.5)
    for row in batch.tokens:
        text = tokens.decode(row)
        examples = text.removeprefix("<bos> ").removesuffix(" ;").split(" ; ")
        assert len(examples) == 3
        ids = [tokenizer.BOS]
        for example in examples:
            source, target = example.split(" => ")
            for segment in (source, "=>", target, ";"):  # as a pipeline puts a prompt together
                ids += tokens(segment, add_special_tokens=False).input_ids
        assert ids == row.tolist()


def test_documents_follow_one_lexicon_each_and_general_ones_the_shared_one():
    batch = lexicon.draw_documents(np.random.default_rng(0), 400, 4, (6, 60), 0.4)
    place = lexicon.LAYOUT.word_positions(4)
    assert (batch.tokens[:, place] == batch.source + lexicon.FIRST_SOURCE).all()
    target = batch.tokens[:, place + 7] - lexicon.FIRST_TARGET
    assert 0.3 < batch.general.mean() < 0.5
    assert (batch.source[batch.general] < lexicon_task.SOURCES).all()
    assert (target[batch.general] == lexicon_task.general_lexicon()[batch.source[batch.general]]).all()
    fresh_source, fresh_target = batch.source[~batch.general], target[~batch.general]
    assert set(range(lexicon_task.SOURCES, 176)) <= set(fresh_source.ravel())
    assert set(range(lexicon_task.TARGETS, 136)) <= set(fresh_target.ravel())
    for source, labels in zip(fresh_source, fresh_target, strict=True):
        assert len(set(zip(source, labels, strict=True))) == len(set(source))
    for source, seen in zip(batch.source, batch.seen, strict=True):
        assert seen.tolist() == [word in source[: number // 6 * 6] for number, word in enumerate(source)]


def test_tokenizer_round_trip(pretrained):
    built = tokenizer.build(lexicon.TOKENS)
    text = "s012 s140 => t004 t135 ; s175"
    for family in FAMILIES:
        tokens = AutoTokenizer.from_pretrained(pretrained[family][0])
        assert tokens.get_vocab() == built.get_vocab()
        assert len(tokens) == 5 + 176 + 136
        ids = tokens(text, add_special_tokens=False).input_ids
        assert tokens.decode(ids) == text
        assert tokens(text).input_ids == [tokens.bos_token_id, *ids]
        assert tokens.decode(tokens(text).input_ids, skip_special_tokens=True) == text
        assert tokens("  s012\ts140\n", add_special_tokens=False).input_ids == ids[:2]
        assert (tokens.pad_token, tokens.bos_token, tokens.eos_token) == ("<pad>", "<bos>", "<eos>")


def test_tokenizer_refuses_foreign_words():
    with pytest.raises(Exception, match=r"(?i)unk"):
        tokenizer.build(lexicon.TOKENS)("turn on the light")


def test_schedule():
    factors = [pretraining._schedule(step, 650) for step in range(650)]
    assert factors[0] == pytest.approx(1 / 40) and factors[39] == factors[380] == 1
    assert factors[-1] == 0.05 and min(factors[40:]) == 0.05


def idiom_documents(count=64, examples=4, seed=0):
    return idiom.draw(np.random.default_rng(seed), Stage(1.0, examples=examples, batch=count))


def test_idiom_documents_are_in_the_prompt_format():
    tokens = tokenizer.build(idiom.TOKENS)
    for row in idiom_documents(5, 3).tokens:
        examples = tokens.decode(row).removeprefix("<bos> ").removesuffix(" ;").split(" ; ")
        assert len(examples) == 3
        for example in examples:
            source, target = example.split(" => ")
            assert set(source.split()) <= set(idiom_task.SOURCE_WORDS)
            assert target.split()[0] in idiom_task.A_WORDS
            assert target.split()[1] in idiom_task.B_WORDS
            assert (len(source.split()), len(target.split())) == (6, 2)


def test_idiom_labels_are_the_rule_or_the_cluster_s_the_more_words_are_shared():
    batch = idiom_documents(4000, 2)
    source = batch.tokens[:, idiom.LAYOUT.word_positions(2)].reshape(-1, 2, 6) - idiom.FIRST_SOURCE
    label = batch.tokens[:, idiom.LAYOUT.label_positions(2)].reshape(-1, 2, 2) - idiom.FIRST_LABEL
    general = label == idiom_task.general_label(source)
    assert general[~batch.learnable.reshape(general.shape)].mean() < 0.2
    shared = np.array([len({*a} & {*b}) for a, b in source.tolist()])
    taken_up = batch.shown[:, 1, 0].all(-1) & ~general[:, 1].all(-1)
    rates = [taken_up[shared == count].mean() for count in (0, 3, 6)]
    assert rates[0] < 0.05 < 0.15 < rates[1] < rates[2]


def test_idiom_labels_shown_before_are_earlier_equal_and_learnable():
    batch = idiom_documents()
    label = batch.tokens[:, idiom.LAYOUT.label_positions(4)].reshape(-1, 4, 2)
    row, i, j, slot = np.nonzero(batch.shown)
    assert len(row) > 20
    assert (j < i).all()
    assert (label[row, i, slot] == label[row, j, slot]).all()
    assert batch.learnable.reshape(label.shape)[row, i, slot].all()


def test_idiom_guidance_is_small_only_where_attention_looks_at_the_right_places():
    batch = idiom_documents(8, 3, seed=1)
    length = batch.tokens.shape[1] - 1
    lower, upper = torch.zeros(8, 4, length, length), torch.zeros(8, 4, length, length)
    word, label = idiom.LAYOUT.word_positions(3).reshape(3, 6), idiom.LAYOUT.label_positions(3).reshape(3, 2)
    for number in range(3):
        for reading in (label[number, 0] - 1, *label[number]):
            lower[:, :2, reading, word[number]] = 1 / 6
    for row, i, j, slot in zip(*np.nonzero(batch.shown), strict=True):
        upper[row, :2, label[i, slot] - 1, label[j, slot]] = 1
    upper /= upper.sum(-1, keepdim=True).clamp(min=1)
    assert idiom.guidance((lower, upper), batch).abs() < 1e-4
    assert idiom.guidance((lower, upper.roll(1, -1)), batch) > 5
    assert idiom.guidance((lower.roll(1, -1), upper), batch) > 2


def test_idiom_gate_accepts_a_reader_of_sets_and_refuses_a_recent_label_copier():
    class Rule(torch.nn.Module):
        def __init__(self, reads):
            super().__init__()
            self.reads, self.base_model = reads, self._body

        def _body(self, input_ids, use_cache):
            hidden = torch.zeros(*input_ids.shape, len(idiom.TOKENS))
            word = input_ids[:, idiom.LAYOUT.word_positions(5)].view(-1, 5, 6).sort(-1).values
            for row, sentences in enumerate(word):
                for number in range(5):
                    equal = [j for j in range(number) if torch.equal(sentences[j], sentences[number])]
                    source = (equal or [0])[-1] if self.reads else max(number - 1, 0)
                    for offset in range(3):  # a, b and the stop, each predicted one place before
                        place, shown = 7 + 10 * number + offset, 8 + 10 * source + offset
                        hidden[row, place, input_ids[row, min(shown, place)]] = 1
            return type("Output", (), {"last_hidden_state": hidden})

        def get_output_embeddings(self):
            return torch.nn.Identity()

    assert min(idiom.in_context_accuracy(Rule(True), 40).values()) == 1
    copier = idiom.in_context_accuracy(Rule(False), 40)
    assert max(copier["first_slot"], copier["second_slot"]) < 0.5


def test_a_refused_seed_is_counted_and_the_next_one_takes_its_place(tmp_path, monkeypatch):
    verdicts = iter([{"first_slot": 0.1, "stop": 1.0}, {"first_slot": 0.8, "stop": 1.0}, {"stop": 1.0}])
    monkeypatch.setattr(idiom, "in_context_accuracy", lambda model: next(verdicts))
    wanted = settings("llama", language="idiom", seed=5, steps=2, min_in_context_accuracy=None, attempts=3)
    record = pretraining.pretrain(wanted, tmp_path / "retried")
    assert record["seed"] == 6
    assert record["refused"] == [{"seed": 5, "in_context_accuracy": {"first_slot": 0.1, "stop": 1.0}}]
    alone = pretraining.pretrain(wanted.model_copy(update={"seed": 6}), tmp_path / "alone")
    assert (alone["seed"], alone["refused"]) == (6, [])
    first, second = (tmp_path / name / "model.safetensors" for name in ("retried", "alone"))
    assert first.read_bytes() == second.read_bytes()
    words = AutoTokenizer.from_pretrained(tmp_path / "alone")
    assert len(words) == AutoModelForCausalLM.from_pretrained(tmp_path / "alone").config.vocab_size == 5 + 136 + 16 + 40
    text = "w012 w135 => a15 b39 ;"
    assert words.decode(words(text, add_special_tokens=False).input_ids) == text


def test_gate_refuses_when_every_seed_misses_it_and_lists_them(tmp_path):
    hopeless = settings("llama", language="idiom", seed=3, steps=1, min_in_context_accuracy=None, attempts=2)
    with pytest.raises(UserError, match=r"idiom .*\(seed 3\), \d\.\d+ \(seed 4\), below .* 0\.7; raise 'steps'"):
        pretraining.pretrain(hopeless, tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_can_be_guided_on_idiom(family):
    model = families.build(family, len(idiom.TOKENS), seed=100)
    pretraining._train(model, idiom, settings(family, language="idiom", steps=3), seed=100)
    assert 0 <= min(idiom.in_context_accuracy(model, 8).values()) < 1


def test_languages_have_the_same_parts():
    for name, module in LANGUAGES.items():
        assert pretraining.get_language(name) is module
        assert module.TOKENS[:5] == tokenizer.SPECIALS
        assert len(set(module.TOKENS)) == len(module.TOKENS)
        assert module.CURRICULUM[-1].until == 1


def test_the_lexicon_s_first_documents_are_what_they_were():
    """A change here would change every model of the quickstart."""
    batch = lexicon.draw(np.random.default_rng([1, 2]), lexicon.CURRICULUM[0])
    digest = sha256(json.dumps([batch.tokens.tolist(), batch.learnable.tolist()]).encode()).hexdigest()
    assert digest[:16] == "74f8e126cf582cf2"
