"""The command line. Everything that prints is here."""

__all__ = ["app", "main"]  # noqa: F822  modules, imported when they are needed: `prenorm --help` is quick
