import html
import re

from hypothesis import given
from hypothesis import strategies as st

from paper_repro.document import Heading, Paragraph, Picture, Table, to_html, to_markdown

TEXT = st.text(st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="`"), min_size=1)


@given(TEXT, TEXT)
def test_html_shows_any_text_as_it_is(title: str, text: str):
    page = to_html(title, [Paragraph(text), Table((text,), ((text,),))], {})
    assert html.unescape(re.search("<p>(.*)</p>", page).group(1)) == text
    assert html.unescape(re.search("<td>(.*)</td>", page).group(1)) == text
    assert html.unescape(re.search("<title>(.*)</title>", page).group(1)) == title


@given(st.lists(st.tuples(TEXT, TEXT), max_size=4))
def test_markdown_tables_have_one_line_a_row_and_keep_columns(rows: list[tuple[str, str]]):
    lines = to_markdown([Table(("a", "b"), tuple(rows))]).splitlines()
    lines = "\n".join(lines).split("\n")
    assert lines[:2] == ["| a | b |", "| --- | --- |"]
    assert all(len(re.findall(r"(?<!\\)\|", line)) == 3 for line in lines[2:] if "\\\\" not in line)


def test_every_block():
    blocks = [
        Heading(2, "H & co"),
        Paragraph("run `x < y`"),
        Picture("p.png", "a plot"),
        Table(("a",), (("1",),)),
    ]
    assert to_markdown(blocks) == ("## H & co\n\nrun `x < y`\n\n![a plot](p.png)\n\n| a |\n| --- |\n| 1 |\n")
    page = to_html("T", blocks, {"p.png": b"\x89PNG"})
    assert "<h2>H &amp; co</h2>" in page
    assert "<code>x &lt; y</code>" in page
    assert 'src="data:image/png;base64,iVBORw=="' in page
    assert "<tr><th>a</th></tr>" in page
