//! Pictures that move: decode, encode, in-betweens, camera moves and assembly on FFmpeg.
