rule sample_train_contexts:
    input:
        corpus=f"{R}/corpus/{{task}}/train.parquet",
        embeddings=f"{R}/embeddings/{{task}}/train.npy",
        neighbours=lambda wc: inputs.neighbours(wc.task, wc.strategy),
        paraphrases=lambda wc: inputs.paraphrases(wc.task, wc.strategy),
    output:
        f"{R}/contexts/{{task}}/train/{{strategy}}.parquet",
    log:
        f"{R}/logs/sample_train_contexts/{{task}}.{{strategy}}.log",
    conda:
        "../envs/core.yaml"
    resources:
        **jobs.resources("sample_train_contexts"),
    params:
        settings=lambda wc: steps.settings(
            "sample_train_contexts", wc.task, wc.strategy
        ),
    shell:
        f"python {S}/sample_train_contexts.py"
        " --settings {params.settings:q} --log {log}"
        " --corpus {input.corpus} --embeddings {input.embeddings} --neighbours {input.neighbours}"
        " --paraphrases {input.paraphrases} --out {output}"
