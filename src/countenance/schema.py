"""The tables of a home, and the way from an older home's to these.

A change of a table is a new VERSION and the SQL that leads to it in MIGRATIONS; what is here made anew
and what the migrations make of an old home are compared by a test.
"""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()
_row = sa.BigInteger().with_variant(sa.Integer, "sqlite")  # SQLite numbers rows itself only for INTEGER

home = sa.Table(
    "home",
    metadata,
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("packs", sa.Text, nullable=False, server_default=""),  # in force at the last start, as JSON
    sa.Column("models", sa.Text, nullable=False, server_default=""),  # compared at the last start, JSON
)

organisations = sa.Table(
    "organisations",
    metadata,
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("place", sa.Text, nullable=False),
    sa.Column("created", sa.Float, nullable=False),
    sa.Column("groups", sa.Text, nullable=False, server_default=""),  # as keys.py writes words; so purposes
)

keys = sa.Table(
    "keys",
    metadata,
    sa.Column("access_key_id", sa.Text, primary_key=True),
    sa.Column("account", sa.Text, sa.ForeignKey("organisations.account"), nullable=False),
    sa.Column("secret", sa.LargeBinary, nullable=False),
    sa.Column("purpose", sa.Text),
    sa.Column("created", sa.Float, nullable=False),
    sa.Column("revoked", sa.Float),
    sa.Column("calls", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("purposes", sa.Text, nullable=False, server_default=""),
    sa.Column("policy_owner", sa.Integer, nullable=False, server_default="0"),
    sa.Column("quota", sa.BigInteger),  # calls a day; NULL for any number
    sa.Column("day", sa.BigInteger, nullable=False, server_default="0"),  # of the last call, since 1970, UTC
    sa.Column("used", sa.BigInteger, nullable=False, server_default="0"),  # calls on that day
)

collections = sa.Table(
    "collections",
    metadata,
    sa.Column("number", _row, primary_key=True, autoincrement=True),
    sa.Column("account", sa.Text, nullable=False),
    sa.Column("collection_id", sa.Text, nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("created", sa.Float, nullable=False),
    sa.Column("change", sa.BigInteger, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("users", sa.BigInteger, nullable=False, server_default="0"),  # without those merged into others
    sa.UniqueConstraint("account", "collection_id"),
    sqlite_autoincrement=True,
)


def _collection() -> sa.ForeignKey:
    return sa.ForeignKey("collections.number", ondelete="CASCADE")


tags = sa.Table(
    "tags",
    metadata,
    sa.Column("collection", _row, _collection(), primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

users = sa.Table(  # people, each of whom several faces are said to show; change: of those faces
    "users",
    metadata,
    sa.Column("number", _row, primary_key=True, autoincrement=True),
    sa.Column("collection", _row, _collection(), nullable=False),
    sa.Column("change", sa.BigInteger, nullable=False),
    sa.Column("user_id", sa.Text, nullable=False),
    sa.Column("created", sa.Float, nullable=False),
    sa.Column("merged_into", _row),  # the user whom all faces went to, until that is undone
    sa.UniqueConstraint("collection", "user_id"),
    sa.Index("users_by_change", "collection", "change"),
    sqlite_autoincrement=True,
)

_merged = users.c.merged_into.is_not(None)
sa.Index("users_by_merge", users.c.merged_into, sqlite_where=_merged, postgresql_where=_merged)

faces = sa.Table(
    "faces",
    metadata,
    sa.Column("number", _row, primary_key=True, autoincrement=True),
    sa.Column("collection", _row, _collection(), nullable=False),
    sa.Column("change", sa.BigInteger, nullable=False),
    sa.Column("face_id", sa.Text, nullable=False),
    sa.Column("image_id", sa.Text, nullable=False),
    sa.Column("external_image_id", sa.Text, nullable=False),  # "" where the call gave none
    sa.Column("box", sa.Text, nullable=False),  # four ratios, as galleries.store writes them
    sa.Column("confidence", sa.Float, nullable=False),
    sa.Column("vector", sa.LargeBinary, nullable=False),
    sa.Column("subject", sa.LargeBinary, nullable=False),  # a key by which this person's entries are found
    sa.Column("enrolled", sa.Float, nullable=False),  # when, as a Unix time
    sa.Column("member", _row, sa.ForeignKey("users.number")),  # whose face it is said to be
    sa.UniqueConstraint("collection", "face_id"),
    sa.UniqueConstraint("collection", "image_id", "external_image_id", "box"),
    sa.Index("faces_by_change", "collection", "change"),
    sa.Index("faces_by_external", "collection", "external_image_id"),
    sa.Index("faces_by_enrolled", "collection", "enrolled"),
    sqlite_autoincrement=True,
)

_associated = faces.c.member.is_not(None)
sa.Index(
    "faces_by_member", faces.c.member, faces.c.number, sqlite_where=_associated, postgresql_where=_associated
)

removals = sa.Table(
    "removals",
    metadata,
    sa.Column("collection", _row, _collection(), primary_key=True),
    sa.Column("change", sa.BigInteger, primary_key=True),
    sa.Column("face", _row, primary_key=True),
)

user_removals = sa.Table(  # users who have no face any more
    "user_removals",
    metadata,
    sa.Column("collection", _row, _collection(), primary_key=True),
    sa.Column("change", sa.BigInteger, primary_key=True),
    sa.Column("user", _row, primary_key=True),
)

regroupings = sa.Table(  # merges and splits of users that can be undone
    "regroupings",
    metadata,
    sa.Column("number", _row, primary_key=True, autoincrement=True),
    sa.Column("collection", _row, _collection(), nullable=False, index=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("source", _row, sa.ForeignKey("users.number", ondelete="CASCADE"), nullable=False),
    sa.Column("target", _row, sa.ForeignKey("users.number", ondelete="CASCADE"), nullable=False),
    sa.Column("made", sa.Float, nullable=False),
    sa.Index("regroupings_by_source", "source"),
    sa.Index("regroupings_by_target", "target"),
    sqlite_autoincrement=True,
)

regrouped = sa.Table(  # the faces that went from one user to the other
    "regrouped",
    metadata,
    sa.Column("regrouping", _row, sa.ForeignKey("regroupings.number", ondelete="CASCADE"), primary_key=True),
    sa.Column("face", _row, sa.ForeignKey("faces.number", ondelete="CASCADE"), primary_key=True),
    sa.Index("regrouped_by_face", "face"),
)

distinctions = sa.Table(  # who is not whom, as somebody who looked has said
    "distinctions",
    metadata,
    sa.Column("number", _row, primary_key=True, autoincrement=True),
    sa.Column("collection", _row, _collection(), nullable=False),
    sa.Column("one", sa.Text, nullable=False),  # a face, a user or a photo, as galleries.distinct writes it
    sa.Column("other", sa.Text, nullable=False),
    sa.Column("made", sa.Float, nullable=False),
    sa.UniqueConstraint("collection", "one", "other"),
    sa.Index("distinctions_by_other", "collection", "other"),
    sqlite_autoincrement=True,
)

tokens = sa.Table(  # calls that are done once however often they are sent
    "tokens",
    metadata,
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("operation", sa.Text, primary_key=True),
    sa.Column("token", sa.Text, primary_key=True),
    sa.Column("collection", _row, _collection(), nullable=False, index=True),
    sa.Column("asked", sa.LargeBinary, nullable=False),  # a MAC of the request
    sa.Column("answer", sa.Text, nullable=False),  # without any id: operations.tokens
    sa.Column("made", sa.Float, nullable=False, index=True),
)

renewals = sa.Table(
    "renewals",
    metadata,
    sa.Column("face", _row, sa.ForeignKey("faces.number", ondelete="CASCADE"), primary_key=True),
    sa.Column("collection", _row, _collection(), nullable=False, index=True),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("vector", sa.LargeBinary, nullable=False),
)

entries = sa.Table(
    "entries",
    metadata,
    sa.Column("seq", _row, primary_key=True, autoincrement=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("leaf", sa.LargeBinary, nullable=False),
)

nodes = sa.Table(
    "nodes",
    metadata,
    sa.Column("level", sa.Integer, primary_key=True),
    sa.Column("idx", sa.BigInteger, primary_key=True),
    sa.Column("hash", sa.LargeBinary, nullable=False),
)

checkpoints = sa.Table(
    "checkpoints",
    metadata,
    sa.Column("size", _row, primary_key=True, autoincrement=False),
    sa.Column("note", sa.Text, nullable=False),
)

handovers = sa.Table(  # the heads that a log's old key and its new one both signed
    "handovers",
    metadata,
    sa.Column("size", _row, primary_key=True, autoincrement=False),
    sa.Column("note", sa.Text, nullable=False),
)

witnessed = sa.Table(  # heads with the signatures of others beside ours
    "witnessed",
    metadata,
    sa.Column("size", _row, primary_key=True, autoincrement=False),
    sa.Column("note", sa.Text, nullable=False),
)

calls = sa.Table(  # where each decision's outcome is; an open call has none and the process that is at it
    "calls",
    metadata,
    sa.Column("decision", _row, primary_key=True, autoincrement=False),
    sa.Column("process", sa.Text),
    sa.Column("outcome", _row),
)
_open = calls.c.outcome.is_(None)
sa.Index("open_calls_of", calls.c.process, sqlite_where=_open, postgresql_where=_open)

vault = sa.Table(  # what a call said that is nobody else's business, encrypted
    "vault",
    metadata,
    sa.Column("decision", _row, primary_key=True, autoincrement=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("written", sa.Float, nullable=False),
)

vault_keys = sa.Table(  # one key a record: without it the record is noise
    "vault_keys",
    metadata,
    sa.Column("decision", _row, primary_key=True, autoincrement=False),
    sa.Column("key", sa.LargeBinary, nullable=False),
)

condemned = sa.Table(  # private records whose subject was erased, and which a rule keeps a while yet
    "condemned",
    metadata,
    sa.Column("decision", _row, primary_key=True, autoincrement=False),
    sa.Column("until", sa.Float, nullable=False),
    sa.Column("rule", sa.Text, nullable=False),
)

jobs = sa.Table(  # calls that were put off, and what became of them
    "jobs",
    metadata,
    sa.Column("number", _row, primary_key=True, autoincrement=True),
    sa.Column("job_id", sa.Text, nullable=False, unique=True),
    sa.Column("account", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),  # the access key id of who started it
    sa.Column("operation", sa.Text, nullable=False),
    sa.Column("asked", sa.LargeBinary, nullable=False),  # request and declaration, sealed
    sa.Column("token", sa.Text),
    sa.Column("question", sa.LargeBinary, nullable=False),  # a MAC of the request
    sa.Column("started", sa.BigInteger, nullable=False),  # the decision that let it in
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("message", sa.Text, nullable=False, server_default=""),
    sa.Column("created", sa.Float, nullable=False),
    sa.Column("begun", sa.Float),
    sa.Column("ended", sa.Float),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("worker", sa.Text),  # the process that is at it
    sa.Column("until", sa.Float),  # when its lease runs out; of a job that waits, not before then
    sa.Column("decision", sa.BigInteger),  # of the last attempt
    sa.Column("done", sa.Float, nullable=False, server_default="0"),
    sa.Column("facts", sa.Text, nullable=False, server_default=""),
    sa.Column("size", sa.BigInteger, nullable=False, server_default="0"),  # bytes that its results take
    sa.Column("topic", sa.Text, nullable=False, server_default=""),
    sa.Column("noticed", sa.Integer, nullable=False, server_default="0"),
    sa.Column("notice_at", sa.Float),
    sa.Column("notice_error", sa.Text, nullable=False, server_default=""),
    sa.Index("jobs_by_account", "account", "number"),
    sa.Index("jobs_by_begun", "account", "begun"),
    sa.Index("jobs_by_state", "state"),
    sa.Index("jobs_by_notice", "notice_at"),
    sqlite_autoincrement=True,
)

findings = sa.Table(  # what a job found, compressed, page by page
    "findings",
    metadata,
    sa.Column("decision", sa.BigInteger, primary_key=True, autoincrement=False),  # that let the work begin
    sa.Column("by_person", sa.Integer, primary_key=True, autoincrement=False),  # results.Order
    sa.Column("page", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
)

discarded = sa.Table(  # decisions whose findings are to go
    "discarded",
    metadata,
    sa.Column("decision", sa.BigInteger, primary_key=True, autoincrement=False),
)

VERSION = 6
MIGRATIONS: dict[int, tuple[str, ...]] = {
    1: ("ALTER TABLE keys ADD COLUMN calls BIGINT NOT NULL DEFAULT 0",),
    2: (
        "CREATE TABLE renewals ("
        " face INTEGER NOT NULL PRIMARY KEY REFERENCES faces (number) ON DELETE CASCADE,"
        " collection INTEGER NOT NULL REFERENCES collections (number) ON DELETE CASCADE,"
        " model TEXT NOT NULL, vector BLOB NOT NULL)",
        "CREATE INDEX ix_renewals_collection ON renewals (collection)",
    ),
    3: (
        "ALTER TABLE organisations ADD COLUMN groups TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE keys ADD COLUMN purposes TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE keys ADD COLUMN policy_owner INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE home ADD COLUMN packs TEXT NOT NULL DEFAULT ''",
    ),
    4: (
        "ALTER TABLE home ADD COLUMN models TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE faces ADD COLUMN subject BLOB NOT NULL DEFAULT ''",
        "ALTER TABLE faces ADD COLUMN enrolled FLOAT NOT NULL DEFAULT 0",
        "CREATE INDEX faces_by_external ON faces (collection, external_image_id)",
        "CREATE INDEX faces_by_enrolled ON faces (collection, enrolled)",
        # One key for all faces of one ExternalImageId, else one a face; enrolled counts from now on.
        "UPDATE faces SET subject = randomblob(32), enrolled = unixepoch()",
        "UPDATE faces SET subject = (SELECT first.subject FROM faces AS first"
        " WHERE first.collection = faces.collection AND first.external_image_id = faces.external_image_id"
        " ORDER BY first.number LIMIT 1) WHERE external_image_id <> ''",
        "CREATE TABLE handovers (size INTEGER NOT NULL PRIMARY KEY, note TEXT NOT NULL)",
        "CREATE TABLE witnessed (size INTEGER NOT NULL PRIMARY KEY, note TEXT NOT NULL)",
        "CREATE TABLE calls (decision INTEGER NOT NULL PRIMARY KEY, process TEXT, outcome INTEGER)",
        "INSERT INTO calls (decision, outcome) SELECT json_extract(CAST(body AS TEXT), '$.decision'), seq"
        " FROM entries WHERE json_extract(CAST(body AS TEXT), '$.kind') = 'outcome'",
        "INSERT INTO calls (decision, process) SELECT decision, process FROM open_calls",
        "CREATE INDEX open_calls_of ON calls (process) WHERE outcome IS NULL",
        "DROP TABLE open_calls",
        "CREATE TABLE vault"
        " (decision INTEGER NOT NULL PRIMARY KEY, body BLOB NOT NULL, written FLOAT NOT NULL)",
        "CREATE TABLE vault_keys (decision INTEGER NOT NULL PRIMARY KEY, key BLOB NOT NULL)",
        "CREATE TABLE condemned"
        " (decision INTEGER NOT NULL PRIMARY KEY, until FLOAT NOT NULL, rule TEXT NOT NULL)",
    ),
    5: (
        "ALTER TABLE collections ADD COLUMN users BIGINT NOT NULL DEFAULT 0",
        "CREATE TABLE users ("
        " number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,"
        " collection INTEGER NOT NULL REFERENCES collections (number) ON DELETE CASCADE,"
        " change BIGINT NOT NULL, user_id TEXT NOT NULL, created FLOAT NOT NULL,"
        " merged_into INTEGER, UNIQUE (collection, user_id))",
        "CREATE INDEX users_by_change ON users (collection, change)",
        "CREATE INDEX users_by_merge ON users (merged_into) WHERE merged_into IS NOT NULL",
        "ALTER TABLE faces ADD COLUMN member INTEGER REFERENCES users (number)",
        "CREATE INDEX faces_by_member ON faces (member, number) WHERE member IS NOT NULL",
        "CREATE TABLE user_removals ("
        " collection INTEGER NOT NULL REFERENCES collections (number) ON DELETE CASCADE,"
        ' change BIGINT NOT NULL, "user" INTEGER NOT NULL, PRIMARY KEY (collection, change, "user"))',
        "CREATE TABLE regroupings ("
        " number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,"
        " collection INTEGER NOT NULL REFERENCES collections (number) ON DELETE CASCADE, kind TEXT NOT NULL,"
        " source INTEGER NOT NULL REFERENCES users (number) ON DELETE CASCADE,"
        " target INTEGER NOT NULL REFERENCES users (number) ON DELETE CASCADE, made FLOAT NOT NULL)",
        "CREATE INDEX ix_regroupings_collection ON regroupings (collection)",
        "CREATE INDEX regroupings_by_source ON regroupings (source)",
        "CREATE INDEX regroupings_by_target ON regroupings (target)",
        "CREATE TABLE regrouped ("
        " regrouping INTEGER NOT NULL REFERENCES regroupings (number) ON DELETE CASCADE,"
        " face INTEGER NOT NULL REFERENCES faces (number) ON DELETE CASCADE,"
        " PRIMARY KEY (regrouping, face))",
        "CREATE INDEX regrouped_by_face ON regrouped (face)",
        "CREATE TABLE distinctions ("
        " number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,"
        " collection INTEGER NOT NULL REFERENCES collections (number) ON DELETE CASCADE,"
        " one TEXT NOT NULL, other TEXT NOT NULL, made FLOAT NOT NULL, UNIQUE (collection, one, other))",
        "CREATE INDEX distinctions_by_other ON distinctions (collection, other)",
        "CREATE TABLE tokens ("
        " account TEXT NOT NULL, operation TEXT NOT NULL, token TEXT NOT NULL,"
        " collection INTEGER NOT NULL REFERENCES collections (number) ON DELETE CASCADE,"
        " asked BLOB NOT NULL, answer TEXT NOT NULL, made FLOAT NOT NULL,"
        " PRIMARY KEY (account, operation, token))",
        "CREATE INDEX ix_tokens_collection ON tokens (collection)",
        "CREATE INDEX ix_tokens_made ON tokens (made)",
        "CREATE TABLE jobs ("
        " number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, job_id TEXT NOT NULL UNIQUE,"
        " account TEXT NOT NULL, key TEXT NOT NULL, operation TEXT NOT NULL, asked BLOB NOT NULL, token TEXT,"
        " question BLOB NOT NULL, started BIGINT NOT NULL, state TEXT NOT NULL,"
        " message TEXT NOT NULL DEFAULT '', created FLOAT NOT NULL, begun FLOAT, ended FLOAT,"
        " attempts INTEGER NOT NULL DEFAULT 0, worker TEXT, until FLOAT, decision BIGINT,"
        " done FLOAT NOT NULL DEFAULT 0, facts TEXT NOT NULL DEFAULT '', size BIGINT NOT NULL DEFAULT 0,"
        " topic TEXT NOT NULL DEFAULT '', noticed INTEGER NOT NULL DEFAULT 0, notice_at FLOAT,"
        " notice_error TEXT NOT NULL DEFAULT '')",
        "CREATE INDEX jobs_by_account ON jobs (account, number)",
        "CREATE INDEX jobs_by_begun ON jobs (account, begun)",
        "CREATE INDEX jobs_by_state ON jobs (state)",
        "CREATE INDEX jobs_by_notice ON jobs (notice_at)",
        "CREATE TABLE findings (decision BIGINT NOT NULL, by_person INTEGER NOT NULL, page BIGINT NOT NULL,"
        " body BLOB NOT NULL, PRIMARY KEY (decision, by_person, page))",
        "CREATE TABLE discarded (decision BIGINT NOT NULL PRIMARY KEY)",
        "ALTER TABLE keys ADD COLUMN quota BIGINT",
        "ALTER TABLE keys ADD COLUMN day BIGINT NOT NULL DEFAULT 0",
        "ALTER TABLE keys ADD COLUMN used BIGINT NOT NULL DEFAULT 0",
    ),
}
"""From version N to N + 1: the SQL that does it. All of them run in one transaction."""
