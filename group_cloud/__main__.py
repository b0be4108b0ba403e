"""`python -m group_cloud run --config …`"""

from group_cloud.cli import app

app()
