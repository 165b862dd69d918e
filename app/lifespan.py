"""What begins and ends with the server: the one thread that keeps a shared workspace up to date."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool

from app import session
from core.errors import EarmarkError
from core.workspace.synchroniser import Synchroniser

logger = logging.getLogger(__name__)


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """Send and take over events for as long as the server runs; with a local workspace there is nothing to do."""
    synchroniser = await run_in_threadpool(_start)
    yield
    if synchroniser:
        await run_in_threadpool(synchroniser.stop)


def _start() -> Synchroniser | None:
    try:
        synchroniser = Synchroniser(session.workspace())
        synchroniser.start()
        return synchroniser
    except EarmarkError as error:  # the pages will say it
        logger.warning("%s", error)
        return None
