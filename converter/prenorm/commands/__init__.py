"""What prenorm does: one module per verb, each readable as the flow open, understand, plan, write, prove, publish.

The functions take option groups; `keywords` lets Python call them with keywords. Import them from `prenorm`, which does so
when they are first used.
"""

__all__ = ["convert", "inspect", "push", "record", "run", "verify"]  # noqa: F822  modules, imported when they are needed
