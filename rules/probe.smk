rule run_probes:
    input:
        model=f"{R}/models/{{model}}.json",
        adapters=lambda wc: inputs.adapters(wc.task, wc.model, wc.system),
        probes=f"{R}/contexts/{{task}}/probes.parquet",
    output:
        f"{R}/probes/{{task}}/{{model}}/{{system}}.parquet",
    log:
        f"{R}/logs/run_probes/{{task}}.{{model}}.{{system}}.log",
    conda:
        "../envs/core.yaml"
    threads: study.generation.threads
    resources:
        **jobs.resources("run_probes"),
    params:
        settings=lambda wc: steps.settings("run_probes", wc.task, wc.model),
    shell:
        f"python {S}/run_probes.py"
        " --settings {params.settings:q} --log {log}"
        " --model {input.model} --adapters {input.adapters} --probes {input.probes} --out {output}"
        f" {jobs.execution}"
        f" --state-dir {R}/.state/run_probes/{{wildcards.task}}/{{wildcards.model}}/{{wildcards.system}}"
