"""The jobs and edges of a dry run with nothing of this project in them: what Snakemake takes for these at least.

Less than it takes for the project's own rules, were they as constant: there is one wildcard, and parameters are short.
"""

import json
import re
from pathlib import Path

_HEAD = """
import json

INPUTS = json.load(open("inputs.json"))


rule all:
    input:
        INPUTS["all"],
"""
_RULE = """

rule {name}:
    input:
        lambda wc: INPUTS["{name}/" + wc.job],
    output:
        {outputs},
    log:
        "logs/{name}/{{job}}",
    conda:
        "{environment}"
    threads: 1
    resources:
        {resources},
    params:
        settings="{{}}",
    shell:
        "python step.py --settings {{params.settings:q}} --log {{log}} --inputs {{input}} --out {{output}}"
"""
_RESOURCES = ("mem_mb", "runtime", "gpu")


def write_skeleton(plan: str, environment: Path, folder: Path) -> None:
    """Write a workflow with the jobs of a dry run, each with as many inputs and outputs, and constants for the rest.

    Args:
        plan: what ``snakemake -n --quiet host`` printed.
        environment: file that every rule names as its environment.
        folder: is made, with a Snakefile and the files that no job makes.
    """
    jobs = [_fields(block) for block in re.split(r"^(?:local)?rule ", plan, flags=re.MULTILINE)[1:]]
    made_by = {
        output: f"{job['rule']}/{number}.{index}"
        for number, job in enumerate(jobs)
        for index, output in enumerate(job.get("output", []))
    }
    inputs: dict[str, list[str]] = {}
    shapes: dict[str, tuple[int, str]] = {}
    for number, job in enumerate(jobs):
        given = [made_by.get(file, f"given/{file}") for file in job.get("input", [])]
        if job["rule"] == "all":
            inputs["all"] = given
            continue
        inputs[f"{job['rule']}/{number}"] = given
        resources = dict(item.split("=", 1) for item in job.get("resources", []))
        shown = ",\n        ".join(f"{name}={resources[name]}" for name in _RESOURCES if name in resources)
        shapes[job["rule"]] = len(job["output"]), shown or "mem_mb=1"
    rules = [
        _RULE.format(
            name=name,
            outputs=",\n        ".join(f'"{name}/{{job}}.{index}"' for index in range(count)),
            environment=environment.resolve(),
            resources=resources,
        )
        for name, (count, resources) in shapes.items()
    ]
    folder.mkdir()
    for file in {file for files in inputs.values() for file in files if file.startswith("given/")}:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    (folder / "inputs.json").write_text(json.dumps(inputs))
    (folder / "Snakefile").write_text(_HEAD + "".join(rules))


def _fields(block: str) -> dict:
    """Return the rule of a printed job, and its lists by their names."""
    name, _, rest = block.partition(":\n")
    fields: dict = {"rule": name}
    for line in rest.splitlines():
        if not (match := re.match(r"    (\w+): (.*)", line)):
            break
        fields[match[1]] = match[2].split(", ")
    return fields
