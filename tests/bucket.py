"""S3 for tests: a moto server on the loopback, real to all that speaks its protocol."""

import threading

import boto3
import pytest
from moto.server import ThreadedMotoServer

from tune_cluster.storage.s3 import s3, s3_client

BUCKET = "studies"


class OneConditionAtATime:
    """Make moto's conditional writes atomic as S3's are: its check and its write are two steps."""

    def __init__(self, app):
        self.app = app
        self.conditional = True
        """False for an S3 that ignores the conditions, as older ones do."""
        self.refused = ()
        """Parts of the paths to which nothing can be written."""
        self.lock = threading.Lock()

    def __call__(self, environ, start_response):
        refused = any(part in environ["PATH_INFO"] for part in self.refused)
        if refused and environ["REQUEST_METHOD"] == "PUT":
            start_response("503 Service Unavailable", [("Content-Length", "0")])
            return [b""]
        conditions = environ.keys() & {"HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH"}
        if not self.conditional:
            for condition in conditions:
                del environ[condition]
        if not conditions:
            return self.app(environ, start_response)
        with self.lock:
            return list(self.app(environ, start_response))


@pytest.fixture(scope="session")
def moto_server():
    """The running server."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    server._server.app = OneConditionAtATime(server._server.app)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def s3_server(moto_server):
    """Handle a request."""
    return moto_server._server.app


@pytest.fixture(scope="session")
def s3_endpoint(moto_server):
    """Address of the server."""
    return "http://{}:{}".format(*moto_server.get_host_and_port())


@pytest.fixture
def bucket(s3_endpoint, monkeypatch, tmp_path):
    """The URL of an empty bucket, which this process and those that it starts can write to."""
    # The folder of the driver's copy of a study.
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key-of-the-tests")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-the-tests")
    # No user settings, and no requests to an address that only machines in a cloud answer.
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    s3.cache_clear()
    s3_client.cache_clear()
    made = boto3.resource("s3", endpoint_url=s3_endpoint).create_bucket(Bucket=BUCKET)
    yield f"s3://{BUCKET}"
    made.objects.all().delete()
    made.delete()
    s3.cache_clear()
    s3_client.cache_clear()
