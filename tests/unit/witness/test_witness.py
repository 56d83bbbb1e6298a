"""What a witness signs and what it does not, by the rules of C2SP tlog-witness and beyond them."""

from __future__ import annotations

import base64
import itertools
import os
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from countenance.errors import HomeError, LedgerError
from countenance.ledger import checkpoint
from countenance.ledger.checkpoint import Checkpoint
from countenance.ledger.merkle import verify_consistency
from countenance.ledger.submission import SIZE_TYPE, Submission
from countenance.witness import Answer, Witness, evidence, found
from tests.unit.witness.logs import ORIGIN, FakeLog, publish

NAME = "witness.example/w1"
NOW = 1_800_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "witness"


@pytest.fixture
def log() -> FakeLog:
    return FakeLog(40)


@pytest.fixture
def witness(folder: Path, log: FakeLog) -> Witness:
    found(folder, NAME)
    witness = Witness(folder, lambda: NOW)
    witness.trust(log.public)
    return witness


def signed(witness: Witness, note: str, answer: Answer) -> int | None:
    """When the witness signed a head, if the answer says so."""
    name, key = checkpoint.read_witness_key(witness.line)
    return checkpoint.cosigned(note + answer.body, name, key)


def pieces(folder: Path) -> list[Path]:
    return sorted(folder.glob("logs/*/evidence/*"))


def test_the_first_head_of_a_log_is_signed_and_so_is_what_extends_it(witness: Witness, log: FakeLog) -> None:
    for old, size in ((0, 7), (7, 8), (8, 8), (8, 40)):
        answer = witness.add_checkpoint(log.submission(old, size))
        assert answer.status == 200, answer
        assert answer.body.startswith(f"\N{EM DASH} {NAME} ")
        assert answer.body.count("\n") == 1
        assert signed(witness, log.head(size), answer) == NOW
    [known] = witness.known()
    assert (known.log.origin, known.size, known.signed, known.evidence) == (ORIGIN, 40, NOW, ())


def test_an_empty_log_is_a_log(witness: Witness, log: FakeLog) -> None:
    assert witness.add_checkpoint(log.submission(0, 0)).status == 200
    assert witness.add_checkpoint(log.submission(0, 5)).status == 200


def test_every_size_from_every_size(tmp_path: Path) -> None:
    log = FakeLog(9)
    for old in range(10):
        for size in range(old, 10):
            one = found(tmp_path / f"{old}-{size}", NAME)
            one.trust(log.public)
            one.add_checkpoint(log.submission(0, old))
            assert one.add_checkpoint(log.submission(old, size)).status == 200


def test_a_client_that_does_not_know_is_told_the_size(witness: Witness, log: FakeLog, folder: Path) -> None:
    witness.add_checkpoint(log.submission(0, 20))
    for old, size in ((0, 30), (19, 30), (21, 30), (0, 20)):
        answer = witness.add_checkpoint(log.submission(old, size))
        assert answer == Answer(409, "20\n", SIZE_TYPE)
    assert pieces(folder) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "old 1",
        "old 0\n\n",
        "old 0\n\nno checkpoint\n\n",
        "old 00\n\n{head}",
        "old -1\n\n{head}",
        "old +1\n\n{head}",
        "old 0 \n\n{head}",
        "new 0\n\n{head}",
        "old 0\nAAAA\n\n{head}",
        "old 0\n!\n\n{head}",
        "old 0\n" + "A" * 43 + "=\n" * 64 + "\n\n{head}",
        "old 99999999999999999999\n\n{head}",
        "old 0\r\n\r\n{head}",
        "old 41\n\n{head}",
    ],
)
def test_what_is_no_submission_is_said_to_be_none(witness: Witness, log: FakeLog, text: str) -> None:
    assert witness.add_checkpoint(text.format(head=log.head(40))).status == 400
    assert witness.known()[0].signed is None


def test_63_hashes_are_a_submission_and_64_are_none() -> None:
    note = FakeLog(1).head(1)
    Submission.read(Submission(0, (bytes(32),) * 63, note).written())
    with pytest.raises(LedgerError, match="63"):
        Submission.read(Submission(0, (bytes(32),) * 64, note).written())


def test_an_unknown_log_is_not_signed(witness: Witness) -> None:
    other = FakeLog(3, origin="countenance.example/other")
    assert witness.add_checkpoint(other.submission(0, 3)).status == 404


def test_a_known_name_with_another_key_is_not_signed(witness: Witness, folder: Path) -> None:
    impostor = FakeLog(3, key=Ed25519PrivateKey.generate())
    assert witness.add_checkpoint(impostor.submission(0, 3)).status == 403
    assert pieces(folder) == []


def test_signatures_of_strangers_are_ignored(witness: Witness, log: FakeLog) -> None:
    stranger = checkpoint.cosign(log.head(5), "stranger.example", Ed25519PrivateKey.generate(), 1)
    sent = Submission(0, (), log.head(5) + stranger).written()
    assert witness.add_checkpoint(sent).status == 200


def test_a_wrong_proof_is_not_signed_and_proves_nothing(witness: Witness, log: FakeLog, folder: Path) -> None:
    witness.add_checkpoint(log.submission(0, 20))
    proof = log.tree.consistency(20, 30)
    for wrong in ((), proof[:-1], [*proof, bytes(32)], [bytes(32), *proof[1:]], proof[::-1]):
        sent = Submission(20, tuple(wrong), log.head(30)).written()
        assert witness.add_checkpoint(sent).status == 422
    [place] = pieces(folder)
    assert place.name.startswith("unproven-30-")
    assert "That alone proves nothing" in (place / "README.txt").read_text()
    assert witness.known()[0].size == 20
    assert witness.add_checkpoint(log.submission(20, 30)).status == 200


def test_a_proof_where_none_is_due_is_wrong(witness: Witness, log: FakeLog, folder: Path) -> None:
    assert witness.add_checkpoint(Submission(0, (bytes(32),), log.head(5)).written()).status == 422
    assert pieces(folder) == []


def test_two_heads_of_one_size_are_a_split_view_and_proof_of_it(
    witness: Witness, log: FakeLog, folder: Path
) -> None:
    other = FakeLog(40, changed=(11,))
    witness.add_checkpoint(log.submission(0, 20))
    for old in (20, 0):  # whatever the client says it knows
        assert witness.add_checkpoint(Submission(old, (), other.head(20)).written()).status == 409
    [place] = pieces(folder)
    assert place.name.startswith("split-20-")
    heads = []
    for name in ("signed", "refused"):
        note = (place / name).read_text()
        heads.append(checkpoint.verify(note, ORIGIN, log.key.public_key()))  # anybody can do that
    assert heads[0].size == heads[1].size
    assert heads[0].root != heads[1].root
    assert "show\ndifferent people different records" in (place / "README.txt").read_text()
    assert NAME in (place / "README.txt").read_text()
    assert witness.known()[0].size == 20
    assert witness.known()[0].evidence == (place,)


def test_a_fork_is_never_signed(witness: Witness, log: FakeLog) -> None:
    """Whatever proof its operator makes up from either tree."""
    fork = FakeLog(40, changed=(11,))
    witness.add_checkpoint(log.submission(0, 20))
    for size in range(20, 41):
        for proof in (fork.tree.consistency(20, size), log.tree.consistency(20, size), ()):
            answer = witness.add_checkpoint(Submission(20, tuple(proof), fork.head(size)).written())
            assert answer.status in {409, 422}
    assert witness.add_checkpoint(log.submission(20, 40)).status == 200


def test_a_fork_beyond_what_was_signed_is_somebody_else_s_to_see(witness: Witness, log: FakeLog) -> None:
    """A witness vouches for what it has seen, and it has not seen entry 30."""
    witness.add_checkpoint(log.submission(0, 20))
    assert witness.add_checkpoint(FakeLog(40, changed=(30,)).submission(20, 40)).status == 200


def test_an_older_head_is_refused_and_kept(witness: Witness, log: FakeLog, folder: Path) -> None:
    witness.add_checkpoint(log.submission(0, 20))
    for old in (0, 5, 10):
        answer = witness.add_checkpoint(log.submission(old, 10))
        assert answer == Answer(409, "20\n", SIZE_TYPE)
    [place] = pieces(folder)
    assert place.name.startswith("smaller-10-")
    assert "old heads are no secret" in (place / "README.txt").read_text()
    assert witness.known()[0].size == 20


def test_what_anybody_can_send_does_not_fill_the_disk(
    witness: Witness, log: FakeLog, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "MOST_HEARSAY", 5)
    witness.add_checkpoint(log.submission(0, 40))
    for size in range(20):
        witness.add_checkpoint(log.submission(0, size))
    assert len(pieces(folder)) == 5
    split = FakeLog(40, changed=(3,)).head(40)
    witness.add_checkpoint(Submission(40, (), split).written())
    assert len(pieces(folder)) == 6  # a proof is always kept


def test_a_replay_signs_nothing_new(witness: Witness, log: FakeLog) -> None:
    sent = log.submission(0, 20)
    assert witness.add_checkpoint(sent).status == 200
    assert witness.add_checkpoint(sent).status == 409
    again = witness.add_checkpoint(log.submission(20, 20))  # the same head, and now is as good as then
    assert signed(witness, log.head(20), again) == NOW


def test_what_was_signed_is_on_the_disk_before_the_signature_leaves(
    witness: Witness, log: FakeLog, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the machine stops: what may have been signed is known after, and no fork is signed."""
    for stop in range(1, 4):
        witness.add_checkpoint(log.submission(witness.known()[0].size, 20 + stop))
        left = stop

        def falter(name: str, real: Callable[..., object]) -> Callable[..., object]:
            def call(*given: object) -> object:
                nonlocal left
                left -= 1
                if left == 0:
                    raise OSError(f"the machine stopped at {name}")
                return real(*given)

            return call

        with monkeypatch.context() as broken:
            broken.setattr(os, "fsync", falter("fsync", os.fsync))
            broken.setattr(Path, "replace", falter("replace", Path.replace))
            with pytest.raises(OSError, match="the machine stopped"):
                witness.add_checkpoint(log.submission(20 + stop, 30 + stop))
        revived = Witness(folder, lambda: NOW)
        size = revived.known()[0].size
        assert size in {20 + stop, 30 + stop}
        fork = FakeLog(40, changed=(11,))
        for claim in (20 + stop, 30 + stop):
            assert revived.add_checkpoint(fork.submission(claim, 40)).status in {409, 422}


def test_a_head_that_was_signed_but_never_answered_is_signed_again(witness: Witness, log: FakeLog) -> None:
    """The log never got the answer to 0 -> 20; it asks again from 0 and is told, and asks again."""
    witness.add_checkpoint(log.submission(0, 20))
    answer = witness.add_checkpoint(log.submission(0, 25))
    assert (answer.status, answer.body) == (409, "20\n")
    assert witness.add_checkpoint(log.submission(int(answer.body), 25)).status == 200


def test_what_was_signed_cannot_be_made_forgotten_by_a_broken_file(
    witness: Witness, log: FakeLog, folder: Path
) -> None:
    witness.add_checkpoint(log.submission(0, 20))
    [path] = folder.glob("logs/*/checkpoint")
    kept = path.read_bytes()
    for broken in (b"", kept[:-10], kept.replace(b"\n20\n", b"\n19\n"), log.head(10).encode(), b"\xff"):
        path.write_bytes(broken)
        with pytest.raises(LedgerError):
            witness.add_checkpoint(log.submission(0, 20))
    path.write_bytes(kept)
    assert witness.add_checkpoint(log.submission(20, 21)).status == 200


def test_many_at_once_never_roll_a_log_back(witness: Witness, log: FakeLog, folder: Path) -> None:
    """The race that the specification warns of: while one size is checked, a larger one is signed."""
    others = [Witness(folder, lambda: NOW) for _ in range(4)]  # as processes of their own would
    sizes = []
    ready = threading.Barrier(4)

    def push(which: int) -> None:
        ready.wait()
        for size in range(which, 41, 4):
            known = 0
            while True:
                answer = others[which].add_checkpoint(log.submission(known, size))
                if answer.status == 200:
                    sizes.append(size)
                    break
                assert answer.status == 409
                known = int(answer.body)
                if known > size:
                    break

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(push, range(4)))
    assert witness.known()[0].size == 40
    assert sizes[-1] <= 40


def test_a_new_key_of_a_log_is_believed_once_it_is_trusted(witness: Witness, log: FakeLog) -> None:
    witness.add_checkpoint(log.submission(0, 20))
    successor = FakeLog(40, key=Ed25519PrivateKey.generate())
    handover = checkpoint.joined(log.head(25), successor.head(25))
    sent = Submission(20, tuple(log.tree.consistency(20, 25)), handover).written()
    assert witness.add_checkpoint(sent).status == 200  # the old key's word
    assert witness.add_checkpoint(successor.submission(25, 30)).status == 403
    assert len(witness.trust(log.public + successor.public).keys) == 2
    assert len(witness.trust(log.public).keys) == 2
    assert witness.add_checkpoint(successor.submission(25, 30)).status == 200
    assert len(witness.known()) == 1


@pytest.mark.parametrize("lines", ["", "\n", "nonsense", "{public}{other}"])
def test_what_is_no_public_file_is_not_trusted(witness: Witness, log: FakeLog, lines: str) -> None:
    other = FakeLog(0, origin="countenance.example/other")
    with pytest.raises(LedgerError):
        witness.trust(lines.format(public=log.public, other=other.public))
    assert len(witness.known()) == 1


def test_several_logs_are_kept_apart(witness: Witness, log: FakeLog) -> None:
    other = FakeLog(9, changed=(1,), origin="countenance.example/other")
    witness.trust(other.public)
    assert witness.add_checkpoint(log.submission(0, 9)).status == 200
    assert witness.add_checkpoint(other.submission(0, 9)).status == 200
    assert sorted((known.log.origin, known.size) for known in witness.known()) == [
        (ORIGIN, 9),
        ("countenance.example/other", 9),
    ]


def test_a_witness_is_made_once_and_under_a_name_that_notes_carry(folder: Path) -> None:
    with pytest.raises(HomeError, match="holds no witness"):
        Witness(folder)
    for name in ("", "a name", "a+b", "a\nb"):
        with pytest.raises(HomeError):
            found(folder, name)
    made = found(folder, NAME)
    assert re.fullmatch(r"witness\.example/w1\+[0-9a-f]{8}\+B[A-Za-z0-9+/=]+", made.line)
    assert (folder / "witness.key").stat().st_mode & 0o077 == 0
    with pytest.raises(HomeError, match="already"):
        found(folder, NAME)
    (folder / "witness.key").write_bytes(bytes(32))
    with pytest.raises(HomeError, match="is not the key of"):
        Witness(folder)


def test_the_proof_in_the_evidence_is_a_proof(
    witness: Witness, log: FakeLog, folder: Path, tmp_path: Path
) -> None:
    """A fork that is published: whoever has the evidence checks it without us."""
    out = tmp_path / "out"
    publish(log, 20, out)
    witness.follow(str(out))
    fork = FakeLog(40, changed=(11,))
    publish(fork, 33, tmp_path / "fork")
    with pytest.raises(LedgerError, match="contradicts the one of size 20"):
        witness.follow(str(tmp_path / "fork"))
    [place] = pieces(folder)
    assert place.name.startswith("fork-33-")
    before, after = (
        checkpoint.verify((place / name).read_text(), ORIGIN, log.key.public_key())
        for name in ("signed", "refused")
    )
    told = (place / "README.txt").read_text()
    instead = base64.b64decode(re.findall(r"^    (\S+)$", told, re.MULTILINE)[0])
    proof = [base64.b64decode(line) for line in (place / "proof").read_text().splitlines()]
    assert verify_consistency(before.size, after.size, instead, after.root, proof)
    assert instead != before.root
    assert before == Checkpoint(ORIGIN, 20, log.tree.root(20))


# Whatever is sent, in whatever order


BRANCHES = [FakeLog(24, changed=changed) for changed in ((), (5,), (5, 11), (17,), (23,))]
"""Records that one key signed: each is the same as the first up to where it was changed."""


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 24), st.integers(0, 24)), max_size=25
    )
)
def test_all_that_a_witness_ever_signed_is_one_record(
    tmp_path_factory: pytest.TempPathFactory, sent: list[tuple[int, int, int, int]]
) -> None:
    """Heads of five records, with proofs of any of them, and the honest next step of each."""
    witness = found(tmp_path_factory.mktemp("witness") / "w", NAME)
    witness.trust(BRANCHES[0].public)
    heads: list[tuple[FakeLog, int]] = []
    for branch, other, one, two in sent:
        log, old, size = BRANCHES[branch], min(one, two), max(one, two)
        proof = BRANCHES[other].tree.consistency(old, size)
        known = witness.known()[0].size
        submissions = [Submission(old, tuple(proof), log.head(size)).written()]
        if known <= size:
            submissions.append(log.submission(known, size))
        for text in submissions:
            before = witness.known()[0].size
            answer = witness.add_checkpoint(text)
            if answer.status == 200:
                assert size >= before
                heads.append((log, size))
    for (first, size), (later, larger) in itertools.pairwise(heads):
        assert size <= larger
        assert first.tree.root(size) == later.tree.root(size)
