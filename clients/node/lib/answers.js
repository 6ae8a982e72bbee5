// A provider's answer as JSON that fits into a command: what was used stays, long texts go.

const TEXT_MAX = 256; // characters; ids, names of models and reasons to stop are shorter
const ENTRY_MAX = 4096; // bytes of JSON
const ANSWER_MAX = 48 * 1024; // of the 64 KiB that a command may have
const KEPT = [
  "id",
  "model",
  "type",
  "object",
  "usage",
  "usageMetadata",
  "usage_metadata",
  "modelVersion",
  "responseId",
  "meta",
];

function cut(value, depth = 0) {
  if (typeof value === "string") return value.length <= TEXT_MAX ? value : "";
  if (typeof value === "bigint") return Number(value);
  if (value === null || typeof value !== "object") return value;
  if (depth > 16 || ArrayBuffer.isView(value)) return null;
  if (typeof value.toJSON === "function") return cut(value.toJSON(), depth + 1);
  if (Array.isArray(value)) return value.map(each => cut(each, depth + 1));
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, cut(each, depth + 1)]));
}

const bytes = value => Buffer.byteLength(JSON.stringify(value) ?? "");

export function asJson(answer) {
  if (typeof answer === "string") answer = JSON.parse(answer);
  if (answer === null || typeof answer !== "object" || Array.isArray(answer)) {
    throw new TypeError("no number of tokens and no answer of a provider");
  }
  let kept = cut(answer);
  const keep = wanted => {
    if (bytes(kept) > ANSWER_MAX) kept = Object.fromEntries(Object.entries(kept).filter(wanted));
  };
  keep(([, value]) => bytes(value) <= ENTRY_MAX); // not its texts: lists, such as embeddings
  keep(([key]) => KEPT.includes(key));
  return JSON.stringify(kept);
}

/** At least as many as the prompt has tokens: no tokenizer makes more than one of a byte. */
export function promptBytes(prompt) {
  if (ArrayBuffer.isView(prompt)) return prompt.byteLength;
  return Buffer.byteLength(typeof prompt === "string" ? prompt : JSON.stringify(prompt));
}

/** The status 4xx with which a provider refused the call; 0: it is not known that it did. */
export function refusalOf(problem) {
  const found = [
    problem?.status,
    problem?.statusCode,
    problem?.response?.status,
    problem?.response?.statusCode,
    problem?.$metadata?.httpStatusCode,
    problem?.code,
  ].find(each => Number.isInteger(each) && each >= 100 && each <= 599);
  return found >= 400 && found <= 499 ? found : 0;
}
