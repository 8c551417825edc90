rule find_neighbours:
    input:
        corpus=f"{R}/corpus/{{task}}/train.parquet",
        embeddings=f"{R}/embeddings/{{task}}/train.npy",
    output:
        table=f"{R}/neighbours/{{task}}/train.parquet",
        recall=f"{R}/neighbours/{{task}}/train.recall.json",
    log:
        f"{R}/logs/find_neighbours/{{task}}.log",
    conda:
        "../envs/core.yaml"
    resources:
        **jobs.resources("find_neighbours"),
    params:
        settings=lambda wc: steps.settings("find_neighbours", wc.task),
    shell:
        f"python {S}/find_neighbours.py"
        " --settings {params.settings:q} --log {log}"
        " --corpus {input.corpus} --embeddings {input.embeddings} --out {output.table}"
