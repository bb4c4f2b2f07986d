import threading

from dicomserver.server.statistics import Statistics


def test_a_snapshot_has_what_was_counted():
    statistics = Statistics()
    statistics.connection()
    statistics.connection()
    statistics.rejected()
    statistics.association()
    statistics.answered("C-STORE", False, 500, 100)
    statistics.answered("C-STORE", True)
    statistics.answered("C-ECHO", False, 80, 80)
    statistics.traffic(20, 5)
    statistics.add_source(lambda: {"instances": 1})
    snapshot = statistics.snapshot()
    assert 0 <= snapshot.pop("uptimeSeconds") < 60
    assert snapshot == {
        "connectionsTotal": 2, "connectionsRejected": 1, "associationsTotal": 1, "bytesIn": 600, "bytesOut": 185,
        "services": {"C-ECHO": {"requests": 1, "failures": 0}, "C-STORE": {"requests": 2, "failures": 1}},
        "instances": 1}


def test_no_count_is_lost_among_threads():
    statistics = Statistics()

    def work():
        for _ in range(5000):
            statistics.answered("C-ECHO", False, 1, 2)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    snapshot = statistics.snapshot()
    assert snapshot["services"]["C-ECHO"]["requests"] == snapshot["bytesIn"] == 40000
    assert snapshot["bytesOut"] == 80000
