"""Every feature benchmark in turn, or those named: `bench_features.py text speech store precision`.

Each writes its own sections of docs/benchmarks.md, which begin with `bench-features:`, and no other.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
PARTS = ("text", "speech", "store", "precision")

if __name__ == "__main__":
    for part in sys.argv[1:] or PARTS:
        importlib.import_module(f"bench_{part}").main([])
