"""Runs under transformers 4.57: a line of JSON with a folder, a class and options, a line with what came of loading it."""

import json
import sys

import transformers

transformers.logging.set_verbosity_error()


def answer(folder, name, options):
    """The configuration's attributes, and what was not loaded as it was stored."""
    try:
        if name.endswith("Config"):
            config, info = getattr(transformers, name).from_pretrained(folder), {}
        else:
            net, info = getattr(transformers, name).from_pretrained(folder, output_loading_info=True, **options)
            config = net.config
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}
    values = {
        key: getattr(config, key)
        for key in dir(config)
        if key[0] != "_" and key not in ("torch_dtype", "use_return_dict")
    }
    kept = {key: value for key, value in values.items() if not callable(value)}
    return {"config": kept, "unfit": sorted(str(item) for items in info.values() for item in items)}


print(transformers.__version__, flush=True)
for line in sys.stdin:
    print(json.dumps(answer(*json.loads(line)), default=str), flush=True)
