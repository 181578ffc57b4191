"""Takes the weights of a torch network back out of its ONNX file, so that training goes on from what is shipped.

The export folds each BatchNorm into the convolution before it. Restored, that norm carries the folded bias and scales by one:
the same function in eval mode. Train on in eval mode too: the statistics of a batch would change everything at once.
"""
from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn


def restore(net: nn.Module, file: Path, new: tuple[str, ...] = ()) -> None:
    """Loads `file`, which was exported from a network of the same shape, into `net`; layers named in `new` may be missing."""
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(str(file)).graph
    values = {i.name: numpy_helper.to_array(i).astype(np.float32) for i in graph.initializer}
    values |= {n.output[0]: values[n.input[0]] for n in graph.node if n.op_type == "Cast" and n.input[0] in values}
    modules, done = dict(net.named_modules()), set()
    for node in graph.node:
        if node.op_type not in ("Conv", "Gemm", "MatMul", "BatchNormalization"):
            continue
        name = node.input[1].removesuffix(".weight") if node.op_type == "Gemm" else module_name(node.name)
        inputs = [values[i] for i in node.input if i in values]
        if name in done or name not in modules or not inputs:
            continue
        put(modules, name, node.op_type, inputs)
        done.add(name)
    left = [n for n, m in modules.items() if isinstance(m, (nn.Conv2d, nn.Linear)) and n not in done and n not in new]
    if left:
        raise ValueError(f"restore {file}: no weights for {', '.join(left)}")


def halve(file: Path, least: int = 256) -> None:
    """Rewrites an ONNX file so that its large weights are stored in half precision; runtimes unfold them when they load it."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load(str(file))
    casts = []
    for i, weights in enumerate(model.graph.initializer):
        if weights.data_type != TensorProto.FLOAT or np.prod(weights.dims) < least:
            continue
        name = weights.name
        half = numpy_helper.from_array(numpy_helper.to_array(weights).astype(np.float16), name + "_half")
        model.graph.initializer[i].CopyFrom(half)
        casts.append(helper.make_node("Cast", [name + "_half"], [name], to=TensorProto.FLOAT, name=f"unfold/{name}"))
    for node in reversed(casts):
        model.graph.node.insert(0, node)
    onnx.checker.check_model(model)
    onnx.save(model, str(file))


def resume(net: nn.Module, file: Path | None) -> bool:
    """Loads weights to go on from, if any: a checkpoint of this recipe (.pt) or a shipped .onnx. Tells whether norms learn their
    statistics, which they do only from scratch: a batch's are not those that a restored network computes with."""
    if file is None:
        return True
    if file.suffix == ".pt":
        net.load_state_dict(torch.load(file, map_location="cpu"))
    else:
        restore(net, file)
    return False


def module_name(node: str) -> str:
    """The torch name in a node's path: /c3/c3.1/a/a.0/Conv is c3.1.a.0."""
    parts: list[str] = []
    for part in node.strip("/").split("/")[:-1]:
        if parts and part.startswith(parts[-1] + "."):
            parts.pop()
        parts.append(part)
    return ".".join(parts)


def put(modules: dict[str, nn.Module], name: str, kind: str, inputs: list[np.ndarray]) -> None:
    tensors = [torch.from_numpy(np.array(v)) for v in inputs]
    module = modules[name]
    with torch.no_grad():
        if kind == "BatchNormalization":
            for target, value in zip((module.weight, module.bias, module.running_mean, module.running_var), tensors):
                target.copy_(value)
        elif kind == "MatMul":
            module.weight.copy_(tensors[0].T)
        else:
            module.weight.copy_(tensors[0])
            if module.bias is not None:
                module.bias.copy_(tensors[1])
            elif len(tensors) > 1:
                norm = modules[norm_after(name)]
                norm.weight.fill_(1)
                norm.bias.copy_(tensors[1])
                norm.running_mean.zero_()
                norm.running_var.fill_(1 - norm.eps)


def norm_after(conv: str) -> str:
    """The norm that follows a convolution: c1 has b1, and in a sequence the next number."""
    head, _, last = conv.rpartition(".")
    following = str(int(last) + 1) if last.isdigit() else last.replace("c", "b")
    return f"{head}.{following}" if head else following
