# Learned metrics run in an environment of their own; text files lie between the two environments.
rule list_segments:
    input:
        predictions=lambda wc: (
            [f"{R}/predictions/{wc.task}/nearest_label.jsonl"]
            if wc.scored == "nearest_label"
            else expand(
                f"{R}/predictions/{wc.task}/{wc.scored}/{{system}}.jsonl",
                system=reported.answering(wc.task, wc.scored),
            )
        ),
        test=f"{R}/corpus/{{task}}/test.parquet",
    output:
        f"{R}/segments/{{task}}/{{scored}}.jsonl",
    log:
        f"{R}/logs/list_segments/{{task}}.{{scored}}.log",
    localrule: True
    conda:
        "../envs/core.yaml"
    params:
        settings=lambda wc: steps.settings("list_segments", wc.task),
    shell:
        f"python {S}/list_segments.py"
        " --settings {params.settings:q} --log {log}"
        " --predictions {input.predictions} --test {input.test} --out {output}"


# Scores are also kept in an undeclared folder, by model and triple: another system adds only its own.
rule score_comet:
    input:
        segments=f"{R}/segments/{{task}}/{{scored}}.jsonl",
        model=lambda wc: inputs.metric_hub(wc.metric),
        encoder=lambda wc: inputs.metric_encoder_hub(wc.metric),
    output:
        f"{R}/segment_scores/{{task}}/{{scored}}.{{metric}}.jsonl",
    log:
        f"{R}/logs/score_comet/{{task}}.{{scored}}.{{metric}}.log",
    conda:
        "../envs/comet.yaml"
    threads: lambda wc: study.metrics[wc.metric].threads
    resources:
        **jobs.resources("score_comet"),
    params:
        settings=lambda wc: steps.settings("score_comet", wc.metric),
    shell:
        f"python {S}/score_comet.py"
        " --settings {params.settings:q} --log {log}"
        " --segments {input.segments} --model {input.model} --encoder {input.encoder}"
        f" --state-dir {R}/.state/score_comet/{{wildcards.task}} --out {{output}}"


# Queries run in a process of their own, each within limits.
rule score_execution:
    input:
        segments=f"{R}/segments/{{task}}/{{scored}}.jsonl",
        test=f"{R}/corpus/{{task}}/test.parquet",
    output:
        f"{R}/segment_scores/{{task}}/{{scored}}.bird_execution_accuracy.jsonl",
    log:
        f"{R}/logs/score_execution/{{task}}.{{scored}}.log",
    conda:
        "../envs/core.yaml"
    resources:
        **jobs.resources("score_execution"),
    params:
        settings=lambda wc: steps.settings("score_execution", wc.task),
    shell:
        f"python {S}/score_execution.py"
        " --settings {params.settings:q} --log {log}"
        " --segments {input.segments} --test {input.test} --out {output}"


rule score:
    input:
        predictions=lambda wc: expand(
            f"{R}/predictions/{wc.task}/{wc.model}/{{system}}.jsonl",
            system=reported.answering(wc.task, wc.model),
        ),
        learned=lambda wc: inputs.segment_scores(wc.task, wc.model),
        test=f"{R}/corpus/{{task}}/test.parquet",
    output:
        f"{R}/scores/{{task}}/{{model}}.parquet",
    log:
        f"{R}/logs/score/{{task}}.{{model}}.log",
    conda:
        "../envs/core.yaml"
    resources:
        **jobs.resources("score"),
    params:
        settings=lambda wc: steps.settings("score", wc.task, wc.model),
    shell:
        f"python {S}/score.py"
        " --settings {params.settings:q} --log {log}"
        " --predictions {input.predictions} --learned {input.learned} --test {input.test} --out {output}"


rule score_nearest_label:
    input:
        predictions=f"{R}/predictions/{{task}}/nearest_label.jsonl",
        learned=lambda wc: inputs.segment_scores(wc.task, "nearest_label"),
        test=f"{R}/corpus/{{task}}/test.parquet",
    output:
        f"{R}/scores/{{task}}/nearest_label.parquet",
    log:
        f"{R}/logs/score_nearest_label/{{task}}.log",
    localrule: True
    conda:
        "../envs/core.yaml"
    params:
        settings=lambda wc: steps.settings("score", wc.task, "nearest_label"),
    shell:
        f"python {S}/score.py"
        " --settings {params.settings:q} --log {log}"
        " --predictions {input.predictions} --learned {input.learned} --test {input.test} --out {output}"
