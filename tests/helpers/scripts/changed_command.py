"""The command line in a process whose modules hold something else than their own: a JSON object of it by dotted names comes
before the arguments.
"""

import importlib
import json
import sys

from prenorm.cli.main import main

for name, value in json.loads(sys.argv.pop(1)).items():
    module, _, attribute = name.rpartition(".")
    setattr(importlib.import_module(module), attribute, value)
main()
