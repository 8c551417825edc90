rule finetune:
    input:
        model=f"{R}/models/{{model}}.json",
        corpus=f"{R}/corpus/{{task}}/train.parquet",
        contexts=f"{R}/contexts/{{task}}/train/{{strategy}}.parquet",
        paraphrases=lambda wc: inputs.paraphrases(wc.task, wc.strategy),
        # Empty, for the order of jobs.
        frozen=lambda wc: inputs.frozen_before(
            wc.task, wc.model, f"{wc.strategy}-seed{wc.seed}"
        ),
    output:
        adapters=f"{R}/finetune/{{task}}/{{model}}/{{strategy}}-seed{{seed}}/adapters.json",
        log=f"{R}/finetune/{{task}}/{{model}}/{{strategy}}-seed{{seed}}/trainer_log.jsonl",
    log:
        f"{R}/logs/finetune/{{task}}.{{model}}.{{strategy}}-seed{{seed}}.log",
    # The longest chains start here; begun last, they would end alone.
    priority: 10
    conda:
        "../envs/core.yaml"
    threads: lambda wc: grid.recipe(wc.task, wc.model, wc.strategy).threads
    resources:
        **jobs.resources("finetune"),
    params:
        settings=lambda wc: steps.settings(
            "finetune", wc.task, wc.model, wc.strategy, wc.seed
        ),
    shell:
        f"python {S}/finetune.py"
        " --settings {params.settings:q} --log {log}"
        " --model {input.model} --corpus {input.corpus} --contexts {input.contexts}"
        " --paraphrases {input.paraphrases} --out-dir $(dirname {output.adapters})"
        # Not among the outputs, which Snakemake deletes when a job fails.
        f" --state-dir {R}/.state/finetune/{{wildcards.task}}/{{wildcards.model}}/{{wildcards.strategy}}-seed{{wildcards.seed}}"
        f" --safeguards {jobs.safeguards}"
