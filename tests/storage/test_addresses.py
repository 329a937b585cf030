"""Names, paths and addresses of the user, and errors of a bucket that cannot be used."""

import json
from pathlib import Path

import boto3
import pytest
import requests

from tests.in_process import names
from trainables.image.options import DataFlags
from tune_cluster.execution.command_line import parse
from tune_cluster.storage.s3 import S3Store, refusing, s3
from tune_cluster.storage.store import check_address, check_name, expanded
from tune_cluster.study.directory import local_copy


@pytest.mark.parametrize(
    "address",
    ["results", "/mnt/results", "a:b/c", "s3://studies", "s3://studies/", "s3://a-b.1/c/d"],
)
def test_a_folder_and_a_bucket_are_places_for_studies(address):
    check_address("--storage-path", address)


@pytest.mark.parametrize(
    "address",
    [
        *("s3:/studies/x", "s3:///x", "s3://", "s3://Studies/x", "s3://st/x", "S3://studies/x"),
        *("gs://studies/x", "http://studies/x", "file:///tmp/x"),
        *("s3://studies/a/../b", "s3://studies/..", "s3://studies//x", "s3://studies/x?region=a"),
        "s3://studies/a b",
    ],
)
def test_another_address_is_refused_with_what_is_allowed(address):
    with pytest.raises(
        ValueError, match=r"^--resume must be a folder .* or s3://bucket/folder, got"
    ):
        check_address("--resume", address)


def test_credentials_in_an_address_are_refused_and_not_repeated():
    with pytest.raises(ValueError, match="must have no credentials") as refused:
        check_address("--storage-path", "s3://AKIA123:hush@studies/x")
    assert "AKIA123" not in str(refused.value)
    assert "hush" not in str(refused.value)


def said_of(url):
    store = S3Store(url)
    match = f"^--storage-path {url}: "
    with pytest.raises(ValueError, match=match) as refused, refusing("--storage-path", store):
        store.probe()
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_a_bucket_that_can_be_used_has_nothing_of_the_probe_left(bucket):
    S3Store(f"{bucket}/results").probe()
    assert S3Store(bucket).files() == {}


def test_a_bucket_that_is_not_there_is_said(bucket):
    assert "there is no bucket of that name" in said_of("s3://nobodys-bucket/results")


def test_an_endpoint_that_does_not_answer_is_said(bucket, monkeypatch):
    # Port 9 is that of `discard`: nothing answers.
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    s3.cache_clear()
    assert "nothing answers there" in said_of(f"{bucket}/results")


@pytest.fixture
def protected(bucket, s3_endpoint):
    """A bucket that checks credentials."""
    switch = f"{s3_endpoint}/moto-api/reset-auth"
    requests.post(switch, data="0", timeout=5)
    yield bucket
    requests.post(switch, data="inf", timeout=5)


def test_credentials_that_nobody_knows_are_said(protected):
    assert "these credentials are unknown" in said_of(f"{protected}/results")


@pytest.fixture
def reader(bucket, s3_endpoint):
    """The key of a user who may read the bucket."""
    iam = boto3.client("iam", endpoint_url=s3_endpoint)
    iam.create_user(UserName="reader")
    may = {"Effect": "Allow", "Action": ["s3:Get*", "s3:List*"], "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [may]})
    iam.put_user_policy(UserName="reader", PolicyName="reads", PolicyDocument=policy)
    return iam.create_access_key(UserName="reader")["AccessKey"]


def test_credentials_that_may_only_read_are_said_and_not_shown(reader, protected, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", reader["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", reader["SecretAccessKey"])
    s3.cache_clear()
    assert S3Store(protected).files() == {}
    said = said_of(f"{protected}/results")
    assert "s3:PutObject" in said
    assert reader["AccessKeyId"] not in said
    assert reader["SecretAccessKey"] not in said


def job(
    options,
    *,
    images: DataFlags,
    weights: Path = Path("best"),
    others: tuple[Path, ...] = (),
):
    """Where is it?"""


@pytest.mark.parametrize("flag", ["--storage-path", "--data-dir", "--resume", "--dataset"])
@pytest.mark.parametrize("apart", [True, False], ids=["apart", "after ="])
def test_the_home_folder_is_meant_by_a_tilde_in_every_path(tmp_path, monkeypatch, flag, apart):
    monkeypatch.setenv("HOME", str(tmp_path))
    argv = [flag, "~/mine"] if apart else [f"{flag}=~/mine"]
    command = parse(job, [*argv, "--weights=~/w", "--others", "~/a", "~"])
    stored = {**command.stored()["flags"], **command.stored()["options"]}
    assert stored[flag[2:].replace("-", "_")] == str(tmp_path / "mine")
    assert command.own["weights"] == tmp_path / "w"
    assert command.own["others"] == (tmp_path / "a", tmp_path)
    assert local_copy("~/mine") == tmp_path / "mine"


def test_a_path_outside_the_home_folder_stays_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for typed in ("results", "/a/~/b", "s3://bucket/~x", "./~"):
        assert expanded("--storage-path", typed) == typed
    with pytest.raises(ValueError, match="--resume ~nobody-here/x: there is no such user"):
        expanded("--resume", "~nobody-here/x")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("a\0b", "control characters, got 'a.x00b'"),
        ("a\nb", "control characters"),
        ("\udcff", "control characters, got '.udcff'"),
        ("x/" + "a" * 256, "too long"),
        ("é" * 128, "too long"),
        ("a/" * 2000, "too long"),
    ],
)
def test_a_path_that_no_file_system_takes_is_refused(tmp_path, monkeypatch, typed, said):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=f"--data-dir .*{said}"):
        expanded("--data-dir", typed)
    assert names(tmp_path) == []


@pytest.mark.parametrize("name", ["", " ", "\t", ".", "..", "a/b", "/", "a\0", "a\n", "é" * 101])
def test_a_name_that_no_folder_can_have_is_refused(name):
    with pytest.raises(ValueError, match="--name must"):
        check_name("--name", name)


@pytest.mark.parametrize("name", ["a b", "-x", "~", "grün", "a" * 200, ".hidden", "..."])
def test_any_other_name_is_taken(name, tmp_path):
    check_name("--name", name)
    (tmp_path / name).mkdir()
