"""The report: one file, in order, that loads nothing from anywhere."""

import base64
import inspect
import json
import re
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import study_tables as study
import yaml
from PIL import Image

from voxscale.errors import UserError
from voxscale.figures import checks, files, layers, scaling, style
from voxscale.jobs.figures import FIGURES
from voxscale.report import warnings
from voxscale.report.page import read_figure, write_report
from voxscale.report.published import published_rows
from voxscale.study import PRESETS, read_yaml

ROOT = Path(__file__).parents[3]
TEMPLATE = ROOT / "workflow" / "report" / "report.html.j2"
ALPHAS = {"scale": "kernel", "log10_min": -3, "log10_max": 2}
CONFIG = {
    "dataset": {"kind": "phantom", "root": "results/phantom", "subjects": list(study.SUBJECTS)},
    "encoding": {"preset": "strict", "alphas": ALPHAS, "delays_across_stories": False},
    "scoring": {"skip_s": 90},
    "laws": {"language": {"x": "parameters"}, "speech": {"x": "parameters"}, "training": {"x": "hours"}},
    "note": "<script>alert(1)</script>",
    "region": "roi:<!--<script>",  # after which a browser ends no script any more
}
CHIEF = {kind: kind for kind in ("language", "speech", "training")}


@pytest.fixture(scope="module")
def figures(tables, tmp_path_factory):
    folder = tmp_path_factory.mktemp("figures")
    rng = np.random.default_rng(0)
    curves = pd.DataFrame(columns=[*tables["laws"].columns, "x", "y", "lo", "hi"])
    drawn = {
        "controls": checks.draw_controls(tables["summary"]),
        "score_by_layer": layers.draw_layers(study.layers(rng)),
        "score_by_language_model_size": scaling.draw_law(
            tables["law_points"], tables["laws"], curves, tables["summary"], law="language"
        ),
        "plateau": style.sentence("No plateau analysis in this study."),
    }
    for name, made in drawn.items():
        files.save_figure(*made, *(folder / f"{name}.{kind}" for kind in ("png", "pdf", "csv")))
    return [
        (folder / f"{figure.name}.png", figure.category, figure.caption)
        for figure in FIGURES
        if figure.name in drawn
    ]


@pytest.fixture(scope="module")
def page(tables, figures, tmp_path_factory):
    out = tmp_path_factory.mktemp("report") / "report.html"
    write_report(
        figures,
        tables,
        CONFIG,
        {"versions": {"voxscale": "0.1", "numpy": "2"}, "models": {"opt-125m": "abc"}, "code": "c0de"},
        out,
        template=TEMPLATE,
        presets=read_yaml(PRESETS),
        validation=study.validation(),
        chief_laws=CHIEF,
        found=["stories/x: 3 values are not finite"],
        notes=["A control is left out."],
        stories=[
            {"story": "souls", "UTS01": "left out (the run is corrupt)", "UTS02": "train"},
            {"story": "exam", "UTS01": "test", "UTS02": "–"},
        ],
    )
    return out.read_text()


class Page(HTMLParser):
    """Tags that must be closed, in order; every address that a browser would load; texts of headings."""

    VOID = frozenset({"meta", "link", "img", "br", "input", "hr"})

    def __init__(self, text):
        super().__init__()
        self.open, self.loaded, self.headings, self.images, self.ids = [], [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.loaded += [attrs[k] for k in ("src", "srcset", "data", "poster", "action") if attrs.get(k)]
        if tag == "link" or (tag == "a" and "download" in attrs):
            self.loaded.append(attrs["href"])
        if tag == "img":
            self.images.append(attrs)
        if "id" in attrs:
            self.ids.append(attrs["id"])
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, text):
        if self.open and self.open[-1] == "h2":
            self.headings.append(text)


def test_the_page_parses_and_tells_the_story_in_order(page):
    parsed = Page(page)
    assert parsed.open == []
    order = [section["title"] for section in yaml.safe_load((TEMPLATE.parent / "story.yaml").read_text())]
    assert parsed.headings == [title for title in order if title in parsed.headings]
    for title in ("Data", "Models", "Scaling laws", "Layers", "Controls", "Warnings"):
        assert title in parsed.headings
    assert "Maps" not in parsed.headings  # the study drew none
    assert len(parsed.ids) == len(set(parsed.ids))


def test_what_was_used_is_a_folded_table(page):
    stated = page.split("Stories of each subject: trained on, tested on, left out and why</summary>")
    assert len(stated) == 2
    assert stated[0].endswith("<details><summary>")
    row = r"<tr><td>souls</td><td>left out \(the run is corrupt\)</td><td>train</td></tr>"
    assert re.search(row, stated[1].split("</details>")[0])


def test_nothing_is_loaded_from_anywhere(page):
    assert all(address.startswith("data:") for address in Page(page).loaded)
    outside_scripts = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"url\(|@import|https?://(?!arxiv)[^\s<]*\.(?:js|css|woff)", outside_scripts)
    assert not re.search(r"<(?:iframe|object|embed|base)\b", outside_scripts)


def test_points_of_a_figure_are_named(page, tables, tmp_path):
    points = [json.loads(image["data-points"]) for image in Page(page).images]
    assert all(0 < x < 1 and 0 < y < 1 for named in points for x, y, _ in named)
    assert any("model: opt-30b" in text for _, _, text in points[0])
    write_report([], tables, CONFIG, {}, tmp_path / "bare.html", template=TEMPLATE)
    assert len((tmp_path / "bare.html").read_text()) < 300_000


def test_figures_come_with_caption_numbers_and_size(page, figures):
    shown = Page(page)
    assert len(shown.images) == 3  # a figure that is only a sentence is text, not an image
    assert "No plateau analysis in this study." in page
    assert re.findall(r"Figure (\d+)\.", page) == ["1", "2", "3"]
    png = next(path for path, _, _ in figures if path.stem == "controls")
    image = next(image for image in shown.images if image["alt"] == "controls")
    assert base64.b64decode(image["src"].split(",")[1]) == png.read_bytes()
    with Image.open(png) as opened:
        assert (int(image["width"]), int(image["height"])) == opened.size
    assert "Every model and the controls." in page
    csv = base64.b64decode(re.search(r'download="controls.csv" href="data:text/csv;base64,([^"]+)', page)[1])
    assert csv == png.with_suffix(".csv").read_bytes()


def test_texts_of_the_study_are_escaped(page):
    assert "<script>alert(1)</script>" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "<!--<script" not in page
    assert "roi:&lt;!--&lt;script&gt;" in page


def test_numbers_of_the_laws_stand_beside_the_published_ones(page, tables):
    fit = (
        tables["laws"]
        .query(
            "law == 'language' and subject == 'pooled' and metric == 'r2' and voxel_set == 'all'"
            " and form == 'log_linear'"
        )
        .set_index("parameter")
    )
    slope, share = fit.loc["per_decade"], fit.loc["percent_per_decade"]
    stated = f"signed r²: {slope.estimate:+.2g} [{slope.lo:+.2g}, {slope.hi:+.2g}] per decade; "
    stated += f"{share.estimate:+.0f} [{share.lo:+.0f}, {share.hi:+.0f}] % of the fitted value at 2.03B"
    assert stated in page, "the absolute gain first"
    points = tables["law_points"].query("law == 'language' and subject == 'pooled' and metric == 'r2'")
    points = points[points.voxel_set == "all"]
    sizes = f"fitted to {len(points)} points, 125M to {style.format_count(points.x.max())} parameters"
    assert page.count(sizes) == 2  # of r and of signed r²
    assert re.search(r"fitted to \d points, [\d.]+ to [\d.]+ h\)", page)  # of one model's training sizes
    for published in ("32.2 %", "122 %", "4.4 %", "r = 0.82", "OPT near 3/4", "by up to 20 %", "near it"):
        assert published in page


def test_claims_that_were_not_computed_are_left_open(tables):
    none = {name: frame.head(0) for name, frame in tables.items()}
    rows = published_rows(none["laws"], none["summary"], none["law_points"], none["artifact"], {}, {})
    assert len(rows) == 8
    assert {row["this study"] for row in rows} == {None}
    summary = tables["summary"].copy()

    def stated(summary, stacked=False):
        found = published_rows(
            tables["laws"], summary, tables["law_points"], tables["artifact"], {}, CHIEF, stacked
        )
        return {row["claim"]: row["this study"] for row in found}

    rows = stated(summary, stacked=True)
    assert rows["a language model stacked with a speech model"] == "see the figure of stacking gains"
    language = summary[(summary.modality == "language") & (summary.voxel_set == "all")]
    one = language[language.n_train == language.n_train.max()].iloc[:1]
    layers = pd.concat(
        [one.assign(layer=k, depth=k / 4, mean_cv_r=r) for k, r in enumerate((0.1, 0.2, 0.4, 0.3))]
    )
    rows = stated(layers)
    assert rows["best layers"] == f"{one.family.iloc[0]} at 0.50 of the depth"
    region = tables["artifact"].query("model == 'opt-30b' and voxel_set == 'roi:auditory'")
    whole, own = (region.query(which).iloc[0] for which in ("cut_s == 0", "difference == 0"))
    lo, hi = (f"{100 * whole[f'difference_{end}'] / own.y:+.0f}" for end in ("lo", "hi"))
    said = stated(summary)["first 100 s of the test story"].split("; ")
    where = f"over auditory (opt-30b, {whole.subject})"
    first = f"the first 100 s add {whole.percent:+.0f} [{lo}, {hi}] % {where}"
    assert said[0] == first
    assert len(said) == summary.subject.nunique(), "the language model of the maps, each subject"
    assert stated(summary)["best voxel"].startswith("llama-33b: mean signed r² 0.0")
    assert "[" in stated(summary)["best voxel"].split(";")[0]


def test_next_steps_and_checks_are_listed(page):
    assert re.search(r"<td>twice the hours</td><td>signed r²</td><td>0.004 \[0.0028, 0.0052\]</td>", page)
    assert re.search(r"<td>silent voxels, mean r</td><td>UTS03</td>.*?<td>no</td>", page)
    assert "above 0.2" in page
    assert "A check holds if the truth lies in the interval of what was found." in page


def test_warnings_are_ranked_and_a_missing_map_is_stated_in_words(page, figures, tables, tmp_path):
    wrong, weak, noted = (page.index(f"<h3>{rank}</h3>") for rank in warnings.RANKS)
    assert wrong < page.index("3 values are not finite") < weak < page.index("p &gt; n") < noted
    assert page.index("A control is left out.") > noted
    assert page.count('class="warnings mild"') == 1
    assert "map of the cortex" not in page, "no section of maps is here"
    png = figures[0][0]
    write_report([(png, "Maps", "A caption.")], tables, CONFIG, {}, tmp_path / "x.html", template=TEMPLATE)
    assert '<p class="none">No map of the cortex is drawn' in (tmp_path / "x.html").read_text()


def test_numbers_of_tables_have_one_minus_sign(page):
    cells = [text for text in re.findall(r"<td[^>]*>([^<]*)</td>", page) if "log10" not in text]
    assert not [text for text in cells if re.search(r"(?<![\w-])-\d", text)]
    assert any(re.search(r"−\d", text) for text in cells)


def test_config_words_stand_in_the_story(page):
    assert "first 90 s of each test story" not in page  # its section has no figure here
    assert "The preset is strict." in page
    assert re.search(r"<td>encoding.alphas</td>.*?<td>scale kernel, ", page, re.DOTALL)
    assert "abc" in page


def test_untrained_models_are_controls(tables, tmp_path):
    counts = []
    for untrained in ((), ("llama-7b",)):
        write_report([], tables, CONFIG, {}, tmp_path / "x.html", template=TEMPLATE, untrained=untrained)
        page = (tmp_path / "x.html").read_text()
        counts.append(int(re.search(r"<b>(\d+)</b><span>language and speech models", page)[1]))
    assert counts[0] == counts[1] + 1


def test_long_tables_show_their_first_rows(page):
    """Twelve of them; all on request."""
    rows = {
        table.count("<tr>") - 1
        for table in re.findall(r"\d+ of \d+ rows; .*?</label><table.*?</table>", page, re.DOTALL)
    }
    assert min(rows) > 30
    whole = re.findall(r"(?<!</label>)<table.*?</table>", page, re.DOTALL)
    assert max(table.count("<tr>") - 1 for table in whole) <= 30


def test_a_file_that_is_no_picture_is_reported(tmp_path):
    (tmp_path / "controls.png").write_text("no picture")
    with pytest.raises(UserError, match=r"controls\.png: damaged .*delete it"):
        read_figure(tmp_path / "controls.png", "A caption.", 1)


def test_every_figure_has_a_section_and_a_caption():
    titles = {section["title"] for section in yaml.safe_load((TEMPLATE.parent / "story.yaml").read_text())}
    for figure in FIGURES:
        assert figure.category in titles, figure.name
        assert len(figure.caption) > 60, figure.name
        module, function = figure.draw.split(".")
        draw = getattr(import_module(f"voxscale.figures.{module}"), function)
        arguments = inspect.signature(draw).parameters.values()
        tables = {one.name for one in arguments if one.kind is not one.KEYWORD_ONLY}
        assert figure.tables.keys() == tables, figure.name
