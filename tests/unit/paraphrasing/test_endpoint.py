"""The HTTP paraphraser against a real server on loopback that does what servers do on a bad day."""

import contextlib
import json
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pandas as pd
import pytest
from pydantic import ValidationError

from contrastive_context.config.paraphrasers import EndpointParaphraser
from contrastive_context.config.sql import GeneratedSqlCorpus
from contrastive_context.core import cli
from contrastive_context.core.artifacts import read_json, write_parquet
from contrastive_context.core.errors import UserError
from contrastive_context.corpora.rows import row_id
from contrastive_context.paraphrasing import chat_client, endpoint
from contrastive_context.paraphrasing.chat_client import _retry_after, json_objects
from contrastive_context.paraphrasing.endpoint import UNUSABLE, ask
from contrastive_context.paraphrasing.proposals import propose
from contrastive_context.paraphrasing.settings import AskEndpointSettings, ParaphraseSettings

KEY = "sk-very-secret-0123456789"
ROWS = pd.DataFrame(
    [(row_id(f"source {n}", f"target {n}"), f"source {n}", f"target {n}") for n in range(6)],
    columns=["id", "source", "target"],
)


def completion(content, finish="stop", tokens=7):
    return {"choices": [{"message": {"content": content}, "finish_reason": finish}], "usage": {"total_tokens": tokens}}


def answer(prompt):
    """What a good model says: the pair of the prompt, in other words."""
    source, target = (prompt.split(f"{side}: ")[1].split("\n")[0] for side in ("Source", "Target"))
    return completion(json.dumps({"source": f"other {source}", "target": f"other {target}"}))


class Server(ThreadingHTTPServer):
    """Answers well, unless ``bad`` says what to do instead: called with the handler and how often it was asked this."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.bad = lambda handler, times: False
        self.requests, self.times, self.lock = [], Counter(), threading.Lock()
        self.running, self.most = 0, 0

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/v1"

    def handle_error(self, request, client_address):
        pass  # clients that hang up are part of the tests


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.prompt = body["messages"][0]["content"]
        with self.server.lock:
            self.server.requests.append((self.path, dict(self.headers), body))
            self.server.times[self.prompt] += 1
            times = self.server.times[self.prompt]
            self.server.running += 1
            self.server.most = max(self.server.most, self.server.running)
        if not self.server.bad(self, times):
            self.reply(200, answer(self.prompt))
        with self.server.lock:
            self.server.running -= 1

    def reply(self, status, content, **headers):
        content = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": len(content), **headers}.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(content)
        return True


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(endpoint, "_FIRST_WAIT", 0.001)
    with Server() as opened:
        # The default poll interval would cost half a second per test.
        thread = threading.Thread(target=opened.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield opened
        opened.shutdown()


def settings(server, **changes):
    entry = {"kind": "endpoint", "base_url": server.url, "model": "m", "timeout": 5, **changes}
    return AskEndpointSettings(task="t", split="train", paraphraser_name="llm", paraphraser=entry)


def good(frame):
    assert frame["source"].tolist() == [f"other source {n}" for n in range(6)]
    assert frame["target"].tolist() == [f"other target {n}" for n in range(6)]
    assert not frame["problem"].any()
    return True


def test_each_pair_is_asked_once_and_never_again(server, tmp_path):
    frame, counts = ask(settings(server), ROWS, tmp_path, KEY)
    assert good(frame) and frame["id"].tolist() == ROWS["id"].tolist()
    assert counts == {"rows": 6, "unusable": 0, "requests": 6, "tokens": 42}
    again, counts = ask(settings(server), ROWS[::-1], tmp_path, KEY)
    assert again["source"].tolist() == frame["source"].tolist()[::-1]
    assert len(server.requests) == 6 and counts["requests"] == 6
    path, headers, body = server.requests[0]
    assert path == "/v1/chat/completions" and headers["Authorization"] == f"Bearer {KEY}"
    assert body["response_format"] == {"type": "json_object"} and body["temperature"] == 0.7
    ask(settings(server, seed=1), ROWS[:2], tmp_path, KEY)
    assert len(server.requests) == 8


def test_overload_and_errors_are_asked_again_when_the_server_says(server, tmp_path):
    statuses = [429, 500, 503]
    server.bad = lambda handler, times: times <= 3 and handler.reply(statuses[times - 1], b"busy", Retry_After="0")
    frame, counts = ask(settings(server), ROWS, tmp_path, KEY)
    # What wasn't answered wasn't charged.
    assert good(frame) and counts["requests"] == 6 and len(server.requests) == 24


def test_malformed_answers_are_asked_again_then_rejected_and_counted(server, tmp_path):
    bad = [
        completion('{"source": "half'),
        completion("Sure! Here it is."),
        completion('{"source": "a", "target": ""}'),
        completion('{"source": "\\ud800", "target": "b"}'),
        completion(json.dumps({"source": "a", "target": "b"}), finish="length"),
        completion(None),
        {"error": "no choices"},
        [],
        b"<html>not JSON</html>",
        b"[" * 100_000,
    ]

    def misbehave(handler, times):
        number = int(handler.prompt.split("source ")[-1].split("\n")[0])
        return (number == 0 or times <= 2) and handler.reply(200, bad[(number * 2 + times) % len(bad)])

    server.bad = misbehave
    frame, counts = ask(settings(server, attempts=3), ROWS, tmp_path, KEY)
    assert frame["problem"].tolist() == [UNUSABLE, "", "", "", "", ""]
    assert frame["source"].tolist() == ["", *(f"other source {n}" for n in range(1, 6))]
    assert counts["unusable"] == 1 and counts["requests"] == len(server.requests) == 18
    # A rejected pair was paid for: it isn't asked again either.
    ask(settings(server, attempts=3), ROWS, tmp_path, KEY)
    assert len(server.requests) == 18


def test_text_around_the_object_and_line_breaks_in_it_are_tolerated(server, tmp_path):
    content = 'Sure {ok}:\n```json\n{"x": {}, "source": " two\\nlines ", "target": "b"}\n```'
    server.bad = lambda handler, times: handler.reply(200, completion(content))
    frame, _ = ask(settings(server), ROWS[:1], tmp_path, KEY)
    assert (frame["source"][0], frame["target"][0]) == ("two lines", "b")


def test_torn_and_huge_bodies_are_asked_again(server, tmp_path):
    def misbehave(handler, times):
        if times == 1:  # closes the connection in the middle
            handler.send_response(200)
            handler.send_header("Content-Length", "1000")
            handler.end_headers()
            handler.wfile.write(b'{"choices": [')
        elif times == 2:
            handler.send_response(200)
            handler.end_headers()
            with contextlib.suppress(OSError):
                for _ in range(64):
                    handler.wfile.write(b" " * (1 << 20))
            server.sent.append(handler.prompt)
        return times <= 2

    server.bad, server.sent = misbehave, []
    frame, counts = ask(settings(server, attempts=3), ROWS, tmp_path, KEY)
    assert good(frame) and counts["requests"] == 18


def test_a_server_that_is_silent_or_dribbles_is_given_up(server, tmp_path):
    released = threading.Event()

    def misbehave(handler, times):
        if times == 1:
            released.wait(5)
        elif times == 2:
            handler.send_response(200)
            handler.end_headers()
            with contextlib.suppress(OSError):
                while not released.wait(0.05):  # each read is quick, the answer never ends
                    handler.wfile.write(b" ")
        return times <= 2

    server.bad = misbehave
    started = time.monotonic()
    frame, _ = ask(settings(server, timeout=0.3, concurrency=6), ROWS, tmp_path, KEY)
    released.set()
    assert good(frame) and time.monotonic() - started < 5


def test_an_endpoint_that_stays_away_stops_the_step_and_answers_are_kept(server, tmp_path):
    down = {"source 3", "source 4"}
    server.bad = lambda handler, times: any(f"{name}\n" in handler.prompt for name in down) and handler.reply(503, b"")
    with pytest.raises(UserError, match=r"paraphrasers\.llm: 127\.0\.0\.1 failed 2 times in a row \(status 503\)"):
        ask(settings(server, attempts=2, concurrency=1), ROWS, tmp_path, KEY)
    down.clear()
    server.requests.clear()
    assert good(ask(settings(server, attempts=2), ROWS, tmp_path, KEY)[0])
    assert len(server.requests) == 3  # three were answered before
    free = Server()
    free.server_close()
    with pytest.raises(UserError, match=r"failed 2 times in a row \(.*refused.*\)"):
        ask(settings(free, attempts=2), ROWS, tmp_path / "other", KEY)


def test_a_long_wait_is_left_to_the_user(server, tmp_path):
    server.bad = lambda handler, times: handler.reply(429, b"", Retry_After="3600")
    with pytest.raises(UserError, match=r"asks to wait 3600 s, longer than max_wait \(60\)"):
        ask(settings(server), ROWS[:1], tmp_path, KEY)


@pytest.mark.parametrize(("budget", "asked"), [({"max_requests": 4}, 4), ({"max_tokens": 20}, 3)])
def test_the_budget_holds_over_runs_and_counts_bad_answers(server, tmp_path, budget, asked):
    entry = settings(server, concurrency=1, attempts=2, **budget)
    for _ in range(3):
        with pytest.raises(UserError, match=rf"the budget is spent: {next(iter(budget))} .*answers so far are kept"):
            ask(entry, ROWS, tmp_path, KEY)
    assert len(server.requests) == asked
    assert good(ask(settings(server), ROWS, tmp_path, KEY)[0]) and len(server.requests) == 6
    server.bad = lambda handler, times: handler.reply(200, completion("?", tokens=10))
    with pytest.raises(UserError, match="budget"):
        ask(settings(server, concurrency=1, attempts=50, max_requests=3), ROWS, tmp_path / "bad", KEY)
    assert len(server.requests) == 9


def test_concurrency_and_pace(server, tmp_path):
    together = threading.Barrier(3)
    server.bad = lambda handler, times: together.wait(5) and False
    ask(settings(server, concurrency=3), ROWS, tmp_path / "a", KEY)
    assert server.most == 3
    server.bad, started = lambda handler, times: False, time.monotonic()
    ask(settings(server, concurrency=6, requests_per_minute=3000), ROWS, tmp_path / "b", KEY)
    assert time.monotonic() - started >= 5 * 0.02


def test_a_redirect_within_the_host_is_followed_another_never(server, tmp_path):
    def moved(handler, times):
        return handler.path == "/v1/chat/completions" and handler.reply(307, b"", Location="/v2/chat/completions")

    server.bad = moved
    assert good(ask(settings(server), ROWS, tmp_path, KEY)[0])
    with Server() as other_server:
        threading.Thread(target=other_server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        for status in (301, 302, 307, 308):
            target = f"{other_server.url}/chat/completions"
            server.bad = lambda handler, times, status=status, to=target: handler.reply(status, b"", Location=to)
            with pytest.raises(UserError, match="redirects to another host, which is refused"):
                ask(settings(server), ROWS[:1], tmp_path / str(status), KEY)
        other_server.shutdown()
    assert not other_server.requests
    server.bad = lambda handler, times: handler.reply(307, b"", Location=handler.path)
    with pytest.raises(UserError, match="redirects in a circle"):
        ask(settings(server), ROWS[:1], tmp_path / "circle", KEY)


@pytest.mark.parametrize(
    "other", ["//localhost:{port}/", "https://127.0.0.1:{port}/", "http://127.0.0.1:1/", "http://[::1"]
)
def test_host_scheme_and_port_make_a_host(server, other):
    with chat_client.ChatClient("llm", settings(server).paraphraser, KEY) as client:
        with pytest.raises(UserError, match="redirects to another host, which is refused"):
            client._same_host(other.format(port=server.server_port))
        assert client._same_host("/v2").path == "/v2"


def test_a_sound_answer_that_is_huge_is_not_taken(server):
    server.bad = lambda handler, times: handler.reply(200, completion("x" * (1 << 20)))
    with (
        chat_client.ChatClient("llm", settings(server).paraphraser, KEY) as client,
        pytest.raises(chat_client.UnusableError, match="more than 1 MiB"),
    ):
        client.send({"messages": [{"content": "x"}]})


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/v1",
        "http://192.168.0.7:8000",
        "http://127.0.0.1.example.org",
        "http://localhost.example.org",
        "ftp://example.org",
        "example.org/v1",
        "https://",
        "https://user:secret@example.org/v1",
        "https://example.org/v1?key=secret",
        "https://example.org:port",
        "http://[::1",
    ],
)
def test_endpoints_that_others_could_read_along_are_refused(url):
    with pytest.raises(ValidationError, match="base_url"):
        EndpointParaphraser(kind="endpoint", base_url=url, model="m")


@pytest.mark.parametrize("url", ["https://example.org/v1/", "http://localhost:8000/v1", "http://[::1]:8000"])
def test_tls_or_this_machine(url):
    assert EndpointParaphraser(kind="endpoint", base_url=url, model="m").base_url == url.rstrip("/")


def test_a_refusal_is_told_in_one_line_without_the_key(server, tmp_path):
    server.bad = lambda handler, times: handler.reply(401, f"bad\x1b[31m key\n{KEY} given".encode())
    with pytest.raises(UserError, match=r"paraphrasers\.llm: .* status 401 \(bad \[31m key \*\*\* given\)") as caught:
        ask(settings(server), ROWS, tmp_path, KEY)
    assert KEY not in str(caught.value)
    with pytest.raises(UserError, match="characters that no key has"):
        ask(settings(server), ROWS, tmp_path / "x", f"{KEY}\nX-Other: 1")


def test_the_key_is_in_no_file_and_no_argument(server, tmp_path, monkeypatch, capfd):
    import ask_endpoint

    write_parquet(tmp_path / "train.parquet", ROWS)
    step = settings(server, api_key_env="LLM_KEY").model_dump(mode="json")
    command = ["ask_endpoint", "--settings", json.dumps(step), "--corpus", str(tmp_path / "train.parquet")]
    command += ["--cache", str(tmp_path / "cache"), "--out", str(tmp_path / "out.parquet")]
    command += ["--log", str(tmp_path / "log")]
    monkeypatch.setattr("sys.argv", command)
    with pytest.raises(SystemExit):
        cli.run(ask_endpoint.main, ask_endpoint.arguments())
    assert "the environment variable LLM_KEY is not set" in (tmp_path / "log").read_text()
    assert not server.requests
    monkeypatch.setenv("LLM_KEY", KEY)
    server.bad = lambda handler, times: times == 1 and handler.reply(500, KEY.encode(), Retry_After="0")
    cli.run(ask_endpoint.main, ask_endpoint.arguments())
    good(pd.read_parquet(tmp_path / "out.parquet"))
    assert read_json(tmp_path / "out.parquet.provenance.json")["tokens"] == 42
    for file in tmp_path.rglob("*"):
        assert file.is_dir() or KEY.encode() not in file.read_bytes(), file
    assert KEY not in "".join(capfd.readouterr()) and KEY not in " ".join(command)
    assert {headers["Authorization"] for _, headers, _ in server.requests} == {f"Bearer {KEY}"}


def test_a_proxy_in_the_environment_sees_nothing_that_is_for_this_machine(server, tmp_path, monkeypatch):
    with Server() as proxy:
        threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.server_port}")
        monkeypatch.delenv("NO_PROXY", raising=False)
        assert good(ask(settings(server), ROWS, tmp_path, KEY)[0])
        proxy.shutdown()
    assert not proxy.requests


def test_placeholders_in_texts_stay_as_they_are(server, tmp_path):
    rows = pd.DataFrame({"id": ["a"], "source": ["say {target}"], "target": ["{source}!"]})
    frame, _ = ask(settings(server), rows, tmp_path, None)
    assert (frame["source"][0], frame["target"][0]) == ("other say {target}", "other {source}!")
    assert "Authorization" not in server.requests[0][1]


def test_answers_become_proposals_of_their_rows(tmp_path):
    entry = {"kind": "endpoint", "base_url": "https://example.org", "model": "m"}
    step = ParaphraseSettings(
        task="t", paraphraser_name="llm", paraphraser=entry, encoder={"kind": "bm25"}, corpus={"kind": "lexicon"}
    )
    answers = ROWS.assign(source="s", target=["target 0", "new", "", "", "", ""], problem=["", "", *[UNUSABLE] * 4])
    write_parquet(tmp_path / "a.parquet", answers)
    proposals = propose(step, ROWS, {}, tmp_path / "a.parquet")
    assert [proposal.target_paraphrased for proposal in proposals[:2]] == [False, True]
    assert [proposal.problem for proposal in proposals] == ["", "", *[UNUSABLE] * 4]
    with pytest.raises(UserError, match="holds answers for other rows"):
        propose(step, ROWS[::-1], {}, tmp_path / "a.parquet")
    with pytest.raises(UserError, match="--answers"):
        propose(step, ROWS, {})


def test_retry_after_is_seconds_or_a_date():
    assert _retry_after("1.5") == 1.5
    assert _retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert _retry_after("soon") is None and _retry_after(None) is None
    assert list(json_objects('{{"a": 1} {"b": {"c": 2}}')) == [{"a": 1}, {"b": {"c": 2}}]


def test_of_a_question_on_a_database_the_schema_is_not_sent_and_stays(server, tmp_path):
    corpus = GeneratedSqlCorpus(kind="generated_sql")
    entry = settings(server).model_copy(update={"question_ends": corpus.question_ends})
    rows = ROWS.assign(source=[f"{source} | item(id, name)" for source in ROWS["source"]])
    frame, _ = ask(entry, rows, tmp_path, KEY)
    assert not any("item(" in json.dumps(request) for request in server.requests)
    write_parquet(tmp_path / "answers.parquet", frame)
    chosen = ParaphraseSettings(
        task="t", paraphraser_name="p", paraphraser=entry.paraphraser, corpus=corpus, encoder={"kind": "bm25"}
    )
    proposals = propose(chosen, rows, {}, tmp_path / "answers.parquet")
    assert [proposal.source for proposal in proposals] == [f"other {source}" for source in rows["source"]]
