"""Every test is without the site file of the user who runs it."""

import os

os.environ["VOXSCALE_SITE"] = os.devnull
