"""Typed readers for LOGOS_* variables; each read registers its name and meaning, so that docs can be compared with code."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


class ConfigurationError(Exception):
    """A setting is wrong or the state directory is unusable; the text is one sentence with the fix."""


@dataclass(frozen=True, slots=True)
class Variable:
    """One documented LOGOS_* variable."""

    name: str
    default: str
    help: str


REGISTRY: dict[str, Variable] = {}
# (word, what stands in its place) of a family of variables that is documented once.
_sample = ("", "")


@contextmanager
def sample(word: str, instead: str) -> Iterator[None]:
    """Variables read inside are documented with ``word`` where they have ``instead``."""
    global _sample
    before, _sample = _sample, (word, instead)
    try:
        yield
    finally:
        _sample = before


def _read(name: str, default: str, help: str) -> str:
    word, instead = _sample
    shown = name.replace(f"_{instead}_", f"_{word}_", 1) if word else name
    REGISTRY[shown] = Variable(shown, default, help)
    if path := os.environ.get(f"{name}_FILE"):
        try:
            return Path(path).read_text().strip()
        except OSError as error:
            raise ConfigurationError(f"{name}_FILE cannot be read: {error.strerror}.") from error
    return os.environ.get(name, default)


def text(name: str, default: str, help: str) -> str:
    """The variable, or the content of the file that NAME_FILE names, or the default."""
    return _read(name, default, help)


def flag(name: str, default: bool, help: str) -> bool:
    """1, true, yes and on are True; 0, false, no, off and empty are False; anything else is refused."""
    value = _read(name, "1" if default else "0", help).strip().lower()
    if value in {"1", "true", "yes", "on"}:
        return True
    if value in {"0", "false", "no", "off", ""}:
        return False
    raise ConfigurationError(f"{name} must be 1 or 0, not {value!r}.")


def number(name: str, default: int, help: str) -> int:
    """A whole number."""
    value = _read(name, str(default), help)
    try:
        return int(value)
    except ValueError as error:
        raise ConfigurationError(f"{name} must be a whole number, not {value!r}.") from error


def words(name: str, default: str, help: str, among: tuple[str, ...] = ()) -> list[str]:
    """A list separated by commas; empty entries are dropped. With ``among``, any other word is refused."""
    found = [part.strip() for part in _read(name, default, help).split(",") if part.strip()]
    if among and (unknown := set(found) - set(among)):
        raise ConfigurationError(f"{name} knows {', '.join(among)}, not {sorted(unknown)[0]!r}.")
    return found


def numbers(name: str, default: str, help: str, among: tuple[str, ...]) -> dict[str, int]:
    """Whole numbers by word, as in ``user=3,operator=10``; any word not in ``among`` is refused."""
    found = {}
    for part in words(name, default, help):
        word, _, value = (piece.strip() for piece in part.partition("="))
        if word not in among or not (value.isascii() and value.isdigit()):
            raise ConfigurationError(f"{name} must look like {among[-1]}=3, with one of {', '.join(among)}.")
        found[word] = int(value)
    return found


def choice(name: str, default: str, help: str, among: tuple[str, ...]) -> str:
    """One word of ``among``; any other is refused."""
    value = _read(name, default, help).strip().lower()
    if value not in among:
        raise ConfigurationError(f"{name} must be one of {', '.join(among)}, not {value!r}.")
    return value


def state_directory(name: str, help: str) -> Path:
    """The directory that holds everything Logos keeps. Made if absent; refused if it cannot be written.

    As root the default lies outside /root, because sandboxes run under other users who must be able
    to walk to their own directory.
    """
    default = "/var/lib/logos" if os.getuid() == 0 else str(Path.home() / ".logos")
    path = Path(_read(name, default, help)).expanduser().absolute()
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o755 if os.getuid() == 0 else 0o700)
    except OSError as error:
        raise ConfigurationError(
            f"the state directory {path} cannot be made ({error.strerror}); set LOGOS_HOME to a directory you may write."
        ) from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise ConfigurationError(
            f"the state directory {path} is not writable; set LOGOS_HOME to a directory you may write, or fix its owner."
        )
    return path


def secret(name: str, directory: Path, help: str, make: Callable[[], str] | None = None) -> str:
    """The variable if set, else a file of that name below ``directory``, made once with mode 0600."""
    if value := _read(name, "", help):
        return value
    path = directory / name.removeprefix("LOGOS_").lower()
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        return _read_or_make(path, make or (lambda: secrets.token_urlsafe(48)))
    except OSError as error:
        raise ConfigurationError(f"the secret {path} cannot be read or made: {error.strerror}.") from error


def _read_or_make(path: Path, make: Callable[[], str]) -> str:
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    if not path.exists():
        # Written aside and linked, so that two processes starting at once agree on one secret.
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(make())
        try:
            os.link(partial, path)
        except FileExistsError:
            pass
        finally:
            partial.unlink()
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigurationError(f"{path} can be read by others; run: chmod 600 {path}")
    return path.read_text().strip()
