rule paraphrase:
    input:
        corpus=f"{R}/corpus/{{task}}/train.parquet",
        embeddings=f"{R}/embeddings/{{task}}/train.npy",
        exclude=expand(
            f"{R}/corpus/{{{{task}}}}/{{split}}.parquet",
            split=["dev", "arrivals", "test"],
        ),
        encoder=lambda wc: f"{R}/encoders/{study.tasks[wc.task].encoder}.json",
    output:
        f"{R}/paraphrases/{{task}}/{{paraphraser}}.parquet",
    log:
        f"{R}/logs/paraphrase/{{task}}.{{paraphraser}}.log",
    conda:
        "../envs/core.yaml"
    resources:
        **stages.resources("paraphrase"),
    params:
        settings=lambda wc: stages.paraphrase(wc.task, wc.paraphraser),
    shell:
        "python workflow_scripts/paraphrase.py --settings {params.settings:q} --log {log}"
        " --corpus {input.corpus} --embeddings {input.embeddings} --encoder {input.encoder}"
        " --exclude {input.exclude} --out {output}"
