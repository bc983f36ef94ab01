"""Numbers as text."""

from __future__ import annotations

from spk2loihi import formatting as fmt


def test_numbers_read_well() -> None:
    assert [fmt.significant(v) for v in (3.28, 336.6, 0.009746, 41_234, 0, 0.9999, 1e-6)] == [
        "3.28", "337", "0.00975", "41,200", "0", "1.00", "1.00e-06",
    ]  # fmt: skip
    assert [fmt.energy(v) for v in (78_300, 0.00123, 999.96, 0)] == ["78.3 µJ", "1.23 pJ", "1.00 µJ", "0 J"]
    assert [fmt.count(v) for v in (12, 9999, 842_000_000, 999_960)] == ["12", "9,999", "842 M", "1.00 M"]
    assert [fmt.share(v) for v in (0.4567, 0.001, 0.999, 1.0)] == ["46 %", "under 1 %", "over 99 %", "100 %"]
    assert (fmt.precision("fp32"), fmt.precision("int8")) == ("FP32", "int8")


def test_text_from_outside_cannot_command_a_terminal() -> None:
    from spk2loihi.formatting import printable

    assert printable("a\x1b[31m\x07\r\n\x9b\udcff\u202e\u2028b") == r"a\x1b[31m\x07\r\n\x9b\udcff\u202e\u2028b"
    assert printable("µ ≤ ñ 你好 👩‍🚀 [/x] [best]\t<b>") == "µ ≤ ñ 你好 👩‍🚀 [/x] [best]\t<b>"
    assert printable(3) == "3"


def test_a_line_is_folded_between_words_below_its_text() -> None:
    assert fmt.folded("short", 20) == "short"
    assert fmt.folded("one two three four five", 12) == "one two\nthree four\nfive"
    assert fmt.folded("on a chip    Dense, Sparse, GradedVec, ProdNeuron", 40) == (
        "on a chip    Dense, Sparse, GradedVec,\n             ProdNeuron"
    )
    assert fmt.folded("  conv_1: needs a smaller kernel", 16) == "  conv_1: needs\n  a smaller\n  kernel"
    assert (
        fmt.folded("see /a/path/that-is/longer-than/the-line now", 12)
        == "see\n/a/path/that-is/longer-than/the-line\nnow"
    )
