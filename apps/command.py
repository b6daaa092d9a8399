"""The command `monday-fer`: what one can do with a trained model.

  monday-fer predict SOURCE…    tell what faces show, in photos, folders, videos, or what a camera sees
  monday-fer serve              a page and an API on this machine that do so
  monday-fer export --to A,B    the model for other runtimes, and as a page that needs no server

`monday-fer <command> --help` tells more.
"""

import argparse
import sys
from importlib import import_module

COMMANDS = ("predict", "serve", "export")


def main() -> None:
    """Run the command that the first argument names; each is a package of `apps`."""
    parser = argparse.ArgumentParser(
        "monday-fer", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=COMMANDS)
    name = parser.parse_args(sys.argv[1:2]).command
    sys.exit(import_module(f"apps.{name}.__main__").main(sys.argv[2:], f"monday-fer {name}"))


if __name__ == "__main__":
    main()
