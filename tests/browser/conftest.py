from __future__ import annotations

import os
import shutil

import pytest

CHROMIUM = shutil.which("chromium")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without Chromium these tests are skipped, unless nothing may be."""
    if CHROMIUM or os.environ.get("PENSTOCK_TESTS_COMPLETE") == "1":
        return
    for item in items:
        if item.get_closest_marker("chromium"):
            item.add_marker(pytest.mark.skip(reason="Chromium is not installed"))
