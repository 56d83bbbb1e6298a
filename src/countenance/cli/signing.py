"""How a server is reached: whether it answers, and a boto3 client that signs with the key in a file."""

from __future__ import annotations

import configparser
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import botocore.session
from botocore.config import Config

from countenance.client import connect
from countenance.errors import HomeError

ANSWERS_WITHIN = 5.0
"""Seconds in which a server that runs says so."""


def unreachable(url: str, certificate: str | None = None) -> str | None:
    """Why nothing answers at a server's address; None where it does. No proxy stands between.

    certificate: the server's own, where it speaks TLS with one of its own.
    """
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
    try:
        if certificate:
            context = ssl.create_default_context(cafile=certificate)
            handlers.append(urllib.request.HTTPSHandler(context=context))
        opener = urllib.request.build_opener(*handlers)
        with opener.open(f"{url}/healthz", timeout=ANSWERS_WITHIN) as answer:
            return None if answer.status == 200 else f"it answers {answer.status}"
    except (OSError, urllib.error.URLError, ValueError) as fault:
        return str(fault)


def client(
    credentials: Path | None, url: str, region: str, parallel: int = 1, verify: str | None = None
) -> Any:
    """A client that knows the key in a credentials file, and nothing of ~/.aws or the environment's keys.

    credentials: None for wherever boto3 looks after all. region: where the file names none. parallel: how
    many threads will share it. verify: as in `unreachable`. Raises HomeError where the file holds no key.
    """
    config = Config(
        proxies={},
        read_timeout=300,
        max_pool_connections=max(parallel, 1),
        retries={"mode": "standard", "total_max_attempts": 8},
    )
    core = botocore.session.Session()
    if credentials is None:
        return connect(core=core, endpoint_url=url, region_name=region, verify=verify, config=config)
    file = configparser.ConfigParser()
    try:
        file.read_string(credentials.read_text())
        key = file["default"]
        identity = {name: key[name] for name in ("aws_access_key_id", "aws_secret_access_key")}
    except (FileNotFoundError, KeyError, configparser.Error) as fault:
        raise HomeError(
            f"{credentials} holds no key: move it away if it is there, and make one with "
            f"`countenance keys create --save {credentials}`"
        ) from fault
    core.set_config_variable("config_file", str(credentials))
    core.set_config_variable("credentials_file", str(credentials))
    core.set_config_variable("profile", "default")
    return connect(
        core=core,
        endpoint_url=url,
        region_name=key.get("region", region),
        verify=verify,
        config=config,
        **identity,
    )
