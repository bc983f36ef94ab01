"""Rows of Parquet files, through pyarrow where it is installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from spk2loihi.data.tables import COLUMN_OPTIONS, listing
from spk2loihi.errors import UserError, first_line
from spk2loihi.files import open_regular

SUFFIX = ".parquet"
_MOST = 1 << 30  # bytes of the columns that are read, decompressed
_REMEDY = "check `data_dir`, `train_file` or `dev_file`"


def parquet_records(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows with ``columns`` alone, numbered from 1.

    Raises:
        UserError: pyarrow is missing, the file cannot be read, lacks a column, or would take more than 1 GiB.
    """
    if importlib.util.find_spec("pyarrow") is None:
        raise UserError(
            f"{path} needs the library pyarrow, which is not installed: pip install 'spk2loihi[hub]', or save it as CSV"
        )
    import pyarrow
    from pyarrow import parquet

    with open_regular(path, "data file", _REMEDY) as file:
        try:
            read = parquet.ParquetFile(file)
            names = read.schema_arrow.names
            for column in columns:
                count = names.count(column)
                if count != 1:
                    raise UserError(
                        f"{path} has {count or 'no'} column {column!r}, its columns are {listing(names)}: "
                        f"{COLUMN_OPTIONS}"
                    )
            about = read.metadata
            size = sum(about.row_group(i).total_byte_size for i in range(about.num_row_groups))
            if size > _MOST:
                raise UserError(f"data file {path} holds {size:,} bytes, and at most {_MOST:,} are read: part it")
            rows = [
                row for batch in read.iter_batches(columns=list(columns), batch_size=4096) for row in batch.to_pylist()
            ]
        except (pyarrow.ArrowException, OSError, ValueError, UnicodeDecodeError) as error:
            raise UserError(f"{path} is no Parquet that can be read ({first_line(error)}): write it again") from None
    yield from enumerate(rows, start=1)
