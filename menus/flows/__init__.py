"""One file per flow: its form, its effect, its replies. A flow knows no engine and no store."""
