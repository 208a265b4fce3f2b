"""Words and phones come out of every kind of transcript as they were put in."""

import codecs
import re

import pytest
from published import write_textgrid

from voxscale.dataset.transcripts import _is_mark, has_phones, read_transcript
from voxscale.errors import UserError

WORDS = [(0.1, 0.4, "I"), (0.4, 0.9, "don't"), (0.9, 1.0, "sp"), (1.0, 1.5, "{BR}"), (1.5, 2.0, 'say "no"')]
PHONES = [(0.1, 0.4, "AY1"), (0.4, 0.6, "D"), (0.6, 0.9, "sp")]
# A long-format file as Praat itself writes it, typed in by hand: the parser's own writer proves less.
BY_HAND = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 3
tiers? <exists>
size = 2
item []:
    item [1]:
        class = "IntervalTier"
        name = "phone"
        xmin = 0
        xmax = 3
        intervals: size = 1
        intervals [1]:
            xmin = 0.5
            xmax = 0.7
            text = "HH"
    item [2]:
        class = "IntervalTier"
        name = "word"
        xmin = 0
        xmax = 3
        intervals: size = 3
        intervals [1]:
            xmin = 0
            xmax = 0.5
            text = "sp"
        intervals [2]:
            xmin = 0.5
            xmax = 1.25
            text = "hello"
        intervals [3]:
            xmin = 1.25
            xmax = 3
            text = ""
"""


@pytest.mark.parametrize("kind", ["long_textgrid", "short_textgrid"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_formats_and_encodings_agree(tmp_path, kind, encoding):
    words = [*WORDS, (2.0, 2.5, "café")]
    path = write_textgrid(tmp_path / "a.TextGrid", words, PHONES, kind, encoding)
    found, phones = read_transcript(path)
    expected = [w for w in words if w[2] not in ("sp", "{BR}")]
    assert [word.label for word in found] == [label for _, _, label in expected]
    assert [(w.onset_s, w.offset_s) for w in found] == [w[:2] for w in expected]
    assert [tuple(phone) for phone in phones] == PHONES[:2]


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_praats_own_text_with_any_line_end(tmp_path, line_end):
    path = tmp_path / "a.TextGrid"
    path.write_bytes(BY_HAND.rstrip().replace("\n", line_end).encode())
    words, phones = read_transcript(path)
    assert [tuple(w) for w in words] == [(0.5, 1.25, "hello")]
    assert [tuple(p) for p in phones] == [(0.5, 0.7, "HH")]


# What Praat reads, found in files of other programs and in Praat's own tests.
VARIANTS = {
    "intervals in a point tier": [
        ("size = 2", "size = 3"),
        (
            "    item [2]",
            '    item [3]:\n        class = "TextTier"\n        name = "word"\n        xmin = 0\n'
            "        xmax = 3\n        intervals: size = 1\n        points [1]:\n            time = 1\n"
            '            mark = "sp"\n    item [2]',
        ),
    ],
    "comments": [('"word"', '"word" ! of "Mary" in 2 parts'), ("item []:", "! item 1 of 2\nitem []:")],
    "blanks behind every line": [("\n", " \t\n")],
    "no blanks": [("            ", ""), (" = ", "=")],
    "scientific notation": [("xmax = 1.25", "xmax = +125e-2"), ("xmax = 0.5", "xmax = .5")],
    "a negative start": [("xmin = 0\n            xmax = 0.5", "xmin = -1.5\n            xmax = 0.5")],
    "two other tiers of one name": [
        ("size = 2", "size = 4"),
        (
            "    item [2]",
            '        "IntervalTier" "Mary" 0 3 0\n        "IntervalTier" "Mary" 0 3 0\n    item [2]',
        ),
    ],
    "headings inside a label": [('"sp"', '"{intervals [3]: item [4]: ""IntervalTier"" \n}"')],
    "short format": [(r"[a-z]+ = |^ *(item|intervals).*:$|intervals: size = |tiers\? | +(?=\S)", "")],
}


@pytest.mark.parametrize("kind", VARIANTS)
def test_every_way_to_write_a_textgrid(tmp_path, kind):
    text = BY_HAND
    for old, new in VARIANTS[kind]:
        text = re.sub(old, new, text, flags=re.M) if kind == "short format" else text.replace(old, new)
    assert text != BY_HAND
    path = tmp_path / "a.TextGrid"
    path.write_text(text)
    words, phones = read_transcript(path)
    assert [tuple(w) for w in words] == [(0.5, 1.25, "hello")]
    assert [tuple(p) for p in phones] == [(0.5, 0.7, "HH")]


def test_windows_1252_is_read_and_said(tmp_path, capsys):
    path = tmp_path / "a.TextGrid"
    path.write_bytes(BY_HAND.replace("hello", "d’œuvre").encode("cp1252"))
    words, _ = read_transcript(path)
    assert words[0].label == "d’œuvre"
    assert "not in Unicode, read as Windows-1252: d’œuvre" in capsys.readouterr().err
    path.write_bytes(BY_HAND.replace("hello", "été").encode("mac_roman"))
    with pytest.raises(UserError, match="cannot be decoded"):
        read_transcript(path)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("", "", True),
        ('"phone"', '"Mary"', False),
        ('"sp"', '"phone"', True),
        ('"HH"', '"sp"', False),
        ('"phone"', '"Anna - Phones"', True),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_phones_are_known_by_their_tier(tmp_path, old, new, expected, encoding):
    path = tmp_path / "a.TextGrid"
    path.write_text(BY_HAND.replace(old, new), encoding=encoding)
    assert has_phones(path) == expected == bool(read_transcript(path)[1])


def test_a_word_called_phone_is_no_tier_of_phones(tmp_path):
    path = tmp_path / "a.TextGrid"
    path.write_text(BY_HAND.replace('"phone"', '"Mary"').replace('"hello"', '"phone"'))
    assert not has_phones(path)
    path.write_text(BY_HAND[:60])
    assert not has_phones(path), "a header without a tier"
    table = tmp_path / "a.tsv"
    table.write_text("word\tonset\tduration\nphone\t0.5\t0.25\n")
    assert not has_phones(table)


@pytest.mark.parametrize(
    "label", ["", " ", "sp", "SP", "br", "lg", "ls", "ns", "{LG}", "{ns}", "<sil>", "[noise]"]
)
def test_marks_are_not_words(label):
    assert _is_mark(label)


@pytest.mark.parametrize("label", ["a", "I", "spy", "brr", "o'clock", "{", "ns'"])
def test_words_are_not_marks(label):
    assert not _is_mark(label)


@pytest.mark.parametrize("names", [("Phone", "WORD"), ("phones", "words"), ("anna - phone", "anna - word")])
def test_tier_names(tmp_path, names):
    words, phones = read_transcript(write_textgrid(tmp_path / "a.TextGrid", WORDS, PHONES, names=names))
    assert len(words) == 3
    assert len(phones) == 2


def test_a_transcript_in_capitals_is_read_as_text(tmp_path):
    shouted = [(a, b, label.upper()) for a, b, label in WORDS]
    words, _ = read_transcript(write_textgrid(tmp_path / "a.TextGrid", shouted))
    assert [word.label for word in words] == ["i", "don't", 'say "no"']
    words, _ = read_transcript(write_textgrid(tmp_path / "b.TextGrid", WORDS))
    assert words[0].label == "I", "a transcript in both cases is kept as it is"


def test_word_table(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("word\tonset\tduration\nthe\t0.5\t0.25\nn/a\t0.75\t1\nend\t2\t0.5\n")
    words, phones = read_transcript(path)
    assert [tuple(word) for word in words] == [(0.5, 0.75, "the"), (2.0, 2.5, "end")]
    assert phones == []


# The same four words as programs write them with their defaults.
_HEADER = "onset\tduration\tword\n"
QUOTED = {
    "pandas, readr": _HEADER + '2\t0.4\t"""Oh"\n2.5\t0.4\tno,\n3\t0.4\t"he""s"\n4\t1\t"""!"""\n',
    "pandas QUOTE_NONNUMERIC": '"onset"\t"duration"\t"word"\n'
    '2\t0.4\t"""Oh"\n2.5\t0.4\t"no,"\n3\t0.4\t"he""s"\n4\t1\t"""!"""\n',
    "R": '"onset"\t"duration"\t"word"\n2\t0.4\t"\\"Oh"\n2.5\t0.4\t"no,"\n3\t0.4\t"he\\"s"\n4\t1\t"\\"!\\""\n',
    "with breaks": _HEADER + '2\t0.4\t"""Oh"\n2.5\t0.4\t"\nno,"\n3\t0.4\t"he""s\t"\n4\t1\t"""!"""\n',
    "nobody": _HEADER + '2\t0.4\t"Oh\n2.5\t0.4\tno,\n3\t0.4\the"s\n4\t1\t"!"\n',
}


@pytest.mark.parametrize("program", QUOTED)
def test_quotation_marks_of_programs_are_no_part_of_words(tmp_path, program):
    path = tmp_path / "a.tsv"
    path.write_text(QUOTED[program])
    words, _ = read_transcript(path)
    assert [word.label for word in words] == ['"Oh', "no,", 'he"s', '"!"']


def test_words_without_times(tmp_path, capsys):
    path = tmp_path / "a.tsv"
    path.write_text(
        "word\tonset\tduration\na\tn/a\t1\nb\t1\t0.5\nc\t2\t0\nd\tNaN\t\nsp\t3\tn/a\ne\t4\t1\nf\t6\tNA\n"
    )
    with pytest.raises(UserError, match=r"4 of 7 rows .*\(line 2, 4, 5, 8\).* dataset.untimed_words: skip"):
        read_transcript(path)
    words, _ = read_transcript(path, "skip")
    assert [tuple(word) for word in words] == [(1.0, 1.5, "b"), (4.0, 5.0, "e")]
    assert "4 of 7 rows have a word without" in capsys.readouterr().err


@pytest.mark.parametrize("word", ['"hello', 'hello"', '"hello"', '"', 'say "no" now'])
def test_a_quotation_mark_joins_no_rows(tmp_path, word):
    path = tmp_path / "a.tsv"
    path.write_text(f'onset\tduration\tword\n2\t0.4\t{word}\n2.5\t0.4\tthere\n3\t0.4\tfriend"\n')
    words, _ = read_transcript(path)
    assert [interval.label for interval in words] == [word, "there", 'friend"']
    assert [interval.onset_s for interval in words] == [2, 2.5, 3]


def _grid(**changes):
    text = BY_HAND
    for old, new in changes.values():
        assert old in text
        text = text.replace(old, new)
    return text


BAD_GRIDS = {
    "another file": ("not a grid at all", "is not a TextGrid"),
    "an empty file": ("", "an empty file"),
    "an HTML page": ("<!DOCTYPE html><html>503</html>", "an HTML page"),
    "an S3 error": (
        "<?xml version='1.0'?>\n<Error><Code>NoSuchKey</Code></Error>",
        "error message of the server",
    ),
    "a git-annex pointer": ("/annex/objects/MD5E-s99--d41d8cd9.TextGrid\n", "datalad get"),
    "a git-annex path": ("../../.git/annex/objects/MK/79/MD5E-s1--b3/MD5E-s1--b3", "datalad get"),
    "a git-lfs pointer": ("version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
    "cut off": (
        BY_HAND[: BY_HAND.index("        intervals [3]")],
        r"ends in tier word \(it has 2 intervals, its header says 3\)",
    ),
    "cut in a number": (BY_HAND[: BY_HAND.index(".25\n            text")], "TextGrid"),
    "only a header": (BY_HAND[:60], "ends in its header"),
    "no word tier": (_grid(a=('"word"', '"lexeme"')), "no tier called word .*phone, lexeme"),
    "two word tiers": (_grid(a=('"phone"', '"anna - word"')), "are all called word"),
    "empty story": (_grid(a=('"hello"', '"{LG}"')), "has no words"),
    "a word that ends before it starts": (_grid(a=("xmax = 1.25", "xmax = 0.25")), "'hello' lasts from 0.5"),
    "times out of order": (
        _grid(
            a=('"sp"', '"late"'), b=("xmin = 0\n            xmax = 0.5", "xmin = 2\n            xmax = 2.5")
        ),
        "'hello' at 0.5 s comes after 'late' at 2.0 s",
    ),
    "overlapping words": (
        _grid(a=('"sp"', '"long"'), b=("            xmax = 0.5", "            xmax = 0.9")),
        "'hello' at 0.5 s overlaps 'long'",
    ),
    "two tiers of one name": (_grid(a=('"phone"', '"word"')), "tiers word, word are all called word"),
    "a quotation mark inside a word": (
        _grid(a=('"hello"', '"say "no""')),
        "line 32: a quotation mark inside a text must be written twice",
    ),
    "an open quotation mark": (_grid(a=('text = ""', 'text = "')), "line 36: .*no other closes"),
    "more than it says": (_grid(a=("size = 3", "size = 2")), "more intervals or tiers than its header says"),
    "a comma for a point": (_grid(a=("1.25", "1,25")), "line 31: 1,25 is not a plain number"),
    "a code for a character": (_grid(a=('"hello"', r'"caf\e\'"')), "Convert to Unicode"),
    "a word before the sound": (
        _grid(a=('"sp"', '"oh"'), b=("xmin = 0\n            xmax", "xmin = -0.2\n            xmax")),
        "'oh' lasts from -0.2 s to 0.5 s",
    ),
    "a binary file": ("ooBinaryFile\x08TextGrid", "is a binary TextGrid"),
    "a chronological file": ('"Praat chronological TextGrid text file"\n0 3', "is a chronological TextGrid"),
    "a time that is no number": (_grid(a=("xmax = 1.25", "xmax = never")), "damaged TextGrid"),
    "binary": ("\x00\x01\x02" * 100, "is not a TextGrid"),
}


@pytest.mark.parametrize("kind", BAD_GRIDS)
def test_bad_textgrids_end_in_one_line(tmp_path, kind):
    content, line = BAD_GRIDS[kind]
    path = tmp_path / "bad.TextGrid"
    path.write_text(content)
    with pytest.raises(UserError, match=line) as error:
        read_transcript(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_what_is_not_there(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        read_transcript(tmp_path / "none.TextGrid")
    with pytest.raises(UserError, match="is a folder"):
        read_transcript(tmp_path)
    link = tmp_path / "annexed.TextGrid"
    link.symlink_to("../.git/annex/objects/MD5E-s1--b3")
    with pytest.raises(UserError, match="git-annex link without its content; run `datalad get`"):
        read_transcript(link)
    utf16 = tmp_path / "odd.TextGrid"
    utf16.write_bytes(codecs.BOM_UTF16_LE + BY_HAND.encode("utf-16-le")[:-1])
    with pytest.raises(UserError, match="cannot be decoded"):
        read_transcript(utf16)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("onset,duration,word\n0,1,a\n", "lacks column onset"),
        ("onset\tduration\n0\t1\n", "lacks column word"),
        ("onset\tduration\tword\n0\tsoon\ta\n", "line 2 has duration 'soon'; it must be seconds"),
        ("onset\tduration\tword\n0\t1\n", "line 2 has 2 cells, the header has 3"),
        ("onset\tduration\tword\n1\t1\ta\n0\t1\tb\n", "comes after"),
        ("onset\tduration\tword\n0\t-1\ta\n", "lasts from"),
        ("onset\tduration\tword\ninf\t1\ta\n", "lasts from"),
        ("onset\tduration\tword\n", "has no words"),
        ("word,onset\n", r"lacks column onset.* with tabs between, and is word,onset"),
        ("onset\tduration\tword\tword\n0\t1\ta\tb\n", "two columns word"),
        (
            'onset\tduration\tword\n0\t1\t"""a"\n1\t1\t"b\n',
            r'line 2 has """a", .*line 3 "b, as a person does',
        ),
        ('onset\tduration\tword\n0\t1\t"a,"\n1\t1\tb\n', 'line 2: do the marks of "a," belong to the word'),
        ('onset\tduration\tword\n0\t1\t"a\n1\t1\n2\t1\tb"\n', "line 3 has 2 cells"),
    ],
)
def test_bad_word_tables_end_in_one_line(tmp_path, content, line):
    path = tmp_path / "bad.tsv"
    path.write_text(content)
    with pytest.raises(UserError, match=line):
        read_transcript(path)
