"""Iroha 1.6's wire schema: our own text of its messages and services, and the generated stubs.

Package `iroha.protocol`, same names and numbers, so that bytes and hashes agree with any peer.
`python -m ledger_client.proto` writes the stubs again after a change (needs grpcio-tools).
Only generated code and its schema live here.
"""
