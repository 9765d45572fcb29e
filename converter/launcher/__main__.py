"""`python -m prenorm`."""

from prenorm import main

main()
