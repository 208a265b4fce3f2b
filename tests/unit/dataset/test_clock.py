"""The stimulus clock of ds003020, and of other datasets, against the published arithmetic."""

import json

import numpy as np
import pytest

from voxscale.dataset.clock import read_clocks
from voxscale.errors import UserError
from voxscale.io.tsv import read_rows


def test_clock_of_the_published_dataset(tmp_path):
    path = tmp_path / "respdict.json"
    path.write_text(json.dumps({"wheretheressmoke": 311}))
    clock = read_clocks(path)["wheretheressmoke"]
    columns = clock.columns("wheretheressmoke")
    assert len(columns["row"]) == 311 - 5
    np.testing.assert_array_equal(columns["onset_s"], [2.0 * i - 10 for i in range(306)])
    np.testing.assert_array_equal(columns["mid_s"], columns["onset_s"] + 1)
    np.testing.assert_array_equal(np.arange(306)[columns["in_response"]], np.arange(306)[10:-5])
    assert columns["in_response"].sum() == 291 == clock.n_response


def test_clock_of_a_tr_table(tmp_path):
    path = tmp_path / "trs.tsv"
    path.write_text("story\tn_tr\tonset_s\na\t5\t-3\nb\t7\t0.5\n")
    clock = read_clocks(path, tr_s=1.5, trim=(2, 1))["a"]
    np.testing.assert_allclose(clock.onset_s, [-6, -4.5, -3, -1.5, 0, 1.5, 3, 4.5])
    assert clock.onset_s[clock.in_response][0] == -3
    assert clock.in_response.tolist() == [False] * 2 + [True] * 5 + [False]


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("respdict.json", "{", "not readable as JSON"),
        ("respdict.json", "[1, 2]", "is not a mapping of stories to TRs"),
        ("respdict.json", '{"a": "many"}', "a: 'many' is not a number of TRs"),
        ("respdict.json", '{"a": 20.5}', "a: 20.5 is not a number of TRs"),
        ("respdict.json", '{"a": 20}', "a has 20 TRs, none left"),
        ("respdict.json", '{"b": 300}', "has no story a"),
        ("respdict.json", "<html></html>", "an HTML page"),
        ("trs.tsv", "story\tn_tr\na\t3\n", "lacks column onset_s"),
        ("trs.tsv", "story\tn_tr\tonset_s\na\t3\t0\na\t4\t0\n", "line 3 names story a again"),
        ("trs.tsv", "story\tn_tr\tonset_s\na\t-3\t0\n", "n_tr of a: '-3'"),
        ("trs.tsv", "story\tn_tr\tonset_s\na\t3000000000\t0\n", "line 2: n_tr of a: '3000000000' is not"),
        ("respdict.json", '{"a": 1e10}', "a: 10000000000.0 is not a number of TRs"),
        ("trs.tsv", "story\tn_tr\tonset_s\na\t3\tsoon\n", "onset_s of a is 'soon'"),
        ("trs.tsv", "story\tn_tr\tonset_s\na\t3\tinf\n", "onset_s of a is 'inf'"),
    ],
)
def test_bad_counts_end_in_one_line(tmp_path, name, content, line):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(UserError, match=line) as error:
        read_clocks(path)["a"]
    assert name in str(error.value)


def test_a_quote_is_part_of_its_word(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text('onset\tduration\tword\n2\t0.4\t"hello\n2.5\t0.4\tthere\n3\t0.4\tfriend"\n')
    words = [row["word"] for row in read_rows(path, ("onset", "duration", "word"))]
    assert words == ['"hello', "there", 'friend"']


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(UserError, match=r"trs.tsv: no such file"):
        read_clocks(tmp_path / "trs.tsv")["a"]
