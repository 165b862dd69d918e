"""Request limits per minute and day."""

from tests.servers.freesound.credentials import Access
from tests.servers.freesound.messages import ErrorReply, detail
from tests.servers.freesound.site import Site
from tests.servers.freesound.state import DAY_S, MINUTE_S, Client


def throttle(site: Site, client: Client, access: Access) -> None:
    """Count a call against its client's limits.

    A client has one counter for all its calls; the limit that it is held against differs between
    reading and writing.

    Raises:
        ErrorReply: A limit is reached, or the client is suspended.
    """
    if client.suspended:
        message = "Request was throttled because the ApiV2 credential has been suspended"
        raise ErrorReply(detail(429, message))
    now = site.state.now()
    client.calls = [moment for moment in client.calls if moment > now - DAY_S]
    limits = client.post_limits if access == "write" else client.get_limits
    for period, seconds, limit in zip(("minute", "day"), (MINUTE_S, DAY_S), limits, strict=True):
        calls = sum(moment > now - seconds for moment in client.calls)
        if site.force_429 == period or calls >= limit:
            reason = f"exceeding a request limit rate ({limit}/{period})"
            raise ErrorReply(detail(429, f"Request was throttled because of {reason}"))
    client.calls.append(now)
