"""`make server`: the Prefect server with its UI and the report, until it is stopped."""

import argparse
import sys

from fer_tasks.settings import load_settings
from flows.command import ready_for_prefect
from flows.server.background import start_in_background
from flows.server.serve import serve

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m flows.server", description=__doc__)
    parser.add_argument("--background", action="store_true", help="start one unless one answers, and return")
    parser.add_argument("--idle-minutes", type=float, help="end after so many minutes without a request")
    arguments = parser.parse_args()
    with ready_for_prefect():
        if arguments.background:
            idle_minutes = arguments.idle_minutes or load_settings().server.idle_minutes
            url = start_in_background(idle_minutes).removesuffix("/api")
            sys.stdout.write(f"Prefect's UI {url}\n")
        else:
            serve(arguments.idle_minutes)
