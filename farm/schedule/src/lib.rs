//! Decides what runs next: compiles requests to tasks, places them, and chooses what follows an outcome. Pure.
