"""The table of methods: what every part of the project reads the scores' names and negatives from."""

import subprocess
import sys

import pytest

from negrefine_core import methods
from negrefine_core.errors import NegRefineError


def test_no_two_methods_share_a_column_or_a_name() -> None:
    for values in ([row.column for row in methods.METHODS], [row.name for row in methods.METHODS]):
        assert len(set(values)) == len(values)


def test_the_table_is_read_without_torch() -> None:
    code = "import sys, negrefine_core.methods; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_scores_are_on_offer_where_every_table_has_them() -> None:
    offered = methods.offered({"csp", "mcm", "path"}, {"mcm", "csp", "negrefine"})
    assert [row.column for row in offered] == ["csp", "mcm"]
    assert [row.column for row in methods.measured({"mcm", "neglabel", "csp"})] == ["mcm", "csp"]


def test_an_unknown_column_names_the_known_ones() -> None:
    with pytest.raises(NegRefineError, match="no score 'odin'; there are mcm, "):
        methods.method("odin")
