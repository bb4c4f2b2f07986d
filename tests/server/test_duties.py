from dicomserver.server.duties import Duties


class Part:
    """Stands for a scrub or a housekeeper."""

    def __init__(self, name: str, events: list[str]) -> None:
        self.name = name
        self.events = events
        self.alive = True

    def start(self) -> None:
        self.events.append(f"{self.name} start")

    def stop(self) -> None:
        self.events.append(f"{self.name} stop")

    def figures(self) -> dict[str, object]:
        return {"scrub": "reading"}


def test_each_term_has_new_ones():
    events: list[str] = []
    made: list[Part] = []

    def make(name):
        made.append(Part(name, events))
        return made[-1]
    duties = Duties(lambda: make("scrub"), lambda: make("house"))
    assert duties.alive and duties.figures() == {"scrub": "reading"} and events == []
    for _ in range(2):
        duties.start()
        duties.stop()
    assert events == ["scrub start", "house start", "house stop", "scrub stop"] * 2
    assert len(set(made)) == 5      # and one that only knows the figures
    duties.start()
    made[-1].alive = False
    assert not duties.alive
