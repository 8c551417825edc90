"""Loading what a registry names, when it is needed."""

import importlib
from typing import Any


def load(reference: str) -> Any:
    """Return a module, ``package.module``, or something in one, ``package.module:name``.

    Registries hold such references, so that what isn't used isn't imported, and a change in it concerns nobody else
    (:data:`contrastive_context.workflow.code_versions.declared.REGISTRIES`).
    """
    module, _, name = reference.partition(":")
    loaded = importlib.import_module(module)
    return getattr(loaded, name) if name else loaded
