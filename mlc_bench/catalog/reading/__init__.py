"""Data files as others publish them: CSV, TSV, JSON, JSON lines, Parquet and Excel, also packed with gzip, as rows.

One reader for all files that a user brings: tasks' data, answers to judge, labels, training data.
"""

from mlc_bench.catalog.reading.files import decode as decode
from mlc_bench.catalog.reading.json_rows import inside as inside
from mlc_bench.catalog.reading.json_rows import read_json_lines as read_json_lines
from mlc_bench.catalog.reading.table import Row as Row
from mlc_bench.catalog.reading.table import Table as Table
from mlc_bench.catalog.reading.tables import SUFFIXES as SUFFIXES
from mlc_bench.catalog.reading.tables import parse as parse
from mlc_bench.catalog.reading.tables import read as read
