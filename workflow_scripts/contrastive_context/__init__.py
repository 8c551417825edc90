"""Context sampling, probes and similarity-bucketed evaluation for in-context fine-tuning studies.

What a training loop of your own needs is imported from here: ``from contrastive_context import Strategy,
sample_contexts``. A name's module is loaded when the name is first used, so that the import itself costs nothing.
What its modules hold besides may change with any version; they import from each other, never from here.
"""

import importlib
from typing import TYPE_CHECKING, Any

from contrastive_context.core.version import __version__

if TYPE_CHECKING:
    from contrastive_context.config.strategies import Strategy
    from contrastive_context.config.tasks import TaskProbes
    from contrastive_context.config.templates import Template
    from contrastive_context.contexts.candidates import Examples
    from contrastive_context.contexts.probe_prompts import freeze_probes
    from contrastive_context.contexts.sampling import iter_contexts, sample_contexts
    from contrastive_context.contexts.settings import FreezeProbesSettings
    from contrastive_context.core.buckets import DEFAULT_BUCKETS
    from contrastive_context.core.errors import UserError
    from contrastive_context.corpora.rows import row_id
    from contrastive_context.inference.probing import probe_model
    from contrastive_context.prompting.prompts import PromptEncoder
    from contrastive_context.retrieval.bm25 import BM25
    from contrastive_context.retrieval.similarity import similarity_between

__all__ = [
    "BM25",
    "DEFAULT_BUCKETS",
    "Examples",
    "FreezeProbesSettings",
    "PromptEncoder",
    "Strategy",
    "TaskProbes",
    "Template",
    "UserError",
    "__version__",
    "freeze_probes",
    "iter_contexts",
    "probe_model",
    "row_id",
    "sample_contexts",
    "similarity_between",
]

#: Exported name → its module.
_MODULES = {
    "BM25": "retrieval.bm25",
    "DEFAULT_BUCKETS": "core.buckets",
    "Examples": "contexts.candidates",
    "FreezeProbesSettings": "contexts.settings",
    "PromptEncoder": "prompting.prompts",
    "Strategy": "config.strategies",
    "TaskProbes": "config.tasks",
    "Template": "config.templates",
    "UserError": "core.errors",
    "freeze_probes": "contexts.probe_prompts",
    "iter_contexts": "contexts.sampling",
    "probe_model": "inference.probing",
    "row_id": "corpora.rows",
    "sample_contexts": "contexts.sampling",
    "similarity_between": "retrieval.similarity",
}


def __getattr__(name: str) -> Any:
    """Load an exported name from its module."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it exports {', '.join(__all__)}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
