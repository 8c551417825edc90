rule prepare_model:
    input:
        package=lambda wc: inputs.model_package(wc.model),
        hub=lambda wc: inputs.model_hub(wc.model),
        folder=lambda wc: inputs.model_folder(wc.model),
    output:
        f"{R}/models/{{model}}.json",
    log:
        f"{R}/logs/prepare_model/{{model}}.log",
    # Before other jobs that could run: a model that can't work should say so before another one is trained.
    priority: 15
    conda:
        "../envs/core.yaml"
    resources:
        **jobs.resources("prepare_model"),
    params:
        settings=lambda wc: steps.settings("prepare_model", wc.model),
    shell:
        f"python {S}/prepare_model.py"
        " --settings {params.settings:q} --log {log}"
        " --packages {input.package} --hub {input.hub} --folder {input.folder:q} --out {output}"
