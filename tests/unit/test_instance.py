"""Names of like processes: nobody shares one, and whoever comes back has the one he had."""

import pytest

from service.instance import instance
from service.lifecycle import StartProblem

INGEST = frozenset({"ingest"})
WEB = frozenset({"web", "settle"})


def test_like_processes_differ_and_a_name_comes_back(tmp_path):
    with instance(tmp_path, INGEST) as first:
        with instance(tmp_path, INGEST) as second, instance(tmp_path, INGEST) as third:
            assert len({first, second, third}) == 3
        with instance(tmp_path, INGEST) as again:
            assert again == second
    with instance(tmp_path, INGEST) as back:
        assert back == first


def test_other_roles_and_other_folders(tmp_path):
    with (
        instance(tmp_path / "a", INGEST) as ingest,
        instance(tmp_path / "a", WEB) as web,
        instance(tmp_path / "b", INGEST) as elsewhere,
    ):
        assert ingest == web  # the roles stand in the client id as well
        assert elsewhere != ingest


def test_a_chosen_name_is_kept_and_taken_once(tmp_path):
    with instance(tmp_path, INGEST, "left") as name:
        assert name == "left"
        with pytest.raises(StartProblem, match="left"), instance(tmp_path, INGEST, "left"):
            pass
        with instance(tmp_path, INGEST, "right") as other:
            assert other == "right"
    with instance(tmp_path, INGEST, "left") as name:
        assert name == "left"
