"""`publish`: a model becomes the next version in a model repository."""

from __future__ import annotations

import os
from pathlib import Path

from geulpi_conversion._composed import Ensemble, PythonModel
from geulpi_conversion._converted import Converted
from geulpi_conversion._serving import ServingConfig


def publish(
    converted: Converted | PythonModel | Ensemble,
    repository: str | os.PathLike[str],
    *,
    serving: ServingConfig | None = None,
    keep: int | None = None,
    sample: bool = True,
    keep_tuned: bool | None = None,
) -> Path:
    """Write a model into a repository as its next version.

    The repository is made if it is not there. Publishers at the same time take turns; on failure
    nothing of the version is left.

    Args:
        converted: the model, as `convert` gives it, or one composed by hand.
        repository: the folder that Triton loads.
        serving: how it is to be served; by default `ServingConfig.for_backend` says.
        keep: so many versions are left, the newest and those that `serving` names; None is all.
        sample: whether some rows of the sample, with the estimator's answers, are stored beside the
            model for `geulpi verify`. They are real rows; the one for warm-up is too.
        keep_tuned: whether settings of the version before that were measured (its config then has
            the parameter `tuned`) stay: batch sizes, delay, instances, threads and trimming. By
            default they do where `serving` is not given.

    Returns:
        The folder of the new version, `<repository>/<name>/<version>`.

    Raises:
        InvalidServing: a setting does not suit the model or its versions, or `keep` is below 1.
        RepositoryNotWritable: the repository can't be used.
        EntryDamaged: the config.pbtxt of the model that is there can't be read.
    """
    # numpy, grpc and protobuf take a moment to import: not for `geulpi --help`.
    from geulpi_conversion._publication import write_version  # noqa: PLC0415

    return write_version(
        converted,
        Path(repository),
        serving=serving,
        keep=keep,
        sample=sample,
        keep_tuned=serving is None if keep_tuned is None else keep_tuned,
    )
