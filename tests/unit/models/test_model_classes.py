"""docs/models.md names the classes of the installed transformers, and a sample does what it says."""

import models_page
import pytest
import transformers

# Of all kinds: plain, with experts, recurrent, hybrid, with several streams, part of a larger model, an
# encoder-decoder's half, and not causal; of waveforms and spectrograms, padded or not, and of no use.
SAMPLE = {
    "language": [
        *("bart", "bert", "deepseek_v3", "deepseek_v4", "gemma3n_text", "gpt_oss", "internlm3"),
        *("jamba", "llama4", "mamba", "mllama", "qwen3_next", "rwkv", "xlnet", "zamba2"),
    ],
    "speech": [
        *(
            "ASTModel",
            "HubertForCTC",
            "MoonshineModel",
            "ParakeetForCTC",
            "CanaryModel",
            "SeamlessM4TForSpeechToText",
        ),
        *("Speech2TextForConditionalGeneration", "Wav2Vec2BertModel", "WavLMModel", "WhisperModel"),
    ],
}


def test_the_page_names_every_class_of_transformers():
    found = models_page.read_page()
    assert sorted(found) == sorted(models_page.rows()), "python tests/models_page.py"
    assert models_page.PAGE.read_text() == models_page.page(found)


@pytest.mark.filterwarnings("ignore")  # of the libraries, about tiny sizes
@pytest.mark.parametrize(
    "row", [row for row in models_page.rows() if {row[1], row[2]} & set(SAMPLE[row[0]])], ids="-".join
)
def test_a_class_has_the_outcome_that_the_page_says(row, tmp_path):
    transformers.utils.logging.disable_progress_bar()
    word, details = models_page.outcome(*row, tmp_path / "model")
    expected, said = models_page.read_page()[row]
    assert word == expected, details
    if word == "refused":
        assert details == said
