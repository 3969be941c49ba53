// What if: the controls of a page ask the package's own estimate layer, translated to JavaScript, and show its answer.
// Everything that changes with a control is written here as text, never as HTML: a model's name is foreign text.
const MIB = 2 ** 20;
const PARTS = { weights: "weights", kv_cache: "KV cache", recurrent: "recurrent state", compute: "compute buffers", output: "output buffer", overhead: "overhead", host: "the host's, in the same memory" };
const RATE_SPAN = [1, 30000];  // tokens per second that the lines of the speeds reach from and to

// --- from JSON to the estimate layer

const coefficients$default_coefficients = () => shared().coefficients;
const families$family_of = (arch) => families$family_of[arch];  // those of the page's models
const config$_checked = (knobs) => knobs, config$_check = () => {};  // controls offer nothing that a configuration refuses
const estimator$model_of = (model) => model;  // facts already
const cards$cards_of = (given) => (Array.isArray(given) ? given : given ? [new cards$Card(given.memory_bytes, given)] : []);

function fromJson(value) {
  if (Array.isArray(value)) return value.map(fromJson);
  if (typeof value !== "object" || value === null) return value;
  if (value.skipped) return new header$SkippedArray(...value.skipped);
  return $dict(Object.entries(value).map(([key, item]) => [key, fromJson(item)]));
}
const readJson = (element) => JSON.parse(element.textContent);
function readCoefficients(facts) {
  if (!facts) return facts;
  const content = fromJson(facts);
  if (facts.posterior) content.put("posterior", $construct(posterior$Posterior, content.get("posterior")));
  return $construct(coefficients$Coefficients, content);
}
const readCard = (facts) => new gpus$GpuSpec(...facts);
const readOwn = (cards) => (cards.length ? cards.map(([facts, bytes, device]) => new cards$Card(bytes, readCard(facts), device)) : null);
function readModel({ name, arch, family, metadata, tensors }) {
  families$family_of[arch] = family;
  const infos = tensors.map(([tensor, ne, type]) => [tensor, new header$TensorInfo(tensor, ne, ggml_types$QUANTS.get(type))]);
  return new spec$ModelSpec(name, arch, fromJson(metadata), $dict(infos), name);
}
function shared() {
  return shared.facts ??= (({ cards, coefficients }) => ({ cards: cards.map(readCard), coefficients: readCoefficients(coefficients) }))(
    readJson(document.getElementById("what-if-shared")),
  );
}

// One model, answering for any card, for its own cards or for none (null), and knobs; what a card has computed is kept.
function ask(facts) {
  const model = readModel(facts.model), own = readOwn(facts.cards), coefficients = readCoefficients(facts.coefficients);
  const riders = (facts.riders ?? []).map(([name, bytes, note, read]) => new riders$FixedRider(name, fromJson(bytes), note, read));
  const machine = $construct(machine$Machine, fromJson(facts.machine));
  const estimators = new Map();
  const on = (card) => {
    if (!estimators.has(card)) estimators.set(card, new estimator$Estimator(model, card, null, coefficients, null, false, machine, riders));
    return estimators.get(card);
  };
  return {
    own, machine,
    predict: (card, knobs) => on(card).predict($construct(config$RunConfig, fromJson(knobs)), false),
    longest: (card, knobs) => on(card).max_context(undefined, fromJson(knobs)),
  };
}

// --- from controls to knobs

const CARDLESS = "none";
const spoken = {
  n_ctx: (n) => `${n.toLocaleString("en")} tokens`, n_expert_used: (n) => (n === 1 ? "1 expert" : `${n} experts`),
  filled: (share) => (share === 0 ? "empty" : share === 1 ? "full" : `${100 * share} % full`),
  n_ubatch: (n) => `${n} tokens`, n_gpu_layers: (n, all) => (n === all ? "all" : n === 0 ? "none" : `${n} of ${all}`),
  n_cpu_moe: (n) => (n === 0 ? "none" : n === 1 ? "1 layer" : `${n} layers`),
};

function knobsOf(form, { start, positions }) {
  const chosen = Object.fromEntries(Object.entries(positions).map(([knob, values]) => {
    const control = form.elements[knob];
    return [knob, control.type === "range" ? values[control.value] : control.value];
  }));
  const { filled, ...knobs } = chosen;
  if (!form.elements.apart.checked) knobs.type_v = knobs.type_k;
  if (form.elements.card.value === CARDLESS) Object.assign(knobs, { n_gpu_layers: -1, n_cpu_moe: 0 });
  if (knobs.n_gpu_layers === positions.n_gpu_layers.at(-1)) knobs.n_gpu_layers = -1;  // all, in llama.cpp's words
  const n_devices = form.elements.card.value === CARDLESS ? 0 : Math.max(start.n_devices ?? 1, 1);
  const asked = { ...start, ...knobs, n_devices };
  return { ...asked, n_depth: Math.floor(filled * $construct(config$RunConfig, fromJson(asked)).deepest) };  // of one sequence
}

function setUp(form, { start, positions }, { own }) {
  for (const [knob, values] of Object.entries(positions)) {
    const control = form.elements[knob];
    if (control.type !== "range") { control.value = start[knob] ?? control.value; continue; }
    control.max = values.length - 1;
    const at = values.indexOf(start[knob] ?? Number(control.dataset.start));
    control.value = at < 0 ? values.length - 1 : at;  // -1 layers are all
  }
  form.elements.apart.checked = form.elements.type_v.value !== form.elements.type_k.value;
  const { card } = form.elements, groups = new Map([["Without a card", [new Option("CPU alone", CARDLESS)]]]);
  if (own) groups.set("This machine", [new Option(called(own), "own")]);
  shared().cards.forEach((spec, i) => {
    const name = spec.name.replace(/^NVIDIA (GeForce )?/, "");
    groups.set(spec.generation, [...(groups.get(spec.generation) ?? []), new Option(`${name} · ${mib(spec.memory_bytes)}`, i)]);
  });
  for (const [label, options] of groups) {
    const group = document.createElement("optgroup");
    group.label = label;
    group.append(...options);
    card.append(group);
  }
  const same = shared().cards.findIndex((spec) => own && $eq(spec, own[0].spec));
  card.value = start.n_devices === 0 ? CARDLESS : own ? "own" : String(Math.max(same, 0));
}

function label(form, positions, isCardless) {
  for (const [knob, values] of Object.entries(positions)) {
    const control = form.elements[knob];
    if (control.type !== "range") continue;
    control.disabled = isCardless && ["n_gpu_layers", "n_cpu_moe"].includes(knob);
    const said = control.disabled ? "no card" : spoken[knob](values[control.value], values.at(-1));
    control.setAttribute("aria-valuetext", said);
    form.querySelector(`output[for="${control.id}"]`).textContent = said;
  }
  form.querySelector(".apart").hidden = !form.elements.apart.checked;
}

// --- from an answer to the page

const mib = (bytes) => `${Math.round(bytes / MIB).toLocaleString("en")} MiB`;
const tokens = (rate) => (rate >= 100 ? Math.round(rate).toLocaleString("en") : String(Number(rate.toPrecision(3))));
function element(tag, text = "", className = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}
const total = (parts) => parts.reduce((sum, [, bytes]) => sum + bytes, 0);

// The devices of an answer as rows to draw: each card by itself, and what lies in the host's memory.
function places(answer) {
  const sum = (devices) => Object.keys(PARTS).map((part) => [part, devices.reduce((n, device) => n + device[`${part}_bytes`], 0)]);
  const all = answer.memory.devices.items();
  const limits = new Map(answer.cards.map(({ device, memory_bytes }) => [device, memory_bytes]));
  const cards = all.filter(([name]) => prediction$is_card(name)), host = all.filter(([name]) => !prediction$is_card(name));
  return [
    ...cards.map(([name, device]) => ({ name: cards.length > 1 ? name : "Card", parts: sum([device]), limit: limits.get(name) ?? null })),
    { name: "Host", parts: sum(host.map(([, device]) => device)), limit: answer.host.is_shared ? null : answer.host.room_bytes },
  ];
}

function drawBar({ name, parts, limit }, scale) {
  const used = total(parts);
  const row = element("div", "", "place"), bar = element("div", "", limit === null ? "bar" : "bar limited");
  const free = limit === null ? "" : used > limit ? `, ${mib(used - limit)} too much` : `, ${mib(limit - used)} free`;
  const said = limit === null ? mib(used) : `${mib(used)} of ${mib(limit)}${free}`;
  bar.setAttribute("role", "img");
  bar.setAttribute("aria-label", `${name}: ${said}`);
  for (const [part, bytes] of parts) {
    const piece = element("span", "", part);
    piece.style.width = `${100 * bytes / scale}%`;
    piece.title = `${PARTS[part]}: ${mib(bytes)}`;
    if (bytes) bar.append(piece);
  }
  if (limit !== null) {
    const mark = element("span", "", "limit"), excess = element("span", "", "excess");
    mark.style.left = excess.style.left = `${100 * limit / scale}%`;
    excess.style.width = `${100 * Math.max(used - limit, 0) / scale}%`;
    bar.append(excess, mark);
  }
  row.append(element("p", `${name}: ${said}`), bar);
  return row;
}

function fillTable(table, rows) {
  const shown = Object.keys(PARTS).filter((part, i) => rows.some(({ parts }) => parts[i][1]));
  const head = element("tr");
  head.append(element("th", "MiB"), ...rows.map(({ name }) => element("th", name, "number")));
  const line = (name, values, className) => {
    const row = element("tr"), first = element("th", name, className);
    first.scope = "row";
    row.append(first, ...values.map((bytes) => element("td", bytes === null ? "—" : (bytes / MIB).toLocaleString("en", { maximumFractionDigits: 2, minimumFractionDigits: 2 }), "number")));
    return row;
  };
  const value = ({ parts }, part) => parts.find(([name]) => name === part)[1];
  table.tHead.replaceChildren(head);
  table.tBodies[0].replaceChildren(
    ...shown.map((part) => line(PARTS[part], rows.map((row) => value(row, part)), `part ${part}`)),
    line("total", rows.map(({ parts }) => total(parts))),
  );
  const free = rows.map(({ parts, limit }) => (limit === null ? null : limit - total(parts)));
  if (rows.length > 1) table.tBodies[0].append(line("free", free));
}

function drawSpeed(tile, rate, interval) {
  tile.querySelector(".rate").textContent = rate ? tokens(rate) : "—";
  tile.querySelector(".interval").textContent = interval ? `tokens/s, 90 %: ${tokens(interval[0])} to ${tokens(interval[1])}` : "tokens/s";
  const at = (x) => Math.min(Math.max(Math.log(x / RATE_SPAN[0]) / Math.log(RATE_SPAN[1] / RATE_SPAN[0]), 0), 1);
  const line = tile.querySelector(".reach"), dot = tile.querySelector(".dot");
  line.hidden = !interval;
  dot.hidden = !rate;
  if (interval) Object.assign(line.style, { left: `${100 * at(interval[0])}%`, right: `${100 * (1 - at(interval[1]))}%` });
  if (rate) dot.style.left = `${100 * at(rate)}%`;
}

const together = ({ n_slots, n_depth, decode_tokens_per_s: rate, decode_interval_90: interval }) =>
  `That is one slot alone. All ${n_slots} slots together, each ${n_depth.toLocaleString("en")} tokens deep, decode ${tokens(rate)} tokens/s${interval ? ` (90 %: ${tokens(interval[0])} to ${tokens(interval[1])})` : ""}.`;

const named = (card) => (Array.isArray(card) ? card.map(({ spec }) => spec.name) : card ? [card.name] : []);
const called = (card) => named(card).join(" + ");

// What the host holds beside the bars, and what its caches grow to: nothing that a bar of a start could show.
function grown({ config, host: { memory, state } }) {
  const caches = [memory.checkpoints_bytes && `checkpoints up to ${mib(memory.checkpoints_bytes)}`, memory.prompt_cache_bytes && `saved prompts up to ${mib(memory.prompt_cache_bytes)}`].filter(Boolean);
  const said = { may_fill: " That is more than the RAM holds.", reads_disk: " The mapped weights do not all stay in RAM.", short: " The RAM is too small." };
  return `${config.n_devices ? "The program and CUDA hold" : "The program holds"} ${mib(memory.process_bytes)} of the host's memory besides${caches.length ? `; in use it grows by ${caches.join(" and ")}` : ""}.${said[state] ?? ""}`;
}

function verdict(answer, rows, card) {
  const { fits, fit_probability: likely, speed } = answer;
  const limited = rows.slice(0, -1).filter(({ limit }) => limit !== null);  // cards: the host's row is the last
  const used = Math.max(...limited.map(({ parts }) => total(parts)), 0);
  const chance = likely === null ? "" : likely > 0.995 ? " (more than 99 % likely)" : likely < 0.005 ? " (less than 1 % likely)" : ` (${Math.round(100 * likely)} % likely to fit)`;
  const each = limited.map(({ name, limit, parts }) => `${mib(total(parts))} of ${mib(limit)} on ${name}`);
  const filled = each.length > 1 ? each.join(", ") : `${mib(used)} of ${mib(rows[0].limit)} on ${called(card)}`;
  const word = fits === null ? `Takes ${mib(total(rows.at(-1).parts))} of the host's memory` : `${fits ? "Fits" : "Does not fit"}${chance}: ${filled}`;
  return { word, state: fits === null ? "" : fits ? "fits" : "fails", speeds: speed ? `Prefill ${tokens(speed.prefill_tokens_per_s)}, decode ${tokens(speed.decode_tokens_per_s)} tokens/s` : "" };
}

// A command that asks the package the same; quoted for a shell, for names are foreign text.
function command({ reference, program, facts: { machine } }, knobs, card) {
  const quote = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
  const flags = Object.entries({ ...knobs, n_gpu_layers: knobs.n_devices ? knobs.n_gpu_layers : undefined });
  const asked = flags.filter(([knob, value]) => value !== undefined && value !== null && value !== program.defaults[knob] && !Array.isArray(value));
  const [on, off] = [(words) => (words.length > 1 ? words[0] : null), (words) => words.at(-1)];  // what turns something off alone has one word
  const words = asked.map(([knob, value]) =>
    typeof value === "boolean" ? (value ? on : off)(program.switches[knob]) : `--${knob.replaceAll("_", "-")} ${quote(String(value))}`);
  const around = [["ram", machine.ram_bytes], ["reserve", machine.reserve_bytes]].filter(([, bytes]) => bytes).map(([name, bytes]) => `--${name} ${bytes / MIB}MiB`);
  return ["oomph estimate", quote(reference), ...(program.name === USUAL_PROGRAM ? [] : ["--as", program.name]), ...named(card).map((name) => `--gpu ${quote(name)}`), ...around, ...words].filter(Boolean).join(" ");
}
const USUAL_PROGRAM = "llama-server";

function show(root, data, asked) {
  const form = root.querySelector("form"), card = cardOf(form, asked), knobs = knobsOf(form, data);
  label(form, data.positions, card === null);
  const answer = asked.predict(card, knobs);
  const rows = places(answer);
  const said = verdict(answer, rows, card), scale = Math.max(...rows.map(({ parts, limit }) => Math.max(limit ?? 0, total(parts))));
  root.querySelector(".verdict").textContent = said.word;
  root.querySelector(".verdict").dataset.state = said.state;
  root.querySelector(".bars").replaceChildren(...rows.map((row) => drawBar(row, scale)));
  fillTable(root.querySelector(".parts"), rows);
  root.querySelector(".brief").textContent = said.speeds;
  const { speed } = answer, [prefill, decode] = root.querySelectorAll(".speed");
  drawSpeed(prefill, speed?.prefill_tokens_per_s, speed?.prefill_interval_90);
  drawSpeed(decode, speed?.decode_tokens_per_s, speed?.decode_interval_90);
  root.querySelector(".bound").textContent = speed ? `Bound by ${speed.bound_by.replace("prefill: ", "").replace("; decode: ", " in prefill, by ")} in decode.` : `No speed: ${answer.speed_reason}.`;
  root.querySelector(".slots").textContent = speed?.slots ? together(speed.slots) : "";
  const left = asked.machine.reserve_bytes && card !== null ? [`${mib(asked.machine.reserve_bytes)} of each card are left to others.`] : [];
  root.querySelector(".notes").replaceChildren(...new Set([grown(answer), ...left, ...answer.warnings]).values().map((text) => element("li", text)));
  root.querySelector(".command code").textContent = command(data, knobs, card);
  root.querySelector(".find output").textContent = "";
  root.querySelector(".find").hidden = card === null;
  return `${said.word}. ${said.speeds}`;
}

function cardOf(form, asked) {
  const chosen = form.elements.card.value;
  return chosen === CARDLESS ? null : chosen === "own" ? asked.own : shared().cards[chosen];
}

// --- life of a page

function start(root) {
  const data = readJson(root.querySelector("script")), asked = ask(data.facts), form = root.querySelector("form");
  const live = root.querySelector(".live");
  let frame = null, rest = null;
  const refresh = () => {
    frame = null;
    const said = attempt(() => show(root, data, asked));
    clearTimeout(rest);
    rest = setTimeout(() => { live.textContent = said; }, 700);  // a screen reader hears where a slider came to rest
  };
  const attempt = (act) => {
    try {
      return act();
    } catch (error) {
      if (!(error instanceof $Exception)) throw error;
      root.querySelector(".verdict").textContent = error.message;
      root.querySelector(".verdict").dataset.state = "fails";
      return error.message;
    }
  };
  setUp(form, data, asked);
  form.addEventListener("input", () => { frame ??= requestAnimationFrame(refresh); });
  form.addEventListener("submit", (event) => event.preventDefault());
  root.querySelector(".find button").addEventListener("click", () => {
    const output = root.querySelector(".find output");
    output.textContent = "…";
    setTimeout(() => {
      const n = attempt(() => asked.longest(cardOf(form, asked), knobsOf(form, data)));
      output.textContent = n ? `${n.toLocaleString("en")} tokens fit with the other settings as they are` : "No context fits with these settings";
    });
  });
  for (const part of [form, ...root.querySelectorAll(".answer")]) part.hidden = false;
  root.querySelector(".without-script").hidden = true;
  refresh();
}
document.querySelectorAll(".what-if").forEach(start);
