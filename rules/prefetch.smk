# Everything that needs the network, in local jobs: `snakemake prefetch` and then any node can compute.
rule fetch_hub:
    output:
        f"{R}/hub/{{registry}}/{{entry}}.json",
    log:
        f"{R}/logs/fetch_hub/{{registry}}.{{entry}}.log",
    localrule: True
    conda:
        "../envs/core.yaml"
    params:
        settings=lambda wc: steps.settings("fetch_hub", wc.registry, wc.entry),
    shell:
        f"python {S}/fetch_hub.py"
        " --settings {params.settings:q} --log {log}"
        " --out {output}"


rule prefetch:
    input:
        hub=inputs.hub_used(),
        packages=inputs.packages_used(),
    output:
        f"{R}/hub.lock.yaml",
    log:
        f"{R}/logs/prefetch.log",
    localrule: True
    conda:
        "../envs/core.yaml"
    params:
        settings=lambda wc: steps.settings("prefetch"),
    shell:
        f"python {S}/prefetch.py"
        " --settings {params.settings:q} --log {log}"
        " --records {input.hub} --packages {input.packages} --out {output}"
