rule collect_examples:
    input:
        predictions=lambda wc: expand(
            f"{R}/predictions/{wc.task}/{wc.model}/{{system}}.jsonl",
            system=reported.answering(wc.task, wc.model),
        ),
        scores=f"{R}/scores/{{task}}/{{model}}.parquet",
        contexts=f"{R}/contexts/{{task}}/eval.parquet",
        arrivals=f"{R}/corpus/{{task}}/arrivals.parquet",
        paraphrases=lambda wc: inputs.stand_ins(wc.task),
        test=f"{R}/corpus/{{task}}/test.parquet",
    output:
        f"{R}/examples/{{task}}/{{model}}.parquet",
    log:
        f"{R}/logs/collect_examples/{{task}}.{{model}}.log",
    localrule: True
    conda:
        "../envs/core.yaml"
    params:
        settings=lambda wc: steps.settings("collect_examples", wc.task, wc.model),
    shell:
        f"python {S}/collect_examples.py"
        " --settings {params.settings:q} --log {log}"
        " --predictions {input.predictions} --scores {input.scores} --contexts {input.contexts}"
        " --arrivals {input.arrivals} --paraphrases {input.paraphrases} --test {input.test} --out {output}"


rule build_report:
    input:
        examples=[
            f"{R}/examples/{task}/{model}.parquet"
            for task, model in reported.scored_pairs
        ],
        tables=[*rules.build_tables.output, *rules.list_gaps.output],
        figures=rules.figures.input,
        page=[f"{PAGE}/template.html", f"{PAGE}/browser.js"],
        captions=sorted(map(str, Path(PAGE).glob("captions/*.rst"))),
    output:
        shown(f"{R}/report.html", "Report", "report"),
    log:
        f"{R}/logs/build_report.log",
    localrule: True
    conda:
        "../envs/core.yaml"
    params:
        settings=lambda wc: steps.settings("build_report"),
    shell:
        f"python {S}/build_report.py"
        " --settings {params.settings:q} --log {log}"
        " --results $(dirname {output}) --inputs {input:q} --out {output}"


rule report:
    input:
        rules.build_report.output,
