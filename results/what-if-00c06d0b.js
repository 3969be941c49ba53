// What Python means where JavaScript means something else: equality, truth, floor division, dicts by value.
// The estimate layer is translated from Python (oomph.transpiler) into calls of these. Lists and tuples are
// arrays; None is null; a frozen dataclass is equal to another with equal fields, and may be the key of a dict.
class $Exception extends Error {}
class $KeyError extends $Exception {}
class $ValueError extends $Exception {}

class $Named {  // named arguments of a builtin, as its last argument
  constructor(values) { this.values = values; }
  static of(dict) { return new $Named(Object.fromEntries(dict.items())); }
}
function $unnamed(args) {
  return args.at(-1) instanceof $Named ? [args.slice(0, -1), args.at(-1).values] : [args, {}];
}

// --- values: identity, equality, order, truth

let $lastNumber = 0;
function $keyText(x) {
  if (typeof x === "string") return `${x.length}"${x}`;
  if (typeof x !== "object" && typeof x !== "function" || x === null) return String(x ?? null);
  const key = $key(x);
  return typeof key === "string" ? key : `#${x.$number ??= ++$lastNumber}`;
}
function $key(x) {
  if (Array.isArray(x)) return `\0[${x.map($keyText).join(",")}]`;
  if (x === undefined) return null;
  if (typeof x !== "object" || x === null || !x.constructor.$frozen) return x;
  return x.$key ??= `\0${x.constructor.name}(${x.constructor.$fields.map((field) => $keyText(x[field])).join(",")})`;
}
function $eq(a, b) {
  if (a === b || a == null && b == null) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Array.isArray(a)) return Array.isArray(b) && a.length === b.length && a.every((item, i) => $eq(item, b[i]));
  if (a instanceof $Set) return b instanceof $Set && a.size === b.size && [...a].every((item) => b.has(item));
  if (a instanceof $Dict) {
    return b instanceof $Dict && a.size === b.size && a.items().every(([k, v]) => b.has(k) && $eq(v, b.get(k)));
  }
  return a.constructor === b.constructor && Boolean(a.constructor.$fields?.every((field) => $eq(a[field], b[field])));
}
function $compare(a, b) {
  if (!Array.isArray(a)) return a < b ? -1 : a > b ? 1 : 0;
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    const order = $compare(a[i], b[i]);
    if (order) return order;
  }
  return a.length - b.length;
}
const $lt = (a, b) => (typeof a === "number" ? a < b : $compare(a, b) < 0);
const $le = (a, b) => (typeof a === "number" ? a <= b : $compare(a, b) <= 0);
const $gt = (a, b) => (typeof a === "number" ? a > b : $compare(a, b) > 0);
const $ge = (a, b) => (typeof a === "number" ? a >= b : $compare(a, b) >= 0);
function $truth(x) {
  if (typeof x !== "object" || x === null) return Boolean(x);
  return Array.isArray(x) ? x.length > 0 : x instanceof $Dict || x instanceof $Set ? x.size > 0 : true;
}
function $and(value, ...rest) {
  for (const next of rest) { if (!$truth(value)) return value; value = next(); }
  return value;
}
function $or(value, ...rest) {
  for (const next of rest) { if ($truth(value)) return value; value = next(); }
  return value;
}

// --- operators

function $add(a, b) {
  if (typeof a === "number" || typeof a === "string") return a + b;
  return Array.isArray(a) ? [...a, ...b] : Number(a) + b;
}
const $sub = (a, b) => (a instanceof $Set ? $set([...a].filter((item) => !b.has(item))) : a - b);
const $mod = (a, b) => a - b * Math.floor(a / b);
const $floordiv = (a, b) => Math.floor(a / b);
const $repeat = (a, b) => (Array.isArray(a) ? Array.from({ length: b }, () => a).flat() : $repeat(b, a));
const $union = (a, b) => $updated(a instanceof $Dict ? $dict(a) : a instanceof $Set ? $set(a) : a, b);
const $both = (a, b) => (a instanceof $Set ? $set([...a].filter((item) => b.has(item))) : a & b);
function $extended(a, b) {  // +=
  if (!Array.isArray(a)) return $add(a, b);
  a.push(...b);
  return a;
}
function $updated(a, b) {  // |=
  if (a instanceof $Set) for (const item of b) a.add(item);
  else if (a instanceof $Dict) for (const [key, value] of b.items()) a.put(key, value);
  else return a | b;
  return a;
}
function $in(item, x) {
  if (typeof x === "string") return x.includes(item);
  if (x instanceof $Dict || x instanceof $Set) return x.has(item);
  for (const other of x) if ($eq(other, item)) return true;
  return false;
}
function $get(x, at) {
  if (Array.isArray(x) || typeof x === "string") {
    const item = x[at < 0 ? x.length + at : at];
    if (item === undefined) throw new $KeyError(`no item ${at} of ${x.length}`);
    return item;
  }
  return x.__getitem__(at);
}
function $put(x, at, value) {
  if (Array.isArray(x)) x[at < 0 ? x.length + at : at] = value;
  else x.put(at, value);
}
function $delete(x, at) {
  if (Array.isArray(x)) x.splice(at, 1);
  else x.drop(at);
}
function $slice(x, start, stop, step) {
  if (step === null || step === 1) return x.slice(start ?? 0, stop ?? undefined);
  if (step === -1 && start === null && stop === null) return [...x].reverse();
  throw new $ValueError("slices go by 1, or all the way back");
}

// --- dicts and sets, by value

class $Dict {
  constructor(pairs = []) {
    this.map = new Map();
    this.originals = null;  // keys by what they are equal by, where that is not the key itself
    for (const [key, value] of pairs instanceof $Dict ? pairs.items() : pairs) this.put(key, value);
  }
  get size() { return this.map.size; }
  has(key) { return this.map.has($key(key)); }
  put(key, value) {
    const own = $key(key);
    this.map.set(own, value);
    if (own !== key) (this.originals ??= new Map()).set(own, key);
  }
  drop(key) { this.map.delete($key(key)); }
  get(key, missing = null) {
    const value = this.map.get($key(key));
    return value === undefined ? missing : value;
  }
  missing(key) { throw new $KeyError(String(key)); }
  __getitem__(key) {
    const value = this.map.get($key(key));
    return value === undefined ? this.missing(key) : value;
  }
  keys() { return this.originals ? Array.from(this.map.keys(), (own) => this.originals.get(own) ?? own) : [...this.map.keys()]; }
  values() { return [...this.map.values()]; }
  items() { return this.originals ? Array.from(this.map, ([own, value]) => [this.originals.get(own) ?? own, value]) : [...this.map]; }
  setdefault(key, value = null) { if (!this.has(key)) this.put(key, value); return this.get(key); }
  update(other) { $updated(this, $dict(other)); }
  [Symbol.iterator]() { return this.keys()[Symbol.iterator](); }
}
class $Counter extends $Dict { missing() { return 0; } }
class $Default extends $Dict {
  constructor(factory) { super(); this.factory = factory; }
  missing(key) { const value = this.factory(); this.put(key, value); return value; }
}
class $Set {
  constructor(items) {
    this.map = new Map();
    for (const item of items) this.add(item);
  }
  get size() { return this.map.size; }
  has(item) { return this.map.has($key(item)); }
  add(item) { this.map.set($key(item), item); }
  issuperset(items) { return [...items].every((item) => this.has(item)); }
  [Symbol.iterator]() { return this.map.values(); }
}

// --- builtins

const $dict = (items = []) => new $Dict(items);
$dict.fromkeys = (keys, value = null) => new $Dict([...keys].map((key) => [key, value]));
const $set = (items = []) => new $Set(items);
const $frozenset = $set;
const $list = (items = []) => [...items];
const $tuple = $list;
const $bool = $truth;
const $abs = Math.abs;
const $len = (x) => x.length ?? x.size;
function $range(a, b, step = 1) {
  if (b === undefined) return $range(0, a);
  const items = [];
  for (let i = a; step > 0 ? i < b : i > b; i += step) items.push(i);
  return items;
}
const $reversed = (items) => [...items].reverse();
const $float = Number;
const $enumerate = (items, start = 0) => [...items].map((item, i) => [i + start, item]);
const $map = (f, items) => [...items].map((item) => f(item));
const $filter = (f, items) => [...items].filter((item) => $truth(f ? f(item) : item));
const $getattr = (x, name, missing) => x[name] ?? missing;
function $int(x) {
  const value = Math.trunc(Number(x));
  if (Number.isNaN(value)) throw new $ValueError(`no whole number: ${x}`);
  return value;
}
function $round(x, digits = 0) {
  const scaled = x * 10 ** digits, low = Math.floor(scaled);
  const up = scaled - low > 0.5 || (scaled - low === 0.5 && low % 2 !== 0);
  return (low + (up ? 1 : 0)) / 10 ** digits;
}
function $sum(items, start = 0) {
  let total = start;
  for (const item of items) total = $add(total, item);
  return total;
}
function $any(items) { for (const item of items) if ($truth(item)) return true; return false; }
function $all(items) { for (const item of items) if (!$truth(item)) return false; return true; }
function $next(items, missing) {
  for (const item of items) return item;
  if (missing === undefined) throw new $ValueError("nothing is left");
  return missing;
}
function $zip(...args) {
  const [iterables] = $unnamed(args);
  const lists = iterables.map((items) => [...items]);
  return Array.from({ length: Math.min(...lists.map((items) => items.length)) }, (_, i) => lists.map((items) => items[i]));
}
function $best(args, isBetter) {
  const [given, { key = (x) => x, default: missing }] = $unnamed(args);
  const items = given.length === 1 ? given[0] : given;
  let best, bestKey;
  for (const item of items) {
    const itemKey = key(item);
    if (bestKey === undefined || isBetter(itemKey, bestKey)) [best, bestKey] = [item, itemKey];
  }
  if (bestKey !== undefined) return best;
  if (missing === undefined) throw new $ValueError("nothing to choose from");
  return missing;
}
function $max(a, b) {
  return typeof b === "number" && arguments.length === 2 ? Math.max(a, b) : $best([...arguments], $gt);
}
function $min(a, b) {
  return typeof b === "number" && arguments.length === 2 ? Math.min(a, b) : $best([...arguments], $lt);
}
function $sorted(...args) {
  const [[items], { key = (x) => x, reverse = false }] = $unnamed(args);
  return [...items].sort((a, b) => (reverse ? -1 : 1) * $compare(key(a), key(b)));
}
const $is = {
  int: (x) => Number.isInteger(x) || typeof x === "boolean", float: (x) => typeof x === "number",
  str: (x) => typeof x === "string", bool: (x) => typeof x === "boolean",
  tuple: Array.isArray, list: Array.isArray, dict: (x) => x instanceof $Dict,
};
$list.append = (x, item) => { x.push(item); };
$list.extend = (x, items) => { x.push(...items); };
$list.insert = (x, at, item) => { x.splice(at, 0, item); };
$list.index = (x, item) => x.findIndex((other) => $eq(other, item));
$list.pop = (x, at = -1, missing = null) => {
  if (Array.isArray(x)) return x.splice(at, 1)[0];
  const value = x.get(at, missing);
  x.drop(at);
  return value;
};

// --- text

function $str(x) {
  if (x === null || x === undefined) return "None";
  if (typeof x === "boolean") return x ? "True" : "False";
  return x instanceof Error ? x.message : Array.isArray(x) ? `[${x.map($repr).join(", ")}]` : String(x);
}
const $repr = (x) => (typeof x === "string" ? `'${x}'` : $str(x));
function $format(x, spec) {
  const [, comma, digits, kind] = /^(,?)(?:\.(\d+))?([fgd%]?)$/.exec(spec) ?? $string.refuse(spec);
  if (kind === "g") return String(Number(x.toPrecision(digits ?? 6)));
  const text = kind === "%" ? (100 * x).toFixed(digits ?? 6) : digits || kind === "f" ? x.toFixed(digits ?? 6) : $str(x);
  const [whole, ...fraction] = text.split(".");
  return [comma ? whole.replace(/\B(?=(\d{3})+$)/g, ",") : whole, ...fraction].join(".") + (kind === "%" ? "%" : "");
}
const $string = {
  refuse(spec) { throw new $ValueError(`the format ${spec} is not translated`); },
  startswith: (x, part) => (typeof part === "string" ? x.startsWith(part) : part.some((each) => x.startsWith(each))),
  endswith: (x, part) => (typeof part === "string" ? x.endsWith(part) : part.some((each) => x.endsWith(each))),
  lower: (x) => x.toLowerCase(), upper: (x) => x.toUpperCase(), strip: (x) => x.trim(),
  lstrip: (x) => x.trimStart(), rstrip: (x) => x.trimEnd(),
  join: (x, items) => [...items].join(x), isdigit: (x) => /^\d+$/.test(x),
  removeprefix: (x, part) => (x.startsWith(part) ? x.slice(part.length) : x),
  removesuffix: (x, part) => (part && x.endsWith(part) ? x.slice(0, -part.length) : x),
  format: (x, ...values) => x.replace(/\{\}/g, () => $str(values.shift())),
  split(x, by, most = Infinity) {
    const parts = by === undefined ? x.trim().split(/\s+/) : x.split(by);
    return parts.length <= most + 1 ? parts : [...parts.slice(0, most), parts.slice(most).join(by)];
  },
  partition(x, by) { const at = x.indexOf(by); return at < 0 ? [x, "", ""] : [x.slice(0, at), by, x.slice(at + by.length)]; },
  rpartition(x, by) {
    const at = x.lastIndexOf(by);
    return at < 0 ? ["", "", x] : [x.slice(0, at), by, x.slice(at + by.length)];
  },
};

// --- objects

function $dataclass(type, fields, frozen) { type.$fields = fields; type.$frozen = frozen; }
const $construct = (type, values) => new type(...type.$fields.map((field) => (values.has(field) ? values.get(field) : undefined)));
function $bound(x, name) {  // an attribute that may be a method: then with its object
  const value = x[name];
  return typeof value === "function" && !Object.hasOwn(x, name) ? value.bind(x) : value;
}
function $kept(x, name) { return x[`$kept_${name}`] ??= x[`$${name}`](); }

// --- libraries

function $erf(x) {  // a series near 0, a continued fraction further out
  if (x < 0) return -$erf(-x);
  if (x > 6) return 1;
  if (x < 2.5) {
    let term = x, sum = x;
    for (let n = 1; Math.abs(term) > 1e-17 * sum; n++) { term *= -x * x / n; sum += term / (2 * n + 1); }
    return 2 / Math.sqrt(Math.PI) * sum;
  }
  let fraction = 0;
  for (let n = 80; n > 0; n--) fraction = n / 2 / (x + fraction);
  return 1 - Math.exp(-x * x) / Math.sqrt(Math.PI) / (x + fraction);
}
const $math = {
  e: Math.E, inf: Infinity, pi: Math.PI, exp: Math.exp, expm1: Math.expm1, log: Math.log, log2: Math.log2,
  sqrt: Math.sqrt, hypot: Math.hypot, ceil: Math.ceil, floor: Math.floor,
  prod(items) { let product = 1; for (const item of items) product *= item; return product; },
};
const $statistics = { NormalDist: () => ({
  cdf: (x) => 0.5 * (1 + $erf(x / Math.SQRT2)),
  inv_cdf(p) {
    let [low, high] = [-9, 9];
    while (high - low > 1e-15 * Math.abs(high)) {
      const middle = (low + high) / 2;
      if (middle === low || middle === high) break;
      if (this.cdf(middle) < p) low = middle; else high = middle;
    }
    return high;
  },
}) };
function $bisect_by(isLeft, args) {
  const [[items, x], { key = (item) => item }] = $unnamed(args);
  let low = 0, high = $len(items);
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (isLeft(key($get(items, middle)), x)) low = middle + 1; else high = middle;
  }
  return low;
}
const $bisect = { bisect_left: (...args) => $bisect_by($lt, args), bisect_right: (...args) => $bisect_by($le, args) };
const $collections = {
  defaultdict: (factory) => new $Default(factory),
  Counter(items = []) {
    const counter = new $Counter(items instanceof $Dict ? items : []);
    if (!(items instanceof $Dict)) for (const item of items) counter.put(item, counter.__getitem__(item) + 1);
    return counter;
  },
};
const $dataclasses = {
  replace(x, named = new $Named({})) {
    const type = x.constructor;
    return new type(...type.$fields.map((field) => (field in named.values ? named.values[field] : x[field])));
  },
};
const $itertools = {
  accumulate(items) { let total = 0; return [...items].map((item) => (total += item)); },
  pairwise(items) { const list = [...items]; return list.slice(1).map((item, i) => [list[i], item]); },
};
const $re = { compile(pattern) {
  const anywhere = new RegExp(pattern), atStart = new RegExp(pattern, "y");
  return {
    search: (text) => anywhere.exec(text),
    match(text) { atStart.lastIndex = 0; return atStart.exec(text); },
  };
} };
const $struct = { pack: (_, x) => x, unpack: (_, x) => [Math.fround(x)] };  // "f" alone: numbers as float32
class errors$OomphError extends $Exception {
}
class errors$ModelFileError extends errors$OomphError {
}
class errors$ConfigError extends errors$OomphError {
}
class ggml_types$QuantType {
constructor(name, number, block, block_bytes) {
this.name = name;
this.number = number;
this.block = block;
this.block_bytes = block_bytes;
}
row_bytes(n_elements) {
const self = this;
return ($floordiv(n_elements, self.block) * self.block_bytes);
}
get is_quantized() {
const self = this;
return (self.block > 1);
}
}
$dataclass(ggml_types$QuantType, ["name", "number", "block", "block_bytes"], true);
const ggml_types$_TABLE = [["F32", 0, 1, 4], ["F16", 1, 1, 2], ["Q4_0", 2, 32, 18], ["Q4_1", 3, 32, 20], ["Q5_0", 6, 32, 22], ["Q5_1", 7, 32, 24], ["Q8_0", 8, 32, 34], ["Q8_1", 9, 32, 36], ["Q2_K", 10, 256, 84], ["Q3_K", 11, 256, 110], ["Q4_K", 12, 256, 144], ["Q5_K", 13, 256, 176], ["Q6_K", 14, 256, 210], ["Q8_K", 15, 256, 292], ["IQ2_XXS", 16, 256, 66], ["IQ2_XS", 17, 256, 74], ["IQ3_XXS", 18, 256, 98], ["IQ1_S", 19, 256, 50], ["IQ4_NL", 20, 32, 18], ["IQ3_S", 21, 256, 110], ["IQ2_S", 22, 256, 82], ["IQ4_XS", 23, 256, 136], ["I8", 24, 1, 1], ["I16", 25, 1, 2], ["I32", 26, 1, 4], ["I64", 27, 1, 8], ["F64", 28, 1, 8], ["IQ1_M", 29, 256, 56], ["BF16", 30, 1, 2], ["TQ1_0", 34, 256, 54], ["TQ2_0", 35, 256, 66], ["MXFP4", 39, 32, 17], ["NVFP4", 40, 64, 36], ["Q1_0", 41, 128, 18], ["Q2_0", 42, 64, 18]];
const ggml_types$QUANTS = $dict((() => { const $into = []; for (const [name, ...rest] of ggml_types$_TABLE) { $into.push([name, new ggml_types$QuantType(name, ...rest)]); } return $into; })());
function ggml_types$quant(name) {
return $get(ggml_types$QUANTS, $string.upper(name));
}
class header$SkippedArray {
constructor(element_type, count) {
this.element_type = element_type;
this.count = count;
}
}
$dataclass(header$SkippedArray, ["element_type", "count"], true);
class header$TensorInfo {
constructor(name, ne, quant, offset = 0) {
this.name = name;
this.ne = ne;
this.quant = quant;
this.offset = offset;
}
get n_elements() {
const self = this;
return $math.prod(self.ne);
}
get n_bytes() {
const self = this;
return (self.quant.row_bytes($get(self.ne, 0)) * $math.prod($slice(self.ne, 1, null, null)));
}
}
$dataclass(header$TensorInfo, ["name", "ne", "quant", "offset"], true);
const spec$MAX_COUNT = (4294967296 - 1);
class spec$ModelSpec {
constructor(name, arch, metadata, tensors, source, file_bytes = null, notes = []) {
this.name = name;
this.arch = arch;
this.metadata = metadata;
this.tensors = tensors;
this.source = source;
this.file_bytes = file_bytes;
this.notes = notes;
}
hparam(key, default$ = null) {
const self = this;
let value;
value = self.metadata.get(("" + $str(self.arch) + "." + $str(key)), default$);
if (((($it) => $is.tuple($it))(value) && $truth(value))) {
value = $max(value);
}
if (!(($it) => $is.int($it) || $is.float($it))(value)) {
throw new errors$ModelFileError(("" + $str(self.source) + ": metadata key " + $str(self.arch) + "." + $str(key) + " is missing or no number; is the file complete?"));
}
return value;
}
integer(key, default$ = null) {
const self = this;
return self._whole(key, self.hparam(key, default$));
}
_whole(key, value) {
const self = this;
if ((!((0 <= value) && $le(value, spec$MAX_COUNT)) || !$eq(value, $int(value)))) {
throw new errors$ModelFileError(("" + $str(self.source) + ": metadata key " + $str(self.arch) + "." + $str(key) + " is " + $str(value) + ", which no model has"));
}
return $int(value);
}
per_layer(key, default$ = null) {
const self = this;
let value;
value = self.metadata.get(("" + $str(self.arch) + "." + $str(key)));
if ((($it) => $is.tuple($it))(value)) {
if (($len(value) < self.n_layer)) {
throw new errors$ModelFileError(("" + $str(self.source) + ": " + $str(self.arch) + "." + $str(key) + " has " + $str($len(value)) + " items for " + $str(self.n_layer) + " layers"));
}
return $tuple((() => { const $into = []; for (const item of $slice(value, null, self.n_layer, null)) { $into.push(self._whole(key, item)); } return $into; })());
}
return $repeat([self.integer(key, default$)], self.n_layer);
}
get kv_heads() {
const self = this;
if ($in(("" + $str(self.arch) + ".attention.head_count_kv"), self.metadata)) {
return self.per_layer("attention.head_count_kv");
}
return self.per_layer("attention.head_count", 0);
}
get n_layer() {
const self = this;
return self.integer("block_count");
}
get n_embd() {
const self = this;
return self.integer("embedding_length");
}
get n_ctx_train() {
const self = this;
return self.integer("context_length");
}
get n_vocab() {
const self = this;
let embedding, tokens;
tokens = self.metadata.get("tokenizer.ggml.tokens");
if ((($it) => $it instanceof header$SkippedArray)(tokens)) {
return tokens.count;
}
if ($truth((embedding = self.tensors.get("token_embd.weight")))) {
return $get(embedding.ne, 1);
}
return self.integer("vocab_size");
}
get n_expert() {
const self = this;
return self.integer("expert_count", 0);
}
get n_expert_used() {
const self = this;
return self.integer("expert_used_count", 0);
}
get is_moe() {
const self = this;
return (self.n_expert > 0);
}
}
$dataclass(spec$ModelSpec, ["name", "arch", "metadata", "tensors", "source", "file_bytes", "notes"], true);
const gemma3n$N_ALTUP = 4;
const config$CONTEXT_STEP = 256;
function config$padded_context(n_ctx) {
return ((-$floordiv((-n_ctx), config$CONTEXT_STEP)) * config$CONTEXT_STEP);
}
class config$RunConfig {
constructor(n_ctx = 4096, n_batch = 2048, n_ubatch = 512, n_seq_max = 1, kv_unified = false, type_k = "f16", type_v = "f16", flash_attn = "auto", swa_full = true, n_gpu_layers = (-1), n_cpu_moe = 0, override_tensor = null, tensor_split = null, split_mode = "layer", main_gpu = 0, offload_kqv = true, op_offload = true, n_outputs_max = null, n_expert_used = null, n_devices = 1, n_threads = null, n_depth = 0, n_parallel = 1, rope_scaling = null, rope_scale = null, yarn_orig_ctx = null) {
this.n_ctx = n_ctx;
this.n_batch = n_batch;
this.n_ubatch = n_ubatch;
this.n_seq_max = n_seq_max;
this.kv_unified = kv_unified;
this.type_k = type_k;
this.type_v = type_v;
this.flash_attn = flash_attn;
this.swa_full = swa_full;
this.n_gpu_layers = n_gpu_layers;
this.n_cpu_moe = n_cpu_moe;
this.override_tensor = override_tensor;
this.tensor_split = tensor_split;
this.split_mode = split_mode;
this.main_gpu = main_gpu;
this.offload_kqv = offload_kqv;
this.op_offload = op_offload;
this.n_outputs_max = n_outputs_max;
this.n_expert_used = n_expert_used;
this.n_devices = n_devices;
this.n_threads = n_threads;
this.n_depth = n_depth;
this.n_parallel = n_parallel;
this.rope_scaling = rope_scaling;
this.rope_scale = rope_scale;
this.yarn_orig_ctx = yarn_orig_ctx;
this.__post_init__();
}
__post_init__() {
const self = this;
config$_check(self);
}
get n_ctx_seq() {
const self = this;
return ($truth(self.kv_unified) ? self.n_ctx : $floordiv(self.n_ctx, self.n_seq_max));
}
get deepest() {
const self = this;
return ($truth(self.kv_unified) ? $floordiv(self.n_ctx, self.n_parallel) : self.n_ctx_seq);
}
with_(changes) {
const self = this;
return $dataclasses.replace(self, $Named.of($dict([...config$_checked(changes).items()])));
}
}
$dataclass(config$RunConfig, ["n_ctx", "n_batch", "n_ubatch", "n_seq_max", "kv_unified", "type_k", "type_v", "flash_attn", "swa_full", "n_gpu_layers", "n_cpu_moe", "override_tensor", "tensor_split", "split_mode", "main_gpu", "offload_kqv", "op_offload", "n_outputs_max", "n_expert_used", "n_devices", "n_threads", "n_depth", "n_parallel", "rope_scaling", "rope_scale", "yarn_orig_ctx"], true);
const units$MIB = ((1024) ** (2));
const units$NOT_MEASURED = "\u2014";
function units$mib(n_bytes, digits = 0) {
return ((n_bytes == null) ? units$NOT_MEASURED : ("" + $format((n_bytes / units$MIB), ("" + ",." + $str(digits) + "f")) + " MiB"));
}
function units$count(n) {
return ((n == null) ? units$NOT_MEASURED : ("" + $format(n, ("" + ","))));
}
const rope$MAX_FACTOR = 65536;
class rope$RopeScaling {
constructor(type, factor, original_context_length, is_published, reason) {
this.type = type;
this.factor = factor;
this.original_context_length = original_context_length;
this.is_published = is_published;
this.reason = reason;
}
get reach() {
const self = this;
return $int((self.original_context_length * self.factor));
}
}
$dataclass(rope$RopeScaling, ["type", "factor", "original_context_length", "is_published", "reason"], true);
function rope$has_positions(spec) {
let layers;
layers = families$family_of(spec.arch).rope.layers;
if ((layers === "finetuned")) {
return $bool(spec.metadata.get(("" + $str(spec.arch) + ".rope.scaling.finetuned"), true));
}
return (layers !== "none");
}
function rope$own_scaling(spec) {
let factor, key, kind, original;
[kind, key] = [spec.metadata.get(("" + $str(spec.arch) + ".rope.scaling.type"), "linear"), "rope.scaling.factor"];
factor = rope$_factor(spec, ($in(("" + $str(spec.arch) + "." + $str(key)), spec.metadata) ? key : "rope.scale_linear"));
if ((!$in(kind, ["linear", "yarn"]) || (factor <= 1.0))) {
return null;
}
original = $or(rope$_whole(spec, "rope.scaling.original_context_length"), () => $round((spec.n_ctx_train / factor)));
return new rope$RopeScaling($str(kind), factor, original, true, ("" + "the file's own metadata: " + $str(kind) + " by " + $format(factor, ("" + "g")) + " from " + $str(units$count(original)) + " tokens"));
}
function rope$_factor(spec, key) {
let value;
value = spec.metadata.get(("" + $str(spec.arch) + "." + $str(key)));
return (((($it) => $is.int($it) || $is.float($it))(value) && ((1.0 <= value) && $le(value, rope$MAX_FACTOR))) ? $float(value) : 1.0);
}
function rope$_whole(spec, key) {
let value;
value = spec.metadata.get(("" + $str(spec.arch) + "." + $str(key)));
return (((($it) => $is.int($it))(value) && ((1 <= value) && (value < 2147483648))) ? value : 0);
}
function rope$native_context(spec) {
let own;
own = rope$own_scaling(spec);
return $max(spec.n_ctx_train, (($truth(own) && (own.type === "yarn")) ? own.reach : 0));
}
class build$Build {
constructor(embeds_inputs = true, rotates_cache = true, keeps_all_rows = true, narrow_mask = true, reserves_copies = true, fuses_experts = true) {
this.embeds_inputs = embeds_inputs;
this.rotates_cache = rotates_cache;
this.keeps_all_rows = keeps_all_rows;
this.narrow_mask = narrow_mask;
this.reserves_copies = reserves_copies;
this.fuses_experts = fuses_experts;
}
}
$dataclass(build$Build, ["embeds_inputs", "rotates_cache", "keeps_all_rows", "narrow_mask", "reserves_copies", "fuses_experts"], true);
const build$LATEST = new build$Build();
const build$_SINCE = $dict([["embeds_inputs", 7830], ["rotates_cache", 8610], ["keeps_all_rows", 9000], ["narrow_mask", 9360], ["reserves_copies", 9480], ["fuses_experts", 10760]]);
function build$build_of(number) {
return ((number == null) ? build$LATEST : $construct(build$Build, $dict([...$dict((() => { const $into = []; for (const [change, first] of build$_SINCE.items()) { $into.push([change, $ge(number, first)]); } return $into; })()).items()])));
}
const build$_DATES = [[2000, 2024.03], [2824, 2024.353], [3300, 2024.5], [4000, 2024.84], [4500, 2025.04], [5000, 2025.25], [5500, 2025.4], [6000, 2025.565], [6500, 2025.71], [7000, 2025.855], [7500, 2025.97], [8000, 2026.12], [10066, 2026.545], [10809, 2026.695], [11330, 2026.748], [11434, 2026.762], [11739, 2026.797]];
function build$build_year(number) {
let end, high, low, start;
for ([[low, start], [high, end]] of $itertools.pairwise(build$_DATES)) {
if ($le(number, high)) {
return (start + (($sub(end, start) * $max($sub(number, low), 0)) / $sub(high, low)));
}
}
return $get($get(build$_DATES, (-1)), 1);
}
const posterior$STEP = 0.0001;
class posterior$Posterior {
constructor(card, names, covariance, noise_sd, scales) {
this.card = card;
this.names = names;
this.covariance = covariance;
this.noise_sd = noise_sd;
this.scales = scales;
}
}
$dataclass(posterior$Posterior, ["card", "names", "covariance", "noise_sd", "scales"], true);
function posterior$prediction_sd(posterior, test, values, seconds) {
let at, i, j, name, row, shared, slopes, variance, varied;
at = $math.log(seconds(values));
slopes = [];
for (name of posterior.names) {
varied = $dict([...values.items(), [name, ($get(values, name) * (1 + posterior$STEP))]]);
$list.append(slopes, ($sub($math.log(seconds(varied)), at) / $math.log((1 + posterior$STEP))));
}
variance = (($get(posterior.noise_sd, test)) ** (2));
for ([i, row] of $enumerate(posterior.covariance)) {
for ([j, shared] of $enumerate(row)) {
variance = $extended(variance, (($get(slopes, i) * shared) * $get(slopes, j)));
}
}
return $math.sqrt($max(variance, 0.0));
}
class coefficients$Coefficients {
constructor(values, cards = $dict(), interval_widths = $dict(), standard_errors = $dict(), seen = $dict(), covered = $dict(), tested = $dict(), calibrated_on = $dict(), provenance = $dict(), posterior = null) {
this.values = values;
this.cards = cards;
this.interval_widths = interval_widths;
this.standard_errors = standard_errors;
this.seen = seen;
this.covered = covered;
this.tested = tested;
this.calibrated_on = calibrated_on;
this.provenance = provenance;
this.posterior = posterior;
}
__getitem__(name) {
const self = this;
return $get(self.values, name);
}
for_card(card) {
const self = this;
return $dict([...self.values.items(), ...self.cards.get(card, $dict([])).items()]);
}
}
$dataclass(coefficients$Coefficients, ["values", "cards", "interval_widths", "standard_errors", "seen", "covered", "tested", "calibrated_on", "provenance", "posterior"], true);
const tensor$F32 = $get(ggml_types$QUANTS, "F32");
const tensor$F16 = $get(ggml_types$QUANTS, "F16");
const tensor$I32 = $get(ggml_types$QUANTS, "I32");
const tensor$I64 = $get(ggml_types$QUANTS, "I64");
const tensor$VIEW_OPS = $frozenset($set(["VIEW", "RESHAPE", "PERMUTE", "TRANSPOSE"]));
function tensor$pad(n, multiple) {
return ((-$floordiv((-n), multiple)) * multiple);
}
function tensor$shape(ne) {
let _, a, b, c, d;
[a, b, c, d, ..._] = [...ne, 1, 1, 1];
return [a, b, c, d];
}
function tensor$strides(quant, ne) {
let row;
row = quant.row_bytes($get(ne, 0));
return [quant.block_bytes, row, (row * $get(ne, 1)), ((row * $get(ne, 1)) * $get(ne, 2))];
}
class tensor$Tensor {
constructor(op, quant, ne, src, nb = null, view_src = null, offset = 0, name = "", kind = "", device = null, is_input = false, is_weight = false) {
const self = this;
[self.op, self.kind, self.name, self.quant, self.ne, self.src] = [op, kind, name, quant, ne, src];
[self.view_src, self.offset] = [view_src, offset];
[self.device, self.is_weight] = [device, is_weight];
self.pinned = null;
self.backend = (-1);
[self.is_input, self.is_output] = [is_input, false];
if ((nb == null)) {
self.nb = tensor$strides(quant, ne);
self.n_bytes = ($get(self.nb, 3) * $get(ne, 3));
}
else {
self.nb = nb;
self.n_bytes = tensor$_strided_bytes(quant, ne, nb);
}
}
get root() {
const self = this;
return $or(self.view_src, () => self);
}
get is_contiguous() {
const self = this;
let wanted;
wanted = tensor$strides(self.quant, self.ne);
return (() => { for (const [n, have, want] of $zip(self.ne, self.nb, wanted, new $Named({strict: true}))) { if (!((n === 1) || $eq(have, want))) return false; } return true; })();
}
}
function tensor$_strided_bytes(quant, ne, nb) {
let first;
if (($min(ne) <= 0)) {
return 0;
}
first = ((quant.block === 1) ? $add(quant.block_bytes, (($get(ne, 0) - 1) * $get(nb, 0))) : $floordiv(($get(ne, 0) * $get(nb, 0)), quant.block));
return $add($add($add(first, (($get(ne, 1) - 1) * $get(nb, 1))), (($get(ne, 2) - 1) * $get(nb, 2))), (($get(ne, 3) - 1) * $get(nb, 3)));
}
class tensor$Graph {
constructor() {
const self = this;
self.leafs = [];
self.nodes = [];
self._visited = $set();
}
expand(tensor) {
const self = this;
let source;
if (!$in(tensor, self._visited)) {
self._visited.add(tensor);
for (source of tensor.src) {
if (!$in(source, self._visited)) {
self.expand(source);
}
}
$list.append(((tensor.op === "NONE") ? self.leafs : self.nodes), tensor);
}
return tensor;
}
leaf(quant, name, device = null, is_input = false, is_weight = false, ...ne) {
const self = this;
return new tensor$Tensor("NONE", quant, tensor$shape(ne), [], undefined, undefined, undefined, name, undefined, device, is_input, is_weight);
}
node(op, ne, quant = tensor$F32, ...src) {
const self = this;
return new tensor$Tensor(op, quant, tensor$shape(ne), (() => { const $into = []; for (const source of src) { if ((source != null)) { $into.push(source); } } return $into; })());
}
like(op, x, ...src) {
const self = this;
return new tensor$Tensor(op, x.quant, x.ne, [x, ...(() => { const $into = []; for (const source of src) { if ((source != null)) { $into.push(source); } } return $into; })()]);
}
mul_mat(weight, x) {
const self = this;
return self.node("MUL_MAT", [$get(weight.ne, 1), ...$slice(x.ne, 1, null, null)], undefined, weight, x);
}
mul_mat_id(weight, x, ids) {
const self = this;
return self.node("MUL_MAT_ID", [$get(weight.ne, 1), $get(ids.ne, 0), $get(x.ne, 2)], undefined, weight, x, ids);
}
get_rows(x, ids) {
const self = this;
return self.node("GET_ROWS", [$get(x.ne, 0), ...$slice(ids.ne, null, 3, null)], undefined, x, ids);
}
add(a, b) {
const self = this;
return self.like("ADD", a, b);
}
mul(a, b) {
const self = this;
return self.like("MUL", a, b);
}
scale(x) {
const self = this;
return self.like("SCALE", x);
}
rms_norm(x) {
const self = this;
return self.like("RMS_NORM", x);
}
unary(kind, x) {
const self = this;
return new tensor$Tensor("UNARY", x.quant, x.ne, [x], undefined, undefined, undefined, undefined, kind);
}
glu(gate, up = null) {
const self = this;
return self.node("GLU", ($truth(up) ? gate.ne : [$floordiv($get(gate.ne, 0), 2), ...$slice(gate.ne, 1, null, null)]), undefined, gate, up);
}
concat(a, b) {
const self = this;
return new tensor$Tensor("CONCAT", a.quant, [$add($get(a.ne, 0), $get(b.ne, 0)), ...$slice(a.ne, 1, null, null)], [a, b]);
}
cont(x, ...ne) {
const self = this;
return new tensor$Tensor("CONT", x.quant, ($truth(ne) ? tensor$shape(ne) : x.ne), [x]);
}
_view_of(op, x, ne, nb, offset = 0, src = null) {
const self = this;
return new tensor$Tensor(op, x.quant, ne, $or(src, () => [x]), nb, x.root, $add(x.offset, offset));
}
view(x, ne, nb = [], offset = 0) {
const self = this;
let full, steps;
full = tensor$shape(ne);
steps = [x.quant.block_bytes, ...nb];
if (($len(steps) === 1)) {
$list.append(steps, x.quant.row_bytes($get(full, 0)));
}
while (($len(steps) < 4)) {
$list.append(steps, ($get(steps, (-1)) * $get(full, ($len(steps) - 1))));
}
return self._view_of("VIEW", x, full, [$get(steps, 0), $get(steps, 1), $get(steps, 2), $get(steps, 3)], offset);
}
reshape(x, ...ne) {
const self = this;
let full;
full = tensor$shape(ne);
return self._view_of("RESHAPE", x, full, tensor$strides(x.quant, full));
}
permute(x, op = "PERMUTE", ...axes) {
const self = this;
let axis, i, nb, ne;
[ne, nb] = [$repeat([0], 4), $repeat([0], 4)];
for ([i, axis] of $enumerate(axes)) {
{
const $values = [...[$get(x.ne, i), $get(x.nb, i)]];
$put(ne, axis, $values[0]);
$put(nb, axis, $values[1]);
}
}
return self._view_of(op, x, [$get(ne, 0), $get(ne, 1), $get(ne, 2), $get(ne, 3)], [$get(nb, 0), $get(nb, 1), $get(nb, 2), $get(nb, 3)]);
}
transpose(x) {
const self = this;
return self.permute(x, "TRANSPOSE", 1, 0, 2, 3);
}
_write(op, target, ...src) {
const self = this;
return self._view_of(op, target, target.ne, target.nb, undefined, $list(src));
}
set_rows(target, x, ids) {
const self = this;
return self._write("SET_ROWS", target, x, ids, target);
}
cpy(x, target) {
const self = this;
return self._write("CPY", target, x, target);
}
scale_inplace(x) {
const self = this;
return self._write("SCALE", x, x);
}
}
const allocator$INPLACE_OPS = $frozenset($set(["SCALE", "DIAG_MASK_ZERO", "DIAG_MASK_INF", "ADD", "ADD_ID", "ADD1", "SUB", "MUL", "DIV", "SQR", "SQRT", "LOG", "UNARY", "ROPE", "ROPE_BACK", "SILU_BACK", "RMS_NORM", "RMS_NORM_BACK", "SOFT_MAX", "SOFT_MAX_BACK", "FILL", "CLAMP"]));
const allocator$_UNBOUNDED = 4503599627370496;
class allocator$Pool {
constructor(alignment) {
const self = this;
self.alignment = alignment;
self.free = [[0, allocator$_UNBOUNDED]];
self.peak = self.live = self.live_peak = 0;
}
take(n_bytes) {
const self = this;
let at, best, best_size, block, free, i, n, size;
[n, free] = [tensor$pad(n_bytes, self.alignment), self.free];
[best, best_size] = [($len(free) - 1), allocator$_UNBOUNDED];
for (i of $range(($len(free) - 1))) {
size = $get($get(free, i), 1);
if (($le(n, size) && $le(size, best_size))) {
[best, best_size] = [i, size];
}
}
block = $get(free, best);
at = $get(block, 0);
$put(block, 0, $extended($get(block, 0), n));
$put(block, 1, $sub($get(block, 1), n));
if (!$truth($get(block, 1))) {
$delete(free, best);
}
self.peak = $max(self.peak, $add(at, n));
self.live = $extended(self.live, n);
self.live_peak = $max(self.live_peak, self.live);
return at;
}
give_back(at, n_bytes) {
const self = this;
let block, end, free, i, n;
[n, free] = [tensor$pad(n_bytes, self.alignment), self.free];
self.live = $sub(self.live, n);
end = $add(at, n);
for ([i, block] of $enumerate(free)) {
if ($eq($add($get(block, 0), $get(block, 1)), at)) {
$put(block, 1, $extended($get(block, 1), n));
if ((((i + 1) < $len(free)) && $eq($get($get(free, (i + 1)), 0), end))) {
$put(block, 1, $extended($get(block, 1), $get($list.pop(free, (i + 1)), 1)));
}
return null;
}
if ($eq($get(block, 0), end)) {
$put(block, 0, at);
$put(block, 1, $extended($get(block, 1), n));
if (($truth(i) && $eq($add($get($get(free, (i - 1)), 0), $get($get(free, (i - 1)), 1)), at))) {
$put($get(free, (i - 1)), 1, $extended($get($get(free, (i - 1)), 1), $get($list.pop(free, i), 1)));
}
return null;
}
}
i = 0;
while (((i < $len(free)) && $lt($get($get(free, i), 0), at))) {
i = $extended(i, 1);
}
$list.insert(free, i, [at, n]);
}
}
class allocator$Packing {
constructor(bytes, live_bytes, states = []) {
this.bytes = bytes;
this.live_bytes = live_bytes;
this.states = states;
}
}
$dataclass(allocator$Packing, ["bytes", "live_bytes", "states"], true);
class allocator$AllocationStep {
constructor(takes, reads, is_marked) {
this.takes = takes;
this.reads = reads;
this.is_marked = is_marked;
}
}
$dataclass(allocator$AllocationStep, ["takes", "reads", "is_marked"], true);
const allocator$NOWHERE = (-1);
class allocator$AllocationProgram {
constructor(leafs, nodes, marks = []) {
const self = this;
let inputs;
self.tensors = [];
self.owners = [];
self.pools = [];
self.candidates = [];
self.n_children = [];
self.n_views = [];
self.pairs = [];
self._numbers = $dict([]);
self.first = (() => { const $into = []; for (const [t, pool] of leafs) { for (const number of self._take(t, pool)) { $into.push(number); } } return $into; })();
inputs = (() => { const $into = []; for (const [t, pool] of nodes) { for (const source of t.src) { if ($truth(source.is_input)) { $into.push([source, pool]); } } } return $into; })();
self.first = $extended(self.first, (() => { const $into = []; for (const [t, pool] of inputs) { for (const number of self._take(t, pool)) { $into.push(number); } } return $into; })());
self.steps = (() => { const $into = []; for (const [t, pool] of nodes) { $into.push(self._step(t, pool, $in(t, marks))); } return $into; })();
self.elsewhere = $dict([]);
self.places = self._all_places();
}
get structure() {
const self = this;
let ends;
ends = (() => { const $into = []; for (const t of self.tensors) { $into.push(t.is_output); } return $into; })();
return [self.first, self.steps, self.owners, self.pools, self.candidates, self.pairs, self.places, ends];
}
sizes(size) {
const self = this;
return (() => { const $into = []; for (const [number, pool] of self.places) { $into.push((!$eq(pool, allocator$NOWHERE) ? size($get(self.tensors, number), pool) : 0)); } return $into; })();
}
likeness() {
const self = this;
return (() => { const $into = []; for (const [one, other] of self.pairs) { $into.push(($eq($get(self.tensors, one).ne, $get(self.tensors, other).ne) && $eq($get(self.tensors, one).nb, $get(self.tensors, other).nb))); } return $into; })();
}
run(sizes, alike, alignments) {
const self = this;
let number, run, states, step;
run = new allocator$_Run(self, sizes, alike, alignments);
for (number of self.first) {
run.allocate(number);
}
states = [];
for (step of self.steps) {
for (number of step.takes) {
run.allocate(number);
}
for (number of step.reads) {
$put(run.children, number, ($get(run.children, number) - 1));
if ((!$truth($get(run.children, number)) && !$truth($get(run.views, number)))) {
run.release(number);
}
}
if ($truth(step.is_marked)) {
$list.append(states, run.state());
}
}
return new allocator$Packing($tuple((() => { const $into = []; for (const pool of run.pools) { $into.push(pool.peak); } return $into; })()), $tuple((() => { const $into = []; for (const pool of run.pools) { $into.push(pool.live_peak); } return $into; })()), $tuple(states));
}
_number(t) {
const self = this;
let known, number, owner;
known = self._numbers.get(t);
if ((known != null)) {
return known;
}
if ((t.root.device != null)) {
$put(self._numbers, t, allocator$NOWHERE);
return allocator$NOWHERE;
}
owner = ($truth(t.view_src) ? self._number(t.view_src) : allocator$NOWHERE);
{
const $value = $len(self.tensors);
number = $value;
$put(self._numbers, t, $value);
}
$list.append(self.tensors, t);
$list.append(self.owners, owner);
$list.append(self.pools, allocator$NOWHERE);
$list.append(self.candidates, []);
$list.append(self.n_children, 0);
$list.append(self.n_views, 0);
return number;
}
_take(t, pool) {
const self = this;
let number;
number = self._number(t);
if (($eq(number, allocator$NOWHERE) || !$eq($get(self.owners, number), allocator$NOWHERE) || !$eq($get(self.pools, number), allocator$NOWHERE))) {
return [];
}
$put(self.pools, number, pool);
if ($in(t.op, allocator$INPLACE_OPS)) {
$put(self.candidates, number, $tuple((() => { const $into = []; for (const source of $map($bound(self, "_number"), t.src)) { if ((!$eq(source, allocator$NOWHERE) && $eq($get(self.owners, source), allocator$NOWHERE) && $truth(self._gives(source, t)))) { $into.push([source, self._pair(number, source)]); } } return $into; })()));
}
return [number];
}
_gives(number, t) {
const self = this;
return (!$truth($get(self.tensors, number).is_output) && ($get(self.tensors, number).quant === t.quant));
}
_pair(one, other) {
const self = this;
$list.append(self.pairs, [one, other]);
return ($len(self.pairs) - 1);
}
_step(t, pool, is_marked) {
const self = this;
let number, own, reads, takes;
takes = (() => { const $into = []; for (const each of [...t.src, t]) { for (const number of self._take(each, pool)) { $into.push(number); } } return $into; })();
reads = (() => { const $into = []; for (const number of $map($bound(self, "_number"), t.src)) { if (!$eq(number, allocator$NOWHERE)) { $into.push(number); } } return $into; })();
for (number of reads) {
$put(self.n_children, number, $extended($get(self.n_children, number), 1));
}
own = self._number(t);
if ((!$eq(own, allocator$NOWHERE) && !$eq($get(self.owners, own), allocator$NOWHERE) && (t.op !== "NONE"))) {
$put(self.n_views, $get(self.owners, own), $extended($get(self.n_views, $get(self.owners, own)), 1));
}
return new allocator$AllocationStep($tuple(takes), $tuple(reads), is_marked);
}
_all_places() {
const self = this;
let _, number, places, pool, reach, source;
places = $list($enumerate(self.pools));
reach = (() => { const $into = []; for (const pool of self.pools) { $into.push($set([pool])); } return $into; })();
for (number of [...self.first, ...(() => { const $into = []; for (const step of self.steps) { for (const number of step.takes) { $into.push(number); } } return $into; })()]) {
for ([source, _] of $get(self.candidates, number)) {
$put(reach, number, $updated($get(reach, number), $get(reach, source)));
}
for (pool of $sorted($sub($get(reach, number), $set([$get(self.pools, number)])))) {
$put(self.elsewhere, [number, pool], $len(places));
$list.append(places, [number, pool]);
}
}
return places;
}
}
class allocator$_Run {
constructor(program, sizes, alike, alignments) {
const self = this;
[self._program, self._sizes, self._alike] = [program, sizes, alike];
self.pools = (() => { const $into = []; for (const alignment of alignments) { $into.push(new allocator$Pool(alignment)); } return $into; })();
[self.children, self.views] = [$list(program.n_children), $list(program.n_views)];
self._pool = $list(program.pools);
[self._address, self._size] = [$repeat([0], $len(program.tensors)), $repeat([0], $len(program.tensors))];
self._is_allocated = $repeat([false], $len(program.tensors));
self._live = $dict([]);
}
allocate(number) {
const self = this;
let address, pair, pool, size, source;
$put(self._is_allocated, number, true);
for ([source, pair] of $get($bound(self, "_program").candidates, number)) {
if (($truth($get(self._is_allocated, source)) && $truth($get(self._alike, pair)) && $truth(self._reuse(number, source)))) {
return null;
}
}
[pool, size] = [$get(self._pool, number), $get(self._sizes, number)];
address = $get(self.pools, pool).take(size);
{
const $values = [...[size, address]];
$put(self._size, number, $values[0]);
$put(self._address, number, $values[1]);
}
$put(self._live, [pool, address], null);
}
_reuse(number, source) {
const self = this;
let address, had, needed, number_pool, pool, size;
if ((($get(self.children, source) !== 1) || ($get(self.views, source) !== 0))) {
return false;
}
$put(self._is_allocated, source, false);
[number_pool, address] = [$get(self._pool, source), $get(self._address, source)];
if ($eq(number_pool, $get(self._pool, number))) {
size = $get(self._sizes, number);
}
else {
size = $get(self._sizes, $get($bound(self, "_program").elsewhere, [number, number_pool]));
}
{
const $values = [...[number_pool, address, size]];
$put(self._pool, number, $values[0]);
$put(self._address, number, $values[1]);
$put(self._size, number, $values[2]);
}
pool = $get(self.pools, number_pool);
[needed, had] = [tensor$pad(size, pool.alignment), tensor$pad($get(self._size, source), pool.alignment)];
if ($gt(had, needed)) {
pool.give_back($add(address, needed), $sub(had, needed));
}
return true;
}
release(number) {
const self = this;
let owner;
owner = $get($bound(self, "_program").owners, number);
if (!$eq(owner, allocator$NOWHERE)) {
$put(self.views, owner, ($get(self.views, owner) - 1));
if ((($get(self.views, owner) === 0) && ($get(self.children, owner) === 0) && $truth($get(self._is_allocated, owner)))) {
self._free(owner);
}
}
else {
if ($truth($get(self._is_allocated, number))) {
self._free(number);
}
}
}
_free(number) {
const self = this;
let address, pool;
if ($truth($get($bound(self, "_program").tensors, number).is_output)) {
return null;
}
[pool, address] = [$get(self._pool, number), $get(self._address, number)];
$get(self.pools, pool).give_back(address, $get(self._size, number));
$put(self._is_allocated, number, false);
$list.pop(self._live, [pool, address], null);
}
state() {
const self = this;
return [$tuple((() => { const $into = []; for (const pool of self.pools) { $into.push($tuple($map($tuple, pool.free))); } return $into; })()), $tuple(self._live)];
}
}
const affine_sizes$N_SAMPLES = 3;
class affine_sizes$_Sample {
constructor(cells, program, sizes) {
this.cells = cells;
this.program = program;
this.sizes = sizes;
}
}
$dataclass(affine_sizes$_Sample, ["cells", "program", "sizes"], true);
class affine_sizes$Elastic {
constructor(is_rigid = false, _samples = $list(), _sizes = $list(), _alike_at = $list(), _is_alike = $list()) {
this.is_rigid = is_rigid;
this._samples = _samples;
this._sizes = _sizes;
this._alike_at = _alike_at;
this._is_alike = _is_alike;
}
get is_known() {
const self = this;
return $bool(self._sizes);
}
learn(cells, program, sizes) {
const self = this;
if (($truth(self.is_rigid) || $truth(self.is_known) || (() => { for (const sample of self._samples) { if ($eq($bound(sample, "cells"), cells)) return true; } return false; })())) {
return null;
}
$list.append(self._samples, new affine_sizes$_Sample(cells, program, sizes));
if ($eq($len(self._samples), affine_sizes$N_SAMPLES)) {
self.is_rigid = !$truth(self._draw());
self._samples = $slice(self._samples, null, 1, null);
}
}
at(cells) {
const self = this;
let alike, sizes;
sizes = (() => { const $into = []; for (const [base, step] of self._sizes) { $into.push($add(base, (step * cells))); } return $into; })();
alike = (() => { const $into = []; for (const [is_alike, at] of $zip(self._is_alike, self._alike_at, new $Named({strict: true}))) { $into.push($or(is_alike, () => $eq(at, cells))); } return $into; })();
return [$get(self._samples, 0).program, sizes, alike];
}
_draw() {
const self = this;
let _, at, first, gaps, second, sizes;
[first, second, _] = self._samples;
at = (() => { const $into = []; for (const sample of self._samples) { $into.push($bound(sample, "cells")); } return $into; })();
if ((() => { for (const sample of self._samples) { if (!$eq(sample.program.structure, first.program.structure)) return true; } return false; })()) {
return false;
}
if ((() => { for (const [one, other] of affine_sizes$_twins(first, second)) { if ($truth(affine_sizes$_is_padded_by_cells(one, other))) return true; } return false; })()) {
return false;
}
sizes = (() => { const $into = []; for (const i of $range($len($bound(first, "sizes")))) { $into.push(affine_sizes$_line(at, (() => { const $into = []; for (const s of self._samples) { $into.push($get($bound(s, "sizes"), i)); } return $into; })())); } return $into; })();
gaps = (() => { const $into = []; for (const pair of $range($len(first.program.pairs))) { $into.push(affine_sizes$_gap(at, (() => { const $into = []; for (const s of self._samples) { $into.push(affine_sizes$_difference(s.program, pair)); } return $into; })())); } return $into; })();
if (($in(null, sizes) || $in(null, gaps))) {
return false;
}
self._sizes = (() => { const $into = []; for (const line of sizes) { if ((line != null)) { $into.push(line); } } return $into; })();
self._is_alike = (() => { const $into = []; for (const gap of gaps) { $into.push($eq(gap, [])); } return $into; })();
self._alike_at = (() => { const $into = []; for (const gap of gaps) { $into.push(affine_sizes$_meeting($or(gap, () => []))); } return $into; })();
return true;
}
}
$dataclass(affine_sizes$Elastic, ["is_rigid", "_samples", "_sizes", "_alike_at", "_is_alike"], false);
function affine_sizes$_twins(one, other) {
return (() => { const $into = []; for (const [a, b, pool] of $zip(one.program.tensors, other.program.tensors, one.program.pools, new $Named({strict: true}))) { if (!$eq(pool, allocator$NOWHERE)) { $into.push([a, b]); } } return $into; })();
}
function affine_sizes$_is_padded_by_cells(one, other) {
return $and(one.quant.is_quantized, () => !$eq($get(one.ne, 0), $get(other.ne, 0)));
}
function affine_sizes$_difference(program, pair) {
let one, other;
[one, other] = (function* () { for (const number of $get(program.pairs, pair)) { yield $get(program.tensors, number); } })();
return (() => { const $into = []; for (const [a, b] of $zip([...one.ne, ...one.nb], [...other.ne, ...other.nb], new $Named({strict: true}))) { $into.push($sub(a, b)); } return $into; })();
}
function affine_sizes$_line(at, values) {
let base, rise, run, step;
[rise, run] = [$sub($get(values, 1), $get(values, 0)), $sub($get(at, 1), $get(at, 0))];
if ($truth($mod(rise, run))) {
return null;
}
step = $floordiv(rise, run);
base = $sub($get(values, 0), (step * $get(at, 0)));
return ((() => { for (const [x, value] of $zip(at, values, new $Named({strict: true}))) { if (!$eq($add(base, (step * x)), value)) return false; } return true; })() ? [base, step] : null);
}
function affine_sizes$_gap(at, differences) {
let lines;
lines = (() => { const $into = []; for (const values of $zip(...differences, new $Named({strict: true}))) { $into.push(affine_sizes$_line(at, $list(values))); } return $into; })();
return ($in(null, lines) ? null : (() => { const $into = []; for (const line of lines) { if (((line != null) && !$eq(line, [0, 0]))) { $into.push(line); } } return $into; })());
}
function affine_sizes$_meeting(gap) {
let places;
places = (() => { const $into = []; for (const [base, step] of gap) { $into.push((($truth(step) && ($mod(base, step) === 0)) ? $floordiv((-base), step) : null)); } return $into; })();
return (($truth(places) && (() => { for (const place of places) { if (!$eq(place, $get(places, 0))) return false; } return true; })()) ? $get(places, 0) : null);
}
const backends$ALIGNMENT = $dict([["CPU", 32]]);
const backends$CUDA_ALIGNMENT = 128;
const backends$MATRIX_ROW_PADDING = 512;
const backends$OFFLOAD_MIN_BATCH = 32;
const backends$_FUSED_HEADS = $frozenset($set([40, 64, 72, 80, 96, 112, 128, 256]));
const backends$_FUSED_LATENT = $frozenset($set([[576, 512], [512, 512]]));
function backends$alignment(device) {
return backends$ALIGNMENT.get(device, backends$CUDA_ALIGNMENT);
}
function backends$supports(device, node) {
let first;
if ((device === "CPU")) {
return true;
}
if ((node.op === "FLASH_ATTN_EXT")) {
return backends$_fuses(node);
}
first = ($truth(node.src) ? $get(node.src, 0) : node);
if ((node.op === "GET_ROWS")) {
return ((first.quant !== $get(ggml_types$QUANTS, "MXFP4")) || ($mod($get(first.ne, 0), 256) === 0));
}
if ((node.op === "SSM_CONV")) {
return ($mod($get(first.ne, 1), 128) === 0);
}
if ((node.op === "SSM_SCAN")) {
return ($in($get(first.ne, 0), [96, 128, 256]) && ($mod($get(first.ne, 1), 16) === 0));
}
return true;
}
function backends$_fuses(node) {
let k, q, v;
[q, k, v] = $slice(node.src, null, 3, null);
if (($in($get(k.ne, 0), backends$_FUSED_HEADS) && $eq($get(v.ne, 0), $get(k.ne, 0)))) {
return true;
}
return ($in([$get(k.ne, 0), $get(v.ne, 0)], backends$_FUSED_LATENT) && ($floordiv($get(q.ne, 2), $max($get(k.ne, 2), 1)) >= 2));
}
function backends$wants_offload(node) {
if ((node.op === "GET_ROWS")) {
return false;
}
if ((node.op === "MUL_MAT")) {
return $ge($get(node.ne, 1), backends$OFFLOAD_MIN_BATCH);
}
if ($in(node.op, ["MUL_MAT_ID", "ROPE"])) {
return $ge($get(node.ne, 2), backends$OFFLOAD_MIN_BATCH);
}
return $ge($math.prod($slice(node.ne, 1, null, null)), backends$OFFLOAD_MIN_BATCH);
}
function backends$alloc_bytes(device, tensor, reserves_copies = true) {
let n;
if ((device === "CPU")) {
return tensor.n_bytes;
}
n = tensor.n_bytes;
if (((tensor.op === "FLASH_ATTN_EXT") && $truth(reserves_copies))) {
n = backends$_fused_bytes(tensor, n);
}
if (($truth(tensor.quant.is_quantized) && $truth($mod($get(tensor.ne, 0), backends$MATRIX_ROW_PADDING)))) {
n = $extended(n, tensor.quant.row_bytes((backends$MATRIX_ROW_PADDING - $mod($get(tensor.ne, 0), backends$MATRIX_ROW_PADDING))));
}
return n;
}
function backends$_fused_bytes(node, n) {
let k, q, shares_k, v, vector;
[q, k, v] = $slice(node.src, null, 3, null);
vector = (($get(q.ne, 0) <= 256) && ($mod($get(q.ne, 0), 64) === 0) && ($mod($get(k.ne, 1), 256) === 0) && ($get(q.ne, 1) <= 2) && (k.quant === v.quant));
if ($truth(vector)) {
return n;
}
if ((k.quant !== tensor$F16)) {
n = $add(tensor$pad(n, backends$CUDA_ALIGNMENT), ($math.prod(k.ne) * 2));
}
shares_k = ((v.view_src != null) && ((v.view_src === k) || ((v.view_src === k.view_src) && $eq(v.offset, k.offset))));
if (((v.quant !== tensor$F16) && !$truth(shares_k))) {
n = $add(tensor$pad(n, backends$CUDA_ALIGNMENT), ($math.prod(v.ne) * 2));
}
return n;
}
function layers$n_decoding(model) {
return $sub(model.n_layer, model.integer("nextn_predict_layers", 0));
}
function layers$recurrent_layers(model) {
let feeding, heads, interval, listed, n_layer, rule;
[n_layer, rule] = [layers$n_decoding(model), families$family_of(model.arch).recurrence.layers];
if ($in(rule, ["none", "all", "beside"])) {
return $repeat([(rule !== "none")], n_layer);
}
if ((rule === "interval")) {
if ($in(("" + $str(model.arch) + ".attention.recurrent_layers"), model.metadata)) {
listed = model.per_layer("attention.recurrent_layers");
return $tuple((() => { const $into = []; for (const flag of $slice(listed, null, n_layer, null)) { $into.push($bool(flag)); } return $into; })());
}
interval = $max(model.integer("full_attention_interval", 4), 1);
return $tuple((() => { const $into = []; for (const il of $range(n_layer)) { $into.push(($mod((il + 1), interval) !== 0)); } return $into; })());
}
[heads, feeding] = [model.kv_heads, layers$feeding_layers(model)];
return $tuple((() => { const $into = []; for (const il of $range(n_layer)) { $into.push((($get(heads, il) === 0) && !$truth($get(feeding, il)))); } return $into; })());
}
function layers$feeding_layers(model) {
let n_layer, widths;
n_layer = layers$n_decoding(model);
if ((families$family_of(model.arch).recurrence.layers !== "no_kv_heads_no_ff")) {
return $repeat([false], n_layer);
}
widths = model.per_layer("feed_forward_length", 0);
return $tuple((() => { const $into = []; for (const width of $slice(widths, null, n_layer, null)) { $into.push((width > 0)); } return $into; })());
}
function layers$attending_layers(model) {
let beside, feeding, recurrent;
beside = (families$family_of(model.arch).recurrence.layers === "beside");
[recurrent, feeding] = [layers$recurrent_layers(model), layers$feeding_layers(model)];
return $tuple((() => { const $into = []; for (const il of $range($len(recurrent))) { $into.push($and($or(beside, () => !$truth($get(recurrent, il))), () => !$truth($get(feeding, il)))); } return $into; })());
}
function layers$sliding_window(model) {
let named, windows;
windows = families$family_of(model.arch).windows;
if ((!$truth(windows.period) || !$in(windows.n_layer, [0, layers$n_decoding(model)]))) {
return 0;
}
named = model.integer("attention.sliding_window", windows.n_tokens);
return (($truth(named) && $truth(windows.is_fixed)) ? windows.n_tokens : named);
}
function layers$windowed_layers(model) {
let flags, listed, n_layer, period, windows;
[n_layer, windows] = [layers$n_decoding(model), families$family_of(model.arch).windows];
if ((layers$sliding_window(model) === 0)) {
return $repeat([false], n_layer);
}
listed = model.metadata.get(("" + $str(model.arch) + ".attention.sliding_window_pattern"));
if ((($it) => $is.tuple($it))(listed)) {
flags = model.per_layer("attention.sliding_window_pattern");
return $tuple((() => { const $into = []; for (const flag of $slice(flags, null, n_layer, null)) { $into.push($bool(flag)); } return $into; })());
}
period = (((($it) => $is.int($it))(listed) && (listed >= 0)) ? listed : windows.period);
return layers$window_pattern(n_layer, period, windows.dense_first);
}
function layers$window_pattern(n_layer, period, dense_first) {
if ((period === 0)) {
return $repeat([true], n_layer);
}
return $tuple((() => { const $into = []; for (const il of $range(n_layer)) { $into.push(($truth(dense_first) ? ($mod(il, period) !== 0) : ($mod(il, period) < (period - 1)))); } return $into; })());
}
const hparams$UNROTATED_STEP = 4;
const hparams$THINNED_LAYERS = 10;
const hparams$MAX_LAYERS = 512;
const hparams$MAX_EXPERTS = 512;
const hparams$MAX_WIDTH = 16777216;
class hparams$LayerShape {
constructor(n_head, n_head_kv, head_k, head_v, is_swa = false, is_recurrent = false, has_attention = true, cache_layer = 0, n_expert_used = 0, index_width = 0, has_rope = true, has_deepstack = false, thins_gate = false) {
this.n_head = n_head;
this.n_head_kv = n_head_kv;
this.head_k = head_k;
this.head_v = head_v;
this.is_swa = is_swa;
this.is_recurrent = is_recurrent;
this.has_attention = has_attention;
this.cache_layer = cache_layer;
this.n_expert_used = n_expert_used;
this.index_width = index_width;
this.has_rope = has_rope;
this.has_deepstack = has_deepstack;
this.thins_gate = thins_gate;
}
kind(il) {
const self = this;
return $dataclasses.replace(self, new $Named({cache_layer: ($eq(self.cache_layer, il) ? 0 : self.cache_layer)}));
}
get k_width() {
const self = this;
return (self.head_k * self.n_head_kv);
}
get v_width() {
const self = this;
return (self.head_v * self.n_head_kv);
}
}
$dataclass(hparams$LayerShape, ["n_head", "n_head_kv", "head_k", "head_v", "is_swa", "is_recurrent", "has_attention", "cache_layer", "n_expert_used", "index_width", "has_rope", "has_deepstack", "thins_gate"], true);
class hparams$SsmShape {
constructor(conv_kernel, inner, state, rank, groups) {
this.conv_kernel = conv_kernel;
this.inner = inner;
this.state = state;
this.rank = rank;
this.groups = groups;
}
get channels() {
const self = this;
return $add(self.inner, ((2 * self.groups) * $bound(self, "state")));
}
get conv_state() {
const self = this;
return ($max((self.conv_kernel - 1), 0) * self.channels);
}
get ssm_state() {
const self = this;
return ($bound(self, "state") * self.inner);
}
}
$dataclass(hparams$SsmShape, ["conv_kernel", "inner", "state", "rank", "groups"], true);
class hparams$Hparams {
constructor(family, n_layer_all, n_embd, n_embd_inp, n_vocab, n_expert, n_swa, n_pos, is_mla, layers, ssm) {
this.family = family;
this.n_layer_all = n_layer_all;
this.n_embd = n_embd;
this.n_embd_inp = n_embd_inp;
this.n_vocab = n_vocab;
this.n_expert = n_expert;
this.n_swa = n_swa;
this.n_pos = n_pos;
this.is_mla = is_mla;
this.layers = layers;
this.ssm = ssm;
}
get n_layer() {
const self = this;
return $len(self.layers);
}
cache_owners(is_swa) {
const self = this;
return $tuple((() => { const $into = []; for (const [il, layer] of $enumerate(self.layers)) { if (($truth(layer.has_attention) && $eq(layer.cache_layer, il) && $eq(layer.is_swa, is_swa))) { $into.push(il); } } return $into; })());
}
get has_swa() {
const self = this;
return (() => { for (const layer of self.layers) { if ($truth(layer.is_swa)) return true; } return false; })();
}
get n_expert_used() {
const self = this;
return $max((() => { const $into = []; for (const layer of self.layers) { $into.push(layer.n_expert_used); } return $into; })());
}
get v_width_max() {
const self = this;
return $max((() => { const $into = []; for (const layer of self.layers) { $into.push(layer.v_width); } return $into; })());
}
}
$dataclass(hparams$Hparams, ["family", "n_layer_all", "n_embd", "n_embd_inp", "n_vocab", "n_expert", "n_swa", "n_pos", "is_mla", "layers", "ssm"], true);
function hparams$resolve_hparams(model, n_expert_used = null) {
let family, n_layer, n_layer_all;
family = families$family_of(model.arch);
[n_layer_all, n_layer] = [model.n_layer, layers$n_decoding(model)];
if (!((1 <= n_layer) && $le(n_layer, n_layer_all) && $le(n_layer_all, hparams$MAX_LAYERS))) {
throw new errors$ModelFileError(("" + $str(model.source) + ": " + $str(n_layer) + " of " + $str(n_layer_all) + " layers to run; 1 to " + $str(hparams$MAX_LAYERS) + " can be"));
}
if (!((0 <= model.n_expert) && $le(model.n_expert, hparams$MAX_EXPERTS))) {
throw new errors$ModelFileError(("" + $str(model.source) + ": " + $str(model.n_expert) + " experts; llama.cpp takes at most " + $str(hparams$MAX_EXPERTS)));
}
hparams$_check_widths(model);
return new hparams$Hparams(family, n_layer_all, model.n_embd, (model.n_embd * (1 + model.integer("n_deepstack_layers", 0))), model.n_vocab, model.n_expert, layers$sliding_window(model), ($truth(hparams$_has_sections(model, family)) ? 4 : 1), $bool(model.integer("attention.key_length_mla", 0)), hparams$_layers(model, family, n_layer, n_expert_used), hparams$_ssm(model));
}
function hparams$_check_widths(model) {
let key;
for (key of ["embedding_length", "attention.head_count", "attention.head_count_kv", "attention.key_length", "attention.value_length", "attention.sliding_window"]) {
if (!((0 <= model.integer(key, 0)) && $le(model.integer(key, 0), hparams$MAX_WIDTH))) {
throw new errors$ModelFileError(("" + $str(model.source) + ": " + $str(model.arch) + "." + $str(key) + " is " + $str(model.integer(key)) + ", which no model has"));
}
}
}
function hparams$_layers(model, family, n_layer, n_expert_used) {
let attends, default$, head_k, head_k_swa, head_v, head_v_swa, heads, index_width, n_head_kv, owned, recurrent, rope, swa, used;
[heads, n_head_kv] = [model.per_layer("attention.head_count", 0), model.kv_heads];
default$ = (($max(heads) > 0) ? $floordiv(model.n_embd, $max(heads)) : 0);
[head_k, head_v] = (function* () { for (const which of ["key", "value"]) { yield model.integer(("" + "attention." + $str(which) + "_length"), default$); } })();
[head_k_swa, head_v_swa] = (function* () { for (const [which, full] of [["key", head_k], ["value", head_v]]) { yield model.integer(("" + "attention." + $str(which) + "_length_swa"), full); } })();
[swa, recurrent] = [layers$windowed_layers(model), layers$recurrent_layers(model)];
attends = layers$attending_layers(model);
owned = hparams$_layers_with_own_cache(model, family, n_layer);
used = hparams$_experts_used(model, n_expert_used);
rope = hparams$_rotated_layers(model, family, swa);
index_width = ($truth(family.graph.has_indexer) ? model.integer("attention.indexer.key_length", 0) : 0);
return $tuple((() => { const $into = []; for (const il of $range(n_layer)) { $into.push(new hparams$LayerShape($get(heads, il), $get(n_head_kv, il), ($truth($get(swa, il)) ? head_k_swa : head_k), ($truth($get(swa, il)) ? head_v_swa : head_v), $get(swa, il), $get(recurrent, il), $get(attends, il), ($lt(il, owned) ? il : $sub(owned, ($truth($get(swa, il)) ? 2 : 1))), $get(used, il), index_width, $get(rope, il), $lt(il, model.integer("n_deepstack_layers", 0)), (($bound(family.graph, "layer") === "altup") && $lt(il, hparams$THINNED_LAYERS)))); } return $into; })());
}
function hparams$_has(model, key) {
return $in(("" + $str(model.arch) + "." + $str(key)), model.metadata);
}
function hparams$_experts_used(model, override) {
let used;
if (!$truth(model.is_moe)) {
return $repeat([0], model.n_layer);
}
used = ($truth(override) ? $repeat([override], model.n_layer) : model.per_layer("expert_used_count"));
if ((!((1 <= $max(used)) && $le($max(used), model.n_expert)) || ($min(used) < 0))) {
throw new errors$ModelFileError(("" + $str(model.source) + ": n_expert_used is " + $str($max(used)) + ", and the model has " + $str(model.n_expert) + " experts; choose 1 to " + $str(model.n_expert)));
}
return used;
}
function hparams$_layers_with_own_cache(model, family, n_layer) {
let shared;
shared = model.integer("attention.shared_kv_layers", $max(0, $sub(n_layer, $or(family.graph.shares_kv_from, () => n_layer))));
if (($truth(shared) && ($sub(n_layer, shared) < 2))) {
throw new errors$ModelFileError(("" + $str(model.source) + ": " + $str(shared) + " of " + $str(n_layer) + " layers share a KV cache; two must have their own"));
}
return $sub(n_layer, shared);
}
function hparams$_has_sections(model, family) {
let listed, sections;
sections = model.metadata.get(("" + $str(model.arch) + ".rope.dimension_sections"));
listed = ((($it) => $is.tuple($it))(sections) && ($len(sections) > 1) && (() => { for (const n of $slice(sections, null, 2, null)) { if (!((($it) => $is.int($it))(n) && (n > 0))) return false; } return true; })());
return ((family.rope.sections === "listed") ? listed : (family.rope.sections === "always"));
}
function hparams$_rotated_layers(model, family, swa) {
let finetuned, layers, step;
layers = ($truth(family.has_known_graph) ? family.rope.layers : "all");
if (((layers === "windowed") && $any(swa))) {
return swa;
}
if ((layers === "stepped")) {
step = (($any(swa) || !$truth(family.windows.period)) ? hparams$UNROTATED_STEP : $len(swa));
return $tuple((() => { const $into = []; for (const il of $range($len(swa))) { $into.push(($mod((il + 1), step) !== 0)); } return $into; })());
}
finetuned = $bool(model.metadata.get(("" + $str(model.arch) + ".rope.scaling.finetuned"), true));
return $repeat([$and((layers !== "none"), () => $or(finetuned, () => (layers !== "finetuned")))], $len(swa));
}
function hparams$_ssm(model) {
let shape;
if ($truth(hparams$_has(model, "shortconv.l_cache"))) {
return new hparams$SsmShape(model.integer("shortconv.l_cache"), model.n_embd, 0, 1, 0);
}
if (!$truth(hparams$_has(model, "ssm.inner_size"))) {
return null;
}
shape = new hparams$SsmShape(model.integer("ssm.conv_kernel"), model.integer("ssm.inner_size"), model.integer("ssm.state_size"), model.integer("ssm.time_step_rank"), model.integer("ssm.group_count", 0));
if ((($min(shape.conv_kernel, shape.inner, $bound(shape, "state"), shape.rank) < 1) || $gt(shape.inner, hparams$MAX_WIDTH))) {
throw new errors$ModelFileError(("" + $str(model.source) + ": the ssm widths " + $str(shape) + " cannot be; is the file complete?"));
}
return shape;
}
const placement$CPU = "CPU";
const placement$CUDA_HOST = "CUDA_Host";
const placement$_INPUT_TENSORS = ["token_embd.", "position_embd.", "token_types.", "per_layer_token_embd."];
const placement$_LAYER = $re.compile("blk\\.(\\d+)\\.");
const placement$_CPU_MOE = "blk\\.{}\\.ffn_(up|down|gate|gate_up)_(ch|)exps";
function placement$layer_of(name) {
let match;
match = placement$_LAYER.match(name);
return ($truth(match) ? $int($get(match, 1)) : null);
}
function placement$_float32(x) {
return $float($get($struct.unpack("f", $struct.pack("f", x)), 0));
}
class placement$Placement {
constructor(config, n_layer_all) {
const self = this;
let n_gpu_layers;
self._n_layer_all = n_layer_all;
self.offloads_kqv = config.offload_kqv;
self.cards = placement$_cards(config);
n_gpu_layers = ((config.n_gpu_layers >= 0) ? config.n_gpu_layers : (n_layer_all + 1));
self.offloads_all = ($bool(self.cards) && $gt(n_gpu_layers, n_layer_all));
self._on_cards = ($truth(self.cards) ? $min(n_gpu_layers, (n_layer_all + 1)) : 0);
self._first = $max($sub((n_layer_all + 1), n_gpu_layers), 0);
self._splits = placement$_splits(config, $len(self.cards));
self._overrides = placement$_overrides(config, self.cards, n_layer_all);
self.has_overrides = $bool(self._overrides);
self.pipeline = $and(($len(self.cards) > 1), () => self.offloads_all, () => config.offload_kqv, () => (config.split_mode === "layer"), () => !$truth(self.has_overrides));
self.key = [self.cards, self._first, self._on_cards, $tuple(self._splits), config.split_mode, config.override_tensor, config.n_cpu_moe, config.offload_kqv];
}
$backends() {
const self = this;
return [...self.cards, placement$CPU];
}
get backends() { return $kept(this, "backends"); }
get host() {
const self = this;
return ($truth(self.cards) ? placement$CUDA_HOST : placement$CPU);
}
layer(il) {
const self = this;
let share;
if (($lt(il, self._first) || $ge($sub(il, self._first), self._on_cards))) {
return placement$CPU;
}
share = placement$_float32(($sub(il, self._first) / self._on_cards));
return $get(self.cards, $min($bisect.bisect_right(self._splits, share), ($len(self.cards) - 1)));
}
get output() {
const self = this;
return self.layer(self._n_layer_all);
}
cache(il) {
const self = this;
return ($truth(self.offloads_kqv) ? self.layer(il) : placement$CPU);
}
weight(name, il = null) {
const self = this;
let device, own, pattern;
for ([pattern, device] of self._overrides) {
if ($truth(pattern.search(name))) {
return device;
}
}
if ($truth($string.startswith(name, placement$_INPUT_TENSORS))) {
return placement$CPU;
}
own = placement$layer_of(name);
if ((own == null)) {
own = ((il == null) ? self._n_layer_all : il);
}
return self.layer(own);
}
}
function placement$_cards(config) {
let names;
names = $tuple((() => { const $into = []; for (const i of $range(config.n_devices)) { $into.push(("" + "CUDA" + $str(i))); } return $into; })());
if (((config.split_mode !== "none") || !$truth(names))) {
return names;
}
if (!((0 <= config.main_gpu) && (config.main_gpu < $len(names)))) {
throw new errors$ConfigError(("" + "main_gpu is " + $str(config.main_gpu) + ", and there are " + $str($len(names)) + " cards; choose one below that"));
}
return [$get(names, config.main_gpu)];
}
function placement$_splits(config, n_cards) {
let shares, total;
shares = $list($slice($or(config.tensor_split, () => []), null, n_cards, null));
shares = $extended(shares, $repeat([0.0], (n_cards - $len(shares))));
if ((() => { for (const share of shares) { if ((share < 0)) return true; } return false; })()) {
throw new errors$ConfigError(("" + "tensor_split " + $str(config.tensor_split) + " has a negative share; give one of 0 or more a card"));
}
if (($sum(shares) <= 0)) {
shares = $repeat([1.0], n_cards);
}
total = $sum(shares);
return (() => { const $into = []; for (const sofar of $itertools.accumulate(shares)) { $into.push(placement$_float32((sofar / total))); } return $into; })();
}
function placement$_overrides(config, cards, n_layer_all) {
let buffer, equals, error, item, pairs, pattern;
pairs = [];
for (item of $string.split($or(config.override_tensor, () => ""), ",")) {
if (!$truth(item)) {
continue;
}
[pattern, equals, buffer] = $string.rpartition(item, "=");
if ((!$truth(equals) || !$in(buffer, [...cards, placement$CPU, placement$CUDA_HOST]))) {
throw new errors$ConfigError(("" + "override_tensor " + $repr(item) + " is not pattern=buffer; the buffers are CPU, " + $str($string.join(", ", cards))));
}
$list.append(pairs, [pattern, ($eq(buffer, placement$CUDA_HOST) ? placement$CPU : buffer)]);
}
pairs = $extended(pairs, (() => { const $into = []; for (const il of $range($min(config.n_cpu_moe, n_layer_all))) { $into.push([$string.format(placement$_CPU_MOE, il), placement$CPU]); } return $into; })());
try {
return (() => { const $into = []; for (const [pattern, device] of pairs) { $into.push([$re.compile(pattern), device]); } return $into; })();
} catch ($error) {
if ($error instanceof $re.error) {
error = $error;
throw new errors$ConfigError(("" + "override_tensor has a pattern that is no regular expression: " + $str(error)));
}
else
throw $error;
}
}
class sizes$Sizes {
constructor(cells, cells_swa, n_stream, n_seqs, n_tokens, n_outputs) {
this.cells = cells;
this.cells_swa = cells_swa;
this.n_stream = n_stream;
this.n_seqs = n_seqs;
this.n_tokens = n_tokens;
this.n_outputs = n_outputs;
}
get caches() {
const self = this;
return [$bound(self, "cells"), self.cells_swa, self.n_stream, self.n_seqs];
}
}
$dataclass(sizes$Sizes, ["cells", "cells_swa", "n_stream", "n_seqs", "n_tokens", "n_outputs"], true);
function sizes$resolve_sizes(config, hparams) {
let cells, n_batch, n_ctx, n_seqs, n_tokens, n_ubatch, padded, window;
n_seqs = config.n_seq_max;
padded = tensor$pad(config.n_ctx, 256);
cells = ($truth(config.kv_unified) ? padded : tensor$pad($floordiv(padded, n_seqs), 256));
if ((cells === 0)) {
throw new errors$ConfigError(("" + "n_ctx " + $str(config.n_ctx) + " leaves nothing for each of " + $str(n_seqs) + " sequences; raise n_ctx"));
}
n_ctx = ($truth(config.kv_unified) ? cells : (cells * n_seqs));
n_batch = $min(config.n_ctx, config.n_batch);
n_ubatch = $min(n_batch, config.n_ubatch);
n_tokens = $min(n_ctx, n_ubatch);
window = $add((hparams.n_swa * ($truth(config.kv_unified) ? n_seqs : 1)), n_ubatch);
return new sizes$Sizes(cells, ($truth(config.swa_full) ? cells : tensor$pad($min(cells, window), 256)), ($truth(config.kv_unified) ? 1 : n_seqs), n_seqs, tensor$pad(n_tokens, n_seqs), $min(n_tokens, $or(config.n_outputs_max, () => n_batch)));
}
class builder$CacheTypes {
constructor(k, v, flash_attn, transposes_v) {
this.k = k;
this.v = v;
this.flash_attn = flash_attn;
this.transposes_v = transposes_v;
}
}
$dataclass(builder$CacheTypes, ["k", "v", "flash_attn", "transposes_v"], true);
const builder$PINS_NORMS_BELOW = 32;
class builder$Builder {
constructor(model, hparams, placement, sizes, cache, n_tokens, n_outputs, build = build$LATEST) {
const self = this;
[self.model, self.hparams] = [model, hparams];
[self.family, self.rules] = [hparams.family, hparams.family.graph];
[self.placement, self.sizes, self.cache] = [placement, sizes, cache];
[self.n_tokens, self.n_outputs, self.build] = [n_tokens, n_outputs, build];
self.graph = new tensor$Graph();
self.fused_layers = $dict([]);
self._pins_norms = $or($lt(n_tokens, builder$PINS_NORMS_BELOW), () => placement.offloads_all);
self._made = $dict([]);
}
once(key, about, make) {
const self = this;
let tensor;
tensor = self._made.get([key, about]);
if ((tensor == null)) {
{
const $value = make();
tensor = $value;
$put(self._made, [key, about], $value);
}
}
return tensor;
}
shape(il) {
const self = this;
return $get($bound(self, "hparams").layers, il);
}
get outputs_at() {
const self = this;
return ($truth(self.build.keeps_all_rows) ? self.rules.outputs_at : "last_layer");
}
has(name, il = null) {
const self = this;
return $in(self._full(name, il), self.model.tensors);
}
weight(name, il = null) {
const self = this;
let full;
full = self._full(name, il);
if ((!$in(full, self.model.tensors) && !$truth($string.endswith(full, [".weight", ".bias", ".scale"])))) {
full = $extended(full, ".weight");
}
return self._load(full, self.placement.weight(full));
}
weight_if(name, il = null) {
const self = this;
return ($truth(self.has(name, il)) ? self.weight(name, il) : null);
}
first_layer_weight(name) {
const self = this;
let full;
full = ("" + $str(name) + ".weight");
return self._load(full, self.placement.weight(full, 0));
}
output_weight() {
const self = this;
if ($truth(self.has("output.weight"))) {
return self.weight("output");
}
return self._load("token_embd.weight", self.placement.output);
}
rope_factors(il) {
const self = this;
let factors;
factors = (() => { for (const n of self._rope_factor_names()) { if ($in(n, self.model.tensors)) { return n; } } return null; })();
return ($truth(factors) ? self._load(factors, self.placement.weight(factors, il)) : null);
}
_rope_factor_names() {
const self = this;
let length, trained;
trained = self.model.integer("rope.scaling.original_context_length", self.model.n_ctx_train);
length = ($gt($bound($bound(self, "sizes"), "cells"), trained) ? "long" : "short");
return ["rope_freqs.weight", ("" + "rope_factors_" + $str(length) + ".weight")];
}
_load(full, device) {
const self = this;
let info;
info = self.model.tensors.get(full);
if ((info == null)) {
throw new errors$ModelFileError(("" + $str(self.model.source) + ": tensor " + $repr(full) + " is missing, which architecture " + $str(self.model.arch) + " needs; is the file complete?"));
}
return self.once(full, device, (() => self.graph.leaf(info.quant, full, device, undefined, true, ...info.ne)));
}
_full(name, il) {
const self = this;
return ((il == null) ? name : ("" + "blk." + $str(il) + "." + $str(name)));
}
linear(name, x, il = null) {
const self = this;
let bias, scale, y;
y = self.graph.mul_mat(self.weight(name, il), x);
if ($truth((scale = self.weight_if(("" + $str(name) + ".scale"), il)))) {
y = self.graph.mul(y, scale);
}
if ($truth((bias = self.weight_if(("" + $str(name) + ".bias"), il)))) {
y = self.graph.add(y, bias);
}
return y;
}
input(name, quant, ...ne) {
const self = this;
return self.once(name, "input", (() => self.graph.leaf(quant, name, undefined, true, undefined, ...ne)));
}
positions() {
const self = this;
return self.input("inp_pos", tensor$I32, (self.n_tokens * $bound(self, "hparams").n_pos));
}
output_rows(x) {
const self = this;
return self.graph.get_rows(x, self.input("inp_out_ids", tensor$I32, self.n_outputs));
}
stored(name, il, quant, ...ne) {
const self = this;
let device;
device = self.placement.cache(il);
return self.once(name, il, (() => self.graph.leaf(quant, ("" + "cache_" + $str(name) + "_l" + $str(il)), device, undefined, undefined, ...ne)));
}
norm(x, name, il = null, pins = true, kind = null) {
const self = this;
let bias, y;
y = self.graph.like($or(kind, () => (($bound(self.rules, "norm") === "layer") ? "NORM" : "RMS_NORM")), x);
if ((name == null)) {
return y;
}
if (((il != null) && $truth(pins) && $truth(self._pins_norms))) {
y.pinned = self.placement.layer(il);
}
y = self.graph.mul(y, self.weight(name, il));
bias = self.weight_if(("" + $str(name) + ".bias"), il);
return ($truth(bias) ? self.graph.add(y, bias) : y);
}
}
function builder$embed(b) {
let graph, rows, width;
[graph, width] = [b.graph, $bound(b, "hparams").n_embd_inp];
rows = graph.get_rows(b.weight("token_embd"), b.input("inp_tokens", tensor$I32, b.n_tokens));
if (!$eq(width, $bound(b, "hparams").n_embd)) {
rows = graph.node("PAD", [width, b.n_tokens], undefined, rows);
}
graph.expand(rows);
if ($truth(b.build.embeds_inputs)) {
graph.expand(b.input("inp_embd", tensor$F32, width, b.n_tokens));
}
if (!$eq(width, $bound(b, "hparams").n_embd)) {
rows = graph.view(rows, [$bound(b, "hparams").n_embd, b.n_tokens], [$get(rows.nb, 1)]);
}
if ($truth(b.model.hparam("embedding_scale", 0.0))) {
rows = graph.scale(rows);
}
graph.expand(rows);
return ($truth(b.rules.scales_embedding) ? graph.scale(rows) : rows);
}
const attention$ROTATION_STEP = 64;
function attention$attend(b, q, k, v, il, output = "attn_output", sinks = null, up = null, narrow = null) {
let cached_k, cached_v, mask, rotates_k, rotates_v, x, y;
[rotates_k, rotates_v] = attention$_rotation(b, il, (up != null));
if ($truth(rotates_k)) {
q = attention$_rotate(b, q, "k", rotates_k, il);
k = ($truth(k) ? attention$_rotate(b, k, "k", rotates_k, il) : null);
}
if (($truth(rotates_v) && $truth(v))) {
v = attention$_rotate(b, v, "v", rotates_v, il);
}
for (x of ($truth($bound(b, "hparams").has_swa) ? [q, k, v] : [q, v, k])) {
if ($truth(x)) {
b.graph.expand(x);
}
}
cached_k = attention$_cached_k(b, k, il);
if (((up != null) && (v != null))) {
cached_v = b.graph.view(cached_k, [$get(v.ne, 0), ...$slice(cached_k.ne, 1, null, null)], $slice(cached_k.nb, 1, null, null));
}
else {
cached_v = attention$_cached_v(b, v, il);
}
mask = attention$_mask(b, il, $get(cached_k.ne, 2));
mask = ($truth(narrow) ? narrow(mask) : mask);
y = ($truth($bound(b, "cache").flash_attn) ? attention$_fused : attention$_plain)(b, q, cached_k, cached_v, mask, il, sinks, up);
b.graph.expand(y);
if ($truth(rotates_v)) {
y = attention$_rotate(b, y, "v", rotates_v, il);
}
return ($truth(output) ? b.linear(output, y, il) : y);
}
function attention$_tag(b, il) {
return ($truth(b.shape(il).is_swa) ? "_swa" : "");
}
function attention$_cells(b, il) {
return ($truth(b.shape(il).is_swa) ? $bound(b, "sizes").cells_swa : $bound($bound(b, "sizes"), "cells"));
}
function attention$_rotation(b, il, latent) {
let k_width, owners, v_width, widths_k, widths_v;
if (!$truth(b.build.rotates_cache)) {
return [0, 0];
}
owners = $bound(b, "hparams").cache_owners(b.shape(il).is_swa);
[widths_k, widths_v] = (function* () { for (const which of ["head_k", "head_v"]) { yield $set((() => { const $into = []; for (const i of owners) { $into.push($getattr(b.shape(i), which)); } return $into; })()); } })();
k_width = v_width = 0;
if ((!$truth(latent) && $truth($bound(b, "cache").k.is_quantized) && $truth(attention$_is_one_width(widths_k)) && ($mod(b.shape(0).head_k, attention$ROTATION_STEP) === 0))) {
k_width = attention$ROTATION_STEP;
while (($mod(b.shape(il).head_k, (2 * k_width)) === 0)) {
k_width = (k_width * 2);
}
}
if ((!$truth(latent) && $truth($bound(b, "cache").v.is_quantized) && $truth(attention$_is_one_width(widths_v)) && ($mod(b.shape(0).head_v, attention$ROTATION_STEP) === 0))) {
v_width = attention$ROTATION_STEP;
}
return [k_width, v_width];
}
function attention$_is_one_width(widths) {
return (($len(widths) === 1) && ($min(widths) > 0));
}
function attention$_rotate(b, x, which, width, il) {
let flat, graph, matrix;
graph = b.graph;
matrix = b.input(("" + "attn_inp_" + $str(which) + "_rot" + $str(attention$_tag(b, il))), tensor$F32, width, width);
flat = ($truth(x.is_contiguous) ? $bound(graph, "reshape") : $bound(graph, "cont"))(x, width, $floordiv($math.prod(x.ne), width));
return graph.reshape(graph.mul_mat(matrix, flat), ...x.ne);
}
function attention$store(b, x, cache, ids) {
let graph, rows, width;
[graph, width] = [b.graph, ($get(x.ne, 0) * $get(x.ne, 1))];
rows = graph.view(x, [width, $get(x.ne, 2)], [$get(x.nb, 2)]);
if (($bound(b, "sizes").n_stream > 1)) {
cache = graph.reshape(cache, width, ($get(cache.ne, 1) * $get(cache.ne, 2)));
}
graph.expand(graph.set_rows(cache, rows, ids));
}
function attention$_cached_k(b, k, il) {
let cache, cells, quant, row, shape, steps;
[shape, cells, quant] = [b.shape(il), attention$_cells(b, il), $bound(b, "cache").k];
cache = b.stored("k", shape.cache_layer, quant, shape.k_width, cells, $bound(b, "sizes").n_stream);
if ($truth(k)) {
attention$store(b, k, cache, b.input(("" + "attn_inp_k_idxs" + $str(attention$_tag(b, il))), tensor$I64, b.n_tokens));
}
row = quant.row_bytes(shape.k_width);
steps = [quant.row_bytes(shape.head_k), row, (row * cells)];
return b.graph.view(cache, [shape.head_k, shape.n_head_kv, cells, $bound(b, "sizes").n_stream], steps);
}
function attention$_cached_v(b, v, il) {
let cache, cells, column, n_stream, quant, row, shape, steps, width;
[shape, cells, quant, n_stream] = [b.shape(il), attention$_cells(b, il), $bound(b, "cache").v, $bound(b, "sizes").n_stream];
if (!$truth($bound(b, "cache").transposes_v)) {
cache = b.stored("v", shape.cache_layer, quant, shape.v_width, cells, n_stream);
if ($truth(v)) {
attention$store(b, v, cache, b.input(("" + "attn_inp_v_idxs" + $str(attention$_tag(b, il))), tensor$I64, b.n_tokens));
}
row = quant.row_bytes(shape.v_width);
steps = [quant.row_bytes(shape.head_v), row, (row * cells)];
return b.graph.view(cache, [shape.head_v, shape.n_head_kv, cells, n_stream], steps);
}
width = $bound(b, "hparams").v_width_max;
cache = b.stored("v", shape.cache_layer, quant, width, cells, n_stream);
if ($truth(v)) {
attention$_store_transposed(b, v, cache, b.input(("" + "attn_inp_v_idxs" + $str(attention$_tag(b, il))), tensor$I64, (b.n_tokens * width)));
}
column = quant.row_bytes(cells);
steps = [quant.row_bytes((cells * shape.head_v)), column, quant.row_bytes((cells * width))];
return b.graph.view(cache, [cells, shape.n_head_kv, shape.head_v, n_stream], steps);
}
function attention$_store_transposed(b, v, cache, ids) {
let flat, graph, mergeable, target, width;
[graph, width] = [b.graph, ($get(v.ne, 0) * $get(v.ne, 1))];
mergeable = $eq(v.quant.row_bytes(width), $get(v.nb, 2));
flat = ($truth(mergeable) ? $bound(graph, "reshape") : $bound(graph, "cont"))(v, width, $get(v.ne, 2));
if ($lt(width, $get(cache.ne, 0))) {
flat = graph.node("PAD", [$get(cache.ne, 0), $get(v.ne, 2)], undefined, flat);
}
target = graph.reshape(cache, 1, $math.prod(cache.ne));
graph.expand(graph.set_rows(target, graph.reshape(flat, 1, $math.prod(flat.ne)), ids));
}
function attention$_mask(b, il, n_kv) {
let kind, mask, n_stream, name;
[n_stream, name] = [$bound(b, "sizes").n_stream, ("" + "attn_inp_kq_mask" + $str(attention$_tag(b, il)))];
kind = (($truth($bound(b, "cache").flash_attn) && $truth(b.build.narrow_mask)) ? tensor$F16 : tensor$F32);
mask = b.input(name, kind, n_kv, $floordiv(b.n_tokens, n_stream), 1, n_stream);
if ((!$truth($bound(b, "cache").flash_attn) || $truth(b.build.narrow_mask))) {
return mask;
}
return b.once(("" + $str(name) + "_cnv"), "cast", (() => b.graph.node("CPY", mask.ne, tensor$F16, mask)));
}
function attention$_by_head(b, q, k, v) {
let graph, n, n_stream;
[graph, n_stream] = [b.graph, $get(k.ne, 3)];
n = $floordiv($get(q.ne, 2), n_stream);
q = graph.view(q, [$get(q.ne, 0), $get(q.ne, 1), n, n_stream], [$get(q.nb, 1), $get(q.nb, 2), ($get(q.nb, 2) * n)]);
return [graph.permute(q, undefined, 0, 2, 1, 3), graph.permute(k, undefined, 0, 2, 1, 3), graph.permute(v, undefined, 0, 2, 1, 3)];
}
function attention$_fused(b, q, k, v, mask, il, sinks, up) {
let graph, y;
graph = b.graph;
[q, k, v] = attention$_by_head(b, q, k, v);
y = graph.node("FLASH_ATTN_EXT", [$get(v.ne, 0), $get(q.ne, 2), $get(q.ne, 1), $get(q.ne, 3)], undefined, q, k, v, mask, sinks);
$put(b.fused_layers, y, il);
if ((up != null)) {
y = graph.mul_mat(up, graph.permute(y, undefined, 0, 2, 1, 3));
y = graph.cont(graph.permute(y, undefined, 0, 2, 1, 3));
}
return graph.reshape(y, ($get(y.ne, 0) * $get(y.ne, 1)), ($get(y.ne, 2) * $get(y.ne, 3)));
}
function attention$_plain(b, q, k, v, mask, il, sinks, up) {
let graph, scores, transposed, y;
[graph, transposed] = [b.graph, $gt($get(v.nb, 1), $get(v.nb, 2))];
[q, k, v] = attention$_by_head(b, q, k, v);
scores = graph.mul_mat(k, q);
if ($truth(b.rules.softcaps_scores)) {
scores = graph.scale(graph.unary("TANH", graph.scale(scores)));
}
scores = graph.like("SOFT_MAX", scores, mask, sinks);
if (!$truth(transposed)) {
v = graph.cont(graph.transpose(v));
}
y = graph.mul_mat(v, scores);
if ((up != null)) {
y = graph.mul_mat(up, y);
}
y = graph.permute(y, undefined, 0, 2, 1, 3);
y = graph.cont(y, ($get(y.ne, 0) * $get(y.ne, 1)), ($get(y.ne, 2) * $get(y.ne, 3)));
if (!$truth(b.placement.offloads_kqv)) {
y.pinned = $get(b.placement.backends, (-1));
}
return y;
}
function attention$project_qkv(b, x, il) {
let cuts, fused, graph, heads, k, n, offset, parts, q, shape, v, width;
[graph, shape, n] = [b.graph, b.shape(il), b.n_tokens];
cuts = [[shape.head_k, shape.n_head], [shape.head_k, shape.n_head_kv], [shape.head_v, shape.n_head_kv]];
if ($truth(b.has("attn_qkv.weight", il))) {
[fused, offset, parts] = [b.linear("attn_qkv", x, il), 0, []];
for ([width, heads] of cuts) {
$list.append(parts, graph.view(fused, [width, heads, n], [(4 * width), $get(fused.nb, 1)], (4 * offset)));
offset = $extended(offset, (width * heads));
}
}
else {
[q, k] = [b.linear("attn_q", x, il), b.linear("attn_k", x, il)];
v = ($truth(b.has("attn_v.weight", il)) ? b.linear("attn_v", x, il) : k);
parts = (() => { const $into = []; for (const [y, [width, heads]] of $zip([q, k, v], cuts, new $Named({strict: true}))) { $into.push(graph.reshape(y, width, heads, n)); } return $into; })();
}
return [$get(parts, 0), $get(parts, 1), $get(parts, 2)];
}
function attention$rope(b, x, il, factors = true) {
let takes;
takes = $and(factors, () => ((b.family.rope.factors === "all") || ((b.family.rope.factors === "full") && !$truth(b.shape(il).is_swa))));
return b.graph.like("ROPE", x, b.positions(), ($truth(takes) ? b.rope_factors(il) : null));
}
function attention$standard(b, x, il) {
let k, q, sinks, v;
sinks = b.weight_if("attn_sinks.weight", il);
if (!$eq(b.shape(il).cache_layer, il)) {
q = b.graph.reshape(b.linear("attn_q", x, il), b.shape(il).head_k, b.shape(il).n_head, b.n_tokens);
return attention$attend(b, attention$_positioned(b, q, "attn_q_norm", il), null, null, il, undefined, sinks);
}
[q, k, v] = ($truth(attention$_norms_rows(b, il)) ? attention$_normed_rows(b, x, il) : attention$project_qkv(b, x, il));
[q, k] = [attention$_positioned(b, q, "attn_q_norm", il), attention$_positioned(b, k, "attn_k_norm", il)];
if ($truth(b.rules.norms_v)) {
v = b.norm(v, null);
}
q = attention$_tempered(b, q, il);
if ($truth(b.rules.scales_q)) {
q = b.graph.scale(q);
}
return attention$attend(b, q, k, v, il, undefined, sinks);
}
function attention$_norms_rows(b, il) {
return $and((b.rules.qk_norm === "rows"), () => b.has("attn_q_norm.weight", il));
}
function attention$_positioned(b, x, norm, il) {
let norms;
norms = $and(b.has(("" + $str(norm) + ".weight"), il), () => !$truth(attention$_norms_rows(b, il)));
if (($truth(norms) && (b.rules.qk_norm === "heads"))) {
x = b.norm(x, norm, il);
}
if ($truth(b.shape(il).has_rope)) {
x = attention$rope(b, x, il);
if ($lt($bound(b, "hparams").n_expert, b.rules.norms_rotated_below)) {
x = b.norm(x, null);
}
}
return (($truth(norms) && (b.rules.qk_norm === "rotated")) ? b.norm(x, norm, il) : x);
}
function attention$_tempered(b, q, il) {
let by_layer, kind;
kind = b.rules.temperature;
by_layer = ((kind === "unrotated") && !$truth(b.shape(il).has_rope));
if (($truth(by_layer) || ((kind === "metadata") && $truth(b.model.hparam("attention.temperature_scale", 0.0))))) {
return b.graph.mul(q, b.input("inp_attn_scale", tensor$F32, 1, 1, b.n_tokens));
}
return q;
}
function attention$_normed_rows(b, x, il) {
let graph, k, n, q, shape, v;
[graph, shape, n] = [b.graph, b.shape(il), b.n_tokens];
[q, k, v] = (function* () { for (const which of "qkv") { yield b.linear(("" + "attn_" + $str(which)), x, il); } })();
[q, k] = [b.norm(q, "attn_q_norm", il), b.norm(k, "attn_k_norm", il)];
return [graph.reshape(q, shape.head_k, shape.n_head, n), graph.reshape(k, shape.head_k, shape.n_head_kv, n), graph.reshape(v, shape.head_v, shape.n_head_kv, n)];
}
function attention$gated(b, x, il) {
let both, gate, graph, k, n, q, shape, steps, v, width, y;
[graph, shape, n] = [b.graph, b.shape(il), b.n_tokens];
width = shape.head_k;
both = b.linear("attn_q", x, il);
if ($truth(b.rules.repeats_keys)) {
both = graph.reshape(both, (2 * width), shape.n_head, n);
}
[k, v] = [b.linear("attn_k", x, il), b.linear("attn_v", x, il)];
steps = [(8 * width), ((8 * width) * shape.n_head)];
q = graph.view(both, [width, shape.n_head, n], steps);
gate = graph.view(both, [width, shape.n_head, n], steps, (4 * width));
[k, v] = [graph.reshape(k, width, shape.n_head_kv, n), graph.reshape(v, shape.head_v, shape.n_head_kv, n)];
[q, k] = [b.norm(q, "attn_q_norm", il), b.norm(k, "attn_k_norm", il)];
y = attention$attend(b, attention$rope(b, q, il, false), attention$rope(b, k, il, false), v, il, null);
gate = graph.unary("SIGMOID", graph.cont(gate, (width * shape.n_head), n));
return b.linear("attn_output", graph.mul(y, gate), il);
}
const per_layer$_MIXED = "per_layer_inputs";
function per_layer$project(b, tokens) {
let graph, mixed, n, n_layer, own, rows, width;
[graph, n_layer, n] = [b.graph, $bound(b, "hparams").n_layer, b.n_tokens];
rows = graph.get_rows(b.weight("per_layer_token_embd"), b.input("inp_per_layer_tokens", tensor$I32, n));
width = $floordiv($get(rows.ne, 0), n_layer);
own = graph.expand(graph.scale(graph.reshape(rows, width, n_layer, n)));
mixed = graph.scale(graph.mul_mat(b.first_layer_weight("per_layer_model_proj"), tokens));
mixed = graph.rms_norm(graph.reshape(mixed, width, n_layer, n));
mixed = graph.scale(graph.add(graph.mul(mixed, b.first_layer_weight("per_layer_proj_norm")), own));
b.once(per_layer$_MIXED, null, (() => graph.cont(graph.permute(mixed, undefined, 0, 2, 1, 3))));
}
function per_layer$gate(b, x, il) {
let graph, mixed, own, y;
graph = b.graph;
mixed = b.once(per_layer$_MIXED, null, (() => x));
own = graph.view(mixed, $slice(mixed.ne, null, 2, null), [$get(mixed.nb, 1)], (il * $get(mixed.nb, 2)));
y = graph.mul(graph.unary("GELU", b.linear("inp_gate", x, il)), own);
return b.norm(b.linear("proj", y, il), "post_norm", il);
}
function altup$stack(b, x) {
let added, copies, graph, target;
graph = b.graph;
target = altup$_magnitude(b, x);
copies = graph.node("REPEAT", [$get(x.ne, 0), $get(x.ne, 1), (gemma3n$N_ALTUP - 1)], undefined, x);
added = graph.mul_mat(b.weight("altup_proj"), copies);
return altup$_join(b, x, graph.like("DIV", graph.mul(added, target), altup$_magnitude(b, added)));
}
function altup$layer(b, cur, il, picks_outputs) {
let active, corrected, first, graph, middle, own, predicted, rest, side, x, y;
graph = b.graph;
predicted = altup$_predict(b, cur, il);
active = altup$_stream(b, predicted, 0);
x = b.norm(active, "attn_norm", il);
side = b.norm(b.linear("laurel_r", b.linear("laurel_l", x, il), il), "laurel_post_norm", il);
side = graph.add(side, x);
y = b.norm(attention$standard(b, x, il), "post_attention_norm", il);
middle = graph.scale(graph.add(graph.add(y, active), side));
y = b.norm(altup$_feed(b, b.norm(middle, "ffn_norm", il), il), "post_ffw_norm", il, false);
corrected = altup$_correct(b, predicted, graph.add(y, middle), il);
own = per_layer$gate(b, graph.mul(altup$_stream(b, corrected, 0), b.weight("altup_correct_scale", il)), il);
[first, rest] = [altup$_stream(b, corrected, 0), altup$_streams_after_first(b, corrected)];
return altup$_join(b, first, graph.add(rest, own));
}
function altup$merge(b, cur) {
let graph, i, others, target, total;
graph = b.graph;
target = altup$_magnitude(b, altup$_stream(b, cur, 0));
others = graph.mul_mat(b.weight("altup_unembd_proj"), altup$_streams_after_first(b, cur));
others = graph.like("DIV", graph.mul(others, target), altup$_magnitude(b, others));
total = altup$_stream(b, cur, 0);
for (i of $range((gemma3n$N_ALTUP - 1))) {
total = graph.add(total, altup$_stream(b, others, i));
}
return b.output_rows(graph.scale(total));
}
function altup$_stream(b, x, i) {
return b.graph.view(x, $slice(x.ne, null, 2, null), [$get(x.nb, 1)], (i * $get(x.nb, 2)));
}
function altup$_streams_after_first(b, x) {
return b.graph.view(x, [...$slice(x.ne, null, 2, null), (gemma3n$N_ALTUP - 1)], $slice(x.nb, 1, 3, null), $get(x.nb, 2));
}
function altup$_join(b, first, rest) {
return b.graph.node("CONCAT", [...$slice(first.ne, null, 2, null), $add($get(first.ne, 2), $get(rest.ne, 2))], undefined, first, rest);
}
function altup$_magnitude(b, x) {
let graph;
graph = b.graph;
return graph.like("SQRT", graph.node("SUM_ROWS", [1, ...$slice(x.ne, 1, null, null)], undefined, graph.like("SQR", x)));
}
function altup$_modalities(b, x, il) {
let router;
router = b.graph.scale(b.norm(x, "altup_router_norm", il));
return b.graph.unary("TANH", b.graph.mul_mat(b.weight("altup_router", il), router));
}
function altup$_predict(b, cur, il) {
let graph, mixing, modalities, predicted;
graph = b.graph;
modalities = altup$_modalities(b, altup$_stream(b, cur, 0), il);
mixing = graph.reshape(b.linear("altup_predict_coef", modalities, il), gemma3n$N_ALTUP, gemma3n$N_ALTUP, b.n_tokens);
predicted = graph.mul_mat(graph.cont(graph.permute(cur, undefined, 1, 2, 0, 3)), mixing);
return graph.add(graph.cont(graph.permute(predicted, undefined, 0, 2, 1, 3)), cur);
}
function altup$_correct(b, predicted, activated, il) {
let graph, innovation, modalities, shares;
graph = b.graph;
modalities = altup$_modalities(b, activated, il);
innovation = graph.like("SUB", activated, altup$_stream(b, predicted, 0));
shares = graph.transpose(graph.scale(b.linear("altup_correct_coef", modalities, il)));
shares = graph.cont(shares, 1, b.n_tokens, gemma3n$N_ALTUP);
innovation = graph.node("REPEAT", [...$slice(activated.ne, null, 2, null), gemma3n$N_ALTUP], undefined, innovation);
return graph.add(graph.mul(innovation, shares), predicted);
}
function altup$_feed(b, x, il) {
let cutoff, deviation, gate, graph, mean, squares, up;
graph = b.graph;
[up, gate] = [b.linear("ffn_up", x, il), b.linear("ffn_gate", x, il)];
if ($truth(b.shape(il).thins_gate)) {
mean = graph.node("MEAN", [1, ...$slice(gate.ne, 1, null, null)], undefined, gate);
squares = graph.like("SQR", graph.like("SUB", gate, mean));
deviation = graph.like("SQRT", graph.scale(graph.node("SUM_ROWS", [1, ...$slice(gate.ne, 1, null, null)], undefined, squares)));
cutoff = graph.add(mean, graph.scale(deviation));
gate = graph.unary("RELU", graph.like("SUB", gate, cutoff));
}
return b.linear("ffn_down", graph.mul(up, graph.unary("GELU", gate)), il);
}
function feed_forward$dense(b, x, il, tag = "") {
let down, h, up;
up = b.linear(("" + "ffn_up" + $str(tag)), x, il);
down = ("" + "ffn_down" + $str(tag));
if ($truth(b.has(("" + "ffn_gate" + $str(tag) + ".weight"), il))) {
h = b.graph.glu(b.linear(("" + "ffn_gate" + $str(tag)), x, il), up);
}
else {
if ($eq($get(up.ne, 0), (2 * $get(b.weight(down, il).ne, 0)))) {
h = b.graph.glu(up);
}
else {
h = feed_forward$activation(b, up);
}
}
return b.linear(down, h, il);
}
function feed_forward$activation(b, x) {
if ((b.rules.activation === "relu_sqr")) {
return b.graph.like("SQR", b.graph.unary("RELU", x));
}
return b.graph.unary("GELU", x);
}
function feed_forward$routed(b, x, il) {
let gate, shared, y;
y = ($truth(b.has("ffn_latent_down.weight", il)) ? feed_forward$_latent_experts(b, x, il) : feed_forward$experts(b, x, il));
if (!$truth(b.has("ffn_up_shexp.weight", il))) {
return y;
}
if (!$truth(b.has("ffn_gate_inp_shexp.weight", il))) {
return b.graph.add(y, feed_forward$dense(b, x, il, "_shexp"));
}
if ((b.rules.shared_gate === "silu_div")) {
gate = feed_forward$_shared_gate(b, x, il);
return b.graph.add(y, b.graph.mul(feed_forward$dense(b, x, il, "_shexp"), gate));
}
shared = feed_forward$dense(b, x, il, "_shexp");
return b.graph.add(y, b.graph.mul(shared, feed_forward$_shared_gate(b, x, il)));
}
function feed_forward$_shared_gate(b, x, il) {
let logit;
logit = b.linear("ffn_gate_inp_shexp", x, il);
if ((b.rules.shared_gate === "silu_div")) {
return b.graph.like("DIV", b.graph.unary("SILU", logit), logit);
}
return b.graph.unary("SIGMOID", logit);
}
function feed_forward$_latent_experts(b, x, il) {
let low;
low = b.linear("ffn_latent_down", x, il);
return b.linear("ffn_latent_up", feed_forward$experts(b, low, il, b.linear("ffn_gate_inp", x, il)), il);
}
function feed_forward$beside_dense(b, x, il) {
let chosen, graph, logits, plain, scaled;
graph = b.graph;
plain = b.norm(feed_forward$dense(b, b.norm(x, "ffn_norm", il), il), "post_ffw_norm_1", il);
scaled = graph.mul(graph.scale(b.norm(x, null)), b.weight("ffn_gate_inp.scale", il));
logits = graph.mul_mat(b.weight("ffn_gate_inp", il), scaled);
chosen = feed_forward$experts(b, b.norm(x, "pre_ffw_norm_2", il), il, logits);
return graph.add(plain, b.norm(chosen, "post_ffw_norm_2", il));
}
function feed_forward$experts(b, x, il, logits = null) {
let graph, ids, n, n_used, part, parts, tokens, total, weights, y;
[graph, n_used, n] = [b.graph, b.shape(il).n_expert_used, $get(x.ne, 1)];
if ((n_used < 1)) {
throw new errors$ModelFileError(("" + $str(b.model.source) + ": layer " + $str(il) + " has a router, and the metadata say that no expert is used"));
}
[ids, weights] = feed_forward$_route(b, ((logits == null) ? b.linear("ffn_gate_inp", x, il) : logits), il, n_used);
graph.expand(weights);
tokens = graph.reshape(x, $get(x.ne, 0), 1, n);
if ($truth(b.rules.weighs_inputs)) {
tokens = graph.mul(graph.node("REPEAT", [$get(x.ne, 0), n_used, n], undefined, tokens), weights);
}
y = feed_forward$_each(b, "down", feed_forward$_gated(b, tokens, ids, il), ids, il);
if (!$truth(b.rules.weighs_inputs)) {
y = graph.mul(y, weights);
}
graph.expand(y);
parts = (() => { const $into = []; for (const i of $range(n_used)) { $into.push(graph.expand(graph.view(y, [$get(y.ne, 0), n], [$get(y.nb, 2)], (i * $get(y.nb, 1))))); } return $into; })();
total = $get(parts, 0);
for (part of $slice(parts, 1, null, null)) {
total = graph.expand(graph.add(total, part));
}
return ((n_used === 1) ? graph.cont(total) : total);
}
function feed_forward$_each(b, which, x, ids, il) {
let bias, each, graph, n, n_expert, scale, y;
[graph, n] = [b.graph, $get(x.ne, 2)];
y = graph.mul_mat_id(b.weight(("" + "ffn_" + $str(which) + "_exps"), il), x, ids);
if ($truth((scale = b.weight_if(("" + "ffn_" + $str(which) + "_exps.scale"), il)))) {
n_expert = $get(scale.ne, 0);
each = graph.node("REPEAT", [1, n_expert, n], undefined, graph.reshape(scale, 1, n_expert));
y = graph.mul(y, graph.get_rows(each, ids));
}
bias = b.weight_if(("" + "ffn_" + $str(which) + "_exps.bias"), il);
return ($truth(bias) ? graph.like("ADD_ID", y, bias, ids) : y);
}
function feed_forward$_gated(b, x, ids, il) {
let both, gate, graph, half, steps, up;
graph = b.graph;
if ($truth(b.has("ffn_gate_up_exps.weight", il))) {
both = feed_forward$_each(b, "gate_up", x, ids, il);
[half, steps] = [$floordiv($get(both.ne, 0), 2), $slice(both.nb, 1, 3, null)];
gate = graph.view(both, [half, ...$slice(both.ne, 1, 3, null)], steps);
return graph.glu(gate, graph.view(both, [half, ...$slice(both.ne, 1, 3, null)], steps, (half * $get(both.nb, 0))));
}
up = feed_forward$_each(b, "up", x, ids, il);
if (!$truth(b.has("ffn_gate_exps.weight", il))) {
return feed_forward$activation(b, up);
}
return graph.glu(feed_forward$_each(b, "gate", x, ids, il), up);
}
function feed_forward$_route(b, logits, il, n_used) {
let bias, gating, graph, ids, n, n_expert, probs, scores, total, weights;
[graph, n_expert, n] = [b.graph, $get(logits.ne, 0), $get(logits.ne, 1)];
gating = feed_forward$_gating(b);
probs = logits;
if ((gating === "softmax")) {
probs = graph.like("SOFT_MAX", logits);
}
else {
if ((gating === "sigmoid")) {
probs = graph.unary("SIGMOID", logits);
}
}
bias = b.weight_if("exp_probs_b.bias", il);
scores = ($truth(bias) ? graph.add(probs, bias) : probs);
if ((b.model.integer("expert_group_count", 0) > 1)) {
scores = feed_forward$_within_groups(b, scores);
}
ids = feed_forward$top_k(b, ($truth(b.rules.weighs_inputs) ? logits : scores), n_used);
weights = graph.get_rows(graph.reshape(probs, 1, n_expert, n), ids);
if ((gating === "softmax_weight")) {
weights = graph.reshape(graph.like("SOFT_MAX", graph.reshape(weights, n_used, n)), 1, n_used, n);
}
if ($truth(feed_forward$_renorms(b))) {
weights = graph.reshape(weights, n_used, n);
total = graph.like("CLAMP", graph.node("SUM_ROWS", [1, n], undefined, weights));
weights = graph.reshape(graph.like("DIV", weights, total), 1, n_used, n);
}
if (!$in(b.model.hparam("expert_weights_scale", 0.0), [0.0, 1.0])) {
weights = graph.scale(weights);
}
return [ids, weights];
}
function feed_forward$_within_groups(b, scores) {
let best, chosen, graph, groups, kept, n, n_expert, n_groups, n_used, total, width;
[graph, [n_expert, n]] = [b.graph, $slice(scores.ne, null, 2, null)];
[n_groups, n_used] = [b.model.integer("expert_group_count"), b.model.integer("expert_group_used_count", 1)];
width = $floordiv(n_expert, n_groups);
groups = graph.reshape(scores, width, n_groups, n);
best = feed_forward$top_k(b, groups, 2);
best = graph.get_rows(graph.reshape(groups, 1, width, n_groups, n), best);
total = graph.node("SUM_ROWS", [1, n_groups, n], undefined, graph.reshape(best, 2, n_groups, n));
chosen = feed_forward$top_k(b, graph.reshape(total, n_groups, n), n_used);
kept = graph.get_rows(groups, chosen);
return graph.reshape(graph.set_rows(graph.like("FILL", groups), kept, chosen), n_expert, n);
}
function feed_forward$top_k(b, x, k) {
let order;
order = b.graph.node("ARGSORT", x.ne, tensor$I32, x);
return b.graph.view(order, [k, ...$slice(x.ne, 1, null, null)], $slice(order.nb, 1, null, null));
}
const feed_forward$_GATING = $dict([[1, "softmax"], [2, "sigmoid"], [3, "softmax_weight"]]);
function feed_forward$_gating(b) {
let default$;
if (!$truth($string.startswith(b.rules.expert_gating, "metadata"))) {
return b.rules.expert_gating;
}
default$ = ((b.rules.expert_gating === "metadata_or_sigmoid") ? "sigmoid" : "softmax");
return feed_forward$_GATING.get(b.model.integer("expert_gating_func", 0), default$);
}
function feed_forward$_renorms(b) {
if ((b.rules.expert_weights_norm == null)) {
return $bool(b.model.metadata.get(("" + $str(b.model.arch) + ".expert_weights_norm"), false));
}
return b.rules.expert_weights_norm;
}
function latent$dense(b, x, il, compressed = null, narrow = null) {
let absorbed, both, graph, k_rot, low, n, n_head, n_nope, n_rot, nope, q, q_rot, rank, row;
[graph, n, n_head] = [b.graph, b.n_tokens, b.shape(il).n_head];
[rank, n_rot] = [b.model.integer("attention.kv_lora_rank"), b.model.integer("rope.dimension_count")];
if ((compressed != null)) {
q = b.linear("attn_q_b", compressed, il);
}
else {
if ($truth(b.has("attn_q_a.weight", il))) {
q = b.linear("attn_q_b", b.norm(b.linear("attn_q_a", x, il), "attn_q_a_norm", il), il);
}
else {
q = b.linear("attn_q", x, il);
}
}
q = graph.reshape(q, $floordiv($get(q.ne, 0), $max(n_head, 1)), n_head, n);
both = b.linear("attn_kv_a_mqa", x, il);
row = $get(both.nb, 1);
low = graph.view(both, [rank, n], [row]);
k_rot = attention$rope(b, graph.view(both, [n_rot, 1, n], [row, row], (4 * rank)), il);
low = b.norm(low, "attn_kv_a_norm", il);
if (!$truth($bound(b, "hparams").is_mla)) {
return latent$_expanded(b, q, low, k_rot, il);
}
n_nope = $sub($get(q.ne, 0), n_rot);
nope = graph.view(q, [n_nope, n_head, n], $slice(q.nb, 1, 3, null));
q_rot = attention$rope(b, graph.view(q, [n_rot, n_head, n], $slice(q.nb, 1, 3, null), (4 * n_nope)), il);
absorbed = graph.mul_mat(b.weight("attn_k_b", il), graph.permute(nope, undefined, 0, 2, 1, 3));
q = graph.concat(graph.permute(absorbed, undefined, 0, 2, 1, 3), q_rot);
low = graph.reshape(low, rank, 1, n);
return attention$attend(b, q, graph.concat(low, k_rot), low, il, undefined, undefined, b.weight("attn_v_b", il), narrow);
}
function latent$_expanded(b, q, low, k_rot, il) {
let graph, k, k_nope, kv, n, n_nope, n_rot, shape, steps, v;
[graph, n, shape, n_rot] = [b.graph, b.n_tokens, b.shape(il), $get(k_rot.ne, 0)];
n_nope = $sub(shape.head_k, n_rot);
kv = b.linear("attn_kv_b", low, il);
steps = [(4 * $add(n_nope, shape.head_v)), ((4 * $add(n_nope, shape.head_v)) * shape.n_head)];
k_nope = graph.view(kv, [n_nope, shape.n_head, n], steps);
v = graph.cont(graph.view(kv, [shape.head_v, shape.n_head, n], steps, (4 * n_nope)));
k = graph.concat(k_nope, graph.node("REPEAT", [n_rot, shape.n_head, n], undefined, k_rot));
return attention$attend(b, attention$rope(b, q, il), k, v, il);
}
function latent$sparse(b, x, il) {
let chosen, compressed;
compressed = b.norm(b.graph.mul_mat(b.weight("attn_q_a", il), x), "attn_q_a_norm", il);
chosen = latent$_choose(b, x, compressed, il);
return latent$dense(b, x, il, compressed, ((mask) => latent$_narrow(b, mask, chosen)));
}
function latent$_choose(b, x, compressed, il) {
let best, cache, cells, graph, heads, k, mask, n, n_stream, q, rotation, row, scores, steps, weights, width;
[graph, n, n_stream, cells] = [b.graph, b.n_tokens, $bound(b, "sizes").n_stream, $bound($bound(b, "sizes"), "cells")];
[heads, width] = [b.model.integer("attention.indexer.head_count"), b.shape(il).index_width];
q = graph.reshape(graph.mul_mat(b.weight("indexer.attn_q_b", il), compressed), width, heads, n);
q = attention$rope(b, q, il);
k = graph.mul_mat(b.weight("indexer.attn_k", il), x);
k = attention$rope(b, graph.reshape(b.norm(k, "indexer.k_norm", il, undefined, "NORM"), width, 1, n), il);
rotation = b.input("attn_inp_lid_k_rot", tensor$F32, width, width);
[q, k] = [graph.mul_mat(rotation, q), graph.mul_mat(rotation, k)];
cache = b.stored("lid_k", il, $bound(b, "cache").k, width, cells, n_stream);
attention$store(b, k, cache, b.input("attn_inp_lid_k_idxs", tensor$I64, n));
weights = graph.mul_mat(b.weight("indexer.proj", il), x);
row = $bound(b, "cache").k.row_bytes(width);
k = graph.view(cache, [width, 1, cells, n_stream], [row, row, (row * cells)]);
q = graph.view(q, [width, heads, $floordiv(n, n_stream), n_stream], [$get(q.nb, 1), $get(q.nb, 2), $floordiv($get(q.nb, 3), n_stream)]);
steps = [$get(weights.nb, 1), $floordiv($get(weights.nb, 2), n_stream), $floordiv($get(weights.nb, 3), n_stream)];
weights = graph.scale(graph.view(weights, [heads, $floordiv(n, n_stream), 1, n_stream], steps));
mask = b.input("attn_inp_lid_kq_mask", tensor$F16, cells, $floordiv(n, n_stream), 1, n_stream);
scores = graph.node("LIGHTNING_INDEXER", [cells, $floordiv(n, n_stream), 1, n_stream], undefined, q, k, weights, mask);
best = $min(cells, b.model.integer("attention.indexer.top_k"));
return graph.cont(graph.node("TOP_K", [best, ...$slice(scores.ne, 1, null, null)], tensor$I32, scores));
}
function latent$_narrow(b, mask, chosen) {
let _, cells, closed, graph, ids, n, n_kv, n_stream, opened, zeros;
[graph, [n_kv, n, _, n_stream]] = [b.graph, mask.ne];
closed = graph.like("FILL", mask);
cells = graph.view(closed, [1, n_kv, n, n_stream], [$get(closed.nb, 0), $get(closed.nb, 1), $get(closed.nb, 2)]);
ids = graph.view(chosen, [$get(chosen.ne, 0), $get(chosen.ne, 1), n_stream, 1], [$get(chosen.nb, 1), $get(chosen.nb, 2), (n_stream * $get(chosen.nb, 3))]);
zeros = b.graph.leaf(tensor$F32, "zeros", undefined, undefined, undefined, 1, $get(ids.ne, 0), $get(ids.ne, 1), $get(ids.ne, 2));
opened = graph.set_rows(cells, graph.like("FILL", zeros), ids);
opened = graph.view(opened, [n_kv, n, 1, n_stream], [$get(opened.nb, 2), $get(opened.nb, 3), $get(opened.nb, 3)]);
return graph.add(opened, mask);
}
function recurrent$ssm_shape(b) {
if (($bound(b, "hparams").ssm == null)) {
throw new errors$ModelFileError(("" + $str(b.model.source) + ": a recurrent layer needs " + $str(b.model.arch) + ".ssm.* metadata; is it complete?"));
}
return $bound(b, "hparams").ssm;
}
function recurrent$states(b, cache, get = null) {
let extra, graph, ids, main, n_seqs, rest, rows, width, y;
[graph, n_seqs, width] = [b.graph, $bound(b, "sizes").n_seqs, $get(cache.ne, 0)];
rows = graph.reshape(cache, width, $get(cache.ne, 1));
graph.expand(graph.scale_inplace(graph.view(rows, [width])));
ids = b.input("rs_s_copy", tensor$I32, n_seqs);
main = b.once("rs_s_copy", "main", (() => graph.view(ids, [n_seqs])));
extra = b.once("rs_s_copy", "extra", (() => graph.view(ids, [0], [], (n_seqs * 4))));
y = graph.expand(($truth(get) ? get(rows, main) : graph.get_rows(rows, main)));
rest = graph.view(cache, [width, 0], [$get(cache.nb, 1)], (n_seqs * $get(cache.nb, 1)));
graph.expand(graph.cpy(graph.get_rows(rows, extra), rest));
return y;
}
function recurrent$convolve(b, x, il, kernel = "ssm_conv1d") {
let cache, channels, graph, last, n_seqs, ssm, width, window;
[graph, ssm, n_seqs] = [b.graph, recurrent$ssm_shape(b), $bound(b, "sizes").n_seqs];
[width, channels] = [(ssm.conv_kernel - 1), ssm.channels];
cache = b.stored("r", il, tensor$F32, ssm.conv_state, n_seqs);
window = graph.concat(graph.reshape(recurrent$states(b, cache), width, channels, n_seqs), graph.transpose(x));
last = graph.view(window, [width, channels, n_seqs], $slice(window.nb, 1, 3, null), ($sub($get(window.ne, 0), width) * 4));
graph.expand(graph.cpy(last, graph.view(cache, [(width * channels), n_seqs], [$get(cache.nb, 1)])));
return graph.node("SSM_CONV", [channels, $get(x.ne, 1), n_seqs], undefined, window, b.weight(kernel, il));
}
function recurrent$mamba2(b, x, il) {
let dt, graph, head, heads, n_seqs, ssm, t, xbc, y, z, zx;
[graph, ssm, n_seqs] = [b.graph, recurrent$ssm_shape(b), $bound(b, "sizes").n_seqs];
[t, head] = [$floordiv(b.n_tokens, n_seqs), $floordiv(ssm.inner, ssm.rank)];
zx = b.linear("ssm_in", x, il);
zx = graph.reshape(zx, $get(zx.ne, 0), t, n_seqs);
z = graph.view(zx, [head, ssm.rank, t, n_seqs], [(head * 4), ...$slice(zx.nb, 1, 3, null)]);
dt = graph.view(zx, [ssm.rank, t, n_seqs], $slice(zx.nb, 1, 3, null), ($add(ssm.inner, ssm.channels) * 4));
xbc = graph.view(zx, [ssm.channels, t, n_seqs], $slice(zx.nb, 1, 3, null), (ssm.inner * 4));
xbc = graph.unary("SILU", graph.add(recurrent$convolve(b, xbc, il), b.weight("ssm_conv1d.bias", il)));
heads = graph.view(xbc, [head, ssm.rank, t, n_seqs], [(head * 4), ...$slice(xbc.nb, 1, 3, null)]);
y = recurrent$_scan(b, xbc, heads, dt, il);
y = graph.add(y, graph.mul(heads, b.weight("ssm_d", il)));
y = graph.glu(graph.cont(z), y);
if ($truth(b.has("ssm_norm.weight", il))) {
y = b.norm(graph.reshape(y, $floordiv(ssm.inner, ssm.groups), ssm.groups, t, n_seqs), "ssm_norm", il);
}
return b.linear("ssm_out", graph.reshape(y, ssm.inner, b.n_tokens), il);
}
function recurrent$_scan(b, xbc, heads, dt, il) {
let _, across, after, cache, graph, head, key, n_seqs, query, rank, row, size, ssm, t, y;
[graph, ssm, n_seqs] = [b.graph, recurrent$ssm_shape(b), $bound(b, "sizes").n_seqs];
[head, rank, t, _] = heads.ne;
cache = b.stored("s", il, tensor$F32, ssm.ssm_state, n_seqs);
across = [$bound(ssm, "state"), ssm.groups, t, n_seqs];
key = graph.view(xbc, across, [($bound(ssm, "state") * 4), ...$slice(xbc.nb, 1, 3, null)], (ssm.inner * 4));
query = graph.view(xbc, across, [($bound(ssm, "state") * 4), ...$slice(xbc.nb, 1, 3, null)], ($add(ssm.inner, (ssm.groups * $bound(ssm, "state"))) * 4));
dt = graph.add(graph.cont(dt), b.weight("ssm_dt.bias", il));
function scan(rows, ids) {
let before, size;
before = graph.reshape(rows, $bound(ssm, "state"), head, rank, n_seqs);
size = $add($math.prod(heads.ne), (ssm.ssm_state * n_seqs));
return graph.node("SSM_SCAN", [size], undefined, before, heads, dt, b.weight("ssm_a", il), key, query, ids);
}
[y, size] = [recurrent$states(b, cache, scan), (ssm.ssm_state * 4)];
after = graph.view(y, [ssm.ssm_state, n_seqs, 1], [size, (size * n_seqs)], ($math.prod(heads.ne) * 4));
graph.expand(graph.cpy(after, graph.view(cache, [ssm.ssm_state, n_seqs, 1], [$get(cache.nb, 1), (n_seqs * size)])));
row = $get(heads.nb, 1);
return graph.view(y, heads.ne, [row, (rank * row), ((t * rank) * row)]);
}
function recurrent$delta_net(b, x, il) {
let after, before, beta, cache, convolved, gate, graph, head, k, mixed, n_seqs, out, q, row, ssm, steps, t, v, y, z;
[graph, ssm, n_seqs] = [b.graph, recurrent$ssm_shape(b), $bound(b, "sizes").n_seqs];
[t, head] = [$floordiv(b.n_tokens, n_seqs), $floordiv(ssm.inner, ssm.rank)];
mixed = graph.reshape(b.linear("attn_qkv", x, il), ssm.channels, t, n_seqs);
z = b.linear("attn_gate", x, il);
[beta, gate] = ($truth(b.has("ssm_ba.weight", il)) ? recurrent$_beta_and_gate : recurrent$_split_beta_and_gate)(b, x, il);
convolved = recurrent$convolve(b, mixed, il);
cache = b.stored("s", il, tensor$F32, ssm.ssm_state, n_seqs);
before = graph.reshape(recurrent$states(b, cache), head, head, ssm.rank, n_seqs);
[q, k, v] = recurrent$_delta_qkv(b, graph.unary("SILU", convolved));
y = graph.node("GATED_DELTA_NET", [(head * ssm.rank), $add(b.n_tokens, (head * n_seqs))], undefined, q, k, v, gate, beta, before);
row = (head * 4);
out = graph.view(y, [head, ssm.rank, t, n_seqs], [row, (row * ssm.rank), ((row * ssm.rank) * t)]);
steps = [row, (row * head), ((row * head) * ssm.rank)];
after = graph.view(y, [head, head, ssm.rank, n_seqs], steps, ((row * ssm.rank) * b.n_tokens));
graph.expand(graph.cpy(after, graph.view(cache, [ssm.ssm_state, n_seqs], [$get(cache.nb, 1)])));
z = graph.reshape(z, head, ssm.rank, t, n_seqs);
y = graph.mul(b.norm(out, "ssm_norm", il), graph.unary("SILU", z));
y = b.linear("ssm_out", graph.reshape(y, ssm.inner, t, n_seqs), il);
return graph.reshape(y, $bound(b, "hparams").n_embd, b.n_tokens);
}
function recurrent$_beta_and_gate(b, x, il) {
let alpha, beta, both, gate, graph, half, n_seqs, ssm, t;
[graph, ssm, n_seqs] = [b.graph, recurrent$ssm_shape(b), $bound(b, "sizes").n_seqs];
[t, half] = [$floordiv(b.n_tokens, n_seqs), $floordiv(ssm.rank, $max(ssm.groups, 1))];
both = graph.reshape(b.linear("ssm_ba", x, il), (2 * half), ssm.groups, t, n_seqs);
beta = graph.unary("SIGMOID", graph.cont(graph.view(both, [half, ssm.groups, t, n_seqs], $slice(both.nb, 1, null, null))));
alpha = graph.cont(graph.view(both, [half, ssm.groups, t, n_seqs], $slice(both.nb, 1, null, null), (half * 4)), ssm.rank, t, n_seqs);
alpha = graph.unary("SOFTPLUS", graph.add(alpha, b.weight("ssm_dt.bias", il)));
gate = graph.mul(alpha, b.weight("ssm_a", il));
return [graph.reshape(beta, 1, ssm.rank, t, n_seqs), graph.reshape(gate, 1, ssm.rank, t, n_seqs)];
}
function recurrent$_split_beta_and_gate(b, x, il) {
let alpha, beta, gate, graph, n_seqs, ssm, t;
[graph, ssm, n_seqs] = [b.graph, recurrent$ssm_shape(b), $bound(b, "sizes").n_seqs];
t = $floordiv(b.n_tokens, n_seqs);
beta = graph.unary("SIGMOID", graph.reshape(b.linear("ssm_beta", x, il), 1, ssm.rank, t, n_seqs));
alpha = graph.add(graph.reshape(b.linear("ssm_alpha", x, il), ssm.rank, t, n_seqs), b.weight("ssm_dt.bias", il));
gate = graph.mul(graph.unary("SOFTPLUS", alpha), b.weight("ssm_a", il));
return [beta, graph.reshape(gate, 1, ssm.rank, t, n_seqs)];
}
function recurrent$_delta_qkv(b, mixed) {
let graph, head, k, n_seqs, q, row, ssm, t, times, v;
[graph, ssm] = [b.graph, recurrent$ssm_shape(b)];
[row, t, n_seqs, head] = [(4 * ssm.channels), $get(mixed.ne, 1), $get(mixed.ne, 2), $floordiv(ssm.inner, ssm.rank)];
function part(width, heads, offset) {
return graph.view(mixed, [width, heads, t, n_seqs], [(width * 4), row, (row * t)], (offset * 4));
}
[q, k] = (function* () { for (const i of [0, 1]) { yield graph.scale(graph.rms_norm(part($bound(ssm, "state"), ssm.groups, ((i * $bound(ssm, "state")) * ssm.groups)))); } })();
v = part(head, ssm.rank, ((2 * $bound(ssm, "state")) * ssm.groups));
if (($truth(b.rules.repeats_keys) && !$eq(ssm.groups, ssm.rank))) {
[q, k] = (function* () { for (const x of [q, k]) { yield graph.reshape(x, $bound(ssm, "state"), 1, ssm.groups, b.n_tokens); } })();
times = $floordiv(ssm.rank, $max(ssm.groups, 1));
[q, k] = (function* () { for (const x of [q, k]) { yield graph.node("REPEAT", [$bound(ssm, "state"), times, ssm.groups, b.n_tokens], undefined, x); } })();
[q, k] = (function* () { for (const x of [q, k]) { yield graph.reshape(x, $bound(ssm, "state"), ssm.rank, t, n_seqs); } })();
}
return [q, k, v];
}
function recurrent$short_conv(b, x, il) {
let gate_in, gate_out, graph, n_embd, n_seqs, parts, t, value, y;
[graph, n_seqs, n_embd] = [b.graph, $bound(b, "sizes").n_seqs, $bound(b, "hparams").n_embd];
t = $floordiv(b.n_tokens, n_seqs);
parts = b.linear("shortconv.in_proj", graph.reshape(x, $get(x.ne, 0), t, n_seqs), il);
[gate_in, gate_out, value] = (function* () { for (const i of $range(3)) { yield graph.view(parts, [n_embd, t, n_seqs], $slice(parts.nb, 1, 3, null), ((4 * n_embd) * i)); } })();
y = recurrent$convolve(b, graph.mul(gate_in, value), il, "shortconv.conv");
y = b.linear("shortconv.out_proj", graph.mul(gate_out, y), il);
return graph.reshape(y, n_embd, b.n_tokens);
}
const compose$RECURRENT = $dict([["mamba2", recurrent$mamba2], ["delta_net", recurrent$delta_net], ["short_conv", recurrent$short_conv]]);
const compose$ATTENTION = $dict([["standard", attention$standard], ["gated", attention$gated]]);
function compose$build_graph(b, layers) {
let cur, ends, il, tokens;
[tokens, ends] = [builder$embed(b), $dict([])];
if ($truth(b.has("per_layer_token_embd.weight"))) {
per_layer$project(b, tokens);
}
cur = (($bound(b.rules, "layer") === "altup") ? altup$stack(b, tokens) : tokens);
for (il of layers) {
cur = $get(compose$LAYERS, $bound(b.rules, "layer"))(b, cur, il, ($eq(il, $get(layers, (-1))) && (b.outputs_at === "last_layer")));
if ($truth(b.shape(il).has_deepstack)) {
cur = compose$_deepstack(b, cur, tokens, il);
}
$put(ends, il, cur);
}
compose$_head(b, (($bound(b.rules, "layer") === "altup") ? altup$merge(b, cur) : cur));
return [b.graph, ends];
}
function compose$mix_tokens(b, x, il) {
if ($truth(b.shape(il).is_recurrent)) {
return $get(compose$RECURRENT, b.family.recurrence.part)(b, x, il);
}
if ($truth(b.shape(il).index_width)) {
return latent$sparse(b, x, il);
}
if ($truth(b.has("attn_kv_a_mqa.weight", il))) {
return latent$dense(b, x, il);
}
return $get(compose$ATTENTION, b.rules.attention)(b, x, il);
}
function compose$feed(b, x, il) {
return ($truth(b.has("ffn_gate_inp.weight", il)) ? feed_forward$routed : feed_forward$dense)(b, x, il);
}
function compose$_sequential(b, cur, il, picks_outputs) {
let after, before, graph, middle, residual, scale, x, y;
[graph, residual] = [b.graph, cur];
x = ($truth(b.has("attn_norm.weight", il)) ? b.norm(cur, "attn_norm", il) : cur);
if ($truth(b.rules.expands_norm)) {
graph.expand(x);
}
y = compose$mix_tokens(b, x, il);
if ($truth(picks_outputs)) {
[y, residual] = [b.output_rows(y), b.output_rows(residual)];
}
[before, after] = (function* () { for (const name of ["ffn_norm", "post_ffw_norm"]) { yield b.has(("" + $str(name) + ".weight"), il); } })();
y = compose$_scaled_residual(b, y);
if ((($truth(before) || $truth(after)) && $truth(b.has("post_attention_norm.weight", il)))) {
y = b.norm(y, "post_attention_norm", il);
}
middle = ($truth(b.rules.mixing_first) ? graph.add(y, residual) : graph.add(residual, y));
if ($truth(b.has("pre_ffw_norm_2.weight", il))) {
y = feed_forward$beside_dense(b, middle, il);
}
else {
if (($truth(before) || !$truth(after))) {
y = compose$feed(b, b.norm(middle, ($truth(before) ? "ffn_norm" : "post_attention_norm"), il), il);
}
else {
y = compose$feed(b, middle, il);
}
}
y = compose$_scaled_residual(b, y);
if ($truth(after)) {
y = b.norm(y, "post_ffw_norm", il, false);
}
cur = ($truth(b.rules.feed_forward_first) ? graph.add(y, middle) : graph.add(middle, y));
if ($truth(b.has("inp_gate.weight", il))) {
cur = graph.add(cur, per_layer$gate(b, cur, il));
}
scale = b.weight_if("layer_output_scale.weight", il);
return ($truth(scale) ? graph.mul(cur, scale) : cur);
}
function compose$_parallel(b, cur, il, picks_outputs) {
let fed, graph, residual, x, y;
[graph, residual] = [b.graph, cur];
x = b.norm(cur, "attn_norm", il);
y = compose$mix_tokens(b, ($truth(b.has("attn_norm_2.weight", il)) ? b.norm(cur, "attn_norm_2", il) : x), il);
if ($truth(picks_outputs)) {
[y, residual, x] = [b.output_rows(y), b.output_rows(residual), b.output_rows(x)];
}
fed = compose$feed(b, x, il);
if ((b.rules.parallel_sum === "residual_then_attention")) {
return graph.add(graph.add(fed, residual), y);
}
return graph.add(((b.rules.parallel_sum === "onto_attention") ? graph.add(y, fed) : graph.add(fed, y)), residual);
}
function compose$_single(b, cur, il, picks_outputs) {
let part, shape, y;
shape = b.shape(il);
part = (($truth(shape.is_recurrent) || $truth(shape.has_attention)) ? compose$mix_tokens : compose$feed);
y = part(b, b.norm(cur, "attn_norm", il), il);
if ($truth(picks_outputs)) {
[y, cur] = [b.output_rows(y), b.output_rows(cur)];
}
return b.graph.add(y, cur);
}
function compose$_twin(b, cur, il, picks_outputs) {
let attended, graph, middle, scanned;
graph = b.graph;
attended = attention$standard(b, b.norm(cur, "attn_norm", il), il);
scanned = $get(compose$RECURRENT, b.family.recurrence.part)(b, b.norm(cur, "attn_norm", il), il);
middle = graph.add(graph.add(attended, scanned), cur);
if ($truth(picks_outputs)) {
middle = b.output_rows(middle);
}
return graph.add(compose$feed(b, b.norm(middle, "ffn_norm", il), il), middle);
}
function compose$_deepstack(b, cur, tokens, il) {
let graph, n_embd;
[graph, n_embd] = [b.graph, $bound(b, "hparams").n_embd];
return graph.add(cur, graph.view(tokens, [n_embd, b.n_tokens], [$get(tokens.nb, 1)], (((il + 1) * n_embd) * 4)));
}
const compose$LAYERS = $dict([["sequential", compose$_sequential], ["parallel", compose$_parallel], ["single", compose$_single], ["twin", compose$_twin], ["altup", altup$layer]]);
function compose$_scaled_residual(b, x) {
return ($truth(b.model.hparam("residual_scale", 0.0)) ? b.graph.scale(x) : x);
}
function compose$_head(b, cur) {
let bias, graph, logits;
graph = b.graph;
if ((b.outputs_at === "before_norm")) {
cur.is_output = true;
cur = b.output_rows(cur);
}
cur = b.norm(cur, b.family.output_norm);
cur.is_output = true;
if ((b.outputs_at === "after_norm")) {
cur = b.output_rows(cur);
cur.is_output = true;
}
logits = graph.mul_mat(b.output_weight(), cur);
if ($truth(b.model.hparam("logit_scale", 0.0))) {
logits = graph.scale(logits);
}
if ($truth((bias = b.weight_if("output.bias")))) {
logits = graph.add(logits, bias);
}
if ($truth(b.model.hparam("final_logit_softcapping", ($truth(b.rules.softcaps_logits) ? 30.0 : 0.0)))) {
logits = graph.scale(graph.unary("TANH", graph.scale(logits)));
}
logits.is_output = true;
graph.expand(logits);
}
const repeats$LONGEST_PERIOD = 8;
class repeats$Cut {
constructor(keep, agree, first_apart = false, keep_periods = null) {
this.keep = keep;
this.agree = agree;
this.first_apart = first_apart;
this.keep_periods = keep_periods;
}
}
$dataclass(repeats$Cut, ["keep", "agree", "first_apart", "keep_periods"], true);
class repeats$Selection {
constructor(layers, must_agree = []) {
this.layers = layers;
this.must_agree = must_agree;
}
}
$dataclass(repeats$Selection, ["layers", "must_agree"], true);
function repeats$select_layers(signatures, cut) {
let keep, kept, layers, longest, more, pairs;
[layers, pairs] = [$list($range($len(signatures))), []];
for ([longest, keep] of [[1, cut.keep], [repeats$LONGEST_PERIOD, $or(cut.keep_periods, () => cut.keep)]]) {
[layers, more] = repeats$_cut_runs(layers, signatures, $dataclasses.replace(cut, new $Named({keep: keep})), longest);
pairs = $extended(pairs, more);
}
kept = $set(layers);
return new repeats$Selection($tuple(layers), $tuple((() => { const $into = []; for (const pair of pairs) { if ($truth(kept.issuperset(pair))) { $into.push(pair); } } return $into; })()));
}
function repeats$_cut_runs(layers, signatures, cut, longest) {
let first, i, kept, last, names, pairs, period, second, stay, times;
[names, last] = [(() => { const $into = []; for (const il of layers) { $into.push($get(signatures, il)); } return $into; })(), ($len(layers) - 1)];
i = (($truth(cut.first_apart) && $truth(last)) ? 1 : 0);
[kept, pairs] = [$list($slice(layers, null, i, null)), []];
while ($lt(i, last)) {
[period, times] = repeats$_longest_run(names, i, last, cut.keep, longest);
stay = (period * $min(times, cut.keep));
kept = $extended(kept, $slice(layers, i, $add(i, stay), null));
if ($gt(times, cut.keep)) {
[first, second] = (function* () { for (const rank of cut.agree) { yield $get(layers, ($add(i, (period * rank)) - 1)); } })();
$list.append(pairs, [first, second]);
}
i = $extended(i, (period * times));
}
return [[...kept, $get(layers, last)], pairs];
}
function repeats$_longest_run(names, start, end, keep, longest) {
let best, period, saved, stop, times;
[best, saved] = [[1, 1], 0];
for (period of $range(1, ($min(longest, $sub(end, start)) + 1))) {
stop = $add(start, period);
while (($lt(stop, end) && $eq($get(names, stop), $get(names, $sub(stop, period))))) {
stop = $extended(stop, 1);
}
times = $floordiv($sub(stop, start), period);
if ($gt(($sub(times, keep) * period), saved)) {
[best, saved] = [[period, times], ($sub(times, keep) * period)];
}
}
return best;
}
const rough$WIDTHS_OF_EMBEDDING = 4;
function rough$rough_buffers(hparams, sizes, backends, n_ff, flash_attn) {
let activations, cells, heads, inputs, mask, n_tokens, phases;
[cells, n_tokens] = [($bound(sizes, "cells") * sizes.n_stream), sizes.n_tokens];
heads = $max((() => { const $into = []; for (const layer of hparams.layers) { $into.push(layer.n_head); } return $into; })());
activations = (rough$WIDTHS_OF_EMBEDDING * hparams.n_embd);
mask = ((n_tokens * $bound(sizes, "cells")) * ($truth(flash_attn) ? 2 : 4));
phases = [((4 * sizes.n_outputs) * $add(hparams.n_vocab, hparams.n_embd)), ((4 * n_tokens) * $add((2 * n_ff), activations)), ($truth(flash_attn) ? 0 : (((8 * n_tokens) * cells) * heads))];
inputs = $add(mask, ((8 * n_tokens) * hparams.n_embd));
return $dict((() => { const $into = []; for (const device of backends) { $into.push([device, $add(inputs, (($eq(device, placement$CPU) && ($len(backends) > 1)) ? 0 : $max(phases)))]); } return $into; })());
}
const fusions$MAX_SUMMED_EXPERTS = 15;
const fusions$MAX_CHOSEN_FROM = 512;
const fusions$_ALSO_CHOSEN_FROM = [288, 576];
function fusions$kept_by_fusions(nodes, start, end, n_uses, kept) {
let i, length, node, part;
i = start;
while ($lt(i, end)) {
node = $get(nodes, i);
if ((node.op === "MUL")) {
length = fusions$_weighted_sum(nodes, i, end);
if ($truth(length)) {
fusions$_keep(kept, $get(nodes, ($add(i, length) - 1)), $slice(node.src, null, 2, null));
i = $extended(i, (length - 1));
node = $get(nodes, i);
}
}
if ((((node.op === "SOFT_MAX") && ($len(node.src) === 1)) || ((node.op === "UNARY") && ($bound(node, "kind") === "SIGMOID")))) {
length = fusions$_choice(nodes, i, end, n_uses);
if ($truth(length)) {
part = $slice(nodes, i, $add(i, length), null);
fusions$_keep(kept, $get(nodes, $add(i, length)), (() => { const $into = []; for (const member of part) { for (const t of [member, ...member.src]) { $into.push(t); } } return $into; })());
i = $extended(i, (length - 1));
}
}
i = $extended(i, 1);
}
}
function fusions$_keep(kept, until, tensors) {
let held;
held = kept.setdefault(until, []);
held = $extended(held, (() => { const $into = []; for (const t of $dict.fromkeys(tensors)) { if (!$in(t, held)) { $into.push(t); } } return $into; })());
}
function fusions$_weighted_sum(nodes, i, end) {
let mul, n_adds, n_experts, n_views, outputs, rest, weights;
mul = $get(nodes, i);
if (($len(mul.src) !== 2)) {
return 0;
}
[outputs, weights, n_experts] = [$get(mul.src, 0), $get(mul.src, 1), $get(mul.ne, 1)];
if ((($get(weights.ne, 0) !== 1) || !$eq(outputs.ne, mul.ne) || !$eq($slice(weights.ne, 1, null, null), $slice(mul.ne, 1, null, null)))) {
return 0;
}
if (!((2 <= n_experts) && $le(n_experts, fusions$MAX_SUMMED_EXPERTS))) {
return 0;
}
rest = $slice(nodes, (i + 1), $min($add(i, (2 * n_experts)), end), null);
n_views = $sum((() => { const $into = []; for (const t of rest) { if (((t.op === "VIEW") && (t.view_src === mul))) { $into.push(1); } } return $into; })());
n_adds = $sum((() => { const $into = []; for (const t of rest) { if ((t.op === "ADD")) { $into.push(1); } } return $into; })());
return (($eq(n_views, n_experts) && $eq(n_adds, (n_experts - 1))) ? (2 * n_experts) : 0);
}
function fusions$_choice(nodes, i, end, n_uses) {
let ids, length, n_experts, ops, scores, wanted;
ops = (() => { const $into = []; for (const t of $slice(nodes, i, $min((i + 13), end), null)) { $into.push(t.op); } return $into; })();
wanted = ["RESHAPE", ...($eq($slice(ops, 2, 3, null), ["ADD"]) ? ["ADD"] : []), "ARGSORT", "VIEW", "GET_ROWS"];
if ((!$eq($slice(ops, 1, (1 + $len(wanted)), null), wanted) || ($get($get(nodes, (i + 1)).src, 0) !== $get(nodes, i)))) {
return 0;
}
length = (1 + $len(wanted));
scores = ($in("ADD", wanted) ? $get(nodes, (i + 2)) : $get(nodes, i));
if (($get($get(nodes, ($add(i, length) - 3)).src, 0) !== scores)) {
return 0;
}
ids = $get(nodes, ($add(i, length) - 2));
if ($eq($slice(ops, length, (length + 5), null), ["RESHAPE", "SUM_ROWS", "CLAMP", "DIV", "RESHAPE"])) {
length = $extended(length, 5);
}
if (($eq($slice(ops, length, (length + 1), null), ["SCALE"]) && ($get($get(nodes, $add(i, length)).src, 0) === $get(nodes, ($add(i, length) - 1))))) {
length = $extended(length, 1);
}
if (($gt($add(i, length), end) || $eq($add(i, length), $len(nodes)))) {
return 0;
}
n_experts = $floordiv($get(ids.nb, 1), $get(ids.nb, 0));
if ((!($truth(fusions$_is_power_of_two(n_experts)) && $le(n_experts, fusions$MAX_CHOSEN_FROM)) && !$in(n_experts, fusions$_ALSO_CHOSEN_FROM))) {
return 0;
}
return ($truth(fusions$_is_closed($slice(nodes, i, $add(i, length), null), [ids, $get(nodes, ($add(i, length) - 1))], n_uses)) ? length : 0);
}
function fusions$_is_power_of_two(n) {
return ($both(n, (n - 1)) === 0);
}
function fusions$_is_closed(part, outputs, n_uses) {
let inside, t;
for (t of part) {
if ($in(t, outputs)) {
continue;
}
inside = $sum((() => { const $into = []; for (const member of part) { for (const source of member.src) { if ((source === t)) { $into.push(1); } } } return $into; })());
if (($truth(t.is_output) || !$eq(inside, n_uses.get(t, 0)))) {
return false;
}
}
return true;
}
const scheduler$MAX_SOURCES = 10;
const scheduler$PIPELINE_COPIES = 4;
const scheduler$_IGNORE_WEIGHTS = ["ROPE", "FLASH_ATTN_EXT"];
class scheduler$Schedule {
constructor(leafs, nodes, n_splits) {
this.leafs = leafs;
this.nodes = nodes;
this.n_splits = n_splits;
}
}
$dataclass(scheduler$Schedule, ["leafs", "nodes", "n_splits"], true);
class scheduler$_Split {
constructor(backend, start, end, inputs) {
this.backend = backend;
this.start = start;
this.end = end;
this.inputs = inputs;
}
}
$dataclass(scheduler$_Split, ["backend", "start", "end", "inputs"], false);
function scheduler$schedule(graph, backends, op_offload = true, n_copies = 1, fuses_experts = true) {
return new scheduler$_Scheduler(graph, backends, op_offload, n_copies, fuses_experts).run();
}
class scheduler$_Scheduler {
constructor(graph, backends, op_offload, n_copies, fuses_experts) {
const self = this;
[self._graph, self._backends, self._n_copies] = [graph, backends, n_copies];
self._cpu = ($len(backends) - 1);
self._number = $dict((() => { const $into = []; for (const [i, device] of $enumerate(backends)) { $into.push([device, i]); } return $into; })());
[self._op_offload, self._fuses_experts] = [op_offload, fuses_experts];
self._nodes = (() => { const $into = []; for (const t of graph.nodes) { if (!$in(t.op, tensor$VIEW_OPS)) { $into.push(t); } } return $into; })();
self._copies = $dict([]);
}
run() {
const self = this;
let head, kept, leafs, n_uses, split, splits, t;
for (t of [...self._graph.leafs, ...self._graph.nodes]) {
t.backend = ($truth(t.pinned) ? $get($bound(self, "_number"), t.pinned) : self._from_data(t));
}
self._spread();
self._assign_rest();
self._follow_sources();
n_uses = $collections.Counter((() => { const $into = []; for (const t of self._graph.nodes) { for (const source of t.src) { $into.push(source); } } return $into; })());
splits = self._cut();
kept = $dict([]);
for (split of splits) {
if ((!$eq(split.backend, self._cpu) && $truth(self._fuses_experts))) {
fusions$kept_by_fusions(self._graph.nodes, split.start, split.end, n_uses, kept);
}
}
head = ((self._n_copies > 1) ? self._permanent(splits) : []);
leafs = (() => { const $into = []; for (const t of self._graph.leafs) { $into.push([t, t.backend]); } return $into; })();
return new scheduler$Schedule($add(head, leafs), self._ordered(splits, kept), $len(splits));
}
_from_data(t) {
const self = this;
let backend, weight;
backend = self._holding(t, t);
if (!$eq(backend, (-1))) {
return backend;
}
if ($truth(t.is_input)) {
return self._cpu;
}
if ($in(t.op, scheduler$_IGNORE_WEIGHTS)) {
return (-1);
}
weight = (() => { for (const source of t.src) { if ($truth(source.is_weight)) { return source; } } return null; })();
if ((weight == null)) {
return (-1);
}
backend = self._holding(weight, t);
if (($truth(self._op_offload) && $eq(backend, self._cpu) && $truth(backends$wants_offload(t)))) {
return (() => { for (const b of $range(self._cpu)) { if ($truth(backends$supports($get(self._backends, b), t))) { return b; } } return backend; })();
}
return backend;
}
_holding(t, node) {
const self = this;
let backend, device;
device = t.root.device;
if ((device == null)) {
return (-1);
}
backend = $get($bound(self, "_number"), device);
return ($truth(backends$supports(device, node)) ? backend : (-1));
}
_spread() {
const self = this;
let backwards, cards_only, order;
backwards = $slice(self._nodes, null, null, (-1));
for ([order, cards_only] of [[self._nodes, true], [backwards, true], [self._nodes, false], [backwards, false]]) {
self._spread_along(order, cards_only);
}
}
_spread_along(order, cards_only) {
const self = this;
let current, t;
current = (-1);
for (t of order) {
if (!$eq(t.backend, (-1))) {
current = (($truth(cards_only) && $eq(t.backend, self._cpu)) ? (-1) : t.backend);
}
else {
if ((!$eq(current, (-1)) && $truth(backends$supports($get(self._backends, current), t)))) {
t.backend = current;
}
}
}
}
_assign_rest() {
const self = this;
let able, t;
for (t of self._nodes) {
if ($eq(t.backend, (-1))) {
able = (() => { const $into = []; for (const b of $range((self._cpu + 1))) { if ($truth(backends$supports($get(self._backends, b), t))) { $into.push(b); } } return $into; })();
t.backend = $max(able, new $Named({key: ((b) => $sum((() => { const $into = []; for (const s of t.src) { if ($truth(self._reaches(s, b))) { $into.push(1); } } return $into; })()))}));
}
}
}
_reaches(t, backend) {
const self = this;
let placed;
placed = (!$eq(t.backend, (-1)) || ((t.view_src != null) && !$eq(t.view_src.backend, (-1))));
return $and(placed, () => self._is_local(t, backend));
}
_is_local(t, backend) {
const self = this;
let device, own;
device = t.root.device;
if ((device != null)) {
return $eq($get($bound(self, "_number"), device), backend);
}
own = t.backend;
if (($eq(own, (-1)) && $truth(t.view_src))) {
own = t.view_src.backend;
}
return $eq(own, backend);
}
_follow_sources() {
const self = this;
let source, t;
for (t of self._graph.nodes) {
if (($truth(t.view_src) && $eq(t.backend, (-1)))) {
t.backend = t.view_src.backend;
}
for (source of t.src) {
if ($eq(source.backend, (-1))) {
source.backend = ($truth(source.view_src) ? source.view_src.backend : t.backend);
}
}
if ($eq(t.backend, (-1))) {
t.backend = (() => { for (const b of $range((self._cpu + 1))) { if ($truth(backends$supports($get(self._backends, b), t))) { return b; } } return $next([]); })();
}
}
}
_cut() {
const self = this;
let backend, i, j, nodes, source, split, splits, t;
nodes = self._graph.nodes;
split = new scheduler$_Split($get(self._nodes, 0).backend, 0, $len(nodes), []);
splits = [split];
for ([i, t] of $enumerate(nodes)) {
if ($in(t.op, tensor$VIEW_OPS)) {
continue;
}
backend = t.backend;
if ((!$eq(backend, split.backend) || ($truth(split.inputs) && $truth(self._needs_weight(t))))) {
split.end = i;
split = new scheduler$_Split(backend, i, $len(nodes), []);
$list.append(splits, split);
}
for ([j, source] of $enumerate(t.src)) {
if ((!$eq(source.backend, backend) && !$truth(self._is_local(source, backend)))) {
$put(t.src, j, self._copy(source, split));
}
}
}
return splits;
}
_needs_weight(t) {
const self = this;
return (() => { for (const s of t.src) { if (($truth(s.is_weight) && !$eq(s.backend, t.backend) && !$truth(self._is_local(s, t.backend)))) return true; } return false; })();
}
_copy(source, split) {
const self = this;
let copies;
copies = self._copies.get([source, split.backend]);
if ((copies == null)) {
copies = (() => { const $into = []; for (const _ of $range(self._n_copies)) { $into.push(self._twin(source)); } return $into; })();
$put(self._copies, [source, split.backend], copies);
$list.append(split.inputs, source);
}
return $get(copies, 0);
}
_twin(source) {
const self = this;
let twin;
twin = new tensor$Tensor("NONE", source.quant, source.ne, [], source.nb, undefined, undefined, ("" + "copy of " + $str(source.name)));
twin.is_input = twin.is_output = (self._n_copies > 1);
return twin;
}
_permanent(splits) {
const self = this;
let head, source, split, t;
head = [];
for (t of self._graph.leafs) {
if ($truth(t.is_input)) {
t.is_output = true;
head = $extended(head, (() => { const $into = []; for (const twin of [t, ...(() => { const $into = []; for (const _ of $range((self._n_copies - 1))) { $into.push(self._twin(t)); } return $into; })()]) { $into.push([twin, t.backend]); } return $into; })());
}
}
for (split of splits) {
for (source of split.inputs) {
head = $extended(head, (() => { const $into = []; for (const copy of $get(self._copies, [source, split.backend])) { $into.push([copy, split.backend]); } return $into; })());
}
}
return head;
}
_ordered(splits, kept) {
const self = this;
let chunks, held, ordered, source, split, t;
ordered = [];
for (split of splits) {
for (source of split.inputs) {
$list.append(ordered, [scheduler$_hold(source, [source]), source.backend]);
$list.append(ordered, [$get($get(self._copies, [source, split.backend]), 0), split.backend]);
}
for (t of $slice(self._graph.nodes, split.start, split.end, null)) {
$list.append(ordered, [t, t.backend]);
held = kept.get(t, []);
chunks = (function* () { for (const i of $range(0, $len(held), scheduler$MAX_SOURCES)) { yield $slice(held, i, $add(i, scheduler$MAX_SOURCES), null); } })();
ordered = $extended(ordered, (() => { const $into = []; for (const chunk of chunks) { $into.push([scheduler$_hold($get(chunk, 0), chunk), split.backend]); } return $into; })());
}
}
return ordered;
}
}
function scheduler$_hold(t, sources) {
return new tensor$Tensor("NONE", t.quant, t.ne, $list(sources), t.nb, t.root, t.offset);
}
const compute$CUTS = [new repeats$Cut(2, [1, 2]), new repeats$Cut(2, [1, 2], true), new repeats$Cut(2, [1, 2], true, 3), new repeats$Cut(3, [1, 2], true), new repeats$Cut(4, [2, 3], true)];
class compute$Setup {
constructor(hparams, placement, sizes, cache, op_offload) {
this.hparams = hparams;
this.placement = placement;
this.sizes = sizes;
this.cache = cache;
this.op_offload = op_offload;
}
}
$dataclass(compute$Setup, ["hparams", "placement", "sizes", "cache", "op_offload"], true);
class compute$ComputeBuffers {
constructor(bytes, live_bytes) {
this.bytes = bytes;
this.live_bytes = live_bytes;
}
}
$dataclass(compute$ComputeBuffers, ["bytes", "live_bytes"], true);
class compute$ComputeModel {
constructor(model, build = build$LATEST) {
const self = this;
[self._model, self._build] = [model, build];
self._contents = compute$_layer_contents(model);
self._has_layer_inputs = $in("per_layer_token_embd.weight", model.tensors);
self._n_ctx_before_rope = model.integer("rope.scaling.original_context_length", model.n_ctx_train);
self._packings = $dict([]);
self._elastics = $dict([]);
self._selections = $dict([]);
self._fuses = $dict([]);
self._settles = $dict([]);
self._graph_sizes = $dict([]);
self._composes = null;
}
composes(setup) {
const self = this;
if ((self._composes == null)) {
try {
compose$build_graph(self._builder(setup, 1, 1), $range($bound(setup, "hparams").n_layer));
self._composes = true;
} catch ($error) {
if ($error instanceof errors$ModelFileError) {
if ($truth($bound(setup, "hparams").family.has_known_graph)) {
throw $error;
}
self._composes = false;
}
else
throw $error;
}
}
return self._composes;
}
buffers(setup) {
const self = this;
let batches, devices, n_ff, packings, rough, sizes;
[sizes, devices] = [$bound(setup, "sizes"), setup.placement.backends];
if (!$truth(self.composes(setup))) {
n_ff = self._model.integer("feed_forward_length", (4 * $bound(setup, "hparams").n_embd));
rough = rough$rough_buffers($bound(setup, "hparams"), sizes, devices, n_ff, $bound(setup, "cache").flash_attn);
return new compute$ComputeBuffers(rough, rough);
}
batches = [[sizes.n_tokens, sizes.n_outputs], [sizes.n_seqs, sizes.n_seqs]];
packings = (() => { const $into = []; for (const batch of batches) { $into.push(self._packing(setup, ...batch)); } return $into; })();
return new compute$ComputeBuffers($dict((() => { const $into = []; for (const [i, d] of $enumerate(devices)) { $into.push([d, $max((() => { const $into = []; for (const p of packings) { $into.push($get(p.bytes, i)); } return $into; })())]); } return $into; })()), $dict((() => { const $into = []; for (const [i, d] of $enumerate(devices)) { $into.push([d, $max((() => { const $into = []; for (const p of packings) { $into.push($get(p.live_bytes, i)); } return $into; })())]); } return $into; })()));
}
graph_surplus(setup) {
const self = this;
let _, b, graph, key, sizes;
if (!$truth(self.composes(setup))) {
return 0;
}
[sizes, key] = [$bound(setup, "sizes"), [$bound(setup, "hparams").layers, $bound(setup, "cache"), $bound(setup, "sizes").n_stream, $bound(setup, "sizes").n_seqs]];
if (!$in(key, self._graph_sizes)) {
b = self._builder(setup, sizes.n_tokens, sizes.n_outputs);
[graph, _] = compose$build_graph(b, $range($bound(setup, "hparams").n_layer));
$put(self._graph_sizes, key, ($len(graph.nodes) + $sum((() => { const $into = []; for (const leaf of graph.leafs) { $into.push(leaf.is_input); } return $into; })())));
}
return $sub($get(self._graph_sizes, key), compute$_room_for_tensors(self._model, setup));
}
fuses_attention(setup) {
const self = this;
let _, b, backends, graph, key, n, ordered;
if (!$truth(self.composes(setup))) {
return true;
}
key = [setup.placement.key, $bound(setup, "cache"), $bound(setup, "sizes").n_seqs, $bound(setup, "sizes").n_stream];
if (!$in(key, self._fuses)) {
n = $bound(setup, "sizes").n_seqs;
b = self._builder(setup, n, n);
[graph, _] = compose$build_graph(b, self._select(setup, $get(compute$CUTS, 0)).layers);
ordered = scheduler$schedule(graph, setup.placement.backends, setup.op_offload).nodes;
backends = setup.placement.backends;
$put(self._fuses, key, (() => { for (const [node, backend] of ordered) { if ($in(node, b.fused_layers)) { if (!$eq($get(backends, backend), setup.placement.layer($get(b.fused_layers, node)))) return false; } } return true; })());
}
return $get(self._fuses, key);
}
_packing(setup, n_tokens, n_outputs) {
const self = this;
let key;
key = [setup.placement.key, $bound(setup, "sizes").caches, $bound(setup, "cache"), $bound(setup, "hparams").layers, setup.op_offload, n_tokens, n_outputs];
if (!$in(key, self._packings)) {
$put(self._packings, key, self._replay(setup, n_tokens, n_outputs));
}
return $get(self._packings, key);
}
_replay(setup, n_tokens, n_outputs) {
const self = this;
let everything, i, kind, packing;
kind = [setup.placement.key, $bound(setup, "cache"), $bound(setup, "hparams").layers, $eq(n_tokens, $bound(setup, "sizes").n_seqs)];
for (i of $range(self._settles.get(kind, 0), $len(compute$CUTS))) {
packing = self._replay_layers(setup, n_tokens, n_outputs, self._select(setup, $get(compute$CUTS, i)));
if ($truth(packing)) {
return packing;
}
$put(self._settles, kind, (i + 1));
}
everything = new repeats$Selection($tuple($range($bound(setup, "hparams").n_layer)));
packing = self._replay_layers(setup, n_tokens, n_outputs, everything);
return packing;
}
_replay_layers(setup, n_tokens, n_outputs, selection) {
const self = this;
let alike, composed, elastic, marked, packing, program, sizes, states;
elastic = self._elastic(setup, n_tokens, n_outputs, selection);
if ($truth(elastic.is_known)) {
[program, sizes, alike] = elastic.at($bound($bound(setup, "sizes"), "cells"));
}
else {
composed = self._program(setup, n_tokens, n_outputs, selection);
if ((composed == null)) {
return null;
}
[program, sizes] = composed;
alike = program.likeness();
elastic.learn($bound($bound(setup, "sizes"), "cells"), program, sizes);
}
packing = program.run(sizes, alike, (() => { const $into = []; for (const device of setup.placement.backends) { $into.push(backends$alignment(device)); } return $into; })());
marked = $sorted($set((() => { const $into = []; for (const pair of selection.must_agree) { for (const il of pair) { $into.push(il); } } return $into; })()));
states = $dict($zip(marked, packing.states, new $Named({strict: true})));
return ((() => { for (const [a, b] of selection.must_agree) { if (!$eq($get(states, a), $get(states, b))) return false; } return true; })() ? packing : null);
}
_elastic(setup, n_tokens, n_outputs, selection) {
const self = this;
let hparams, key, sizes, window;
[sizes, hparams] = [$bound(setup, "sizes"), $bound(setup, "hparams")];
window = ($eq(sizes.cells_swa, $bound(sizes, "cells")) ? null : sizes.cells_swa);
key = [setup.placement.key, $bound(setup, "cache"), hparams.n_expert_used, setup.op_offload, n_tokens, n_outputs, selection, window, sizes.n_stream, sizes.n_seqs, $gt($bound(sizes, "cells"), self._n_ctx_before_rope)];
if (!$in(key, self._elastics)) {
$put(self._elastics, key, new affine_sizes$Elastic((() => { for (const layer of hparams.layers) { if ($truth(layer.index_width)) return true; } return false; })()));
}
return $get(self._elastics, key);
}
_program(setup, n_tokens, n_outputs, selection) {
const self = this;
let devices, ends, graph, n_copies, plan, program;
devices = setup.placement.backends;
[graph, ends] = compose$build_graph(self._builder(setup, n_tokens, n_outputs), selection.layers);
n_copies = ($truth(setup.placement.pipeline) ? scheduler$PIPELINE_COPIES : 1);
plan = scheduler$schedule(graph, devices, setup.op_offload, n_copies, self._build.fuses_experts);
if (((n_copies > 1) && $truth(selection.must_agree) && ((plan.n_splits > $len(devices)) || $truth(self._has_layer_inputs)))) {
return null;
}
function size(tensor, backend) {
return backends$alloc_bytes($get(devices, backend), tensor, self._build.reserves_copies);
}
program = new allocator$AllocationProgram(plan.leafs, plan.nodes, $set((() => { const $into = []; for (const pair of selection.must_agree) { for (const il of pair) { $into.push($get(ends, il)); } } return $into; })()));
return [program, program.sizes(size)];
}
_builder(setup, n_tokens, n_outputs) {
const self = this;
return new builder$Builder(self._model, $bound(setup, "hparams"), setup.placement, $bound(setup, "sizes"), $bound(setup, "cache"), n_tokens, n_outputs, self._build);
}
_select(setup, cut) {
const self = this;
let key, signatures;
key = [setup.placement.key, $bound(setup, "hparams").layers, cut];
if (!$in(key, self._selections)) {
signatures = (() => { const $into = []; for (const il of $range($bound(setup, "hparams").n_layer)) { $into.push(self._signature(setup, il)); } return $into; })();
$put(self._selections, key, repeats$select_layers(signatures, cut));
}
return $get(self._selections, key);
}
_signature(setup, il) {
const self = this;
let content, device, placement, places, tensors, types;
placement = setup.placement;
[device, content] = [placement.layer(il), self._contents.get(il, [])];
if ($truth(placement.has_overrides)) {
places = $tuple((() => { const $into = []; for (const [name, , ] of content) { $into.push(placement.weight(("" + "blk." + $str(il) + "." + $str(name)))); } return $into; })());
}
else {
places = device;
}
types = (($eq(device, placement$CPU) || $truth(placement.has_overrides)) ? $tuple((() => { const $into = []; for (const [, , t] of content) { $into.push(t); } return $into; })()) : []);
tensors = $tuple((() => { const $into = []; for (const [name, ne, ] of content) { $into.push([name, ne]); } return $into; })());
return [$get($bound(setup, "hparams").layers, il).kind(il), device, placement.cache(il), places, types, tensors];
}
}
function compute$_room_for_tensors(model, setup) {
if (($bound(setup, "hparams").family.recurrence.part === "delta_net")) {
return $max((40 * $bound(setup, "sizes").n_tokens), (32 * $len(model.tensors)));
}
return $max(1024, (8 * $len(model.tensors)));
}
function compute$_layer_contents(model) {
let contents, il, info, name;
contents = $collections.defaultdict($list);
for ([name, info] of model.tensors.items()) {
il = placement$layer_of(name);
if ((il != null)) {
$list.append($get(contents, il), [$get($string.split(name, ".", 2), 2), info.ne, info.quant.name]);
}
}
return $dict((() => { const $into = []; for (const [il, content] of contents.items()) { $into.push([il, $tuple($sorted(content))]); } return $into; })());
}
class machine$Machine {
constructor(system = "linux", power_limit_w = null, host_bandwidth_bytes_per_s = null) {
this.system = system;
this.power_limit_w = power_limit_w;
this.host_bandwidth_bytes_per_s = host_bandwidth_bytes_per_s;
}
}
$dataclass(machine$Machine, ["system", "power_limit_w", "host_bandwidth_bytes_per_s"], true);
const machine$LINUX = new machine$Machine();
class gpus$GpuSpec {
constructor(name, generation, compute_capability, sm_count, clock_ghz, memory_bytes, bandwidth_bytes_per_s, fp16_flops, int8_ops, power_limit_w, source = "") {
this.name = name;
this.generation = generation;
this.compute_capability = compute_capability;
this.sm_count = sm_count;
this.clock_ghz = clock_ghz;
this.memory_bytes = memory_bytes;
this.bandwidth_bytes_per_s = bandwidth_bytes_per_s;
this.fp16_flops = fp16_flops;
this.int8_ops = int8_ops;
this.power_limit_w = power_limit_w;
this.source = source;
}
}
$dataclass(gpus$GpuSpec, ["name", "generation", "compute_capability", "sm_count", "clock_ghz", "memory_bytes", "bandwidth_bytes_per_s", "fp16_flops", "int8_ops", "power_limit_w", "source"], true);
const card$_GENERATION = $dict([["6.0", "P100"], ["6.1", "Pascal"], ["7.0", "Volta"], ["7.2", "Volta"], ["7.5", "Turing"], ["8.0", "A100"], ["8.6", "Ampere"], ["8.7", "Ampere"], ["8.9", "Ada"], ["9.0", "Hopper"], ["10.0", "Hopper"], ["10.3", "Hopper"]]);
const card$_HBM_SERVER = ["A100", "Hopper"];
const card$_ECC_CARDS = $frozenset($set(["A40", "A10", "A10G", "A16", "A2", "L20", "L40", "L40S", "L4", "T4", "P40", "P4"]));
const card$_TYPICAL_W_PER_SM_GHZ = $dict([["Pascal", 3.86], ["P100", 2.34], ["Volta", 1.65], ["Turing", 1.82], ["A100", 1.42], ["Ampere", 1.82], ["Hopper", 1.65]]);
const card$_REACHABLE_PEAK = $dict([["9.0", 0.61], ["10.0", 0.305], ["10.3", 0.305], ["11.0", 0.305]]);
const card$_UNIFIED = ["8.7", "11.0", "12.1"];
const card$_WIDE = ["8.7", "11.0"];
const card$_TENSOR_OPS = 512;
const card$_OLD_BUS_SHARE = 0.5;
const card$INT8_BUILD = 2024.45;
const card$FUSION_BUILDS = [2025.65, 2025.87];
const card$NATIVE_FP4_BUILD = 2025.97;
class card$CardTraits {
constructor(name, generation, bandwidth_bytes_per_s, sm_count, sm_hz, int8_ops, fp16_flops, relative_w_per_sm_ghz, is_consumer, has_ecc, is_server, has_wide_tensor_cores, is_before_turing, is_before_ada, has_tensor_cores, has_int8_tensor_cores, is_unified, is_windows, is_capped, has_graphs, has_fp4, bus_share) {
this.name = name;
this.generation = generation;
this.bandwidth_bytes_per_s = bandwidth_bytes_per_s;
this.sm_count = sm_count;
this.sm_hz = sm_hz;
this.int8_ops = int8_ops;
this.fp16_flops = fp16_flops;
this.relative_w_per_sm_ghz = relative_w_per_sm_ghz;
this.is_consumer = is_consumer;
this.has_ecc = has_ecc;
this.is_server = is_server;
this.has_wide_tensor_cores = has_wide_tensor_cores;
this.is_before_turing = is_before_turing;
this.is_before_ada = is_before_ada;
this.has_tensor_cores = has_tensor_cores;
this.has_int8_tensor_cores = has_int8_tensor_cores;
this.is_unified = is_unified;
this.is_windows = is_windows;
this.is_capped = is_capped;
this.has_graphs = has_graphs;
this.has_fp4 = has_fp4;
this.bus_share = bus_share;
}
}
$dataclass(card$CardTraits, ["name", "generation", "bandwidth_bytes_per_s", "sm_count", "sm_hz", "int8_ops", "fp16_flops", "relative_w_per_sm_ghz", "is_consumer", "has_ecc", "is_server", "has_wide_tensor_cores", "is_before_turing", "is_before_ada", "has_tensor_cores", "has_int8_tensor_cores", "is_unified", "is_windows", "is_capped", "has_graphs", "has_fp4", "bus_share"], true);
function card$card_facts(gpu, machine = machine$LINUX) {
let capability, fp16_ops, generation, has_tensor_cores, reachable, watts, words;
capability = $tuple((() => { const $into = []; for (const part of $string.split(gpu.compute_capability, ".")) { $into.push($int(part)); } return $into; })());
generation = card$_GENERATION.get(gpu.compute_capability, ($ge(capability, [10, 0]) ? "Blackwell" : "Pascal"));
words = $set($string.split(gpu.name.replace("-", " ")));
watts = ($or(machine.power_limit_w, () => gpu.power_limit_w) / (gpu.sm_count * gpu.clock_ghz));
fp16_ops = (gpu.fp16_flops / ((gpu.sm_count * gpu.clock_ghz) * 1000000000.0));
has_tensor_cores = ($ge(capability, [7, 0]) && $gt(fp16_ops, card$_TENSOR_OPS));
reachable = card$_REACHABLE_PEAK.get(gpu.compute_capability, 1.0);
return new card$CardTraits(gpu.name, generation, gpu.bandwidth_bytes_per_s, gpu.sm_count, ((gpu.sm_count * gpu.clock_ghz) * 1000000000.0), (gpu.int8_ops * reachable), (gpu.fp16_flops * reachable), (watts / card$_TYPICAL_W_PER_SM_GHZ.get(generation, 1.0)), card$_is_consumer(gpu.name), $bool($both(words, card$_ECC_CARDS)), $in(generation, card$_HBM_SERVER), ($in(generation, card$_HBM_SERVER) || $in(gpu.compute_capability, card$_WIDE)), $lt(capability, [7, 5]), $lt(capability, [8, 9]), has_tensor_cores, $and($ge(capability, [7, 5]), () => has_tensor_cores), $in(gpu.compute_capability, card$_UNIFIED), (machine.system === "windows"), ((machine.power_limit_w != null) && $lt(machine.power_limit_w, gpu.power_limit_w)), $ge(capability, [8, 0]), $ge(capability, [12, 0]), ($ge(capability, [8, 0]) ? 1.0 : card$_OLD_BUS_SHARE));
}
function card$fused_share(build_year) {
let end, start;
[start, end] = card$FUSION_BUILDS;
return $min($max(($sub(build_year, start) / $sub(end, start)), 0.0), 1.0);
}
function card$_is_consumer(name) {
return (($in("GeForce", name) || $in("TITAN", $string.upper(name))) && !$in("Laptop", name));
}
class prediction$DeviceMemory {
constructor(weights_bytes = 0, kv_cache_bytes = 0, recurrent_bytes = 0, compute_bytes = 0, output_bytes = 0, overhead_bytes = 0) {
this.weights_bytes = weights_bytes;
this.kv_cache_bytes = kv_cache_bytes;
this.recurrent_bytes = recurrent_bytes;
this.compute_bytes = compute_bytes;
this.output_bytes = output_bytes;
this.overhead_bytes = overhead_bytes;
}
get total_bytes() {
const self = this;
return $add($add($add($add($add(self.weights_bytes, self.kv_cache_bytes), self.recurrent_bytes), self.compute_bytes), self.output_bytes), self.overhead_bytes);
}
certain_bytes(exact_compute) {
const self = this;
return $sub($sub(self.total_bytes, self.overhead_bytes), ($truth(exact_compute) ? 0 : self.compute_bytes));
}
}
$dataclass(prediction$DeviceMemory, ["weights_bytes", "kv_cache_bytes", "recurrent_bytes", "compute_bytes", "output_bytes", "overhead_bytes"], true);
class prediction$MemoryEstimate {
constructor(devices, exact_compute = true, warnings = []) {
this.devices = devices;
this.exact_compute = exact_compute;
this.warnings = warnings;
}
}
$dataclass(prediction$MemoryEstimate, ["devices", "exact_compute", "warnings"], true);
class prediction$SlotsSpeed {
constructor(n_slots, n_depth, decode_tokens_per_s, decode_interval_90 = null) {
this.n_slots = n_slots;
this.n_depth = n_depth;
this.decode_tokens_per_s = decode_tokens_per_s;
this.decode_interval_90 = decode_interval_90;
}
}
$dataclass(prediction$SlotsSpeed, ["n_slots", "n_depth", "decode_tokens_per_s", "decode_interval_90"], true);
class prediction$SpeedEstimate {
constructor(prefill_tokens_per_s, decode_tokens_per_s, prefill_interval_90 = null, decode_interval_90 = null, bound_by = "", slots = null, untested = []) {
this.prefill_tokens_per_s = prefill_tokens_per_s;
this.decode_tokens_per_s = decode_tokens_per_s;
this.prefill_interval_90 = prefill_interval_90;
this.decode_interval_90 = decode_interval_90;
this.bound_by = bound_by;
this.slots = slots;
this.untested = untested;
}
}
$dataclass(prediction$SpeedEstimate, ["prefill_tokens_per_s", "decode_tokens_per_s", "prefill_interval_90", "decode_interval_90", "bound_by", "slots", "untested"], true);
class prediction$Prediction {
constructor(model, config, memory, fits = null, fit_probability = null, max_context = null, speed = null, speed_reason = null, warnings = []) {
this.model = model;
this.config = config;
this.memory = memory;
this.fits = fits;
this.fit_probability = fit_probability;
this.max_context = max_context;
this.speed = speed;
this.speed_reason = speed_reason;
this.warnings = warnings;
}
}
$dataclass(prediction$Prediction, ["model", "config", "memory", "fits", "fit_probability", "max_context", "speed", "speed_reason", "warnings"], true);
function prediction$is_card(device) {
return $and($string.startswith(device, "CUDA"), () => (device !== "CUDA_Host"));
}
const overhead$_NARROW = [[8, 6], [8, 7], [8, 9]];
const overhead$POOL_PIECE = (2 * units$MIB);
const overhead$ROW_PADDING = 512;
const overhead$Q8_1_BYTES = (9 / 8);
const overhead$TILE = 128;
const overhead$FULL_WAVES = 90;
const overhead$FLOAT_COLUMNS = 16;
const overhead$FLASH_COLUMNS = 128;
function overhead$overhead_bytes(spec, config, gpu, coefficients, device_index = 0) {
if ($ge(device_index, $max(config.n_devices, 1))) {
return 0;
}
return $add(overhead$driver_bytes(spec, config, gpu, coefficients), overhead$pool_bytes(spec, config, gpu));
}
function overhead$driver_bytes(spec, config, gpu, coefficients) {
let handle, takes_cublas;
takes_cublas = $and((card$card_facts(gpu).generation === "Hopper"), () => overhead$uses_cublas(spec, config, gpu));
handle = ($truth(takes_cublas) ? $round($get(coefficients, "memory.cublas_bytes")) : 0);
return $add(overhead$context_bytes(gpu, coefficients), handle);
}
function overhead$context_bytes(gpu, coefficients) {
let for_threads, values;
values = coefficients.for_card(gpu.name);
for_threads = ($get(values, "memory.context_bytes_per_thread") * overhead$resident_threads(gpu));
return $round(($add($get(values, "memory.context_base_bytes"), for_threads) * $get(values, "memory.own_context_factor")));
}
function overhead$resident_threads(gpu) {
let capability, is_narrow;
capability = overhead$_capability(gpu);
if ($eq(capability, [7, 5])) {
return (gpu.sm_count * 1024);
}
is_narrow = ($in(capability, overhead$_NARROW) || $ge(capability, [11, 0]));
return (gpu.sm_count * ($truth(is_narrow) ? 1536 : 2048));
}
function overhead$uses_cublas(spec, config, gpu) {
return (() => { for (const [, through] of overhead$_needs(spec, config, gpu, overhead$_n_tokens(config))) { if ($truth(through)) return true; } return false; })();
}
function overhead$pool_bytes(spec, config, gpu) {
let largest, needs, workspace;
needs = overhead$_needs(spec, config, gpu, overhead$_n_tokens(config));
largest = $max((() => { const $into = []; for (const [need, ] of needs) { $into.push(need); } return $into; })(), new $Named({default: 0.0}));
workspace = ($truth(overhead$uses_cublas(spec, config, gpu)) ? overhead$workspace_bytes(gpu) : 0);
return $add(workspace, ((-$floordiv((-$int(largest)), overhead$POOL_PIECE)) * overhead$POOL_PIECE));
}
function overhead$pool_key(config) {
let context, fused;
fused = (config.flash_attn !== "off");
context = ($truth(fused) ? [0, 0, false] : [config.n_ctx, config.n_seq_max, config.kv_unified]);
return [overhead$_n_tokens(config), config.n_expert_used, fused, config.offload_kqv, config.n_devices, ...context];
}
function overhead$_n_tokens(config) {
return $min(config.n_ubatch, config.n_batch, config.n_ctx);
}
function overhead$workspace_bytes(gpu) {
return (($ge(overhead$_capability(gpu), [9, 0]) ? 32 : 4) * units$MIB);
}
function* overhead$_needs(spec, config, gpu, n) {
let n_used, tensor;
n_used = $or(config.n_expert_used, () => spec.n_expert_used);
for (tensor of spec.tensors.values()) {
if ((($len(tensor.ne) < 2) || !$truth($string.startswith(tensor.name, "blk.")) || !$truth($string.endswith(tensor.name, ".weight")))) {
continue;
}
if ($in("_exps.", tensor.name)) {
yield overhead$_expert_product(tensor, gpu, n, n_used);
}
else {
if ((!$in("conv1d", tensor.name) && !$in("rel_b", tensor.name))) {
yield overhead$_dense_product(tensor, gpu, n);
}
}
}
if (!$truth($max(spec.per_layer("attention.head_count", 1)))) {
return null;
}
if ((config.flash_attn !== "off")) {
yield [overhead$_flash_attention(spec, gpu), false];
}
else {
if ($truth(config.offload_kqv)) {
yield [overhead$_plain_attention(spec, config, n), true];
}
}
}
function overhead$_dense_product(tensor, gpu, n) {
let channels, inner, result, rows;
[inner, rows] = [$get(tensor.ne, 0), $get(tensor.ne, 1)];
if ($truth(tensor.quant.is_quantized)) {
if ($truth(overhead$_has_quantized_kernels(gpu))) {
return [$add(overhead$_activations(tensor, gpu, n), overhead$_fixup(rows, n, 1, gpu)), false];
}
return [(2.0 * $add($add((inner * rows), (n * inner)), (n * rows))), true];
}
if (((tensor.quant.name === "F32") || $le(n, overhead$FLOAT_COLUMNS))) {
return [0.0, $gt(n, overhead$FLOAT_COLUMNS)];
}
channels = (($len(tensor.ne) > 2) ? $get(tensor.ne, 2) : 1);
result = (((tensor.quant.name === "F16") && !$eq(overhead$_capability(gpu), [7, 0])) ? (((2.0 * n) * rows) * channels) : 0.0);
return [$add((((2.0 * n) * inner) * channels), result), true];
}
function overhead$_expert_product(tensor, gpu, n, n_used) {
let indices, inner, n_expert, rows, sorted_rows;
[inner, rows, n_expert] = [$get(tensor.ne, 0), $get(tensor.ne, 1), $get(tensor.ne, (-1))];
sorted_rows = (n * n_used);
indices = $add((8.0 * sorted_rows), (4.0 * (n_expert + 1)));
if ($truth(tensor.quant.is_quantized)) {
return [$add($add(indices, overhead$_activations(tensor, gpu, sorted_rows)), overhead$_fixup(rows, n, n_expert, gpu)), false];
}
if ($le(n, ((rows <= 1024) ? 512 : 128))) {
return [indices, false];
}
return [$add(indices, (sorted_rows * $add((2.0 * inner), (4.0 * rows)))), true];
}
function overhead$_activations(tensor, gpu, n) {
let in_fp4, row;
in_fp4 = ($in(tensor.quant.name, ["MXFP4", "NVFP4"]) && $ge(overhead$_capability(gpu), [12, 0]));
row = ((((-$floordiv((-$get(tensor.ne, 0)), overhead$ROW_PADDING)) * overhead$ROW_PADDING) * overhead$Q8_1_BYTES) / ($truth(in_fp4) ? 2 : 1));
return $add((n * row), (overhead$TILE * 144));
}
function overhead$_fixup(rows, n, channels, gpu) {
let columns, tiles, waves, width;
columns = (-$floordiv((-n), overhead$TILE));
width = ($truth($mod(n, (columns * 8))) ? ((-$floordiv($floordiv((-n), columns), 8)) * 8) : $floordiv(n, columns));
tiles = (((-$floordiv((-rows), overhead$TILE)) * (-$floordiv((-n), width))) * channels);
waves = (-$floordiv((-tiles), gpu.sm_count));
if ((($floordiv((100 * tiles), (gpu.sm_count * waves)) >= overhead$FULL_WAVES) || ($mod(tiles, gpu.sm_count) === 0))) {
return 0.0;
}
return (((4.0 * gpu.sm_count) * overhead$TILE) * width);
}
function overhead$_flash_attention(spec, gpu) {
let heads, latent, size;
latent = spec.integer("attention.kv_lora_rank", 0);
heads = $max(spec.per_layer("attention.head_count", 1));
size = $or(latent, () => spec.integer("attention.value_length", $floordiv(spec.n_embd, heads)));
return (((8.0 * gpu.sm_count) * ($truth(latent) ? $floordiv(overhead$FLASH_COLUMNS, 4) : overhead$FLASH_COLUMNS)) * (2 + (size / 2)));
}
function overhead$_plain_attention(spec, config, n) {
let heads, value;
heads = $max(spec.per_layer("attention.head_count", 1));
value = spec.integer("attention.value_length", $floordiv(spec.n_embd, heads));
return (((2.0 * n) * heads) * ((config$padded_context(config.n_ctx) / ($truth(config.kv_unified) ? 1 : config.n_seq_max)) + value));
}
function overhead$_has_quantized_kernels(gpu) {
return (gpu.int8_ops > 0);
}
function overhead$_capability(gpu) {
return $tuple((() => { const $into = []; for (const part of $string.split(gpu.compute_capability, ".")) { $into.push($int(part)); } return $into; })());
}
const likelihood$NORMAL = $statistics.NormalDist();
const likelihood$SDS_OF_HALF_WIDTH = likelihood$NORMAL.inv_cdf(0.95);
const likelihood$UNKNOWN_GRAPH_SHARE = 0.5;
function likelihood$fit_probability(memory, gpu, gpu_memory_bytes, coefficients) {
let cards, context;
context = likelihood$context_half_width_bytes(gpu, coefficients);
cards = (() => { const $into = []; for (const device of memory.devices.values()) { if ($truth(device.overhead_bytes)) { $into.push(device); } } return $into; })();
return $min((() => { const $into = []; for (const card of cards) { $into.push(likelihood$_probability(card, context, gpu_memory_bytes, memory.exact_compute)); } return $into; })(), new $Named({default: 1.0}));
}
function likelihood$context_half_width_bytes(gpu, coefficients) {
let own;
own = coefficients.interval_widths.get("total_vram_bytes", $dict([])).get("calibrated");
if (((own != null) && $in("memory.own_context_factor", coefficients.cards.get(gpu.name, $dict([]))))) {
return own;
}
return (overhead$context_bytes(gpu, coefficients) * $math.expm1($get($get(coefficients.interval_widths, "context_bytes"), "other cards")));
}
function likelihood$_probability(card, context, memory_bytes, exact_compute) {
let sd_bytes, unknown;
unknown = ($truth(exact_compute) ? 0.0 : (likelihood$UNKNOWN_GRAPH_SHARE * card.compute_bytes));
sd_bytes = ($math.hypot(context, unknown) / likelihood$SDS_OF_HALF_WIDTH);
if (!$truth(sd_bytes)) {
return $float($le(card.total_bytes, memory_bytes));
}
return likelihood$NORMAL.cdf(($sub(memory_bytes, card.total_bytes) / sd_bytes));
}
const memory$_BY_LAYER = ["rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"];
const memory$_OF_FIRST_LAYER = ["per_layer_model_proj.weight", "per_layer_proj_norm.weight"];
const memory$MAX_SEQUENCES = 256;
class memory$MemoryModel {
constructor(model, build = build$LATEST) {
const self = this;
self.model = model;
self._compute = new compute$ComputeModel(model, build);
self._hparams = $dict([]);
self._weights = $dict([]);
self._cache_rows = $dict([]);
self._setup = null;
}
get is_known() {
const self = this;
return families$family_of(self.model.arch).has_known_graph;
}
hparams(n_expert_used = null) {
const self = this;
if (!$in(n_expert_used, self._hparams)) {
$put(self._hparams, n_expert_used, hparams$resolve_hparams(self.model, n_expert_used));
}
return $get(self._hparams, n_expert_used);
}
estimate(config) {
const self = this;
let setup, warnings;
setup = self.setup(config);
warnings = [...self._general_warnings(config), ...self.refusals(config, setup)];
return self._assemble(setup, self.compute(setup), $tuple(warnings));
}
setup(config) {
const self = this;
if (((self._setup == null) || !$eq($get(self._setup, 0), config))) {
self._setup = [config, self._resolved(config)];
}
return $get(self._setup, 1);
}
_resolved(config) {
const self = this;
let cache, fused, hparams, is_open, setup;
hparams = self.hparams(($truth(self.model.is_moe) ? config.n_expert_used : null));
fused = (config.flash_attn !== "off");
cache = new builder$CacheTypes(ggml_types$quant(config.type_k), ggml_types$quant(config.type_v), fused, !$truth(fused));
setup = new compute$Setup(hparams, new placement$Placement(config, hparams.n_layer_all), sizes$resolve_sizes(config, hparams), cache, config.op_offload);
is_open = ((config.flash_attn === "auto") && !$truth(cache.v.is_quantized));
if (($truth(is_open) && !$truth(self._compute.fuses_attention(setup)))) {
setup = $dataclasses.replace(setup, new $Named({cache: $dataclasses.replace(cache, new $Named({flash_attn: false}))}));
}
return setup;
}
compute(setup) {
const self = this;
return self._compute.buffers(setup);
}
fixed(setup) {
const self = this;
return $dict([["weights_bytes", self._weight_bytes(setup)], ["kv_cache_bytes", self._cache_bytes(setup)], ["recurrent_bytes", memory$recurrent_bytes(setup)], ["output_bytes", $collections.Counter($dict([[memory$_logits_home(setup.placement), ((4 * $bound(setup, "hparams").n_vocab) * $bound(setup, "sizes").n_seqs)]]))]]);
}
_assemble(setup, compute, warnings) {
const self = this;
let components, devices, names;
components = self.fixed(setup);
$put(components, "compute_bytes", $collections.Counter($dict((() => { const $into = []; for (const [device, n] of compute.bytes.items()) { $into.push([($eq(device, placement$CPU) ? setup.placement.host : device), n]); } return $into; })())));
names = $dict.fromkeys([...setup.placement.cards, setup.placement.host, placement$CPU]);
devices = $dict((() => { const $into = []; for (const name of names) { $into.push([name, $construct(prediction$DeviceMemory, $dict([...$dict((() => { const $into = []; for (const [component, by_device] of components.items()) { $into.push([component, $get(by_device, name)]); } return $into; })()).items()]))]); } return $into; })());
return new prediction$MemoryEstimate(devices, self.is_known, warnings);
}
*_general_warnings(config) {
const self = this;
if (!$truth(self.is_known)) {
yield ("" + "architecture " + $repr(self.model.arch) + " is not known: its compute buffers follow the general transformer rule, and its KV cache the usual metadata");
}
if (((config.split_mode === "row") && (config.n_devices > 1))) {
yield "split_mode row is counted as layer: what each card takes differs, for llama.cpp gives each of them rows of every matrix";
}
if (((config.n_expert_used != null) && !$truth(self.model.is_moe))) {
yield ("" + "n_expert_used changes nothing: " + $str(self.model.name) + " is a dense model without experts");
}
}
aborts(config) {
const self = this;
return $and(self.model.is_moe, () => (self._compute.graph_surplus(self.setup(config)) > 0));
}
*refusals(config, setup) {
const self = this;
let cache;
cache = $bound(setup, "cache");
if ($gt(config.n_seq_max, memory$MAX_SEQUENCES)) {
yield ("" + "llama.cpp refuses n_seq_max " + $str(config.n_seq_max) + ": " + $str(memory$MAX_SEQUENCES) + " is the most");
}
if (($truth(cache.v.is_quantized) && !$truth(cache.flash_attn))) {
yield ("" + "llama.cpp refuses type_v " + $str(config.type_v) + " without flash attention; set flash_attn on, or type_v f16");
}
if (($truth($bound(setup, "hparams").is_mla) && !$eq(cache.k, cache.v))) {
yield ("" + "llama.cpp refuses type_k " + $str(config.type_k) + " with type_v " + $str(config.type_v) + " for latent attention");
}
if ($truth(self.aborts(config))) {
yield ("" + "llama.cpp aborts with " + $str($bound(setup, "hparams").n_expert_used) + " active experts (GGML_ASSERT(obj_new) failed): its graph has no room for so many; use fewer");
}
}
_cache_bytes(setup) {
const self = this;
let key;
key = [setup.placement.key, $bound(setup, "cache")];
if (!$in(key, self._cache_rows)) {
$put(self._cache_rows, key, memory$cache_rows(setup));
}
return memory$_bytes_of_rows($get(self._cache_rows, key), $bound(setup, "sizes"));
}
_weight_bytes(setup) {
const self = this;
let key;
key = setup.placement.key;
if (!$in(key, self._weights)) {
$put(self._weights, key, memory$weight_bytes(self.model, $bound(setup, "hparams"), setup.placement));
}
return $get(self._weights, key);
}
}
function memory$_logits_home(placement) {
return ($truth(prediction$is_card(placement.output)) ? placement.host : placement$CPU);
}
function memory$allocated_bytes(info, device) {
return memory$padded_bytes(info.n_bytes, info.quant, $get(info.ne, 0), device);
}
function memory$padded_bytes(n_bytes, kind, width, device) {
if (($truth(prediction$is_card(device)) && $truth(kind.is_quantized) && $truth($mod(width, backends$MATRIX_ROW_PADDING)))) {
n_bytes = $extended(n_bytes, kind.row_bytes((backends$MATRIX_ROW_PADDING - $mod(width, backends$MATRIX_ROW_PADDING))));
}
return tensor$pad(n_bytes, backends$alignment(device));
}
function memory$weight_bytes(model, hparams, placement) {
let device, il, info, name, total;
total = $collections.Counter();
for ([name, info] of model.tensors.items()) {
il = placement$layer_of(name);
if (((il != null) && $ge(il, hparams.n_layer))) {
continue;
}
for (device of memory$homes(name, model, hparams, placement)) {
$put(total, device, $extended($get(total, device), memory$allocated_bytes(info, device)));
}
}
return total;
}
function memory$homes(name, model, hparams, placement) {
let found, full_only;
if ($in(name, memory$_BY_LAYER)) {
full_only = (hparams.family.rope.factors === "full");
return $set((() => { const $into = []; for (const [il, layer] of $enumerate(hparams.layers)) { if (!($truth(full_only) && $truth(layer.is_swa))) { $into.push(placement.weight(name, il)); } } return $into; })());
}
if ($in(name, memory$_OF_FIRST_LAYER)) {
return $set([placement.weight(name, 0)]);
}
found = $set([placement.weight(name)]);
if (((name === "token_embd.weight") && !$in("output.weight", model.tensors))) {
found.add(placement.output);
}
return found;
}
function memory$cache_rows(setup) {
let cache, device, hparams, il, is_swa, kind, layer, rows, v_width, width;
rows = $collections.Counter();
[hparams, cache] = [$bound(setup, "hparams"), $bound(setup, "cache")];
for ([il, layer] of $enumerate(hparams.layers)) {
if ($truth(layer.index_width)) {
$put(rows, [false, cache.k, layer.index_width, setup.placement.cache(il)], $extended($get(rows, [false, cache.k, layer.index_width, setup.placement.cache(il)]), 1));
}
}
for (is_swa of [false, true]) {
for (il of hparams.cache_owners(is_swa)) {
[layer, device] = [$get(hparams.layers, il), setup.placement.cache(il)];
v_width = ($truth(cache.transposes_v) ? hparams.v_width_max : layer.v_width);
for ([kind, width] of [[cache.k, layer.k_width], [cache.v, ($truth(hparams.is_mla) ? 0 : v_width)]]) {
if ($truth(width)) {
$put(rows, [is_swa, kind, width, device], $extended($get(rows, [is_swa, kind, width, device]), 1));
}
}
}
}
return rows;
}
function memory$_bytes_of_rows(rows, sizes) {
let cells, device, is_swa, kind, layers, total, width;
total = $collections.Counter();
for ([[is_swa, kind, width, device], layers] of rows.items()) {
cells = (($truth(is_swa) ? sizes.cells_swa : $bound(sizes, "cells")) * sizes.n_stream);
$put(total, device, $extended($get(total, device), (layers * memory$padded_bytes((kind.row_bytes(width) * cells), kind, width, device))));
}
return total;
}
function memory$recurrent_bytes(setup) {
let device, hparams, il, layer, total, width;
total = $collections.Counter();
hparams = $bound(setup, "hparams");
for ([il, layer] of $enumerate(hparams.layers)) {
if ($truth(layer.is_recurrent)) {
if ((hparams.ssm == null)) {
throw new errors$ModelFileError(("" + "layer " + $str(il) + " is recurrent, and the file has no ssm.* metadata; is it complete?"));
}
device = setup.placement.cache(il);
for (width of [hparams.ssm.conv_state, hparams.ssm.ssm_state]) {
$put(total, device, $extended($get(total, device), tensor$pad(((4 * width) * $bound(setup, "sizes").n_seqs), backends$alignment(device))));
}
}
}
return total;
}
const work$_LEGACY = ["Q4_0", "Q4_1", "Q5_0", "Q5_1"];
const work$_KIND_BY_PREFIX = [["IQ4", "iq4"], ["IQ3", "iq3"], ["IQ", "iq2"], ["TQ", "iq2"], ["Q8", "q8_0"], ["Q6", "q6_k"], ["Q4_K", "q4_k"], ["Q5_K", "q5_k"], ["Q2", "q2_k"], ["Q3", "q3_k"], ["Q1", "iq2"], ["MXFP4", "fp4"], ["NVFP4", "fp4"]];
const work$_RECURRENT = ["ssm_", "shortconv", "time_mix"];
function work$kind_of(type_name) {
if ($in(type_name, work$_LEGACY)) {
return "q4_0";
}
return (() => { for (const [prefix, kind] of work$_KIND_BY_PREFIX) { if ($truth($string.startswith(type_name, prefix))) { return kind; } } return "f16"; })();
}
class work$AttentionWork {
constructor(layers, owners, window, n_head, n_head_kv, head_size, row_bytes, held = null, is_latent = false, quantized_share = 0.0) {
this.layers = layers;
this.owners = owners;
this.window = window;
this.n_head = n_head;
this.n_head_kv = n_head_kv;
this.head_size = head_size;
this.row_bytes = row_bytes;
this.held = held;
this.is_latent = is_latent;
this.quantized_share = quantized_share;
}
cells(n_depth) {
const self = this;
return ((self.window == null) ? n_depth : $min(n_depth, self.window));
}
read_cells(n_depth) {
const self = this;
return ((self.held == null) ? n_depth : $min(n_depth, self.held));
}
get heads_to_cell() {
const self = this;
return (self.n_head / self.n_head_kv);
}
}
$dataclass(work$AttentionWork, ["layers", "owners", "window", "n_head", "n_head_kv", "head_size", "row_bytes", "held", "is_latent", "quantized_share"], true);
class work$Work {
constructor(dense_bytes = (() => $collections.defaultdict($float))(), dense_flops = (() => $collections.defaultdict($float))(), inner_sizes = (() => $collections.defaultdict($float))(), head_bytes = (() => $collections.defaultdict($float))(), expert_bytes = (() => $collections.defaultdict($float))(), expert_flops = (() => $collections.defaultdict($float))(), expert_matrices = 0, expert_share = 0.0, kernels = 0.0, routing_kernels = 0.0, rotations = 0.0, recurrent_layers = 0, recurrent_elements = 0.0, attention = $list(), n_vocab = 0, n_embd = 0) {
this.dense_bytes = dense_bytes;
this.dense_flops = dense_flops;
this.inner_sizes = inner_sizes;
this.head_bytes = head_bytes;
this.expert_bytes = expert_bytes;
this.expert_flops = expert_flops;
this.expert_matrices = expert_matrices;
this.expert_share = expert_share;
this.kernels = kernels;
this.routing_kernels = routing_kernels;
this.rotations = rotations;
this.recurrent_layers = recurrent_layers;
this.recurrent_elements = recurrent_elements;
this.attention = attention;
this.n_vocab = n_vocab;
this.n_embd = n_embd;
}
get is_idle() {
const self = this;
return !($truth(self.dense_bytes) || $truth(self.expert_bytes) || $truth(self.head_bytes));
}
weight_bytes(n_tokens) {
const self = this;
let dense, touched;
touched = ((n_tokens == null) ? 1.0 : self.touched(n_tokens));
dense = $add($sum(self.dense_bytes.values()), $sum(self.head_bytes.values()));
return $add(dense, ($sum(self.expert_bytes.values()) * touched));
}
touched(n_tokens) {
const self = this;
return ($truth(self.expert_share) ? (1 - (((1 - $min(self.expert_share, 0.999999))) ** (n_tokens))) : 0.0);
}
}
$dataclass(work$Work, ["dense_bytes", "dense_flops", "inner_sizes", "head_bytes", "expert_bytes", "expert_flops", "expert_matrices", "expert_share", "kernels", "routing_kernels", "rotations", "recurrent_layers", "recurrent_elements", "attention", "n_vocab", "n_embd"], false);
function work$work_key(setup) {
return [setup.placement.key, $bound(setup, "cache"), $bound(setup, "hparams").n_expert_used, work$_held(setup)];
}
function work$forward_work(model, setup) {
let card, device, host, hparams, il, is_head, is_tied, layer, layer_shape, n_used, part, parts_of, placement, tensor, work;
[hparams, placement] = [$bound(setup, "hparams"), setup.placement];
[card, host] = (function* () { for (const _ of $range(2)) { yield new work$Work(undefined, undefined, undefined, undefined, undefined, undefined, undefined, undefined, undefined, undefined, undefined, undefined, undefined, undefined, hparams.n_vocab, hparams.n_embd); } })();
parts_of = $collections.defaultdict($list);
n_used = hparams.n_expert_used;
for (work of [card, host]) {
work.expert_share = ($truth(hparams.n_expert) ? (n_used / hparams.n_expert) : 0.0);
}
is_tied = !$in("output.weight", model.tensors);
for (tensor of model.tensors.values()) {
[layer, part] = work$_layer_and_part(tensor.name);
if (((layer != null) && $ge(layer, hparams.n_layer))) {
continue;
}
if ((layer != null)) {
$list.append($get(parts_of, layer), part);
}
if ((($len(tensor.ne) < 2) || $truth($string.endswith(part, "bias")))) {
continue;
}
is_head = $eq(tensor.name, ($truth(is_tied) ? "token_embd.weight" : "output.weight"));
for (device of memory$homes(tensor.name, model, hparams, placement)) {
if (!($truth(is_head) && $truth(is_tied) && !$eq(device, placement.output))) {
work$_add_matrix(($truth(prediction$is_card(device)) ? card : host), tensor, part, is_head, n_used);
}
}
}
for ([il, layer_shape] of $enumerate(hparams.layers)) {
work = ($truth(prediction$is_card(placement.layer(il))) ? card : host);
work$_count_kernels(work, layer_shape, $get(parts_of, il), n_used);
}
work$_add_attention(setup, card, host);
($truth(prediction$is_card(placement.output)) ? card : host).kernels = $extended(($truth(prediction$is_card(placement.output)) ? card : host).kernels, 4);
return [card, host];
}
function work$_layer_and_part(name) {
let _, number, part;
if (!$truth($string.startswith(name, "blk."))) {
return [null, name];
}
[number, _, part] = $string.partition($slice(name, 4, null, null), ".");
return ($truth($string.isdigit(number)) ? [$int(number), part] : [null, name]);
}
function work$_add_matrix(work, tensor, part, is_head, n_used) {
let kind, n_bytes, n_expert, n_weights;
[kind, n_bytes, n_weights] = [work$kind_of(tensor.quant.name), $float(tensor.n_bytes), $float(tensor.n_elements)];
if ($truth(is_head)) {
$put(work.head_bytes, kind, $extended($get(work.head_bytes, kind), n_bytes));
}
else {
if ($in("_exps.", part)) {
n_expert = $get(tensor.ne, (-1));
$put(work.expert_bytes, kind, $extended($get(work.expert_bytes, kind), n_bytes));
$put(work.expert_flops, kind, $extended($get(work.expert_flops, kind), (((2 * n_weights) * n_used) / n_expert)));
work.expert_matrices = $extended(work.expert_matrices, n_expert);
}
else {
if ((!$in("embd", part) && !$in("embed", part) && !$in("conv1d", part))) {
$put(work.dense_bytes, kind, $extended($get(work.dense_bytes, kind), n_bytes));
$put(work.dense_flops, kind, $extended($get(work.dense_flops, kind), (2 * n_weights)));
$put(work.inner_sizes, kind, $extended($get(work.inner_sizes, kind), $get(tensor.ne, 0)));
}
}
}
}
function work$_count_kernels(work, layer, parts, n_used) {
let experts, own, shared;
experts = (() => { for (const part of parts) { if ($in("_exps.", part)) return true; } return false; })();
shared = (() => { for (const part of parts) { if ($in("shexp", part)) return true; } return false; })();
if ($truth(layer.is_recurrent)) {
work.recurrent_layers = $extended(work.recurrent_layers, 1);
}
if (($truth(layer.has_attention) || !$truth(layer.is_recurrent))) {
own = (() => { const $into = []; for (const part of parts) { if (!$truth($string.startswith(part, ["ffn_", ...work$_RECURRENT]))) { $into.push(part); } } return $into; })();
work.kernels = $extended(work.kernels, $add($sum((() => { const $into = []; for (const part of own) { $into.push($or(!$truth($string.endswith(part, "bias")), () => $string.startswith(part, "attn"))); } return $into; })()), (5 * $bool(own))));
}
if ($truth(experts)) {
work.routing_kernels = $extended(work.routing_kernels, $add((4 + n_used), $sum((() => { const $into = []; for (const part of parts) { $into.push($and($in("_exps.", part), () => $string.endswith(part, "weight"))); } return $into; })())));
work.routing_kernels = $extended(work.routing_kernels, $add((4 * shared), $sum((() => { const $into = []; for (const part of parts) { $into.push($and($in("_exps.", part), () => $string.endswith(part, "bias"))); } return $into; })())));
}
else {
work.kernels = $extended(work.kernels, $add($sum((() => { const $into = []; for (const part of parts) { $into.push($string.startswith(part, "ffn_")); } return $into; })()), (2 * (() => { for (const p of parts) { if ($truth($string.startswith(p, "ffn_"))) return true; } return false; })())));
}
}
function work$_add_attention(setup, card, host) {
let count, fused, group, groups, head_size, hparams, il, layer, n_head, n_head_kv, on_card, owners, row_bytes, window, work;
[hparams, fused] = [$bound(setup, "hparams"), $bound(setup, "cache").flash_attn];
groups = $collections.Counter();
owners = $collections.Counter();
for ([il, layer] of $enumerate(hparams.layers)) {
on_card = prediction$is_card(setup.placement.cache(il));
work = ($truth(on_card) ? card : host);
if (($truth(layer.is_recurrent) && (hparams.ssm != null))) {
work.recurrent_elements = $extended(work.recurrent_elements, $add(hparams.ssm.conv_state, hparams.ssm.ssm_state));
}
if (($truth(layer.has_attention) && $truth(layer.k_width))) {
group = [on_card, ($truth(layer.is_swa) ? hparams.n_swa : null), layer.n_head, layer.n_head_kv, layer.head_k, work$_row_bytes(setup, layer)];
$put(groups, group, $extended($get(groups, group), 1));
$put(owners, group, $extended($get(owners, group), $eq(layer.cache_layer, il)));
work.kernels = $extended(work.kernels, ($truth(fused) ? 2 : 5));
work.rotations = $extended(work.rotations, $add((2 * $bound(setup, "cache").k.is_quantized), (2 * $bound(setup, "cache").v.is_quantized)));
}
}
for ([group, count] of groups.items()) {
[on_card, window, n_head, n_head_kv, head_size, row_bytes] = group;
$list.append(($truth(on_card) ? card : host).attention, new work$AttentionWork(count, $get(owners, group), window, n_head, n_head_kv, head_size, row_bytes, ((window == null) ? null : work$_held(setup)), hparams.is_mla, ($add($bound(setup, "cache").k.is_quantized, $bound(setup, "cache").v.is_quantized) / 2)));
}
}
function work$_held(setup) {
let kept;
kept = $bound(setup, "sizes").cells_swa;
return ($lt(kept, $bound($bound(setup, "sizes"), "cells")) ? kept : null);
}
function work$_row_bytes(setup, layer) {
let keys;
keys = $add($bound(setup, "cache").k.row_bytes(layer.k_width), $bound(setup, "cache").k.row_bytes(layer.index_width));
return ($truth($bound(setup, "hparams").is_mla) ? keys : $add(keys, $bound(setup, "cache").v.row_bytes(layer.v_width)));
}
const speed_decode$LOGITS_BYTES_PER_S = 12000000000.0;
const speed_decode$VECTOR_HEAD = 256;
const speed_decode$SHARING_HEADS = 4;
const speed_decode$SHARING_CELLS = 8192;
const speed_decode$SHARING_BUILD = 2025.4;
const speed_decode$ROTATION_BUILD = 2026.24;
const speed_decode$MATVEC_COLUMNS = 8;
const speed_decode$REFERENCE_YEAR = 2025.6;
const speed_decode$LAST_YEAR = 2026.7;
function speed_decode$decode_terms(card, work, c, n_depth, n_parallel, flash, build_year) {
let columns, head;
columns = (1 + ($get(c, "matvec.column_share") * (n_parallel - 1)));
head = speed_decode$matrix_seconds(card, c, work.head_bytes);
return $dict([["weights", ($add(speed_decode$matrix_seconds(card, c, work.dense_bytes), head) * columns)], ["experts", speed_decode$expert_seconds(card, work, c, n_parallel)], ["kernels", ($add(speed_decode$token_seconds(card, c), (speed_decode$kernel_count(work, c, build_year) * speed_decode$kernel_seconds(card, c, build_year))) + (((work.n_vocab * 4) * n_parallel) / speed_decode$LOGITS_BYTES_PER_S))], ["attention", (n_parallel * $sum((() => { const $into = []; for (const group of work.attention) { $into.push(speed_decode$attention_seconds(card, group, c, n_depth, flash, build_year)); } return $into; })()))], ["recurrent", ((((n_parallel * work.recurrent_elements) * 4) * $get(c, "decode.recurrent_passes")) / card.bandwidth_bytes_per_s)]]);
}
function speed_decode$byte_seconds(card, c, kind) {
let arithmetic, clocks, memory, seconds, share, slow;
share = ($get(c, "matvec.bandwidth_share") * $get(c, ("" + "matvec.bandwidth_factor." + $str(card.generation))));
if ($truth(card.is_unified)) {
share = (share * $get(c, "card.unified_bandwidth_factor"));
}
memory = (speed_decode$memory_byte_seconds(card, c) / share);
clocks = ($get(c, "matvec.clocks_per_byte") * $get(c, ("" + "matvec.clocks_factor." + $str(kind))));
if ((card.generation === "P100")) {
clocks = (clocks * $get(c, "matvec.clocks_without_dp4a"));
}
slow = speed_decode$power_slowdown(card, c);
arithmetic = ((clocks * slow) / speed_decode$clock_hz(card, c));
seconds = (((((((memory) ** (2)) + ((arithmetic) ** (2)))) ** (0.5)) * ((slow) ** (0.5))) / $get(c, "card.bandwidth_factor"));
return seconds;
}
function speed_decode$matrix_seconds(card, c, bytes_by_kind) {
return $sum((() => { const $into = []; for (const [kind, n_bytes] of bytes_by_kind.items()) { $into.push((n_bytes * speed_decode$byte_seconds(card, c, kind))); } return $into; })());
}
function speed_decode$expert_seconds(card, work, c, n_tokens) {
let share;
share = ((n_tokens === 1) ? work.expert_share : work.touched(n_tokens));
return ((speed_decode$matrix_seconds(card, c, work.expert_bytes) * share) * $get(c, "matvec.expert_byte_factor"));
}
function speed_decode$kernel_count(work, c, build_year) {
let recurrent, rotations, routing;
routing = (work.routing_kernels * (($get(c, "decode.fused_routing_factor")) ** (card$fused_share(build_year))));
rotations = ($gt(build_year, speed_decode$ROTATION_BUILD) ? work.rotations : 0.0);
recurrent = (work.recurrent_layers * $get(c, "decode.recurrent_kernels"));
return $add($add($add(work.kernels, routing), rotations), recurrent);
}
function speed_decode$kernel_seconds(card, c, build_year) {
let fused, seconds;
seconds = (($get(c, "decode.kernel_s") * $get(c, ("" + "decode.kernel_factor." + $str(card.generation)))) / $get(c, "card.overhead_factor"));
if (!$truth(card.has_graphs)) {
seconds = (seconds * $get(c, "decode.no_graph_factor"));
}
if ($truth(card.is_unified)) {
seconds = (seconds * $get(c, "card.unified_kernel_factor"));
}
fused = (($get(c, "decode.fused_factor")) ** (card$fused_share(build_year)));
return (((seconds * fused) * speed_decode$growth((-$get(c, "decode.launch_gain_per_year")), build_year)) * speed_decode$launch_factor(card, c));
}
function speed_decode$token_seconds(card, c) {
return (($get(c, "decode.token_s") / $get(c, "card.overhead_factor")) * speed_decode$launch_factor(card, c));
}
function speed_decode$launch_factor(card, c) {
return ($truth(card.is_windows) ? $get(c, "card.windows_launch_factor") : 1.0);
}
function speed_decode$growth(per_year, build_year) {
let factor;
factor = (($math.e) ** ((per_year * $sub($min(build_year, speed_decode$LAST_YEAR), speed_decode$REFERENCE_YEAR))));
return factor;
}
function speed_decode$attention_seconds(card, group, c, n_depth, flash, build_year) {
let alone, apart, cells, clocks, elements, factor, hz, n_cells, read, shared, together, unpacked;
n_cells = group.read_cells(n_depth);
[cells, unpacked, apart] = [(n_cells * group.layers), 0.0, $math.inf];
if ($truth(flash)) {
apart = speed_decode$apart_cells(card, group, build_year);
factor = $get(c, "attention.flash_byte_factor");
clocks = ($get(c, "attention.flash_clocks_per_score") * group.n_head);
clocks = (clocks * speed_decode$growth((-$get(c, "attention.flash_gain_per_year")), build_year));
if ($truth(card.is_before_turing)) {
clocks = (clocks * $get(c, "attention.flash_clocks_old_factor"));
}
if (($truth(group.quantized_share) && $le(group.head_size, speed_decode$VECTOR_HEAD))) {
elements = ((group.quantized_share * group.head_size) * group.n_head);
clocks = $add(clocks, ($get(c, "attention.quantized_clocks_per_element") * elements));
}
else {
if ($truth(group.quantized_share)) {
unpacked = speed_decode$unpacking_seconds(card, group, c, cells);
}
}
hz = speed_decode$clock_hz(card, c);
}
else {
factor = $get(c, "attention.plain_byte_factor");
clocks = ($get(c, "attention.plain_clocks_per_cell") * $get(c, ("" + "attention.plain_clocks_factor." + $str(card.generation))));
clocks = (clocks * speed_decode$growth((-$get(c, "attention.plain_gain_per_year")), build_year));
if ($truth(card.is_server)) {
clocks = (clocks * $get(c, "attention.plain_server_factor"));
}
hz = (speed_decode$clock_hz(card, c) / card.sm_count);
}
read = (((factor * $bound(group, "row_bytes")) * speed_decode$memory_byte_seconds(card, c)) / $get(c, "card.bandwidth_factor"));
alone = (((((read) ** (2)) + (((clocks / hz)) ** (2)))) ** (0.5));
if ($lt(n_cells, apart)) {
return $add((cells * alone), unpacked);
}
shared = (clocks * $get(c, "attention.shared_clocks_factor"));
together = (((((read) ** (2)) + (((shared / hz)) ** (2)))) ** (0.5));
return $add(speed_decode$_greater((cells * together), ((apart * group.layers) * alone)), unpacked);
}
function speed_decode$apart_cells(card, group, build_year) {
if (($lt(build_year, speed_decode$SHARING_BUILD) || $truth(card.is_before_turing))) {
return $math.inf;
}
if ($gt(group.head_size, speed_decode$VECTOR_HEAD)) {
return 0.0;
}
if (($truth(group.quantized_share) || (group.heads_to_cell < 2))) {
return $math.inf;
}
if ($truth(card.is_before_ada)) {
return 0.0;
}
if ($le(group.heads_to_cell, speed_decode$SHARING_HEADS)) {
return $math.inf;
}
return ($eq(group.head_size, speed_decode$VECTOR_HEAD) ? 0.0 : speed_decode$SHARING_CELLS);
}
function speed_decode$_greater(a, b) {
return ($add($add(a, b), $abs($sub(a, b))) / 2);
}
function speed_decode$unpacking_seconds(card, group, c, cells) {
let elements, n_bytes;
elements = ((((cells * group.n_head_kv) * group.head_size) * 2) * group.quantized_share);
n_bytes = ((elements * 4) * $get(c, "attention.unpack_passes"));
return ((n_bytes * speed_decode$memory_byte_seconds(card, c)) / $get(c, "card.bandwidth_factor"));
}
function speed_decode$memory_byte_seconds(card, c) {
let ecc;
ecc = ($truth(card.has_ecc) ? $get(c, "card.ecc_factor") : 1.0);
return (ecc / card.bandwidth_bytes_per_s);
}
function speed_decode$clock_hz(card, c) {
return (card.sm_hz * speed_decode$boost(card, c));
}
function speed_decode$boost(card, c) {
return ($truth(card.is_consumer) ? $get(c, "card.consumer_boost") : 1.0);
}
function speed_decode$power_slowdown(card, c) {
let slowdown;
slowdown = (((1 + (((card.relative_w_per_sm_ghz / $get(c, "card.decode_w_per_sm_ghz"))) ** ((-4.0))))) ** (0.25));
return slowdown;
}
const speed_host$HOST_OVERLAP = 2.0;
const speed_host$OP_OFFLOAD_TOKENS = 32;
function speed_host$host_values(c, ram_bytes_per_s, bus_share) {
let bus, copied;
bus = ($get(c, "host.pcie_bytes_per_s") * bus_share);
if ((ram_bytes_per_s == null)) {
return $dict([...c.items(), ["host.pcie_bytes_per_s", bus]]);
}
copied = (ram_bytes_per_s / $get(c, "host.copy_passes"));
return $dict([...c.items(), ["host.bandwidth_bytes_per_s", (ram_bytes_per_s * $get(c, "host.ram_share"))], ["host.pcie_bytes_per_s", (((((copied) ** ((-speed_host$HOST_OVERLAP))) + ((bus) ** ((-speed_host$HOST_OVERLAP))))) ** (((-1) / speed_host$HOST_OVERLAP)))]]);
}
function speed_host$host_decode_terms(work, c, n_depth, n_parallel, has_card) {
let dense, experts, flops, n_bytes, terms;
if ($truth(work.is_idle)) {
return $dict([]);
}
experts = ($sum(work.expert_bytes.values()) * work.touched(n_parallel));
dense = $sub(work.weight_bytes(n_parallel), experts);
n_bytes = $add(dense, (experts * $get(c, "host.expert_byte_factor")));
flops = (n_parallel * $add(speed_host$_flops(work), (2 * speed_host$_head_weights(work))));
terms = $dict([["host memory", speed_host$_smooth_maximum((n_bytes / $get(c, "host.bandwidth_bytes_per_s")), (flops / $get(c, "host.flops_per_s")))], ["host nodes", $add($get(c, "host.token_s"), (speed_host$_nodes(work) * $get(c, "host.node_s")))], ["host attention", (n_parallel * $sum((() => { const $into = []; for (const group of work.attention) { $into.push(speed_host$_kv_seconds(group, c, n_depth)); } return $into; })()))]]);
if ($truth(has_card)) {
$put(terms, "transfers", (speed_host$_crossings(work) * $get(c, "host.transfer_s")));
}
return terms;
}
function speed_host$host_prefill_terms(work, c, n_prompt, n_depth, n_ubatch, op_offload, card_compute_s) {
let compute, copied, micro_batches, n, n_bytes;
if ($truth(work.is_idle)) {
return $dict([]);
}
n = $min(n_ubatch, n_prompt);
micro_batches = (-$floordiv((-n_prompt), n));
n_bytes = work.weight_bytes(n);
if (((card_compute_s != null) && $truth(op_offload) && $ge(n, speed_host$OP_OFFLOAD_TOKENS))) {
copied = (n_bytes / $get(c, "host.pcie_bytes_per_s"));
return $dict([["transfers", (micro_batches * copied)], ["compute", (micro_batches * card_compute_s)]]);
}
compute = ((n * speed_host$_flops(work)) / $get(c, "host.flops_per_s"));
return $dict([["host compute", (micro_batches * speed_host$_smooth_maximum((n_bytes / $get(c, "host.bandwidth_bytes_per_s")), compute))], ["host nodes", (micro_batches * $add($get(c, "host.token_s"), (speed_host$_nodes(work) * $get(c, "host.node_s"))))], ["host attention", $sum((() => { const $into = []; for (const group of work.attention) { $into.push(speed_host$_scores_seconds(group, c, n_prompt, n_depth)); } return $into; })())]]);
}
function speed_host$_flops(work) {
return $add($sum(work.dense_flops.values()), $sum(work.expert_flops.values()));
}
function speed_host$_head_weights(work) {
return ($truth(work.head_bytes) ? $float((work.n_vocab * work.n_embd)) : 0.0);
}
function speed_host$_nodes(work) {
return $add($add(work.kernels, work.routing_kernels), (30 * work.recurrent_layers));
}
function speed_host$_crossings(work) {
let experts_only;
experts_only = $and(work.expert_matrices, () => !$truth(work.attention));
return (!$truth(experts_only) ? (2 * $or($len(work.attention), () => 1)) : (2 * $max($int($floordiv(work.routing_kernels, 15)), 1)));
}
function speed_host$_kv_seconds(group, c, n_depth) {
let n_bytes;
n_bytes = ((group.cells(n_depth) * group.layers) * $bound(group, "row_bytes"));
return (n_bytes / ($get(c, "host.bandwidth_bytes_per_s") * $get(c, "host.kv_bandwidth_share")));
}
function speed_host$_scores_seconds(group, c, n_prompt, n_depth) {
let cells, flops;
cells = group.cells((n_depth + (n_prompt / 2)));
flops = (((((4 * n_prompt) * cells) * group.layers) * group.n_head) * group.head_size);
return (flops / ($get(c, "host.flops_per_s") * $get(c, "host.attention_flops_share")));
}
function speed_host$_smooth_maximum(a, b) {
let maximum;
maximum = (((((a) ** (speed_host$HOST_OVERLAP)) + ((b) ** (speed_host$HOST_OVERLAP)))) ** ((1 / speed_host$HOST_OVERLAP)));
return maximum;
}
const speed_prefill$TILE_FLOPS = ((2 * 128) * 128);
const speed_prefill$LATENT_HEAD_SIZE = 544;
function speed_prefill$prefill_terms(card, work, c, n_prompt, n_depth, n_ubatch, flash, build_year) {
let both, column_launches, columns, compute, kernels, launch, launches, memory, micro_batches, n, own, power, products, touched, waiting;
micro_batches = (-$floordiv((-n_prompt), $min(n_ubatch, n_prompt)));
n = (n_prompt / micro_batches);
compute = speed_prefill$compute_seconds(card, work, c, n, build_year);
memory = speed_prefill$read_seconds(card, work, c, n, build_year);
power = $get(c, "prefill.overlap_power");
both = (((((compute) ** (power)) + ((memory) ** (power)))) ** ((1 / power)));
touched = ((work.expert_matrices * work.touched(n)) * $get(c, "expert.matrix_s"));
kernels = speed_decode$kernel_count(work, c, build_year);
own = (speed_decode$launch_factor(card, c) / $get(c, "card.overhead_factor"));
if (($truth(speed_prefill$has_float_experts(work)) && $gt(n, speed_decode$MATVEC_COLUMNS))) {
touched = $add(touched, (((work.expert_matrices * work.touched(n)) * $get(c, "expert.float_matrix_s")) * own));
}
launches = $add(($add((kernels * $get(c, "prefill.kernel_s")), $get(c, "prefill.micro_batch_s")) * own), touched);
[products, waiting] = [both, launches];
if ($le(n, ($truth(work.expert_share) ? 1.5 : speed_decode$MATVEC_COLUMNS))) {
columns = speed_prefill$matvec_seconds(card, work, c, n);
launch = ((n < 1.5) ? speed_decode$kernel_seconds(card, c, build_year) : ($get(c, "prefill.kernel_s") * own));
column_launches = $add((kernels * launch), speed_decode$token_seconds(card, c));
products = speed_prefill$_lesser($add(columns, column_launches), $add(both, launches));
waiting = (column_launches * 0);
}
return $dict([["compute", ((micro_batches * products) * (compute / $add(compute, memory)))], ["weights", ((micro_batches * products) * (memory / $add(compute, memory)))], ["kernels", (micro_batches * waiting)], ["attention", $sum((() => { const $into = []; for (const group of work.attention) { $into.push(speed_prefill$prompt_attention_seconds(card, group, c, n_prompt, n_depth, n, flash)); } return $into; })())], ["recurrent", ((((n_prompt * work.recurrent_elements) * 4) * $get(c, "prefill.recurrent_passes")) / card.bandwidth_bytes_per_s)], ["activations", (n_prompt * speed_prefill$activation_seconds(card, work, c))], ["mask", ((n_prompt * speed_prefill$_mean_cells(work, n_prompt, n_depth, n)) * $get(c, "prefill.mask_entry_s"))]]);
}
function speed_prefill$has_float_experts(work) {
return $gt(work.expert_flops.get("f16", 0.0), (0.5 * $sum(work.expert_flops.values())));
}
function speed_prefill$activation_seconds(card, work, c) {
let n_bytes;
n_bytes = ((4 * $sum(work.inner_sizes.values())) * $get(c, "prefill.activation_passes"));
return ((n_bytes * speed_decode$memory_byte_seconds(card, c)) / $get(c, "card.bandwidth_factor"));
}
function speed_prefill$_mean_cells(work, n_prompt, n_depth, n) {
return ($truth(work.attention) ? (n_depth + ($add(n_prompt, n) / 2)) : 0.0);
}
function speed_prefill$compute_seconds(card, work, c, n, build_year) {
let dense, fill, grown, rates, share, tile, tokens, touched;
tile = (($get(c, "prefill.tile_fill") * speed_prefill$TILE_FLOPS) * card.sm_count);
rates = $dict((() => { const $into = []; for (const kind of [...work.dense_flops, ...work.expert_flops]) { $into.push([kind, speed_prefill$rate(card, c, kind, build_year)]); } return $into; })());
dense = $sum((() => { const $into = []; for (const [kind, flops] of work.dense_flops.items()) { $into.push(($add((flops * n), ($get(work.inner_sizes, kind) * tile)) / $get(rates, kind))); } return $into; })());
if (!$truth(work.expert_share)) {
return dense;
}
touched = work.touched(n);
tokens = ((n * work.expert_share) / touched);
fill = (((tokens / $add(tokens, $get(c, "expert.half_rate_tokens")))) ** ($get(c, "expert.fill_exponent")));
grown = speed_decode$growth($get(c, "expert.growth_per_year"), build_year);
share = ((($get(c, "expert.rate_share") * $get(c, "card.expert_factor")) * grown) * fill);
if ($truth(card.has_wide_tensor_cores)) {
share = (share * $get(c, "expert.wide_factor"));
}
return (dense + ($sum((() => { const $into = []; for (const [kind, flops] of work.expert_flops.items()) { $into.push(((flops * n) / $get(rates, kind))); } return $into; })()) / share));
}
function speed_prefill$rate(card, c, kind, build_year) {
let fp16, fp16_clock, grown, int8, own, share;
own = ($get(c, "card.compute_factor") * speed_decode$boost(card, c));
fp16_clock = (speed_prefill$clock_share(card, c, $get(c, "card.fp16_w_factor")) * own);
fp16 = ((($get(c, "prefill.fp16_share") * $get(c, ("" + "prefill.fp16_factor." + $str(card.generation)))) * card.fp16_flops) * fp16_clock);
if ((kind === "f16")) {
return fp16;
}
if (!$truth(speed_prefill$uses_int8(card, build_year))) {
return (fp16 * $get(c, ("" + "prefill.kind_factor." + $str(kind))));
}
share = ($get(c, "prefill.int8_share") * $get(c, ("" + "prefill.int8_factor." + $str(card.generation))));
if (((card.generation === "Turing") && !$truth(card.has_int8_tensor_cores))) {
share = (share * $get(c, "prefill.dp4a_factor"));
}
if ($truth(card.has_wide_tensor_cores)) {
share = (share * $get(c, "prefill.int8_server_factor"));
}
else {
if ($truth(card.is_unified)) {
share = (share * $get(c, "card.unified_compute_factor"));
}
}
grown = speed_decode$growth($get(c, "prefill.int8_growth_per_year"), build_year);
int8 = ((((share * grown) * card.int8_ops) * speed_prefill$clock_share(card, c, 1.0)) * own);
if (((kind === "fp4") && $truth(card.has_fp4) && $gt(build_year, card$NATIVE_FP4_BUILD))) {
int8 = (int8 * $get(c, "prefill.native_fp4_factor"));
}
return (int8 * $get(c, ("" + "prefill.kind_factor." + $str(kind))));
}
function speed_prefill$uses_int8(card, build_year) {
return ((card.int8_ops > 0) && (!$truth(card.has_int8_tensor_cores) || $ge(build_year, card$INT8_BUILD)));
}
function speed_prefill$read_seconds(card, work, c, n, build_year) {
let n_bytes, quantized;
n_bytes = work.weight_bytes(n);
if (!$truth(speed_prefill$uses_int8(card, build_year))) {
quantized = $sum((() => { const $into = []; for (const [kind, flops] of work.dense_flops.items()) { if ((kind !== "f16")) { $into.push(flops); } } return $into; })());
n_bytes = $add(n_bytes, (($get(c, "prefill.dequantize_factor") * 2) * quantized));
}
return (((n_bytes * speed_decode$memory_byte_seconds(card, c)) * $get(c, "prefill.weight_read_factor")) / $get(c, "card.bandwidth_factor"));
}
function speed_prefill$matvec_seconds(card, work, c, n) {
let once;
once = $add(speed_decode$matrix_seconds(card, c, work.dense_bytes), speed_decode$matrix_seconds(card, c, work.head_bytes));
once = $add(once, speed_decode$expert_seconds(card, work, c, n));
return (once * (1 + ($get(c, "matvec.column_share") * (n - 1))));
}
function speed_prefill$prompt_attention_seconds(card, group, c, n_prompt, n_depth, n, flash) {
let cells, flops, head, held, scores, seen, share, slow, traffic, unpacked;
held = group.read_cells((n_depth + (n_prompt / 2)));
cells = ((group.window == null) ? held : $min(held, $add(group.window, n)));
seen = ($add(cells, ($sub(held, cells) * $get(c, "attention.masked_share"))) + (n / 2));
scores = (((n_prompt * seen) * group.layers) * group.n_head);
flops = ((scores * 4) * ($truth(group.is_latent) ? speed_prefill$LATENT_HEAD_SIZE : group.head_size));
if (!$truth(flash)) {
traffic = ((scores * $get(c, "attention.plain_bytes_per_score")) * speed_decode$memory_byte_seconds(card, c));
return ((traffic / $get(c, "card.bandwidth_factor")) + (flops / speed_prefill$rate(card, c, "f16", speed_decode$LAST_YEAR)));
}
share = ($get(c, "attention.flash_share") * $get(c, ("" + "attention.flash_factor." + $str(card.generation))));
if (!$truth(card.has_tensor_cores)) {
share = (share * $get(c, "attention.no_tensor_cores_factor"));
}
head = ((($min(group.head_size, 256) / 128)) ** ($get(c, "attention.flash_head_exponent")));
slow = ((speed_prefill$clock_share(card, c, 1.0) * (($get(c, "card.compute_factor")) ** (0.5))) * speed_decode$boost(card, c));
unpacked = speed_decode$unpacking_seconds(card, group, c, (((n_prompt / n) * held) * group.layers));
return ((flops / (((share * head) * card.fp16_flops) * slow)) + unpacked);
}
function speed_prefill$clock_share(card, c, appetite) {
let share, watts;
watts = (card.relative_w_per_sm_ghz / ($get(c, "card.prefill_w_per_sm_ghz") * appetite));
share = (((1 + ((watts) ** ((-4.0))))) ** (((-$get(c, "card.clock_exponent")) / 4)));
return share;
}
function speed_prefill$_lesser(a, b) {
return ($sub($add(a, b), $abs($sub(a, b))) / 2);
}
const tested$MAIN_SHARE = 0.1;
const tested$WIDER_UNTESTED = 1.5;
function* tested$asked_features(card, work, test) {
let chips, kind, total;
chips = (($truth(card.has_tensor_cores) || (card.generation !== "Turing")) ? card.generation : "Turing without tensor cores");
yield ("" + $str(test) + " on " + $str(chips));
if ($truth(card.is_unified)) {
yield ("" + $str(test) + " from memory shared with the host");
}
if ($truth(card.is_windows)) {
yield ("" + $str(test) + " under Windows");
}
if ($truth(card.is_capped)) {
yield ("" + $str(test) + " at a lowered power limit");
}
if ((() => { for (const group of work.attention) { if ($truth(group.quantized_share)) return true; } return false; })()) {
yield ("" + $str(test) + " with a quantized cache");
}
total = work.weight_bytes(null);
for (kind of [...work.dense_bytes, ...work.expert_bytes]) {
if ($gt($add(work.dense_bytes.get(kind, 0.0), work.expert_bytes.get(kind, 0.0)), (tested$MAIN_SHARE * total))) {
yield ("" + $str(test) + " of " + $str(kind) + " tensors");
}
}
}
function tested$untested(card, work, test, rows) {
if (!$truth(rows)) {
return [];
}
return $tuple($dict.fromkeys((function* () { for (const feature of tested$asked_features(card, work, test)) { if (!$in(feature, rows)) { yield feature; } } })()));
}
const speed$NEWEST_YEAR = 2026.7;
const speed$WIDER_EACH_DOUBLING = 0.25;
const speed$SMALL_UBATCH = 128;
const speed$ON_HOST = "with the host";
class speed$SpeedQuestion {
constructor(model, card, on_card, on_host, config, flash, build_year, spilled_share = 0.0, host_bandwidth_bytes_per_s = null) {
this.model = model;
this.card = card;
this.on_card = on_card;
this.on_host = on_host;
this.config = config;
this.flash = flash;
this.build_year = build_year;
this.spilled_share = spilled_share;
this.host_bandwidth_bytes_per_s = host_bandwidth_bytes_per_s;
}
get is_moe() {
const self = this;
return $bool(self.on_card.expert_share);
}
group(test) {
const self = this;
let few;
if (($truth(self.card) && !$truth(self.on_host.is_idle))) {
return ("" + $str(test) + " " + $str(speed$ON_HOST));
}
few = $and((test === "prefill"), () => self.is_moe, () => $lt(self.config.n_ubatch, speed$SMALL_UBATCH));
return ("" + $str(test) + " " + $str(($truth(self.is_moe) ? "MoE" : "dense")) + $str(($truth(few) ? ", small micro-batches" : "")));
}
}
$dataclass(speed$SpeedQuestion, ["model", "card", "on_card", "on_host", "config", "flash", "build_year", "spilled_share", "host_bandwidth_bytes_per_s"], true);
function speed$speed_question(spec, gpu, config, build_year = null, setup = null, work = null, spilled = 0.0, machine = machine$LINUX) {
let on_card, on_host;
if ((gpu == null)) {
config = config.with_($dict([["n_devices", 0]]));
}
if ((setup == null)) {
setup = new memory$MemoryModel(spec).setup(config);
}
[on_card, on_host] = $or(work, () => work$forward_work(spec, setup));
return new speed$SpeedQuestion(spec.name, ($truth(gpu) ? card$card_facts(gpu, machine) : null), on_card, on_host, config, $bound(setup, "cache").flash_attn, ((build_year == null) ? speed$NEWEST_YEAR : build_year), spilled, machine.host_bandwidth_bytes_per_s);
}
function speed$decode_seconds(question, values, n_depth) {
return $sum(speed$decode_breakdown(question, values, n_depth).values());
}
function speed$prefill_seconds(question, values, n_prompt, n_depth) {
return $sum(speed$prefill_breakdown(question, values, n_prompt, n_depth).values());
}
function speed$decode_breakdown(question, values, n_depth) {
let config, host, n_bytes, terms, work;
[config, work] = [question.config, question.on_card];
terms = $dict([]);
if (($truth(question.card) && !$truth(work.is_idle))) {
terms = $updated(terms, speed_decode$decode_terms(question.card, work, values, n_depth, config.n_parallel, question.flash, question.build_year));
if ($truth(question.spilled_share)) {
n_bytes = (work.weight_bytes(config.n_parallel) * question.spilled_share);
$put(terms, "memory spilled to the host", (n_bytes / $get(values, "host.pcie_bytes_per_s")));
}
}
host = speed$_host_values(question, values);
return $union(terms, speed_host$host_decode_terms(question.on_host, host, n_depth, config.n_parallel, (question.card != null)));
}
function speed$prefill_breakdown(question, values, n_prompt, n_depth) {
let config, host, n, n_bytes, n_ubatch, on_card_s, terms, work;
[config, work] = [question.config, question.on_card];
n_ubatch = $min(config.n_ubatch, config.n_batch);
n = $min(n_ubatch, n_prompt);
terms = $dict([]);
on_card_s = null;
if (($truth(question.card) && !$truth(work.is_idle))) {
terms = $updated(terms, speed_prefill$prefill_terms(question.card, work, values, n_prompt, n_depth, n_ubatch, question.flash, question.build_year));
if ($truth(question.spilled_share)) {
n_bytes = ((work.weight_bytes(n) * question.spilled_share) * (-$floordiv((-n_prompt), n)));
$put(terms, "memory spilled to the host", (n_bytes / $get(values, "host.pcie_bytes_per_s")));
}
}
if (($truth(question.card) && !$truth(question.on_host.is_idle))) {
on_card_s = speed_prefill$compute_seconds(question.card, question.on_host, values, n, question.build_year);
}
host = speed_host$host_prefill_terms(question.on_host, speed$_host_values(question, values), n_prompt, n_depth, n_ubatch, config.op_offload, on_card_s);
return $dict((() => { const $into = []; for (const name of $dict([...terms.items(), ...host.items()])) { $into.push([name, $add(terms.get(name, 0.0), host.get(name, 0.0))]); } return $into; })());
}
function speed$_host_values(question, values) {
let bus_share;
if ($truth(question.on_host.is_idle)) {
return values;
}
bus_share = ($truth(question.card) ? question.card.bus_share : 1.0);
return speed_host$host_values(values, question.host_bandwidth_bytes_per_s, bus_share);
}
function speed$spilled_share(memory, memory_bytes) {
let cards, excess, weights;
cards = (() => { const $into = []; for (const [name, device] of memory.devices.items()) { if ($truth(prediction$is_card(name))) { $into.push(device); } } return $into; })();
weights = $sum((() => { const $into = []; for (const device of cards) { $into.push(device.weights_bytes); } return $into; })());
excess = $sum((() => { const $into = []; for (const device of cards) { $into.push($max($sub(device.total_bytes, memory_bytes), 0)); } return $into; })());
return ($truth(weights) ? $min((excess / weights), 1.0) : 0.0);
}
function speed$check_depth(config) {
let held, shared;
if ($le(config.n_depth, config.deepest)) {
return null;
}
held = ("" + "the context holds " + $str(units$count(config.n_ctx)) + " tokens");
if ($lt(config.deepest, config.n_ctx)) {
shared = ($truth(config.kv_unified) ? config.n_parallel : config.n_seq_max);
held = ("" + "each of " + $str(shared) + " sequences has " + $str(units$count(config.deepest)) + " of the " + $str(units$count(config.n_ctx)) + " tokens of n_ctx");
}
throw new errors$ConfigError(("" + "n_depth is " + $str(units$count(config.n_depth)) + ", but " + $str(held) + "; ask for a depth within, or raise n_ctx"));
}
function speed$prompt_around(config) {
let deepest, n_prompt;
deepest = $max(config.deepest, 1);
n_prompt = $min(config.n_ubatch, config.n_batch, deepest);
return [n_prompt, $min($max((config.n_depth - $floordiv(n_prompt, 2)), 0), $sub(deepest, n_prompt))];
}
function speed$predict_speed(question, coefficients) {
let before, config, decode, decode_rate, decode_width, n_prompt, prefill, prefill_rate, prefill_width, values;
config = question.config;
values = ($truth(question.card) ? coefficients.for_card(question.card.name) : coefficients.values);
[n_prompt, before] = speed$prompt_around(config);
decode = speed$decode_breakdown(question, values, config.n_depth);
prefill = speed$prefill_breakdown(question, values, n_prompt, before);
[decode_rate, prefill_rate] = [(config.n_parallel / $sum(decode.values())), (n_prompt / $sum(prefill.values()))];
prefill_width = speed$interval_width(question, coefficients, "prefill", n_prompt, before);
decode_width = speed$interval_width(question, coefficients, "decode", 1, config.n_depth);
return new prediction$SpeedEstimate(prefill_rate, decode_rate, speed$_interval(prefill_rate, prefill_width), speed$_interval(decode_rate, decode_width), ("" + "prefill: " + $str(speed$_largest(prefill)) + "; decode: " + $str(speed$_largest(decode))), ((config.n_seq_max > 1) ? speed$_slots_speed(question, coefficients, values) : null), [...speed$_untested(question, coefficients, "prefill"), ...speed$_untested(question, coefficients, "decode")]);
}
function speed$_slots_speed(question, coefficients, values) {
let config, n_depth, n_slots, rate, together, width;
config = question.config.with_($dict([["n_parallel", question.config.n_seq_max]]));
[n_slots, n_depth] = [config.n_seq_max, $min(config.n_depth, config.deepest)];
together = $dataclasses.replace(question, new $Named({config: config}));
rate = (n_slots / speed$decode_seconds(together, values, n_depth));
width = speed$interval_width(together, coefficients, "decode", 1, n_depth);
return new prediction$SlotsSpeed(n_slots, n_depth, rate, speed$_interval(rate, width));
}
function speed$interval_width(question, coefficients, test, n_prompt, n_depth) {
let card, deepest, group, known, posterior, values, width, widths;
group = question.group(test);
posterior = coefficients.posterior;
card = ($truth(question.card) ? question.card.name : "");
if (((posterior != null) && $eq(posterior.card, card) && $in(group, posterior.scales))) {
values = coefficients.for_card(card);
return ($get(posterior.scales, group) * posterior$prediction_sd(posterior, test, values, ((at) => speed$_seconds(question, at, test, n_prompt, n_depth))));
}
widths = coefficients.interval_widths.get(group, $dict([]));
if ((question.card == null)) {
known = "host";
}
else {
if (!$truth(question.on_host.is_idle)) {
known = ((question.host_bandwidth_bytes_per_s == null) ? "host" : "told RAM");
}
else {
known = speed$_known(question.model, coefficients.seen, question.card.name);
}
}
width = widths.get(known);
if (((width != null) && $truth(speed$_untested(question, coefficients, test)))) {
width = (width * tested$WIDER_UNTESTED);
}
deepest = $get(coefficients.covered.get("n_depth", [0, $math.inf]), 1);
if (((width == null) || $le(n_depth, $max(deepest, 1)))) {
return width;
}
return (width * (1 + (speed$WIDER_EACH_DOUBLING * $math.log2((n_depth / $max(deepest, 1))))));
}
function speed$_seconds(question, values, test, n_prompt, n_depth) {
if ((test === "decode")) {
return speed$decode_seconds(question, values, n_depth);
}
return speed$prefill_seconds(question, values, n_prompt, n_depth);
}
function speed$_untested(question, coefficients, test) {
if (((question.card == null) || $truth(question.on_card.is_idle) || $truth(coefficients.calibrated_on))) {
return [];
}
return tested$untested(question.card, question.on_card, test, coefficients.tested);
}
function speed$_known(model, seen, card) {
if ($in(model, seen.get(card, []))) {
return "model on card";
}
return ((() => { for (const models of seen.values()) { if ($in(model, models)) return true; } return false; })() ? "model elsewhere" : "new model");
}
function speed$_interval(rate, width) {
return ((width == null) ? null : [(rate * $math.exp((-width))), (rate * $math.exp(width))]);
}
function speed$_largest(terms) {
return $max(terms, new $Named({key: ((name) => $get(terms, name))}));
}
const estimator$LONGEST_CONTEXT = 1048576;
const estimator$MOST_TRIED = 1024;
const estimator$MTP_NOTE = "the file has layers for multi-token prediction (MTP), and the speed is of decoding token by token: speculative decoding with them is not modelled";
function* estimator$_untested_notes(speed) {
if ($truth(speed.untested)) {
yield ("" + "no measured row has " + $str($string.join(", ", speed.untested)) + ": speed rests on formulas there, and its band is wider");
}
}
class estimator$Estimator {
constructor(model, gpu = null, gpu_memory_bytes = null, coefficients = null, build = null, unified_memory = false, machine = machine$LINUX) {
const self = this;
[self.model, self.gpu] = [estimator$model_of(model), estimator$card_of(gpu)];
[self.coefficients, self.machine] = [coefficients, machine];
self.unified_memory = unified_memory;
self.gpu_memory_bytes = $or(gpu_memory_bytes, () => ($truth(self.gpu) ? self.gpu.memory_bytes : null));
[self._build, self._memory] = [build, new memory$MemoryModel(self.model, build$build_of(build))];
self._build_year = ((build == null) ? null : build$build_year(build));
self._longest = $dict([]);
self._overheads = $dict([]);
self._works = $dict([]);
}
predict(config, longest = true) {
const self = this;
let fits, knows_card, memory, speed;
speed$check_depth(config);
memory = self.memory(config);
knows_card = ((self.gpu_memory_bytes != null) && (config.n_devices > 0));
fits = ($truth(knows_card) ? self.fits(config) : null);
speed = self._speed(config, memory);
return new prediction$Prediction(self.model.name, config, memory, fits, ($truth(knows_card) ? self._fit_probability(memory, config) : null), (($truth(knows_card) && $truth(longest)) ? self._max_context(config) : null), ((($it) => $is.str($it))(speed) ? null : speed), ((($it) => $is.str($it))(speed) ? speed : null), [...memory.warnings, ...self._beyond_training(config), ...self._doubts(config, fits, speed)]);
}
memory(config) {
const self = this;
return self._with_overhead(self._memory.estimate(config), config);
}
*_beyond_training(config) {
const self = this;
let n_ctx, trained;
n_ctx = config.n_ctx_seq;
if (($le(n_ctx, self.model.n_ctx_train) || (config.rope_scaling != null) || !$truth(rope$has_positions(self.model)))) {
return null;
}
if ($gt(n_ctx, (trained = rope$native_context(self.model)))) {
yield ("" + "n_ctx " + $str(units$count(n_ctx)) + " is beyond the " + $str(units$count(trained)) + " tokens that the model was trained for: it takes this memory, but needs RoPE scaling (YaRN) to make sense, and llama-server caps its slots");
}
}
*_doubts(config, fits, speed) {
const self = this;
if ((($it) => $is.str($it))(speed)) {
return null;
}
if (($truth(self.unified_memory) && !$truth(fits) && (fits != null))) {
yield "it does not fit: the speed is with unified memory, which reads the rest over the bus";
}
else {
if ((fits === false)) {
yield "it is not predicted to fit, by less than is known of the overhead: the speed is what it would have";
}
}
yield* estimator$_untested_notes(speed);
if ($truth(self.model.integer("nextn_predict_layers", 0))) {
yield estimator$MTP_NOTE;
}
}
_speed(config, memory) {
const self = this;
let key, knows_memory, question, reason, setup;
if ($truth((reason = self._no_speed(config, memory)))) {
return reason;
}
setup = self._memory.setup(config);
key = work$work_key(setup);
if (!$in(key, self._works)) {
$put(self._works, key, work$forward_work(self.model, setup));
}
knows_memory = $and(self.unified_memory, () => (self.gpu_memory_bytes != null));
question = speed$speed_question(self.model, ($truth(config.n_devices) ? self.gpu : null), config, self._build_year, setup, $get(self._works, key), ($truth(knows_memory) ? speed$spilled_share(memory, $or(self.gpu_memory_bytes, () => 0)) : 0.0), self.machine);
return speed$predict_speed(question, $or(self.coefficients, () => coefficients$default_coefficients()));
}
_no_speed(config, memory) {
const self = this;
let certain, device, name, refusal;
if (((config.n_devices === 0) && (self.coefficients == null))) {
return "a CPU's speed is known once oomph calibrate has measured it";
}
if (($truth(config.n_devices) && (self.gpu == null))) {
return "the speed depends on the card: name a GPU";
}
if ($truth((refusal = $next(self._memory.refusals(config, self._memory.setup(config)), null)))) {
return refusal;
}
if (($truth(self.unified_memory) || (self.gpu_memory_bytes == null))) {
return null;
}
for ([name, device] of memory.devices.items()) {
certain = device.certain_bytes(memory.exact_compute);
if (($truth(prediction$is_card(name)) && $gt(certain, self.gpu_memory_bytes))) {
return ("" + "it does not load: " + $str(name) + " would have to hold " + $str(units$mib(certain)) + " and has " + $str(units$mib(self.gpu_memory_bytes)));
}
}
return null;
}
_overhead(config) {
const self = this;
let gpu, key, values;
key = overhead$pool_key(config);
if (!$in(key, self._overheads)) {
[gpu, values] = [self.gpu, $or(self.coefficients, () => coefficients$default_coefficients())];
$put(self._overheads, key, $dict((() => { const $into = []; for (const i of $range(config.n_devices)) { if ($truth(gpu)) { $into.push([("" + "CUDA" + $str(i)), overhead$overhead_bytes(self.model, config, gpu, values, i)]); } } return $into; })()));
}
return $get(self._overheads, key);
}
_with_overhead(memory, config) {
const self = this;
let devices, overhead;
overhead = self._overhead(config);
devices = $dict((() => { const $into = []; for (const [name, device] of memory.devices.items()) { $into.push([name, $dataclasses.replace(device, new $Named({overhead_bytes: overhead.get(name, 0)}))]); } return $into; })());
return $dataclasses.replace(memory, new $Named({devices: devices}));
}
fits(config) {
const self = this;
let setup;
setup = self._memory.setup(config);
if (!$truth(self._has_room(config, setup, $dict([])))) {
return false;
}
if ($any(self._memory.refusals(config, setup))) {
return false;
}
return self._has_room(config, setup, self._memory.compute(setup).bytes);
}
_has_room(config, setup, compute_bytes) {
const self = this;
let parts;
if ((self.gpu_memory_bytes == null)) {
throw new errors$ConfigError("what fits depends on the card: name a GPU, or give its memory");
}
parts = [...self._memory.fixed(setup).values(), self._overhead(config), compute_bytes];
return (() => { for (const card of setup.placement.cards) { if (!$le($sum((() => { const $into = []; for (const part of parts) { $into.push(part.get(card, 0)); } return $into; })()), self.gpu_memory_bytes)) return false; } return true; })();
}
_fit_probability(memory, config) {
const self = this;
let values;
if (((self.gpu == null) || (self.gpu_memory_bytes == null))) {
return null;
}
if ($any(self._memory.refusals(config, self._memory.setup(config)))) {
return 0.0;
}
values = $or(self.coefficients, () => coefficients$default_coefficients());
return likelihood$fit_probability(memory, self.gpu, self.gpu_memory_bytes, values);
}
max_context(limit = null, knobs) {
const self = this;
return self._max_context(new config$RunConfig().with_($dict([...knobs.items()])), limit);
}
_max_context(config, limit = null) {
const self = this;
let key, steps;
key = config.with_($dict([["n_ctx", $or(limit, () => $max(estimator$LONGEST_CONTEXT, self.model.n_ctx_train))]]));
if (!$in(key, self._longest)) {
steps = $max($floordiv(key.n_ctx, config$CONTEXT_STEP), 1);
$put(self._longest, key, (config$CONTEXT_STEP * self._search(config, steps)));
}
return $get(self._longest, key);
}
_search(config, most) {
const self = this;
let beyond, end, found, live;
function at(steps) {
return config.with_($dict([["n_ctx", (steps * config$CONTEXT_STEP)]]));
}
if ($truth(self.fits(at(most)))) {
return most;
}
found = $bisect.bisect_left($range(1, most), true, new $Named({key: ((steps) => !$truth(self.fits(at(steps))))}));
beyond = at((found + 1));
live = self._memory.compute(self._memory.setup(beyond)).live_bytes;
function is_full(steps) {
return !$truth(self._has_room(at(steps), self._memory.setup(at(steps)), live));
}
end = $min($bisect.bisect_left($range(1, most), true, new $Named({key: is_full})), $add(found, estimator$MOST_TRIED));
return (() => { for (const steps of $range(end, found, (-1))) { if ($truth(self.fits(at(steps)))) { return steps; } } return found; })();
}
}
// What if: the controls of a page ask the package's own estimate layer, translated to JavaScript, and show its answer.
// Everything that changes with a control is written here as text, never as HTML: a model's name is foreign text.
const MIB = 2 ** 20;
const PARTS = { weights: "weights", kv_cache: "KV cache", recurrent: "recurrent state", compute: "compute buffers", output: "output buffer", overhead: "overhead" };
const RATE_SPAN = [1, 30000];  // tokens per second that the lines of the speeds reach from and to

// --- from JSON to the estimate layer

const coefficients$default_coefficients = () => shared().coefficients;
const families$family_of = (arch) => families$family_of[arch];  // those of the page's models
const config$_checked = (knobs) => knobs, config$_check = () => {};  // controls offer nothing that a configuration refuses
const estimator$model_of = (model) => model, estimator$card_of = (card) => card;  // facts already

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
const readCard = (facts) => facts && new gpus$GpuSpec(...facts);
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

// One model, answering for any card (null for none) and knobs; what a card has computed is kept.
function ask(facts) {
  const model = readModel(facts.model), own = readCard(facts.card), coefficients = readCoefficients(facts.coefficients);
  const estimators = new Map();
  const on = (card) => {
    if (!estimators.has(card)) {
      const bytes = card && card === own ? facts.memory_bytes : null;
      estimators.set(card, new estimator$Estimator(model, card, bytes, coefficients));
    }
    return estimators.get(card);
  };
  return {
    own,
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
  if (own) groups.set("This machine", [new Option(own.name, "own")]);
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
  const same = shared().cards.findIndex((spec) => own && $eq(spec, own));
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
function places(answer, limit) {
  const sum = (devices) => Object.keys(PARTS).map((part) => [part, devices.reduce((n, device) => n + device[`${part}_bytes`], 0)]);
  const all = answer.memory.devices.items();
  const cards = all.filter(([name]) => prediction$is_card(name)), host = all.filter(([name]) => !prediction$is_card(name));
  return [
    ...cards.map(([name, device]) => ({ name: cards.length > 1 ? name : "Card", parts: sum([device]), limit })),
    { name: "Host", parts: sum(host.map(([, device]) => device)), limit: null },
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

function verdict(answer, rows, card) {
  const { fits, fit_probability: likely, speed } = answer;
  const used = Math.max(...rows.filter(({ limit }) => limit !== null).map(({ parts }) => total(parts)), 0);
  const chance = likely === null ? "" : likely > 0.995 ? " (more than 99 % likely)" : likely < 0.005 ? " (less than 1 % likely)" : ` (${Math.round(100 * likely)} % likely to fit)`;
  const word = fits === null ? `Takes ${mib(total(rows.at(-1).parts))} of the host's memory` : `${fits ? "Fits" : "Does not fit"}${chance}: ${mib(used)} of ${mib(rows[0].limit)} on ${card.name}`;
  return { word, state: fits === null ? "" : fits ? "fits" : "fails", speeds: speed ? `Prefill ${tokens(speed.prefill_tokens_per_s)}, decode ${tokens(speed.decode_tokens_per_s)} tokens/s` : "" };
}

// A command that asks the package the same; quoted for a shell, for names are foreign text.
function command(reference, knobs, card) {
  const quote = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
  const flags = Object.entries({ ...knobs, n_gpu_layers: knobs.n_devices ? knobs.n_gpu_layers : undefined });
  const asked = flags.filter(([knob, value]) => value !== undefined && value !== DEFAULTS[knob] && typeof value !== "boolean" && typeof value !== "object");
  const words = asked.map(([knob, value]) => `--${knob.replaceAll("_", "-")} ${quote(String(value))}`);
  return ["oomph estimate", quote(reference), ...(card ? [`--gpu ${quote(card.name)}`] : []), ...words].join(" ");
}
const DEFAULTS = new config$RunConfig();

function show(root, data, asked) {
  const form = root.querySelector("form"), card = cardOf(form, asked), knobs = knobsOf(form, data);
  label(form, data.positions, card === null);
  const answer = asked.predict(card, knobs);
  const limit = card ? (card === asked.own && data.facts.memory_bytes) || card.memory_bytes : null;
  const rows = places(answer, limit);
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
  root.querySelector(".notes").replaceChildren(...new Set(answer.warnings).values().map((text) => element("li", text)));
  root.querySelector(".command code").textContent = command(data.reference, knobs, card);
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
