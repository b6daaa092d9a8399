"""`make server`: the Prefect server with its UI and the report, until it is stopped."""

import argparse
import sys

from flows.command import ready_for_prefect
from flows.server.background import start_in_background
from flows.server.serve import serve

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m flows.server", description=__doc__)
    parser.add_argument("--background", action="store_true", help="start one unless one answers, and return")
    background = parser.parse_args().background
    with ready_for_prefect():
        if background:
            sys.stdout.write(f"Prefect's UI {start_in_background().removesuffix('/api')}\n")
        else:
            serve()
