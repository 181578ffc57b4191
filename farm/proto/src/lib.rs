//! The wire: greenroom.v1 for people and tools, greenroom.worker.v1 between daemon and workers.
