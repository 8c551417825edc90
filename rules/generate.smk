rule generate:
    input:
        model=f"{R}/models/{{model}}.json",
        adapters=lambda wc: inputs.adapters(wc.task, wc.model, wc.system),
        contexts=f"{R}/contexts/{{task}}/eval.parquet",
        arrivals=f"{R}/corpus/{{task}}/arrivals.parquet",
        paraphrases=lambda wc: inputs.stand_ins(wc.task),
        test=f"{R}/corpus/{{task}}/test.parquet",
    output:
        f"{R}/predictions/{{task}}/{{model}}/{{system}}.jsonl",
    log:
        f"{R}/logs/generate/{{task}}.{{model}}.{{system}}.log",
    conda:
        "../envs/core.yaml"
    threads: study.generation.threads
    resources:
        **jobs.resources("generate"),
    params:
        settings=lambda wc: steps.settings("generate", wc.task, wc.model),
    shell:
        f"python {S}/generate.py"
        " --settings {params.settings:q} --log {log}"
        " --model {input.model} --adapters {input.adapters} --contexts {input.contexts}"
        " --arrivals {input.arrivals} --paraphrases {input.paraphrases} --test {input.test} --out {output}"
        f" {jobs.execution}"
        f" --state-dir {R}/.state/generate/{{wildcards.task}}/{{wildcards.model}}/{{wildcards.system}}"
