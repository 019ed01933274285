"""Repairs of what skl2onnx is known to write wrong, each by its cause."""

from __future__ import annotations

import onnx

# A blank: no token pattern of `_options.TOKENS` makes a token of it.
PADDING = b" "


def repair(model: onnx.ModelProto) -> None:
    """Repair a graph of skl2onnx in place."""
    for node in model.graph.node:
        if node.op_type == "Tokenizer":
            _pad_with_no_token(node)


def _pad_with_no_token(tokenizer: onnx.NodeProto) -> None:
    """Keep a batch's shorter rows from gaining n-grams.

    Rows are filled up to the batch's longest, by default with "#": a token like any other where
    tokens are single characters, so that a title ending in "e" would count "e #".
    """
    for attribute in tokenizer.attribute:
        if attribute.name == "pad_value":
            attribute.s = PADDING
