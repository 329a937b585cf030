"""Storage that fails: which errors are waited for, which are not, and the printed lines."""

import errno
import time

import pytest

from tune_cluster.storage.retry import RetryPolicy, StorageLostError, StorageRetry
from tune_cluster.storage.store import LocalStore

SHORT = RetryPolicy(first_seconds=0.01, longest_seconds=0.02, total_seconds=0.2)


@pytest.fixture
def lines():
    return []


@pytest.fixture
def retry(tmp_path, lines):
    return StorageRetry(LocalStore(tmp_path), tell=lines.append, policy=SHORT)


def failing(errors):
    """Raises each of the errors, once, and then returns their number."""
    left = [OSError(number, "as the system says it") for number in errors]
    count = len(left)

    def act():
        if left:
            raise left.pop(0)
        return count

    return act


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "no space left on device"),
        (errno.EDQUOT, "disk quota exceeded"),
        (errno.EROFS, "read-only file system"),
        (errno.EIO, "input/output error"),
        (errno.ESTALE, "stale file handle"),
        (errno.ENOTCONN, "transport endpoint is not connected"),
    ],
)
def test_a_failing_call_is_retried_until_it_succeeds_with_one_line_for_each_change(
    retry, lines, tmp_path, number, said
):
    assert retry(failing([number] * 3)) == 3
    assert len(lines) == 2
    assert lines[0].startswith(f"storage: {said} on {tmp_path}; waiting, retried every ")
    way_out = "free some" if number in (errno.ENOSPC, errno.EDQUOT) else "bring it back"
    assert f"{way_out}, or end the study" in lines[0]
    assert lines[1].startswith(f"storage: {tmp_path} is back after ")


@pytest.mark.parametrize(
    "error",
    [PermissionError(errno.EACCES, "no"), ValueError("no"), FileNotFoundError(errno.ENOENT, "no")],
)
def test_an_error_that_is_not_of_the_storage_is_raised_without_a_retry(retry, lines, error):
    calls = []

    def act():
        calls.append(1)
        raise error

    with pytest.raises(type(error)):
        retry(act)
    assert (len(calls), lines) == (1, [])


def test_a_folder_that_is_away_is_a_mount_point_that_is(tmp_path, lines):
    store = LocalStore(tmp_path / "mounted")

    def comes_back(line):
        lines.append(line)
        store.path.mkdir(exist_ok=True)

    StorageRetry(store, tell=comes_back, policy=SHORT).wait()
    assert "its mount point is away" in lines[0]
    assert "is back" in lines[1]


@pytest.mark.parametrize("failures", range(6))
def test_each_retry_waits_twice_as_long_up_to_the_longest(tmp_path, lines, monkeypatch, failures):
    policy, slept = RetryPolicy(first_seconds=0.5, longest_seconds=3.0), []
    retry = StorageRetry(LocalStore(tmp_path), tell=lines.append, policy=policy)
    monkeypatch.setattr(retry, "_sleep", slept.append)
    assert retry(failing([errno.EIO] * failures)) == failures
    assert slept == [0.5, 1.0, 2.0, 3.0, 3.0][:failures]
    assert len(lines) == (2 if failures else 0)


def test_storage_that_stays_away_raises_an_error_with_the_reason(retry, tmp_path):
    with pytest.raises(StorageLostError, match="no space left on device") as caught:
        retry(failing([errno.ENOSPC] * 1000))
    assert caught.value.errno == errno.ENOSPC
    assert str(tmp_path) in str(caught.value)


def test_a_caller_that_gives_up_ends_the_wait(tmp_path, lines):
    retry = StorageRetry(
        LocalStore(tmp_path),
        lines.append,
        give_up=lambda: bool(lines),
        policy=RetryPolicy(first_seconds=300),
    )
    began = time.monotonic()
    with pytest.raises(StorageLostError):
        retry(failing([errno.EIO] * 2))
    # Not a claim about speed: the wait would be 300 s.
    assert time.monotonic() - began < 60
