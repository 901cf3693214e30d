"""Conversations: a pure core of forms, menus and texts. Nothing is imported here."""
