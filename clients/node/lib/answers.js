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
const REFUSALS = [400, 401, 403, 404, 413, 422, 429]; // said before any work; a 408, 409 or 499 may come after it
const SDK_ERRORS = [
  "OpenAIError",
  "AnthropicError",
  "GroqError",
  "TogetherError",
  "CohereError",
  "MistralError",
  "GoogleGenerativeAIError",
  "BedrockRuntimeServiceException",
  "GeminiNextGenAPIClientError",
];
const AI_SDK = "vercel.ai.error.AI_"; // its classes have no lasting names: it marks its errors itself
const AFTER_WORK = ["Stream", "ResponseValidation"]; // in the name of an error: there was an answer, or part of one

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

function kindsOf(problem) {
  const kinds = [];
  for (let kind = Object.getPrototypeOf(problem); kind; kind = Object.getPrototypeOf(kind)) {
    kinds.push(String(kind.constructor?.name));
  }
  return kinds;
}

function statusOf(problem) {
  const found = [
    problem.status,
    problem.statusCode,
    problem.response?.status,
    problem.response?.statusCode,
    problem.$metadata?.httpStatusCode,
    problem.code,
  ];
  return found.find(each => Number.isInteger(each) && each >= 100 && each <= 599);
}

/** How the provider surely refused the call before any work; empty: it is not known that it did. */
export function refusalOf(problem, refused = []) {
  if (problem === null || typeof problem !== "object") return "";
  if ([refused].flat().some(kind => problem instanceof kind)) return "refused";
  const said = problem[Symbol.for(`${AI_SDK}RetryError`)] === true ? problem.errors : [problem];
  const statuses = Array.isArray(said) ? said.map(refusalStatus) : [];
  return statuses.length && statuses.every(Boolean) ? `status ${statuses.at(-1)}` : "";
}

function refusalStatus(problem) {
  if (problem === null || typeof problem !== "object" || !isOfSdk(problem)) return 0;
  const status = statusOf(problem);
  return REFUSALS.includes(status) ? status : 0;
}

function isOfSdk(problem) {
  const kinds = kindsOf(problem);
  if (kinds.some(kind => AFTER_WORK.some(word => kind.includes(word)))) return false;
  return (
    kinds.some(kind => SDK_ERRORS.includes(kind)) ||
    problem[Symbol.for(`${AI_SDK}APICallError`)] === true ||
    (problem.name === "ApiError" && isOfGoogle(problem))
  );
}

/** @google/genai: the name is anybody's, but its message is the body of the answer; not so for one amid a stream. */
function isOfGoogle({ message, status }) {
  try {
    return Number.isInteger(status) && JSON.parse(message).error.code === status;
  } catch {
    return false;
  }
}
