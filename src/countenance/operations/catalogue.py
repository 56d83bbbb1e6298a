"""Every operation of the API: those we serve, lists of what cannot exist here, an honest no to the rest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NoReturn

from countenance.errors import InvalidParameter
from countenance.operations import (
    Call,
    Done,
    Operation,
    Tools,
    always,
    distinguishing,
    enrolment,
    equipment,
    erasure,
    faces,
    galleries,
    grouping,
    labels,
    measuring,
    moderation,
    queued,
    record,
    redaction,
    regrouping,
    searching,
    text,
    user_search,
    users,
    video_labels,
    videos,
)
from countenance.types import Action

_EMPTY_LISTS = {
    "ListStreamProcessors": "StreamProcessors",
    "ListMediaAnalysisJobs": "MediaAnalysisJobs",
    "DescribeProjects": "ProjectDescriptions",
}


def _nothing(member: str) -> Operation:
    def run(call: Call, tools: Tools) -> Done:
        return Done({member: []})

    return Operation(run, always(Action.MANAGE))


def _not_offered(call: Call, tools: Tools) -> NoReturn:
    raise InvalidParameter(detail=f"{call.operation} is not offered here yet")


SERVED: Mapping[str, Operation] = {
    **faces.OPERATIONS,
    **labels.OPERATIONS,
    **galleries.OPERATIONS,
    **enrolment.OPERATIONS,
    **searching.OPERATIONS,
    **users.OPERATIONS,
    **user_search.OPERATIONS,
    **regrouping.OPERATIONS,
    **distinguishing.OPERATIONS,
    **erasure.OPERATIONS,
    **grouping.OPERATIONS,
    **measuring.OPERATIONS,
    **record.OPERATIONS,
    **queued.OPERATIONS,
    **videos.OPERATIONS,
    **video_labels.OPERATIONS,
    **redaction.OPERATIONS,
    **text.OPERATIONS,
    **moderation.OPERATIONS,
    **equipment.OPERATIONS,
    **{name: _nothing(member) for name, member in _EMPTY_LISTS.items()},
}


def catalogue(names: Iterable[str]) -> Mapping[str, Operation]:
    """How each operation of the service model is run."""
    refused = Operation(_not_offered, always(Action.MANAGE), collection=lambda _request, _caller: None)
    return {name: SERVED.get(name, refused) for name in names}
