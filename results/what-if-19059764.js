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
  if (typeof x !== "object" && x !== undefined) return x;
  if (Array.isArray(x)) return `\0[${x.map($keyText).join(",")}]`;
  if (x === undefined) return null;
  if (x instanceof $Set) return `\0{${[...x].map($keyText).sort().join(",")}}`;
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
function $repeat(a, b) {
  if (!Array.isArray(a)) return $repeat(b, a);
  const repeated = [];
  for (let i = 0; i < b; i++) for (const item of a) repeated.push(item);
  return repeated;
}
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
  if (x instanceof $Dict || x instanceof $Set) return x.has(item);
  if (typeof x === "string" || Array.isArray(x) && item != null && typeof item !== "object") return x.includes(item);
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
class $Counter extends $Dict {
  missing() { return 0; }
  update(other) {  // counts are added, not replaced
    const added = other instanceof $Dict ? other.items() : [...other].map((item) => [item, 1]);
    for (const [key, count] of added) this.put(key, this.__getitem__(key) + count);
  }
}
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
const $copy = {
  copy: (x) => Object.assign(Object.create(Object.getPrototypeOf(x)), x, { $number: undefined }),  // another object
};
const $abs = Math.abs;
const $len = (x) => x.length ?? x.size;
function $range(a, b, step = 1) {
  if (b === undefined) return $range(0, a);
  const items = [];
  for (let i = a; step > 0 ? i < b : i > b; i += step) items.push(i);
  return items;
}
const $items = (x) => (Array.isArray(x) ? x : [...x]);
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
  const lists = iterables.map($items);
  const n = Math.min(...lists.map((items) => items.length)), [one, other] = lists, zipped = [];
  for (let i = 0; i < n; i++) zipped.push(lists.length === 2 ? [one[i], other[i]] : lists.map((items) => items[i]));
  return zipped;
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
function $remembering(f) {
  const known = new Map();
  return (x) => {
    if (!known.has(x)) known.set(x, f(x));
    return known.get(x);
  };
}

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
  sqrt: Math.sqrt, hypot: Math.hypot, erf: $erf, ceil: Math.ceil, floor: Math.floor,
  lcm(a, b) { let [x, y] = [a, b]; while (y) [x, y] = [y, x % y]; return a / x * b; },
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
    const counter = new $Counter([]);
    counter.update(items);
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
const ggml_types$QUANTS = $dict((() => { const $into = []; for (const $row of ggml_types$_TABLE) { const name = $row[0], number = $row[1], block = $row[2], n_bytes = $row[3]; $into.push([name, new ggml_types$QuantType(name, number, block, n_bytes)]); } return $into; })());
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
if ((!((0 <= value) && $le(value, spec$MAX_COUNT)) || ($sub($int(value), value) !== 0))) {
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
$n_bytes() {
const self = this;
return $sum((() => { const $into = []; for (const tensor of self.tensors.values()) { $into.push(tensor.n_bytes); } return $into; })());
}
get n_bytes() { return this.$kept_n_bytes ??= this.$n_bytes(); }
$tensor_kinds() {
const self = this;
let found, name, part, tensor;
found = $dict([]);
for (const $row of self.tensors.items()) {
name = $row[0];
tensor = $row[1];
part = ($truth($string.startswith(name, "blk.")) ? $get($string.split(name, ".", 2), (-1)) : name);
found.setdefault([part, tensor.quant.name, tensor.ne], tensor);
}
return $list(found.values());
}
get tensor_kinds() { return this.$kept_tensor_kinds ??= this.$tensor_kinds(); }
get is_moe() {
const self = this;
return (self.n_expert > 0);
}
}
$dataclass(spec$ModelSpec, ["name", "arch", "metadata", "tensors", "source", "file_bytes", "notes"], true);
const speculation$MTP = "draft-mtp";
const speculation$SIMPLE = "draft-simple";
const speculation$EAGLE3 = "draft-eagle3";
const speculation$DRAFT_MAX = 3;
const speculation$DFLASH = "draft-dflash";
const speculation$DSPARK = "draft-dspark";
const speculation$BY_MODEL = [speculation$SIMPLE, speculation$EAGLE3, speculation$MTP, speculation$DFLASH, speculation$DSPARK];
const speculation$BY_BLOCK = [speculation$DFLASH, speculation$DSPARK];
const speculation$READING = [speculation$EAGLE3, ...speculation$BY_BLOCK];
const speculation$BY_NGRAM = $dict([["ngram-simple", 48], ["ngram-map-k", 48], ["ngram-map-k4v", 48], ["ngram-mod", 64], ["ngram-cache", 8]]);
function speculation$kinds_of(spec_type) {
let listed;
listed = $string.split($or(spec_type, () => ""), ",");
return $tuple((() => { const $into = []; for (const kind of listed) { if (!$in(kind, ["", "none"])) { $into.push(kind); } } return $into; })());
}
function speculation$most_drafted(spec_type, draft_max) {
return $max((() => { const $into = []; for (const kind of speculation$kinds_of(spec_type)) { $into.push(($in(kind, speculation$BY_MODEL) ? draft_max : $get(speculation$BY_NGRAM, kind))); } return $into; })(), new $Named({default: 0}));
}
function speculation$rolled_back(spec_type, draft_max) {
let needs;
needs = (() => { for (const kind of speculation$kinds_of(spec_type)) { if (($in(kind, speculation$BY_MODEL) && !$eq(kind, speculation$SIMPLE))) return true; } return false; })();
return ($truth(needs) ? draft_max : 0);
}
const units$MIB = ((1024) ** (2));
const units$GIB = ((1024) ** (3));
const units$NOT_MEASURED = "\u2014";
function units$mib(n_bytes, digits = 0) {
return ((n_bytes == null) ? units$NOT_MEASURED : ("" + $format((n_bytes / units$MIB), ("" + ",." + $str(digits) + "f")) + " MiB"));
}
function units$count(n) {
return ((n == null) ? units$NOT_MEASURED : ("" + $format(n, ("" + ","))));
}
function units$share(fraction, digits = 1) {
return ((fraction == null) ? units$NOT_MEASURED : ("" + $format((fraction * 100), ("" + "." + $str(digits) + "f")) + " %"));
}
const config$POOLINGS = $dict([["none", 0], ["mean", 1], ["cls", 2], ["last", 3], ["rank", 4]]);
const config$CONTEXT_STEP = 256;
const config$MAX_LAYERS = 512;
const config$MAX_SEQUENCES = 256;
function config$padded_context(n_ctx) {
return ((-$floordiv((-n_ctx), config$CONTEXT_STEP)) * config$CONTEXT_STEP);
}
class config$RunConfig {
constructor(n_ctx = 4096, n_batch = 2048, n_ubatch = 512, n_seq_max = 1, kv_unified = false, type_k = "f16", type_v = "f16", flash_attn = "auto", swa_full = true, n_gpu_layers = (-1), n_cpu_moe = 0, n_cpu_ffn = 0, override_tensor = null, tensor_split = null, split_mode = "layer", main_gpu = 0, offload_kqv = true, op_offload = true, n_outputs_max = null, embeddings = false, pooling = null, n_expert_used = null, n_devices = 1, n_threads = null, n_depth = 0, n_parallel = 1, moe_cache_mib = 0, load_mode = "auto", cache_ram_mib = 0, ctx_checkpoints = 0, rope_scaling = null, rope_scale = null, yarn_orig_ctx = null, spec_type = null, spec_draft_n_max = speculation$DRAFT_MAX, spec_draft_type_k = "f16", spec_draft_type_v = "f16", spec_draft_ngl = (-1), spec_draft_device = null, spec_draft_n_cpu_moe = 0, spec_draft_override_tensor = null, mmproj_offload = true, image_min_tokens = null, image_max_tokens = null) {
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
this.n_cpu_ffn = n_cpu_ffn;
this.override_tensor = override_tensor;
this.tensor_split = tensor_split;
this.split_mode = split_mode;
this.main_gpu = main_gpu;
this.offload_kqv = offload_kqv;
this.op_offload = op_offload;
this.n_outputs_max = n_outputs_max;
this.embeddings = embeddings;
this.pooling = pooling;
this.n_expert_used = n_expert_used;
this.n_devices = n_devices;
this.n_threads = n_threads;
this.n_depth = n_depth;
this.n_parallel = n_parallel;
this.moe_cache_mib = moe_cache_mib;
this.load_mode = load_mode;
this.cache_ram_mib = cache_ram_mib;
this.ctx_checkpoints = ctx_checkpoints;
this.rope_scaling = rope_scaling;
this.rope_scale = rope_scale;
this.yarn_orig_ctx = yarn_orig_ctx;
this.spec_type = spec_type;
this.spec_draft_n_max = spec_draft_n_max;
this.spec_draft_type_k = spec_draft_type_k;
this.spec_draft_type_v = spec_draft_type_v;
this.spec_draft_ngl = spec_draft_ngl;
this.spec_draft_device = spec_draft_device;
this.spec_draft_n_cpu_moe = spec_draft_n_cpu_moe;
this.spec_draft_override_tensor = spec_draft_override_tensor;
this.mmproj_offload = mmproj_offload;
this.image_min_tokens = image_min_tokens;
this.image_max_tokens = image_max_tokens;
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
get spec_kinds() {
const self = this;
return speculation$kinds_of(self.spec_type);
}
get n_drafted() {
const self = this;
return speculation$most_drafted(self.spec_type, self.spec_draft_n_max);
}
get n_verified() {
const self = this;
return $max(1, $min(self.n_batch, (self.n_seq_max * (1 + self.n_drafted))));
}
get n_rolled_back() {
const self = this;
return speculation$rolled_back(self.spec_type, self.spec_draft_n_max);
}
get deepest() {
const self = this;
return ($truth(self.kv_unified) ? $floordiv(self.n_ctx, self.n_parallel) : self.n_ctx_seq);
}
with_(changes) {
const self = this;
return $dataclasses.replace(self, $Named.of($dict([...config$_checked(changes).items()])));
}
get tensor_overrides() {
const self = this;
let layers, own;
if (!$truth(self.n_cpu_ffn)) {
return self.override_tensor;
}
layers = $string.join("|", $map($str, $range($min(self.n_cpu_ffn, config$MAX_LAYERS))));
own = [self.override_tensor, ("" + "blk\\.(" + $str(layers) + ")\\.ffn_(up|down|gate)\\.=CPU")];
return $string.join(",", $filter(null, own));
}
}
$dataclass(config$RunConfig, ["n_ctx", "n_batch", "n_ubatch", "n_seq_max", "kv_unified", "type_k", "type_v", "flash_attn", "swa_full", "n_gpu_layers", "n_cpu_moe", "n_cpu_ffn", "override_tensor", "tensor_split", "split_mode", "main_gpu", "offload_kqv", "op_offload", "n_outputs_max", "embeddings", "pooling", "n_expert_used", "n_devices", "n_threads", "n_depth", "n_parallel", "moe_cache_mib", "load_mode", "cache_ram_mib", "ctx_checkpoints", "rope_scaling", "rope_scale", "yarn_orig_ctx", "spec_type", "spec_draft_n_max", "spec_draft_type_k", "spec_draft_type_v", "spec_draft_ngl", "spec_draft_device", "spec_draft_n_cpu_moe", "spec_draft_override_tensor", "mmproj_offload", "image_min_tokens", "image_max_tokens"], true);
const rope$MAX_FACTOR = 65536;
class rope$RopeScaling {
constructor(type, factor, original_context_length, is_published, reason) {
this.type = type;
this.factor = factor;
this.original_context_length = original_context_length;
this.is_published = is_published;
this.reason = reason;
}
get n_ctx() {
const self = this;
return $int((self.original_context_length * self.factor));
}
}
$dataclass(rope$RopeScaling, ["type", "factor", "original_context_length", "is_published", "reason"], true);
function rope$has_positions(spec) {
let layers, rope;
rope = families$family_of(spec.arch).rope;
layers = ($in(rope.n_layer, [0, spec.n_layer]) ? rope.layers : "none");
if ((layers === "finetuned")) {
return $bool(spec.metadata.get(("" + $str(spec.arch) + ".rope.scaling.finetuned"), true));
}
return (layers !== "none");
}
function rope$own_scaling(spec) {
let factor, key, kind, original;
{
const $row = $items([spec.metadata.get(("" + $str(spec.arch) + ".rope.scaling.type"), "linear"), "rope.scaling.factor"]);
kind = $row[0];
key = $row[1];
}
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
return $max(spec.n_ctx_train, (($truth(own) && (own.type === "yarn")) ? own.n_ctx : 0));
}
const gpus$_UNIFIED = ["8.7", "11.0", "12.1"];
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
get is_unified() {
const self = this;
return $in(self.compute_capability, gpus$_UNIFIED);
}
}
$dataclass(gpus$GpuSpec, ["name", "generation", "compute_capability", "sm_count", "clock_ghz", "memory_bytes", "bandwidth_bytes_per_s", "fp16_flops", "int8_ops", "power_limit_w", "source"], true);
class cards$Card {
constructor(memory_bytes, spec = null, device = "CUDA0", context_bytes = 0, free_bytes = null) {
this.memory_bytes = memory_bytes;
this.spec = spec;
this.device = device;
this.context_bytes = context_bytes;
this.free_bytes = free_bytes;
}
get name() {
const self = this;
return ($truth(self.spec) ? self.spec.name : ("" + "card of " + $str($round((self.memory_bytes / units$MIB))) + " MiB"));
}
}
$dataclass(cards$Card, ["memory_bytes", "spec", "device", "context_bytes", "free_bytes"], true);
function cards$run_cards(cards, n_devices) {
let free, names, taken;
if ((!$truth(cards) || (n_devices <= $len(cards)))) {
return $tuple($slice(cards, null, n_devices, null));
}
if (!$truth(cards$are_alike(cards))) {
throw new errors$ConfigError(("" + "n_devices is " + $str(n_devices) + ", and " + $str($len(cards)) + " cards are named: " + $str(cards$listed_cards(cards))));
}
taken = $set((() => { const $into = []; for (const card of cards) { $into.push(card.device); } return $into; })());
names = (() => { const $into = []; for (const i of $range((n_devices + $len(cards)))) { $into.push(("" + "CUDA" + $str(i))); } return $into; })();
free = $slice((() => { const $into = []; for (const name of names) { if (!$in(name, taken)) { $into.push(name); } } return $into; })(), null, (n_devices - $len(cards)), null);
return [...cards, ...(() => { const $into = []; for (const name of free) { $into.push($dataclasses.replace($get(cards, 0), new $Named({device: name}))); } return $into; })()];
}
function cards$are_alike(cards) {
return ($len($set((() => { const $into = []; for (const card of cards) { $into.push([card.spec, card.memory_bytes]); } return $into; })())) < 2);
}
function cards$listed_cards(cards) {
return $string.join(", ", (() => { const $into = []; for (const card of cards) { $into.push(("" + $str(card.device) + " (" + $str(card.name) + ")")); } return $into; })());
}
const adapter$EMBEDDING = "token_embd.weight";
const layers$OVERLAPPING = 4;
const layers$SPACED_FROM = 1048576;
const layers$N_SPACED = 78;
function layers$n_decoding(model) {
return $sub(model.integer("decoder_block_count", model.n_layer), layers$n_predicting(model));
}
function layers$n_predicting(model) {
let is_head;
is_head = (families$family_of(model.arch).graph.drafter === "assistant");
return ($truth(is_head) ? 0 : model.integer("nextn_predict_layers", 0));
}
function layers$recurrent_layers(model) {
let feeding, heads, interval, listed, n_layer, rule;
{
const $row = $items([layers$n_decoding(model), families$family_of(model.arch).recurrence.layers]);
n_layer = $row[0];
rule = $row[1];
}
if ($in(rule, ["none", "all", "beside"])) {
return $repeat([(rule !== "none")], n_layer);
}
if ((rule === "interval")) {
if ($in(("" + $str(model.arch) + ".attention.recurrent_layers"), model.metadata)) {
listed = model.per_layer("attention.recurrent_layers");
return $tuple((() => { const $into = []; for (const flag of $slice(listed, null, n_layer, null)) { $into.push($bool(flag)); } return $into; })());
}
interval = $max(model.integer("full_attention_interval", families$family_of(model.arch).recurrence.interval), 1);
return $tuple((() => { const $into = []; for (const il of $range(n_layer)) { $into.push(($mod((il + 1), interval) !== 0)); } return $into; })());
}
{
const $row = $items([model.kv_heads, layers$feeding_layers(model)]);
heads = $row[0];
feeding = $row[1];
}
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
{
const $row = $items([layers$recurrent_layers(model), layers$feeding_layers(model)]);
recurrent = $row[0];
feeding = $row[1];
}
return $tuple((() => { const $into = []; for (const il of $range($len(recurrent))) { $into.push($and($or(beside, () => !$truth($get(recurrent, il))), () => !$truth($get(feeding, il)))); } return $into; })());
}
function layers$indexing_layers(model) {
let attends, is_spaced, lead, listed, ratios, rule, said;
{
const $row = $items([families$family_of(model.arch).graph.indexers, layers$attending_layers(model)]);
rule = $row[0];
attends = $row[1];
}
if ((rule === "none")) {
return $repeat([false], $len(attends));
}
if ((rule === "overlapping")) {
ratios = model.per_layer("attention.compress_ratios");
return $tuple((() => { const $into = []; for (const il of $range($len(attends))) { $into.push($eq($get(ratios, il), layers$OVERLAPPING)); } return $into; })());
}
if ((rule === "past_dense")) {
lead = model.integer("leading_dense_block_count", 0);
return $tuple((() => { const $into = []; for (const il of $range($len(attends))) { $into.push($ge(il, lead)); } return $into; })());
}
said = model.metadata.get(("" + $str(model.arch) + ".attention.indexer.types"));
if (((rule === "each") || (said == null))) {
is_spaced = ((rule === "listed_or_spaced") && $ge(model.n_ctx_train, layers$SPACED_FROM));
return $tuple((() => { const $into = []; for (const $row of $enumerate(attends)) { const il = $row[0], has = $row[1]; $into.push($and(has, () => !($truth(is_spaced) && $truth(layers$_is_between(il))))); } return $into; })());
}
listed = ((($it) => $is.tuple($it))(said) ? said : $repeat([said], $len(attends)));
return $tuple((() => { const $into = []; for (const il of $range($len(attends))) { $into.push($and($get(attends, il), () => $bool($get(listed, il)))); } return $into; })());
}
function layers$_is_between(il) {
return ($ge(il, layers$N_SPACED) || ((il > 1) && ($mod(il, 4) !== 2)));
}
function layers$sliding_window(model) {
let named, unnamed, windows;
windows = families$family_of(model.arch).windows;
if ((!$truth(windows.period) || !$in(windows.n_layer, [0, layers$n_decoding(model)]))) {
return 0;
}
unnamed = ($truth(windows.is_optional) ? 0 : windows.n_tokens);
named = model.integer("attention.sliding_window", unnamed);
return (($truth(named) && $truth(windows.is_fixed)) ? windows.n_tokens : named);
}
function layers$windowed_layers(model, n_layer = 0) {
let flags, listed, n_decode, period, windows;
{
const $row = $items([layers$n_decoding(model), families$family_of(model.arch).windows]);
n_decode = $row[0];
windows = $row[1];
}
n_layer = $or(n_layer, () => n_decode);
if ((layers$sliding_window(model) === 0)) {
return $repeat([false], n_layer);
}
listed = model.metadata.get(("" + $str(model.arch) + ".attention.sliding_window_pattern"));
if ((($it) => $is.tuple($it))(listed)) {
flags = $tuple((() => { const $into = []; for (const flag of $slice(listed, null, n_layer, null)) { $into.push($bool(flag)); } return $into; })());
}
else {
period = (((($it) => $is.int($it))(listed) && (listed >= 0)) ? listed : windows.period);
flags = layers$window_pattern(n_decode, period, windows.dense_first);
}
return [...flags, ...$repeat([false], (n_layer - $len(flags)))];
}
function layers$window_pattern(n_layer, period, dense_first) {
if ((period === 0)) {
return $repeat([true], n_layer);
}
return $tuple((() => { const $into = []; for (const il of $range(n_layer)) { $into.push(($truth(dense_first) ? ($mod(il, period) !== 0) : ($mod(il, period) < (period - 1)))); } return $into; })());
}
const hparams$UNROTATED_STEP = 4;
const hparams$SMALLEST_LIMIT = 1e-06;
const hparams$SHARED_WINDOW = (-2);
const hparams$SHARED_FULL = (-1);
const hparams$TARGET_TOKENS = "target.token_embd.weight";
const hparams$THINNED_LAYERS = 10;
class hparams$LayerShape {
constructor(n_head, n_head_kv, head_k, head_v, is_swa = false, is_recurrent = false, has_attention = true, cache_layer = 0, block = 0, n_expert_used = 0, is_sparse = false, index_width = 0, index_v_width = 0, compress_ratio = 0, banks_stream = false, n_banked = 0, has_rope = true, has_deepstack = false, is_read = false, thins_gate = false, is_rescaled = false, clamps_experts = false, clamps_dense = false) {
this.n_head = n_head;
this.n_head_kv = n_head_kv;
this.head_k = head_k;
this.head_v = head_v;
this.is_swa = is_swa;
this.is_recurrent = is_recurrent;
this.has_attention = has_attention;
this.cache_layer = cache_layer;
this.block = block;
this.n_expert_used = n_expert_used;
this.is_sparse = is_sparse;
this.index_width = index_width;
this.index_v_width = index_v_width;
this.compress_ratio = compress_ratio;
this.banks_stream = banks_stream;
this.n_banked = n_banked;
this.has_rope = has_rope;
this.has_deepstack = has_deepstack;
this.is_read = is_read;
this.thins_gate = thins_gate;
this.is_rescaled = is_rescaled;
this.clamps_experts = clamps_experts;
this.clamps_dense = clamps_dense;
}
kind(il) {
const self = this;
let shared;
shared = ($eq(self.cache_layer, il) ? 0 : self.cache_layer);
return $dataclasses.replace(self, new $Named({cache_layer: shared, block: 0}));
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
$dataclass(hparams$LayerShape, ["n_head", "n_head_kv", "head_k", "head_v", "is_swa", "is_recurrent", "has_attention", "cache_layer", "block", "n_expert_used", "is_sparse", "index_width", "index_v_width", "compress_ratio", "banks_stream", "n_banked", "has_rope", "has_deepstack", "is_read", "thins_gate", "is_rescaled", "clamps_experts", "clamps_dense"], true);
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
return $add(self.inner, ((2 * self.groups) * self.state));
}
get conv_state() {
const self = this;
return ($max((self.conv_kernel - 1), 0) * self.channels);
}
get ssm_state() {
const self = this;
return (self.state * self.inner);
}
}
$dataclass(hparams$SsmShape, ["conv_kernel", "inner", "state", "rank", "groups"], true);
class hparams$Hparams {
constructor(family, n_layer_all, n_embd, n_embd_inp, n_vocab, n_expert, n_swa, n_pos, is_mla, is_causal, layers, ssm, n_loops = 1, ngram_layers = [], ngram_state = 0, router = null, n_trunk = 0, key = [null, [], 0]) {
this.family = family;
this.n_layer_all = n_layer_all;
this.n_embd = n_embd;
this.n_embd_inp = n_embd_inp;
this.n_vocab = n_vocab;
this.n_expert = n_expert;
this.n_swa = n_swa;
this.n_pos = n_pos;
this.is_mla = is_mla;
this.is_causal = is_causal;
this.layers = layers;
this.ssm = ssm;
this.n_loops = n_loops;
this.ngram_layers = ngram_layers;
this.ngram_state = ngram_state;
this.router = router;
this.n_trunk = n_trunk;
this.key = key;
}
get is_head() {
const self = this;
return (self.n_trunk > 0);
}
$running() {
const self = this;
return $range(self.n_trunk, $len(self.layers));
}
get running() { return this.$kept_running ??= this.$running(); }
get n_layer() {
const self = this;
return $len(self.running);
}
cache_owners(is_swa) {
const self = this;
return $tuple((() => { const $into = []; for (const $row of $enumerate(self.layers)) { const il = $row[0], layer = $row[1]; if (($truth(self.has_cache) && $truth(layer.has_attention) && $eq(layer.cache_layer, il) && $eq(layer.is_swa, is_swa))) { $into.push(il); } } return $into; })());
}
get has_cache() {
const self = this;
return self.family.has_cache;
}
get reads_cache() {
const self = this;
return $and(self.family.has_cache, () => self.family.reads_cache);
}
$compress_ratios() {
const self = this;
return $tuple($sorted($set((() => { const $into = []; for (const each of self.layers) { if ($truth(each.compress_ratio)) { $into.push(each.compress_ratio); } } return $into; })())));
}
get compress_ratios() { return this.$kept_compress_ratios ??= this.$compress_ratios(); }
$has_swa() {
const self = this;
return (() => { for (const layer of self.layers) { if ($truth(layer.is_swa)) return true; } return false; })();
}
get has_swa() { return this.$kept_has_swa ??= this.$has_swa(); }
get latent_width() {
const self = this;
return $max((() => { const $into = []; for (const layer of self.layers) { $into.push(layer.k_width); } return $into; })());
}
get keeps_v() {
const self = this;
return (!$truth(self.is_mla) && (self.family.graph.attention !== "compressed"));
}
get n_expert_used() {
const self = this;
return $max((() => { const $into = []; for (const layer of self.layers) { $into.push(layer.n_expert_used); } return $into; })());
}
$v_width_max() {
const self = this;
return $max((() => { const $into = []; for (const layer of self.layers) { $into.push(layer.v_width); } return $into; })());
}
get v_width_max() { return this.$kept_v_width_max ??= this.$v_width_max(); }
}
$dataclass(hparams$Hparams, ["family", "n_layer_all", "n_embd", "n_embd_inp", "n_vocab", "n_expert", "n_swa", "n_pos", "is_mla", "is_causal", "layers", "ssm", "n_loops", "ngram_layers", "ngram_state", "router", "n_trunk", "key"], true);
function hparams$resolve_hparams(model, n_expert_used = null) {
let family, layers, n_layer, n_layer_all, n_loops, router;
family = families$family_of(model.arch);
{
const $row = $items([model.n_layer, layers$n_decoding(model)]);
n_layer_all = $row[0];
n_layer = $row[1];
}
if ((n_layer < 1)) {
throw new errors$ModelFileError(("" + $str(model.source) + ": " + $str(n_layer) + " of " + $str(n_layer_all) + " layers run"));
}
layers = hparams$_layers(model, family, n_layer, n_expert_used);
router = null;
if (($bound(family.graph, "layer") === "switched")) {
router = $dataclasses.replace($get(layers, (-1)), new $Named({n_head: 1, n_head_kv: 1, cache_layer: n_layer}));
n_layer_all = $extended(n_layer_all, 1);
}
n_loops = ($truth(family.graph.loops) ? $max(model.integer("num_loops", 1), 1) : 1);
return new hparams$Hparams(family, (n_layer_all * n_loops), model.n_embd, (model.n_embd * (1 + model.integer("n_deepstack_layers", 0))), model.n_vocab, model.n_expert, layers$sliding_window(model), ($truth(hparams$_has_sections(model, family)) ? 4 : 1), $bool(model.integer("attention.key_length_mla", 0)), $bool(model.metadata.get(("" + $str(model.arch) + ".attention.causal"), family.has_cache)), hparams$_looped(layers, n_loops), hparams$_ssm(model), n_loops, hparams$_ngram_layers(model), hparams$_ngram_state(model), router, undefined, [hparams$_said(model, n_expert_used), [], 0]);
}
function hparams$resolve_head(model, n_expert_used = null) {
let layers, n_trunk, trunk;
{
const $row = $items([hparams$resolve_hparams(model, n_expert_used), layers$n_decoding(model)]);
trunk = $row[0];
n_trunk = $row[1];
}
if ($eq(n_trunk, model.n_layer)) {
throw new errors$ModelFileError(("" + $str(model.source) + " has no multi-token-prediction (MTP) head"));
}
layers = hparams$_layers(model, trunk.family, model.n_layer, n_expert_used);
return $dataclasses.replace(trunk, new $Named({layers: [...(() => { const $into = []; for (const layer of $slice(layers, null, n_trunk, null)) { $into.push($dataclasses.replace(layer, new $Named({has_attention: false, is_recurrent: false, index_width: 0}))); } return $into; })(), ...(() => { const $into = []; for (const layer of $slice(layers, n_trunk, null, null)) { $into.push($dataclasses.replace(layer, new $Named({is_sparse: false}))); } return $into; })()], n_trunk: n_trunk, key: [$get(trunk.key, 0), [], n_trunk]}));
}
function hparams$with_read_layers(hparams, inputs) {
return $dataclasses.replace(hparams, new $Named({key: [$get(hparams.key, 0), $tuple(inputs), $get(hparams.key, 2)], layers: $tuple((() => { const $into = []; for (const $row of $enumerate(hparams.layers)) { const il = $row[0], layer = $row[1]; $into.push($dataclasses.replace(layer, new $Named({is_read: ($in((il + 1), inputs) && ((il + 1) < $len(hparams.layers)))}))); } return $into; })())}));
}
function hparams$_layers(model, family, n_layer, n_expert_used) {
let attends, bank, beyond, by_positions, compresses, default$, halved, head_k, head_k_swa, head_v, head_v_swa, heads, index_width, indexes, n_head_kv, owned, ratios, recurrent, rope, swa, used;
{
const $row = $items([model.per_layer("attention.head_count", 0), model.kv_heads]);
heads = $row[0];
n_head_kv = $row[1];
}
default$ = (($max(heads) > 0) ? $floordiv(model.n_embd, $max(heads)) : 0);
{
const $row = $items((function* () { for (const which of ["key", "value"]) { yield model.integer(("" + "attention." + $str(which) + "_length"), default$); } })());
head_k = $row[0];
head_v = $row[1];
}
{
const $row = $items((function* () { for (const $row of [["key", head_k], ["value", head_v]]) { const which = $row[0], full = $row[1]; yield model.integer(("" + "attention." + $str(which) + "_length_swa"), full); } })());
head_k_swa = $row[0];
head_v_swa = $row[1];
}
beyond = $sub(n_layer, layers$n_decoding(model));
swa = layers$windowed_layers(model, n_layer);
recurrent = [...layers$recurrent_layers(model), ...$repeat([false], beyond)];
attends = [...layers$attending_layers(model), ...$repeat([true], beyond)];
owned = hparams$_layers_with_own_cache(model, family, n_layer);
used = hparams$_experts_used(model, n_expert_used);
rope = hparams$_rotated_layers(model, family, swa);
indexes = [...layers$indexing_layers(model), ...$repeat([false], beyond)];
index_width = ($any(indexes) ? model.integer("attention.indexer.key_length", 0) : 0);
if ($truth(model.integer("attention.indexer.kpool", 0))) {
index_width = (index_width * 3);
}
bank = model.integer("attn_res.block_size", 0);
halved = model.integer("rescale_every_n_layers", 0);
compresses = (family.graph.attention === "compressed");
by_positions = (family.graph.attention === "position_blocks");
ratios = ($truth(compresses) ? model.per_layer("attention.compress_ratios", 0) : $repeat([0], n_layer));
return $tuple((() => { const $into = []; for (const il of $range(n_layer)) { $into.push(new hparams$LayerShape($get(heads, il), $get(n_head_kv, il), ($truth($get(swa, il)) ? head_k_swa : head_k), ($truth($get(swa, il)) ? head_v_swa : head_v), $get(swa, il), $get(recurrent, il), $get(attends, il), hparams$_cache_layer(family, il, owned, $get(swa, il)), hparams$_block(model, family, il), $get(used, il), $and((index_width > 0), () => $get(attends, il), () => !$truth($get(swa, il))), ($truth($get(indexes, il)) ? index_width : 0), (($truth($get(indexes, il)) && $truth(by_positions)) ? head_v : 0), $get(ratios, il), ((bank > 0) && ($mod(il, bank) === 0)), ($truth(bank) ? ($floordiv(il, bank) + 1) : 0), $get(rope, il), $lt(il, model.integer("n_deepstack_layers", 0)), undefined, (($bound(family.graph, "layer") === "altup") && $lt(il, hparams$THINNED_LAYERS)), ((halved > 0) && ($mod((il + 1), halved) === 0)), hparams$_clamps(model, family, "swiglu_clamp_exp", il), hparams$_clamps(model, family, "swiglu_clamp_shexp", il))); } return $into; })());
}
function hparams$_cache_layer(family, il, owned, is_swa) {
if ((family.graph.drafter === "assistant")) {
return ($truth(is_swa) ? hparams$SHARED_WINDOW : hparams$SHARED_FULL);
}
return ($lt(il, owned) ? il : $sub(owned, ($truth(is_swa) ? 2 : 1)));
}
function hparams$_block(model, family, il) {
let n, n_low;
if (($bound(family.graph, "layer") !== "stacks")) {
return il;
}
{
const $row = $items([hparams$stack_layers(model), model.integer("hrm.l_cycles")]);
n = $row[0];
n_low = $row[1];
}
return ($mod(il, n) + ($eq($mod($floordiv(il, n), (n_low + 1)), n_low) ? n : 0));
}
function hparams$stack_layers(model) {
return $max(model.integer("hrm.layers_per_stack"), 1);
}
function hparams$_looped(layers, n_loops) {
let n;
n = $len(layers);
return $tuple((() => { const $into = []; for (const loop of $range(n_loops)) { for (const layer of layers) { $into.push($dataclasses.replace(layer, new $Named({cache_layer: $add(layer.cache_layer, (loop * n))}))); } } return $into; })());
}
function hparams$_clamps(model, family, key, il) {
return (!$truth(family.graph.fuses_clamp) && $gt(hparams$_limit(model, key, il), hparams$SMALLEST_LIMIT));
}
function hparams$_limit(model, key, il) {
let limit, limits;
limits = model.metadata.get(("" + $str(model.arch) + "." + $str(key)), 0.0);
limit = (((($it) => $is.tuple($it))(limits) && (il < $len(limits))) ? $get(limits, il) : limits);
return ((($it) => $is.int($it) || $is.float($it))(limit) ? limit : 0.0);
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
function hparams$_said(model, n_expert_used) {
let own;
if ((!$truth(model.is_moe) || !$truth(n_expert_used))) {
return null;
}
own = $set(model.per_layer("expert_used_count"));
return ($eq(own, $set([n_expert_used])) ? null : n_expert_used);
}
function hparams$_layers_with_own_cache(model, family, n_layer) {
let shared;
if ((family.graph.drafter === "assistant")) {
return 0;
}
shared = model.integer("attention.shared_kv_layers", $max(0, $sub(n_layer, $or(family.graph.shares_kv_from, () => n_layer))));
if (($truth(shared) && ($sub(n_layer, shared) < 2))) {
throw new errors$ModelFileError(("" + $str(model.source) + ": " + $str(shared) + " of " + $str(n_layer) + " layers share a KV cache; two must have their own"));
}
return $sub(n_layer, shared);
}
function hparams$_has_sections(model, family) {
let listed, sections;
sections = model.metadata.get(("" + $str(model.arch) + ".rope.dimension_sections"));
if ((family.rope.sections === "any")) {
return ((($it) => $is.tuple($it))(sections) && $any(sections));
}
listed = ((($it) => $is.tuple($it))(sections) && ($len(sections) > 1) && (() => { for (const n of $slice(sections, null, 2, null)) { if (!((($it) => $is.int($it))(n) && (n > 0))) return false; } return true; })());
return ((family.rope.sections === "listed") ? listed : (family.rope.sections === "always"));
}
function hparams$_rotated_layers(model, family, swa) {
let end, finetuned, layers, lead, rotates_all, step;
layers = ($truth(family.has_known_graph) ? family.rope.layers : "all");
if (((layers === "listed") && $truth(hparams$_has(model, "attention.rope_pattern")))) {
return $tuple($map($bool, $slice(model.per_layer("attention.rope_pattern"), null, $len(swa), null)));
}
if (($truth($string.startswith(layers, "windowed")) && $any(swa))) {
if ((layers === "windowed")) {
return swa;
}
{
const $row = $items([model.integer("leading_dense_block_count", 0), layers$n_decoding(model)]);
lead = $row[0];
end = $row[1];
}
return $tuple((() => { const $into = []; for (const $row of $enumerate(swa)) { const il = $row[0], is_swa = $row[1]; $into.push($or(is_swa, () => $lt(il, lead), () => $ge(il, end))); } return $into; })());
}
if ((layers === "stepped_first")) {
rotates_all = (!$any(swa) || $eq(layers$n_decoding(model), hparams$UNROTATED_STEP));
return $tuple((() => { const $into = []; for (const il of $range($len(swa))) { $into.push($or(rotates_all, () => ($mod(il, hparams$UNROTATED_STEP) !== 0))); } return $into; })());
}
if ((layers === "stepped")) {
step = (($any(swa) || !$truth(family.windows.period)) ? hparams$UNROTATED_STEP : $len(swa));
return $tuple((() => { const $into = []; for (const il of $range($len(swa))) { $into.push(($mod((il + 1), step) !== 0)); } return $into; })());
}
if (!$in(family.rope.n_layer, [0, $len(swa)])) {
layers = "none";
}
finetuned = $bool(model.metadata.get(("" + $str(model.arch) + ".rope.scaling.finetuned"), true));
return $repeat([$and(!$in(layers, ["none", "learned"]), () => $or(finetuned, () => (layers !== "finetuned")))], $len(swa));
}
function hparams$_ngram_layers(model) {
let listed;
listed = model.metadata.get(("" + $str(model.arch) + ".ple.layers"));
return ((($it) => $is.tuple($it))(listed) ? $tuple((() => { const $into = []; for (const il of listed) { $into.push($int(il)); } return $into; })()) : []);
}
function hparams$_ngram_state(model) {
let width;
if (!$truth(hparams$_ngram_layers(model))) {
return 0;
}
width = (model.integer("hyper_connection.count") * model.n_embd);
return (((model.integer("ple.conv_kernel") - 1) * model.integer("ple.ngram_size")) * width);
}
function hparams$_ssm(model) {
let n_head, shape, size, width;
if ($truth(hparams$_has(model, "shortconv.l_cache"))) {
return new hparams$SsmShape(model.integer("shortconv.l_cache"), model.n_embd, 0, 1, 0);
}
if ((families$family_of(model.arch).recurrence.part === "lightning")) {
n_head = $max(model.per_layer("attention.head_count"));
width = model.integer("attention.key_length", $floordiv(model.n_embd, $max(n_head, 1)));
return new hparams$SsmShape(1, (width * n_head), width, n_head, 0);
}
if ($truth(hparams$_has(model, "wkv.head_size"))) {
size = model.integer("wkv.head_size");
return new hparams$SsmShape((model.integer("token_shift_count", 2) + 1), model.n_embd, size, $floordiv(model.n_embd, $max(size, 1)), 0);
}
if ($truth(hparams$_has(model, "kda.head_dim"))) {
{
const $row = $items([model.integer("kda.head_dim"), model.integer("attention.head_count")]);
width = $row[0];
n_head = $row[1];
}
return new hparams$SsmShape(model.integer("ssm.conv_kernel"), (width * n_head), width, n_head, n_head);
}
if (!$truth(hparams$_has(model, "ssm.inner_size"))) {
return null;
}
shape = new hparams$SsmShape(model.integer("ssm.conv_kernel"), model.integer("ssm.inner_size"), model.integer("ssm.state_size"), model.integer("ssm.time_step_rank"), model.integer("ssm.group_count", 0));
if (($min(shape.conv_kernel, shape.inner, shape.state, shape.rank) < 1)) {
throw new errors$ModelFileError(("" + $str(model.source) + ": the ssm widths " + $str(shape) + " cannot be; is the file complete?"));
}
return shape;
}
const placement$CPU = "CPU";
const placement$CUDA_HOST = "CUDA_Host";
const placement$META = "Meta()";
const placement$_INPUT_TENSORS = ["token_embd.", "position_embd.", "token_types.", "per_layer_token_embd.", "d2t"];
const placement$_FIRST_LAYER_TENSORS = ["per_layer_model_proj.", "per_layer_proj_norm.", "token_embd_norm.", "hrm.z_l_init", "nextn.pre_projection."];
const placement$_LAYER = $re.compile("(?:(?:enc|dec)\\.)?blk\\.([0-9]{1,4})\\.");
const placement$_CPU_MOE = $re.compile("blk\\.(0|[1-9][0-9]*)\\.ffn_(?:up|down|gate|gate_up)_(?:ch|)exps");
const placement$layer_and_part = $remembering(function(name) {
let match;
match = placement$_LAYER.match(name);
return ($truth(match) ? [$int($get(match, 1)), $slice(name, $len($get(match, 0)), null, null)] : [null, name]);
}
);
function placement$layer_of(name) {
return $get(placement$layer_and_part(name), 0);
}
const placement$_experts_of = $remembering(function(name) {
let match;
match = placement$_CPU_MOE.search(name);
return ($truth(match) ? $int($get(match, 1)) : null);
}
);
function placement$loaded_for(name, output_norm) {
let is_first;
is_first = $and($string.startswith(name, placement$_FIRST_LAYER_TENSORS), () => !$eq(name, ("" + $str(output_norm) + ".weight")));
return ($truth(is_first) ? 0 : null);
}
function placement$is_loaded(name, hparams) {
let il, part, runs;
{
const $row = $items(placement$layer_and_part(name));
il = $row[0];
part = $row[1];
}
if ((il == null)) {
return !$truth(hparams.is_head);
}
runs = $in(il, hparams.running);
if (!$eq(runs, hparams.is_head)) {
return runs;
}
return !$eq($string.startswith(part, hparams.family.loaded_of_heads), hparams.is_head);
}
function placement$float32(x) {
return $float($get($struct.unpack("f", $struct.pack("f", x)), 0));
}
function placement$placing_knobs(config) {
return [config.n_devices, config.split_mode, config.main_gpu, config.tensor_split, config.n_gpu_layers, config.override_tensor, config.tensor_overrides, config.n_cpu_moe, config.n_cpu_ffn, config.offload_kqv, config.moe_cache_mib];
}
class placement$Placement {
constructor(config, n_layer_all, machine = [], on_host = $frozenset(), lent = null) {
const self = this;
let devices, held, n_gpu_layers, splits;
{
const $row = $items([n_layer_all, on_host]);
self._n_layer_all = $row[0];
self._on_host = $row[1];
}
self.offloads_kqv = config.offload_kqv;
devices = placement$_devices(config, machine);
self.cards = $tuple(devices);
self.is_cut = ((config.split_mode === "tensor") && $bool(self.cards));
self._computing = ($truth(self.is_cut) ? [placement$META] : self.cards);
n_gpu_layers = ((config.n_gpu_layers >= 0) ? config.n_gpu_layers : (n_layer_all + 1));
self.offloads_all = ($bool(self.cards) && $gt(n_gpu_layers, n_layer_all));
self._on_cards = ($truth(self.cards) ? $min(n_gpu_layers, (n_layer_all + 1)) : 0);
self._first = $max($sub((n_layer_all + 1), n_gpu_layers), 0);
splits = placement$_splits(config, $tuple(devices.values()));
self._splits = ($truth(self.is_cut) ? [1.0] : splits);
self._overrides = placement$_overrides(config, ($truth(self.is_cut) ? [] : self.cards));
self._n_cpu_moe = $min(config.n_cpu_moe, n_layer_all);
self.has_overrides = $bool($or(self._overrides, () => self._n_cpu_moe, () => on_host));
self.pipeline = $and(($len(self.cards) > 1), () => self.offloads_all, () => config.offload_kqv, () => (config.split_mode === "layer"), () => !$truth(self._overrides), () => !$truth(self._n_cpu_moe));
held = $collections.Counter(self._layers);
self.key = [self.cards, self._first, self._on_cards, $tuple((() => { const $into = []; for (const each of self._computing) { $into.push($get(held, each)); } return $into; })()), ($truth(config.moe_cache_mib) ? $tuple(self._splits) : []), config.split_mode, ($truth(self.is_cut) ? config.tensor_split : null), config.override_tensor, config.n_cpu_moe, config.n_cpu_ffn, config.offload_kqv, config.moe_cache_mib, on_host, $tuple($or(lent, () => $dict([])).items())];
self._lent = $or(lent, () => $dict([]));
self._homes = $dict([]);
self.is_simple = !($truth(self.is_cut) || $truth(self._lent));
self._moe_cache_bytes = (config.moe_cache_mib * units$MIB);
}
$backends() {
const self = this;
return [...self._computing, placement$CPU];
}
get backends() { return this.$kept_backends ??= this.$backends(); }
$frame() {
const self = this;
return [self.cards, self.output, self.offloads_all, self.offloads_kqv, self.pipeline];
}
get frame() { return this.$kept_frame ??= this.$frame(); }
get holders() {
const self = this;
return ($truth(self.is_cut) ? [self.cards, [placement$CPU]] : $tuple((() => { const $into = []; for (const each of self.backends) { $into.push([each]); } return $into; })()));
}
get host() {
const self = this;
return ($truth(self.cards) ? placement$CUDA_HOST : placement$CPU);
}
layer(il) {
const self = this;
return ((il < $len(self._layers)) ? $get(self._layers, il) : self._divided(il));
}
$_layers() {
const self = this;
return $tuple($map($bound(self, "_divided"), $range((self._n_layer_all + 1))));
}
get _layers() { return this.$kept__layers ??= this.$_layers(); }
_divided(il) {
const self = this;
let share;
if (($lt(il, self._first) || $ge($sub(il, self._first), self._on_cards))) {
return placement$CPU;
}
share = placement$float32(($sub(il, self._first) / self._on_cards));
return $get(self._computing, $min($bisect.bisect_right(self._splits, share), ($len(self._computing) - 1)));
}
has_on_host(layers) {
const self = this;
return $in(placement$CPU, $slice(self._layers, layers.start, layers.stop, null));
}
expert_caches(cards) {
const self = this;
let ends, shares, whole;
ends = [0.0, ...self._splits];
shares = $dict((() => { const $into = []; for (const $row of $enumerate(self.cards)) { const i = $row[0], card = $row[1]; if ($in(card, cards)) { $into.push([card, $sub($get(ends, (i + 1)), $get(ends, i))]); } } return $into; })());
whole = $or($sum(shares.values()), () => 1.0);
return $dict((() => { const $into = []; for (const $row of shares.items()) { const card = $row[0], share = $row[1]; $into.push([card, $int(((self._moe_cache_bytes * share) / whole))]); } return $into; })());
}
get output() {
const self = this;
return self.layer(self._n_layer_all);
}
cache(il) {
const self = this;
if ((il < 0)) {
return $get(self._lent, ("" + "cache_l" + $str(il)));
}
return ($truth(self.offloads_kqv) ? self.layer(il) : placement$CPU);
}
weight(name, il = null) {
const self = this;
if ((il != null)) {
return self._home(name, il);
}
if (!$in(name, self._homes)) {
$put(self._homes, name, self._home(name, null));
}
return $get(self._homes, name);
}
_home(name, il) {
const self = this;
let device, experts, own, pattern;
if ($in(name, self._lent)) {
return $get(self._lent, name);
}
for (const $row of self._overrides) {
pattern = $row[0];
device = $row[1];
if ($truth(pattern.search(name))) {
return device;
}
}
experts = ($truth(self._n_cpu_moe) ? placement$_experts_of(name) : null);
if (((experts != null) && $lt(experts, self._n_cpu_moe))) {
return placement$CPU;
}
if (($truth($string.startswith(name, placement$_INPUT_TENSORS)) || $in(name, self._on_host))) {
return placement$CPU;
}
own = placement$layer_of(name);
if ((own == null)) {
own = ((il == null) ? self._n_layer_all : il);
}
return self.layer(own);
}
}
function placement$_devices(config, machine) {
let found, known, name;
known = cards$run_cards(machine, config.n_devices);
found = $or($dict((() => { const $into = []; for (const card of known) { $into.push([card.device, $float($or(card.free_bytes, () => card.memory_bytes))]); } return $into; })()), () => $dict((() => { const $into = []; for (const i of $range(config.n_devices)) { $into.push([("" + "CUDA" + $str(i)), 1.0]); } return $into; })()));
if (((config.split_mode !== "none") || !$truth(found))) {
return found;
}
if (!((0 <= config.main_gpu) && (config.main_gpu < $len(found)))) {
throw new errors$ConfigError(("" + "main_gpu is " + $str(config.main_gpu) + ", and there are " + $str($len(found)) + " cards; choose one below that"));
}
name = $get($tuple(found), config.main_gpu);
return $dict([[name, $get(found, name)]]);
}
function placement$_splits(config, free_bytes) {
let n_cards, said, shares, sofar;
said = $or(config.tensor_split, () => []);
if ((() => { for (const share of said) { if ((share < 0)) return true; } return false; })()) {
throw new errors$ConfigError(("" + "tensor_split " + $str(config.tensor_split) + " has a negative share; give one of 0 or more a card"));
}
if (($any($slice(said, config.n_devices, null, null)) && $truth(config.n_devices))) {
throw new errors$ConfigError(("" + "tensor_split has " + $str($len(said)) + " shares, and there are " + $str(config.n_devices) + " cards; give a share for each card"));
}
n_cards = $len(free_bytes);
shares = [...$slice(said, null, n_cards, null), ...$repeat([0.0], (n_cards - $len(said)))];
sofar = $list($itertools.accumulate($map(placement$float32, ($any(shares) ? shares : free_bytes)), placement$_add_float32));
return (() => { const $into = []; for (const each of sofar) { $into.push(placement$float32((each / $get(sofar, (-1))))); } return $into; })();
}
function placement$_add_float32(a, b) {
return placement$float32($add(a, b));
}
function placement$_overrides(config, cards) {
let buffer, equals, error, item, pairs, pattern;
pairs = [];
for (item of $string.split($or(config.tensor_overrides, () => ""), ",")) {
if (!$truth(item)) {
continue;
}
{
const $row = $items($string.rpartition(item, "="));
pattern = $row[0];
equals = $row[1];
buffer = $row[2];
}
if ((!$truth(equals) || !$in(buffer, [...cards, placement$CPU, placement$CUDA_HOST]))) {
throw new errors$ConfigError(("" + "override_tensor " + $repr(item) + " is not pattern=buffer; the buffers are " + $str($string.join(", ", [placement$CPU, ...cards]))));
}
$list.append(pairs, [pattern, ($eq(buffer, placement$CUDA_HOST) ? placement$CPU : buffer)]);
}
try {
return (() => { const $into = []; for (const $row of pairs) { const pattern = $row[0], device = $row[1]; $into.push([$re.compile(pattern), device]); } return $into; })();
} catch ($error) {
if ($error instanceof $re.error) {
error = $error;
throw new errors$ConfigError(("" + "override_tensor has a pattern that is no regular expression: " + $str(error)));
}
else
throw $error;
}
}
const tensor$F32 = $get(ggml_types$QUANTS, "F32");
const tensor$F16 = $get(ggml_types$QUANTS, "F16");
const tensor$I32 = $get(ggml_types$QUANTS, "I32");
const tensor$I64 = $get(ggml_types$QUANTS, "I64");
const tensor$VIEW_OPS = $frozenset($set(["VIEW", "RESHAPE", "PERMUTE", "TRANSPOSE"]));
const tensor$EXACT = "PREC_F32";
const tensor$COPIED = "COPIED";
function tensor$pad(n, multiple) {
return ((-$floordiv((-n), multiple)) * multiple);
}
function tensor$shape(ne) {
let _, a, b, c, d;
[a, b, c, d, ..._] = [...ne, 1, 1, 1];
return [a, b, c, d];
}
function tensor$strides(quant, ne) {
let plane, row;
row = ($floordiv($get(ne, 0), quant.block) * quant.block_bytes);
plane = (row * $get(ne, 1));
return [quant.block_bytes, row, plane, (plane * $get(ne, 2))];
}
class tensor$Tensor {
constructor(op, quant, ne, src, nb = null, view_src = null, offset = 0, name = "", kind = "", device = null, is_input = false, is_weight = false) {
const self = this;
{
const $row = $items([op, kind, name, quant, ne, src]);
self.op = $row[0];
self.kind = $row[1];
self.name = $row[2];
self.quant = $row[3];
self.ne = $row[4];
self.src = $row[5];
}
{
const $row = $items([view_src, offset]);
self.view_src = $row[0];
self.offset = $row[1];
}
{
const $row = $items([device, is_weight]);
self.device = $row[0];
self.is_weight = $row[1];
}
self.pinned = null;
self.backend = (-1);
{
const $row = $items([is_input, false]);
self.is_input = $row[0];
self.is_output = $row[1];
}
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
return (() => { for (const $row of $zip(self.ne, self.nb, wanted, new $Named({strict: true}))) { const n = $row[0], have = $row[1], want = $row[2]; if (!((n === 1) || $eq(have, want))) return false; } return true; })();
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
let depth, last, path, source, visited;
visited = self._visited;
if ($in(tensor, visited)) {
return tensor;
}
visited.add(tensor);
path = [tensor];
while ($truth(path)) {
{
const $row = $items([$get(path, (-1)), $len(path)]);
last = $row[0];
depth = $row[1];
}
for (source of last.src) {
if (!$in(source, visited)) {
visited.add(source);
$list.append(path, source);
break;
}
}
if ($eq($len(path), depth)) {
$list.pop(path);
$list.append(((last.op === "NONE") ? self.leafs : self.nodes), last);
}
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
concat(a, b, axis = 0) {
const self = this;
let ne;
ne = (() => { const $into = []; for (const $row of $enumerate(a.ne)) { const i = $row[0], n = $row[1]; $into.push(($eq(i, axis) ? $add(n, $get(b.ne, i)) : n)); } return $into; })();
return new tensor$Tensor("CONCAT", a.quant, [$get(ne, 0), $get(ne, 1), $get(ne, 2), $get(ne, 3)], [a, b]);
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
{
const $row = $items([$repeat([0], 4), $repeat([0], 4)]);
ne = $row[0];
nb = $row[1];
}
for (const $row of $enumerate(axes)) {
i = $row[0];
axis = $row[1];
{
const $row = $items([$get(x.ne, i), $get(x.nb, i)]);
$put(ne, axis, $row[0]);
$put(nb, axis, $row[1]);
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
add_inplace(a, b) {
const self = this;
return self._write("ADD", a, a, b);
}
scale_inplace(x) {
const self = this;
return self._write("SCALE", x, x);
}
}
const sizes$EMPTY = 256;
class sizes$CacheTypes {
constructor(k, v, flash_attn, transposes_v) {
this.k = k;
this.v = v;
this.flash_attn = flash_attn;
this.transposes_v = transposes_v;
}
}
$dataclass(sizes$CacheTypes, ["k", "v", "flash_attn", "transposes_v"], true);
class sizes$Sizes {
constructor(cells, cells_swa, n_stream, n_seqs, n_tokens, n_tokens_of_one, n_outputs, n_batch, n_states = 1, n_positions = sizes$EMPTY) {
this.cells = cells;
this.cells_swa = cells_swa;
this.n_stream = n_stream;
this.n_seqs = n_seqs;
this.n_tokens = n_tokens;
this.n_tokens_of_one = n_tokens_of_one;
this.n_outputs = n_outputs;
this.n_batch = n_batch;
this.n_states = n_states;
this.n_positions = n_positions;
}
compressed(ratio) {
const self = this;
return tensor$pad($max(1, (-$floordiv((-$bound(self, "cells")), ratio))), 256);
}
growing(ratios) {
const self = this;
let is_windowed, own;
is_windowed = $lt(self.cells_swa, $bound(self, "cells"));
own = (($truth(ratios) && $truth(is_windowed)) ? [] : [$bound(self, "cells")]);
return [...own, ...(() => { const $into = []; for (const ratio of ratios) { $into.push(self.compressed(ratio)); } return $into; })()];
}
get caches() {
const self = this;
return [$bound(self, "cells"), self.cells_swa, self.n_stream, self.n_seqs, self.n_states, self.n_positions];
}
}
$dataclass(sizes$Sizes, ["cells", "cells_swa", "n_stream", "n_seqs", "n_tokens", "n_tokens_of_one", "n_outputs", "n_batch", "n_states", "n_positions"], true);
function sizes$resolve_sizes(config, hparams, context = null) {
let asked, cells, is_one_stream, n_batch, n_ctx, n_seqs, n_tokens, n_ubatch, padded, window;
n_seqs = config.n_seq_max;
asked = ((context == null) ? config.n_ctx : context);
padded = tensor$pad(asked, 256);
cells = ($truth(config.kv_unified) ? padded : tensor$pad($floordiv(padded, n_seqs), 256));
if ((cells === 0)) {
throw new errors$ConfigError(("" + "n_ctx " + $str(asked) + " leaves nothing for each of " + $str(n_seqs) + " sequences; raise n_ctx"));
}
n_ctx = ($truth(config.kv_unified) ? cells : (cells * n_seqs));
n_batch = ($truth(hparams.is_causal) ? $min(asked, config.n_batch) : config.n_batch);
n_ubatch = $min(n_batch, config.n_ubatch);
n_tokens = $min(n_ctx, n_ubatch);
if (!$truth(hparams.has_cache)) {
cells = 0;
}
is_one_stream = $and(config.kv_unified, () => hparams.family.shares_streams);
window = $add((hparams.n_swa * ($truth(is_one_stream) ? n_seqs : 1)), n_ubatch);
return new sizes$Sizes(cells, ($truth(config.swa_full) ? cells : tensor$pad($min(cells, window), 256)), ($truth(is_one_stream) ? 1 : n_seqs), n_seqs, tensor$pad(n_tokens, n_seqs), n_tokens, $min(n_tokens, $or($and(!$truth(hparams.family.has_encoder), () => config.n_outputs_max), () => n_batch)), ($truth(hparams.is_causal) ? n_batch : n_ubatch), (1 + ($truth(hparams.family.recurrence.rolls_back) ? config.n_rolled_back : 0)));
}
class buffers$Setup {
constructor(hparams, placement, sizes, cache, op_offload, pooling = null, unfused = $frozenset(), slices = null) {
this.hparams = hparams;
this.placement = placement;
this.sizes = sizes;
this.cache = cache;
this.op_offload = op_offload;
this.pooling = pooling;
this.unfused = unfused;
this.slices = slices;
}
get about() {
const self = this;
return [$bound(self, "cache"), $bound(self, "hparams").key, self.op_offload, self.pooling, self.unfused];
}
get key() {
const self = this;
return [$bound(self, "placement").key, $bound(self, "sizes").caches, ...self.about];
}
}
$dataclass(buffers$Setup, ["hparams", "placement", "sizes", "cache", "op_offload", "pooling", "unfused", "slices"], true);
class buffers$Batch {
constructor(n_tokens, n_outputs, n_seqs) {
this.n_tokens = n_tokens;
this.n_outputs = n_outputs;
this.n_seqs = n_seqs;
}
}
$dataclass(buffers$Batch, ["n_tokens", "n_outputs", "n_seqs"], true);
function buffers$token_batch(setup) {
let n;
n = $bound(setup, "sizes").n_seqs;
return new buffers$Batch(n, n, n);
}
class buffers$Packing {
constructor(bytes, live_bytes) {
this.bytes = bytes;
this.live_bytes = live_bytes;
}
}
$dataclass(buffers$Packing, ["bytes", "live_bytes"], true);
class buffers$ComputeBuffers {
constructor(bytes, live_bytes, is_exact = true) {
this.bytes = bytes;
this.live_bytes = live_bytes;
this.is_exact = is_exact;
}
}
$dataclass(buffers$ComputeBuffers, ["bytes", "live_bytes", "is_exact"], true);
class buffers$Turns {
constructor(n_ctx_before_rope, n_chosen) {
this.n_ctx_before_rope = n_ctx_before_rope;
this.n_chosen = n_chosen;
}
kind(setup, batch, places) {
const self = this;
let sizes;
sizes = $bound(setup, "sizes");
return [places, ...setup.about, batch, sizes.n_stream, sizes.n_seqs, sizes.n_states, ((self.n_ctx_before_rope != null) && $gt($bound(sizes, "cells"), self.n_ctx_before_rope)), $gt(self._chosen_from(setup), self.n_chosen)];
}
_chosen_from(setup) {
const self = this;
let ratios;
ratios = $bound(setup, "hparams").compress_ratios;
return ($truth(ratios) ? $bound(setup, "sizes").compressed($min(ratios)) : $bound($bound(setup, "sizes"), "cells"));
}
}
$dataclass(buffers$Turns, ["n_ctx_before_rope", "n_chosen"], true);
function buffers$turns_of(model) {
let n_chosen, n_ctx;
n_ctx = null;
if ($in("rope_factors_long.weight", model.tensors)) {
n_ctx = model.integer("rope.scaling.original_context_length", model.n_ctx_train);
}
n_chosen = model.integer("attention.indexer.top_k", 0);
return new buffers$Turns(n_ctx, n_chosen);
}
const backends$ALIGNMENT = $dict([["CPU", 32]]);
const backends$CUDA_ALIGNMENT = 128;
const backends$MATRIX_ROW_PADDING = 512;
const backends$WITHOUT_KERNEL = ["TQ1_0", "TQ2_0"];
const backends$OFFLOAD_MIN_BATCH = 32;
const backends$_INDEXED = ["F32", "BF16", "F16", "Q8_0", "Q5_1", "Q5_0", "Q4_1", "Q4_0"];
const backends$_FUSED_HEADS = $frozenset($set([40, 64, 72, 80, 96, 112, 128, 256]));
const backends$_FUSED_GROUPS = $dict([[[192, 128], 8], [[320, 256], 32], [[512, 512], 1], [[576, 512], 1]]);
function backends$alignment(device) {
return backends$ALIGNMENT.get(device, backends$CUDA_ALIGNMENT);
}
function backends$supports(device, node) {
let _, first, heads, is_exact, is_sized, state, width;
if ((device === "CPU")) {
return true;
}
if ((node.op === "FLASH_ATTN_EXT")) {
return backends$_fuses(node);
}
first = ($truth(node.src) ? $get(node.src, 0) : node);
if ($in(node.op, ["MUL_MAT", "MUL_MAT_ID"])) {
is_exact = ((node.op === "MUL_MAT_ID") && $eq($bound(node, "kind"), tensor$EXACT));
return (!$in(first.quant.name, backends$WITHOUT_KERNEL) && !$truth(is_exact));
}
if ((node.op === "GET_ROWS")) {
return ((first.quant !== $get(ggml_types$QUANTS, "MXFP4")) || ($mod($get(first.ne, 0), 256) === 0));
}
if ((node.op === "IM2COL")) {
return (() => { for (const source of node.src) { if (!$truth(source.is_contiguous)) return false; } return true; })();
}
if ((node.op === "SSM_CONV")) {
return ($mod($get(first.ne, 1), 128) === 0);
}
if ((node.op === "LIGHTNING_INDEXER")) {
is_sized = (($get(first.ne, 0) === 128) && $in($get(first.ne, 1), [32, 64]));
return $and(is_sized, () => $in($get(node.src, 1).quant.name, backends$_INDEXED));
}
if ((node.op === "SSM_SCAN")) {
{
const $row = $items(first.ne);
state = $row[0];
width = $row[1];
heads = $row[2];
_ = $row[3];
}
return backends$scans($get($get(node.src, 3).ne, 0), state, width, heads);
}
return true;
}
function backends$scans(decay, state, width, heads) {
if ((decay === 1)) {
return ($in(state, [96, 128, 256]) && ($mod(width, 16) === 0));
}
return ((state === 16) && (width === 1) && ($mod(heads, 128) === 0));
}
function backends$_fuses(node) {
let k, q, shared, step, v;
{
const $row = $items($slice(node.src, null, 3, null));
q = $row[0];
k = $row[1];
v = $row[2];
}
if (($in($get(k.ne, 0), backends$_FUSED_HEADS) && $eq($get(v.ne, 0), $get(k.ne, 0)))) {
return true;
}
{
const $row = $items([backends$_FUSED_GROUPS.get([$get(k.ne, 0), $get(v.ne, 0)], 0), $floordiv($get(q.ne, 2), $max($get(k.ne, 2), 1))]);
step = $row[0];
shared = $row[1];
}
return ((step > 0) && (shared >= 2) && ($mod(shared, step) === 0));
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
{
const $row = $items($slice(node.src, null, 3, null));
q = $row[0];
k = $row[1];
v = $row[2];
}
vector = (($get(q.ne, 0) <= 256) && ($mod($get(q.ne, 0), 64) === 0) && ($get(q.ne, 0) !== 192) && ($mod($get(k.ne, 1), 256) === 0) && ($get(q.ne, 1) <= 2) && (k.quant === v.quant));
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
class build$Build {
constructor(embeds_inputs = true, rotates_cache = true, keeps_all_rows = true, narrow_mask = true, reserves_copies = true, fuses_experts = true, refuses_rows = true, mixes_inputs = false, scales_by_input = false, gathers_states = false, fuses_shared_expert = false, looks_up_first = false, cuts_delta_net = false) {
this.embeds_inputs = embeds_inputs;
this.rotates_cache = rotates_cache;
this.keeps_all_rows = keeps_all_rows;
this.narrow_mask = narrow_mask;
this.reserves_copies = reserves_copies;
this.fuses_experts = fuses_experts;
this.refuses_rows = refuses_rows;
this.mixes_inputs = mixes_inputs;
this.scales_by_input = scales_by_input;
this.gathers_states = gathers_states;
this.fuses_shared_expert = fuses_shared_expert;
this.looks_up_first = looks_up_first;
this.cuts_delta_net = cuts_delta_net;
}
}
$dataclass(build$Build, ["embeds_inputs", "rotates_cache", "keeps_all_rows", "narrow_mask", "reserves_copies", "fuses_experts", "refuses_rows", "mixes_inputs", "scales_by_input", "gathers_states", "fuses_shared_expert", "looks_up_first", "cuts_delta_net"], true);
const build$LATEST = new build$Build();
const build$_SINCE = $dict([["embeds_inputs", 7830], ["rotates_cache", 8610], ["keeps_all_rows", 9000], ["narrow_mask", 9360], ["reserves_copies", 9480], ["refuses_rows", 9560], ["fuses_experts", 10760], ["mixes_inputs", 11434], ["scales_by_input", 11434], ["gathers_states", 11434], ["fuses_shared_expert", 11434], ["looks_up_first", 11549], ["cuts_delta_net", 11549]]);
const build$LIKELY_MOST = 40000;
function build$build_of(number) {
if ((number == null)) {
return build$LATEST;
}
if (!((0 <= number) && $le(number, build$LIKELY_MOST))) {
throw new errors$ConfigError(("" + "llama.cpp has no build " + $str(number) + ": the newest known here is " + $str($get($get(build$_DATES, (-1)), 0))));
}
return $construct(build$Build, $dict([...$dict((() => { const $into = []; for (const $row of build$_SINCE.items()) { const change = $row[0], first = $row[1]; $into.push([change, $ge(number, first)]); } return $into; })()).items()]));
}
const build$_DATES = [[2000, 2024.03], [2824, 2024.353], [3300, 2024.5], [4000, 2024.84], [4500, 2025.04], [5000, 2025.25], [5500, 2025.4], [6000, 2025.565], [6500, 2025.71], [7000, 2025.855], [7500, 2025.97], [8000, 2026.12], [10066, 2026.545], [10809, 2026.695], [11330, 2026.748], [11434, 2026.762], [11739, 2026.797]];
function build$build_year(number) {
let end, high, low, start;
for (const $row of $itertools.pairwise(build$_DATES)) {
low = $row[0][0];
start = $row[0][1];
high = $row[1][0];
end = $row[1][1];
if ($le(number, high)) {
return (start + (($sub(end, start) * $max($sub(number, low), 0)) / $sub(high, low)));
}
}
return $get($get(build$_DATES, (-1)), 1);
}
const structure$_MULTIPLIED = $re.compile("(?:attn_(?:q|k|v|qkv|output)|ffn_(?:up|down|gate|gate_up)(?:_exps|_chexps|_shexp)?)\\.weight$");
function structure$is_multiplied(part) {
return (structure$_MULTIPLIED.match(part) != null);
}
function structure$layer_contents(model, adapters) {
let contents, il, info, pairs, part;
contents = $collections.defaultdict($list);
pairs = (function* () { for (const adapter of adapters) { for (const pair of adapter.pairs.values()) { yield pair; } } })();
for (info of [...model.tensors.values(), ...(() => { const $into = []; for (const pair of pairs) { for (const info of [pair.a, pair.b]) { $into.push(info); } } return $into; })()]) {
{
const $row = $items(placement$layer_and_part(info.name));
il = $row[0];
part = $row[1];
}
if ((il != null)) {
$list.append($get(contents, il), [part, info.ne, info.quant.name]);
}
}
return $dict((() => { const $into = []; for (const $row of contents.items()) { const il = $row[0], content = $row[1]; $into.push([il, $tuple($sorted(content))]); } return $into; })());
}
function structure$structure_of(model) {
let numbers, tensors;
numbers = $sorted((() => { const $into = []; for (const $row of model.metadata.items()) { const key = $row[0], value = $row[1]; if ($truth($string.startswith(key, ("" + $str(model.arch) + ".")))) { $into.push([key, $str(value)]); } } return $into; })());
tensors = $tuple((() => { const $into = []; for (const info of model.tensors.values()) { $into.push([info.name, info.ne, ($truth(structure$_decides(info)) ? info.quant.name : "")]); } return $into; })());
return [model.arch, $tuple(numbers), tensors];
}
function structure$_decides(info) {
let is_outside, is_table;
is_outside = (placement$layer_of(info.name) == null);
is_table = $or($string.endswith(info.name, "token_embd.weight"), () => (info.name === "output.weight"));
return $or((info.quant.name === "MXFP4"), () => $and(is_outside, () => !$truth(is_table)));
}
class replayed$Layout {
constructor(selection, key, outside = null) {
this.selection = selection;
this.key = key;
this.outside = outside;
}
}
$dataclass(replayed$Layout, ["selection", "key", "outside"], true);
class replayed$Replayed {
constructor() {
const self = this;
self.packings = $dict([]);
self.fuses = $dict([]);
self.graph_sizes = $dict([]);
self.n_nodes = $dict([]);
self.most = $dict([]);
self.affine = $dict([]);
self.drawn = $dict([]);
self.fuses_in = $dict([]);
self.neighbours = $set();
self.layouts = $dict([]);
self.kinds = $dict([]);
self.tried = $dict([]);
self._numbers = $dict([]);
}
number(what) {
const self = this;
return self._numbers.setdefault(what, $len(self._numbers));
}
}
class replayed$Learned {
constructor(model, how, like = null, store = null) {
const self = this;
let is_like;
{
const $row = $items([model, how, store]);
self._model = $row[0];
self._how = $row[1];
self._store = $row[2];
}
is_like = ((like != null) && $eq(self.structure, like.structure));
self.shared = (($truth(like) && $truth(is_like)) ? like.shared : self._kept());
}
$structure() {
const self = this;
return [structure$structure_of(self._model), self._how];
}
get structure() { return this.$kept_structure ??= this.$structure(); }
of(setup) {
const self = this;
let placement, stays;
placement = $bound(setup, "placement");
stays = (!$truth(placement.cards) || !($truth(placement.has_overrides) || $truth(placement.has_on_host($bound(setup, "hparams").running))));
return ($truth(stays) ? self.shared : self._own);
}
$_own() {
const self = this;
return self._kept($tuple((() => { const $into = []; for (const info of self._model.tensors.values()) { $into.push(info.quant.name); } return $into; })()));
}
get _own() { return this.$kept__own ??= this.$_own(); }
_kept(types = []) {
const self = this;
return ((self._store == null) ? new replayed$Replayed() : self._store.replayed([self.structure, types]));
}
}
const rough$WIDTHS_OF_EMBEDDING = 4;
function rough$rough_buffers(hparams, sizes, backends, n_ff, flash_attn) {
let activations, cells, heads, inputs, mask, n_tokens, phases;
{
const $row = $items([($bound(sizes, "cells") * sizes.n_stream), sizes.n_tokens]);
cells = $row[0];
n_tokens = $row[1];
}
heads = $max((() => { const $into = []; for (const layer of hparams.layers) { $into.push(layer.n_head); } return $into; })());
activations = (rough$WIDTHS_OF_EMBEDDING * hparams.n_embd);
mask = ((n_tokens * $bound(sizes, "cells")) * ($truth(flash_attn) ? 2 : 4));
phases = [((4 * sizes.n_outputs) * $add(hparams.n_vocab, hparams.n_embd)), ((4 * n_tokens) * $add((2 * n_ff), activations)), ($truth(flash_attn) ? 0 : (((8 * n_tokens) * cells) * heads))];
inputs = $add(mask, ((8 * n_tokens) * hparams.n_embd));
return $dict((() => { const $into = []; for (const device of backends) { $into.push([device, $add(inputs, (($eq(device, placement$CPU) && ($len(backends) > 1)) ? 0 : $max(phases)))]); } return $into; })());
}
const compute$_LONG = ["delta_net", "kda"];
const compute$ROOM = 40;
const compute$NODES_OF_PAIR = 6;
const compute$MAX_COMPOSED = 16384;
class compute$ComputeModel {
constructor(model, build = build$LATEST, is_dry_run = false, adapters = [], like = null, store = null) {
const self = this;
{
const $row = $items([model, build, is_dry_run]);
self._model = $row[0];
self._build = $row[1];
self._is_dry_run = $row[2];
}
{
const $row = $items([$tuple(adapters), buffers$turns_of(model)]);
self._adapters = $row[0];
self._turns = $row[1];
}
self._learned = new replayed$Learned(model, [build, is_dry_run], (($truth(like) && !$truth(self._adapters) && !$truth(like._adapters)) ? like._learned : null), ($truth(self._adapters) ? null : store));
}
get structure() {
const self = this;
return self._learned.structure;
}
$_replays() {
const self = this;
return new replays$Replays(self._model, self._build, self._is_dry_run, self._adapters, self._turns, self._learned);
}
get _replays() { return this.$kept__replays ??= this.$_replays(); }
_count_nodes(setup) {
const self = this;
let key, n_nodes;
{
const $row = $items([$bound(setup, "hparams").key, $bound(self._learned.shared, "n_nodes")]);
key = $row[0];
n_nodes = $row[1];
}
if (!$in(key, n_nodes)) {
try {
$put(n_nodes, key, self._replays.n_nodes(setup));
} catch ($error) {
if ($error instanceof errors$ModelFileError) {
if ($truth($bound(setup, "hparams").family.has_known_graph)) {
throw $error;
}
$put(n_nodes, key, 0);
}
else
throw $error;
}
}
return $get(n_nodes, key);
}
composes(setup) {
const self = this;
return ((0 < self._count_nodes(setup)) && $le(self._count_nodes(setup), compute$MAX_COMPOSED));
}
buffers(setup) {
const self = this;
let at, batch, batches, packing, packings, sizes;
sizes = $bound(setup, "sizes");
if (!$truth(self.composes(setup))) {
return self._rough(setup);
}
batches = [new buffers$Batch(sizes.n_tokens, sizes.n_outputs, sizes.n_seqs)];
if (!$truth(self._is_dry_run)) {
$list.append(batches, buffers$token_batch(setup));
}
if (($truth($bound(setup, "hparams").family.recurrence.reserves_one) && (sizes.n_seqs > 1))) {
$list.append(batches, new buffers$Batch(sizes.n_tokens_of_one, sizes.n_outputs, 1));
}
packings = [];
for (batch of batches) {
if (($truth(packings) && $truth(self._is_within(setup, batch, $get(packings, 0))))) {
continue;
}
packing = self._packing(setup, batch);
if ((packing == null)) {
return self._rough(setup);
}
$list.append(packings, packing);
}
at = $bound(setup, "placement").holders;
return new buffers$ComputeBuffers($dict((() => { const $into = []; for (const $row of $enumerate(at)) { const i = $row[0], each = $row[1]; for (const d of each) { $into.push([d, $max((() => { const $into = []; for (const p of packings) { $into.push($get(p.bytes, i)); } return $into; })())]); } } return $into; })()), $dict((() => { const $into = []; for (const $row of $enumerate(at)) { const i = $row[0], each = $row[1]; for (const d of each) { $into.push([d, $max((() => { const $into = []; for (const p of packings) { $into.push($get(p.live_bytes, i)); } return $into; })())]); } } return $into; })()));
}
_is_within(setup, batch, packing) {
const self = this;
let cells, cells_swa, factor, grown, kind, known, most, sizes;
{
const $row = $items([$bound(self._learned.of(setup), "most"), $bound(setup, "sizes")]);
known = $row[0];
sizes = $row[1];
}
kind = self._turns.kind(setup, batch, $bound(setup, "placement").key);
if (!$in(kind, known)) {
return false;
}
{
const $row = $items($get(known, kind));
cells = $row[0];
cells_swa = $row[1];
most = $row[2];
}
grown = $max(($bound(sizes, "cells") / $max(cells, 1)), (sizes.cells_swa / $max(cells_swa, 1)));
factor = ((grown > 1) ? (2 * grown) : 1);
return (() => { for (const $row of $zip(most, packing.live_bytes, new $Named({strict: true}))) { const n = $row[0], live = $row[1]; if (!$le((factor * n), live)) return false; } return true; })();
}
_rough(setup) {
const self = this;
let n_ff, rough;
n_ff = self._model.integer("feed_forward_length", (4 * $bound(setup, "hparams").n_embd));
rough = rough$rough_buffers($bound(setup, "hparams"), $bound(setup, "sizes"), $tuple((() => { const $into = []; for (const each of $bound(setup, "placement").holders) { for (const device of each) { $into.push(device); } } return $into; })()), n_ff, $bound(setup, "cache").flash_attn);
return new buffers$ComputeBuffers(rough, rough, false);
}
graph_surplus(setup) {
const self = this;
let batch, key, known, sizes;
if (!$truth(self.composes(setup))) {
return $max(0, $sub(self._count_nodes(setup), self._room_for_tensors(setup)));
}
{
const $row = $items([$bound(setup, "sizes"), self._learned.of(setup).graph_sizes]);
sizes = $row[0];
known = $row[1];
}
key = [$bound(setup, "hparams").key, $bound(setup, "cache"), setup.pooling, sizes.n_stream, sizes.n_seqs];
if (!$in(key, known)) {
batch = new buffers$Batch(sizes.n_tokens, sizes.n_outputs, sizes.n_seqs);
$put(known, key, self._replays.n_tensors(setup, batch));
}
return $sub($get(known, key), self._room_for_tensors(setup));
}
_room_for_tensors(setup) {
const self = this;
let family, n_of_adapters, n_tensors, per_token;
n_tensors = $len(self._model.tensors);
family = $bound(setup, "hparams").family;
per_token = family.graph.nodes_per_token;
if (((per_token === 0) && $in(family.recurrence.part, compute$_LONG))) {
per_token = compute$ROOM;
}
if ($truth(per_token)) {
return $max((per_token * $bound(setup, "sizes").n_tokens), (($gt(per_token, compute$ROOM) ? 64 : 32) * n_tensors));
}
n_of_adapters = $sum((() => { const $into = []; for (const adapter of self._adapters) { $into.push((compute$NODES_OF_PAIR * $len(adapter.pairs))); } return $into; })());
return $add($max(1024, (8 * n_tensors)), n_of_adapters);
}
fuses(setup, op) {
const self = this;
let fuses, key;
if (!$truth(self.composes(setup))) {
return true;
}
key = [$bound(setup, "placement").key, $bound(setup, "cache"), $bound(setup, "hparams").key, setup.pooling, $bound(setup, "sizes").n_seqs, $bound(setup, "sizes").n_stream, setup.unfused, op];
fuses = $bound(self._learned.of(setup), "fuses");
if (!$in(key, fuses)) {
$put(fuses, key, self._replays.fuses(setup, $slice(key, 1, null, null)));
}
return $get(fuses, key);
}
_packing(setup, batch) {
const self = this;
let key, packings;
key = [...setup.key, batch];
packings = self._learned.of(setup).packings;
if (!$in(key, packings)) {
$put(packings, key, self._replays.packing(setup, batch));
}
return $get(packings, key);
}
}
const builder$RMS_EPSILON = "attention.layer_norm_rms_epsilon";
const builder$PINS_NORMS_BELOW = 32;
class builder$Builder {
constructor(model, hparams, placement, sizes, cache, n_tokens, n_outputs, n_seqs = null, pooling = null, build = build$LATEST, unfused = $frozenset(), adapters = []) {
const self = this;
let router;
{
const $row = $items([model, hparams, adapters]);
self.model = $row[0];
self.hparams = $row[1];
self.adapters = $row[2];
}
{
const $row = $items([hparams.family, hparams.family.graph]);
self.family = $row[0];
self.rules = $row[1];
}
{
const $row = $items([placement, sizes, cache]);
self.placement = $row[0];
self.sizes = $row[1];
self.cache = $row[2];
}
{
const $row = $items([n_tokens, n_outputs, build]);
self.n_tokens = $row[0];
self.n_outputs = $row[1];
self.build = $row[2];
}
self.n_seqs = ((n_seqs == null) ? sizes.n_seqs : n_seqs);
{
const $row = $items([pooling, unfused]);
self.pooling = $row[0];
self.unfused = $row[1];
}
self.graph = new tensor$Graph();
self.fused_layers = $dict([]);
self.first_value = null;
self.banked = null;
self.adapter = null;
self.chosen_cells = null;
self._pins_norms = $or($lt(n_tokens, builder$PINS_NORMS_BELOW), () => placement.offloads_all);
self._made = $dict([]);
router = ($truth(hparams.router) ? [hparams.router] : []);
self._shapes = [...hparams.layers, ...router];
self._prefixes = (() => { const $into = []; for (const layer of self._shapes) { $into.push(("" + $str(self.family.blocks) + "." + $str(layer.block) + ".")); } return $into; })();
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
return $get(self._shapes, il);
}
get makes_logits() {
const self = this;
let head;
head = self.family.head;
return ($in(head, ["logits", "embedding"]) || ((head === "of_text") && (self.pooling == null)));
}
get outputs_at() {
const self = this;
let at, is_cut, keeps;
is_cut = $and(self.build.cuts_delta_net, () => (self.family.recurrence.part === "delta_net"));
at = self.rules.outputs_at;
keeps = $and(self.build.keeps_all_rows, () => !$truth(is_cut));
return (($truth(keeps) || (at === "nowhere")) ? at : "last_layer");
}
is_scaled(key) {
const self = this;
return $bool(self.model.hparam(key, $float($in(key, self.rules.scaled))));
}
get looks_up_layers_first() {
const self = this;
let is_first;
is_first = $and(self.build.looks_up_first, () => ($bound(self.rules, "layer") !== "altup"));
return $and(is_first, () => self.has("per_layer_model_proj.weight"));
}
has(name, il = null) {
const self = this;
return $in(self._full(name, il), self.model.tensors);
}
has_weight(name, il = null) {
const self = this;
return $or(self.has(("" + $str(name) + ".weight"), il), () => self.has(name, il));
}
weight(name, il = null, ne = []) {
const self = this;
let full, own;
full = self._full(name, il);
if ((!$in(full, self.model.tensors) && !$truth($string.endswith(full, [".weight", ".bias", ".scale"])))) {
full = $extended(full, ".weight");
}
own = placement$loaded_for(full, self.family.output_norm);
return self._load(full, $bound(self, "placement").weight(full, own), ne);
}
weight_if(name, il = null) {
const self = this;
return ($truth(self.has(name, il)) ? self.weight(name, il) : null);
}
output_weight() {
const self = this;
if ((self.family.head === "embedding")) {
return self.weight("token_embd");
}
if ($truth(self.has("output.weight"))) {
return self.weight("output");
}
return self._load("token_embd.weight", $bound(self, "placement").output);
}
rope_factors(il) {
const self = this;
let factors;
factors = (() => { for (const n of self._rope_factor_names()) { if ($in(n, self.model.tensors)) { return n; } } return null; })();
return ($truth(factors) ? self._load(factors, $bound(self, "placement").weight(factors, il)) : null);
}
_rope_factor_names() {
const self = this;
let length, trained;
trained = self.model.integer("rope.scaling.original_context_length", self.model.n_ctx_train);
length = ($gt($bound($bound(self, "sizes"), "cells"), trained) ? "long" : "short");
return ["rope_freqs.weight", ("" + "rope_factors_" + $str(length) + ".weight")];
}
_load(full, device, ne = []) {
const self = this;
let info;
info = self.model.tensors.get(full);
if ((info == null)) {
throw new errors$ModelFileError(("" + $str(self.model.source) + ": tensor " + $repr(full) + " is missing, which architecture " + $str(self.model.arch) + " needs; is the file complete?"));
}
return self.once(full, device, (() => self.graph.leaf(info.quant, full, device, undefined, true, ...$or(ne, () => info.ne))));
}
_full(name, il) {
const self = this;
return ((il == null) ? name : $add($get(self._prefixes, il), name));
}
linear(name, x, il = null) {
const self = this;
let bias, scale, weight, y;
weight = self.weight(name, il);
y = self.graph.mul_mat(weight, x);
if ($truth((scale = self.weight_if(("" + $str(name) + ".scale"), il)))) {
y = self.graph.mul(y, scale);
}
y = self.adapted(y, weight, x);
if ($truth((bias = self.weight_if(("" + $str(name) + ".bias"), il)))) {
y = self.graph.add(y, bias);
}
return y;
}
adapted(y, weight, x, ids = null) {
const self = this;
let adapter, added, graph, info, matrix, number, pair;
graph = self.graph;
for (const $row of $enumerate(self.adapters)) {
number = $row[0];
adapter = $row[1];
if (((pair = adapter.pairs.get(weight.name)) == null)) {
continue;
}
added = x;
for (info of [pair.a, pair.b]) {
matrix = self._adapter_matrix(info, number, weight);
if ((ids == null)) {
added = graph.mul_mat(matrix, added);
}
else {
added = graph.mul_mat_id(matrix, added, ids);
}
}
y = graph.add(y, graph.scale(added));
}
return y;
}
_adapter_matrix(info, number, weight) {
const self = this;
return self.once(("" + $str(number) + ":" + $str(info.name)), weight.device, (() => self.graph.leaf(info.quant, info.name, weight.device, undefined, undefined, ...info.ne)));
}
input(name, quant, ...ne) {
const self = this;
return self.once(name, "input", (() => self.graph.leaf(quant, name, undefined, true, undefined, ...ne)));
}
tokens() {
const self = this;
return self.input("inp_tokens", tensor$I32, self.n_tokens);
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
device = $bound(self, "placement").cache(il);
return self.once(name, il, (() => self.graph.leaf(quant, ("" + "cache_" + $str(name) + "_l" + $str(il)), device, undefined, undefined, ...ne)));
}
pin(x, il) {
const self = this;
if ($truth(self._pins_norms)) {
x.pinned = $bound(self, "placement").layer(il);
}
return x;
}
$_norm_kind() {
const self = this;
if (($bound(self.rules, "norm") === "metadata")) {
return ($truth(self.model.hparam(builder$RMS_EPSILON, 0.0)) ? "RMS_NORM" : "NORM");
}
return (($bound(self.rules, "norm") === "layer") ? "NORM" : "RMS_NORM");
}
get _norm_kind() { return this.$kept__norm_kind ??= this.$_norm_kind(); }
norm(x, name, il = null, pins = true, pins_to = null, kind = null) {
const self = this;
let at, bias, y;
y = self.graph.like($or(kind, () => self._norm_kind), x);
if ((name == null)) {
return y;
}
at = ((il == null) ? pins_to : il);
if (((at != null) && $truth(pins))) {
self.pin(y, at);
}
y = self.graph.mul(y, self.weight(name, il));
bias = self.weight_if(("" + $str(name) + ".bias"), il);
return ($truth(bias) ? self.graph.add(y, bias) : y);
}
}
function builder$embed(b) {
let each, graph, is_mixed, looked_up, mixed, names, rows, slots, width;
{
const $row = $items([b.graph, $bound(b, "hparams").n_embd_inp]);
graph = $row[0];
width = $row[1];
}
if ((b.rules.inputs === "tokens")) {
rows = builder$_look_up(b, "inp_tokens");
return ($truth(b.is_scaled("embedding_scale")) ? graph.scale(rows) : rows);
}
is_mixed = $and(b.build.mixes_inputs, () => (b.rules.inputs === "mixed"));
names = ($truth(is_mixed) ? ["inp_tokens", "inp_mixed_tokens"] : ["inp_tokens"]);
looked_up = (() => { const $into = []; for (const name of names) { $into.push(builder$_look_up(b, name)); } return $into; })();
if ($truth(b.build.looks_up_first)) {
for (each of looked_up) {
graph.expand(each);
}
}
rows = graph.expand(builder$_widened(b, $get(looked_up, 0)));
if ($truth(b.build.embeds_inputs)) {
graph.expand(b.input("inp_embd", tensor$F32, width, b.n_tokens));
}
if ($truth(is_mixed)) {
mixed = graph.like("DUP", b.input("inp_mixed_embd", tensor$F32, width, b.n_tokens));
slots = b.input("inp_mixed_slots", tensor$I64, b.n_tokens);
graph.expand(graph.set_rows(mixed, builder$_widened(b, $get(looked_up, 1)), slots));
}
if (!$eq(width, $bound(b, "hparams").n_embd)) {
rows = graph.view(rows, [$bound(b, "hparams").n_embd, b.n_tokens], [$get(rows.nb, 1)]);
}
if ($truth(b.is_scaled("embedding_scale"))) {
rows = graph.scale(rows);
}
return builder$_changed(b, graph.expand(rows));
}
function builder$_changed(b, rows) {
let graph;
graph = b.graph;
if ($truth(b.rules.norms_embedding)) {
return b.norm(rows, null);
}
if (!$truth(b.rules.scales_embedding)) {
return builder$_told_apart(b, rows);
}
if (($truth(b.build.scales_by_input) && $truth(b.rules.scales_tokens_alone))) {
return graph.mul(rows, b.input("inp_scale_rows", tensor$F32, 1, b.n_tokens));
}
return graph.scale(rows);
}
function builder$_look_up(b, ids) {
return b.graph.get_rows(b.weight("token_embd"), b.input(ids, tensor$I32, b.n_tokens));
}
function builder$_widened(b, rows) {
let width;
width = $bound(b, "hparams").n_embd_inp;
return ($eq(width, $bound(b, "hparams").n_embd) ? rows : b.graph.node("PAD", [width, b.n_tokens], undefined, rows));
}
function builder$_told_apart(b, rows) {
let first, graph, has_norm, places, table, types;
graph = b.graph;
if ($truth((types = b.weight_if("token_types.weight")))) {
rows = graph.add(rows, graph.view(types, [$bound(b, "hparams").n_embd]));
}
if ($truth((table = b.weight_if("position_embd.weight")))) {
places = graph.get_rows(table, b.positions());
rows = ($truth(b.rules.table_first) ? graph.add(places, rows) : graph.add(rows, places));
}
first = "token_embd_norm";
has_norm = $and(!$eq(b.family.output_norm, first), () => b.has(("" + $str(first) + ".weight")));
return ($truth(has_norm) ? b.norm(rows, first, undefined, undefined, 0) : rows);
}
const attention$ROTATION_STEP = 64;
function attention$attend(b, q, k, v, il, output = "attn_output", sinks = null, up = null, narrow = null, bias = null) {
let cached_k, cached_v, rotates_k, rotates_v, seen, x, y;
{
const $row = $items(attention$rotation(b, il, (up != null)));
rotates_k = $row[0];
rotates_v = $row[1];
}
if ($truth(rotates_k)) {
q = attention$rotate(b, q, "k", rotates_k, il);
k = ($truth(k) ? attention$rotate(b, k, "k", rotates_k, il) : null);
}
if (($truth(rotates_v) && $truth(v))) {
v = attention$rotate(b, v, "v", rotates_v, il);
}
for (x of (($truth($bound(b, "hparams").has_swa) || !$truth($bound(b, "hparams").reads_cache)) ? [q, k, v] : [q, v, k])) {
if ($truth(x)) {
b.graph.expand(x);
}
}
if ((!$truth($bound(b, "hparams").reads_cache) && $truth(k) && $truth(v))) {
seen = attention$mask(b, il, b.n_tokens, 1);
y = attention$product(b, q, k, v, seen, il, sinks, undefined, bias);
return ($truth(output) ? b.linear(output, b.graph.expand(y), il) : y);
}
cached_k = attention$keep_k(b, k, il);
if (((up != null) && (v != null))) {
cached_v = b.graph.view(cached_k, [$get(v.ne, 0), ...$slice(cached_k.ne, 1, null, null)], $slice(cached_k.nb, 1, null, null));
}
else {
cached_v = attention$keep_v(b, v, il);
}
seen = attention$mask(b, il, $get(cached_k.ne, 2), $bound(b, "sizes").n_stream);
seen = ($truth(narrow) ? narrow(seen) : seen);
y = attention$product(b, q, cached_k, cached_v, seen, il, sinks, up, bias);
b.graph.expand(y);
if ($truth(rotates_v)) {
y = attention$rotate(b, y, "v", rotates_v, il);
}
return ($truth(output) ? b.linear(output, y, il) : y);
}
function attention$_tag(b, il) {
return ($truth(b.shape(il).is_swa) ? "_swa" : "");
}
function attention$_cells(b, il) {
return ($truth(b.shape(il).is_swa) ? $bound(b, "sizes").cells_swa : $bound($bound(b, "sizes"), "cells"));
}
function attention$rotation(b, il, latent) {
let is_quantized, k_width, owners, v_width, widths_k, widths_v;
is_quantized = $or($bound(b, "cache").k.is_quantized, () => $bound(b, "cache").v.is_quantized);
if (($truth(latent) || !($truth(is_quantized) && $truth(b.build.rotates_cache) && $truth($bound(b, "hparams").reads_cache)))) {
return [0, 0];
}
owners = $or($bound(b, "hparams").cache_owners(b.shape(il).is_swa), () => [il]);
{
const $row = $items((function* () { for (const which of ["head_k", "head_v"]) { yield $set((() => { const $into = []; for (const i of owners) { $into.push($getattr(b.shape(i), which)); } return $into; })()); } })());
widths_k = $row[0];
widths_v = $row[1];
}
k_width = v_width = 0;
if (($truth($bound(b, "cache").k.is_quantized) && $truth(attention$_is_one_width(widths_k)) && ($mod(b.shape(0).head_k, attention$ROTATION_STEP) === 0))) {
k_width = attention$ROTATION_STEP;
while (($mod(b.shape(il).head_k, (2 * k_width)) === 0)) {
k_width = (k_width * 2);
}
}
if (($truth($bound(b, "cache").v.is_quantized) && $truth(attention$_is_one_width(widths_v)) && ($mod(b.shape(0).head_v, attention$ROTATION_STEP) === 0))) {
v_width = attention$ROTATION_STEP;
}
return [k_width, v_width];
}
function attention$_is_one_width(widths) {
return (($len(widths) === 1) && ($min(widths) > 0));
}
function attention$rotate(b, x, which, width, il) {
return attention$hadamard(b, x, b.input(("" + "attn_inp_" + $str(which) + "_rot" + $str(attention$_tag(b, il))), tensor$F32, width, width));
}
function attention$hadamard(b, x, matrix) {
let flat, graph, width;
{
const $row = $items([b.graph, $get(matrix.ne, 0)]);
graph = $row[0];
width = $row[1];
}
flat = ($truth(x.is_contiguous) ? $bound(graph, "reshape") : $bound(graph, "cont"))(x, width, $floordiv($math.prod(x.ne), width));
return graph.reshape(graph.mul_mat(matrix, flat), ...x.ne);
}
function attention$store(b, x, cache, ids) {
let graph, rows, width;
{
const $row = $items([b.graph, ($get(x.ne, 0) * $get(x.ne, 1))]);
graph = $row[0];
width = $row[1];
}
rows = graph.view(x, [width, $get(x.ne, 2)], [$get(x.nb, 2)]);
if (($bound(b, "sizes").n_stream > 1)) {
cache = graph.reshape(cache, width, ($get(cache.ne, 1) * $get(cache.ne, 2)));
}
graph.expand(graph.set_rows(cache, rows, ids));
}
function attention$keep_k(b, k, il) {
let cache, cells, quant, row, shape, steps;
{
const $row = $items([b.shape(il), attention$_cells(b, il), $bound(b, "cache").k]);
shape = $row[0];
cells = $row[1];
quant = $row[2];
}
cache = b.stored("k", shape.cache_layer, quant, shape.k_width, cells, $bound(b, "sizes").n_stream);
if ($truth(k)) {
attention$store(b, k, cache, b.input(("" + "attn_inp_k_idxs" + $str(attention$_tag(b, il))), tensor$I64, b.n_tokens));
}
row = quant.row_bytes(shape.k_width);
steps = [quant.row_bytes(shape.head_k), row, (row * cells)];
return b.graph.view(cache, [shape.head_k, shape.n_head_kv, cells, $bound(b, "sizes").n_stream], steps);
}
function attention$keep_v(b, v, il) {
let cache, cells, column, n_stream, quant, row, shape, steps, width;
{
const $row = $items([b.shape(il), attention$_cells(b, il), $bound(b, "cache").v, $bound(b, "sizes").n_stream]);
shape = $row[0];
cells = $row[1];
quant = $row[2];
n_stream = $row[3];
}
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
{
const $row = $items([b.graph, ($get(v.ne, 0) * $get(v.ne, 1))]);
graph = $row[0];
width = $row[1];
}
mergeable = $eq(v.quant.row_bytes(width), $get(v.nb, 2));
flat = ($truth(mergeable) ? $bound(graph, "reshape") : $bound(graph, "cont"))(v, width, $get(v.ne, 2));
if ($lt(width, $get(cache.ne, 0))) {
flat = graph.node("PAD", [$get(cache.ne, 0), $get(v.ne, 2)], undefined, flat);
}
target = graph.reshape(cache, 1, $math.prod(cache.ne));
graph.expand(graph.set_rows(target, graph.reshape(flat, 1, $math.prod(flat.ne)), ids));
}
function attention$mask(b, il, n_kv, n_stream) {
let kind, name, seen;
name = ("" + "attn_inp_kq_mask" + $str(attention$_tag(b, il)));
kind = (($truth($bound(b, "cache").flash_attn) && $truth(b.build.narrow_mask)) ? tensor$F16 : tensor$F32);
seen = b.input(name, kind, n_kv, $floordiv(b.n_tokens, n_stream), 1, n_stream);
if ((!$truth($bound(b, "cache").flash_attn) || $truth(b.build.narrow_mask))) {
return seen;
}
return b.once(("" + $str(name) + "_cnv"), "cast", (() => b.graph.node("CPY", seen.ne, tensor$F16, seen)));
}
function attention$_by_head(b, q, k, v) {
let graph, n, n_stream;
{
const $row = $items([b.graph, $get(k.ne, 3)]);
graph = $row[0];
n_stream = $row[1];
}
n = $floordiv($get(q.ne, 2), n_stream);
q = graph.view(q, [$get(q.ne, 0), $get(q.ne, 1), n, n_stream], [$get(q.nb, 1), $get(q.nb, 2), ($get(q.nb, 2) * n)]);
return [graph.permute(q, undefined, 0, 2, 1, 3), graph.permute(k, undefined, 0, 2, 1, 3), graph.permute(v, undefined, 0, 2, 1, 3)];
}
function attention$product(b, q, k, v, mask, il, sinks = null, up = null, bias = null) {
if (($truth($bound(b, "cache").flash_attn) && (bias == null))) {
return attention$fused(b, q, k, v, mask, il, sinks, up);
}
return attention$plain(b, q, k, v, mask, il, sinks, up, bias);
}
function attention$fused(b, q, k, v, mask, il, sinks, up) {
let graph, y;
graph = b.graph;
{
const $row = $items(attention$_by_head(b, q, k, v));
q = $row[0];
k = $row[1];
v = $row[2];
}
{
const $row = $items((function* () { for (const x of [k, v]) { yield ((x.quant === tensor$F32) ? graph.node("CPY", x.ne, tensor$F16, x) : x); } })());
k = $row[0];
v = $row[1];
}
y = graph.node("FLASH_ATTN_EXT", [$get(v.ne, 0), $get(q.ne, 2), $get(q.ne, 1), $get(q.ne, 3)], undefined, q, k, v, mask, sinks);
$put(b.fused_layers, y, il);
if ((up != null)) {
y = graph.mul_mat(up, graph.permute(y, undefined, 0, 2, 1, 3));
y = graph.cont(graph.permute(y, undefined, 0, 2, 1, 3));
}
return graph.reshape(y, ($get(y.ne, 0) * $get(y.ne, 1)), ($get(y.ne, 2) * $get(y.ne, 3)));
}
function attention$plain(b, q, k, v, mask, il, sinks, up, bias = null) {
let graph, scores, transposed, y;
{
const $row = $items([b.graph, $gt($get(v.nb, 1), $get(v.nb, 2))]);
graph = $row[0];
transposed = $row[1];
}
{
const $row = $items(attention$_by_head(b, q, k, v));
q = $row[0];
k = $row[1];
v = $row[2];
}
scores = graph.mul_mat(k, q);
if ($truth(b.rules.softcaps_scores)) {
scores = graph.scale(graph.unary("TANH", graph.scale(scores)));
}
if ($truth(bias)) {
scores = graph.add(scores, bias);
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
if (!$truth($bound(b, "placement").offloads_kqv)) {
y.pinned = $get($bound(b, "placement").backends, (-1));
}
return y;
}
function attention$project_qkv(b, x, il) {
let cuts, fused, graph, heads, k, n, offset, parts, q, shape, v, width;
{
const $row = $items([b.graph, b.shape(il), b.n_tokens]);
graph = $row[0];
shape = $row[1];
n = $row[2];
}
cuts = [[shape.head_k, shape.n_head], [shape.head_k, shape.n_head_kv], [shape.head_v, shape.n_head_kv]];
if ($truth(b.has("attn_qkv.weight", il))) {
{
const $row = $items([attention$_clamped(b, attention$_fused_projection(b, x, il)), 0, []]);
fused = $row[0];
offset = $row[1];
parts = $row[2];
}
for (const $row of cuts) {
width = $row[0];
heads = $row[1];
$list.append(parts, graph.view(fused, [width, heads, n], [(4 * width), $get(fused.nb, 1)], (4 * offset)));
offset = $extended(offset, (width * heads));
}
}
else {
{
const $row = $items((function* () { for (const name of ["attn_q", "attn_k"]) { yield attention$_clamped(b, b.linear(name, x, il)); } })());
q = $row[0];
k = $row[1];
}
v = ($truth(b.has("attn_v.weight", il)) ? attention$_clamped(b, b.linear("attn_v", x, il)) : k);
parts = (() => { const $into = []; for (const $row of $zip([q, k, v], cuts, new $Named({strict: true}))) { const y = $row[0], width = $row[1][0], heads = $row[1][1]; $into.push(graph.reshape(y, width, heads, n)); } return $into; })();
}
return [$get(parts, 0), $get(parts, 1), $get(parts, 2)];
}
function attention$_fused_projection(b, x, il) {
let biases, fused, graph, k, q, v;
{
const $row = $items([b.graph, b.linear("attn_qkv", x, il)]);
graph = $row[0];
fused = $row[1];
}
biases = (() => { const $into = []; for (const which of "qkv") { $into.push(b.weight_if(("" + "attn_" + $str(which) + ".bias"), il)); } return $into; })();
{
const $row = $items(biases);
q = $row[0];
k = $row[1];
v = $row[2];
}
if (($truth(b.has("attn_qkv.bias", il)) || !($truth(q) && $truth(k) && $truth(v)))) {
return fused;
}
return graph.add(fused, graph.concat(graph.concat(q, k), v));
}
function attention$_clamped(b, x) {
let clamps;
clamps = $and(b.rules.clamps_projections, () => (b.model.hparam("attention.clamp_kqv", 0.0) > 0));
return ($truth(clamps) ? b.graph.like("CLAMP", x) : x);
}
function attention$rope(b, x, il, factors = true) {
let takes;
takes = $and(factors, () => ((b.family.rope.factors === "all") || ((b.family.rope.factors === "full") && !$truth(b.shape(il).is_swa))));
return b.graph.like("ROPE", x, b.positions(), ($truth(takes) ? b.rope_factors(il) : null));
}
function attention$standard(b, x, il) {
let k, q, sinks, v, y;
sinks = b.weight_if("attn_sinks.weight", il);
if (!$eq(b.shape(il).cache_layer, il)) {
q = b.graph.reshape(b.linear("attn_q", x, il), b.shape(il).head_k, b.shape(il).n_head, b.n_tokens);
return attention$attend(b, attention$positioned(b, q, "attn_q_norm", il), null, null, il, undefined, sinks);
}
{
const $row = $items(($truth(attention$_norms_rows(b, il)) ? attention$_normed_rows(b, x, il) : attention$project_qkv(b, x, il)));
q = $row[0];
k = $row[1];
v = $row[2];
}
{
const $row = $items([attention$positioned(b, q, "attn_q_norm", il), attention$positioned(b, k, "attn_k_norm", il)]);
q = $row[0];
k = $row[1];
}
if (($truth(b.rules.norms_v) || ($truth(b.rules.norms_shared_v) && !$truth(b.has("attn_v.weight", il))))) {
v = b.norm(v, null);
}
q = attention$tempered(b, q, il);
if ($truth(b.rules.scales_q)) {
q = b.graph.scale(q);
}
if ($truth(b.has("attn_gate.weight", il))) {
return attention$gated_output(b, x, attention$attend(b, q, k, v, il, null, sinks), il);
}
if ($truth(b.has("attn_sub_norm.weight", il))) {
y = attention$attend(b, q, k, v, il, null, sinks);
return b.linear("attn_output", b.norm(y, "attn_sub_norm", il), il);
}
y = attention$attend(b, q, k, v, il, undefined, sinks);
return (!$in(b.model.hparam("attention.value_scale", 1.0), [0, 1]) ? b.graph.scale(y) : y);
}
function attention$gated_output(b, x, y, il) {
let by_head, gate, gated_heads, graph, shape;
{
const $row = $items([b.graph, b.shape(il)]);
graph = $row[0];
shape = $row[1];
}
gate = graph.unary($string.upper(b.rules.gate_activation), b.linear("attn_gate", x, il));
if (!$eq($get(gate.ne, 0), shape.n_head)) {
return b.linear("attn_output", graph.mul(y, gate), il);
}
by_head = graph.reshape(y, $floordiv($get(y.ne, 0), shape.n_head), shape.n_head, b.n_tokens);
gated_heads = graph.mul(by_head, graph.reshape(gate, 1, shape.n_head, b.n_tokens));
return b.linear("attn_output", graph.reshape(gated_heads, ...$slice(y.ne, null, 2, null)), il);
}
function attention$_norms_rows(b, il) {
return $and((b.rules.qk_norm === "rows"), () => b.has("attn_q_norm.weight", il));
}
function attention$positioned(b, x, norm, il) {
let kind, norms;
norms = $and(b.has(("" + $str(norm) + ".weight"), il), () => !$truth(attention$_norms_rows(b, il)));
kind = ((b.rules.head_norm === "layer") ? "NORM" : null);
if (($truth(norms) && (b.rules.qk_norm === "heads"))) {
x = b.norm(x, norm, il, undefined, undefined, kind);
}
if ($truth(b.shape(il).has_rope)) {
x = attention$rope(b, x, il);
if ($lt($bound(b, "hparams").n_expert, b.rules.norms_rotated_below)) {
x = b.norm(x, null);
}
}
if (((b.rules.qk_norm !== "rotated") || !($truth(norms) || !$truth(b.rules.has_norm_weights)))) {
return x;
}
return b.norm(x, ($truth(norms) ? norm : null), il);
}
function attention$tempered(b, q, il) {
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
{
const $row = $items([b.graph, b.shape(il), b.n_tokens]);
graph = $row[0];
shape = $row[1];
n = $row[2];
}
{
const $row = $items((function* () { for (const which of "qkv") { yield b.linear(("" + "attn_" + $str(which)), x, il); } })());
q = $row[0];
k = $row[1];
v = $row[2];
}
{
const $row = $items([b.norm(q, "attn_q_norm", il), b.norm(k, "attn_k_norm", il)]);
q = $row[0];
k = $row[1];
}
return [graph.reshape(q, shape.head_k, shape.n_head, n), graph.reshape(k, shape.head_k, shape.n_head_kv, n), graph.reshape(v, shape.head_v, shape.n_head_kv, n)];
}
function attention$gated(b, x, il, narrow = null) {
let both, gate, graph, k, n, q, shape, steps, v, width, y;
{
const $row = $items([b.graph, b.shape(il), b.n_tokens]);
graph = $row[0];
shape = $row[1];
n = $row[2];
}
width = shape.head_k;
both = b.linear("attn_q", x, il);
if ($truth(b.rules.repeats_keys)) {
both = graph.reshape(both, (2 * width), shape.n_head, n);
}
{
const $row = $items([b.linear("attn_k", x, il), b.linear("attn_v", x, il)]);
k = $row[0];
v = $row[1];
}
steps = [(8 * width), ((8 * width) * shape.n_head)];
q = graph.view(both, [width, shape.n_head, n], steps);
gate = graph.view(both, [width, shape.n_head, n], steps, (4 * width));
{
const $row = $items([graph.reshape(k, width, shape.n_head_kv, n), graph.reshape(v, shape.head_v, shape.n_head_kv, n)]);
k = $row[0];
v = $row[1];
}
{
const $row = $items([b.norm(q, "attn_q_norm", il), b.norm(k, "attn_k_norm", il)]);
q = $row[0];
k = $row[1];
}
{
const $row = $items([attention$rope(b, q, il, false), attention$rope(b, k, il, false)]);
q = $row[0];
k = $row[1];
}
y = attention$attend(b, q, k, v, il, null, undefined, undefined, narrow);
gate = graph.unary("SIGMOID", graph.cont(gate, (width * shape.n_head), n));
return b.linear("attn_output", graph.mul(y, gate), il);
}
function latent$dense(b, x, il, compressed = null, narrow = null) {
let absorbed, both, graph, is_gated, k_rot, low, n, n_head, n_nope, n_rot, nope, q, q_rot, rank, row, y;
{
const $row = $items([b.graph, b.n_tokens, b.shape(il).n_head]);
graph = $row[0];
n = $row[1];
n_head = $row[2];
}
{
const $row = $items([b.model.integer("attention.kv_lora_rank"), b.model.integer("rope.dimension_count")]);
rank = $row[0];
n_rot = $row[1];
}
if ($truth(b.shape(il).is_swa)) {
rank = b.model.integer("attention.kv_lora_rank_swa", rank);
}
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
k_rot = graph.view(both, [n_rot, 1, n], [row, row], (4 * rank));
if ($truth(b.has("attn_k_norm.weight", il))) {
k_rot = b.norm(k_rot, "attn_k_norm", il);
}
k_rot = latent$_rotated(b, k_rot, il);
low = b.norm(low, "attn_kv_a_norm", il);
if (!$truth($bound(b, "hparams").is_mla)) {
return latent$_expanded(b, q, low, k_rot, il);
}
n_nope = $sub($get(q.ne, 0), n_rot);
nope = graph.view(q, [n_nope, n_head, n], $slice(q.nb, 1, 3, null));
q_rot = latent$_rotated(b, graph.view(q, [n_rot, n_head, n], $slice(q.nb, 1, 3, null), (4 * n_nope)), il);
absorbed = graph.mul_mat(b.weight("attn_k_b", il), graph.permute(nope, undefined, 0, 2, 1, 3));
q = attention$tempered(b, graph.concat(graph.permute(absorbed, undefined, 0, 2, 1, 3), q_rot), il);
low = graph.reshape(low, rank, 1, n);
is_gated = b.has("attn_gate.weight", il);
y = attention$attend(b, q, graph.concat(low, k_rot), low, il, ($truth(is_gated) ? null : "attn_output"), b.weight_if("attn_sinks.weight", il), b.weight("attn_v_b", il), narrow);
if (!$truth(is_gated)) {
return y;
}
return ($truth(b.rules.copies_gated) ? latent$_gated : attention$gated_output)(b, x, y, il);
}
function latent$_rotated(b, x, il) {
return ($truth(b.shape(il).has_rope) ? attention$rope(b, x, il) : x);
}
function latent$_gated(b, x, y, il) {
let gate, graph, heads, n, n_head;
{
const $row = $items([b.graph, b.n_tokens, b.shape(il).n_head]);
graph = $row[0];
n = $row[1];
n_head = $row[2];
}
gate = graph.reshape(graph.mul_mat(b.weight("attn_gate", il), x), 1, n_head, n);
heads = graph.reshape(y, $floordiv($get(y.ne, 0), n_head), n_head, n);
y = graph.cont(graph.mul(heads, graph.unary("SIGMOID", gate)), $get(y.ne, 0), n);
return graph.mul_mat(b.weight("attn_output", il), y);
}
function latent$_expanded(b, q, low, k_rot, il) {
let graph, k, k_nope, kv, n, n_nope, n_rot, shape, steps, v;
{
const $row = $items([b.graph, b.n_tokens, b.shape(il), $get(k_rot.ne, 0)]);
graph = $row[0];
n = $row[1];
shape = $row[2];
n_rot = $row[3];
}
n_nope = $sub(shape.head_k, n_rot);
kv = b.linear("attn_kv_b", low, il);
steps = [(4 * $add(n_nope, shape.head_v)), ((4 * $add(n_nope, shape.head_v)) * shape.n_head)];
k_nope = graph.view(kv, [n_nope, shape.n_head, n], steps);
v = graph.cont(graph.view(kv, [shape.head_v, shape.n_head, n], steps, (4 * n_nope)));
k = graph.concat(k_nope, graph.node("REPEAT", [n_rot, shape.n_head, n], undefined, k_rot));
q = attention$tempered(b, attention$rope(b, q, il), il);
return attention$attend(b, q, k, v, il);
}
function latent$sparse(b, x, il) {
let chosen, compressed;
compressed = b.norm(b.graph.mul_mat(b.weight("attn_q_a", il), x), "attn_q_a_norm", il);
if ($truth(b.shape(il).index_width)) {
b.chosen_cells = latent$_choose(b, x, compressed, il);
}
chosen = b.chosen_cells;
if ((chosen == null)) {
throw new errors$ModelFileError(("" + $str(b.model.source) + ": layer " + $str(il) + " has no indexer, and none before it has; llama.cpp aborts"));
}
return latent$dense(b, x, il, compressed, ((mask) => latent$narrow(b, mask, chosen)));
}
function latent$_choose(b, x, compressed, il) {
let cache, cells, graph, heads, k, mask, n, n_stream, q, rotation, row, weights, width;
{
const $row = $items([b.graph, b.n_tokens, $bound(b, "sizes").n_stream, $bound($bound(b, "sizes"), "cells")]);
graph = $row[0];
n = $row[1];
n_stream = $row[2];
cells = $row[3];
}
{
const $row = $items([b.model.integer("attention.indexer.head_count"), b.shape(il).index_width]);
heads = $row[0];
width = $row[1];
}
q = graph.reshape(graph.mul_mat(b.weight("indexer.attn_q_b", il), compressed), width, heads, n);
q = attention$rope(b, q, il);
k = graph.mul_mat(b.weight("indexer.attn_k", il), x);
k = attention$rope(b, graph.reshape(b.norm(k, "indexer.k_norm", il, undefined, undefined, "NORM"), width, 1, n), il);
if ($truth(b.rules.turns_index)) {
rotation = b.input("attn_inp_lid_k_rot", tensor$F32, width, width);
{
const $row = $items([graph.mul_mat(rotation, q), graph.mul_mat(rotation, k)]);
q = $row[0];
k = $row[1];
}
}
cache = b.stored("lid_k", il, $bound(b, "cache").k, width, cells, n_stream);
attention$store(b, k, cache, b.input("attn_inp_lid_k_idxs", tensor$I64, n));
weights = graph.mul_mat(b.weight("indexer.proj", il), x);
row = $bound(b, "cache").k.row_bytes(width);
k = graph.view(cache, [width, 1, cells, n_stream], [row, row, (row * cells)]);
mask = b.input("attn_inp_lid_kq_mask", tensor$F16, cells, $floordiv(n, n_stream), 1, n_stream);
return latent$best_cells(b, q, k, weights, mask, true);
}
function latent$best_cells(b, q, k, weights, mask, scales = false) {
let _, best, cells, graph, heads, n, n_stream, scores, steps, width;
{
const $row = $items([b.graph, $get(k.ne, 2), $get(k.ne, 3)]);
graph = $row[0];
cells = $row[1];
n_stream = $row[2];
}
{
const $row = $items(q.ne);
width = $row[0];
heads = $row[1];
n = $row[2];
_ = $row[3];
}
q = graph.view(q, [width, heads, $floordiv(n, n_stream), n_stream], [$get(q.nb, 1), $get(q.nb, 2), $floordiv($get(q.nb, 3), n_stream)]);
steps = [$get(weights.nb, 1), $floordiv($get(weights.nb, 2), n_stream), $floordiv($get(weights.nb, 3), n_stream)];
weights = graph.view(weights, [heads, $floordiv(n, n_stream), 1, n_stream], steps);
weights = ($truth(scales) ? graph.scale(weights) : weights);
scores = graph.node("LIGHTNING_INDEXER", [cells, $floordiv(n, n_stream), 1, n_stream], undefined, q, k, weights, mask);
best = $min(cells, b.model.integer("attention.indexer.top_k"));
return graph.cont(graph.node("TOP_K", [best, ...$slice(scores.ne, 1, null, null)], tensor$I32, scores));
}
function latent$narrow(b, mask, chosen) {
let _, cells, closed, graph, ids, kind, n, n_kv, n_stream, opened, zeros;
{
const $row = $items([b.graph, mask.ne]);
graph = $row[0];
n_kv = $row[1][0];
n = $row[1][1];
_ = $row[1][2];
n_stream = $row[1][3];
}
closed = graph.like("FILL", mask);
cells = graph.view(closed, [1, n_kv, n, n_stream], [$get(closed.nb, 0), $get(closed.nb, 1), $get(closed.nb, 2)]);
ids = graph.view(chosen, [$get(chosen.ne, 0), $get(chosen.ne, 1), n_stream, 1], [$get(chosen.nb, 1), $get(chosen.nb, 2), (n_stream * $get(chosen.nb, 3))]);
kind = (((b.rules.attention === "compressed") && $truth($bound(b, "cache").flash_attn)) ? tensor$F16 : tensor$F32);
zeros = b.graph.leaf(kind, "zeros", undefined, undefined, undefined, 1, $get(ids.ne, 0), $get(ids.ne, 1), $get(ids.ne, 2));
opened = graph.set_rows(cells, graph.like("FILL", zeros), ids);
opened = graph.view(opened, [n_kv, n, 1, n_stream], [$get(opened.nb, 2), $get(opened.nb, 3), $get(opened.nb, 3)]);
return graph.add(opened, mask);
}
class compressed$Compressor {
constructor(name, prefix, ratio, width) {
this.name = name;
this.prefix = prefix;
this.ratio = ratio;
this.width = width;
}
get ne() {
const self = this;
let overlap;
overlap = ($eq(self.ratio, layers$OVERLAPPING) ? 2 : 1);
return [(overlap * self.width), (overlap * self.ratio)];
}
}
$dataclass(compressed$Compressor, ["name", "prefix", "ratio", "width"], true);
function compressed$compressor_states(layer) {
if (!$truth(layer.compress_ratio)) {
return [];
}
if (!$eq(layer.compress_ratio, layers$OVERLAPPING)) {
return [new compressed$Compressor("hca", "attn_compressor", layer.compress_ratio, layer.head_k)];
}
return [new compressed$Compressor("csa", "attn_compressor", layers$OVERLAPPING, layer.head_k), new compressed$Compressor("lid", "indexer_compressor", layers$OVERLAPPING, layer.index_width)];
}
function compressed$attend(b, x, il) {
let compressor, graph, kv, low, n, n_groups, q, rank, shape, width, y;
{
const $row = $items([b.graph, b.shape(il), b.n_tokens]);
graph = $row[0];
shape = $row[1];
n = $row[2];
}
low = b.norm(b.linear("attn_q_a", x, il), "attn_q_a_norm", il);
q = graph.reshape(b.linear("attn_q_b", low, il), shape.head_k, shape.n_head, n);
q = compressed$_rope(b, graph.rms_norm(q));
kv = b.norm(b.linear("attn_kv", x, il), "attn_kv_a_norm", il);
kv = compressed$_rope(b, graph.reshape(kv, shape.head_k, 1, n));
for (compressor of compressed$compressor_states(shape)) {
compressed$_compress(b, x, compressor, il);
}
y = compressed$_attended(b, x, low, q, kv, il);
y = compressed$_rope(b, graph.reshape(y, shape.head_k, shape.n_head, n), true);
{
const $row = $items((function* () { for (const key of ["group_count", "lora_rank"]) { yield b.model.integer(("" + "attention.output_" + $str(key))); } })());
n_groups = $row[0];
rank = $row[1];
}
width = ($floordiv(shape.n_head, n_groups) * shape.head_k);
y = graph.permute(graph.reshape(y, width, n_groups, n), undefined, 0, 2, 1, 3);
y = graph.mul_mat(b.weight("attn_output_a", il, [width, rank, n_groups]), y);
y = graph.cont(graph.permute(y, undefined, 0, 2, 1, 3), (rank * n_groups), n);
return b.linear("attn_output_b", y, il);
}
function compressed$_rope(b, x, back = false) {
return b.graph.like(($truth(back) ? "ROPE_BACK" : "ROPE"), x, b.positions());
}
function compressed$_compress(b, x, c, il) {
let before, blocks, each, everything, graph, joined, kept, kv, n, n_blocks, n_copies, n_kept, n_rows, overlaps, pairs, read, saved, score, scores, sizes, sources, states, table, turn, values, width, written, y;
{
const $row = $items([b.graph, b.n_tokens, $bound(b, "sizes")]);
graph = $row[0];
n = $row[1];
sizes = $row[2];
}
{
const $row = $items(c.ne);
width = $row[0];
n_kept = $row[1];
}
overlaps = $eq(c.ratio, layers$OVERLAPPING);
kv = b.linear(("" + $str(c.prefix) + "_kv"), x, il);
score = b.linear(("" + $str(c.prefix) + "_gate"), x, il);
table = b.weight(("" + $str(c.prefix) + "_ape"), il);
score = graph.add(score, graph.get_rows(table, b.input(("" + "dsv4_" + $str(c.name) + "_state_pos"), tensor$I32, n)));
{
const $row = $items([(n_kept * sizes.n_stream), ($floordiv(n, c.ratio) + sizes.n_seqs)]);
n_rows = $row[0];
n_blocks = $row[1];
}
everything = (n_rows * sizes.n_states);
states = $dict((() => { const $into = []; for (const which of ["kv", "score"]) { $into.push([which, b.stored(("" + $str(c.name) + "_" + $str(which)), il, tensor$F32, width, n_kept, (sizes.n_stream * sizes.n_states))]); } return $into; })());
function rows(which) {
return graph.view($get(states, which), [width, everything], [$get($get(states, which).nb, 1)]);
}
function replaced(which, of, what, n_ids) {
let ids, source, target;
ids = (function* () { for (const end of ["src", "dst"]) { yield b.input(("" + "dsv4_" + $str(c.name) + "_state_" + $str(what) + "_" + $str(end) + "_idxs"), tensor$I32, n_ids); } })();
{
const $row = $items(ids);
source = $row[0];
target = $row[1];
}
return graph.set_rows(rows(which), graph.get_rows(of, source), target);
}
pairs = $dict([["kv", kv], ["score", score]]);
before = $dict((() => { const $into = []; for (const which of pairs) { $into.push([which, rows(which)]); } return $into; })());
if ((sizes.n_states > 1)) {
before = $dict((() => { const $into = []; for (const which of pairs) { $into.push([which, replaced(which, $get(before, which), "restore", n_rows)]); } return $into; })());
}
sources = (() => { const $into = []; for (const $row of pairs.items()) { const which = $row[0], new$ = $row[1]; $into.push(graph.concat(graph.view($get(before, which), [width, n_rows], [$get($get(before, which).nb, 1)]), new$, 1)); } return $into; })();
read = b.input(("" + "dsv4_" + $str(c.name) + "_state_read_idxs"), tensor$I32, ((($truth(overlaps) ? 2 : 1) * c.ratio) * n_blocks));
blocks = ($truth(overlaps) ? compressed$_overlapping : compressed$_apart)(b, sources, read, c, n_blocks);
{
const $row = $items((function* () { for (const each of blocks) { yield graph.cont(graph.permute(each, undefined, 1, 0, 2, 3)); } })());
values = $row[0];
scores = $row[1];
}
y = graph.mul(values, graph.like("SOFT_MAX", scores));
y = graph.node("SUM_ROWS", [1, ...$slice(y.ne, 1, null, null)], undefined, y);
y = b.norm(graph.cont(graph.permute(y, undefined, 1, 0, 2, 3)), ("" + $str(c.prefix) + "_norm"), il);
y = graph.like("ROPE", y, b.input(("" + "dsv4_" + $str(c.name) + "_state_write_pos"), tensor$I32, n_blocks));
if ($truth((turn = compressed$_rotation(b, c.name, c.width)))) {
y = attention$hadamard(b, y, turn);
}
written = b.input(("" + "dsv4_" + $str(c.name) + "_state_write_idxs"), tensor$I64, n_blocks);
attention$store(b, y, compressed$_cache(b, c.name, c.ratio, c.width, il), written);
if ((sizes.n_states > 1)) {
n_copies = ((sizes.n_states - 1) * n_rows);
joined = $dict((() => { const $into = []; for (const $row of pairs.items()) { const which = $row[0], new$ = $row[1]; $into.push([which, graph.concat($get(before, which), new$, 1)]); } return $into; })());
for (saved of (() => { const $into = []; for (const each of pairs) { $into.push(replaced(each, $get(joined, each), "snapshot", n_copies)); } return $into; })()) {
graph.expand(saved);
}
}
kept = (() => { const $into = []; for (const $row of pairs.items()) { const each = $row[0], new$ = $row[1]; $into.push(replaced(each, new$, "persist", $min(n, n_rows))); } return $into; })();
for (each of kept) {
graph.expand(each);
}
}
function compressed$_apart(b, sources, read, c, n_blocks) {
let graph;
graph = b.graph;
return (() => { const $into = []; for (const source of sources) { $into.push(graph.reshape(graph.get_rows(source, read), c.width, c.ratio, n_blocks)); } return $into; })();
}
function compressed$_overlapping(b, sources, read, c, n_blocks) {
let empty, first, found, graph, halves, n_read, padded, rows, second, source;
{
const $row = $items([b.graph, (c.ratio * n_blocks)]);
graph = $row[0];
n_read = $row[1];
}
found = [];
for (source of sources) {
empty = graph.scale(graph.view(source, [$get(source.ne, 0)]));
padded = graph.concat(source, graph.reshape(empty, $get(source.ne, 0), 1), 1);
rows = graph.get_rows(padded, read);
halves = (() => { const $into = []; for (const at of [0, $add((n_read * $get(rows.nb, 1)), (4 * c.width))]) { $into.push(graph.cont(graph.view(rows, [c.width, n_read], [$get(rows.nb, 1)], at))); } return $into; })();
{
const $row = $items((function* () { for (const half of halves) { yield graph.reshape(half, c.width, c.ratio, n_blocks); } })());
first = $row[0];
second = $row[1];
}
$list.append(found, graph.concat(first, second, 1));
}
return found;
}
function compressed$_rotation(b, name, width) {
let n;
if (((name !== "lid") && !($truth($bound(b, "cache").k.is_quantized) && ($mod(width, attention$ROTATION_STEP) === 0)))) {
return null;
}
n = attention$ROTATION_STEP;
while (($mod(width, (2 * n)) === 0)) {
n = (n * 2);
}
return b.input(("" + $str(name) + "_k_rot"), tensor$F32, n, n);
}
function compressed$_cache(b, name, ratio, width, il) {
let cells;
cells = ($truth(ratio) ? $bound(b, "sizes").compressed(ratio) : $bound(b, "sizes").cells_swa);
return b.stored(("" + $str(name) + "_k"), il, $bound(b, "cache").k, width, cells, $bound(b, "sizes").n_stream);
}
function compressed$_cells_of(b, cache) {
let row;
row = $get(cache.nb, 1);
return b.graph.view(cache, [$get(cache.ne, 0), 1, ...$slice(cache.ne, 1, 3, null)], [row, row, $get(cache.nb, 2)]);
}
function compressed$_attended(b, x, low, q, kv, il) {
let chosen, graph, k, mask, mask_kind, more, name, old, ratio, recent, sinks, turn, width, y;
{
const $row = $items([b.graph, b.shape(il).compress_ratio, b.shape(il).head_k]);
graph = $row[0];
ratio = $row[1];
width = $row[2];
}
sinks = b.weight("attn_sinks", il);
mask_kind = ($truth($bound(b, "cache").flash_attn) ? tensor$F16 : tensor$F32);
chosen = null;
if ($eq(ratio, layers$OVERLAPPING)) {
chosen = compressed$_chosen(b, x, low, il);
}
turn = compressed$_rotation(b, "raw", width);
if ($truth(turn)) {
{
const $row = $items([attention$hadamard(b, q, turn), attention$hadamard(b, kv, turn)]);
q = $row[0];
kv = $row[1];
}
}
graph.expand(q);
graph.expand(kv);
recent = compressed$_cache(b, "raw", 0, width, il);
attention$store(b, kv, recent, b.input("attn_inp_k_idxs", tensor$I64, b.n_tokens));
k = compressed$_cells_of(b, recent);
mask = compressed$_mask(b, "attn_inp_kq_mask", $get(k.ne, 2), mask_kind);
if ($truth(ratio)) {
name = ($eq(ratio, layers$OVERLAPPING) ? "csa" : "hca");
old = compressed$_cells_of(b, compressed$_cache(b, name, ratio, width, il));
old = graph.view(old, old.ne, $slice(old.nb, 1, null, null));
k = graph.concat(k, old, 2);
more = compressed$_mask(b, ("" + "dsv4_" + $str(name) + "_kq_mask"), $get(old.ne, 2), mask_kind);
mask = graph.concat(mask, ($truth(chosen) ? latent$narrow(b, more, chosen) : more));
}
y = ($truth($bound(b, "cache").flash_attn) ? attention$fused : attention$plain)(b, q, k, k, mask, il, sinks, null);
return ($truth(turn) ? attention$hadamard(b, y, turn) : y);
}
function compressed$_mask(b, name, cells, kind) {
let n_stream, quant;
n_stream = $bound(b, "sizes").n_stream;
quant = ((kind === tensor$F16) ? tensor$F16 : tensor$F32);
return b.input(name, quant, cells, $floordiv(b.n_tokens, n_stream), 1, n_stream);
}
function compressed$_chosen(b, x, low, il) {
let graph, heads, k, mask, n, q, turn, weights, width;
{
const $row = $items([b.graph, b.n_tokens, b.shape(il).index_width]);
graph = $row[0];
n = $row[1];
width = $row[2];
}
heads = b.model.integer("attention.indexer.head_count");
q = graph.reshape(b.linear("indexer.attn_q_b", low, il), width, heads, n);
turn = compressed$_rotation(b, "lid", width);
q = compressed$_rope(b, q);
q = ($truth(turn) ? attention$hadamard(b, q, turn) : q);
weights = graph.scale(b.linear("indexer.proj", x, il));
k = compressed$_cells_of(b, compressed$_cache(b, "lid", layers$OVERLAPPING, width, il));
k = graph.view(k, k.ne, $slice(k.nb, 1, null, null));
mask = compressed$_mask(b, "dsv4_lid_kq_mask", $get(k.ne, 2), tensor$F16);
return latent$best_cells(b, q, k, weights, mask);
}
const hyper$PRE = "DSV4_HC_PRE";
const hyper$COMB = "DSV4_HC_COMB";
const hyper$POST = "DSV4_HC_POST";
const hyper$HYPER_OPS = [hyper$PRE, hyper$COMB, hyper$POST];
function hyper$stack(b, x) {
let graph, one;
graph = b.graph;
one = graph.reshape(x, $get(x.ne, 0), 1, $get(x.ne, 1));
return graph.node("REPEAT", [$get(x.ne, 0), hyper$n_streams(b), $get(x.ne, 1)], undefined, one);
}
function hyper$gather(b, x, part, il) {
let _, after, base, before, graph, hc, mixes, mixing, n, nt, scale;
{
const $row = $items([b.graph, ("" + "hc_" + $str(part)), x.ne]);
graph = $row[0];
n = $row[1];
_ = $row[2][0];
hc = $row[2][1];
nt = $row[2][2];
_ = $row[2][3];
}
{
const $row = $items([b.weight(("" + $str(n) + "_scale"), il), b.weight(("" + $str(n) + "_base"), il)]);
scale = $row[0];
base = $row[1];
}
mixes = hyper$mixtures(b, x, ("" + $str(n) + "_fn"), il);
function share(i) {
let own;
own = graph.view(mixes, [hc, nt], [$get(mixes.nb, 1)], ((4 * hc) * i));
own = graph.mul(own, graph.view(scale, [1], [], (4 * i)));
return graph.unary("SIGMOID", graph.add(own, graph.view(base, [hc], [], ((4 * hc) * i))));
}
{
const $row = $items([graph.scale(share(0)), graph.scale(share(1))]);
before = $row[0];
after = $row[1];
}
if ($in(hyper$COMB, b.unfused)) {
mixing = hyper$_balanced(b, mixes, scale, base);
}
else {
mixing = graph.node(hyper$COMB, [hc, hc, nt], undefined, mixes, scale, base);
$put(b.fused_layers, mixing, il);
}
return [hyper$_weighed(b, x, before, il), after, mixing];
}
function hyper$spread(b, y, streams, after, mixing, il) {
let _, at, cur, graph, hc, mixed, n_embd, nt, of, out, share, stream, to;
{
const $row = $items([b.graph, streams.ne]);
graph = $row[0];
n_embd = $row[1][0];
hc = $row[1][1];
nt = $row[1][2];
_ = $row[1][3];
}
if (!$in(hyper$POST, b.unfused)) {
mixed = graph.node(hyper$POST, streams.ne, undefined, y, streams, after, mixing);
$put(b.fused_layers, mixed, il);
return mixed;
}
out = null;
for (to of $range(hc)) {
cur = graph.mul(y, graph.view(after, [1, nt], [$get(after.nb, 1)], (to * $get(after.nb, 0))));
for (of of $range(hc)) {
stream = graph.view(streams, [n_embd, nt], [$get(streams.nb, 2)], (of * $get(streams.nb, 1)));
at = $add((to * $get(mixing.nb, 0)), (of * $get(mixing.nb, 1)));
share = graph.view(mixing, [1, nt], [$get(mixing.nb, 2)], at);
cur = graph.add(cur, graph.mul(stream, share));
}
cur = graph.reshape(cur, n_embd, 1, nt);
out = ($truth(out) ? graph.concat(out, cur, 1) : cur);
}
return ($truth(out) ? out : streams);
}
function hyper$merge(b, cur) {
let _, graph, hc, mixes, n, n_embd, rows, shares;
{
const $row = $items([b.graph, cur.ne]);
graph = $row[0];
n_embd = $row[1][0];
hc = $row[1][1];
n = $row[1][2];
_ = $row[1][3];
}
rows = b.output_rows(graph.reshape(cur, (n_embd * hc), n));
cur = graph.reshape(rows, n_embd, hc, b.n_outputs);
if (!$truth(b.has("output_hc_fn.weight"))) {
return hyper$_mean(b, cur);
}
mixes = graph.mul(hyper$mixtures(b, cur, "output_hc_fn", null), b.weight("output_hc_scale"));
shares = graph.unary("SIGMOID", graph.add(mixes, b.weight("output_hc_base")));
return hyper$_weighed(b, cur, graph.scale(shares), null);
}
function hyper$_mean(b, x) {
let _, graph, hc, n_embd, nt, stream, streams, total;
{
const $row = $items([b.graph, x.ne]);
graph = $row[0];
n_embd = $row[1][0];
hc = $row[1][1];
nt = $row[1][2];
_ = $row[1][3];
}
streams = (() => { const $into = []; for (const i of $range(hc)) { $into.push(graph.view(x, [n_embd, nt], [$get(x.nb, 2)], (i * $get(x.nb, 1)))); } return $into; })();
total = $get(streams, 0);
for (stream of $slice(streams, 1, null, null)) {
total = graph.add(total, stream);
}
return graph.scale(total);
}
function hyper$n_streams(b) {
return b.model.integer("hyper_connection.count");
}
function hyper$mixtures(b, x, name, il) {
let flat;
flat = b.graph.reshape(x, ($get(x.ne, 0) * $get(x.ne, 1)), $get(x.ne, 2));
return b.graph.mul_mat(b.weight(name, il), b.graph.rms_norm(flat));
}
function hyper$_weighed(b, x, shares, il) {
let _, fused, graph, hc, i, n_embd, nt, part, share, stream, total;
{
const $row = $items([b.graph, x.ne]);
graph = $row[0];
n_embd = $row[1][0];
hc = $row[1][1];
nt = $row[1][2];
_ = $row[1][3];
}
if (((il != null) && !$in(hyper$PRE, b.unfused))) {
fused = graph.node(hyper$PRE, [n_embd, nt], undefined, x, shares);
$put(b.fused_layers, fused, il);
return fused;
}
total = null;
for (i of $range(hc)) {
stream = graph.view(x, [n_embd, nt], [$get(x.nb, 2)], (i * $get(x.nb, 1)));
share = graph.view(shares, [1, nt], [$get(shares.nb, 1)], (i * $get(shares.nb, 0)));
part = graph.mul(stream, share);
total = ($truth(total) ? graph.add(total, part) : part);
}
return ($truth(total) ? total : x);
}
function hyper$_balanced(b, mixes, scale, base) {
let _, cur, graph, hc, least, nt;
{
const $row = $items([b.graph, hyper$n_streams(b), $get(mixes.ne, 1)]);
graph = $row[0];
hc = $row[1];
nt = $row[2];
}
cur = graph.view(mixes, [(hc * hc), nt], [$get(mixes.nb, 1)], ((4 * 2) * hc));
cur = graph.mul(cur, graph.view(scale, [1], [], (4 * 2)));
cur = graph.add(cur, graph.view(base, [(hc * hc)], [], ((4 * 2) * hc)));
cur = graph.like("SOFT_MAX", graph.reshape(cur, hc, hc, nt));
least = graph.like("FILL", graph.leaf(tensor$F32, "eps", undefined, undefined, undefined, 1));
cur = graph.add(cur, least);
function by_columns(x) {
let total, turned;
turned = graph.cont(graph.permute(x, undefined, 1, 0, 2, 3));
total = graph.add(graph.node("SUM_ROWS", [1, ...$slice(turned.ne, 1, null, null)], undefined, turned), least);
return graph.like("DIV", x, graph.permute(total, undefined, 1, 0, 2, 3));
}
function by_rows(x) {
return graph.like("DIV", x, graph.add(graph.node("SUM_ROWS", [1, ...$slice(x.ne, 1, null, null)], undefined, x), least));
}
cur = by_columns(cur);
for (_ of $range(1, b.model.integer("hyper_connection.sinkhorn_iterations"))) {
cur = by_columns(by_rows(cur));
}
return cur;
}
const pooling$_MEAN = $get(config$POOLINGS, "mean");
const pooling$_NAMES = $dict((() => { const $into = []; for (const $row of config$POOLINGS.items()) { const name = $row[0], number = $row[1]; $into.push([number, name]); } return $into; })());
const pooling$_HEAD = ["cls.weight", "cls.output.weight"];
function pooling$resolve_pooling(config, model) {
if (!$truth(config.embeddings)) {
return null;
}
return $or(config.pooling, () => pooling$own_pooling(model));
}
function pooling$own_pooling(model) {
return pooling$_NAMES.get(model.integer("pooling_type", 0), "none");
}
function pooling$has_classifier(model) {
return (() => { for (const name of pooling$_HEAD) { if ($in(name, model.tensors)) return true; } return false; })();
}
function pooling$averages(pooling, model) {
let default$, of_classifier;
default$ = ($truth(families$family_of(model.arch).graph.scores_mean) ? pooling$_MEAN : 0);
of_classifier = $eq(model.integer("classifier.pooling_type", default$), pooling$_MEAN);
return $or((pooling === "mean"), () => $and((pooling === "rank"), () => of_classifier));
}
function pooling$pool(b, x) {
let graph, name, y;
graph = b.graph;
y = ((b.pooling === "none") ? x : pooling$_by_sequence(b, x));
if ((b.pooling === "rank")) {
y = pooling$_score(b, y);
}
y.is_output = true;
graph.expand(y);
for (name of ["dense_2", "dense_3"]) {
if ($truth(b.has(("" + $str(name) + ".weight")))) {
y = b.linear(name, y);
}
}
y.is_output = true;
graph.expand(y);
}
function pooling$_by_sequence(b, x) {
let graph, n_seqs;
{
const $row = $items([b.graph, $bound(b, "sizes").n_seqs]);
graph = $row[0];
n_seqs = $row[1];
}
if ($truth(pooling$averages($or(b.pooling, () => "none"), b.model))) {
return graph.mul_mat(graph.cont(graph.transpose(x)), b.input("mean", tensor$F32, b.n_tokens, n_seqs));
}
return graph.get_rows(x, b.input("cls", tensor$I32, n_seqs));
}
function pooling$_score(b, y) {
let graph;
graph = b.graph;
if ($truth(b.has("cls.weight"))) {
y = graph.unary($string.upper(b.rules.score_activation), b.linear("cls", y));
if ($truth(b.has("cls.norm.weight"))) {
y = b.norm(y, "cls.norm");
}
}
if ($truth(b.has("cls.output.weight"))) {
y = b.linear("cls.output", y);
}
return ($truth(b.rules.weighs_scores) ? graph.like("SOFT_MAX", y) : y);
}
const inputs$INPUT_STEP = 256;
const inputs$NO_DECODE = "embeddings are asked for: no token is decoded";
const inputs$NO_TEXT = "an encoder writes no text: no token is decoded";
function inputs$makes_text(setup) {
return $and((setup.pooling == null), () => $bound(setup, "hparams").reads_cache);
}
function inputs$is_one_batch(setup) {
let is_last;
is_last = $or((setup.pooling === "last"), () => $and((setup.pooling === "rank"), () => $bound(setup, "hparams").is_causal));
return !($truth($bound(setup, "hparams").reads_cache) && $truth(is_last));
}
function inputs$longest_input(model, config, setup) {
let held;
held = $min(config$padded_context(config.n_ctx_seq), model.n_ctx_train);
return ($truth(inputs$is_one_batch(setup)) ? $min(held, config.n_batch, config.n_ubatch) : held);
}
function inputs$with_input(config, n_tokens) {
let batches, n_ctx, size;
n_ctx = $max(config.n_ctx, ($truth(config.kv_unified) ? n_tokens : (n_tokens * config.n_seq_max)));
size = tensor$pad(n_tokens, config.n_seq_max);
batches = $dict([["n_ctx", n_ctx], ["n_batch", size], ["n_ubatch", size]]);
return config.with_($dict([...batches.items(), ["n_outputs_max", $and(config.n_outputs_max, () => size)]]));
}
function inputs$result_bytes(model, setup, n_tokens) {
let keeps, width;
width = $or(model.integer("embedding_length_out", 0), () => $bound(setup, "hparams").n_embd);
keeps = $or(setup.pooling, () => $bound(setup, "hparams").family.is_crossed);
return ((4 * n_tokens) * $add($bound(setup, "hparams").n_vocab, ($truth(keeps) ? width : 0)));
}
class host$HostMemory {
constructor(process_bytes, weights_bytes, mapped_bytes, cache_bytes, buffer_bytes, checkpoints_bytes, prompt_cache_bytes) {
this.process_bytes = process_bytes;
this.weights_bytes = weights_bytes;
this.mapped_bytes = mapped_bytes;
this.cache_bytes = cache_bytes;
this.buffer_bytes = buffer_bytes;
this.checkpoints_bytes = checkpoints_bytes;
this.prompt_cache_bytes = prompt_cache_bytes;
}
get held_bytes() {
const self = this;
return $add($add($add(self.process_bytes, self.weights_bytes), self.cache_bytes), self.buffer_bytes);
}
get busy_bytes() {
const self = this;
return $add(self.held_bytes, self.mapped_bytes);
}
get growth_bytes() {
const self = this;
if ((self.prompt_cache_bytes == null)) {
return null;
}
return $add(self.checkpoints_bytes, self.prompt_cache_bytes);
}
get most_bytes() {
const self = this;
let growth;
growth = self.growth_bytes;
return ((growth == null) ? null : $add(self.busy_bytes, growth));
}
}
$dataclass(host$HostMemory, ["process_bytes", "weights_bytes", "mapped_bytes", "cache_bytes", "buffer_bytes", "checkpoints_bytes", "prompt_cache_bytes"], true);
class host$HostFit {
constructor(memory, room_bytes, state, is_shared = false) {
this.memory = memory;
this.room_bytes = room_bytes;
this.state = state;
this.is_shared = is_shared;
}
}
$dataclass(host$HostFit, ["memory", "room_bytes", "state", "is_shared"], true);
function host$host_fit(memory, room_bytes, is_shared = false) {
let state;
state = ((room_bytes == null) ? null : host$host_state(memory, room_bytes));
return new host$HostFit(memory, room_bytes, state, is_shared);
}
function host$runs(state) {
return $in(state, [null, "holds", "may_fill"]);
}
function host$host_state(memory, room_bytes) {
let most;
if ($gt(memory.held_bytes, room_bytes)) {
return "short";
}
if ($gt(memory.busy_bytes, room_bytes)) {
return "reads_disk";
}
most = memory.most_bytes;
return (((most != null) && $le(most, room_bytes)) ? "holds" : "may_fill");
}
const trust$NEWEST_BUILD = 11549;
const trust$WHEELS_BUILD = 11330;
const trust$_READ_BUILD = 11434;
const trust$COMPOSED_SHARE = 0.1;
const trust$DRIFT_SHARE = 0.56;
const trust$_OF_BUILD = $dict([["seen", 0.0], ["from source", null], ["unknown", trust$DRIFT_SHARE]]);
const trust$LESS_KNOWN = $dict([["exact", 0], ["composed", 1], ["general rule", 2]]);
const trust$_OF_GRAPH = $dict([["exact", 0.0], ["composed", trust$COMPOSED_SHARE], ["general rule", null]]);
class trust$Trust {
constructor(architecture = "exact", rider = "", build = "seen", compute_share = 0.0, is_learned = false, is_counted = false) {
this.architecture = architecture;
this.rider = rider;
this.build = build;
this.compute_share = compute_share;
this.is_learned = is_learned;
this.is_counted = is_counted;
}
get is_exact() {
const self = this;
return (self.compute_share === 0);
}
}
$dataclass(trust$Trust, ["architecture", "rider", "build", "compute_share", "is_learned", "is_counted"], true);
function trust$known_build(number, has_cards) {
let is_read;
if (((number == null) || $eq(number, trust$WHEELS_BUILD) || ($eq(number, trust$NEWEST_BUILD) && !$truth(has_cards)))) {
return "seen";
}
is_read = ($lt(number, trust$WHEELS_BUILD) || $in(number, [trust$_READ_BUILD, trust$NEWEST_BUILD]));
return ($truth(is_read) ? "from source" : "unknown");
}
function trust$trust_of(architecture, number, has_cards, learned = null) {
let build, is_learned, of_build, of_graph, share;
build = trust$known_build(number, has_cards);
is_learned = ((learned != null) && (build !== "seen"));
of_build = ($truth(is_learned) ? learned : $get(trust$_OF_BUILD, build));
of_graph = $get(trust$_OF_GRAPH, architecture);
share = (((of_build == null) || (of_graph == null)) ? null : $max(of_build, of_graph));
return new trust$Trust(architecture, undefined, build, share, is_learned);
}
const prediction$_ALL_CARDS = "Meta(";
const prediction$COMPONENTS = $dict([["weights_bytes", "weights"], ["kv_cache_bytes", "KV cache"], ["recurrent_bytes", "recurrent state"], ["compute_bytes", "compute buffer"], ["output_bytes", "output buffer"], ["overhead_bytes", "overhead"], ["host_bytes", "the host's, in the same memory"]]);
const prediction$TARGET = "target";
class prediction$DeviceMemory {
constructor(weights_bytes = 0, kv_cache_bytes = 0, recurrent_bytes = 0, compute_bytes = 0, output_bytes = 0, overhead_bytes = 0, host_bytes = 0) {
this.weights_bytes = weights_bytes;
this.kv_cache_bytes = kv_cache_bytes;
this.recurrent_bytes = recurrent_bytes;
this.compute_bytes = compute_bytes;
this.output_bytes = output_bytes;
this.overhead_bytes = overhead_bytes;
this.host_bytes = host_bytes;
}
get total_bytes() {
const self = this;
return $add($add($add($add($add($add(self.weights_bytes, $bound(self, "kv_cache_bytes")), self.recurrent_bytes), self.compute_bytes), self.output_bytes), self.overhead_bytes), self.host_bytes);
}
certain_bytes(exact_compute) {
const self = this;
return $sub($sub(self.total_bytes, self.overhead_bytes), ($truth(exact_compute) ? 0 : self.compute_bytes));
}
}
$dataclass(prediction$DeviceMemory, ["weights_bytes", "kv_cache_bytes", "recurrent_bytes", "compute_bytes", "output_bytes", "overhead_bytes", "host_bytes"], true);
class prediction$MemoryEstimate {
constructor(devices, exact_compute = true, trust = trust$Trust(), warnings = [], contexts = $dict()) {
this.devices = devices;
this.exact_compute = exact_compute;
this.trust = trust;
this.warnings = warnings;
this.contexts = contexts;
}
get riders() {
const self = this;
return $dict((() => { const $into = []; for (const $row of self.contexts.items()) { const name = $row[0], devices = $row[1]; if (!$eq(name, prediction$TARGET)) { $into.push([name, devices]); } } return $into; })());
}
}
$dataclass(prediction$MemoryEstimate, ["devices", "exact_compute", "trust", "warnings", "contexts"], true);
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
class prediction$InputEstimate {
constructor(n_tokens, max_tokens, is_one_batch, result_bytes, tokens_per_s = null, interval_90 = null) {
this.n_tokens = n_tokens;
this.max_tokens = max_tokens;
this.is_one_batch = is_one_batch;
this.result_bytes = result_bytes;
this.tokens_per_s = tokens_per_s;
this.interval_90 = interval_90;
}
}
$dataclass(prediction$InputEstimate, ["n_tokens", "max_tokens", "is_one_batch", "result_bytes", "tokens_per_s", "interval_90"], true);
class prediction$CardFit {
constructor(device, name, memory_bytes, margin_bytes, fit_probability) {
this.device = device;
this.name = name;
this.memory_bytes = memory_bytes;
this.margin_bytes = margin_bytes;
this.fit_probability = fit_probability;
}
}
$dataclass(prediction$CardFit, ["device", "name", "memory_bytes", "margin_bytes", "fit_probability"], true);
class prediction$Prediction {
constructor(model, config, memory, host, refused = null, fits = null, fit_probability = null, cards = [], max_context = null, speed = null, speed_reason = null, inputs = null, warnings = []) {
this.model = model;
this.config = config;
this.memory = memory;
this.host = host;
this.refused = refused;
this.fits = fits;
this.fit_probability = fit_probability;
this.cards = cards;
this.max_context = max_context;
this.speed = speed;
this.speed_reason = speed_reason;
this.inputs = inputs;
this.warnings = warnings;
}
}
$dataclass(prediction$Prediction, ["model", "config", "memory", "host", "refused", "fits", "fit_probability", "cards", "max_context", "speed", "speed_reason", "inputs", "warnings"], true);
function prediction$is_card(device) {
return $and($string.startswith(device, ["CUDA", prediction$_ALL_CARDS]), () => (device !== "CUDA_Host"));
}
const memory$_BY_LAYER = ["rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"];
const memory$SCANNING = ["mamba", "mamba2", "mamba_by_head"];
const memory$CELL_BYTES = 12;
class memory$MemoryModel {
constructor(model, build = build$LATEST, cards = [], is_dry_run = false, is_head = false, adapters = [], lent = null, read = [], like = null, store = null) {
const self = this;
let graphs, whole;
{
const $row = $items([model, $tuple(cards), is_head]);
self.model = $row[0];
self.cards = $row[1];
self._is_head = $row[2];
}
self._build = build;
self._read = $tuple(read);
whole = ($truth(lent) ? $dataclasses.replace(model, new $Named({tensors: $dict([...model.tensors.items(), ...lent.items()])})) : model);
graphs = ((like == null) ? null : like._compute);
self._compute = new compute$ComputeModel(whole, build, is_dry_run, adapters, graphs, store);
self._on_host = $frozenset(memory$_kept_on_host(model));
self._hparams = $dict([]);
self._weights = $dict([]);
self._homes = $dict([]);
self._cache_rows = $dict([]);
self._states = $dict([]);
self._setup = null;
self._placements = $dict([]);
self._counted = $dict([]);
if (((like != null) && $truth(self._is_another_quantization_of(like)))) {
{
const $row = $items([like._homes, like._cache_rows, like._states]);
self._homes = $row[0];
self._cache_rows = $row[1];
self._states = $row[2];
}
}
}
_is_another_quantization_of(other) {
const self = this;
let is_same_part;
is_same_part = $eq(self._is_head, other._is_head);
return $and(is_same_part, () => $eq(self._compute.structure, other._compute.structure));
}
on(cards) {
const self = this;
let other;
other = $copy.copy(self);
{
const $row = $items([$tuple(cards), null, $dict([])]);
other.cards = $row[0];
other._setup = $row[1];
other._placements = $row[2];
}
return other;
}
get is_known() {
const self = this;
return families$family_of(self.model.arch).has_known_graph;
}
hparams(n_expert_used = null) {
const self = this;
if (!$in(n_expert_used, self._hparams)) {
$put(self._hparams, n_expert_used, ($truth(self._is_head) ? hparams$resolve_head(self.model, n_expert_used) : hparams$resolve_hparams(self.model, n_expert_used)));
}
return $get(self._hparams, n_expert_used);
}
estimate(config) {
const self = this;
let compute, refusals, setup, warnings;
setup = self.setup(config);
compute = self.compute_by_device(setup);
refusals = (function* () { for (const $row of self.refusals(config, setup)) { const sentence = $row[1]; yield sentence; } })();
warnings = [...self._general_warnings(config), ...refusals, ...self._growth(setup, compute)];
if (($truth(self.is_known) && !$truth(compute.is_exact))) {
$list.append(warnings, "its graph is larger than any published model's and is not replayed: compute buffers follow the general rule");
}
return self._assemble(setup, compute, $tuple(warnings));
}
setup(config) {
const self = this;
if ((($bound(self, "_setup") == null) || !$eq($get($bound(self, "_setup"), 0), config))) {
self._setup = [config, self.resolved(config)];
}
return $get($bound(self, "_setup"), 1);
}
resolved(config, placement = null) {
const self = this;
let cache, fused, hparams, is_cut, is_open, op, rule, setup;
hparams = self.hparams(($truth(self.model.is_moe) ? config.n_expert_used : null));
if (($truth(self._read) && (() => { for (const kind of config.spec_kinds) { if ($in(kind, speculation$READING)) return true; } return false; })())) {
hparams = hparams$with_read_layers(hparams, self._read);
}
rule = hparams.family.graph.fuses_attention;
fused = ((config.flash_attn !== "off") && (rule !== "never"));
cache = new sizes$CacheTypes(ggml_types$quant(config.type_k), ggml_types$quant(config.type_v), fused, !$truth(fused));
placement = $or(placement, () => self.placement(config));
is_cut = placement.is_cut;
setup = new buffers$Setup(hparams, placement, sizes$resolve_sizes(config, hparams), cache, $and(config.op_offload, () => !$truth(is_cut)), pooling$resolve_pooling(config, self.model), undefined, self._slices(hparams, config, placement));
is_open = $and((config.flash_attn === "auto"), () => fused, () => !$truth(cache.v.is_quantized), () => !$truth(is_cut));
if (($truth(is_open) && !$truth(self._compute.fuses(setup, "FLASH_ATTN_EXT")))) {
setup = $dataclasses.replace(setup, new $Named({cache: $dataclasses.replace(cache, new $Named({flash_attn: false}))}));
}
if ($truth($string.startswith($bound(hparams.family.graph, "layer"), "hyper"))) {
for (op of hyper$HYPER_OPS) {
if (!$truth(self._compute.fuses(setup, op))) {
setup = $dataclasses.replace(setup, new $Named({unfused: $union(setup.unfused, $set([op]))}));
}
}
}
return setup;
}
_slices(hparams, config, placement) {
const self = this;
if (!$truth(placement.is_cut)) {
return null;
}
return new slices$Slices(self.model, hparams, $len(placement.cards), config.tensor_split);
}
placement(config) {
const self = this;
let knobs, n_layer_all;
knobs = placement$placing_knobs(config);
if (!$in(knobs, self._placements)) {
n_layer_all = self.hparams().n_layer_all;
$put(self._placements, knobs, new placement$Placement(config, n_layer_all, self.cards, self._on_host));
}
return $get(self._placements, knobs);
}
compute(setup) {
const self = this;
let counted;
counted = ($truth($bound(self, "_counted")) ? $bound(self, "_counted").get(memory$_count_key(setup)) : null);
if ((counted != null)) {
return new buffers$ComputeBuffers($dict(counted), $dict(counted));
}
return self._compute.buffers(setup);
}
compute_by_device(setup) {
const self = this;
let found, host;
{
const $row = $items([self.compute(setup), $bound($bound(setup, "placement"), "host")]);
found = $row[0];
host = $row[1];
}
return $dataclasses.replace(found, new $Named({bytes: $dict((() => { const $into = []; for (const $row of found.bytes.items()) { const name = $row[0], n = $row[1]; $into.push([($eq(name, placement$CPU) ? host : name), n]); } return $into; })()), live_bytes: $dict((() => { const $into = []; for (const $row of found.live_bytes.items()) { const name = $row[0], n = $row[1]; $into.push([($eq(name, placement$CPU) ? host : name), n]); } return $into; })())}));
}
fixed(setup) {
const self = this;
return $dict([["weights_bytes", self._weight_bytes(setup)], ["kv_cache_bytes", self._cache_bytes(setup)], ["recurrent_bytes", self._recurrent_bytes(setup)], ["output_bytes", $collections.Counter($dict([[memory$_logits_home($bound(setup, "placement")), inputs$result_bytes(self.model, setup, $bound(setup, "sizes").n_seqs)]]))]]);
}
_assemble(setup, compute, warnings) {
const self = this;
let architecture, components, devices, names;
components = self.fixed(setup);
$put(components, "compute_bytes", $collections.Counter(compute.bytes));
names = $dict.fromkeys([...$bound(setup, "placement").cards, $bound($bound(setup, "placement"), "host"), placement$CPU]);
devices = $dict((() => { const $into = []; for (const name of names) { $into.push([name, $construct(prediction$DeviceMemory, $dict([...$dict((() => { const $into = []; for (const $row of components.items()) { const component = $row[0], by_device = $row[1]; $into.push([component, $get(by_device, name)]); } return $into; })()).items()]))]); } return $into; })());
architecture = self._architecture(setup, compute);
return new prediction$MemoryEstimate(devices, (architecture === "exact"), new trust$Trust(architecture, undefined, undefined, undefined, undefined, self._is_counted(setup)), warnings);
}
_is_counted(setup) {
const self = this;
return ($bool($bound(self, "_counted")) && $in(memory$_count_key(setup), $bound(self, "_counted")));
}
_architecture(setup, compute) {
const self = this;
if (!$truth(compute.is_exact)) {
return "general rule";
}
return (($truth(self.is_known) || $truth(self._is_counted(setup))) ? "exact" : "composed");
}
*_general_warnings(config) {
const self = this;
if (!$truth(self.is_known)) {
yield ("" + "architecture " + $repr(self.model.arch) + " is not known: its compute buffers follow the general transformer rule, and its KV cache the usual metadata");
}
if (((config.split_mode === "row") && (config.n_devices > 1) && !$truth(self._build.refuses_rows))) {
yield "split_mode row is counted as layer: what each card takes differs, for llama.cpp gives each of them rows of every matrix";
}
if (!($truth(self.hparams().reads_cache) || $truth(config.embeddings))) {
yield ("" + $str(self.model.name) + " is an encoder, which makes embeddings and no text: without --embedding llama-server loads it and answers neither");
}
if (($truth(config.embeddings) && (config.pooling === "rank") && !$truth(pooling$has_classifier(self.model)))) {
yield "pooling rank without a classifier's head in the file: llama.cpp loads it, and its scores are the first number of each embedding, which mean nothing";
}
if ($truth(self.hparams().family.is_crossed)) {
yield "llama-server aborts on it once it is loaded (llama_encode must be called first): the figures are of programs that run its encoder";
}
if (((config.n_expert_used != null) && !$truth(self.model.is_moe))) {
yield ("" + "n_expert_used changes nothing: " + $str(self.model.name) + " is a dense model without experts");
}
}
*_growth(setup, at_load) {
const self = this;
let full, grown, whole;
if ((($bound(setup, "hparams").family.graph.attention !== "position_blocks") || !$truth(at_load.is_exact))) {
return null;
}
whole = $dataclasses.replace(setup, new $Named({sizes: $dataclasses.replace($bound(setup, "sizes"), new $Named({n_positions: $bound($bound(setup, "sizes"), "cells")}))}));
full = self.compute_by_device(whole);
grown = $max((() => { const $into = []; for (const name of full.bytes) { $into.push($sub($get(full.bytes, name), at_load.bytes.get(name, 0))); } return $into; })());
if ((grown > 0)) {
yield ("" + "its sparse attention takes up to " + $str(units$mib(grown)) + " more once the context is full: llama.cpp reserves its compute buffers for an empty one");
}
}
checkpoint_bytes(config) {
const self = this;
let setup;
setup = self.setup(config);
return memory$checkpoint_bytes(setup, $bound($bound(setup, "sizes"), "cells"), config.swa_full);
}
aborts(config) {
const self = this;
return $and(self.model.is_moe, () => (self._compute.graph_surplus(self.setup(config)) > 0));
}
*refusals(config, setup) {
const self = this;
let cache, sizes;
cache = $bound(setup, "cache");
yield* (function* () { for (const sentence of self._split_refusals(config, setup)) { yield ["split_mode", sentence]; } })();
if ($gt(config.n_seq_max, config$MAX_SEQUENCES)) {
yield ["sequences", ("" + "llama.cpp refuses n_seq_max " + $str(config.n_seq_max) + ": " + $str(config$MAX_SEQUENCES) + " is the most")];
}
if (($truth($bound(setup, "hparams").family.is_crossed) && ($bound(setup, "sizes").n_stream > 1))) {
yield ["streams", ("" + "llama.cpp aborts with " + $str($bound(setup, "sizes").n_stream) + " caches apart on architecture " + $str(self.model.arch) + " (GGML_ASSERT(ggml_can_repeat(b, a)) failed); set kv_unified")];
}
if (($truth(cache.v.is_quantized) && !$truth(cache.flash_attn))) {
yield ["quantized_v", ("" + "llama.cpp refuses type_v " + $str(config.type_v) + " without flash attention; set flash_attn on, or type_v f16")];
}
if ((($bound(setup, "hparams").family.graph.fuses_attention === "aborts") && (config.flash_attn !== "off"))) {
yield ["flash_attn", ("" + "llama.cpp aborts with flash attention on architecture " + $str(self.model.arch) + " (GGML_ASSERT(b->ne[1] == c->ne[0]) failed); set flash_attn off")];
}
if (($truth($bound(setup, "hparams").is_mla) && !$eq(cache.k, cache.v))) {
yield ["latent_types", ("" + "llama.cpp refuses type_k " + $str(config.type_k) + " with type_v " + $str(config.type_v) + " for latent attention")];
}
if ($truth(self.aborts(config))) {
yield ["experts", ("" + "llama.cpp aborts with " + $str($bound(setup, "hparams").n_expert_used) + " active experts (GGML_ASSERT(obj_new) failed): its graph has no room for so many; use fewer")];
}
sizes = $bound(setup, "sizes");
if (($truth(setup.pooling) && $truth(pooling$averages(setup.pooling, self.model)) && !$eq(sizes.n_outputs, sizes.n_tokens))) {
yield ["pooling", ("" + "llama.cpp aborts with mean pooling (GGML_ASSERT(ggml_can_mul_mat(a, b)) failed): its graph has " + $str(sizes.n_tokens) + " tokens and " + $str(sizes.n_outputs) + " results; make n_ubatch a multiple of n_seq_max, and n_outputs_max no less")];
}
}
*_split_refusals(config, setup) {
const self = this;
let fault, il, on_cards, owner, placement;
placement = $bound(setup, "placement");
if (((config.split_mode === "row") && $truth(placement.cards) && $truth(self._build.refuses_rows))) {
yield "llama.cpp refuses split_mode row on CUDA cards, for which it has no split buffers any more; use tensor or layer";
}
if ((!$truth(placement.is_cut) || (setup.slices == null))) {
return null;
}
if ($in(self.model.arch, slices$REFUSED)) {
yield ("" + "llama.cpp refuses split_mode tensor for architecture " + $str(self.model.arch) + "; use layer");
}
if (!$truth($bound(setup, "cache").flash_attn)) {
yield "llama.cpp refuses split_mode tensor without flash attention; set flash_attn on";
}
on_cards = (function* () { for (const il of $range($bound(setup, "hparams").n_layer)) { if ($eq(placement.layer(il), placement$META)) { yield il; } } })();
if ((!$truth(config.offload_kqv) && !$all($map($bound(setup.slices, "runs_beside_cache"), on_cards)))) {
yield "llama.cpp aborts with split_mode tensor and this model's KV cache on the host; leave it on the cards";
}
if (((il = setup.slices.torn_layer) != null)) {
owner = $get($bound(setup, "hparams").layers, il).cache_layer;
yield ("" + "llama.cpp aborts with split_mode tensor on these cards: layer " + $str(il) + " reads the KV cache of layer " + $str(owner) + ", which is cut otherwise; use layer");
}
if (($truth(self._build.rotates_cache) && $truth(memory$_turns_one_head(setup)))) {
yield "llama.cpp aborts with split_mode tensor on a quantized cache of one KV head, which it turns and cannot cut; use f16 caches, or layer";
}
for (fault of setup.slices.faults($bound(setup, "placement"))) {
yield ("" + "llama.cpp aborts with split_mode tensor on these cards: " + $str(fault) + "; use layer");
}
if ((!$truth(self._compute.fuses(setup, "FLASH_ATTN_EXT")) && $truth(config.offload_kqv))) {
yield "llama.cpp aborts with split_mode tensor on this model: its flash attention has no kernel for heads this wide, and runs on the host; use layer";
}
}
_cache_bytes(setup) {
const self = this;
let key;
key = [$bound(setup, "placement").key, $bound(setup, "cache")];
if (!$in(key, self._cache_rows)) {
$put(self._cache_rows, key, memory$cache_rows(setup));
}
return memory$_bytes_of_rows($get(self._cache_rows, key), $bound(setup, "sizes"));
}
_recurrent_bytes(setup) {
const self = this;
let key, sizes;
sizes = $bound(setup, "sizes");
key = [$bound(setup, "placement").key, sizes.n_seqs, sizes.n_states, sizes.n_stream];
if (!$in(key, self._states)) {
$put(self._states, key, memory$recurrent_bytes(setup));
}
return $get(self._states, key);
}
_weight_bytes(setup) {
const self = this;
let key;
key = $bound(setup, "placement").key;
if (!$in(key, self._weights)) {
if (!$in(key, self._homes)) {
$put(self._homes, key, memory$weight_homes(self.model, setup));
}
$put(self._weights, key, memory$bytes_at_homes(self.model, setup, $get(self._homes, key)));
}
return $get(self._weights, key);
}
}
function memory$_turns_one_head(setup) {
return (() => { for (const layer of $bound(setup, "hparams").layers) { if (($truth(layer.has_attention) && (layer.n_head_kv === 1) && !$truth($bound(setup, "hparams").is_mla))) { if ((($truth($bound(setup, "cache").k.is_quantized) && ($mod(layer.head_k, attention$ROTATION_STEP) === 0)) || ($truth($bound(setup, "cache").v.is_quantized) && ($mod(layer.head_v, attention$ROTATION_STEP) === 0)))) return true; } } return false; })();
}
function* memory$_kept_on_host(model) {
let _, decay, heads, info, name, scanning, state;
scanning = $in(families$family_of(model.arch).recurrence.part, memory$SCANNING);
for (const $row of model.tensors.items()) {
name = $row[0];
info = $row[1];
if ($in(info.quant.name, backends$WITHOUT_KERNEL)) {
yield name;
}
else {
if (($truth(scanning) && $truth($string.endswith(name, ".ssm_a")))) {
[decay, heads, ..._] = [...info.ne, 1];
state = ((decay === 1) ? model.integer("ssm.state_size") : decay);
if (!$truth(backends$scans(decay, state, $floordiv(model.integer("ssm.inner_size"), heads), heads))) {
yield name;
}
}
}
}
}
function memory$_logits_home(placement) {
return ($truth(prediction$is_card(placement.output)) ? $bound(placement, "host") : placement$CPU);
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
function memory$weight_homes(model, setup) {
let hparams, placement;
{
const $row = $items([$bound(setup, "hparams"), $bound(setup, "placement")]);
hparams = $row[0];
placement = $row[1];
}
return (() => { const $into = []; for (const name of model.tensors) { if ($truth(placement$is_loaded(name, hparams))) { $into.push([name, $tuple(memory$homes(name, model, hparams, placement))]); } } return $into; })();
}
function memory$bytes_at_homes(model, setup, found) {
let card, device, devices, info, key, known, n_bytes, name, ne, total;
total = $collections.Counter();
known = $dict([]);
for (const $row of found) {
name = $row[0];
devices = $row[1];
info = $get(model.tensors, name);
for (device of devices) {
if (($eq(device, placement$META) && $truth(setup.slices))) {
for (const $row of $zip($bound(setup, "placement").cards, setup.slices.tensor(name), new $Named({strict: true}))) {
card = $row[0];
ne = $row[1];
n_bytes = (info.quant.row_bytes($get(ne, 0)) * $math.prod($slice(ne, 1, null, null)));
$put(total, card, $extended($get(total, card), memory$padded_bytes(n_bytes, info.quant, $get(ne, 0), card)));
}
}
else {
key = [info.quant.name, info.ne, device];
if (!$in(key, known)) {
$put(known, key, memory$allocated_bytes(info, device));
}
$put(total, device, $extended($get(total, device), $get(known, key)));
}
}
}
total.update($bound(setup, "placement").expert_caches(memory$_cards_without_experts(model, setup)));
return total;
}
function memory$_cards_without_experts(model, setup) {
let name, placement;
placement = $bound(setup, "placement");
return $set((() => { const $into = []; for (const il of $bound(setup, "hparams").running) { if (($in((name = ("" + "blk." + $str(il) + ".ffn_down_exps.weight")), model.tensors) && $truth(prediction$is_card(placement.layer(il))) && $eq(placement.weight(name), placement$CPU))) { $into.push(placement.layer(il)); } } return $into; })());
}
function memory$homes(name, model, hparams, placement) {
let found, full_only, is_tied;
if ($truth($string.startswith(name, "blk."))) {
return $set([placement.weight(name)]);
}
if ($in(name, memory$_BY_LAYER)) {
full_only = (hparams.family.rope.factors === "full");
return $set((() => { const $into = []; for (const $row of $enumerate(hparams.layers)) { const il = $row[0], layer = $row[1]; if (!($truth(full_only) && $truth(layer.is_swa))) { $into.push(placement.weight(name, il)); } } return $into; })());
}
found = $set([placement.weight(name, placement$loaded_for(name, hparams.family.output_norm))]);
is_tied = (!$in(hparams.family.head, ["none", "embedding", "lent"]) && !$in("output.weight", model.tensors));
if (((name === "token_embd.weight") && $truth(is_tied))) {
found.add(placement.output);
}
return found;
}
function memory$cache_rows(setup) {
return $collections.Counter(memory$_layer_rows(setup));
}
function* memory$_layer_rows(setup) {
let cache, hparams, il, is_swa, layer, v_width;
{
const $row = $items([$bound(setup, "hparams"), $bound(setup, "cache")]);
hparams = $row[0];
cache = $row[1];
}
yield* memory$_rows_beside(setup);
for (is_swa of [false, true]) {
for (il of hparams.cache_owners(is_swa)) {
layer = $get(hparams.layers, il);
v_width = ($truth(cache.transposes_v) ? hparams.v_width_max : layer.v_width);
v_width = ($truth(hparams.keeps_v) ? v_width : 0);
yield* memory$_rows_of(setup, il, layer.k_width, v_width, is_swa);
}
}
}
function* memory$_rows_of(setup, il, k_width, v_width, is_swa) {
let device, kind, name, share, width;
for (const $row of [["cache_k", $bound(setup, "cache").k, k_width], ["cache_v", $bound(setup, "cache").v, v_width]]) {
name = $row[0];
kind = $row[1];
width = $row[2];
for (const $row of memory$_holders(setup, name, il, width)) {
device = $row[0];
share = $row[1];
yield [is_swa, 0, kind, share, device];
}
}
}
function* memory$_rows_beside(setup) {
let device, hparams, il, kind, layer, name, ratio, wanted, width;
{
const $row = $items([$bound(setup, "hparams"), $bound(setup, "cache").k]);
hparams = $row[0];
kind = $row[1];
}
for (const $row of $enumerate(hparams.layers)) {
il = $row[0];
layer = $row[1];
for (const $row of memory$_holders(setup, "cache_idx_v", il, layer.index_v_width)) {
device = $row[0];
width = $row[1];
yield [false, 0, $bound(setup, "cache").v, width, device];
}
ratio = layer.compress_ratio;
for (const $row of [["cache_idx_k", layer.index_width], ["cache_k", ($truth(ratio) ? layer.k_width : 0)]]) {
name = $row[0];
wanted = $row[1];
for (const $row of memory$_holders(setup, name, il, wanted)) {
device = $row[0];
width = $row[1];
yield [false, ratio, kind, width, device];
}
}
}
yield* memory$_rows_past_layers(setup);
}
function* memory$_rows_past_layers(setup) {
let hparams, il, k_width, router, v_width;
hparams = $bound(setup, "hparams");
if ($truth((router = hparams.router))) {
v_width = ($truth($bound(setup, "cache").transposes_v) ? hparams.v_width_max : router.v_width);
yield* memory$_rows_of(setup, hparams.n_layer, router.k_width, v_width, false);
}
if (($truth(hparams.family.caches_idle) && !$truth(hparams.is_head))) {
{
const $row = $items([hparams.latent_width, ($truth(hparams.keeps_v) ? hparams.v_width_max : 0)]);
k_width = $row[0];
v_width = $row[1];
}
for (il of $range(hparams.n_layer, hparams.n_layer_all)) {
yield* memory$_rows_of(setup, il, k_width, v_width, hparams.has_swa);
}
}
}
function* memory$_holders(setup, name, il, width) {
let home, widths;
home = $bound(setup, "placement").cache(il);
if (!$truth(width)) {
return null;
}
if (($eq(home, placement$META) && $truth(setup.slices))) {
widths = setup.slices.cache(name, il, width);
yield* (function* () { for (const each of $zip($bound(setup, "placement").cards, widths, new $Named({strict: true}))) { if ($truth($get(each, 1))) { yield each; } } })();
}
else {
yield [home, width];
}
}
function memory$_bytes_of_rows(rows, sizes) {
let layers, row, total;
total = $collections.Counter();
for (const $row of rows.items()) {
row = $row[0];
layers = $row[1];
$put(total, $get(row, (-1)), $extended($get(total, $get(row, (-1))), (layers * memory$row_bytes(row, sizes))));
}
return total;
}
function memory$row_bytes(row, sizes) {
let cells, device, is_swa, kind, ratio, width;
{
const $row = $items(row);
is_swa = $row[0];
ratio = $row[1];
kind = $row[2];
width = $row[3];
device = $row[4];
}
cells = ($truth(is_swa) ? sizes.cells_swa : $bound(sizes, "cells"));
cells = (($truth(ratio) ? sizes.compressed(ratio) : cells) * sizes.n_stream);
return memory$padded_bytes((kind.row_bytes(width) * cells), kind, width, device);
}
function memory$_count_key(setup) {
return [$bound(setup, "placement").key, $bound(setup, "sizes"), $bound(setup, "cache"), setup.pooling, $bound(setup, "hparams").n_expert_used];
}
function memory$recurrent_bytes(setup) {
let device, n_bytes, total;
total = $collections.Counter();
for (const $row of memory$_layer_states(setup)) {
device = $row[0];
n_bytes = $row[1];
$put(total, device, $extended($get(total, device), n_bytes));
}
return total;
}
function memory$checkpoint_bytes(setup, n_tokens, swa_full) {
let cells, hparams, n_recurrent, rows, ssm, states, widths;
{
const $row = $items([$bound(setup, "hparams"), $bound(setup, "hparams").ssm]);
hparams = $row[0];
ssm = $row[1];
}
n_recurrent = $sum((() => { const $into = []; for (const layer of hparams.layers) { $into.push(layer.is_recurrent); } return $into; })());
states = ($truth(ssm) ? ((4 * n_recurrent) * $add(ssm.conv_state, ssm.ssm_state)) : 0);
if (($truth(swa_full) || !$truth(hparams.has_swa))) {
return states;
}
cells = $min(n_tokens, hparams.n_swa);
rows = (function* () { for (const row of memory$_layer_rows(setup)) { if ($truth($get(row, 0))) { yield row; } } })();
widths = $sum((() => { const $into = []; for (const $row of rows) { const kind = $row[2], width = $row[3]; $into.push(kind.row_bytes(width)); } return $into; })());
return $add(states, (cells * $add(memory$CELL_BYTES, widths)));
}
function* memory$_layer_states(setup) {
let device, hparams, il, layer, n_bytes, name, rows, share, states, width;
hparams = $bound(setup, "hparams");
for (const $row of $enumerate(hparams.layers)) {
il = $row[0];
layer = $row[1];
if ($in(il, hparams.ngram_layers)) {
{
const $row = $items([$bound(setup, "placement").cache(il), hparams.ngram_state]);
device = $row[0];
width = $row[1];
}
n_bytes = (((4 * width) * $bound(setup, "sizes").n_seqs) * $bound(setup, "sizes").n_states);
yield [device, tensor$pad(n_bytes, backends$alignment(device))];
}
for (states of compressed$compressor_states(layer)) {
n_bytes = (((4 * $math.prod(states.ne)) * $bound(setup, "sizes").n_stream) * $bound(setup, "sizes").n_states);
for (const $row of memory$_holders(setup, "dsv4_state", il, n_bytes)) {
device = $row[0];
share = $row[1];
yield* (function* () { for (const _ of ["kv", "score"]) { yield [device, tensor$pad(share, backends$alignment(device))]; } })();
}
}
if ($truth(layer.is_recurrent)) {
if ((hparams.ssm == null)) {
throw new errors$ModelFileError(("" + "layer " + $str(il) + " is recurrent, and the file has no ssm.* metadata; is it complete?"));
}
rows = ($bound(setup, "sizes").n_seqs * $bound(setup, "sizes").n_states);
for (const $row of [["cache_r", hparams.ssm.conv_state], ["cache_s", hparams.ssm.ssm_state]]) {
name = $row[0];
width = $row[1];
for (const $row of memory$_holders(setup, name, il, width)) {
device = $row[0];
share = $row[1];
yield [device, tensor$pad(((4 * share) * rows), backends$alignment(device))];
}
}
}
}
}
const adapters$_LATENT = "attn_kv_a_mqa.weight";
class adapters$Adapters {
constructor(adapters, model) {
const self = this;
{
const $row = $items([$tuple(adapters), model]);
self.adapters = $row[0];
self._model = $row[1];
}
self._weights = $dict([]);
}
get is_exact() {
const self = this;
let known;
known = families$family_of(self._model.arch);
return $and(known.has_known_graph, () => ($bound(known.graph, "layer") !== "altup"), () => !(() => { for (const name of self._model.tensors) { if ($truth($string.endswith(name, adapters$_LATENT))) return true; } return false; })(), () => !(() => { for (const adapter of self.adapters) { if ($in(adapter$EMBEDDING, adapter.pairs)) return true; } return false; })());
}
fixed_bytes(config, setup, cards) {
const self = this;
let adapter, device, home, key, name, pair, total;
key = $bound(setup, "placement").key;
if (!$in(key, self._weights)) {
total = $collections.Counter();
for (adapter of self.adapters) {
for (const $row of adapter.pairs.items()) {
name = $row[0];
pair = $row[1];
home = $bound(setup, "placement").weight(name);
for (device of ($eq(home, placement$META) ? $bound(setup, "placement").cards : [home])) {
$put(total, device, $extended($get(total, device), $sum((() => { const $into = []; for (const each of [pair.a, pair.b]) { $into.push(memory$allocated_bytes(each, device)); } return $into; })())));
}
}
}
$put(self._weights, key, total);
}
return $dict([["weights_bytes", $get(self._weights, key)]]);
}
compute_buffers(config, setup, cards) {
const self = this;
return new buffers$ComputeBuffers($dict([]), $dict([]), self.is_exact);
}
*notes(config) {
const self = this;
if (!$truth(self.is_exact)) {
yield "where llama.cpp adds an adapter to a graph of this architecture is not known in full: its compute buffer is near what is said, not exact";
}
}
}
function adapters$adapters_of(riders) {
return $tuple((() => { const $into = []; for (const rider of riders) { if ((($it) => $it instanceof adapters$Adapters)(rider)) { for (const adapter of rider.adapters) { $into.push(adapter); } } } return $into; })());
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
for (const $row of $enumerate(posterior.covariance)) {
i = $row[0];
row = $row[1];
for (const $row of $enumerate(row)) {
j = $row[0];
shared = $row[1];
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
class machine$Machine {
constructor(system = "linux", power_limit_w = null, host_bandwidth_bytes_per_s = null, ram_bytes = null, reserve_bytes = 0) {
this.system = system;
this.power_limit_w = power_limit_w;
this.host_bandwidth_bytes_per_s = host_bandwidth_bytes_per_s;
this.ram_bytes = ram_bytes;
this.reserve_bytes = reserve_bytes;
}
}
$dataclass(machine$Machine, ["system", "power_limit_w", "host_bandwidth_bytes_per_s", "ram_bytes", "reserve_bytes"], true);
const machine$LINUX = new machine$Machine();
const card$_GENERATION = $dict([["6.0", "P100"], ["6.1", "Pascal"], ["7.0", "Volta"], ["7.2", "Volta"], ["7.5", "Turing"], ["8.0", "A100"], ["8.6", "Ampere"], ["8.7", "Ampere"], ["8.9", "Ada"], ["9.0", "Hopper"], ["10.0", "Hopper"], ["10.3", "Hopper"]]);
const card$_HBM_SERVER = ["A100", "Hopper"];
const card$_ECC_CARDS = $frozenset($set(["A40", "A10", "A10G", "A16", "A2", "L20", "L40", "L40S", "L4", "T4", "P40", "P4"]));
const card$_TYPICAL_W_PER_SM_GHZ = $dict([["Pascal", 3.86], ["P100", 2.34], ["Volta", 1.65], ["Turing", 1.82], ["A100", 1.42], ["Ampere", 1.82], ["Hopper", 1.65]]);
const card$_REACHABLE_PEAK = $dict([["9.0", 0.61], ["10.0", 0.305], ["10.3", 0.305], ["11.0", 0.305]]);
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
return new card$CardTraits(gpu.name, generation, gpu.bandwidth_bytes_per_s, gpu.sm_count, ((gpu.sm_count * gpu.clock_ghz) * 1000000000.0), (gpu.int8_ops * reachable), (gpu.fp16_flops * reachable), (watts / card$_TYPICAL_W_PER_SM_GHZ.get(generation, 1.0)), card$_is_consumer(gpu.name), $bool($both(words, card$_ECC_CARDS)), $in(generation, card$_HBM_SERVER), ($in(generation, card$_HBM_SERVER) || $in(gpu.compute_capability, card$_WIDE)), $lt(capability, [7, 5]), $lt(capability, [8, 9]), has_tensor_cores, $and($ge(capability, [7, 5]), () => has_tensor_cores), gpu.is_unified, (machine.system === "windows"), ((machine.power_limit_w != null) && $lt(machine.power_limit_w, gpu.power_limit_w)), $ge(capability, [8, 0]), $ge(capability, [12, 0]), ($ge(capability, [8, 0]) ? 1.0 : card$_OLD_BUS_SHARE));
}
function card$fused_share(build_year) {
let end, start;
{
const $row = $items(card$FUSION_BUILDS);
start = $row[0];
end = $row[1];
}
return $min($max(($sub(build_year, start) / $sub(end, start)), 0.0), 1.0);
}
function card$_is_consumer(name) {
return (($in("GeForce", name) || $in("TITAN", $string.upper(name))) && !$in("Laptop", name));
}
const overhead$_NARROW = [[8, 6], [8, 7], [8, 9]];
const overhead$RUN_BYTES_PER_THREAD = 256;
const overhead$POOL_PIECE = (2 * units$MIB);
const overhead$ROW_PADDING = 512;
const overhead$Q8_1_BYTES = (9 / 8);
const overhead$TILE = 128;
const overhead$FULL_WAVES = 90;
const overhead$FLOAT_COLUMNS = 16;
const overhead$FLASH_COLUMNS = 128;
function overhead$overhead_bytes(spec, config, gpu, coefficients) {
return $add($add(overhead$driver_bytes(spec, config, gpu, coefficients), overhead$pool_bytes(spec, config, gpu)), overhead$exchange_bytes(spec, config, gpu));
}
function overhead$driver_bytes(spec, config, gpu, coefficients) {
return $add(overhead$context_bytes(gpu, coefficients), overhead$cublas_bytes(spec, config, gpu, coefficients));
}
function overhead$loaded_context_bytes(gpu, coefficients) {
let grown;
grown = $min((overhead$RUN_BYTES_PER_THREAD * overhead$resident_threads(gpu)), overhead$context_bytes(gpu, coefficients));
return $sub(overhead$context_bytes(gpu, coefficients), grown);
}
function overhead$context_bytes(gpu, coefficients) {
let for_threads, values;
values = coefficients.for_card(gpu.name);
for_threads = ($get(values, "memory.context_bytes_per_thread") * overhead$resident_threads(gpu));
return $round(($add($get(values, "memory.context_base_bytes"), for_threads) * $get(values, "memory.own_context_factor")));
}
function overhead$cublas_bytes(spec, config, gpu, coefficients) {
let through;
if ((card$card_facts(gpu).generation !== "Hopper")) {
return 0;
}
through = (() => { for (const $row of overhead$_needs(spec, config, gpu, overhead$_n_tokens(config))) { const through = $row[1]; if ($truth(through)) return true; } return false; })();
return ($truth(through) ? $round($get(coefficients, "memory.cublas_bytes")) : 0);
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
function overhead$pool_bytes(spec, config, gpu) {
let largest, needs, workspace;
needs = $list(overhead$_needs(spec, config, gpu, overhead$_n_tokens(config)));
largest = $max((() => { const $into = []; for (const $row of needs) { const need = $row[0]; $into.push(need); } return $into; })(), new $Named({default: 0.0}));
workspace = ((() => { for (const $row of needs) { const through = $row[1]; if ($truth(through)) return true; } return false; })() ? overhead$workspace_bytes(gpu) : 0);
return $add(workspace, ((-$floordiv((-$int(largest)), overhead$POOL_PIECE)) * overhead$POOL_PIECE));
}
const overhead$SUMMED = ["attn_output.weight", "ssm_out.weight", "ffn_down.weight", "ffn_down_exps.weight"];
const overhead$PAIR_STAGING_BYTES = (32 * units$MIB);
function overhead$exchange_bytes(spec, config, gpu) {
let largest, n_cards, n_used, placement, rows, staging;
n_cards = config.n_devices;
if (((config.split_mode !== "tensor") || (n_cards < 2))) {
return 0;
}
if ($in(spec.arch, slices$WHOLE)) {
return 0;
}
n_used = $or(config.n_expert_used, () => spec.n_expert_used);
placement = new placement$Placement(config, spec.n_layer);
rows = (function* () { for (const name of spec.tensors) { if (($truth($string.endswith(name, overhead$SUMMED)) && $eq(placement.weight(name), placement$META))) { yield ($truth($string.endswith(name, "_exps.weight")) ? n_used : 1); } } })();
largest = (((4 * spec.n_embd) * overhead$_n_tokens(config)) * $max(rows, new $Named({default: 0})));
staging = (((n_cards === 2) && $ge(overhead$_capability(gpu), [7, 0])) ? overhead$PAIR_STAGING_BYTES : 0);
return $add(staging, ($math.ceil($math.log2(n_cards)) * largest));
}
function overhead$pool_key(config) {
let context, fused, is_cut, places;
fused = (config.flash_attn !== "off");
is_cut = (config.split_mode === "tensor");
places = ($truth(is_cut) ? [config.n_gpu_layers, config.n_cpu_moe, config.override_tensor] : null);
context = ($truth(fused) ? [0, 0, false] : [config.n_ctx, config.n_seq_max, config.kv_unified]);
return [overhead$_n_tokens(config), config.n_expert_used, fused, config.offload_kqv, config.n_devices, places, ...context];
}
function overhead$_n_tokens(config) {
return $min(config.n_ubatch, config.n_batch, config.n_ctx);
}
function overhead$workspace_bytes(gpu) {
return (($ge(overhead$_capability(gpu), [9, 0]) ? 32 : 4) * units$MIB);
}
function* overhead$_needs(spec, config, gpu, n) {
let dense, experts, kind, n_used, name, tensor;
n_used = $or(config.n_expert_used, () => spec.n_expert_used);
dense = $dict([]);
experts = $dict([]);
for (tensor of spec.tensor_kinds) {
{
const $row = $items([tensor.name, [tensor.quant.name, tensor.ne]]);
name = $row[0];
kind = $row[1];
}
if ((($len(tensor.ne) < 2) || !$truth($string.startswith(name, "blk.")) || !$truth($string.endswith(name, ".weight")))) {
continue;
}
if ($in("_exps.", name)) {
$put(experts, kind, tensor);
}
else {
if ((!$in("conv1d", name) && !$in("rel_b", name))) {
$put(dense, kind, tensor);
}
}
}
for (tensor of experts.values()) {
yield overhead$_expert_product(tensor, gpu, n, n_used);
}
for (tensor of dense.values()) {
yield overhead$_dense_product(tensor, gpu, n);
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
{
const $row = $items([$get(tensor.ne, 0), $get(tensor.ne, 1)]);
inner = $row[0];
rows = $row[1];
}
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
{
const $row = $items([$get(tensor.ne, 0), $get(tensor.ne, 1), $get(tensor.ne, (-1))]);
inner = $row[0];
rows = $row[1];
n_expert = $row[2];
}
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
function draft$draft_config(config) {
let is_block, rows;
is_block = (() => { for (const kind of config.spec_kinds) { if ($in(kind, speculation$BY_BLOCK)) return true; } return false; })();
rows = ($truth(is_block) ? (1 + config.spec_draft_n_max) : 1);
return config.with_($dict([["type_k", config.spec_draft_type_k], ["type_v", config.spec_draft_type_v], ["n_outputs_max", (config.n_seq_max * rows)], ["spec_type", null]]));
}
class draft$MtpHead {
constructor(model, build = build$LATEST, is_dry_run = false) {
const self = this;
let n_trunk;
self.model = model;
self._memory = new memory$MemoryModel(model, build, undefined, is_dry_run, true);
n_trunk = layers$n_decoding(model);
self._blocks = $dataclasses.replace(model, new $Named({tensors: $dict((() => { const $into = []; for (const $row of model.tensors.items()) { const name = $row[0], info = $row[1]; if ($ge($or(placement$layer_of(name), () => 0), n_trunk)) { $into.push([name, info]); } } return $into; })())}));
}
fixed_bytes(config, setup, cards) {
const self = this;
let at, own, taken, where;
{
const $row = $items([self._setup(config, setup), draft$draft_config(config)]);
own = $row[0];
at = $row[1];
}
where = $set((() => { const $into = []; for (const il of $bound(own, "hparams").running) { $into.push($bound(own, "placement").layer(il)); } return $into; })());
taken = $dict((() => { const $into = []; for (const card of cards) { if (($truth(card.spec) && ($truth($bound(own, "placement").is_cut) || $in(card.device, where)))) { $into.push([card.device, draft$_run_bytes(self._blocks, at, card.spec)]); } } return $into; })());
return $dict([...self._memory.fixed(own).items(), ["overhead_bytes", taken]]);
}
compute_buffers(config, setup, cards) {
const self = this;
return self._memory.compute_by_device(self._setup(config, setup));
}
notes(config) {
const self = this;
return [];
}
_setup(config, setup) {
const self = this;
return self._memory.resolved(draft$draft_config(config), $bound(setup, "placement"));
}
}
function draft$draft_devices(config) {
return ($truth(config.spec_draft_device) ? draft$device_names(config.spec_draft_device) : []);
}
function draft$device_names(text) {
return (($string.lower($string.strip(text)) === "none") ? [] : $tuple($string.split($string.upper(text).replace(" ", ""), ",")));
}
function draft$head_of(model, build = build$LATEST) {
if ($eq(layers$n_decoding(model), model.n_layer)) {
throw new errors$ConfigError(("" + $str(model.source) + " has no MTP head, and --spec-type " + $str(speculation$MTP) + " needs one; fetch a file that has it, or leave the flag out"));
}
return new draft$MtpHead(model, build);
}
function draft$_run_bytes(model, config, gpu) {
return $add(overhead$pool_bytes(model, config, gpu), overhead$exchange_bytes(model, config, gpu));
}
const host_memory$SERVER_BYTES = (31 * units$MIB);
const host_memory$TOKEN_BYTES = 144;
const host_memory$SYSTEM_BYTES = $dict([["linux", units$GIB], ["windows", (3 * units$GIB)]]);
const host_memory$_MAPPED = ["auto", "mmap"];
const host_memory$_READ = ["projector", "lora"];
function host_memory$program_bytes(n_vocab, cuda_bytes) {
return $add($add(host_memory$SERVER_BYTES, (host_memory$TOKEN_BYTES * n_vocab)), cuda_bytes);
}
function host_memory$host_memory(memory, config, process_bytes, checkpoint_bytes, is_integrated = false) {
let beside, cache_ram, is_mapped, mapped, parts, read, weights;
parts = (() => { const $into = []; for (const $row of memory.devices.items()) { const name = $row[0], part = $row[1]; if (!$truth(prediction$is_card(name))) { $into.push(part); } } return $into; })();
{
const $row = $items([$sum((() => { const $into = []; for (const part of parts) { $into.push(part.weights_bytes); } return $into; })()), host_memory$draft_bytes(memory)]);
weights = $row[0];
beside = $row[1];
}
read = $sum((() => { const $into = []; for (const rider of host_memory$_READ) { for (const $row of memory.contexts.get(rider, $dict([])).items()) { const name = $row[0], part = $row[1]; if (!$truth(prediction$is_card(name))) { $into.push(part.weights_bytes); } } } return $into; })());
is_mapped = ($in(config.load_mode, host_memory$_MAPPED) && !($truth(is_integrated) && (config.load_mode === "auto")));
{
const $row = $items([($truth(is_mapped) ? $sub(weights, read) : 0), config.cache_ram_mib]);
mapped = $row[0];
cache_ram = $row[1];
}
return new host$HostMemory(process_bytes, $sub(weights, mapped), mapped, $sum((() => { const $into = []; for (const part of parts) { $into.push($add($bound(part, "kv_cache_bytes"), part.recurrent_bytes)); } return $into; })()), $sum((() => { const $into = []; for (const part of parts) { $into.push($add(part.compute_bytes, part.output_bytes)); } return $into; })()), ($truth(checkpoint_bytes) ? (config.ctx_checkpoints * $add((config.n_seq_max * checkpoint_bytes), beside)) : 0), ((cache_ram < 0) ? null : (cache_ram * units$MIB)));
}
function host_memory$draft_bytes(memory) {
return $sum((() => { const $into = []; for (const devices of memory.riders.values()) { for (const part of devices.values()) { $into.push($bound(part, "kv_cache_bytes")); } } return $into; })());
}
function host_memory$shared_card(cards) {
return (() => { for (const $row of cards.items()) { const name = $row[0], card = $row[1]; if (($truth(card.spec) && $truth(card.spec.is_unified))) { return name; } } return null; })();
}
function host_memory$pool_bytes(devices, process_bytes) {
return $add(process_bytes, $sum((() => { const $into = []; for (const $row of devices.items()) { const name = $row[0], part = $row[1]; if (!$truth(prediction$is_card(name))) { $into.push(part.total_bytes); } } return $into; })()));
}
function host_memory$host_room(machine) {
if ((machine.ram_bytes == null)) {
return null;
}
return $max($sub(machine.ram_bytes, $get(host_memory$SYSTEM_BYTES, machine.system)), 0);
}
const likelihood$SDS_OF_HALF_WIDTH = 1.6448536269514715;
const likelihood$UNKNOWN_GRAPH_SHARE = 0.5;
function likelihood$fit_probabilities(memory, cards, coefficients) {
return $dict((() => { const $into = []; for (const $row of cards.items()) { const name = $row[0], card = $row[1]; if ((card.spec != null)) { $into.push([name, likelihood$_probability($get(memory.devices, name), likelihood$context_half_width_bytes(card.spec, coefficients), card.memory_bytes, memory.exact_compute)]); } } return $into; })());
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
let sd_bytes, spare_sds, unknown;
unknown = ($truth(exact_compute) ? 0.0 : (likelihood$UNKNOWN_GRAPH_SHARE * card.compute_bytes));
sd_bytes = ($math.hypot(context, unknown) / likelihood$SDS_OF_HALF_WIDTH);
if (!$truth(sd_bytes)) {
return $float($le(card.total_bytes, memory_bytes));
}
spare_sds = ($sub(memory_bytes, card.total_bytes) / sd_bytes);
return (0.5 * (1 + $math.erf((spare_sds / $math.sqrt(2)))));
}
class riders$FixedRider {
constructor(name, bytes_by_device, note, read_layers = [], composes = false) {
this.name = name;
this.bytes_by_device = bytes_by_device;
this.note = note;
this.read_layers = read_layers;
this.composes = composes;
}
fixed_bytes(config, setup, cards) {
const self = this;
return $dict([["weights_bytes", self.bytes_by_device]]);
}
compute_buffers(config, setup, cards) {
const self = this;
return new buffers$ComputeBuffers($dict([]), $dict([]));
}
notes(config) {
const self = this;
return [self.note];
}
}
$dataclass(riders$FixedRider, ["name", "bytes_by_device", "note", "read_layers", "composes"], true);
function riders$read_layers(riders) {
return $tuple((() => { const $into = []; for (const rider of riders) { for (const il of rider.read_layers) { $into.push(il); } } return $into; })());
}
function riders$left_on(cards, taken) {
let parts;
parts = $tuple(taken);
return $tuple((() => { const $into = []; for (const card of cards) { $into.push($dataclasses.replace(card, new $Named({free_bytes: $max($sub($or(card.free_bytes, () => card.memory_bytes), $sum((() => { const $into = []; for (const part of parts) { $into.push(part.get(card.device, 0)); } return $into; })())), 1)}))); } return $into; })());
}
function riders$device_memory(fixed, compute_bytes) {
let names, parts;
parts = $dict([...fixed.items(), ["compute_bytes", compute_bytes]]);
names = $dict.fromkeys((function* () { for (const part of parts.values()) { for (const $row of part.items()) { const name = $row[0], n = $row[1]; if ($truth(n)) { yield name; } } } })());
return $dict((() => { const $into = []; for (const name of names) { $into.push([name, $construct(prediction$DeviceMemory, $dict([...$dict((() => { const $into = []; for (const $row of parts.items()) { const component = $row[0], part = $row[1]; $into.push([component, part.get(name, 0)]); } return $into; })()).items()]))]); } return $into; })());
}
function riders$together(target, beside) {
let contexts, devices, names, none;
contexts = $dict([[prediction$TARGET, target.devices], ...beside.items()]);
if (!$truth(beside)) {
return $dataclasses.replace(target, new $Named({contexts: contexts}));
}
names = $dict.fromkeys((function* () { for (const devices of contexts.values()) { for (const name of devices) { yield name; } } })());
none = new prediction$DeviceMemory();
devices = $dict((() => { const $into = []; for (const name of names) { $into.push([name, $construct(prediction$DeviceMemory, $dict([...$dict((() => { const $into = []; for (const component of prediction$COMPONENTS) { $into.push([component, $sum((() => { const $into = []; for (const devices of contexts.values()) { $into.push($getattr(devices.get(name, none), component)); } return $into; })())]); } return $into; })()).items()]))]); } return $into; })());
return $dataclasses.replace(target, new $Named({devices: devices, contexts: contexts}));
}
const work$_LEGACY = ["Q4_0", "Q4_1", "Q5_0", "Q5_1"];
const work$_KIND_BY_PREFIX = [["IQ4", "iq4"], ["IQ3", "iq3"], ["IQ", "iq2"], ["TQ", "iq2"], ["Q8", "q8_0"], ["Q6", "q6_k"], ["Q4_K", "q4_k"], ["Q5_K", "q5_k"], ["Q2", "q2_k"], ["Q3", "q3_k"], ["Q1", "iq2"], ["MXFP4", "fp4"], ["NVFP4", "fp4"]];
const work$_NO_TOKENS = ["embd", "embed", "token_types", "conv1d", "cls.", "dense_2", "dense_3", "_ape.", "tid2eid"];
const work$_RECURRENT = ["ssm_", "shortconv", "time_mix"];
function work$kind_of(type_name) {
if ($in(type_name, work$_LEGACY)) {
return "q4_0";
}
return (() => { for (const $row of work$_KIND_BY_PREFIX) { const prefix = $row[0], kind = $row[1]; if ($truth($string.startswith(type_name, prefix))) { return kind; } } return "f16"; })();
}
class work$AttentionWork {
constructor(layers, owners, window, n_head, n_head_kv, head_size, row_bytes, held = null, tokens_a_cell = 1, is_latent = false, quantized_share = 0.0) {
this.layers = layers;
this.owners = owners;
this.window = window;
this.n_head = n_head;
this.n_head_kv = n_head_kv;
this.head_size = head_size;
this.row_bytes = row_bytes;
this.held = held;
this.tokens_a_cell = tokens_a_cell;
this.is_latent = is_latent;
this.quantized_share = quantized_share;
}
cells(n_depth) {
const self = this;
let n_cells;
n_cells = (n_depth / self.tokens_a_cell);
return ((self.window == null) ? n_cells : $min(n_cells, self.window));
}
read_cells(n_depth) {
const self = this;
let n_cells;
n_cells = (n_depth / self.tokens_a_cell);
return ((self.held == null) ? n_cells : $min(n_cells, self.held));
}
get heads_to_cell() {
const self = this;
return (self.n_head / self.n_head_kv);
}
}
$dataclass(work$AttentionWork, ["layers", "owners", "window", "n_head", "n_head_kv", "head_size", "row_bytes", "held", "tokens_a_cell", "is_latent", "quantized_share"], true);
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
return !($truth(self.dense_bytes) || $truth(self.expert_bytes) || $truth(self.head_bytes) || $truth(self.attention));
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
let kept;
kept = [$bound(setup, "cache"), work$_held(setup), (setup.pooling != null)];
return [$bound(setup, "placement").key, $bound(setup, "hparams").n_expert_used, kept];
}
function work$forward_work(model, setup) {
let works;
works = new work$ModelWork(model).by(setup, prediction$is_card);
return [$get(works, true), $get(works, false)];
}
class work$_Matrix {
constructor(name, layer, kind, n_bytes, n_weights, inner, n_expert, reads_tokens) {
this.name = name;
this.layer = layer;
this.kind = kind;
this.n_bytes = n_bytes;
this.n_weights = n_weights;
this.inner = inner;
this.n_expert = n_expert;
this.reads_tokens = reads_tokens;
}
}
$dataclass(work$_Matrix, ["name", "layer", "kind", "n_bytes", "n_weights", "inner", "n_expert", "reads_tokens"], true);
class work$ModelWork {
constructor(model) {
const self = this;
self._model = model;
}
$_named() {
const self = this;
return (() => { const $into = []; for (const each of self._model.tensors.values()) { $into.push([each, ...placement$layer_and_part(each.name)]); } return $into; })();
}
get _named() { return this.$kept__named ??= this.$_named(); }
$_matrices() {
const self = this;
return (() => { const $into = []; for (const $row of self._named) { const tensor = $row[0], layer = $row[1], part = $row[2]; if ((($len(tensor.ne) > 1) && !$truth($string.endswith(part, "bias")))) { $into.push(work$_matrix(tensor, layer, part)); } } return $into; })();
}
get _matrices() { return this.$kept__matrices ??= this.$_matrices(); }
$_parts() {
const self = this;
let _, found, layer, part;
found = $collections.defaultdict($list);
for (const $row of self._named) {
_ = $row[0];
layer = $row[1];
part = $row[2];
if ((layer != null)) {
$list.append($get(found, layer), part);
}
}
return found;
}
get _parts() { return this.$kept__parts ??= this.$_parts(); }
by(setup, place_of) {
const self = this;
let device, head, hparams, il, is_copied, is_head, is_tied, layer_shape, matrix, model, n_used, of_all, placement, runs_head, share, use, work, works;
{
const $row = $items([self._model, $bound(setup, "hparams"), $bound(setup, "placement")]);
model = $row[0];
hparams = $row[1];
placement = $row[2];
}
n_used = hparams.n_expert_used;
share = ($truth(hparams.n_expert) ? (n_used / hparams.n_expert) : 0.0);
works = $collections.defaultdict((() => new work$Work(undefined, undefined, undefined, undefined, undefined, undefined, undefined, share, undefined, undefined, undefined, undefined, undefined, undefined, hparams.n_vocab, hparams.n_embd)));
is_tied = !$in("output.weight", model.tensors);
is_copied = $and(is_tied, () => (hparams.family.head !== "embedding"));
head = ($truth(is_tied) ? "token_embd.weight" : "output.weight");
runs_head = ($in(hparams.family.head, ["logits", "embedding"]) || ((hparams.family.head === "of_text") && (setup.pooling == null)));
for (matrix of self._matrices) {
if ((($bound(matrix, "layer") != null) && $ge($bound(matrix, "layer"), hparams.n_layer))) {
continue;
}
is_head = $and($eq(matrix.name, head), () => runs_head);
of_all = $and(is_head, () => (setup.pooling != null));
use = ($truth(of_all) ? "of all" : ($truth(is_head) ? "of the last" : "by name"));
for (device of memory$homes(matrix.name, model, hparams, placement)) {
if (!($truth(is_head) && $truth(is_copied) && !$eq(device, placement.output))) {
work$_add_matrix($get(works, place_of(device)), matrix, use, n_used);
}
}
}
for (const $row of $enumerate(hparams.layers)) {
il = $row[0];
layer_shape = $row[1];
work = $get(works, place_of(placement.layer(il)));
work$_count_kernels(work, layer_shape, self._parts.get(il, []), n_used);
}
work$_add_attention(setup, works, place_of);
$get(works, place_of(placement.output)).kernels = $extended($get(works, place_of(placement.output)).kernels, 4);
return works;
}
}
function work$_matrix(tensor, layer, part) {
return new work$_Matrix(tensor.name, layer, work$kind_of(tensor.quant.name), $float(tensor.n_bytes), $float(tensor.n_elements), $get(tensor.ne, 0), ($in("_exps.", part) ? $get(tensor.ne, (-1)) : 0), !(() => { for (const mark of work$_NO_TOKENS) { if ($in(mark, part)) return true; } return false; })());
}
function work$_add_matrix(work, matrix, use, n_used) {
let kind;
kind = $bound(matrix, "kind");
if ((use === "of the last")) {
$put(work.head_bytes, kind, $extended($get(work.head_bytes, kind), matrix.n_bytes));
}
else {
if ($truth(matrix.n_expert)) {
$put(work.expert_bytes, kind, $extended($get(work.expert_bytes, kind), matrix.n_bytes));
$put(work.expert_flops, kind, $extended($get(work.expert_flops, kind), (((2 * matrix.n_weights) * n_used) / matrix.n_expert)));
work.expert_matrices = $extended(work.expert_matrices, matrix.n_expert);
}
else {
if (((use === "of all") || $truth(matrix.reads_tokens))) {
$put(work.dense_bytes, kind, $extended($get(work.dense_bytes, kind), matrix.n_bytes));
$put(work.dense_flops, kind, $extended($get(work.dense_flops, kind), (2 * matrix.n_weights)));
$put(work.inner_sizes, kind, $extended($get(work.inner_sizes, kind), matrix.inner));
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
function work$_add_attention(setup, works, place_of) {
let compressor, count, fused, group, groups, head_size, hparams, il, layer, n_head, n_head_kv, owners, place, router, row_bytes, shape, tokens, window, work;
{
const $row = $items([$bound(setup, "hparams"), $bound(setup, "cache").flash_attn]);
hparams = $row[0];
fused = $row[1];
}
groups = $collections.Counter();
owners = $collections.Counter();
router = ((hparams.router == null) ? [] : [hparams.router]);
for (const $row of $enumerate([...hparams.layers, ...router])) {
il = $row[0];
layer = $row[1];
place = place_of($bound(setup, "placement").cache(il));
work = $get(works, place);
if (($truth(layer.is_recurrent) && (hparams.ssm != null))) {
work.recurrent_elements = $extended(work.recurrent_elements, $add(hparams.ssm.conv_state, hparams.ssm.ssm_state));
}
if ($in(il, hparams.ngram_layers)) {
work.recurrent_elements = $extended(work.recurrent_elements, hparams.ngram_state);
}
for (compressor of compressed$compressor_states(layer)) {
work.recurrent_elements = $extended(work.recurrent_elements, ((2 * $get(compressor.ne, 0)) * $get(compressor.ne, 1)));
}
if (($truth(layer.has_attention) && $truth(layer.k_width))) {
for (const $row of work$_kept_cells(setup, layer)) {
window = $row[0];
tokens = $row[1];
row_bytes = $row[2];
shape = [layer.n_head, layer.n_head_kv, layer.head_k];
group = [place, window, tokens, ...shape, row_bytes];
$put(groups, group, $extended($get(groups, group), 1));
$put(owners, group, $extended($get(owners, group), $eq(layer.cache_layer, il)));
}
work.kernels = $extended(work.kernels, ($truth(fused) ? 2 : 5));
if ($truth(hparams.has_cache)) {
work.rotations = $extended(work.rotations, $add((2 * $bound(setup, "cache").k.is_quantized), (2 * $bound(setup, "cache").v.is_quantized)));
}
}
}
for (const $row of groups.items()) {
group = $row[0];
count = $row[1];
{
const $row = $items(group);
place = $row[0];
window = $row[1];
tokens = $row[2];
n_head = $row[3];
n_head_kv = $row[4];
head_size = $row[5];
row_bytes = $row[6];
}
$list.append($get(works, place).attention, new work$AttentionWork(count, $get(owners, group), window, n_head, n_head_kv, head_size, row_bytes, ((window == null) ? null : work$_held(setup)), tokens, hparams.is_mla, ($add($bound(setup, "cache").k.is_quantized, $bound(setup, "cache").v.is_quantized) / 2)));
}
}
function work$_held(setup) {
let kept;
kept = $bound(setup, "sizes").cells_swa;
return ($lt(kept, $bound($bound(setup, "sizes"), "cells")) ? kept : null);
}
function work$_kept_cells(setup, layer) {
let cache, hparams, index, keys, values, window;
{
const $row = $items([$bound(setup, "hparams"), $bound(setup, "cache")]);
hparams = $row[0];
cache = $row[1];
}
{
const $row = $items((function* () { for (const width of [layer.k_width, layer.index_width]) { yield cache.k.row_bytes(width); } })());
keys = $row[0];
index = $row[1];
}
values = ($truth(hparams.keeps_v) ? cache.v.row_bytes(layer.v_width) : 0);
window = ($truth(layer.is_swa) ? hparams.n_swa : null);
if ($truth(layer.compress_ratio)) {
return [[window, 1, $add(keys, values)], [null, layer.compress_ratio, $add(keys, index)]];
}
return [[window, 1, $add($add(keys, values), index)]];
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
return $sum((() => { const $into = []; for (const $row of bytes_by_kind.items()) { const kind = $row[0], n_bytes = $row[1]; $into.push((n_bytes * speed_decode$byte_seconds(card, c, kind))); } return $into; })());
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
{
const $row = $items([(n_cells * group.layers), 0.0, $math.inf]);
cells = $row[0];
unpacked = $row[1];
apart = $row[2];
}
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
let attention, compute, copied, micro_batches, n, n_bytes;
if ($truth(work.is_idle)) {
return $dict([]);
}
n = $min(n_ubatch, n_prompt);
micro_batches = (-$floordiv((-n_prompt), n));
n_bytes = work.weight_bytes(n);
attention = $sum((() => { const $into = []; for (const group of work.attention) { $into.push(speed_host$_scores_seconds(group, c, n_prompt, n_depth)); } return $into; })());
if (((card_compute_s != null) && $truth(op_offload) && $ge(n, speed_host$OP_OFFLOAD_TOKENS))) {
copied = (n_bytes / $get(c, "host.pcie_bytes_per_s"));
return $dict([["transfers", (micro_batches * copied)], ["compute", (micro_batches * card_compute_s)], ["host attention", attention]]);
}
compute = ((n * speed_host$_flops(work)) / $get(c, "host.flops_per_s"));
return $dict([["host compute", (micro_batches * speed_host$_smooth_maximum((n_bytes / $get(c, "host.bandwidth_bytes_per_s")), compute))], ["host nodes", (micro_batches * $add($get(c, "host.token_s"), (speed_host$_nodes(work) * $get(c, "host.node_s"))))], ["host attention", attention]]);
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
{
const $row = $items([both, launches]);
products = $row[0];
waiting = $row[1];
}
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
dense = $sum((() => { const $into = []; for (const $row of work.dense_flops.items()) { const kind = $row[0], flops = $row[1]; $into.push(($add((flops * n), ($get(work.inner_sizes, kind) * tile)) / $get(rates, kind))); } return $into; })());
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
return (dense + ($sum((() => { const $into = []; for (const $row of work.expert_flops.items()) { const kind = $row[0], flops = $row[1]; $into.push(((flops * n) / $get(rates, kind))); } return $into; })()) / share));
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
quantized = $sum((() => { const $into = []; for (const $row of work.dense_flops.items()) { const kind = $row[0], flops = $row[1]; if ((kind !== "f16")) { $into.push(flops); } } return $into; })());
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
let cells, flops, head, held, own, scores, seen, share, slow, traffic, unpacked;
held = group.read_cells((n_depth + (n_prompt / 2)));
cells = ((group.window == null) ? held : $min(held, $add(group.window, n)));
own = ((n / 2) / group.tokens_a_cell);
seen = $add($add(cells, ($sub(held, cells) * $get(c, "attention.masked_share"))), own);
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
constructor(model, card, on_card, on_host, config, flash, build_year, spilled_share = 0.0, host_bandwidth_bytes_per_s = null, further = []) {
this.model = model;
this.card = card;
this.on_card = on_card;
this.on_host = on_host;
this.config = config;
this.flash = flash;
this.build_year = build_year;
this.spilled_share = spilled_share;
this.host_bandwidth_bytes_per_s = host_bandwidth_bytes_per_s;
this.further = further;
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
$dataclass(speed$SpeedQuestion, ["model", "card", "on_card", "on_host", "config", "flash", "build_year", "spilled_share", "host_bandwidth_bytes_per_s", "further"], true);
function speed$speed_question(spec, gpu, config, build_year = null, setup = null, work = null, spilled = 0.0, machine = machine$LINUX) {
let on_card, on_host;
if ((gpu == null)) {
config = config.with_($dict([["n_devices", 0]]));
}
if ((setup == null)) {
setup = new memory$MemoryModel(spec).setup(config);
}
{
const $row = $items($or(work, () => work$forward_work(spec, setup)));
on_card = $row[0];
on_host = $row[1];
}
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
{
const $row = $items([question.config, question.on_card]);
config = $row[0];
work = $row[1];
}
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
{
const $row = $items([question.config, question.on_card]);
config = $row[0];
work = $row[1];
}
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
cards = (() => { const $into = []; for (const $row of memory_bytes.items()) { const name = $row[0], n_bytes = $row[1]; $into.push([$get(memory.devices, name), n_bytes]); } return $into; })();
weights = $sum((() => { const $into = []; for (const $row of cards) { const device = $row[0]; $into.push(device.weights_bytes); } return $into; })());
excess = $sum((() => { const $into = []; for (const $row of cards) { const device = $row[0], n_bytes = $row[1]; $into.push($max($sub(device.total_bytes, n_bytes), 0)); } return $into; })());
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
let before, config, decode, decode_rate, decode_width, n_prompt, prefill, prefill_rate, prefill_width;
config = question.config;
{
const $row = $items(speed$prompt_around(config));
n_prompt = $row[0];
before = $row[1];
}
decode = speed$_decode(question, coefficients, config.n_depth);
prefill = speed$_added((function* () { for (const each of speed$_stages(question)) { yield speed$prefill_breakdown(each, speed$_values(each, coefficients), n_prompt, before); } })());
{
const $row = $items([(config.n_parallel / $sum(decode.values())), (n_prompt / $sum(prefill.values()))]);
decode_rate = $row[0];
prefill_rate = $row[1];
}
prefill_width = speed$_width(question, coefficients, "prefill", n_prompt, before);
decode_width = speed$_width(question, coefficients, "decode", 1, config.n_depth);
return new prediction$SpeedEstimate(prefill_rate, decode_rate, speed$_interval(prefill_rate, prefill_width), speed$_interval(decode_rate, decode_width), ("" + "prefill: " + $str(speed$_largest(prefill)) + "; decode: " + $str(speed$_largest(decode))), ((config.n_seq_max > 1) ? speed$_slots_speed(question, coefficients) : null), $tuple((() => { const $into = []; for (const test of ["prefill", "decode"]) { for (const stage of speed$_stages(question)) { for (const each of speed$_untested(stage, coefficients, test)) { $into.push(each); } } } return $into; })()));
}
function speed$predict_input_speed(question, coefficients, n_tokens, is_causal) {
let before, rate, terms, width;
before = ($truth(is_causal) ? 0 : $floordiv(n_tokens, 2));
terms = speed$_added((function* () { for (const each of speed$_stages(question)) { yield speed$prefill_breakdown(each, speed$_values(each, coefficients), n_tokens, before); } })());
width = speed$_width(question, coefficients, "prefill", n_tokens, before);
if (((width != null) && !$truth(is_causal))) {
width = (width * tested$WIDER_UNTESTED);
}
rate = (n_tokens / $sum(terms.values()));
return [rate, speed$_interval(rate, width)];
}
function speed$_stages(question) {
return [question, ...question.further];
}
function speed$_values(question, coefficients) {
return ($truth(question.card) ? coefficients.for_card(question.card.name) : coefficients.values);
}
function speed$_decode(question, coefficients, n_depth) {
return speed$_added((function* () { for (const each of speed$_stages(question)) { yield speed$decode_breakdown(each, speed$_values(each, coefficients), n_depth); } })());
}
function speed$_added(stages) {
let name, seconds, terms, total;
total = $dict([]);
for (terms of stages) {
for (const $row of terms.items()) {
name = $row[0];
seconds = $row[1];
$put(total, name, $add(total.get(name, 0.0), seconds));
}
}
return total;
}
function speed$_width(question, coefficients, test, n_prompt, n_depth) {
let known, widths;
widths = (() => { const $into = []; for (const each of speed$_stages(question)) { $into.push(speed$interval_width(each, coefficients, test, n_prompt, n_depth)); } return $into; })();
known = (() => { const $into = []; for (const width of widths) { if ((width != null)) { $into.push(width); } } return $into; })();
return ($eq($len(known), $len(widths)) ? $max(known) : null);
}
function speed$_slots_speed(question, coefficients) {
let config, n_depth, n_slots, rate, together, width;
config = question.config.with_($dict([["n_parallel", question.config.n_seq_max]]));
{
const $row = $items([config.n_seq_max, $min(config.n_depth, config.deepest)]);
n_slots = $row[0];
n_depth = $row[1];
}
together = $dataclasses.replace(question, new $Named({config: config, further: $tuple((() => { const $into = []; for (const each of question.further) { $into.push($dataclasses.replace(each, new $Named({config: config}))); } return $into; })())}));
rate = (n_slots / $sum(speed$_decode(together, coefficients, n_depth).values()));
width = speed$_width(together, coefficients, "decode", 1, n_depth);
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
const estimator$DRAFT_NOTE = "the speed is of decoding token by token: what drafting gains is not modelled";
const estimator$NO_TENSOR_SPEED = "with split_mode tensor the cards compute each layer together, and what their exchange of results takes is not modelled";
function* estimator$_untested_notes(speed) {
if ($truth(speed.untested)) {
yield ("" + "no measured row has " + $str($string.join(", ", speed.untested)) + ": speed rests on formulas there, and its band is wider");
}
}
function* estimator$_bytes_of(beside) {
let _, buffers, fixed;
for (const $row of beside) {
_ = $row[0];
fixed = $row[1];
buffers = $row[2];
yield* fixed.values();
yield buffers.bytes;
}
}
function estimator$_with_host(devices, name, n_bytes) {
return $dict([...devices.items(), [name, $dataclasses.replace($get(devices, name), new $Named({host_bytes: n_bytes}))]]);
}
class estimator$Estimator {
constructor(model, gpu = null, gpu_memory_bytes = null, coefficients = null, build = null, unified_memory = false, machine = machine$LINUX, riders = [], store = null) {
const self = this;
{
const $row = $items([estimator$model_of(model), $tuple(riders)]);
self.model = $row[0];
self.riders = $row[1];
}
self.store = store;
{
const $row = $items([coefficients, machine]);
self.coefficients = $row[0];
self.machine = $row[1];
}
self.unified_memory = unified_memory;
self.cards = self._left_cards(cards$cards_of(gpu, gpu_memory_bytes));
self._build = build;
self.learned_share = null;
self._head = null;
self._memory = self._memory_of(self.model, null);
self._build_year = ((build == null) ? null : build$build_year(build));
self._longest = $dict([]);
self._overheads = $dict([]);
self.work = new work$ModelWork(self.model);
self._works = $dict([]);
self._questions = $dict([]);
}
_memory_of(model, like) {
const self = this;
return new memory$MemoryModel(model, build$build_of(self._build), self.cards, undefined, undefined, adapters$adapters_of(self.riders), undefined, riders$read_layers(self.riders), like, self.store);
}
get build() {
const self = this;
return self._build;
}
_left_cards(cards) {
const self = this;
let left;
left = self.machine.reserve_bytes;
return $tuple((() => { const $into = []; for (const card of cards) { $into.push(self._loaded($dataclasses.replace(card, new $Named({memory_bytes: $max($sub(card.memory_bytes, left), 1)})))); } return $into; })());
}
_loaded(card) {
const self = this;
let taken, values;
if ((card.free_bytes != null)) {
return card;
}
values = $or(self.coefficients, () => coefficients$default_coefficients());
taken = ($truth(card.spec) ? overhead$loaded_context_bytes(card.spec, values) : card.context_bytes);
return $dataclasses.replace(card, new $Named({free_bytes: $max($sub(card.memory_bytes, taken), 1)}));
}
cards_in(config) {
const self = this;
let drafting, known, used;
known = $dict((() => { const $into = []; for (const card of cards$run_cards(self.cards, config.n_devices)) { $into.push([card.device, card]); } return $into; })());
drafting = $dict((() => { const $into = []; for (const card of self.cards) { if ($in(card.device, draft$draft_devices(config))) { $into.push([card.device, card]); } } return $into; })());
used = ($truth(known) ? self._memory.placement(config).cards : []);
return $union($dict((() => { const $into = []; for (const name of used) { $into.push([name, $get(known, name)]); } return $into; })()), drafting);
}
room_bytes(config) {
const self = this;
return $dict((() => { const $into = []; for (const $row of self.cards_in(config).items()) { const name = $row[0], card = $row[1]; $into.push([name, card.memory_bytes]); } return $into; })());
}
predict(config, longest = true) {
const self = this;
let fits, host, knows_card, memory, speed, writes;
speed$check_depth(config);
memory = self.memory(config);
knows_card = $bool(self.cards_in(config));
host = self.host(config, memory);
fits = ($truth(knows_card) ? self.fits(config) : null);
speed = self._speed(config, memory);
writes = self.makes_text(config);
return new prediction$Prediction(self.model.name, config, memory, host, (() => { for (const $row of self._refusals(config)) { const kind = $row[0]; return kind; } return null; })(), fits, ($truth(knows_card) ? self._fit_probability(memory, config) : null), self._card_fits(memory, config), (($truth(knows_card) && $truth(longest) && $truth(writes)) ? self._max_context(config) : null), ((($it) => $is.str($it))(speed) ? null : speed), ((($it) => $is.str($it))(speed) ? speed : null), ($truth(writes) ? null : self._inputs(config, memory, $and(knows_card, () => longest))), [...memory.warnings, ...self._beyond_training(config), ...self._among_cards(config, speed), ...self._doubts(config, fits, speed)]);
}
memory(config) {
const self = this;
let beside, buffers, compute, fixed, notes, rider, setup, target;
setup = self._memory.setup(config);
target = self._trusted(self._with_overhead(self._memory.estimate(config), config));
compute = self._memory.compute(setup);
beside = $dict([]);
notes = [];
for (const $row of self._beside(config, setup, compute.bytes)) {
rider = $row[0];
fixed = $row[1];
buffers = $row[2];
$put(beside, rider.name, riders$device_memory(fixed, buffers.bytes));
notes = $extended(notes, rider.notes(config));
target = self._with_rider(target, rider, buffers);
}
target = $dataclasses.replace(target, new $Named({warnings: [...target.warnings, ...notes]}));
return self._pooled(riders$together(target, beside), config);
}
kv_cache_bytes(config) {
const self = this;
let caches, cards, devices;
cards = self.cards_in(config);
if ($truth(self.aboard(config))) {
devices = self.memory(config).devices;
return $sum((() => { const $into = []; for (const card of cards) { $into.push($bound($get(devices, card), "kv_cache_bytes")); } return $into; })());
}
caches = $get(self._memory.fixed(self._memory.setup(config)), "kv_cache_bytes");
return $sum((() => { const $into = []; for (const card of cards) { $into.push(caches.get(card, 0)); } return $into; })());
}
_pooled(memory, config) {
const self = this;
let contexts, devices, n_bytes, shared, target;
shared = host_memory$shared_card(self.cards_in(config));
if ((shared == null)) {
return memory;
}
n_bytes = host_memory$pool_bytes(memory.devices, self._process_bytes(config));
target = $get(memory.contexts, prediction$TARGET);
contexts = $dict([...memory.contexts.items(), [prediction$TARGET, estimator$_with_host(target, shared, n_bytes)]]);
devices = estimator$_with_host(memory.devices, shared, n_bytes);
return $dataclasses.replace(memory, new $Named({devices: devices, contexts: contexts}));
}
_process_bytes(config) {
const self = this;
let cuda, values;
values = $or(self.coefficients, () => coefficients$default_coefficients());
cuda = ($truth(config.n_devices) ? $round($get(values, "memory.host_cuda_bytes")) : 0);
return host_memory$program_bytes(self.model.n_vocab, cuda);
}
host(config, memory = null) {
const self = this;
let caches, cards, own, shared, taken;
memory = $or(memory, () => self.memory(config));
cards = self.cards_in(config);
shared = host_memory$shared_card(cards);
caches = ($truth(self.makes_text(config)) ? $dict([]) : $dict([["cache_ram_mib", 0], ["ctx_checkpoints", 0]]));
taken = host_memory$host_memory(memory, config.with_($dict([...caches.items()])), self._process_bytes(config), self._memory.checkpoint_bytes(config), (shared != null));
if ((shared == null)) {
return host$host_fit(taken, host_memory$host_room(self.machine));
}
own = $sub($get(memory.devices, shared).total_bytes, $get(memory.devices, shared).host_bytes);
return host$host_fit(taken, $sub($get(cards, shared).memory_bytes, own), true);
}
_trusted(memory) {
const self = this;
let is_exact, trust;
if ($truth(memory.trust.is_counted)) {
return memory;
}
trust = self._trust_in(memory.trust.architecture, memory);
is_exact = $and(memory.exact_compute, () => $or((trust.build !== "unknown"), () => trust.is_exact));
return $dataclasses.replace(memory, new $Named({trust: trust, exact_compute: is_exact}));
}
_with_rider(memory, rider, buffers) {
const self = this;
let known, trust;
known = ($truth($bound(rider, "composes")) ? "composed" : "exact");
if (!$truth(buffers.is_exact)) {
known = "general rule";
}
if ($le($get(trust$LESS_KNOWN, known), $get(trust$LESS_KNOWN, memory.trust.architecture))) {
return memory;
}
trust = $dataclasses.replace(self._trust_in(known, memory), new $Named({rider: rider.name}));
return $dataclasses.replace(memory, new $Named({trust: trust, exact_compute: false}));
}
_trust_in(architecture, memory) {
const self = this;
let has_cards;
has_cards = $any($map(prediction$is_card, memory.devices));
return trust$trust_of(architecture, self._build, has_cards, self.learned_share);
}
aboard(config) {
const self = this;
if ((!$in(speculation$MTP, config.spec_kinds) || (() => { for (const rider of self.riders) { if ((rider.name === "draft")) return true; } return false; })())) {
return self.riders;
}
if ((self._head == null)) {
self._head = draft$head_of(self.model, build$build_of(self._build));
}
return [self._head, ...self.riders];
}
*_beside(config, setup, compute_bytes) {
const self = this;
let buffers, cards, fixed, n_cards, rider, riders, taken;
riders = self.aboard(config);
if (!$truth(riders)) {
return null;
}
taken = [...self._memory.fixed(setup).values(), compute_bytes];
for (rider of riders) {
n_cards = $max(config.n_devices, $len(self.cards));
cards = riders$left_on(cards$run_cards(self.cards, n_cards), taken);
fixed = rider.fixed_bytes(config, setup, cards);
buffers = rider.compute_buffers(config, setup, cards);
taken = $extended(taken, [...fixed.values(), buffers.bytes]);
yield [rider, fixed, buffers];
}
}
speed(config, memory = null) {
const self = this;
let speed;
speed$check_depth(config);
speed = self._speed(config, $or(memory, () => self.memory(config)));
return ((($it) => $is.str($it))(speed) ? null : speed);
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
*_among_cards(config, speed) {
const self = this;
let cards, free, is_divided;
cards = $tuple(self.cards_in(config).values());
if (($len(cards) < 2)) {
return null;
}
is_divided = $any($or(config.tensor_split, () => []));
if ($truth(self._memory.placement(config).is_cut)) {
if ((!$truth(is_divided) && ($len($set((() => { const $into = []; for (const card of cards) { $into.push(card.memory_bytes); } return $into; })())) > 1))) {
yield "split_mode tensor cuts every layer into equal slices, whatever a card's memory; tensor_split cuts them otherwise";
}
}
else {
if (!$truth(is_divided)) {
free = $string.join(", ", (() => { const $into = []; for (const card of cards) { $into.push(("" + $str(card.device) + " " + $str(units$mib($or(card.free_bytes, () => 0))))); } return $into; })());
yield ("" + "llama.cpp divides the layers by free memory, taken to be " + $str(free) + ": another program on a card shifts them, tensor_split does not let it");
}
}
if (!(($it) => $is.str($it))(speed)) {
yield "the speed is of the cards one after the other, each at its own rates; what passes between them is not counted";
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
if ($truth(config.spec_kinds)) {
yield estimator$DRAFT_NOTE;
}
else {
if ($truth(self.model.integer("nextn_predict_layers", 0))) {
yield estimator$MTP_NOTE;
}
}
}
_speed(config, memory) {
const self = this;
let question, reason;
if ($truth((reason = self._no_speed(config, memory)))) {
return reason;
}
if (!$truth(self.makes_text(config))) {
return ($truth(config.embeddings) ? inputs$NO_DECODE : inputs$NO_TEXT);
}
question = self.question(config);
if (($truth(self.unified_memory) && $truth(self.cards))) {
question = self._spilled(question, config, memory);
}
return speed$predict_speed(question, $or(self.coefficients, () => coefficients$default_coefficients()));
}
makes_text(config) {
const self = this;
return inputs$makes_text(self._memory.setup(config));
}
longest_input(config) {
const self = this;
return inputs$longest_input(self.model, config, self._memory.setup(config));
}
max_input(config) {
const self = this;
let found, most, steps;
if (!$truth(inputs$is_one_batch(self._memory.setup(config)))) {
return self._max_context(config, self.model.n_ctx_train);
}
most = self.model.n_ctx_train;
if ($truth(self.fits(inputs$with_input(config, most)))) {
return most;
}
steps = $range(1, ($floordiv(most, inputs$INPUT_STEP) + 1));
found = $bisect.bisect_left(steps, true, new $Named({key: ((n) => !$truth(self.fits(inputs$with_input(config, (n * inputs$INPUT_STEP)))))}));
return (found * inputs$INPUT_STEP);
}
_inputs(config, memory, longest) {
const self = this;
let interval, most, n_tokens, setup, speed;
setup = self._memory.setup(config);
{
const $row = $items([self.longest_input(config), 0]);
n_tokens = $row[0];
most = $row[1];
}
if (($truth(longest) && $truth(inputs$is_one_batch(setup)) && $lt(n_tokens, self.model.n_ctx_train))) {
most = self.max_input(config);
}
{
const $row = $items([null, null]);
speed = $row[0];
interval = $row[1];
}
if (!$truth(self._no_speed(config, memory))) {
{
const $row = $items(speed$predict_input_speed(self.question(config), $or(self.coefficients, () => coefficients$default_coefficients()), n_tokens, $bound(setup, "hparams").is_causal));
speed = $row[0];
interval = $row[1];
}
}
return new prediction$InputEstimate(n_tokens, ($gt(most, n_tokens) ? most : null), inputs$is_one_batch(setup), inputs$result_bytes(self.model, setup, $bound(setup, "sizes").n_batch), speed, interval);
}
_spilled(question, config, memory) {
const self = this;
let alike, cards, each, further;
{
const $row = $items([self.cards_in(config), []]);
cards = $row[0];
further = $row[1];
}
for (each of [question, ...question.further]) {
alike = $dict((() => { const $into = []; for (const $row of cards.items()) { const name = $row[0], card = $row[1]; if (($truth(each.card) && $truth(card.spec) && $eq(card.spec.name, each.card.name))) { $into.push([name, card.memory_bytes]); } } return $into; })());
$list.append(further, $dataclasses.replace(each, new $Named({spilled_share: speed$spilled_share(memory, alike)})));
}
return $dataclasses.replace($get(further, 0), new $Named({further: $tuple($slice(further, 1, null, null))}));
}
question(config) {
const self = this;
if (!$in(config, self._questions)) {
$put(self._questions, config, self._question(config));
}
return $get(self._questions, config);
}
_question(config) {
const self = this;
let at, cards, first, further, idle, key, kinds, logits, of_card, of_host, others, setup, work, works;
cards = self.cards_in(config);
kinds = $dict((() => { const $into = []; for (const $row of cards.items()) { const name = $row[0], card = $row[1]; if ($truth(card.spec)) { $into.push([name, card.spec]); } } return $into; })());
at = ($truth(kinds) ? config : config.with_($dict([["n_devices", 0]])));
setup = self._memory.setup(at);
key = [work$work_key(setup), $tuple(kinds.items())];
if (!$in(key, self._works)) {
$put(self._works, key, self.work.by(setup, ((device) => kinds.get(device))));
}
{
const $row = $items([$get(self._works, key), kinds.get($bound(setup, "placement").output)]);
works = $row[0];
logits = $row[1];
}
idle = new work$Work(undefined, undefined, undefined, undefined, undefined, undefined, undefined, undefined, undefined, undefined, undefined, undefined, undefined, undefined, $bound(setup, "hparams").n_vocab, $bound(setup, "hparams").n_embd);
[first, ...others] = $or($dict.fromkeys(kinds.values()), () => [null]);
of_card = ($truth(first) ? works.get(first, idle) : idle);
of_host = works.get(null, idle);
if ($in(logits, others)) {
of_card = $dataclasses.replace(of_card, new $Named({n_vocab: 0}));
}
function of(gpu, on_card, on_host) {
return speed$speed_question(self.model, gpu, at, self._build_year, setup, [on_card, on_host], undefined, self.machine);
}
further = $tuple((() => { const $into = []; for (const gpu of others) { if ($truth((work = works.get(gpu)))) { $into.push(of(gpu, ($eq(gpu, logits) ? work : $dataclasses.replace(work, new $Named({n_vocab: 0}))), idle)); } } return $into; })());
return $dataclasses.replace(of(first, of_card, of_host), new $Named({further: further}));
}
_no_speed(config, memory) {
const self = this;
let _, card, cards, certain, name, sentence;
if (((config.n_devices === 0) && (self.coefficients == null))) {
return "a CPU's speed is known once oomph calibrate has measured it";
}
cards = self.cards_in(config);
if (($truth(config.n_devices) && (!$truth(cards) || (() => { for (const card of cards.values()) { if (!$truth(card.spec)) return true; } return false; })()))) {
return "the speed depends on the card: name a GPU";
}
for (const $row of self._refusals(config)) {
_ = $row[0];
sentence = $row[1];
return sentence;
}
if ($truth(self._memory.placement(config).is_cut)) {
return estimator$NO_TENSOR_SPEED;
}
for (const $row of (!$truth(self.unified_memory) ? cards.items() : [])) {
name = $row[0];
card = $row[1];
certain = $get(memory.devices, name).certain_bytes(memory.exact_compute);
if ($gt(certain, card.memory_bytes)) {
return ("" + "it does not load: " + $str(name) + " would have to hold " + $str(units$mib(certain)) + " and has " + $str(units$mib(card.memory_bytes)));
}
}
return null;
}
_refusals(config) {
const self = this;
return self._memory.refusals(config, self._memory.setup(config));
}
_overhead(config) {
const self = this;
let cards, key, of_kind, values;
cards = cards$run_cards(self.cards, config.n_devices);
key = overhead$pool_key(config);
if (!$in(key, self._overheads)) {
values = $or(self.coefficients, () => coefficients$default_coefficients());
of_kind = $dict((() => { const $into = []; for (const spec of $dict.fromkeys((function* () { for (const card of cards) { yield card.spec; } })())) { if ($truth(spec)) { $into.push([spec, overhead$overhead_bytes(self.model, config, spec, values)]); } } return $into; })());
$put(self._overheads, key, $dict((() => { const $into = []; for (const card of cards) { $into.push([card.device, ($truth(card.spec) ? $get(of_kind, card.spec) : card.context_bytes)]); } return $into; })()));
}
return $get(self._overheads, key);
}
_with_overhead(memory, config) {
const self = this;
let devices, overhead;
overhead = self._overhead(config);
devices = $dict((() => { const $into = []; for (const $row of memory.devices.items()) { const name = $row[0], device = $row[1]; $into.push([name, $dataclasses.replace(device, new $Named({overhead_bytes: overhead.get(name, 0)}))]); } return $into; })());
return $dataclasses.replace(memory, new $Named({devices: devices}));
}
changed(model = null, gpu = null, gpu_memory_bytes = null, coefficients = null, riders = null) {
const self = this;
let bare, is_other, other;
other = $copy.copy(self);
other.riders = ((riders == null) ? self.riders : $tuple(riders));
{
const $row = $items([$dict([]), $dict([]), $dict([])]);
other._longest = $row[0];
other._overheads = $row[1];
other._questions = $row[2];
}
other.coefficients = $or(coefficients, () => self.coefficients);
bare = $tuple((() => { const $into = []; for (const card of self.cards) { $into.push($dataclasses.replace(card, new $Named({free_bytes: null}))); } return $into; })());
if (((gpu == null) && (gpu_memory_bytes == null))) {
other.cards = $tuple($map($bound(other, "_loaded"), bare));
}
else {
other.cards = other._left_cards(cards$cards_of($or(gpu, () => bare), gpu_memory_bytes));
}
other._memory = self._memory.on(other.cards);
if ((model != null)) {
{
const $row = $items([model, $dict([]), null]);
other.model = $row[0];
other._works = $row[1];
other._head = $row[2];
}
other.work = new work$ModelWork(model);
}
is_other = !$eq(adapters$adapters_of(other.riders), adapters$adapters_of(self.riders));
if (((model != null) || $truth(is_other) || !$eq(riders$read_layers(other.riders), riders$read_layers(self.riders)))) {
other._memory = other._memory_of(other.model, self._memory);
}
return other;
}
setup(config) {
const self = this;
return self._memory.setup(config);
}
placement(config) {
const self = this;
return self._memory.placement(config);
}
fits(config) {
const self = this;
if (!$truth(self.fits_cards(config))) {
return false;
}
return $or((self.machine.ram_bytes == null), () => host$runs(self.host(config).state));
}
fits_cards(config) {
const self = this;
let beside, compute, setup;
setup = self._memory.setup(config);
if (!$truth(self._has_room(config, setup, []))) {
return false;
}
if ($any(self._refusals(config))) {
return false;
}
compute = self._memory.compute(setup).bytes;
beside = self._beside(config, setup, compute);
return self._has_room(config, setup, [compute, ...estimator$_bytes_of(beside)]);
}
_has_room(config, setup, besides) {
const self = this;
let hosts, parts, shared;
if (!$truth(self.cards)) {
throw new errors$ConfigError("what fits depends on the card: name a GPU, or give its memory");
}
parts = [...self._memory.fixed(setup).values(), self._overhead(config), ...besides];
if (((shared = host_memory$shared_card(self.cards_in(config))) != null)) {
hosts = $sum((() => { const $into = []; for (const part of parts) { for (const $row of part.items()) { const name = $row[0], n = $row[1]; if (!$truth(prediction$is_card(name))) { $into.push(n); } } } return $into; })());
$list.append(parts, $dict([[shared, $add(self._process_bytes(config), hosts)]]));
}
return (() => { for (const $row of self.room_bytes(config).items()) { const name = $row[0], n_bytes = $row[1]; if (!$le($sum((() => { const $into = []; for (const part of parts) { $into.push(part.get(name, 0)); } return $into; })()), n_bytes)) return false; } return true; })();
}
_fit_probability(memory, config) {
const self = this;
let cards, values;
cards = self.cards_in(config);
if ((() => { for (const card of cards.values()) { if ((card.spec == null)) return true; } return false; })()) {
return null;
}
if ($any(self._refusals(config))) {
return 0.0;
}
values = $or(self.coefficients, () => coefficients$default_coefficients());
return $min(likelihood$fit_probabilities(memory, cards, values).values(), new $Named({default: 1.0}));
}
_card_fits(memory, config) {
const self = this;
let cards, likely, values;
{
const $row = $items([self.cards_in(config), $or(self.coefficients, () => coefficients$default_coefficients())]);
cards = $row[0];
values = $row[1];
}
likely = likelihood$fit_probabilities(memory, cards, values);
return $tuple((() => { const $into = []; for (const $row of cards.items()) { const name = $row[0], card = $row[1]; $into.push(new prediction$CardFit(name, ($truth(card.spec) ? card.spec.name : null), card.memory_bytes, $sub(card.memory_bytes, $get(memory.devices, name).total_bytes), likely.get(name))); } return $into; })());
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
let beyond, end, found, least, nothing;
nothing = [$dict([])];
function at(steps) {
return config.with_($dict([["n_ctx", (steps * config$CONTEXT_STEP)]]));
}
function live(steps) {
let beside, compute, config, setup;
config = at(steps);
setup = self._memory.setup(config);
compute = self._memory.compute(setup);
beside = self._beside(config, setup, compute.bytes);
return [compute.live_bytes, ...(() => { const $into = []; for (const $row of beside) { const each = $row[2]; $into.push(each.live_bytes); } return $into; })()];
}
function is_full(steps, lived) {
let beside, config, fixed, setup;
config = at(steps);
setup = self._memory.setup(config);
beside = self._beside(config, setup, $get(lived, 0));
fixed = (() => { const $into = []; for (const $row of beside) { const each = $row[1]; for (const part of each.values()) { $into.push(part); } } return $into; })();
return !$truth(self._has_room(config, setup, [...lived, ...fixed]));
}
if ($truth(is_full(1, nothing))) {
return 0;
}
if ($truth(self.fits(at(most)))) {
return most;
}
found = $bisect.bisect_left($range(1, most), true, new $Named({key: ((steps) => !$truth(self.fits(at(steps))))}));
if ($truth(is_full((found + 1), nothing))) {
return found;
}
least = live((found + 1));
end = $bisect.bisect_left($range(1, most), true, new $Named({key: ((steps) => is_full(steps, least))}));
end = $min(end, $add(found, estimator$MOST_TRIED));
beyond = $range((found + 1), (end + 1));
end = $add(found, $bisect.bisect_left(beyond, true, new $Named({key: ((steps) => is_full(steps, live(steps)))})));
return (() => { for (const steps of $range(end, found, (-1))) { if ($truth(self.fits(at(steps)))) { return steps; } } return found; })();
}
get n_layer() {
const self = this;
return self._memory.hparams().n_layer_all;
}
}
const trust_words$_ARCHITECTURES = $dict([["exact", "architecture replayed exactly"], ["composed", "architecture not in the table, its graph composed from the usual tensors"], ["general rule", "architecture known by the general rule only"]]);
const trust_words$_WHOSE = $dict([["", ""], ["mtp", "the head's "], ["draft", "the draft's "], ["projector", "the projector's "], ["lora", "the adapter's "]]);
const trust_words$_BUILDS = $dict([["seen", "build checked"], ["from source", "build read in its source, not run"], ["unknown", "build not seen"]]);
function trust_words$trust_sentence(trust) {
let follows, known, learned;
if ($truth(trust.is_counted)) {
return "trust: the compute buffers are those that llama.cpp itself counts, as its --fit does";
}
if ($truth(trust.is_exact)) {
follows = "buffers \u00b1 0 bytes";
}
else {
if ((trust.compute_share == null)) {
follows = "no bound was measured for the compute buffers";
}
else {
follows = ("" + "compute buffers \u00b1 " + $str(units$share(trust.compute_share, 0)));
}
}
learned = ($truth(trust.is_learned) ? ", as `oomph verify` saw here" : "");
known = ("" + $str($get(trust_words$_WHOSE, trust.rider)) + $str($get(trust_words$_ARCHITECTURES, trust.architecture)));
return ("" + "trust: " + $str(known) + ", " + $str($get(trust_words$_BUILDS, trust.build)) + ": " + $str(follows) + $str(learned));
}
class shown$Place {
constructor(name, parts, limit_bytes) {
this.name = name;
this.parts = parts;
this.limit_bytes = limit_bytes;
}
}
$dataclass(shown$Place, ["name", "parts", "limit_bytes"], true);
class shown$Shown {
constructor(places, on_cards, fits, fit_probability, speed, speed_reason, host_state, process_bytes, checkpoints_bytes, prompt_cache_bytes, notes) {
this.places = places;
this.on_cards = on_cards;
this.fits = fits;
this.fit_probability = fit_probability;
this.speed = speed;
this.speed_reason = speed_reason;
this.host_state = host_state;
this.process_bytes = process_bytes;
this.checkpoints_bytes = checkpoints_bytes;
this.prompt_cache_bytes = prompt_cache_bytes;
this.notes = notes;
}
}
$dataclass(shown$Shown, ["places", "on_cards", "fits", "fit_probability", "speed", "speed_reason", "host_state", "process_bytes", "checkpoints_bytes", "prompt_cache_bytes", "notes"], true);
function shown$shown_of(answer) {
let cards, devices, host, limits;
devices = $bound(answer, "memory").devices;
cards = (() => { const $into = []; for (const name of devices) { if ($truth(prediction$is_card(name))) { $into.push(name); } } return $into; })();
limits = $dict((() => { const $into = []; for (const card of answer.cards) { $into.push([card.device, card.memory_bytes]); } return $into; })());
host = $bound(answer, "host");
return new shown$Shown([...(() => { const $into = []; for (const name of cards) { $into.push(new shown$Place((($len(cards) > 1) ? name : "Card"), shown$_parts([$get(devices, name)]), limits.get(name))); } return $into; })(), new shown$Place("Host", shown$_parts((() => { const $into = []; for (const name of devices) { if (!$truth(prediction$is_card(name))) { $into.push($get(devices, name)); } } return $into; })()), ($truth(host.is_shared) ? null : $bound(host, "room_bytes")))], (answer.config.n_devices > 0), $bound(answer, "fits"), answer.fit_probability, $bound(answer, "speed"), answer.speed_reason, host.state, $bound(host, "memory").process_bytes, $bound(host, "memory").checkpoints_bytes, $bound(host, "memory").prompt_cache_bytes, [...answer.warnings, trust_words$trust_sentence($bound(answer, "memory").trust)]);
}
function shown$_parts(devices) {
return $tuple((() => { const $into = []; for (const part of prediction$COMPONENTS) { $into.push($sum((() => { const $into = []; for (const device of devices) { $into.push($getattr(device, part)); } return $into; })())); } return $into; })());
}
const slices$REFUSED = $frozenset($set(["bailingmoe3", "bitnet", "deepseek2", "deepseek32", "dots3note", "falcon-h1", "gemma3n", "glm-dsa", "glm5-next", "granitehybrid", "grok", "hy_v4", "jamba", "kimi-k3", "kimi-linear", "mamba", "mamba2", "minicpm3", "minimax-01", "minimax-m2", "minimax-m3", "mistral4", "mpt", "nemotron_h", "nemotron_h_moe", "olmo2", "olmoe", "plamo2", "qwen3tts", "qwen4exp", "t5"]));
const slices$WHOLE = ["hrm_text"];
const slices$WHOLE_STATES = ["lfm2", "lfm2moe"];
const slices$EFFICIENT = 128;
class slices$Role {
constructor(name, axis, pieces, like = []) {
this.name = name;
this.axis = axis;
this.pieces = pieces;
this.like = like;
}
}
$dataclass(slices$Role, ["name", "axis", "pieces", "like"], true);
const slices$_ATTENTION = ["attn_output.weight", "ssm_out.weight"];
const slices$_RECURRENT = ["ssm_out.weight"];
const slices$_FEED_FORWARD = ["ffn_down.weight", "ffn_down_exps.weight"];
const slices$ROLES = [new slices$Role("attn_q\\.weight", 1, "query", slices$_ATTENTION), new slices$Role("attn_k\\.weight", 1, "key", slices$_ATTENTION), new slices$Role("attn_v\\.weight", 1, "value", slices$_ATTENTION), new slices$Role("attn_qkv\\.weight", 1, "fused", slices$_ATTENTION), new slices$Role("attn_q\\.bias", 0, "query", slices$_ATTENTION), new slices$Role("attn_k\\.bias", 0, "key", slices$_ATTENTION), new slices$Role("attn_v\\.bias", 0, "value", slices$_ATTENTION), new slices$Role("attn_qkv\\.bias", 0, "fused", slices$_ATTENTION), new slices$Role("attn_(q|k)_norm\\.weight", 1, "row", slices$_ATTENTION), new slices$Role("cache_k", 0, "key", slices$_ATTENTION), new slices$Role("cache_v", 0, "value", slices$_ATTENTION), new slices$Role("attn_sinks\\.weight", 0, "head", slices$_ATTENTION), new slices$Role("attn_output\\.weight", 0, "output"), new slices$Role("attn_gate\\.weight", 1, "gate", slices$_ATTENTION), new slices$Role("ssm_(dt\\.bias|a)", 0, "heads_of_state", slices$_RECURRENT), new slices$Role("ssm_(alpha|beta)\\.weight", 1, "heads_of_state", slices$_RECURRENT), new slices$Role("ssm_ba\\.weight", 1, "pairs_of_state", slices$_RECURRENT), new slices$Role("cache_r", 0, "conv_state", slices$_RECURRENT), new slices$Role("cache_s", 0, "ssm_state", slices$_RECURRENT), new slices$Role("ssm_conv1d\\.weight", 1, "fused", slices$_RECURRENT), new slices$Role("ssm_out\\.weight", 0, "output"), new slices$Role("ffn_up(_exps)?\\.weight", 1, "up", slices$_FEED_FORWARD), new slices$Role("ffn_up(_exps)?\\.bias", 0, "up", slices$_FEED_FORWARD), new slices$Role("ffn_gate(_exps)?\\.weight", 1, "block", slices$_FEED_FORWARD), new slices$Role("ffn_gate(_exps)?\\.bias", 0, "block", slices$_FEED_FORWARD), new slices$Role("ffn_gate_up(_exps)?\\.weight", 1, "gate_up", slices$_FEED_FORWARD), new slices$Role("ffn_down(_exps)?\\.weight", 0, "block", slices$_FEED_FORWARD), new slices$Role("output\\.weight", 1, "row"), new slices$Role("output\\.bias", 0, "row")];
const slices$_GROUPED = ["attn_output_a.weight"];
const slices$_SHARED = ["ffn_down_shexp.weight"];
const slices$ROLES_OF_GROUPS = [new slices$Role("attn_sinks\\.weight", 0, "group_heads", slices$_GROUPED), new slices$Role("attn_q_b\\.weight", 1, "group_queries", slices$_GROUPED), new slices$Role("attn_output_a\\.weight", 1, "group_rank"), new slices$Role("attn_output_b\\.weight", 0, "group_rank"), new slices$Role("ffn_(up|gate)_shexp\\.weight", 1, "block", slices$_SHARED), new slices$Role("ffn_down_shexp\\.weight", 0, "block"), ...(() => { const $into = []; for (const role of slices$ROLES) { if ($truth($string.startswith(role.name, "ffn_"))) { $into.push(role); } } return $into; })()];
function slices$_compiled(roles) {
return $tuple((() => { const $into = []; for (const role of roles) { $into.push([$re.compile(("" + "(" + $str(role.name) + ")$")), role]); } return $into; })());
}
const slices$_PATTERNS = slices$_compiled(slices$ROLES);
const slices$_PATTERNS_OF_GROUPS = slices$_compiled(slices$ROLES_OF_GROUPS);
class slices$Slices {
constructor(model, hparams, n_cards, tensor_split = null) {
const self = this;
let before, kinds, looped, n_layer, recurrent, said;
{
const $row = $items([model, hparams, n_cards]);
self._model = $row[0];
self._hparams = $row[1];
self._n_cards = $row[2];
}
said = $tuple($or(tensor_split, () => []));
self._shares = [...$map(placement$float32, said), ...$repeat([0.0], (n_cards - $len(said)))];
self._n_ff = model.per_layer("feed_forward_length", 0);
n_layer = layers$n_decoding(model);
recurrent = [...layers$recurrent_layers(model), ...$repeat([false], $sub(model.n_layer, n_layer))];
kinds = [...$zip(recurrent, layers$windowed_layers(model, model.n_layer), new $Named({strict: true}))];
looped = (() => { const $into = []; for (const _ of $range(hparams.n_loops)) { for (const kind of kinds) { $into.push(kind); } } return $into; })();
kinds = [...looped, [false, false]];
self._layers = hparams.layers;
if ($truth(hparams.router)) {
self._layers = $extended(self._layers, [hparams.router]);
}
if (($len(hparams.layers) < $add(n_layer, layers$n_predicting(model)))) {
self._layers = $extended(self._layers, $slice(hparams$resolve_head(model).layers, $len(hparams.layers), null, null));
}
before = (function* () { for (const $row of $enumerate(kinds)) { const il = $row[0], kind = $row[1]; yield $sum((() => { const $into = []; for (const each of $slice(kinds, null, il, null)) { $into.push($eq(each, kind)); } return $into; })()); } })();
self._turns = (() => { const $into = []; for (const n of before) { $into.push($mod(n, n_cards)); } return $into; })();
self._last_turn = $mod(n_layer, n_cards);
}
tensor(name) {
const self = this;
let counts, full, il, info, own, role;
info = $get(self._model.tensors, name);
{
const $row = $items([placement$layer_of(name), tensor$shape(info.ne)]);
il = $row[0];
full = $row[1];
}
own = ((il == null) ? name : $get($string.split(name, ".", 2), 2));
role = self._role_of(own);
if (((role == null) || ($get(full, role.axis) === 1))) {
return $repeat([full], self._n_cards);
}
counts = self._cut(role, il, $get(full, role.axis), info.quant.block);
return $tuple((() => { const $into = []; for (const n of counts) { $into.push(tensor$shape($tuple((() => { const $into = []; for (const $row of $enumerate(full)) { const axis = $row[0], ne = $row[1]; $into.push(($eq(axis, role.axis) ? n : ne)); } return $into; })()))); } return $into; })());
}
cache(name, il, width) {
const self = this;
let is_whole;
is_whole = ($in(name, ["cache_r", "cache_s"]) && $in(self._model.arch, slices$WHOLE_STATES));
return $tuple(self._cut(($truth(is_whole) ? null : self._role_of(name)), il, width, 1));
}
*faults(placement) {
const self = this;
let fault, hparams, il, name, needed, own, routers, tensors, there;
if ($in(self._model.arch, slices$WHOLE)) {
return null;
}
{
const $row = $items([self._model.tensors, self._hparams]);
tensors = $row[0];
hparams = $row[1];
}
there = $set((() => { const $into = []; for (const name of tensors) { if ($truth(placement$is_loaded(name, hparams))) { $into.push(name); } } return $into; })());
for (name of $sorted(there, new $Named({key: ((name) => [$or(placement$layer_of(name), () => 0), name])}))) {
il = placement$layer_of(name);
if (((il == null) || !$truth($string.startswith(name, "blk.")) || !$eq(placement.weight(name), placement$META))) {
continue;
}
own = $string.removeprefix(name, ("" + "blk." + $str(il) + "."));
if ($truth((fault = self._fault(own, il, there)))) {
yield fault;
return null;
}
}
routers = ($truth(hparams.router) ? [$len(hparams.layers)] : []);
for (il of [...hparams.running, ...routers]) {
needed = self._tells_cache(il, $get(self._layers, il), there);
if (($truth(needed) && $eq(placement.cache(il), placement$META))) {
yield ("" + "the cache of layer " + $str(il) + " has no " + $str(needed) + " to be cut by");
return null;
}
}
}
_tells_cache(il, layer, there) {
const self = this;
let is_whole, keeps, name, needed;
name = ($truth(layer.is_recurrent) ? "cache_s" : "cache_k");
is_whole = $and(layer.is_recurrent, () => $in(self._model.arch, slices$WHOLE_STATES));
keeps = $or(layer.is_recurrent, () => $and(layer.has_attention, () => self._hparams.has_cache));
if ((!$truth(keeps) || $truth(is_whole) || (self._role_of(name) == null))) {
return "";
}
needed = ($truth(layer.is_recurrent) ? "ssm_out.weight" : "attn_output.weight");
return ($in(("" + "blk." + $str(il) + "." + $str(needed)), there) ? "" : needed);
}
_fault(own, il, there) {
const self = this;
let info, is_one_block, layer, prefix, role, width;
{
const $row = $items([self._role_of(own), $get(self._layers, il), ("" + "blk." + $str(il) + ".")]);
role = $row[0];
layer = $row[1];
prefix = $row[2];
}
info = $get(self._model.tensors, $add(prefix, own));
if (($truth($string.endswith(own, "_norm.bias")) && $truth($string.startswith(own, "attn_")) && ($len(info.ne) > 1))) {
return ("" + $str(prefix) + $str(own) + " has a row for each head and is not cut as they are");
}
if ((role == null)) {
return null;
}
if (($truth($bound(role, "like")) && !(() => { for (const like of $bound(role, "like")) { if ($in($add(prefix, like), there)) return true; } return false; })())) {
return ("" + $str(prefix) + $str(own) + " has no " + $str($get($bound(role, "like"), 0)) + " to be cut by");
}
if (((own === "attn_output.weight") && !$truth(layer.n_head_kv) && !$truth(layer.is_recurrent))) {
return ("" + "layer " + $str(il) + " has no KV heads to cut its output by");
}
width = (2 * self._model.integer("expert_feed_forward_length", 0));
if (((role.pieces === "gate_up") && !$eq($get(info.ne, 1), width))) {
return ("" + $str(prefix) + $str(own) + " is not twice as wide as expert_feed_forward_length says");
}
is_one_block = ((role.axis === 0) && ($eq($get(info.ne, 0), info.quant.block) && (info.quant.block > 1)));
if (($truth(is_one_block) && (() => { for (const ne of self.tensor($add(prefix, own))) { if ($in(0, ne)) return true; } return false; })())) {
return ("" + "a card gets nothing of " + $str(prefix) + $str(own) + ", whose rows are one block each");
}
return null;
}
_role_of(name) {
const self = this;
let is_grouped;
if ($in(self._model.arch, slices$WHOLE)) {
return null;
}
is_grouped = (self._hparams.family.graph.attention === "compressed");
return slices$_role(name, ($truth(is_grouped) ? slices$_PATTERNS_OF_GROUPS : slices$_PATTERNS));
}
get torn_layer() {
const self = this;
let il, layer, own, shares;
for (const $row of $enumerate(self._hparams.layers)) {
il = $row[0];
layer = $row[1];
own = layer.cache_layer;
if (($truth(layer.has_attention) && !$eq(own, il))) {
shares = (function* () { for (const each of [il, own]) { yield self.cache("cache_k", each, layer.k_width); } })();
if (($len($set(shares)) > 1)) {
return il;
}
}
}
return null;
}
runs_beside_cache(il) {
const self = this;
let layer, queries;
layer = $get(self._hparams.layers, il);
if (($truth(layer.is_recurrent) || $in(("" + "blk." + $str(il) + ".attn_qkv.weight"), self._model.tensors))) {
return false;
}
queries = self._cut(slices$_role("attn_q.weight"), il, (layer.n_head * layer.head_k), 1);
return (() => { for (const n of queries) { if (!($mod(n, (layer.n_head_kv * layer.head_k)) === 0)) return false; } return true; })();
}
_cut(role, il, extent, block) {
const self = this;
let card, found, info, like, n, n_times, piece, share, turn;
if ((role == null)) {
return $repeat([extent], self._n_cards);
}
for (like of $bound(role, "like")) {
info = self._model.tensors.get(("" + "blk." + $str(il) + "." + $str(like)));
if ((info != null)) {
block = info.quant.block;
break;
}
}
turn = ((il == null) ? self._last_turn : $get(self._turns, il));
found = $repeat([0], self._n_cards);
for (const $row of self._segments(role, $or(il, () => 0), extent, block)) {
n = $row[0];
n_times = $row[1];
piece = $row[2];
for (const $row of $enumerate(self._divided(n, piece, turn))) {
card = $row[0];
share = $row[1];
$put(found, card, $extended($get(found, card), (n_times * share)));
}
}
return found;
}
_divided(n, piece, turn) {
const self = this;
let card, cards, found, high, j, low, sums;
cards = (() => { const $into = []; for (const j of $range(self._n_cards)) { $into.push($mod($add(j, turn), self._n_cards)); } return $into; })();
sums = [];
for (card of cards) {
$list.append(sums, placement$float32($add(($truth(sums) ? $get(sums, (-1)) : 0.0), $get(self._shares, card))));
}
{
const $row = $items([$repeat([0], self._n_cards), 0]);
found = $row[0];
low = $row[1];
}
for (const $row of $enumerate(cards)) {
j = $row[0];
card = $row[1];
if ($eq(j, (self._n_cards - 1))) {
high = n;
}
else {
if ($truth($get(sums, (-1)))) {
high = slices$_rounded($int(placement$float32((placement$float32((placement$float32(n) * $get(sums, j))) / $get(sums, (-1))))), piece);
}
else {
high = slices$_rounded($floordiv((n * (j + 1)), self._n_cards), piece);
}
}
$put(found, card, $sub(high, low));
low = high;
}
return found;
}
_segments(role, il, extent, block) {
const self = this;
let efficient, halves, layer, n_groups, n_heads, rank, sizes, ssm;
{
const $row = $items([$get(self._layers, il), self._hparams.ssm]);
layer = $row[0];
ssm = $row[1];
}
efficient = $math.lcm(block, slices$EFFICIENT);
if ((role.pieces === "up")) {
halves = ($eq(extent, (2 * $get(self._n_ff, il))) ? 2 : 1);
return [[$floordiv(extent, halves), halves, efficient]];
}
if ((role.pieces === "gate_up")) {
return [[$floordiv(extent, 2), 2, efficient]];
}
if ((role.pieces === "block")) {
return [[extent, 1, efficient]];
}
if ((role.pieces === "row")) {
return [[extent, 1, 1]];
}
if ($truth($string.startswith(role.pieces, "group"))) {
n_groups = $max(self._model.integer("attention.output_group_count", 1), 1);
n_heads = $floordiv(layer.n_head, n_groups);
sizes = $dict([["group_heads", n_heads], ["group_queries", (n_heads * layer.head_k)]]);
rank = self._model.integer("attention.output_lora_rank", 1);
return [[extent, 1, sizes.get(role.pieces, rank)]];
}
if (($truth(layer.is_recurrent) && (ssm != null) && $truth(ssm.state))) {
return self._of_state(role.pieces, ssm, extent, $math.lcm(efficient, ssm.state));
}
return self._of_heads(role.pieces, layer, extent, block);
}
_of_heads(pieces, layer, extent, block) {
const self = this;
let efficient, gated, key, n_heads, n_query, n_shared, query, sizes, value, width;
n_shared = $floordiv(layer.n_head, $max(layer.n_head_kv, 1));
width = (n_shared * layer.head_k);
if ((!$truth(layer.n_head_kv) || !$truth(width))) {
return [[extent, 1, 1]];
}
efficient = block;
while (($lt(efficient, slices$EFFICIENT) && $lt((efficient * self._n_cards), width))) {
efficient = (efficient * 2);
}
n_heads = $floordiv($math.lcm(width, efficient), layer.head_k);
key = ($floordiv(n_heads, n_shared) * layer.head_k);
value = ($floordiv(key, layer.head_k) * layer.head_v);
query = (n_heads * layer.head_k);
n_query = (layer.n_head * layer.head_k);
if ((self._hparams.family.graph.attention === "gated")) {
{
const $row = $items([(2 * n_query), $math.lcm((2 * width), efficient)]);
n_query = $row[0];
gated = $row[1];
}
}
else {
gated = query;
}
if ((pieces === "fused")) {
return [[n_query, 1, gated], [layer.k_width, 1, key], [layer.v_width, 1, value]];
}
sizes = $dict([["query", gated], ["key", key], ["value", value], ["head", n_heads], ["gate", ($eq(extent, layer.n_head) ? n_heads : query)], ["output", (n_heads * layer.head_v)]]);
return [[extent, 1, sizes.get(pieces, 1)]];
}
_of_state(pieces, ssm, extent, piece) {
const self = this;
let keys, less, more, n_inputs, values;
if ((pieces === "pairs_of_state")) {
return [[extent, 1, $floordiv((2 * piece), ssm.state)]];
}
{
const $row = $items([(ssm.state * ssm.groups), (ssm.state * ssm.rank)]);
keys = $row[0];
values = $row[1];
}
more = $dict([["conv_state", (ssm.conv_kernel - 1)], ["ssm_state", ssm.state]]).get(pieces, 1);
less = ((pieces === "heads_of_state") ? ssm.state : 1);
function run(n, n_times) {
return [$floordiv((n * more), less), n_times, $floordiv((piece * more), less)];
}
n_inputs = ($in(pieces, ["fused", "conv_state"]) ? 2 : 0);
if ($truth(self._hparams.family.graph.repeats_keys)) {
return [run(keys, n_inputs), run(values, 1)];
}
return [run(keys, (n_inputs + $floordiv(ssm.rank, $max(ssm.groups, 1))))];
}
}
function slices$_rounded(n, piece) {
return (n - $mod(n, $max(piece, 1)));
}
function slices$_role(name, patterns = slices$_PATTERNS) {
return (() => { for (const $row of patterns) { const pattern = $row[0], role = $row[1]; if ($truth(pattern.match(name))) { return role; } } return null; })();
}
const loops$NOWHERE = (-1);
class loops$Loop {
constructor(begin, end, before, own, copies, first, reads, views) {
this.begin = begin;
this.end = end;
this.before = before;
this.own = own;
this.copies = copies;
this.first = first;
this.reads = reads;
this.views = views;
}
}
$dataclass(loops$Loop, ["begin", "end", "before", "own", "copies", "first", "reads", "views"], true);
function loops$find_loop(program, ends) {
let _, after, before, begin, changing, earlier, end, first, later, made, own, reads, shared, takes, views;
{
const $row = $items(ends);
begin = $row[0];
end = $row[1];
after = $row[2];
}
later = ($eq($sub(after, end), $sub(end, begin)) ? loops$_later(program, begin, end) : null);
if ((later == null)) {
return null;
}
changing = (() => { const $into = []; for (const n of $sorted(later)) { if (!$eq($get(later, n), n)) { $into.push(n); } } return $into; })();
before = (() => { const $into = []; for (const n of changing) { if (!$eq(later.get($get(later, n), $get(later, n)), $get(later, n))) { $into.push(n); } } return $into; })();
own = (() => { const $into = []; for (const n of changing) { if (!$in($get(later, n), later)) { $into.push(n); } } return $into; })();
if ((($len(before) + $len(own)) < $len(changing))) {
return null;
}
first = $set(program.first);
made = $union(first, $set($slice(program.nodes, begin, end, null)));
for (const $row of $slice(program.steps, begin, end, null)) {
takes = $row[0];
_ = $row[1];
made = $updated(made, $set(takes));
}
if ((!$truth(made.issuperset(own)) || (() => { for (const n of $both(first, $set(own))) { if ($eq($bound($get(program.tensors, n), "kind"), tensor$COPIED)) return true; } return false; })())) {
return null;
}
reads = $collections.Counter((() => { const $into = []; for (const $row of $slice(program.steps, begin, end, null)) { const read = $row[1]; for (const n of read) { $into.push(n); } } return $into; })());
views = $collections.Counter((() => { const $into = []; for (const n of $slice(program.nodes, begin, end, null)) { if ((!$eq(n, loops$NOWHERE) && $truth(loops$_is_view(program, n)))) { $into.push($get(program.owners, n)); } } return $into; })());
earlier = $dict((() => { const $into = []; for (const n of before) { $into.push([$get(later, n), n]); } return $into; })());
if (!(() => { for (const n of own) { if (!$truth(loops$_is_done(program, n, reads, views, earlier))) return false; } return true; })()) {
return null;
}
shared = (() => { const $into = []; for (const n of $sorted(later)) { if ($eq($get(later, n), n)) { $into.push(n); } } return $into; })();
return new loops$Loop(begin, end, $tuple((() => { const $into = []; for (const n of before) { $into.push([n, $get(later, n)]); } return $into; })()), $tuple((() => { const $into = []; for (const n of own) { if (!$in(n, first)) { $into.push(n); } } return $into; })()), $tuple((() => { const $into = []; for (const n of own) { if ((!$in(n, first) && $eq($bound($get(program.tensors, n), "kind"), tensor$COPIED))) { $into.push(n); } } return $into; })()), $tuple((() => { const $into = []; for (const n of own) { if ($in(n, first)) { $into.push(n); } } return $into; })()), $tuple((() => { const $into = []; for (const n of shared) { if ($in(n, reads)) { $into.push([n, $get(reads, n)]); } } return $into; })()), $tuple((() => { const $into = []; for (const n of shared) { if ($in(n, views)) { $into.push([n, $get(views, n)]); } } return $into; })()));
}
function loops$_later(program, begin, end) {
let i, known, later, left, n, other;
later = $dict([]);
for (i of $range(begin, end)) {
left = loops$_beside(program, i, $sub($add(i, end), begin));
if ((left == null)) {
return null;
}
while ($truth(left)) {
{
const $row = $items($list.pop(left));
n = $row[0];
other = $row[1];
}
known = later.get(n, loops$NOWHERE);
if ($eq(known, other)) {
continue;
}
if ((!$eq(known, loops$NOWHERE) || $in(loops$NOWHERE, [n, other]) || !$truth(loops$_is_alike(program, n, other)))) {
return null;
}
$put(later, n, other);
$list.append(left, [$get(program.owners, n), $get(program.owners, other)]);
}
}
return ($eq($len($set(later.values())), $len(later)) ? later : null);
}
function loops$_beside(program, i, j) {
let mine, n, next_n, one, other, others, own, pairs, theirs;
{
const $row = $items([$get(program.steps, i), $get(program.steps, j)]);
one = $row[0];
other = $row[1];
}
if (!$eq([$len($get(one, 0)), $len($get(one, 1))], [$len($get(other, 0)), $len($get(other, 1))])) {
return null;
}
pairs = [[$get(program.nodes, i), $get(program.nodes, j)]];
for (const $row of $zip(one, other, new $Named({strict: true}))) {
mine = $row[0];
others = $row[1];
pairs = $extended(pairs, $zip(mine, others, new $Named({strict: true})));
}
for (const $row of $zip($get(one, 0), $get(other, 0), new $Named({strict: true}))) {
n = $row[0];
next_n = $row[1];
{
const $row = $items([$get(program.candidates, n), $get(program.candidates, next_n)]);
own = $row[0];
theirs = $row[1];
}
if ((!$eq($get(program.tensors, n).op, $get(program.tensors, next_n).op) || !$eq($len(own), $len(theirs)))) {
return null;
}
pairs = $extended(pairs, (() => { const $into = []; for (const $row of $zip(own, theirs, new $Named({strict: true}))) { const a = $row[0][0], b = $row[1][0]; $into.push([a, b]); } return $into; })());
}
return pairs;
}
function loops$_is_alike(program, n, other) {
let a, are_copies, b;
if ($eq(n, other)) {
return true;
}
{
const $row = $items([$get(program.tensors, n), $get(program.tensors, other)]);
a = $row[0];
b = $row[1];
}
are_copies = ($eq($bound(a, "kind"), $bound(b, "kind")) && $eq($bound(b, "kind"), tensor$COPIED));
return $and($or(are_copies, () => ((a.quant === b.quant) && $eq(a.nb, b.nb))), () => $eq(a.ne, b.ne), () => $eq(a.is_output, b.is_output), () => $eq($get(program.pools, n), $get(program.pools, other)));
}
function loops$_is_view(program, n) {
return (!$eq($get(program.owners, n), loops$NOWHERE) && ($get(program.tensors, n).op !== "NONE"));
}
function loops$_is_done(program, n, reads, views, earlier) {
let at, n_reads, n_views;
if ($truth($get(program.tensors, n).root.is_output)) {
return true;
}
{
const $row = $items([0, 0, n]);
n_reads = $row[0];
n_views = $row[1];
at = $row[2];
}
while (!$eq(at, loops$NOWHERE)) {
n_reads = $extended(n_reads, $get(reads, at));
n_views = $extended(n_views, $get(views, at));
at = earlier.get(at, loops$NOWHERE);
}
return ($eq($get(program.n_children, n), n_reads) && $eq($get(program.n_views, n), n_views));
}
const pool$_UNBOUNDED = 4503599627370496;
const pool$_TAKE = (-1);
const pool$_GIVE_BACK = (-2);
class pool$Pool {
constructor() {
const self = this;
self.free = [[0, pool$_UNBOUNDED]];
self.peak = self.live = self.live_peak = 0;
self.decisions = [];
self.peak_at = self.live_peak_at = 0;
}
take(n) {
const self = this;
let at, best, best_size, block, decisions, end, free, i, size;
{
const $row = $items([self.free, self.decisions]);
free = $row[0];
decisions = $row[1];
}
$list.append(decisions, pool$_TAKE);
{
const $row = $items([0, pool$_UNBOUNDED]);
best = $row[0];
best_size = $row[1];
}
for (const $row of $enumerate(free)) {
i = $row[0];
block = $row[1];
size = $get(block, 1);
if ($le(n, size)) {
$list.append(decisions, i);
if ($le(size, best_size)) {
{
const $row = $items([i, size]);
best = $row[0];
best_size = $row[1];
}
}
}
}
block = $get(free, best);
at = $get(block, 0);
$put(block, 0, $extended($get(block, 0), n));
$put(block, 1, $sub($get(block, 1), n));
if ($truth($get(block, 1))) {
$list.append(decisions, best);
}
else {
$list.append(decisions, $sub(pool$_TAKE, best));
$delete(free, best);
}
end = $add(at, n);
if ($gt(end, self.peak)) {
{
const $row = $items([end, $len(decisions)]);
self.peak = $row[0];
self.peak_at = $row[1];
}
}
self.live = $extended(self.live, n);
if ($gt(self.live, self.live_peak)) {
{
const $row = $items([self.live, $len(decisions)]);
self.live_peak = $row[0];
self.live_peak_at = $row[1];
}
}
return at;
}
give_back(at, n) {
const self = this;
let block, decisions, end, free, i, is_followed, place, start;
{
const $row = $items([self.free, self.decisions]);
free = $row[0];
decisions = $row[1];
}
self.live = $sub(self.live, n);
{
const $row = $items([$add(at, n), (-1)]);
end = $row[0];
place = $row[1];
}
$list.append(decisions, pool$_GIVE_BACK);
for (const $row of $enumerate(free)) {
i = $row[0];
block = $row[1];
start = $get(block, 0);
if ($eq($add(start, $get(block, 1)), at)) {
$put(block, 1, $extended($get(block, 1), n));
is_followed = (((i + 1) < $len(free)) && $eq($get($get(free, (i + 1)), 0), end));
if ($truth(is_followed)) {
$put(block, 1, $extended($get(block, 1), $get($list.pop(free, (i + 1)), 1)));
}
$list.append(decisions, $add((4 * i), ($truth(is_followed) ? 1 : 0)));
return null;
}
if ($eq(start, end)) {
$put(block, 0, at);
$put(block, 1, $extended($get(block, 1), n));
$list.append(decisions, ((4 * i) + 2));
return null;
}
if (((place < 0) && $ge(start, at))) {
place = i;
}
}
$list.insert(free, place, [at, n]);
$list.append(decisions, ((4 * place) + 3));
}
}
class allocation$Allocation {
constructor(program, sizes, alike, left_out, n_pools) {
const self = this;
let loop, n, repetitions;
n = $len(program.tensors);
{
const $row = $items([program, $list(sizes), alike]);
self._program = $row[0];
self._sizes = $row[1];
self._alike = $row[2];
}
self._left_out = left_out;
self.pools = (() => { const $into = []; for (const _ of $range(n_pools)) { $into.push(new pool$Pool()); } return $into; })();
{
const $row = $items([$list(program.n_children), $list(program.n_views)]);
self.children = $row[0];
self.views = $row[1];
}
{
const $row = $items([$list(program.pools), $repeat([0], n), $repeat([0], n)]);
self._pool = $row[0];
self._address = $row[1];
self._size = $row[2];
}
self._is_allocated = $repeat([false], n);
self._later = $dict([]);
for (const $row of $zip(program.loops, left_out, new $Named({strict: true}))) {
loop = $row[0];
repetitions = $row[1];
self._add_uses(loop, $len(repetitions));
}
}
_add_uses(loop, n) {
const self = this;
let count, number;
for (const $row of loop.reads) {
number = $row[0];
count = $row[1];
$put(self.children, number, $extended($get(self.children, number), (count * n)));
}
for (const $row of loop.views) {
number = $row[0];
count = $row[1];
$put(self.views, number, $extended($get(self.views, number), (count * n)));
}
}
begin() {
const self = this;
let _, each, loop, loops, n_more, number, pairs;
pairs = $zip($bound(self, "_program").loops, $bound(self, "_left_out"), new $Named({strict: true}));
loops = $dict((() => { const $into = []; for (const $row of pairs) { const loop = $row[0], left_out = $row[1]; if ($truth(loop.first)) { $into.push([$get(loop.first, (-1)), [loop, $len(left_out)]]); } } return $into; })());
for (number of $bound(self, "_program").first) {
self.allocate(number);
if ($in(number, loops)) {
{
const $row = $items($get(loops, number));
loop = $row[0];
n_more = $row[1];
}
for (_ of $range(n_more)) {
for (each of loop.first) {
$list.append(self._later.setdefault(each, []), self._new_place(each));
}
}
}
}
}
_new_place(number) {
const self = this;
let pool, size;
{
const $row = $items([$get($bound(self, "_program").pools, number), $get(self._sizes, number)]);
pool = $row[0];
size = $row[1];
}
return [pool, $get(self.pools, pool).take(size), size];
}
execute(begin, end) {
const self = this;
let children, number, reads, takes, views;
{
const $row = $items([self.children, self.views]);
children = $row[0];
views = $row[1];
}
for (const $row of $slice($bound(self, "_program").steps, begin, end, null)) {
takes = $row[0];
reads = $row[1];
for (number of takes) {
self.allocate(number);
}
for (number of reads) {
$put(children, number, ($get(children, number) - 1));
if ((!$truth($get(children, number)) && !$truth($get(views, number)))) {
self.release(number);
}
}
}
}
repeat(loop, left_out) {
const self = this;
let before, i, n_more, n_skipped, number, seen, size;
seen = $dict([[self._state(loop), 0]]);
{
const $row = $items([0, $len(left_out)]);
i = $row[0];
n_more = $row[1];
}
while ($lt(i, n_more)) {
self._move_on(loop);
for (const $row of $zip(loop.copies, $get(left_out, i), new $Named({strict: true}))) {
number = $row[0];
size = $row[1];
$put(self._sizes, number, size);
}
self.execute($bound(loop, "begin"), loop.end);
i = $extended(i, 1);
if ($truth(loop.first)) {
continue;
}
before = seen.setdefault(self._state(loop), i);
if (($lt(before, i) && $eq($slice(left_out, before, $sub($add(before, n_more), i), null), $slice(left_out, i, null, null)))) {
n_skipped = ($floordiv($sub(n_more, i), $sub(i, before)) * $sub(i, before));
self._add_uses(loop, (-n_skipped));
i = $extended(i, n_skipped);
seen = $dict([]);
}
}
}
_state(loop) {
const self = this;
let holes, places;
holes = $tuple((() => { const $into = []; for (const pool of self.pools) { $into.push($tuple($map($tuple, pool.free))); } return $into; })());
places = $tuple((() => { const $into = []; for (const $row of loop.before) { const n = $row[1]; $into.push(($truth($get(self._is_allocated, n)) ? [$get(self._pool, n), $get(self._address, n)] : [])); } return $into; })());
return [holes, places];
}
_move_on(loop) {
const self = this;
let later, number, place, program;
program = $bound(self, "_program");
for (const $row of loop.before) {
number = $row[0];
later = $row[1];
{
const $row = $items([$get(self.children, later), $get(self.views, later)]);
$put(self.children, number, $row[0]);
$put(self.views, number, $row[1]);
}
{
const $row = $items([$get(self._pool, later), $get(self._address, later)]);
$put(self._pool, number, $row[0]);
$put(self._address, number, $row[1]);
}
$put(self._size, number, $get(self._size, later));
$put(self._is_allocated, number, $get(self._is_allocated, later));
}
for (number of [...loop.own, ...loop.first]) {
$put(self.children, number, $get(program.n_children, number));
$put(self.views, number, $get(program.n_views, number));
$put(self._pool, number, $get(program.pools, number));
$put(self._is_allocated, number, false);
}
for (number of loop.first) {
place = $list.pop($get(self._later, number), 0);
{
const $row = $items(place);
$put(self._pool, number, $row[0]);
$put(self._address, number, $row[1]);
$put(self._size, number, $row[2]);
}
$put(self._is_allocated, number, true);
}
}
allocate(number) {
const self = this;
let address, pair, pool, size, source;
$put(self._is_allocated, number, true);
for (const $row of $get($bound(self, "_program").candidates, number)) {
source = $row[0];
pair = $row[1];
if (($truth($get(self._is_allocated, source)) && $truth($get(self._alike, pair)) && $truth(self._reuse(number, source)))) {
return null;
}
}
{
const $row = $items([$get(self._pool, number), $get(self._sizes, number)]);
pool = $row[0];
size = $row[1];
}
address = $get(self.pools, pool).take(size);
{
const $row = $items([size, address]);
$put(self._size, number, $row[0]);
$put(self._address, number, $row[1]);
}
}
_reuse(number, source) {
const self = this;
let address, had, number_pool, size;
if ((($get(self.children, source) !== 1) || ($get(self.views, source) !== 0))) {
return false;
}
$put(self._is_allocated, source, false);
{
const $row = $items([$get(self._pool, source), $get(self._address, source)]);
number_pool = $row[0];
address = $row[1];
}
if ($eq(number_pool, $get(self._pool, number))) {
size = $get(self._sizes, number);
}
else {
size = $get(self._sizes, $get($bound(self, "_program").elsewhere, [number, number_pool]));
}
{
const $row = $items([number_pool, address, size]);
$put(self._pool, number, $row[0]);
$put(self._address, number, $row[1]);
$put(self._size, number, $row[2]);
}
had = $get(self._size, source);
if ($gt(had, size)) {
$get(self.pools, number_pool).give_back($add(address, size), $sub(had, size));
}
return true;
}
release(number) {
const self = this;
let owner;
owner = $get($bound(self, "_program").owners, number);
if (!$eq(owner, loops$NOWHERE)) {
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
{
const $row = $items([$get(self._pool, number), $get(self._address, number)]);
pool = $row[0];
address = $row[1];
}
$get(self.pools, pool).give_back(address, $get(self._size, number));
$put(self._is_allocated, number, false);
}
}
const allocator$INPLACE_OPS = $frozenset($set(["SCALE", "DIAG_MASK_ZERO", "DIAG_MASK_INF", "ADD", "ADD_ID", "ADD1", "SUB", "MUL", "DIV", "SQR", "SQRT", "LOG", "UNARY", "ROPE", "ROPE_BACK", "SILU_BACK", "RMS_NORM", "RMS_NORM_BACK", "SOFT_MAX", "SOFT_MAX_BACK", "FILL", "CLAMP"]));
const allocator$_UNSEEN = (-2);
class allocator$AllocationProgram {
constructor(leafs, nodes, repeated = [], layers = []) {
const self = this;
let pool, source, t;
self.layers = layers;
self.tensors = [];
self.owners = [];
self.pools = [];
self.candidates = [];
self.n_children = [];
self.n_views = [];
self.pairs = [];
self._numbers = $dict([]);
self.first = [];
for (const $row of leafs) {
t = $row[0];
pool = $row[1];
self._take(t, pool, self.first);
}
for (const $row of nodes) {
t = $row[0];
pool = $row[1];
for (source of t.src) {
if ($truth(source.is_input)) {
self._take(source, pool, self.first);
}
}
}
self.nodes = [];
self.steps = (() => { const $into = []; for (const $row of nodes) { const t = $row[0], pool = $row[1]; $into.push(self._step(t, pool)); } return $into; })();
self.elsewhere = $dict([]);
self.places = self._all_places();
self.loops = self._loops(nodes, repeated);
self.is_whole = $eq($len(self.loops), $len(repeated));
}
get structure() {
const self = this;
let ends;
ends = (() => { const $into = []; for (const t of self.tensors) { $into.push(t.is_output); } return $into; })();
return [self.first, self.steps, self.owners, self.pools, self.candidates, self.pairs, self.places, self.loops, ends];
}
sizes(size) {
const self = this;
return (() => { const $into = []; for (const $row of self.places) { const number = $row[0], pool = $row[1]; $into.push((!$eq(pool, loops$NOWHERE) ? size($get(self.tensors, number), pool) : 0)); } return $into; })();
}
likeness() {
const self = this;
return (() => { const $into = []; for (const $row of self.pairs) { const one = $row[0], other = $row[1]; $into.push(($eq($get(self.tensors, one).ne, $get(self.tensors, other).ne) && $eq($get(self.tensors, one).nb, $get(self.tensors, other).nb))); } return $into; })();
}
run(sizes, alike, alignments, left_out = []) {
const self = this;
return $get(self.run_traced(sizes, alike, alignments, left_out), 0);
}
run_traced(sizes, alike, alignments, left_out = []) {
const self = this;
let at, decisions, further, loop, packing, pool, repetitions, run;
further = self._padded_copies(left_out, alignments);
run = new allocation$Allocation(self, self._padded(sizes, alignments), alike, further, $len(alignments));
run.begin();
at = 0;
for (const $row of $zip(self.loops, further, new $Named({strict: true}))) {
loop = $row[0];
repetitions = $row[1];
run.execute(at, loop.end);
run.repeat(loop, repetitions);
at = loop.end;
}
run.execute(at, $len(self.steps));
decisions = [];
for (pool of run.pools) {
decisions = $extended(decisions, pool.decisions);
decisions = $extended(decisions, [$len(pool.decisions), pool.peak_at, pool.live_peak_at]);
}
packing = new buffers$Packing($tuple((() => { const $into = []; for (const pool of run.pools) { $into.push(pool.peak); } return $into; })()), $tuple((() => { const $into = []; for (const pool of run.pools) { $into.push(pool.live_peak); } return $into; })()));
return [packing, decisions];
}
most(sizes, alignments, left_out = []) {
const self = this;
let copies, loop, number, padded, repetitions, size, sizes_of_copies, taken, total;
{
const $row = $items([$repeat([0], $len(alignments)), self._padded(sizes, alignments)]);
total = $row[0];
padded = $row[1];
}
for (taken of [self.first, ...(() => { const $into = []; for (const $row of self.steps) { const takes = $row[0]; $into.push(takes); } return $into; })()]) {
for (number of taken) {
$put(total, $get(self.pools, number), $extended($get(total, $get(self.pools, number)), $get(padded, number)));
}
}
for (const $row of $zip(self.loops, self._padded_copies(left_out, alignments), new $Named({strict: true}))) {
loop = $row[0];
repetitions = $row[1];
copies = $frozenset(loop.copies);
for (number of [...loop.own, ...loop.first]) {
if (($eq($get(self.owners, number), loops$NOWHERE) && !$in(number, copies))) {
$put(total, $get(self.pools, number), $extended($get(total, $get(self.pools, number)), ($len(repetitions) * $get(padded, number))));
}
}
for (sizes_of_copies of repetitions) {
for (const $row of $zip(loop.copies, sizes_of_copies, new $Named({strict: true}))) {
number = $row[0];
size = $row[1];
$put(total, $get(self.pools, number), $extended($get(total, $get(self.pools, number)), size));
}
}
}
return new buffers$Packing($tuple(total), $tuple(total));
}
_padded_copies(left_out, alignments) {
const self = this;
return (() => { const $into = []; for (const $row of $zip(self.loops, left_out, new $Named({strict: true}))) { const loop = $row[0], repetitions = $row[1]; $into.push($tuple((() => { const $into = []; for (const sizes of repetitions) { $into.push($tuple((() => { const $into = []; for (const $row of $zip(loop.copies, sizes, new $Named({strict: true}))) { const number = $row[0], size = $row[1]; $into.push(tensor$pad(size, $get(alignments, $get(self.pools, number)))); } return $into; })())); } return $into; })())); } return $into; })();
}
_padded(sizes, alignments) {
const self = this;
return (() => { const $into = []; for (const $row of $zip(sizes, self.places, new $Named({strict: true}))) { const size = $row[0], pool = $row[1][1]; $into.push((!$eq(pool, loops$NOWHERE) ? tensor$pad(size, $get(alignments, pool)) : 0)); } return $into; })();
}
_number(t) {
const self = this;
let known, number, owner;
known = self._numbers.get(t);
if ((known != null)) {
return known;
}
if (($or(t.view_src, () => t).device != null)) {
$put(self._numbers, t, loops$NOWHERE);
return loops$NOWHERE;
}
owner = ($truth(t.view_src) ? self._number(t.view_src) : loops$NOWHERE);
{
const $value = $len(self.tensors);
number = $value;
$put(self._numbers, t, $value);
}
$list.append(self.tensors, t);
$list.append(self.owners, owner);
$list.append(self.pools, loops$NOWHERE);
$list.append(self.candidates, []);
$list.append(self.n_children, 0);
$list.append(self.n_views, 0);
return number;
}
_take(t, pool, taken) {
const self = this;
let number;
number = self._number(t);
if (($eq(number, loops$NOWHERE) || !$eq($get(self.owners, number), loops$NOWHERE) || !$eq($get(self.pools, number), loops$NOWHERE))) {
return number;
}
$put(self.pools, number, pool);
if ($in(t.op, allocator$INPLACE_OPS)) {
$put(self.candidates, number, $tuple((() => { const $into = []; for (const source of $map($bound(self, "_number"), t.src)) { if ((!$eq(source, loops$NOWHERE) && $eq($get(self.owners, source), loops$NOWHERE) && $truth(self._gives(source, t)))) { $into.push([source, self._pair(number, source)]); } } return $into; })()));
}
$list.append(taken, number);
return number;
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
_step(t, pool) {
const self = this;
let number, numbers, own, owners, pools, reads, source, takes;
takes = [];
reads = [];
{
const $row = $items([self._numbers, self.owners, self.pools]);
numbers = $row[0];
owners = $row[1];
pools = $row[2];
}
for (source of t.src) {
number = numbers.get(source, allocator$_UNSEEN);
if (($eq(number, allocator$_UNSEEN) || (!$eq(number, loops$NOWHERE) && ($eq($get(owners, number), $get(pools, number)) && $eq($get(pools, number), loops$NOWHERE))))) {
number = self._take(source, pool, takes);
}
if (!$eq(number, loops$NOWHERE)) {
$list.append(reads, number);
$put(self.n_children, number, $extended($get(self.n_children, number), 1));
}
}
own = self._take(t, pool, takes);
$list.append(self.nodes, own);
if ((!$eq(own, loops$NOWHERE) && !$eq($get(self.owners, own), loops$NOWHERE) && (t.op !== "NONE"))) {
$put(self.n_views, $get(self.owners, own), $extended($get(self.n_views, $get(self.owners, own)), 1));
}
return [$tuple(takes), $tuple(reads)];
}
_all_places() {
const self = this;
let _, nothing, number, others, own, places, pool, pools, reach, source, taken;
{
const $row = $items([self.pools, $list($enumerate(self.pools))]);
pools = $row[0];
places = $row[1];
}
reach = $dict([]);
nothing = $set();
for (taken of [self.first, ...(() => { const $into = []; for (const $row of self.steps) { const takes = $row[0]; $into.push(takes); } return $into; })()]) {
for (number of taken) {
own = $get(pools, number);
others = $set();
for (const $row of $get(self.candidates, number)) {
source = $row[0];
_ = $row[1];
if (!$eq($get(pools, source), own)) {
others.add($get(pools, source));
}
others = $updated(others, reach.get(source, nothing));
}
if (!$truth(others)) {
continue;
}
$put(reach, number, others);
for (pool of $sorted($sub(others, $set([own])))) {
$put(self.elsewhere, [number, pool], $len(places));
$list.append(places, [number, pool]);
}
}
}
return places;
}
_loops(nodes, repeated) {
const self = this;
let behind, each, ends, loop, loops, one, three, two;
ends = $set((() => { const $into = []; for (const each of repeated) { for (const end of each) { $into.push(end); } } return $into; })());
behind = $dict((() => { const $into = []; for (const $row of $enumerate(nodes)) { const i = $row[0], t = $row[1][0]; if ($in(t, ends)) { $into.push([t, (i + 1)]); } } return $into; })());
loops = [];
for (each of repeated) {
{
const $row = $items((function* () { for (const end of each) { yield $get(behind, end); } })());
one = $row[0];
two = $row[1];
three = $row[2];
}
loop = loops$find_loop(self, [one, two, three]);
if ((loop == null)) {
break;
}
$list.append(loops, loop);
}
return loops;
}
}
const piecewise$N_ALONE = 3;
class piecewise$_Run {
constructor(packing, decisions) {
this.packing = packing;
this.decisions = decisions;
}
}
$dataclass(piecewise$_Run, ["packing", "decisions"], true);
class piecewise$PiecewisePackings {
constructor(run, alone) {
const self = this;
{
const $row = $items([run, $frozenset(alone)]);
self._run = $row[0];
self._alone = $row[1];
}
self._cells = [];
self._runs = $dict([]);
self._n_asked = 0;
self._last = 0;
}
at(cells) {
const self = this;
let found;
if ($in(cells, self._alone)) {
return $get(self._run(cells), 0);
}
self._n_asked = $extended(self._n_asked, 1);
found = self._between(cells);
if ((found == null)) {
found = self._add(cells);
if ($gt(self._n_asked, piecewise$N_ALONE)) {
self._look_ahead(cells);
}
}
self._last = cells;
return found;
}
_between(cells) {
const self = this;
let a, at, b, high, i, low, one, other;
if ($in(cells, self._runs)) {
return $bound($get(self._runs, cells), "packing");
}
i = $bisect.bisect_left(self._cells, cells);
if (!((0 < i) && (i < $len(self._cells)))) {
return null;
}
{
const $row = $items([$get(self._cells, (i - 1)), $get(self._cells, i)]);
low = $row[0];
high = $row[1];
}
{
const $row = $items([$get(self._runs, low), $get(self._runs, high)]);
one = $row[0];
other = $row[1];
}
if (!$eq(one.decisions, other.decisions)) {
return null;
}
{
const $row = $items([$bound(one, "packing"), $bound(other, "packing"), [$sub(cells, low), $sub(high, low)]]);
a = $row[0];
b = $row[1];
at = $row[2];
}
return new buffers$Packing(piecewise$_on_lines(a.bytes, b.bytes, ...at), piecewise$_on_lines(a.live_bytes, b.live_bytes, ...at));
}
_add(cells) {
const self = this;
let decisions, packing;
{
const $row = $items(self._run(cells));
packing = $row[0];
decisions = $row[1];
}
$put(self._runs, cells, new piecewise$_Run(packing, decisions));
$list.insert(self._cells, $bisect.bisect_left(self._cells, cells), cells);
return packing;
}
_look_ahead(cells) {
const self = this;
let ahead, between, i;
i = $list.index(self._cells, cells);
if ($gt(cells, self._last)) {
ahead = (((i + 1) < $len(self._cells)) ? $get(self._cells, (i + 1)) : (3 * cells));
}
else {
ahead = ($truth(i) ? $get(self._cells, (i - 1)) : 0);
}
between = ($floordiv($add(cells, ahead), 512) * 256);
if ((!$in(between, [0, ...self._cells]) && !$in(between, self._alone))) {
self._add(between);
}
}
}
function piecewise$_on_lines(one, other, at, end) {
return $tuple((() => { const $into = []; for (const $row of $zip(one, other, new $Named({strict: true}))) { const a = $row[0], b = $row[1]; $into.push($add(a, ($floordiv($sub(b, a), end) * at))); } return $into; })());
}
const affine_sizes$_STEP = 256;
const affine_sizes$_NOTHING = 1e-09;
class affine_sizes$_Sample {
constructor(at, program, sizes) {
this.at = at;
this.program = program;
this.sizes = sizes;
}
}
$dataclass(affine_sizes$_Sample, ["at", "program", "sizes"], true);
class affine_sizes$_Step {
constructor(column, step, share) {
this.column = column;
this.step = step;
this.share = share;
}
}
$dataclass(affine_sizes$_Step, ["column", "step", "share"], true);
class affine_sizes$AffineSizes {
constructor(n_checks = 1, is_rigid = false, _samples = $list(), _checks = $list(), _first = [], _steps = $list(), _sizes = $list(), _growing = $dict(), _is_alike = $list(), _gaps = $dict(), _piecewise = $dict(), _packings = $dict()) {
this.n_checks = n_checks;
this.is_rigid = is_rigid;
this._samples = _samples;
this._checks = _checks;
this._first = _first;
this._steps = _steps;
this._sizes = _sizes;
this._growing = _growing;
this._is_alike = _is_alike;
this._gaps = _gaps;
this._piecewise = _piecewise;
this._packings = _packings;
}
knows(at) {
const self = this;
return $and($bool(self._sizes), () => affine_sizes$_is_among(self._steps, self._first, at));
}
get program() {
const self = this;
return $get(self._samples, (-1)).program;
}
learn(at, program, sizes) {
const self = this;
let is_drawn, is_last, sample;
if (($truth(self.knows(at)) || (() => { for (const each of [...self._samples, ...self._checks]) { if ($eq($bound(each, "at"), at)) return true; } return false; })())) {
return null;
}
sample = new affine_sizes$_Sample(at, program, sizes);
if (($truth(self.is_rigid) || !$truth(self._samples))) {
{
const $row = $items([[sample], at]);
self._samples = $row[0];
self._first = $row[1];
}
return null;
}
if ($truth(affine_sizes$_is_among(self._steps, self._first, at))) {
$list.append(self._checks, sample);
}
else {
$list.append(self._samples, sample);
self._steps = affine_sizes$_steps((() => { const $into = []; for (const each of self._samples) { $into.push($bound(each, "at")); } return $into; })());
}
if (($len(self._checks) < self.n_checks)) {
return null;
}
{
const $row = $items([self._draw(), $eq($len(self._steps), $len(at))]);
is_drawn = $row[0];
is_last = $row[1];
}
if (!$truth(is_drawn)) {
{
const $row = $items([[], is_last]);
self._sizes = $row[0];
self.is_rigid = $row[1];
}
}
if ($truth(is_last)) {
{
const $row = $items([[sample], []]);
self._samples = $row[0];
self._checks = $row[1];
}
}
}
at(at) {
const self = this;
let sample;
if ($truth(self.knows(at))) {
return self._at(at);
}
for (sample of [...self._samples, ...self._checks]) {
if ($eq($bound(sample, "at"), at)) {
return [sample.program, $bound(sample, "sizes"), sample.program.likeness()];
}
}
return null;
}
_at(at) {
const self = this;
let alike, gap, i, line, pair, sizes;
sizes = $list(self._sizes);
for (const $row of self._growing.items()) {
i = $row[0];
line = $row[1];
$put(sizes, i, affine_sizes$_value(line, at));
}
alike = $list(self._is_alike);
for (const $row of self._gaps.items()) {
pair = $row[0];
gap = $row[1];
$put(alike, pair, (() => { for (const line of gap) { if (!(affine_sizes$_value(line, at) === 0)) return false; } return true; })());
}
return [self.program, sizes, alike];
}
holds_for(at, program, sizes) {
const self = this;
let alike, known, own_sizes;
if (!$truth(self.knows(at))) {
return false;
}
{
const $row = $items(self._at(at));
known = $row[0];
own_sizes = $row[1];
alike = $row[2];
}
return ($eq(own_sizes, sizes) && $eq(alike, program.likeness()) && $eq(known.structure, program.structure));
}
packing(at, alignments, left_out) {
const self = this;
let alone, first, key, rest, row;
{
const $row = $items([$get(at, 0), $slice(at, 1, null, null)]);
first = $row[0];
rest = $row[1];
}
if (($len(self._steps) < $len(at))) {
key = [at, left_out];
if (!$in(key, self._packings)) {
$put(self._packings, key, $get(self._gone_through(at, alignments, left_out), 0));
}
return $get(self._packings, key);
}
row = [rest, left_out];
if (!$in(row, self._piecewise)) {
alone = (() => { const $into = []; for (const gap of self._gaps.values()) { for (const n of affine_sizes$_meetings(gap, rest)) { $into.push(n); } } return $into; })();
$put(self._piecewise, row, new piecewise$PiecewisePackings(((n) => self._gone_through([n, ...rest], alignments, left_out)), alone));
}
return $get(self._piecewise, row).at(first);
}
_gone_through(at, alignments, left_out) {
const self = this;
let alike, program, sizes;
{
const $row = $items(self._at(at));
program = $row[0];
sizes = $row[1];
alike = $row[2];
}
return program.run_traced(sizes, alike, alignments, left_out);
}
_draw() {
const self = this;
let _, at, first, gaps, lines, second, seen, sizes, steps;
[first, second, ..._] = self._samples;
seen = [...self._samples, ...self._checks];
at = (() => { const $into = []; for (const sample of seen) { $into.push($bound(sample, "at")); } return $into; })();
if ((() => { for (const sample of seen) { if (!$eq(sample.program.structure, first.program.structure)) return true; } return false; })()) {
return false;
}
if ((() => { for (const $row of affine_sizes$_twins(first, second)) { const one = $row[0], other = $row[1]; if ($truth(affine_sizes$_is_padded_by_cells(one, other))) return true; } return false; })()) {
return false;
}
steps = self._steps;
sizes = (() => { const $into = []; for (const i of $range($len($bound(first, "sizes")))) { $into.push(affine_sizes$_line(at, steps, (() => { const $into = []; for (const s of seen) { $into.push($get($bound(s, "sizes"), i)); } return $into; })())); } return $into; })();
gaps = (() => { const $into = []; for (const pair of $range($len(first.program.pairs))) { $into.push(affine_sizes$_gap(at, steps, (() => { const $into = []; for (const s of seen) { $into.push(affine_sizes$_difference(s.program, pair)); } return $into; })())); } return $into; })();
if (($in(null, sizes) || $in(null, gaps))) {
return false;
}
lines = (() => { const $into = []; for (const line of sizes) { if ((line != null)) { $into.push(line); } } return $into; })();
self._growing = $dict((() => { const $into = []; for (const $row of $enumerate(lines)) { const i = $row[0], line = $row[1]; if ($any($slice(line, 1, null, null))) { $into.push([i, line]); } } return $into; })());
self._sizes = (() => { const $into = []; for (const line of lines) { $into.push(($any($slice(line, 1, null, null)) ? 0 : $get(line, 0))); } return $into; })();
self._is_alike = (() => { const $into = []; for (const gap of gaps) { $into.push($eq(gap, [])); } return $into; })();
self._gaps = $dict((() => { const $into = []; for (const $row of $enumerate(gaps)) { const pair = $row[0], gap = $row[1]; if (($truth(gap) && (() => { for (const line of gap) { if (!$any($slice(line, 1, null, null))) return false; } return true; })())) { $into.push([pair, gap]); } } return $into; })());
return true;
}
}
$dataclass(affine_sizes$AffineSizes, ["n_checks", "is_rigid", "_samples", "_checks", "_first", "_steps", "_sizes", "_growing", "_is_alike", "_gaps", "_piecewise", "_packings"], false);
function affine_sizes$_twins(one, other) {
return (() => { const $into = []; for (const $row of $zip(one.program.tensors, other.program.tensors, one.program.pools, new $Named({strict: true}))) { const a = $row[0], b = $row[1], pool = $row[2]; if (!$eq(pool, loops$NOWHERE)) { $into.push([a, b]); } } return $into; })();
}
function affine_sizes$_is_padded_by_cells(one, other) {
return $and(one.quant.is_quantized, () => !$eq($get(one.ne, 0), $get(other.ne, 0)));
}
function affine_sizes$_difference(program, pair) {
let one, other;
{
const $row = $items((function* () { for (const number of $get(program.pairs, pair)) { yield $get(program.tensors, number); } })());
one = $row[0];
other = $row[1];
}
return (() => { const $into = []; for (const $row of $zip([...one.ne, ...one.nb], [...other.ne, ...other.nb], new $Named({strict: true}))) { const a = $row[0], b = $row[1]; $into.push($sub(a, b)); } return $into; })();
}
function affine_sizes$_steps(points) {
let by, column, columns, first, i, k, others, row, shares, steps;
[first, ...others] = points;
steps = (() => { const $into = []; for (const at of others) { $into.push((() => { const $into = []; for (const $row of $zip(at, first, new $Named({strict: true}))) { const x = $row[0], own = $row[1]; $into.push(($sub(x, own) / affine_sizes$_STEP)); } return $into; })()); } return $into; })();
shares = (() => { const $into = []; for (const i of $range($len(steps))) { $into.push((() => { const $into = []; for (const j of $range($len(steps))) { $into.push($float($eq(i, j))); } return $into; })()); } return $into; })();
columns = [];
for (const $row of $enumerate(steps)) {
i = $row[0];
row = $row[1];
column = $min((() => { const $into = []; for (const $row of $enumerate(row)) { const j = $row[0], x = $row[1]; if ($gt($abs(x), affine_sizes$_NOTHING)) { $into.push(j); } } return $into; })(), new $Named({key: $bound((() => { const $into = []; for (const x of row) { $into.push($abs(x)); } return $into; })(), "__getitem__")}));
$list.append(columns, column);
by = $get(row, column);
{
const $row = $items([(() => { const $into = []; for (const x of row) { $into.push((x / by)); } return $into; })(), (() => { const $into = []; for (const x of $get(shares, i)) { $into.push((x / by)); } return $into; })()]);
$put(steps, i, $row[0]);
$put(shares, i, $row[1]);
}
for (k of $range($len(steps))) {
if (!$eq(k, i)) {
by = $get($get(steps, k), column);
$put(steps, k, (() => { const $into = []; for (const $row of $zip($get(steps, k), $get(steps, i), new $Named({strict: true}))) { const x = $row[0], own = $row[1]; $into.push($sub(x, (by * own))); } return $into; })());
$put(shares, k, (() => { const $into = []; for (const $row of $zip($get(shares, k), $get(shares, i), new $Named({strict: true}))) { const x = $row[0], own = $row[1]; $into.push($sub(x, (by * own))); } return $into; })());
}
}
}
return (() => { const $into = []; for (const $row of $zip(columns, steps, shares, new $Named({strict: true}))) { const column = $row[0], step = $row[1], share = $row[2]; $into.push(new affine_sizes$_Step(column, step, share)); } return $into; })();
}
function affine_sizes$_is_among(steps, first, at) {
let by, each, left;
left = (() => { const $into = []; for (const $row of $zip(at, first, new $Named({strict: true}))) { const x = $row[0], own = $row[1]; $into.push(($sub(x, own) / affine_sizes$_STEP)); } return $into; })();
for (each of steps) {
by = $get(left, each.column);
left = (() => { const $into = []; for (const $row of $zip(left, each.step, new $Named({strict: true}))) { const x = $row[0], own = $row[1]; $into.push($sub(x, (by * own))); } return $into; })();
}
return (() => { for (const x of left) { if (!$lt($abs(x), affine_sizes$_NOTHING)) return false; } return true; })();
}
function affine_sizes$_value(line, at) {
let i, n, value;
value = $get(line, 0);
for (const $row of $enumerate(at, 1)) {
i = $row[0];
n = $row[1];
value = $extended(value, ($get(line, i) * n));
}
return value;
}
function affine_sizes$_line(at, steps, values) {
let base, by_cell, each, is_on, line, rises, shares;
by_cell = (() => { const $into = []; for (const _ of $get(at, 0)) { $into.push(0); } return $into; })();
if ((() => { for (const value of values) { if (!$eq(value, $get(values, 0))) return false; } return true; })()) {
return [$get(values, 0), ...by_cell];
}
rises = (() => { const $into = []; for (const value of $slice(values, 1, ($len(steps) + 1), null)) { $into.push(($sub(value, $get(values, 0)) / affine_sizes$_STEP)); } return $into; })();
for (each of steps) {
shares = $zip(each.share, rises, new $Named({strict: true}));
$put(by_cell, each.column, $round($sum((() => { const $into = []; for (const $row of shares) { const share = $row[0], rise = $row[1]; $into.push((share * rise)); } return $into; })())));
}
base = $sub($get(values, 0), $sum((() => { const $into = []; for (const $row of $zip(by_cell, $get(at, 0), new $Named({strict: true}))) { const step = $row[0], n = $row[1]; $into.push((step * n)); } return $into; })()));
line = [base, ...by_cell];
is_on = (() => { for (const $row of $zip(at, values, new $Named({strict: true}))) { const each = $row[0], value = $row[1]; if (!$eq(affine_sizes$_value(line, each), value)) return false; } return true; })();
return ($truth(is_on) ? line : null);
}
function affine_sizes$_gap(at, steps, differences) {
let lines;
lines = (() => { const $into = []; for (const values of $zip(...differences, new $Named({strict: true}))) { $into.push(affine_sizes$_line(at, steps, $list(values))); } return $into; })();
return ($in(null, lines) ? null : (() => { const $into = []; for (const line of lines) { if (((line != null) && $any(line))) { $into.push(line); } } return $into; })());
}
function affine_sizes$_meetings(gap, rest) {
let is_apart, lines, places;
lines = (() => { const $into = []; for (const [base, step, ...others] of gap) { $into.push([affine_sizes$_value([base, ...others], rest), step]); } return $into; })();
places = $set((() => { const $into = []; for (const $row of lines) { const base = $row[0], step = $row[1]; if ($truth(step)) { $into.push((($mod(base, step) === 0) ? $floordiv((-base), step) : null)); } } return $into; })());
is_apart = (() => { for (const $row of lines) { const base = $row[0], step = $row[1]; if (!$truth(step)) { if ($truth(base)) return true; } } return false; })();
return (($truth(is_apart) || ($len(places) !== 1)) ? [] : (() => { const $into = []; for (const place of places) { if ((place != null)) { $into.push(place); } } return $into; })());
}
const gemma3n$N_ALTUP = 4;
const per_layer$_MIXED = "per_layer_inputs";
function per_layer$look_up(b) {
let ids, table;
{
const $row = $items(["per_layer_token_embd", b.input("inp_per_layer_tokens", tensor$I32, b.n_tokens)]);
table = $row[0];
ids = $row[1];
}
return b.once(table, "rows", (() => b.graph.get_rows(b.weight(table), ids)));
}
function per_layer$project(b, tokens) {
let graph, mixed, n, n_layer, own, rows, width;
{
const $row = $items([b.graph, $bound(b, "hparams").n_layer, b.n_tokens]);
graph = $row[0];
n_layer = $row[1];
n = $row[2];
}
rows = per_layer$look_up(b);
width = $floordiv($get(rows.ne, 0), n_layer);
own = graph.scale(graph.reshape(rows, width, n_layer, n));
if (!$truth(b.looks_up_layers_first)) {
graph.expand(own);
}
mixed = graph.scale(graph.mul_mat(b.weight("per_layer_model_proj"), tokens));
mixed = graph.rms_norm(graph.reshape(mixed, width, n_layer, n));
mixed = graph.scale(graph.add(graph.mul(mixed, b.weight("per_layer_proj_norm")), own));
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
{
const $row = $items([altup$_stream(b, corrected, 0), altup$_streams_after_first(b, corrected)]);
first = $row[0];
rest = $row[1];
}
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
{
const $row = $items([b.linear("ffn_up", x, il), b.linear("ffn_gate", x, il)]);
up = $row[0];
gate = $row[1];
}
if ($truth(b.shape(il).thins_gate)) {
mean = graph.node("MEAN", [1, ...$slice(gate.ne, 1, null, null)], undefined, gate);
squares = graph.like("SQR", graph.like("SUB", gate, mean));
deviation = graph.like("SQRT", graph.scale(graph.node("SUM_ROWS", [1, ...$slice(gate.ne, 1, null, null)], undefined, squares)));
cutoff = graph.add(mean, graph.scale(deviation));
gate = graph.unary("RELU", graph.like("SUB", gate, cutoff));
}
return b.linear("ffn_down", graph.mul(up, graph.unary("GELU", gate)), il);
}
function banked$bank(b, x) {
let own;
own = b.graph.reshape(x, $get(x.ne, 0), 1, $get(x.ne, 1));
b.banked = ($truth(b.banked) ? b.graph.concat(b.banked, own, 1) : own);
}
function banked$mix(b, x, name, il = null) {
let _, graph, kept, mixed, n, n_embd, n_kept, own, scores, shares, theirs, weight;
{
const $row = $items([b.graph, b.banked]);
graph = $row[0];
kept = $row[1];
}
if ((kept == null)) {
return x;
}
{
const $row = $items(kept.ne);
n_embd = $row[0];
n_kept = $row[1];
n = $row[2];
_ = $row[3];
}
weight = b.weight(name, il);
scores = graph.mul(graph.rms_norm(kept), weight);
scores = graph.reshape(graph.node("SUM_ROWS", [1, n_kept, n], undefined, scores), n_kept, n);
own = graph.node("SUM_ROWS", [1, n], undefined, graph.mul(graph.rms_norm(x), weight));
shares = graph.like("SOFT_MAX", graph.concat(scores, own));
theirs = graph.cont(graph.view(shares, [n_kept, n], [$get(shares.nb, 1)]));
own = graph.cont(graph.view(shares, [1, n], [$get(shares.nb, 1)], (4 * n_kept)));
mixed = graph.node(hyper$PRE, [n_embd, n], undefined, kept, theirs);
return graph.add(mixed, graph.mul(x, own));
}
function banked$merge(b, cur) {
return b.output_rows(banked$mix(b, cur, "output_res_score"));
}
function blocks$attend(b, x, il) {
let chosen, ratio;
ratio = $get(b.model.per_layer("attention.compress_ratios", 0), il);
if ((!$truth(b.shape(il).index_width) || !$truth(ratio))) {
return attention$gated(b, x, il);
}
chosen = blocks$_choose(b, x, ratio, il);
return attention$gated(b, x, il, ((mask) => latent$narrow(b, mask, chosen)));
}
function blocks$_choose(b, x, ratio, il) {
let best, by_cell, cells, flat, graph, head, heads, keys, mask, n, n_best, n_blocks, n_stream, own, q, scores, sizes, total, width;
{
const $row = $items([b.graph, $bound(b, "sizes"), b.shape(il).index_width]);
graph = $row[0];
sizes = $row[1];
width = $row[2];
}
{
const $row = $items([$bound(sizes, "cells"), sizes.n_stream]);
cells = $row[0];
n_stream = $row[1];
}
{
const $row = $items([(-$floordiv((-cells), ratio)), $floordiv(b.n_tokens, n_stream)]);
n_blocks = $row[0];
n = $row[1];
}
heads = b.model.integer("attention.indexer.head_count");
keys = blocks$_block_keys(b, x, ratio, il);
q = graph.reshape(b.linear("indexer.q_proj", x, il), width, heads, b.n_tokens);
q = attention$rope(b, b.norm(q, "indexer.q_norm", il), il, false);
scores = graph.mul_mat(keys, graph.reshape(q, width, (heads * n), n_stream));
scores = graph.unary("RELU", graph.reshape(scores, n_blocks, heads, n, n_stream));
total = null;
for (head of $range(heads)) {
own = graph.view(scores, [n_blocks, n, n_stream], $slice(scores.nb, 2, 4, null), (head * $get(scores.nb, 1)));
total = ($truth(total) ? graph.add(total, own) : graph.cont(own));
}
total = graph.add($or(total, () => scores), b.input(("" + "qsa_" + $str(ratio) + "_bias"), tensor$F32, n_blocks, n, n_stream));
flat = graph.cont(graph.permute(total, undefined, 1, 0, 2, 3));
by_cell = graph.get_rows(flat, b.input(("" + "qsa_" + $str(ratio) + "_cell_blk"), tensor$I32, cells, n_stream));
by_cell = graph.cont(graph.permute(by_cell, undefined, 1, 0, 2, 3));
mask = attention$mask(b, il, cells, n_stream);
mask = ((mask.quant === tensor$F32) ? mask : graph.node("CPY", mask.ne, undefined, mask));
by_cell = graph.add(by_cell, graph.reshape(mask, cells, n, n_stream));
n_best = $min(cells, ($add(b.model.integer("attention.indexer.top_k"), ratio) - 1));
best = graph.cont(graph.node("TOP_K", [n_best, n, n_stream], tensor$I32, by_cell));
return graph.reshape(best, n_best, n, 1, n_stream);
}
function blocks$_block_keys(b, x, ratio, il) {
let cache, cells, graph, i, ids, keys, members, n_blocks, n_stream, own, places, raw, sizes, total, width, y;
{
const $row = $items([b.graph, $bound(b, "sizes"), b.shape(il).index_width]);
graph = $row[0];
sizes = $row[1];
width = $row[2];
}
{
const $row = $items([$bound(sizes, "cells"), sizes.n_stream]);
cells = $row[0];
n_stream = $row[1];
}
n_blocks = (-$floordiv((-cells), ratio));
raw = graph.reshape(b.linear("indexer.k_proj", x, il), width, 1, b.n_tokens);
cache = b.stored("idx_k", il, $bound(b, "cache").k, width, cells, n_stream);
attention$store(b, raw, cache, b.input(("" + "qsa_" + $str(ratio) + "_k_idxs"), tensor$I64, b.n_tokens));
keys = graph.view(cache, [width, cells, n_stream], $slice(cache.nb, 1, 3, null));
ids = b.input(("" + "qsa_" + $str(ratio) + "_blk_cells"), tensor$I32, (ratio * n_blocks), n_stream);
members = graph.reshape(graph.get_rows(keys, ids), width, ratio, n_blocks, n_stream);
total = null;
for (i of $range(ratio)) {
own = graph.view(members, [width, n_blocks, n_stream], $slice(members.nb, 2, 4, null), (i * $get(members.nb, 1)));
own = graph.cont(own);
total = ($truth(total) ? graph.add(total, own) : own);
}
y = graph.reshape(graph.scale($or(total, () => members)), width, (n_blocks * n_stream));
y = graph.reshape(b.norm(y, "indexer.k_norm", il), width, 1, (n_blocks * n_stream));
places = b.input(("" + "qsa_" + $str(ratio) + "_blk_pos"), tensor$I32, (($bound(b, "hparams").n_pos * n_blocks) * n_stream));
return graph.reshape(graph.like("ROPE", y, places), width, n_blocks, n_stream);
}
function feed_forward$dense(b, x, il, tag = "") {
let down, gate, h, scales, up;
up = b.linear(("" + "ffn_up" + $str(tag)), x, il);
down = ("" + "ffn_down" + $str(tag));
if ($truth(b.has(("" + "ffn_gate" + $str(tag) + ".weight"), il))) {
gate = b.linear(("" + "ffn_gate" + $str(tag)), x, il);
h = feed_forward$_gate(b, gate, up, b.shape(il).clamps_dense);
}
else {
if ($eq($get(up.ne, 0), (2 * $get(b.weight(down, il).ne, 0)))) {
h = b.graph.glu(up);
}
else {
h = feed_forward$activation(b, up);
}
}
if ($truth((scales = b.weight_if("ffn_act.scales", il)))) {
h = b.graph.like("DIV", h, scales);
}
if ($truth(b.has(("" + "ffn_sub_norm" + $str(tag) + ".weight"), il))) {
h = b.norm(h, ("" + "ffn_sub_norm" + $str(tag)), il);
}
return b.linear(down, h, il);
}
function feed_forward$clamped(b, gate, up) {
let graph;
graph = b.graph;
return graph.mul(graph.like("CLAMP", graph.unary("SILU", gate)), graph.like("CLAMP", up));
}
function feed_forward$activation(b, x) {
if ((b.rules.activation === "relu_sqr")) {
return b.graph.like("SQR", b.graph.unary("RELU", x));
}
return b.graph.unary($string.upper(b.rules.activation), x);
}
function feed_forward$routed(b, x, il) {
let gate, shared, y;
if ($truth(b.has("ffn_up_chexps.weight", il))) {
return feed_forward$_with_adjugates(b, x, il);
}
if ($truth(b.has("ffn_latent_down.weight", il))) {
y = feed_forward$_latent_experts(b, x, il);
}
else {
if ($truth(b.has("ffn_routed_down.weight", il))) {
y = feed_forward$_normed_latent_experts(b, x, il);
}
else {
y = feed_forward$experts(b, x, il);
}
}
if (!$truth(b.has("ffn_up_shexp.weight", il))) {
return y;
}
if (!$truth(b.has("ffn_gate_inp_shexp.weight", il))) {
y = b.graph.add(y, feed_forward$dense(b, x, il, "_shexp"));
return ($truth(b.rules.averages_shared) ? b.graph.scale(y) : y);
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
function feed_forward$averaged(b, x, il) {
let chosen;
chosen = feed_forward$experts(b, x, il);
return b.graph.scale(b.graph.add(feed_forward$dense(b, x, il), chosen));
}
function feed_forward$_with_adjugates(b, x, il) {
let adjugates, logits, own;
logits = b.linear("ffn_gate_inp", x, il);
own = feed_forward$experts(b, x, il, logits);
adjugates = feed_forward$experts(b, own, il, logits, "_chexps");
return b.graph.add(own, b.graph.scale(adjugates));
}
function feed_forward$_normed_latent_experts(b, x, il) {
let low, y;
low = b.linear("ffn_routed_down", x, il);
y = feed_forward$experts(b, low, il, b.linear("ffn_gate_inp", x, il));
if ($truth(b.has("ffn_routed_norm.weight", il))) {
y = b.norm(y, "ffn_routed_norm", il);
}
return b.linear("ffn_routed_up", y, il);
}
function feed_forward$_gate(b, gate, up, clamps) {
let bounded, graph;
graph = b.graph;
if ($truth(clamps)) {
return feed_forward$clamped(b, gate, up);
}
if ((b.rules.gated_activation === "fused")) {
return graph.glu(gate, up);
}
bounded = graph.scale(graph.unary("TANH", graph.scale(gate)));
bounded = graph.mul(bounded, graph.unary("SIGMOID", gate));
if ((b.model.hparam("activation.situ_linear_beta", 0.0) > 0)) {
up = graph.scale(graph.unary("TANH", graph.scale(up)));
}
return graph.mul(bounded, up);
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
function feed_forward$experts(b, x, il, logits = null, tag = "_exps") {
let graph, ids, n, n_used, part, parts, tokens, total, weights, y;
{
const $row = $items([b.graph, b.shape(il).n_expert_used, $get(x.ne, 1)]);
graph = $row[0];
n_used = $row[1];
n = $row[2];
}
if ((n_used < 1)) {
throw new errors$ModelFileError(("" + $str(b.model.source) + ": layer " + $str(il) + " has a router, and the metadata say that no expert is used"));
}
logits = ((logits == null) ? b.linear("ffn_gate_inp", x, il) : logits);
{
const $row = $items(feed_forward$_route(b, logits, il, n_used, $get(b.weight(("" + "ffn_down" + $str(tag)), il).ne, 2)));
ids = $row[0];
weights = $row[1];
}
graph.expand(weights);
tokens = graph.reshape(x, $get(x.ne, 0), 1, n);
if ($truth(b.rules.weighs_inputs)) {
tokens = graph.mul(graph.node("REPEAT", [$get(x.ne, 0), n_used, n], undefined, tokens), weights);
}
y = feed_forward$_each(b, ("" + "down" + $str(tag)), feed_forward$_gated(b, tokens, ids, il, tag), ids, il);
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
let bias, each, graph, n, n_expert, scale, weight, y;
{
const $row = $items([b.graph, $get(x.ne, 2)]);
graph = $row[0];
n = $row[1];
}
weight = b.weight(("" + "ffn_" + $str(which)), il);
y = graph.mul_mat_id(weight, x, ids);
if (($truth(b.rules.exact_down) && (which === "down_exps"))) {
y.kind = tensor$EXACT;
}
if ($truth((scale = b.weight_if(("" + "ffn_" + $str(which) + ".scale"), il)))) {
n_expert = $get(scale.ne, 0);
each = graph.node("REPEAT", [1, n_expert, n], undefined, graph.reshape(scale, 1, n_expert));
y = graph.mul(y, graph.get_rows(each, ids));
}
y = b.adapted(y, weight, x, ids);
bias = b.weight_if(("" + "ffn_" + $str(which) + ".bias"), il);
return ($truth(bias) ? graph.like("ADD_ID", y, bias, ids) : y);
}
function feed_forward$_gated(b, x, ids, il, tag) {
let both, gate, graph, half, steps, up;
graph = b.graph;
if ($truth(b.has(("" + "ffn_gate_up" + $str(tag) + ".weight"), il))) {
both = feed_forward$_each(b, ("" + "gate_up" + $str(tag)), x, ids, il);
{
const $row = $items([$floordiv($get(both.ne, 0), 2), $slice(both.nb, 1, 3, null)]);
half = $row[0];
steps = $row[1];
}
gate = graph.view(both, [half, ...$slice(both.ne, 1, 3, null)], steps);
return graph.glu(gate, graph.view(both, [half, ...$slice(both.ne, 1, 3, null)], steps, (half * $get(both.nb, 0))));
}
up = feed_forward$_each(b, ("" + "up" + $str(tag)), x, ids, il);
if (!$truth(b.has(("" + "ffn_gate" + $str(tag) + ".weight"), il))) {
return feed_forward$activation(b, up);
}
gate = feed_forward$_each(b, ("" + "gate" + $str(tag)), x, ids, il);
return feed_forward$_gate(b, gate, up, b.shape(il).clamps_experts);
}
function feed_forward$_route(b, logits, il, n_used, n_listed) {
let by_token, gating, graph, ids, n, n_expert, numbers, probs, scores, total, weights;
{
const $row = $items([b.graph, $get(logits.ne, 0), $get(logits.ne, 1)]);
graph = $row[0];
n_expert = $row[1];
n = $row[2];
}
gating = feed_forward$_gating(b);
probs = feed_forward$_probabilities(b, logits, gating);
if ($truth((by_token = b.weight_if("ffn_gate_tid2eid.weight", il)))) {
ids = graph.node("GET_ROWS", [n_used, n], tensor$I32, by_token, b.tokens());
}
else {
scores = ($truth(b.rules.weighs_inputs) ? logits : feed_forward$_scores(b, logits, probs, il));
ids = feed_forward$top_k(b, scores, $min(n_used, n_listed));
}
if (!$eq(n_listed, n_expert)) {
numbers = graph.scale(graph.node("CPY", ids.ne, undefined, ids));
ids = graph.node("CPY", ids.ne, tensor$I32, numbers);
}
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
function feed_forward$_probabilities(b, logits, gating) {
let graph;
graph = b.graph;
if ((gating === "softmax")) {
return graph.like("SOFT_MAX", logits);
}
if ((gating === "sigmoid")) {
return graph.unary("SIGMOID", logits);
}
if ((gating === "sqrt_softplus")) {
return graph.like("SQRT", graph.unary("SOFTPLUS", logits));
}
return logits;
}
function feed_forward$_scores(b, logits, probs, il) {
let bias, scores;
{
const $row = $items([probs, $or(b.weight_if("exp_probs_b.bias", il), () => b.weight_if("exp_probs_b", il))]);
scores = $row[0];
bias = $row[1];
}
if ($truth(bias)) {
scores = b.graph.add(probs, bias);
}
if ($truth(b.rules.chooses_by_sigmoid)) {
scores = b.graph.unary("SIGMOID", logits);
}
return ((b.model.integer("expert_group_count", 0) > 1) ? feed_forward$_within_groups(b, scores) : scores);
}
function feed_forward$_within_groups(b, scores) {
let best, chosen, graph, groups, kept, n, n_expert, n_groups, n_used, total, width;
{
const $row = $items([b.graph, $slice(scores.ne, null, 2, null)]);
graph = $row[0];
n_expert = $row[1][0];
n = $row[1][1];
}
{
const $row = $items([b.model.integer("expert_group_count"), b.model.integer("expert_group_used_count", 1)]);
n_groups = $row[0];
n_used = $row[1];
}
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
const feed_forward$_GATING = $dict([[1, "softmax"], [2, "sigmoid"], [3, "softmax_weight"], [4, "sqrt_softplus"]]);
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
function crossed$layer(b, cur, il, picks_outputs) {
let graph, k, middle, q, v, y;
graph = b.graph;
{
const $row = $items(attention$project_qkv(b, b.norm(cur, "attn_norm", il), il));
q = $row[0];
k = $row[1];
v = $row[2];
}
y = attention$attend(b, q, k, v, il, "attn_o", undefined, undefined, undefined, crossed$_distances(b, il));
if ($truth(b.has("cross_attn_q.weight", il))) {
cur = graph.add(y, cur);
y = crossed$_attend_input(b, b.norm(cur, "cross_attn_norm", il), il);
}
if ($truth(picks_outputs)) {
{
const $row = $items([b.output_rows(y), b.output_rows(cur)]);
y = $row[0];
cur = $row[1];
}
}
middle = graph.add(y, cur);
return graph.add(feed_forward$dense(b, b.norm(middle, "ffn_norm", il), il), middle);
}
function crossed$_distances(b, il) {
let bias, buckets, graph, n, n_kv, table;
{
const $row = $items([b.graph, b.n_tokens]);
graph = $row[0];
n = $row[1];
}
n_kv = ($truth($bound(b, "hparams").reads_cache) ? $bound($bound(b, "sizes"), "cells") : n);
table = b.weight("attn_rel_b", ($truth(b.has("attn_rel_b.weight", il)) ? il : 0));
buckets = graph.reshape(b.input("pos_bucket", tensor$I32, n_kv, n), (n_kv * n));
bias = graph.reshape(graph.get_rows(table, buckets), $get(table.ne, 0), n_kv, n);
return graph.cont(graph.permute(bias, undefined, 2, 0, 1, 3));
}
function crossed$_attend_input(b, x, il) {
let each, graph, k, mask, n, q, shape, source, v, y;
{
const $row = $items([b.graph, b.shape(il), b.model.n_ctx_train]);
graph = $row[0];
shape = $row[1];
n = $row[2];
}
source = b.input("cross_embd", tensor$F32, $bound(b, "hparams").n_embd, n);
q = graph.reshape(b.linear("cross_attn_q", x, il), shape.head_k, shape.n_head, b.n_tokens);
k = graph.reshape(b.linear("cross_attn_k", source, il), shape.head_k, shape.n_head_kv, n);
v = graph.reshape(b.linear("cross_attn_v", source, il), shape.head_v, shape.n_head_kv, n);
for (each of [q, k, v]) {
graph.expand(each);
}
mask = b.input("cross_kq_mask", ($truth($bound(b, "cache").flash_attn) ? tensor$F16 : tensor$F32), n, b.n_tokens);
y = graph.expand(attention$product(b, q, k, v, mask, il));
return b.linear("cross_attn_o", y, il);
}
function hyper_gated$gather(b, x, part, il) {
let mixed, normed;
{
const $row = $items(hyper_gated$_mixed(b, x, ("" + "hc_" + $str(part)), il));
normed = $row[0];
mixed = $row[1];
}
return [mixed, b.linear(("" + "hc_" + $str(part) + "_inject"), normed, il)];
}
function hyper_gated$spread(b, y, streams, inject, il) {
let _, each, graph, hc, mixed, n_embd, nt, shares;
{
const $row = $items([b.graph, streams.ne]);
graph = $row[0];
n_embd = $row[1][0];
hc = $row[1][1];
nt = $row[1][2];
_ = $row[1][3];
}
shares = graph.scale(graph.unary("SIGMOID", graph.scale(inject)));
if (!$in(hyper$POST, b.unfused)) {
mixed = graph.node(hyper$POST, streams.ne, undefined, y, streams, shares);
$put(b.fused_layers, mixed, il);
return mixed;
}
shares = graph.reshape(shares, 1, hc, nt);
each = graph.node("REPEAT", [n_embd, hc, nt], undefined, graph.reshape(y, n_embd, 1, nt));
return graph.add(streams, graph.mul(each, shares));
}
function hyper_gated$pick(b, streams) {
let _, graph, hc, n, n_embd, rows;
{
const $row = $items([b.graph, streams.ne]);
graph = $row[0];
n_embd = $row[1][0];
hc = $row[1][1];
n = $row[1][2];
_ = $row[1][3];
}
rows = b.output_rows(graph.reshape(streams, (n_embd * hc), n));
return graph.reshape(rows, n_embd, hc, b.n_outputs);
}
function hyper_gated$merge(b, cur) {
return $get(hyper_gated$_mixed(b, cur, "output_hc", null), 1);
}
function hyper_gated$grouped_norm(b, x, name, il) {
let weight;
weight = b.weight(name, il, [$bound(b, "hparams").n_embd, hyper$n_streams(b)]);
return b.graph.mul(b.graph.rms_norm(x), weight);
}
function hyper_gated$_mixed(b, x, name, il) {
let _, fused, gate, gated, gates, graph, hc, i, low, mixed, n_embd, normed, nt, row, streams;
{
const $row = $items([b.graph, x.ne]);
graph = $row[0];
n_embd = $row[1][0];
hc = $row[1][1];
nt = $row[1][2];
_ = $row[1][3];
}
normed = graph.reshape(hyper_gated$grouped_norm(b, x, ("" + $str(name) + "_norm"), il), (n_embd * hc), nt);
low = graph.unary("SILU", graph.scale(b.linear(("" + $str(name) + "_down"), normed, il)));
gate = b.linear(("" + $str(name) + "_up"), low, il);
if (((il != null) && !$in(hyper$PRE, b.unfused))) {
{
const $row = $items((function* () { for (const each of [normed, gate]) { yield graph.reshape(each, n_embd, hc, nt); } })());
streams = $row[0];
gates = $row[1];
}
fused = graph.node(hyper$PRE, [n_embd, nt], undefined, streams, gates);
$put(b.fused_layers, fused, il);
return [normed, fused];
}
gated = graph.mul(normed, graph.unary("SIGMOID", gate));
row = (4 * n_embd);
mixed = graph.cont(graph.view(gated, [n_embd, nt], [(row * hc)]));
for (i of $range(1, hc)) {
mixed = graph.add(mixed, graph.view(gated, [n_embd, nt], [(row * hc)], (row * i)));
}
return [normed, graph.scale(mixed)];
}
function independent_hyper$gather(b, x, part, il) {
let _, base, both, graph, hc, n, nt, scale;
{
const $row = $items([b.graph, ("" + "hc_" + $str(part)), x.ne]);
graph = $row[0];
n = $row[1];
_ = $row[2][0];
hc = $row[2][1];
nt = $row[2][2];
_ = $row[2][3];
}
{
const $row = $items([b.weight(("" + $str(n) + "_scale"), il), b.weight(("" + $str(n) + "_base"), il)]);
scale = $row[0];
base = $row[1];
}
both = hyper$mixtures(b, x, ("" + $str(n) + "_fn"), il);
function share(i) {
let own;
own = graph.view(both, [hc, nt], [$get(both.nb, 1)], ((4 * hc) * i));
own = graph.mul(own, graph.view(scale, [1], [], (4 * i)));
own = graph.unary("SIGMOID", graph.add(own, graph.view(base, [hc], [], ((4 * hc) * i))));
return graph.scale(own);
}
return [independent_hyper$_weighed(b, x, share(0)), graph.scale(share(1))];
}
function independent_hyper$spread(b, y, streams, after) {
let _, cur, graph, hc, i, n_embd, nt, out, share, stream;
{
const $row = $items([b.graph, streams.ne]);
graph = $row[0];
n_embd = $row[1][0];
hc = $row[1][1];
nt = $row[1][2];
_ = $row[1][3];
}
{
const $row = $items((function* () { for (const each of [y, after, streams]) { yield independent_hyper$_cast(b, each); } })());
y = $row[0];
after = $row[1];
streams = $row[2];
}
out = null;
for (i of $range(hc)) {
stream = graph.view(streams, [n_embd, nt], [$get(streams.nb, 2)], (i * $get(streams.nb, 1)));
share = graph.view(after, [1, nt], [$get(after.nb, 1)], (i * $get(after.nb, 0)));
cur = graph.reshape(graph.add(stream, graph.mul(y, share)), n_embd, 1, nt);
out = ($truth(out) ? graph.concat(out, cur, 1) : cur);
}
return independent_hyper$_cast(b, $or(out, () => streams));
}
function independent_hyper$merge(b, cur) {
let _, graph, hc, n, n_embd, rows, shares;
{
const $row = $items([b.graph, cur.ne]);
graph = $row[0];
n_embd = $row[1][0];
hc = $row[1][1];
n = $row[1][2];
_ = $row[1][3];
}
rows = b.output_rows(graph.reshape(cur, (n_embd * hc), n));
cur = graph.reshape(rows, n_embd, hc, b.n_outputs);
shares = graph.mul(hyper$mixtures(b, cur, "output_hc_fn", null), b.weight("output_hc_scale"));
shares = graph.unary("SIGMOID", graph.add(shares, b.weight("output_hc_base")));
return independent_hyper$_weighed(b, cur, graph.scale(shares));
}
function independent_hyper$_cast(b, x) {
return b.graph.node("CPY", x.ne, tensor$F32, x);
}
function independent_hyper$_weighed(b, x, shares) {
let _, graph, hc, i, n_embd, nt, part, share, stream, total;
{
const $row = $items([b.graph, x.ne]);
graph = $row[0];
n_embd = $row[1][0];
hc = $row[1][1];
nt = $row[1][2];
_ = $row[1][3];
}
x = independent_hyper$_cast(b, x);
total = null;
for (i of $range(hc)) {
stream = graph.view(x, [n_embd, nt], [$get(x.nb, 2)], (i * $get(x.nb, 1)));
share = graph.view(shares, [1, nt], [$get(shares.nb, 1)], (i * $get(shares.nb, 0)));
part = graph.mul(stream, share);
total = ($truth(total) ? graph.add(total, part) : part);
}
return independent_hyper$_cast(b, $or(total, () => x));
}
function recurrent$ssm_shape(b) {
if (($bound(b, "hparams").ssm == null)) {
throw new errors$ModelFileError(("" + $str(b.model.source) + ": a recurrent layer needs " + $str(b.model.arch) + ".ssm.* metadata; is it complete?"));
}
return $bound(b, "hparams").ssm;
}
function recurrent$states(b, cache, get = null) {
let after, extra, gathered, graph, ids, n_kept, n_read, n_rest, n_seqs, of_all, rest, rows, width, y;
{
const $row = $items([b.graph, b.n_seqs, $get(cache.ne, 0), $bound(b, "sizes").n_seqs]);
graph = $row[0];
n_seqs = $row[1];
width = $row[2];
n_kept = $row[3];
}
rows = graph.reshape(cache, width, $get(cache.ne, 1));
graph.expand(graph.scale_inplace(graph.view(rows, [width])));
{
const $row = $items([b.input("rs_s_copy", tensor$I32, n_kept), $sub(n_kept, n_seqs)]);
ids = $row[0];
n_rest = $row[1];
}
rest = graph.view(cache, [width, n_rest], [$get(cache.nb, 1)], (n_seqs * $get(cache.nb, 1)));
if ($truth(b.build.gathers_states)) {
of_all = ids;
if ($truth(get)) {
of_all = b.once("rs_s_copy", "tail", (() => graph.view(ids, [(n_kept - 1)], [], 4)));
}
gathered = graph.get_rows(rows, of_all);
n_read = $sub($get(of_all.ne, 0), n_rest);
after = graph.view(gathered, [width, n_rest], [$get(gathered.nb, 1)], (n_read * $get(gathered.nb, 1)));
y = ($truth(get) ? get(rows, recurrent$_main(b, ids)) : graph.view(gathered, [width, n_seqs]));
}
else {
extra = b.once("rs_s_copy", "extra", (() => graph.view(ids, [n_rest], [], (n_seqs * 4))));
after = graph.get_rows(rows, extra);
y = ($truth(get) ? get(rows, recurrent$_main(b, ids)) : graph.get_rows(rows, recurrent$_main(b, ids)));
}
graph.expand(y);
graph.expand(graph.cpy(after, rest));
return y;
}
function recurrent$_main(b, ids) {
let n_seqs;
n_seqs = b.n_seqs;
return b.once("rs_s_copy", "main", (() => b.graph.view(ids, [n_seqs])));
}
function recurrent$kept(b, name, il, width) {
return b.stored(name, il, tensor$F32, width, ($bound(b, "sizes").n_seqs * $bound(b, "sizes").n_states));
}
function recurrent$n_written(b, n_seq_tokens) {
return $min($bound(b, "sizes").n_states, n_seq_tokens);
}
function recurrent$convolve(b, x, il, kernel = "ssm_conv1d") {
let back, cache, channels, graph, is_whole, last, n_seqs, slot, ssm, start, width, window;
{
const $row = $items([b.graph, recurrent$ssm_shape(b), b.n_seqs]);
graph = $row[0];
ssm = $row[1];
n_seqs = $row[2];
}
{
const $row = $items([(ssm.conv_kernel - 1), ssm.channels]);
width = $row[0];
channels = $row[1];
}
cache = recurrent$kept(b, "r", il, ssm.conv_state);
window = graph.concat(graph.reshape(recurrent$states(b, cache), width, channels, n_seqs), graph.transpose(x));
is_whole = (b.family.recurrence.part === "delta_net");
for (back of $range(($truth(is_whole) ? $bound(b, "sizes").n_states : recurrent$n_written(b, $get(x.ne, 1))))) {
start = ($max($sub($sub($get(window.ne, 0), width), back), 0) * 4);
last = graph.view(window, [width, channels, n_seqs], $slice(window.nb, 1, 3, null), start);
slot = graph.view(cache, [(width * channels), n_seqs], [$get(cache.nb, 1)], ((back * $bound(b, "sizes").n_seqs) * $get(cache.nb, 1)));
if ($truth(b.family.recurrence.copies_states)) {
last = graph.cont(last);
}
graph.expand(graph.cpy(last, slot));
}
return graph.node("SSM_CONV", [channels, $get(x.ne, 1), n_seqs], undefined, window, b.weight(kernel, il));
}
function recurrent$mamba2(b, x, il) {
let dt, graph, head, heads, n_seqs, ssm, t, xbc, y, z, zx;
{
const $row = $items([b.graph, recurrent$ssm_shape(b), b.n_seqs]);
graph = $row[0];
ssm = $row[1];
n_seqs = $row[2];
}
{
const $row = $items([$floordiv(b.n_tokens, n_seqs), $floordiv(ssm.inner, ssm.rank)]);
t = $row[0];
head = $row[1];
}
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
let _, across, after, cache, graph, head, key, n_seqs, n_states, query, rank, row, size, ssm, t, written, y;
{
const $row = $items([b.graph, recurrent$ssm_shape(b), b.n_seqs]);
graph = $row[0];
ssm = $row[1];
n_seqs = $row[2];
}
{
const $row = $items(heads.ne);
head = $row[0];
rank = $row[1];
t = $row[2];
_ = $row[3];
}
{
const $row = $items([recurrent$kept(b, "s", il, ssm.ssm_state), $bound(b, "sizes").n_states]);
cache = $row[0];
n_states = $row[1];
}
across = [ssm.state, ssm.groups, t, n_seqs];
key = graph.view(xbc, across, [(ssm.state * 4), ...$slice(xbc.nb, 1, 3, null)], (ssm.inner * 4));
query = graph.view(xbc, across, [(ssm.state * 4), ...$slice(xbc.nb, 1, 3, null)], ($add(ssm.inner, (ssm.groups * ssm.state)) * 4));
dt = graph.add(graph.cont(dt), b.weight("ssm_dt.bias", il));
function scan(rows, ids) {
let before, size;
before = graph.reshape(rows, ssm.state, head, rank, (n_seqs * n_states));
size = $add($math.prod(heads.ne), ((ssm.ssm_state * n_seqs) * n_states));
return graph.node("SSM_SCAN", [size], undefined, before, heads, dt, b.weight("ssm_a", il), key, query, ids);
}
{
const $row = $items([recurrent$states(b, cache, scan), (ssm.ssm_state * 4)]);
y = $row[0];
size = $row[1];
}
written = [ssm.ssm_state, n_seqs, recurrent$n_written(b, t)];
after = graph.view(y, written, [size, (size * n_seqs)], ($math.prod(heads.ne) * 4));
graph.expand(graph.cpy(after, graph.view(cache, written, [$get(cache.nb, 1), (n_seqs * size)])));
row = $get(heads.nb, 1);
return graph.view(y, heads.ne, [row, (rank * row), ((t * rank) * row)]);
}
function recurrent$delta_net(b, x, il) {
let before, beta, cache, convolved, gate, graph, head, k, mixed, n_seqs, out, q, ssm, t, v, y, z;
{
const $row = $items([b.graph, recurrent$ssm_shape(b), b.n_seqs]);
graph = $row[0];
ssm = $row[1];
n_seqs = $row[2];
}
{
const $row = $items([$floordiv(b.n_tokens, n_seqs), $floordiv(ssm.inner, ssm.rank)]);
t = $row[0];
head = $row[1];
}
mixed = graph.reshape(b.linear("attn_qkv", x, il), ssm.channels, t, n_seqs);
z = b.linear("attn_gate", x, il);
{
const $row = $items(($truth(b.has("ssm_ba.weight", il)) ? recurrent$_beta_and_gate : recurrent$_split_beta_and_gate)(b, x, il));
beta = $row[0];
gate = $row[1];
}
convolved = recurrent$convolve(b, mixed, il);
cache = recurrent$kept(b, "s", il, ssm.ssm_state);
before = graph.reshape(recurrent$states(b, cache), head, head, ssm.rank, n_seqs);
{
const $row = $items(recurrent$_delta_qkv(b, graph.unary("SILU", convolved)));
q = $row[0];
k = $row[1];
v = $row[2];
}
out = recurrent$delta_rule(b, q, k, v, gate, beta, before, cache);
z = graph.reshape(z, head, ssm.rank, t, n_seqs);
y = graph.mul(b.norm(out, "ssm_norm", il), graph.unary(b.family.recurrence.output_gate, z));
y = b.linear("ssm_out", graph.reshape(y, ssm.inner, t, n_seqs), il);
return graph.reshape(y, $bound(b, "hparams").n_embd, b.n_tokens);
}
function recurrent$delta_rule(b, q, k, v, gate, beta, before, cache) {
let after, graph, head, n_seqs, n_states, out, row, scores, size, slots, ssm, t, written, y;
{
const $row = $items([b.graph, recurrent$ssm_shape(b), b.n_seqs, $bound(b, "sizes").n_states]);
graph = $row[0];
ssm = $row[1];
n_seqs = $row[2];
n_states = $row[3];
}
{
const $row = $items([$floordiv(b.n_tokens, n_seqs), $floordiv(ssm.inner, ssm.rank)]);
t = $row[0];
head = $row[1];
}
y = graph.node("GATED_DELTA_NET", [(head * ssm.rank), $add(b.n_tokens, ((head * n_seqs) * n_states))], undefined, q, k, v, gate, beta, before);
row = (head * 4);
out = graph.view(y, [head, ssm.rank, t, n_seqs], [row, (row * ssm.rank), ((row * ssm.rank) * t)]);
{
const $row = $items([((row * head) * ssm.rank), ((row * ssm.rank) * b.n_tokens)]);
size = $row[0];
scores = $row[1];
}
if ((n_states > 1)) {
written = [ssm.ssm_state, n_seqs, recurrent$n_written(b, t)];
after = graph.view(y, written, [size, (size * n_seqs)], scores);
slots = graph.view(cache, written, [$get(cache.nb, 1), (n_seqs * size)]);
}
else {
after = graph.view(y, [head, head, ssm.rank, n_seqs], [row, (row * head), size], scores);
slots = graph.view(cache, [ssm.ssm_state, n_seqs], [$get(cache.nb, 1)]);
}
graph.expand(graph.cpy(after, slots));
return out;
}
function recurrent$_beta_and_gate(b, x, il) {
let alpha, beta, both, gate, graph, half, n_seqs, ssm, t;
{
const $row = $items([b.graph, recurrent$ssm_shape(b), b.n_seqs]);
graph = $row[0];
ssm = $row[1];
n_seqs = $row[2];
}
{
const $row = $items([$floordiv(b.n_tokens, n_seqs), $floordiv(ssm.rank, $max(ssm.groups, 1))]);
t = $row[0];
half = $row[1];
}
both = graph.reshape(b.linear("ssm_ba", x, il), (2 * half), ssm.groups, t, n_seqs);
beta = graph.unary("SIGMOID", graph.cont(graph.view(both, [half, ssm.groups, t, n_seqs], $slice(both.nb, 1, null, null))));
alpha = graph.cont(graph.view(both, [half, ssm.groups, t, n_seqs], $slice(both.nb, 1, null, null), (half * 4)), ssm.rank, t, n_seqs);
alpha = graph.unary("SOFTPLUS", graph.add(alpha, b.weight("ssm_dt.bias", il)));
gate = graph.mul(alpha, b.weight("ssm_a", il));
return [graph.reshape(beta, 1, ssm.rank, t, n_seqs), graph.reshape(gate, 1, ssm.rank, t, n_seqs)];
}
function recurrent$_split_beta_and_gate(b, x, il) {
let alpha, beta, gate, graph, n_seqs, ssm, t;
{
const $row = $items([b.graph, recurrent$ssm_shape(b), b.n_seqs]);
graph = $row[0];
ssm = $row[1];
n_seqs = $row[2];
}
t = $floordiv(b.n_tokens, n_seqs);
beta = graph.unary("SIGMOID", graph.reshape(b.linear("ssm_beta", x, il), 1, ssm.rank, t, n_seqs));
alpha = graph.add(graph.reshape(b.linear("ssm_alpha", x, il), ssm.rank, t, n_seqs), b.weight("ssm_dt.bias", il));
gate = graph.mul(graph.unary("SOFTPLUS", alpha), b.weight("ssm_a", il));
return [beta, graph.reshape(gate, 1, ssm.rank, t, n_seqs)];
}
function recurrent$_delta_qkv(b, mixed) {
let graph, head, k, n_seqs, q, row, ssm, t, times, v;
{
const $row = $items([b.graph, recurrent$ssm_shape(b)]);
graph = $row[0];
ssm = $row[1];
}
{
const $row = $items([(4 * ssm.channels), $get(mixed.ne, 1), $get(mixed.ne, 2), $floordiv(ssm.inner, ssm.rank)]);
row = $row[0];
t = $row[1];
n_seqs = $row[2];
head = $row[3];
}
function part(width, heads, offset) {
return graph.view(mixed, [width, heads, t, n_seqs], [(width * 4), row, (row * t)], (offset * 4));
}
{
const $row = $items((function* () { for (const i of [0, 1]) { yield graph.scale(graph.rms_norm(part(ssm.state, ssm.groups, ((i * ssm.state) * ssm.groups)))); } })());
q = $row[0];
k = $row[1];
}
v = part(head, ssm.rank, ((2 * ssm.state) * ssm.groups));
if (($truth(b.rules.repeats_keys) && !$eq(ssm.groups, ssm.rank))) {
{
const $row = $items((function* () { for (const x of [q, k]) { yield graph.reshape(x, ssm.state, 1, ssm.groups, b.n_tokens); } })());
q = $row[0];
k = $row[1];
}
times = $floordiv(ssm.rank, $max(ssm.groups, 1));
{
const $row = $items((function* () { for (const x of [q, k]) { yield graph.node("REPEAT", [ssm.state, times, ssm.groups, b.n_tokens], undefined, x); } })());
q = $row[0];
k = $row[1];
}
{
const $row = $items((function* () { for (const x of [q, k]) { yield graph.reshape(x, ssm.state, ssm.rank, t, n_seqs); } })());
q = $row[0];
k = $row[1];
}
}
return [q, k, v];
}
function recurrent$short_conv(b, x, il) {
let gate_in, gate_out, graph, n_embd, n_seqs, parts, t, value, y;
{
const $row = $items([b.graph, b.n_seqs, $bound(b, "hparams").n_embd]);
graph = $row[0];
n_seqs = $row[1];
n_embd = $row[2];
}
t = $floordiv(b.n_tokens, n_seqs);
parts = b.linear("shortconv.in_proj", graph.reshape(x, $get(x.ne, 0), t, n_seqs), il);
{
const $row = $items((function* () { for (const i of $range(3)) { yield graph.view(parts, [n_embd, t, n_seqs], $slice(parts.nb, 1, 3, null), ((4 * n_embd) * i)); } })());
gate_in = $row[0];
gate_out = $row[1];
value = $row[2];
}
y = recurrent$convolve(b, graph.mul(gate_in, value), il, "shortconv.conv");
y = b.linear("shortconv.out_proj", graph.mul(gate_out, y), il);
return graph.reshape(y, n_embd, b.n_tokens);
}
function kda$kda(b, x, il) {
let before, beta, cache, gate, graph, head, k, memory, n, n_seqs, q, shown, ssm, t, v, y;
{
const $row = $items([b.graph, recurrent$ssm_shape(b), b.n_seqs]);
graph = $row[0];
ssm = $row[1];
n_seqs = $row[2];
}
{
const $row = $items([$floordiv(b.n_tokens, n_seqs), ssm.state, b.n_tokens]);
t = $row[0];
head = $row[1];
n = $row[2];
}
cache = recurrent$kept(b, "r", il, ssm.conv_state);
before = recurrent$states(b, cache);
{
const $row = $items((function* () { for (const number of $range(3)) { yield kda$_convolved(b, x, il, number, cache, before); } })());
q = $row[0];
k = $row[1];
v = $row[2];
}
gate = graph.reshape(kda$_gate(b, x, il), head, ssm.rank, t, n_seqs);
beta = graph.reshape(graph.mul_mat(b.weight("ssm_beta", il), x), 1, ssm.rank, t, n_seqs);
beta = graph.unary("SIGMOID", beta);
memory = recurrent$kept(b, "s", il, ssm.ssm_state);
before = graph.reshape(recurrent$states(b, memory), head, head, ssm.rank, n_seqs);
{
const $row = $items((function* () { for (const each of [q, k]) { yield graph.scale(graph.rms_norm(each)); } })());
q = $row[0];
k = $row[1];
}
y = graph.cont(recurrent$delta_rule(b, q, k, v, gate, beta, before, memory));
y = b.norm(graph.reshape(y, head, ssm.rank, n), "ssm_norm", il);
shown = graph.reshape(kda$_projected(b, x, il, "g"), head, ssm.rank, n);
y = graph.cont(graph.mul(y, graph.unary("SIGMOID", shown)), ssm.inner, n);
return graph.mul_mat(b.weight("attn_output", il), y);
}
function kda$_convolved(b, x, il, number, cache, before) {
let at, back, column, graph, kernel, last, n_seqs, n_slots, row, slot, ssm, start, t, target, which, width, window, y;
{
const $row = $items([b.graph, recurrent$ssm_shape(b), b.n_seqs]);
graph = $row[0];
ssm = $row[1];
n_seqs = $row[2];
}
{
const $row = $items([$floordiv(b.n_tokens, n_seqs), (ssm.conv_kernel - 1), (4 * ssm.conv_state)]);
t = $row[0];
width = $row[1];
row = $row[2];
}
{
const $row = $items([$get(["q", "k", "v"], number), (((number * 4) * width) * ssm.inner)]);
which = $row[0];
at = $row[1];
}
last = graph.view(before, [width, ssm.inner, n_seqs], [(4 * width), row], at);
y = graph.reshape(graph.mul_mat(b.weight(("" + "attn_" + $str(which)), il), x), ssm.inner, t, n_seqs);
window = graph.concat(last, graph.transpose(y));
n_slots = ($truth(b.has("ssm_f_b.weight", il)) ? $bound(b, "sizes").n_states : recurrent$n_written(b, t));
for (back of $range(n_slots)) {
start = ($max($sub(t, back), 0) * 4);
column = graph.view(window, [width, ssm.inner, n_seqs], $slice(window.nb, 1, 3, null), start);
slot = $add(((back * $bound(b, "sizes").n_seqs) * row), at);
target = graph.view(cache, [width, ssm.inner, n_seqs], [(4 * width), row], slot);
graph.expand(graph.cpy(column, target));
}
kernel = graph.reshape(b.weight(("" + "ssm_conv1d_" + $str(which)), il), ssm.conv_kernel, ssm.inner);
y = graph.node("SSM_CONV", [ssm.inner, t, n_seqs], undefined, window, kernel);
y = graph.unary("SILU", graph.reshape(y, ssm.inner, b.n_tokens));
return graph.reshape(y, ssm.state, ssm.rank, t, n_seqs);
}
function kda$_projected(b, x, il, which) {
let name, whole, y;
whole = ("" + "ssm_" + $str(which));
if ($truth(b.has(("" + $str(whole) + ".weight"), il))) {
return b.graph.mul_mat(b.weight(whole, il), x);
}
y = b.graph.mul_mat(b.weight(("" + "ssm_" + $str(which) + "_a"), il), x);
name = ("" + "ssm_" + $str(which) + "_b");
return ($truth(b.has(("" + $str(name) + ".weight"), il)) ? b.graph.mul_mat(b.weight(name, il), y) : y);
}
function kda$_gate(b, x, il) {
let graph, has_bound, kind, rates, ssm, y;
{
const $row = $items([b.graph, recurrent$ssm_shape(b)]);
graph = $row[0];
ssm = $row[1];
}
rates = graph.reshape(b.weight("ssm_a", il), 1, ssm.rank, 1);
y = graph.add(kda$_projected(b, x, il, "f"), b.weight("ssm_dt.bias", il));
kind = b.family.recurrence.gate;
has_bound = $in(("" + $str(b.model.arch) + ".kda.gate_lower_bound"), b.model.metadata);
if (((kind === "softplus") || ((kind === "metadata_negated") && !$truth(has_bound)))) {
y = graph.reshape(graph.unary("SOFTPLUS", y), ssm.state, ssm.rank, b.n_tokens);
return graph.mul(y, rates);
}
y = graph.mul(graph.reshape(y, ssm.state, ssm.rank, b.n_tokens), rates);
y = ((kind === "metadata_negated") ? graph.scale(y) : y);
return graph.scale(graph.unary("SIGMOID", y));
}
function lightning$attend(b, x, il) {
let after, before, cache, fused, gate, graph, head, heads, k, n_seqs, q, ssm, t, v, width, y;
{
const $row = $items([b.graph, recurrent$ssm_shape(b), b.n_seqs]);
graph = $row[0];
ssm = $row[1];
n_seqs = $row[2];
}
{
const $row = $items([$floordiv(b.n_tokens, n_seqs), ssm.state, ssm.rank]);
t = $row[0];
head = $row[1];
heads = $row[2];
}
recurrent$states(b, recurrent$kept(b, "r", il, ssm.conv_state));
x = graph.reshape(x, $get(x.ne, 0), t, 1, n_seqs);
fused = graph.unary("SILU", b.linear("attn_qkv", x, il));
fused = graph.reshape(fused, (3 * head), heads, t, n_seqs);
{
const $row = $items((function* () { for (const i of $range(3)) { yield graph.view(fused, [head, heads, t, n_seqs], $slice(fused.nb, 1, null, null), ((4 * head) * i)); } })());
q = $row[0];
k = $row[1];
v = $row[2];
}
cache = recurrent$kept(b, "s", il, ssm.ssm_state);
before = graph.reshape(recurrent$states(b, cache), head, head, heads, n_seqs);
{
const $row = $items(lightning$_block(b, q, k, v, before));
y = $row[0];
after = $row[1];
}
width = (ssm.ssm_state * n_seqs);
graph.expand(graph.cpy(after, graph.view(cache, [width])));
y = graph.cont(graph.permute(y, undefined, 0, 2, 1, 3));
y = b.norm(graph.reshape(y, (head * heads), t, 1, n_seqs), "attn_norm_2", il);
gate = graph.unary("SIGMOID", b.linear("attn_gate", x, il));
y = b.linear("attn_output", graph.mul(gate, y), il);
return graph.reshape(y, $get(y.ne, 0), b.n_tokens);
}
function lightning$_block(b, q, k, v, before) {
let _, faded, graph, heads, kept_on, n_seqs, of_state, scores, slopes, t, values, whole, y;
{
const $row = $items([b.graph, q.ne]);
graph = $row[0];
_ = $row[1][0];
heads = $row[1][1];
t = $row[1][2];
n_seqs = $row[1][3];
}
slopes = graph.scale(b.input("slopes", tensor$F32, heads));
function decay(name, ...ne) {
return graph.unary("EXP", graph.scale(b.input(name, tensor$F32, ...ne)));
}
function by_head(x) {
return graph.permute(x, undefined, 0, 2, 1, 3);
}
function by_token(x) {
return graph.cont(graph.permute(x, undefined, 1, 2, 0, 3));
}
faded = graph.mul(q, decay("q_decay", 1, heads, t, n_seqs));
of_state = graph.mul_mat(before, by_head(faded));
scores = graph.mul_mat(by_head(k), by_head(q));
scores = graph.mul(scores, decay("diag_decay", t, t, heads, n_seqs));
values = by_token(v);
y = graph.expand(graph.add(of_state, graph.mul_mat(values, scores)));
whole = graph.reshape(graph.unary("EXP", graph.scale(slopes)), 1, 1, heads);
kept_on = graph.mul(before, whole);
faded = graph.mul(k, decay("k_decay", 1, heads, t, n_seqs));
return [y, graph.add(kept_on, graph.mul_mat(by_token(faded), values))];
}
function mamba$mamba(b, x, il) {
let both, graph, inner, n_seqs, ssm, t, y, z;
{
const $row = $items([b.graph, recurrent$ssm_shape(b), b.n_seqs]);
graph = $row[0];
ssm = $row[1];
n_seqs = $row[2];
}
{
const $row = $items([$floordiv(b.n_tokens, n_seqs), ssm.inner]);
t = $row[0];
inner = $row[1];
}
both = b.linear("ssm_in", graph.reshape(x, $get(x.ne, 0), t, n_seqs), il);
x = graph.view(both, [inner, t, n_seqs], $slice(both.nb, 1, 3, null));
z = graph.view(both, [inner, t, n_seqs], $slice(both.nb, 1, 3, null), (4 * inner));
x = graph.add(recurrent$convolve(b, x, il), b.weight("ssm_conv1d.bias", il));
x = graph.unary("SILU", x);
y = mamba$_scan(b, x, il);
y = graph.add(y, graph.mul(x, b.weight("ssm_d", il)));
y = graph.glu(graph.cont(z), y);
return graph.reshape(b.linear("ssm_out", y, il), $bound(b, "hparams").n_embd, b.n_tokens);
}
function mamba$_scan(b, x, il) {
let across, after, cache, dt, graph, heads, inner, key, n_seqs, n_state, norms, parts, query, rank, ssm, t, y;
{
const $row = $items([b.graph, recurrent$ssm_shape(b), b.n_seqs]);
graph = $row[0];
ssm = $row[1];
n_seqs = $row[2];
}
{
const $row = $items([$get(x.ne, 1), ssm.inner, ssm.state, ssm.rank]);
t = $row[0];
inner = $row[1];
n_state = $row[2];
rank = $row[3];
}
parts = graph.mul_mat(b.weight("ssm_x", il), x);
dt = graph.view(parts, [rank, t, n_seqs], $slice(parts.nb, 1, 3, null));
across = [n_state, 1, t, n_seqs];
{
const $row = $items((function* () { for (const i of [0, 1]) { yield graph.view(parts, across, [(4 * n_state), ...$slice(parts.nb, 1, 3, null)], (4 * $add(rank, (i * n_state)))); } })());
key = $row[0];
query = $row[1];
}
norms = (() => { const $into = []; for (const name of ["dt", "b", "c"]) { $into.push(b.has(("" + "ssm_" + $str(name) + "_norm.weight"), il)); } return $into; })();
if ($all(norms)) {
{
const $row = $items([b.norm(dt, "ssm_dt_norm", il), b.norm(key, "ssm_b_norm", il)]);
dt = $row[0];
key = $row[1];
}
query = b.norm(query, "ssm_c_norm", il);
}
else {
if ($truth(b.model.metadata.get(("" + $str(b.model.arch) + ".ssm.dt_b_c_rms"), false))) {
{
const $row = $items((function* () { for (const each of [dt, key, query]) { yield b.norm(each, null); } })());
dt = $row[0];
key = $row[1];
query = $row[2];
}
}
else {
dt = graph.cont(dt);
}
}
dt = graph.mul_mat(b.weight("ssm_dt", il), dt);
dt = graph.add(dt, b.weight("ssm_dt.bias", il));
heads = graph.reshape(x, 1, inner, t, n_seqs);
cache = recurrent$kept(b, "s", il, ssm.ssm_state);
function scan(rows, ids) {
let before, size;
before = graph.reshape(rows, n_state, 1, inner, $get(rows.ne, 1));
size = $add(((inner * t) * n_seqs), (ssm.ssm_state * n_seqs));
return graph.node("SSM_SCAN", [size], undefined, before, heads, dt, b.weight("ssm_a", il), key, query, ids);
}
y = recurrent$states(b, cache, scan);
after = graph.view(y, [(ssm.ssm_state * n_seqs)], [], (((4 * inner) * t) * n_seqs));
graph.expand(graph.cpy(after, graph.view(cache, [(ssm.ssm_state * n_seqs)])));
return graph.view(y, [inner, t, n_seqs], [(4 * inner), ((4 * inner) * t)]);
}
function mamba$by_head(b, x, il) {
let after, both, by_heads, cache, dt, graph, head, heads, inner, key, n_dt, n_seqs, n_state, parts, query, rates, ssm, t, width, y, z;
{
const $row = $items([b.graph, recurrent$ssm_shape(b), b.n_seqs]);
graph = $row[0];
ssm = $row[1];
n_seqs = $row[2];
}
{
const $row = $items([$floordiv(b.n_tokens, n_seqs), ssm.inner, ssm.rank, ssm.state]);
t = $row[0];
inner = $row[1];
heads = $row[2];
n_state = $row[3];
}
head = $floordiv(inner, heads);
both = b.linear("ssm_in", graph.reshape(x, $get(x.ne, 0), t, n_seqs), il);
both = graph.cont(graph.permute(both, undefined, 0, 2, 1, 3), (2 * head), heads, t, n_seqs);
x = graph.view(both, [head, heads, t, n_seqs], $slice(both.nb, 1, null, null), (4 * head));
x = graph.cont(x, inner, t, n_seqs);
z = graph.view(both, [head, heads, t, n_seqs], $slice(both.nb, 1, null, null));
x = graph.unary("SILU", recurrent$convolve(b, x, il));
parts = b.linear("ssm_x", x, il);
n_dt = $sub($get(parts.ne, 0), (2 * n_state));
function part(name, width, at) {
let own;
own = graph.view(parts, [width, t, n_seqs], $slice(parts.nb, 1, 3, null), (4 * at));
return b.norm(own, ("" + "ssm_" + $str(name) + "_norm"), il);
}
{
const $row = $items([part("b", n_state, 0), part("c", n_state, n_state)]);
key = $row[0];
query = $row[1];
}
dt = part("dt", n_dt, (2 * n_state));
dt = graph.add(graph.mul_mat(b.weight("ssm_dt", il), dt), b.weight("ssm_dt.bias", il));
rates = graph.reshape(b.weight("ssm_a", il), 1, heads);
by_heads = graph.view(x, [head, heads, t, n_seqs], [(4 * head), (4 * inner), ((4 * inner) * t)]);
{
const $row = $items((function* () { for (const each of [key, query]) { yield graph.view(each, [n_state, 1, t, n_seqs], [(4 * n_state), ...$slice(each.nb, 1, 3, null)]); } })());
key = $row[0];
query = $row[1];
}
cache = recurrent$kept(b, "s", il, ssm.ssm_state);
function scan(rows, ids) {
let before, size;
before = graph.reshape(rows, n_state, head, heads, $get(rows.ne, 1));
size = ($add((inner * t), ssm.ssm_state) * n_seqs);
return graph.node("SSM_SCAN", [size], undefined, before, by_heads, dt, rates, key, query, ids);
}
y = recurrent$states(b, cache, scan);
width = (ssm.ssm_state * n_seqs);
after = graph.view(y, [width], [], (((4 * inner) * t) * n_seqs));
graph.expand(graph.cpy(after, graph.view(cache, [width])));
y = graph.view(y, by_heads.ne, $slice(by_heads.nb, 1, null, null));
y = graph.add(y, graph.mul(by_heads, graph.reshape(b.weight("ssm_d", il), 1, heads)));
y = graph.glu(graph.cont(z), y);
y = graph.view(y, [inner, t, n_seqs], $slice(y.nb, 2, null, null));
return graph.reshape(b.linear("ssm_out", y, il), $bound(b, "hparams").n_embd, b.n_tokens);
}
const ngrams$_EMBEDDED = "ngrams";
function ngrams$embed(b) {
let ids, n_heads, rows;
n_heads = ((b.model.integer("ple.ngram_size") - 1) * b.model.integer("ple.heads_per_ngram"));
ids = b.input("ple_rows", tensor$I32, (n_heads * b.n_tokens));
rows = b.graph.get_rows(b.weight("per_layer_token_embd"), ids);
rows = b.graph.reshape(rows, ($get(rows.ne, 0) * n_heads), b.n_tokens);
b.graph.expand(b.once(ngrams$_EMBEDDED, null, (() => rows)));
}
function ngrams$add(b, streams, il) {
let _, convolved, gate, graph, hc, key, n, n_embd, query, rows, s, size, value;
{
const $row = $items([b.graph, streams.ne]);
graph = $row[0];
n_embd = $row[1][0];
hc = $row[1][1];
n = $row[1][2];
_ = $row[1][3];
}
rows = b.once(ngrams$_EMBEDDED, null, (() => streams));
{
const $row = $items([b.linear("ple_key", rows, il), b.linear("ple_value", rows, il)]);
key = $row[0];
value = $row[1];
}
key = hyper_gated$grouped_norm(b, graph.reshape(key, n_embd, hc, n), "ple_norm_key", il);
query = hyper_gated$grouped_norm(b, graph.reshape(streams, n_embd, hc, n), "ple_norm_query", il);
s = graph.scale(graph.node("SUM_ROWS", [1, hc, n], undefined, graph.mul(key, query)));
size = graph.like("SQRT", graph.like("CLAMP", graph.unary("ABS", s)));
gate = graph.unary("SIGMOID", graph.mul(graph.unary("SGN", s), size));
value = graph.node("REPEAT", [n_embd, hc, n], undefined, graph.reshape(value, n_embd, 1, n));
value = graph.mul(value, gate);
convolved = ngrams$_convolved(b, value, il);
return graph.add(streams, graph.add(value, convolved));
}
function ngrams$_convolved(b, value, il) {
let _, back, before, cache, column, flat, graph, hc, k, kernel, n, n_embd, n_seqs, normed, padded, past, shifted, slot, start, step, t, tail, target, term, total, weight, width, x, y;
{
const $row = $items([b.graph, value.ne, b.n_seqs]);
graph = $row[0];
n_embd = $row[1][0];
hc = $row[1][1];
n = $row[1][2];
_ = $row[1][3];
n_seqs = $row[2];
}
{
const $row = $items([$floordiv(n, n_seqs), (n_embd * hc), b.model.integer("ple.conv_kernel")]);
t = $row[0];
width = $row[1];
kernel = $row[2];
}
step = b.model.integer("ple.ngram_size");
past = ((kernel - 1) * step);
flat = graph.reshape(value, width, n);
normed = hyper_gated$grouped_norm(b, graph.reshape(flat, n_embd, hc, n), "ple_norm_conv", il);
x = graph.reshape(graph.reshape(normed, width, n), width, t, n_seqs);
cache = recurrent$kept(b, "ple_r", il, (past * width));
before = graph.reshape(recurrent$states(b, cache), past, width, n_seqs);
padded = graph.concat(before, graph.transpose(x));
for (back of $range($bound(b, "sizes").n_states)) {
start = ($max($sub($sub($get(padded.ne, 0), past), back), 0) * 4);
tail = graph.cont(graph.view(padded, [past, width, n_seqs], $slice(padded.nb, 1, 3, null), start));
slot = ((back * $bound(b, "sizes").n_seqs) * $get(cache.nb, 1));
target = graph.view(cache, [(past * width), n_seqs], [$get(cache.nb, 1)], slot);
graph.expand(graph.cpy(tail, target));
}
{
const $row = $items([b.weight("ple_conv1d", il), null]);
weight = $row[0];
total = $row[1];
}
for (k of $range(kernel)) {
start = ($sub(past, ($sub((kernel - 1), k) * step)) * 4);
shifted = graph.view(padded, [t, width, n_seqs], $slice(padded.nb, 1, 3, null), start);
shifted = graph.cont(graph.transpose(shifted));
column = graph.view(weight, [1, width], [$get(weight.nb, 1)], (k * $get(weight.nb, 0)));
column = graph.reshape(graph.cont(column), width);
if ((column.quant !== tensor$F32)) {
column = graph.node("CPY", column.ne, undefined, column);
}
term = graph.mul(shifted, column);
total = ($truth(total) ? graph.add(total, term) : term);
}
y = graph.unary("SILU", $or(total, () => x));
return graph.reshape(graph.cont(y), n_embd, hc, n);
}
const pooled$MOST_GATHERED = 16;
const pooled$_STEP = 64;
function pooled$attend(b, x, il) {
let cache, cells, graph, k, kind, kv, low, mask, n, n_head, q, rank, row, up, v, y;
{
const $row = $items([b.graph, b.n_tokens, b.shape(il).n_head]);
graph = $row[0];
n = $row[1];
n_head = $row[2];
}
rank = b.model.integer("attention.kv_lora_rank");
low = b.norm(graph.mul_mat(b.weight("attn_q_a", il), x), "attn_q_a_norm", il);
q = graph.mul_mat(b.weight("attn_q_b", il), low);
q = graph.reshape(q, $floordiv($get(q.ne, 0), $max(n_head, 1)), n_head, n);
kv = b.norm(graph.mul_mat(b.weight("attn_kv_a_mqa", il), x), "attn_kv_a_norm", il);
kv = graph.reshape(kv, rank, 1, n);
q = graph.mul_mat(b.weight("attn_k_b", il), graph.permute(q, undefined, 0, 2, 1, 3));
q = graph.permute(q, undefined, 0, 2, 1, 3);
pooled$_expand_inputs(b);
if ($truth(b.shape(il).index_width)) {
b.chosen_cells = pooled$_choose(b, x, low, il);
}
if ((b.chosen_cells == null)) {
throw new errors$ModelFileError(("" + $str(b.model.source) + ": layer " + $str(il) + " has no indexer, and none before it has; llama.cpp aborts"));
}
graph.expand(q);
graph.expand(kv);
cells = $bound($bound(b, "sizes"), "cells");
cache = b.stored("k", il, $bound(b, "cache").k, rank, cells, $bound(b, "sizes").n_stream);
attention$store(b, kv, cache, b.input("attn_inp_k_idxs", tensor$I64, n));
{
const $row = $items([b.weight("attn_v_b", il), $get(cache.nb, 1)]);
up = $row[0];
row = $row[1];
}
if ($truth(pooled$_gathers(b))) {
y = pooled$_over_rows(b, q, graph.view(cache, [rank, (cells * $bound(b, "sizes").n_stream)], [row]), up);
}
else {
k = graph.view(cache, [rank, 1, cells, $bound(b, "sizes").n_stream], [row, row, $get(cache.nb, 2)]);
v = graph.view(k, k.ne, $slice(k.nb, 1, null, null));
mask = graph.reshape(b.chosen_cells, ...pooled$_mask(b, il).ne);
kind = ($truth($bound(b, "cache").flash_attn) ? attention$fused : attention$plain);
y = kind(b, q, k, v, mask, il, null, up);
}
return graph.mul_mat(b.weight("attn_output", il), y);
}
function pooled$_pool(b) {
return b.model.integer("attention.indexer.kpool");
}
function pooled$_n_pools(b) {
let n;
n = ($floordiv($bound($bound(b, "sizes"), "cells"), pooled$_pool(b)) * $bound(b, "sizes").n_seqs);
return [$max(pooled$_STEP, tensor$pad((n + 1), pooled$_STEP)), $max(n, 1)];
}
function pooled$_n_chosen(b) {
let has_tail, n, pool;
pool = pooled$_pool(b);
n = $min($get(pooled$_n_pools(b), 0), $floordiv(b.model.integer("attention.indexer.top_k"), pool));
has_tail = b.model.metadata.get(("" + $str(b.model.arch) + ".attention.indexer.kpool_select_tail"), true);
return [n, $add((pool * n), ($truth(has_tail) ? (pool - 1) : 0))];
}
function pooled$_gathers(b) {
return ($le(b.n_tokens, pooled$MOST_GATHERED) && $gt($bound($bound(b, "sizes"), "cells"), $get(pooled$_n_chosen(b), 1)));
}
function pooled$_expand_inputs(b) {
let n, n_pool, pool;
{
const $row = $items([$get(pooled$_n_pools(b), 0), b.n_tokens, pooled$_pool(b)]);
n_pool = $row[0];
n = $row[1];
pool = $row[2];
}
b.graph.expand(b.input("kpool_cells", tensor$I32, n_pool));
b.graph.expand(b.input("kpool_idxs", tensor$I32, pool, n_pool));
b.graph.expand(b.input("kpool_mask", tensor$F16, n_pool, n));
b.graph.expand(b.input("kpool_tail_idxs", tensor$I32, (pool - 1), n));
b.graph.expand(b.input("kpool_gather_mask", tensor$F32, $get(pooled$_n_chosen(b), 1), 1, 1, n));
}
function pooled$_mask(b, il) {
return attention$mask(b, il, $bound($bound(b, "sizes"), "cells"), $bound(b, "sizes").n_stream);
}
function pooled$_choose(b, x, low, il) {
let best, cells, chosen, graph, heads, mask, n, n_best, n_cells, n_pool, numbers, order, pool, pooled, q, score, scores, weights, width;
{
const $row = $items([b.graph, b.n_tokens]);
graph = $row[0];
n = $row[1];
}
{
const $row = $items((function* () { for (const key of ["head_count", "key_length"]) { yield b.model.integer(("" + "attention.indexer." + $str(key))); } })());
heads = $row[0];
width = $row[1];
}
q = graph.mul_mat(b.weight("indexer.attn_q_b", il), low);
q = graph.reshape(q, width, heads, n);
pooled = pooled$_pooled_keys(b, x, width, il);
weights = graph.scale(graph.mul_mat(b.weight("indexer.proj", il), x));
n_pool = $get(pooled.ne, 2);
mask = b.input("kpool_mask", tensor$F16, n_pool, n);
score = graph.node("LIGHTNING_INDEXER", [n_pool, n], undefined, q, pooled, weights, mask);
{
const $row = $items(pooled$_n_chosen(b));
n_best = $row[0];
n_cells = $row[1];
}
best = graph.node("TOP_K", [n_best, n], tensor$I32, score);
scores = graph.get_rows(graph.reshape(score, 1, n_pool, n), best);
order = graph.node("ARGSORT", [n_best, n], tensor$I32, graph.reshape(scores, n_best, n));
numbers = graph.reshape(graph.node("CPY", best.ne, undefined, best), 1, n_best, n);
best = graph.cont(graph.reshape(graph.get_rows(numbers, order), n_best, n));
best = graph.reshape(graph.node("CPY", best.ne, tensor$I32, best), (n_best * n));
pool = pooled$_pool(b);
cells = b.input("kpool_idxs", tensor$I32, pool, n_pool);
chosen = graph.node("GET_ROWS", [pool, (n_best * n)], tensor$I32, cells, best);
chosen = graph.reshape(chosen, (pool * n_best), n);
if ($gt(n_cells, (pool * n_best))) {
chosen = graph.concat(chosen, b.input("kpool_tail_idxs", tensor$I32, (pool - 1), n));
}
return ($truth(pooled$_gathers(b)) ? chosen : pooled$_as_mask(b, chosen, il));
}
function pooled$_pooled_keys(b, x, width, il) {
let both, cache, empty, found, fresh, gate, gates, graph, key, keys, members, n, n_cells, n_new, n_pool, packed, pool, pooled, row, rows, shares, sizes;
{
const $row = $items([b.graph, b.n_tokens, $bound(b, "sizes"), pooled$_pool(b)]);
graph = $row[0];
n = $row[1];
sizes = $row[2];
pool = $row[3];
}
{
const $row = $items(pooled$_n_pools(b));
n_pool = $row[0];
n_new = $row[1];
}
key = graph.mul_mat(b.weight("indexer.attn_k", il), x);
key = b.norm(key, "indexer.k_norm", il, undefined, undefined, "NORM");
gate = graph.mul_mat(b.weight("indexer_compressor_gate", il), x);
empty = graph.like("FILL", graph.leaf(tensor$F32, "zeros", undefined, undefined, undefined, width, n));
packed = graph.concat(graph.concat(key, gate), empty);
cache = b.stored("idx_k", il, $bound(b, "cache").k, (3 * width), $bound(sizes, "cells"), sizes.n_stream);
attention$store(b, graph.reshape(packed, (3 * width), 1, n), cache, b.input("kpool_k_idxs", tensor$I64, n));
{
const $row = $items([($bound(sizes, "cells") * sizes.n_stream), $get(cache.nb, 1)]);
n_cells = $row[0];
row = $row[1];
}
both = graph.view(cache, [(2 * width), n_cells], [row]);
pooled = graph.view(cache, [width, n_cells], [row], $bound(b, "cache").k.row_bytes((2 * width)));
members = graph.reshape(b.input("kpool_new_idxs", tensor$I32, pool, n_new), (pool * n_new));
rows = graph.reshape(graph.get_rows(both, members), (2 * width), pool, n_new);
keys = graph.view(rows, [width, pool, n_new], $slice(rows.nb, 1, 3, null));
gates = graph.view(rows, [width, pool, n_new], $slice(rows.nb, 1, 3, null), (4 * width));
gates = graph.add(gates, b.weight("indexer_compressor_ape", il));
gates = graph.cont(graph.permute(gates, undefined, 1, 0, 2, 3));
shares = graph.like("SOFT_MAX", graph.reshape(gates, pool, (width * n_new)));
shares = graph.reshape(shares, pool, width, n_new);
keys = graph.mul(shares, graph.cont(graph.permute(keys, undefined, 1, 0, 2, 3)));
fresh = graph.reshape(graph.node("SUM_ROWS", [1, width, n_new], undefined, keys), width, n_new);
graph.expand(graph.set_rows(pooled, fresh, b.input("kpool_new_rep", tensor$I64, n_new)));
found = graph.get_rows(pooled, b.input("kpool_cells", tensor$I32, n_pool));
return graph.reshape(found, width, 1, n_pool);
}
function pooled$_as_mask(b, chosen, il) {
let _, at, closed, graph, live, mask, n, n_cells, n_kv, opened, seed, spare, zeros;
{
const $row = $items([b.graph, chosen.ne, $bound($bound(b, "sizes"), "cells")]);
graph = $row[0];
n_cells = $row[1][0];
n = $row[1][1];
_ = $row[1][2];
_ = $row[1][3];
n_kv = $row[2];
}
mask = pooled$_mask(b, il);
seed = graph.node("CPY", [1], undefined, graph.view(chosen, [1]));
closed = ((mask.quant === tensor$F32) ? seed : graph.node("CPY", [1], mask.quant, seed));
closed = graph.like("FILL", closed);
closed = graph.node("REPEAT", [1, $add(n_kv, n_cells), n], mask.quant, closed);
closed = graph.reshape(closed, 1, $add(n_kv, n_cells), n);
zeros = graph.node("REPEAT", [1, n_cells, n], undefined, graph.like("FILL", seed));
zeros = graph.reshape(zeros, 1, n_cells, n);
live = graph.reshape(b.input("kpool_gather_mask", tensor$F32, n_cells, 1, 1, n), n_cells, n);
live = graph.unary("EXP", live);
spare = graph.node("ARANGE", [n_cells]);
at = graph.like("SUB", graph.node("CPY", chosen.ne, undefined, chosen), spare);
at = graph.add(graph.mul(at, live), spare);
at = graph.node("CPY", at.ne, tensor$I32, at);
opened = graph.set_rows(closed, zeros, graph.reshape(at, n_cells, n, 1));
opened = graph.view(opened, [n_kv, n], [$get(opened.nb, 2)]);
return graph.add(opened, graph.reshape(mask, n_kv, n));
}
function pooled$_over_rows(b, q, rows, up) {
let chosen, graph, k, live, n, n_cells, scores, y;
{
const $row = $items([b.graph, b.n_tokens, b.chosen_cells]);
graph = $row[0];
n = $row[1];
chosen = $row[2];
}
if ((chosen == null)) {
return q;
}
n_cells = $get(chosen.ne, 0);
graph.expand(pooled$_mask(b, 0));
k = graph.get_rows(rows, graph.reshape(chosen, (n_cells * n)));
k = graph.reshape(k, $get(rows.ne, 0), n_cells, 1, n);
scores = graph.mul_mat(k, graph.permute(q, undefined, 0, 2, 3, 1));
live = b.input("kpool_gather_mask", tensor$F32, n_cells, 1, 1, n);
scores = graph.like("SOFT_MAX", scores, live);
y = graph.mul_mat(up, graph.mul_mat(graph.cont(graph.transpose(k)), scores));
y = graph.cont(graph.permute(y, undefined, 0, 2, 1, 3));
return graph.reshape(y, ($get(y.ne, 0) * $get(y.ne, 1)), n);
}
function position_blocks$attend(b, x, il) {
let chosen, each, index_k, index_q, is_split, k, q, shape, turns_k, turns_v, v, y;
is_split = $eq($bound(b, "sizes").n_stream, $bound(b, "sizes").n_seqs);
if (!($truth(b.shape(il).index_width) && $truth($bound(b, "cache").flash_attn) && $truth(is_split))) {
return attention$standard(b, x, il);
}
shape = b.shape(il);
{
const $row = $items(attention$project_qkv(b, x, il));
q = $row[0];
k = $row[1];
v = $row[2];
}
{
const $row = $items([attention$positioned(b, q, "attn_q_norm", il), attention$positioned(b, k, "attn_k_norm", il)]);
q = $row[0];
k = $row[1];
}
{
const $row = $items(position_blocks$_index(b, x, il));
index_q = $row[0];
index_k = $row[1];
}
{
const $row = $items(attention$rotation(b, il, false));
turns_k = $row[0];
turns_v = $row[1];
}
if ($truth(turns_k)) {
{
const $row = $items([attention$rotate(b, q, "k", turns_k, il), attention$rotate(b, k, "k", turns_k, il)]);
q = $row[0];
k = $row[1];
}
}
if ($truth(turns_v)) {
v = attention$rotate(b, v, "v", turns_v, il);
}
for (each of [q, k, v]) {
b.graph.expand(each);
}
{
const $row = $items([attention$keep_k(b, k, il), attention$keep_v(b, v, il)]);
k = $row[0];
v = $row[1];
}
chosen = ($eq(b.n_tokens, $bound(b, "sizes").n_stream) ? position_blocks$_gathered : position_blocks$_masked);
y = chosen(b, q, k, v, index_q, index_k, $floordiv(shape.n_head, shape.n_head_kv));
if ($truth(turns_v)) {
y = attention$rotate(b, y, "v", turns_v, il);
}
return b.linear("attn_output", y, il);
}
function position_blocks$_index(b, x, il) {
let cache, cells, graph, k, kind, n, n_stream, q, row, width;
{
const $row = $items([b.graph, b.shape(il).index_width, b.n_tokens]);
graph = $row[0];
width = $row[1];
n = $row[2];
}
{
const $row = $items([$bound($bound(b, "sizes"), "cells"), $bound(b, "sizes").n_stream, $bound(b, "cache").k]);
cells = $row[0];
n_stream = $row[1];
kind = $row[2];
}
q = graph.reshape(b.linear("indexer.q_proj", x, il), width, position_blocks$_heads(b), n);
k = graph.reshape(b.linear("indexer.k_proj", x, il), width, 1, n);
q = attention$rope(b, b.norm(q, "indexer.q_norm", il), il);
k = attention$rope(b, b.norm(k, "indexer.k_norm", il), il);
cache = b.stored("idx_k", il, kind, width, cells, n_stream);
attention$store(b, k, cache, b.input("attn_inp_k_idxs_idx", tensor$I64, n));
row = kind.row_bytes(width);
return [q, graph.view(cache, [width, 1, cells, n_stream], [row, row, (row * cells)])];
}
function position_blocks$_heads(b) {
return b.model.integer("attention.indexer.head_count");
}
function position_blocks$_sizes(b) {
let block, n;
block = b.model.integer("attention.indexer.block_size");
n = tensor$pad($bound(b, "sizes").n_positions, block);
return [block, n, $min(b.model.integer("attention.indexer.top_k"), $floordiv(n, block))];
}
function position_blocks$_blocks(b, scores, bias, block, n_best) {
let best, graph;
graph = b.graph;
best = graph.node("POOL_2D", [$floordiv($get(scores.ne, 0), block), ...$slice(scores.ne, 1, null, null)], undefined, scores);
best = graph.add(best, bias);
return graph.node("TOP_K", [n_best, ...$slice(best.ne, 1, null, null)], tensor$I32, best);
}
function position_blocks$_fused(b, q, k, v, mask, n_shared) {
let graph, n, n_groups, n_head, rows, width, y;
{
const $row = $items([b.graph, $slice(q.ne, null, 3, null), $get(k.ne, 3)]);
graph = $row[0];
width = $row[1][0];
n_head = $row[1][1];
n = $row[1][2];
n_groups = $row[2];
}
rows = $floordiv((n_head * n), (n_shared * n_groups));
q = graph.permute(graph.reshape(q, width, n_shared, n_groups, rows), undefined, 0, 2, 3, 1);
y = graph.node("FLASH_ATTN_EXT", [$get(v.ne, 0), $get(q.ne, 2), $get(q.ne, 1), $get(q.ne, 3)], undefined, q, k, v, mask);
y = graph.permute(y, undefined, 0, 1, 3, 2);
y = ($truth(y.is_contiguous) ? y : graph.cont(y));
return graph.reshape(y, (width * n_head), n);
}
function position_blocks$_cast(b, x, kind) {
return b.graph.node("CPY", x.ne, kind, x);
}
function position_blocks$_gathered(b, q, k, v, index_q, index_k, n_shared) {
let best, bias, block, cached, cells, each, first, flat, found, graph, heads, index_width, keys, kind, mask, n, n_best, n_chosen, n_kv, ns, of_positions, offsets, own, positions, rows, scores, seen, slots, steps, width;
{
const $row = $items([b.graph, position_blocks$_heads(b), $bound(b, "sizes").n_stream]);
graph = $row[0];
heads = $row[1];
ns = $row[2];
}
{
const $row = $items([position_blocks$_sizes(b), $bound($bound(b, "sizes"), "cells"), $slice(k.ne, null, 2, null)]);
block = $row[0][0];
n = $row[0][1];
n_best = $row[0][2];
cells = $row[1];
width = $row[2][0];
n_kv = $row[2][1];
}
index_width = $get(index_q.ne, 0);
of_positions = b.input("msa_pos_slot_i", tensor$I32, n, ns);
mask = b.input("msa_pos_mask", tensor$F32, n, b.n_tokens);
bias = b.input("msa_bias", tensor$F32, $floordiv(n, block), b.n_tokens);
keys = graph.view(index_k, [index_width, cells, ns], $slice(index_k.nb, 2, 4, null));
keys = graph.reshape(graph.get_rows(keys, of_positions), index_width, n, 1, ns);
scores = graph.mul_mat(keys, graph.reshape(index_q, index_width, heads, 1, ns));
scores = graph.add_inplace(scores, graph.reshape(mask, n, 1, 1, ns));
best = position_blocks$_blocks(b, scores, graph.reshape(bias, $floordiv(n, block), 1, 1, ns), block, n_best);
first = graph.reshape(graph.scale(position_blocks$_cast(b, best, tensor$F32)), 1, n_best, heads, ns);
each = [block, n_best, heads, ns];
steps = graph.reshape(graph.node("ARANGE", [block]), block, 1, 1);
positions = graph.add(graph.node("REPEAT", each, undefined, first), steps);
n_chosen = (block * n_best);
positions = position_blocks$_cast(b, graph.reshape(positions, (n_chosen * heads), ns), tensor$I32);
slots = graph.reshape(b.input("msa_pos_slot_f", tensor$F32, n, ns), 1, n, ns);
slots = graph.reshape(graph.get_rows(slots, positions), ...each);
offsets = graph.reshape(graph.node("ARANGE", [n_kv]), 1, 1, heads);
rows = graph.add(graph.scale(slots), offsets);
rows = position_blocks$_cast(b, graph.reshape(rows, (n_chosen * heads), ns), tensor$I32);
found = [];
for (cached of [k, v]) {
flat = graph.view(cached, [width, (n_kv * cells), ns], [$get(cached.nb, 1), $get(cached.nb, 3)]);
own = graph.reshape(graph.get_rows(flat, rows), width, n_chosen, 1, (heads * ns));
kind = ($truth(cached.quant.is_quantized) ? tensor$F16 : cached.quant);
$list.append(found, ((own.quant === kind) ? own : position_blocks$_cast(b, own, kind)));
}
seen = graph.get_rows(graph.reshape(mask, 1, n, ns), positions);
seen = position_blocks$_cast(b, graph.reshape(seen, n_chosen, 1, 1, (heads * ns)), tensor$F16);
return position_blocks$_fused(b, q, $get(found, 0), $get(found, 1), seen, n_shared);
}
function position_blocks$_masked(b, q, k, v, index_q, index_k, n_shared) {
let graph, ns, other, own, y;
{
const $row = $items([b.graph, $bound(b, "sizes").n_stream]);
graph = $row[0];
ns = $row[1];
}
own = (() => { const $into = []; for (const i of $range(ns)) { $into.push(position_blocks$_masked_stream(b, i, q, k, v, index_q, index_k, n_shared)); } return $into; })();
y = $get(own, 0);
for (other of $slice(own, 1, null, null)) {
y = graph.concat(y, other, 1);
}
return y;
}
function position_blocks$_masked_stream(b, st, q, k, v, index_q, index_k, n_shared) {
let best, bias, block, by_block, by_cell, cells, closed, graph, heads, index_width, keys, mask, n, n_best, n_blocks, near, ns, opened, own, scores, seen, t;
{
const $row = $items([b.graph, $bound(b, "sizes").n_stream, $bound($bound(b, "sizes"), "cells"), position_blocks$_heads(b)]);
graph = $row[0];
ns = $row[1];
cells = $row[2];
heads = $row[3];
}
{
const $row = $items([position_blocks$_sizes(b), $floordiv(b.n_tokens, ns), $get(index_q.ne, 0)]);
block = $row[0][0];
n = $row[0][1];
n_best = $row[0][2];
t = $row[1];
index_width = $row[2];
}
n_blocks = $floordiv(n, block);
{
const $row = $items([b.input("msa_pos_mask", tensor$F32, n, b.n_tokens), b.input("msa_bias", tensor$F32, n_blocks, b.n_tokens)]);
mask = $row[0];
bias = $row[1];
}
function of_tokens(x) {
return graph.view(x, [...$slice(x.ne, null, 2, null), t], $slice(x.nb, 1, 3, null), ((st * t) * $get(x.nb, 2)));
}
function of_rows(x) {
return graph.view(x, [$get(x.ne, 0), 1, t], [$get(x.nb, 1), $get(x.nb, 1)], ((st * t) * $get(x.nb, 1)));
}
function of_stream(x) {
return graph.view(x, [$get(x.ne, 0)], [], (st * $get(x.nb, 1)));
}
keys = graph.view(index_k, [index_width, cells], [$get(index_k.nb, 2)], (st * $get(index_k.nb, 3)));
keys = graph.get_rows(keys, of_stream(b.input("msa_pos_slot_i", tensor$I32, n, ns)));
scores = graph.mul_mat(keys, graph.reshape(of_tokens(index_q), index_width, (heads * t)));
scores = graph.add_inplace(graph.reshape(scores, n, heads, t), of_rows(mask));
near = of_rows(bias);
best = position_blocks$_blocks(b, scores, near, block, n_best);
closed = graph.node("REPEAT", [n_blocks, heads, t], tensor$F16, position_blocks$_cast(b, graph.scale(near), tensor$F16));
opened = graph.set_rows(graph.reshape(closed, 1, n_blocks, (heads * t)), graph.reshape(graph.scale(position_blocks$_cast(b, best, tensor$F32)), 1, n_best, (heads * t)), graph.reshape(best, n_best, (heads * t)));
opened = graph.reshape(opened, n_blocks, heads, t);
opened = graph.cont(graph.permute(opened, undefined, 0, 2, 1, 3));
by_block = graph.cont(graph.transpose(graph.reshape(opened, n_blocks, (t * heads))));
by_cell = graph.get_rows(by_block, of_stream(b.input("msa_cell_blk", tensor$I32, cells, ns)));
by_cell = graph.reshape(graph.cont(graph.transpose(by_cell)), cells, t, heads);
seen = attention$mask(b, 0, cells, ns);
seen = b.once("msa_mask", "cast", (() => position_blocks$_cast(b, seen, tensor$F32)));
own = graph.view(seen, [cells, t, 1], [$get(seen.nb, 1), $get(seen.nb, 3)], (st * $get(seen.nb, 3)));
by_cell = graph.add_inplace(by_cell, own);
by_cell = position_blocks$_cast(b, graph.reshape(by_cell, cells, t, 1, heads), tensor$F16);
{
const $row = $items((function* () { for (const x of [k, v]) { yield graph.permute(graph.view(x, [...$slice(x.ne, null, 3, null), 1], $slice(x.nb, 1, null, null), (st * $get(x.nb, 3))), undefined, 0, 3, 1, 2); } })());
k = $row[0];
v = $row[1];
}
return position_blocks$_fused(b, of_tokens(q), k, v, by_cell, n_shared);
}
function rwkv$layer(b, cur, il, picks_outputs) {
let before, cache, graph, last, middle, mix, n, n_embd, n_seqs, n_shifts, previous, rows, t, x, y;
{
const $row = $items([b.graph, b.n_seqs, $bound(b, "hparams").n_embd, b.n_tokens]);
graph = $row[0];
n_seqs = $row[1];
n_embd = $row[2];
n = $row[3];
}
{
const $row = $items([$floordiv(n, n_seqs), (recurrent$ssm_shape(b).conv_kernel - 1)]);
t = $row[0];
n_shifts = $row[1];
}
cur = graph.reshape(cur, n_embd, t, n_seqs);
cache = recurrent$kept(b, "r", il, recurrent$ssm_shape(b).conv_state);
before = graph.reshape(recurrent$states(b, cache), n_embd, n_shifts, n_seqs);
function shifted(x, last) {
return graph.concat(last, graph.view(x, [n_embd, (t - 1), n_seqs], $slice(x.nb, 1, 3, null)), 1);
}
function newest(x) {
return graph.view(x, [n_embd, 1, n_seqs], $slice(x.nb, 1, 3, null), (((t - 1) * 4) * n_embd));
}
function store(state) {
let width;
width = ((n_shifts * n_embd) * n_seqs);
graph.expand(graph.cpy(graph.view(state, [width]), graph.view(cache, [width])));
}
mix = ($truth(b.has("time_mix_a0.weight", il)) ? rwkv$_time_mix_7 : rwkv$_time_mix_6);
x = b.norm(cur, "attn_norm", il);
if (!$truth(b.has("channel_mix_key.weight", il))) {
y = mix(b, x, shifted(x, before), il);
store(newest(x));
middle = graph.reshape(graph.add(y, cur), n_embd, n);
middle = ($truth(picks_outputs) ? b.output_rows(middle) : middle);
return graph.add(feed_forward$dense(b, b.norm(middle, "ffn_norm", il), il), middle);
}
last = (() => { const $into = []; for (const i of [0, 1]) { $into.push(graph.view(before, [n_embd, 1, n_seqs], $slice(before.nb, 1, 3, null), ((4 * n_embd) * i))); } return $into; })();
middle = graph.add(mix(b, x, shifted(x, $get(last, 0)), il), cur);
y = b.norm(middle, "attn_norm_2", il);
previous = shifted(y, $get(last, 1));
store(graph.concat(newest(x), newest(y), 1));
rows = (() => { const $into = []; for (const each of [middle, y, previous]) { $into.push(graph.reshape(each, n_embd, n)); } return $into; })();
if ($truth(picks_outputs)) {
rows = (() => { const $into = []; for (const each of rows) { $into.push(b.output_rows(each)); } return $into; })();
}
{
const $row = $items(rows);
middle = $row[0];
y = $row[1];
previous = $row[2];
}
cur = graph.add(rwkv$_channel_mix(b, y, previous, il), middle);
return ($truth(b.shape(il).is_rescaled) ? graph.scale(cur) : cur);
}
function rwkv$_channel_mix(b, x, previous, il) {
let change, gate, graph, key;
graph = b.graph;
change = graph.like("SUB", previous, x);
function mixed(which) {
return graph.add(graph.mul(change, b.weight(("" + "channel_mix_lerp_" + $str(which)), il)), x);
}
key = graph.like("SQR", graph.unary("RELU", b.linear("channel_mix_key", mixed("k"), il)));
if (!$truth(b.has("channel_mix_receptance.weight", il))) {
return b.linear("channel_mix_value", key, il);
}
gate = graph.unary("SIGMOID", b.linear("channel_mix_receptance", mixed("r"), il));
return graph.mul(gate, b.linear("channel_mix_value", key, il));
}
function rwkv$_keep(b, y, cache) {
let after, graph, n, n_embd, width;
{
const $row = $items([b.graph, $bound(b, "hparams").n_embd, b.n_tokens]);
graph = $row[0];
n_embd = $row[1];
n = $row[2];
}
width = (recurrent$ssm_shape(b).ssm_state * b.n_seqs);
after = graph.view(y, [width], [], ((4 * n_embd) * n));
graph.expand(graph.cpy(after, graph.view(cache, [width])));
return graph.view(y, [(n_embd * n)]);
}
function rwkv$_normed(b, y, il) {
let graph, heads, n, n_embd;
{
const $row = $items([b.graph, $bound(b, "hparams").n_embd, b.n_tokens, recurrent$ssm_shape(b).rank]);
graph = $row[0];
n_embd = $row[1];
n = $row[2];
heads = $row[3];
}
if (!$truth(b.has("time_mix_ln.weight", il))) {
return graph.reshape(y, n_embd, n);
}
y = graph.like("NORM", graph.reshape(y, $floordiv(n_embd, heads), heads, n));
y = graph.mul(graph.reshape(y, n_embd, n), b.weight("time_mix_ln", il));
return graph.add(y, b.weight("time_mix_ln.bias", il));
}
function rwkv$_mixtures_6(b, x, previous, il) {
let change, down, found, graph, i, low, mixed, n, n_embd, name, share, shares, up;
{
const $row = $items([b.graph, $bound(b, "hparams").n_embd, b.n_tokens]);
graph = $row[0];
n_embd = $row[1];
n = $row[2];
}
change = graph.reshape(graph.like("SUB", previous, x), n_embd, n);
x = graph.reshape(x, n_embd, n);
mixed = graph.add(graph.mul(change, b.weight("time_mix_lerp_x", il)), x);
{
const $row = $items([b.weight("time_mix_w1", il), b.weight("time_mix_w2", il)]);
down = $row[0];
up = $row[1];
}
low = graph.unary("TANH", graph.mul_mat(down, mixed));
low = graph.reshape(low, $floordiv($get(down.ne, 1), 5), 1, 5, n);
low = graph.cont(graph.permute(low, undefined, 0, 1, 3, 2));
shares = graph.mul_mat(graph.reshape(up, $get(up.ne, 0), $get(up.ne, 1), 1, 5), low);
function part(of, i) {
return graph.view(of, [n_embd, n], [$get(of.nb, 1)], (((4 * n_embd) * n) * i));
}
if ($truth(b.has("time_mix_lerp_fused.weight", il))) {
{
const $row = $items((function* () { for (const each of [change, x]) { yield graph.reshape(each, n_embd, 1, n); } })());
change = $row[0];
x = $row[1];
}
shares = graph.add(shares, b.weight("time_mix_lerp_fused", il));
shares = graph.add(graph.mul(shares, change), x);
return (() => { const $into = []; for (const i of $range(5)) { $into.push(part(shares, i)); } return $into; })();
}
found = [];
for (const $row of $enumerate("wkvrg")) {
i = $row[0];
name = $row[1];
share = graph.add(part(shares, i), b.weight(("" + "time_mix_lerp_" + $str(name)), il));
$list.append(found, graph.add(graph.mul(share, change), x));
}
return found;
}
function rwkv$_time_mix_6(b, x, previous, il) {
let cache, decay, first, for_decay, for_gate, for_key, for_receptance, for_value, gate, graph, has_first, heads, k, low, n, n_embd, n_kv, n_seqs, ne, r, size, ssm, v, y;
{
const $row = $items([b.graph, recurrent$ssm_shape(b), $bound(b, "hparams").n_embd, b.n_tokens, b.n_seqs]);
graph = $row[0];
ssm = $row[1];
n_embd = $row[2];
n = $row[3];
n_seqs = $row[4];
}
{
const $row = $items([ssm.state, ssm.rank, b.shape(il).n_head_kv]);
size = $row[0];
heads = $row[1];
n_kv = $row[2];
}
{
const $row = $items(rwkv$_mixtures_6(b, x, previous, il));
for_decay = $row[0];
for_key = $row[1];
for_value = $row[2];
for_receptance = $row[3];
for_gate = $row[4];
}
r = b.linear("time_mix_receptance", for_receptance, il);
k = b.linear("time_mix_key", for_key, il);
v = b.linear("time_mix_value", for_value, il);
has_first = b.has("time_mix_first.weight", il);
gate = graph.unary(($truth(has_first) ? "SILU" : "SIGMOID"), b.linear("time_mix_gate", for_gate, il));
if (!$in(n_kv, [0, heads])) {
{
const $row = $items((function* () { for (const each of [k, v]) { yield graph.reshape(each, size, 1, n_kv, n); } })());
k = $row[0];
v = $row[1];
}
{
const $row = $items((function* () { for (const each of [k, v]) { yield graph.node("REPEAT", [size, $floordiv(heads, n_kv), n_kv, n], undefined, each); } })());
k = $row[0];
v = $row[1];
}
}
{
const $row = $items((function* () { for (const each of [k, v, r]) { yield graph.reshape(each, size, heads, n); } })());
k = $row[0];
v = $row[1];
r = $row[2];
}
low = graph.unary("TANH", graph.mul_mat(b.weight("time_mix_decay_w1", il), for_decay));
decay = graph.mul_mat(b.weight("time_mix_decay_w2", il), low);
decay = graph.unary("EXP", graph.add(decay, b.weight("time_mix_decay", il)));
decay = graph.reshape(graph.unary("EXP", graph.unary("NEG", decay)), size, heads, n);
cache = recurrent$kept(b, "s", il, ssm.ssm_state);
ne = [n_embd, $add(n, (size * n_seqs))];
if ($truth(has_first)) {
first = b.weight("time_mix_first", il);
y = graph.node("RWKV_WKV6", ne, undefined, k, v, r, first, decay, recurrent$states(b, cache));
}
else {
k = graph.like("SUB", k, graph.mul(k, decay));
y = graph.node("GATED_LINEAR_ATTN", ne, undefined, k, v, r, decay, recurrent$states(b, cache));
}
y = rwkv$_normed(b, rwkv$_keep(b, y, cache), il);
y = b.linear("time_mix_output", graph.mul(y, gate), il);
return graph.reshape(y, n_embd, $floordiv(n, n_seqs), n_seqs);
}
function rwkv$_low_rank(b, x, name, il, between = "") {
let y;
y = b.graph.mul_mat(b.weight(("" + "time_mix_" + $str(name) + "1"), il), x);
y = ($truth(between) ? b.graph.unary(between, y) : y);
return b.graph.mul_mat(b.weight(("" + "time_mix_" + $str(name) + "2"), il), y);
}
function rwkv$_time_mix_7(b, x, previous, il) {
let a, before, bonus, cache, change, first, graph, heads, is_gated, k, ka, kk, mixed, n, n_embd, n_seqs, r, share, size, ssm, v, w, y;
{
const $row = $items([b.graph, recurrent$ssm_shape(b), $bound(b, "hparams").n_embd, b.n_tokens, b.n_seqs]);
graph = $row[0];
ssm = $row[1];
n_embd = $row[2];
n = $row[3];
n_seqs = $row[4];
}
{
const $row = $items([ssm.state, ssm.rank]);
size = $row[0];
heads = $row[1];
}
is_gated = $and(b.has("time_mix_g1.weight", il), () => b.has("time_mix_g2.weight", il));
change = graph.like("SUB", previous, x);
change = graph.node("REPEAT", [...$slice(change.ne, null, 3, null), ($truth(is_gated) ? 6 : 5)], undefined, change);
mixed = graph.add(graph.mul(change, b.weight("time_mix_lerp_fused", il)), x);
function part(i) {
return graph.view(mixed, [n_embd, n], [$get(mixed.nb, 1)], (((4 * n_embd) * n) * i));
}
function by_head(y) {
return graph.reshape(y, size, heads, n);
}
r = b.linear("time_mix_receptance", part(0), il);
w = graph.add(rwkv$_low_rank(b, part(1), "w", il, "TANH"), b.weight("time_mix_w0", il));
w = graph.unary("EXP", graph.scale(graph.unary("SIGMOID", w)));
{
const $row = $items([b.linear("time_mix_key", part(2), il), b.linear("time_mix_value", part(3), il)]);
k = $row[0];
v = $row[1];
}
if ((b.first_value == null)) {
b.first_value = v;
}
else {
share = graph.add(rwkv$_low_rank(b, part(3), "v", il), b.weight("time_mix_v0", il));
first = graph.like("SUB", b.first_value, v);
v = graph.add(v, graph.mul(first, graph.unary("SIGMOID", share)));
}
a = graph.add(rwkv$_low_rank(b, part(4), "a", il), b.weight("time_mix_a0", il));
a = graph.unary("SIGMOID", a);
kk = graph.like("L2_NORM", by_head(graph.mul(k, b.weight("time_mix_k_k", il))));
ka = graph.mul(k, b.weight("time_mix_k_a", il));
k = graph.add(k, graph.like("SUB", graph.mul(a, ka), ka));
{
const $row = $items((function* () { for (const each of [r, w, k, v, a]) { yield by_head(each); } })());
r = $row[0];
w = $row[1];
k = $row[2];
v = $row[3];
a = $row[4];
}
cache = recurrent$kept(b, "s", il, ssm.ssm_state);
before = recurrent$states(b, cache);
y = graph.node("RWKV_WKV7", [n_embd, $add(n, (size * n_seqs))], undefined, r, w, k, v, graph.unary("NEG", kk), graph.mul(kk, a), before);
y = rwkv$_normed(b, rwkv$_keep(b, y, cache), il);
bonus = graph.reshape(b.weight("time_mix_r_k", il), size, heads);
bonus = graph.mul(graph.mul(k, r), bonus);
bonus = graph.mul(v, graph.node("SUM_ROWS", [1, heads, n], undefined, bonus));
y = graph.add(y, graph.reshape(bonus, n_embd, n));
if ($truth(is_gated)) {
y = graph.mul(y, rwkv$_low_rank(b, part(5), "g", il, "SIGMOID"));
}
return graph.reshape(b.linear("time_mix_output", y, il), n_embd, $floordiv(n, n_seqs), n_seqs);
}
function switched$route(b) {
let found, graph, il, k, n, number, q, v;
{
const $row = $items([b.graph, b.n_tokens, $len($bound(b, "hparams").layers)]);
graph = $row[0];
n = $row[1];
il = $row[2];
}
function lane(name) {
let signal;
signal = graph.reshape(b.input(("" + "router_" + $str(name)), tensor$F32, n), 1, 1, n);
return graph.node("PAD", [b.shape(il).head_k, 1, n], undefined, signal);
}
{
const $row = $items([lane("q"), lane("ksig"), lane("vval")]);
q = $row[0];
k = $row[1];
v = $row[2];
}
found = attention$attend(b, q, k, v, il, null);
number = graph.cont(graph.view(found, [1, n], [$get(found.nb, 1)]));
number = graph.unary("ROUND", graph.like("CLAMP", graph.reshape(number, n)));
b.adapter = graph.node("CPY", number.ne, tensor$I32, number);
}
function switched$layer(b, cur, il, picks_outputs) {
let gate, graph, ids, middle, picked, residual, rows, up, x, y;
{
const $row = $items([b.graph, cur]);
graph = $row[0];
residual = $row[1];
}
y = switched$_attend(b, b.norm(cur, "attn_norm", il), il);
if ($truth(picks_outputs)) {
{
const $row = $items([b.output_rows(y), b.output_rows(residual)]);
y = $row[0];
residual = $row[1];
}
ids = graph.reshape(switched$_adapter(b), 1, b.n_tokens);
rows = b.input("inp_out_ids", tensor$I32, b.n_outputs);
picked = graph.node("GET_ROWS", [1, b.n_outputs], tensor$I32, ids, rows);
b.adapter = graph.reshape(picked, b.n_outputs);
}
middle = graph.add(switched$_scaled(b, y), residual);
x = b.norm(middle, "ffn_norm", il);
{
const $row = $items([switched$_linear(b, "ffn_gate", x, il), switched$_linear(b, "ffn_up", x, il)]);
gate = $row[0];
up = $row[1];
}
y = switched$_linear(b, "ffn_down", graph.mul(graph.unary("SILU", gate), up), il);
return graph.add(switched$_scaled(b, y), middle);
}
function switched$_adapter(b) {
return ($truth(b.adapter) ? b.adapter : b.tokens());
}
function switched$_scaled(b, x) {
return ($truth(b.is_scaled("residual_scale")) ? b.graph.scale(x) : x);
}
function switched$_added(b, name, x, il) {
let graph, ids, low, n, y;
{
const $row = $items([b.graph, $get(x.ne, 1)]);
graph = $row[0];
n = $row[1];
}
ids = graph.reshape(switched$_adapter(b), 1, n);
low = graph.mul_mat_id(b.weight(("" + $str(name) + ".lora_a"), il), graph.reshape(x, $get(x.ne, 0), 1, n), ids);
y = graph.mul_mat_id(b.weight(("" + $str(name) + ".lora_b"), il), low, ids);
return graph.reshape(y, $get(y.ne, 0), n);
}
function switched$_linear(b, name, x, il) {
return b.graph.add(b.graph.mul_mat(b.weight(name, il), x), switched$_added(b, name, x, il));
}
function switched$_attend(b, x, il) {
let at, fused, graph, heads, k, n, name, own, parts, q, shape, v, width, y;
{
const $row = $items([b.graph, b.shape(il), b.n_tokens, 0]);
graph = $row[0];
shape = $row[1];
n = $row[2];
at = $row[3];
}
{
const $row = $items([graph.mul_mat(b.weight("attn_qkv", il), x), []]);
fused = $row[0];
parts = $row[1];
}
for (const $row of [["q", shape.n_head], ["k", shape.n_head_kv], ["v", shape.n_head_kv]]) {
name = $row[0];
heads = $row[1];
width = (heads * shape.head_k);
own = graph.cont(graph.view(fused, [width, n], [$get(fused.nb, 1)], (4 * at)));
at = $extended(at, width);
own = graph.add(own, switched$_added(b, ("" + "attn_" + $str(name)), x, il));
$list.append(parts, graph.reshape(own, shape.head_k, heads, n));
}
{
const $row = $items(parts);
q = $row[0];
k = $row[1];
v = $row[2];
}
if ($truth(shape.has_rope)) {
{
const $row = $items([attention$rope(b, q, il), attention$rope(b, k, il)]);
q = $row[0];
k = $row[1];
}
}
y = attention$attend(b, q, k, v, il, null);
return switched$_linear(b, "attn_output", y, il);
}
const compose$RECURRENT = $dict([["mamba", mamba$mamba], ["mamba2", recurrent$mamba2], ["mamba_by_head", mamba$by_head], ["delta_net", recurrent$delta_net], ["short_conv", recurrent$short_conv], ["kda", kda$kda], ["lightning", lightning$attend]]);
const compose$ATTENTION = $dict([["standard", attention$standard], ["gated", attention$gated], ["compressed", compressed$attend], ["pooled", pooled$attend], ["blocks", blocks$attend], ["position_blocks", position_blocks$attend]]);
function compose$_alone(b, x) {
return x;
}
const compose$STREAMS = $dict([["altup", [altup$stack, altup$merge]], ["hyper", [hyper$stack, hyper$merge]], ["banked", [compose$_alone, banked$merge]], ["hyper_gated", [hyper$stack, hyper_gated$merge]], ["independent_hyper", [hyper$stack, independent_hyper$merge]]]);
const compose$IMAGE_TOKENS = 8192;
const compose$MAX_NODES = 32768;
function compose$build_graph(b, layers) {
let cur, ends, il, merge, picks_outputs, shown, stack, tokens;
if ($truth(b.looks_up_layers_first)) {
b.graph.expand(per_layer$look_up(b));
}
tokens = builder$embed(b);
ends = $dict([]);
compose$_embed_for_layers(b, tokens);
if ($truth(b.rules.adds_embedding)) {
tokens = b.norm(tokens, null);
}
if (($bound(b.rules, "layer") === "stacks")) {
compose$_finish(b, b.output_rows(compose$_stacks(b, tokens)));
return [b.graph, ends];
}
{
const $row = $items(compose$STREAMS.get($bound(b.rules, "layer"), [compose$_alone, compose$_alone]));
stack = $row[0];
merge = $row[1];
}
cur = stack(b, tokens);
for (il of layers) {
if (($len(b.graph.nodes) > compose$MAX_NODES)) {
break;
}
picks_outputs = ($eq(il, $get(layers, (-1))) && (b.outputs_at === "last_layer"));
cur = $get(compose$LAYERS, $bound(b.rules, "layer"))(b, cur, il, picks_outputs);
if ($truth(b.rules.adds_embedding)) {
shown = ($truth(picks_outputs) ? b.output_rows(tokens) : tokens);
cur = b.graph.add(cur, b.graph.mul(shown, b.weight("layer_output_scale", il)));
}
if ($truth(compose$_ends_loop(b, il))) {
cur = b.norm(cur, b.family.output_norm, undefined, undefined, il);
}
if ($truth(b.shape(il).has_deepstack)) {
cur = compose$_deepstack(b, cur, tokens, il);
}
cur.is_output = $or(cur.is_output, () => b.shape(il).is_read);
$put(ends, il, cur);
}
compose$_head(b, merge(b, cur));
return [b.graph, ends];
}
function compose$_embed_for_layers(b, tokens) {
if ($truth(b.has("per_layer_model_proj.weight"))) {
per_layer$project(b, tokens);
}
else {
if ($truth(b.has("per_layer_token_embd.weight"))) {
ngrams$embed(b);
}
else {
if ($truth($bound(b, "hparams").router)) {
switched$route(b);
}
}
}
}
function compose$_stacks(b, high) {
let cur, first, graph, il, low, n, n_low;
{
const $row = $items([b.graph, hparams$stack_layers(b.model), b.model.integer("hrm.l_cycles")]);
graph = $row[0];
n = $row[1];
n_low = $row[2];
}
low = b.weight("hrm.z_l_init");
for (first of $range(0, $len($bound(b, "hparams").layers), n)) {
cur = graph.add(high, low);
for (il of $range(first, $add(first, n))) {
cur = compose$_sequential(b, cur, il, false);
}
cur = b.norm(cur, null);
if ($eq($mod($floordiv(first, n), (n_low + 1)), n_low)) {
high = cur;
}
else {
low = cur;
}
}
return high;
}
function compose$_ends_loop(b, il) {
let n_blocks, skips;
n_blocks = $floordiv($len($bound(b, "hparams").layers), $bound(b, "hparams").n_loops);
skips = b.model.metadata.get(("" + $str(b.model.arch) + ".skip_loop_final_norm"), false);
return (!$truth(skips) && ($mod((il + 1), n_blocks) === 0) && ((il + 1) < $len($bound(b, "hparams").layers)));
}
function compose$mix_tokens(b, x, il) {
if ($truth(b.shape(il).is_recurrent)) {
return $get(compose$RECURRENT, b.family.recurrence.part)(b, x, il);
}
if (($truth(b.has("attn_kv_a_mqa.weight", il)) && (b.rules.attention === "standard"))) {
return ($truth(b.shape(il).is_sparse) ? latent$sparse : latent$dense)(b, x, il);
}
return $get(compose$ATTENTION, b.rules.attention)(b, x, il);
}
function compose$feed(b, x, il) {
if (!$truth(b.has("ffn_gate_inp.weight", il))) {
return feed_forward$dense(b, x, il);
}
return ($truth(b.has("ffn_up.weight", il)) ? feed_forward$averaged : feed_forward$routed)(b, x, il);
}
function compose$_sequential(b, cur, il, picks_outputs) {
let before, graph, last_norm, logits, middle, middle_norm, norms_mixed, residual, scale, x, y;
{
const $row = $items([b.graph, cur]);
graph = $row[0];
residual = $row[1];
}
x = compose$_normed(b, cur, "attn_norm", il);
if ($truth(b.rules.expands_norm)) {
graph.expand(x);
}
{
const $row = $items([compose$mix_tokens(b, x, il), null]);
y = $row[0];
logits = $row[1];
}
if ($truth(b.rules.routes_input)) {
logits = b.linear("ffn_gate_inp", cur, il);
}
before = $or(b.has_weight("ffn_norm", il), () => !$truth(b.rules.has_norm_weights));
{
const $row = $items((function* () { for (const names of [compose$_MIDDLE, compose$_LAST]) { yield compose$_first_there(b, names, il); } })());
middle_norm = $row[0];
last_norm = $row[1];
}
norms_mixed = $and(middle_norm, () => $or(before, () => last_norm));
if (($truth(norms_mixed) && $truth(b.rules.norms_before_picking))) {
y = compose$_post_norm(b, y, middle_norm, il);
}
if ($truth(picks_outputs)) {
{
const $row = $items([b.output_rows(y), b.output_rows(residual)]);
y = $row[0];
residual = $row[1];
}
logits = ($truth(logits) ? b.output_rows(logits) : null);
}
y = compose$_scaled_residual(b, y);
if (($truth(norms_mixed) && !$truth(b.rules.norms_before_picking))) {
y = compose$_post_norm(b, y, middle_norm, il);
}
middle = ($truth(b.rules.mixing_first) ? graph.add(y, residual) : graph.add(residual, y));
if ($truth(b.has("pre_ffw_norm_2.weight", il))) {
y = feed_forward$beside_dense(b, middle, il);
}
else {
x = middle;
if (($truth(before) || !$truth(last_norm))) {
x = compose$_normed(b, middle, ($truth(before) ? "ffn_norm" : middle_norm), il);
}
y = ((logits == null) ? compose$feed(b, x, il) : feed_forward$experts(b, x, il, logits));
}
y = compose$_scaled_residual(b, y);
if ($truth(last_norm)) {
y = compose$_post_norm(b, y, last_norm, il);
}
cur = ($truth(b.rules.feed_forward_first) ? graph.add(y, middle) : graph.add(middle, y));
if ($truth(b.has("inp_gate.weight", il))) {
cur = graph.add(cur, per_layer$gate(b, cur, il));
}
scale = ($truth(b.rules.adds_embedding) ? null : b.weight_if("layer_output_scale.weight", il));
return ($truth(scale) ? graph.mul(cur, scale) : cur);
}
function compose$_post_norm(b, y, name, il) {
let is_pinned, pinned;
pinned = b.rules.pinned_post_norms;
is_pinned = ((pinned === "both") || ((pinned === "attention") && $in(name, compose$_MIDDLE)));
return b.norm(y, name, il, is_pinned);
}
function compose$_parallel(b, cur, il, picks_outputs) {
let fed, graph, has_own, residual, x, y;
{
const $row = $items([b.graph, cur]);
graph = $row[0];
residual = $row[1];
}
x = b.norm(cur, "attn_norm", il);
y = compose$mix_tokens(b, ($truth(b.has("attn_norm_2.weight", il)) ? b.norm(cur, "attn_norm_2", il) : x), il);
has_own = b.has("ffn_norm.weight", il);
if ($truth(picks_outputs)) {
{
const $row = $items([b.output_rows(y), b.output_rows(residual)]);
y = $row[0];
residual = $row[1];
}
x = ($truth(has_own) ? x : b.output_rows(x));
}
fed = compose$feed(b, ($truth(has_own) ? b.norm(residual, "ffn_norm", il) : x), il);
if ((b.rules.parallel_sum === "residual_then_attention")) {
return graph.add(graph.add(fed, residual), y);
}
return graph.add(((b.rules.parallel_sum === "onto_attention") ? graph.add(y, fed) : graph.add(fed, y)), residual);
}
function compose$_parallel_if_told(b, cur, il, picks_outputs) {
let told;
told = b.model.metadata.get(("" + $str(b.model.arch) + ".use_parallel_residual"), false);
return ($truth(told) ? compose$_parallel : compose$_sequential)(b, cur, il, picks_outputs);
}
function compose$_normed_after_if_told(b, cur, il, picks_outputs) {
let graph, middle, residual, y;
if (!$truth(b.model.metadata.get(("" + $str(b.model.arch) + ".swin_norm"), false))) {
return compose$_sequential(b, cur, il, picks_outputs);
}
{
const $row = $items([b.graph, cur]);
graph = $row[0];
residual = $row[1];
}
y = compose$mix_tokens(b, cur, il);
if ($truth(picks_outputs)) {
{
const $row = $items([b.output_rows(y), b.output_rows(residual)]);
y = $row[0];
residual = $row[1];
}
}
y = b.norm(y, "attn_norm", il);
middle = graph.add(y, residual);
return graph.add(b.norm(compose$feed(b, y, il), "ffn_norm", il), middle);
}
function compose$_beside_experts(b, cur, il, picks_outputs) {
let fed, graph, middle, residual, y;
{
const $row = $items([b.graph, cur]);
graph = $row[0];
residual = $row[1];
}
y = compose$mix_tokens(b, b.norm(cur, "attn_norm", il), il);
if ($truth(picks_outputs)) {
{
const $row = $items([b.output_rows(y), b.output_rows(residual)]);
y = $row[0];
residual = $row[1];
}
}
middle = graph.add(y, residual);
fed = graph.add(feed_forward$dense(b, b.norm(middle, "ffn_norm", il), il), middle);
return graph.add(feed_forward$experts(b, b.norm(residual, "ffn_norm_exps", il), il), fed);
}
function compose$_partial(b, cur, il, picks_outputs) {
let graph, middle, residual, shape, x, y;
{
const $row = $items([b.graph, b.shape(il), cur, cur]);
graph = $row[0];
shape = $row[1];
residual = $row[2];
y = $row[3];
}
if ($truth(shape.n_head)) {
x = b.norm(cur, "attn_norm", il);
y = ($truth(shape.n_head_kv) ? compose$mix_tokens(b, x, il) : b.linear("attn_output", x, il));
}
if (!$truth(b.has("ffn_norm.weight", il))) {
return cur;
}
if ($truth(picks_outputs)) {
{
const $row = $items([b.output_rows(y), b.output_rows(residual)]);
y = $row[0];
residual = $row[1];
}
}
middle = ($truth(shape.n_head) ? graph.add(y, residual) : y);
return graph.add(compose$feed(b, b.norm(middle, "ffn_norm", il), il), middle);
}
function compose$_normed_residual(b, cur, il, picks_outputs) {
let graph, x, y;
{
const $row = $items([b.graph, b.norm(cur, "attn_norm", il)]);
graph = $row[0];
x = $row[1];
}
y = compose$mix_tokens(b, x, il);
if ($truth(picks_outputs)) {
{
const $row = $items([b.output_rows(y), b.output_rows(x)]);
y = $row[0];
x = $row[1];
}
}
x = b.norm(graph.add(y, graph.scale(x)), "ffn_norm", il);
return graph.add(compose$feed(b, x, il), graph.scale(x));
}
function compose$_cropped_between(b, cur, il, picks_outputs) {
let graph, middle;
graph = b.graph;
middle = graph.add(compose$mix_tokens(b, b.norm(cur, "attn_norm", il), il), cur);
if ($truth(picks_outputs)) {
middle = b.output_rows(middle);
}
return graph.add(compose$feed(b, b.norm(middle, "post_attention_norm", il), il), middle);
}
function compose$_single(b, cur, il, picks_outputs) {
let part, shape, y;
shape = b.shape(il);
part = (($truth(shape.is_recurrent) || $truth(shape.has_attention)) ? compose$mix_tokens : compose$feed);
y = part(b, b.norm(cur, "attn_norm", il), il);
if ($truth(picks_outputs)) {
{
const $row = $items([b.output_rows(y), b.output_rows(cur)]);
y = $row[0];
cur = $row[1];
}
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
function compose$_normed_after(b, cur, il, picks_outputs) {
let graph, middle, residual, y;
{
const $row = $items([b.graph, cur]);
graph = $row[0];
residual = $row[1];
}
y = compose$mix_tokens(b, cur, il);
if ($truth(picks_outputs)) {
{
const $row = $items([b.output_rows(y), b.output_rows(residual)]);
y = $row[0];
residual = $row[1];
}
}
middle = b.norm(graph.add(y, residual), "attn_output_norm", il);
if ($truth(b.has("attn_norm_2.weight", il))) {
middle = b.norm(graph.add(middle, residual), "attn_norm_2", il);
}
return b.norm(graph.add(compose$feed(b, middle, il), middle), "layer_output_norm", il);
}
function compose$_hyper(b, cur, il, picks_outputs) {
let after, each, graph, middle, mixing, x, y;
graph = b.graph;
{
const $row = $items(hyper$gather(b, cur, "attn", il));
x = $row[0];
after = $row[1];
mixing = $row[2];
}
x = b.norm(x, "attn_norm", il);
if ($truth(b.rules.expands_norm)) {
graph.expand(x);
}
middle = hyper$spread(b, compose$mix_tokens(b, x, il), cur, after, mixing, il);
{
const $row = $items(hyper$gather(b, middle, "ffn", il));
x = $row[0];
after = $row[1];
mixing = $row[2];
}
if ($truth(b.rules.holds_streams)) {
for (each of [middle, after, mixing]) {
graph.expand(each);
}
}
y = compose$feed(b, b.norm(x, "ffn_norm", il), il);
cur = hyper$spread(b, y, middle, after, mixing, il);
return ($truth(b.rules.holds_streams) ? b.pin(cur, il) : cur);
}
function compose$_banked(b, cur, il, picks_outputs) {
let graph, stream, x, y;
{
const $row = $items([b.graph, cur]);
graph = $row[0];
stream = $row[1];
}
x = banked$mix(b, stream, "attn_res_score", il);
if ($truth(b.shape(il).banks_stream)) {
banked$bank(b, stream);
}
y = compose$mix_tokens(b, graph.expand(b.norm(x, "attn_norm", il)), il);
stream = ($truth(b.shape(il).banks_stream) ? y : graph.add(stream, y));
x = b.norm(banked$mix(b, stream, "ffn_res_score", il), "ffn_norm", il);
return graph.add(stream, compose$feed(b, x, il));
}
function compose$_hyper_gated(b, cur, il, picks_outputs) {
let inject, x, y;
if ($in(il, $bound(b, "hparams").ngram_layers)) {
cur = ngrams$add(b, cur, il);
}
{
const $row = $items(hyper_gated$gather(b, cur, "attn", il));
x = $row[0];
inject = $row[1];
}
y = compose$mix_tokens(b, b.graph.expand(x), il);
if ($truth(picks_outputs)) {
{
const $row = $items([b.output_rows(y), b.output_rows(inject), hyper_gated$pick(b, cur)]);
y = $row[0];
inject = $row[1];
cur = $row[2];
}
}
cur = hyper_gated$spread(b, y, cur, inject, il);
{
const $row = $items(hyper_gated$gather(b, cur, "ffn", il));
x = $row[0];
inject = $row[1];
}
return b.pin(hyper_gated$spread(b, compose$feed(b, x, il), cur, inject, il), il);
}
function compose$_independent_hyper(b, cur, il, picks_outputs) {
let after, x, y;
{
const $row = $items(independent_hyper$gather(b, cur, "attn", il));
x = $row[0];
after = $row[1];
}
y = compose$mix_tokens(b, b.norm(x, "attn_norm", il), il);
cur = independent_hyper$spread(b, y, cur, after);
{
const $row = $items(independent_hyper$gather(b, cur, "ffn", il));
x = $row[0];
after = $row[1];
}
y = compose$feed(b, b.norm(x, "ffn_norm", il), il);
return independent_hyper$spread(b, y, cur, after);
}
function compose$_deepstack(b, cur, tokens, il) {
let graph, n_embd;
{
const $row = $items([b.graph, $bound(b, "hparams").n_embd]);
graph = $row[0];
n_embd = $row[1];
}
return graph.add(cur, graph.view(tokens, [n_embd, b.n_tokens], [$get(tokens.nb, 1)], (((il + 1) * n_embd) * 4)));
}
const compose$LAYERS = $dict([["sequential", compose$_sequential], ["parallel", compose$_parallel], ["parallel_if_told", compose$_parallel_if_told], ["single", compose$_single], ["twin", compose$_twin], ["altup", altup$layer], ["normed_after", compose$_normed_after], ["normed_after_if_told", compose$_normed_after_if_told], ["beside_experts", compose$_beside_experts], ["partial", compose$_partial], ["normed_residual", compose$_normed_residual], ["cropped_between", compose$_cropped_between], ["hyper", compose$_hyper], ["banked", compose$_banked], ["rwkv", rwkv$layer], ["crossed", crossed$layer], ["switched", switched$layer], ["hyper_gated", compose$_hyper_gated], ["independent_hyper", compose$_independent_hyper]]);
function compose$_scaled_residual(b, x) {
return ($truth(b.is_scaled("residual_scale")) ? b.graph.scale(x) : x);
}
const compose$_MIDDLE = ["post_attention_norm", "attn_output_norm"];
const compose$_LAST = ["layer_output_norm", "post_ffw_norm"];
function compose$_first_there(b, names, il) {
return (() => { for (const name of names) { if ($truth(b.has_weight(name, il))) { return name; } } return ""; })();
}
function compose$_normed(b, x, name, il) {
if (!$truth(b.rules.has_norm_weights)) {
return b.norm(x, null);
}
return ($truth(b.has_weight(name, il)) ? b.norm(x, name, il) : x);
}
function compose$_head(b, cur) {
if ((b.outputs_at === "before_norm")) {
cur.is_output = true;
cur = b.output_rows(cur);
}
if (($truth(b.family.output_norm) || !$truth(b.rules.has_norm_weights))) {
cur = b.norm(cur, $or(b.family.output_norm, () => null));
}
cur.is_output = true;
if ((b.outputs_at === "after_norm")) {
cur = b.output_rows(cur);
}
compose$_finish(b, cur);
}
function compose$_finish(b, cur) {
cur.is_output = true;
if ($truth(b.makes_logits)) {
compose$_logits(b, cur);
}
b.graph.expand(cur);
if ($truth(b.pooling)) {
pooling$pool(b, cur);
}
}
function compose$_logits(b, cur) {
let bias, graph, logits, none, output;
{
const $row = $items([b.graph, b.output_weight()]);
graph = $row[0];
output = $row[1];
}
if ($truth(b.rules.scales_head_input)) {
cur = graph.scale(cur);
}
logits = b.adapted(graph.mul_mat(output, cur), output, cur);
if ($truth(b.is_scaled("logit_scale"))) {
logits = graph.scale(logits);
}
if ($truth((bias = b.weight_if("output.bias")))) {
logits = graph.add(logits, bias);
}
if ($truth(b.model.hparam("final_logit_softcapping", ($truth(b.rules.softcaps_logits) ? 30.0 : 0.0)))) {
logits = graph.scale(graph.unary("TANH", graph.scale(logits)));
}
if ($truth(b.rules.hides_images)) {
none = graph.like("CLAMP", graph.leaf(tensor$F32, "img_logits", undefined, undefined, undefined, compose$IMAGE_TOKENS));
logits = graph.like("SET", logits, none);
}
logits.is_output = true;
graph.expand(logits);
}
function selector$convolved(b, x, mixed, base, side) {
let before, blocks, fixed, graph, group, kernel, length, n, n_blocks, n_groups, own, spread, tap, taps, term, total, values, weight, weights, width;
{
const $row = $items([b.graph, $slice(x.ne, null, 2, null)]);
graph = $row[0];
width = $row[1][0];
n = $row[1][1];
}
{
const $row = $items((function* () { for (const which of ["kernel", "group"]) { yield b.model.integer(("" + "conv_" + $str(which) + "_size")); } })());
kernel = $row[0];
group = $row[1];
}
{
const $row = $items([$floordiv(width, group), $bound(b, "sizes").n_seqs]);
n_groups = $row[0];
n_blocks = $row[1];
}
length = $max($floordiv(n, n_blocks), 1);
{
const $row = $items((function* () { for (const each of [x, mixed]) { yield ($truth(each.is_contiguous) ? each : graph.cont(each)); } })());
x = $row[0];
mixed = $row[1];
}
blocks = graph.reshape(x, width, length, n_blocks);
weights = graph.reshape(mixed, n_groups, kernel, 2, n);
own = graph.view(weights, [n_groups, kernel, n], [$get(weights.nb, 1), $get(weights.nb, 3)], (side * $get(weights.nb, 2)));
spread = graph.reshape(graph.cont(own), 1, n_groups, kernel, n);
spread = graph.node("REPEAT", [group, n_groups, kernel, n], undefined, spread);
fixed = graph.view(base, [(width * kernel)], [], (side * $get(base.nb, 2)));
taps = graph.add(spread, graph.reshape(fixed, group, n_groups, kernel, 1));
total = null;
for (tap of $range($min(kernel, length))) {
values = blocks;
if ($truth(tap)) {
before = graph.view(blocks, [width, $sub(length, tap), n_blocks], $slice(blocks.nb, 1, 3, null));
values = graph.node("PAD", [width, length, n_blocks], undefined, before);
}
values = graph.reshape(values, width, n);
weight = graph.cont(graph.view(taps, [group, n_groups, 1, n], $slice(taps.nb, 1, null, null), (tap * $get(taps.nb, 2))));
term = graph.mul(graph.reshape(weight, width, n), values);
total = ($truth(total) ? graph.add(total, term) : term);
}
return $or(total, () => x);
}
function selector$select(b, logits, tokens, hidden) {
let anchors, before, count, found, gate, gates, graph, length, n, n_blocks, packed, per_block, picked, rank, rows, single, top;
{
const $row = $items([b.graph, b.n_tokens, $bound(b, "sizes").n_seqs]);
graph = $row[0];
n = $row[1];
n_blocks = $row[2];
}
{
const $row = $items([b.model.integer("selector_top_k"), b.model.integer("selector_rank")]);
top = $row[0];
rank = $row[1];
}
per_block = $max($floordiv(n, n_blocks), 1);
length = $min(per_block, b.model.integer("block_size"));
found = graph.node("TOP_K", [top, n], tokens.quant, logits);
rows = graph.get_rows(graph.reshape(logits, 1, $get(logits.ne, 0), n), found);
gate = graph.mul_mat(b.weight("selector_hidden"), hidden);
{
const $row = $items((function* () { for (const $row of [[found, top], [graph.reshape(rows, top, n), top], [gate, rank]]) { const each = $row[0], each_width = $row[1]; yield graph.reshape(each, each_width, per_block, n_blocks); } })());
picked = $row[0];
single = $row[1];
gates = $row[2];
}
function scored(first, count, before) {
let after, alone, came, each, ids, n_before, open_, row, score, some, wide;
{
const $row = $items((function* () { for (const each of [picked, single, gates]) { yield graph.cont(selector$_places(graph, each, first, count)); } })());
some = $row[0];
alone = $row[1];
open_ = $row[2];
}
n_before = $floordiv($get(before.ne, 0), (count * n_blocks));
ids = graph.reshape(some, ((top * count) * n_blocks));
after = graph.get_rows(b.weight("selector_successor"), ids);
after = graph.reshape(after, rank, top, count, n_blocks);
came = graph.get_rows(b.weight("selector_predecessor"), before);
came = graph.reshape(came, rank, n_before, count, n_blocks);
wide = graph.node("REPEAT", came.ne, undefined, graph.reshape(open_, rank, 1, count, n_blocks));
score = graph.mul_mat(after, graph.mul(came, wide));
if ((n_before === 1)) {
score = graph.node("REPEAT", [top, top, count, n_blocks], undefined, score);
}
each = graph.reshape(alone, top, 1, count, n_blocks);
score = graph.add(score, graph.node("REPEAT", score.ne, undefined, each));
row = graph.concat(graph.node("CPY", some.ne, tensor$F32, some), graph.reshape(score, (top * top), count, n_blocks));
return graph.node("PAD", [$bound(b, "hparams").n_embd, count, n_blocks], undefined, row);
}
packed = graph.like("FILL", graph.leaf(tensor$F32, "lattice", undefined, undefined, undefined, $bound(b, "hparams").n_embd, 1, n_blocks));
if ((length > 1)) {
anchors = graph.view(tokens, [1, n_blocks], [(per_block * $get(tokens.nb, 0))]);
packed = selector$_joined(packed, scored(1, 1, graph.cont(anchors, n_blocks)));
}
if ((length > 2)) {
count = (length - 2);
before = graph.cont(selector$_places(graph, picked, 1, count));
packed = selector$_joined(packed, scored(2, count, graph.reshape(before, ((top * count) * n_blocks))));
}
packed = graph.reshape(packed, $bound(b, "hparams").n_embd, (length * n_blocks));
packed.is_output = true;
graph.expand(packed);
}
function selector$_places(graph, x, first, count) {
return graph.view(x, [$get(x.ne, 0), count, $get(x.ne, 2)], $slice(x.nb, 1, 3, null), (first * $get(x.nb, 1)));
}
function selector$_joined(a, b) {
return new tensor$Tensor("CONCAT", a.quant, [$get(a.ne, 0), $add($get(a.ne, 1), $get(b.ne, 1)), ...$slice(a.ne, 2, null, null)], [a, b]);
}
function drafted_logits$of_target(b, logits) {
let empty, graph, ids, n_draft, n_outputs, n_vocab, whole;
ids = b.weight_if("d2t");
if ((ids == null)) {
return logits;
}
{
const $row = $items([b.graph, $slice(logits.ne, null, 2, null), $bound(b, "hparams").n_vocab]);
graph = $row[0];
n_draft = $row[1][0];
n_outputs = $row[1][1];
n_vocab = $row[2];
}
empty = graph.leaf(tensor$F32, "logits", undefined, undefined, undefined, 1, n_vocab, n_outputs);
whole = graph.set_rows(graph.like("FILL", empty), graph.reshape(logits, 1, n_draft, n_outputs), graph.reshape(ids, n_draft, 1, 1));
return graph.reshape(whole, n_vocab, n_outputs);
}
function drafted_logits$biased(b, logits, tokens, hidden) {
let before, bias, first, found, graph, i, is_sure, known, length, n_blocks, n_vocab, one, own, row, rows, step, sure;
{
const $row = $items([b.graph, $bound(b, "sizes").n_seqs, $bound(b, "hparams").n_vocab]);
graph = $row[0];
n_blocks = $row[1];
n_vocab = $row[2];
}
length = $max($floordiv(b.n_tokens, n_blocks), 1);
if ($gt(length, b.model.integer("block_size"))) {
return logits;
}
step = (length * $get(logits.nb, 1));
is_sure = b.has("conf_proj.weight");
before = graph.cont(graph.view(tokens, [1, n_blocks], [(length * $get(tokens.nb, 0))]), n_blocks);
rows = [];
sure = [];
first = ($truth(b.model.metadata.get(("" + $str(b.model.arch) + ".sample_from_anchor"), true)) ? 0 : 1);
if ($truth(first)) {
$list.append(rows, graph.cont(graph.view(logits, [n_vocab, n_blocks], [step])));
if ($truth(is_sure)) {
row = graph.cont(graph.view(logits, [1, n_blocks], [step]));
$list.append(sure, graph.unary("SIGMOID", row));
}
}
for (i of $range(first, length)) {
known = graph.get_rows(b.weight("markov_w1"), before);
bias = drafted_logits$of_target(b, b.linear("markov_w2", known));
own = graph.view(logits, [n_vocab, n_blocks], [step], (i * $get(logits.nb, 1)));
row = graph.add(own, bias);
$list.append(rows, ($truth(rows) ? drafted_logits$_beside($list.pop(rows), row) : row));
if ($truth(is_sure)) {
one = drafted_logits$_sureness(b, hidden, known, i);
$list.append(sure, ($truth(sure) ? drafted_logits$_beside($list.pop(sure), one) : one));
}
before = graph.node("ARGMAX", [n_blocks], tensor$I32, row);
}
if ($truth(is_sure)) {
found = graph.node("REPEAT", hidden.ne, undefined, drafted_logits$_by_block(b, $get(sure, 0), 1, length));
found.is_output = true;
graph.expand(found);
}
return graph.expand(drafted_logits$_by_block(b, $get(rows, 0), n_vocab, length));
}
function drafted_logits$_sureness(b, hidden, known, i) {
let bias, graph, n, n_blocks, one, own, step, width;
{
const $row = $items([b.graph, $slice(hidden.ne, null, 2, null), $bound(b, "sizes").n_seqs]);
graph = $row[0];
width = $row[1][0];
n = $row[1][1];
n_blocks = $row[2];
}
step = ($floordiv(n, n_blocks) * $get(hidden.nb, 1));
own = graph.cont(graph.view(hidden, [width, n_blocks], [step], (i * $get(hidden.nb, 1))));
one = graph.mul_mat(b.weight("conf_proj"), graph.concat(own, known));
if ($truth((bias = b.weight_if("conf_proj.bias")))) {
one = graph.add(one, bias);
}
return graph.unary("SIGMOID", one);
}
function drafted_logits$_beside(a, b) {
return new tensor$Tensor("CONCAT", a.quant, [$get(a.ne, 0), $add($get(a.ne, 1), $get(b.ne, 1)), 1, 1], [a, b]);
}
function drafted_logits$_by_block(b, rows, width, length) {
let apart, graph, n_blocks;
{
const $row = $items([b.graph, $bound(b, "sizes").n_seqs]);
graph = $row[0];
n_blocks = $row[1];
}
apart = graph.permute(graph.reshape(rows, width, n_blocks, length), undefined, 0, 2, 1, 3);
return graph.reshape(graph.cont(apart), width, (length * n_blocks));
}
const next_token$SAMPLED = 10;
function next_token$build_head(b) {
let both, cur, end, given, graph, hidden, il, kind, logits, output, own, picks, rules, table, tokens, wired;
{
const $row = $items([b.graph, b.rules, $bound(b, "hparams").n_trunk]);
graph = $row[0];
rules = $row[1];
il = $row[2];
}
if ((rules.head_outputs_at === "none")) {
throw new errors$ModelFileError(("" + $str(b.model.source) + ": the graph of the MTP head of " + $str(b.model.arch) + " models is not known"));
}
table = $or(b.weight_if("nextn.embed_tokens.weight", il), () => b.weight("token_embd"));
tokens = graph.get_rows(table, b.input("inp_tokens", tensor$I32, b.n_tokens));
hidden = b.input("mtp_h_input", tensor$F32, $bound(b, "hparams").n_embd, b.n_tokens);
both = graph.concat(b.norm(tokens, "nextn.enorm", il), b.norm(hidden, "nextn.hnorm", il));
picks = (rules.head_outputs_at === "last_layer");
wired = ((rules.head_layer === "same") ? $bound(rules, "layer") : rules.head_layer);
cur = $get(compose$LAYERS, wired)(b, b.linear("nextn.eh_proj", both, il), il, picks);
end = cur;
if ((rules.head_outputs_at === "before_norm")) {
picks = true;
cur = b.output_rows(cur);
cur.is_output = true;
}
own = (function* () { for (const name of ["nextn.shared_head_norm", "layer_output_norm"]) { yield ("" + "blk." + $str(il) + "." + $str(name)); } })();
given = (function* () { for (const name of own) { if ($truth(b.has(("" + $str(name) + ".weight")))) { yield name; } } })();
kind = ((rules.head_last_norm === "layer") ? "NORM" : null);
cur = b.norm(cur, $next(given, b.family.output_norm), undefined, undefined, undefined, kind);
cur.is_output = true;
if (!$truth(picks)) {
cur = b.output_rows(cur);
}
output = $or(b.weight_if("nextn.shared_head_head.weight", il), () => b.output_weight());
logits = graph.mul_mat(output, cur);
if ($truth(b.model.hparam("logit_scale", 0.0))) {
logits = graph.scale(logits);
}
logits.is_output = true;
graph.expand(logits);
next_token$sample(b, logits);
return [graph, $dict([[il, end]])];
}
function next_token$sample(b, logits) {
let best, found, graph, i, kept, n_rows, n_vocab, padded, row;
{
const $row = $items([b.graph, $get(logits.ne, 0)]);
graph = $row[0];
n_vocab = $row[1];
}
n_rows = $max(b.n_outputs, $bound(b, "sizes").n_seqs);
padded = graph.node("PAD", [n_vocab, ($get(logits.ne, 1) + 1)], undefined, logits);
for (i of $range(n_rows)) {
row = graph.view(padded, [n_vocab], [], (i * $get(padded.nb, 1)));
best = graph.node("TOP_K", [next_token$SAMPLED], tensor$I32, graph.reshape(row, n_vocab));
kept = graph.get_rows(graph.reshape(row, 1, n_vocab), best);
for (found of [kept, best]) {
found.is_output = true;
graph.expand(found);
}
}
}
function drafters$eagle3(b) {
let cur, feature, graph, logits, middle, n_embd, normed, normed_feature, residual, tokens, y;
{
const $row = $items([b.graph, $bound(b, "hparams").n_embd]);
graph = $row[0];
n_embd = $row[1];
}
drafters$_check_target(b);
tokens = graph.get_rows(b.weight("token_embd"), b.input("inp_tokens", tensor$I32, b.n_tokens));
feature = b.input("inp_embd", tensor$F32, n_embd, b.n_tokens);
normed = b.norm(tokens, "attn_norm", 0);
normed_feature = b.norm(feature, "attn_norm_2", 0, false);
residual = ($truth(b.model.metadata.get(drafters$_BEFORE_RESIDUAL)) ? normed_feature : feature);
y = attention$standard(b, graph.concat(normed, normed_feature), 0);
middle = graph.add(y, residual);
cur = graph.add(feed_forward$dense(b, b.norm(middle, "ffn_norm", 0), 0), middle);
cur.is_output = true;
logits = drafted_logits$of_target(b, graph.mul_mat(b.weight("output"), b.norm(cur, "output_norm")));
logits.is_output = true;
graph.expand(logits);
next_token$sample(b, logits);
return [graph, $dict([[0, cur]])];
}
function drafters$dflash(b) {
let cur, ends, graph, has_selector, hidden, il, logits, tokens;
{
const $row = $items([b.graph, $dict([])]);
graph = $row[0];
ends = $row[1];
}
drafters$_check_target(b);
tokens = b.input("inp_tokens", tensor$I32, b.n_tokens);
cur = graph.get_rows(b.weight("token_embd"), tokens);
if ($truth(b.model.hparam("embedding_scale", 0.0))) {
cur = graph.scale(cur);
}
for (il of $bound(b, "hparams").running) {
{
const $value = drafters$_block_layer(b, cur, il);
cur = $value;
$put(ends, il, $value);
}
}
hidden = b.norm(cur, "output_norm");
hidden.is_output = true;
logits = graph.mul_mat(b.output_weight(), hidden);
has_selector = b.has("selector_hidden.weight");
if (($truth(has_selector) && $truth(b.model.hparam("logit_scale", 0.0)))) {
logits = graph.scale(logits);
}
if (($truth(has_selector) && $truth(b.model.hparam("final_logit_softcapping", 0.0)))) {
logits = graph.scale(graph.unary("TANH", graph.scale(logits)));
}
logits = graph.expand(drafted_logits$of_target(b, logits));
if ($truth(has_selector)) {
logits.is_output = true;
selector$select(b, logits, tokens, hidden);
return [graph, ends];
}
if ($truth(b.has("markov_w1.weight"))) {
logits = drafted_logits$biased(b, logits, tokens, hidden);
}
logits.is_output = true;
next_token$sample(b, logits);
return [graph, ends];
}
function drafters$assistant(b) {
let both, cur, each, ends, graph, hidden, il, logits, tokens;
{
const $row = $items([b.graph, $dict([])]);
graph = $row[0];
ends = $row[1];
}
if (!$truth(b.has(hparams$TARGET_TOKENS))) {
throw new errors$ModelFileError(("" + $str(b.model.source) + " drafts for another model, whose caches it reads: name it with --spec-draft-model beside that"));
}
tokens = graph.get_rows(b.weight(hparams$TARGET_TOKENS), b.input("inp_tokens", tensor$I32, b.n_tokens));
hidden = b.input("inp_h", tensor$F32, $get(tokens.ne, 0), b.n_tokens);
both = graph.concat(graph.scale(tokens), hidden);
cur = graph.mul_mat(b.weight("nextn.pre_projection"), both);
for (il of $bound(b, "hparams").running) {
{
const $value = $get(compose$LAYERS, "sequential")(b, cur, il, $eq(il, $get($bound(b, "hparams").running, (-1))));
cur = $value;
$put(ends, il, $value);
}
}
cur = b.norm(cur, "output_norm");
logits = graph.mul_mat(b.output_weight(), cur);
hidden = graph.mul_mat(b.weight("nextn.post_projection"), cur);
for (each of [logits, hidden]) {
each.is_output = true;
graph.expand(each);
}
next_token$sample(b, logits);
return [graph, ends];
}
function drafters$_block_layer(b, cur, il) {
let graph, middle, scale, y;
graph = b.graph;
y = drafters$_mixed(b, b.norm(cur, "attn_norm", il), "attn", il);
if ($truth(b.has("post_attention_norm.weight", il))) {
y = b.norm(y, "post_attention_norm", il);
}
middle = graph.add(y, cur);
y = drafters$_mixed(b, b.norm(middle, "ffn_norm", il), "ffn", il);
if ($truth(b.has("post_ffw_norm.weight", il))) {
y = b.norm(y, "post_ffw_norm", il);
}
y = graph.add(y, middle);
scale = b.weight_if("layer_output_scale.weight", il);
return ($truth(scale) ? graph.mul(y, scale) : y);
}
function drafters$_mixed(b, x, part, il) {
let base, mixed, run, y;
run = ((part === "attn") ? drafters$_attend : feed_forward$dense);
if (!$truth(b.has(("" + $str(part) + "_conv_proj.weight"), il))) {
return run(b, x, il);
}
{
const $row = $items([b.linear(("" + $str(part) + "_conv_proj"), x, il), b.weight(("" + $str(part) + "_conv_base"), il)]);
mixed = $row[0];
base = $row[1];
}
y = run(b, selector$convolved(b, x, mixed, base, 0), il);
return selector$convolved(b, y, mixed, base, 1);
}
function drafters$_attend(b, x, il) {
let y;
y = attention$standard(b, x, il);
return ($truth(b.model.hparam("attention.value_scale", 0.0)) ? b.graph.scale(y) : y);
}
const drafters$_BEFORE_RESIDUAL = "eagle3.norm_before_residual";
const drafters$DRAFTERS = $dict([["eagle3", drafters$eagle3], ["dflash", drafters$dflash], ["assistant", drafters$assistant]]);
function drafters$_check_target(b) {
let is_lent;
is_lent = ((b.rules.drafter === "eagle3") || !$truth(b.has("token_embd.weight")));
if ((!$truth(b.has("token_embd.weight")) || ($truth(is_lent) && !$truth(b.has("output.weight"))))) {
throw new errors$ModelFileError(("" + $str(b.model.source) + " drafts for another model, whose tensors it shares: name it with --spec-draft-model beside that"));
}
}
const repeats$LONGEST_PERIOD = 12;
const repeats$KEPT = [3, 4];
class repeats$Run {
constructor(ends, n_left_out) {
this.ends = ends;
this.n_left_out = n_left_out;
}
get period() {
const self = this;
return $sub($get(self.ends, 1), $get(self.ends, 0));
}
}
$dataclass(repeats$Run, ["ends", "n_left_out"], true);
class repeats$LeftOutCard {
constructor(device, like, n_left_out) {
this.device = device;
this.like = like;
this.n_left_out = n_left_out;
}
}
$dataclass(repeats$LeftOutCard, ["device", "like", "n_left_out"], true);
class repeats$Selection {
constructor(layers, runs = [], cards = []) {
this.layers = layers;
this.runs = runs;
this.cards = cards;
}
get is_cut() {
const self = this;
return $bool($or(self.runs, () => self.cards));
}
get ends() {
const self = this;
return $tuple((() => { const $into = []; for (const run of self.runs) { for (const il of run.ends) { $into.push($list.index(self.layers, il)); } } return $into; })());
}
}
$dataclass(repeats$Selection, ["layers", "runs", "cards"], true);
function repeats$select_layers(signatures, keep) {
let ends, il, kept, last, layers, n_left_out, period, runs, times;
layers = [];
runs = [];
{
const $row = $items([0, ($len(signatures) - 1)]);
il = $row[0];
last = $row[1];
}
while ($lt(il, last)) {
{
const $row = $items(repeats$_longest_run(signatures, il, last, keep));
period = $row[0];
times = $row[1];
}
n_left_out = $max($sub(times, keep), 0);
kept = [...$range($min(times, 2)), ...$range((2 + n_left_out), times)];
layers = $extended(layers, (function* () { for (const rank of kept) { for (const i of $range(period)) { yield $add($add(il, (period * rank)), i); } } })());
if ($truth(n_left_out)) {
ends = $tuple((() => { const $into = []; for (const rank of $slice(kept, null, 3, null)) { $into.push(($add(il, (period * (rank + 1))) - 1)); } return $into; })());
$list.append(runs, new repeats$Run(ends, n_left_out));
}
il = $extended(il, (period * times));
}
return new repeats$Selection([...layers, last], $tuple(runs));
}
function repeats$_longest_run(signatures, start, end, keep) {
let best, period, saved, stop, times;
{
const $row = $items([[1, 1], 0]);
best = $row[0];
saved = $row[1];
}
for (period of $range(1, ($min(repeats$LONGEST_PERIOD, $sub(end, start)) + 1))) {
stop = $add(start, period);
while (($lt(stop, end) && $eq($get(signatures, stop), $get(signatures, $sub(stop, period))))) {
stop = $extended(stop, 1);
}
times = $floordiv($sub(stop, start), period);
if ($gt(($sub(times, keep) * period), saved)) {
{
const $row = $items([[period, times], ($sub(times, keep) * period)]);
best = $row[0];
saved = $row[1];
}
}
}
return best;
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
if ((((node.op === "SOFT_MAX") && ($len(node.src) === 1)) || ((node.op === "UNARY") && $in($bound(node, "kind"), ["SIGMOID", "SOFTPLUS"])))) {
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
const fusions$_ROUTED = ["MUL_MAT_ID", "MUL_MAT_ID", "GLU"];
const fusions$_SHARED = ["MUL_MAT", "MUL_MAT", "GLU"];
function fusions$group_shared_experts(nodes, start, end, n_uses, kept) {
let at, i, k, up;
i = start;
while ($lt((i + 5), end)) {
at = fusions$_shared_behind(nodes, i, end, n_uses);
if ($truth(at)) {
for (k of $range(3)) {
$list.insert(nodes, $add((i + 3), k), $list.pop(nodes, $add(at, k)));
}
up = $get($get(nodes, (i + 2)).src, 1);
fusions$_keep(kept, $get(nodes, (i + 5)), $slice(up.src, 1, 3, null));
i = $extended(i, 5);
}
i = $extended(i, 1);
}
}
function fusions$_shared_behind(nodes, i, end, n_uses) {
let j, ops;
if (!$eq($tuple((() => { const $into = []; for (const t of $slice(nodes, i, (i + 3), null)) { $into.push(t.op); } return $into; })()), fusions$_ROUTED)) {
return 0;
}
for (j of $range((i + 3), (end - 2))) {
ops = $tuple((() => { const $into = []; for (const t of $slice(nodes, j, (j + 3), null)) { $into.push(t.op); } return $into; })());
if ($eq($slice(ops, null, 2, null), $slice(fusions$_ROUTED, null, 2, null))) {
return 0;
}
if (($eq(ops, fusions$_SHARED) && $truth(fusions$_is_one_layer($slice(nodes, i, (i + 3), null), $slice(nodes, j, (j + 3), null), n_uses)))) {
return j;
}
}
return 0;
}
function fusions$_is_one_layer(routed, shared, n_uses) {
let own, own_up, pairs, rows, up, weight;
pairs = [routed, shared];
if ((() => { for (const $row of pairs) { const a = $row[0], b = $row[1], glu = $row[2]; if ((($len(glu.src) !== 2) || !$in(a, glu.src) || !$in(b, glu.src))) return true; } return false; })()) {
return false;
}
{
const $row = $items([$get($get(routed, 2).src, 1), $get($get(shared, 2).src, 1)]);
up = $row[0];
own_up = $row[1];
}
{
const $row = $items([$get(up.src, 0), $get(own_up.src, 0), $get(up.src, 1)]);
weight = $row[0];
own = $row[1];
rows = $row[2];
}
return $and((weight.device != null), () => weight.quant.is_quantized, () => (rows.op === "RESHAPE"), () => ($get(rows.src, 0) === $get(own_up.src, 1)), () => ($eq($get(rows.ne, 1), $get(rows.ne, 3)) && ($get(rows.ne, 3) === 1)), () => $eq(weight.quant, own.quant), () => $eq($slice(weight.ne, null, 2, null), $slice(own.ne, null, 2, null)), () => (own.op === "NONE"), () => (() => { for (const $row of pairs) { const a = $row[0], b = $row[1]; if (!$eq($get(a.src, 0).quant, $get(b.src, 0).quant)) return false; } return true; })(), () => fusions$_is_closed([...routed, ...shared], [$get(routed, 2), $get(shared, 2)], n_uses));
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
{
const $row = $items([$get(mul.src, 0), $get(mul.src, 1), $get(mul.ne, 1)]);
outputs = $row[0];
weights = $row[1];
n_experts = $row[2];
}
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
let first, ids, length, n_experts, ops, part, scores, wanted;
first = i;
if (($bound($get(nodes, i), "kind") === "SOFTPLUS")) {
i = $extended(i, 1);
if (($ge(i, end) || ($get(nodes, i).op !== "SQRT") || ($get($get(nodes, i).src, 0) !== $get(nodes, first)))) {
return 0;
}
}
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
part = $slice(nodes, first, $add(i, length), null);
return ($truth(fusions$_is_closed(part, [ids, $get(part, (-1))], n_uses)) ? $len(part) : 0);
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
function scheduler$schedule(graph, backends, op_offload = true, n_copies = 1, fuses_experts = true, fuses_shared_expert = false) {
return new scheduler$_Scheduler(graph, backends, op_offload, n_copies, fuses_experts, fuses_shared_expert).run();
}
class scheduler$_Scheduler {
constructor(graph, backends, op_offload, n_copies, fuses_experts, fuses_shared_expert) {
const self = this;
{
const $row = $items([graph, backends, n_copies]);
self._graph = $row[0];
self._backends = $row[1];
self._n_copies = $row[2];
}
self._cpu = ($len(backends) - 1);
self._number = $dict((() => { const $into = []; for (const $row of $enumerate(backends)) { const i = $row[0], device = $row[1]; $into.push([device, i]); } return $into; })());
{
const $row = $items([op_offload, fuses_experts]);
self._op_offload = $row[0];
self._fuses_experts = $row[1];
}
self._fuses_shared_expert = fuses_shared_expert;
self._nodes = (() => { const $into = []; for (const t of graph.nodes) { if (!$in(t.op, tensor$VIEW_OPS)) { $into.push(t); } } return $into; })();
self._copies = $dict([]);
}
run() {
const self = this;
let head, kept, leafs, n_uses, part, split, splits, t;
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
if (($eq(split.backend, self._cpu) || !$truth(self._fuses_experts))) {
continue;
}
part = [self._graph.nodes, split.start, split.end, n_uses, kept];
if ($truth(self._fuses_shared_expert)) {
fusions$group_shared_experts(...part);
}
fusions$kept_by_fusions(...part);
}
head = ((self._n_copies > 1) ? self._permanent(splits) : []);
leafs = (() => { const $into = []; for (const t of self._graph.leafs) { $into.push([t, t.backend]); } return $into; })();
return new scheduler$Schedule($add(head, leafs), self._ordered(splits, kept), $len(splits));
}
_from_data(t) {
const self = this;
let backend, cards, source;
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
for (source of t.src) {
if ($truth(source.is_weight)) {
backend = self._holding(source, t);
if (($truth(self._op_offload) && $eq(backend, self._cpu) && $truth(backends$wants_offload(t)))) {
cards = (function* () { for (const b of $range(self._cpu)) { if ($truth(backends$supports($get(self._backends, b), t))) { yield b; } } })();
return $next(cards, backend);
}
return backend;
}
}
return (-1);
}
_holding(t, node) {
const self = this;
let backend, device;
device = $or(t.view_src, () => t).device;
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
for (const $row of [[self._nodes, true], [backwards, true], [self._nodes, false], [backwards, false]]) {
order = $row[0];
cards_only = $row[1];
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
device = $or(t.view_src, () => t).device;
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
for (const $row of $enumerate(nodes)) {
i = $row[0];
t = $row[1];
if ($in(t.op, tensor$VIEW_OPS)) {
continue;
}
backend = t.backend;
if ((!$eq(backend, split.backend) || ($truth(split.inputs) && $truth(self._needs_weight(t))))) {
split.end = i;
split = new scheduler$_Split(backend, i, $len(nodes), []);
$list.append(splits, split);
}
for (const $row of $enumerate(t.src)) {
j = $row[0];
source = $row[1];
if ((!$eq(source.backend, backend) && !$truth(self._is_local(source, backend)))) {
$put(t.src, j, self._copy(source, split));
}
}
}
return splits;
}
_needs_weight(t) {
const self = this;
let s;
for (s of t.src) {
if (($truth(s.is_weight) && !$eq(s.backend, t.backend) && !$truth(self._is_local(s, t.backend)))) {
return true;
}
}
return false;
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
let kind, twin;
kind = ($truth(source.is_weight) ? tensor$COPIED : "");
twin = new tensor$Tensor("NONE", source.quant, source.ne, [], source.nb, undefined, undefined, source.name, kind);
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
let chunk, held, i, ordered, source, split, t;
ordered = [];
for (split of splits) {
for (source of split.inputs) {
$list.append(ordered, [scheduler$_hold(source, [source]), source.backend]);
$list.append(ordered, [$get($get(self._copies, [source, split.backend]), 0), split.backend]);
}
for (t of $slice(self._graph.nodes, split.start, split.end, null)) {
$list.append(ordered, [t, t.backend]);
if ($truth((held = kept.get(t)))) {
for (i of $range(0, $len(held), scheduler$MAX_SOURCES)) {
chunk = $slice(held, i, $add(i, scheduler$MAX_SOURCES), null);
$list.append(ordered, [scheduler$_hold($get(chunk, 0), chunk), split.backend]);
}
}
}
}
return ordered;
}
}
function scheduler$_hold(t, sources) {
return new tensor$Tensor("NONE", t.quant, t.ne, $list(sources), t.nb, t.root, t.offset);
}
class composed$Composed {
constructor(graph, ends, fused_layers, selection) {
const self = this;
let at, i, last, node, run, runs;
{
const $row = $items([graph, ends]);
self.graph = $row[0];
self.ends = $row[1];
}
{
const $row = $items([fused_layers, selection]);
self.fused_layers = $row[0];
self.selection = $row[1];
}
self.plan = null;
self.n_inputs = $sum((() => { const $into = []; for (const leaf of graph.leafs) { $into.push(leaf.is_input); } return $into; })());
runs = ($eq($len(ends), $len(selection.layers)) ? selection.runs : []);
self.repeated = [];
self.n_nodes = $len(graph.nodes);
at = $dict((() => { const $into = []; for (const run of runs) { for (const il of run.ends) { $into.push([$get(ends, il), 0]); } } return $into; })());
for (const $row of $enumerate(graph.nodes)) {
i = $row[0];
node = $row[1];
if ($in(node, at)) {
$put(at, node, i);
}
}
for (run of runs) {
last = $tuple((() => { const $into = []; for (const il of run.ends) { $into.push($get(ends, il)); } return $into; })());
$list.append(self.repeated, last);
self.n_nodes = $extended($bound(self, "n_nodes"), (run.n_left_out * $sub($get(at, $get(last, 1)), $get(at, $get(last, 0)))));
}
}
}
function composed$graph_of(b, layers) {
if ((b.rules.drafter !== "none")) {
return $get(drafters$DRAFTERS, b.rules.drafter)(b);
}
return ($truth($bound(b, "hparams").is_head) ? next_token$build_head(b) : compose$build_graph(b, layers));
}
const like_cards$KEPT_CARDS = 2;
class like_cards$_Block {
constructor(device, layers = $list(), runs = $list(), ends = $list(), content = null) {
this.device = device;
this.layers = layers;
this.runs = runs;
this.ends = ends;
this.content = content;
}
}
$dataclass(like_cards$_Block, ["device", "layers", "runs", "ends", "content"], false);
function like_cards$leave_out_cards(selection, kinds, homes) {
let before, behind, block, blocks, i, kept, left_out, runs;
blocks = like_cards$_blocks(selection, homes);
kept = [];
left_out = [];
for (const $row of $enumerate(blocks)) {
i = $row[0];
block = $row[1];
behind = (((i + 1) < $len(blocks)) ? $get(blocks, (i + 1)) : null);
if (($truth(block.device) && $truth(behind) && $truth(behind.device))) {
block.content = [$get(kinds, $get(behind.layers, 0)), block.ends, (() => { const $into = []; for (const il of block.layers) { $into.push($get(kinds, il)); } return $into; })()];
}
before = $slice(kept, (-like_cards$KEPT_CARDS), null, null);
if (($truth(block.content) && $eq((() => { const $into = []; for (const each of before) { $into.push(each.content); } return $into; })(), $repeat([block.content], like_cards$KEPT_CARDS)))) {
$list.append(left_out, [block, $get(before, (-1))]);
}
else {
$list.append(kept, block);
}
}
runs = (() => { const $into = []; for (const block of kept) { for (const run of block.runs) { $into.push(run); } } return $into; })();
return new repeats$Selection($tuple((() => { const $into = []; for (const block of kept) { for (const il of block.layers) { $into.push(il); } } return $into; })()), $tuple(runs), $tuple((() => { const $into = []; for (const $row of left_out) { const block = $row[0], like = $row[1]; $into.push(new repeats$LeftOutCard($or(block.device, () => ""), $or(like.device, () => ""), $tuple((() => { const $into = []; for (const $row of $zip(like.runs, block.runs, new $Named({strict: true}))) { const run = $row[0], own = $row[1]; $into.push([$list.index(runs, run), own.n_left_out]); } return $into; })()))); } return $into; })()));
}
function like_cards$_blocks(selection, homes) {
let block, device, found, il;
found = [];
for (il of selection.layers) {
device = homes.get(il);
if ((!$truth(found) || !$eq($get(found, (-1)).device, device))) {
$list.append(found, new like_cards$_Block(device));
}
$list.append($get(found, (-1)).layers, il);
}
for (block of found) {
block.runs = (() => { const $into = []; for (const run of selection.runs) { if ($in($get(run.ends, 0), block.layers)) { $into.push(run); } } return $into; })();
block.ends = (() => { const $into = []; for (const run of block.runs) { $into.push((() => { const $into = []; for (const il of run.ends) { $into.push($list.index(block.layers, il)); } return $into; })()); } return $into; })();
}
return found;
}
function like_cards$are_apart(composed, plan, placement) {
let at, backends, before, begin, device, end, il, inputs, last, like, numbers, own, places, read, read_before;
backends = placement.backends;
numbers = $dict((() => { const $into = []; for (const $row of $enumerate(plan.nodes)) { const i = $row[0], t = $row[1][0]; $into.push([t, i]); } return $into; })());
inputs = (() => { const $into = []; for (const t of composed.graph.leafs) { if ($truth(t.is_input)) { $into.push(t); } } return $into; })();
places = $dict([]);
before = $dict([]);
{
const $row = $items([0, ""]);
at = $row[0];
last = $row[1];
}
for (il of composed.selection.layers) {
{
const $row = $items([placement.layer(il), ($get(numbers, $get(composed.ends, il)) + 1)]);
device = $row[0];
end = $row[1];
}
if (!$eq(device, last)) {
{
const $row = $items([[at, end], last]);
$put(places, device, $row[0]);
$put(before, device, $row[1]);
}
}
$put(places, device, [$get($get(places, device), 0), end]);
{
const $row = $items([end, device]);
at = $row[0];
last = $row[1];
}
}
for (like of $set((() => { const $into = []; for (const card of composed.selection.cards) { $into.push($bound(card, "like")); } return $into; })())) {
{
const $row = $items($get(places, like));
begin = $row[0];
end = $row[1];
}
own = $set([$list.index(backends, like), $list.index(backends, $get(before, like))]);
if ((() => { for (const $row of $slice(plan.nodes, begin, end, null)) { const t = $row[0], pool = $row[1]; if ((!$in(pool, own) && (t.view_src == null))) return true; } return false; })()) {
return false;
}
{
const $row = $items([like_cards$_sources($slice(plan.nodes, null, begin, null)), like_cards$_sources($slice(plan.nodes, begin, end, null))]);
read_before = $row[0];
read = $row[1];
}
if ((() => { for (const t of inputs) { if (($in(t, read) && !$in(t, read_before))) return true; } return false; })()) {
return false;
}
}
return true;
}
function like_cards$_sources(nodes) {
return $set((() => { const $into = []; for (const $row of nodes) { const t = $row[0]; for (const source of t.src) { $into.push(source); } } return $into; })());
}
function like_cards$of_all_cards(placement, selection, left_out, of) {
let at, backends, card, like, live_bytes, n, n_bytes, number, own, packed, repetitions;
{
const $row = $items([$dict([[left_out, of(left_out)]]), placement.backends]);
packed = $row[0];
backends = $row[1];
}
{
const $row = $items([$list($get(packed, left_out).bytes), $list($get(packed, left_out).live_bytes)]);
n_bytes = $row[0];
live_bytes = $row[1];
}
for (card of selection.cards) {
repetitions = $list(left_out);
for (const $row of card.n_left_out) {
number = $row[0];
n = $row[1];
$put(repetitions, number, $tuple((() => { const $into = []; for (const _ of $range(n)) { $into.push($get($get(left_out, number), 0)); } return $into; })()));
}
own = $tuple(repetitions);
if (!$in(own, packed)) {
$put(packed, own, of(own));
}
{
const $row = $items([$list.index(backends, card.device), $list.index(backends, $bound(card, "like"))]);
at = $row[0];
like = $row[1];
}
{
const $row = $items([$get($get(packed, own).bytes, like), $get($get(packed, own).live_bytes, like)]);
$put(n_bytes, at, $row[0]);
$put(live_bytes, at, $row[1]);
}
}
return new buffers$Packing($tuple(n_bytes), $tuple(live_bytes));
}
const replays$WORTH_CUTTING = 0.8;
const replays$NEIGHBOURS = 2;
const replays$MAX_REPLAYED = 12288;
class replays$Replays {
constructor(model, build, is_dry_run, adapters, turns, learned) {
const self = this;
{
const $row = $items([model, build, is_dry_run]);
self._model = $row[0];
self._build = $row[1];
self._is_dry_run = $row[2];
}
{
const $row = $items([adapters, turns, learned]);
self._adapters = $row[0];
self._turns = $row[1];
self._learned = $row[2];
}
self._contents = structure$layer_contents(model, adapters);
self._outside = $tuple((() => { const $into = []; for (const name of model.tensors) { if ((placement$layer_of(name) == null)) { $into.push(name); } } return $into; })());
self._has_layer_inputs = $in("per_layer_token_embd.weight", model.tensors);
self._last = [];
}
n_nodes(setup) {
const self = this;
return $bound(self._composed(setup, buffers$token_batch(setup), self._counted(setup)), "n_nodes");
}
n_tensors(setup, batch) {
const self = this;
let composed;
composed = self._composed(setup, batch, self._counted(setup));
return $add($bound(composed, "n_nodes"), composed.n_inputs);
}
fuses(setup, rest) {
const self = this;
let is_seen, key, known, layout, pair, pairs;
{
const $row = $items([self._layout(setup, replays$NEIGHBOURS), self._learned.of(setup)]);
layout = $row[0];
known = $row[1];
}
key = [layout.key, ...rest];
if (!$in(key, known.fuses_in)) {
pairs = self._neighbours(setup, layout, rest);
is_seen = ($bool(pairs) && (() => { for (const pair of pairs) { if (!$in(pair, known.neighbours)) return false; } return true; })());
$put(known.fuses_in, key, $or(is_seen, () => self._fuses_in(setup, layout, $get(rest, (-1)))));
for (pair of ($truth($get(known.fuses_in, key)) ? pairs : [])) {
known.neighbours.add(pair);
}
}
return $get(known.fuses_in, key);
}
_neighbours(setup, layout, rest) {
const self = this;
let frame, signatures;
if ((layout.outside == null)) {
return [];
}
signatures = (() => { const $into = []; for (const $row of self._signatures(setup)) { const nodes = $row[0]; $into.push(nodes); } return $into; })();
frame = [$bound(setup, "placement").frame, layout.outside, ...rest];
return (() => { const $into = []; for (const pair of $itertools.pairwise([null, ...signatures, null])) { $into.push([...frame, ...pair]); } return $into; })();
}
packing(setup, batch) {
const self = this;
let composed, i, kind, layout, packing, tried;
layout = self._layout(setup, $get(repeats$KEPT, 0));
kind = [layout.key, $bound(setup, "cache"), $bound(setup, "hparams").key, batch.n_seqs];
tried = self._learned.of(setup).tried;
for (i of $range(tried.get(kind, 0), $len(repeats$KEPT))) {
layout = self._layout(setup, $get(repeats$KEPT, i));
packing = ($truth(layout.selection.is_cut) ? self._replay_layers(setup, batch, layout) : null);
if ($truth(packing)) {
return packing;
}
composed = self._composed(setup, batch, layout.selection, !$truth(self._is_dry_run));
$put(tried, kind, ($truth(self._copies_for_good(setup, composed)) ? $len(repeats$KEPT) : (i + 1)));
}
return self._replay_layers(setup, batch, self._layout(setup, null));
}
_fuses_in(setup, layout, op) {
const self = this;
let backends, batch, composed, is_at_hand, is_first, layers, longer;
{
const $row = $items([buffers$token_batch(setup), self._select(setup, $get(repeats$KEPT, 0))]);
batch = $row[0];
longer = $row[1];
}
is_first = !$truth(self._learned.of(setup).fuses_in);
is_at_hand = $or(is_first, () => (self._kept([...setup.key, batch, longer, true]) != null));
composed = self._composed(setup, batch, ($truth(is_at_hand) ? longer : layout.selection));
{
const $row = $items([$bound(setup, "placement").backends, composed.fused_layers]);
backends = $row[0];
layers = $row[1];
}
return (() => { for (const $row of self._scheduled(setup, composed).nodes) { const node = $row[0], backend = $row[1]; if (($in(node, layers) && $eq(node.op, op))) { if (!$eq($get(backends, backend), $bound(setup, "placement").layer($get(layers, node)))) return false; } } return true; })();
}
_kept(key) {
const self = this;
return (() => { for (const $row of self._last) { const known = $row[0], composed = $row[1]; if ($eq(known, key)) { return composed; } } return null; })();
}
_composed(setup, batch, selection, pins = true) {
const self = this;
let b, composed, ends, graph, kept, key, node;
key = [...setup.key, batch, selection, pins];
if ($truth((kept = self._kept(key)))) {
return kept;
}
b = self._builder(setup, batch);
{
const $row = $items(composed$graph_of(b, selection.layers));
graph = $row[0];
ends = $row[1];
}
for (node of ($truth(pins) ? [] : graph.nodes)) {
node.pinned = null;
}
composed = new composed$Composed(graph, ends, b.fused_layers, selection);
self._last = [...$slice(self._last, (-1), null, null), [key, composed]];
return composed;
}
_scheduled(setup, composed) {
const self = this;
if ((composed.plan == null)) {
composed.plan = scheduler$schedule(composed.graph, $bound(setup, "placement").backends, setup.op_offload, ($truth($bound(setup, "placement").pipeline) ? scheduler$PIPELINE_COPIES : 1), $and(self._build.fuses_experts, () => !$truth($bound(setup, "placement").is_cut)), self._build.fuses_shared_expert);
}
return composed.plan;
}
_replay_layers(setup, batch, layout) {
const self = this;
let affine, alignments, alike, at, cells, composed, found, has_most, key, known, left_out, most, placement, program, selection, sizes;
{
const $row = $items([self._affine_sizes(setup, batch, layout), layout.selection]);
affine = $row[0];
selection = $row[1];
}
{
const $row = $items([$bound(setup, "placement"), $bound(self._learned.of(setup), "most")]);
placement = $row[0];
known = $row[1];
}
alignments = (() => { const $into = []; for (const device of placement.backends) { $into.push(backends$alignment(device)); } return $into; })();
key = self._turns.kind(setup, batch, placement.key);
{
const $row = $items([$bound($bound(setup, "sizes"), "cells"), $in(key, known)]);
cells = $row[0];
has_most = $row[1];
}
at = $bound(setup, "sizes").growing($bound(setup, "hparams").compress_ratios);
if (($truth(has_most) && $truth(affine.knows(at)))) {
left_out = self._left_out(setup, affine.program, selection);
return like_cards$of_all_cards(placement, selection, left_out, ((each) => affine.packing(at, alignments, each)));
}
found = affine.at(at);
if ((found == null)) {
composed = self._program(setup, batch, selection);
if ((composed == null)) {
return null;
}
{
const $row = $items(composed);
program = $row[0];
sizes = $row[1];
}
affine = self._learn(setup, batch, layout, program, sizes);
found = [program, sizes, program.likeness()];
}
{
const $row = $items(found);
program = $row[0];
sizes = $row[1];
alike = $row[2];
}
left_out = self._left_out(setup, program, selection);
if (!($truth(affine.is_rigid) || ($truth(has_most) && $ge($get($get(known, key), 0), cells)))) {
most = like_cards$of_all_cards(placement, selection, left_out, ((each) => program.most(sizes, alignments, each)));
$put(known, key, [cells, $bound(setup, "sizes").cells_swa, most.bytes]);
}
return like_cards$of_all_cards(placement, selection, left_out, ((each) => program.run(sizes, alike, alignments, each)));
}
_left_out(setup, program, selection) {
const self = this;
let copies, copy, devices, found, il, loop, number, own, part, run;
{
const $row = $items([$bound(setup, "placement").backends, []]);
devices = $row[0];
found = $row[1];
}
for (const $row of $zip(selection.runs, program.loops, new $Named({strict: true}))) {
run = $row[0];
loop = $row[1];
copies = [];
for (number of loop.copies) {
copy = $get(program.tensors, number);
{
const $row = $items(placement$layer_and_part(copy.name));
own = $row[0];
part = $row[1];
}
il = $get(selection.layers, $list.index(program.layers, own));
$list.append(copies, [copy, $get(devices, $get(program.pools, number)), il, part]);
}
$list.append(found, $tuple((() => { const $into = []; for (const rank of $range(1, (run.n_left_out + 1))) { $into.push($tuple((() => { const $into = []; for (const $row of copies) { const copy = $row[0], device = $row[1], il = $row[2], part = $row[3]; $into.push(self._copy_bytes(copy, device, ("" + "blk." + $str($add(il, (rank * run.period))) + "." + $str(part)))); } return $into; })())); } return $into; })()));
}
return $tuple(found);
}
_copy_bytes(copy, device, name) {
const self = this;
let quant;
quant = $get(self._model.tensors, name).quant;
return backends$alloc_bytes(device, new tensor$Tensor("NONE", quant, copy.ne, [], tensor$strides(quant, copy.ne)));
}
_learn(setup, batch, layout, program, sizes) {
const self = this;
let affine, alike, at, cache, known, other, plain;
{
const $row = $items([self._learned.of(setup), $bound(setup, "cache")]);
known = $row[0];
cache = $row[1];
}
at = $bound(setup, "sizes").growing($bound(setup, "hparams").compress_ratios);
plain = $dataclasses.replace(setup, new $Named({cache: $dataclasses.replace(cache, new $Named({k: tensor$F16, v: tensor$F16}))}));
alike = known.drawn.setdefault(self._line_key(plain, batch, layout), []);
for (other of alike) {
if ($truth(other.holds_for(at, program, sizes))) {
$put(known.affine, self._line_key(setup, batch, layout), other);
return other;
}
}
affine = self._affine_sizes(setup, batch, layout);
affine.learn(at, program, sizes);
if (($truth(affine.knows(at)) && (() => { for (const other of alike) { if (!(affine !== other)) return false; } return true; })())) {
$list.append(alike, affine);
}
return affine;
}
_affine_sizes(setup, batch, layout) {
const self = this;
let key, known;
{
const $row = $items([self._learned.of(setup).affine, self._line_key(setup, batch, layout)]);
known = $row[0];
key = $row[1];
}
if (!$in(key, known)) {
$put(known, key, new affine_sizes$AffineSizes(($truth($bound(setup, "hparams").family.has_known_graph) ? 0 : 1)));
}
return $get(known, key);
}
_line_key(setup, batch, layout) {
const self = this;
let positions, sizes, window;
sizes = $bound(setup, "sizes");
window = ($eq(sizes.cells_swa, $bound(sizes, "cells")) ? null : sizes.cells_swa);
positions = ($eq(sizes.n_positions, $bound(sizes, "cells")) ? null : sizes.n_positions);
return [self._turns.kind(setup, batch, layout.key), window, positions];
}
_program(setup, batch, selection) {
const self = this;
let composed, devices, is_whole, plan, program;
devices = $bound(setup, "placement").backends;
composed = self._composed(setup, batch, selection, !$truth(self._is_dry_run));
if (($len(composed.graph.nodes) > replays$MAX_REPLAYED)) {
return null;
}
plan = self._scheduled(setup, composed);
if (($truth(selection.is_cut) && $truth(self._copies_for_good(setup, composed)))) {
return null;
}
if (($truth(selection.cards) && !$truth(like_cards$are_apart(composed, plan, $bound(setup, "placement"))))) {
return null;
}
function size(tensor, backend) {
return backends$alloc_bytes($get(devices, backend), tensor, self._build.reserves_copies);
}
program = new allocator$AllocationProgram(plan.leafs, plan.nodes, composed.repeated, selection.layers);
is_whole = $and(program.is_whole, () => !($truth(selection.cards) && $truth(program.elsewhere)));
return ($truth(is_whole) ? [program, program.sizes(size)] : null);
}
_copies_for_good(setup, composed) {
const self = this;
let n_used, plan;
if (!$truth($bound(setup, "placement").pipeline)) {
return false;
}
plan = self._scheduled(setup, composed);
n_used = ($len($bound(setup, "placement").backends) - $len(composed.selection.cards));
return $or(self._has_layer_inputs, () => $gt(plan.n_splits, n_used));
}
_builder(setup, batch) {
const self = this;
return new builder$Builder(self._model, $bound(setup, "hparams"), $bound(setup, "placement"), $bound(setup, "sizes"), $bound(setup, "cache"), batch.n_tokens, batch.n_outputs, batch.n_seqs, setup.pooling, self._build, setup.unfused, self._adapters);
}
_select(setup, keep) {
const self = this;
return self._layout(setup, keep).selection;
}
_counted(setup) {
const self = this;
let kinds, running, selection;
selection = self._select(setup, $get(repeats$KEPT, 0));
running = $bound(setup, "hparams").running;
kinds = $slice(self._kinds(setup), running.start, running.stop, null);
return ($truth(selection.cards) ? repeats$select_layers(kinds, $get(repeats$KEPT, 0)) : selection);
}
_layout(setup, keep) {
const self = this;
let key, layouts;
key = [$bound(setup, "placement").key, $bound(setup, "hparams").key, keep];
layouts = self._learned.of(setup).layouts;
if (!$in(key, layouts)) {
$put(layouts, key, self._laid_out(setup, keep));
}
return $get(layouts, key);
}
_laid_out(setup, keep) {
const self = this;
let alike, found, graph, hparams, is_apart, kept, key, likes, outside, placement, places, signatures, whole;
{
const $row = $items([$bound(setup, "hparams"), $bound(setup, "placement")]);
hparams = $row[0];
placement = $row[1];
}
{
const $row = $items([new repeats$Selection($tuple(hparams.running)), hparams.family.graph]);
whole = $row[0];
graph = $row[1];
}
is_apart = (($bound(graph, "layer") === "stacks") || (graph.drafter !== "none"));
if (($truth(hparams.is_head) || (hparams.n_loops > 1) || $truth(is_apart))) {
return new replayed$Layout(whole, placement.key);
}
signatures = self._signatures(setup);
alike = (() => { const $into = []; for (const $row of signatures) { const nodes = $row[0]; $into.push(nodes); } return $into; })();
found = whole;
if ((keep != null)) {
found = self._without_like_cards(setup, repeats$select_layers(alike, keep));
}
if (($len(found.layers) > (replays$WORTH_CUTTING * hparams.n_layer))) {
found = whole;
}
if (!$truth(placement.is_simple)) {
return new replayed$Layout(found, [placement.key, found]);
}
outside = ($truth(placement.has_overrides) ? self._outside : []);
places = $tuple((() => { const $into = []; for (const name of outside) { $into.push(placement.weight(name)); } return $into; })());
kept = $tuple((() => { const $into = []; for (const il of found.layers) { $into.push($get(signatures, il)); } return $into; })());
likes = $tuple($dict.fromkeys((function* () { for (const card of found.cards) { yield $bound(card, "like"); } })()));
key = [placement.frame, kept, found.ends, likes, places];
return new replayed$Layout(found, key, places);
}
_without_like_cards(setup, selection) {
const self = this;
let homes, on_cards, placement, shared;
placement = $bound(setup, "placement");
if ((($len(placement.cards) <= (like_cards$KEPT_CARDS + 1)) || !$truth(placement.is_simple))) {
return selection;
}
on_cards = $dict((() => { const $into = []; for (const il of selection.layers) { $into.push([il, placement.layer(il)]); } return $into; })());
shared = $set((() => { const $into = []; for (const $row of on_cards.items()) { const il = $row[0], on = $row[1]; if (!$truth(self._is_on_its_card(setup, il))) { $into.push(on); } } return $into; })());
homes = $dict((() => { const $into = []; for (const $row of on_cards.items()) { const il = $row[0], on = $row[1]; if (!$in(on, shared)) { $into.push([il, on]); } } return $into; })());
return like_cards$leave_out_cards(selection, self._kinds(setup), homes);
}
_is_on_its_card(setup, il) {
const self = this;
let device, held;
device = $bound(setup, "placement").layer(il);
held = [$bound(setup, "placement").cache(il), ...self._places(setup, il)];
return (!$eq(device, placement$CPU) && (() => { for (const each of held) { if (!$eq(each, device)) return false; } return true; })());
}
_places(setup, il) {
const self = this;
let content, placement;
{
const $row = $items([$bound(setup, "placement"), self._contents.get(il, [])]);
placement = $row[0];
content = $row[1];
}
if (!$truth(placement.has_overrides)) {
return $repeat([placement.layer(il)], $len(content));
}
return $tuple((() => { const $into = []; for (const $row of content) { const name = $row[0]; $into.push(placement.weight(("" + "blk." + $str(il) + "." + $str(name)))); } return $into; })());
}
_signatures(setup) {
const self = this;
let found, known;
known = self._learned.of(setup);
found = (function* () { for (const il of $bound(setup, "hparams").running) { yield self._signature(setup, il); } })();
return (() => { const $into = []; for (const $row of found) { const nodes = $row[0], types = $row[1]; $into.push([known.number(nodes), types]); } return $into; })();
}
_kinds(setup) {
const self = this;
let hparams, known;
{
const $row = $items([self._learned.of(setup), $bound(setup, "hparams")]);
known = $row[0];
hparams = $row[1];
}
if (!$in(hparams.key, known.kinds)) {
$put(known.kinds, hparams.key, (() => { const $into = []; for (const $row of $enumerate(hparams.layers)) { const il = $row[0], layer = $row[1]; $into.push(known.number([layer.kind(il), $tuple((() => { const $into = []; for (const each of self._contents.get(il, [])) { $into.push($slice(each, null, 2, null)); } return $into; })())])); } return $into; })());
}
return $get(known.kinds, hparams.key);
}
_signature(setup, il) {
const self = this;
let content, kind, nodes, on_host, placement, places, sizing, types;
placement = $bound(setup, "placement");
{
const $row = $items([self._contents.get(il, []), self._places(setup, il)]);
content = $row[0];
places = $row[1];
}
on_host = (() => { const $into = []; for (const $row of $zip(content, places, new $Named({strict: true}))) { const name = $row[0][0], t = $row[0][2], at = $row[1]; if ($eq(at, placement$CPU)) { $into.push([name, t]); } } return $into; })();
sizing = $tuple((() => { const $into = []; for (const $row of on_host) { const name = $row[0], t = $row[1]; if ($truth(structure$is_multiplied(name))) { $into.push(t); } } return $into; })());
types = $tuple((() => { const $into = []; for (const $row of on_host) { const name = $row[0], t = $row[1]; $into.push(($truth(structure$is_multiplied(name)) ? $in(t, backends$WITHOUT_KERNEL) : t)); } return $into; })());
kind = $get(self._kinds(setup), il);
nodes = [kind, placement.layer(il), placement.cache(il), places, types];
return [nodes, sizing];
}
}
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
