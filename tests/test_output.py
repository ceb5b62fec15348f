"""`| head -1`: whoever reads the output may leave."""

import io
import os

from theta0.output import Output


def test_it_goes_on_in_silence_where_nobody_reads(capsys):
    read, write = os.pipe()
    stream = Output.of(io.TextIOWrapper(os.fdopen(write, "wb"), line_buffering=True))
    stream.write("first\n")
    assert os.read(read, 100) == b"first\n"
    os.close(read)
    for _ in range(3):
        stream.write("more\n")
        stream.flush()
    stream.close()
    assert capsys.readouterr().err == "theta0: nobody reads the output any more; it goes on\n"
