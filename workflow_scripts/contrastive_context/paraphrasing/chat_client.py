"""One request to an OpenAI-compatible chat endpoint: what may be sent where, and what an answer must look like.

The key is in the request's header and nowhere else: not in URLs, messages, logs or arguments.
"""

import contextlib
import email.utils
import json
import math
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

import httpx2

from contrastive_context.config.paraphrasers import EndpointParaphraser
from contrastive_context.core.errors import UserError
from contrastive_context.core.json_types import JsonMapping
from contrastive_context.core.version import __version__

_MAX_BODY = 1 << 20  # bytes; a paraphrase has a few hundred
_MAX_REDIRECTS = 3
_RETRIED = (408, 425, 429)


class Reply(NamedTuple):
    """What the model has written, and the tokens that the endpoint counted for it, 0 if it doesn't say."""

    content: str
    tokens: int


class UnavailableError(Exception):
    """The endpoint can't answer now; another attempt may succeed.

    Attributes:
        wait: seconds after which the server wants to be asked again, if it says so.
        charged: whether the request may have been charged for.
    """

    def __init__(self, message: str, wait: float | None = None, charged: bool = False) -> None:
        super().__init__(message)
        self.wait = wait
        self.charged = charged


class UnusableError(Exception):
    """The endpoint has answered, but not with what was asked for.

    Attributes:
        tokens: that it counted.
    """

    def __init__(self, message: str, tokens: int = 0) -> None:
        super().__init__(message)
        self.tokens = tokens


class ChatClient:
    """A connection to an endpoint; a context manager, to be shared by threads.

    Args:
        name: the entry's key under ``paraphrasers``, for messages.
        settings: the entry.
        key: the endpoint's key, or None.

    Raises:
        UserError: the key can't be one.
    """

    def __init__(self, name: str, settings: EndpointParaphraser, key: str | None) -> None:
        self._where = f"paraphrasers.{name}"
        self._url = httpx2.URL(f"{settings.base_url}/chat/completions")
        self._timeout = settings.timeout
        self._key = (key or "").strip()
        if not (self._key.isascii() and self._key.isprintable()):
            raise UserError(f"{self._where}: the key in {settings.api_key_env} has characters that no key has")
        headers = {"User-Agent": f"contrastive-context/{__version__}", "Accept-Encoding": "identity"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        self._client = httpx2.Client(
            headers=headers,
            timeout=settings.timeout,
            follow_redirects=False,
            # A proxy named in the environment must not see what is meant for this machine and has no TLS.
            trust_env=self._url.scheme == "https",
            limits=httpx2.Limits(max_connections=settings.concurrency),
        )

    def __enter__(self) -> "ChatClient":
        """Return the client."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close its connections."""
        self._client.close()

    def send(self, body: JsonMapping) -> Reply:
        """Send one request.

        Raises:
            UnavailableError: overloaded, unreachable, broken off or too slow.
            UnusableError: the answer is too large, cut off, or not of the format.
            UserError: the endpoint refuses: wrong key, model or request, or a redirect to another host.
        """
        try:
            status, headers, content = self._post(body)
        except httpx2.TimeoutException as error:
            sent = not isinstance(error, (httpx2.ConnectTimeout, httpx2.PoolTimeout))
            raise UnavailableError(f"no answer within {self._timeout:g} s", charged=sent) from error
        except httpx2.DecodingError as error:
            raise UnusableError(f"an answer that can't be decoded ({error})") from error
        except httpx2.TransportError as error:
            reason = str(error).strip() or type(error).__name__
            raise UnavailableError(
                self._scrubbed(reason), charged=not isinstance(error, httpx2.ConnectError)
            ) from error
        if status in _RETRIED or status >= 500:
            raise UnavailableError(f"status {status}", wait=_retry_after(headers.get("Retry-After")))
        if status != 200:
            detail = self._scrubbed(content[:4096].decode("utf-8", "replace"))
            raise UserError(
                f"{self._where}: {self._url.host} answers with status {status} ({detail}); "
                "check base_url, model and the key"
            )
        return _read(content)

    def _post(self, body: JsonMapping) -> tuple[int, Mapping[str, str], bytes]:
        """Return status, headers and body; follow redirects that stay with the host, refuse others."""
        url = self._url
        for _ in range(_MAX_REDIRECTS + 1):
            end = time.monotonic() + self._timeout
            with self._client.stream("POST", url, json=body) as response:
                if response.status_code in (307, 308) and "Location" in response.headers:
                    url = self._same_host(response.headers["Location"])
                    continue
                if response.status_code in (301, 302, 303):
                    self._same_host(response.headers.get("Location", ""))
                    raise UserError(f"{self._where}: {url.host} redirects to another address; put that into base_url")
                content = bytearray()
                for chunk in response.iter_bytes():
                    content += chunk
                    if len(content) > _MAX_BODY:
                        raise UnusableError(f"an answer of more than {_MAX_BODY >> 20} MiB")
                    if time.monotonic() > end:
                        raise httpx2.ReadTimeout("too slow")
                return response.status_code, response.headers, bytes(content)
        raise UserError(f"{self._where}: {self._url.host} redirects in a circle")

    def _same_host(self, location: str) -> httpx2.URL:
        with contextlib.suppress(httpx2.InvalidURL):
            target = self._url.join(location)
            if (target.scheme, target.host, target.port) == (self._url.scheme, self._url.host, self._url.port):
                return target
        # Key and text were meant for the host in the configuration.
        raise UserError(f"{self._where}: {self._url.host} redirects to another host, which is refused; check base_url")

    def _scrubbed(self, text: str) -> str:
        """Return a message for people: one short line, without the key, should the server repeat it."""
        if self._key:
            text = text.replace(self._key, "***")
        printable = "".join(character if character.isprintable() else " " for character in text)
        return " ".join(printable.split())[:300]


def _retry_after(value: str | None) -> float | None:
    """Return the seconds that a Retry-After header asks for: a number, or a date."""
    if value is None:
        return None
    with contextlib.suppress(ValueError):
        return max(0.0, float(value)) if math.isfinite(float(value)) else None
    with contextlib.suppress(ValueError, OverflowError):
        date = email.utils.parsedate_to_datetime(value)
        # -0000 says UTC without a region, which Python takes for no time zone.
        return max(0.0, (date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
    return None


def _read(content: bytes) -> Reply:
    try:
        record = json.loads(content)
        choice = record["choices"][0]
        text = choice["message"]["content"]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise UnusableError("an answer that is no chat completion") from error
    usage = record.get("usage")
    total = usage.get("total_tokens") if isinstance(usage, Mapping) else None
    tokens = total if isinstance(total, int) and total > 0 else 0
    if not isinstance(text, str):
        raise UnusableError("an answer without text", tokens)
    if choice.get("finish_reason") == "length":
        raise UnusableError("an answer cut off at max_output_tokens", tokens)
    return Reply(text, tokens)


def json_objects(text: str) -> Iterator[JsonMapping]:
    """Yield the JSON objects that begin anywhere in a text; models like to put something around them."""
    decoder = json.JSONDecoder()
    at = text.find("{")
    while at >= 0:
        with contextlib.suppress(ValueError, RecursionError):
            value, end = decoder.raw_decode(text, at)
            yield value
            at = end - 1
        at = text.find("{", at + 1)
