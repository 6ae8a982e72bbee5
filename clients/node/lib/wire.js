// msgpack as docs/protocol.md has it: integers are numbers, and BigInt only past 2^53.
import { decode, encode } from "@msgpack/msgpack";

function plain(value) {
  if (typeof value === "bigint") {
    return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;
  }
  if (value !== null && typeof value === "object") {
    for (const key in value) {
      const found = value[key];
      if (typeof found === "bigint" || (found !== null && typeof found === "object")) value[key] = plain(found);
    }
  }
  return value;
}

/** A map with a type, or null. */
export function read(frame) {
  try {
    const found = plain(decode(frame, { useBigInt64: true }));
    return found !== null && typeof found === "object" && typeof found.type === "string" ? found : null;
  } catch {
    return null;
  }
}

export function write(command) {
  return encode(command, { ignoreUndefined: true });
}
