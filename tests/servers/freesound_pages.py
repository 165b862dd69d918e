"""What the freesound.org double shows to a browser and serves as media: HTML pages, previews, waveform and spectral images."""

import io
import math
from functools import lru_cache
from html import escape


def layout(title: str, body: str) -> str:
    return f"<!doctype html>\n<html><head><meta charset='utf-8'><title>{escape(title)}</title></head>\n<body>{body}</body></html>\n"


def error(status: int, words: str) -> str:
    return layout(f"Freesound - {words}", f"<h1>{status}</h1><p>{escape(words)}</p>")


def nginx(status: int, words: str) -> str:
    return (
        f"<html>\r\n<head><title>{status} {words}</title></head>\r\n<body><center><h1>{status} {words}</h1></center></body>\r\n</html>\r\n"
    )


def moved(where: str) -> str:
    return layout("Moved", f"<a href='{escape(where)}'>moved</a>")


def oops(reason: str) -> str:
    """The reason stands in a comment only, as on the site."""
    return layout("Freesound - authorization", f"<h3>Oops! there were some errors...</h3><!-- {escape(reason)} -->")


def hidden(fields: dict[str, str]) -> str:
    return "".join(f"<input type='hidden' name='{escape(name)}' value='{escape(value)}'>" for name, value in fields.items())


def login(csrf: str, where: str, failed: bool) -> str:
    excuse = "<p class='error'>Please enter a correct username and password.</p>" if failed else ""
    return layout(
        "Freesound (local double) - log in",
        f"<h1>Log in</h1>{excuse}<form method='post' action='/apiv2/login/'>{hidden({'csrfmiddlewaretoken': csrf, 'next': where})}"
        "<label>Username <input name='username' autofocus></label> "
        "<label>Password <input name='password' type='password'></label> <input type='submit' value='Log in'></form>",
    )


def consent(application: str, username: str, fields: dict[str, str]) -> str:
    return layout(
        "Freesound (local double) - authorize",
        f"<h1>Authorize {escape(application)}?</h1><p>Logged in as <b>{escape(username)}</b>. It asks for: {escape(fields['scope'])}.</p>"
        f"<form method='post' action='/apiv2/oauth2/authorize'>{hidden(fields)}"
        "<input type='submit' value='Deny'> <input type='submit' name='allow' value='Authorize!'></form>",
    )


def permission_granted(application: str, code: str) -> str:
    return layout(
        "Freesound - permission granted",
        f"<p>Permission granted to application {escape(application)}!. Your authorization code:</p><div>{escape(code)}</div>",
    )


def access_denied() -> str:
    return layout("Freesound - access denied", "<p>Access has been denied.</p>")


def terms() -> str:
    return layout("Freesound - terms of service", "<h1>Terms of service</h1><p>Please accept the new terms before going on.</p>")


def browsable(text: str) -> str:
    return layout("Freesound API", f"<pre>{escape(text)}</pre>")


@lru_cache(maxsize=64)
def preview(audio: bytes | None, number: int, duration: float, extension: str) -> bytes:
    """The audio (a tone where there is none) as `ogg` or `mp3`; bytes that nothing decodes come back as they are."""
    import numpy as np
    import soundfile

    if audio is None:
        rate, seconds = 44100, min(duration or 1.0, 10.0)
        samples = (0.3 * np.sin(2 * math.pi * (220 + number % 660) * np.arange(int(rate * seconds)) / rate)).astype("float32")[:, None]
    else:
        try:
            samples, rate = soundfile.read(io.BytesIO(audio), dtype="float32", always_2d=True)
        except soundfile.LibsndfileError:
            return audio
    samples = samples[:, :2]
    if extension == "mp3" and rate not in (32000, 44100, 48000):
        moments = np.arange(0, len(samples), rate / 44100)
        samples = np.stack([np.interp(moments, np.arange(len(samples)), channel) for channel in samples.T], axis=1)
        rate = 44100
    out = io.BytesIO()
    kind = {"format": "OGG", "subtype": "VORBIS"} if extension == "ogg" else {"format": "MP3"}
    with soundfile.SoundFile(out, "w", rate, samples.shape[1], **kind) as file:
        for start in range(0, len(samples), rate):  # libsndfile's Vorbis overflows its stack on one long write
            file.write(samples[start : start + rate])
    return out.getvalue()


def measure(audio: bytes) -> dict | None:
    """Duration in seconds, sample rate, channels and bit depth as processing finds them; None where the audio cannot be decoded."""
    import soundfile

    try:
        about = soundfile.info(io.BytesIO(audio))
    except soundfile.LibsndfileError:
        return None
    depth = {"PCM_16": 16, "PCM_24": 24, "PCM_U8": 8, "PCM_S8": 8, "PCM_32": 32}.get(about.subtype)
    return {"duration": about.duration, "samplerate": float(about.samplerate), "channels": about.channels, "bitdepth": depth}


def image(number: int, large: bool, kind: str) -> bytes:
    """A drawing of the right size and format (`png` waveform, `jpg` spectral); what it shows is made up."""
    from PIL import Image, ImageDraw

    width, height = (900, 201) if large else (120, 71)
    picture = Image.new("RGB", (width, height), "white" if kind == "png" else "black")
    pen = ImageDraw.Draw(picture)
    for x in range(width):
        reach = int(height / 2 * abs(math.sin(x * (1 + number % 7) / 40)) * 0.9)
        pen.line([(x, height // 2 - reach), (x, height // 2 + reach)], fill="black" if kind == "png" else (reach % 255, 80, 160))
    out = io.BytesIO()
    picture.save(out, "PNG" if kind == "png" else "JPEG")
    return out.getvalue()
