"""The option --model of the commands that ask a model."""

import argparse
from pathlib import Path


def add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model",
        type=Path,
        metavar="DIR",
        help="a model's folder (default: models/best, else the pretrained)",
    )
