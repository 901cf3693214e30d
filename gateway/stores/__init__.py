"""Where things are kept: tables and migrations, the one SQL seam, sessions."""
