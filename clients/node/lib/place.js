// Where a runtime is: an endpoint that is named, or the lock file beside a ledger.
import { createPrivateKey, createPublicKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { capability } from "zeromq";
import { HeadgateError, NoRuntime } from "./errors.js";

const Z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";
const X25519_PRIVATE = Buffer.from("302e020100300506032b656e04220420", "hex"); // PKCS #8, before the key's 32 bytes

/** Five digits are 32 bits, and a key has 256. */
function isKey(text) {
  if (text.length !== 40 || [...text].some(digit => !Z85.includes(digit))) return false;
  return text.match(/.{5}/g).every(five => valueOf(five) < 2 ** 32);
}

function valueOf(digits) {
  return [...digits].reduce((sum, digit) => sum * 85 + Z85.indexOf(digit), 0);
}

function fromZ85(text) {
  const bytes = Buffer.alloc((text.length / 5) * 4);
  for (let i = 0; i < text.length / 5; i++) {
    bytes.writeUInt32BE(valueOf(text.slice(5 * i, 5 * i + 5)), 4 * i);
  }
  return bytes;
}

function toZ85(bytes) {
  let text = "";
  for (let i = 0; i < bytes.length; i += 4) {
    for (let value = bytes.readUInt32BE(i), power = 85 ** 4; power >= 1; power /= 85) {
      text += Z85[Math.floor(value / power) % 85];
    }
  }
  return text;
}

/** A CURVE key pair is one of X25519, written in Z85. */
export function publicKeyOf(secretKey) {
  const key = createPrivateKey({
    key: Buffer.concat([X25519_PRIVATE, fromZ85(secretKey)]),
    format: "der",
    type: "pkcs8",
  });
  return toZ85(createPublicKey(key).export({ format: "der", type: "spki" }).subarray(-32));
}

function secretKeyIn(text) {
  const named = /secret[-_ ]?key\W{1,8}?([^\s"']{40})(?![^\s"'])/i.exec(text);
  const found = named ? [named[1]] : text.split(/[\s"']+/).filter(word => word.length === 40);
  if (found.length !== 1 || !isKey(found[0])) throw new TypeError("there is no secret key of 40 characters");
  return found[0];
}

/** The keys as options of a socket. */
function curveWith(serverKey, keyFile) {
  if (!serverKey && !keyFile) return {};
  const wrong = why => new HeadgateError(2, why);
  if (!keyFile) throw wrong("a server key without a key file: set keyFile (HEADGATE_KEY_FILE), too");
  if (!serverKey) throw wrong("a key file without a server key: set serverKey (HEADGATE_SERVER_KEY), too");
  if (!isKey(serverKey)) {
    throw wrong(
      "serverKey (HEADGATE_SERVER_KEY) is no key: those have 40 characters, as headgate keygen prints them",
    );
  }
  if (!capability.curve) throw wrong("this zeromq was built without CURVE, so it can't use keys");
  try {
    const secret = secretKeyIn(readFileSync(keyFile, "utf8"));
    return { curveServerKey: serverKey, curveSecretKey: secret, curvePublicKey: publicKeyOf(secret) };
  } catch (problem) {
    throw wrong(`keyFile (HEADGATE_KEY_FILE) ${keyFile}: ${problem.message}`);
  }
}

function ledgerOf(config) {
  try {
    return resolve(dirname(resolve(config)), JSON.parse(readFileSync(config, "utf8")).ledger?.path ?? "headgate.db");
  } catch (problem) {
    throw new HeadgateError(2, `${config}: ${problem.message}`);
  }
}

/** What connect() was told, as data that a worker can be given. */
export function find({ url, ledger, config, eventsUrl, serverKey, keyFile }) {
  const environment = process.env;
  url ||= environment.HEADGATE_URL;
  const place = {
    url: url || null,
    eventsUrl: eventsUrl || environment.HEADGATE_EVENTS_URL || null,
    ledger: null,
    curve: curveWith(serverKey || environment.HEADGATE_SERVER_KEY, keyFile || environment.HEADGATE_KEY_FILE),
  };
  if (!place.url) place.ledger = ledger ? resolve(ledger) : ledgerOf(config ?? "devs.config.json");
  return place;
}

export function isTcp(endpoint) {
  return endpoint?.startsWith("tcp://") ?? false;
}

/** Only tcp has keys: the system guards the file of ipc. */
export function curveOf(place, endpoint) {
  return isTcp(endpoint) ? place.curve : {};
}

/** Found anew at each attempt to connect: a runtime that starts again may be elsewhere. */
export function endpointsOf(place) {
  if (place.url) return { control: place.url, events: place.eventsUrl };
  const lock = `${place.ledger}.lock`;
  try {
    const { control, events } = JSON.parse(readFileSync(lock, "utf8"));
    if (typeof control === "string" && typeof events === "string")
      return { control, events: place.eventsUrl ?? events };
  } catch {
    // as when it says nothing
  }
  throw new NoRuntime(22, `${lock} names none: start one with headgate serve`);
}
