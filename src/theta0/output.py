"""Output whose reader may leave, as `| head -1` does: the runs and the report go on."""

import io
import os
import sys


class Output(io.TextIOWrapper):
    """A stream that says once, on stderr, that nobody reads it any more, and is silent then.

    The file descriptor becomes that of the null device, for child processes too.
    """

    @classmethod
    def of(cls, stream: io.TextIOWrapper) -> "Output":
        """The same stream; the one given is detached."""
        encoding, buffered = stream.encoding, stream.line_buffering
        return cls(stream.detach(), encoding, errors="replace", line_buffering=buffered)

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except BrokenPipeError:
            self._go_silent()
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except BrokenPipeError:
            self._go_silent()

    def _go_silent(self) -> None:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self.fileno())
        os.close(null)
        super().flush()
        try:
            print("theta0: nobody reads the output any more; it goes on", file=sys.stderr)
        except OSError:
            return
