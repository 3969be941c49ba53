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
