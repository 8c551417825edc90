from contrastive_context.report.effort import Effort, efforts


def record(path, started, seconds, tokens=None):
    return {"outputs": [{"path": path}], "started": started, "seconds": seconds, "tokens": tokens}


def test_sidecars_of_one_job_count_once():
    records = [
        record("results/r/tables/scores.csv", 1.5, 2.0),
        record("results/r/tables/probes.csv", 1.5, 3.0),
        record("results/r/probes/t/m/a.parquet", 1.5, 4.0, 10),
        record("results/r/probes/t/m/b.parquet", 2.5, 6.0, 20),
    ]
    assert efforts(records, "r") == [
        Effort("probes", 2, 10.0, 6.0, 30),
        Effort("tables", 1, 3.0, 3.0, None),
    ]


def test_other_runs_and_unknown_folders_are_left_out():
    assert efforts([record("results/q/tables/scores.csv", 1, 1), record("results/r/x.html", 1, 1)], "r") == []
