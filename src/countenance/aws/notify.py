"""Telling an SNS topic that a job is over, with the service's own credentials (boto3's chain).

The role a client names for it (RoleArn) is not taken: there is no AWS account here that could lend one.
"""

from __future__ import annotations

import logging

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from countenance import errors

LOG = logging.getLogger(__name__)

CONNECT, READ = 5, 10
"""Seconds. What is not told now is told later."""


class Topics:
    """The topics of an SNS service. endpoint: its URL."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._config = Config(
            connect_timeout=CONNECT, read_timeout=READ, retries={"total_max_attempts": 1, "mode": "standard"}
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
            LOG.warning("SNS did not answer: %s", error)  # it names the operator's own endpoint
            raise errors.InternalServer(detail=f"SNS did not answer ({type(error).__name__})") from error
