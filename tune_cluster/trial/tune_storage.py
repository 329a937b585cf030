"""Where Tune puts what a function reports with `checkpoint=`, until the wrapper takes it over."""

from __future__ import annotations

from ray.train._internal.storage import StorageContext


def move_to_this_node(storage: StorageContext) -> None:
    """Makes a trial's storage of Tune a folder of this node, under Ray's own.

    What Tune was given is a folder of the study: Tune copies there at once, and where it is full or
    away the trial's function fails, before the wrapper could wait. Where the study lies in a bucket
    it is a folder of the head, which Tune refuses to write to from another node.
    """
    storage.storage_fs_path = f"{storage._get_session_path()}/reported"
    storage._create_validation_file()
