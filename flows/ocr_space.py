"""Ask OCR.space about faces: sheet by sheet, within the quota, and never twice about the same face."""

import os
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from filelock import FileLock
from platformdirs import user_state_path
from prefect import get_run_logger
from prefect.blocks.system import Secret
from prefect.futures import PrefectFuture

from fer_tasks.errors import UserError
from fer_tasks.network import Refused
from fer_tasks.settings import OcrSpace
from fer_tasks.storage import images
from fer_tasks.storage.files import write_bytes, write_text
from fer_tasks.text import ocr_space, replies, sheets
from fer_tasks.text.lines import Line
from fer_tasks.text.ocr_space import NotRead, NotReadNow
from fer_tasks.text.quota import Ledger, Quota, QuotaSpent, system_clocks
from flows.engine.progress import Progress
from flows.engine.retries import network_task

KEPT = Path(".cache/ocr_space")
SECRET_BLOCK = "ocr-space-api-key"
IN_A_ROW = 3  # failures that are the service's fault rather than the pictures'


@network_task(task_run_name="ask about {question}", retries=4)
def ask(question: str, root: Path, wanted: OcrSpace) -> bool:
    """One call: a permit of the ledger, the picture out, the reply kept. Was the picture read?"""
    _take_permit(wanted)
    jpeg = (root / question / "sheet.jpg").read_bytes()
    try:
        # The key is read here and never a task's argument: those are recorded.
        reply = ocr_space.send(wanted.url, _key(), jpeg, wanted.ocr_engine, wanted.language)
        ocr_space.read(reply)
    except NotReadNow:
        raise
    except NotRead as fault:
        keep_reply(root, question, fault.reply)
        return False
    keep_reply(root, question, reply)
    return True


def lines_by_ocr_space(
    faces: Mapping[str, tuple[str, str]], wanted: OcrSpace
) -> tuple[dict[str, list[Line]], dict[str, str]]:
    """Ask about faces, {image id: (pixel hash, path)}, until each is read or refused by itself.

    Returns by image id: the lines of those that were read, and why the others were not. Raises QuotaSpent,
    Refused and TryAgain; what was answered until then is kept, and the next run goes on from there.
    """
    _key()
    root = _root(wanted)
    root.mkdir(parents=True, exist_ok=True)
    paths = {pixels: Path(path) for pixels, path in faces.values()}
    with FileLock(KEPT / "lock"), Progress("drop-text-ask", len(paths)) as progress:
        while left := _left(paths, known := replies.replay_replies(root)):
            progress.reach(len(paths) - len(left), len(paths))
            tries_sheets = wanted.sheet and not _in_vain(known)
            questions = _questions(left, known, wanted, len(left) if tries_sheets else 1)
            if tries_sheets and not known.believed:
                questions = islice(questions, IN_A_ROW)
            try:
                _ask_round(questions, root, wanted, progress)
            except QuotaSpent as spent:
                raise _how_to_go_on(
                    spent, len(_left(paths, replies.replay_replies(root))), len(paths)
                ) from None
        progress.reach(len(paths), len(paths))
    lines = {i: known.lines[pixels] for i, (pixels, _) in faces.items() if pixels in known.lines}
    return lines, {i: known.unread[pixels] for i, (pixels, _) in faces.items() if i not in lines}


def _root(wanted: OcrSpace) -> Path:
    return KEPT / f"engine-{wanted.ocr_engine}-{wanted.language}"


def _left(paths: Mapping[str, Path], known: replies.Replies) -> dict[str, Path]:
    return {i: path for i, path in paths.items() if i not in known.lines and i not in known.unread}


def _how_to_go_on(spent: QuotaSpent, left: int, of: int) -> QuotaSpent:
    when = f"from {spent.again:%Y-%m-%d %H:%M} UTC on" if spent.again else "within a day"
    return QuotaSpent(
        f"{spent}: {left:,} of {of:,} faces are still to be asked about; what was answered is kept, and the "
        f"next `dvc repro` or scheduled run goes on, {when}",
        spent.again,
    )


def _in_vain(known: replies.Replies) -> bool:
    """Were the first sheets all sent for nothing?"""
    if known.believed or known.doubted < IN_A_ROW:
        return False
    get_run_logger().warning(
        f"OCR.space did not read the caption of any of {known.doubted} sheets: it does not cope with them, "
        "and the faces go one a call; drop_text.engine: local costs no calls"
    )
    return True


def _questions(
    left: Mapping[str, Path], known: replies.Replies, wanted: OcrSpace, together: int
) -> Iterator[replies.Question]:
    """Sheets of at most `together` faces first, then those that must be asked about in smaller company."""
    limit = min(wanted.max_bytes, known.max_bytes or wanted.max_bytes)
    company = {face: min(together, max(1, known.at_most.get(face, together))) for face in left}
    for most in sorted(set(company.values()), reverse=True):
        pictures = ((face, images.read_image(left[face])) for face in left if company[face] == most)
        for batch in sheets.fill(pictures, limit, wanted.max_side, most):
            yield from _fitting(batch, limit)


def _fitting(batch: dict[str, np.ndarray], limit: int) -> Iterator[replies.Question]:
    question = replies.make_question(batch)
    if len(question.jpeg) <= limit or len(batch) == 1:
        yield question
        return
    faces, half = list(batch.items()), len(batch) // 2
    yield from _fitting(dict(faces[:half]), limit)
    yield from _fitting(dict(faces[half:]), limit)


def _ask_round(
    questions: Iterable[replies.Question], root: Path, wanted: OcrSpace, progress: Progress
) -> None:
    """Ask until all is answered, or a sheet was refused: then the rest is laid out anew."""
    failed: list[tuple[str, NotReadNow]] = []  # in a row: the pictures' fault, or the service's?
    for question, outcome in _outcomes(questions, root, wanted):
        if outcome is True:
            progress.update(len(question.faces))
            _blame_pictures(root, failed)
        elif isinstance(outcome, NotReadNow):
            get_run_logger().warning(f"{root / question.id} was not read: {outcome}")
            failed.append((question.id, outcome))
            if len(failed) == IN_A_ROW:
                raise Refused(f"OCR.space answers, but reads nothing ({outcome}); run again later")
        elif question.layout:
            break
    _blame_pictures(root, failed)


def _outcomes(
    questions: Iterable[replies.Question], root: Path, wanted: OcrSpace
) -> Iterator[tuple[replies.Question, bool | NotReadNow]]:
    """Ask, so many at a time as there are connections. Was the picture read? Raises what stops the run."""
    flying: deque[tuple[replies.Question, PrefectFuture[bool]]] = deque()
    try:
        for question in questions:
            for name, data in replies.files_of(question).items():
                write_bytes(root / question.id / name, data)
            flying.append((question, ask.submit(question.id, root, wanted)))
            if len(flying) == wanted.connections:
                yield _outcome(*flying.popleft())
        while flying:
            yield _outcome(*flying.popleft())
    finally:
        for _, future in flying:
            future.wait()


def _outcome(
    question: replies.Question, future: PrefectFuture[bool]
) -> tuple[replies.Question, bool | NotReadNow]:
    try:
        return question, future.result()
    except NotReadNow as fault:
        return question, fault


def keep_reply(root: Path, question: str, reply: str) -> None:
    """Write down what was answered: from now on it counts."""
    write_text(root / question / "reply.json", reply)


def _blame_pictures(root: Path, blamed: list[tuple[str, NotReadNow]]) -> None:
    while blamed:
        question, fault = blamed.pop()
        keep_reply(root, question, fault.reply)


def _take_permit(wanted: OcrSpace) -> None:
    quota = Quota(wanted.per_second, wanted.per_day, wanted.per_month)
    ledger = Ledger(_ledger_of(wanted.url), quota, system_clocks())
    try:
        ledger.take(wanted.wait, _wait)
    finally:
        ledger.close()


def _wait(seconds: float) -> None:
    if seconds > 10:
        get_run_logger().info(f"the quota is spent; waiting {seconds / 60:.1f} min for the next call")
    time.sleep(seconds)


def _ledger_of(url: str) -> Path:
    """One a service, outside the project: a quota is of a machine's address, not of a clone. Raises UserError
    where there is no folder for it."""
    try:
        folder = user_state_path("monday-fer", ensure_exists=True)
    except OSError as error:
        fix = "set XDG_STATE_HOME to a folder that you can write, outside the project"
        raise UserError(f"calls to {url} cannot be counted: {error}; {fix}") from None
    return folder / f"{urlsplit(url).netloc.replace(':', '-')}.sqlite"


def _key() -> str:
    if key := os.environ.get("OCR_SPACE_API_KEY", "").strip():
        return key
    try:
        return Secret.load(SECRET_BLOCK).get()
    except ValueError:
        raise UserError(
            "drop_text.engine: ocr_space wants a key: set OCR_SPACE_API_KEY (https://ocr.space/ocrapi gives "
            f"free ones), or save it as the Prefect Secret block {SECRET_BLOCK!r}; engine: local wants none"
        ) from None
