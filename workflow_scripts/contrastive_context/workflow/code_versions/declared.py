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
        "core.gpus": "which GPU a job takes",
        "core.lease": "who may write a folder, or use a GPU",
        "core.loading": "loads what a registry names; the entry itself counts",
        "core.provenance": "sidecars, which describe artifacts",
        "training.interruptions": "when fine-tuning stops",
        "training.watchdog": "when fine-tuning is given up",
        "workflow": "what runs, and when",
    }.items()
}

#: What is only shown to a person: functions and methods, by their last name, → keyword arguments that are.
SHOWN: dict[str, str] = {
    "ArgumentParser": "description epilog usage",
    "Field": "description examples title",
    "add_argument": "help metavar",
    "add_argument_group": "description title",
    "add_parser": "description epilog help usage",
    "add_subparsers": "description help metavar title",
    "answer": "label",
    "embed": "label",
    "embed_to_file": "label",
    "generate": "label",
    "probe_model": "label",
    "progress": "label unit",
    "tqdm": "desc unit",
}
#: Exceptions whose text is for a person, beside the built-in ones. Texts of others may be kept as a reason.
MESSAGES = ("UserError",)
#: Methods of what is called ``log``.
LEVELS = ("critical", "debug", "error", "exception", "info", "log", "warning")
#: Built-in functions without side effects, as far as the making of a message is concerned.
PURE = (
    "abs", "all", "any", "dict", "float", "format", "int", "len", "list", "max", "min", "range", "repr", "round",
    "set", "sorted", "str", "sum", "tuple", "type",
)  # fmt: skip

#: Decorators, by their last name, that neither look at annotations nor register what they decorate.
PLAIN_DECORATORS = (
    "abstractmethod", "cache", "cached_property", "classmethod", "contextmanager", "dataclass", "errstate",
    "field_validator", "lru_cache", "model_validator", "no_grad", "property", "staticmethod", "wraps",
)  # fmt: skip
#: Libraries whose base classes call no class methods by a name that isn't ``_marked_``.
KNOWN_BASES = ("abc.", "collections.abc.", "enum.", "pydantic.", "typing.")
#: Functions that read files beside the module.
FILES = ("importlib.resources.files", "jinja2.PackageLoader", "pkgutil.get_data")
#: What can reach anything: a version that is made with it is made of all code.
UNDECIDABLE = {
    "exec", "eval", "globals", "metaclass", "__import__", "__init_subclass__", "importlib.import_module",
    "operator.attrgetter", "operator.methodcaller", "runpy.run_module", "runpy.run_path", "sys.modules",
    "typing.get_args",
}  # fmt: skip
