"""The page in a real browser, as wide as a laptop and as a phone: nothing is cut, and files can be saved."""

from __future__ import annotations

import csv
import io
import time

import pytest

from report import browser
from report.page_study import CONFIG, build, files_of
from rollout3d.report.about import about
from rollout3d.report.page import render
from rollout3d.report.study import collect

pytestmark = pytest.mark.skipif(not browser.EXECUTABLE, reason="chromium is not installed: apt-get install chromium")

LAPTOP, PHONE = (1280, 900), (390, 844)
TASKS = ("object_counting", "object_abs_distance", "object_size_estimation", "room_size_estimation")
TASKS += ("object_rel_distance", "object_rel_direction", "route_planning", "obj_appearance_order", "overall")


def wide_scores():
    """Scores of the longest names and numbers that a benchmark may have, under mixed settings."""
    settings = (
        "32 frames uniform, at most 200704 px, think_video_r1, temperature 0, 1024 tokens, hf, model 0123456789ab"
    )
    rows = []
    for run in ("qwen3b", "grpo_video_r1", "ocr_video_r1"):
        for view in ("video", "black", "seen", "random", "frequent"):
            seen = view == "seen"
            for task in TASKS:
                rows.append(
                    {
                        "run": run,
                        "benchmark": "vsibench",
                        "task": task,
                        "view": view,
                        "score": -11.1 if seen else 100.0,
                        "low": -22.2 if seen else None,
                        "high": -10.1 if seen else None,
                        "n": 5130,
                        "well_formed": None if seen else 1.0,
                        "rests_on": ["filter", "sft"],
                        "settings": settings,
                        "scorer": "lmms" if run == "qwen3b" else "vsibench",
                        "part": None,
                    }
                )
    return rows


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser")
    files = build(folder / "results")
    study = collect(files_of(files), CONFIG, about([], None, CONFIG.model_dump(mode="json")))
    figure3 = [
        {"table": "figure3", "row": kind, "column": column, "paper": None, "ours": 9999.0, "n": 9999, "note": ""}
        for kind in ("object_counting", "object_rel_direction_medium", "obj_appearance_order", "route_planning")
        for column in ("OCR-RL", "OCR-SFT")
    ]
    object.__setattr__(study, "scores", [*study.scores, *wide_scores()])
    object.__setattr__(study, "tables", {**study.tables, "figure3": figure3})
    path = folder / "index.html"
    path.write_text(render(study))
    return path


@pytest.fixture(scope="module", params=[LAPTOP, PHONE], ids=["laptop", "phone"])
def opened(request, page, tmp_path_factory):
    with browser.Browser(tmp_path_factory.mktemp("user"), size=request.param) as found:
        found.width = request.param[0]
        found.open(page.as_uri(), "document.readyState === 'complete' && [...document.images].every(i => i.complete)")
        # A closed part has no size.
        found.js("document.querySelectorAll('details').forEach(d => d.open = true)")
        yield found


def only(found, size):
    if found.width != size[0]:
        pytest.skip("about the other width")


def test_page_never_scrolls_sideways_and_asks_for_nothing(opened):
    assert opened.js("document.documentElement.scrollWidth") == opened.width
    assert opened.js("[...document.images].every(i => i.naturalWidth > 0)")
    assert opened.errors == []


def test_no_table_is_cut_on_a_laptop(opened):
    only(opened, LAPTOP)
    sizes = opened.js(
        "[...document.querySelectorAll('table')].map(t => [t.dataset.sheet, t.parentElement.scrollWidth,"
        " t.parentElement.clientWidth, t.getBoundingClientRect().right])"
    )
    names = {size[0] for size in sizes}
    assert {"scores-vsibench", "bias", "table2", "sources", "rollouts-1", "configuration"} <= names
    assert [size for size in sizes if size[1] > size[2] or size[3] > LAPTOP[0] or not size[2]] == []
    clipped = opened.js(
        "[...document.querySelectorAll('td, th')].filter(c => c.scrollWidth > c.clientWidth + 1)"
        ".map(c => c.textContent)"
    )
    assert clipped == []


def test_tables_scroll_in_their_box_on_a_phone_and_keep_their_first_column(opened):
    only(opened, PHONE)
    moved = opened.js(
        """[...document.querySelectorAll('.scroll')].filter(b => b.scrollWidth > b.clientWidth + 60).map(box => {
          const first = [...box.querySelectorAll('thead th:first-child, tr.line th')];
          const left = c => c.getBoundingClientRect().left;
          const before = first.map(left), second = box.querySelector('tr.line td'), was = left(second);
          box.scrollLeft = 50;
          const found = {name: box.firstElementChild.dataset.sheet, scrolled: box.scrollLeft,
            first: first.map(left).every((x, i) => x === before[i]), moved: was - left(second),
            share: first[0].clientWidth / box.clientWidth,
            over: document.elementFromPoint && (() => { first[1].scrollIntoView({block: 'center'});
              const r = first[1].getBoundingClientRect();
              return first[1].contains(document.elementFromPoint(r.right - 3, r.top + r.height / 2)) })()};
          box.scrollLeft = 0;
          return found })"""
    )
    assert {"scores-vsibench", "bias", "table2"} <= {box["name"] for box in moved}
    for box in moved:
        assert box["scrolled"] == 50 and box["moved"] == 50, box
        assert box["first"] and box["over"] and box["share"] < 0.5, box


def test_text_in_charts_is_as_large_as_text_must_be(opened):
    charts = opened.js(
        """Promise.all([...document.querySelectorAll('img[src^="data:image/svg"]')].map(async img => {
          const svg = await (await fetch(img.currentSrc)).text();
          const width = parseFloat(svg.match(/viewBox="0 0 ([0-9.]+)/)[1]);
          const sizes = [...svg.matchAll(/font(?:-size)?: ([0-9.]+)px/g)].map(m => +m[1]);
          return {alt: img.alt, texts: sizes.length, least: Math.min(...sizes) * img.clientWidth / width,
            right: img.getBoundingClientRect().right, scrolls: !!img.closest('.panels')} }))"""
    )
    assert len(charts) > 10 and all(chart["texts"] > 3 for chart in charts)
    assert [chart for chart in charts if chart["least"] < 9] == []
    assert [chart for chart in charts if not chart["scrolls"] and chart["right"] > opened.width] == []


CONTRAST = """(() => {
  const rgb = c => c.match(/[0-9.]+/g).map(Number);
  const light = c => rgb(c).slice(0, 3).map(v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const low = [];
  for (const e of document.querySelectorAll('main *')) {
    if (e.closest('svg') || ![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
    let behind = e;
    while (behind && (rgb(getComputedStyle(behind).backgroundColor)[3] ?? 1) === 0) behind = behind.parentElement;
    const pair = [light(getComputedStyle(e).color), behind ? light(getComputedStyle(behind).backgroundColor) : 1];
    const ratio = (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
    if (ratio < 4.5) low.push([e.tagName + '.' + e.className, ratio, e.textContent.slice(0, 30)]);
  }
  return low })()"""


def test_text_stands_out_from_what_is_behind_it(opened):
    assert opened.js(CONTRAST) == []
    opened.js("document.querySelector('p').style.color = '#999'")
    assert opened.js(CONTRAST)[0][0] == "P.lead muted", "the measure sees a weak colour"
    opened.js("document.querySelector('p').style.color = ''")


def test_outlines_lie_on_both_pictures_and_can_be_hidden(opened):
    places = opened.js(
        """[...document.querySelectorAll('.frame')].map(f => [f.querySelector('img'), f.querySelector('svg')]
          .map(e => { const b = e.getBoundingClientRect(); return [b.left, b.top, b.width, b.height] }))"""
    )
    assert len(places) >= 16
    for picture, drawing in places:
        assert picture == pytest.approx(drawing, abs=0.6) and picture[2] > 60
    count = "[...document.querySelectorAll('.example')[0].querySelectorAll('.frame svg')]"
    assert opened.js(f"{count}.every(e => getComputedStyle(e).visibility === 'visible')")
    opened.click_on("#outlines-1")
    assert opened.js(f"{count}.every(e => getComputedStyle(e).visibility === 'hidden')")
    opened.click_on("#outlines-1")
    # The outline is where the pixels differ: the box of the first one, on screen, against its path.
    assert opened.js("document.querySelector('.frame use').getBoundingClientRect().width") > 10


CELLS = """[...document.querySelectorAll('table')].map(t => ({name: t.dataset.sheet,
  titles: [...t.querySelectorAll('thead th')].map(c => c.textContent),
  lines: [...t.querySelectorAll('tr.line')].map(r => [...r.children].map(c => {
    const of = s => c.querySelector(s)?.textContent ?? '', ends = of('.interval').split(' to ');
    return {text: c.textContent, words: c.matches('.text'), value: of('.ours, .value'), paper: of('.paper'),
      low: ends[0], high: ends[1] ?? ''} }))}))"""


def bare(number):
    return number.replace(",", "").replace("\N{MINUS SIGN}", "-").replace("+", "").removesuffix(" %")


def offered(found, name):
    """What a link would save."""
    link = f"document.querySelector('a[download=\"{name}\"]').href"
    return found.js(f"fetch({link}).then(answer => answer.text())")


def test_a_click_saves_a_file(opened, tmp_path):
    opened.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    for name in ("table2.csv", "scores-vsibench.tex"):
        opened.click_on(f'a[download="{name}"]')
        until = time.monotonic() + 60
        while not (tmp_path / name).exists():
            assert time.monotonic() < until, f"{name} was not saved"
            time.sleep(0.05)
        assert (tmp_path / name).read_text() == offered(opened, name) != ""


def test_saved_files_hold_the_tables_that_are_shown(opened):
    only(opened, LAPTOP)
    numbers = 0
    for table in opened.js(CELLS):
        saved, latex = (offered(opened, f"{table['name']}.{kind}") for kind in ("csv", "tex"))
        header, *lines = csv.reader(io.StringIO(saved))
        assert len(lines) == len(table["lines"]) and all(len(line) == len(header) for line in lines)
        assert r"\toprule" in latex and latex.count(r"\\") > len(lines)
        for line, (name, *cells) in zip(lines, table["lines"]):
            row = dict(zip(header, line))
            assert name["text"].startswith(row[table["titles"][0]])
            for title, cell in zip(table["titles"][1:], cells):
                if cell["words"]:
                    assert row[title] == cell["text"] or row[title].startswith(cell["text"].removesuffix("…"))
                    continue
                shown = [bare(cell[part]) for part in ("value", "low", "high", "paper")]
                kept = [row.get(f"{title}{end}", "") for end in ("", " low", " high", " (paper)")]
                assert kept == shown, (table["name"], name["text"], title)
                assert any(shown) or cell["text"] == "–"
                numbers += sum(map(bool, shown))
    assert numbers > 500
