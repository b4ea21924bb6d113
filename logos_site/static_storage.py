"""Static files under names that change with their content, compressed with gzip only."""

from __future__ import annotations

from typing import Any

from whitenoise.compress import Compressor
from whitenoise.storage import CompressedManifestStaticFilesStorage


class StaticStorage(CompressedManifestStaticFilesStorage):
    """WhiteNoise's storage without brotli, which takes 20 s of a first start to save a few kilobytes at home."""

    def stored_name(self, name: str) -> str:
        """The hashed name; the plain one while nothing is collected. A page without its stylesheet can still be read,
        and the page that tells of an error must not fail as well."""
        try:
            return super().stored_name(name)
        except ValueError:
            return name

    def create_compressor(self, **options: Any) -> Compressor:
        return Compressor(use_brotli=False, **options)
