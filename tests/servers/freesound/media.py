"""Addresses and bytes of previews, images and downloads."""

import re

from tests.servers.freesound import pages, renderings
from tests.servers.freesound.credentials import Call
from tests.servers.freesound.messages import ErrorReply, Reply, detail, html
from tests.servers.freesound.site import Site
from tests.servers.freesound.state import Sound

PREVIEW = re.compile(r"/data/previews/(\d+)/(\d+)_(\d+)-[hl]q\.(mp3|ogg)")
IMAGE = re.compile(r"/data/displays/(\d+)/(\d+)_(\d+)_(?:wave_bw_([ML])\.png|spec_bw_([ML])\.jpg)")
QUALITIES = ("hq-mp3", "hq-ogg", "lq-mp3", "lq-ogg")


def preview_addresses(site: Site, sound: Sound) -> dict[str, str]:
    """Return the addresses of a sound's previews by their names in the API."""
    stem = _stem(site, sound, "previews")
    return {f"preview-{quality}": f"{stem}-{quality.replace('-', '.')}" for quality in QUALITIES}


def image_addresses(site: Site, sound: Sound) -> dict[str, str]:
    """Return the addresses of a sound's images by their names in the API."""
    stem = _stem(site, sound, "displays")
    addresses = {
        f"{kind}_{size}": f"{stem}_{end.format(size.upper())}"
        for kind, end in (("waveform", "wave_bw_{}.png"), ("spectral", "spec_bw_{}.jpg"))
        for size in "ml"
    }
    black_and_white = {f"{name[:-2]}_bw{name[-2:]}": address for name, address in addresses.items()}
    return addresses | black_and_white


def serve_media(site: Site, path: str) -> Reply:
    """Return the preview or the image at a path below /data/."""
    audio, drawing = PREVIEW.fullmatch(path), IMAGE.fullmatch(path)
    match = audio or drawing
    sound = site.state.sounds.get(int(match[2])) if match else None
    if not match or not sound or not sound.processed:
        return _missing()
    if f"/{match[1]}/{match[2]}_{match[3]}" not in _stem(site, sound, "x"):
        return _missing()
    if audio:
        body = renderings.preview(sound.audio, sound.id, sound.duration, match[4])
        return Reply(200, body, "audio/ogg" if match[4] == "ogg" else "audio/mpeg")
    kind = "png" if match[4] else "jpg"
    body = renderings.image(sound.id, (match[4] or match[5]) == "L", kind)
    return Reply(200, body, "image/png" if kind == "png" else "image/jpeg")


def download(call: Call) -> Reply:
    """Return the original file of a public sound."""
    sound = call.site.state.sounds.get(call.number)
    if not sound or not sound.public:
        raise ErrorReply(detail(404, "Not found"))
    name = f"{sound.id}__{_slug(sound.username)}__{_slug(sound.name)}.{sound.type}"
    disposition = ("Content-Disposition", f'attachment; filename="{name}"')
    return Reply(200, sound.audio or b"", "application/octet-stream", [disposition])


def _stem(site: Site, sound: Sound, folder: str) -> str:
    """Return the beginning of the addresses of a sound's media."""
    host, owner = site.media_host or site.url, site.state.users[sound.username].id
    return f"{host}/data/{folder}/{sound.id // 1000}/{sound.id}_{owner}"


def _slug(text: str) -> str:
    """Return a text as it stands in a file name."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _missing() -> Reply:
    """Return the web server's answer for a file that is not there."""
    return html(pages.nginx_error(404, "Not Found"), 404)
