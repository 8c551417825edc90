rule build_tables:
    input:
        scores=[
            f"{R}/scores/{task}/{model}.parquet"
            for task, model in reported.scored_pairs
        ],
        nearest=[
            f"{R}/scores/{task}/nearest_label.parquet"
            for task in reported.scored_tasks
        ],
        probes=[
            f"{R}/probes/{task}/{model}/{system}.parquet"
            for task, model in grid.pairs
            for system in reported.probed(task, model)
        ],
        records=inputs.metric_records(),
    output:
        scores=f"{R}/tables/scores.parquet",
        probes=f"{R}/tables/probes.parquet",
        findings=f"{R}/tables/findings.parquet",
        scores_csv=shown(f"{R}/tables/scores.csv", "Tables", "scores"),
        probes_csv=shown(f"{R}/tables/probes.csv", "Tables", "probes"),
        findings_csv=shown(f"{R}/tables/findings.csv", "Tables", "findings"),
        signatures=f"{R}/tables/signatures.csv",
    log:
        f"{R}/logs/build_tables.log",
    localrule: True
    conda:
        "../envs/core.yaml"
    params:
        settings=lambda wc: steps.settings("build_tables"),
    shell:
        f"python {S}/build_tables.py"
        " --settings {params.settings:q} --log {log}"
        " --scores {input.scores} {input.nearest} --probes {input.probes} --records {input.records}"
        " --out-dir $(dirname {output.scores})"


# What was truncated, dropped or is missing, and why.
rule list_gaps:
    input:
        scores=f"{R}/tables/scores.parquet",
        probes=f"{R}/tables/probes.parquet",
        segments=[
            f"{R}/scores/{task}/{model}.parquet"
            for task, model in reported.scored_pairs
        ],
        counts=[f"{R}/corpus/{task}/counts.json" for task in reported.scored_tasks],
        embeddings=[
            f"{R}/embeddings/{task}/statistics.json" for task in reported.scored_tasks
        ],
        coverage=[
            f"{R}/contexts/{task}/eval.coverage.json" for task in reported.scored_tasks
        ],
        probe_coverage=[
            f"{R}/contexts/{task}/probes.coverage.json"
            for task in reported.scored_tasks
            if task in grid.probed_tasks
        ],
    output:
        [
            path
            for name in ("missing", "dropped", "truncated")
            for path in (
                f"{R}/tables/{name}.parquet",
                shown(f"{R}/tables/{name}.csv", "Tables", name),
                f"{R}/tables/{name}.tex",
            )
        ],
    log:
        f"{R}/logs/list_gaps.log",
    localrule: True
    conda:
        "../envs/core.yaml"
    params:
        settings=lambda wc: steps.settings("list_gaps", reported.unfinished),
    shell:
        f"python {S}/list_gaps.py"
        " --settings {params.settings:q} --log {log}"
        " --scores {input.scores} --probes {input.probes} --segments {input.segments}"
        " --counts {input.counts} --embeddings {input.embeddings} --coverage {input.coverage}"
        " --probe-coverage {input.probe_coverage}"
        f" --out-dir {R}/tables"


rule export_latex:
    input:
        scores=f"{R}/tables/scores.parquet",
        probes=f"{R}/tables/probes.parquet",
        findings=f"{R}/tables/findings.parquet",
        signatures=f"{R}/tables/signatures.csv",
    output:
        scores=f"{R}/tables/scores.tex",
        probes=f"{R}/tables/probes.tex",
        findings=f"{R}/tables/findings.tex",
    log:
        f"{R}/logs/export_latex.log",
    localrule: True
    conda:
        "../envs/core.yaml"
    params:
        settings=lambda wc: steps.settings("export_latex", reported.unfinished),
    shell:
        f"python {S}/export_latex.py"
        " --settings {params.settings:q} --log {log}"
        " --scores {input.scores} --probes {input.probes} --findings {input.findings}"
        " --signatures {input.signatures}"
        " --out-dir $(dirname {output.scores})"


rule tables:
    input:
        rules.build_tables.output,
        rules.list_gaps.output,
        rules.export_latex.output,
