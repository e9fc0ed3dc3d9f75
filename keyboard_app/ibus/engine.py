"""The keyboard as IBus sees it: key presses in, text and candidates out, and switches in the panel's menu."""

from collections.abc import Callable
from typing import Any

from keyboard_app.editor.editor import FieldKind
from keyboard_app.ibus.bindings import load
from keyboard_app.ibus.field import Field, Told
from keyboard_app.phone import Phone

IBus, GLib = load()

_MODIFIED = (
    IBus.ModifierType.CONTROL_MASK
    | IBus.ModifierType.MOD1_MASK
    | IBus.ModifierType.MOD4_MASK
    | IBus.ModifierType.SUPER_MASK
    | IBus.ModifierType.HYPER_MASK
    | IBus.ModifierType.META_MASK
)
_ENTER = frozenset({IBus.KEY_Return, IBus.KEY_KP_Enter, IBus.KEY_ISO_Enter})
_MODIFIERS = frozenset(range(IBus.KEY_Shift_L, IBus.KEY_Hyper_R + 1)) | {
    IBus.KEY_ISO_Level3_Shift,
    IBus.KEY_ISO_Level5_Shift,
    IBus.KEY_Num_Lock,
}
_CHOOSE = {IBus.KEY_1: 0, IBus.KEY_2: 1, IBus.KEY_3: 2}  # with alt
_KINDS = {
    IBus.InputPurpose.FREE_FORM: FieldKind.ORDINARY,
    IBus.InputPurpose.ALPHA: FieldKind.ORDINARY,
    IBus.InputPurpose.NAME: FieldKind.NO_LEARNING,
}
"""Of all other purposes (passwords, PINs, terminals, numbers, addresses) a field is silent."""

_TELL_NO_PURPOSE = "xim"  # clients of the old protocol cannot say that a field is a password's
_QT = "QIBusInputContext"
_NO_FIELD = "fake"  # what IBus focuses when nothing is

CONSENT, INCOGNITO, LEAVES, SETTINGS = "consent", "incognito", "leaves", "settings"


class Engine(IBus.Engine):  # type: ignore[name-defined]
    """The keyboard in one input context after the other.

    Args:
        connection: to IBus.
        path: of this object on it.
        phone: returns what is typed on; None while it is elsewhere.
        open_page: opens one of the application's screens.
    """

    __gtype_name__ = "FedkeyEngine"

    def __init__(
        self, connection: Any, path: str, phone: Callable[[], Phone | None], open_page: Callable[[str], None]
    ) -> None:
        super().__init__(connection=connection, object_path=path, has_focus_id=True)
        self._phone, self._open_page = phone, open_page
        self._typed_on: Phone | None = None
        self._field: Field | None = None
        self._purpose, self._hints = IBus.InputPurpose.FREE_FORM, 0
        self._client = _NO_FIELD
        self._deletes = False
        self._shown = False
        self._listed: tuple[list[str], bool] | None = None  # words in the lookup table, and whether one is marked
        self._table = IBus.LookupTable.new(3, 0, True, True)  # noqa: FBT003
        self._table.set_orientation(IBus.Orientation.HORIZONTAL)
        self._switches = {
            CONSENT: _property(CONSENT, "Learn from what I type", IBus.PropType.TOGGLE),
            INCOGNITO: _property(INCOGNITO, "Incognito", IBus.PropType.TOGGLE),
        }
        self._properties = IBus.PropList()
        for each in self._switches.values():
            self._properties.append(each)
        self._properties.append(_property(LEAVES, "What leaves this phone…", IBus.PropType.NORMAL))
        self._properties.append(_property(SETTINGS, "Settings…", IBus.PropType.NORMAL))

    def refresh(self) -> None:
        """Show what the phone says now."""
        self._show_candidates()
        phone = self._phone()
        if phone is not None and self._client != _NO_FIELD:
            self._set_switch(CONSENT, on=phone.settings.consent is True)
            self._set_switch(INCOGNITO, on=phone.settings.incognito)

    def leave(self) -> None:
        """Finish what was typed; the phone goes elsewhere."""
        if self._field is not None:
            self._apply(self._field.finish())
        self._field = self._typed_on = None
        self._show_candidates()

    # What IBus calls.

    def do_focus_in_id(self, _: str, client: str) -> None:
        """Begin with another field. Of what kind it is it says before its first key, or has said before."""
        self._client, self._listed = client, None  # what another field showed is gone
        if self._field is not None:
            self._field.enter()
        self.register_properties(self._properties)
        self.get_surrounding_text()  # asks for it
        self.refresh()

    def do_focus_out_id(self, _: str) -> None:
        """Finish what was typed; what was not committed IBus commits."""
        if self._field is not None:
            self._field.enter()
        self._client, self._shown = _NO_FIELD, False
        self._show_candidates()

    def do_set_content_type(self, purpose: int, hints: int) -> None:
        """Learn what the field is for."""
        self._purpose, self._hints = purpose, hints
        if self._field is not None and self._kind is None:
            self._apply(self._field.becomes(None))
            self._show_candidates()

    def do_set_capabilities(self, capabilities: int) -> None:
        """Learn what the application can do."""
        self._deletes = bool(capabilities & IBus.Capabilite.SURROUNDING_TEXT)
        if self._field is not None:
            self._field.can_delete(able=self._deletes)

    def do_set_surrounding_text(self, text: Any, cursor: int, anchor: int) -> None:
        """Learn what stands around the cursor, or around what is selected."""
        if self._field is not None and self._kind is not None:
            whole = text.get_text()
            self._field.stands_around(whole[: min(cursor, anchor)], whole[max(cursor, anchor) :])

    def do_reset(self) -> None:
        """Learn that the application began anew."""
        if self._field is not None:
            self._field.was_reset()
        self._shown, self._listed = False, None
        self._show_candidates()

    def do_enable(self) -> None:
        """Ask what stands around the cursor."""
        self.get_surrounding_text()

    def do_disable(self) -> None:
        """Finish what was typed: another input method takes over."""
        self.leave()

    def do_process_key_event(self, key: int, _: int, state: int) -> bool:
        """Take a key, or leave it to the application."""
        if state & IBus.ModifierType.RELEASE_MASK or key in _MODIFIERS:
            return False
        field = self._here()
        if field is None:
            return False
        self._apply(field.becomes(self._kind))
        if self._kind is None:
            return False
        told = self._pressed(field, key, state)
        self._apply(told)
        GLib.idle_add(self._show_candidates)  # once the application has its answer
        return told.handled

    def do_candidate_clicked(self, index: int, _: int, __: int) -> None:
        """Take a word of the strip."""
        self._choose(index)

    def do_property_activate(self, name: str, state: int) -> None:
        """Do what was chosen from the panel's menu."""
        phone = self._phone()
        if name in {LEAVES, SETTINGS}:
            self._open_page(name)
        elif phone is not None and name == CONSENT:
            phone.agree(state == IBus.PropState.CHECKED)
        elif phone is not None and name == INCOGNITO:
            phone.go_incognito(on=state == IBus.PropState.CHECKED)

    # What those share.

    @property
    def _kind(self) -> FieldKind | None:
        """Of what kind the field is; None is silent."""
        told = self._client != _NO_FIELD and not self._client.startswith(_TELL_NO_PURPOSE)
        private = self._hints & IBus.InputHints.PRIVATE
        return _KINDS.get(self._purpose) if told and not private else None

    def _here(self) -> Field | None:
        """Return the field, on the phone that there is now."""
        phone = self._phone()
        if phone is not self._typed_on:
            self._typed_on = phone
            self._field = Field(phone.session) if phone is not None else None
            if self._field is not None:
                self._field.can_delete(able=self._deletes)
        return self._field

    def _pressed(self, field: Field, key: int, state: int) -> Told:
        if state & _MODIFIED:
            if state & IBus.ModifierType.MOD1_MASK and key in _CHOOSE:
                return field.choose(_CHOOSE[key])
            return field.other()
        if key in _ENTER:
            return field.finish()
        if key == IBus.KEY_BackSpace:
            return field.backspace()
        character = IBus.keyval_to_unicode(key)
        if character and character.isprintable():
            return field.character(character)
        return field.other()

    def _choose(self, index: int) -> None:
        field = self._here()
        if field is not None and index < len(field.candidates):
            self._apply(field.accept(field.candidates[index][0]))
            self._show_candidates()

    def _apply(self, told: Told) -> None:
        """Tell the application."""
        if told.delete:
            self.delete_surrounding_text(-told.delete, told.delete)
        if told.commit:
            self.commit_text(IBus.Text.new_from_string(told.commit))
        if told.preedit or self._shown:
            text = IBus.Text.new_from_string(told.preedit)
            length = len(told.preedit)
            text.append_attribute(IBus.AttrType.UNDERLINE, IBus.AttrUnderline.SINGLE, 0, length)
            self._shown = bool(told.preedit)
            # An application that loses the focus keeps what is shown there: Qt sees to that by itself.
            mode = IBus.PreeditFocusMode.CLEAR if self._client == _QT else IBus.PreeditFocusMode.COMMIT
            self.update_preedit_text_with_mode(text, length, self._shown, mode)

    def _show_candidates(self) -> bool:
        candidates = self._field.candidates if self._field is not None and self._kind is not None else []
        # A word that a space would put in place of the typed one is marked.
        shown = [slot.text for _, slot in candidates], any(slot.suggestion is None for _, slot in candidates)
        if shown != self._listed:
            self._listed = shown
            self._table.clear()
            for text in shown[0]:
                self._table.append_candidate(IBus.Text.new_from_string(text))
            self._table.set_cursor_visible(shown[1])
            self.update_lookup_table(self._table, bool(candidates))
        return bool(GLib.SOURCE_REMOVE)

    def _set_switch(self, name: str, *, on: bool) -> None:
        switch = self._switches[name]
        state = IBus.PropState.CHECKED if on else IBus.PropState.UNCHECKED
        if switch.get_state() != state:
            switch.set_state(state)
            self.update_property(switch)


def _property(name: str, label: str, kind: Any) -> Any:
    return IBus.Property(
        key=name,
        prop_type=kind,
        label=IBus.Text.new_from_string(label),
        tooltip=IBus.Text.new_from_string(label),
        sensitive=True,
        visible=True,
        state=IBus.PropState.UNCHECKED,
    )
