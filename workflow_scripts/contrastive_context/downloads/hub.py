"""Files of the Hugging Face hub: downloaded once, at a recorded revision, and found again without network.

Files stay in the hub's own cache (``HF_HOME``), where other programs share them; a run keeps a small record per entry.
Everything but :func:`fetch` works with the hub offline.
"""

import contextlib
import fnmatch
import hashlib
import json
import logging
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from contrastive_context.config.hub_entries import HubEntry
from contrastive_context.core.artifacts import read_json, sha256_file
from contrastive_context.core.errors import UserError
from contrastive_context.core.json_types import JsonDict, JsonMapping
from contrastive_context.core.weights import refuse_adapters
from contrastive_context.downloads.packages import require_disk
from contrastive_context.downloads.settings import FetchHubSettings

if TYPE_CHECKING:
    from huggingface_hub import DatasetInfo, HfApi, ModelInfo
    from huggingface_hub.hf_api import RepoSibling

log = logging.getLogger(__name__)

LANGUAGE_MODEL_FILES = ("*.safetensors", "*.json", "*.jinja", "vocab.txt", "merges.txt", "*.model", "*.spm")
"""Patterns of the files that a language model is read from: weights as safetensors, configuration, tokenizer."""

ENCODER_FILES = ("*.json", "*.txt", "*.model", "*.safetensors", "[0-9]_*/*.json", "[0-9]_*/*.safetensors")
"""Patterns of the files that a sentence-transformers encoder is read from."""

DATA_FORMATS = {".parquet": "parquet", ".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".tsv": "tsv"}
"""Formats in which a data set's files can be read, by the suffix of their names."""

_PICKLED_WEIGHTS = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.h5", "*.msgpack")
_LOOKED_AT = 30  # revisions that are looked through for safetensors
_NAMED = 3  # of them in a message
_USUAL_WEIGHTS = re.compile(r"model(-\d+-of-\d+)?\.safetensors")


def match(names: Iterable[str], patterns: Iterable[str]) -> list[str]:
    """Return the names that match a pattern of the same depth: ``*`` does not cross a slash."""
    patterns = tuple(patterns)
    return [
        name
        for name in names
        if any(fnmatch.fnmatch(name, pattern) and name.count("/") == pattern.count("/") for pattern in patterns)
    ]


def fetch(settings: FetchHubSettings) -> JsonDict:
    """Download what an entry needs into the hub's cache, verify it, and return its record.

    Files that are in the cache are not downloaded again, so a second call goes on where the first was stopped (whole
    files; within a call, a broken connection is resumed in the middle of a file). Every file is compared with the hash
    that the hub states.

    Returns:
        ``repository``, ``type``, ``revision`` (commit hash), ``licence`` (as the hub's card states it, or None),
        ``files`` (name → ``{"sha256", "bytes"}``) and, for a data set, ``splits`` (split → names). No paths and no
        times: the record of the same files is the same on any machine.

    Raises:
        UserError: the hub can't be reached, refuses access, has no such repository, revision or usable files, or sent
            damaged ones; the message says what to do.
    """
    import huggingface_hub
    from huggingface_hub import constants

    entry, where = settings.entry, f"{settings.registry}.{settings.name}"
    if constants.HF_HUB_OFFLINE:
        name = "HF_HUB_OFFLINE" if os.environ.get("HF_HUB_OFFLINE") else "TRANSFORMERS_OFFLINE"
        raise UserError(f"{where}: {name} is set; unset it to download {entry.repository}")
    try:
        api = huggingface_hub.HfApi()
        found = api.repo_info(entry.repository, repo_type=entry.type, revision=entry.revision, files_metadata=True)
        info = cast("DatasetInfo | ModelInfo", found)
        if getattr(info, "gated", False):
            # The list of files of a gated repository is public; without this the first download would tell.
            api.auth_check(entry.repository, repo_type=entry.type)
        remote = {file.rfilename: file for file in info.siblings or []}
        card = info.card_data.to_dict() if info.card_data else {}
        splits = data_files(where, entry, card, remote) if entry.use == "data_set" else None
        wanted = sorted(set(chain(*splits.values()))) if splits else _choose(where, entry, remote, api)
        require_disk(
            Path(constants.HF_HUB_CACHE),
            sum(remote[name].size or 0 for name in wanted if not _cached(entry, info.sha, name)),
            what=f"downloading {where} (cache: HF_HOME)",
        )
        log.info("%s: %s at revision %s, %d files", where, entry.repository, info.sha, len(wanted))
        with _bars() as bar_class:
            snapshot = huggingface_hub.snapshot_download(
                entry.repository,
                repo_type=entry.type,
                revision=info.sha,
                allow_patterns=[_literal(name) for name in wanted],
                tqdm_class=bar_class,
            )
    except UserError:
        raise
    except Exception as error:  # network, authorisation and repository errors have no common base class
        raise UserError(f"{where}: {explain(error, entry)}") from error
    record: JsonDict = {
        "repository": entry.repository,
        "type": entry.type,
        "revision": info.sha,
        "licence": _licence(card),
        "files": {name: _verified(where, Path(snapshot) / name, remote[name]) for name in wanted},
    }
    return record | ({"splits": splits} if splits else {})


def _literal(name: str) -> str:
    """Return the pattern that matches a name and nothing else."""
    return re.sub(r"([*?[])", r"[\1]", name)


def _cached(entry: HubEntry, revision: str | None, name: str) -> bool:
    import huggingface_hub

    found = huggingface_hub.try_to_load_from_cache(entry.repository, name, revision=revision, repo_type=entry.type)
    return isinstance(found, str)


def _licence(card: JsonMapping) -> str | None:
    value = card.get("license_name") or card.get("license")
    return ", ".join(map(str, value)) if isinstance(value, list) else value


def _choose(where: str, entry: HubEntry, remote: Mapping[str, "RepoSibling"], api: "HfApi") -> list[str]:
    """Choose a model's files: nothing that can run code, and no second copy of the weights."""
    if entry.use == "files":
        wanted = match(remote, entry.files)
        if not wanted:
            raise UserError(f"{where}: {entry.repository} has no file like {', '.join(entry.files)}")
        return wanted
    patterns = LANGUAGE_MODEL_FILES if entry.use == "language_model" else ENCODER_FILES
    wanted = match(remote, patterns)
    refuse_adapters(f"{where}: {entry.repository}", wanted)
    weights = [name for name in wanted if name.endswith(".safetensors")]
    if not weights:
        others = match((name.rpartition("/")[2] for name in remote), _PICKLED_WEIGHTS)
        found = f" (it has {', '.join(sorted(set(others))[:3])}, which can run code when loaded)" if others else ""
        having = _revisions_with_weights(api, entry, patterns)
        one = f"set revision: {' or '.join(having)}, which has them" if having else "name a revision that has them"
        raise UserError(
            f"{where}: {entry.repository} at revision {entry.revision} has no .safetensors{found}; {one}, or save the "
            "model with save_pretrained and use it as a local folder"
        )
    usual = [name for name in weights if _USUAL_WEIGHTS.fullmatch(name)]
    # Some repositories hold the weights twice, for instance as consolidated.safetensors.
    return sorted(name for name in wanted if name not in weights or not usual or name in usual or "/" in name)


def _revisions_with_weights(api: "HfApi", entry: HubEntry, patterns: Sequence[str]) -> list[str]:
    """Return branches, tags and pull requests of a repository that have safetensors, of the latter the newest first.

    Conversions often wait as pull requests, of the hub's own bot for instance, and can be downloaded from there.
    """
    result: list[str] = []
    # Whatever goes wrong here, what is told without it is worth more.
    with contextlib.suppress(Exception):
        references = api.list_repo_refs(entry.repository, repo_type=entry.type, include_pull_requests=True)
        names = [found.name for found in [*references.branches, *references.tags]]
        names += [found.ref for found in references.pull_requests or []]
        for name in names[:_LOOKED_AT]:
            files = api.list_repo_files(entry.repository, repo_type=entry.type, revision=name)
            if any(file.endswith(".safetensors") for file in match(files, patterns)):
                result.append(name)
    return result[:_NAMED]


def data_files(where: str, entry: HubEntry, card: JsonMapping, names: Iterable[str]) -> dict[str, list[str]]:
    """Return a data set's files by split, from the entry's ``files`` or from the configurations in its card.

    Args:
        where: the entry's key, for messages.
        entry: the data set.
        card: metadata of the card; ``configs`` lists configurations with their files
            (https://huggingface.co/docs/datasets/repository_structure).
        names: all files of the repository.

    Raises:
        UserError: no such configuration, or a split without readable files.
    """
    names = sorted(names)
    patterns: JsonMapping = entry.files if isinstance(entry.files, dict) else {}
    patterns = patterns or _from_card(where, entry, card)
    result = {}
    for split, wanted in patterns.items():
        found = [name for name in names if any(fnmatch.fnmatch(name, pattern) for pattern in _listed(wanted))]
        if not found:
            raise UserError(f"{where}: {entry.repository} has no file like {wanted} for split {split}")
        if unreadable := [name for name in found if not name.endswith(tuple(DATA_FORMATS))]:
            raise UserError(
                f"{where}: {unreadable[0]} of {entry.repository} can't be read (known: {', '.join(DATA_FORMATS)}); "
                "the hub keeps a Parquet copy of most data sets: set revision: refs/convert/parquet and files: "
                "{train: '<configuration>/train/*.parquet', …}"
            )
        result[split] = found
    return result


def _from_card(where: str, entry: HubEntry, card: JsonMapping) -> JsonDict:
    configurations = {item["config_name"]: item for item in card.get("configs") or [] if "data_files" in item}
    chosen = entry.configuration or next(
        (name for name, item in configurations.items() if item.get("default") or name == "default"), None
    )
    if chosen is None and len(configurations) == 1:
        (chosen,) = configurations
    if chosen not in configurations:
        if not configurations:
            problem = "names no files; list them under files, for instance {train: 'data/train-*.parquet'}"
        elif chosen is None:
            problem = "has several configurations; name one of " + ", ".join(configurations)
        else:
            problem = f"has no configuration {chosen!r}; it has " + ", ".join(configurations)
        raise UserError(f"{where}.configuration: the card of {entry.repository} {problem}")
    found = configurations[chosen]["data_files"]
    if isinstance(found, str) or all(isinstance(item, str) for item in found):
        return {"train": found}
    return {item["split"]: item["path"] for item in found}


def _listed(value: str | Sequence[str]) -> Sequence[str]:
    return [value] if isinstance(value, str) else value


def _verified(where: str, file: Path, remote: "RepoSibling") -> JsonDict:
    """Hash a file and compare it with what the hub states; a damaged one is removed, so that it is downloaded again."""
    digest, size = sha256_file(file), file.stat().st_size
    if remote.lfs is not None:
        expected, found = cast("str | None", remote.lfs.sha256), digest
    else:
        expected, found = remote.blob_id, _git_hash(file)
    if expected is not None and expected != found:
        blob = file.resolve()
        file.unlink()
        blob.unlink(missing_ok=True)
        raise UserError(
            f"{where}: {file.name} was damaged on the way (its hash is not the hub's) and has been removed from the "
            "cache; run the same command again"
        )
    return {"sha256": digest, "bytes": size}


def _git_hash(file: Path) -> str:
    content = file.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def explain(error: Exception, entry: HubEntry) -> str:
    """Say in a sentence what the hub's client ran into and what to do. Tokens never appear in it."""
    import httpx2
    from huggingface_hub import constants, errors, get_token

    kind = "data set" if entry.type == "dataset" else "model"
    page = f"{constants.ENDPOINT}/{'datasets/' if entry.type == 'dataset' else ''}{entry.repository}"
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, errors.GatedRepoError):
        if status == 403 or get_token():
            return (
                f"the account of your token has no access to the gated {kind} {entry.repository}; ask for it on {page} "
                "and run the same command again once it is granted"
            )
        return (
            f"{entry.repository} is gated; accept its conditions on {page}, put a token of that account into the "
            "environment variable HF_TOKEN, and run the same command again"
        )
    if status == 401 and get_token():
        return f"the hub rejects the token in HF_TOKEN (or of `hf auth login`) for {page}; make a new one"
    if isinstance(error, errors.RepositoryNotFoundError):
        return (
            f"the hub has no {kind} {entry.repository}, or it is private: check the name, and for a private one put a "
            "token into HF_TOKEN"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{entry.repository} has no revision {entry.revision!r}; see {page}/tree/main for its branches and tags"
    if isinstance(error, errors.HFValidationError):
        return f"{entry.repository!r} is not a name on the hub; it reads owner/name"
    if status is not None:
        return f"the hub answered {status} for {page}; wait a little and run the same command again"
    if isinstance(error, (httpx2.TransportError, errors.OfflineModeIsEnabled)):
        return (
            f"{constants.ENDPOINT} can't be reached, or the connection broke ({type(error).__name__}); check the "
            "network and run the same command again, which keeps the files that are complete"
        )
    if isinstance(error, OSError) and error.errno is not None:
        return f"the hub's cache, {constants.HF_HUB_CACHE}, can't be used ({error}); HF_HOME names another folder"
    reason = (str(error).strip() or "no message").splitlines()[0]
    if "Consistency check failed" in reason:
        return f"a file of {entry.repository} arrived incomplete ({reason}); run the same command again"
    return f"{entry.repository} could not be downloaded ({type(error).__name__}: {reason})"


@contextlib.contextmanager
def _bars() -> Iterator[type]:
    """Yield tqdm for the client's bars; where nobody watches (log files, SLURM) one of them, every ten seconds."""
    from tqdm import tqdm

    watched, drawn = sys.stderr.isatty(), []

    class Bar(tqdm):
        """Of bytes received, bytes written, and files."""

        def __init__(self, *args: Any, **options: Any) -> None:
            if not watched:
                one = "Downloading" in options.get("desc", "")
                options |= {"mininterval": 10, "position": 0, "disable": not one}
            super().__init__(*args, **options)
            drawn.append(self)

    try:
        yield Bar
    finally:
        for bar in drawn:  # the client leaves them open when a download fails
            bar.close()


def stored(record: Path) -> tuple[JsonDict, Path]:
    """Find the files of a record in the hub's cache, without network.

    Returns:
        The record, and the folder that its file names are relative to.

    Raises:
        UserError: a file is missing, has another size, or a name that leads out of its folder.
    """
    import huggingface_hub
    from huggingface_hub import constants

    content = read_json(record)
    try:
        sizes = {name: entry["bytes"] for name, entry in content["files"].items()}
        texts = [content[key] for key in ("repository", "revision", "type")]
        whole = bool(sizes) and all(isinstance(text, str) for text in texts)
        whole = whole and all(isinstance(size, int) for size in sizes.values())
        if content["type"] == "dataset":
            splits = content["splits"].values()
            whole = whole and all(isinstance(files, list) and sizes.keys() >= set(files) for files in splits)
    except (KeyError, TypeError, AttributeError):
        whole = False
    if not whole:
        raise UserError(f"{record}: no record of a download; delete it and run `snakemake prefetch` again")
    for name in content["files"]:
        if "\\" in name or any(part in ("", ".", "..") for part in name.split("/")):
            raise UserError(f"{record}: refused, {name!r} is not a plain relative path")
    files = {
        name: huggingface_hub.try_to_load_from_cache(
            content["repository"], name, revision=content["revision"], repo_type=content["type"]
        )
        for name in content["files"]
    }
    for name, entry in content["files"].items():
        file = files[name]
        if not isinstance(file, str) or Path(file).stat().st_size != entry["bytes"]:
            raise UserError(
                f"{name} of {content['repository']} at revision {content['revision']} is not in the hub's cache "
                f"{constants.HF_HUB_CACHE}; set HF_HOME to the cache that prefetch filled, or delete {record} and run "
                "`snakemake prefetch` again"
            )
    first = next(iter(files))
    return content, Path(str(files[first]).removesuffix(first))


def link(record: Path, folder: Path) -> JsonDict:
    """Fill an empty folder with links to the files of a record, and return the record.

    Raises:
        UserError: as for :func:`stored`.
    """
    content, source = stored(record)
    for name in content["files"]:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(source / name)
    return content


def lock_text(records: Mapping[str, Mapping[str, Path]]) -> str:
    """Return the revisions of records as a configuration overlay in YAML.

    Args:
        records: registry → name → record.
    """
    lines = [
        "# Revisions of what this run took from the hub. Passed after the other configuration files, this file makes a",
        "# run elsewhere use the same ones: snakemake … --configfile config.yaml hub.lock.yaml",
    ]
    for registry in sorted(records):
        lines.append(f"{registry}:")
        for name, path in sorted(records[registry].items()):
            # JSON is YAML, and quotes what YAML would take for a number.
            lines.append(f"  {json.dumps(name)}: {{revision: {json.dumps(read_json(path)['revision'])}}}")
    return "\n".join(lines) + "\n"
