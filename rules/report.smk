rule build_report:
    input:
        tables=rules.build_tables.output,
        figures=rules.plot_figures.output,
        template="workflow_scripts/contrastive_context/report/template.html",
    output:
        f"{R}/report.html",
    log:
        f"{R}/logs/build_report.log",
    localrule: True
    conda:
        "../envs/core.yaml"
    params:
        settings=lambda wc: stages.build_report(),
    shell:
        "python workflow_scripts/build_report.py --settings {params.settings:q} --log {log}"
        " --results $(dirname {output}) --out {output}"
