"""Unsafe content of a photo, nothing kept: DetectModerationLabels."""

from __future__ import annotations

from typing import Final

from countenance.errors import InvalidParameter, ResourceNotFound
from countenance.operations import Call, Done, Operation, Tools, always, extras, photos, render
from countenance.types import Action

TOP: Final = (
    "Explicit",
    "Non-Explicit Nudity of Intimate parts and Kissing",
    "Swimwear or Underwear",
    "Violence",
    "Visually Disturbing",
    "Drugs & Tobacco",
    "Alcohol",
    "Rude Gestures",
    "Gambling",
    "Hate Symbols",
)
"""The top level of Rekognition's taxonomy, version 7 ("Using the image and video moderation APIs")."""


def detect_moderation_labels(call: Call, tools: Tools) -> Done:
    """The labels that a model here backs and the photo reaches, the likeliest first.

    The others are never told, and a header says which they are: that a picture is not Violence is not known.
    """
    request, moderator = call.request, tools.vision.moderator
    extras.needed(call, "moderation", (moderator.card,) if moderator else ())
    if "HumanLoopConfig" in request:
        raise InvalidParameter(detail="HumanLoopConfig is not offered here: nobody is there to ask")
    if "ProjectVersion" in request:
        raise ResourceNotFound(f"The project version {request['ProjectVersion']} does not exist")
    chances = tools.vision.moderate(photos.fetch(request["Image"], tools))
    told = sorted(chances.items(), key=lambda each: -each[1])
    answer = {
        "ModerationLabels": [
            {"Name": name, "ParentName": "", "TaxonomyLevel": 1, "Confidence": confidence}
            for name, confidence in told
            if confidence >= request["MinConfidence"]
        ],
        "ModerationModelVersion": moderator.card.id if moderator else "",
        "ContentTypes": [],
    }
    return Done(
        answer, notes=render.not_offered([*(name for name in TOP if name not in chances), "ContentTypes"])
    )


OPERATIONS = {
    "DetectModerationLabels": Operation(
        detect_moderation_labels, always(Action.LABEL), {"MinConfidence": 50.0}
    )
}
