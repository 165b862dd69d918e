"""The network of a bundle for prediction; bundles of before model.onnx are converted once."""

import logging
from pathlib import Path

from core.files import write_atomic
from core.model.bundle import NETWORK, Bundle
from core.model.errors import IncompleteBundle, InvalidBundle
from core.model.inference import InferenceNetwork, open_network

logger = logging.getLogger(__name__)


def load_network(bundle: Bundle, threads: int = 1) -> InferenceNetwork:
    """Return a bundle's network, ready to predict.

    Args:
        bundle: The model. If it has no model.onnx, one is made of its weights and kept next to its
            folder; the folder itself stays as its fingerprint says.
        threads: That one pass uses.

    Raises:
        InvalidBundle: The network does not fit the bundle.
        IncompleteBundle: There is no model.onnx, and no PyTorch to make it.
    """
    try:
        model = (bundle.folder / NETWORK).read_bytes()
    except FileNotFoundError:
        return _load_converted(bundle, threads)
    except OSError as error:
        reason = f"The model in {bundle.folder.name} has an unreadable {NETWORK}: {error}."
        raise InvalidBundle(reason) from error
    return open_network(bundle, model, threads)


def converted_path(bundle: Bundle) -> Path:
    """Return where the network of a bundle without model.onnx is kept."""
    return bundle.folder.with_name(f".{bundle.fingerprint}.onnx")


def _load_converted(bundle: Bundle, threads: int) -> InferenceNetwork:
    """Return the network that was made of the weights; it is made where it is missing or damaged.

    Raises:
        BundleError: It cannot be made.
    """
    path = converted_path(bundle)
    try:
        return open_network(bundle, path.read_bytes(), threads)
    except (OSError, InvalidBundle):
        model = _convert(bundle)
    network = open_network(bundle, model, threads)
    try:
        write_atomic(path, model)
    except OSError as error:
        logger.warning("model not kept after conversion path=%s reason=%s", path, error.strerror)
    return network


def _convert(bundle: Bundle) -> bytes:
    """Return the contents of model.onnx for a bundle without it.

    Raises:
        BundleError: The weights do not fit, or PyTorch is missing.
    """
    try:
        from core.model.export import export_network
    except ImportError as error:
        reason = "is of an earlier version; to convert it once, install PyTorch and onnx"
        raise IncompleteBundle(f"The model in {bundle.folder.name} {reason}.") from error
    logger.info("model converted name=%s folder=%s", bundle.name, bundle.folder)
    return export_network(bundle)
