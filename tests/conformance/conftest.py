import pytest

# A suite to inherit from is no test module by its name.
pytest.register_assert_rewrite("ledger_suite")
