"""1:N search among users: SearchUsers, SearchUsersByImage. A line is a candidate, never "the person".

What is compared is the one vector made of a user's faces. Beside AWS's members an answer tells which of these
faces is nearest, and how far the best candidate is ahead of the next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from countenance.errors import InvalidParameter
from countenance.galleries import concerned, distinct, store, users
from countenance.galleries.index import cosines
from countenance.operations import Call, Done, Operation, Tools, always, photos, render, searching
from countenance.operations.galleries import population, present
from countenance.operations.photos import Sighting
from countenance.operations.users import named
from countenance.types import Action, Embedding, Gallery, UserCandidate, Vector

USERS = searching.Asks("UserMatchThreshold", "MaxUsers", searching.MOST)


def search_users(call: Call, tools: Tools) -> Done:
    """Users like a face that is enrolled, or like a user, who is left out himself."""
    request = call.request
    if ("FaceId" in request) == ("UserId" in request):
        raise InvalidParameter(detail="say FaceId or UserId, one of them")
    gallery = searching.searchable(call, tools)
    itself = -1
    searched: render.Shape
    with tools.database.reading() as connection:
        if "FaceId" in request:
            vector = store.vector(connection, gallery, request["FaceId"])
            end = distinct.of_face(request["FaceId"])
            searched = {"SearchedFace": {"FaceId": request["FaceId"]}}
        else:
            user = named(connection, gallery, request["UserId"])
            vector, itself, end = (
                users.vector(connection, gallery, user),
                user.number,
                distinct.of_user(user.number),
            )
            searched = {"SearchedUser": {"UserId": user.user_id}}
        barred = distinct.barred(connection, gallery, end)
    if vector is None and "FaceId" in request:
        raise InvalidParameter("faceId was not found in the collection.")
    if vector is None:
        raise InvalidParameter(detail=f"user {request['UserId']} has no faces to search with")
    return _answer(call, tools, Embedding(vector, gallery.model), barred, searched, itself)


def search_users_by_image(call: Call, tools: Tools) -> Done:
    """Users like the largest face of a photo that passes the filter; no candidates where there is none."""
    gallery = searching.searchable(call, tools)
    image = photos.fetch(call.request["Image"], tools)
    seen = photos.look(image, tools, call.request["QualityFilter"])
    used = next((sighting for sighting in seen if not sighting.reasons), None)
    others = [
        {"FaceDetails": _detail(other), "Reasons": list(other.reasons or ("FACE_NOT_LARGEST",))}
        for other in seen
        if other is not used
    ]
    if used is None:
        nobody: render.Shape = {"UserMatches": [], "UnsearchedFaces": others}
        return searching.told(call, tools, USERS, nobody, similarities=[], subjects=[], kept_out=0)
    [probe] = tools.vision.embed(image, [used.face], [used.description])
    with tools.database.reading() as connection:
        barred = distinct.barred(connection, gallery, distinct.of_photo(photos.image_id(image)))
    searched = {"SearchedFace": {"FaceDetail": _detail(used)}, "UnsearchedFaces": others}
    return _answer(call, tools, probe, barred, searched)


def _answer(
    call: Call,
    tools: Tools,
    probe: Embedding,
    barred: distinct.Barred,
    searched: render.Shape,
    itself: int = -1,
) -> Done:
    """itself: the row of the user who is looked for, where it is one."""
    gallery, spare = present(call), 2 + len(barred.users)  # the next after the last, and itself
    found = searching.search(call, tools, USERS, tools.galleries.identify_user, probe, spare=spare)
    others = [candidate for candidate in found if candidate.user.number != itself]
    lines, kept_out = searching.apart(
        searching.reached(call, tools, USERS, others), barred.users, lambda line: line.user.number
    )
    shown = lines[: call.request["MaxUsers"]]
    nearest, subjects = _nearest(tools, gallery, [line for line, _ in shown], probe.vector)
    answer: render.Shape = {
        **searched,
        "UserMatches": [
            {
                "Similarity": similarity,
                "User": render.user(line.user),
                **({"NearestFace": nearest[line.user.number]} if line.user.number in nearest else {}),
            }
            for line, similarity in shown
        ],
    }
    notes = render.nearest([nearest[line.user.number] for line, _ in shown if line.user.number in nearest])
    if lines:
        second = lines[1][1] if len(lines) > 1 else call.request[USERS.threshold]
        ahead = render.similarity(lines[0][1] - second)
        answer["Margin"] = {"Points": ahead, "AtLeast": len(lines) < 2}
        notes = {**notes, "x-countenance-margin": f"{ahead:g}" + ("; at-least" if len(lines) < 2 else "")}
    similarities = [similarity for _, similarity in shown]
    return searching.told(
        call,
        tools,
        USERS,
        answer,
        similarities=similarities,
        subjects=subjects,
        kept_out=kept_out,
        notes=notes,
    )


def _nearest(
    tools: Tools, gallery: Gallery, shown: Sequence[UserCandidate], probe: Vector
) -> tuple[Mapping[int, render.Shape], list[bytes]]:
    """Of each candidate the face most like the probe, by the user's row; and the keys of all the faces."""
    calibration = tools.vision.calibration(population(gallery))
    found: dict[int, render.Shape] = {}
    with tools.database.reading() as connection:
        known = users.faces_of(connection, gallery, [line.user.number for line in shown])
        for number, faces in known.items():
            scores = cosines(np.stack(list(faces.values())), probe)
            best = int(scores.argmax())
            similarity = render.similarity(calibration.similarity(float(scores[best])))
            found[number] = {"FaceId": list(faces)[best], "Similarity": similarity}
        first = [face["FaceId"] for face in found.values()]
        every = dict.fromkeys([*first, *(face_id for faces in known.values() for face_id in faces)])
        subjects = dict.fromkeys(concerned.subjects(connection, gallery, list(every)))
    return found, list(subjects)


def _detail(sighting: Sighting) -> render.Shape:
    return render.face_detail(sighting.face, sighting.description)


OPERATIONS = {
    "SearchUsers": Operation(
        search_users,
        always(Action.IDENTIFY),
        USERS.defaults,
        threshold=lambda request: request[USERS.threshold],
        settled=USERS.settled,
    ),
    "SearchUsersByImage": Operation(
        search_users_by_image,
        always(Action.IDENTIFY),
        {**USERS.defaults, "QualityFilter": "NONE"},
        threshold=lambda request: request[USERS.threshold],
        settled=USERS.settled,
    ),
}
