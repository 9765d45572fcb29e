"""Run the command line: `python -m prenorm`."""

from prenorm.cli.main import main

if __name__ == "__main__":
    main()
