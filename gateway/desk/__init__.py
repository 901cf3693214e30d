"""The desk: everything that is done with wallets, PINs and money; the rooms say which."""
