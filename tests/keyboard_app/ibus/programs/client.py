"""An application as IBus sees it, told what to do on standard input; run by Debian's Python with IBus's address set.

Every line is a JSON list: what to do, and with what. The answer is a JSON object with what the keyboard did since.
"""

import json
import sys
import time

import gi

gi.require_version("IBus", "1.0")
from gi.repository import GLib, IBus  # noqa: E402

IBus.init()
bus = IBus.Bus()
loop = GLib.MainContext.default()
context = None
found = {"committed": "", "preedit": "", "candidates": [], "handled": None, "properties": {}}


def preedit(_, text, cursor, visible, *mode):
    found["preedit"] = text.get_text() if visible else ""


def candidates(_, table, visible):
    count = table.get_number_of_candidates() if visible else 0
    found["candidates"] = [table.get_candidate(i).get_text() for i in range(count)]


def properties(_, listed):
    i = 0
    while (each := listed.get(i)) is not None:
        found["properties"][each.get_key()] = int(each.get_state())
        i += 1


def updated(_, each):
    found["properties"][each.get_key()] = int(each.get_state())


def begin(client):
    global context
    context = bus.create_input_context(client)
    context.connect("commit-text", lambda _, text: found.update(committed=found["committed"] + text.get_text()))
    context.connect("update-preedit-text", preedit)
    context.connect("update-preedit-text-with-mode", preedit)
    context.connect("hide-preedit-text", lambda _: found.update(preedit=""))
    context.connect("update-lookup-table", candidates)
    context.connect("hide-lookup-table", lambda _: found.update(candidates=[]))
    context.connect("register-properties", properties)
    context.connect("update-property", updated)
    context.set_capabilities(
        IBus.Capabilite.PREEDIT_TEXT | IBus.Capabilite.FOCUS | IBus.Capabilite.LOOKUP_TABLE | IBus.Capabilite.PROPERTY
    )
    context.focus_in()


def rest(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        while loop.iteration(False):
            pass
        time.sleep(0.005)


for line in sys.stdin:
    name, *arguments = json.loads(line)
    if name == "begin":
        begin(*arguments)
    elif name == "content":
        context.set_content_type(*arguments)
    elif name == "leave":
        context.focus_out()
    elif name == "property":
        context.property_activate(*arguments)
    elif name == "type":
        text, seconds = arguments
        times = []
        for character in text:
            key = IBus.unicode_to_keyval(character)
            began = time.perf_counter()
            found["handled"] = context.process_key_event(key, 0, 0)
            times.append(time.perf_counter() - began)
            if not found["handled"]:
                found["committed"] += character
            rest(seconds)
        found["seconds"] = times
    elif name == "key":
        found["handled"] = context.process_key_event(IBus.keyval_from_name(arguments[0]), 0, 0)
    rest(0.3)
    print(json.dumps(found), flush=True)
