# What several rule files share: the results folder and inputs that depend on the configuration.
from contrastive_context.config.files import write_effective

R = f"results/{study.run}"


# Before the first job; neither in a dry run nor in the jobs' own processes. A report on what is finished may be made
# beside the study, whose record it leaves alone.
onstart:
    write_effective(
        study, f"{R}/config{'.only_finished' if study.only_finished else ''}.yaml"
    )


wildcard_constraints:
    encoder="[^/]+",
    entry="[^/]+",
    metric="comet|comet_qe",
    model="(?!nearest_label)[^/]+",
    package="[^/]+",
    paraphraser="[^/]+",
    registry="[^/]+",
    seed=r"\d+",
    split="[^/]+",
    strategy="[^/]+",
    system=r"base|[^/]+-seed\d+",
    task="[^/]+",


localrules:
    all,
    tables,
    figures,
    report,


# What `snakemake --report` shows, under the captions that our own report has too.
PAGE = "workflow_scripts/contrastive_context/report"
shown = lambda path, category, title: report(
    path,
    caption=f"../{PAGE}/captions/{Path(path).stem}.rst",
    category=category,
    labels={"shows": title},
)
packages = lambda name: [f"{R}/packages/{name}.json"] if name else []
hub_records = lambda entries: [
    f"{R}/hub/{registry}/{name}.json" for registry, name in entries
]
paraphrases = lambda task, strategy: (
    [f"{R}/paraphrases/{task}/train/{name}.parquet"]
    if (name := stages.paraphraser(task, strategy))
    else []
)
# Of test pairs, where the evaluation has stand-ins; and those trained on, none of which may be one.
stand_ins = lambda task: (
    [f"{R}/paraphrases/{task}/test/{name}.parquet"]
    if (name := study.tasks[task].evaluation.paraphraser)
    else []
)
trained_paraphrases = lambda task: [
    f"{R}/paraphrases/{task}/train/{name}.parquet"
    for name in stages.trained_paraphrasers(task)
    if stand_ins(task)
]
neighbours = lambda task, strategy: (
    [f"{R}/neighbours/{task}/train.parquet"]
    if stages.needs_neighbours(strategy)
    else []
)
adapters = lambda wc: (
    []
    if wc.system == "base"
    else [f"{R}/finetune/{wc.task}/{wc.model}/{wc.system}/adapters.json"]
)
