"""Other users who can write to a study are reported before it is resumed."""

import os
import pwd

import pytest

from tests.other_user import OTHER
from tune_cluster.study.stored import strangers
from tune_cluster.study.study_file import STUDY_FILE


@pytest.fixture
def study(tmp_path):
    """One of this user's own."""
    tmp_path.chmod(0o755)
    folder = tmp_path / "study"
    (folder / "trials" / "0000").mkdir(parents=True)
    for name in (STUDY_FILE, "journal.jsonl"):
        (folder / name).touch(0o644)
    return folder


def test_a_study_of_ones_own_is_not_told_of(study):
    assert strangers(study) == ""


def test_a_file_or_folder_that_others_may_write_is_named(study):
    study.chmod(0o757)
    assert "it may be written to by everybody" in strangers(study)
    study.chmod(0o755)
    (study / "journal.jsonl").chmod(0o646)
    assert "journal.jsonl may be written to by everybody" in strangers(study)
    (study / "journal.jsonl").chmod(0o644)
    study.parent.chmod(0o777)
    assert "the folder that it is in may be written to by everybody" in strangers(study)
    # As /tmp: all users may create folders there, and rename no others'.
    study.parent.chmod(0o1777)
    assert strangers(study) == ""


def test_a_group_is_told_unless_it_is_its_owners_alone(study):
    own = pwd.getpwuid(os.geteuid())
    study.chmod(0o775)
    os.chown(study, -1, own.pw_gid)
    assert strangers(study) == ""
    if os.geteuid() == 0:
        os.chown(study, -1, pwd.getpwnam(OTHER).pw_gid)
        assert "it may be written to by the group " in strangers(study)


def test_another_owner_is_told(shared):
    shared.study.chmod(0o755)
    assert strangers(shared.study) == ""
    (shared.study / "trials").mkdir()
    os.chown(shared.study / "trials", pwd.getpwnam(OTHER).pw_uid, -1)
    assert f"trials belongs to {OTHER}" in strangers(shared.study)
    os.chown(shared.study, 12345, -1)
    assert "it belongs to user 12345" in strangers(shared.study)
