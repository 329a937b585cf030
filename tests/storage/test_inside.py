"""Files that another user has put into a study are neither written through nor passed on."""

import http.client
import os
import socket
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest

from search_spaces.schedulers.base import Closing
from tests.journals import event_of, state_of
from tune_cluster.callbacks.event_files import new_event_file
from tune_cluster.cluster.facts import facts_here
from tune_cluster.execution.summary import write_closing
from tune_cluster.reports.tables import write_table
from tune_cluster.storage.append_only import AppendOnlyFile
from tune_cluster.storage.checkpoints import TrialCheckpoints
from tune_cluster.storage.inside import (
    LinkError,
    make_private,
    open_regular,
    opened,
    read_regular,
    write_file,
)
from tune_cluster.storage.integrity import check_sums
from tune_cluster.storage.retry import StorageRetry
from tune_cluster.storage.s3 import S3Store
from tune_cluster.storage.store import RESULT_FILE, LocalStore, Store
from tune_cluster.study.journal import JOURNAL, Journal
from tune_cluster.study.study_file import STUDY_FILE, write_json

STATE = state_of(
    [
        event_of("suggested", config={"x": 1.0}),
        event_of("result", epoch=1, metrics={"score": 0.5}),
        event_of("ended", status="finished"),
    ]
)


def save(folder):
    Path(folder, "state").write_text("weights")


def trial_of(study):
    return TrialCheckpoints(LocalStore(study) / "trials" / "0000", "max")


def checkpoint(study):
    trial_of(study).write(1, 0.5, {"score": 0.5}, save)


def schedule(study):
    closing = Closing("schedule.json", {"x": [[1, 0.5]]}, [])
    write_closing(SimpleNamespace(directory=study, bucket=None, retry=None), closing)


WRITERS = {
    STUDY_FILE: lambda study: write_json(study / STUDY_FILE, {"name": "x"}),
    "trials.csv": lambda study: write_table(study / "trials.csv", STATE),
    "best": lambda study: LocalStore(study).put(study.parent / "source", "best"),
    "best/schedule.json": schedule,
    "trials/0000/checkpoint_000001": checkpoint,
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_writer_replaces_a_link_and_follows_none(shared, name):
    (shared.study.parent / "source").mkdir()
    (shared.study.parent / "source" / "best.json").write_text("{}")
    folder = shared.study / name
    if folder.parent != shared.study:
        shared.folder(folder.parent.relative_to(shared.study))
    # Names of a temporary file that could be guessed: those of earlier versions.
    guessed = [f".{folder.name}-{os.getpid()}", f".unfinished-{os.getpid()}"]
    shared.link(name, *(str(folder.parent.relative_to(shared.study) / g) for g in guessed))
    WRITERS[name](shared.study)
    assert not shared.harmed
    written = shared.study / name
    assert written.exists()
    assert not written.is_symlink()
    assert written.stat().st_uid == os.geteuid()


@pytest.mark.parametrize(
    ("folder", "write"),
    [
        ("best", schedule),
        ("trials", checkpoint),
        ("trials/0000", checkpoint),
        ("trials/0000", lambda study: event_file(study, study / "trials" / "0000")),
        ("course", lambda study: event_file(study, study / "course")),
    ],
)
def test_a_folder_that_is_a_link_is_written_to_by_nobody(shared, folder, write):
    elsewhere = shared.study.parent / "elsewhere"
    elsewhere.mkdir()
    shared.folder("trials")
    shared.victim.unlink()
    shared.victim.symlink_to(elsewhere)
    shared.link(folder)
    with pytest.raises(LinkError, match=f"{folder} is a link"):
        write(shared.study)
    assert not list(elsewhere.iterdir())


def event_file(study, folder):
    new_event_file(study, folder, waiting(study))


def waiting(study):
    return StorageRetry(LocalStore(study))


def test_a_journal_is_not_continued_through_a_link(shared):
    shared.link(JOURNAL)
    with pytest.raises(ValueError, match=f"{JOURNAL} is a link"):
        Journal(shared.study / JOURNAL)
    assert not shared.harmed


def test_a_file_with_a_second_name_is_not_appended_to(tmp_path):
    (tmp_path / "profile").write_text("secret\n")
    (tmp_path / "log").hardlink_to(tmp_path / "profile")
    with pytest.raises(ValueError, match="log has a second name"):
        AppendOnlyFile(tmp_path / "log", waiting(tmp_path))


def test_a_node_answers_beside_a_link_with_its_name(shared):
    missing = shared.victim.with_name("missing")
    shared.victim.rename(missing)
    shared.link("node")
    facts = facts_here(str(shared.study), "node")
    assert not facts.unwritable
    assert not shared.victim.exists()


def test_a_checkpoint_with_a_link_is_neither_read_nor_taken_over(shared, tmp_path):
    trial = shared.folder("trials/0000")
    own = trial_of(shared.study)
    own.write(1, 0.5, {"score": 0.5}, save)
    (trial / "checkpoint_000001").chmod(0o777)
    found = own.best()
    shared.link("trials/0000/checkpoint_000001/state")
    with pytest.raises(ValueError, match="state is a link"), found.whole():
        pass
    other = TrialCheckpoints(LocalStore(tmp_path), "max")
    with pytest.raises(ValueError, match="state is a link"):
        other.adopt(found, donor=0)
    assert other.names() == []
    # Nor one with a link that its writer did not know of.
    (trial / "checkpoint_000001" / "state").unlink()
    save(trial / "checkpoint_000001")
    shared.link("trials/0000/checkpoint_000001/more")
    with pytest.raises(ValueError, match="more is a link"), found.whole():
        pass


def test_a_checkpoint_that_is_a_link_is_named_and_left(shared, tmp_path):
    elsewhere = TrialCheckpoints(LocalStore(tmp_path / "0000"), "max")
    (tmp_path / "0000").mkdir()
    elsewhere.write(7, 0.9, {"score": 0.9}, save)
    shared.folder("trials/0000")
    shared.victim.unlink()
    shared.victim.symlink_to(tmp_path / "0000" / "checkpoint_000007")
    shared.link("trials/0000/checkpoint_000007")
    trial = trial_of(shared.study)
    assert trial.names() == ["checkpoint_000007"]
    with pytest.raises(LinkError):
        trial.read("checkpoint_000007")
    assert trial.newest_first() == []
    # Of a link the link is deleted.
    trial.store.drop("checkpoint_000007")
    assert trial.names() == []
    assert elsewhere.names() == ["checkpoint_000007"]


def test_a_study_and_the_folder_of_studies_may_be_reached_by_links(tmp_path):
    (tmp_path / "disk" / "moved" / "trials").mkdir(parents=True)
    (tmp_path / "results").symlink_to("disk")
    (tmp_path / "disk" / "study").symlink_to("moved")
    study = tmp_path / "results" / "study"
    write_json(study / STUDY_FILE, {})
    assert (tmp_path / "disk" / "moved" / STUDY_FILE).is_file()
    # In the form that a trial's process gets.
    trial = TrialCheckpoints(Store.at(str(study / "trials")) / "0000", "max")
    trial.write(1, 0.5, {"score": 0.5}, save)
    with trial.best().whole() as folder:
        assert (folder / "state").read_text() == "weights"


@pytest.mark.parametrize("name", ["../profile", "/etc/passwd", "below/../../profile", ".."])
def test_the_sums_of_a_checkpoint_name_nothing_outside_of_it(tmp_path, name):
    (tmp_path / "profile").write_text("secret")
    (tmp_path / "checkpoint" / "below").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"subpath|leads out|is a folder"):
        check_sums(tmp_path / "checkpoint", {name: [6, 0]})


def test_a_key_of_a_bucket_that_leads_out_of_its_folder_is_not_downloaded(
    bucket, s3_endpoint, tmp_path
):
    store = S3Store(f"{bucket}/study/trials/0000")
    store.write(f"checkpoint_000001/{RESULT_FILE}", b"{}")
    # Clients normalise `..` in a path; an attacker uses none of them.
    sent = http.client.HTTPConnection(s3_endpoint.removeprefix("http://"))
    sent.request("PUT", f"/{store.path}/checkpoint_000001/../../profile", b"export PATH=evil")
    assert sent.getresponse().status == 200
    sent.close()
    target = tmp_path / "a" / "b"
    target.mkdir(parents=True)
    with pytest.raises(ValueError, match="leads out of its folder"):
        store.copy_to("checkpoint_000001", target)
    assert [path.name for path in tmp_path.rglob("*")] == ["a", "b"]


def test_a_written_file_has_the_permissions_of_any_new_file(tmp_path):
    before = os.umask(0o027)
    try:
        write_file(tmp_path, tmp_path / "file", b"x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_folder_is_made_but_none_above_it(tmp_path):
    with opened(tmp_path, tmp_path / "one", make=True):
        assert (tmp_path / "one").is_dir()
    with (
        pytest.raises(FileNotFoundError, match="never"),
        opened(tmp_path, tmp_path / "never" / "two", make=True),
    ):
        pass


def test_a_folder_that_others_could_write_to_is_made_anew(shared):
    folder = shared.folder(".tune")
    shared.link(".tune/tuner.pkl")
    make_private(shared.study, folder)
    assert list(folder.iterdir()) == []
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (folder / "own").touch()
    make_private(shared.study, folder)
    assert (folder / "own").exists(), "another session of this user's may be at work"
    shared.link(".tune")
    make_private(shared.study, folder)
    assert folder.is_dir()
    assert not folder.is_symlink()
    assert not shared.harmed


def test_a_regular_file_is_read_through_a_link_to_its_folder(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("folder")
    assert read_regular(tmp_path / "link" / "file") == b"content"
    with open_regular(tmp_path / "folder" / "file") as file:
        assert not os.get_inheritable(file.fileno())


def make_socket(path):
    with socket.socket(socket.AF_UNIX) as one:
        # A socket's path may have 107 characters only.
        before = Path.cwd()
        os.chdir(path.parent)
        one.bind(path.name)
        os.chdir(before)


@pytest.mark.parametrize(
    ("kind", "make"),
    [
        ("a folder", Path.mkdir),
        ("a link", lambda path: path.symlink_to(__file__)),
        ("a link", lambda path: path.symlink_to(path.name)),
        ("a FIFO", os.mkfifo),
        ("a socket", make_socket),
    ],
)
def test_anything_but_a_regular_file_is_refused_by_its_kind(tmp_path, kind, make):
    make(tmp_path / "file")
    with pytest.raises(ValueError, match=f"file is {kind}"):
        read_regular(tmp_path / "file")


def test_a_device_is_refused():
    with pytest.raises(ValueError, match="/dev/zero is a device"):
        read_regular(Path("/dev/zero"))


def test_a_file_that_cannot_be_opened_raises_the_systems_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "absent")
    (tmp_path / "link").symlink_to("link")
    with pytest.raises(OSError, match="symbolic links"):
        read_regular(tmp_path / "link" / "file")
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        read_regular(tmp_path / "file" / "below")
