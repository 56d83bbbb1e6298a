"""How alike one collection's strangers are: MeasureCollection, an operation of ours, declared in aws/data.

Two faces are an impostor pair only where labels say that they show two people: they belong to different
users, or the collection is tagged as one whose ExternalImageIds are one person each. Where nothing says so
there is no figure. Vectors are compared here; counts leave.
"""

from __future__ import annotations

import numpy as np

from countenance.audit import metrics
from countenance.errors import InvalidParameter
from countenance.galleries import impostors
from countenance.galleries.impostors import Labels, Sample
from countenance.ledger import Told
from countenance.operations import SIMILARITY, Call, Done, Operation, Tools, always, figures, render
from countenance.operations.enrolment import same_model
from countenance.operations.galleries import PEOPLE, SUBJECTS, population, present
from countenance.types import Action, Gallery
from countenance.vision.expectation import fpir

FEWEST = 3
"""People below whom nothing can be said: an interval over pairs that share people takes three."""


def measure_collection(call: Call, tools: Tools) -> Done:
    """The false match rate among the collection's own people at a threshold, counted.

    What it comes to is told of the interval's upper end, as with a card's rate: of three people none is taken
    for another at nearly every threshold, and that is no reason to expect nobody among 25,000.
    """
    gallery, similarity = present(call), call.request["FaceMatchThreshold"]
    same_model(gallery, tools)
    labels = Labels.EXTERNAL if gallery.tags.get(PEOPLE) == "one-person" else Labels.USERS
    with tools.database.reading() as connection:
        sample = impostors.sample(connection, gallery, labels)
    if len(sample.people) < FEWEST:
        raise InvalidParameter(detail=_why(gallery, labels))
    calibration = tools.vision.calibration(population(gallery))
    rate = counted(sample, calibration.cosine(similarity))
    whose: render.Whose = "stated" if SUBJECTS in gallery.tags else "untagged"
    told = figures.of(call, tools, calibration, similarity, gallery.size, whose)
    answer: render.Shape = {
        "LabelledBy": labels.value,
        "People": len(sample.people),
        "Pairs": rate.trials,
        "FalseMatches": rate.events,
        "FalseMatchRate": rate.value,
        "FalseMatchRateLow": rate.low,
        "FalseMatchRateHigh": rate.high,
        "ExpectedFalseCandidates": rate.high * gallery.size,
        "FPIR": fpir(rate.high, gallery.size),
        "FaceModelVersion": gallery.model,
        figures.MEMBER: told.member,
    }
    own = {
        "labelled_by": labels.value,
        "people": len(sample.people),
        "pairs": rate.trials,
        "false_matches": rate.events,
    }
    return Done(answer, Told(further={**told.recorded, **own}), told.notes)


def counted(sample: Sample, cosine: float) -> metrics.Rate:
    """How many pairs of two people reach a cosine. The interval respects that pairs share people."""
    wide = sample.vectors.astype(np.float64)
    reached = np.triu((wide @ wide.T >= cosine) & sample.different, 1)
    one, other = np.nonzero(reached)
    events_of = np.bincount(np.concatenate([one, other]), minlength=len(wide))
    trials_of = sample.different.sum(axis=1)
    pairs = int(trials_of.sum()) // 2
    return metrics.from_counts(len(one), pairs, events_of, trials_of, np.ones(len(one), np.int64))


def _why(gallery: Gallery, labels: Labels) -> str:
    wanted = {
        Labels.USERS: f"associate faces with users, or tag the collection {PEOPLE}=one-person if each "
        "ExternalImageId in it is one person and no two are the same",
        Labels.EXTERNAL: "give faces ExternalImageIds",
    }
    return (
        f"the labels in {gallery.collection_id} tell fewer than {FEWEST} people apart, so no figure can be "
        f"made: {wanted[labels]}"
    )


OPERATIONS = {
    "MeasureCollection": Operation(
        measure_collection, always(Action.IDENTIFY), {"FaceMatchThreshold": SIMILARITY}
    ),
}
