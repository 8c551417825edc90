rule generate:
    input:
        model=f"{R}/models/{{model}}.json",
        adapters=adapters,
        contexts=f"{R}/contexts/{{task}}/eval.parquet",
        arrivals=f"{R}/corpus/{{task}}/arrivals.parquet",
        test=f"{R}/corpus/{{task}}/test.parquet",
    output:
        f"{R}/predictions/{{task}}/{{model}}/{{system}}.jsonl",
    log:
        f"{R}/logs/generate/{{task}}.{{model}}.{{system}}.log",
    conda:
        "../envs/core.yaml"
    threads: study.generation.threads
    resources:
        **stages.resources("generate"),
    params:
        settings=lambda wc: stages.generate(wc.task, wc.model),
    shell:
        "python workflow_scripts/generate.py --settings {params.settings:q} --log {log}"
        " --model {input.model} --adapters {input.adapters} --contexts {input.contexts}"
        " --arrivals {input.arrivals} --test {input.test} --out {output}"
        f" --state-dir {R}/.state/generate/{{wildcards.task}}/{{wildcards.model}}/{{wildcards.system}}"


rule predict_nearest_label:
    input:
        contexts=f"{R}/contexts/{{task}}/eval.parquet",
        arrivals=f"{R}/corpus/{{task}}/arrivals.parquet",
    output:
        f"{R}/predictions/{{task}}/nearest_label.jsonl",
    log:
        f"{R}/logs/predict_nearest_label/{{task}}.log",
    localrule: True
    conda:
        "../envs/core.yaml"
    params:
        settings=lambda wc: stages.predict_nearest_label(wc.task),
    shell:
        "python workflow_scripts/predict_nearest_label.py --settings {params.settings:q} --log {log}"
        " --contexts {input.contexts} --arrivals {input.arrivals} --out {output}"
