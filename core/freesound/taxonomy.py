"""The Broad Sound Taxonomy, as Freesound asks for it with every upload, and a proposal for a sound from its tags.

Codes and names are Freesound's (second level only: a top-level code is refused). Descriptions are ours. The proposal is a table of
words and a few rules about context, not a model: a person sees which tags spoke for a category, and can choose another.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from core.errors import EarmarkError


class UnknownCategory(EarmarkError):
    """No second-level code of the taxonomy."""


@dataclass(frozen=True)
class Category:
    """One second-level category: its `code`, the names of both levels, and what belongs into it in one sentence."""

    code: str
    top: str
    name: str
    description: str

    @property
    def label(self) -> str:
        """Both levels in words, as a menu shows them."""
        return f"{self.top}: {self.name}"


@dataclass(frozen=True)
class CategoryGuess:
    """A proposed category: its share of all evidence (0..1) and the `tags`, as they were given, that spoke for it."""

    code: str
    score: float
    tags: tuple[str, ...]


_TOPS = {"m": "Music", "is": "Instrument samples", "sp": "Speech", "fx": "Sound effects", "ss": "Soundscapes"}
_TABLE = (
    ("m-sp", "Solo percussion", "Music of percussion alone, such as a drum loop, a beat or a djembe solo."),
    ("m-si", "Solo instrument", "Music of one melodic instrument or one singing voice, such as a guitar riff or an a cappella melody."),
    ("m-m", "Multiple instruments", "Music in which several instruments play together, such as a band, a song or a full loop."),
    ("m-other", "Other", "Music that fits none of the other kinds, such as a turntable scratch or a musical experiment."),
    ("is-p", "Percussion", "Single hits and strokes of percussion, such as a kick, a snare, a cymbal or a conga."),
    ("is-s", "String", "Single notes or chords of a string instrument, such as a guitar, a violin, a bass or a harp."),
    ("is-w", "Wind", "Single notes of a wind instrument, such as a flute, a trumpet, a saxophone or a harmonica."),
    ("is-k", "Piano / Keyboard instruments", "Single notes or chords of a keyboard, such as a piano, an organ or an accordion."),
    ("is-e", "Synths / Electronic", "Single electronic notes or tones, such as a synthesizer pad, a bass stab or a sine wave."),
    ("is-other", "Other", "Instrument samples that fit none of the other kinds, such as an unusual or home-made instrument."),
    ("sp-s", "Solo speech", "One person speaking, such as a sentence, a counted number or an announcement."),
    ("sp-c", "Conversation / Crowd", "Several people speaking, such as a talk between two, a cheering crowd or a murmuring audience."),
    ("sp-p", "Processed / Synthetic", "Speech from a machine or changed by one, such as text-to-speech, a vocoder or a robot voice."),
    ("sp-other", "Other", "Speech that fits none of the other kinds, such as an invented language or whispered fragments."),
    (
        "fx-o",
        "Objects / House appliances",
        "Things handled in and around a house, such as a door, a glass, a coin, a clock or a vacuum cleaner.",
    ),
    ("fx-v", "Vehicles", "What carries people or goods, such as a car, a train, a helicopter or a siren driving past."),
    ("fx-m", "Other mechanisms, engines, machines", "Machines that are no vehicle and no appliance, such as a drill, a saw or a fan."),
    ("fx-h", "Human sounds and actions", "People without words, such as footsteps, applause, a laugh, a cough or a scream."),
    ("fx-a", "Animals", "One animal or a few of them, such as a barking dog, a bird, an insect or a cat."),
    ("fx-n", "Natural elements and explosions", "Rain, wind, water, fire and thunder close up, and bangs such as explosions and gunshots."),
    ("fx-ex", "Experimental", "Sounds made to try something out, such as feedback, granular textures or bent circuits."),
    ("fx-el", "Electronic / Design", "Designed sounds for games, films and devices, such as a laser, a whoosh, a beep or a notification."),
    ("fx-other", "Other", "Sound effects that fit none of the other kinds."),
    ("ss-n", "Nature", "A place outdoors as a whole, such as a forest with birds, a shore or a night with crickets."),
    ("ss-i", "Indoors", "The sound of a room as a whole, such as a café, an office, a station hall or a room tone."),
    ("ss-u", "Urban", "A town or a street as a whole, such as traffic, a market or a building site."),
    ("ss-s", "Synthetic / Artificial", "An invented place or mood, such as a dark drone, a spaceship's hum or an ambient pad."),
    ("ss-other", "Other", "A soundscape that fits none of the other kinds."),
)
CATEGORIES = {code: Category(code, _TOPS[code.split("-")[0]], name, sentence) for code, name, sentence in _TABLE}
"""All second-level categories by code, in Freesound's order."""


def category(code: str) -> Category:
    """The category of a second-level code. Raises `UnknownCategory`."""
    if code not in CATEGORIES:
        raise UnknownCategory(f"“{code}” is no category of Freesound's; please choose one from the list.")
    return CATEGORIES[code]


STRONG, WEAK, FAINT = 1.0, 0.4, 0.1
"""What a tag counts that names a source of sound; one that only belongs to such sources; one that decides where nothing else does."""

_NAMED = {
    "m-sp": "drumloop breakbeat drumbeat drumming beatbox percussionloop",
    "m-si": "acapella acappella singing sing singer choir chant humming whistling vocal vocals vox riff solo lullaby",
    "m-m": (
        "music song band orchestra orchestral symphony soundtrack techno trance dubstep house-music hiphop hip-hop jazz funk rock reggae "
        "dnb drum-and-bass psytrance breakcore hardstyle gabber edm idm trap lofi-hip-hop ensemble musical remix classical dub hardcore "
        "gamelan disco blues punk folk rave backing-track"
    ),
    "m-other": "turntable scratching dj",
    "is-p": (
        "drum drums kick snare hihat hi-hat cymbal bassdrum kickdrum percussion perc tom rim rimshot clave conga bongo djembe tabla "
        "tambourine shaker cowbell gong triangle timpani xylophone marimba vibraphone glockenspiel kalimba woodblock mridangam cajon "
        "maracas drumkit drumset hh 808 909 idiophone ride taiko castanets singing-bowl hang handpan"
    ),
    "is-s": (
        "guitar bass-guitar violin viola cello contrabass contrabas double-bass harp banjo mandolin ukulele sitar strings pizzicato "
        "spiccato lute zither koto electric-guitar acoustic-guitar bassline chordophone string nylon"
    ),
    "is-w": (
        "flute trumpet trombone saxophone sax clarinet oboe bassoon tuba harmonica recorder-flute french-horn woodwind brass ocarina "
        "panflute bagpipes didgeridoo aerophone kazoo piccolo"
    ),
    "is-k": "piano organ harpsichord accordion celesta rhodes wurlitzer clavinet e-piano electric-piano melodica church-organ",
    "is-e": (
        "synth synthesizer synthetizer moog synthesized korg roland arpeggio arp reese sub-bass pad lead pluck stab vst modular oscillator "
        "sine sawtooth square-wave theremin kingkorg electribe reaktor nord ppg deckardsdream tb303 wobble lfo"
    ),
    "is-other": "daxophone homemade-instrument",
    "sp-s": (
        "speech speak speaking spoken voice talk talking word words sentence speaker announcement announcer narration monologue poem "
        "reading counting voiceover voice-over male female man woman boy girl hello dialogue english portuguese spanish german french "
        "japanese czech chinese spoken-word letter alphabet whisper"
    ),
    "sp-c": (
        "conversation crowd chatter walla audience people babble murmur crowd-noise discussion interview protest demonstration rally "
        "chanting-crowd stadium cheer cheering group dialog"
    ),
    "sp-p": "vocoder text-to-speech texttospeech robot-voice robotic-voice synthetic-voice formant autotune",
    "fx-o": (
        "door doors drawer key keys lock hinge glass bottle cup plate dish dishes pan pot cutlery fork spoon knife bowl jar can coins "
        "money paper page book pencil pen cardboard bag plastic zipper zip clock tick ticking tick-tock watch switch lamp chair table bed "
        "faucet sink shower toilet flush bath vacuum vacuum-cleaner washing-machine dishwasher fridge refrigerator microwave kettle oven "
        "toaster hairdryer hair-dryer blender mixer cooking frying typing typewriter computer-keyboard mouse-click printer phone "
        "telephone alarm-clock ball toy balloon cloth fabric leather chain rattle drop break breaking smash shatter knock knocking creak "
        "squeak slam pour pouring doorbell church-bell scissors broom lighter match-stick pinball dice cards pull-cord tape box lid "
        "cap stapler camera shutter bell wind-chime chime bounce spray rubber-duck crumple rip tear metronome shopping-cart window gate "
        "handle sweep tin locker cabinet curtain latch padlock suitcase umbrella tile"
    ),
    "fx-v": (
        "car vehicle truck bus motorcycle motorbike scooter train tram subway-train locomotive railway airplane aeroplane plane aircraft "
        "jet helicopter boat ship ferry bicycle bike tractor ambulance police-car fire-truck siren horn car-horn honk honking skid "
        "driving drive-by pass-by passby race-car formula-1 hovercraft drone-copter quadcopter van taxi lorry wheelchair skateboard "
        "rowing sailing rollerblade metro steam-train car-alarm"
    ),
    "fx-m": (
        "drill drilling jackhammer chainsaw saw sawing engine motor machine machinery generator compressor pump turbine fan ventilation "
        "air-conditioner air-conditioning lawn-mower lawnmower grinder sander hammer hammering lathe crane excavator bulldozer "
        "elevator lift escalator gear gears servo winch pulley hydraulic pneumatic industrial factory power-tool sewing-machine "
        "conveyor mechanism mechanical welding welder hvac air-con transformer-hum electric-motor press-machine pulley ratchet"
    ),
    "fx-h": (
        "footstep footsteps steps walking walk running applause clap clapping laugh laughing laughter giggle cough coughing sneeze "
        "sneezing breath breathing snore snoring scream screaming shout shouting yell yelling baby cry crying sob sigh gasp moan groan "
        "grunt burp belch fart flatulence hiccup heartbeat kiss swallow gulp drink drinking eating chew chewing slurp sip mouth spit "
        "throat vomit child children kids brushing brush teeth-brushing finger-snap snap punch slap hand hands foot body whistle "
        "infant toddler orgasm pain hum-voice stomach jump toothbrush crunching fist gargle"
    ),
    "fx-a": (
        "animal bird birds birdsong dog bark barking puppy cat meow purr kitten cow moo pig oink sheep goat lamb horse neigh donkey "
        "rooster hen chicken cluck duck goose turkey crow raven owl pigeon dove seagull sparrow blackbird robin nightingale woodpecker "
        "cuckoo parrot peacock eagle hawk frog toad insect cricket crickets cicada bee wasp fly mosquito grasshopper wolf howl "
        "howling lion tiger bear elephant monkey whale dolphin snake hiss-snake rat mouse-animal squirrel bat fox deer chirp chirping "
        "tweet growl snarl roar livestock swan crane-bird beast hooves gallop rattlesnake bumblebee"
    ),
    "fx-n": (
        "rain rainfall raindrops thunder thunderstorm lightning storm wind windy gale breeze hail snow ice water waterfall river stream "
        "creek brook sea ocean surf waves sea-waves splash drip dripping drop-water bubbles bubble lava volcano earthquake "
        "avalanche fire flame campfire crackle crackling burning bonfire explosion explode boom bang bomb blast gun gunshot shot "
        "pistol rifle cannon firework fireworks firecracker detonation grenade landslide rock-fall gravel leaves leaf twig stone rumble "
        "shotgun machine-gun gunfire weapon liquid drizzle gurgle geyser shooting mud sand"
    ),
    "fx-ex": (
        "experimental granular circuit-bending circuit-bent feedback glitch noise-music databending sonification abstract "
        "prepared-piano prepared contact-microphone weird strange random stretched paulstretch convolution impulse-response "
        "electroacoustic musique-concrete morph reverse reversed"
    ),
    "fx-el": (
        "laser beep bleep bloop blip zap sci-fi scifi science-fiction spaceship ufo whoosh swoosh swish woosh riser downlifter uplifter "
        "transition stinger game videogame video-game game-audio gameaudio game-sound gamesound 8-bit 8bit chiptune arcade power-up "
        "powerup level-up ui gui user-interface notification ringtone alert error buzzer button click-ui interface menu sound-design "
        "sounddesign soundesign soundfx sfx fx magic spell sound-effect soundeffect fantasy monster alien zombie robot cyborg teleport "
        "synthetic-noise white-noise pink-noise noise static cinematic trailer impact hit-design hum-electric electric-hum braam signal "
        "modem radio shortwave dtmf telephone-tone morse transformer electromagnetic cartoon rpg indiegame gamedev atari nintendo "
        "gameboy pong retro-game explosion-design interference logo jingle intro pickup boing futuristic test-tone"
    ),
    "ss-n": (
        "birdsong-ambience dawn-chorus forest woods woodland jungle rainforest countryside meadow swamp marsh wetland beach shore "
        "seashore coast lake pond desert mountain savanna wilderness nature-ambience rural seaside field-ambience riverside park-ambience"
    ),
    "ss-i": (
        "room-tone roomtone indoors indoor office cafe coffee-shop restaurant bar pub supermarket shopping-mall mall museum library "
        "airport hall lobby classroom hospital gym train-station-hall waiting-room canteen kitchen-ambience church-ambience interior "
        "cafeteria casino cathedral theatre"
    ),
    "ss-u": (
        "city street traffic urban town downtown market square plaza road highway motorway intersection crosswalk neighborhood "
        "playground city-ambience station train-station bus-station harbour harbor building-site construction-site public-space "
        "fairground cityscape street-ambience carnival barcelona amsterdam porto pedestrian"
    ),
    "ss-s": (
        "drone dark-ambient drones horror-ambience space-ambience synthscape dronescape spaceship-ambience dreamscape eerie-ambience "
        "sci-fi-ambience dark-ambience ambient-pad"
    ),
}
_ASSOCIATED = {
    "m-m": "dance rhythm tempo electronica minimal funky groove chord harmony melodic tune techno-loop pop tribal ethnic club acid lofi",
    "m-si": "melody improvised improvisation a-minor c-major",
    "is-p": "wood-block stick mallet roll rimshot-loop sabian zildjian crash hit one-shot oneshot",
    "is-s": "bass bas acoustic pluck-string bow bowed chord-guitar tremolo yamaha-guitar",
    "is-k": "keyboard keys-piano pedal",
    "is-e": "electronic analog analogue digital waveform fm detuned filtered filter electro bassy ableton midi casio tone sub gate",
    "is-other": "instrument instrumental sample multisample note multi-sample sampler tenuto staccato mezzoforte",
    "sp-s": "vocalization human-voice",
    "sp-c": "party classroom-noise",
    "fx-o": (
        "household kitchen bathroom wood metal wooden metallic foley object open close opening closing click mouse computer keyboard "
        "furniture house home handling tap scrape clink clang clank clatter rustle crunch rattling alarm crush squish "
        "light-switch hit movement steel iron rubber ceramic concrete item unlock shut thud thump crack ring ringing ding ting shake rub "
        "scratch squeaky creaky moving sliding slide container glas pres magazine garbage trash shoe wrench friction grind tool-box chip "
        "stretch aluminum bamboo slap-wood container scrub wipe flip toss"
    ),
    "fx-v": "transport transportation ride-along engine-start ignition wheel brake brakes speed-by race motor-vehicle flight",
    "fx-m": "tool tools construction hum buzzing electric electricity gear-shift hardware work workshop power metal-work device",
    "fx-h": "human person kid stair shake-hands finger flesh bone blood swallowing action fight fighting run sexy",
    "fx-a": "farm pet wildlife creature zoo wing wings",
    "fx-n": "wave weather tree burst element elements steam natural splashing thunderous war military battle attack stream-water cold",
    "fx-ex": "texture processed distortion distorted crazy odd edited manipulated reverb echo delay freaky layered",
    "fx-el": (
        "synthetic artificial effect effects digital-sound tech technology space future electronic-sound pitch design film movie "
        "droid blade sword squelch gore slash buzz computer automation horror scary creepy sweep rise tension suspense evil dark "
        "ghost haunted spooky machine-sound death gaming mobile android pulse beam"
    ),
    "ss-n": "nature night outdoor outdoors morning summer spring park garden evening dawn winter autumn sunset hiking",
    "ss-i": "room church school hotel store shop bedroom corridor stairwell basement building studio",
    "ss-u": "crowded tourist tourists commuters neighbours village subway suburb underground public",
    "ss-s": "atmospheric ethereal eerie cinematic-ambience soundscape-design mood otherworldly hypnotic meditation",
}
_LAST_RESORT = {
    "m-other": "loop bpm beat looping loopable music-loop",
    "is-other": "sampled sampling recording-session",
    "fx-other": "sound sounds recording record audio zoom h4n mono stereo loud short soft clean owi loud-sound",
    "ss-other": "ambience ambiance ambient atmosphere atmos soundscape field-recording background environment environmental phonography",
}

_CUES = {
    "scene": (
        "ambience ambiance ambient atmosphere atmos soundscape background environment environmental background-noise binaural soundwalk"
    ),
    "field": "field-recording phonography",
    "music": "loop music bpm melody melodic song tune riff beat groove track solo jam improvisation improvised rhythm tempo band looping",
    "machine": "robot robotic processed synthetic vocoder synthesized effect effects alien cyborg distorted android glitch texttospeech",
    "music-as-mood": "music song melody beat bpm",
}
_MOVES = {
    "scene": {
        "fx-a": "ss-n", "fx-n": "ss-n", "fx-v": "ss-u", "fx-m": "ss-u", "fx-o": "ss-i", "sp-c": "ss-i", "fx-h": "ss-i",
        "fx-el": "ss-s", "fx-ex": "ss-s", "is-e": "ss-s",
    },
    "music": {"is-p": "m-sp", "is-s": "m-si", "is-w": "m-si", "is-k": "m-si", "is-e": "m-si", "is-other": "m-other"},
    "machine": {"sp-s": "sp-p"},
}  # fmt: skip
_BPM = re.compile(r"[0-9]{2,3}-?bpm")
_MANY_FAMILIES = 2


def predict_category(tags: Iterable[str], probabilities: Mapping[str, float] | None = None) -> list[CategoryGuess]:
    """Categories that the tags speak for, best first; empty if no tag is known here.

    `probabilities` (0..1) are a model's, by tag; a tag without one was a person's and counts in full. Ties go to what
    stands first in the taxonomy. Context shifts evidence: birds with `ambience` are a soundscape, a drum with `loop` is music,
    a `robot` voice is processed.
    """
    given = dict.fromkeys(tag.strip() for tag in tags if tag.strip())
    evidence = [
        (tag, code, weight * (probabilities or {}).get(tag, 1.0)) for tag in given for code, weight in _evidence(tag.lower()).items()
    ]
    return _ranked(_in_context(evidence, _cues(given)))


def _evidence(tag: str) -> dict[str, float]:
    """Weights by code of one tag; of a compound that is not in the table, those of its parts, shared between them."""
    for form in _forms(tag):
        if form in _WORDS:
            return _WORDS[form]
    parts = [part for part in re.split(r"[-_ ]+", tag) if part]
    total: dict[str, float] = defaultdict(float)
    for part in parts if len(parts) > 1 else ():
        for code, weight in _evidence(part).items():
            total[code] += weight / len(parts)
    return total


def _forms(tag: str) -> Iterator[str]:
    """The tag, and what it may be a plural or a gerund of, likeliest first. Hyphens, underscores and spaces are one."""
    plain = re.sub(r"[-_ ]+", "", tag)
    yield plain
    for ending, others in (("ies", ("y",)), ("es", ("", "e")), ("s", ("",)), ("ing", ("", "e")), ("ed", ("", "e"))):
        stem = plain.removesuffix(ending)
        if stem != plain and len(stem) > 2:
            yield from (stem + other for other in others)
            if stem[-1] == stem[-2]:
                yield stem[:-1]


def _cues(tags: Iterable[str]) -> dict[str, list[str]]:
    """The tags of each context that is present."""
    found: dict[str, list[str]] = defaultdict(list)
    for tag in tags:
        words = {next(_forms(tag.lower())), *re.split(r"[-_ ]+", tag.lower())}
        for cue, known in _CUE_WORDS.items():
            if words & known or (cue.startswith("music") and _BPM.fullmatch(tag.lower())):
                found[cue].append(tag)
    return found


Evidence = list[tuple[str, str, float]]
"""(tag, code, weight), one for each category that a tag speaks for."""


def _in_context(evidence: Evidence, cues: Mapping[str, list[str]]) -> Evidence:
    """Evidence after the moves of the contexts that are present; the tags that moved it stand beside it with no weight of their own."""
    moved = evidence
    for cue in ("music", "machine"):
        if cue in cues:
            moved = _moved(moved, _music_moves(evidence) if cue == "music" else _MOVES[cue], cues[cue])
    scene = [*cues.get("scene", []), *(cues.get("field", []) if _has_place(evidence) else [])]
    if scene and "music-as-mood" not in cues:  # "ambient music" is music, not a place
        moved = _moved(moved, _MOVES["scene"], scene)
    return moved


def _has_place(evidence: Evidence) -> bool:
    """Whether a place is named: only then a field recording is one of the place and not of the one thing that the other tags name."""
    return any(code.startswith("ss-") and code != "ss-other" for _, code, _ in evidence)


def _music_moves(evidence: Evidence) -> dict[str, str]:
    """Instruments that play: alone, or together where there are several families of them."""
    families = {code for _, code, weight in evidence if code.startswith("is-") and code != "is-other" and weight > WEAK / 2}
    return dict.fromkeys(_MOVES["music"], "m-m") if len(families) >= _MANY_FAMILIES else _MOVES["music"]


def _moved(evidence: Evidence, moves: Mapping[str, str], because: list[str]) -> Evidence:
    after = [(tag, moves.get(code, code), weight) for tag, code, weight in evidence]
    targets = dict.fromkeys(moves[code] for _, code, _ in evidence if code in moves)
    return after + [(tag, code, 0.0) for code in targets for tag in because]


def _ranked(evidence: Evidence) -> list[CategoryGuess]:
    scores: dict[str, float] = defaultdict(float)
    spoke: dict[str, dict[str, None]] = defaultdict(dict)
    for tag, code, weight in evidence:
        scores[code] += weight
        spoke[code][tag] = None
    total = sum(scores.values())
    order = sorted(scores, key=lambda code: (-scores[code], _ORDER[code]))
    return [CategoryGuess(code, scores[code] / total, tuple(spoke[code])) for code in order if scores[code] > 0]


def _word_table() -> dict[str, dict[str, float]]:
    """Weights by code for each word, words without their hyphens."""
    table: dict[str, dict[str, float]] = defaultdict(dict)
    for weight, lists in ((FAINT, _LAST_RESORT), (WEAK, _ASSOCIATED), (STRONG, _NAMED)):
        for code, words in lists.items():
            for word in words.split():
                table[word.replace("-", "")][code] = weight
    return dict(table)


_WORDS = _word_table()
_CUE_WORDS = {cue: frozenset(word.replace("-", "") for word in words.split()) for cue, words in _CUES.items()}
_ORDER = {code: place for place, code in enumerate(CATEGORIES)}
