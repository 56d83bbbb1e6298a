#!/usr/bin/env python3
"""Verify a Countenance ledger without Countenance: one file, Python 3.9 or newer, nothing to install.

    python3 countenance_verify.py receipt RECEIPT.json --key log.pub [--log FOLDER] [--checkpoint KEPT]
    python3 countenance_verify.py log FOLDER --key log.pub [--checkpoint KEPT] [--witness KEYS]
    python3 countenance_verify.py consistency OLD NEW --log FOLDER --key log.pub
    python3 countenance_verify.py mine FOLDER --subject KEY --key log.pub
    python3 countenance_verify.py report REPORT.json --log FOLDER --key log.pub [--witness KEYS]
    python3 countenance_verify.py open FILE --record-key KEY NAME=VALUE ...

FOLDER is what `countenance ledger export` writes, or a copy of it from a web host. log.pub is the log's
public key: take it from somewhere other than the folder. KEPT is a checkpoint that somebody kept outside.
Each command says in words what it found and ends with status 0 where everything fits, 1 where something does
not, 2 where it was asked wrongly. With --json it says so to a program.

Nothing here is shared with Countenance's own code, so that a mistake there is not repeated here. The formats:
hashes and proofs as in RFC 6962 and RFC 9162, signatures as in RFC 8032, files as in C2SP's tlog-tiles,
tlog-checkpoint, signed-note and tlog-cosignature.
"""

# ruff: noqa: B905, RUF007, T201 - Python 3.9 has neither zip's `strict` nor `pairwise`; a program prints
from __future__ import annotations

import argparse
import base64
import binascii
import functools
import gc
import hashlib
import hmac
import json
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

WIDTH = 256
"""Hashes in a full tile, entries in a full bundle (tlog-tiles)."""


class Fault(Exception):
    """Something does not fit. entry: the first entry concerned. file: what holds the fault."""

    def __init__(self, text: str, entry: int | None = None, file: str | None = None) -> None:
        super().__init__(text)
        self.entry = entry
        self.file = file


class Misuse(Exception):
    """The command was asked wrongly: nothing was verified."""


# ---- Ed25519, RFC 8032: verification only --------------------------------------------------------

_P = 2**255 - 19
_ORDER = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, _P) % _P
_ROOT_OF_MINUS_ONE = pow(2, (_P - 1) // 4, _P)
_NEUTRAL = (0, 1, 1, 0)

Point = tuple[int, int, int, int]  # X, Y, Z, T with x = X/Z, y = Y/Z, xy = T/Z


def _add(p: Point, q: Point) -> Point:
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % _P, (p[1] + p[0]) * (q[1] + q[0]) % _P
    c, d = 2 * p[3] * q[3] * _D % _P, 2 * p[2] * q[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _point(raw: bytes) -> Point | None:
    """The point that 32 bytes stand for (5.1.3); None where they stand for none."""
    y = int.from_bytes(raw, "little")
    sign, y = y >> 255, y & (1 << 255) - 1
    if y >= _P:
        return None
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * _ROOT_OF_MINUS_ONE % _P
    if (x * x - square) % _P or (x == 0 and sign):
        return None
    x = _P - x if x & 1 != sign else x
    return x, y, 1, x * y % _P


_BASE = _point((4 * pow(5, -1, _P) % _P).to_bytes(32, "little")) or _NEUTRAL


@functools.lru_cache(maxsize=16)
def _multiples(point: Point) -> list[list[Point]]:
    """0 to 15 times the point, times each power of 16: made once for a key that signed many heads."""
    table = []
    for _ in range(64):
        row = [_NEUTRAL]
        for _ in range(15):
            row.append(_add(row[-1], point))
        table.append(row)
        point = _add(row[-1], point)
    return table


def _times(scalar: int, point: Point) -> Point:
    total = _NEUTRAL
    for row in _multiples(point):
        total = _add(total, row[scalar & 15])
        scalar >>= 4
    return total


def ed25519_verify(key: bytes, signature: bytes, message: bytes) -> bool:
    """Whether `signature` (64 bytes) over `message` is that of the key (32 bytes): 5.1.7, cofactorless."""
    point = _point(key) if len(key) == 32 else None
    if point is None or len(signature) != 64:
        return False
    s = int.from_bytes(signature[32:], "little")
    if s >= _ORDER:
        return False
    challenge = hashlib.sha512(signature[:32] + key + message).digest()
    k = int.from_bytes(challenge, "little") % _ORDER
    minus = (_P - point[0], point[1], 1, _P - point[3])
    x, y, z, _ = _add(_times(s, _BASE), _times(k, minus))
    inverse = pow(z, -1, _P)
    x, y = x * inverse % _P, y * inverse % _P
    return signature[:32] == (y | (x & 1) << 255).to_bytes(32, "little")


# ---- The hash tree, RFC 6962 ---------------------------------------------------------------------


def leaf_hash(entry: bytes) -> bytes:
    return hashlib.sha256(b"\0" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


def fold(hashes: Sequence[bytes]) -> bytes:
    """The root over neighbours: each covers as many entries as the next, only the last may cover fewer."""
    if not hashes:
        return hashlib.sha256().digest()
    level, sha256 = list(hashes), hashlib.sha256
    while len(level) > 1:
        odd = [level.pop()] if len(level) % 2 else []
        pairs = zip(level[::2], level[1::2])
        level = [sha256(b"\1" + left + right).digest() for left, right in pairs] + odd
    return level[0]


def _climb(place: int, last: int) -> tuple[int, int]:
    """Skip the levels at which a node on the right edge has no neighbour."""
    while place and not place & 1:
        place, last = place >> 1, last >> 1
    return place, last


def inclusion_holds(leaf: bytes, number: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether the proof leads from entry `number` to the root over `size` entries (RFC 9162, 2.1.3.2)."""
    if not 0 <= number < size:
        return False
    place, last, value = number, size - 1, leaf
    for step in proof:
        if last == 0:
            return False
        if place & 1 or place == last:
            value = node_hash(step, value)
            place, last = _climb(place, last)
        else:
            value = node_hash(value, step)
        place, last = place >> 1, last >> 1
    return last == 0 and value == root


def consistency_holds(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the proof shows that the larger tree begins with the smaller (RFC 9162, 2.1.4.2)."""
    if old in (0, new):
        return not proof and old_root == (new_root if old == new else fold([]))
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    if not path or not 0 < old < new:
        return False
    place, last = old - 1, new - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    before = after = path[0]
    for step in path[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            before, after = node_hash(step, before), node_hash(step, after)
            place, last = _climb(place, last)
        else:
            after = node_hash(after, step)
        place, last = place >> 1, last >> 1
    return last == 0 and before == old_root and after == new_root


# ---- Keys and signed notes (C2SP) ----------------------------------------------------------------

LOG_KEY, WITNESS_KEY = b"\x01", b"\x04"
"""The byte that says what a key signs: a log's heads, or a witness's cosignatures."""


class Key(NamedTuple):
    """A public key (32 bytes) and the name it signs under. line: both as they are written."""

    name: str
    raw: bytes
    line: str
    kind: bytes

    @property
    def id(self) -> bytes:
        return hashlib.sha256(self.name.encode() + b"\n" + self.kind + self.raw).digest()[:4]


class Head(NamedTuple):
    """A checkpoint: the first `size` entries have this root. file: where it was read."""

    origin: str
    size: int
    root: bytes
    text: str
    signatures: tuple[tuple[str, bytes], ...]
    file: str

    def line_of(self, key: Key) -> bytes | None:
        """What the key signed here, None where it signed nothing. Raises Fault for a false signature."""
        for name, raw in self.signatures:
            if name == key.name and raw[:4] == key.id:
                if not self._true(key, raw[4:]):
                    raise Fault(f"{self.file}: the signature of {name} is false", None, self.file)
                return raw[4:]
        return None

    def _true(self, key: Key, raw: bytes) -> bool:
        if key.kind == LOG_KEY:
            return ed25519_verify(key.raw, raw, self.text.encode())
        when = int.from_bytes(raw[:8], "big")
        return ed25519_verify(key.raw, raw[8:], f"cosignature/v1\ntime {when}\n{self.text}".encode())


def read_keys(text: str, file: str, kind: bytes = LOG_KEY) -> list[Key]:
    """The verifier keys of a file, one a line. Raises Fault."""
    keys = []
    for line in text.splitlines():
        name, _, rest = line.partition("+")
        identity, _, encoded = rest.partition("+")
        raw = _bytes(encoded, file)
        key = Key(name, raw[1:], line, kind)
        if len(raw) != 33 or raw[:1] != kind or not name or key.id.hex() != identity:
            what = "log" if kind == LOG_KEY else "witness"
            raise Fault(f"{file}: {line[:90]!r} is not the verifier key of a {what}", None, file)
        keys.append(key)
    if not keys or len({key.name for key in keys}) > (1 if kind == LOG_KEY else len(keys)):
        raise Fault(f"{file}: it holds no key, or keys of more than one log", None, file)
    return keys


def read_head(data: bytes, file: str) -> Head:
    """A signed note that holds a checkpoint. Its signatures are not verified yet. Raises Fault."""
    try:
        note = data.decode()
    except UnicodeDecodeError as error:
        raise Fault(f"{file}: it is not text", None, file) from error
    text, gap, signed = note.rpartition("\n\n")
    lines = text.split("\n")
    if not gap or len(lines) < 3 or "" in lines or not re.fullmatch(r"0|[1-9][0-9]{0,17}", lines[1]):
        raise Fault(f"{file}: it is not a checkpoint (origin, size, root, signatures)", None, file)
    if any(character < " " and character != "\n" for character in note) or not signed.endswith("\n"):
        raise Fault(f"{file}: it holds what a checkpoint cannot hold, or was cut off", None, file)
    signatures = []
    for line in signed[:-1].split("\n"):
        fields = re.fullmatch("\N{EM DASH} ([^ +]+) ([^ ]+)", line)
        if not fields:
            raise Fault(f"{file}: {line[:60]!r} is not a signature line", None, file)
        signatures.append((fields[1], _bytes(fields[2], file)))
    root = _bytes(lines[2], file)
    if len(root) != 32:
        raise Fault(f"{file}: its root is not 32 bytes", None, file)
    return Head(lines[0], int(lines[1]), root, text + "\n", tuple(signatures), file)


def _bytes(text: str, file: str) -> bytes:
    """Base64 in the one spelling that these bytes have."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if base64.b64encode(raw).decode() != text or not text:
        raise Fault(f"{file}: {text[:60]!r} is not base64", None, file)
    return raw


# ---- The exported folder (C2SP tlog-tiles) -------------------------------------------------------


def tile_path(kind: str, number: int, width: int) -> str:
    """kind: the level, or `entries`."""
    groups, rest = [f"{number % 1000:03d}"], number // 1000
    while rest:
        groups.insert(0, f"x{rest % 1000:03d}")
        rest //= 1000
    return f"tile/{kind}/{'/'.join(groups)}" + (f".p/{width}" if width < WIDTH else "")


class Folder:
    """An exported log. newest: its checkpoint, whose signature is not verified yet."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        if not self.path.is_dir():
            raise Misuse(f"{path} is not a folder")
        self.newest = self.head("checkpoint")
        self.size = self.newest.size
        self.has_entries = (self.path / "tile" / "entries").is_dir()

    def read(self, name: str) -> bytes:
        try:
            return read_file(self.path / name)
        except Misuse as error:
            raise Fault(f"{name} is missing from the folder, or cannot be read", None, name) from error

    def head(self, name: str) -> Head:
        return read_head(self.read(name), name)

    def kept(self) -> list[Head]:
        """The heads in checkpoints/, the smallest first."""
        sizes = []
        for name in self._names("checkpoints"):
            if not re.fullmatch(r"0|[1-9][0-9]{0,17}", name):
                raise Fault(f"checkpoints/{name} is not named by a size", None, f"checkpoints/{name}")
            sizes.append(int(name))
        heads = [self.head(f"checkpoints/{size}") for size in sorted(sizes)]
        for size, head in zip(sorted(sizes), heads):
            if head.size != size:
                raise Fault(f"{head.file} is about {head.size} entries", None, head.file)
        return heads

    def _names(self, folder: str) -> list[str]:
        path = self.path / folder
        names = [file.name for file in path.iterdir()] if path.is_dir() else []
        return [name for name in names if not name.startswith(".")]

    def width(self, level: int, number: int) -> int:
        """How many hashes tile `number` of a level has, in a log of our size."""
        return max(0, min(WIDTH, (self.size >> 8 * level) - WIDTH * number))

    def tile(self, level: int, number: int) -> list[bytes]:
        """The hashes of a tile. Raises Fault where it is missing, or not as long as it should be."""
        width = self.width(level, number)
        name, data = self._either(str(level), number, width)
        if len(data) != 32 * width and name == tile_path(str(level), number, width):
            raise Fault(f"{name} is {len(data)} bytes long, not {32 * width}", WIDTH * number, name)
        if len(data) < 32 * width:
            raise Fault(f"{name} holds fewer than {width} hashes", WIDTH * number, name)
        return [data[at : at + 32] for at in range(0, 32 * width, 32)]

    def bundle(self, number: int) -> tuple[list[bytes], str, bool]:
        """The entries of a bundle as far as they can be told apart; its name; whether that was to its end."""
        width = self.width(0, number)
        name, data = self._either("entries", number, width)
        bodies: list[bytes] = []
        at = 0
        while len(bodies) < width and at + 2 <= len(data):
            end = at + 2 + (data[at] << 8 | data[at + 1])
            if end > len(data):
                break
            bodies.append(data[at + 2 : end])
            at = end
        whole = name != tile_path("entries", number, width)  # then more may follow
        return bodies, name, len(bodies) == width and (whole or at == len(data))

    def _either(self, kind: str, number: int, width: int) -> tuple[str, bytes]:
        """A tile, or where only a partial one is due, the full one that came later."""
        name = tile_path(kind, number, width)
        try:
            return name, self.read(name)
        except Fault:
            full = tile_path(kind, number, WIDTH)
            if width == WIDTH or not (self.path / full).exists():
                raise
            return full, self.read(full)

    def node(self, level: int, index: int) -> bytes:
        """The hash over entries [index * 2**level, (index + 1) * 2**level)."""
        count = 1 << level % 8
        first = index * count
        hashes = self.tile(level // 8, first // WIDTH)
        return fold(hashes[first % WIDTH : first % WIDTH + count])

    def over(self, start: int, end: int) -> bytes:
        """The hash over entries [start, end), which the tree splits off as one."""
        count = end - start
        if count & (count - 1) == 0:
            level = count.bit_length() - 1
            return self.node(level, start >> level)
        middle = start + (1 << (count - 1).bit_length() - 1)
        return node_hash(self.over(start, middle), self.over(middle, end))

    def inclusion(self, number: int, size: int) -> list[bytes]:
        """The proof that entry `number` is among the first `size` (RFC 9162, 2.1.3.1)."""
        start, end, proof = 0, size, []
        while end - start > 1:
            middle = start + (1 << (end - start - 1).bit_length() - 1)
            left, right = (start, middle), (middle, end)
            (start, end), other = (left, right) if number < middle else (right, left)
            proof.append(self.over(*other))
        return proof[::-1]

    def consistency(self, old: int, new: int) -> list[bytes]:
        """The proof that the first `new` entries begin with the first `old` (RFC 9162, 2.1.4.1)."""
        start, end, proof = 0, new, []
        while old and end != old:
            middle = start + (1 << (end - start - 1).bit_length() - 1)
            left, right = (start, middle), (middle, end)
            (start, end), other = (left, right) if old <= middle else (right, left)
            proof.append(self.over(*other))
        return [*([self.over(start, end)] if start else []), *proof[::-1]]

    def strays(self) -> int:
        """Compare what is left of smaller partial tiles; how many files go beyond the newest checkpoint."""
        beyond = 0
        for file in sorted((self.path / "tile").rglob("*")):
            if file.is_file() and not file.name.startswith("."):
                beyond += self._stray(file.relative_to(self.path).as_posix())
        return beyond

    def _stray(self, path: str) -> bool:
        parts = re.fullmatch(r"tile/(0|[1-9]\d?|entries)/((?:x\d{3}/)*\d{3})(?:\.p/(\d{1,3}))?", path)
        if not parts:
            raise Fault(f"{path} has no place in an exported log", None, path)
        kind, width = parts[1], int(parts[3] or WIDTH)
        number = int(parts[2].replace("x", "").replace("/", ""))
        due = self.width(0 if kind == "entries" else int(kind), number)
        if path != tile_path(kind, number, width) or not 0 < width <= WIDTH:
            raise Fault(f"{path} has no place in an exported log", None, path)
        if width < due:  # of an older checkpoint: a beginning of what is verified
            data = self.read(path)
            _, newer = self._either(kind, number, due)
            if not data or not newer.startswith(data) or not self._counts(kind, data, width):
                raise Fault(f"{path} is not how {tile_path(kind, number, due)} begins", None, path)
        return width > due

    @staticmethod
    def _counts(kind: str, data: bytes, width: int) -> bool:
        if kind != "entries":
            return len(data) == 32 * width
        at = count = 0
        while at + 2 <= len(data):
            at += 2 + (data[at] << 8 | data[at + 1])
            count += 1
        return (at, count) == (len(data), width)


# ---- Which key signs which heads -----------------------------------------------------------------


class Keys:
    """The log's keys, from those that are trusted along the handovers in the log.

    A key is handed over by an entry that names the old and the new one, under a head that both signed.
    turns: the sizes of those heads.
    """

    def __init__(self, trusted: list[Key], folder: Folder | None = None) -> None:
        self.name = trusted[0].name
        self.chain = trusted
        self.turns: list[int] | None = None
        if folder is None:
            return
        self.chain = read_keys(folder.read("log.pub").decode(errors="replace"), "log.pub")
        if "".join(f"{key.line}\n" for key in self.chain).encode() != folder.read("log.pub"):
            raise Fault("log.pub is not written as it should be", None, "log.pub")
        for key in trusted:
            if key not in self.chain:
                raise Fault(
                    f"the folder's log.pub does not hold the key that you gave ({key.line}): it is another "
                    "log, or one written anew with another key",
                    None,
                    "log.pub",
                )
        kept = folder.kept() if len(self.chain) > 1 else []
        self.turns = [self._turn(folder, kept, *pair) for pair in zip(self.chain, self.chain[1:])]
        if self.turns != sorted(set(self.turns)):
            raise Fault("the keys in log.pub are not in the order of their handovers", None, "log.pub")

    def _turn(self, folder: Folder, kept: list[Head], old: Key, new: Key) -> int:
        before = 0
        for head in [*kept, folder.newest]:
            if head.size <= folder.size and head.line_of(old) and head.line_of(new):
                if folder.has_entries:
                    self._named(folder, head, before, old, new)
                return head.size
            before = head.size
        raise Fault(
            f"no checkpoint hands over from the key {old.line} to {new.line}: do not trust the second",
            None,
            "log.pub",
        )

    @staticmethod
    def _named(folder: Folder, head: Head, before: int, old: Key, new: Key) -> None:
        """Raises Fault unless an entry between the two sizes, under the head, hands over."""
        for number in range(head.size - 1, before - 1, -1):
            bodies, _, _ = folder.bundle(number // WIDTH)
            body = bodies[number % WIDTH] if number % WIDTH < len(bodies) else b""
            if b'"rotate"' in body:
                entry = entry_of(body, number)
                if (entry.get("key_before"), entry.get("key")) == (old.line, new.line):
                    proof = folder.inclusion(number, head.size)
                    if inclusion_holds(leaf_hash(body), number, head.size, proof, head.root):
                        return
                    raise Fault(f"entry {number} hands over a key, but {head.file} does not cover it", number)
        raise Fault(f"{head.file} is signed by two keys, but no entry hands over", before, head.file)

    def check(self, head: Head) -> None:
        """Raises Fault unless the head is this log's, and signed by each key whose turn it was."""
        if head.origin != self.name:
            raise Fault(
                f"{head.file} is about the log {head.origin}, not {self.name}, whose key you gave",
                None,
                head.file,
            )
        if self.turns is None:
            due = [key for key in self.chain if head.line_of(key)][:1]
        else:
            spans = zip(self.chain, [0, *self.turns], [*self.turns, head.size])
            due = [key for key, first, last in spans if first <= head.size <= last]
        if not due or any(head.line_of(key) is None for key in due):
            raise Fault(f"{head.file} is not signed by this log's key", None, head.file)


class Cosigned(NamedTuple):
    """A witness saw the log at that size, at that time (Unix seconds)."""

    name: str
    size: int
    time: int


def cosigned(heads: Sequence[Head], witnesses: Sequence[Key]) -> list[Cosigned]:
    """The largest head that each witness cosigned. Raises Fault where there is none, or one is false."""
    found = []
    for key in witnesses:
        for head in sorted(heads, key=lambda head: -head.size):
            raw = head.line_of(key)
            if raw is not None:
                found.append(Cosigned(key.name, head.size, int.from_bytes(raw[:8], "big")))
                break
        else:
            file = heads[0].file
            raise Fault(f"neither {file} nor a kept one is cosigned by the witness {key.name}", None, file)
    return found


# ---- Entries -------------------------------------------------------------------------------------


def _refuse(_: str) -> Any:
    raise ValueError("a fraction")


def _whole(digits: str) -> int:
    number = int(digits)
    if not -(2**53) < number < 2**53:
        raise ValueError("a number that other readers of JSON round")
    return number


_DECODER = json.JSONDecoder(parse_float=_refuse, parse_int=_whole, parse_constant=_refuse)
_ENCODER = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def entries_of(bodies: Sequence[bytes], first: int) -> tuple[list[dict[str, Any]], Fault | None]:
    """What entries from number `first` on say, up to the first that is not canonical JSON with its number and
    a kind we know; and what is wrong with that one."""
    entries: list[dict[str, Any]] = []
    fault = None
    for number, body in enumerate(bodies, first):
        if fault := _told(body, number, entries):
            break
    # Canonical JSON has one spelling: no member twice, of which one reader would see the first and another
    # the last. (Written all at once, since writing one by one takes twice as long.)
    written = _ENCODER.encode(entries).encode(errors="replace")
    if written == b"[" + b",".join(bodies[: len(entries)]) + b"]":
        return entries, fault
    spelt = (_ENCODER.encode(entry).encode(errors="replace") for entry in entries)
    place = next(n for n, (one, body) in enumerate(zip(spelt, bodies)) if one != body)
    return entries[:place], Fault(f"entry {first + place} is not canonical JSON", first + place)


def _told(body: bytes, number: int, entries: list[dict[str, Any]]) -> Fault | None:
    """Add what an entry says, or say what is wrong with it."""
    try:
        text = body.decode()
        entry, end = _DECODER.raw_decode(text)
    except (ValueError, RecursionError):
        return Fault(f"entry {number} is not canonical JSON", number)
    if end != len(text) or not isinstance(entry, dict) or (_odd(body) and not _ordinary(entry)):
        return Fault(f"entry {number} is not canonical JSON", number)
    if type(entry.get("seq")) is not int or entry["seq"] != number:
        return Fault(f"entry {number} holds what was written as entry {entry.get('seq')}", number)
    if (
        type(entry.get("v")) is not int
        or entry["v"] != 1
        or entry.get("kind") not in ("decision", "outcome", "govern")
    ):
        return Fault(f"entry {number} is of a kind or version that this file does not know", number)
    entries.append(entry)
    return None


def _odd(body: bytes) -> bool:
    """Whether an entry may hold what none does: most tell at a glance that they do not."""
    nested = b"[[" in body or b",[" in body or body.count(b"{") > 1
    return nested or b"null" in body or not body.isascii()


def _ordinary(entry: dict[str, Any]) -> bool:
    """Whether it holds texts, whole numbers, booleans, lists and lists in lists, under ASCII names: of more,
    readers of JSON have more than one opinion."""
    return "".join(entry).isascii() and all(_plain(value) for value in entry.values())


def _plain(value: object, lists: int = 2) -> bool:
    if isinstance(value, list):
        return lists > 0 and all(_plain(item, lists - 1) for item in value)
    return isinstance(value, (str, int))  # a bool is an int


def entry_of(body: bytes, number: int) -> dict[str, Any]:
    """What an entry says. Raises Fault unless it is canonical JSON with this number and a kind we know."""
    entries, fault = entries_of([body], number)
    if fault:
        raise fault
    return entries[0]


class Calls:
    """What the entries say of each other: an outcome belongs to one decision before it, and each key counts
    its calls 1, 2, 3 ... without a gap."""

    def __init__(self) -> None:
        self.decisions = self.outcomes = self.administered = 0
        self.open: dict[int, None] = {}
        self.first = self.last = ""
        self._counted: dict[Any, int] = {}

    def follow(self, number: int, entry: dict[str, Any]) -> None:
        kind = entry["kind"]
        self.last = str(entry.get("time"))
        self.first = self.first or self.last
        if kind == "decision":
            self.decisions += 1
            self.open[number] = None
            if "counter" in entry:
                self._count(number, str(entry.get("caller")), entry["counter"])
        elif kind == "outcome":
            decision = entry.get("decision")
            if type(decision) is not int or decision not in self.open:
                raise Fault(
                    f"entry {number} is an outcome, but there is no decision {decision} that awaits one",
                    number,
                )
            self.outcomes += 1
            del self.open[decision]
        else:
            self.administered += 1

    def _count(self, number: int, caller: str, counter: Any) -> None:
        before = self._counted.get(caller, 0)
        if type(counter) is not int or counter != before + 1:
            raise Fault(
                f"entry {number} is call {counter} of the key {caller}, after call {before}: calls were left "
                "out, or its counter was changed",
                number,
            )
        self._counted[caller] = counter


# ---- The whole log -------------------------------------------------------------------------------


class Edge:
    """The right edge of the tree as it grows: of each level of tiles the hashes not yet in a full one."""

    def __init__(self) -> None:
        self.levels: list[list[bytes]] = [[]]
        self.full = [0]

    def root(self, further: Sequence[bytes] = ()) -> bytes:
        """The root over what was added and `further`, fewer than 257 leaves."""
        value = fold(further) if further else None
        for level in self.levels[1:]:
            hashes = level if value is None else [*level, value]
            value = fold(hashes) if hashes else None
        return fold([]) if value is None else value

    def add(self, leaves: Sequence[bytes]) -> Iterator[tuple[int, int, list[bytes]]]:
        """Add the leaves of a full tile. Yields level, number and hashes of each tile that this completes."""
        level, hashes = 0, list(leaves)
        while len(hashes) == WIDTH:
            yield level, self.full[level], hashes
            self.full[level] += 1
            self.levels[level] = []
            level += 1
            if level == len(self.levels):
                self.levels.append([])
                self.full.append(0)
            self.levels[level].append(fold(hashes))
            hashes = self.levels[level]


class Suspect(NamedTuple):
    """The first place where entries and tiles differ: the next signed head says which of them was changed."""

    number: int
    changed_entry: str
    changed_tile: str
    tile: str


See = Callable[[int, dict[str, Any]], None]
Progress = Callable[[int, int], None]


class Reading:
    """Everything is computed anew from the entries, and compared with tiles and heads on the way."""

    def __init__(self, folder: Folder, keys: Keys, kept: Sequence[Head], see: See | None) -> None:
        self.folder = folder
        self.keys = keys
        self.calls = Calls()
        self.heads = 0
        self._see = see
        self._edge = Edge()
        self._vouched = 0
        self._suspect: Suspect | None = None
        self._turns: list[tuple[Any, Any]] = []
        keys.check(folder.newest)
        self.due = self._due(kept)
        self._waiting = sorted(self.due, key=lambda head: head.size)

    def _due(self, kept: Sequence[Head]) -> list[Head]:
        """The heads to meet. Raises Fault for one beyond the newest checkpoint."""
        size, due = self.folder.size, [self.folder.newest]
        for head in kept:
            self.keys.check(head)
            if head.size > size:
                raise Fault(
                    f"entries {size} to {head.size - 1} are gone: {head.file} was signed over {head.size}, "
                    f"this log holds {size}. It was cut off, or put back to an older state",
                    size,
                    "checkpoint",
                )
            due.append(head)
        for head in self.folder.kept():
            if head.size <= size:
                due.append(head)
            elif head.size > self.folder.head("checkpoint").size:  # else the folder has grown meanwhile
                self.keys.check(head)
                raise Fault(
                    f"entries {size} to {head.size - 1} are gone: {head.file} was signed over them, but "
                    f"the newest checkpoint is about {size} entries",
                    size,
                    "checkpoint",
                )
        return due

    def run(self, progress: Progress | None = None) -> None:
        for number in range((self.folder.size + WIDTH - 1) // WIDTH):
            self._tile(number)
            if progress:
                progress(min(number * WIDTH + WIDTH, self.folder.size), self.folder.size)
        for head in self._waiting:  # over no entries
            self._meet(head, self._edge.root())
        for level, hashes in enumerate(self._edge.levels[1:], 1):
            if hashes:
                self._compare(level, self._edge.full[level], hashes)
        if self._suspect:
            raise Fault(self._suspect.changed_tile, self._suspect.number, self._suspect.tile)
        if self.folder.has_entries and self._turns != self._links():
            raise Fault("the entries hand over keys that log.pub does not hold", None, "log.pub")

    def _tile(self, number: int) -> None:
        base = number * WIDTH
        stored = self.folder.tile(0, number)
        leaves = self._entries(number, stored) if self.folder.has_entries else stored
        while self._waiting and self._waiting[0].size <= base + len(leaves):
            head = self._waiting.pop(0)
            self._meet(head, self._edge.root(leaves[: head.size - base]))
        if len(leaves) == WIDTH:
            for level, place, hashes in self._edge.add(leaves):
                self._compare(level, place, hashes)

    def _links(self) -> list[tuple[Any, Any]]:
        lines = [key.line for key in self.keys.chain]
        return list(zip(lines, lines[1:]))

    def _entries(self, number: int, stored: list[bytes]) -> list[bytes]:
        """The leaf hashes of a bundle, computed from its entries; what the entries say is followed."""
        base = number * WIDTH
        bodies, name, complete = self.folder.bundle(number)
        sha256 = hashlib.sha256
        leaves = [sha256(b"\0" + body).digest() for body in bodies]
        if leaves != stored and self._suspect is None:
            self._differs(base, leaves, stored, name)
        if not complete:
            first = self._suspect.number if self._suspect else base + len(bodies)
            raise Fault(f"entry {first} was changed: {name} cannot be read from there on", first, name)
        if self._suspect is None:
            entries, fault = entries_of(bodies, base)
            for seq, entry in enumerate(entries, base):
                self.calls.follow(seq, entry)
                if entry["kind"] == "govern" and entry.get("act") == "rotate":
                    self._turns.append((entry.get("key_before"), entry.get("key")))
                if self._see:
                    self._see(seq, entry)
            if fault:
                raise fault
        return leaves

    def _differs(self, base: int, leaves: list[bytes], stored: list[bytes], bundle: str) -> None:
        place = next((n for n, (a, b) in enumerate(zip(leaves, stored)) if a != b), len(leaves))
        number, tile = base + place, tile_path("0", base // WIDTH, len(stored))
        self._suspect = Suspect(
            number,
            f"entry {number} was changed: what {bundle} holds does not hash to what {tile} and the signed "
            "checkpoints say",
            f"{tile} was changed: its hash of entry {number} is another's, though the entry is the one that "
            "was signed",
            tile,
        )

    def _compare(self, level: int, number: int, hashes: list[bytes]) -> None:
        """A tile above the first level. (The first was compared with the entries.)"""
        if level == 0 or self._suspect:
            return
        stored = self.folder.tile(level, number)
        if stored == hashes:
            return
        place = next(n for n, (a, b) in enumerate(zip(stored, hashes)) if a != b)
        first = (number * WIDTH + place) << 8 * level
        last = first + (1 << 8 * level) - 1
        tile = tile_path(str(level), number, len(hashes))
        text = f"{tile} was changed: its hash of entries {first} to {last} is not theirs"
        self._suspect = Suspect(first, text, text, tile)

    def _meet(self, head: Head, root: bytes) -> None:
        """Hold a head to the root of as many entries. One from before what is suspect says nothing of it."""
        self.keys.check(head)
        suspect = self._suspect if self._suspect and self._suspect.number < head.size else None
        if head.root == root and suspect:
            raise Fault(suspect.changed_tile, suspect.number, suspect.tile)
        if head.root == root:
            self._vouched = head.size
            self.heads += 1
            return
        if suspect and self.folder.has_entries:
            raise Fault(suspect.changed_entry, suspect.number)
        raise Fault(self._rewritten(head), min(self._vouched, max(head.size - 1, 0)), head.file)

    def _rewritten(self, head: Head) -> str:
        newest = self.folder.newest
        if head.size == newest.size and head.root != newest.root:
            return (
                f"two different records of {head.size} entries were signed with this log's key: {head.file} "
                f"and {newest.file}. Both notes together are proof that the log was shown in two versions"
            )
        what = "entries" if self.folder.has_entries else "hashes"
        return (
            f"{head.file} was signed over {head.size} entries, and these are not those: of the {what} "
            f"{self._vouched} to {head.size - 1} at least one was changed, removed or put in later, and the "
            "tiles were computed anew"
        )


def verify_log(
    folder: Folder,
    trusted: list[Key],
    kept: Sequence[Head] = (),
    witnesses: Sequence[Key] = (),
    see: See | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Verify all of a folder; what was found. see: told of each entry once it and all before it fit.

    Raises Fault.
    """
    reading = Reading(folder, Keys(trusted, folder), kept, see)
    seen_by = cosigned(reading.due, witnesses)
    reading.run(progress)
    calls = reading.calls
    return {
        "origin": folder.newest.origin,
        "size": folder.size,
        "root": base64.b64encode(folder.newest.root).decode(),
        "entries": folder.has_entries,
        "decisions": calls.decisions,
        "outcomes": calls.outcomes,
        "administered": calls.administered,
        "unfinished": list(calls.open),
        "from": calls.first,
        "to": calls.last,
        "checkpoints": reading.heads,
        "keys": len(reading.keys.chain),
        "kept": [head.size for head in kept],
        "witnesses": _seen(seen_by),
        "beyond": folder.strays(),
    }


def extends(folder: Folder, old: Head, new: Head) -> None:
    """Raises Fault unless the entries of the larger checkpoint begin with those of the smaller."""
    if old.size > new.size:
        raise Fault(
            f"{new.file} is about {new.size} entries, {old.file} about {old.size}: the record became shorter",
            new.size,
            new.file,
        )
    if old.size == new.size and old.root != new.root:
        raise Fault(
            f"{old.file} and {new.file} are about {old.size} entries each, but other ones. Both are "
            "signed with this log's key: together they are proof that the log was shown in two versions",
            None,
            new.file,
        )
    if new.size > folder.size:
        raise Fault(f"the folder ends at {folder.size} entries, before {new.file}", folder.size, "checkpoint")
    proof = folder.consistency(old.size, new.size)
    if not consistency_holds(old.size, new.size, old.root, new.root, proof):
        raise Fault(
            f"the first {old.size} entries of {new.file} are not those of {old.file}, as far as the folder's "
            "tiles show: what was recorded by then was changed, or a tile was",
            None,
            new.file,
        )


# ---- A receipt -----------------------------------------------------------------------------------


class Receipt(NamedTuple):
    head: Head
    entries: list[dict[str, Any]]


def read_receipt(data: bytes, keys: Keys) -> Receipt:
    """Verify what GetReceipt answered. Raises Fault."""
    try:
        told = json.loads(data.decode())
        origin, line, note = told["Origin"], told["Key"], told["Checkpoint"].encode()
        listed = [(item["Number"], item["Body"].encode(), item["Proof"]) for item in told["Entries"]]
        shaped = all(type(number) is int and isinstance(proof, list) for number, _, proof in listed)
        shaped = shaped and all(isinstance(step, str) for _, _, proof in listed for step in proof)
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise Fault("the receipt is not a receipt: something in it is missing or not readable") from error
    if not shaped or not listed:
        raise Fault("the receipt is not a receipt: it holds no entry, or a number or proof is not one")
    head = read_head(note, "the receipt's checkpoint")
    keys.check(head)
    if origin != head.origin or line not in [key.line for key in keys.chain]:
        raise Fault("the receipt names another log or another key than the one that you gave")
    entries = []
    for number, body, steps in listed:
        proof = [_bytes(step, f"the proof of entry {number}") for step in steps]
        if not inclusion_holds(leaf_hash(body), number, head.size, proof, head.root):
            raise Fault(f"entry {number} is not in the record that was signed, or its proof is false", number)
        entries.append(entry_of(body, number))
    _belong(entries)
    return Receipt(head, entries)


def _belong(entries: list[dict[str, Any]]) -> None:
    decision, outcomes = entries[0], entries[1:]
    if decision["kind"] != "decision" or len(outcomes) > 1:
        raise Fault(f"entry {decision['seq']}: a receipt holds a decision and its outcome, nothing else")
    for outcome in outcomes:
        number = outcome["seq"]
        if outcome["kind"] != "outcome" or outcome.get("decision") != decision["seq"]:
            raise Fault(f"entry {number} is not the outcome of decision {decision['seq']}", number)


# ---- Counting a report again (docs/reports.md defines each figure) --------------------------------

_SEARCHED = ("searches", "searches_refused", "candidates", "reviewed", "wrong")
_TABLES = {
    "calls_by_operation": ("calls", "refused"),
    "failures_by_error": ("failed",),
    "refusals_by_rule": ("refused",),
    "searches_by_organisation": _SEARCHED,
    "searches_by_kind": _SEARCHED,
    "searches_by_place": _SEARCHED,
    "searches_by_requester": _SEARCHED,
    "searches_by_purpose": _SEARCHED,
    "searches_by_offence": _SEARCHED,
    "searches_by_authorisation": _SEARCHED,
    "searches_by_case": _SEARCHED,
    "searches_by_realtime": _SEARCHED,
    "searches_by_rule": _SEARCHED,
    "searches_by_collection": _SEARCHED,
    "searches_by_never_suspects": _SEARCHED,
    "faces_by_collection": ("faces",),
    "faces_by_never_suspects": ("faces",),
}
_TOTALS = (
    *("calls", "answered", "refused", "failed", "interrupted", "unfinished"),
    *("searches", "searches_refused", "searches_empty", "candidates", "listed"),
    *("reviewed", "confirmed", "wrong", "undecided", "faces"),
)
_MACHINE = ("failed", "interrupted", "unfinished")
_NEVER_SUSPECTS = "countenance:never-suspects"
_FACTS = ("key", "never_suspects", "share_wrong")  # of a row, beside its counts
_PRIME = 2**61 - 1

Rows = tuple[tuple[str, tuple[str, ...]], ...]  # of each table that counts a thing, the rows it is in
Cell = tuple[str, str, str]  # table, row and measure; those of the totals are ("", "", measure)


class Atom:
    """Things that the report tells apart by nothing: how many, and what entries prove of them."""

    def __init__(self, measures: Sequence[str]) -> None:
        self.count = 0
        self.proof: dict[str, set[int]] = {measure: set() for measure in measures}


class Searched:
    """A call of the period. people: each tag that it listed, with the last verdict and where that stands."""

    def __init__(self, rows: Rows, result: str, *, searches: bool) -> None:
        self.rows, self.result, self.searches = rows, result, searches
        self.ended: int | None = None
        self.lines = 0
        self.people: dict[str, tuple[str, int] | None] = {}


class Recount:
    """What the first `size` entries say of a period of days (2026-11-01), of one account or of all."""

    def __init__(self, size: int, first: str, last: str, account: str | None) -> None:
        self.size, self.first, self.last, self.account = size, first, last, account
        self.within: list[int] = []
        self.changes: dict[str, list[int]] = {}
        self.collections: dict[str, dict[str, Any]] = {}
        self._waiting: dict[int, dict[str, Any]] = {}
        self._calls: dict[int, Searched] = {}
        self._atoms: dict[tuple[frozenset[str], Rows], Atom] = {}

    def see(self, number: int, entry: dict[str, Any]) -> None:
        if number >= self.size:
            return
        try:
            if self._in_period(entry):
                self.within = [*self.within[:1], number]
            {"decision": self._decision, "outcome": self._outcome, "govern": self._govern}[entry["kind"]](
                number, entry
            )
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise Fault(f"entry {number} lacks what a report counts", number) from error

    def _in_period(self, entry: dict[str, Any]) -> bool:
        return self.first <= str(entry["time"])[:10] <= self.last

    def _ours(self, entry: dict[str, Any]) -> bool:
        return self.account is None or str(entry.get("account", self.account)) == self.account

    def _decision(self, number: int, entry: dict[str, Any]) -> None:
        self._waiting[number] = entry
        if not self._in_period(entry) or not self._ours(entry):
            return
        stage = entry.get("stage", "run")  # what is put off is a search where it is done, or was refused
        done = stage == "run" or (stage == "start" and not entry["allowed"])
        searches = done and ("identify" in entry["actions"] or "watch" in entry["actions"])
        rules = tuple(entry["rules"]) or ("none",)
        rows = {"calls_by_operation": (entry["operation"],), "refusals_by_rule": rules}
        if searches:
            rows |= {"searches_by_rule": rules, **self._sorted_under(entry)}
        result = "unfinished" if entry["allowed"] else "refused"
        self._calls[number] = Searched(tuple(rows.items()), result, searches=searches)

    def _sorted_under(self, entry: dict[str, Any]) -> dict[str, tuple[str, ...]]:
        asker = entry.get("requester")
        collection = self.collections.get(_named(entry), {})
        words = {
            "organisation": entry["account"],
            "kind": entry["organisation_kind"],
            "place": entry.get("called_from", entry["place"]),
            "requester": f"{asker[0]} {asker[1]}" if asker else "itself",
            "purpose": entry.get("purpose", "unstated"),
            "offence": entry.get("offence", "unstated"),
            "authorisation": "stated" if "authorisation" in entry else "unstated",
            "case": "stated" if "case" in entry else "unstated",
            "realtime": "true" if entry.get("realtime") else "false",
            "collection": _named(entry),
            "never_suspects": collection.get("never_suspects", "false"),
        }
        return {f"searches_by_{name}": (word,) for name, word in words.items()}

    def _outcome(self, number: int, entry: dict[str, Any]) -> None:
        decision = self._waiting.pop(entry["decision"])
        call = self._calls.get(entry["decision"])
        answered = entry["result"] == "answered"
        if call and decision["allowed"]:
            call.result, call.ended = entry["result"], number
            if entry["result"] == "failed":
                call.rows += (("failures_by_error", (entry.get("error", "unstated"),)),)
            if answered and call.searches:
                call.lines = entry.get("candidates", 0)
                call.people = dict.fromkeys(entry.get("subjects", ()))
        reviewed = self._calls.get(entry.get("review", -1))
        if answered and reviewed and entry.get("candidate") in reviewed.people:
            reviewed.people[entry["candidate"]] = entry["verdict"], number
        if answered and self._ours(decision):
            self._follow(number, entry, decision)

    def _govern(self, number: int, entry: dict[str, Any]) -> None:
        if self._ours(entry):
            if self._in_period(entry):
                self.changes.setdefault(entry["act"], []).append(number)
            self._follow(number, entry, entry)

    def _follow(self, number: int, entry: dict[str, Any], cause: dict[str, Any]) -> None:
        """What becomes of the collection that `cause` names, or of those that the entry removed from, up to
        the period's end."""
        if entry["time"][:10] > self.last:
            return
        for name, removed in entry.get("removed_from", ()):
            self._grow(f"{cause['account']}/{name}", -removed, number)
        if "removed_from" in entry or "collection" not in cause:
            return
        if cause.get("operation") == "DeleteCollection":
            self.collections.pop(_named(cause), None)
            return
        more = entry.get("enrolled", 0) - entry.get("removed", 0)
        said = [after for tag, _, after in cause.get("tags", ()) if tag == _NEVER_SUSPECTS][:1]
        word = said[0] if said else ""
        if more or word or cause.get("operation") == "CreateCollection":
            collection = self._grow(_named(cause), more, number)
            if word:
                collection["never_suspects"] = "true" if word == "true" else "false"

    def _grow(self, name: str, more: int, number: int) -> dict[str, Any]:
        fresh: dict[str, Any] = {"faces": 0, "never_suspects": "false", "proof": []}
        collection = self.collections.setdefault(name, fresh)
        collection["faces"] += more
        collection["proof"].append(number)
        return collection

    def _add(self, measures: dict[str, list[int]], rows: Rows, count: int = 1) -> None:
        atom = self._atoms.setdefault((frozenset(measures), rows), Atom(list(measures)))
        atom.count += count
        for measure, proof in measures.items():
            atom.proof[measure].update(proof if count else [])

    def _count(self) -> None:
        for number, call in self._calls.items():
            ended = number if call.ended is None else call.ended
            measures = {"calls": [number], call.result: [ended]}
            if call.searches:
                measures["searches"] = [number]
                if call.result == "refused":
                    measures["searches_refused"] = [number]
                if call.result == "answered" and not call.lines:
                    measures["searches_empty"] = [ended]
                self._add({"candidates": [ended]}, call.rows, call.lines)
            self._add(measures, call.rows)
            for verdict in call.people.values():
                said = {"reviewed": [verdict[1]], verdict[0]: [verdict[1]]} if verdict else {}
                self._add({"listed": [ended], **said}, call.rows)
        for name, collection in self.collections.items():
            rows = {"faces_by_collection": name, "faces_by_never_suspects": collection["never_suspects"]}
            kept = tuple((table, (row,)) for table, row in rows.items())
            self._add({"faces": collection["proof"]}, kept, collection["faces"])

    def report(self, least: int) -> dict[str, Any]:
        """The figures as the report's JSON has them; None for those that are not to be printed."""
        self._count()
        counts: dict[Cell, int] = {("", "", measure): 0 for measure in _TOTALS}
        proofs: dict[Cell, set[int]] = {cell: set() for cell in counts}
        atoms: dict[Cell, set[int]] = {cell: set() for cell in counts}
        for number, ((measures, rows), atom) in enumerate(self._atoms.items()):
            for cell in _cells(measures, rows):
                counts[cell] = counts.get(cell, 0) + atom.count
                proofs.setdefault(cell, set()).update(atom.proof[cell[2]])
                atoms.setdefault(cell, set()).update([number] if atom.count else [])
        shown = printable(counts, atoms, least)

        def figure(table: str, row: str, measure: str) -> dict[str, Any] | None:
            cell = (table, row, measure)
            if cell in counts and cell not in shown:
                return None
            return {"count": counts.get(cell, 0), "entries": ranges(sorted(proofs.get(cell, ())))}

        def line(table: str, row: str) -> dict[str, Any]:
            figures = {measure: figure(table, row, measure) for measure in _TABLES[table]}
            return {"key": row, **self._fact(table, row), **_shared(figures)}

        tables = {
            table: [line(table, row) for row in sorted({row for name, row, _ in counts if name == table})]
            for table in _TABLES
        }
        totals = {measure: figure("", "", measure) for measure in _TOTALS}
        first, last = (self.within[0], self.within[-1]) if self.within else (None, None)
        changes = sorted(self.changes.items())
        return {
            "size": self.size,
            "period": {"from": self.first, "to": self.last, "first": first, "last": last},
            "account": self.account,
            "least": least,
            "totals": totals,
            "share_wrong": _shared(totals)["share_wrong"],
            "tables": tables,
            "changes": [{"act": act, "count": len(who), "entries": ranges(who)} for act, who in changes],
        }

    def _fact(self, table: str, row: str) -> dict[str, str]:
        if table != "faces_by_collection":
            return {}
        return {"never_suspects": self.collections[row]["never_suspects"]}


def _named(entry: dict[str, Any]) -> str:
    return f"{entry['account']}/{entry['collection']}" if "collection" in entry else "unstated"


def _cells(measures: frozenset[str], rows: Rows) -> Iterator[Cell]:
    for measure in measures:
        yield "", "", measure
        for table, words in rows:
            if measure in _TABLES[table]:
                for word in dict.fromkeys(words):
                    yield table, word, measure


def _shared(figures: dict[str, Any]) -> dict[str, Any]:
    """With the share of wrong ones in percent, halves rounded up."""
    if "wrong" not in figures:
        return figures
    part, whole = figures["wrong"], figures["reviewed"]
    if not part or not whole or not whole["count"]:
        return {**figures, "share_wrong": None}
    tenths = (2000 * part["count"] + whole["count"]) // (2 * whole["count"])
    return {**figures, "share_wrong": f"{tenths // 10}.{tenths % 10}"}


def ranges(numbers: Sequence[int]) -> str:
    """Ascending numbers as 14-20,25."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def printable(counts: dict[Cell, int], atoms: dict[Cell, set[int]], least: int) -> set[Cell]:
    """The counts that give away none from 1 to `least` - 1, by adding and subtracting."""
    order = sorted(counts, key=lambda cell: (cell[2] not in _MACHINE, -counts[cell], cell))
    small = [cell for cell in order if 0 < counts[cell] < least and cell[2] not in _MACHINE]
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in small:
        groups.setdefault((cell[0], cell[2]), []).append(cell)
    together = [group for group in groups.values() if sum(counts[cell] for cell in group) < least]
    secrets = [_sum(atoms, group) for group in [*([cell] for cell in small), *together]]
    known: list[tuple[int, dict[int, int]]] = []  # each row is 1 at its pivot and 0 at the pivots before
    shown = set()
    for cell in order:
        left = _sum(atoms, [cell])
        for pivot, row in known:
            left = _less(left, row, left.get(pivot, 0))
        pivot = min(left, default=-1)
        row = {atom: value * pow(left[pivot], -1, _PRIME) % _PRIME for atom, value in left.items()}
        tells = row and any(secret and not _less(secret, row, secret.get(pivot, 0)) for secret in secrets)
        if cell[2] not in _MACHINE and (0 < counts[cell] < least or tells):
            continue
        shown.add(cell)
        if row:
            known.append((pivot, row))
            secrets = [_less(secret, row, secret.get(pivot, 0)) for secret in secrets]
    return shown


def _sum(atoms: dict[Cell, set[int]], cells: list[Cell]) -> dict[int, int]:
    total: dict[int, int] = {}
    for cell in cells:
        for atom in atoms[cell]:
            total[atom] = total.get(atom, 0) + 1
    return total


def _less(vector: dict[int, int], row: dict[int, int], times: int) -> dict[int, int]:
    """The vector less `times` the row, modulo a prime, without its zeros."""
    if not times:
        return vector
    left = dict(vector)
    for atom, value in row.items():
        left[atom] = (left.get(atom, 0) - times * value) % _PRIME
        if not left[atom]:
            del left[atom]
    return left


def read_report(data: bytes) -> dict[str, Any]:
    """A report's JSON, as far as recounting needs it. Raises Fault."""
    try:
        told: dict[str, Any] = json.loads(data.decode())
        period, heads, account = told["period"], told["heads"], told["account"]
        days = [period["from"], period["to"]]
        good = all(re.fullmatch(r"\d{4}-\d\d-\d\d", day) for day in days) and told["report"] == 1
        good = good and isinstance(told["log"], str) and (account is None or isinstance(account, str))
        good = good and type(told["size"]) is int and type(told["least"]) is int and told["least"] > 0
        good = good and isinstance(heads["closing"], str) and isinstance(heads["opening"], (str, type(None)))
        good = good and isinstance(told["totals"]["calls"], (dict, type(None)))
        good = good and all(isinstance(name, str) for name in told["witnesses"])
    except (ValueError, RecursionError, LookupError, TypeError) as error:
        raise Fault("the report is not one: something in it is missing or not readable") from error
    if not good:
        raise Fault("the report is not one that this file knows how to count again")
    return told


def differs(told: Any, counted: Any, path: str = "") -> str | None:
    """Where the report first says something else than the log, in words. None where it does not."""
    pairs: list[tuple[str, Any, Any]] = []
    if isinstance(counted, dict) and isinstance(told, dict) and told.keys() == counted.keys():
        pairs = [(name, told[name], counted[name]) for name in counted]
    elif isinstance(counted, list) and isinstance(told, list) and len(told) == len(counted):
        pairs = [(other.get("key", other.get("act")), one, other) for one, other in zip(told, counted)]
    elif type(told) is not type(counted) or told != counted:
        return f"{path or 'the report'}: the report says {_figure(told)}, the log {_figure(counted)}"
    found = (differs(one, other, f"{path}, {name}" if path else name) for name, one, other in pairs)
    return next(filter(None, found), None)


def _figure(value: Any) -> str:
    if value is None:
        return "that it is not printed"
    if isinstance(value, dict) and "count" in value:
        return f"{value['count']} (entries {value.get('entries', 'not named')})"
    return f"{len(value)} rows" if isinstance(value, list) else json.dumps(value)


def without_entries(counted: Any) -> Any:
    """The figures without the numbers of the entries that prove them, as a report may leave them out."""
    if isinstance(counted, list):
        return [without_entries(value) for value in counted]
    if isinstance(counted, dict):
        return {name: without_entries(value) for name, value in counted.items() if name != "entries"}
    return counted


# ---- Finding one's own, opening what was sealed --------------------------------------------------


def subject_tag(key: bytes, number: int) -> str:
    """How a record names its subject where decision `number` concerned him: only his key leads from one
    such name to the next."""
    digest = hmac.new(key, b"countenance/subject/%d" % number, hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest[:8]).decode().rstrip("=")


def commitment(key: bytes, name: str, value: str) -> str:
    return hmac.new(key, f"{name}\0{value}".encode(), hashlib.sha256).hexdigest()


class Mine:
    """The entries that concern one subject."""

    def __init__(self, key: bytes) -> None:
        self.found: list[dict[str, Any]] = []
        self._key = key
        self._open: dict[int, dict[str, Any]] = {}

    def see(self, number: int, entry: dict[str, Any]) -> None:
        kind = entry["kind"]
        if kind == "decision":
            self._open[number] = entry
            return
        decision = self._open.pop(entry["decision"], None) if kind == "outcome" else None
        about = entry["decision"] if kind == "outcome" else number
        subjects = entry.get("subjects")
        named = isinstance(subjects, list) and subject_tag(self._key, about) in subjects
        if named or ("candidate" in entry and entry["candidate"] == self._reviewed(entry)):
            self.found.append({"decision": decision, kind: entry})

    def _reviewed(self, entry: dict[str, Any]) -> str | None:
        review = entry.get("review")
        return subject_tag(self._key, review) if type(review) is int else None


# ---- The command line ----------------------------------------------------------------------------


def read_file(path: str | Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise Misuse(f"{path} cannot be read: {error.strerror}") from error


def _given_keys(path: str, kind: bytes = LOG_KEY) -> list[Key]:
    """The keys of a file, or of a line of one in its place. A wrong file is a mistake, and not a finding."""
    line = path.count("+") > 1 and not Path(path).exists()
    text = path if line else read_file(path).decode(errors="replace")
    try:
        return read_keys("\n".join(filter(None, map(str.strip, text.splitlines()))), path[:90], kind)
    except Fault as fault:
        raise Misuse(f"this is no such key: {fault}") from fault


def _given_head(path: str | None) -> Head | None:
    return read_head(read_file(path), path) if path else None


def _secret(text: str) -> bytes:
    if not re.fullmatch("[0-9a-fA-F]{64}", text):
        raise Misuse("a subject's or a record's key is 64 hexadecimal digits")
    return bytes.fromhex(text)


def _utc(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(min(seconds, 1 << 37)))


def _progress() -> Progress | None:
    if not sys.stderr.isatty():
        return None

    def tell(done: int, total: int) -> None:
        if done == total or done // WIDTH % 40 == 0:
            end = "\r" if done < total else "\r" + " " * 60 + "\r"
            print(f"{done:,} of {total:,} entries", end=end, file=sys.stderr, flush=True)

    return tell


def _log(options: argparse.Namespace) -> dict[str, Any]:
    folder = Folder(options.folder)
    witnesses = _given_keys(options.witness, WITNESS_KEY) if options.witness else []
    kept = [head for head in [_given_head(options.checkpoint)] if head]
    found = verify_log(folder, _given_keys(options.key), kept, witnesses, None, _progress())
    words = [f"Everything fits: {found['size']:,} entries of the log {found['origin']}."]
    if found["entries"]:
        words += [
            f"  {found['decisions']:,} decisions, {found['outcomes']:,} outcomes, {found['administered']:,} "
            f"changes in who may call and by which rules; from {found['from']} to {found['to']}.",
            f"  {len(found['unfinished']):,} decisions have no outcome yet" + _some(found["unfinished"]),
        ]
    else:
        words.append("  The entries themselves are not in this folder: only their hashes were verified.")
    words.append(f"  {found['checkpoints']:,} signed checkpoints fit, under {found['keys']} key(s).")
    for size in found["kept"]:
        words.append(f"  It begins with the {size:,} entries of the checkpoint that you kept.")
    if found["beyond"]:
        words.append(f"  {found['beyond']} files go beyond the newest checkpoint and were not looked at.")
    return {**found, "words": words + _view(found["witnesses"], found["size"])}


def _some(numbers: list[int]) -> str:
    listed = ", ".join(map(str, numbers[:10])) + (", ..." if len(numbers) > 10 else "")
    return f": {listed}." if numbers else "."


def _seen(witnesses: Sequence[Cosigned]) -> list[dict[str, Any]]:
    return [{"name": name, "size": size, "time": _utc(when)} for name, size, when in witnesses]


def _view(witnesses: list[dict[str, Any]], size: int) -> list[str]:
    words = []
    for seen in witnesses:
        later = f"; the {size - seen['size']:,} later ones it has not" if seen["size"] < size else ""
        words.append(
            f"  {seen['name']} saw the first {seen['size']:,} entries too, at {seen['time']}{later}."
        )
    if witnesses:
        return words
    return [
        "  A split view is not excluded: no witness's cosignature was verified, so others may have been",
        "  shown another record. Compare checkpoints with them, or give a witness's key with --witness.",
    ]


def _receipt(options: argparse.Namespace) -> dict[str, Any]:
    folder = Folder(options.log) if options.log else None
    keys, kept = Keys(_given_keys(options.key), folder), _given_head(options.checkpoint)
    receipt = read_receipt(read_file(options.receipt), keys)
    head = receipt.head
    words = [f"The receipt is good: these entries are in the signed record of {head.origin}."]
    words += [f"  Entry {entry['seq']} of {head.size:,}: {in_words(entry)}" for entry in receipt.entries]
    others = [kept] if kept else []
    if folder is not None:
        others.append(folder.newest)
    elif kept is not None and kept.size != head.size:
        raise Misuse("to compare a receipt with a checkpoint of another size, give the log with --log")
    for other in others:
        keys.check(other)
        if folder is not None:
            extends(folder, *sorted((head, other), key=lambda one: one.size))
        elif other.root != head.root:
            raise Fault(f"{other.file} is about other entries than the receipt: two versions were signed")
        words.append(f"  It is one record with that of {other.file} ({other.size:,} entries).")
    numbers = [entry["seq"] for entry in receipt.entries]
    return {"origin": head.origin, "size": head.size, "numbers": numbers, "words": words}


def _consistency(options: argparse.Namespace) -> dict[str, Any]:
    folder = Folder(options.log)
    keys = Keys(_given_keys(options.key), folder)
    old, new = read_head(read_file(options.old), options.old), read_head(read_file(options.new), options.new)
    keys.check(old)
    keys.check(new)
    extends(folder, old, new)
    words = [
        f"The two checkpoints fit: the record of {new.size:,} entries begins with the older {old.size:,}.",
        "  Nothing that was recorded by then was changed or removed until the newer one.",
    ]
    return {"origin": old.origin, "old": old.size, "new": new.size, "words": words}


def _mine(options: argparse.Namespace) -> dict[str, Any]:
    mine = Mine(_secret(options.subject))
    found = verify_log(Folder(options.folder), _given_keys(options.key), (), (), mine.see, _progress())
    if not found["entries"]:
        raise Misuse("the folder holds no entries, only hashes")
    words = [
        f"The log fits ({found['size']:,} entries). {len(mine.found)} of its calls concern this subject."
    ]
    for one in mine.found:
        words += [f"  Entry {entry['seq']}: {in_words(entry)}" for entry in one.values() if entry]
    return {"origin": found["origin"], "size": found["size"], "found": mine.found, "words": words}


def _report(options: argparse.Namespace) -> dict[str, Any]:
    told = read_report(read_file(options.report))
    period, heads = told["period"], told["heads"]
    recount = Recount(told["size"], period["from"], period["to"], told["account"])
    closing = read_head(heads["closing"].encode(), "the report's closing checkpoint")
    kept = [closing]
    if heads["opening"] is not None:
        kept.append(read_head(heads["opening"].encode(), "the report's opening checkpoint"))
    given = _given_keys(options.witness, WITNESS_KEY) if options.witness else []
    seen_by = cosigned([closing], [key for key in given if key.name in told["witnesses"]])
    folder, keys = Folder(options.log), _given_keys(options.key)
    found = verify_log(folder, keys, kept, (), recount.see, _progress())
    if not found["entries"]:
        raise Misuse("the folder holds no entries, only hashes: nothing can be counted")
    counted = recount.report(told["least"])
    first = counted["period"]["first"]
    if (closing.origin, closing.size) != (told["log"], told["size"]):
        raise Fault("the report's closing checkpoint is of another log or size than the report")
    if len(kept) > 1 and (first is None or kept[1].size > first):
        raise Fault("the report's opening checkpoint covers some of the period already")
    if not (told["totals"]["calls"] and "entries" in told["totals"]["calls"]):
        counted = without_entries(counted)
    where = differs({name: told.get(name) for name in counted}, counted)
    if where:
        raise Fault(where)
    return _recounted(told, counted, _seen(seen_by))


def _recounted(told: dict[str, Any], counted: dict[str, Any], seen: list[dict[str, Any]]) -> dict[str, Any]:
    cells = [cell for table in counted["tables"].values() for row in table for cell in row.items()]
    figures = [cell for name, cell in [*counted["totals"].items(), *cells] if name not in _FACTS]
    words = [
        f"The report is what the log {told['log']} comes to.",
        f"  {len(figures):,} figures were counted again from its first {counted['size']:,} entries, and all",
        f"  are the same; {figures.count(None):,} are not printed, as the rule for small ones has it.",
    ]
    named = {each["name"] for each in seen}
    words += [
        f"  It names the witness {name}, whose key you did not give."
        for name in told["witnesses"]
        if name not in named
    ]
    return {
        "origin": told["log"],
        "size": counted["size"],
        "figures": len(figures),
        "withheld": figures.count(None),
        "witnesses": seen,
        "words": words + _view(seen, counted["size"]),
    }


def _open(options: argparse.Namespace) -> dict[str, Any]:
    key, given = _secret(options.record_key), dict[str, list[str]]()
    for pair in options.value:
        name, equals, value = pair.partition("=")
        if not equals:
            raise Misuse(f"{pair} is not NAME=VALUE")
        given.setdefault(name, []).append(value)
    try:
        entry = json.loads(read_file(options.file))
        entry = json.loads(entry["Entries"][0]["Body"]) if "Entries" in entry else entry
        seals = {name: entry.get(name) for name in given}
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError) as error:
        raise Fault(f"{options.file} is neither a receipt nor an entry") from error
    for name, values in given.items():
        if seals[name] != commitment(key, name, "\n".join(sorted(values))):
            raise Fault(f"the entry's {name} is not {', '.join(values)}, or the key is another record's")
    words = [f"The entry was written about {name} {', '.join(values)}." for name, values in given.items()]
    return {"opened": given, "words": words}


def in_words(entry: dict[str, Any]) -> str:
    """One line about an entry, of what its members say."""
    when, kind = entry.get("time"), entry["kind"]
    if kind == "govern":
        told = [str(entry.get("act")), *_members(entry, "account", "collection", "rule", "removed")]
        return f"{when} {', '.join(told)}"
    if kind == "outcome":
        told = [str(entry.get("result")), *_members(entry, "error", "candidates", "top", "verdict")]
        return f"{when} outcome of decision {entry.get('decision')}: {', '.join(told)}"
    said = _members(entry, "purpose", "offence", "place", "collection")
    rules = ", ".join(map(str, entry["rules"])) if isinstance(entry.get("rules"), list) else ""
    verdict = ("allowed by " if entry.get("allowed") else "refused by ") + (rules or "no rule")
    return (
        f"{when} {entry.get('operation')} by {entry.get('organisation_kind')} {entry.get('account')}"
        f" ({', '.join(said)}), {verdict}"
    )


def _members(entry: dict[str, Any], *names: str) -> list[str]:
    return [f"{name} {entry[name]}" for name in names if name in entry]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="countenance_verify.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    told: dict[str, Any] = {"action": "store_true", "help": "one JSON object instead of words"}

    log = commands.add_parser("log", help="verify all of an exported log")
    log.add_argument("folder")
    log.add_argument("--checkpoint", help="one that was kept outside: the log must begin with its entries")
    log.add_argument("--witness", help="verifier keys, one a line: each must have cosigned some head")
    receipt = commands.add_parser("receipt", help="verify the receipt of a call")
    receipt.add_argument("receipt")
    receipt.add_argument("--log", help="an exported log that the receipt must belong to")
    receipt.add_argument("--checkpoint", help="one that was kept outside, which it must fit")
    consistency = commands.add_parser("consistency", help="verify that one checkpoint continues another")
    consistency.add_argument("old")
    consistency.add_argument("new")
    consistency.add_argument("--log", required=True, help="the exported log")
    mine = commands.add_parser("mine", help="find the entries that concern the holder of a subject's key")
    mine.add_argument("folder")
    mine.add_argument("--subject", required=True, help="the subject's key, 64 hexadecimal digits")
    report = commands.add_parser("report", help="count a report again")
    report.add_argument("report", help="as countenance report --format json writes it")
    report.add_argument("--log", required=True, help="the exported log")
    report.add_argument("--witness", help="verifier keys of the witnesses that the report names")
    for command in (log, receipt, consistency, mine, report):
        command.add_argument("--key", required=True, help="the log's public key, as you got it")
        command.add_argument("--json", **told)
    opened = commands.add_parser("open", help="compare what an entry seals, a case number say")
    opened.add_argument("file", help="a receipt, or an entry")
    opened.add_argument("value", nargs="+", help="case=..., authorisation=..., evidence=..., reviewers=...")
    opened.add_argument("--record-key", required=True, help="the record's key, 64 hexadecimal digits")
    opened.add_argument("--json", **told)
    return parser


_COMMANDS = {
    "log": _log,
    "receipt": _receipt,
    "consistency": _consistency,
    "mine": _mine,
    "report": _report,
    "open": _open,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line asks; the exit status."""
    options = _parser().parse_args(arguments)
    try:
        found = _COMMANDS[options.command](options)
    except Fault as fault:
        told = {"good": False, "fault": str(fault), "entry": fault.entry, "file": fault.file}
        print(json.dumps(told) if options.json else _printable(f"DOES NOT FIT: {fault}"))
        return 1
    except Misuse as misuse:
        print(f"countenance_verify.py: {misuse}", file=sys.stderr)
        return 2
    words = found.pop("words")
    print(json.dumps({"good": True, **found}) if options.json else "\n".join(map(_printable, words)))
    return 0


def _printable(line: str) -> str:
    """A line that cannot steer the terminal, whatever an entry holds, and that any terminal can show."""
    plain = "".join(character if character.isprintable() else "?" for character in line)
    encoding = sys.stdout.encoding or "ascii"
    return plain.encode(encoding, "backslashreplace").decode(encoding)


if __name__ == "__main__":
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # piped into `head`, it ends as other programs do
    gc.disable()  # nothing here refers to itself, and looking for what does takes a quarter of the time
    sys.exit(main())
