"""Causal language models of transformers that answer by a rule: what they do is known, and so are their scores."""

from collections.abc import Callable, Sequence

import torch
from transformers import GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput

from contrastive_context.models.tiny.tokenizer import ARROW, BOS, PAD, STOP

Words = list[str]
Rule = Callable[[list[tuple[Words, Words]], Words], Words]
CONFIDENCE = 8.0  # logit of the rule's token; all others have 0


class RuleModel(PreTrainedModel, GenerationMixin):
    """Reads ``source => target ; … query =>`` and goes on with what ``rule(examples, query)`` returns, and the stop."""

    config_class = PretrainedConfig

    def __init__(self, rule: Rule, tokenizer) -> None:
        super().__init__(PretrainedConfig(vocab_size=len(tokenizer), num_hidden_layers=0, hidden_size=1))
        self.rule, self.tokenizer = rule, tokenizer
        self.anchor = torch.nn.Parameter(torch.zeros(1))  # tells which device the model is on

    @classmethod
    def _supports_default_dynamic_cache(cls) -> bool:
        return False

    def prepare_inputs_for_generation(self, input_ids, attention_mask=None, **_):
        return {"input_ids": input_ids}

    def forward(self, input_ids, **_):
        logits = torch.zeros(*input_ids.shape, self.config.vocab_size)
        for row, ids in enumerate(input_ids.tolist()):
            arrow = len(ids) - 1 - ids[::-1].index(ARROW)
            answer = self._answer(tuple(ids[:arrow]))
            for place, token in enumerate(answer):
                if arrow + place < len(ids):
                    logits[row, arrow + place, token] = CONFIDENCE
        return CausalLMOutput(logits=logits)

    def _answer(self, ids: Sequence[int]) -> list[int]:
        parts: list[list[int]] = [[]]
        for token in ids:
            if token == STOP:
                parts.append([])
            elif token not in (PAD, BOS):
                parts[-1].append(token)
        words = [self.tokenizer.convert_ids_to_tokens(part) for part in parts]
        examples = [(part[: part.index("=>")], part[part.index("=>") + 1 :]) for part in words[:-1]]
        return [*self.tokenizer.convert_tokens_to_ids(self.rule(examples, words[-1])), STOP]
