"""Settings of the steps that download: ``fetch_package.py``, ``fetch_hub.py`` and ``prefetch.py``."""

from typing import TYPE_CHECKING, Self

from contrastive_context.config.base import Model
from contrastive_context.config.hub_entries import HubEntry, hub_entries
from contrastive_context.config.sources import Package

if TYPE_CHECKING:
    from contrastive_context.config.study import Study


class FetchPackageSettings(Model):
    """What ``fetch_package.py`` is told: the package's key under ``packages`` and its entry."""

    name: str
    package: Package

    @classmethod
    def of(cls, study: "Study", package: str) -> Self:
        """Take the leaves that the step reads from the study."""
        return cls(name=package, package=study.packages[package])


class FetchHubSettings(Model):
    """What ``fetch_hub.py`` is told: which entry of which registry refers to the hub, and what of the hub it wants."""

    registry: str
    name: str
    entry: HubEntry

    @classmethod
    def of(cls, study: "Study", registry: str, entry: str) -> Self:
        """Take the leaves that the step reads from the study."""
        entries = {(of, name): found for of, name, found in hub_entries(study)}
        return cls(registry=registry, name=entry, entry=entries[registry, entry])


class PrefetchSettings(Model):
    """What ``prefetch.py`` is told: the run whose downloads it lists."""

    run: str

    @classmethod
    def of(cls, study: "Study") -> Self:
        """Take the leaves that the step reads from the study."""
        return cls(run=study.run)
