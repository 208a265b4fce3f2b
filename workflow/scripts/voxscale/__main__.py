"""`python -m voxscale` is the command line `voxscale`."""

from voxscale.cli import main

main()
