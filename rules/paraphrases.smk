# Training pairs are paraphrased for training, test pairs to stand in for examples of the evaluation that don't exist.
PARAPHRASED = "train|test"


# Where there is a network, which compute nodes often have not; answers are kept beside the results, request by request.
rule ask_endpoint:
    input:
        corpus=f"{R}/corpus/{{task}}/{{split}}.parquet",
    output:
        f"{R}/paraphrases/{{task}}/{{split}}/answers/{{paraphraser}}.parquet",
    log:
        f"{R}/logs/ask_endpoint/{{task}}.{{split}}.{{paraphraser}}.log",
    wildcard_constraints:
        split=PARAPHRASED,
    localrule: True
    conda:
        "../envs/core.yaml"
    params:
        settings=lambda wc: steps.settings(
            "ask_endpoint", wc.task, wc.split, wc.paraphraser
        ),
    shell:
        f"python {S}/ask_endpoint.py"
        " --settings {params.settings:q} --log {log}"
        " --corpus {input.corpus} --cache results/.cache/paraphrases --out {output}"


rule paraphrase:
    input:
        corpus=f"{R}/corpus/{{task}}/{{split}}.parquet",
        embeddings=f"{R}/embeddings/{{task}}/{{split}}.npy",
        statistics=f"{R}/embeddings/{{task}}/statistics.json",
        exclude=lambda wc: [
            f"{R}/corpus/{wc.task}/{split}.parquet"
            for split in ["train", "dev", "arrivals", "test"]
            if split != wc.split
        ],
        encoder=lambda wc: f"{R}/encoders/{study.tasks[wc.task].encoder}.json",
        models=lambda wc: inputs.paraphraser_models(wc.paraphraser),
        answers=lambda wc: inputs.endpoint_answers(wc.task, wc.split, wc.paraphraser),
    output:
        pairs=f"{R}/paraphrases/{{task}}/{{split}}/{{paraphraser}}.parquet",
        counts=f"{R}/paraphrases/{{task}}/{{split}}/{{paraphraser}}.counts.json",
    log:
        f"{R}/logs/paraphrase/{{task}}.{{split}}.{{paraphraser}}.log",
    wildcard_constraints:
        split=PARAPHRASED,
    conda:
        "../envs/core.yaml"
    resources:
        **jobs.resources("paraphrase"),
    params:
        settings=lambda wc: steps.settings(
            "paraphrase", wc.task, wc.split, wc.paraphraser
        ),
    shell:
        f"python {S}/paraphrase.py"
        " --settings {params.settings:q} --log {log}"
        " --corpus {input.corpus} --embeddings {input.embeddings} --statistics {input.statistics}"
        " --encoder {input.encoder} --exclude {input.exclude} --models {input.models}"
        " --answers {input.answers} --out {output.pairs}"
