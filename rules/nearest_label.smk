rule predict_nearest_label:
    input:
        contexts=f"{R}/contexts/{{task}}/eval.parquet",
        arrivals=f"{R}/corpus/{{task}}/arrivals.parquet",
        paraphrases=lambda wc: inputs.stand_ins(wc.task),
    output:
        f"{R}/predictions/{{task}}/nearest_label.jsonl",
    log:
        f"{R}/logs/predict_nearest_label/{{task}}.log",
    localrule: True
    conda:
        "../envs/core.yaml"
    params:
        settings=lambda wc: steps.settings("predict_nearest_label", wc.task),
    shell:
        f"python {S}/predict_nearest_label.py"
        " --settings {params.settings:q} --log {log}"
        " --contexts {input.contexts} --arrivals {input.arrivals}"
        " --paraphrases {input.paraphrases} --out {output}"
