"""What somebody uploads lies nowhere under a name before a view has taken it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import RequestFactory

LARGE = b"0123456789abcdef" * (3 * 1024 * 1024 // 16)


def test_a_large_upload_has_no_name_on_the_disk_and_arrives_whole(tmp_path: Path, settings: Any) -> None:
    settings.FILE_UPLOAD_TEMP_DIR = str(tmp_path)
    request = RequestFactory().post("/", {"file": SimpleUploadedFile("ünïcode.bin", LARGE), "name": "kept"})

    file: Any = request.FILES["file"]

    assert list(tmp_path.iterdir()) == [], "a killed process would leave it there"
    assert (file.name, file.size, request.POST["name"]) == ("ünïcode.bin", len(LARGE), "kept")
    assert b"".join(file.chunks()) == LARGE


def test_a_small_one_stays_in_memory(tmp_path: Path, settings: Any) -> None:
    settings.FILE_UPLOAD_TEMP_DIR = str(tmp_path)
    request = RequestFactory().post("/", {"file": SimpleUploadedFile("small", b"one")})

    file: Any = request.FILES["file"]
    assert file.read() == b"one"


def test_one_that_breaks_off_breaks_nothing(tmp_path: Path, settings: Any) -> None:
    settings.FILE_UPLOAD_TEMP_DIR = str(tmp_path)
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    request = RequestFactory().generic("POST", "/", head + LARGE, "multipart/form-data; boundary=x")

    assert len(request.FILES) <= 1
    assert list(tmp_path.iterdir()) == []
