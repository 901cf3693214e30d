"""The simulator: phones, a carrier network, a development ledger.

It starts the gateway as a process and speaks to it as a carrier would; of this project's code it
uses `ledger_client` and `menus.encoding` only, never the gateway's.
"""
