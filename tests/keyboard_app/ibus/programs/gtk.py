"""A window with a text field, a password field and a longer text, in the GTK of a version; run by Debian's Python.

gtk.py VERSION FILE: after every change, what they contain is in the file, as JSON.
"""

import json
import sys
from pathlib import Path

import gi

version, out = sys.argv[1], Path(sys.argv[2])
gi.require_version("Gtk", version)
from gi.repository import Gtk  # noqa: E402

field, password, text = Gtk.Entry(), Gtk.Entry(), Gtk.TextView()
password.set_visibility(False)
password.set_input_purpose(Gtk.InputPurpose.PASSWORD)
box = Gtk.Box(orientation=Gtk.Orientation.VERTICAL)


def write(*_):
    buffer = text.get_buffer()
    whole = buffer.get_text(buffer.get_start_iter(), buffer.get_end_iter(), False)
    content = json.dumps({"field": field.get_text(), "password": password.get_text(), "text": whole})
    out.with_suffix(".new").write_text(content)
    out.with_suffix(".new").replace(out)


for source in (field, password, text.get_buffer()):
    source.connect("changed", write)
for widget in (field, password, text):
    widget.set_vexpand(True)
    if version == "3.0":
        box.pack_start(widget, True, True, 5)
    else:
        box.append(widget)
write()
if version == "3.0":
    window = Gtk.Window(title="fedkey test")
    window.add(box)
    window.set_default_size(400, 300)
    window.show_all()
    field.grab_focus()
    Gtk.main()
else:
    application = Gtk.Application()

    def activate(_):
        window = Gtk.ApplicationWindow(application=application, title="fedkey test")
        window.set_child(box)
        window.set_default_size(400, 300)
        window.present()
        field.grab_focus()

    application.connect("activate", activate)
    application.run([])
