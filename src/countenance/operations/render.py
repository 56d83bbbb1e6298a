"""Our nouns in AWS's shapes. Pure: one function a shape."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

from countenance.ledger.entry import Value
from countenance.types import (
    AgeRange,
    Attribute,
    Box,
    Description,
    Enrolled,
    Face,
    Gallery,
    Gender,
    Label,
    Landmarks,
    Line,
    Pose,
    Quality,
    Trace,
    Trait,
    User,
    Word,
)
from countenance.vision.calibration import Calibration
from countenance.vision.colours import Colour, Look, Looks, Painted
from countenance.vision.expectation import Expectation, Odds
from countenance.vision.taxonomy import taxonomy

Shape = dict[str, Any]

Whose = Literal["stated", "untagged", "assumed"]
"""Whether a collection says whom it shows, does not, or photos cannot: then adults are assumed."""

FIVE = ("eyeLeft", "eyeRight", "mouthLeft", "mouthRight", "nose")
"""The landmarks of a DEFAULT answer, in the order Rekognition gives them."""


MEMBERS: Mapping[Attribute, str] = MappingProxyType(
    {each: each.value.title().replace("_", "") for each in Attribute}
)
"""FaceDetail's member for each attribute: AgeRange for AGE_RANGE."""


def similarity(percent: float) -> float:
    """Similarity to a hundred-thousandth: float32 puts the cosine of equal faces a hair below 1, and they
    are to read 100."""
    return round(percent, 5)


def provenance(model: str, calibration: Calibration) -> Mapping[str, str]:
    """What AWS's shapes have no room for: whose scale a Similarity is on, and how far it was measured."""
    reach = f"{calibration.measured_percent:.1f}"
    return {"x-countenance-calibration": f"{model}/{calibration.population}; measured-to={reach}"}


def expected(value: Expectation, warnings: Mapping[str, str], whose: Whose) -> Mapping[str, str]:
    """What a search at this threshold lists of strangers, and what to beware of, as headers."""
    whom = f"population={value.population}" + ("" if whose == "stated" else f"; {whose}")
    stands = _stands(measured=not value.extrapolated)
    false = f"{value.false_candidates:.4g}; faces={value.faces}; fmr={value.rate:.3g}; {whom}; {stands}"
    rate = f"{value.fpir:.4g}; threshold={value.similarity:.7g}; assumes=independence; {stands}"
    return {
        "x-countenance-expected-false-candidates": false,
        "x-countenance-fpir": rate,
        **warned(warnings),
    }


def warned(warnings: Mapping[str, str]) -> Mapping[str, str]:
    """What to beware of, as a header."""
    told = ". ".join(f"{word}: {text}" for word, text in warnings.items())
    return {"x-countenance-warning": told} if told else {}


def false_pairs(value: Expectation, warnings: Mapping[str, str], whose: Whose) -> Mapping[str, str]:
    """What comparing everybody with everybody lists of strangers, as headers. value: of all those pairs."""
    whom = f"population={value.population}" + ("" if whose == "stated" else f"; {whose}")
    stands = _stands(measured=not value.extrapolated)
    told = f"{value.false_candidates:.4g}; pairs={value.faces}; fmr={value.rate:.3g}; {whom}; {stands}"
    return {"x-countenance-expected-false-pairs": told, **warned(warnings)}


def odds(value: Odds | None, among: Expectation) -> Mapping[str, str]:
    """What the caller's prior comes to, as a header; none where no prior was stated."""
    if value is None:
        return {}
    share = "none" if value.posterior is None else f"{value.posterior:.4g}"
    stands = _stands(measured=value.measured and not among.extrapolated)
    return {"x-countenance-posterior": f"{share}; prior={value.prior:g}; tpr={value.tpr:.3g}; {stands}"}


def recorded(value: Expectation, warnings: Collection[str], odds: Odds | None = None) -> Mapping[str, Value]:
    """The same for the ledger, which has size, threshold, curve and prior in the decision."""
    figures: dict[str, Value] = {
        "expected_false_candidates": f"{value.false_candidates:.4g}",
        "fmr": f"{value.rate:.3g}",
        "fpir": f"{value.fpir:.4g}",
    }
    if odds is not None:
        figures["tpr"] = f"{odds.tpr:.3g}"
        figures |= {} if odds.posterior is None else {"posterior": f"{odds.posterior:.4g}"}
    return {**figures, **({"warnings": list(warnings)} if warnings else {})}


def figures(
    model: str,
    calibration: Calibration,
    value: Expectation,
    warnings: Mapping[str, str],
    whose: Whose,
    odds: Odds | None,
) -> Shape:
    """The same as the member that our service model adds to an answer."""
    shape: Shape = {
        "ExpectedFalseCandidates": value.false_candidates,
        "FPIR": value.fpir,
        "FalseMatchRate": value.rate,
        "Faces": value.faces,
        "Threshold": value.similarity,
        "Measured": not value.extrapolated,
        "Warnings": [{"Code": word, "Message": text} for word, text in warnings.items()],
        "Calibration": {
            "Model": model,
            "Population": calibration.population,
            "Stated": whose == "stated",
            "MeasuredTo": calibration.measured_percent,
            "Digest": calibration.digest,
            "Source": calibration.source,
        },
    }
    if odds is not None:
        shape |= {
            "Prior": odds.prior,
            "TruePositiveRate": odds.tpr,
            "TruePositiveRateMeasured": odds.measured,
        }
        shape |= {} if odds.posterior is None else {"Posterior": odds.posterior}
    return shape


def _stands(*, measured: bool) -> str:
    return "measured" if measured else "extrapolated"


def not_offered(attributes: Collection[str]) -> Mapping[str, str]:
    """What no model here backs, though it was asked for or AWS tells it; AWS's shapes would just lack it."""
    return {"x-countenance-not-offered": ", ".join(sorted(attributes))} if attributes else {}


def bounding_box(box: Box) -> Shape:
    return {"Width": box.width, "Height": box.height, "Left": box.left, "Top": box.top}


def landmarks(description: Description, *, every: bool) -> list[Shape]:
    names = tuple(description.points) if every else FIVE
    points = ((name, description.points[name]) for name in names)
    return [{"Type": name, "X": point.x, "Y": point.y} for name, point in points]


def detected(value: Landmarks) -> list[Shape]:
    """The five points that the detector gave."""
    points = (value.eye_left, value.eye_right, value.mouth_left, value.mouth_right, value.nose)
    return [{"Type": name, "X": point.x, "Y": point.y} for name, point in zip(FIVE, points, strict=True)]


def pose(value: Pose) -> Shape:
    return {"Roll": value.roll, "Yaw": value.yaw, "Pitch": value.pitch}


def quality(value: Quality) -> Shape:
    return {"Brightness": value.brightness, "Sharpness": value.sharpness}


def trait(value: Trace) -> Any:
    """An attribute's value in FaceDetail."""
    match value:
        case Trait() | Gender():
            return {"Value": value.value, "Confidence": value.confidence}
        case AgeRange():
            return {"Low": value.low, "High": value.high}
        case _:
            return [{"Type": each.kind, "Confidence": each.confidence} for each in value]


def face_detail(face: Face, description: Description, *, every: bool = False) -> Shape:
    """FaceDetail as DEFAULT asks for it, with the traits there are; `every` adds the landmarks of ALL."""
    return {
        "BoundingBox": bounding_box(face.box),
        "Landmarks": landmarks(description, every=every),
        "Pose": pose(description.pose),
        "Quality": quality(description.quality),
        "Confidence": face.confidence,
        **{MEMBERS[name]: trait(value) for name, value in description.traits.items()},
    }


def enrolled_face(face: Enrolled) -> Shape:
    """Face: what is told of a template."""
    shape: Shape = {
        "FaceId": face.face_id,
        "BoundingBox": bounding_box(face.box),
        "ImageId": face.image_id,
        "Confidence": face.confidence,
        "IndexFacesModelVersion": face.model,
    }
    if face.external_image_id is not None:
        shape["ExternalImageId"] = face.external_image_id
    if face.user_id is not None:
        shape["UserId"] = face.user_id
    return shape


def user(value: User) -> Shape:
    """User, and MatchedUser: who has no face yet was only created."""
    return {"UserId": value.user_id, "UserStatus": "ACTIVE" if value.faces else "CREATED"}


SHOWN = 20
"""Nearest faces in a header: a proxy takes no more than a few thousand characters."""


def nearest(faces: Sequence[Shape]) -> Mapping[str, str]:
    """Of the best candidates the enrolled face behind each, as a header."""
    told = ", ".join(f"{face['FaceId']}; similarity={face['Similarity']:g}" for face in faces[:SHOWN])
    return {"x-countenance-nearest-faces": told} if told else {}


def text(value: Line | Word) -> Shape:
    """What TextDetection tells of a line and of a word alike."""
    return {
        "DetectedText": value.text,
        "Confidence": value.confidence,
        "Geometry": {
            "BoundingBox": bounding_box(value.box),
            "Polygon": [{"X": corner.x, "Y": corner.y} for corner in value.corners],
        },
    }


def collection_arn(gallery: Gallery, region: str) -> str:
    return f"arn:aws:rekognition:{region}:{gallery.account}:collection/{gallery.collection_id}"


def tags(values: Mapping[str, str]) -> Shape:
    return {"Tags": dict(values)}


def label(value: Label, painted: Painted | None = None, most: int = 0) -> Shape:
    """Label. painted: the picture's colours, where they were asked for; most: of each instance."""
    entry = taxonomy().entries[value.name]
    instances = []
    for each in value.instances:
        shape: Shape = {"BoundingBox": bounding_box(each.box), "Confidence": each.confidence}
        if painted is not None:
            shape["DominantColors"] = [colour(one) for one in painted.inside(each.box)[:most]]
        instances.append(shape)
    return {
        "Name": value.name,
        "Confidence": value.confidence,
        "Instances": instances,
        "Parents": [{"Name": name} for name in taxonomy().ancestors(value.name)],
        "Aliases": [{"Name": name} for name in entry.aliases],
        "Categories": [{"Name": entry.category}],
    }


def colour(value: Colour) -> Shape:
    """DominantColor."""
    return {
        "Red": value.red,
        "Green": value.green,
        "Blue": value.blue,
        "HexCode": value.hex,
        "CSSColor": value.css,
        "SimplifiedColor": value.simple,
        "PixelPercent": value.percent,
    }


def image_properties(value: Looks, most: int) -> Shape:
    """DetectLabelsImageProperties. most: dominant colours of each part."""

    def look(part: Look) -> Shape:
        quality = {"Brightness": part.brightness, "Sharpness": part.sharpness, "Contrast": part.contrast}
        return {"Quality": quality, "DominantColors": [colour(each) for each in part.colours[:most]]}

    return {**look(value.whole), "Foreground": look(value.foreground), "Background": look(value.background)}


def unknown_filters(names: Collection[str]) -> Mapping[str, str]:
    """Filters that name no label or category known here."""
    return {"x-countenance-unknown-filters": ", ".join(sorted(names))} if names else {}
