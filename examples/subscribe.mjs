// Prints each event of a runtime as one line of JSON. usage: node subscribe.mjs ENDPOINT [TOPIC ...]
import { decode } from "@msgpack/msgpack"; // npm install zeromq @msgpack/msgpack
import { Subscriber } from "zeromq";

const [endpoint, ...topics] = process.argv.slice(2);
const socket = new Subscriber();
socket.connect(endpoint); // such as ipc:///srv/headgate.db.d/events.ipc
socket.subscribe(...topics); // none: all
for await (const [topic, payload] of socket) {
  if (topic.toString() !== "HEARTBEAT") console.log(JSON.stringify(decode(payload)));
}
