"""What the queues run: RQ takes no functions of the program that is started."""

import time


def began(log):
    with open(log, "a") as file:
        file.write(f"{time.time()}\n")


def nothing():
    pass
