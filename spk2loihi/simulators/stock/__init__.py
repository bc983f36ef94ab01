"""Stock netx networks: what Lava computes for any file of lava-dl, without Lava."""

from spk2loihi.simulators.stock.network import LayerRecord, StockNetwork, StockRun
from spk2loihi.simulators.stock.segments import Segment, segment_file, segments

__all__ = ["LayerRecord", "Segment", "StockNetwork", "StockRun", "segment_file", "segments"]
