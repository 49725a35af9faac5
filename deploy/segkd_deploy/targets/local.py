"""This machine as a target."""

from __future__ import annotations

import sys

from segkd.errors import BackendMissing, SegkdError
from segkd_deploy.targets.transport import Transport, bootstrap, last_line


class LocalTransport(Transport):
    """The agent in a process of this machine, run by the Python that runs this."""

    def command(self, agent_bytes: int) -> list[str]:
        """This interpreter."""
        return [sys.executable, "-c", bootstrap(agent_bytes)]

    def explain(self, code: int | None, stderr: str, stdout: str = "", *, waited_s: float | None = None) -> SegkdError:
        """What it said last."""
        return BackendMissing(f"{self.spec.name}: the agent did not start: {last_line(stderr)}")
