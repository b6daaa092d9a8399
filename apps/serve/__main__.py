"""Serve a page and an API on this machine that tell what faces show.

The page takes pictures and the camera: open http://127.0.0.1:8322/ in a browser. The API takes a picture as
the body of a request and answers in JSON, as `monday-fer predict` would:

  curl --data-binary @photo.jpg -H "Content-Type: image/jpeg" http://127.0.0.1:8322/predict
  curl http://127.0.0.1:8322/health             which model answers
  curl http://127.0.0.1:8322/openapi.json       a description of the API

examples:
  %(prog)s                             models/best, else the pretrained model, until Ctrl-C
  %(prog)s --model pretrained          another model; when its folder changes, the new one answers
  %(prog)s --port 8400                 another port; 0 takes a free one

Pictures are looked at in memory and not kept. Only programs and pages of this machine can ask, unless
--host names another address of it; there is no password, and browsers give a page the camera only on
127.0.0.1, localhost or over https.

exit status: 0; 2 if the model cannot be used or the address not be listened on.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from apps.model_option import add_model
from apps.predict.predictor import default_model
from apps.serve.app import make_app
from apps.serve.newest_model import NewestModel
from apps.web.listening import LOOPBACK, add_address, listening, serve_at
from fer_tasks.errors import UserError

WRONG = 2  # exit status


def main(given: Sequence[str] | None = None, prog: str = "python -m apps.serve") -> int:
    """Run the command; returns its exit status."""
    arguments = _parser(prog).parse_args(given)
    logging.basicConfig(format="%(name)s: %(message)s")
    try:
        serve(arguments.host, arguments.port, arguments.model)
    except UserError as error:
        sys.stderr.write(f"{prog}: {error}\n")
        return WRONG
    return 0


def serve(host: str, port: int, folder: Path | None) -> None:
    """Serve until Ctrl-C.

    Raises:
        UserError: the model cannot be used, or the address cannot be listened on.
    """
    with listening(host, port) as place:
        model = NewestModel(folder or default_model())
        app = make_app(model, hosts={*LOOPBACK, host})
        serve_at(place, app, host, model.name, "ask")


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_address(parser, 8322)
    add_model(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
