"""A head on its way to a witness and back: C2SP tlog-witness, both what is sent and who sends it.

    POST <the witness's prefix>/add-checkpoint

    old 20852014                                        how many entries the witness knows of
    PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=         that the head begins with those: a consistency proof
    ...

    countenance.example/4f2a                            the head
    ...

The answer is 200 and the witness's signature lines, or 409 and how many entries the witness does know of.
"""

from __future__ import annotations

import base64
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.client import HTTPException

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from countenance.errors import LedgerError
from countenance.ledger import checkpoint

SIZE_TYPE = "text/x.tlog.size"
"""What a 409 is when its body is the size that the witness knows."""

LONGEST = checkpoint.LONGEST_NOTE + 64 * 46
"""Bytes of a submission: a note, 63 hashes and the size."""

PATIENCE = 20.0
"""Seconds a witness has to answer."""

_SIZE = re.compile(r"(0|[1-9][0-9]{0,17})\n?")
_OLD = re.compile(r"old (0|[1-9][0-9]{0,17})")

Prove = Callable[[int], Sequence[bytes]]
"""The proof that a head begins with its first so many entries."""


@dataclass(frozen=True, slots=True)
class Submission:
    """What is sent: the size that the witness knows, the proof from there (32 bytes each), the head."""

    old: int
    proof: tuple[bytes, ...]
    note: str

    def written(self) -> str:
        lines = [f"old {self.old}", *(base64.b64encode(each).decode() for each in self.proof)]
        return "\n".join([*lines, "", self.note])

    @classmethod
    def read(cls, text: str) -> Submission:
        """Raises LedgerError for what `written` did not write."""
        top, gap, note = text.partition("\n\n")
        first, *lines = top.split("\n")
        found = _OLD.fullmatch(first)
        if not gap or not found or len(lines) > 63:
            raise LedgerError('a submission is "old" and a size, up to 63 hashes, an empty line, and a note')
        proof = tuple(checkpoint.decode(line) for line in lines)
        if any(len(each) != 32 for each in proof):
            raise LedgerError("a hash of the proof is not 32 bytes")
        return cls(int(found[1]), proof, note)


@dataclass(frozen=True, slots=True)
class Witness:
    """Somebody outside who signs our heads. url: the prefix of its protocol, empty where it comes to us."""

    name: str
    key: Ed25519PublicKey
    url: str

    @classmethod
    def read(cls, line: str) -> Witness:
        """A witness as a line "URL verifier-key", or its verifier key alone. Raises LedgerError."""
        *url, key = line.split() or [""]
        if len(url) > 1 or any(not each.startswith(("http://", "https://")) for each in url):
            raise LedgerError(f'a witness is written as "https://... verifier-key", not {line!r}')
        return cls(*checkpoint.read_witness_key(key), url[0].rstrip("/") if url else "")

    def submit(self, note: str, known: int, prove: Prove) -> str:
        """The note with this witness's signature under it.

        known: how many entries the witness should know of. Raises LedgerError where it does not answer, does
        not sign, or knows of more entries than there are.
        """
        size = checkpoint.peek(note).size
        for _ in range(3):  # its own answer says what it knows; somebody else may submit between
            known = min(known, size)
            status, kind, body = self._post(Submission(known, tuple(prove(known)), note).written())
            if status == 200:
                if (signed := self.add_to(note, note + body)) is None:
                    raise LedgerError(f"the witness {self.name} answered with somebody else's signature")
                return signed
            if status != 409 or not kind.startswith(SIZE_TYPE) or not _SIZE.fullmatch(body):
                break
            known = int(body)
            if known > size:
                raise LedgerError(
                    f"the witness {self.name} signed {known} entries of this log before, and now there are "
                    f"{size}: the home was put back, or is used twice"
                )
        raise LedgerError(f"the witness {self.name} does not sign: {status} {body.strip()[:300]}")

    def add_to(self, note: str, signed: str) -> str | None:
        """The note with what this witness signed of it; None where it did not. Raises LedgerError.

        signed: the same head with signatures of anybody's. Others' are left out.
        """
        found = checkpoint.cosignature(signed, self.name, self.key)
        return found and checkpoint.joined(note, f"{checkpoint.text_of(signed)}\n{found[1]}")

    def _post(self, body: str) -> tuple[int, str, str]:
        """Status, content type and body of its answer."""
        request = urllib.request.Request(  # noqa: S310 - the operator wrote the URL, and `read` looked at it
            f"{self.url}/add-checkpoint", body.encode(), {"Content-Type": "text/plain; charset=utf-8"}
        )
        try:
            status, kind, content = fetched(request, LONGEST)
        except OSError as fault:
            raise LedgerError(f"the witness {self.name} does not answer at {self.url}: {fault}") from fault
        return status, kind, _text(content)


def fetched(request: urllib.request.Request | str, most: int) -> tuple[int, str, bytes]:
    """Status, content type and body, up to so many bytes, of what an http(s) server of somebody else answers.

    Raises OSError whatever else it sends, also where its body is not there in time.
    """
    deadline = time.monotonic() + PATIENCE
    try:
        try:
            answer = urllib.request.urlopen(request, timeout=PATIENCE)  # noqa: S310 - callers looked at it
        except urllib.error.HTTPError as refusal:
            answer = refusal
        with answer:
            content = b""
            while len(content) < most and (part := answer.read1(most - len(content))):
                content += part
                if time.monotonic() > deadline:
                    raise TimeoutError(f"its answer takes longer than {PATIENCE:.0f} seconds")
            return answer.status, answer.headers.get("Content-Type", ""), content
    except (ValueError, HTTPException) as fault:
        raise OSError(f"what it sends is no HTTP ({fault})") from fault


def _text(content: bytes) -> str:
    return content.decode("utf-8", "replace")
