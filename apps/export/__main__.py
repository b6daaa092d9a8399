"""Export a model for other runtimes: ONNX Runtime, LiteRT, OpenVINO, and a page that needs no server.

examples:
  %(prog)s --to onnx                          models/best, else the pretrained model, into export/onnx
  %(prog)s --to onnx,litert,openvino,web      … into four folders
  %(prog)s --to web --model pretrained --out site --faces photos/
  python -m http.server --bind 127.0.0.1 --directory export/web     then open http://127.0.0.1:8000/

Each folder has the network, model.json (labels, recipe, how faces are cut), a README of how to use it, and
parity.json. What was exported is run on faces of the project's test split, and kept only if no probability
is more than 0.0001 off what `monday-fer predict` answers and every answer is the same. Where the project
has no data, the faces are those of --faces, or drawn ones.

`web` takes npm, which gets onnxruntime-web once, and Node.js, which runs the page's code for the comparison.

exit status: 0; 1 if a target is refused, which leaves its folder as it was; 2 if the command is wrong.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from apps.export.exporting import export
from apps.export.reference import read_reference
from apps.export.source import read_source
from apps.export.targets import TARGETS
from apps.model_option import add_model
from apps.predict.predictor import default_model
from fer_tasks.errors import UserError, as_user_error, did_you_mean

FAILED, WRONG = 1, 2  # exit statuses


def main(given: Sequence[str] | None = None, prog: str = "python -m apps.export") -> int:
    """Run the command; returns its exit status."""
    arguments = _parser(prog).parse_args(given)
    try:
        source = read_source(arguments.model or default_model())
        reference = read_reference(source.folder, arguments.faces)
    except UserError as error:
        sys.stderr.write(f"{prog}: {error}\n")
        return WRONG
    sys.stderr.write(f"compared on {len(reference.crops)} faces of {reference.origin}\n")
    status = 0
    for name in arguments.to:
        folder = arguments.out / name
        try:
            parity = export(name, source, reference, folder, arguments.onnxruntime_web)
        except Exception as error:
            if not (mistake := as_user_error(error)):
                raise
            sys.stderr.write(f"{prog}: {name} is not exported: {mistake}\n")
            status = FAILED
            continue
        same = f"the same answers, probabilities at most {parity.max_difference:.1g} off"
        sys.stdout.write(f"{folder}: {same}\n")
    return status


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--to", type=_targets, required=True, metavar="A,B", help=f"of {', '.join(TARGETS)}")
    add_model(parser)
    add("--out", type=Path, default=Path("export"), metavar="DIR", help="where to (default: %(default)s)")
    add("--faces", type=Path, metavar="DIR", help="photos with faces to compare on, not the test split")
    add(
        "--onnxruntime-web",
        type=Path,
        metavar="PATH",
        help="the npm package's folder or .tgz, where npm cannot get it",
    )
    return parser


def _targets(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in TARGETS:
            hint = did_you_mean(name, [*TARGETS], f"choose from {', '.join(TARGETS)}")
            raise argparse.ArgumentTypeError(f"no target {name!r}; {hint}")
    if not names:
        raise argparse.ArgumentTypeError(f"name at least one of {', '.join(TARGETS)}")
    return [*dict.fromkeys(names)]


if __name__ == "__main__":
    sys.exit(main())
