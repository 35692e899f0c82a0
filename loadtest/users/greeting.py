"""The users of the greeting: `GreetingUser` holds a connection, `ConnectUser` makes one for each greeting."""

from locust import task

from loadtest.engine.request import CompositeRequest
from loadtest.users.tcp import TcpUser
from loadtest.workload.dialogue.session import names
from procserver.errors import RemoteProtocolError
from procserver.protocols.greeting import BANNER, answer_to


class _Greeter(TcpUser):
    """What both share: framing, names, and the expected answers."""

    abstract = True

    def on_start(self) -> None:
        super().on_start()
        self.framing = self.settings.framing
        self.banner = BANNER[self.framing]
        self.names = names(self.settings.name_length)

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
    holds_connection = False

    @task
    def visit(self) -> None:
        for _ in self.turns():
            with CompositeRequest(self, self.arrives_as):
                if not self.connected() or not self.greet():
                    raise RemoteProtocolError("see connect and message")
                self.close()
