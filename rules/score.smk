rule score:
    input:
        predictions=lambda wc: expand(
            f"{R}/predictions/{wc.task}/{wc.model}/{{system}}.jsonl",
            system=stages.systems(wc.task, wc.model),
        ),
        test=f"{R}/corpus/{{task}}/test.parquet",
    output:
        f"{R}/scores/{{task}}/{{model}}.parquet",
    log:
        f"{R}/logs/score/{{task}}.{{model}}.log",
    conda:
        "../envs/core.yaml"
    params:
        settings=lambda wc: stages.score(wc.task, wc.model),
    shell:
        "python workflow_scripts/score.py --settings {params.settings:q} --log {log}"
        " --predictions {input.predictions} --test {input.test} --out {output}"


rule score_nearest_label:
    input:
        predictions=f"{R}/predictions/{{task}}/nearest_label.jsonl",
        test=f"{R}/corpus/{{task}}/test.parquet",
    output:
        f"{R}/scores/{{task}}/nearest_label.parquet",
    log:
        f"{R}/logs/score_nearest_label/{{task}}.log",
    localrule: True
    conda:
        "../envs/core.yaml"
    params:
        settings=lambda wc: stages.score(wc.task, "none"),
    shell:
        "python workflow_scripts/score.py --settings {params.settings:q} --log {log}"
        " --predictions {input.predictions} --test {input.test} --out {output}"
