rule plot_figures:
    input:
        scores=f"{R}/tables/scores.parquet",
        probes=f"{R}/tables/probes.parquet",
    output:
        similarity_grid=multiext(f"{R}/figures/similarity_grid", ".png", ".pdf"),
        probes=multiext(f"{R}/figures/probes", ".png", ".pdf"),
        probes_likelihood=multiext(f"{R}/figures/probes_likelihood", ".png", ".pdf"),
    log:
        f"{R}/logs/plot_figures.log",
    localrule: True
    conda:
        "../envs/core.yaml"
    params:
        settings=lambda wc: stages.plot_figures(),
    shell:
        "python workflow_scripts/plot_figures.py --settings {params.settings:q} --log {log}"
        " --scores {input.scores} --probes {input.probes} --out-dir $(dirname {output.probes[0]})"
