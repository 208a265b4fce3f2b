"""What the site of mkdocs needs beside the pages of docs/: pages from other folders, and links to them."""

import os
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

HOME = Path(__file__).parents[1]
ELSEWHERE = {
    "config.md": "config/README.md",
    "tables.md": "workflow/scripts/voxscale/io/tables.md",
    "changelog.md": "CHANGELOG.md",
}
_LINK = re.compile(r"\[([^\]]+)\]\(((?!https?:)[^)#]+)(#[^)]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages of other folders."""
    for page, path in ELSEWHERE.items():
        files.append(File.generated(config, page, content=(HOME / path).read_text()))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Let links lead to pages of the site; a link to another file of the repository becomes its path."""
    source = HOME / ELSEWHERE.get(page.file.src_uri, f"docs/{page.file.src_uri}")
    pages = {path: name for name, path in ELSEWHERE.items()}

    def linked(found: re.Match[str]) -> str:
        text, target, anchor = found[1], found[2], found[3] or ""
        path = os.path.relpath(source.parent / target, HOME)
        if path in pages:
            return f"[{text}]({pages[path]}{anchor})"
        if path.startswith("docs/"):
            return f"[{text}]({path.removeprefix('docs/')}{anchor})"
        return f"`{path}`" if (HOME / path).exists() else found[0]

    return _LINK.sub(linked, markdown)
