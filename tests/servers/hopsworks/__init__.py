"""A local double of Hopsworks' REST API, real HTTPS on loopback, as its client speaks with it.

In tests: `with HopsworksServer() as server:`. By itself: `python -m tests.servers hopsworks`.
Strict where the real server is known to be: destinations are not overwritten, uploads are not
atomic, lists stop at their limit, a missing path is an error 400.
"""

from tests.servers.hopsworks.server import HopsworksServer
from tests.servers.hopsworks.store import Store
from tests.servers.hopsworks.tree import Refusal

__all__ = ["HopsworksServer", "Refusal", "Store"]
