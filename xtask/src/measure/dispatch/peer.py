"""RQ and Celery on Redis: time from a submit to the start of its job, and small jobs a second.

    python peer.py FOLDER

A Redis server of its own, on a socket in FOLDER and without a port, that writes every change to the disk before it answers
(appendfsync always): what our ledger does, too. Prints one line of JSON with seconds and rates by queue.
"""

import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import time

from jobs import began, nothing

PUSHES = 300
JOBS = 2000


def lines(log):
    with open(log) as file:
        return [float(line) for line in file if line.endswith("\n")]


def wait_for(condition, what, seconds=60):
    end = time.time() + seconds
    while not condition():
        if time.time() > end:
            raise SystemExit(f"{what} did not happen within {seconds} s")
        time.sleep(0.0005)


def measure(name, folder, submit_timed, submit_nothing, ended):
    log = os.path.join(folder, f"{name}.log")
    open(log, "w").close()
    times = []
    for n in range(PUSHES):
        pushed = time.time()
        submit_timed(log)
        wait_for(lambda: len(lines(log)) > n, f"{name}: job {n}")
        times.append(lines(log)[n] - pushed)
    times.sort()
    start = time.time()
    for _ in range(JOBS):
        submit_nothing()
    wait_for(ended, f"{name}: all jobs", 300)
    return {
        "p50": statistics.median(times),
        "p99": times[PUSHES * 99 // 100],
        "per_second": JOBS / (time.time() - start),
    }


def rq(folder, url):
    import redis
    from rq import Queue, SimpleWorker

    connection = redis.Redis.from_url(url)
    timed, plain = Queue("timed", connection=connection), Queue("plain", connection=connection)
    work = lambda: SimpleWorker([timed, plain], connection=redis.Redis.from_url(url)).work(logging_level="ERROR")
    worker = multiprocessing.get_context("fork").Process(target=work, daemon=True)
    worker.start()
    try:
        return measure(
            "rq",
            folder,
            lambda log: timed.enqueue(began, log),
            lambda: plain.enqueue(nothing),
            lambda: plain.finished_job_registry.count >= JOBS,
        )
    finally:
        worker.terminate()


def celery(folder, url):
    import celery as library

    application = library.Celery("peer", broker=url, backend=url)
    # Acknowledged when it is done, as ours is: a killed worker's job is done again.
    application.conf.update(task_acks_late=True, worker_prefetch_multiplier=1, task_ignore_result=False)
    timed, plain = application.task(began, name="began"), application.task(nothing, name="nothing")
    run = lambda: application.worker_main(["worker", "-c", "1", "-P", "solo", "--loglevel", "ERROR", "--without-gossip"])
    worker = multiprocessing.get_context("fork").Process(target=run, daemon=True)
    worker.start()
    try:
        results = []
        return measure(
            "celery",
            folder,
            lambda log: timed.delay(log),
            lambda: results.append(plain.delay()),
            lambda: results[-1].ready(),
        )
    finally:
        worker.terminate()


def main(folder):
    socket = os.path.join(folder, "redis.sock")
    server = subprocess.Popen(
        ["redis-server", "--port", "0", "--unixsocket", socket, "--dir", folder]
        + ["--appendonly", "yes", "--appendfsync", "always", "--save", ""],
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_for(lambda: os.path.exists(socket), "redis-server starts")
        answer = {"rq": rq(folder, f"unix://{socket}"), "celery": celery(folder, f"redis+socket://{socket}")}
        print(json.dumps(answer))
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main(sys.argv[1])
