"""Fitted estimators as ONNX graphs: our own translators, and skl2onnx for the rest."""
