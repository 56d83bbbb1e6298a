"""Telling an SNS topic that a job is over, with the service's own credentials (boto3's chain).

The role a client names for it (RoleArn) is not taken: there is no AWS account here that could lend one. So it
is the operator who says which topics may be told at all: these credentials may well reach others.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from countenance import errors

LOG = logging.getLogger(__name__)

CONNECT, READ = 5, 10
"""Seconds. What is not told now is told later."""


_ARN = re.compile(r"arn:aws[a-z-]*:sns:[a-z]{2}(-[a-z]+)+-\d:\d{12}:[A-Za-z0-9_-]{1,256}(\.fifo)?", re.ASCII)


class Topics:
    """The topics of an SNS service. endpoint: its URL; empty for none. allowed: as `sns_topics` in
    settings.toml."""

    def __init__(self, endpoint: str, allowed: Sequence[str] = ()) -> None:
        self._endpoint = endpoint
        self._allowed = tuple(line.split() for line in allowed)
        self._config = Config(
            connect_timeout=CONNECT, read_timeout=READ, retries={"total_max_attempts": 1, "mode": "standard"}
        )

    def check(self, topic: str, account: str) -> None:
        """Whether an organisation may have a topic told. Raises InvalidParameter."""
        if not self._endpoint:
            raise errors.InvalidParameter(
                detail="nobody can be told of the job's end here: `sns_endpoint` in settings.toml is empty"
            )
        if not _ARN.fullmatch(topic):
            raise errors.InvalidParameter(detail="SNSTopicArn is not the ARN of a topic")
        if not any(_covers(line, topic, account) for line in self._allowed):
            raise errors.InvalidParameter(
                detail="this topic is not among those that may be told here: `sns_topics` in settings.toml"
            )

    def publish(self, topic: str, message: str) -> None:
        """topic: an ARN, which names its region. Raises InternalServer saying why it could not be told."""
        try:
            client = boto3.session.Session().client(
                "sns", endpoint_url=self._endpoint, region_name=topic.split(":")[3], config=self._config
            )
            client.publish(TopicArn=topic, Message=message)
        except ClientError as error:
            told = error.response.get("Error", {})
            raise errors.InternalServer(
                detail=f"{told.get('Code', 'Error')}: {told.get('Message', '')}"
            ) from error
        except (BotoCoreError, ValueError) as error:
            LOG.warning("SNS did not answer: %s", error)  # names the endpoint, which is the operator's own
            raise errors.InternalServer(detail=f"SNS did not answer ({type(error).__name__})") from error


def _covers(line: Sequence[str], topic: str, account: str) -> bool:
    """Whether a line of the setting lets an organisation have a topic told."""
    wanted, *only = (word.replace("{account}", account) for word in line or [""])
    told = topic.startswith(wanted[:-1]) if wanted.endswith("*") else topic == wanted
    return told and only in ([], [account])
