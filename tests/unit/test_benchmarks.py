"""The benchmarks run: what no other test runs of them, at small sizes."""

import bench_gather
import bench_speech
import bench_text
import numpy as np
import pyarrow.parquet as pq
from tiny_models import make_card, registry, small
from tiny_speech import make_cards, noise

from voxscale.features.language_model import LanguageModel


def test_a_made_up_study_is_gathered(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench_gather, "VOXELS", 200)
    _, rows = bench_gather.make(tmp_path, 2000)
    bench_gather.gather(tmp_path)
    assert pq.read_metadata(tmp_path / "tables/scores.parquet").num_rows == rows
    assert float(capsys.readouterr().out.split()[0]) > 0


def test_text_passes_in_both_ways(tmp_path, monkeypatch):
    whole = bench_text.story()
    short = whole._replace(words=whole.words[:60], times=whole.times[:60], clock=whole.clock[:15])
    monkeypatch.setattr(bench_text, "story", lambda: short)
    card = make_card(small(registry()["opt-125m"]), tmp_path)
    model = LanguageModel(card, bench_text.SETTINGS | {"dtype": "float32", "bits_per_character": False})
    passes = model.passage(bench_text.story()).passes
    bench_text.reference(bench_text.plain(card), passes)
    bench_text.ours(model, tmp_path)
    assert (tmp_path / "story.h5").is_file()


def test_windows_pass_in_both_ways(tmp_path_factory):
    card = make_cards(tmp_path_factory.mktemp, ["hubert"])["hubert"]
    extractor, encoder = bench_speech.plain(card)
    frames = bench_speech.literal(extractor, encoder, [noise(1.0)], 1)
    assert np.isfinite(frames).all()
