"""verify.html in a real browser: what a journalist does with it, and every check against changed files.

Needs Debian's chromium and chromium-driver; where they are missing, these tests are skipped.
"""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

import countenance.ledger
from countenance.ledger.merkle import leaf_hash
from tests.unit.ledger import test_agreement
from tests.unit.ledger.exported import (
    FIRST,
    LINES,
    ORIGIN,
    SECOND,
    SUBJECT,
    Files,
    body,
    calls,
    cosign,
    grow,
    note,
    published,
    receipt,
    witness_line,
    write,
)
from tests.unit.ledger.test_verifier_reports import Month
from tests.unit.ledger.test_verifier_reports import told as counted

PAGE = Path(countenance.ledger.__file__).parent / "verifier" / "verify.html"
BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")

pytestmark = pytest.mark.skipif(
    not (BROWSER and DRIVER), reason="needs Debian's packages chromium and chromium-driver"
)

SIZE, ROTATED = 600, 300
ENTRIES = calls(SIZE)
BODIES = [body(entry) for entry in ENTRIES]
TURNED = [body(entry) for entry in calls(SIZE, ROTATED)]


@pytest.fixture(scope="module")
def driver() -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER or ""
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--window-size=900,1400",
    ):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    driver.set_script_timeout(120)
    yield driver
    driver.quit()


class Page:
    """The page, as somebody sees it who has opened the file."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver
        driver.get(PAGE.as_uri())

    def give(self, *files: Path) -> None:
        for file in files:
            chosen = self.driver.find_element(By.ID, "folder" if file.is_dir() else "files")
            before = self.done
            chosen.send_keys(str(file))
            self.wait(before)

    def wait(self, before: int) -> None:
        WebDriverWait(self.driver, 60).until(lambda _: self.done > before)

    @property
    def done(self) -> int:
        return int(self.driver.find_element(By.ID, "verdict").get_attribute("data-done") or 0)

    @property
    def verdict(self) -> str:
        return self.driver.find_element(By.ID, "verdict").get_attribute("class") or ""

    @property
    def said(self) -> str:
        return self.driver.find_element(By.ID, "verdict").text

    def ask(self, script: str, *arguments: Any) -> Any:
        """Run an async function body in the page; what it returns."""
        wrapped = (
            "const tell = arguments[arguments.length - 1];"
            f"(async (...given) => {{ {script} }})(...arguments)"
            ".then(tell, (error) => tell(`failed: ${error}`));"
        )
        return self.driver.execute_async_script(wrapped, *arguments)


@pytest.fixture
def page(driver: webdriver.Chrome) -> Page:
    return Page(driver)


@pytest.fixture
def things(tmp_path: Path) -> Path:
    """What a journalist may have got: a key, a receipt, checkpoints, a folder."""
    (tmp_path / "kept.pub").write_text(f"{LINES[0]}\n")
    (tmp_path / "receipt.json").write_text(json.dumps(receipt(BODIES[:400], [8, 9]), indent=1))
    (tmp_path / "monday").write_bytes(note(grow(BODIES), 500, FIRST))
    write(tmp_path / "log", published(BODIES, kept=[1, 256, 513], further=[300]))
    return tmp_path


# ---- What somebody sees


def test_it_sends_nothing_and_loads_nothing(page: Page) -> None:
    assert page.verdict == ""
    assert page.ask("return performance.getEntriesByType('resource').length") == 0
    blocked = """
    return new Promise((tell) => {
      addEventListener("securitypolicyviolation", (event) => tell(event.effectiveDirective));
      fetch("https://countenance.example/").then(() => tell("sent"), () => {});
    });
    """
    assert page.ask(blocked) == "connect-src"


def test_everything_fits(page: Page, things: Path) -> None:
    page.give(things / "log")
    assert page.verdict == "waiting"
    assert "public key" in page.said
    page.give(things / "kept.pub", things / "monday", things / "receipt.json")
    assert page.verdict == "good", page.said
    assert f"All {SIZE} entries" in page.said
    assert "It begins with the 500 entries of monday" in page.said
    assert "Entry 8: 2026-11-01 00:08:00 UTC, SearchFacesByImage by business 736518890864" in page.said
    assert "no witness's key was given" in page.said


def test_a_receipt_and_a_key_are_enough_for_a_receipt(page: Page, things: Path) -> None:
    page.give(things / "receipt.json", things / "kept.pub")
    assert page.verdict == "good", page.said
    (things / "other.pub").write_text(f"{LINES[1]}\n")
    page.driver.find_elements(By.CSS_SELECTOR, "#given button")[1].click()
    page.give(things / "other.pub")
    assert page.verdict == "bad"


def test_a_key_from_the_folder_itself_proves_little(page: Page, things: Path) -> None:
    page.give(things / "log")
    before = page.done
    page.driver.find_element(By.ID, "own").click()
    page.wait(before)
    assert page.verdict == "half"
    assert "Whoever publishes a record" in page.said


def test_an_edited_search_is_seen_with_an_old_checkpoint_alone(page: Page, things: Path) -> None:
    edited = [*BODIES[:320], body({**ENTRIES[320], "collection": "Harmless"}), *BODIES[321:]]
    write(things / "edited", published(edited, kept=[1, 256]))
    page.give(things / "kept.pub", things / "edited")
    assert page.verdict == "good", page.said
    page.give(things / "monday")
    assert page.verdict == "bad"
    assert "entries 256 to 499" in page.said


def test_two_checkpoints_of_one_size_are_proof_of_two_versions(page: Page, things: Path) -> None:
    other = [*BODIES[:5], body({**ENTRIES[5], "candidates": 7}), *BODIES[6:]]
    (things / "theirs").write_bytes(note(grow(other), 500, FIRST))
    page.give(things / "kept.pub", things / "monday", things / "theirs")
    assert page.verdict == "bad"
    assert "two versions" in page.said


def test_a_witness_is_named(page: Page, things: Path) -> None:
    head = things / "log" / "checkpoint"
    head.write_bytes(cosign(head.read_bytes()))
    (things / "witness.pub").write_text(witness_line())
    page.give(things / "kept.pub", things / "witness.pub", things / "log")
    assert page.verdict == "good", page.said
    assert (
        "The witness witness.example saw the first 600 entries too, at 2025-11-24 16:00:00 UTC" in page.said
    )
    (things / "witness.pub").write_text(witness_line(SECOND))
    page.give(things / "witness.pub")
    assert page.verdict == "bad"


def test_what_is_damaged_or_something_else_is_not_passed_over(page: Page, things: Path) -> None:
    (things / "holiday.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    page.give(things / "kept.pub", things / "receipt.json", things / "holiday.jpg")
    assert page.verdict == "bad"
    assert "holiday.jpg" in page.said


def test_one_finds_ones_own_entries(page: Page, things: Path) -> None:
    page.give(things / "kept.pub", things / "log")
    before = page.done
    page.driver.find_element(By.CSS_SELECTOR, "summary").click()
    page.driver.find_element(By.ID, "subject").send_keys(SUBJECT.hex() + "\n")
    page.wait(before)
    lines = page.driver.find_elements(By.CSS_SELECTOR, "#mine li")
    expected = [n for n in range(0, SIZE, 2) if n % 7 == 0 and n % 5]
    assert [line.text.partition(":")[0] for line in lines[::2]] == [f"Entry {n}" for n in expected]


def test_words_of_an_entry_are_words_and_no_markup(page: Page, things: Path) -> None:
    entry = {**ENTRIES[0], "collection": "<img src=x onerror=document.title='run'>"}
    (things / "sly.json").write_text(json.dumps(receipt([body(entry)], [0])))
    page.give(things / "kept.pub", things / "sly.json")
    assert page.verdict == "good"
    assert "<img" in page.said
    assert page.driver.title != "run"


def test_a_report_is_counted_again(page: Page, things: Path) -> None:
    entries = Month(2, 120).entries
    bodies = [body(entry) for entry in entries]
    write(things / "month", published(bodies))
    closing = note(grow(bodies), len(bodies) - 3, FIRST).decode()
    told = {"report": 1, "log": ORIGIN, **counted(entries[:-3]), "witnesses": []}
    told["heads"] = {"opening": None, "closing": closing}
    (things / "november.json").write_text(json.dumps(told))
    page.give(things / "kept.pub", things / "november.json", things / "month")
    assert page.verdict == "good", page.said
    assert "november.json is what the record comes to from 2026-11-05 to 2026-11-25" in page.said
    told["totals"]["searches"]["count"] -= 1
    (things / "less.json").write_text(json.dumps(told))
    page.give(things / "less.json")
    assert page.verdict == "bad"
    assert "totals, searches, count: the report says" in page.said


def test_it_counts_and_withholds_what_reports_do(page: Page) -> None:
    script = """
    const [entries, account, least] = given;
    const recount = new Recount(entries.length, "2026-11-05", "2026-11-25", account);
    entries.forEach((entry, number) => recount.see(number, entry));
    return recount.report(least);
    """
    for seed in range(25):
        entries, account = Month(seed, 10 * seed).entries, [None, None, "111", "222"][seed % 4]
        for least in (1, 5):
            assert page.ask(script, entries, account, least) == counted(entries, account, least), seed


# ---- The same checks as the stand-alone file's

CHECK = """
const [files, lines, kept] = given;
const unpacked = (content) => Uint8Array.from(atob(content), (character) => character.charCodeAt(0));
const decoded = Object.entries(files).map(([path, content]) => [path, unpacked(content)]);
const readable = (pairs) => new Map(pairs.map(([path, content]) => [path, async () => content]));
const keys = readKeys(lines, "kept.pub"), heads = kept ? [readHead(unpacked(kept), "kept")] : [];
const check = async (pairs) => {
  try {
    const found = await verifyLog(readable(pairs), keys, { kept: heads });
    return { size: found.folder.size, beyond: found.beyond, decisions: found.calls.decisions };
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    return { fault: error.message, entry: error.entry, file: error.file };
  }
};
"""


def packed(files: Files) -> dict[str, str]:
    return {path: base64.b64encode(content).decode() for path, content in files.items()}


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 700])
def test_a_good_log_of_any_size(size: int, page: Page) -> None:
    files = published([body(entry) for entry in calls(size)], kept=[n for n in (1, 100, 256) if n <= size])
    told = page.ask(CHECK + "return check(decoded)", packed(files), LINES[0], None)
    assert told == {"size": size, "beyond": 0, "decisions": (size + 1) // 2}


def test_handed_over_keys_are_followed(page: Page) -> None:
    files = packed(published(TURNED, kept=[1, 400], rotated=ROTATED, handover=ROTATED + 2))
    for lines in (LINES[0], LINES[1], "\n".join(LINES)):
        assert page.ask(CHECK + "return check(decoded)", files, lines, None)["size"] == SIZE
    forged = {**files, "checkpoint": base64.b64encode(note(grow(TURNED), SIZE, FIRST)).decode()}
    assert page.ask(CHECK + "return check(decoded)", forged, LINES[0], None)["file"] == "checkpoint"
    without = packed(published(BODIES, kept=[1], rotated=ROTATED, handover=ROTATED + 2))
    told = page.ask(CHECK + "return check(decoded)", without, LINES[0], None)
    assert told["file"] == f"checkpoints/{ROTATED + 2}"


FLIPS = """
const wrong = [], chance = (below) => Math.floor(Math.random() * below);
const named = (path, told) => {
  const number = 256 * Number(path.slice(-3));
  if (path.startsWith("tile/entries/"))
    return told.entry >= number && told.entry < number + 256 && [null, undefined, path].includes(told.file);
  return told.file === path;
};
for (const [index, [path, content]] of decoded.entries())
  for (let turn = 0; turn < 12; turn++) {
    const place = [0, content.length - 1][turn] ?? chance(content.length), changed = content.slice();
    changed[place] ^= 1 + chance(255);
    const told = await check(decoded.map((pair, n) => (n === index ? [path, changed] : pair)));
    const exempt = path.includes(".p/") || given[3];
    if (!told.fault || !(exempt || named(path, told))) wrong.push([path, place, changed[place], told]);
  }
return wrong;
"""


def test_any_changed_byte_is_found_and_named(page: Page) -> None:
    files = published(BODIES, kept=[1, 256], further=[300])
    assert page.ask(CHECK + FLIPS, packed(files), LINES[0], None, False) == []
    rotating = published(TURNED, kept=[1], rotated=ROTATED, handover=ROTATED + 2)
    assert page.ask(CHECK + FLIPS, packed(rotating), LINES[0], None, True) == []


@pytest.mark.parametrize(
    ("bodies", "entry"),
    [
        ([*BODIES[:321], *BODIES[322:]], 321),
        ([*BODIES[:100], BODIES[101], BODIES[100], *BODIES[102:]], 100),
        ([*BODIES[:77], BODIES[76], *BODIES[77:]], 77),
        ([*BODIES[:9], BODIES[9] + b" ", *BODIES[10:]], 9),
        ([*BODIES[:9], b"[" * 60000, *BODIES[10:]], 9),
        ([*BODIES[:9], b'{"kind":"govern","seq":9,"seq":9,"v":1}', *BODIES[10:]], 9),
        ([*BODIES[:9], body({"v": 1, "kind": "govern", "seq": 9, "x": 1.5}), *BODIES[10:]], 9),
        (
            [
                *BODIES[:9],
                body({"v": 1, "kind": "govern", "seq": 9, "x": "\ufeff"})[:-1] + b"\xff}",
                *BODIES[10:],
            ],
            9,
        ),
        ([*BODIES[:9], b"\xef\xbb\xbf" + BODIES[9], *BODIES[10:]], 9),
        ([*BODIES[:9], b'{"kind":"govern","seq":9,"v":1,"x":"\\ud800"}', *BODIES[10:]], 9),
        ([*BODIES[:9], body({**ENTRIES[9], "decision": 6}), *BODIES[10:]], 9),
        ([*BODIES[:12], body({**ENTRIES[12], "counter": 9}), *BODIES[13:]], 12),
    ],
)
def test_a_record_signed_anew_over_nonsense_is_found(bodies: list[bytes], entry: int, page: Page) -> None:
    told = page.ask(CHECK + "return check(decoded)", packed(published(bodies, kept=[1, 256])), LINES[0], None)
    assert told["entry"] == entry


def test_it_says_the_same_as_the_others_of_what_is_no_entry_or_no_head(page: Page) -> None:
    for name, (number, written) in test_agreement.NO_ENTRIES.items():
        files = packed(published(test_agreement.record(number, written)))
        told = page.ask(CHECK + "return check(decoded)", files, LINES[0], None)
        assert told["entry"] == number, name
    for name, (head, good) in test_agreement.HEADS.items():
        files = packed({**published(test_agreement.BODIES), "checkpoint": head.encode()})
        told = page.ask(CHECK + "return check(decoded)", files, LINES[0], None)
        assert ("fault" not in told) == good, name


def test_a_log_that_was_cut_off(page: Page) -> None:
    files, kept = packed(published(BODIES[:450], kept=[256])), note(grow(BODIES), 500, FIRST)
    told = page.ask(CHECK + "return check(decoded)", files, LINES[0], base64.b64encode(kept).decode())
    assert "450 to 499 are gone" in told["fault"]


def test_any_changed_byte_of_a_receipt_is_found(page: Page) -> None:
    script = """
    const [good, lines] = given, keys = await Keys.along(readKeys(lines, "kept.pub"), null), missed = [];
    readReceipt(good, keys);
    for (let place = 0; place < good.length; place++) {
      const letter = String.fromCharCode(good.charCodeAt(place) ^ (1 + Math.floor(Math.random() * 127)));
      const changed = good.slice(0, place) + letter + good.slice(place + 1);
      try {
        readReceipt(changed, keys);
        if (JSON.stringify(JSON.parse(changed)) !== JSON.stringify(JSON.parse(good))) missed.push(changed);
      } catch (error) {
        if (!(error instanceof Fault)) throw error;
      }
    }
    return missed;
    """
    assert page.ask(script, json.dumps(receipt(BODIES, [8, 9])), LINES[0]) == []


def test_the_primitives_against_others(page: Page) -> None:
    messages = [
        bytes(n % 251 for n in range(size)) for size in (0, 1, 55, 56, 63, 64, 111, 112, 127, 128, 1000)
    ]
    script = """
    return given[0].map(([message, key, signature]) => {
      const raw = unhex(message), changed = raw.slice();
      if (changed.length) changed[0] ^= 1;
      return [hex(leafHash(raw)), ed25519Verify(unhex(key), unhex(signature), raw),
        raw.length > 0 && ed25519Verify(unhex(key), unhex(signature), changed)];
    });
    """
    key = FIRST.public_key().public_bytes_raw().hex()
    told = page.ask(script, [[message.hex(), key, FIRST.sign(message).hex()] for message in messages])
    assert told == [[leaf_hash(message).hex(), True, False] for message in messages]
