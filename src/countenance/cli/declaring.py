"""What a command of the shell says of its calls: `--purpose`, `--case` and their like, a signed header each.

Words go to the door as they are typed: it alone knows which packs are in force, and what it says of a wrong
one is what the user reads.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from countenance.aws import declaration
from countenance.declared import AuthorisationKind, Listing, Venue

SAID: Mapping[str, str] = {
    "purpose": "What the call is for: one of the purposes that the key was made for.",
    "place": "Where it takes effect: the organisation's own place, or one in it.",
    "venue": "Where the camera stands or the photo was taken.",
    "realtime": "Whether people are looked for while they are there, not in recordings.",
    "public_space": "Whether anybody can walk into the picture.",
    "mobile_camera": "Whether the camera moves: worn, held, driven or flown.",
    "case": "The caller's own number for the matter.",
    "offence": "What is investigated.",
    "authorisation": "An authority's permission.",
    "evidence": "What, apart from this system, points at the person, or to them being there.",
    "listing": "Why the person is looked for.",
    "reviewers": "Who will judge the candidates.",
    "on_behalf_of": "Who asked for it. The call is then decided twice, as theirs too.",
    "max_fpir": "Of searches for people who are not enrolled, the share that may list anybody: sets the "
    "threshold of a search.",
    "prior": "The caller's own estimate that the person searched for is enrolled, or that two photos show "
    "one person: the answer then says how many of such candidates are right.",
}
"""What each thing that a call may say of itself tells."""

AUTHORISATION = "id=...; kind=...; issued-by=...; from=...; until=..."


class _Said(click.Option):
    """An option that says something of the call, not of what the command does."""


class Command(click.Command):
    """A command whose help lists apart what a call may say of itself."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        of_call = "What the call says of itself, for policy to decide by"
        for title, kind in (("Options", click.Option), (of_call, _Said)):
            rows = [each.get_help_record(ctx) for each in self.get_params(ctx) if type(each) is kind]
            with formatter.section(title):
                formatter.write_dl([row for row in rows if row])


def options(command: Callable[..., None]) -> Callable[..., None]:
    """Add an option for each thing that a call may say; `command` gets the headers that say it as `said`."""

    @functools.wraps(command)
    def told(**given: Any) -> None:
        words = {field: _written(field, given.pop(field)) for field in SAID}
        command(
            **given,
            said=declaration.typed({field: word for field, word in words.items() if word is not None}),
        )

    for option in reversed([_option(field) for field in SAID]):
        option(told)
    return told


def requester(text: str) -> tuple[str, str, Sequence[str]]:
    """Kind, place and groups of KIND:PLACE or KIND:PLACE:GROUP,GROUP. Raises click.BadParameter."""
    kind, _, rest = text.partition(":")
    place, colon, groups = rest.partition(":")
    if not (kind and place) or bool(colon) != bool(groups):
        raise click.BadParameter(
            f"{text!r} is not written as KIND:PLACE, such as police:US-CA, or KIND:PLACE:GROUP.",
            param_hint="--on-behalf-of",
        )
    return kind, place, groups.split(",") if groups else ()


def _option(field: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    name = f"--{field.replace('_', '-')}"
    make = functools.partial(click.option, cls=_Said)
    match field:
        case "realtime" | "public_space" | "mobile_camera":
            return make(f"{name}/--not-{name[2:]}", field, default=None, help=SAID[field])
        case "venue" | "listing":
            words = ", ".join(Venue if field == "venue" else Listing)
            return make(name, metavar="WORD", help=f"{SAID[field]} One of {words}.")
        case "authorisation":
            kinds = ", ".join(AuthorisationKind)
            return make(
                name, metavar="TEXT", help=f"{SAID[field]} Written {AUTHORISATION}; kinds are {kinds}."
            )
        case "reviewers":
            return make(
                "--reviewer", field, metavar="NAME", multiple=True, help=f"{SAID[field]} May be repeated."
            )
        case "on_behalf_of":
            return make(name, metavar="KIND:PLACE[:GROUP,...]", help=SAID[field])
    written = {"case": "TEXT", "evidence": "TEXT", "max_fpir": "SHARE", "prior": "SHARE"}
    return make(name, metavar=written.get(field, "WORD"), help=SAID[field])


def _written(field: str, given: Any) -> str | None:
    """What an option was given as its header says it; None where it was not. Raises click.BadParameter."""
    match field, given:
        case (_, None) | ("reviewers", ()):
            return None
        case _, bool():
            return str(given).lower()
        case "reviewers", names:
            if "," in "".join(names):  # the header would tell of two people
                raise click.BadParameter(
                    "A name holds no comma; repeat --reviewer for another.", param_hint="--reviewer"
                )
            return ", ".join(names)
        case "on_behalf_of", text:
            kind, place, groups = requester(text)
            parts = [f"kind={kind}", f"place={place}", *([f"groups={','.join(groups)}"] if groups else ())]
            return "; ".join(parts)
    return str(given)
