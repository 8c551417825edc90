# The paper's figures, one rule each, so that `snakemake fig1` draws the first. Each needs one table and nothing else.
drawn = lambda stem, shows: [
    shown(f"{R}/figures/{stem}.png", "Figures", shows),
    *multiext(f"{R}/figures/{stem}", ".pdf", ".csv"),
]


rule fig1:
    input:
        scores=f"{R}/tables/scores.parquet",
    output:
        drawn("fig1_summary", "1: summary"),
    log:
        f"{R}/logs/fig1.log",
    localrule: True
    conda:
        "../envs/core.yaml"
    params:
        settings=lambda wc: steps.settings("plot_summary", reported.unfinished),
    shell:
        f"python {S}/plot_summary.py"
        " --settings {params.settings:q} --log {log}"
        f" --scores {{input}} --out {R}/figures/fig1_summary"


rule fig2:
    input:
        table=f"{R}/tables/minimal_model.parquet",
    output:
        drawn("fig2_minimal_model", "2: minimal model"),
    log:
        f"{R}/logs/fig2.log",
    priority: 20
    localrule: True
    conda:
        "../envs/core.yaml"
    params:
        settings=lambda wc: steps.settings("plot_minimal_model"),
    shell:
        f"python {S}/plot_minimal_model.py"
        " --settings {params.settings:q} --log {log}"
        f" --table {{input}} --out {R}/figures/fig2_minimal_model"


rule fig3:
    input:
        scores=f"{R}/tables/scores.parquet",
    output:
        grid=drawn("fig3_similarity_grid", "3: similarity grid"),
        appendix=drawn("fig3_appendix", "3, appendix: full grid"),
    log:
        f"{R}/logs/fig3.log",
    localrule: True
    conda:
        "../envs/core.yaml"
    params:
        settings=lambda wc: steps.settings("plot_similarity_grid", reported.unfinished),
    shell:
        f"python {S}/plot_similarity_grid.py"
        " --settings {params.settings:q} --log {log}"
        f" --scores {{input}} --out {R}/figures/fig3_similarity_grid --appendix {R}/figures/fig3_appendix"


rule fig4:
    input:
        probes=f"{R}/tables/probes.parquet",
    output:
        generation=drawn("fig4_probes", "4: probes over training"),
        likelihood=drawn("fig4_probes_likelihood", "4: by likelihood"),
    log:
        f"{R}/logs/fig4.log",
    localrule: True
    conda:
        "../envs/core.yaml"
    params:
        settings=lambda wc: steps.settings("plot_probes", reported.unfinished),
    shell:
        f"python {S}/plot_probes.py"
        " --settings {params.settings:q} --log {log}"
        f" --probes {{input}} --out {R}/figures/fig4_probes --likelihood {R}/figures/fig4_probes_likelihood"


rule fig5:
    input:
        scores=f"{R}/tables/scores.parquet",
    output:
        drawn("fig5_ablations", "5: ablations"),
    log:
        f"{R}/logs/fig5.log",
    localrule: True
    conda:
        "../envs/core.yaml"
    params:
        settings=lambda wc: steps.settings("plot_ablations", reported.unfinished),
    shell:
        f"python {S}/plot_ablations.py"
        " --settings {params.settings:q} --log {log}"
        f" --scores {{input}} --out {R}/figures/fig5_ablations"


rule fig6:
    input:
        scores=f"{R}/tables/scores.parquet",
        probes=f"{R}/tables/probes.parquet",
    output:
        drawn("fig6_plane", "6: plane of p and epsilon"),
    log:
        f"{R}/logs/fig6.log",
    localrule: True
    conda:
        "../envs/core.yaml"
    params:
        settings=lambda wc: steps.settings("plot_plane", reported.unfinished),
    shell:
        f"python {S}/plot_plane.py"
        " --settings {params.settings:q} --log {log}"
        f" --scores {{input.scores}} --probes {{input.probes}} --out {R}/figures/fig6_plane"


rule figures:
    input:
        rules.fig1.output,
        rules.fig2.output,
        rules.fig3.output,
        rules.fig4.output if grid.probed_tasks else [],
        rules.fig5.output if grid.ablated else [],
        rules.fig6.output if grid.planes else [],
