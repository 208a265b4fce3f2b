"""Speech with true times: espeak-ng through its C interface, one sentence at a time.

Interface: espeak-ng's speak_lib.h (word and phoneme events carry the sample at which they begin).
"""

import _ctypes
import contextlib
import ctypes
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from voxscale.dataset import TimedLabel
from voxscale.errors import UserError
from voxscale.phantom import prose

RATE_HZ = 16_000  # of the written sound
_ESPEAK_HZ = 22_050  # of the synthesiser
_SILENCES = frozenset({"_", "_:", "_!", "_|", "_^_", "|", ""})

_SYNCHRONOUS, _UTF8, _RATE, _PITCH, _RANGE = 2, 1, 1, 3, 4
_PHONEME_EVENTS, _DONT_EXIT = 0x0001, 0x8000
_PACE = 0.8  # the synthesiser speaks this voice faster than its nominal words per minute (measured)
_WORD_EVENT, _PHONEME_EVENT, _END_OF_LIST = 1, 7, 0


class _Id(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),  # characters from the start of the text, the first is 1
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    ]


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


@dataclass(frozen=True)
class Speech:
    """A spoken story: `sound` (samples,) int16 at `RATE_HZ`, words and phones in order of time."""

    sound: np.ndarray
    words: list[TimedLabel]
    phones: list[TimedLabel]

    @property
    def duration_s(self) -> float:
        return len(self.sound) / RATE_HZ


class _Synthesiser:
    """espeak-ng with one English voice; only one at a time, since its library has global state."""

    def __init__(self) -> None:
        import espeakng_loader

        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        data = str(espeakng_loader.get_data_path()).encode()
        if self._library.espeak_Initialize(_SYNCHRONOUS, 0, data, _PHONEME_EVENTS | _DONT_EXIT) != _ESPEAK_HZ:
            raise UserError("espeakng-loader: the synthesiser does not start; install the pinned version")
        self._callback = _Callback(self._receive)  # must outlive the calls
        self._library.espeak_SetSynthCallback(self._callback)
        if self._library.espeak_SetVoiceByName(b"en-us") != 0:
            raise UserError("espeakng-loader: has no voice en-us; install the pinned version")
        self._sound: list[np.ndarray] = []
        self._events: list[tuple[int, int, int, str]] = []

    def _receive(self, sound: ctypes._Pointer, count: int, events: ctypes._Pointer) -> int:
        if sound and count > 0:
            self._sound.append(np.ctypeslib.as_array(sound, (count,)).copy())
        i = 0
        while (event := events[i]).type != _END_OF_LIST:
            if event.type in (_WORD_EVENT, _PHONEME_EVENT):
                label = event.id.string.decode(errors="replace") if event.type == _PHONEME_EVENT else ""
                self._events.append((event.type, event.text_position - 1, event.sample, label))
            i += 1
        return 0

    def say(
        self, text: str, words_per_minute: int, pitch: int
    ) -> tuple[np.ndarray, list[tuple[int, int, int, str]]]:
        """Speak `text`.

        Returns:
            (samples,) int16 at `_ESPEAK_HZ`, and events (type, character, sample, phone).
        """
        self._sound, self._events = [], []
        for parameter, value in ((_RATE, words_per_minute), (_PITCH, pitch), (_RANGE, 60)):
            self._library.espeak_SetParameter(parameter, value, 0)
        encoded = text.encode()
        self._library.espeak_Synth(encoded, len(encoded) + 1, 0, 0, 0, _UTF8, None, None)
        return np.concatenate([*self._sound, np.zeros(0, np.int16)]), self._events

    def close(self) -> None:
        self._library.espeak_Terminate()
        # The phases of the voice's oscillators survive even a restart: only a freshly loaded library speaks a
        # sentence with the same samples whatever it spoke before.
        _ctypes.dlclose(self._library._handle)


def _split(labels: list[str], phones: list[TimedLabel]) -> Iterator[TimedLabel]:
    """Divide the phones of words that were spoken as one ("of the") among them, by number of letters."""
    onset, offset = phones[0].onset_s, phones[-1].offset_s
    ends = np.cumsum([len(label) for label in labels]) / sum(len(label) for label in labels)
    if len(phones) >= len(labels):
        edges = [onset]
        used = 0
        for i, end in enumerate(ends[:-1]):
            # Each word gets at least one phone, and leaves one for each word after it.
            used = int(np.clip(round(end * len(phones)), used + 1, len(phones) - (len(labels) - 1 - i)))
            edges.append(phones[used].onset_s)
        edges.append(offset)
    else:
        edges = [onset, *(onset + ends * (offset - onset))]
    for label, start, end in zip(labels, edges[:-1], edges[1:], strict=True):
        yield TimedLabel(float(start), float(end), label)


def _speak_sentence(voice: _Synthesiser, sentence: str, words_per_minute: float, pitch: float) -> Speech:
    """One sentence, its times from its own start; the sound at `_ESPEAK_HZ`."""
    sound, events = voice.say(sentence, round(words_per_minute * _PACE), round(pitch))
    spans = [match.span() for match in prose.WORD.finditer(sentence)]
    starts = np.array([start for start, _ in spans])
    # Phones: each lasts until the next; those shorter than 5 ms are marks and are added to the one before.
    heard: list[tuple[int, float, str]] = []  # group (index of its first word), onset, label
    group = 0
    for kind, character, sample, label in events:
        if kind == _WORD_EVENT:
            group = max(group, int(np.searchsorted(starts, character, side="right")) - 1)
            continue
        heard.append((group, sample / _ESPEAK_HZ, label))
    groups: dict[int, list[TimedLabel]] = {}
    ends = [onset for _, onset, _ in heard[1:]] + [len(sound) / _ESPEAK_HZ]
    for (group, onset, label), end in zip(heard, ends, strict=True):
        if label in _SILENCES:
            continue
        phones = groups.setdefault(group, [])
        if end - onset < 0.005 and phones:
            phones[-1] = phones[-1]._replace(offset_s=end)
        else:
            phones.append(TimedLabel(onset, end, label.strip("',%=")))
    if not groups:
        raise UserError(f'phantom story: "{sentence}" gives no sound; write it in plain words')
    firsts = sorted(groups)
    firsts_and_end = [0, *firsts[1:], len(spans)]
    found: list[TimedLabel] = []
    for first, begin, end in zip(firsts, firsts_and_end[:-1], firsts_and_end[1:], strict=True):
        labels = [sentence[a:b].lower() for a, b in spans[begin:end]]
        found.extend(_split(labels, groups[first]))
    return Speech(sound, found, [phone for first in firsts for phone in groups[first]])


def _colour(sound: np.ndarray, timbre: float, loudness_db: float) -> np.ndarray:
    """(samples,) float64: muffled (timbre near -1) or thin (near 1), 22 to 34 dB below full scale."""
    sound = sound.astype(np.float64)
    sound[1:] -= timbre * sound[:-1]
    return sound * (32768 * 10 ** ((loudness_db - 22) / 20) / max(sound.std(), 1.0))


def speak(
    text: str, name: str, words_per_minute: int = 140, seed: int = 0, limit: int | None = None
) -> Speech:
    """Speak a story with the changes of pace, pitch and loudness of a human speaker.

    Args:
        text: prose of plain words.
        name: of the story; the prosody depends on it and on `seed` only.
        words_per_minute: mean pace within sentences.
        limit: stop after this many words.

    Raises:
        UserError: the spoken words are not the words of the text, in order.
    """
    from scipy.signal import resample_poly

    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    rng = np.random.default_rng(list(digest))
    pieces = [np.zeros(round(0.3 * _ESPEAK_HZ))]
    words: list[TimedLabel] = []
    phones: list[TimedLabel] = []
    seconds = 0.3
    with contextlib.closing(_Synthesiser()) as voice:
        for sentence in prose.sentences(text, limit):
            # ASSUME: prosody is independent of the words, so sound has information that text has not.
            pace, pitch = rng.uniform(0.88, 1.12), rng.uniform(30, 70)
            loudness_db, timbre = rng.uniform(-12, 0), rng.uniform(-0.9, 0.9)
            spoken = _speak_sentence(voice, sentence, words_per_minute * pace, pitch)
            pause = np.zeros(int(rng.uniform(0.1, 0.6) * _ESPEAK_HZ))
            pieces += [_colour(spoken.sound, timbre, loudness_db), pause]
            for source, target in ((spoken.words, words), (spoken.phones, phones)):
                target.extend(TimedLabel(x.onset_s + seconds, x.offset_s + seconds, x.label) for x in source)
            seconds += (len(spoken.sound) + len(pause)) / _ESPEAK_HZ
    expected = prose.words(text)[:limit]
    onsets = [word.onset_s for word in words]
    if [word.label for word in words] != expected or np.any(np.diff(onsets) <= 0):
        wrong = next((a for a, b in zip(expected, words, strict=False) if a != b.label), expected[-1])
        raise UserError(f'{name}.txt: the speech loses words at "{wrong}"; rewrite that sentence')
    resampled = resample_poly(np.concatenate(pieces), 320, 441)
    return Speech(np.clip(np.round(resampled), -32768, 32767).astype(np.int16), words, phones)
