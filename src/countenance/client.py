"""What a boto3 user adds, and no more: one line that says what a client's calls are for.

    rekognition = boto3.client("rekognition", endpoint_url=...)
    countenance.client.declare(rekognition, purpose="missing-persons", case="2026-117")

Every later call of that client carries it as signed `x-countenance-*` headers, tries again included. And a
client that knows our own operations too:

    rekognition = countenance.client.connect(endpoint_url=...)
    answer = rekognition.search_faces_by_image(...)
    answer["Countenance"]["ExpectedFalseCandidates"]
    receipt = rekognition.get_receipt(Decision=countenance.client.decision(answer))
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

import boto3
import botocore.session

from countenance.aws import declaration
from countenance.aws.model import OURS
from countenance.declared import Authorisation, Declared, Listing, Requester, Venue

_EVENT, _NAME = "before-sign.rekognition", "countenance-declare"


def connect(*, core: botocore.session.Session | None = None, **options: Any) -> Any:
    """A boto3 client for Rekognition that knows Countenance's own operations beside AWS's (get_receipt,
    record_review, erase_subject, renew_faces and others), and the member `Countenance` that answers of
    searches and comparisons have: how often they are wrong.

    core: a botocore session to make it of, a new one otherwise. options: as `boto3.client` takes them.
    """
    core = core or botocore.session.Session()
    core.get_component("data_loader").search_paths.append(str(OURS))
    return boto3.session.Session(botocore_session=core).client("rekognition", **options)


def decision(answer: Mapping[str, Any]) -> int:
    """The number under which the ledger holds the call that this boto3 answer, or this error's `response`, is
    of. Raises ValueError where the answer has no receipt."""
    header = answer["ResponseMetadata"]["HTTPHeaders"].get("x-countenance-receipt", "")
    found = re.match(r"decision=(\d+);", header)
    if found is None:
        raise ValueError("this answer has no receipt: the call was not understood, or not by Countenance")
    return int(found[1])


def declare(  # noqa: PLR0913 - each is one thing a call may say
    client: Any,
    *,
    purpose: str | None = None,
    place: str | None = None,
    venue: str | None = None,
    realtime: bool | None = None,
    public_space: bool | None = None,
    mobile_camera: bool | None = None,
    case: str | None = None,
    offence: str | None = None,
    authorisation: Authorisation | None = None,
    evidence: str | None = None,
    listing: str | None = None,
    reviewers: Collection[str] = (),
    on_behalf_of: Requester | None = None,
    max_fpir: float | None = None,
    prior: float | None = None,
) -> None:
    """Have every later call of a boto3 client say this of itself, instead of what it was told to before.

    What is left out is not said: then the key's own purpose and place hold. Raises ValueError for a text
    that no header can hold.
    """
    declared = declaration.write(
        Declared(
            purpose=purpose,
            place=place,
            venue=None if venue is None else Venue(venue),
            realtime=realtime,
            public_space=public_space,
            mobile_camera=mobile_camera,
            case=case,
            offence=offence,
            authorisation=authorisation,
            evidence=evidence,
            listing=None if listing is None else Listing(listing),
            reviewers=frozenset(reviewers),
            on_behalf_of=on_behalf_of,
            max_fpir=max_fpir,
            prior=prior,
        )
    )
    carry(client, declared)


def carry(client: Any, headers: Mapping[str, str]) -> None:
    """Have every later call of a boto3 client carry these headers, signed, instead of what it said before."""

    def say(request: Any, **_: Any) -> None:
        for name in [name for name in request.headers if name.lower().startswith(declaration.PREFIX)]:
            del request.headers[name]
        for name, value in headers.items():
            request.headers[name] = value

    client.meta.events.unregister(_EVENT, unique_id=_NAME)
    client.meta.events.register(_EVENT, say, unique_id=_NAME)
