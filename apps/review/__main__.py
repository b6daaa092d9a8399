"""Decide on doubted faces, on a web page that this machine serves.

  python -m apps.review                     serve the page (the same as `make review`)
  python -m apps.review import FILE         add decisions made elsewhere
  python -m apps.review export FILE         write the list of faces, doubts and decisions as CSV

Your decisions become rows of review/decisions.csv, which is kept in git; `dvc repro` then rebuilds what
depends on them. The faces are those of the last `dvc repro clean`.
"""

import argparse
import sys
from pathlib import Path

from apps.review.app import make_app
from apps.review.decision_log import DecisionLog
from apps.review.import_export import import_decisions, review_list
from apps.review.review_queue import open_queue
from apps.web.listening import LOOPBACK, add_address, listening, serve_at
from fer_tasks.errors import UserError
from fer_tasks.storage.files import write_table

DATA, DECISIONS = Path("data"), Path("review/decisions.csv")


def serve(host: str, port: int, reviewer: str) -> None:
    """Serve the page until Ctrl-C.

    Raises:
        UserError: there are no faces to review yet, or the address cannot be listened on.
    """
    newest, log = open_queue(DATA), DecisionLog(DECISIONS)
    app = make_app(newest, log, hosts={*LOOPBACK, host}, reviewer=reviewer)
    with listening(host, port) as place:
        serve_at(place, app, host, f"{len(newest().faces):,} faces to review", "decide")


def _import(file: Path) -> None:
    done = import_decisions(file, open_queue(DATA)(), DecisionLog(DECISIONS))
    sys.stdout.write(
        f"{done.new} new decisions, {done.present} already recorded\n"
        f"of the new: {done.stale} stale (pixels changed), {done.unknown} unknown (no such face)\n"
        f"{done.disputed} faces are newly disputed\n"
    )


def _export(file: Path) -> None:
    queue, log = open_queue(DATA)(), DecisionLog(DECISIONS)
    with log.locked():
        table = review_list(queue, log)
    write_table(file, table)
    sys.stdout.write(f"{file}: {len(table):,} faces, {(table['state'] == 'decided').sum():,} decided\n")


def _arguments(given: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m apps.review", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    serving = commands.add_parser("serve", help="serve the page (the default)")
    add_address(serving, 8321)
    serving.add_argument("--reviewer", default="", help="your name; without it the page asks for it once")
    for name, summary in (
        ("import", "add decisions made elsewhere"),
        ("export", "write the review list as CSV"),
    ):
        commands.add_parser(name, help=summary).add_argument("file", type=Path)
    bare = not given or given[0].startswith("--") and given[0] != "--help"
    return parser.parse_args(["serve", *given] if bare else given)


def main() -> None:
    arguments = _arguments(sys.argv[1:])
    try:
        if arguments.command == "serve":
            serve(arguments.host, arguments.port, arguments.reviewer)
        else:
            (_import if arguments.command == "import" else _export)(arguments.file)
    except UserError as error:
        sys.exit(f"review: {error}")


if __name__ == "__main__":
    main()
