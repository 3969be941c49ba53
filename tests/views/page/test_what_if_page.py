"""The question page in a real browser: controls move the answer, foreign text stays text, colours
can be told apart."""

import re
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from oomph.architectures.catalogue import catalogue_model
from oomph.config import RunConfig
from oomph.estimate.estimator import Estimator
from oomph.estimate.machine import Machine
from oomph.gpus import gpu
from oomph.records.grouping import subject
from oomph.records.schema import Record
from oomph.records.summary import summaries_of
from oomph.units import MIB
from oomph.views.report import build_report, render_html, write_pages
from oomph.views.what_if import what_if
from oomph.views.what_if_page import page_file, render_what_if

# on busy cores a headless Chromium may not draw a frame within its virtual time
pytestmark = pytest.mark.flaky(reruns=1)

Dom = Callable[..., str]
HOSTILE = (
    "</script><script>document.title='hacked'</script><img src=x "
    "onerror=\"document.title='hacked'\">'$(id)`"
)


@pytest.fixture(scope="module")
def estimator() -> Estimator:
    return Estimator(catalogue_model("olmoe-1b-7b", "Q4_K_M"), gpu("RTX 4060 Ti 16GB"))


@pytest.fixture(scope="module")
def page(estimator: Estimator) -> str:
    return render_what_if(what_if(estimator, RunConfig(n_ctx=4096), reference="olmoe-1b-7b:Q4_K_M"))


def _with_script(page: str, script: str) -> str:
    """The page with a script of the test, which its policy would not run.

    Frames come by timer: the browser's virtual time waits for timers, but not for frames on a busy
    machine.
    """
    frames = "window.requestAnimationFrame = (draw) => setTimeout(draw, 16);"
    return re.sub(r"<meta http-equiv=.*?>", "", page).replace(
        "</body>", f"<script>{frames}{script}</script></body>"
    )


def _text(dom: str, kind: str) -> str:
    found = re.search(rf'<(\w+) class="{kind}"[^>]*>(.*?)</\1>', dom, re.DOTALL)
    assert found, f"the page has no {kind}"
    return unescape(re.sub(r"<[^>]+>", "", found[2]))


def test_the_page_opens_with_an_answer(dom: Dom, page: str, estimator: Estimator) -> None:
    shown = dom(page)
    memory = estimator.predict(RunConfig(n_ctx=4096)).memory
    assert f"{round(memory.total_vram_bytes / MIB):,} MiB of" in _text(shown, "verdict")
    assert _text(shown, "verdict").startswith("Fits")
    assert '<form aria-label="Settings of olmoe-1b-7b">' in shown
    assert 'class="without-script" hidden=""' in shown
    assert "--as llama-cpp-python" in _text(shown, "command")
    assert "--n-ctx 4096" in _text(shown, "command")


@pytest.mark.parametrize(
    ("cards", "knobs"),
    [
        ("RTX 4060 Ti 16GB", {"n_ctx": 4096}),
        ("2xRTX 3060", {"n_ctx": 8192, "n_devices": 2, "n_depth": 4096, "n_seq_max": 2}),
        (None, {"n_devices": 0, "type_k": "q8_0"}),
    ],
)
def test_the_answer_before_a_control_moves_came_with_the_page(
    dom: Dom, cards: str | None, knobs: dict[str, Any]
) -> None:
    asked = what_if(Estimator("olmoe-1b-7b:Q4_K_M", cards), RunConfig(**knobs))
    assert asked.first
    shown = asked.first["shown"] | {"notes": ["it came with the page"]}
    marked = replace(asked, first=asked.first | {"shown": shown})
    move = """
    const { n_ctx } = document.querySelector("form").elements, first = n_ctx.value;
    const moved = (value) => {
      n_ctx.value = value;
      n_ctx.dispatchEvent(new Event("input", { bubbles: true }));
    };
    const told = () => document.querySelector(".notes").textContent.includes("it came");
    const seen = [told()];
    moved(5000);
    setTimeout(() => { seen.push(told()); moved(first); }, 500);
    setTimeout(() => { seen.push(told()); document.title = seen.join(); }, 1000);"""
    html = render_what_if(marked)
    assert "it came with the page" in _text(dom(html), "notes")
    assert "<title>true,false,true</title>" in dom(_with_script(html, move))


def test_graphs_are_gone_through_before_a_slider_moves(dom: Dom, page: str) -> None:
    """What the context and the experts ask is there once the page rests; a cache type is not."""
    count = """
    const made = [], form = document.querySelector("form"), compose = composed$graph_of;
    composed$graph_of = (...args) => { made[made.length - 1] += 1; return compose(...args); };
    const move = (name, value) => {
      made.push(0);
      form.elements[name].value = value;
      form.elements[name].dispatchEvent(new Event("input", { bubbles: true }));
    };
    const moves = [["n_ctx", 30000], ["n_expert_used", 3], ["type_k", "q8_0"]];
    made.push(0);
    whenSeen(form, () => whenIdle(() => {
      moves.forEach(([name, value], i) => setTimeout(() => move(name, value), 200 * i));
      setTimeout(() => { document.title = made.map((n) => n > 0).join(); }, 800);
    }));"""
    by_timer = """
    delete window.requestIdleCallback;
    window.IntersectionObserver = function (act) {
      this.observe = () => setTimeout(() => act([{ isIntersecting: true }]));
      this.disconnect = () => {};
    };"""
    opened = page.replace("<head>", f"<head><script>{by_timer}</script>")
    shown = dom(_with_script(opened, count), wait_ms=6000)
    assert "<title>true,false,false,true</title>" in shown


def test_nothing_is_prepared_while_a_control_moves(dom: Dom, page: str) -> None:
    wait = """
    delete window.requestIdleCallback;
    waiting.length = 0;
    const { n_ctx } = document.querySelector("form").elements;
    for (const ms of [0, 300, 600]) {
      setTimeout(() => n_ctx.dispatchEvent(new Event("input", { bubbles: true })), ms);
    }
    const begun = performance.now();
    const tell = () => { document.title = performance.now() - begun >= 1100; };
    setTimeout(() => whenIdle(tell), 50);"""
    assert "<title>true</title>" in dom(_with_script(page, wait))


def test_saved_prompts_may_have_no_limit(dom: Dom, estimator: Estimator) -> None:
    config = RunConfig(cache_ram_mib=-1)
    shown = dom(render_what_if(what_if(estimator, config, program="llama-server")))
    assert "grows by saved prompts without a limit" in _text(shown, "notes")


def test_moving_a_control_moves_bar_speed_sentence_and_command(
    dom: Dom, page: str, estimator: Estimator
) -> None:
    at = what_if(estimator).positions["n_ctx"].index(65536)
    moved = f"""
    const form = document.querySelector("form"), slider = form.querySelector('[data-knob="n_ctx"]');
    slider.value = {at};
    slider.dispatchEvent(new Event("input", {{ bubbles: true }}));
    form.elements.type_k.value = "q8_0";
    form.elements.n_expert_used.value = 4;
    form.elements.filled.value = 100;
    form.elements.n_ctx.dispatchEvent(new Event("input", {{ bubbles: true }}));"""
    shown = dom(_with_script(page, moved))
    config = RunConfig(n_ctx=65536, type_k="q8_0", type_v="q8_0", n_expert_used=4, n_depth=65536)
    answer = estimator.predict(config)
    assert answer.speed
    total = f"{round(answer.memory.total_vram_bytes / MIB):,} MiB of"
    assert total in _text(shown, "verdict")
    assert total in _text(shown, "live unseen")  # what a screen reader is told
    assert f"decode {answer.speed.decode_tokens_per_s:.3g} tokens/s" in _text(shown, "brief")
    kv_cache = answer.memory.devices["CUDA0"].kv_cache_bytes
    assert f'title="KV cache: {round(kv_cache / MIB):,} MiB"' in shown
    assert 'aria-valuetext="65,536 tokens"' in shown
    command = _text(shown, "command")
    for words in (
        "oomph estimate olmoe-1b-7b:Q4_K_M",
        "--n-ctx 65536",
        "--type-v q8_0",
        "--n-depth 65536",
    ):
        assert words in command


def test_several_slots_are_told_alone_and_together(dom: Dom, estimator: Estimator) -> None:
    asked = what_if(estimator, RunConfig(n_ctx=16384, n_seq_max=4))
    fill = """
    const form = document.querySelector("form");
    form.elements.filled.value = 100;
    form.elements.filled.dispatchEvent(new Event("input", { bubbles: true }));"""
    shown = dom(_with_script(render_what_if(asked), fill))
    speed = estimator.speed(RunConfig(n_ctx=16384, n_seq_max=4, n_depth=4096))
    assert speed is not None
    assert speed.slots is not None
    assert f"decode {speed.decode_tokens_per_s:.3g} tokens/s" in _text(shown, "brief")
    told = (
        "All 4 slots together, each 4,096 tokens deep, decode "
        f"{speed.slots.decode_tokens_per_s:.3g} tokens/s"
    )
    assert told in _text(shown, "slots")


def test_what_cannot_load_has_no_speed_but_a_reason(dom: Dom, estimator: Estimator) -> None:
    shown = dom(render_what_if(what_if(estimator, RunConfig(n_ctx=1 << 20))))
    assert _text(shown, "verdict").startswith("Does not fit")
    assert "tokens/s" not in _text(shown, "brief")
    assert _text(shown, "bound").startswith("No speed: it does not load: CUDA0 would have to hold")


def test_the_largest_context_is_the_packages(dom: Dom, page: str, estimator: Estimator) -> None:
    shown = dom(_with_script(page, 'document.querySelector(".find button").click();'))
    assert f"{estimator.max_context():,} tokens fit" in _text(shown, "find")


def test_what_is_found_stands_in_the_field(dom: Dom, page: str, estimator: Estimator) -> None:
    found = 'document.querySelector(".find button").click();'
    look = (
        "setTimeout(() => { document.title = document.querySelector('form').n_ctx.value; }, 900);"
    )
    assert f"<title>{estimator.max_context()}</title>" in dom(_with_script(page, found + look))


def test_a_link_is_a_question(dom: Dom, page: str) -> None:
    """Two unlike cards, a typed context, another quantization, RAM and slots, from the address and
    back into it."""
    link = (
        "card=NVIDIA+GeForce+RTX+4090&card=NVIDIA+GeForce+RTX+3060&quantization=Q8_0&n_ctx=90000"
        "&n_seq_max=2&ram=48&reserve=512"
    )
    opened = page.replace("<head>", f"<head><script>location.hash = '{link}';</script>")
    shown = dom(_with_script(opened, "document.body.dataset.at = location.hash;"))
    cards = [replace(gpu(name)) for name in ("RTX 4090", "RTX 3060")]
    machine = Machine(ram_bytes=48 << 30, reserve_bytes=512 * MIB)
    asked = Estimator(catalogue_model("olmoe-1b-7b", "Q8_0"), cards, machine=machine)
    knobs = {"n_ctx": 90_000, "n_devices": 2, "n_seq_max": 2, "n_parallel": 2}
    memory = asked.predict(RunConfig(**knobs)).memory
    for name in ("CUDA0", "CUDA1"):
        assert f"{round(memory.devices[name].total_bytes / MIB):,} MiB of" in _text(
            shown, "verdict"
        )
    command = _text(shown, "command")
    assert "oomph estimate olmoe-1b-7b:Q8_0" in command
    assert "--ram 49152MiB --reserve 512MiB" in command
    at = re.search(r'data-at="#([^"]*)"', shown)
    assert at
    assert set(unescape(at[1]).split("&")) == set(link.split("&"))


def test_a_link_that_asks_nonsense_is_the_page_as_it_was(
    dom: Dom, page: str, estimator: Estimator
) -> None:
    link = "n_ctx=abc&quantization=zz&card=nope&program=none&__proto__=1&ram=-5&x=<b>"
    opened = page.replace("<head>", f"<head><script>location.hash = '{link}';</script>")
    total = estimator.predict(RunConfig(n_ctx=4096)).memory.total_vram_bytes
    assert f"{round(total / MIB):,} MiB of" in _text(dom(_with_script(opened, "")), "verdict")


@pytest.mark.parametrize("link", ["%", "n_ctx=8192&x=%E0%A4%A", "0=5", "card=own"])
def test_a_link_that_is_cut_or_counts_fields_ends_no_page(
    dom: Dom, page: str, estimator: Estimator, link: str
) -> None:
    opened = page.replace("<head>", f"<head><script>location.hash = '{link}';</script>")
    config = RunConfig(n_ctx=8192 if "8192" in link else 4096)
    total = estimator.predict(config).memory.total_vram_bytes
    shown = dom(_with_script(opened, ""))
    assert f"{round(total / MIB):,} MiB of" in _text(shown, "verdict")
    assert "on NVIDIA GeForce RTX 4060 Ti 16GB" in _text(shown, "verdict")


@pytest.mark.parametrize(
    ("fields", "flag"),
    [
        ("n_ctx: '1e4'", "--n-ctx 10000 "),
        ("n_ctx: '1e308'", f"--n-ctx {1 << 20} "),
        ("n_ctx: '-3'", "--n-ctx 1 "),
        ("n_ctx: ''", "--n-ctx 4096 "),
        ("n_ctx: '5000.9'", "--n-ctx 5000 "),
        ("ram: '1e308'", f"--ram {1 << 30}MiB "),
        ("reserve: '99999999999999999999999'", f"--reserve {1 << 30}MiB "),
        ("ram: '1e-320'", "4060 Ti 16GB' --n-ctx 4096 "),
    ],
)
def test_what_is_typed_is_what_is_asked(dom: Dom, page: str, fields: str, flag: str) -> None:
    """Any number that a field takes, within its limits."""
    typed = f"""
    const form = document.querySelector("form");
    for (const [name, value] of Object.entries({{ {fields} }})) {{
      form.elements[name].value = value;
      form.elements[name].dispatchEvent(new Event("input", {{ bubbles: true }}));
    }}"""
    command = _text(dom(_with_script(page, typed)), "command")
    assert flag in command
    assert "Infinity" not in command


def test_without_scripts_there_is_a_table(page: str, estimator: Estimator) -> None:
    assert "Predicted for olmoe-1b-7b on NVIDIA GeForce RTX 4060 Ti 16GB" in page
    total = estimator.predict(RunConfig(n_ctx=4096)).memory.total_vram_bytes
    assert f"<td>{total / MIB:,.0f}<td>" in page
    assert "<form hidden" in page


def test_a_models_name_runs_nothing(dom: Dom, estimator: Estimator) -> None:
    model = replace(estimator.model, name=HOSTILE, source=HOSTILE)
    asked = what_if(Estimator(model, estimator.gpu), reference=HOSTILE)
    html = render_what_if(asked)
    for each in (html, _with_script(html, "")):  # with its policy, and by escaping alone
        shown = dom(each)
        assert "<title>hacked" not in shown
        assert "<img" not in shown
        assert _text(shown, "title") == HOSTILE
        assert "'\\''$(id)`'" in _text(shown, "command")  # one word to a shell


def test_a_report_can_be_asked_too(dom: Dom, records: list[Record], estimator: Estimator) -> None:
    asked = what_if(estimator, RunConfig(n_ctx=4096))
    html = render_html(build_report(summaries_of(records), what_ifs={subject(records[0]): asked}))
    assert len(html.encode()) < 3_000_000
    shown = dom(html)
    assert re.search(
        r'<details class="section" id="c0-what-if">\s*<summary><h2>What if</h2>', shown
    )
    assert _text(shown, "verdict").startswith("Fits")
    assert "what-if-shared" not in render_html(build_report(summaries_of(records)))


def test_pages_that_are_published_together_share_one_script(
    dom: Dom, records: list[Record], estimator: Estimator, tmp_path: Path
) -> None:
    asked = {subject(records[0]): what_if(estimator)}
    report = build_report(summaries_of(records), what_ifs=asked)
    pages = [write_pages(report, tmp_path / name, scripts=tmp_path) for name in ("a", "b")]
    (script,) = tmp_path.glob("what-if-*.js")
    alone = write_pages(report, tmp_path / "alone")
    saved = alone.stat().st_size - pages[0].stat().st_size
    assert 0.99 < saved / script.stat().st_size < 1.01
    html = pages[1].read_text().replace("../what-if-", "what-if-")  # it is opened beside the script
    assert 'class="without-script" hidden=""' in dom(html)


def test_every_control_has_a_label(page: str) -> None:
    labelled = set(re.findall(r'<label for="([^"]+)"', page))
    controls = re.findall(r"<(?:input|select)[^>]*>", page)
    named = {found[1] for each in controls if (found := re.search(r' id="([^"]+)"', each))}
    assert named == labelled
    assert all(" id=" in each or " aria-label=" in each for each in controls)


def test_keyboard_alone_moves_a_slider(dom: Dom, page: str) -> None:
    """Every control can be focused, in the order of reading, and none is a picture of one."""
    walk = """
    const order = [...document.querySelectorAll("form select, form input, .find button, .copy")];
    const takesFocus = (control) => { control.focus(); return document.activeElement === control; };
    const focused = order.filter((control) => !control.closest("[hidden]") && takesFocus(control));
    const names = focused.map((each) => each.name || each.dataset.knob || each.textContent);
    document.body.dataset.focused = names.join(" ");"""
    shown = dom(_with_script(page, walk))
    order = re.search(r'data-focused="([^"]*)"', shown)
    assert order
    assert order[1].startswith(
        "card quantization n_ctx n_ctx filled filled n_expert_used n_expert_used n_gpu_layers "
    )


def _palettes() -> dict[str, dict[str, str]]:
    style = page_file("page.css")
    light = dict(re.findall(r"--(\w+): (#\w{6})", style.split("@media")[0]))
    dark = dict(
        re.findall(
            r"--(\w+): (#\w{6})", style.split("prefers-color-scheme: dark")[1].split("\n}")[0]
        )
    )
    return {"light": light, "dark": {**light, **dark}}


def _luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("text", ["text", "quiet", "link", "ink"])
@pytest.mark.parametrize("ground", ["paper", "panel"])
def test_text_stands_out_from_its_ground(scheme: str, text: str, ground: str) -> None:
    palette = _palettes()[scheme]
    assert _contrast(palette[text], palette[ground]) >= 4.5


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_controls_and_components_can_be_seen(scheme: str) -> None:
    """Edges of controls by WCAG's 3 to 1; neighbours of the memory bar by their lightness too."""
    palette = _palettes()[scheme]
    assert _contrast(palette["edge"], palette["paper"]) >= 3
    assert _contrast(palette["link"], palette["paper"]) >= 3
    assert _contrast(palette["blue"], palette["orange"]) >= 1.4
