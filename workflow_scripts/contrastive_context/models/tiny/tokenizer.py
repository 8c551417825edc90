"""A word-level tokenizer for a synthetic language: one token per word, separated by blanks."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PAD, BOS, EOS, ARROW, STOP = range(5)
SPECIALS = ("<pad>", "<bos>", "<eos>", "=>", ";")
"""The first tokens of every language."""


def build(tokens: Sequence[str]) -> "PreTrainedTokenizerFast":
    """Return the tokenizer of a vocabulary, which begins with ``SPECIALS``.

    It splits on whitespace, puts ``<bos>`` first when asked to add special tokens, and decodes to words joined by
    blanks. There is no unknown token: a foreign word is an error rather than a silent loss.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordLevel({token: number for number, token in enumerate(tokens)}))
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
