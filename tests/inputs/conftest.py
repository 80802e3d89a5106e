"""The depth of the tests that make their inputs up."""

import os

from hypothesis import HealthCheck, settings

CALM = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]}
settings.register_profile("ci", settings(max_examples=60, derandomize=True, database=None, **CALM))  # no clock, no dice
settings.register_profile("deep", settings(max_examples=2_000, database=None, **CALM))
settings.load_profile(os.environ.get("NEGREFINE_INPUTS", "ci"))
