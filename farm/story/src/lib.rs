//! Reads screenplays and turns them into scenes, shots and prompts. Pure.
