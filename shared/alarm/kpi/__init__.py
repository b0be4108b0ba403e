"""Alarm figures: rates, floods, chattering, fleeting, stale, standing, answers. Pure.

`figures(records, period)` counts a journal, `shards` keeps live figures that equal it, `floods` is
the one definition of a flood (also for incidents), `csv_journal` reads journals from files.
"""

from shared.alarm.kpi.document import document as document
from shared.alarm.kpi.document import report as report
from shared.alarm.kpi.figures import Figures as Figures
from shared.alarm.kpi.figures import Period as Period
from shared.alarm.kpi.figures import figures as figures
from shared.alarm.kpi.floods import FloodFlag as FloodFlag
from shared.alarm.kpi.floods import floods as floods
from shared.alarm.kpi.limits import KpiLimits as KpiLimits
from shared.alarm.kpi.records import Record as Record
