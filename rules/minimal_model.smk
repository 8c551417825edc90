rule simulate_minimal_model:
    output:
        table=f"{R}/tables/minimal_model.parquet",
        csv=shown(f"{R}/tables/minimal_model.csv", "Tables", "minimal model"),
    log:
        f"{R}/logs/simulate_minimal_model.log",
    # Needs nothing, and gives the first figure to look at.
    priority: 20
    localrule: True
    conda:
        "../envs/core.yaml"
    params:
        settings=lambda wc: steps.settings("simulate_minimal_model"),
    shell:
        f"python {S}/simulate_minimal_model.py"
        " --settings {params.settings:q} --log {log}"
        " --out-dir $(dirname {output.table})"
