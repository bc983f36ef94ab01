"""Stock netx networks: what Lava computes for any file of lava-dl, without Lava."""

from spk2loihi.netx.segments import Segment, segment_file, segments
from spk2loihi.netx.stock_network import StockNetwork
from spk2loihi.netx.stock_run import LayerRecord, StockRun

__all__ = ["LayerRecord", "Segment", "StockNetwork", "StockRun", "segment_file", "segments"]
