"""A word-level tokenizer for the lexicon vocabulary: one token per word, separated by blanks."""

from typing import TYPE_CHECKING

from contrastive_context.corpora.lexicon import SOURCE_WORDS, TARGET_WORDS

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PAD, BOS, EOS, ARROW, STOP = range(5)
TOKENS = ("<pad>", "<bos>", "<eos>", "=>", ";", *SOURCE_WORDS, *TARGET_WORDS)
"""Token strings by id."""
FIRST_SOURCE = 5
FIRST_TARGET = FIRST_SOURCE + len(SOURCE_WORDS)


def build() -> "PreTrainedTokenizerFast":
    """Return the tokenizer.

    It splits on whitespace, puts ``<bos>`` first when asked to add special tokens, and decodes to words joined by
    blanks. There is no unknown token: a foreign word is an error rather than a silent loss.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordLevel({token: number for number, token in enumerate(TOKENS)}))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A", pair="<bos> $A $B", special_tokens=[("<bos>", BOS)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        padding_side="left",
        model_max_length=512,
        clean_up_tokenization_spaces=False,
    )
