"""How often a search lists a stranger, from the false match rate of one comparison. Pure.

By ISO/IEC 19795-1: FMR is the share of comparisons of two different people that reach the threshold, FPIR the
share of searches for people who are not enrolled that list anybody. In N faces FPIR = 1 - (1 - FMR)^N if the
comparisons are independent. They are not: some people look like many others, and siblings, people of one age
and origin, and several photos of one person come together. What is expected on average, N times FMR, does not
need it. FMR is the card's: pairs of one sex, world-wide, the upper end of a 95 % interval.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from countenance.vision.calibration import ADULTS, RAREST, Calibration, Genuine, fmr, percent


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a threshold comes to in a collection whose faces are all strangers to the one that is looked for.

    similarity: the threshold, percent. rate: FMR of one comparison at it, never under 1e-7. extrapolated:
    whether fewer than 30 measured false matches stand behind that rate.
    """

    population: str
    faces: int
    similarity: float
    rate: float
    extrapolated: bool

    @property
    def false_candidates(self) -> float:
        """How many faces a search lists on average, MaxFaces aside."""
        return self.faces * self.rate

    @property
    def fpir(self) -> float:
        return fpir(self.rate, self.faces)


@dataclass(frozen=True, slots=True)
class Odds:
    """What a caller's own prior makes of a threshold: of the candidates it lists, how many are right.

    prior: the caller's estimate (0, 1) that the person searched for is enrolled. tpr: the share [0, 1] of
    comparisons of one person's photos that reach the threshold. measured: whether 30 pairs stand behind it,
    of the population that is searched. posterior: [0, 1]; None where nothing would be listed.
    """

    prior: float
    tpr: float
    measured: bool
    posterior: float | None


def odds(expected: Expectation, prior: float, genuine: Genuine, cosine: float) -> Odds:
    """The odds of a candidate at a threshold's cosine. The share is that of adults, whoever is searched."""
    tpr = genuine.share(cosine)
    measured = genuine.measured(cosine) and expected.population == ADULTS
    return Odds(prior, tpr, measured, posterior(prior, tpr, expected.rate, expected.faces))


def posterior(prior: float, tpr: float, rate: float, faces: int) -> float | None:
    """Of all candidates that searches with this prior list among `faces`, the share that is right.

    A search lists its person prior * tpr times on average, and rate * (faces - prior) others: that person has
    one photo there where enrolled, and averages need no independence. None where both are 0.
    """
    right, wrong = prior * tpr, rate * max(faces - prior, 0.0)
    return right / (right + wrong) if faces and right + wrong else None


def expectation(calibration: Calibration, similarity: float, faces: int) -> Expectation:
    extrapolated = calibration.extrapolated(similarity)
    return Expectation(calibration.population, faces, similarity, fmr(similarity), extrapolated)


def fpir(rate: float, faces: int) -> float:
    """The share of strangers' searches that list anybody. rate: FMR [0, 1]. Assumes independence."""
    if rate >= 1:
        return float(faces > 0)
    return -math.expm1(faces * math.log1p(-rate))


def rate_for(target: float, faces: int) -> float:
    """The FMR at which FPIR among `faces`, at least one, is `target` (0, 1). Assumes independence."""
    return -math.expm1(math.log1p(-target) / faces)


def keeping(target: float, faces: int) -> float | None:
    """The least Similarity, to four places, that keeps FPIR among `faces` at or under `target` (0, 1).

    None where it takes a rate rarer than 1e-7: the scale claims none.
    """
    rate = rate_for(target, max(faces, 1))
    return None if rate < RAREST else math.ceil(percent(rate) * 10_000) / 10_000


def likelier(own: Calibration, other: Calibration, similarity: float) -> float:
    """How many times as often `own` people are taken for each other as `other` ones, at the cosine where the
    others have that Similarity."""
    return fmr(own.similarity(other.cosine(similarity))) / fmr(similarity)
