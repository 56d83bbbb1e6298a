"""The shell: the same calls, by the same door, for people. `main` is the program `countenance`."""

from __future__ import annotations

import importlib
from typing import Any

import click
from botocore.exceptions import BotoCoreError, ClientError

from countenance.errors import CountenanceError

COMMANDS = {
    "init": "home:init",
    "serve": "home:serve",
    "keys": "access:keys",
    "detect": "photos:detect",
    "labels": "labels:labels",
    "text": "text:text",
    "moderate": "moderate:moderate",
    "compare": "photos:compare",
    "search": "photos:search",
    "find": "find:find",
    "groups": "groups:groups",
    "users": "people:users",
    "index": "bulk:index",
    "reindex": "renewal:reindex",
    "receipt": "record:receipt",
    "review": "record:review",
    "erase": "erasure:erase",
    "subject": "erasure:subject",
    "video": "videos:video",
    "redact": "redact:redact",
    "jobs": "jobs:jobs",
    "work": "jobs:work",
    "worker": "worker:worker",
    "ledger": "ledger:ledger",
    "report": "report:report",
    "witness": "witness:witness",
    "policy": "policy:policy",
    "models": "weights:models",
    "plan": "plan:plan",
    "measure": "measure:measure",
    "bench": "bench:bench",
    "backup": "snapshot:backup",
    "restore": "snapshot:restore",
}
"""Each command and where it is, in the order people meet them. Read when asked for: models load slowly."""

ADVICE = {
    "UnrecognizedClientException": "The key in the home's credentials file is unknown here or was revoked. "
    "Write another one there with `countenance keys create`.",
    "InvalidSignatureException": "The key in the home's credentials file does not fit this home. "
    "Write another one there with `countenance keys create`.",
    "ResourceNotFoundException": "`countenance index COLLECTION FOLDER` makes a collection of photos.",
    "ThrottlingException": "The server is busy. Try again in a moment.",
    "InternalServerError": "The log of the server, or of this command, says more.",
}
"""What to do about an answer that says only what is wrong."""


class Shell(click.Group):
    """The commands, and one place where what went wrong becomes a sentence."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(f"countenance.cli.{module}"), name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ClientError as refusal:
            raise click.ClickException(_told(refusal)) from refusal
        except (CountenanceError, BotoCoreError) as fault:
            raise click.ClickException(str(fault)) from fault
        except OSError as fault:
            place = f" ({fault.filename})" if fault.filename else ""
            raise click.ClickException(f"{fault.strerror or fault}{place}") from fault


def _told(refusal: ClientError) -> str:
    error = refusal.response.get("Error", {})
    code, message = error.get("Code", "Error"), error.get("Message", "")
    advice = ADVICE.get(code, "")
    if code == "ResourceNotFoundException" and "collection" not in message:
        advice = ""
    if code == "AccessDeniedException" and "header x-countenance-" in message:
        advice = "The command's --help lists the options that say it."
    return "\n".join(line for line in (f"{code}: {message}".strip(": "), advice) if line)


@click.group(cls=Shell, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="countenance", message="%(prog)s %(version)s")
def main() -> None:
    """Face analysis on your own machine, with Amazon Rekognition's API and a record of every decision.

    `countenance init` makes a home, `countenance serve` answers there; the other commands work with the
    server while it runs and without it otherwise.
    """
