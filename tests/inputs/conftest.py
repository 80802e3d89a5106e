"""The browser that the app's tests use, and the depth of the tests that make their inputs up."""

import os

from hypothesis import HealthCheck, settings

from tests.app.conftest import browser as browser
from tests.app.conftest import pytest_collection_modifyitems as pytest_collection_modifyitems

CALM = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]}
settings.register_profile("ci", settings(max_examples=60, derandomize=True, database=None, **CALM))  # no clock, no dice
settings.register_profile("deep", settings(max_examples=2_000, database=None, **CALM))
settings.load_profile(os.environ.get("NEGREFINE_INPUTS", "ci"))
