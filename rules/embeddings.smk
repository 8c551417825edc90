# The dev split is for tuning by hand; nothing is retrieved from it.
SPLITS = ["train", "arrivals", "test"]


rule prepare_encoder:
    input:
        package=lambda wc: inputs.encoder_package(wc.encoder),
        hub=lambda wc: inputs.encoder_hub(wc.encoder),
        folder=lambda wc: inputs.encoder_folder(wc.encoder),
    output:
        f"{R}/encoders/{{encoder}}.json",
    log:
        f"{R}/logs/prepare_encoder/{{encoder}}.log",
    localrule: True
    conda:
        "../envs/core.yaml"
    params:
        settings=lambda wc: steps.settings("prepare_encoder", wc.encoder),
    shell:
        f"python {S}/prepare_encoder.py"
        " --settings {params.settings:q} --log {log}"
        " --packages {input.package} --hub {input.hub} --folder {input.folder:q} --out {output}"


rule embed_corpus:
    input:
        corpus=[f"{R}/corpus/{{task}}/{split}.parquet" for split in SPLITS],
        encoder=lambda wc: f"{R}/encoders/{study.tasks[wc.task].encoder}.json",
    output:
        embeddings=[f"{R}/embeddings/{{task}}/{split}.npy" for split in SPLITS],
        # Of the training split: the similarity of later texts to each other depends on nothing but it.
        statistics=f"{R}/embeddings/{{task}}/statistics.json",
    log:
        f"{R}/logs/embed_corpus/{{task}}.log",
    conda:
        "../envs/core.yaml"
    resources:
        **jobs.resources("embed_corpus"),
    params:
        settings=lambda wc: steps.settings("embed_corpus", wc.task),
    shell:
        f"python {S}/embed_corpus.py"
        " --settings {params.settings:q} --log {log}"
        " --corpus {input.corpus} --encoder {input.encoder} --out {output.embeddings}"
        " --statistics {output.statistics}"
        f" --safeguards {jobs.safeguards}"
