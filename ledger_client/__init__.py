"""The ledger: one protocol, and Hyperledger Iroha 1 behind it. Knows no service and no screen."""
