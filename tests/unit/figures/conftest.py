"""What tests of the figures share."""

import matplotlib as mpl
import pytest
from drawn_figures import Drawn, make_tables

from voxscale.figures.style import STYLE


@pytest.fixture(autouse=True, scope="package")
def in_house_style():
    with mpl.rc_context(fname=STYLE):
        yield


@pytest.fixture(scope="package")
def made():
    """The study's tables as frames; tests must not change them."""
    return make_tables()


@pytest.fixture(scope="package")
def drawn(made, in_house_style):
    return Drawn(made)
