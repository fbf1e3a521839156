"""A command with a configuration has a file of types of its own."""

from pathlib import Path

from lit_humor.config import schema
from lit_humor.config.declared import CONFIG_DIR
from lit_humor.config.schema import SCHEMAS


def test_every_command_with_a_configuration_has_its_schema() -> None:
    commands = sorted(path.stem for path in Path(CONFIG_DIR).glob("*.yaml"))
    assert commands == sorted(SCHEMAS) == sorted(path.stem for path in Path(schema.__path__[0]).glob("[a-z]*.py"))
    assert {name: one.__name__ for name, one in SCHEMAS.items()} == {
        name: f"{name.capitalize()}Config" for name in commands
    }
