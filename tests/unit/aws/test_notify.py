"""Topics over a real SNS wire: moto's server on loopback, and nobody."""

from __future__ import annotations

import boto3
import pytest
from moto.server import ThreadedMotoServer

from countenance.aws.notify import Topics
from countenance.errors import InternalServer

KEYS = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "eu-west-1"}


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def test_a_topic_hears_in_its_own_region() -> None:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        url = "http://{}:{}".format(*server.get_host_and_port())
        sns, sqs = (boto3.client(name, endpoint_url=url, **KEYS) for name in ("sns", "sqs"))
        topic = sns.create_topic(Name="ends")["TopicArn"]
        queue = sqs.create_queue(QueueName="ends")["QueueUrl"]
        named = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]
        subscribed = {"Protocol": "sqs", "Endpoint": named["QueueArn"]}
        sns.subscribe(TopicArn=topic, Attributes={"RawMessageDelivery": "true"}, **subscribed)
        Topics(url).publish(topic, '{"JobId":"1"}')
        [message] = sqs.receive_message(QueueUrl=queue)["Messages"]
        assert message["Body"] == '{"JobId":"1"}'
        with pytest.raises(InternalServer, match="NotFound"):
            Topics(url).publish(topic + "-of-nobody", "{}")
    finally:
        server.stop()


def test_a_service_that_is_down_is_told_of() -> None:
    """To whoever asked, without the operator's own address."""
    with pytest.raises(InternalServer, match="SNS did not answer") as told:
        Topics("http://127.0.0.1:9").publish("arn:aws:sns:us-east-1:111122223333:ends", "{}")
    assert "127.0.0.1" not in told.value.message
