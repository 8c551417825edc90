rule freeze_eval_contexts:
    input:
        test=f"{R}/corpus/{{task}}/test.parquet",
        test_embeddings=f"{R}/embeddings/{{task}}/test.npy",
        arrivals=f"{R}/corpus/{{task}}/arrivals.parquet",
        arrivals_embeddings=f"{R}/embeddings/{{task}}/arrivals.npy",
        train_embeddings=f"{R}/embeddings/{{task}}/train.npy",
        paraphrases=lambda wc: inputs.stand_ins(wc.task),
        trained=lambda wc: inputs.trained_paraphrases(wc.task),
    output:
        contexts=f"{R}/contexts/{{task}}/eval.parquet",
        coverage=f"{R}/contexts/{{task}}/eval.coverage.json",
    log:
        f"{R}/logs/freeze_eval_contexts/{{task}}.log",
    # All trainings wait for it.
    priority: 15
    conda:
        "../envs/core.yaml"
    resources:
        **jobs.resources("freeze_eval_contexts"),
    params:
        settings=lambda wc: steps.settings("freeze_eval_contexts", wc.task),
    shell:
        f"python {S}/freeze_eval_contexts.py"
        " --settings {params.settings:q} --log {log}"
        " --test {input.test} --test-embeddings {input.test_embeddings}"
        " --arrivals {input.arrivals} --arrivals-embeddings {input.arrivals_embeddings}"
        " --train-embeddings {input.train_embeddings}"
        " --paraphrases {input.paraphrases} --trained {input.trained} --out {output.contexts}"


rule freeze_probes:
    input:
        test=f"{R}/corpus/{{task}}/test.parquet",
        test_embeddings=f"{R}/embeddings/{{task}}/test.npy",
        arrivals=f"{R}/corpus/{{task}}/arrivals.parquet",
        arrivals_embeddings=f"{R}/embeddings/{{task}}/arrivals.npy",
        train=lambda wc: inputs.aligned_corpus(wc.task),
    output:
        probes=f"{R}/contexts/{{task}}/probes.parquet",
        coverage=f"{R}/contexts/{{task}}/probes.coverage.json",
    log:
        f"{R}/logs/freeze_probes/{{task}}.log",
    # All trainings wait for it.
    priority: 15
    conda:
        "../envs/core.yaml"
    resources:
        **jobs.resources("freeze_probes"),
    params:
        settings=lambda wc: steps.settings("freeze_probes", wc.task),
    shell:
        f"python {S}/freeze_probes.py"
        " --settings {params.settings:q} --log {log}"
        " --test {input.test} --test-embeddings {input.test_embeddings}"
        " --arrivals {input.arrivals} --arrivals-embeddings {input.arrivals_embeddings}"
        " --train {input.train} --out {output.probes}"


# Trainings wait for this: what the data can't give is told before hours have gone by.
rule all_frozen:
    input:
        inputs.frozen(),
    output:
        touch(f"{R}/.state/all_frozen"),
    priority: 15
    localrule: True
