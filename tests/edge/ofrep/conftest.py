"""The Node SDKs are installed once for all of the edge's tests."""

from tests.edge.test_sdks_node import sdks as sdks
