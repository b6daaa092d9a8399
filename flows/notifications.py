"""Where people are told: the block in which Prefect keeps the address, encrypted."""

import os
from uuid import UUID

from apprise import Apprise
from prefect.blocks.notifications import SlackWebhook
from prefect.client.orchestration import SyncPrefectClient
from prefect.exceptions import ObjectNotFound

from fer_tasks.errors import UserError

ADDRESS = "MONDAY_FER_NOTIFY_URL"  # the environment variable
BLOCK = "monday-fer"
# It hands every address to Apprise, which knows a hundred services by theirs. The base class for any of them
# cannot be saved, and a class of our own would be unknown to a server that others run.
Block = SlackWebhook


def notification_block(client: SyncPrefectClient) -> UUID | None:
    """The id of the block, with the address that the environment names, or else as it is on the server.

    None if there is neither. The address is taken out of the environment: no run needs it.

    Raises UserError, without the address, if Apprise does not understand it.
    """
    if address := os.environ.pop(ADDRESS, ""):
        if not Apprise().add(address):
            raise UserError(
                f"the address in {ADDRESS} is not one that Apprise knows: a webhook of your own is "
                "jsons://host/path, others are listed at https://appriseit.com/services/"
            )
        Block(url=address).save(BLOCK, overwrite=True)
    try:
        return client.read_block_document_by_name(BLOCK, Block.get_block_type_slug()).id
    except ObjectNotFound:
        return None
