"""The report, opened from disk in a real browser: nothing is fetched, nothing fails, everything works by keyboard."""

import os
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contrastive_context.report.browser import LIMIT
from contrastive_context.report.build import build
from contrastive_context.report.settings import BuildReportSettings
from contrastive_context.tables.examples import SCHEMA
from synthetic_results import report_inputs, write_run

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install -r envs/dev.txt")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on this machine (Debian: apt-get install chromium)"
)

HOSTILE = '<img src=x onerror="document.title=1"></script><b>bold</b>'
LONG = "x" * 10_000
TURNED = "\u202egnp.exe\u2066 \u200f(end)"  # an override and an isolate that nothing closes, and a mark
SCRIPTS = {"hindi": "बेडरूम की बत्ती", "tamil": "படுக்கையறை விளக்கு", "hebrew": "אור בחדר", "emoji": "💡"}


def write_examples(path, count):
    rows = []
    for place in range(count):
        text = list(SCRIPTS.values())[place % 4] if place % 7 else (HOSTILE, LONG, TURNED)[place // 7 % 3]
        rows.append(
            {
                "prompt_id": f"p{place}", "target_id": f"{place // 4:016x}", "task": "lexicon", "metric": "chrf++",
                "model": ("llama", "qwen3")[place % 2], "test_set": "in_domain", "composition": "top_k",
                "series": [("same_targets", "stand_ins")[place % 2]],
                "bucket": ("low", "medium", "high", "none")[place % 4],
                "source": f"number {place}: {text}", "gold": text,
                "context": [
                    {"source": "x" * 300, "target": text, "similarity": 0.5, "grade": "medium"},
                    {"source": "rephrased", "target": text, "similarity": 0.9, "grade": "stand-in"},
                ] * (place % 3),
                "answers": [
                    {"strategy": name, "seed": None if name == "base" else 0, "output": text, "score": 12.5,
                     "stop_reason": "length"}
                    for name in ("base", "zero", "contrastive")
                ],
            }
        )  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), path)
    return path


@pytest.fixture(scope="module")
def report(repository, tmp_path_factory):
    folder = write_run(repository, tmp_path_factory.mktemp("run"))
    examples = write_examples(folder / "examples.parquet", LIMIT + 400)
    path = folder / "report.html"
    titles = {"llama": f"llama {TURNED}", "qwen3": LONG}
    settings = BuildReportSettings(title=HOSTILE, model_titles=titles, config={"names": SCRIPTS})
    build(report_inputs(folder, examples=[examples]), settings, path)
    return path


@pytest.fixture(scope="module")
def chromium():
    # Containers run tests as root, which Chromium allows only without its sandbox.
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium, report):
    """The report at 1280 pixels; afterwards: no message in the console, no request but for the file itself."""
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    messages, requests = [], []
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(report.as_uri())
    yield page
    assert messages == []
    assert [url for url in requests if not url.startswith(("data:", report.as_uri()))] == []
    page.close()


def status(page):
    return page.locator("#examples-status").inner_text()


def test_the_browser_pages_filters_and_searches(page):
    assert f"of {LIMIT} prompts, page 1 of {LIMIT // 20}" in status(page)
    assert page.locator(".example").count() == 20
    first = page.locator(".example h3").first.inner_text()
    page.get_by_role("button", name="next page").click()
    assert "page 2 of" in status(page)
    page.get_by_label("bucket").select_option("high")
    page.get_by_label("model").select_option("llama")
    assert "page 1 of" in status(page)
    headings = page.locator(".example h3").all_inner_texts()
    assert headings and all("high" in text and "llama" in text.lower() for text in headings)
    page.get_by_label("search").fill("number 42")
    found = page.locator(".example").all_inner_texts()
    assert found and all("number 42" in text for text in found)
    page.get_by_label("search").fill("no such text anywhere")
    assert status(page) == "no prompt matches"
    assert first


def test_hostile_text_shows_as_text(page):
    assert HOSTILE in page.title()
    assert page.locator("h1").inner_text() == HOSTILE
    page.get_by_label("search").fill("onerror")
    assert page.locator(".example .data").first.inner_text().endswith(HOSTILE)
    assert page.locator("main b, main img[src=x]").count() == 0


def test_a_context_shows_similarities_and_grades(page):
    page.get_by_label("bucket").select_option("medium")
    head, *rows = page.locator(".context").first.locator("tr").all()
    assert head.locator("th").all_inner_texts() == ["similarity", "grade", "source", "target"]
    cells = [(row.locator("th").inner_text(), row.locator("td").first.inner_text()) for row in rows]
    assert cells[:2] == [("0.50", "medium"), ("0.90", "stand-in")]


def fonts_of(page, selector):
    """Return how many letters of an element each font draws: (family, whether the page brought it) → count."""
    session = page.context.new_cdp_session(page)
    for domain in ("DOM", "CSS"):
        session.send(f"{domain}.enable")
    root = session.send("DOM.getDocument")["root"]["nodeId"]
    node = session.send("DOM.querySelector", {"nodeId": root, "selector": selector})["nodeId"]
    found = session.send("CSS.getPlatformFontsForNode", {"nodeId": node})["fonts"]
    return {(font["familyName"], font["isCustomFont"]): font["glyphCount"] for font in found}


@pytest.mark.parametrize("language, family", [("hindi", "Noto Sans Devanagari"), ("tamil", "Noto Sans Tamil")])
def test_the_page_brings_the_letters_of_the_studys_scripts(page, language, family):
    page.get_by_label("search").fill(SCRIPTS[language])
    gold = fonts_of(page, ".example tr:nth-child(2) .data")
    assert gold.pop((family, True)) >= 9
    assert sum(gold.values()) == SCRIPTS[language].count(" ")
    assert not any(own for _, own in fonts_of(page, ".example tr:nth-child(1) th"))
    page.evaluate("for (const details of document.querySelectorAll('details')) details.open = true")
    assert (family, True) in fonts_of(page, "details > pre")


def test_direction_marks_turn_nothing_but_their_own_text(page):
    page.get_by_label("search").fill("gnp.exe")
    example = page.locator(".example").first
    assert TURNED in example.locator(".data").first.text_content()
    # From left to right: the first and the last letter of what stands beside and after such a text.
    reads_on = """node => {
        const place = (from, to) => { const range = document.createRange(); range.setStart(node.firstChild, from);
            range.setEnd(node.firstChild, to); return range.getBoundingClientRect().left; };
        const text = node.firstChild.data, start = text.length - text.trimStart().length;
        return place(start, start + 1) < place(text.length - 1, text.length);
    }"""
    # The heading's last part follows the model's title.
    beside = [example.locator("small").first, example.locator("h3 bdi").last, example.locator("caption").last]
    for node in (*beside, example.locator("tr th").first):
        assert node.evaluate(reads_on)
    assert not example.locator(".data").nth(1).evaluate(reads_on)


@pytest.mark.parametrize("needle", ["x" * 3000, "gnp.exe", "onerror", "बेडरूम"])
def test_no_shown_text_widens_the_page(page, needle):
    page.get_by_label("search").fill(needle)
    assert page.locator(".example").count() == 20
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280
    if needle[0] == "x":
        assert "… (6000 more characters)" in page.locator(".example .data").nth(1).inner_text()


def test_it_works_by_keyboard(page):
    page.get_by_label("search").focus()
    page.keyboard.type("number 7")
    page.keyboard.press("Enter")
    assert "prompts, page 1" in status(page)
    summary = page.locator(".zoom summary").first
    summary.focus()
    page.keyboard.press("Enter")
    assert page.locator(".zoom[open]").count() == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_overflows_and_text_contrasts(page, scheme):
    page.emulate_media(color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280
    text, background = page.evaluate(
        "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
        ".map(color => color.match(/\\d+/g).slice(0, 3).map(Number).reduce((a, b) => a + b) / 3)"
    )
    assert (text > background) == (scheme == "dark")
    assert abs(text - background) > 150
