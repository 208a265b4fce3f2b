"""Every feature benchmark in turn, or those named: `bench_features.py text speech`."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

if __name__ == "__main__":
    known = [part for part in ("text", "speech") if (HERE / f"bench_{part}.py").exists()]
    for part in sys.argv[1:] or known:
        importlib.import_module(f"bench_{part}").main([])
