"""An S3 server on 127.0.0.1 that lets one user in: moto's, which checks signatures."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import boto3
import requests
from moto.server import ThreadedMotoServer

ANYBODY = {"aws_access_key_id": "anybody", "aws_secret_access_key": "any", "region_name": "us-east-1"}
ALL = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}'


class Key(NamedTuple):
    """What its one user has."""

    id: str
    secret: str


@contextmanager
def s3_server(port: int, bucket: str) -> Iterator[Key]:
    """Run one with an empty bucket until the context ends."""
    server = ThreadedMotoServer("127.0.0.1", port, verbose=False)
    server.start()
    address = f"http://127.0.0.1:{port}"
    try:
        boto3.client("s3", endpoint_url=address, **ANYBODY).create_bucket(Bucket=bucket)
        people = boto3.client("iam", endpoint_url=address, **ANYBODY)
        people.create_user(UserName="kim")
        people.put_user_policy(UserName="kim", PolicyName="all", PolicyDocument=ALL)
        key = people.create_access_key(UserName="kim")["AccessKey"]
        requests.post(f"{address}/moto-api/reset-auth", data=b"0", timeout=10).raise_for_status()
        yield Key(key["AccessKeyId"], key["SecretAccessKey"])
    finally:
        server.stop()
