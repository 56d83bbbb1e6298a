"""What `countenance find` found, as a sheet for people, a table for the terminal and facts for programs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import click

from countenance.audit import planning
from countenance.aws.declaration import PREFIX
from countenance.cli import sheet, terminal
from countenance.cli.leads import Face, Found, Lead, Odds, Probe, Refused, Search
from countenance.cli.paper import Block, Card, Cards, Grid, Heading, Notice, Picture, Text
from countenance.cli.pixels import Pixels, cut

CHILDREN = "children"

SHEETED = 200
"""Candidates on a sheet, the best: more would not load on a phone."""

LEAD = (
    "A candidate is a lead for a person to judge, not an identity. Similarity says how rarely two strangers "
    "look so alike to this model; it is not the probability that they are one person. How well it does with "
    "photos taken years apart was not measured: who has grown up since is likely to be missed, and a brother "
    "or sister to be listed instead."
)
RULE = (
    "Candidates are in the order of their best Similarity with any of the photos. The strangers that each "
    "photo lists add up: the figures above are for all of them together."
)


@dataclass(frozen=True)
class Page:
    """said: the headers of the calls. made: when."""

    found: Found
    said: Mapping[str, str]
    home: Path
    pixels: Pixels
    made: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.UTC))

    @property
    def title(self) -> str:
        return f"Leads for one person, {self.made:%Y-%m-%d}"

    @cached_property
    def leads(self) -> list[tuple[Lead, str]]:
        """Each with what its photo is called."""
        faces = _by_collection(self.found.leads)
        known = {name: self.pixels.names(name, some) for name, some in faces.items()}
        return [(lead, known[lead.collection][lead.face["FaceId"]]) for lead in self.found.leads]

    @cached_property
    def _pictures(self) -> Mapping[str, Mapping[str, Picture]]:
        """By collection and FaceId."""
        faces = _by_collection(lead for lead, _ in self.leads[:SHEETED])
        return {name: self.pixels.of(name, some) for name, some in faces.items()}

    def blocks(self) -> list[Block]:
        found = self.found
        return [
            Heading(self.title, 1),
            Text(
                f"{_counted(len(found.probes), 'photo')} of one person, "
                f"{_counted(len(found.searches), 'search', 'searches')} in "
                f"{_counted(len(found.odds), 'collection')}, {self.made:%Y-%m-%d %H:%M} UTC."
            ),
            Notice(LEAD, warning=True),
            *[Notice(_refusal(refused), warning=True) for refused in found.refused],
            Heading("The person"),
            Cards([_probe(probe) for probe in found.probes]),
            Heading("How often it is wrong"),
            *self._wrong(),
            Heading("Candidates"),
            *self._candidates(),
            Heading("What the calls said of themselves"),
            self._declared(),
            Heading("What the record holds"),
            *self._record(),
        ]

    def _wrong(self) -> list[Block]:
        odds = self.found.odds
        if not odds:
            return [Text("Nothing was searched, so that there is nothing to be wrong.")]
        rows = [
            (
                each.collection,
                f"{each.faces:,}",
                each.population if each.stated else f"{each.population}, assumed",
                f"{each.threshold:.4g}",
                _figure(each.false),
                f"{_figure(100 * each.any)} %",
                "measured" if each.measured else "extrapolated",
            )
            for each in odds
        ]
        columns = ("Collection", "Faces", "Whom it shows", "Least Similarity", "Strangers", "Any", "Rests on")
        warnings = dict.fromkeys(text for each in odds for text in each.warnings)
        return [
            Text(_expected(self.found)),
            Grid("Strangers listed on average, and the chance of any, by all photos together", columns, rows),
            *[Text(f"{text[:1].upper()}{text[1:]}.") for text in warnings],
            *[Text(alike(model, odds)) for model in dict.fromkeys(s.model for s in self.found.searches)],
        ]

    def _candidates(self) -> list[Block]:
        if not self.leads:
            return [Text("No candidate. That is no proof that the person is not there.")]
        cards = [self._card(rank, *known) for rank, known in enumerate(self.leads[:SHEETED], 1)]
        grid = Grid(
            "Similarity with each photo",
            ("Candidate", *(f"Photo {each.number}" for each in self._searched)),
            [
                (f"{rank}. {name}", *(self._score(lead, each) for each in self._searched))
                for rank, (lead, name) in enumerate(self.leads[:SHEETED], 1)
            ],
        )
        left = len(self.leads) - len(cards)
        return [
            Text(RULE),
            Text(sheet.REVIEW),
            *([Text(f"{left:,} more are left out here: `--json` has all.")] if left else []),
            Cards(cards),
            *([grid] if len(self._searched) > 1 else []),
        ]

    @property
    def _searched(self) -> list[Probe]:
        return [probe for probe in self.found.probes if not probe.fault]

    def _score(self, lead: Lead, probe: Probe) -> str:
        seen = lead.by_probe.get(probe.number)
        return "not listed" if seen is None else f"{seen:.2f}"

    def _card(self, rank: int, lead: Lead, name: str) -> Card:
        picture = self._pictures[lead.collection][lead.face["FaceId"]]
        user = f", known as {lead.face['UserId']}" if "UserId" in lead.face else ""
        lines = [name, f"in {lead.collection}{user}"]
        if len(self._searched) > 1:
            lines.append(f"listed by {len(lead.by_probe)} of {len(self._searched)} photos")
        lines += [
            f"photo {probe}: {lead.by_probe[probe]:.2f}, entry {lead.decisions[probe]}"
            for probe in sorted(lead.by_probe)
        ]
        command = sheet.review(self.home, terminal.DEFAULT_HOME, lead.decisions[lead.best], lead.face)
        return Card(f"{rank}. Similarity {lead.similarity:.2f}", picture, lines, [command])

    def _declared(self) -> Block:
        if not self.said:
            return Text("Nothing: the key's own purpose and place held, and no case or authority was named.")
        rows = [(_word(name), value) for name, value in self.said.items()]
        return Grid("Signed with every search", ("What", "Said"), rows)

    def _record(self) -> list[Block]:
        rows = [
            (str(probe.decision), "DetectFaces", f"photo {probe.number}", "", _counted(probe.faces, "face"))
            for probe in self.found.probes
            if probe.decision is not None
        ]
        rows += [
            (
                str(search.decision),
                "SearchFacesByImage",
                f"photo {search.probe}",
                search.collection,
                _counted(len(search.matches), "candidate"),
            )
            for search in self.found.searches
        ]
        rows += [
            (str(no.decision), "SearchFacesByImage", f"photo {no.probe}", no.collection, no.code)
            for no in self.found.refused
            if no.decision is not None
        ]
        return [
            Text(
                "Every call is an entry of the ledger, decided before anybody was looked for. "
                "`countenance receipt NUMBER` gets what proves one to others."
            ),
            Grid("Calls", ("Entry", "Operation", "Photo", "Collection", "Came to"), rows),
        ]

    def facts(self) -> dict[str, Any]:
        """The same for programs, AWS's members by AWS's names."""
        found = self.found
        return {
            "probes": [_photo(probe) for probe in found.probes],
            "declared": dict(self.said),
            "expected_false_candidates": found.false,
            "chance_of_any_at_most": found.any,
            "collections": [_odds(each) for each in found.odds],
            "refused": [
                {"collection": no.collection, "code": no.code, "message": no.message, "decision": no.decision}
                for no in found.refused
            ],
            "searches": [_search(search) for search in found.searches],
            "candidates": [_candidate(rank, *known) for rank, known in enumerate(self.leads, 1)],
        }

    def show(self) -> None:
        """A table and what must be read beside it."""
        for probe in self.found.probes:
            click.echo(f"Photo {probe.number}: {probe.photo.path}, {_taken(probe)}")
        rows = [
            (rank, f"{lead.similarity:.2f}", len(lead.by_probe), lead.collection, name, lead.face["FaceId"])
            for rank, (lead, name) in enumerate(self.leads, 1)
        ]
        if rows:
            terminal.print_table(
                ("", "similarity>", "photos>", "collection", "enrolled from", "face id"), rows
            )
        elif self.found.searches:
            click.echo("No candidate. That is no proof that the person is not there.")
        if self.found.searches:
            click.echo(_expected(self.found))
            for model in dict.fromkeys(search.model for search in self.found.searches):
                click.echo(alike(model, self.found.odds))
            click.echo(LEAD)
        if self.leads:
            lead = self.leads[0][0]
            command = sheet.review(self.home, terminal.DEFAULT_HOME, lead.decisions[lead.best], lead.face)
            click.echo(f"What you find out, you record: {command}")
        for no in self.found.refused:
            click.echo(f"Error: {_refusal(no)}", err=True)


def _by_collection(leads: Iterable[Lead]) -> Mapping[str, list[Face]]:
    faces: dict[str, list[Face]] = {}
    for lead in leads:
        faces.setdefault(lead.collection, []).append(lead.face)
    return faces


def alike(model: str, odds: list[Odds]) -> str:
    """How much more often than adults this model takes strangers' children for each other, at the thresholds
    that were used; nothing of a model that has no curve for them."""
    if model not in planning.models() or CHILDREN not in planning.populations(model):
        return f"How much alike children look to {model} is not on its card."
    adults = [each for each in odds if each.population != CHILDREN]
    least = min((each.threshold for each in adults), default=80.0)
    times = planning.confused(model, CHILDREN, least)
    rate = max((each.rate for each in adults), default=1e-4)
    told = (
        f"Strangers' children look alike to this model more often than adults: at the cosine that is a "
        f"Similarity of {least:.4g} for adults, in one comparison of {1 / min(1, rate * times):,.0f} instead "
        f"of one of {1 / rate:,.0f}, {times:,.0f} times as often."
    )
    if any(not each.stated for each in adults):
        told += " A collection that shows children says so by the tag countenance:subjects=children."
    return told


def _expected(found: Found) -> str:
    several = len(found.searches) > 1
    return (
        f"If the person is {'in none of the collections' if len(found.odds) > 1 else 'not there'}, "
        f"{f'these {len(found.searches)} searches list' if several else 'this search lists'} "
        f"{_figure(found.false)} strangers on average, and any at all with a chance of at most "
        f"{_figure(100 * found.any)} %."
    )


def _photo(probe: Probe) -> dict[str, Any]:
    return {
        "number": probe.number,
        "photo": str(probe.photo.path),
        "faces": probe.faces,
        "SearchedFaceBoundingBox": probe.box,
        "decision": probe.decision,
        "error": probe.fault or None,
    }


def _search(search: Search) -> dict[str, Any]:
    return {
        "decision": search.decision,
        "photo": search.probe,
        "collection": search.collection,
        "FaceModelVersion": search.model,
        "Countenance": search.figures,
        "FaceMatches": search.matches,
    }


def _candidate(rank: int, lead: Lead, name: str) -> dict[str, Any]:
    return {
        "rank": rank,
        "collection": lead.collection,
        "Similarity": lead.similarity,
        "photos": {str(probe): score for probe, score in lead.by_probe.items()},
        "review": lead.decisions[lead.best],
        "photo": name,
        "Face": lead.face,
    }


def _odds(odds: Odds) -> dict[str, Any]:
    return {
        "collection": odds.collection,
        "faces": odds.faces,
        "population": odds.population,
        "population_stated": odds.stated,
        "threshold": odds.threshold,
        "expected_false_candidates": odds.false,
        "chance_of_any_at_most": odds.any,
        "measured": odds.measured,
        "warnings": list(odds.warnings),
    }


def _probe(probe: Probe) -> Card:
    picture = Picture(f"Photo {probe.number}: {probe.fault}")
    if probe.box is not None:
        picture = Picture(f"The face searched with, in {probe.photo.path}", cut(probe.photo, probe.box))
    return Card(f"Photo {probe.number}", picture, [str(probe.photo.path), _taken(probe)])


def _taken(probe: Probe) -> str:
    if probe.fault:
        return f"not searched with: {probe.fault}"
    if probe.faces == 1:
        return "one face"
    return f"{probe.faces} faces: the largest was searched for; crop the photo to search for another"


def _refusal(no: Refused) -> str:
    parts = [f"{no.collection} was not searched.", f"{no.code}: {no.message.rstrip('.')}."]
    if "header x-countenance-" in no.message:
        parts.append("The command's --help lists the options that say it.")
    if no.decision is not None:
        parts.append(f"It is entry {no.decision} of the ledger.")
    return " ".join(parts)


def _word(header: str) -> str:
    return header.removeprefix(PREFIX).replace("-", " ")


def _counted(number: int, one: str, several: str = "") -> str:
    return f"{number:,} {one if number == 1 else several or f'{one}s'}"


def _figure(value: float) -> str:
    """Three digits, never as a power of ten where people read it."""
    return (
        f"{value:,.0f}"
        if value >= 100
        else f"{value:.3g}"
        if value >= 0.0001 or not value
        else f"{value:.7f}"
    )
