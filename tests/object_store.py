"""An S3 server of the tests' own, reached over HTTP on this machine."""

from collections.abc import Iterator
from contextlib import contextmanager

import boto3
from moto.server import ThreadedMotoServer


class ObjectStore:
    """A running server.

    Args:
        url: of the server.
    """

    def __init__(self, url: str) -> None:
        self.environment = {
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_MAX_ATTEMPTS": "1",
        }
        self._client = boto3.client(
            "s3",
            endpoint_url=url,
            aws_access_key_id="test",
            aws_secret_access_key="test",
            region_name="us-east-1",
        )
        self._made = 0

    def create_bucket(self) -> str:
        """Return the URL of an empty bucket."""
        self._made += 1
        self._client.create_bucket(Bucket=f"bucket{self._made}")
        return f"s3://bucket{self._made}"


@contextmanager
def object_store() -> Iterator[ObjectStore]:
    """Start a server and stop it at the end."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield ObjectStore(f"http://{host}:{port}")
    finally:
        server.stop()
