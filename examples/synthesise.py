"""Synthesise the example sounds with numpy: python examples/synthesise.py [words of their names]

No recording is used. Every sound is built the way its source works: an engine is a train of firings
through an exhaust, a clock is a few small plates that are struck, a bark is a gliding voice through
a muzzle. Random seeds are fixed, so a sound is always the same sound (only the stream's serial
number in the Ogg container differs). Rough spectra and rates, such as how much brighter rain is
than an engine, were set by looking at log-mels of real clips; nothing else of them is in here.
"""

import argparse
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

RATE = 44_100
FOLDER = Path(__file__).parent / "sounds"
PEAK = 10 ** (-3 / 20)  # -3 dBFS: Vorbis overshoots a little, and must not clip
FADE_S = 0.03
BLOCK_FRAMES = 1 << 16
"""Frames written at once: libvorbis puts a whole write on its stack and crashes on long ones."""
ARTIST = "Earmark"
LICENSE = "CC0 1.0"
COMMENT = "Synthesised by examples/synthesise.py; no recording was used."

Samples = NDArray[np.float64]
Curve = Mapping[float, float] | Mapping[int, float]
"""Level in dB by frequency in Hz; straight lines between them on a logarithmic axis."""


# Building blocks


def silence(seconds: float) -> Samples:
    """Return zeros, float64 [n]."""
    return np.zeros(round(seconds * RATE))


def gains(curve: Curve, hz: NDArray[np.floating]) -> Samples:
    """Return amplitude factors of `curve` at the frequencies `hz`, the same shape."""
    levels_db = np.interp(np.log(np.maximum(hz, 1.0)), np.log(list(curve)), list(curve.values()))
    factors: Samples = 10 ** (levels_db / 20)
    return factors


def shape(sound: Samples, curve: Curve) -> Samples:
    """Filter `sound` [n] with zero phase by the given `curve`."""
    spectrum = np.fft.rfft(sound)
    return np.fft.irfft(spectrum * gains(curve, np.fft.rfftfreq(len(sound), 1 / RATE)), len(sound))


def noise(random: np.random.Generator, seconds: float, curve: Curve) -> Samples:
    """Return steady noise of the given spectrum and RMS 1, [n]."""
    coloured = shape(random.standard_normal(round(seconds * RATE)), curve)
    even: Samples = coloured / coloured.std()
    return even


def outline(seconds: float, points: Mapping[float, float] | Mapping[int, float]) -> Samples:
    """Return straight lines through `points` (second: value), [n]."""
    return np.interp(np.arange(round(seconds * RATE)) / RATE, list(points), list(points.values()))


def wander(random: np.random.Generator, seconds: float, per_second: float) -> Samples:
    """Return a smooth random drift of RMS about 1 that turns `per_second` times a second, [n]."""
    knots = random.standard_normal(int(seconds * per_second) + 3)
    return np.interp(
        np.arange(round(seconds * RATE)) / RATE * per_second, np.arange(len(knots)), knots
    )


def harmonics(pitch_hz: Samples, curve: Curve, highest: int = 60) -> Samples:
    """Return a voice of gliding `pitch_hz` [n].

    Each harmonic is as loud as `curve` says at its frequency at that moment.
    """
    phase = 2 * np.pi * np.cumsum(pitch_hz) / RATE
    voice = np.zeros(len(pitch_hz))
    for number in range(1, highest + 1):
        hz = number * pitch_hz
        if hz.min() > 0.45 * RATE:
            break
        scattered_phase = number**2  # in phase, harmonics would make one click each period
        voice += np.where(hz < 0.45 * RATE, gains(curve, hz), 0) * np.sin(
            number * phase + scattered_phase
        )
    return voice


def ring(
    seconds: float,
    partials: Mapping[float, tuple[float, float]] | Mapping[int, tuple[float, float]],
) -> Samples:
    """Return the sound of something struck, [n].

    Args:
        seconds: Length.
        partials: Hz: (amplitude, time constant of the decay in seconds).
    """
    time, sound = np.arange(round(seconds * RATE)) / RATE, silence(seconds)
    for hz, (level, decay) in partials.items():
        sound += level * np.exp(-time / decay) * np.sin(2 * np.pi * hz * time)
    return sound


def burst(random: np.random.Generator, seconds: float, decay: float, curve: Curve) -> Samples:
    """Return a puff of noise, [n].

    Args:
        random: Source of the noise.
        seconds: Length.
        decay: Time constant in seconds.
        curve: Spectrum of the noise.
    """
    puff = noise(random, seconds, curve)
    return puff * np.exp(-np.arange(len(puff)) / RATE / decay)


def place(sound: Samples, part: Samples, second: float, level: float = 1.0) -> None:
    """Add `part` [m] into `sound` [n] from `second` on; the end is cut where it does not fit."""
    start = round(second * RATE)
    part = part[: max(0, len(sound) - start)]
    sound[start : start + len(part)] += level * part


def scattered(random: np.random.Generator, seconds: float, per_second: float) -> Samples:
    """Return times in seconds of independent events, sorted (a Poisson process)."""
    return np.sort(random.uniform(0, seconds, random.poisson(seconds * per_second)))


def room(
    random: np.random.Generator, sound: Samples, decay: float, wet: float, curve: Curve
) -> Samples:
    """Return `sound` [n] with the echoes of a room or street.

    Args:
        random: Source of the echoes.
        sound: [n].
        decay: Time constant of the echoes in seconds.
        wet: Level of the echoes relative to the sound's.
        curve: Spectrum of the echoes.
    """
    tail = burst(random, 7 * decay, decay, curve)  # seven time constants: it ends 60 dB down
    size = len(sound) + len(tail)
    echo = np.fft.irfft(np.fft.rfft(sound, size) * np.fft.rfft(tail, size), size)[: len(sound)]
    echoing: Samples = sound + wet * echo * (sound.std() / max(echo.std(), 1e-9))
    return echoing


def firings(
    random: np.random.Generator, pitch_hz: Samples, stroke: Samples, unevenness: float
) -> Samples:
    """Return a train of strokes at the rate `pitch_hz`, [n].

    Args:
        random: Source of the unevenness.
        pitch_hz: Strokes a second at every sample, [n].
        stroke: A single stroke, [m].
        unevenness: Spread of their force, and in tenths of a period of their time.
    """
    cycles = np.cumsum(pitch_hz) / RATE
    starts = np.flatnonzero(np.diff(np.floor(cycles)) > 0)
    sound = np.zeros(len(pitch_hz))
    for start in starts:
        shift = unevenness * 0.1 * random.standard_normal() / pitch_hz[start]
        place(
            sound, stroke, max(0.0, start / RATE + shift), 1 + unevenness * random.standard_normal()
        )
    return sound


# Weather and nature


def rain(random: np.random.Generator) -> Samples:
    """Synthesise the hiss of thousands of far drops, and near ones that hit leaves, [n, 2]."""
    far = {30: 4, 300: 0, 1000: -2, 4000: -6, 9000: -8, 16000: -14}
    sides = [noise(random, 6, far) for _ in range(2)]
    for second in scattered(random, 6, 90):
        pan, level = random.uniform(0, 1), random.pareto(2.2)
        drop = burst(
            random,
            0.03,
            random.uniform(0.001, 0.004),
            {200: -25, 1500: -6, random.uniform(2500, 9000): 0, 16000: -12},
        )
        for side, share in zip(sides, (pan, 1 - pan), strict=True):
            place(side, drop, second, 1.2 * min(level, 4.0) * share)
    return np.stack(sides, axis=1)


def sea(random: np.random.Generator) -> Samples:
    """Synthesise two breakers: a roar that swells, then brighter foam that fades, [n, 2]."""
    roar = {30: -8, 300: 2, 700: 2, 1500: -8, 4000: -24, 9000: -36}
    foam = {30: -25, 300: -8, 1000: 0, 3000: -9, 7000: -18, 12000: -32}
    swell = outline(6, {0: 0.25, 1.3: 1, 2.2: 0.6, 3.4: 0.25, 4.6: 1.1, 5.5: 0.6, 6: 0.45})
    hiss = outline(6, {0: 0.1, 1.1: 0.3, 1.7: 1, 3.5: 0.2, 4.4: 0.3, 5: 1.1, 6: 0.6})
    flutter = 1 + 0.1 * wander(random, 6, 8)
    sides = [
        flutter * (swell * noise(random, 6, roar) + 0.4 * hiss * noise(random, 6, foam))
        for _ in range(2)
    ]
    return np.stack(sides, axis=1)


def fire(random: np.random.Generator) -> Samples:
    """Synthesise the low flutter of flames, and wood that cracks, [n].

    A few cracks are loud, many are faint.
    """
    flames = noise(random, 5, {30: 0, 120: -8, 300: -22, 1000: -32, 5000: -38, 16000: -42})
    sound = 0.10 * flames * (1 + 0.25 * wander(random, 5, 7))
    for second in scattered(random, 5, 28):
        crack = burst(
            random,
            0.05,
            random.uniform(0.0008, 0.006),
            {60: -18, 300: -6, random.uniform(800, 7000): 0, 16000: -6},
        )
        place(sound, crack, second, 0.12 * min(random.pareto(1.1), 9.0))
    return room(random, sound, 0.03, 0.25, {200: -4, 1000: 0, 8000: -8})


# Animals and people


def bark(random: np.random.Generator) -> Samples:
    """Synthesise a bark of a medium-sized dog, [n].

    A voice jumps up and falls, through the formants of the muzzle.
    """
    length = 0.2 * random.uniform(0.9, 1.15)
    pitch = outline(length, {0: 380, 0.05: 700, 0.1: 660, length: 330})
    pitch *= 1 + 0.02 * wander(random, length, 90)
    muzzle = {
        150: -30,
        450: -6,
        750: 2,
        1300: -2,
        1900: -6,
        2600: -10,
        4000: -24,
        8000: -38,
        16000: -60,
    }
    loudness = outline(length, {0: 0, 0.025: 0.7, 0.06: 1, 0.12: 0.6, length: 0})
    breath = noise(random, length, muzzle)[: len(pitch)]
    return loudness * (harmonics(pitch, muzzle) + 0.2 * breath)


def dog(random: np.random.Generator) -> Samples:
    """Synthesise a dog in a yard: one bark, then two, then three, [n]."""
    sound = 0.004 * noise(random, 5, {30: 0, 200: -6, 2000: -20, 12000: -36})
    for second in (0.3, 1.25, 1.62, 2.75, 3.1, 3.46):
        place(sound, bark(random), second, random.uniform(0.8, 1.0))
    return room(random, sound, 0.12, 0.22, {100: -20, 400: 0, 2000: -4, 8000: -24})


def rooster(random: np.random.Generator) -> Samples:
    """Synthesise a cock-a-doodle-doo: three short calls and a long one that sinks, [n]."""
    throat = {
        200: -34,
        500: -9,
        900: 2,
        1500: 6,
        2200: -4,
        3300: -17,
        5000: -15,
        8000: -35,
        16000: -50,
    }
    sound = 0.001 * noise(random, 4, {30: 0, 1000: -20, 12000: -40})
    calls = (
        (0.25, {0: 480, 0.05: 620, 0.2: 560}),
        (0.55, {0: 640, 0.04: 800, 0.16: 760}),
        (0.78, {0: 700, 0.05: 860, 0.2: 820}),
    )
    for start, glide in (*calls, (1.05, {0: 720, 0.12: 960, 0.7: 930, 1.2: 800, 1.5: 530})):
        length = max(glide)
        pitch = 0.93 * outline(length, glide) * (1 + 0.004 * wander(random, length, 60))
        loudness = outline(length, {0: 0, 0.03: 1, 0.75 * length: 0.8, length: 0})
        rough = 1 + 0.09 * np.sin(2 * np.pi * 79 * np.arange(len(pitch)) / RATE)
        voice = harmonics(pitch, throat)
        call = rough * voice / voice.std() + 0.43 * noise(random, length, throat)
        place(sound, loudness * call, start)
    return room(random, sound, 0.1, 0.21, {300: -10, 1000: 0, 6000: -20})


def baby(random: np.random.Generator) -> Samples:
    """Synthesise wails of about a second between gasps, [n].

    The vocal tract is short, so the formants lie high.
    """
    tract = {
        150: -32,
        400: -10,
        1000: 6,
        1500: -10,
        2400: -7,
        3300: -5,
        4200: -13,
        6000: -11,
        9000: -32,
        16000: -48,
    }
    sound = 0.002 * noise(random, 6, {30: 0, 1000: -14, 12000: -34})
    for start, length, top_hz in (
        (0.2, 1.0, 443),
        (1.6, 1.2, 479),
        (3.2, 0.9, 461),
        (4.5, 1.25, 489),
    ):
        pitch = outline(
            length,
            {0: 0.75 * top_hz, 0.15: top_hz, 0.6 * length: 0.97 * top_hz, length: 0.72 * top_hz},
        )
        pitch *= (
            1
            + 0.001 * wander(random, length, 30)
            + 0.006 * np.sin(2 * np.pi * 9.7 * np.arange(len(pitch)) / RATE)
        )
        wail = harmonics(pitch, tract) + 0.023 * noise(random, length, tract)[: len(pitch)]
        place(
            sound,
            outline(length, {0: 0, 0.08: 0.9, 0.5: 1, length - 0.12: 0.7, length: 0}) * wail,
            start,
        )
        gasp = noise(random, 0.2, {300: -30, 1500: -4, 3500: 0, 9000: -14}) * outline(
            0.2, {0: 0, 0.12: 1, 0.2: 0}
        )
        place(sound, gasp, start + length + 0.06, 0.22)
    return room(random, sound, 0.08, 0.23, {200: -12, 1000: 0, 6000: -14})


def sneeze(random: np.random.Generator) -> Samples:
    """Synthesise two sneezes, [n].

    The breath drawn in, a short voiced "ha", then the blast with the rest of the voice in it.
    """
    sound = 0.001 * noise(random, 3.5, {30: 0, 1000: -16, 12000: -36})
    drawn = noise(
        random, 0.5, {200: -24, 700: -6, 1500: 0, 3000: -4, 6000: -12, 12000: -24}
    ) * outline(0.5, {0: 0, 0.42: 1, 0.5: 0})
    ha = harmonics(
        outline(0.14, {0: 377, 0.06: 493, 0.14: 435}),
        {150: -6, 700: 2, 1100: 0, 2500: -8, 3500: -12, 9000: -36},
    )
    ha *= outline(0.14, {0: 0, 0.03: 1, 0.14: 0.2})
    blast = noise(random, 0.42, {200: -9, 500: 0, 900: -2, 2000: 0, 4000: 3, 8000: -6, 16000: -17})
    blast *= outline(0.42, {0: 0, 0.012: 1, 0.068: 0.7, 0.157: 0.25, 0.42: 0})
    oo = harmonics(
        outline(0.3, {0: 308, 0.1: 280, 0.3: 187}),
        {150: -6, 400: 2, 800: -4, 1200: -12, 2500: -20, 9000: -46},
    )
    oo *= outline(0.3, {0: 0, 0.03: 1, 0.3: 0})
    for start in (0.2, 1.8):
        for part, delay, level in (
            (drawn, 0, 0.055),
            (ha, 0.5, 0.24),
            (blast, 0.584, 0.35),
            (oo, 0.624, 0.18),
        ):
            place(sound, part, start + delay, level)
    return room(random, sound, 0.08, 0.23, {100: -10, 500: 0, 4000: -6, 9000: -14})


# Household


def clock(random: np.random.Generator) -> Samples:
    """Synthesise a mantel clock, [n].

    Tick and tock of an escapement, two a second, in a wooden case, in a room that is not silent.
    """
    sound = 0.015 * noise(random, 5, {30: 6, 200: 0, 2000: -8, 12000: -16})
    case = {
        290: (0.12, 0.02),
        640: (0.12, 0.012),
        1180: (0.3, 0.01),
        2350: (0.5, 0.007),
        3900: (0.5, 0.006),
        6100: (0.4, 0.004),
    }
    for number, second in enumerate(np.arange(0.25, 4.9, 0.5)):
        tuning, level = ((0.86, 0.8), (1.0, 1.0))[number % 2]  # the two pallets do not strike alike
        tick = ring(0.12, {hz * tuning: partial for hz, partial in case.items()})
        tick += 0.5 * burst(random, 0.12, 0.002, {200: -20, 2000: 0, 12000: -6})
        place(sound, tick, second, level * random.uniform(0.9, 1.0))
        place(sound, tick, second + 0.018, 0.25)  # the wheel falls onto the other pallet
    return room(random, sound, 0.03, 0.25, {200: 0, 4000: -6, 12000: -20})


def alarm_clock(random: np.random.Generator) -> Samples:
    """Synthesise a digital alarm clock, [n].

    Four beeps of a piezo disc, a short pause, and again.
    """
    sound = 0.001 * noise(random, 5, {30: 0, 1000: -10, 12000: -30})
    disc = {1500: -12, 2048: 0, 4100: -10, 6150: -3, 10240: -12, 20000: -40}
    beep = harmonics(np.full(round(0.09 * RATE), 2048.0), disc) * outline(
        0.09, {0: 0, 0.002: 1, 0.085: 1, 0.09: 0}
    )
    for group in np.arange(0.15, 4.3, 0.8):
        for number in range(4):
            place(sound, beep, group + 0.125 * number)
    return room(random, sound, 0.06, 0.2, {500: -10, 2000: 0, 8000: -10})


# Machines and the street


def engine(random: np.random.Generator) -> Samples:
    """Synthesise four cylinders at idle, 960 turns a minute, [n].

    32 firings a second go through an exhaust; belt and fan above.
    """
    pitch = 32 * (1 + 0.012 * wander(random, 5, 5))
    pipe = {
        42.0: (1.0, 0.03),
        83.0: (0.7, 0.02),
        160.0: (0.7, 0.012),
        310.0: (0.4, 0.008),
        620.0: (0.2, 0.005),
        1150.0: (0.1, 0.003),
    }
    stroke = ring(0.2, pipe) + 0.1 * burst(
        random, 0.2, 0.008, {100: 0, 600: -6, 3000: -20, 12000: -40}
    )
    exhaust = firings(random, pitch, stroke, 0.12)
    rattle = noise(
        random,
        5,
        {30: -6, 300: 0, 700: -6, 1000: -4, 1300: -10, 2200: -11, 3000: -18, 8000: -34, 16000: -50},
    )
    rattle *= 1 + 0.6 * np.sin(2 * np.pi * np.cumsum(pitch) / RATE)
    belt = harmonics(8 * pitch, {200: -6, 900: 0, 2000: -14, 6000: -40})
    sound: Samples = exhaust / exhaust.std() + 0.1 * rattle + 0.02 * belt
    return sound


def helicopter(random: np.random.Generator) -> Samples:
    """Synthesise a helicopter that comes nearer, [n].

    A main rotor slaps 11.5 times a second, a tail rotor hums at 58 Hz, and both roar.
    """
    pitch = np.full(round(6 * RATE), 11.5)
    slap = burst(
        random, 0.09, 0.02, {20: 0, 80: 4, 250: 0, 700: -8, 2000: -22, 8000: -45}
    ) * outline(0.09, {0: 0, 0.008: 1, 0.09: 1})
    slaps = firings(random, pitch, slap, 0.08)
    roar = noise(
        random,
        6,
        {30: 0, 100: 0, 200: -3, 400: 0, 700: -7, 1200: -8, 2500: -26, 5000: -34, 10000: -48},
    )
    tail_curve = {60: -4, 120: 4, 180: -8, 240: 0, 360: -8, 480: -4, 1000: -14, 4000: -38}
    tail_rotor = harmonics(58 * (1 + 0.001 * wander(random, 6, 1)), tail_curve)
    # Each blade presses once a turn, then lets go.
    beat = 0.5 + 0.6 * np.exp(-2.4 * (np.cumsum(pitch) / RATE % 1))
    sound: Samples = outline(6, {0: 0.6, 6: 1}) * (
        beat * (0.6 * roar + 0.45 * tail_rotor / tail_rotor.std()) + 0.2 * slaps / slaps.std()
    )
    return sound


def car_horn(random: np.random.Generator) -> Samples:
    """Synthesise two discs a third apart, as cars have them, [n].

    Two short honks and a long one in a street.
    """
    disc = {200: -10, 420: 0, 1300: 2, 2600: 4, 3600: -2, 6000: -16, 10000: -30, 16000: -50}
    sound = 0.05 * noise(random, 4, {30: 6, 200: 0, 1000: -10, 4000: -20, 12000: -36})
    for start, length in ((0.3, 0.3), (0.8, 0.3), (1.4, 1.6)):
        press = {0: 0, 0.015: 1, length - 0.03: 1, length: 0}
        low, high = (harmonics(np.full(round(length * RATE), hz), disc) for hz in (415.0, 502.0))
        place(sound, (low + high) * outline(length, press), start, 0.2)
    return room(random, sound, 0.2, 0.2, {100: -10, 500: 0, 3000: -6, 9000: -24})


def pluck(random: np.random.Generator, hz: float, seconds: float, decay: float) -> Samples:
    """Synthesise a string of a guitar, [n].

    High partials are weaker, a little too high (stiffness), and decay sooner.
    """
    numbers = range(1, min(20, int(9000 / hz)))
    return ring(
        seconds,
        {
            hz * k * (1 + 2e-4 * k * k): (random.uniform(0.6, 1) / k**1.1, decay / k**0.6)
            for k in numbers
        },
    )


def street_music(random: np.random.Generator) -> Samples:
    """Synthesise a guitar in a street, [n].

    Four strummed chords (G, E minor, C, D) under a tune of eighths.
    """
    sound = 0.004 * noise(random, 6.2, {30: 4, 200: 0, 1000: -8, 12000: -36})
    chords = (
        (196, 247, 294, 392),
        (165, 196, 247, 330),
        (131, 262, 330, 392),
        (147, 220, 294, 370),
    )
    tune = (587, 494, 587, 659, 494, 392, 494, 440, 523, 587, 659, 784, 587, 554, 440, 494)
    for number, tune_hz in enumerate(tune):
        beat = 0.1 + 0.36 * number
        for string, hz in enumerate(chords[number // 4]):
            place(sound, pluck(random, hz, 1.2, 0.5), beat + 0.012 * string, 0.25)
        place(sound, pluck(random, tune_hz, 1.0, 0.35), beat, 0.5)
        shaker = burst(random, 0.1, 0.02, {100: -10, 2000: 0, 9000: -6})
        place(sound, shaker, beat + 0.18, 0.08)
    return room(random, sound, 0.2, 0.3, {100: -6, 500: 0, 4000: -10, 9000: -20})


def siren(random: np.random.Generator) -> Samples:
    """Synthesise an ambulance between house fronts, [n].

    It wails up and down within four seconds.
    """
    pitch = outline(
        6, {0: 640, 0.8: 1020, 1.8: 1350, 3.2: 900, 4.1: 640, 4.9: 1020, 5.9: 1350, 6: 1340}
    )
    horn = {300: -20, 700: -4, 1200: 0, 2400: -14, 3600: -18, 6000: -34, 12000: -60}
    street = noise(random, 6, {30: 6, 200: 0, 800: -6, 2000: -16, 6000: -34, 16000: -60})
    return room(
        random,
        harmonics(pitch, horn) + 0.08 * street,
        0.3,
        0.3,
        {200: -10, 1000: 0, 4000: -12, 12000: -40},
    )


def chainsaw(random: np.random.Generator) -> Samples:
    """Synthesise a two-stroke saw that idles, is revved three times and cuts, [n]."""
    pitch = outline(
        6,
        {
            0: 55,
            0.5: 55,
            0.8: 150,
            1.3: 140,
            1.6: 85,
            1.8: 155,
            2.6: 140,
            2.9: 90,
            3.2: 160,
            5.2: 135,
            5.6: 140,
            6: 80,
        },
    )
    pitch *= 1 + 0.01 * wander(random, 6, 20)
    rev = (pitch / 150) ** 1.6
    muffler = {40: -4, 150: 0, 400: 4, 700: 2, 1500: -5, 3000: -10, 6000: -18, 12000: -30}
    exhaust = harmonics(pitch, muffler, highest=90) + 0.3 * harmonics(
        0.5 * pitch, muffler, highest=60
    )
    chain = noise(random, 6, {60: -6, 300: 0, 1200: -2, 3000: -6, 6000: -11, 9000: -16, 16000: -28})
    firing = 1 + 0.5 * np.sin(2 * np.pi * np.cumsum(pitch) / RATE)
    saw: Samples = rev * (exhaust / exhaust.std() + 0.35 * chain * firing)
    return saw


def gun_shots(random: np.random.Generator) -> Samples:
    """Synthesise three pistol shots in the open, [n].

    Each is a blast, and an echo that rolls away.
    """
    sound = silence(5)
    for second in (0.2, 1.7, 3.1):
        blast = burst(random, 0.4, 0.03, {30: 4, 150: 2, 600: 0, 2500: -3, 8000: -9, 16000: -16})
        place(sound, blast, second, random.uniform(0.9, 1.0))
    land = room(
        random, sound, 0.2, 0.35, {30: 4, 150: 2, 600: -4, 2500: -12, 8000: -26, 16000: -40}
    )
    clipped: Samples = np.tanh(2.4 * land / np.abs(land).max())  # a microphone limits a shot
    return clipped


# The files


@dataclass(frozen=True)
class Example:
    """One file.

    Attributes:
        title: Its title.
        make: Makes it, [n] or [n, 2], from a random generator.
        seed: Of the generator.
    """

    title: str
    make: Callable[[np.random.Generator], Samples]
    seed: int


EXAMPLES = {
    "rain-on-leaves": Example("Rain on leaves (synthetic)", rain, 1),
    "sea-waves": Example("Sea waves on a beach (synthetic)", sea, 2),
    "crackling-fire": Example("Crackling fire (synthetic)", fire, 3),
    "dog-barking": Example("Dog barking in a yard (synthetic)", dog, 4),
    "rooster": Example("Rooster crowing (synthetic)", rooster, 5),
    "crying-baby": Example("Crying baby (synthetic)", baby, 6),
    "sneeze": Example("Two sneezes (synthetic)", sneeze, 7),
    "clock-ticking": Example("Mantel clock ticking (synthetic)", clock, 8),
    "alarm-clock": Example("Digital alarm clock (synthetic)", alarm_clock, 9),
    "engine-idling": Example("Car engine idling (synthetic)", engine, 10),
    "helicopter": Example("Helicopter hovering (synthetic)", helicopter, 11),
    "car-horn": Example("Car horn (synthetic)", car_horn, 12),
    "street-music": Example("Guitar in a street (synthetic)", street_music, 13),
    "siren": Example("Ambulance siren (synthetic)", siren, 14),
    "chainsaw": Example("Chainsaw (synthetic)", chainsaw, 15),
    "gun-shots": Example("Three gun shots (synthetic)", gun_shots, 16),
}


def finish(sound: Samples) -> NDArray[np.float32]:
    """Return float32 of the same shape, without offset, faded in and out, peak at -3 dBFS."""
    sound = sound - sound.mean(axis=0)
    seconds = len(sound) / RATE
    fade = outline(seconds, {0: 0, FADE_S: 1, seconds - FADE_S: 1, seconds: 0})
    sound = sound * (fade if sound.ndim == 1 else fade[:, None])
    finished: NDArray[np.float32] = (PEAK * sound / np.abs(sound).max()).astype(np.float32)
    return finished


def write(path: Path, sound: NDArray[np.float32], title: str) -> None:
    """Write float32 [n] or [n, 2] as Ogg Vorbis with its metadata, as a whole or not at all."""
    channels = 1 if sound.ndim == 1 else sound.shape[1]
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".writing-") as folder:
        partial = Path(folder) / path.name
        with soundfile.SoundFile(
            partial, "w", RATE, channels, format="OGG", subtype="VORBIS"
        ) as file:
            file.title, file.artist, file.comment, file.license = title, ARTIST, COMMENT, LICENSE
            for start in range(0, len(sound), BLOCK_FRAMES):
                file.write(sound[start : start + BLOCK_FRAMES])
        os.replace(partial, path)


def select(words: list[str]) -> dict[str, Example]:
    """Return the examples with one of `words` in their name; without words, all.

    Raises:
        SystemExit: No example has a word in its name.
    """
    for word in words:
        if not any(word in name for name in EXAMPLES):
            raise SystemExit(
                f"There is no example called {word!r}; there are {', '.join(EXAMPLES)}."
            )
    return {
        name: example
        for name, example in EXAMPLES.items()
        if not words or any(word in name for word in words)
    }


def main() -> None:
    """Write the sounds that the command line asks for."""
    parser = argparse.ArgumentParser(description="Synthesise the example sounds.")
    parser.add_argument(
        "words", nargs="*", help="only sounds with one of these words in their name: rain clock"
    )
    FOLDER.mkdir(exist_ok=True)
    for name, example in select(parser.parse_args().words).items():
        path = FOLDER / f"{name}.ogg"
        sound = finish(example.make(np.random.default_rng(example.seed)))
        write(path, sound, example.title)
        print(f"{path.name}: {len(sound) / RATE:.1f} s, {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
