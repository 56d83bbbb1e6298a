"""What the documentation says is true of the code: lists, links, commands, and examples that run."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from countenance import cli, server
from countenance.operations import catalogue
from countenance.policy import Policy, facts
from countenance.settings import Settings
from countenance.testing import TestServer
from countenance.vision import images, quality, sface, yunet, zoo
from tests.docs import lists
from tests.parity import photos

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
CODE = {"sh", "python", "toml", "cedar"}

RUN = ("README.md", "docs/groups.md", "docs/ledger.md", "docs/policies.md", "docs/users.md")
"""Pages whose Python is run block after block, against a server with the collection they speak of."""


@dataclass(frozen=True)
class Block:
    """A fenced block. words: what follows the fence, the language first."""

    page: str
    line: int
    words: tuple[str, ...]
    text: str

    @property
    def language(self) -> str:
        return self.words[0] if self.words else ""

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    lines = page.read_text("utf-8").split("\n")
    start = None
    for number, line in enumerate(lines):
        if not line.startswith("```"):
            continue
        if start is None:
            start = number
        else:
            words = tuple(lines[start][3:].split())
            yield Block(
                str(page.relative_to(ROOT)), start + 1, words, "\n".join(lines[start + 1 : number]) + "\n"
            )
            start = None
    assert start is None, f"{page}: a block is not closed"


BLOCKS = [block for page in PAGES for block in blocks(page)]


def of(language: str, *pages: str) -> list[Block]:
    return [block for block in BLOCKS if block.language == language and (not pages or block.page in pages)]


@pytest.mark.parametrize("name", lists.LISTS)
def test_lists_are_fresh(name: str) -> None:
    assert (lists.DOCS / name).read_text("utf-8") == lists.LISTS[name](), "run `make docs`"


def test_lists_have_no_line_too_many() -> None:
    """An error or an operation that is gone must not be explained for ever."""
    assert set(lists.ADVICE) == {error.__name__ for error in lists.every_error()}
    assert set(lists.SENTENCES) == {error.__name__ for error in lists.every_error("sentence")}
    assert set(lists.NOTES) <= set(catalogue.SERVED)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    prose = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.is_relative_to(ROOT), f"{target} leaves the repository"
        assert there.exists(), f"{target} leads nowhere"
        assert not anchor or anchor in _anchors(there), f"{target}: no such heading"


def test_pages_that_the_code_names_exist() -> None:
    sources = "".join(path.read_text("utf-8") for path in (ROOT / "src").rglob("*.py"))
    assert [page for page in re.findall(r"docs/[\w/-]+\.md", sources) if not (ROOT / page).exists()] == []


def test_figures_of_how_it_works() -> None:
    """Figures in its sentences are those in force."""
    text = " ".join((ROOT / "docs" / "how-it-works.md").read_text("utf-8").split())
    said = [
        f"longer side is above {images.LIMITS.working:,} pixels",
        f"canvas of {yunet.CANVASES[1]} pixels ({yunet.CANVASES[0]} for a picture of at most "
        f"{yunet.THUMBNAIL})",
        f"under {yunet.SMALL:g} pixels on the canvas",
        f"{yunet.CANVASES[-1]:,} pixels at most",
        f"under {100 * yunet.THRESHOLD:g} it is not a face",
        f"overlap by more than {yunet.OVERLAP}",
        f"brought to {quality._SIDE} x {quality._SIDE} grey pixels",
        f"exp(-(*d* - {quality._BLURRED}) / {quality._SCALE})",
        f"a cut of {sface.SIDE} x {sface.SIDE} pixels",
        f"At most {Settings(home=ROOT).waiting} calls are in the house, and at most "
        f"{server.ARRIVING // 2**20} MiB of request bodies",
    ]
    assert [sentence for sentence in said if sentence not in text] == []
    assert (server.CLERKS, yunet.MOST) == (16, 100)  # in words there


def test_facts_of_policies() -> None:
    """Every fact of the schema is in the page's table, and base rests on words that the page says."""
    page = " ".join((ROOT / "docs" / "policies.md").read_text("utf-8").split())
    records = (facts.Organisation, facts.Agent, facts.Collection, facts.Scene, facts.Grounds, facts.Audit)
    names = {
        field.name for record in (*records, *facts.FACTS.values()) for field in dataclasses.fields(record)
    }
    inside = {"org", "tags", "scene", "grounds", "audit"}
    assert [name for name in sorted(names - inside) if f".{facts.camel(name)}`" not in page] == []
    assert [rule.id for rule in Policy.load().rules.values() if rule.quote not in page] == []


def _anchors(page: Path) -> set[str]:
    """The names that headings get: lower case, spaces as hyphens, no other signs."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_blocks_say_what_they_are() -> None:
    told = {block.language for block in BLOCKS}
    assert told <= {*CODE, "text", "mermaid", "json", "console", "csv", "ini"}, told


def _spoken(page: Path) -> Iterator[str]:
    """Commands between backticks. `countenance keys create|list` names two."""
    prose = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    for text in re.findall(r"`(countenance [^`]+|make [a-z]+)`", prose):
        first, *others = (part.strip() for part in text.replace("\n", " ").split("|"))
        yield first
        yield from (f"{first.rpartition(' ')[0]} {other}" for other in others)


COMMANDS = sorted(
    {(block.page, command) for block in of("sh") for command in re.split(r"\n(?! )|&&", block.text)}
    | {(str(page.relative_to(ROOT)), command) for page in PAGES for command in _spoken(page)}
)


@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_commands_exist(page: str, command: str) -> None:
    """The word after `countenance` is a command, its options are options; so for `make` and `python -m`."""
    lexer = shlex.shlex(command.replace("\\\n", " "), posix=True, punctuation_chars=True)
    lexer.commenters = "#"
    words = [word for word in lexer if word != "$"]
    if words[:1] == ["countenance"]:
        _check(cli.main, words[1:])
    elif words[:1] == ["make"]:
        targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
        assert all(word in targets for word in words[1:] if "=" not in word)
    elif words[:2] == ["python", "-m"]:
        assert importlib.util.find_spec(words[2]), words[2]


def _check(command: click.Command, words: list[str]) -> None:
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(click.Context(command), words[0])
        assert found, f"there is no command {words[0]}"
        command, words = found, words[1:]
    known = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
    for word in words:
        if not word.strip("|&;><"):  # what follows is the shell's
            break
        if word.startswith("-"):
            assert word.partition("=")[0] in known | {"-h", "--help"}, f"{command.name} has no option {word}"


@pytest.mark.parametrize("block", of("python"), ids=str)
def test_python_compiles(block: Block) -> None:
    compile(block.text, str(block), "exec")


def test_every_dependency_is_explained() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    names = {re.split(r"[<>=~!]", each)[0] for each in declared}
    page = (ROOT / "docs" / "decisions" / "0007-dependencies.md").read_text("utf-8")
    explained = set(re.findall(r"^\| ([\w-]+) \| \d", page, flags=re.MULTILINE))
    assert explained == names


@pytest.fixture(scope="module")
def museum(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pack that policies.md writes, written as it says."""
    folder = tmp_path_factory.mktemp("etc") / "museum"
    folder.mkdir()
    about, cases, *_ = of("toml", "docs/policies.md")
    [rules] = of("cedar", "docs/policies.md")
    for name, text in {
        "pack.toml": about.text,
        "rules.cedar": rules.text,
        "entities.json": "[]",
        "tests.toml": cases.text,
    }.items():
        (folder / name).write_text(text, "utf-8")
    return folder


def test_the_pack_of_policies_loads_by_its_path(museum: Path) -> None:
    home = Settings(home=museum, packs=("base", str(museum)))
    assert "museum/no-search-below-95" in Policy.load(home.packs).rules


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, museum: Path) -> Path:
    """A folder with the files that examples speak of; Grace Hopper is everybody."""
    folder = tmp_path_factory.mktemp("desk")
    for name in ("grandmother.jpg", "photo.jpg"):
        (folder / name).write_bytes(photos.grace())
    (folder / "wedding.jpg").write_bytes(photos.grace_again())
    shutil.copytree(museum, folder / "museum")
    return folder


@pytest.mark.parametrize("page", RUN)
def test_python_runs(page: str, running: TestServer, desk: Path) -> None:
    """The Python of a page, in order, as one program; at port 8080 the test's server answers."""
    text = "\n".join(block.text for block in of("python", page))
    text = text.replace("http://127.0.0.1:8080", running.url)
    program = desk / f"{Path(page).stem}.py"
    program.write_text(text, "utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", program.name],
        cwd=desk,
        env=_environment(desk) | _endpoint(running),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"


def _endpoint(running: TestServer) -> dict[str, str]:
    return {
        "AWS_SHARED_CREDENTIALS_FILE": str(running.settings.credentials),
        "AWS_ENDPOINT_URL_REKOGNITION": running.url,
        "COUNTENANCE_HOME": str(running.home),
    }


def _environment(home: Path) -> dict[str, str]:
    """This process's, without the user's AWS and with the commands of this very installation."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return kept | {
        "HOME": str(home),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "COUNTENANCE_MODELS": str(zoo.home()),
    }


def test_the_tutorial_runs(tmp_path: Path) -> None:
    """Every block of the tutorial as one shell script, in order.

    Words behind a fence's language are for us: `sh setup` is what made this installation, and `sh server`
    runs beside the rest until its end, as it would in a second window.
    """
    script = ["set -eu", "export LC_ALL=C.UTF-8"]
    for block in blocks(ROOT / "docs" / "tutorial.md"):
        if block.words[:1] == ("python",):
            script.append(f"python -W error - <<'END'\n{block.text}END")
        elif block.words == ("sh", "server"):
            script.append(
                f"{block.text.rstrip()} & server=$!\ntrap 'kill $server; wait $server' EXIT\n{_WAIT}"
            )
        elif block.words == ("sh",):
            script.append(block.text)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    text = "\n".join(script).replace("countenance serve", f"countenance serve --port {port}")
    done = subprocess.run(
        ["bash", "-c", text.replace("127.0.0.1:8080", f"127.0.0.1:{port}")],
        cwd=tmp_path,
        env=_environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert re.search(r"rewrote entry \d+\nfound out", done.stdout), done.stdout


_WAIT = 'until [ -e "$COUNTENANCE_HOME/server.json" ]; do kill -0 $server; sleep 0.1; done'


def test_nothing_is_reported_to_anybody(tmp_path: Path) -> None:
    """OpenVINO, imported plainly, sends an event to its makers and leaves an id in ~/intel."""
    seen = subprocess.run(
        [sys.executable, "-c", "import sys, countenance.service; print(*sys.modules)"],
        env={name: value for name, value in os.environ.items() if name != "CI"} | {"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert "openvino" in seen
    assert "openvino_telemetry.main" not in seen
    assert not list(tmp_path.iterdir())
