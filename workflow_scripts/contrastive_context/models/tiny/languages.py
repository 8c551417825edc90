"""The synthetic languages that tiny models are pre-trained on, by name."""

from types import ModuleType

from contrastive_context.core.loading import load

LANGUAGES = {
    "idiom": "contrastive_context.models.tiny.idiom",
    "lexicon": "contrastive_context.models.tiny.lexicon",
}
"""Language → its module."""


def get_language(name: str) -> ModuleType:
    """Return the module of a synthetic language (one of ``config.models.PretrainedTinyModel.language``).

    It has the vocabulary ``TOKENS`` and its ``LAYOUT``, the ``CURRICULUM`` (stages), ``draw(rng, stage)`` → documents,
    ``guidance(attentions, documents)`` → scalar and its ``GUIDANCE_WEIGHT``, ``in_context_accuracy(model)`` → shares by
    name, and the gate ``MIN_ACCURACY`` that all of them have to reach.
    """
    return load(LANGUAGES[name])
