"""Checkpoints of a command, taken while it writes them."""

import os
import threading

from tune_cluster.trial.command.saved import SavedFiles, keep, restore

PIECE, PIECES = bytes(100_000), 20


def test_a_checkpoint_that_is_being_written_is_awaited(tmp_path):
    saved = SavedFiles(tmp_path / "*.pt")
    begun, pause = threading.Event(), threading.Event()

    def write():
        with (tmp_path / "1.pt").open("wb", buffering=0) as file:
            for _ in range(PIECES):
                file.write(PIECE)
                begun.set()
                pause.wait(0.01)

    writer = threading.Thread(target=write)
    writer.start()
    begun.wait()
    newest = saved.next(lambda: False)
    size = newest.stat().st_size
    writer.join()
    assert size == len(PIECE) * PIECES


def test_an_older_checkpoint_is_not_the_next_one(tmp_path):
    (tmp_path / "0.pt").write_bytes(PIECE)
    saved = SavedFiles(tmp_path / "*.pt")
    (tmp_path / "1.pt").write_bytes(PIECE)
    assert saved.next(lambda: False) == tmp_path / "1.pt"
    assert saved.next(lambda: True) == tmp_path / "1.pt", "the command has ended"


def test_a_checkpoint_from_before_the_command_is_none_of_its_own(tmp_path):
    (tmp_path / "0.pt").write_bytes(PIECE)
    assert SavedFiles(tmp_path / "*.pt").next(lambda: True) is None


def test_links_to_later_checkpoints_are_removed_where_a_command_resumes_in_place(tmp_path):
    files, saved = tmp_path / "files", tmp_path / "saved"
    for folder in (files / "epoch_1", saved):
        folder.mkdir(parents=True)
    (files / "epoch_1" / "weights").write_text("1")
    keep(files / "epoch_1", 1, str(saved), files)
    (files / "epoch_2").mkdir()
    (files / "epoch_2" / "weights").write_text("2")
    later = (saved / "epoch_1" / "weights").stat().st_mtime + 10
    os.utime(files / "epoch_2" / "weights", (later, later))
    (files / "epoch_latest").symlink_to(files / "epoch_2")
    path, epoch = restore(saved, files, str(files / "epoch_*"))
    assert (path, epoch) == (str(files / "epoch_1"), 1)
    assert [one.name for one in files.iterdir()] == ["epoch_1"]
