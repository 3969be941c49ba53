"""How long the what-if page takes to answer: the first time, and at each step of a slider.

The page's own script in node and in Chromium, timed there: an estimator made and asked once, then
once for each further context, as a slider does, and once for each further number of experts or
type of the cache, which change the graph.

    python bench/page_speed.py qwen3-30b-a3b:Q4_K_M gemma-4-26b-a4b:Q4_K_M
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from html import unescape
from pathlib import Path
from statistics import median

from oomph.config import RunConfig
from oomph.estimate.estimator import Estimator
from oomph.views.what_if import shared_facts, what_if
from oomph.views.what_if_page import what_if_script

CARD = "RTX 4090"
STEPS = [256 * (40 + 5 * i) for i in range(40)]

TIMED = """
const read = (id) => document.getElementById(id).textContent;
const { data, knobs, steps } = JSON.parse(read("case"));
const timed = (f) => { const start = performance.now(); f(); return performance.now() - start; };
let asked;
const at = (changed) => timed(() => asked.predict(asked.own, { ...knobs, ...changed }));
const first = timed(() => { asked = ask(data.facts); }) + at({});
const took = {
  first,
  contexts: steps.map((n_ctx) => at({ n_ctx })),
  types: ["q8_0", "q4_0", "q5_1", "bf16"].map((kind) => at({ type_k: kind, type_v: kind })),
};
"""
IN_NODE = """
const told = JSON.parse(require("fs").readFileSync(0, "utf8"));
globalThis.document = {
  getElementById: (id) => ({ textContent: told[id] }), querySelectorAll: () => [],
};
"""
IN_BROWSER = """
const result = document.createElement("pre");
result.id = "result"; result.textContent = JSON.stringify(took); document.body.append(result);
"""

Took = dict[str, float | list[float]]


def in_node(case: str) -> Took | None:
    """The times in node; None where there is none."""
    node = shutil.which("node")
    if node is None:
        return None
    told = json.dumps({"what-if-shared": json.dumps(shared_facts()), "case": case})
    script = IN_NODE + what_if_script() + TIMED + "console.log(JSON.stringify(took));"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "timed.cjs"
        path.write_text(script, encoding="utf-8")
        done = subprocess.run([node, path], input=told, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def in_browser(case: str) -> Took | None:
    """The times in Chromium; None where there is none."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        return None
    html = f"""<!doctype html><meta charset="utf-8"><body>
    <script type="application/json" id="what-if-shared">{json.dumps(shared_facts())}</script>
    <script type="application/json" id="case">{case}</script>
    <script>{what_if_script()}</script><script>{TIMED}{IN_BROWSER}</script>"""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "timed.html"
        path.write_text(html, encoding="utf-8")
        options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}/user"]
        done = subprocess.run(
            [chromium, *options, "--dump-dom", path.as_uri()],
            capture_output=True,
            text=True,
            check=True,
        )
    found = re.search(r'<pre id="result">(.*?)</pre>', done.stdout, re.DOTALL)
    return json.loads(unescape(found[1])) if found else None


def row(name: str) -> str:
    """The times of one model's page as a line of a table."""
    asked = what_if(Estimator(name, CARD), RunConfig(n_ctx=8192))
    case = json.dumps({"data": asked.data, "knobs": asked.start, "steps": STEPS})
    cells = []
    for took in (in_node(case), in_browser(case)):
        if took is None:
            cells += ["not here"] * 4
            continue
        steps, kinds = took["contexts"], took["types"]
        cells += [f"{x:.0f}" for x in (took["first"], median(steps), max(steps), median(kinds))]
    return f"| {name} | {' | '.join(cells)} |"


if __name__ == "__main__":
    head = ("first", "a context", "worst", "a cache type")
    names = [f"{where}: {x}, ms" for where in ("node", "Chromium") for x in head]
    print(f"| model | {' | '.join(names)} |")
    print("|" + " --- |" * 9)
    for each in sys.argv[1:] or ["qwen3-30b-a3b:Q4_K_M", "gemma-4-26b-a4b:Q4_K_M"]:
        print(row(each), flush=True)
