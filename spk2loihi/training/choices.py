"""Names a user chooses from, apart from the code behind them, so that a command line can list them at once."""

from __future__ import annotations

STAGES = ("joint", "general", "task", "prediction", "all")
PRECISIONS = ("no", "bf16", "fp16")
