"""A Valkey cluster for the session stores, one per test process and only when asked for."""

from collections.abc import Iterator

import pytest
from valkey_cluster import ValkeyCluster


@pytest.fixture(scope="session")
def _valkey_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyCluster]:
    cluster = ValkeyCluster(tmp_path_factory.mktemp("cluster"))
    yield cluster
    cluster.end()


@pytest.fixture
def cluster(_valkey_cluster: ValkeyCluster) -> ValkeyCluster:
    """Empty; each node holds its third of the slots."""
    _valkey_cluster.forget()
    return _valkey_cluster


@pytest.fixture
def cluster_url(cluster: ValkeyCluster) -> str:
    return cluster.url
