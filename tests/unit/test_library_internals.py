"""What libraries do not promise to keep: where an upgrade has moved a name, a test fails with the module to look at."""

import subprocess
import sys
import tomllib
from importlib import import_module, metadata
from pathlib import Path

import pytest

TRANSFORMERS, PEFT = "models/transformers_internals.py", "models/peft_internals.py"
SNAKEMAKE, SACREBLEU = "workflow/snakemake_internals.py", "scoring/sacrebleu_internals.py"


def lora_layer():
    from peft import LoraConfig, get_peft_model
    from torch.nn import Linear, Sequential

    return get_peft_model(Sequential(Linear(2, 2)), LoraConfig(r=1, target_modules=["0"])).get_base_model()[0]


def records():
    return import_module("snakemake.persistence.file").FilePersistence(nolock=True, path=Path(".snakemake").absolute())


def workflow_class():
    import_module("snakemake.api")  # first, as the two import each other
    return import_module("snakemake.workflow").Workflow


# Our module → what it uses: an object, or the name of a library's module, and names of it.
USED = [
    (TRANSFORMERS, lambda: import_module("transformers").PreTrainedModel, ["_is_stateful"]),
    (TRANSFORMERS, lambda: import_module("transformers").LlamaConfig(), ["_attn_implementation"]),
    (TRANSFORMERS, lambda: import_module("transformers").DynamicCache(), ["layers", "batch_select_indices"]),
    (TRANSFORMERS, lambda: import_module("transformers.cache_utils"), ["LinearAttentionCacheLayerMixin"]),
    (TRANSFORMERS, lambda: import_module("transformers.modeling_layers"), ["GradientCheckpointingLayer"]),
    (PEFT, lambda: import_module("peft.tuners.lora"), ["Linear"]),
    (TRANSFORMERS, lambda: import_module("transformers.conversion_mapping"), ["get_checkpoint_conversion_mapping"]),
    (PEFT, lora_layer, ["get_base_layer", "lora_A", "lora_B", "lora_dropout", "merged", "scaling", "use_dora"]),
    (SACREBLEU, lambda: import_module("sacrebleu.metrics").CHRF(), ["_extract_corpus_statistics"]),
    (
        SNAKEMAKE,
        records,
        ["_record_path", "_metadata_path", "_filter_incomplete_keys", "_read_record", "_write_record"],
    ),
    (SNAKEMAKE, lambda: import_module("snakemake.persistence"), ["MetadataRecord", "RECORD_FORMAT_VERSION"]),
    (SNAKEMAKE, workflow_class, ["is_main_process", "overwrite_configfiles", "config_settings"]),
    (SNAKEMAKE, lambda: import_module("snakemake.settings.types").ConfigSettings(), ["config"]),
    (SNAKEMAKE, lambda: import_module("snakemake.settings.types").SchedulingSettings(), ["max_jobs_per_timespan"]),
    (
        SNAKEMAKE,
        lambda: import_module("snakemake.settings.types").MaxJobsPerTimespan.parse_choice("100/1s"),
        ["max_jobs", "timespan"],
    ),
    (SNAKEMAKE, lambda: import_module("snakemake.common.configfile"), ["load_configfile"]),
    (SNAKEMAKE, lambda: import_module("snakemake.cli"), ["parse_args", "parse_config"]),
]


def library_of(module: str) -> str:
    return module.rpartition("/")[2].partition("_")[0]


def gone(module: str, what: str) -> str:
    library = library_of(module)
    return (
        f"{library} {metadata.version(library)} no longer has {what}; look at "
        f"workflow_scripts/contrastive_context/{module}, and at the bound of {library} in pyproject.toml"
    )


@pytest.mark.parametrize(("module", "owner", "names"), USED)
def test_the_library_still_has_what_is_used_of_it(module, owner, names):
    try:
        found = owner()
    except (ImportError, AttributeError, TypeError) as error:
        pytest.fail(gone(module, f"what this test looks at ({error})"), pytrace=False)
    fields = getattr(found, "__dataclass_fields__", {})
    if missing := [name for name in names if not hasattr(found, name) and name not in fields]:
        of = getattr(found, "__name__", type(found).__name__)
        pytest.fail(gone(module, f"{', '.join(missing)} of {of}"), pytrace=False)


@pytest.mark.parametrize("module", [TRANSFORMERS, PEFT, SACREBLEU, SNAKEMAKE])
def test_the_next_version_that_may_move_them_is_not_allowed(repository, module):
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = [*project["dependencies"], *project["optional-dependencies"]["workflow"]]
    assert [one for one in asked if one.startswith(f"{library_of(module)}>=") and ",<" in one]


def test_records_are_read_by_snakemake_as_its_own(tmp_path, monkeypatch):
    from snakemake.io import IOFile

    from contrastive_context.workflow.snakemake_internals import Records

    monkeypatch.chdir(tmp_path)
    ours = Records()
    assert not ours.known("a.txt")
    ours.add("a.txt", '{"seed": 0}', {"b.txt": "00ff"}, started=7)
    ours.replace_settings("a.txt", "another", "unwanted")
    ours.replace_settings("a.txt", '{"seed": 0}', '{"seed": 1}')
    record = records().metadata(IOFile("a.txt"))
    assert (record.params, record.input, record.input_checksums, record.starttime, record.incomplete) == (
        ["'{\"seed\": 1}'"], ["b.txt"], {"b.txt": "sha256:00ff"}, 7, False,
    )  # fmt: skip
    assert Records().known("a.txt") and ours.unfinished(["a.txt"]) == set()


LIMITED = """
import sys
sys.path.insert(0, {package!r})
from contrastive_context.workflow import snakemake_internals

onstart: snakemake_internals.lift_default_rate_limit(workflow)
onsuccess: print("limiter:", type(workflow.scheduler.job_rate_limiter).__name__)

rule one:
    output: "out"
    shell: "touch {{output}}"
"""


@pytest.mark.parametrize(
    ("options", "kept"), [([], "NoneType"), (["--max-jobs-per-timespan", "99/1s"], "JobRateLimiter")]
)
def test_the_default_limit_of_starts_is_lifted_and_another_kept(repository, tmp_path, options, kept):
    (tmp_path / "Snakefile").write_text(LIMITED.format(package=str(repository / "workflow_scripts")))
    command = [sys.executable, "-m", "snakemake", "--cores", "1", *options]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert f"limiter: {kept}" in done.stdout + done.stderr
