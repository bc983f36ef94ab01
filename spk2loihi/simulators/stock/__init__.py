"""Stock netx networks: what Lava computes for any file of lava-dl, without Lava."""

from spk2loihi.simulators.stock.network import StockNetwork
from spk2loihi.simulators.stock.run import LayerRecord, StockRun
from spk2loihi.simulators.stock.segments import Segment, segment_file, segments

__all__ = ["LayerRecord", "Segment", "StockNetwork", "StockRun", "segment_file", "segments"]
