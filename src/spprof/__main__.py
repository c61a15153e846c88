"""`python -m spprof`: the same command line as the `spprof` script."""

from __future__ import annotations

import sys

from spprof.cli import main

if __name__ == "__main__":
    sys.exit(main())
