"""Ask OCR.space about faces: sheet by sheet, within the quota, and never twice about the same face."""

import os
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

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
from fer_tasks.text import ocr_space, replies
from fer_tasks.text.conversation import Conversation, Limits
from fer_tasks.text.lines import Line
from fer_tasks.text.ocr_space import NotRead, NotReadNow
from fer_tasks.text.quota import Ledger, Quota, QuotaSpent, system_clocks
from flows.engine.progress import Progress
from flows.engine.retries import network_task

KEPT = Path(".cache/ocr_space")
SECRET_BLOCK = "ocr-space-api-key"
MAX_FAILURES = 3  # in a row: then the service is at fault, not the pictures


@network_task(task_run_name="ask about {question}", retries=4)
def ask(question: str, root: Path, settings: OcrSpace) -> bool:
    """Make one call: take a permit from the ledger, send the picture, keep the reply.

    Returns whether the picture was read.

    Raises:
        NotReadNow: the service did not read it, but may on another try.
        QuotaSpent, Refused, TryAgain: no call can be made now.
    """
    _take_permit(settings)
    jpeg = (root / question / "sheet.jpg").read_bytes()
    try:
        # The key is read here, never passed as a task's argument: Prefect records those.
        reply = ocr_space.send(settings.url, _key(), jpeg, settings.ocr_engine, settings.language)
        ocr_space.read(reply)
    except NotReadNow:
        raise
    except NotRead as fault:
        keep_reply(root, question, fault.reply)
        return False
    keep_reply(root, question, reply)
    return True


def lines_by_ocr_space(
    faces: Mapping[str, tuple[str, str]], settings: OcrSpace
) -> tuple[dict[str, list[Line]], dict[str, str]]:
    """Ask about faces, {image id: (pixel hash, path)}, until each is read or refused by itself.

    Returns the lines of the faces that were read, and why the others were not, both by image id. Replies are
    kept, so the next run resumes where this one stopped.

    Raises:
        QuotaSpent, Refused, TryAgain: the run must stop for now.
        UserError: there is no key.
    """
    _key()
    root = KEPT / f"engine-{settings.ocr_engine}-{settings.language}"
    root.mkdir(parents=True, exist_ok=True)
    paths = {pixels: Path(path) for pixels, path in faces.values()}
    limits = Limits(settings.max_bytes, settings.max_side, settings.sheet)
    with FileLock(KEPT / "lock"), Progress("drop-text-ask", len(paths)) as progress:
        conversation = Conversation(root, paths, limits, images.read_image)
        while conversation.remaining:
            progress.reach(len(paths) - len(conversation.remaining), len(paths))
            if conversation.sheets_fail:
                _warn_of_sheets(conversation.replies.doubted)
            try:
                _ask_round(conversation.next_round(), root, settings, progress)
            except QuotaSpent as spent:
                conversation.update()
                raise _quota_spent(spent, len(conversation.remaining), len(paths)) from None
            conversation.update()
        progress.reach(len(paths), len(paths))
    known = conversation.replies
    lines = {i: known.lines[pixels] for i, (pixels, _) in faces.items() if pixels in known.lines}
    return lines, {i: known.unread[pixels] for i, (pixels, _) in faces.items() if i not in lines}


def _quota_spent(spent: QuotaSpent, remaining: int, total: int) -> QuotaSpent:
    """The same error with what remains to be done and when the next run can."""
    when = f"from {spent.again:%Y-%m-%d %H:%M} UTC on" if spent.again else "within a day"
    return QuotaSpent(
        f"{spent}: {remaining:,} of {total:,} faces are still to be asked about; replies are kept, and the "
        f"next `dvc repro` or scheduled run resumes, {when}",
        spent.again,
    )


def _warn_of_sheets(sheets: int) -> None:
    get_run_logger().warning(
        f"OCR.space did not read the test caption of any of {sheets} sheets, so each face takes its own "
        "call; drop_text.engine: local needs no calls"
    )


def _ask_round(
    questions: Iterable[replies.Question], root: Path, settings: OcrSpace, progress: Progress
) -> None:
    """Ask the questions until all are answered or a sheet is refused: then the rest is laid out again.

    Raises:
        Refused: MAX_FAILURES pictures in a row were not read.
    """
    failures: list[tuple[str, NotReadNow]] = []  # in a row; after a success they are the pictures' fault
    for question, outcome in _outcomes(questions, root, settings):
        if outcome is True:
            progress.update(len(question.faces))
            _mark_unreadable(root, failures)
        elif isinstance(outcome, NotReadNow):
            get_run_logger().warning(f"{root / question.id} was not read: {outcome}")
            failures.append((question.id, outcome))
            if len(failures) == MAX_FAILURES:
                raise Refused(f"OCR.space answers, but reads nothing ({outcome}); run again later")
        elif question.layout:
            break
    _mark_unreadable(root, failures)


def _outcomes(
    questions: Iterable[replies.Question], root: Path, settings: OcrSpace
) -> Iterator[tuple[replies.Question, bool | NotReadNow]]:
    """Ask, as many questions at a time as there are connections; yields each with whether it was read."""
    in_flight: deque[tuple[replies.Question, PrefectFuture[bool]]] = deque()
    try:
        for question in questions:
            for name, data in replies.files_of(question).items():
                write_bytes(root / question.id / name, data)
            in_flight.append((question, ask.submit(question.id, root, settings)))
            if len(in_flight) == settings.connections:
                yield _outcome(*in_flight.popleft())
        while in_flight:
            yield _outcome(*in_flight.popleft())
    finally:
        for _, future in in_flight:
            future.wait()


def _outcome(
    question: replies.Question, future: PrefectFuture[bool]
) -> tuple[replies.Question, bool | NotReadNow]:
    try:
        return question, future.result()
    except NotReadNow as fault:
        return question, fault


def keep_reply(root: Path, question: str, reply: str) -> None:
    """Keep a reply: from now on it counts."""
    write_text(root / question / "reply.json", reply)


def _mark_unreadable(root: Path, failures: list[tuple[str, NotReadNow]]) -> None:
    """Keep the replies of pictures that the service could not read, and empty the list."""
    while failures:
        question, fault = failures.pop()
        keep_reply(root, question, fault.reply)


def _take_permit(settings: OcrSpace) -> None:
    quota = Quota(settings.per_second, settings.per_day, settings.per_month)
    ledger = Ledger(_ledger_of(settings.url), quota, system_clocks())
    try:
        ledger.take(settings.wait, _wait)
    finally:
        ledger.close()


def _wait(seconds: float) -> None:
    if seconds > 10:
        get_run_logger().info(f"the quota is spent; waiting {seconds / 60:.1f} min for the next call")
    time.sleep(seconds)


def _ledger_of(url: str) -> Path:
    """The ledger of a service, outside the project: a quota belongs to a machine's address, not to a clone.

    Raises:
        UserError: there is no folder for it.
    """
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
            "drop_text.engine: ocr_space needs a key: set OCR_SPACE_API_KEY (https://ocr.space/ocrapi gives "
            f"free ones), or save it as the Prefect Secret block {SECRET_BLOCK!r}; engine: local needs none"
        ) from None
