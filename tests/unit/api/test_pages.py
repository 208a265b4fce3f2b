"""The page of functions is that of the code, and the notebook runs."""

import re

from api_page import HOME, PAGE, page


def test_the_page_of_functions_is_made_from_the_code():
    assert PAGE.read_text() == page(), "python tests/api_page.py writes it"


def test_the_notebook_runs_and_shows_what_it_says(capsys):
    text = (HOME / "docs/notebook.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    names = {}
    for block in blocks:
        exec(compile(block, "docs/notebook.md", "exec"), names)
    assert len(blocks) == 4
    first = "".join(blocks[:3])
    assert sum(bool(line.strip()) for line in first.splitlines()) < 30
    assert names["share"] > 0.7
    assert names["law"].predict([8])[0] > names["scores"][-1] > names["scores"][0]
    assert capsys.readouterr().out.count("\n") == 3
