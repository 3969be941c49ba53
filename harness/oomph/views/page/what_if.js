// What if: the controls of a page ask the package's own estimate layer, translated to JavaScript, and show its answer.
// Everything that changes with a control is written here as text, never as HTML: a model's name is foreign text.
const MIB = 2 ** 20;
const PARTS = { weights: "weights", kv_cache: "KV cache", recurrent: "recurrent state", compute: "compute buffers", output: "output buffer", overhead: "overhead", host: "the host's, in the same memory" };  // as `Place` has them
const COUNTS = new Intl.NumberFormat("en"), HUNDREDTHS = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const count = (n) => COUNTS.format(n);
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
function readModel({ name, arch, family, metadata, tensors }, types) {
  families$family_of[arch] = family;
  const kinds = types?.split(" ").flatMap((run) => { const [kind, n] = run.split("*"); return Array(Number(n)).fill(kind); });
  const infos = tensors.map(([tensor, ne, type], i) => [tensor, new header$TensorInfo(tensor, ne, ggml_types$QUANTS.get(kinds?.[i] ?? type))]);
  return new spec$ModelSpec(name, arch, fromJson(metadata), $dict(infos), name);
}
function shared() {
  return shared.facts ??= (({ cards, coefficients }) => ({ cards: cards.map(readCard), coefficients: readCoefficients(coefficients) }))(
    typeof WHAT_IF_SHARED === "undefined" ? readJson(document.getElementById("what-if-shared")) : WHAT_IF_SHARED,
  );
}

const configOf = (knobs) => $construct(config$RunConfig, fromJson(knobs));

// One model, answering for any cards, for its own or for none (null), in any quantization, on any machine, with what rides
// along or without: what one has computed is kept, and what quantizations and cards share of it is shared.
function ask(facts) {
  const own = readOwn(facts.cards), coefficients = readCoefficients(facts.coefficients);
  const riding = (facts.riders ?? []).map(([name, bytes, note, read]) => new riders$FixedRider(name, fromJson(bytes), note, read));
  const machine = $construct(machine$Machine, fromJson(facts.machine));
  const models = new Map(), firsts = new Map(), placed = new Map(), estimators = new Map();
  const kept = (map, key, make) => { if (!map.has(key)) map.set(key, make()); return map.get(key); };
  const onCards = (card, around) => {
    if (firsts.has(around) && card !== null) return firsts.get(around).changed(null, card);
    const own = $construct(machine$Machine, fromJson({ ...facts.machine, ...JSON.parse(around) }));
    const made = new estimator$Estimator(kept(models, null, () => readModel(facts.model)), card, null, coefficients, null, false, own, riding);
    if (card !== null) firsts.set(around, made);
    return made;
  };
  const on = (card, { quantization = null, around = {}, rides = true } = {}) => {
    const place = JSON.stringify(around);
    const cards = Array.isArray(card) ? card.map(({ spec, memory_bytes }) => `${spec.name}:${memory_bytes}`).join("+") : card?.name ?? null;
    return kept(estimators, JSON.stringify([place, cards, quantization, rides]), () => {
      const own = kept(placed, JSON.stringify([place, cards]), () => onCards(card, place));
      if (quantization === null && rides) return own;
      return own.changed(quantization === null ? null : kept(models, quantization, () => readModel(facts.model, facts.types[quantization])), null, null, null, rides ? riding : []);
    });
  };
  return {
    own, machine, hasRiders: riding.length > 0,
    predict: (card, knobs, beside) => on(card, beside).predict(configOf(knobs), false),
    longest: (card, knobs, beside) => on(card, beside).max_context(undefined, fromJson(knobs)),
  };
}

// --- from controls to knobs

const CARDLESS = "none", MOST_CARDS = 8, GIB = 2 ** 30, MOST_BYTES = 2 ** 50;
const spoken = {
  n_ctx: (n) => `${count(n)} tokens`, n_expert_used: (n) => (n === 1 ? "1 expert" : `${n} experts`),
  filled: (percent) => (percent === 0 ? "empty" : percent === 100 ? "full" : `${percent} % full`),
  n_ubatch: (n) => `${n} tokens`, n_gpu_layers: (n, all) => (n === all ? "all" : n === 0 ? "none" : `${n} of ${all}`),
  n_cpu_moe: (n) => (n === 0 ? "none" : n === 1 ? "1 layer" : `${n} layers`),
};
const UNITS = { ram: GIB, reserve: MIB };  // what these two are typed in
const CHOICES = ["type_k", "type_v", "flash_attn"];  // knobs that are chosen of a list
const SAME_WITHOUT_CARD = ["n_gpu_layers", "n_cpu_moe"];

const field = (form, name) => form.elements[name];
const sliders = (form) => [...form.querySelectorAll('input[type="range"]')].map((slider) => [slider, field(form, slider.dataset.knob)]);
const nearest = (values, x) => values.reduce((best, value, i) => (Math.abs(value - x) < Math.abs(values[best] - x) ? i : best), 0);
// What is typed, as a whole number within its limits; what it was before where it is none.
function typed(input) {
  const x = input.value === "" ? NaN : Math.trunc(Number(input.value));  // 1e5 is a number, too
  return Number.isNaN(x) ? Number(input.defaultValue) : Math.min(Math.max(x, Number(input.min)), Number(input.max));
}
const optional = (form, name) => (Number(field(form, name).value) > 0 ? Math.round(Math.min(Number(field(form, name).value) * UNITS[name], MOST_BYTES)) : null) || null;

const programOf = (form, { programs, program }) => programs.find(({ name }) => name === field(form, "program")?.value) ?? program;
// What was asked in the beginning and no control shows, over what the program does by itself.
function ownKnobs({ start, program, positions }, chosen) {
  const said = Object.entries(start).filter(([knob, value]) => JSON.stringify(value) !== JSON.stringify(program.defaults[knob]));
  return chosen.name === program.name ? start : { ...chosen.defaults, ...Object.fromEntries(said.filter(([knob]) => !(knob in positions))) };
}

function knobsOf(form, data) {
  const { start, positions, limits } = data, program = programOf(form, data), own = ownKnobs(data, program);
  const knobs = { ...own };
  for (const [knob] of Object.entries(positions)) if (knob !== "filled") knobs[knob] = CHOICES.includes(knob) ? field(form, knob).value : typed(field(form, knob));
  if (!field(form, "apart").checked) knobs.type_v = knobs.type_k;
  const cards = cardNames(form);
  if (cards[0] === CARDLESS) Object.assign(knobs, { n_gpu_layers: -1, n_cpu_moe: 0 });
  if (knobs.n_gpu_layers === limits.n_gpu_layers[1]) knobs.n_gpu_layers = -1;  // all, in llama.cpp's words
  knobs.n_devices = cards[0] === CARDLESS ? 0 : cards[0] === "own" ? Math.max(start.n_devices ?? 1, 1) : cards.length;
  const slots = typed(field(form, "n_seq_max")), before = own.n_seq_max ?? 1;
  if (slots !== before) Object.assign(knobs, { n_seq_max: slots, n_parallel: slots, kv_unified: program.counted_unified });
  if (field(form, "swa_full")) knobs.swa_full = field(form, "swa_full").checked;
  const drafts = field(form, "mtp")?.checked, drafted = own.spec_type ?? null;
  if (field(form, "mtp") && drafts !== (drafted === "draft-mtp")) knobs.spec_type = drafts ? "draft-mtp" : null;
  // llama-server keeps logits for what its slots and drafts verify, which changes with them
  if (program.keeps_slots && (slots !== before || knobs.spec_type !== own.spec_type)) knobs.n_outputs_max = configOf(knobs).n_verified;
  return { ...knobs, n_depth: Math.floor(typed(field(form, "filled")) / 100 * configOf(knobs).deepest) };  // of one sequence
}

// What is beside the knobs: the quantization, the machine, and whether what rides along does.
function besideOf(form, { facts: { machine, types } }) {
  const chosen = field(form, "quantization")?.value, around = {};
  for (const [name, key] of [["ram", "ram_bytes"], ["reserve", "reserve_bytes"]]) {
    const bytes = optional(form, name) ?? (name === "reserve" ? 0 : null);
    if (bytes !== machine[key]) around[key] = bytes;
  }
  return { quantization: chosen && chosen !== Object.keys(types)[0] ? chosen : null, around, rides: field(form, "rides")?.checked ?? true };
}

const cardNames = (form) => [...form.querySelectorAll("select.card")].map(({ value }) => value).filter((value, i) => i === 0 || value !== CARDLESS);
function cardOf(form, asked) {
  const [first, ...others] = cardNames(form);
  if (first === CARDLESS) return null;
  if (first === "own") return asked.own;
  if (!others.length) return shared().cards[first];
  return [first, ...others].map((i, n) => new cards$Card(shared().cards[i].memory_bytes, shared().cards[i], `CUDA${n}`));
}

// --- the controls themselves

function fillCards(select, { own }, isFirst) {
  const groups = new Map([[isFirst ? "Without a card" : "", [new Option(isFirst ? "CPU alone" : "no further card", CARDLESS)]]]);
  if (own && isFirst) groups.set("As asked", [new Option(called(own), "own")]);
  shared().cards.forEach((spec, i) => {
    const name = spec.name.replace(/^NVIDIA (GeForce )?/, "");
    groups.set(spec.generation, [...(groups.get(spec.generation) ?? []), new Option(`${name} · ${mib(spec.memory_bytes)}`, i)]);
  });
  for (const [label, options] of groups) {
    const group = document.createElement("optgroup");
    group.label = label;
    group.append(...options);
    select.append(label ? group : options[0]);
  }
}

function addCard(form, asked, value = CARDLESS) {
  const number = form.querySelectorAll("select.card").length + 1, select = element("select", "", "card");
  const label = element("label", `Card ${number}`);
  select.id = label.htmlFor = `${form.querySelector("select.card").id}-${number}`;
  select.name = `card${number}`;
  fillCards(select, asked, false);
  select.value = value;
  form.querySelector(".cards").append(label, select);
}

function put(form, { positions }, knob, value) {
  const input = field(form, knob), slider = form.querySelector(`input[data-knob="${knob}"]`);
  input.value = String(value);
  if (slider) slider.value = nearest(positions[knob], value);
}

// The controls as a program has them by itself, over what was asked in the beginning.
function setKnobs(form, data) {
  const { positions, limits } = data, own = { ...ownKnobs(data, programOf(form, data)) };
  for (const [knob, values] of Object.entries(positions)) {
    if (CHOICES.includes(knob)) { field(form, knob).value = own[knob] ?? field(form, knob).value; continue; }
    const input = field(form, knob), slider = form.querySelector(`input[data-knob="${knob}"]`);
    [input.min, input.max] = limits[knob];
    slider.max = values.length - 1;
    const value = knob === "filled" ? 0 : own[knob] ?? Number(input.dataset.start);
    put(form, data, knob, knob === "n_gpu_layers" && value < 0 ? limits.n_gpu_layers[1] : value);
    input.defaultValue = input.value;
  }
  const slots = field(form, "n_seq_max");
  [slots.min, slots.max] = limits.n_seq_max;
  slots.value = slots.defaultValue = own.n_seq_max ?? 1;
  field(form, "apart").checked = field(form, "type_v").value !== field(form, "type_k").value;
  if (field(form, "swa_full")) field(form, "swa_full").checked = own.swa_full ?? true;
  if (field(form, "mtp")) field(form, "mtp").checked = own.spec_type === "draft-mtp";
}

function setUp(form, data, asked) {
  const { start, facts } = data, card = field(form, "card");
  setKnobs(form, data);
  fillCards(card, asked, true);
  const same = shared().cards.findIndex((spec) => asked.own && $eq(spec, asked.own[0].spec));
  card.value = start.n_devices === 0 ? CARDLESS : asked.own ? "own" : String(Math.max(same, 0));
  field(form, "ram").value = facts.machine.ram_bytes ? facts.machine.ram_bytes / GIB : "";
  field(form, "reserve").value = facts.machine.reserve_bytes ? facts.machine.reserve_bytes / MIB : "";
  for (const input of form.elements) input.dataset.own = input.type === "checkbox" ? input.checked : input.value;
  readAddress(form, data, asked);
}

function label(form, isCardless) {
  for (const [slider, input] of sliders(form)) {
    slider.disabled = input.disabled = isCardless && SAME_WITHOUT_CARD.includes(input.name);
    slider.setAttribute("aria-valuetext", slider.disabled ? "no card" : spoken[input.name](typed(input), Number(input.max)));
  }
  const cards = form.querySelectorAll("select.card"), isPlain = ![CARDLESS, "own"].includes(cards[0].value);
  cards.forEach((select, i) => { select.hidden = i > 0 && !isPlain; form.querySelector(`label[for="${select.id}"]`).hidden = select.hidden; });
  form.querySelector(".more").hidden = !isPlain || cards.length >= MOST_CARDS;
  form.querySelector(".apart").hidden = !field(form, "apart").checked;
}

// --- the address: what stands elsewhere than in the beginning, so that a link is a question

// Writes it, and returns what is changed: nothing where all stands as in the beginning.
function writeAddress(form) {
  const changed = new URLSearchParams();
  for (const input of form.elements) {
    const value = input.type === "checkbox" ? input.checked : input.value;
    if (!input.name || input.type === "range" || String(value) === (input.dataset.own ?? CARDLESS)) continue;
    changed.append(input.classList.contains("card") ? "card" : input.name, input.classList.contains("card") ? shared().cards[value]?.name ?? value : value);
  }
  const hash = changed.toString();
  if (hash !== location.hash.slice(1)) history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
  return hash;
}

function readAddress(form, data, asked) {
  const said = new URLSearchParams(location.hash.slice(1));
  const known = said.getAll("card").map((name) => (name === CARDLESS || (name === "own" && asked.own) ? name : String(shared().cards.findIndex((spec) => spec.name === name))));
  known.filter((value) => value !== "-1").slice(0, MOST_CARDS).forEach((value, i) => {
    if (i) addCard(form, asked, value);
    else field(form, "card").value = value;
  });
  if (said.has("program") && field(form, "program")) {
    field(form, "program").value = said.get("program");
    if (!field(form, "program").value) field(form, "program").value = data.program.name;
    setKnobs(form, data);
  }
  for (const [name, value] of said) {
    const input = form.elements[name];
    if (input?.name !== name || ["card", "program"].includes(name)) continue;  // form.elements has indices and ids, too
    if (input.type === "checkbox") input.checked = value === "true";
    else if (input.type === "number") { if (Number.isFinite(Number(value))) put(form, data, name, value === "" ? "" : Number(value)); }
    else if ([...(input.options ?? [])].some((option) => option.value === value)) input.value = value;
  }
}

// --- from an answer to the page

const mib = (bytes) => `${count(Math.round(bytes / MIB))} MiB`;
const tokens = (rate) => (rate >= 100 ? count(Math.round(rate)) : String(Number(rate.toPrecision(3))));
function element(tag, text = "", className = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}
const total = (parts) => parts.reduce((sum, [, bytes]) => sum + bytes, 0);

// The bars of an answer: what each holds by component, and the most that it may.
const rowsOf = ({ places }) => places.map(({ name, parts, limit_bytes: limit }) => ({ name, limit, parts: Object.keys(PARTS).map((part, i) => [part, parts[i]]) }));

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
    row.append(first, ...values.map((bytes) => element("td", bytes === null ? "—" : HUNDREDTHS.format(bytes / MIB), "number")));
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
  `That is one slot alone. All ${n_slots} slots together, each ${count(n_depth)} tokens deep, decode ${tokens(rate)} tokens/s${interval ? ` (90 %: ${tokens(interval[0])} to ${tokens(interval[1])})` : ""}.`;

const named = (card) => (Array.isArray(card) ? card.map(({ spec }) => spec.name) : card ? [card.name] : []);
const called = (card) => named(card).join(" + ");

// What the host holds beside the bars, and what its caches grow to: nothing that a bar of a start could show.
function grown({ on_cards, host_state, process_bytes, checkpoints_bytes, prompt_cache_bytes }) {
  const saved = prompt_cache_bytes === null ? "saved prompts without a limit" : prompt_cache_bytes && `saved prompts up to ${mib(prompt_cache_bytes)}`;
  const caches = [checkpoints_bytes && `checkpoints up to ${mib(checkpoints_bytes)}`, saved].filter(Boolean);
  const said = { may_fill: " That is more than the RAM holds.", reads_disk: " The mapped weights do not all stay in RAM.", short: " The RAM is too small." };
  return `${on_cards ? "The program and CUDA hold" : "The program holds"} ${mib(process_bytes)} of the host's memory besides${caches.length ? `; in use it grows by ${caches.join(" and ")}` : ""}.${said[host_state] ?? ""}`;
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
function command({ reference, facts }, program, knobs, card, { quantization, around }) {
  const quote = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
  const flags = Object.entries({ ...knobs, n_gpu_layers: knobs.n_devices ? knobs.n_gpu_layers : undefined });
  const asked = flags.filter(([knob, value]) => value !== undefined && value !== null && value !== program.defaults[knob] && !Array.isArray(value));
  const [on, off] = [(words) => (words.length > 1 ? words[0] : null), (words) => words.at(-1)];  // what turns something off alone has one word
  const words = asked.map(([knob, value]) =>
    typeof value === "boolean" ? (value ? on : off)(program.switches[knob]) : `--${knob.replaceAll("_", "-")} ${quote(String(value))}`);
  const machine = { ...facts.machine, ...around };
  const beside = [["ram", machine.ram_bytes], ["reserve", machine.reserve_bytes]].filter(([, bytes]) => bytes).map(([name, bytes]) => `--${name} ${bytes / MIB}MiB`);
  const model = quantization === null ? reference : `${reference.split(":")[0]}:${quantization}`;
  return ["oomph estimate", quote(model), ...(program.name === USUAL_PROGRAM ? [] : ["--as", program.name]), ...named(card).map((name) => `--gpu ${quote(name)}`), ...beside, ...words].filter(Boolean).join(" ");
}
const USUAL_PROGRAM = "llama-server";

function show(root, data, asked) {
  const form = root.querySelector("form"), card = cardOf(form, asked);
  label(form, card === null);
  const changed = writeAddress(form), knobs = knobsOf(form, data), beside = besideOf(form, data);
  const isFirst = data.first && !changed && $eq(configOf(knobs), configOf(data.first.knobs));
  const answer = isFirst ? data.first.shown : shown$shown_of(asked.predict(card, knobs, beside));
  const rows = rowsOf(answer);
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
  const reserve = optional(form, "reserve");
  const left = reserve && card !== null ? [`${mib(reserve)} of each card are left to others.`] : [];
  root.querySelector(".notes").replaceChildren(...new Set([grown(answer), ...left, ...answer.notes]).values().map((text) => element("li", text)));
  root.querySelector(".asked").textContent = programOf(form, data).sentence;
  root.querySelector(".command code").textContent = command(data, programOf(form, data), knobs, card, beside);
  root.querySelector(".find output").textContent = "";
  root.querySelector(".find").hidden = card === null;
  return `${said.word}. ${said.speeds}`;
}

// --- life of a page

// What `act` gives, or what is made of the package's own refusal.
function attempt(act, refused) {
  try {
    return act();
  } catch (error) {
    if (!(error instanceof $Exception)) throw error;
    return refused(error);
  }
}

// What can wait is done one piece at a time while the page rests, and not while controls move.
const REST_MS = 500;
const waiting = [];
let movedAt = -REST_MS;
function whenIdle(act) {
  if (waiting.push(act) > 1) return;
  const later = window.requestIdleCallback ?? setTimeout;
  const next = () => {
    if (performance.now() - movedAt < REST_MS) return setTimeout(next, REST_MS);
    try {
      waiting.shift()();
    } finally {
      if (waiting.length) later(next);
    }
  };
  later(next);
}

// The page opens with an answer that came with it. What its sliders ask next rests on graphs at both ends of the context,
// which are gone through before one moves.
function prepare(form, data, asked) {
  const card = cardOf(form, asked), knobs = knobsOf(form, data), beside = besideOf(form, data), { n_ctx, n_expert_used = [] } = data.positions;
  const ends = [n_ctx[0], n_ctx.at(-1)], experts = new Set([knobs.n_expert_used, ...n_expert_used]);
  for (const used of experts) for (const end of ends) {
    // what is refused is said where it is asked
    whenIdle(() => attempt(() => asked.predict(card, { ...knobs, n_ctx: end, n_expert_used: used }, beside), () => null));
  }
}
function whenSeen(root, act) {
  const observer = new IntersectionObserver((seen) => {
    if (!seen.some(({ isIntersecting }) => isIntersecting)) return;
    observer.disconnect();
    act();
  });
  observer.observe(root);
}

function start(root) {
  const data = readJson(root.querySelector("script")), asked = ask(data.facts), form = root.querySelector("form");
  const live = root.querySelector(".live");
  let frame = null, rest = null;
  const refresh = () => {
    frame = null;
    const said = attempt(() => show(root, data, asked), tell);
    clearTimeout(rest);
    rest = setTimeout(() => { live.textContent = said; }, 700);  // a screen reader hears where a slider came to rest
  };
  const tell = ({ message }) => {
    root.querySelector(".verdict").textContent = message;
    root.querySelector(".verdict").dataset.state = "fails";
    return message;
  };
  setUp(form, data, asked);
  form.addEventListener("input", ({ target }) => {
    movedAt = performance.now();
    if (target.type === "range") put(form, data, target.dataset.knob, data.positions[target.dataset.knob][target.value]);
    else if (target.name in data.positions && target.type === "number") form.querySelector(`input[data-knob="${target.name}"]`).value = nearest(data.positions[target.name], typed(target));
    if (target.name === "program") setKnobs(form, data);
    frame ??= requestAnimationFrame(refresh);
  });
  form.querySelector(".more").addEventListener("click", () => {
    addCard(form, asked, field(form, "card").value);
    frame ??= requestAnimationFrame(refresh);
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  root.querySelector(".find button").addEventListener("click", () => {
    const output = root.querySelector(".find output");
    output.textContent = "…";
    setTimeout(() => {
      const n = attempt(() => asked.longest(cardOf(form, asked), knobsOf(form, data), besideOf(form, data)), tell);
      if (Number.isInteger(n) && n > 0) {
        put(form, data, "n_ctx", n);
        refresh();
      }
      output.textContent = n ? `${count(n)} tokens fit with the other settings as they are` : "No context fits with these settings";
    });
  });
  for (const part of [form, ...root.querySelectorAll(".answer")]) part.hidden = false;
  root.querySelector(".without-script").hidden = true;
  refresh();
  whenSeen(form, () => prepare(form, data, asked));
}
document.querySelectorAll(".what-if").forEach(start);
