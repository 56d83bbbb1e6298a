"""The stand-alone verifier: what is good is found good, and whatever is changed is found and named."""

from __future__ import annotations

import ast
import base64
import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.ledger.exported import (
    FIRST,
    LINES,
    ORIGIN,
    SECOND,
    SUBJECT,
    WITNESS,
    Entry,
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

import countenance.ledger
from countenance.ledger.merkle import EMPTY_ROOT, leaf_hash

FILE = Path(countenance.ledger.__file__).parent / "verifier" / "countenance_verify.py"


def _load() -> ModuleType:
    """By its path, as somebody who has this one file would."""
    spec = importlib.util.spec_from_file_location("countenance_verify", FILE)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["countenance_verify"] = module
    spec.loader.exec_module(module)
    return module


verifier = _load()

SIZE, ROTATED = 600, 300
BODIES = [body(entry) for entry in calls(SIZE)]
TURNED = [body(entry) for entry in calls(SIZE, ROTATED)]
PLAIN = published(BODIES, kept=[1, 150, 256, 513])
ROTATING = published(TURNED, kept=[1, 150, 400], rotated=ROTATED, handover=ROTATED + 2)


class Told:
    """What a command said: its exit status and its JSON."""

    def __init__(self, status: int, said: dict[str, Any]) -> None:
        self.status = status
        self.good: bool = said["good"]
        self.fault: str = said.get("fault", "")
        self.entry: int | None = said.get("entry")
        self.file: str | None = said.get("file")
        self.said = said


Ask = Callable[..., Told]


@pytest.fixture
def ask(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Ask:
    """Run a command with the first key of the log."""
    key = tmp_path / "kept.pub"
    key.write_text(LINES[0] + "\n")

    def run(command: str, *arguments: object) -> Told:
        given = [] if "--key" in arguments or command == "open" else ["--key", str(key)]
        status = verifier.main([command, *map(str, arguments), *given, "--json"])
        return Told(status, json.loads(capsys.readouterr().out))

    return run


# ---- Ed25519, against RFC 8032's vectors and another implementation

RFC_8032 = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]


@pytest.mark.parametrize(("key", "message", "signature"), RFC_8032)
def test_the_vectors_of_the_standard(key: str, message: str, signature: str) -> None:
    told = [bytes.fromhex(text) for text in (key, signature, message)]
    assert verifier.ed25519_verify(*told)
    assert not verifier.ed25519_verify(told[0], told[1], told[2] + b"\0")


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=80), st.integers(0, 96 * 8 - 1))
@settings(max_examples=60, deadline=None)
def test_signatures_are_judged_as_another_implementation_does(seed: bytes, message: bytes, bit: int) -> None:
    """As they are, and with one bit of key or signature changed."""
    key = Ed25519PrivateKey.from_private_bytes(seed)
    public, signature = key.public_key().public_bytes_raw(), key.sign(message)
    assert verifier.ed25519_verify(public, signature, message)
    changed = bytearray(public + signature)
    changed[bit // 8] ^= 1 << bit % 8
    public, signature = bytes(changed[:32]), bytes(changed[32:])
    assert verifier.ed25519_verify(public, signature, message) == _openssl(public, signature, message)


def _openssl(public: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def test_a_signature_has_one_form() -> None:
    """Adding the group's order to the second half gives the same point: the standard forbids it."""
    message, public = b"once", FIRST.public_key().public_bytes_raw()
    signature = FIRST.sign(message)
    order = 2**252 + 27742317777372353535851937790883648493
    second = int.from_bytes(signature[32:], "little") + order
    assert not verifier.ed25519_verify(public, signature[:32] + second.to_bytes(32, "little"), message)
    assert not verifier.ed25519_verify(public, signature[:63], message)
    assert not verifier.ed25519_verify(b"\xff" * 32, signature, message)


# ---- The tree, against our own, which is tested on the published one


def test_proofs_of_every_small_tree_and_no_forged_one() -> None:
    entries = [b"entry %d" % n for n in range(65)]
    tree, leaves = grow(entries), [leaf_hash(entry) for entry in entries]
    for size in range(1, 66):
        root = tree.root(size)
        assert verifier.fold(leaves[:size]) == root
        for index in range(size):
            proof = tree.inclusion(index, size)
            assert verifier.inclusion_holds(leaves[index], index, size, proof, root)
            assert not verifier.inclusion_holds(leaves[index], index + 1, size, proof, root)
            assert not any(
                verifier.inclusion_holds(leaves[index], index, size, forged, root)
                for forged in _forged(proof)
            )
        for old in range(size + 1):
            proof, before = tree.consistency(old, size), tree.root(old)
            assert verifier.consistency_holds(old, size, before, root, proof)
            assert not verifier.consistency_holds(old, size, b"\0" * 32, root, proof)
            if old:
                assert not any(
                    verifier.consistency_holds(old, size, before, root, forged) for forged in _forged(proof)
                )
    assert verifier.fold([]) == EMPTY_ROOT


def _forged(proof: Sequence[bytes]) -> list[list[bytes]]:
    ways = [[*proof, b"\0" * 32], [b"\0" * 32, *proof]]
    for n, step in enumerate(proof):
        ways.append([*proof[:n], *proof[n + 1 :]])
        ways.append([*proof[:n], bytes([step[0] ^ 1]) + step[1:], *proof[n + 1 :]])
    return ways


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=70), st.integers(0, 600))
@settings(max_examples=40, deadline=None)
def test_the_edge_of_tiles_has_the_root_of_the_tree(few: list[bytes], size: int) -> None:
    entries = [few[n % len(few)] for n in range(size)]
    edge, leaves = verifier.Edge(), [leaf_hash(entry) for entry in entries]
    for base in range(0, size - 255, 256):
        assert edge.root(leaves[base : base + 256]) == grow(entries[: base + 256]).root()
        list(edge.add(leaves[base : base + 256]))
    assert edge.root(leaves[size - size % 256 :]) == grow(entries).root()


def test_tiles_lie_where_the_format_puts_them() -> None:
    assert verifier.tile_path("0", 1234067, 256) == "tile/0/x001/x234/067"
    assert verifier.tile_path("2", 0, 17) == "tile/2/000.p/17"
    assert verifier.tile_path("entries", 1000, 256) == "tile/entries/x001/000"


# ---- A whole log


@pytest.mark.parametrize("size", [0, 1, 2, 255, 256, 257, 512, 700])
def test_a_good_log_of_any_size(size: int, ask: Ask, tmp_path: Path) -> None:
    bodies = [body(entry) for entry in calls(size)]
    write(tmp_path / "log", published(bodies, kept=[n for n in (1, 100, 256, 300) if n <= size]))
    told = ask("log", tmp_path / "log")
    assert (told.status, told.good, told.said["size"]) == (0, True, size)
    assert told.said["decisions"] + told.said["outcomes"] == size
    assert told.said["unfinished"] == ([size - 1] if size % 2 else [])
    assert base64.b64decode(told.said["root"]) == grow(bodies).root()


def test_a_second_level_of_tiles(ask: Ask, tmp_path: Path) -> None:
    """More than 65,536 entries: a full tile of full tiles."""
    bodies = [body({"v": 1, "seq": n, "kind": "govern", "act": "packs"}) for n in range(65536 + 300)]
    files = published(bodies, kept=[65535, 65536, 65537])
    log = write(tmp_path / "log", files)
    assert {"tile/1/000", "tile/1/001.p/1", "tile/2/000.p/1"} <= set(files)
    assert ask("log", log).good
    for name, first in (("tile/1/000", 256 * 77), ("tile/1/001.p/1", 65536), ("tile/2/000.p/1", 0)):
        flipped = bytearray(files[name])
        flipped[77 * 32 % len(flipped)] ^= 1
        (log / name).write_bytes(flipped)
        told = ask("log", log)
        assert (told.status, told.file, told.entry) == (1, name, first)
        (log / name).write_bytes(files[name])
    kept = tmp_path / "kept"
    kept.write_bytes(note(grow(bodies[:40000]), 40000, FIRST))
    assert ask("consistency", kept, log / "checkpoint", "--log", log).good
    kept.write_bytes(note(grow(bodies[1:40001]), 40000, FIRST))
    assert not ask("consistency", kept, log / "checkpoint", "--log", log).good


def test_a_log_without_its_entries(ask: Ask, tmp_path: Path) -> None:
    files = {name: content for name, content in PLAIN.items() if not name.startswith("tile/entries/")}
    log = write(tmp_path / "log", files)
    told = ask("log", log)
    assert told.good
    assert (told.said["entries"], told.said["size"]) == (False, SIZE)
    (log / "tile/0/001").write_bytes(files["tile/0/000"])
    told = ask("log", log)
    assert (told.good, told.file, told.entry) == (False, "checkpoints/513", 256)


def test_what_an_export_under_way_or_of_before_leaves(ask: Ask, tmp_path: Path) -> None:
    """Partial tiles of older heads, tiles of entries that no head covers yet, a draft."""
    log = write(tmp_path / "log", published(BODIES[:400], further=[200, 300, 390]))
    write(log, {name: PLAIN[name] for name in ("tile/0/001", "tile/entries/001")})
    write(log, {"tile/0/.001.new": b"half of it"})
    told = ask("log", log)
    assert told.good
    assert told.said["beyond"] == 2
    (log / "tile/0/001.p/144").unlink()  # the full tile has taken its place
    (log / "tile/entries/001.p/144").unlink()
    assert ask("log", log).good
    assert (log / "tile/0/001.p/44").exists()
    old = bytearray((log / "tile/entries/001.p/44").read_bytes())
    old[-2] ^= 1
    (log / "tile/entries/001.p/44").write_bytes(old)
    assert ask("log", log).file == "tile/entries/001.p/44"


def test_a_file_that_has_no_place_in_a_log_is_named(ask: Ask, tmp_path: Path) -> None:
    for name in (
        "tile/0/1",
        "tile/00/000",
        "tile/0/000.p/256",
        "tile/0/000.p/007",
        "checkpoints/new",
        "tile/x",
    ):
        log = write(tmp_path / "log", {**PLAIN, name: b""})
        told = ask("log", log)
        assert (told.status, told.file) == (1, name)
        shutil.rmtree(log)


FLIPPED = published(BODIES, kept=[1, 256, 400], further=[300])
NAMES = sorted(FLIPPED)


@given(st.sampled_from(NAMES), st.integers(0), st.integers(1, 255))
@settings(max_examples=250, deadline=None)
def test_any_changed_byte_is_found_and_named(name: str, place: int, change: int) -> None:
    files = _flipped(FLIPPED, name, place, change)
    with _published(files) as log:
        told = _log(log)
    assert told is not None, "it was not found"
    _named(told, name, place % len(FLIPPED[name]))


def test_a_head_from_before_a_changed_entry_does_not_clear_it(ask: Ask, tmp_path: Path) -> None:
    """The head over the first entry fits: that says nothing of entry 9, nor of its hash."""
    files = published(BODIES, kept=[1, 256])
    name = next(each for each in sorted(files) if each.startswith("tile/entries/"))
    files = {**files, name: files[name].replace(BODIES[9], BODIES[9][::-1])}
    told = ask("log", write(tmp_path / "log", files))
    assert (told.status, told.entry) == (1, 9)
    assert told.fault.startswith("entry 9 was changed")


@given(st.sampled_from(sorted(ROTATING)), st.integers(0), st.integers(1, 255))
@settings(max_examples=250, deadline=None)
def test_any_changed_byte_of_a_log_of_two_keys_is_found(name: str, place: int, change: int) -> None:
    with _published(_flipped(ROTATING, name, place, change)) as log:
        assert _log(log) is not None


def _flipped(files: Files, name: str, place: int, change: int) -> Files:
    content = bytearray(files[name])
    content[place % len(content)] ^= change
    return {**files, name: bytes(content)}


def _named(told: Any, name: str, place: int) -> None:
    """The fault names the changed file; of entries the first that was changed, of hashes whose they are."""
    if name.startswith("tile/entries/"):
        number = 256 * int(name[13:16]) + _entry_at(FLIPPED[name], place)
        stale = name.endswith(".p/44")
        assert told.file == name if stale else (told.entry == number and told.file in (None, name))
    else:
        assert told.file == name
    if name.startswith("tile/0/") and ".p/44" not in name:
        assert told.entry == 256 * int(name[7:10]) + place // 32


def _entry_at(bundle: bytes, place: int) -> int:
    at = number = 0
    while True:
        at += 2 + int.from_bytes(bundle[at : at + 2], "big")
        if place < at:
            return number
        number += 1


class _published:  # noqa: N801 - reads as the function it is
    """Files in a folder of their own, for tests that hypothesis repeats."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def __enter__(self) -> Path:
        self._folder = tempfile.TemporaryDirectory()
        return write(Path(self._folder.name), self._files)

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()


def _log(folder: Path, kept: bytes | None = None) -> Any:
    """The fault that verifying finds, None where it finds none."""
    try:
        heads = [verifier.read_head(kept, "kept")] if kept else []
        verifier.verify_log(verifier.Folder(str(folder)), verifier.read_keys(LINES[0], "kept.pub"), heads)
    except verifier.Fault as fault:
        return fault
    return None


# ---- An operator who has the key, and writes the record anew


def _renumbered(entries: list[Entry]) -> list[bytes]:
    return [body({**entry, "seq": n}) for n, entry in enumerate(entries)]


KEPT = note(grow(BODIES), 500, FIRST)
ENTRIES = calls(SIZE)


@pytest.mark.parametrize(
    ("bodies", "entry"),
    [
        pytest.param([*BODIES[:321], *BODIES[322:]], 321, id="an entry left out"),
        pytest.param(
            [*BODIES[:100], BODIES[101], BODIES[100], *BODIES[102:]], 100, id="two entries exchanged"
        ),
        pytest.param([*BODIES[:77], BODIES[76], *BODIES[77:]], 77, id="an entry played again"),
        pytest.param([*BODIES[:9], BODIES[9] + b" ", *BODIES[10:]], 9, id="another spelling"),
        pytest.param([*BODIES[:9], b"[" * 60000, *BODIES[10:]], 9, id="no JSON"),
        pytest.param([*BODIES[:9], b'{"seq":9,"seq":9}', *BODIES[10:]], 9, id="a member twice"),
        pytest.param([*BODIES[:9], body({"v": 1, "seq": 9.0}), *BODIES[10:]], 9, id="a fraction"),
        pytest.param(
            [*BODIES[:9], body({**ENTRIES[9], "kind": "note"}), *BODIES[10:]], 9, id="a kind of its own"
        ),
        pytest.param(
            [*BODIES[:9], body({**ENTRIES[9], "decision": 6}), *BODIES[10:]], 9, id="a second outcome"
        ),
        pytest.param(
            [*BODIES[:9], body({**ENTRIES[9], "decision": 11}), *BODIES[10:]], 9, id="outcome first"
        ),
        pytest.param([*BODIES[:12], body({**ENTRIES[12], "counter": 9}), *BODIES[13:]], 12, id="a counter"),
        pytest.param(_renumbered([*ENTRIES[:6], *ENTRIES[8:]]), 7, id="a call left out, the rest renumbered"),
    ],
)
def test_a_record_signed_anew_over_nonsense_is_found(
    bodies: list[bytes], entry: int, ask: Ask, tmp_path: Path
) -> None:
    """Tiles and signatures are all good: what the entries say is not."""
    told = ask("log", write(tmp_path / "log", published(bodies, kept=[1, 256])))
    assert (told.status, told.entry) == (1, entry)
    assert str(entry) in told.fault


def test_an_edited_search_is_found_by_who_kept_a_checkpoint(ask: Ask, tmp_path: Path) -> None:
    """Everything is computed and signed anew. Only somebody who kept an old checkpoint sees it."""
    edited = [*BODIES[:320], body({**ENTRIES[320], "collection": "Harmless"}), *BODIES[321:]]
    log = write(tmp_path / "log", published(edited, kept=[1, 256]))
    kept = write(tmp_path / "kept", {"checkpoint": KEPT}) / "checkpoint"
    assert ask("log", log).good
    told = ask("log", log, "--checkpoint", kept)
    assert (told.status, told.entry, told.file) == (1, 256, str(kept))  # up to 256 a published head agrees
    assert "256 to 499" in told.fault
    assert ask("consistency", kept, log / "checkpoint", "--log", log).status == 1


def test_a_log_that_was_cut_off_or_put_back(ask: Ask, tmp_path: Path) -> None:
    log = write(tmp_path / "log", published(BODIES[:450], kept=[256]))
    kept = write(tmp_path / "kept", {"checkpoint": KEPT}) / "checkpoint"
    assert ask("log", log).good
    told = ask("log", log, "--checkpoint", kept)
    assert (told.status, told.entry) == (1, 450)
    assert "450 to 499 are gone" in told.fault
    assert ask("consistency", kept, log / "checkpoint", "--log", log).status == 1
    write(log, {"checkpoints/500": KEPT})  # and a published head shows it to everybody
    assert ask("log", log).entry == 450


def test_two_records_of_one_size_are_proof_of_a_split_view(ask: Ask, tmp_path: Path) -> None:
    other = [*BODIES[:5], body({**ENTRIES[5], "candidates": 7}), *BODIES[6:]]
    log = write(tmp_path / "log", PLAIN)
    kept = write(tmp_path / "kept", {"checkpoint": note(grow(other), SIZE, FIRST)}) / "checkpoint"
    for told in (
        ask("log", log, "--checkpoint", kept),
        ask("consistency", kept, log / "checkpoint", "--log", log),
    ):
        assert told.status == 1
        assert "two versions" in told.fault


def test_the_log_of_another_key_or_name(ask: Ask, tmp_path: Path) -> None:
    stranger = Ed25519PrivateKey.generate()
    tree = grow(BODIES)
    files = {**PLAIN, "checkpoint": note(tree, SIZE, stranger)}
    assert ask("log", write(tmp_path / "log", files)).file == "checkpoint"
    write(tmp_path / "log", {**PLAIN, "log.pub": f"{LINES[1]}\n".encode()})
    assert ask("log", tmp_path / "log").file == "log.pub"
    write(tmp_path / "log", {**PLAIN, "checkpoint": PLAIN["checkpoint"].replace(b"tested", b"texted")})
    assert ask("log", tmp_path / "log").file == "checkpoint"


# ---- Keys that were handed over


def test_who_holds_the_first_key_or_the_second_follows_the_handover(ask: Ask, tmp_path: Path) -> None:
    log = write(tmp_path / "log", ROTATING)
    key = tmp_path / "some.pub"
    for lines in ([LINES[0]], [LINES[1]], LINES):
        key.write_text("\n".join(lines) + "\n\n")
        told = ask("log", log, "--key", key)
        assert (told.good, told.said.get("keys")) == (True, 2), told.fault
        assert ask(
            "consistency", log / "checkpoints/150", log / "checkpoint", "--log", log, "--key", key
        ).good


def test_a_key_that_no_entry_hands_over_is_not_trusted(ask: Ask, tmp_path: Path) -> None:
    without = published(BODIES, kept=[1], rotated=ROTATED, handover=ROTATED + 2)
    told = ask("log", write(tmp_path / "log", without))
    assert (told.status, told.file) == (1, f"checkpoints/{ROTATED + 2}")
    alone = {name: content for name, content in ROTATING.items() if name != f"checkpoints/{ROTATED + 2}"}
    told = ask("log", write(tmp_path / "other", alone))
    assert (told.status, told.file) == (1, "log.pub")


def test_an_old_key_signs_nothing_after_its_handover(ask: Ask, tmp_path: Path) -> None:
    """Who found the old key cannot pass a newer head off as the log's."""
    tree = grow(TURNED)
    for name, size in (("checkpoint", SIZE), ("checkpoints/400", 400)):
        log = write(tmp_path / "log", {**ROTATING, name: note(tree, size, FIRST)})
        assert ask("log", log).file == name
    forged = tmp_path / "forged"
    forged.write_text(json.dumps(receipt(TURNED, [8, 9], FIRST)))
    log = write(tmp_path / "log", ROTATING)
    assert ask("receipt", forged, "--log", log).status == 1
    assert ask("receipt", forged).good  # alone it cannot be told: nothing says that the key was handed over


def test_a_handover_that_log_pub_hides(ask: Ask, tmp_path: Path) -> None:
    tree = grow(TURNED)
    kept = {name: content for name, content in ROTATING.items() if not name.startswith("checkpoint")}
    hidden = {**kept, "checkpoint": note(tree, SIZE, FIRST), "log.pub": f"{LINES[0]}\n".encode()}
    assert ask("log", write(tmp_path / "log", hidden)).file == "log.pub"


# ---- Witnesses


def test_a_witness_is_believed_where_its_key_is_given(ask: Ask, tmp_path: Path) -> None:
    log = write(tmp_path / "log", {**PLAIN, "checkpoint": cosign(PLAIN["checkpoint"])})
    keys = tmp_path / "witnesses"
    keys.write_text(witness_line())
    assert ask("log", log).said["witnesses"] == []
    seen = {"name": "witness.example", "time": "2025-11-24T16:00:00Z"}
    assert ask("log", log, "--witness", keys).said["witnesses"] == [{**seen, "size": SIZE}]
    write(log, {"checkpoint": PLAIN["checkpoint"], "checkpoints/256": cosign(PLAIN["checkpoints/256"])})
    assert ask("log", log, "--witness", keys).said["witnesses"] == [{**seen, "size": 256}]
    keys.write_text(witness_line(SECOND))
    assert ask("log", log, "--witness", keys).file == "checkpoint"


@given(st.integers(0), st.integers(1, 255))
@settings(max_examples=60, deadline=None)
def test_any_changed_byte_of_a_cosigned_head_is_found(place: int, change: int) -> None:
    head = bytearray(cosign(PLAIN["checkpoint"]))
    head[place % len(head)] ^= change
    with pytest.raises(verifier.Fault):
        _cosigned(bytes(head))
    _cosigned(cosign(PLAIN["checkpoint"]))


def _cosigned(head: bytes) -> None:
    read = verifier.read_head(head, "checkpoint")
    verifier.Keys(verifier.read_keys(LINES[0], "kept.pub")).check(read)
    verifier.cosigned([read], verifier.read_keys(witness_line(WITNESS), "witnesses", b"\x04"))


# ---- Receipts

RECEIPT = receipt(BODIES, [8, 9])


def _receipt(told: object) -> Any:
    try:
        keys = verifier.Keys(verifier.read_keys(LINES[0], "kept.pub"))
        verifier.read_receipt(told if isinstance(told, bytes) else json.dumps(told).encode(), keys)
    except verifier.Fault as fault:
        return fault
    return None


def test_a_receipt_alone_with_a_log_and_with_a_kept_checkpoint(ask: Ask, tmp_path: Path) -> None:
    file = tmp_path / "receipt.json"
    file.write_text(json.dumps(receipt(BODIES[:500], [8, 9]), indent=1))
    kept = tmp_path / "kept.checkpoint"
    log = write(tmp_path / "log", PLAIN)
    for size in (5, 300, 500, 550, SIZE):
        kept.write_bytes(note(grow(BODIES), size, FIRST))
        assert ask("receipt", file, "--log", log, "--checkpoint", kept).good
        other = note(grow([*BODIES[:4], b"{}", *BODIES[5:]]), size, FIRST)
        kept.write_bytes(other)
        assert ask("receipt", file, "--log", log, "--checkpoint", kept).status == 1
    told = ask("receipt", file)
    assert (told.good, told.said["numbers"], told.said["size"]) == (True, [8, 9], 500)
    kept.write_bytes(note(grow(BODIES), 500, FIRST))
    assert ask("receipt", file, "--checkpoint", kept).good


def test_a_receipt_of_a_record_that_was_written_anew_is_found(ask: Ask, tmp_path: Path) -> None:
    file = tmp_path / "receipt.json"
    file.write_text(json.dumps(RECEIPT))
    anew = [
        *BODIES[:8],
        body({**ENTRIES[8], "collection": "Harmless"}),
        *BODIES[9:],
        body(calls(SIZE + 1)[-1]),
    ]
    assert ask("receipt", file, "--log", write(tmp_path / "log", published(anew))).status == 1


def test_a_receipt_of_two_keys(ask: Ask, tmp_path: Path) -> None:
    file = tmp_path / "receipt.json"
    file.write_text(json.dumps(receipt(TURNED, [8, 9], SECOND)))
    log = write(tmp_path / "log", ROTATING)
    assert ask("receipt", file).status == 1  # the first key alone does not know the second
    assert ask("receipt", file, "--log", log).good


def test_a_receipt_of_a_refusal_or_of_a_call_under_way(tmp_path: Path) -> None:
    assert _receipt(receipt(BODIES, [10, 11])) is None
    assert _receipt(receipt(BODIES, [10])) is None


@pytest.mark.parametrize("numbers", [[9, 8], [8, 11], [9], [8, 9, 9], [8, 10]])
def test_entries_that_do_not_belong_together_are_no_receipt(numbers: list[int]) -> None:
    assert _receipt(receipt(BODIES, numbers)) is not None


@given(st.integers(0), st.integers(1, 255))
@settings(max_examples=400, deadline=None)
def test_any_changed_byte_of_a_receipt_is_found(place: int, change: int) -> None:
    """But where JSON still says the same: in the space between, say."""
    good = json.dumps(RECEIPT).encode()
    changed = bytearray(good)
    changed[place % len(good)] ^= change
    try:
        same = json.loads(changed) == RECEIPT
    except (ValueError, UnicodeDecodeError):
        same = False
    assert (_receipt(bytes(changed)) is None) == same


NO_VALUES: list[Any] = [None, 7, "", [], [7], {}]


@pytest.mark.parametrize(
    "told",
    [b"", b"[]", b"{}", b"\xff", b"[" * 100000, b'{"Origin":1,"Key":2,"Checkpoint":3,"Entries":4}']
    + [json.dumps({**RECEIPT, name: value}).encode() for name in RECEIPT for value in NO_VALUES],
)
def test_what_is_no_receipt_is_refused_in_words(told: bytes) -> None:
    assert _receipt(told) is not None


# ---- One's own entries, and what is sealed


def test_a_subject_finds_his_own_entries(ask: Ask, tmp_path: Path) -> None:
    log = write(tmp_path / "log", PLAIN)
    told = ask("mine", log, "--subject", SUBJECT.hex())
    expected = [n for n in range(0, SIZE, 2) if n % 7 == 0 and n % 5]
    assert [found["decision"]["seq"] for found in told.said["found"]] == expected
    assert [found["outcome"]["decision"] for found in told.said["found"]] == expected
    assert ask("mine", log, "--subject", "11" * 32).said["found"] == []


def test_a_subject_finds_the_review_and_the_expiry_of_his_face(ask: Ask, tmp_path: Path) -> None:
    entries = calls(40)
    entries += [
        {"v": 1, "seq": 40, "kind": "decision", "operation": "RecordReview", "time": "t"},
        {"v": 1, "seq": 41, "kind": "outcome", "decision": 40, "review": 14, "time": "t", "verdict": "wrong"},
        {"v": 1, "seq": 42, "kind": "govern", "act": "expire", "time": "t"},
    ]
    entries[41]["candidate"] = entries[15]["subjects"][0]
    entries[42]["subjects"] = [verifier.subject_tag(SUBJECT, 42)]
    log = write(tmp_path / "log", published([body(entry) for entry in entries]))
    found = ask("mine", log, "--subject", SUBJECT.hex()).said["found"]
    assert [one.get("outcome", one.get("govern"))["seq"] for one in found[-2:]] == [41, 42]


def test_what_was_sealed_is_opened_with_the_records_key(ask: Ask, tmp_path: Path) -> None:
    key = "0f" * 32
    seals = {
        "case": verifier.commitment(bytes.fromhex(key), "case", "2026/114"),
        "reviewers": verifier.commitment(bytes.fromhex(key), "reviewers", "A. Adler\nZ. Zorn"),
    }
    file = tmp_path / "entry.json"
    file.write_text(json.dumps({**ENTRIES[0], **seals}))
    good = ("open", file, "case=2026/114", "reviewers=Z. Zorn", "reviewers=A. Adler", "--record-key")
    assert ask(*good, key).good
    assert ask(*good, "0e" * 32).status == 1
    assert ask("open", file, "case=2026/115", "--record-key", key).status == 1
    assert ask("open", file, "evidence=", "--record-key", key).status == 1
    sealed = receipt([body({**ENTRIES[0], **seals}), BODIES[1]], [0, 1])
    file.write_text(json.dumps(sealed))
    assert ask("open", file, "case=2026/114", "--record-key", key).good


# ---- The command line


def test_it_runs_alone_and_says_what_it_found(tmp_path: Path) -> None:
    """Copied away, without this project and in Python's isolated mode."""
    copy = tmp_path / "verify.py"
    shutil.copy(FILE, copy)
    log = write(tmp_path / "log", PLAIN)
    (tmp_path / "kept.pub").write_text(LINES[0])

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-I", "-S", "-W", "error", str(copy), *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
        )

    good = run("log", log, "--key", tmp_path / "kept.pub")
    assert (good.returncode, good.stderr) == (0, "")
    assert f"Everything fits: {SIZE} entries of the log {ORIGIN}." in good.stdout
    assert "split view is not excluded" in good.stdout
    (log / "tile/entries/001").unlink()
    bad = run("log", log, "--key", tmp_path / "kept.pub")
    assert bad.returncode == 1
    assert bad.stdout.startswith("DOES NOT FIT: tile/entries/001 is missing")
    for wrong in (
        [],
        ["log", tmp_path / "nowhere", "--key", tmp_path / "kept.pub"],
        ["log", log, "--key", log],
    ):
        assert run(*wrong).returncode == 2
    assert run("mine", log, "--subject", "me", "--key", tmp_path / "kept.pub").returncode == 2


def test_a_wrong_key_file_is_no_finding(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log, photo = write(tmp_path / "log", PLAIN), tmp_path / "photo.jpg"
    photo.write_bytes(b"\xff\xd8\xff\xe0")
    assert verifier.main(["log", str(log), "--key", str(photo)]) == 2
    assert "no such key" in capsys.readouterr().err
    assert verifier.main(["log", str(log), "--key", LINES[0]]) == 0  # a line of it will do


def test_words_cannot_steer_the_terminal(
    ask: Ask, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = {**ENTRIES[0], "collection": "\x1b[2Jgood\r"}
    file, key = tmp_path / "receipt.json", tmp_path / "kept.pub"
    file.write_text(json.dumps(receipt([body(entry)], [0])))
    assert verifier.main(["receipt", str(file), "--key", str(key)]) == 0
    said = capsys.readouterr().out
    assert "?[2Jgood?" in said
    assert "\x1b" not in said


def test_it_imports_nothing_but_the_standard_library() -> None:
    tree = ast.parse(FILE.read_text(), feature_version=(3, 9))
    named = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    named |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in named} <= sys.stdlib_module_names
