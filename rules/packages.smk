rule fetch_package:
    output:
        f"{R}/packages/{{package}}.json",
    log:
        f"{R}/logs/fetch_package/{{package}}.log",
    localrule: True
    conda:
        "../envs/core.yaml"
    params:
        settings=lambda wc: steps.settings("fetch_package", wc.package),
    shell:
        f"python {S}/fetch_package.py"
        " --settings {params.settings:q} --log {log}"
        " --out {output}"
