from .controls import Sources as Sources
from .controls import extract_controls as extract_controls
from .reduced import reduce_features as reduce_features
from .speech import extract_speech as extract_speech
from .speech_memory import most_windows as most_windows
from .speech_memory import window_bytes as window_bytes
from .text import extract_text as extract_text
