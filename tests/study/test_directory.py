"""The directory of a study, and the download from a bucket."""

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.in_process import names
from tests.mounts import not_writable
from tune_cluster.execution.resume import nothing_left
from tune_cluster.storage import append_only
from tune_cluster.storage.lease import LEASE_FILE, S3Lease, StudyInUseError
from tune_cluster.storage.s3 import S3Store
from tune_cluster.study.directory import (
    StudyDirectory,
    begun_study,
    copy_of,
    download,
    local_copy,
)
from tune_cluster.study.journal import JOURNAL, Journal
from tune_cluster.study.study_file import STUDY_FILE


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "tune-cluster"


@pytest.fixture
def study(bucket):
    """A study of two lines, one of its trials with a checkpoint."""
    study = S3Store(f"{bucket}/results/mine")
    study.write(STUDY_FILE, b"{}")
    study.write(JOURNAL, b"1\n2\n")
    study.write("trials/0000/events.out", b"curve")
    study.write("trials/0000/checkpoint_000001/state.pt", b"weights")
    study.write("best/state.pt", b"weights")
    return study


def files_in(directory):
    paths = [path for path in directory.rglob("*") if path.is_file()]
    return {str(path.relative_to(directory)) for path in paths}


def test_a_new_study_in_a_bucket_is_written_to_a_copy_and_to_the_bucket(bucket, cache):
    with ExitStack() as held:
        directory = StudyDirectory.create(f"{bucket}/results", "mine", held)
        assert directory.path == cache / "studies" / "results" / "mine"
        assert str(directory.checkpoints) == f"{bucket}/results/mine/trials"
        (directory.path / STUDY_FILE).write_text("{}")
    assert set(S3Store(f"{bucket}/results/mine").files()) == {STUDY_FILE}


def test_of_a_study_that_does_not_begin_nothing_is_left_in_the_bucket(bucket, cache):
    with ExitStack() as held, suppress(KeyboardInterrupt):
        directory = StudyDirectory.create(f"{bucket}/results", "mine", held)
        with nothing_left(directory):
            raise KeyboardInterrupt
    assert S3Store(f"{bucket}/results/mine").files() == {}
    assert names(cache / "studies" / "results") == []


def test_of_two_jobs_with_one_name_from_the_clock_the_later_gets_a_number(bucket, cache, tmp_path):
    for storage_path in (f"{bucket}/results", str(tmp_path / "results")):
        with ExitStack() as held:
            directories = [
                StudyDirectory.create(storage_path, "job-1", held, numbered=True) for _ in range(3)
            ]
            assert [one.path.name for one in directories] == [
                "job-1",
                "job-1-2",
                "job-1-3",
            ]


def test_of_many_processes_that_want_one_name_one_has_it(tmp_path):
    def take():
        with ExitStack() as held, suppress(ValueError):
            return StudyDirectory.create(str(tmp_path), "mine", held).path

    with ThreadPoolExecutor(16) as pool:
        made = [made.result() for made in [pool.submit(take) for _ in range(64)]]
    assert [directory for directory in made if directory] == [tmp_path / "mine"]


def stored_study(folder):
    (folder / "mine").mkdir()
    (folder / "mine" / STUDY_FILE).write_text("{}")
    (folder / "mine" / JOURNAL).write_text("")
    return str(folder / "mine")


def test_one_process_at_a_time_has_a_study_from_before_anything_of_it_is_read(tmp_path):
    study = stored_study(tmp_path)
    with ExitStack() as held:
        StudyDirectory.find(study, held)
        with pytest.raises(ValueError, match="another process is running the study"):
            StudyDirectory.find(study, held)
    with ExitStack() as held:
        directory = StudyDirectory.find(study, held)
        journal = Journal(directory.path / JOURNAL, held=directory.journal)
    with ExitStack() as held, pytest.raises(ValueError, match="another process is running"):
        StudyDirectory.find(study, held)
    journal.close()
    with ExitStack() as held:
        StudyDirectory.find(study, held)


# Started by a name, again and again.


def left_behind(folder, name):
    """Files of a driver that was killed before its study has begun."""
    if name != "nothing":
        (folder / "mine").mkdir()
    if name in ("journal", "all"):
        (folder / "mine" / JOURNAL).touch()
    if name == "all":
        (folder / "mine" / "trials").mkdir()
        (folder / "mine" / ".tune").mkdir()
        (folder / "mine" / ".study.json-0123").write_text("{")


@pytest.mark.parametrize("left", ["nothing", "folder", "journal", "all"])
def test_a_start_takes_over_what_was_killed_before_it_had_begun(tmp_path, left):
    left_behind(tmp_path, left)
    assert begun_study(str(tmp_path), "mine") is None
    with ExitStack() as held:
        directory = StudyDirectory.start(str(tmp_path), "mine", held)
        assert directory.new
        assert directory.path == tmp_path / "mine"
        with pytest.raises(ValueError, match="another process is running the study"):
            StudyDirectory.start(str(tmp_path), "mine", ExitStack())


def test_a_study_has_begun_with_its_file(tmp_path):
    study = stored_study(tmp_path)
    assert begun_study(str(tmp_path), "mine") == study
    with ExitStack() as held, pytest.raises(ValueError, match=f"exists; .* --resume {study}"):
        StudyDirectory.start(str(tmp_path), "mine", held)


@pytest.mark.parametrize("name", ["notes.txt", "trials/0000/state.pt", JOURNAL])
def test_a_start_takes_over_nothing_that_a_person_has_put_there(tmp_path, name):
    (tmp_path / "mine" / name).parent.mkdir(parents=True)
    (tmp_path / "mine" / name).write_text("theirs")
    with ExitStack() as held, pytest.raises(ValueError, match="has no study that could be resumed"):
        StudyDirectory.start(str(tmp_path), "mine", held)
    assert files_in(tmp_path / "mine") == {name}


def test_of_many_processes_that_start_a_study_at_once_one_does(tmp_path):
    def start():
        with suppress(ValueError):
            return StudyDirectory.start(str(tmp_path), "mine", held)

    with ExitStack() as held, ThreadPoolExecutor(16) as pool:
        started = [one.result() for one in [pool.submit(start) for _ in range(64)]]
        assert [one.path for one in started if one] == [tmp_path / "mine"]


def test_a_driver_that_waits_for_the_lock_has_none_of_what_is_deleted_meanwhile(
    tmp_path, monkeypatch
):
    def too_late(number, path):
        path.unlink()

    monkeypatch.setattr(append_only, "lock", too_late)
    with ExitStack() as held, pytest.raises(ValueError, match="has just removed it; try again"):
        StudyDirectory.start(str(tmp_path), "mine", held)


@pytest.mark.parametrize("left", [{LEASE_FILE}, {STUDY_FILE}, {LEASE_FILE, STUDY_FILE}])
def test_in_a_bucket_too_a_start_takes_over_what_had_not_begun(bucket, cache, left):
    there = S3Store(f"{bucket}/results/mine")
    for name in left:
        there.write(name, b"{}")
    (cache / "studies" / "results" / "mine").mkdir(parents=True)
    assert begun_study(f"{bucket}/results", "mine") is None
    with ExitStack() as held:
        directory = StudyDirectory.start(f"{bucket}/results", "mine", held)
        assert directory.new
        assert names(directory.path) == [JOURNAL]
        assert LEASE_FILE in there.files()


def test_a_copy_of_a_study_that_its_bucket_does_not_have_is_set_aside(bucket, cache, capsys):
    copy = cache / "studies" / "results" / "mine"
    copy.mkdir(parents=True)
    (copy / STUDY_FILE).write_text("older")
    with ExitStack() as held:
        StudyDirectory.start(f"{bucket}/results", "mine", held)
        aside = next(path for path in copy.parent.iterdir() if path != copy)
    assert (aside / STUDY_FILE).read_text() == "older"
    assert str(aside) in capsys.readouterr().err


def test_a_study_in_a_bucket_has_begun_with_the_first_line_of_its_journal(study, bucket, cache):
    assert begun_study(f"{bucket}/results", "mine") == str(study)
    with ExitStack() as held, pytest.raises(ValueError, match=f"exists; .* --resume {study}"):
        StudyDirectory.start(f"{bucket}/results", "mine", held)
    study.delete(JOURNAL)
    assert begun_study(f"{bucket}/results", "mine") is None
    with ExitStack() as held, pytest.raises(ValueError, match=f"exists; .* --resume {study}"):
        StudyDirectory.start(f"{bucket}/results", "mine", held)
    assert "trials/0000/checkpoint_000001/state.pt" in study.files()


# Found.


@pytest.mark.parametrize("instead", ["nothing", "folder", "fifo", "link"])
def test_a_study_whose_journal_is_no_file_of_its_own_is_not_resumed(tmp_path, instead):
    study = Path(stored_study(tmp_path))
    (study / JOURNAL).unlink()
    if instead == "folder":
        (study / JOURNAL).mkdir()
    elif instead == "fifo":
        os.mkfifo(study / JOURNAL)
    elif instead == "link":
        (tmp_path / "other").touch()
        (study / JOURNAL).symlink_to(tmp_path / "other")
    with ExitStack() as held, pytest.raises(ValueError, match=JOURNAL):
        StudyDirectory.find(str(study), held)


def test_a_study_that_cannot_be_written_is_not_resumed(tmp_path):
    study = stored_study(tmp_path)
    with not_writable(tmp_path / "mine"), ExitStack() as held:
        with pytest.raises(ValueError, match=r"cannot be written .Read-only file system"):
            StudyDirectory.find(study, held)
        with pytest.raises(ValueError, match=r"cannot be written .Read-only file system"):
            StudyDirectory.create(study, "deeper", held)


def test_a_study_of_that_name_in_the_bucket_is_not_written_over(study, bucket, cache):
    with ExitStack() as held, pytest.raises(ValueError, match=f"exists; .* --resume {study}"):
        StudyDirectory.create(f"{bucket}/results", "mine", held)


@pytest.mark.parametrize("numbered", [True, False])
def test_a_study_that_began_and_ended_after_the_look_is_not_written_over(
    study, bucket, cache, monkeypatch, numbered
):
    enter = S3Lease.__enter__
    written = study.files()
    for name in written:
        study.delete(name)

    def too_late(lease):
        """The other driver has ended by the time at which this one has the lease."""
        entered = enter(lease)
        if str(study) == str(lease._store):
            study.write(STUDY_FILE, b"{}")
        return entered

    monkeypatch.setattr(S3Lease, "__enter__", too_late)
    with ExitStack() as held:
        if numbered:
            directory = StudyDirectory.create(f"{bucket}/results", "mine", held, numbered=True)
            assert directory.path.name == "mine-2"
        else:
            with pytest.raises(ValueError, match=f"exists; .* --resume {study}"):
                StudyDirectory.create(f"{bucket}/results", "mine", held)
        assert set(study.files()) == {STUDY_FILE}
    assert set(study.files()) == {STUDY_FILE}


def test_a_study_whose_driver_was_killed_before_it_began_cannot_be_resumed(bucket, cache):
    left = S3Store(f"{bucket}/results/mine")
    left.write(LEASE_FILE, b"{}")
    with ExitStack() as held, pytest.raises(ValueError, match="has no study that could be resumed"):
        StudyDirectory.create(f"{bucket}/results", "mine", held)


def test_of_two_jobs_of_one_second_in_a_bucket_each_has_its_name(bucket, cache, monkeypatch):
    files, enter = S3Store.files, S3Lease.__enter__
    begun = []

    def nothing_yet(store):
        """Let both look at the same moment."""
        return {} if not begun else files(store)

    def in_use(lease):
        if not begun:
            begun.append(lease)
            raise StudyInUseError("the driver on 'other' is running")
        return enter(lease)

    monkeypatch.setattr(S3Store, "files", nothing_yet)
    monkeypatch.setattr(S3Lease, "__enter__", in_use)
    with ExitStack() as held:
        directory = StudyDirectory.create(f"{bucket}/results", "job", held, numbered=True)
        assert directory.path.name == "job-2"


def test_a_copy_that_is_left_of_another_study_is_not_written_over(bucket, cache):
    (cache / "studies" / "results" / "mine").mkdir(parents=True)
    with ExitStack() as held, pytest.raises(ValueError, match="is a copy of another study"):
        StudyDirectory.create(f"{bucket}/results", "mine", held)


def test_on_another_machine_all_but_the_checkpoints_is_brought(study, cache):
    with ExitStack() as held:
        directory = StudyDirectory.find(str(study), held)
        assert files_in(directory.path) == {
            *(STUDY_FILE, JOURNAL, "trials/0000/events.out", "best/state.pt")
        }
        assert LEASE_FILE in study.files()
    assert (directory.path / JOURNAL).read_bytes() == b"1\n2\n"
    assert LEASE_FILE not in study.files()


def test_a_journal_that_was_not_copied_to_its_end_counts(study, cache, capsys):
    directory = copy_of(study)
    download(study, directory)
    # Its last line was not finished when the driver was killed.
    (directory / JOURNAL).write_bytes(b"1\n2\n3\n4")
    with ExitStack() as held:
        StudyDirectory.find(str(study), held)
        assert (directory / JOURNAL).read_bytes() == b"1\n2\n3\n4"
    assert "has 1 lines more" in capsys.readouterr().err
    assert study.read(JOURNAL) == b"1\n2\n3\n"


def test_a_study_that_went_on_elsewhere_is_brought_again(study, cache, capsys):
    directory = copy_of(study)
    download(study, directory)
    study.write(JOURNAL, b"1\n2\n3\n")
    download(study, directory)
    assert (directory / JOURNAL).read_bytes() == b"1\n2\n3\n"
    assert names(directory.parent) == ["mine"]
    assert capsys.readouterr().err == ""


def test_a_journal_that_differs_from_the_bucket_is_put_aside_and_not_mixed_with_it(
    study, cache, capsys
):
    directory = copy_of(study)
    download(study, directory)
    (directory / JOURNAL).write_bytes(b"1\n2\nhere\n")
    study.write(JOURNAL, b"1\n2\nelsewhere\n")
    download(study, directory)
    assert (directory / JOURNAL).read_bytes() == b"1\n2\nelsewhere\n"
    aside = next(path for path in directory.parent.iterdir() if path != directory)
    assert (aside / JOURNAL).read_bytes() == b"1\n2\nhere\n"
    assert f"what only this machine had is in {aside}" in capsys.readouterr().err


def test_a_study_is_brought_to_be_looked_at_while_its_driver_is_at_work(study, cache):
    study.write(LEASE_FILE, b"{}")
    directory = local_copy(str(study))
    assert (directory / JOURNAL).read_bytes() == b"1\n2\n"
    study.write(JOURNAL, b"1\n2\n3\n")
    assert (local_copy(str(study)) / JOURNAL).read_bytes() == b"1\n2\n3\n"
    assert local_copy("results/mine") == Path("results/mine")


def test_a_file_that_its_driver_deletes_meanwhile_is_left_out_of_what_is_looked_at(
    study, cache, monkeypatch
):
    read = S3Store.read

    def too_late(store, path):
        study.delete("best/state.pt")
        return read(store, path)

    monkeypatch.setattr(S3Store, "read", too_late)
    directory = local_copy(str(study))
    assert files_in(directory) == {STUDY_FILE, JOURNAL, "trials/0000/events.out"}


def test_of_a_bucket_that_cannot_be_read_to_its_end_nothing_is_left(study, cache, monkeypatch):
    read = S3Store.read

    def out_of_reach(store, path):
        if path == "best/state.pt":
            raise OSError("nothing answers there")
        return read(store, path)

    monkeypatch.setattr(S3Store, "read", out_of_reach)
    with pytest.raises(ValueError, match="nothing answers there"):
        local_copy(str(study))
    assert names(copy_of(study).parent) == []


def test_where_no_study_is_nothing_is_brought(bucket, cache):
    with ExitStack() as held, pytest.raises(ValueError, match="no study is there"):
        StudyDirectory.find(f"{bucket}/results/never", held)
    assert not cache.exists()


def test_nothing_is_brought_to_beside_the_study(study, cache):
    study.write("../../outside", b"hostile")
    directory = copy_of(study)
    download(study, directory)
    assert list(cache.rglob("outside")) == []
