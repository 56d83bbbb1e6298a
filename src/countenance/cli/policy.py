"""What is allowed, and who says so: `countenance policy`. No key is asked for: rules are for anybody."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from countenance.cli import packs, terminal
from countenance.cli.explain import actions_of, explain
from countenance.operations.catalogue import SERVED
from countenance.policy import BASE, Policy, cases, pack
from countenance.policy.atlas import Answer, Atlas, Barrier
from countenance.policy.pack import Pack
from countenance.policy.retention import Limit, Since, What
from countenance.policy.rule import Rule
from countenance.types import Action, OrganisationKind

day_option = click.option("--date", "day", type=terminal.DAY, help="On which day; today if none is given.")


@click.group()
def policy() -> None:
    """Read, test and compare the rules; ask them who may do what."""


policy.add_command(explain)


@policy.command("list")
@terminal.home_option
@terminal.json_option
def list_packs(home: Path, as_json: bool) -> None:
    """Show the packs that ship with Countenance and those of the home, and which are in force here."""
    here = packs.of_home(home)
    known = Policy.read(packs.paths([*pack.shipped(), *here]))
    facts = [{**_card(each), "in_force_here": packs.is_named(each, here)} for each in known.packs]
    if as_json:
        terminal.print_json(facts)
        return
    terminal.print_table(
        ("pack", "here", "place", "from", "until", "confidence", "grants", "unread>", "title"),
        [
            (
                each["pack"],
                _yes(each["in_force_here"]),
                each["place"],
                each["in_force_from"],
                each["in_force_until"] or "",
                each["confidence"],
                _yes(each["grants"]),
                len(each["unread"]),
                each["title"],
            )
            for each in facts
        ],
    )
    if not here:
        click.echo(f"{home} is no home yet: nothing is in force there.", err=True)


@policy.command()
@click.argument("name", metavar="PACK")
@terminal.json_option
def show(name: str, as_json: bool) -> None:
    """Show one PACK, by name or folder: its card, and each rule with its words, source and dates."""
    (chosen,) = (each for each in _policy([BASE, name]).packs if packs.is_named(each, [name]))
    if as_json:
        limits = [_limit(limit) for limit in chosen.limits]
        terminal.print_json(
            {**_card(chosen), "rules": [_rule(rule) for rule in chosen.rules], "retention": limits}
        )
        return
    about = chosen.about
    until = f" until {about.in_force_until}" if about.in_force_until else ""
    click.echo(f"{chosen.name}: {about.title}\n")
    click.echo(f"  issuer      {about.issuer}, {about.place}")
    click.echo(f"  in force    from {about.in_force_from}{until}")
    click.echo(f"  confidence  {about.confidence}; read on {about.read_on}, reviewed by {about.reviewed_by}")
    click.echo(
        f"  grants      {'yes: it permits what others do not' if about.grants else 'no: it only forbids'}"
    )
    for title, lines in (("sources", about.sources), ("not read, or read so", about.unread)):
        click.echo(f"  {title}")
        for line in lines or ("nothing is noted",):
            click.echo(f"    - {line}")
    for rule in chosen.rules:
        click.echo(
            f"\n{rule.id}  {'permits' if rule.permits else 'forbids'} {_actions_of(rule)}, {_dates(rule)}"
        )
        click.echo(f"  words   {rule.quote}")
        click.echo(f"  source  {rule.source}")
        click.echo(f"  turns   {rule.advice}")
    for limit in chosen.limits:
        click.echo(f"\n{limit.id}  {_kept(limit)}, {_dates(limit)}")
        click.echo(f"  words   {limit.quote}")
        click.echo(f"  source  {limit.source}")
        if len(limit.kinds) < len(OrganisationKind):
            click.echo(f"  binds   {', '.join(sorted(limit.kinds))}")


@policy.command()
@click.argument("names", metavar="[PACK]...", nargs=-1)
@terminal.json_option
def check(names: tuple[str, ...], as_json: bool) -> None:
    """Validate packs and run their tests: the PACKs named, or all that ship. Fails naming file and rule."""
    found = []
    for name in names or tuple(pack.shipped()):
        loaded = Policy.load(packs.paths([BASE, name]))
        (chosen,) = (each for each in loaded.packs if packs.is_named(each, [name]))
        count = len(cases.read(chosen))
        found.append(
            {
                "pack": chosen.name,
                "rules": len(chosen.rules),
                "cases": count,
                "retention": len(chosen.limits),
            }
        )
    every = _policy([BASE, *(names or pack.shipped())])
    if as_json:
        terminal.print_json({"ok": True, "digest": every.digest, "packs": found})
        return
    terminal.print_table(("pack", "rules>", "cases>", "retention>"), [list(each.values()) for each in found])
    ran = sum(len(cases.read(each)) for each in every.packs)
    click.echo(
        f"All fit the schema and each other: {len(every.rules)} rules, {ran} cases that come out as told."
    )


@policy.command("who-can")
@click.argument("operation")
@click.option("--place", metavar="CODE", help="Only there; otherwise everywhere that rules tell apart.")
@click.option("--purpose", metavar="WORD", help="Only for this; otherwise for each there is.")
@day_option
@packs.option
@terminal.home_option
@terminal.json_option
def who_can(
    operation: str,
    place: str | None,
    purpose: str | None,
    day: dt.datetime | None,
    named: str | None,
    home: Path,
    as_json: bool,
) -> None:
    """Say who may call OPERATION (or do an action such as identify), where, and what stands in the way.

    It is exact: every call that the vocabulary allows is counted. Meant are organisations that call where
    they are, and collections of their own.
    """
    chosen = Policy.read(packs.chosen(named, home))
    _check_words(chosen, place, purpose)
    atlas = Atlas(chosen, _day(day), operation if operation in SERVED else "")
    actions = actions_of(operation)
    held = {"collection": "own", **({"purpose": purpose} if purpose else {})}
    places = {place: (place,)} if place else atlas.places()
    answers = [
        (kinds, atlas.answer(actions, kind=kinds[0], seat=where, place=where, **held))
        for where in places
        for kinds in atlas.kinds()
    ]
    dimensions = {where: {d.name: len(d.choices) for d in atlas.read_at(where, actions)} for where in places}
    if as_json:
        terminal.print_json(
            {
                "operation": operation,
                "actions": [action.value for action in actions],
                "date": str(atlas.now.date()),
                "digest": atlas.policy.digest,
                "answers": [_answer(kinds, answer, places) for kinds, answer in answers],
                "dimensions": dimensions,
                "asked": atlas.tally.asked,
                "errors": atlas.tally.errors,
            }
        )
        return
    click.echo(
        f"Who may {operation} ({', '.join(actions)}) on {atlas.now.date()}, in collections of their own"
    )
    rows, barriers = _who(answers, atlas)
    terminal.print_table(("where", "who", "may", "except, or because"), rows)
    if not place and len(places) > 1:
        click.echo("What is said of a place holds for all in it, unless they are named themselves.")
    for rule in barriers:
        click.echo(f"\n{rule.id} ({_dates(rule)})\n  {rule.advice}\n  {rule.source}")
    _counted(dimensions, atlas)


@policy.command()
@click.argument("before", metavar="A")
@click.argument("after", metavar="B")
@click.option("--place", metavar="CODE", help="Only there; otherwise everywhere that rules tell apart.")
@day_option
@terminal.json_option
def diff(before: str, after: str, place: str | None, day: dt.datetime | None, as_json: bool) -> None:
    """Say what becomes allowed or forbidden when the packs B are in force instead of A.

    A and B are names or folders with commas between, such as base,amazon-2020. Without --date it is said of
    every day on which a rule begins or ends that only one of them has, and of today.
    """
    sets = [Policy.read(packs.split(names)) for names in (before, after)]
    every = Policy.read(packs.split(f"{before},{after}"))
    _check_words(every, place, None)
    differing = set(sets[0].rules) ^ set(sets[1].rules)
    days = {date for rule in differing for date in every.rules[rule].dates}
    found: list[dict[str, Any]] = []
    last: list[dict[str, Any]] = []
    for each in [_day(day)] if day else sorted({*days, _day(None)}):
        atlas = Atlas(every, each)
        changed = [one for action in Action for one in _changes(atlas, action, sets, place)]
        if changed != last:
            found.append({"from": str(each), "changes": changed})
        last = changed
    if as_json:
        terminal.print_json(found)
        return
    for step in found:
        click.echo(f"{'On' if day else 'From'} {step['from']}:")
        for one in step["changes"]:
            click.echo(f"  {_change(one)}")
        if not step["changes"]:
            click.echo("  Every call is answered as before.")
    if not any(step["changes"] for step in found):
        click.echo(
            "Nothing becomes allowed or forbidden: what these rules refuse, no rule permits in either set."
        )


def _check_words(chosen: Policy, place: str | None, purpose: str | None) -> None:
    """Raises HomeError for a word that the packs do not know."""
    for kind, word in (("Place", place), ("Purpose", purpose)):
        if word is not None:
            packs.check_word(chosen, kind, word)


def _changes(atlas: Atlas, action: Action, sets: Sequence[Policy], place: str | None) -> list[dict[str, Any]]:
    """What changes for one action: by direction, purposes and rules, for whom and where."""
    before, after = (frozenset(each.rules) for each in sets)
    merged: dict[tuple[Any, ...], dict[str, list[str]]] = {}
    for where in [place] if place else atlas.places():
        for kinds in atlas.kinds():
            held = {"kind": kinds[0], "seat": where, "place": where}
            found = list(atlas.changes(action, before, after, **held))
            for allowed in (False, True):
                some = [chosen for chosen, now in found if now is allowed]
                if not some:
                    continue
                words = {word for chosen in some for word in atlas.words(chosen, "purpose")}
                every = len(words) == len(atlas.policy.purposes)
                side = sets[0] if allowed else sets[1]
                told = {rule for one in some for rule in side.decide(atlas.first_call(action, one)).rules}
                rules = tuple(sorted(told & (before ^ after)))
                key = (allowed, () if every else tuple(atlas.covering(words)), rules)
                merged.setdefault(key, {}).setdefault(where, []).extend(kinds)
    return [
        {
            "action": action.value,
            "becomes": "allowed" if allowed else "forbidden",
            "purposes": list(purposes),
            "rules": list(rules),
            "who": _by_kinds(where),
        }
        for (allowed, purposes, rules), where in merged.items()
    ]


def _by_kinds(where: Mapping[str, list[str]]) -> list[dict[str, list[str]]]:
    """Places together in which the same kinds are meant."""
    together: dict[tuple[str, ...], list[str]] = {}
    for place, kinds in where.items():
        together.setdefault(tuple(sorted(kinds)), []).append(place)
    return [{"kinds": list(kinds), "places": places} for kinds, places in together.items()]


def _change(one: Mapping[str, Any]) -> str:
    who = "; ".join(f"{', '.join(part['kinds'])} in {', '.join(part['places'])}" for part in one["who"])
    purposes = f" for {', '.join(one['purposes'])}" if one["purposes"] else ""
    rules = f" ({', '.join(one['rules'])})" if one["rules"] else ""
    return f"{one['action']}{purposes} becomes {one['becomes']} to {who}{rules}"


def _who(
    answers: Iterable[tuple[tuple[str, ...], Answer]], atlas: Atlas
) -> tuple[list[tuple[str, str, str, str]], list[Rule]]:
    """Rows of the table, each with what it adds to the place around it; and the rules in them."""
    said: dict[tuple[str, str], Answer] = {}
    merged: dict[tuple[str, str, str], list[str]] = {}
    rules: dict[str, Rule] = {}
    for kinds, answer in answers:
        around = [place for place, of in said if of == kinds[0] and atlas.policy.within(answer.place, place)]
        outside = said[around[-1], kinds[0]] if around else None
        said[answer.place, kinds[0]] = answer
        told = [_barrier(one) for one in answer.barriers]
        if outside is not None:
            before = [_barrier(one) for one in outside.barriers]
            if (told, answer.verdict) == (before, outside.verdict):
                continue
            told = [f"as in {outside.place}", *(one for one in told if one not in before)]
        merged.setdefault((answer.place, answer.verdict, "\n".join(told) or _nothing(answer)), []).extend(
            kinds
        )
        rules |= {one.rule.id: one.rule for one in answer.barriers}
    rows = [(place, ", ".join(kinds), verdict, why) for (place, verdict, why), kinds in merged.items()]
    return rows, list(rules.values())


def _nothing(answer: Answer) -> str:
    return {"yes": "", "no": "no rule permits it", "partly": "not in every way"}[answer.verdict]


def _barrier(barrier: Barrier) -> str:
    if len(barrier.but) < len(barrier.purposes):
        purposes = f" for all but {', '.join(barrier.but)}"
    else:
        purposes = f" for {', '.join(barrier.purposes)}" if barrier.purposes else ""
    return f"{barrier.rule.id}{purposes}{'' if barrier.always else ', unless turned'}"


def _counted(dimensions: Mapping[str, Mapping[str, int]], atlas: Atlas) -> None:
    """How much was counted, and what was left out where."""
    click.echo("\nCounted, for each dimension that a rule there reads:")
    told: dict[str, list[str]] = {}
    for place, read in dimensions.items():
        told.setdefault(", ".join(f"{name} {count}" for name, count in read.items()), []).append(place)
    for counts, places in told.items():
        click.echo(f"  {', '.join(places)}: {counts or 'none'}")
    read_anywhere = {"seat", "place"}.union(*dimensions.values())
    dropped = [each.name for each in atlas.dimensions if each.name not in read_anywhere]
    click.echo(f"  left out, for no rule here reads them: {', '.join(dropped) or 'none'}")
    click.echo(
        f"{atlas.tally.asked} calls asked of the engine, one of each cell; {atlas.tally.errors} errors."
    )


def _answer(kinds: tuple[str, ...], answer: Answer, places: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    return {
        "place": answer.place,
        "like": [place for place in places[answer.place] if place != answer.place],
        "kinds": list(kinds),
        "may": answer.verdict,
        "calls": answer.calls,
        "allowed": answer.allowed,
        "barriers": [
            {**_rule(each.rule), "always": each.always, "purposes": list(each.purposes)}
            for each in answer.barriers
        ],
    }


def _card(each: Pack) -> dict[str, Any]:
    return {"pack": each.name, **dataclasses.asdict(each.about)}


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "rule": rule.id,
        "permits": rule.permits,
        "actions": sorted(rule.actions),
        "effective": None if rule.effective is None else str(rule.effective),
        "until": None if rule.until is None else str(rule.until),
        "quote": rule.quote,
        "source": rule.source,
        "advice": rule.advice,
    }


def _actions_of(rule: Rule) -> str:
    return ", ".join(sorted(rule.actions)) or "everything"


def _limit(limit: Limit) -> dict[str, Any]:
    days = {"at_most": limit.at_most, "at_least": limit.at_least}
    return {
        "id": limit.id,
        "what": limit.what.value,
        **{name: value for name, value in days.items() if value is not None},
        "counted_from": limit.counted_from.value,
        "kinds": sorted(limit.kinds),
        "effective": limit.effective,
        "until": limit.until,
        "source": limit.source,
        "quote": limit.quote,
        "prevails": sorted(limit.prevails),
    }


def _kept(limit: Limit) -> str:
    what = {What.TEMPLATES: "templates", What.PRIVATE: "what calls said in private"}[limit.what]
    since = {
        Since.ENROLLED: "enrolment",
        Since.ENDED: "the end of the collection's purpose",
        Since.WRITTEN: "it was written",
    }[limit.counted_from]
    if limit.at_most is not None:
        return f"destroys {what} {limit.at_most} days after {since}"
    over = f", whatever {' or '.join(sorted(limit.prevails))} asks" if limit.prevails else ""
    return f"keeps {what} {limit.at_least} days after {since}{over}"


def _dates(rule: Rule | Limit) -> str:
    since = f"since {rule.effective}" if rule.effective else "always"
    return f"{since}{f' until {rule.until}' if rule.until else ''}"


def _yes(said: bool) -> str:
    return "yes" if said else ""


def _day(day: dt.datetime | None) -> dt.date:
    return dt.datetime.now(dt.UTC).date() if day is None else day.date()


def _policy(names: Iterable[str]) -> Policy:
    """Raises PolicyError."""
    return Policy.read(packs.paths(names))
