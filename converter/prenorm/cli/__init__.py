"""The command line. Everything that prints is here."""
