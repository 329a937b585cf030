"""One cluster for all of them, and the study on it that nothing has disturbed."""

import pytest

from tests.faults.rack import Driver, Rack
from tests.faults.whole import ONE


@pytest.fixture(scope="package")
def rack(temporary):
    """Whole at the beginning of a test that asks for `mended`."""
    rack = Rack()
    yield rack
    rack.close()


@pytest.fixture(scope="package")
def undisturbed(rack, tmp_path_factory):
    """Directory of the study of `ONE` without a fault."""
    folder = tmp_path_factory.mktemp("undisturbed")
    driver = Driver(folder, *ONE, address=rack.address)
    assert driver.ended() == 0, driver.output
    return folder / "results" / "study"


@pytest.fixture
def mended(rack):
    """The rack with as many nodes as it had."""
    rack.mend()
    return rack


@pytest.fixture
def drive(rack, tmp_path):
    """Starts the job in the test's own folder; ended with the test."""
    started = []

    def start(*arguments, address=None, **options):
        started.append(Driver(tmp_path, *arguments, address=address or rack.address, **options))
        return started[-1]

    yield start
    for driver in started:
        driver.process.kill()
        driver.process.wait()
