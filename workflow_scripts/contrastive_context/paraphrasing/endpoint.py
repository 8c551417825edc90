"""Paraphrases by a language model behind an HTTP endpoint, asked for both sides of each pair.

What was paid for is kept: every answer goes into a journal outside the declared outputs, under the hash of its request,
and is never asked for again. The journal has one entry per request that may have been charged, which is what the budget
counts.
"""

import hashlib
import logging
import re
import threading
import time
import uuid
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import tenacity

from contrastive_context.config.paraphrasers import EndpointParaphraser
from contrastive_context.core import cli
from contrastive_context.core.canonical import canonical_json
from contrastive_context.core.errors import UserError
from contrastive_context.core.journal import Journal
from contrastive_context.core.json_types import JsonDict, JsonMapping
from contrastive_context.paraphrasing import kept
from contrastive_context.paraphrasing.chat_client import (
    ChatClient,
    Reply,
    UnavailableError,
    UnusableError,
    json_objects,
)
from contrastive_context.paraphrasing.settings import AskEndpointSettings

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger("contrastive_context")

UNUSABLE = "no usable answer"
"""Why a row has no proposal: all attempts brought something else than the pair asked for."""

_FIRST_WAIT = 1.0  # seconds before the second attempt; twice as long before each further one


def ask(
    settings: AskEndpointSettings, rows: "pd.DataFrame", cache: str | Path, key: str | None
) -> tuple["pd.DataFrame", JsonDict]:
    """Ask for a paraphrase of every pair, as far as the answers are not there from an earlier run.

    Of a Text-to-SQL source the question is asked for; schemas are neither sent nor paid for.

    Args:
        settings: the paraphraser's entry, and what ends a question.
        rows: pairs with id, source and target.
        cache: folder of the journals.
        key: the endpoint's key, or None.

    Returns:
        A frame with id, source, target and problem (empty where there is an answer), in the order of ``rows``; and the
        counts: rows, answers without a usable pair, requests and tokens of all runs.

    Raises:
        UserError: the endpoint refuses or stays unavailable, or the budget is spent. Answers so far are kept.
    """
    import pandas as pd

    entry = settings.paraphraser
    name = f"{settings.task}.{settings.split}.{settings.paraphraser_name}"
    asked = rows.assign(source=[kept.split(source, settings.question_ends)[0] for source in rows["source"]])
    bodies = [_body(entry, source, target) for source, target in zip(asked["source"], asked["target"], strict=True)]
    addresses = [_address(entry, body) for body in bodies]
    journal = Journal(Path(cache) / f"{name}.jsonl")
    waiting = {address: body for address, body in zip(addresses, bodies, strict=True) if address not in journal}
    log.info(
        "%s: %d pairs, %d answered before; %d go to %s, model %s",
        name, len(rows), len(rows) - len(waiting), len(waiting), urlsplit(entry.base_url).hostname, entry.model,
    )  # fmt: skip
    if waiting:
        with ChatClient(settings.paraphraser_name, entry, key) as client:
            _Asking(settings, client, journal).run(waiting)
    answers = [journal[address] for address in addresses]
    frame = pd.DataFrame(
        {
            "id": rows["id"].to_numpy(),
            **{
                side: [_as_lines(answer[side], parent) for answer, parent in zip(answers, asked[side], strict=True)]
                for side in ("source", "target")
            },
            "problem": [answer["problem"] for answer in answers],
        }
    )
    requests, tokens = _spent(journal)
    unusable = int((frame["problem"] != "").sum())
    return frame, {"rows": len(frame), "unusable": unusable, "requests": requests, "tokens": tokens}


class _Asking:
    """Some threads that ask, one journal, one budget, one pace."""

    def __init__(self, settings: AskEndpointSettings, client: ChatClient, journal: Journal) -> None:
        self._entry = settings.paraphraser
        self._where = f"paraphrasers.{settings.paraphraser_name}"
        self._host = urlsplit(settings.paraphraser.base_url).hostname
        self._client = client
        self._journal = journal
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._requests, self._tokens = _spent(journal)
        self._next_start = time.monotonic()
        self._failures: Counter[str] = Counter()

    def run(self, waiting: Mapping[str, JsonMapping]) -> None:
        """Ask for everything that is waiting, by its address."""
        pool = ThreadPoolExecutor(self._entry.concurrency, thread_name_prefix="ask")
        try:
            with cli.progress(label="asking", total=len(waiting), unit="pair") as bar:
                for future in as_completed([pool.submit(self._pair, *item) for item in waiting.items()]):
                    future.result()
                    bar.update()
        finally:
            self._stop.set()
            pool.shutdown(cancel_futures=True)
            for reason, count in self._failures.most_common(5):
                log.info("%s: %d × %s, asked again", self._where, count, reason)

    def _pair(self, address: str, body: JsonMapping) -> None:
        attempts = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self._entry.attempts),
            retry=tenacity.retry_if_exception_type((UnavailableError, UnusableError)),
            wait=self._wait,
            sleep=self._sleep,
            reraise=True,
        )
        try:
            answer = attempts(self._attempt, address, body)
        except UnusableError:
            answer = _entry(problem=UNUSABLE, requests=0)  # its attempts have entries of their own
        except UnavailableError as error:
            raise UserError(
                f"{self._where}: {self._host} failed {self._entry.attempts} times in a row ({error}); answers so far "
                "are kept, run the same command again later"
            ) from error
        with self._lock:
            self._tokens += answer["tokens"]
            self._journal.add({address: answer})

    def _attempt(self, address: str, body: JsonMapping) -> JsonDict:
        self._take_turn()
        try:
            reply = self._client.send(body)
            source, target = _pair_in(reply)
        except UnavailableError as error:
            self._note(address, error, charged=error.charged)
            raise
        except UnusableError as error:
            self._note(address, error, charged=True, tokens=error.tokens)
            raise
        return _entry(source, target, tokens=reply.tokens)

    def _note(self, address: str, error: Exception, charged: bool, tokens: int = 0) -> None:
        with self._lock:
            self._failures[str(error)] += 1
            if charged:
                self._tokens += tokens
                self._journal.add({f"{address}/{uuid.uuid4().hex}": _entry(problem=str(error), tokens=tokens)})
            else:
                self._requests -= 1

    def _take_turn(self) -> None:
        """Wait until the pace allows a request, and count it; refuse it above the budget."""
        entry = self._entry
        with self._lock:
            if self._stop.is_set():
                raise UserError(f"{self._where}: stopped")
            spent = None
            if self._requests >= entry.max_requests:
                spent = f"max_requests ({entry.max_requests})"
            elif entry.max_tokens is not None and self._tokens >= entry.max_tokens:
                spent = f"max_tokens ({entry.max_tokens})"
            if spent:
                raise UserError(
                    f"{self._where}: the budget is spent: {spent}; answers so far are kept. Raise it to go on, or take "
                    "another paraphraser"
                )
            self._requests += 1
            now = time.monotonic()
            start = max(now, self._next_start)
            self._next_start = start + (60 / entry.requests_per_minute if entry.requests_per_minute else 0)
        self._sleep(start - now)

    def _wait(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, UnavailableError) and error.wait is not None:
            if error.wait > self._entry.max_wait:
                raise UserError(
                    f"{self._where}: {self._host} asks to wait {error.wait:.0f} s, longer than max_wait "
                    f"({self._entry.max_wait:g}); answers so far are kept, run the same command again then"
                )
            return error.wait
        return tenacity.wait_exponential_jitter(_FIRST_WAIT, self._entry.max_wait, jitter=_FIRST_WAIT)(state)

    def _sleep(self, seconds: float) -> None:
        self._stop.wait(max(0.0, seconds))


def _body(entry: EndpointParaphraser, source: str, target: str) -> JsonDict:
    """Return the request for a pair."""
    pair = {"{source}": source, "{target}": target}
    # In one pass: a text may hold what looks like a placeholder.
    prompt = re.sub(r"\{source\}|\{target\}", lambda match: pair[match.group()], entry.prompt)
    body: JsonDict = {
        "model": entry.model,
        "messages": [{"role": "user", "content": prompt}],
        "temperature": entry.temperature,
        "max_tokens": entry.max_output_tokens,
    }
    if entry.json_mode:
        body["response_format"] = {"type": "json_object"}
    return body


def _address(entry: EndpointParaphraser, body: JsonMapping) -> str:
    """Return the hash under which a request's answer is kept; another seed asks for another answer."""
    content = canonical_json({"base_url": entry.base_url, "seed": entry.seed, **body})
    return hashlib.sha256(content.encode()).hexdigest()


def _entry(source: str = "", target: str = "", *, problem: str = "", tokens: int = 0, requests: int = 1) -> JsonDict:
    return {"source": source, "target": target, "problem": problem, "tokens": tokens, "requests": requests}


def _spent(journal: Journal) -> tuple[int, int]:
    """Return the requests that may have been charged, and the tokens."""
    return sum(entry["requests"] for entry in journal.values()), sum(entry["tokens"] for entry in journal.values())


def _pair_in(reply: Reply) -> tuple[str, str]:
    for value in json_objects(reply.content):
        source, target = value.get("source"), value.get("target")
        if all(isinstance(text, str) and text.strip() and _is_text(text) for text in (source, target)):
            return str(source), str(target)
    raise UnusableError("an answer without the JSON object asked for", reply.tokens)


def _is_text(text: str) -> bool:
    """Whether a string can be written: JSON may escape half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _as_lines(text: str, parent: str) -> str:
    """Return a text on one line if its parent is on one: line breaks end answers in most templates."""
    return text.strip() if "\n" in parent else " ".join(text.split())
