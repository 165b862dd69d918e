"""Start and end of the server: the log, and the threads that sync and notify."""

import logging
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.concurrency import run_in_threadpool
from streamlit.starlette import App

from app import services, upload_limits
from app.notification_watch import NotificationWatch
from app.temporary_folder import prepare_temporary_folder
from core.errors import EarmarkError
from core.files import remove_abandoned
from core.logging import configure
from core.storage.background_sync import BackgroundSync

logger = logging.getLogger(__name__)


@asynccontextmanager
async def lifespan(app: App) -> AsyncIterator[None]:
    """Keep the workspace in step with its shared folder for as long as the server runs."""
    threads = await run_in_threadpool(_start)
    yield
    for thread in threads:
        await run_in_threadpool(thread.stop)
    logger.info("server stop")


def _start() -> tuple[BackgroundSync | NotificationWatch, ...]:
    """Start the threads; none where settings or workspace cannot be used, which pages show."""
    configure()
    try:
        settings = services.settings()
        configure(settings.log_level, settings.secrets)
        upload_limits.check_server_limit()
        workspace = services.workspace()
        prepare_temporary_folder(workspace.folder)
        logger.info(
            "server start workspace=%s shared=%s", workspace.folder, bool(settings.hopsworks_host)
        )
        threads = BackgroundSync(workspace), NotificationWatch(workspace, settings)
        for thread in threads:
            thread.start()
        threading.Thread(target=remove_abandoned, args=(workspace.folder,), daemon=True).start()
        return threads
    except EarmarkError as error:
        logger.warning("server start without workspace reason=%s", error)
        return ()
