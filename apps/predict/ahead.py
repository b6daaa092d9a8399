"""Let a thread of its own make items while earlier ones are worked on."""

import queue
import threading
from collections.abc import Generator, Iterator
from typing import TypeVar

Item = TypeVar("Item")
MOST = 2  # items that wait
PATIENCE = 0.1  # s between two looks at whether anybody still wants items


def ahead(items: Generator[Item]) -> Iterator[Item]:
    """The items of a generator, which runs in a thread. It is closed when nobody wants more of them; what it
    raises is raised here."""
    waiting: queue.Queue[tuple[bool, Item | BaseException | None]] = queue.Queue(MOST)
    left = threading.Event()

    def put(is_item: bool, item: Item | BaseException | None) -> None:
        while not left.is_set():
            try:
                return waiting.put((is_item, item), timeout=PATIENCE)
            except queue.Full:
                continue

    def fill() -> None:
        try:
            for item in items:
                put(True, item)
                if left.is_set():
                    return items.close()
            put(False, None)
        except BaseException as error:
            put(False, error)

    thread = threading.Thread(target=fill, daemon=True)
    thread.start()
    try:
        while True:
            is_item, item = waiting.get()
            if is_item:
                yield item
            elif item is None:
                return
            else:
                raise item
    finally:
        left.set()
        thread.join()
