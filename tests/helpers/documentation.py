"""What transformers' documentations of this model and its own classes say, as facts: `fixtures/documentation.json`.

python -m helpers.documentation 4.34=DOCS.md 5.2=DOCS.md 4.57=PYTHON writes the file anew: of the pages, in Markdown, and of
the installed transformers and that of another interpreter, whose classes say what they inherit.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from helpers.paths import FIXTURES

FACTS = FIXTURES / "documentation.json"
Arguments = list[list[str]]

_INHERITED = """
import json, sys, torch, transformers
module, config = transformers.RobertaPreLayerNormForCausalLM, transformers.RobertaPreLayerNormConfig
public = lambda found, known: sorted(name for name in found if name[0] != "_" and name not in known)
answer = {"models": public(dir(module), dir(torch.nn.Module)), "config": public(dir(config()), ())}
json.dump([transformers.__version__, answer], sys.stdout)
"""


def older_page(text: str) -> dict[str, Any]:
    """The classes of the page of 4.34, where a signature is one line and its arguments run into one another."""
    classes = {}
    for part in re.split(r"^### class transformers\.", text, flags=re.MULTILINE)[1:]:
        name = part.split("\n", 1)[0].strip()
        signatures = [line.replace("\\", "") for line in part.splitlines() if line.startswith("( ")]
        classes[name] = {
            "init": _run_together(signatures[0]),
            "forward": _run_together(signatures[1]) if len(signatures) > 1 else [],
            "outputs": [],
            "examples": part.count("```") // 2,
        }
    return classes


def newer_page(text: str) -> dict[str, Any]:
    """The classes of the page of 5.2, where a signature is JSON, and parameters and outputs are lists."""
    classes = {}
    for part in re.split(r"^## (?=RobertaPreLayerNorm)", text, flags=re.MULTILINE)[1:]:
        name = part.split("[", 1)[0].strip()
        signature = re.search(r"(\[\{\"name\".*?\}\])", part)
        arguments = json.loads(signature[1]) if signature else []
        stated = part.split("**Parameters:**", 1)[-1].split("**Returns:**", 1)[0]
        init = re.findall(r"^(\w+) \(`[^)]*\) ?:|^(\w+) \(`", stated, flags=re.MULTILINE)
        defaults = dict(re.findall(r"^(\w+) \(.*?defaults to `?\"?([^`\")]+)", stated, flags=re.MULTILINE))
        returned = part.split("**Returns:**", 1)[1] if "**Returns:**" in part else ""
        classes[name] = {
            "init": [[one or two, defaults.get(one or two, "None")] for one, two in init],
            "forward": [
                [item["name"], item["val"].rpartition("= ")[2]] for item in arguments if item["name"] != "**kwargs"
            ],
            "outputs": re.findall(r"^- \*\*(\w+)\*\*", returned, flags=re.MULTILINE),
            "examples": part.count("```") // 2,
        }
    return classes


def _run_together(signature: str) -> Arguments:
    """`a: int = 1b = None` as pairs of names and defaults."""
    inside = signature[2:].split(" )", 1)[0]
    # What has no default: the config, and the first argument of Flax' models.
    inside = re.sub(r"^(config: RobertaPreLayerNormConfig|config|input_ids)(?=[a-z])(?!: )", "", inside)
    value = r"'[^']*'|None|True|False|\(1, 1\)|<class '[^']*'>|\d+(?:\.\d+)?(?:e-?\d+)?"
    pairs = re.findall(rf"(\w+)(?:: .*?)? = ({value})", inside)
    return [list(pair) for pair in pairs]


def main() -> None:
    """Writes the facts anew."""
    sources = dict(argument.split("=", 1) for argument in sys.argv[1:])
    facts: dict[str, Any] = {
        "4.34": older_page(Path(sources["4.34"]).read_text(encoding="utf-8")),
        "5.2": newer_page(Path(sources["5.2"]).read_text(encoding="utf-8")),
        "inherited": {},
    }
    for python in (sys.executable, sources["4.57"]):
        done = subprocess.run([python, "-c", _INHERITED], capture_output=True, text=True, check=True)
        version, inherited = json.loads(done.stdout)
        facts["inherited"][version] = inherited
    FACTS.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
