"""What a photo shows, nothing kept: DetectLabels."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from countenance.ledger import Told
from countenance.operations import Call, Done, Operation, Tools, always, extras, photos, render
from countenance.types import Action, Label
from countenance.vision import colours
from countenance.vision.taxonomy import taxonomy

MOST: Final = 1000
"""Labels in one answer, however many are asked for (Rekognition's)."""

CONFIDENCE: Final = 55.0
"""The least Confidence of a call that names none (Rekognition's, percent)."""

COLOURS: Final = 10
"""Dominant colours of a call that names no number (Rekognition's)."""


@dataclass(frozen=True, slots=True)
class Filters:
    """Which labels a call wants, by name and by category. An exclusion beats an inclusion."""

    names: frozenset[str] = frozenset()
    categories: frozenset[str] = frozenset()
    not_names: frozenset[str] = frozenset()
    not_categories: frozenset[str] = frozenset()

    @classmethod
    def of(cls, settings: Mapping[str, Sequence[str]]) -> Filters:
        """As a request's GeneralLabels says them."""
        members = (
            "LabelInclusionFilters",
            "LabelCategoryInclusionFilters",
            "LabelExclusionFilters",
            "LabelCategoryExclusionFilters",
        )
        return cls(*(frozenset(settings.get(member, ())) for member in members))

    def let(self, label: Label) -> bool:
        """Whether the call wants this label."""
        category = taxonomy().entries[label.name].category
        if label.name in self.not_names or category in self.not_categories:
            return False
        wanted = self.names | self.categories
        return not wanted or label.name in self.names or category in self.categories

    @property
    def unknown(self) -> Collection[str]:
        """The names and categories that no label here has: they match nothing."""
        strange = (self.names | self.not_names) - taxonomy().entries.keys()
        return strange | (self.categories | self.not_categories) - taxonomy().categories


def detect_labels(call: Call, tools: Tools) -> Done:
    """What a photo shows, and its colours, brightness, sharpness and contrast, as the call asks for them."""
    request = call.request
    labeler = tools.vision.labeler
    extras.needed(call, "labels", labeler.cards if labeler else ())
    image = photos.fetch(request["Image"], tools)
    features = request["Features"] or ["GENERAL_LABELS"]
    settings = request.get("Settings", {})
    filters = Filters.of(settings.get("GeneralLabels", {}))
    seen = tools.vision.label(image)
    answer: dict[str, Any] = {"Labels": [], "LabelModelVersion": tools.vision.label_model}
    painted = colours.Painted(image) if "IMAGE_PROPERTIES" in features else None
    most = settings.get("ImageProperties", {}).get("MaxDominantColors", COLOURS)
    if painted is not None:
        things = [each.box for label in seen for each in label.instances if each.confidence >= CONFIDENCE]
        answer["ImageProperties"] = render.image_properties(painted.looks(things), most)
    if "GENERAL_LABELS" in features:
        labels = wanted(seen, filters, request["MinConfidence"], request["MaxLabels"])
        answer["Labels"] = [render.label(each, painted, most) for each in labels]
    return Done(
        answer, Told(further={"labels": len(answer["Labels"])}), render.unknown_filters(filters.unknown)
    )


def wanted(labels: Sequence[Label], filters: Filters, least: float, most: int) -> list[Label]:
    """The labels that pass, most probable first, with the instances that are as probable as asked."""
    passed = [each for each in labels if each.confidence >= least and filters.let(each)]
    return [
        Label(each.name, each.confidence, tuple(i for i in each.instances if i.confidence >= least))
        for each in passed[: min(most, MOST)]
    ]


OPERATIONS = {
    "DetectLabels": Operation(
        detect_labels,
        always(Action.LABEL),
        {"MinConfidence": CONFIDENCE, "MaxLabels": MOST, "Features": ["GENERAL_LABELS"]},
    ),
}
