"""The lists of docs/ that are made from the code: every error, operation, model's card and word of policy.

    python -m tests.docs.lists            says whether they are fresh
    python -m tests.docs.lists --write    writes them anew (`make docs`)

What the code cannot know, such as what a reader should do about an error, stands here; a class or an
operation that is missing here is an error, so that no list can be written with a gap.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import click

from countenance import cli, errors, server
from countenance.aws import declaration, model, objects, sigv4
from countenance.cli import declaring
from countenance.declared import TAGS, AuthorisationKind, Declared, Listing, Venue
from countenance.errors import AwsError, CountenanceError, FrontEnd, OperatorError
from countenance.galleries import users
from countenance.operations import Operation, galleries, photos, searching
from countenance.operations.catalogue import SERVED, catalogue
from countenance.policy import pack as packs_on_disk
from countenance.policy.pack import Pack
from countenance.settings import Settings
from countenance.vision import images, yunet, zoo
from countenance.vision.attributes import readings
from countenance.vision.taxonomy import taxonomy
from tests.docs import world
from tests.docs.attributes import attributes

Error = TypeVar("Error", bound=CountenanceError)

DOCS = Path(__file__).parents[2] / "docs"

HEAD = "<!-- Made from the code by `make docs`; do not edit. -->\n"

SENTENCES: Mapping[str, str] = {
    "AccessDenied": (
        "User: ARN is not authorized to perform: rekognition:OPERATION on resource: ARN: then the rule, "
        "its advice and its source"
    ),
    "ResourceNotFound": "The collection id: ID does not exist (DescribeCollection: Collection:ID not found!)",
    "ResourceAlreadyExists": "The collection id: ID already exists",
    "Conflict": "says which user exists already, or what was said or done that a merge or an undo would lose",
    "ServiceQuotaExceeded": "says which limit",
    "LimitExceeded": "N open Jobs for User ARN Maximum limit: 20",
    "VideoTooLarge": "Video size in bytes: N is more than the maximum limit of: M bytes",
    "Validation": "N validation errors detected: Value 'V' at 'member' failed to satisfy constraint: ...",
    "Serialization": "often empty; else what was found where it was not expected",
    "UnknownOperation": "empty",
    "RequestEntityTooLarge": "says how large a body may be",
    "RequestTimeout": "says how long a body may take",
    "IncompleteSignature": "says which part of the Authorization header is missing or malformed",
}
"""The text of errors that have no fixed sentence."""

ADVICE: Mapping[str, str] = {
    "AccessDenied": "Read the rest of the message: it names the rule and what would change the answer "
    "([policies.md](policies.md)). Nothing was done; the refusal is in the ledger.",
    "InvalidParameter": "Read what follows the colon: an image under 80 pixels, no face in a photo that "
    "needs one, a tag with an unknown value, an operation that is not offered here yet.",
    "InvalidImageFormat": "Send JPEG or PNG, whole. The shell converts other formats by itself.",
    "ImageTooLarge": "Shrink the image: 10,000 pixels a side at most, 15 MiB as an S3Object.",
    "InvalidS3Object": "Check bucket and key. Without an S3 endpoint a bucket is a folder in the home's "
    "`buckets`.",
    "ResourceNotFound": "Create the collection first. Another organisation's is missing for you too.",
    "ResourceAlreadyExists": "Use it, or choose another CollectionId.",
    "Conflict": "Use the user who is there, or choose another UserId; or undo first what it names "
    "([users.md](users.md)).",
    "IdempotentParameterMismatch": "Make a new token for a new call. SDKs make one for each by themselves.",
    "ServiceQuotaExceeded": "A collection carries at most 200 tags, a user 100 faces: remove some.",
    "LimitExceeded": "Wait until a job on stored video has ended, or end one: `countenance jobs --cancel`.",
    "VideoTooLarge": "Cut the clip: at most 10 GiB ([jobs.md](jobs.md)).",
    "InvalidPaginationToken": "Begin the list again. A token continues only the very question it was given "
    "for.",
    "ProvisionedThroughputExceeded": "The key has made its day's calls. Wait for midnight UTC, or have the "
    "operator raise its quota: `countenance keys quota`.",
    "Throttling": "Wait and try again, as every AWS SDK does by itself. `waiting` in settings.toml is the "
    "bound.",
    "InternalServer": "Read the server's log. Nothing was acknowledged: a full disk, a locked database, "
    "weights that are missing or fail, an S3 endpoint that does not answer.",
    "Validation": "Correct the member it names. It is AWS's own limit, pattern or list of values.",
    "Serialization": "Send a JSON object with the types of the API; images in base64 once, not twice.",
    "UnknownOperation": "Set `X-Amz-Target: RekognitionService.OPERATION`, spelt as AWS spells it.",
    "RequestEntityTooLarge": "Send images of at most 5 MiB, two at most.",
    "RequestTimeout": "Send it again, over a better line or as a smaller picture.",
    "MissingAuthenticationToken": "Sign the request. There is no anonymous mode.",
    "IncompleteSignature": "Let an AWS SDK sign, or mend the part it names. A header was perhaps sent twice.",
    "UnrecognizedClient": "The access key is unknown here or revoked, or a session token was sent. "
    "`countenance keys list` shows the keys.",
    "InvalidSignature": "Check the secret, and the clock, which may be five minutes off at most. A proxy "
    "that rewrites host, body or signed headers breaks the signature too.",
    "HomeError": "Give the right `--home`, upgrade Countenance, or restore a backup, as the message says.",
    "ModelError": "`countenance models pull` fetches weights, `countenance models verify` checks them.",
    "PolicyError": "Mend the file and rule it names ([policies.md](policies.md)). Until then nothing is "
    "served.",
    "LedgerError": "Keep the home as it is and compare it with a backup ([ledger.md](ledger.md)).",
    "VideoError": "Give a whole clip of a format that FFmpeg knows ([jobs.md](jobs.md)).",
    "PhotoError": "Look at the file: it is missing, damaged or not a picture.",
    "DataError": "Fetch the set again, or name the right folder.",
}
"""What to do about each error."""

NOTES: Mapping[str, str] = {
    "DetectFaces": "At most the hundred largest faces. `ALL` adds the other 25 landmarks; attributes that "
    "no card backs are left out, and the header `x-countenance-not-offered` names them "
    "([models.md](models.md#attributes)).",
    "CompareFaces": "The largest face of the source against every face of the target, on the scale for "
    "adults.",
    "CreateCollection": "The tag `countenance:subjects` chooses the calibration; its value must be a "
    "population on the model's card.",
    "DescribeCollection": "",
    "ListCollections": "In the order they were made.",
    "DeleteCollection": "Erases every template in it.",
    "MeasureCollection": "Only where labels say who is not whom ([numbers-search.md](numbers-search.md)).",
    "GroupFaces": "Exact pairs, then Chinese whispers ([groups.md](groups.md)). At most 50,000 faces.",
    "IndexFaces": "Largest first. The same photo and `ExternalImageId` again adds nothing and answers with "
    "the faces that are there.",
    "ListFaces": "In the order of enrolment.",
    "DeleteFaces": "Erases the templates; the call returns when their bytes have left the database's files. "
    "A user's face stays until it is disassociated.",
    "SearchFaces": "Exact. The face itself is left out, and whom a distinction keeps out.",
    "SearchFacesByImage": "Exact. Searches with the largest face of the photo.",
    "CreateUser": "A `ClientRequestToken` stands for its call for seven days.",
    "ListUsers": "In the order they were made.",
    "DeleteUser": "The faces stay, as nobody's.",
    "AssociateFaces": "At most 100 faces a user. Without a face to compare with, any face is taken. Reasons "
    "of ours: `NOT_THIS_PERSON`, `ANOTHER_FACE_OF_THIS_PHOTO`, `EXCEEDS_MAX_FACES` ([users.md](users.md)).",
    "DisassociateFaces": "The user is searched by the faces that are left from then on.",
    "SearchUsers": "Exact, among the users' vectors. A user who is searched with is left out.",
    "SearchUsersByImage": "Exact. Searches with the largest face that passes the filter.",
    "StartFaceDetection": "Five frames a second ([jobs.md](jobs.md)).",
    "GetFaceDetection": "Decided by what was asked for at the start.",
    "StartFaceSearch": "One search for each person in the clip.",
    "GetFaceSearch": "Decided by what was asked for at the start. Candidates who left the collection since "
    "are left out.",
    "StartPersonTracking": "People are told apart by their faces.",
    "GetPersonTracking": "Decided by what was asked for at the start. Without the box of the body.",
    "DetectLabels": "By two networks and the labels of [labels-list.md](labels-list.md), sorted by "
    "Confidence; filters that name no label match nothing, and the header `x-countenance-unknown-filters` "
    "names them ([labels.md](labels.md)).",
    "StartLabelDetection": "Five frames a second ([labels.md](labels.md#clips)).",
    "GetLabelDetection": "Decided by what was asked for at the start. The Confidence of a segment is the "
    "mean of its frames'.",
    "DetectText": "Its weights are fetched only when asked for. Lines with a word to tell, then words, at "
    "most a hundred, each with where it stands ([text.md](text.md)).",
    "DetectModerationLabels": "Its weights are fetched only when asked for. One label, `Explicit`; the "
    "header `x-countenance-not-offered` names those that no model here backs "
    "([moderation.md](moderation.md)).",
    "DetectProtectiveEquipment": "Masks alone: of hands and heads nothing is told, and nobody is said to "
    "wear what is asked for there ([equipment.md](equipment.md)).",
    "TagResource": "At most 200 tags a collection. The region in the ARN is ignored.",
    "UntagResource": "",
    "ListTagsForResource": "",
}
"""What a reader of AWS's documentation should know besides."""


MEANT: Mapping[str, str] = {
    "countenance:origin": "Where the collection's photos come from.",
    "countenance:basis": "On what ground it is kept.",
    "countenance:consent": "What the people in it agreed to.",
    "countenance:never-suspects": "Whether it holds people who were never suspected of anything.",
}
"""What each tag that policy reads tells."""


def error_list() -> str:
    """docs/errors.md."""
    lines = [
        HEAD,
        "# Errors",
        "",
        "What a client is told has AWS's code and status, and AWS's sentence first, because programs compare "
        "it. After a colon follows what happened here. The errors of one service are the same for every SDK: "
        'boto3 raises `ClientError` with the code in `error.response["Error"]["Code"]`.',
        "",
        "An operation's writes and its line in the ledger are one transaction: no error leaves half of them.",
        "",
        "## From the service",
        "",
        *_wire(_leaves(AwsError)),
        "",
        "## From the front door",
        "",
        "These come before a call is understood, so there is no decision and no receipt. Their bodies say "
        "`message` where the service's say `Message`, as AWS's do; SDKs read both.",
        "",
        *_wire(_leaves(FrontEnd)),
        "",
        "## At the shell",
        "",
        "`countenance` prints what is wrong to standard error and ends with a status that is not 0. In "
        "Python these are exceptions, all of them `countenance.errors.OperatorError`.",
        "",
        "| Error | When | What to do |",
        "|---|---|---|",
    ]
    told = _drawn()
    for error in _leaves(OperatorError):
        name = error.__name__
        lines.append(f"| `{name}` | {told[name]} | {ADVICE[name]} |")
    return "\n".join(lines) + "\n"


def _wire(family: Iterable[type[AwsError]]) -> list[str]:
    rows = ["| Code | HTTP | It says | What to do |", "|---|---|---|---|"]
    for error in family:
        name = error.__name__
        sentence = error.sentence or f"*{_cell(SENTENCES[name])}*"
        rows.append(f"| `{error.code}` | {error.status} | {_cell(sentence)} | {ADVICE[name]} |")
    return rows


def _leaves(root: type[Error]) -> Iterator[type[Error]]:
    """Every error under `root` that is raised as itself, in the order of errors.py."""
    for error in root.__subclasses__():
        if error.__module__ != errors.__name__ or error is FrontEnd:
            continue
        if not error.__subclasses__():
            yield error
        yield from _leaves(error)


def every_error(lacking: str = "") -> Iterator[type[CountenanceError]]:
    """The errors listed; only those without the attribute `lacking`, where one is named."""
    for root in (AwsError, FrontEnd, OperatorError):
        yield from (error for error in _leaves(root) if not lacking or getattr(error, lacking, None) == "")


def _drawn() -> dict[str, str]:
    """What the tree on top of errors.py says of each operator's error."""
    assert errors.__doc__ is not None
    return dict(re.findall(r"── (\w+) {2,}(.+)", errors.__doc__))


def coverage() -> str:
    """docs/coverage.md."""
    every = catalogue(model.operations())
    ours = _ours()
    served = [name for name in every if name in SERVED and name in NOTES and name not in ours]
    empty = [name for name in every if name in SERVED and name not in NOTES and name not in ours]
    rest = [name for name in every if name not in SERVED]
    lines = [
        HEAD,
        "# API coverage",
        "",
        f"Amazon Rekognition has {len(every) - len(ours)} operations in the botocore that is installed. "
        f"Countenance serves {len(served)}; {len(empty)} lists answer empty, because what they list cannot "
        f"exist here yet; {len(rest)} are not offered yet and say so. It adds {len(ours)} of its own.",
        "",
        "*Asks for* is what policy must permit: every action named ([policies.md](policies.md)). *Defaults* "
        "are filled in before policy is asked, where the request leaves a member out.",
        "",
        "## Served",
        "",
        "| Operation | Asks for | Defaults | Besides |",
        "|---|---|---|---|",
    ]
    for name in served:
        operation = every[name]
        lines.append(f"| {name} | {_actions(operation)} | {_defaults(operation)} | {NOTES[name]} |")
    lines += [
        "",
        "## Of our own",
        "",
        "`countenance.client.connect()` makes a boto3 client that has them; any other botocore finds them "
        "by the folder `countenance/aws/data` in `AWS_DATA_PATH`.",
        "",
        "| Operation | Asks for | Defaults | What it does |",
        "|---|---|---|---|",
    ]
    for name, what in ours.items():
        besides = f"{what} {NOTES.get(name, '')}".strip()
        lines.append(f"| {name} | {_actions(every[name])} | {_defaults(every[name])} | {besides} |")
    lines += ["", "## Empty lists", "", "| Operation | Asks for |", "|---|---|"]
    lines += [f"| {name} | {_actions(every[name])} |" for name in empty]
    lines += [
        "",
        "## Not offered yet",
        "",
        "`InvalidParameterException`: Request has invalid parameters: OPERATION is not offered here yet. The "
        f"call asks for {_actions(every[rest[0]])}, is decided and stands in the ledger like any other.",
        "",
        ", ".join(rest) + ".",
    ]
    return "\n".join(lines) + "\n"


def _ours() -> Mapping[str, str]:
    """The operations that our service model adds, with what it says of each."""
    [extras] = model.OURS.rglob("service-2.sdk-extras.json")
    declared = json.loads(extras.read_text("utf-8"))["merge"]["operations"]
    return {
        name: re.sub(r"</?p>|An operation of Countenance\. ", "", declared[name]["documentation"])
        for name in sorted(declared)
    }


def _actions(operation: Operation) -> str:
    least = operation.actions({**operation.defaults})
    all_of = {"FaceAttributes": "ALL", "Attributes": ["ALL"], "DetectionAttributes": ["ALL"]}
    told = [action for action in operation.actions({**operation.defaults, **all_of}) if action not in least]
    of = [a for a in operation.actions({**operation.defaults, "CollectionId": "c"}) if a not in least]
    more = f"; with more than `DEFAULT` also {', '.join(told)}" if told else ""
    more += f"; with a collection also {', '.join(of)}" if of else ""
    return ", ".join(least) + more


def _defaults(operation: Operation) -> str:
    if operation.reads:
        return ""
    return ", ".join(f"{name} {_plain(value)}" for name, value in operation.defaults.items() if value != {})


def _plain(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


def explained() -> str:
    """docs/how-it-works.md."""
    return _filled("how-it-works.md", bars=_bars(), limits=_limits(), settings=_settings())


def cards() -> str:
    """docs/models.md."""
    return _filled("models.md", cards=_cards(), attributes=attributes())


def policies() -> str:
    """docs/policies.md."""
    schema = packs_on_disk.read_schema()
    packs = [packs_on_disk.read(packs_on_disk.folder_of(name), schema) for name in packs_on_disk.shipped()]
    return _filled("policies.md", packs=_packs(packs), headers=_headers(), tags=_tags(), words=_words(packs))


def _filled(page: str, **lists: str) -> str:
    """A page with what stands between `<!-- name -->` and `<!-- /name -->` made anew; the rest is by hand."""
    text = (DOCS / page).read_text("utf-8")
    for name, made in lists.items():
        opening, closing = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        before, found, rest = text.partition(opening)
        assert found, f"{page} has no place for {name}"
        text = f"{before}{opening}{made}\n{closing}{rest.partition(closing)[2]}"
    return text


def _packs(packs: Iterable[Pack]) -> str:
    """One row a pack. The days of single rules stand in their notes."""
    rows = [
        (
            f"`{pack.name}`",
            pack.about.title,
            pack.about.place,
            _span(pack.about.in_force_from, pack.about.in_force_until),
            pack.about.confidence,
            len(pack.rules),
            len(pack.about.unread),
        )
        for pack in packs
    ]
    return _table("Pack, What it says, Place, In force, Known, Rules, Unread", rows)


def _span(first: dt.date, until: dt.date | None) -> str:
    return f"since {first}" if until is None else f"{first} until {until}"


def _headers() -> str:
    closed = {
        "venue": _choice(Venue),
        "listing": _choice(Listing),
        **dict.fromkeys(("realtime", "public_space", "mobile_camera"), "`true` or `false`"),
        **dict.fromkeys(("purpose", "place", "offence"), "a word of the packs in force"),
        "authorisation": "`id=...; kind=...; issued-by=...; from=...; until=...`; kinds: "
        + _choice(AuthorisationKind),
        "reviewers": "names between commas",
        "on_behalf_of": "`kind=...; place=...`, and perhaps `; groups=...`",
        "max_fpir": "a number between 0 and 1",
        "prior": "a number between 0 and 1",
    }
    names = [field.name for field in dataclasses.fields(Declared)]
    index = cli.main.get_command(click.Context(cli.main), "index")
    assert index
    options = {each.name: f"`{each.opts[0]}`" for each in index.params}
    rows = [
        (f"`{declaration.header(name)}`", options[name], declaring.SAID[name], closed.get(name, "a text"))
        for name in names
    ]
    return _table("Header, In the shell, What it says, Written", rows)


def _tags() -> str:
    rows = [
        (f"`{name}`", MEANT[name], _choice(sorted(tag.words - {tag.unset})), f"`{tag.unset}`")
        for name, tag in TAGS.items()
    ]
    return _table("Tag, What it says, Words, Unset", rows)


def _words(packs: Iterable[Pack]) -> str:
    """Purposes, offences, groups, and the places that packs add to those of base."""
    rows = []
    for pack in packs:
        for kind in ("Purpose", "Offence", "Group", "Place"):
            words = sorted(name for of, name in pack.words if of == kind and name != "any")
            if words and (pack.name, kind) != ("base", "Place"):
                rows.append((f"`{pack.name}`", kind.lower(), _choice(words)))
    return _table("Pack, Kind of word, Words", rows)


def _choice(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def _table(columns: str, rows: Iterable[Iterable[object]]) -> str:
    head = columns.split(", ")
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)


def _bars() -> str:
    columns = "Filter, confidence at least, pixels, brightness, sharpness, turn at most"
    rows = [
        (f"`{level}`", *(f"{value:g}" for value in dataclasses.astuple(bar)))
        if bar
        else (f"`{level}`", *"-----")
        for level, bar in photos.BARS.items()
    ]
    return _table(columns, rows)


def _limits() -> str:
    fewest, largest = images.LIMITS.smallest, images.LIMITS.largest
    rows = [
        ("An image's sides", f"{fewest} to {largest:,} pixels"),
        ("An image in the request", "5 MiB"),
        ("An image as an S3Object", _mebibytes(objects.LARGEST)),
        ("A larger image is shrunk to", f"{images.LIMITS.working:,} pixels"),
        ("Scans of a progressive JPEG", images.LIMITS.scans),
        ("Faces found in an image", yunet.MOST),
        ("A request's body", f"{_mebibytes(server.LARGEST_BODY)}, within {server.READ_WITHIN:g} seconds"),
        ("Bodies held at once", _mebibytes(server.ARRIVING)),
        ("A request's head", f"{server.LARGEST_HEAD // 1024} KiB"),
        ("Values in a request", f"{model.MOST_VALUES:,}"),
        ("Calls in the house", Settings(home=DOCS).waiting),
        ("A signer's clock", f"{sigv4.SKEW.seconds // 60} minutes off"),
        ("Tags of a collection", galleries.MOST_TAGS),
        ("Candidates without `MaxFaces` or `MaxUsers`", searching.MOST),
        ("Faces of a user", users.MOST_FACES),
    ]
    return _table("What, Limit", rows)


def _mebibytes(count: int) -> str:
    return f"{count / 2**20:g} MiB"


def _settings() -> str:
    """The fields of Settings with what its docstring says of each."""
    assert Settings.__doc__ is not None
    words = re.sub(r"\s+", " ", Settings.__doc__)
    names = [field.name for field in dataclasses.fields(Settings) if field.name != "home"]
    meanings = re.split(rf"\b({'|'.join(names)}): ", words)
    told = {"log_name": SETTINGS_LOG_NAME, **dict(zip(meanings[1::2], meanings[2::2], strict=True))}
    default = Settings(home=DOCS)
    rows = [(f"`{name}`", f"`{_written(getattr(default, name))}`", told[name].strip()) for name in names]
    return _table("Setting, Default, Meaning", rows)


REGISTRIES = {"pypi": "PyPI", "npm": "npm"}


def _cards() -> str:
    """What a card says of where its model comes from and what it is for. Figures are told by hand."""
    columns = "Model, Task, Backs, Licence of the weights, Commercial use, MB"
    rows = [
        (
            f"[`{card.id}`](#{card.id})",
            card.task,
            ", ".join(each.attribute for each in readings() if card.id in each.nets and not each.off),
            card.licence,
            _open(card),
            f"{card.size / 1e6:.1f}",
        )
        for card in zoo.cards()
    ]
    parts = [_table(columns, rows)]
    for card in zoo.cards():
        carrier = (
            f"`{card.carrier}` on {REGISTRIES[card.carrier.registry]}" if card.carrier else "this repository"
        )
        parts.append(
            f"### {card.id}\n\n{card.title}.\n\n"
            f"- For: {_sentence(card.intended_use)}\n"
            f"- Not for: {_sentence(card.not_for)}\n"
            f"- Trained on: {_sentence(card.training)}\n"
            f"- Commercial use {_open(card)}: {_sentence(card.commercial_reason)}\n"
            + (
                f"- Fetched only when asked for: `countenance models pull {card.extra}`.\n"
                if card.extra
                else ""
            )
            + f"- Paper: {_sentence(card.paper)}\n"
            f"- Files: {', '.join(f'`{file.name}`' for file in card.files)}, from {carrier}. "
            f"[Licence]({card.licence_source if card.carrier else f'../{card.licence_source}'})."
        )
    return "\n\n".join(parts)


def _open(card: zoo.Card) -> str:
    return "open" if card.commercial else "closed"


def _sentence(text: str) -> str:
    return text if text.endswith(".") else f"{text}."


SETTINGS_LOG_NAME = (
    "the ledger's name to the world, the first line of its checkpoints. `countenance init` makes one up, and "
    "it stays."
)


def _written(value: object) -> str:
    return json.dumps(list(value) if isinstance(value, tuple) else value)


def label_list() -> str:
    """docs/labels-list.md."""
    known = taxonomy()
    by_category: dict[str, list[str]] = {}
    for entry in known.entries.values():
        above = ", ".join(known.ancestors(entry.name))
        aliases = f" (also {', '.join(entry.aliases)})" if entry.aliases else ""
        box = " ▣" if entry.coco else ""
        line = f"{entry.name}{aliases}{box}" + (f": {above}" if above else "")
        by_category.setdefault(entry.category, []).append(f"- {line}")
    boxed = sum(bool(entry.coco) for entry in known.entries.values())
    lines = [
        HEAD,
        "# Labels",
        "",
        f"The {len(known.entries)} labels that DetectLabels can give, by category, each with its parents, "
        f"nearest first. ▣: told with boxes ({boxed} of them). Parents follow WordNet 3.0 "
        "(`python bench/taxonomy.py`), but for places (Outdoors, Indoors, Nature), pets, and buses and "
        "trains as vehicles, which are Rekognition's. No label tells of race, religion, health or sexuality.",
    ]
    for category in sorted(by_category):
        lines += ["", f"## {category}", "", *by_category[category]]
    return "\n".join(lines) + "\n"


LISTS = {
    "labels-list.md": label_list,
    "errors.md": error_list,
    "coverage.md": coverage,
    "how-it-works.md": explained,
    "models.md": cards,
    "policies.md": policies,
    "who-can.md": world.page,
    "who-can.svg": world.picture,
}


def main() -> None:
    stale = [name for name, made in LISTS.items() if not _fresh(name, made())]
    if "--write" in sys.argv[1:]:
        for name in stale:
            (DOCS / name).write_text(LISTS[name](), "utf-8")
            print(f"wrote docs/{name}")
    elif stale:
        sys.exit(f"stale: {', '.join(stale)}; `make docs` writes them anew")


def _fresh(name: str, text: str) -> bool:
    path = DOCS / name
    return path.exists() and path.read_text("utf-8") == text


if __name__ == "__main__":
    main()
