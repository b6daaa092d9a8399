"""Tell what faces show: in a photo, a folder, a video, or what a camera sees.

A SOURCE is a picture, a folder (with all that is in it), a pattern such as 'holiday/*.jpg', a video, the
address of a stream (rtsp://…, http://…), `-` for a picture on standard input, or 0 for the first camera.

examples:
  %(prog)s photo.jpg                            a table, if this is a terminal; else CSV
  %(prog)s photos/ --out faces.csv              all pictures of a folder; or faces.jsonl, faces.parquet
  %(prog)s photos/ --annotated seen/            … and a copy of each with boxes and labels
  %(prog)s group.jpg --gallery faces.png        … and one picture with every face of all
  %(prog)s portrait.jpg --faces largest         only the main face of each picture
  %(prog)s crops/ --whole                       pictures that are faces already: nothing is searched
  %(prog)s film.mp4 --fps 5 --out film.csv      five frames a second; --start and --end in seconds
  %(prog)s film.mp4 --smooth 0.5 --annotated . --timeline .    also film.mp4.webm and film.mp4.png
  %(prog)s 0 --out me.csv                       the first camera, until Ctrl-C
  curl -s https://example.org/a.jpg | %(prog)s -

A row is a face; a picture or a frame without one has a row, too. `status` is ok, uncertain (the model is
right less than half of the time when it is so unsure), no_face or unreadable. Probabilities sum to 1. `set`
holds the true expression with the probability that --coverage asks for. Pixels are those of the upright
picture. In a video `track` tells faces apart.

exit status: 0; 1 if something could not be read or written; 2 if the command is wrong.
"""

import argparse
import json
import math
import os
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import groupby
from pathlib import Path

from apps.model_option import add_model
from apps.predict.answering import Tally, Wanted, answer_all, copies_of
from apps.predict.gallery import Gallery
from apps.predict.predictor import Predictor
from apps.predict.sources import Item, list_items
from apps.predict.tables import COLUMNS, SHOWN, SHOWN_OF_VIDEOS, SMOOTHED_COLUMNS, UNREADABLE
from apps.predict.writers import Printed, TableFile, check_format, printed, table_file
from fer_tasks.errors import UserError, as_user_error
from fer_tasks.labels import EXPRESSIONS

FAILED, WRONG, STOPPED = 1, 2, 130  # exit statuses


def main(given: Sequence[str] | None = None, prog: str = "python -m apps.predict") -> int:
    """Run the command; returns its exit status."""
    arguments = _parser(prog).parse_args(given)
    try:
        if arguments.out:
            check_format(arguments.out)
        predictor = Predictor(
            arguments.model,
            faces=arguments.faces,
            whole=arguments.whole,
            coverage=arguments.coverage,
            prior=arguments.prior,
        )
        items = list_items(arguments.source, [arguments.annotated, arguments.timeline])
        copies = copies_of(items, arguments.annotated) if arguments.annotated else {}
    except UserError as error:
        return _tell(prog, error, WRONG)
    if predictor.unlearnt:
        names, left = ", ".join(predictor.unlearnt), len(EXPRESSIONS) - len(predictor.unlearnt)
        sys.stderr.write(f"the model has seen no picture of {names}: it answers over the other {left}\n")
    try:
        return _run(arguments, items, predictor, Wanted(copies, Gallery() if arguments.gallery else None))
    except KeyboardInterrupt:
        return STOPPED
    except BrokenPipeError:  # as of `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:
        if not (mistake := as_user_error(error)):
            raise
        return _tell(prog, mistake, FAILED)


def _run(arguments: argparse.Namespace, items: Sequence[Item], predictor: Predictor, wanted: Wanted) -> int:
    tally = Tally()
    with _table(arguments, items, predictor) as table:
        tally.go_on(table)
        try:
            for is_picture, group in groupby(items, lambda item: item.kind == "picture"):
                if is_picture:
                    answer_all([*group], predictor, table, wanted, tally)
                else:
                    from apps.predict.video import predict_video  # here: pictures need none of it

                    for item in group:
                        predict_video(item, predictor, table, arguments, tally)
        except KeyboardInterrupt:
            if isinstance(table, TableFile):
                sys.stderr.write(
                    f"stopped; {table.part} has the rows so far: the same command goes on there\n"
                )
            raise
    if wanted.gallery:
        wanted.gallery.save(arguments.gallery)
        if left_out := wanted.gallery.left_out:
            sys.stderr.write(f"{arguments.gallery} has no room for {left_out:,} more faces\n")
    if len(items) > 1 or arguments.out:
        sys.stderr.write(f"{tally}\n")
    return FAILED if tally.statuses[UNREADABLE] else 0


def _table(
    arguments: argparse.Namespace, items: Sequence[Item], predictor: Predictor
) -> AbstractContextManager[Printed | TableFile]:
    columns = SMOOTHED_COLUMNS if arguments.smooth else COLUMNS
    if not arguments.out:
        all_pictures = all(item.kind == "picture" for item in items)
        return nullcontext(printed(columns, SHOWN if all_pictures else SHOWN_OF_VIDEOS))
    options = [
        arguments.faces,
        arguments.whole,
        arguments.coverage,
        arguments.prior,
        str(arguments.annotated),
    ]
    options += [arguments.fps, arguments.start, arguments.end, arguments.smooth]
    settings = json.dumps([predictor.info["fingerprint"], *options])
    return table_file(arguments.out, columns, settings, go_on=not arguments.gallery)  # which has every face


def _tell(prog: str, error: UserError, status: int) -> int:
    sys.stderr.write(f"{prog}: {error}\n")
    return status


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("source", nargs="+", metavar="SOURCE", help="what to look at; see above")
    add("--out", type=Path, metavar="FILE", help="write rows to FILE.csv, .jsonl or .parquet")
    add("--annotated", type=Path, metavar="DIR", help="write a copy of each picture or video with labels")
    add("--gallery", type=_png_name, metavar="FILE.png", help="write one picture with every face, titled")
    add("--timeline", type=Path, metavar="DIR", help="write a picture of each video's expressions over time")
    add("--fps", type=_above_0, metavar="N", help="of a video, at most N frames a second (default: all)")
    add("--start", type=_from_0, default=0, metavar="S", help="of a video, from S seconds on")
    add("--end", type=_above_0, metavar="S", help="of a video or a camera, up to S seconds")
    add("--smooth", type=_from_0, default=0, metavar="S", help="add columns smoothed over S seconds of video")
    add("--faces", choices=("all", "largest"), default="all", help="which faces of a picture (default: all)")
    add("--whole", action="store_true", help="each picture is a face already: search for none")
    add("--coverage", type=float, default=0.9, metavar="P", help="of `set`, 0 to 1 (default: %(default)s)")
    add(
        "--prior",
        choices=("training", "balanced"),
        default="training",
        help="how frequent the expressions are: as in training (default), or all alike: rare ones show",
    )
    add_model(parser)
    return parser


def _from_0(text: str) -> float:
    number = float(text)
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 0 on")
    return number


def _above_0(text: str) -> float:
    if not _from_0(text):
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return float(text)


def _png_name(name: str) -> Path:
    if Path(name).suffix.lower() != ".png":
        raise argparse.ArgumentTypeError(f"{name}: name a file that ends in .png")
    return Path(name)


if __name__ == "__main__":
    sys.exit(main())
