"""The errors of other estimators beside ours, as a results folder keeps them."""

import tomllib
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from oomph.errors import ConfigError
from oomph.foreign import read_text
from oomph.views.sections import Chapter, Section
from oomph.views.table import Cell, Table

PEERS_FILE: Final = "peers.toml"
MAX_BYTES: Final = 1 << 20


class PeersTable(BaseModel):
    """One table of errors: what it says, how it was made, its columns and rows as they are
    printed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    says: str
    about: str
    made_by: str
    columns: list[str]
    rows: list[list[str]]

    @model_validator(mode="after")
    def _check(self) -> "PeersTable":
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError("a row has another number of cells than there are columns")
        return self

    @property
    def table(self) -> Table:
        """The same as a table of a page."""
        rows = tuple(tuple(Cell(cell) for cell in row) for row in self.rows)
        return Table(caption=self.title, columns=tuple(self.columns), rows=rows)


class Peers(BaseModel):
    """All tables of a file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    table: list[PeersTable]


def read_peers(path: Path) -> Peers:
    """The tables in the file; ConfigError names the key and the way out."""
    text = read_text(path, error=ConfigError, remedy="mend or remove it", limit=MAX_BYTES)
    try:
        return Peers.model_validate(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}; mend that line") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{path}: {key}: {first['msg'].lower()}; mend that key") from None


def peers_chapter(peers: Peers) -> Chapter:
    """The chapter of a site's page: the first table in front, others beneath."""
    first, *others = peers.table
    return Chapter(
        title="Beside other estimators",
        question="How far off are other estimators on the same rows?",
        headline=first.says,
        basis=(first.about,),
        evidence=(f"Made by {first.made_by}",),
        tables=(first.table,),
        sections=tuple(
            Section(
                title=each.title, text=f"{each.about} Made by {each.made_by}", tables=(each.table,)
            )
            for each in others
        ),
    )
