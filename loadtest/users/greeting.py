"""The users that greet: `GreetingUser` holds a connection and talks, `ConnectUser` comes anew for each greeting."""

from locust import task

from loadtest.engine.request import Whole
from loadtest.users.tcp import TcpUser
from loadtest.workload.dialogue.session import names
from procserver.errors import RemoteProtocolError
from procserver.protocols.greeting import BANNER, answer_to

__all__ = ["ConnectUser", "GreetingUser", "TcpUser"]


class _Greeter(TcpUser):
    """What both share: framing, names, and the answers that they must get."""

    abstract = True

    def on_start(self) -> None:
        super().on_start()
        chosen = self.environment.parsed_options
        self.framing = chosen.framing if chosen is not None else "raw"
        self.banner = BANNER[self.framing]
        self.names = names(chosen.name_length if chosen is not None else 16)

    def greet(self) -> bool:
        name = next(self.names)
        request = name + b"\n" if self.framing == "line" else name
        return self.exchange("message", request, answer_to(name, self.framing))


class GreetingUser(_Greeter):
    """Holds one connection and sends name after name."""

    @task
    def talk(self) -> None:
        for _ in self.turns():
            if not self.connected() or not self.greet():
                return


class ConnectUser(_Greeter):
    """A connection for each greeting: connect, banner, one name, its answer, close. All of it is `greeting`."""

    arrives_as = "greeting"
    holds = False

    @task
    def visit(self) -> None:
        for _ in self.turns():
            with Whole(self, self.arrives_as):
                if not self.connected() or not self.greet():
                    raise RemoteProtocolError("see connect and message")
                self.close()
