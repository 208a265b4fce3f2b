"""What tests of the figures share."""

import matplotlib as mpl
import pytest

from voxscale.figures.style import STYLE


@pytest.fixture(autouse=True, scope="package")
def in_house_style():
    with mpl.rc_context(fname=STYLE):
        yield
