# The paper's figures, one rule each, so that `snakemake fig1` draws the first. Each needs one table and nothing else.
rule fig1:
    input:
        scores=f"{R}/tables/scores.parquet",
    output:
        multiext(f"{R}/figures/fig1_summary", ".png", ".pdf", ".csv"),
    log:
        f"{R}/logs/fig1.log",
    localrule: True
    conda:
        "../envs/core.yaml"
    params:
        settings=lambda wc: stages.plot("plot_summary"),
    shell:
        "python workflow_scripts/plot_summary.py --settings {params.settings:q} --log {log}"
        f" --scores {{input}} --out {R}/figures/fig1_summary"


rule fig2:
    input:
        table=f"{R}/tables/minimal_model.parquet",
    output:
        multiext(f"{R}/figures/fig2_minimal_model", ".png", ".pdf", ".csv"),
    log:
        f"{R}/logs/fig2.log",
    localrule: True
    conda:
        "../envs/core.yaml"
    params:
        settings=lambda wc: stages.plot_minimal_model(),
    shell:
        "python workflow_scripts/plot_minimal_model.py --settings {params.settings:q} --log {log}"
        f" --table {{input}} --out {R}/figures/fig2_minimal_model"


rule fig3:
    input:
        scores=f"{R}/tables/scores.parquet",
    output:
        grid=multiext(f"{R}/figures/fig3_similarity_grid", ".png", ".pdf", ".csv"),
        appendix=multiext(f"{R}/figures/fig3_appendix", ".png", ".pdf", ".csv"),
    log:
        f"{R}/logs/fig3.log",
    localrule: True
    conda:
        "../envs/core.yaml"
    params:
        settings=lambda wc: stages.plot("plot_similarity_grid"),
    shell:
        "python workflow_scripts/plot_similarity_grid.py --settings {params.settings:q} --log {log}"
        f" --scores {{input}} --out {R}/figures/fig3_similarity_grid --appendix {R}/figures/fig3_appendix"


rule fig4:
    input:
        probes=f"{R}/tables/probes.parquet",
    output:
        generation=multiext(f"{R}/figures/fig4_probes", ".png", ".pdf", ".csv"),
        likelihood=multiext(
            f"{R}/figures/fig4_probes_likelihood", ".png", ".pdf", ".csv"
        ),
    log:
        f"{R}/logs/fig4.log",
    localrule: True
    conda:
        "../envs/core.yaml"
    params:
        settings=lambda wc: stages.plot("plot_probes"),
    shell:
        "python workflow_scripts/plot_probes.py --settings {params.settings:q} --log {log}"
        f" --probes {{input}} --out {R}/figures/fig4_probes --likelihood {R}/figures/fig4_probes_likelihood"


rule fig5:
    input:
        scores=f"{R}/tables/scores.parquet",
    output:
        multiext(f"{R}/figures/fig5_ablations", ".png", ".pdf", ".csv"),
    log:
        f"{R}/logs/fig5.log",
    localrule: True
    conda:
        "../envs/core.yaml"
    params:
        settings=lambda wc: stages.plot("plot_ablations"),
    shell:
        "python workflow_scripts/plot_ablations.py --settings {params.settings:q} --log {log}"
        f" --scores {{input}} --out {R}/figures/fig5_ablations"


rule figures:
    input:
        rules.fig1.output,
        rules.fig2.output,
        rules.fig3.output,
        rules.fig4.output,
        rules.fig5.output,
