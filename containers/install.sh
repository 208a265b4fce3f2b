#!/bin/sh
# install.sh SOURCE: the packages of the lock and voxscale, into /opt/voxscale of a Debian 12 image.
# What containers/Dockerfile and containers/apptainer.def run; SOURCE is a checkout of this repository.
set -eu
apt-get update
DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends python3 python3-venv ca-certificates git
python3 -m venv /opt/voxscale
/opt/voxscale/bin/pip install --no-cache-dir -r "$1/lock/requirements.txt"
/opt/voxscale/bin/pip install --no-cache-dir --no-deps --no-build-isolation "$1"
/opt/voxscale/bin/python -c 'import snakemake, torch, transformers, voxscale'
rm -rf /var/lib/apt/lists/*
