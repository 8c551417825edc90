# Existing answers in the buckets of another encoder, when asked for; no model runs.
rule rebucket:
    input:
        contexts=f"{R}/contexts/{{task}}/eval.parquet",
        train=f"{R}/corpus/{{task}}/train.parquet",
        texts=lambda wc: [
            f"{R}/corpus/{wc.task}/arrivals.parquet",
            f"{R}/corpus/{wc.task}/test.parquet",
            *inputs.stand_ins(wc.task),
        ],
        encoder=f"{R}/encoders/{{encoder}}.json",
        scores=lambda wc: [
            f"{R}/scores/{task}/{model}.parquet"
            for task, model in reported.scored_pairs
            if task == wc.task
        ],
        nearest=f"{R}/scores/{{task}}/nearest_label.parquet",
    output:
        multiext(f"{R}/rebucketed/{{task}}/{{encoder}}/scores", ".parquet", ".csv"),
    log:
        f"{R}/logs/rebucket/{{task}}.{{encoder}}.log",
    wildcard_constraints:
        encoder="|".join(study.encoders),
    conda:
        "../envs/core.yaml"
    resources:
        **jobs.resources("rebucket"),
    params:
        settings=lambda wc: steps.settings("rebucket", wc.task, wc.encoder),
    shell:
        f"python {S}/rebucket.py"
        " --settings {params.settings:q} --log {log}"
        " --contexts {input.contexts} --train {input.train} --texts {input.texts} --encoder {input.encoder}"
        f" --scores {{input.scores}} {{input.nearest}} --out-dir {R}/rebucketed/{{wildcards.task}}/{{wildcards.encoder}}"
        f" --safeguards {jobs.safeguards}"
