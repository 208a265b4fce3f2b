"""The index of the pages, and the page about the code, agree with the files."""

import ast
import re

from workflow.runs import HOME
from workflow.test_imports import LIBRARY, ORDER

DOCS = HOME / "docs"


def contract(room):
    """The first paragraph of a room's docstring."""
    text = ast.get_docstring(ast.parse((LIBRARY / room / "__init__.py").read_text()))
    return " ".join(text.split("\n\n")[0].split())


def test_the_page_about_the_code_states_each_room_s_contract_in_the_order_of_imports():
    rooms = [name for name in ORDER if (LIBRARY / name).is_dir()]
    table = (DOCS / "architecture.md").read_text().split("<!-- rooms -->\n")[1].split("<!-- /rooms -->")[0]
    rows = [f"| `{room}` | {contract(room)} |" for room in rooms]
    assert table.splitlines() == ["| room | contract |", "| --- | --- |", *rows]


def test_the_index_lists_every_page_and_every_room():
    index = (DOCS / "README.md").read_text()
    linked = {(DOCS / link).resolve() for link in re.findall(r"\]\(([^)]+)\)", index)}
    assert {page for page in DOCS.glob("*.md") if page.name != "README.md"} <= linked
    assert all(page.exists() for page in linked)
    named = set(re.findall(r"`(\w+)`", index.partition("| room | page |")[2]))
    assert named == {path.parent.name for path in LIBRARY.glob("*/__init__.py")}
