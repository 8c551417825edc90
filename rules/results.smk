from contrastive_context.config.files import write_effective


# Before the first job; neither in a dry run nor in the jobs' own processes.
onstart:
    write_effective(study, f"{R}/config.yaml")


# What reports are made from: everything up to answers and probe values.
include: "packages.smk"
include: "prefetch.smk"
include: "models.smk"
include: "corpus.smk"
include: "embeddings.smk"
include: "neighbours.smk"
include: "paraphrases.smk"
include: "train_contexts.smk"
include: "finetune.smk"
include: "frozen_contexts.smk"
include: "generate.smk"
include: "probe.smk"
