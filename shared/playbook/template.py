"""The shipped library on disk: which files are playbooks, and the plant that each one needs.

A situation's `binding.template.yaml` is the site's side of its playbooks in the form of
`bindings.yaml`; lint and rehearsal take it as a plant. Reads files; runs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from pydantic import Field, ValidationError

from shared.errors import ConfigError
from shared.playbook.lint_report import Plant
from shared.site.bindings import BindingsFile
from shared.site.fields import Model, Names
from shared.site.model import SiteFile
from shared.site.site import Site
from shared.site.yaml_file import complaints, read_yaml

TEMPLATE = "binding.template.yaml"
ROLES = "roles.template.yaml"
_OTHERS = (".test.yaml", ".template.yaml")
M = TypeVar("M", bound=Model)


class RolesFile(Model):
    """`roles.template.yaml`: the roles that the library's playbooks name."""

    roster: dict[str, list[str]] = Field(default_factory=dict)
    """Role -> the people of an example roster, as `site.yaml` writes it."""
    duties: dict[str, Names] = Field(default_factory=dict)
    """Role -> what is expected of it."""


@dataclass(frozen=True, slots=True)
class Template:
    """An example plant for the playbooks of one folder."""

    bindings: BindingsFile
    roster: Mapping[str, list[str]] = field(default_factory=dict)

    @property
    def plant(self) -> Plant:
        """What the linter checks against; an alarm's asset is its id up to the first dot."""
        codes, endpoints = self.bindings.alarms, self.bindings.endpoints
        alarms = {alarm for each in codes.values() for alarm in each}
        return Plant(
            alarms=frozenset(alarms | set(codes)), devices=self.bindings.devices,
            endpoints=frozenset(endpoints), roles=frozenset(self.roster),
            assets={alarm: alarm.partition(".")[0] for alarm in alarms}, codes=codes,
            people=self.roster, inputs=self.bindings.inputs,
            unsigned=frozenset(name for name, each in endpoints.items() if not each.secret),
        )  # fmt: skip

    @property
    def site(self) -> Site:
        """A site of these bindings alone, for a dry run: it knows no tags and no sources."""
        info = SiteFile(site="template", name=Names(zh="模板", en="Template"), edges=[],
                        roster=dict(self.roster))  # fmt: skip
        return Site(Path(), info, {}, {}, {}, {}, self.bindings)


def load_template(path: Path) -> Template:
    """Read a template, with the roles above it; raises ConfigError."""
    above = path.absolute().parents[:2]  # a relative path has no parents of its own
    roles = next((f / ROLES for f in above if (f / ROLES).is_file()), None)
    roster = _read(roles, RolesFile).roster if roles is not None else {}
    return Template(_read(path, BindingsFile), roster)


def template_beside(path: Path) -> Template | None:
    """The template of the folder in which a playbook or its test lies, if it has one."""
    found = path.parent / TEMPLATE
    return load_template(found) if found.is_file() else None


def playbook_files(folder: Path) -> list[Path]:
    """The playbooks of a folder: neither tests nor templates."""
    return sorted(f for f in folder.rglob("*.yaml") if not f.name.endswith(_OTHERS))


def _read(path: Path, model: type[M]) -> M:
    document = read_yaml(path)
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise complaints(error, document, str(path), set(model.model_fields))[0] from error
    except TypeError as error:
        raise ConfigError(str(error), where=str(path), mend="write a mapping") from error
