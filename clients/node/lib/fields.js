// The fields of a command, checked in the caller's thread: a runtime refuses a frame with a wrong one as a whole.
import { InvalidArgument } from "./errors.js";

const TEXT_MAX = 512; // bytes of UTF-8
const TEXTS = new Set([
  "budget",
  "model",
  "taskId",
  "parent",
  "permit",
  "reason",
  "why",
  "usageId",
  "responseId",
  "source",
  "topics",
]);
const NEVER_EMPTY = new Set(["usageId"]); // left out, it would count every time
const FLAGS = new Set(["firstInLine", "fromParent"]);
const BODIES = new Set(["answer"]); // as much as fits into a frame: asJson() sees to that

function refuse(name, why) {
  throw new InvalidArgument(1, `${name} ${why}`);
}

function text(name, value) {
  if (typeof value !== "string") refuse(name, `must be a string, not ${typeof value}`);
  if (value.includes("\0")) refuse(name, "has a NUL");
  if (/\p{Surrogate}/u.test(value)) refuse(name, "has a lone surrogate");
  const size = Buffer.byteLength(value);
  if (size === 0 && NEVER_EMPTY.has(name)) refuse(name, "is empty");
  if (size > TEXT_MAX && !BODIES.has(name)) refuse(name, `has ${size} bytes, of at most ${TEXT_MAX}`);
  return value;
}

function flag(name, value) {
  return typeof value === "boolean" ? value : refuse(name, `must be a boolean, not ${typeof value}`);
}

function integer(name, value) {
  const number = typeof value === "bigint" ? Number(value) : value;
  if (typeof number !== "number") refuse(name, `must be a number, not ${typeof value}`);
  return Number.isSafeInteger(number) ? number : refuse(name, `is no safe integer: ${value}`);
}

/** Without those that have their default: undefined, null, the empty text or false. */
export function checked(fields) {
  const found = {};
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined || value === null) continue;
    const read = FLAGS.has(name) ? flag : TEXTS.has(name) || BODIES.has(name) ? text : integer;
    const kept = read(name, value);
    if (kept !== "" && kept !== false) found[name] = kept;
  }
  return found;
}
