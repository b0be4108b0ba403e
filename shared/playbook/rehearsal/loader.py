"""Reads a test file with the playbook that it tests; faults carry file:line:column and a mend.

Called by the command line; runs nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from shared.playbook.faults import Fault, PlaybookFaults
from shared.playbook.loader import Loaded, load_playbook
from shared.playbook.model import Playbook
from shared.playbook.rehearsal.document import TestFile
from shared.playbook.rehearsal.names import Names, form_faults
from shared.playbook.template import Template, load_template, template_beside
from shared.site.site import Site
from shared.site.yaml_file import position, read_yaml

SUFFIX = ".test.yaml"
DEEPEST = 4
_NAMED = re.compile(r"""^playbook:\s*["']?([a-z0-9-]+)""", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Tests:
    """A test file with its playbook, those that this calls, and the plant that it is played at."""

    __test__ = False

    file: TestFile
    document: Any
    name: str
    playbook: Loaded
    books: dict[str, Playbook]
    plant: Site | Template | None = None

    def where(self, *at: str | int) -> str:
        """`file:line:column` of a part of the test file."""
        return position(self.document, at, self.name)


def load_tests(
    path: Path, library: Path | None = None, plant: Site | Template | None = None
) -> Tests:
    """Read one test file; raises PlaybookFaults or ConfigError.

    Playbooks are looked for beside it, in neighbouring folders, and in the library. Without a plant
    it is what `binding` names, else the `binding.template.yaml` beside it.
    """
    document = read_yaml(path)
    if not isinstance(document, dict):
        raise Fault(
            "bad_file", str(path), ("测试文件是一个映射", "a test file is a mapping"),
            ("以 `schema: playbook-test/v1` 开头", "begin with `schema: playbook-test/v1`"),
        )  # fmt: skip
    try:
        file = TestFile.model_validate(document)
    except ValidationError as error:
        raise PlaybookFaults(list(form_faults(error, document, path.name))) from error
    found = _Folders(path, library)
    loaded = load_playbook(found.file(file.playbook, position(document, ("playbook",), path.name)))
    books: dict[str, Playbook] = {}
    found.called(loaded.playbook, books, 1)
    plant = plant or _plant(path, file, position(document, ("binding",), path.name))
    tests = Tests(file, document, path.name, loaded, books, plant)
    if faults := list(Names(file, loaded.playbook, books, plant, tests.where).faults()):
        raise PlaybookFaults(faults)
    return tests


def _plant(path: Path, file: TestFile, where: str) -> Template | None:
    if file.binding is None:
        return template_beside(path)
    found = path.parent / file.binding
    if not found.is_file():
        raise Fault(
            "bad_file", where, ("没有这个绑定文件", f"there is no binding file {file.binding!r}"),
            (f"放在 {path.parent} 下", f"put it into {path.parent}"),
        )  # fmt: skip
    return load_template(found)


@dataclass(frozen=True, slots=True)
class _Folders:
    """Where a test file's playbooks are."""

    test: Path
    library: Path | None

    def file(self, name: str, where: str) -> Path:
        """The file of a playbook."""
        folder = self.test.parent
        asked = [folder / f"{name}.yaml", folder / f"{self.test.name.removesuffix(SUFFIX)}.yaml"]
        asked += sorted(folder.parent.glob(f"*/{name}.yaml"))
        asked += sorted(self.library.glob(f"**/{name}.yaml")) if self.library else []
        for one in asked:
            if one.is_file() and _NAMED.findall(one.read_text("utf-8", "replace")) == [name]:
                return one
        raise Fault(
            "no_playbook", where,
            (f"旁边与库中都没有预案 {name!r}",
             f"there is no playbook {name!r} beside this file or in the library"),
            (f"把 {name}.yaml 放在测试文件旁边", f"put {name}.yaml into {folder}"),
        )  # fmt: skip

    def called(self, book: Playbook, into: dict[str, Playbook], depth: int) -> None:
        """Read the playbooks that one calls, and those that they call."""
        for step in book.all_steps():
            if step.call is None or step.call.playbook in into or depth > DEEPEST:
                continue
            found = load_playbook(self.file(step.call.playbook, self.test.name)).playbook
            into[step.call.playbook] = found
            self.called(found, into, depth + 1)


def schema() -> dict[str, Any]:
    """The JSON Schema of test files, for editors."""
    built = TestFile.model_json_schema(by_alias=True)
    built["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    built["$id"] = "playbook-test.schema.json"
    built["title"] = "Andon playbook-test/v1"
    return built
