"""Tokenizers and randomly initialised models of several families, built in memory for the tests."""

import functools
import string

WORDS = (
    "turn on the desk lamp in the kitchen. Please translate: 'good morning' costs 3.50 euros;\n"
    "HassTurnOn(name='desk lamp', area='kitchen') größer äöü नमस्ते \n"
)


def _train(tokenizer, trainer):
    tokenizer.train_from_iterator([WORDS] * 20, trainer)
    return tokenizer


@functools.cache
def tokenizer(kind: str):
    """Return "llama" (byte-fallback BPE, "▁", BOS and EOS by itself), "gpt2" (byte level, no BOS, pad = end),
    "unigram" (Metaspace, BOS by itself); or one like gpt2: "neox" (composes to NFC), "glm" (two tokens in front,
    none of which is BOS) or "prefix_space" (a blank in front)."""
    from tokenizers import (
        Regex,
        Tokenizer,
        decoders,
        models,
        normalizers,
        pre_tokenizers,
        processors,
        trainers,
    )  # fmt: skip
    from transformers import PreTrainedTokenizerFast

    specials = ["<unk>", "<s>", "</s>"]
    options = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    if kind == "llama":
        fallback = [f"<0x{byte:02X}>" for byte in range(256)]
        trainer = trainers.BpeTrainer(vocab_size=600, special_tokens=[*specials, *fallback], show_progress=False)
        raw = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
        raw.normalizer = normalizers.Sequence(
            [normalizers.Replace("\n", ""), normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
        )
        raw.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")  # SentencePiece learns no piece of two words
        raw = _train(raw, trainer)
        # Bytes must be ordinary tokens: as special ones they would be matched in text.
        import json

        state = json.loads(raw.to_str())
        state["pre_tokenizer"] = None
        state["added_tokens"] = [token for token in state["added_tokens"] if token["content"] in specials]
        # The trainer saw no newline: it falls back to its byte, as in Llama.
        raw = Tokenizer.from_str(json.dumps(state))
        raw.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        raw.decoder = decoders.Sequence(
            [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
        )
        raw.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
        )
    elif kind != "unigram":
        front = ["[gMASK]", "<sop>"] if kind == "glm" else []
        trainer = trainers.BpeTrainer(
            vocab_size=400,
            special_tokens=["<|endoftext|>", *front],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        raw = Tokenizer(models.BPE())
        raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=kind == "prefix_space")
        raw.decoder = decoders.ByteLevel()
        if kind == "neox":
            raw.normalizer = normalizers.NFC()
        raw = _train(raw, trainer)
        if front:
            raw.post_processor = processors.TemplateProcessing(
                single="[gMASK] <sop> $A", special_tokens=[("[gMASK]", 1), ("<sop>", 2)]
            )
        options = dict.fromkeys(("bos_token", "eos_token", "pad_token"), "<|endoftext|>")
    else:
        trainer = trainers.UnigramTrainer(
            vocab_size=150, special_tokens=specials, unk_token="<unk>", show_progress=False
        )
        raw = Tokenizer(models.Unigram())
        raw.normalizer = normalizers.Replace(Regex(r"\n"), "⏎")
        raw.pre_tokenizer = pre_tokenizers.Metaspace()
        raw.decoder = decoders.Sequence([decoders.Metaspace(), decoders.Replace("⏎", "\n")])
        raw = _train(raw, trainer)
        raw.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=raw, **options)


FAMILIES = ("llama", "gpt2", "gpt_neox", "gemma3")


def model(family: str, vocabulary: int = 600, seed: int = 0):
    """Return a two-layer float32 model with random weights, in evaluation mode."""
    import torch
    from transformers import AutoModelForCausalLM, Gemma3TextConfig, GPT2Config, GPTNeoXConfig, LlamaConfig

    shared = {"vocab_size": vocabulary, "bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
    usual = {
        **shared,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": 512,
        "initializer_range": 0.2,
    }
    config = {
        "llama": lambda: LlamaConfig(**usual, num_key_value_heads=2, tie_word_embeddings=True),
        "gpt2": lambda: GPT2Config(**shared, n_embd=32, n_layer=2, n_head=4, n_positions=512, initializer_range=0.2),
        "gpt_neox": lambda: GPTNeoXConfig(**usual),
        # One layer with a window shorter than the prompts; soft caps come after the output layer.
        "gemma3": lambda: Gemma3TextConfig(
            **usual,
            num_key_value_heads=2,
            head_dim=8,
            query_pre_attn_scalar=8,
            sliding_window=8,
            layer_types=["sliding_attention", "full_attention"],
            final_logit_softcapping=5.0,
        ),
    }[family]()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return AutoModelForCausalLM.from_config(config, attn_implementation="sdpa").eval()


def save_sentence_encoder(folder, texts: list[str], dimensions: int = 64) -> None:
    """Save a sentence-transformers model of random word vectors: its cosine is about the share of common words."""
    import torch
    from sentence_transformers import SentenceTransformer, models
    from tokenizers import Tokenizer, pre_tokenizers
    from tokenizers.models import WordPiece

    splitter = pre_tokenizers.Whitespace()
    # A trainer would number the words in another order each time.
    words = sorted({word for text in texts for word, _ in splitter.pre_tokenize_str(text)})
    words += [piece for letter in string.ascii_letters for piece in (letter, f"##{letter}") if piece not in words]
    raw = Tokenizer(WordPiece({word: number for number, word in enumerate(["[UNK]", *words])}, unk_token="[UNK]"))
    raw.pre_tokenizer = splitter
    torch.manual_seed(0)
    embedding = models.StaticEmbedding(raw, embedding_dim=dimensions)
    torch.nn.init.normal_(embedding.embedding.weight)
    SentenceTransformer(modules=[embedding, models.Normalize()], device="cpu").save(
        str(folder), create_model_card=False
    )
