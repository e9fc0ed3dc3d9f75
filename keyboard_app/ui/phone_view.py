"""One phone on the screen: the bar that says what is going on, and below it the keyboard or a page."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from kivy.clock import Clock
from kivy.metrics import Metrics, dp
from kivy.uix.anchorlayout import AnchorLayout
from kivy.uix.boxlayout import BoxLayout
from kivy.uix.floatlayout import FloatLayout
from kivy.uix.widget import Widget

from keyboard_app.editor.editor import Slot
from keyboard_app.editor.keys import Board
from keyboard_app.first_minute import FirstMinute
from keyboard_app.phone import Phone
from keyboard_app.ui.edit_bar import Clipboard
from keyboard_app.ui.entry_screen import EntryScreen, Question
from keyboard_app.ui.pages import PAGES, build
from keyboard_app.ui.theme import Colour, Palette, palette_of
from keyboard_app.ui.typing_screen import TypingScreen
from keyboard_app.ui.widgets import Icon, PushButton, Scrolled, Sheet, Text, Touchable, ground
from model.suggestions import Autocorrection

_MOST_COPIED = 6
_LOOK_SECONDS = 1.0  # whether the phone is idle changes without anybody saying so

TYPING, CONSENT, MENU = "typing", "consent", "menu"


class PhoneView(FloatLayout):
    """A `Screen`: what it shows follows what `phone` says, whenever that changes.

    Args:
        phone: what is shown; this listens to it.
        clipboard: for what is cut, copied and pasted.
    """

    def __init__(self, phone: Phone, clipboard: Clipboard, **options: Any) -> None:
        super().__init__(**options)
        self.phone, self._clipboard = phone, clipboard
        self.screen = ""
        self.typing: TypingScreen | None = None
        self.sheet: Sheet | None = None
        self.entry: EntryScreen | None = None
        self._question: Question | None = None
        self._page: Scrolled | None = None
        self._minute: FirstMinute | None = None
        self._seen: object = None
        self._refresh_soon = Clock.create_trigger(lambda _: self.refresh())
        phone.listen(self._refresh_soon)
        Clock.schedule_interval(self._look, _LOOK_SECONDS)
        self.show(CONSENT if phone.status().consent is None else TYPING)

    def _look(self, _: float) -> bool:
        """Look whether something changed; for as long as the phone is in a window."""
        self.refresh()
        return self.get_root_window() is not None

    @property
    def palette(self) -> Palette:
        """The colours chosen in the settings."""
        return palette_of(self.phone.settings)

    def show(self, screen: str) -> None:
        """Go to a screen: `typing`, or a page by its name."""
        self.screen, self._question = screen, None
        self.close_sheet()
        self._build()

    def start_typing(self) -> None:
        """Go to the keyboard for the first time, with what there is to try."""
        settings = self.phone.settings
        predicts = settings.suggestions and settings.autocorrection != Autocorrection.OFF.value
        self._minute = FirstMinute(predicts=predicts and bool(self.phone.status().models))
        self.show(TYPING)

    def back(self) -> None:
        """Close the question, or go where one came from; the first question of all stays."""
        if self.sheet is not None:
            self.close_sheet()
        elif self._question is not None:
            self.show(self.screen)
        elif self.screen not in {TYPING, CONSENT} or self.phone.status().consent is not None:
            self.show(TYPING if self.screen in {TYPING, MENU} else MENU)

    def refresh(self) -> None:
        """Show what changed. Typing paints only the words; a page is built again where it was scrolled to."""
        if self.typing is not None:
            self.typing.refresh()
            if self._minute is not None:
                self._minute.follow(self.phone.session.state)
        if self._question is None and self._state_of_screen() != self._seen:
            self._build(scroll=self._page.scroll_y if self._page else 1)

    def act(self, do: Callable[..., object], *arguments: Any, **named: Any) -> Callable[[], None]:
        """Return what does something with the phone and then shows what came of it."""

        def acted() -> None:
            do(*arguments, **named)
            self.close_sheet()
            self.refresh()

        return acted

    def go(self, screen: str) -> Callable[[], None]:
        """Return what goes to a screen."""
        return lambda: self.show(screen)

    def ask(self, title: str, *widgets: Widget) -> None:
        """Show a question over everything else."""
        self.close_sheet()
        self.sheet = Sheet(self.palette, self.close_sheet, title, *widgets)
        self.add_widget(self.sheet)

    def confirm(self, title: str, detail: str, button: str, do: Callable[[], object]) -> None:
        """Ask before something that cannot be taken back."""
        palette = self.palette
        self.ask(
            title,
            Text(detail, palette.muted),
            PushButton(button, self.act(do), palette, "bad"),
            PushButton("Keep everything as it is", self.close_sheet, palette),
        )

    def enter(self, question: Question) -> None:
        """Ask for something to be typed; going back leaves it."""
        self._question = question
        self.close_sheet()
        self._build()

    def say_where(self, title: str, write: Callable[[], Path], sentence: str) -> None:
        """Write a file and say where it is, or why it could not be written."""
        try:
            said = sentence.format(write())
        except OSError as error:
            title, said = "Not written", f"The file cannot be written: {error.strerror}."
        ok = PushButton("Good", self.close_sheet, self.palette, "primary")
        self.ask(title, Text(said, self.palette.on_surface), ok)

    def close_sheet(self) -> None:
        """Take the question away."""
        if self.sheet is not None:
            self.remove_widget(self.sheet)
            self.sheet = None

    def _state_of_screen(self) -> object:
        """Return what must change for the screen to be built again."""
        status, state = self.phone.status(), self.phone.session.state
        settings = self.phone.settings
        look = (settings.theme, settings.contrast, settings.text_scale)
        minute = self._minute.text if self._minute is not None else ""
        bar = (look, status.consent, state.incognito, state.field, status.problem, minute)
        return bar if self.screen == TYPING else (bar, self.phone.settings, status)

    def _build(self, scroll: float = 1) -> None:
        self._seen = self._state_of_screen()
        Metrics.fontscale = self.phone.settings.text_scale  # of all that is built from now on
        self.clear_widgets()
        self.canvas.before.clear()
        palette = self.palette
        ground(self, palette.background)
        column = BoxLayout(orientation="vertical", pos_hint={"x": 0, "y": 0})
        self.typing = self.entry = self._page = None
        for bar in self._bars(palette):
            column.add_widget(bar)
        if self._question is not None:
            board = Board(self.phone.session.layout, self.phone.settings.number_row)
            self.entry = EntryScreen(self._question, palette, board, self._clipboard)
            column.add_widget(self.entry)
        elif self.screen == TYPING:
            self.typing = TypingScreen(self.phone, palette, self._about, self._recent, self._clipboard)
            column.add_widget(self.typing)
        else:
            self._page = Scrolled(build(self.screen, self), palette)
            self._page.scroll_y = scroll
            column.add_widget(self._page)
        self.add_widget(column)
        if self.sheet is not None:
            self.add_widget(self.sheet)

    def _bars(self, palette: Palette) -> list[Widget]:
        """Return the bar with the title, and those that say something special."""
        status, state = self.phone.status(), self.phone.session.state
        bars: list[Widget] = [self._title_bar(palette)]
        if status.consent:
            stop = self.act(self.phone.agree, consent=False)
            bars.append(_Banner("Contributing to the shared model", "Stop", stop, palette, "contributing"))
        if state.incognito:
            turn_off = self.act(self.phone.go_incognito, on=False)
            bars.append(_Banner("Incognito: nothing is learned", "Leave", turn_off, palette, "incognito"))
        if status.problem:
            bars.append(_Banner(status.problem, "", lambda: None, palette, "bad"))
        if self._minute is not None and self._minute.text and self.screen == TYPING and self._question is None:
            button = "Done" if self._minute.is_last else "Next"
            bars.append(_Banner(self._minute.text, button, self.act(self._minute.next), palette, "primary"))
        return bars

    def _title_bar(self, palette: Palette) -> Widget:
        bar = BoxLayout(size_hint_y=None, height=dp(52), padding=(dp(4), 0, dp(10), 0), spacing=dp(4))
        ground(bar, palette.surface)
        at_home, first = self.screen == TYPING, self.screen == CONSENT and self.phone.status().consent is None
        if self._question is not None:
            bar.add_widget(Icon("←", self.back, palette.on_surface, "back"))
        elif at_home:
            bar.add_widget(Icon("☰", self.go(MENU), palette.on_surface, "menu"))
        elif first:
            bar.add_widget(Widget(size_hint_x=None, width=dp(8)))
        else:
            bar.add_widget(Icon("←", self.back, palette.on_surface, "back"))
        title = self.phone.status().profile if at_home else PAGES[self.screen].title
        if self._question is not None:
            at_home, title = False, self._question.title
        bar.add_widget(Text(title, palette.on_surface, size=19, bold=True, one_line=True, pos_hint={"center_y": 0.5}))
        if at_home:
            bar.add_widget(Icon("↶", self.act(self.phone.session.undo), palette.on_surface, "undo"))
            bar.add_widget(Icon("↷", self.act(self.phone.session.redo), palette.on_surface, "redo"))
        if at_home and not self.phone.session.state.incognito:
            chip = Touchable(self.act(self.phone.go_incognito, on=True), size_hint=(None, None), size=(dp(92), dp(48)))
            face = AnchorLayout(size_hint=(None, None), size=(dp(92), dp(32)))
            ground(face, palette.surface, radius=16, border=palette.outline)
            face.add_widget(Text("Incognito", palette.muted, size=13, halign="center"))
            chip.name = "incognito"
            chip.pos_hint = {"center_y": 0.5}
            chip.add_widget(face)
            bar.add_widget(chip)
        return bar

    def _recent(self) -> None:
        """Offer what was copied lately."""
        palette, session = self.palette, self.phone.session
        entries = [
            PushButton(" ".join(text.split()), self.act(session.paste, text), palette)
            for text in session.clipboard.entries
        ]
        forget = PushButton("Forget all", self.act(session.clipboard.clear), palette, "bad")
        said = Text("Kept in memory for an hour, never from passwords or incognito.", palette.muted, size=13)
        self.ask("Copied lately", said, *entries[:_MOST_COPIED], forget)

    def _about(self, slot: Slot) -> None:
        """Say why a word is on the strip, and offer to get rid of it."""
        palette, phone = self.palette, self.phone
        self.ask(
            f"“{slot.text}”",
            Text(phone.session.why(slot), palette.on_surface),
            PushButton("Forget what was learned of it", self.act(phone.forget, slot.text), palette),
            PushButton("Never suggest it", self.act(phone.never_suggest, slot.text), palette),
        )


class _Banner(BoxLayout):
    """A coloured line that cannot be missed, with something to do about it."""

    def __init__(self, text: str, button: str, action: Callable[[], object], palette: Palette, role: str) -> None:
        super().__init__(size_hint_y=None, padding=(dp(16), 0, dp(8), 0), spacing=dp(8))
        self.role, self.text = role, text
        on: Colour = getattr(palette, f"on_{role}")
        ground(self, getattr(palette, role))
        words = Text(text, on, size=14, bold=True, pos_hint={"center_y": 0.5})
        self.add_widget(words)
        self.height = dp(44)
        words.bind(height=lambda _, height: setattr(self, "height", max(dp(44), height + dp(12))))
        if button:
            touch = Touchable(action, size_hint=(None, 1), width=dp(72))
            touch.name = f"{button.lower()} {role}"
            face = AnchorLayout(size_hint=(None, None), size=(dp(68), dp(30)))
            ground(face, getattr(palette, role), radius=15, border=on)
            face.add_widget(Text(button, on, size=14, bold=True, halign="center"))
            touch.add_widget(face)
            self.add_widget(touch)
