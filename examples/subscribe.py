#!/usr/bin/python3
"""Prints each event of a runtime as one line of JSON. usage: subscribe.py ENDPOINT [TOPIC ...]"""
import json, sys
import msgpack  # apt-get install python3-msgpack
import zmq  # apt-get install python3-zmq

socket = zmq.Context().socket(zmq.SUB)
socket.connect(sys.argv[1])  # such as ipc:///srv/headgate.db.d/events.ipc
for topic in sys.argv[2:] or [""]:  # the empty prefix: all
    socket.subscribe(topic)
while True:
    topic, payload = socket.recv_multipart()
    if topic != b"HEARTBEAT":
        print(json.dumps(msgpack.unpackb(payload)), flush=True)
