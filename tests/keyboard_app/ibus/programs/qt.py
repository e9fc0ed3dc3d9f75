"""The window of gtk.py in Qt 6; run by Debian's Python. qt.py FILE."""

import json
import sys
from pathlib import Path

from PyQt6.QtWidgets import QApplication, QLineEdit, QPlainTextEdit, QVBoxLayout, QWidget

out = Path(sys.argv[1])
application = QApplication([])
window = QWidget()
window.setWindowTitle("fedkey test")
field, password, text = QLineEdit(), QLineEdit(), QPlainTextEdit()
password.setEchoMode(QLineEdit.EchoMode.Password)
text.setTabChangesFocus(True)
layout = QVBoxLayout(window)


def write(*_):
    content = json.dumps({"field": field.text(), "password": password.text(), "text": text.toPlainText()})
    out.with_suffix(".new").write_text(content)
    out.with_suffix(".new").replace(out)


for widget in (field, password, text):
    layout.addWidget(widget)
    widget.textChanged.connect(write)
write()
window.resize(400, 300)
window.show()
field.setFocus()
application.exec()
