"""What the analysis of code is told, since the code doesn't show it."""

PACKAGE = "contrastive_context"

#: Registries → where a step's settings hold the names that it looks up. Only the entries named there count, beside those
#: that code names itself. ``*`` stands for every key or item. A registry is a mapping written out with string keys (to
#: functions, values, or modules as strings), or a union of settings classes, told apart by the ``Literal`` of a field.
REGISTRIES: dict[str, tuple[str, ...]] = {
    f"{PACKAGE}.{registry}": paths
    for registry, paths in {
        "config.sources.Corpus": ("corpus.kind",),
        "config.sources.Encoder": ("encoder.kind",),
        "config.text.Catalogue": ("corpus.in_domain.format", "corpus.out_of_domain.format"),
        "config.paraphrasers.Paraphraser": ("paraphraser.kind",),
        "config.models.LanguageModel": ("model.kind",),
        "contexts.anchors._REGISTRY": ("probes.anchors",),
        "contexts.evaluation_contexts._BESIDE": ("evaluation.compositions",),
        "contexts.evaluation_contexts._REGISTRY": ("evaluation.compositions",),
        "contexts.sampling._REGISTRY": ("strategy.kind",),
        "corpora.build.KINDS": ("corpus.kind",),
        "corpora.catalogues.FORMATS": ("corpus.in_domain.format", "corpus.out_of_domain.format"),
        "retrieval.word_vectors.ENCODERS": ("encoder.kind",),
        "text.agreement._REGISTRY": ("agreement",),
    }.items()
}

#: Modules (and what lies below them) that shape no artifact → why not.
IGNORED: dict[str, str] = {
    f"{PACKAGE}.{module}": reason
    for module, reason in {
        "config.safeguards": "when fine-tuning saves and stops",
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
