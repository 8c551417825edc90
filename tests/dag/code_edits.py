"""Edits of code, and the results whose code version they change.

A row: a name; file → text that is replaced and what by (or a new file's text); patterns of the first outputs of the
jobs of the wide grid. Files are named from ``workflow_scripts``; ``@`` is the package.
"""

MODELS = "finetune/* predictions/*/*/* probes/*"
"""Whatever loads a language model to train or to answer."""
SQL = "corpus/sql/* corpus/bird/*"
EXECUTED = "segment_scores/*.bird_execution_accuracy.jsonl"
CHRF = "en-de intents mtop own parted software-de software-hi sql bird"
"""Tasks whose agreement is chrF."""
BM25 = "own parted sql bird mtop"
"""Tasks whose encoder is BM25."""
PRESENTED = "tables/*.tex figures/fig[1356]* report.html"
"""Whatever shows scores."""


UNPROBED = "parted"
"""The task without probes."""


def of_tasks(tasks: str, *patterns: str) -> str:
    found = [(task, pattern.format(task)) for task in tasks.split() for pattern in patterns]
    return " ".join(path for task, path in found if task != UNPROBED or "probes" not in path)


#: What compares answers by a function that the settings name.
COMPARED = ("contexts/{}/eval.parquet", "contexts/{}/probes.parquet", "probes/{}/*")

CODE_EDITS = [
    # What is only shown to a person.
    ("an error's text in the lowest layer", {"@/core/artifacts.py": ("free some and run", "make room, then run")}, ""),
    (
        "an error's text with another part",
        {"@/core/artifacts.py": ("can't be read as JSON ({error})", "is {error!r}, no JSON")},
        "",
    ),
    ("a field's description", {"@/config/sources.py": ("clusters whose sentences train", "clusters of training")}, ""),
    ("a log line", {"@/retrieval/neighbours.py": ('log.info("hnswlib: recall@%d', 'log.warning("recall@%d')}, ""),
    (
        "a log line more",
        {
            "@/core/artifacts.py": (
                "    digest = hashlib.sha256()\n    with",
                "    digest = hashlib.sha256()\n    import logging\n    logging.info('%s', path)\n    with",
            )
        },
        "",
    ),
    (
        "a docstring and annotations",
        {
            "@/core/artifacts.py": (
                'def sha256_file(path: str | os.PathLike) -> str:\n    """Return the',
                'def sha256_file(path):\n    """Give the',
            )
        },
        "",
    ),
    ("a help text", {"finetune.py": ("corpus file of the training split", "the training split")}, ""),
    (
        "a label of a progress bar",
        {"@/scoring/execution.py": ('label=f"{settings.task} queries"', 'label="queries"')},
        "",
    ),
    ("an error's text elsewhere", {"@/inference/probing.py": ("make the probes again", "x")}, ""),
    ("arguments, log and progress", {"@/core/cli.py": ("def progress(", "x = 1\n\n\ndef progress(")}, ""),
    ("sidecars", {"@/core/provenance.py": ('"finished":', '"ended":')}, ""),
    ("when fine-tuning stops", {"@/training/watchdog.py": ("class Diverged(", "x = 1\n\n\nclass Diverged(")}, ""),
    (
        "how settings are made, which stand in them",
        {"@/training/settings.py": ("seed=int(seed)", "seed=int(seed) + 0")},
        "",
    ),
    ("an unrelated definition", {"@/core/artifacts.py": ("_CHUNK = 1 << 20", "_CHUNK = 1 << 20\n_OTHER = 2")}, ""),
    (
        "a choice more",
        {"@/config/tasks.py": ('Literal["one_graded", "top_k"]', 'Literal["one_graded", "top_k", "other"]')},
        "",
    ),
    # A kind more.
    (
        "a kind of corpus",
        {
            "@/config/sources.py": [
                ("    | MtopCorpus,", "    | MtopCorpus\n    | OtherCorpus,"),
                (
                    "Corpus = Annotated[",
                    "class OtherCorpus(Model):\n    kind: Literal['other']\n\n\nCorpus = Annotated[",
                ),
            ],
            "@/corpora/build.py": ('    "mtop": ', '    "other": "contrastive_context.corpora.other",\n    "mtop": '),
            "@/corpora/other.py": "def build(corpus): return {}\n",
        },
        "",
    ),
    (
        "a format of catalogues",
        {
            "@/config/text.py": [
                ("| GettextCatalogue,", "| GettextCatalogue | OtherCatalogue,"),
                (
                    "Catalogue = Annotated[",
                    "class OtherCatalogue(Model):\n    format: Literal['other']\n\n\nCatalogue = Annotated[",
                ),
            ],
            "@/corpora/catalogues/__init__.py": (
                '    "gettext": ',
                '    "other": "contrastive_context.core",\n    "gettext": ',
            ),
        },
        "",
    ),
    (
        "a metric",
        {
            "@/config/tasks.py": ('"bleu", "comet",', '"bleu", "other", "comet",'),
            "@/scoring/metrics.py": (
                '    "slot_f1": lambda',
                '    "other": lambda _: _Mean("other", "Other", max),\n    "slot_f1": lambda',
            ),
            "@/config/statistics.py": ('    "slot_f1": 0.02,', '    "slot_f1": 0.02,\n    "other": 0.02,'),
        },
        "tables/scores.parquet",
    ),
    (
        "an agreement",
        {
            "@/config/tasks.py": ('"exact_match", "chrf"]', '"exact_match", "chrf", "other"]'),
            "@/text/agreement.py": ('    "chrf": chrf,', '    "chrf": chrf,\n    "other": max,'),
        },
        "",
    ),
    (
        "a paraphraser",
        {
            "@/config/paraphrasers.py": [
                ("    | BackTranslationParaphraser,", "    | BackTranslationParaphraser\n    | Other,"),
                (
                    "Paraphraser = Annotated[",
                    "class Other(_Paraphraser):\n    kind: Literal['other']\n\n\nParaphraser = Annotated[",
                ),
            ],
            "@/paraphrasing/proposals.py": (
                '    "rules": _by_rules,',
                '    "rules": _by_rules,\n    "other": _by_rules,',
            ),
        },
        "",
    ),
    (
        "a kind of strategy",
        {
            "@/config/strategies.py": [
                ('"contrastive", "mixed"]', '"contrastive", "mixed", "other"]'),
                ('    "random": Kind(),', '    "random": Kind(),\n    "other": Kind(neighbours=2),'),
            ],
            "@/contexts/sampling.py": ('    "mixed": _mixed,', '    "mixed": _mixed,\n    "other": _similar,'),
        },
        "",
    ),
    (
        "an encoder",
        {
            "@/config/sources.py": [
                ("    PositionalWordsEncoder |", "    OtherEncoder | PositionalWordsEncoder |"),
                (
                    "Encoder = Annotated[",
                    "class OtherEncoder(Model):\n    kind: Literal['other']\n\n\nEncoder = Annotated[",
                ),
            ],
            "@/retrieval/encoders.py": ('    "bm25": _load_bm25,', '    "bm25": _load_bm25,\n    "other": _load_bm25,'),
            "@/retrieval/encoder_preparation.py": ('    "bm25": _bm25,', '    "bm25": _bm25,\n    "other": _bm25,'),
            "@/retrieval/embedding.py": (
                '    "bm25": _weigh_words,',
                '    "bm25": _weigh_words,\n    "other": _embed,',
            ),
        },
        "",
    ),
    (
        "a family of tiny models",
        {
            "@/config/models.py": ('"gpt_neox"]', '"gpt_neox", "other"]'),
            "@/models/tiny/families.py": (
                '    "gpt_neox": _gpt_neox,',
                '    "gpt_neox": _gpt_neox,\n    "other": _llama,',
            ),
        },
        "",
    ),
    # Something that a name stands for.
    ("a kind of corpus", {"@/corpora/mtop.py": ("_skeleton(tree)", "_skeleton(tree) + ''")}, "corpus/mtop/*"),
    ("its settings", {"@/config/parses.py": ("0.02, ge=0", "0.03, ge=0")}, "corpus/mtop/*"),
    (
        "a format of catalogues",
        {"@/corpora/catalogues/chromium.py": ("if offsets != sorted(offsets)", "if offsets != offsets")},
        "corpus/software-hi/*",
    ),
    ("a list of words", {"@/corpora/households.yaml": ("bedroom", "bed room")}, "corpus/intents/*"),
    ("an agreement", {"@/text/agreement.py": (".score / 100", ".score * 0.01")}, of_tasks(CHRF, *COMPARED)),
    ("a decorator", {"@/text/agreement.py": ("@functools.cache\n", "")}, of_tasks(CHRF, *COMPARED)),
    (
        "an agreement that is a metric too",
        {"@/text/agreement.py": ("float(composed(output).split() == ", "1.0 * (composed(output).split() == ")},
        f"scores/intents/* scores/sql/* scores/bird/* tables/scores.parquet {PRESENTED}",
    ),
    (
        "a metric",
        {"@/scoring/metrics.py": ("parses.intent(output) == parses", "parses.intent(output) is parses")},
        f"scores/intents/* tables/scores.parquet {PRESENTED}",
    ),
    (
        "a kind of strategy",
        {
            "@/contexts/sampling.py": (
                "uniform(numbers(state, 0)) < strategy.p\n    intended",
                "uniform(numbers(state, 2)) < strategy.p\n    intended",
            )
        },
        "contexts/*/train/mixed.parquet",
    ),
    (
        "another one",
        {
            "@/contexts/sampling.py": (
                "pool.nearest[targets], intended, _if_any(",
                "pool.nearest[targets], intended + 0, _if_any(",
            )
        },
        "contexts/*/train/similar.parquet",
    ),
    (
        "what a kind of strategy needs",
        {"@/config/strategies.py": ('"contrastive": Kind(neighbours=1', '"contrastive": Kind(neighbours=2')},
        "contexts/*/train/contrastive* contexts/*/train/plane*",
    ),
    (
        "a paraphraser",
        {"@/paraphrasing/rules.py": ("re.IGNORECASE)\n", "re.IGNORECASE | re.ASCII)\n")},
        "paraphrases/software-de/*",
    ),
    (
        "an encoder",
        {"@/retrieval/bm25.py": ("in Counter(found).items()", "in sorted(Counter(found).items())")},
        of_tasks(BM25, "embeddings/{}/*") + " paraphrases/own/*",
    ),
    (
        "a family of tiny models",
        {"@/models/tiny/families.py": ("use_parallel_residual=True", "use_parallel_residual=False")},
        "models/tiny-neox.json",
    ),
    (
        "a synthetic language",
        {"@/models/tiny/idiom.py": ("0.05, 0.05, 0.1,", "0.05, 0.05, 0.2,")},
        "models/idiom-llama.json",
    ),
    (
        "a way to make models",
        {"@/models/preparation.py": ('values.pop("quantization_config", None)', "pass")},
        "models/smollm2-135m.json",
    ),
    (
        "a rule for anchors",
        {"@/contexts/anchors.py": ('"number" if word', '"digits" if word')},
        of_tasks("en-de own parted software-de software-hi", "contexts/{}/probes.parquet"),
    ),
    # Something that is reached.
    (
        "a constant of one function",
        {"@/contexts/anchors.py": (r'_BEFORE = re.compile(r"(\w+)', r'_BEFORE = re.compile(r"(\w)')},
        of_tasks("intents sql bird mtop", "contexts/{}/probes.parquet"),
    ),
    (
        "a constant",
        {"@/contexts/series.py": ('STAND_INS = "stand_ins"', 'STAND_INS = "replaced"')},
        "contexts/*/eval.parquet tables/scores.parquet tables/*.tex figures/fig3* report.html",
    ),
    (
        "a helper's body",
        {"@/text/normalising.py": ("return text[start:end] or text", "return text[start:end]")},
        "corpus/* paraphrases/[!e]* paraphrases/en-de/train/gemini.parquet "
        "contexts/*/train/* contexts/*/eval.parquet contexts/*/probes.parquet " + of_tasks(BM25, "embeddings/{}/*"),
    ),
    (
        "a default value",
        {"@/contexts/sampling.py": ("chunk: int = 16_384", "chunk: int = 8_192")},
        "contexts/*/train/*",
    ),
    (
        "a method",
        {"@/models/adapters.py": ("return self._merge(folder)", "return self._merge(folder) or None")},
        "predictions/*/*/* probes/*",
    ),
    (
        "a property of settings",
        {"@/config/strategies.py": ("return self.neighbours(1) > 0", "return self.neighbours(1) >= 1")},
        "contexts/*/train/*",
    ),
    (
        "a class method where it is called",
        {
            "@/retrieval/bm25.py": (
                "return cls(documents, length / documents",
                "return cls(documents, length / max(documents, 1)",
            )
        },
        of_tasks(BM25, "embeddings/{}/*"),
    ),
    (
        "a base class",
        {"@/models/settings.py": ("    template: Template\n", "    template: Template\n    other: int = 0\n")},
        MODELS,
    ),
    (
        "a fine-tuning step",
        {"@/training/optimization.py": ("return total.item(), norm.item()", "return norm.item(), total.item()")},
        "finetune/*",
    ),
    (
        "a patch of a library",
        {"@/models/adapters.py": ("\n\ndef attach(", "\n\ntorch.nn.Linear.forward = None\n\n\ndef attach(")},
        MODELS,
    ),
    (
        "a reason that is kept",
        {"@/text/parses.py": ('"text behind the tree"', '"more than a tree"')},
        f"corpus/mtop/* scores/mtop/* tables/scores.parquet {PRESENTED}",
    ),
    ("what runs queries", {"@/sql/child.py": ('f"more than {rows} rows"', '"too many rows"')}, f"{SQL} {EXECUTED}"),
    ("a figure", {"@/figures/summary.py": ("return pages.figures", "return [*pages.figures]")}, "figures/fig1*"),
    ("the report's template", {"@/report/template.html": ("<title>", "<title> ")}, "report.html"),
    ("the entry point itself", {"generate.py": ("adapter = 0, None\n", "adapter = -1, None\n")}, "predictions/*/*/*"),
]
