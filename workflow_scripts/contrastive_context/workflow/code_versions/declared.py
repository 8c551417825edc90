"""What the analysis of code is told, since the code doesn't show it."""

PACKAGE = "contrastive_context"

#: Registries → where a step's settings hold the names that it looks up. Only the entries named there count, and those
#: that code names itself. ``*`` stands for every key or item. A registry is a mapping written out with string keys (to
#: functions, values, or references for ``core.loading``), or a union of settings classes with a discriminator.
REGISTRIES: dict[str, tuple[str, ...]] = {
    f"{PACKAGE}.{registry}": paths
    for registry, paths in {
        "config.models.LanguageModel": ("model.kind",),
        "config.paraphrasers.Paraphraser": ("paraphraser.kind",),
        "config.sources.Corpus": ("corpus.kind",),
        "config.sources.Encoder": ("encoder.kind",),
        "config.strategies.KINDS": ("strategy.kind",),
        "config.text.Catalogue": ("corpus.in_domain.format", "corpus.out_of_domain.format"),
        "contexts.anchors.KINDS": ("probes.anchors",),
        "contexts.evaluation_contexts.BESIDE_STAND_INS": ("evaluation.compositions",),
        "contexts.evaluation_contexts.COMPOSITIONS": ("evaluation.compositions",),
        "contexts.sampling.CHOICES": ("strategy.kind",),
        "corpora.build.KINDS": ("corpus.kind",),
        "corpora.catalogues.FORMATS": ("corpus.in_domain.format", "corpus.out_of_domain.format"),
        "minimal_model.task.KINDS": ("conditions.*.kind",),
        "models.preparation.MAKERS": ("model.kind",),
        "models.tiny.families.FAMILIES": ("model.family",),
        "models.tiny.languages.LANGUAGES": ("model.language",),
        "paraphrasing.proposals.PROPOSERS": ("paraphraser.kind",),
        "retrieval.embedding.WRITERS": ("encoder.kind",),
        "retrieval.encoder_preparation.MAKERS": ("encoder.kind",),
        "retrieval.encoders.LOADERS": ("encoder.kind",),
        "scoring.metrics.METRICS": ("metrics", "metrics.*", "config.tasks.*.metrics"),
        "text.agreement.AGREEMENTS": ("agreement",),
    }.items()
}

#: Modules (and what lies below them) that shape no artifact → why not.
IGNORED: dict[str, str] = {
    f"{PACKAGE}.{module}": reason
    for module, reason in {
        "config.safeguards": "when steps save and stop",
        "core.cli": "arguments, log and progress",
        "core.errors": "how an error is shown",
        "core.loading": "loads what a registry names; the entry itself counts",
        "core.provenance": "sidecars, which describe artifacts",
        "training.interruptions": "when fine-tuning stops",
        "training.lease": "who may fine-tune",
        "training.watchdog": "when fine-tuning is given up",
        "workflow": "what runs, and when",
    }.items()
}

#: Exceptions whose text is for a person; the built-in ones beside them. Texts of others may be kept as a reason.
MESSAGES = (f"{PACKAGE}.core.errors.UserError",)

#: Functions → keyword arguments that are only shown.
SHOWN: dict[str, tuple[str, ...]] = {
    "argparse.ArgumentParser": ("description", "epilog", "usage"),
    "pydantic.Field": ("description", "examples", "title"),
    "tqdm.tqdm": ("desc", "unit"),
    f"{PACKAGE}.core.cli.progress": ("label", "unit"),
    f"{PACKAGE}.inference.generation.answer": ("label",),
    f"{PACKAGE}.inference.generation.generate": ("label",),
    f"{PACKAGE}.inference.probing.probe_model": ("label",),
    f"{PACKAGE}.retrieval.encoders.embed": ("label",),
    f"{PACKAGE}.retrieval.encoders.embed_to_file": ("label",),
}
#: The same for methods, whatever they are called on.
SHOWN_BY_METHODS: dict[str, tuple[str, ...]] = {
    "add_argument": ("help", "metavar"),
    "add_argument_group": ("description", "title"),
    "add_parser": ("description", "epilog", "help", "usage"),
    "add_subparsers": ("description", "help", "metavar", "title"),
}
