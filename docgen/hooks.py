"""What MkDocs calls while it builds the site; run it as ``python -m mkdocs build --strict``.

Pages that can be made of the code are made of it here, so that they can't say anything else.
"""

from __future__ import annotations

from collections.abc import Mapping

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

from docgen import api_pages, command_line, notebooks, outside, screenshots


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made, those of the project, and the files that pages link to."""
    copies = {
        site: (outside.ROOT / path).read_text(encoding="utf-8")
        for path, site in outside.PAGES.items()
        if site != "index.md"
    }
    made = {**command_line.pages(), **api_pages.pages(), **notebooks.pages()}
    _add(files, config, {**made, **copies})
    linked: set[str] = set()
    for file in files.documentation_pages():
        linked |= outside.linked_files(file.src_uri, file.content_string)
    for path in sorted(linked):
        place = outside.site_path(path)
        assert place is not None
        data = (outside.ROOT / path).read_bytes()
        files.append(File.generated(config, place, content=data, inclusion=InclusionLevel.INCLUDED))
    for place, data in screenshots.take().items():
        files.append(File.generated(config, place, content=data, inclusion=InclusionLevel.INCLUDED))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point the links of a page into the site, and put its screenshots in."""
    del config
    up = "../" * page.file.src_uri.count("/")
    there = any(file.src_uri.startswith("images/reports/") for file in files)
    shown = screenshots.with_pictures(markdown, up, there)
    return outside.with_links(page.file.src_uri, shown)


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Give the theme's search dialog the name that screen readers ask for."""
    del page, config
    return output.replace('role="dialog"', 'role="dialog" aria-label="Search"', 1)


def _add(files: Files, config: MkDocsConfig, pages: Mapping[str, str]) -> None:
    for place, text in pages.items():
        files.append(File.generated(config, place, content=text, inclusion=InclusionLevel.INCLUDED))
