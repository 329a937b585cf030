"""The data centre that a module's tests share."""

import pytest

from tests.clusters.data_center import DataCenter, missing


@pytest.fixture(scope="module")
def data_center():
    """A client and three nodes, each of which declares one GPU; skipped where none can be built."""
    reason = missing()
    if reason is not None:
        pytest.skip(f"no data centre here: it {reason}")
    with DataCenter(3, {"RAY_OVERRIDE_RESOURCES": '{"GPU":1}'}) as center:
        yield center
