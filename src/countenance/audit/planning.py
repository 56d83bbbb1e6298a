"""What a watch over a crowd would come to, before anybody is searched: how many alerts are right. Pure.

Of a crowd C, T are listed in a gallery. At a threshold the system alerts to T * TPIR of them and to
(C - T) * FPIR of the others (ISO/IEC 19795-1), so an alert is right with the chance T * TPIR / all alerts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from countenance.vision.calibration import ADULTS, Calibration
from countenance.vision.expectation import expectation, fpir, keeping, likelier, rate_for
from countenance.vision.zoo import card, cards


class Standing(StrEnum):
    """What a false match rate rests on: 30 measured errors, the curve's tail, or a line past its end."""

    MEASURED = "measured"
    EXTRAPOLATED = "extrapolated"
    BEYOND = "beyond the scale"


@dataclass(frozen=True, slots=True)
class Scene:
    """gallery: faces searched. crowd: people who walk by, the listed among them. listed: of those, who is in
    the gallery. tpir: the share [0, 1] of the listed who are found."""

    gallery: int
    crowd: int
    listed: int
    tpir: float


@dataclass(frozen=True, slots=True)
class Row:
    """One threshold. similarity, cosine: None where the model has none. rate: FMR. right, wrong: alerts to
    somebody listed and to somebody else, on average."""

    similarity: float | None
    cosine: float | None
    rate: float
    fpir: float
    standing: Standing
    right: float
    wrong: float

    @property
    def posterior(self) -> float | None:
        """The chance that an alert is right; None where there are no alerts."""
        return self.right / (self.right + self.wrong) if self.right + self.wrong else None


def models() -> tuple[str, ...]:
    """The models that tell people apart, by their cards' ids."""
    return tuple(each.id for each in cards() if each.calibrations)


def curve(model: str, population: str) -> Calibration:
    """Raises ModelError for a model that is not known; KeyError for a population it is not calibrated for."""
    return card(model).calibrations[population]


def populations(model: str) -> tuple[str, ...]:
    return tuple(card(model).calibrations)


def confused(model: str, population: str, similarity: float) -> float:
    """How many times as often as adults people of a population are taken for each other, at one cosine."""
    return likelier(curve(model, population), curve(model, ADULTS), similarity)


def plan(
    calibration: Calibration, scene: Scene, similarities: Iterable[float], targets: Iterable[float]
) -> tuple[Row, ...]:
    """A row for each Similarity and for each FPIR that is to be kept, most false alerts first."""
    rows = [_at(calibration, scene, percent) for percent in similarities]
    rows += [_keeping(calibration, scene, target) for target in targets]
    return tuple(sorted(rows, key=lambda row: -row.fpir))


def _at(calibration: Calibration, scene: Scene, similarity: float) -> Row:
    expected = expectation(calibration, similarity, scene.gallery)
    return _row(calibration, scene, similarity, expected.rate, expected.fpir)


def _keeping(calibration: Calibration, scene: Scene, target: float) -> Row:
    similarity = keeping(target, scene.gallery)
    if similarity is not None:
        return _at(calibration, scene, similarity)
    rate = rate_for(target, scene.gallery)
    cosine = calibration.continued(rate)
    beyond = None if cosine is None else calibration.similarity(cosine)
    return Row(beyond, cosine, rate, fpir(rate, scene.gallery), Standing.BEYOND, *_alerts(scene, target))


def _row(calibration: Calibration, scene: Scene, similarity: float, rate: float, share: float) -> Row:
    standing = Standing.EXTRAPOLATED if calibration.extrapolated(similarity) else Standing.MEASURED
    cosine = calibration.cosine(similarity)
    return Row(similarity, cosine, rate, share, standing, *_alerts(scene, share))


def _alerts(scene: Scene, share: float) -> tuple[float, float]:
    """(right, wrong) alerts where `share` is FPIR."""
    return scene.listed * scene.tpir, (scene.crowd - scene.listed) * share
