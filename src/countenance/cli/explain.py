"""Why a call is allowed or refused: `countenance policy explain`, of a recorded call or one made up."""

from __future__ import annotations

import copy
import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from countenance import office
from countenance import settings as homes
from countenance.aws import model
from countenance.cli import declaring, packs, terminal
from countenance.cli.access import KINDS
from countenance.declared import TAG, TAGS, AuthorisationKind, Listing, Venue
from countenance.errors import HomeError, PolicyError
from countenance.operations.catalogue import SERVED
from countenance.operations.galleries import SUBJECTS
from countenance.policy import Policy, Question, cases
from countenance.types import Action, Attribute, Decision, OrganisationKind

ALL = ("ALL",)
"""The attributes of a request that asks for as much as it can."""

_ATTRIBUTES = ("Attributes", "DetectionAttributes")

CLOSED = {
    "place": "Place",
    "seat": "Place",
    "purpose": "Purpose",
    "groups": "Group",
    "offence": "Offence",
}
"""What is said in words of the packs, and the kind of word."""

RECORDED = ("venue", "offence", "listing", "realtime", "public_space", "mobile_camera")
"""What an entry holds word by word."""

NAMED = ("case", "evidence", "authorisation", "reviewers")
"""What an entry holds only as given: it is other people's business."""


@click.command()
@click.option("--entry", type=click.IntRange(min=0), metavar="SEQ", help="A decision in the home's ledger.")
@click.option("--operation", help="An operation such as SearchFacesByImage, or an action such as identify.")
@click.option("--kind", type=click.Choice([kind.value for kind in KINDS]), help="What the caller is.")
@click.option("--place", metavar="CODE", help="Where the call is made.")
@click.option("--seat", metavar="CODE", help="Where the caller's organisation is; --place if not given.")
@click.option("--purpose", metavar="WORD")
@click.option("--group", "groups", multiple=True, metavar="WORD", help="May be repeated.")
@click.option("--date", "day", type=terminal.DAY, help="Any day; today if none is given.")
@click.option("--collection", type=click.Choice(["own", "other", "none"]), default="own", show_default=True)
@click.option("--tag", "tags", multiple=True, metavar="NAME=VALUE", help="A tag of the collection.")
@click.option(
    "--attribute",
    "attributes",
    multiple=True,
    type=click.Choice([word.value for word in Attribute]),
    help="What is to be told of each face; nothing if not given. May be repeated.",
)
@click.option("--threshold", type=terminal.PERCENT, default=cases.THRESHOLD, show_default=True)
@click.option("--venue", type=click.Choice([word.value for word in Venue]))
@click.option("--realtime", is_flag=True)
@click.option("--public-space", is_flag=True)
@click.option("--mobile-camera", is_flag=True)
@click.option("--case", metavar="TEXT")
@click.option("--offence", metavar="WORD")
@click.option("--evidence", metavar="TEXT")
@click.option("--listing", type=click.Choice([word.value for word in Listing]))
@click.option("--reviewer", "reviewers", multiple=True, metavar="NAME", help="May be repeated.")
@click.option(
    "--authorisation",
    type=click.Choice([word.value for word in AuthorisationKind]),
    help="One that is valid then.",
)
@click.option("--audit", type=click.Choice(["own", "other"]), help="A fresh one, by the operator or not.")
@click.option("--on-behalf-of", metavar="KIND:PLACE[:GROUP,...]", help="The body that the call is made for.")
@packs.option
@terminal.home_option
@terminal.json_option
def explain(
    *, entry: int | None, operation: str | None, named: str | None, home: Path, as_json: bool, **said: Any
) -> None:
    """Say which rules decide a call, in words, and what would turn them.

    The call is one you describe, on any day, or with --entry one in the home's ledger, as far as its entry
    holds the facts. Nothing is done, and nothing is recorded.
    """
    policy = Policy.read(packs.chosen(named, home))
    recorded: Mapping[str, Any] = {} if entry is None else office.entry(homes.load(home), entry)
    lines = _recorded(recorded, entry) if entry is not None else _described(operation, said, policy)
    facts = copy.deepcopy(lines)  # what is read is taken out, of what lies in them too
    try:
        questions = cases.questions(lines)
    except (KeyError, TypeError, ValueError, AttributeError) as fault:
        raise PolicyError(f"this is no call: {fault}") from fault
    decision = policy.decide_all(questions)
    _warn_of_day(questions[0].facts.now.date(), policy)
    if as_json:
        terminal.print_json({**_facts(decision, policy), "call": facts, "recorded": recorded or None})
        return
    if recorded:
        _tell_recorded(recorded, policy)
    click.echo(_sentence(decision, questions[0], facts))
    _tell(decision, policy)


def actions_of(operation: str, attributes: Collection[str] = ALL) -> tuple[Action, ...]:
    """What an operation asks for that is to tell these attributes. Raises HomeError for an unknown one."""
    if operation in set(Action):
        return (Action(operation),)
    if operation not in SERVED:
        known = (*SERVED, *Action)
        told = f"is no operation and no action{terminal.meant(operation, known)}"
        if operation in model.operations():
            told = "is an operation of AWS's that is not offered here yet"
        raise HomeError(f"{operation!r} {told}\nKnown: {', '.join(known)}.")
    served = SERVED[operation]
    asked = {name: attributes for name in _ATTRIBUTES if name in served.defaults}
    return served.actions({**served.defaults, **asked})


def _described(operation: str | None, said: Mapping[str, Any], policy: Policy) -> dict[str, Any]:
    """The lines of a pack's test that describe the same call. Raises HomeError for what cannot be one."""
    operation = _all_said(operation, said)
    for name, kind in CLOSED.items():
        for word in filter(None, said[name] if name == "groups" else [said[name]]):
            packs.check_word(policy, kind, word)
    day = dt.datetime.now(dt.UTC).date() if said["day"] is None else said["day"].date()
    lines: dict[str, Any] = {
        "now": day,
        "actions": [action.value for action in actions_of(operation, said["attributes"])],
        "operation": operation,
        **{name: said[name] for name in ("kind", "place", "collection", "threshold")},
        "groups": list(said["groups"]),
        "reviewers": list(said["reviewers"]),
        "attributes": list(said["attributes"]),
    }
    for name in ("seat", "purpose", "venue", "case", "offence", "evidence", "listing"):
        if said[name] is not None:
            lines[name] = said[name]
    for name in ("realtime", "public_space", "mobile_camera"):
        lines[name.replace("_", "-")] = said[name]
    if said["authorisation"]:
        lines["authorisation"] = _authorisation(said["authorisation"], day)
    if said["audit"]:
        lines["audit"] = _audit(said["audit"], day)
    if said["on_behalf_of"]:
        lines["on-behalf-of"] = _requester(said["on_behalf_of"], policy)
    if said["tags"] and said["collection"] == "none":
        raise HomeError("--collection none has no tags: leave out --tag, or say whose the collection is")
    return lines | _tags(said["tags"])


def _all_said(operation: str | None, said: Mapping[str, Any]) -> str:
    """The operation. Raises HomeError naming what a call needs and nobody said."""
    needed = {
        "--operation": (operation, "an operation such as SearchFacesByImage, or an action such as identify"),
        "--kind": (said["kind"], f"one of {', '.join(KINDS)}"),
        "--place": (said["place"], "a code such as DE, US-CA, EU or world"),
    }
    lacking = [f"  {option}, {meaning}" for option, (value, meaning) in needed.items() if value is None]
    if operation is None or lacking:
        raise HomeError(
            "\n".join(
                ["say which call; missing are" if lacking[1:] else "say which call; missing is", *lacking]
            )
        )
    return operation


def _requester(text: str, policy: Policy) -> dict[str, Any]:
    kind, place, groups = declaring.requester(text)
    if kind not in set(OrganisationKind):
        raise HomeError(
            f"{kind!r} is no kind{terminal.meant(kind, OrganisationKind)}\nKnown: {', '.join(KINDS)}."
        )
    packs.check_word(policy, "Place", place)
    for group in groups:
        packs.check_word(policy, "Group", group)
    return {"kind": kind, "place": place, "groups": list(groups)}


def _authorisation(kind: str, day: dt.date) -> dict[str, Any]:
    span = {"from": day, "until": day + dt.timedelta(days=1)}
    return {"id": "supposed", "kind": kind, "issued-by": "an authority", **span}


def _audit(by: str, day: dt.date) -> dict[str, Any]:
    """An audit of the day, of a system that errs nowhere."""
    return {"issued": day, "by-operator": by == "own", "least-true-positives": 1.0, "worst-ratio": 1.0}


def _tags(pairs: Sequence[str]) -> dict[str, Any]:
    """Tags by name: those that policy reads as facts, and all others."""
    lines: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise HomeError(f"write a tag as NAME=VALUE, not {pair!r}")
        full = _tag(name)
        if full not in TAGS:
            lines.setdefault("tags", {})[name] = value
            continue
        words = TAGS[full].words
        if value not in words:
            near = terminal.meant(value, words)
            raise HomeError(f"the tag {full} is never {value!r}{near}\nKnown: {', '.join(sorted(words))}.")
        ours = full.removeprefix(TAG)
        lines[ours] = value == "true" if ours == "never-suspects" else value
    return lines


def _tag(name: str) -> str:
    """A tag by its whole name. Ours may be written short. Raises HomeError for one that looks like ours and
    is none: as any other tag, nothing would read it."""
    full = name if name.startswith(TAG) else f"{TAG}{name}"
    if full in TAGS:
        return full
    known = [*TAGS, SUBJECTS]
    near = terminal.meant(full.removeprefix(TAG), [each.removeprefix(TAG) for each in known])
    if name not in known and (near or name.startswith(TAG)):
        raise HomeError(f"there is no tag {name!r}{near}\nKnown: {', '.join(known)}.")
    return name


def _recorded(entry: Mapping[str, Any], number: int) -> dict[str, Any]:
    """The same of an entry. What it does not hold is as if it had not been said. Raises HomeError."""
    if entry.get("kind") != "decision":
        raise HomeError(f"entry {number} is no decision, but {entry.get('kind')}")
    seat = entry["place"]
    lines: dict[str, Any] = {
        "now": dt.datetime.fromisoformat(entry["time"]),
        "actions": entry["actions"],
        "operation": entry["operation"],
        "kind": entry["organisation_kind"],
        "seat": seat,
        "place": entry.get("called_from", seat),
        "purpose": entry.get("purpose"),
        "collection": "own" if "collection" in entry else "none",
        "threshold": entry.get("threshold", cases.THRESHOLD),
        "attributes": entry.get("attributes", []),
    }
    lines |= {name.replace("_", "-"): entry[name] for name in RECORDED if name in entry}
    lines |= {name: "given" for name in ("case", "evidence") if name in entry}
    if "requester" in entry:
        kind, place, *groups = entry["requester"]
        lines["on-behalf-of"] = {"kind": kind, "place": place, "groups": groups}
    return lines


def _warn_of_day(day: dt.date, policy: Policy) -> None:
    """Before its first day a rule is silent, and an answer then looks like a permission."""
    dated = [(rule.effective, rule.id) for rule in policy.rules.values() if rule.effective]
    if dated and day < min(dated)[0]:
        since, first = min(dated)
        click.echo(
            f"On {day} no dated rule of these packs had begun: the first is {first}, since {since}. "
            "Only rules that name no day decide this.",
            err=True,
        )


def _facts(decision: Decision, policy: Policy) -> dict[str, Any]:
    rules = [policy.rules[rule] for rule in decision.rules]
    return {
        "allowed": decision.allowed,
        "rules": [
            {
                "rule": rule.id,
                "quote": rule.quote,
                "source": rule.source,
                "advice": rule.advice,
                "effective": rule.effective,
                "until": rule.until,
            }
            for rule in rules
        ],
        "errors": list(decision.errors),
        "advice": decision.advice,
        "missing": list(decision.missing),
        "pack": decision.pack,
    }


def _sentence(decision: Decision, asked: Question, lines: Mapping[str, Any]) -> str:
    verdict = "Allowed" if decision.allowed else "Refused"
    caller, facts = asked.caller, asked.facts
    seat = "" if caller.place == facts.place else f" seated in {caller.place}"
    behalf = lines.get("on-behalf-of")
    asking = f" on behalf of {behalf['kind']} in {behalf['place']}" if behalf else ""
    purpose = f" for {facts.purpose}" if facts.purpose else " without a purpose"
    return (
        f"{verdict}: {', '.join(lines['actions'])} by {caller.kind}{seat} in {facts.place}{asking}{purpose} "
        f"on {facts.now.date()}."
    )


def _tell(decision: Decision, policy: Policy) -> None:
    for error in decision.errors:
        click.echo(f"\n  {error}")
    for name in decision.rules:
        rule = policy.rules[name]
        until = f" until {rule.until}" if rule.until else ""
        click.echo(f"\n  {name}, {f'since {rule.effective}' if rule.effective else 'always'}{until}")
        click.echo(f"    words   {rule.quote}")
        click.echo(f"    source  {rule.source}")
        click.echo(f"    {'says ' if rule.permits else 'turns'}   {rule.advice}")
    if decision.advice:
        click.echo(f"\n  {decision.advice}")
    if decision.missing and not decision.allowed:
        click.echo(
            f"\n  A rule that refuses reads what the call does not say: {', '.join(decision.missing)}."
        )


def _tell_recorded(entry: Mapping[str, Any], policy: Policy) -> None:
    """What the ledger says of the call, before what the rules say now."""
    verdict = "allowed" if entry["allowed"] else "refused"
    by = ", ".join(entry["rules"]) or "no rule"
    click.echo(f"Recorded at {entry['time']}: {entry['operation']} was {verdict} by {by}.")
    if entry["pack"] != policy.digest:
        click.echo("Other packs were in force then; what follows is by those of today.", err=True)
    unknown = [name for name in NAMED if name in entry and name not in {"case", "evidence"}]
    held = "its groups, the collection's tags, the audit in force"
    click.echo(
        f"The entry does not hold {', '.join([held, *(f'the {name} given' for name in unknown)])}.", err=True
    )
