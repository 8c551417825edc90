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
        settings=lambda wc: stages.fetch_hub(wc.registry, wc.entry),
    shell:
        "python workflow_scripts/fetch_hub.py --settings {params.settings:q} --log {log}"
        " --out {output}"


rule prefetch:
    input:
        hub=hub_records(stages.hub_used),
        packages=[record for name in stages.packages_used for record in packages(name)],
    output:
        f"{R}/hub.lock.yaml",
    log:
        f"{R}/logs/prefetch.log",
    localrule: True
    conda:
        "../envs/core.yaml"
    params:
        settings=lambda wc: stages.prefetch(),
    shell:
        "python workflow_scripts/prefetch.py --settings {params.settings:q} --log {log}"
        " --records {input.hub} --packages {input.packages} --out {output}"
