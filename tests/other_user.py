"""Another user of this machine, with a folder that both may write to."""

import os
import pwd
import tempfile
from pathlib import Path

import pytest

OTHER = "nobody"


def as_other(act):
    """Calls a function as the other user, in a process of its own."""
    other = pwd.getpwnam(OTHER)
    # Not another Python: it may be one that only this user can start.
    child = os.fork()
    if child == 0:
        done = 1
        try:
            os.setgroups([])
            os.setgid(other.pw_gid)
            os.setuid(other.pw_uid)
            act()
            done = 0
        finally:
            os._exit(done)
    assert os.waitpid(child, 0)[1] == 0, "the other user could not do it"


class Shared:
    """A study's folder that all users may write to, and a file that only the test's user may."""

    def __init__(self, folder):
        self.study = folder / "study"
        self.study.mkdir()
        self.study.chmod(0o777)
        self.victim = folder / "profile"
        self.victim.write_text("secret\n")
        self.victim.chmod(0o600)

    def link(self, *names):
        """The other user puts links to the victim's file where each of these is to be."""

        def plant():
            for name in names:
                path = self.study / name
                if os.path.lexists(path):
                    path.rename(path.with_name(f"{path.name}.gone"))
                path.symlink_to(self.victim)

        as_other(plant)

    def folder(self, name):
        """Create a folder in the study that all users may write to."""
        path = self.study / name
        path.mkdir(parents=True)
        for made in (path, *path.relative_to(self.study).parents):
            (self.study / made).chmod(0o777)
        return path

    @property
    def harmed(self):
        """Return whether the victim's file has changed."""
        return self.victim.read_text() != "secret\n"


@pytest.fixture
def shared():
    """Such a study; skipped where this process cannot act for another user."""
    if os.geteuid() != 0:
        pytest.skip("only root can act for another user")
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="tc-shared-") as made:
        folder = Path(made)
        folder.chmod(0o755)
        yield Shared(folder)
