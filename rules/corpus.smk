rule build_corpus:
    input:
        packages=lambda wc: inputs.corpus_packages(wc.task),
        hub=lambda wc: inputs.corpus_hub(wc.task),
        files=lambda wc: inputs.corpus_files(wc.task),
    output:
        train=f"{R}/corpus/{{task}}/train.parquet",
        dev=f"{R}/corpus/{{task}}/dev.parquet",
        arrivals=f"{R}/corpus/{{task}}/arrivals.parquet",
        test=f"{R}/corpus/{{task}}/test.parquet",
        counts=f"{R}/corpus/{{task}}/counts.json",
        rejected=f"{R}/corpus/{{task}}/rejected.csv",
    log:
        f"{R}/logs/build_corpus/{{task}}.log",
    conda:
        "../envs/core.yaml"
    resources:
        **jobs.resources("build_corpus"),
    params:
        settings=lambda wc: steps.settings("build_corpus", wc.task),
    shell:
        f"python {S}/build_corpus.py"
        " --settings {params.settings:q} --log {log}"
        " --packages {input.packages} --hub {input.hub} --out-dir $(dirname {output.counts})"
        # Not among the outputs, which Snakemake deletes when a job fails.
        f" --refused {R}/logs/build_corpus/{{wildcards.task}}.refused.csv"
