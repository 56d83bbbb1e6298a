"""What `countenance groups` found, as a sheet for people, a table for the terminal and facts for programs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import click

from countenance.cli import sheet, terminal
from countenance.cli.paper import Block, Card, Cards, Grid, Heading, Notice, Picture, Text
from countenance.client import decision

Face = Mapping[str, Any]
"""AWS's Face."""

TYPICAL, UNLIKE, ALONE = 12, 3, 30
"""Faces of a group on a sheet: the most typical, and those least like the rest; and of those in no group."""

SHEETED = 200
"""Groups on a sheet, the largest: more would not load on a phone."""

COLUMNS = ("group", "faces>", "photos>", "least alike>", "most typical")
HEADS = [each.removesuffix(">").capitalize() for each in COLUMNS]

LEAD = (
    "A group is a lead for a person to judge: faces that look alike to this model, which may be one person, "
    "or a parent and a child, or twins. One person may be in several groups, above all where photos are "
    "years apart, for which nothing was measured."
)


class Source(Protocol):
    """Where faces come from: what their photos are called, and their pictures, by FaceId."""

    @property
    def lasting(self) -> bool:
        """Whether the faces are still enrolled, so that a review can name them."""
        ...

    @property
    def left_out(self) -> Sequence[tuple[str, str]]:
        """Photos, and why they were left out."""
        ...

    def names(self, faces: Iterable[Face]) -> Mapping[str, str]: ...

    def pictures(self, faces: Iterable[Face]) -> Mapping[str, Picture]: ...


@dataclass(frozen=True)
class Found:
    """The answer of GroupFaces. name: the collection or folder. threshold: the Similarity asked for."""

    name: str
    answer: Mapping[str, Any]
    threshold: float
    source: Source

    @property
    def title(self) -> str:
        return f"Who appears in {self.name}"

    @property
    def groups(self) -> list[list[Mapping[str, Any]]]:
        return [group["Members"] for group in self.answer["Groups"]]

    @property
    def alone(self) -> list[Face]:
        faces: list[Face] = self.answer["UngroupedFaces"]
        return faces

    @cached_property
    def names(self) -> Mapping[str, str]:
        every = [member["Face"] for group in self.groups for member in group]
        return self.source.names([*every, *self.alone])

    @property
    def figures(self) -> list[str]:
        """What to read the groups with."""
        faces = sum(map(len, self.groups)) + len(self.alone)
        headers = self.answer["ResponseMetadata"]["HTTPHeaders"]
        pairs = self.answer["ExpectedFalsePairs"]
        how = headers["x-countenance-expected-false-pairs"].partition("; ")[2]
        return [
            f"If all {faces:,} faces were of different people, {pairs:,.4g} pairs of strangers would reach a "
            f"Similarity of {self.threshold:g} on average ({how}). Such pairs can join groups; a higher "
            "--threshold has fewer, and splits more people.",
            *filter(None, [headers.get("x-countenance-warning", "")]),
        ]

    def blocks(self, home: Path) -> list[Block]:
        number = decision(self.answer)
        shown = [_sample(group) for group in self.groups[:SHEETED]]
        faces = [member["Face"] for group in shown for member in group] + self.alone[:ALONE]
        known = self.source.pictures(faces)
        blocks: list[Block] = [
            Heading(self.title, 1),
            Text(
                f"{len(self.groups):,} groups, and {len(self.alone):,} faces like no other. Entry {number} "
                f"of the ledger: `countenance receipt {number}` gets what proves it."
            ),
            Notice(LEAD, warning=True),
            *map(Text, self.figures),
            Grid("Groups", HEADS, [[str(cell) for cell in row] for row in self._rows()[:SHEETED]]),
        ]
        if self.source.lasting:
            blocks.append(Text(sheet.REVIEW))
        if len(shown) < len(self.groups):
            blocks.append(Text(f"The {SHEETED} largest groups are here; `--json` has all."))
        for rank, (group, some) in enumerate(zip(self.groups, shown, strict=False), 1):
            left = "" if len(some) == len(group) else f", {len(some)} of them here"
            blocks.append(Heading(f"Group {rank}: {len(group)} faces{left}"))
            blocks.append(Cards([self._card(home, number, member, known) for member in some]))
        if self.alone:
            left = "" if len(self.alone) <= ALONE else f", {ALONE} of them here"
            blocks.append(Heading(f"Like no other: {len(self.alone)} faces{left}"))
            blocks.append(Cards([self._loner(face, known) for face in self.alone[:ALONE]]))
        if left_out := self.source.left_out:
            blocks.append(Grid("Photos that were left out", ("Photo", "Why"), left_out))
        return blocks

    def _loner(self, face: Face, known: Mapping[str, Picture]) -> Card:
        name = self.names[face["FaceId"]]
        return Card(Path(name).name, known[face["FaceId"]], [name])

    def _rows(self) -> list[tuple[object, ...]]:
        return [
            (
                rank,
                len(group),
                len({member["Face"]["ImageId"] for member in group}),
                f"{min(member['Similarity'] for member in group):.1f}",
                self.names[group[0]["Face"]["FaceId"]],
            )
            for rank, group in enumerate(self.groups, 1)
        ]

    def _card(self, home: Path, number: int, member: Mapping[str, Any], known: Mapping[str, Picture]) -> Card:
        face = member["Face"]
        review = [sheet.review(home, terminal.DEFAULT_HOME, number, face)] if self.source.lasting else []
        title = f"Like the others {member['Similarity']:.1f}"
        return Card(title, known[face["FaceId"]], [self.names[face["FaceId"]]], review)

    def facts(self) -> dict[str, Any]:
        """The same for programs, AWS's members by AWS's names."""
        return {
            "name": self.name,
            "decision": decision(self.answer),
            "threshold": self.threshold,
            "ExpectedFalsePairs": self.answer["ExpectedFalsePairs"],
            "figures": self.figures,
            "FaceModelVersion": self.answer["FaceModelVersion"],
            "Groups": [
                {"Members": [{**each, "photo": self.names[each["Face"]["FaceId"]]} for each in group]}
                for group in self.groups
            ],
            "UngroupedFaces": [{"Face": face, "photo": self.names[face["FaceId"]]} for face in self.alone],
            "left_out": [{"photo": place, "reason": why} for place, why in self.source.left_out],
        }

    def show(self) -> None:
        """A table and what must be read beside it."""
        if self.groups:
            terminal.print_table(COLUMNS, self._rows())
        click.echo(f"{len(self.groups):,} groups, and {len(self.alone):,} faces like no other.")
        for line in self.figures:
            click.echo(line)
        click.echo(LEAD)
        for place, why in self.source.left_out:
            click.echo(f"Left out: {place}: {why}", err=True)
        click.echo(f"This is entry {decision(self.answer)} of the ledger.")


def _sample(group: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """What a sheet shows of a group."""
    most = TYPICAL + UNLIKE
    return group if len(group) <= most else [*group[:TYPICAL], *group[-UNLIKE:]]
