"""S3 for tests: a moto server on the loopback, real to all that speaks its protocol."""

import boto3
import pytest
from moto.server import ThreadedMotoServer

from tune_cluster.storage.store import s3

BUCKET = "studies"


@pytest.fixture(scope="session")
def s3_endpoint():
    """Where the server answers."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(s3_endpoint, monkeypatch, tmp_path):
    """The URL of an empty bucket, which this process and those that it starts can write to."""
    # Where the driver's copy of a study lies.
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key-of-the-tests")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-the-tests")
    # Nobody's own settings, and no questions to an address that only a cloud's machines answer.
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    s3.cache_clear()
    made = boto3.resource("s3", endpoint_url=s3_endpoint).create_bucket(Bucket=BUCKET)
    yield f"s3://{BUCKET}"
    made.objects.all().delete()
    made.delete()
    s3.cache_clear()
