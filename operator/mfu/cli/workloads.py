"""Documents → workloads, with what else the files hold to resolve them: accelerator classes and the ConfigMaps of model configs."""

from collections.abc import Sequence
from dataclasses import dataclass

from mfu.api.accelerator import accelerator
from mfu.api.resolve import resolve
from mfu.api.source import ConfigMaps
from mfu.cli.documents import Document
from mfu.errors import IntentError, MfuError
from mfu.estimate.workload import Workload
from mfu.hardware.accelerator import Accelerator

__all__ = ["Declared", "classes_of", "config_maps_of", "declared_workloads"]

_OTHER_KINDS = frozenset({"AcceleratorClass", "FleetReport", "MFUPolicy"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """A document that declares a workload, and the workload or why there is none."""

    document: Document
    workload: Workload | MfuError

    @property
    def name(self) -> str:
        return self.document.name

    @property
    def namespace(self) -> str:
        return self.document.namespace


def declared_workloads(documents: Sequence[Document]) -> list[Declared]:
    """One entry for each document that is or should be a workload, in order; a faulty one carries its error.

    What stands beside workloads in a tenant's files (Jobs, Services, ConfigMaps, policies) is passed over.
    """
    classes, config_maps = classes_of(documents), config_maps_of(documents)
    declared = []
    for document in documents:
        if _is_beside(document):
            continue
        workload: Workload | MfuError
        try:
            if document.body is None:
                raise IntentError("", document.problem or "is empty")
            workload = resolve(document.body, classes=classes, config_maps=config_maps)
        except MfuError as error:
            workload = error
        declared.append(Declared(document=document, workload=workload))
    return declared


def _is_beside(document: Document) -> bool:
    """An object of another API, or one of ours that is no workload."""
    version = document.body.get("apiVersion") if document.body is not None else None
    if document.kind is None or not isinstance(version, str) or document.kind == "ModelWorkload":
        return False
    return document.kind in _OTHER_KINDS or version.partition("/")[0] != "mfu.dev"


def classes_of(documents: Sequence[Document]) -> dict[str, Accelerator]:
    """The AcceleratorClass objects among the documents; later ones may extend earlier ones. Raises IntentError that names the document."""
    classes: dict[str, Accelerator] = {}
    for document in documents:
        if document.kind == "AcceleratorClass" and document.body is not None:
            try:
                classes[document.name] = accelerator(document.body, classes)
            except IntentError as error:
                raise MfuError(f"{document.place}: {error}") from error
    return classes


def config_maps_of(documents: Sequence[Document]) -> ConfigMaps:
    """Looks up the ConfigMap objects among the documents."""
    texts: dict[tuple[str, str, str], str] = {}
    for document in documents:
        data = document.body.get("data") if document.kind == "ConfigMap" and document.body is not None else None
        if isinstance(data, dict):
            texts.update({(document.namespace, document.name, str(key)): str(text) for key, text in data.items()})
    return lambda namespace, name, key: texts.get((namespace, name, key))
