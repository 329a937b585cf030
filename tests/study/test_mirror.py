"""A study's directory, and its copy in a bucket."""

import time

import boto3
import pytest

from tune_cluster.storage.lease import AtWork
from tune_cluster.storage.store import S3Store
from tune_cluster.study.journal import JOURNAL
from tune_cluster.study.mirror import EVENT_FILE, Mirror, mirrored


@pytest.fixture
def study(bucket):
    return S3Store(f"{bucket}/results/study")


def write(directory, **files):
    for name, text in files.items():
        path = directory / name.replace("__", "/").replace("_jsonl", ".jsonl")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_what_is_there_is_copied_but_what_is_hidden(tmp_path, study):
    write(tmp_path, journal_jsonl="{}\n", trials__0001__events="e", best__state="s")
    write(tmp_path / ".tune", experiment="pickles")
    write(tmp_path, **{".study.json-12": "half"})
    Mirror(tmp_path, study).copy()
    assert set(study.files()) == {"journal.jsonl", "trials/0001/events", "best/state"}


def test_a_directory_that_is_not_there_yet_is_no_error(tmp_path, study):
    Mirror(tmp_path / "never", study).copy()
    assert study.files() == {}


def test_only_what_has_changed_is_copied_again_and_what_is_gone_is_deleted(tmp_path, study):
    mirror = Mirror(tmp_path, study)
    write(tmp_path, journal_jsonl="1\n", stays="s", goes="g")
    mirror.copy()
    # Who took it away here would see it again.
    study.delete("stays")
    write(tmp_path, journal_jsonl="1\n2\n")
    (tmp_path / "goes").unlink()
    mirror.copy()
    assert set(study.files()) == {JOURNAL}
    assert study.read(JOURNAL) == b"1\n2\n"


def test_the_bucket_never_has_a_curve_that_its_journal_does_not_know(tmp_path, study, monkeypatch):
    events = f"trials__0000__{EVENT_FILE}"
    write(tmp_path, journal_jsonl="epoch 1\n", **{events: "1"})
    upload = study.write

    def slowly(name, content):
        # An epoch ends while its journal is on its way.
        upload(name, content)
        if name == JOURNAL:
            write(tmp_path, journal_jsonl="epoch 1\nepoch 2\n", **{events: "12"})

    monkeypatch.setattr(study, "write", slowly)
    mirror = Mirror(tmp_path, study)
    mirror.copy()
    assert study.read(JOURNAL) == b"epoch 1\n"
    assert study.read(events.replace("__", "/")) == b"1"
    mirror.copy()
    assert study.read(JOURNAL) == b"epoch 1\nepoch 2\n"
    assert study.read(events.replace("__", "/")) == b"12"


def wait_for(what):
    deadline = time.monotonic() + 30
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_bucket_that_is_gone_for_a_while_is_told_once_and_caught_up_with(
    tmp_path, study, bucket, capsys
):
    objects = boto3.resource("s3").Bucket("studies")
    with mirrored(tmp_path, study, AtWork(study), period=0.05):
        write(tmp_path, journal_jsonl="1\n")
        wait_for(lambda: JOURNAL in study.files())
        objects.objects.all().delete()
        objects.delete()
        write(tmp_path, journal_jsonl="1\n2\n")
        said = []

        def is_said(words):
            said.append(capsys.readouterr().err)
            return words in "".join(said)

        wait_for(lambda: is_said("there is no bucket"))
        time.sleep(0.3)
        objects.create()
        wait_for(lambda: is_said("is back after"))
        write(tmp_path, journal_jsonl="1\n2\n3\n")
    assert "".join(said).count("there is no bucket") == 1
    assert f"What happens is kept in {tmp_path}" in "".join(said)
    # The last one is copied at the end.
    assert study.read(JOURNAL) == b"1\n2\n3\n"


def test_nothing_is_copied_once_another_driver_has_the_study(tmp_path, study):
    at_work = AtWork(study)
    at_work.taken = "another one has it"
    write(tmp_path, journal_jsonl="mine\n")
    with mirrored(tmp_path, study, at_work, period=0.01):
        time.sleep(0.1)
    assert study.files() == {}
