"""What jobs ask for: memory and time, and a cluster's account, partitions and way of asking for GPUs."""

from typing import Literal

from pydantic import Field

from contrastive_context.config.base import Minutes, Model

CpuStage = Literal[
    "build_corpus",
    "embed_corpus",
    "find_neighbours",
    "paraphrase",
    "sample_train_contexts",
    "freeze_eval_contexts",
    "freeze_probes",
    "score",
    "score_execution",
    "rebucket",
]
ModelStage = Literal["prepare_model", "finetune", "generate", "run_probes"]


class Needs(Model):
    """Memory and time of one job."""

    mem_mb: int = Field(3000, ge=256, description="memory of one job, MiB")
    runtime: Minutes = Field(60, description="time limit of one job, minutes")


class OwnNeeds(Model):
    """What one stage of a model needs, where it isn't what the model's other stages do."""

    mem_mb: int | None = Field(None, ge=256, description="memory of one job, MiB; the model's if absent")
    runtime: Minutes | None = Field(None, description="time limit of one job, minutes; the model's if absent")


class Cluster(Model):
    """How jobs are submitted to SLURM. No number depends on it, and local runs look at memory and GPUs only [ours]."""

    jobs_per_gpu: int = Field(
        1, ge=1, description="local runs: how many jobs may share a GPU (the profile's gpu= says how many run at once)"
    )
    preload: bool = Field(
        True, description="local runs: model jobs on CPUs start from a process that has torch and transformers loaded"
    )
    account: str | None = Field(None, description="account to charge; without it the cluster's default for the user")
    partition: str | None = Field(None, description="partition; without it the cluster's default")
    max_runtime: Minutes = Field(1440, description="the partition's time limit, minutes; no job asks for more")
    max_mem_mb: int | None = Field(None, ge=256, description="memory of a node, MiB; no job asks for more")
    gpu_partition: str | None = Field(None, description="partition of jobs with a GPU; `partition` if absent")
    gpu_max_runtime: Minutes | None = Field(None, description="its time limit, minutes; `max_runtime` if absent")
    gpu_flag: Literal["gpus", "gres"] = Field(
        "gpus", description="sbatch --gpus=1 or --gres=gpu:1; with gres, local runs don't count GPUs"
    )
    gpu_type: str | None = Field(None, pattern=r"^[A-Za-z0-9_.]+$", description="such as a100: --gpus=a100:1")
    stages: dict[CpuStage, Needs] = Field({}, description="stages that run no model: what a job needs")

    @property
    def resources(self) -> list[str]:
        """Names of the Snakemake resources of a :meth:`request`. What isn't set is left to profile and cluster."""
        names = ["mem_mb", "runtime", "gpu"]
        names += ["slurm_account"] if self.account else []
        names += ["slurm_partition"] if self.partition or self.gpu_partition else []
        if self.gpu_flag == "gres":
            return [*names, "gres"]
        return [*names, "gpu_model"] if self.gpu_type else names

    def request(self, mem_mb: int, runtime: int, gpus: int, attempt: int) -> dict[str, int | str]:
        """Return the values of :attr:`resources`; an empty text means that SLURM isn't asked.

        A repeated job gets its whole time again, and half of its memory, for each time that it was tried.

        Args:
            mem_mb: memory of the first attempt, MiB.
            runtime: time limit of the first attempt, minutes.
            gpus: number of GPUs.
            attempt: from 1.
        """
        longest = (self.gpu_max_runtime if gpus else None) or self.max_runtime
        partition = (self.gpu_partition if gpus else None) or self.partition
        memory = mem_mb * (attempt + 1) // 2
        as_gres = self.gpu_flag == "gres"
        kind = f":{self.gpu_type}" if self.gpu_type else ""
        return {
            "mem_mb": min(memory, self.max_mem_mb or memory),
            "runtime": min(runtime * attempt, longest),
            # The plugin turns `gpu` into --gpus; where that isn't understood it must not be there.
            "gpu": 0 if as_gres else gpus,
            "slurm_account": self.account or "",
            "slurm_partition": partition or "",
            "gres": f"gpu{kind}:{gpus}" if as_gres and gpus else "",
            "gpu_model": (self.gpu_type or "") if gpus else "",
        }
