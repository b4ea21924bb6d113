"""Fields of forms that are lists or tables: one a line, as people write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms

PLAIN = {"spellcheck": "false", "autocapitalize": "none", "class": "mono"}


class _Text(forms.CharField):
    """A text that stands for something else. What nobody has touched is as it was stored, whatever its spelling."""

    def __init__(self, *, rows: int = 3, **more: Any) -> None:
        widget = forms.Textarea(attrs={"rows": rows, **PLAIN})
        super().__init__(required=False, max_length=140_000, widget=widget, **more)

    def prepare_value(self, value: Any) -> Any:
        return value if isinstance(value, str) or value is None else self.written(value)

    def has_changed(self, initial: Any, data: Any) -> bool:
        return not self.disabled and _plain(self.prepare_value(initial) or "") != _plain(data or "")

    @staticmethod
    def written(value: Any) -> str:
        """``value`` as the form shows it."""
        return str(value)


class Lines(_Text):
    """A list of texts, one a line; empty lines mean nothing."""

    def to_python(self, value: Any) -> Any:
        if isinstance(value, list):  # of a field that is fixed
            return value
        return [line.strip() for line in (super().to_python(value) or "").splitlines() if line.strip()]

    def validate(self, value: Any) -> None:
        """Nothing: the story that takes the list knows what may stand in it."""

    def run_validators(self, value: Any) -> None:
        super().run_validators("\n".join(value))

    @staticmethod
    def written(value: Sequence[str]) -> str:
        return "\n".join(value)


class Pairs(_Text):
    """Names and values, one pair a line, with ``sign`` between them."""

    def __init__(self, *, sign: str = "=", also: str = "", **more: Any) -> None:
        self.sign, self.signs = sign, sign + also
        super().__init__(**more)

    def to_python(self, value: Any) -> Any:
        if isinstance(value, Mapping):  # of a field that is fixed
            return dict(value)
        found: dict[str, str] = {}
        for line in (super().to_python(value) or "").splitlines():
            if not line.strip():
                continue
            at = min((line.index(sign) for sign in self.signs if sign in line), default=-1)
            name = line[:at].strip() if at >= 0 else ""
            if not name:
                raise forms.ValidationError(f"Write {line.strip()[:60]} as NAME{self._between}VALUE.")
            if name in found:
                raise forms.ValidationError(f"{name[:60]} stands twice.")
            found[name] = line[at + 1 :].strip()
        return found

    def validate(self, value: Any) -> None:
        """Nothing: the story that takes the table knows what may stand in it."""

    def run_validators(self, value: Any) -> None:
        super().run_validators(self.prepare_value(value))

    def prepare_value(self, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        return "\n".join(f"{name}{self._between}{each}" for name, each in value.items())

    @property
    def _between(self) -> str:
        return f"{self.sign} " if self.sign == ":" else self.sign


def _plain(text: str) -> str:
    return text.replace("\r\n", "\n").strip()
