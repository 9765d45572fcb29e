"""Runs under transformers 4.57: builds models from saved weights and answers with what they compute.

Arguments: a folder with `cases.json` and, per case, `NAME.safetensors` (weights) and `NAME.inputs.safetensors`; the answers
go to `NAME.outputs.safetensors`.
"""

import json
import sys
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file, save_file


def main() -> None:
    """Answers every case, in float64."""
    folder = Path(sys.argv[1])
    for name, case in json.loads((folder / "cases.json").read_text()).items():
        config = transformers.RobertaPreLayerNormConfig(**case["config"])
        config._attn_implementation = "eager"
        net = getattr(transformers, case["class"])(config).double().eval()
        net.load_state_dict(load_file(folder / f"{name}.safetensors"), strict=False)
        missing = set(net.state_dict()) - set(load_file(folder / f"{name}.safetensors"))
        assert all("decoder" in key for key in missing), missing  # tied ones
        inputs = load_file(folder / f"{name}.inputs.safetensors")
        with torch.no_grad():
            output = net(**inputs, output_attentions=True, **case["options"])
        answers = {f"attentions.{i}": item.contiguous() for i, item in enumerate(output.attentions)}
        answers["scores"] = output[0].contiguous()
        save_file(answers, folder / f"{name}.outputs.safetensors")
    json.dump(transformers.__version__, sys.stdout)


main()
