"""`python -m factory_brain run --config …`"""

from factory_brain.cli import app

app()
