"""Static files that were not collected: pages are plain, and stay pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from logos_site.static_storage import StaticStorage


def test_without_collected_files_names_stay_plain(settings: Any, tmp_path: Path) -> None:
    settings.DEBUG = False
    storage = StaticStorage(location=str(tmp_path), base_url="/static/")

    assert storage.url("css/app.css") == "/static/css/app.css"


def test_collected_files_have_names_that_change_with_their_content(settings: Any, tmp_path: Path) -> None:
    settings.DEBUG = False
    (tmp_path / "css").mkdir()
    (tmp_path / "css" / "app.css").write_text("body {}")
    storage = StaticStorage(location=str(tmp_path), base_url="/static/")
    before = storage.url("css/app.css")
    (tmp_path / "css" / "app.css").write_text("body { color: red }")

    after = StaticStorage(location=str(tmp_path), base_url="/static/").url("css/app.css")

    assert before != after != "/static/css/app.css"
    with pytest.raises(ValueError, match="could not be found"):
        storage.hashed_name("css/none.css")
