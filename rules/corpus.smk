rule build_corpus:
    input:
        package=lambda wc: packages(stages.corpus_package(wc.task)),
        hub=lambda wc: hub_records(stages.corpus_hub(wc.task)),
    output:
        train=f"{R}/corpus/{{task}}/train.parquet",
        dev=f"{R}/corpus/{{task}}/dev.parquet",
        arrivals=f"{R}/corpus/{{task}}/arrivals.parquet",
        test=f"{R}/corpus/{{task}}/test.parquet",
        counts=f"{R}/corpus/{{task}}/counts.json",
    log:
        f"{R}/logs/build_corpus/{{task}}.log",
    conda:
        "../envs/core.yaml"
    resources:
        **stages.resources("build_corpus"),
    params:
        settings=lambda wc: stages.build_corpus(wc.task),
    shell:
        "python workflow_scripts/build_corpus.py --settings {params.settings:q} --log {log}"
        " --packages {input.package} --hub {input.hub} --out-dir $(dirname {output.counts})"
