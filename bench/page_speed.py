"""How long the what-if page takes: until it shows its first answer, and at each step of a control.

The page itself in Chromium, served from this machine: from the start of its loading until the
answer is drawn, by a browser that has just started and once more by one that runs; and, once the
page rests, what each step of a slider or list takes until all is drawn.

    python bench/page_speed.py --opened 5 qwen3-30b-a3b:Q4_K_M gemma-4-26b-a4b:Q4_K_M
"""

import argparse
import json
import re
import subprocess
import tempfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Empty, Queue
from statistics import median
from threading import Thread

from oomph.config import RunConfig
from oomph.estimate.estimator import Estimator
from oomph.views.what_if import what_if
from oomph.views.what_if_page import render_what_if

BROWSER = Path(__file__).resolve().parent.parent / "scripts" / "browser"
CARD = "RTX 4090"
STEPS = {
    "n_ctx": [256 * (40 + 5 * i) for i in range(40)],
    "n_expert_used": [1, 2, 4, 6, 7, 9, 10, 12],
    "type_k": ["q8_0", "q4_0", "q5_1", "bf16"],
}

TIMED = """
const opened = performance.now();
const answered = opened - performance.getEntriesByName("script")[0].startTime;
const form = document.querySelector("form");
const drawn = { last: 0 };
// a frame is drawn at once, so that a step is over when its event is
window.requestAnimationFrame = (draw) => {
  const start = performance.now();
  draw();
  drawn.last = performance.now() - start;
  return null;
};
const step = (name, value) => {
  form.elements[name].value = value;
  form.elements[name].dispatchEvent(new Event("input", { bubbles: true }));
  return drawn.last;
};
const seen = () => new Promise((resolve) => whenSeen(form, resolve));
const rested = () => new Promise((resolve) => whenIdle(resolve));
const frame = () => new Promise((resolve) => setTimeout(resolve, 16));
async function steps(name) {
  const took = [];
  for (const value of form.elements[name] ? STEPS[name] : []) {
    await frame();
    took.push(step(name, value));
  }
  return took;
}
const tell = (told) => fetch("/", { method: "POST", body: JSON.stringify(told) });
(async () => {
  if (!sessionStorage.getItem("again")) {
    sessionStorage.setItem("again", "yes");
    await tell({ opened, answered });
    location.reload();
    return;
  }
  await seen();
  await rested();
  const prepared = performance.now();
  const contexts = await steps("n_ctx");
  const experts = await steps("n_expert_used");
  const types = await steps("type_k");
  tell({ opened, answered, prepared, contexts, experts, types });
})();
"""


Times = dict[str, float | list[float]]


def in_browser(chromium: str, html: str) -> tuple[Times, Times]:
    """The times of one page that is opened twice, ms. SystemExit where it tells none within a
    minute."""
    told: Queue[Times] = Queue()

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(html.encode() if self.path == "/" else b"")

        def do_POST(self) -> None:
            told.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server, tempfile.TemporaryDirectory() as to:
        server.daemon_threads = True
        Thread(target=server.serve_forever, daemon=True).start()
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"]
        address = f"http://127.0.0.1:{server.server_port}/"
        with subprocess.Popen(
            [chromium, *options, f"--user-data-dir={to}/user", address],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as browser:
            try:
                return told.get(timeout=60), told.get(timeout=60)
            except Empty:
                raise SystemExit("the page told no times within a minute") from None
            finally:
                browser.terminate()
                browser.wait()
                server.shutdown()


def row(chromium: str, name: str, n_opened: int) -> str:
    """The times of one model's page as a line of a table: medians of so many pages."""
    asked = what_if(Estimator(name, CARD), RunConfig(n_ctx=8192))
    script = f"const STEPS = {json.dumps(STEPS)};{TIMED}"
    html = re.sub(r"<meta http-equiv=.*?>", "", render_what_if(asked))  # its policy runs no other
    before, main, after = html.rpartition("<script>")
    html = f"{before}<script>performance.mark('script');</script>{main}{after}"
    html = html.replace("</body>", f"<script>{script}</script></body>")
    opened = [in_browser(chromium, html) for _ in range(n_opened)]
    pages = [page for _, page in opened]
    cells = [
        [first["opened"] for first, _ in opened],
        [first["answered"] for first, _ in opened],
        [page["answered"] for page in pages],
        [page["prepared"] - page["opened"] for page in pages],
        [median(page["contexts"]) for page in pages],
        [max(page["contexts"]) for page in pages],
        [median(page["experts"]) for page in pages if page["experts"]],
        [median(page["types"]) for page in pages],
    ]
    told = " | ".join(f"{median(each):.0f}" if each else "–" for each in cells)
    return f"| {name} | {told} |"


def main() -> None:
    """Print a table, a line for each model."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("models", nargs="*")
    parser.add_argument("--opened", type=int, default=5, help="pages of each model")
    options = parser.parse_args()
    found = subprocess.run([BROWSER], stdout=subprocess.PIPE, text=True, check=False)
    if found.returncode:
        raise SystemExit(1)  # it has said why
    columns = (
        "opened",
        "of it its script",
        "its script again",
        "prepared",
        "a context",
        "worst of 40",
        "experts",
        "a cache type",
    )
    print(f"| model | {' | '.join(f'{name}, ms' for name in columns)} |")
    print("|" + " --- |" * (len(columns) + 1))
    for name in options.models or ["qwen3-30b-a3b:Q4_K_M", "gemma-4-26b-a4b:Q4_K_M"]:
        print(row(found.stdout.strip(), name, options.opened), flush=True)


if __name__ == "__main__":
    main()
