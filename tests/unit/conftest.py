"""What tests of the phantom share."""

import made_phantom
import pytest


@pytest.fixture(scope="session")
def drives():
    return made_phantom.drives()


@pytest.fixture(scope="session")
def subject():
    return made_phantom.subject()


@pytest.fixture(scope="session")
def signal():
    return made_phantom.signal()
